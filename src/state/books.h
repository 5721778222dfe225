/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The books: all state that matters, in the warehouse's schema `penstock`, written with the same
 * sessions and in the same transactions as the data it speaks of.
 *
 *   meta             version of these tables
 *   checkpoints      where the next batch starts; one row per (connector, source)
 *   intents          a mark (replication slot) that we were about to make
 *   tables, columns  per source table: state, load number, S, identity, columns, schemas
 *   targets          the tables of the warehouse that we have made
 *   snapshot_chunks  what a load has copied; unique by load and chunk
 *
 * Every function runs statements in the session's current transaction, or on their own if there
 * is none.
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
    int64_t load;       /* number of its (last) load; names the table aside */
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

/* Makes or migrates the tables. ERROR_CONFIG if they were written by a newer version. */
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
/* Forgets checkpoint, tables and chunks (not the data): the next run loads everything. */
bool books_forget(struct books *b, struct error *err);

bool books_intent_read(struct books *b, const char *mark, bool *found, struct error *err);
bool books_intent_write(struct books *b, const char *mark, struct error *err);
bool books_intent_clear(struct books *b, struct error *err);

bool books_tables_read(struct books *b, struct arena *a, struct table_record **out, int *n,
                       struct error *err);
/* Replaces the table's row and columns. */
bool books_table_put(struct books *b, const struct table_record *t, struct error *err);
bool books_table_remove(struct books *b, uint32_t oid, struct error *err);
/* reason NULL: none. */
bool books_table_state(struct books *b, uint32_t oid, enum table_state state, const char *reason,
                       struct error *err);
/* The table's target has been made or replaced: it is live, and ours from now on. */
bool books_table_live(struct books *b, uint32_t oid, struct error *err);
bool books_table_loaded(struct books *b, uint32_t oid, int64_t load, int64_t rows,
                        struct error *err);
bool books_table_add_rows(struct books *b, uint32_t oid, int64_t delta, bool truncated,
                          struct error *err);
bool books_next_load(struct books *b, int64_t *load, struct error *err);
/* First statement of a load's transaction: ERROR_CONFLICT if load is not the table's any more. */
bool books_load_lock(struct books *b, uint32_t oid, int64_t load, struct error *err);
bool books_chunk_add(struct books *b, uint32_t oid, int64_t load, int chunk, int64_t rows,
                     struct error *err);
/*
 * Does a table of that name exist in the warehouse, and which (connector, source) has made it?
 * What we have made stays ours when the source's table is dropped or renamed.
 */
bool books_target_exists(struct books *b, const char *schema, const char *name, bool *exists,
                         bool *owned_by_other, bool *owned_by_us, struct error *err);

#endif
