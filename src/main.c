/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process: what holds for all of it before any thread exists. The C locale stays (numbers and
 * case are never the user's), times are UTC, files with rows in them are the owner's alone, and a
 * peer that went away is an error of write(), not a signal.
 */
#include "cli/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    setenv("TZ", "UTC", 1);
    tzset();
    return cli_main(argc, argv);
}
