/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock status: what a running service says of its connectors and tables, as aligned columns or
 * as one JSON object {"connectors": [...], "tables": [...]}. Texts that came over the network are
 * shown without control characters.
 */
#include "cli/cli.h"
#include "cli/client.h"
#include "util/arena.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COLUMNS = 7, INDENT = 2 };

struct answers {
    json_t *connectors; /* name -> status, info */
    json_t *tables;
    struct buf metrics;
};

static const char *text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    return s ? s : "";
}

/* A copy without control characters; keep_lines leaves line feeds. */
static char *clean(struct arena *a, const char *s, bool keep_lines)
{
    char *copy = arena_strdup(a, s);

    for (char *p = copy; *p != '\0'; p++) {
        if (((unsigned char)*p < 0x20 && !(keep_lines && *p == '\n')) || *p == 0x7f)
            *p = ' ';
    }
    return copy;
}

/* Columns on a terminal, taken as one a code point. */
static int width(const char *s)
{
    int n = 0;

    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

struct grid {
    struct arena *arena;
    int columns, rows;
    bool right[MAX_COLUMNS]; /* numbers */
    const char ***cells;     /* rows of columns */
    const char **notes;      /* lines below a row, or NULL */
};

static struct grid grid_new(struct arena *a, int columns, size_t max_rows)
{
    return (struct grid){
        .arena = a,
        .columns = columns,
        .cells = arena_calloc(a, max_rows, sizeof(const char **)),
        .notes = arena_calloc(a, max_rows, sizeof(const char *)),
    };
}

/* Cells end at columns; the strings are borrowed. */
static void grid_row(struct grid *g, const char *const *cells, const char *note)
{
    g->cells[g->rows] = arena_memdup(g->arena, cells, sizeof(*cells) * (size_t)g->columns);
    g->notes[g->rows++] = note;
}

static void print_note(const char *note)
{
    while (*note != '\0') {
        size_t n = strcspn(note, "\n");

        printf("%*s%.*s\n", INDENT, "", (int)n, note);
        note += n + (note[n] == '\n');
    }
}

static void grid_print(const struct grid *g)
{
    int widths[MAX_COLUMNS] = {0};

    for (int r = 0; r < g->rows; r++) {
        for (int c = 0; c < g->columns; c++) {
            int w = width(g->cells[r][c]);

            widths[c] = w > widths[c] ? w : widths[c];
        }
    }
    for (int r = 0; r < g->rows; r++) {
        int owed = 0; /* blanks: those at a line's end are not written */

        for (int c = 0; c < g->columns; c++) {
            const char *s = g->cells[r][c];
            int pad = widths[c] - width(s);

            owed += g->right[c] ? pad : 0;
            if (*s != '\0') {
                printf("%*s%s", owed, "", s);
                owed = 0;
            }
            owed += (g->right[c] ? 0 : pad) + INDENT;
        }
        putchar('\n');
        if (g->notes[r])
            print_note(g->notes[r]);
    }
}

/* The sample of metric{connector="NAME"}; false if there is none. */
static bool metric_of(struct arena *a, const char *metrics, const char *metric, const char *name,
                      double *out)
{
    struct buf key = {0};
    const char *at;

    buf_printf(&key, "\n%s{connector=\"", metric);
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            buf_u8(&key, '\\');
        buf_u8(&key, (uint8_t)*p);
    }
    buf_puts(&key, "\"} ");
    at = strstr(metrics, arena_strdup(a, buf_cstr(&key)));
    if (at)
        *out = strtod(at + key.len, NULL);
    buf_free(&key);
    return at != NULL;
}

static const char *bytes_text(struct arena *a, double bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    int u = 0;

    if (bytes < 0)
        return "unknown";
    while (bytes >= 1024 && u < 4) {
        bytes /= 1024;
        u++;
    }
    return arena_printf(a, u == 0 ? "%.0f %s" : "%.1f %s", bytes, units[u]);
}

static int64_t number(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);

    return json_is_integer(v) ? (int64_t)json_integer_value(v) : -1;
}

static const char *time_text(struct arena *a, int64_t s)
{
    if (s < 120)
        return arena_printf(a, "%" PRId64 " s", s);
    if (s < 7200)
        return arena_printf(a, "%" PRId64 " min", s / 60);
    if (s < 172800)
        return arena_printf(a, "%" PRId64 " h", s / 3600);
    return arena_printf(a, "%" PRId64 " days", s / 86400);
}

