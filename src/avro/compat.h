/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May data written with `writer` be read with `reader`? Avro specification, "Schema Resolution",
 * with two stricter rules of ours: a decimal's scale may not change and a logical type may not
 * come or go (a registry accepts both, readers misread them).
 */
#ifndef PENSTOCK_AVRO_COMPAT_H
#define PENSTOCK_AVRO_COMPAT_H

#include "util/error.h"

enum compat_mode {
    COMPAT_NONE,
    COMPAT_BACKWARD,
    COMPAT_BACKWARD_TRANSITIVE,
    COMPAT_FORWARD,
    COMPAT_FORWARD_TRANSITIVE,
    COMPAT_FULL,
    COMPAT_FULL_TRANSITIVE
};

/* ERROR_DATA naming the path of the field and the rule. */
bool avro_can_read(const char *reader, const char *writer, struct error *err);
/* ERROR_DATA if the text is not a valid Avro schema (names, defaults, redefinitions). */
bool avro_validate(const char *schema, struct error *err);
const char *compat_mode_name(enum compat_mode m);
bool compat_mode_parse(const char *name, enum compat_mode *out);

#endif
