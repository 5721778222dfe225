/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink's part in a load: the table's changes go to its spool (beside its live copy, where that
 * goes on); each checkpoint says how much of the spool it covers, and, once the copy is complete,
 * that it is; and the copy takes the table's place in a batch that also brings the rest of the
 * spool. What cannot be spooled makes the copy worthless: it starts again, and nobody else waits.
 */
#include "load/ranges.h"
#include "pipeline/batch.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>

static bool spool_open_new(struct sink *s, struct load *l, struct error *err)
{
    const struct flow *f = l->flow;
    struct spool_identity id = {
        .connector = s->p->o.sink_name,
        .source = s->p->o.source_name,
        .schema = f->table->schema,
        .table = f->table->name,
        .oid = f->table->oid,
        .load = f->rec.load,
        .value_id = f->value_id,
        .key_id = f->key_id,
        .value_schema = f->value_schema,
        .key_schema = f->key_schema,
    };

    return spool_create(&l->spool, l->spool_path, &id, err);
}

bool sink_load_begin(struct sink *s, struct load *l, struct error *err)
{
    struct sink_table *t = sink_table(s, l->flow->table->oid);

    if (t->load != NULL && t->load != l) {
        spool_close(t->load->spool);
        t->load->spool = NULL;
        spool_remove(t->load->spool_path);
        atomic_store(&t->load->void_, true);
        l->older = t->load;
    }
    t->load = l;
    l->attached = true;
    map_put_u32(s->by_schema, l->flow->value_id, t);
    if (atomic_load(&l->void_))
        return true;
    return l->spool != NULL || spool_open_new(s, l, err); /* resumed ones have theirs */
}

static void lose(struct sink *s, struct load *l, const char *why)
{
    int64_t point = atomic_load(&l->s);

    l->lost_csn = s->tx_csn;
    if (point == 0 || s->tx_csn < point || atomic_load(&l->void_))
        return;
    log_warn("load starts again table=%s.%s why=%s", l->flow->table->schema, l->flow->table->name,
             why);
    atomic_store(&l->void_, true);
}

bool sink_load_row(struct sink *s, struct sink_table *t, const struct event *e, struct error *err)
{
    struct load *l = t->load;
    struct error full;
    uint32_t id = 0;

    if (l->done || atomic_load(&l->void_) || s->tx_csn < atomic_load(&l->s))
        return true;
    wire_schema_id(e->value, e->value_len, &id);
    if (id != l->flow->value_id) {
        lose(s, l, "the table was altered meanwhile");
        return true;
    }
    if (spool_length(l->spool) >= s->spool_limit) {
        lose(s, l, "its spool has reached spool.limit.bytes");
        return true;
    }
    if (spool_append(l->spool, e, s->tx_csn, s->tx_us, &full))
        return true;
    (void)err;
    log_failure(LOG_WARN, "spool", &full);
    lose(s, l, "its spool could not be written");
    return true;
}

/* In the books before the checkpoint covers it: length of the spool; that the copy is complete. */
static bool save(struct sink *s, struct load *l, struct error *err)
{
    const struct table_record *rec = &l->flow->rec;
    int64_t length;

    FAILPOINT("load.before-spool-sync");
    if (!spool_sync(l->spool, &length, err)) {
        log_failure(LOG_WARN, "spool", err);
        atomic_store(&l->void_, true); /* see disown */
        return true;
    }
    l->copied_said = !atomic_load(&l->registered) && atomic_load(&l->copied);
    if ((length == atomic_load(&l->committed) ||
         books_spool(&s->books, rec->table->oid, rec->load, length, -1, err)) &&
        (!l->copied_said ||
         books_table_loaded(&s->books, rec->table->oid, rec->load, l->rows, err)))
        return true;
    if (err->kind != ERROR_CONFLICT)
        return false;
    err->kind = ERROR_RETRY;
    return atomic_load(&l->void_); /* its row has gone meanwhile */
}

static bool is_saved(const struct load *l)
{
    return l != NULL && !l->done && !atomic_load(&l->void_) && l->visible;
}

