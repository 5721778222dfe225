/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a running service over HTTP, for the commands that do. */
#ifndef PENSTOCK_CLI_CLIENT_H
#define PENSTOCK_CLI_CLIENT_H

#include "cli/cli.h"
#include "util/buf.h"

#include <jansson.h>

/*
 * GET of path ("/connectors") at args->url, with args->token. Fills body with what a 200 holds.
 * ERROR_RETRY if nothing answers, ERROR_CONFIG if the token is wrong, ERROR_DATA for any other
 * answer, with the service's own message.
 */
bool client_get(const struct cli_args *args, const char *path, struct buf *body, struct error *err);
/* The same, parsed; the caller owns *out. */
bool client_get_json(const struct cli_args *args, const char *path, json_t **out,
                     struct error *err);

#endif
