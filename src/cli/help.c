/* SPDX-License-Identifier: Apache-2.0 */
/* Help, made from the table of commands and their options. */
#include "cli/cli_internal.h"
#include "cli/manual.h"

#include <string.h>

static void print_options(FILE *out, const char *title, const struct cli_option *options)
{
    if (options == NULL || options[0].name == NULL)
        return;
    fprintf(out, "\n%s:\n", title);
    for (; options->name != NULL; options++) {
        char left[80];

        snprintf(left, sizeof(left), "%s%s%s%s%s", options->alias ? options->alias : "",
                 options->alias ? ", " : "    ", options->name, options->value ? " " : "",
                 options->value ? options->value : "");
        fprintf(out, "  %-28s %s\n", left, options->help);
    }
}

void cli_print_help(FILE *out, const struct cli_command *command)
{
    if (command != NULL) {
        fprintf(out, "penstock %s: %s\n\nusage: penstock %s\n", command->name, command->summary,
                command->usage);
        if (command->help != NULL)
            fprintf(out, "\n%s%s", command->help,
                    command->help[strlen(command->help) - 1] == '\n' ? "" : "\n");
        print_options(out, "options", command->options);
        print_options(out, "global options", cli_global_options);
        return;
    }
    fputs("Penstock keeps a warehouse equal to a running database.\n\n"
          "usage: penstock COMMAND [options]\n\n"
          "In one command, from two URLs to rows:\n"
          "  penstock sync --from postgres://USER:PASSWORD@HOST/DB --to duckdb:warehouse.duckdb\n\n"
          "commands:\n",
          out);
    for (int i = 0; cli_commands[i] != NULL; i++)
        fprintf(out, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    print_options(out, "global options", cli_global_options);
    fputs("\n`penstock help COMMAND` says more of one command.\n", out);
}

static int run_help(const struct cli_args *args)
{
    const struct cli_command *command = NULL;
    struct error err = {0};

    if (cli_value(args, "--man") != NULL) {
        cli_print_manual(stdout, cli_commands, cli_global_options);
        return CLI_OK;
    }
    if (cli_value(args, "--completion") != NULL) {
        cli_print_completion(stdout, cli_commands, cli_global_options);
        return CLI_OK;
    }
    if (args->npositional > 0) {
        command = cli_find_command(args->positional[0]);
        if (command == NULL) {
            cli_unknown_command(args->positional[0], &err);
            return cli_fail(&err, CLI_USAGE);
        }
    }
    cli_print_help(stdout, command);
    return CLI_OK;
}

static const struct cli_option help_options[] = {
    {"--man", NULL, NULL, "the manual page, as man reads it"},
    {"--completion", NULL, NULL, "for bash: source <(penstock help --completion)"},
    {NULL, NULL, NULL, NULL},
};

const struct cli_command cli_help = {
    .name = "help",
    .summary = "this help, or that of one command",
    .usage = "help [COMMAND]",
    .options = help_options,
    .max_positional = 1,
    .run = run_help,
};
