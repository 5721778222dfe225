/* SPDX-License-Identifier: Apache-2.0 */
/* What resync does without a running service. */
#ifndef PENSTOCK_CLI_RESYNC_H
#define PENSTOCK_CLI_RESYNC_H

#include "change/qualified.h"
#include "cli/cli.h"

#include <jansson.h>

struct resync {
    const struct cli_args *args;
    const char *connector;         /* the source's or its warehouse's */
    const struct qualified *table; /* NULL: all */
    const char *config;            /* path of the configuration file */
};

/*
 * Marks the tables in the warehouse's books, so that the next start loads them again. *out, the
 * caller's: {"service": "stopped", "id": null, "connector", "tables"}. Returns the exit code, with
 * the error if it is not CLI_OK.
 */
int resync_stopped(const struct resync *r, json_t **out, struct error *err);

#endif
