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

bool utf8_valid(const char *p, size_t len)
{
    const unsigned char *s = (const unsigned char *)p;
    size_t i = 0;

    while (i < len) {
        uint64_t word;
        size_t n;

        if (len - i >= 8) {
            memcpy(&word, s + i, 8);
            if ((word & HIGH_BITS) == 0) {
                i += 8;
                continue;
            }
        }
        if (s[i] < 0x80) {
            i++;
            continue;
        }
        n = sequence(s + i, len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}
