/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the facts that check_judge.c judges: one query over settings and limits; and, twice with
 * some time between, the end of the log and which transactions are open.
 */
#include "source_postgres/check_facts.h"

#include "util/clock.h"
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Columns of the query below. */
enum {
    R_SLOTS,
    R_SLOTS_USED,
    R_SENDERS,
    R_SENDERS_USED,
    R_TIMEOUT,
    R_KEEP,
    R_IDLE,
    R_DECODING,
    R_PID,
    R_PINNED
};

/* setting is in the unit that pg_settings says: ms, MB, kB; the idle timeout in s. */
static const char facts_sql[] =
    "SELECT current_setting('max_replication_slots')::bigint, (SELECT count(*) FROM "
    "pg_catalog.pg_replication_slots), current_setting('max_wal_senders')::bigint, "
    "(SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'walsender'), "
    "(SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'), "
    "(SELECT CASE WHEN setting = '-1' THEN -1 ELSE setting::bigint << 20 END FROM "
    "pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size'), "
    "(SELECT setting::bigint * CASE unit WHEN 'min' THEN 60 ELSE 1 END FROM "
    "pg_catalog.pg_settings WHERE name = 'idle_replication_slot_timeout'), "
    "(SELECT setting::bigint << 10 FROM pg_catalog.pg_settings WHERE name = "
    "'logical_decoding_work_mem'), pg_catalog.pg_backend_pid(), "
    "current_setting('row_security') = 'off' AND current_setting('IntervalStyle') = 'postgres' AND "
    "current_setting('TimeZone') = 'UTC' AND current_setting('bytea_output') = "
    "'hex'";

static int64_t number(const PGresult *res, int col, int64_t unknown)
{
    return PQgetisnull(res, 0, col) ? unknown : pg_int(res, 0, col);
}

bool check_read_facts(struct source *s, struct pg_conn *c, struct check_facts *f, struct error *err)
{
    PGresult *res;

    if (!pg_query(c, "reading the server's limits", facts_sql, &res, err))
        return false;
    f->server = s->facts;
    f->slot = s->settings.slot;
    f->slots = number(res, R_SLOTS, 0);
    f->slots_used = number(res, R_SLOTS_USED, 0);
    f->senders = number(res, R_SENDERS, 0);
    f->senders_used = number(res, R_SENDERS_USED, 0);
    f->wal_sender_timeout_ms = number(res, R_TIMEOUT, -1);
    f->slot_keep_bytes = number(res, R_KEEP, -1);
    f->idle_slot_seconds = number(res, R_IDLE, -1);
    f->decoding_bytes = number(res, R_DECODING, -1);
    f->other_backend = (int)pg_int(res, 0, R_PID) != PQbackendPID(c->pg);
    f->options_lost = !pg_bool(res, 0, R_PINNED);
    PQclear(res);
    return true;
}

/* --- what moves --- */

static const char open_xids_sql[] =
    "SELECT ',' || coalesce(string_agg(transactionid::text, ','), '') || ',' FROM "
    "pg_catalog.pg_locks WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted";

/* Some services do not have the view, or not for everybody. */
static double average_log(struct pg_conn *c)
{
    struct error ignored;
    PGresult *res;
    double average = -1;

    if (!pg_query(c, "reading pg_stat_wal",
                  "SELECT wal_bytes / nullif(extract(epoch FROM clock_timestamp() - stats_reset), "
                  "0) FROM pg_catalog.pg_stat_wal",
                  &res, &ignored))
        return -1;
    if (PQntuples(res) == 1 && !PQgetisnull(res, 0, 0))
        average = strtod(PQgetvalue(res, 0, 0), NULL);
    PQclear(res);
    return average;
}

static bool log_end(struct pg_conn *c, uint64_t *lsn, struct error *err)
{
    PGresult *res;

    if (!pg_query(c, "reading the end of the log", "SELECT pg_catalog.pg_current_wal_insert_lsn()",
                  &res, err))
        return false;
    pg_lsn_parse(PQgetvalue(res, 0, 0), lsn);
    PQclear(res);
    return true;
}

bool check_watch_begin(struct pg_conn *c, struct check_watch *w, struct error *err)
{
    PGresult *res;

    memset(w, 0, sizeof(*w));
    w->average = average_log(c);
    w->began_ms = clock_mono_ms();
    if (!log_end(c, &w->lsn, err) ||
        !pg_query(c, "reading open transactions", open_xids_sql, &res, err))
        return false;
    w->xids = mem_strdup(PQgetvalue(res, 0, 0));
    PQclear(res);
    return true;
}

/* Columns of the query below. */
enum { W_XID, W_PID, W_GID, W_USER, W_DATABASE, W_APPLICATION, W_STATE, W_SECONDS, W_QUERY };

/* One row for each session or prepared transaction, by its oldest xid. */
static const char waits_sql[] =
    "SELECT * FROM (SELECT DISTINCT ON (l.pid, p.gid) l.transactionid::text, l.pid, p.gid, "
    "coalesce(a.usename, p.owner), coalesce(a.datname, p.database), a.application_name, a.state, "
    "extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared))::bigint, "
    "nullif(a.query, '<insufficient privilege>'), pg_catalog.age(l.transactionid) AS age FROM "
    "pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid LEFT JOIN "
    "pg_catalog.pg_prepared_xacts p ON p.transaction = l.transactionid WHERE l.locktype = "
    "'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid IS DISTINCT FROM "
    "pg_catalog.pg_backend_pid() ORDER BY l.pid, p.gid, age DESC) w ORDER BY age DESC";

static void take_text(const PGresult *res, int row, int col, char *out, size_t size)
{
    snprintf(out, size, "%s", PQgetvalue(res, row, col));
}

static void take_wait(const PGresult *res, int i, struct check_wait *w)
{
    memset(w, 0, sizeof(*w));
    w->pid = (int)pg_int(res, i, W_PID);
    take_text(res, i, W_GID, w->gid, sizeof(w->gid));
    take_text(res, i, W_USER, w->user, sizeof(w->user));
    take_text(res, i, W_DATABASE, w->database, sizeof(w->database));
    take_text(res, i, W_APPLICATION, w->application, sizeof(w->application));
    take_text(res, i, W_STATE, w->state, sizeof(w->state));
    w->seconds = PQgetisnull(res, i, W_SECONDS) ? -1 : pg_int(res, i, W_SECONDS);
    check_mask_query(PQgetvalue(res, i, W_QUERY), w->query, sizeof(w->query));
}

static bool was_open(const struct check_watch *w, const char *xid)
{
    char with[32];

    snprintf(with, sizeof(with), ",%s,", xid);
    return strstr(w->xids, with) != NULL;
}

bool check_watch_end(struct pg_conn *c, struct check_watch *w, struct check_facts *f, double *now,
                     struct error *err)
{
    uint64_t lsn = 0;
    PGresult *res;
    int64_t ms;
    int i;

    if (!log_end(c, &lsn, err) || !pg_query(c, "reading open transactions", waits_sql, &res, err))
        return false;
    ms = clock_mono_ms() - w->began_ms;
    *now = ms > 0 && lsn >= w->lsn ? (double)(lsn - w->lsn) * 1000 / (double)ms : -1;
    for (i = 0; i < PQntuples(res) && f->nwaits < CHECK_MAX_WAITS; i++) {
        if (was_open(w, PQgetvalue(res, i, W_XID)))
            take_wait(res, i, &f->waits[f->nwaits++]);
    }
    PQclear(res);
    return true;
}

void check_watch_free(struct check_watch *w)
{
    mem_free(w->xids);
    w->xids = NULL;
}
