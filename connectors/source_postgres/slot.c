/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots are read from pg_replication_slots and made over a walsender session, since only that
 * exports the snapshot of the consistent point. A slot that is not ours (another plugin or
 * database, or one that exists before it should) is never dropped.
 */
#include "source_postgres/slot.h"

#include "common/pg_error.h"
#include "util/buf.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"

#include <stdio.h>
#include <string.h>

/* Columns of the query below. */
enum {
    S_PLUGIN,
    S_TYPE,
    S_OURS,
    S_DATABASE,
    S_PID,
    S_RESTART,
    S_CONFIRMED,
    S_STATUS,
    S_RETAINED,
    S_UNCONFIRMED,
    S_SAFE,
    S_LIMIT,
    S_END,
    S_WRITTEN,
    S_IDLE_LEFT,
    S_OLDEST,
    S_INVALID
};

#define LOOK_MS 2000 /* while streaming: status has to go out meanwhile */

/* Who holds the start of the log that the slot needs: a transaction's log begins with its xid.
 * Whose session we may not see has no backend_xid here. */
static const char oldest_sql[] =
    "(SELECT CASE WHEN o.pid IS NULL THEN format('prepared transaction \"%s\" (user %s, for %s)', "
    "o.name, o.who, o.age) ELSE format('pid %s (user %s, application \"%s\", %s, for %s)', o.pid, "
    "o.who, o.name, o.state, o.age) END FROM ("
    "SELECT pid, usename AS who, application_name AS name, state, "
    "date_trunc('second', clock_timestamp() - xact_start) AS age, backend_xid AS xid "
    "FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL UNION ALL "
    "SELECT NULL, owner, gid, NULL, date_trunc('second', clock_timestamp() - prepared), "
    "transaction "
    "FROM pg_catalog.pg_prepared_xacts) o ORDER BY pg_catalog.age(o.xid) DESC LIMIT 1), ";

/* The limit is none at -1; the end is that of what is durable: what a keepalive can announce. */
static const char limit_sql[] =
    "(SELECT setting::bigint * 1048576 FROM pg_catalog.pg_settings WHERE "
    "name = 'max_slot_wal_keep_size' AND setting::bigint >= 0), pg_current_wal_flush_lsn(), "
    "pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint, ";

/* PostgreSQL 18: a slot that nobody has read for so long is given up at the next checkpoint. */
static const char idle_left_sql[] =
    "(SELECT setting::bigint * CASE unit WHEN 'min' THEN 60 ELSE 1 END - "
    "extract(epoch FROM clock_timestamp() - inactive_since)::bigint FROM pg_catalog.pg_settings "
    "WHERE name = 'idle_replication_slot_timeout' AND setting::bigint > 0 AND active_pid IS "
    "NULL), ";

/* No longer than the stream can do without us; who does not answer in time is left. */
static bool ask(struct source *s, struct pg_conn *c, const char *sql, PGresult **res,
                struct error *err)
{
    static const char what[] = "reading the replication slot";
    int64_t deadline = s->stream != NULL ? clock_mono_ms() + LOOK_MS : -1;

    if (!pg_send(c, what, sql, err) || !pg_receive(c, what, deadline, res, err))
        return false;
    if (*res != NULL)
        return true;
    pg_conn_close(s->control);
    s->control = NULL;
    return error_set(err, ERROR_RETRY, "%s: no answer within %d ms", what, LOOK_MS);
}

static bool query_slot(struct source *s, PGresult **res, struct error *err)
{
    struct pg_conn *c;
    struct buf sql = {0};
    bool ok;

    if (!pg_control(s, &c, err))
        return false;
    buf_puts(&sql, "SELECT plugin, slot_type, database = current_database(), database, "
                   "active_pid, restart_lsn, confirmed_flush_lsn, wal_status, "
                   "pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint, "
                   "pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn)::bigint, "
                   "safe_wal_size, ");
    buf_puts(&sql, limit_sql);
    buf_puts(&sql, s->facts.version >= 180000 ? idle_left_sql : "NULL, ");
    buf_puts(&sql, oldest_sql);
    buf_puts(&sql, s->facts.version >= 170000 ? "invalidation_reason" : "NULL");
    buf_puts(&sql, " FROM pg_catalog.pg_replication_slots WHERE slot_name = ");
    buf_sql_string(&sql, s->settings.slot);
    ok = ask(s, c, buf_cstr(&sql), res, err);
    buf_free(&sql);
    return ok;
}

