/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One parser per kind. Integers go by hand; floats by Clinger's exact case (mantissa and power of
 * ten both exact in the target type), strtod for the rest. No allocation but for values that are
 * rewritten (scratch). Assumes the "C" LC_NUMERIC, which a process that never calls setlocale has;
 * any other makes fractions fail loudly.
 */
#include "source_postgres/pg_value.h"

#include "source_postgres/pg_datetime.h"
#include "util/causes.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FLOAT_TEXT_MAX 64 /* longer than any float Postgres prints */
#define INT64_DIGITS 19
#define UUID_LENGTH 36
#define MONEY_MAX_LENGTH 32

static inline bool is_digit(char c)
{
    return (unsigned)(c - '0') <= 9;
}

static inline bool is_text(const char *s, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(s, want, len) == 0;
}

static bool parse_bool(const char *s, size_t len, int64_t *out)
{
    *out = len == 1 && *s == 't';
    return len == 1 && (*s == 't' || *s == 'f');
}

static bool parse_int(const char *s, size_t len, int64_t min, int64_t max, int64_t *out)
{
    const char *end = s + len;
    bool minus = len > 0 && *s == '-';
    uint64_t v = 0, limit;

    s += minus;
    if (s == end || end - s > INT64_DIGITS) /* 19 digits fit into 64 bits without a sign */
        return false;
    if (*s == '0' && len > 1)
        return false;
    for (; s < end; s++) {
        unsigned digit = (unsigned)(*s - '0');

        if (digit > 9)
            return false;
        v = v * 10 + digit;
    }
    limit = minus ? 0 - (uint64_t)min : (uint64_t)max;
    if (v > limit)
        return false;
    *out = (int64_t)(minus ? 0 - v : v);
    return true;
}

/* A float's parts: -?digits[.digits][e[+-]digits]. */
struct decimal_parts {
    bool minus;
    bool exact; /* mantissa holds all digits */
    uint64_t mantissa;
    int exponent; /* of ten */
};

static bool take_mantissa(const char **p, const char *end, struct decimal_parts *d)
{
    int digits = 0, fraction = 0;
    bool point = false;

    if (*p == end || !is_digit(**p))
        return false;
    for (; *p < end && (is_digit(**p) || (**p == '.' && !point)); (*p)++) {
        if (**p == '.') {
            point = true;
            continue;
        }
        d->mantissa = d->mantissa * 10 + (unsigned)(**p - '0'); /* wraps only if not exact */
        digits += digits > 0 || **p != '0';
        fraction += point;
    }
    d->exact = digits <= INT64_DIGITS;
    d->exponent = -fraction;
    return (*p)[-1] != '.';
}

static bool take_exponent(const char **p, const char *end, struct decimal_parts *d)
{
    bool minus;
    int v = 0;

    if (*p == end)
        return true;
    if (*(*p)++ != 'e' || *p == end)
        return false;
    minus = **p == '-';
    *p += minus || **p == '+';
    if (*p == end || end - *p > 4)
        return false;
    for (; *p < end; (*p)++) {
        if (!is_digit(**p))
            return false;
        v = v * 10 + (**p - '0');
    }
    d->exponent += minus ? -v : v;
    return true;
}

static bool split_float(const char *s, size_t len, struct decimal_parts *d)
{
    const char *end = s + len;

    memset(d, 0, sizeof(*d));
    d->minus = len > 0 && *s == '-';
    s += d->minus;
    return take_mantissa(&s, end, d) && take_exponent(&s, end, d);
}

static bool special_float(const char *s, size_t len, double *out)
{
    bool minus = len > 0 && *s == '-';

    if (is_text(s, len, "NaN")) {
        *out = (double)NAN;
        return true;
    }
    *out = minus ? -INFINITY : INFINITY;
    return is_text(s + minus, len - minus, "Infinity");
}

/* By the C library, for what the exact case leaves. A result that over- or underflowed is not
 * what the server meant. */
