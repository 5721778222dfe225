/* SPDX-License-Identifier: Apache-2.0 */
/* COPY in binary: header and trailer in every arrangement, values, and data that is broken. What
 * the server really sends is compared with its text in test_source_postgres.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "source_postgres/copy_binary.h"
#include "util/arena.h"
#include "util/mem.h"

#define HEADER "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"
#define TRAILER "\377\377"

static struct column cols[2] = {{.name = "n", .kind = TYPE_NUMERIC},
                                {.name = "v", .kind = TYPE_TEXT}};
static const uint32_t oids[2] = {1700, 25};
static const struct table t = {.ncols = 2, .cols = cols};
static struct arena *a;
static struct value v[2];
static struct error err;

/* In a block of exactly that size. */
static bool take(struct copy_binary *b, const char *data, size_t len, bool *row)
{
    static char *copy;

    mem_free(copy);
    copy = mem_alloc(len > 0 ? len : 1);
    memcpy(copy, data, len);
    memset(&err, 0, sizeof(err));
    arena_reset(a);
    return copy_binary_take(b, &t, oids, copy, len, a, v, row, &err);
}

#define TAKE(b, data, row) take(b, data, sizeof(data) - 1, row)

/* 12.50: weight 0, two digits, two decimals */
#define TWELVE "\0\0\0\014\0\002\0\0\0\0\0\002\0\014\023\210"
#define ROW "\0\002" TWELVE "\0\0\0\002hi"

static void expect_row(void)
{
    assert_int_equal(v[0].state, VALUE_SET);
    assert_int_equal(v[0].s.len, 5);
    assert_memory_equal(v[0].s.p, "12.50", 5);
    assert_int_equal(v[1].s.len, 2);
    assert_memory_equal(v[1].s.p, "hi", 2);
}

static void arrangements(void **state)
{
    struct copy_binary b = {0};
    bool row;

    (void)state;
    assert_true(TAKE(&b, HEADER ROW, &row) && row);
    expect_row();
    assert_true(TAKE(&b, ROW, &row) && row);
    expect_row();
    assert_false(copy_binary_end(&b, &err));
    assert_true(TAKE(&b, TRAILER, &row) && !row);
    assert_true(copy_binary_end(&b, &err));
    assert_false(TAKE(&b, ROW, &row));

    b = (struct copy_binary){0};
    assert_true(TAKE(&b, HEADER TRAILER, &row) && !row); /* no rows */
    assert_true(copy_binary_end(&b, &err));

    b = (struct copy_binary){0};
    assert_true(TAKE(&b, HEADER, &row) && !row);
    assert_true(TAKE(&b, "\0\002\377\377\377\377\0\0\0\0", &row) && row);
    assert_int_equal(v[0].state, VALUE_NULL);
    assert_int_equal(v[1].state, VALUE_SET);
    assert_int_equal(v[1].s.len, 0);
}

static void refused(const char *data, size_t len, bool begun)
{
    struct copy_binary b = {.begun = begun};
    bool row;

    if (take(&b, data, len, &row))
        fail_msg("taken: %zu bytes", len);
    assert_true(err.message[0] != '\0');
}

#define REFUSED(data) refused(data, sizeof(data) - 1, true)

static void broken(void **state)
{
    static const char whole[] = HEADER ROW;
    size_t n;

    (void)state;
    for (n = 0; n < sizeof(whole) - 1; n++) {
        if (n != sizeof(HEADER) - 1) /* the header alone */
            refused(whole, n, false);
    }
    REFUSED(ROW "x");
    REFUSED("\0\001" TWELVE);                    /* too few columns */
    REFUSED("\0\003" TWELVE "\0\0\0\0\0\0\0\0"); /* too many */
    REFUSED("\377\376");                         /* a count below -1 */
    REFUSED("\0\002\377\377\377\376\0\0\0\0");   /* a length below -1 */
    REFUSED("\0\002\177\377\377\377\0\0\0\0");   /* a length past the end */
    REFUSED(TRAILER "x");
    refused("PGCOPY\n\377\r\n\0\0\001\0\0\0\0\0\0", 19, false); /* flags: with oids */
    refused("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\001", 19, false); /* a longer extension */
}

/* The numeric alone: its bytes, and what they are read as; NULL: they are none. */
static void numeric(const char *data, size_t len, const char *want)
{
    struct copy_binary b = {.begun = true};
    char *message = mem_alloc(len + 10);
    bool row, ok;

    memcpy(message, "\0\002\0\0\0", 5);
    message[5] = (char)len;
    memcpy(message + 6, data, len);
    memcpy(message + 6 + len, "\377\377\377\377", 4);
    ok = take(&b, message, len + 10, &row);
    mem_free(message);
    if (want == NULL) {
        assert_false(ok);
        assert_int_equal(err.kind, ERROR_DATA);
        return;
    }
    assert_true(ok);
    assert_int_equal(v[0].s.len, strlen(want));
    assert_memory_equal(v[0].s.p, want, strlen(want));
}

#define NUMERIC(data, want) numeric(data, sizeof(data) - 1, want)

static void numerics(void **state)
{
    (void)state;
    NUMERIC("\0\0\0\0\0\0\0\0", "0");
    NUMERIC("\0\0\0\0\0\0\0\005", "0.00000");
    NUMERIC("\0\001\0\001\0\0\0\0\0\001", "10000");
    NUMERIC("\0\001\377\377\100\0\0\002\000\144", "-0.01"); /* 100 of 10000 */
    NUMERIC("\0\001\377\376\0\0\0\006\0\144", "0.000001");
    NUMERIC("\0\0\0\0\300\0\0\0", "NaN");
    NUMERIC("\0\0\0\0\320\0\0\0", "Infinity");
    NUMERIC("\0\0\0\0\360\0\0\0", "-Infinity");
    NUMERIC("\0\001\0\0\0\0\0\0\047\020", NULL); /* a digit of 10000 */
    NUMERIC("\0\001\0\0\020\0\0\0\0\001", NULL); /* no such sign */
    NUMERIC("\0\002\0\0\0\0\0\0\0\001", NULL);   /* a digit is missing */
    NUMERIC("\0\0\0\0\0\0\177\377", NULL);       /* decimals past what there can be */
    NUMERIC("\0\0\0", NULL);
}

static int setup(void **state)
{
    (void)state;
    a = arena_new("test");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(a);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrangements),
        cmocka_unit_test(broken),
        cmocka_unit_test(numerics),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
