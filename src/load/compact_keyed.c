/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction of a table with a key: one entry a key, holding the last image. An image that did not
 * carry every column drags along the earlier images of the same row, also through changes of its
 * key; what none of them carried is read from the target at the key the row had before the piece.
 * Where there can be no such row, the chain is baseless: its key is wanted, unless a later image
 * tells the rest.
 */
#include "load/compact_internal.h"

#include <math.h>
#include <string.h>

/*
 * A key with floats, as it is compared: columns one after another, -0 folded to 0 and every NaN
 * to one, as Postgres compares them.
 */
static bool fold_key(struct compact *c, const uint8_t *key, size_t len, struct error *err)
{
    const struct table *t = c->table;
    int k;

    arena_reset(c->scratch);
    if (!decoder_key(c->decoder, key, len, c->scratch, c->other, err))
        return error_prefix(err, "%s.%s", t->schema, t->name);
    buf_reset(&c->fold);
    for (k = 0; k < t->nkeys; k++) {
        const struct value *v = &c->other[t->keys[k]];
        double f;

        buf_u8(&c->fold, v->state == VALUE_SET);
        if (v->state != VALUE_SET)
            continue;
        switch (t->cols[t->keys[k]].kind) {
        case TYPE_FLOAT32:
        case TYPE_FLOAT64:
            f = isnan(v->f) ? (double)NAN : v->f + 0.0; /* -0.0 + 0.0 = 0.0 */
            buf_append(&c->fold, &f, sizeof(f));
            break;
        case TYPE_BOOL:
        case TYPE_INT16:
        case TYPE_INT32:
        case TYPE_INT64:
        case TYPE_DATE:
        case TYPE_TIME:
        case TYPE_TIMESTAMP:
        case TYPE_TIMESTAMPTZ:
            buf_append(&c->fold, &v->i, sizeof(v->i));
            break;
        default:
            buf_append(&c->fold, &v->s.len, sizeof(v->s.len));
            buf_append(&c->fold, v->s.p, v->s.len);
        }
    }
    return true;
}

static struct entry *key_entry(struct compact *c, const struct event *e, bool *made,
                               struct error *err)
{
    struct entry *en;

    if (e->key == NULL || e->key_len < WIRE_PREFIX_SIZE) {
        error_set(err, ERROR_FATAL, "%s.%s: an event without a key", c->table->schema,
                  c->table->name);
        return NULL;
    }
    if (c->folds) {
        if (!fold_key(c, e->key, e->key_len, err))
            return NULL;
        en = compact_entry(c, c->fold.data, c->fold.len, true, made);
    } else {
        en = compact_entry(c, e->key, e->key_len, false, made);
    }
    en->key = e->key;
    en->key_len = (uint32_t)e->key_len;
    return en;
}

/* --- images --- */

static void set_complete(struct entry *en, const struct event *e)
{
    en->value = e->value;
    en->value_len = e->value_len;
    en->partial = NULL;
}

/* What the entry's image was, as a layer under a newer one. */
static struct compact_image *image_of(struct compact *c, const struct entry *en)
{
    struct compact_image *im;

    if (en->partial != NULL)
        return en->partial;
    im = arena_calloc(c->arena, 1, sizeof(*im));
    im->value = en->value;
    im->value_len = en->value_len;
    return im;
}

/* A newer image that lacks the same columns tells all that the older one told. */
struct compact_image *compact_without(struct compact_image *chain, const uint8_t *unavailable,
                                      size_t len)
{
    struct compact_image **at = &chain;

    for (; *at != NULL; at = &(*at)->older) {
        struct compact_image *im = *at;

        if (im->unavailable != NULL && im->unavailable_len == len &&
            memcmp(im->unavailable, unavailable, len) == 0) {
            *at = im->older;
            break;
        }
    }
    return chain;
}

