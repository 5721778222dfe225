/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks wait in a short list, oldest first, until the stream has passed them. Full: every second
 * one goes, so that near and far ones remain however long the stream stands still.
 */
#include "pipeline/fresh.h"

#include "metrics/metrics.h"
#include "util/clock.h"

#include <stdio.h>
#include <string.h>

/* The lock is held. */
static void pass(struct pipeline *p)
{
    struct freshness *f = &p->fresh;
    int n = 0;

    if (f->reached[0] == '\0')
        return;
    while (n < f->nlooks && p->o.source->position_compare(f->looks[n].end, f->reached) <= 0) {
        f->us = f->looks[n].us > f->us ? f->looks[n].us : f->us;
        n++;
    }
    f->nlooks -= n;
    memmove(f->looks, f->looks + n, sizeof(f->looks[0]) * (size_t)f->nlooks);
}

static void thin(struct freshness *f)
{
    int i, n = 0;

    for (i = 0; i < f->nlooks; i += 2)
        f->looks[n++] = f->looks[i];
    f->nlooks = n;
}

/* reached: a copy. What is behind is counted from there. */
static void show(struct pipeline *p, int64_t us, const char *reached)
{
    if (us > 0)
        board_set_fresh(p->o.board, p->o.sink_name, us);
    if (reached[0] != '\0' && p->warehouse_failed[0] == '\0')
        metric_set(METRIC_SOURCE_LAG_BYTES, p->o.source_name,
                   p->o.source->lag_bytes(p->src, reached));
}

void fresh_saw(struct pipeline *p, const char *end, int64_t us)
{
    struct freshness *f = &p->fresh;
    char reached[POSITION_SIZE];
    int64_t now;

    if (end[0] == '\0')
        return;
    pthread_mutex_lock(&p->lock);
    if (f->nlooks == FRESH_LOOKS)
        thin(f);
    snprintf(f->looks[f->nlooks].end, POSITION_SIZE, "%s", end);
    f->looks[f->nlooks++].us = us;
    if (p->warehouse_failed[0] == '\0') /* who cannot be written to may be gone with all it had */
        pass(p);
    now = f->us;
    memcpy(reached, f->reached, sizeof(reached));
    pthread_mutex_unlock(&p->lock);
    show(p, now, reached);
}

void fresh_reached(struct pipeline *p, const char *position)
{
    int64_t now;

    pthread_mutex_lock(&p->lock);
    snprintf(p->fresh.reached, POSITION_SIZE, "%s", position);
    pass(p);
    now = p->fresh.us;
    pthread_mutex_unlock(&p->lock);
    show(p, now, position);
}

void fresh_commit(struct pipeline *p, int64_t commit_us)
{
    int64_t now = clock_wall_us();

    if (commit_us > now) /* the source's clock is ahead */
        commit_us = now;
    pthread_mutex_lock(&p->lock);
    if (commit_us > p->fresh.us)
        p->fresh.us = commit_us;
    now = p->fresh.us;
    pthread_mutex_unlock(&p->lock);
    show(p, now, "");
}

int64_t fresh_age_ms(struct pipeline *p)
{
    int64_t us;

    pthread_mutex_lock(&p->lock);
    us = p->fresh.us;
    pthread_mutex_unlock(&p->lock);
    return us > 0 ? (clock_wall_us() - us) / 1000 : INT64_MAX;
}
