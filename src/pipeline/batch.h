/* SPDX-License-Identifier: Apache-2.0 */
/* The sink's state, shared by sink.c (collects), sink_*.c (what becomes of a table, loads, rows
 * that are wanted again) and batch.c (applies) only. */
#ifndef PENSTOCK_PIPELINE_BATCH_H
#define PENSTOCK_PIPELINE_BATCH_H

#include "load/loader.h"
#include "pipeline/load.h"
#include "pipeline/refetch.h"

/* A table as the sink knows it; lives as long as the sink. */
struct sink_table {
    uint32_t oid;
    struct flow *flow; /* of the copy that readers see, or will; NULL: there is none */
    struct loader *loader;
    bool live;
    bool pending;   /* loaded, takes its place when the stream passes S; it has no spool */
    bool touched;   /* something is collected */
    bool applied;   /* the open transaction has changed its rows */
    bool truncated; /* in this batch */
    int64_t delta;  /* rows inserted minus deleted in this batch */

    bool frozen; /* no row of it is taken into flow any more */
    bool unsaid; /* the books do not say so yet: */
    enum table_state state;
    char reason[2100];

    /* Versions since the batch began whose statements are to be run first. */
    struct flow **alters;
    int nalters;
    /* Older versions that rows may still come in: the target was altered ahead of them. */
    struct flow **olds;
    int nolds;

    struct load *load; /* its changes go to that spool, too */

    /* Leaves that the log spoke of since the sink began, and with which transaction last. */
    struct sink_leaf {
        uint32_t oid;
        int64_t csn;
    } * leaves;
    int nleaves;
    int leaves_said;      /* how many of them the books have in the row of flow */
    int leaves_said_load; /* ... in that of load, if it is load number: */
    int64_t leaves_load;

    struct wanting wanting; /* rows that the target lacks */
    size_t wanted_shown;
    char wanted_reason[48];
    int64_t wanted_load_ms; /* the table's load was asked for then; 0: never */
};

struct sink {
    struct pipeline *p;
    struct queue *queue;
    pthread_t thread;
    atomic_bool ended;
    struct session *session;
    struct books books;
    struct arena *arena; /* as long as the sink */
    struct sink_table **tables;
    int ntables;
    struct map *by_oid;
    struct map *by_schema; /* value schema id -> struct sink_table */
    int64_t batch_bytes;
    int64_t flush_ms;
    int64_t idle_ms; /* an idle stream stores its position so often */
    int64_t spool_limit;

    struct fetched *fetched; /* rows that were read again, until they are in the warehouse */
    struct segment *kept;    /* taken out of the queue, and not to be read yet: sink_verify.c */
    struct verify_repair *repair; /* rows that the open transaction deletes, to be read again */

    struct segment **held; /* what compaction points into */
    int nheld, held_cap;
    size_t held_bytes;
    struct arena *lifted; /* events that were made here; as held */

    char start[POSITION_SIZE]; /* where the batch starts = the checkpoint */
    char end[POSITION_SIZE];   /* end of the last complete transaction in the batch */
    int64_t end_csn, end_us;
    bool complete; /* the batch holds a complete transaction */
    bool tx_open;  /* the source's transaction is not complete */
    int64_t tx_csn, tx_us;
    bool open; /* the warehouse's transaction */
    char idle[POSITION_SIZE];
    bool idle_seen, idle_urgent;
    bool news;   /* a table's state is to be said in the books */
    bool paused; /* nothing came when something was last waited for */
    int64_t first_ms, last_apply_ms;
    int64_t batch_rows;
    int64_t touched_ms; /* when the open transaction last ran a statement */

    enum outcome outcome;
    struct error err;
};

