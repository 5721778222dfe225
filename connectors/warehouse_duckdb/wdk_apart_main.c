/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that answers one question (see wdk_apart.c for the other end). It reads the request
 * from standard input and the warehouse's file as of its last checkpoint, under a second name that
 * has no log beside it; what the service commits meanwhile goes to the log and to blocks that are
 * free in that checkpoint. Should a checkpoint come in between all the same, the blocks may have
 * been written over: the file's header says so, and there is no answer.
 */
#include "util/clock.h"
#include "util/mem.h"
#include "warehouse_duckdb/warehouse_duckdb.h"
#include "warehouse_duckdb/wdk.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { HEADER_BYTES = 4096, NICER = 5 };
#define UNREADABLE UINT64_MAX

static const char *text(const json_t *request, const char *key)
{
    const char *s = json_string_value(json_object_get(request, key));

    return s == NULL ? "" : s;
}

static int64_t number(const json_t *request, const char *key)
{
    return json_integer_value(json_object_get(request, key));
}

static bool read_request(json_t **out)
{
    struct buf b = {0};
    ssize_t n;

    do {
        n = read(STDIN_FILENO, buf_reserve(&b, 65536), 65536);
        b.len += n > 0 ? (size_t)n : 0;
    } while (n > 0 || (n < 0 && errno == EINTR));
    *out = json_loadb((const char *)b.data, b.len, JSON_ALLOW_NUL, NULL);
    buf_free(&b);
    return *out != NULL;
}

/* The number of the last checkpoint: the greater one of the two headers behind the main one, each
 * with its checksum before it. A file that is new has none yet: 0. */
static uint64_t checkpoint_of(int fd)
{
    uint64_t one = 0, two = 0;

    if (pread(fd, &one, sizeof(one), HEADER_BYTES + 8) != sizeof(one) ||
        pread(fd, &two, sizeof(two), 2 * HEADER_BYTES + 8) != sizeof(two))
        return UNREADABLE;
    return one > two ? one : two;
}

/* The first to be killed when memory is short, and no hindrance to the service. */
static void step_back(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (write(fd, "1000", 4) != 4)
            errno = 0; /* as good as it gets */
        close(fd);
    }
    if (nice(NICER) < 0)
        errno = 0;
}

static void write_all(const void *p, size_t n)
{
    const char *at = p;
    ssize_t done;

    while (n > 0) {
        done = write(STDOUT_FILENO, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            _exit(1); /* nobody waits for it any more */
        at += done;
        n -= (size_t)done;
    }
}

static void answer(enum ask_outcome outcome, const struct error *err, const struct buf *json)
{
    char head[64];
    const void *p = outcome == ASK_DONE ? (const void *)json->data : err->message;
    size_t n = outcome == ASK_DONE ? json->len : strlen(err->message);

    snprintf(head, sizeof(head), "%d %d %zu\n", (int)outcome, (int)err->kind, n);
    write_all(head, strlen(head));
    write_all(p, n);
}

/* The second name is there only while DuckDB opens it. */
static bool open_file(const json_t *request, struct warehouse **w, struct error *err)
{
    const char *path = text(request, "path");
    char *name = mem_printf("%s" WDK_APART_NAME "%d", path, (int)getpid());
    bool ok;

    unlink(name);
    if (link(path, name) != 0)
        ok =
            error_set(err, ERROR_RETRY,
                      "%s can get no second name for a query of this kind: %s: read a copy instead "
                      "(publish.path)",
                      path, strerror(errno));
    else
        ok = wdk_open_apart(w, name, text(request, "temp"), number(request, "memory"),
                            (int)number(request, "threads"), err);
    unlink(name);
    mem_free(name);
    return ok;
}

static enum ask_outcome run(const json_t *request, struct buf *json, struct error *err)
{
    static atomic_bool never;
    struct warehouse *w = NULL;
    struct question q = {
        .sql = text(request, "sql"),
        .max_rows = number(request, "rows"),
        .max_bytes = (size_t)number(request, "bytes"),
        .timeout_ms = (int)number(request, "left_ms"),
        .cancelled = &never,
    };
    int fd = open(text(request, "path"), O_RDONLY | O_CLOEXEC);
    uint64_t checkpoint = checkpoint_of(fd);
    enum ask_outcome out;

    if (checkpoint == UNREADABLE)
        error_set(err, ERROR_RETRY, "%s cannot be read: %s", text(request, "path"),
                  strerror(errno));
    if (checkpoint == UNREADABLE || !open_file(request, &w, err))
        return ASK_BUSY;
    write_all("o", 1);
    out = wdk_ask_here(w, &q, json, err);
    if (out == ASK_TIMEOUT) {
        q.timeout_ms = (int)number(request, "timeout_ms");
        return wdk_limited(&q, WDK_LIMIT_TIME, err);
    }
    return checkpoint_of(fd) == checkpoint ? out : wdk_limited(&q, WDK_LIMIT_UPKEEP, err);
}

int warehouse_duckdb_apart(void)
{
    struct error err = {0};
    struct buf json = {0};
    json_t *request = NULL;
    enum ask_outcome out;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "penstock-query"); /* else ps would say "exe" */
    closefrom(STDERR_FILENO + 1);
    if (!read_request(&request) || getppid() != (pid_t)number(request, "parent"))
        return 1;
    step_back();
    wdk_ignore_locks();
    out = run(request, &json, &err);
    answer(out, &err, &json);
    _exit(0); /* DuckDB need not tidy up: the parent removes what is on disk */
}