/* A slot of that name that cannot be ours. */
static bool check_kind(const struct source *s, const PGresult *res, struct error *err)
{
    const char *slot = s->settings.slot;

    if (strcmp(PQgetvalue(res, 0, S_TYPE), "logical") != 0)
        error_cause(err, CAUSE_SLOT_UNUSABLE, "replication slot \"%s\" is a physical one", slot);
    else if (strcmp(PQgetvalue(res, 0, S_PLUGIN), "pgoutput") != 0)
        error_cause(err, CAUSE_SLOT_UNUSABLE,
                    "replication slot \"%s\" uses the plugin %s, not pgoutput", slot,
                    PQgetvalue(res, 0, S_PLUGIN));
    else if (!pg_bool(res, 0, S_OURS))
        error_cause(err, CAUSE_SLOT_UNUSABLE, "replication slot \"%s\" belongs to database \"%s\"",
                    slot, PQgetvalue(res, 0, S_DATABASE));
    else
        return true;
    return error_fill(err, "slot", slot);
}

/* -1: NULL. Past a limit (the server says so with a negative number) nothing is left: 0. */
static int64_t known(const PGresult *res, int column)
{
    int64_t v;

    if (PQgetisnull(res, 0, column))
        return -1;
    v = pg_int(res, 0, column);
    return v < 0 ? 0 : v;
}

bool slot_mark_read(struct source *s, struct mark *m, struct error *err)
{
    PGresult *res = NULL;
    bool ok = false;

    memset(m, 0, sizeof(*m));
    m->state = MARK_MISSING;
    m->retained_bytes = m->unconfirmed_bytes = m->safe_bytes = -1;
    m->limit_bytes = m->log_bytes = m->idle_left_s = -1;
    if (!query_slot(s, &res, err))
        return false;
    if (PQntuples(res) == 0) {
        ok = true;
        goto out;
    }
    if (!check_kind(s, res, err))
        goto out;
    m->active_pid = (int)pg_int(res, 0, S_PID);
    m->retained_bytes = known(res, S_RETAINED);
    m->unconfirmed_bytes = known(res, S_UNCONFIRMED);
    m->safe_bytes = known(res, S_SAFE);
    m->limit_bytes = known(res, S_LIMIT);
    m->log_bytes = known(res, S_WRITTEN);
    m->idle_left_s = known(res, S_IDLE_LEFT);
    snprintf(m->status, sizeof(m->status), "%s", PQgetvalue(res, 0, S_STATUS));
    snprintf(m->end, sizeof(m->end), "%s", PQgetvalue(res, 0, S_END));
    snprintf(m->oldest, sizeof(m->oldest), "%s", PQgetvalue(res, 0, S_OLDEST));
    snprintf(m->position, sizeof(m->position), "%s", PQgetvalue(res, 0, S_CONFIRMED));
    m->state = MARK_READY;
    if (!PQgetisnull(res, 0, S_INVALID)) {
        m->state = MARK_LOST;
        snprintf(m->why, sizeof(m->why), "the server invalidated slot \"%s\": %s", s->settings.slot,
                 PQgetvalue(res, 0, S_INVALID));
    } else if (strcmp(PQgetvalue(res, 0, S_STATUS), "lost") == 0 ||
               PQgetisnull(res, 0, S_RESTART) || PQgetisnull(res, 0, S_CONFIRMED)) {
        m->state = MARK_LOST;
        snprintf(m->why, sizeof(m->why),
                 "the server removed log that slot \"%s\" needs (max_slot_wal_keep_size)",
                 s->settings.slot);
    }
    ok = true;
out:
    PQclear(res);
    return ok;
}

bool slot_mark_drop(struct source *s, struct error *err)
{
    PGresult *res = NULL;
    struct pg_conn *c;
    struct buf sql = {0};
    int pid = 0;
    bool ok;

    if (!query_slot(s, &res, err))
        return false;
    ok = PQntuples(res) > 0;
    if (ok && !check_kind(s, res, err)) {
        PQclear(res);
        return false;
    }
    if (ok)
        pid = (int)pg_int(res, 0, S_PID);
    PQclear(res);
    if (!ok)
        return true; /* there is none: done */
    if (pid != 0)
        return error_cause(err, CAUSE_SLOT_IN_USE, "replication slot \"%s\" is read by pid %d",
                           s->settings.slot, pid);
    if (!pg_control(s, &c, err))
        return false;
    buf_puts(&sql, "SELECT pg_drop_replication_slot(");
    buf_sql_string(&sql, s->settings.slot);
    buf_puts(&sql, ")");
    FAILPOINT("slot.before-drop");
    ok = pg_query(c, "dropping the replication slot", buf_cstr(&sql), NULL, err);
    buf_free(&sql);
    FAILPOINT("slot.after-drop");
    return ok;
}

