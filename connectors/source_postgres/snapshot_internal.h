/* SPDX-License-Identifier: Apache-2.0 */
/* What snapshot.c (chunks) and snapshot_keys.c (rows by key) share. */
#ifndef PENSTOCK_SOURCE_POSTGRES_SNAPSHOT_INTERNAL_H
#define PENSTOCK_SOURCE_POSTGRES_SNAPSHOT_INTERNAL_H

#include "source_postgres/pg_cell.h"
#include "source_postgres/point.h"
#include "util/buf.h"

struct source_reader {
    struct source_point *point;
    struct pg_conn *conn; /* NULL after a failure: made again for the next chunk */
    struct arena *scratch;
    struct pg_cell *cells; /* these three: one for each column */
    struct value *values;
    uint32_t *types; /* of check_columns: of a domain, what it is made of */
    bool binary;     /* of check_columns: all of them have a binary form that is of use */
    int cap;
};

/* Before a transaction: a session, and room for the table's columns. */
MUST_CHECK bool snapshot_ready(struct source_reader *r, const struct table *t, struct error *err);
/* After a failed one: drops the session, blames the table where it is the table's fault. */
bool snapshot_failed(struct source_reader *r, const struct table *t, struct error *err);

/* ERROR_RETRY, of this table: it "was why while it was read". */
bool snapshot_rewritten(const struct table *t, const char *why, struct error *err);
/* ACCESS SHARE; only: not its children. */
MUST_CHECK bool snapshot_lock(struct source_reader *r, const struct table *t, const char *name,
                              bool only, struct error *err);
/* With the lock held: rel still has that name, and the file that the snapshot knows. */
MUST_CHECK bool snapshot_check_file(struct source_reader *r, const struct table *t, uint32_t rel,
                                    const char *name, struct error *err);
MUST_CHECK bool snapshot_check_columns(struct source_reader *r, const struct table *t,
                                       const char *name, struct error *err);
void snapshot_select_list(const struct table *t, struct buf *sql);
/* snapshot_ranges.c */
/* " AND key >= .. AND key < .."; nothing for a chunk of pages. */
MUST_CHECK bool snapshot_range_where(struct buf *sql, const struct table *t, const struct chunk *c,
                                     struct error *err);
/* With the lock held: the key's order is the one that its ranges were cut in. */
MUST_CHECK bool snapshot_check_order(struct source_reader *r, const struct table *t,
                                     const struct chunk *c, const char *name, struct error *err);
/* What ends a COPY of a query. */
void snapshot_copy_format(const struct source_reader *r, struct buf *sql);
/* What a COPY TO STDOUT that has begun brings, row by row. */
MUST_CHECK bool snapshot_copy_rows(struct source_reader *r, const struct table *t,
                                   source_row_fn *fn, void *ctx, struct error *err);

#endif