void sink_loads_open(struct sink *s)
{
    int i;

    for (i = 0; i < s->ntables; i++) {
        struct load *l;

        for (l = s->tables[i]->load; l != NULL; l = l->older) {
            l->visible = atomic_load(&l->begun);
            l->whole = atomic_load(&l->ready);
            l->copied_said = false;
        }
    }
}

/*
 * A copy that the books hold for usable, but whose spool ends here: with the checkpoint that moves
 * past it nobody must go on with it any more, neither with a complete copy nor with the ranges of
 * keys that were copied.
 */
static bool disown(struct sink *s, struct load *l, struct error *err)
{
    const struct table_record *rec = &l->flow->rec;
    bool complete = atomic_load(&l->registered);
    bool ranges = (complete || l->visible) && l->by_ranges;

    if (l->done || l->disowned || !atomic_load(&l->void_) || (!complete && !ranges))
        return true;
    l->disowning = true;
    if (complete && !books_table_state(&s->books, rec->table->oid, rec->load, TABLE_LOADING,
                                       "its load starts again", err))
        return false;
    if (!ranges || books_spool(&s->books, rec->table->oid, rec->load, 0, -1, err))
        return true;
    return err->kind == ERROR_CONFLICT; /* its row has gone meanwhile */
}

/* A row was lost before the point was known, and belongs to the copy: the point is known by now,
 * though the stream's word of it may still be in the queue. */
static void judge_lost(struct load *l)
{
    int64_t point = atomic_load(&l->s);

    if (l->lost_csn != 0 && point != 0 && l->lost_csn >= point)
        atomic_store(&l->void_, true);
}

bool sink_loads_save(struct sink *s, struct error *err)
{
    struct load *l;
    int i;

    for (i = 0; i < s->ntables; i++) {
        if (s->tables[i]->load != NULL)
            judge_lost(s->tables[i]->load);
        if (is_saved(s->tables[i]->load) &&
            (!save(s, s->tables[i]->load, err) || !sink_leaves_save_load(s, s->tables[i], err)))
            return false;
        for (l = s->tables[i]->load; l != NULL; l = l->older) {
            if (!disown(s, l, err))
                return false;
        }
    }
    return true;
}

static void disowned(struct load *l)
{
    for (; l != NULL; l = l->older) {
        l->disowned |= l->disowning;
        l->disowning = false;
    }
}

void sink_loads_saved(struct sink *s)
{
    int i;

    for (i = 0; i < s->ntables; i++) {
        struct load *l = s->tables[i]->load;

        disowned(l);
        if (l != NULL && l->copied_said) /* also if it is worth nothing by now: see disown */
            atomic_store(&l->registered, true);
        if (!is_saved(l))
            continue;
        atomic_store(&l->committed, spool_length(l->spool));
        if (!l->over_live)
            board_set_waiting(s->p->o.board, s->p->o.source_name, l->flow->table->schema,
                              l->flow->table->name, spool_length(l->spool));
    }
}

/*
 * Do its live copy's rows come in the copy's version, so that it can go on with them? Where the
 * columns are others, the log has only not told yet of the alteration: it comes before any row of
 * the new version, and finds it made (sink_take_alter).
 */
static bool is_met(const struct sink *s, struct load *l)
{
    const struct sink_table *t = map_get_u32(s->by_oid, l->flow->table->oid);

    if (!l->over_live || t->flow == NULL || t->frozen || t->flow->value_id == l->flow->value_id ||
        !adopt_matches(t->flow->table, l->flow->table))
        return true;
    log_warn("load starts again table=%s.%s why=its rows come in another shape",
             l->flow->table->schema, l->flow->table->name);
    atomic_store(&l->void_, true);
    return false;
}

bool sink_load_passes(const struct sink *s, struct load *l)
{
    if (l != NULL)
        judge_lost(l);
    if (l == NULL || l->done || atomic_load(&l->void_) || !atomic_load(&l->ready) ||
        clock_mono_ms() < l->retry_ms || !is_met(s, l))
        return false;
    return s->p->o.source->position_csn(batch_reach(s)) >= atomic_load(&l->newest) ||
           (s->tx_open && s->tx_csn >= atomic_load(&l->newest));
}

