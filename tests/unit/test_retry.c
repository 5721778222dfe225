/* SPDX-License-Identifier: Apache-2.0 */
/* Back-off: its bounds, that its jitter really spreads, and that a success starts it anew. */
#include "util/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int steps[] = {200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000};
#define STEPS (int)(sizeof(steps) / sizeof(steps[0]))

static void check_steps(struct retry *r)
{
    for (int i = 0; i < STEPS; i++) {
        int ms = retry_next_ms(r);

        if (ms < steps[i] / 2 || ms > steps[i])
            fail_msg("wait %d: %d ms is not within %d and %d", i, ms, steps[i] / 2, steps[i]);
    }
}

static void bounds(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct retry r = {0};

        check_steps(&r);
    }
}

static void a_long_outage(void **state)
{
    struct retry r = {.attempt = UINT32_MAX - 2};

    (void)state;
    for (int i = 0; i < 6; i++) { /* the count may wrap around */
        int ms = retry_next_ms(&r);

        assert_in_range(ms, RETRY_FIRST_MS / 2, RETRY_CAP_MS);
    }
    r.attempt = 100000;
    assert_in_range(retry_next_ms(&r), RETRY_CAP_MS / 2, RETRY_CAP_MS);
}

static void reset(void **state)
{
    struct retry r = {0};

    (void)state;
    for (int i = 0; i < 5; i++) {
        check_steps(&r);
        retry_reset(&r);
    }
    assert_in_range(retry_next_ms(&r), RETRY_FIRST_MS / 2, RETRY_FIRST_MS);
}

/* Every tenth of the random half is met, and none much more often than the others. */
static void check_spread(const int *count, int draws)
{
    for (int i = 0; i < 10; i++)
        if (count[i] < draws / 20 || count[i] > draws / 5)
            fail_msg("tenth %d: %d of %d waits", i, count[i], draws);
}

static int tenth(int ms)
{
    int t = (ms - RETRY_CAP_MS / 2) * 10 / (RETRY_CAP_MS / 2 + 1);

    assert_in_range(t, 0, 9);
    return t;
}

static void jitter_of_one_service(void **state)
{
    struct retry r = {.attempt = 20};
    int count[10] = {0};

    (void)state;
    for (int i = 0; i < 2000; i++)
        count[tenth(retry_next_ms(&r))]++;
    check_spread(count, 2000);
}

/* Many services that begin within the same microsecond or two: their waits are as spread. */
static void jitter_between_services(void **state)
{
    int count[10] = {0};

    (void)state;
    for (int i = 0; i < 2000; i++) {
        struct retry r = {.attempt = 20};

        count[tenth(retry_next_ms(&r))]++;
    }
    check_spread(count, 2000);
}

static void seeds_differ(void **state)
{
    int same = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        struct retry a = {0}, b = {0};

        retry_next_ms(&a);
        retry_next_ms(&b);
        same += a.seed == b.seed;
    }
    assert_in_range(same, 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds),
        cmocka_unit_test(a_long_outage),
        cmocka_unit_test(reset),
        cmocka_unit_test(jitter_of_one_service),
        cmocka_unit_test(jitter_between_services),
        cmocka_unit_test(seeds_differ),
    };

    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