/* What the server keeps, may keep, and for how long that will do. */
static void slot_note(struct arena *a, const json_t *kept, struct buf *out)
{
    int64_t limit = number(kept, "limit_bytes"), safe = number(kept, "safe_bytes");
    int64_t rate = number(kept, "log_bytes_per_second"), left = number(kept, "seconds_left");
    int64_t retained = number(kept, "retained_bytes");

    if (retained < 0)
        return;
    buf_printf(out, "slot %s keeps %s", text(kept, "slot"), bytes_text(a, (double)retained));
    if (limit >= 0)
        buf_printf(out, " of at most %s", bytes_text(a, (double)limit));
    else
        buf_puts(out, ", unlimited (but for the server's disk)");
    if (*text(kept, "wal_status"))
        buf_printf(out, ", wal_status %s", text(kept, "wal_status"));
    if (rate >= 0)
        buf_printf(out, "; the log grows by %s/s", bytes_text(a, (double)rate));
    if (safe >= 0)
        buf_printf(out, "; lost after %s more", bytes_text(a, (double)safe));
    if (left >= 0)
        buf_printf(out, ", in about %s at this rate", time_text(a, left));
    buf_u8(out, '\n');
    if (*text(kept, "pinned_by"))
        buf_printf(out, "slot %s is kept for %s\n", text(kept, "slot"), text(kept, "pinned_by"));
    if (*text(kept, "warning"))
        buf_printf(out, "%s: %s\n", number(kept, "warning_level") > 2 ? "DANGER" : "WARNING",
                   text(kept, "warning"));
}

/* What stands below a connector's line. */
static const char *note_of(struct arena *a, const json_t *status, const char *trace)
{
    struct buf out = {0};
    const char *note;

    if (*trace)
        buf_printf(&out, "%s\n", trace);
    slot_note(a, json_object_get(status, "penstock"), &out);
    note = out.len > 0 ? clean(a, buf_cstr(&out), true) : NULL;
    buf_free(&out);
    return note;
}

static const char *age_text(struct arena *a, const json_t *status)
{
    const json_t *age = json_object_get(json_object_get(status, "penstock"), "freshness_seconds");

    return json_is_number(age) ? time_text(a, (int64_t)(json_number_value(age) + 0.5)) : "";
}

static void print_connectors(struct arena *a, struct answers *s)
{
    struct grid g = grid_new(a, 7, json_object_size(s->connectors) + 1);
    const char *metrics = buf_cstr(&s->metrics), *name;
    json_t *each;

    if (json_object_size(s->connectors) == 0) {
        puts("no connectors");
        return;
    }
    g.right[4] = g.right[5] = g.right[6] = true;
    grid_row(&g,
             (const char *const[]){"CONNECTOR", "TYPE", "STATE", "TASK", "LAG", "RETAINED", "AGE"},
             NULL);
    json_object_foreach(s->connectors, name, each)
    {
        const json_t *status = json_object_get(each, "status");
        const json_t *task = json_array_get(json_object_get(status, "tasks"), 0);
        const char *trace = text(task, "trace");
        const json_t *kept = json_object_get(json_object_get(status, "penstock"), "retained_bytes");
        double lag = 0;
        bool has = metric_of(a, metrics, "penstock_source_lag_bytes", name, &lag);

        grid_row(&g,
                 (const char *const[]){
                     clean(a, name, false), clean(a, text(status, "type"), false),
                     clean(a, text(json_object_get(status, "connector"), "state"), false),
                     clean(a, text(task, "state"), false), has ? bytes_text(a, lag) : "",
                     json_is_integer(kept) ? bytes_text(a, (double)json_integer_value(kept)) : "",
                     age_text(a, status)},
                 note_of(a, status, trace));
    }
    grid_print(&g);
}

/* Why it is not live, and what waits for it meanwhile. */
static const char *reason_of(struct arena *a, const json_t *t)
{
    const json_t *seconds = json_object_get(t, "waiting_seconds");
    int64_t bytes = json_integer_value(json_object_get(t, "waiting_bytes"));
    const char *reason = clean(a, text(t, "reason"), false);

    if (!json_is_integer(seconds) || bytes == 0)
        return reason;
    return arena_printf(a, "%s%s%s of changes have waited for it, for %" PRId64 " s", reason,
                        *reason ? "; " : "", bytes_text(a, (double)bytes),
                        (int64_t)json_integer_value(seconds));
}

