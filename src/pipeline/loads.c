/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loads' thread: its own connection to the source, its own session. One group after another:
 *
 *   1. the publication holds the tables, the catalogue says what they are now (load_group.c);
 *   2. the stream begins to spool their changes: everything read before is older than
 *   3. the point S, a temporary slot's; the tables are what they were at 1, else again;
 *   4. the stream learns S; the copies are made (snapshot.c); each takes in its spool
 *      (load_catch_up.c); the sink puts it in its place (sink_load.c).
 *
 * Whatever fails is tried again with back-off, while the stream goes on. At the end of the attempt
 * a copy that is complete waits, with its spool, for the next attempt, and so does one that is cut
 * by ranges of keys; any other is dropped.
 */
#include "load/ranges.h"
#include "pipeline/loads_internal.h"

#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

#define REST_MS 100
#define REVIEW_MS 10000
#define REVIEW_REST 100 /* at least so many times as long as the last review took */

/* --- the stream does something for us --- */

bool loads_ask(struct loads *l, struct loads_ask *a, struct error *err)
{
    bool ok;

    pthread_mutex_lock(&l->lock);
    a->done = false;
    while (l->ask != NULL && !atomic_load(&l->stop))
        pthread_cond_wait(&l->moved, &l->lock);
    if (l->ask == NULL)
        l->ask = a;
    while (l->ask == a && !a->done && !atomic_load(&l->stop))
        pthread_cond_wait(&l->moved, &l->lock);
    if (l->ask == a) {
        l->ask = NULL;
        pthread_cond_broadcast(&l->moved);
    }
    ok = a->done && a->ok;
    if (!a->done)
        error_set(err, ERROR_RETRY, "stopped");
    else if (!a->ok)
        *err = a->err;
    pthread_mutex_unlock(&l->lock);
    return ok;
}

bool loads_serve(struct loads *l, struct feed *feed, struct error *err)
{
    struct loads_ask *a;
    bool ok = true;

    pthread_mutex_lock(&l->lock);
    a = l->ask;
    if (a != NULL && !a->done) {
        if (a->fetched != NULL)
            a->ok = feed_fetched(feed, a->fetched, &a->err);
        else if (a->look)
            a->version = feed_version(feed, a->oid), a->ok = true;
        else if (a->load != NULL)
            a->ok = feed_load(feed, a->load, a->s, a->point, &a->err);
        else
            a->ok = feed_stop_table(feed, a->oid, TABLE_LOADING, a->why, &a->err);
        a->done = true;
        ok = a->ok;
        if (!ok)
            *err = a->err;
        pthread_cond_broadcast(&l->moved);
    }
    if (ok && l->failed) {
        *err = l->err;
        ok = false;
    }
    pthread_mutex_unlock(&l->lock);
    return ok;
}

/* --- connections --- */

bool loads_connect_source(struct pipeline *p, struct source **src, bool *connected,
                          struct error *err)
{
    struct source_identity id;

    if (*src == NULL && !p->o.source->open(src, p->o.source_config, err))
        return false;
    if (*connected)
        return true;
    if (!p->o.source->connect(*src, &id, err))
        return false;
    if (strcmp(id.system, p->identity.system) != 0 || id.timeline != p->identity.timeline ||
        strcmp(id.timeline_began, p->identity.timeline_began) != 0 ||
        id.database_oid != p->identity.database_oid)
        return error_set(err, ERROR_RETRY, "another server answers at this address now");
    *connected = true;
    return true;
}

bool loads_connect(struct loads *l, struct error *err)
{
    struct pipeline *p = l->p;

    if (!loads_connect_source(p, &l->src, &l->connected, err))
        return false;
    if (l->books.session == NULL) {
        l->books = p->books;
        l->books.session = NULL;
        if (!pipeline_connect(p, "loads", true, &l->books.session, err))
            return false;
    }
    return true;
}

static void disconnect(struct loads *l)
{
    pipeline_disconnect(l->p, l->books.session);
    l->books.session = NULL;
    l->connected = false; /* its connections are made again */
}

/* --- the thread --- */

static bool due(struct loads *l)
{
    int64_t now = clock_mono_ms();
    bool any = false;
    struct want *w;
    size_t at = 0;

    pthread_mutex_lock(&l->p->lock);
    while (!any && (w = map_next(l->p->wants, &at)) != NULL)
        any = w->pending && w->due_ms <= now;
    pthread_mutex_unlock(&l->p->lock);
    return any;
}

