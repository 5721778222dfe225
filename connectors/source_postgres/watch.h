/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes rows without an event: a rewriting ALTER TABLE, TRUNCATE, ATTACH, DETACH or DROP of
 * a partition, ALTER PUBLICATION. The watch compares the catalogue, every few seconds, with what
 * it was when each table was copied; a table that it cannot vouch for any more wants a load.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_WATCH_H
#define PENSTOCK_SOURCE_POSTGRES_WATCH_H

#include "source_postgres/relation.h"

struct watch;
struct catalog;

struct watch *watch_new(struct source *s);
void watch_free(struct watch *w); /* accepts NULL */

/* The catalogue as of a point: what tables that are copied at it are compared with. c is under
 * the point's snapshot. */
MUST_CHECK bool watch_note(struct watch *w, struct pg_conn *c, int64_t csn,
                           const struct catalog *cat, struct error *err);
/* prepare added this table to the publication: its log has a gap unless it is copied again. */
void watch_added(struct watch *w, uint32_t oid);

MUST_CHECK bool watch_start(struct watch *w, struct relations *rs,
                            const struct stream_table *tables, int n, struct error *err);
/* Asks, or takes the answer, without waiting. */
MUST_CHECK bool watch_poll(struct watch *w, const struct change_sink *sink, struct error *err);
void watch_stop(struct watch *w);
/* How long its question has been waiting for an answer; 0 if none is. */
int64_t watch_unanswered_ms(const struct watch *w, int64_t now_ms);

#endif
