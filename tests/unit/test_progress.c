/* SPDX-License-Identifier: Apache-2.0 */
/* Progress in words: every line fits every screen, says "about" where it guesses, and is plain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/progress_text.h"
#include "cli/sync_internal.h"
#include "util/codepoint.h"

static const struct progress_table active[] = {
    {"public.orders", 1200000, 5000000, 310000},
    {"public.a_very_long_name_of_a_table_that_somebody_made_up_for_this", 5, 10, 0.5},
    {"public.\xe6\xb3\xa8\xe6\x96\x87\xe6\xb3\xa8\xe6\x96\x87", 1, -1, -1},
    {"public.evil\x1b[2J\nname", 7, 8, 1},
};

static struct progress_view loading(void)
{
    return (struct progress_view){.tables = 31,
                                  .loading = 9,
                                  .copied = 22,
                                  .rows = 1200013,
                                  .total = 5000028,
                                  .rate = 310001,
                                  .lag_bytes = 0,
                                  .age_ms = -1,
                                  .warehouse = "duckdb:w.duckdb",
                                  .active = active,
                                  .nactive = 4};
}

static struct progress_view live(void)
{
    return (struct progress_view){.tables = 31,
                                  .copied = 31,
                                  .rate = 412,
                                  .lag_bytes = 2048,
                                  .age_ms = 3400,
                                  .commit_us = 1700000000000000,
                                  .warehouse = "duckdb:w.duckdb"};
}

static void expect(const struct progress_view *v, int columns, int rows, const char *want)
{
    struct buf out = {0};

    progress_text(v, columns, rows, &out);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void test_loading(void **state)
{
    struct progress_view v = loading();

    (void)state;
    v.nactive = 1;
    expect(&v, 120, 24,
           "  public.orders  1,200,000 of about 5,000,000 rows  24 %  310,000 rows/s  about 13 s "
           "left\n"
           "loading: 22 of 31 tables copied, 1,200,013 of about 5,000,028 rows, 24 %, 310,001 "
           "rows/s, about 13 s left\n");
    expect(&v, 80, 24,
           "  public.orders  1,200,000 of about 5,000,000  24 %  310,000/s  about 13 s left\n"
           "loading: 22/31, 1,200,013 of about 5,000,028, 24 %, 310,001/s, about 13 s left\n");
    expect(&v, 40, 24,
           "  public.orders  24 %  about 13 s left\n"
           "loading: 22/31, 24 %, about 13 s left\n");
    v.stopped = 2;
    expect(&v, 78, 3,
           "loading: 22/31 tables, 24 %, about 13 s left, 2 stopped: see penstock status\n");
    v.rows = v.total; /* an estimate that was too low is none of being done */
    v.rows += 5;
    v.rate = 0;
    expect(&v, 80, 3, "loading: 22/31 tables, 100 %, 2 stopped: see penstock status\n");
    v.total = -1;
    expect(&v, 80, 3, "loading: 22/31 tables, 2 stopped: see penstock status\n");
    v.stopped = 0;
    expect(&v, 80, 3, "loading: 22 of 31 tables copied, 5,000,033 rows, 0 rows/s\n");
}

static void test_live(void **state)
{
    struct progress_view v = live();

    (void)state;
    expect(&v, 120, 24,
           "live: 2.0 KB, 3 s behind; 412 rows/s; last commit 22:13:20Z; to duckdb:w.duckdb; 31 "
           "tables\n");
    expect(&v, 79, 24, "live: 2.0 KB, 3 s behind; 412 rows/s; commit 22:13:20Z; to w.duckdb\n");
    expect(&v, 60, 24, "live: 2.0 KB, 3 s behind; 412 rows/s; commit 22:13:20Z\n");
    expect(&v, 40, 24, "live: 2.0 KB, 3 s behind; 412 rows/s\n");
    expect(&v, 30, 24, "live: 2.0 KB, 3 s behind\n");
    v.trouble = "connecting to x: Connection refused; to mend it: start it\nnow";
    expect(&v, 50, 24, "waiting: 3 s behind, connecting to x: Connection \n");
    v = live();
    v.stopped = 1;
    expect(&v, 90, 24,
           "live: 2.0 KB, 3 s behind; 1 stopped: see penstock status; 412 rows/s; commit "
           "22:13:20Z\n");
    expect(&v, 60, 24, "live: 2.0 KB, 3 s behind; 1 stopped: see penstock status\n");
    v = (struct progress_view){.warehouse = "w"};
    expect(&v, 80, 24, "connecting\n");
}

/* No line may reach the last column, whatever the screen: it would wrap. */
static void test_any_screen(void **state)
{
    (void)state;
    for (int columns = 1; columns < 130; columns++) {
        for (int rows = 1; rows < 30; rows += 3) {
            for (int k = 0; k < 3; k++) {
                struct progress_view v = k == 0 ? loading() : live();
                struct buf out = {0};
                char *at, *line;
                int n, seen = 0;

                v.trouble = k == 2 ? "no \x1b[31m luck" : NULL;
                n = progress_text(&v, columns, rows, &out);
                assert_true(n == 1 || n < rows - 1);
                for (line = strtok_r((char *)(uintptr_t)buf_cstr(&out), "\n", &at); line != NULL;
                     line = strtok_r(NULL, "\n", &at)) {
                    assert_true(progress_columns(line) < columns || columns == 1);
                    assert_null(strpbrk(line, "\x1b\r"));
                    seen++;
                }
                assert_true(seen <= n);
                buf_free(&out);
            }
        }
    }
}

static void test_plain(void **state)
{
    char text[] = "a\x1b[1m\tb\x7f\xc2\x9b"
                  "c\xff\xe4\xb8\xad\xed\xa0\x80";

    (void)state;
    codepoint_make_plain(text);
    assert_string_equal(text, "a [1m b   c?\xe4\xb8\xad???");
    assert_int_equal(progress_columns("e\xcc\x81\xe4\xb8\xad"), 3);
}

static void test_urls_without_passwords(void **state)
{
    static const char *const cases[][2] = {
        {"postgres://u:secret@h:5/d", "postgres://u@h:5/d"},
        {"postgres://u:s:e@c@h/d?password=x", "postgres://u@h/d"},
        {"postgres://u@h/d?password=x&sslmode=require", "'postgres://u@h/d?sslmode=require'"},
        {"postgres://u@h/d?sslmode=require&password=x", "'postgres://u@h/d?sslmode=require'"},
        {"postgres:///d?host=/run/x y", "'postgres:///d?host=/run/x y'"},
        {"duckdb:it's.duckdb", "'duckdb:it'\\''s.duckdb'"},
        {"duckdb:w.duckdb", "duckdb:w.duckdb"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = {0};
        bool had = sync_put_url(&out, cases[i][0]);

        assert_string_equal(buf_cstr(&out), cases[i][1]);
        assert_int_equal(had, i < 4);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loading),
        cmocka_unit_test(test_live),
        cmocka_unit_test(test_any_screen),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_urls_without_passwords),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
