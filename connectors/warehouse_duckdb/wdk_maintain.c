/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upkeep between batches. Checkpoints are made here, outside of transactions, before DuckDB would
 * make one inside a commit: when the log has grown to WAL_BUSY, or sooner when nothing is to be
 * done. Other sessions pause for it (wdk_gate.c); a checkpoint that has to give way to a long
 * transaction or query is tried again later.
 *
 * Deleted rows stay in their row group until a checkpoint vacuums it. Never vacuuming makes random
 * batches twice as slow and the file twice as large; DuckDB's default rewrites a 10M-row table in
 * one checkpoint of 13 s. So a checkpoint vacuums a few row groups (max_vacuum_tasks; about 0.1 s
 * each), more of them the greater the share of dead rows is, and none while that is small.
 */
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "warehouse_duckdb/wdk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define WAL_BUSY ((int64_t)128 << 20)
#define WAL_IDLE ((int64_t)16 << 20)
#define WAL_IDLE_MS 30000 /* idle: even a small log is written away after this time */
#define QUIET_MS 1000     /* idle is believed when the log has not grown for this long */
#define SAY_MS 60000
#define POSTPONE_MS 2000
#define PAUSE_READERS_MS 10000
#define PAUSE_MS 500 /* how long other sessions are waited for */
#define DISK_RESERVE ((int64_t)8 << 20)
#define DISK_VACUUM ((int64_t)512 << 20) /* rewritten row groups need room first */
#define DISK_FULL "no checkpoint: the disk"
#define DEAD_ROWS 100000 /* fewer are not looked for, in tables of fewer rows neither */

int64_t wdk_wal_size(const struct warehouse *w)
{
    struct stat st;

    return stat(w->wal_path, &st) == 0 ? (int64_t)st.st_size : 0;
}

/*
 * A checkpoint that runs out of disk makes DuckDB give up the database until it is opened again; a
 * commit that does so only fails. So none is begun without the room that it may need.
 */
static int64_t free_space(const struct warehouse *w)
{
    struct statvfs fs;

    return statvfs(w->path, &fs) == 0 ? (int64_t)(fs.f_bavail * fs.f_frsize) : INT64_MAX;
}

bool wdk_checkpoint(struct session *s, struct error *err)
{
    if (free_space(s->w) < wdk_wal_size(s->w) + DISK_RESERVE) {
        error_cause(err, CAUSE_DISK_FULL, DISK_FULL " of %s is full", s->w->path);
        return error_fill(err, "disk", "the warehouse file");
    }
    FAILPOINT("wdk.before-checkpoint");
    if (!wdk_exec(s, "CHECKPOINT", NULL, err))
        return false;
    FAILPOINT("wdk.after-checkpoint");
    return true;
}

/* The greatest share of dead rows of a table, in percent. estimated_size counts them too. */
static bool dead_share(struct session *s, int *percent, struct error *err)
{
    struct arena *a = arena_new("upkeep");
    struct rowset tables, live;
    struct buf sql = {0};
    long long rows, n;
    bool ok;
    int i;

    *percent = 0;
    buf_printf(&sql,
               "SELECT schema_name, table_name, estimated_size FROM duckdb_tables() WHERE NOT "
               "temporary AND database_name = current_database() AND estimated_size >= %d",
               DEAD_ROWS);
    ok = wdk_query(s, a, buf_cstr(&sql), &tables, err);
    for (i = 0; ok && i < tables.nrows; i++) {
        buf_reset(&sql);
        buf_puts(&sql, "SELECT count(*) FROM ");
        buf_sql_ident(&sql, rowset_get(&tables, i, 0));
        buf_puts(&sql, ".");
        buf_sql_ident(&sql, rowset_get(&tables, i, 1));
        ok = wdk_query(s, a, buf_cstr(&sql), &live, err);
        if (!ok)
            break;
        rows = atoll(rowset_get(&tables, i, 2));
        n = (rows - atoll(rowset_get(&live, 0, 0))) * 100 / rows;
        if (n > *percent)
            *percent = (int)n;
    }
    buf_free(&sql);
    arena_free(a);
    return ok;
}

static int vacuum_tasks(int percent, bool idle)
{
    if (percent < 25)
        return 0;
    if (idle || percent >= 60)
        return 16;
    return percent >= 40 ? 8 : 4;
}

