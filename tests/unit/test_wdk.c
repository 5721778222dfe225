/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DuckDB sessions, loader and upkeep against the real library: transactions as DuckDB really treats
 * them, messages without values, checkpoints.
 */
#include "util/clock.h"
#include "util/log.h"
#include "wdk_fixture.h"

/* --- the loader --- */

static const struct load_column wide[] = {
    {.name = "i", .type = "BIGINT", .kind = TYPE_INT64},
    {.name = "t", .type = "VARCHAR", .kind = TYPE_TEXT},
    {.name = "d", .type = "DECIMAL(12,2)", .kind = TYPE_DECIMAL, .precision = 12, .scale = 2},
};

static struct appender *open_wide(struct fixture *f, bool temporary)
{
    struct appender *ap = NULL;

    exec(f, temporary ? "CREATE TEMP TABLE IF NOT EXISTS w(i BIGINT, t VARCHAR, d DECIMAL(12,2))"
                      : "CREATE TABLE IF NOT EXISTS main.w(i BIGINT, t VARCHAR, d DECIMAL(12,2))");
    if (!ops->append_open(f->s, temporary ? NULL : "main", "w", temporary, wide, LEN(wide),
                          OVERFLOW_STOP, &ap, &f->err))
        fail_msg("append: %s", f->err.message);
    return ap;
}

static void append_rows(struct fixture *f, struct appender *ap, int n)
{
    char text[64], decimal[32];
    struct value row[3];
    int i;

    for (i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "a text longer than twelve bytes %d", i);
        snprintf(decimal, sizeof(decimal), "%d.%02d", i, i % 100);
        row[0] = num(i);
        row[1] = i % 3 == 0 ? (struct value){.state = VALUE_NULL} : str(text);
        row[2] = i % 5 == 0 ? (struct value){.state = VALUE_NULL} : str(decimal);
        if (!ops->append_row(ap, row, &f->err))
            fail_msg("row %d: %s", i, f->err.message);
    }
}

#define WIDE_SUMS                                                                             \
    "SELECT count(*), sum(i), count(t), count(d), count(*) FILTER (t <> 'a text longer than " \
    "twelve bytes ' || i), count(*) FILTER (d <> i + (i % 100) / 100.0) FROM "

/* Several chunks, NULLs in changing places: a vector's validity must not leak into the next. */
static void test_many_rows(void **state)
{
    struct fixture *f = *state;
    struct appender *ap;

    assert_true(ops->begin(f->s, &f->err));
    ap = open_wide(f, false);
    append_rows(f, ap, 10000);
    assert_true(ops->append_close(ap, NULL, &f->err));
    answers(f, WIDE_SUMS "main.w", "10000|49995000|6666|8000|0|0");
    ops->rollback(f->s);
    answers(f, "SELECT count(*) FROM duckdb_tables()", "0");
    ap = open_wide(f, true);
    append_rows(f, ap, 5000);
    assert_true(ops->append_close(ap, NULL, &f->err));
    answers(f, "SELECT count(*) FROM temp.main.w", "5000");
}

/* Large strings end a chunk early. */
static void test_large_strings(void **state)
{
    struct fixture *f = *state;
    struct appender *ap = open_wide(f, true);
    size_t len = (size_t)3 << 20;
    char *big = mem_alloc(len);
    struct value row[3] = {num(0), {.state = VALUE_SET, .s = {big, len}}, {.state = VALUE_NULL}};
    int i;

    memset(big, 'x', len);
    for (i = 0; i < 40; i++) {
        row[0] = num(i);
        assert_true(ops->append_row(ap, row, &f->err));
    }
    assert_true(ops->append_close(ap, NULL, &f->err));
    answers(f, "SELECT count(*), min(length(t)), sum(i) FROM temp.main.w", "40|3145728|780");
    mem_free(big);
}

static void test_append_abort(void **state)
{
    struct fixture *f = *state;
    struct value row[3] = {num(1), str("x"), str("12345678901.00")};
    struct appender *ap;

    ap = open_wide(f, false);
    assert_true(ops->begin(f->s, &f->err));
    ops->append_abort(ap);
    assert_true(ops->begin(f->s, &f->err) == false); /* failed: only a rollback helps */
    ops->rollback(f->s);
    assert_true(ops->begin(f->s, &f->err));
    ap = open_wide(f, false);
    append_rows(f, ap, 3000);
    assert_false(ops->append_row(ap, row, &f->err));
    assert_string_equal(f->err.message,
                        "column \"d\": a number with more digits cannot be held by DECIMAL(12,2)");
    ops->append_abort(ap);
    assert_false(ops->commit(f->s, &f->err));
    assert_int_equal(f->err.kind, ERROR_RETRY);
    answers(f, "SELECT count(*) FROM main.w", "0");
}

