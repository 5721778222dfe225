/* SPDX-License-Identifier: Apache-2.0 */
/* The service in the foreground: what `run` and `sync` share. */
#ifndef PENSTOCK_CLI_SERVE_H
#define PENSTOCK_CLI_SERVE_H

#include "pipeline/service.h"

/* Runs until SIGTERM or SIGINT, or until every pipeline has ended; returns the exit code.
 * *started (may be NULL): what is at the source is ours. */
int serve(const struct config_file *cfg, const struct service_options *o, bool *started);

#endif
