/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table read back for verification: COPY TO in binary, row by row, so that memory does not grow
 * with the table. What a column is asked as and decoded by is its type in the catalogue now, not
 * the one that it was made with. Binary COPY (PostgreSQL manual, COPY): 11 bytes of signature, two
 * int32, then per row an int16 count and per column an int32 length (-1: NULL) and its bytes; the
 * count -1 ends it.
 */
#include "common/pg_error.h"
#include "util/mem.h"
#include "warehouse_postgres/wpg.h"
#include "warehouse_postgres/wpg_decode.h"

#include <string.h>

#define HEADER_SIZE 19

struct scan_column {
    enum type_kind kind;
    unsigned oid;
    enum wpg_form form;
};

struct scanning {
    struct session *s;
    struct scan_column *cols;
    int ncols;
    struct value *values;
    struct arena *scratch;
    bool begun; /* the header is read */
    scan_row_fn *row;
    void *ctx;
};

bool wpg_view(struct session *s, struct error *err)
{
    /* It stands idle while the other side is read. A snapshot is made by the first statement. */
    return wpg_exec(s,
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
                    "SET LOCAL idle_in_transaction_session_timeout = 0",
                    NULL, err) &&
           wpg_exec(s, "SELECT count(*) FROM penstock.checkpoints", NULL, err);
}

static void put_from(struct buf *sql, const char *schema, const char *table)
{
    buf_puts(sql, " FROM ");
    buf_sql_ident(sql, schema);
    buf_u8(sql, '.');
    buf_sql_ident(sql, table);
}

/* The columns' types as they are now. */
static bool read_types(struct scanning *sc, const char *schema, const char *table,
                       const struct load_column *cols, struct error *err)
{
    struct buf sql = {0};
    PGresult *res = NULL;
    bool ok;

    buf_puts(&sql, "SELECT ");
    for (int i = 0; i < sc->ncols; i++) {
        buf_puts(&sql, i > 0 ? ", " : "");
        buf_sql_ident(&sql, cols[i].name);
    }
    put_from(&sql, schema, table);
    buf_puts(&sql, " LIMIT 0");
    ok = wpg_run(sc->s, buf_cstr(&sql), PGRES_TUPLES_OK, PGRES_TUPLES_OK, &res, err);
    for (int i = 0; ok && i < sc->ncols; i++) {
        struct scan_column *c = &sc->cols[i];

        c->kind = cols[i].kind;
        c->oid = PQftype(res, i);
        c->form = wpg_scan_form(c->kind, c->oid);
        if (c->form == WPG_FORM_NONE)
            ok = error_set(err, ERROR_DATA,
                           "column \"%s\" of the warehouse table has another type than %s, which "
                           "%s values need",
                           cols[i].name, cols[i].type, type_kind_name(c->kind));
    }
    PQclear(res);
    buf_free(&sql);
    return ok;
}

/* concat() is the type's own output: a cast would take blanks off, or add a mask. */
static bool start_copy(struct scanning *sc, const char *schema, const char *table,
                       const struct load_column *cols, struct error *err)
{
    struct buf sql = {0}, name = {0};
    PGresult *res = NULL;
    bool ok;

    buf_puts(&sql, "COPY (SELECT ");
    for (int i = 0; i < sc->ncols; i++) {
        buf_reset(&name);
        buf_sql_ident(&name, cols[i].name);
        buf_puts(&sql, i > 0 ? ", " : "");
        if (sc->cols[i].form == WPG_FORM_TEXT)
            buf_printf(&sql, "CASE WHEN %s IS NOT NULL THEN pg_catalog.concat(%s) END",
                       buf_cstr(&name), buf_cstr(&name));
        else
            buf_printf(&sql, "%s%s", buf_cstr(&name),
                       sc->cols[i].form == WPG_FORM_NUMERIC ? "::pg_catalog.numeric" : "");
    }
    put_from(&sql, schema, table);
    buf_puts(&sql, ") TO STDOUT (FORMAT binary)");
    ok = wpg_run(sc->s, buf_cstr(&sql), PGRES_COPY_OUT, PGRES_COPY_OUT, &res, err);
    PQclear(res);
    buf_free(&sql);
    buf_free(&name);
    return ok;
}

