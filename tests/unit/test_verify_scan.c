/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables read back: DuckDB's own literals as the source prints them (nothing here is written by the
 * loader), a view that does not move, a cancel in the middle; Postgres' binary forms.
 */
#include "wdk_fixture.h"

#include "load/text.h"
#include "warehouse_postgres/wpg_decode.h"

/* --- DuckDB --- */

struct read {
    const char *sql; /* an expression of the column's type */
    enum type_kind kind;
    const char *text; /* as the source prints it; NULL: NULL */
};

static const struct read reads[] = {
    {"true", TYPE_BOOL, "t"},
    {"(-32768)::SMALLINT", TYPE_INT16, "-32768"},
    {"7::INTEGER", TYPE_INT16, "7"},
    {"(-9223372036854775808)::BIGINT", TYPE_INT64, "-9223372036854775808"},
    {"1e-45::FLOAT", TYPE_FLOAT32, "1e-45"},
    {"'nan'::DOUBLE", TYPE_FLOAT64, "NaN"},
    {"0.05::DECIMAL(2,2)", TYPE_DECIMAL, "0.05"},
    {"(-0.05)::DECIMAL(2,2)", TYPE_DECIMAL, "-0.05"},
    {"0::DECIMAL(9,3)", TYPE_DECIMAL, "0.000"},
    {"0::DECIMAL(4,0)", TYPE_DECIMAL, "0"},
    {"(-1234.50)::DECIMAL(18,2)", TYPE_DECIMAL, "-1234.50"},
    {"(-99999999999999999999999999999999999999)::DECIMAL(38,0)", TYPE_DECIMAL,
     "-99999999999999999999999999999999999999"},
    {"'1.500'", TYPE_NUMERIC, "1.500"},
    {"''", TYPE_TEXT, ""},
    {"'a' || chr(10)", TYPE_TEXT, "a\n"},
    {"NULL::VARCHAR", TYPE_TEXT, NULL},
    {"'\\x00\\xFF'::BLOB", TYPE_BYTES, "\\x00ff"},
    {"DATE '0044-03-15 (BC)'", TYPE_DATE, "0044-03-15 BC"},
    {"'infinity'::DATE", TYPE_DATE, "infinity"},
    {"'-infinity'::DATE", TYPE_DATE, "-infinity"},
    {"TIME '24:00:00'", TYPE_TIME, "24:00:00"},
    {"TIMESTAMP '1969-12-31 23:59:59.999999'", TYPE_TIMESTAMP, "1969-12-31 23:59:59.999999"},
    {"'-infinity'::TIMESTAMP", TYPE_TIMESTAMP, "-infinity"},
    {"'infinity'::TIMESTAMPTZ", TYPE_TIMESTAMPTZ, "infinity"},
    {"'2024-06-01 12:00:00+05:30'::TIMESTAMPTZ", TYPE_TIMESTAMPTZ, "2024-06-01 06:30:00+00"},
    {"'80000000-0000-0000-0000-000000000001'::UUID", TYPE_UUID,
     "80000000-0000-0000-0000-000000000001"},
    {"'00ff0000-0102-0304-0506-0708090a0b0c'::UUID", TYPE_UUID,
     "00ff0000-0102-0304-0506-0708090a0b0c"},
    {"INTERVAL 0 SECOND", TYPE_INTERVAL, "00:00:00"},
    {"INTERVAL (-14) MONTH", TYPE_INTERVAL, "-1 years -2 mons"},
    {"to_months(-1) + to_days(1) + to_microseconds(-1500000)", TYPE_INTERVAL,
     "-1 mons +1 day -00:00:01.5"},
    {"to_days(-1) + to_microseconds(3600000001)", TYPE_INTERVAL, "-1 days +01:00:00.000001"},
    {"to_months(12) + to_microseconds(-9223372036854775808)", TYPE_INTERVAL,
     "1 year -2562047788:00:54.775808"},
};

struct seen {
    struct fixture *f;
    enum type_kind kind;
    struct buf text;
    bool null;
    int rows, cancel_at;
};

