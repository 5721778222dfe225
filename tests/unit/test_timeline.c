/* SPDX-License-Identifier: Apache-2.0 */
/* Timeline histories: what Postgres writes, what people add to it, and what nobody should. */
#include "source_postgres/timeline.h"
#include "util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOT_FOUND UINT64_MAX

static bool parse(const char *text, size_t len, uint32_t current, uint32_t was, uint64_t *left,
                  struct error *err)
{
    char *copy = mem_alloc(len > 0 ? len : 1); /* of its exact size, so that overruns are seen */
    struct timeline_past past;
    bool ok;

    memcpy(copy, text, len);
    ok = timeline_history(copy, len, current, was, &past, err);
    mem_free(copy);
    if (ok && !past.found)
        assert_int_equal(past.left, 0);
    *left = !ok || past.found ? past.left : NOT_FOUND;
    return ok;
}

static void expect(const char *text, uint32_t current, uint32_t was, uint64_t want)
{
    struct error err = {0};
    uint64_t left;

    if (!parse(text, strlen(text), current, was, &left, &err))
        fail_msg("%s", err.message);
    assert_int_equal(left, want);
}

/* As PostgreSQL 15 wrote it. */
static const char of_5[] = "1\t0/3000148\tno recovery target specified\n\n"
                           "2\t0/4000000\tbefore 2000-01-01 05:30:00+05:30\n\n"
                           "4\t16/B374D848\tat restore point \"a\tb\"\n";

static void what_postgres_writes(void **state)
{
    (void)state;
    expect("1\t0/3000148\tno recovery target specified\n", 2, 1, 0x3000148);
    expect(of_5, 5, 1, 0x3000148);
    expect(of_5, 5, 2, 0x4000000);
    expect(of_5, 5, 4, 0x16B374D848);
    expect(of_5, 5, 3, NOT_FOUND);
    expect(of_5, 5, 5, NOT_FOUND);
    expect(of_5, 5, 9, NOT_FOUND);
    expect("4294967294\tFFFFFFFF/FFFFFFFF\tx\n", 4294967295, 4294967294, UINT64_MAX);
    expect("1\t0/0\tx\n", 2, 1, 0);
}

static void began(const char *text, uint32_t current, uint32_t was, uint64_t want)
{
    struct timeline_past past;
    struct error err = {0};

    if (!timeline_history(text, strlen(text), current, was, &past, &err))
        fail_msg("%s", err.message);
    assert_int_equal(past.began, want);
}

/* Where its parent was left, of each that is in the history and of the current one. */
static void where_a_timeline_began(void **state)
{
    (void)state;
    began(of_5, 5, 1, 0);
    began(of_5, 5, 2, 0x3000148);
    began(of_5, 5, 4, 0x4000000);
    began(of_5, 5, 5, 0x16B374D848);
    began("", 1, 1, 0);
    began("# x\n1\t0/30\tx\n2\t0/20\tx\n", 3, 2, 0x30);
    began("# x\n1\t0/30\tx\n2\t0/20\tx\n", 3, 3, 0x20);
}

static void comments_blanks_and_missing_parts(void **state)
{
    (void)state;
    expect("", 2, 1, NOT_FOUND);
    expect("\n\r\n \t\n# 1\t0/10\tnot this\n  # nor this", 2, 1, NOT_FOUND);
    expect("# a comment\n\n 1\t0/20\n", 2, 1, 0x20);
    expect("1 0/20", 2, 1, 0x20);
    expect("1\t0/20\r\n2\t0/30\r\n", 3, 2, 0x30);
    expect("1\t0/aBc\tlower case", 2, 1, 0xABC);
}