/* One warning that names who the slot's creation waits for. */
static void say_blockers(struct source *s, const struct pg_conn *maker, const char *name)
{
    struct error err;
    struct pg_conn *c;
    PGresult *res = NULL;
    char sql[512];

    snprintf(sql, sizeof(sql),
             "SELECT coalesce(string_agg(CASE WHEN b.pid = 0 THEN 'a prepared transaction "
             "(pg_prepared_xacts)' ELSE format('pid %%s (%%s, %%s, %%s)', b.pid, a.usename, "
             "a.state, date_trunc('second', now() - a.xact_start)) END, ', '), "
             "'transactions that were running') FROM unnest(pg_blocking_pids(%d)) AS b(pid) "
             "LEFT JOIN pg_stat_activity a ON a.pid = b.pid",
             PQbackendPID(maker->pg));
    if (!pg_control(s, &c, &err) || !pg_query(c, "asking who blocks", sql, &res, &err))
        return;
    log_warn("replication slot waits for running transactions to end slot=%s blocked_by=\"%s\"",
             name, PQgetvalue(res, 0, 0));
    PQclear(res);
}

static void create_command(const struct source *s, const char *name, bool temporary,
                           struct buf *sql)
{
    buf_puts(sql, "CREATE_REPLICATION_SLOT ");
    buf_sql_ident(sql, name);
    buf_puts(sql, temporary ? " TEMPORARY LOGICAL pgoutput" : " LOGICAL pgoutput");
    if (s->facts.version < 150000)
        buf_puts(sql, " EXPORT_SNAPSHOT");
    else
        buf_puts(sql, " (SNAPSHOT 'export')");
}

/* Waits for the answer, saying every while who it waits for. */
static bool await_slot(struct source *s, struct pg_conn *maker, const char *name, PGresult **res,
                       struct error *err)
{
    *res = NULL;
    for (;;) {
        int64_t deadline = clock_mono_ms() + s->settings.wait_notice_ms;

        if (!pg_receive(maker, "making the replication slot", deadline, res, err))
            return false;
        if (*res != NULL)
            return true;
        say_blockers(s, maker, name);
    }
}

static bool slot_failure(const char *name, struct error *err)
{
    if (strcmp(err->sqlstate, "42710") == 0) {
        error_because(err, CAUSE_SLOT_FOREIGN);
        return error_fill(err, "slot", name);
    }
    return false;
}

bool slot_make(struct source *s, const char *name, bool temporary, struct slot_made *out,
               struct error *err)
{
    struct buf sql = {0};
    PGresult *res = NULL;
    struct pg_conn *maker = NULL;
    bool sent = false;
    bool ok = false;

    memset(out, 0, sizeof(*out));
    create_command(s, name, temporary, &sql);
    FAILPOINT("slot.before-make");
    if (!pg_conn_open(&maker, &s->target, "point", true, err) ||
        !pg_send(maker, "making the replication slot", buf_cstr(&sql), err))
        goto out;
    sent = true;
    if (!await_slot(s, maker, name, &res, err)) {
        slot_failure(name, err);
        goto out;
    }
    if (PQntuples(res) != 1 || !pg_lsn_parse(PQgetvalue(res, 0, 1), &out->consistent_point) ||
        PQgetisnull(res, 0, 2)) {
        error_set(err, ERROR_FATAL, "making the replication slot: unexpected answer");
        goto out;
    }
    snprintf(out->snapshot, sizeof(out->snapshot), "%s", PQgetvalue(res, 0, 2));
    out->maker = maker;
    maker = NULL;
    FAILPOINT("slot.after-make");
    ok = true;
out:
    /* A walsender that waits for transactions would not notice that we are gone. */
    if (sent && maker != NULL && pg_conn_alive(maker) && PQisBusy(maker->pg))
        pg_conn_kill(maker);
    else
        pg_conn_close(maker);
    PQclear(res);
    buf_free(&sql);
    return ok;
}

void slot_undo(struct slot_made *made, const char *name)
{
    struct error err;
    struct buf sql = {0};

    buf_puts(&sql, "DROP_REPLICATION_SLOT ");
    buf_sql_ident(&sql, name);
    if (!pg_query(made->maker, "dropping the replication slot", buf_cstr(&sql), NULL, &err))
        log_failure(LOG_WARN, "a replication slot that was just made stays", &err);
    pg_conn_close(made->maker);
    made->maker = NULL;
    buf_free(&sql);
}
