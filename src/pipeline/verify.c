/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification's thread: takes what people ask for, one after another, table by table, and says
 * what came of it. Beside it a watch, which breaks off what runs when it is cancelled, its time is
 * over, or the attempt ends: either side may be waited for at that moment.
 *
 * Nothing is left behind, whatever happens: the point's slot is temporary and gone before rows are
 * read, both sides are only read, and a repair is one transaction of the sink. A verification that
 * runs when the attempt ends has failed; those that wait run in the next.
 */
#include "pipeline/verify_internal.h"

#include "metrics/metrics.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REST_MS 5
#define IDLE_MS 50
#define WATCH_MS 50

/* --- the watch --- */

static enum verify_broken judge(struct verify *v)
{
    if (atomic_load(&v->stop))
        return VERIFY_STOPPED;
    if (verifications_is_cancelled(v->p->o.verifications, v->what.id))
        return VERIFY_CANCELLED;
    if (v->deadline_ms != 0 && clock_mono_ms() >= v->deadline_ms)
        return VERIFY_TIMED_OUT;
    return VERIFY_GOES_ON;
}

static void look(struct verify *v)
{
    pthread_mutex_lock(&v->lock);
    if (v->running && atomic_load(&v->broken) == VERIFY_GOES_ON) {
        atomic_store(&v->broken, judge(v));
        if (atomic_load(&v->broken) != VERIFY_GOES_ON) {
            if (v->src != NULL)
                v->p->o.source->cancel(v->src);
            if (v->view != NULL)
                v->p->o.warehouse->cancel(v->view);
        }
    }
    pthread_mutex_unlock(&v->lock);
}

static void *watch_main(void *arg)
{
    struct verify *v = arg;

    while (!atomic_load(&v->stop)) {
        look(v);
        clock_sleep_ms(WATCH_MS);
    }
    look(v);
    return NULL;
}

bool verify_goes_on(struct verify *v, struct error *err)
{
    switch (atomic_load(&v->broken)) {
    case VERIFY_STOPPED:
        return error_set(err, ERROR_RETRY, "the stream has ended meanwhile: verify again");
    case VERIFY_CANCELLED:
        return error_set(err, ERROR_RETRY, "cancelled");
    case VERIFY_TIMED_OUT:
        return error_set(err, ERROR_RETRY, "not within %lld ms", (long long)v->what.timeout_ms);
    default:
        return true;
    }
}

bool verify_rest(struct verify *v, struct error *err)
{
    clock_sleep_ms(REST_MS);
    return verify_goes_on(v, err);
}

void verify_deadline(struct verify *v, int64_t ms)
{
    pthread_mutex_lock(&v->lock);
    v->deadline_ms = ms == 0 ? 0 : clock_mono_ms() + ms;
    pthread_mutex_unlock(&v->lock);
}

void verify_say(struct verify *v, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    verifications_say(v->p->o.verifications, v->what.id, text);
}

struct flow *verify_live(struct verify *v, const char *schema, const char *name, size_t *wanted)
{
    struct flow *found = NULL;
    struct wanting *w;

    pthread_mutex_lock(&v->p->lock);
    for (w = v->p->wanting; w != NULL && found == NULL; w = w->next) {
        if (w->flow == NULL || strcmp(w->flow->table->schema, schema) != 0 ||
            strcmp(w->flow->table->name, name) != 0)
            continue;
        found = w->flow;
        *wanted = w->count;
    }
    pthread_mutex_unlock(&v->p->lock);
    return found;
}

/* --- one verification --- */

static json_t *counts_json(const struct verify_result *r)
{
    return json_pack("{s:I, s:I, s:I, s:b}", "missing", (json_int_t)r->missing, "extra",
                     (json_int_t)r->extra, "different", (json_int_t)r->different, "exact",
                     !r->at_least);
}

static int64_t differences(const struct verify_result *r)
{
    return r->missing + r->extra + r->different;
}

/* first: before the repair, or NULL. Takes r's list. */
static json_t *table_json(const struct qualified *t, struct verify_result *r,
                          const struct verify_result *first, bool by_load)
{
    json_t *j = json_object();
    bool compared = r->csn != 0;

    json_object_set_new(j, "schema", json_string(t->schema));
    json_object_set_new(j, "table", json_string(t->name));
    json_object_set_new(j, "state", json_string(r->state));
    json_object_set_new(j, "reason", r->reason[0] != '\0' ? json_string(r->reason) : json_null());
    json_object_set_new(j, "position", compared ? json_string(r->position) : json_null());
    json_object_set_new(j, "csn", compared ? json_integer(r->csn) : json_null());
    json_object_set_new(j, "rows",
                        compared ? json_pack("{s:I, s:I}", "source", (json_int_t)r->rows[DIFF_A],
                                             "warehouse", (json_int_t)r->rows[DIFF_B])
                                 : json_null());
    json_object_set_new(j, "counts", compared ? counts_json(r) : json_null());
    json_object_set_new(j, "nulled", json_integer(r->nulled));
    json_object_set_new(j, "wanted", json_integer((json_int_t)r->wanted));
    json_object_set_new(j, "note", r->note.len > 0 ? json_string(buf_cstr(&r->note)) : json_null());
    json_object_set_new(j, "truncated", json_boolean(differences(r) > r->listed));
    json_object_set_new(j, "before", first != NULL ? counts_json(first) : json_null());
    json_object_set_new(j, "repaired",
                        first == NULL ? json_null()
                        : by_load     ? json_string("loaded again")
                                      : json_integer(first->nkeys));
    json_object_set_new(j, "differences", r->differences != NULL ? r->differences : json_array());
    r->differences = NULL;
    return j;
}

