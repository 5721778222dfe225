/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact decimals. To bytes: up to 18 digits in an int64, up to 38 in an __int128, beyond that
 * Horner's rule over groups of 19 digits in 64-bit limbs, O(n^2). To text: the same sizes, beyond
 * that Horner's rule over 32-bit words in limbs of nine digits. The largest Postgres numeric
 * (147455 digits) takes some tens to hundreds of milliseconds.
 */
#include "avro/decimal.h"

#include "avro/wire.h"
#include "util/mem.h"

#include <string.h>

#define GROUP_DIGITS 19 /* 10^19 < 2^64 */
#define TEXT_BASE 1000000000u
#define MAX_BYTES 61232 /* of DECIMAL_MAX_DIGITS, 3.32193 bits a digit, with the sign */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum decimal_class special(const char *p, size_t len)
{
    if (len == 3 && memcmp(p, "NaN", 3) == 0)
        return DECIMAL_NAN;
    if (len == 8 && memcmp(p, "Infinity", 8) == 0)
        return DECIMAL_INFINITY;
    if (len == 9 && memcmp(p, "-Infinity", 9) == 0)
        return DECIMAL_MINUS_INFINITY;
    return DECIMAL_MALFORMED;
}

enum decimal_class decimal_parse(const char *p, size_t len, struct decimal *out)
{
    const char *end = p + len, *at = p, *start;

    out->negative = len > 0 && *p == '-';
    at += out->negative || (len > 0 && *p == '+');
    start = at;
    while (at < end && is_digit(*at))
        at++;
    out->whole = start;
    out->nwhole = (size_t)(at - start);
    out->fraction = at;
    out->nfraction = 0;
    if (at < end && *at == '.') {
        start = ++at;
        while (at < end && is_digit(*at))
            at++;
        out->fraction = start;
        out->nfraction = (size_t)(at - start);
    }
    if (at != end || out->nwhole + out->nfraction == 0)
        return special(p, len);
    while (out->nwhole > 0 && *out->whole == '0') {
        out->whole++;
        out->nwhole--;
    }
    if (out->nwhole + out->nfraction > DECIMAL_MAX_DIGITS)
        return DECIMAL_MALFORMED;
    return DECIMAL_FINITE;
}

size_t decimal_digits(const struct decimal *d, size_t scale)
{
    size_t zeros = 0;

    if (d->nwhole > 0)
        return d->nwhole + scale;
    while (zeros < d->nfraction && d->fraction[zeros] == '0')
        zeros++;
    return zeros == d->nfraction ? 0 : scale - zeros;
}

/* The digit at index i of whole, fraction and the zeros up to the scale. */
static unsigned digit_at(const struct decimal *d, size_t i)
{
    if (i < d->nwhole)
        return (unsigned)(d->whole[i] - '0');
    i -= d->nwhole;
    return i < d->nfraction ? (unsigned)(d->fraction[i] - '0') : 0;
}

/* Appends length and the minimal two's complement of v. */
static void put_int64(struct buf *out, int64_t v)
{
    uint8_t *p = buf_reserve(out, 9);
    uint64_t u = (uint64_t)(v < 0 ? ~v : v), be;
    unsigned n = u == 0 ? 1 : (unsigned)(64 - __builtin_clzll(u)) / 8 + 1;

    be = htobe64((uint64_t)v << (64 - 8 * n));
    p[0] = (uint8_t)(n << 1);
    memcpy(p + 1, &be, 8);
    out->len += 1 + n;
}

/* Appends a length and big-endian bytes without superfluous sign bytes. */
static void put_trimmed(struct buf *out, const uint8_t *be, size_t n)
{
    uint8_t *p;

    while (n > 1 && ((be[0] == 0 && be[1] < 0x80) || (be[0] == 0xff && be[1] >= 0x80))) {
        be++;
        n--;
    }
    p = buf_reserve(out, WIRE_LONG_MAX + n);
    out->len = (size_t)(wire_bytes(p, be, n) - out->data);
}

