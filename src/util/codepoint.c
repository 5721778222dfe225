/* SPDX-License-Identifier: Apache-2.0 */
#include "util/codepoint.h"

size_t codepoint_next(const char *text, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)text;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t c = n < 2 ? p[0] : p[0] & (0xffU >> (n + 1));
    size_t i;

    if (p[0] == '\0' || p[0] > 0xf4)
        return 0;
    for (i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (n == 0 || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    if (out)
        *out = c;
    return n;
}

struct range {
    uint32_t from, to;
};

static const struct range none[] = {{0x300, 0x36f},   {0x200b, 0x200f}, {0x202a, 0x202e},
                                    {0x2060, 0x2064}, {0x20d0, 0x20f0}, {0xfe00, 0xfe0f},
                                    {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}};
static const struct range wide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},
                                    {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
                                    {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
                                    {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff},
                                    {0x20000, 0x2fffd}, {0x30000, 0x3fffd}};

static int in(uint32_t c, const struct range *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (c >= list[i].from && c <= list[i].to)
            return 1;
    }
    return 0;
}

int codepoint_columns(uint32_t c)
{
    if (in(c, none, sizeof(none) / sizeof(none[0])))
        return 0;
    return in(c, wide, sizeof(wide) / sizeof(wide[0])) ? 2 : 1;
}

void codepoint_make_plain(char *text)
{
    while (*text != '\0') {
        uint32_t c;
        size_t n = codepoint_next(text, &c);

        if (n == 0) {
            *text++ = '?';
            continue;
        }
        for (; n > 0; n--, text++) {
            if (c < 0x20 || (c >= 0x7f && c < 0xa0))
                *text = ' ';
        }
    }
}
