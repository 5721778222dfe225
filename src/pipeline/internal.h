/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of src/pipeline only. One *attempt* is one connection to both sides: it ends
 * by a stop, by an error, or because a table has stopped; what it knows lives in its arenas.
 */
#ifndef PENSTOCK_PIPELINE_INTERNAL_H
#define PENSTOCK_PIPELINE_INTERNAL_H

#include "pipeline/pipeline.h"
#include "pipeline/retention.h"
#include "state/books.h"
#include "transport/event.h"
#include "util/map.h"
#include "util/queue.h"
#include "util/retry.h"

#include <pthread.h>
#include <stdatomic.h>

#define PIPELINE_MAX_SESSIONS 64
#define SEGMENT_TARGET_BYTES ((size_t)64 * 1024)
#define ASIDE_SIZE 64
#define FRESH_LOOKS 16

enum outcome {
    OUTCOME_STOPPED, /* asked to */
    OUTCOME_DONE,    /* initial_only, once: nothing more to do */
    OUTCOME_AGAIN,   /* at once, from the checkpoint: a table's state has changed */
    OUTCOME_FAILED   /* error says why */
};

enum side { SIDE_SOURCE, SIDE_SINK };

/* What the books say of a copy: see load_ranges.c. */
struct load_copy {
    struct books_chunk *ranges; /* if it is cut by ranges of keys: all of them, in order */
    int n, done;
    int64_t newest;                        /* point of the range that was copied last; 0: none */
    int64_t rows;                          /* copied */
    bool keyed;                            /* it has its primary key */
    int64_t spool_at, spool_csn, spool_us; /* how far it contains its spool */
    bool lacks;                            /* rows that nobody can name */
};

/*
 * One table in one version: its row in the books and what is made from it. An alteration makes a
 * new flow of the same load, a load a new flow of another. Immutable once the sink knows it, but
 * for rec.state, rec.reason, rec.rows and rec.loaded, which are the sink's.
 */
struct flow {
    struct table_record rec;
    struct table *table;       /* rec.table with fields and topic */
    struct table *event_table; /* as read back from the event's schema: the sink's view */
    struct target *target;
    struct decoder *decoder;               /* NULL: it does not stream */
    const char *value_schema, *key_schema; /* key_schema NULL: no key */
    uint32_t value_id, key_id;
    struct alteration *al; /* made by an alteration */
    struct flow *was;      /* on the sink's side: what it followed */
    /* Of a copy that waits for its spool, or for the ranges that are missing (p->resumes). */
    struct spool *spool; /* NULL: it begins with the stream */
    struct load_copy copy;
    bool cut_off; /* some range is missing */
};

/* A table that asked for a load. Under p->lock. Kept between attempts. */
struct want {
    uint32_t oid;
    char *schema, *name;
    char why[512];
    bool pending;   /* no load has begun for it yet */
    int times;      /* running, for the same reason, without a row in between */
    int64_t due_ms; /* not before */
};

/* An alteration that was met after the table had been touched by a piece of the same transaction:
 * the next attempt makes it when that transaction begins. */
struct ahead {
    struct ahead *next;
    int64_t csn;
    struct alteration al;
};

/* fresh.h; under p->lock. */
struct freshness {
    int64_t us; /* 0: not known */
    char reached[POSITION_SIZE];
    int nlooks;
    struct {
        char end[POSITION_SIZE];
        int64_t us;
    } looks[FRESH_LOOKS];
};

struct loads;
struct wanting; /* refetch.h */
struct verify_sink;

struct pipeline {
    struct pipeline_options o;
    pthread_t thread;
    atomic_bool stop;   /* the attempt ends */
    bool ending;        /* and there is no other; under lock */
    const char *paused; /* its connector that is paused, or NULL; under lock */
    atomic_bool cancelled;
    atomic_bool ended;
    atomic_bool live;
    bool started_once; /* some attempt reached its load or stream */
    bool retried_stopped_tables;
    struct error final_error;

    struct source *src;
    struct warehouse *wh;
    int64_t bad_load; /* whose copy is to blame for the attempt's error; 0: the table's own */
    int lost_rows;    /* checkpoints not found where they should be, running */

    pthread_mutex_t lock; /* of sessions, wants, wanting, and flows' lists while streaming */
    struct pipeline_session {
        struct session *session;
        bool load; /* of the background loads */
    } sessions[PIPELINE_MAX_SESSIONS];
    bool loads_cancelled; /* of this attempt */
    struct map *wants;    /* oid -> struct want */

