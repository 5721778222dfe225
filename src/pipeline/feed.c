/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's side of the queue: changes become events (bytes) in segments. A key change becomes
 * a delete of the old and an insert of the new key, tied together (EVENT_MOVED, old_key). A
 * transaction of which nothing is ours leaves only its position behind.
 *
 * A full queue is back-pressure: while it waits, status still goes to the server.
 */
#include "avro/codec.h"
#include "metrics/metrics.h"
#include "pipeline/internal.h"
#include "util/clock.h"
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define PUSH_WAIT_MS 50
#define NOW_EVERY 64 /* rows between two looks at the clock */

struct feed_table {
    struct flow *flow;
    struct encoder *encoder;
    struct value *key_only; /* before of the delete half of a key change */
    uint64_t transaction;   /* the one that `order` counts in */
    int64_t order;
};

struct feed {
    struct pipeline *p;
    struct queue *queue;
    struct sink *sink;
    struct segment *segment;
    struct feed_table *tables;
    int ntables;
    struct map *by_oid;
    struct buf key, old_key, value;
    struct event_meta meta;
    struct transaction tx;
    bool begun; /* BEGIN of tx is in the segment */
    uint64_t transactions;
    uint64_t last_commit_lsn;
    int64_t events, bytes; /* since the last flush: for metrics */
};

struct feed *feed_new(struct pipeline *p, struct queue *q, struct sink *sink)
{
    struct feed *f = mem_calloc(1, sizeof(*f));
    int i;

    f->p = p;
    f->queue = q;
    f->sink = sink;
    f->segment = segment_new();
    segment_mark(f->segment);
    f->by_oid = map_new();
    f->tables = mem_calloc((size_t)p->nflows + 1, sizeof(*f->tables));
    for (i = 0; i < p->nflows; i++) {
        struct flow *flow = &p->flows[i];
        struct feed_table *t = &f->tables[f->ntables];

        if (flow->decoder == NULL)
            continue; /* it does not flow */
        t->flow = flow;
        t->encoder = encoder_new(flow->table, p->o.source->block, flow->value_id, flow->key_id);
        t->key_only = mem_calloc((size_t)flow->table->ncols, sizeof(*t->key_only));
        map_put_u32(f->by_oid, flow->table->oid, t);
        f->ntables++;
    }
    f->meta.server_name = config_string(p->o.source_config, "topic.prefix");
    f->meta.database = p->identity.database;
    f->meta.snapshot = "false";
    return f;
}

void feed_free(struct feed *f)
{
    int i;

    if (f == NULL)
        return;
    for (i = 0; i < f->ntables; i++) {
        encoder_free(f->tables[i].encoder);
        mem_free(f->tables[i].key_only);
    }
    mem_free(f->tables);
    map_free(f->by_oid);
    buf_free(&f->key);
    buf_free(&f->old_key);
    buf_free(&f->value);
    segment_free(f->segment);
    mem_free(f);
}

static void count(struct feed *f)
{
    if (f->events == 0)
        return;
    metric_add(METRIC_SOURCE_EVENTS, f->p->o.source_name, f->events);
    metric_add(METRIC_SOURCE_BYTES, f->p->o.source_name, f->bytes);
    f->events = f->bytes = 0;
}

/* Hands the segment over. */
bool feed_flush(struct feed *f, struct error *err)
{
    if (f->segment->bytes.len == 0)
        return true;
    count(f);
    for (;;) {
        enum queue_result r = queue_push(f->queue, f->segment, f->segment->bytes.len, PUSH_WAIT_MS);

        if (r == QUEUE_OK)
            break;
        if (r == QUEUE_CLOSED || sink_ended(f->sink) || atomic_load(&f->p->stop))
            return error_set(err, ERROR_RETRY, "the sink has stopped");
        if (!f->p->o.source->stream_tick(f->p->src, err))
            return false;
    }
    f->segment = segment_new();
    return true;
}

static bool flush_if_full(struct feed *f, struct error *err)
{
    return f->segment->bytes.len < SEGMENT_TARGET_BYTES || feed_flush(f, err);
}

static bool on_begin(void *ctx, const struct transaction *tx, struct error *err)
{
    struct feed *f = ctx;

    (void)err;
    f->tx = *tx;
    f->begun = false;
    f->transactions++;
    f->meta.csn = tx->csn;
    f->meta.tx_id = f->tx.id;
    f->meta.total_order = 0;
    f->meta.source_us = tx->commit_us;
    f->meta.xid = tx->xid;
    f->meta.last_commit_lsn = f->last_commit_lsn;
    return true;
}

