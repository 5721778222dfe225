/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A typed column value on its way from a decoder to an encoder (and back out of an event).
 * Values borrow their bytes; who makes them says how long those live.
 */
#ifndef PENSTOCK_CHANGE_VALUE_H
#define PENSTOCK_CHANGE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How a column travels: decides its Avro type, and with it what a warehouse can make of it.
 *
 * kind         struct value          Avro (connect.name)
 * BOOL         i = 0, 1              boolean
 * INT16        i                     int (connect.type int16)
 * INT32        i                     int
 * INT64        i                     long
 * FLOAT32      f                     float
 * FLOAT64      f                     double
 * DECIMAL      s: "-12.30", "NaN"    bytes, logicalType decimal(precision, scale),
 *                                    0 <= scale <= precision
 * (org.apache.kafka.connect.data.Decimal) NUMERIC      s: any numeric text   record {scale int,
 * value bytes} incl. "NaN",          (io.debezium.data.VariableScaleDecimal) "Infinity" TEXT s
 * string (column.semantic, if any) BYTES        s                     bytes DATE         i: days
 * since         int (io.debezium.time.Date) 1970-01-01 TIME         i: us of the day      long
 * (io.debezium.time.MicroTime) TIMESTAMP    i: us since           long
 * (io.debezium.time.MicroTimestamp) 2000-01-01 TIMESTAMPTZ  i: us since           string, ISO 8601
 * UTC (io.debezium.time.ZonedTimestamp) 2000-01-01 UTC INTERVAL     s: Postgres text      string
 * (column.semantic NULL) UUID         s: 36 characters      string (io.debezium.data.Uuid) JSON s:
 * verbatim text      string (io.debezium.data.Json) ENUM         s: label              string
 * (io.debezium.data.Enum, parameter allowed) BITS         s: "0101"             bytes,
 * little-endian (io.debezium.data.Bits, parameter length); with length 1 boolean
 *
 * TIMESTAMP and TIMESTAMPTZ count from Postgres's epoch because its whole range fits there; +/-
 * infinity are INT64_MAX and INT64_MIN. DATE's are INT32_MAX and INT32_MIN.
 */
enum type_kind {
    TYPE_BOOL,
    TYPE_INT16,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_FLOAT32,
    TYPE_FLOAT64,
    TYPE_DECIMAL,
    TYPE_NUMERIC,
    TYPE_TEXT,
    TYPE_BYTES,
    TYPE_DATE,
    TYPE_TIME,
    TYPE_TIMESTAMP,
    TYPE_TIMESTAMPTZ,
    TYPE_INTERVAL,
    TYPE_UUID,
    TYPE_JSON,
    TYPE_ENUM,
    TYPE_BITS,
    TYPE_COUNT
};

#define VALUE_TIMESTAMP_INFINITY INT64_MAX
#define VALUE_TIMESTAMP_MINUS_INFINITY INT64_MIN
#define VALUE_DATE_INFINITY INT32_MAX
#define VALUE_DATE_MINUS_INFINITY INT32_MIN
/* Microseconds from 1970-01-01 to 2000-01-01; seconds are this divided by a million. */
#define VALUE_EPOCH_SHIFT_US 946684800000000LL
#define VALUE_EPOCH_SHIFT_DAYS 10957

enum value_state {
    VALUE_NULL = 0,
    VALUE_SET,
    VALUE_UNCHANGED, /* the column did not change and the log did not carry it (TOAST) */
    VALUE_ABSENT     /* the log does not say (a key-only old row) */
};

struct value {
    enum value_state state;
    union {
        int64_t i;
        double f;
        struct {
            const char *p; /* not terminated */
            size_t len;
        } s;
    };
};

const char *type_kind_name(enum type_kind kind);
/* Its values are in `s`. */
bool type_kind_is_text(enum type_kind kind);
/* TYPE_COUNT if there is none of that name. */
enum type_kind type_kind_parse(const char *name);

#endif
