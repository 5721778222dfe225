/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the JSON of a default is a value of the field's type. */
#ifndef PENSTOCK_AVRO_SHAPE_DEFAULT_H
#define PENSTOCK_AVRO_SHAPE_DEFAULT_H

#include "avro/shape.h"

/*
 * False with *why ("is not an int: ...", in arena a or static). The default of a union is a value
 * of its first branch.
 */
bool shape_default_ok(struct arena *a, const struct shape *type, const json_t *def,
                      const char **why);

#endif
