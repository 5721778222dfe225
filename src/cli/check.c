/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock check: the plan (tables, rows, bytes, key, target types that are not the source's own)
 * and everything that would stop or surprise a run, each with its fix. Changes nothing.
 */
#include "cli/cli.h"
#include "config/file.h"
#include "connectors.h"
#include "util/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct plan {
    json_t *tables;
    struct findings findings;
};

static const struct config_connector *find_warehouse(const struct config_file *cfg)
{
    int i;

    for (i = 0; i < cfg->nconnectors; i++) {
        if (cfg->connectors[i].warehouse != NULL)
            return &cfg->connectors[i];
    }
    return NULL;
}

static json_t *key_names(const struct table *t)
{
    json_t *keys = json_array();
    int i;

    for (i = 0; i < t->nkeys; i++)
        json_array_append_new(keys, json_string(t->cols[t->keys[i]].name));
    return keys;
}

/* Columns whose type in the warehouse is another than the source's. */
static json_t *column_plan(const struct table *t, const struct dialect *d)
{
    struct arena *a = arena_new("plan");
    json_t *cols = json_array();
    int i;

    for (i = 0; d != NULL && i < t->ncols; i++) {
        struct load_column c = {0};
        const char *note = NULL;

        d->column(a, &t->cols[i], &c, &note);
        json_array_append_new(cols, json_pack("{s:s, s:s, s:s, s:s?}", "name", t->cols[i].name,
                                              "source_type", t->cols[i].source_type, "type", c.type,
                                              "note", note));
    }
    arena_free(a);
    return cols;
}

static void add_table(struct plan *p, const struct source_table *st, const struct dialect *d)
{
    const struct table *t = st->table;
    char subject[300];

    snprintf(subject, sizeof(subject), "table %s.%s", t->schema, t->name);
    json_array_append_new(p->tables,
                          json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:s?}", "schema", t->schema,
                                    "table", t->name, "rows", (json_int_t)t->est_rows, "bytes",
                                    (json_int_t)t->est_bytes, "key", key_names(t), "columns",
                                    column_plan(t, d), "refused", st->refused));
    if (st->refused != NULL)
        findings_add(&p->findings, FINDING_WARNING, subject, NULL, "%s", st->refused);
}

static void check_source(struct plan *p, const struct config_connector *c, const struct dialect *d)
{
    struct arena *a = arena_new("check");
    struct source_table *tables = NULL;
    struct source *s = NULL;
    struct error err;
    int n = 0, i;

    if (!c->source->open(&s, c->config, &err) || !c->source->check(s, &p->findings, &err) ||
        !c->source->plan(s, a, &tables, &n, &err))
        findings_add_error(&p->findings, "source", &err);
    for (i = 0; i < n; i++)
        add_table(p, &tables[i], d);
    c->source->close(s);
    arena_free(a);
}

static void check_warehouse(struct plan *p, const struct config_connector *c)
{
    struct warehouse *w = NULL;
    struct error err;

    if (!c->warehouse->open(&w, c->config, &err) || !c->warehouse->check(w, &p->findings, &err))
        findings_add_error(&p->findings, "warehouse", &err);
    c->warehouse->close(w);
}

static void print_json(const struct plan *p)
{
    json_t *list = json_array();
    const struct finding *f;
    json_t *out;

    for (f = p->findings.first; f != NULL; f = f->next)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s?}", "severity",
                                              finding_severity_name(f->severity), "subject",
                                              f->subject, "message", f->message, "fix", f->fix));
    out = json_pack("{s:O, s:o}", "tables", p->tables, "findings", list);
    json_dumpf(out, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(out);
}

static void print_notes(const json_t *table)
{
    size_t i;
    json_t *c;

    json_array_foreach(json_object_get(table, "columns"), i, c)
    {
        const char *note = json_string_value(json_object_get(c, "note"));

        if (note != NULL)
            printf("    %s %s %s\n", json_string_value(json_object_get(c, "name")),
                   json_string_value(json_object_get(c, "source_type")), note);
    }
}

