/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Postgres's text of a value -> struct value, strictly: what the type's output function cannot
 * have written under the pinned session settings (DateStyle ISO, bytea_output hex, lc_monetary C,
 * extra_float_digits 3) is an error, never a guess.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_PG_VALUE_H
#define PENSTOCK_SOURCE_POSTGRES_PG_VALUE_H

#include "change/table.h"

/*
 * Text-like values borrow text; what has to be rewritten (bytea, money, a "char" with its high
 * bit set) is made in scratch. ERROR_DATA names the column and its type, never the value.
 * text need not be terminated.
 */
bool pg_value_parse(const struct column *c, const char *text, size_t len, struct arena *scratch,
                    struct value *out, struct error *err) MUST_CHECK;

#endif
