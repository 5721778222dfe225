/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Supervision: one attempt after another. What to do after an error is decided by its kind alone:
 * retry waits with back-off, configuration is tried again every RETRY_CONFIG_MS (a person may have
 * mended it), a table's fault stops that table, conflict and fatal end the connector.
 */
#include "pipeline/pipeline.h"

#include "metrics/metrics.h"
#include "pipeline/load.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

#define RETRY_CONFIG_MS 10000
#define STABLE_MS 30000 /* after this long the back-off starts anew */
#define LOCK_NOT_AVAILABLE "55P03"

static void end_attempt(struct pipeline *p)
{
    flows_free(p);
    pipeline_disconnect(p, p->books.session);
    p->books.session = NULL;
    arena_free(p->loads_arena);
    p->loads_arena = NULL;
    arena_reset(p->arena);
}

/* The table waits as it is, its changes in a spool, until the lock is gone. */
static bool set_aside(struct pipeline *p, struct table_record *rec, const char *reason,
                      struct error *err)
{
    const struct warehouse_ops *ops = p->o.warehouse;

    log_info("table waits for a lock, its changes in a spool table=%s.%s", rec->table->schema,
             rec->table->name);
    rec->state = TABLE_LOADING;
    rec->reason = reason;
    rec->loaded = rec->in_place = true;
    rec->s = p->o.source->position_csn(p->checkpoint.position);
    rec->spool_bytes = rec->spool_applied = 0;
    if (ops->begin(p->books.session, err) && books_table_put(&p->books, rec, err) &&
        ops->commit(p->books.session, err))
        return true;
    ops->rollback(p->books.session);
    return false;
}

/* newer: the row of a load of a table that has another row, its live copy's. */
static bool stop_row(struct pipeline *p, struct table_record *rec, bool newer,
                     const struct error *why, const char *reason, struct error *err)
{
    if (strcmp(why->sqlstate, LOCK_NOT_AVAILABLE) == 0)
        return newer || rec->state != TABLE_LIVE || set_aside(p, rec, reason, err);
    if (newer || why->reload)
        loads_want(p, rec->table->oid, rec->table->schema, rec->table->name, why->message,
                   newer ? 10000 : 0);
    if (newer)
        return flows_drop_load(p, rec, err);
    if (!books_chunks_remove(&p->books, rec->table->oid, rec->load, err) || /* none of it goes on */
        !books_table_state(&p->books, rec->table->oid, rec->load,
                           why->reload ? TABLE_LOADING : TABLE_NEEDS_SNAPSHOT, reason, err))
        return false;
    return p->bad_load == 0 || flows_drop_aside(&p->books, rec, err);
}

/*
 * A table's fault, persisted; the rest goes on from the checkpoint. A copy that differs from the
 * log is loaded again; a table whose lock somebody holds waits as it is; any other stops.
 */
static bool blame_table(struct pipeline *p, struct error *err)
{
    struct error why = *err;
    struct table_record *recs;
    char reason[2100];
    int n, i;

    flow_reason(&why, reason, sizeof(reason));
    if (p->books.session == NULL || !books_checkpoint_read(&p->books, &p->checkpoint, err) ||
        !books_tables_read(&p->books, p->arena, &recs, &n, err))
        return false;
    for (i = 0; i < n; i++) {
        bool newer = i > 0 && recs[i - 1].table->oid == recs[i].table->oid;

        if (recs[i].table->oid != why.table || (newer && recs[i].load != p->bad_load) ||
            (!newer && p->bad_load != 0 && recs[i].load != p->bad_load))
            continue;
        if (why.reload) /* by itself: nobody has to act */
            log_warn("table stops until it is loaded again table=%s.%s reason=%s",
                     recs[i].table->schema, recs[i].table->name, reason);
        else
            log_error("table stops table=%s.%s reason=%s", recs[i].table->schema,
                      recs[i].table->name, reason);
        if (!stop_row(p, &recs[i], newer, &why, reason, err))
            return false;
    }
    p->bad_load = 0;
    FAILPOINT("table-stopped");
    return true;
}

static bool is_tables_fault(const struct error *err)
{
    return err->table != 0 &&
           (err->kind == ERROR_DATA || strcmp(err->sqlstate, LOCK_NOT_AVAILABLE) == 0);
}

static enum outcome attempt(struct pipeline *p, struct error *err)
{
    enum outcome outcome = OUTCOME_FAILED;