static void test_append_to_other_table(void **state)
{
    struct fixture *f = *state;
    struct appender *ap = NULL;

    exec(f, "CREATE TABLE main.w(i BIGINT, t INTEGER, d DECIMAL(12,2))");
    assert_false(ops->append_open(f->s, "main", "w", false, wide, 3, OVERFLOW_STOP, &ap, &f->err));
    assert_int_equal(f->err.kind, ERROR_DATA);
    assert_non_null(strstr(f->err.message, "\"t\""));
    assert_false(ops->append_open(f->s, "main", "w", false, wide, 2, OVERFLOW_STOP, &ap, &f->err));
    assert_int_equal(f->err.kind, ERROR_DATA);
    assert_false(ops->append_open(f->s, "main", "no", false, wide, 2, OVERFLOW_STOP, &ap, &f->err));
    assert_int_equal(f->err.kind, ERROR_DATA); /* that table's fault: it was dropped */
    assert_non_null(strstr(f->err.hint, "load it again"));
    answers(f, "SELECT 1", "1");
}

/* --- sessions --- */

static void test_query_text(void **state)
{
    struct fixture *f = *state;
    struct rowset r;

    answers(f, "SELECT 1::BIGINT, true, NULL, 'x', TIMESTAMPTZ '2026-01-02 03:04:05.06+02'",
            "1|true|NULL|x|2026-01-02 01:04:05.06+00");
    answers(f, "SELECT range FROM range(3)", "0;1;2");
    answers(f, "SELECT 1 WHERE false", "");
    answers(f, "SELECT count(*) FROM (SELECT 1)", "1");
    answers(f, "SELECT sum(x) FROM (VALUES (1::HUGEINT)) t(x)", "1");
    assert_true(ops->query(f->s, f->a, "SELECT i FROM range(5000) r(i) ORDER BY i", &r, &f->err));
    assert_int_equal(r.nrows, 5000);
    assert_string_equal(rowset_get(&r, 4999, 0), "4999");
    assert_false(ops->query(f->s, f->a, "SELECT [1,2]", &r, &f->err));
    assert_int_equal(f->err.kind, ERROR_FATAL);
    answers(f, "SELECT current_setting('TimeZone'), current_setting('Calendar')", "UTC|gregorian");
}

static void test_affected(void **state)
{
    struct fixture *f = *state;
    int64_t n = -1;

    exec(f, "CREATE TABLE t(i INTEGER, x VARCHAR)");
    assert_true(ops->exec(f->s, "INSERT INTO t SELECT i, 'a' FROM range(7) r(i)", &n, &f->err));
    assert_int_equal(n, 7);
    assert_true(ops->exec(f->s, "UPDATE t SET x = 'b' WHERE i < 3", &n, &f->err));
    assert_int_equal(n, 3);
    assert_true(
        ops->exec(f->s, "DELETE FROM t USING (SELECT 1 AS k) s WHERE t.i = s.k", &n, &f->err));
    assert_int_equal(n, 1);
    assert_true(ops->exec(f->s, "UPDATE t SET x = 'b' WHERE i = 99", &n, &f->err));
    assert_int_equal(n, 0);
}

/* DuckDB answers COMMIT of such a transaction with success. */
static void test_commit_after_failure(void **state)
{
    struct fixture *f = *state;

    exec(f, "CREATE TABLE t(i INTEGER PRIMARY KEY)");
    assert_true(ops->begin(f->s, &f->err));
    exec(f, "INSERT INTO t VALUES (4711)");
    exec_fails(f, "INSERT INTO t VALUES (4711)", ERROR_DATA);
    assert_null(strstr(f->err.message, "4711"));
    exec_fails(f, "SELECT 1", ERROR_RETRY);
    assert_false(ops->commit(f->s, &f->err));
    answers(f, "SELECT count(*) FROM t", "0");
    assert_true(ops->begin(f->s, &f->err));
    exec(f, "INSERT INTO t VALUES (1)");
    assert_true(ops->commit(f->s, &f->err));
    answers(f, "SELECT count(*) FROM t", "1");
}

