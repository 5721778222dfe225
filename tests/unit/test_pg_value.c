/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the catalogue's type to a kind, and from Postgres's text to a value. Texts and numbers are
 * PostgreSQL 15.20's, the latter from the types' binary send functions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source_postgres/pg_types.h"
#include "source_postgres/pg_value.h"
#include "util/mem.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Types */

static const struct {
    uint32_t oid;
    const char *name;
    bool pg_catalog;
    char type;
    char category;
    int32_t typmod;
    const char *format;
    enum type_kind kind;
    int precision;
    int scale;
    const char *semantic;
} types[] = {
    {16, "bool", true, 'b', 'B', -1, "boolean", TYPE_BOOL, 0, 0, NULL},
    {21, "int2", true, 'b', 'N', -1, "smallint", TYPE_INT16, 0, 0, NULL},
    {23, "int4", true, 'b', 'N', -1, "integer", TYPE_INT32, 0, 0, NULL},
    {20, "int8", true, 'b', 'N', -1, "bigint", TYPE_INT64, 0, 0, NULL},
    {26, "oid", true, 'b', 'N', -1, "oid", TYPE_INT64, 0, 0, NULL},
    {28, "xid", true, 'b', 'U', -1, "xid", TYPE_TEXT, 0, 0, NULL},
    {29, "cid", true, 'b', 'U', -1, "cid", TYPE_TEXT, 0, 0, NULL},
    {5069, "xid8", true, 'b', 'U', -1, "xid8", TYPE_TEXT, 0, 0, NULL},
    {700, "float4", true, 'b', 'N', -1, "real", TYPE_FLOAT32, 0, 0, NULL},
    {701, "float8", true, 'b', 'N', -1, "double precision", TYPE_FLOAT64, 0, 0, NULL},
    {1700, "numeric", true, 'b', 'N', -1, "numeric", TYPE_NUMERIC, 0, 0, NULL},
    {1700, "numeric", true, 'b', 'N', 655366, "numeric(10,2)", TYPE_DECIMAL, 10, 2, NULL},
    {1700, "numeric", true, 'b', 'N', 65540, "numeric(1,0)", TYPE_DECIMAL, 1, 0, NULL},
    {1700, "numeric", true, 'b', 'N', 65537004, "numeric(1000,1000)", TYPE_DECIMAL, 1000, 1000,
     NULL},
    {1700, "numeric", true, 'b', 'N', 329730, "numeric(5,-2)", TYPE_NUMERIC, 0, 0, NULL},
    {1700, "numeric", true, 'b', 'N', 196617, "numeric(3,5)", TYPE_NUMERIC, 0, 0, NULL},
    {790, "money", true, 'b', 'N', -1, "money", TYPE_DECIMAL, 19, 2, NULL},
    {25, "text", true, 'b', 'S', -1, "text", TYPE_TEXT, 0, 0, NULL},
    {1043, "varchar", true, 'b', 'S', 24, "character varying(20)", TYPE_TEXT, 0, 0, NULL},
    {1042, "bpchar", true, 'b', 'S', 10, "character(6)", TYPE_TEXT, 0, 0, NULL},
    {19, "name", true, 'b', 'S', -1, "name", TYPE_TEXT, 0, 0, NULL},
    {18, "char", true, 'b', 'Z', -1, "\"char\"", TYPE_TEXT, 0, 0, NULL},
    {17, "bytea", true, 'b', 'U', -1, "bytea", TYPE_BYTES, 0, 0, NULL},
    {1082, "date", true, 'b', 'D', -1, "date", TYPE_DATE, 0, 0, NULL},
    {1083, "time", true, 'b', 'D', 3, "time(3) without time zone", TYPE_TIME, 0, 0, NULL},
    {1266, "timetz", true, 'b', 'D', -1, "time with time zone", TYPE_TEXT, 0, 0, NULL},
    {1114, "timestamp", true, 'b', 'D', -1, "timestamp without time zone", TYPE_TIMESTAMP, 0, 0,
     NULL},
    {1184, "timestamptz", true, 'b', 'D', -1, "timestamp with time zone", TYPE_TIMESTAMPTZ, 0, 0,
     NULL},
    {1186, "interval", true, 'b', 'T', -1, "interval", TYPE_INTERVAL, 0, 0, NULL},
    {1560, "bit", true, 'b', 'V', 5, "bit(5)", TYPE_BITS, 5, 0, NULL},
    {1560, "bit", true, 'b', 'V', -1, "\"bit\"", TYPE_TEXT, 0, 0, NULL},
    {1562, "varbit", true, 'b', 'V', 9, "bit varying(9)", TYPE_TEXT, 0, 0, NULL},
    {2950, "uuid", true, 'b', 'U', -1, "uuid", TYPE_UUID, 0, 0, NULL},
    {114, "json", true, 'b', 'U', -1, "json", TYPE_JSON, 0, 0, NULL},
    {3802, "jsonb", true, 'b', 'U', -1, "jsonb", TYPE_JSON, 0, 0, NULL},
    {142, "xml", true, 'b', 'U', -1, "xml", TYPE_TEXT, 0, 0, "io.debezium.data.Xml"},
    {3614, "tsvector", true, 'b', 'U', -1, "tsvector", TYPE_TEXT, 0, 0,
     "io.debezium.data.TsVector"},
    {16989, "ltree", false, 'b', 'U', -1, "public.ltree", TYPE_TEXT, 0, 0,
     "io.debezium.data.Ltree"},
    {16990, "_ltree", false, 'b', 'A', -1, "public.ltree[]", TYPE_TEXT, 0, 0, NULL},
    {17290, "ltree", false, 'c', 'C', -1, "app.ltree", TYPE_TEXT, 0, 0, NULL},
    {1007, "_int4", true, 'b', 'A', -1, "integer[]", TYPE_TEXT, 0, 0, NULL},
    {17294, "pair", false, 'c', 'C', -1, "public.pair", TYPE_TEXT, 0, 0, NULL},
    {3904, "int4range", true, 'r', 'R', -1, "int4range", TYPE_TEXT, 0, 0, NULL},
    {4451, "int4multirange", true, 'm', 'R', -1, "int4multirange", TYPE_TEXT, 0, 0, NULL},
    {16861, "hstore", false, 'b', 'U', -1, "public.hstore", TYPE_TEXT, 0, 0, NULL},
    {17174, "citext", false, 'b', 'S', -1, "public.citext", TYPE_TEXT, 0, 0, NULL},
    {869, "inet", true, 'b', 'I', -1, "inet", TYPE_TEXT, 0, 0, NULL},
    {600, "point", true, 'b', 'G', -1, "point", TYPE_TEXT, 0, 0, NULL},
    {2205, "regclass", true, 'b', 'N', -1, "regclass", TYPE_TEXT, 0, 0, NULL},
};

