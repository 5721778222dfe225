/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One point S, a snapshot of it at the source and a view of the warehouse as of it. The sink lags
 * by delay_ms while the source makes the point; where that was not enough, again with more.
 */
#include "pipeline/verify_internal.h"

#include "metrics/metrics.h"
#include "util/clock.h"
#include "util/log.h"

#include <stdio.h>
#include <string.h>

#define DELAY_FIRST_MS 1000 /* from the point to our hearing of it: some round trips */
#define DELAY_MOST_MS 8000
#define CANCEL_MS 2000 /* a view that takes longer is broken off */

/* --- the fence --- */

/* The sink has nothing more to do with the session. */
static void release_fence(struct verify *v, struct fence *f)
{
    int64_t until = clock_mono_ms() + CANCEL_MS;
    int from[] = {FENCE_ASKED, FENCE_ARMED, FENCE_SET};
    bool cancelled = false;
    size_t i;

    for (i = 0; i < sizeof(from) / sizeof(from[0]); i++) /* in the order in which it may move on */
        atomic_compare_exchange_strong(&f->state, &from[i], FENCE_NONE);
    while (atomic_load(&f->state) == FENCE_TAKING) {
        if (!cancelled && clock_mono_ms() >= until) {
            v->p->o.warehouse->cancel(f->session);
            cancelled = true;
        }
        clock_sleep_ms(1);
    }
    atomic_store(&f->state, FENCE_NONE);
    f->session = NULL;
}

static bool wait_fence(struct verify *v, struct fence *f, int was, int or_was, struct error *err)
{
    int state;

    while ((state = atomic_load(&f->state)) == was || state == or_was) {
        if (!verify_rest(v, err))
            return false;
    }
    return true;
}

/* --- connections --- */

static bool connect_source(struct verify *v, struct error *err)
{
    struct pipeline *p = v->p;

    if (v->src == NULL) {
        struct source *src;

        if (!p->o.source->open(&src, p->o.source_config, err))
            return false;
        pthread_mutex_lock(&v->lock);
        v->src = src;
        v->connected = false;
        pthread_mutex_unlock(&v->lock);
    }
    return loads_connect_source(p, &v->src, &v->connected, err);
}

static void set_view(struct verify *v, struct session *s)
{
    pthread_mutex_lock(&v->lock);
    v->view = s;
    if (s != NULL && atomic_load(&v->broken) != VERIFY_GOES_ON)
        v->p->o.warehouse->cancel(s);
    pthread_mutex_unlock(&v->lock);
}

static bool connect_view(struct verify *v, struct error *err)
{
    struct session *s;

    if (!pipeline_connect(v->p, "verify", true, &s, err))
        return error_prefix(err, "a session of the warehouse");
    set_view(v, s);
    return true;
}

static void disconnect_view(struct verify *v)
{
    struct session *s = v->view;

    set_view(v, NULL);
    pipeline_disconnect(v->p, s);
}

/* --- what is said when it takes too long --- */

static void no_point(struct verify *v, struct error *err)
{
    struct error ignored;
    struct source *src = NULL;
    bool connected = false;
    struct mark m;

    error_set(err, ERROR_RETRY, "the source has made no exact point within %lld ms",
              (long long)v->what.timeout_ms);
    if (loads_connect_source(v->p, &src, &connected, &ignored) &&
        v->p->o.source->mark_read(src, &m, &ignored) && m.oldest[0] != '\0')
        error_set(err, ERROR_RETRY,
                  "the source has made no exact point within %lld ms: it waits for transactions "
                  "that are open there: %s",
                  (long long)v->what.timeout_ms, m.oldest);
    v->p->o.source->close(src);
}

static bool timed_out(const struct verify *v)
{
    return atomic_load(&v->broken) == VERIFY_TIMED_OUT;
}

static void not_there(struct verify *v, struct error *err)
{
    int64_t lag = metric_get(METRIC_SOURCE_LAG_BYTES, v->p->o.source_name);

    error_set(err, ERROR_RETRY,
              "the warehouse has not come to the point within %lld ms: it is %lld bytes of log "
              "behind",
              (long long)v->what.timeout_ms, (long long)(lag > 0 ? lag : 0));
}

/* --- the view --- */

