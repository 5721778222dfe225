/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The binary formats of the built-in types (PostgreSQL src/backend/utils/adt, *_recv):
 *
 *   numeric    int16 ndigits, int16 weight, uint16 sign, uint16 dscale, ndigits * int16 in base
 *              10000; value = sum digit[i] * 10000^(weight - i); sign 0000 + 4000 - C000 NaN
 *              D000 Infinity F000 -Infinity; dscale is the number of decimals shown
 *   date       int32 days since 2000-01-01, INT32_MAX / MIN infinity
 *   timestamp  int64 us since 2000-01-01, INT64_MAX / MIN infinity
 *   interval   int64 us, int32 days, int32 months; all three MAX / MIN infinity (17 and later;
 *              before, the same bytes are a finite value and so are refused)
 *   bit        int32 length in bits, then bits, most significant first
 *
 * The server rounds to a type modifier without a word, so what does not fit is found here.
 */
#include "warehouse_postgres/wpg_encode.h"

#include "load/text.h"

#include <math.h>
#include <string.h>

#define NUMERIC_NEG 0x4000
#define NUMERIC_NAN 0xC000
#define NUMERIC_PINF 0xD000
#define NUMERIC_NINF 0xF000
#define NUMERIC_MAX_DSCALE 16383
#define NUMERIC_MAX_EXPONENT 200000
/* PostgreSQL datatype/timestamp.h */
#define MIN_TIMESTAMP (-211813488000000000LL)
#define END_TIMESTAMP 9223371331200000000LL
#define MIN_DATE (-2451545) /* 4713-01-01 BC, days from 2000 */
#define END_DATE 2145031949 /* 5874898-01-01 */
#define DAY_US 86400000000LL
#define INFINITE_INTERVALS 170000 /* version */

/* A decimal text in place: digit k of n stands for digit * 10^(point - 1 - k). */
struct decimal {
    const char *digits; /* may have '.' at index ni */
    int64_t ni, nf;     /* digits before and after the '.' */
    int64_t point;
    bool negative;
    int64_t first, last; /* nonzero digits; first > last: zero */
    int64_t dscale;
};

static int digit_at(const struct decimal *d, int64_t k)
{
    if (k < 0 || k >= d->ni + d->nf)
        return 0;
    return d->digits[k < d->ni ? k : k + 1] - '0';
}

static int64_t floor_div4(int64_t v)
{
    return v >= 0 ? v / 4 : -((-v + 3) / 4);
}

static bool parse_exponent(const char *p, const char *end, int64_t *out)
{
    bool negative = false;
    int64_t v = 0;

    if (p < end && (*p == '+' || *p == '-'))
        negative = *p++ == '-';
    if (p == end)
        return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9' || v > NUMERIC_MAX_EXPONENT)
            return false;
        v = v * 10 + (*p - '0');
    }
    *out = negative ? -v : v;
    return true;
}

static bool parse_decimal(const char *p, size_t len, struct decimal *d)
{
    const char *end = p + len;
    int64_t exponent = 0;

    memset(d, 0, sizeof(*d));
    if (p < end && (*p == '-' || *p == '+'))
        d->negative = *p++ == '-';
    d->digits = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    d->ni = p - d->digits;
    if (p < end && *p == '.') {
        const char *fraction = ++p;

        while (p < end && *p >= '0' && *p <= '9')
            p++;
        d->nf = p - fraction;
    }
    if (d->ni + d->nf == 0)
        return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        if (!parse_exponent(p + 1, end, &exponent))
            return false;
        p = end;
    }
    if (p != end)
        return false;
    d->point = d->ni + exponent;
    d->dscale = d->nf > exponent ? d->nf - exponent : 0;
    d->last = d->ni + d->nf - 1;
    while (d->first <= d->last && digit_at(d, d->first) == 0)
        d->first++;
    while (d->last >= d->first && digit_at(d, d->last) == 0)
        d->last--;
    return true;
}

static void put_numeric_special(struct buf *out, uint16_t sign)
{
    buf_be16(out, 0);
    buf_be16(out, 0);
    buf_be16(out, sign);
    buf_be16(out, 0);
}

static bool text_is(const struct value *v, const char *text)
{
    return v->s.len == strlen(text) && memcmp(v->s.p, text, v->s.len) == 0;
}

/* The limits of numeric(precision, scale), and the server's own. */
static const char *decimal_misfit(const struct decimal *d, const struct wpg_type *t)
{
    int64_t top = d->point - 1 - d->first, bottom = d->point - 1 - d->last;

    if (d->dscale > NUMERIC_MAX_DSCALE)
        return "a number with more than 16383 decimal places";
    if (d->first > d->last)
        return NULL;
    if (floor_div4(top) > INT16_MAX)
        return "a number with more than 131072 digits";
    if (t->nmods > 0) {
        int scale = t->nmods > 1 ? t->mods[1] : 0;

        if (bottom < -scale)
            return "a number with more decimal places than the column";
        if (top >= t->mods[0] - scale)
            return "a number with more digits than the column";
    }
    return NULL;
}

