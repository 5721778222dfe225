/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A complete copy takes in its spool, as far as the warehouse's checkpoint covers it, in
 * transactions of its own: what is past the checkpoint comes again after a crash, and must not be
 * in the copy before. The little that is left then comes with the batch that puts the copy in its
 * place.
 */
#include "load/loader.h"
#include "load/ranges.h"
#include "metrics/metrics.h"
#include "pipeline/load.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCKED_MS 1000
#define LITTLE_BYTES ((int64_t)256 * 1024) /* left for the batch */

struct catching {
    struct pipeline *p;
    struct books *books;
    struct load *load;
    struct loader *loader;
    struct range_judge *judge; /* NULL: all since s counts */
    struct arena *unit;        /* events of one transaction of ours */
    size_t bytes;
    int64_t at, csn, us;
};

static bool note_applied(struct catching *c, struct error *err)
{
    const struct table_record *rec = &c->load->flow->rec;
    char us[32];
    struct books_chunk chunk = {
        .number = LOAD_CHUNK_SPOOL, .rows = c->at, .s = c->csn, .from = us, .done = true};

    snprintf(us, sizeof(us), "%lld", (long long)c->us);
    if (wanted_changed(c->load->wanted))
        chunk.to = LOAD_CHUNK_WANTED;
    return books_chunk_put(c->books, rec->table->oid, rec->load, &chunk, err);
}

static bool apply_unit(struct catching *c, struct error *err)
{
    const struct warehouse_ops *ops = c->p->o.warehouse;
    const struct table_record *rec = &c->load->flow->rec;
    struct loader_stats stats;
    bool ok = ops->begin(c->books->session, err) &&
              books_load_lock(c->books, rec->table->oid, rec->load, err) &&
              loader_apply(c->loader, c->load->wanted, &stats, err) && note_applied(c, err) &&
              ops->commit(c->books->session, err);

    if (!ok) {
        ops->rollback(c->books->session);
        return false;
    }
    FAILPOINT("load.spool-applied");
    metric_add(METRIC_SINK_ROWS, c->p->o.sink_name, stats.rows);
    c->load->applied = c->at;
    c->load->applied_csn = c->csn;
    c->load->applied_us = c->us;
    c->bytes = 0;
    arena_reset(c->unit);
    return ops->maintain == NULL || ops->maintain(c->books->session, false, err);
}

static bool collect(struct catching *c, const struct event *e, struct error *err)
{
    struct event kept = *e;

    kept.key = arena_memdup(c->unit, e->key, e->key_len);
    kept.value = arena_memdup(c->unit, e->value, e->value_len);
    kept.old_key = e->old_key_len > 0 ? arena_memdup(c->unit, e->old_key, e->old_key_len) : NULL;
    if (e->key_len == 0)
        kept.key = NULL;
    c->bytes += e->key_len + e->value_len + e->old_key_len;
    c->load->rows += e->op == 'c' || e->op == 'r' ? 1 : e->op == 'd' ? -1 : 0;
    if (e->op == 't')
        c->load->rows = 0;
    return compact_add(loader_compact(c->loader), &kept, c->csn, c->us, err);
}

static void skip(struct catching *c)
{
    if (c->at <= c->load->applied)
        return;
    c->load->applied = c->at;
    c->load->applied_csn = c->csn;
    c->load->applied_us = c->us;
}

/* What counts of a row of the spool. */
static bool collect_counted(struct catching *c, const struct event *e, struct error *err)
{
    struct event list[2];
    int n, i;

    if (c->csn < atomic_load(&c->load->s))
        return true;
    if (c->judge == NULL)
        return collect(c, e, err);
    if (!range_judge_row(c->judge, e, c->csn, list, &n, err))
        return false;
    for (i = 0; i < n; i++) {
        if (!collect(c, &list[i], err))
            return false;
    }
    return true;
}

/* Up to `end`, in transactions of batch.bytes. */
static bool catch_up_to(struct catching *c, int64_t end, atomic_bool *stop, struct error *err)
{
    size_t most = (size_t)config_int(c->p->o.sink_config, "batch.bytes");
    struct spool_reader *r = NULL;
    struct event e = {.kind = EVENT_ROW};
    bool ok = spool_reader_open(&r, c->load->spool_path, c->load->applied, end, err);

    if (ok)
        spool_reader_at(r, c->load->applied_csn, c->load->applied_us);
    while (ok && e.kind == EVENT_ROW) {
        if (atomic_load(stop) || atomic_load(&c->load->void_)) {
            ok = error_set(err, ERROR_RETRY, "stopped");
            break;
        }
        ok = spool_next(r, &e, &c->csn, &c->us, &c->at, err);
        if (ok && e.kind == EVENT_ROW)
            ok = collect_counted(c, &e, err);
        if (ok && c->bytes >= most && !(e.flags & EVENT_MOVED))
            ok = apply_unit(c, err);
    }
    spool_reader_close(r);
    if (ok && c->bytes == 0)
        skip(c); /* nothing of it counts */
    return ok && (c->bytes == 0 || apply_unit(c, err));
}

