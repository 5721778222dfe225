/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink's part in rows that are wanted again: each checkpoint says which they are; the thread
 * that reads them (refetch.c) sees the same list; and what it has read as of S is collected between
 * two batches, once the stream has passed S and everything before has been applied, so that what is
 * still wanted is exactly what these rows are as of S, and since.
 */
#include "pipeline/batch.h"

#include "metrics/metrics.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>

#define LOAD_AGAIN_MS 60000

void sink_wanted_open(struct sink *s, struct sink_table *t)
{
    struct pipeline *p = s->p;

    pthread_mutex_lock(&p->lock);
    t->wanting.rows = wanted_new();
    t->wanting.next = p->wanting;
    p->wanting = &t->wanting;
    pthread_mutex_unlock(&p->lock);
}

void sink_wanted_close(struct sink *s)
{
    int i;

    pthread_mutex_lock(&s->p->lock);
    s->p->wanting = NULL;
    atomic_store(&s->p->rows_wanted, false);
    pthread_mutex_unlock(&s->p->lock);
    for (i = 0; i < s->ntables; i++)
        wanted_free(s->tables[i]->wanting.rows);
}

/* --- what is said of it --- */

static void say(struct sink_table *t)
{
    size_t n = wanted_count(t->wanting.rows);

    if (n > 0)
        snprintf(t->wanted_reason, sizeof(t->wanted_reason), "%zu rows wanted", n);
    if ((n > 0) != (t->wanted_shown > 0))
        log_info(n > 0 ? "rows wanted: the log did not carry all of them, they are read again "
                         "table=%s.%s rows=%zu"
                       : "rows wanted are all there table=%s.%s rows=%zu",
                 t->flow->table->schema, t->flow->table->name, n);
    t->wanted_shown = n;
}

const char *sink_wanted_reason(const struct sink_table *t)
{
    return t->wanted_shown > 0 ? t->wanted_reason : NULL;
}

/* What may be read, for the other thread; the state and the number, for people. */
static void publish(struct sink *s)
{
    struct pipeline *p = s->p;
    bool any = false;
    int64_t all = 0;
    int i;

    pthread_mutex_lock(&p->lock);
    for (i = 0; i < s->ntables; i++) {
        struct sink_table *t = s->tables[i];
        bool live = t->flow != NULL && t->live && !t->frozen;

        t->wanting.flow = live ? t->flow : NULL;
        t->wanting.count = wanted_count(t->wanting.rows);
        if (!live)
            continue;
        say(t);
        all += (int64_t)t->wanted_shown;
        any |= t->wanted_shown > 0;
    }
    pthread_mutex_unlock(&p->lock);
    atomic_store(&p->rows_wanted, any);
    metric_set(METRIC_ROWS_WANTED, p->o.sink_name, all);
}

bool sink_wanted_restore(struct sink *s, struct error *err)
{
    struct books_wanted *list;
    int n, i;

    if (!books_wanted_read(&s->books, s->arena, &list, &n, err))
        return false;
    for (i = 0; i < n; i++) {
        struct sink_table *t = map_get_u32(s->by_oid, list[i].oid);

        if (t != NULL && t->live) /* others are loaded, which settles them */
            wanted_restore(t->wanting.rows, list[i].key, list[i].len, list[i].csn);
    }
    publish(s);
    for (i = 0; i < s->ntables; i++) {
        struct sink_table *t = s->tables[i];

        if (t->wanted_shown == 0)
            continue;
        t->flow->rec.reason = sink_wanted_reason(t);
        flow_show(s->p, t->flow, -1);
    }
    return true;
}

/* --- with the checkpoint --- */

static bool save_table(struct sink *s, struct sink_table *t, struct error *err)
{
    struct books_wanted *put = NULL, *gone = NULL;
    int nput = 0, ngone = 0, cap = 0;
    struct wanted_change c;
    size_t at = 0;
    bool ok;

    while (wanted_next_change(t->wanting.rows, &at, &c)) {
        struct books_wanted w = {.oid = t->oid, .key = c.key, .len = c.len, .csn = c.csn};

        w.key_schema_id = t->flow->key_id;
        if (nput + ngone == cap) {
            cap = cap ? cap * 2 : 64;
            put = mem_realloc(put, (size_t)cap * sizeof(*put));
            gone = mem_realloc(gone, (size_t)cap * sizeof(*gone));
        }
        if (c.wanted)
            put[nput++] = w;
        else
            gone[ngone++] = w;
    }
    ok = books_wanted_put(&s->books, put, nput, err) &&
         books_wanted_remove(&s->books, gone, ngone, err);
    mem_free(put);
    mem_free(gone);
    return ok;
}

bool sink_wanted_save(struct sink *s, struct error *err)
{
    int i;

    for (i = 0; i < s->ntables; i++) {
        if (!save_table(s, s->tables[i], err))
            return false;
    }
    return true;
}

