/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One session's statements. libpq is used non-blocking: every wait is a poll of the socket and of
 * an eventfd that cancel() writes from any thread. A cancelled session asks the server to stop the
 * statement, waits 3 s for it, then counts as broken; it stays cancelled, so that nothing more is
 * started by a caller that has not heard of it. A broken session says so on every use.
 */
#include "common/pg_error.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"
#include "warehouse_postgres/wpg.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CANCEL_WAIT_MS 3000
#define DRAIN_WAIT_MS 2000

bool wpg_session_open(struct warehouse *w, const char *name, struct session **out,
                      struct error *err)
{
    struct session *s;
    PGconn *conn;

    if (!wpg_connect_pinned(w, name, &conn, err))
        return false;
    s = mem_calloc(1, sizeof(*s));
    s->w = w;
    s->conn = conn;
    s->name = mem_strdup(name);
    s->pid = PQbackendPID(conn);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0 || PQsetnonblocking(conn, 1) != 0) {
        error_set(err, ERROR_RETRY, "cannot make a session: %s", strerror(errno));
        if (s->wake_fd >= 0)
            close(s->wake_fd);
        PQfinish(conn);
        mem_free(s->name);
        mem_free(s);
        return false;
    }
    pthread_mutex_lock(&w->mutex);
    s->next = w->sessions;
    w->sessions = s;
    pthread_mutex_unlock(&w->mutex);
    *out = s;
    return true;
}

void wpg_session_close(struct session *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->w->mutex);
    for (struct session **p = &s->w->sessions; *p != NULL; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            break;
        }
    pthread_mutex_unlock(&s->w->mutex);
    PQfinish(s->conn);
    close(s->wake_fd);
    mem_free(s->name);
    mem_free(s);
}

void wpg_session_cancel(struct session *s)
{
    uint64_t one = 1;

    atomic_store(&s->cancelled, true);
    if (write(s->wake_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it has been written before */
}

static bool fail_broken(const struct session *s, struct error *err)
{
    return error_cause(err, CAUSE_CONNECTION_LOST, "session \"%s\": the connection is lost",
                       s->name);
}

static bool fail_cancelled(const struct session *s, struct error *err)
{
    return error_cause(err, CAUSE_CANCELLED, "session \"%s\" was cancelled", s->name);
}

bool wpg_usable(const struct session *s, struct error *err)
{
    if (atomic_load(&s->cancelled))
        return fail_cancelled(s, err);
    if (s->broken)
        return fail_broken(s, err);
    return true;
}

/* PQcancel makes a connection of its own and may block on a silent host: not on our thread. */
static void *send_cancel(void *arg)
{
    PGcancel *cancel = arg;
    char why[256];

    PQcancel(cancel, why, sizeof(why)); /* best effort: the wait for the statement is bounded */
    PQfreeCancel(cancel);
    return NULL;
}

static void ask_to_stop(struct session *s)
{
    PGcancel *cancel = PQgetCancel(s->conn);
    pthread_attr_t attr;
    pthread_t thread;

    s->give_up_at = clock_mono_ms() + CANCEL_WAIT_MS;
    if (cancel == NULL)
        return;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, send_cancel, cancel) != 0)
        PQfreeCancel(cancel);
    pthread_attr_destroy(&attr);
}

/*
 * Waits for events on the socket, timeout_ms at most (-1: for ever). *ready: something is there.
 * False (and broken) when a cancelled statement did not end in time.
 */
static bool wait_socket(struct session *s, short events, int timeout_ms, bool *ready,
                        struct error *err)
{
    struct pollfd p[2] = {{.fd = PQsocket(s->conn), .events = events},
                          {.fd = s->wake_fd, .events = POLLIN}};

