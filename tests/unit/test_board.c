/* SPDX-License-Identifier: Apache-2.0 */
/* The board: order, copies, states, readiness, and the log lines of state changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "state/board.h"

static struct board_table table_of(const char *connector, const char *name, enum table_state state,
                                   const char *reason)
{
    return (struct board_table){
        .connector = connector,
        .schema = "public",
        .name = name,
        .target_schema = "public",
        .target_name = name,
        .state = state,
        .reason = reason,
        .rows = 10,
        .rows_total = -1,
        .position = "0/10",
    };
}

/* What run() writes to stderr, in out. */
static void capture(void (*run)(struct board *), struct board *b, char *out, size_t size)
{
    int fds[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    run(b);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[1]);
    n = read(fds[0], out, size - 1);
    close(fds[0]);
    out[n > 0 ? n : 0] = '\0';
}

static void fill(struct board *b)
{
    struct board_table t;

    t = table_of("shop", "b", TABLE_LOADING, NULL);
    board_set_table(b, &t);
    t = table_of("shop", "a", TABLE_LIVE, NULL);
    board_set_table(b, &t);
    t = table_of("alpha", "z", TABLE_REFUSED, "has a column _penstock_csn");
    board_set_table(b, &t);
}

static void test_tables(void **state)
{
    struct board *b = board_new("svc");
    struct arena *a = arena_new("test");
    struct board_table *t, changed;
    char log[4096];
    int n;

    (void)state;
    capture(fill, b, log, sizeof(log));
    assert_non_null(strstr(log, "table state table=public.b from=none to=loading reason=\"\""));
    assert_non_null(strstr(log, "warn  table state table=public.z from=none to=refused "
                                "reason=\"has a column _penstock_csn\""));
    board_tables(b, a, &t, &n);
    assert_int_equal(n, 3);
    assert_string_equal(t[0].connector, "alpha");
    assert_string_equal(t[1].name, "a");
    assert_string_equal(t[2].name, "b");
    assert_int_equal(t[2].state, TABLE_LOADING);
    assert_null(t[2].reason);

    board_add_rows(b, "shop", "public", "b", -3, 10);
    board_add_rows(b, "shop", "public", "nosuch", 5, 5);
    changed = table_of("shop", "a", TABLE_NEEDS_SNAPSHOT, "column c changed");
    changed.position = NULL;
    board_set_table(b, &changed);
    board_remove_table(b, "alpha", "public", "z");
    board_remove_table(b, "alpha", "public", "z");
    board_tables(b, a, &t, &n);
    assert_int_equal(n, 2);
    assert_int_equal(t[0].state, TABLE_NEEDS_SNAPSHOT);
    assert_string_equal(t[0].position, "");
    assert_string_equal(t[0].reason, "column c changed");
    assert_int_equal(t[1].rows, 7);
    board_free(b);
    assert_string_equal(t[0].name, "a"); /* copies outlive the board */
    arena_free(a);
}

static void fail_shop(struct board *b)
{
    board_set_state(b, "shop", CONNECTOR_RUNNING, CONNECTOR_FAILED, "wal_level is replica");
    board_set_state(b, "shop", CONNECTOR_RUNNING, CONNECTOR_FAILED, "wal_level is replica");
}

static void test_connectors(void **state)
{
    struct board *b = board_new("svc");
    struct arena *a = arena_new("test");
    struct board_connector *c;
    const char *why = "", *line;
    char log[4096];
    int n;

    (void)state;
    assert_true(board_ready(b, a, &why)); /* no connectors: nothing to wait for */
    assert_null(why);
    board_add_connector(b, "shop", true, NULL);
    board_add_connector(b, "dw", false, NULL);
    assert_false(board_ready(b, a, &why));
    assert_string_equal(why, "shop is UNASSIGNED; dw is UNASSIGNED");
    capture(fail_shop, b, log, sizeof(log));
    line = strstr(log, "info  connector state name=shop from=UNASSIGNED to=RUNNING "
                       "task_from=UNASSIGNED task_to=FAILED\n");
    assert_non_null(line);
    assert_null(strstr(strchr(line, '\n'), "connector state")); /* once */
    board_connectors(b, a, &c, &n);
    assert_int_equal(n, 2);
    assert_string_equal(c[0].name, "shop");
    assert_true(c[0].source);
    assert_string_equal(c[0].trace, "wal_level is replica");
    assert_false(c[1].source);
    assert_null(c[1].trace);
    board_set_state(b, "dw", CONNECTOR_RUNNING, CONNECTOR_RUNNING, NULL);
    assert_false(board_ready(b, a, &why));
    assert_string_equal(why, "shop is FAILED: wal_level is replica");
    board_set_state(b, "shop", CONNECTOR_RUNNING, CONNECTOR_RUNNING, NULL);
    assert_true(board_ready(b, a, &why));
    arena_free(a);
    board_free(b);
}

static void test_names(void **state)
{
    enum table_state s;

    (void)state;
    assert_string_equal(connector_state_name(CONNECTOR_STOPPED), "STOPPED");
    for (int i = TABLE_LOADING; i <= TABLE_REFUSED; i++) {
        assert_true(table_state_parse(table_state_name((enum table_state)i), &s));
        assert_int_equal(s, i);
    }
    assert_false(table_state_parse("Live", &s));
}

static void *add_rows(void *p)
{
    for (int i = 0; i < 10000; i++)
        board_add_rows(p, "shop", "public", "b", 1, 1);
    return NULL;
}

static void test_threads(void **state)
{
    struct board *b = board_new("svc");
    struct arena *a = arena_new("test");
    struct board_table *t;
    pthread_t threads[3];
    int n;

    (void)state;
    fill(b);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_rows, b), 0);
    for (int i = 0; i < 50; i++)
        board_tables(b, a, &t, &n);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    board_tables(b, a, &t, &n);
    assert_int_equal(t[2].rows, 30010);
    arena_free(a);
    board_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_connectors),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