static void put_int128(struct buf *out, unsigned __int128 v, bool negative)
{
    uint8_t be[16];
    int i;

    if (negative)
        v = -v;
    for (i = 15; i >= 0; i--) {
        be[i] = (uint8_t)v;
        v >>= 8;
    }
    put_trimmed(out, be, sizeof(be));
}

/* limbs (least significant first) = limbs * mul + add; returns their new number. */
static size_t multiply_add(uint64_t *limbs, size_t n, uint64_t mul, uint64_t add)
{
    uint64_t carry = add;
    size_t i;

    for (i = 0; i < n; i++) {
        unsigned __int128 t = (unsigned __int128)limbs[i] * mul + carry;

        limbs[i] = (uint64_t)t;
        carry = (uint64_t)(t >> 64);
    }
    if (carry != 0)
        limbs[n++] = carry;
    return n;
}

/* More than 38 digits. total: digits of whole and fraction and the scale's zeros. */
static void put_big(struct buf *out, const struct decimal *d, size_t total, struct buf *work)
{
    size_t limb_bytes = (total / GROUP_DIGITS + 2) * sizeof(uint64_t), n = 0, i = 0, k;
    uint64_t *limbs;
    uint8_t *be;

    buf_reset(work);
    limbs = (uint64_t *)(void *)buf_reserve(work, 2 * limb_bytes + 1);
    be = (uint8_t *)limbs + limb_bytes;
    while (i < total) {
        uint64_t mul = 1, group = 0;

        for (k = 0; k < GROUP_DIGITS && i < total; k++) {
            group = group * 10 + digit_at(d, i++);
            mul *= 10;
        }
        n = multiply_add(limbs, n, mul, group);
    }
    be[0] = 0; /* room for the sign */
    for (k = 0; k < n; k++) {
        uint64_t limb = htobe64(limbs[n - 1 - k]);

        memcpy(be + 1 + 8 * k, &limb, 8);
    }
    if (d->negative) {
        unsigned carry = 1;

        for (k = 8 * n + 1; k-- > 0;) {
            carry += (uint8_t)~be[k];
            be[k] = (uint8_t)carry;
            carry >>= 8;
        }
    }
    put_trimmed(out, be, 8 * n + 1);
}

void decimal_put(struct buf *out, const struct decimal *d, size_t scale, struct buf *work)
{
    size_t total = d->nwhole + scale, i;
    unsigned __int128 wide = 0;
    uint64_t v = 0;

    if (total <= 18) {
        for (i = 0; i < d->nwhole; i++)
            v = v * 10 + (uint64_t)(d->whole[i] - '0');
        for (i = 0; i < d->nfraction; i++)
            v = v * 10 + (uint64_t)(d->fraction[i] - '0');
        for (; i < scale; i++)
            v *= 10;
        put_int64(out, d->negative ? -(int64_t)v : (int64_t)v);
        return;
    }
    if (total <= 38) {
        for (i = 0; i < total; i++)
            wide = wide * 10 + digit_at(d, i);
        put_int128(out, wide, d->negative);
        return;
    }
    put_big(out, d, total, work);
}

/* Writes v's digits so that they end at `end`; returns where they start; none for 0. */
static char *digits_before(char *end, uint64_t v)
{
    while (v != 0) {
        *--end = (char)('0' + v % 10);
        v /= 10;
    }
    return end;
}

static char *digits_before_128(char *end, unsigned __int128 v)
{
    while (v > UINT64_MAX) {
        uint64_t low = (uint64_t)(v % 1000000000000000000u);
        int i;

        v /= 1000000000000000000u;
        for (i = 0; i < 18; i++) {
            *--end = (char)('0' + low % 10);
            low /= 10;
        }
    }
    return digits_before(end, (uint64_t)v);
}

/* limbs of nine digits, least significant first, times 2^32, plus word; returns their number. */
static size_t shift_in_word(uint32_t *limbs, size_t n, uint32_t word)
{
    uint64_t carry = word;
    size_t i;

    for (i = 0; i < n; i++) {
        uint64_t t = ((uint64_t)limbs[i] << 32) + carry;

        limbs[i] = (uint32_t)(t % TEXT_BASE);
        carry = t / TEXT_BASE;
    }
    for (; carry != 0; carry /= TEXT_BASE)
        limbs[n++] = (uint32_t)(carry % TEXT_BASE);
    return n;
}

