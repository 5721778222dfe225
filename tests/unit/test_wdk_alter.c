/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alterations on DuckDB: the default that older rows get is, for every kind of column and to the
 * last bit, the value that the appender writes; no default stays; what a type cannot hold fails;
 * widened columns hold the text that the source prints.
 */
#include "wdk_fixture.h"

#include <float.h>
#include <math.h>

#include "load/alter.h"
#include "load_cases.h"

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
#define MAX_VALUES 10

static const struct sample {
    enum type_kind kind;
    int precision, scale;
    struct value v[MAX_VALUES]; /* ended by VALUE_NULL */
} samples[] = {
    {TYPE_BOOL, 0, 0, {INT(0), INT(1)}},
    {TYPE_INT16, 0, 0, {INT(0), INT(-1), INT(INT16_MAX), INT(INT16_MIN)}},
    {TYPE_INT32, 0, 0, {INT(0), INT(-1), INT(INT32_MAX), INT(INT32_MIN)}},
    {TYPE_INT64, 0, 0, {INT(0), INT(-1), INT(INT64_MAX), INT(INT64_MIN)}},
    {TYPE_FLOAT32,
     0,
     0,
     {DBL(0.1f), DBL(NAN), DBL(INFINITY), DBL(-INFINITY), DBL(-0.0), DBL(FLT_MAX),
      DBL(1.401298464324817e-45), DBL(16777217.0f), DBL(FLT_MIN)}},
    {TYPE_FLOAT64,
     0,
     0,
     {DBL(0.1), DBL(NAN), DBL(-INFINITY), DBL(5e-324), DBL(-0.0), DBL(DBL_MAX), DBL(1.0 / 3),
      DBL(9007199254740993.0)}},
    {TYPE_DECIMAL, 9, 2, {STR("0.00"), STR("-0.01"), STR("9999999.99"), STR("-9999999.99")}},
    {TYPE_DECIMAL,
     38,
     10,
     {STR("9999999999999999999999999999.9999999999"),
      STR("-9999999999999999999999999999.9999999999"), STR("0.0000000001")}},
    {TYPE_DECIMAL, 50, 2, {STR("0.00"), STR("NaN")}},
    {TYPE_NUMERIC, 0, 0, {STR("0"), STR("0.00"), STR("NaN"), STR("-Infinity")}},
    {TYPE_TEXT,
     0,
     0,
     {STR(""), STR("'"), STR("''\\'' \\x41"), STR("\xc3\xa4 \"q\"\r\n\t\x01"), STR("NULL"),
      STR("\xf0\x9f\x90\x98")}},
    {TYPE_BYTES, 0, 0, {STR(""), STR("\0"), STR("\\x00'"), STR("\xff\xfe\x00\x41")}},
    {TYPE_DATE,
     0,
     0,
     {INT(0), INT(-1), INT(VALUE_DATE_INFINITY), INT(VALUE_DATE_MINUS_INFINITY), INT(-719162),
      INT(-719163), INT(-2440588), INT(2145042905), INT(2932897)}},
    {TYPE_TIME, 0, 0, {INT(0), INT(1), INT(86399999999), INT(86400000000), INT(3600000000)}},
    {TYPE_TIMESTAMP,
     0,
     0,
     {INT(0), INT(-1), INT(VALUE_TIMESTAMP_INFINITY), INT(VALUE_TIMESTAMP_MINUS_INFINITY),
      INT(-211813488000000000), INT(INT64_C(8276687160000000000)),
      INT(INT64_C(9222413000000000001)), INT(-INT64_C(63082281600000001)),
      INT(INT64_MAX - VALUE_EPOCH_SHIFT_US - 1)}},
    {TYPE_TIMESTAMPTZ,
     0,
     0,
     {INT(0), INT(-1), INT(VALUE_TIMESTAMP_INFINITY), INT(VALUE_TIMESTAMP_MINUS_INFINITY),
      INT(-211813488000000000), INT(INT64_C(9222413000000000001)),
      INT(INT64_C(9222413000000001001)), INT(-INT64_C(63082281600000001)),
      INT(INT64_MAX - VALUE_EPOCH_SHIFT_US - 1)}},
    {TYPE_INTERVAL,
     0,
     0,
     {STR("00:00:00"), STR("1 mon"), STR("30 days"), STR("-00:00:00.000001"),
      STR("1 year 2 mons -3 days +04:05:06.789"), STR("-178000000 years 2147483647 days"),
      STR("2562047788:00:54.775807"), STR("-2562047788:00:54.775808")}},
    {TYPE_UUID,
     0,
     0,
     {STR("00000000-0000-0000-0000-000000000000"), STR("ffffffff-ffff-ffff-ffff-ffffffffffff"),
      STR("80000000-0000-0000-0000-000000000000"), STR("7fffffff-ffff-ffff-ffff-ffffffffffff")}},
    {TYPE_JSON, 0, 0, {STR("null"), STR("{\"a\": 1}"), STR("[1e400, \"it's\"]"), STR("\"\"")}},
    {TYPE_ENUM, 0, 0, {STR("a"), STR(""), STR("it's")}},
    {TYPE_BITS, 4, 0, {STR("0101"), STR("0000")}},
};

