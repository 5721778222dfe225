/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of the warehouse for other processes. DuckDB lets none of them open the file while the
 * service has it, so a thread of its own makes a new file every publish.interval.ms: COPY FROM
 * DATABASE in one transaction, which sees one commit of the source and holds nobody up, into a file
 * beside publish.path, which is then checkpointed, detached, made read-only, synchronised and
 * renamed into its place. Who has the last copy open goes on reading that one. Only a copy is
 * replaced: another file of that name is somebody's, and stays.
 *
 * The copy is never half: its name changes only once it is complete. Mode 0444 and no .wal: a
 * reader that opened the last copy for writing may have left one, and DuckDB would replay it into
 * the new file. What goes wrong is said once, and tried again; the service goes on. A copy that
 * runs out of disk could make DuckDB give up more than the copy, so none is begun without room.
 */
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define ALIAS "_penstock_copy"
#define SUFFIX ".penstock-tmp"
#define FIRST_MS 500  /* between two looks whether there is anything to copy yet */
#define RETRY_MS 5000 /* after a failure, if the interval is not shorter */
#define SAY_MS 60000  /* the same failure again */
#define HINDERED_SAID 5
#define RESERVE ((int64_t)64 << 20)

struct wdk_publisher {
    struct warehouse *w;
    char *path, *temp, *temp_wal, *wal;
    int64_t interval_ms;
    bool listed;
    bool running;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool stop;
    ino_t placed;      /* the copy that this process put in place; 0: none */
    struct session *s; /* while a copy is made; for a cancel */
    int hindered;      /* so many times in a row somebody wrote when the copy was to be closed */
    char said[200];
    int64_t said_ms;
};

static bool fail_errno(struct error *err, const char *what, const char *path)
{
    return error_set(err, ERROR_RETRY, "%s %s: %s", what, path, strerror(errno));
}

/* The directory may come later: then the path is taken as it is. */
static char *full_path(const char *given)
{
    struct error ignored;
    char *path = NULL, *dir;

    if (wdk_resolve(given, &path, &ignored))
        return path;
    if (given[0] == '/')
        return mem_strdup(given);
    dir = getcwd(NULL, 0);
    path = mem_printf("%s/%s", dir == NULL ? "." : dir, given);
    free(dir);
    return path;
}

static void publisher_free(struct wdk_publisher *p)
{
    if (p == NULL)
        return;
    if (p->listed)
        wdk_unlist_path(p->path);
    pthread_cond_destroy(&p->moved);
    pthread_mutex_destroy(&p->lock);
    free(p->path); /* realpath's, or mem.h's, which is the same heap */
    mem_free(p->temp);
    mem_free(p->temp_wal);
    mem_free(p->wal);
    mem_free(p);
}

static struct wdk_publisher *publisher_new(struct warehouse *w, const char *given)
{
    struct wdk_publisher *p = mem_calloc(1, sizeof(*p));
    pthread_condattr_t attr;

    p->w = w;
    p->path = full_path(given);
    p->wal = mem_printf("%s.wal", p->path);
    p->temp = mem_printf("%s" SUFFIX, p->path);
    p->temp_wal = mem_printf("%s.wal", p->temp);
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->moved, &attr);
    pthread_condattr_destroy(&attr);
    return p;
}

bool wdk_publish_prepare(struct warehouse *w, const struct config *cfg, struct buf *paths,
                         struct error *err)
{
    static const char *const ends[] = {"", ".wal", ".wal.recovery", ".wal.checkpoint"};
    const char *given = config_string(cfg, "publish.path");
    struct wdk_publisher *p;
    char *each;
    size_t i;

    if (given == NULL || given[0] == '\0')
        return true;
    w->publisher = p = publisher_new(w, given);
    p->interval_ms = config_int(cfg, "publish.interval.ms");
    if (strcmp(p->path, w->path) == 0 || strcmp(p->path, w->wal_path) == 0 ||
        strcmp(p->temp, w->path) == 0) {
        error_set(err, ERROR_CONFIG, "publish.path is the warehouse's own file: %s", p->path);
        return error_hint(err, "name another file in publish.path");
    }
    p->listed = wdk_list_path(p->path, err);
    if (!p->listed)
        return false;
    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        each = mem_printf("%s%s", p->temp, ends[i]);
        buf_puts(paths, i > 0 ? ", " : "");
        buf_sql_string(paths, each);
        mem_free(each);
    }
    return true;
}

/* --- one copy --- */

static void remove_temp(struct wdk_publisher *p)
{
    unlink(p->temp);
    unlink(p->temp_wal);
}

