/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DuckDB warehouse against the real library: every kind of value with its nastiest members,
 * transactions as DuckDB really treats them, and all the ways in which a file cannot be opened.
 */
#include "config/file.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "warehouse_duckdb/warehouse_duckdb.h"
#include "warehouse_duckdb/wdk.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LEN(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const struct warehouse_ops *ops = &warehouse_duckdb_ops;

struct fixture {
    char dir[64];
    char file[96];
    struct config *cfg;
    struct warehouse *w;
    struct session *s;
    struct arena *a;
    struct error err;
};

static struct config *make_config(const char *url, const char *key, const char *value)
{
    const struct setting *const settings[] = {config_sink_settings, ops->settings, NULL};
    const char *pairs[] = {"connection.url", url, key, value, NULL, NULL};
    struct config *c = NULL;
    struct error err = {0};

    if (!config_make(&c, "wh", settings, pairs, &err))
        fail_msg("config: %s", err.message);
    return c;
}

static bool try_open(struct fixture *f)
{
    bool ok;

    error_clear(&f->err);
    ok = ops->open(&f->w, f->cfg, &f->err);
    if (!ok)
        f->w = NULL;
    return ok;
}

static void reopen(struct fixture *f)
{
    if (!try_open(f) || !ops->connect(f->w, "test", &f->s, &f->err))
        fail_msg("open: %s", f->err.message);
}