static const struct case_column only_id[] = {{"id", TYPE_INT64, "bigint", 1, 0, 0}, {0}};

struct altered {
    struct target *was, *now;
    struct alteration al;
};

/* "Tab le" with one column id, to which a column C of that kind is added with that value. */
static void prepare(struct fixture *f, const struct sample *s, const struct value *fill,
                    struct altered *out)
{
    static const int from[2] = {0, -1};
    const struct case_column cols[] = {
        only_id[0], {"C", s->kind, "", 0, s->precision, s->scale}, {0}};
    struct table *was = case_table(f->a, "s", "Tab le", only_id);
    struct table *now = case_table(f->a, "s", "Tab le", cols);
    struct value *fills = arena_calloc(f->a, 2, sizeof(*fills));
    struct buf sql = {0};

    fills[1] = *fill;
    out->al = (struct alteration){was, now, from, fills};
    if (!target_new(f->a, was, ops->dialect, "s", "Tab le", &out->was, &f->err) ||
        !target_alter(f->a, out->was, now, &out->al, &out->now, &f->err))
        fail_msg("%s", f->err.message);
    exec(f, "CREATE SCHEMA IF NOT EXISTS s");
    exec(f, "DROP TABLE IF EXISTS s.\"Tab le\"");
    target_sql_create(&sql, out->was, "s", "Tab le");
    exec(f, buf_cstr(&sql));
    exec(f, "INSERT INTO s.\"Tab le\" (id) SELECT i FROM range(1, 3000) r(i)");
    buf_free(&sql);
}

static bool alter(struct fixture *f, const struct altered *t)
{
    const char **list;
    int n, i;

    sql_alter(f->a, t->was, t->now, &t->al, &list, &n);
    assert_int_equal(n, 2);
    for (i = 0; i < n; i++) {
        if (!ops->exec(f->s, list[i], NULL, &f->err))
            return false;
    }
    return true;
}

/* A row 5000 with the value as the appender writes it. */
static void append(struct fixture *f, const struct altered *t, const struct value *v)
{
    const struct load_column cols[] = {t->now->cols[0], t->now->cols[2], t->now->cols[3],
                                       t->now->cols[1]};
    struct value row[4] = {num(5000), num(1), num(1), *v};
    struct appender *ap = NULL;
    int64_t nulled = -1;

    if (!ops->append_open(f->s, "s", "Tab le", false, cols, 4, OVERFLOW_STOP, &ap, &f->err) ||
        !ops->append_row(ap, row, &f->err) || !ops->append_close(ap, &nulled, &f->err))
        fail_msg("%s", f->err.message);
}