static void log_result(struct verify *v, const struct qualified *t, const struct verify_result *r)
{
    log_write(strcmp(r->state, "equal") == 0 ? LOG_INFO : LOG_WARN,
              "table verified table=%s.%s state=%s position=%s rows=%lld missing=%lld extra=%lld "
              "different=%lld%s%s",
              t->schema, t->name, r->state, r->position, (long long)r->rows[DIFF_A],
              (long long)r->missing, (long long)r->extra, (long long)r->different,
              r->reason[0] != '\0' ? " reason=" : "", r->reason);
    metric_add(METRIC_VERIFY_DIFFERENCES, v->p->o.source_name, differences(r));
    metric_add(METRIC_VERIFY_TABLES, v->p->o.source_name, 1);
}

/* Compares it; with --repair mends what differs, and compares again. */
static bool verify_one(struct verify *v, int i, struct error *err)
{
    const struct qualified *t = &v->what.tables[i];
    struct verify_result first = {0}, again = {0}, *last = &first;
    bool by_load = false, mended = false;
    bool ok = verify_table(v, t, &first, err);

    if (ok)
        log_result(v, t, &first);
    if (ok && v->what.repair && strcmp(first.state, "different") == 0) {
        mended = true;
        ok = verify_repair(v, t, &first, &by_load, err) && verify_table(v, t, &again, err);
        if (ok)
            log_result(v, t, &again);
        last = &again;
    }
    if (ok)
        verifications_table(v->p->o.verifications, v->what.id, i,
                            table_json(t, last, mended ? &first : NULL, by_load));
    verify_result_free(&first);
    verify_result_free(&again);
    return ok;
}

/* What was cancelled is of no use any more. */
static void let_go(struct verify *v)
{
    struct source *src = NULL;

    pthread_mutex_lock(&v->lock);
    v->running = false;
    atomic_store(&v->sink.active, false);
    v->deadline_ms = 0;
    if (atomic_load(&v->broken) != VERIFY_GOES_ON) {
        src = v->src;
        v->src = NULL;
    }
    v->connected = false; /* the next one makes its connections anew */
    pthread_mutex_unlock(&v->lock);
    v->p->o.source->close(src);
}

static void run(struct verify *v)
{
    struct verifications *list = v->p->o.verifications;
    enum verification_state state = VERIFICATION_DONE;
    struct error err = {0};
    bool ok = true;
    int i;

    log_info("verification begins id=%lld tables=%d", (long long)v->what.id, v->what.n);
    for (i = 0; ok && i < v->what.n; i++)
        ok = verify_goes_on(v, &err) && verify_one(v, i, &err);
    if (!ok)
        state = atomic_load(&v->broken) == VERIFY_CANCELLED ? VERIFICATION_CANCELLED
                                                            : VERIFICATION_FAILED;
    if (!ok && atomic_load(&v->broken) == VERIFY_STOPPED)
        verify_goes_on(v, &err); /* whatever it broke off */
    if (state == VERIFICATION_FAILED)
        log_failure(LOG_WARN, "verification failed", &err);
    else
        log_info("verification ends id=%lld state=%s", (long long)v->what.id,
                 ok ? "done" : "cancelled");
    let_go(v);
    verifications_end(list, v->what.id, state, state == VERIFICATION_FAILED ? err.message : NULL);
}

static bool take(struct verify *v)
{
    bool taken;

    arena_reset(v->arena);
    pthread_mutex_lock(&v->lock);
    taken = verifications_take(v->p->o.verifications, v->p->o.source_name, v->arena, &v->what);
    if (taken) {
        atomic_store(&v->broken, VERIFY_GOES_ON);
        v->running = true;
        atomic_store(&v->sink.active, true);
    }
    pthread_mutex_unlock(&v->lock);
    return taken;
}

static void *verify_main(void *arg)
{
    struct verify *v = arg;

    log_set_connector(v->p->o.source_name);
    while (!atomic_load(&v->stop)) {
        if (take(v))
            run(v);
        else
            clock_sleep_ms(IDLE_MS);
    }
    return NULL;
}

/* --- its life --- */

struct verify *verify_new(struct pipeline *p)
{
    struct verify *v = mem_calloc(1, sizeof(*v));

    v->p = p;
    p->verify = &v->sink;
    v->arena = arena_new("verification");
    pthread_mutex_init(&v->lock, NULL);
    return v;
}

bool verify_start(struct verify *v, struct error *err)
{
    if (v->p->o.verifications == NULL || v->p->o.warehouse->scan == NULL)
        return true;
    v->started = pthread_create(&v->thread, NULL, verify_main, v) == 0;
    v->watching = v->started && pthread_create(&v->watch, NULL, watch_main, v) == 0;
    return v->watching ||
           error_set(err, ERROR_RETRY, "the verification's threads could not be started");
}

void verify_stop(struct verify *v)
{
    atomic_store(&v->stop, true);
    if (v->watching)
        pthread_join(v->watch, NULL);
    if (v->started)
        pthread_join(v->thread, NULL);
    v->started = v->watching = false;
}

void verify_free(struct verify *v)
{
    if (v == NULL)
        return;
    v->p->verify = NULL;
    v->p->o.source->close(v->src);
    arena_free(v->arena);
    pthread_mutex_destroy(&v->lock);
    mem_free(v);
}