static void shut(struct fixture *f)
{
    ops->disconnect(f->s);
    f->s = NULL;
    ops->close(f->w);
    f->w = NULL;
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof(*f));
    char url[128];

    snprintf(f->dir, sizeof(f->dir), "/tmp/test_wdk.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->file, sizeof(f->file), "%s/wh.duckdb", f->dir);
    snprintf(url, sizeof(url), "duckdb:%s", f->file);
    f->cfg = make_config(url, NULL, NULL);
    f->a = arena_new("test");
    reopen(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    shut(f);
    config_free(f->cfg);
    arena_free(f->a);
    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    if (system(command) != 0)
        return -1;
    mem_free(f);
    return 0;
}

static void exec(struct fixture *f, const char *sql)
{
    if (!ops->exec(f->s, sql, NULL, &f->err))
        fail_msg("%s: %s", sql, f->err.message);
}

static void exec_fails(struct fixture *f, const char *sql, enum error_kind kind)
{
    error_clear(&f->err);
    assert_false(ops->exec(f->s, sql, NULL, &f->err));
    if (f->err.kind != kind)
        fail_msg("%s: %s: %s", sql, error_kind_name(f->err.kind), f->err.message);
}

/* All cells, "|" between columns, ";" between rows. */
static const char *answer(struct fixture *f, const char *sql)
{
    struct rowset r;
    struct buf b = {0};
    char *copy;
    int y, x;

    if (!ops->query(f->s, f->a, sql, &r, &f->err))
        fail_msg("%s: %s", sql, f->err.message);
    for (y = 0; y < r.nrows; y++) {
        for (x = 0; x < r.ncols; x++) {
            if (x > 0)
                buf_puts(&b, "|");
            buf_puts(&b, rowset_get(&r, y, x) == NULL ? "NULL" : rowset_get(&r, y, x));
        }
        if (y + 1 < r.nrows)
            buf_puts(&b, ";");
    }
    copy = arena_strdup(f->a, buf_cstr(&b));
    buf_free(&b);
    return copy;
}

static void answers(struct fixture *f, const char *sql, const char *want)
{
    assert_string_equal(answer(f, sql), want);
}

static struct value str(const char *s)
{
    return (struct value){.state = VALUE_SET, .s = {s, strlen(s)}};
}

static struct value num(int64_t i)
{
    return (struct value){.state = VALUE_SET, .i = i};
}

static struct value dbl(double d)
{
    return (struct value){.state = VALUE_SET, .f = d};
}

/* --- values --- */

struct sample {
    enum type_kind kind;
    int precision, scale;
    struct value v;
    const char *text; /* as DuckDB prints it; NULL: it cannot be held */
};

/* A table v(x TYPE) with the value in it; false if it was refused. */
static bool append_one(struct fixture *f, const struct sample *s, enum overflow_mode mode,
                       int64_t *nulled)
{
    struct column c = {.name = "x",
                       .kind = s->kind,
                       .precision = s->precision,
                       .scale = s->scale,
                       .nullable = true};
    struct load_column lc = {.name = "x"};
    struct appender *ap = NULL;
    const char *note;
    char sql[128];

    ops->dialect->column(f->a, &c, &lc, &note);
    snprintf(sql, sizeof(sql), "CREATE OR REPLACE TABLE main.v(x %s)", lc.type);
    exec(f, sql);
    assert_true(ops->begin(f->s, &f->err));
    assert_true(ops->append_open(f->s, "main", "v", false, &lc, 1, mode, &ap, &f->err));
    if (!ops->append_row(ap, &s->v, &f->err)) {
        ops->append_abort(ap);
        ops->rollback(f->s);
        return false;
    }
    assert_true(ops->append_close(ap, nulled, &f->err));
    assert_true(ops->commit(f->s, &f->err));
    return true;
}

static void check_sample(struct fixture *f, const struct sample *s)
{
    int64_t nulled = -1;

    if (s->text != NULL) {
        if (!append_one(f, s, OVERFLOW_STOP, &nulled))
            fail_msg("%s %s: %s", type_kind_name(s->kind), s->text, f->err.message);
        assert_int_equal(nulled, 0);
        answers(f, "SELECT x FROM main.v", s->text);
        return;
    }
    assert_false(append_one(f, s, OVERFLOW_STOP, &nulled));
    assert_int_equal(f->err.kind, ERROR_DATA);
    assert_non_null(strstr(f->err.message, "column \"x\""));
    assert_non_null(strstr(f->err.hint, "value.overflow.mode"));
    assert_true(append_one(f, s, OVERFLOW_NULL, &nulled));
    assert_int_equal(nulled, 1);
    answers(f, "SELECT x FROM main.v", "NULL");
}

static void test_values(void **state)
{
    const struct sample samples[] = {
        {TYPE_BOOL, 0, 0, num(1), "true"},
        {TYPE_BOOL, 0, 0, num(0), "false"},
        {TYPE_INT16, 0, 0, num(INT16_MIN), "-32768"},
        {TYPE_INT32, 0, 0, num(INT32_MIN), "-2147483648"},
        {TYPE_INT64, 0, 0, num(INT64_MIN), "-9223372036854775808"},
        {TYPE_INT64, 0, 0, num(INT64_MAX), "9223372036854775807"},
        {TYPE_INT16, 0, 0, num(40000), NULL},
        {TYPE_FLOAT32, 0, 0, dbl(0.1f), "0.1"},
        {TYPE_FLOAT32, 0, 0, dbl(-0.0), "-0.0"},
        {TYPE_FLOAT32, 0, 0, dbl(NAN), "nan"},
        {TYPE_FLOAT32, 0, 0, dbl(1e300), NULL},
        {TYPE_FLOAT64, 0, 0, dbl(0.1), "0.1"},
        {TYPE_FLOAT64, 0, 0, dbl(-0.0), "-0.0"},
        {TYPE_FLOAT64, 0, 0, dbl(-INFINITY), "-inf"},
        {TYPE_FLOAT64, 0, 0, dbl(5e-324), "5e-324"},
        {TYPE_DECIMAL, 4, 2, str("-12.30"), "-12.30"},
        {TYPE_DECIMAL, 4, 2, str("99.99"), "99.99"},
        {TYPE_DECIMAL, 4, 2, str("100.00"), NULL},
        {TYPE_DECIMAL, 4, 2, str("-1"), "-1.00"},
        {TYPE_DECIMAL, 4, 2, str("0.001"), NULL},
        {TYPE_DECIMAL, 4, 2, str("0.0100"), "0.01"},
        {TYPE_DECIMAL, 9, 0, str("-999999999"), "-999999999"},
        {TYPE_DECIMAL, 18, 18, str("0.999999999999999999"), ".999999999999999999"},
        {TYPE_DECIMAL, 38, 0, str("99999999999999999999999999999999999999"),
         "99999999999999999999999999999999999999"},
        {TYPE_DECIMAL, 38, 10, str("-9999999999999999999999999999.9999999999"),
         "-9999999999999999999999999999.9999999999"},
        {TYPE_DECIMAL, 38, 0, str("100000000000000000000000000000000000000"), NULL},
        {TYPE_DECIMAL, 10, 2, str("NaN"), NULL},
        {TYPE_DECIMAL, 10, 2, str("-Infinity"), NULL},
        {TYPE_DECIMAL, 10, 2, str(""), NULL},
        {TYPE_DECIMAL, 10, 2, str("1e5"), NULL},
        {TYPE_DECIMAL, 40, 2, str("99999999999999999999999999999999999999.99"),
         "99999999999999999999999999999999999999.99"},
        {TYPE_NUMERIC, 0, 0, str("NaN"), "NaN"},
        {TYPE_NUMERIC, 0, 0, str("1.2300"), "1.2300"},
        {TYPE_TEXT, 0, 0, str(""), ""},
        {TYPE_TEXT, 0, 0, str("twelve bytes"), "twelve bytes"},
        {TYPE_TEXT, 0, 0, str("thirteen b\xc3\xa4te"), "thirteen b\xc3\xa4te"},
        {TYPE_TEXT, 0, 0, str("\xf0\x9f\x98\x80 '\"\\ \n"), "\xf0\x9f\x98\x80 '\"\\ \n"},
        {TYPE_BYTES, 0, 0, {.state = VALUE_SET, .s = {"\0a\\\xff", 4}}, "\\x00a\\x5C\\xFF"},
        {TYPE_BYTES, 0, 0, {.state = VALUE_SET, .s = {NULL, 0}}, ""},
        {TYPE_DATE, 0, 0, num(0), "1970-01-01"},
        {TYPE_DATE, 0, 0, num(2145042905), "5874897-12-31"},
        {TYPE_DATE, 0, 0, num(-2440588), "4714-11-24 (BC)"},
        {TYPE_DATE, 0, 0, num(VALUE_DATE_INFINITY), "infinity"},
        {TYPE_DATE, 0, 0, num(VALUE_DATE_MINUS_INFINITY), "-infinity"},
        {TYPE_DATE, 0, 0, num(INT64_C(1) << 40), NULL},
        {TYPE_TIME, 0, 0, num(0), "00:00:00"},
        {TYPE_TIME, 0, 0, num(86399999999), "23:59:59.999999"},
        {TYPE_TIME, 0, 0, num(86400000000), "24:00:00"},
        {TYPE_TIME, 0, 0, num(-1), NULL},
        {TYPE_TIMESTAMP, 0, 0, num(1), "2000-01-01 00:00:00.000001"},
        {TYPE_TIMESTAMP, 0, 0, num(-210866803200000000 - VALUE_EPOCH_SHIFT_US),
         "4714-11-24 (BC) 00:00:00"},
        {TYPE_TIMESTAMP, 0, 0, num(VALUE_TIMESTAMP_INFINITY), "infinity"},
        {TYPE_TIMESTAMP, 0, 0, num(VALUE_TIMESTAMP_MINUS_INFINITY), "-infinity"},
        {TYPE_TIMESTAMP, 0, 0, num(INT64_MAX - 1 - VALUE_EPOCH_SHIFT_US),
         "294247-01-10 04:00:54.775806"},
        {TYPE_TIMESTAMP, 0, 0, num(INT64_MAX - VALUE_EPOCH_SHIFT_US), NULL},
        {TYPE_TIMESTAMP, 0, 0, num(INT64_C(9223371331199999999)), NULL},
        {TYPE_TIMESTAMP, 0, 0, num(INT64_MIN + 1), "290279-12-22 (BC) 19:59:05.224193"},
        {TYPE_TIMESTAMPTZ, 0, 0, num(-1), "1999-12-31 23:59:59.999999+00"},
        {TYPE_TIMESTAMPTZ, 0, 0, num(VALUE_TIMESTAMP_INFINITY), "infinity"},
        {TYPE_TIMESTAMPTZ, 0, 0, num(VALUE_TIMESTAMP_MINUS_INFINITY), "-infinity"},
        {TYPE_TIMESTAMPTZ, 0, 0, num(INT64_MAX - 1 - VALUE_EPOCH_SHIFT_US),
         "294247-01-10 04:00:54.775806+00"},
        {TYPE_INTERVAL, 0, 0, str("1 year 2 mons -3 days -04:05:06.5"),
         "1 year 2 months -3 days -04:05:06.5"},
        {TYPE_INTERVAL, 0, 0, str("00:00:00"), "00:00:00"},
        {TYPE_INTERVAL, 0, 0, str("infinity"), NULL},
        {TYPE_UUID, 0, 0, str("00000000-0000-0000-0000-000000000000"),
         "00000000-0000-0000-0000-000000000000"},
        {TYPE_UUID, 0, 0, str("ffeeddcc-bbaa-9988-7766-554433221100"),
         "ffeeddcc-bbaa-9988-7766-554433221100"},
        {TYPE_UUID, 0, 0, str("ffeeddcc-bbaa-9988-7766-5544332211zz"), NULL},
        {TYPE_JSON, 0, 0, str("{\"a\": 1e400,  \"a\":[null]}"), "{\"a\": 1e400,  \"a\":[null]}"},
        {TYPE_JSON, 0, 0, str("null"), "null"},
        {TYPE_ENUM, 0, 0, str("happy"), "happy"},
        {TYPE_BITS, 5, 0, str("01011"), "01011"},
    };
    const struct sample null = {TYPE_INT32, 0, 0, {.state = VALUE_NULL}, "NULL"};
    int i;

    for (i = 0; i < LEN(samples); i++)
        check_sample(*state, &samples[i]);
    check_sample(*state, &null);
}

/* The value that DuckDB itself makes of a text is the one that was appended. */
static void test_same_as_literal(void **state)
{
    static const struct {
        struct sample s;
        const char *literal;
    } pairs[] = {
        {{TYPE_UUID,
          0,
          0,
          {.state = VALUE_SET, .s = {"12345678-9abc-def0-1122-334455667788", 36}},
          NULL},
         "'12345678-9abc-def0-1122-334455667788'::UUID"},
        {{TYPE_TIMESTAMPTZ, 0, 0, {.state = VALUE_SET, .i = 86400000001}, NULL},
         "'2000-01-02 00:00:00.000001+00'::TIMESTAMPTZ"},
        {{TYPE_DATE, 0, 0, {.state = VALUE_SET, .i = VALUE_DATE_MINUS_INFINITY}, NULL},
         "'-infinity'::DATE"},
        {{TYPE_TIMESTAMP, 0, 0, {.state = VALUE_SET, .i = VALUE_TIMESTAMP_MINUS_INFINITY}, NULL},
         "'-infinity'::TIMESTAMP"},
        {{TYPE_DECIMAL,
          30,
          5,
          {.state = VALUE_SET, .s = {"-18446744073709551617.00001", 27}},
          NULL},
         "(-18446744073709551617.00001)::DECIMAL(30,5)"},
        {{TYPE_INTERVAL, 0, 0, {.state = VALUE_SET, .s = {"-1 days +02:03:00", 17}}, NULL},
         "INTERVAL '-1 days 02:03:00'"},
    };
    struct fixture *f = *state;
    char sql[256];
    int i;

    for (i = 0; i < LEN(pairs); i++) {
        assert_true(append_one(f, &pairs[i].s, OVERFLOW_STOP, NULL));
        snprintf(sql, sizeof(sql), "SELECT x = %s FROM main.v", pairs[i].literal);
        answers(f, sql, "true");
    }
}

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
    assert_int_equal(f->err.kind, ERROR_FATAL);
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
    exec_fails(f, "SELECT * FROM missing", ERROR_FATAL);
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

/* --- the dialect --- */

static void same(struct fixture *f, enum type_kind kind, const char *type, const char *x,
                 const char *y, bool want)
{
    struct column c = {.name = "x", .kind = kind};
    struct buf b = {0};

    buf_puts(&b, "SELECT ");
    ops->dialect->same_text(&b, &c, "x");
    buf_puts(&b, " = ");
    ops->dialect->same_text(&b, &c, "y");
    buf_printf(&b, " FROM (SELECT CAST(%s AS %s) AS x, CAST(%s AS %s) AS y)", x, type, y, type);
    answers(f, buf_cstr(&b), want ? "true" : "false");
    buf_free(&b);
}

static void test_same_text(void **state)
{
    struct fixture *f = *state;

    same(f, TYPE_INT32, "INTEGER", "NULL", "NULL", true);
    same(f, TYPE_INT32, "INTEGER", "NULL", "0", false);
    same(f, TYPE_TEXT, "VARCHAR", "NULL", "'n'", false);
    same(f, TYPE_TEXT, "VARCHAR", "''", "NULL", false);
    same(f, TYPE_FLOAT64, "DOUBLE", "-(0.0::DOUBLE)", "0.0", false);
    same(f, TYPE_FLOAT64, "DOUBLE", "'nan'", "'nan'", true);
    same(f, TYPE_FLOAT64, "DOUBLE", "0.1", "0.10000000000000002", false);
    same(f, TYPE_FLOAT32, "FLOAT", "16777216", "16777218", false);
    same(f, TYPE_BYTES, "BLOB", "'\\x00'::BLOB", "'\\x5Cx00'::BLOB", false);
    same(f, TYPE_BYTES, "BLOB", "'\\x00\\xFF'::BLOB", "'\\x00\\xFF'::BLOB", true);
    same(f, TYPE_INTERVAL, "INTERVAL", "INTERVAL '1 month'", "INTERVAL '30 days'", false);
    same(f, TYPE_INTERVAL, "INTERVAL", "INTERVAL '1 day'", "INTERVAL '24 hours'", false);
    same(f, TYPE_JSON, "JSON", "'{\"a\": 1}'", "'{\"a\":1}'", false);
    same(f, TYPE_DATE, "DATE", "'infinity'", "'-infinity'", false);
    same(f, TYPE_TIMESTAMPTZ, "TIMESTAMPTZ", "'infinity'", "'-infinity'", false);
    same(f, TYPE_TIMESTAMPTZ, "TIMESTAMPTZ", "'infinity'", "NULL", false);
    same(f, TYPE_TIMESTAMPTZ, "TIMESTAMPTZ", "'2020-01-01 00:00:00+00'", "'2020-01-01 01:00:00+01'",
         true);
    same(f, TYPE_TIMESTAMPTZ, "TIMESTAMPTZ", "'294200-01-01 00:00:00.000001+00'",
         "'294200-01-01 00:00:00.001001+00'", false);
}

static void test_column_types(void **state)
{
    struct fixture *f = *state;
    const char *note;
    int k;

    for (k = 0; k < TYPE_COUNT; k++) {
        struct column c = {.name = "x", .kind = (enum type_kind)k, .precision = 38, .scale = 38};
        struct load_column lc = {.name = "x"};

        ops->dialect->column(f->a, &c, &lc, &note);
        assert_non_null(lc.type);
        assert_false(lc.as_text);
        c.precision = 39;
        if (k == TYPE_DECIMAL) {
            assert_string_equal(lc.type, "DECIMAL(38,38)");
            ops->dialect->column(f->a, &c, &lc, &note);
            assert_string_equal(lc.type, "VARCHAR");
            assert_non_null(note);
        }
    }
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
    if (!ops->maintain(f->s, true, &f->err)) /* gives way to the open transaction */
        fail_msg("maintain: %s", f->err.message);
    assert_true(exists(f->file, ".wal"));
    assert_true(ops->commit(other, &f->err));
    ops->disconnect(other);
    f->w->postponed_ms = 0;
    assert_true(ops->maintain(f->s, true, &f->err));
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
    f->w->wal_since_ms = clock_mono_ms() - 60000;
    if (!ops->maintain(f->s, true, &f->err))
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
    exec_fails(f, "SELECT 1", ERROR_RETRY);
    assert_non_null(strstr(f->err.hint, "opened again"));
    ops->rollback(f->s);
    exec_fails(f, "INSERT INTO t VALUES (2)", ERROR_RETRY);
    shut(f);
    reopen(f);
    answers(f, "SELECT i FROM t", "1");
    log_set_level(LOG_INFO);
}

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

/* Another process: fork before DuckDB has threads in it is not possible here, so exec a shell
 * that only takes the record lock as DuckDB does. */
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
    assert_true(ops->check(f->w, &found, &f->err));
    assert_int_equal(found.stops, 0);
    findings_free(&found);
}

