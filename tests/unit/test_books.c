/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The books in a real DuckDB file: the cases that hold on every engine, and kill -9 while version 1
 * is migrated, because DuckDB's replay of its log is where transactions that alter tables get lost.
 */
#include "wdk_fixture.h"

#define CASE_FAIL(...) fail_msg(__VA_ARGS__)
#include "books_cases.h"
#include "books_v1_cases.h"

#include <signal.h>
#include <sys/wait.h>

static const char *self;

static void begin_case(struct fixture *f, struct ctx *c)
{
    memset(c, 0, sizeof(*c));
    c->ops = ops;
    c->s = f->s;
    c->a = f->a;
    c->b = (struct books){.ops = ops, .session = f->s, .connector = "warehouse", .source = "shop"};
    if (!ops->connect(f->w, "other", &c->other, &f->err))
        fail_msg("%s", f->err.message);
}

static const struct books_case *current_case;

static void test_case(void **state)
{
    struct ctx c;

    begin_case(*state, &c);
    current_case->run(&c);
    ops->disconnect(c.other);
}

/* DuckDB does not wait: who comes second has to try again. */
static void test_migrate_together(void **state)
{
    struct ctx c;

    begin_case(*state, &c);
    v1_make(&c);
    second = &c;
    if (!interrupted_open(&c, 5, open_second))
        fail_msg("%s", c.err.message);
    assert_false(second_opened);
    assert_int_equal(second_error.kind, ERROR_RETRY);
    check_migrated(&c, 6);
    open_second(NULL);
    assert_true(second_opened);
    check_migrated(&c, 6);
    ops->disconnect(c.other);
}

/* --- kill -9 --- */

static bool die(struct error *err)
{
    (void)err;
    kill(getpid(), SIGKILL);
    pause();
    return false;
}

/* So many rows that DuckDB writes them straight to the file and not to its log. */
#define MANY_TABLES                                                                              \
    "INSERT INTO penstock.tables SELECT connector, 'big', i, source_schema, source_table, "      \
    "topic, target_schema, target_table, state, reason, i + 1, loaded, snapshot_csn, \"rows\", " \
    "relfilenode, replica_identity, spool_bytes, value_schema_id, value_schema, key_schema_id, " \
    "key_schema, updated_at FROM penstock.tables, range(4) AS r(i) WHERE source = 'other'"
#define MANY_COLUMNS                                                                        \
    "INSERT INTO penstock.columns SELECT connector, 'big', i % 4, i // 4, attnum, name, "   \
    "field, type_id, typmod, source_type, kind, digits, scale, nullable, key_position, "    \
    "in_identity, semantic, allowed, default_json FROM penstock.columns, range(300000) AS " \
    "r(i) WHERE source = 'other' AND ordinal = 0"

/*
 * "child FILE MANY CHECKPOINT N": makes version 1, then dies at the migration's n-th statement, or
 * right after its commit (0). Never returns.
 */
static void child(char **argv)
{
    struct fixture f = {.a = arena_new("child")};
    char url[128];
    struct ctx c;

    snprintf(url, sizeof(url), "duckdb:%s", argv[2]);
    f.cfg = make_config(url, NULL, NULL);
    reopen(&f);
    begin_case(&f, &c);
    v1_make(&c);
    if (atoi(argv[3]) != 0) {
        exec(&f, MANY_TABLES);
        exec(&f, MANY_COLUMNS);
    }
    if (atoi(argv[4]) != 0)
        exec(&f, "CHECKPOINT");
    if (!interrupted_open(&c, atoi(argv[5]), die))
        exit(3);
    if (atoi(argv[5]) != 0)
        exit(4); /* it has fewer statements */
    die(NULL);
}

static int run_child(const char *file, bool many, bool checkpoint, int n)
{
    char number[16];
    int status;
    pid_t pid = fork();

    snprintf(number, sizeof(number), "%d", n);
    if (pid == 0) {
        execl(self, self, "child", file, many ? "1" : "0", checkpoint ? "1" : "0", number,
              (char *)NULL);
        _exit(9);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

/*
 * A child starts from no file and is killed; then the file is opened here, and must hold either
 * all of the migration or nothing of it. False if the child came to its end before.
 */
static bool killed_at(struct fixture *f, const char *fresh, bool many, bool checkpoint, int n)
{
    struct ctx c;
    int rc;

    shut(f);
    unlink(f->file);
    rc = run_child(f->file, many, checkpoint, n);
    if (rc != -1 && rc != 4)
        fail_msg("child at statement %d: %d", n, rc);
    reopen(f);
    begin_case(f, &c);
    asks(&c, "SELECT max(version) FROM penstock.meta", rc == -1 && n > 0 ? "1" : "2");
    if (!books_open(&c.b, &c.err))
        fail_msg("killed at statement %d: %s", n, c.err.message);
    check_migrated(&c, 6);
    asks(&c,
         "SELECT count(*), count(DISTINCT (source_id, load, ordinal)), count(*) FILTER (load <> "
         "source_id + 1) FROM penstock.columns WHERE source = 'big'",
         many ? "300000|300000|0" : "0|0|0");
    same_text("shape", shape_of_books(&c), fresh);
    ops->disconnect(c.other);
    return rc == -1;
}

static void test_migrate_killed(void **state)
{
    struct fixture *f = *state;
    const char *fresh;
    struct ctx c;
    int n;

    begin_case(f, &c);
    fresh = fresh_shape(&c);
    ops->disconnect(c.other);
    for (n = 0; n < 4; n++)
        assert_true(killed_at(f, fresh, n / 2 == 1, n % 2 == 1, 0));
    for (n = 1; killed_at(f, fresh, false, n % 2 == 0, n); n += 3)
        ;
    assert_true(n > 25);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[] = {
        TEST(test_migrate_together),
        TEST(test_migrate_killed),
    };
    int failed = 0, i;

    self = argv[0];
    if (argc == 6 && strcmp(argv[1], "child") == 0)
        child(argv);
    for (i = 0; i < COUNT(books_cases); i++) {
        const struct CMUnitTest one[] = {{.name = books_cases[i].name,
                                          .test_func = test_case,
                                          .setup_func = setup,
                                          .teardown_func = teardown}};

        current_case = &books_cases[i];
        failed += cmocka_run_group_tests_name(books_cases[i].name, one, NULL, NULL);
    }
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