static bool catch_up(struct loads *l, struct load *d, struct error *err)
{
    struct error why;

    if (load_catch_up(l->p, &l->books, d, &l->stop, err))
        return true;
    why = *err;
    return err->kind == ERROR_DATA && load_give_up(l->p, &l->books, d, &why, err);
}

/* Copies that are worth nothing ask again; those that wait for their spool get it. */
static bool tend(struct loads *l, struct error *err)
{
    struct load *d;

    for (d = l->list; d != NULL; d = d->next) {
        if (atomic_load(&d->live) || d->asked_again)
            continue;
        if (atomic_load(&d->void_)) {
            const struct table *t = d->flow->table;

            d->asked_again = true;
            if (!loads_newer(l, d))
                loads_want(l->p, t->oid, t->schema, t->name, "its load starts again", 200);
        } else if (atomic_load(&d->copied) && !atomic_load(&d->ready) &&
                   clock_mono_ms() >= d->retry_ms) {
            if (!loads_connect(l, err) || !catch_up(l, d, err))
                return false;
        }
    }
    return true;
}

static bool review_due(const struct loads *l)
{
    return clock_mono_ms() >= l->review_ms;
}

static bool review(struct loads *l, struct error *err)
{
    int64_t began = clock_mono_ms(), took;
    bool ok = loads_connect(l, err) && loads_review(l, err);

    loads_sweep_spools(l);
    took = (clock_mono_ms() - began) * REVIEW_REST;
    l->review_ms = clock_mono_ms() + (took > REVIEW_MS ? took : REVIEW_MS);
    return ok;
}

static bool round_of(struct loads *l, struct error *err)
{
    loads_take_requests(l);
    if (!tend(l, err))
        return false;
    if (due(l))
        return loads_connect(l, err) && loads_run_group(l, err);
    return !review_due(l) || review(l, err);
}

static void rest(struct loads *l, int ms)
{
    int64_t until = clock_mono_ms() + ms;

    while (!atomic_load(&l->stop) && clock_mono_ms() < until)
        clock_sleep_ms(REST_MS / 4);
}

void loads_fail(struct loads *l, const struct error *err)
{
    pthread_mutex_lock(&l->lock);
    if (!l->failed)
        l->err = *err;
    l->failed = true;
    pthread_mutex_unlock(&l->lock);
}

static void *loads_main(void *arg)
{
    struct loads *l = arg;
    struct retry retry = {0};
    struct error err;

    log_set_connector(l->p->o.source_name);
    while (!atomic_load(&l->stop)) {
        error_clear(&err);
        if (round_of(l, &err)) {
            retry_reset(&retry);
            rest(l, REST_MS);
            continue;
        }
        if (atomic_load(&l->stop))
            break;
        if (err.kind == ERROR_FATAL || err.kind == ERROR_CONFLICT) {
            loads_fail(l, &err);
            break;
        }
        log_failure(LOG_WARN, "load: tried again", &err);
        disconnect(l);
        rest(l, retry_next_ms(&retry));
    }
    return NULL;
}

/* --- copies of an attempt before --- */

/* The target itself, which waits: it lacks what it has lacked. */
static bool restore_wanted(struct loads *l, struct load *d, struct error *err)
{
    struct arena *a = arena_new("wanted");
    struct books_wanted *list;
    int n = 0, i;
    bool ok = books_wanted_read(&l->p->books, a, &list, &n, err);

    for (i = 0; ok && i < n; i++) {
        if (list[i].oid == d->flow->table->oid)
            wanted_restore(d->wanted, list[i].key, list[i].len, list[i].csn);
    }
    arena_free(a);
    return ok;
}

static bool is_streamed(const struct pipeline *p, uint32_t oid)
{
    int i;

    for (i = 0; i < p->nflows; i++) {
        if (p->flows[i]->rec.table->oid == oid)
            return flow_streams(p->flows[i]);
    }
    return false;
}

/* One that cannot be used starts again: see tend. */
static void resume_ranges(struct load *d, struct flow *f)
{
    struct error why;

    d->by_ranges = f->copy.n > 0;
    d->keyed = f->copy.keyed;
    if (!d->by_ranges || load_ranges_new(&d->ranges, f, &f->copy, &why))
        return;
    log_warn("table load starts again table=%s.%s why=%s", f->table->schema, f->table->name,
             why.message);
    atomic_store(&d->void_, true);
}

