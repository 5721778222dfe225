/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of one table that the target lacks because the log did not carry all of them: their
 * keys, until they have been read at the source as of a point S and the stream has passed S. Pure,
 * in memory; the books hold the same keys with each checkpoint.
 *
 * An image as of S is exact for a key iff every change of the row since S is known: a complete one
 * and a delete end the want; one that is incomplete again is kept here (its columns that were
 * carried, over those of the image, are the row), as long as there are few of them. What was not
 * kept, or was wanted before this process began, asks for a point past it.
 *
 * One thread owns it and calls all of this but wanted_copy, which any thread may call.
 */
#ifndef PENSTOCK_LOAD_WANTED_H
#define PENSTOCK_LOAD_WANTED_H

#include "load/compact.h"

/* loader_apply fails if more rows of one table are wanted. */
#define WANTED_MAX 100000

struct wanted;

struct wanted *wanted_new(void);
void wanted_free(struct wanted *w);          /* accepts NULL */
size_t wanted_count(const struct wanted *w); /* NULL: 0 */

/* As the books have it. Keys are wire bytes without their prefix, everywhere here. */
void wanted_restore(struct wanted *w, const uint8_t *key, size_t len, int64_t csn);

/* A piece's outcome. r: wanted, or unresolved and not in the target. */
void wanted_add(struct wanted *w, const struct compact_row *r);
void wanted_settle(struct wanted *w, const uint8_t *key, size_t len);
/* The row is to be read again, whatever the log has told of it up to csn; the target has none. */
void wanted_ask(struct wanted *w, const uint8_t *key, size_t len, int64_t csn);
void wanted_settle_all(struct wanted *w);
/* The table has another shape: what was kept of rows is worth nothing. */
void wanted_altered(struct wanted *w);
/* w takes the place of was, which is freed: what the books say of was comes to be known. */
void wanted_replace(struct wanted *w, struct wanted *was);

/* What the books do not say yet. */
struct wanted_change {
    const uint8_t *key;
    size_t len;
    bool wanted; /* else it is not any more */
    int64_t csn;
};
bool wanted_changed(const struct wanted *w);
/* Start with *at = 0; false after the last. */
bool wanted_next_change(struct wanted *w, size_t *at, struct wanted_change *out);
void wanted_saved(struct wanted *w); /* the books say all of it, committed */

/* Is an image as of s (or that there is no such row then) what is wanted of this key? */
bool wanted_takes(const struct wanted *w, const uint8_t *key, size_t len, int64_t s);
/* Collects the row as of s: e, its event 'r' or 'd', then what was kept of it since (in arena a,
 * which lives until the piece has been applied). */
bool wanted_collect(const struct wanted *w, const struct event *e, int64_t s, int64_t commit_us,
                    struct arena *a, struct compact *c, struct error *err);

struct wanted_key {
    const uint8_t *key;
    size_t len;
};
/* At most max keys in arena a, round after round others; returns how many. */
size_t wanted_copy(struct wanted *w, struct arena *a, size_t max, struct wanted_key *out);

#endif
