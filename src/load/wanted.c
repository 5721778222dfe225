/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows in a map by key. A row that is not wanted any more stays until the books have heard of it.
 * The lock is for wanted_copy alone: its owner's changes are few, and the owner reads without it.
 */
#include "load/wanted.h"

#include "avro/codec.h"
#include "util/map.h"
#include "util/mem.h"

#include <pthread.h>
#include <string.h>

#define ROW_IMAGES 8                         /* kept of one row */
#define ROW_BYTES ((size_t)256 * 1024)       /* of one row's images */
#define ALL_BYTES ((size_t)16 * 1024 * 1024) /* of all */

/* An incomplete image since the row is wanted. */
struct kept {
    struct kept *newer;
    int64_t csn;
    int64_t committed_us;
    size_t value_len;
    size_t unavailable_at, unavailable_len; /* in value */
    uint8_t value[];
};

struct row {
    bool wanted;
    bool saved;    /* the books have it, as of saved_csn */
    bool dirty;    /* in the list of changes */
    int64_t csn;   /* newest change that it is wanted for */
    int64_t since; /* an image as of S <= since is too old */
    int64_t saved_csn;
    struct kept *images; /* oldest first, all newer than since */
    int nimages;
    size_t bytes;
    size_t len;
    uint8_t key[];
};

struct wanted {
    struct map *rows;
    size_t count;
    size_t bytes;
    struct row **dirty;
    size_t ndirty, cap;
    pthread_mutex_t lock;
    size_t copy_at;
};

struct wanted *wanted_new(void)
{
    struct wanted *w = mem_calloc(1, sizeof(*w));

    w->rows = map_new();
    pthread_mutex_init(&w->lock, NULL);
    return w;
}

static void forget_images(struct wanted *w, struct row *r)
{
    while (r->images != NULL) {
        struct kept *im = r->images;

        r->images = im->newer;
        mem_free(im);
    }
    w->bytes -= r->bytes;
    r->bytes = 0;
    r->nimages = 0;
}

static void free_row(struct wanted *w, struct row *r)
{
    forget_images(w, r);
    mem_free(r);
}

