/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places between two durable effects at which a test lets the process die. They exist in programs
 * made with -DPENSTOCK_FAILPOINTS (`make failpoints`) only; elsewhere FAILPOINT is nothing.
 *
 * PENSTOCK_FAILPOINT=NAME[:N][:ACTION]   when NAME is reached for the N-th time (default: first):
 *     kill (default)   SIGKILL to this process
 *     exit             ends at once with code 1, without any clean-up
 *     sleep=MS         waits there
 *   up to four of them, with commas between
 * PENSTOCK_FAILPOINT_LOG=FILE   NAME is appended when it is first reached, then NAME:2, NAME:4, ..
 *     when it has been reached so often: each line can be used as PENSTOCK_FAILPOINT.
 *
 * A name is used at one place only. `penstock version --failpoints` prints all of them.
 */
#ifndef PENSTOCK_UTIL_FAILPOINT_H
#define PENSTOCK_UTIL_FAILPOINT_H

#include <stdio.h>

#ifdef PENSTOCK_FAILPOINTS
#include <stdatomic.h>

struct failpoint {
    const char *name;
    atomic_uint reached;
};

/* Pointers in a section of their own, so that the linker makes the list (failpoint.c). */
#define FAILPOINT(text)                                                    \
    do {                                                                   \
        static struct failpoint here = {.name = (text)};                   \
        static struct failpoint *const listed                              \
            __attribute__((section("penstock_failpoints"), used)) = &here; \
                                                                           \
        (void)listed;                                                      \
        failpoint_reached(&here);                                          \
    } while (0)

void failpoint_reached(struct failpoint *f);
#else
#define FAILPOINT(text) ((void)0)
#endif

/* Every name, one a line, sorted; nothing where they do not exist. */
void failpoint_list(FILE *out);

#endif
