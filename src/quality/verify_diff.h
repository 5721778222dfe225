/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two multisets of rows, compared in bounded memory and without any order. Pure; rows come as
 * hashes of their key and of all of them (without a key: the same hash twice).
 *
 * First pass: every row of both sides goes into one of DIFF_BUCKETS buckets by its key, which keeps
 * their number, sum and xor. Buckets that are equal on both sides hold equal rows. Then, pass by
 * pass, the rows of some buckets that differ: first all of side A, then all of side B. How many
 * rows a bucket has is known by then, so that a pass takes as many buckets as have room.
 *
 *   diff_count(..) for all rows of A and B;
 *   while (diff_next_pass(d)) { diff_take(d, DIFF_A, ..) ..; diff_take(d, DIFF_B, ..) ..; }
 */
#ifndef PENSTOCK_QUALITY_VERIFY_DIFF_H
#define PENSTOCK_QUALITY_VERIFY_DIFF_H

#include "quality/verify_hash.h"

#include <stdbool.h>

enum { DIFF_BUCKETS = 65536 };

enum diff_side { DIFF_A, DIFF_B };

enum diff_kind {
    DIFF_MISSING,  /* A has it, B does not */
    DIFF_EXTRA,    /* B has it, A does not */
    DIFF_DIFFERENT /* both have the key, with another row */
};

struct diff_row {
    struct verify_hash key, row;
};

struct diff_found {
    struct verify_hash key;
    enum diff_kind kind;
    int64_t n; /* so many rows */
};

struct diff_result {
    int64_t rows[2]; /* by side */
    int64_t missing, extra, different;
    bool at_least; /* the rest was not counted */
    int nfound;    /* listed: limit at most */
    const struct diff_found *found;
};

struct diff;

/* limit: differences that are listed; room: rows that a pass may hold. */
struct diff *diff_new(int limit, int64_t room);
void diff_free(struct diff *d); /* accepts NULL */
void diff_count(struct diff *d, enum diff_side side, const struct diff_row *r);
/* Ends the pass before it. False: all is known (or, after many passes, enough). */
bool diff_next_pass(struct diff *d);
/* Does this pass take rows of that key? */
bool diff_wants(const struct diff *d, const struct verify_hash *key);
void diff_take(struct diff *d, enum diff_side side, const struct diff_row *r);
/* After the last pass; what it points to is d's. */
struct diff_result diff_result(const struct diff *d);

#endif
