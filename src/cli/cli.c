/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: penstock [global options] COMMAND [options] [arguments]. One table of commands
 * with their options makes dispatch, checking and help. Options may stand anywhere: --x VALUE,
 * --x=VALUE, -c VALUE, -cVALUE; `--` ends them. What is wrong is said with the nearest known name,
 * exit code 2, before anything is done.
 */
#include "cli/cli.h"

#include "cli/cli_internal.h"
#include "config/nearest.h"
#include "util/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VALUES (sizeof(((struct cli_args *)NULL)->values) / sizeof(const char *))
#define MAX_MANY (sizeof(((struct cli_args *)NULL)->many) / sizeof(const char *))
#define MAX_POSITIONAL (sizeof(((struct cli_args *)NULL)->positional) / sizeof(const char *))

const struct cli_command *const cli_commands[] = {
    &cli_run,    &cli_sync,   &cli_check,   &cli_status, &cli_query,
    &cli_pause,  &cli_resume, &cli_restart, &cli_resync, &cli_verify,
    &cli_remove, &cli_config, &cli_version, &cli_help,   NULL};

enum { GLOBAL_URL, GLOBAL_TOKEN, GLOBAL_OUTPUT, GLOBAL_HELP, GLOBAL_VERSION, GLOBALS };

const struct cli_option cli_global_options[] = {
    [GLOBAL_URL] = {"--url", NULL, "URL", "the service to ask (http://127.0.0.1:8083)"},
    [GLOBAL_TOKEN] = {"--token", NULL, "TOKEN", "its api.token ($PENSTOCK_TOKEN)"},
    [GLOBAL_OUTPUT] = {"--output", NULL, "table|json", "how answers are printed (table)"},
    [GLOBAL_HELP] = {"--help", "-h", NULL, "help, also of one command"},
    [GLOBAL_VERSION] = {"--version", "-V", NULL, "the version"},
    [GLOBALS] = {NULL, NULL, NULL, NULL},
};

