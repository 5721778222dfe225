/* SPDX-License-Identifier: Apache-2.0 */
/* The sink's state, shared by sink.c (collects) and batch.c (applies) only. */
#ifndef PENSTOCK_PIPELINE_BATCH_H
#define PENSTOCK_PIPELINE_BATCH_H

#include "load/loader.h"
#include "pipeline/internal.h"

struct sink_table {
    struct flow *flow;
    struct loader *loader;
    bool live;
    bool pending;   /* loaded: goes live when the stream passes S */
    bool touched;   /* something is collected */
    bool truncated; /* in this batch */
    int64_t delta;  /* rows inserted minus deleted in this batch */
};

struct sink {
    struct pipeline *p;
    struct queue *queue;
    pthread_t thread;
    atomic_bool ended;
    struct session *session;
    struct books books;
    struct sink_table *tables;
    int ntables;
    struct map *by_schema; /* value schema id -> struct sink_table */
    int64_t batch_bytes;
    int64_t flush_ms;

    struct segment **held; /* what compaction points into */
    int nheld, held_cap;
    size_t held_bytes;

    char start[POSITION_SIZE]; /* where the batch starts = the checkpoint */
    char end[POSITION_SIZE];   /* end of the last complete transaction in the batch */
    int64_t end_csn, end_us;
    bool complete; /* the batch holds a complete transaction */
    bool tx_open;  /* the source's transaction is not complete */
    int64_t tx_csn, tx_us;
    bool open; /* the warehouse's transaction */
    char idle[POSITION_SIZE];
    bool idle_seen, idle_urgent;
    int64_t first_ms, last_apply_ms;
    int64_t batch_rows;
    int64_t touched_ms; /* when the open transaction last ran a statement */

    enum outcome outcome;
    struct error err;
};

/* Keeps a segment until what points into it has been applied. */
void batch_hold(struct sink *s, struct segment *seg);
void batch_release(struct sink *s);
/* Would a commit now put some complete copy in its table's place? */
bool batch_lets_live(const struct sink *s);
/* Applies what is collected; the warehouse's transaction stays open. */
bool batch_apply_piece(struct sink *s, struct error *err);
/* Applies and commits with the checkpoint; acknowledges. */
bool batch_apply(struct sink *s, struct error *err);

#endif
