/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream's connection. Status tells the server only what the warehouse's checkpoint says
 * (never how far we have read), so that confirmed_flush_lsn ahead of the checkpoint stays the sign
 * of real loss. It is sent at a quarter of wal_sender_timeout, 10 s at most, also while the engine
 * holds the stream back: a server that is blocked in sending still reads it.
 *
 * Reads as fast as the server writes and never naps: waiting for more bytes was measured to halve
 * the rate on unix sockets. A call hands on what is there for SLICE_MS at most. A busy server sends
 * row by row, and each would end a call: so a call goes on until the stream pauses (PAUSE_MS) or
 * TRICKLE_MS are over, and the engine hands on what came as one piece.
 */
#include "source_postgres/stream.h"

#include "common/pg_error.h"
#include "source_postgres/heartbeat.h"
#include "source_postgres/point.h"
#include "source_postgres/slot.h"
#include "source_postgres/stream_internal.h"
#include "source_postgres/timeline.h"
#include "source_postgres/watch.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define SILENT_MS 40000
#define SLICE_MS 100        /* of one call while more is waiting */
#define TRICKLE_MS 5        /* of one call while row after row comes */
#define PAUSE_MS 1          /* without a row: the stream pauses */
#define LOOK_UP_EVERY 256   /* messages between looks at the clock */
#define STATUS_MAX_MS 10000 /* at least so often */
#define STATUS_LEAST_MS 100 /* and not more often, unless the server asks */

static bool slot_is_there(struct source *s, uint64_t position, struct error *err)
{
    struct mark m;
    uint64_t confirmed;

    if (!slot_mark_read(s, &m, err))
        return false;
    if (m.state == MARK_MISSING)
        error_cause(err, CAUSE_SLOT_MISSING,
                    "replication slot \"%s\" is gone: the log since the checkpoint "
                    "was not kept",
                    s->settings.slot);
    else if (m.state == MARK_LOST)
        error_cause(err, CAUSE_SLOT_LOST, "%s", m.why);
    else if (pg_lsn_parse(m.position, &confirmed) && confirmed > position)
        /* By another process that is at work, or the checkpoint that we hold is old: whether
         * anything is lost is judged when both have been read again. */
        error_cause(err, CAUSE_SLOT_MOVED,
                    "replication slot \"%s\" was moved to %s since the checkpoint was read",
                    s->settings.slot, m.position);
    else
        return true;
    return false;
}

static bool read_timeout(struct pg_stream *st, struct error *err)
{
    PGresult *res;
    int64_t ms;

    if (!pg_query(st->conn, "reading wal_sender_timeout",
                  "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'",
                  &res, err))
        return false;
    ms = PQntuples(res) > 0 ? pg_int(res, 0, 0) / 4 : 0;
    PQclear(res);
    st->status_every_ms = ms > 0 && ms < STATUS_MAX_MS ? ms : STATUS_MAX_MS;
    return true;
}

static bool start_replication(struct pg_stream *st, struct error *err)
{
    const struct pg_settings *set = &st->source->settings;
    char position[PG_LSN_SIZE];
    struct buf ident = {0}, sql = {0};
    bool ok;

    /* publication_names is a list of SQL identifiers inside a string. */
    buf_sql_ident(&ident, set->publication);
    buf_puts(&sql, "START_REPLICATION SLOT ");
    buf_sql_ident(&sql, set->slot);
    buf_printf(&sql, " LOGICAL %s (proto_version '1', publication_names ",
               pg_lsn_text(st->start, position, sizeof(position)));
    buf_sql_string(&sql, buf_cstr(&ident));
    buf_puts(&sql, ")");
    ok = pg_query(st->conn, "starting the stream", buf_cstr(&sql), NULL, err);
    buf_free(&ident);
    buf_free(&sql);
    if (!ok && strcmp(err->sqlstate, "55000") == 0)
        error_because(err, CAUSE_SLOT_LOST); /* the slot was invalidated */
    return ok;
}

