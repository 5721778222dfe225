/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exact point: the consistent point of a logical slot, with the snapshot that shows the
 * database as of it. A holder session imports the slot's snapshot and exports it again, so that
 * the slot's own session (and a temporary slot, which would pin log) ends at once.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_POINT_H
#define PENSTOCK_SOURCE_POSTGRES_POINT_H

#include "source_postgres/source_postgres.h"

/* Immutable while readers use it. */
struct source_point {
    struct source *s;
    struct pg_conn *holder;
    char snapshot[64];
    uint64_t s_lsn;
    bool durable;
};

MUST_CHECK bool point_open(struct source *s, bool durable, struct source_point **out, int64_t *csn,
                           char position[POSITION_SIZE], struct error *err);
void point_close(struct source_point *p);
MUST_CHECK bool point_tables(struct source_point *p, struct arena *a, struct source_table **tables,
                             int *n, struct error *err);
/* Opens a transaction on c that sees the point's snapshot. */
MUST_CHECK bool point_import(struct pg_conn *c, const char *snapshot, struct error *err);

/* snapshot_ranges.c */
MUST_CHECK bool snapshot_point_cut(struct source_point *p, struct arena *a, struct source_table *st,
                                   struct error *err);

/* Readers: snapshot.c, snapshot_keys.c. */
MUST_CHECK bool snapshot_reader_open(struct source_point *p, struct source_reader **out,
                                     struct error *err);
MUST_CHECK bool snapshot_reader_chunk(struct source_reader *r, const struct table *t,
                                      const struct chunk *c, source_row_fn *row, void *ctx,
                                      struct error *err);
/*
 * t as point_tables gives it, for its row filter. "Row of a key" is the source's own equality: the
 * row that comes may write its key in another way (numeric 1.0 and 1.00, 0 and -0, citext), and one
 * row may come for several such keys. ERROR_DATA with err->reload if rows cannot be looked up by
 * such a key, but a load of the table brings them.
 */
MUST_CHECK bool snapshot_reader_keys(struct source_reader *r, const struct table *t,
                                     const struct value *const *keys, int n, source_row_fn *row,
                                     void *ctx, struct error *err);
void snapshot_reader_close(struct source_reader *r);

#endif
