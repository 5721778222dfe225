/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One batch: a warehouse transaction that takes the checkpoint row at the position where the batch
 * starts (compare-and-set), puts complete copies in their tables' place, applies every table's
 * piece, sets the position where it ends, and commits. Only then is the position acknowledged.
 */
#include "pipeline/batch.h"

#include "load/alter.h"
#include "metrics/metrics.h"
#include "pipeline/fresh.h"
#include "util/causes.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

#define LOST_ROWS_LIMIT 3
#define LOCK_NOT_AVAILABLE "55P03"

void batch_release(struct sink *s)
{
    int i;

    for (i = 0; i < s->nheld; i++)
        segment_free(s->held[i]);
    s->nheld = 0;
    s->held_bytes = 0;
    arena_reset(s->lifted);
}

void batch_hold(struct sink *s, struct segment *seg)
{
    if (s->nheld == s->held_cap) {
        s->held_cap = s->held_cap ? s->held_cap * 2 : 64;
        s->held = mem_realloc(s->held, (size_t)s->held_cap * sizeof(struct segment *));
    }
    s->held[s->nheld++] = seg;
}

const char *batch_reach(const struct sink *s)
{
    const struct source_ops *ops = s->p->o.source;
    const char *at = s->complete ? s->end : s->start;

    if (!s->tx_open && s->idle_seen && ops->position_compare(s->idle, at) > 0)
        at = s->idle;
    return at;
}

static bool passes(const struct sink *s, const struct sink_table *t)
{
    if (s->p->o.source->position_csn(batch_reach(s)) >= t->flow->rec.s)
        return true;
    return s->tx_open && s->tx_csn >= t->flow->rec.s;
}

bool batch_lets_live(const struct sink *s)
{
    int i;

    for (i = 0; i < s->ntables; i++) {
        const struct sink_table *t = s->tables[i];

        if ((t->pending && !t->live && passes(s, t)) || sink_load_passes(s, t->load))
            return true;
    }
    return false;
}

/* An error of one table's statement: who holds its lock stops only that table. */
static bool blame(struct sink_table *t, struct error *err)
{
    if (err->kind == ERROR_DATA || strcmp(err->sqlstate, LOCK_NOT_AVAILABLE) == 0)
        err->table = t->oid;
    return false;
}

bool batch_alter(struct sink *s, struct sink_table *t, struct flow *f, struct error *err)
{
    struct arena *a = arena_new("alteration");
    const char **statements;
    bool ok = true;
    int n, i;

    sql_alter(a, f->was->target, f->target, f->al, &statements, &n);
    for (i = 0; ok && i < n; i++)
        ok = s->p->o.warehouse->exec(s->session, statements[i], NULL, err);
    if (!ok) {
        if (err->kind == ERROR_FATAL) { /* a target that is not what we made it */
            err->kind = ERROR_DATA;
            err->reload = true;
        }
        error_prefix(err, "altering %s.%s", f->rec.target_schema, f->rec.target_name);
    }
    f->rec.state = t->live ? TABLE_LIVE : f->rec.state;
    f->rec.reason = t->live ? NULL : f->rec.reason;
    f->rec.rows = f->was->rec.rows;
    ok = ok && books_table_put(&s->books, &f->rec, err);
    t->leaves_said = 0; /* that row lists none of them */
    arena_free(a);
    if (!ok)
        return blame(t, err);
    log_info("target altered table=%s.%s statements=%d", f->table->schema, f->table->name, n);
    return true;
}

/* All that changes tables themselves comes before the first change of a row. */
static bool change_tables(struct sink *s, struct error *err)
{
    int i, k;

    for (i = 0; i < s->ntables; i++) {
        struct sink_table *t = s->tables[i];

        if (t->pending && !t->live && passes(s, t)) {
            if (!golive_table(&s->books, t->nalters > 0 ? t->alters[0]->was : t->flow, err))
                return blame(t, err);
            t->live = true; /* pending until the commit */
        } else if (sink_load_passes(s, t->load) && t->load->whole) {
            if (!sink_load_golive(s, t, err))
                return blame(t, err);
        }
        for (k = 0; k < t->nalters; k++) {
            if (!batch_alter(s, t, t->alters[k], err))
                return false;
        }
        t->nalters = 0;
    }
    return true;
}

static bool open_batch(struct sink *s, struct error *err)
{
    bool taken = false;
    int i;

    sink_loads_open(s); /* before: a transaction of DuckDB sees nothing that comes later */
    if (!s->p->o.warehouse->begin(s->session, err))
        return false;
    s->open = true;
    if (!books_checkpoint_take(&s->books, s->start, &taken, err))
        return false;
    if (!taken) {
        /* Once it may have been our own commit whose answer was lost: read it again. */
        error_cause(err, CAUSE_CHECKPOINT_MOVED,
                    "the checkpoint of %s in the warehouse does not stand at %s where we left it",
                    s->p->o.source_name, s->start);
        if (++s->p->lost_rows < LOST_ROWS_LIMIT)
            err->kind = ERROR_RETRY;
        return false;
    }
    FAILPOINT("batch.taken");
    if (!change_tables(s, err))
        return false;
    FAILPOINT("batch.tables-changed");
    for (i = 0; i < s->ntables; i++) {
        struct sink_table *t = s->tables[i];

        if (t->load != NULL && t->load->done && !atomic_load(&t->load->live) && t->pending &&
            !sink_load_finish(s, t, err))
            return false;
    }
    return true;
}

