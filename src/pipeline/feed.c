/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's side of the queue: changes become events (bytes) in segments. A key change becomes
 * a delete of the old and an insert of the new key, tied together (EVENT_MOVED, old_key). A
 * transaction of which nothing is ours leaves only its position behind. What becomes of a table
 * (another shape, no more rows, a load) is said in its place among the rows.
 *
 * A full queue is back-pressure: while it waits, status still goes to the server.
 */
#include "avro/codec.h"
#include "load/target.h"
#include "metrics/metrics.h"
#include "pipeline/load.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUSH_WAIT_MS 50
#define FEED_OPS 4
#define NOW_EVERY 64 /* rows between two looks at the clock */
#define MAX_EARLY 16

struct feed_table {
    struct flow *flow; /* the version that rows come in */
    bool carried;      /* its rows are taken */
    struct load *load; /* its newest */
    struct encoder *encoder;
    struct value *key_only; /* before of the delete half of a key change */
    uint64_t transaction;   /* the one that `order` counts in */
    int64_t order;
    /* Versions that the sink was told of before their place: see struct ahead. */
    struct flow *early[MAX_EARLY];
    int nearly;
};

struct feed {
    struct pipeline *p;
    struct queue *queue;
    struct sink *sink;
    struct segment *segment;
    struct map *by_oid; /* struct feed_table */
    struct buf key, old_key, value;
    struct event_meta meta;
    struct transaction tx;
    bool begun; /* BEGIN of tx is in the segment */
    uint64_t transactions;
    uint64_t last_commit_lsn;
    /* Since the last flush, for metrics. */
    int64_t events, bytes;
    int64_t by_op[FEED_OPS]; /* in the order of METRIC_CHANGES_INSERT and so on */
};

/* Rows come in this version from now on. */
static void set_flow(struct feed *f, struct feed_table *t, struct flow *flow)
{
    encoder_free(t->encoder);
    mem_free(t->key_only);
    t->flow = flow;
    t->encoder = encoder_new(flow->table, f->p->o.source->block, flow->value_id, flow->key_id);
    t->key_only = mem_calloc((size_t)flow->table->ncols + 1, sizeof(*t->key_only));
}

static struct feed_table *feed_table(struct feed *f, uint32_t oid)
{
    struct feed_table *t = map_get_u32(f->by_oid, oid);

    if (t == NULL) {
        t = mem_calloc(1, sizeof(*t));
        map_put_u32(f->by_oid, oid, t);
    }
    return t;
}

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
    for (i = 0; i < p->nflows + p->nresumes; i++) {
        struct flow *flow = i < p->nflows ? p->flows[i] : p->resumes[i - p->nflows];
        struct feed_table *t;

        if (!flow_streams(flow))
            continue;
        t = feed_table(f, flow->table->oid);
        if (t->carried)
            continue; /* a load over its live copy */
        t->carried = true;
        set_flow(f, t, flow);
    }
    f->meta.server_name = config_string(p->o.source_config, "topic.prefix");
    f->meta.database = p->identity.database;
    f->meta.snapshot = "false";
    return f;
}

void feed_free(struct feed *f)
{
    struct feed_table *t;
    size_t at = 0;

    if (f == NULL)
        return;
    while ((t = map_next(f->by_oid, &at)) != NULL) {
        encoder_free(t->encoder);
        mem_free(t->key_only);
        mem_free(t);
    }
    map_free(f->by_oid);
    buf_free(&f->key);
    buf_free(&f->old_key);
    buf_free(&f->value);
    segment_free(f->segment);
    mem_free(f);
}

