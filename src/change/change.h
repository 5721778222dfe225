/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a source connector tells the engine. Data goes one way: a connector calls these functions
 * from inside its stream_poll, in log order. All pointers are borrowed for the call.
 */
#ifndef PENSTOCK_CHANGE_CHANGE_H
#define PENSTOCK_CHANGE_CHANGE_H

#include "change/table.h"
#include "util/error.h"

enum change_op {
    CHANGE_INSERT = 'c',
    CHANGE_UPDATE = 'u',
    CHANGE_DELETE = 'd',
    CHANGE_READ = 'r',    /* a row of a snapshot */
    CHANGE_TRUNCATE = 't' /* no images */
};

struct change {
    enum change_op op;
    const struct table *table;
    /*
     * table->ncols values each, or NULL. `before` of an update or delete may hold only the key
     * (others VALUE_ABSENT); of an update it is NULL when the log carried no old row. An
     * unchanged column of `after` that an old image carries has been filled from it.
     */
    const struct value *before;
    const struct value *after;
    bool before_full; /* replica identity full: every column of before is known */
    uint64_t lsn;     /* of the row, for the event's source block; 0 unknown */
};

struct transaction {
    int64_t csn;       /* commit sequence number; Postgres: final_lsn */
    int64_t commit_us; /* commit time, us since 1970-01-01 UTC */
    uint64_t xid;
    char id[64]; /* the event's transaction.id; Postgres: "XID:LSN" */
};

/*
 * From one version of a table to the next, as of one place in the log, without its rows having
 * been rewritten: columns added, dropped, renamed or widened.
 */
struct alteration {
    const struct table *was, *now; /* the same oid and name; keys over the same columns */
    /* now->ncols each: index of the same column in was, or -1 if it was added; what rows that are
     * older hold in an added column: VALUE_SET or VALUE_NULL. */
    const int *from;
    const struct value *fill;
};

#define POSITION_SIZE 128 /* a position as text, with its zero byte */

struct change_sink {
    void *ctx;
    bool (*begin)(void *ctx, const struct transaction *tx, struct error *err);
    bool (*change)(void *ctx, const struct change *c, struct error *err);
    /* position: where to resume after this transaction. */
    bool (*commit)(void *ctx, const struct transaction *tx, const char *position,
                   struct error *err);
    /*
     * Nothing up to position is left unsent and no transaction is open (a keepalive).
     * urgent: the server asks for an answer now.
     */
    bool (*idle)(void *ctx, const char *position, bool urgent, struct error *err);
    /*
     * The table's rows have the shape of a->now from here on. *carried: the engine takes them; if
     * not (its schema is refused), the connector skips the table's rows. a is borrowed for the
     * call, a->now until the next alteration of the table or stream_stop.
     */
    bool (*alter)(void *ctx, const struct alteration *a, bool *carried, struct error *err);
    /*
     * A part of a partitioned table that is not in the table's list of leaves: its first row comes
     * next. Told again after each reconnect. May be NULL.
     */
    bool (*leaf)(void *ctx, const struct table *t, uint32_t leaf, struct error *err);
    /*
     * Rows of this table arrive in a shape that the engine does not know and that does not follow
     * from the one it knows (a new table, rows rewritten without events): it must be loaded
     * (again). Called once per table until stream_table; the connector then skips the table's
     * rows.
     */
    bool (*wants_load)(void *ctx, uint32_t oid, const char *schema, const char *name,
                       const char *why, struct error *err);
};

/* True if before and after hold different keys (compared by value, column by column). */
bool change_moves_key(const struct change *c);

#endif
