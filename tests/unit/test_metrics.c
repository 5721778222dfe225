/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics: values, the text format, escaping, and schemas/metrics.md against the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/internal.h"
#include "state/board.h"
#include "util/clock.h"
#include "util/log.h"

static void test_values(void **state)
{
    (void)state;
    assert_int_equal(metric_get(METRIC_SOURCE_EVENTS, "none"), 0);
    metric_add(METRIC_SOURCE_EVENTS, "shop", 5);
    metric_add(METRIC_SOURCE_EVENTS, "shop", 6);
    metric_set(METRIC_SOURCE_LAG_BYTES, "shop", 77);
    metric_set(METRIC_SOURCE_LAG_BYTES, "shop", 78);
    assert_int_equal(metric_get(METRIC_SOURCE_EVENTS, "shop"), 11);
    assert_int_equal(metric_get(METRIC_SOURCE_LAG_BYTES, "shop"), 78);
}

static void test_text(void **state)
{
    struct board *b = board_new("svc");
    struct board_table t = {.connector = "shop",
                            .schema = "public",
                            .name = "odd\"name\\x\ny",
                            .state = TABLE_NEEDS_SNAPSHOT,
                            .rows_total = -1};
    struct buf out = {0};
    const char *s;

    (void)state;
    board_set_table(b, &t);
    metric_set(METRIC_SOURCE_EVENTS, "text", 3);
    metric_set(METRIC_SINK_APPLY_US, "text", 1500001);
    metric_set(METRIC_SINK_COMMIT_TIME, "text", 1700000000123456);
    metrics_write(&out, b);
    s = buf_cstr(&out);
    assert_non_null(strstr(s, "# TYPE penstock_source_events_total counter\n"));
    assert_non_null(strstr(s, "\npenstock_source_events_total{connector=\"text\"} 3\n"));
    assert_non_null(
        strstr(s, "\npenstock_sink_apply_seconds_total{connector=\"text\"} 1.500001\n"));
    assert_non_null(strstr(
        s, "\npenstock_watermark_timestamp_seconds{connector=\"text\"} 1700000000.123456\n"));
    assert_null(strstr(s, "penstock_restarts_total{connector=\"text\"}")); /* never touched */
    assert_non_null(strstr(s, "penstock_table_state{connector=\"shop\",table=\"public.odd\\\"name"
                              "\\\\x\\ny\",state=\"needs snapshot\"} 1\n"));
    assert_non_null(strstr(s, "state=\"live\"} 0\n"));
    assert_non_null(strstr(s, "\npenstock_info{version=\""));
    assert_non_null(strstr(s, "\nprocess_resident_memory_bytes "));
    assert_int_equal(s[strlen(s) - 1], '\n');
    buf_free(&out);
    board_free(b);
}

/* One row a metric, in the table's order, with its type, labels and help. */
static void expected_list(struct buf *out)
{
    buf_puts(out, "| name | type | labels | meaning |\n|---|---|---|---|\n");
    for (int i = 0; i < METRIC_COUNT + METRIC_FIXED; i++) {
        const struct metric_row *m = &metric_table[i];

        assert_non_null(m->name);
        if (i > 0 && strcmp(m->name, m[-1].name) == 0) { /* another value of its label */
            assert_string_equal(m->help, m[-1].help);
            continue;
        }
        buf_printf(out, "| `%s` | %s | %s | %s |\n", m->name,
                   m->type == METRIC_COUNTER     ? "counter"
                   : m->type == METRIC_HISTOGRAM ? "histogram"
                                                 : "gauge",
                   m->labels, m->help);
    }
}

/* With PENSTOCK_WRITE_LISTS set the list is printed, to be put into the document. */
static void test_list(void **state)
{
    struct buf want = {0};
    char text[32768];
    FILE *f = fopen("schemas/metrics.md", "r");
    size_t n;

    (void)state;
    expected_list(&want);
    if (getenv("PENSTOCK_WRITE_LISTS"))
        fputs(buf_cstr(&want), stdout);
    if (f == NULL) {
        buf_free(&want);
        skip(); /* not run from the root of the tree */
    }
    n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    assert_non_null(strstr(text, buf_cstr(&want)));
    buf_free(&want);
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_COUNT + METRIC_FIXED; i++) {
        const struct metric_row *m = &metric_table[i];
        const char *end = m->name + strlen(m->name);

        assert_int_equal(end - m->name > 6 && strcmp(end - 6, "_total") == 0,
                         m->type == METRIC_COUNTER);
        assert_true(m->unit == 1 || m->unit == 1000000);
        for (int k = 0; k < i; k++) { /* a family's rows follow each other, each with a value */
            if (strcmp(metric_table[k].name, m->name) == 0) {
                assert_string_equal(m[-1].name, m->name);
                assert_string_not_equal(m[-1].value, m->value);
            }
        }
    }
}

