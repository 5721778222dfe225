/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the codec: what decode.c compiles and decode_row.c runs. */
#ifndef PENSTOCK_AVRO_DECODE_H
#define PENSTOCK_AVRO_DECODE_H

#include "avro/codec.h"
#include "avro/node.h"

/* How a value is stepped over. */
enum skip_op {
    SKIP_VARINT,
    SKIP_LENGTH,  /* a length and as many bytes */
    SKIP_NUMERIC, /* an int, then SKIP_LENGTH */
    SKIP_1,
    SKIP_4,
    SKIP_8
};

struct column_code {
    enum column_op op;
    enum skip_op skip;
    enum type_kind kind;
    int null_branch; /* -1: no union */
    int scale;       /* DECIMAL; BITS: length */
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
    int null_branch;         /* of the union; -1: none (SKIP: not used) */
    const struct node *type; /* SKIP: the whole; else inside the union */
};

/* A field of `source`: how its time stands in it. */
struct source_code {
    int64_t us; /* microseconds a unit; 0: stepped over */
    int null_branch;
    const struct node *type;
};

struct decoder {
    struct arena *arena;
    const struct table *table;
    int nenvelope;
    struct envelope_code *envelope;
    int nsource; /* 0: source is stepped over as a whole */
    struct source_code *source;
    struct column_code *cols; /* table->ncols */
};

/* Steps over any value; fails the reader where it is broken or nested too deeply. */
void decode_skip(struct reader *r, const struct node *n, int depth);
/* The branch of an optional field: true if a value follows. */
static inline bool decode_branch(struct reader *r, int null_branch)
{
    int64_t branch;

    if (null_branch < 0)
        return true;
    branch = reader_zigzag(r);
    if (branch != 0 && branch != 1)
        reader_fail(r);
    return branch != null_branch && !r->failed;
}

/* A length that the rest of the bytes can hold, else 0 and failed. */
static inline size_t decode_length(struct reader *r)
{
    int64_t n = reader_zigzag(r);

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
    int64_t n = reader_zigzag(r);

    *size = 0;
    if (n < 0) {
        *size = decode_length(r);
        n = n == INT64_MIN ? INT64_MAX : -n;
    }
    return r->failed ? 0 : n;
}

/* Steps over a column's value (inside its union). */
static inline void decode_skip_column(struct reader *r, const struct column_code *c)
{
    switch (c->skip) {
    case SKIP_VARINT:
        reader_zigzag(r);
        break;
    case SKIP_NUMERIC:
        reader_zigzag(r);
        reader_bytes(r, decode_length(r));
        break;
    case SKIP_LENGTH:
        reader_bytes(r, decode_length(r));
        break;
    case SKIP_1:
        reader_bytes(r, 1);
        break;
    case SKIP_4:
        reader_bytes(r, 4);
        break;
    case SKIP_8:
        reader_bytes(r, 8);
        break;
    }
}

#endif
