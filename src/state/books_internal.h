/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by books.c and books_tables.c only. */
#ifndef PENSTOCK_STATE_BOOKS_INTERNAL_H
#define PENSTOCK_STATE_BOOKS_INTERNAL_H

#include "state/books.h"

bool books_exec(struct books *b, struct buf *sql, int64_t *affected, struct error *err);
/* " WHERE connector = .. AND source = .." */
void books_where(struct buf *sql, const struct books *b);
void books_string_or_null(struct buf *sql, const char *s);
bool books_delete_all(struct books *b, const char *table, struct error *err);

#endif
