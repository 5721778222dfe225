/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process: what holds for all of it before any thread exists. The C locale stays (numbers and
 * case are never the user's), times are UTC, files with rows in them are the owner's alone, and a
 * peer that went away is an error of write(), not a signal.
 */
#include "cli/cli.h"
#include "connectors.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* libpq would send these to every server and so undo the settings that connections pin. */
static void forget_libpq_settings(void)
{
    static const char *const names[] = {"PGDATESTYLE",      "PGTZ",     "PGGEQO", "PGOPTIONS",
                                        "PGCLIENTENCODING", "PGAPPNAME"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    setenv("TZ", "UTC", 1);
    tzset();
    forget_libpq_settings();
    if (argc == 2 && strcmp(argv[1], WAREHOUSE_APART) == 0)
        return connectors_apart();
    return cli_main(argc, argv);
}
