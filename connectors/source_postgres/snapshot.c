/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads one chunk in one short transaction under the point's snapshot: locks the relation against
 * rewrites, makes sure that it was not rewritten or altered since the point (a rewrite makes an
 * old snapshot see an empty table), then COPY: in binary format where each column's type has a form
 * that says what its text says (copy_binary.c), else in text, which is the stream's own.
 */
#include "source_postgres/snapshot_internal.h"

#include "common/pg_error.h"
#include "source_postgres/catalog.h"
#include "source_postgres/copy_binary.h"
#include "source_postgres/copy_text.h"
#include "source_postgres/pg_value.h"
#include "util/failpoint.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

/* Oids below are the built-in types', none of which is a domain (PostgreSQL, transam.h). */
#define FIRST_UNPINNED_OID 10000

bool snapshot_reader_open(struct source_point *p, struct source_reader **out, struct error *err)
{
    struct source_reader *r = mem_calloc(1, sizeof(*r));

    r->point = p;
    r->scratch = arena_new("snapshot row");
    if (!pg_conn_open(&r->conn, &p->s->target, "reader", false, err)) {
        snapshot_reader_close(r);
        return false;
    }
    *out = r;
    return true;
}

void snapshot_reader_close(struct source_reader *r)
{
    if (r == NULL)
        return;
    pg_conn_close(r->conn);
    arena_free(r->scratch);
    mem_free(r->cells);
    mem_free(r->values);
    mem_free(r->types);
    mem_free(r);
}

bool snapshot_rewritten(const struct table *t, const char *why, struct error *err)
{
    error_cause(err, CAUSE_TABLE_CHANGED, "table %s.%s was %s while it was read", t->schema,
                t->name, why);
    if (err != NULL)
        err->table = t->oid;
    return false;
}

/* The relation's name now, quoted, for LOCK and COPY, which look names up as of now. */
static bool current_name(struct source_reader *r, const struct table *t, uint32_t rel,
                         struct buf *name, struct error *err)
{
    char sql[160];
    PGresult *res;
    bool found;

    snprintf(sql, sizeof(sql),
             "SELECT %u::regclass FROM pg_catalog.pg_class WHERE oid = %u AND "
             "pg_catalog.pg_relation_filenode(oid) IS NOT NULL",
             rel, rel);
    if (!pg_query(r->conn, "looking up the table", sql, &res, err))
        return false;
    found = PQntuples(res) == 1;
    if (found)
        buf_puts(name, PQgetvalue(res, 0, 0));
    PQclear(res);
    return found || snapshot_rewritten(t, "dropped", err);
}

bool snapshot_lock(struct source_reader *r, const struct table *t, const char *name, bool only,
                   struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql, "LOCK TABLE %s%s IN ACCESS SHARE MODE", only ? "ONLY " : "", name);
    ok = pg_query(r->conn, "locking the table", buf_cstr(&sql), NULL, err);
    buf_free(&sql);
    if (!ok && (strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0))
        return snapshot_rewritten(t, "renamed or dropped", err);
    return ok;
}

bool snapshot_check_file(struct source_reader *r, const struct table *t, uint32_t rel,
                         const char *name, struct error *err)
{
    struct buf sql = {0};
    PGresult *res;
    bool same;

    buf_printf(&sql,
               "SELECT pg_catalog.pg_relation_filenode(oid) = relfilenode AND "
               "%u::regclass::text = ",
               rel);
    buf_sql_string(&sql, name);
    buf_printf(&sql, " FROM pg_catalog.pg_class WHERE oid = %u", rel);
    if (!pg_query(r->conn, "checking for a rewrite", buf_cstr(&sql), &res, err)) {
        buf_free(&sql);
        return false;
    }
    buf_free(&sql);
    same = PQntuples(res) == 1 && pg_bool(res, 0, 0);
    PQclear(res);
    return same || snapshot_rewritten(t, "rewritten", err);
}

void snapshot_select_list(const struct table *t, struct buf *sql)
{
    int i;

    for (i = 0; i < t->ncols; i++) {
        buf_puts(sql, i > 0 ? ", " : "");
        buf_sql_ident(sql, t->cols[i].name);
    }
}

/* A missing column, or one whose type is another now, means an ALTER since the point. Of a domain
 * the server tells the base type, which cannot be compared here; an ALTER from a domain to another
 * type that rewrites nothing leaves the text of values as it was. */
bool snapshot_check_columns(struct source_reader *r, const struct table *t, const char *name,
                            struct error *err)
{
    struct buf sql = {0};
    PGresult *res = NULL;
    bool same = true;
    int i;

    buf_puts(&sql, "SELECT ");
    snapshot_select_list(t, &sql);
    buf_printf(&sql, " FROM ONLY %s LIMIT 0", name);
    if (!pg_query(r->conn, "checking the columns", buf_cstr(&sql), &res, err)) {
        buf_free(&sql);
        return strncmp(err->sqlstate, "4270", 4) == 0 ? snapshot_rewritten(t, "altered", err)
                                                      : false;
    }
    buf_free(&sql);
    r->binary = true;
    for (i = 0; i < t->ncols; i++) {
        const struct column *c = &t->cols[i];
        bool domain =
            c->typmod == -1 && c->type_oid >= FIRST_UNPINNED_OID && PQftype(res, i) != c->type_oid;

        r->types[i] = PQftype(res, i);
        r->binary = r->binary && copy_binary_suits(c, r->types[i]);
        if (!domain && (PQftype(res, i) != c->type_oid || PQfmod(res, i) != c->typmod))
            same = false;
    }
    PQclear(res);
    return same || snapshot_rewritten(t, "altered", err);
}

