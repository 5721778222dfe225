/* SPDX-License-Identifier: Apache-2.0 */
/* What watch.c (the judgement) and watch_sql.c (the question) share. */
#ifndef PENSTOCK_SOURCE_POSTGRES_WATCH_INTERNAL_H
#define PENSTOCK_SOURCE_POSTGRES_WATCH_INTERNAL_H

#include "source_postgres/source_postgres.h"
#include "util/buf.h"

/* A relation with rows: a table, or a leaf of a partitioned one. */
struct leaf {
    uint32_t oid, root, file;
    uint64_t attributes;
    uint64_t membership;
    unsigned round; /* when it was last seen */
};

/* Columns of the answer. */
enum {
    W_ROOT,
    W_OID,
    W_FILE,
    W_ATTRIBUTES,
    W_MEMBER,
    W_NAME,
    W_FILE_NEW,
    W_ALTERED,
    W_ATTACHED,
    W_IDENTITY,
    W_ODD
};

/* Appends the question for the tables of those oids, "1,2". */
void watch_sql(const struct source *s, const char *oids, struct buf *sql);
void watch_take_leaf(const PGresult *res, int i, struct leaf *l);

#endif
