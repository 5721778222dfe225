/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row for each relation with rows (a table, or a leaf of a partitioned one), of:
 *
 * - relfilenode: another file holds the rows. Together with a changed pg_attribute row that is an
 *   ALTER that rewrote rows (TRUNCATE is an event, VACUUM FULL changes no row). Of a leaf under a
 *   published root TRUNCATE is no event, so that a new file alone is enough;
 * - a leaf that is gone: its rows left the table. One that is new: rows that are older than its
 *   attachment were never in the log;
 * - what makes the table part of the publication, as the oids of the catalogue's rows, which the
 *   engine keeps with the table, over restarts too;
 * - the replica identity of a leaf, which decides what its old rows hold, against its root's.
 *
 * They are compared with those as of the table's point, which are kept by the point's CSN until
 * the stream starts with a table of that S. After a restart of the process there are none: then
 * the slot's catalog_xmin bounds from below every transaction that the checkpoint does not
 * contain, and what such a one changed counts as changed; that may load a table once more than
 * needed, never less.
 *
 * The same session asks for the end of the log, since a keepalive tells it only when the server
 * has nothing better to send.
 */
#include "source_postgres/watch.h"

#include "common/pg_error.h"
#include "source_postgres/catalog.h"
#include "source_postgres/watch_internal.h"
#include "util/clock.h"
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_EVERY_MS 5000
#define WATCH_REST 20 /* waits at least so many times the duration of the last answer */
#define NOTES_KEPT 8  /* of points that are closed */

static void drop_answers(struct watch *w)
{
    while (w->nanswers > 0)
        PQclear(w->answers[--w->nanswers]);
    w->busy = false;
    map_free(w->overtaken);
    w->overtaken = map_new();
}

struct watch *watch_new(struct source *s)
{
    struct watch *w = mem_calloc(1, sizeof(*w));

    w->source = s;
    w->leaves = map_new();
    w->added = map_new();
    w->overtaken = map_new();
    w->sighted = map_new();
    w->suspects = map_new();
    return w;
}

/* Forgets the notes of closed points but for the newest `keep` of them. */
static void forget_noted(struct watch *w, bool open_too, int keep)
{
    struct noted **at = &w->noted;

    while (*at != NULL) {
        struct noted *n = *at;

        if ((!n->closed && !open_too) || (n->closed && keep-- > 0)) {
            at = &n->next;
            continue;
        }
        *at = n->next;
        mem_free(n->leaves);
        mem_free(n);
    }
}

void watch_point_closed(struct watch *w, int64_t csn)
{
    struct noted *n;

    for (n = w->noted; n != NULL; n = n->next)
        n->closed |= n->csn == csn;
    forget_noted(w, false, NOTES_KEPT);
}

static void free_all(struct map *m)
{
    size_t at = 0;
    void *one;

    while ((one = map_next(m, &at)) != NULL)
        mem_free(one);
    map_free(m);
}

void watch_free(struct watch *w)
{
    if (w == NULL)
        return;
    watch_stop(w);
    forget_noted(w, true, 0);
    free_all(w->leaves);
    free_all(w->sighted);
    free_all(w->suspects);
    map_free(w->roots);
    map_free(w->added);
    map_free(w->overtaken);
    mem_free(w->look);
    buf_free(&w->sql);
    buf_free(&w->asking);
    mem_free(w);
}

bool watch_note(struct watch *w, struct pg_conn *c, int64_t csn, const struct catalog *cat,
                struct error *err)
{
    struct buf oids = {0}, sql = {0};
    struct noted *n;
    PGresult *res;
    bool ok;
    int i;

    for (i = 0; i < cat->n; i++) {
        if (cat->tables[i].refused == NULL)
            buf_printf(&oids, "%s%u", oids.len > 0 ? "," : "", cat->tables[i].table->oid);
    }
    watch_sql(w->source, buf_cstr(&oids), &sql);
    ok = pg_query(c, "noting the catalogue", buf_cstr(&sql), &res, err);
    buf_free(&oids);
    buf_free(&sql);
    if (!ok)
        return false;
    n = mem_calloc(1, sizeof(*n));
    n->csn = csn;
    n->leaves = mem_calloc((size_t)PQntuples(res) + 1, sizeof(*n->leaves));
    for (i = 0; i < PQntuples(res); i++)
        watch_take_leaf(res, i, &n->leaves[n->n++]);
    PQclear(res);
    n->next = w->noted;
    w->noted = n;
    return true;
}

