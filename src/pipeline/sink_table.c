/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stream says of one table, in its place among the rows: a row, another shape, that no
 * more rows come, that a load of it has begun.
 *
 * An alteration changes what is collected at once and the target at the start of the batch's
 * transaction. If that transaction has changed the table's rows already (a source transaction
 * larger than a piece), the target cannot be altered in it any more: everything is rolled back and
 * the log read again, and the next attempt says the alteration when its transaction begins (struct
 * ahead); rows that still come in the older version are lifted to the newer one.
 */
#include "pipeline/batch.h"

#include "util/causes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

struct sink_table *sink_table(struct sink *s, uint32_t oid)
{
    struct sink_table *t = map_get_u32(s->by_oid, oid);

    if (t != NULL)
        return t;
    t = mem_calloc(1, sizeof(*t));
    t->oid = oid;
    map_put_u32(s->by_oid, oid, t);
    sink_wanted_open(s, t);
    s->tables = mem_realloc(s->tables, ((size_t)s->ntables + 1) * sizeof(struct sink_table *));
    s->tables[s->ntables++] = t;
    return t;
}

void sink_tables_init(struct sink *s)
{
    struct pipeline *p = s->p;
    int i;

    s->by_oid = map_new();
    s->by_schema = map_new();
    for (i = 0; i < p->nflows; i++) {
        struct flow *f = p->flows[i];
        struct sink_table *t;

        if (!flow_streams(f))
            continue;
        t = sink_table(s, f->rec.table->oid);
        t->flow = f;
        t->live = f->rec.state == TABLE_LIVE;
        t->pending = !t->live;
        t->loader = loader_new(p->o.warehouse, s->session, f->target, f->decoder, t->oid,
                               pipeline_overflow_mode(p));
        map_put_u32(s->by_schema, f->value_id, t);
    }
}

void sink_tables_free(struct sink *s)
{
    int i;

    sink_wanted_close(s);
    for (i = 0; i < s->ntables; i++) {
        struct sink_table *t = s->tables[i];

        loader_free(t->loader);
        mem_free(t->leaves);
        mem_free(t->alters);
        mem_free(t->olds);
        mem_free(t);
    }
    mem_free(s->tables);
    map_free(s->by_oid);
    map_free(s->by_schema);
}

/* --- rows --- */

static void count_op(struct sink_table *t, char op)
{
    if (op == 'c' || op == 'r') {
        t->delta++;
    } else if (op == 'd') {
        t->delta--;
    } else if (op == 't') {
        t->delta = 0;
        t->truncated = true;
    }
}

bool sink_collect(struct sink *s, struct sink_table *t, const struct event *e, int64_t csn,
                  int64_t commit_us, struct error *err)
{
    (void)s;
    t->touched = true;
    count_op(t, e->op);
    if (compact_add(loader_compact(t->loader), e, csn, commit_us, err))
        return true;
    if (err->kind == ERROR_DATA)
        err->table = t->oid;
    return false;
}

/* A row in an older version than the table has by now. */
static bool lift_row(struct sink *s, struct sink_table *t, uint32_t id, const struct event *e,
                     struct event *out, struct error *err)
{
    struct event now = *e;
    bool found = false;
    int i;

    for (i = 0; i < t->nolds; i++) {
        struct flow *old = t->olds[i];
        struct flow *next = i + 1 < t->nolds ? t->olds[i + 1] : t->flow;
        struct encoder *enc;
        bool ok;

        found |= old->value_id == id;
        if (!found)
            continue;
        enc = encoder_new(next->table, s->p->o.source->block, next->value_id, next->key_id);
        ok = compact_lift_event(loader_compact(t->loader), &now, old->event_table, old->decoder,
                                enc, next->al, s->lifted, &now, err);
        encoder_free(enc);
        if (!ok)
            return false;
    }
    if (!found) {
        error_set(err, ERROR_DATA, "%s.%s: rows in a shape that is not known",
                  t->flow->table->schema, t->flow->table->name);
        err->table = t->oid;
        err->reload = true;
        return false;
    }
    *out = now;
    return true;
}

bool sink_take_row(struct sink *s, const struct event *e, struct error *err)
{
    struct sink_table *t;
    struct event lifted;
    uint32_t id;

    if (!wire_schema_id(e->value, e->value_len, &id))
        return error_set(err, ERROR_FATAL, "an event without a schema id");
    t = map_get_u32(s->by_schema, id);
    if (t == NULL)
        return true;
    if (t->load != NULL && !sink_load_row(s, t, e, err))
        return false;
    if (t->flow == NULL || t->frozen || s->tx_csn < t->flow->rec.s)
        return true;
    if (id != t->flow->value_id) {
        if (!lift_row(s, t, id, e, &lifted, err))
            return false;
        e = &lifted;
    }
    return sink_collect(s, t, e, s->tx_csn, s->tx_us, err);
}

/* --- alterations --- */

