/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns, their types (domains followed to their base), and which columns identify a row.
 *
 * Replica identity (PostgreSQL manual, ALTER TABLE): d the primary key, f every column, i an
 * index, n none. An index counts only if valid, unique and immediate. The key is the primary key
 * where the replica identity holds all of its columns, else the identity's index, else none: the
 * rows are a multiset. A deferrable key is no key: two rows can pass through one value.
 *
 * Generated columns are not in the log before PostgreSQL 18, from 18 on where the publication
 * says so.
 */
#include "source_postgres/catalog_internal.h"
#include "source_postgres/pg_default.h"
#include "source_postgres/pg_types.h"
#include "source_postgres/publication.h"

#include <stdlib.h>
#include <string.h>

struct type_row {
    uint32_t oid, base;
    int32_t typmod;
    const char *name;
    bool pg_catalog;
    char type, category;
    const char **labels;
    int nlabels;
};

struct columns_reading {
    struct catalog_reading *r;
    struct map *types; /* struct type_row by oid */
};

static bool query(struct catalog_reading *r, const char *what, struct buf *sql, PGresult **res,
                  struct error *err)
{
    bool ok = pg_query(r->conn, what, buf_cstr(sql), res, err);

    buf_free(sql);
    return ok;
}

/* The types of all columns and what their domains are made of. */
static void types_cte(struct catalog_reading *r, struct buf *sql)
{
    buf_printf(sql,
               "WITH RECURSIVE t(oid) AS (SELECT atttypid FROM pg_catalog.pg_attribute WHERE "
               "attrelid = ANY ('{%s}'::oid[]) AND attnum > 0 AND NOT attisdropped UNION SELECT "
               "y.typbasetype FROM pg_catalog.pg_type y JOIN t USING (oid) WHERE y.typtype = 'd') ",
               buf_cstr(&r->oids));
}

static bool read_types(struct columns_reading *c, struct error *err)
{
    struct catalog_reading *r = c->r;
    struct buf sql = {0};
    PGresult *res;
    int i;

    types_cte(r, &sql);
    buf_puts(&sql, "SELECT y.oid, y.typname, y.typnamespace = 11, y.typtype, y.typcategory, "
                   "y.typbasetype, y.typtypmod FROM pg_catalog.pg_type y JOIN t USING (oid)");
    if (!query(r, "reading types", &sql, &res, err))
        return false;
    for (i = 0; i < PQntuples(res); i++) {
        struct type_row *t = arena_calloc(r->arena, 1, sizeof(*t));

        t->oid = (uint32_t)pg_int(res, i, 0);
        t->name = arena_strdup(r->arena, PQgetvalue(res, i, 1));
        t->pg_catalog = pg_bool(res, i, 2);
        t->type = PQgetvalue(res, i, 3)[0];
        t->category = PQgetvalue(res, i, 4)[0];
        t->base = (uint32_t)pg_int(res, i, 5);
        t->typmod = (int32_t)pg_int(res, i, 6);
        map_put_u32(c->types, t->oid, t);
    }
    PQclear(res);
    return true;
}

static bool read_labels(struct columns_reading *c, struct error *err)
{
    struct catalog_reading *r = c->r;
    struct buf sql = {0};
    PGresult *res;
    int i, n;

    types_cte(r, &sql);
    buf_puts(&sql, "SELECT e.enumtypid, e.enumlabel FROM pg_catalog.pg_enum e JOIN t ON t.oid = "
                   "e.enumtypid ORDER BY e.enumtypid, e.enumsortorder");
    if (!query(r, "reading enum labels", &sql, &res, err))
        return false;
    n = PQntuples(res);
    for (i = 0; i < n;) {
        uint32_t oid = (uint32_t)pg_int(res, i, 0);
        struct type_row *t = map_get_u32(c->types, oid);
        int end = i;

        while (end < n && (uint32_t)pg_int(res, end, 0) == oid)
            end++;
        if (t != NULL) {
            t->labels = arena_calloc(r->arena, (size_t)(end - i), sizeof(*t->labels));
            for (; i < end; i++)
                t->labels[t->nlabels++] = arena_strdup(r->arena, PQgetvalue(res, i, 1));
        }
        i = end;
    }
    PQclear(res);
    return true;
}