/* The csn and time are the entry's already. */
static struct compact_image *set_partial(struct compact *c, struct entry *en, const struct event *e,
                                         const struct event_slices *sl, struct compact_image *older)
{
    struct compact_image *im = arena_calloc(c->arena, 1, sizeof(*im));

    im->value = e->value;
    im->value_len = e->value_len;
    im->unavailable = sl->unavailable;
    im->unavailable_len = sl->unavailable_len;
    im->csn = en->csn;
    im->committed_us = en->committed_us;
    im->older = compact_without(older, sl->unavailable, sl->unavailable_len);
    en->value = e->value;
    en->value_len = e->value_len;
    en->partial = im;
    return im;
}

static void set_origin(struct compact_image *im, const struct event *e, const uint8_t *origin,
                       size_t len)
{
    if (origin == NULL || (len == e->key_len && memcmp(origin, e->key, len) == 0))
        return;
    im->origin = origin;
    im->origin_len = len;
}

/* A row that came under this key now, of which only these images are to be had. */
static bool set_baseless(struct compact *c, struct entry *en, const struct event *e,
                         const struct event_slices *sl, struct compact_image *older,
                         const char *what, struct error *err)
{
    struct compact_image *im;

    if (c->folds) /* its key's bytes are not what the row is found by */
        return compact_missing(c, what, sl, err);
    im = set_partial(c, en, e, sl, older);
    im->baseless = true;
    im->since = en->csn;
    return true;
}

/* --- changes --- */

#define DELETED_BEFORE "a change of a row that was deleted before lacks a column"

static void add_delete(struct compact *c, struct entry *en, const struct event *e, bool made)
{
    struct moving *m = &c->moving;

    if (e->flags & EVENT_MOVED) {
        m->open = true;
        m->key = e->key;
        m->key_len = e->key_len;
        m->known = en->value != NULL ? image_of(c, en) : NULL;
        m->baseless = m->known != NULL ? m->known->baseless : !made;
        m->origin = e->key;
        m->origin_len = e->key_len;
        if (m->known != NULL && m->known->origin != NULL) {
            m->origin = m->known->origin;
            m->origin_len = m->known->origin_len;
        }
    }
    en->value = NULL;
    en->value_len = 0;
    en->partial = NULL;
}

/* The second half of a key change. */
static bool add_moved(struct compact *c, struct entry *en, const struct event *e,
                      const struct event_slices *sl, struct error *err)
{
    struct moving m = c->moving;
    struct compact_image *im;

    memset(&c->moving, 0, sizeof(c->moving));
    if (!m.open || m.key_len != e->old_key_len || memcmp(m.key, e->old_key, m.key_len) != 0)
        return error_set(err, ERROR_FATAL, "%s.%s: a key change without its first half",
                         c->table->schema, c->table->name);
    if (sl == NULL) {
        set_complete(en, e);
        return true;
    }
    if (m.baseless)
        return set_baseless(c, en, e, sl, m.known, DELETED_BEFORE, err);
    im = set_partial(c, en, e, sl, m.known);
    im->since = en->csn;
    set_origin(im, e, m.origin, m.origin_len);
    return true;
}

static bool add_update(struct compact *c, struct entry *en, const struct event *e,
                       const struct event_slices *sl, bool made, struct error *err)
{
    struct compact_image *older, *im;

    if (sl == NULL) {
        set_complete(en, e);
        return true;
    }
    if (!made && en->value == NULL)
        return set_baseless(c, en, e, sl, NULL, DELETED_BEFORE, err);
    older = made ? NULL : image_of(c, en);
    im = set_partial(c, en, e, sl, older);
    if (older != NULL) {
        im->baseless = older->baseless;
        im->since = older->since;
        set_origin(im, e, older->origin, older->origin_len);
    }
    return true;
}

static bool add_insert(struct compact *c, struct entry *en, const struct event *e,
                       const struct event_slices *sl, struct error *err)
{
    if (sl != NULL)
        return set_baseless(c, en, e, sl, NULL,
                            "a new row came without a column that did not change (an update "
                            "brought it into the publication's row filter)",
                            err);
    set_complete(en, e);
    return true;
}