bool batch_apply_table(struct sink *s, struct sink_table *t, struct error *err)
{
    struct loader_stats stats;

    t->touched = false;
    loads_helped(s->p, t->oid);
    if (!loader_apply(t->loader, t->wanting.rows, &stats, err))
        return blame(t, err);
    t->applied = true;
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
        if (s->tables[i]->touched && !batch_apply_table(s, s->tables[i], err))
            return false;
    }
    metric_add(METRIC_SINK_BYTES, s->p->o.sink_name, (int64_t)s->held_bytes);
    batch_release(s);
    s->touched_ms = clock_mono_ms();
    FAILPOINT("batch.piece-applied");
    return true;
}

/* What the books have to say of each table. */
static bool save_tables(struct sink *s, struct error *err)
{
    int i;

    for (i = 0; i < s->ntables; i++) {
        struct sink_table *t = s->tables[i];

        if (t->unsaid &&
            !books_table_state(&s->books, t->oid, t->flow->rec.load, t->state, t->reason, err))
            return false;
        if ((t->delta != 0 || t->truncated) && !t->frozen &&
            !books_table_add_rows(&s->books, t->oid, t->flow->rec.load, t->delta, t->truncated,
                                  err))
            return false;
        if (!sink_leaves_save(s, t, err))
            return false;
    }
    return sink_loads_save(s, err) && sink_wanted_save(s, err);
}

static void show_table(struct sink *s, struct sink_table *t)
{
    t->flow->rec.rows = (t->truncated ? 0 : t->flow->rec.rows) + t->delta;
    t->delta = 0;
    t->truncated = t->applied = false;
    t->nolds = 0;
    if (t->pending && t->live) {
        t->pending = false;
        t->flow->rec.state = TABLE_LIVE;
        t->flow->rec.reason = NULL;
        log_info("table live table=%s.%s load=%lld", t->flow->table->schema, t->flow->table->name,
                 (long long)t->flow->rec.load);
    }
    if (t->unsaid) {
        t->unsaid = t->live = false;
        t->flow->rec.state = t->state;
        t->flow->rec.reason = arena_strdup(s->arena, t->reason);
        flow_show_again(s->p, t->flow);
    }
    if (t->live) {
        t->flow->rec.reason = sink_wanted_reason(t);
        flow_show_again(s->p, t->flow);
    }
}

/* A load whose copy is in its place. */
static void end_load(struct sink_table *t)
{
    struct load *l = t->load;

    if (l == NULL || !l->done)
        return;
    spool_close(l->spool);
    l->spool = NULL;
    spool_remove(l->spool_path);
    t->load = NULL;
    atomic_store(&l->live, true);
}

/* After the commit: what is true now. */
static void show(struct sink *s)
{
    bool all = !loads_wanted(s->p);
    int i;

    for (i = 0; i < s->ntables; i++) {
        struct sink_table *t = s->tables[i];

        end_load(t);
        if (t->flow != NULL)
            show_table(s, t);
        all = all && !t->pending && t->load == NULL;
    }
    s->news = false;
    if (all)
        atomic_store(&s->p->live, true);
}

static void measure(struct sink *s, int64_t began)
{
    struct pipeline *p = s->p;

    metric_add(METRIC_SINK_BATCHES, p->o.sink_name, 1);
    metric_add(METRIC_SINK_ROWS, p->o.sink_name, s->batch_rows);
    metric_add(METRIC_SINK_APPLY_US, p->o.sink_name, (clock_mono_ms() - began) * 1000);
    metric_observe_commit_us(p->o.sink_name, (clock_mono_ms() - began) * 1000);
    metric_set(METRIC_QUEUE_BYTES, p->o.sink_name, (int64_t)queue_bytes(s->queue));
    if (s->complete) {
        metric_set(METRIC_SINK_COMMIT_TIME, p->o.sink_name, s->end_us);
        fresh_commit(p, s->end_us);
    }
    fresh_reached(p, s->start);
    log_debug("batch committed position=%s rows=%lld ms=%lld", s->start, (long long)s->batch_rows,
              (long long)(clock_mono_ms() - began));
}

static bool commit_batch(struct sink *s, struct error *err)
{
    struct pipeline *p = s->p;
    const char *to = batch_reach(s);
    int64_t began = s->last_apply_ms;

    if (!save_tables(s, err))
        return false;
    FAILPOINT("batch.tables-saved");
    if (!books_checkpoint_advance(&s->books, to, s->complete ? s->end_csn : 0,
                                  s->complete ? s->end_us : 0, err))
        return false;
    FAILPOINT("batch.advanced");
    if (!p->o.warehouse->commit(s->session, err))
        return false;
    FAILPOINT("batch.committed");
    s->open = false;
    p->lost_rows = 0;
    if (to != s->start)
        memmove(s->start, to, POSITION_SIZE);
    snprintf(p->checkpoint.position, sizeof(p->checkpoint.position), "%s", s->start);
    sink_loads_saved(s);
    p->o.source->acknowledge(p->src, s->start);
    FAILPOINT("batch.acknowledged");
    measure(s, began);
    s->complete = false;
    s->idle_seen = s->idle_urgent = false;
    s->batch_rows = 0;
    s->first_ms = 0;
    sink_wanted_saved(s);
    show(s);
    return true;
}

bool batch_apply(struct sink *s, struct error *err)
{
    const struct warehouse_ops *ops = s->p->o.warehouse;

    s->last_apply_ms = clock_mono_ms();
    if (!batch_apply_piece(s, err))
        return false;
    sink_verify_want(s);
    return commit_batch(s, err) &&
           (ops->maintain == NULL || ops->maintain(s->session, false, err)) &&
           sink_wanted_give(s, err);
}
