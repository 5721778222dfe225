/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 right after a commit, and the file opened again: for every kind of transaction that the
 * service makes, the reopened file must equal what a reader saw after the commit. DuckDB 1.5 loses
 * whole transactions of some shapes in that replay without a word (row changes of a table before
 * its RENAME), so a COMMIT that succeeds proves nothing.
 *
 * Each case runs in a process of its own (this program again, with arguments): it opens the file,
 * prepares, commits the transaction, writes down what a reader sees, and kills itself. Small and
 * large row counts, because DuckDB writes many rows straight to the file and not to its log; with
 * and without a checkpoint before, because then the base is in the file or in the log, too; and
 * with a second batch after it.
 */
#include "config/file.h"
#include "util/mem.h"
#include "warehouse_duckdb/warehouse_duckdb.h"
#include "wdk_kill_cases.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LEN(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const struct warehouse_ops *ops = &warehouse_duckdb_ops;
static const char *self;

static struct session *session;
static struct warehouse *warehouse;
static struct config *cfg;

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
        !ops->connect(warehouse, "kill", &session, &err))
        stop(path, &err);
    mem_free(url);
}

static void exec(const char *sql)
{
    struct error err = {0};

    if (!ops->exec(session, sql, NULL, &err))
        stop(sql, &err);
}

static void stage_rows(int n)
{
    const struct load_column cols[] = {
        {.name = "_op", .type = "SMALLINT", .kind = TYPE_INT16},
        {.name = "id", .type = "BIGINT", .kind = TYPE_INT64},
        {.name = "x", .type = "VARCHAR", .kind = TYPE_TEXT},
    };
    struct value row[3] = {{.state = VALUE_SET}, {.state = VALUE_SET}, {.state = VALUE_SET}};
    struct appender *ap = NULL;
    struct error err = {0};
    char text[64];
    int i;

    if (!ops->append_open(session, NULL, "stage", true, cols, 3, OVERFLOW_STOP, &ap, &err))
        stop("append", &err);
    for (i = 0; i < n; i++) {
        row[0].i = i % 3 != 0;
        row[1].i = i * 2;
        row[2].s.p = text;
        row[2].s.len = (size_t)snprintf(text, sizeof(text), "staged %d of the batch", i);
        if (!ops->append_row(ap, row, &err))
            stop("append", &err);
    }
    if (!ops->append_close(ap, NULL, &err))
        stop("append", &err);
}

static void transaction(const struct kill_case *c, int n)
{
    struct error err = {0};
    int i;

    if (!ops->begin(session, &err))
        stop(c->name, &err);
    for (i = 0; i < STATEMENTS && c->statements[i] != NULL; i++) {
        if (strcmp(c->statements[i], "@") == 0)
            stage_rows(n);
        else
            exec(c->statements[i]);
    }
    if (!ops->commit(session, &err))
        stop(c->name, &err);
}

static void prepare(int n)
{
    char sql[256];
    static const char *const tables[] = {"t", "u", "_penstock_load_7"};
    int i;

    exec("CREATE SCHEMA s");
    exec("CREATE SCHEMA penstock");
    exec("CREATE TABLE penstock.checkpoints AS SELECT 'c' AS connector, 0::BIGINT AS pos, now() "
         "AS applied_at");
    exec("CREATE TABLE penstock.tables AS SELECT 1 AS id, 'loading' AS state");
    for (i = 0; i < LEN(tables); i++) {
        snprintf(sql, sizeof(sql),
                 "CREATE TABLE s.%s AS SELECT i AS id, 'row ' || i AS x, CAST(i %% 97 / 10.0 AS "
                 "DECIMAL(10,2)) AS d, CAST(i %% 89 / 100.0 AS DECIMAL(2,2)) AS e FROM range(%d) "
                 "r(i)",
                 tables[i], n * (i == 2 ? 2 : 3));
        exec(sql);
    }
}

/* Every table with its columns and a digest of its rows, in a deterministic order. */
static void describe(struct buf *out)
{
    struct arena *a = arena_new("describe");
    struct error err = {0};
    struct rowset tables, r;
    struct buf sql = {0};
    int i;

    if (!ops->query(session, a,
                    "SELECT table_schema, table_name, string_agg(column_name || ' ' || data_type, "
                    "',' ORDER BY ordinal_position) FROM information_schema.columns WHERE "
                    "table_catalog = current_database() GROUP BY ALL ORDER BY ALL",
                    &tables, &err))
        stop("describe", &err);
    for (i = 0; i < tables.nrows; i++) {
        buf_reset(&sql);
        buf_puts(&sql, "SELECT count(*), sum(hash(CAST(t AS VARCHAR))) FROM ");
        buf_sql_ident(&sql, rowset_get(&tables, i, 0));
        buf_puts(&sql, ".");
        buf_sql_ident(&sql, rowset_get(&tables, i, 1));
        buf_puts(&sql, " AS t");
        if (!ops->query(session, a, buf_cstr(&sql), &r, &err))
            stop(buf_cstr(&sql), &err);
        buf_printf(out, "%s.%s(%s) %s rows %s\n", rowset_get(&tables, i, 0),
                   rowset_get(&tables, i, 1), rowset_get(&tables, i, 2), rowset_get(&r, 0, 0),
                   rowset_get(&r, 0, 1) == NULL ? "-" : rowset_get(&r, 0, 1));
    }
    buf_free(&sql);
    arena_free(a);
}

