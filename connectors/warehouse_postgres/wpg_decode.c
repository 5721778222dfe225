/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binary forms of the built-in types -> values, for verification (PostgreSQL src/backend/utils/adt,
 * *_send; layouts as in wpg_encode.c, with which nothing is shared). Types without a form here are
 * read as their own text.
 */
#include "warehouse_postgres/wpg_decode.h"

#include "util/buf.h"

#include <string.h>

/* pg_type.dat */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_MONEY = 790,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_DATE = 1082,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_BIT = 1560,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802,
    OID_XID8 = 5069
};

#define NUMERIC_NEG 0x4000
#define NUMERIC_NAN 0xC000
#define NUMERIC_PINF 0xD000
#define NUMERIC_NINF 0xF000

static bool is_string(unsigned oid)
{
    return oid == OID_TEXT || oid == OID_VARCHAR || oid == OID_BPCHAR || oid == OID_NAME ||
           oid == OID_JSON;
}

static enum wpg_form exactly(bool suits)
{
    return suits ? WPG_FORM_BINARY : WPG_FORM_NONE;
}

static enum wpg_form integer_form(unsigned oid)
{
    if (oid == OID_INT2 || oid == OID_INT4 || oid == OID_INT8 || oid == OID_OID)
        return WPG_FORM_BINARY;
    return oid == OID_NUMERIC || oid == OID_XID8 ? WPG_FORM_TEXT : WPG_FORM_NONE;
}

static enum wpg_form numeric_form(unsigned oid)
{
    if (oid == OID_NUMERIC || is_string(oid))
        return WPG_FORM_BINARY;
    return oid == OID_MONEY ? WPG_FORM_NUMERIC : oid == OID_XID8 ? WPG_FORM_TEXT : WPG_FORM_NONE;
}

enum wpg_form wpg_scan_form(enum type_kind kind, unsigned oid)
{
    switch (kind) {
    case TYPE_BOOL:
        return exactly(oid == OID_BOOL || oid == OID_BIT);
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
        return integer_form(oid);
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return exactly(oid == OID_FLOAT4 || oid == OID_FLOAT8);
    case TYPE_DECIMAL:
    case TYPE_NUMERIC:
        return numeric_form(oid);
    case TYPE_BYTES:
        return exactly(oid == OID_BYTEA);
    case TYPE_DATE:
        return exactly(oid == OID_DATE);
    case TYPE_TIME:
        return exactly(oid == OID_TIME);
    case TYPE_TIMESTAMP:
        return exactly(oid == OID_TIMESTAMP);
    case TYPE_TIMESTAMPTZ:
        return exactly(oid == OID_TIMESTAMPTZ);
    default:
        return is_string(oid) || oid == OID_JSONB || oid == OID_UUID ? WPG_FORM_BINARY
                                                                     : WPG_FORM_TEXT;
    }
}

/* --- values --- */

static uint64_t big_endian(const char *p, size_t len)
{
    uint64_t v = 0;

    while (len-- > 0)
        v = v << 8 | (uint8_t)*p++;
    return v;
}

static int64_t signed_big_endian(const char *p, size_t len)
{
    unsigned unused = (unsigned)(64 - 8 * len);

    return (int64_t)(big_endian(p, len) << unused) >> unused;
}

static bool text_integer(const char *p, size_t len, int64_t *out)
{
    bool minus = len > 0 && *p == '-';
    uint64_t v = 0;
    size_t i = minus;

    for (; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(p[i] - '0');
    }
    *out = (int64_t)(minus ? 0 - v : v);
    return len > (size_t)minus;
}

static bool decode_integer(unsigned oid, const char *p, size_t len, int64_t *out)
{
    if (oid == OID_OID)
        *out = (int64_t)big_endian(p, len);
    else if (len == 2 || len == 4 || len == 8)
        *out = signed_big_endian(p, len);
    return len == (oid == OID_INT2 ? 2u : oid == OID_INT8 ? 8u : 4u);
}

static bool decode_float(unsigned oid, const char *p, size_t len, double *out)
{
    uint64_t bits = big_endian(p, len);
    uint32_t narrow = (uint32_t)bits;
    float f;

    if (len != (oid == OID_FLOAT4 ? 4u : 8u))
        return false;
    if (oid == OID_FLOAT8) {
        memcpy(out, &bits, sizeof(bits));
        return true;
    }
    memcpy(&f, &narrow, sizeof(f));
    *out = (double)f;
    return true;
}

static void set_string(struct value *out, const char *p, size_t len)
{
    out->s.p = p;
    out->s.len = len;
}

