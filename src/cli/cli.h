/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: one subcommand a file, one table (cli.c) that dispatch and help come from. */
#ifndef PENSTOCK_CLI_CLI_H
#define PENSTOCK_CLI_CLI_H

#include "util/error.h"

/* Exit codes (DESIGN section 3): check: 0 nothing stops a run, 1 findings; others: 0 done,
 * 1 failed; 2 wrong command line, file or setting. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli_option {
    const char *name;  /* "--from" */
    const char *alias; /* "-c", or NULL */
    const char *value; /* placeholder "URL"; NULL: a flag */
    const char *help;
};

struct cli_args {
    const struct cli_command *command;
    const char *values[32]; /* by index of command->options; flags: "" when given, else NULL */
    const char *positional[8];
    int npositional;
    const char *many[64]; /* values of the option that may be given more than once */
    int nmany;
    const char *url;   /* global --url, default http://127.0.0.1:8083 */
    const char *token; /* global --token or $PENSTOCK_TOKEN */
    bool json;         /* global --output json */
    bool csv;          /* global --output csv, where the command knows it */
};

struct cli_command {
    const char *name;
    const char *summary;              /* one line */
    const char *usage;                /* "sync --from URL --to URL [options]" */
    const char *help;                 /* further lines, or NULL */
    const struct cli_option *options; /* ended by a NULL name; may be NULL */
    int min_positional, max_positional;
    const char *many;                        /* the option that may be given more than once */
    bool csv;                                /* --output csv is one of its forms */
    int (*run)(const struct cli_args *args); /* returns the exit code */
};

extern const struct cli_command cli_run, cli_sync, cli_check, cli_status, cli_query, cli_pause,
    cli_resume, cli_restart, cli_resync, cli_verify, cli_remove, cli_config, cli_version, cli_help;

/* The value of an option of the command; NULL if it was not given. */
const char *cli_value(const struct cli_args *args, const char *option);
/* Prints "penstock: message" and the hint to stderr; returns the exit code for the error's kind
 * (ERROR_CONFIG with usage: CLI_USAGE). */
int cli_fail(const struct error *err, int code);
int cli_main(int argc, char **argv);

#endif
