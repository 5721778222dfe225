/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session is one DuckDB connection. Habits of DuckDB are kept from the caller: COMMIT of a
 * transaction in which a statement failed answers success and commits nothing, so that the failure
 * is remembered here; and an interrupt is forgotten when the next statement begins, so that a
 * cancel is remembered until the next rollback. A third is in wdk_order.c.
 */
#include "util/failpoint.h"
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"

#include <string.h>

bool wdk_usable(struct session *s, struct error *err)
{
    if (atomic_load(&s->cancelled))
        return error_cause(err, CAUSE_CANCELLED, "DuckDB: cancelled");
    if (s->failed)
        return error_set(err, ERROR_RETRY,
                         "DuckDB: a statement of this transaction has failed before");
    return true;
}

static bool run(struct session *s, const char *sql, duckdb_result *r, struct error *err)
{
    bool single = !s->in_transaction && !s->upkeep;
    bool ok;

    if (!wdk_usable(s, err))
        return false;
    if (single)
        wdk_gate_enter(s->w);
    ok = duckdb_query(s->con, sql, r) == DuckDBSuccess;
    if (single)
        wdk_gate_leave(s->w);
    if (ok)
        return true;
    s->failed = s->in_transaction;
    wdk_error(err, duckdb_result_error_type(r), duckdb_result_error(r));
    duckdb_destroy_result(r);
    return false;
}

bool wdk_exec(struct session *s, const char *sql, int64_t *affected, struct error *err)
{
    duckdb_result r;
    int64_t n;

    if (s->in_transaction && !wdk_order_allows(&s->changed, sql, err)) {
        s->failed = true;
        return false;
    }
    if (!run(s, sql, &r, err))
        return false;
    n = (int64_t)duckdb_rows_changed(&r);
    duckdb_destroy_result(&r);
    if (n > 0 && strncmp(sql, "DELETE FROM ", 12) == 0 && strncmp(sql + 12, "temp.", 5) != 0)
        atomic_fetch_add(&s->w->dead, n);
    if (s->in_transaction && n > 0)
        wdk_order_note(&s->changed, sql);
    if (affected != NULL)
        *affected = n;
    return true;
}

bool wdk_query(struct session *s, struct arena *a, const char *sql, struct rowset *out,
               struct error *err)
{
    duckdb_result r;
    bool ok;

    if (!run(s, sql, &r, err))
        return false;
    ok = wdk_rows(a, &r, out, err);
    duckdb_destroy_result(&r);
    return ok;
}

static void leave(struct session *s)
{
    if (s->in_transaction)
        wdk_gate_leave(s->w);
    s->in_transaction = s->failed = false;
}

bool wdk_begin(struct session *s, struct error *err)
{
    if (s->in_transaction)
        return error_set(err, ERROR_FATAL, "a transaction inside a transaction");
    wdk_gate_enter(s->w);
    s->in_transaction = true;
    buf_reset(&s->changed);
    if (wdk_exec(s, "BEGIN TRANSACTION", NULL, err))
        return true;
    leave(s);
    return false;
}

bool wdk_commit(struct session *s, struct error *err)
{
    if (!s->in_transaction)
        return error_set(err, ERROR_FATAL, "commit without a transaction");
    FAILPOINT("wdk.before-commit");
    if (!wdk_exec(s, "COMMIT", NULL, err)) {
        wdk_rollback(s);
        return false;
    }
    FAILPOINT("wdk.after-commit");
    leave(s);
    return true;
}

void wdk_rollback(struct session *s)
{
    duckdb_result r;

    /* Also when no transaction is known of: DuckDB then answers with an error, which is ignored. */
    duckdb_query(s->con, "ROLLBACK", &r);
    duckdb_destroy_result(&r);
    leave(s);
    atomic_store(&s->cancelled, false);
}

void wdk_cancel(struct session *s)
{
    atomic_store(&s->cancelled, true);
    duckdb_interrupt(s->con);
}

bool wdk_connect(struct warehouse *w, const char *name, struct session **out, struct error *err)
{
    struct session *s = mem_calloc(1, sizeof(*s));

    (void)name; /* DuckDB keeps no list of sessions */
    s->w = w;
    if (duckdb_connect(w->db, &s->con) != DuckDBSuccess) {
        mem_free(s);
        return error_set(err, ERROR_RETRY, "DuckDB: no connection to %s", w->path);
    }
    if (!wdk_exec(s, "USE " WDK_DATABASE, NULL, err)) {
        wdk_disconnect(s);
        return false;
    }
    *out = s;
    return true;
}

void wdk_disconnect(struct session *s)
{
    if (s == NULL)
        return;
    if (s->in_transaction)
        wdk_rollback(s);
    duckdb_disconnect(&s->con);
    buf_free(&s->changed);
    mem_free(s);
}
