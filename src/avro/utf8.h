/* SPDX-License-Identifier: Apache-2.0 */
/* Is it UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates, at most U+10FFFF)? */
#ifndef PENSTOCK_AVRO_UTF8_H
#define PENSTOCK_AVRO_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const char *p, size_t len);

#endif
