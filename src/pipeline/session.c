/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of the warehouse, listed so that a cancel from another thread reaches each of them. */
#include "pipeline/internal.h"
#include "util/mem.h"

bool pipeline_connect(struct pipeline *p, const char *role, struct session **out, struct error *err)
{
    char *name = mem_printf("penstock:%s:%s:%s", p->o.sink_name, p->o.source_name, role);
    struct session *s = NULL;
    bool ok = p->o.warehouse->connect(p->wh, name, &s, err);
    int i;

    mem_free(name);
    if (!ok)
        return false;
    pthread_mutex_lock(&p->lock);
    for (i = 0; i < PIPELINE_MAX_SESSIONS && p->sessions[i] != NULL; i++)
        ;
    if (i < PIPELINE_MAX_SESSIONS)
        p->sessions[i] = s;
    if (atomic_load(&p->cancelled))
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
        if (p->sessions[i] == s)
            p->sessions[i] = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    p->o.warehouse->disconnect(s);
}

void pipeline_cancel(struct pipeline *p)
{
    int i;

    atomic_store(&p->stop, true);
    atomic_store(&p->cancelled, true);
    if (p->src != NULL)
        p->o.source->cancel(p->src);
    pthread_mutex_lock(&p->lock);
    for (i = 0; i < PIPELINE_MAX_SESSIONS; i++) {
        if (p->sessions[i] != NULL)
            p->o.warehouse->cancel(p->sessions[i]);
    }
    pthread_mutex_unlock(&p->lock);
}
