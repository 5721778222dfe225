/* SPDX-License-Identifier: Apache-2.0 */
/* Text that is shown: where its characters end, and how many columns of a terminal each takes. */
#ifndef PENSTOCK_UTIL_CODEPOINT_H
#define PENSTOCK_UTIL_CODEPOINT_H

#include <stddef.h>
#include <stdint.h>

/* The bytes of the UTF-8 character at p, which ends at a NUL; 0: it is none (Unicode 15, table
 * 3-7: no overlong forms, no surrogates, at most U+10FFFF), or the end. *out may be NULL. */
size_t codepoint_next(const char *p, uint32_t *out);
/* 0 of what combines with the character before, 2 of what is wide (East Asian Width W and F). */
int codepoint_columns(uint32_t c);
/* In place, so that nobody's text forges a line or talks to a terminal: what controls one becomes
 * a blank (C0, DEL, C1), what is no UTF-8 a question mark. */
void codepoint_make_plain(char *text);

#endif
