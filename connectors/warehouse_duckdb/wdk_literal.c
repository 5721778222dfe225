/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value as the quoted constant from which DuckDB 1.5.6 makes exactly the value that the appender
 * would have written (wdk_write.c), and the same refusals. Its texts differ from Postgres's in
 * years before 1 ("0044-03-15 (BC) 01:02:03"), in BLOBs ('\xAB' for each byte) and in intervals,
 * which are given in the three numbers that they are. Time zones are always given, since the
 * session's is the machine's.
 */
#include "load/text.h"
#include "warehouse_duckdb/wdk.h"

#include <float.h>
#include <math.h>

#define BC " BC"

static void put_quoted(struct buf *out, const char *p, size_t len)
{
    size_t i;

    buf_u8(out, '\'');
    for (i = 0; i < len; i++) {
        if (p[i] == '\'')
            buf_u8(out, '\'');
        buf_u8(out, (uint8_t)p[i]);
    }
    buf_u8(out, '\'');
}

static void put_plain(struct buf *out, enum type_kind kind, const struct value *v)
{
    struct buf text = {0};

    value_to_text(&text, kind, v);
    put_quoted(out, (const char *)text.data, text.len);
    buf_free(&text);
}

static const char *put_string(struct buf *out, const struct value *v)
{
    if (v->s.len > 0 && memchr(v->s.p, '\0', v->s.len) != NULL)
        return "a text with a zero byte";
    put_quoted(out, v->s.p, v->s.len);
    return NULL;
}

static void put_blob(struct buf *out, const struct value *v)
{
    size_t i;

    buf_u8(out, '\'');
    for (i = 0; i < v->s.len; i++)
        buf_printf(out, "\\x%02X", (uint8_t)v->s.p[i]);
    buf_u8(out, '\'');
}

/* -0 is stored as 0 (wdk_write.c). */
static const char *put_float(struct buf *out, enum type_kind kind, struct value v)
{
    if (kind == TYPE_FLOAT32 && isfinite(v.f) && fabs(v.f) > (double)FLT_MAX)
        return "a number out of range";
    if (v.f == 0)
        v.f = 0;
    put_plain(out, kind, &v);
    return NULL;
}

static const char *put_decimal(struct buf *out, const struct load_column *c, const struct value *v)
{
    const char *why;
    __int128 n;

    if (strncmp(c->type, "DECIMAL(", 8) == 0) {
        why = wdk_decimal(v->s.p, v->s.len, c->precision, c->scale, &n);
        if (why != NULL)
            return why;
    }
    return put_string(out, v);
}

/* Postgres's text with the era where DuckDB wants it: behind the date. */
static void put_instant(struct buf *out, enum type_kind kind, const struct value *v)
{
    struct buf text = {0};
    size_t bc = sizeof(BC) - 1, date;
    const char *p;

    value_to_text(&text, kind, v);
    p = buf_cstr(&text);
    if (text.len < bc || strcmp(p + text.len - bc, BC) != 0) {
        buf_printf(out, "'%s'", p);
    } else {
        text.len -= bc;
        p = buf_cstr(&text);
        date = strcspn(p, " ");
        buf_printf(out, "'%.*s (BC)%s'", (int)date, p, p + date);
    }
    buf_free(&text);
}

static const char *put_date(struct buf *out, const struct value *v)
{
    if (v->i < -INT32_MAX && v->i != VALUE_DATE_MINUS_INFINITY)
        return "a date out of range";
    put_instant(out, TYPE_DATE, v);
    return NULL;
}

static const char *put_timestamp(struct buf *out, enum type_kind kind, const struct value *v)
{
    int64_t us;

    if (v->i != VALUE_TIMESTAMP_INFINITY && v->i != VALUE_TIMESTAMP_MINUS_INFINITY &&
        (__builtin_add_overflow(v->i, (int64_t)VALUE_EPOCH_SHIFT_US, &us) || us == INT64_MAX))
        return "a timestamp past the year 294246";
    put_instant(out, kind, v);
    return NULL;
}

/* The least number of microseconds is read as less than one more and one. */
static const char *put_interval(struct buf *out, const struct value *v)
{
    int32_t months, days;
    int64_t us;
    bool least;

    if (!interval_parse(v->s.p, v->s.len, &months, &days, &us))
        return "an infinite or unknown interval";
    least = us == INT64_MIN;
    buf_printf(out, "'%d months %d days %lld microseconds%s'", months, days,
               (long long)(least ? us + 1 : us), least ? " -1 microseconds" : "");
    return NULL;
}

static const char *put_uuid(struct buf *out, const struct load_column *c, const struct value *v)
{
    duckdb_hugeint h;

    if (strcmp(c->type, "UUID") == 0 && !wdk_uuid(v->s.p, v->s.len, &h))
        return "text that is not a UUID";
    return put_string(out, v);
}

const char *wdk_literal(struct buf *out, const struct load_column *c, const struct value *v)
{
    switch (c->kind) {
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return put_float(out, c->kind, *v);
    case TYPE_DECIMAL:
    case TYPE_NUMERIC:
        return put_decimal(out, c, v);
    case TYPE_BYTES:
        put_blob(out, v);
        return NULL;
    case TYPE_DATE:
        return put_date(out, v);
    case TYPE_TIME:
        if (v->i < 0 || v->i > INT64_C(86400000000))
            return "a time outside the day";
        put_plain(out, c->kind, v);
        return NULL;
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        return put_timestamp(out, c->kind, v);
    case TYPE_INTERVAL:
        return put_interval(out, v);
    case TYPE_UUID:
        return put_uuid(out, c, v);
    case TYPE_TEXT:
    case TYPE_JSON:
    case TYPE_ENUM:
    case TYPE_BITS:
        return put_string(out, v);
    default:
        put_plain(out, c->kind, v);
        return NULL;
    }
}
