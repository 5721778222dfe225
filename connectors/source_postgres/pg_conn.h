/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Postgres connection whose session settings are pinned, so that a value has the same text
 * whatever postgresql.conf, ALTER DATABASE or ALTER ROLE say. Every wait is a poll that a cancel
 * ends with ERROR_RETRY; connecting takes 5 s at most (a resolver that hangs excepted); a dead
 * link is noticed within 60 s by TCP keepalives. One thread at a time.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_PG_CONN_H
#define PENSTOCK_SOURCE_POSTGRES_PG_CONN_H

#include "util/error.h"

#include <libpq-fe.h>
#include <stdint.h>

/* A flag that wakes polls. Set by any thread; stays set until pg_cancel_clear. */
struct pg_cancel {
    int fd; /* an eventfd, readable while set */
};

void pg_cancel_init(struct pg_cancel *c);
void pg_cancel_set(struct pg_cancel *c);
void pg_cancel_clear(struct pg_cancel *c);
void pg_cancel_close(struct pg_cancel *c);

/* Where to connect; strings borrowed. Immutable once made, shared by threads. */
struct pg_target {
    const char *host; /* a directory: unix socket */
    const char *user; /* NULL: libpq's default, the name of the process's user */
    const char *password;
    const char *dbname;
    struct {
        const char *mode, *rootcert, *cert, *key, *password; /* NULL: libpq's default */
    } tls;
    const char *name; /* of the connector, for application_name */
    int port;
    struct pg_cancel *cancel;
};

struct pg_conn {
    PGconn *pg;
    const struct pg_target *target;
};

/* role: what it is for ("control"); shown in application_name. replication: a walsender. */
MUST_CHECK bool pg_conn_open(struct pg_conn **out, const struct pg_target *t, const char *role,
                             bool replication, struct error *err);
void pg_conn_close(struct pg_conn *c); /* accepts NULL */
/* Ends the session from the server's side too, where it waits for something and would not notice
 * that we are gone; then closes. */
void pg_conn_kill(struct pg_conn *c);
bool pg_conn_alive(const struct pg_conn *c);

/*
 * Waits until the socket can be read (or written, with pending output), at most until the
 * monotonic time deadline_ms (-1: none). True also when the time is over (*ready false).
 */
MUST_CHECK bool pg_wait(struct pg_conn *c, int64_t deadline_ms, bool *ready, struct error *err);

/*
 * Runs sql (may be several statements) and hands out the last result, a success; res may be NULL.
 * The caller PQclears it. what names the purpose in errors.
 */
MUST_CHECK bool pg_query(struct pg_conn *c, const char *what, const char *sql, PGresult **res,
                         struct error *err);
/* The same in two halves, for what takes long: *res stays NULL when deadline_ms passes first. */
MUST_CHECK bool pg_send(struct pg_conn *c, const char *what, const char *sql, struct error *err);
MUST_CHECK bool pg_receive(struct pg_conn *c, const char *what, int64_t deadline_ms, PGresult **res,
                           struct error *err);

/* The next row of a COPY TO STDOUT, to be freed by PQfreemem; *row NULL at its end. */
MUST_CHECK bool pg_copy_next(struct pg_conn *c, const char *what, char **row, int *len,
                             struct error *err);

/* Field of a result as integer; 0 if NULL. */
int64_t pg_int(const PGresult *res, int row, int col);
bool pg_bool(const PGresult *res, int row, int col);

#endif
