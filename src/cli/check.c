/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock check: the plan (tables, rows, bytes, key, target names and types, how long the load
 * takes) and everything that would stop or surprise a run, each with its fix. Both sides are looked
 * at, also if one is down. Changes nothing on either.
 */
#include "cli/check_internal.h"
#include "cli/cli.h"
#include "config/feeds.h"
#include "util/buf.h"

#include <stdio.h>
#include <string.h>

/* --- asking both sides --- */

static const struct config_connector *sink_of(const struct config_file *cfg,
                                              const struct config_connector *source)
{
    int i;

    for (i = 0; i < cfg->nconnectors; i++) {
        if (cfg->connectors[i].warehouse != NULL &&
            config_feeds(source->config, cfg->connectors[i].config))
            return &cfg->connectors[i];
    }
    return NULL;
}

static void check_source(struct check *c, struct check_pair *p)
{
    const struct source_ops *ops = p->source->source;
    struct source *s = NULL;
    struct error err;

    c->findings.connector = p->source->name;
    p->plan.load_seconds = -1;
    p->plan.log_bytes = -1;
    p->asked = ops->open(&s, p->source->config, &err) &&
               ops->check(s, c->arena, &p->plan, &c->findings, &err);
    if (!p->asked)
        findings_add_error(&c->findings, "source", &err);
    if (p->sink == NULL) {
        findings_add(&c->findings, FINDING_WARNING, "source",
                     "add a warehouse's connector whose topics.regex takes them",
                     "no warehouse takes the topics of this source");
        check_plan_pair(c, p, NULL, 0);
    }
    ops->close(s);
}

/* Slots have one name space for all of a server. */
static void judge_slots(struct check *c, const struct check_pair *p)
{
    const struct source_identity *is = &p->plan.identity;
    const struct check_pair *q;

    for (q = c->pairs; is->system[0] != '\0' && is->mark[0] != '\0' && q < p; q++) {
        if (strcmp(q->plan.identity.system, is->system) != 0 ||
            strcmp(q->plan.identity.mark, is->mark) != 0)
            continue;
        findings_add(&c->findings, FINDING_STOPS, "source",
                     "set another slot.name and publication.name for one of them",
                     "connector %s reads slot %s, too", q->source->name, is->mark);
    }
}

static void check_all(struct check *c)
{
    int i;

    c->pairs = arena_calloc(c->arena, (size_t)c->cfg->nconnectors + 1, sizeof(*c->pairs));
    for (i = 0; i < c->cfg->nconnectors; i++) {
        const struct config_connector *at = &c->cfg->connectors[i];

        if (at->source == NULL)
            continue;
        c->pairs[c->npairs].source = at;
        c->pairs[c->npairs].sink = sink_of(c->cfg, at);
        check_source(c, &c->pairs[c->npairs]);
        judge_slots(c, &c->pairs[c->npairs++]);
    }
    for (i = 0; i < c->cfg->nconnectors; i++) {
        if (c->cfg->connectors[i].warehouse != NULL)
            check_warehouse(c, &c->cfg->connectors[i]);
    }
}

/* --- the report --- */

/* Where the statement ends: a line's end, but not one inside of a quoted name or text. */
static size_t statement_end(const char *sql, size_t n)
{
    char quote = '\0';
    size_t i;

    for (i = 0; i < n && (quote != '\0' || sql[i] != '\n'); i++) {
        if (quote == '\0' && (sql[i] == '\'' || sql[i] == '"'))
            quote = sql[i];
        else if (sql[i] == quote)
            quote = '\0';
    }
    return i;
}

/* One that were cut inside of a name would run what the name's owner wrote into it. */
static json_t *statements(const struct finding *f)
{
    json_t *list = json_array();
    size_t at = 0;

    while (at < f->sql.len) {
        const char *line = (const char *)f->sql.data + at;
        size_t n = statement_end(line, f->sql.len - at);

        json_array_append_new(list, json_stringn(line, n));
        at += n + 1;
    }
    return list;
}

static json_t *findings_json(const struct findings *all)
{
    json_t *list = json_array();
    const struct finding *f;

    for (f = all->first; f != NULL; f = f->next)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s?, s:o}", "severity",
                                              finding_severity_name(f->severity), "connector",
                                              f->connector, "subject", f->subject, "message",
                                              f->message, "fix", f->fix, "sql", statements(f)));
    return list;
}

static json_t *report(struct check *c)
{
    json_t *tables = json_array(), *totals = json_array();
    int i;

    for (i = 0; i < c->npairs; i++) {
        json_t *of_pair = check_plan_tables(&c->pairs[i]);

        json_array_extend(tables, of_pair);
        json_decref(of_pair);
        json_array_append_new(totals, check_plan_totals(&c->pairs[i]));
    }
    findings_sort(&c->findings);
    return json_pack("{s:b, s:o, s:o, s:o}", "ok", c->findings.stops == 0, "sources", totals,
                     "tables", tables, "findings", findings_json(&c->findings));
}

/* --- the command --- */

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
    struct check c = {0};
    struct config_file *cfg = NULL;
    struct error err;
    json_t *out;
    int code;

    if (!load(args, &cfg, &err))
        return cli_fail(&err, CLI_USAGE);
    c.cfg = cfg;
    c.arena = arena_new("check");
    check_all(&c);
    out = report(&c);
    if (args->json) {
        json_dumpf(out, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        check_print(out);
    }
    code = c.findings.stops > 0 ? CLI_FAILED : CLI_OK;
    json_decref(out);
    findings_free(&c.findings);
    arena_free(c.arena);
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
    .help = "Changes nothing on either side. Exit code: 0 nothing stops a run, 1 something does\n"
            "(an error among the findings), 2 wrong command line or file.",
    .options = check_options,
    .run = run,
};
