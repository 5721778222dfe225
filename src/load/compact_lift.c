/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row of a former version of a table as one of the new version: decoded, its columns moved to
 * their new places, added ones known to be the fill, encoded again; columns that it did not carry
 * stay unknown. Keys are over the same columns of the same types, so their bytes stay but for the
 * schema's id before them. Images that only lacked dropped columns become complete.
 */
#include "load/compact_lift.h"

#include "load/alter.h"
#include "util/mem.h"

#include <assert.h>
#include <string.h>

void lift_open(struct lift *l)
{
    size_t was = (size_t)l->al->was->ncols, now = (size_t)l->al->now->ncols;

    l->was = mem_calloc(was + 2 * now + 1, sizeof(*l->was));
    l->now = l->was + was;
    l->before = l->now + now;
    l->known = mem_calloc(now + 1, sizeof(*l->known));
}

void lift_close(struct lift *l)
{
    mem_free(l->was);
    mem_free(l->known);
    buf_free(&l->buf);
}

bool lift_blame(const struct lift *l, struct error *err)
{
    error_prefix(err, "%s.%s is altered", l->old->schema, l->old->name);
    if (err != NULL && err->kind == ERROR_DATA)
        err->reload = true;
    return false;
}

void lift_row(struct lift *l, enum value_state unknown)
{
    int i;

    for (i = 0; i < l->al->now->ncols; i++) {
        int from = l->al->from[i];

        l->now[i] = from < 0 ? l->al->fill[i] : l->was[from];
        if (l->now[i].state == VALUE_UNCHANGED)
            l->now[i].state = unknown;
    }
}

/* --- keys --- */

/*
 * The key of the first row is encoded anew, which gives the new prefix and proves that the rest is
 * the same; the others get the prefix.
 */
static bool learn_prefix(struct lift *l, const uint8_t *key, size_t len, struct error *err)
{
    arena_reset(l->scratch);
    if (!decoder_key(l->decoder, key, len, l->scratch, l->was, err))
        return lift_blame(l, err);
    lift_row(l, VALUE_ABSENT);
    buf_reset(&l->buf);
    if (!encoder_key(l->encoder, l->now, &l->buf, err))
        return lift_blame(l, err);
    if (l->buf.len != len || memcmp(l->buf.data + WIRE_PREFIX_SIZE, key + WIRE_PREFIX_SIZE,
                                    len - WIRE_PREFIX_SIZE) != 0) {
        error_set(err, ERROR_FATAL, "the key's bytes are not the same after it");
        return lift_blame(l, err);
    }
    memcpy(l->prefix, l->buf.data, WIRE_PREFIX_SIZE);
    l->prefixed = true;
    return true;
}

bool lift_key(struct lift *l, const uint8_t *key, size_t len, const uint8_t **out,
              struct error *err)
{
    uint8_t *copy;

    *out = NULL;
    if (key == NULL)
        return true;
    if (!l->prefixed && !learn_prefix(l, key, len, err))
        return false;
    copy = arena_memdup(l->out, key, len);
    memcpy(copy, l->prefix, WIRE_PREFIX_SIZE);
    *out = copy;
    return true;
}

/* --- images --- */

/* Into l->buf. What the envelope says besides the rows is for nobody: it goes no further. */
static bool encode(struct lift *l, const struct change *c, bool *unavailable, struct error *err)
{
    static const struct event_meta meta = {.server_name = "", .database = "", .snapshot = "false"};

    buf_reset(&l->buf);
    return encoder_value(l->encoder, c, &meta, &l->buf, unavailable, err) || lift_blame(l, err);
}

bool lift_encode(struct lift *l, struct error *err)
{
    const struct change c = {.op = CHANGE_UPDATE, .table = l->al->now, .after = l->now};
    bool unavailable;

    return encode(l, &c, &unavailable, err);
}

/* The after image of wire bytes into l->was. */
static bool decode_after(struct lift *l, const uint8_t *value, size_t len, struct error *err)
{
    struct event_slices sl;

    arena_reset(l->scratch);
    if (!decoder_slices(l->decoder, value, len, &sl, err))
        return lift_blame(l, err);
    if (sl.after == NULL) {
        error_set(err, ERROR_DATA, "an event '%c' without an after image", sl.op);
        return lift_blame(l, err);
    }
    return decoder_row(l->decoder, sl.after, sl.after_len, sl.unavailable, sl.unavailable_len,
                       l->scratch, l->was, err) ||
           lift_blame(l, err);
}

/*
 * Of l->now, an image under newer ones, a NULL that the new version does not allow: nobody will
 * look at it if a newer one tells the column.
 */
static void hide_nulls(struct lift *l)
{
    int i;

    for (i = 0; i < l->al->now->ncols; i++) {
        const struct column *c = &l->al->now->cols[i];

        if (l->now[i].state == VALUE_NULL && !c->nullable && l->known[i])
            l->now[i].state = VALUE_UNCHANGED;
        l->known[i] |= l->now[i].state != VALUE_UNCHANGED;
    }
}

