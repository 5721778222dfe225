/* SPDX-License-Identifier: Apache-2.0 */
/* A load that is asked for while the service is stopped: the books say so to its next start. */
#ifndef PENSTOCK_STATE_BOOKS_REQUEST_H
#define PENSTOCK_STATE_BOOKS_REQUEST_H

#include "change/qualified.h"
#include "state/books.h"

/*
 * Marks the table (schema and name NULL: every table) of b's source and warehouse, in a transaction
 * of its own, so that the next start loads it again; rows in the warehouse stay as they are.
 * *out, *n: what was marked, in arena a, by name. ERROR_CONFIG, with the nearest known name, for a
 * table that the books do not have, and for a warehouse in which nothing was loaded yet.
 */
bool books_request_load(struct books *b, const char *schema, const char *name, struct arena *a,
                        struct qualified **out, int *n, struct error *err);

#endif
