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
 * A column that was not carried, of a row that neither the piece nor the target can have (an update
 * brought it into a row filter, or changes a row that was deleted before), is nowhere to be had:
 * the row is handed out as a delete and its key as wanted. Keys with floating-point columns and
 * tables without a key: ERROR_DATA with err->reload.
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

/*
 * One image of a row that did not carry every column, and what is known of the others: older
 * images of the same row, newest first, no two of which lack the same columns. A complete image
 * (unavailable NULL) ends the chain; a chain without one ends in the target, at origin, or nowhere.
 */
struct compact_image {
    const uint8_t *value; /* wire bytes of the envelope */
    size_t value_len;
    const uint8_t *unavailable; /* as in struct event_slices */
    size_t unavailable_len;
    int64_t csn; /* of one that did not carry every column */
    int64_t committed_us;
    struct compact_image *older;
    /* Of the newest: */
    const uint8_t *origin; /* wire bytes of the key that the row had before this piece, NULL if it
                              is its own */
    size_t origin_len;
    bool baseless; /* the chain ends nowhere */
    int64_t since; /* csn at which the row came under this key in this piece; 0: it had it before */
};

/* One row of the outcome. values: table->ncols, VALUE_UNCHANGED where unresolved. */
struct compact_row {
    bool upsert;                /* else delete */
    bool wanted;                /* a delete of a row that is there, but incomplete */
    const struct value *values; /* for a delete of a keyed table only the key columns are set */
    bool unresolved;            /* some column is VALUE_UNCHANGED */
    const struct value *origin; /* unresolved: key columns of the row in the target, or NULL if
                                   it is the row's own key */
    const uint8_t *key;         /* keyed: its wire bytes without the prefix (magic, schema id) */
    size_t key_len;
    const struct compact_image *images; /* unresolved or wanted: what this piece tells of it */
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
/* ERROR_DATA with err->reload, "SCHEMA.TABLE: what", and how the log comes to carry every column.
 * sl: tells a column that is missing, or NULL. */
bool compact_missing(const struct compact *c, const char *what, const struct event_slices *sl,
                     struct error *err);
bool compact_truncated(const struct compact *c);
/* Are keys compared after folding? Then their bytes are not what a row is found by. */
bool compact_folds(const struct compact *c);
size_t compact_count(const struct compact *c); /* rows that compact_next will hand out */
/* Bytes held beside the borrowed events. */
size_t compact_bytes(const struct compact *c);
/*
 * Hands out the rows in a deterministic order; *at starts at 0. *out is NULL after the last.
 * Rows live until the next call.
 */
bool compact_next(struct compact *c, size_t *at, const struct compact_row **out, struct error *err);

#endif
