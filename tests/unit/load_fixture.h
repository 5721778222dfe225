/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table's way from changes to compaction, for tests: encodes changes as the source's thread
 * does (a changed key is two events) into one segment, and feeds the segment to a compact.
 */
#ifndef PENSTOCK_TESTS_LOAD_FIXTURE_H
#define PENSTOCK_TESTS_LOAD_FIXTURE_H

#include "load/compact.h"
#include "load_cases.h"
#include "source_postgres/source_block.h"

#include <stdio.h>

struct pipe {
    struct arena *a;
    struct table *source; /* as the encoder has it */
    struct table *sink;   /* as the schema tells it */
    struct encoder *enc;
    struct decoder *dec;
    struct compact *compact;
    struct segment *seg;
    struct buf key, value, old_key;
};

static inline void pipe_fail(const char *what, const struct error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    abort();
}

static inline void pipe_open(struct pipe *p, const struct case_column *cols)
{
    struct buf value = {0}, key = {0};
    struct error err = {0};

    memset(p, 0, sizeof(*p));
    p->a = arena_new("pipe");
    p->source = case_table(p->a, "public", "t", cols);
    avro_value_schema(&value, p->source, &source_postgres_block);
    if (p->source->nkeys > 0)
        avro_key_schema(&key, p->source);
    if (!avro_table(p->a, buf_cstr(&value), buf_cstr(&key), &p->sink, &err))
        pipe_fail("avro_table", &err);
    p->enc = encoder_new(p->source, &source_postgres_block, 1, p->source->nkeys > 0 ? 2 : 0);
    p->dec = decoder_new(buf_cstr(&value), p->sink, &err);
    if (p->dec == NULL)
        pipe_fail("decoder_new", &err);
    p->compact = compact_new(p->sink, p->dec);
    p->seg = segment_new();
    buf_free(&value);
    buf_free(&key);
}

static inline void pipe_close(struct pipe *p)
{
    compact_free(p->compact);
    segment_free(p->seg);
    encoder_free(p->enc);
    decoder_free(p->dec);
    buf_free(&p->key);
    buf_free(&p->value);
    buf_free(&p->old_key);
    arena_free(p->a);
}

static inline void pipe_event(struct pipe *p, const struct change *c, const struct value *key_row,
                              uint8_t flags, const struct buf *old_key, int64_t csn)
{
    struct event_meta meta = {.csn = csn,
                              .tx_id = "1:1",
                              .total_order = 1,
                              .data_collection_order = 1,
                              .source_us = csn * 1000,
                              .now_us = 5,
                              .server_name = "shop",
                              .database = "shop",
                              .snapshot = "false"};
    bool keyed = key_row != NULL && p->source->nkeys > 0;
    bool unavailable = false;
    struct error err = {0};

    buf_reset(&p->key);
    buf_reset(&p->value);
    if ((keyed && !encoder_key(p->enc, key_row, &p->key, &err)) ||
        !encoder_value(p->enc, c, &meta, &p->value, &unavailable, &err))
        pipe_fail("encode", &err);
    if (unavailable)
        flags |= EVENT_UNAVAILABLE;
    segment_row(p->seg, (char)c->op, flags, keyed ? &p->key : NULL, &p->value, old_key);
}

/* One change of the log, in the transaction csn. */
static inline void pipe_change(struct pipe *p, char op, const struct value *before,
                               const struct value *after, int64_t csn)
{
    bool full = before != NULL && p->source->nkeys == 0;
    int i;
    struct change c = {.op = op, .table = p->source, .before = before, .after = after};
    struct change half;

    for (i = 0; i < p->source->ncols && full; i++)
        full = before[i].state <= VALUE_SET;
    c.before_full = full;
    segment_begin(p->seg, csn, csn * 1000);
    if (op != 'u' || p->source->nkeys == 0 || !change_moves_key(&c)) {
        pipe_event(p, &c, op == 't' ? NULL : op == 'd' ? before : after, 0, NULL, csn);
        return;
    }
    half = c;
    half.op = 'd';
    half.after = NULL;
    pipe_event(p, &half, before, EVENT_MOVED, NULL, csn);
    buf_reset(&p->old_key);
    buf_append(&p->old_key, p->key.data, p->key.len);
    half = c;
    half.op = 'c';
    half.before = NULL;
    pipe_event(p, &half, after, 0, &p->old_key, csn);
}

/* Compacts what was written since the last call. */
static inline bool pipe_compact(struct pipe *p, struct error *err)
{
    struct event e;
    int64_t csn = 0, us = 0;

    while (segment_next(p->seg, &e)) {
        if (e.kind == EVENT_BEGIN) {
            csn = e.csn;
            us = e.commit_us;
        } else if (!compact_add(p->compact, &e, csn, us, err)) {
            return false;
        }
    }
    return true;
}

/* Forgets the piece. */
static inline void pipe_reset(struct pipe *p)
{
    compact_reset(p->compact);
    segment_free(p->seg);
    p->seg = segment_new();
}

#endif
