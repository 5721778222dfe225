/* SPDX-License-Identifier: Apache-2.0 */
#include "quality/verify_canon.h"

#include <math.h>

enum canon_class canon_class_of(enum type_kind kind)
{
    switch (kind) {
    case TYPE_BOOL:
        return CANON_BOOL;
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
        return CANON_INTEGER;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return CANON_FLOAT;
    case TYPE_BYTES:
        return CANON_BYTES;
    case TYPE_DATE:
        return CANON_DATE;
    case TYPE_TIME:
        return CANON_TIME;
    case TYPE_TIMESTAMP:
        return CANON_TIMESTAMP;
    case TYPE_TIMESTAMPTZ:
        return CANON_TIMESTAMPTZ;
    default:
        return CANON_TEXT;
    }
}

/* A real is the double of its value, so that it equals itself in a double precision column. */
static uint64_t float_bits(enum type_kind kind, bool signless_zero, double f)
{
    uint64_t bits;

    if (kind == TYPE_FLOAT32)
        f = (float)f;
    if (isnan(f))
        return UINT64_MAX;
    if (signless_zero && f == 0)
        f = 0;
    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

void canon_value(struct buf *out, enum type_kind kind, bool signless_zero, const struct value *v)
{
    enum canon_class class = canon_class_of(kind);

    if (v->state != VALUE_SET) {
        buf_u8(out, CANON_NULL);
        return;
    }
    buf_u8(out, (uint8_t) class);
    switch (class) {
    case CANON_FLOAT:
        buf_be64(out, float_bits(kind, signless_zero, v->f));
        break;
    case CANON_TEXT:
    case CANON_BYTES:
        buf_be64(out, v->s.len);
        buf_append(out, v->s.p, v->s.len);
        break;
    default:
        buf_be64(out, (uint64_t)v->i);
    }
}
