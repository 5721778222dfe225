/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as text: booleans true and false, times in UTC, numbers exact, blobs as DuckDB prints
 * them. A value is rendered through duckdb_value, not duckdb_value_varchar, which answers NULL
 * for timestamps with time zone. Nested types and enums have to be cast to VARCHAR in the query.
 */
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"

#include <string.h>

static int64_t small_int(const void *data, duckdb_type type, idx_t row)
{
    switch (type) {
    case DUCKDB_TYPE_SMALLINT:
        return ((const int16_t *)data)[row];
    case DUCKDB_TYPE_INTEGER:
        return ((const int32_t *)data)[row];
    default:
        return ((const int64_t *)data)[row];
    }
}

static duckdb_value decimal_value(duckdb_logical_type lt, const void *data, idx_t row)
{
    duckdb_type internal = duckdb_decimal_internal_type(lt);
    duckdb_decimal d = {.width = duckdb_decimal_width(lt), .scale = duckdb_decimal_scale(lt)};
    int64_t i;

    if (internal == DUCKDB_TYPE_HUGEINT) {
        d.value = ((const duckdb_hugeint *)data)[row];
    } else {
        i = small_int(data, internal, row);
        d.value.lower = (uint64_t)i;
        d.value.upper = i < 0 ? -1 : 0;
    }
    return duckdb_create_decimal(d);
}

static duckdb_value uuid_value(const void *data, idx_t row)
{
    duckdb_hugeint h = ((const duckdb_hugeint *)data)[row];
    duckdb_uhugeint u = {.lower = h.lower, .upper = (uint64_t)h.upper ^ (UINT64_C(1) << 63)};

    return duckdb_create_uuid(u);
}

static duckdb_value blob_value(const void *data, idx_t row)
{
    duckdb_string_t s = ((const duckdb_string_t *)data)[row];

    return duckdb_create_blob((const uint8_t *)duckdb_string_t_data(&s), duckdb_string_t_length(s));
}

static duckdb_value bit_value(const void *data, idx_t row)
{
    duckdb_string_t s = ((const duckdb_string_t *)data)[row];
    duckdb_bit bit = {(uint8_t *)duckdb_string_t_data(&s), duckdb_string_t_length(s)};

    return duckdb_create_bit(bit);
}

/* NULL for a type that is not rendered here. */
duckdb_value wdk_scalar(duckdb_logical_type lt, const void *data, idx_t row)
{
    switch (duckdb_get_type_id(lt)) {
#define CASE(TYPE, CTYPE, FUNCTION) \
    case DUCKDB_TYPE_##TYPE:        \
        return FUNCTION(((const CTYPE *)data)[row])
        CASE(BOOLEAN, bool, duckdb_create_bool);
        CASE(TINYINT, int8_t, duckdb_create_int8);
        CASE(SMALLINT, int16_t, duckdb_create_int16);
        CASE(INTEGER, int32_t, duckdb_create_int32);
        CASE(BIGINT, int64_t, duckdb_create_int64);
        CASE(HUGEINT, duckdb_hugeint, duckdb_create_hugeint);
        CASE(UTINYINT, uint8_t, duckdb_create_uint8);
        CASE(USMALLINT, uint16_t, duckdb_create_uint16);
        CASE(UINTEGER, uint32_t, duckdb_create_uint32);
        CASE(UBIGINT, uint64_t, duckdb_create_uint64);
        CASE(UHUGEINT, duckdb_uhugeint, duckdb_create_uhugeint);
        CASE(FLOAT, float, duckdb_create_float);
        CASE(DOUBLE, double, duckdb_create_double);
        CASE(DATE, duckdb_date, duckdb_create_date);
        CASE(TIME, duckdb_time, duckdb_create_time);
        CASE(TIMESTAMP, duckdb_timestamp, duckdb_create_timestamp);
        CASE(TIMESTAMP_TZ, duckdb_timestamp, duckdb_create_timestamp_tz);
        CASE(TIMESTAMP_S, duckdb_timestamp_s, duckdb_create_timestamp_s);
        CASE(TIMESTAMP_MS, duckdb_timestamp_ms, duckdb_create_timestamp_ms);
        CASE(TIMESTAMP_NS, duckdb_timestamp_ns, duckdb_create_timestamp_ns);
        CASE(TIME_TZ, duckdb_time_tz, duckdb_create_time_tz_value);
        CASE(TIME_NS, duckdb_time_ns, duckdb_create_time_ns);
        CASE(INTERVAL, duckdb_interval, duckdb_create_interval);
#undef CASE
    case DUCKDB_TYPE_DECIMAL:
        return decimal_value(lt, data, row);
    case DUCKDB_TYPE_UUID:
        return uuid_value(data, row);
    case DUCKDB_TYPE_BLOB:
        return blob_value(data, row);
    case DUCKDB_TYPE_BIT:
        return bit_value(data, row);
    default:
        return NULL;
    }
}

