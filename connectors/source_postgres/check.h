/* SPDX-License-Identifier: Apache-2.0 */
/* What would stop or surprise a run, each with its fix. */
#ifndef PENSTOCK_SOURCE_POSTGRES_CHECK_H
#define PENSTOCK_SOURCE_POSTGRES_CHECK_H

#include "source_postgres/source_postgres.h"

/* The server and role as the facts tell them: the first thing that stops a run. */
MUST_CHECK bool check_server(struct source *s, struct error *err);
MUST_CHECK bool check_source(struct source *s, struct arena *a, struct source_plan *plan,
                             struct findings *out, struct error *err);
MUST_CHECK bool check_plan(struct source *s, struct arena *a, struct source_table **tables, int *n,
                           struct error *err);

#endif
