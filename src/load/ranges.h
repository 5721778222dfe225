/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table that is copied by ranges of its first key column, each as of a point S of its own, and
 * which changes of its spool count: those of a transaction at or past the S of the range that the
 * change's key lies in. Pure: no server, no clock.
 *
 * A change of the key is two changes, each judged by its own range. Where the row has left a range
 * that was copied later, and arrives in one that was copied before, its old image is nowhere in the
 * copy: it counts only if it says every column, else the table must be loaded from nothing.
 *
 * Bounds are text: whole numbers (of dates: days since 1970-01-01, of timestamps: microseconds
 * since 2000-01-01, infinities as in change/value.h), 36 characters of a uuid, bytes as hex digits,
 * text as it is. Order: numbers by value, all others by their bytes.
 */
#ifndef PENSTOCK_LOAD_RANGES_H
#define PENSTOCK_LOAD_RANGES_H

#include "avro/codec.h"
#include "transport/event.h"

struct ranges;

/* [from, to); NULL: open. s: 0: not copied yet. */
struct range {
    const char *from, *to;
    int64_t s;
};

/* Has the kind an order that is the same here and at a source? Of text in the collation C only. */
bool ranges_kind(enum type_kind kind);
int ranges_compare(enum type_kind kind, const struct value *a, const struct value *b);
/* v is VALUE_SET. */
void ranges_bound_text(struct buf *out, enum type_kind kind, const struct value *v);
/* What v borrows is made in arena a. False if it is not the text of a bound. */
bool ranges_bound_parse(enum type_kind kind, const char *text, struct arena *a, struct value *v);

/* They follow each other without a gap, the first and the last one open. ERROR_DATA if not. */
bool ranges_new(struct ranges **out, enum type_kind kind, const struct range *list, int n,
                struct error *err);
void ranges_free(struct ranges *r); /* accepts NULL */
int ranges_find(const struct ranges *r, const struct value *key);
void ranges_set(struct ranges *r, int i, int64_t s);
int64_t ranges_get(const struct ranges *r, int i);
int64_t ranges_oldest(const struct ranges *r); /* of those copied; 0: none is */
int64_t ranges_newest(const struct ranges *r);
/* Not copied yet. */
int ranges_left(const struct ranges *r);

struct range_judge; /* one pass over a spool */

/* t, d: as the sink sees the table; key_id: of its key's schema. All borrowed. */
struct range_judge *range_judge_new(const struct ranges *r, const struct table *t,
                                    const struct decoder *d, uint32_t key_id);
void range_judge_free(struct range_judge *j); /* accepts NULL */
/*
 * What counts of a row of a transaction: out[0..*n), valid until the next call as long as e's bytes
 * are. A 'd' that is EVENT_MOVED is kept back until its second half. ERROR_DATA with err->reload if
 * the copy cannot be made exact any more.
 */
bool range_judge_row(struct range_judge *j, const struct event *e, int64_t csn, struct event out[2],
                     int *n, struct error *err);

#endif
