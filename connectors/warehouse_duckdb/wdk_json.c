/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as JSON. A number is one only where every reader of JSON gets the same value back: BIGINT
 * within 2^53, finite floating-point numbers in their shortest exact form. Other numbers (HUGEINT,
 * DECIMAL, NaN, infinity) and everything else are strings in DuckDB's own text form; NULL is null.
 */
#include "load/text_float.h"
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define SAFE ((INT64_C(1) << 53) - 1)

void wdk_json_string(struct buf *out, const char *s, size_t len)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    size_t i, plain = 0;

    buf_u8(out, '"');
    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        const char *at = c == 0 ? NULL : strchr(from, c);

        if (c >= 0x20 && at == NULL)
            continue;
        buf_append(out, s + plain, i - plain);
        plain = i + 1;
        if (at != NULL)
            buf_printf(out, "\\%c", to[at - from]);
        else
            buf_printf(out, "\\u%04x", c);
    }
    buf_append(out, s + plain, len - plain);
    buf_u8(out, '"');
}

static void put_int(struct buf *out, int64_t i)
{
    bool safe = i >= -SAFE && i <= SAFE;

    buf_printf(out, safe ? "%" PRId64 : "\"%" PRId64 "\"", i);
}

static void put_unsigned(struct buf *out, uint64_t u)
{
    buf_printf(out, u <= (uint64_t)SAFE ? "%" PRIu64 : "\"%" PRIu64 "\"", u);
}

static void put_float(struct buf *out, double d, bool single)
{
    if (!isfinite(d))
        buf_puts(out, isnan(d) ? "\"nan\"" : d > 0 ? "\"inf\"" : "\"-inf\"");
    else if (single)
        text_float4(out, (float)d);
    else
        text_float8(out, d);
}

/* False: the type is none of those that JSON has itself. */
static bool put_native(struct buf *out, duckdb_type type, const void *data, idx_t row)
{
    switch (type) {
#define CASE(TYPE, CTYPE, FUNCTION)                \
    case DUCKDB_TYPE_##TYPE:                       \
        FUNCTION(out, ((const CTYPE *)data)[row]); \
        return true
        CASE(TINYINT, int8_t, put_int);
        CASE(SMALLINT, int16_t, put_int);
        CASE(INTEGER, int32_t, put_int);
        CASE(BIGINT, int64_t, put_int);
        CASE(UTINYINT, uint8_t, put_unsigned);
        CASE(USMALLINT, uint16_t, put_unsigned);
        CASE(UINTEGER, uint32_t, put_unsigned);
        CASE(UBIGINT, uint64_t, put_unsigned);
#undef CASE
    case DUCKDB_TYPE_BOOLEAN:
        buf_puts(out, ((const bool *)data)[row] ? "true" : "false");
        return true;
    case DUCKDB_TYPE_FLOAT:
        put_float(out, ((const float *)data)[row], true);
        return true;
    case DUCKDB_TYPE_DOUBLE:
        put_float(out, ((const double *)data)[row], false);
        return true;
    default:
        return false;
    }
}

static enum wdk_cell put_text(struct buf *out, size_t max_bytes, const char *s, size_t len)
{
    if (len > max_bytes || out->len > max_bytes - len)
        return WDK_CELL_TOO_LARGE;
    wdk_json_string(out, s, len);
    return WDK_CELL_DONE;
}

enum wdk_cell wdk_json_cell(struct buf *out, size_t max_bytes, duckdb_logical_type lt,
                            duckdb_vector v, idx_t row)
{
    duckdb_type type = duckdb_get_type_id(lt);
    void *data = duckdb_vector_get_data(v);
    enum wdk_cell done;
    duckdb_value value;
    duckdb_string_t s;
    char *text;

    if (type == DUCKDB_TYPE_SQLNULL ||
        !duckdb_validity_row_is_valid(duckdb_vector_get_validity(v), row)) {
        buf_puts(out, "null");
        return WDK_CELL_DONE;
    }
    if (put_native(out, type, data, row))
        return WDK_CELL_DONE;
    if (type == DUCKDB_TYPE_VARCHAR) {
        s = ((duckdb_string_t *)data)[row];
        return put_text(out, max_bytes, duckdb_string_t_data(&s), duckdb_string_t_length(s));
    }
    value = wdk_value(lt, v, row);
    if (value == NULL)
        return WDK_CELL_NO_TEXT;
    text = duckdb_get_varchar(value);
    done = text == NULL ? WDK_CELL_NO_TEXT : put_text(out, max_bytes, text, strlen(text));
    duckdb_free(text);
    duckdb_destroy_value(&value);
    return done;
}

/* --- names of types --- */