void snapshot_copy_format(const struct source_reader *r, struct buf *sql)
{
    buf_puts(sql, r->binary ? ") TO STDOUT (FORMAT binary)" : ") TO STDOUT");
}

static bool start_copy(struct source_reader *r, const struct table *t, const struct chunk *c,
                       const char *name, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "COPY (SELECT ");
    snapshot_select_list(t, &sql);
    buf_printf(&sql, " FROM ONLY %s WHERE true", name);
    if (c->from > 0 || c->to != UINT64_MAX)
        buf_printf(&sql, " AND ctid >= '(%llu,0)'::tid", (unsigned long long)c->from);
    if (c->to != UINT64_MAX)
        buf_printf(&sql, " AND ctid < '(%llu,0)'::tid", (unsigned long long)c->to);
    ok = snapshot_range_where(&sql, t, c, err);
    if (t->row_filter != NULL)
        buf_printf(&sql, " AND (%s)", t->row_filter);
    snapshot_copy_format(r, &sql);
    ok = ok && pg_query(r->conn, "reading rows", buf_cstr(&sql), NULL, err);
    buf_free(&sql);
    return ok;
}

static bool take_text_row(struct source_reader *r, const struct table *t, char *row, int len,
                          struct error *err)
{
    int i;

    if (!copy_text_split(row, (size_t)len, r->cells, t->ncols, err))
        return false;
    for (i = 0; i < t->ncols; i++) {
        const struct pg_cell *cell = &r->cells[i];

        r->values[i].state = VALUE_NULL;
        if (cell->kind == PG_CELL_TEXT &&
            !pg_value_parse(&t->cols[i], cell->p, cell->len, r->scratch, &r->values[i], err))
            return false;
    }
    return true;
}

bool snapshot_copy_rows(struct source_reader *r, const struct table *t, source_row_fn *fn,
                        void *ctx, struct error *err)
{
    struct copy_binary b = {0};
    char *row;
    int len;

    for (;;) {
        bool ok, is_row = true;

        if (!pg_copy_next(r->conn, "reading rows", &row, &len, err))
            return false;
        if (row == NULL)
            return !r->binary || copy_binary_end(&b, err);
        arena_reset(r->scratch);
        ok = r->binary ? copy_binary_take(&b, t, r->types, row, (size_t)len, r->scratch, r->values,
                                          &is_row, err)
                       : take_text_row(r, t, row, len, err);
        ok = ok && (!is_row || fn(ctx, t, r->values, err));
        PQfreemem(row);
        if (!ok)
            return false;
    }
}

bool snapshot_ready(struct source_reader *r, const struct table *t, struct error *err)
{
    if (t->ncols > r->cap) {
        size_t n = (size_t)t->ncols;

        r->cap = t->ncols;
        r->cells = mem_realloc(r->cells, n * sizeof(*r->cells));
        r->values = mem_realloc(r->values, n * sizeof(*r->values));
        r->types = mem_realloc(r->types, n * sizeof(*r->types));
    }
    return r->conn != NULL || pg_conn_open(&r->conn, &r->point->s->target, "reader", false, err);
}

bool snapshot_failed(struct source_reader *r, const struct table *t, struct error *err)
{
    /* In the middle of a COPY or of a failed transaction: a new session is the sure way out. */
    pg_conn_close(r->conn);
    r->conn = NULL;
    if (err == NULL)
        return false;
    if (strcmp(err->sqlstate, "42501") == 0) { /* the right was taken away: this table's fault */
        struct buf table = {0}, role = {0};

        catalog_qualified(&table, t->schema, t->name);
        buf_sql_ident(&role, r->point->s->facts.user);
        error_because(err, CAUSE_TABLE_UNREADABLE);
        error_fill(err, "table", buf_cstr(&table));
        error_fill(err, "role", buf_cstr(&role));
        buf_free(&table);
        buf_free(&role);
    }
    if (err->kind == ERROR_DATA)
        err->table = t->oid;
    return error_prefix(err, "reading %s.%s", t->schema, t->name);
}

static bool read_chunk(struct source_reader *r, const struct table *t, const struct chunk *c,
                       source_row_fn *fn, void *ctx, struct error *err)
{
    struct buf name = {0};
    bool ok = point_import(r->conn, r->point->snapshot, err) &&
              current_name(r, t, c->rel, &name, err) &&
              snapshot_lock(r, t, buf_cstr(&name), true, err) &&
              snapshot_check_file(r, t, c->rel, buf_cstr(&name), err) &&
              snapshot_check_columns(r, t, buf_cstr(&name), err) &&
              snapshot_check_order(r, t, c, buf_cstr(&name), err) &&
              start_copy(r, t, c, buf_cstr(&name), err) && snapshot_copy_rows(r, t, fn, ctx, err) &&
              pg_query(r->conn, "ending the chunk", "COMMIT", NULL, err);

    buf_free(&name);
    return ok;
}

bool snapshot_reader_chunk(struct source_reader *r, const struct table *t, const struct chunk *c,
                           source_row_fn *row, void *ctx, struct error *err)
{
    if (!snapshot_ready(r, t, err))
        return false;
    if (!read_chunk(r, t, c, row, ctx, err))
        return snapshot_failed(r, t, err);
    FAILPOINT("reader.after-chunk");
    return true;
}
