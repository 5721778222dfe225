/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DuckDB as a warehouse: one file, owned by this process while it runs. Multi-table transactions
 * with DDL, so a batch and its checkpoint are one commit; rows go through a temporary stage and
 * DELETE USING + INSERT (MERGE INTO is 5 to 10 times slower below a million changes).
 */
#include "warehouse_duckdb/warehouse_duckdb.h"
#include "warehouse_duckdb/wdk.h"

#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LITTLE_DISK ((uint64_t)1 << 30)

static const struct setting settings[] = {
    {.name = "duckdb.memory.limit",
     .type = SETTING_BYTES,
     .def = "256MB",
     .min = 64 << 20,
     .max = INT64_C(1) << 46,
     .doc = "Memory that DuckDB may use for data; more than that goes to duckdb.temp.directory."},
    {.name = "duckdb.threads",
     .type = SETTING_INT,
     .def = "2",
     .min = 1,
     .max = 256,
     .doc = "Threads that DuckDB uses for one statement."},
    {.name = "duckdb.temp.directory",
     .type = SETTING_STRING,
     .doc = "Existing directory in which DuckDB's temporary files get a directory of their own. "
            "Default: beside the file, with .tmp added to its name."},
    {.name = "publish.path",
     .type = SETTING_STRING,
     .doc = "File that is replaced by a new copy of the warehouse, as of one commit, every "
            "publish.interval.ms: other processes can open it while the service runs. Read-only. "
            "Default: no copies are made."},
    {.name = "publish.interval.ms",
     .type = SETTING_INT,
     .def = "60000",
     .min = 1000,
     .max = 86400000,
     .doc = "Time between two copies at publish.path, in milliseconds."},
    {.name = NULL},
};

static bool identity(struct warehouse *w, char *out, size_t size, struct error *err)
{
    int n = snprintf(out, size, "file:%s", w->path);

    if (n < 0 || (size_t)n >= size)
        return error_set(err, ERROR_CONFIG, "the path of the DuckDB file is too long: %s", w->path);
    return true;
}

/* wants: bytes that will be written there; -1 unknown. */
static void check_room(const char *directory, const char *what, int64_t wants, struct findings *out)
{
    struct statvfs fs;
    uint64_t room;

    if (statvfs(directory, &fs) != 0)
        return;
    room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (wants > 0 && room < (uint64_t)wants)
        findings_add(out, FINDING_WARNING, "warehouse", "make room, or name another directory",
                     "%s for %s has only %llu MB free, the source's tables are %llu MB", directory,
                     what, (unsigned long long)(room >> 20),
                     (unsigned long long)((uint64_t)wants >> 20));
    else if (room < LITTLE_DISK)
        findings_add(out, FINDING_WARNING, "warehouse", "make room, or name another directory",
                     "%s for %s has only %llu MB free", directory, what,
                     (unsigned long long)(room >> 20));
}

static void check_directory(const char *directory, const char *what, int64_t wants,
                            struct findings *out)
{
    if (access(directory, W_OK | X_OK) != 0)
        findings_add(out, FINDING_STOPS, "warehouse",
                     "give the user of this service the right to write there",
                     "the directory %s of %s cannot be written", directory, what);
    else
        check_room(directory, what, wants, out);
}

static bool check(struct warehouse *w, const struct warehouse_wants *wants, struct findings *out,
                  struct error *err)
{
    char path[4096], temp[4096];
    struct error place = {0};

    if (snprintf(path, sizeof(path), "%s", w->path) >= (int)sizeof(path) ||
        snprintf(temp, sizeof(temp), "%s", w->temp_directory) >= (int)sizeof(temp))
        return error_set(err, ERROR_CONFIG, "the path of the DuckDB file is too long: %s", w->path);
    check_directory(dirname(path), "the DuckDB file and its log", wants != NULL ? wants->bytes : -1,
                    out);
    if (access(w->temp_directory, F_OK) == 0)
        check_directory(w->temp_directory, "DuckDB's temporary files", -1, out);
    else
        check_directory(dirname(temp), "DuckDB's temporary files", -1, out);
    if (!wdk_publish_look(w, &place))
        findings_add(out, FINDING_WARNING, "warehouse",
                     "mend that, or correct publish.path: until then no copies are made",
                     "publish.path: %s", place.message);
    findings_add(out, FINDING_NOTE, "warehouse", NULL,
                 "DuckDB %s, %s; while the service runs no other process can open the file: query "
                 "through the service (penstock query SQL)",
                 duckdb_library_version(), w->path);
    return true;
}

const struct warehouse_ops warehouse_duckdb_ops = {
    .name = "duckdb",
    .aliases = NULL,
    .settings = settings,
    .dialect = &wdk_dialect,
    .open = wdk_open,
    .look = wdk_look,
    .close = wdk_close,
    .check = check,
    .identity = identity,
    .connect = wdk_connect,
    .disconnect = wdk_disconnect,
    .cancel = wdk_cancel,
    .exec = wdk_exec,
    .query = wdk_query,
    .begin = wdk_begin,
    .commit = wdk_commit,
    .rollback = wdk_rollback,
    .append_open = wdk_append_open,
    .append_row = wdk_append_row,
    .append_close = wdk_append_close,
    .append_abort = wdk_append_abort,
    .maintain = wdk_maintain,
    .ask = wdk_ask,
    .view = wdk_view,
    .crowded = wdk_wants_pause,
    .scan = wdk_scan,
    .error_note = wdk_state_note,
};
