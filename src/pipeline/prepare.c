/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From nothing, or from a checkpoint, to tables that can stream.
 *
 * First start: publication, then an intent row in the warehouse, then the mark (slot) with its
 * point S, then the checkpoint at S; every table is copied as of S. Later starts: the checkpoint
 * must be the source's and the mark must not be ahead of it; tables that are new or unfinished are
 * loaded while the others stream (loads.c).
 *
 * Refuses, saying why and what to do, wherever going on could not be exact.
 */
#include "pipeline/internal.h"
#include "util/causes.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

#define MARK_WAIT_MS 3000

static bool when_needed(const struct pipeline *p)
{
    const char *mode = config_string(p->o.source_config, "snapshot.mode");

    return mode != NULL && strcmp(mode, "when_needed") == 0;
}

static bool drop_foreign_mark(struct pipeline *p, const struct mark *m, struct error *err)
{
    bool intended = false;

    if (m->state == MARK_MISSING)
        return true;
    p->failed_side = SIDE_SINK;
    if (!books_intent_read(&p->books, p->identity.mark, &intended, err))
        return false;
    p->failed_side = SIDE_SOURCE;
    if (!intended) {
        error_cause(
            err, CAUSE_SLOT_FOREIGN,
            "slot %s exists, but this warehouse knows nothing of it: it may belong to another "
            "penstock",
            p->identity.mark);
        return error_fill(err, "slot", p->identity.mark);
    }
    log_info("slot left over from an interrupted start is dropped slot=%s", p->identity.mark);
    return p->o.source->mark_drop(p->src, err);
}

static bool create_checkpoint(struct pipeline *p, const char *position, int64_t s,
                              struct error *err)
{
    p->failed_side = SIDE_SINK;
    if (!p->o.warehouse->begin(p->books.session, err))
        return false;
    if (!books_checkpoint_create(&p->books, position, s - 1, &p->identity, err) ||
        !books_intent_clear(&p->books, err) || !p->o.warehouse->commit(p->books.session, err)) {
        p->o.warehouse->rollback(p->books.session);
        return false;
    }
    p->checkpoint.found = true;
    snprintf(p->checkpoint.position, sizeof(p->checkpoint.position), "%s", position);
    p->checkpoint.csn = s - 1;
    p->checkpoint.identity = p->identity;
    return true;
}

static bool prepare_first(struct pipeline *p, struct error *err)
{
    struct source_point *point = NULL;
    char position[POSITION_SIZE];
    struct mark m;
    int64_t s;

    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->mark_read(p->src, &m, err) || !drop_foreign_mark(p, &m, err) ||
        !p->o.source->prepare(p->src, err))
        return false;
    p->failed_side = SIDE_SINK;
    if (!flows_from_books(p, err) || !books_intent_write(&p->books, p->identity.mark, err))
        return false;
    FAILPOINT("prepare.intent-written");
    for (int i = 0; i < p->nflows; i++) {
        /* No checkpoint: a new load, always. */
        p->flows[i]->rec.state = TABLE_LOADING;
        p->flows[i]->rec.loaded = false;
    }
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->point_open(p->src, true, &point, &s, position, err)) {
        struct error ignored;

        /* The slot is somebody else's: it must not count as ours next time. */
        if (err->kind == ERROR_CONFLICT && !books_intent_clear(&p->books, &ignored))
            log_debug("intent not cleared: %s", ignored.message);
        return false;
    }
    FAILPOINT("prepare.slot-made");
    log_info("slot made slot=%s position=%s", p->identity.mark, position);
    if (!create_checkpoint(p, position, s, err)) {
        p->o.source->point_close(point);
        return false;
    }
    FAILPOINT("prepare.checkpoint-made");
    return flows_load(p, point, s, err);
}

/* Reads the mark once nobody reads from it; our own reader of a moment ago takes a while to go. */
static bool wait_for_mark(struct pipeline *p, struct mark *m, struct error *err)
{
    int64_t until = clock_mono_ms() + MARK_WAIT_MS;

    for (;;) {
        if (!p->o.source->mark_read(p->src, m, err))
            return false;
        if (m->active_pid == 0)
            return true;
        if (clock_mono_ms() >= until || atomic_load(&p->stop))
            break;
        clock_sleep_ms(50);
    }
    return error_cause(err, CAUSE_SLOT_IN_USE, "slot %s is in use by process %d of the source",
                       p->identity.mark, m->active_pid);
}

/* From here on the checkpoint counts on the server's timeline, which has passed the refusals. */
static bool take_timeline(struct pipeline *p, struct error *err)
{
    uint32_t was = p->checkpoint.identity.timeline;

    if (was == p->identity.timeline)
        return true;
    p->failed_side = SIDE_SINK;
    if (!p->o.warehouse->begin(p->books.session, err))
        return false;
    if (!books_checkpoint_identity(&p->books, p->checkpoint.position, &p->identity, err) ||
        !p->o.warehouse->commit(p->books.session, err)) {
        p->o.warehouse->rollback(p->books.session);
        return false;
    }
    p->checkpoint.identity = p->identity;
    log_info("timeline accepted from=%u to=%u position=%s", was, p->identity.timeline,
             p->checkpoint.position);
    return true;
}

