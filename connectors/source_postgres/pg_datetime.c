/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hand-written because a busy table parses a million of these a second. Every part is read
 * through a cursor that never passes the end; the calendar is arithmetic on days (H. Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms"), no tables of time zones. Ranges are those of
 * PostgreSQL's datatype/timestamp.h: 4714-11-24 BC to 5874897-12-31 for dates, to 294276-12-31
 * for timestamps.
 */
#include "source_postgres/pg_datetime.h"

#include "change/value.h"

#include <string.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY INT64_C(86400000000)
#define MIN_DAYS (-2451545 + VALUE_EPOCH_SHIFT_DAYS)                      /* 4714-11-24 BC */
#define END_DAYS (2147483494 - INT64_C(2451545) + VALUE_EPOCH_SHIFT_DAYS) /* 5874898-01-01 */
#define MIN_TIMESTAMP INT64_C(-211813488000000000)                        /* 4714-11-24 BC */
#define END_TIMESTAMP INT64_C(9223371331200000000)                        /* 294277-01-01 */

struct cursor {
    const char *p;
    const char *end;
};

static inline bool is_text(const char *s, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(s, want, len) == 0;
}

static inline bool take(struct cursor *c, char want)
{
    if (c->p == c->end || *c->p != want)
        return false;
    c->p++;
    return true;
}

/* Exactly two digits. */
static inline bool two_digits(struct cursor *c, int *out)
{
    unsigned a, b;

    if (c->end - c->p < 2)
        return false;
    a = (unsigned)(c->p[0] - '0');
    b = (unsigned)(c->p[1] - '0');
    if (a > 9 || b > 9)
        return false;
    c->p += 2;
    *out = (int)(a * 10 + b);
    return true;
}

/* 4 to 7 digits; more than 4 only if the first is not zero. */
static bool take_year(struct cursor *c, int *year)
{
    const char *from = c->p;
    int v = 0;

    while (c->p < c->end && c->p - from < 8 && (unsigned)(*c->p - '0') <= 9)
        v = v * 10 + (*c->p++ - '0');
    *year = v;
    return c->p - from >= 4 && c->p - from <= 7 && (c->p - from == 4 || *from != '0') && v > 0;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int64_t year, int month)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days since 1970-01-01; years are astronomical: 0 is 1 BC. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t era, in_era, in_year;

    if (month <= 2)
        year--;
    era = (year >= 0 ? year : year - 399) / 400;
    in_era = year - era * 400;
    in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

struct civil {
    int year; /* as written, 1.. */
    int month;
    int day;
};

static bool take_date(struct cursor *c, struct civil *d)
{
    return take_year(c, &d->year) && take(c, '-') && two_digits(c, &d->month) && take(c, '-') &&
           two_digits(c, &d->day);
}

/* What may follow a date or timestamp: " BC", then nothing. */
static bool take_era(struct cursor *c, bool *bc)
{
    *bc = c->p != c->end;
    return !*bc || is_text(c->p, (size_t)(c->end - c->p), " BC");
}

static bool civil_days(const struct civil *d, bool bc, int64_t *days)
{
    int64_t year = bc ? 1 - (int64_t)d->year : d->year;

    if (d->month < 1 || d->month > 12 || d->day < 1 || d->day > days_in_month(year, d->month))
        return false;
    *days = days_from_civil(year, d->month, d->day);
    return *days >= MIN_DAYS && *days < END_DAYS;
}

/* ".1" to ".123456", as us. */
static bool take_fraction(struct cursor *c, int64_t *us)
{
    int64_t unit = US_PER_SECOND;
    unsigned digit;

    if (!take(c, '.'))
        return true;
    while (c->p < c->end && (digit = (unsigned)(*c->p - '0')) <= 9) {
        unit /= 10;
        if (unit == 0)
            return false;
        *us += digit * unit;
        c->p++;
    }
    return unit < US_PER_SECOND;
}

/* "HH:MM:SS[.f]" up to 24:00:00. */
static bool take_time(struct cursor *c, int64_t *us)
{
    int hour, minute, second;

    if (!two_digits(c, &hour) || !take(c, ':') || !two_digits(c, &minute) || !take(c, ':') ||
        !two_digits(c, &second) || hour > 24 || minute > 59 || second > 59)
        return false;
    *us = ((int64_t)hour * 3600 + minute * 60 + second) * US_PER_SECOND;
    return take_fraction(c, us) && *us <= US_PER_DAY;
}

/* "+HH[:MM[:SS]]" east of UTC, as us. */
static bool take_offset(struct cursor *c, int64_t *us)
{
    bool west = c->p < c->end && *c->p == '-';
    int hour, minute = 0, second = 0;

    if (!take(c, '+') && !take(c, '-'))
        return false;
    if (!two_digits(c, &hour))
        return false;
    if (take(c, ':') && !two_digits(c, &minute))
        return false;
    if (take(c, ':') && !two_digits(c, &second))
        return false;
    if (hour > 15 || minute > 59 || second > 59)
        return false;
    *us = ((int64_t)hour * 3600 + minute * 60 + second) * US_PER_SECOND;
    if (west)
        *us = -*us;
    return true;
}

bool pg_parse_date(const char *s, size_t len, int64_t *days)
{
    struct cursor c = {s, s + len};
    struct civil d;
    bool bc;

    if (len > 0 && (*s == 'i' || *s == '-')) {
        *days = *s == 'i' ? VALUE_DATE_INFINITY : VALUE_DATE_MINUS_INFINITY;
        return is_text(s, len, *s == 'i' ? "infinity" : "-infinity");
    }
    return take_date(&c, &d) && take_era(&c, &bc) && civil_days(&d, bc, days);
}

bool pg_parse_time(const char *s, size_t len, int64_t *us)
{
    struct cursor c = {s, s + len};

    return take_time(&c, us) && c.p == c.end;
}

bool pg_parse_timestamp(const char *s, size_t len, bool with_zone, int64_t *us)
{
    struct cursor c = {s, s + len};
    struct civil d;
    int64_t days, time, offset = 0;
    bool bc;

    if (len > 0 && (*s == 'i' || *s == '-')) {
        *us = *s == 'i' ? VALUE_TIMESTAMP_INFINITY : VALUE_TIMESTAMP_MINUS_INFINITY;
        return is_text(s, len, *s == 'i' ? "infinity" : "-infinity");
    }
    if (!take_date(&c, &d) || !take(&c, ' ') || !take_time(&c, &time) || time == US_PER_DAY)
        return false;
    if (with_zone && !take_offset(&c, &offset))
        return false;
    if (!take_era(&c, &bc) || !civil_days(&d, bc, &days))
        return false;
    if (__builtin_mul_overflow(days - VALUE_EPOCH_SHIFT_DAYS, US_PER_DAY, us) ||
        __builtin_add_overflow(*us, time - offset, us))
        return false;
    return *us >= MIN_TIMESTAMP && *us < END_TIMESTAMP;
}