static const char *encode_numeric(struct buf *out, const struct wpg_type *t, const struct value *v)
{
    struct decimal d;
    const char *misfit;
    int64_t weight, lowest;

    if (text_is(v, "NaN")) {
        put_numeric_special(out, NUMERIC_NAN);
        return NULL;
    }
    if (text_is(v, "Infinity") || text_is(v, "-Infinity")) {
        if (t->nmods > 0)
            return "an infinite number";
        put_numeric_special(out, v->s.p[0] == '-' ? NUMERIC_NINF : NUMERIC_PINF);
        return NULL;
    }
    if (!parse_decimal(v->s.p, v->s.len, &d))
        return "a text that is no number";
    misfit = decimal_misfit(&d, t);
    if (misfit != NULL)
        return misfit;
    if (d.first > d.last) {
        buf_be16(out, 0);
        buf_be16(out, 0);
        buf_be16(out, 0);
        buf_be16(out, (uint16_t)d.dscale);
        return NULL;
    }
    weight = floor_div4(d.point - 1 - d.first);
    lowest = floor_div4(d.point - 1 - d.last);
    buf_be16(out, (uint16_t)(weight - lowest + 1));
    buf_be16(out, (uint16_t)weight);
    buf_be16(out, d.negative ? NUMERIC_NEG : 0);
    buf_be16(out, (uint16_t)d.dscale);
    for (int64_t w = weight; w >= lowest; w--) {
        int64_t k = d.point - 1 - (w * 4 + 3);

        buf_be16(out, (uint16_t)(digit_at(&d, k) * 1000 + digit_at(&d, k + 1) * 100 +
                                 digit_at(&d, k + 2) * 10 + digit_at(&d, k + 3)));
    }
    return NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static const char *encode_uuid(struct buf *out, const struct value *v)
{
    uint8_t bytes[16];
    int n = 0;

    for (size_t i = 0; i < v->s.len; i++) {
        int digit = hex_digit(v->s.p[i]);

        if (v->s.p[i] == '-' && n % 2 == 0)
            continue;
        if (digit < 0 || n == 32)
            return "a text that is no uuid";
        if (n % 2 == 0)
            bytes[n / 2] = (uint8_t)(digit << 4);
        else
            bytes[n / 2] |= (uint8_t)digit;
        n++;
    }
    if (n != 32)
        return "a text that is no uuid";
    buf_append(out, bytes, sizeof(bytes));
    return NULL;
}

static const char *encode_bits(struct buf *out, const struct wpg_type *t, const struct value *v)
{
    size_t n = v->s.len;
    /* bit without a length is bit(1), bit varying without one has no limit */
    int limit = t->nmods > 0 ? t->mods[0] : t->base == WPG_BIT ? 1 : -1;
    uint8_t byte = 0;

    if (t->base == WPG_BIT ? n != (size_t)limit : limit >= 0 && n > (size_t)limit)
        return "a bit string of another length";
    for (size_t i = 0; i < n; i++)
        if (v->s.p[i] != '0' && v->s.p[i] != '1')
            return "a text that is no bit string";
    buf_be32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        byte = (uint8_t)(byte << 1 | (v->s.p[i] == '1'));
        if (i % 8 == 7 || i == n - 1) {
            buf_u8(out, (uint8_t)(byte << (7 - i % 8)));
            byte = 0;
        }
    }
    return NULL;
}

static bool has_more_decimals(const struct wpg_type *t, int64_t us)
{
    int64_t unit = 1000000;

    if (t->nmods == 0)
        return false;
    for (int i = 0; i < t->mods[0] && unit > 1; i++)
        unit /= 10;
    return us % unit != 0;
}

static const char *encode_interval(struct buf *out, const struct wpg_type *t, const struct value *v,
                                   int server_version)
{
    int32_t months, days;
    int64_t us;

    if (text_is(v, "infinity") || text_is(v, "-infinity")) {
        bool negative = v->s.p[0] == '-';

        if (server_version < INFINITE_INTERVALS)
            return "an infinite interval (PostgreSQL 17 and later have it)";
        us = negative ? INT64_MIN : INT64_MAX;
        days = months = negative ? INT32_MIN : INT32_MAX;
    } else if (!interval_parse(v->s.p, v->s.len, &months, &days, &us)) {
        return "a text that is no interval";
    } else if (has_more_decimals(t, us)) {
        return "an interval with more decimal places than the column";
    }
    buf_be64(out, (uint64_t)us);
    buf_be32(out, (uint32_t)days);
    buf_be32(out, (uint32_t)months);
    return NULL;
}

