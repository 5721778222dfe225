/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a question while it runs. DuckDB knows one limit of memory for the whole instance,
 * which the service's own batches need, too: so the memory that operators of queries hold is looked
 * at every few milliseconds, and who asks is interrupted when it has grown by half of the limit,
 * long before a batch would be refused some. What functions allocate for values is not in DuckDB's
 * count: the resident memory of the process is looked at as well. An interrupt is heeded between
 * two vectors of rows, and is repeated until the question has ended.
 */
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 5
#define LOOK_TICKS 4 /* DuckDB's count costs a query: not each time */
#define RESIDENT_MORE ((int64_t)64 << 20)
#define SPILLED_MAX ((int64_t)1 << 30) /* temporary files on disk */

struct wdk_watch {
    struct session *target, *own;
    const struct question *q;
    int64_t deadline_ms;
    int64_t resident, held, spilled; /* when it began */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool over;
    enum wdk_limit reached;
};

static int64_t resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f == NULL)
        return 0;
    if (fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    fclose(f);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

/* What operators of queries hold in memory, and what lies in temporary files. */
static bool look(struct session *s, int64_t *held, int64_t *spilled)
{
    static const char sql[] =
        "SELECT coalesce(sum(memory_usage_bytes) FILTER (tag IN ('HASH_TABLE', 'ORDER_BY', "
        "'COLUMN_DATA', 'ALLOCATOR', 'WINDOW')), 0)::BIGINT, "
        "coalesce(sum(temporary_storage_bytes), 0)::BIGINT FROM duckdb_memory()";
    struct arena *a = arena_new("watch");
    struct error ignored;
    struct rowset r;
    bool ok = wdk_query(s, a, sql, &r, &ignored) && r.nrows == 1;

    if (ok) {
        *held = atoll(rowset_get(&r, 0, 0));
        *spilled = atoll(rowset_get(&r, 0, 1));
    }
    arena_free(a);
    return ok;
}

static enum wdk_limit judge(struct wdk_watch *watch, int tick)
{
    int64_t limit = watch->own->w->memory_limit, held, spilled;

    if (wdk_given_up(watch->q))
        return WDK_LIMIT_CANCELLED;
    if (clock_mono_ms() >= watch->deadline_ms)
        return WDK_LIMIT_TIME;
    if (resident_bytes() - watch->resident > limit + RESIDENT_MORE)
        return WDK_LIMIT_MEMORY;
    if (tick % LOOK_TICKS == 0 && look(watch->own, &held, &spilled) &&
        (held - watch->held > limit / 2 || spilled - watch->spilled > SPILLED_MAX))
        return WDK_LIMIT_MEMORY;
    return WDK_LIMIT_NONE;
}

/* The lock is held. True when the question has ended. */
static bool wait_tick(struct wdk_watch *watch)
{
    int64_t until = clock_mono_ms() + TICK_MS;
    struct timespec ts = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};

    if (!watch->over)
        pthread_cond_timedwait(&watch->moved, &watch->lock, &ts);
    return watch->over;
}

static void *watch_main(void *arg)
{
    struct wdk_watch *watch = arg;
    enum wdk_limit limit;
    int tick = 0;

    pthread_mutex_lock(&watch->lock);
    while (!wait_tick(watch)) {
        pthread_mutex_unlock(&watch->lock);
        limit = watch->reached != WDK_LIMIT_NONE ? watch->reached : judge(watch, ++tick);
        pthread_mutex_lock(&watch->lock);
        if (limit != WDK_LIMIT_NONE && !watch->over) {
            watch->reached = limit;
            duckdb_interrupt(watch->target->con);
        }
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

static void release(struct wdk_watch *watch)
{
    wdk_disconnect(watch->own);
    pthread_cond_destroy(&watch->moved);
    pthread_mutex_destroy(&watch->lock);
    mem_free(watch);
}

bool wdk_watch_start(struct wdk_watch **out, struct session *s, const struct question *q,
                     int64_t deadline_ms, struct error *err)
{
    struct wdk_watch *watch = mem_calloc(1, sizeof(*watch));
    pthread_condattr_t attr;

    watch->target = s;
    watch->q = q;
    watch->deadline_ms = deadline_ms;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->moved, &attr);
    pthread_condattr_destroy(&attr);
    watch->resident = resident_bytes();
    if (!wdk_connect(s->w, "watch", &watch->own, err)) {
        release(watch);
        return false;
    }
    watch->own->upkeep = true; /* it never waits at the gate */
    look(watch->own, &watch->held, &watch->spilled);
    if (pthread_create(&watch->thread, NULL, watch_main, watch) != 0) {
        release(watch);
        return error_set(err, ERROR_RETRY, "a thread for the query could not be started");
    }
    *out = watch;
    return true;
}

enum wdk_limit wdk_watch_stop(struct wdk_watch *watch)
{
    enum wdk_limit reached;

    if (watch == NULL)
        return WDK_LIMIT_NONE;
    pthread_mutex_lock(&watch->lock);
    watch->over = true;
    pthread_cond_signal(&watch->moved);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    reached = watch->reached;
    release(watch);
    return reached;
}

enum ask_outcome wdk_limited(const struct question *q, enum wdk_limit limit, struct error *err)
{
    switch (limit) {
    case WDK_LIMIT_TIME:
        error_set(err, ERROR_CONFIG,
                  "The query was ended after %d ms: raise timeout_ms, or ask for less",
                  q->timeout_ms);
        return ASK_TIMEOUT;
    case WDK_LIMIT_MEMORY:
        error_set(err, ERROR_CONFIG,
                  "The query was ended because it took more than half of DuckDB's memory: ask for "
                  "less at a time, or raise duckdb.memory.limit");
        return ASK_TOO_LARGE;
    case WDK_LIMIT_UPKEEP:
        error_set(err, ERROR_RETRY,
                  "The query was ended because the warehouse must write its log away: ask again");
        return ASK_BUSY;
    default:
        error_set(err, ERROR_RETRY, "The query was ended because the warehouse is being closed");
        return ASK_BUSY;
    }
}