/* Recovery along timeline 2 that ended before timeline 2 began: of 1 there is less than 2 had. */
static void positions_that_go_back(void **state)
{
    (void)state;
    expect("1\t0/30\tx\n2\t0/20\tx\n", 3, 1, 0x20);
    expect("1\t0/30\tx\n2\t0/20\tx\n", 3, 2, 0x20);
    expect("1\t0/10\tx\n2\t0/30\tx\n3\t0/20\tx\n4\t0/40\tx\n", 5, 1, 0x10);
    expect("1\t0/10\tx\n2\t0/30\tx\n3\t0/20\tx\n4\t0/40\tx\n", 5, 2, 0x20);
    expect("1\t0/10\tx\n2\t0/30\tx\n3\t0/20\tx\n4\t0/40\tx\n", 5, 4, 0x40);
}

static void expect_error(const char *text, size_t len, const char *want)
{
    struct error err = {0};
    uint64_t left;

    assert_false(parse(text, len, 5, 1, &left, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    assert_memory_equal(err.message, "history of timeline 5, line ", 28);
    assert_string_equal(err.message + 28, want);
}

#define ERROR_OF(text, want) expect_error(text, sizeof(text) - 1, want)

static void hostile_text(void **state)
{
    (void)state;
    ERROR_OF("x\t0/10\tx\n", "1: not a timeline and a position");
    ERROR_OF("1\n", "1: not a timeline and a position");
    ERROR_OF("1", "1: not a timeline and a position");
    ERROR_OF("1\t", "1: not a timeline and a position");
    ERROR_OF("1\tnowhere\n", "1: not a timeline and a position");
    ERROR_OF("1\t0/\n", "1: not a timeline and a position");
    ERROR_OF("1\t/10\n", "1: not a timeline and a position");
    ERROR_OF("1\t0x1/10\n", "1: not a timeline and a position");
    ERROR_OF("1\t-1/10\n", "1: not a timeline and a position");
    ERROR_OF("1\t0/0x1\n", "1: not a timeline and a position");
    ERROR_OF("1\t0/+1\n", "1: not a timeline and a position");
    ERROR_OF("1\t0/10,x\n", "1: not a timeline and a position");
    ERROR_OF("1\t0/123456789\n", "1: not a timeline and a position");
    ERROR_OF("1\t00000000000000000000000000000000/1\n", "1: not a timeline and a position");
    ERROR_OF("1\t0/10\0x\n", "1: not a timeline and a position");
    ERROR_OF("1\0\t0/10\n", "1: not a timeline and a position");
    ERROR_OF("\0", "1: not a timeline and a position");
    ERROR_OF("0\t0/10\tx\n", "1: not a timeline and a position");
    ERROR_OF("-1\t0/10\tx\n", "1: not a timeline and a position");
    ERROR_OF("4294967296\t0/10\tx\n", "1: not a timeline and a position");
    ERROR_OF("4294967297\t0/10\tx\n", "1: not a timeline and a position");
    ERROR_OF("99999999999999999999999999999\t0/10\tx\n", "1: not a timeline and a position");
    ERROR_OF("# x\n1\t0/10\tx\n\nat restore\n", "4: not a timeline and a position");
    ERROR_OF("1\t0/10\tx\n1\t0/20\tx\n", "2: timeline 1 is out of order");
    ERROR_OF("2\t0/10\tx\n1\t0/20\tx\n", "2: timeline 1 is out of order");
    ERROR_OF("1\t0/10\tx\n5\t0/20\tx\n", "2: timeline 5 is out of order");
    ERROR_OF("7\t0/10\tx\n", "1: timeline 7 is out of order");
}

/* A cut-off file never says more than the whole one. */
static void every_truncation_is_an_error_or_says_less(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(of_5) - 1; len++) {
        struct error err;
        uint64_t left;

        if (!parse(of_5, len, 5, 4, &left, &err) || left == NOT_FOUND)
            continue;
        assert_true(left <= 0x16B374D848);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_postgres_writes),
        cmocka_unit_test(where_a_timeline_began),
        cmocka_unit_test(comments_blanks_and_missing_parts),
        cmocka_unit_test(positions_that_go_back),
        cmocka_unit_test(hostile_text),
        cmocka_unit_test(every_truncation_is_an_error_or_says_less),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
