/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The warehouse's side of the queue, a thread. Collects whole source transactions and applies
 * them to all their tables in one warehouse transaction together with the checkpoint. A
 * transaction over batch.bytes is applied in pieces inside one open warehouse transaction.
 *
 * When to apply: as soon as nothing more waits in the queue, but at most every flush.interval.ms;
 * with more waiting, when batch.bytes are full or the oldest change is a second old. A queue that a
 * fast stream has left empty for a moment does not count: a batch has costs of its own (in DuckDB
 * some 10 ms), and one that is applied at every such moment stays small, however much the server
 * has to send. So a batch of BULK_BYTES waits until the stream pauses, but BULK_MAX_MS at most.
 *
 * It never recovers by itself: after any error it ends, the attempt with it, and the log is read
 * again from the checkpoint.
 */
#include "metrics/metrics.h"
#include "pipeline/batch.h"
#include "pipeline/fresh.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>

#define BATCH_MAX_MS 1000
#define WAIT_MS 500
#define BULK_BYTES ((size_t)256 << 10)
#define BULK_MAX_MS 250
#define PAUSE_MS 5 /* of a stream that has nothing more to say just now */
#define DELAY_LOOK_MS 5
#define KEEP_OPEN_MS 15000 /* a piece's transaction is touched this often: it times out at 60 s */

struct sink *sink_new(struct pipeline *p, struct queue *q)
{
    struct sink *s = mem_calloc(1, sizeof(*s));

    s->p = p;
    s->queue = q;
    s->batch_bytes = config_int(p->o.sink_config, "batch.bytes");
    s->flush_ms = config_int(p->o.sink_config, "flush.interval.ms");
    s->idle_ms = config_int(p->o.source_config, "heartbeat.interval.ms");
    s->spool_limit = config_int(p->o.source_config, "spool.limit.bytes");
    s->arena = arena_new("sink");
    s->lifted = arena_new("lifted events");
    snprintf(s->start, sizeof(s->start), "%s", p->checkpoint.position);
    return s;
}

static size_t in_memory(const struct sink *s, const struct segment *seg)
{
    size_t n = s->held_bytes + seg->at;
    int i;

    for (i = 0; i < s->ntables; i++) {
        if (s->tables[i]->touched)
            n += compact_bytes(loader_compact(s->tables[i]->loader));
    }
    return n;
}

static bool take_commit(struct sink *s, const struct event *e, const struct segment *seg,
                        struct error *err)
{
    s->tx_open = false;
    s->complete = true;
    s->end_csn = e->csn;
    s->end_us = e->commit_us;
    snprintf(s->end, sizeof(s->end), "%s", e->position);
    if (s->open || (int64_t)in_memory(s, seg) >= s->batch_bytes)
        return batch_apply(s, err);
    return true;
}

static bool take_event(struct sink *s, const struct event *e, const struct segment *seg,
                       struct error *err)
{
    switch (e->kind) {
    case EVENT_MARK:
        return true;
    case EVENT_BEGIN:
        if (!sink_verify_begins(s, e->csn, err))
            return false;
        s->tx_open = true;
        s->tx_csn = e->csn;
        s->tx_us = e->commit_us;
        if (s->first_ms == 0)
            s->first_ms = clock_mono_ms();
        return true;
    case EVENT_ROW:
        return sink_take_row(s, e, err);
    case EVENT_COMMIT:
        return take_commit(s, e, seg, err);
    case EVENT_IDLE:
        s->idle_seen = true;
        s->idle_urgent |= e->urgent;
        snprintf(s->idle, sizeof(s->idle), "%s", e->position);
        if (!s->tx_open && !s->complete && !s->open) /* nothing before it waits */
            fresh_reached(s->p, s->idle);
        return true;
    case EVENT_STOP:
        return sink_take_stop(s, e);
    case EVENT_ALTER:
        return sink_take_alter(s, e, err);
    case EVENT_LOAD:
        return sink_take_load(s, e, err);
    case EVENT_LEAF:
        sink_take_leaf(s, e);
        return true;
    case EVENT_FETCHED:
        sink_take_fetched(s, e);
        return true;
    }
    return error_set(err, ERROR_FATAL, "unknown kind %d of event", (int)e->kind);
}

static bool anything_collected(const struct sink *s)
{
    int i;

    for (i = 0; i < s->ntables; i++) {
        if (s->tables[i]->touched)
            return true;
    }
    return false;
}

/*
 * What is collected points into the segment: it is held until the piece has been applied, unless
 * nothing of it is left at its end.
 */
static bool take_segment(struct sink *s, struct segment *seg, struct error *err)
{
    struct event e;
    unsigned rows = 0;
    bool ok = true;

    while (ok && segment_next(seg, &e)) {
        ok = take_event(s, &e, seg, err);
        if (ok && e.kind == EVENT_ROW && (++rows & 15) == 0 && !(e.flags & EVENT_MOVED) &&
            (int64_t)in_memory(s, seg) >= s->batch_bytes)
            ok = batch_apply_piece(s, err);
    }
    if (ok && !anything_collected(s)) {
        segment_free(seg);
        return true;
    }
    batch_hold(s, seg);
    s->held_bytes += seg->bytes.len;
    return ok;
}

