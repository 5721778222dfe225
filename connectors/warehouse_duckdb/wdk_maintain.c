/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upkeep between batches. Checkpoints are made here, outside of transactions, before DuckDB would
 * make one inside a commit: when the log has grown to WAL_BUSY, or sooner when nothing is to be
 * done. A checkpoint that has to give way to another session's transaction is tried again later.
 */
#include "util/clock.h"
#include "warehouse_duckdb/wdk.h"

#include <string.h>
#include <sys/stat.h>

#define WAL_BUSY ((int64_t)128 << 20)
#define WAL_IDLE ((int64_t)16 << 20)
#define WAL_IDLE_MS 30000 /* idle: even a small log is written away after this time */
#define POSTPONE_MS 2000

static int64_t wal_size(const struct warehouse *w)
{
    struct stat st;

    return stat(w->wal_path, &st) == 0 ? (int64_t)st.st_size : 0;
}

bool wdk_checkpoint(struct session *s, struct error *err)
{
    return wdk_exec(s, "CHECKPOINT", NULL, err);
}

static bool due(struct warehouse *w, bool idle, int64_t now)
{
    int64_t size = wal_size(w);

    if (size == 0) {
        w->wal_since_ms = 0;
        return false;
    }
    if (w->wal_since_ms == 0)
        w->wal_since_ms = now;
    if (w->postponed_ms != 0 && now - w->postponed_ms < POSTPONE_MS)
        return false;
    return size >= WAL_BUSY || (idle && (size >= WAL_IDLE || now - w->wal_since_ms >= WAL_IDLE_MS));
}

bool wdk_maintain(struct session *s, bool idle, struct error *err)
{
    struct warehouse *w = s->w;
    int64_t now = clock_mono_ms();
    bool ok = true;

    if (s->in_transaction)
        return error_set(err, ERROR_FATAL, "upkeep inside a transaction");
    if (pthread_mutex_trylock(&w->upkeep) != 0)
        return true; /* another session is at it */
    if (due(w, idle, now)) {
        ok = wdk_checkpoint(s, err);
        w->postponed_ms = ok ? 0 : now;
        w->wal_since_ms = 0;
        if (!ok && strstr(err->message, "Cannot CHECKPOINT") != NULL) {
            error_clear(err);
            ok = true;
        }
    }
    pthread_mutex_unlock(&w->upkeep);
    return ok;
}
