/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing the file. DuckDB takes a POSIX record lock on it, which has two traps: it
 * does not keep a second DuckDB of this process away (two writers would ruin the file), and it is
 * lost when this process closes any other descriptor of the file. So a list of open paths is kept
 * here, and nothing else of this process opens a listed file; the header is read before.
 *
 * The file is attached under a name of our own. Opened as the main database it would be called
 * what the file is called, and in shop.duckdb or penstock.duckdb every shop.orders and
 * penstock.checkpoints would be ambiguous between a database and a schema.
 *
 * A file that cannot be used is left as it was found.
 */
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define URL_PREFIX "duckdb:"
#define HEADER_MAGIC_AT 8 /* after the block's checksum */

/* --- files this process has open --- */

struct open_file {
    struct open_file *next;
    char *path;
};

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct open_file *open_files;

bool wdk_list_path(const char *path, struct error *err)
{
    struct open_file *f;

    pthread_mutex_lock(&open_lock);
    for (f = open_files; f != NULL && strcmp(f->path, path) != 0; f = f->next)
        ;
    if (f == NULL) {
        f = mem_alloc(sizeof(*f));
        f->path = mem_strdup(path);
        f->next = open_files;
        open_files = f;
        pthread_mutex_unlock(&open_lock);
        return true;
    }
    pthread_mutex_unlock(&open_lock);
    return error_cause(err, CAUSE_FILE_OPEN_TWICE, "%s is already open in this process", path);
}

void wdk_unlist_path(const char *path)
{
    struct open_file **at, *f;

    pthread_mutex_lock(&open_lock);
    for (at = &open_files; *at != NULL && strcmp((*at)->path, path) != 0; at = &(*at)->next)
        ;
    f = *at;
    if (f != NULL) {
        *at = f->next;
        mem_free(f->path);
        mem_free(f);
    }
    pthread_mutex_unlock(&open_lock);
}

/* --- the path --- */

static bool path_error(struct error *err, const char *path, const char *hint)
{
    error_cause(err, CAUSE_FILE_UNUSABLE, "%s: %s", path, strerror(errno));
    return error_hint(err, "%s", hint);
}

/* Absolute and without links; the file itself need not exist, its directory must. */
bool wdk_resolve(const char *given, char **out, struct error *err)
{
    char *path = realpath(given, NULL), *copy, *dir;

    if (path != NULL) {
        *out = path;
        return true;
    }
    if (errno != ENOENT)
        return path_error(err, given, "correct connection.url, or give this user the right");
    copy = mem_strdup(given);
    dir = realpath(dirname(copy), NULL);
    mem_free(copy);
    if (dir == NULL)
        return path_error(err, given, "make the directory first, or correct connection.url");
    copy = mem_strdup(given);
    *out = mem_printf("%s/%s", strcmp(dir, "/") == 0 ? "" : dir, basename(copy));
    mem_free(copy);
    free(dir);
    return true;
}

static bool given_path(const struct config *cfg, const char **out, struct error *err)
{
    const char *url = config_string(cfg, "connection.url");

    if (url == NULL || strncmp(url, URL_PREFIX, strlen(URL_PREFIX)) != 0 ||
        url[strlen(URL_PREFIX)] == '\0' || url[strlen(URL_PREFIX)] == ':') {
        error_set(err, ERROR_CONFIG, "connection.url is not duckdb:PATH");
        return error_hint(err, "name a file, as in duckdb:warehouse.duckdb");
    }
    *out = url + strlen(URL_PREFIX);
    return true;
}

/* What the file is, before DuckDB sees it: it would look for an extension for foreign ones. */
static bool check_header(const char *path, struct error *err)
{
    char head[HEADER_MAGIC_AT + 4];
    struct stat st;
    ssize_t n;
    int fd;

    if (stat(path, &st) != 0)
        return errno == ENOENT || path_error(err, path, "correct connection.url");
    if (!S_ISREG(st.st_mode)) {
        error_cause(err, CAUSE_FILE_UNUSABLE, "%s is not a file", path);
        return error_hint(err, "name a file in connection.url");
    }
    if (access(path, R_OK | W_OK) != 0)
        return path_error(err, path, "give the user of this service the right to write the file");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return path_error(err, path, "give the user of this service the right to read the file");
    n = read(fd, head, sizeof(head));
    close(fd);
    if (n == (ssize_t)sizeof(head) && memcmp(head + HEADER_MAGIC_AT, "DUCK", 4) == 0)
        return true;
    error_cause(err, CAUSE_FILE_UNUSABLE, "%s is not a DuckDB file%s", path,
                st.st_size == 0 ? ": it is empty" : "");
    return error_hint(err, "name another file in connection.url, or remove this one");
}