    struct arena *ahead_arena; /* between attempts */
    struct ahead *aheads;

    struct wanting *wanting; /* while the sink lives; under lock */
    atomic_bool rows_wanted; /* some row is wanted that may be read now */

    struct verify_sink *verify; /* what verification asks of the sink; before the sink's thread
                                   begins, until it has ended */

    /* The attempt. */
    struct arena *arena;       /* the connector's thread */
    struct arena *loads_arena; /* the loads' thread; NULL: it did not get that far */
    struct books books;        /* with the connector thread's session */
    struct source_identity identity;
    struct checkpoint checkpoint;
    struct flow **flows; /* one per table: what the books say; does not change while streaming */
    int nflows;
    struct flow **more; /* made while streaming: by alterations and loads; under lock */
    int nmore;
    struct flow **resumes; /* loads that go on: complete but for their spool, or cut off */
    int nresumes;
    enum side failed_side;
    int64_t start_ms;

    struct freshness fresh;
    struct retention retention; /* the connector's thread */
    int64_t looked_ms;          /* when retained_look last looked; 0: never */
    bool first_load;            /* the tables are copied before anything streams */
    char warehouse_failed[400]; /* why the last attempt ended, if the warehouse ended it; or "" */
};

/* session.c: sessions that pipeline_cancel can reach. */
bool pipeline_connect(struct pipeline *p, const char *role, bool load, struct session **out,
                      struct error *err);
void pipeline_disconnect(struct pipeline *p, struct session *s);
/* What the background loads' sessions are at returns soon. */
void pipeline_cancel_loads(struct pipeline *p);

/* retained.c */
/* What the source keeps for us, on the board and in the metrics; at most every 2 s unless now. */
void retained_look(struct pipeline *p, bool now);

/* flow.c */
/* Schemas, ids, target and decoder of one table, in arena a. ERROR_DATA: it cannot flow. */
bool flow_compile(struct pipeline *p, struct arena *a, struct flow *f, struct error *err);
/* The source's side of the version that follows from f by al, in arena a; al is copied.
 * ERROR_DATA: it cannot flow. */
bool flow_alter(struct pipeline *p, struct arena *a, struct flow *f, const struct alteration *al,
                struct flow **out, struct error *err);
/* The sink's side: record and target of n follow from those of was. */
bool flow_follow(struct arena *a, struct flow *was, struct flow *n, struct error *err);
struct alteration *alteration_copy(struct arena *a, const struct alteration *al);
/* Puts the table's state on the board. rows_total -1: unknown. */
void flow_show(struct pipeline *p, const struct flow *f, int64_t rows_total);
/* Not if it was taken off the board, because it has another name or is gone. */
void flow_show_again(struct pipeline *p, const struct flow *f);
/* The table's flow among p->flows and p->resumes. */
struct flow *flow_find(struct pipeline *p, uint32_t oid);
/* So that it is freed with the attempt. Any thread. */
void flow_keep(struct pipeline *p, struct flow *f);
/* Persists and shows that a table has stopped; between streams only. */
bool flow_stop_table(struct pipeline *p, struct books *b, uint32_t oid, enum table_state state,
                     const char *reason, struct error *err);
enum overflow_mode pipeline_overflow_mode(const struct pipeline *p);
void flows_free(struct pipeline *p);
/* Its rows are taken: it is compiled, and live, a complete copy, or one that goes on. */
bool flow_streams(const struct flow *f);
/* "message; hint" for a table's reason. */
const char *flow_reason(const struct error *err, char *out, size_t size);
/* The table beside the target that load number `load` fills. */
void flow_aside(int64_t load, char out[ASIDE_SIZE]);
/* Where the table of that load has its spool. */
char *flow_spool_path(const struct pipeline *p, uint32_t oid, int64_t load);

/* refuse.c */
bool refuse_same_database(struct pipeline *p, struct error *err);
bool refuse_identity(const struct source_identity *was, const struct source_identity *is,
                     struct error *err);
/* Another timeline than the checkpoint's, unless its log contains all up to the checkpoint. */
bool refuse_timeline(struct pipeline *p, struct error *err);
bool refuse_mark(struct pipeline *p, const struct mark *m, struct error *err);

