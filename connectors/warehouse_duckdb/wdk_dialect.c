/* SPDX-License-Identifier: Apache-2.0 */
/* DuckDB's types and SQL as planning needs them; pure. */
#include "warehouse_duckdb/wdk.h"

#include <string.h>

#define MAX_DECIMAL 38 /* digits of DECIMAL */

static const char *const types[TYPE_COUNT] = {
    [TYPE_BOOL] = "BOOLEAN",
    [TYPE_INT16] = "SMALLINT",
    [TYPE_INT32] = "INTEGER",
    [TYPE_INT64] = "BIGINT",
    [TYPE_FLOAT32] = "FLOAT",
    [TYPE_FLOAT64] = "DOUBLE",
    [TYPE_DECIMAL] = "VARCHAR", /* past MAX_DECIMAL */
    [TYPE_NUMERIC] = "VARCHAR",
    [TYPE_TEXT] = "VARCHAR",
    [TYPE_BYTES] = "BLOB",
    [TYPE_DATE] = "DATE",
    [TYPE_TIME] = "TIME",
    [TYPE_TIMESTAMP] = "TIMESTAMP",
    [TYPE_TIMESTAMPTZ] = "TIMESTAMP WITH TIME ZONE",
    [TYPE_INTERVAL] = "INTERVAL",
    [TYPE_UUID] = "UUID",
    [TYPE_JSON] = "JSON",
    [TYPE_ENUM] = "VARCHAR",
    [TYPE_BITS] = "VARCHAR",
};

/* Is it text at the source too? */
static bool is_text(const char *source_type)
{
    static const char *const names[] = {"text",   "character", "bpchar", "name",
                                        "citext", "\"char\"",  "xml"};
    size_t i, len = source_type != NULL ? strlen(source_type) : 0;

    if (len == 0)
        return true; /* unknown */
    if (len > 2 && strcmp(source_type + len - 2, "[]") == 0)
        return false;
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncmp(source_type, names[i], strlen(names[i])) == 0)
            return true;
    }
    return false;
}

static void column(struct arena *a, const struct column *c, struct load_column *out,
                   const char **note)
{
    *note = NULL;
    out->kind = c->kind;
    out->precision = c->precision;
    out->scale = c->scale;
    out->as_text = false;
    out->type = types[c->kind];
    if (c->kind == TYPE_DECIMAL && c->precision <= MAX_DECIMAL)
        out->type = arena_printf(a, "DECIMAL(%d,%d)", c->precision, c->scale);
    else if (c->kind == TYPE_DECIMAL)
        *note = "becomes VARCHAR: DECIMAL holds at most 38 digits";
    else if (c->kind == TYPE_NUMERIC)
        *note = "becomes VARCHAR: numeric without a precision has no exact DECIMAL";
    else if (c->kind == TYPE_BITS)
        *note = "becomes VARCHAR of 0 and 1";
    else if (c->kind == TYPE_TEXT && !is_text(c->source_type))
        *note = "becomes VARCHAR: the source's own text of it";
}

/*
 * Prefixes keep NULL apart from every text. DuckDB holds 1 month = 30 days for equal, their texts
 * are not (-0 is never stored, see wdk_write.c). Timestamps with time zone go by their
 * microseconds: the text of those past the year 287396 is off by a millisecond. Infinite ones have
 * no microseconds.
 */
static void same_text(struct buf *out, const struct column *c, const char *expr)
{
    if (c->kind == TYPE_TIMESTAMPTZ)
        buf_printf(out, "coalesce('v' || CAST(epoch_us(%s) AS VARCHAR), ", expr);
    else
        buf_puts(out, "coalesce(");
    buf_printf(out, "'v' || CAST(%s AS VARCHAR), 'n')", expr);
}

/* DuckDB prints a DECIMAL(2,2) as ".05", the source prints "0.05". */
static void retype(struct buf *out, const struct load_column *was, const struct load_column *now)
{
    if (strcmp(now->type, "VARCHAR") != 0 || strncmp(was->type, "DECIMAL(", 8) != 0 ||
        was->precision != was->scale)
        return;
    buf_puts(out, " USING regexp_replace(CAST(");
    buf_sql_ident(out, now->name);
    buf_puts(out, " AS VARCHAR), '^(-?)[.]', '\\10.')");
}

/* As the schema of a two-part name these would be ambiguous: they are databases, too. */
static const char *const databases[] = {"temp", "system", "memory", WDK_DATABASE, NULL};

const struct dialect wdk_dialect = {
    .name = "duckdb",
    .max_columns = 10000,
    .max_identifier = 10000,
    .case_folds = true,
    .reserved_schemas = databases,
    .primary_key = false,
    .signless_zero = true,
    .merge = false,
    .temp_prefix = "temp.main.",
    .lock_share = NULL,
    .lock_probe = NULL,
    .row_id = "rowid",
    .bigint = "BIGINT",
    .timestamptz = "TIMESTAMP WITH TIME ZONE",
    .text = "VARCHAR",
    .smallint = "SMALLINT",
    .column = column,
    .same_text = same_text,
    .literal = wdk_literal,
    .retype = retype,
};
