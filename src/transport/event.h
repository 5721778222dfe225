/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-process transport's unit: a segment, a run of framed records in log order. Filled by the
 * source's thread, handed over through a queue (util/queue.h), read by the sink's thread.
 *
 * Frame: u32 length of what follows (host order, in-process only), u8 kind, then by kind:
 *   MARK      -                        a (re)connect: unfinished input before it is void
 *   BEGIN     i64 csn, i64 commit_us
 *   ROW       u8 op, u8 flags, u32 key_len, u32 value_len, u32 old_key_len, key, value, old_key
 *   COMMIT    i64 csn, i64 commit_us, position\0
 *   IDLE      u8 urgent, position\0
 *   STOP      u32 oid, u8 state, schema\0, name\0, why\0
 *                                      no row of the table follows: it wants a load, or it stops
 *   ALTER     u64 pointer              the table has another shape from here on
 *   LOAD      u64 pointer, i64 s       a load of a table has begun (s 0), or has its point S
 *   FETCHED   u64 pointer              rows that were read at the source again
 *   LEAF      u32 oid, u32 leaf        a part of the table that is new: its first row follows
 *
 * Pointers are the pipeline's own objects, which live as long as the attempt.
 */
#ifndef PENSTOCK_TRANSPORT_EVENT_H
#define PENSTOCK_TRANSPORT_EVENT_H

#include "util/buf.h"
#include "util/error.h"

#include <stdbool.h>

enum event_kind {
    EVENT_MARK = 1,
    EVENT_BEGIN,
    EVENT_ROW,
    EVENT_COMMIT,
    EVENT_IDLE,
    EVENT_STOP,
    EVENT_ALTER,
    EVENT_LOAD,
    EVENT_FETCHED,
    EVENT_LEAF
};

#define EVENT_UNAVAILABLE 1 /* flags: a column of the row was not carried */
#define EVENT_MOVED 2       /* a 'd' whose row lives on: the next event is its 'c' with old_key */

struct event {
    enum event_kind kind;
    int64_t csn;       /* BEGIN, COMMIT */
    int64_t commit_us; /* BEGIN, COMMIT */
    char op;           /* ROW: c u d r t */
    uint8_t flags;
    const uint8_t *key; /* wire bytes; NULL for a table without a key and for 't' */
    size_t key_len;
    const uint8_t *value; /* wire bytes of the envelope */
    size_t value_len;
    const uint8_t *old_key; /* wire bytes: a 'c' that is the second half of a key change */
    size_t old_key_len;
    const char *position; /* COMMIT, IDLE */
    bool urgent;
    uint32_t oid;  /* STOP, LEAF */
    uint32_t leaf; /* LEAF */
    int state;
    const char *schema, *name, *why;
    void *object; /* ALTER, LOAD, FETCHED */
    int64_t s;    /* LOAD */
};

struct segment {
    struct buf bytes;
    size_t at;         /* where segment_next reads */
    int64_t pushed_ms; /* when it was handed over: after all that it holds was read */
};

struct segment *segment_new(void);
void segment_free(void *s); /* a struct segment *; void * so that queue_free takes it */
void segment_mark(struct segment *s);
void segment_begin(struct segment *s, int64_t csn, int64_t commit_us);
void segment_row(struct segment *s, char op, uint8_t flags, const struct buf *key,
                 const struct buf *value, const struct buf *old_key); /* key, old_key: NULL: none */
void segment_commit(struct segment *s, int64_t csn, int64_t commit_us, const char *position);
void segment_idle(struct segment *s, const char *position, bool urgent);
void segment_stop(struct segment *s, uint32_t oid, int state, const char *schema, const char *name,
                  const char *why);
void segment_alter(struct segment *s, void *object);
void segment_load(struct segment *s, void *object, int64_t point);
void segment_fetched(struct segment *s, void *object);
void segment_leaf(struct segment *s, uint32_t oid, uint32_t leaf);
/* The next record, its pointers into the segment; false at the end. */
bool segment_next(struct segment *s, struct event *e);

#endif
