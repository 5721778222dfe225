/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "loading 2 of 5 tables, 1,200,000 of about 5,000,000 rows (24 %), 310,000 rows/s, 12 s left",
 * then "live: 5 tables, 1,200,345 rows, 412 rows/s, 0 bytes behind". Log lines push it down.
 */
#include "cli/progress.h"

#include "metrics/metrics.h"
#include "util/clock.h"
#include "util/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct board *progress_board;
static bool on_terminal;
static bool drawn;
static char line[256];
static int64_t last_ms, last_rows;
static double rate;

struct totals {
    int tables, loading, live, stopped;
    int64_t rows, loading_rows, loading_total;
    int64_t applied, lag;
};

static void write_all(const char *s)
{
    ssize_t ignored = write(STDERR_FILENO, s, strlen(s));

    (void)ignored;
}

static void erase(void)
{
    if (drawn)
        write_all("\r\033[K");
}

static void redraw(void)
{
    if (drawn)
        write_all(line);
}

void progress_start(struct board *b)
{
    progress_board = b;
    on_terminal = isatty(STDERR_FILENO) == 1;
    if (on_terminal)
        log_set_hooks(erase, redraw);
}

static char *grouped(int64_t n, char *out, size_t size)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)(n < 0 ? 0 : n));
    size_t o = 0;
    int i;

    for (i = 0; i < len && o + 2 < size; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[o++] = ',';
        out[o++] = digits[i];
    }
    out[o] = '\0';
    return out;
}

static void add_up(struct totals *t)
{
    struct arena *a = arena_new("progress");
    struct board_connector *c;
    struct board_table *tables;
    int n, i;

    memset(t, 0, sizeof(*t));
    board_tables(progress_board, a, &tables, &n);
    t->tables = n;
    for (i = 0; i < n; i++) {
        t->rows += tables[i].rows;
        t->loading += tables[i].state == TABLE_LOADING;
        t->live += tables[i].state == TABLE_LIVE;
        t->stopped += tables[i].state == TABLE_NEEDS_SNAPSHOT || tables[i].state == TABLE_REFUSED;
        if (tables[i].state == TABLE_LOADING) {
            t->loading_rows += tables[i].rows;
            t->loading_total +=
                tables[i].rows_total > tables[i].rows ? tables[i].rows_total : tables[i].rows;
        }
    }
    board_connectors(progress_board, a, &c, &n);
    for (i = 0; i < n; i++) {
        t->applied += c[i].source ? 0 : metric_get(METRIC_SINK_ROWS, c[i].name);
        t->lag += c[i].source ? metric_get(METRIC_SOURCE_LAG_BYTES, c[i].name) : 0;
    }
    arena_free(a);
}

static void compose(const struct totals *t)
{
    char a[32], b[32], c[32];

    if (t->loading > 0) {
        int64_t left = t->loading_total - t->loading_rows;
        int n = snprintf(line, sizeof(line),
                         "loading %d of %d tables: %s of about %s rows (%d %%), %s rows/s",
                         t->loading, t->tables, grouped(t->loading_rows, a, sizeof(a)),
                         grouped(t->loading_total, b, sizeof(b)),
                         t->loading_total > 0 ? (int)(t->loading_rows * 100 / t->loading_total) : 0,
                         grouped((int64_t)rate, c, sizeof(c)));

        if (rate > 1 && left > 0)
            snprintf(line + n, sizeof(line) - (size_t)n, ", %lld s left",
                     (long long)((double)left / rate) + 1);
    } else if (t->tables == 0) {
        snprintf(line, sizeof(line), "connecting");
    } else {
        snprintf(line, sizeof(line), "live: %d tables, %s rows, %s rows/s, %s bytes behind%s",
                 t->live, grouped(t->rows, a, sizeof(a)), grouped((int64_t)rate, b, sizeof(b)),
                 grouped(t->lag, c, sizeof(c)),
                 t->stopped > 0 ? "; some tables stopped: penstock status" : "");
    }
}

void progress_draw(void)
{
    struct totals t;
    int64_t now = clock_mono_ms();

    if (!on_terminal || progress_board == NULL)
        return;
    add_up(&t);
    if (last_ms > 0 && now > last_ms)
        rate = rate * 0.7 + 0.3 * (double)(t.applied - last_rows) * 1000 / (double)(now - last_ms);
    last_ms = now;
    last_rows = t.applied;
    erase();
    compose(&t);
    write_all(line);
    drawn = true;
}

void progress_stop(void)
{
    if (drawn) {
        drawn = false;
        write_all("\n");
    }
    log_set_hooks(NULL, NULL);
    progress_board = NULL;
}