static void types_of_columns(void **state)
{
    struct arena *a = arena_new("test");

    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        struct pg_type_facts f = {.oid = types[i].oid,
                                  .name = types[i].name,
                                  .pg_catalog = types[i].pg_catalog,
                                  .type = types[i].type,
                                  .category = types[i].category,
                                  .typmod = types[i].typmod,
                                  .format = types[i].format};
        struct column c = {.precision = -7, .scale = -7, .semantic = "left over"};

        assert_true(pg_column_type(a, &f, &c));
        assert_string_equal(type_kind_name(c.kind), type_kind_name(types[i].kind));
        assert_int_equal(c.precision, types[i].precision);
        assert_int_equal(c.scale, types[i].scale);
        assert_string_equal(c.source_type, types[i].format);
        assert_null(c.allowed);
        if (types[i].semantic == NULL)
            assert_null(c.semantic);
        else
            assert_string_equal(c.semantic, types[i].semantic);
    }
    arena_free(a);
}

static void enums_carry_their_labels(void **state)
{
    static const char *const labels[] = {"sad, really", "o\"k", "happy day"};
    struct pg_type_facts f = {.oid = 17279,
                              .name = "mood",
                              .type = 'e',
                              .category = 'E',
                              .typmod = -1,
                              .format = "public.mood",
                              .labels = labels,
                              .nlabels = 3};
    struct arena *a = arena_new("test");
    struct column c = {0};

    (void)state;
    assert_true(pg_column_type(a, &f, &c));
    assert_int_equal(c.kind, TYPE_ENUM);
    assert_string_equal(c.allowed, "sad, really,o\"k,happy day");
    f.nlabels = 0;
    assert_true(pg_column_type(a, &f, &c));
    assert_string_equal(c.allowed, "");
    arena_free(a);
}

static void unresolved_domains_are_refused(void **state)
{
    struct pg_type_facts f = {.oid = 17289, .name = "price", .type = 'd', .format = "public.price"};
    struct arena *a = arena_new("test");
    struct column c = {0};

    (void)state;
    assert_false(pg_column_type(a, &f, &c));
    arena_free(a);
}

