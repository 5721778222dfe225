/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real program, build/penstock, run as a child with a configuration of its own; it ends with
 * us. What it is at is read from its log and its HTTP.
 */
#ifndef PENSTOCK_TESTS_BENCH_PROGRAM_H
#define PENSTOCK_TESTS_BENCH_PROGRAM_H

#include "bench.h"
#include "server.h"

#include <curl/curl.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>

struct program {
    char dir[96]; /* exists; holds data.dir, log and configuration */
    char path[PATH_MAX];
    pid_t pid;
    int port;
    off_t log_from; /* of this run */
    CURL *curl;
    char *reply;
    size_t len, cap;
};

static inline void program_fail(const struct program *p, const char *what)
{
    char command[PATH_MAX];

    fprintf(stderr, "bench: penstock: %s\n", what);
    snprintf(command, sizeof(command), "tail -n 20 %s/log >&2", p->dir);
    if (system(command) != 0)
        fprintf(stderr, "bench: no log in %s\n", p->dir);
    exit(1);
}

static inline void program_init(struct program *p, const char *dir)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    memset(p, 0, sizeof(*p));
    if (n < 0)
        abort();
    self[n] = '\0';
    snprintf(p->path, sizeof(p->path), "%.3000s/penstock", dirname(dirname(self)));
    snprintf(p->dir, sizeof(p->dir), "%s", dir);
    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        program_fail(p, "no folder");
}

/* The folder's penstock.yaml: one source connector and one warehouse. more: of the service. */
static inline void program_configure(struct program *p, const struct server *from, bool tcp,
                                     const char *prefix, const char *kind, const char *url)
{
    char path[128];
    FILE *f;

    p->port = server_free_port();
    snprintf(path, sizeof(path), "%s/penstock.yaml", p->dir);
    f = fopen(path, "w");
    if (f == NULL)
        program_fail(p, "no configuration");
    fprintf(
        f,
        "service:\n  name: bench\n  data.dir: %s/data\n  listen: 127.0.0.1:%d\n  log.level: %s\n"
        "connectors:\n  source:\n    connector.class: postgres\n    topic.prefix: %s\n"
        "    database.hostname: %s\n    database.port: \"%d\"\n    database.user: postgres\n"
        "    database.dbname: postgres\n    table.include.list: public\\.t\n"
        "  warehouse:\n    connector.class: %s\n    topics.regex: %s\\..*\n"
        "    connection.url: %s\n",
        p->dir, p->port, getenv("PENSTOCK_BENCH_LOG") != NULL ? "debug" : "info", prefix,
        server_host(from, tcp), from->port, kind, prefix, url);
    fclose(f);
}

static inline void program_start(struct program *p)
{
    pid_t parent = getpid();
    char path[128];
    struct stat st;
    int fd;

    snprintf(path, sizeof(path), "%s/log", p->dir);
    p->log_from = stat(path, &st) == 0 ? st.st_size : 0;
    p->pid = fork();
    if (p->pid != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || chdir(p->dir) != 0)
        _exit(126);
    fd = open("/dev/null", O_RDONLY);
    dup2(fd, STDIN_FILENO);
    fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execl(p->path, "penstock", "run", "-c", "penstock.yaml", (char *)NULL);
    _exit(127);
}

static inline void program_check(struct program *p)
{
    int status;

    if (waitpid(p->pid, &status, WNOHANG) != 0)
        program_fail(p, "it has ended");
}

/* Until the log of this run says so; looked at every millisecond. */
static inline void program_wait_log(struct program *p, const char *text)
{
    double until = bench_now() + 60;
    char path[128], have[65536];

    snprintf(path, sizeof(path), "%s/log", p->dir);
    for (;;) {
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? 0 : pread(fd, have, sizeof(have) - 1, p->log_from);

        if (fd >= 0)
            close(fd);
        have[n > 0 ? n : 0] = '\0';
        if (strstr(have, text) != NULL)
            return;
        program_check(p);
        if (bench_now() > until)
            program_fail(p, text);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static size_t program_take(char *data, size_t size, size_t n, void *arg)
{
    struct program *p = arg;

    size *= n;
    if (p->len + size + 1 > p->cap) {
        p->cap = (p->len + size + 1) * 2;
        p->reply = realloc(p->reply, p->cap);
        if (p->reply == NULL)
            abort();
    }
    memcpy(p->reply + p->len, data, size);
    p->len += size;
    p->reply[p->len] = '\0';
    return size;
}

/* The body of the answer, "" if there is none yet. post: NULL for GET. */
static inline const char *program_http(struct program *p, const char *path, const char *post)
{
    static struct curl_slist *json;
    char url[128];

    if (json == NULL)
        json = curl_slist_append(NULL, "Content-Type: application/json");
    if (p->curl == NULL)
        p->curl = curl_easy_init();
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", p->port, path);
    p->len = 0;
    program_take("", 0, 0, p);
    curl_easy_setopt(p->curl, CURLOPT_URL, url);
    curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, program_take);
    curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, p);
    curl_easy_setopt(p->curl, CURLOPT_TIMEOUT, 10L);
    curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, post != NULL ? json : NULL);
    if (post != NULL)
        curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, post);
    else
        curl_easy_setopt(p->curl, CURLOPT_HTTPGET, 1L);
    return curl_easy_perform(p->curl) == CURLE_OK ? p->reply : "";
}

/* The sum of a metric's series; 0 if it has none yet. */
static inline double program_metric(struct program *p, const char *name)
{
    const char *at = program_http(p, "/metrics", NULL);
    size_t n = strlen(name);
    double sum = 0;

    for (; at != NULL; at = strchr(at, '\n')) {
        const char *value;

        at += *at == '\n';
        if (strncmp(at, name, n) != 0 || (at[n] != '{' && at[n] != ' '))
            continue;
        value = at + strcspn(at, " \n");
        sum += strtod(value, NULL);
    }
    return sum;
}

/* The one number that a query in the warehouse answers; -1: no answer. */
static inline int64_t program_query(struct program *p, const char *sql)
{
    char body[512];
    const char *text;
    json_t *reply, *cell;
    int64_t v = -1;

    snprintf(body, sizeof(body), "{\"sql\": \"%s\"}", sql);
    reply = json_loads(program_http(p, "/v1/query", body), 0, NULL);
    cell = json_array_get(json_array_get(json_object_get(reply, "rows"), 0), 0);
    text = json_string_value(cell);
    if (text != NULL)
        v = strtoll(text, NULL, 10);
    else if (json_is_integer(cell))
        v = json_integer_value(cell);
    json_decref(reply);
    return v;
}

/* SIGTERM; it must end well. */
static inline void program_stop(struct program *p)
{
    int status;

    kill(p->pid, SIGTERM);
    if (waitpid(p->pid, &status, 0) != p->pid || status != 0)
        program_fail(p, "it did not end well");
    p->pid = 0;
    curl_easy_cleanup(p->curl);
    p->curl = NULL;
    free(p->reply);
    p->reply = NULL;
    p->len = p->cap = 0;
}

#endif
