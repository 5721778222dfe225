/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Postgres warehouse without a server: binary encodings against bytes that a PostgreSQL 15
 * sent (SELECT x::TYPE through COPY TO ... FORMAT binary), types, dialect, SQLSTATEs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "load/text.h"
#include "util/mem.h"
#include "warehouse_postgres/wpg.h"
#include "warehouse_postgres/wpg_encode.h"

#include <float.h>
#include <math.h>
#include <string.h>

static struct value text(const char *s)
{
    return (struct value){.state = VALUE_SET, .s = {.p = s, .len = strlen(s)}};
}

static struct value number(int64_t i)
{
    return (struct value){.state = VALUE_SET, .i = i};
}

static struct value real(double f)
{
    return (struct value){.state = VALUE_SET, .f = f};
}

static void encodes_at(int version, const char *type, struct value v, const char *hex)
{
    struct wpg_type t;
    struct buf out = {0}, got = {0};
    const char *misfit;

    assert_true(wpg_type_parse(type, &t));
    misfit = wpg_encode(&out, &t, &v, version);
    if (misfit != NULL)
        fail_msg("%s: %s", type, misfit);
    for (size_t i = 0; i < out.len; i++)
        buf_printf(&got, "%02x", out.data[i]);
    assert_string_equal(buf_cstr(&got), hex);
    buf_free(&out);
    buf_free(&got);
}

static void encodes(const char *type, struct value v, const char *hex)
{
    encodes_at(150000, type, v, hex);
}

