/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A counter of running questions per warehouse: closing sets a flag that every question of it
 * watches, and waits for the counter to reach zero.
 */
#include "state/desk.h"

#include "util/log.h"
#include "util/mem.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define SAY_S 5 /* so long may the end of a question take before it is said */

/* Of the process; it outlives every desk. */
static atomic_int asking;

struct entry {
    struct entry *next;
    const char *name;
    const struct warehouse_ops *ops;
    struct warehouse *open; /* NULL: it is not */
    atomic_bool closing;
    int running;
};

struct desk {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct entry *entries; /* in the order they were added */
    int taken;
};

struct desk *desk_new(void)
{
    struct desk *d = mem_calloc(1, sizeof(*d));

    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->moved, NULL);
    return d;
}

void desk_free(struct desk *d)
{
    struct entry *e;

    if (d == NULL)
        return;
    while ((e = d->entries) != NULL) {
        d->entries = e->next;
        mem_free(e);
    }
    pthread_cond_destroy(&d->moved);
    pthread_mutex_destroy(&d->lock);
    mem_free(d);
}

void desk_add(struct desk *d, const char *name, const struct warehouse_ops *ops)
{
    struct entry *e = mem_calloc(1, sizeof(*e)), **at;

    e->name = name;
    e->ops = ops;
    for (at = &d->entries; *at != NULL; at = &(*at)->next)
        ;
    *at = e;
}

static struct entry *find(struct desk *d, const char *name)
{
    struct entry *e = d->entries;

    while (e != NULL && strcmp(e->name, name) != 0)
        e = e->next;
    return e;
}

int desk_names(struct desk *d, struct buf *out)
{
    const struct entry *e;
    int n = 0;

    for (e = d->entries; e != NULL; e = e->next) {
        if (e->ops->ask == NULL)
            continue;
        buf_puts(out, n++ > 0 ? ", " : "");
        buf_puts(out, e->name);
    }
    return n;
}

enum desk_known desk_find(struct desk *d, const char *name)
{
    const struct entry *e = find(d, name);

    return e == NULL ? DESK_UNKNOWN : e->ops->ask == NULL ? DESK_NOT_ASKED : DESK_ASKED;
}

void desk_open(struct desk *d, const char *name, struct warehouse *w)
{
    struct entry *e = d != NULL ? find(d, name) : NULL;

    if (e == NULL)
        return;
    pthread_mutex_lock(&d->lock);
    e->open = w;
    atomic_store(&e->closing, false);
    pthread_mutex_unlock(&d->lock);
}

/* The lock is held. A question that heeds no interrupt is waited for: it uses the warehouse. */
static void await_end(struct desk *d, struct entry *e)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SAY_S;
    while (e->running > 0) {
        if (until.tv_sec == 0)
            pthread_cond_wait(&d->moved, &d->lock);
        else if (pthread_cond_timedwait(&d->moved, &d->lock, &until) == ETIMEDOUT) {
            until.tv_sec = 0;
            if (e->running > 0)
                log_warn("a query does not end although it was told to: this connector stands "
                         "still until it does; to mend it: restart the service, which breaks it "
                         "off connector=%s",
                         e->name);
        }
    }
}

int desk_asking(void)
{
    return atomic_load(&asking);
}

void desk_close(struct desk *d, const char *name)
{
    struct entry *e = d != NULL ? find(d, name) : NULL;

    if (e == NULL)
        return;
    pthread_mutex_lock(&d->lock);
    e->open = NULL;
    atomic_store(&e->closing, true);
    await_end(d, e);
    pthread_mutex_unlock(&d->lock);
}

bool desk_take(struct desk *d)
{
    bool taken;

    pthread_mutex_lock(&d->lock);
    taken = d->taken < DESK_MAX;
    d->taken += taken;
    pthread_mutex_unlock(&d->lock);
    return taken;
}

void desk_give(struct desk *d)
{
    pthread_mutex_lock(&d->lock);
    d->taken--;
    pthread_mutex_unlock(&d->lock);
}

enum ask_outcome desk_ask(struct desk *d, const char *name, struct question *q, struct buf *json,
                          struct error *err)
{
    struct entry *e = find(d, name);
    struct warehouse *w = NULL;
    enum ask_outcome out;

    pthread_mutex_lock(&d->lock);
    if (e != NULL && e->ops->ask != NULL)
        w = e->open;
    if (w != NULL)
        e->running++;
    pthread_mutex_unlock(&d->lock);
    if (w == NULL) {
        error_set(err, ERROR_RETRY, "The warehouse of connector %s is not open now: see its status",
                  name);
        return ASK_BUSY;
    }
    q->cancelled = &e->closing;
    atomic_fetch_add(&asking, 1);
    out = e->ops->ask(w, q, json, err);
    atomic_fetch_sub(&asking, 1);
    pthread_mutex_lock(&d->lock);
    e->running--;
    pthread_cond_broadcast(&d->moved);
    pthread_mutex_unlock(&d->lock);
    return out;
}
