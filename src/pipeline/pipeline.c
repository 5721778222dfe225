/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Supervision: one attempt after another. What to do after an error is decided by its kind alone:
 * retry waits with back-off, configuration is tried again every CONFIG_RETRY_MS (a person may have
 * mended it), a table's fault stops that table, conflict and fatal end the connector.
 */
#include "pipeline/pipeline.h"

#include "metrics/metrics.h"
#include "pipeline/internal.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

#define CONFIG_RETRY_MS 10000
#define STABLE_MS 30000 /* after this long the back-off starts anew */

static void end_attempt(struct pipeline *p)
{
    flows_free(p);
    pipeline_disconnect(p, p->books.session);
    p->books.session = NULL;
    arena_reset(p->arena);
}

/* A table's fault: it stops, persisted, and the rest goes on from the checkpoint. */
static bool blame_table(struct pipeline *p, struct error *err)
{
    char reason[2100];
    struct flow *f = flow_find(p, err->table);
    struct error again;

    snprintf(reason, sizeof(reason), "%s%s%s", err->message, err->hint[0] ? "; " : "", err->hint);
    log_error("table stops table=%s.%s reason=%s", f ? f->rec.table->schema : "?",
              f ? f->rec.table->name : "?", reason);
    if (f == NULL || p->books.session == NULL)
        return false;
    if (!flow_stop_table(p, &p->books, err->table, TABLE_NEEDS_SNAPSHOT, reason, &again)) {
        *err = again;
        return false;
    }
    return true;
}

static enum outcome attempt(struct pipeline *p, struct error *err)
{
    enum outcome outcome = OUTCOME_FAILED;

    p->start_ms = clock_mono_ms();
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
    if (outcome == OUTCOME_FAILED && err->kind == ERROR_DATA && err->table != 0 &&
        !atomic_load(&p->stop) && blame_table(p, err))
        outcome = OUTCOME_AGAIN;
    end_attempt(p);
    if (outcome == OUTCOME_FAILED && p->failed_side == SIDE_SINK) {
        p->o.warehouse->close(p->wh); /* DuckDB may have given up the file until it is opened */
        p->wh = NULL;
    }
    return outcome;
}

static void show_failure(struct pipeline *p, const struct error *err, bool retrying)
{
    const char *name = p->failed_side == SIDE_SOURCE ? p->o.source_name : p->o.sink_name;
    const char *other = p->failed_side == SIDE_SOURCE ? p->o.sink_name : p->o.source_name;
    char trace[2200];

    snprintf(trace, sizeof(trace), "%s%s%s%s%s%s", err->message, err->sqlstate[0] ? " (" : "",
             err->sqlstate, err->sqlstate[0] ? ")" : "", err->hint[0] ? "; to mend it: " : "",
             err->hint);

    board_set_state(p->o.board, other, CONNECTOR_RUNNING, CONNECTOR_UNASSIGNED, NULL);
    board_set_state(p->o.board, name, CONNECTOR_RUNNING,
                    retrying ? CONNECTOR_RESTARTING : CONNECTOR_FAILED, trace);
    log_set_connector(name);
    log_failure(retrying ? LOG_WARN : LOG_ERROR, retrying ? "retrying" : "failed", err);
    log_set_connector(p->o.source_name);
}

/* False when stopped meanwhile. */
static bool wait_ms(struct pipeline *p, int ms)
{
    int64_t until = clock_mono_ms() + ms;

    while (!atomic_load(&p->stop) && clock_mono_ms() < until)
        clock_sleep_ms(50);
    return !atomic_load(&p->stop);
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

static void *pipeline_main(void *arg)
{
    struct pipeline *p = arg;
    struct retry retry = {0};
    struct error err;

    log_set_connector(p->o.source_name);
    while (!atomic_load(&p->stop)) {
        enum outcome o = attempt(p, &err);

        if (o == OUTCOME_DONE || atomic_load(&p->stop))
            break;
        if (o == OUTCOME_AGAIN)
            continue;
        if (o == OUTCOME_STOPPED)
            break;
        if (ends_it(p, &err)) {
            show_failure(p, &err, false);
            p->final_error = err;
            break;
        }
        metric_add(METRIC_RESTARTS, p->o.source_name, 1);
        if (clock_mono_ms() - p->start_ms > STABLE_MS)
            retry_reset(&retry);
        show_failure(p, &err, err.kind == ERROR_RETRY);
        if (!wait_ms(p, err.kind == ERROR_RETRY ? retry_next_ms(&retry) : CONFIG_RETRY_MS))
            break;
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
    pthread_mutex_init(&p->lock, NULL);
    p->books.ops = o->warehouse;
    p->books.connector = o->sink_name;
    p->books.source = o->source_name;
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
    mem_free(p);
    return false;
}

void pipeline_stop(struct pipeline *p)
{
    atomic_store(&p->stop, true);
}

bool pipeline_ended(struct pipeline *p)
{
    return atomic_load(&p->ended);
}

bool pipeline_live(struct pipeline *p)
{
    return atomic_load(&p->live);
}

static void free_wants(struct map *wants)
{
    struct want *w;
    size_t at = 0;

    while ((w = map_next(wants, &at)) != NULL) {
        mem_free((void *)w->table.schema);
        mem_free((void *)w->table.name);
        mem_free(w);
    }
    map_free(wants);
}

bool pipeline_free(struct pipeline *p, struct error *err)
{
    bool ok;

    pthread_join(p->thread, NULL);
    ok = p->final_error.kind == ERROR_NONE;
    if (!ok)
        *err = p->final_error;
    p->o.source->close(p->src);
    p->o.warehouse->close(p->wh);
    free_wants(p->wants);
    arena_free(p->arena);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
    return ok;
}
