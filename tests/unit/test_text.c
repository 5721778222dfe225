/* SPDX-License-Identifier: Apache-2.0 */
/* The text of values against what PostgreSQL 15 prints for the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/text.h"

static void check(enum type_kind kind, struct value v, const char *want)
{
    struct buf b = {0};

    v.state = VALUE_SET;
    buf_puts(&b, "<");
    value_to_text(&b, kind, &v);
    buf_puts(&b, ">");
    if (strlen(want) + 2 != b.len || memcmp(b.data + 1, want, strlen(want)) != 0)
        fail_msg("%s: got %s, want <%s>", type_kind_name(kind), buf_cstr(&b), want);
    buf_free(&b);
}

static void float8(double f, const char *want)
{
    check(TYPE_FLOAT64, (struct value){.f = f}, want);
}

static void float4(float f, const char *want)
{
    check(TYPE_FLOAT32, (struct value){.f = (double)f}, want);
}

static void integer(enum type_kind kind, int64_t i, const char *want)
{
    check(kind, (struct value){.i = i}, want);
}

static void floats(void **state)
{
    (void)state;
    float8(0.0, "0");
    float8(-0.0, "-0");
    float8(NAN, "NaN");
    float8(-NAN, "NaN");
    float8(INFINITY, "Infinity");
    float8(-INFINITY, "-Infinity");
    float8(1, "1");
    float8(-1.5, "-1.5");
    float8(0.1, "0.1");
    float8(1.0 / 3, "0.3333333333333333");
    float8(0.0001, "0.0001");
    float8(0.00001, "1e-05");
    float8(0.000123456789, "0.000123456789");
    float8(100000, "100000");
    float8(999999999999999, "999999999999999");
    float8(1e15, "1e+15");
    float8(123456789012345680.0, "1.2345678901234568e+17");
    float8(9007199254740993.0, "9.007199254740992e+15");
    float8(5e-324, "5e-324");
    float8(1e-320, "1e-320");
    float8(DBL_MIN, "2.2250738585072014e-308");
    float8(DBL_MAX, "1.7976931348623157e+308");
    /* Midpoints of two numbers are not accepted, whatever the reader's rounding. */
    float8(strtod("1e23", NULL), "9.999999999999999e+22");
    float8(strtod("9.5e-14", NULL), "9.5e-14");
    float8(ldexp(1, -44), "5.684341886080802e-14");
    float8(1e100, "1e+100");
    float4(0.1f, "0.1");
    float4(999999, "999999");
    float4(1000000, "1e+06");
    float4(16777216, "1.6777216e+07");
    float4(0.0001f, "0.0001");
    float4(0.00001f, "1e-05");
    float4(FLT_MAX, "3.4028235e+38");
    float4(FLT_TRUE_MIN, "1e-45");
    float4(-0.0f, "-0");
    float4(33554432, "3.3554432e+07");
}

/* Whatever is printed reads back to the same bits. */
static void floats_read_back(void **state)
{
    uint64_t seed = 88172645463325252ULL;
    struct buf b = {0};
    int i;

    (void)state;
    for (i = 0; i < 20000; i++) {
        struct value v = {.state = VALUE_SET};
        double f;

        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        memcpy(&f, &seed, sizeof(f));
        if (isnan(f))
            continue;
        v.f = f;
        buf_reset(&b);
        value_to_text(&b, TYPE_FLOAT64, &v);
        f = strtod(buf_cstr(&b), NULL);
        assert_memory_equal(&f, &v.f, sizeof(f));
    }
    buf_free(&b);
}