/* A log without its file belongs to a file that was taken away. */
static bool check_log(const struct warehouse *w, struct error *err)
{
    if (access(w->path, F_OK) == 0 || access(w->wal_path, F_OK) != 0)
        return true;
    return error_cause(err, CAUSE_FILE_LOG_ALONE, "%s exists without %s", w->wal_path, w->path);
}

/* --- temporary files --- */

/* One directory per warehouse file: two of them in one would overwrite each other's files. */
static char *temp_directory(const char *path, const char *given)
{
    const char *base = strrchr(path, '/') + 1;
    uint64_t h = UINT64_C(14695981039346656037);
    const char *p;

    if (given == NULL)
        return mem_printf("%s.tmp", path);
    for (p = path; *p != '\0'; p++)
        h = (h ^ (uint8_t)*p) * UINT64_C(1099511628211);
    return mem_printf("%s/%s-%08x.tmp", given, base, (unsigned)(h >> 32));
}

/* A killed process leaves its temporary files; those older than this open are nobody's. */
static void clean_temp(const char *path, time_t before)
{
    DIR *d = opendir(path);
    struct dirent *e;
    struct stat st;

    if (d == NULL)
        return;
    while ((e = readdir(d)) != NULL) {
        if (strncmp(e->d_name, "duckdb_temp_", 12) == 0 &&
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_mtime < before)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
}

/* --- DuckDB --- */

/* "Conflicting lock is held in EXE (PID n) by user x. See also ..." */
static bool lock_error(const struct warehouse *w, const char *message, struct error *err)
{
    const char *pid = strstr(message, "(PID "), *exe = strstr(message, "held in ");
    int len = 0;

    if (pid == NULL || exe == NULL || exe > pid)
        error_cause(err, CAUSE_FILE_IN_USE, "%s is in use by another process", w->path);
    else {
        exe += strlen("held in ");
        len = (int)(pid - exe) - 1;
        error_cause(err, CAUSE_FILE_IN_USE, "%s is in use by process %d (%.*s)", w->path,
                    atoi(pid + 5), len > 0 ? len : 0, exe);
    }
    return false;
}

/* What stands in the message of a file that cannot be opened; the last row fits all. */
static const struct {
    const char *sign;
    enum cause cause;
    const char *says; /* between the path and DuckDB's words */
} open_causes[] = {
    {"newer version of DuckDB", CAUSE_FILE_OTHER_VERSION,
     " was written by another version of DuckDB"},
    {"with version number", CAUSE_FILE_OTHER_VERSION, " was written by another version of DuckDB"},
    {"No space left", CAUSE_DISK_FULL, ""},
    {"Out of Memory", CAUSE_MEMORY_SMALL, ""},
    {"Permission denied", CAUSE_FILE_UNUSABLE, ""},
    {"Read-only", CAUSE_FILE_UNUSABLE, ""},
    {"WAL", CAUSE_FILE_LOG_BROKEN, ".wal cannot be replayed"},
    {"replay", CAUSE_FILE_LOG_BROKEN, ".wal cannot be replayed"},
    {"", CAUSE_FILE_BROKEN, " cannot be opened"},
};

static bool open_error(const struct warehouse *w, const char *message, struct error *err)
{
    char line[700];
    size_t i = 0;

    wdk_mask(DUCKDB_ERROR_IO, message, line, sizeof(line));
    if (strstr(message, "Could not set lock") != NULL)
        return lock_error(w, message, err);
    while (strstr(message, open_causes[i].sign) == NULL)
        i++;
    error_cause(err, open_causes[i].cause, "%s%s: %s", w->path, open_causes[i].says, line);
    error_fill(err, "version", duckdb_library_version());
    return error_fill(err, "disk", "the warehouse file");
}

static bool set_options(duckdb_config c, const struct warehouse *w, struct error *err)
{
    char memory[40], threads[24];
    const char *const options[][2] = {
        {"memory_limit", memory},
        {"threads", threads},
        {"temp_directory", w->temp_directory},
        /* A backstop: wdk_maintain makes checkpoints earlier, outside of commits. */
        {"checkpoint_threshold", "512MB"},
        {"max_vacuum_tasks", "0"}, /* wdk_maintain.c */
        {"autoinstall_known_extensions", "false"},
        {"autoload_known_extensions", "false"},
        {"allow_community_extensions", "false"},
        {"allow_persistent_secrets", "false"},
        {"custom_user_agent", "penstock"},
    };
    size_t i;

    snprintf(memory, sizeof(memory), "%lldB", (long long)w->memory_limit);
    snprintf(threads, sizeof(threads), "%d", w->threads);
    for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (duckdb_set_config(c, options[i][0], options[i][1]) != DuckDBSuccess)
            return error_set(err, ERROR_CONFIG, "DuckDB refuses %s = %s", options[i][0],
                             options[i][1]);
    }
    return true;
}

