/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row for each relation with rows (a table, or a leaf of a partitioned one), of:
 *
 * - relfilenode: another file holds the rows. Together with a changed pg_attribute row that is an
 *   ALTER that rewrote rows (TRUNCATE is an event, VACUUM FULL changes no row). Of a leaf under a
 *   published root TRUNCATE is no event, so that a new file alone is enough;
 * - a leaf that is gone: its rows left the table. One that is new: rows that are older than its
 *   attachment were never in the log;
 * - what makes the table part of the publication, as the xmins of the catalogue's rows;
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
#include "util/buf.h"
#include "util/clock.h"
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_EVERY_MS 5000
#define WATCH_REST 20      /* waits at least so many times the duration of the last answer */
#define ATTACHED_PAGES 128 /* pages of a new leaf that are searched for old rows */

/* The catalogue as of one point. */
struct noted {
    struct noted *next;
    int64_t csn;
    int n;
    struct leaf *leaves;
};

struct watch {
    struct source *source;
    struct noted *noted;
    struct map *leaves; /* struct leaf by oid: what is vouched for */
    struct map *roots;  /* oids of tables with any leaf that was vouched for before this round */
    struct map *added;  /* oids that prepare added to the publication */
    /* While streaming: */
    struct relations *relations;
    struct pg_conn *conn;
    struct buf sql;
    bool busy;                        /* an answer is on its way */
    PGresult *end_of_log, *catalogue; /* of it, as far as it has come */
    unsigned round;
    int64_t asked_ms, next_ms;
};

static void drop_answers(struct watch *w)
{
    PQclear(w->end_of_log);
    PQclear(w->catalogue);
    w->end_of_log = w->catalogue = NULL;
    w->busy = false;
}

struct watch *watch_new(struct source *s)
{
    struct watch *w = mem_calloc(1, sizeof(*w));

    w->source = s;
    w->leaves = map_new();
    w->added = map_new();
    return w;
}

static void forget_noted(struct watch *w)
{
    while (w->noted != NULL) {
        struct noted *n = w->noted;

        w->noted = n->next;
        mem_free(n->leaves);
        mem_free(n);
    }
}

