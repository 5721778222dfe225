/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points in time. The calendar is the proleptic Gregorian one with a year 0, as in Postgres and
 * ISO 8601; day numbers by the 400-year cycle that starts on 1 March.
 */
#include "avro/instant.h"

#include "change/value.h"

#include <string.h>

#define DEBEZIUM_INFINITY 9223372036825200000LL
#define DEBEZIUM_MINUS_INFINITY (-9223372036832400000LL)
/* Finite values from DEBEZIUM_INFINITY on are stored in [FAR_LOW, FAR_HIGH]. */
#define FAR_HIGH (INT64_MIN / 2)
#define FAR_LOW (FAR_HIGH + (DEBEZIUM_INFINITY - VALUE_EPOCH_SHIFT_US - INT64_MAX))

#define US_PER_SECOND 1000000LL
#define US_PER_DAY (86400 * US_PER_SECOND)
#define DAYS_TO_2000 730425 /* from 0000-03-01 to 2000-01-01 */

bool instant_to_long(int64_t pg_us, int64_t *stored)
{
    if (pg_us == VALUE_TIMESTAMP_INFINITY)
        *stored = DEBEZIUM_INFINITY;
    else if (pg_us == VALUE_TIMESTAMP_MINUS_INFINITY)
        *stored = DEBEZIUM_MINUS_INFINITY;
    else if (pg_us >= DEBEZIUM_INFINITY - VALUE_EPOCH_SHIFT_US)
        *stored = FAR_HIGH + (pg_us - INT64_MAX);
    else
        *stored = pg_us + VALUE_EPOCH_SHIFT_US;
    return pg_us == VALUE_TIMESTAMP_INFINITY || pg_us == VALUE_TIMESTAMP_MINUS_INFINITY ||
           pg_us >= DEBEZIUM_INFINITY - VALUE_EPOCH_SHIFT_US || *stored > FAR_HIGH;
}

bool instant_from_long(int64_t stored, int64_t *pg_us)
{
    if (stored == DEBEZIUM_INFINITY)
        *pg_us = VALUE_TIMESTAMP_INFINITY;
    else if (stored == DEBEZIUM_MINUS_INFINITY)
        *pg_us = VALUE_TIMESTAMP_MINUS_INFINITY;
    else if (stored >= FAR_LOW && stored <= FAR_HIGH)
        *pg_us = INT64_MAX + (stored - FAR_HIGH);
    else if (__builtin_sub_overflow(stored, (int64_t)VALUE_EPOCH_SHIFT_US, pg_us))
        return false;
    /* The ends of the range mean infinity and nothing else. */
    return stored == DEBEZIUM_INFINITY || stored == DEBEZIUM_MINUS_INFINITY ||
           (*pg_us != VALUE_TIMESTAMP_INFINITY && *pg_us != VALUE_TIMESTAMP_MINUS_INFINITY);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

struct civil {
    int32_t year;
    uint32_t month, day; /* from 1 */
};

/* days: since 2000-01-01; all that a long of microseconds can reach fit in 32 bits. */
static struct civil civil_from_days(int32_t days)
{
    int32_t z = days + DAYS_TO_2000, era = (z >= 0 ? z : z - 146096) / 146097;
    uint32_t doe = (uint32_t)(z - era * 146097);
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint32_t mp = (5 * doy + 2) / 153;
    struct civil c;

    c.day = doy - (153 * mp + 2) / 5 + 1;
    c.month = mp < 10 ? mp + 3 : mp - 9;
    c.year = era * 400 + (int32_t)yoe + (c.month <= 2);
    return c;
}

static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t y = year - (month <= 2), era = floor_div(y, 400);
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - DAYS_TO_2000;
}

/* Two digits and what follows them. */
static char *put_two(char *p, uint32_t v, char after)
{
    p[0] = (char)('0' + v / 10);
    p[1] = (char)('0' + v % 10);
    p[2] = after;
    return p + 3;
}

static char *put_year(char *p, int32_t year)
{
    uint32_t y = (uint32_t)(year < 0 ? -year : year), limit;
    char *end;

    if (year < 0)
        *p++ = '-';
    else if (year > 9999)
        *p++ = '+';
    end = p + 4;
    for (limit = 10000; y >= limit; limit *= 10)
        end++;
    for (p = end; y > 0 || end - p < 4; y /= 10)
        *--p = (char)('0' + y % 10);
    *end = '-';
    return end + 1;
}

/* ".123456" without trailing zeros, nothing for 0. */
static char *put_fraction(char *p, uint32_t us)
{
    if (us == 0)
        return p;
    *p++ = '.';
    p = put_two(p, us / 10000, 0) - 1;
    p = put_two(p, us / 100 % 100, 0) - 1;
    p = put_two(p, us % 100, 0) - 1;
    while (p[-1] == '0')
        p--;
    return p;
}

