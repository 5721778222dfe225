/* SPDX-License-Identifier: Apache-2.0 */
#include "util/buf.h"

#include "util/mem.h"

#include <stdarg.h>
#include <stdio.h>

void buf_grow(struct buf *b, size_t more)
{
    size_t want = b->len + more;
    size_t cap = b->cap ? b->cap : 64;

    while (cap < want)
        cap *= 2;
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

void buf_free(struct buf *b)
{
    mem_free(b->data);
    memset(b, 0, sizeof(*b));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    buf_reserve(b, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

static void append_quoted(struct buf *b, const char *s, char quote)
{
    buf_u8(b, (uint8_t)quote);
    for (; *s != '\0'; s++) {
        if (*s == quote)
            buf_u8(b, (uint8_t)quote);
        buf_u8(b, (uint8_t)*s);
    }
    buf_u8(b, (uint8_t)quote);
}

void buf_sql_ident(struct buf *b, const char *s)
{
    append_quoted(b, s, '"');
}

void buf_sql_string(struct buf *b, const char *s)
{
    append_quoted(b, s, '\'');
}

const char *buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return (const char *)b->data;
}