bool sink_load_golive(struct sink *s, struct sink_table *t, struct error *err)
{
    struct load *l = t->load;
    struct pipeline *p = s->p;

    p->bad_load = l->flow->rec.load;
    if (!books_table_loaded(&s->books, t->oid, l->flow->rec.load, l->rows, err) ||
        !golive_table(&s->books, l->flow, err)) {
        if (err->kind == ERROR_CONFLICT) /* the checkpoint is ours: it was dropped meanwhile */
            err->kind = ERROR_RETRY;
        return false;
    }
    p->bad_load = 0;
    FAILPOINT("load.in-its-place");
    l->flow->rec.rows = l->rows;
    sink_wanted_golive(s, t, l);
    loader_free(t->loader); /* with what was collected for the copy that goes */
    t->flow = l->flow;
    t->loader = loader_new(p->o.warehouse, s->session, t->flow->target, t->flow->decoder, t->oid,
                           pipeline_overflow_mode(p));
    map_put_u32(s->by_schema, t->flow->value_id, t);
    t->live = t->pending = true; /* pending until the commit */
    t->frozen = t->unsaid = t->touched = t->applied = false;
    t->delta = 0;
    t->truncated = false;
    t->nalters = t->nolds = t->leaves_said = 0;
    l->done = true;
    return true;
}

/* A copy of the row that lives until the piece is applied. */
static bool collect_row(struct sink *s, struct sink_table *t, const struct event *e, int64_t csn,
                        int64_t us, struct error *err)
{
    struct event kept = *e;

    kept.key = e->key_len > 0 ? arena_memdup(s->lifted, e->key, e->key_len) : NULL;
    kept.value = arena_memdup(s->lifted, e->value, e->value_len);
    kept.old_key = e->old_key_len > 0 ? arena_memdup(s->lifted, e->old_key, e->old_key_len) : NULL;
    s->held_bytes += e->key_len + e->value_len + e->old_key_len;
    return sink_collect(s, t, &kept, csn, us, err);
}

/* What counts of a row of the spool. */
static bool collect_counted(struct sink *s, struct sink_table *t, struct range_judge *judge,
                            const struct event *e, int64_t csn, int64_t us, struct error *err)
{
    struct event list[2];
    int n, i;

    if (csn < atomic_load(&t->load->s))
        return true;
    if (judge == NULL)
        return collect_row(s, t, e, csn, us, err);
    if (!range_judge_row(judge, e, csn, list, &n, err))
        return false;
    for (i = 0; i < n; i++) {
        if (!collect_row(s, t, &list[i], csn, us, err))
            return false;
    }
    return true;
}

bool sink_load_finish(struct sink *s, struct sink_table *t, struct error *err)
{
    struct load *l = t->load;
    struct range_judge *judge = load_judge(l);
    struct spool_reader *r = NULL;
    struct event e = {.kind = EVENT_ROW};
    int64_t csn, us, at, end;
    bool ok;

    s->p->bad_load = l->flow->rec.load;
    ok = spool_flush(l->spool, &end, err);
    ok = ok && spool_reader_open(&r, l->spool_path, l->applied, end, err);
    if (ok)
        spool_reader_at(r, l->applied_csn, l->applied_us);
    while (ok) {
        ok = spool_next(r, &e, &csn, &us, &at, err);
        if (!ok || e.kind != EVENT_ROW)
            break;
        ok = collect_counted(s, t, judge, &e, csn, us, err);
        if (ok && !(e.flags & EVENT_MOVED) && (int64_t)s->held_bytes >= s->batch_bytes)
            ok = batch_apply_piece(s, err);
    }
    ok = ok && (!t->touched || batch_apply_table(s, t, err));
    spool_reader_close(r);
    range_judge_free(judge);
    if (ok)
        s->p->bad_load = 0;
    if (!ok && err->kind == ERROR_DATA && err->table == 0) {
        err->table = t->oid; /* the spool is broken: it is loaded again */
        err->reload = true;
    }
    return ok;
}
