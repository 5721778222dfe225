/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the catalogue share. */
#ifndef PENSTOCK_SOURCE_POSTGRES_CATALOG_INTERNAL_H
#define PENSTOCK_SOURCE_POSTGRES_CATALOG_INTERNAL_H

#include "source_postgres/catalog.h"
#include "util/buf.h"
#include "util/map.h"

struct catalog_reading {
    struct source *s;
    struct pg_conn *conn;
    struct arena *arena;
    const struct publication *pub; /* NULL: none is looked at */
    bool sizes;
    struct catalog *out;
    struct map *by_oid; /* struct catalog_table, the selected ones */
    struct buf oids;    /* of the selected tables: '{1,2}'::oid[] */
};

/* attnums of an index's key columns; 0 of them if it is of no use as an identity. */
struct index_columns {
    int n;
    int attnums[32]; /* INDEX_MAX_KEYS */
};

/* indkey as text: "1 2 3", of which nkeys are key columns. */
void catalog_parse_index(const char *indkey, int nkeys, struct index_columns *out);
/* Fills missing, refused and only_missing; the rest is known. */
void catalog_judge(struct catalog_reading *r, struct catalog_table *ct);
/* Columns, types, keys and identities of the selected tables. */
MUST_CHECK bool catalog_read_columns(struct catalog_reading *r, struct error *err);

#endif