    p->start_ms = clock_mono_ms();
    p->loads_cancelled = false;
    p->bad_load = 0;
    error_clear(err);
    if (prepare_attempt(p, err)) {
        const char *mode = config_string(p->o.source_config, "snapshot.mode");

        if (p->o.once || (mode != NULL && strcmp(mode, "initial_only") == 0)) {
            atomic_store(&p->live, true);
            outcome = OUTCOME_DONE;
        } else {
            outcome = stream_run(p, err);
        }
    }
    if (outcome == OUTCOME_FAILED && is_tables_fault(err) && !atomic_load(&p->stop) &&
        blame_table(p, err))
        outcome = OUTCOME_AGAIN;
    end_attempt(p);
    if (outcome == OUTCOME_FAILED && p->failed_side == SIDE_SINK) {
        desk_close(p->o.desk, p->o.sink_name);
        p->o.warehouse->close(p->wh); /* DuckDB may have given up the file until it is opened */
        p->wh = NULL;
    }
    return outcome;
}

/* The source keeps its log meanwhile: it is said for whose sake. */
static void note_absent(struct pipeline *p, const struct error *err)
{
    p->warehouse_failed[0] = '\0';
    if (p->failed_side != SIDE_SINK || atomic_load(&p->stop))
        return;
    snprintf(p->warehouse_failed, sizeof(p->warehouse_failed), "%.399s", err->message);
    retained_look(p, true);
}

static void show_failure(struct pipeline *p, const struct error *err, bool retrying)
{
    const char *name = p->failed_side == SIDE_SOURCE ? p->o.source_name : p->o.sink_name;
    const char *other = p->failed_side == SIDE_SOURCE ? p->o.sink_name : p->o.source_name;
    char trace[2200];

    snprintf(trace, sizeof(trace), "%s%s%s%s%s%s", err->message, err->sqlstate[0] ? " (" : "",
             err->sqlstate, err->sqlstate[0] ? ")" : "", err->hint[0] ? "; to mend it: " : "",
             err->hint);

    if (err->kind != ERROR_NONE)
        metric_add((enum metric)(METRIC_FAILURES_RETRY + err->kind - ERROR_RETRY), name, 1);
    board_set_state(p->o.board, other, CONNECTOR_RUNNING, CONNECTOR_UNASSIGNED, NULL);
    board_set_state(p->o.board, name, CONNECTOR_RUNNING,
                    retrying ? CONNECTOR_RESTARTING : CONNECTOR_FAILED, trace);
    log_set_connector(name);
    log_failure(retrying ? LOG_WARN : LOG_ERROR, retrying ? "retrying" : "failed", err);
    log_set_connector(p->o.source_name);
}

/* Until the attempt is to end, ms at most (-1: for ever). The source keeps its log meanwhile: who
 * looks sees for whose sake. */
static void wait_ms(struct pipeline *p, int ms)
{
    int64_t until = clock_mono_ms() + ms;

    while (!atomic_load(&p->stop) && (ms < 0 || clock_mono_ms() < until)) {
        clock_sleep_ms(50);
        if (p->warehouse_failed[0] != '\0')
            retained_look(p, false);
    }
}

static bool ends_it(const struct pipeline *p, const struct error *err)
{
    const char *mode = config_string(p->o.source_config, "snapshot.mode");

    if (p->o.fail_fast && !p->started_once)
        return true;
    if (err->kind == ERROR_FATAL && mode != NULL && strcmp(mode, "when_needed") == 0)
        return false;
    return err->kind == ERROR_FATAL || err->kind == ERROR_CONFLICT;
}

/* What the log of the source is kept for meanwhile. */
static void show_paused(struct pipeline *p, const char *who)
{
    const char *ends[2] = {p->o.source_name, p->o.sink_name};
    int i;

    for (i = 0; i < 2; i++) {
        bool me = strcmp(ends[i], who) == 0;

        board_set_state(p->o.board, ends[i], me ? CONNECTOR_PAUSED : CONNECTOR_RUNNING,
                        me ? CONNECTOR_PAUSED : CONNECTOR_UNASSIGNED, NULL);
    }
    snprintf(p->warehouse_failed, sizeof(p->warehouse_failed), "connector %s is paused", who);
    retained_look(p, true);
}

static void show_resumed(struct pipeline *p)
{
    p->warehouse_failed[0] = '\0';
    p->looked_ms = 0; /* what was said of the slot is true no more */
    board_set_state(p->o.board, p->o.source_name, CONNECTOR_RUNNING, CONNECTOR_UNASSIGNED, NULL);
    board_set_state(p->o.board, p->o.sink_name, CONNECTOR_RUNNING, CONNECTOR_UNASSIGNED, NULL);
}

