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

/*
 * POST of a JSON text, or NULL for no body; *out is what a 2xx holds, the caller's. Errors as
 * client_get's; *absent: nothing listens at args->url.
 */
bool client_post_json(const struct cli_args *args, const char *path, const char *json, json_t **out,
                      bool *absent, struct error *err);
/* PUT or POST without a body; what a 2xx holds is ignored. Errors as client_get's. */
bool client_tell(const struct cli_args *args, const char *method, const char *path,
                 struct error *err);
/* Appends s, percent-encoded, as one segment of a path. */
void client_segment(struct buf *path, const char *s);

#endif