/* Values */

/* text in a block of its exact size */
static bool parse(const struct column *c, const char *text, struct arena *a, struct value *v)
{
    char *exact = arena_memdup(a, text, strlen(text));
    struct error err = {0};

    if (pg_value_parse(c, exact, strlen(text), a, v, &err)) {
        assert_int_equal(v->state, VALUE_SET);
        return true;
    }
    assert_int_equal(err.kind, ERROR_DATA);
    assert_memory_equal(err.message, "column c: not a valid ", 22);
    if (strlen(text) > 3)
        assert_null(strstr(err.message, text));
    return false;
}

static const struct {
    enum type_kind kind;
    const char *text;
    int64_t want;
} numbers[] = {
    {TYPE_BOOL, "t", 1},
    {TYPE_BOOL, "f", 0},
    {TYPE_INT16, "-32768", INT16_MIN},
    {TYPE_INT16, "32767", INT16_MAX},
    {TYPE_INT32, "-2147483648", INT32_MIN},
    {TYPE_INT32, "2147483647", INT32_MAX},
    {TYPE_INT32, "0", 0},
    {TYPE_INT64, "-9223372036854775808", INT64_MIN},
    {TYPE_INT64, "9223372036854775807", INT64_MAX},
    {TYPE_INT64, "4294967295", 4294967295},
    {TYPE_DATE, "1970-01-01", 0},
    {TYPE_DATE, "2000-01-01", 10957},
    {TYPE_DATE, "2024-02-29", 19782},
    {TYPE_DATE, "1900-03-01", -25508},
    {TYPE_DATE, "0001-01-01", -719162},
    {TYPE_DATE, "0001-12-31 BC", -719163},
    {TYPE_DATE, "0001-02-29 BC", -719469},
    {TYPE_DATE, "0044-03-15 BC", -735160},
    {TYPE_DATE, "4714-11-24 BC", -2440588},
    {TYPE_DATE, "5874897-12-31", 2145042905},
    {TYPE_DATE, "infinity", VALUE_DATE_INFINITY},
    {TYPE_DATE, "-infinity", VALUE_DATE_MINUS_INFINITY},
    {TYPE_TIME, "00:00:00", 0},
    {TYPE_TIME, "00:00:00.000001", 1},
    {TYPE_TIME, "01:02:03.4", 3723400000},
    {TYPE_TIME, "23:59:59.999999", 86399999999},
    {TYPE_TIME, "24:00:00", 86400000000},
    {TYPE_TIMESTAMP, "2000-01-01 00:00:00", 0},
    {TYPE_TIMESTAMP, "2024-02-29 12:34:56.789", 762525296789000},
    {TYPE_TIMESTAMP, "1999-12-31 23:59:59.999999", -1},
    {TYPE_TIMESTAMP, "294276-12-31 23:59:59.999999", 9223371331199999999},
    {TYPE_TIMESTAMP, "4713-01-01 00:00:00 BC", -211810204800000000},
    {TYPE_TIMESTAMP, "4714-11-24 00:00:00 BC", -211813488000000000},
    {TYPE_TIMESTAMP, "0001-01-01 00:00:00 BC", -63113904000000000},
    {TYPE_TIMESTAMP, "infinity", VALUE_TIMESTAMP_INFINITY},
    {TYPE_TIMESTAMP, "-infinity", VALUE_TIMESTAMP_MINUS_INFINITY},
    {TYPE_TIMESTAMPTZ, "2024-02-28 16:02:03.5+00", 762451323500000},
    {TYPE_TIMESTAMPTZ, "2024-02-29 01:02:03.5+09", 762451323500000},
    {TYPE_TIMESTAMPTZ, "2024-02-28 10:32:03.5-05:30", 762451323500000},
    {TYPE_TIMESTAMPTZ, "2024-02-28 16:02:33.5+00:00:30", 762451323500000},
    {TYPE_TIMESTAMPTZ, "4713-01-02 00:00:00+00 BC", -211810118400000000},
    {TYPE_TIMESTAMPTZ, "infinity", VALUE_TIMESTAMP_INFINITY},
};

static void whole_numbers_and_times(void **state)
{
    struct arena *a = arena_new("test");
    struct value v;

    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct column c = {.name = "c", .kind = numbers[i].kind};

        if (!parse(&c, numbers[i].text, a, &v) || v.i != numbers[i].want)
            fail_msg("%s: %ld, not %ld", numbers[i].text, v.i, numbers[i].want);
    }
    arena_free(a);
}

