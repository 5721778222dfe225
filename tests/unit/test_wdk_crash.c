/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 at any moment: a process applies batches to two tables, with reloads, added columns,
 * upkeep and DuckDB's own checkpoints inside commits, until it is killed somewhere. The reopened
 * file must be exactly what the batches up to its checkpoint row make of the tables, never a part
 * of one; the next process goes on from there.
 *
 * A batch is a function of its number, so what the tables must hold is computed, not remembered.
 */
#include "config/file.h"
#include "util/clock.h"
#include "util/mem.h"
#include "warehouse_duckdb/warehouse_duckdb.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define IDS 4000  /* keys */
#define ROWS 300  /* changes of a batch */
#define ROUNDS 12 /* processes that are killed */
#define RELOAD 9  /* every n-th batch: t is replaced by a copy of itself */
#define WIDEN 25  /* every n-th batch: a column more */
#define UPKEEP 7  /* every n-th batch */

static const struct warehouse_ops *ops = &warehouse_duckdb_ops;
static struct session *session;
static struct warehouse *warehouse;
static struct config *cfg;

/* --- what a batch does --- */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x9E3779B97F4A7C15);
    return x ^ x >> 29;
}

/* The i-th change of batch k touches this key: distinct within a batch. */
static int key_of(int k, int i)
{
    return (int)((mix((uint64_t)k) + (uint64_t)i * 13) % IDS);
}

static bool deletes(int k, int i)
{
    return mix((uint64_t)k * 1000 + (uint64_t)i) % 4 == 0;
}

/* version[id]: the batch that wrote it last, -1: none. */
static void replay(int upto, int *version)
{
    int k, i;

    for (i = 0; i < IDS; i++)
        version[i] = -1;
    for (k = 0; k < upto; k++) {
        for (i = 0; i < ROWS; i++)
            version[key_of(k, i)] = deletes(k, i) ? -1 : k;
    }
}

/* --- the process that is killed --- */

static void stop(const char *what, const struct error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    exit(3);
}

static void open_file(const char *path)
{
    const struct setting *const settings[] = {config_sink_settings, ops->settings, NULL};
    char *url = mem_printf("duckdb:%s", path);
    const char *pairs[] = {"connection.url", url, NULL, NULL};
    struct error err = {0};

    if (!config_make(&cfg, "wh", settings, pairs, &err) || !ops->open(&warehouse, cfg, &err) ||
        !ops->connect(warehouse, "crash", &session, &err))
        stop(path, &err);
    mem_free(url);
}

static void close_file(void)
{
    ops->disconnect(session);
    ops->close(warehouse);
    config_free(cfg);
}

static int64_t exec(const char *sql)
{
    struct error err = {0};
    int64_t n = 0;

    if (!ops->exec(session, sql, &n, &err))
        stop(sql, &err);
    return n;
}

static long long ask(const char *sql)
{
    struct arena *a = arena_new("ask");
    struct error err = {0};
    struct rowset r;
    long long n;

    if (!ops->query(session, a, sql, &r, &err))
        stop(sql, &err);
    n = r.nrows == 1 && rowset_get(&r, 0, 0) != NULL ? atoll(rowset_get(&r, 0, 0)) : -1;
    arena_free(a);
    return n;
}

static void begin(void)
{
    struct error err = {0};

    if (!ops->begin(session, &err))
        stop("begin", &err);
}

static void commit(void)
{
    struct error err = {0};

    if (!ops->commit(session, &err))
        stop("commit", &err);
}

static void stage(int k)
{
    const struct load_column cols[] = {
        {.name = "_op", .type = "SMALLINT", .kind = TYPE_INT16},
        {.name = "id", .type = "BIGINT", .kind = TYPE_INT64},
        {.name = "version", .type = "BIGINT", .kind = TYPE_INT64},
        {.name = "x", .type = "VARCHAR", .kind = TYPE_TEXT},
    };
    static char text[1500];
    struct value row[4] = {
        {.state = VALUE_SET}, {.state = VALUE_SET}, {.state = VALUE_SET}, {.state = VALUE_SET}};
    struct appender *ap = NULL;
    struct error err = {0};
    int i;

    exec("CREATE OR REPLACE TEMP TABLE stage(_op SMALLINT, id BIGINT, version BIGINT, x VARCHAR)");
    if (!ops->append_open(session, NULL, "stage", true, cols, 4, OVERFLOW_STOP, &ap, &err))
        stop("append", &err);
    for (i = 0; i < ROWS; i++) {
        row[0].i = !deletes(k, i);
        row[1].i = key_of(k, i);
        row[2].i = k;
        memset(text, 'a' + k % 26, sizeof(text));
        row[3].s.p = text;
        row[3].s.len = sizeof(text) - (size_t)i;
        if (!ops->append_row(ap, row, &err))
            stop("append", &err);
    }
    if (!ops->append_close(ap, NULL, &err))
        stop("append", &err);
}

