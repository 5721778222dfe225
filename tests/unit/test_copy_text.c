/* SPDX-License-Identifier: Apache-2.0 */
/* COPY rows: the manual's escapes, NULL against text, broken rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "source_postgres/copy_text.h"
#include "util/mem.h"

#define MAX_CELLS 8

/* Splits a copy of row, of its exact size; want: NULL for NULL, ncells of them. */
static void expect(const char *row, size_t len, const char *const *want, int ncells)
{
    struct pg_cell cells[MAX_CELLS];
    char *copy = mem_alloc(len);
    struct error err = {0};

    memcpy(copy, row, len);
    if (!copy_text_split(copy, len, cells, ncells, &err))
        fail_msg("%s", err.message);
    for (int i = 0; i < ncells; i++) {
        if (want[i] == NULL) {
            assert_int_equal(cells[i].kind, PG_CELL_NULL);
            assert_null(cells[i].p);
            continue;
        }
        assert_int_equal(cells[i].kind, PG_CELL_TEXT);
        assert_int_equal(cells[i].len, strlen(want[i]));
        assert_memory_equal(cells[i].p, want[i], cells[i].len);
    }
    mem_free(copy);
}

#define EXPECT(row, n, ...) expect(row, sizeof(row) - 1, (const char *const[]){__VA_ARGS__}, n)

static void columns(void **state)
{
    (void)state;
    EXPECT("\n", 1, "");
    EXPECT("\n", 0, NULL);
    EXPECT("1\n", 1, "1");
    EXPECT("1\ttwo\t3\n", 3, "1", "two", "3");
    EXPECT("\t\t\n", 3, "", "", "");
    EXPECT("M\xc3\xbc\tb\n", 2, "M\xc3\xbc", "b");
}

static void nulls(void **state)
{
    (void)state;
    EXPECT("\\N\n", 1, NULL);
    EXPECT("\\N\ta\t\\N\n", 3, NULL, "a", NULL);
    EXPECT("\t\\N\t\\\\N\n", 3, "", NULL, "\\N");
    EXPECT("N\t\\N \tx\\N\n", 3, "N", "N ", "xN"); /* only a whole column is NULL */
}

static void escapes(void **state)
{
    (void)state;
    EXPECT("\\b\\f\\n\\r\\t\\v\\\\\n", 1, "\b\f\n\r\t\v\\");
    EXPECT("tab\\there\\nnl \\\\ bs\tplain\n", 2, "tab\there\nnl \\ bs", "plain");
    EXPECT("\\x41\\x4a\\x4Az\\x9\t\\xg\\x\n", 2, "AJJz\t", "xgx");
    EXPECT("\\101\\0101\\7x\\58\t\\303\\274\n", 2, "A\b1\ax\0058", "\xc3\xbc");
    EXPECT("\\q\\.\n", 1, "q.");
    /* As the server wrote it: bytea, an array with quotes. */
    EXPECT("\\\\x00ff5c\t{NULL,\"q\\\\\"x\"}\n", 2, "\\x00ff5c", "{NULL,\"q\\\"x\"}");
}

static void columns_without_escapes_are_not_touched(void **state)
{
    char row[] = "abc\t\\t\n";
    struct pg_cell cells[2];
    struct error err;

    (void)state;
    assert_true(copy_text_split(row, sizeof(row) - 1, cells, 2, &err));
    assert_ptr_equal(cells[0].p, row);
    assert_ptr_equal(cells[1].p, row + 4);
    assert_int_equal(cells[1].len, 1);
}

static void expect_broken(const char *row, int ncells, const char *want)
{
    struct pg_cell cells[MAX_CELLS];
    size_t len = strlen(row);
    char *copy = mem_alloc(len > 0 ? len : 1);
    struct error err = {0};

    memcpy(copy, row, len);
    assert_false(copy_text_split(copy, len, cells, ncells, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_memory_equal(err.message, "broken or truncated COPY row: ", 30);
    assert_string_equal(err.message + 30, want);
    mem_free(copy);
}

static void broken_rows(void **state)
{
    (void)state;
    expect_broken("", 1, "no newline at its end, at offset 0 of 0 bytes");
    expect_broken("a\tb", 2, "no newline at its end, at offset 3 of 3 bytes");
    expect_broken("a\n", 2, "fewer columns than were asked for, at offset 2 of 2 bytes");
    expect_broken("a\tb\tc\n", 2, "more columns than were asked for, at offset 4 of 6 bytes");
    expect_broken("a\n", 0, "more columns than were asked for, at offset 0 of 2 bytes");
    expect_broken("\\\n", 1, "a lone backslash, at offset 0 of 2 bytes");
    expect_broken("a\\\tb\n", 2, "a lone backslash, at offset 1 of 5 bytes");
    expect_broken("\\x41\\\n", 1, "a lone backslash, at offset 4 of 6 bytes");
}

static void every_truncation_is_an_error(void **state)
{
    static const char row[] = "1\ttab\\there\t\\N\t\\x41\t\\101\n";
    struct pg_cell cells[MAX_CELLS];
    struct error err;

    (void)state;
    for (size_t len = 0; len < sizeof(row) - 1; len++) {
        char *copy = mem_alloc(len > 0 ? len : 1);

        memcpy(copy, row, len);
        assert_false(copy_text_split(copy, len, cells, 5, &err));
        mem_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns),     cmocka_unit_test(nulls),
        cmocka_unit_test(escapes),     cmocka_unit_test(columns_without_escapes_are_not_touched),
        cmocka_unit_test(broken_rows), cmocka_unit_test(every_truncation_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
