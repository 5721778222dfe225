/* SPDX-License-Identifier: Apache-2.0 */
/* From the binary form of a built-in type, by its oid, to a value of a kind. */
#ifndef PENSTOCK_WPG_DECODE_H
#define PENSTOCK_WPG_DECODE_H

#include "change/value.h"
#include "util/arena.h"

#include <stdbool.h>

enum wpg_form { WPG_FORM_BINARY, WPG_FORM_TEXT, WPG_FORM_NUMERIC, WPG_FORM_NONE };
/* How a column of that type is asked for: as it is, as its own text, cast to numeric; NONE: no
 * value of the kind is kept in it. */
enum wpg_form wpg_scan_form(enum type_kind kind, unsigned oid);
/* len >= 0. What is made lies in scratch, the rest in p. False: bytes that are none of the type. */
bool wpg_decode(enum type_kind kind, unsigned oid, enum wpg_form form, const char *p, size_t len,
                struct arena *scratch, struct value *out);

#endif
