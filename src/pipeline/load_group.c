/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One group of loads: the tables that are due, from the catalogue of now to copies as of one
 * point. A table that changes between the catalogue's answer and the point asks again. A load by
 * ranges of keys that was cut off goes on under the new point.
 */
#include "pipeline/loads_internal.h"

#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

struct item {
    uint32_t oid;
    const char *schema, *name; /* as it is known here: st may be NULL */
    const char *why;
    struct source_table *st;      /* as planned, then as of the point; NULL: gone */
    const struct table *streamed; /* the version that its rows come in; NULL: none */
    struct load *load;            /* NULL: nothing to load */
    bool settled; /* without a load: it is gone, or stopped, or asks again by itself */
};

struct group {
    struct loads *l;
    struct source_table *tables; /* the plan */
    int ntables;
    struct item *items;
    int n;
    struct flow **named; /* flows that keep their target, for the choice of names */
    int nnamed;
};

static struct source_table *find(struct source_table *tables, int n, uint32_t oid)
{
    int i;

    for (i = 0; i < n; i++) {
        if (tables[i].table->oid == oid)
            return &tables[i];
    }
    return NULL;
}

static bool plan(struct loads *l, struct source_table **tables, int *n, struct error *err)
{
    const struct source_ops *ops = l->p->o.source;

    return ops->plan(l->src, l->arena, tables, n, err) &&
           take_selected(l->p, l->arena, *tables, n, err);
}

/* The newest that is known of the table; NULL: nothing. */
static struct flow *known(struct loads *l, uint32_t oid)
{
    struct load *d;

    int i;

    for (i = l->nstopped - 1; i >= 0; i--) {
        if (l->stopped[i]->table->oid == oid)
            return l->stopped[i];
    }
    for (d = l->list; d != NULL; d = d->next) {
        if (d->flow->table->oid == oid)
            return d->flow;
    }
    return flow_find(l->p, oid);
}

static bool is_in(const struct group *g, uint32_t oid)
{
    int i;

    for (i = 0; i < g->n; i++) {
        if (g->items[i].oid == oid)
            return true;
    }
    return false;
}

static void add_item(struct group *g, uint32_t oid, const char *schema, const char *name,
                     const char *why)
{
    struct item *it = &g->items[g->n++];

    it->oid = oid;
    it->schema = arena_strdup(g->l->arena, schema);
    it->name = arena_strdup(g->l->arena, name);
    it->why = arena_strdup(g->l->arena, why);
    it->st = find(g->tables, g->ntables, oid);
}

/* What is due; it does not want any more. */
static void take_wants(struct group *g)
{
    struct pipeline *p = g->l->p;
    int64_t now = clock_mono_ms();
    struct want *w;
    size_t at = 0;

    pthread_mutex_lock(&p->lock);
    g->items =
        arena_calloc(g->l->arena, map_count(p->wants) + (size_t)p->nflows + (size_t)g->ntables + 1,
                     sizeof(*g->items));
    while ((w = map_next(p->wants, &at)) != NULL) {
        if (!w->pending || w->due_ms > now)
            continue;
        w->pending = false;
        add_item(g, w->oid, w->schema, w->name, w->why);
    }
    pthread_mutex_unlock(&p->lock);
}

static bool stop_stream(struct group *g, uint32_t oid, const char *why, struct error *err)
{
    struct loads_ask ask = {.oid = oid, .why = why};

    return loads_ask(g->l, &ask, err);
}

static bool is_name_of(struct loads *l, const struct flow *f, const struct table *t)
{
    const struct table *other = f->rec.table;

    return other->oid != t->oid && strcmp(other->schema, t->schema) == 0 &&
           strcmp(other->name, t->name) == 0 && known(l, other->oid) == f;
}

/* Not if another table has its name by now. */
static void take_off_board(struct loads *l, const struct table *t)
{
    struct pipeline *p = l->p;
    const struct load *d;
    int i;

    for (d = l->list; d != NULL; d = d->next) {
        if (is_name_of(l, d->flow, t))
            return;
    }
    for (i = 0; i < p->nflows; i++) {
        if (is_name_of(l, p->flows[i], t))
            return;
    }
    board_remove_table(p->o.board, p->o.source_name, t->schema, t->name);
}

/* It is gone at the source: its target stays as it is, a copy that never took its place goes. */
static bool forget(struct group *g, const struct flow *f, struct error *err)
{
    const struct table *t = f->rec.table;
    struct loads *l = g->l;

    if (!stop_stream(g, t->oid, "it is gone at the source", err) ||
        !loads_drop_all(l, t->oid, err) || !flows_drop_all(&l->books, &f->rec, NULL, err))
        return false;
    take_off_board(l, t);
    return true;
}

