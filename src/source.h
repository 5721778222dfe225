/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface of a source connector: one const struct of functions at the bottom of its entry
 * file. A source owns its connections and nothing else: what is durable lies in the warehouse.
 *
 * Words: a *position* is where to resume in the log (text, opaque to the engine except through
 * position_compare); a *point* S is an exact CSN as of which tables can be copied; a *mark* is the
 * source's own durable record of where we are (Postgres: the replication slot).
 *
 * Threads: connect, marks, points and tables are called from the connector's thread; readers each
 * from one snapshot thread; stream_* from the connector's thread; `acknowledge` sets what the next
 * stream_poll or stream_tick sends. `cancel` may be called from any thread: it makes calls in
 * progress return soon with ERROR_RETRY.
 */
#ifndef PENSTOCK_SOURCE_H
#define PENSTOCK_SOURCE_H

#include "change/change.h"
#include "config/config.h"
#include "quality/findings.h"
#include "util/causes.h"

struct source;        /* one connector's state; each connector defines its own */
struct source_point;  /* an exact point with its snapshot, kept open */
struct source_reader; /* one connection that reads under a point */

/* Who the source is: compared with the checkpoint before anything is read. */
struct source_identity {
    char system[64];         /* Postgres: system_identifier */
    uint32_t timeline;       /* Postgres: timeline id */
    char timeline_began[32]; /* position at which it forked off; "": the first, or not known */
    char database[64];       /* name */
    uint32_t database_oid;
    char mark[64];    /* Postgres: slot name */
    char version[64]; /* for people: "PostgreSQL 15.20" */
};

enum mark_state { MARK_MISSING, MARK_READY, MARK_LOST };

struct mark {
    enum mark_state state;
    char why[256];                /* LOST: the server's reason */
    char position[POSITION_SIZE]; /* READY: what the source believes we have (confirmed) */
    int64_t retained_bytes;       /* log kept for us; -1 unknown */
    int64_t unconfirmed_bytes;    /* of it, behind position: what we have not acknowledged; -1 */
    int64_t safe_bytes;           /* that may still be written until it is lost; -1: no limit */
    int64_t limit_bytes;          /* what the server keeps at most for it; -1: no limit */
    int64_t log_bytes;            /* all log that was ever written, for its growth; -1 */
    int64_t idle_left_s;          /* until it is lost because nobody reads it; -1: not at all */
    char status[16];              /* the server's word: "reserved", "extended", "unreserved", .. */
    char end[POSITION_SIZE];      /* of the source's log, of which all before is durable, or "" */
    char oldest[256]; /* the oldest transaction at the source that is still open, or "" */
    int active_pid;   /* 0: nobody reads it */
};

/* A piece of a table that one short transaction reads. */
struct chunk {
    int number;        /* 0.. within the table */
    uint32_t rel;      /* Postgres: relation that holds the rows (a leaf of a partitioned table) */
    uint64_t from, to; /* Postgres: heap blocks [from, to); to == UINT64_MAX: open end */
    /* Of a table that is cut by ranges of its first key column: [from_key, to_key), text as in
     * load/ranges.h, NULL: open. Chunks follow each other without a gap; number: their order. */
    const char *from_key, *to_key;
};

/* One table of a snapshot, with its chunks, in the arena given to tables(). */
struct source_table {
    struct table *table;
    int nchunks;
    struct chunk *chunks;
    const char *refused; /* not NULL: cannot be replicated, this is why and what to do */
};

/* One table as `check` shows it. */
struct plan_table {
    struct source_table table; /* without chunks */
    const char *identity;      /* what identifies a row in the log: "DEFAULT", "FULL", ... */
    const char *left_out;      /* columns that are not replicated, each with why; NULL: none */
    bool will_run;             /* nothing stands against it, or what does is done at the start */
};

/* What `check` tells of a source beside its findings; strings in the arena given. */
struct source_plan {
    struct source_identity identity; /* system "": not known */
    struct mark mark;                /* state MISSING where it could not be read */
    int n;
    struct plan_table *tables;
    double load_seconds; /* expected of the first load's reading; -1 unknown */
    const char *load_how;
    int64_t log_bytes; /* expected to be written, and kept for us, meanwhile; -1 unknown */
    const char *log_how;
};

/* What the stream has to know of each table before it starts. */
struct stream_table {
    const struct table *table; /* as loaded or last altered; borrowed until stream_stop */
    int64_t s;                 /* changes of transactions with csn < s are skipped */
    bool skip;                 /* all of its changes are skipped */
};

/* One row of a snapshot chunk: table->ncols values, borrowed for the call. */
typedef bool source_row_fn(void *ctx, const struct table *t, const struct value *values,
                           struct error *err);

struct source_ops {
    const char *name;               /* connector.class */
    const char *const *aliases;     /* other names of it, NULL-terminated, or NULL */
    const char *envelope_connector; /* source.connector in events: "postgresql" */
    const struct setting *settings; /* the connector's own, ended by a NULL name */

    /* No I/O. cfg is borrowed until close. */
    bool (*open)(struct source **out, const struct config *cfg, struct error *err);
    void (*close)(struct source *s); /* accepts NULL */
    void (*cancel)(struct source *s);

