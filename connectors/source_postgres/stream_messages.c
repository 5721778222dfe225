/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stream carries. A transaction is told to the sink when its first row is; one without a
 * row for us moves the position as a keepalive does. The commit sequence number is final_lsn, the
 * start of the commit record; the position after it is end_lsn. A keepalive's wal_end counts only
 * between transactions, where everything before it has been decoded for us.
 *
 * Rows that nobody wants (another table, before the table's point S, a transaction that the start
 * position contains) are told by tag and oid alone and not decoded.
 */
#include "source_postgres/row.h"
#include "source_postgres/stream_internal.h"
#include "source_postgres/watch.h"
#include "util/causes.h"
#include "util/clock.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#define IDLE_EVERY_MS 50

static bool protocol(struct error *err, const char *what)
{
    return error_cause(err, CAUSE_PROTOCOL_BROKEN, "the server's stream is out of order: %s", what);
}

static bool on_begin(struct pg_stream *st, const struct pgoutput_begin *b, struct error *err)
{
    if (st->in_tx)
        return protocol(err, "a transaction inside a transaction");
    st->in_tx = true;
    st->begun = false;
    st->skip_tx = b->final_lsn < st->start;
    st->final_lsn = b->final_lsn;
    st->tx.csn = (int64_t)b->final_lsn;
    st->tx.commit_us = b->commit_time + VALUE_EPOCH_SHIFT_US;
    st->tx.xid = b->xid;
    snprintf(st->tx.id, sizeof(st->tx.id), "%u:%llu", b->xid, (unsigned long long)b->final_lsn);
    return true;
}

static bool on_commit(struct pg_stream *st, const struct pgoutput_commit *c,
                      const struct change_sink *sink, struct error *err)
{
    char position[PG_LSN_SIZE];

    if (!st->in_tx || c->commit_lsn != st->final_lsn || c->end_lsn <= c->commit_lsn)
        return protocol(err, "a commit without its begin");
    st->in_tx = false;
    if (st->skip_tx)
        return true;
    st->idle_at = c->end_lsn;
    if (!st->begun)
        return true;
    st->idle_told = c->end_lsn;
    st->idle_told_ms = clock_mono_ms();
    return sink->commit(sink->ctx, &st->tx, pg_lsn_text(c->end_lsn, position, sizeof(position)),
                        err);
}

static bool begin(struct pg_stream *st, const struct change_sink *sink, struct error *err)
{
    if (st->begun)
        return true;
    st->begun = true;
    return sink->begin(sink->ctx, &st->tx, err);
}

static bool hand_on(struct pg_stream *st, const struct change *c, const struct change_sink *sink,
                    struct error *err)
{
    return begin(st, sink, err) && sink->change(sink->ctx, c, err);
}

/* The engine is told that the table is another from here on, and whether it takes it is noted. */
static bool alter(struct pg_stream *st, struct relation *rel, const struct change_sink *sink,
                  struct error *err)
{
    bool carried = false;

    if (!begin(st, sink, err) || !sink->alter(sink->ctx, &rel->alteration, &carried, err))
        return false;
    relations_settle(rel, carried);
    return true;
}

/* The relation, if this transaction's changes of it are wanted; NULL if they are passed over. */
static bool wanted(struct pg_stream *st, uint32_t oid, const struct change_sink *sink,
                   struct relation **out, struct error *err)
{
    struct relation *rel = relations_find(st->relations, oid);

    *out = NULL;
    if (!st->in_tx)
        return protocol(err, "a change outside a transaction");
    if (rel == NULL)
        return protocol(err, "a change of a relation that was not announced");
    if (st->skip_tx || rel->skip || (rel->table != NULL && st->tx.csn < rel->s))
        return true;
    if (!relations_judge(st->relations, rel, (uint32_t)st->tx.xid, sink, err) ||
        (rel->state == RELATION_ALTERED && !alter(st, rel, sink, err)))
        return false;
    if (rel->state == RELATION_MATCHES)
        *out = rel;
    return true;
}

/* The row is the first of a leaf since it was announced: is that one which nobody knows? */
static bool tell_leaf(struct pg_stream *st, const struct relation *rel, uint32_t leaf,
                      const struct change_sink *sink, struct error *err)
{
    if (leaf == 0 || leaf == rel->oid || table_lists_leaf(rel->table->leaves, leaf))
        return true;
    watch_leaf(st->source->watch, rel->oid, leaf);
    return sink->leaf == NULL ||
           (begin(st, sink, err) && sink->leaf(sink->ctx, rel->table, leaf, err));
}

