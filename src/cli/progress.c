/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at the board, remembers how fast each table moves, and draws over what it drew before. The
 * screen's size is asked each time, so a changed window is right at the next look: terminals wrap
 * what stands there anew, hence so many rows are drawn over as the old lines take up now. Lines of
 * the log come from any thread: they push what is shown down.
 */
#include "cli/progress.h"

#include "cli/progress_text.h"
#include "metrics/metrics.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/map.h"
#include "util/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_MS 250
#define SMOOTH_S 3.0  /* rates forget in about this time */
#define FIRST_MS 1000 /* so long it takes to tell one */

/* How fast something grows. */
struct pace {
    int64_t rows, first_rows, first_ms; /* as it was when it first moved; 0: it has not */
    double rate;                        /* below 0: not known yet */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of shown and drawn */
static struct buf shown;
static bool drawn;

static struct board *progress_board;
static const char *warehouse_name;
static bool on_terminal, with_tables, coloured, was_loading;
static struct map *tables_seen;
static int64_t last_ms;
static struct pace whole = {.rate = -1};

bool progress_possible(void)
{
    const char *term = getenv("TERM");

    return !log_is_json() && isatty(STDERR_FILENO) == 1 && term != NULL &&
           strcmp(term, "dumb") != 0;
}

/* The smaller of what the terminal says and what the environment asks for. */
static int size_of(int terminal, const char *variable, int otherwise)
{
    const char *text = getenv(variable);
    int wanted = text != NULL ? atoi(text) : 0;

    if (terminal <= 0)
        return wanted > 0 ? wanted : otherwise;
    return wanted > 0 && wanted < terminal ? wanted : terminal;
}

static void screen(int *columns, int *rows)
{
    struct winsize w = {0};

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) != 0)
        memset(&w, 0, sizeof(w));
    *columns = size_of(w.ws_col, "COLUMNS", 80);
    *rows = size_of(w.ws_row, "LINES", 24);
}

static void write_all(const struct buf *b)
{
    ssize_t ignored = write(STDERR_FILENO, b->data, b->len);

    (void)ignored;
}

/* Rows above the cursor that belong to what is drawn, on a screen of so many columns. */
static int rows_above(int columns)
{
    const char *s = buf_cstr(&shown);
    int n = 0;

    while (*s != '\0') {
        size_t len = strcspn(s, "\n");
        char *line = mem_printf("%.*s", (int)len, s);
        int width = progress_columns(line);

        mem_free(line);
        n += width > columns ? (width + columns - 1) / columns : 1;
        s += len + (s[len] == '\n');
    }
    return n > 0 ? n - 1 : 0; /* the cursor stands at the end of the last one */
}

/* The lock is held. Row by row: tmux keeps in its history what is cleared from the screen's top. */
static void put_erase(struct buf *out, int columns)
{
    int up = drawn ? rows_above(columns) : 0, i;

    if (!drawn)
        return;
    buf_puts(out, "\r");
    if (up > 0)
        buf_printf(out, "\033[%dA", up);
    for (i = 0; i <= up; i++)
        buf_puts(out, i < up ? "\033[2K\033[B" : "\033[2K");
    if (up > 0)
        buf_printf(out, "\033[%dA", up);
}

/* What begins the last line tells how it stands: its first word has a colour. */
static void put_shown(struct buf *out)
{
    const char *s = buf_cstr(&shown);

    while (*s != '\0') {
        size_t len = strcspn(s, "\n");
        bool last = s[len] == '\0' || s[len + 1] == '\0';
        size_t word = last && coloured ? strcspn(s, ":\n") : 0;

        if (word > 0 && word < len)
            buf_printf(out, "\033[%dm%.*s\033[0m", strncmp(s, "live", 4) == 0 ? 32 : 33, (int)word,
                       s);
        else
            word = 0;
        buf_printf(out, "%.*s%s", (int)(len - word), s + word, last ? "" : "\r\n");
        s += len + (s[len] == '\n');
    }
}

static void before_log(void)
{
    struct buf out = {0};
    int columns, rows;

    pthread_mutex_lock(&lock);
    screen(&columns, &rows);
    put_erase(&out, columns);
    write_all(&out);
    buf_free(&out);
}

static void after_log(void)
{
    struct buf out = {0};

    if (drawn)
        put_shown(&out);
    write_all(&out);
    buf_free(&out);
    pthread_mutex_unlock(&lock);
}

void progress_start(struct board *b, const char *warehouse, bool tables)
{
    const char *no_color = getenv("NO_COLOR");

    progress_board = b;
    warehouse_name = warehouse;
    with_tables = tables;
    coloured = no_color == NULL || no_color[0] == '\0';
    on_terminal = progress_possible();
    tables_seen = map_new();
    if (on_terminal)
        log_set_hooks(before_log, after_log);
}

/* --- what to show --- */

static struct pace *seen_of(struct arena *a, const struct board_table *t)
{
    const char *key = arena_printf(a, "%s\n%s\n%s", t->connector, t->schema, t->name);
    struct pace *s = map_get(tables_seen, key, strlen(key));

    if (s == NULL) {
        s = mem_calloc(1, sizeof(*s));
        s->rows = t->rows;
        s->rate = -1;
        map_put(tables_seen, key, strlen(key), s);
    }
    return s;
}