static void stream_free(struct pg_stream *st)
{
    if (st == NULL)
        return;
    pg_conn_close(st->conn);
    relations_free(st->relations);
    pgoutput_decoder_free(&st->decoder);
    arena_free(st->message);
    mem_free(st);
}

bool stream_start(struct source *s, const char *position, const struct stream_table *tables, int n,
                  struct error *err)
{
    struct pg_stream *st;
    uint64_t start;

    stream_stop(s);
    if (!pg_lsn_parse(position, &start) || start == 0)
        return error_cause(err, CAUSE_BOOKS_UNREADABLE,
                           "the checkpoint's position \"%s\" is not an LSN", position);
    if (!slot_is_there(s, start, err))
        return false;
    st = mem_calloc(1, sizeof(*st));
    st->source = s;
    st->start = st->idle_at = st->idle_told = st->status_lsn = start;
    st->message = arena_new("message");
    st->heard_ms = clock_mono_ms();
    st->relations = relations_new(s, tables, n);
    atomic_store(&s->acked, start);
    atomic_store(&s->urgent, false);
    pg_cancel_clear(&s->wake);
    if (!watch_start(s->watch, st->relations, tables, n, err) ||
        !relations_prepare(st->relations, tables, n, err) ||
        !pg_conn_open(&st->conn, &s->target, "stream", true, err) ||
        !timeline_same(s, st->conn, err) || !read_timeout(st, err) || !start_replication(st, err)) {
        watch_stop(s->watch);
        stream_free(st);
        return false;
    }
    s->stream = st;
    FAILPOINT("stream.after-start");
    return true;
}

void stream_stop(struct source *s)
{
    if (s->watch != NULL)
        watch_stop(s->watch);
    heartbeat_stop(s->heartbeat);
    stream_free(s->stream);
    s->stream = NULL;
}

bool stream_table(struct source *s, const struct stream_table *t, struct source_point *p,
                  struct error *err)
{
    if (s->stream == NULL)
        return error_set(err, ERROR_RETRY, "there is no stream");
    relations_install(s->stream->relations, t);
    watch_table(s->watch, t->table->oid, p != NULL ? p->s->watch : NULL,
                p != NULL ? (int64_t)p->s_lsn : 0);
    return true;
}

/* Why the stream ended. Always an error: we never end it ourselves. */
static bool stream_ended(struct pg_stream *st, struct error *err)
{
    PGresult *res = NULL;
    struct buf name = {0};

    if (pg_conn_alive(st->conn))
        error_cause(err, CAUSE_CONNECTION_LOST, "the server ended the stream");
    else
        pg_error_lost(PG_SOURCE, err, st->conn->pg, "streaming");
    while (pg_conn_alive(st->conn)) {
        if (!pg_receive(st->conn, "streaming", clock_mono_ms() + 1000, &res, err))
            break;
        if (res == NULL || PQresultStatus(res) != PGRES_COPY_OUT) {
            error_cause(err, CAUSE_CONNECTION_LOST, "the server ended the stream");
            break;
        }
        PQclear(res);
        res = NULL;
    }
    PQclear(res);
    if (err->sqlstate[0] == '\0')
        return false;
    if (strcmp(err->sqlstate, "42704") == 0) {
        buf_sql_ident(&name, st->source->settings.publication);
        error_because(err, CAUSE_PUBLICATION_GAP);
        error_fill(err, "publication", buf_cstr(&name));
        buf_free(&name);
    }
    return false;
}