static struct target *copy_target(struct arena *a, const struct flow *f, char *aside)
{
    struct target *t = arena_memdup(a, f->target, sizeof(*f->target));

    flow_aside(f->rec.load, aside);
    if (!f->rec.in_place)
        t->name = aside;
    return t;
}

/* False, without an error, while somebody holds a lock on the table whose place it takes. */
static bool is_free(struct pipeline *p, struct books *b, const struct load *l)
{
    const struct table_record *rec = &l->flow->rec;
    struct buf sql = {0};
    struct error err;
    bool ok;

    if (p->o.warehouse->dialect->lock_probe == NULL || !l->has_target)
        return true;
    buf_puts(&sql, "LOCK TABLE ");
    target_sql_name(&sql, rec->target_schema, rec->target_name);
    buf_puts(&sql, p->o.warehouse->dialect->lock_probe);
    ok = p->o.warehouse->begin(b->session, &err) &&
         p->o.warehouse->exec(b->session, buf_cstr(&sql), NULL, &err);
    p->o.warehouse->rollback(b->session);
    buf_free(&sql);
    return ok || strcmp(err.sqlstate, "55P03") != 0; /* anything else shows when it is put there */
}

bool load_catch_up(struct pipeline *p, struct books *b, struct load *l, atomic_bool *stop,
                   struct error *err)
{
    struct catching c = {.p = p, .books = b, .load = l};
    struct arena *a;
    char aside[ASIDE_SIZE];
    int64_t end;
    bool ok = true;

    if (l->flow->rec.in_place && !is_free(p, b, l)) { /* nothing waits for it meanwhile */
        l->retry_ms = clock_mono_ms() + LOCKED_MS;
        return true;
    }
    a = arena_new("copy");
    c.unit = arena_new("spooled events");
    c.judge = load_judge(l);
    c.loader = loader_new(p->o.warehouse, b->session, copy_target(a, l->flow, aside),
                          l->flow->decoder, l->flow->table->oid, pipeline_overflow_mode(p));
    while (ok && (end = atomic_load(&l->committed)) - l->applied > LITTLE_BYTES)
        ok = catch_up_to(&c, end, stop, err);
    FAILPOINT("load.caught-up");
    if (ok && is_free(p, b, l))
        atomic_store(&l->ready, true);
    else if (ok)
        l->retry_ms = clock_mono_ms() + LOCKED_MS;
    else if (err->kind == ERROR_DATA)
        err->table = l->flow->table->oid;
    loader_free(c.loader);
    range_judge_free(c.judge);
    arena_free(c.unit);
    arena_free(a);
    return ok;
}

bool load_give_up(struct pipeline *p, struct books *b, struct load *l, const struct error *why,
                  struct error *err)
{
    const struct warehouse_ops *ops = p->o.warehouse;
    struct flow *f = l->flow;
    char reason[2100];
    bool ok;

    flow_reason(why, reason, sizeof(reason));
    log_error("table cannot be loaded%s table=%s.%s reason=%s",
              l->over_live ? " again, its copy goes on" : "", f->table->schema, f->table->name,
              reason);
    l->asked_again = true; /* not by itself */
    atomic_store(&l->void_, true);
    if (why->reload) {
        loads_want(p, f->table->oid, f->table->schema, f->table->name, why->message, 1000);
        return true;
    }
    ok = ops->begin(b->session, err) &&
         (l->over_live ? books_load_remove(b, f->table->oid, f->rec.load, err)
                       : books_table_state(b, f->table->oid, f->rec.load, TABLE_NEEDS_SNAPSHOT,
                                           reason, err)) &&
         (f->rec.in_place || flows_drop_aside(b, &f->rec, err)) && ops->commit(b->session, err);
    if (!ok)
        ops->rollback(b->session);
    if (ok && !l->over_live) {
        struct flow shown = *f;

        shown.rec.state = TABLE_NEEDS_SNAPSHOT;
        shown.rec.reason = reason;
        flow_show(p, &shown, -1);
    }
    return ok;
}
