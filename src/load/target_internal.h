/* SPDX-License-Identifier: Apache-2.0 */
/* What making a target and altering one share: names as the dialect compares them. */
#ifndef PENSTOCK_LOAD_TARGET_INTERNAL_H
#define PENSTOCK_LOAD_TARGET_INTERNAL_H

#include "load/target.h"

bool target_same_name(const struct dialect *d, const char *a, const char *b);
/* Of names that the dialect holds for one, one without capital letters keeps its name. */
bool target_has_upper(const char *s);
/* "NAME_" and 8 hex digits of the SHA-256 of the true name. */
const char *target_suffixed(struct arena *a, const char *name);

#endif
