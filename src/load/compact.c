/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction: the table of entries and what is common to tables with and without a key. Entries
 * lie in one array in the order of their first touch, which is the order in which rows are handed
 * out; an open-addressing index (linear probing, at most half full) finds them by identity. The
 * common event, a complete image of a row, costs one probe and a few stores: nothing is decoded
 * before compact_next. Limit: 2^32 - 1 rows a piece.
 */
#include "load/compact_internal.h"

#include "util/buf.h"
#include "util/causes.h"
#include "util/map.h"
#include "util/mem.h"

#include <assert.h>
#include <string.h>

#define FIRST_SLOTS 1024
/* What a reset keeps: large pieces must not make small ones slow. */
#define KEPT_SLOTS 8192

static bool is_float(enum type_kind kind)
{
    return kind == TYPE_FLOAT32 || kind == TYPE_FLOAT64;
}

struct compact *compact_new(const struct table *t, const struct decoder *d)
{
    struct compact *c = mem_calloc(1, sizeof(*c));
    size_t size = ((size_t)t->ncols + 1) * sizeof(struct value);
    int k;

    c->table = t;
    c->decoder = d;
    for (k = 0; k < t->nkeys; k++)
        c->folds |= is_float(t->cols[t->keys[k]].kind);
    c->arena = arena_new("compact");
    c->scratch = arena_new("compact row");
    c->values = mem_calloc(1, size);
    c->other = mem_calloc(1, size);
    c->origin = mem_calloc(1, size);
    return c;
}

void compact_free(struct compact *c)
{
    if (c == NULL)
        return;
    arena_free(c->arena);
    arena_free(c->scratch);
    buf_free(&c->fold);
    mem_free(c->entries);
    mem_free(c->slots);
    mem_free(c->values);
    mem_free(c->other);
    mem_free(c->origin);
    mem_free(c);
}

static void forget_entries(struct compact *c)
{
    if (c->nslots > KEPT_SLOTS) {
        mem_free(c->slots);
        mem_free(c->entries);
        c->slots = NULL;
        c->entries = NULL;
        c->nslots = c->cap = 0;
    } else if (c->n > 0) {
        memset(c->slots, 0, c->nslots * sizeof(*c->slots));
    }
    c->n = 0;
    c->rows = 0;
    arena_reset(c->arena);
    memset(&c->moving, 0, sizeof(c->moving));
}

void compact_reset(struct compact *c)
{
    forget_entries(c);
    arena_reset(c->scratch);
    c->truncated = false;
}

/* --- the index --- */

static void place(struct compact *c, uint64_t hash, size_t at)
{
    size_t i = (size_t)hash & (c->nslots - 1);

    while (c->slots[i].at != 0)
        i = (i + 1) & (c->nslots - 1);
    c->slots[i].hash = (uint32_t)(hash >> 32);
    c->slots[i].at = (uint32_t)at + 1;
}

static void grow(struct compact *c)
{
    size_t i;

    c->nslots = c->nslots ? c->nslots * 2 : FIRST_SLOTS;
    c->cap = c->nslots / 2;
    mem_free(c->slots);
    c->slots = mem_calloc(c->nslots, sizeof(*c->slots));
    c->entries = mem_realloc(c->entries, c->cap * sizeof(*c->entries));
    for (i = 0; i < c->n; i++)
        place(c, c->entries[i].hash, i);
}

static struct entry *find(struct compact *c, uint64_t hash, const uint8_t *id, size_t len)
{
    size_t i = (size_t)hash & (c->nslots - 1);

    for (; c->slots[i].at != 0; i = (i + 1) & (c->nslots - 1)) {
        struct entry *en = &c->entries[c->slots[i].at - 1];

        if (c->slots[i].hash == (uint32_t)(hash >> 32) && en->id_len == len &&
            (len == 0 || memcmp(en->id, id, len) == 0))
            return en;
    }
    return NULL;
}

struct entry *compact_entry(struct compact *c, const uint8_t *id, size_t len, bool copy, bool *made)
{
    uint64_t hash = map_hash(id, len);
    struct entry *en = c->nslots > 0 ? find(c, hash, id, len) : NULL;

