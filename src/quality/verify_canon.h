/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical bytes of a value: equal for two values iff they are the same value, whichever side
 * it was read from. Pure, and none of the code that writes rows.
 *
 *   integers, booleans, dates, times, timestamps   8 bytes (infinities as in change/value.h)
 *   real, double precision                         the double's bits; all NaNs are one
 *   numeric, text, json, enum, uuid, interval ...  the source's text, scale and case included
 *   bytes                                          as they are
 *
 * In front stands the class, one byte, or 0 for NULL; texts and bytes have their length.
 */
#ifndef PENSTOCK_QUALITY_VERIFY_CANON_H
#define PENSTOCK_QUALITY_VERIFY_CANON_H

#include "change/value.h"
#include "util/buf.h"

/* Kinds of one class have values that can be the same: an integer column that was widened. */
enum canon_class {
    CANON_NULL,
    CANON_BOOL,
    CANON_INTEGER,
    CANON_FLOAT,
    CANON_TEXT,
    CANON_BYTES,
    CANON_DATE,
    CANON_TIME,
    CANON_TIMESTAMP,
    CANON_TIMESTAMPTZ
};

enum canon_class canon_class_of(enum type_kind kind);
/* Appends v, VALUE_NULL or VALUE_SET. signless_zero: -0 and 0 are one float, since the warehouse
 * cannot keep them apart. */
void canon_value(struct buf *out, enum type_kind kind, bool signless_zero, const struct value *v);

#endif
