/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue's answer about the columns of a table. The stream tells of then, the catalogue of
 * now: an answer serves a transaction only if its snapshot sees it. Where a transaction has been
 * seen, so have those that altered the table before it: their locks exclude each other.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_SHAPE_H
#define PENSTOCK_SOURCE_POSTGRES_SHAPE_H

#include "source_postgres/alter.h"
#include "source_postgres/catalog_internal.h"
#include "source_postgres/pg_types.h"
#include "source_postgres/source_postgres.h"

/* What is kept of an answer about one table: what it was like then. One block of memory. */
struct trace {
    const char *snapshot; /* pg_current_snapshot(); "": older than whatever comes */
    struct footprint columns;
    struct index_columns primary, identity; /* usable ones */
};

/* Of the type of an announced column; for a domain, of what it is made of. */
struct announced_type {
    bool found; /* it exists now */
    struct pg_type_facts facts;
};

/* An answer about one announced table, in an arena. */
struct shape {
    bool exists;
    struct trace trace;
    struct attributes attributes;
    const struct announced_type *types; /* r->ncols each */
    const struct storage *storage;
    uint32_t file;         /* relfilenode; 0 of a partition root */
    bool unmoved;          /* the columns were the same before the transaction committed */
    const char *rewritten; /* NULL, or why the rows must be loaded again in any case */
    const char *doubt;     /* NULL, or why a change of the columns cannot be proven */
};

/* snapshot: "xmin:xmax:xip,.." of 64-bit numbers. Is the transaction, which has ended, visible? */
bool snapshot_sees(const char *snapshot, uint32_t xid);

struct trace *trace_copy(const struct trace *t);
void trace_free(struct trace *t); /* accepts NULL */

/* Asks for all tables at once: a struct trace for each that exists, to be freed, by oid. */
MUST_CHECK bool shape_traces(struct source *s, const struct stream_table *tables, int n,
                             struct map *out, struct error *err);
/*
 * Asks for one that is announced, in arena a; waits until the transaction xid is visible. t: the
 * known version.
 */
MUST_CHECK bool shape_ask(struct source *s, struct arena *a, const struct table *t,
                          const struct pgoutput_relation *r, uint32_t xid, struct shape *out,
                          struct error *err);

#endif
