/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COPY in binary format, for tables whose types all have a binary form that says exactly what
 * their text says: the server makes it with a quarter less work.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_COPY_BINARY_H
#define PENSTOCK_SOURCE_POSTGRES_COPY_BINARY_H

#include "change/table.h"

/* oid: of the column's type, of a domain the base type's. */
bool copy_binary_suits(const struct column *c, uint32_t oid);

struct copy_binary {
    bool begun, ended; /* the header, the trailer were read */
};

/*
 * Takes the row out of one CopyData message: t->ncols values, whose bytes lie in the message or in
 * scratch. *row: false if the message holds none (header or trailer alone). oids: of each column.
 */
MUST_CHECK bool copy_binary_take(struct copy_binary *b, const struct table *t, const uint32_t *oids,
                                 const char *data, size_t len, struct arena *scratch,
                                 struct value *values, bool *row, struct error *err);
/* The data has ended: was that its end? */
MUST_CHECK bool copy_binary_end(const struct copy_binary *b, struct error *err);

#endif