static void dates(void **state)
{
    (void)state;
    integer(TYPE_DATE, 0, "1970-01-01");
    integer(TYPE_DATE, -1, "1969-12-31");
    integer(TYPE_DATE, 11016, "2000-02-29");
    integer(TYPE_DATE, 2932897, "10000-01-01");
    integer(TYPE_DATE, -719162, "0001-01-01");
    integer(TYPE_DATE, -719163, "0001-12-31 BC");
    integer(TYPE_DATE, -735160, "0044-03-15 BC");
    integer(TYPE_DATE, -2451545 + 10957, "4714-11-24 BC");
    integer(TYPE_DATE, 2145031948LL + 10957, "5874897-12-31");
    integer(TYPE_DATE, VALUE_DATE_INFINITY, "infinity");
    integer(TYPE_DATE, VALUE_DATE_MINUS_INFINITY, "-infinity");
    integer(TYPE_TIME, 0, "00:00:00");
    integer(TYPE_TIME, 86400000000, "24:00:00");
    integer(TYPE_TIME, 86399999999, "23:59:59.999999");
    integer(TYPE_TIME, 3723400000, "01:02:03.4");
    integer(TYPE_TIMESTAMP, 0, "2000-01-01 00:00:00");
    integer(TYPE_TIMESTAMP, -1, "1999-12-31 23:59:59.999999");
    integer(TYPE_TIMESTAMP, 1500000, "2000-01-01 00:00:01.5");
    integer(TYPE_TIMESTAMP, 9223371331199999999, "294276-12-31 23:59:59.999999");
    integer(TYPE_TIMESTAMP, -211813488000000000, "4714-11-24 00:00:00 BC");
    integer(TYPE_TIMESTAMP, INT64_MAX, "infinity");
    integer(TYPE_TIMESTAMPTZ, INT64_MIN, "-infinity");
    integer(TYPE_TIMESTAMPTZ, 10, "2000-01-01 00:00:00.00001+00");
    integer(TYPE_TIMESTAMPTZ, -211813488000000000, "4714-11-24 00:00:00+00 BC");
}

static void others(void **state)
{
    struct value v = {0};

    (void)state;
    integer(TYPE_BOOL, 1, "t");
    integer(TYPE_BOOL, 0, "f");
    integer(TYPE_INT16, -32768, "-32768");
    integer(TYPE_INT64, INT64_MIN, "-9223372036854775808");
    v.s.p = "\x00\xff"
            "a";
    v.s.len = 3;
    check(TYPE_BYTES, v, "\\x00ff61");
    v.s.len = 0;
    check(TYPE_BYTES, v, "\\x");
    check(TYPE_TEXT, v, "");
    v.s.p = "-12.30";
    v.s.len = 6;
    check(TYPE_DECIMAL, v, "-12.30");
    check(TYPE_NUMERIC, v, "-12.30");
    v.s.p = "0101";
    v.s.len = 4;
    check(TYPE_BITS, v, "0101");
}

static void intervals(void **state)
{
    static const struct {
        const char *text;
        int32_t months, days;
        int64_t us;
    } good[] = {
        {"00:00:00", 0, 0, 0},
        {"-1 mons +1 day -00:00:01.5", -1, 1, -1500000},
        {"1 year 2 mons 3 days 04:05:06.789", 14, 3, 14706789000},
        {"178000000 years", 2136000000, 0, 0},
        {"-3 days +2562047788:00:54.775807", 0, -3, INT64_MAX},
        {"-178956970 years -8 mons -2147483648 days -2562047788:00:54.775808", INT32_MIN, INT32_MIN,
         INT64_MIN},
        {"1 day -00:00:00.000001", 0, 1, -1},
        {"1 mon", 1, 0, 0},
    };
    static const char *const bad[] = {
        "",
        "infinity",
        "-infinity",
        "1",
        "1 ",
        "1 year ",
        "1 week",
        "1 day 1 day",
        "1 day 1 mon",
        "00:00",
        "00:60:00",
        "00:00:0",
        "00:00:00.",
        "00:00:00.1234567",
        "00:00:00 1 day",
        "2147483648 days",
        "178956971 years",
        "2562047788:00:54.775808",
        "9999999999999999999 days",
        "P1Y",
        "1 yearss",
        "--1 day",
        "1  day",
        "@ 1 day",
    };
    int32_t months, days;
    int64_t us;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!interval_parse(good[i].text, strlen(good[i].text), &months, &days, &us))
            fail_msg("%s: refused", good[i].text);
        if (months != good[i].months || days != good[i].days || us != good[i].us)
            fail_msg("%s: %d %d %lld", good[i].text, months, days, (long long)us);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (interval_parse(bad[i], strlen(bad[i]), &months, &days, &us))
            fail_msg("<%s>: accepted as %d %d %lld", bad[i], months, days, (long long)us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats), cmocka_unit_test(floats_read_back), cmocka_unit_test(dates),
        cmocka_unit_test(others), cmocka_unit_test(intervals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