static bool prepare_resume(struct pipeline *p, struct error *err)
{
    struct mark m;

    p->failed_side = SIDE_SOURCE;
    if (!refuse_identity(&p->checkpoint.identity, &p->identity, err) || !wait_for_mark(p, &m, err))
        return false;
    /* A mark read before the checkpoint can never rightly be ahead of it. */
    p->failed_side = SIDE_SINK;
    if (!books_checkpoint_read(&p->books, &p->checkpoint, err))
        return false;
    p->failed_side = SIDE_SOURCE;
    if (!refuse_timeline(p, err) || !refuse_mark(p, &m, err) || !take_timeline(p, err))
        return false;
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->prepare(p->src, err))
        return false;
    p->failed_side = SIDE_SINK;
    if (!flows_from_books(p, err) || !flows_compare(p, err))
        return false;
    for (int i = 0; i < p->nflows; i++)
        flow_show(p, p->flows[i], -1);
    for (int i = 0; i < p->nresumes; i++) {
        if (flow_find(p, p->resumes[i]->rec.table->oid) == p->resumes[i])
            flow_show(p, p->resumes[i], -1);
    }
    return true;
}

/* Everything is loaded again because the log cannot be: only under snapshot.mode when_needed. */
static bool start_over(struct pipeline *p, const struct error *why, struct error *err)
{
    struct mark m;

    log_warn("all tables are loaded again (snapshot.mode when_needed): %s", why->message);
    flows_free(p);
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->mark_read(p->src, &m, err) ||
        (m.state != MARK_MISSING && !p->o.source->mark_drop(p->src, err)))
        return false;
    p->failed_side = SIDE_SINK;
    if (!books_forget(&p->books, err))
        return false;
    memset(&p->checkpoint, 0, sizeof(p->checkpoint));
    return prepare_first(p, err);
}

/* Live at once, without a stream: `--once` and snapshot.mode initial_only. */
static bool live_all(struct pipeline *p, struct error *err)
{
    bool ok;
    int i;

    p->failed_side = SIDE_SINK;
    if (!p->o.warehouse->begin(p->books.session, err))
        return false;
    ok = true;
    for (i = 0; ok && i < p->nflows; i++) {
        if (p->flows[i]->rec.state == TABLE_LOADING && p->flows[i]->rec.loaded)
            ok = golive_table(&p->books, p->flows[i], err);
    }
    ok = ok && p->o.warehouse->commit(p->books.session, err);
    if (!ok) {
        p->o.warehouse->rollback(p->books.session);
        return false;
    }
    for (i = 0; i < p->nflows; i++) {
        struct flow *f = p->flows[i];

        if (f->rec.state == TABLE_LOADING && f->rec.loaded)
            f->rec.state = TABLE_LIVE;
        flow_show(p, f, -1);
    }
    return true;
}

static bool prepare_once(struct pipeline *p, struct error *err)
{
    struct source_point *point = NULL;
    char position[POSITION_SIZE];
    int64_t s;

    if (p->checkpoint.found) {
        return error_cause(err, CAUSE_FOLLOWED_ALREADY,
                           "this warehouse follows the source already (checkpoint at %s)",
                           p->checkpoint.position);
    }
    p->failed_side = SIDE_SINK;
    if (!flows_from_books(p, err))
        return false;
    for (int i = 0; i < p->nflows; i++) {
        p->flows[i]->rec.state = TABLE_LOADING;
        p->flows[i]->rec.loaded = false;
    }
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->point_open(p->src, false, &point, &s, position, err))
        return false;
    snprintf(p->checkpoint.position, sizeof(p->checkpoint.position), "%s", position);
    return flows_load(p, point, s, err) && live_all(p, err);
}

static bool one_shot(const struct pipeline *p)
{
    const char *mode = config_string(p->o.source_config, "snapshot.mode");

    return p->o.once || (mode != NULL && strcmp(mode, "initial_only") == 0);
}

bool prepare_attempt(struct pipeline *p, struct error *err)
{
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->connect(p->src, &p->identity, err))
        return false;
    p->failed_side = SIDE_SINK;
    if (p->wh == NULL && !p->o.warehouse->open(&p->wh, p->o.sink_config, err))
        return false;
    if (!pipeline_connect(p, "books", false, &p->books.session, err) ||
        !books_open(&p->books, err) || !refuse_same_database(p, err) ||
        !books_checkpoint_read(&p->books, &p->checkpoint, err))
        return false;
    if (one_shot(p))
        return prepare_once(p, err);
    if (!p->checkpoint.found) {
        if (!prepare_first(p, err))
            return false;
    } else if (!prepare_resume(p, err)) {
        struct error why = *err;

        if (err->kind != ERROR_FATAL || !when_needed(p) || p->failed_side != SIDE_SOURCE ||
            p->nflows > 0)
            return false;
        if (!start_over(p, &why, err))
            return false;
    }
    p->started_once = true;
    return flows_compile(p, err);
}