/*
 * A table that has another name than we know it by gives up its target, also if no change of it
 * has told so yet: another table may have taken its old name. One that is gone does, too.
 */
static bool release_names(struct group *g, struct error *err)
{
    struct loads *l = g->l;
    struct pipeline *p = l->p;
    struct load *d;
    int n = p->nflows + p->nresumes;
    int i;

    for (d = l->list; d != NULL; d = d->next)
        n++;
    g->named = arena_calloc(l->arena, (size_t)n + (size_t)g->ntables + 1, sizeof(struct flow *));
    for (i = 0, d = l->list; i < n; i++) {
        struct flow *f = i < p->nflows                 ? p->flows[i]
                         : i < p->nflows + p->nresumes ? p->resumes[i - p->nflows]
                                                       : d->flow;
        const struct table *t = f->rec.table;
        struct source_table *st = find(g->tables, g->ntables, t->oid);
        bool renamed = st != NULL && (strcmp(st->table->schema, t->schema) != 0 ||
                                      strcmp(st->table->name, t->name) != 0);

        if (i >= p->nflows + p->nresumes)
            d = d->next;
        if (st != NULL && !renamed) {
            g->named[g->nnamed++] = f;
            continue;
        }
        if (known(l, t->oid) != f || is_in(g, t->oid))
            continue;
        if (!renamed) {
            if (!forget(g, f, err))
                return false;
            continue;
        }
        if (!stop_stream(g, t->oid, "it was renamed", err))
            return false;
        add_item(g, t->oid, t->schema, t->name, "it was renamed");
        take_off_board(l, t);
    }
    return true;
}

/* It cannot be loaded: the books and the board say why. A live copy goes on. */
static bool put_stopped(struct loads *l, struct flow *f, const struct flow *was, struct error *err)
{
    if (was != NULL && was->rec.state == TABLE_LIVE) {
        log_error("table cannot be loaded again, its copy goes on table=%s.%s reason=%s",
                  f->rec.table->schema, f->rec.table->name, f->rec.reason);
        return true;
    }
    if (!flows_drop_all(&l->books, &f->rec, &f->rec, err))
        return false;
    flow_show(l->p, f, -1);
    l->stopped = mem_realloc(l->stopped, ((size_t)l->nstopped + 1) * sizeof(struct flow *));
    l->stopped[l->nstopped++] = f;
    return true;
}

static void forget_stopped(struct loads *l, uint32_t oid)
{
    int i;

    for (i = 0; i < l->nstopped; i++) {
        if (l->stopped[i]->table->oid == oid)
            l->stopped[i--] = l->stopped[--l->nstopped];
    }
}

static bool next_number(struct loads *l, int64_t *load, struct error *err)
{
    const struct warehouse_ops *ops = l->p->o.warehouse;
    bool ok = ops->begin(l->books.session, err) && books_next_load(&l->books, load, err) &&
              ops->commit(l->books.session, err);

    if (!ok)
        ops->rollback(l->books.session);
    return ok;
}

static bool look(struct loads *l, struct item *it, struct error *err)
{
    struct loads_ask ask = {.oid = it->oid, .look = true};

    if (!loads_ask(l, &ask, err))
        return false;
    it->streamed = ask.version;
    adopt_version(it->st->table, it->streamed);
    return true;
}

static bool same_column(const struct column *a, const struct column *b)
{
    return strcmp(a->name, b->name) == 0 && a->attnum == b->attnum && a->type_oid == b->type_oid &&
           a->typmod == b->typmod && a->identity == b->identity && a->key_pos == b->key_pos &&
           a->nullable == b->nullable && strcmp(a->def ? a->def : "", b->def ? b->def : "") == 0;
}

static bool same_version(const struct table *a, const struct table *b)
{
    int i;

    if (strcmp(a->schema, b->schema) != 0 || strcmp(a->name, b->name) != 0 ||
        a->ncols != b->ncols || a->replica_identity != b->replica_identity ||
        strcmp(a->row_filter ? a->row_filter : "", b->row_filter ? b->row_filter : "") != 0)
        return false;
    for (i = 0; i < a->ncols; i++) {
        if (!same_column(&a->cols[i], &b->cols[i]))
            return false;
    }
    return true;
}

/* Rows that were copied as of other points are of these very files, too: also a rewrite that left
 * every column as it was (ALTER TYPE to the same one) has changed rows without an event. */
static bool same_rows(const struct load *d, const struct source_table *st)
{
    return st->refused == NULL && same_version(st->table, d->flow->table) &&
           st->table->relfilenode != 0 && st->table->relfilenode == d->flow->rec.table->relfilenode;
}