static bool run(struct warehouse *w, duckdb_connection con, const char *sql, struct error *err)
{
    duckdb_result r;
    bool ok =
        duckdb_query(con, sql, &r) == DuckDBSuccess || open_error(w, duckdb_result_error(&r), err);

    duckdb_destroy_result(&r);
    return ok;
}

static bool attach_file(struct warehouse *w, duckdb_connection con, const char *path,
                        const char *as, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "ATTACH ");
    buf_sql_string(&sql, path);
    buf_printf(&sql, " AS %s (TYPE duckdb%s)", as, w->reads ? ", READ_ONLY" : "");
    ok = run(w, con, buf_cstr(&sql), err);
    buf_free(&sql);
    return ok;
}

/* It takes its place only where there is still none; somebody else's is as good. */
static bool take_place(const char *made, const char *path, struct error *err)
{
    int fd = open(made, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0 &&
              (link(made, path) == 0 || errno == EEXIST || rename(made, path) == 0);

    if (!ok)
        error_cause(err, CAUSE_FILE_UNUSABLE, "%s cannot be made: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    unlink(made);
    return ok;
}

/*
 * A new file is made beside and takes its place when it is whole: DuckDB itself makes it empty and
 * writes its headers then, and a process that dies between leaves what it does not open again.
 */
static bool make_file(struct warehouse *w, duckdb_connection con, struct error *err)
{
    char *made = mem_printf("%s.penstock-new", w->path), *wal = mem_printf("%s.wal", made);
    bool ok;

    unlink(made); /* of a process that died */
    unlink(wal);
    mem_free(wal);
    ok = attach_file(w, con, made, "made", err) && run(w, con, "DETACH made", err);
    FAILPOINT("wdk.file-made");
    ok = ok && take_place(made, w->path, err);
    mem_free(made);
    return ok;
}

static bool attach(struct warehouse *w, struct error *err)
{
    duckdb_connection con = NULL;
    bool ok;

    if (duckdb_connect(w->db, &con) != DuckDBSuccess)
        return error_set(err, ERROR_RETRY, "DuckDB: no connection");
    ok = (w->reads || access(w->path, F_OK) == 0 || make_file(w, con, err)) &&
         attach_file(w, con, w->path, WDK_DATABASE, err);
    duckdb_disconnect(&con);
    w->attached = ok;
    return ok;
}

static bool open_database(struct warehouse *w, struct error *err)
{
    duckdb_config c = NULL;
    char *message = NULL;
    bool ok;

    if (duckdb_create_config(&c) != DuckDBSuccess)
        return error_set(err, ERROR_FATAL, "DuckDB: no configuration");
    ok = set_options(c, w, err);
    if (ok && duckdb_open_ext(NULL, &w->db, c, &message) != DuckDBSuccess) {
        w->db = NULL;
        ok = open_error(w, message == NULL ? "unknown error" : message, err);
        duckdb_free(message);
    }
    duckdb_destroy_config(&c);
    return ok && attach(w, err);
}

/* Settings that exist only once the database is open; global, so every session has them. */
static bool pin_settings(struct warehouse *w, struct error *err)
{
    static const char *const statements[] = {
        "SET GLOBAL TimeZone = 'UTC'",
        "SET GLOBAL Calendar = 'gregorian'",
    };
    struct session *s = NULL;
    bool ok = wdk_connect(w, "open", &s, err);
    size_t i;

    for (i = 0; ok && i < sizeof(statements) / sizeof(statements[0]); i++)
        ok = wdk_exec(s, statements[i], NULL, err);
    wdk_disconnect(s);
    return ok;
}

/*
 * From here on the instance reaches nothing outside but the warehouse's own files and paths (a list
 * of SQL strings, may be empty), and its settings stay as they are: what people ask (wdk_ask.c)
 * runs in it. Allowed are the two settings that upkeep and COPY FROM DATABASE change themselves,
 * and two that only tests do.
 */
static bool close_in(struct warehouse *w, struct buf *paths, struct error *err)
{
    static const char *const statements[] = {
        "SET GLOBAL enable_external_access = false",
        "SET GLOBAL allowed_configs = ['max_vacuum_tasks', "
        "'current_transaction_invalidation_policy', 'checkpoint_threshold', "
        "'debug_checkpoint_abort']",
        "SET GLOBAL lock_configuration = true",
    };
    struct buf sql = {0};
    struct session *s = NULL;
    bool ok = wdk_connect(w, "open", &s, err);
    size_t i;

    if (ok && paths->len > 0) {
        buf_printf(&sql, "SET GLOBAL allowed_paths = [%s]", buf_cstr(paths));
        ok = wdk_exec(s, buf_cstr(&sql), NULL, err);
    }
    for (i = 0; ok && i < sizeof(statements) / sizeof(statements[0]); i++)
        ok = wdk_exec(s, statements[i], NULL, err);
    wdk_disconnect(s);
    buf_free(&sql);
    return ok;
}

/* Where everything is; nothing of it is opened yet. */
static bool find_files(struct warehouse **out, const struct config *cfg, struct error *err)
{
    struct warehouse *w = mem_calloc(1, sizeof(*w));
    const char *given = NULL;

    pthread_mutex_init(&w->upkeep, NULL);
    wdk_gate_init(w);
    *out = w;
    w->memory_limit = config_int(cfg, "duckdb.memory.limit");
    w->threads = (int)config_int(cfg, "duckdb.threads");
    if (!given_path(cfg, &given, err) || !wdk_resolve(given, &w->path, err))
        return false;
    w->wal_path = mem_printf("%s.wal", w->path);
    w->temp_directory = temp_directory(w->path, config_string(cfg, "duckdb.temp.directory"));
    w->listed = wdk_list_path(w->path, err);
    return w->listed && check_header(w->path, err) && check_log(w, err);
}

bool wdk_open(struct warehouse **out, const struct config *cfg, struct error *err)
{
    struct warehouse *w = NULL;
    struct buf paths = {0};
    time_t began = time(NULL);
    bool ok = find_files(&w, cfg, err) && open_database(w, err);

    if (ok) {
        FAILPOINT("wdk.after-attach"); /* a log that was left has been replayed */
        clean_temp(w->temp_directory, began);
        wdk_apart_clean(w);
        ok = pin_settings(w, err) && wdk_publish_prepare(w, cfg, &paths, err) &&
             close_in(w, &paths, err) && wdk_publish_start(w, err);
    }
    buf_free(&paths);
    if (ok)
        *out = w;
    else
        wdk_close(w);
    return ok;
}

bool wdk_open_apart(struct warehouse **out, const char *path, const char *temp, int64_t memory,
                    int threads, struct error *err)
{
    struct warehouse *w = mem_calloc(1, sizeof(*w));
    struct buf nothing = {0};

    pthread_mutex_init(&w->upkeep, NULL);
    wdk_gate_init(w);
    w->path = mem_strdup(path);
    w->temp_directory = mem_strdup(temp);
    w->memory_limit = memory;
    w->threads = threads;
    w->reads = true;
    if (open_database(w, err) && pin_settings(w, err) && close_in(w, &nothing, err)) {
        *out = w;
        return true;
    }
    wdk_close(w);
    return false;
}

bool wdk_look(struct warehouse **out, const struct config *cfg, bool *empty, struct error *err)
{
    struct warehouse *w = NULL;
    struct buf paths = {0};
    bool ok = find_files(&w, cfg, err) && wdk_publish_prepare(w, cfg, &paths, err);

    buf_free(&paths);
    *empty = ok && access(w->path, F_OK) != 0;
    w->reads = true;
    if (ok && !*empty)
        ok = open_database(w, err) && pin_settings(w, err);
    if (!ok) {
        wdk_close(w);
        return false;
    }
    *out = w;
    return true;
}

void wdk_close(struct warehouse *w)
{
    struct session *s = NULL;
    struct error err = {0};

    if (w == NULL)
        return;
    wdk_publish_stop(w);
    if (w->reads)
        duckdb_close(&w->db); /* accepts NULL */
    else if (w->db != NULL) {
        /* So that a clean stop leaves one file, without a log. */
        if (w->attached && (!wdk_connect(w, "close", &s, &err) || !wdk_checkpoint(s, &err)))
            log_failure(LOG_WARN, "checkpoint of the DuckDB file at the end", &err);
        wdk_disconnect(s);
        duckdb_close(&w->db);
        FAILPOINT("wdk.after-close");
    }
    if (w->listed)
        wdk_unlist_path(w->path);
    pthread_mutex_destroy(&w->upkeep);
    wdk_gate_free(w);
    free(w->path); /* realpath's, or mem.h's, which is the same heap */
    mem_free(w->wal_path);
    mem_free(w->temp_directory);
    mem_free(w);
}
