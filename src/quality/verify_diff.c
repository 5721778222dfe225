/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pass keeps one entry per key of side A: how many rows it has that side B has not shown yet.
 * What B shows beyond that is extra; what is left at the end is missing. A key that is there twice
 * on one side, which no key should be, is counted like that, too.
 */
#include "quality/verify_diff.h"

#include "util/mem.h"

#include <string.h>

#define MAX_PASSES 64   /* then what is left is not counted */
#define FULL_PASSES 8   /* ... or after these, if nothing more can be listed */
#define FIRST_CAP 1024u /* entries; a power of two */

struct bucket {
    int64_t n;
    uint64_t sum[2], mixed;
};

struct entry {
    struct verify_hash key, row;
    int64_t n;      /* rows of A, less those of B */
    int32_t listed; /* index in found + 1; 0: not */
    bool used;
};

struct diff {
    struct bucket *buckets[2];
    bool *wanted; /* by bucket: in this pass */
    int next;     /* bucket to look at */
    int passes;
    int64_t room;
    struct entry *entries;
    size_t cap, n;
    struct diff_found *found;
    int nfound, limit;
    struct diff_result r;
};

struct diff *diff_new(int limit, int64_t room)
{
    struct diff *d = mem_calloc(1, sizeof(*d));
    int side;

    for (side = 0; side < 2; side++)
        d->buckets[side] = mem_calloc(DIFF_BUCKETS, sizeof(struct bucket));
    d->limit = limit;
    d->room = room;
    return d;
}

void diff_free(struct diff *d)
{
    if (d == NULL)
        return;
    mem_free(d->buckets[0]);
    mem_free(d->buckets[1]);
    mem_free(d->wanted);
    mem_free(d->entries);
    mem_free(d->found);
    mem_free(d);
}

static unsigned bucket_of(const struct verify_hash *key)
{
    return key->h[1] % DIFF_BUCKETS;
}

void diff_count(struct diff *d, enum diff_side side, const struct diff_row *r)
{
    struct bucket *b = &d->buckets[side][bucket_of(&r->key)];

    d->r.rows[side]++;
    b->n++;
    b->sum[0] += r->row.h[0];
    b->sum[1] += r->row.h[1];
    b->mixed ^= r->row.h[0] + (r->row.h[1] << 32 | r->row.h[1] >> 32);
}

/* --- entries of a pass --- */

static struct entry *slot_of(struct entry *entries, size_t cap, const struct verify_hash *key)
{
    size_t i = key->h[0] & (cap - 1);

    while (entries[i].used && memcmp(&entries[i].key, key, sizeof(*key)) != 0)
        i = (i + 1) & (cap - 1);
    return &entries[i];
}

static void grow(struct diff *d)
{
    size_t cap = d->cap > 0 ? d->cap * 2 : FIRST_CAP, i;
    struct entry *entries = mem_calloc(cap, sizeof(*entries));

    for (i = 0; i < d->cap; i++) {
        if (d->entries[i].used)
            *slot_of(entries, cap, &d->entries[i].key) = d->entries[i];
    }
    mem_free(d->entries);
    d->entries = entries;
    d->cap = cap;
}

static struct entry *entry_of(struct diff *d, const struct diff_row *r)
{
    struct entry *e;

    if ((d->n + 1) * 3 > d->cap * 2)
        grow(d);
    e = slot_of(d->entries, d->cap, &r->key);
    if (e->used)
        return e;
    d->n++;
    e->used = true;
    e->key = r->key;
    e->row = r->row;
    return e;
}

static void list(struct diff *d, struct entry *e, enum diff_kind kind, int64_t n)
{
    if (e->listed > 0) {
        if (d->found[e->listed - 1].kind == kind)
            d->found[e->listed - 1].n += n;
        return;
    }
    if (d->nfound == d->limit)
        return;
    if (d->found == NULL)
        d->found = mem_calloc((size_t)d->limit, sizeof(*d->found));
    d->found[d->nfound++] = (struct diff_found){.key = e->key, .kind = kind, .n = n};
    e->listed = d->nfound;
}

static void end_pass(struct diff *d)
{
    size_t i;

    for (i = 0; i < d->cap; i++) {
        struct entry *e = &d->entries[i];

        if (!e->used || e->n <= 0)
            continue;
        d->r.missing += e->n;
        list(d, e, DIFF_MISSING, e->n);
    }
    mem_free(d->entries);
    d->entries = NULL;
    d->cap = d->n = 0;
}

/* --- passes --- */

static bool differs(const struct diff *d, int i)
{
    return memcmp(&d->buckets[0][i], &d->buckets[1][i], sizeof(struct bucket)) != 0;
}

bool diff_next_pass(struct diff *d)
{
    int64_t rows = 0;

    if (d->passes > 0)
        end_pass(d);
    if (d->wanted == NULL)
        d->wanted = mem_calloc(DIFF_BUCKETS, sizeof(*d->wanted));
    memset(d->wanted, 0, DIFF_BUCKETS * sizeof(*d->wanted));
    while (d->next < DIFF_BUCKETS && !differs(d, d->next))
        d->next++;
    if (d->next == DIFF_BUCKETS)
        return false;
    if (d->passes >= MAX_PASSES || (d->passes >= FULL_PASSES && d->nfound == d->limit)) {
        d->r.at_least = true;
        return false;
    }
    for (; d->next < DIFF_BUCKETS; d->next++) {
        int64_t n = d->buckets[0][d->next].n + d->buckets[1][d->next].n;

        if (!differs(d, d->next))
            continue;
        if (rows > 0 && rows + n > d->room)
            break;
        rows += n;
        d->wanted[d->next] = true;
    }
    d->passes++;
    return true;
}

bool diff_wants(const struct diff *d, const struct verify_hash *key)
{
    return d->wanted[bucket_of(key)];
}

void diff_take(struct diff *d, enum diff_side side, const struct diff_row *r)
{
    struct entry *e;

    if (!diff_wants(d, &r->key))
        return;
    e = entry_of(d, r);
    if (side == DIFF_A) {
        e->n++;
        return;
    }
    if (--e->n < 0) {
        e->n = 0;
        d->r.extra++;
        list(d, e, DIFF_EXTRA, 1);
    } else if (memcmp(&e->row, &r->row, sizeof(r->row)) != 0) {
        d->r.different++;
        list(d, e, DIFF_DIFFERENT, 1);
    }
}

struct diff_result diff_result(const struct diff *d)
{
    struct diff_result r = d->r;

    r.found = d->found;
    r.nfound = d->nfound;
    return r;
}
