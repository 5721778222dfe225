/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts a large table by ranges of its first key column, so that a copy of it which is interrupted
 * goes on where it was, under another point. Bounds come from a sample of pages, read under the
 * point's snapshot, which knows duplicates and today's rows where the planner's statistics may not;
 * they need not be good to be right: any increasing bounds hold every key exactly once.
 *
 * Only types whose order the engine knows too: integers, uuid, date, timestamps, bytea, text that
 * is compared by its bytes. Where one value of the column holds a good part of the rows, or
 * whatever the sample cannot be had for, the table is cut by pages.
 *
 * Where keys are strewn over the pages each range reads most of them: there are few ranges then.
 */
#include "source_postgres/snapshot_internal.h"

#include "load/ranges.h"
#include "load/text.h"
#include "source_postgres/catalog.h"
#include "source_postgres/pg_value.h"
#include "util/log.h"
#include "util/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 8192
#define CHUNKS_PER_RANGE 4
#define MAX_RANGES 4000
#define SCATTERED_RANGES 8
#define SCATTERED 0.5      /* correlation of key and place below this */
#define PAGES_PER_RANGE 30 /* of the sample */
#define MAX_WEIGHT 4       /* a range may hold so many times what it should */

/* Built-in types: no domain, no other type of the same kind. */
static const struct {
    uint32_t oid;
    enum type_kind kind;
    const char *name;
} key_types[] = {
    {21, TYPE_INT16, "int2"},
    {23, TYPE_INT32, "int4"},
    {20, TYPE_INT64, "int8"},
    {2950, TYPE_UUID, "uuid"},
    {1082, TYPE_DATE, "date"},
    {1114, TYPE_TIMESTAMP, "timestamp"},
    {1184, TYPE_TIMESTAMPTZ, "timestamptz"},
    {17, TYPE_BYTES, "bytea"},
    {25, TYPE_TEXT, "text"},
    {1043, TYPE_TEXT, "text"},
};

static const char *key_type(const struct column *c)
{
    size_t i;

    for (i = 0; i < sizeof(key_types) / sizeof(key_types[0]); i++) {
        if (key_types[i].oid == c->type_oid && key_types[i].kind == c->kind)
            return key_types[i].name;
    }
    return NULL;
}

/* --- reading a range --- */

static bool put_bound(struct buf *sql, const struct column *c, const char *op, const char *bound,
                      struct error *err)
{
    struct arena *a = arena_new("bound");
    struct buf text = {0};
    struct value v;
    bool ok = key_type(c) != NULL && ranges_bound_parse(c->kind, bound, a, &v);

    if (ok) {
        value_to_text(&text, c->kind, &v);
        buf_puts(sql, " AND ");
        buf_sql_ident(sql, c->name);
        buf_printf(sql, " %s ", op);
        buf_sql_string(sql, buf_cstr(&text));
        buf_printf(sql, "::pg_catalog.%s", key_type(c));
    } else {
        error_set(err, ERROR_DATA, "column %s: its ranges of keys are of another type", c->name);
        if (err != NULL)
            err->reload = true;
    }
    buf_free(&text);
    arena_free(a);
    return ok;
}

bool snapshot_range_where(struct buf *sql, const struct table *t, const struct chunk *c,
                          struct error *err)
{
    const struct column *key = t->nkeys > 0 ? &t->cols[t->keys[0]] : NULL;

    if (key == NULL && (c->from_key != NULL || c->to_key != NULL))
        return error_set(err, ERROR_FATAL, "%s.%s: ranges of keys without a key", t->schema,
                         t->name);
    return (c->from_key == NULL || put_bound(sql, key, ">=", c->from_key, err)) &&
           (c->to_key == NULL || put_bound(sql, key, "<", c->to_key, err));
}

/*
 * The column's collation compares bytes, and the bytes are those that we see. Asked of the parser,
 * which works with the column as it is now: the catalogue would answer as of the point's snapshot.
 */