static const struct {
    enum type_kind kind;
    const char *text;
    double want;
} floats[] = {
    {TYPE_FLOAT64, "0", 0.0},
    {TYPE_FLOAT64, "0.30000000000000004", 0.30000000000000004},
    {TYPE_FLOAT64, "-12.5", -12.5},
    {TYPE_FLOAT64, "1e+22", 1e22},
    {TYPE_FLOAT64, "9007199254740993", 9007199254740992.0},
    {TYPE_FLOAT64, "1.7976931348623157e+308", 1.7976931348623157e+308},
    {TYPE_FLOAT64, "2.2250738585072014e-308", 2.2250738585072014e-308},
    {TYPE_FLOAT64, "1e-320", 1e-320},
    {TYPE_FLOAT64, "5e-324", 5e-324},
    {TYPE_FLOAT64, "Infinity", INFINITY},
    {TYPE_FLOAT64, "-Infinity", -INFINITY},
    {TYPE_FLOAT32, "3.4028235e+38", (double)3.4028235e+38f},
    {TYPE_FLOAT32, "1e-45", (double)1e-45f},
    {TYPE_FLOAT32, "0.1", (double)0.1f},
    {TYPE_FLOAT32, "16777217", 16777216.0},
    {TYPE_FLOAT32, "-Infinity", -INFINITY},
};

static void floating_numbers(void **state)
{
    struct arena *a = arena_new("test");
    struct column c = {.name = "c", .kind = TYPE_FLOAT64};
    struct value v;

    (void)state;
    for (size_t i = 0; i < COUNT(floats); i++) {
        c.kind = floats[i].kind;
        if (!parse(&c, floats[i].text, a, &v) || v.f != floats[i].want)
            fail_msg("%s: %.17g", floats[i].text, v.f);
    }
    assert_true(parse(&c, "NaN", a, &v));
    assert_true(isnan(v.f));
    assert_true(parse(&c, "-0", a, &v));
    assert_true(v.f == 0 && signbit(v.f));
    arena_free(a);
}

/* Types whose text is kept or rewritten. */
static const struct {
    enum type_kind kind;
    const char *type;
    int precision;
    int scale;
    const char *text;
    const char *want; /* NULL: as it is, borrowed */
} texts[] = {
    {TYPE_NUMERIC, "numeric", 0, 0, "12300", NULL},
    {TYPE_NUMERIC, "numeric", 0, 0, "0.00123", NULL},
    {TYPE_NUMERIC, "numeric", 0, 0, "NaN", NULL},
    {TYPE_NUMERIC, "numeric", 0, 0, "Infinity", NULL},
    {TYPE_NUMERIC, "numeric", 0, 0, "-Infinity", NULL},
    {TYPE_DECIMAL, "numeric(10,2)", 10, 2, "-99999999.99", NULL},
    {TYPE_DECIMAL, "numeric(10,2)", 10, 2, "0.00", NULL},
    {TYPE_DECIMAL, "numeric(2,2)", 2, 2, "0.99", NULL},
    {TYPE_DECIMAL, "numeric(10,2)", 10, 2, "NaN", NULL},
    {TYPE_DECIMAL, "money", 19, 2, "$0.05", "0.05"},
    {TYPE_DECIMAL, "money", 19, 2, "-$1,234.56", "-1234.56"},
    {TYPE_DECIMAL, "money", 19, 2, "$92,233,720,368,547,758.07", "92233720368547758.07"},
    {TYPE_DECIMAL, "money", 19, 2, "-$92,233,720,368,547,758.08", "-92233720368547758.08"},
    {TYPE_TEXT, "text", 0, 0, "", NULL},
    {TYPE_TEXT, "text", 0, 0, "tab\there\nnl \\ bs", NULL},
    {TYPE_TEXT, "character(6)", 0, 0, "ab    ", NULL},
    {TYPE_TEXT, "\"char\"", 0, 0, "", NULL},
    {TYPE_TEXT, "\"char\"", 0, 0, "Z", NULL},
    {TYPE_TEXT, "\"char\"", 0, 0, "\\303", NULL},
    {TYPE_TEXT, "\"char\"", 0, 0, "\xc3", "\\303"},
    {TYPE_TEXT, "\"char\"", 0, 0, "\xff", "\\377"},
    {TYPE_TEXT, "\"char\"", 0, 0, "\x80", "\\200"},
    {TYPE_TEXT, "text", 0, 0, "\xc3", NULL}, /* not UTF-8: the encoder's to refuse */
    {TYPE_TEXT, "time with time zone", 0, 0, "24:00:00-15:59:59", NULL},
    {TYPE_TEXT, "integer[]", 0, 0, "[0:1]={7,8}", NULL},
    {TYPE_TEXT, "bit varying", 0, 0, "", NULL},
    {TYPE_INTERVAL, "interval", 0, 0, "-1 mons +1 day -00:00:01.5", NULL},
    {TYPE_UUID, "uuid", 0, 0, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", NULL},
    {TYPE_JSON, "json", 0, 0, "{\"a\":1, \"a\":2}", NULL},
    {TYPE_JSON, "jsonb", 0, 0, "null", NULL},
    {TYPE_ENUM, "mood", 0, 0, "sad, really", NULL},
    {TYPE_BITS, "bit(5)", 5, 0, "10101", NULL},
    {TYPE_BITS, "bit(1)", 1, 0, "0", NULL},
    {TYPE_BYTES, "bytea", 0, 0, "\\x", ""},
    {TYPE_BYTES, "bytea", 0, 0, "\\xfF5C7e", "\xff\\~"},
};

static void text_like_values(void **state)
{
    struct arena *a = arena_new("test");

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        const char *want = texts[i].want != NULL ? texts[i].want : texts[i].text;
        struct column c = {.name = "c",
                           .kind = texts[i].kind,
                           .precision = texts[i].precision,
                           .scale = texts[i].scale,
                           .source_type = texts[i].type};
        struct error err;
        struct value v;

        if (!pg_value_parse(&c, texts[i].text, strlen(texts[i].text), a, &v, &err))
            fail_msg("%s: %s", texts[i].text, err.message);
        assert_int_equal(v.s.len, strlen(want));
        assert_memory_equal(v.s.p, want, v.s.len);
        if (texts[i].want == NULL)
            assert_ptr_equal(v.s.p, texts[i].text);
        assert_true(parse(&c, texts[i].text, a, &v));
    }
    arena_free(a);
}

