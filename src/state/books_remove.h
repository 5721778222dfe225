/* SPDX-License-Identifier: Apache-2.0 */
/* What a source's replication has made in the warehouse, and its end. */
#ifndef PENSTOCK_STATE_BOOKS_REMOVE_H
#define PENSTOCK_STATE_BOOKS_REMOVE_H

#include "change/qualified.h"
#include "state/books.h"

/* The tables that were made for b's source and are there, in arena a, by name: live ones, and those
 * that are gone at the source. Unfinished copies are not among them. */
bool books_targets_made(struct books *b, struct arena *a, struct qualified **out, int *n,
                        struct error *err);
/*
 * In one transaction: unfinished copies and everything that the books say of b's source and
 * warehouse; targets: also the tables; the schema penstock, once it says nothing of anybody.
 * *kept: its tables stay, without our rows, because something that is not ours lies in it or
 * depends on it. ERROR_DATA if something depends on a target.
 */
bool books_remove(struct books *b, const struct qualified *targets, int n, bool *kept,
                  struct error *err);

#endif
