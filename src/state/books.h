/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The books: all state that matters, in the warehouse's schema `penstock`, written with the same
 * sessions and in the same transactions as the data it speaks of.
 *
 *   meta             version of these tables; the next load's number
 *   checkpoints      where the next batch starts; one row per (connector, source)
 *   intents          a mark (replication slot) that we were about to make
 *   tables, columns  per source table and load: state, S, identity, columns, schemas, spool
 *   targets          the tables of the warehouse that we have made
 *   snapshot_chunks  what a load has copied; unique by load and chunk
 *   wanted           keys whose rows are to be read at the source again
 *
 * A source table has one row in tables, or two while a table that is live is loaded again: the
 * live one and, with a higher load number, the one that is to take its place.
 *
 * Every function runs statements in the session's current transaction, or on their own if there
 * is none; those that say so open one themselves.
 */
#ifndef PENSTOCK_STATE_BOOKS_H
#define PENSTOCK_STATE_BOOKS_H

#include "load/target.h"
#include "load/warehouse.h"
#include "source.h"
#include "state/board.h"

struct books {
    const struct warehouse_ops *ops;
    struct session *session;
    const char *connector; /* the sink connector's name */
    const char *source;    /* the source connector's name */
};

struct checkpoint {
    bool found;
    char position[POSITION_SIZE];
    int64_t csn;
    int64_t commit_us;
    struct source_identity identity;
};

/* One row of penstock.tables with its columns. */
struct table_record {
    struct table *table; /* as the source last described it; columns included */
    const char *target_schema, *target_name;
    enum table_state state;
    const char *reason; /* or NULL */
    int64_t load;       /* number of the load; names the table aside; 0: none was begun */
    bool loaded;        /* the copy is complete; it becomes live when the stream passes s */
    int64_t s;          /* exact point of the copy */
    int64_t rows;
    uint32_t value_id, key_id;
    const char *value_schema, *key_schema;
    const char **names; /* table->ncols: the columns' names in the warehouse; NULL: not known yet */
    int nkept;
    struct kept_column *kept; /* columns of dropped source columns that the target still has */
    int64_t spool_bytes;      /* length of its spool as of the checkpoint; 0: none */
    int64_t spool_applied;    /* how much of it the copy contains */
    bool in_place;            /* no copy aside: the target itself, as of s, waits for its spool */
};

/* What a load has copied or is to copy. */
struct books_chunk {
    int number;
    int64_t rows;
    int64_t s;             /* exact point of its copy; 0: the table's */
    const char *from, *to; /* its range of keys; NULL: open end, or not a range of keys */
    bool done;
};

/* A key whose row is to be read at the source again. */
struct books_wanted {
    uint32_t oid;
    const uint8_t *key; /* its bytes as they were given */
    size_t len;
    uint32_t key_schema_id; /* that it was written with */
    int64_t csn;            /* as of which it was wanted, last */
};

/*
 * Makes or migrates the tables, in a transaction of its own. ERROR_CONFIG if they were written by
 * a newer version.
 */
bool books_open(struct books *b, struct error *err);

bool books_checkpoint_read(struct books *b, struct checkpoint *out, struct error *err);
bool books_checkpoint_create(struct books *b, const char *position, int64_t csn,
                             const struct source_identity *id, struct error *err);
/* Compare-and-set, first half: takes the row if it stands at position. *taken: it does. */
bool books_checkpoint_take(struct books *b, const char *position, bool *taken, struct error *err);
/* Second half, last statement of a batch. commit_us 0: unchanged. */
bool books_checkpoint_advance(struct books *b, const char *position, int64_t csn, int64_t commit_us,
                              struct error *err);
/*
 * The source goes on as id (another timeline) from this position on. What was copied and is not
 * live yet is to be copied again: its point may lie in log that the source no longer has. Wants a
 * transaction. ERROR_RETRY if the checkpoint stands elsewhere.
 */
bool books_checkpoint_identity(struct books *b, const char *position,
                               const struct source_identity *id, struct error *err);
/*
 * Forgets checkpoint, chunks, wanted keys and loads that have begun (not the data): one row is left
 * of each table, the live one's if there is one, and the next run loads everything. In a
 * transaction of its own.
 */
bool books_forget(struct books *b, struct error *err);

bool books_intent_read(struct books *b, const char *mark, bool *found, struct error *err);
bool books_intent_write(struct books *b, const char *mark, struct error *err);
bool books_intent_clear(struct books *b, struct error *err);

