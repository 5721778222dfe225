/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events <-> bytes, compiled once per table version: Confluent wire format (byte 0, schema id as
 * 4 bytes big endian, Avro binary). The encoder works from the table, the decoder from the schema
 * text alone, so that the sink needs nothing but the bytes and the registry.
 *
 * Representations that Debezium's types leave open (docs/events.md):
 *  - decimal NaN: zero bytes of unscaled value (a foreign reader fails loudly on it); NUMERIC:
 *    zero bytes and scale 0 = NaN, 1 = Infinity, -1 = -Infinity.
 *  - timestamp infinity 9223372036825200000, -infinity -9223372036832400000 (us since 1970, as
 *    Debezium); finite values past the range of a long since 1970 are stored as
 *    INT64_MIN / 2 + (v - INT64_MAX), far below any other Postgres timestamp.
 *  - a column the log did not carry: NULL where nullable, else the zero of its type, and its
 *    field's name in `unavailable`; texts and bytes hold "__debezium_unavailable_value" (where
 *    nullable only if VALUE_UNCHANGED: the `before` of a delete has NULL there, as Debezium's).
 */
#ifndef PENSTOCK_AVRO_CODEC_H
#define PENSTOCK_AVRO_CODEC_H

#include "avro/schema.h"
#include "util/reader.h"

#define WIRE_PREFIX_SIZE 5 /* a zero byte and the schema's id */

struct encoder; /* one table version; one thread */

/* t and block are borrowed. key_id is 0 for tables without a key. */
struct encoder *encoder_new(const struct table *t, const struct source_block *block,
                            uint32_t value_id, uint32_t key_id);
void encoder_free(struct encoder *e); /* accepts NULL */
/* The wire bytes of a row's key, taken from its key columns (all VALUE_SET). */
bool encoder_key(struct encoder *e, const struct value *row, struct buf *out, struct error *err);
/*
 * The wire bytes of the envelope. *unavailable: set to true if any column was not carried.
 * ERROR_DATA names table, column and kind of value, never the value (bytes that are not UTF-8...).
 */
bool encoder_value(struct encoder *e, const struct change *c, const struct event_meta *meta,
                   struct buf *out, bool *unavailable, struct error *err);

struct decoder; /* one value schema; immutable after it was made, any thread */

/* Compiles the schema text. table: as from avro_table, borrowed; columns in its order. */
struct decoder *decoder_new(const char *value_schema, const struct table *table, struct error *err);
void decoder_free(struct decoder *d); /* accepts NULL */

/* Slices of one event, in place. */
struct event_slices {
    char op;
    int64_t csn;           /* 0 if null */
    int64_t source_us;     /* source.ts_us (or ts_ms * 1000): commit time, us since 1970 */
    const uint8_t *before; /* Avro binary of the Value record, NULL if the branch is null */
    size_t before_len;
    const uint8_t *after;
    size_t after_len;
    const uint8_t *unavailable; /* Avro array of field names, NULL if null */
    size_t unavailable_len;
};

/* event: the wire bytes. ERROR_DATA with the offset if they are broken. */
bool decoder_slices(const struct decoder *d, const uint8_t *event, size_t len,
                    struct event_slices *out, struct error *err);
/*
 * Decodes one Value record (a `before` or `after` slice) into table->ncols values. Bytes are
 * borrowed from the slice or made in scratch. unavailable as in the slices (NULL: all known):
 * those columns become VALUE_UNCHANGED.
 */
bool decoder_row(const struct decoder *d, const uint8_t *row, size_t len,
                 const uint8_t *unavailable, size_t unavailable_len, struct arena *scratch,
                 struct value *values, struct error *err);
/* As decoder_row for the wire bytes of a key: fills only the key columns, others VALUE_ABSENT. */
bool decoder_key(const struct decoder *d, const uint8_t *key, size_t len, struct arena *scratch,
                 struct value *values, struct error *err);

/* The schema id of wire bytes; false if they are shorter than 5 bytes or do not start with 0. */
bool wire_schema_id(const uint8_t *event, size_t len, uint32_t *id);

/* Avro primitives, also for a connector's source block. */
void avro_put_long(struct buf *out, int64_t v);
void avro_put_string(struct buf *out, const char *s, size_t len);

#endif
