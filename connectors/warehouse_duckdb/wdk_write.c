/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value into one row of a vector: a writer per kind of value and type of column. A pair that
 * has no writer would need a conversion, which is never done here. DuckDB's conventions:
 * infinity is the greatest and -infinity the greatest negated of its integer; days and
 * microseconds count from 1970; a UUID is a signed 128-bit number with its top bit flipped.
 *
 * -0 is written as 0: DuckDB 1.5.6 holds the two for one value when it compresses a column
 * (constant and run-length encoding), so that after a checkpoint either may have become the other.
 */
#include "load/text.h"
#include "warehouse_duckdb/wdk.h"

#include <math.h>

#define DAY_US INT64_C(86400000000)

static const char *write_bool(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    ((bool *)slot->data)[row] = v->i != 0;
    return NULL;
}

static const char *write_int16(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    if (v->i < INT16_MIN || v->i > INT16_MAX)
        return "an integer out of range";
    ((int16_t *)slot->data)[row] = (int16_t)v->i;
    return NULL;
}

static const char *write_int32(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    if (v->i < INT32_MIN || v->i > INT32_MAX)
        return "an integer out of range";
    ((int32_t *)slot->data)[row] = (int32_t)v->i;
    return NULL;
}

static const char *write_int64(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    ((int64_t *)slot->data)[row] = v->i;
    return NULL;
}

static const char *write_float(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    if (isfinite(v->f) && !isfinite((float)v->f))
        return "a number out of range";
    ((float *)slot->data)[row] = v->f == 0 ? 0 : (float)v->f;
    return NULL;
}

static const char *write_double(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    ((double *)slot->data)[row] = v->f == 0 ? 0 : v->f;
    return NULL;
}

static const char *write_decimal(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    __int128 n = 0;
    const char *why = wdk_decimal(v->s.p, v->s.len, slot->width, slot->scale, &n);
    duckdb_hugeint *h;

    if (why != NULL)
        return why;
    switch (slot->internal) {
    case DUCKDB_TYPE_SMALLINT:
        ((int16_t *)slot->data)[row] = (int16_t)n;
        break;
    case DUCKDB_TYPE_INTEGER:
        ((int32_t *)slot->data)[row] = (int32_t)n;
        break;
    case DUCKDB_TYPE_BIGINT:
        ((int64_t *)slot->data)[row] = (int64_t)n;
        break;
    default:
        h = &((duckdb_hugeint *)slot->data)[row];
        h->lower = (uint64_t)n;
        h->upper = (int64_t)(n >> 64);
    }
    return NULL;
}

static const char *write_string(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    if (v->s.len > UINT32_MAX)
        return "more than 4 GB";
    duckdb_vector_assign_string_element_len(slot->vector, row, v->s.len > 0 ? v->s.p : "",
                                            v->s.len);
    return NULL;
}

static const char *write_date(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    int64_t days = v->i == VALUE_DATE_MINUS_INFINITY ? -INT32_MAX : v->i;

    if (days < -INT32_MAX || days > INT32_MAX)
        return "a date out of range";
    ((int32_t *)slot->data)[row] = (int32_t)days;
    return NULL;
}

static const char *write_time(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    if (v->i < 0 || v->i > DAY_US)
        return "a time outside the day";
    ((int64_t *)slot->data)[row] = v->i;
    return NULL;
}

static const char *write_timestamp(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    int64_t us; /* the least that counts from 2000 is after DuckDB's first instant */

    if (v->i == VALUE_TIMESTAMP_INFINITY)
        us = INT64_MAX;
    else if (v->i == VALUE_TIMESTAMP_MINUS_INFINITY)
        us = -INT64_MAX;
    else if (__builtin_add_overflow(v->i, (int64_t)VALUE_EPOCH_SHIFT_US, &us) || us == INT64_MAX)
        return "a timestamp past the year 294246";
    ((int64_t *)slot->data)[row] = us;
    return NULL;
}

static const char *write_interval(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    duckdb_interval *out = &((duckdb_interval *)slot->data)[row];
    int64_t us;

    if (!interval_parse(v->s.p, v->s.len, &out->months, &out->days, &us))
        return "an infinite or unknown interval";
    out->micros = us;
    return NULL;
}

static const char *write_uuid(struct wdk_slot *slot, idx_t row, const struct value *v)
{
    if (!wdk_uuid(v->s.p, v->s.len, &((duckdb_hugeint *)slot->data)[row]))
        return "text that is not a UUID";
    return NULL;
}

static wdk_writer integer_writer(duckdb_type type, bool from16, bool from32)
{
    if (type == DUCKDB_TYPE_BIGINT)
        return write_int64;
    if (type == DUCKDB_TYPE_INTEGER && from32)
        return write_int32;
    if (type == DUCKDB_TYPE_SMALLINT && from16)
        return write_int16;
    return NULL;
}

wdk_writer wdk_writer_for(enum type_kind kind, duckdb_type type)
{
    switch (kind) {
    case TYPE_BOOL:
        return type == DUCKDB_TYPE_BOOLEAN ? write_bool : NULL;
    case TYPE_INT16:
        return integer_writer(type, true, true);
    case TYPE_INT32:
        return integer_writer(type, false, true);
    case TYPE_INT64:
        return integer_writer(type, false, false);
    case TYPE_FLOAT32:
        return type == DUCKDB_TYPE_FLOAT    ? write_float
               : type == DUCKDB_TYPE_DOUBLE ? write_double
                                            : NULL;
    case TYPE_FLOAT64:
        return type == DUCKDB_TYPE_DOUBLE ? write_double : NULL;
    case TYPE_DECIMAL:
    case TYPE_NUMERIC:
        return type == DUCKDB_TYPE_DECIMAL   ? write_decimal
               : type == DUCKDB_TYPE_VARCHAR ? write_string
                                             : NULL;
    case TYPE_BYTES:
        return type == DUCKDB_TYPE_BLOB ? write_string : NULL;
    case TYPE_DATE:
        return type == DUCKDB_TYPE_DATE ? write_date : NULL;
    case TYPE_TIME:
        return type == DUCKDB_TYPE_TIME ? write_time : NULL;
    case TYPE_TIMESTAMP:
        return type == DUCKDB_TYPE_TIMESTAMP ? write_timestamp : NULL;
    case TYPE_TIMESTAMPTZ:
        return type == DUCKDB_TYPE_TIMESTAMP_TZ ? write_timestamp : NULL;
    case TYPE_INTERVAL:
        return type == DUCKDB_TYPE_INTERVAL  ? write_interval
               : type == DUCKDB_TYPE_VARCHAR ? write_string
                                             : NULL;
    case TYPE_UUID:
        return type == DUCKDB_TYPE_UUID      ? write_uuid
               : type == DUCKDB_TYPE_VARCHAR ? write_string
                                             : NULL;
    case TYPE_TEXT:
    case TYPE_JSON:
    case TYPE_ENUM:
    case TYPE_BITS:
        return type == DUCKDB_TYPE_VARCHAR ? write_string : NULL;
    case TYPE_COUNT:
        break;
    }
    return NULL;
}
