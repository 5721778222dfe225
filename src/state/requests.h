/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mailbox of loads that people ask for: the HTTP server adds, a connector's thread takes what
 * is there for it. Thread-safe, bounded, nothing in it is durable: who has taken a request writes
 * it into the books.
 */
#ifndef PENSTOCK_STATE_REQUESTS_H
#define PENSTOCK_STATE_REQUESTS_H

#include "change/qualified.h"
#include "util/arena.h"

#include <stdint.h>

enum { REQUESTS_MAX = 1000 }; /* waiting, of all connectors together */

struct requests;

struct request {
    int64_t id;                 /* 1.., the same for all tables that were asked for together */
    const char *connector;      /* the source's name */
    const char *schema, *table; /* true names; both NULL: all tables of the connector */
};

struct requests *requests_new(void);
void requests_free(struct requests *r); /* accepts NULL */

/* Asks for one table, or with table NULL for all of the connector. False: it is full. */
bool requests_add(struct requests *r, const char *connector, const char *schema, const char *table,
                  int64_t *id);
/* Asks for n tables under one id (n 0: all of the connector). False: not all have room, so that
 * none was added. */
bool requests_add_tables(struct requests *r, const char *connector, const struct qualified *tables,
                         int n, int64_t *id);
/* Takes out what waits for the connector: copies in arena a, in the order they were added. */
void requests_take(struct requests *r, const char *connector, struct arena *a, struct request **out,
                   int *n);

#endif