static bool on_row(void *ctx, const struct value *values, struct error *err)
{
    struct seen *s = ctx;

    (void)err;
    s->rows++;
    if (s->rows == s->cancel_at)
        ops->cancel(s->f->s);
    s->null = values[0].state == VALUE_NULL;
    buf_reset(&s->text);
    if (!s->null)
        value_to_text(&s->text, s->kind, &values[0]);
    return true;
}

static bool scan(struct fixture *f, const char *table, enum type_kind kind, struct seen *s)
{
    struct load_column c = {.name = "x", .type = "?", .kind = kind};

    s->f = f;
    s->kind = kind;
    error_clear(&f->err);
    return ops->scan(f->s, "main", table, &c, 1, on_row, s, &f->err);
}

static void test_duckdb_values(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    char sql[300];
    int i;

    for (i = 0; i < LEN(reads); i++) {
        snprintf(sql, sizeof(sql), "CREATE OR REPLACE TABLE main.v AS SELECT %s AS x",
                 reads[i].sql);
        exec(f, sql);
        s.rows = 0;
        if (!scan(f, "v", reads[i].kind, &s))
            fail_msg("%s: %s", reads[i].sql, f->err.message);
        assert_int_equal(s.rows, 1);
        assert_int_equal(s.null, reads[i].text == NULL);
        if (!s.null)
            assert_string_equal(buf_cstr(&s.text), reads[i].text);
    }
    exec(f, "CREATE OR REPLACE TABLE main.v AS SELECT 1::HUGEINT AS x");
    assert_false(scan(f, "v", TYPE_INT64, &s));
    assert_int_equal(f->err.kind, ERROR_DATA);
    assert_non_null(strstr(f->err.message, "\"x\""));
    assert_false(scan(f, "v", TYPE_TEXT, &s));
    buf_free(&s.text);
}

/* Another session's view: what is committed later is not in it, as often as it is read. */
static void test_duckdb_view(void **state)
{
    struct fixture *f = *state;
    struct session *writer = f->s, *view;
    struct seen s = {0};
    int i;

    exec(f, "CREATE SCHEMA IF NOT EXISTS penstock");
    exec(f, "CREATE TABLE penstock.checkpoints (x INT)");
    exec(f, "CREATE TABLE main.t AS SELECT range::INT AS x FROM range(5000)");
    assert_true(ops->connect(f->w, "verify", &view, &f->err));
    assert_true(ops->view(view, &f->err));
    for (i = 0; i < 3; i++) {
        f->s = writer;
        exec(f, "DELETE FROM main.t WHERE x % 2 = 0");
        exec(f, "INSERT INTO main.t SELECT 1");
        f->s = view;
        s.rows = 0;
        assert_true(scan(f, "t", TYPE_INT32, &s));
        assert_int_equal(s.rows, 5000);
    }
    s.rows = 0;
    s.cancel_at = 10;
    assert_false(scan(f, "t", TYPE_INT32, &s));
    assert_int_equal(f->err.kind, ERROR_RETRY);
    assert_true(s.rows < 5000);
    f->s = writer;
    ops->disconnect(view);
    exec(f, "CHECKPOINT"); /* nothing is in its way any more */
    buf_free(&s.text);
}

/* --- Postgres --- */

static void decodes(enum type_kind kind, unsigned oid, const char *bytes, size_t len,
                    const char *text)
{
    struct arena *a = arena_new("test");
    enum wpg_form form = wpg_scan_form(kind, oid);
    struct buf out = {0};
    struct value v = {0};

    assert_int_not_equal(form, WPG_FORM_NONE);
    if (!wpg_decode(kind, oid, form, bytes, len, a, &v)) {
        assert_null(text);
    } else {
        assert_non_null(text);
        value_to_text(&out, kind, &v);
        assert_string_equal(buf_cstr(&out), text);
    }
    buf_free(&out);
    arena_free(a);
}

#define DECODES(kind, oid, bytes, text) decodes(kind, oid, bytes, sizeof(bytes) - 1, text)

