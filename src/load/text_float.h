/* SPDX-License-Identifier: Apache-2.0 */
/* Floating-point numbers as Postgres prints them: the shortest digits that read back exactly. */
#ifndef PENSTOCK_LOAD_TEXT_FLOAT_H
#define PENSTOCK_LOAD_TEXT_FLOAT_H

#include "util/buf.h"

void text_float4(struct buf *out, float f);
void text_float8(struct buf *out, double f);

#endif
