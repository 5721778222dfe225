/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `penstock config`: every setting there is, from the same tables that check them (as a table, as
 * JSON, as docs/configuration.md), or what one file comes to: checked, defaults filled in, secrets
 * hidden. The latter is YAML that can be read again, but for the secrets.
 */
#include "cli/cli_internal.h"
#include "cli/markdown.h"
#include "config/config_internal.h"
#include "config/file_internal.h"
#include "connectors.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>

static const char *type_name(enum setting_type type)
{
    switch (type) {
    case SETTING_STRING:
        return "string";
    case SETTING_BOOL:
        return "boolean";
    case SETTING_INT:
        return "integer";
    case SETTING_BYTES:
        return "bytes";
    case SETTING_ENUM:
        return "enum";
    case SETTING_REGEX:
        return "regex";
    case SETTING_REGEXES:
        return "list of regexes";
    case SETTING_PASSWORD:
        return "password";
    case SETTING_URL:
        return "URL";
    }
    return "string";
}

/* A part of the list of settings. */
struct section {
    const char *key;   /* in JSON */
    const char *title; /* in the table and the document */
    const struct setting *settings;
};

static size_t sections(struct section *out, size_t max)
{
    size_t n = 0;

    out[n++] = (struct section){"service", "service", config_service_settings};
    out[n++] = (struct section){"connector", "every connector", config_connector_settings};
    out[n++] = (struct section){"source", "every source", config_source_settings};
    for (int i = 0; connectors_sources[i] != NULL && n < max; i++)
        out[n++] = (struct section){connectors_sources[i]->name, connectors_sources[i]->name,
                                    connectors_sources[i]->settings};
    if (n < max)
        out[n++] = (struct section){"sink", "every sink", config_sink_settings};
    for (int i = 0; connectors_warehouses[i] != NULL && n < max; i++)
        out[n++] = (struct section){connectors_warehouses[i]->name, connectors_warehouses[i]->name,
                                    connectors_warehouses[i]->settings};
    return n;
}

#define MAX_SECTIONS 32

static bool has_rows(const struct section *s)
{
    return s->settings != NULL && s->settings[0].name != NULL;
}

/* Default, or what else stands in its column. */
static const char *default_text(const struct setting *s)
{
    return s->def != NULL ? s->def : s->required ? "(required)" : "";
}

static void print_table(void)
{
    struct section all[MAX_SECTIONS];
    size_t n = sections(all, MAX_SECTIONS);

    for (size_t i = 0; i < n; i++) {
        if (!has_rows(&all[i]))
            continue;
        printf("%s%s\n", i > 0 ? "\n" : "", all[i].title);
        printf("  %-38s %-16s %-18s %s\n", "SETTING", "TYPE", "DEFAULT", "MEANING");
        for (const struct setting *s = all[i].settings; s->name != NULL; s++) {
            printf("  %-38s %-16s %-18s %s", s->name, type_name(s->type), default_text(s), s->doc);
            if (s->only != NULL)
                printf(" Only \"%s\".", s->only);
            if (s->choices != NULL)
                printf(" [%s]", s->choices);
            if (s->min != 0 || s->max != 0)
                printf(" [%" PRId64 " to %" PRId64 "]", s->min, s->max);
            putchar('\n');
        }
    }
}

static json_t *setting_json(const struct setting *s)
{
    json_t *o = json_object();

    json_object_set_new(o, "name", json_string(s->name));
    json_object_set_new(o, "type", json_string(type_name(s->type)));
    json_object_set_new(o, "default", s->def != NULL ? json_string(s->def) : json_null());
    json_object_set_new(o, "required", json_boolean(s->required));
    json_object_set_new(o, "secret", json_boolean(s->type == SETTING_PASSWORD));
    if (s->choices != NULL)
        json_object_set_new(o, "choices", json_string(s->choices));
    if (s->only != NULL)
        json_object_set_new(o, "only", json_string(s->only));
    if (s->min != 0 || s->max != 0) {
        json_object_set_new(o, "min", json_integer(s->min));
        json_object_set_new(o, "max", json_integer(s->max));
    }
    json_object_set_new(o, "documentation", json_string(s->doc));
    return o;
}