static void same_values(struct fixture *f, const struct sample *s, const struct altered *t)
{
    struct buf sql = {0};

    buf_puts(&sql,
             "SELECT count(*) FROM s.\"Tab le\" AS a, s.\"Tab le\" AS b WHERE a.id < 5000 AND "
             "b.id = 5000 AND a.\"C\" = b.\"C\" AND ");
    ops->dialect->same_text(&sql, &t->al.now->cols[1], "a.\"C\"");
    buf_puts(&sql, " = ");
    ops->dialect->same_text(&sql, &t->al.now->cols[1], "b.\"C\"");
    if (strcmp(answer(f, buf_cstr(&sql)), "2999") != 0)
        fail_msg("%s, value %d: %s is not %s", type_kind_name(s->kind),
                 (int)(&t->al.fill[1] - t->al.fill),
                 answer(f, "SELECT CAST(\"C\" AS VARCHAR) FROM s.\"Tab le\" WHERE id = 1"),
                 answer(f, "SELECT CAST(\"C\" AS VARCHAR) FROM s.\"Tab le\" WHERE id = 5000"));
    buf_free(&sql);
}

static void test_defaults(void **state)
{
    struct fixture *f = *state;
    struct altered t;
    int i, k;

    for (i = 0; i < LEN(samples); i++) {
        const struct sample *s = &samples[i];

        for (k = 0; k < MAX_VALUES && s->v[k].state == VALUE_SET; k++) {
            const char *why;

            prepare(f, s, &s->v[k], &t);
            assert_int_equal(alter_misfit(t.now, &t.al, 0, &why), -1);
            assert_true(ops->begin(f->s, &f->err));
            if (!alter(f, &t))
                fail_msg("%s: %s", type_kind_name(s->kind), f->err.message);
            append(f, &t, &s->v[k]);
            assert_true(ops->commit(f->s, &f->err));
            same_values(f, s, &t);
            exec(f, "INSERT INTO s.\"Tab le\" (id) VALUES (6000)");
            answers(f, "SELECT \"C\" IS NULL FROM s.\"Tab le\" WHERE id = 6000", "true");
        }
        shut(f); /* the last of each kind, from the file */
        reopen(f);
        same_values(f, s, &t);
    }
    answers(f, "SELECT count(*) FROM information_schema.columns WHERE column_default IS NOT NULL",
            "0");
}

static void test_misfits(void **state)
{
    static const struct sample misfits[] = {
        {TYPE_DECIMAL,
         9,
         2,
         {STR("NaN"), STR("0.001"), STR("10000000"), STR("Infinity"), STR("secret")}},
        {TYPE_TIMESTAMP, 0, 0, {INT(INT64_MAX - 1), INT(INT64_MAX - VALUE_EPOCH_SHIFT_US)}},
        {TYPE_TIMESTAMPTZ, 0, 0, {INT(INT64_MAX - 1), INT(INT64_MAX - VALUE_EPOCH_SHIFT_US)}},
        {TYPE_DATE, 0, 0, {INT(INT64_C(-2147483649))}},
        {TYPE_TIME, 0, 0, {INT(-1), INT(86400000001)}},
        {TYPE_INTERVAL, 0, 0, {STR("infinity"), STR("1 eon")}},
        {TYPE_UUID, 0, 0, {STR("secret")}},
        {TYPE_TEXT, 0, 0, {STR("sec\0ret")}},
        {TYPE_FLOAT32, 0, 0, {DBL(1e39)}},
    };
    struct fixture *f = *state;
    struct altered t;
    int i, k;

    for (i = 0; i < LEN(misfits); i++) {
        for (k = 0; k < MAX_VALUES && misfits[i].v[k].state == VALUE_SET; k++) {
            const char *why;

            prepare(f, &misfits[i], &misfits[i].v[k], &t);
            assert_int_equal(alter_misfit(t.now, &t.al, 0, &why), 1);
            assert_non_null(why);
            assert_int_equal(alter_misfit(t.now, &t.al, 2, &why), -1);
            assert_true(ops->begin(f->s, &f->err));
            error_clear(&f->err);
            if (alter(f, &t))
                fail_msg("%s %d did not fail", type_kind_name(misfits[i].kind), k);
            assert_int_equal(f->err.kind, ERROR_DATA);
            assert_null(strstr(f->err.message, "secret"));
            ops->rollback(f->s);
            exec(f, "DELETE FROM s.\"Tab le\"");
            assert_false(alter(f, &t));
        }
    }
}