/* It would be committed, and lost after a crash. */
static void test_altered_after_rows(void **state)
{
    static const char *const changes[] = {"DELETE FROM \"s s\".\"t\" AS t WHERE t.i = 1",
                                          "UPDATE \"s s\".t SET i = 5 WHERE i = 1"};
    struct fixture *f = *state;
    int i;

    exec(f, "CREATE SCHEMA \"s s\"");
    exec(f, "CREATE TABLE \"s s\".\"t\" AS SELECT 1 AS i");
    exec(f, "CREATE TABLE \"s s\".\"t2\" AS SELECT 1 AS i");
    for (i = 0; i < LEN(changes); i++) {
        assert_true(ops->begin(f->s, &f->err));
        exec(f, changes[i]);
        exec(f, "ALTER TABLE \"s s\".\"t2\" RENAME TO \"t3\"");
        exec_fails(f, "ALTER TABLE \"s s\".\"t\" RENAME TO \"t2\"", ERROR_FATAL);
        assert_false(ops->commit(f->s, &f->err));
    }
    assert_true(ops->begin(f->s, &f->err));
    exec(f, "INSERT INTO \"s s\".\"t\" VALUES (2)");
    exec(f, "DELETE FROM \"s s\".\"t2\" WHERE i = 99");
    exec(f, "ALTER TABLE \"s s\".\"t2\" RENAME TO \"t3\"");
    assert_true(ops->commit(f->s, &f->err));
}

static void test_conflict(void **state)
{
    struct fixture *f = *state;
    struct session *first = f->s, *other = NULL;

    exec(f, "CREATE TABLE t AS SELECT 1 AS i");
    assert_true(ops->connect(f->w, "other", &other, &f->err));
    assert_true(ops->begin(first, &f->err));
    exec(f, "UPDATE t SET i = 2");
    assert_true(ops->begin(other, &f->err));
    f->s = other;
    exec_fails(f, "UPDATE t SET i = 3", ERROR_RETRY);
    ops->disconnect(other);
    f->s = first;
    assert_true(ops->commit(first, &f->err));
    answers(f, "SELECT i FROM t", "2");
}

static void test_errors_hold_no_values(void **state)
{
    struct fixture *f = *state;
    static const char *const statements[] = {
        "SELECT CAST('secret' AS INTEGER)",
        "SELECT CAST('it''s a secret' AS INTEGER)",
        "SELECT CAST('two\nlines of secret' AS INTEGER)",
        "SELECT CAST('secret' AS DATE)",
        "SELECT CAST('secret' AS UUID)",
        "SELECT CAST('{secret' AS JSON)",
        "SELECT CAST(99887766 AS TINYINT)",
        "SELECT CAST(99887766.5 AS DECIMAL(3,1))",
        "SELECT CAST('99887766' AS DECIMAL(3,1))",
        "SELECT 99887766::INTEGER * 99887766::INTEGER",
        "INSERT INTO t VALUES ('secret'), ('secret')",
    };
    int i;

    exec(f, "CREATE TABLE t(i VARCHAR UNIQUE)");
    for (i = 0; i < LEN(statements); i++) {
        exec_fails(f, statements[i], ERROR_DATA);
        assert_null(strstr(f->err.message, "secret"));
        assert_null(strstr(f->err.message, "99887766"));
        assert_null(strchr(f->err.message, '\n'));
    }
    exec_fails(f, "SELECT * FROM missing", ERROR_DATA);
    assert_non_null(strstr(f->err.message, "missing"));
    exec_fails(f, "SELEC", ERROR_FATAL);
    exec(f, "CREATE TABLE n(i INTEGER NOT NULL)");
    exec_fails(f, "INSERT INTO n VALUES (NULL)", ERROR_DATA);
    assert_non_null(strstr(f->err.message, "n.i"));
    exec(f, "CREATE INDEX ni ON n(i)");
    exec_fails(f, "ALTER TABLE n ALTER i TYPE BIGINT", ERROR_CONFIG);
}

static void *cancel_soon(void *arg)
{
    clock_sleep_ms(200);
    ops->cancel(arg);
    return NULL;
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    int64_t began = clock_mono_ms();
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, cancel_soon, f->s), 0);
    exec_fails(f,
               "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range * 7 = "
               "b.range + a.range * 3",
               ERROR_RETRY);
    pthread_join(t, NULL);
    assert_true(clock_mono_ms() - began < 10000);
    exec_fails(f, "SELECT 1", ERROR_RETRY); /* until the rollback */
    ops->rollback(f->s);
    answers(f, "SELECT 1", "1");
}

/* --- upkeep --- */

