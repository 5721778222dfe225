/* SPDX-License-Identifier: Apache-2.0 */
/* How near the loss of the log is: rate, time left, levels, and that they do not flap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "pipeline/retention.h"

#define MB ((int64_t)1024 * 1024)

static struct mark mark(int64_t retained, int64_t safe)
{
    return (struct mark){.state = MARK_READY,
                         .retained_bytes = retained,
                         .safe_bytes = safe,
                         .limit_bytes = -1,
                         .log_bytes = -1,
                         .idle_left_s = -1,
                         .status = "reserved"};
}

static int judge(struct retention *r, int percent)
{
    struct mark m = mark(percent * MB, (100 - percent) * MB);

    return retention_judge(r, &m);
}

static void test_rate(void **state)
{
    struct retention r;
    struct mark m = mark(10 * MB, 90 * MB);

    (void)state;
    retention_init(&r);
    assert_int_equal(retention_rate(&r), -1);
    assert_int_equal(retention_seconds_left(&r, &m), -1);
    m.log_bytes = 1000 * MB;
    retention_saw(&r, &m, 5000);
    assert_int_equal(retention_rate(&r), -1);
    m.log_bytes += 3 * MB;
    retention_saw(&r, &m, 5001); /* too soon */
    assert_int_equal(retention_rate(&r), -1);
    retention_saw(&r, &m, 8000);
    assert_int_equal(retention_rate(&r), MB);
    assert_int_equal(retention_seconds_left(&r, &m), 90);
    m.log_bytes = 5; /* another server's log */
    retention_saw(&r, &m, 10000);
    assert_int_equal(retention_rate(&r), MB);
    m.safe_bytes = -1; /* no limit: no end */
    assert_int_equal(retention_seconds_left(&r, &m), -1);
    assert_int_equal(retention_percent(&m), -1);
    m.idle_left_s = 33;
    assert_int_equal(retention_seconds_left(&r, &m), 33);
}

static void test_levels_are_entered_and_left_well_below(void **state)
{
    static const struct {
        int percent, level;
    } steps[] = {{49, 0}, {50, 1}, {49, 1}, {45, 1}, {44, 0}, {79, 1}, {80, 2}, {76, 2},
                 {74, 1}, {96, 3}, {91, 3}, {89, 2}, {95, 3}, {10, 0}, {80, 2}, {46, 1}};
    struct retention r;

    (void)state;
    retention_init(&r);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        assert_int_equal(judge(&r, steps[i].percent), steps[i].level);
}

static void test_the_servers_word_and_time(void **state)
{
    struct retention r;
    struct mark m = mark(11 * MB, 89 * MB);

    (void)state;
    retention_init(&r);
    strcpy(m.status, "extended");
    assert_int_equal(retention_judge(&r, &m), 1);
    strcpy(m.status, "unreserved");
    assert_int_equal(retention_judge(&r, &m), 3);
    strcpy(m.status, "reserved");
    assert_int_equal(retention_judge(&r, &m), 0);
    r.rate = 89.0 * (double)MB / 3599;
    assert_int_equal(retention_judge(&r, &m), 2);
    r.rate = 89.0 * (double)MB / 7000; /* still less than two hours */
    assert_int_equal(retention_judge(&r, &m), 2);
    r.rate = 89.0 * (double)MB / 7300;
    assert_int_equal(retention_judge(&r, &m), 0);
    m.retained_bytes = MB; /* it follows closely: the time does not count */
    r.rate = (double)MB;
    assert_int_equal(retention_judge(&r, &m), 0);
    m.idle_left_s = 100;
    assert_int_equal(retention_judge(&r, &m), 2);
    m.idle_left_s = -1;
    m.retained_bytes = 100 * MB;
    m.safe_bytes = 0;
    assert_int_equal(retention_judge(&r, &m), 3);
    m.safe_bytes = -1; /* no limit at all, however much is kept */
    assert_int_equal(retention_judge(&r, &m), 0);
    m.state = MARK_LOST;
    assert_int_equal(retention_judge(&r, &m), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_levels_are_entered_and_left_well_below),
        cmocka_unit_test(test_the_servers_word_and_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