    *ready = false;
    if (s->give_up_at == 0 && atomic_load(&s->cancelled))
        ask_to_stop(s);
    if (s->give_up_at != 0) {
        int64_t left = s->give_up_at - clock_mono_ms();

        if (left <= 0) {
            s->broken = true;
            return fail_cancelled(s, err);
        }
        if (timeout_ms < 0 || left < timeout_ms)
            timeout_ms = (int)left;
        p[1].fd = -1; /* heard */
    }
    if (p[0].fd < 0) {
        s->broken = true;
        return fail_broken(s, err);
    }
    if (poll(p, 2, timeout_ms) < 0 && errno != EINTR) {
        s->broken = true;
        return error_set(err, ERROR_RETRY, "poll: %s", strerror(errno));
    }
    *ready = p[0].revents != 0;
    return true;
}

/* A server that ends the session still has its reason in the input: it is in the next result. */
static bool fail_lost(struct session *s, struct error *err)
{
    PGresult *res = PQgetResult(s->conn);

    pg_error_result(PG_WAREHOUSE, err, s->conn, res, NULL);
    PQclear(res);
    s->broken = true;
    if (err != NULL && err->kind == ERROR_FATAL)
        err->kind = ERROR_RETRY;
    return false;
}

bool wpg_flush(struct session *s, struct error *err)
{
    bool ready;

    for (;;) {
        int left = PQflush(s->conn);

        if (left == 0)
            return true;
        if (left < 0)
            return fail_lost(s, err);
        /* Reading too: a server that sends us an error does not read on. */
        if (!wait_socket(s, POLLIN | POLLOUT, -1, &ready, err))
            return false;
        if (ready && PQconsumeInput(s->conn) == 0)
            return fail_lost(s, err);
    }
}

bool wpg_wait_input(struct session *s, struct error *err)
{
    bool ready = false;

    while (!ready) {
        if (!wait_socket(s, POLLIN, -1, &ready, err))
            return false;
    }
    return PQconsumeInput(s->conn) != 0 || fail_lost(s, err);
}

bool wpg_next_result(struct session *s, bool watch, PGresult **out, struct error *err)
{
    struct wpg_watch w;
    bool ok = true, ready;

    *out = NULL;
    if (!wpg_flush(s, err))
        return false;
    wpg_watch_start(&w);
    while (ok && PQisBusy(s->conn)) {
        if (!wait_socket(s, POLLIN, watch ? wpg_watch_wait_ms(&w) : -1, &ready, err))
            ok = false;
        else if (ready && PQconsumeInput(s->conn) == 0)
            ok = fail_lost(s, err);
        else if (!ready && watch)
            wpg_watch_look(&w, s);
    }
    wpg_watch_end(&w);
    if (ok)
        *out = PQgetResult(s->conn);
    return ok;
}

static bool stops_reading(const PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);

    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* A statement that gave up waiting for a lock: whose it is. */
static void say_blocker(const struct session *s, struct error *err)
{
    if (err != NULL && s->blocker[0] != '\0' && strcmp(err->sqlstate, "55P03") == 0)
        error_prefix(err, "a lock is held by %s", s->blocker);
}

bool wpg_run(struct session *s, const char *sql, ExecStatusType want, ExecStatusType or_want,
             PGresult **out, struct error *err)
{
    PGresult *last = NULL, *res;
    ExecStatusType status;

    *out = NULL;
    s->blocker[0] = '\0';
    if (!wpg_usable(s, err))
        return false;
    if (PQsendQuery(s->conn, sql) == 0)
        return fail_lost(s, err);
    for (;;) {
        if (!wpg_next_result(s, true, &res, err)) {
            PQclear(last);
            return false;
        }
        if (res == NULL)
            break;
        /* The first failure is the reason; what follows it is its consequence. */
        if (last != NULL && PQresultStatus(last) == PGRES_FATAL_ERROR) {
            PQclear(res);
        } else {
            PQclear(last);
            last = res;
        }
        if (stops_reading(last) || PQstatus(s->conn) != CONNECTION_OK)
            break;
    }
    status = PQresultStatus(last);
    if (last != NULL && (status == want || status == or_want)) {
        *out = last;
        return true;
    }
    if (stops_reading(last)) {
        error_set(err, ERROR_FATAL, "COPY in a statement that is none");
        s->broken = true;
    } else if (last != NULL && PQstatus(s->conn) == CONNECTION_OK && status != PGRES_FATAL_ERROR) {
        error_set(err, ERROR_FATAL, "a statement answered %s", PQresStatus(status));
    } else {
        pg_error_result(PG_WAREHOUSE, err, s->conn, last, NULL);
        say_blocker(s, err);
        s->broken = s->broken || PQstatus(s->conn) != CONNECTION_OK;
    }
    PQclear(last);
    return false;
}

