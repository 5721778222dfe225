/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of the warehouse, listed so that a cancel from another thread reaches each of them. */
#include "pipeline/internal.h"
#include "util/mem.h"

bool pipeline_connect(struct pipeline *p, const char *role, bool load, struct session **out,
                      struct error *err)
{
    char *name = mem_printf("penstock:%s:%s:%s", p->o.sink_name, p->o.source_name, role);
    struct session *s = NULL;
    bool ok = p->o.warehouse->connect(p->wh, name, &s, err);
    int i;

    mem_free(name);
    if (!ok)
        return false;
    pthread_mutex_lock(&p->lock);
    for (i = 0; i < PIPELINE_MAX_SESSIONS && p->sessions[i].session != NULL; i++)
        ;
    if (i < PIPELINE_MAX_SESSIONS)
        p->sessions[i] = (struct pipeline_session){.session = s, .load = load};
    if (atomic_load(&p->cancelled) || (load && p->loads_cancelled))
        p->o.warehouse->cancel(s); /* it came after the others were cancelled */
    pthread_mutex_unlock(&p->lock);
    if (i == PIPELINE_MAX_SESSIONS) {
        p->o.warehouse->disconnect(s);
        return error_set(err, ERROR_FATAL, "more than %d sessions", PIPELINE_MAX_SESSIONS);
    }
    *out = s;
    return true;
}

void pipeline_disconnect(struct pipeline *p, struct session *s)
{
    int i;

    if (s == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    for (i = 0; i < PIPELINE_MAX_SESSIONS; i++) {
        if (p->sessions[i].session == s)
            p->sessions[i].session = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    p->o.warehouse->disconnect(s);
}

static void cancel_sessions(struct pipeline *p, bool loads_only)
{
    int i;

    pthread_mutex_lock(&p->lock);
    p->loads_cancelled = true;
    for (i = 0; i < PIPELINE_MAX_SESSIONS; i++) {
        if (p->sessions[i].session != NULL && (!loads_only || p->sessions[i].load))
            p->o.warehouse->cancel(p->sessions[i].session);
    }
    pthread_mutex_unlock(&p->lock);
}

void pipeline_cancel_loads(struct pipeline *p)
{
    cancel_sessions(p, true);
}

void pipeline_cancel(struct pipeline *p)
{
    pipeline_stop(p);
    atomic_store(&p->cancelled, true);
    if (p->src != NULL)
        p->o.source->cancel(p->src);
    cancel_sessions(p, false);
}