static void refuses_at(int version, const char *type, struct value v)
{
    struct wpg_type t;
    struct buf out = {0};

    assert_true(wpg_type_parse(type, &t));
    if (wpg_encode(&out, &t, &v, version) == NULL)
        fail_msg("%s: a value was accepted", type);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void refuses(const char *type, struct value v)
{
    refuses_at(150000, type, v);
}

static void test_numeric(void **state)
{
    (void)state;
    encodes("numeric", text("0"), "0000000000000000");
    encodes("numeric", text("0.00"), "0000000000000002");
    encodes("numeric", text("-0.0"), "0000000000000001");
    encodes("numeric", text("1"), "00010000000000000001");
    encodes("numeric", text("-12.30"), "0002000040000002000c0bb8");
    encodes("numeric", text("10000"), "00010001000000000001");
    encodes("numeric", text("12345.6789"), "0003000100000004000109291a85");
    encodes("numeric", text("0.0001"), "0001ffff000000040001");
    encodes("numeric", text("0.00001"), "0001fffe0000000503e8");
    encodes("numeric", text("00012.5"), "0002000000000001000c1388");
    encodes("numeric", text("NaN"), "00000000c0000000");
    encodes("numeric", text("Infinity"), "00000000d0000000");
    encodes("numeric", text("-Infinity"), "00000000f0000000");
    encodes("numeric", text("1e5"), "0001000100000000000a");
    encodes("numeric", text("1.5E-3"), "0001ffff00000004000f");
    encodes("numeric(5,-2)", text("12300"), "0002000100000000000108fc");
    encodes("numeric(10,2)", text("99999999.99"), "0003000100000002270f270f26ac");
}

static void test_numeric_limits(void **state)
{
    struct buf long_text = {0};

    (void)state;
    refuses("numeric", text(""));
    refuses("numeric", text("-"));
    refuses("numeric", text("."));
    refuses("numeric", text("1x"));
    refuses("numeric", text("1 "));
    refuses("numeric", text("1e"));
    refuses("numeric", text("1e999999999999"));
    refuses("numeric(10,2)", text("1.234"));
    refuses("numeric(10,2)", text("100000000"));
    refuses("numeric(10)", text("1.5"));
    refuses("numeric(5,-2)", text("12345"));
    refuses("numeric(5,2)", text("Infinity"));
    encodes("numeric(5,2)", text("NaN"), "00000000c0000000");
    encodes("numeric(10,2)", text("1.230"), "0002000000000003000108fc");
    encodes("numeric(3,5)", text("0.00123"), "0002ffff00000005000c0bb8");
    /* one decimal more than the server can keep */
    buf_puts(&long_text, "0.");
    for (int i = 0; i < 16383; i++)
        buf_u8(&long_text, '0');
    buf_u8(&long_text, '1');
    refuses("numeric", text(buf_cstr(&long_text)));
    buf_reset(&long_text);
    buf_u8(&long_text, '1');
    for (int i = 0; i < 131072; i++)
        buf_u8(&long_text, '0');
    refuses("numeric", text(buf_cstr(&long_text)));
    buf_free(&long_text);
}

static void test_integers(void **state)
{
    (void)state;
    encodes("boolean", number(1), "01");
    encodes("boolean", number(0), "00");
    encodes("smallint", number(-32768), "8000");
    refuses("smallint", number(32768));
    encodes("integer", number(INT32_MIN), "80000000");
    refuses("integer", number(INT64_C(2147483648)));
    encodes("bigint", number(INT64_MIN), "8000000000000000");
    encodes("oid", number(4294967295), "ffffffff");
    refuses("oid", number(-1));
    refuses("oid", number(4294967296));
}

static void test_floats(void **state)
{
    (void)state;
    encodes("real", real(1.5), "3fc00000");
    encodes("real", real(-0.0), "80000000");
    refuses("real", real(0.1));
    refuses("real", real(DBL_MAX));
    encodes("real", real(INFINITY), "7f800000");
    encodes("double precision", real(-0.0), "8000000000000000");
    encodes("double precision", real(1e-320), "00000000000007e8");
    encodes("double precision", real(-INFINITY), "fff0000000000000");
}

static void test_times(void **state)
{
    (void)state;
    encodes("date", number(0), "ffffd533");
    encodes("date", number(10957), "00000000");
    encodes("date", number(VALUE_DATE_INFINITY), "7fffffff");
    encodes("date", number(VALUE_DATE_MINUS_INFINITY), "80000000");
    encodes("date", number(-2440588), "ffda97a7"); /* 4714-11-24 BC */
    refuses("date", number(-2440589));
    refuses("date", number(2145042906));
    encodes("time without time zone", number(86400000000), "000000141dd76000");
    refuses("time without time zone", number(86400000001));
    refuses("time(3) without time zone", number(1));
    encodes("timestamp without time zone", number(INT64_MAX), "7fffffffffffffff");
    encodes("timestamp with time zone", number(INT64_MIN), "8000000000000000");
    encodes("timestamp(3) without time zone", number(1000), "00000000000003e8");
    refuses("timestamp(3) without time zone", number(1001));
    refuses("timestamp(0) with time zone", number(1));
    refuses("timestamp without time zone", number(INT64_MAX - 1));
    refuses("timestamp without time zone", number(-211813488000000001));
}

static void test_interval(void **state)
{
    (void)state;
    encodes("interval", text("1 mon -2 days 00:00:01.5"), "000000000016e360fffffffe00000001");
    encodes("interval", text("00:00:00"), "00000000000000000000000000000000");
    refuses("interval", text("infinity"));
    encodes_at(170000, "interval", text("infinity"), "7fffffffffffffff7fffffff7fffffff");
    encodes_at(170000, "interval", text("-infinity"), "80000000000000008000000080000000");
    refuses_at(170000, "interval", text("soon"));
    refuses("interval second(0)", text("00:00:01.5"));
}

static void test_bytes(void **state)
{
    (void)state;
    encodes("bit(3)", text("101"), "00000003a0");
    encodes("bit(9)", text("101010101"), "00000009aa80");
    encodes("bit", text("1"), "0000000180");
    encodes("bit varying", text(""), "00000000");
    encodes("bit varying(8)", text("00000001"), "0000000801");
    refuses("bit(3)", text("10"));
    refuses("bit varying(2)", text("101"));
    refuses("bit varying", text("102"));
    encodes("uuid", text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            "a0eebc999c0b4ef8bb6d6bb9bd380a11");
    refuses("uuid", text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"));
    refuses("uuid", text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111"));
    refuses("uuid", text("g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
    encodes("text", text("kept in place"), "");
    refuses("text", (struct value){.state = VALUE_SET, .s = {.p = "a\0b", .len = 3}});
    refuses("character varying(2)", text("abc"));
    encodes("character varying(2)", text("\xc3\xa4\xc3\xb6"), "");
    refuses("character(1)", text("ab"));
}

static void test_type_names(void **state)
{
    static const char *const good[] = {"integer[]",
                                       "numeric(10,2)[]",
                                       "timestamp(3) with time zone",
                                       "interval day to second(3)",
                                       "character varying(20)",
                                       "tstzmultirange",
                                       "numeric(5,-2)",
                                       "bit varying(3)[]"};
    static const char *const bad[] = {"",
                                      "public.mood",
                                      "\"char\"",
                                      "hstore",
                                      "integer; DROP TABLE x",
                                      "integer)",
                                      "integer(1)",
                                      "numeric(1,2,3)",
                                      "numeric()",
                                      "numeric(1",
                                      "numeric(1)(2)",
                                      "numeric(1x)",
                                      "[]",
                                      "integer[",
                                      "integer[]x",
                                      "integer[3]",
                                      "xml",
                                      "regclass",
                                      "integer ",
                                      "a name that is much longer than the longest one known"};
    struct wpg_type t;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!wpg_type_parse(good[i], &t))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (wpg_type_parse(bad[i], &t))
            fail_msg("%s is accepted", bad[i]);
    assert_false(wpg_type_parse(NULL, &t));
    assert_true(wpg_type_parse("numeric(10,-2)", &t));
    assert_int_equal(t.nmods, 2);
    assert_int_equal(t.mods[1], -2);
}

static void becomes(const char *source_type, enum type_kind kind, const char *type, bool as_text,
                    const char *note)
{
    struct column c = {.source_type = source_type, .kind = kind, .precision = 10, .scale = 2};
    struct arena *a = arena_new("test");
    struct load_column out = {0};
    const char *got;

    wpg_dialect.column(a, &c, &out, &got);
    assert_string_equal(out.type, type);
    assert_int_equal(out.as_text, as_text);
    assert_int_equal(out.kind, kind);
    if (note == NULL)
        assert_null(got);
    else
        assert_string_equal(got, note);
    arena_free(a);
}

static void test_dialect(void **state)
{
    (void)state;
    becomes("integer", TYPE_INT32, "integer", false, NULL);
    becomes("numeric(10,2)", TYPE_DECIMAL, "numeric(10,2)", false, NULL);
    becomes("numeric", TYPE_NUMERIC, "numeric", false, NULL);
    becomes("numeric(10,2)", TYPE_TEXT, "numeric(10,2)", true, NULL);
    becomes("money", TYPE_DECIMAL, "money", true, NULL);
    becomes("integer[]", TYPE_TEXT, "integer[]", true, NULL);
    becomes("inet", TYPE_TEXT, "inet", true, NULL);
    becomes("xid8", TYPE_INT64, "xid8", true, NULL);
    becomes("character(5)", TYPE_TEXT, "character(5)", false, NULL);
    becomes("jsonb", TYPE_JSON, "jsonb", false, NULL);
    becomes("public.mood", TYPE_ENUM, "text", false, "becomes text");
    becomes("public.hstore", TYPE_TEXT, "text", false, "becomes text");
    becomes("public.even", TYPE_INT32, "integer", false, "becomes integer");
    becomes(NULL, TYPE_DECIMAL, "numeric(10,2)", false, "becomes numeric");
    becomes("date", TYPE_TEXT, "text", false, "becomes text");
    becomes("bigint unsigned", TYPE_NUMERIC, "numeric", false, "becomes numeric");
}

static void test_natural_types_are_writable(void **state)
{
    struct arena *a = arena_new("test");

    (void)state;
    for (int k = 0; k < TYPE_COUNT; k++) {
        struct column c = {.source_type = "?", .kind = (enum type_kind)k, .precision = 5};
        struct load_column out = {0};
        struct wpg_type t;
        const char *note;

        wpg_dialect.column(a, &c, &out, &note);
        assert_non_null(note);
        assert_true(wpg_type_parse(out.type, &t));
        assert_true(wpg_type_writes(&t, (enum type_kind)k));
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric),  cmocka_unit_test(test_numeric_limits),
        cmocka_unit_test(test_integers), cmocka_unit_test(test_floats),
        cmocka_unit_test(test_times),    cmocka_unit_test(test_interval),
        cmocka_unit_test(test_bytes),    cmocka_unit_test(test_type_names),
        cmocka_unit_test(test_dialect),  cmocka_unit_test(test_natural_types_are_writable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
