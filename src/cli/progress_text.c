/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every line is tried in its full form first, then in shorter ones, until one is narrower than the
 * screen: a line that wraps could not be drawn over. What does not fit even so is cut.
 */
#include "cli/progress_text.h"

#include "util/codepoint.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LINE = 512, SHORT_NAME = 12 };

int progress_columns(const char *text)
{
    uint32_t c;
    size_t len;
    int n = 0;

    for (; *text != '\0'; text += len ? len : 1) {
        len = codepoint_next(text, &c);
        n += len ? codepoint_columns(c) : 1;
    }
    return n;
}

/* Bytes of text that fit into so many columns. */
static size_t fitting(const char *text, int columns)
{
    size_t at = 0, len;
    uint32_t c;

    while (text[at] != '\0') {
        len = codepoint_next(text + at, &c);
        columns -= len ? codepoint_columns(c) : 1;
        if (columns < 0)
            break;
        at += len ? len : 1;
    }
    return at;
}

static const char *grouped(int64_t n, char *out, size_t size)
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

const char *progress_bytes(int64_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double v = (double)bytes;
    int u = 0;

    for (; v >= 1024 && u < 4; u++)
        v /= 1024;
    snprintf(out, size, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
    return out;
}

const char *progress_duration(int64_t s, char *out, size_t size)
{
    if (s < 120)
        snprintf(out, size, "%lld s", (long long)s);
    else if (s < 7200)
        snprintf(out, size, "%lld min", (long long)s / 60);
    else
        snprintf(out, size, "%lld h %lld min", (long long)s / 3600, (long long)s / 60 % 60);
    return out;
}

/* Numbers as words, once for all forms of a line. */
struct words {
    char rows[32], total[48], percent[16], rate[48], brief_rate[48], left[64];
};

static void put_words(struct words *w, int64_t rows, int64_t total, double rate)
{
    char text[40];

    memset(w, 0, sizeof(*w));
    grouped(rows, w->rows, sizeof(w->rows));
    if (total >= 0) {
        /* Never done before it is: the estimate was too low. */
        int percent = total > 0 ? (int)((double)rows * 100 / (double)total) : 100;

        snprintf(w->total, sizeof(w->total), " of about %s",
                 grouped(total > rows ? total : rows, text, sizeof(text)));
        snprintf(w->percent, sizeof(w->percent), "%d %%",
                 rows < total && percent > 99 ? 99
                 : percent > 100              ? 100
                                              : percent);
    }
    if (rate >= 0) {
        grouped((int64_t)(rate + 0.5), text, sizeof(text));
        snprintf(w->rate, sizeof(w->rate), "%s rows/s", text);
        snprintf(w->brief_rate, sizeof(w->brief_rate), "%s/s", text);
    }
    if (rate >= 1 && total > rows)
        snprintf(
            w->left, sizeof(w->left), "about %s left",
            progress_duration((int64_t)((double)(total - rows) / rate) + 1, text, sizeof(text)));
}

/* "a, b, c" of those that are not empty. */
static void joined(char *out, size_t size, const char *const *parts, int n, const char *between)
{
    size_t at = 0;
    int i;

    out[0] = '\0';
    for (i = 0; i < n && at < size; i++) {
        if (parts[i] == NULL || parts[i][0] == '\0')
            continue;
        at += (size_t)snprintf(out + at, size - at, "%s%s", at > 0 ? between : "", parts[i]);
    }
}

static void put_line(struct buf *out, const char *line, int columns)
{
    char *plain = mem_printf("%s", line);
    size_t n;

    codepoint_make_plain(plain);
    n = fitting(plain, columns - 1);
    buf_printf(out, "%.*s\n", (int)n, plain);
    mem_free(plain);
}

/* --- one table --- */

/* The name with blanks to so many columns, cut with two dots where it is longer. */
static void put_name(struct buf *out, const char *name, int columns)
{
    int n = progress_columns(name);

    if (n > columns) {
        buf_printf(out, "  %.*s..", (int)fitting(name, columns - 2), name);
        n = columns;
    } else {
        buf_printf(out, "  %s", name);
    }
    buf_printf(out, "%*s", columns - n, "");
}

static int widest(const struct progress_view *v, int n)
{
    int max = 0, i;

    for (i = 0; i < n; i++) {
        int w = progress_columns(v->active[i].name);

        max = w > max ? w : max;
    }
    return max;
}

static void put_table(struct buf *out, const struct progress_table *t, int name, int columns)
{
    struct words w;
    char counted[96], line[LINE];
    struct buf b = {0};
    int form, room = 0;

    put_words(&w, t->rows, t->total, t->rate);
    for (form = 0; form < 5; form++) {
        const char *parts[] = {form < 2 ? counted : NULL, w.percent,
                               form == 0  ? w.rate
                               : form < 3 ? w.brief_rate
                                          : NULL,
                               form < 4 ? w.left : NULL};

        snprintf(counted, sizeof(counted), "%s%s%s", w.rows, w.total, form == 0 ? " rows" : "");
        joined(line, sizeof(line), parts, 4, "  ");
        room = columns - 1 - 4 - progress_columns(line);
        if (room >= (name < SHORT_NAME ? name : SHORT_NAME))
            break;
    }
    put_name(&b, t->name, room < name ? (room > 3 ? room : 3) : name);
    buf_printf(&b, "  %s", line);
    put_line(out, buf_cstr(&b), columns);
    buf_free(&b);
}

/* --- all of them --- */

static void put_stopped(const struct progress_view *v, char *out, size_t size)
{
    out[0] = '\0';
    if (v->stopped > 0)
        snprintf(out, size, "%d stopped: see penstock status", v->stopped);
}

static void put_loading(struct buf *out, const struct progress_view *v, int columns)
{
    struct words w;
    char head[64], counted[96], stopped[64], line[LINE];
    int form;

    put_words(&w, v->rows, v->total, v->rate);
    put_stopped(v, stopped, sizeof(stopped));
    for (form = 0; form < 7; form++) {
        const char *parts[] = {head,
                               form < 3 ? counted : NULL,
                               w.percent,
                               form == 0  ? w.rate
                               : form < 4 ? w.brief_rate
                                          : NULL,
                               form < 6 ? w.left : NULL,
                               form == 0 || form == 4 ? stopped : NULL};

        snprintf(head, sizeof(head),
                 form == 0               ? "loading: %d of %d tables copied"
                 : form == 2 || form > 4 ? "loading: %d/%d"
                                         : "loading: %d/%d tables",
                 v->copied, v->tables);
        snprintf(counted, sizeof(counted), "%s%s%s", w.rows, w.total, form == 0 ? " rows" : "");
        if (stopped[0] != '\0' && form > 0 && form < 4)
            continue; /* that there are some is worth more than numbers */
        joined(line, sizeof(line), parts, 6, ", ");
        if (progress_columns(line) < columns)
            break;
    }
    put_line(out, line, columns);
}

static void put_live(struct buf *out, const struct progress_view *v, int columns)
{
    char lag[96] = "", rate[48], commit[48] = "", tables[64], stopped[64], text[40], line[LINE];
    char age[48] = "", to[160], brief[160];
    time_t at = (time_t)(v->commit_us / 1000000);
    struct tm tm;
    int form;

    if (v->age_ms >= 0)
        snprintf(age, sizeof(age), "%s%lld s", v->lag_bytes >= 0 ? ", " : "",
                 (long long)v->age_ms / 1000);
    snprintf(lag, sizeof(lag), "%s%s behind",
             v->lag_bytes >= 0 ? progress_bytes(v->lag_bytes, text, sizeof(text)) : "", age);
    snprintf(rate, sizeof(rate), "%s rows/s",
             grouped((int64_t)(v->rate > 0 ? v->rate + 0.5 : 0), text, sizeof(text)));
    if (v->commit_us > 0 && gmtime_r(&at, &tm) != NULL)
        snprintf(commit, sizeof(commit), "last commit %02d:%02d:%02dZ", tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
    snprintf(tables, sizeof(tables), "%d tables", v->tables - v->stopped);
    snprintf(to, sizeof(to), "to %s", v->warehouse);
    snprintf(brief, sizeof(brief), "to %s",
             strchr(v->warehouse, ':') ? strchr(v->warehouse, ':') + 1 : v->warehouse);
    put_stopped(v, stopped, sizeof(stopped));
    for (form = 0; form < 7; form++) {
        const char *parts[] = {lag,
                               form < 6 ? stopped : NULL,
                               form < 5 ? rate : NULL,
                               form < 2   ? commit
                               : form < 4 ? commit + (commit[0] != '\0' ? strlen("last ") : 0)
                                          : NULL,
                               form < 2   ? to
                               : form < 3 ? brief
                                          : NULL,
                               form < 1 ? tables : NULL};
        char all[LINE];

        joined(all, sizeof(all), parts, 6, "; ");
        snprintf(line, sizeof(line), "live: %.*s", LINE - 8, all);
        if (progress_columns(line) < columns)
            break;
    }
    put_line(out, line, columns);
}

/* What holds it up, and how old the copy gets meanwhile. */
static void put_trouble(struct buf *out, const struct progress_view *v, int columns)
{
    char line[LINE], age[48] = "";

    if (v->age_ms >= 0)
        snprintf(age, sizeof(age), "%lld s behind, ", (long long)v->age_ms / 1000);
    snprintf(line, sizeof(line), "waiting: %s%.*s", age, LINE - 64, v->trouble);
    line[strcspn(line, "\n")] = '\0';
    put_line(out, line, columns);
}

int progress_text(const struct progress_view *v, int columns, int rows, struct buf *out)
{
    int room = rows - 3 < PROGRESS_LINES - 1 ? rows - 3 : PROGRESS_LINES - 1;
    int n = v->nactive < room ? v->nactive : room;
    int i, name;

    if (n < 0 || v->loading == 0 || v->trouble != NULL)
        n = 0;
    name = widest(v, n);
    for (i = 0; i < n; i++)
        put_table(out, &v->active[i], name, columns);
    if (v->trouble != NULL)
        put_trouble(out, v, columns);
    else if (v->tables == 0)
        put_line(out, "connecting", columns);
    else if (v->loading > 0)
        put_loading(out, v, columns);
    else
        put_live(out, v, columns);
    return n + 1;
}
