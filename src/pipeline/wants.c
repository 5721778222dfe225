/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that want a load, kept between attempts: who asks for the same thing again and again
 * although loads change nothing is made to wait longer each time.
 */
#include "pipeline/load.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

#define AGAIN_FIRST_MS 1000 /* doubled each time */
#define AGAIN_MAX_MS 60000

static struct want *find_or_make(struct pipeline *p, uint32_t oid, const char *schema,
                                 const char *name)
{
    struct want *w = map_get_u32(p->wants, oid);

    if (w == NULL) {
        w = mem_calloc(1, sizeof(*w));
        w->oid = oid;
        map_put_u32(p->wants, oid, w);
    }
    mem_free(w->schema);
    mem_free(w->name);
    w->schema = mem_strdup(schema);
    w->name = mem_strdup(name);
    return w;
}

/* The first repetitions go at once. */
static int patience(int times)
{
    int ms = AGAIN_FIRST_MS;

    if (times < 3)
        return 0;
    while (times-- > 3 && ms < AGAIN_MAX_MS)
        ms *= 2;
    return ms > AGAIN_MAX_MS ? AGAIN_MAX_MS : ms;
}

void loads_want(struct pipeline *p, uint32_t oid, const char *schema, const char *name,
                const char *why, int delay_ms)
{
    struct want *w;
    int wait;

    pthread_mutex_lock(&p->lock);
    w = find_or_make(p, oid, schema, name);
    if (strcmp(w->why, why) != 0)
        w->times = 0;
    snprintf(w->why, sizeof(w->why), "%s", why);
    wait = patience(w->times++);
    w->due_ms = clock_mono_ms() + (wait > delay_ms ? wait : delay_ms);
    w->pending = true;
    pthread_mutex_unlock(&p->lock);
    log_write(wait > 0 ? LOG_DEBUG : LOG_INFO, "table wants a load table=%s.%s why=%s", schema,
              name, why);
}

bool loads_wanted(struct pipeline *p)
{
    bool any = false;
    struct want *w;
    size_t at = 0;

    pthread_mutex_lock(&p->lock);
    while (!any && (w = map_next(p->wants, &at)) != NULL)
        any = w->pending;
    pthread_mutex_unlock(&p->lock);
    return any;
}

void loads_helped(struct pipeline *p, uint32_t oid)
{
    struct want *w;

    pthread_mutex_lock(&p->lock);
    w = map_get_u32(p->wants, oid);
    if (w != NULL && !w->pending)
        w->times = 0;
    pthread_mutex_unlock(&p->lock);
}

void loads_forget_wants(struct pipeline *p)
{
    struct want *w;
    size_t at = 0;

    while ((w = map_next(p->wants, &at)) != NULL) {
        mem_free(w->schema);
        mem_free(w->name);
        mem_free(w);
    }
    map_free(p->wants);
    p->wants = NULL;
}