static bool send_status(struct pg_stream *st, struct error *err)
{
    uint8_t msg[PGOUTPUT_STATUS_SIZE];
    uint64_t acked = atomic_load(&st->source->acked);

    if (acked != st->status_lsn) { /* what made it urgent has been answered */
        atomic_store(&st->source->urgent, false);
        FAILPOINT("stream.before-acknowledge");
    }
    pgoutput_status(msg, acked, acked, acked, clock_wall_us() - VALUE_EPOCH_SHIFT_US, false);
    if (PQputCopyData(st->conn->pg, (const char *)msg, sizeof(msg)) < 0 ||
        PQflush(st->conn->pg) < 0)
        return pg_error_lost(PG_SOURCE, err, st->conn->pg, "sending status");
    if (acked != st->status_lsn)
        FAILPOINT("stream.after-acknowledge");
    st->status_at_ms = clock_mono_ms();
    st->status_lsn = acked;
    return true;
}

/* Milliseconds until status is due; 0: now. */
static int64_t status_due(const struct pg_stream *st, int64_t now)
{
    struct source *s = st->source;
    int64_t since = now - st->status_at_ms;
    int64_t wait = st->status_every_ms;

    if (atomic_load(&s->acked) != st->status_lsn)
        wait = atomic_load(&s->urgent) ? 0 : STATUS_LEAST_MS;
    return since >= wait ? 0 : wait - since;
}

static bool keep_up(struct pg_stream *st, struct error *err)
{
    pg_cancel_clear(&st->source->wake);
    if (status_due(st, clock_mono_ms()) == 0 && !send_status(st, err))
        return false;
    if (PQflush(st->conn->pg) < 0)
        return pg_error_lost(PG_SOURCE, err, st->conn->pg, "sending status");
    return true;
}

bool stream_tick(struct source *s, struct error *err)
{
    if (s->stream == NULL)
        return error_set(err, ERROR_RETRY, "there is no stream");
    return keep_up(s->stream, err);
}

static bool is_cancelled(const struct source *s)
{
    struct pollfd fd = {.fd = s->cancel.fd, .events = POLLIN};

    return poll(&fd, 1, 0) > 0;
}

static bool take_message(struct pg_stream *st, char *data, int len, const struct change_sink *sink,
                         struct error *err)
{
    bool reply;

    if (!stream_message(st, data, (size_t)len, sink, &reply, err))
        return false;
    if (!reply)
        return true;
    atomic_store(&st->source->urgent, true); /* the next acknowledgement goes at once, too */
    return send_status(st, err);
}

/*
 * Reads once and hands on messages until none is left in libpq or the slice is over. What an
 * encrypted connection has read already is not seen by poll: there it reads until nothing comes.
 */
static bool take_messages(struct pg_stream *st, int64_t slice_end, const struct change_sink *sink,
                          bool *got, bool *more, struct error *err)
{
    bool again = PQsslInUse(st->conn->pg) || PQgssEncInUse(st->conn->pg);
    bool read = false;
    int count = 0;

    for (;;) {
        char *data;
        int len = PQgetCopyData(st->conn->pg, &data, 1);
        bool ok;

        *more = false;
        if (len == 0 && (again || !read)) {
            if (!PQconsumeInput(st->conn->pg))
                return stream_ended(st, err);
            read = true;
            len = PQgetCopyData(st->conn->pg, &data, 1);
        }
        if (len == 0)
            return true;
        if (len < 0)
            return stream_ended(st, err);
        *got = *more = true;
        ok = take_message(st, data, len, sink, err);
        PQfreemem(data);
        if (!ok)
            return false;
        if (++count % LOOK_UP_EVERY != 0)
            continue;
        if (is_cancelled(st->source))
            return error_cause(err, CAUSE_CANCELLED, "cancelled");
        if (!keep_up(st, err))
            return false;
        if (clock_mono_ms() >= slice_end)
            return true;
    }
}

/* Messages, until for a moment no more come. begin: of the call. */
static bool take_trickle(struct pg_stream *st, int64_t begin, const struct change_sink *sink,
                         bool *got, bool *more, struct error *err)
{
    struct pollfd fd = {.fd = PQsocket(st->conn->pg), .events = POLLIN};

    for (;;) {
        if (!take_messages(st, begin + SLICE_MS, sink, got, more, err))
            return false;
        if (!*got || *more || clock_mono_ms() - begin >= TRICKLE_MS || poll(&fd, 1, PAUSE_MS) <= 0)
            return true;
    }
}

