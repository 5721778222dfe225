/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format: "PGCOPY\n\377\r\n\0", flags and an extension, then for each row a count of fields and
 * each field's length and bytes, at last a count of -1 (PostgreSQL manual, COPY). The server sends
 * each row as a message of its own; header and trailer come with one or alone.
 *
 * Values come out as pg_value_parse makes them of the text. What is no value of its type is an
 * error, never a guess.
 */
#include "source_postgres/copy_binary.h"

#include "source_postgres/pg_value.h"
#include "util/buf.h"
#include "util/causes.h"

#include <math.h>
#include <string.h>

#define NUMERIC_HEADER 8
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_BASE_DIGITS 4
#define DSCALE_MAX 0x3fff

/* pg_type.dat; in no release others */
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
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_DATE = 1082,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802
};

bool copy_binary_suits(const struct column *c, uint32_t oid)
{
    switch (c->kind) {
    case TYPE_BOOL:
        return oid == OID_BOOL;
    case TYPE_INT16:
        return oid == OID_INT2;
    case TYPE_INT32:
        return oid == OID_INT4;
    case TYPE_INT64:
        return oid == OID_INT8 || oid == OID_OID;
    case TYPE_FLOAT32:
        return oid == OID_FLOAT4;
    case TYPE_FLOAT64:
        return oid == OID_FLOAT8;
    case TYPE_DECIMAL:
    case TYPE_NUMERIC:
        return oid == OID_NUMERIC;
    case TYPE_TEXT:
        return oid == OID_TEXT || oid == OID_VARCHAR || oid == OID_BPCHAR || oid == OID_NAME;
    case TYPE_BYTES:
        return oid == OID_BYTEA;
    case TYPE_DATE:
        return oid == OID_DATE;
    case TYPE_TIME:
        return oid == OID_TIME;
    case TYPE_TIMESTAMP:
        return oid == OID_TIMESTAMP;
    case TYPE_TIMESTAMPTZ:
        return oid == OID_TIMESTAMPTZ;
    case TYPE_UUID:
        return oid == OID_UUID;
    case TYPE_JSON:
        return oid == OID_JSON || oid == OID_JSONB;
    case TYPE_ENUM: /* its label */
        return true;
    case TYPE_INTERVAL:
    case TYPE_BITS:
    case TYPE_COUNT:
        break;
    }
    return false;
}

/* --- values --- */

static uint16_t be16(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;

    return (uint16_t)(b[0] << 8 | b[1]);
}