static void bytes_may_be_zero(void **state)
{
    struct column c = {.name = "c", .kind = TYPE_BYTES};
    struct arena *a = arena_new("test");
    struct value v;

    (void)state;
    assert_true(parse(&c, "\\x00ff00", a, &v));
    assert_int_equal(v.s.len, 3);
    assert_memory_equal(v.s.p, "\0\xff\0", 3);
    arena_free(a);
}

static const struct {
    enum type_kind kind;
    const char *type;
    int precision;
    int scale;
    const char *texts[12];
} refused[] = {
    {TYPE_BOOL, "boolean", 0, 0, {"", "true", "1", "T", "tt"}},
    {TYPE_INT16, "smallint", 0, 0, {"32768", "-32769", "1.0", "", "-", "+1", " 1", "1 ", "0x1"}},
    {TYPE_INT32, "integer", 0, 0, {"2147483648", "-2147483649", "007", "-0", "1e3", "99999999999"}},
    {TYPE_INT64,
     "bigint",
     0,
     0,
     {"9223372036854775808", "-9223372036854775809", "18446744073709551617", "00"}},
    {TYPE_FLOAT64,
     "double precision",
     0,
     0,
     {"", "-", ".5", "1.", "1.e5", "1e", "1e+", "nan", "inf", "1e400", "0x1p3", "1,5"}},
    {TYPE_FLOAT64, "double precision", 0, 0, {"1e-400", "infinity", "--1", "1 ", " 1", "1e55555"}},
    {TYPE_FLOAT32, "real", 0, 0, {"1e39", "1e-60", "-NaN"}},
    {TYPE_NUMERIC, "numeric", 0, 0, {"", "-", "1e5", "1.", ".1", "1.2.3", "+1", "-NaN", "inf"}},
    {TYPE_DECIMAL,
     "numeric(10,2)",
     10,
     2,
     {"1.234", "123456789.00", "Infinity", "$1.00", "1,000.00", ""}},
    {TYPE_DECIMAL,
     "money",
     19,
     2,
     {"1.00", "$1.234", "$-1.00", "$", "-$", "$1,23.00", "NaN", "1 234,56 \xe2\x82\xac", "",
      "$NaN"}},
    {TYPE_DATE,
     "date",
     0,
     0,
     {"", "2024-02-30", "2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01", "2024-01-00",
      "0000-01-01", "29/02/2024", "2024-1-01", "2024-01-01 AD", "5874898-01-01"}},
    {TYPE_DATE,
     "date",
     0,
     0,
     {"4714-11-23 BC", "2024-01-01 BC ", "Infinity", "+infinity", "-", "i", "02024-01-01",
      "24-01-01", "12345678-01-01", "2024-01-01T", "2024-01-01 "}},
    {TYPE_TIME,
     "time without time zone",
     0,
     0,
     {"", "24:00:00.000001", "24:00:01", "25:00:00", "12:60:00", "12:00:60", "12:00", "12:00:00.",
      "12:00:00.1234567", "1:00:00", "12:00:00+00", "-01:00:00"}},
    {TYPE_TIMESTAMP,
     "timestamp without time zone",
     0,
     0,
     {"", "2024-02-29", "2024-02-29 ", "2024-02-29T01:02:03", "2024-02-29 01:02:03+00",
      "2024-02-29 24:00:00", "294277-01-01 00:00:00", "4714-11-23 23:59:59 BC",
      "29/02/2024 01:02:03", "2024-02-29 01:02:03 AD", "5874897-12-31 00:00:00"}},
    {TYPE_TIMESTAMPTZ,
     "timestamp with time zone",
     0,
     0,
     {"2024-02-29 01:02:03", "2024-02-29 01:02:03+", "2024-02-29 01:02:03+0",
      "2024-02-29 01:02:03+00:", "2024-02-29 01:02:03 JST", "2024-02-29 01:02:03Z",
      "2024-02-29 01:02:03+16", "4714-11-24 00:00:00+00:01 BC", "294276-12-31 23:59:59-00:01",
      "2024-02-29 01:02:03+00BC", "2024-02-29 01:02:03+05:60"}},
    {TYPE_BYTES,
     "bytea",
     0,
     0,
     {"", "\\", "\\x0", "\\xgg", "\\000\\377", "abcd", "\\X00", "\\x0g"}},
    {TYPE_UUID,
     "uuid",
     0,
     0,
     {"", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g",
      "a0eebc99x9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"}},
    {TYPE_BITS, "bit(5)", 5, 0, {"", "1010", "101010", "10102", "1010 "}},
};

