/* SPDX-License-Identifier: Apache-2.0 */
/* Postgres's points in time <-> Debezium's: MicroTimestamp (long) and ZonedTimestamp (text). */
#ifndef PENSTOCK_AVRO_INSTANT_H
#define PENSTOCK_AVRO_INSTANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSTANT_TEXT_MAX 40

/*
 * Microseconds since 2000 -> the stored long (codec.h: infinities and the years past a long since
 * 1970 have values of their own). False for values that no Postgres timestamp has and that would
 * be read back as others.
 */
bool instant_to_long(int64_t pg_us, int64_t *stored);
/* The inverse. False if the result does not fit. */
bool instant_from_long(int64_t stored, int64_t *pg_us);
/* ISO 8601 in UTC: "2024-01-01T00:00:00.123Z", "+10000-..", "-0043-..", "infinity"; the fraction
 * without trailing zeros. Returns the length; out holds INSTANT_TEXT_MAX. */
size_t instant_to_text(int64_t pg_us, char *out);
/* Any ISO 8601 date-time with zone. False if malformed, out of range or finer than 1 us. */
bool instant_from_text(const char *p, size_t len, int64_t *pg_us);

#endif