static void merge(const char *table)
{
    char sql[256];

    snprintf(sql, sizeof(sql), "DELETE FROM s.%s AS t USING temp.main.stage AS s WHERE t.id = s.id",
             table);
    exec(sql);
    snprintf(sql, sizeof(sql),
             "INSERT INTO s.%s (id, version, x) SELECT s.id, s.version, s.x FROM temp.main.stage "
             "AS s WHERE s._op = 1",
             table);
    exec(sql);
}

static void batch(int k)
{
    char sql[128];

    if (k % RELOAD == 0) {
        begin();
        exec("DROP TABLE IF EXISTS s.aside");
        exec("CREATE TABLE s.aside AS SELECT * FROM s.t");
        commit();
    }
    begin();
    snprintf(sql, sizeof(sql), "UPDATE s.checkpoint SET applied_at = now() WHERE pos = %d", k);
    if (exec(sql) != 1)
        stop("not the owner", &(struct error){.message = ""});
    if (k % RELOAD == 0) {
        exec("DROP TABLE s.t");
        exec("ALTER TABLE s.aside RENAME TO t");
    }
    if (k % WIDEN == 0) {
        snprintf(sql, sizeof(sql), "ALTER TABLE s.u ADD COLUMN c%d VARCHAR", k);
        exec(sql);
    }
    stage(k);
    merge("t");
    merge("u");
    exec("UPDATE s.checkpoint SET pos = pos + 1");
    commit();
}

/* "run FILE": until it is killed. */
static void run(const char *path)
{
    struct error err = {0};
    int k;

    open_file(path);
    exec("SET GLOBAL checkpoint_threshold = '2MB'"); /* DuckDB's own come inside commits, too */
    if (ask("SELECT count(*) FROM duckdb_schemas() WHERE schema_name = 's'") == 0) {
        begin();
        exec("CREATE SCHEMA s");
        exec("CREATE TABLE s.t(id BIGINT, version BIGINT, x VARCHAR)");
        exec("CREATE TABLE s.u(id BIGINT, version BIGINT, x VARCHAR)");
        exec("CREATE TABLE s.checkpoint AS SELECT 0 AS pos, now() AS applied_at");
        commit();
    }
    for (k = (int)ask("SELECT pos FROM s.checkpoint");; k++) {
        batch(k);
        if (k % UPKEEP == 0 && !ops->maintain(session, true, &err))
            stop("maintain", &err);
        if (k % (UPKEEP * 3) == 0)
            exec("CHECKPOINT");
    }
}

/* --- the test --- */

static pid_t start(const char *path)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl("/proc/self/exe", "test_wdk_crash", "run", path, (char *)NULL);
        _exit(9);
    }
    return pid;
}

/* "verify FILE": 0 if the file is what its checkpoint says; prints how far it came. */
static int verify(const char *path)
{
    static int version[IDS];
    long long rows = 0, versions = 0, weighted = 0, pos;
    static const char *const tables[] = {"t", "u"};
    char sql[256];
    bool ok = true;
    int i;

    open_file(path);
    if (ask("SELECT count(*) FROM duckdb_schemas() WHERE schema_name = 's'") == 0) {
        close_file();
        return 0;
    }
    pos = ask("SELECT pos FROM s.checkpoint");
    replay((int)pos, version);
    for (i = 0; i < IDS; i++) {
        if (version[i] < 0)
            continue;
        rows++;
        versions += version[i];
        weighted += (long long)version[i] * i;
    }
    for (i = 0; i < 2; i++) {
        snprintf(sql, sizeof(sql),
                 "SELECT CAST(count(*) = %lld AND coalesce(sum(version), 0) = %lld AND "
                 "coalesce(sum(version * id), 0) = %lld AND count(DISTINCT id) = count(*) AS "
                 "INTEGER) FROM s.%s",
                 rows, versions, weighted, tables[i]);
        ok = ask(sql) == 1 && ok;
    }
    if (!ok)
        fprintf(stderr, "the tables are not what %lld batches make\n", pos);
    else
        printf("# %lld batches\n", pos);
    close_file();
    return ok ? 0 : 1;
}

static int run_verify(const char *path)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        execl("/proc/self/exe", "test_wdk_crash", "verify", path, (char *)NULL);
        _exit(9);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_killed_anywhere(void **state)
{
    char dir[64] = "/tmp/test_wdk_crash.XXXXXX", path[96], command[128];
    uint64_t seed = (uint64_t)clock_wall_us();
    int round, status, ms;
    pid_t pid;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/wh.duckdb", dir);
    for (round = 0; round < ROUNDS; round++) {
        ms = 100 + (int)(mix(seed + (uint64_t)round) % 700);
        pid = start(path);
        clock_sleep_ms(ms);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status))
            fail_msg("round %d ended by itself: %d", round, status);
        if (run_verify(path) != 0)
            fail_msg("round %d, killed after %d ms, files in %s", round, ms, dir);
    }
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed_anywhere)};

    if (argc == 3 && strcmp(argv[1], "run") == 0)
        run(argv[2]);
    if (argc == 3 && strcmp(argv[1], "verify") == 0)
        return verify(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