static bool make_point(struct verify *v, struct verify_view *out, struct error *err)
{
    char position[POSITION_SIZE];

    verify_say(v, "an exact point is being made at the source");
    if (v->p->o.source->point_open(v->src, false, &out->point, &out->s, position, err))
        return true;
    out->point = NULL;
    if (timed_out(v))
        no_point(v, err);
    else if (verify_goes_on(v, err))
        error_prefix(err, "an exact point at the source");
    return false;
}

static bool take_answer(struct fence *f, struct verify_view *out, bool *missed, struct error *err)
{
    *missed = atomic_load(&f->state) == FENCE_MISSED;
    if (atomic_load(&f->state) == FENCE_FAILED) {
        *err = f->err;
        return error_prefix(err, "a view of the warehouse");
    }
    out->flow = f->flow;
    out->wanted = f->wanted;
    snprintf(out->position, sizeof(out->position), "%s", f->position);
    return true;
}

static bool ask_fence(struct verify *v, struct fence *f, struct verify_view *out, bool *missed,
                      struct error *err)
{
    verify_say(v, "the stream is asked to stop at a point");
    atomic_store(&f->state, FENCE_ASKED);
    if (!wait_fence(v, f, FENCE_ASKED, FENCE_ASKED, err)) {
        if (timed_out(v))
            not_there(v, err);
        return false;
    }
    if (!make_point(v, out, err))
        return false;
    f->s = out->s;
    atomic_store(&f->state, FENCE_SET);
    verify_say(v, "waiting until the warehouse has come to the point");
    if (!wait_fence(v, f, FENCE_SET, FENCE_TAKING, err)) {
        if (timed_out(v))
            not_there(v, err);
        return false;
    }
    return take_answer(f, out, missed, err);
}

/* The session sees exactly what the sink has told it to see. */
static bool check_view(struct verify *v, const struct verify_view *view, struct error *err)
{
    struct books b = v->p->books;
    struct checkpoint cp;

    if (view->flow == NULL)
        return true;
    b.session = v->view;
    if (!books_checkpoint_read(&b, &cp, err))
        return false;
    if (!cp.found || strcmp(cp.position, view->position) != 0)
        return error_set(err, ERROR_RETRY,
                         "the view of the warehouse stands at %s, not at %s: verify again",
                         cp.found ? cp.position : "nothing", view->position);
    return true;
}

/* Readers one after another must not keep the warehouse's upkeep away. */
static bool wait_crowd(struct verify *v, struct error *err)
{
    const struct warehouse_ops *ops = v->p->o.warehouse;

    while (ops->crowded != NULL && ops->crowded(v->p->wh)) {
        verify_say(v, "the warehouse writes its log away first");
        if (!verify_rest(v, err))
            return false;
    }
    return true;
}

bool verify_view_open(struct verify *v, uint32_t oid, struct verify_view *out, struct error *err)
{
    struct fence *f = &v->sink.fence;
    bool ok = true, missed = true;
    int delay;

    memset(out, 0, sizeof(*out));
    verify_deadline(v, v->what.timeout_ms);
    ok = connect_source(v, err) && wait_crowd(v, err) && connect_view(v, err);
    for (delay = DELAY_FIRST_MS; ok && missed && delay <= DELAY_MOST_MS; delay *= 2) {
        v->p->o.source->point_close(out->point);
        out->point = NULL;
        f->delay_ms = delay;
        f->oid = oid;
        f->session = v->view;
        ok = ask_fence(v, f, out, &missed, err);
        release_fence(v, f);
        if (ok && missed)
            log_info("verification: the stream passed the point delay_ms=%d", delay);
    }
    if (ok && missed)
        ok = error_set(err, ERROR_RETRY,
                       "the stream was past the point before it was known, although it lagged by "
                       "%d ms: the source is slow to answer; verify again",
                       DELAY_MOST_MS);
    ok = ok && check_view(v, out, err);
    verify_deadline(v, 0);
    if (!ok)
        verify_view_close(v, out);
    return ok;
}

void verify_view_close(struct verify *v, struct verify_view *view)
{
    v->p->o.source->point_close(view->point);
    view->point = NULL;
    if (v->view != NULL)
        disconnect_view(v);
}
