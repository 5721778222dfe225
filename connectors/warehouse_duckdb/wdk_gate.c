/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several sessions are at work at the same time (the sink, the loads, queries), and DuckDB makes no
 * checkpoint while a transaction has changed rows, nor while a reader may need the rows that an
 * UPDATE replaced: without a pause common to all of them the log grows for as long as they are
 * busy. Both waits are bounded, so that a long transaction or query only delays the checkpoint,
 * and nobody waits for long.
 */
#include "util/clock.h"
#include "warehouse_duckdb/wdk.h"

#include <time.h>

#define ENTER_MS 1000 /* the longest that anybody waits for a checkpoint */

void wdk_gate_init(struct warehouse *w)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&w->gate, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->gate_moved, &attr);
    pthread_condattr_destroy(&attr);
}

void wdk_gate_free(struct warehouse *w)
{
    pthread_cond_destroy(&w->gate_moved);
    pthread_mutex_destroy(&w->gate);
}

/* The gate's lock is held. False when the time is over. */
static bool wait_until(struct warehouse *w, int64_t deadline_ms)
{
    struct timespec ts = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};

    return pthread_cond_timedwait(&w->gate_moved, &w->gate, &ts) == 0;
}

void wdk_gate_enter(struct warehouse *w)
{
    int64_t deadline = clock_mono_ms() + ENTER_MS;

    pthread_mutex_lock(&w->gate);
    while (w->gate_closed && wait_until(w, deadline))
        ;
    w->inside++;
    pthread_mutex_unlock(&w->gate);
}

void wdk_gate_leave(struct warehouse *w)
{
    pthread_mutex_lock(&w->gate);
    w->inside--;
    pthread_cond_broadcast(&w->gate_moved);
    pthread_mutex_unlock(&w->gate);
}

void wdk_gate_close(struct warehouse *w, int timeout_ms)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;

    pthread_mutex_lock(&w->gate);
    w->gate_closed = true;
    while (w->inside > 0 && wait_until(w, deadline))
        ;
    pthread_mutex_unlock(&w->gate);
}

void wdk_gate_open(struct warehouse *w)
{
    pthread_mutex_lock(&w->gate);
    w->gate_closed = false;
    pthread_cond_broadcast(&w->gate_moved);
    pthread_mutex_unlock(&w->gate);
}
