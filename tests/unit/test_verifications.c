/* SPDX-License-Identifier: Apache-2.0 */
/* The list of verifications: turns, cancelling, how many are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/verifications.h"

static int64_t add(struct verifications *v, const char *connector)
{
    const struct qualified tables[] = {{"public", "a"}, {"s", "b"}};
    const struct verification what = {
        .connector = connector, .tables = tables, .n = 2, .limit = 5, .timeout_ms = 1000};
    int64_t id = 0;

    return verifications_add(v, &what, &id) ? id : -1;
}

static void is(struct verifications *v, int64_t id, const char *state, int equal)
{
    json_t *j = verifications_one(v, id);
    const json_t *e = json_object_get(j, "equal");

    assert_string_equal(json_string_value(json_object_get(j, "state")), state);
    assert_int_equal(json_is_null(e) ? -1 : json_is_true(e), equal);
    json_decref(j);
}

static void say_table(struct verifications *v, int64_t id, int i, const char *state)
{
    verifications_table(v, id, i,
                        json_pack("{s:s, s:[{s:s}]}", "state", state, "differences", "kind", "x"));
}

static void test_turns(void **state)
{
    struct verifications *v = verifications_new();
    struct arena *a = arena_new("test");
    struct verification got;

    (void)state;
    assert_int_equal(add(v, "one"), 1);
    assert_int_equal(add(v, "two"), 2);
    assert_int_equal(add(v, "one"), 3);
    assert_true(verifications_take(v, "one", a, &got));
    assert_int_equal(got.id, 1);
    assert_int_equal(got.n, 2);
    assert_string_equal(got.tables[1].name, "b");
    is(v, 1, "running", -1);
    is(v, 3, "waiting", -1);
    say_table(v, 1, 0, "equal");
    say_table(v, 1, 1, "equal");
    verifications_end(v, 1, VERIFICATION_DONE, NULL);
    is(v, 1, "done", 1);
    verifications_end(v, 1, VERIFICATION_FAILED, "too late");
    is(v, 1, "done", 1);
    assert_true(verifications_take(v, "one", a, &got));
    assert_int_equal(got.id, 3);
    say_table(v, 3, 0, "different");
    verifications_end(v, 3, VERIFICATION_DONE, NULL);
    is(v, 3, "done", 0);
    assert_false(verifications_take(v, "one", a, &got));
    arena_free(a);
    verifications_free(v);
}

static void test_cancel(void **state)
{
    struct verifications *v = verifications_new();
    struct arena *a = arena_new("test");
    struct verification got;
    json_t *j;

    (void)state;
    add(v, "one");
    add(v, "one");
    assert_true(verifications_take(v, "one", a, &got));
    assert_false(verifications_is_cancelled(v, 1));
    assert_true(verifications_cancel(v, 1));
    assert_true(verifications_is_cancelled(v, 1));
    is(v, 1, "running", -1); /* until its thread has heard of it */
    assert_true(verifications_cancel(v, 2));
    is(v, 2, "cancelled", -1);
    assert_false(verifications_cancel(v, 3));
    assert_null(verifications_one(v, 3));
    say_table(v, 1, 0, "different");
    verifications_end(v, 1, VERIFICATION_CANCELLED, NULL);
    j = verifications_all(v);
    assert_int_equal(json_array_size(j), 2);
    assert_null(json_object_get(json_array_get(json_object_get(json_array_get(j, 0), "tables"), 0),
                                "differences"));
    json_decref(j);
    arena_free(a);
    verifications_free(v);
}

static void test_kept(void **state)
{
    struct verifications *v = verifications_new();
    int i;

    (void)state;
    for (i = 1; i <= VERIFICATIONS_KEPT; i++)
        assert_int_equal(add(v, "one"), i);
    assert_int_equal(add(v, "one"), -1); /* all of them wait */
    assert_true(verifications_cancel(v, 3));
    assert_int_equal(add(v, "one"), VERIFICATIONS_KEPT + 1); /* in the place of what has ended */
    assert_null(verifications_one(v, 3));
    is(v, 1, "waiting", -1);
    verifications_say(v, 3, "nobody");
    verifications_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
