/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Postgres's interval text, intervalstyle postgres: "1 year 2 mons -3 days +04:05:06.789", each
 * part optional, in this order, at least one; the sign of hours is that of the whole time
 * (src/backend/utils/adt/datetime.c, EncodeInterval). Every value that a 32-bit month, a 32-bit
 * day and a 64-bit microsecond count can hold is read exactly; anything else is refused.
 */
#include "load/text.h"

#include <stdbool.h>
#include <string.h>

struct text {
    const char *p, *end;
};

/* [+-]digits; *negative also for "-0". Magnitudes of more than 18 digits are refused. */
static bool number(struct text *t, int64_t *magnitude, bool *negative)
{
    int digits = 0;

    *negative = t->p < t->end && *t->p == '-';
    if (t->p < t->end && (*t->p == '-' || *t->p == '+'))
        t->p++;
    *magnitude = 0;
    while (t->p < t->end && *t->p >= '0' && *t->p <= '9') {
        if (++digits > 18)
            return false;
        *magnitude = *magnitude * 10 + (*t->p++ - '0');
    }
    return digits > 0;
}

/* Takes word, and its plural's s, if they come next and end there. */
static bool unit(struct text *t, const char *word)
{
    size_t n = strlen(word);
    const char *p = t->p + n;

    if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n) != 0)
        return false;
    if (p < t->end && *p == 's')
        p++;
    if (p < t->end && *p != ' ')
        return false;
    t->p = p < t->end ? p + 1 : p;
    return true;
}

static bool two_digits(struct text *t, int64_t *v)
{
    if (t->end - t->p < 3 || t->p[0] != ':' || t->p[1] < '0' || t->p[1] > '5' || t->p[2] < '0' ||
        t->p[2] > '9')
        return false;
    *v = (t->p[1] - '0') * 10 + (t->p[2] - '0');
    t->p += 3;
    return true;
}

/* ":MM:SS[.ffffff]" after the hours, to the end of the text. */
static bool time_of(struct text *t, int64_t hours, bool negative, int64_t *us)
{
    int64_t minutes, seconds, frac = 0, scale = 100000, total;

    if (!two_digits(t, &minutes) || !two_digits(t, &seconds))
        return false;
    if (t->p < t->end) {
        if (*t->p++ != '.' || t->p == t->end)
            return false;
        for (; t->p < t->end; t->p++, scale /= 10) {
            if (*t->p < '0' || *t->p > '9' || scale == 0)
                return false;
            frac += (*t->p - '0') * scale;
        }
    }
    frac += (minutes * 60 + seconds) * 1000000;
    /* Summed with the sign: the lowest int64 has no positive counterpart. */
    if (__builtin_mul_overflow(hours, negative ? -3600000000LL : 3600000000LL, &total) ||
        __builtin_add_overflow(total, negative ? -frac : frac, us))
        return false;
    return true;
}

static bool add32(int32_t *to, int64_t magnitude, bool negative, int64_t factor)
{
    int64_t v;

    return !__builtin_mul_overflow(magnitude, negative ? -factor : factor, &v) &&
           !__builtin_add_overflow(v, *to, to);
}

bool interval_parse(const char *p, size_t len, int32_t *months, int32_t *days, int64_t *us)
{
    struct text t = {p, p + len};
    int last = 0; /* the parts come in order, each once */
    int64_t n;
    bool negative;

    *months = *days = 0;
    *us = 0;
    while (t.p < t.end) {
        int part;

        if (!number(&t, &n, &negative) || t.p == t.end)
            return false;
        if (*t.p == ':')
            return time_of(&t, n, negative, us);
        if (*t.p++ != ' ')
            return false;
        if (unit(&t, "year") && add32(months, n, negative, 12))
            part = 1;
        else if (unit(&t, "mon") && add32(months, n, negative, 1))
            part = 2;
        else if (unit(&t, "day") && add32(days, n, negative, 1))
            part = 3;
        else
            return false;
        if (part <= last)
            return false;
        last = part;
    }
    return last > 0 && p[len - 1] != ' ';
}