bool compact_add_keyed(struct compact *c, const struct event *e, int64_t csn, int64_t commit_us,
                       struct error *err)
{
    const struct event_slices *lacks = NULL;
    struct event_slices sl;
    struct entry *en;
    bool made;

    if ((e->flags & EVENT_UNAVAILABLE) && e->op != 'd') {
        if (!compact_slices(c, e->value, e->value_len, &sl, err))
            return false;
        if (compact_lacks(&sl))
            lacks = &sl;
    }
    en = key_entry(c, e, &made, err);
    if (en == NULL)
        return false;
    en->csn = csn;
    en->committed_us = commit_us;
    if (e->op == 'd') {
        add_delete(c, en, e, made);
        return true;
    }
    if (e->op == 'u')
        return add_update(c, en, e, lacks, made, err);
    if (e->op == 'c' && e->old_key != NULL)
        return add_moved(c, en, e, lacks, err);
    return add_insert(c, en, e, lacks, err);
}

/* --- the outcome --- */

/* One image's row, decoded into values. */
static bool decode_image(struct compact *c, const uint8_t *value, size_t len, struct value *values,
                         struct error *err)
{
    struct event_slices sl;

    if (!compact_slices(c, value, len, &sl, err))
        return false;
    if (sl.after == NULL)
        return error_set(err, ERROR_DATA, "%s.%s: an event '%c' without an after image",
                         c->table->schema, c->table->name, sl.op);
    if (!decoder_row(c->decoder, sl.after, sl.after_len, sl.unavailable, sl.unavailable_len,
                     c->scratch, values, err))
        return error_prefix(err, "%s.%s", c->table->schema, c->table->name);
    return true;
}

/* Takes from `from` what is still unknown in `to`; returns how many columns remain so. */
static int fill(const struct table *t, struct value *to, const struct value *from)
{
    int unknown = 0;
    int i;

    for (i = 0; i < t->ncols; i++) {
        if (to[i].state == VALUE_UNCHANGED && from[i].state != VALUE_ABSENT)
            to[i] = from[i];
        unknown += to[i].state == VALUE_UNCHANGED;
    }
    return unknown;
}

static bool decode_key(struct compact *c, const uint8_t *key, size_t len, struct value *values,
                       struct error *err)
{
    if (!decoder_key(c->decoder, key, len, c->scratch, values, err))
        return error_prefix(err, "%s.%s", c->table->schema, c->table->name);
    return true;
}

/* Completes the newest image, in c->values, from the older ones. */
static bool resolve(struct compact *c, const struct entry *en, struct error *err)
{
    const struct compact_image *im;
    int unknown;

    if (!decode_key(c, en->key, en->key_len, c->other, err))
        return false;
    unknown = fill(c->table, c->values, c->other);
    for (im = en->partial->older; im != NULL && unknown > 0; im = im->older) {
        if (!decode_image(c, im->value, im->value_len, c->other, err))
            return false;
        unknown = fill(c->table, c->values, c->other);
    }
    if (unknown == 0)
        return true;
    c->row.images = en->partial;
    if (en->partial->baseless) {
        c->row.upsert = false;
        c->row.wanted = true;
        return decode_key(c, en->key, en->key_len, c->values, err);
    }
    c->row.unresolved = true;
    if (en->partial->origin == NULL)
        return true;
    c->row.origin = c->origin;
    return decode_key(c, en->partial->origin, en->partial->origin_len, c->origin, err);
}

bool compact_next_keyed(struct compact *c, const struct entry *en, struct error *err)
{
    arena_reset(c->scratch);
    memset(&c->row, 0, sizeof(c->row));
    c->row.values = c->values;
    c->row.csn = en->csn;
    c->row.committed_us = en->committed_us;
    c->row.key = en->key + WIRE_PREFIX_SIZE;
    c->row.key_len = en->key_len - WIRE_PREFIX_SIZE;
    if (en->value == NULL)
        return decode_key(c, en->key, en->key_len, c->values, err);
    c->row.upsert = true;
    if (!decode_image(c, en->value, en->value_len, c->values, err))
        return false;
    return en->partial == NULL || resolve(c, en, err);
}
