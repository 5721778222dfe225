/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes rows without an event: a rewriting ALTER TABLE, TRUNCATE, ATTACH, DETACH or DROP of
 * a partition, ALTER PUBLICATION, and any ALTER TABLE of a table that nobody writes to. The watch
 * compares the catalogue, every few seconds, with what it was when each table was copied; a table
 * that it cannot vouch for any more wants a load.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_WATCH_H
#define PENSTOCK_SOURCE_POSTGRES_WATCH_H

#include "source_postgres/relation.h"

#define MEMBERSHIP_SIZE 48 /* four numbers of 32 bits, with colons */

struct watch;
struct catalog;

struct watch *watch_new(struct source *s);
void watch_free(struct watch *w); /* accepts NULL */

/* The catalogue as of a point: what tables that are copied at it are compared with. c is under
 * the point's snapshot. It is remembered while the point is open, and after that until a stream
 * starts (or several more points were closed). */
MUST_CHECK bool watch_note(struct watch *w, struct pg_conn *c, int64_t csn,
                           const struct catalog *cat, struct error *err);
void watch_point_closed(struct watch *w, int64_t csn);
/* prepare added this table to the publication: its log has a gap unless it is copied again. */
void watch_added(struct watch *w, uint32_t oid);

MUST_CHECK bool watch_start(struct watch *w, struct relations *rs,
                            const struct stream_table *tables, int n, struct error *err);
/*
 * The stream knows a table anew. from: the watch that noted the point of that csn, which the table
 * was copied at (may be w itself); NULL: there is none, nothing is known of the table.
 */
void watch_table(struct watch *w, uint32_t oid, struct watch *from, int64_t csn);
/* The log brings rows of this leaf. If the next look does not find it, it is gone by now. */
void watch_leaf(struct watch *w, uint32_t root, uint32_t leaf);
/* Asks, or takes the answer, without waiting. */
MUST_CHECK bool watch_poll(struct watch *w, const struct change_sink *sink, struct error *err);
void watch_stop(struct watch *w);
/* How long its question has been waiting for an answer; 0 if none is. */
int64_t watch_unanswered_ms(const struct watch *w, int64_t now_ms);

/* What an answer that was asked for one table says of it. */
struct watch_verdict {
    uint32_t file;       /* relfilenode now; 0 of a partition root */
    bool unmoved;        /* its columns are as at a look that did not see the transaction yet */
    char rewritten[320]; /* not "": its rows are not those that the log speaks of, and why */
    char doubt[320];     /* not "": why it cannot be altered in place */
};

/*
 * res: the answer to watch_sql about t alone, taken after the transaction xid. What is good of it
 * is vouched for from now on.
 */
void watch_weigh(struct watch *w, const struct table *t, const PGresult *res, uint32_t xid,
                 struct watch_verdict *v);

#endif
