/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who blocks us. A statement that has waited 2 s is looked up every 2 s from a second connection
 * with pg_blocking_pids; the blocker is logged at most every 10 s. A blocker that is an older
 * session of our own name (up to its last ":", behind which is only its role), and not one of this
 * process, is what a killed or paused predecessor left behind: it is terminated, so that its open
 * transaction does not hold the new owner up.
 * Nothing here fails: a watch that cannot be kept is only not kept.
 */
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "warehouse_postgres/wpg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 2000
#define LOG_MS 10000
#define NAMEDATALEN 64 /* of the server: an application_name has 63 bytes */

/* A prepared transaction has pid 0 and no row in pg_stat_activity. */
static const char blockers_sql[] =
    "SELECT b.pid, coalesce(a.application_name, ''), coalesce(a.usename, ''),"
    " coalesce(a.state, ''), coalesce(a.backend_start < me.backend_start, false)"
    " FROM (SELECT DISTINCT pid FROM unnest(pg_blocking_pids($1::int)) AS u(pid)) b"
    " LEFT JOIN pg_stat_activity a ON a.pid = b.pid"
    " LEFT JOIN pg_stat_activity me ON me.pid = $1::int";

void wpg_watch_start(struct wpg_watch *watch)
{
    memset(watch, 0, sizeof(*watch));
    watch->next_ms = clock_mono_ms() + LOOK_MS;
}

int wpg_watch_wait_ms(const struct wpg_watch *watch)
{
    int64_t left = watch->next_ms - clock_mono_ms();

    return left > 0 ? (int)left : 0;
}

/* True if the server process serves another session of this same warehouse handle. */
static bool is_ours(struct warehouse *w, int pid)
{
    bool found = false;

    pthread_mutex_lock(&w->mutex);
    for (const struct session *s = w->sessions; s != NULL && !found; s = s->next)
        found = s->pid == pid;
    pthread_mutex_unlock(&w->mutex);
    return found;
}

/* "penstock:shop:sink" and "penstock:shop:books" have one owner. The server cuts names. */
static bool same_owner(const char *theirs, const char *ours)
{
    const char *role = strrchr(ours, ':');
    size_t n = role ? (size_t)(role + 1 - ours) : 0;

    if (n == 0 || strlen(ours) >= NAMEDATALEN)
        return strncmp(theirs, ours, NAMEDATALEN - 1) == 0;
    return strncmp(theirs, ours, n) == 0 && strchr(theirs + n, ':') == NULL;
}

static PGresult *ask(PGconn *conn, const char *sql, int pid)
{
    char number[16];
    const char *params[1] = {number};

    snprintf(number, sizeof(number), "%d", pid);
    return PQexecParams(conn, sql, 1, NULL, params, NULL, NULL, 0);
}

static void terminate(PGconn *conn, const struct session *s, int pid)
{
    PGresult *res = ask(conn, "SELECT pg_terminate_backend($1::int)", pid);

    if (PQresultStatus(res) == PGRES_TUPLES_OK)
        log_warn("warehouse session ended session=%s pid=%d reason=\"an older session of the same "
                 "owner blocked this one\"",
                 s->name, pid);
    else
        log_warn("warehouse session cannot be ended session=%s pid=%d sqlstate=%s", s->name, pid,
                 PQresultErrorField(res, PG_DIAG_SQLSTATE)
                     ? PQresultErrorField(res, PG_DIAG_SQLSTATE)
                     : "");
    PQclear(res);
}

static void look_at(struct wpg_watch *watch, struct session *s, const PGresult *res, int row,
                    bool log)
{
    int pid = atoi(PQgetvalue(res, row, 0));
    const char *name = PQgetvalue(res, row, 1);
    bool older = PQgetvalue(res, row, 4)[0] == 't';

    if (pid > 0 && older && same_owner(name, s->name) && !is_ours(s->w, pid)) {
        terminate(watch->conn, s, pid);
        return;
    }
    if (pid == 0)
        snprintf(s->blocker, sizeof(s->blocker), "a prepared transaction (see pg_prepared_xacts)");
    else
        snprintf(s->blocker, sizeof(s->blocker),
                 "pid %d (user %.63s, application \"%.63s\", %.40s)", pid, PQgetvalue(res, row, 2),
                 name, PQgetvalue(res, row, 3));
    if (!log)
        return;
    if (pid == 0)
        log_warn("warehouse statement blocked session=%s by=\"a prepared transaction\" (see "
                 "pg_prepared_xacts)",
                 s->name);
    else
        log_warn("warehouse statement blocked session=%s pid=%d application=\"%s\" user=\"%s\" "
                 "state=\"%s\"",
                 s->name, pid, name, PQgetvalue(res, row, 2), PQgetvalue(res, row, 3));
}

void wpg_watch_look(struct wpg_watch *watch, struct session *s)
{
    struct error err = {0};
    PGresult *res;
    int64_t now;
    bool log;

    if (watch->conn == NULL || PQstatus(watch->conn) != CONNECTION_OK) {
        PQfinish(watch->conn);
        watch->conn = NULL;
        if (!wpg_connect_pinned(s->w, "penstock:lock watch", &watch->conn, &err)) {
            log_failure(LOG_DEBUG, "warehouse lock watch", &err);
            watch->next_ms = clock_mono_ms() + LOG_MS;
            return;
        }
    }
    res = ask(watch->conn, blockers_sql, s->pid);
    now = clock_mono_ms();
    log = watch->logged_ms == 0 || now - watch->logged_ms >= LOG_MS;
    if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) > 0) {
        for (int i = 0; i < PQntuples(res); i++)
            look_at(watch, s, res, i, log);
        if (log)
            watch->logged_ms = now;
    }
    PQclear(res);
    watch->next_ms = now + LOOK_MS;
}

void wpg_watch_end(struct wpg_watch *watch)
{
    PQfinish(watch->conn);
    watch->conn = NULL;
}