/* The histogram's buckets add up, and a series goes with its value. */
static void test_histogram(void **state)
{
    struct board *b = board_new("svc");
    struct buf out = {0};
    const char *s;

    (void)state;
    metric_observe_commit_us("hist", 1000);
    metric_observe_commit_us("hist", 1001);
    metric_observe_commit_us("hist", 61000000);
    metric_set(METRIC_SOURCE_SECONDS_LEFT, "hist", 5);
    metric_unset(METRIC_SOURCE_SECONDS_LEFT, "hist");
    metric_unset(METRIC_SOURCE_SECONDS_LEFT, "nobody");
    metric_add(METRIC_CHANGES_DELETE, "hist", 2);
    metrics_write(&out, b);
    s = buf_cstr(&out);
#define FAMILY "\npenstock_sink_commit_duration_seconds_"
    assert_non_null(strstr(s, FAMILY "bucket{connector=\"hist\",le=\"0.001\"} 1\n"));
    assert_non_null(strstr(s, FAMILY "bucket{connector=\"hist\",le=\"0.0025\"} 2\n"));
    assert_non_null(strstr(s, FAMILY "bucket{connector=\"hist\",le=\"60\"} 2\n"));
    assert_non_null(strstr(s, FAMILY "bucket{connector=\"hist\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(s, FAMILY "sum{connector=\"hist\"} 61.002001\n"));
    assert_non_null(strstr(s, FAMILY "count{connector=\"hist\"} 3\n"));
    assert_null(strstr(s, "penstock_source_seconds_left{connector=\"hist\"}"));
    assert_non_null(
        strstr(s, "penstock_source_changes_total{connector=\"hist\",op=\"delete\"} 2\n"));
    buf_free(&out);
    board_free(b);
}

/* However many tables there are, the series are bounded; what is not live is never left out. */
static void test_many_tables(void **state)
{
    struct board *b = board_new("svc");
    char name[32];
    struct board_table t = {
        .connector = "shop", .schema = "public", .name = name, .rows_total = -1};
    struct buf out = {0};
    const char *s;
    int n = 0;

    (void)state;
    board_add_connector(b, "shop", true, NULL);
    for (int i = 0; i < METRIC_MAX_TABLES + 7; i++) {
        snprintf(name, sizeof(name), "t%04d", i);
        t.state = i == METRIC_MAX_TABLES + 6 ? TABLE_REFUSED : TABLE_LIVE;
        board_set_table(b, &t);
    }
    metrics_write(&out, b);
    s = buf_cstr(&out);
    for (const char *p = s; (p = strstr(p, "\npenstock_table_state{")) != NULL; p++)
        n++;
    assert_int_equal(n, 4 * METRIC_MAX_TABLES);
    assert_non_null(strstr(s, "table=\"public.t0506\",state=\"refused\"} 1\n"));
    assert_non_null(strstr(s, "\npenstock_tables_unlisted 7\n"));
    assert_non_null(strstr(s, "\npenstock_tables{connector=\"shop\",state=\"live\"} 506\n"));
    buf_free(&out);
    board_free(b);
}

/* Only a sink has it; it is as old as the moment it was told. */
static void test_freshness(void **state)
{
    struct board *b = board_new("svc");
    struct buf out = {0};
    const char *at;

    (void)state;
    board_add_connector(b, "dw", false, NULL);
    metrics_write(&out, b);
    assert_null(strstr(buf_cstr(&out), "penstock_freshness_seconds{"));
    buf_reset(&out);
    board_set_fresh(b, "dw", clock_wall_us() - 5000000);
    board_set_fresh(b, "dw", clock_wall_us() - 9000000); /* does not go back */
    board_set_fresh(b, "nobody", 1);
    metrics_write(&out, b);
    at = strstr(buf_cstr(&out), "\npenstock_freshness_seconds{connector=\"dw\"} ");
    assert_non_null(at);
    assert_in_range((int)atof(strchr(at, '}') + 1), 5, 7);
    buf_free(&out);
    board_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),    cmocka_unit_test(test_text),
        cmocka_unit_test(test_list),      cmocka_unit_test(test_names),
        cmocka_unit_test(test_histogram), cmocka_unit_test(test_many_tables),
        cmocka_unit_test(test_freshness),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