static void abandon(struct load *d)
{
    atomic_store(&d->void_, true);
    d->asked_again = true;
}

/* The table's load that was cut off goes on, if what it has copied is still of use. */
static bool take_cut_off(struct group *g, struct item *it)
{
    struct load *d;

    for (d = g->l->list; d != NULL && d->flow->table->oid != it->oid; d = d->next)
        ;
    if (d == NULL || !load_may_go_on(d))
        return false;
    if (!same_rows(d, it->st)) {
        log_warn("table load starts again table=%s.%s why=it was altered or rewritten since its "
                 "load was cut off",
                 d->flow->table->schema, d->flow->table->name);
        abandon(d);
        return false;
    }
    d->goes_on = true;
    g->named[g->nnamed++] = d->flow;
    it->load = d;
    return true;
}

static bool make_load(struct group *g, struct item *it, struct error *err)
{
    struct loads *l = g->l;
    struct flow *was = known(l, it->oid), *f;
    struct take take = {
        .p = l->p, .arena = l->arena, .books = &l->books, .flows = g->named, .nflows = g->nnamed};

    it->settled = it->st == NULL;
    if (it->settled)
        return was == NULL || forget(g, was, err);
    if (!look(l, it, err))
        return false;
    if (take_cut_off(g, it))
        return true;
    f = arena_calloc(l->arena, 1, sizeof(*f));
    flow_keep(l->p, f);
    if (was != NULL) {
        f->rec.table = was->rec.table;
        f->rec.target_schema = was->rec.target_schema;
        f->rec.target_name = was->rec.target_name;
        f->rec.load = was->rec.load;
        f->rec.value_id = was->rec.value_id;
        f->rec.key_id = was->rec.key_id;
        f->rec.value_schema = was->rec.value_schema;
        f->rec.key_schema = was->rec.key_schema;
    }
    if (!take_table(&take, f, it->st, err))
        return false;
    it->settled = take.refused;
    if (take.refused) /* and nothing goes on */
        return loads_drop_all(l, it->oid, err) && put_stopped(l, f, was, err);
    f->rec.reason = it->why;
    if (!next_number(l, &f->rec.load, err))
        return false;
    g->named[g->nnamed++] = f;
    it->load = loads_add(l, f);
    it->load->has_target = was != NULL;
    it->load->replaces = was != NULL && was->rec.state == TABLE_LOADING ? was->rec.load : 0;
    forget_stopped(l, it->oid);
    return true;
}

static void again(struct loads *l, struct item *it, const char *why)
{
    const struct table *t = it->load->flow->table;

    atomic_store(&it->load->void_, true);
    it->load->asked_again = true;
    loads_want(l->p, t->oid, t->schema, t->name, why, 0);
    it->load = NULL;
    it->settled = true;
}

/* The tables as of the point; the stream learns the point. */
static bool settle(struct group *g, struct source_point *point, int64_t s, struct error *err)
{
    struct loads *l = g->l;
    struct source_table *tables;
    int n, i;

    FAILPOINT("load.point");
    if (!l->p->o.source->point_tables(point, l->arena, &tables, &n, err) ||
        !take_selected(l->p, l->arena, tables, &n, err))
        return false;
    for (i = 0; i < g->n; i++) {
        struct item *it = &g->items[i];
        struct loads_ask ask = {.load = it->load, .s = s, .point = point};

        if (it->load == NULL)
            continue;
        it->st = find(tables, n, it->oid);
        if (it->st != NULL)
            adopt_version(it->st->table, it->streamed);
        if (it->load->goes_on) { /* the stream knows it, and its first point */
            if (it->st == NULL || !same_rows(it->load, it->st) || atomic_load(&it->load->void_))
                again(l, it, "it was altered since its load was cut off");
            continue;
        }
        if (it->st == NULL || it->st->refused != NULL ||
            !same_version(it->st->table, it->load->flow->table)) {
            again(l, it, "it was altered while its load began");
            continue;
        }
        it->load->flow->rec.table->relfilenode = it->st->table->relfilenode;
        it->load->flow->rec.table->leaves = it->st->table->leaves;
        it->load->flow->rec.table->membership = it->st->table->membership;
        it->load->flow->rec.s = s;
        if (!loads_ask(l, &ask, err))
            return false;
        if (atomic_load(&it->load->void_))
            again(l, it, "its changes could not be kept while its load began");
    }
    return true;
}