void wanted_free(struct wanted *w)
{
    struct row *r;
    size_t at = 0;

    if (w == NULL)
        return;
    while ((r = map_next(w->rows, &at)) != NULL)
        free_row(w, r);
    map_free(w->rows);
    mem_free(w->dirty);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

size_t wanted_count(const struct wanted *w)
{
    return w != NULL ? w->count : 0;
}

/* --- rows; the lock is held --- */

static struct row *make_row(struct wanted *w, const uint8_t *key, size_t len)
{
    struct row *r = map_get(w->rows, key, len);

    if (r != NULL)
        return r;
    r = mem_calloc(1, sizeof(*r) + len);
    r->len = len;
    memcpy(r->key, key, len);
    map_put(w->rows, key, len, r);
    return r;
}

static void note(struct wanted *w, struct row *r)
{
    if (r->dirty)
        return;
    if (w->ndirty == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 16;
        w->dirty = mem_realloc(w->dirty, w->cap * sizeof(struct row *));
    }
    w->dirty[w->ndirty++] = r;
    r->dirty = true;
}

static void want(struct wanted *w, struct row *r, int64_t csn)
{
    w->count += !r->wanted;
    r->wanted = true;
    r->csn = csn;
    note(w, r);
}

static void settle(struct wanted *w, struct row *r)
{
    if (!r->wanted)
        return;
    w->count--;
    r->wanted = false;
    forget_images(w, r);
    note(w, r);
}

void wanted_restore(struct wanted *w, const uint8_t *key, size_t len, int64_t csn)
{
    struct row *r;

    pthread_mutex_lock(&w->lock);
    r = make_row(w, key, len);
    w->count += !r->wanted;
    r->wanted = r->saved = true;
    r->csn = r->since = r->saved_csn = csn;
    pthread_mutex_unlock(&w->lock);
}

/* --- images --- */

static bool same_columns(const struct kept *k, const struct compact_image *im)
{
    return k->unavailable_len == im->unavailable_len &&
           memcmp(k->value + k->unavailable_at, im->unavailable, im->unavailable_len) == 0;
}

/* im is newer than all that are kept; it tells all that one without the same columns told. */
static void keep(struct wanted *w, struct row *r, const struct compact_image *im)
{
    struct kept **at = &r->images, *k;

    while (*at != NULL) {
        k = *at;
        if (!same_columns(k, im)) {
            at = &k->newer;
            continue;
        }
        *at = k->newer;
        r->nimages--;
        r->bytes -= k->value_len;
        w->bytes -= k->value_len;
        mem_free(k);
    }
    k = mem_alloc(sizeof(*k) + im->value_len);
    k->newer = NULL;
    k->csn = im->csn;
    k->committed_us = im->committed_us;
    k->value_len = im->value_len;
    k->unavailable_at = (size_t)(im->unavailable - im->value);
    k->unavailable_len = im->unavailable_len;
    memcpy(k->value, im->value, im->value_len);
    *at = k;
    r->nimages++;
    r->bytes += k->value_len;
    w->bytes += k->value_len;
}

/* Oldest first. */
static void keep_all(struct wanted *w, struct row *r, const struct compact_image *newest)
{
    if (newest == NULL)
        return;
    keep_all(w, r, newest->older);
    if (newest->csn > r->since)
        keep(w, r, newest);
}

void wanted_add(struct wanted *w, const struct compact_row *cr)
{
    int64_t since = cr->images->since;
    struct row *r;

    pthread_mutex_lock(&w->lock);
    r = make_row(w, cr->key, cr->key_len);
    if (!r->wanted || since != 0) {
        forget_images(w, r);
        r->since = since != 0 ? since : cr->csn;
    }
    want(w, r, cr->csn);
    keep_all(w, r, cr->images);
    if (r->nimages > ROW_IMAGES || r->bytes > ROW_BYTES || w->bytes > ALL_BYTES) {
        forget_images(w, r);
        r->since = cr->csn;
    }
    pthread_mutex_unlock(&w->lock);
}

void wanted_ask(struct wanted *w, const uint8_t *key, size_t len, int64_t csn)
{
    struct row *r;

    pthread_mutex_lock(&w->lock);
    r = make_row(w, key, len);
    forget_images(w, r);
    r->since = csn;
    want(w, r, csn);
    pthread_mutex_unlock(&w->lock);
}

void wanted_altered(struct wanted *w)
{
    struct row *r;
    size_t at = 0;

    while ((r = map_next(w->rows, &at)) != NULL) {
        forget_images(w, r);
        r->since = r->csn;
    }
}

/* --- the end of a want --- */

void wanted_settle(struct wanted *w, const uint8_t *key, size_t len)
{
    struct row *r = map_get(w->rows, key, len);

    if (r == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    settle(w, r);
    pthread_mutex_unlock(&w->lock);
}

void wanted_settle_all(struct wanted *w)
{
    struct row *r;
    size_t at = 0;

    pthread_mutex_lock(&w->lock);
    while ((r = map_next(w->rows, &at)) != NULL)
        settle(w, r);
    pthread_mutex_unlock(&w->lock);
}

void wanted_replace(struct wanted *w, struct wanted *was)
{
    struct row *r, *old;
    size_t at = 0;

    pthread_mutex_lock(&w->lock);
    while ((old = map_next(was->rows, &at)) != NULL) {
        if (!old->saved)
            continue;
        r = make_row(w, old->key, old->len);
        r->saved = true;
        r->saved_csn = old->saved_csn;
        note(w, r);
    }
    pthread_mutex_unlock(&w->lock);
    wanted_free(was);
}

/* --- the books --- */

static bool differs(const struct row *r)
{
    return r->wanted != r->saved || (r->wanted && r->csn != r->saved_csn);
}

bool wanted_changed(const struct wanted *w)
{
    size_t i;

    for (i = 0; i < w->ndirty; i++) {
        if (differs(w->dirty[i]))
            return true;
    }
    return false;
}

bool wanted_next_change(struct wanted *w, size_t *at, struct wanted_change *out)
{
    while (*at < w->ndirty) {
        const struct row *r = w->dirty[(*at)++];

        if (!differs(r))
            continue;
        *out = (struct wanted_change){
            .key = r->key, .len = r->len, .wanted = r->wanted, .csn = r->csn};
        return true;
    }
    return false;
}

void wanted_saved(struct wanted *w)
{
    size_t i;

    pthread_mutex_lock(&w->lock);
    for (i = 0; i < w->ndirty; i++) {
        struct row *r = w->dirty[i];

        r->dirty = false;
        r->saved = r->wanted;
        r->saved_csn = r->csn;
        if (r->wanted)
            continue;
        map_remove(w->rows, r->key, r->len);
        free_row(w, r);
    }
    w->ndirty = 0;
    pthread_mutex_unlock(&w->lock);
}

/* --- what was read --- */

bool wanted_takes(const struct wanted *w, const uint8_t *key, size_t len, int64_t s)
{
    const struct row *r = map_get(w->rows, key, len);

    return r != NULL && r->wanted && r->since < s;
}

bool wanted_collect(const struct wanted *w, const struct event *e, int64_t s, int64_t commit_us,
                    struct arena *a, struct compact *c, struct error *err)
{
    const struct row *r =
        map_get(w->rows, e->key + WIRE_PREFIX_SIZE, e->key_len - WIRE_PREFIX_SIZE);
    const struct kept *k;

    if (!compact_add(c, e, s - 1, commit_us, err))
        return false;
    for (k = r != NULL ? r->images : NULL; k != NULL; k = k->newer) {
        struct event later = {.kind = EVENT_ROW,
                              .op = 'u',
                              .flags = EVENT_UNAVAILABLE,
                              .key = e->key,
                              .key_len = e->key_len,
                              .value_len = k->value_len};

        if (k->csn < s)
            continue;
        later.value = arena_memdup(a, k->value, k->value_len);
        if (!compact_add(c, &later, k->csn, k->committed_us, err))
            return false;
    }
    return true;
}

size_t wanted_copy(struct wanted *w, struct arena *a, size_t max, struct wanted_key *out)
{
    const struct row *r;
    size_t n = 0, seen = 0;

    pthread_mutex_lock(&w->lock);
    while (n < max && seen++ < map_count(w->rows)) {
        r = map_next(w->rows, &w->copy_at);
        if (r == NULL) { /* from the start again */
            w->copy_at = 0;
            r = map_next(w->rows, &w->copy_at);
        }
        if (!r->wanted)
            continue;
        out[n].key = arena_memdup(a, r->key, r->len);
        out[n++].len = r->len;
    }
    pthread_mutex_unlock(&w->lock);
    return n;
}