static uint32_t be32(const char *p)
{
    return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static uint64_t be64(const char *p)
{
    return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static bool take_integer(uint32_t oid, const char *p, size_t len, int64_t *out)
{
    switch (oid) {
    case OID_BOOL:
        *out = len == 1 ? p[0] : -1;
        return *out == 0 || *out == 1;
    case OID_INT2:
        *out = len == 2 ? (int16_t)be16(p) : 0;
        return len == 2;
    case OID_INT4:
        *out = len == 4 ? (int32_t)be32(p) : 0;
        return len == 4;
    case OID_OID:
        *out = len == 4 ? (int64_t)be32(p) : 0;
        return len == 4;
    default: /* 64 bits; times too, whose epoch and infinities are ours */
        *out = len == 8 ? (int64_t)be64(p) : 0;
        return len == 8;
    }
}

/* Days since 2000-01-01. */
static bool take_date(const char *p, size_t len, int64_t *out)
{
    if (len != 4)
        return false;
    *out = (int32_t)be32(p);
    if (*out != VALUE_DATE_INFINITY && *out != VALUE_DATE_MINUS_INFINITY)
        *out += VALUE_EPOCH_SHIFT_DAYS;
    return true;
}

static bool take_float(uint32_t oid, const char *p, size_t len, double *out)
{
    uint64_t bits;
    uint32_t narrow;
    float f;

    if (len != (oid == OID_FLOAT4 ? 4u : 8u))
        return false;
    if (oid == OID_FLOAT4) {
        narrow = be32(p);
        memcpy(&f, &narrow, sizeof(f));
        *out = (double)f;
    } else {
        bits = be64(p);
        memcpy(out, &bits, sizeof(bits));
    }
    if (isnan(*out)) /* of which there are many, and one in text */
        *out = (double)NAN;
    return true;
}

static char *put_digits(char *to, unsigned v)
{
    to[0] = (char)('0' + v / 1000);
    to[1] = (char)('0' + v / 100 % 10);
    to[2] = (char)('0' + v / 10 % 10);
    to[3] = (char)('0' + v % 10);
    return to + NUMERIC_BASE_DIGITS;
}

struct numeric {
    int n, weight; /* digits of base 10000; the first one's power of it */
    unsigned sign;
    int dscale; /* decimals that are shown */
    const char *digits;
};

static unsigned digit_at(const struct numeric *v, int weight)
{
    int i = v->weight - weight;

    return i >= 0 && i < v->n ? be16(v->digits + 2 * i) : 0;
}

/* As numeric_out writes it. */
static size_t write_numeric(const struct numeric *v, char *out)
{
    char *to = out, *begin;
    int w = v->weight > 0 ? v->weight : 0, shown;

    if (v->sign == NUMERIC_NEGATIVE)
        *to++ = '-';
    begin = to;
    for (; w >= 0; w--)
        to = put_digits(to, digit_at(v, w));
    while (*begin == '0' && begin + 1 < to) { /* at most three */
        memmove(begin, begin + 1, (size_t)(to - begin) - 1);
        to--;
    }
    if (v->dscale == 0)
        return (size_t)(to - out);
    *to++ = '.';
    for (shown = 0; shown < v->dscale; shown += NUMERIC_BASE_DIGITS, w--)
        to = put_digits(to, digit_at(v, w));
    return (size_t)(to - out) - (size_t)(shown - v->dscale);
}

static bool special_numeric(unsigned sign, const char **text)
{
    *text = sign == 0xC000   ? "NaN"
            : sign == 0xD000 ? "Infinity"
            : sign == 0xF000 ? "-Infinity"
                             : NULL;
    return *text != NULL;
}

/* As text, which is then looked at as text is: does it fit its column? */
static bool take_numeric(const struct column *c, const char *p, size_t len, struct arena *scratch,
                         struct value *out, struct error *err)
{
    struct numeric v = {.digits = p + NUMERIC_HEADER};
    const char *text = NULL;
    char *made;
    int i;

    if (len >= NUMERIC_HEADER) {
        v.n = be16(p);
        v.weight = (int16_t)be16(p + 2);
        v.sign = be16(p + 4);
        v.dscale = be16(p + 6);
    }
    if (len != NUMERIC_HEADER + 2 * (size_t)v.n || v.dscale > DSCALE_MAX)
        return pg_value_parse(c, "", 0, scratch, out, err); /* is none */
    if (special_numeric(v.sign, &text))
        return pg_value_parse(c, text, strlen(text), scratch, out, err);
    for (i = 0; i < v.n; i++) {
        if (be16(v.digits + 2 * i) > 9999)
            return pg_value_parse(c, "", 0, scratch, out, err);
    }
    if (v.sign != 0 && v.sign != NUMERIC_NEGATIVE)
        return pg_value_parse(c, "", 0, scratch, out, err);
    made = arena_alloc(scratch, (size_t)(v.weight > 0 ? v.weight : 0) * NUMERIC_BASE_DIGITS +
                                    (size_t)v.dscale + 16);
    return pg_value_parse(c, made, write_numeric(&v, made), scratch, out, err);
}

static bool take_uuid(const char *p, size_t len, struct arena *scratch, struct value *out)
{
    static const char hex[] = "0123456789abcdef";
    char *text = arena_alloc(scratch, 36), *to = text;
    size_t i;

    if (len != 16)
        return false;
    for (i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = hex[(uint8_t)p[i] >> 4];
        *to++ = hex[(uint8_t)p[i] & 15];
    }
    out->s.p = text;
    out->s.len = 36;
    return true;
}

static bool take_string(uint32_t oid, const char *p, size_t len, struct value *out)
{
    if (oid == OID_JSONB) { /* a version, then text */
        if (len == 0 || p[0] != 1)
            return false;
        p++;
        len--;
    }
    out->s.p = p;
    out->s.len = len;
    return true;
}

static bool take_value(const struct column *c, uint32_t oid, const char *p, size_t len,
                       struct arena *scratch, struct value *out, struct error *err)
{
    bool ok;

    out->state = VALUE_SET;
    switch (c->kind) {
    case TYPE_DECIMAL:
    case TYPE_NUMERIC:
        return take_numeric(c, p, len, scratch, out, err);
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        ok = take_float(oid, p, len, &out->f);
        break;
    case TYPE_DATE:
        ok = take_date(p, len, &out->i);
        break;
    case TYPE_UUID:
        ok = take_uuid(p, len, scratch, out);
        break;
    default:
        ok = type_kind_is_text(c->kind) || c->kind == TYPE_BYTES
                 ? take_string(oid, p, len, out)
                 : take_integer(oid, p, len, &out->i);
    }
    if (ok)
        return true;
    out->state = VALUE_NULL;
    return error_cause(err, CAUSE_VALUE_INVALID, "column %s: not a valid %s", c->name,
                       c->source_type != NULL ? c->source_type : type_kind_name(c->kind));
}

/* --- rows --- */

static bool broken(const char *why, struct error *err)
{
    return error_cause(err, CAUSE_PROTOCOL_BROKEN, "broken or truncated COPY data: %s", why);
}

static bool take_header(struct copy_binary *b, const char **p, const char *end, struct error *err)
{
    static const char signature[] = "PGCOPY\n\377\r\n"; /* with its zero */
    size_t len = sizeof(signature) + 8;
    uint32_t more;

    if ((size_t)(end - *p) < len || memcmp(*p, signature, sizeof(signature)) != 0)
        return broken("no header", err);
    more = be32(*p + sizeof(signature) + 4);
    if (be32(*p + sizeof(signature)) != 0 || more > (size_t)(end - *p) - len)
        return broken("a header that is not known here", err);
    *p += len + more;
    b->begun = true;
    return true;
}

bool copy_binary_take(struct copy_binary *b, const struct table *t, const uint32_t *oids,
                      const char *data, size_t len, struct arena *scratch, struct value *values,
                      bool *row, struct error *err)
{
    const char *p = data, *end = data + len;
    int i, n;

    *row = false;
    if (!b->begun && !take_header(b, &p, end, err))
        return false;
    if (p == end)
        return true;
    if (b->ended || end - p < 2)
        return broken("bytes behind its end", err);
    n = (int16_t)be16(p);
    p += 2;
    if (n == -1) {
        b->ended = true;
        return p == end || broken("bytes behind its end", err);
    }
    if (n != t->ncols)
        return broken("another number of columns than was asked for", err);
    for (i = 0; i < n; i++) {
        int32_t size = end - p >= 4 ? (int32_t)be32(p) : -2;

        if (size < -1 || (size > 0 && end - p - 4 < size))
            return broken("a value that is cut off", err);
        p += 4;
        values[i].state = VALUE_NULL;
        if (size >= 0 &&
            !take_value(&t->cols[i], oids[i], p, (size_t)size, scratch, &values[i], err))
            return false;
        p += size > 0 ? size : 0;
    }
    *row = true;
    return p == end || broken("more columns than were asked for", err);
}

bool copy_binary_end(const struct copy_binary *b, struct error *err)
{
    return b->ended || broken("it ends early", err);
}