static int64_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

/*
 * Does a copy stand at the path, or nothing? Copies are DuckDB files that nobody may write; one of
 * this process's is known by its inode, whatever its mode has become.
 */
static bool is_copy(const struct wdk_publisher *p, const struct stat *st)
{
    char head[12] = "";
    int fd;

    if (p->placed != 0 && st->st_ino == p->placed)
        return true;
    if ((st->st_mode & 0222) != 0)
        return false;
    fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    if (read(fd, head, sizeof(head)) != (ssize_t)sizeof(head))
        head[8] = '\0';
    close(fd);
    return memcmp(head + 8, "DUCK", 4) == 0;
}

/* The place of the copy, looked at before each: a person may have mended or broken it. */
static bool check_place(struct wdk_publisher *p, struct error *err)
{
    char *copy = mem_strdup(p->path);
    const char *dir = dirname(copy);
    struct stat there, ours;
    struct statvfs fs;
    bool ok = true;

    if (access(dir, W_OK | X_OK) != 0 || statvfs(dir, &fs) != 0)
        ok = fail_errno(err, "the directory", dir);
    else if (lstat(p->path, &there) == 0 && !S_ISREG(there.st_mode))
        ok = error_set(err, ERROR_RETRY, "%s is there and is not a file", p->path);
    else if (stat(p->path, &there) == 0 && stat(p->w->path, &ours) == 0 &&
             there.st_dev == ours.st_dev && there.st_ino == ours.st_ino)
        ok = error_set(err, ERROR_RETRY, "%s is the warehouse's own file", p->path);
    else if (lstat(p->path, &there) == 0 && !is_copy(p, &there))
        ok = error_set(err, ERROR_RETRY,
                       "%s is there and is no copy that penstock made (a DuckDB file of mode "
                       "0444): move it away, or name another file in publish.path",
                       p->path);
    else if ((int64_t)(fs.f_bavail * fs.f_frsize) <
             size_of(p->w->path) + size_of(p->w->wal_path) + RESERVE)
        ok = error_set(err, ERROR_RETRY, "the disk of %s has no room for another copy", p->path);
    mem_free(copy);
    return ok;
}

bool wdk_publish_look(struct warehouse *w, struct error *err)
{
    return w->publisher == NULL || check_place(w->publisher, err);
}

/* In the transaction: nothing is published before the first checkpoint. */
static bool has_rows(struct session *s, bool *has, struct error *err)
{
    struct arena *a = arena_new("publish");
    struct rowset r;
    bool ok;

    ok = wdk_query(s, a,
                   "SELECT count(*) FROM duckdb_tables() WHERE database_name = '" WDK_DATABASE
                   "' AND schema_name = 'penstock' AND table_name = 'checkpoints'",
                   &r, err);
    *has = ok && strcmp(rowset_get(&r, 0, 0), "0") != 0;
    if (*has) {
        ok = wdk_query(s, a, "SELECT count(*) FROM penstock.checkpoints", &r, err);
        *has = ok && strcmp(rowset_get(&r, 0, 0), "0") != 0;
    }
    arena_free(a);
    return ok;
}

static bool copy_rows(struct session *s, bool *has, struct error *err)
{
    if (!wdk_begin(s, err))
        return false;
    if (has_rows(s, has, err) &&
        (!*has || wdk_exec(s, "COPY FROM DATABASE " WDK_DATABASE " TO " ALIAS, NULL, err)))
        return wdk_commit(s, err);
    wdk_rollback(s);
    return false;
}