void watch_added(struct watch *w, uint32_t oid)
{
    map_put_u32(w->added, oid, w);
}

void watch_vouch(struct watch *w, const struct leaf *l)
{
    struct leaf *mine = map_get_u32(w->leaves, l->oid);

    if (mine == NULL || mine->attributes != l->attributes)
        watch_suspect(w, l->root);
    if (mine == NULL) {
        mine = mem_calloc(1, sizeof(*mine));
        map_put_u32(w->leaves, l->oid, mine);
    }
    *mine = *l;
}

void watch_leaf(struct watch *w, uint32_t root, uint32_t leaf)
{
    struct sighted *l;

    if (map_get_u32(w->leaves, leaf) != NULL)
        return; /* it is missed without that */
    l = map_get_u32(w->sighted, leaf);
    if (l == NULL) {
        l = mem_calloc(1, sizeof(*l));
        map_put_u32(w->sighted, leaf, l);
    }
    *l = (struct sighted){.oid = leaf, .root = root};
}

static void forget_sighted(struct watch *w, uint32_t root)
{
    struct sighted *l;
    size_t at = 0;

    while ((l = map_next(w->sighted, &at)) != NULL) {
        if (l->root != root)
            continue;
        map_remove(w->sighted, &l->oid, sizeof(l->oid));
        mem_free(l);
        at = 0; /* a map must not change while it is walked */
    }
}

/* Forgets what was known of a table. */
static void forget(struct watch *w, uint32_t root)
{
    bool found = true;

    forget_sighted(w, root);
    watch_unsuspect(w, root);
    while (found) { /* a map must not change while it is walked */
        struct leaf *l;
        size_t at = 0;

        found = false;
        while (!found && (l = map_next(w->leaves, &at)) != NULL) {
            found = l->root == root;
            if (found) {
                map_remove(w->leaves, &l->oid, sizeof(l->oid));
                mem_free(l);
            }
        }
    }
}

/* Tables that were copied at a point which is known are held against the catalogue of then. */
static void adopt(struct watch *w, uint32_t oid, const struct watch *from, int64_t csn)
{
    const struct noted *n;
    int i;

    for (n = from->noted; n != NULL && n->csn != csn; n = n->next)
        ;
    if (n == NULL)
        return;
    forget(w, oid);
    for (i = 0; i < n->n; i++) {
        if (n->leaves[i].root == oid)
            watch_vouch(w, &n->leaves[i]);
    }
    map_remove(w->added, &oid, sizeof(oid));
}

/* The question for every table whose rows are wanted. */
static void prepare_question(struct watch *w)
{
    const struct relation *rel;
    struct buf oids = {0};
    size_t at = 0;

    while ((rel = map_next(w->relations->by_oid, &at)) != NULL) {
        if (rel->table != NULL && !rel->skip)
            buf_printf(&oids, "%s%u", oids.len > 0 ? "," : "", rel->oid);
    }
    buf_reset(&w->sql);
    buf_puts(&w->sql, "SELECT pg_catalog.pg_current_wal_flush_lsn(); ");
    watch_sql(w->source, buf_cstr(&oids), &w->sql);
    buf_free(&oids);
}

bool watch_start(struct watch *w, struct relations *rs, const struct stream_table *tables, int n,
                 struct error *err)
{
    int i;

    watch_stop(w);
    w->relations = rs;
    for (i = 0; i < n; i++) {
        if (!tables[i].skip)
            adopt(w, tables[i].table->oid, w, tables[i].s);
    }
    forget_noted(w, false, 0);
    prepare_question(w);
    w->next_ms = 0;
    /* A partition that is locked is looked at later: the stream must not wait for it. */
    return pg_conn_open(&w->conn, &w->source->target, "watch", false, err) &&
           pg_query(w->conn, "setting up the session", "SET lock_timeout = '1s'", NULL, err);
}

