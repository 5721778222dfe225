/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: libpq's asynchronous interface under one poll loop. Settings travel in the start-up
 * packet's `options`, so that they hold from the first byte, in walsender sessions too.
 */
#include "source_postgres/pg_conn.h"

#include "common/pg_error.h"
#include "util/buf.h"
#include "util/causes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 5000
#define KILL_TIMEOUT_MS 3000

/* Everything that changes the bytes of a value, and every time limit that would end us. */
static const char session_options[] =
    "-c datestyle=ISO,YMD -c intervalstyle=postgres -c extra_float_digits=3 -c bytea_output=hex "
    "-c timezone=UTC -c lc_monetary=C -c search_path= -c standard_conforming_strings=on "
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 "
    "-c row_security=off -c quote_all_identifiers=off -c default_transaction_read_only=off "
    "-c default_transaction_deferrable=off -c jit=off";

void pg_cancel_init(struct pg_cancel *c)
{
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void pg_cancel_set(struct pg_cancel *c)
{
    uint64_t one = 1;
    ssize_t ignored = write(c->fd, &one, sizeof(one));

    (void)ignored; /* full means set */
}

void pg_cancel_clear(struct pg_cancel *c)
{
    uint64_t n;
    ssize_t ignored = read(c->fd, &n, sizeof(n));

    (void)ignored; /* empty means clear */
}

void pg_cancel_close(struct pg_cancel *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void ignore_notice(void *arg, const PGresult *res)
{
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    (void)arg;
    if (text != NULL)
        log_debug("postgres notice: %s", text);
}

/* Polls the socket and the cancel's descriptor. */
static bool wait_socket(int sock, short events, const struct pg_cancel *cancel, int64_t deadline_ms,
                        bool *ready, struct error *err)
{
    struct pollfd fds[2] = {{.fd = sock, .events = events},
                            {.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
    int64_t left = -1;
    int n;

    *ready = false;
    if (deadline_ms >= 0) {
        left = deadline_ms - clock_mono_ms();
        if (left < 0)
            left = 0;
        if (left > 60000)
            left = 60000;
    }
    do {
        n = poll(fds, 2, (int)left);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_set(err, ERROR_FATAL, "poll: %s", strerror(errno));
    if (fds[1].revents != 0)
        return error_cause(err, CAUSE_CANCELLED, "cancelled");
    *ready = fds[0].revents != 0;
    return true;
}

static PGconn *start_connection(const struct pg_target *t, const char *role, bool replication)
{
    char port[16];
    char app[128];
    const char *keys[24];
    const char *vals[24];
    int n = 0;

    snprintf(port, sizeof(port), "%d", t->port);
    snprintf(app, sizeof(app), "penstock:%s:%s", t->name, role);
#define PARAM(k, v) (keys[n] = (k), vals[n++] = (v))
    PARAM("host", t->host);
    PARAM("port", port);
    PARAM("dbname", t->dbname);
    /* Those that are NULL are libpq's to choose. */
    PARAM("user", t->user);
    PARAM("password", t->password);
    PARAM("sslmode", t->tls.mode);
    PARAM("sslrootcert", t->tls.rootcert);
    PARAM("sslcert", t->tls.cert);
    PARAM("sslkey", t->tls.key);
    PARAM("sslpassword", t->tls.password);
    PARAM("client_encoding", "UTF8");
    PARAM("options", session_options);
    PARAM("application_name", app);
    PARAM("keepalives", "1");
    PARAM("keepalives_idle", "20");
    PARAM("keepalives_interval", "10");
    PARAM("keepalives_count", "3");
    PARAM("tcp_user_timeout", "60000");
    if (replication)
        PARAM("replication", "database");
#undef PARAM
    keys[n] = vals[n] = NULL;
    return PQconnectStartParams(keys, vals, 0);
}

/* Drives a started connection to its end; false on failure, timeout or cancel. */
static bool finish_connection(PGconn *pg, const struct pg_target *t, const char *where,
                              const struct pg_cancel *cancel, int timeout_ms, struct error *err)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    PostgresPollingStatusType st = PGRES_POLLING_WRITING;
    char what[560];
    bool ready;

    snprintf(what, sizeof(what), "connecting to %s as %s", where,
             t->user ? t->user : "the default user");
    if (pg == NULL || PQstatus(pg) == CONNECTION_BAD)
        return pg_error_connect(PG_SOURCE, err, pg, what);
    PQsetErrorVerbosity(pg, PQERRORS_VERBOSE); /* so that the text holds the SQLSTATE */
    while (st != PGRES_POLLING_OK) {
        if (!wait_socket(PQsocket(pg), st == PGRES_POLLING_READING ? POLLIN : POLLOUT, cancel,
                         deadline, &ready, err))
            return error_prefix(err, "%s", what);
        if (!ready && clock_mono_ms() >= deadline)
            return pg_error_timeout(PG_SOURCE, err, what, timeout_ms);
        if (!ready)
            continue;
        st = PQconnectPoll(pg);
        if (st == PGRES_POLLING_FAILED)
            return pg_error_connect(PG_SOURCE, err, pg, what);
    }
    return true;
}

/* Some poolers drop `options`. What the server reports of its own settings tells, for nothing. */
static bool settings_arrived(PGconn *pg)
{
    static const char *const want[][2] = {{"DateStyle", "ISO, YMD"},
                                          {"TimeZone", "UTC"},
                                          {"IntervalStyle", "postgres"},
                                          {"standard_conforming_strings", "on"}};
    size_t i;

    for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        const char *is = PQparameterStatus(pg, want[i][0]);

        if (is != NULL && strcmp(is, want[i][1]) != 0)
            return false;
    }
    return true;
}

static bool open_with(struct pg_conn **out, const struct pg_target *t, const char *role,
                      bool replication, const struct pg_cancel *cancel, int timeout_ms,
                      struct error *err)
{
    struct pg_conn *c = mem_calloc(1, sizeof(*c));
    char where[512];

    snprintf(where, sizeof(where),
             t->host[0] == '/' ? "%s (socket, port %d), database %s" : "%s:%d, database %s",
             t->host, t->port, t->dbname);
    c->target = t;
    c->pg = start_connection(t, role, replication);
    if (!finish_connection(c->pg, t, where, cancel, timeout_ms, err))
        goto fail;
    PQsetNoticeReceiver(c->pg, ignore_notice, NULL);
    if (!settings_arrived(c->pg)) {
        error_cause(err, CAUSE_POOLER_BETWEEN,
                    "connecting to %s: the session's settings do not reach the server", where);
        goto fail;
    }
    if (PQsetnonblocking(c->pg, 1) != 0) {
        pg_error_lost(PG_SOURCE, err, c->pg, "connecting");
        goto fail;
    }
    /* Unknown before 14, where it would refuse the start-up packet. */
    if (PQserverVersion(c->pg) >= 140000 &&
        !pg_query(c, "setting up the session", "SET idle_session_timeout = 0", NULL, err))
        goto fail;
    *out = c;
    return true;
fail:
    pg_conn_close(c);
    return false;
}

bool pg_conn_open(struct pg_conn **out, const struct pg_target *t, const char *role,
                  bool replication, struct error *err)
{
    return open_with(out, t, role, replication, t->cancel, CONNECT_TIMEOUT_MS, err);
}

void pg_conn_close(struct pg_conn *c)
{
    if (c == NULL)
        return;
    PQfinish(c->pg);
    mem_free(c);
}

void pg_conn_kill(struct pg_conn *c)
{
    struct pg_conn *side = NULL;
    struct pg_target t;
    struct error err;
    char sql[80];
    PGresult *res = NULL;

    if (c == NULL)
        return;
    t = *c->target;
    t.cancel = NULL; /* this is what a cancel does */
    if (open_with(&side, &t, "kill", false, NULL, KILL_TIMEOUT_MS, &err)) {
        snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)", PQbackendPID(c->pg));
        if (pg_send(side, "ending a session", sql, &err) &&
            pg_receive(side, "ending a session", clock_mono_ms() + KILL_TIMEOUT_MS, &res, &err))
            PQclear(res);
    }
    pg_conn_close(side);
    pg_conn_close(c);
}

bool pg_conn_alive(const struct pg_conn *c)
{
    return c != NULL && PQstatus(c->pg) == CONNECTION_OK;
}

bool pg_wait(struct pg_conn *c, int64_t deadline_ms, bool *ready, struct error *err)
{
    int pending = PQflush(c->pg);

    *ready = false;
    if (pending < 0)
        return pg_error_lost(PG_SOURCE, err, c->pg, "sending");
    return wait_socket(PQsocket(c->pg), pending > 0 ? POLLIN | POLLOUT : POLLIN, c->target->cancel,
                       deadline_ms, ready, err);
}

bool pg_send(struct pg_conn *c, const char *what, const char *sql, struct error *err)
{
    if (!PQsendQuery(c->pg, sql))
        return pg_error_lost(PG_SOURCE, err, c->pg, what);
    return true;
}

/* Waits until PQgetResult does not block; *ready false if the time was over first. */
static bool wait_result(struct pg_conn *c, const char *what, int64_t deadline_ms, bool *ready,
                        struct error *err)
{
    int flushed = PQflush(c->pg);
    bool readable;

    *ready = false;
    while (flushed > 0 || PQisBusy(c->pg)) {
        if (!pg_wait(c, deadline_ms, &readable, err))
            return error_prefix(err, "%s", what);
        if (readable && !PQconsumeInput(c->pg))
            return pg_error_lost(PG_SOURCE, err, c->pg, what);
        if (!readable && deadline_ms >= 0 && clock_mono_ms() >= deadline_ms)
            return true;
        flushed = PQflush(c->pg);
    }
    *ready = true;
    return true;
}

static bool is_success(ExecStatusType st)
{
    return st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK || st == PGRES_COPY_OUT ||
           st == PGRES_COPY_BOTH || st == PGRES_EMPTY_QUERY;
}

bool pg_receive(struct pg_conn *c, const char *what, int64_t deadline_ms, PGresult **res,
                struct error *err)
{
    PGresult *last = NULL;

    *res = NULL;
    for (;;) {
        bool ready;
        PGresult *r;

        if (!wait_result(c, what, deadline_ms, &ready, err))
            goto fail;
        if (!ready && last == NULL)
            return true;
        if (!ready)
            continue; /* only the end of the answer is missing */
        r = PQgetResult(c->pg);
        if (r == NULL)
            break;
        if (last != NULL && !is_success(PQresultStatus(last))) {
            PQclear(r); /* the first failure is the one to report */
            continue;
        }
        PQclear(last);
        last = r;
        if (PQresultStatus(r) == PGRES_COPY_OUT || PQresultStatus(r) == PGRES_COPY_BOTH)
            break; /* what follows is data */
        if (PQresultStatus(r) == PGRES_COPY_IN || PQstatus(c->pg) == CONNECTION_BAD)
            break; /* the server ended its half of a stream, or everything */
    }
    if (last == NULL) {
        pg_error_lost(PG_SOURCE, err, c->pg, what);
        goto fail;
    }
    if (!is_success(PQresultStatus(last))) {
        pg_error_result(PG_SOURCE, err, c->pg, last, what);
        goto fail;
    }
    *res = last;
    return true;
fail:
    PQclear(last);
    return false;
}

bool pg_query(struct pg_conn *c, const char *what, const char *sql, PGresult **res,
              struct error *err)
{
    PGresult *r = NULL;

    if (!pg_send(c, what, sql, err) || !pg_receive(c, what, -1, &r, err))
        return false;
    if (res != NULL)
        *res = r;
    else
        PQclear(r);
    return true;
}

bool pg_copy_next(struct pg_conn *c, const char *what, char **row, int *len, struct error *err)
{
    for (;;) {
        int n = PQgetCopyData(c->pg, row, 1);
        PGresult *res;
        bool ready;

        if (n > 0) {
            *len = n;
            return true;
        }
        *row = NULL;
        if (n == 0) {
            if (!pg_wait(c, -1, &ready, err))
                return error_prefix(err, "%s", what);
            if (ready && !PQconsumeInput(c->pg))
                return pg_error_lost(PG_SOURCE, err, c->pg, what);
            continue;
        }
        if (n < -1)
            return pg_error_lost(PG_SOURCE, err, c->pg, what);
        if (!pg_receive(c, what, -1, &res, err))
            return false;
        PQclear(res);
        return true;
    }
}

int64_t pg_int(const PGresult *res, int row, int col)
{
    return PQgetisnull(res, row, col) ? 0 : strtoll(PQgetvalue(res, row, col), NULL, 10);
}

bool pg_bool(const PGresult *res, int row, int col)
{
    return !PQgetisnull(res, row, col) && PQgetvalue(res, row, col)[0] == 't';
}
