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
        buf_printf(out, "| `%s` | %s | %s | %s |\n", m->name,
                   m->type == METRIC_COUNTER ? "counter" : "gauge", m->labels, m->help);
    }
}

/* With PENSTOCK_WRITE_LISTS set the list is printed, to be put into the document. */
static void test_list(void **state)
{
    struct buf want = {0};
    char text[16384];
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
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_names),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