/* digit i stands for digit * 10000^(weight - i); dscale decimals are shown. */
static void numeric_digits(const char *digits, int n, int weight, int dscale, struct buf *text)
{
    int w, shown = 0;

    for (w = weight > 0 ? weight : 0; w >= 0; w--) {
        int at = weight - w;
        int digit = at >= 0 && at < n ? (int)big_endian(digits + 2 * at, 2) : 0;

        buf_printf(text, w == (weight > 0 ? weight : 0) ? "%d" : "%04d", digit);
    }
    if (dscale > 0)
        buf_u8(text, '.');
    for (w = -1; shown < dscale; w--, shown += 4) {
        int at = weight - w;
        int digit = at >= 0 && at < n ? (int)big_endian(digits + 2 * at, 2) : 0;

        buf_printf(text, "%04d", digit);
    }
    if (shown > dscale)
        text->len -= (size_t)(shown - dscale);
}

static bool decode_numeric(const char *p, size_t len, struct arena *scratch, struct value *out)
{
    struct buf text = {0};
    unsigned sign;
    int n;

    if (len < 8)
        return false;
    n = (int)big_endian(p, 2);
    sign = (unsigned)big_endian(p + 4, 2);
    if (len != 8 + 2 * (size_t)n)
        return false;
    if (sign == NUMERIC_NAN)
        buf_puts(&text, "NaN");
    else if (sign == NUMERIC_PINF || sign == NUMERIC_NINF)
        buf_puts(&text, sign == NUMERIC_PINF ? "Infinity" : "-Infinity");
    else
        buf_puts(&text, sign == NUMERIC_NEG ? "-" : "");
    if (sign == 0 || sign == NUMERIC_NEG)
        numeric_digits(p + 8, n, (int)signed_big_endian(p + 2, 2), (int)big_endian(p + 6, 2),
                       &text);
    set_string(out, arena_memdup(scratch, text.data, text.len), text.len);
    buf_free(&text);
    return true;
}

static bool decode_uuid(const char *p, size_t len, struct arena *scratch, struct value *out)
{
    if (len != 16)
        return false;
    set_string(out,
               arena_printf(scratch, "%08x-%04x-%04x-%04x-%012llx", (unsigned)big_endian(p, 4),
                            (unsigned)big_endian(p + 4, 2), (unsigned)big_endian(p + 6, 2),
                            (unsigned)big_endian(p + 8, 2),
                            (unsigned long long)big_endian(p + 10, 6)),
               36);
    return true;
}

static bool decode_string(unsigned oid, const char *p, size_t len, struct arena *scratch,
                          struct value *out)
{
    if (oid == OID_NUMERIC)
        return decode_numeric(p, len, scratch, out);
    if (oid == OID_UUID)
        return decode_uuid(p, len, scratch, out);
    if (oid == OID_JSONB) {
        if (len < 1 || p[0] != 1)
            return false;
        p++;
        len--;
    }
    set_string(out, p, len);
    return true;
}

static bool decode_date(const char *p, size_t len, int64_t *out)
{
    int64_t days = len == 4 ? signed_big_endian(p, 4) : 0;

    *out = days;
    if (days != INT32_MAX && days != INT32_MIN)
        *out += VALUE_EPOCH_SHIFT_DAYS;
    return len == 4;
}

/* A bit(1) counts its bits first. */
static bool decode_bool(unsigned oid, const char *p, size_t len, int64_t *out)
{
    if (oid == OID_BIT && len == 5)
        *out = (uint8_t)p[4] >> 7;
    else if (oid == OID_BOOL && len == 1)
        *out = p[0] != 0;
    else
        return false;
    return true;
}

bool wpg_decode(enum type_kind kind, unsigned oid, enum wpg_form form, const char *p, size_t len,
                struct arena *scratch, struct value *out)
{
    out->state = VALUE_SET;
    switch (kind) {
    case TYPE_BOOL:
        return decode_bool(oid, p, len, &out->i);
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
        return form == WPG_FORM_TEXT ? text_integer(p, len, &out->i)
                                     : decode_integer(oid, p, len, &out->i);
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return decode_float(oid, p, len, &out->f);
    case TYPE_BYTES:
        set_string(out, p, len);
        return true;
    case TYPE_DATE:
        return decode_date(p, len, &out->i);
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        out->i = len == 8 ? signed_big_endian(p, 8) : 0;
        return len == 8;
    default:
        return decode_string(form == WPG_FORM_BINARY    ? oid
                             : form == WPG_FORM_NUMERIC ? OID_NUMERIC
                                                        : OID_TEXT,
                             p, len, scratch, out);
    }
}
