/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of regular expressions as Debezium's: PCRE2, separated by commas, each matched against the
 * whole text. A comma that is escaped, quoted (\Q..\E) or inside [], () or {} does not separate.
 * Immutable after it was compiled; any number of threads may match at once.
 */
#ifndef PENSTOCK_CONFIG_PATTERNS_H
#define PENSTOCK_CONFIG_PATTERNS_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>

struct patterns;

/* How patterns_match ended: a search that PCRE2 had to give up is neither a yes nor a no. */
enum pattern_match { PATTERN_NO, PATTERN_YES, PATTERN_GAVE_UP };

/*
 * list: commas separate and case is ignored; else the text is one case-sensitive expression.
 * ERROR_CONFIG with the reason and its offset in the text. *out is NULL if the text is blank.
 */
bool patterns_compile(struct patterns **out, const char *text, bool list, struct error *err);
void patterns_free(struct patterns *p); /* accepts NULL */
enum pattern_match patterns_match(const struct patterns *p, const char *text);
/* For one case-sensitive expression: PATTERN_YES if text, or text with something after it, can
 * match. */
enum pattern_match patterns_match_prefix(const struct patterns *p, const char *text);

#endif
