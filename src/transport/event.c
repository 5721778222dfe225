/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: framed records one after another in one buffer (event.h has the layout). Both ends are
 * this process, so integers are in host order and unaligned, and a frame that does not add up is a
 * bug of our own: asserted, not reported. A record is under 4 GiB, as are an event's parts.
 */
#include "transport/event.h"

#include "util/mem.h"

#include <assert.h>
#include <string.h>

struct segment *segment_new(void)
{
    return mem_calloc(1, sizeof(struct segment));
}

void segment_free(void *s)
{
    struct segment *seg = s;

    if (seg == NULL)
        return;
    buf_free(&seg->bytes);
    mem_free(seg);
}

/* Opens a frame of len bytes after its length and returns where they go. */
static uint8_t *open_frame(struct segment *s, size_t len, enum event_kind kind)
{
    uint8_t *p = buf_reserve(&s->bytes, 4 + len);
    uint32_t n = (uint32_t)len;

    assert(len <= UINT32_MAX);
    memcpy(p, &n, 4);
    p[4] = (uint8_t)kind;
    s->bytes.len += 4 + len;
    return p + 5;
}

static uint8_t *put(uint8_t *at, const void *p, size_t n)
{
    if (n > 0)
        memcpy(at, p, n);
    return at + n;
}

static uint8_t *put_u32(uint8_t *at, size_t v)
{
    uint32_t n = (uint32_t)v;

    return put(at, &n, 4);
}

static uint8_t *put_string(uint8_t *at, const char *s)
{
    return put(at, s, strlen(s) + 1);
}

void segment_mark(struct segment *s)
{
    open_frame(s, 1, EVENT_MARK);
}

void segment_begin(struct segment *s, int64_t csn, int64_t commit_us)
{
    uint8_t *at = open_frame(s, 1 + 16, EVENT_BEGIN);

    at = put(at, &csn, 8);
    put(at, &commit_us, 8);
}

void segment_row(struct segment *s, char op, uint8_t flags, const struct buf *key,
                 const struct buf *value, const struct buf *old_key)
{
    size_t nkey = key ? key->len : 0;
    size_t nold = old_key ? old_key->len : 0;
    uint8_t *at = open_frame(s, 1 + 2 + 12 + nkey + value->len + nold, EVENT_ROW);

    *at++ = (uint8_t)op;
    *at++ = flags;
    at = put_u32(at, nkey);
    at = put_u32(at, value->len);
    at = put_u32(at, nold);
    if (nkey > 0)
        at = put(at, key->data, nkey);
    at = put(at, value->data, value->len);
    if (nold > 0)
        put(at, old_key->data, nold);
}

void segment_commit(struct segment *s, int64_t csn, int64_t commit_us, const char *position)
{
    uint8_t *at = open_frame(s, 1 + 16 + strlen(position) + 1, EVENT_COMMIT);

    at = put(at, &csn, 8);
    at = put(at, &commit_us, 8);
    put_string(at, position);
}

void segment_idle(struct segment *s, const char *position, bool urgent)
{
    uint8_t *at = open_frame(s, 1 + 1 + strlen(position) + 1, EVENT_IDLE);

    *at++ = urgent;
    put_string(at, position);
}

void segment_stop(struct segment *s, uint32_t oid, int state, const char *schema, const char *name,
                  const char *why)
{
    size_t len = 1 + 4 + 1 + strlen(schema) + strlen(name) + strlen(why) + 3;
    uint8_t *at = open_frame(s, len, EVENT_STOP);

    at = put_u32(at, oid);
    *at++ = (uint8_t)state;
    at = put_string(at, schema);
    at = put_string(at, name);
    put_string(at, why);
}

void segment_alter(struct segment *s, void *object)
{
    put(open_frame(s, 1 + sizeof(object), EVENT_ALTER), &object, sizeof(object));
}

void segment_load(struct segment *s, void *object, int64_t point)
{
    uint8_t *at = open_frame(s, 1 + sizeof(object) + 8, EVENT_LOAD);

    at = put(at, &object, sizeof(object));
    put(at, &point, 8);
}

void segment_fetched(struct segment *s, void *object)
{
    put(open_frame(s, 1 + sizeof(object), EVENT_FETCHED), &object, sizeof(object));
}

void segment_leaf(struct segment *s, uint32_t oid, uint32_t leaf)
{
    put_u32(put_u32(open_frame(s, 1 + 8, EVENT_LEAF), oid), leaf);
}

static uint32_t get_u32(const uint8_t **at)
{
    uint32_t v;

    memcpy(&v, *at, 4);
    *at += 4;
    return v;
}

static int64_t get_i64(const uint8_t **at)
{
    int64_t v;

    memcpy(&v, *at, 8);
    *at += 8;
    return v;
}

static const uint8_t *get_bytes(const uint8_t **at, size_t n)
{
    const uint8_t *p = *at;

    *at += n;
    return n > 0 ? p : NULL;
}

static const char *get_string(const uint8_t **at)
{
    const char *s = (const char *)*at;

    *at += strlen(s) + 1;
    return s;
}

static void get_row(const uint8_t **at, struct event *e)
{
    e->op = (char)*(*at)++;
    e->flags = *(*at)++;
    e->key_len = get_u32(at);
    e->value_len = get_u32(at);
    e->old_key_len = get_u32(at);
    e->key = get_bytes(at, e->key_len);
    e->value = get_bytes(at, e->value_len);
    e->old_key = get_bytes(at, e->old_key_len);
}

bool segment_next(struct segment *s, struct event *e)
{
    const uint8_t *at, *end;

    if (s->at == s->bytes.len)
        return false;
    at = s->bytes.data + s->at;
    end = at + 4;
    end += get_u32(&at);
    assert(end <= s->bytes.data + s->bytes.len);
    memset(e, 0, sizeof(*e));
    e->kind = *at++;
    switch (e->kind) {
    case EVENT_MARK:
        break;
    case EVENT_BEGIN:
    case EVENT_COMMIT:
        e->csn = get_i64(&at);
        e->commit_us = get_i64(&at);
        if (e->kind == EVENT_COMMIT)
            e->position = get_string(&at);
        break;
    case EVENT_ROW:
        get_row(&at, e);
        break;
    case EVENT_IDLE:
        e->urgent = *at++ != 0;
        e->position = get_string(&at);
        break;
    case EVENT_ALTER:
    case EVENT_LOAD:
    case EVENT_FETCHED:
        memcpy(&e->object, at, sizeof(e->object));
        at += sizeof(e->object);
        if (e->kind == EVENT_LOAD)
            e->s = get_i64(&at);
        break;
    case EVENT_LEAF:
        e->oid = get_u32(&at);
        e->leaf = get_u32(&at);
        break;
    case EVENT_STOP:
        e->oid = get_u32(&at);
        e->state = *at++;
        e->schema = get_string(&at);
        e->name = get_string(&at);
        e->why = get_string(&at);
        break;
    }
    assert(at == end);
    s->at = (size_t)(end - s->bytes.data);
    return true;
}
