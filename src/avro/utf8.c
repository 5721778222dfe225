/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 validation for every string that enters or leaves an event. ASCII, which most columns
 * hold, goes eight bytes at a time; the rest one sequence at a time.
 */
#include "avro/utf8.h"

#include <stdint.h>
#include <string.h>

#define HIGH_BITS 0x8080808080808080u

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Length of the sequence at s (first byte >= 0x80, `left` bytes), 0 if it is not one. */
static size_t sequence(const unsigned char *s, size_t left)
{
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return left >= 2 && is_tail(s[1]) ? 2 : 0;
    if ((s[0] & 0xf0) == 0xe0) {
        unsigned char low = s[0] == 0xe0 ? 0xa0 : 0x80, high = s[0] == 0xed ? 0x9f : 0xbf;

        return left >= 3 && s[1] >= low && s[1] <= high && is_tail(s[2]) ? 3 : 0;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        unsigned char low = s[0] == 0xf0 ? 0x90 : 0x80, high = s[0] == 0xf4 ? 0x8f : 0xbf;

        return left >= 4 && s[1] >= low && s[1] <= high && is_tail(s[2]) && is_tail(s[3]) ? 4 : 0;
    }
    return 0;
}

static uint64_t word_at(const unsigned char *s)
{
    uint64_t word;

    memcpy(&word, s, sizeof(word));
    return word;
}

/* Length of the ASCII prefix in whole words, or of everything where that is ASCII (and >= 8). */
static size_t ascii_prefix(const unsigned char *s, size_t len)
{
    size_t i = 0;

    while (len - i >= 32 &&
           ((word_at(s + i) | word_at(s + i + 8) | word_at(s + i + 16) | word_at(s + i + 24)) &
            HIGH_BITS) == 0)
        i += 32;
    while (len - i >= 8 && (word_at(s + i) & HIGH_BITS) == 0)
        i += 8;
    /* The last few: the word that ends with them, if there is one. */
    if (len - i < 8 && len >= 8 && (word_at(s + len - 8) & HIGH_BITS) == 0)
        i = len;
    return i;
}

bool utf8_valid(const char *p, size_t len)
{
    const unsigned char *s = (const unsigned char *)p;
    size_t i = ascii_prefix(s, len);

    while (i < len) {
        size_t n = 1;

        if (s[i] >= 0x80)
            n = sequence(s + i, len - i);
        else if (len - i >= 8 && (word_at(s + i) & HIGH_BITS) == 0)
            n = 8;
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}