static bool sync_path(const char *path, int flags, struct error *err)
{
    int fd = open(path, flags | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (!ok)
        fail_errno(err, "cannot write", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The complete file takes its place. */
static bool put_in_place(struct wdk_publisher *p, struct error *err)
{
    char *copy = mem_strdup(p->path);
    struct stat st;
    bool ok;

    if (access(p->temp_wal, F_OK) == 0)
        ok = error_set(err, ERROR_RETRY, "%s was left by the copy", p->temp_wal);
    else if (chmod(p->temp, 0444) != 0)
        ok = fail_errno(err, "cannot make read-only", p->temp);
    else
        ok = sync_path(p->temp, O_RDONLY, err);
    if (ok && unlink(p->wal) != 0 && errno != ENOENT)
        ok = fail_errno(err, "cannot remove", p->wal);
    if (ok && rename(p->temp, p->path) != 0)
        ok = fail_errno(err, "cannot replace", p->path);
    if (ok && stat(p->path, &st) == 0)
        p->placed = st.st_ino;
    ok = ok && sync_path(dirname(copy), O_RDONLY | O_DIRECTORY, err);
    mem_free(copy);
    return ok;
}

static bool attach(struct wdk_publisher *p, struct session *s, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "ATTACH ");
    buf_sql_string(&sql, p->temp);
    buf_puts(&sql, " AS " ALIAS " (TYPE duckdb)");
    ok = wdk_exec(s, buf_cstr(&sql), NULL, err);
    buf_free(&sql);
    return ok;
}

static bool make_copy(struct wdk_publisher *p, struct session *s, bool *has, struct error *err)
{
    struct error ignored;
    bool ok;

    remove_temp(p);
    if (!attach(p, s, err))
        return false;
    ok = copy_rows(s, has, err) && wdk_exec(s, "CHECKPOINT " ALIAS, NULL, err);
    if (!ok)
        wdk_rollback(s); /* also forgets a cancel */
    if (!wdk_exec(s, "DETACH " ALIAS, NULL, ok ? err : &ignored))
        ok = false;
    ok = ok && (!*has || put_in_place(p, err));
    remove_temp(p); /* gone, if it was put in place */
    return ok;
}

static void set_session(struct wdk_publisher *p, struct session *s)
{
    pthread_mutex_lock(&p->lock);
    p->s = s;
    if (s != NULL && p->stop)
        wdk_cancel(s);
    pthread_mutex_unlock(&p->lock);
}

static bool publish(struct wdk_publisher *p, bool *has, struct error *err)
{
    struct session *s = NULL;
    bool ok;

    *has = false;
    if (!check_place(p, err) || !wdk_connect(p->w, "publish", &s, err))
        return false;
    set_session(p, s);
    ok = make_copy(p, s, has, err);
    set_session(p, NULL);
    wdk_disconnect(s);
    return ok;
}

/* --- the thread --- */

/* False when it is to stop. */
static bool wait_ms(struct wdk_publisher *p, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    struct timespec ts = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
    bool stop;

    pthread_mutex_lock(&p->lock);
    while (!p->stop && pthread_cond_timedwait(&p->moved, &p->lock, &ts) == 0)
        ;
    stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    return !stop;
}

static void say(struct wdk_publisher *p, struct error *err)
{
    int64_t now = clock_mono_ms();

    /* Another session writes at this very moment; not worth a word unless it goes on. */
    if (strstr(err->message, "Cannot CHECKPOINT") != NULL && ++p->hindered < HINDERED_SAID)
        return;
    if (strncmp(p->said, err->message, sizeof(p->said) - 1) == 0 && now - p->said_ms < SAY_MS)
        return;
    snprintf(p->said, sizeof(p->said), "%.199s", err->message);
    p->said_ms = now;
    log_failure(LOG_WARN, "no new copy at publish.path; it is tried again", err);
}

static void *publish_main(void *arg)
{
    struct wdk_publisher *p = arg;
    int64_t began, took, wait = 0;
    struct error err = {0};
    bool has = false;

    while (wait_ms(p, wait)) {
        if (wdk_wants_pause(p->w)) { /* a copy is a reader, too */
            wait = FIRST_MS;
            continue;
        }
        began = clock_mono_ms();
        error_clear(&err);
        if (!publish(p, &has, &err)) {
            if (wait_ms(p, 0))
                say(p, &err);
            wait = p->interval_ms < RETRY_MS ? p->interval_ms : RETRY_MS;
            continue;
        }
        took = clock_mono_ms() - began;
        p->hindered = 0;
        if (has)
            log_debug("copy published path=%s ms=%lld", p->path, (long long)took);
        if (has && p->said[0] != '\0')
            log_info("copies are published again path=%s", p->path);
        if (has)
            p->said[0] = '\0';
        /* Checkpoints need time without a reader. */
        wait = !has ? FIRST_MS : took > p->interval_ms / 2 ? took * 2 : p->interval_ms - took;
    }
    return NULL;
}

bool wdk_publish_start(struct warehouse *w, struct error *err)
{
    struct wdk_publisher *p = w->publisher;

    if (p == NULL)
        return true;
    remove_temp(p); /* of a process that was killed */
    if (pthread_create(&p->thread, NULL, publish_main, p) != 0)
        return error_set(err, ERROR_RETRY, "the thread for publish.path could not be started");
    p->running = true;
    return true;
}

void wdk_publish_stop(struct warehouse *w)
{
    struct wdk_publisher *p = w->publisher;

    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    if (p->s != NULL)
        wdk_cancel(p->s);
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
    if (p->running)
        pthread_join(p->thread, NULL);
    publisher_free(p);
    w->publisher = NULL;
}
