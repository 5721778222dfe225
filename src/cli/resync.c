/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock resync: a table, or all tables of a connector, are loaded again. Asks the service at
 * --url; where nothing listens, writes the wish into the warehouse's books for the next start.
 * Texts that came over the network are shown without control characters.
 */
#include "cli/resync.h"

#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_CONFIG "penstock.yaml"

static char *body_of(struct arena *a, const struct qualified *table)
{
    json_t *j = json_object(), *list = json_array();
    char *text;

    json_array_append_new(list, json_string(qualified_text(a, table->schema, table->name)));
    json_object_set_new(j, "tables", list);
    text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}

static bool ask_service(const struct resync *r, struct arena *a, json_t **out, bool *absent,
                        struct error *err)
{
    char *body = r->table != NULL ? body_of(a, r->table) : NULL;
    struct buf path = {0};
    bool ok;

    buf_puts(&path, "/v1/connectors/");
    client_segment(&path, r->connector);
    buf_puts(&path, "/snapshots");
    ok = client_post_json(r->args, buf_cstr(&path), body, out, absent, err);
    if (ok && !json_is_array(json_object_get(*out, "tables")))
        ok = error_set(err, ERROR_DATA, "%s does not answer as penstock does", r->args->url);
    if (ok)
        json_object_set_new(*out, "service", json_string("running"));
    free(body);
    buf_free(&path);
    return ok;
}

static void print_clean(const char *s)
{
    for (; s != NULL && *s != '\0'; s++)
        putchar((unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : *s);
    putchar('\n');
}

static void print_text(const struct resync *r, const json_t *answer)
{
    const json_t *tables = json_object_get(answer, "tables"), *each;
    bool stopped = r->config != NULL;
    size_t i;

    if (json_array_size(tables) == 0)
        puts("every table will be loaded again, once the connector knows them");
    else
        puts(stopped ? "will be loaded again at the next start:" : "will be loaded again:");
    json_array_foreach(tables, i, each)
    {
        fputs("  ", stdout);
        print_clean(json_string_value(each));
    }
    if (stopped)
        printf("no service answers at %s: start it with penstock run -c %s\n", r->args->url,
               r->config);
    printf("follow it with: penstock status --url %s\n", r->args->url);
}

static void print_json(const json_t *answer)
{
    char *dump = json_dumps(answer, JSON_INDENT(2));

    puts(dump ? dump : "{}");
    free(dump);
}

/* config is only used, and then kept in r, when nothing listens at --url. */
static int resync(struct resync *r, struct arena *a, const char *config)
{
    struct error err = {0};
    json_t *answer = NULL;
    bool absent = false;
    int code = CLI_OK;

    if (!ask_service(r, a, &answer, &absent, &err)) {
        code = CLI_FAILED;
        if (absent && (config != NULL || access(DEFAULT_CONFIG, F_OK) == 0)) {
            r->config = config != NULL ? config : DEFAULT_CONFIG;
            code = resync_stopped(r, &answer, &err);
        } else if (absent) {
            error_hint(&err, "with the service stopped, give its file with -c FILE: the tables are "
                             "then loaded again at the next start");
        }
    }
    if (code != CLI_OK)
        code = cli_fail(&err, code);
    else if (r->args->json)
        print_json(answer);
    else
        print_text(r, answer);
    json_decref(answer);
    return code;
}

static bool parse_table(struct arena *a, const char *text, struct qualified *out, struct error *err)
{
    json_t *utf8 = json_string(text);
    bool ok = utf8 != NULL && qualified_parse(a, text, out);

    json_decref(utf8);
    if (ok)
        return true;
    error_set(err, ERROR_CONFIG, "--table: '%s' is not SCHEMA.TABLE", text);
    return error_hint(err, "write --table public.orders, or --table '\"a.b\".\"c\"'");
}

static int run(const struct cli_args *args)
{
    struct arena *a = arena_new("resync");
    const char *text = cli_value(args, "--table");
    struct resync r = {.args = args, .connector = args->positional[0]};
    struct qualified table;
    struct error err = {0};
    int code;

    if (r.connector[0] == '\0') {
        error_set(&err, ERROR_CONFIG, "the name of the connector is empty");
        error_hint(&err, "penstock status lists the connectors");
        code = cli_fail(&err, CLI_USAGE);
    } else if (text != NULL && !parse_table(a, text, &table, &err)) {
        code = cli_fail(&err, CLI_USAGE);
    } else {
        r.table = text != NULL ? &table : NULL;
        code = resync(&r, a, cli_value(args, "--config"));
    }
    arena_free(a);
    return code;
}

static const struct cli_option resync_options[] = {
    {"--table", NULL, "S.T", "only this table; default: all tables of the connector"},
    {"--config", "-c", "FILE", "the service's file, for when it is stopped; default penstock.yaml"},
    {NULL, NULL, NULL, NULL},
};

const struct cli_command cli_resync = {
    .name = "resync",
    .summary = "load a table again, or all tables of a connector",
    .usage = "resync NAME [--table S.T] [-c FILE]",
    .help =
        "NAME is a source connector, or the warehouse that it feeds. The service at --url is\n"
        "asked; it loads the tables while it runs, and they can be read meanwhile. Where no\n"
        "service answers, the wish is written into the warehouse of FILE: the next start loads\n"
        "the tables. S.T is split at the first dot, unless a part stands in double quotes:\n"
        "--table '\"a.b\".\"c\"' is table c of schema a.b.",
    .options = resync_options,
    .min_positional = 1,
    .max_positional = 1,
    .run = run,
};
