/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the model of a table (load_model.h): the rows that its target lacks, read at the source as of
 * points, handed on later, after further changes of the same rows. As the sink does it.
 */
#ifndef PENSTOCK_TESTS_WANTED_MODEL_H
#define PENSTOCK_TESTS_WANTED_MODEL_H

#include "load/wanted.h"
#include "load_model.h"

struct refetch {
    struct wanted *w;
    struct arena *a; /* of what was read and is collected */
    bool open;
    int64_t s;
    struct wanted_key keys[MODEL_ROWS];
    size_t n;
    struct model_row rows[MODEL_ROWS]; /* as of s */
    int64_t taken[MODEL_ROWS];         /* csn of the last row that was read for this key */
    long skipped;
};

static inline void refetch_open(struct refetch *f)
{
    memset(f, 0, sizeof(*f));
    f->w = wanted_new();
    f->a = arena_new("refetch");
}

static inline void refetch_close(struct refetch *f)
{
    wanted_free(f->w);
    arena_free(f->a);
}

static inline int refetch_slot(struct refetch *f, struct model *m, const uint8_t *key, size_t len)
{
    struct buf wire = {0};
    struct value v[MODEL_COLS];
    struct error err = {0};

    buf_append(&wire, "\0\0\0\0\2", WIRE_PREFIX_SIZE);
    buf_append(&wire, key, len);
    if (!decoder_key(m->p.dec, wire.data, wire.len, f->a, v, &err))
        pipe_fail("decoder_key", &err);
    buf_free(&wire);
    return (int)v[0].i;
}

static inline bool refetch_wants(struct refetch *f, struct model *m, int slot)
{
    struct value row[MODEL_COLS] = {[0] = model_key(m, slot)};
    struct buf key = {0};
    struct error err = {0};
    bool wanted;

    if (!encoder_key(m->p.enc, row, &key, &err))
        pipe_fail("encoder_key", &err);
    /* any point is new enough */
    wanted = wanted_takes(f->w, key.data + WIRE_PREFIX_SIZE, key.len - WIRE_PREFIX_SIZE, INT64_MAX);
    buf_free(&key);
    return wanted;
}

/* What is wanted now, as of now. */
static inline void refetch_read(struct refetch *f, struct model *m)
{
    f->open = true;
    f->s = m->csn + 1;
    f->n = wanted_copy(f->w, f->a, MODEL_ROWS, f->keys);
    memcpy(f->rows, m->rows, sizeof(f->rows));
}

static inline void refetch_event(struct refetch *f, struct model *m, int slot, struct event *e)
{
    const struct model_row *r = &f->rows[slot];
    struct value row[MODEL_COLS] = {[0] = model_key(m, slot)};
    struct change c = {.op = CHANGE_READ, .table = m->p.source, .after = r->v};
    struct event_meta meta = {.csn = f->s - 1,
                              .source_us = (f->s - 1) * 1000,
                              .server_name = "shop",
                              .database = "shop",
                              .snapshot = "true"};
    struct buf key = {0}, value = {0};
    struct error err = {0};
    bool lacks;

    *e = (struct event){.kind = EVENT_ROW, .op = r->used ? 'r' : 'd'};
    if (!encoder_key(m->p.enc, row, &key, &err) ||
        (r->used && !encoder_value(m->p.enc, &c, &meta, &value, &lacks, &err)))
        pipe_fail("encode", &err);
    e->key = arena_memdup(f->a, key.data, key.len);
    e->key_len = key.len;
    e->value = r->used ? arena_memdup(f->a, value.data, value.len) : NULL;
    e->value_len = value.len;
    buf_free(&key);
    buf_free(&value);
}

/* Nothing is collected in c; what is has been applied. */
static inline void refetch_give(struct refetch *f, struct model *m, struct compact *c)
{
    size_t i;

    for (i = 0; i < f->n; i++) {
        int slot = refetch_slot(f, m, f->keys[i].key, f->keys[i].len);
        struct error err = {0};
        struct event e;

        if (!wanted_takes(f->w, f->keys[i].key, f->keys[i].len, f->s)) {
            f->skipped++;
            continue;
        }
        refetch_event(f, m, slot, &e);
        f->taken[slot] = f->s - 1;
        if (!wanted_collect(f->w, &e, f->s, (f->s - 1) * 1000, f->a, c, &err))
            pipe_fail("wanted_collect", &err);
    }
    f->open = false;
}

#endif