/* tables.c */
bool flows_from_books(struct pipeline *p, struct error *err);
/* The copy of a load that nobody goes on with: its row in the books, its table, its spool. */
bool flows_drop_load(struct pipeline *p, const struct table_record *rec, struct error *err);
/* Its table alone; in b's session, inside its transaction if there is one. */
bool flows_drop_aside(struct books *b, const struct table_record *rec, struct error *err);
/*
 * In a transaction that begins a new load of rec's table: copies that the books know of and nobody
 * else does any more, since the answer to their beginning was lost. over_live: the table's own row
 * stays.
 */
bool flows_drop_orphans(struct books *b, const struct table_record *rec, bool over_live,
                        struct error *err);
/* Everything that the books know of rec's table goes, and unfinished copies with it; put: instead,
 * this, unless NULL. A transaction of its own. */
bool flows_drop_all(struct books *b, const struct table_record *rec, const struct table_record *put,
                    struct error *err);
/* Forgets tables that are gone at the source, and asks for the loads that are wanted. */
bool flows_compare(struct pipeline *p, struct error *err);
/* Copies what wants a copy as of the point, which it closes, while nothing streams; further rounds
 * under points of their own for tables that were rewritten meanwhile. */
bool flows_load(struct pipeline *p, struct source_point *point, int64_t s, struct error *err);
/* Compiles what streams and was not copied just now. */
bool flows_compile(struct pipeline *p, struct error *err);

/* adopt.c */
/* The same columns under the same names, in all that a message of the log tells. */
bool adopt_matches(const struct table *a, const struct table *b);
/* Then `now` (from the catalogue) takes from the version that rows come in what only that knows;
 * both live as long as the attempt. streamed NULL: there is none. */
void adopt_version(struct table *now, const struct table *streamed);

/* take.c: from what the source has to a flow that is to be loaded. */
/* Leaves out what the warehouse does not take, gives topics that would be shared a suffix; *n: how
 * many are left. ERROR_CONFIG as config_selects. */
bool take_selected(struct pipeline *p, struct arena *a, struct source_table *tables, int *n,
                   struct error *err);
/* All flows that hold a target, for the choice of names. now: as the source has them. */
struct take {
    struct pipeline *p;
    struct arena *arena;
    struct books *books;
    struct flow **flows; /* that keep their target */
    int nflows;
    bool refused; /* outcome: f->rec.state and reason say what it is, not a load */
};
/* f->rec: what is known of it, or zero. */
bool take_table(struct take *t, struct flow *f, struct source_table *st, struct error *err);

/* snapshot.c */
struct load;
struct snapshot_task {
    struct flow *flow; /* compiled; its record is made by snapshot_run */
    const struct source_table *st;
    struct load *load; /* in the background, else NULL */
    bool again;        /* outcome: it must be loaded under another point */
    bool stopped;      /* outcome: rec.state and rec.reason say why */
};
/* Copies the tasks' tables as of the point. books: of the calling thread. */
bool snapshot_run(struct pipeline *p, struct books *books, struct source_point *point, int64_t s,
                  struct snapshot_task *tasks, int n, atomic_bool *stop, struct error *err);

/* prepare.c: from nothing or a checkpoint to flows that can stream. */
bool prepare_attempt(struct pipeline *p, struct error *err);

/* stream.c: until a stop, an error or a table that stops. */
enum outcome stream_run(struct pipeline *p, struct error *err);

/* feed.c: the source's side; encodes changes into segments. */
struct feed;
struct sink;
struct feed *feed_new(struct pipeline *p, struct queue *q, struct sink *sink);
void feed_free(struct feed *f);
struct change_sink feed_change_sink(struct feed *f);
bool feed_flush(struct feed *f, struct error *err);
/* From here on the load's table is spooled (s 0), or its copy is as of s. */
bool feed_load(struct feed *f, struct load *l, int64_t s, struct source_point *point,
               struct error *err);
struct fetched;
/* Hands rows that were read again to the sink. */
bool feed_fetched(struct feed *f, struct fetched *rows, struct error *err);
/* The version that rows of the table come in; NULL: they are not taken. */
const struct table *feed_version(const struct feed *f, uint32_t oid);
/* From here on no row of the table is taken. */
bool feed_stop_table(struct feed *f, uint32_t oid, enum table_state state, const char *why,
                     struct error *err);

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