static void what_cannot_be_is_refused(void **state)
{
    struct arena *a = arena_new("test");

    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct column c = {.name = "c",
                           .kind = refused[i].kind,
                           .precision = refused[i].precision,
                           .scale = refused[i].scale,
                           .source_type = refused[i].type};
        struct value v;

        for (size_t k = 0; k < COUNT(refused[i].texts) && refused[i].texts[k] != NULL; k++) {
            if (parse(&c, refused[i].texts[k], a, &v))
                fail_msg("%s '%s' was accepted", refused[i].type, refused[i].texts[k]);
        }
    }
    arena_free(a);
}

static void errors_name_column_and_type(void **state)
{
    struct column c = {.name = "born", .kind = TYPE_DATE, .source_type = "date"};
    struct arena *a = arena_new("test");
    struct error err = {0};
    struct value v;

    (void)state;
    assert_false(pg_value_parse(&c, "29/02/2024", 10, a, &v, &err));
    assert_string_equal(err.message, "column born: not a valid date");
    c.source_type = NULL;
    assert_false(pg_value_parse(&c, "29/02/2024", 10, a, &v, &err));
    assert_string_equal(err.message, "column born: not a valid date");
    arena_free(a);
}

/* Every prefix and every one-byte change of every text gives a value or an error. */
static void mutations_are_survived(void **state)
{
    struct arena *a = arena_new("test");
    struct value v;

    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        for (size_t at = 0; at < strlen(numbers[i].text); at++) {
            for (int kind = 0; kind < TYPE_COUNT; kind++) {
                struct column c = {.name = "c", .kind = (enum type_kind)kind, .precision = 5};
                char *text = arena_strdup(a, numbers[i].text);

                text[at] = (char)(text[at] ^ 0x15);
                (void)parse(&c, text, a, &v);
                text[at] = '\0';
                (void)parse(&c, text, a, &v);
            }
        }
        arena_reset(a);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_of_columns),
        cmocka_unit_test(enums_carry_their_labels),
        cmocka_unit_test(unresolved_domains_are_refused),
        cmocka_unit_test(whole_numbers_and_times),
        cmocka_unit_test(floating_numbers),
        cmocka_unit_test(text_like_values),
        cmocka_unit_test(bytes_may_be_zero),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(errors_name_column_and_type),
        cmocka_unit_test(mutations_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