static void push(struct flow ***list, int *n, struct flow *f)
{
    *list = mem_realloc(*list, ((size_t)*n + 1) * sizeof(struct flow *));
    (*list)[(*n)++] = f;
}

/* The next attempt says it when the transaction begins. */
static bool alter_again(struct sink *s, const struct flow *f)
{
    struct pipeline *p = s->p;
    struct ahead *a = arena_calloc(p->ahead_arena, 1, sizeof(*a)), **at = &p->aheads;

    log_info("table altered in the middle of a large transaction, which is read again "
             "table=%s.%s",
             f->table->schema, f->table->name);
    while (*at != NULL)
        at = &(*at)->next;
    a->csn = s->tx_csn;
    a->al = *alteration_copy(p->ahead_arena, f->al);
    *at = a;
    s->outcome = OUTCOME_AGAIN;
    return false;
}

static bool follow(struct sink *s, struct sink_table *t, struct flow *f, struct error *err)
{
    struct encoder *enc;
    bool ok;

    if (!flow_follow(s->arena, t->flow, f, err))
        return false;
    enc = encoder_new(f->table, s->p->o.source->block, f->value_id, f->key_id);
    ok = loader_alter(t->loader, f->target, f->decoder, enc, f->al, err);
    encoder_free(enc);
    if (!ok)
        return false;
    push(&t->olds, &t->nolds, t->flow);
    t->flow = f;
    wanted_altered(t->wanting.rows);
    return true;
}

/* The copy was loaded in this version before the log told of it: nothing of it is to be changed. */
static void already_made(struct sink *s, const struct flow *has, struct flow *f)
{
    struct alteration *al = arena_calloc(s->arena, 1, sizeof(*al));
    int n = f->table->ncols;
    int *from = arena_calloc(s->arena, (size_t)n + 1, sizeof(*from));
    int i;

    for (i = 0; i < n; i++)
        from[i] = i;
    al->was = has->table;
    al->now = f->table;
    al->from = from;
    al->fill = arena_calloc(s->arena, (size_t)n + 1, sizeof(*al->fill));
    f->al = al;
}

static bool has_columns(const struct table *a, const struct table *b)
{
    int i;

    for (i = 0; i < a->ncols && i < b->ncols; i++) {
        if (a->cols[i].attnum != b->cols[i].attnum || strcmp(a->cols[i].name, b->cols[i].name) != 0)
            return false;
    }
    return a->ncols == b->ncols;
}

/* It was loaded in a version that no row of the log has: the log goes from the one before to one
 * behind. How the latter follows from the copy's, nobody can tell. */
static bool between(const struct sink_table *t, struct error *err)
{
    error_cause(err, CAUSE_TABLE_CHANGED, "%s.%s was altered again after it was copied",
                t->flow->table->schema, t->flow->table->name);
    err->kind = ERROR_DATA;
    err->table = t->oid;
    err->reload = true;
    return false;
}

bool sink_take_alter(struct sink *s, const struct event *e, struct error *err)
{
    struct flow *f = e->object;
    struct sink_table *t = sink_table(s, f->table->oid);

    map_put_u32(s->by_schema, f->value_id, t);
    if (t->flow == NULL || t->frozen || s->tx_csn < t->flow->rec.s)
        return true;
    if (!adopt_matches(f->al->was, t->flow->table) && adopt_matches(f->table, t->flow->table)) {
        if (f->value_id == t->flow->value_id)
            return true;
        already_made(s, t->flow, f);
    } else if (!has_columns(t->flow->table, f->al->was)) {
        return between(t, err);
    }
    if (s->open && t->applied)
        return alter_again(s, f);
    if (!follow(s, t, f, err)) {
        if (err->kind == ERROR_DATA)
            err->table = t->oid;
        return false;
    }
    if (s->open)
        return batch_alter(s, t, f, err);
    push(&t->alters, &t->nalters, f);
    return true;
}

/* --- the end of its rows --- */

bool sink_take_stop(struct sink *s, const struct event *e)
{
    struct sink_table *t = sink_table(s, e->oid);

    if (t->flow == NULL || t->frozen)
        return true;
    t->frozen = t->unsaid = s->news = true;
    t->state = (enum table_state)e->state;
    snprintf(t->reason, sizeof(t->reason), "%s", e->why);
    log_info("table stands still table=%s.%s why=%s", e->schema, e->name, e->why);
    compact_reset(loader_compact(t->loader)); /* it is loaded again, whatever it holds */
    t->touched = false;
    t->delta = 0;
    t->nalters = 0;
    t->pending = false;
    return true;
}

bool sink_take_load(struct sink *s, const struct event *e, struct error *err)
{
    struct load *l = e->object;

    if (e->s == 0)
        return sink_load_begin(s, l, err);
    atomic_store(&l->s, e->s);
    if (l->lost_csn >= e->s)
        atomic_store(&l->void_, true);
    return true;
}