/* --- sink_table.c --- */
struct sink_table *sink_table(struct sink *s, uint32_t oid); /* made if there is none */
void sink_tables_init(struct sink *s);
void sink_tables_free(struct sink *s);
/* A row of the stream. */
bool sink_take_row(struct sink *s, const struct event *e, struct error *err);
bool sink_take_alter(struct sink *s, const struct event *e, struct error *err);
bool sink_take_stop(struct sink *s, const struct event *e);
bool sink_take_load(struct sink *s, const struct event *e, struct error *err);
/* Collects a row into the table's copy. */
bool sink_collect(struct sink *s, struct sink_table *t, const struct event *e, int64_t csn,
                  int64_t commit_us, struct error *err);

/* --- sink_leaf.c: parts of partitioned tables that the log speaks of --- */
void sink_take_leaf(struct sink *s, const struct event *e);
/* In the batch's transaction: the books list them, for the table and for its load. */
bool sink_leaves_save(struct sink *s, struct sink_table *t, struct error *err);
bool sink_leaves_save_load(struct sink *s, struct sink_table *t, struct error *err);

/* --- sink_load.c: loads that the sink has a part in --- */
bool sink_load_begin(struct sink *s, struct load *l, struct error *err);
bool sink_load_row(struct sink *s, struct sink_table *t, const struct event *e, struct error *err);
/* Before the batch's transaction begins: which loads have rows that it will see. */
void sink_loads_open(struct sink *s);
/* In the batch's transaction, before the checkpoint moves on. */
bool sink_loads_save(struct sink *s, struct error *err);
void sink_loads_saved(struct sink *s); /* it is committed */
bool sink_load_passes(const struct sink *s, struct load *l);
/* The copy takes its table's place, in the open transaction before any row change. */
bool sink_load_golive(struct sink *s, struct sink_table *t, struct error *err);
/* What the spool still holds, collected and applied. */
bool sink_load_finish(struct sink *s, struct sink_table *t, struct error *err);

/* --- sink_wanted.c: rows that the target lacks, and that are read again --- */
void sink_wanted_open(struct sink *s, struct sink_table *t); /* a new table */
void sink_wanted_close(struct sink *s);                      /* all of them */
/* What the books name, before the stream begins. */
bool sink_wanted_restore(struct sink *s, struct error *err);
/* In the batch's transaction, before the checkpoint moves on. */
bool sink_wanted_save(struct sink *s, struct error *err);
void sink_wanted_saved(struct sink *s); /* it is committed */
/* The table has the load's copy now. */
void sink_wanted_golive(struct sink *s, struct sink_table *t, struct load *l);
/* "N rows wanted", as of the last commit; NULL: none. */
const char *sink_wanted_reason(const struct sink_table *t);
void sink_take_fetched(struct sink *s, const struct event *e);
/* Collects what was read as of points that the stream has passed, if nothing else is collected. */
bool sink_wanted_give(struct sink *s, struct error *err);

/* --- sink_verify.c: exact points for verification --- */
/* How long the sink may wait for the next segment, at most. */
int sink_verify_wait_ms(const struct sink *s, int ms);
/* Is this segment, the next one, to be read later? */
bool sink_verify_delays(struct sink *s, const struct segment *seg);
/* Between two segments; and before a transaction begins. */
bool sink_verify_look(struct sink *s, struct error *err);
bool sink_verify_begins(struct sink *s, int64_t csn, struct error *err);
/* In the batch's transaction, after its rows. */
void sink_verify_want(struct sink *s);

/* --- batch.c --- */
/* Keeps a segment until what points into it has been applied. */
void batch_hold(struct sink *s, struct segment *seg);
void batch_release(struct sink *s);
/* The position that the next commit would reach. */
const char *batch_reach(const struct sink *s);
/* Would a commit now put some complete copy in its table's place? */
bool batch_lets_live(const struct sink *s);
/* Applies what is collected; the warehouse's transaction stays open. */
bool batch_apply_piece(struct sink *s, struct error *err);
bool batch_apply_table(struct sink *s, struct sink_table *t, struct error *err);
/* Runs the statements of an alteration and notes it in the books. */
bool batch_alter(struct sink *s, struct sink_table *t, struct flow *f, struct error *err);
/* Applies and commits with the checkpoint; acknowledges. */
bool batch_apply(struct sink *s, struct error *err);

#endif