/* Waits for input, an acknowledgement that is waited for, a cancel, or the time. */
static bool wait_input(struct pg_stream *st, int64_t deadline, struct error *err)
{
    struct source *s = st->source;
    int64_t now = clock_mono_ms();
    int64_t wait = deadline - now;
    int64_t due = status_due(st, now);
    bool pending = PQflush(st->conn->pg) > 0;
    struct pollfd fds[3] = {
        {.fd = PQsocket(st->conn->pg), .events = pending ? POLLIN | POLLOUT : POLLIN},
        {.fd = s->cancel.fd, .events = POLLIN},
        {.fd = s->wake.fd, .events = POLLIN},
    };

    if (wait > due)
        wait = due;
    if (st->idle_at > st->idle_told && wait > 50)
        wait = 50; /* the sink has to be told */
    if (poll(fds, 3, wait > 0 ? (int)wait : 0) < 0 && errno != EINTR)
        return error_set(err, ERROR_FATAL, "poll: %s", strerror(errno));
    if (fds[1].revents != 0)
        return error_cause(err, CAUSE_CANCELLED, "cancelled");
    return true;
}

/*
 * A stream may rightly be silent for minutes (the server decodes what is not ours); a server that
 * does not answer the watch's question on another connection either is not there any more, whatever
 * the network's acknowledgements say.
 */
static bool is_alive(struct source *s, struct pg_stream *st, struct error *err)
{
    int64_t now = clock_mono_ms();

    if (now - st->heard_ms < SILENT_MS || watch_unanswered_ms(s->watch, now) < SILENT_MS)
        return true;
    pg_conn_close(s->control); /* it would wait there too */
    s->control = NULL;
    return error_cause(err, CAUSE_SERVER_SILENT,
                       "the server has been silent for %d s on two connections", SILENT_MS / 1000);
}

bool stream_poll(struct source *s, int timeout_ms, const struct change_sink *sink, bool *drained,
                 struct error *err)
{
    struct pg_stream *st = s->stream;
    int64_t begin = clock_mono_ms();
    bool got = false;
    bool more;

    *drained = false;
    if (st == NULL)
        return error_set(err, ERROR_RETRY, "there is no stream");
    for (;;) {
        if (!take_trickle(st, begin, sink, &got, &more, err) ||
            !stream_tell_idle(st, sink, false, err) || !keep_up(st, err) ||
            !watch_poll(s->watch, sink, err))
            return false;
        heartbeat_poll(s->heartbeat);
        *drained = !more;
        if (got)
            st->heard_ms = clock_mono_ms();
        else if (!is_alive(s, st, err))
            return false;
        if (got || clock_mono_ms() >= begin + timeout_ms)
            return true;
        if (!wait_input(st, begin + timeout_ms, err))
            return false;
    }
}

void stream_acknowledge(struct source *s, const char *position)
{
    uint64_t lsn;
    uint64_t old = atomic_load(&s->acked);

    if (!pg_lsn_parse(position, &lsn))
        return;
    while (old < lsn && !atomic_compare_exchange_weak(&s->acked, &old, lsn))
        ;
    if (atomic_load(&s->urgent))
        pg_cancel_set(&s->wake);
}

int64_t stream_lag_bytes(struct source *s, const char *position)
{
    uint64_t end = atomic_load(&s->wal_end);
    uint64_t lsn;

    if (end == 0 || !pg_lsn_parse(position, &lsn))
        return -1;
    return end > lsn ? (int64_t)(end - lsn) : 0;
}

int64_t stream_csn(struct source *s)
{
    return s->stream != NULL ? (int64_t)s->stream->final_lsn : 0;
}
