/* SPDX-License-Identifier: Apache-2.0 */
/* The mailbox of loads: order, ids, its bound, several threads; and names of tables as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "state/requests.h"
#include "util/clock.h"

static void in_order_and_apart(void **state)
{
    struct requests *r = requests_new();
    struct arena *a = arena_new("test");
    const struct qualified two[] = {{"public", "b"}, {"a.b", "c"}};
    struct request *list;
    int64_t first = 0, second = 0, third = 0;
    int n;

    (void)state;
    assert_true(requests_add(r, "shop", "public", "orders", &first));
    assert_true(requests_add(r, "other", NULL, NULL, &second));
    assert_true(requests_add_tables(r, "shop", two, 2, &third));
    assert_true(first >= 1 && first < second && second < third);

    requests_take(r, "nobody", a, &list, &n);
    assert_int_equal(n, 0);
    requests_take(r, "shop", a, &list, &n);
    assert_int_equal(n, 3);
    assert_string_equal(list[0].table, "orders");
    assert_string_equal(list[0].schema, "public");
    assert_string_equal(list[0].connector, "shop");
    assert_int_equal(list[0].id, first);
    assert_string_equal(list[1].table, "b");
    assert_string_equal(list[2].schema, "a.b");
    assert_string_equal(list[2].table, "c");
    assert_int_equal(list[1].id, third);
    assert_int_equal(list[2].id, third);
    requests_take(r, "shop", a, &list, &n);
    assert_int_equal(n, 0);
    requests_take(r, "other", a, &list, &n);
    assert_int_equal(n, 1);
    assert_null(list[0].schema);
    assert_null(list[0].table);
    arena_free(a);
    requests_free(r);
}

/* What does not fit whole is not added at all. */
static void bounded(void **state)
{
    struct requests *r = requests_new();
    struct arena *a = arena_new("test");
    const struct qualified two[] = {{"s", "a"}, {"s", "b"}};
    struct request *list;
    int64_t id = 0, last;
    int n;

    (void)state;
    for (int i = 0; i < REQUESTS_MAX - 1; i++)
        assert_true(requests_add(r, i % 2 ? "one" : "two", "s", "t", &id));
    last = id;
    assert_false(requests_add_tables(r, "one", two, 2, &id));
    assert_int_equal(id, last);
    assert_true(requests_add(r, "one", NULL, NULL, &id));
    assert_int_equal(id, last + 1);
    assert_false(requests_add(r, "three", "s", "t", &id));
    assert_false(requests_add(r, "three", NULL, NULL, &id));
    requests_take(r, "one", a, &list, &n);
    assert_int_equal(n, REQUESTS_MAX / 2);
    assert_null(list[n - 1].table);
    assert_true(requests_add(r, "three", "s", "t", &id));
    requests_take(r, "two", a, &list, &n);
    assert_int_equal(n, REQUESTS_MAX / 2);
    requests_take(r, "three", a, &list, &n);
    assert_int_equal(n, 1);
    arena_free(a);
    requests_free(r);
}

enum { ADDERS = 4, EACH = 3000 };

struct adder {
    struct requests *r;
    int number;
};

static void *add_many(void *arg)
{
    struct adder *adder = arg;
    char name[32];
    int64_t id;

    for (int i = 0; i < EACH; i++) {
        snprintf(name, sizeof(name), "%d", i);
        while (!requests_add(adder->r, adder->number % 2 ? "odd" : "even",
                             adder->number < 2 ? "low" : "high", name, &id))
            clock_sleep_ms(1);
    }
    return NULL;
}

/* Each adder's requests come once and in its order, though all add and two connectors take. */
static void threads(void **state)
{
    struct requests *r = requests_new();
    struct arena *a = arena_new("test");
    struct adder adders[ADDERS];
    pthread_t thread[ADDERS];
    int next[2][2] = {{0}}, total = 0;

    (void)state;
    for (int i = 0; i < ADDERS; i++) {
        adders[i] = (struct adder){r, i};
        assert_int_equal(pthread_create(&thread[i], NULL, add_many, &adders[i]), 0);
    }
    while (total < ADDERS * EACH) {
        for (int c = 0; c < 2; c++) {
            struct request *list;
            int n;

            requests_take(r, c ? "odd" : "even", a, &list, &n);
            for (int i = 0; i < n; i++) {
                int high = strcmp(list[i].schema, "high") == 0;
                char want[32];

                snprintf(want, sizeof(want), "%d", next[c][high]++);
                assert_string_equal(list[i].table, want);
            }
            total += n;
            arena_reset(a);
        }
    }
    for (int i = 0; i < ADDERS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(next[i / 2][i % 2], EACH);
    requests_add(r, "left", "in", "it", &(int64_t){0});
    arena_free(a);
    requests_free(r);
    requests_free(NULL);
}

static void names(void **state)
{
    static const struct {
        const char *text, *schema, *name, *again; /* again NULL: as text */
    } good[] = {
        {"public.orders", "public", "orders", NULL},
        {"a.b.c", "a", "b.c", NULL},
        {"\"a.b\".c", "a.b", "c", NULL},
        {"\"a.b\".\"c\"", "a.b", "c", "\"a.b\".c"},
        {"\"public\".\"orders\"", "public", "orders", "public.orders"},
        {"\"a\"\"b\".\"\"\"\"", "a\"b", "\"", "a\"b.\"\"\"\""},
        {"Public.Ord ers", "Public", "Ord ers", NULL},
        {"a.b\"c\"", "a", "b\"c\"", NULL},
        {"s. t", "s", " t", NULL},
        {"\"\"\"\".x", "\"", "x", NULL},
    };
    static const char *const bad[] = {"",      "orders",   ".t",       "s.",        "\"s\"",
                                      "\"s.t", "\"s\"t",   "\"\".t",   "s.\"\"",    "s.\"t",
                                      "\"s",   "\"s\"x.t", "s.\"t\"x", "s.\"t\".u", "."};
    struct arena *a = arena_new("test");
    struct qualified q;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!qualified_parse(a, good[i].text, &q))
            fail_msg("%s is refused", good[i].text);
        assert_string_equal(q.schema, good[i].schema);
        assert_string_equal(q.name, good[i].name);
        assert_string_equal(qualified_text(a, q.schema, q.name),
                            good[i].again ? good[i].again : good[i].text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (qualified_parse(a, bad[i], &q))
            fail_msg("%s is taken", bad[i]);
    }
    arena_free(a);
}

/* Every pair of names comes back as it was. */
static void names_there_and_back(void **state)
{
    static const char *const parts[] = {"a",  ".",  "\"",  "a.b",   "\".\"", "\"\"",
                                        ".a", "a.", "a\"", "\"a\"", " ",     "\"a\".\"b\""};
    struct arena *a = arena_new("test");
    size_t n = sizeof(parts) / sizeof(parts[0]);

    (void)state;
    for (size_t i = 0; i < n * n; i++) {
        const char *schema = parts[i / n], *name = parts[i % n];
        const char *text = qualified_text(a, schema, name);
        struct qualified q;

        if (!qualified_parse(a, text, &q) || strcmp(q.schema, schema) != 0 ||
            strcmp(q.name, name) != 0)
            fail_msg("[%s] [%s] -> %s", schema, name, text);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_and_apart),
        cmocka_unit_test(bounded),
        cmocka_unit_test(threads),
        cmocka_unit_test(names),
        cmocka_unit_test(names_there_and_back),
    };

    return cmocka_run_group_tests_name("requests", tests, NULL, NULL);
}
