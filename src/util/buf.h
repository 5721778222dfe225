/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable run of bytes. Zero-initialised is empty; buf_free releases it. Never fails (mem.h).
 */
#ifndef PENSTOCK_UTIL_BUF_H
#define PENSTOCK_UTIL_BUF_H

#include "util/error.h"

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

void buf_grow(struct buf *b, size_t more); /* slow path of buf_reserve */
void buf_free(struct buf *b);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Appends s between double quotes, inner ones doubled: an SQL identifier. */
void buf_sql_ident(struct buf *b, const char *s);
/* Appends s between single quotes, inner ones doubled: an SQL string
 * (standard_conforming_strings=on). */
void buf_sql_string(struct buf *b, const char *s);
/* Makes sure that data ends with a zero byte (not counted in len) and returns it as a string. */
const char *buf_cstr(struct buf *b);

/* Room for n more bytes; returns where they go. The caller adds to len. */
static inline uint8_t *buf_reserve(struct buf *b, size_t n)
{
    if (b->cap - b->len < n)
        buf_grow(b, n);
    return b->data + b->len;
}

static inline void buf_reset(struct buf *b)
{
    b->len = 0;
}

static inline void buf_append(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    memcpy(buf_reserve(b, n), p, n);
    b->len += n;
}

static inline void buf_puts(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

static inline void buf_u8(struct buf *b, uint8_t v)
{
    *buf_reserve(b, 1) = v;
    b->len++;
}

static inline void buf_be16(struct buf *b, uint16_t v)
{
    v = htobe16(v);
    buf_append(b, &v, sizeof(v));
}

static inline void buf_be32(struct buf *b, uint32_t v)
{
    v = htobe32(v);
    buf_append(b, &v, sizeof(v));
}

static inline void buf_be64(struct buf *b, uint64_t v)
{
    v = htobe64(v);
    buf_append(b, &v, sizeof(v));
}

#endif