/* The type at the end of the domain chain, and the typmod that counts. */
static const struct type_row *follow(const struct columns_reading *c, uint32_t oid, int32_t *typmod)
{
    const struct type_row *t = map_get_u32(c->types, oid);
    int depth;

    for (depth = 0; t != NULL && t->type == 'd' && depth < 64; depth++) {
        if (*typmod == -1)
            *typmod = t->typmod;
        t = map_get_u32(c->types, t->base);
    }
    return t;
}

/* Columns of the query below. */
enum { A_TABLE, A_NUM, A_NAME, A_TYPE, A_TYPMOD, A_NOTNULL, A_DEFAULT, A_TAKEN };

static bool query_columns(struct catalog_reading *r, PGresult **res, struct error *err)
{
    bool listed = r->pub != NULL && r->pub->exists && r->s->facts.version >= 150000;
    struct buf sql = {0};

    if (listed) {
        buf_puts(&sql, "WITH p AS MATERIALIZED (SELECT c.oid, p.attnames FROM "
                       "pg_catalog.pg_publication_tables p JOIN pg_catalog.pg_namespace n ON "
                       "n.nspname = p.schemaname JOIN pg_catalog.pg_class c ON c.relnamespace = "
                       "n.oid AND c.relname = p.tablename WHERE p.pubname = ");
        buf_sql_string(&sql, r->s->settings.publication);
        buf_puts(&sql, ") ");
    }
    buf_puts(&sql, "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, "
                   "a.attnotnull, CASE WHEN a.attnotnull AND a.attgenerated = '' THEN "
                   "pg_catalog.pg_get_expr(d.adbin, d.adrelid) END, ");
    if (!listed)
        buf_puts(&sql, "a.attgenerated = ''");
    else if (r->s->facts.version >= 180000)
        buf_puts(&sql, "CASE WHEN p.attnames IS NULL THEN a.attgenerated = '' ELSE a.attname = "
                       "ANY (p.attnames) END");
    else
        buf_puts(&sql, "a.attgenerated = '' AND (p.attnames IS NULL OR a.attname = ANY "
                       "(p.attnames))");
    buf_puts(&sql, " FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON "
                   "d.adrelid = a.attrelid AND d.adnum = a.attnum");
    if (listed)
        buf_puts(&sql, " LEFT JOIN p ON p.oid = a.attrelid");
    buf_printf(&sql,
               " WHERE a.attrelid = ANY ('{%s}'::oid[]) AND a.attnum > 0 AND NOT a.attisdropped "
               "ORDER BY a.attrelid, a.attnum",
               buf_cstr(&r->oids));
    return query(r, "reading columns", &sql, res, err);
}

/* format_type(type, typmod) of every row of cols, in the same order. */
static bool query_formats(struct columns_reading *c, const PGresult *cols, PGresult **res,
                          struct error *err)
{
    struct buf types = {0}, mods = {0}, sql = {0};
    int i;

    for (i = 0; i < PQntuples(cols); i++) {
        int32_t typmod = (int32_t)pg_int(cols, i, A_TYPMOD);
        const struct type_row *t = follow(c, (uint32_t)pg_int(cols, i, A_TYPE), &typmod);

        buf_printf(&types, "%s%u", i > 0 ? "," : "", t != NULL ? t->oid : 0);
        buf_printf(&mods, "%s%d", i > 0 ? "," : "", typmod);
    }
    buf_printf(&sql,
               "SELECT pg_catalog.format_type(u.o, u.m) FROM unnest('{%s}'::oid[], "
               "'{%s}'::int[]) WITH ORDINALITY AS u(o, m, i) ORDER BY u.i",
               types.len ? buf_cstr(&types) : "", mods.len ? buf_cstr(&mods) : "");
    buf_free(&types);
    buf_free(&mods);
    return query(c->r, "reading the names of types", &sql, res, err);
}