static void test_postgres_values(void **state)
{
    (void)state;
    DECODES(TYPE_BOOL, 16, "\1", "t");
    DECODES(TYPE_BOOL, 1560, "\0\0\0\1\x80", "t");
    DECODES(TYPE_BOOL, 1560, "\0\0\0\1\0", "f");
    DECODES(TYPE_INT16, 21, "\x80\0", "-32768");
    DECODES(TYPE_INT64, 26, "\xff\xff\xff\xff", "4294967295");
    DECODES(TYPE_INT64, 20, "\xff\xff\xff\xff\xff\xff\xff\xfe", "-2");
    DECODES(TYPE_INT64, 20, "\xff", NULL);
    DECODES(TYPE_INT64, 1700, "-9223372036854775808", "-9223372036854775808");
    DECODES(TYPE_FLOAT32, 700, "\x3d\xcc\xcc\xcd", "0.1");
    DECODES(TYPE_FLOAT64, 701, "\x80\0\0\0\0\0\0\0", "-0");
    DECODES(TYPE_DATE, 1082, "\x7f\xff\xff\xff", "infinity");
    DECODES(TYPE_DATE, 1082, "\0\0\0\0", "2000-01-01");
    DECODES(TYPE_TIMESTAMP, 1114, "\xff\xff\xff\xff\xff\xff\xff\xff", "1999-12-31 23:59:59.999999");
    DECODES(TYPE_UUID, 2950, "\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xff",
            "00010203-0405-0607-0809-0a0b0c0d0eff");
    DECODES(TYPE_JSON, 3802, "\1{}", "{}");
    DECODES(TYPE_JSON, 3802, "\2{}", NULL);
    DECODES(TYPE_BYTES, 17, "\0\xff", "\\x00ff");
}

/* ndigits, weight, sign, dscale, digits */
static void test_postgres_numerics(void **state)
{
    (void)state;
    DECODES(TYPE_NUMERIC, 1700, "\0\0\0\0\0\0\0\0", "0");
    DECODES(TYPE_NUMERIC, 1700, "\0\0\0\0\0\0\0\3", "0.000");
    DECODES(TYPE_NUMERIC, 1700, "\0\1\0\0\0\0\0\2\0\1", "1.00");
    DECODES(TYPE_NUMERIC, 1700, "\0\2\0\0\x40\0\0\1\0\1\x13\x88", "-1.5");
    DECODES(TYPE_NUMERIC, 1700, "\0\1\0\1\0\0\0\0\0\x0c", "120000");
    DECODES(TYPE_NUMERIC, 1700, "\0\1\xff\xff\0\0\0\5\0\x0c", "0.00120");
    DECODES(TYPE_NUMERIC, 1700, "\0\1\xff\xfe\0\0\0\x8\0\x7", "0.00000007");
    DECODES(TYPE_NUMERIC, 1700, "\0\3\0\1\0\0\0\4\0\1\0\x2\0\x3", "10002.0003");
    DECODES(TYPE_NUMERIC, 1700, "\0\0\0\0\xc0\0\0\0", "NaN");
    DECODES(TYPE_NUMERIC, 1700, "\0\0\0\0\xf0\0\0\0", "-Infinity");
    DECODES(TYPE_NUMERIC, 1700, "\0\2\0\0\0\0\0\0\0\1", NULL);
    assert_int_equal(wpg_scan_form(TYPE_DECIMAL, 790), WPG_FORM_NUMERIC); /* money */
    assert_int_equal(wpg_scan_form(TYPE_TEXT, 869), WPG_FORM_TEXT);       /* inet */
    assert_int_equal(wpg_scan_form(TYPE_DATE, 25), WPG_FORM_NONE);
    assert_int_equal(wpg_scan_form(TYPE_INT32, 25), WPG_FORM_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_duckdb_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_duckdb_view, setup, teardown),
        cmocka_unit_test(test_postgres_values),
        cmocka_unit_test(test_postgres_numerics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
