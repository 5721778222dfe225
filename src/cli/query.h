/* SPDX-License-Identifier: Apache-2.0 */
/* What query.c and query_print.c share. */
#ifndef PENSTOCK_CLI_QUERY_H
#define PENSTOCK_CLI_QUERY_H

#include "util/buf.h"

#include "util/buf.h"

#include <jansson.h>
#include <stdio.h>

/* n bytes of s, control characters as \n, \t or \xHH. */
void query_put_escaped(struct buf *out, const char *s, size_t n);
/* False if it is no answer of POST /v1/query: columns with names, rows as long as they are. */
bool query_is_answer(const json_t *answer);
/* Aligned columns, numbers to the right, and how many rows; NULL as NULL, control characters
 * escaped. */
void query_print_table(FILE *out, const json_t *answer);
/* RFC 4180, with a header: NULL is an empty field, an empty text is "". */
void query_print_csv(FILE *out, const json_t *answer);

#endif