static bool fill_column(struct columns_reading *c, const PGresult *cols, int i, const char *format,
                        struct column *col, struct error *err)
{
    struct pg_type_facts f = {.typmod = (int32_t)pg_int(cols, i, A_TYPMOD), .format = format};
    const struct type_row *t;

    col->name = arena_strdup(c->r->arena, PQgetvalue(cols, i, A_NAME));
    col->attnum = (int)pg_int(cols, i, A_NUM);
    col->type_oid = (uint32_t)pg_int(cols, i, A_TYPE);
    col->typmod = f.typmod;
    col->nullable = !pg_bool(cols, i, A_NOTNULL);
    t = follow(c, col->type_oid, &f.typmod);
    if (t == NULL)
        return error_set(err, ERROR_RETRY, "type %u of column %s is not in the catalogue",
                         col->type_oid, col->name);
    f.oid = t->oid;
    f.name = t->name;
    f.pg_catalog = t->pg_catalog;
    f.type = t->type;
    f.category = t->category;
    f.labels = t->labels;
    f.nlabels = t->nlabels;
    if (!pg_column_type(c->r->arena, &f, col))
        return error_set(err, ERROR_FATAL, "column %s: its domain has no end", col->name);
    if (!PQgetisnull(cols, i, A_DEFAULT))
        col->def = pg_column_default(c->r->arena, col, PQgetvalue(cols, i, A_DEFAULT));
    return true;
}

/* Rows [from, to) of cols are the columns of one table. */
static bool fill_table(struct columns_reading *c, const PGresult *cols, const PGresult *formats,
                       int from, int to, struct error *err)
{
    uint32_t oid = (uint32_t)pg_int(cols, from, A_TABLE);
    struct catalog_table *ct = map_get_u32(c->r->by_oid, oid);
    struct table *t = ct->table;
    int i;

    t->cols = arena_calloc(c->r->arena, (size_t)(to - from), sizeof(*t->cols));
    for (i = from; i < to; i++) {
        if (!pg_bool(cols, i, A_TAKEN))
            continue;
        if (!fill_column(c, cols, i, PQgetvalue(formats, i, 0), &t->cols[t->ncols], err)) {
            if (err != NULL)
                err->table = oid;
            return error_prefix(err, "table %s.%s", t->schema, t->name);
        }
        t->ncols++;
    }
    return true;
}

static bool read_columns(struct columns_reading *c, struct error *err)
{
    PGresult *cols = NULL, *formats = NULL;
    int from, to, n;
    bool ok = query_columns(c->r, &cols, err) && query_formats(c, cols, &formats, err);

    n = ok ? PQntuples(cols) : 0;
    for (from = 0; ok && from < n; from = to) {
        to = from + 1;
        while (to < n && pg_int(cols, to, A_TABLE) == pg_int(cols, from, A_TABLE))
            to++;
        ok = fill_table(c, cols, formats, from, to, err);
    }
    PQclear(cols);
    PQclear(formats);
    return ok;
}

void catalog_parse_index(const char *indkey, int nkeys, struct index_columns *out)
{
    const char *p = indkey;

    out->n = 0;
    while (out->n < nkeys && out->n < 32 && *p != '\0') {
        char *end;
        long attnum = strtol(p, &end, 10);

        if (end == p || attnum <= 0) {
            out->n = 0; /* an expression or a system column */
            return;
        }
        out->attnums[out->n++] = (int)attnum;
        p = *end == ' ' ? end + 1 : end;
    }
}

static struct column *by_attnum(struct table *t, int attnum)
{
    int i;

    for (i = 0; i < t->ncols; i++) {
        if (t->cols[i].attnum == attnum)
            return &t->cols[i];
    }
    return NULL;
}

