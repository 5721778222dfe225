/* SPDX-License-Identifier: Apache-2.0 */
/* What cli.c, help.c, config.c and version.c share. */
#ifndef PENSTOCK_CLI_CLI_INTERNAL_H
#define PENSTOCK_CLI_CLI_INTERNAL_H

#include "cli/cli.h"

#include <stdio.h>

extern const struct cli_command *const cli_commands[]; /* ended by a NULL */
extern const struct cli_option cli_global_options[];   /* ended by a NULL name */

const struct cli_command *cli_find_command(const char *name);
/* ERROR_CONFIG for a name that cli_find_command does not know, with the nearest. Returns false. */
bool cli_unknown_command(const char *name, struct error *err);

/*
 * Parses what follows the program's name. ERROR_CONFIG if it is wrong. args->command is NULL when
 * nothing but help or a version is wanted.
 */
enum cli_wanted { CLI_WANT_COMMAND, CLI_WANT_HELP, CLI_WANT_VERSION };
bool cli_parse(int argc, char **argv, struct cli_args *args, enum cli_wanted *wanted,
               struct error *err);

/* Help of one command, or of the program (NULL). */
void cli_print_help(FILE *out, const struct cli_command *command);
/* docs/configuration.md */
void cli_print_markdown(FILE *out);
/* docs/errors.md */
void cli_print_errors(FILE *out);

#endif
