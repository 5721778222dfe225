/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL 15 or later as a warehouse: binary COPY into a temporary stage, MERGE from there,
 * all tables of a batch and the checkpoint in one transaction. The pieces: wpg_connect (links and
 * pinned settings), wpg_session (statements), wpg_lock (who blocks us), wpg_append with wpg_encode
 * and wpg_type (bulk load), wpg_dialect (types), wpg_check. Upkeep is left to the server's
 * autovacuum.
 */
#include "warehouse_postgres/warehouse_postgres.h"

#include "common/pg_states.h"

#include "util/mem.h"
#include "warehouse_postgres/wpg.h"

static void wpg_close(struct warehouse *w)
{
    if (w == NULL)
        return;
    PQconninfoFree(w->params);
    pthread_mutex_destroy(&w->mutex);
    mem_free(w);
}

static bool wpg_open(struct warehouse **out, const struct config *cfg, struct error *err)
{
    struct warehouse *w = mem_calloc(1, sizeof(*w));

    w->cfg = cfg;
    pthread_mutex_init(&w->mutex, NULL);
    if (!wpg_params_parse(w, err)) {
        wpg_close(w);
        return false;
    }
    *out = w;
    return true;
}

static const char *const wpg_aliases[] = {"postgresql-warehouse", NULL};

/* connection.url, connection.user and connection.password are settings of every sink. */
static const struct setting wpg_settings[] = {{.name = NULL}};

static bool error_note(size_t i, struct error_note *out)
{
    return pg_state_note(PG_WAREHOUSE, i, out);
}

const struct warehouse_ops warehouse_postgres_ops = {
    .name = "postgres-warehouse",
    .aliases = wpg_aliases,
    .settings = wpg_settings,
    .dialect = &wpg_dialect,
    .open = wpg_open,
    .close = wpg_close,
    .check = wpg_check,
    .identity = wpg_identity,
    .connect = wpg_session_open,
    .disconnect = wpg_session_close,
    .cancel = wpg_session_cancel,
    .exec = wpg_exec,
    .query = wpg_query,
    .begin = wpg_begin,
    .commit = wpg_commit,
    .rollback = wpg_rollback,
    .append_open = wpg_append_open,
    .append_row = wpg_append_row,
    .append_close = wpg_append_close,
    .append_abort = wpg_append_abort,
    .view = wpg_view,
    .scan = wpg_scan,
    .error_note = error_note,
};