/* More is likely to come at once. */
static bool in_bulk(const struct sink *s, int64_t now)
{
    return s->held_bytes >= BULK_BYTES && !s->paused && now - s->first_ms < BULK_MAX_MS;
}

static bool should_apply(const struct sink *s, int64_t now)
{
    if (s->tx_open || s->open)
        return false;
    if (batch_lets_live(s) || s->news)
        return true;
    if (s->complete) {
        if (now - s->last_apply_ms < s->flush_ms)
            return false;
        if (queue_bytes(s->queue) == 0)
            return !in_bulk(s, now);
        return now - s->first_ms >= BATCH_MAX_MS;
    }
    if (s->idle_seen && s->p->o.source->position_compare(s->idle, s->start) > 0)
        return s->idle_urgent || now - s->last_apply_ms >= s->idle_ms;
    return false;
}

static int wait_ms(const struct sink *s)
{
    int64_t now = clock_mono_ms(), left;

    if (s->tx_open || !s->complete)
        return WAIT_MS;
    left = s->flush_ms - (now - s->last_apply_ms);
    if (left <= 0 && in_bulk(s, now))
        return PAUSE_MS;
    return left < 0 ? 0 : left > WAIT_MS ? WAIT_MS : (int)left;
}

/* Nothing came for a while. */
static bool keep(struct sink *s, struct error *err)
{
    const struct warehouse_ops *ops = s->p->o.warehouse;
    int64_t now = clock_mono_ms();

    if (!s->open)
        return ops->maintain == NULL || ops->maintain(s->session, true, err);
    /* The source is silent inside a large transaction: our own must not time out as idle. */
    if (now - s->touched_ms < KEEP_OPEN_MS)
        return true;
    s->touched_ms = now;
    return ops->exec(s->session, "SELECT 1", NULL, err);
}

/* The next segment, if there is one that may be read. */
static enum queue_result next_segment(struct sink *s, struct segment **out)
{
    enum queue_result r = QUEUE_OK;
    void *item = NULL;

    if (s->kept == NULL) {
        r = queue_pop(s->queue, &item, sink_verify_wait_ms(s, wait_ms(s)));
        if (r == QUEUE_OK)
            s->kept = item;
    }
    if (r == QUEUE_OK && sink_verify_delays(s, s->kept)) {
        clock_sleep_ms(DELAY_LOOK_MS);
        return QUEUE_TIMEOUT;
    }
    *out = s->kept;
    s->kept = NULL;
    return r;
}

static bool sink_loop(struct sink *s, struct error *err)
{
    struct segment *seg = NULL;

    s->last_apply_ms = clock_mono_ms() - s->flush_ms;
    for (;;) {
        enum queue_result r;

        if (!sink_wanted_give(s, err) || !sink_verify_look(s, err))
            return false;
        if (should_apply(s, clock_mono_ms()) && !batch_apply(s, err))
            return false;
        r = next_segment(s, &seg);
        if (r == QUEUE_CLOSED)
            break;
        s->paused = r == QUEUE_TIMEOUT;
        if (r == QUEUE_OK && !take_segment(s, seg, err))
            return false;
        if (r == QUEUE_TIMEOUT && s->kept == NULL) {
            metric_set(METRIC_QUEUE_BYTES, s->p->o.sink_name, 0);
            if (!keep(s, err))
                return false;
        }
    }
    /* What is complete is applied; a piece of an unfinished transaction rolls back. */
    if (s->complete && !s->tx_open && !s->open)
        return batch_apply(s, err);
    return true;
}

static void *sink_main(void *arg)
{
    struct sink *s = arg;

    log_set_connector(s->p->o.sink_name);
    s->outcome = OUTCOME_STOPPED;
    if (!sink_loop(s, &s->err) && s->outcome != OUTCOME_AGAIN)
        s->outcome = OUTCOME_FAILED;
    if (s->open)
        s->p->o.warehouse->rollback(s->session);
    queue_close(s->queue);
    atomic_store(&s->ended, true);
    return NULL;
}

bool sink_start(struct sink *s, struct error *err)
{
    if (!pipeline_connect(s->p, "sink", false, &s->session, err))
        return false;
    s->books = s->p->books;
    s->books.session = s->session;
    sink_tables_init(s);
    if (!sink_wanted_restore(s, err))
        return false;
    if (pthread_create(&s->thread, NULL, sink_main, s) != 0) {
        pipeline_disconnect(s->p, s->session);
        s->session = NULL;
        return error_set(err, ERROR_RETRY, "the sink's thread could not be started");
    }
    return true;
}

bool sink_ended(struct sink *s)
{
    return atomic_load(&s->ended);
}

enum outcome sink_join(struct sink *s, struct error *err)
{
    pthread_join(s->thread, NULL);
    *err = s->err;
    return s->outcome;
}

void sink_free(struct sink *s)
{
    if (s == NULL)
        return;
    sink_tables_free(s);
    batch_release(s);
    segment_free(s->kept);
    arena_free(s->lifted);
    arena_free(s->arena);
    mem_free(s->held);
    pipeline_disconnect(s->p, s->session);
    mem_free(s);
}
