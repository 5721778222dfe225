/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction across an alteration of the table: everything that was collected becomes of the new
 * version, in a compact of its own that then takes the old one's place. Rows of a table without a
 * key that only a dropped column told apart become one, with the sum of their counts.
 */
#include "load/alter.h"
#include "load/compact_lift.h"

#include <assert.h>

static bool lift_keyed(struct lift *l, struct compact *to, const struct entry *from,
                       struct error *err)
{
    const struct compact_image complete = {.value = from->value, .value_len = from->value_len};
    struct compact_image *chain = NULL;
    const uint8_t *key;
    struct entry *en;
    bool made;

    if (!lift_key(l, from->key, from->key_len, &key, err))
        return false;
    if (from->value != NULL &&
        !lift_chain(l, to->decoder, from->partial != NULL ? from->partial : &complete, &chain, err))
        return false;
    if (to->folds)
        en = compact_entry(to, from->id, from->id_len, true, &made);
    else
        en = compact_entry(to, key, from->key_len, false, &made);
    assert(made);
    en->key = key;
    en->key_len = from->key_len;
    en->csn = from->csn;
    en->committed_us = from->committed_us;
    if (chain == NULL) /* deleted */
        return true;
    en->value = chain->value;
    en->value_len = chain->value_len;
    en->partial = chain->unavailable != NULL ? chain : NULL;
    return true;
}

static bool lift_keyless(struct lift *l, struct compact *to, const struct entry *from,
                         struct error *err)
{
    struct event_slices sl;

    if (from->net == 0)
        return true;
    arena_reset(l->scratch);
    if (!decoder_row(l->decoder, from->id, from->id_len, NULL, 0, l->scratch, l->was, err))
        return lift_blame(l, err);
    lift_row(l, VALUE_UNCHANGED);
    if (!lift_encode(l, err))
        return false;
    if (!decoder_slices(to->decoder, l->buf.data, l->buf.len, &sl, err))
        return lift_blame(l, err);
    compact_count_keyless(to, sl.after, sl.after_len, true, from->net, from->csn,
                          from->committed_us);
    return true;
}

/* The first half of a key change, if the second is still to come. */
static bool lift_moving(struct lift *l, struct compact *to, const struct moving *from,
                        struct error *err)
{
    struct moving *m = &to->moving;

    if (!from->open)
        return true;
    *m = *from;
    return lift_key(l, from->key, from->key_len, &m->key, err) &&
           lift_key(l, from->origin, from->origin_len, &m->origin, err) &&
           (from->known == NULL || lift_chain(l, to->decoder, from->known, &m->known, err));
}

static bool lift_all(struct lift *l, struct compact *to, const struct compact *from,
                     struct error *err)
{
    size_t i;

    to->truncated = from->truncated;
    for (i = 0; i < from->n; i++) {
        const struct entry *en = &from->entries[i];

        if (from->table->nkeys > 0 ? !lift_keyed(l, to, en, err) : !lift_keyless(l, to, en, err))
            return false;
    }
    return lift_moving(l, to, &from->moving, err);
}

bool compact_alter(struct compact *c, const struct table *t, const struct decoder *d,
                   struct encoder *e, const struct alteration *al, struct error *err)
{
    struct compact *altered = compact_new(t, d), was;
    struct lift l = {.old = c->table,
                     .decoder = c->decoder,
                     .encoder = e,
                     .al = al,
                     .scratch = altered->scratch,
                     .out = altered->arena};
    bool ok;

    assert(c->table->ncols == al->was->ncols && t->ncols == al->now->ncols);
    lift_open(&l);
    ok = alteration_check(al, err) && lift_all(&l, altered, c, err);
    if (ok) {
        was = *c;
        *c = *altered;
        *altered = was;
    }
    lift_close(&l);
    compact_free(altered);
    return ok;
}
