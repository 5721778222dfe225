/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink's part in verification: it lags while a point is made, stops for a moment where it is
 * known to lie, lets the other thread's session look at the warehouse as of there, and goes on.
 */
#include "pipeline/batch.h"
#include "pipeline/verify.h"
#include "util/clock.h"

#include <stdio.h>

#define LOOK_MS 10

int sink_verify_wait_ms(const struct sink *s, int ms)
{
    return atomic_load(&s->p->verify->active) && ms > LOOK_MS ? LOOK_MS : ms;
}

bool sink_verify_delays(struct sink *s, const struct segment *seg)
{
    const struct fence *f = &s->p->verify->fence;

    if (atomic_load(&f->state) != FENCE_ARMED || atomic_load(&s->p->stop))
        return false;
    return clock_mono_ms() - seg->pushed_ms < f->delay_ms;
}

static bool anything_touched(const struct sink *s)
{
    int i;

    for (i = 0; i < s->ntables; i++) {
        if (s->tables[i]->touched)
            return true;
    }
    return false;
}

/* Everything that is collected; between two transactions. */
static bool apply_all(struct sink *s, struct error *err)
{
    return (!s->complete && !s->news && !anything_touched(s)) || batch_apply(s, err);
}

static bool is_live(const struct sink_table *t)
{
    return t != NULL && t->flow != NULL && t->live && !t->pending && !t->frozen;
}

/* --- the fence --- */

static bool take(struct sink *s, struct fence *f, struct error *err)
{
    int set = FENCE_SET;
    struct sink_table *t;

    if (!atomic_compare_exchange_strong(&f->state, &set, FENCE_TAKING))
        return true; /* it is not wanted any more */
    error_clear(&f->err);
    if (!apply_all(s, err)) {
        f->err = *err;
        atomic_store(&f->state, FENCE_FAILED);
        return false;
    }
    t = map_get_u32(s->by_oid, f->oid);
    f->flow = is_live(t) ? t->flow : NULL;
    f->wanted = t != NULL ? wanted_count(t->wanting.rows) : 0;
    snprintf(f->position, sizeof(f->position), "%s", s->start);
    if (f->flow != NULL && !s->p->o.warehouse->view(f->session, &f->err))
        atomic_store(&f->state, FENCE_FAILED); /* of the other thread's session only */
    else
        atomic_store(&f->state, FENCE_TAKEN);
    return true;
}

static void miss(struct fence *f)
{
    int set = FENCE_SET;

    atomic_compare_exchange_strong(&f->state, &set, FENCE_MISSED);
}

bool sink_verify_begins(struct sink *s, int64_t csn, struct error *err)
{
    struct fence *f = &s->p->verify->fence;

    if (atomic_load(&f->state) != FENCE_SET || csn < f->s)
        return true;
    if (s->tx_csn < f->s)
        return take(s, f, err);
    miss(f);
    return true;
}

/* Nothing behind s has come: the stream is there if it is said to be past it. */
static bool look_fence(struct sink *s, struct fence *f, struct error *err)
{
    int asked = FENCE_ASKED;

    atomic_compare_exchange_strong(&f->state, &asked, FENCE_ARMED);
    if (atomic_load(&f->state) != FENCE_SET)
        return true;
    if (s->tx_csn >= f->s) {
        miss(f);
        return true;
    }
    if (s->tx_open || s->open || s->p->o.source->position_csn(batch_reach(s)) < f->s)
        return true;
    return take(s, f, err);
}

/* --- repair --- */

static int64_t reached(const struct sink *s)
{
    return s->p->o.source->position_csn(batch_reach(s)) - 1;
}

static bool delete_rows(struct sink *s, struct sink_table *t, const struct verify_repair *r,
                        struct error *err)
{
    int i;

    t->touched = true;
    for (i = 0; i < r->n; i++) {
        struct event e = {
            .kind = EVENT_ROW, .op = 'd', .key = r->keys[i].wire, .key_len = r->keys[i].len};

        if (!compact_add(loader_compact(t->loader), &e, reached(s), 0, err)) {
            err->table = t->oid;
            return false;
        }
    }
    return true;
}

void sink_verify_want(struct sink *s)
{
    const struct verify_repair *r = s->repair;
    struct sink_table *t;
    int i;

    if (r == NULL)
        return;
    t = map_get_u32(s->by_oid, r->flow->table->oid);
    for (i = 0; i < r->n; i++)
        wanted_ask(t->wanting.rows, r->keys[i].wire + WIRE_PREFIX_SIZE,
                   r->keys[i].len - WIRE_PREFIX_SIZE, reached(s));
    s->repair = NULL;
}

static bool look_repair(struct sink *s, struct verify_repair *r, struct error *err)
{
    int asked = REPAIR_ASKED;
    struct sink_table *t;

    if (atomic_load(&r->state) != REPAIR_ASKED || s->tx_open || s->open)
        return true;
    if (!apply_all(s, err))
        return false;
    if (anything_touched(s) || !atomic_compare_exchange_strong(&r->state, &asked, REPAIR_TAKING))
        return true;
    t = map_get_u32(s->by_oid, r->flow->table->oid);
    if (!is_live(t) || t->flow != r->flow) {
        atomic_store(&r->state, REPAIR_VOID);
        return true;
    }
    s->repair = r;
    if (!delete_rows(s, t, r, err) || !batch_apply(s, err))
        return false;
    atomic_store(&r->state, REPAIR_DONE);
    return true;
}

bool sink_verify_look(struct sink *s, struct error *err)
{
    return look_fence(s, &s->p->verify->fence, err) && look_repair(s, &s->p->verify->repair, err);
}