/* The digits of a number of more than 16 bytes; *start, *n: where they are, inside a. */
static void big_digits(struct arena *a, const uint8_t *bytes, size_t size, bool negative,
                       char **start, size_t *n)
{
    size_t nwords = (size + 3) / 4, cap = nwords * 10 / 9 + 3, used = 0, i, k;
    uint32_t *words = mem_calloc(nwords + cap, sizeof(*words)), *limbs = words + nwords;
    uint64_t carry = 1;
    char *text;

    for (i = 0; i < nwords * 4; i++) { /* most significant word first, sign extended */
        size_t pad = nwords * 4 - size;
        uint8_t b = i < pad ? (negative ? 0xff : 0) : bytes[i - pad];

        words[i / 4] = words[i / 4] << 8 | b;
    }
    for (i = nwords; negative && i-- > 0;) {
        carry += (uint32_t)~words[i];
        words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    for (i = 0; i < nwords; i++)
        used = shift_in_word(limbs, used, words[i]);
    text = arena_alloc(a, used * 9 + 1);
    for (i = 0; i < used; i++) {
        uint32_t v = limbs[i];

        for (k = 0; k < 9; k++) {
            text[(used - i) * 9 - 1 - k] = (char)('0' + v % 10);
            v /= 10;
        }
    }
    for (i = 0; i < used * 9 && text[i] == '0'; i++)
        ;
    *start = text + i;
    *n = used * 9 - i;
    mem_free(words);
}

/* Sign, digits, and the point `scale` digits from the right. */
static void join(struct arena *a, bool negative, const char *digits, size_t n, int64_t scale,
                 const char **text, size_t *len)
{
    size_t after = scale > 0 ? (size_t)scale : 0;
    size_t zeros = scale < 0 && n > 0 ? (size_t)-scale : 0; /* to the right */
    size_t lead = n > after ? 0 : after - n + 1;            /* zeros to the left: "0.05" */
    char *p = arena_alloc(a, n + zeros + lead + 2), *s = p;
    size_t whole;

    if (negative)
        *s++ = '-';
    memset(s, '0', lead);
    if (n > 0)
        memcpy(s + lead, digits, n);
    memset(s + lead + n, '0', zeros);
    n += lead + zeros;
    if (after > 0) {
        whole = n - after;
        memmove(s + whole + 1, s + whole, after);
        s[whole] = '.';
        n++;
    }
    *text = p;
    *len = (size_t)(s - p) + n;
}

bool decimal_text(struct arena *a, const uint8_t *bytes, size_t n, int64_t scale, const char **text,
                  size_t *len)
{
    bool negative = n > 0 && bytes[0] >= 0x80;
    char room[40], *end = room + sizeof(room), *start;
    size_t ndigits, i;

    if (n == 0 || n > MAX_BYTES || scale > DECIMAL_MAX_DIGITS || scale < -DECIMAL_MAX_DIGITS)
        return false;
    if (n <= 8) {
        uint64_t v = negative ? UINT64_MAX : 0;

        for (i = 0; i < n; i++)
            v = v << 8 | bytes[i];
        start = digits_before(end, negative ? -v : v);
        ndigits = (size_t)(end - start);
    } else if (n <= 16) {
        unsigned __int128 v = negative ? ~(unsigned __int128)0 : 0;

        for (i = 0; i < n; i++)
            v = v << 8 | bytes[i];
        start = digits_before_128(end, negative ? -v : v);
        ndigits = (size_t)(end - start);
    } else {
        big_digits(a, bytes, n, negative, &start, &ndigits);
    }
    if (scale < 0 && ndigits + (size_t)-scale > DECIMAL_MAX_DIGITS)
        return false;
    join(a, negative, start, ndigits, scale, text, len);
    return true;
}
