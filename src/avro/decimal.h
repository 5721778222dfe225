/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decimal text <-> Avro's unscaled integer: two's complement, big endian, of minimal length.
 * Up to DECIMAL_MAX_DIGITS digits, exact always.
 */
#ifndef PENSTOCK_AVRO_DECIMAL_H
#define PENSTOCK_AVRO_DECIMAL_H

#include "util/arena.h"
#include "util/buf.h"

#define DECIMAL_MAX_DIGITS (131072 + 16383) /* Postgres manual, 8.1 "Numeric Types" */

enum decimal_class {
    DECIMAL_FINITE,
    DECIMAL_NAN,
    DECIMAL_INFINITY,
    DECIMAL_MINUS_INFINITY,
    DECIMAL_MALFORMED
};

/* A decimal text taken apart; borrows it. */
struct decimal {
    bool negative;
    const char *whole; /* digits before the point, without leading zeros */
    size_t nwhole;
    const char *fraction; /* digits after the point */
    size_t nfraction;
};

enum decimal_class decimal_parse(const char *p, size_t len, struct decimal *out);
/* Digits of the unscaled integer at `scale` >= nfraction (0 for zero). */
size_t decimal_digits(const struct decimal *d, size_t scale);
/* Appends length and unscaled bytes at `scale` >= nfraction as Avro `bytes`. work: scratch of the
 * caller, grown for numbers of more than 38 digits. */
void decimal_put(struct buf *out, const struct decimal *d, size_t scale, struct buf *work);

/*
 * The text of an unscaled integer (n >= 1 bytes) at scale, as Postgres prints it: "-12.30",
 * "0.05"; made in a. False if it is larger than DECIMAL_MAX_DIGITS or the scale is absurd.
 */
bool decimal_text(struct arena *a, const uint8_t *bytes, size_t n, int64_t scale, const char **text,
                  size_t *len);

#endif
