/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction: the changes of one table in one piece become at most one row per key, or for tables
 * without a key a net count per distinct row. Pure: no server, no clock.
 *
 * Rules: last image wins. A changed key is a delete of the old and an insert of the new key
 * (EVENT_MOVED, then old_key). Columns that a change did not carry come from the earlier change
 * of the same row in this piece, else they stay unresolved and are read from the target at the
 * key the row had before this piece (origin). A delete followed by an insert of the same key ends
 * the carry. TRUNCATE forgets everything before it and deletes all rows first.
 *
 * Key equality is equality of the key's wire bytes after folding -0 to 0 in floating-point
 * columns; plans delete before they insert, so keys that only the warehouse holds for equal
 * (1.0 and 1.00) are safe.
 */
#ifndef PENSTOCK_LOAD_COMPACT_H
#define PENSTOCK_LOAD_COMPACT_H

#include "avro/codec.h"
#include "transport/event.h"

struct compact; /* one table, one piece; event bytes are borrowed until it is freed or reset */

/* One row of the outcome. values: table->ncols, VALUE_UNCHANGED where unresolved. */
struct compact_row {
    bool upsert;                /* else delete */
    const struct value *values; /* for a delete of a keyed table only the key columns are set */
    bool unresolved;            /* some column is VALUE_UNCHANGED */
    const struct value *origin; /* unresolved: key columns of the row in the target, or NULL if
                                   it is the row's own key */
    int64_t csn;
    int64_t committed_us;
};

struct compact *compact_new(const struct table *t, const struct decoder *d);
void compact_free(struct compact *c); /* accepts NULL */
void compact_reset(struct compact *c);
/* e is an EVENT_ROW of this table. csn, commit_us: of its transaction. */
bool compact_add(struct compact *c, const struct event *e, int64_t csn, int64_t commit_us,
                 struct error *err);
/*
 * What was collected so far is of the former version of the table: it becomes of the new one (each
 * image decoded, its columns moved as al says, encoded again; nothing of the collected events is
 * borrowed any more). e: an encoder of the new version, used for the call; t and d: the new version
 * as the sink sees it, borrowed. On false c is as it was: ERROR_DATA with err->reload if something
 * collected has no place in the new version (NULL in a column that is NOT NULL there).
 */
bool compact_alter(struct compact *c, const struct table *t, const struct decoder *d,
                   struct encoder *e, const struct alteration *al, struct error *err);
/*
 * e, an EVENT_ROW of al->was (old and old_decoder: that version as the sink sees it), as one of
 * al->now in *out (which may be e), its bytes in arena a: for changes that arrive after the target
 * was altered ahead of them. enc: an encoder of al->now. The event is for compact_add; of images
 * that compaction does not look at nothing is left. c: the compact that it will be added to, or one
 * that gets the result through further alterations. Errors as compact_alter.
 */
bool compact_lift_event(struct compact *c, const struct event *e, const struct table *old,
                        const struct decoder *old_decoder, struct encoder *enc,
                        const struct alteration *al, struct arena *a, struct event *out,
                        struct error *err);
bool compact_truncated(const struct compact *c);
size_t compact_count(const struct compact *c); /* rows that compact_next will hand out */
/* Bytes held beside the borrowed events. */
size_t compact_bytes(const struct compact *c);
/*
 * Hands out the rows in a deterministic order; *at starts at 0. *out is NULL after the last.
 * Rows live until the next call.
 */
bool compact_next(struct compact *c, size_t *at, const struct compact_row **out, struct error *err);

#endif