/* One image, without what is older; to: the new version. */
static bool lift_image(struct lift *l, const struct decoder *to, const struct compact_image *from,
                       struct compact_image *out, struct error *err)
{
    struct event_slices sl;

    if (!decode_after(l, from->value, from->value_len, err))
        return false;
    lift_row(l, VALUE_UNCHANGED);
    hide_nulls(l);
    if (!lift_encode(l, err))
        return false;
    out->value = arena_memdup(l->out, l->buf.data, l->buf.len);
    out->value_len = l->buf.len;
    out->csn = from->csn;
    out->committed_us = from->committed_us;
    if (!decoder_slices(to, out->value, out->value_len, &sl, err))
        return lift_blame(l, err);
    if (compact_lacks(&sl)) {
        out->unavailable = sl.unavailable;
        out->unavailable_len = sl.unavailable_len;
    }
    return true;
}

/* Does a newer image of the chain lack the same columns? It then tells all that im does. */
static bool is_told(const struct compact_image *chain, const struct compact_image *im)
{
    for (; chain != NULL && im->unavailable != NULL; chain = chain->older) {
        if (chain->unavailable_len == im->unavailable_len &&
            memcmp(chain->unavailable, im->unavailable, im->unavailable_len) == 0)
            return true;
    }
    return false;
}

bool lift_chain(struct lift *l, const struct decoder *to, const struct compact_image *from,
                struct compact_image **out, struct error *err)
{
    const struct compact_image *newest = from;
    struct compact_image **end = out;
    bool complete = false;

    *out = NULL;
    memset(l->known, 0, (size_t)l->al->now->ncols * sizeof(*l->known));
    for (; from != NULL && !complete; from = from->older) {
        struct compact_image *im = arena_calloc(l->out, 1, sizeof(*im));

        if (!lift_image(l, to, from, im, err))
            return false;
        if (is_told(*out, im))
            continue;
        *end = im;
        end = &im->older;
        complete = im->unavailable == NULL;
    }
    (*out)->baseless = newest->baseless;
    (*out)->since = newest->since;
    (*out)->origin_len = newest->origin_len;
    return lift_key(l, newest->origin, newest->origin_len, &(*out)->origin, err);
}

/* --- one event --- */

static bool lift_after(struct lift *l, const struct event *e, struct change *c, struct error *err)
{
    if (!decode_after(l, e->value, e->value_len, err))
        return false;
    lift_row(l, VALUE_UNCHANGED);
    c->after = l->now;
    return true;
}

/* Of tables without a key. The after image, in the same scratch, is not touched. */
static bool lift_before(struct lift *l, const struct event *e, struct change *c, struct error *err)
{
    struct value *after = l->now;
    struct event_slices sl;
    int i;

    if (!decoder_slices(l->decoder, e->value, e->value_len, &sl, err))
        return lift_blame(l, err);
    if (sl.before == NULL)
        return true; /* compact_add says what is wrong */
    if (!decoder_row(l->decoder, sl.before, sl.before_len, sl.unavailable, sl.unavailable_len,
                     l->scratch, l->was, err))
        return lift_blame(l, err);
    c->before_full = true;
    for (i = 0; i < l->al->was->ncols; i++)
        c->before_full &= l->was[i].state != VALUE_UNCHANGED;
    l->now = l->before;
    lift_row(l, VALUE_ABSENT);
    l->now = after;
    c->before = l->before;
    return true;
}

static bool lift_event(struct lift *l, const struct event *e, struct event *out, struct error *err)
{
    struct change c = {.op = e->op, .table = l->al->now};
    bool keyless = l->old->nkeys == 0, unavailable;

    *out = *e;
    if (!lift_key(l, e->key, e->key_len, &out->key, err) ||
        !lift_key(l, e->old_key, e->old_key_len, &out->old_key, err))
        return false;
    if (e->op != 'd' && e->op != 't' && !lift_after(l, e, &c, err))
        return false;
    if (keyless && (e->op == 'd' || e->op == 'u') && !lift_before(l, e, &c, err))
        return false;
    if (!encode(l, &c, &unavailable, err))
        return false;
    out->value = arena_memdup(l->out, l->buf.data, l->buf.len);
    out->value_len = l->buf.len;
    out->flags = (uint8_t)((e->flags & ~EVENT_UNAVAILABLE) | (unavailable ? EVENT_UNAVAILABLE : 0));
    return true;
}

bool compact_lift_event(struct compact *c, const struct event *e, const struct table *old,
                        const struct decoder *old_decoder, struct encoder *enc,
                        const struct alteration *al, struct arena *a, struct event *out,
                        struct error *err)
{
    struct lift l = {.old = old,
                     .decoder = old_decoder,
                     .encoder = enc,
                     .al = al,
                     .scratch = c->scratch,
                     .out = a};
    bool ok;

    assert(old->ncols == al->was->ncols);
    arena_reset(c->scratch);
    lift_open(&l);
    ok = alteration_check(al, err) && lift_event(&l, e, out, err);
    lift_close(&l);
    return ok;
}
