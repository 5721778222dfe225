/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that the warehouse lacks because the log did not carry all of them (load/wanted.h), read at
 * the source again. A thread of its own, beside the loads', reads them as of a point S and hands
 * them to the stream; the sink collects them when it has passed S.
 */
#ifndef PENSTOCK_PIPELINE_REFETCH_H
#define PENSTOCK_PIPELINE_REFETCH_H

#include "load/wanted.h"
#include "pipeline/internal.h"

/* What the sink lets be read of one table. In p->wanting, under p->lock. */
struct wanting {
    struct wanting *next;
    struct flow *flow;   /* the version that the sink has; NULL: nothing is to be read now */
    struct wanted *rows; /* the sink's; others call wanted_copy only */
    size_t count;        /* of them, as of the last commit */
};

struct fetched_row {
    const uint8_t *key; /* wire bytes */
    size_t key_len;
    const uint8_t *value; /* of the envelope; NULL: there was no such row */
    size_t value_len;
};

/* Rows of one table, as of one point. Its thread's until it is in the queue, then the sink's until
 * it is done. */
struct fetched {
    struct fetched *next;
    struct flow *flow; /* the version that the rows are of */
    int64_t s;
    int64_t us; /* when they were read */
    struct fetched_row *rows;
    size_t n;
    size_t bytes;
    bool altered;   /* as of S the table was what a load must bring: no rows */
    bool strangers; /* rows came under keys that were not asked for */
    bool failed;    /* no rows: err says why none can be had */
    struct error err;
    /* The sink's. */
    struct fetched *next_given;
    bool given;
    size_t taken; /* rows that were still wanted */
    atomic_bool done;
};

struct loads;
struct refetch;

bool refetch_start(struct refetch **out, struct loads *l, struct error *err);
void refetch_cancel(struct refetch *r); /* after l->stop was set; accepts NULL */
void refetch_join(struct refetch *r);   /* accepts NULL */
void refetch_free(struct refetch *r);   /* after the sink's end; accepts NULL */

#endif