void watch_free(struct watch *w)
{
    struct leaf *l;
    size_t at = 0;

    if (w == NULL)
        return;
    watch_stop(w);
    forget_noted(w);
    while ((l = map_next(w->leaves, &at)) != NULL)
        mem_free(l);
    map_free(w->leaves);
    map_free(w->roots);
    map_free(w->added);
    buf_free(&w->sql);
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

static void vouch(struct watch *w, const struct leaf *l)
{
    struct leaf *mine = map_get_u32(w->leaves, l->oid);

    if (mine == NULL) {
        mine = mem_calloc(1, sizeof(*mine));
        map_put_u32(w->leaves, l->oid, mine);
    }
    *mine = *l;
}

/* Forgets what was known of a table. */
static void forget(struct watch *w, uint32_t root)
{
    bool found = true;

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

/* Tables that were copied at a point which is known here are held against the catalogue of then. */
static void adopt(struct watch *w, const struct stream_table *t)
{
    const struct noted *n;
    int i;

    for (n = w->noted; n != NULL && n->csn != t->s; n = n->next)
        ;
    if (n == NULL)
        return;
    forget(w, t->table->oid);
    for (i = 0; i < n->n; i++) {
        if (n->leaves[i].root == t->table->oid)
            vouch(w, &n->leaves[i]);
    }
    map_remove(w->added, &t->table->oid, sizeof(t->table->oid));
}

bool watch_start(struct watch *w, struct relations *rs, const struct stream_table *tables, int n,
                 struct error *err)
{
    struct buf oids = {0};
    int i;

    watch_stop(w);
    w->relations = rs;
    for (i = 0; i < n; i++) {
        if (tables[i].skip)
            continue;
        adopt(w, &tables[i]);
        buf_printf(&oids, "%s%u", oids.len > 0 ? "," : "", tables[i].table->oid);
    }
    forget_noted(w);
    buf_reset(&w->sql);
    buf_puts(&w->sql, "SELECT pg_catalog.pg_current_wal_flush_lsn(); ");
    watch_sql(w->source, buf_cstr(&oids), &w->sql);
    buf_free(&oids);
    w->next_ms = 0;
    /* A partition that is locked is looked at later: the stream must not wait for it. */
    return pg_conn_open(&w->conn, &w->source->target, "watch", false, err) &&
           pg_query(w->conn, "setting up the session", "SET lock_timeout = '1s'", NULL, err);
}

void watch_stop(struct watch *w)
{
    drop_answers(w);
    pg_conn_close(w->conn);
    w->conn = NULL;
    w->relations = NULL;
}

static bool want(struct watch *w, uint32_t root, const struct change_sink *sink, struct error *err,
                 const char *name, const char *what)
{
    struct relation *rel = map_get_u32(w->relations->by_oid, root);
    char why[320];

    if (rel == NULL || rel->skip)
        return true;
    snprintf(why, sizeof(why), "%s%s%s", name, name[0] != '\0' ? " " : "", what);
    return relations_refuse(rel, sink, why, err);
}

/* Rows that are older than the attachment, by transaction or by command, were written outside the
 * table. They lie at the start; if they cannot be looked at, they count as there. */
static bool has_old_rows(struct watch *w, uint32_t oid, bool *found, bool *locked,
                         struct error *err)
{
    char sql[512];
    char name[300];
    PGresult *res;

    snprintf(sql, sizeof(sql), "SELECT %u::regclass WHERE has_table_privilege(%u, 'SELECT')", oid,
             oid);
    if (!pg_query(w->conn, "looking at a partition", sql, &res, err))
        return false;
    *found = PQntuples(res) == 0;
    if (!*found)
        snprintf(name, sizeof(name), "%s", PQgetvalue(res, 0, 0));
    PQclear(res);
    if (*found)
        return true;
    snprintf(sql, sizeof(sql),
             "SELECT EXISTS (SELECT FROM ONLY %s x, pg_catalog.pg_inherits i WHERE i.inhrelid = %u "
             "AND (age(x.xmin) > age(i.xmin) OR (x.xmin = i.xmin AND x.cmin::text::bigint < "
             "i.cmin::text::bigint)) AND x.ctid < '(%d,0)'::tid)",
             name, oid, ATTACHED_PAGES);
    *found = true;
    if (!pg_query(w->conn, "looking at a partition", sql, &res, err)) {
        *locked = strcmp(err->sqlstate, "55P03") == 0;
        return *locked || strncmp(err->sqlstate, "42", 2) == 0; /* dropped meanwhile: unknown */
    }
    *found = pg_bool(res, 0, 0);
    PQclear(res);
    return true;
}

/* A relation that nothing is known of: the process was started again, or the leaf is new. */
static bool judge_unknown(struct watch *w, const PGresult *res, int i, const struct leaf *l,
                          bool root_known, bool *locked, const struct change_sink *sink,
                          struct error *err)
{
    const char *name = PQgetvalue(res, i, W_NAME);
    const struct relation *rel = map_get_u32(w->relations->by_oid, l->root);
    bool leaf = l->oid != l->root;
    bool old_rows = false;

    if (!leaf) {
        uint32_t file = rel != NULL && rel->table != NULL ? rel->table->relfilenode : 0;

        if (file != 0 && file != l->file && pg_bool(res, i, W_ALTERED))
            return want(w, l->root, sink, err, "", "its rows were rewritten by an ALTER TABLE");
        return true;
    }
    if (!root_known && pg_bool(res, i, W_FILE_NEW))
        return want(w, l->root, sink, err, name,
                    "(a partition) may have been truncated or rewritten");
    if (!root_known && !pg_bool(res, i, W_ATTACHED))
        return true;
    if (!has_old_rows(w, l->oid, &old_rows, locked, err))
        return false;
    return !old_rows || *locked ||
           want(w, l->root, sink, err, name, "was attached as a partition with rows");
}

static bool judge_known(struct watch *w, const PGresult *res, int i, const struct leaf *old,
                        const struct leaf *now, const struct change_sink *sink, struct error *err)
{
    const char *name = PQgetvalue(res, i, W_NAME);

    if (now->oid == now->root && old->file != now->file && old->attributes != now->attributes)
        return want(w, now->root, sink, err, "", "its rows were rewritten by an ALTER TABLE");
    if (now->oid != now->root && old->file != now->file)
        return want(w, now->root, sink, err, name, "(a partition) was truncated or rewritten");
    if (old->membership != now->membership)
        return want(w, now->root, sink, err, "", "the publication was altered");
    return true;
}

/* A leaf whose changes the log does not carry, or labels wrongly. */
static bool judge_leaf(struct watch *w, const PGresult *res, int i, const struct leaf *l,
                       const struct change_sink *sink, struct error *err)
{
    const struct relation *rel = map_get_u32(w->relations->by_oid, l->root);
    char identity = PQgetvalue(res, i, W_IDENTITY)[0];
    char root = rel != NULL && rel->table != NULL ? rel->table->replica_identity : identity;
    const char *name = PQgetvalue(res, i, W_NAME);

    if (l->oid == l->root)
        return true;
    if (pg_bool(res, i, W_ODD))
        return want(w, l->root, sink, err, name, "(a partition) is not in the log");
    if (identity != root && !(root == 'd' && identity == 'f'))
        return want(w, l->root, sink, err, name, "(a partition) has another replica identity");
    return true;
}

static bool judge_row(struct watch *w, const PGresult *res, int i, const struct change_sink *sink,
                      struct error *err)
{
    struct leaf now;
    const struct leaf *old;
    bool locked = false;
    bool ok;

    watch_take_leaf(res, i, &now);
    now.round = w->round;
    old = map_get_u32(w->leaves, now.oid);
    if (map_get_u32(w->added, now.root) != NULL)
        ok = want(w, now.root, sink, err, "", "it was not in the publication for a while");
    else if (old != NULL)
        ok = judge_known(w, res, i, old, &now, sink, err);
    else
        ok = judge_unknown(w, res, i, &now, map_get_u32(w->roots, now.root) != NULL, &locked, sink,
                           err);
    ok = ok && judge_leaf(w, res, i, &now, sink, err);
    if (!locked)
        vouch(w, &now);
    return ok;
}

/* Leaves that were there the last time. */
static bool judge_gone(struct watch *w, const struct change_sink *sink, struct error *err)
{
    const struct leaf *l;
    size_t at = 0;

    while ((l = map_next(w->leaves, &at)) != NULL) {
        if (l->round != w->round && l->oid != l->root &&
            !want(w, l->root, sink, err, "", "a partition was detached or dropped"))
            return false;
    }
    return true;
}

static bool judge_all(struct watch *w, const PGresult *res, const struct change_sink *sink,
                      struct error *err)
{
    struct leaf *l;
    size_t at = 0;
    int i;

    w->round++;
    map_free(w->roots);
    w->roots = map_new();
    while ((l = map_next(w->leaves, &at)) != NULL)
        map_put_u32(w->roots, l->root, w);
    for (i = 0; i < PQntuples(res); i++) {
        if (!judge_row(w, res, i, sink, err))
            return false;
    }
    return judge_gone(w, sink, err);
}

static void heard_end(struct source *s, const PGresult *res)
{
    uint64_t end, old = atomic_load(&s->wal_end);

    if (PQntuples(res) != 1 || !pg_lsn_parse(PQgetvalue(res, 0, 0), &end))
        return;
    while (old < end && !atomic_compare_exchange_weak(&s->wal_end, &old, end))
        ;
}

/* Takes what has arrived of the two results; *complete once nothing more comes. */
static bool take_results(struct watch *w, bool *complete, struct error *err)
{
    *complete = false;
    while (!PQisBusy(w->conn->pg)) {
        PGresult *res = PQgetResult(w->conn->pg);

        *complete = res == NULL;
        if (res == NULL)
            return w->catalogue != NULL ||
                   error_set(err, ERROR_RETRY, "watching the catalogue: no answer");
        if (PQresultStatus(res) != PGRES_TUPLES_OK) {
            pg_error_result(PG_SOURCE, err, w->conn->pg, res, "watching the catalogue");
            PQclear(res);
            return false;
        }
        if (w->end_of_log == NULL) {
            w->end_of_log = res;
        } else {
            PQclear(w->catalogue);
            w->catalogue = res;
        }
    }
    return true;
}

static bool take_answer(struct watch *w, const struct change_sink *sink, struct error *err)
{
    int64_t now = clock_mono_ms();
    bool complete;
    bool ok;

    if (!take_results(w, &complete, err))
        return false;
    if (!complete)
        return true;
    heard_end(w->source, w->end_of_log);
    w->next_ms = now + WATCH_EVERY_MS;
    if (w->next_ms < now + WATCH_REST * (now - w->asked_ms))
        w->next_ms = now + WATCH_REST * (now - w->asked_ms);
    ok = judge_all(w, w->catalogue, sink, err);
    drop_answers(w);
    return ok;
}

bool watch_poll(struct watch *w, const struct change_sink *sink, struct error *err)
{
    int64_t now = clock_mono_ms();

    if (w->conn == NULL || (!w->busy && now < w->next_ms))
        return true;
    if (!w->busy) {
        w->busy = true;
        w->asked_ms = now;
        return pg_send(w->conn, "watching the catalogue", buf_cstr(&w->sql), err);
    }
    if (!PQconsumeInput(w->conn->pg))
        return pg_error_lost(PG_SOURCE, err, w->conn->pg, "watching the catalogue");
    return PQflush(w->conn->pg) > 0 || take_answer(w, sink, err);
}

int64_t watch_unanswered_ms(const struct watch *w, int64_t now_ms)
{
    return w->conn != NULL && w->busy ? now_ms - w->asked_ms : 0;
}
