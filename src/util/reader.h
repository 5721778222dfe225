/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounds-checked reader of bytes with a sticky failure flag. After the first short read
 * everything reads as zero or empty and `failed` stays set; a decoder tests it before it trusts a
 * count and once at the end, and reports `failed_at`, the offset of the read that failed.
 */
#ifndef PENSTOCK_UTIL_READER_H
#define PENSTOCK_UTIL_READER_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *start;
    const uint8_t *pos;
    const uint8_t *end;
    bool failed;
    size_t failed_at; /* offset from start */
};

static inline void reader_init(struct reader *r, const void *data, size_t len)
{
    r->start = r->pos = data;
    r->end = r->start + len;
    r->failed = false;
    r->failed_at = 0;
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->pos);
}

static inline size_t reader_offset(const struct reader *r)
{
    return r->failed ? r->failed_at : (size_t)(r->pos - r->start);
}

static inline void reader_fail(struct reader *r)
{
    if (!r->failed) {
        r->failed = true;
        r->failed_at = (size_t)(r->pos - r->start);
    }
    r->pos = r->end;
}

/* n bytes in place, or NULL (and failed). With n == 0 the pointer may be one past the end. */
static inline const uint8_t *reader_bytes(struct reader *r, size_t n)
{
    const uint8_t *p = r->pos;

    if (r->failed || reader_left(r) < n) {
        reader_fail(r);
        return NULL;
    }
    r->pos += n;
    return p;
}

static inline uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 1);

    return p ? *p : 0;
}

static inline uint16_t reader_be16(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 2);
    uint16_t v = 0;

    if (p)
        memcpy(&v, p, 2);
    return be16toh(v);
}

static inline uint32_t reader_be32(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 4);
    uint32_t v = 0;

    if (p)
        memcpy(&v, p, 4);
    return be32toh(v);
}

static inline uint64_t reader_be64(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 8);
    uint64_t v = 0;

    if (p)
        memcpy(&v, p, 8);
    return be64toh(v);
}

static inline uint32_t reader_le32(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 4);
    uint32_t v = 0;

    if (p)
        memcpy(&v, p, 4);
    return le32toh(v);
}

static inline uint64_t reader_le64(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 8);
    uint64_t v = 0;

    if (p)
        memcpy(&v, p, 8);
    return le64toh(v);
}

/* A zero-terminated string in place; "" (and failed) when no terminator is left. */
static inline const char *reader_cstr(struct reader *r)
{
    const uint8_t *nul =
        r->failed || r->pos == r->end ? NULL : memchr(r->pos, '\0', (size_t)(r->end - r->pos));
    const char *s = (const char *)r->pos;

    if (nul == NULL) {
        reader_fail(r);
        return "";
    }
    r->pos = nul + 1;
    return s;
}

/* Avro's zig-zag variable-length long (Avro specification, "Primitive Types, Binary"). */
static inline int64_t reader_zigzag(struct reader *r)
{
    uint64_t v = 0;
    unsigned shift = 0;

    for (;;) {
        uint8_t b = reader_u8(r);

        if (shift == 63 && b > 1) { /* more than 64 bits */
            reader_fail(r);
            return 0;
        }
        v |= (uint64_t)(b & 0x7f) << shift;
        if ((b & 0x80) == 0)
            break;
        shift += 7;
    }
    return r->failed ? 0 : (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