/* Waits while it is paused. False: there is no other attempt. */
static bool goes_on(struct pipeline *p)
{
    const char *paused, *shown = NULL;
    bool ending;

    for (;;) {
        pthread_mutex_lock(&p->lock);
        ending = p->ending;
        paused = p->paused;
        if (!ending && paused == NULL)
            atomic_store(&p->stop, false);
        pthread_mutex_unlock(&p->lock);
        if (ending)
            return false;
        if (paused != NULL && paused != shown)
            show_paused(p, paused);
        else if (paused == NULL && shown != NULL)
            show_resumed(p);
        shown = paused;
        if (paused == NULL)
            return true;
        retained_look(p, false);
        clock_sleep_ms(50);
    }
}

static void *pipeline_main(void *arg)
{
    struct pipeline *p = arg;
    struct retry retry = {0};
    struct error err;

    log_set_connector(p->o.source_name);
    while (goes_on(p)) {
        enum outcome o = attempt(p, &err);

        if (o == OUTCOME_DONE)
            break;
        if (atomic_load(&p->stop) || o == OUTCOME_AGAIN)
            continue;
        if (o == OUTCOME_STOPPED)
            break;
        if (ends_it(p, &err)) {
            show_failure(p, &err, false);
            note_absent(p, &err);
            p->final_error = err;
            if (p->o.once || p->o.fail_fast)
                break;
            wait_ms(p, -1);
            error_clear(&p->final_error);
            retry_reset(&retry);
            continue;
        }
        metric_add(METRIC_RESTARTS, p->o.source_name, 1);
        if (clock_mono_ms() - p->start_ms > STABLE_MS)
            retry_reset(&retry);
        show_failure(p, &err, err.kind == ERROR_RETRY);
        note_absent(p, &err);
        wait_ms(p, err.kind == ERROR_RETRY ? retry_next_ms(&retry) : RETRY_CONFIG_MS);
    }
    atomic_store(&p->ended, true);
    return NULL;
}

bool pipeline_start(struct pipeline **out, const struct pipeline_options *o, struct error *err)
{
    struct pipeline *p = mem_calloc(1, sizeof(*p));

    p->o = *o;
    p->arena = arena_new("attempt");
    p->wants = map_new();
    p->ahead_arena = arena_new("alterations ahead");
    pthread_mutex_init(&p->lock, NULL);
    p->books.ops = o->warehouse;
    p->books.connector = o->sink_name;
    p->books.source = o->source_name;
    p->paused = o->paused;
    retention_init(&p->retention);
    if (!o->source->open(&p->src, o->source_config, err))
        goto fail;
    if (pthread_create(&p->thread, NULL, pipeline_main, p) != 0) {
        error_set(err, ERROR_FATAL, "the connector's thread could not be started");
        goto fail;
    }
    *out = p;
    return true;
fail:
    o->source->close(p->src);
    arena_free(p->arena);
    map_free(p->wants);
    arena_free(p->ahead_arena);
    mem_free(p);
    return false;
}

void pipeline_stop(struct pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    atomic_store(&p->stop, true);
    pthread_mutex_unlock(&p->lock);
}

void pipeline_pause(struct pipeline *p, const char *paused)
{
    pthread_mutex_lock(&p->lock);
    p->paused = paused;
    if (paused != NULL)
        atomic_store(&p->stop, true);
    pthread_mutex_unlock(&p->lock);
}

void pipeline_restart(struct pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    pthread_mutex_unlock(&p->lock);
}

const struct pipeline_options *pipeline_options(const struct pipeline *p)
{
    return &p->o;
}

bool pipeline_ended(struct pipeline *p)
{
    return atomic_load(&p->ended);
}

bool pipeline_started(const struct pipeline *p)
{
    return p->started_once || p->checkpoint.found;
}

bool pipeline_live(struct pipeline *p)
{
    return atomic_load(&p->live);
}

bool pipeline_free(struct pipeline *p, struct error *err)
{
    bool ok;

    pthread_join(p->thread, NULL);
    ok = p->final_error.kind == ERROR_NONE;
    if (!ok)
        *err = p->final_error;
    p->o.source->close(p->src);
    desk_close(p->o.desk, p->o.sink_name);
    p->o.warehouse->close(p->wh);
    loads_forget_wants(p);
    arena_free(p->ahead_arena);
    arena_free(p->arena);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
    return ok;
}