/* A directory for temporary files gets one of its own inside; a killed run's files go. */
static void test_temp_directory(void **state)
{
    struct fixture *f = *state;
    char url[128], left[256];
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

    shut(f);
    config_free(f->cfg);
    snprintf(url, sizeof(url), "duckdb:%s", f->file);
    f->cfg = make_config(url, "duckdb.temp.directory", f->dir);
    reopen(f);
    snprintf(left, sizeof(left), "%s/duckdb_temp_storage-0.tmp", f->w->temp_directory);
    assert_int_equal(strncmp(left, f->dir, strlen(f->dir)), 0);
    mkdir(f->w->temp_directory, 0700);
    shut(f);
    reopen(f);
    mkdir(f->w->temp_directory, 0700);
    write_file(left, "x", 1);
    assert_int_equal(utimensat(AT_FDCWD, left, old, 0), 0);
    shut(f);
    if (access(left, F_OK) != 0) { /* DuckDB emptied the directory itself */
        left[strlen(f->dir) + 1] = '\0';
    }
    reopen(f);
    assert_false(strlen(left) > strlen(f->dir) + 1 && access(left, F_OK) == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_values),
        TEST(test_same_as_literal),
        TEST(test_many_rows),
        TEST(test_large_strings),
        TEST(test_append_abort),
        TEST(test_append_to_other_table),
        TEST(test_query_text),
        TEST(test_affected),
        TEST(test_commit_after_failure),
        TEST(test_conflict),
        TEST(test_altered_after_rows),
        TEST(test_errors_hold_no_values),
        TEST(test_cancel),
        TEST(test_same_text),
        TEST(test_column_types),
        TEST(test_clean_stop),
        TEST(test_maintain),
        TEST(test_vacuum),
        TEST(test_fatal_error),
        TEST(test_open_refused),
        TEST(test_newer_storage),
        TEST(test_open_twice),
        TEST(test_locked),
        TEST(test_no_home),
        TEST(test_check_and_identity),
        TEST(test_temp_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
