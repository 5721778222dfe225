/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk load: COPY ... FROM STDIN (FORMAT binary). Rows collect in one buffer that is handed to
 * libpq at 64 KB and then sent to the end, so that memory stays bounded by it; a value that is
 * larger is sent from where it lies. Row: int16 columns, then per column int32 length (-1 NULL)
 * and the bytes (PostgreSQL documentation, COPY, "Binary Format"). Columns with as_text, whose
 * stage column is text, are written as text. What was copied is counted against what was sent.
 */
#include "common/pg_error.h"
#include "util/mem.h"
#include "warehouse_postgres/wpg.h"
#include "warehouse_postgres/wpg_encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEND_BYTES (64 * 1024)

static const char copy_header[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";

struct append_column {
    char *name;
    char *type_name;
    enum type_kind kind;
    struct wpg_type type;
};

struct appender {
    struct session *s;
    char *table; /* for messages */
    struct append_column *cols;
    int ncols;
    enum overflow_mode mode;
    struct buf out;
    struct buf field; /* one encoded value */
    int64_t rows, nulled;
    int server_version;
};

static void appender_free(struct appender *ap)
{
    for (int i = 0; i < ap->ncols; i++) {
        mem_free(ap->cols[i].name);
        mem_free(ap->cols[i].type_name);
    }
    mem_free(ap->cols);
    mem_free(ap->table);
    buf_free(&ap->out);
    buf_free(&ap->field);
    mem_free(ap);
}

static bool column_init(struct append_column *a, const struct load_column *c, struct error *err)
{
    const char *type = c->as_text ? "text" : c->type;

    a->name = mem_strdup(c->name);
    a->type_name = mem_strdup(type);
    a->kind = c->as_text ? TYPE_TEXT : c->kind;
    if (wpg_type_parse(type, &a->type) && wpg_type_writes(&a->type, a->kind))
        return true;
    return error_set(err, ERROR_FATAL, "column \"%s\": %s values cannot be written as %s in binary",
                     c->name, type_kind_name(c->kind), type);
}

static void copy_statement(struct buf *sql, const char *schema, const char *table, bool temporary,
                           const struct load_column *cols, int ncols)
{
    buf_puts(sql, "COPY ");
    if (temporary)
        buf_puts(sql, "pg_temp");
    else
        buf_sql_ident(sql, schema);
    buf_puts(sql, ".");
    buf_sql_ident(sql, table);
    for (int i = 0; i < ncols; i++) {
        buf_puts(sql, i == 0 ? " (" : ", ");
        buf_sql_ident(sql, cols[i].name);
    }
    buf_puts(sql, ") FROM STDIN (FORMAT binary)");
}

bool wpg_append_open(struct session *s, const char *schema, const char *table, bool temporary,
                     const struct load_column *cols, int ncols, enum overflow_mode mode,
                     struct appender **out, struct error *err)
{
    struct appender *ap = mem_calloc(1, sizeof(*ap));
    struct buf sql = {0};
    PGresult *res = NULL;
    bool ok = true;

    ap->s = s;
    ap->table = temporary ? mem_strdup(table) : mem_printf("%s.%s", schema, table);
    ap->cols = mem_calloc((size_t)ncols, sizeof(*ap->cols));
    ap->mode = mode;
    ap->server_version = PQserverVersion(s->conn);
    for (int i = 0; ok && i < ncols; i++) {
        ap->ncols++;
        ok = column_init(&ap->cols[i], &cols[i], err);
    }
    if (ok) {
        copy_statement(&sql, schema, table, temporary, cols, ncols);
        ok = wpg_run(s, buf_cstr(&sql), PGRES_COPY_IN, PGRES_COPY_IN, &res, err);
    }
    PQclear(res);
    buf_free(&sql);
    if (!ok) {
        error_prefix(err, "loading table %s", ap->table);
        appender_free(ap);
        return false;
    }
    buf_append(&ap->out, copy_header, sizeof(copy_header));
    *out = ap;
    return true;
}

static bool send_bytes(struct appender *ap, const void *data, size_t len, struct error *err)
{
    const char *p = data;

    while (len > 0) {
        int n = len < SEND_BYTES ? (int)len : SEND_BYTES;
        int sent = PQputCopyData(ap->s->conn, p, n);

        if (sent < 0) {
            pg_error_result(PG_WAREHOUSE, err, ap->s->conn, NULL, NULL);
            ap->s->broken = true;
            return false;
        }
        if (!wpg_flush(ap->s, err))
            return false;
        if (sent > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static bool send_buffered(struct appender *ap, struct error *err)
{
    bool ok;

    if (!wpg_usable(ap->s, err))
        return false;
    ok = send_bytes(ap, ap->out.data, ap->out.len, err);
    buf_reset(&ap->out);
    return ok;
}

/* A type that is its bytes; jsonb has its version before them. */
static bool put_bytes(struct appender *ap, const struct append_column *c, const struct value *v,
                      struct error *err)
{
    bool jsonb = c->type.base == WPG_JSONB;

    buf_be32(&ap->out, (uint32_t)(v->s.len + jsonb));
    if (jsonb)
        buf_u8(&ap->out, 1);
    if (v->s.len < SEND_BYTES) {
        buf_append(&ap->out, v->s.p, v->s.len);
        return true;
    }
    return send_buffered(ap, err) && send_bytes(ap, v->s.p, v->s.len, err);
}

static bool put_misfit(struct appender *ap, const struct append_column *c, const char *misfit,
                       struct error *err)
{
    if (ap->mode == OVERFLOW_NULL) {
        buf_be32(&ap->out, UINT32_MAX);
        ap->nulled++;
        return true;
    }
    return error_cause(err, CAUSE_VALUE_MISFIT, "table %s: column \"%s\" of type %s cannot hold %s",
                       ap->table, c->name, c->type_name, misfit);
}

static bool put_value(struct appender *ap, const struct append_column *c, const struct value *v,
                      struct error *err)
{
    const char *misfit;

    if (v->state == VALUE_NULL) {
        buf_be32(&ap->out, UINT32_MAX);
        return true;
    }
    if (v->state != VALUE_SET)
        return error_set(err, ERROR_FATAL, "table %s: column \"%s\" is appended without a value",
                         ap->table, c->name);
    buf_reset(&ap->field);
    misfit = wpg_encode(&ap->field, &c->type, v, ap->server_version);
    if (misfit != NULL)
        return put_misfit(ap, c, misfit, err);
    if (wpg_is_bytes(&c->type))
        return v->s.len <= INT32_MAX - 1 ? put_bytes(ap, c, v, err)
                                         : put_misfit(ap, c, "a value over 1 GB", err);
    buf_be32(&ap->out, (uint32_t)ap->field.len);
    buf_append(&ap->out, ap->field.data, ap->field.len);
    return true;
}

bool wpg_append_row(struct appender *ap, const struct value *values, struct error *err)
{
    buf_be16(&ap->out, (uint16_t)ap->ncols);
    for (int i = 0; i < ap->ncols; i++)
        if (!put_value(ap, &ap->cols[i], &values[i], err))
            return false;
    ap->rows++;
    return ap->out.len < SEND_BYTES || send_buffered(ap, err);
}

/* "COPY t, line 3, column a": of binary data it holds no value. */
static void add_context(struct error *err, const PGresult *res)
{
    const char *context = PQresultErrorField(res, PG_DIAG_CONTEXT);

    if (err != NULL && context != NULL && strncmp(context, "COPY ", 5) == 0)
        error_prefix(err, "%.*s", (int)strcspn(context, ":\n"), context);
}

/* The COPY's outcome, after its end was sent. */
static bool read_outcome(struct appender *ap, struct error *err)
{
    PGresult *res;
    bool ok = false, seen = false;
    int64_t copied = -1;

    for (;;) {
        if (!wpg_next_result(ap->s, true, &res, err))
            return false;
        if (res == NULL)
            break;
        if (!seen && PQresultStatus(res) == PGRES_COMMAND_OK) {
            ok = true;
            copied = strtoll(PQcmdTuples(res), NULL, 10);
        } else if (!seen || ok) {
            ok = false;
            pg_error_result(PG_WAREHOUSE, err, ap->s->conn, res, NULL);
            add_context(err, res);
        }
        seen = true;
        PQclear(res);
        if (PQstatus(ap->s->conn) != CONNECTION_OK) {
            ap->s->broken = true;
            break;
        }
    }
    if (!seen)
        return pg_error_result(PG_WAREHOUSE, err, ap->s->conn, NULL, NULL);
    if (ok && copied != ap->rows)
        return error_set(err, ERROR_FATAL, "table %s: %lld rows were sent and %lld were loaded",
                         ap->table, (long long)ap->rows, (long long)copied);
    return ok;
}

static bool finish(struct appender *ap, struct error *err)
{
    int sent;

    buf_be16(&ap->out, UINT16_MAX); /* the file trailer: -1 columns */
    if (!send_buffered(ap, err))
        return false;
    while ((sent = PQputCopyEnd(ap->s->conn, NULL)) == 0)
        if (!wpg_flush(ap->s, err))
            return false;
    if (sent < 0) {
        ap->s->broken = true;
        return pg_error_result(PG_WAREHOUSE, err, ap->s->conn, NULL, NULL);
    }
    return read_outcome(ap, err);
}

bool wpg_append_close(struct appender *ap, int64_t *nulled, struct error *err)
{
    bool ok = finish(ap, err);

    if (nulled != NULL)
        *nulled = ap->nulled;
    if (!ok) {
        error_prefix(err, "loading table %s", ap->table);
        wpg_append_abort(ap);
        return false;
    }
    appender_free(ap);
    return true;
}

void wpg_append_abort(struct appender *ap)
{
    if (ap == NULL)
        return;
    if (!ap->s->broken && PQtransactionStatus(ap->s->conn) == PQTRANS_ACTIVE)
        wpg_drain(ap->s); /* ends the COPY with a failure */
    appender_free(ap);
}