static bool compares_bytes(const struct source *s, struct pg_conn *c, const struct table *t,
                           const char *name, bool *yes, struct error *err)
{
    struct buf sql = {0};
    PGresult *res;
    bool ok;

    *yes = strcmp(s->facts.encoding, "UTF8") == 0;
    if (!*yes)
        return true;
    buf_puts(&sql, "SELECT f.c IN ('\"C\"', '\"POSIX\"') OR (f.c = '\"default\"' AND d.datcollate "
                   "IN ('C', 'POSIX')");
    buf_puts(&sql, s->facts.version >= 150000 ? " AND d.datlocprovider = 'c'" : "");
    buf_puts(&sql, ") FROM (SELECT pg_catalog.pg_collation_for((SELECT ");
    buf_sql_ident(&sql, t->cols[t->keys[0]].name);
    buf_printf(&sql,
               " FROM ONLY %s LIMIT 0)) AS c) f, pg_catalog.pg_database d WHERE d.datname = "
               "pg_catalog.current_database()",
               name);
    ok = pg_query(c, "looking up a collation", buf_cstr(&sql), &res, err);
    buf_free(&sql);
    if (!ok)
        return false;
    *yes = PQntuples(res) == 1 && pg_bool(res, 0, 0);
    PQclear(res);
    return true;
}

bool snapshot_check_order(struct source_reader *r, const struct table *t, const struct chunk *c,
                          const char *name, struct error *err)
{
    bool same;

    if ((c->from_key == NULL && c->to_key == NULL) || t->nkeys == 0 ||
        t->cols[t->keys[0]].kind != TYPE_TEXT)
        return true;
    return compares_bytes(r->point->s, r->conn, t, name, &same, err) &&
           (same || snapshot_rewritten(t, "given another collation", err));
}

/* --- choosing bounds --- */

struct cutting {
    const struct source *s;
    struct pg_conn *conn;
    struct arena *arena;
    const struct table *table;
    uint32_t rel;
    double blocks; /* of its heap, about */
    const struct column *key;
    int wanted; /* ranges */
    const char **bounds;
    int nbounds;
};

/* Its rows lie in one file of its own, and its key's first column is of a type that we know. */
static bool may_cut(const struct source *s, const struct source_table *st)
{
    const struct table *t = st->table;

    return t->est_bytes > s->settings.key_chunk_bytes && !t->partitioned && st->nchunks > 0 &&
           st->chunks[0].rel == t->oid && t->nkeys > 0 && t->row_filter == NULL &&
           key_type(&t->cols[t->keys[0]]) != NULL && !t->cols[t->keys[0]].nullable;
}

static bool query_sample(struct cutting *k, PGresult **res, struct error *err)
{
    double pages = (double)PAGES_PER_RANGE * k->wanted;
    double percent = k->blocks <= pages ? 100.0 : 100.0 * pages / k->blocks;
    struct buf sql = {0};
    bool ok;

    /* Of each bucket its first key; how well the order of keys is that of the rows' places. */
    buf_printf(&sql,
               "SELECT DISTINCT ON (b) b, k, pg_catalog.corr(i, j) OVER () FROM (SELECT k, "
               "pg_catalog.ntile(%d) OVER w AS b, pg_catalog.row_number() OVER w AS i, "
               "pg_catalog.row_number() OVER (ORDER BY c) AS j FROM (SELECT ",
               k->wanted);
    buf_sql_ident(&sql, k->key->name);
    buf_puts(&sql, " AS k, ctid AS c FROM ONLY ");
    catalog_qualified(&sql, k->table->schema, k->table->name);
    buf_printf(&sql,
               " TABLESAMPLE SYSTEM (%.6f)) s WHERE k IS NOT NULL WINDOW w AS (ORDER BY k)) r "
               "ORDER BY b, k",
               percent);
    ok = pg_query(k->conn, "sampling keys", buf_cstr(&sql), res, err);
    buf_free(&sql);
    return ok;
}

/* The text of row i's key; its value lives in the arena. */
static bool take_key(struct cutting *k, const PGresult *res, int i, struct value *v)
{
    char *text = arena_strndup(k->arena, PQgetvalue(res, i, 1), (size_t)PQgetlength(res, i, 1));
    struct error err;

    v->state = VALUE_SET;
    return pg_value_parse(k->key, text, strlen(text), k->arena, v, &err);
}

static void add_bound(struct cutting *k, const struct value *v)
{
    struct buf text = {0};

    ranges_bound_text(&text, k->key->kind, v);
    k->bounds[k->nbounds++] = arena_strdup(k->arena, buf_cstr(&text));
    buf_free(&text);
}