static bool slow_float(const char *s, size_t len, bool zero, bool single, double *out)
{
    char copy[FLOAT_TEXT_MAX];
    char *end;

    if (len >= sizeof(copy))
        return false;
    memcpy(copy, s, len);
    copy[len] = '\0';
    *out = single ? (double)strtof(copy, &end) : strtod(copy, &end);
    return end == copy + len && isfinite(*out) && (zero || *out != 0);
}

static bool parse_float(const char *s, size_t len, bool single, double *out)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    /* Exact in the target: 2^53 and 10^22 for a double, 2^24 and 10^10 for a float. */
    uint64_t max_mantissa = single ? UINT64_C(1) << FLT_MANT_DIG : UINT64_C(1) << DBL_MANT_DIG;
    int max_power = single ? 10 : 22;
    struct decimal_parts d;
    int e;

    if (!split_float(s, len, &d))
        return special_float(s, len, out);
    e = d.exponent < 0 ? -d.exponent : d.exponent;
    if (!d.exact || d.mantissa > max_mantissa || e > max_power)
        return slow_float(s, len, d.exact && d.mantissa == 0, single, out);
    *out = (double)d.mantissa;
    if (single)
        *out = d.exponent < 0 ? (float)*out / (float)power[e] : (float)*out * (float)power[e];
    else
        *out = d.exponent < 0 ? *out / power[e] : *out * power[e];
    if (d.minus)
        *out = -*out;
    return true;
}

/* -?digits[.digits]; counts the digits before and behind the point, leading zeros not. */
static bool split_numeric(const char *s, size_t len, size_t *whole, size_t *fraction)
{
    const char *end = s + len, *from;

    s += len > 0 && *s == '-';
    for (from = s; s < end && is_digit(*s); s++)
        ;
    if (s == from)
        return false;
    for (; from < s && *from == '0'; from++)
        ;
    *whole = (size_t)(s - from);
    *fraction = 0;
    if (s == end)
        return true;
    if (*s++ != '.')
        return false;
    for (from = s; s < end && is_digit(*s); s++)
        ;
    *fraction = (size_t)(s - from);
    return s == end && *fraction > 0;
}

static bool check_numeric(const char *s, size_t len)
{
    size_t whole, fraction;

    return split_numeric(s, len, &whole, &fraction) || is_text(s, len, "NaN") ||
           is_text(s, len, "Infinity") || is_text(s, len, "-Infinity");
}

/* "-$1,234.56" -> "-1234.56" */
static bool strip_money(const char **text, size_t *len, struct arena *scratch)
{
    const char *s = *text, *end = s + *len;
    char *out, *to;

    if (*len > MONEY_MAX_LENGTH)
        return false;
    out = to = arena_alloc(scratch, MONEY_MAX_LENGTH);
    if (s < end && *s == '-')
        *to++ = *s++;
    if (end - s < 2 || *s++ != '$' || !is_digit(*s))
        return false;
    for (; s < end; s++) {
        bool separator = *s == ',' && end - s > 6 && (end - s) % 4 == 3;

        if (!separator)
            *to++ = *s;
    }
    *text = out;
    *len = (size_t)(to - out);
    return true;
}

static bool check_decimal(const struct column *c, const char **text, size_t *len,
                          struct arena *scratch)
{
    bool money = c->source_type != NULL && strcmp(c->source_type, "money") == 0;
    size_t whole, fraction;

    if (money && !strip_money(text, len, scratch))
        return false;
    if (!split_numeric(*text, *len, &whole, &fraction))
        return !money && is_text(*text, *len, "NaN");
    return fraction <= (size_t)c->scale && whole <= (size_t)(c->precision - c->scale);
}

static int hex_digit(unsigned char c)
{
    static const int8_t value[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
        ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    };

    return value[c] - 1;
}

