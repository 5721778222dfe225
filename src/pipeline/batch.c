/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One batch: a warehouse transaction that takes the checkpoint row at the position where the batch
 * starts (compare-and-set), puts complete copies in their tables' place, applies every table's
 * piece, sets the position where it ends, and commits. Only then is the position acknowledged.
 */
#include "pipeline/batch.h"

#include "metrics/metrics.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>

#define LOST_ROWS_LIMIT 3

void batch_release(struct sink *s)
{
    int i;

    for (i = 0; i < s->nheld; i++)
        segment_free(s->held[i]);
    s->nheld = 0;
    s->held_bytes = 0;
}

void batch_hold(struct sink *s, struct segment *seg)
{
    if (s->nheld == s->held_cap) {
        s->held_cap = s->held_cap ? s->held_cap * 2 : 64;
        s->held = mem_realloc(s->held, (size_t)s->held_cap * sizeof(struct segment *));
    }
    s->held[s->nheld++] = seg;
}

/* The position that the next commit would reach, and the CSN below which all is contained. */
static const char *reach(const struct sink *s)
{
    const struct source_ops *ops = s->p->o.source;
    const char *at = s->complete ? s->end : s->start;

    if (!s->tx_open && s->idle_seen && ops->position_compare(s->idle, at) > 0)
        at = s->idle;
    return at;
}

static bool passes(const struct sink *s, const struct sink_table *t)
{
    if (s->p->o.source->position_csn(reach(s)) >= t->flow->rec.s)
        return true;
    return s->tx_open && s->tx_csn >= t->flow->rec.s;
}

bool batch_lets_live(const struct sink *s)
{
    int i;

    for (i = 0; i < s->ntables; i++) {
        if (s->tables[i].pending && passes(s, &s->tables[i]))
            return true;
    }
    return false;
}

static bool open_batch(struct sink *s, struct error *err)
{
    bool taken = false;
    int i;

    if (!s->p->o.warehouse->begin(s->session, err))
        return false;
    s->open = true;
    if (!books_checkpoint_take(&s->books, s->start, &taken, err))
        return false;
    if (!taken) {
        /* Once it may have been our own commit whose answer was lost: read it again. */
        error_set(err, ++s->p->lost_rows < LOST_ROWS_LIMIT ? ERROR_RETRY : ERROR_CONFLICT,
                  "the checkpoint of %s in the warehouse does not stand at %s where we left it",
                  s->p->o.source_name, s->start);
        return error_hint(err, "another penstock feeds these tables: stop one of the two");
    }
    for (i = 0; i < s->ntables; i++) {
        struct sink_table *t = &s->tables[i];

        if (!t->pending || !passes(s, t))
            continue;
        if (!golive_table(&s->books, t->flow, err))
            return false;
        t->live = true; /* pending until the commit */
    }
    return true;
}

static bool apply_table(struct sink *s, struct sink_table *t, struct error *err)
{
    struct loader_stats stats;

    struct want *w = map_get_u32(s->p->wants, t->flow->rec.table->oid);

    t->touched = false;
    if (w != NULL)
        w->times = 0; /* its last load helped */
    if (!loader_apply(t->loader, &stats, err))
        return false;
    s->batch_rows += stats.rows;
    if (stats.nulled > 0)
        metric_add(METRIC_SINK_NULLED, s->p->o.sink_name, stats.nulled);
    return true;
}

/* Applies what is collected; the warehouse's transaction stays open. */
bool batch_apply_piece(struct sink *s, struct error *err)
{
    int i;

    if (!s->open && !open_batch(s, err))
        return false;
    for (i = 0; i < s->ntables; i++) {
        if (s->tables[i].touched && !apply_table(s, &s->tables[i], err))
            return false;
    }
    batch_release(s);
    s->touched_ms = clock_mono_ms();
    return true;
}

static bool count_rows(struct sink *s, struct error *err)
{
    int i;

    for (i = 0; i < s->ntables; i++) {
        struct sink_table *t = &s->tables[i];

        if ((t->delta != 0 || t->truncated) &&
            !books_table_add_rows(&s->books, t->flow->rec.table->oid, t->flow->rec.load, t->delta,
                                  t->truncated, err))
            return false;
    }
    return true;
}

/* After the commit: what is true now. */
static void show(struct sink *s)
{
    struct pipeline *p = s->p;
    bool all = true;
    int i;

    for (i = 0; i < s->ntables; i++) {
        struct sink_table *t = &s->tables[i];

        t->flow->rec.rows = (t->truncated ? 0 : t->flow->rec.rows) + t->delta;
        t->delta = 0;
        t->truncated = false;
        if (t->pending && t->live) {
            t->pending = false;
            t->flow->rec.state = TABLE_LIVE;
            t->flow->rec.reason = NULL;
        }
        all = all && !t->pending;
        if (t->live)
            flow_show(p, t->flow, -1);
    }
    if (all)
        atomic_store(&p->live, true);
}

static bool commit_batch(struct sink *s, struct error *err)
{
    struct pipeline *p = s->p;
    const char *to = reach(s);
    int64_t began = s->last_apply_ms;

    if (!count_rows(s, err) ||
        !books_checkpoint_advance(&s->books, to, s->complete ? s->end_csn : 0,
                                  s->complete ? s->end_us : 0, err) ||
        !p->o.warehouse->commit(s->session, err))
        return false;
    s->open = false;
    p->lost_rows = 0;
    if (to != s->start)
        memmove(s->start, to, POSITION_SIZE);
    snprintf(p->checkpoint.position, sizeof(p->checkpoint.position), "%s", s->start);
    p->o.source->acknowledge(p->src, s->start);
    metric_add(METRIC_SINK_BATCHES, p->o.sink_name, 1);
    metric_add(METRIC_SINK_ROWS, p->o.sink_name, s->batch_rows);
    metric_add(METRIC_SINK_APPLY_US, p->o.sink_name, (clock_mono_ms() - began) * 1000);
    metric_set(METRIC_QUEUE_BYTES, p->o.sink_name, (int64_t)queue_bytes(s->queue));
    metric_set(METRIC_SOURCE_LAG_BYTES, p->o.source_name, p->o.source->lag_bytes(p->src, s->start));
    if (s->complete)
        metric_set(METRIC_SINK_COMMIT_TIME, p->o.sink_name, s->end_us);
    log_debug("batch committed position=%s rows=%lld ms=%lld", s->start, (long long)s->batch_rows,
              (long long)(clock_mono_ms() - began));
    s->complete = false;
    s->idle_seen = s->idle_urgent = false;
    s->batch_rows = 0;
    s->first_ms = 0;
    show(s);
    return true;
}

bool batch_apply(struct sink *s, struct error *err)
{
    const struct warehouse_ops *ops = s->p->o.warehouse;

    s->last_apply_ms = clock_mono_ms();
    return batch_apply_piece(s, err) && commit_batch(s, err) &&
           (ops->maintain == NULL || ops->maintain(s->session, false, err));
}