static void count_row(struct feed *f, struct feed_table *t)
{
    if (t->transaction != f->transactions) {
        t->transaction = f->transactions;
        t->order = 0;
    }
    f->meta.total_order++;
    f->meta.data_collection_order = ++t->order;
    if (f->meta.total_order % NOW_EVERY == 1)
        f->meta.now_us = clock_wall_us();
}

static bool put_row(struct feed *f, struct feed_table *t, const struct change *c,
                    const struct value *key_row, uint8_t flags, const struct buf *old_key,
                    struct error *err)
{
    bool unavailable = false;
    bool keyed = key_row != NULL && t->flow->table->nkeys > 0;

    count_row(f, t);
    f->meta.lsn = c->lsn;
    buf_reset(&f->key);
    buf_reset(&f->value);
    if ((keyed && !encoder_key(t->encoder, key_row, &f->key, err)) ||
        !encoder_value(t->encoder, c, &f->meta, &f->value, &unavailable, err)) {
        if (err->kind == ERROR_DATA)
            err->table = t->flow->table->oid;
        return false;
    }
    if (unavailable)
        flags |= EVENT_UNAVAILABLE;
    segment_row(f->segment, (char)c->op, flags, keyed ? &f->key : NULL, &f->value, old_key);
    f->events++;
    f->bytes += (int64_t)(f->key.len + f->value.len);
    return true;
}

/* The row lives on under another key. */
static bool put_moved(struct feed *f, struct feed_table *t, const struct change *c,
                      struct error *err)
{
    const struct table *tab = t->flow->table;
    struct change half = *c;
    int i;

    for (i = 0; i < tab->ncols; i++) {
        t->key_only[i].state = VALUE_ABSENT;
        if (tab->cols[i].key_pos > 0)
            t->key_only[i] = c->before[i];
    }
    half.op = CHANGE_DELETE;
    half.before = c->before_full ? c->before : t->key_only;
    half.after = NULL;
    if (!put_row(f, t, &half, c->before, EVENT_MOVED, NULL, err))
        return false;
    buf_reset(&f->old_key);
    buf_append(&f->old_key, f->key.data, f->key.len);
    half = *c;
    half.op = CHANGE_INSERT;
    half.before = NULL;
    return put_row(f, t, &half, c->after, 0, &f->old_key, err);
}

static bool on_change(void *ctx, const struct change *c, struct error *err)
{
    struct feed *f = ctx;
    struct feed_table *t = map_get_u32(f->by_oid, c->table->oid);
    const struct value *key_row;

    if (t == NULL)
        return true; /* stopped or refused */
    if (!f->begun) {
        segment_begin(f->segment, f->tx.csn, f->tx.commit_us);
        f->begun = true;
    }
    if (c->op == CHANGE_UPDATE && t->flow->table->nkeys > 0 && change_moves_key(c))
        return put_moved(f, t, c, err) && flush_if_full(f, err);
    key_row = c->op == CHANGE_TRUNCATE ? NULL : c->op == CHANGE_DELETE ? c->before : c->after;
    return put_row(f, t, c, key_row, 0, NULL, err) && flush_if_full(f, err);
}

static bool on_commit(void *ctx, const struct transaction *tx, const char *position,
                      struct error *err)
{
    struct feed *f = ctx;

    f->last_commit_lsn = (uint64_t)tx->csn;
    if (!f->begun) {
        segment_idle(f->segment, position, false);
        return flush_if_full(f, err);
    }
    segment_commit(f->segment, tx->csn, tx->commit_us, position);
    metric_add(METRIC_SOURCE_TRANSACTIONS, f->p->o.source_name, 1);
    f->begun = false;
    return flush_if_full(f, err);
}

static bool on_idle(void *ctx, const char *position, bool urgent, struct error *err)
{
    struct feed *f = ctx;

    segment_idle(f->segment, position, urgent);
    return urgent ? feed_flush(f, err) : flush_if_full(f, err);
}

static bool on_wants_load(void *ctx, uint32_t oid, const char *schema, const char *name,
                          const char *why, struct error *err)
{
    struct feed *f = ctx;

    segment_want(f->segment, oid, schema, name, why);
    return feed_flush(f, err);
}

struct change_sink feed_change_sink(struct feed *f)
{
    struct change_sink s = {
        .ctx = f,
        .begin = on_begin,
        .change = on_change,
        .commit = on_commit,
        .idle = on_idle,
        .wants_load = on_wants_load,
    };

    return s;
}
