/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All the ways in which a DuckDB file cannot be opened: said clearly, and the file left as it was.
 */
#include "wdk_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* --- opening --- */

static void write_file(const char *path, const char *bytes, size_t n)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static void refused(struct fixture *f, const char *url, enum error_kind kind, const char *says)
{
    struct config *mine = f->cfg;

    f->cfg = make_config(url, NULL, NULL);
    assert_false(try_open(f));
    config_free(f->cfg);
    f->cfg = mine;
    if (f->err.kind != kind || strstr(f->err.message, says) == NULL || f->err.hint[0] == '\0')
        fail_msg("%s: %s: %s (%s)", url, error_kind_name(f->err.kind), f->err.message, f->err.hint);
}

static void test_open_refused(void **state)
{
    struct fixture *f = *state;
    char path[128], url[160];

    shut(f);
    refused(f, "duckdb::memory:", ERROR_CONFIG, "duckdb:PATH");
    refused(f, "duckdb:", ERROR_CONFIG, "duckdb:PATH");
    refused(f, "duckdb:/nonexistent/x.duckdb", ERROR_CONFIG, "No such file or directory");
    refused(f, "duckdb:/tmp", ERROR_CONFIG, "is not a file");
    snprintf(path, sizeof(path), "%s/other", f->dir);
    snprintf(url, sizeof(url), "duckdb:%s", path);
    write_file(path, "", 0);
    refused(f, url, ERROR_CONFIG, "it is empty");
    write_file(path, "SQLite format 3", 16);
    refused(f, url, ERROR_CONFIG, "is not a DuckDB file");
    unlink(path);
    strcat(path, ".wal");
    write_file(path, "x", 1);
    refused(f, url, ERROR_CONFIG, "exists without");
    unlink(path);
    reopen(f);
}

/* DuckDB's checksum of a block: h = 5381, h ^= word * constant. */
static void test_newer_storage(void **state)
{
    struct fixture *f = *state;
    uint64_t header[512], sum = 5381;
    struct stat before, after;
    char url[128];
    int fd, i;

    shut(f);
    fd = open(f->file, O_RDWR);
    assert_int_equal(pread(fd, header, sizeof(header), 0), sizeof(header));
    ((uint8_t *)header)[12] = 69; /* storage version of DuckDB 2.0 */
    for (i = 1; i < 512; i++)
        sum ^= header[i] * UINT64_C(0xbf58476d1ce4e5b9);
    header[0] = sum;
    assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
    fstat(fd, &before);
    close(fd);
    snprintf(url, sizeof(url), "duckdb:%s", f->file);
    refused(f, url, ERROR_CONFIG, "another version of DuckDB");
    assert_int_equal(stat(f->file, &after), 0);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_int_equal(after.st_size, before.st_size);
    unlink(f->file);
    reopen(f);
}

static void test_open_twice(void **state)
{
    struct fixture *f = *state;
    struct warehouse *mine = f->w;
    char link[128], url[160];

    assert_false(try_open(f));
    assert_int_equal(f->err.kind, ERROR_CONFLICT);
    snprintf(link, sizeof(link), "%s/link", f->dir);
    assert_int_equal(symlink(f->file, link), 0);
    snprintf(url, sizeof(url), "duckdb:%s", link);
    refused(f, url, ERROR_CONFLICT, "already open in this process");
    f->w = mine;
    answers(f, "SELECT 1", "1");
}

/* A process that takes the record lock as DuckDB does, without running DuckDB. */
static void test_locked(void **state)
{
    struct fixture *f = *state;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char url[128], want[64];
    int to[2];
    char byte;
    pid_t pid;

    shut(f);
    assert_int_equal(pipe(to), 0);
    pid = fork();
    if (pid == 0) {
        int fd = open(f->file, O_RDWR);

        byte = fcntl(fd, F_SETLK, &lock) == 0 ? 'y' : 'n';
        if (write(to[1], &byte, 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(to[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    snprintf(url, sizeof(url), "duckdb:%s", f->file);
    snprintf(want, sizeof(want), "in use by process %d", (int)pid);
    refused(f, url, ERROR_CONFLICT, want);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(to[0]);
    close(to[1]);
    reopen(f);
}

static void test_no_home(void **state)
{
    struct fixture *f = *state;
    char *home = mem_strdup(getenv("HOME"));

    shut(f);
    unsetenv("HOME");
    reopen(f);
    answers(f, "SELECT CAST(TIMESTAMPTZ '2026-07-01 12:00:00+02' AS VARCHAR), '{}'::JSON",
            "2026-07-01 10:00:00+00|{}");
    if (home != NULL)
        setenv("HOME", home, 1);
    mem_free(home);
}

static void test_check_and_identity(void **state)
{
    struct fixture *f = *state;
    struct findings found = {0};
    char id[256], want[128];

    snprintf(want, sizeof(want), "file:%s", f->file);
    assert_true(ops->identity(f->w, id, sizeof(id), &f->err));
    assert_string_equal(id, want);
    assert_false(ops->identity(f->w, id, 4, &f->err));
    assert_true(ops->check(f->w, NULL, &found, &f->err));
    assert_int_equal(found.stops, 0);
    findings_free(&found);
    /* more than any disk has */
    assert_true(ops->check(f->w, &(struct warehouse_wants){.bytes = INT64_MAX}, &found, &f->err));
    assert_int_equal(found.stops, 0);
    assert_int_equal(found.first->severity, FINDING_WARNING);
    assert_non_null(strstr(found.first->message, "MB free, the source's tables are"));
    findings_free(&found);
}

/* Who only looks makes no file, and writes into none. */
static void test_look(void **state)
{
    struct fixture *f = *state;
    struct session *s = NULL;
    struct warehouse *w = NULL;
    bool empty = false;

    shut(f);
    assert_true(ops->look(&w, f->cfg, &empty, &f->err));
    assert_false(empty);
    assert_true(ops->connect(w, "look", &s, &f->err));
    assert_false(ops->exec(s, "CREATE SCHEMA anything", NULL, &f->err));
    assert_non_null(strstr(f->err.message, "read-only"));
    ops->disconnect(s);
    ops->close(w);
    assert_int_equal(unlink(f->file), 0);
    assert_true(ops->look(&w, f->cfg, &empty, &f->err));
    assert_true(empty);
    ops->close(w);
    assert_int_not_equal(access(f->file, F_OK), 0);
}

/* A directory for temporary files gets one of its own inside; what a killed run left there goes. */
static void test_temp_directory(void **state)
{
    static const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct fixture *f = *state;
    char url[128], own[256], left[300];

    shut(f);
    config_free(f->cfg);
    snprintf(url, sizeof(url), "duckdb:%s", f->file);
    f->cfg = make_config(url, "duckdb.temp.directory", f->dir);
    reopen(f);
    snprintf(own, sizeof(own), "%s", f->w->temp_directory);
    assert_int_equal(strncmp(own, f->dir, strlen(f->dir)), 0);
    shut(f);
    assert_int_equal(mkdir(own, 0700), 0);
    snprintf(left, sizeof(left), "%s/duckdb_temp_storage-0.tmp", own);
    write_file(left, "x", 1);
    assert_int_equal(utimensat(AT_FDCWD, left, old, 0), 0);
    reopen(f);
    assert_int_not_equal(access(left, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_open_refused), TEST(test_newer_storage),  TEST(test_open_twice),
        TEST(test_locked),       TEST(test_no_home),        TEST(test_check_and_identity),
        TEST(test_look),         TEST(test_temp_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