/* "child FILE OUT CASE N CHECKPOINT TWICE": never returns. */
static void child(char **argv)
{
    const struct kill_case *c = &cases[atoi(argv[4])];
    int n = atoi(argv[5]);
    struct buf b = {0};
    FILE *out;

    open_file(argv[2]);
    prepare(n);
    if (atoi(argv[6]) != 0)
        exec("CHECKPOINT");
    transaction(c, n);
    if (atoi(argv[7]) != 0)
        transaction(&(struct kill_case){"then",
                                        {OWN, STAGE, "@", DELETE_STAGED("s.u"),
                                         "INSERT INTO s.u (id, x) SELECT s.id, s.x || 'again' FROM "
                                         "temp.main.stage AS s WHERE s._op = 1",
                                         MOVE}},
                    n / 2);
    describe(&b);
    out = fopen(argv[3], "w");
    if (out == NULL || fwrite(b.data, 1, b.len, out) != b.len || fclose(out) != 0)
        exit(4);
    kill(getpid(), SIGKILL);
    pause();
}

/* "verify FILE": what a reader sees in the reopened file, then a clean stop. */
static void verify(char **argv)
{
    struct buf b = {0};

    open_file(argv[2]);
    describe(&b);
    fwrite(b.data, 1, b.len, stdout);
    fflush(stdout);
    buf_free(&b);
    ops->disconnect(session);
    ops->close(warehouse);
    config_free(cfg);
    exit(0);
}

static int spawn(const char *const *argv, char **output)
{
    struct buf b = {0};
    int fds[2], status;
    char bytes[4096];
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        execv(self, (char *const *)(uintptr_t)argv);
        _exit(9);
    }
    close(fds[1]);
    while ((n = read(fds[0], bytes, sizeof(bytes))) > 0)
        buf_append(&b, bytes, (size_t)n);
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (output != NULL)
        *output = mem_strdup(buf_cstr(&b));
    buf_free(&b);
    return status;
}

static char *read_all(const char *path)
{
    char bytes[8192];
    FILE *in = fopen(path, "r");
    size_t n;

    assert_non_null(in);
    n = fread(bytes, 1, sizeof(bytes) - 1, in);
    fclose(in);
    return mem_strndup(bytes, n);
}

static void one(const char *dir, int c, const char *n, const char *checkpoint, const char *twice)
{
    char file[128], out[128], number[16];
    const char *run[] = {self, "child", file, out, number, n, checkpoint, twice, NULL};
    const char *look[] = {self, "verify", file, NULL};
    char *want, *got, *wal;
    int status;

    snprintf(file, sizeof(file), "%s/%d-%s-%s-%s.duckdb", dir, c, n, checkpoint, twice);
    snprintf(out, sizeof(out), "%s/out", dir);
    snprintf(number, sizeof(number), "%d", c);
    status = spawn(run, NULL);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("%s (%s rows): status %d", cases[c].name, n, status);
    want = read_all(out);
    assert_int_equal(spawn(look, &got), 0);
    if (strcmp(want, got) != 0)
        fail_msg("%s (%s rows, checkpoint %s, twice %s):\n%sbecame\n%s", cases[c].name, n,
                 checkpoint, twice, want, got);
    wal = mem_printf("%s.wal", file);
    assert_int_not_equal(access(wal, F_OK), 0);
    mem_free(wal);
    mem_free(got);
    assert_int_equal(spawn(look, &got), 0); /* and again from the checkpointed file */
    assert_string_equal(want, got);
    mem_free(got);
    mem_free(want);
    assert_int_equal(unlink(file), 0);
}

/* Every shape of the list whose number leaves that rest, so that a run takes a minute; all of them
 * with PENSTOCK_LONG set. */
static void all(const char *n, const char *checkpoint, const char *twice, int rest)
{
    bool every = getenv("PENSTOCK_LONG") != NULL;
    char dir[64] = "/tmp/test_wdk_kill.XXXXXX", command[128];
    int c;

    assert_non_null(mkdtemp(dir));
    for (c = 0; c < LEN(cases); c++) {
        if (every || c % 3 == rest)
            one(dir, c, n, checkpoint, twice);
    }
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static void test_small(void **state)
{
    (void)state;
    all("60", "0", "0", 0);
    all("60", "0", "0", 1);
    all("60", "1", "1", 2);
    all("60", "1", "1", 0);
}

/* More rows than a row group (122880) and than DuckDB writes to its log. */
static void test_large(void **state)
{
    (void)state;
    all("130000", "1", "1", 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_large),
    };

    self = "/proc/self/exe";
    if (argc == 8 && strcmp(argv[1], "child") == 0)
        child(argv);
    if (argc == 3 && strcmp(argv[1], "verify") == 0)
        verify(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
