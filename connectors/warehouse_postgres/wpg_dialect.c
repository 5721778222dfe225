/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What planning has to know of Postgres. A column keeps the source's type where that is a built-in
 * one which the column's values suit; else it gets the natural type of its kind, and the user is
 * told. Two values are the same row for a table without a key iff their output texts are equal:
 * through concat(), because a cast of character(n) to text would take trailing blanks off.
 */
#include "load/text.h"
#include "warehouse_postgres/wpg.h"
#include "warehouse_postgres/wpg_encode.h"
#include "warehouse_postgres/wpg_type.h"

#include <limits.h>
#include <string.h>

/* A table of the target has at most 1600 columns, and its stage has _op, _u and up to 32 more. */
#define MAX_COLUMNS 1566
#define ANY_VERSION INT_MAX

static const struct natural {
    const char *type, *note;
} naturals[TYPE_COUNT] = {
    [TYPE_BOOL] = {"boolean", "becomes boolean"},
    [TYPE_INT16] = {"smallint", "becomes smallint"},
    [TYPE_INT32] = {"integer", "becomes integer"},
    [TYPE_INT64] = {"bigint", "becomes bigint"},
    [TYPE_FLOAT32] = {"real", "becomes real"},
    [TYPE_FLOAT64] = {"double precision", "becomes double precision"},
    [TYPE_DECIMAL] = {NULL, "becomes numeric"},
    [TYPE_NUMERIC] = {"numeric", "becomes numeric"},
    [TYPE_TEXT] = {"text", "becomes text"},
    [TYPE_BYTES] = {"bytea", "becomes bytea"},
    [TYPE_DATE] = {"date", "becomes date"},
    [TYPE_TIME] = {"time without time zone", "becomes time"},
    [TYPE_TIMESTAMP] = {"timestamp without time zone", "becomes timestamp"},
    [TYPE_TIMESTAMPTZ] = {"timestamp with time zone", "becomes timestamp with time zone"},
    [TYPE_INTERVAL] = {"interval", "becomes interval"},
    [TYPE_UUID] = {"uuid", "becomes uuid"},
    [TYPE_JSON] = {"json", "becomes json"},
    [TYPE_ENUM] = {"text", "becomes text"},
    [TYPE_BITS] = {"bit varying", "becomes bit varying"},
};

static const char *natural_type(struct arena *a, const struct column *c)
{
    if (c->kind == TYPE_DECIMAL)
        return c->precision >= 1 && c->precision <= 1000 && c->scale <= c->precision
                   ? arena_printf(a, "numeric(%d,%d)", c->precision, c->scale)
                   : "numeric";
    return naturals[c->kind].type;
}

static void dialect_column(struct arena *a, const struct column *c, struct load_column *out,
                           const char **note)
{
    struct wpg_type type;

    *note = NULL;
    out->kind = c->kind;
    out->precision = c->precision;
    out->scale = c->scale;
    out->as_text = false;
    if (wpg_type_parse(c->source_type, &type) &&
        (wpg_type_writes(&type, c->kind) || wpg_type_casts(&type, c->kind))) {
        out->type = arena_strdup(a, c->source_type);
        out->as_text = !wpg_type_writes(&type, c->kind);
        return;
    }
    out->type = natural_type(a, c);
    *note = naturals[c->kind].note;
}

static void dialect_same_text(struct buf *out, const struct column *c, const char *expr)
{
    (void)c;
    buf_printf(out, "CASE WHEN %s IS NULL THEN 'n' ELSE concat('v', %s) END", expr, expr);
}

static void dialect_shape(struct buf *out, const char *schema, const char *name)
{
    struct buf rel = {0};

    buf_sql_ident(&rel, schema);
    buf_u8(&rel, '.');
    buf_sql_ident(&rel, name);
    buf_puts(out,
             "SELECT a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod) || ' ' "
             "|| coalesce(pg_catalog.array_position(i.indkey::int2[], a.attnum)::text, '') "
             "FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_index i ON i.indrelid = "
             "a.attrelid AND i.indisprimary WHERE a.attrelid = ");
    buf_sql_string(out, buf_cstr(&rel));
    buf_puts(out,
             "::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum");
    buf_free(&rel);
}

/* Postgres does not read the text that it prints of the least number of microseconds. */
static void put_least_interval(struct buf *text, const struct value *v)
{
    int32_t months, days;
    int64_t us;

    if (!interval_parse(v->s.p, v->s.len, &months, &days, &us) || us != INT64_MIN)
        return;
    buf_reset(text);
    buf_printf(text, "%d mons %d days -2562047788 hours -54.775808 secs", months, days);
}

/*
 * Postgres's own text. What the binary loader would refuse is refused here, too; what only some
 * servers take (an infinite interval), the others refuse themselves.
 */
static const char *dialect_literal(struct buf *out, const struct load_column *c,
                                   const struct value *v)
{
    struct buf scratch = {0};
    enum type_kind kind = c->kind;
    struct wpg_type type;
    const char *why = NULL;

    if (!c->as_text && wpg_type_parse(c->type, &type)) {
        why = wpg_encode(&scratch, &type, v, ANY_VERSION);
        if (type.base == WPG_FLOAT8)
            kind = TYPE_FLOAT64; /* all the digits of a real in it */
    }
    buf_reset(&scratch);
    value_to_text(&scratch, kind, v);
    if (kind == TYPE_INTERVAL)
        put_least_interval(&scratch, v);
    if (why == NULL && scratch.len > 0 && memchr(scratch.data, '\0', scratch.len) != NULL)
        why = "a text with a zero byte";
    if (why == NULL)
        buf_sql_string(out, buf_cstr(&scratch));
    buf_free(&scratch);
    return why;
}

const struct dialect wpg_dialect = {
    .name = "postgres",
    .max_columns = MAX_COLUMNS,
    .max_identifier = 63,
    .case_folds = false,
    .primary_key = true,
    .merge = true,
    .temp_prefix = "pg_temp.",
    .lock_share = " FOR KEY SHARE", /* against a DELETE; the sink may go on updating the row */
    .lock_probe = " IN ROW EXCLUSIVE MODE NOWAIT",
    .row_id = "ctid",
    .bigint = "bigint",
    .timestamptz = "timestamp with time zone",
    .text = "text",
    .smallint = "smallint",
    .column = dialect_column,
    .shape = dialect_shape,
    .same_text = dialect_same_text,
    .literal = dialect_literal,
};
