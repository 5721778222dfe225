/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the check share beside the facts. */
#ifndef PENSTOCK_SOURCE_POSTGRES_CHECK_INTERNAL_H
#define PENSTOCK_SOURCE_POSTGRES_CHECK_INTERNAL_H

#include "source_postgres/catalog.h"
#include "source_postgres/check_facts.h"
#include "source_postgres/publication.h"

/* Rights, identities, what is left out: a finding for each, and the plan's tables. */
MUST_CHECK bool check_tables(struct source *s, struct pg_conn *c, struct arena *a,
                             const struct publication *pub, const struct catalog *cat,
                             struct source_plan *plan, struct findings *out, struct error *err);
/* Reads rows of the largest table for a moment, and says how long all of them will take. */
void check_measure(struct pg_conn *c, struct arena *a, const struct catalog *cat,
                   struct source_plan *plan);

#endif
