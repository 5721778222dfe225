/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question that nothing bounds from within (wdk_ask_judge.c) is answered by a process of its own,
 * this program once more, which is killed where a limit is reached. It cannot get at this process's
 * instance, so it opens the file itself (wdk_apart_main.c), as of a checkpoint that is made for it:
 * no commit changes a block of the last checkpoint, that is how DuckDB survives a crash. No further
 * one is made while such processes run, unless the log has grown too far: then they are called back
 * (wdk_maintain.c).
 */
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 5
#define READERS_MS 500
#define AGAIN_MS 20  /* between two tries to make a checkpoint */
#define GRACE_MS 250 /* past its time: it ends itself, with better words */
#define RESIDENT_MORE ((int64_t)64 << 20)
#define HEAD_MAX 64
#define TEMP_NAME ".ask-"

struct apart {
    struct warehouse *w;
    const struct question *q;
    int64_t deadline_ms;
    pid_t pid;
    int from; /* its standard output */
    char *temp;
    struct buf got;
    bool opened;
    int status; /* of waitpid */
    enum wdk_limit limit;
    struct error *err;
};

static bool fail_errno(struct error *err, const char *what)
{
    return error_set(err, ERROR_RETRY, "the process for the query: %s: %s", what, strerror(errno));
}

/* --- the file as it is read --- */

static bool over(const struct apart *a)
{
    return wdk_given_up(a->q) || clock_mono_ms() >= a->deadline_ms;
}

/*
 * Everything that is committed lies in the file; the lock w->upkeep is then held. No checkpoint
 * under another process that reads: that one would have no answer.
 */
static bool settle(struct apart *a, struct session *s)
{
    struct warehouse *w = a->w;

    for (;;) {
        error_clear(a->err);
        if (pthread_mutex_trylock(&w->upkeep) == 0) {
            bool alone = atomic_load(&w->apart) == 0;

            if (wdk_wal_size(w) == 0 || (alone && wdk_checkpoint_now(s, a->err)))
                return true;
            pthread_mutex_unlock(&w->upkeep);
            if (alone && !wdk_gives_way(a->err))
                return error_prefix(a->err, "The warehouse cannot be read now");
        }
        /* Readers keep it away, too: no new ones, or they would for ever. */
        atomic_store(&w->pause_until_ms, clock_mono_ms() + READERS_MS);
        if (over(a))
            return error_set(a->err, ERROR_RETRY,
                             "The warehouse is at work in a transaction or another query that this "
                             "kind of query has to wait for: ask again");
        clock_sleep_ms(AGAIN_MS);
    }
}

/* --- the process --- */

static int request_file(const struct apart *a, struct error *err)
{
    const struct warehouse *w = a->w;
    int64_t left = a->deadline_ms - clock_mono_ms();
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "path", w->path, "temp",
                  a->temp, "sql", a->q->sql, "memory", (json_int_t)w->memory_limit, "threads",
                  (json_int_t)w->threads, "rows", (json_int_t)a->q->max_rows, "bytes",
                  (json_int_t)a->q->max_bytes, "timeout_ms", (json_int_t)a->q->timeout_ms,
                  "left_ms", (json_int_t)(left > 1 ? left : 1), "parent", (json_int_t)getpid());
    int fd = memfd_create("penstock-query", MFD_CLOEXEC);
    bool ok = fd >= 0 && j != NULL && json_dumpfd(j, fd, JSON_COMPACT) == 0 &&
              lseek(fd, 0, SEEK_SET) == 0;

    json_decref(j);
    if (ok)
        return fd;
    fail_errno(err, "its request");
    if (fd >= 0)
        close(fd);
    return -1;
}