const struct cli_command *cli_find_command(const char *name)
{
    for (int i = 0; cli_commands[i] != NULL; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

bool cli_unknown_command(const char *name, struct error *err)
{
    struct nearest near = {0};

    error_set(err, ERROR_CONFIG, "%s is not a command", name);
    for (int i = 0; cli_commands[i] != NULL; i++)
        nearest_offer(&near, name, cli_commands[i]->name);
    if (near.best != NULL)
        return error_hint(err, "did you mean `penstock %s`?", near.best);
    return error_hint(err, "`penstock help` lists the commands");
}

/* The index of the option that arg (its first len bytes) names, -1 if there is none. */
static int find_option(const struct cli_option *options, const char *arg, size_t len)
{
    for (int i = 0; options != NULL && options[i].name != NULL; i++) {
        const char *alias = options[i].alias;

        if (strlen(options[i].name) == len && memcmp(options[i].name, arg, len) == 0)
            return i;
        if (alias != NULL && strlen(alias) == len && memcmp(alias, arg, len) == 0)
            return i;
    }
    return -1;
}

static bool unknown_option(const struct cli_command *command, const char *arg, size_t len,
                           struct error *err)
{
    struct nearest near = {0};
    char name[64];

    if (len >= sizeof(name))
        len = sizeof(name) - 1;
    memcpy(name, arg, len);
    name[len] = '\0';
    error_set(err, ERROR_CONFIG, "%s is not an option%s%s", name,
              command != NULL ? " of penstock " : "", command != NULL ? command->name : "");
    for (int i = 0; command != NULL && command->options != NULL && command->options[i].name; i++)
        nearest_offer(&near, name, command->options[i].name);
    for (int i = 0; i < GLOBALS; i++)
        nearest_offer(&near, name, cli_global_options[i].name);
    if (near.best != NULL)
        return error_hint(err, "did you mean %s?", near.best);
    return error_hint(err, "`penstock help%s%s` lists the options", command != NULL ? " " : "",
                      command != NULL ? command->name : "");
}

/* One walk over the arguments. */
struct parsing {
    int argc, at;
    char **argv;
    const struct cli_command *command;
    struct cli_args *args;
    const char *globals[GLOBALS];
    struct error *err;
};

/* Stores the option's value: after '=', attached to a one-letter name, or the next argument. */
static bool take_value(struct parsing *p, const struct cli_option *o, const char *attached,
                       const char **slot)
{
    if (*slot != NULL)
        return error_set(p->err, ERROR_CONFIG, "%s is given twice", o->name);
    if (o->value == NULL) {
        if (attached != NULL)
            return error_set(p->err, ERROR_CONFIG, "%s takes no value", o->name);
        *slot = "";
        return true;
    }
    if (attached == NULL && p->at < p->argc && strncmp(p->argv[p->at], "--", 2) != 0)
        attached = p->argv[p->at++];
    if (attached == NULL) {
        error_set(p->err, ERROR_CONFIG, "%s needs a value", o->name);
        return error_hint(p->err, "write %s %s", o->name, o->value);
    }
    *slot = attached;
    return true;
}

/* One more value of the option that may be given more than once. */
static bool take_more(struct parsing *p, const struct cli_option *o, const char *attached)
{
    struct cli_args *a = p->args;

    if ((size_t)a->nmany == MAX_MANY)
        return error_set(p->err, ERROR_CONFIG, "%s is given more than %d times", o->name,
                         (int)MAX_MANY);
    if (!take_value(p, o, attached, &a->many[a->nmany]))
        return false;
    a->nmany++;
    return true;
}

/* arg is --name, --name=value, -x or -xVALUE. */
static bool take_option(struct parsing *p, const char *arg)
{
    const struct cli_option *options = p->command != NULL ? p->command->options : NULL;
    bool is_long = arg[1] == '-';
    size_t len = is_long ? strcspn(arg, "=") : 2;
    const char *attached =
        is_long ? (arg[len] == '=' ? arg + len + 1 : NULL) : (arg[len] != '\0' ? arg + len : NULL);
    int i = find_option(options, arg, len);

    if (i >= 0 && p->command->many != NULL && strcmp(options[i].name, p->command->many) == 0)
        return take_more(p, &options[i], attached);
    if (i >= 0 && (size_t)i < MAX_VALUES)
        return take_value(p, &options[i], attached, &p->args->values[i]);
    i = find_option(cli_global_options, arg, len);
    if (i >= 0)
        return take_value(p, &cli_global_options[i], attached, &p->globals[i]);
    return unknown_option(p->command, arg, len, p->err);
}

static bool take_word(struct parsing *p, const char *arg)
{
    struct cli_args *a = p->args;

    if (p->command == NULL) {
        p->command = cli_find_command(arg);
        return p->command != NULL || cli_unknown_command(arg, p->err);
    }
    if (a->npositional >= p->command->max_positional || (size_t)a->npositional >= MAX_POSITIONAL) {
        error_set(p->err, ERROR_CONFIG, "penstock %s: %s is one argument too many",
                  p->command->name, arg);
        return error_hint(p->err, "usage: penstock %s", p->command->usage);
    }
    a->positional[a->npositional++] = arg;
    return true;
}

static bool take_globals(struct parsing *p)
{
    const char *output = p->globals[GLOBAL_OUTPUT];
    const char *token = p->globals[GLOBAL_TOKEN];
    bool csv = p->command != NULL && p->command->csv;

    p->args->url =
        p->globals[GLOBAL_URL] != NULL ? p->globals[GLOBAL_URL] : "http://127.0.0.1:8083";
    p->args->token = token != NULL ? token : getenv("PENSTOCK_TOKEN");
    if (output == NULL || strcmp(output, "table") == 0)
        return true;
    p->args->json = strcmp(output, "json") == 0;
    p->args->csv = csv && strcmp(output, "csv") == 0;
    if (p->args->json || p->args->csv)
        return true;
    error_set(p->err, ERROR_CONFIG, "--output: \"%s\" is not one of: table,json%s", output,
              csv ? ",csv" : "");
    return error_hint(p->err, "write --output table%s or --output %s", csv ? ", --output json" : "",
                      csv ? "csv" : "json");
}

bool cli_parse(int argc, char **argv, struct cli_args *args, enum cli_wanted *wanted,
               struct error *err)
{
    struct parsing p = {.argc = argc, .argv = argv, .at = 1, .args = args, .err = err};
    bool only_words = false, ok = true;

    memset(args, 0, sizeof(*args));
    *wanted = CLI_WANT_COMMAND;
    while (ok && p.at < argc) {
        const char *arg = argv[p.at++];

        if (only_words || arg[0] != '-' || arg[1] == '\0')
            ok = take_word(&p, arg);
        else if (strcmp(arg, "--") == 0)
            only_words = true;
        else
            ok = take_option(&p, arg);
    }
    ok = ok && take_globals(&p);
    args->command = p.command;
    if (!ok)
        return false;
    if (p.globals[GLOBAL_HELP] != NULL) {
        *wanted = CLI_WANT_HELP;
    } else if (p.globals[GLOBAL_VERSION] != NULL) {
        *wanted = CLI_WANT_VERSION;
    } else if (p.command != NULL && args->npositional < p.command->min_positional) {
        error_set(err, ERROR_CONFIG, "penstock %s: an argument is missing", p.command->name);
        return error_hint(err, "usage: penstock %s", p.command->usage);
    }
    return true;
}

const char *cli_value(const struct cli_args *args, const char *option)
{
    int i = find_option(args->command->options, option, strlen(option));

    return i >= 0 ? args->values[i] : NULL;
}

int cli_fail(const struct error *err, int code)
{
    fflush(stdout);
    if (log_is_json()) {
        log_failure(LOG_ERROR, "ended", err);
        return code;
    }
    fprintf(stderr, "penstock: %s", err->message);
    if (err->sqlstate[0] != '\0')
        fprintf(stderr, " (SQLSTATE %s)", err->sqlstate);
    fputc('\n', stderr);
    if (err->hint[0] != '\0')
        fprintf(stderr, "  to mend it: %s\n", err->hint);
    return code;
}

/* What was printed must have arrived: a full disk is a failure, a reader that left is not news. */
static int finish(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno != EPIPE)
        fprintf(stderr, "penstock: cannot write the output: %s\n", strerror(errno));
    return code == CLI_OK ? CLI_FAILED : code;
}

int cli_main(int argc, char **argv)
{
    enum cli_wanted wanted;
    struct cli_args args;
    struct error err = {0};

    if (!cli_parse(argc, argv, &args, &wanted, &err))
        return cli_fail(&err, CLI_USAGE);
    if (wanted == CLI_WANT_VERSION) {
        puts("penstock " PENSTOCK_VERSION);
        return finish(CLI_OK);
    }
    if (wanted == CLI_WANT_HELP || args.command == NULL) {
        cli_print_help(stdout, args.command);
        return finish(wanted == CLI_WANT_HELP ? CLI_OK : CLI_USAGE);
    }
    return finish(args.command->run(&args));
}
