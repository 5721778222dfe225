/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCHEMA.TABLE as people write it: split at the first dot, unless a part stands in double quotes,
 * where "" is one quote: public.orders, "a.b"."c", "a.b".c. Names are true names: no folding.
 */
#ifndef PENSTOCK_CHANGE_QUALIFIED_H
#define PENSTOCK_CHANGE_QUALIFIED_H

#include "util/arena.h"

struct qualified {
    const char *schema, *name;
};

/* In arena a. False if text is not SCHEMA.TABLE: no dot, an empty part, a quote without its end. */
bool qualified_parse(struct arena *a, const char *text, struct qualified *out);
/* What qualified_parse takes for these names: with quotes only where they are needed. */
const char *qualified_text(struct arena *a, const char *schema, const char *name);

#endif