    /* Everything that would stop or surprise a run, each finding with its fix, and the plan of it.
     * Changes nothing. False only if the source could not be asked at all. */
    bool (*check)(struct source *s, struct arena *a, struct source_plan *plan, struct findings *out,
                  struct error *err);
    /* Tables as of now, without chunks. */
    bool (*plan)(struct source *s, struct arena *a, struct source_table **tables, int *n,
                 struct error *err);

    bool (*connect)(struct source *s, struct source_identity *id, struct error *err);

    /* Makes what the stream needs before a mark (Postgres: the publication, and each table that
     * the settings select in it); with rights missing the error's hint is the exact SQL. */
    bool (*prepare)(struct source *s, struct error *err);
    /*
     * What prepare makes and is there, "" if nothing; ours: it may be taken away, by unprepare, and
     * then nothing is there any more. Not ours: a person made it, as another role.
     */
    bool (*prepared)(struct source *s, char out[POSITION_SIZE], bool *ours, struct error *err);
    bool (*unprepare)(struct source *s, struct error *err);
    bool (*mark_read)(struct source *s, struct mark *m, struct error *err);
    bool (*mark_drop)(struct source *s, struct error *err);
    /*
     * The server is on another timeline than `was`, or on one of that number that is not known to
     * have begun there: does its history contain all of the log up to position (the fork lies at
     * or behind it)? why: if not, the reason, for a person.
     */
    bool (*timeline_follows)(struct source *s, const struct source_identity *was,
                             const char *position, bool *follows, char *why, size_t size,
                             struct error *err);

    /*
     * A point S with a snapshot that readers can import until point_close. With durable, the mark
     * is made too (it must not exist) and *position says where the stream will start.
     */
    bool (*point_open)(struct source *s, bool durable, struct source_point **out, int64_t *csn,
                       char position[POSITION_SIZE], struct error *err);
    void (*point_close)(struct source_point *p); /* accepts NULL */
    /* The selected tables as of the point, with chunks. */
    bool (*point_tables)(struct source_point *p, struct arena *a, struct source_table **tables,
                         int *n, struct error *err);

    /* For one of them that is to be copied: makes its chunks ranges of keys, in arena a, if it is
     * large enough and its key allows it. May be NULL. */
    bool (*point_cut)(struct source_point *p, struct arena *a, struct source_table *st,
                      struct error *err);

    bool (*reader_open)(struct source_point *p, struct source_reader **out, struct error *err);
    /*
     * Reads one chunk in one short transaction. ERROR_RETRY with err->table set if the table was
     * rewritten, renamed, altered or dropped since the point (it must be loaded under another
     * one); ERROR_DATA if a value cannot be carried.
     */
    bool (*reader_chunk)(struct source_reader *r, const struct table *t, const struct chunk *c,
                         source_row_fn *row, void *ctx, struct error *err);
    /*
     * Reads the rows of n keys (each table->ncols values of which the key columns count) as of the
     * point, in one short transaction; a key that has no row brings none. Errors as reader_chunk.
     */
    bool (*reader_keys)(struct source_reader *r, const struct table *t,
                        const struct value *const *keys, int n, source_row_fn *row, void *ctx,
                        struct error *err);
    void (*reader_close)(struct source_reader *r); /* accepts NULL */

    bool (*stream_start)(struct source *s, const char *position, const struct stream_table *tables,
                         int n, struct error *err);
    /*
     * Between polls: what the stream knows of one table from here on, instead of what it knew (by
     * oid); t->table is borrowed as in stream_start. p: the point that the table is copied at, of
     * this or another struct source of the same settings, or NULL if there is none yet.
     */
    bool (*stream_table)(struct source *s, const struct stream_table *t, struct source_point *p,
                         struct error *err);
    /* Waits at most timeout_ms for input, hands on everything that is there, sends status.
     * *drained: nothing more is waiting at this moment. */
    bool (*stream_poll)(struct source *s, int timeout_ms, const struct change_sink *sink,
                        bool *drained, struct error *err);
    /* Sends status if it is time: call it at least every second while stream_poll is not called
     * (held back). Does not read input. */
    bool (*stream_tick)(struct source *s, struct error *err);
    /* Every row that was handed on or passed over so far is of a transaction with this CSN or a
     * lower one. Between polls. */
    int64_t (*stream_csn)(struct source *s);
    void (*stream_stop)(struct source *s);

    /* Only what stands in the warehouse's checkpoint. Any thread. */
    void (*acknowledge)(struct source *s, const char *position);
    /* -1, 0, 1; positions of one source. A malformed one is lowest. */
    int (*position_compare)(const char *a, const char *b);
    /* The CSN below which every transaction is contained in position: a table with point S is
     * complete at `position` iff S <= this. */
    int64_t (*position_csn)(const char *position);
    /* Bytes of log between position and the source's end of log as last heard; -1 unknown.
     * Any thread. */
    int64_t (*lag_bytes)(struct source *s, const char *position);

    /* The event's source block. */
    const struct source_block *block;

    /* docs/errors.md: the i-th row of what the server's own errors mean; false: there are no more.
     * May be NULL. */
    bool (*error_note)(size_t i, struct error_note *out);
};

#endif