/* JSON that DuckDB does not take is not stored as something else. */
static void test_bad_json(void **state)
{
    static const struct sample json = {TYPE_JSON, 0, 0, {STR("{\"secret")}};
    struct fixture *f = *state;
    struct altered t;

    prepare(f, &json, &json.v[0], &t);
    assert_false(alter(f, &t));
    assert_int_equal(f->err.kind, ERROR_DATA);
    assert_null(strstr(f->err.message, "secret"));
}

static void widen(struct fixture *f, struct case_column from, struct case_column to,
                  const char *value, const char *want)
{
    static const int same[2] = {0, 1};
    struct value none[2] = {{0}};
    const struct case_column was[] = {only_id[0], from, {0}}, now[] = {only_id[0], to, {0}};
    struct table *t[2] = {case_table(f->a, "s", "w", was), case_table(f->a, "s", "w", now)};
    struct alteration al = {t[0], t[1], same, none};
    struct target *a, *b;
    struct buf sql = {0};
    const char **list;
    int n;

    exec(f, "CREATE SCHEMA IF NOT EXISTS s");
    exec(f, "DROP TABLE IF EXISTS s.w");
    if (!target_new(f->a, t[0], ops->dialect, "s", "w", &a, &f->err) ||
        !target_alter(f->a, a, t[1], &al, &b, &f->err))
        fail_msg("%s", f->err.message);
    target_sql_create(&sql, a, "s", "w");
    exec(f, buf_cstr(&sql));
    exec(f, arena_printf(f->a, "INSERT INTO s.w (id, v) VALUES (1, '%s'), (2, NULL)", value));
    sql_alter(f->a, a, b, &al, &list, &n);
    assert_int_equal(n, strcmp(a->cols[1].type, b->cols[1].type) != 0);
    if (n > 0)
        exec(f, list[0]);
    answers(f, "SELECT CAST(v AS VARCHAR) FROM s.w ORDER BY id", want);
    answers(f,
            "SELECT data_type FROM information_schema.columns WHERE table_name = 'w' AND "
            "column_name = 'v'",
            b->cols[1].type);
    buf_free(&sql);
}

static void test_widened(void **state)
{
    static const struct {
        int precision, scale;
        const char *value;
    } cases[] = {
        {10, 2, "-1.50"},     {10, 2, "0.00"},          {10, 2, "99999999.99"}, {10, 2, "-0.01"},
        {2, 2, "0.05"},       {2, 2, "-0.99"},          {5, 0, "12345"},        {5, 0, "0"},
        {18, 6, "-0.000001"}, {18, 6, "123456789.100"}, {38, 38, "0.1"},        {38, 0, "-9"},
        {4, 3, "0.100"},
    };
    struct fixture *f = *state;
    int i;

    for (i = 0; i < LEN(cases); i++) {
        int p = cases[i].precision, s = cases[i].scale;
        struct case_column d = {"v", TYPE_DECIMAL, "numeric(p,s)", 0, p, s};
        struct case_column wider = {"v", TYPE_DECIMAL, "numeric(p,s)", 0, p + 1, s};
        struct case_column widest = {"v", TYPE_DECIMAL, "numeric(p,s)", 0, 40, s};
        struct case_column any = {"v", TYPE_NUMERIC, "numeric", 0, 0, 0};
        const char *v = cases[i].value, *dot = strchr(v, '.');
        /* numeric(p,s) prints all its decimal places, and as numeric goes on doing so */
        const char *want =
            arena_printf(f->a, "%s%.*s;NULL", v, s - (dot != NULL ? (int)strlen(dot + 1) : 0),
                         "00000000000000000000000000000000000000");

        if (p < 38)
            widen(f, d, wider, v, want);
        widen(f, d, widest, v, want);
        widen(f, d, any, v, want);
    }
    widen(f, (struct case_column){"v", TYPE_TEXT, "character varying(3)", 0, 0, 0},
          (struct case_column){"v", TYPE_TEXT, "text", 0, 0, 0}, "abc", "abc;NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_misfits),
        TEST(test_bad_json),
        TEST(test_widened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