/* A NULL where the table has none: it is altered first. */
static bool hand_on_row(struct pg_stream *st, struct relation *rel, struct change *c,
                        const struct change_sink *sink, struct error *err)
{
    if (rel->loose && sink->alter != NULL) {
        relations_loosen(rel);
        if (!alter(st, rel, sink, err))
            return false;
        c->table = rel->table;
    }
    return rel->state != RELATION_MATCHES || hand_on(st, c, sink, err);
}

static bool on_row(struct pg_stream *st, const uint8_t *data, size_t len, uint64_t lsn,
                   const struct change_sink *sink, struct error *err)
{
    struct pgoutput_message m;
    struct change c = {.lsn = lsn};
    struct relation *rel;
    uint32_t oid, leaf;

    if (len < 1 + sizeof(oid))
        return pgoutput_decode(&st->decoder, st->message, data, len, &m, err);
    memcpy(&oid, data + 1, sizeof(oid));
    leaf = relations_take_leaf(st->relations, be32toh(oid));
    if (!wanted(st, be32toh(oid), sink, &rel, err))
        return false;
    if (rel == NULL)
        return true;
    return tell_leaf(st, rel, leaf, sink, err) &&
           pgoutput_decode(&st->decoder, st->message, data, len, &m, err) &&
           row_change(rel, &st->decoder, &m, st->message, &c, err) &&
           hand_on_row(st, rel, &c, sink, err);
}

static bool on_truncate(struct pg_stream *st, const struct pgoutput_truncate *t, uint64_t lsn,
                        const struct change_sink *sink, struct error *err)
{
    int i;

    relations_take_leaf(st->relations, 0); /* what was announced is for this */
    for (i = 0; i < t->count; i++) {
        struct change c = {.op = CHANGE_TRUNCATE, .lsn = lsn};
        struct relation *rel;

        if (!wanted(st, t->oids[i], sink, &rel, err))
            return false;
        if (rel == NULL)
            continue;
        c.table = rel->table;
        if (!hand_on(st, &c, sink, err))
            return false;
    }
    return true;
}

static bool on_payload(struct pg_stream *st, const struct pgoutput_copy *copy,
                       const struct change_sink *sink, struct error *err)
{
    struct pgoutput_message m;
    char tag = copy->payload_len > 0 ? (char)copy->payload[0] : '\0';

    if (tag == PGOUTPUT_INSERT || tag == PGOUTPUT_UPDATE || tag == PGOUTPUT_DELETE)
        return on_row(st, copy->payload, copy->payload_len, copy->start_lsn, sink, err);
    if (!pgoutput_decode(&st->decoder, st->message, copy->payload, copy->payload_len, &m, err))
        return false;
    switch (m.tag) {
    case PGOUTPUT_BEGIN:
        return on_begin(st, &m.begin, err);
    case PGOUTPUT_COMMIT:
        return on_commit(st, &m.commit, sink, err);
    case PGOUTPUT_RELATION:
        relations_announce(st->relations, &m.relation);
        return true;
    case PGOUTPUT_TRUNCATE:
        return on_truncate(st, &m.truncate, copy->start_lsn, sink, err);
    default: /* origins, types, logical messages, stray aborts: nothing for us */
        return true;
    }
}

bool stream_tell_idle(struct pg_stream *st, const struct change_sink *sink, bool urgent,
                      struct error *err)
{
    char position[PG_LSN_SIZE];
    int64_t now = clock_mono_ms();

    if (st->in_tx ||
        (!urgent && (st->idle_at <= st->idle_told || now - st->idle_told_ms < IDLE_EVERY_MS)))
        return true;
    st->idle_told = st->idle_at;
    st->idle_told_ms = now;
    return sink->idle(sink->ctx, pg_lsn_text(st->idle_at, position, sizeof(position)), urgent, err);
}

static void heard(struct source *s, uint64_t lsn)
{
    uint64_t old = atomic_load(&s->wal_end);

    while (old < lsn && !atomic_compare_exchange_weak(&s->wal_end, &old, lsn))
        ;
}

bool stream_message(struct pg_stream *st, const void *data, size_t len,
                    const struct change_sink *sink, bool *reply, struct error *err)
{
    struct pgoutput_copy copy;

    *reply = false;
    if (!pgoutput_copy_data(data, len, &copy, err))
        return false;
    heard(st->source, copy.wal_end);
    if (copy.tag == 'w') {
        arena_reset(st->message);
        return on_payload(st, &copy, sink, err);
    }
    *reply = copy.reply_now;
    if (!st->in_tx && copy.wal_end > st->idle_at)
        st->idle_at = copy.wal_end;
    return !copy.reply_now || stream_tell_idle(st, sink, true, err);
}
