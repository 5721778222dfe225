/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the codec: Avro primitives written to a place that has room, and shared names. */
#ifndef PENSTOCK_AVRO_WIRE_H
#define PENSTOCK_AVRO_WIRE_H

#include "util/buf.h"

#define WIRE_PREFIX 5    /* byte 0, schema id */
#define WIRE_LONG_MAX 10 /* bytes of the longest zig-zag long */

/* What Debezium writes for a value that the log did not carry; its readers test equality. */
#define UNAVAILABLE_TEXT "__debezium_unavailable_value"

/* Properties of ours and Debezium's in connect.parameters. */
#define PARAM_COLUMN_NAME "__debezium.source.column.name"
#define PARAM_COLUMN_TYPE "__debezium.source.column.type"
#define PARAM_SCHEMA "__debezium.source.schema"
#define PARAM_TABLE "__debezium.source.table"
#define PARAM_KIND "penstock.kind"   /* where the Avro type leaves the kind open */
#define PARAM_TOPIC "penstock.topic" /* where it is not the namespace */

static inline uint8_t *wire_long(uint8_t *p, int64_t v)
{
    uint64_t u = ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);

    while (u >= 0x80) {
        *p++ = (uint8_t)u | 0x80;
        u >>= 7;
    }
    *p++ = (uint8_t)u;
    return p;
}

static inline uint8_t *wire_bytes(uint8_t *p, const void *s, size_t len)
{
    p = wire_long(p, (int64_t)len);
    if (len > 0)
        memcpy(p, s, len);
    return p + len;
}

static inline void wire_put_long(struct buf *out, int64_t v)
{
    uint8_t *p = buf_reserve(out, WIRE_LONG_MAX);

    out->len = (size_t)(wire_long(p, v) - out->data);
}

static inline void wire_put_bytes(struct buf *out, const void *s, size_t len)
{
    uint8_t *p = buf_reserve(out, WIRE_LONG_MAX + len);

    out->len = (size_t)(wire_bytes(p, s, len) - out->data);
}

#endif