static bool exists(const char *path, const char *suffix)
{
    char name[160];

    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

static void test_clean_stop(void **state)
{
    struct fixture *f = *state;

    exec(f, "CREATE TABLE t AS SELECT i, 'some text ' || i AS x FROM range(1000) r(i)");
    assert_true(exists(f->file, ".wal"));
    shut(f);
    assert_false(exists(f->file, ".wal"));
    reopen(f);
    answers(f, "SELECT count(*) FROM t", "1000");
}

/* As if nothing had been written for a minute. */
static bool maintain_later(struct fixture *f)
{
    if (!ops->maintain(f->s, true, &f->err))
        return false;
    f->w->wal_since_ms = f->w->wal_moved_ms = clock_mono_ms() - 60000;
    f->w->postponed_ms = 0;
    return ops->maintain(f->s, true, &f->err);
}

static void test_maintain(void **state)
{
    struct fixture *f = *state;
    struct session *other = NULL;
    int i;

    exec(f, "CREATE TABLE t(i BIGINT, x VARCHAR)");
    assert_true(ops->maintain(f->s, false, &f->err));
    assert_true(exists(f->file, ".wal")); /* small and not idle for long */
    for (i = 0; i < 10; i++)
        exec(f, "INSERT INTO t SELECT i, md5(i::VARCHAR) || md5((i + 1)::VARCHAR) FROM "
                "range(90000) r(i)");
    assert_true(ops->connect(f->w, "other", &other, &f->err));
    assert_true(ops->begin(other, &f->err));
    assert_true(ops->exec(other, "UPDATE t SET x = 'x' WHERE i = 5", NULL, &f->err));
    if (!maintain_later(f)) /* gives way to the open transaction */
        fail_msg("maintain: %s", f->err.message);
    assert_true(exists(f->file, ".wal"));
    assert_true(ops->commit(other, &f->err));
    ops->disconnect(other);
    assert_true(ops->maintain(f->s, true, &f->err));
    assert_true(exists(f->file, ".wal")); /* not quiet for long enough */
    assert_true(maintain_later(f));
    assert_false(exists(f->file, ".wal"));
    answers(f, "SELECT count(*) FROM t", "900000");
    assert_true(ops->begin(f->s, &f->err));
    assert_false(ops->maintain(f->s, true, &f->err));
}

static void test_vacuum(void **state)
{
    struct fixture *f = *state;
    const char *sizes = "SELECT estimated_size > 300000 FROM duckdb_tables()";

    exec(f, "CREATE SCHEMA \"S \"\"x\"");
    exec(f, "CREATE TABLE \"S \"\"x\".\"T x\" AS SELECT i, md5(i::VARCHAR) AS x FROM "
            "range(400000) r(i)");
    exec(f, "CHECKPOINT");
    exec(f, "DELETE FROM \"S \"\"x\".\"T x\" WHERE i % 5 > 1");
    if (!maintain_later(f))
        fail_msg("maintain: %s", f->err.message);
    assert_false(exists(f->file, ".wal"));
    answers(f, sizes, "false");
    answers(f, "SELECT count(*), sum(i) FROM \"S \"\"x\".\"T x\"", "160000|31999680000");
    answers(f, "SELECT current_setting('max_vacuum_tasks')", "0");
}

/* The database is closed by DuckDB itself; closing and opening it again brings all of it back. */
static void test_fatal_error(void **state)
{
    struct fixture *f = *state;

    log_set_level(LOG_ERROR);
    exec(f, "CREATE TABLE t AS SELECT 1 AS i");
    exec(f, "SET debug_checkpoint_abort = 'before_header'");
    exec_fails(f, "CHECKPOINT", ERROR_RETRY);
    exec_fails(f, "SELECT i FROM t", ERROR_RETRY);
    assert_non_null(strstr(f->err.hint, "opened again"));
    ops->rollback(f->s);
    exec_fails(f, "INSERT INTO t VALUES (2)", ERROR_RETRY);
    shut(f);
    reopen(f);
    answers(f, "SELECT i FROM t", "1");
    log_set_level(LOG_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_many_rows),
        TEST(test_large_strings),
        TEST(test_append_abort),
        TEST(test_append_to_other_table),
        TEST(test_query_text),
        TEST(test_affected),
        TEST(test_commit_after_failure),
        TEST(test_altered_after_rows),
        TEST(test_conflict),
        TEST(test_errors_hold_no_values),
        TEST(test_cancel),
        TEST(test_clean_stop),
        TEST(test_maintain),
        TEST(test_vacuum),
        TEST(test_fatal_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