/* A checkpoint that vacuums as much as is called for. */
static bool upkeep(struct session *s, bool idle, struct error *err)
{
    int64_t dead = atomic_load(&s->w->dead);
    int percent = 0, tasks = 0;
    struct error ignored;
    char sql[64];
    bool ok;

    if (dead >= DEAD_ROWS && free_space(s->w) > DISK_VACUUM) {
        if (!dead_share(s, &percent, err))
            return false;
        tasks = vacuum_tasks(percent, idle);
        if (tasks == 0) /* look again after as many rows */
            atomic_fetch_sub(&s->w->dead, dead);
    }
    if (tasks > 0) {
        snprintf(sql, sizeof(sql), "SET GLOBAL max_vacuum_tasks = %d", tasks);
        if (!wdk_exec(s, sql, NULL, err))
            return false;
    }
    ok = wdk_checkpoint(s, err);
    if (tasks > 0 && !wdk_exec(s, "SET GLOBAL max_vacuum_tasks = 0", NULL, ok ? err : &ignored))
        ok = false;
    return ok;
}

/* A pause between two batches is not idleness: a checkpoint then would delay the second. */
static bool is_quiet(struct warehouse *w, int64_t size, int64_t now)
{
    if (size != w->wal_bytes) {
        w->wal_bytes = size;
        w->wal_moved_ms = now;
    }
    return now - w->wal_moved_ms >= QUIET_MS;
}

static bool due(struct warehouse *w, bool idle, int64_t now)
{
    int64_t size = wdk_wal_size(w);
    bool quiet = is_quiet(w, size, now);

    if (size == 0) {
        w->wal_since_ms = 0;
        return false;
    }
    if (w->wal_since_ms == 0)
        w->wal_since_ms = now;
    if (w->postponed_ms != 0 && now - w->postponed_ms < POSTPONE_MS)
        return false;
    if (size >= WAL_BUSY)
        return true;
    return idle && quiet && (size >= WAL_IDLE || now - w->wal_since_ms >= WAL_IDLE_MS);
}

/*
 * What processes of their own read (wdk_apart.c) must not be written over: the checkpoint waits for
 * them, new ones wait for the checkpoint, and when the log has grown too far they are called back.
 */
static bool is_read(struct warehouse *w, int64_t now)
{
    int64_t size = wdk_wal_size(w);

    if (atomic_load(&w->apart) == 0)
        return false;
    if (size >= WAL_BUSY)
        atomic_store(&w->pause_until_ms, now + PAUSE_READERS_MS);
    if (size >= 2 * WAL_BUSY)
        atomic_store(&w->recalled, true);
    return true;
}

bool wdk_checkpoint_now(struct session *s, struct error *err)
{
    bool ok;

    s->upkeep = true;
    wdk_gate_close(s->w, PAUSE_MS);
    ok = wdk_checkpoint(s, err);
    wdk_gate_open(s->w);
    s->upkeep = false;
    return ok;
}

bool wdk_gives_way(const struct error *err)
{
    return strstr(err->message, "Cannot CHECKPOINT") != NULL;
}

static bool is_full(const struct error *err)
{
    return strncmp(err->message, DISK_FULL, strlen(DISK_FULL)) == 0;
}

/* What only postpones the checkpoint; a full disk is said once a minute. */
static bool give_way(struct warehouse *w, int64_t now, struct error *err)
{
    bool full = is_full(err);

    if (!full && !wdk_gives_way(err))
        return false;
    if (full && (w->said_full_ms == 0 || now - w->said_full_ms > SAY_MS)) {
        log_failure(LOG_WARN, "upkeep", err);
        w->said_full_ms = now;
    }
    error_clear(err);
    return true;
}

/*
 * Readers one after another would keep the log from being written away for ever. The pause ends by
 * itself where upkeep does not come again soon: a long transaction of ours, say.
 */
static void ask_for_pause(struct warehouse *w, int64_t now, bool ok, const struct error *err)
{
    bool pause = !ok && !is_full(err) && wdk_wal_size(w) >= WAL_BUSY;

    atomic_store(&w->pause_until_ms, pause ? now + PAUSE_READERS_MS : 0);
}

bool wdk_wants_pause(struct warehouse *w)
{
    return clock_mono_ms() < atomic_load(&w->pause_until_ms);
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
    if (due(w, idle, now) && !is_read(w, now)) {
        s->upkeep = true;
        wdk_gate_close(w, PAUSE_MS);
        ok = upkeep(s, idle, err);
        wdk_gate_open(w);
        s->upkeep = false;
        w->postponed_ms = ok ? 0 : now;
        w->wal_since_ms = 0;
        ask_for_pause(w, now, ok, err);
        ok = ok || give_way(w, now, err);
    }
    pthread_mutex_unlock(&w->upkeep);
    return ok;
}