static const char *const names[] = {
    [DUCKDB_TYPE_BOOLEAN] = "BOOLEAN",
    [DUCKDB_TYPE_TINYINT] = "TINYINT",
    [DUCKDB_TYPE_SMALLINT] = "SMALLINT",
    [DUCKDB_TYPE_INTEGER] = "INTEGER",
    [DUCKDB_TYPE_BIGINT] = "BIGINT",
    [DUCKDB_TYPE_UTINYINT] = "UTINYINT",
    [DUCKDB_TYPE_USMALLINT] = "USMALLINT",
    [DUCKDB_TYPE_UINTEGER] = "UINTEGER",
    [DUCKDB_TYPE_UBIGINT] = "UBIGINT",
    [DUCKDB_TYPE_FLOAT] = "FLOAT",
    [DUCKDB_TYPE_DOUBLE] = "DOUBLE",
    [DUCKDB_TYPE_TIMESTAMP] = "TIMESTAMP",
    [DUCKDB_TYPE_DATE] = "DATE",
    [DUCKDB_TYPE_TIME] = "TIME",
    [DUCKDB_TYPE_INTERVAL] = "INTERVAL",
    [DUCKDB_TYPE_HUGEINT] = "HUGEINT",
    [DUCKDB_TYPE_UHUGEINT] = "UHUGEINT",
    [DUCKDB_TYPE_VARCHAR] = "VARCHAR",
    [DUCKDB_TYPE_BLOB] = "BLOB",
    [DUCKDB_TYPE_TIMESTAMP_S] = "TIMESTAMP_S",
    [DUCKDB_TYPE_TIMESTAMP_MS] = "TIMESTAMP_MS",
    [DUCKDB_TYPE_TIMESTAMP_NS] = "TIMESTAMP_NS",
    [DUCKDB_TYPE_UUID] = "UUID",
    [DUCKDB_TYPE_BIT] = "BIT",
    [DUCKDB_TYPE_TIME_TZ] = "TIME WITH TIME ZONE",
    [DUCKDB_TYPE_TIMESTAMP_TZ] = "TIMESTAMP WITH TIME ZONE",
    [DUCKDB_TYPE_BIGNUM] = "BIGNUM",
    [DUCKDB_TYPE_SQLNULL] = "\"NULL\"",
    [DUCKDB_TYPE_TIME_NS] = "TIME_NS",
};

static void put_type(struct buf *out, duckdb_logical_type lt);

/* Takes lt. */
static void put_child(struct buf *out, duckdb_logical_type lt)
{
    put_type(out, lt);
    duckdb_destroy_logical_type(&lt);
}

/* Takes name and lt. */
static void put_member(struct buf *out, bool first, char *name, duckdb_logical_type lt)
{
    if (!first)
        buf_puts(out, ", ");
    buf_sql_ident(out, name);
    buf_u8(out, ' ');
    duckdb_free(name);
    put_child(out, lt);
}

static void put_members(struct buf *out, duckdb_logical_type lt, bool is_struct)
{
    idx_t i,
        n = is_struct ? duckdb_struct_type_child_count(lt) : duckdb_union_type_member_count(lt);

    buf_puts(out, is_struct ? "STRUCT(" : "UNION(");
    for (i = 0; i < n; i++) {
        if (is_struct)
            put_member(out, i == 0, duckdb_struct_type_child_name(lt, i),
                       duckdb_struct_type_child_type(lt, i));
        else
            put_member(out, i == 0, duckdb_union_type_member_name(lt, i),
                       duckdb_union_type_member_type(lt, i));
    }
    buf_u8(out, ')');
}

static void put_type(struct buf *out, duckdb_logical_type lt)
{
    duckdb_type type = duckdb_get_type_id(lt);
    char *alias = duckdb_logical_type_get_alias(lt);

    if (alias != NULL) {
        buf_puts(out, alias);
    } else if (type == DUCKDB_TYPE_DECIMAL) {
        buf_printf(out, "DECIMAL(%d,%d)", duckdb_decimal_width(lt), duckdb_decimal_scale(lt));
    } else if (type == DUCKDB_TYPE_LIST) {
        put_child(out, duckdb_list_type_child_type(lt));
        buf_puts(out, "[]");
    } else if (type == DUCKDB_TYPE_ARRAY) {
        put_child(out, duckdb_array_type_child_type(lt));
        buf_printf(out, "[%llu]", (unsigned long long)duckdb_array_type_array_size(lt));
    } else if (type == DUCKDB_TYPE_STRUCT || type == DUCKDB_TYPE_UNION) {
        put_members(out, lt, type == DUCKDB_TYPE_STRUCT);
    } else if (type == DUCKDB_TYPE_MAP) {
        buf_puts(out, "MAP(");
        put_child(out, duckdb_map_type_key_type(lt));
        buf_puts(out, ", ");
        put_child(out, duckdb_map_type_value_type(lt));
        buf_u8(out, ')');
    } else if (type == DUCKDB_TYPE_ENUM) {
        buf_puts(out, "ENUM");
    } else if ((size_t)type < sizeof(names) / sizeof(names[0]) && names[type] != NULL) {
        buf_puts(out, names[type]);
    } else {
        buf_puts(out, "UNKNOWN");
    }
    duckdb_free(alias);
}

void wdk_json_type(struct buf *out, duckdb_logical_type lt)
{
    struct buf name = {0};

    put_type(&name, lt);
    wdk_json_string(out, (const char *)name.data, name.len);
    buf_free(&name);
}