static void print_tables(struct arena *a, const json_t *tables)
{
    struct grid g = grid_new(a, 6, json_array_size(tables) + 1);
    const json_t *t;
    size_t i;

    if (json_array_size(tables) == 0) {
        puts("\nno tables yet");
        return;
    }
    putchar('\n');
    g.right[3] = true;
    grid_row(&g, (const char *const[]){"CONNECTOR", "TABLE", "STATE", "ROWS", "POSITION", "REASON"},
             NULL);
    json_array_foreach(tables, i, t)
    {
        int64_t rows = json_integer_value(json_object_get(t, "rows"));
        const char *name = arena_printf(a, "%s.%s", text(t, "schema"), text(t, "table"));

        grid_row(&g,
                 (const char *const[]){clean(a, text(t, "connector"), false), clean(a, name, false),
                                       clean(a, text(t, "state"), false),
                                       arena_printf(a, "%" PRId64, rows),
                                       clean(a, text(t, "position"), false), reason_of(a, t)},
                 NULL);
    }
    grid_print(&g);
}

static void set_metric(struct arena *a, json_t *j, const char *key, struct answers *s,
                       const char *metric, const char *name)
{
    double v = 0;
    bool has = metric_of(a, buf_cstr(&s->metrics), metric, name, &v);

    json_object_set_new(j, key,
                        has ? (v == (double)(int64_t)v ? json_integer((json_int_t)v) : json_real(v))
                            : json_null());
}

static void print_json(struct arena *a, struct answers *s)
{
    json_t *out = json_object(), *list = json_array(), *each;
    const char *name;
    char *dump;

    json_object_foreach(s->connectors, name, each)
    {
        json_t *status = json_object_get(each, "status"), *j = json_object();
        const json_t *task = json_array_get(json_object_get(status, "tasks"), 0);

        json_object_set_new(j, "name", json_string(name));
        json_object_set_new(j, "type", json_string(text(status, "type")));
        json_object_set_new(j, "state",
                            json_string(text(json_object_get(status, "connector"), "state")));
        json_object_set_new(j, "task", task ? json_string(text(task, "state")) : json_null());
        json_object_set_new(j, "trace",
                            *text(task, "trace") ? json_string(text(task, "trace")) : json_null());
        set_metric(a, j, "lag_bytes", s, "penstock_source_lag_bytes", name);
        json_object_update(j, json_object_get(status, "penstock"));
        set_metric(a, j, "watermark", s, "penstock_watermark_timestamp_seconds", name);
        json_array_append_new(list, j);
    }
    json_object_set_new(out, "connectors", list);
    json_object_set(out, "tables", s->tables);
    dump = json_dumps(out, JSON_INDENT(2));
    puts(dump ? dump : "{}");
    free(dump);
    json_decref(out);
}

/* A leading line feed makes each metric's line findable by what precedes it. */
static bool ask(const struct cli_args *args, struct answers *s, struct error *err)
{
    buf_u8(&s->metrics, '\n');
    if (!client_get_json(args, "/connectors?expand=status", &s->connectors, err) ||
        !client_get_json(args, "/v1/tables", &s->tables, err) ||
        !client_get(args, "/metrics", &s->metrics, err))
        return false;
    if (json_is_object(s->connectors) && json_is_array(s->tables))
        return true;
    return error_set(err, ERROR_DATA, "%s does not answer as penstock does", args->url);
}

static int run(const struct cli_args *args)
{
    struct arena *a = arena_new("status");
    struct answers s = {0};
    struct error err = {0};
    int code = CLI_OK;

    if (!ask(args, &s, &err)) {
        code = cli_fail(&err, CLI_FAILED);
    } else if (args->json) {
        print_json(a, &s);
    } else {
        print_connectors(a, &s);
        print_tables(a, s.tables);
    }
    json_decref(s.connectors);
    json_decref(s.tables);
    buf_free(&s.metrics);
    arena_free(a);
    return code;
}

const struct cli_command cli_status = {
    .name = "status",
    .summary = "connectors and tables of a running service",
    .usage = "status [--url URL] [--token TOKEN] [--output table|json]",
    .help =
        "Asks the service at --url. LAG is the source's log that is not yet known to be in the\n"
        "warehouse, RETAINED what its server keeps for the slot, AGE how old the newest is\n"
        "that the warehouse is known to contain. Below its line a connector that is FAILED or\n"
        "RESTARTING says why; the slot says how much it may keep, for whose sake it does, and\n"
        "when it will be lost.",
    .run = run,
};