static void count(struct feed *f)
{
    int i;

    if (f->events == 0)
        return;
    for (i = 0; i < FEED_OPS; i++) {
        if (f->by_op[i] != 0)
            metric_add((enum metric)(METRIC_CHANGES_INSERT + i), f->p->o.source_name, f->by_op[i]);
        f->by_op[i] = 0;
    }
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
    f->segment->pushed_ms = clock_mono_ms();
    for (;;) {
        enum queue_result r = queue_push(f->queue, f->segment, f->segment->bytes.len, PUSH_WAIT_MS);

        if (r == QUEUE_OK)
            break;
        if (r == QUEUE_CLOSED || sink_ended(f->sink) || atomic_load(&f->p->stop))
            return error_set(err, ERROR_RETRY, "the sink has stopped");
        if (!f->p->o.source->stream_tick(f->p->src, err))
            return false;
        retained_look(f->p, false);
    }
    metric_set(METRIC_QUEUE_BYTES, f->p->o.sink_name, (int64_t)queue_bytes(f->queue));
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

static void count_op(struct feed *f, enum change_op op)
{
    f->by_op[op == CHANGE_INSERT ? 0 : op == CHANGE_UPDATE ? 1 : op == CHANGE_DELETE ? 2 : 3]++;
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

/* --- alterations --- */

static bool same_alteration(const struct alteration *a, const struct alteration *b)
{
    int i;

    if (a->now->ncols != b->now->ncols || a->was->ncols != b->was->ncols)
        return false;
    for (i = 0; i < a->now->ncols; i++) {
        const struct column *x = &a->now->cols[i], *y = &b->now->cols[i];

        if (strcmp(x->name, y->name) != 0 || x->attnum != y->attnum || x->type_oid != y->type_oid ||
            x->typmod != y->typmod || a->from[i] != b->from[i])
            return false;
    }
    return true;
}

/* Is that version's schema another one's of the same transaction too? Then bytes do not tell. */
static bool id_seen(const struct feed_table *t, uint32_t id)
{
    int i;

    for (i = 0; i < t->nearly; i++) {
        if (t->early[i]->value_id == id)
            return true;
    }
    return t->flow->value_id == id;
}

/* What is known to come in this transaction is said at its begin. */
static bool alter_ahead(struct feed *f, struct error *err)
{
    const struct ahead *a;

    for (a = f->p->aheads; a != NULL; a = a->next) {
        struct feed_table *t = map_get_u32(f->by_oid, a->al.was->oid);
        struct flow *from, *next;

        if (a->csn != f->tx.csn || t == NULL || !t->carried)
            continue;
        from = t->nearly > 0 ? t->early[t->nearly - 1] : t->flow;
        if (t->nearly == MAX_EARLY || from->table->ncols != a->al.was->ncols)
            continue; /* met again in its place: the table is loaded then */
        if (!flow_alter(f->p, f->p->arena, from, &a->al, &next, err)) {
            if (err->kind == ERROR_DATA)
                continue; /* said in its place */
            return false;
        }
        if (id_seen(t, next->value_id))
            continue;
        t->early[t->nearly++] = next;
        segment_alter(f->segment, next);
    }
    return true;
}

/* The transaction's BEGIN is in the segment. */
static bool begin(struct feed *f, struct error *err)
{
    if (f->begun)
        return true;
    segment_begin(f->segment, f->tx.csn, f->tx.commit_us);
    f->begun = true;
    return f->p->aheads == NULL || alter_ahead(f, err);
}

bool feed_stop_table(struct feed *f, uint32_t oid, enum table_state state, const char *why,
                     struct error *err)
{
    struct feed_table *t = map_get_u32(f->by_oid, oid);
    const struct table *tab;

    if (t == NULL || t->flow == NULL)
        return true;
    tab = t->flow->table;
    t->carried = false;
    if (t->load != NULL && atomic_load(&t->load->s) != 0)
        atomic_store(&t->load->void_, true);
    segment_stop(f->segment, oid, (int)state, tab->schema, tab->name, why);
    return feed_flush(f, err);
}

/* The sink knows of it already: rows come in it from here on. */
static bool take_early(struct feed *f, struct feed_table *t, const struct alteration *al)
{
    struct flow *next = t->early[0];

    if (!same_alteration(next->al, al))
        return false;
    memmove(t->early, t->early + 1, (size_t)(--t->nearly) * sizeof(struct flow *));
    set_flow(f, t, next);
    return true;
}

static bool on_alter(void *ctx, const struct alteration *al, bool *carried, struct error *err)
{
    struct feed *f = ctx;
    struct feed_table *t = map_get_u32(f->by_oid, al->was->oid);
    char reason[2100];
    struct flow *next;

    *carried = t != NULL && t->carried;
    if (!*carried)
        return true;
    if (!begin(f, err))
        return false;
    if (t->nearly > 0) {
        if (take_early(f, t, al))
            return true;
        *carried = false;
        loads_want(f->p, al->was->oid, al->was->schema, al->was->name,
                   "it was altered otherwise than before", 0);
        return feed_stop_table(f, al->was->oid, TABLE_LOADING,
                               "it was altered otherwise than before", err);
    }
    if (flow_alter(f->p, f->p->arena, t->flow, al, &next, err)) {
        log_info("table altered table=%s.%s columns=%d", al->now->schema, al->now->name,
                 al->now->ncols);
        set_flow(f, t, next);
        segment_alter(f->segment, next);
        return flush_if_full(f, err);
    }
    if (err->kind != ERROR_DATA)
        return false;
    *carried = false;
    return feed_stop_table(f, al->was->oid, TABLE_NEEDS_SNAPSHOT,
                           flow_reason(err, reason, sizeof(reason)), err);
}

static bool on_change(void *ctx, const struct change *c, struct error *err)
{
    struct feed *f = ctx;
    struct feed_table *t = map_get_u32(f->by_oid, c->table->oid);
    const struct value *key_row;

    if (t == NULL || !t->carried)
        return true; /* stopped or refused */
    if (!begin(f, err))
        return false;
    count_op(f, c->op);
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

static bool on_leaf(void *ctx, const struct table *table, uint32_t leaf, struct error *err)
{
    struct feed *f = ctx;
    struct feed_table *t = map_get_u32(f->by_oid, table->oid);

    if (t == NULL || !t->carried)
        return true;
    if (!begin(f, err))
        return false;
    segment_leaf(f->segment, table->oid, leaf);
    return true;
}

static bool on_wants_load(void *ctx, uint32_t oid, const char *schema, const char *name,
                          const char *why, struct error *err)
{
    struct feed *f = ctx;

    loads_want(f->p, oid, schema, name, why, 0);
    return feed_stop_table(f, oid, TABLE_LOADING, why, err);
}

/* --- loads --- */

const struct table *feed_version(const struct feed *f, uint32_t oid)
{
    const struct feed_table *t = map_get_u32(f->by_oid, oid);

    return t != NULL && t->carried ? t->flow->table : NULL;
}

/* Is there a copy that goes on meanwhile? Rows may also be taken for an earlier load only. */
static bool is_over_live(const struct feed_table *t)
{
    return t->carried && t->flow != NULL &&
           (t->load == NULL || t->load->over_live || atomic_load(&t->load->live));
}

/*
 * Rows come in the load's version from here on, if that has the same columns: it allows whatever
 * the stream's does (adopt.c). Not in a transaction, whose rows may be applied in part already.
 */
static bool meet(struct feed *f, struct feed_table *t, const struct load *l, struct error *err)
{
    const struct table *now = l->flow->table;
    struct alteration al = {.was = t->flow->table, .now = now};
    struct flow *next;
    int *from;
    int i;

    if (t->flow->value_id == l->flow->value_id || f->begun || t->nearly > 0 ||
        !adopt_matches(t->flow->table, now))
        return true;
    from = arena_calloc(f->p->arena, (size_t)now->ncols + 1, sizeof(*from));
    for (i = 0; i < now->ncols; i++)
        from[i] = i;
    al.from = from;
    al.fill = arena_calloc(f->p->arena, (size_t)now->ncols + 1, sizeof(*al.fill));
    if (!flow_alter(f->p, f->p->arena, t->flow, &al, &next, err))
        return err->kind == ERROR_DATA; /* the load will say so */
    if (next->value_id != l->flow->value_id)
        return true;
    set_flow(f, t, next);
    segment_alter(f->segment, next);
    return true;
}

bool feed_load(struct feed *f, struct load *l, int64_t s, struct source_point *point,
               struct error *err)
{
    struct feed_table *t = feed_table(f, l->flow->table->oid);
    struct stream_table st = {.table = l->flow->table, .s = s};

    if (s == 0) {
        l->over_live = is_over_live(t);
        t->load = l;
        if (l->over_live && !meet(f, t, l, err))
            return false;
    } else if (!t->carried && (l->over_live || f->p->o.source->stream_csn(f->p->src) >= s)) {
        /* Rows were passed over since, and may belong to it. */
        atomic_store(&l->void_, true);
        return true;
    }
    atomic_store(&l->s, s);
    if (!l->over_live) {
        set_flow(f, t, l->flow);
        t->carried = true;
        t->nearly = 0;
        if (!f->p->o.source->stream_table(f->p->src, &st, point, err))
            return false;
    }
    segment_load(f->segment, l, s);
    return feed_flush(f, err);
}

bool feed_resume(struct feed *f, struct load *l, struct error *err)
{
    feed_table(f, l->flow->table->oid)->load = l;
    segment_load(f->segment, l, 0);
    segment_load(f->segment, l, atomic_load(&l->s));
    return feed_flush(f, err);
}

bool feed_fetched(struct feed *f, struct fetched *rows, struct error *err)
{
    segment_fetched(f->segment, rows);
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
        .alter = on_alter,
        .leaf = on_leaf,
        .wants_load = on_wants_load,
    };

    return s;
}