/* Rows that were given are in the warehouse now: nothing points at them any more. */
static void end_given(struct sink *s)
{
    struct fetched **at = &s->fetched;

    while (*at != NULL) {
        struct fetched *f = *at;

        if (!f->given) {
            at = &f->next_given;
            continue;
        }
        *at = f->next_given;
        atomic_store(&f->done, true);
    }
}

void sink_wanted_saved(struct sink *s)
{
    int i;

    for (i = 0; i < s->ntables; i++)
        wanted_saved(s->tables[i]->wanting.rows);
    end_given(s);
    publish(s);
}

void sink_wanted_golive(struct sink *s, struct sink_table *t, struct load *l)
{
    pthread_mutex_lock(&s->p->lock);
    wanted_replace(l->wanted, t->wanting.rows);
    t->wanting.rows = l->wanted;
    t->wanting.flow = NULL; /* until it is committed */
    l->wanted = NULL;
    pthread_mutex_unlock(&s->p->lock);
}

/* --- what was read --- */

void sink_take_fetched(struct sink *s, const struct event *e)
{
    struct fetched *f = e->object;

    f->next_given = s->fetched;
    s->fetched = f;
}

static const uint8_t *bare(const struct fetched_row *r, size_t *len)
{
    *len = r->key_len - WIRE_PREFIX_SIZE;
    return r->key + WIRE_PREFIX_SIZE;
}

/* The whole table is the load that brings them: one at a time, and not too often. */
static void want_load(struct sink *s, struct sink_table *t, const char *why)
{
    int64_t now = clock_mono_ms();

    if (t->load != NULL || (t->wanted_load_ms != 0 && now - t->wanted_load_ms < LOAD_AGAIN_MS))
        return;
    t->wanted_load_ms = now;
    loads_want(s->p, t->oid, t->flow->table->schema, t->flow->table->name, why, 0);
}

static bool give_row(struct sink *s, struct sink_table *t, struct fetched *f,
                     const struct fetched_row *r, struct error *err)
{
    struct event e = {.kind = EVENT_ROW,
                      .op = r->value != NULL ? 'r' : 'd',
                      .key = r->key,
                      .key_len = r->key_len,
                      .value = r->value,
                      .value_len = r->value_len};

    t->touched = true;
    f->taken++;
    return wanted_collect(t->wanting.rows, &e, f->s, f->us, s->lifted, loader_compact(t->loader),
                          err);
}

static bool give_rows(struct sink *s, struct sink_table *t, struct fetched *f, struct error *err)
{
    const struct wanted *w = t->wanting.rows;
    size_t i, len;

    for (i = 0; i < f->n; i++) {
        const struct fetched_row *r = &f->rows[i];
        const uint8_t *key = bare(r, &len);

        if (!wanted_takes(w, key, len, f->s))
            continue;
        if (f->altered) { /* and the stream, which is past S, has not said so */
            want_load(s, t, "it was altered while rows of it were wanted");
            return true;
        }
        if (r->value == NULL && f->strangers) {
            want_load(s, t, "a row that was wanted came under another key");
            return true;
        }
        if (!give_row(s, t, f, r, err))
            return false;
    }
    log_info("rows read again table=%s.%s rows=%zu", t->flow->table->schema, t->flow->table->name,
             f->taken);
    s->held_bytes += f->bytes;
    return true;
}

/* Rows that cannot be had are the table's fault. */
static bool refuse(struct sink *s, struct sink_table *t, const struct fetched *f, struct error *err)
{
    if (wanted_count(t->wanting.rows) == 0)
        return true;
    if (f->err.reload) {
        want_load(s, t, f->err.message);
        return true;
    }
    *err = f->err;
    err->table = t->oid;
    return false;
}

static bool give(struct sink *s, struct fetched *f, struct error *err)
{
    struct sink_table *t = map_get_u32(s->by_oid, f->flow->table->oid);

    f->given = true;
    if (t == NULL || t->flow != f->flow || !t->live || t->pending || t->frozen)
        return true; /* another version, or loaded: what is wanted by now is read anew */
    if (f->failed)
        return refuse(s, t, f, err);
    if (give_rows(s, t, f, err))
        return true;
    if (err->kind == ERROR_DATA)
        err->table = t->oid;
    return false;
}

bool sink_wanted_give(struct sink *s, struct error *err)
{
    struct fetched *f;
    int64_t reach;
    int i;

    if (s->fetched == NULL || s->tx_open || s->open)
        return true;
    for (i = 0; i < s->ntables; i++) {
        if (s->tables[i]->touched)
            return true; /* to be applied first */
    }
    reach = s->p->o.source->position_csn(batch_reach(s));
    for (f = s->fetched; f != NULL; f = f->next_given) {
        if (f->given || reach < f->s)
            continue;
        if (!give(s, f, err))
            return false;
        s->news |= f->taken > 0;
    }
    for (i = 0; i < s->ntables; i++) {
        if (s->tables[i]->touched)
            return true;
    }
    end_given(s);
    return true;
}
