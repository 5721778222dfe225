/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row of COPY ... TO STDOUT in text format -> its columns (PostgreSQL manual, COPY, "Text
 * Format": tab between columns, \N for NULL, backslash escapes). Works in place: a column without
 * a backslash is not touched.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_COPY_TEXT_H
#define PENSTOCK_SOURCE_POSTGRES_COPY_TEXT_H

#include "source_postgres/pg_cell.h"
#include "util/error.h"

/*
 * row: the bytes of one CopyData message, ending in a newline; overwritten where it holds
 * escapes. Fills ncells cells, TEXT or NULL, borrowed from row. ERROR_RETRY with the offset for a
 * broken row or another number of columns.
 */
bool copy_text_split(char *row, size_t len, struct pg_cell *cells, int ncells,
                     struct error *err) MUST_CHECK;

#endif
