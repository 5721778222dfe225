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

#include "source_postgres/catalog.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_EVERY_MS 5000
#define WATCH_REST 20      /* waits at least so many times the duration of the last answer */
#define ATTACHED_PAGES 128 /* pages of a new leaf that are searched for old rows */

struct leaf {
    uint32_t oid, root, file;
    uint64_t attributes;
    uint64_t membership;
    unsigned round; /* when it was last seen */
};

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
    bool busy;
    unsigned round;
    int64_t asked_ms, next_ms;
};

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

/* Columns of the query below. */
enum {
    W_ROOT,
    W_OID,
    W_FILE,
    W_ATTRIBUTES,
    W_MEMBER,
    W_NAME,
    W_FILE_NEW,
    W_ALTERED,
    W_ATTACHED,
    W_IDENTITY,
    W_ODD
};

/* A hash of xmins as a number: the first 15 hex digits of its MD5. */
#define HASH "('x' || substr(md5(%s%s), 1, 15))::bit(60)::bigint"

/* The slot's bound, the publication, and every relation with rows below the tables. */
static void watch_ctes(const struct source *s, const char *oids, struct buf *sql)
{
    buf_puts(sql, "WITH RECURSIVE slot AS (SELECT age(catalog_xmin) AS bound FROM "
                  "pg_catalog.pg_replication_slots WHERE slot_name = ");
    buf_sql_string(sql, s->settings.slot);
    buf_puts(sql, "), pub AS (SELECT p.oid, p.xmin, p.puballtables FROM "
                  "pg_catalog.pg_publication p WHERE p.pubname = ");
    buf_sql_string(sql, s->settings.publication);
    buf_printf(sql,
               "), t(root, oid, attached) AS (SELECT r, r, NULL::xid FROM unnest('{%s}'::oid[]) r "
               "UNION ALL SELECT t.root, i.inhrelid, i.xmin FROM t JOIN pg_catalog.pg_class p ON "
               "p.oid = t.oid AND p.relkind = 'p' JOIN pg_catalog.pg_inherits i ON i.inhparent = "
               "t.oid) ",
               oids);
}

static const char member_sql[] =
    "pub.xmin::text || ':' || coalesce((SELECT r.xmin::text FROM pg_catalog.pg_publication_rel r "
    "WHERE r.prpubid = pub.oid AND r.prrelid = t.root), CASE WHEN pub.puballtables THEN 'all' "
    "ELSE '' END)";
static const char schema_member_sql[] = /* 15+ */
    " || ':' || coalesce((SELECT m.xmin::text FROM pg_catalog.pg_publication_namespace m JOIN "
    "pg_catalog.pg_class r ON r.oid = t.root AND m.pnnspid = r.relnamespace WHERE m.pnpubid = "
    "pub.oid), '')";

static void watch_sql(const struct source *s, const char *oids, struct buf *sql)
{
    watch_ctes(s, oids, sql);
    buf_printf(sql,
               "SELECT t.root, c.oid, c.relfilenode, (SELECT " HASH
               " FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0), ",
               "coalesce(string_agg(a.attnum || ':' || a.xmin, ',' ORDER BY a.attnum), '')", "");
    buf_printf(sql, "(SELECT " HASH " FROM pub), ", member_sql,
               s->facts.version >= 150000 ? schema_member_sql : "");
    /* Changed by a transaction that the slot still needs, after the relation was made. */
    buf_puts(sql, "n.nspname || '.' || c.relname, "
                  "c.xmin <> y.xmin AND age(c.xmin) <= slot.bound, "
                  "EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND "
                  "a.attnum > 0 AND a.xmin <> y.xmin AND age(a.xmin) <= slot.bound), "
                  "age(t.attached) <= slot.bound, c.relreplident, "
                  "c.relkind <> 'r' OR c.relpersistence <> 'p' "
                  "FROM t JOIN pg_catalog.pg_class c ON c.oid = t.oid AND c.relkind <> 'p' "
                  "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                  "JOIN pg_catalog.pg_type y ON y.oid = c.reltype LEFT JOIN slot ON true");
}

static void take_leaf(const PGresult *res, int i, struct leaf *l)
{
    memset(l, 0, sizeof(*l));
    l->root = (uint32_t)pg_int(res, i, W_ROOT);
    l->oid = (uint32_t)pg_int(res, i, W_OID);
    l->file = (uint32_t)pg_int(res, i, W_FILE);
    l->attributes = (uint64_t)pg_int(res, i, W_ATTRIBUTES);
    l->membership = (uint64_t)pg_int(res, i, W_MEMBER);
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
        take_leaf(res, i, &n->leaves[n->n++]);
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
    return pg_conn_open(&w->conn, &w->source->target, "watch", false, err);
}

void watch_stop(struct watch *w)
{
    pg_conn_close(w->conn);
    w->conn = NULL;
    w->busy = false;
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
static bool has_old_rows(struct watch *w, uint32_t oid, bool *found, struct error *err)
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
    if (!pg_query(w->conn, "looking at a partition", sql, &res, err))
        return strncmp(err->sqlstate, "42", 2) == 0; /* dropped or altered meanwhile: unknown */
    *found = pg_bool(res, 0, 0);
    PQclear(res);
    return true;
}

/* A relation that nothing is known of: the process was started again, or the leaf is new. */
static bool judge_unknown(struct watch *w, const PGresult *res, int i, const struct leaf *l,
                          bool root_known, const struct change_sink *sink, struct error *err)
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
    if (!has_old_rows(w, l->oid, &old_rows, err))
        return false;
    return !old_rows || want(w, l->root, sink, err, name, "was attached as a partition with rows");
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
    bool ok;

    take_leaf(res, i, &now);
    now.round = w->round;
    old = map_get_u32(w->leaves, now.oid);
    if (map_get_u32(w->added, now.root) != NULL)
        ok = want(w, now.root, sink, err, "", "it was not in the publication for a while");
    else if (old != NULL)
        ok = judge_known(w, res, i, old, &now, sink, err);
    else
        ok = judge_unknown(w, res, i, &now, map_get_u32(w->roots, now.root) != NULL, sink, err);
    ok = ok && judge_leaf(w, res, i, &now, sink, err);
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

static bool take_answer(struct watch *w, const struct change_sink *sink, struct error *err)
{
    PGresult *first = NULL, *last = NULL;
    int64_t now = clock_mono_ms();
    bool ok;

    first = PQgetResult(w->conn->pg);
    if (first != NULL && PQresultStatus(first) == PGRES_TUPLES_OK)
        heard_end(w->source, first);
    PQclear(first);
    ok = pg_receive(w->conn, "watching the catalogue", -1, &last, err);
    w->busy = false;
    w->next_ms = now + WATCH_EVERY_MS;
    if (w->next_ms < now + WATCH_REST * (now - w->asked_ms))
        w->next_ms = now + WATCH_REST * (now - w->asked_ms);
    ok = ok && judge_all(w, last, sink, err);
    PQclear(last);
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
    if (!PQconsumeInput(w->conn->pg)) {
        PGresult *res = NULL;

        /* The server's last words, if there are any, say more than that the socket closed. */
        if (pg_receive(w->conn, "watching the catalogue", now + 100, &res, err) && res == NULL)
            error_set(err, ERROR_RETRY, "watching the catalogue: connection lost");
        PQclear(res);
        return false;
    }
    if (PQflush(w->conn->pg) > 0 || PQisBusy(w->conn->pg))
        return true;
    return take_answer(w, sink, err);
}