void wpg_drain(struct session *s)
{
    int64_t deadline = clock_mono_ms() + DRAIN_WAIT_MS;

    while (!s->broken) {
        struct pollfd p = {.fd = PQsocket(s->conn), .events = POLLIN};
        int64_t left = deadline - clock_mono_ms();
        PGresult *res;

        if (left <= 0 || p.fd < 0) {
            s->broken = true;
            return;
        }
        if (PQflush(s->conn) > 0)
            p.events |= POLLOUT;
        if (PQisBusy(s->conn)) {
            if (poll(&p, 1, (int)left) > 0 && PQconsumeInput(s->conn) == 0)
                s->broken = true;
            continue;
        }
        res = PQgetResult(s->conn);
        if (res == NULL)
            return;
        if (PQresultStatus(res) == PGRES_COPY_IN)
            PQputCopyEnd(s->conn, "aborted");
        else if (PQresultStatus(res) == PGRES_COPY_OUT || PQstatus(s->conn) != CONNECTION_OK)
            s->broken = true;
        PQclear(res);
    }
}

bool wpg_exec(struct session *s, const char *sql, int64_t *affected, struct error *err)
{
    PGresult *res;

    if (!wpg_run(s, sql, PGRES_COMMAND_OK, PGRES_TUPLES_OK, &res, err))
        return false;
    if (affected != NULL)
        *affected = strtoll(PQcmdTuples(res), NULL, 10);
    PQclear(res);
    return true;
}

bool wpg_query(struct session *s, struct arena *a, const char *sql, struct rowset *out,
               struct error *err)
{
    PGresult *res;

    if (!wpg_run(s, sql, PGRES_TUPLES_OK, PGRES_COMMAND_OK, &res, err))
        return false;
    out->nrows = PQntuples(res);
    out->ncols = PQnfields(res);
    out->cells = arena_calloc(a, (size_t)out->nrows * (size_t)out->ncols + 1, sizeof(char *));
    for (int r = 0; r < out->nrows; r++)
        for (int c = 0; c < out->ncols; c++)
            if (!PQgetisnull(res, r, c))
                out->cells[r * out->ncols + c] =
                    arena_memdup(a, PQgetvalue(res, r, c), (size_t)PQgetlength(res, r, c) + 1);
    PQclear(res);
    return true;
}

bool wpg_begin(struct session *s, struct error *err)
{
    return wpg_exec(s, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", NULL, err);
}

bool wpg_commit(struct session *s, struct error *err)
{
    PGresult *res;
    bool committed;

    FAILPOINT("wpg.before-commit");
    if (!wpg_run(s, "COMMIT", PGRES_COMMAND_OK, PGRES_COMMAND_OK, &res, err)) {
        error_prefix(err, "COMMIT");
        return false;
    }
    /* COMMIT of a failed transaction succeeds as ROLLBACK; outside of one it is a warning. */
    committed = strcmp(PQcmdStatus(res), "COMMIT") == 0;
    PQclear(res);
    if (!committed)
        return error_set(err, ERROR_RETRY,
                         "COMMIT: the transaction had failed and was rolled back");
    FAILPOINT("wpg.after-commit");
    return true;
}

void wpg_rollback(struct session *s)
{
    PGTransactionStatusType state;

    if (s->broken)
        return;
    state = PQtransactionStatus(s->conn);
    if (state == PQTRANS_ACTIVE) { /* an abandoned COPY or statement */
        wpg_drain(s);
        state = PQtransactionStatus(s->conn);
    }
    if (s->broken || state == PQTRANS_IDLE)
        return;
    if (PQsendQuery(s->conn, "ROLLBACK") == 0)
        s->broken = true;
    else
        wpg_drain(s);
    if (!s->broken && PQtransactionStatus(s->conn) != PQTRANS_IDLE)
        s->broken = true;
}
