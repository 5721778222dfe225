/* SPDX-License-Identifier: Apache-2.0 */
/* Loads that are asked for in the books, on a DuckDB file. */
#include "wdk_fixture.h"

#include "state/books_request.h"

static struct books books_of(struct fixture *f, const char *source)
{
    return (struct books){.ops = ops, .session = f->s, .connector = "wh", .source = source};
}

static void add(struct fixture *f, const char *connector, const char *source, uint32_t id,
                const char *schema, const char *name, enum table_state state)
{
    struct books b = {.ops = ops, .session = f->s, .connector = connector, .source = source};
    struct table t = {.oid = id, .schema = schema, .name = name, .topic = "t"};
    struct table_record rec = {.table = &t,
                               .target_schema = schema,
                               .target_name = name,
                               .state = state,
                               .reason = "old",
                               .load = id,
                               .loaded = true,
                               .s = 77,
                               .rows = 5};

    if (!books_table_put(&b, &rec, &f->err))
        fail_msg("%s", f->err.message);
}

static int with_books(void **state)
{
    struct fixture *f;
    struct books b;

    if (setup(state) != 0)
        return -1;
    f = *state;
    b = books_of(f, "shop");
    if (!books_open(&b, &f->err))
        fail_msg("%s", f->err.message);
    add(f, "wh", "shop", 1, "public", "orders", TABLE_LIVE);
    add(f, "wh", "shop", 2, "public", "items", TABLE_NEEDS_SNAPSHOT);
    add(f, "wh", "shop", 3, "a.b", "it's", TABLE_LIVE);
    add(f, "wh", "other", 1, "public", "orders", TABLE_LIVE);
    add(f, "wh2", "shop", 1, "public", "orders", TABLE_LIVE);
    exec(f, "UPDATE penstock.tables SET updated_at = '2001-01-01'");
    return 0;
}

#define STATES                                                                                  \
    "SELECT connector, source, source_id, state, reason, loaded, load, snapshot_csn, \"rows\" " \
    "FROM penstock.tables ORDER BY 1, 2, 3"
#define UNTOUCHED_OTHER "wh|other|1|live|old|true|1|77|5;"
#define UNTOUCHED_WH2 ";wh2|shop|1|live|old|true|1|77|5"

static void one_table(void **state)
{
    struct fixture *f = *state;
    struct books b = books_of(f, "shop");
    struct qualified *marked;
    int n = 0;

    assert_true(books_request_load(&b, "a.b", "it's", f->a, &marked, &n, &f->err));
    assert_int_equal(n, 1);
    assert_string_equal(marked[0].schema, "a.b");
    assert_string_equal(marked[0].name, "it's");
    answers(f, STATES,
            UNTOUCHED_OTHER "wh|shop|1|live|old|true|1|77|5;"
                            "wh|shop|2|needs snapshot|old|true|2|77|5;"
                            "wh|shop|3|loading|resync was asked for|false|3|77|5" UNTOUCHED_WH2);
    answers(f, "SELECT source_id FROM penstock.tables WHERE updated_at > now() - INTERVAL 1 MINUTE",
            "3");
}

static void all_tables(void **state)
{
    struct fixture *f = *state;
    struct books b = books_of(f, "shop");
    struct qualified *marked;
    int n = 0;

    assert_true(books_request_load(&b, NULL, NULL, f->a, &marked, &n, &f->err));
    assert_int_equal(n, 3);
    assert_string_equal(marked[0].schema, "a.b"); /* by name */
    assert_string_equal(marked[1].name, "items");
    assert_string_equal(marked[2].name, "orders");
    answers(f, STATES,
            UNTOUCHED_OTHER "wh|shop|1|loading|resync was asked for|false|1|77|5;"
                            "wh|shop|2|loading|resync was asked for|false|2|77|5;"
                            "wh|shop|3|loading|resync was asked for|false|3|77|5" UNTOUCHED_WH2);
}

/* A table that is there twice, live and with a load that was cut off, is marked as one; what that
 * has copied does not count any more. */
static void a_load_cut_off(void **state)
{
    struct fixture *f = *state;
    struct books b = books_of(f, "shop");
    struct qualified *marked;
    int n = 0;

    exec(f, "INSERT INTO penstock.tables SELECT * REPLACE (9 AS load, 'loading' AS state) FROM "
            "penstock.tables WHERE source_id = 2");
    exec(f, "INSERT INTO penstock.snapshot_chunks (connector, source, source_id, load, chunk, "
            "\"rows\", snapshot_csn, from_key, to_key, done) VALUES "
            "('wh', 'shop', 2, 9, 0, 5, 77, NULL, 'm', true), "
            "('wh', 'shop', 2, 9, 1, 0, 0, 'm', NULL, false), "
            "('wh', 'other', 2, 9, 0, 5, 77, NULL, 'm', true), "
            "('wh', 'shop', 1, 8, 0, 5, 77, NULL, 'm', true)");
    assert_true(books_request_load(&b, "public", "items", f->a, &marked, &n, &f->err));
    assert_int_equal(n, 1);
    assert_string_equal(marked[0].name, "items");
    answers(f, "SELECT source, source_id FROM penstock.snapshot_chunks ORDER BY 1, 2",
            "other|2;shop|1");
    answers(f, "SELECT load, state, loaded FROM penstock.tables WHERE source_id = 2 ORDER BY 1",
            "2|loading|false;9|loading|false");
    assert_true(books_request_load(&b, NULL, NULL, f->a, &marked, &n, &f->err));
    assert_int_equal(n, 3);
    answers(f, "SELECT source, source_id FROM penstock.snapshot_chunks", "other|2");
}

static void refused(struct fixture *f, const char *source, const char *schema, const char *name,
                    const char *message, const char *hint)
{
    struct books b = books_of(f, source);
    const char *before = answer(f, STATES);
    struct qualified *marked;
    int n = 0;

    error_clear(&f->err);
    assert_false(books_request_load(&b, schema, name, f->a, &marked, &n, &f->err));
    assert_int_equal(f->err.kind, ERROR_CONFIG);
    if (strstr(f->err.message, message) == NULL || strstr(f->err.hint, hint) == NULL)
        fail_msg("%s / %s", f->err.message, f->err.hint);
    answers(f, STATES, before);
    exec(f, "BEGIN"); /* no transaction is left open */
    exec(f, "ROLLBACK");
}

static void unknown_names(void **state)
{
    struct fixture *f = *state;

    refused(f, "shop", "public", "order", "no table public.order", "did you mean public.orders?");
    refused(f, "shop", "public", "Orders", "no table public.Orders", "public.orders");
    refused(f, "shop", "a", "b.it's", "no table a.b.it's", "\"a.b\".it's");
    refused(f, "shop", "zzz", "qqqqqqqqqqqqqq", "no table zzz.qqq", "");
    refused(f, "nobody", NULL, NULL, "no table of connector nobody yet", "start the service");
    refused(f, "nobody", "public", "orders", "no table of connector nobody yet", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_table, with_books, teardown),
        cmocka_unit_test_setup_teardown(all_tables, with_books, teardown),
        cmocka_unit_test_setup_teardown(a_load_cut_off, with_books, teardown),
        cmocka_unit_test_setup_teardown(unknown_names, with_books, teardown),
    };

    return cmocka_run_group_tests_name("books_request", tests, NULL, NULL);
}
