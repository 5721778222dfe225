/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shortest decimal that lies strictly between the midpoints to the neighbouring numbers, of
 * several the closest: what Postgres's Ryu prints (src/common/d2s.c, f2s.c, where bounds are not
 * accepted, so that it reads back exactly whatever the reader's rounding). Exponents from -4 to 14
 * (float4: 5) are printed without "e".
 *
 * Found by trying, from the fewest digits that can do: printf and strtod are exact in glibc. Slow
 * (about a microsecond), which is enough where floats become text: rarely.
 */
#include "load/text_float.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_DIGITS 17
/* Significant digits of any midpoint of two doubles, and then some. */
#define EXACT_DIGITS 800

/* One number to be printed: f is float or double, here as double. */
struct shortest {
    double f; /* > 0, finite */
    bool single;
    char digits[MAX_DIGITS + 1]; /* no trailing zeros */
    int exponent;                /* of the first digit */
};

static double read_back(const struct shortest *s, const char *text)
{
    return s->single ? (double)strtof(text, NULL) : strtod(text, NULL);
}

static long double neighbour(const struct shortest *s, bool up)
{
    if (s->single)
        return nextafterf((float)s->f, up ? INFINITY : 0.0f);
    return nextafter(s->f, up ? (double)INFINITY : 0.0);
}

/* True if text, which reads back as f, is exactly the midpoint to a neighbour. */
static bool is_midpoint(const struct shortest *s, const char *text)
{
    long double x = strtold(text, NULL);
    bool up = x > (long double)s->f;
    long double next = neighbour(s, up);
    char exact[EXACT_DIGITS + 32], padded[EXACT_DIGITS + 32];
    int mantissa;

    if (isinf(next) || x != ((long double)s->f + next) / 2)
        return false;
    /* x may be text rounded: compare all digits. */
    mantissa = (int)strcspn(text, "e");
    snprintf(exact, sizeof(exact), "%.*Le", EXACT_DIGITS, x);
    snprintf(padded, sizeof(padded), "%.*s%s%0*d%s", mantissa, text, mantissa > 1 ? "" : ".",
             EXACT_DIGITS + 2 - (mantissa > 1 ? mantissa : 2), 0, strchr(text, 'e'));
    return strcmp(exact, padded) == 0;
}

/* Keeps text ("d.ddde+XX") as the answer if it stands for f and for nothing else. */
static bool accept(struct shortest *s, const char *text)
{
    size_t n = 0;

    if (read_back(s, text) != s->f || is_midpoint(s, text))
        return false;
    for (; *text != 'e'; text++) {
        if (*text != '.')
            s->digits[n++] = *text;
    }
    s->exponent = (int)strtol(text + 1, NULL, 10);
    while (n > 1 && s->digits[n - 1] == '0')
        n--;
    s->digits[n] = '\0';
    return true;
}

/* The decimal of as many digits that follows text. */
static void increment(char *text)
{
    char *e = strchr(text, 'e');
    char *p = e;
    long exponent = strtol(e + 1, NULL, 10);

    while (p-- > text) {
        if (*p == '.')
            continue;
        if (*p != '9') {
            ++*p;
            return;
        }
        *p = '0';
    }
    text[0] = '1';
    sprintf(e, "e%+03ld", exponent + 1);
}

/*
 * The closest decimal of so many digits; below a power of two the numbers lie twice as dense as
 * above, so that the next one above may do where the closest, below, does not.
 */
static bool try_digits(struct shortest *s, int digits)
{
    char text[MAX_DIGITS + 16];
    int exponent;

    snprintf(text, sizeof(text), "%.*e", digits - 1, s->f);
    if (accept(s, text))
        return true;
    if (frexp(s->f, &exponent) != 0.5 || strtold(text, NULL) > (long double)s->f)
        return false;
    increment(text);
    return accept(s, text);
}

static void find_shortest(struct shortest *s)
{
    int most = s->single ? 9 : MAX_DIGITS;
    bool normal = s->f >= (s->single ? (double)FLT_MIN : DBL_MIN);
    int digits = normal ? (s->single ? FLT_DIG : DBL_DIG) : 1;

    /* Normal numbers: so many digits always read back as themselves, hence one try finds fewer. */
    while (digits < most && !try_digits(s, digits))
        digits++;
    if (digits == most && !try_digits(s, most))
        abort(); /* 17 (9) digits are always enough */
}

static void put_plain(struct buf *out, const struct shortest *s)
{
    int n = (int)strlen(s->digits);
    int i;

    if (s->exponent < 0) {
        buf_puts(out, "0.");
        for (i = s->exponent + 1; i < 0; i++)
            buf_u8(out, '0');
        buf_puts(out, s->digits);
        return;
    }
    for (i = 0; i < n || i <= s->exponent; i++) {
        if (i == s->exponent + 1)
            buf_u8(out, '.');
        buf_u8(out, i < n ? (uint8_t)s->digits[i] : '0');
    }
}

static void put_float(struct buf *out, double f, bool single)
{
    struct shortest s = {.f = fabs(f), .single = single};

    if (isnan(f)) {
        buf_puts(out, "NaN");
        return;
    }
    if (signbit(f))
        buf_u8(out, '-');
    if (isinf(f)) {
        buf_puts(out, "Infinity");
        return;
    }
    if (f == 0.0) {
        buf_u8(out, '0');
        return;
    }
    find_shortest(&s);
    if (s.exponent >= -4 && s.exponent < (single ? 6 : 15)) {
        put_plain(out, &s);
        return;
    }
    buf_u8(out, (uint8_t)s.digits[0]);
    if (s.digits[1] != '\0')
        buf_printf(out, ".%s", s.digits + 1);
    buf_printf(out, "e%+03d", s.exponent);
}

void text_float4(struct buf *out, float f)
{
    put_float(out, f, true);
}

void text_float8(struct buf *out, double f)
{
    put_float(out, f, false);
}