/* All rows, ordered by oid and load, each with its own columns. */
bool books_tables_read(struct books *b, struct arena *a, struct table_record **out, int *n,
                       struct error *err);
/* Replaces the row (oid, load) and its columns; the table's other loads stay. */
bool books_table_put(struct books *b, const struct table_record *t, struct error *err);
/* All that is known of the table: every load, and the keys wanted of it. */
bool books_table_remove(struct books *b, uint32_t oid, struct error *err);
/* One load's row, columns and chunks. */
bool books_load_remove(struct books *b, uint32_t oid, int64_t load, struct error *err);
/* Numbers of all loads of the table that the books know, its own (the lowest) first; in arena a. */
bool books_loads_of(struct books *b, struct arena *a, uint32_t oid, int64_t **loads, int *n,
                    struct error *err);
/* As books_load_remove, unless it has become live meanwhile. */
bool books_load_abandon(struct books *b, uint32_t oid, int64_t load, struct error *err);
/* reason NULL: none. Its copy does not count any more, unless the state is TABLE_LIVE. */
bool books_table_state(struct books *b, uint32_t oid, int64_t load, enum table_state state,
                       const char *reason, struct error *err);
/*
 * The table's target has been made or replaced by this load: it is live, has no spool any more,
 * and is ours from now on; the table's other loads and all chunks are removed (bounds of ranges are
 * values of rows). ERROR_CONFLICT if there is no such load.
 */
bool books_table_live(struct books *b, uint32_t oid, int64_t load, struct error *err);
/* The copy is complete. ERROR_CONFLICT if load is not the table's any more. */
bool books_table_loaded(struct books *b, uint32_t oid, int64_t load, int64_t rows,
                        struct error *err);
/* A partition root has these leaves by now. */
bool books_table_leaves(struct books *b, uint32_t oid, int64_t load, const char *leaves,
                        struct error *err);
bool books_table_add_rows(struct books *b, uint32_t oid, int64_t load, int64_t delta,
                          bool truncated, struct error *err);
/* -1: unchanged. ERROR_CONFLICT if load is not the table's any more. */
bool books_spool(struct books *b, uint32_t oid, int64_t load, int64_t spool_bytes,
                 int64_t spool_applied, struct error *err);

/* A number that no load has had, also none that was removed. Inside a transaction. */
bool books_next_load(struct books *b, int64_t *load, struct error *err);
/* First statement of a load's transaction: ERROR_CONFLICT if load is not the table's any more. */
bool books_load_lock(struct books *b, uint32_t oid, int64_t load, struct error *err);
/* A chunk that has been copied as of the table's own point. */
bool books_chunk_add(struct books *b, uint32_t oid, int64_t load, int chunk, int64_t rows,
                     struct error *err);
/* Chunks that are to be copied, all at once. */
bool books_chunks_plan(struct books *b, uint32_t oid, int64_t load, const struct books_chunk *list,
                       int n, struct error *err);
/* A planned chunk has been copied as of s. ERROR_RETRY if it had been already. */
bool books_chunk_done(struct books *b, uint32_t oid, int64_t load, int chunk, int64_t rows,
                      int64_t s, struct error *err);
/* What was copied does not count any more. */
bool books_chunks_remove(struct books *b, uint32_t oid, int64_t load, struct error *err);
/* Adds it or replaces the one of its number. */
bool books_chunk_put(struct books *b, uint32_t oid, int64_t load, const struct books_chunk *c,
                     struct error *err);
/* Ordered by number. */
bool books_chunks_read(struct books *b, struct arena *a, uint32_t oid, int64_t load,
                       struct books_chunk **out, int *n, struct error *err);

/* n keys of one table, none of them twice. One that is wanted already gets the new schema id and
 * csn. */
bool books_wanted_put(struct books *b, const struct books_wanted *keys, int n, struct error *err);
bool books_wanted_remove(struct books *b, const struct books_wanted *keys, int n,
                         struct error *err);
/* Of all tables, ordered by oid and key. */
bool books_wanted_read(struct books *b, struct arena *a, struct books_wanted **out, int *n,
                       struct error *err);

/*
 * Does a table of that name exist in the warehouse, and which (connector, source) has made it?
 * What we have made stays ours when the source's table is dropped or renamed.
 */
bool books_target_exists(struct books *b, const char *schema, const char *name, bool *exists,
                         bool *owned_by_other, bool *owned_by_us, struct error *err);

#endif