/* The first rate is that of a while since it moved, later ones forget slowly. */
static void follow(struct pace *p, int64_t rows, int64_t now)
{
    double seconds = (double)(now - last_ms) / 1000;

    if (p->rate >= 0 && last_ms > 0 && seconds > 0) {
        double is = (double)(rows - p->rows) / seconds;

        p->rate += (is - p->rate) * (seconds / (seconds + SMOOTH_S));
        p->rate = p->rate < 0 ? 0 : p->rate;
    } else if (p->rate < 0 && p->first_ms == 0 && rows > p->rows) {
        p->first_ms = now;
        p->first_rows = rows;
    } else if (p->rate < 0 && p->first_ms > 0 && now - p->first_ms >= FIRST_MS) {
        p->rate = (double)(rows - p->first_rows) * 1000 / (double)(now - p->first_ms);
    }
    p->rows = rows;
}

static void count_table(struct progress_view *v, const struct board_table *t)
{
    bool copied = t->state == TABLE_LIVE || (t->rows_total >= 0 && t->rows >= t->rows_total);

    v->tables++;
    v->rows_known += t->rows;
    v->stopped += t->state == TABLE_NEEDS_SNAPSHOT || t->state == TABLE_REFUSED;
    v->loading += t->state == TABLE_LOADING;
    if (t->state != TABLE_LOADING && t->state != TABLE_LIVE)
        return;
    v->copied += copied;
    v->rows += t->rows;
    if (copied)
        v->total += v->total >= 0 ? t->rows : 0;
    else if (t->rows_total < 0)
        v->total = -1; /* one whose size nobody knows: no share, no time */
    else if (v->total >= 0)
        v->total += t->rows_total;
}

static void view_tables(struct arena *a, struct progress_view *v, int64_t now)
{
    struct progress_table *active = arena_calloc(a, PROGRESS_LINES, sizeof(*active));
    struct board_table *t;
    int n, i;

    board_tables(progress_board, a, &t, &n);
    for (i = 0; i < n; i++) {
        struct pace *s = seen_of(a, &t[i]);

        follow(s, t[i].rows, now);
        count_table(v, &t[i]);
        if (!with_tables || t[i].state != TABLE_LOADING || v->nactive == PROGRESS_LINES ||
            t[i].rows == 0 || (t[i].rows_total >= 0 && t[i].rows >= t[i].rows_total))
            continue;
        active[v->nactive++] = (struct progress_table){
            .name = arena_printf(a, "%s.%s", t[i].schema, t[i].name),
            .rows = t[i].rows,
            .total = t[i].rows_total,
            .rate = s->rate,
        };
    }
    v->active = active;
}

static void view_connectors(struct arena *a, struct progress_view *v, int64_t now)
{
    struct board_connector *c;
    int64_t rows = 0, fresh = 0;
    int n, i;

    board_connectors(progress_board, a, &c, &n);
    for (i = 0; i < n; i++) {
        if (c[i].source) {
            v->lag_bytes += metric_get(METRIC_SOURCE_LAG_BYTES, c[i].name);
        } else {
            int64_t at = metric_get(METRIC_SINK_COMMIT_TIME, c[i].name);

            rows += metric_get(METRIC_SINK_ROWS, c[i].name);
            v->commit_us = at > v->commit_us ? at : v->commit_us;
            if (c[i].fresh_us > 0 && (fresh == 0 || c[i].fresh_us < fresh))
                fresh = c[i].fresh_us;
        }
        if (c[i].task == CONNECTOR_RESTARTING || c[i].task == CONNECTOR_FAILED)
            v->trouble = c[i].trace != NULL ? c[i].trace : "";
    }
    v->age_ms = fresh > 0 ? (clock_wall_us() - fresh) / 1000 : -1;
    if (v->age_ms < 0 && fresh > 0)
        v->age_ms = 0;
    if (v->loading > 0) /* the batches' rows come by chunks: what is counted is smoother */
        rows = v->rows;
    if ((v->loading > 0) != was_loading)
        whole = (struct pace){.rows = rows, .rate = v->loading > 0 ? -1 : 0};
    was_loading = v->loading > 0;
    follow(&whole, rows, now);
    v->rate = whole.rate;
}

void progress_draw(void)
{
    struct progress_view v = {.warehouse = warehouse_name};
    int64_t now = clock_mono_ms();
    struct buf text = {0}, out = {0};
    struct arena *a;
    int columns, rows;

    if (!on_terminal || progress_board == NULL || now - last_ms < DRAW_MS)
        return;
    a = arena_new("progress");
    view_tables(a, &v, now);
    view_connectors(a, &v, now);
    last_ms = now;
    screen(&columns, &rows);
    progress_text(&v, columns, rows, &text);
    arena_free(a);

    pthread_mutex_lock(&lock);
    put_erase(&out, columns);
    buf_free(&shown);
    shown = text;
    put_shown(&out);
    drawn = true;
    write_all(&out);
    pthread_mutex_unlock(&lock);
    buf_free(&out);
}

void progress_say(const char *line)
{
    struct buf out = {0};

    if (!on_terminal || !with_tables || progress_board == NULL)
        return;
    before_log();
    buf_printf(&out, "%s\r\n", line);
    write_all(&out);
    buf_free(&out);
    after_log();
}

void progress_stop(void)
{
    struct pace *s;
    size_t at = 0;

    if (progress_board == NULL)
        return;
    log_set_hooks(NULL, NULL);
    while ((s = map_next(tables_seen, &at)) != NULL)
        mem_free(s);
    map_free(tables_seen);
    if (drawn && write(STDERR_FILENO, "\r\n", 2) != 2)
        drawn = false;
    drawn = false;
    buf_free(&shown);
    progress_board = NULL;
}
