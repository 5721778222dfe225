/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates and times in Postgres's ISO style: years of 4 to 7 digits, " BC", "infinity", up to six
 * fractional digits, offsets "+HH[:MM[:SS]]". Proleptic Gregorian calendar, Postgres's own
 * ranges. False for any other text.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_PG_DATETIME_H
#define PENSTOCK_SOURCE_POSTGRES_PG_DATETIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Days since 1970-01-01; VALUE_DATE_INFINITY, VALUE_DATE_MINUS_INFINITY. */
bool pg_parse_date(const char *s, size_t len, int64_t *days);
/* us of the day, "24:00:00" included. */
bool pg_parse_time(const char *s, size_t len, int64_t *us);
/* us since 2000-01-01, with_zone: of UTC and an offset is required; VALUE_TIMESTAMP_INFINITY,
 * VALUE_TIMESTAMP_MINUS_INFINITY. */
bool pg_parse_timestamp(const char *s, size_t len, bool with_zone, int64_t *us);

#endif