static void print_table(const json_t *t)
{
    char key[256] = "none (rows are a multiset)";
    char name[200];
    json_t *keys = json_object_get(t, "key");
    size_t i, at = 0;
    json_t *k;

    json_array_foreach(keys, i, k)
    {
        if (at < sizeof(key))
            at += (size_t)snprintf(key + at, sizeof(key) - at, "%s%s", i > 0 ? ", " : "",
                                   json_string_value(k));
    }
    snprintf(name, sizeof(name), "%s.%s", json_string_value(json_object_get(t, "schema")),
             json_string_value(json_object_get(t, "table")));
    if (json_is_string(json_object_get(t, "refused")))
        printf("  %-32s refused\n", name);
    else
        printf("  %-32s %12lld %14lld  %s\n", name,
               (long long)json_integer_value(json_object_get(t, "rows")),
               (long long)json_integer_value(json_object_get(t, "bytes")), key);
    print_notes(t);
}

static void print_text(const struct plan *p)
{
    const struct finding *f;
    size_t i;
    json_t *t;

    if (json_array_size(p->tables) > 0)
        printf("  %-32s %12s %14s  %s\n", "table", "rows (about)", "bytes", "key");
    json_array_foreach(p->tables, i, t)
    {
        print_table(t);
    }
    for (f = p->findings.first; f != NULL; f = f->next) {
        printf("%s: %s: %s\n", finding_severity_name(f->severity), f->subject, f->message);
        if (f->fix != NULL)
            printf("  to mend it: %s\n", f->fix);
    }
    puts(p->findings.stops > 0 ? "A run would stop: see above." : "Nothing stops a run.");
}

static bool load(const struct cli_args *args, struct config_file **cfg, struct error *err)
{
    const char *path = cli_value(args, "--config");
    struct config_urls u = {.from = cli_value(args, "--from"),
                            .to = cli_value(args, "--to"),
                            .tables = cli_value(args, "--tables")};

    if (u.from == NULL && u.to == NULL)
        return config_file_load(path != NULL ? path : "penstock.yaml", cfg, err);
    if (path != NULL || u.from == NULL || u.to == NULL)
        return error_set(err, ERROR_CONFIG, "check needs either -c FILE or both --from and --to");
    return config_file_from_urls(&u, cfg, err);
}

static int run(const struct cli_args *args)
{
    struct plan p = {.tables = json_array()};
    const struct config_connector *sink;
    struct config_file *cfg = NULL;
    struct error err;
    int i, code;

    if (!load(args, &cfg, &err)) {
        json_decref(p.tables);
        return cli_fail(&err, CLI_USAGE);
    }
    sink = find_warehouse(cfg);
    for (i = 0; i < cfg->nconnectors; i++) {
        if (cfg->connectors[i].source != NULL)
            check_source(&p, &cfg->connectors[i], sink != NULL ? sink->warehouse->dialect : NULL);
        else
            check_warehouse(&p, &cfg->connectors[i]);
    }
    if (args->json)
        print_json(&p);
    else
        print_text(&p);
    code = p.findings.stops > 0 ? CLI_FAILED : CLI_OK;
    findings_free(&p.findings);
    json_decref(p.tables);
    config_file_free(cfg);
    return code;
}

static const struct cli_option check_options[] = {
    {"--config", "-c", "FILE", "configuration file, default penstock.yaml"},
    {"--from", NULL, "URL", "the source, instead of a file"},
    {"--to", NULL, "URL", "the warehouse, instead of a file"},
    {"--tables", NULL, "REGEX", "only these tables (schema.table), comma-separated"},
    {NULL, NULL, NULL, NULL},
};

const struct cli_command cli_check = {
    .name = "check",
    .summary = "show the plan and everything that would stop a run, with its fix",
    .usage = "check [-c penstock.yaml | --from URL --to URL]",
    .help = "Changes nothing. Exit code: 0 nothing stops a run, 1 something does, 2 wrong command\n"
            "line or file.",
    .options = check_options,
    .run = run,
};
