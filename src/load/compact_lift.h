/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a former version of a table as rows of the new one: what compact_lift.c and
 * compact_alter.c share. */
#ifndef PENSTOCK_LOAD_COMPACT_LIFT_H
#define PENSTOCK_LOAD_COMPACT_LIFT_H

#include "load/compact_internal.h"

/* Up to `out` it is the caller's. */
struct lift {
    const struct table *old;       /* as the sink sees it */
    const struct decoder *decoder; /* of the old version */
    struct encoder *encoder;       /* of the new one */
    const struct alteration *al;
    struct arena *scratch;            /* one image */
    struct arena *out;                /* where results go */
    struct value *was, *now;          /* a row of each version */
    struct value *before;             /* another one of the new version */
    bool *known;                      /* now->ncols: some newer image of the row tells the column */
    struct buf buf;                   /* wire bytes being made */
    bool prefixed;                    /* prefix is known */
    uint8_t prefix[WIRE_PREFIX_SIZE]; /* of keys of the new version */
};

void lift_open(struct lift *l);
void lift_close(struct lift *l);
/* Says which table it is about, and that a load mends it. Returns false. */
bool lift_blame(const struct lift *l, struct error *err);
/* l->was, moved to l->now. unknown: what a column that was not carried becomes. */
void lift_row(struct lift *l, enum value_state unknown);
/* Wire bytes of a key in l->out, of the same length; NULL stays NULL. */
bool lift_key(struct lift *l, const uint8_t *key, size_t len, const uint8_t **out,
              struct error *err);
/* l->now as the after image of an envelope, in l->buf. */
bool lift_encode(struct lift *l, struct error *err);
/* An image with the older ones under it, as far as they still tell something. to: a decoder of the
 * new version. */
bool lift_chain(struct lift *l, const struct decoder *to, const struct compact_image *from,
                struct compact_image **out, struct error *err);

#endif
