/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keyed and keyless compaction share: entries in the order in which their rows were first
 * touched, found by the bytes that identify a row (a key, or a whole record).
 */
#ifndef PENSTOCK_LOAD_COMPACT_INTERNAL_H
#define PENSTOCK_LOAD_COMPACT_INTERNAL_H

#include "load/compact.h"

struct entry {
    uint64_t hash;
    const uint8_t *id;  /* what identifies the row */
    const uint8_t *key; /* keyed: wire bytes of the key, last seen; differs from id if folded */
    uint32_t id_len;
    uint32_t key_len;
    const uint8_t *value; /* keyed: wire bytes of the last image; NULL: deleted */
    size_t value_len;
    struct compact_image *partial; /* the last image, where it did not carry every column */
    int64_t net;                   /* keyless: copies more (or less) than before this piece */
    int64_t csn;
    int64_t committed_us;
};

struct slot {
    uint32_t hash;
    uint32_t at; /* index of the entry + 1; 0: free */
};

/* The first half of a key change, between its 'd' and its 'c'. */
struct moving {
    bool open;
    bool baseless; /* nothing but `known` is known of it */
    const uint8_t *key;
    size_t key_len;
    struct compact_image *known; /* what the row's image was in this piece; NULL: nothing */
    const uint8_t *origin;
    size_t origin_len;
};

struct compact {
    const struct table *table;
    const struct decoder *decoder;
    bool folds; /* some key column is a float: keys are compared after folding */
    bool truncated;
    struct entry *entries;
    size_t n, cap;
    struct slot *slots;
    size_t nslots;
    struct arena *arena;   /* of the piece */
    struct arena *scratch; /* of one compact_next, or of one key being folded */
    struct buf fold;
    struct moving moving;
    struct compact_row row;
    struct value *values, *other, *origin; /* table->ncols each */
    /* keyless: rows to hand out; the entry that is being handed out, and how often still */
    size_t rows, at;
    int64_t left;
};

/* The entry of that identity; *made if it is new (id is copied if copy). */
struct entry *compact_entry(struct compact *c, const uint8_t *id, size_t len, bool copy,
                            bool *made);
/* Slices of an event of this table; err gets the table's name. */
bool compact_slices(const struct compact *c, const uint8_t *value, size_t len,
                    struct event_slices *out, struct error *err);
/* True if the slices say that some column was not carried. */
bool compact_lacks(const struct event_slices *sl);

bool compact_add_keyed(struct compact *c, const struct event *e, int64_t csn, int64_t commit_us,
                       struct error *err);
/* Takes the older image that lacks the same columns (as they are in bytes) out of the chain. */
struct compact_image *compact_without(struct compact_image *chain, const uint8_t *unavailable,
                                      size_t len);
bool compact_next_keyed(struct compact *c, const struct entry *en, struct error *err);
bool compact_add_keyless(struct compact *c, const struct event *e, int64_t csn, int64_t commit_us,
                         struct error *err);
/* n more (or fewer) of a row; copy: its bytes are not borrowed. */
void compact_count_keyless(struct compact *c, const uint8_t *row, size_t len, bool copy, int64_t n,
                           int64_t csn, int64_t commit_us);
/* Sets *done after the last. */
bool compact_next_keyless(struct compact *c, bool first, bool *done, struct error *err);

#endif
