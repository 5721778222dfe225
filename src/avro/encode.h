/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the codec: how encode.c writes the values of a row. */
#ifndef PENSTOCK_AVRO_ENCODE_H
#define PENSTOCK_AVRO_ENCODE_H

#include "avro/codec.h"
#include "avro/wire.h"

#define UNION_NULL 0x00  /* branch 0, zig-zag */
#define UNION_VALUE 0x02 /* branch 1 */

struct encoder_column {
    enum type_kind kind;
    bool optional; /* a union of null and the type */
    int precision, scale;
    const uint8_t *field; /* its name as an Avro string, for `unavailable` */
    size_t field_len;
};

/* Appends v (VALUE_SET) in its type, without a union. On false *why says what it is. work:
 * scratch for large decimals. */
bool encode_value(const struct encoder_column *c, const struct value *v, struct buf *out,
                  struct buf *work, const char **why);
/* Appends what stands for a column that was not carried, with its union: see codec.h. */
void encode_placeholder(const struct encoder_column *c, enum value_state state, struct buf *out);

#endif