static bool broken(struct error *err)
{
    return error_cause(err, CAUSE_PROTOCOL_BROKEN, "the warehouse's binary COPY cannot be read");
}

static int32_t int_at(const char *p, size_t bytes)
{
    uint32_t v = 0;

    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | (uint8_t)p[i];
    return bytes == 2 ? (int16_t)v : (int32_t)v;
}

/* One value at *p, which moves behind it. */
static bool take_value(struct scanning *sc, int i, const char **p, const char *end,
                       struct error *err)
{
    const struct scan_column *c = &sc->cols[i];
    int32_t len;

    if (end - *p < 4)
        return broken(err);
    len = int_at(*p, 4);
    *p += 4;
    sc->values[i].state = VALUE_NULL;
    if (len < 0)
        return true;
    if (end - *p < len ||
        !wpg_decode(c->kind, c->oid, c->form, *p, (size_t)len, sc->scratch, &sc->values[i]))
        return broken(err);
    *p += len;
    return true;
}

static bool take_row(struct scanning *sc, const char *p, size_t len, struct error *err)
{
    const char *end = p + len;

    if (!sc->begun) {
        if (len < HEADER_SIZE)
            return broken(err);
        p += HEADER_SIZE;
        sc->begun = true;
        if (p == end)
            return true;
    }
    if (end - p < 2)
        return broken(err);
    if (int_at(p, 2) == -1)
        return true;
    if (int_at(p, 2) != sc->ncols)
        return broken(err);
    p += 2;
    arena_reset(sc->scratch);
    for (int i = 0; i < sc->ncols; i++) {
        if (!take_value(sc, i, &p, end, err))
            return false;
    }
    return sc->row(sc->ctx, sc->values, err);
}

/* The COPY's own end: what went wrong on the way is in its result. */
static bool end_copy(struct scanning *sc, struct error *err)
{
    struct session *s = sc->s;
    PGresult *res;
    bool ok = true;

    for (;;) {
        if (!wpg_next_result(s, false, &res, err))
            return false;
        if (res == NULL)
            return ok;
        if (ok && PQresultStatus(res) != PGRES_COMMAND_OK) {
            pg_error_result(PG_WAREHOUSE, err, s->conn, res, NULL);
            ok = false;
        }
        PQclear(res);
        if (PQstatus(s->conn) != CONNECTION_OK) {
            s->broken = true;
            return ok ? error_cause(err, CAUSE_CONNECTION_LOST,
                                    "session \"%s\": the connection is lost", s->name)
                      : false;
        }
    }
}

static bool read_rows(struct scanning *sc, struct error *err)
{
    for (;;) {
        char *data = NULL;
        int n = PQgetCopyData(sc->s->conn, &data, 1);
        bool ok;

        if (n == 0) {
            if (!wpg_wait_input(sc->s, err))
                return false;
            continue;
        }
        if (n < 0)
            return end_copy(sc, err);
        ok = wpg_usable(sc->s, err) && take_row(sc, data, (size_t)n, err);
        PQfreemem(data);
        if (!ok) { /* in the middle of a COPY: the session is of no use any more */
            sc->s->broken = true;
            return false;
        }
    }
}

bool wpg_scan(struct session *s, const char *schema, const char *table,
              const struct load_column *cols, int ncols, scan_row_fn *row, void *ctx,
              struct error *err)
{
    struct scanning sc = {.s = s, .ncols = ncols, .row = row, .ctx = ctx};
    bool ok;

    sc.cols = mem_calloc((size_t)ncols + 1, sizeof(*sc.cols));
    sc.values = mem_calloc((size_t)ncols + 1, sizeof(*sc.values));
    sc.scratch = arena_new("scan");
    ok = read_types(&sc, schema, table, cols, err) && start_copy(&sc, schema, table, cols, err) &&
         read_rows(&sc, err);
    arena_free(sc.scratch);
    mem_free(sc.values);
    mem_free(sc.cols);
    return ok;
}