/* Every column of the index is there and part of the replica identity. */
static bool covered(struct table *t, const struct index_columns *ix)
{
    int i;

    for (i = 0; i < ix->n; i++) {
        const struct column *c = by_attnum(t, ix->attnums[i]);

        if (c == NULL || !c->identity)
            return false;
    }
    return ix->n > 0;
}

struct table_keys {
    struct index_columns primary, identity; /* usable ones */
};

static void set_identity(struct catalog_table *ct, const struct table_keys *k)
{
    struct table *t = ct->table;
    const struct index_columns *ix = t->replica_identity == 'd'   ? &k->primary
                                     : t->replica_identity == 'i' ? &k->identity
                                                                  : NULL;
    int i;

    ct->index_gone = t->replica_identity == 'i' && k->identity.n == 0;
    ct->has_identity = t->replica_identity == 'f' || (ix != NULL && ix->n > 0);
    for (i = 0; i < t->ncols; i++)
        t->cols[i].identity = t->replica_identity == 'f';
    for (i = 0; ix != NULL && i < ix->n; i++) {
        struct column *c = by_attnum(t, ix->attnums[i]);

        if (c != NULL)
            c->identity = true;
        else
            ct->has_identity = false; /* not published: updates fail at the source */
    }
}

static void set_key(struct catalog_reading *r, struct catalog_table *ct, const struct table_keys *k)
{
    struct table *t = ct->table;
    const struct index_columns *ix = covered(t, &k->primary)      ? &k->primary
                                     : t->replica_identity != 'i' ? NULL
                                     : covered(t, &k->identity)   ? &k->identity
                                                                  : NULL;
    int i;

    for (i = 0; ix != NULL && i < ix->n; i++)
        by_attnum(t, ix->attnums[i])->key_pos = i + 1;
    table_index_keys(r->arena, t);
}

static bool read_keys(struct catalog_reading *r, struct error *err)
{
    struct buf sql = {0};
    struct table_keys *keys;
    PGresult *res;
    int i;

    buf_printf(&sql,
               "SELECT indrelid, indisprimary, indisreplident, indisvalid AND indisunique AND "
               "indpred IS NULL, indimmediate, indnkeyatts, indkey FROM pg_catalog.pg_index "
               "WHERE indrelid = ANY ('{%s}'::oid[]) AND (indisprimary OR indisreplident)",
               buf_cstr(&r->oids));
    if (!query(r, "reading keys", &sql, &res, err))
        return false;
    keys = arena_calloc(r->arena, (size_t)r->out->n, sizeof(*keys));
    for (i = 0; i < PQntuples(res); i++) {
        struct catalog_table *ct = map_get_u32(r->by_oid, (uint32_t)pg_int(res, i, 0));
        struct table_keys *k = &keys[ct - r->out->tables];
        bool immediate = pg_bool(res, i, 4);

        ct->primary_key |= pg_bool(res, i, 1);
        if (pg_bool(res, i, 1) && !immediate)
            ct->deferrable_key = true;
        if (!pg_bool(res, i, 3) || !immediate)
            continue;
        if (pg_bool(res, i, 1))
            catalog_parse_index(PQgetvalue(res, i, 6), (int)pg_int(res, i, 5), &k->primary);
        if (pg_bool(res, i, 2))
            catalog_parse_index(PQgetvalue(res, i, 6), (int)pg_int(res, i, 5), &k->identity);
    }
    PQclear(res);
    for (i = 0; i < r->out->n; i++) {
        set_identity(&r->out->tables[i], &keys[i]);
        set_key(r, &r->out->tables[i], &keys[i]);
    }
    return true;
}

bool catalog_read_columns(struct catalog_reading *r, struct error *err)
{
    struct columns_reading c = {.r = r, .types = map_new()};
    bool ok =
        read_types(&c, err) && read_labels(&c, err) && read_columns(&c, err) && read_keys(r, err);

    map_free(c.types);
    return ok;
}