size_t instant_to_text(int64_t pg_us, char *out)
{
    struct civil date;
    uint64_t of_day;
    uint32_t second;
    int64_t days;
    char *p;

    if (pg_us == VALUE_TIMESTAMP_INFINITY || pg_us == VALUE_TIMESTAMP_MINUS_INFINITY) {
        const char *s = pg_us > 0 ? "infinity" : "-infinity";

        memcpy(out, s, strlen(s));
        return strlen(s);
    }
    days = floor_div(pg_us, US_PER_DAY);
    of_day = (uint64_t)pg_us - (uint64_t)days * (uint64_t)US_PER_DAY;
    second = (uint32_t)(of_day / (uint64_t)US_PER_SECOND);
    date = civil_from_days((int32_t)days);
    p = put_year(out, date.year);
    p = put_two(p, date.month, '-');
    p = put_two(p, date.day, 'T');
    p = put_two(p, second / 3600, ':');
    p = put_two(p, second / 60 % 60, ':');
    p = put_two(p, second % 60, 0) - 1;
    p = put_fraction(p, (uint32_t)(of_day % (uint64_t)US_PER_SECOND));
    *p++ = 'Z';
    return (size_t)(p - out);
}

struct scan {
    const char *p, *end;
    bool failed;
};

static bool take(struct scan *s, char c)
{
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static void expect(struct scan *s, char c)
{
    s->failed |= !take(s, c);
}

/* From min to max digits. */
static int64_t number(struct scan *s, int min, int max)
{
    int64_t v = 0;
    int n = 0;

    while (n < max && s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        v = v * 10 + (*s->p++ - '0');
        n++;
    }
    s->failed |= n < min;
    return v;
}

/* What follows the point, in microseconds; digits past the sixth have to be zero. */
static int64_t fraction_us(struct scan *s)
{
    const char *start = s->p;
    int64_t us = number(s, 1, 6);
    ptrdiff_t n;

    for (n = s->p - start; n < 6; n++)
        us *= 10;
    while (take(s, '0'))
        ;
    return us;
}

/* Seconds east of UTC. */
static int64_t zone(struct scan *s)
{
    int64_t sign, seconds;

    if (take(s, 'Z'))
        return 0;
    sign = take(s, '-') ? -1 : 1;
    if (sign > 0)
        expect(s, '+');
    seconds = number(s, 2, 2) * 3600;
    if (take(s, ':')) {
        seconds += number(s, 2, 2) * 60;
        if (take(s, ':'))
            seconds += number(s, 2, 2);
    }
    return sign * seconds;
}

static bool is_text(const char *p, size_t len, const char *s)
{
    return len == strlen(s) && memcmp(p, s, len) == 0;
}

static unsigned days_in_month(int64_t year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && leap ? 29 : days[month - 1];
}

bool instant_from_text(const char *p, size_t len, int64_t *pg_us)
{
    struct scan s = {p, p + len, false};
    int64_t year, seconds, hour, minute, second = 0, us = 0, total;
    unsigned month, day;
    bool negative;

    if (is_text(p, len, "infinity") || is_text(p, len, "-infinity")) {
        *pg_us = *p == '-' ? VALUE_TIMESTAMP_MINUS_INFINITY : VALUE_TIMESTAMP_INFINITY;
        return true;
    }
    negative = take(&s, '-');
    if (!negative)
        take(&s, '+');
    year = number(&s, 4, 9);
    year = negative ? -year : year;
    expect(&s, '-');
    month = (unsigned)number(&s, 2, 2);
    expect(&s, '-');
    day = (unsigned)number(&s, 2, 2);
    expect(&s, 'T');
    hour = number(&s, 2, 2);
    expect(&s, ':');
    minute = number(&s, 2, 2);
    if (take(&s, ':')) {
        second = number(&s, 2, 2);
        if (take(&s, '.'))
            us = fraction_us(&s);
    }
    seconds = hour * 3600 + minute * 60 + second - zone(&s);
    if (s.failed || s.p != s.end || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 59)
        return false;
    seconds += days_from_civil(year, month, day) * 86400;
    /* Far enough for every Postgres timestamp; the multiplication cannot overflow past it. */
    return !__builtin_mul_overflow(seconds, US_PER_SECOND, &total) &&
           !__builtin_add_overflow(total, us, pg_us) && *pg_us != VALUE_TIMESTAMP_INFINITY &&
           *pg_us != VALUE_TIMESTAMP_MINUS_INFINITY;
}