void watch_table(struct watch *w, uint32_t oid, struct watch *from, int64_t csn)
{
    forget(w, oid);
    if (from != NULL) {
        adopt(w, oid, from, csn);
        map_remove(from->added, &oid, sizeof(oid));
    }
    if (w->busy)
        map_put_u32(w->overtaken, oid, w);
    prepare_question(w);
}

void watch_stop(struct watch *w)
{
    struct sighted *l;
    size_t at = 0;

    drop_answers(w);
    while ((l = map_next(w->sighted, &at)) != NULL)
        l->asked = false;
    pg_conn_close(w->conn);
    w->conn = NULL;
    w->relations = NULL;
    mem_free(w->look);
    w->look = NULL;
}

/* 0: it is not said. */
static uint64_t heard_end(struct source *s, const PGresult *res)
{
    uint64_t end, old = atomic_load(&s->wal_end);

    if (PQntuples(res) != 1 || !pg_lsn_parse(PQgetvalue(res, 0, 0), &end))
        return 0;
    while (old < end && !atomic_compare_exchange_weak(&s->wal_end, &old, end))
        ;
    return end;
}

/* Takes what has arrived of the results; *complete once nothing more comes. */
static bool take_results(struct watch *w, bool *complete, struct error *err)
{
    *complete = false;
    while (!PQisBusy(w->conn->pg)) {
        PGresult *res = PQgetResult(w->conn->pg);

        *complete = res == NULL;
        if (res == NULL)
            return w->nanswers == WATCH_ANSWERS ||
                   error_set(err, ERROR_RETRY, "watching the catalogue: no answer");
        if (PQresultStatus(res) != PGRES_TUPLES_OK) {
            pg_error_result(PG_SOURCE, err, w->conn->pg, res, "watching the catalogue");
            PQclear(res);
            return false;
        }
        if (w->nanswers < WATCH_ANSWERS)
            w->answers[w->nanswers++] = res;
        else
            PQclear(res);
    }
    return true;
}

static bool take_answer(struct watch *w, const struct change_sink *sink, struct error *err)
{
    int64_t now = clock_mono_ms();
    uint64_t end;
    bool complete;
    bool ok;

    if (!take_results(w, &complete, err))
        return false;
    if (!complete)
        return true;
    end = heard_end(w->source, w->answers[WATCH_END]);
    w->next_ms = now + WATCH_EVERY_MS;
    if (w->next_ms < now + WATCH_REST * (now - w->asked_ms))
        w->next_ms = now + WATCH_REST * (now - w->asked_ms);
    ok = watch_judge(w, w->answers[WATCH_CATALOGUE], sink, err) &&
         watch_names_judge(w, w->answers[WATCH_NAMES], end, sink, err);
    drop_answers(w);
    return ok;
}

static bool ask(struct watch *w, int64_t now, struct error *err)
{
    struct sighted *l;
    size_t at = 0;

    w->busy = true;
    w->asked_ms = now;
    while ((l = map_next(w->sighted, &at)) != NULL)
        l->asked = true;
    buf_reset(&w->asking);
    buf_puts(&w->asking, buf_cstr(&w->sql));
    watch_names_sql(w, &w->asking);
    return pg_send(w->conn, "watching the catalogue", buf_cstr(&w->asking), err);
}

bool watch_poll(struct watch *w, const struct change_sink *sink, struct error *err)
{
    int64_t now = clock_mono_ms();

    if (w->conn == NULL || (!w->busy && now < w->next_ms))
        return true;
    if (!w->busy)
        return ask(w, now, err);
    if (!PQconsumeInput(w->conn->pg))
        return pg_error_lost(PG_SOURCE, err, w->conn->pg, "watching the catalogue");
    return PQflush(w->conn->pg) > 0 || take_answer(w, sink, err);
}

int64_t watch_unanswered_ms(const struct watch *w, int64_t now_ms)
{
    return w->conn != NULL && w->busy ? now_ms - w->asked_ms : 0;
}