static const char *encode_timestamp(struct buf *out, const struct wpg_type *t, int64_t us)
{
    if (us != VALUE_TIMESTAMP_INFINITY && us != VALUE_TIMESTAMP_MINUS_INFINITY) {
        if (us < MIN_TIMESTAMP || us >= END_TIMESTAMP)
            return "a timestamp before 4713 BC or after 294276 AD";
        if (has_more_decimals(t, us))
            return "a timestamp with more decimal places than the column";
    }
    buf_be64(out, (uint64_t)us);
    return NULL;
}

static const char *encode_date(struct buf *out, int64_t days)
{
    if (days != VALUE_DATE_INFINITY && days != VALUE_DATE_MINUS_INFINITY) {
        days -= VALUE_EPOCH_SHIFT_DAYS;
        if (days < MIN_DATE || days >= END_DATE)
            return "a date before 4713 BC or after 5874897 AD";
    }
    buf_be32(out, (uint32_t)days);
    return NULL;
}

static const char *encode_integer(struct buf *out, enum wpg_base base, int64_t i)
{
    switch (base) {
    case WPG_INT2:
        if (i < INT16_MIN || i > INT16_MAX)
            return "a number out of smallint's range";
        buf_be16(out, (uint16_t)i);
        return NULL;
    case WPG_INT4:
        if (i < INT32_MIN || i > INT32_MAX)
            return "a number out of integer's range";
        buf_be32(out, (uint32_t)i);
        return NULL;
    case WPG_OID:
        if (i < 0 || i > UINT32_MAX)
            return "a number out of oid's range";
        buf_be32(out, (uint32_t)i);
        return NULL;
    default:
        buf_be64(out, (uint64_t)i);
        return NULL;
    }
}

static const char *encode_float(struct buf *out, enum wpg_base base, double f)
{
    if (base == WPG_FLOAT4) {
        float narrow = (float)f;
        uint32_t bits;

        if (!isnan(f) && (double)narrow != f)
            return "a number that real cannot hold exactly";
        memcpy(&bits, &narrow, sizeof(bits));
        buf_be32(out, bits);
    } else {
        uint64_t bits;

        memcpy(&bits, &f, sizeof(bits));
        buf_be64(out, bits);
    }
    return NULL;
}

/* Characters of UTF-8: bytes that do not continue one. */
static bool longer_than(const struct value *v, int characters)
{
    size_t n = 0;

    if (v->s.len <= (size_t)characters)
        return false;
    for (size_t i = 0; i < v->s.len; i++)
        n += ((uint8_t)v->s.p[i] & 0xC0) != 0x80;
    return n > (size_t)characters;
}

static const char *check_string(const struct wpg_type *t, const struct value *v)
{
    if (v->s.len > 0 && memchr(v->s.p, '\0', v->s.len) != NULL)
        return "a text with a zero byte";
    if (t->base == WPG_VARCHAR && t->nmods > 0 && longer_than(v, t->mods[0]))
        return "a text that is longer than the column";
    /* character is character(1); bpchar has no length, and cannot be told apart here */
    if (t->base == WPG_BPCHAR && t->nmods > 0 && longer_than(v, t->mods[0]))
        return "a text that is longer than the column";
    return NULL;
}

bool wpg_is_bytes(const struct wpg_type *t)
{
    return t->base == WPG_TEXT || t->base == WPG_VARCHAR || t->base == WPG_BPCHAR ||
           t->base == WPG_JSONB || t->base == WPG_BYTEA;
}

const char *wpg_encode(struct buf *out, const struct wpg_type *t, const struct value *v,
                       int server_version)
{
    switch (t->base) {
    case WPG_BOOL:
        buf_u8(out, v->i != 0);
        return NULL;
    case WPG_INT2:
    case WPG_INT4:
    case WPG_INT8:
    case WPG_OID:
        return encode_integer(out, t->base, v->i);
    case WPG_FLOAT4:
    case WPG_FLOAT8:
        return encode_float(out, t->base, v->f);
    case WPG_NUMERIC:
        return encode_numeric(out, t, v);
    case WPG_TEXT:
    case WPG_VARCHAR:
    case WPG_BPCHAR:
    case WPG_JSONB:
        return check_string(t, v);
    case WPG_BYTEA:
        return NULL;
    case WPG_DATE:
        return encode_date(out, v->i);
    case WPG_TIME:
        if (v->i < 0 || v->i > DAY_US)
            return "a time outside of a day";
        if (has_more_decimals(t, v->i))
            return "a time with more decimal places than the column";
        buf_be64(out, (uint64_t)v->i);
        return NULL;
    case WPG_TIMESTAMP:
        return encode_timestamp(out, t, v->i);
    case WPG_INTERVAL:
        return encode_interval(out, t, v, server_version);
    case WPG_BIT:
    case WPG_VARBIT:
        return encode_bits(out, t, v);
    case WPG_UUID:
        return encode_uuid(out, v);
    case WPG_OTHER:
        break;
    }
    return "a type that is not written in binary";
}
