/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One column of a row as the server sent it: from a pgoutput tuple or from a COPY row. Bytes are
 * borrowed from the message and not terminated.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_PG_CELL_H
#define PENSTOCK_SOURCE_POSTGRES_PG_CELL_H

#include <stddef.h>

enum pg_cell_kind {
    PG_CELL_NULL = 'n',
    PG_CELL_UNCHANGED = 'u', /* out of line (TOAST) and not touched: not in the log */
    PG_CELL_TEXT = 't',
    PG_CELL_BINARY = 'b'
};

struct pg_cell {
    enum pg_cell_kind kind;
    const char *p; /* TEXT, BINARY; else NULL */
    size_t len;
};

#endif
