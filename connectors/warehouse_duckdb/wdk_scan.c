/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table read back for verification: data chunks in a stream, so that memory does not grow with
 * the table, each value as it is stored, by the type that its column really has. Not the way back
 * of wdk_write.c: nothing is shared with it, texts are made here as Postgres prints them.
 *
 * A view stays outside of the gate (wdk_gate.c): it changes nothing, and a checkpoint that cannot
 * be made while it reads is tried again.
 */
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANCEL_ROWS 256

bool wdk_view(struct session *s, struct error *err)
{
    wdk_gate_enter(s->w);
    s->upkeep = true; /* it never waits at the gate again */
    /* The snapshot is that of the first statement that looks into the file. */
    if (wdk_exec(s, "BEGIN TRANSACTION READ ONLY", NULL, err) &&
        wdk_exec(s, "SELECT count(*) FROM penstock.checkpoints", NULL, err)) {
        wdk_gate_leave(s->w);
        return true;
    }
    wdk_gate_leave(s->w);
    return false;
}

/* --- values --- */

struct scan_column {
    enum type_kind kind;
    duckdb_type type;
    duckdb_type internal; /* DECIMAL */
    int scale;
    void *data;
    uint64_t *validity;
};

static void set_text(struct arena *a, struct value *out, const char *text, size_t len)
{
    out->s.p = arena_memdup(a, text, len + 1);
    out->s.len = len;
}

static bool read_integer(const struct scan_column *c, idx_t row, int64_t *out)
{
    switch (c->type) {
    case DUCKDB_TYPE_SMALLINT:
        *out = ((const int16_t *)c->data)[row];
        return true;
    case DUCKDB_TYPE_INTEGER:
        *out = ((const int32_t *)c->data)[row];
        return true;
    case DUCKDB_TYPE_BIGINT:
        *out = ((const int64_t *)c->data)[row];
        return true;
    default:
        return false;
    }
}

/* The digits of the stored number, at least one in front of the point. */
static void read_decimal(const struct scan_column *c, idx_t row, struct arena *a, struct value *out)
{
    unsigned __int128 left;
    char text[48], *p = text + sizeof(text) - 1;
    __int128 n;
    int digits = 0;

    switch (c->internal) {
    case DUCKDB_TYPE_SMALLINT:
        n = ((const int16_t *)c->data)[row];
        break;
    case DUCKDB_TYPE_INTEGER:
        n = ((const int32_t *)c->data)[row];
        break;
    case DUCKDB_TYPE_BIGINT:
        n = ((const int64_t *)c->data)[row];
        break;
    default:
        n = (__int128)((unsigned __int128)(uint64_t)((const duckdb_hugeint *)c->data)[row].upper
                           << 64 |
                       ((const duckdb_hugeint *)c->data)[row].lower);
    }
    left = n < 0 ? -(unsigned __int128)n : (unsigned __int128)n;
    *p = '\0';
    while (left > 0 || digits <= c->scale) {
        if (digits == c->scale && c->scale > 0)
            *--p = '.';
        *--p = (char)('0' + (int)(left % 10));
        left /= 10;
        digits++;
    }
    if (n < 0)
        *--p = '-';
    set_text(a, out, p, (size_t)(text + sizeof(text) - 1 - p));
}

static void read_uuid(const struct scan_column *c, idx_t row, struct arena *a, struct value *out)
{
    duckdb_hugeint h = ((const duckdb_hugeint *)c->data)[row];
    uint64_t high = (uint64_t)h.upper ^ (UINT64_C(1) << 63);
    char text[40];

    snprintf(text, sizeof(text), "%08x-%04x-%04x-%04x-%012llx", (unsigned)(high >> 32),
             (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xffff), (unsigned)(h.lower >> 48),
             (unsigned long long)(h.lower & UINT64_C(0xffffffffffff)));
    set_text(a, out, text, 36);
}

/* "1 year -2 mons +3 days -04:05:06.7": datetime.c, EncodeInterval, INTSTYLE_POSTGRES. */
struct interval_text {
    char text[160];
    size_t len;
    bool minus; /* what came last was negative */
};

static void put_part(struct interval_text *t, long long v, const char *unit)
{
    if (v == 0)
        return;
    t->len += (size_t)snprintf(t->text + t->len, sizeof(t->text) - t->len, "%s%s%lld %s%s",
                               t->len > 0 ? " " : "", t->minus && v > 0 ? "+" : "", v, unit,
                               v != 1 ? "s" : "");
    t->minus = v < 0;
}

