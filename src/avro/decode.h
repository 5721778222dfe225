/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the codec: what decode.c compiles and decode_row.c runs. */
#ifndef PENSTOCK_AVRO_DECODE_H
#define PENSTOCK_AVRO_DECODE_H

#include "avro/codec.h"
#include "avro/node.h"

/* How a value is stepped over. */
enum skip_op {
    SKIP_NOTHING,
    SKIP_VARINT,
    SKIP_LENGTH, /* a length and as many bytes */
    SKIP_BYTES,  /* as many as the type has */
    SKIP_FIELDS, /* a record's, one after the other */
    SKIP_NODE    /* whatever the node says: arrays, maps, unions of several types */
};

struct skip_code {
    enum skip_op op;
    int null_branch; /* -1: no union around it */
    size_t size;     /* BYTES */
    int n;           /* FIELDS */
    struct skip_code *fields;
    const struct node *node; /* NODE */
};

struct column_code {
    enum column_op op;
    enum type_kind kind;
    int scale;             /* DECIMAL; BITS: length */
    struct skip_code skip; /* its null_branch is the column's */
    const char *field;
    size_t field_len;
};

/* What a field of the envelope is to us. */
enum envelope_role {
    ROLE_SKIP,
    ROLE_BEFORE,
    ROLE_AFTER,
    ROLE_SOURCE,
    ROLE_OP,
    ROLE_CSN,
    ROLE_UNAVAILABLE
};

struct envelope_code {
    enum envelope_role role;
    struct skip_code skip;
};

struct decoder {
    struct arena *arena;
    const struct table *table;
    int nenvelope;
    struct envelope_code *envelope;
    struct skip_code row;     /* the Value record */
    int ts_ms, ts_us;         /* fields of source, -1: not there */
    struct column_code *cols; /* table->ncols */
};

/* How values of n are stepped over, made in a. */
void skip_compile(struct arena *a, const struct node *n, struct skip_code *out);
/* Steps over a value; fails the reader where it is broken or nested too deeply. */
void skip_value(struct reader *r, const struct skip_code *c);
/* The same inside its union. */
void skip_inside(struct reader *r, const struct skip_code *c);

static inline void decode_pass(struct reader *r, size_t n)
{
    if (reader_left(r) < n)
        reader_fail(r);
    else
        r->pos += n;
}

/* reader_zigzag, fast for one byte. */
static inline int64_t decode_long(struct reader *r)
{
    uint8_t b;

    if (r->pos == r->end || *r->pos >= 0x80)
        return reader_zigzag(r);
    b = *r->pos++;
    return (b >> 1) ^ -(b & 1);
}

/* The branch of an optional field: true if a value follows. */
static inline bool decode_branch(struct reader *r, int null_branch)
{
    int64_t branch;

    if (null_branch < 0)
        return true;
    branch = decode_long(r);
    if (branch != 0 && branch != 1)
        reader_fail(r);
    return branch != null_branch && !r->failed;
}

/* A length that the rest of the bytes can hold, else 0 and failed. */
static inline size_t decode_length(struct reader *r)
{
    int64_t n = decode_long(r);

    if (n < 0 || (uint64_t)n > reader_left(r)) {
        reader_fail(r);
        return 0;
    }
    return (size_t)n;
}

/*
 * Reads the head of an array's or map's next block: its number of items, 0 at the end. A negative
 * count is followed by the block's size in bytes (*size; 0 if it is not known).
 */
static inline int64_t decode_block(struct reader *r, size_t *size)
{
    int64_t n = decode_long(r);

    *size = 0;
    if (n < 0) {
        *size = decode_length(r);
        n = n == INT64_MIN ? INT64_MAX : -n;
    }
    return r->failed ? 0 : n;
}

#endif
