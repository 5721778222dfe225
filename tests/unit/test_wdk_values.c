/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DuckDB loader and dialect against the real library: every kind of value with its nastiest
 * members is held exactly or refused, and rows without a key are told apart.
 */
#include "wdk_fixture.h"

#include <math.h>

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
        {TYPE_FLOAT32, 0, 0, dbl(-0.0), "0.0"},
        {TYPE_FLOAT32, 0, 0, dbl(NAN), "nan"},
        {TYPE_FLOAT32, 0, 0, dbl(1e300), NULL},
        {TYPE_FLOAT64, 0, 0, dbl(0.1), "0.1"},
        {TYPE_FLOAT64, 0, 0, dbl(-0.0), "0.0"},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_values),
        TEST(test_same_as_literal),
        TEST(test_same_text),
        TEST(test_column_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