static void dump(json_t *all)
{
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

static void print_json(void)
{
    struct section all[MAX_SECTIONS];
    size_t n = sections(all, MAX_SECTIONS);
    json_t *out = json_object();

    for (size_t i = 0; i < n; i++) {
        json_t *rows = json_array();

        for (const struct setting *s = all[i].settings; s != NULL && s->name != NULL; s++)
            json_array_append_new(rows, setting_json(s));
        json_object_set_new(out, all[i].key, rows);
    }
    dump(out);
}

static void print_choices(FILE *out, const char *choices)
{
    fputs(" One of ", out);
    while (*choices != '\0') {
        size_t len = strcspn(choices, ",");

        fprintf(out, "`%.*s`", (int)len, choices);
        choices += len;
        fputs(*choices == ',' ? ", " : ".", out);
        choices += *choices == ',';
    }
}

static void markdown_row(FILE *out, const struct setting *s)
{
    fprintf(out, "| `%s` | %s | ", s->name, type_name(s->type));
    if (s->only == NULL && s->def != NULL)
        markdown_code(out, s->def);
    else if (s->required)
        fputs("required", out);
    fputs(" | ", out);
    markdown_prose(out, s->doc);
    if (s->only != NULL) {
        fputs(" Accepted with ", out);
        markdown_code(out, s->only);
        fputs(" only, which is what is done anyway.", out);
    }
    if (s->choices != NULL)
        print_choices(out, s->choices);
    if (s->min != 0 || s->max != 0)
        fprintf(out, " From %" PRId64 " to %" PRId64 ".", s->min, s->max);
    fputs(" |\n", out);
}

static const char introduction[] =
    "# Settings\n"
    "\n"
    "<!-- Made by `penstock config --markdown > docs/configuration.md`; do not edit. -->\n"
    "\n"
    "One YAML file (JSON is YAML): `service:` for the process, `connectors:` a map of names to "
    "flat maps of\n"
    "settings. `examples/penstock.yaml` is one to start from; `penstock config -c FILE` checks a "
    "file and prints\n"
    "what it comes to, with secrets as `[hidden]`.\n"
    "\n"
    "- A value is text: `8083`, `\"8083\"` and `true` are taken as written. Regular expressions "
    "are best written\n"
    "  without quotes or between single ones.\n"
    "- `${env:NAME}` is replaced by a variable of the environment, `${file:/path:key}` by a key of "
    "a properties\n"
    "  file (`key=value` lines).\n"
    "- Lists of regular expressions are PCRE2, separated by commas, each for the whole "
    "`schema.table`,\n"
    "  case-insensitive.\n"
    "- Bytes are a number with `KB`, `MB` or `GB` (powers of 1024) or without a unit.\n"
    "- An unknown setting, value or class is refused with the nearest known one, exit code 2.\n";

static void print_names(FILE *out, const char *const *aliases)
{
    if (aliases == NULL || *aliases == NULL)
        return;
    fputs("\n`connector.class` can also be ", out);
    for (; *aliases != NULL; aliases++)
        fprintf(out, "`%s`%s", *aliases, aliases[1] != NULL ? ", " : ".\n");
}

void cli_print_markdown(FILE *out)
{
    struct section all[MAX_SECTIONS];
    size_t n = sections(all, MAX_SECTIONS);

    fputs(introduction, out);
    for (size_t i = 0; i < n; i++) {
        const struct source_ops *source = connectors_source(all[i].key);
        const struct warehouse_ops *warehouse = connectors_warehouse(all[i].key);

        if (source != NULL || warehouse != NULL)
            fprintf(out, "\n## %s `%s`\n", source != NULL ? "Source" : "Warehouse", all[i].title);
        else
            fprintf(out, "\n## %c%s\n", toupper((unsigned char)all[i].title[0]), all[i].title + 1);
        print_names(out, source != NULL      ? source->aliases
                         : warehouse != NULL ? warehouse->aliases
                                             : NULL);
        if (!has_rows(&all[i])) {
            fputs("\nNo settings of its own.\n", out);
            continue;
        }
        fputs("\n| Setting | Type | Default | Meaning |\n| --- | --- | --- | --- |\n", out);
        for (const struct setting *s = all[i].settings; s->name != NULL; s++)
            markdown_row(out, s);
    }
}

/* A value as YAML: plain where that reads back as the same text, else in single quotes, or in
 * double ones where it has control characters. */
static void print_yaml(const char *value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_./\\-";
    bool control = false;

    for (const char *p = value; *p != '\0'; p++)
        control = control || iscntrl((unsigned char)*p);
    if (value[0] != '\0' && value[0] != '-' && strcasecmp(value, "null") != 0 &&
        value[strspn(value, plain)] == '\0') {
        fputs(value, stdout);
    } else if (control) {
        putchar('"');
        for (const char *p = value; *p != '\0'; p++) {
            if (iscntrl((unsigned char)*p))
                printf("\\x%02x", (unsigned)(unsigned char)*p);
            else if (*p == '"' || *p == '\\')
                printf("\\%c", *p);
            else
                putchar(*p);
        }
        putchar('"');
    } else {
        putchar('\'');
        for (const char *p = value; *p != '\0'; p++)
            printf(*p == '\'' ? "''" : "%c", *p);
        putchar('\'');
    }
}

static void print_map(const struct config *c, const char *indent)
{
    for (size_t i = 0; i < c->n; i++) {
        printf("%s%s: ", indent, c->entries[i].setting->name);
        print_yaml(c->entries[i].shown);
        puts(c->entries[i].user ? "" : "  # default");
    }
}

static json_t *map_json(const struct config *c)
{
    json_t *o = json_object();

    for (size_t i = 0; i < c->n; i++)
        json_object_set_new(o, c->entries[i].setting->name, json_string(c->entries[i].shown));
    return o;
}

static void print_file(const struct config_file *f, bool json)
{
    json_t *out, *connectors;

    if (!json) {
        puts("service:");
        print_map(f->service, "  ");
        puts(f->nconnectors > 0 ? "connectors:" : "connectors: {}");
        for (int i = 0; i < f->nconnectors; i++) {
            fputs("  ", stdout);
            print_yaml(f->connectors[i].name);
            puts(":");
            print_map(f->connectors[i].config, "    ");
        }
        return;
    }
    out = json_object();
    connectors = json_object();
    json_object_set_new(out, "service", map_json(f->service));
    for (int i = 0; i < f->nconnectors; i++)
        json_object_set_new(connectors, f->connectors[i].name, map_json(f->connectors[i].config));
    json_object_set_new(out, "connectors", connectors);
    dump(out);
}

static int run_config(const struct cli_args *args)
{
    const char *path = cli_value(args, "--config");
    bool errors = cli_value(args, "--errors") != NULL;
    struct config_file *f;
    struct error err = {0};

    if (path != NULL && (cli_value(args, "--markdown") != NULL || errors)) {
        error_set(&err, ERROR_CONFIG, "%s, not a file",
                  errors ? "--errors describes every error" : "--markdown describes every setting");
        error_hint(&err, "leave out --config or %s", errors ? "--errors" : "--markdown");
        return cli_fail(&err, CLI_USAGE);
    }
    if (path != NULL) {
        if (!config_file_load(path, &f, &err))
            return cli_fail(&err, CLI_USAGE);
        print_file(f, args->json);
        config_file_free(f);
    } else if (errors) {
        cli_print_errors(stdout);
    } else if (cli_value(args, "--markdown") != NULL) {
        cli_print_markdown(stdout);
    } else if (args->json) {
        print_json();
    } else {
        print_table();
    }
    return CLI_OK;
}

static const struct cli_option config_options[] = {
    {"--config", "-c", "FILE", "check this file and print what it comes to, secrets hidden"},
    {"--markdown", NULL, NULL, "print docs/configuration.md"},
    {"--errors", NULL, NULL, "print docs/errors.md: what each error means, who must do what"},
    {NULL, NULL, NULL, NULL},
};

const struct cli_command cli_config = {
    .name = "config",
    .summary = "every setting there is, or a file checked and with its defaults",
    .usage = "config [-c FILE] [--markdown] [--errors] [--output json]",
    .options = config_options,
    .run = run_config,
};
