/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of src/pipeline only. One *attempt* is one connection to both sides: it ends
 * by a stop, by an error, or because a table wants a load; what it knows lives in its arena.
 */
#ifndef PENSTOCK_PIPELINE_INTERNAL_H
#define PENSTOCK_PIPELINE_INTERNAL_H

#include "pipeline/pipeline.h"
#include "state/books.h"
#include "transport/event.h"
#include "util/map.h"
#include "util/queue.h"
#include "util/retry.h"

#include <pthread.h>
#include <stdatomic.h>

#define PIPELINE_MAX_SESSIONS 32
#define SEGMENT_TARGET_BYTES ((size_t)64 * 1024)

enum outcome {
    OUTCOME_STOPPED, /* asked to */
    OUTCOME_DONE,    /* initial_only, once: nothing more to do */
    OUTCOME_AGAIN,   /* at once, from the checkpoint: a table's state has changed */
    OUTCOME_FAILED   /* error says why */
};

enum side { SIDE_SOURCE, SIDE_SINK };

/* One table of the attempt: its row in the books and what is made from it. */
struct flow {
    struct table_record rec;
    struct table *table;       /* rec.table with fields and topic */
    struct table *event_table; /* as read back from the event's schema: the sink's view */
    struct target *target;
    struct decoder *decoder;
    const char *value_schema, *key_schema; /* key_schema NULL: no key */
    uint32_t value_id, key_id;
};

/* A table that asked for a load. One that then is not among the selected tables is skipped. */
struct want {
    struct table table; /* oid and names only */
    char why[256];
    int times; /* running, for the same reason, though no load has made it another table */
    uint32_t value_id, key_id, relfilenode; /* as it was loaded when it last asked */
    char replica_identity;
};

struct pipeline {
    struct pipeline_options o;
    pthread_t thread;
    atomic_bool stop;
    atomic_bool cancelled;
    atomic_bool ended;
    atomic_bool live;
    bool started_once; /* some attempt reached its load or stream */
    bool retried_stopped_tables;
    struct error final_error;

    struct source *src;
    struct warehouse *wh;
    struct map *wants; /* oid -> struct want */
    int lost_rows;     /* checkpoints not found where they should be, running */

    pthread_mutex_t lock; /* of sessions */
    struct session *sessions[PIPELINE_MAX_SESSIONS];

    /* The attempt. */
    struct arena *arena;
    struct books books; /* with the connector thread's session */
    struct source_identity identity;
    struct checkpoint checkpoint;
    struct flow *flows;
    int nflows;
    enum side failed_side;
    int64_t start_ms;
};

/* session.c: sessions that pipeline_cancel can reach. */
bool pipeline_connect(struct pipeline *p, const char *role, struct session **out,
                      struct error *err);
void pipeline_disconnect(struct pipeline *p, struct session *s);

/* flow.c */
/* Schemas, ids, target and decoder of one table. ERROR_DATA: this table cannot flow. */
bool flow_compile(struct pipeline *p, struct flow *f, struct error *err);
/* Puts the table's state on the board. rows_total -1: unknown. */
void flow_show(struct pipeline *p, const struct flow *f, int64_t rows_total);
struct flow *flow_find(struct pipeline *p, uint32_t oid);
/* Persists and shows that a table has stopped. */
bool flow_stop_table(struct pipeline *p, struct books *b, uint32_t oid, enum table_state state,
                     const char *reason, struct error *err);
enum overflow_mode pipeline_overflow_mode(const struct pipeline *p);
void flows_free(struct pipeline *p);

/* refuse.c */
bool refuse_same_database(struct pipeline *p, struct error *err);
bool refuse_identity(const struct source_identity *was, const struct source_identity *is,
                     struct error *err);
/* Another timeline than the checkpoint's, unless its log contains all up to the checkpoint. */
bool refuse_timeline(struct pipeline *p, struct error *err);
bool refuse_mark(struct pipeline *p, const struct mark *m, struct error *err);

/* tables.c */
bool flows_from_books(struct pipeline *p, struct error *err);
/* Forgets tables that are gone at the source; *copy: some table wants a copy. */
bool flows_compare(struct pipeline *p, bool *copy, struct error *err);
/* Copies what wants a copy as of the point, which it closes; further rounds under points of their
 * own for tables that were rewritten meanwhile. */
bool flows_load(struct pipeline *p, struct source_point *point, int64_t s, struct error *err);
/* Compiles what streams and was not copied just now. */
bool flows_compile(struct pipeline *p, struct error *err);

/* snapshot.c: copies every flow that is loading and not loaded, as of the point. *again: some
 * table must be loaded under another point. */
bool snapshot_run(struct pipeline *p, struct source_point *point, int64_t s,
                  struct source_table *tables, int ntables, bool *again, struct error *err);

/* prepare.c: from nothing or a checkpoint to flows that can stream. */
bool prepare_attempt(struct pipeline *p, struct error *err);

/* stream.c: until a stop, an error or a table that wants a load. */
enum outcome stream_run(struct pipeline *p, struct error *err);

/* feed.c: the source's side; encodes changes into segments. */
struct feed;
struct sink;
struct feed *feed_new(struct pipeline *p, struct queue *q, struct sink *sink);
void feed_free(struct feed *f);
struct change_sink feed_change_sink(struct feed *f);
bool feed_flush(struct feed *f, struct error *err);

/* sink.c: the warehouse's side; its own thread. */
struct sink *sink_new(struct pipeline *p, struct queue *q);
bool sink_start(struct sink *s, struct error *err);
bool sink_ended(struct sink *s);
/* Waits for the thread; its outcome and error. */
enum outcome sink_join(struct sink *s, struct error *err);
void sink_free(struct sink *s);

/* golive.c: the copy takes the table's place, inside the open transaction, before any row change.
 */
bool golive_table(struct books *b, struct flow *f, struct error *err);

#endif