static bool parse_bytea(const char *s, size_t len, struct arena *scratch, struct value *out)
{
    size_t n = len / 2 - 1;
    int bad = 0;
    char *bytes;

    if (len < 2 || len % 2 != 0 || s[0] != '\\' || s[1] != 'x')
        return false;
    bytes = arena_alloc(scratch, n);
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit((unsigned char)s[2 + 2 * i]);
        int low = hex_digit((unsigned char)s[3 + 2 * i]);

        bad |= high | low; /* negative once any is */
        bytes[i] = (char)((unsigned)high << 4 | (unsigned)low);
    }
    out->s.p = bytes;
    out->s.len = n;
    return bad >= 0;
}

static bool check_uuid(const char *s, size_t len)
{
    if (len != UUID_LENGTH)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? s[i] != '-' : hex_digit((unsigned char)s[i]) < 0)
            return false;
    }
    return true;
}

static bool check_bits(const struct column *c, const char *s, size_t len)
{
    if (len != (size_t)c->precision)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] != '0' && s[i] != '1')
            return false;
    }
    return true;
}

/*
 * A "char" with its high bit set: up to PostgreSQL 15 the lone byte, which is no UTF-8, later
 * "\303". Both become the latter.
 */
static void rewrite_char(const struct column *c, struct arena *scratch, struct value *out)
{
    unsigned char byte = (unsigned char)out->s.p[0];
    char *text;

    if (byte < 0x80 || c->source_type == NULL || strcmp(c->source_type, "\"char\"") != 0)
        return;
    text = arena_alloc(scratch, 4);
    text[0] = '\\';
    text[1] = (char)('0' + (byte >> 6));
    text[2] = (char)('0' + (byte >> 3 & 7));
    text[3] = (char)('0' + (byte & 7));
    out->s.p = text;
    out->s.len = 4;
}

static bool parse(const struct column *c, const char *text, size_t len, struct arena *scratch,
                  struct value *out)
{
    switch (c->kind) {
    case TYPE_BOOL:
        return parse_bool(text, len, &out->i);
    case TYPE_INT16:
        return parse_int(text, len, INT16_MIN, INT16_MAX, &out->i);
    case TYPE_INT32:
        return parse_int(text, len, INT32_MIN, INT32_MAX, &out->i);
    case TYPE_INT64:
        return parse_int(text, len, INT64_MIN, INT64_MAX, &out->i);
    case TYPE_FLOAT32:
        return parse_float(text, len, true, &out->f);
    case TYPE_FLOAT64:
        return parse_float(text, len, false, &out->f);
    case TYPE_DATE:
        return pg_parse_date(text, len, &out->i);
    case TYPE_TIME:
        return pg_parse_time(text, len, &out->i);
    case TYPE_TIMESTAMP:
        return pg_parse_timestamp(text, len, false, &out->i);
    case TYPE_TIMESTAMPTZ:
        return pg_parse_timestamp(text, len, true, &out->i);
    case TYPE_BYTES:
        return parse_bytea(text, len, scratch, out);
    case TYPE_DECIMAL:
        if (!check_decimal(c, &text, &len, scratch))
            return false;
        break;
    case TYPE_NUMERIC:
        if (!check_numeric(text, len))
            return false;
        break;
    case TYPE_UUID:
        if (!check_uuid(text, len))
            return false;
        break;
    case TYPE_BITS:
        if (!check_bits(c, text, len))
            return false;
        break;
    case TYPE_TEXT:
    case TYPE_INTERVAL:
    case TYPE_JSON:
    case TYPE_ENUM:
        break;
    case TYPE_COUNT:
        return false;
    }
    out->s.p = text;
    out->s.len = len;
    if (c->kind == TYPE_TEXT && len == 1)
        rewrite_char(c, scratch, out);
    return true;
}

bool pg_value_parse(const struct column *c, const char *text, size_t len, struct arena *scratch,
                    struct value *out, struct error *err)
{
    out->state = VALUE_SET;
    if (parse(c, text, len, scratch, out))
        return true;
    out->state = VALUE_NULL;
    return error_cause(err, CAUSE_VALUE_INVALID, "column %s: not a valid %s", c->name,
                       c->source_type != NULL ? c->source_type : type_kind_name(c->kind));
}
