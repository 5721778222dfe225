/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planned statements on DuckDB with every kind of column, as key and as data: NULLs, NaN, -0,
 * infinities and equal-looking texts must be found again by DELETE, and nothing else. (Random logs
 * of few kinds are in test_apply.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "config/file.h"
#include "load/sql.h"
#include "load_cases.h"
#include "warehouse_duckdb/warehouse_duckdb.h"

#define STAGE "stage"
#define SAMPLES 4 /* values of each kind, all different for DuckDB's = */

static const struct warehouse_ops *ops = &warehouse_duckdb_ops;

struct fixture {
    char dir[64];
    struct config *cfg;
    struct warehouse *w;
    struct session *s;
    struct arena *a;
    struct target *t;
    struct buf sql;
    struct error err;
};

#define INT(n)                       \
    {                                \
        .state = VALUE_SET, .i = (n) \
    }
#define DBL(n)                       \
    {                                \
        .state = VALUE_SET, .f = (n) \
    }
#define STR(x)                                         \
    {                                                  \
        .state = VALUE_SET, .s = {(x), sizeof(x) - 1 } \
    }

static const struct {
    enum type_kind kind;
    const char *name;
    struct value v[SAMPLES];
} kinds[] = {
    {TYPE_INT16, "Small \"int\"", {INT(0), INT(-1), INT(32767), INT(-32768)}},
    {TYPE_INT32, "select", {INT(0), INT(-1), INT(INT32_MAX), INT(INT32_MIN)}},
    {TYPE_INT64, "i8", {INT(0), INT(-1), INT(INT64_MAX), INT(INT64_MIN)}},
    {TYPE_FLOAT32, "f4", {DBL(0.1f), DBL(NAN), DBL(INFINITY), DBL(-0.0)}},
    {TYPE_FLOAT64, "f8", {DBL(0.1), DBL(NAN), DBL(-INFINITY), DBL(5e-324)}},
    {TYPE_DECIMAL, "d", {STR("0.00"), STR("-0.01"), STR("9999999.99"), STR("-9999999.99")}},
    {TYPE_NUMERIC, "n", {STR("0"), STR("0.0"), STR("NaN"), STR("-Infinity")}},
    {TYPE_TEXT, "t", {STR(""), STR("n"), STR("v"), STR("\xc3\xa4 'quoted'\n")}},
    {TYPE_BYTES, "b", {STR(""), STR("\0"), STR("\\x00"), STR("\xff\xfe")}},
    {TYPE_DATE, "da", {INT(0), INT(VALUE_DATE_INFINITY), INT(VALUE_DATE_MINUS_INFINITY), INT(-9)}},
    {TYPE_TIME, "ti", {INT(0), INT(1), INT(86399999999), INT(86400000000)}},
    {TYPE_TIMESTAMP,
     "ts",
     {INT(0), INT(VALUE_TIMESTAMP_INFINITY), INT(VALUE_TIMESTAMP_MINUS_INFINITY), INT(-1)}},
    {TYPE_TIMESTAMPTZ,
     "tz",
     {INT(INT64_C(9222413000000000001)), INT(VALUE_TIMESTAMP_INFINITY),
      INT(VALUE_TIMESTAMP_MINUS_INFINITY), INT(INT64_C(9222413000000001001))}},
    {TYPE_INTERVAL, "iv", {STR("00:00:00"), STR("1 mon"), STR("31 days"), STR("-00:00:00.000001")}},
    {TYPE_UUID,
     "u",
     {STR("00000000-0000-0000-0000-000000000000"), STR("ffffffff-ffff-ffff-ffff-ffffffffffff"),
      STR("80000000-0000-0000-0000-000000000000"), STR("7fffffff-ffff-ffff-ffff-ffffffffffff")}},
    {TYPE_JSON, "j", {STR("null"), STR("{\"a\": 1}"), STR("{\"a\":1}"), STR("[1e400]")}},
    {TYPE_ENUM, "e", {STR("a"), STR("b"), STR("A"), STR("")}},
    {TYPE_BITS, "bi", {STR("0101"), STR("1111"), STR("0000"), STR("1000")}},
    {TYPE_BOOL, "bo", {INT(0), INT(1), INT(1), INT(0)}},
};

#define KINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

static int setup(void **state)
{
    const struct setting *const settings[] = {config_sink_settings, ops->settings, NULL};
    struct fixture *f = calloc(1, sizeof(*f));
    char url[128];
    const char *pairs[] = {"connection.url", url, NULL};

    snprintf(f->dir, sizeof(f->dir), "/tmp/test_wdk_sql.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(url, sizeof(url), "duckdb:%s/wh.duckdb", f->dir);
    f->a = arena_new("test");
    if (!config_make(&f->cfg, "wh", settings, pairs, &f->err) ||
        !ops->open(&f->w, f->cfg, &f->err) || !ops->connect(f->w, "test", &f->s, &f->err))
        fail_msg("%s", f->err.message);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    ops->disconnect(f->s);
    ops->close(f->w);
    config_free(f->cfg);
    arena_free(f->a);
    buf_free(&f->sql);
    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    free(f);
    return system(command);
}

static int64_t run(struct fixture *f)
{
    int64_t n = -1;

    if (!ops->exec(f->s, buf_cstr(&f->sql), &n, &f->err))
        fail_msg("%s: %s", buf_cstr(&f->sql), f->err.message);
    buf_reset(&f->sql);
    return n;
}

static int64_t exec(struct fixture *f, const char *sql)
{
    buf_puts(&f->sql, sql);
    return run(f);
}

/* All kinds as data behind a key column `id` of one kind; key < 0: no key at all. */
static void make_target(struct fixture *f, int key)
{
    struct case_column *cols = arena_calloc(f->a, KINDS + 2, sizeof(*cols));
    struct table *t;
    int i;

    cols[0] =
        (struct case_column){"Id", key < 0 ? TYPE_INT32 : kinds[key].kind, "", key >= 0, 9, 2};
    for (i = 0; i < KINDS; i++)
        cols[i + 1] = (struct case_column){kinds[i].name, kinds[i].kind, "", 0, 9, 2};
    t = case_table(f->a, "sch ema", "Order", cols);
    if (!target_new(f->a, t, ops->dialect, t->schema, t->name, &f->t, &f->err))
        fail_msg("%s", f->err.message);
    exec(f, "CREATE SCHEMA IF NOT EXISTS \"sch ema\"");
    exec(f, "DROP TABLE IF EXISTS \"sch ema\".\"Order\"");
    target_sql_create(&f->sql, f->t, f->t->schema, f->t->name);
    run(f);
    exec(f, "DROP TABLE IF EXISTS temp.main." STAGE);
    sql_stage_create(&f->sql, f->t, STAGE);
    run(f);
}

struct staged {
    int op;
    const char *mask;
    struct value id;
    int sample; /* of all data columns; -1: NULL */
    int origin; /* sample of the key it had, -1: its own */
};

static void stage(struct fixture *f, int key, const struct staged *rows, int n)
{
    int nkeys = f->t->table->nkeys, ncols, i, c;
    struct load_column *cols = stage_columns(f->a, f->t, &ncols);
    struct value *row = arena_calloc(f->a, (size_t)ncols, sizeof(*row));
    struct appender *ap = NULL;
    int64_t nulled = -1;

    sql_stage_clear(&f->sql, f->t, STAGE);
    run(f);
    if (!ops->append_open(f->s, NULL, STAGE, true, cols, ncols, OVERFLOW_STOP, &ap, &f->err))
        fail_msg("%s", f->err.message);
    for (i = 0; i < n; i++) {
        memset(row, 0, (size_t)ncols * sizeof(*row));
        row[0] = (struct value)INT(rows[i].op);
        if (rows[i].mask != NULL)
            row[1] = (struct value){.state = VALUE_SET, .s = {rows[i].mask, strlen(rows[i].mask)}};
        if (nkeys > 0 && rows[i].origin >= 0)
            row[2] = kinds[key].v[rows[i].origin];
        row[2 + nkeys] = rows[i].id;
        for (c = 0; c < KINDS; c++) {
            if (rows[i].sample >= 0)
                row[3 + nkeys + c] = kinds[c].v[rows[i].sample];
        }
        row[ncols - 2] = (struct value)INT(100 + i);
        row[ncols - 1] = (struct value)INT(0);
        if (!ops->append_row(ap, row, &f->err))
            fail_msg("%s", f->err.message);
    }
    assert_true(ops->append_close(ap, &nulled, &f->err));
    assert_int_equal(nulled, 0);
}

static int64_t count(struct fixture *f, const char *where)
{
    struct rowset r;

    buf_printf(&f->sql, "SELECT count(*) FROM \"sch ema\".\"Order\" WHERE %s", where);
    if (!ops->query(f->s, f->a, buf_cstr(&f->sql), &r, &f->err))
        fail_msg("%s: %s", buf_cstr(&f->sql), f->err.message);
    buf_reset(&f->sql);
    return atoll(rowset_get(&r, 0, 0));
}

static void merge(struct fixture *f, int64_t deleted, int64_t inserted)
{
    sql_delete(&f->sql, f->t, STAGE);
    assert_int_equal(run(f), deleted);
    sql_upsert(&f->sql, f->t, STAGE);
    assert_int_equal(run(f), inserted);
}

/* Every kind as the key: each sample is found again, and only it. */
static void test_keys(void **state)
{
    struct fixture *f = *state;
    int key, i;

    for (key = 0; key < KINDS; key++) {
        int n = kinds[key].kind == TYPE_BOOL ? 2 : SAMPLES;
        struct staged rows[SAMPLES];

        make_target(f, key);
        for (i = 0; i < n; i++)
            rows[i] = (struct staged){1, NULL, kinds[key].v[i], i, -1};
        stage(f, key, rows, n);
        merge(f, 0, n);
        merge(f, n, n); /* the same again */
        rows[0].op = 0;
        rows[0].sample = -1;
        stage(f, key, rows, 2);
        merge(f, 2, 1);
        assert_int_equal(count(f, "true"), n - 1);
        assert_int_equal(count(f, "_penstock_csn = 101"), 1);
    }
}

/* Columns that the log did not carry, from the row's own key and from the one it had. */
static void test_resolve(void **state)
{
    struct fixture *f = *state;
    char mask[KINDS + 2];
    int key;

    memset(mask, '1', sizeof(mask));
    mask[0] = '0';
    mask[KINDS + 1] = '\0';
    for (key = 0; key < KINDS - 1; key++) {
        struct staged rows[3] = {{1, NULL, kinds[key].v[0], 3, -1},
                                 {1, NULL, kinds[key].v[1], -1, -1},
                                 {1, NULL, kinds[key].v[2], 2, -1}};

        make_target(f, key);
        stage(f, key, rows, 3);
        merge(f, 0, 3);
        /* row 0 keeps its key, row 1 takes the key 3; row 2 is only deleted */
        rows[0] = (struct staged){1, mask, kinds[key].v[0], -1, -1};
        rows[1] = (struct staged){1, mask, kinds[key].v[3], 0, 1};
        rows[2] = (struct staged){0, NULL, kinds[key].v[1], -1, -1};
        stage(f, key, rows, 3);
        sql_resolve(&f->sql, f->t, STAGE);
        assert_int_equal(run(f), 2);
        merge(f, 2, 2);
        assert_int_equal(count(f, "true"), 3);
        assert_int_equal(count(f, "t IS NULL AND _penstock_csn = 101"), 1);
        assert_int_equal(count(f, "t = '\xc3\xa4 ''quoted''\n' AND u = "
                                  "'7fffffff-ffff-ffff-ffff-ffffffffffff' AND iv = INTERVAL "
                                  "'-1 microsecond' AND b = '\\xFF\\xFE'::BLOB AND j = '[1e400]'"),
                         1);
    }
}

/* A multiset: as many copies go as are staged, of rows that are the same to the last bit. */
static void test_keyless(void **state)
{
    struct fixture *f = *state;
    const struct value one = INT(1), none = {.state = VALUE_NULL};
    struct staged rows[8] = {{1, NULL, one, 0, -1},   {1, NULL, one, 0, -1},
                             {1, NULL, one, 0, -1},   {1, NULL, one, 1, -1},
                             {1, NULL, none, -1, -1}, {1, NULL, none, -1, -1},
                             {1, NULL, one, 2, -1},   {1, NULL, one, 3, -1}};
    int i;

    make_target(f, -1);
    stage(f, -1, rows, 8);
    sql_upsert(&f->sql, f->t, STAGE);
    assert_int_equal(run(f), 8);
    /* two of the three copies, one of the two all NULL, the NaN row, and a row that is not there */
    rows[0] = rows[1] = (struct staged){0, NULL, one, 0, -1};
    rows[2] = (struct staged){0, NULL, none, -1, -1};
    rows[3] = (struct staged){0, NULL, one, 1, -1};
    rows[4] = (struct staged){0, NULL, none, 0, -1};
    rows[5] = (struct staged){1, NULL, one, 1, -1};
    stage(f, -1, rows, 6);
    sql_delete(&f->sql, f->t, STAGE);
    assert_int_equal(run(f), 4);
    sql_upsert(&f->sql, f->t, STAGE);
    assert_int_equal(run(f), 1);
    assert_int_equal(count(f, "true"), 5);
    assert_int_equal(count(f, "\"Id\" IS NULL"), 1);
    assert_int_equal(count(f, "i8 = 0"), 1);
    for (i = 0; i < 4; i++)
        rows[i] = (struct staged){0, NULL, i == 0 ? none : one, i - 1, -1};
    rows[4] = (struct staged){0, NULL, one, 3, -1};
    stage(f, -1, rows, 5);
    sql_delete(&f->sql, f->t, STAGE);
    assert_int_equal(run(f), 5);
    assert_int_equal(count(f, "true"), 0);
}

/* Values that DuckDB's = holds for the same, but a row with the other one is another row. */
static void test_keyless_tells_apart(void **state)
{
    struct fixture *f = *state;
    const struct value one = INT(1);
    struct staged row = {1, NULL, one, 0, -1};

    make_target(f, -1);
    stage(f, -1, &row, 1);
    sql_upsert(&f->sql, f->t, STAGE);
    assert_int_equal(run(f), 1);
    row.op = 0;
    stage(f, -1, &row, 1);
    exec(f, "UPDATE temp.main." STAGE " SET iv = INTERVAL '1 month'");
    exec(f, "UPDATE \"sch ema\".\"Order\" SET iv = INTERVAL '30 days'");
    sql_delete(&f->sql, f->t, STAGE);
    assert_int_equal(run(f), 0);
    exec(f, "UPDATE \"sch ema\".\"Order\" SET iv = INTERVAL '1 month', f8 = 0");
    exec(f, "UPDATE temp.main." STAGE " SET f8 = -(0::DOUBLE)");
    sql_delete(&f->sql, f->t, STAGE);
    assert_int_equal(run(f), 0);
    exec(f, "UPDATE \"sch ema\".\"Order\" SET f8 = -(0::DOUBLE)");
    sql_delete(&f->sql, f->t, STAGE);
    assert_int_equal(run(f), 1);
}

static void test_truncate_and_insert_all(void **state)
{
    struct fixture *f = *state;
    struct staged rows[2] = {{1, NULL, kinds[2].v[0], 0, -1}, {1, NULL, kinds[2].v[1], 1, -1}};

    make_target(f, 2);
    stage(f, 2, rows, 2);
    sql_insert_all(&f->sql, f->t, STAGE, f->t->schema, f->t->name);
    assert_int_equal(run(f), 2);
    sql_stage_analyze(&f->sql, f->t, STAGE);
    assert_int_equal(f->sql.len, 0);
    sql_truncate(&f->sql, f->t);
    assert_int_equal(run(f), 2);
    assert_int_equal(count(f, "true"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_keys),
        TEST(test_resolve),
        TEST(test_keyless),
        TEST(test_keyless_tells_apart),
        TEST(test_truncate_and_insert_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
