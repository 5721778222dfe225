/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads while the stream goes on. A thread of their own takes what wants a load, in groups: the
 * stream begins to spool the tables' changes, a point S is made, the copies go to tables aside,
 * each copy takes in its spool, and the sink puts it in its table's place.
 *
 * A struct load belongs to the attempt. Who writes what: the loads' thread and its workers until
 * `ready` is set, the sink what is marked so; the rest is atomic.
 */
#ifndef PENSTOCK_PIPELINE_LOAD_H
#define PENSTOCK_PIPELINE_LOAD_H

#include "load/spool.h"
#include "load/wanted.h"
#include "pipeline/internal.h"

/* Rows of snapshot_chunks: how much of the spool a copy holds; that it has its primary key. */
#define LOAD_CHUNK_SPOOL (-1)
#define LOAD_CHUNK_KEY (-2)
/* The first one's `to`, if rows are wanted that the books do not name. */
#define LOAD_CHUNK_WANTED "wanted"

struct load {
    struct flow *flow; /* of the copy; rec.load and rec.s from begin on */
    char *spool_path;
    bool over_live;  /* the table streams on in its live copy meanwhile; set by the feed */
    bool has_target; /* a table may be there whose place it takes, in which somebody may hold a lock
                      */
    bool asked_again;      /* void, and said so */
    bool by_ranges;        /* of keys: it goes on where it was cut off */
    bool goes_on;          /* only what is missing is to be copied */
    bool keyed;            /* the copy has its primary key */
    struct ranges *ranges; /* NULL: all was copied as of s */
    int64_t replaces; /* number of the table's unfinished load before, whose copy goes; 0: none */
    struct wanted *wanted; /* rows that the copy lacks; the sink's from `ready` on */
    struct load *next;

    /* The sink's. */
    struct spool *spool;
    int64_t spool_csn;  /* of the last transaction in it */
    int64_t lost_csn;   /* newest row that could not be spooled; 0: none */
    int64_t retry_ms;   /* not put in place before */
    bool attached;      /* the sink knows it */
    bool done;          /* live, or given up */
    bool visible;       /* the open transaction sees its row in the books */
    bool whole;         /* the open transaction sees all of its copy */
    bool copied_said;   /* the open transaction says that it is copied */
    bool disowned;      /* the books do not say any more that it can be used */
    bool disowning;     /* the open transaction says so */
    struct load *older; /* of the table, that the books may still hold for usable */

    _Atomic int64_t s;         /* the point, the first of them; 0: not known yet */
    _Atomic int64_t newest;    /* the last of its points: not live before; from copied on */
    _Atomic int64_t committed; /* length of the spool as of the last checkpoint */
    atomic_bool void_;         /* the copy is worth nothing: it starts again */
    atomic_bool begun;         /* it has a row in the books */
    atomic_bool copied;        /* every row as of S is in the copy, which has its key */
    atomic_bool registered;    /* the books say that it is copied */
    atomic_bool ready;         /* the copy holds its spool up to applied */
    atomic_bool live;
    int64_t rows;                    /* copied */
    int64_t applied;                 /* bytes of the spool that the copy holds */
    int64_t applied_csn, applied_us; /* the transaction at that place */
};

struct loads;

/* Asks for a load of a table, by its oid. Any thread, at any time. delay_ms: not before. */
void loads_want(struct pipeline *p, uint32_t oid, const char *schema, const char *name,
                const char *why, int delay_ms);
/* True if some table waits for its load to begin. */
bool loads_wanted(struct pipeline *p);
/* The last load of that table helped: it may ask again. */
void loads_helped(struct pipeline *p, uint32_t oid);
void loads_forget_wants(struct pipeline *p); /* frees all */

/* Starts the thread, after the copies of an attempt before that go on have joined the stream. On
 * false *out is to be stopped and freed, too. */
bool loads_start(struct loads **out, struct pipeline *p, struct feed *feed, struct error *err);
/* From the connector's thread between polls: does what the loads' thread asks of the stream. False
 * if the loads have failed for good. */
bool loads_serve(struct loads *l, struct feed *feed, struct error *err);
/* Ends it. */
void loads_stop(struct loads *l); /* accepts NULL */
void loads_free(struct loads *l); /* after loads_stop and the sink's end; accepts NULL */

/* load_ranges.c */
bool load_copy_read(struct books *b, struct arena *a, const struct table_record *rec,
                    struct load_copy *out, struct error *err);
/* The ranges with their points. ERROR_DATA if they cannot be used. */
bool load_ranges_new(struct ranges **out, const struct flow *f, const struct load_copy *c,
                     struct error *err);
/* The ranges that are missing, as chunks of st, in arena a. */
struct chunk *load_ranges_missing(struct arena *a, const struct load_copy *c,
                                  const struct source_table *st, int *n);
/* Cuts a large table that is to be copied from nothing by ranges of its key. */
bool load_cut(struct pipeline *p, struct source_point *point, struct arena *a,
              struct source_table *st, struct error *err);
/* Are the chunks ranges of keys? */
bool load_is_by_ranges(const struct source_table *st);
/* All of them into the books, none of them copied yet. */
bool load_ranges_plan(struct books *b, const struct table_record *rec,
                      const struct source_table *st, struct error *err);
/* Of what its spool holds, what counts; NULL: all since s. */
struct range_judge *load_judge(const struct load *l);
/* May its missing ranges be copied under another point? */
bool load_may_go_on(struct load *l);

/* feed.c: a copy of an attempt before; its changes go to its spool from the start. */
bool feed_resume(struct feed *f, struct load *l, struct error *err);

/* Takes the spool into the copy up to what the checkpoint covers, then sets ready. From a worker
 * with its own session. */
/* The copy cannot be had: its row in the books says why; a live copy goes on. */
bool load_give_up(struct pipeline *p, struct books *b, struct load *l, const struct error *why,
                  struct error *err);
bool load_catch_up(struct pipeline *p, struct books *b, struct load *l, atomic_bool *stop,
                   struct error *err);

#endif