static bool copy(struct group *g, struct source_point *point, int64_t s, struct error *err)
{
    struct loads *l = g->l;
    struct snapshot_task *tasks = arena_calloc(l->arena, (size_t)g->n + 1, sizeof(*tasks));
    bool ok = true;
    int i, n = 0;

    for (i = 0; ok && i < g->n; i++) {
        if (g->items[i].load == NULL)
            continue;
        ok = loads_drop_earlier(l, g->items[i].load, err) &&
             (g->items[i].load->goes_on || load_cut(l->p, point, l->arena, g->items[i].st, err));
        tasks[n].flow = g->items[i].load->flow;
        tasks[n].st = g->items[i].st;
        tasks[n++].load = g->items[i].load;
    }
    ok = ok && snapshot_run(l->p, &l->books, point, s, tasks, n, &l->stop, err);
    for (i = 0; i < n; i++) {
        struct load *d = tasks[i].load;

        if (tasks[i].again)
            atomic_store(&d->void_, true);
        else if (tasks[i].stopped)
            atomic_store(&d->void_, d->asked_again = true);
    }
    return ok;
}

/* Those that did not get far ask again. */
static void unfinished(struct group *g)
{
    int i;

    for (i = 0; i < g->n; i++) {
        struct item *it = &g->items[i];

        if (it->load != NULL && load_may_go_on(it->load))
            loads_want(g->l->p, it->oid, it->load->flow->table->schema, it->load->flow->table->name,
                       "its load was cut off", 1000);
        else if (it->load != NULL && !atomic_load(&it->load->copied))
            atomic_store(&it->load->void_, true); /* see tend */
        else if (it->load == NULL && !it->settled)
            loads_want(g->l->p, it->oid, it->schema, it->name, it->why, 1000);
    }
}

static bool run(struct group *g, struct error *err)
{
    struct loads *l = g->l;
    const struct source_ops *ops = l->p->o.source;
    struct source_point *point = NULL;
    char position[POSITION_SIZE];
    int64_t s;
    bool ok = true;
    int i, n = 0;

    for (i = 0; ok && i < g->n; i++)
        ok = make_load(g, &g->items[i], err);
    for (i = 0; ok && i < g->n; i++) {
        struct loads_ask ask = {.load = g->items[i].load};

        if (ask.load == NULL)
            continue;
        n++;
        ok = ask.load->goes_on || loads_ask(l, &ask, err);
    }
    if (!ok || n == 0)
        return ok;
    FAILPOINT("load.spooling");
    ok = ops->point_open(l->src, false, &point, &s, position, err) && settle(g, point, s, err) &&
         copy(g, point, s, err);
    ops->point_close(point);
    return ok;
}

bool loads_run_group(struct loads *l, struct error *err)
{
    struct group g = {.l = l};

    if (!l->p->o.source->prepare(l->src, err) || !plan(l, &g.tables, &g.ntables, err))
        return false;
    take_wants(&g);
    if (release_names(&g, err) && run(&g, err))
        return true;
    unfinished(&g);
    return false;
}

bool loads_review(struct loads *l, struct error *err)
{
    struct source_table *now;
    int n, i;

    if (!plan(l, &now, &n, err))
        return false;
    for (i = 0; i < n; i++) {
        const struct table *t = now[i].table;
        const struct flow *f = known(l, t->oid);

        if (f == NULL)
            loads_want(l->p, t->oid, t->schema, t->name, "table not known yet", 0);
        else if (f->rec.state == TABLE_REFUSED && now[i].refused == NULL)
            loads_want(l->p, t->oid, t->schema, t->name, "what refused it may be gone", 0);
    }
    return true;
}

static void request(struct loads *l, const struct request *r, const struct flow *f)
{
    const struct table *t = f->table;
    struct load *d;
    char why[64];

    if (f->al != NULL || known(l, t->oid) != f ||
        (r->table != NULL && (strcmp(r->schema, t->schema) != 0 || strcmp(r->table, t->name) != 0)))
        return;
    for (d = l->list; d != NULL; d = d->next) {
        if (d->flow == f && load_may_go_on(d))
            abandon(d); /* from nothing */
    }
    snprintf(why, sizeof(why), "resync was asked for (request %lld)", (long long)r->id);
    loads_want(l->p, t->oid, t->schema, t->name, why, 0);
}

void loads_take_requests(struct loads *l)
{
    struct pipeline *p = l->p;
    struct request *list;
    struct load *d;
    int n = 0, i, k;

    if (p->o.requests == NULL)
        return;
    requests_take(p->o.requests, p->o.source_name, l->arena, &list, &n);
    for (i = 0; i < n; i++) {
        for (k = 0; k < p->nflows; k++)
            request(l, &list[i], p->flows[k]);
        for (k = 0; k < p->nresumes; k++)
            request(l, &list[i], p->resumes[k]);
        for (d = l->list; d != NULL; d = d->next)
            request(l, &list[i], d->flow);
        for (k = 0; k < l->nstopped; k++)
            request(l, &list[i], l->stopped[k]);
    }
}