static void put_clock(struct interval_text *t, int64_t micros)
{
    uint64_t us = micros < 0 ? 0 - (uint64_t)micros : (uint64_t)micros;
    uint64_t s = us / 1000000;
    unsigned fraction = (unsigned)(us % 1000000);

    if (micros == 0 && t->len > 0)
        return;
    t->len += (size_t)snprintf(
        t->text + t->len, sizeof(t->text) - t->len, "%s%s%02llu:%02u:%02u", t->len > 0 ? " " : "",
        micros < 0 ? "-"
        : t->minus ? "+"
                   : "",
        (unsigned long long)(s / 3600), (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    if (fraction == 0)
        return;
    t->len += (size_t)snprintf(t->text + t->len, sizeof(t->text) - t->len, ".%06u", fraction);
    while (t->text[t->len - 1] == '0')
        t->len--;
}

static void read_interval(const struct scan_column *c, idx_t row, struct arena *a,
                          struct value *out)
{
    duckdb_interval i = ((const duckdb_interval *)c->data)[row];
    struct interval_text t = {.len = 0};

    put_part(&t, i.months / 12, "year");
    put_part(&t, i.months % 12, "mon");
    put_part(&t, i.days, "day");
    put_clock(&t, i.micros);
    t.text[t.len] = '\0';
    set_text(a, out, t.text, t.len);
}

static void read_string(const struct scan_column *c, idx_t row, struct value *out)
{
    duckdb_string_t *s = &((duckdb_string_t *)c->data)[row];

    out->s.p = duckdb_string_t_data(s);
    out->s.len = duckdb_string_t_length(*s);
}

static int64_t from_1970(int64_t us)
{
    if (us == INT64_MAX)
        return VALUE_TIMESTAMP_INFINITY;
    if (us == -INT64_MAX)
        return VALUE_TIMESTAMP_MINUS_INFINITY;
    return us - VALUE_EPOCH_SHIFT_US;
}

static int64_t from_days(int32_t days)
{
    return days == -INT32_MAX ? VALUE_DATE_MINUS_INFINITY : days;
}

/* Which types of columns values of a kind are kept in. */
static bool suits(enum type_kind kind, duckdb_type type)
{
    switch (kind) {
    case TYPE_BOOL:
        return type == DUCKDB_TYPE_BOOLEAN;
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
        return type == DUCKDB_TYPE_SMALLINT || type == DUCKDB_TYPE_INTEGER ||
               type == DUCKDB_TYPE_BIGINT;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return type == DUCKDB_TYPE_FLOAT || type == DUCKDB_TYPE_DOUBLE;
    case TYPE_BYTES:
        return type == DUCKDB_TYPE_BLOB;
    case TYPE_DATE:
        return type == DUCKDB_TYPE_DATE;
    case TYPE_TIME:
        return type == DUCKDB_TYPE_TIME;
    case TYPE_TIMESTAMP:
        return type == DUCKDB_TYPE_TIMESTAMP;
    case TYPE_TIMESTAMPTZ:
        return type == DUCKDB_TYPE_TIMESTAMP_TZ;
    case TYPE_DECIMAL:
    case TYPE_NUMERIC:
        return type == DUCKDB_TYPE_DECIMAL || type == DUCKDB_TYPE_VARCHAR;
    case TYPE_INTERVAL:
        return type == DUCKDB_TYPE_INTERVAL || type == DUCKDB_TYPE_VARCHAR;
    case TYPE_UUID:
        return type == DUCKDB_TYPE_UUID || type == DUCKDB_TYPE_VARCHAR;
    default:
        return type == DUCKDB_TYPE_VARCHAR;
    }
}

static void read_value(const struct scan_column *c, idx_t row, struct arena *a, struct value *out)
{
    if (c->validity != NULL && !duckdb_validity_row_is_valid(c->validity, row)) {
        out->state = VALUE_NULL;
        return;
    }
    out->state = VALUE_SET;
    switch (c->type) {
    case DUCKDB_TYPE_BOOLEAN:
        out->i = ((const bool *)c->data)[row];
        break;
    case DUCKDB_TYPE_FLOAT:
        out->f = (double)((const float *)c->data)[row];
        break;
    case DUCKDB_TYPE_DOUBLE:
        out->f = ((const double *)c->data)[row];
        break;
    case DUCKDB_TYPE_DECIMAL:
        read_decimal(c, row, a, out);
        break;
    case DUCKDB_TYPE_DATE:
        out->i = from_days(((const int32_t *)c->data)[row]);
        break;
    case DUCKDB_TYPE_TIME:
        out->i = ((const int64_t *)c->data)[row];
        break;
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_TZ:
        out->i = from_1970(((const int64_t *)c->data)[row]);
        break;
    case DUCKDB_TYPE_INTERVAL:
        read_interval(c, row, a, out);
        break;
    case DUCKDB_TYPE_UUID:
        read_uuid(c, row, a, out);
        break;
    case DUCKDB_TYPE_VARCHAR:
    case DUCKDB_TYPE_BLOB:
        read_string(c, row, out);
        break;
    default:
        read_integer(c, row, &out->i);
    }
}

/* --- rows --- */

struct scanning {
    struct session *s;
    struct scan_column *cols;
    int ncols;
    struct value *values;
    struct arena *scratch;
    scan_row_fn *row;
    void *ctx;
    duckdb_prepared_statement prepared;
    duckdb_pending_result pending;
    duckdb_result result;
    bool has_result;
};

static bool fail(struct scanning *sc, duckdb_error_type type, const char *message,
                 struct error *err)
{
    if (atomic_load(&sc->s->cancelled))
        return error_cause(err, CAUSE_CANCELLED, "DuckDB: cancelled");
    return wdk_error(err, type, message);
}

static bool start(struct scanning *sc, const char *sql, struct error *err)
{
    if (!wdk_usable(sc->s, err))
        return false;
    if (duckdb_prepare(sc->s->con, sql, &sc->prepared) != DuckDBSuccess)
        return fail(sc, DUCKDB_ERROR_BINDER, duckdb_prepare_error(sc->prepared), err);
    if (duckdb_pending_prepared_streaming(sc->prepared, &sc->pending) != DuckDBSuccess)
        return fail(sc, DUCKDB_ERROR_INVALID, duckdb_pending_error(sc->pending), err);
    sc->has_result = true;
    if (duckdb_execute_pending(sc->pending, &sc->result) == DuckDBSuccess)
        return true;
    return fail(sc, duckdb_result_error_type(&sc->result), duckdb_result_error(&sc->result), err);
}

static bool bind_columns(struct scanning *sc, const struct load_column *cols, struct error *err)
{
    int i;

    for (i = 0; i < sc->ncols; i++) {
        struct scan_column *c = &sc->cols[i];
        duckdb_logical_type lt = duckdb_column_logical_type(&sc->result, (idx_t)i);

        c->kind = cols[i].kind;
        c->type = duckdb_get_type_id(lt);
        if (c->type == DUCKDB_TYPE_DECIMAL) {
            c->internal = duckdb_decimal_internal_type(lt);
            c->scale = duckdb_decimal_scale(lt);
        }
        duckdb_destroy_logical_type(&lt);
        if (!suits(c->kind, c->type))
            return error_set(err, ERROR_DATA,
                             "column \"%s\" of the warehouse table has another type than %s, which "
                             "%s values need",
                             cols[i].name, cols[i].type, type_kind_name(c->kind));
    }
    return true;
}

static bool scan_chunk(struct scanning *sc, duckdb_data_chunk chunk, struct error *err)
{
    idx_t row, n = duckdb_data_chunk_get_size(chunk);
    int i;

    for (i = 0; i < sc->ncols; i++) {
        duckdb_vector v = duckdb_data_chunk_get_vector(chunk, (idx_t)i);

        sc->cols[i].data = duckdb_vector_get_data(v);
        sc->cols[i].validity = duckdb_vector_get_validity(v);
    }
    for (row = 0; row < n; row++) {
        if (row % CANCEL_ROWS == 0 && !wdk_usable(sc->s, err))
            return false;
        arena_reset(sc->scratch);
        for (i = 0; i < sc->ncols; i++)
            read_value(&sc->cols[i], row, sc->scratch, &sc->values[i]);
        if (!sc->row(sc->ctx, sc->values, err))
            return false;
    }
    return true;
}

static bool scan_chunks(struct scanning *sc, struct error *err)
{
    duckdb_data_chunk chunk;
    const char *message;
    bool ok = true;

    while (ok && (chunk = duckdb_fetch_chunk(sc->result)) != NULL) {
        ok = scan_chunk(sc, chunk, err);
        duckdb_destroy_data_chunk(&chunk);
    }
    message = ok ? duckdb_result_error(&sc->result) : NULL;
    if (message != NULL && message[0] != '\0')
        return fail(sc, duckdb_result_error_type(&sc->result), message, err);
    return ok;
}

static void select_statement(struct buf *sql, const char *schema, const char *table,
                             const struct load_column *cols, int ncols)
{
    int i;

    buf_puts(sql, "SELECT ");
    for (i = 0; i < ncols; i++) {
        buf_puts(sql, i > 0 ? ", " : "");
        buf_sql_ident(sql, cols[i].name);
    }
    buf_puts(sql, ncols > 0 ? " FROM " : "1 FROM ");
    buf_sql_ident(sql, schema);
    buf_puts(sql, ".");
    buf_sql_ident(sql, table);
}

bool wdk_scan(struct session *s, const char *schema, const char *table,
              const struct load_column *cols, int ncols, scan_row_fn *row, void *ctx,
              struct error *err)
{
    struct scanning sc = {.s = s, .ncols = ncols, .row = row, .ctx = ctx};
    struct buf sql = {0};
    bool ok;

    sc.cols = mem_calloc((size_t)ncols + 1, sizeof(*sc.cols));
    sc.values = mem_calloc((size_t)ncols + 1, sizeof(*sc.values));
    sc.scratch = arena_new("scan");
    select_statement(&sql, schema, table, cols, ncols);
    ok = start(&sc, buf_cstr(&sql), err) && bind_columns(&sc, cols, err) && scan_chunks(&sc, err);
    if (sc.has_result)
        duckdb_destroy_result(&sc.result);
    duckdb_destroy_pending(&sc.pending);
    duckdb_destroy_prepare(&sc.prepared);
    arena_free(sc.scratch);
    mem_free(sc.values);
    mem_free(sc.cols);
    buf_free(&sql);
    return ok;
}
