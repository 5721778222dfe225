/* SPDX-License-Identifier: Apache-2.0 */
#include "source_postgres/heartbeat.h"

#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

#define SAY_MS 60000    /* how often a failure is said */
#define REST_MS 10000   /* after a failure */
#define ANSWER_MS 30000 /* longer than statement_timeout below: the link is dead */

struct heartbeat {
    const struct source *s;
    const char *sql;
    int64_t every_ms;
    struct pg_conn *conn; /* NULL until needed */
    bool busy;
    int64_t asked_ms, next_ms, said_ms;
};

struct heartbeat *heartbeat_new(const struct source *s)
{
    const char *sql = config_string(s->cfg, "heartbeat.action.query");
    struct heartbeat *h;

    if (sql == NULL || sql[0] == '\0')
        return NULL;
    h = mem_calloc(1, sizeof(*h));
    h->s = s;
    h->sql = sql;
    h->every_ms = config_int(s->cfg, "heartbeat.interval.ms");
    return h;
}

void heartbeat_stop(struct heartbeat *h)
{
    if (h == NULL)
        return;
    pg_conn_close(h->conn);
    h->conn = NULL;
    h->busy = false;
}

void heartbeat_free(struct heartbeat *h)
{
    heartbeat_stop(h);
    mem_free(h);
}

static void fail(struct heartbeat *h, const struct error *err)
{
    int64_t now = clock_mono_ms();

    heartbeat_stop(h);
    if (h->next_ms < now + REST_MS)
        h->next_ms = now + REST_MS;
    if (h->said_ms != 0 && now - h->said_ms < SAY_MS)
        return;
    h->said_ms = now;
    log_failure(LOG_WARN, "heartbeat", err);
}

static bool ask(struct heartbeat *h, struct error *err)
{
    static const char session[] = "SET statement_timeout = '10s'; SET lock_timeout = '5s'";

    if (h->conn == NULL && (!pg_conn_open(&h->conn, &h->s->target, "heartbeat", false, err) ||
                            !pg_query(h->conn, "setting up the session", session, NULL, err)))
        return false;
    return pg_send(h->conn, "heartbeat.action.query", h->sql, err);
}

/* What the server says of the statement is a person's to correct: other hints are of our own SQL.
 */
static bool refused(struct error *err)
{
    if (err->sqlstate[0] == '\0' || strncmp(err->sqlstate, "08", 2) == 0 ||
        strncmp(err->sqlstate, "57P", 3) == 0)
        return false;
    return error_hint(err, "correct heartbeat.action.query; it must name tables with their schema");
}

static bool take(struct heartbeat *h, int64_t now, struct error *err)
{
    PGresult *res;

    if (now - h->asked_ms > ANSWER_MS)
        return error_set(err, ERROR_RETRY, "heartbeat.action.query: no answer within %d s",
                         ANSWER_MS / 1000);
    if (!pg_receive(h->conn, "heartbeat.action.query", now, &res, err))
        return refused(err);
    h->busy = res == NULL;
    PQclear(res);
    if (h->busy)
        return true;
    h->said_ms = 0;
    if (PQtransactionStatus(h->conn->pg) == PQTRANS_IDLE)
        return true;
    return error_set(err, ERROR_CONFIG,
                     "heartbeat.action.query leaves a transaction open: end it "
                     "with COMMIT");
}

void heartbeat_poll(struct heartbeat *h)
{
    int64_t now = clock_mono_ms();
    struct error err;
    bool ok = true;

    if (h == NULL || (!h->busy && now < h->next_ms))
        return;
    if (h->busy) {
        ok = take(h, now, &err);
    } else {
        h->asked_ms = now;
        h->next_ms = now + h->every_ms;
        ok = h->busy = ask(h, &err);
    }
    if (!ok)
        fail(h, &err);
}
