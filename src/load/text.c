/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as text, byte for byte as Postgres 12 and later print them (datestyle ISO, timezone UTC,
 * intervalstyle postgres, extra_float_digits above 0): src/backend/utils/adt/datetime.c,
 * EncodeDateOnly, EncodeDateTime. Dates are proleptic Gregorian; the year before 1 is "0001 BC".
 * Decimals, intervals, uuids, json, enums and bits travel as their text already.
 */
#include "load/text.h"

#include "load/text_float.h"

#include <stdbool.h>

#define US_PER_DAY 86400000000LL
#define DAYS_TO_2000 VALUE_EPOCH_SHIFT_DAYS

/* Days since 1970-01-01 -> civil date, by 400-year eras that begin on 1 March (days_from_civil,
 * Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). Any int64 within +/- 2^53. */
static void civil(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *day = (int)(doy - (153 * mp + 2) / 5) + 1;
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

/* YYYY-MM-DD; true if " BC" has to follow. */
static bool put_date(struct buf *out, int64_t days)
{
    int64_t year;
    int month, day;

    civil(days, &year, &month, &day);
    buf_printf(out, "%04lld-%02d-%02d", (long long)(year > 0 ? year : 1 - year), month, day);
    return year <= 0;
}

static void put_time(struct buf *out, int64_t us)
{
    int64_t s = us / 1000000;
    int frac = (int)(us % 1000000);
    size_t digits = 6;

    buf_printf(out, "%02d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
    if (frac == 0)
        return;
    buf_printf(out, ".%06d", frac);
    while (digits-- > 0 && out->data[out->len - 1] == '0')
        out->len--;
}

static void put_timestamp(struct buf *out, int64_t us, bool zone)
{
    int64_t days = us / US_PER_DAY;
    int64_t rest = us % US_PER_DAY;
    bool bc;

    if (us == VALUE_TIMESTAMP_INFINITY || us == VALUE_TIMESTAMP_MINUS_INFINITY) {
        buf_puts(out, us > 0 ? "infinity" : "-infinity");
        return;
    }
    if (rest < 0) {
        rest += US_PER_DAY;
        days--;
    }
    bc = put_date(out, days + DAYS_TO_2000);
    buf_u8(out, ' ');
    put_time(out, rest);
    if (zone)
        buf_puts(out, "+00");
    if (bc)
        buf_puts(out, " BC");
}

static void put_hex(struct buf *out, const struct value *v)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *to = buf_reserve(out, 2 + 2 * v->s.len);
    size_t i;

    *to++ = '\\';
    *to++ = 'x';
    for (i = 0; i < v->s.len; i++) {
        uint8_t b = (uint8_t)v->s.p[i];

        *to++ = (uint8_t)digits[b >> 4];
        *to++ = (uint8_t)digits[b & 15];
    }
    out->len += 2 + 2 * v->s.len;
}

void value_to_text(struct buf *out, enum type_kind kind, const struct value *v)
{
    switch (kind) {
    case TYPE_BOOL:
        buf_u8(out, v->i ? 't' : 'f');
        break;
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
        buf_printf(out, "%lld", (long long)v->i);
        break;
    case TYPE_FLOAT32:
        text_float4(out, (float)v->f);
        break;
    case TYPE_FLOAT64:
        text_float8(out, v->f);
        break;
    case TYPE_BYTES:
        put_hex(out, v);
        break;
    case TYPE_DATE:
        if (v->i == VALUE_DATE_INFINITY || v->i == VALUE_DATE_MINUS_INFINITY)
            buf_puts(out, v->i > 0 ? "infinity" : "-infinity");
        else if (put_date(out, v->i))
            buf_puts(out, " BC");
        break;
    case TYPE_TIME:
        put_time(out, v->i);
        break;
    case TYPE_TIMESTAMP:
        put_timestamp(out, v->i, false);
        break;
    case TYPE_TIMESTAMPTZ:
        put_timestamp(out, v->i, true);
        break;
    default:
        buf_append(out, v->s.p, v->s.len);
    }
}
