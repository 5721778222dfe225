/* SPDX-License-Identifier: Apache-2.0 */
/* Which source a connector's name means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "config/feeds.h"
#include "config/file.h"

static const struct setting sink_settings[] = {
    {.name = "topics", .type = SETTING_STRING, .doc = "list"},
    {.name = "topics.regex", .type = SETTING_REGEX, .doc = "expression"},
    {.name = NULL},
};
static const struct setting source_settings[] = {
    {.name = "topic.prefix", .type = SETTING_STRING, .doc = "prefix"},
    {.name = NULL},
};

static struct config *make(const char *name, const struct setting *settings, const char *key,
                           const char *value)
{
    const struct setting *const tables[] = {settings, NULL};
    const char *const pairs[] = {key, value, NULL};
    struct config *c = NULL;
    struct error err = {0};

    if (!config_make(&c, name, tables, pairs, &err))
        fail_msg("%s", err.message);
    return c;
}

enum { SHOP, BOOKS, TO_SHOP, TO_BOOKS, TO_BOTH, TO_NONE, NO_CONFIG, ENDS };

static struct feed_end ends[ENDS];
static struct config *configs[ENDS];

static int setup(void **state)
{
    (void)state;
    configs[SHOP] = make("shop", source_settings, "topic.prefix", "shop");
    configs[BOOKS] = make("books", source_settings, "topic.prefix", "books");
    configs[TO_SHOP] = make("one", sink_settings, "topics", "x.y.z, shop.public.orders");
    configs[TO_BOOKS] = make("two", sink_settings, "topics.regex", "books\\.public\\..*");
    configs[TO_BOTH] = make("both", sink_settings, "topics.regex", "(shop|books)\\..*");
    configs[TO_NONE] = make("none", sink_settings, "topics.regex", "shopping\\..*");
    ends[SHOP] = (struct feed_end){"shop", true, configs[SHOP]};
    ends[BOOKS] = (struct feed_end){"books", true, configs[BOOKS]};
    ends[TO_SHOP] = (struct feed_end){"one", false, configs[TO_SHOP]};
    ends[TO_BOOKS] = (struct feed_end){"two", false, configs[TO_BOOKS]};
    ends[TO_BOTH] = (struct feed_end){"both", false, configs[TO_BOTH]};
    ends[TO_NONE] = (struct feed_end){"none", false, configs[TO_NONE]};
    ends[NO_CONFIG] = (struct feed_end){"bare", false, NULL};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < ENDS; i++)
        config_free(configs[i]);
    return 0;
}

static void names_that_mean_a_source(void **state)
{
    struct error err = {0};

    (void)state;
    assert_int_equal(feeds_source(ends, ENDS, "shop", &err), SHOP);
    assert_int_equal(feeds_source(ends, ENDS, "books", &err), BOOKS);
    assert_int_equal(feeds_source(ends, ENDS, "one", &err), SHOP);
    assert_int_equal(feeds_source(ends, ENDS, "two", &err), BOOKS);
    assert_int_equal(feeds_sink(ends, ENDS, SHOP), TO_SHOP);
    assert_int_equal(feeds_sink(ends, ENDS, BOOKS), TO_BOOKS);
    assert_int_equal(feeds_sink(ends, TO_SHOP, SHOP), -1);
}

static void refused(const char *name, const char *message, const char *hint)
{
    struct error err = {0};

    assert_int_equal(feeds_source(ends, ENDS, name, &err), -1);
    assert_int_equal(err.kind, ERROR_CONFIG);
    if (strstr(err.message, message) == NULL || strstr(err.hint, hint) == NULL)
        fail_msg("%s -> %s / %s", name, err.message, err.hint);
}

static void names_that_do_not(void **state)
{
    struct error err = {0};

    (void)state;
    refused("Shop", "no connector Shop", "did you mean shop?");
    refused("book", "no connector book", "did you mean books?");
    refused("qqqqqqqq", "no connector qqqqqqqq", "there is: shop, books, one");
    refused("both", "both has several sources", "shop, books");
    refused("none", "none takes the topics of no source", "");
    refused("bare", "bare takes the topics of no source", "");
    assert_int_equal(feeds_source(ends, 0, "shop", &err), -1);
    assert_string_equal(err.hint, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_mean_a_source),
        cmocka_unit_test(names_that_do_not),
    };

    return cmocka_run_group_tests_name("feeds", tests, setup, teardown);
}