static struct load *load_resumed(struct loads *l, struct flow *f)
{
    struct load *d = loads_add(l, f);

    d->over_live = is_streamed(l->p, f->table->oid);
    d->has_target = true;
    d->rows = f->rec.rows;
    d->spool = f->spool;
    f->spool = NULL;
    d->applied = f->copy.spool_at;
    d->applied_csn = f->copy.spool_csn;
    d->applied_us = f->copy.spool_us;
    resume_ranges(d, f);
    atomic_store(&d->s, f->rec.s);
    atomic_store(&d->newest, f->copy.newest > f->rec.s ? f->copy.newest : f->rec.s);
    atomic_store(&d->committed, f->rec.spool_bytes);
    atomic_store(&d->begun, true);
    atomic_store(&d->copied, !f->cut_off);
    atomic_store(&d->registered, !f->cut_off);
    return d;
}

bool loads_resume(struct loads *l, struct feed *feed, struct error *err)
{
    struct pipeline *p = l->p;
    int i;

    for (i = 0; i < p->nresumes; i++) {
        struct flow *f = p->resumes[i];
        struct load *d;

        if (f->cut_off && f->decoder == NULL) { /* it has stopped: from nothing, if at all */
            spool_close(f->spool);
            f->spool = NULL;
            if (!flows_drop_load(p, &f->rec, err))
                return false;
            continue;
        }
        d = load_resumed(l, f);
        log_info("load goes on with its spool table=%s.%s load=%lld bytes=%lld", f->table->schema,
                 f->table->name, (long long)f->rec.load, (long long)f->rec.spool_bytes);
        if ((f->rec.in_place && !restore_wanted(l, d, err)) || !feed_resume(feed, d, err))
            return false;
    }
    return true;
}

bool loads_start(struct loads **out, struct pipeline *p, struct feed *feed, struct error *err)
{
    struct loads *l = mem_calloc(1, sizeof(*l));

    l->p = p;
    l->arena = p->loads_arena = arena_new("loads");
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->moved, NULL);
    l->review_ms = clock_mono_ms() + REVIEW_MS;
    *out = l;
    if (!loads_resume(l, feed, err))
        return false;
    loads_sweep_spools(l);
    l->started = pthread_create(&l->thread, NULL, loads_main, l) == 0;
    if (!l->started)
        return error_set(err, ERROR_RETRY, "the loads' thread could not be started");
    return refetch_start(&l->refetch, l, err);
}

void loads_stop(struct loads *l)
{
    if (l == NULL)
        return;
    atomic_store(&l->stop, true);
    pthread_mutex_lock(&l->lock);
    pthread_cond_broadcast(&l->moved);
    pthread_mutex_unlock(&l->lock);
    if (l->src != NULL && l->started)
        l->p->o.source->cancel(l->src);
    refetch_cancel(l->refetch);
    pipeline_cancel_loads(l->p);
    if (l->started)
        pthread_join(l->thread, NULL);
    l->started = false;
    refetch_join(l->refetch);
}

void loads_free(struct loads *l)
{
    struct load *d, *next;

    if (l == NULL)
        return;
    refetch_free(l->refetch);
    for (d = l->list; d != NULL; d = next) {
        next = d->next;
        spool_close(d->spool);
        ranges_free(d->ranges);
        mem_free(d->spool_path);
        wanted_free(d->wanted);
        mem_free(d);
    }
    pipeline_disconnect(l->p, l->books.session);
    l->p->o.source->close(l->src);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->moved);
    mem_free(l->stopped);
    mem_free(l);
}

/* --- the list --- */

struct load *loads_add(struct loads *l, struct flow *f)
{
    struct load *d = mem_calloc(1, sizeof(*d));

    d->flow = f;
    d->spool_path = flow_spool_path(l->p, f->table->oid, f->rec.load);
    d->wanted = wanted_new();
    d->next = l->list; /* newest first */
    l->list = d;
    return d;
}

bool loads_newer(const struct loads *l, const struct load *than)
{
    const struct load *d;

    for (d = l->list; d != NULL && d != than; d = d->next) {
        if (d->flow->table->oid == than->flow->table->oid)
            return true;
    }
    return false;
}