/* False: they are no good. The first bucket's first key is no bound: that range is open. */
static bool take_bounds(struct cutting *k, const PGresult *res)
{
    int n = PQntuples(res), step, i, from = 0;
    double corr = n > 0 && !PQgetisnull(res, 0, 2) ? atof(PQgetvalue(res, 0, 2)) : 0;
    struct value last, v;

    if (n < 2 || !take_key(k, res, 0, &last))
        return false;
    step = fabs(corr) >= SCATTERED || n <= SCATTERED_RANGES ? 1 : n / SCATTERED_RANGES;
    k->bounds = arena_calloc(k->arena, (size_t)n, sizeof(*k->bounds));
    for (i = step; i < n; i += step) {
        int order;

        if (!take_key(k, res, i, &v))
            return false;
        order = ranges_compare(k->key->kind, &last, &v);
        if (order > 0)
            return false; /* the server's order is not ours */
        if (order == 0)
            continue;
        if (i - from > MAX_WEIGHT * step)
            return false;
        add_bound(k, &v);
        last = v;
        from = i;
    }
    return n - from <= MAX_WEIGHT * step && k->nbounds > 0;
}

static void make_chunks(struct cutting *k, struct source_table *st)
{
    int i;

    st->nchunks = k->nbounds + 1;
    st->chunks = arena_calloc(k->arena, (size_t)st->nchunks, sizeof(*st->chunks));
    for (i = 0; i < st->nchunks; i++) {
        struct chunk *c = &st->chunks[i];

        c->number = i;
        c->rel = k->rel;
        c->to = UINT64_MAX;
        c->from_key = i > 0 ? k->bounds[i - 1] : NULL;
        c->to_key = i < k->nbounds ? k->bounds[i] : NULL;
    }
}

static bool sample(struct cutting *k, struct source_table *st, struct error *err)
{
    const struct table *t = k->table;
    PGresult *res;

    if (!query_sample(k, &res, err))
        return false;
    if (take_bounds(k, res)) {
        make_chunks(k, st);
        log_info("table is cut by ranges of its key table=%s.%s ranges=%d", t->schema, t->name,
                 st->nchunks);
    } else {
        log_info("table is not cut by ranges of its key, for one value holds too many rows "
                 "table=%s.%s column=%s",
                 t->schema, t->name, k->key->name);
    }
    PQclear(res);
    return true;
}

static bool cut(struct cutting *k, struct source_table *st, struct error *err)
{
    struct buf name = {0};
    bool usable = true, ok;

    catalog_qualified(&name, k->table->schema, k->table->name);
    ok = k->key->kind != TYPE_TEXT ||
         compares_bytes(k->s, k->conn, k->table, buf_cstr(&name), &usable, err);
    buf_free(&name);
    return ok && (!usable || sample(k, st, err));
}

bool snapshot_point_cut(struct source_point *p, struct arena *a, struct source_table *st,
                        struct error *err)
{
    const struct table *t = st->table;
    int64_t bytes = p->s->settings.chunk_pages * PAGE_BYTES * CHUNKS_PER_RANGE;
    struct cutting k = {.s = p->s, .arena = a, .table = t};
    bool ok;

    if (!may_cut(p->s, st))
        return true;
    k.key = &t->cols[t->keys[0]];
    k.rel = st->chunks[0].rel;
    k.blocks = (double)st->nchunks * (double)p->s->settings.chunk_pages;
    k.wanted = t->est_bytes / bytes < MAX_RANGES ? (int)(t->est_bytes / bytes) : MAX_RANGES;
    if (k.wanted < 2)
        k.wanted = 2;
    ok = pg_conn_open(&k.conn, &p->s->target, "tables", false, err) &&
         point_import(k.conn, p->snapshot, err);
    if (ok && !cut(&k, st, err)) {
        ok = err->sqlstate[0] != '\0' && pg_conn_alive(k.conn);
        if (ok) /* renamed or dropped since, or not to be read: who reads its rows says so */
            log_failure(LOG_DEBUG, "keys not sampled", err);
    }
    pg_conn_close(k.conn);
    return ok;
}