    *made = en == NULL;
    if (en != NULL)
        return en;
    assert(c->n < UINT32_MAX - 1 && len <= UINT32_MAX);
    if (c->n == c->cap)
        grow(c);
    place(c, hash, c->n);
    en = &c->entries[c->n++];
    memset(en, 0, sizeof(*en));
    en->hash = hash;
    en->id = copy ? arena_memdup(c->arena, id, len) : id;
    en->id_len = (uint32_t)len;
    return en;
}

/* --- events --- */

bool compact_slices(const struct compact *c, const uint8_t *value, size_t len,
                    struct event_slices *out, struct error *err)
{
    if (!decoder_slices(c->decoder, value, len, out, err))
        return error_prefix(err, "%s.%s", c->table->schema, c->table->name);
    return true;
}

/* An Avro array: blocks of a count and the items, the last one of 0. */
static int64_t first_block(struct reader *r, const struct event_slices *sl)
{
    int64_t n;

    reader_init(r, sl->unavailable, sl->unavailable_len);
    n = reader_zigzag(r);
    if (n < 0) {
        reader_zigzag(r); /* the block's size in bytes */
        n = -n;
    }
    return r->failed ? 0 : n;
}

bool compact_lacks(const struct event_slices *sl)
{
    struct reader r;

    return sl->unavailable != NULL && first_block(&r, sl) != 0;
}

bool compact_missing(const struct compact *c, const char *what, const struct event_slices *sl,
                     struct error *err)
{
    const uint8_t *name = NULL;
    struct buf table = {0};
    struct reader r;
    int64_t len = 0;

    if (sl != NULL && compact_lacks(sl)) {
        first_block(&r, sl);
        len = reader_zigzag(&r);
        name = len > 0 && len < 256 ? reader_bytes(&r, (size_t)len) : NULL;
    }
    if (name != NULL)
        error_cause(err, CAUSE_COLUMN_NOT_LOGGED, "%s.%s: %s (column %.*s)", c->table->schema,
                    c->table->name, what, (int)len, name);
    else
        error_cause(err, CAUSE_COLUMN_NOT_LOGGED, "%s.%s: %s", c->table->schema, c->table->name,
                    what);
    buf_sql_ident(&table, c->table->schema);
    buf_u8(&table, '.');
    buf_sql_ident(&table, c->table->name);
    error_fill(err, "table", buf_cstr(&table));
    buf_free(&table);
    if (err != NULL)
        err->reload = true;
    return false;
}

bool compact_add(struct compact *c, const struct event *e, int64_t csn, int64_t commit_us,
                 struct error *err)
{
    if (c->moving.open && (e->op != 'c' || e->old_key == NULL))
        return error_set(err, ERROR_FATAL, "%s.%s: a key change without its second half",
                         c->table->schema, c->table->name);
    switch (e->op) {
    case 't':
        forget_entries(c);
        c->truncated = true;
        return true;
    case 'c':
    case 'r':
    case 'u':
    case 'd':
        return c->table->nkeys > 0 ? compact_add_keyed(c, e, csn, commit_us, err)
                                   : compact_add_keyless(c, e, csn, commit_us, err);
    default:
        return error_set(err, ERROR_DATA, "%s.%s: an event of unknown op %d", c->table->schema,
                         c->table->name, e->op);
    }
}

/* --- the outcome --- */

bool compact_truncated(const struct compact *c)
{
    return c->truncated;
}

bool compact_folds(const struct compact *c)
{
    return c->folds;
}

size_t compact_count(const struct compact *c)
{
    return c->table->nkeys > 0 ? c->n : c->rows;
}

/* Not the index's capacity: many tables with few rows each would never make more than a small
 * batch. */
size_t compact_bytes(const struct compact *c)
{
    return c->n * (sizeof(*c->entries) + 2 * sizeof(*c->slots)) + arena_bytes(c->arena);
}

bool compact_next(struct compact *c, size_t *at, const struct compact_row **out, struct error *err)
{
    bool done = false;

    *out = NULL;
    if (c->moving.open)
        return error_set(err, ERROR_FATAL, "%s.%s: a key change without its second half",
                         c->table->schema, c->table->name);
    if (c->table->nkeys == 0) {
        if (!compact_next_keyless(c, *at == 0, &done, err))
            return false;
    } else if (*at == c->n) {
        done = true;
    } else if (!compact_next_keyed(c, &c->entries[*at], err)) {
        return false;
    }
    if (done)
        return true;
    (*at)++;
    *out = &c->row;
    return true;
}