static char *cell(struct arena *a, duckdb_logical_type lt, duckdb_vector v, idx_t row)
{
    void *data = duckdb_vector_get_data(v);
    duckdb_value value;
    duckdb_string_t s;
    char *text, *copy;

    if (duckdb_get_type_id(lt) == DUCKDB_TYPE_VARCHAR) {
        s = ((duckdb_string_t *)data)[row];
        return arena_strndup(a, duckdb_string_t_data(&s), duckdb_string_t_length(s));
    }
    value = wdk_scalar(lt, data, row);
    if (value == NULL)
        return NULL;
    text = duckdb_get_varchar(value);
    copy = arena_strdup(a, text);
    duckdb_free(text);
    duckdb_destroy_value(&value);
    return copy;
}

static bool chunk_column(struct arena *a, duckdb_data_chunk chunk, int col, struct rowset *out,
                         idx_t n, struct error *err)
{
    duckdb_vector v = duckdb_data_chunk_get_vector(chunk, (idx_t)col);
    duckdb_logical_type lt = duckdb_vector_get_column_type(v);
    uint64_t *validity = duckdb_vector_get_validity(v);
    char **cells = out->cells + (size_t)out->nrows * (size_t)out->ncols + col;
    bool ok = true;
    idx_t i;

    for (i = 0; i < n && ok; i++) {
        char **c = &cells[i * (size_t)out->ncols];

        *c = NULL;
        if (!duckdb_validity_row_is_valid(validity, i) ||
            duckdb_get_type_id(lt) == DUCKDB_TYPE_SQLNULL)
            continue;
        *c = cell(a, lt, v, i);
        ok = *c != NULL;
    }
    if (!ok)
        error_set(err, ERROR_FATAL, "DuckDB: column %d of a query has a type without a text form",
                  col + 1);
    duckdb_destroy_logical_type(&lt);
    return ok;
}

bool wdk_rows(struct arena *a, duckdb_result *r, struct rowset *out, struct error *err)
{
    size_t ncols = (size_t)duckdb_column_count(r);
    duckdb_data_chunk chunk;
    bool ok = true;
    char **grown;
    idx_t n;
    int c;

    memset(out, 0, sizeof(*out));
    out->ncols = (int)ncols;
    while (ok && (chunk = duckdb_fetch_chunk(*r)) != NULL) {
        n = duckdb_data_chunk_get_size(chunk);
        grown = arena_alloc(a, ((size_t)out->nrows + n) * ncols * sizeof(*grown));
        if (out->nrows > 0)
            memcpy(grown, out->cells, (size_t)out->nrows * ncols * sizeof(*grown));
        out->cells = grown;
        for (c = 0; c < out->ncols && ok; c++)
            ok = chunk_column(a, chunk, c, out, n, err);
        out->nrows += (int)n;
        duckdb_destroy_data_chunk(&chunk);
    }
    return ok;
}
