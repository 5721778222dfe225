/* SPDX-License-Identifier: Apache-2.0 */
/* A column's DEFAULT as the event schema's default. */
#ifndef PENSTOCK_SOURCE_POSTGRES_PG_DEFAULT_H
#define PENSTOCK_SOURCE_POSTGRES_PG_DEFAULT_H

#include "change/table.h"

/*
 * expr: as pg_get_expr prints it under the pinned settings. The JSON of the default, in arena a;
 * NULL where none can be told. A constant is itself; a function is what Debezium puts for one, the
 * zero of the column's type; nextval() has none.
 */
const char *pg_column_default(struct arena *a, const struct column *c, const char *expr);

#endif