/* In a process group of its own: a Ctrl-C is this process's to handle. */
static bool spawn(struct apart *a, int request, int to)
{
    char *argv[] = {"penstock", WAREHOUSE_APART, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    int rc;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_adddup2(&actions, request, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, to, STDOUT_FILENO);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, &none);
    rc = posix_spawn(&a->pid, "/proc/self/exe", &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    errno = rc;
    return rc == 0 || fail_errno(a->err, "cannot be started");
}

static bool start(struct apart *a)
{
    int pipes[2], request;
    bool ok;

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return fail_errno(a->err, "no pipe");
    request = request_file(a, a->err);
    ok = request >= 0 && spawn(a, request, pipes[1]);
    if (request >= 0)
        close(request);
    close(pipes[1]);
    a->from = pipes[0];
    return ok;
}

/* What it holds that is not files. */
static int64_t resident_bytes(pid_t pid)
{
    long resident = 0, shared = 0;
    char path[40];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%*s %ld %ld", &resident, &shared) != 2)
        resident = shared = 0;
    fclose(f);
    return (int64_t)(resident - shared) * sysconf(_SC_PAGESIZE);
}

static enum wdk_limit judge(const struct apart *a)
{
    if (wdk_given_up(a->q))
        return WDK_LIMIT_CANCELLED;
    if (clock_mono_ms() >= a->deadline_ms + GRACE_MS)
        return WDK_LIMIT_TIME;
    if (resident_bytes(a->pid) > a->w->memory_limit + RESIDENT_MORE ||
        a->got.len > a->q->max_bytes + HEAD_MAX)
        return WDK_LIMIT_MEMORY;
    return atomic_load(&a->w->recalled) ? WDK_LIMIT_UPKEEP : WDK_LIMIT_NONE;
}

/* Reads on; false at its end. */
static bool take(struct apart *a)
{
    struct pollfd p = {.fd = a->from, .events = POLLIN};
    ssize_t n;

    if (poll(&p, 1, TICK_MS) <= 0)
        return true;
    n = read(a->from, buf_reserve(&a->got, 65536), 65536);
    a->got.len += n > 0 ? (size_t)n : 0;
    if (a->got.len > 0)
        a->opened = true;
    return n > 0 || (n < 0 && errno == EINTR);
}

/* Until it has opened the file, or whole. */
static bool follow(struct apart *a, bool whole)
{
    while (whole || !a->opened) {
        a->limit = judge(a);
        if (a->limit != WDK_LIMIT_NONE || !take(a))
            return false;
    }
    return true;
}

/* A directory of temporary files and what is in it. */
static void remove_temp(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    if (d == NULL)
        return;
    while ((e = readdir(d)) != NULL)
        unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    rmdir(path);
}

static void end(struct apart *a)
{
    char *name = mem_printf("%s" WDK_APART_NAME "%d", a->w->path, (int)a->pid);

    kill(a->pid, SIGKILL);
    while (waitpid(a->pid, &a->status, 0) < 0 && errno == EINTR)
        ;
    unlink(name);
    mem_free(name);
    remove_temp(a->temp);
}

/* --- its answer --- */

static enum ask_outcome died(const struct apart *a)
{
    if (WIFEXITED(a->status)) {
        log_warn("the process of a query ended with code %d", WEXITSTATUS(a->status));
        if (!a->opened) { /* the dynamic linker's words are in the log */
            error_set(a->err, ERROR_RETRY,
                      "The process for the query cannot start: restart the service if its program "
                      "or libduckdb.so has been replaced or removed; the log says more");
            return ASK_BUSY;
        }
    } else {
        log_warn("the process of a query died of signal %d", WTERMSIG(a->status));
    }
    error_set(a->err, ERROR_CONFIG,
              "The process that answered the query died, most likely for want of memory: ask for "
              "less at a time");
    return ASK_TOO_LARGE;
}

/* "o", then "OUTCOME KIND LENGTH\n" and so many bytes. */
static enum ask_outcome read_answer(struct apart *a, struct buf *json)
{
    const char *head = buf_cstr(&a->got), *line;
    int outcome = 0, kind = 0;
    size_t n = 0;

    if (*head == 'o')
        head++;
    line = strchr(head, '\n');
    if (line == NULL || sscanf(head, "%d %d %zu", &outcome, &kind, &n) != 3 ||
        n != a->got.len - (size_t)(line + 1 - (const char *)a->got.data) || outcome < ASK_DONE ||
        outcome > ASK_BUSY)
        return died(a);
    if (outcome == ASK_DONE)
        buf_append(json, line + 1, n);
    else
        error_set(a->err, (enum error_kind)kind, "%s", line + 1);
    return (enum ask_outcome)outcome;
}

static enum ask_outcome ask(struct apart *a, struct session *s, struct buf *json)
{
    bool started;

    if (!settle(a, s))
        return ASK_BUSY;
    atomic_fetch_add(&a->w->apart, 1);
    started = start(a);
    if (started)
        follow(a, false);
    pthread_mutex_unlock(&a->w->upkeep);
    if (started) {
        if (a->opened)
            follow(a, true);
        end(a);
    }
    if (atomic_fetch_sub(&a->w->apart, 1) == 1)
        atomic_store(&a->w->recalled, false);
    if (!started)
        return ASK_BUSY;
    return a->limit != WDK_LIMIT_NONE ? wdk_limited(a->q, a->limit, a->err) : read_answer(a, json);
}

enum ask_outcome wdk_apart(struct warehouse *w, const struct question *q, int64_t deadline_ms,
                           struct buf *json, struct error *err)
{
    static atomic_uint count;
    struct apart a = {.w = w, .q = q, .deadline_ms = deadline_ms, .from = -1, .err = err};
    struct session *s = NULL;
    enum ask_outcome out = ASK_BUSY;

    a.temp = mem_printf("%s" TEMP_NAME "%u", w->temp_directory, atomic_fetch_add(&count, 1));
    if (wdk_connect(w, "apart", &s, err))
        out = ask(&a, s, json);
    wdk_disconnect(s);
    if (a.from >= 0)
        close(a.from);
    buf_free(&a.got);
    mem_free(a.temp);
    return out;
}

/* In the directory of path, what is called path, then suffix and more. */
static void clean(const char *path, const char *suffix)
{
    char *copy = mem_strdup(path), *base = mem_strdup(strrchr(path, '/') + 1), *full;
    const char *dir = dirname(copy);
    DIR *d = opendir(dir);
    size_t n = strlen(base), m = strlen(suffix);
    struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strncmp(e->d_name, base, n) != 0 || strncmp(e->d_name + n, suffix, m) != 0)
            continue;
        full = mem_printf("%s/%s", dir, e->d_name);
        if (unlink(full) != 0)
            remove_temp(full);
        mem_free(full);
    }
    if (d != NULL)
        closedir(d);
    mem_free(base);
    mem_free(copy);
}

void wdk_apart_clean(const struct warehouse *w)
{
    clean(w->path, WDK_APART_NAME);
    clean(w->temp_directory, TEMP_NAME);
}
