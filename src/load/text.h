/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical text of a value: byte for byte what Postgres prints with datestyle ISO, timezone
 * UTC, extra_float_digits 3. For columns that a warehouse holds as text and for stages that cast.
 */
#ifndef PENSTOCK_LOAD_TEXT_H
#define PENSTOCK_LOAD_TEXT_H

#include "change/value.h"
#include "util/buf.h"

/* Appends the text; v->state is VALUE_SET. */
void value_to_text(struct buf *out, enum type_kind kind, const struct value *v);
/* Postgres's interval text (intervalstyle postgres) in its three parts; false if it is not one
 * or infinite. */
bool interval_parse(const char *p, size_t len, int32_t *months, int32_t *days, int64_t *us);

#endif
