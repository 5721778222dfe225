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

#define LOAD_CHUNK_SPOOL (-1) /* row of snapshot_chunks: how much of the spool a copy holds; */
#define LOAD_CHUNK_WANTED                                                   \
    "wanted" /* ... its `to`, if rows are wanted that the books do not name \
              */

struct load {
    struct flow *flow; /* of the copy; rec.load and rec.s from begin on */
    char *spool_path;
    bool over_live;  /* the table streams on in its live copy meanwhile; set by the feed */
    bool has_target; /* a table may be there whose place it takes, in which somebody may hold a lock
                      */
    bool asked_again; /* void, and said so */
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
    bool disowned;      /* the books do not say any more that it is copied */
    bool disowning;     /* the open transaction says so */
    struct load *older; /* of the table, that the books may still hold for copied */

    _Atomic int64_t s;         /* the point; 0: not known yet */
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

/* Starts the thread, after the complete copies of an attempt before have joined the stream. On
 * false *out is to be stopped and freed, too. */
bool loads_start(struct loads **out, struct pipeline *p, struct feed *feed, struct error *err);
/* From the connector's thread between polls: does what the loads' thread asks of the stream. False
 * if the loads have failed for good. */
bool loads_serve(struct loads *l, struct feed *feed, struct error *err);
/* Ends it: what is not complete is dropped. */
void loads_stop(struct loads *l); /* accepts NULL */
void loads_free(struct loads *l); /* after loads_stop and the sink's end; accepts NULL */

/* feed.c: a complete copy of an attempt before; its changes go to its spool from the start. */
bool feed_resume(struct feed *f, struct load *l, struct error *err);

/* Takes the spool into the copy up to what the checkpoint covers, then sets ready. From a worker
 * with its own session. */
/* The copy cannot be had: its row in the books says why; a live copy goes on. */
bool load_give_up(struct pipeline *p, struct books *b, struct load *l, const struct error *why,
                  struct error *err);
bool load_catch_up(struct pipeline *p, struct books *b, struct load *l, atomic_bool *stop,
                   struct error *err);

#endif
