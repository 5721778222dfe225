/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report for people, in the terminal's width (80 to 160 columns; 100 where there is none). A
 * name is never cut: one that is too long for its column has a line of its own. Words wrap;
 * statements do not, so that they can be copied. Control characters of names do nothing to the
 * terminal: they are escaped (the JSON form has them as they are).
 */
#include "cli/check_internal.h"
#include "cli/query.h"
#include "util/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NAME, ROWS, SIZE, KEY, IDENTITY, COLUMNS };

struct layout {
    int width;
    int cols[COLUMNS];
};

static int terminal_width(void)
{
    const char *set = getenv("COLUMNS");
    struct winsize ws;
    int n = 100;

    if (isatty(STDOUT_FILENO) == 1 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
        n = ws.ws_col;
    else if (set != NULL && atoi(set) > 0)
        n = atoi(set);
    return n < 80 ? 80 : n > 160 ? 160 : n;
}

/* Characters, of UTF-8. */
static int length(const char *s)
{
    int n = 0;

    for (; *s != '\0'; s++)
        n += (*s & 0xc0) != 0x80;
    return n;
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s != NULL ? s : "";
}

/* --- words --- */

/* s from column `at` on, further lines indented by `indent`; ends with a line's end. */
static void wrap(const char *s, int at, int indent, int width)
{
    bool begun = false; /* something stands in the line */

    while (*s != '\0') {
        size_t n = strcspn(s, " ");
        char word[2048];

        snprintf(word, sizeof(word), "%.*s", (int)(n < sizeof(word) ? n : sizeof(word) - 1), s);
        if (begun && at + 1 + length(word) > width) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (begun) {
            putchar(' ');
            at++;
        }
        fputs(word, stdout);
        begun = true;
        at += length(word);
        s += n;
        s += strspn(s, " ");
    }
    putchar('\n');
}

/* 1234567 -> "1,234,567" */
static void grouped(int64_t n, char out[32])
{
    char digits[32];
    size_t len, i, at = 0;

    if (n < 0) {
        snprintf(out, 32, "unknown");
        return;
    }
    len = (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)n);
    for (i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
}

static void sized(int64_t bytes, char out[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double n = (double)bytes;
    int u = 0;

    for (; n >= 1000 && u < 4; u++)
        n /= 1024;
    if (bytes < 0)
        snprintf(out, 32, "unknown");
    else
        snprintf(out, 32, u == 0 || n >= 100 ? "%.0f %s" : "%.1f %s", n, units[u]);
}

static void lasting(double seconds, char out[48])
{
    if (seconds < 1)
        snprintf(out, 48, "less than a second");
    else if (seconds < 120)
        snprintf(out, 48, "%.0f s", seconds);
    else if (seconds < 2 * 3600)
        snprintf(out, 48, "%.0f min", seconds / 60);
    else
        snprintf(out, 48, "%.1f h", seconds / 3600);
}

/* --- tables --- */

static void full_name(const json_t *o, char *out, size_t size)
{
    snprintf(out, size, "%s.%s", text(o, "schema"), text(o, "table"));
}

/* As many of the key's columns as there is room for. */
static void key_text(const json_t *t, int room, char *out, size_t size)
{
    json_t *keys = json_object_get(t, "key"), *k;
    size_t i, n = json_array_size(keys);
    char next[300];

    snprintf(out, size, "%s", n == 0 ? "none" : "");
    json_array_foreach(keys, i, k)
    {
        snprintf(next, sizeof(next), "%s%s", i > 0 ? ", " : "", json_string_value(k));
        if (i > 0 && length(out) + length(next) + (i + 1 < n ? 4 : 0) > room) {
            snprintf(out + strlen(out), size - strlen(out), " +%zu", n - i);
            return;
        }
        snprintf(out + strlen(out), size - strlen(out), "%s", next);
    }
}

static const char *identity_text(const json_t *t)
{
    return json_string_value(json_object_get(t, "refused")) != NULL ? "not replicated"
                                                                    : text(t, "replica_identity");
}

static void measure(struct layout *l, const json_t *tables)
{
    size_t i;
    json_t *t;
    char name[300];

    l->width = terminal_width();
    l->cols[NAME] = 5;
    l->cols[ROWS] = 12;
    l->cols[SIZE] = 8;
    l->cols[IDENTITY] = 16;
    json_array_foreach(tables, i, t)
    {
        full_name(t, name, sizeof(name));
        if (length(name) > l->cols[NAME])
            l->cols[NAME] = length(name);
    }
    if (l->cols[NAME] > l->width - 62)
        l->cols[NAME] = l->width - 62 > 24 ? l->width - 62 : 24;
    l->cols[KEY] =
        l->width - 2 - l->cols[NAME] - l->cols[ROWS] - l->cols[SIZE] - l->cols[IDENTITY] - 4 * 2;
    if (l->cols[KEY] > 40)
        l->cols[KEY] = 40;
}

static void padded(const char *s, int width)
{
    printf("%s%*s", s, width > length(s) ? width - length(s) : 0, "");
}

static void row(const struct layout *l, const char *name, const char *rows, const char *size,
                const char *key, const char *identity)
{
    fputs("  ", stdout);
    padded(name, l->cols[NAME]);
    if (length(name) > l->cols[NAME])
        printf("\n%*s", l->cols[NAME] + 2, "");
    printf("  %*s  %*s", l->cols[ROWS], rows, l->cols[SIZE], size);
    if (identity[0] != '\0') {
        fputs("  ", stdout);
        padded(key, l->cols[KEY]);
        if (length(key) > l->cols[KEY])
            printf("\n%*s", 2 + l->cols[NAME] + l->cols[ROWS] + l->cols[SIZE] + l->cols[KEY] + 6,
                   "");
        printf("  %s", identity);
    }
    putchar('\n');
}

/* What of the table is not as at the source. */
static void differences(const struct layout *l, const json_t *t)
{
    const json_t *target = json_object_get(t, "target");
    json_t *c;
    size_t i;
    char line[1200], from[300], to[300];

    full_name(t, from, sizeof(from));
    full_name(target, to, sizeof(to));
    if (json_is_object(target) && strcmp(from, to) != 0) {
        snprintf(line, sizeof(line), "in the warehouse: %s", to);
        printf("    ");
        wrap(line, 4, 6, l->width);
    }
    json_array_foreach(json_object_get(t, "columns"), i, c)
    {
        const char *note = text(c, "note");
        bool renamed = text(c, "target")[0] != '\0' && strcmp(text(c, "target"), text(c, "name"));

        if (note[0] == '\0' && !renamed)
            continue;
        snprintf(line, sizeof(line), "%s %s%s%s %s", text(c, "name"), text(c, "source_type"),
                 renamed ? " is called " : "", renamed ? text(c, "target") : "", note);
        printf("    ");
        wrap(line, 4, 6, l->width);
    }
    if (text(t, "left_out")[0] != '\0') {
        snprintf(line, sizeof(line), "left out: %s", text(t, "left_out"));
        printf("    ");
        wrap(line, 4, 6, l->width);
    }
}

static void print_table(const struct layout *l, const json_t *t)
{
    char name[300], rows[32], size[32], key[400];

    full_name(t, name, sizeof(name));
    grouped(json_integer_value(json_object_get(t, "rows")), rows);
    sized(json_integer_value(json_object_get(t, "bytes")), size);
    key_text(t, l->cols[KEY], key, sizeof(key));
    row(l, name, rows, size, key, identity_text(t));
    differences(l, t);
}

/* --- a source --- */

static void expectation(const struct layout *l, const char *what, const char *how)
{
    char line[700];

    snprintf(line, sizeof(line), "%s (%s)", what, how);
    fputs("  ", stdout);
    wrap(line, 2, 4, l->width);
}

static void print_expected(const struct layout *l, const json_t *s)
{
    json_t *seconds = json_object_get(s, "load_seconds"), *log = json_object_get(s, "log_bytes");
    char value[48], line[160];

    if (json_is_null(seconds))
        return;
    lasting(json_real_value(seconds), value);
    snprintf(line, sizeof(line), "first load: %s%s", json_real_value(seconds) < 1 ? "" : "about ",
             value);
    expectation(l, line, text(s, "load_how"));
    sized(json_is_null(log) ? -1 : json_integer_value(log), value);
    snprintf(line, sizeof(line), "log kept at the source meanwhile: %s%s",
             json_is_null(log) ? "" : "about ", value);
    expectation(l, line, text(s, "log_how"));
}

static void print_source(struct layout *l, const json_t *s, const json_t *tables)
{
    char rows[32], size[32], count[64];
    bool any = false;
    size_t i;
    json_t *t;

    printf("%s%s%s%s%s%s\n", text(s, "source"), text(s, "warehouse")[0] != '\0' ? " -> " : "",
           text(s, "warehouse"), text(s, "server")[0] != '\0' ? "  (source: " : "",
           text(s, "server"), text(s, "server")[0] != '\0' ? ")" : "");
    json_array_foreach(tables, i, t)
    {
        if (strcmp(text(t, "source"), text(s, "source")) != 0)
            continue;
        if (!any)
            row(l, "table", "rows (about)", "size", "key", "replica identity");
        any = true;
        print_table(l, t);
    }
    if (!any)
        return;
    grouped(json_integer_value(json_object_get(s, "rows")), rows);
    sized(json_integer_value(json_object_get(s, "bytes")), size);
    i = (size_t)json_integer_value(json_object_get(s, "tables"));
    snprintf(count, sizeof(count), "%zu table%s", i, i == 1 ? "" : "s");
    row(l, count, rows, size, "", "");
    print_expected(l, s);
}

/* --- findings --- */

static void print_finding(const struct layout *l, const json_t *f, bool many)
{
    struct buf line = {0};
    json_t *sql;
    size_t i;

    if (many && text(f, "connector")[0] != '\0')
        buf_printf(&line, "%s, ", text(f, "connector"));
    buf_printf(&line, "%s: %s", text(f, "subject"), text(f, "message"));
    printf("%-9s", text(f, "severity"));
    wrap(buf_cstr(&line), 9, 9, l->width);
    if (text(f, "fix")[0] != '\0') {
        buf_reset(&line);
        buf_printf(&line, "fix: %s%s", text(f, "fix"),
                   json_array_size(json_object_get(f, "sql")) > 0 ? ":" : "");
        printf("%*s", 9, "");
        wrap(buf_cstr(&line), 9, 11, l->width);
    }
    json_array_foreach(json_object_get(f, "sql"), i, sql)
    {
        printf("%*s%s;\n", 11, "", json_string_value(sql));
    }
    buf_free(&line);
}

/* A copy with all texts escaped. */
static json_t *harmless(const json_t *of)
{
    json_t *out = json_is_array(of) ? json_array() : json_is_object(of) ? json_object() : NULL;
    struct buf b = {0};
    const char *key;
    json_t *each;
    size_t i;

    if (json_is_string(of)) {
        query_put_escaped(&b, json_string_value(of), json_string_length(of));
        out = json_stringn(b.len > 0 ? (const char *)b.data : "", b.len);
        buf_free(&b);
        return out;
    }
    if (out == NULL)
        return json_deep_copy(of);
    json_array_foreach(of, i, each)
    {
        json_array_append_new(out, harmless(each));
    }
    json_object_foreach((json_t *)(uintptr_t)of, key, each)
    {
        json_object_set_new(out, key, harmless(each));
    }
    return out;
}

void check_print(const json_t *raw)
{
    json_t *report = harmless(raw);
    const json_t *tables = json_object_get(report, "tables");
    const json_t *sources = json_object_get(report, "sources");
    const json_t *findings = json_object_get(report, "findings");
    struct layout l;
    size_t i;
    json_t *at;

    measure(&l, tables);
    json_array_foreach(sources, i, at)
    {
        print_source(&l, at, tables);
        putchar('\n');
    }
    json_array_foreach(findings, i, at)
    {
        print_finding(&l, at, json_array_size(sources) > 1);
    }
    puts(json_is_true(json_object_get(report, "ok")) ? "\nNothing stops a run."
                                                     : "\nA run would stop: see the errors above.");
    json_decref(report);
}
