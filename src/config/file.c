/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file: read (at most 1 MB), parsed (yaml.c), each map built against the settings
 * of its class (config.c), then the rules between settings (rules.c). The class is looked up in
 * connectors.h, by its short name or another one it goes by.
 */
#include "config/file.h"

#include "config/file_internal.h"
#include "config/nearest.h"
#include "config/yaml.h"
#include "connectors.h"
#include "util/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX_BYTES (1024 * 1024)

const struct setting config_connector_settings[] = {
    {.name = "connector.class",
     .type = SETTING_STRING,
     .required = true,
     .doc = "What the connector is: a short name, or Debezium's name of a source."},
    {.name = "name",
     .type = SETTING_STRING,
     .doc = "The connector's name; in a file it can only repeat the name above the settings."},
    {.name = NULL},
};

void file_settings(const struct source_ops *source, const struct warehouse_ops *warehouse,
                   const struct setting *out[4])
{
    static const struct setting none[] = {{.name = NULL}};
    const struct setting *own = source != NULL ? source->settings : warehouse->settings;

    out[0] = config_connector_settings;
    out[1] = source != NULL ? config_source_settings : config_sink_settings;
    out[2] = own != NULL ? own : none;
    out[3] = NULL;
}

static bool build(struct config **out, const struct file_map *map,
                  const struct setting *const *settings, struct error *err)
{
    struct config_input in = {.name = map->name != NULL ? map->name : "service",
                              .settings = settings,
                              .entries = map->entries,
                              .n = map->n,
                              .path = map->path,
                              .line = map->line,
                              .literal = map->literal};

    return config_build(out, &in, err);
}

/* Puts the place before an error of the rules. */
static bool placed(const struct file_map *map, struct error *err)
{
    if (map->name != NULL)
        error_prefix(err, "connector %s", map->name);
    if (map->path != NULL && map->line > 0)
        error_prefix(err, "%s:%d", map->path, map->line);
    return false;
}

bool file_service(struct config_file *f, const struct file_map *map, struct error *err)
{
    const struct setting *const settings[] = {config_service_settings, NULL};
    struct config *c;

    if (!build(&c, map, settings, err))
        return false;
    f->service = c;
    return rules_service(c, err) || placed(map, err);
}

static void offer_class(struct nearest *near, const char *wanted, const char *name,
                        const char *const *aliases)
{
    nearest_offer(near, wanted, name);
    for (; aliases != NULL && *aliases != NULL; aliases++)
        nearest_offer(near, wanted, *aliases);
}

static bool unknown_class(const char *wanted, struct error *err)
{
    const char *reason = config_refused_class(wanted);
    struct nearest near = {0};
    char all[512] = "";
    size_t len = 0;

    if (reason != NULL) {
        error_set(err, ERROR_CONFIG, "connector.class: \"%s\" is refused: %s", wanted, reason);
    } else {
        error_set(err, ERROR_CONFIG, "connector.class: \"%s\" is not a class", wanted);
        for (int i = 0; connectors_sources[i] != NULL; i++)
            offer_class(&near, wanted, connectors_sources[i]->name, connectors_sources[i]->aliases);
        for (int i = 0; connectors_warehouses[i] != NULL; i++)
            offer_class(&near, wanted, connectors_warehouses[i]->name,
                        connectors_warehouses[i]->aliases);
    }
    if (near.best != NULL)
        return error_hint(err, "did you mean %s?", near.best);
    for (int i = 0; connectors_sources[i] != NULL && len < sizeof(all); i++)
        len += (size_t)snprintf(all + len, sizeof(all) - len, " %s", connectors_sources[i]->name);
    for (int i = 0; connectors_warehouses[i] != NULL && len < sizeof(all); i++)
        len +=
            (size_t)snprintf(all + len, sizeof(all) - len, " %s", connectors_warehouses[i]->name);
    return error_hint(err, "the classes are:%s", all);
}

/* Finds what the map's connector.class names. */
static bool find_class(const struct file_map *map, struct config_connector *c, int *line,
                       struct error *err)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct raw_entry *e = &map->entries[i];
        char *class_name = NULL;
        bool found, ok;

        if (strcmp(e->key, "connector.class") != 0)
            continue;
        *line = e->line;
        if (map->literal)
            class_name = mem_strdup(e->value);
        else if (!config_resolve(e->value, &class_name, &found, err))
            return error_prefix(err, "connector.class");
        c->source = connectors_source(class_name);
        c->warehouse = c->source == NULL ? connectors_warehouse(class_name) : NULL;
        ok = c->source != NULL || c->warehouse != NULL || unknown_class(class_name, err);
        mem_free(class_name);
        return ok;
    }
    error_set(err, ERROR_CONFIG, "connector.class is missing");
    return error_hint(err, "it says what the connector is, for instance postgres or duckdb");
}

bool file_connector(struct config_file *f, const struct file_map *map, struct error *err)
{
    struct config_connector *c = &f->connectors[f->nconnectors];
    struct file_map at = *map;
    const struct setting *settings[4];
    struct config *config;

    memset(c, 0, sizeof(*c));
    if (!rules_name(map->name, err) || !find_class(map, c, &at.line, err))
        return placed(&at, err);
    file_settings(c->source, c->warehouse, settings);
    if (!build(&config, map, settings, err))
        return false;
    c->config = config;
    c->name = config_name(config);
    f->nconnectors++;
    return rules_connector(c, err) || placed(map, err);
}

static bool read_text(const char *path, struct buf *out, struct error *err)
{
    FILE *f = fopen(path, "re");
    size_t n = 1;
    int failed = 0;

    if (f == NULL) {
        failed = errno;
    } else {
        while (n > 0 && out->len <= FILE_MAX_BYTES) {
            errno = 0;
            n = fread(buf_reserve(out, 65536), 1, 65536, f);
            out->len += n;
        }
        failed = ferror(f) != 0 ? (errno != 0 ? errno : EIO) : 0;
        fclose(f);
    }
    if (failed != 0) {
        error_set(err, ERROR_CONFIG, "cannot read %s: %s", path, strerror(failed));
        return error_hint(err, "name the file with -c FILE; examples/penstock.yaml is one to start "
                               "from");
    }
    if (out->len > FILE_MAX_BYTES)
        return error_set(err, ERROR_CONFIG, "%s is larger than 1 MB", path);
    return true;
}

static bool load(const struct raw_file *raw, const char *path, struct config_file *f,
                 struct error *err)
{
    struct file_map service = {.entries = raw->service.entries, .n = raw->service.n, .path = path};

    f->connectors = mem_calloc(raw->nconnectors, sizeof(*f->connectors));
    if (!file_service(f, &service, err))
        return false;
    for (size_t i = 0; i < raw->nconnectors; i++) {
        struct file_map map = {.name = raw->connectors[i].name,
                               .entries = raw->connectors[i].entries,
                               .n = raw->connectors[i].n,
                               .line = raw->connectors[i].line,
                               .path = path};

        if (!file_connector(f, &map, err))
            return false;
    }
    return rules_together(f, err) || error_prefix(err, "%s", path);
}

bool config_file_load(const char *path, struct config_file **out, struct error *err)
{
    struct arena *a = arena_new("configuration file");
    struct config_file *f = mem_calloc(1, sizeof(*f));
    struct raw_file raw;
    struct buf text = {0};
    bool ok = read_text(path, &text, err) &&
              yaml_parse(a, path, buf_cstr(&text), text.len, &raw, err) && load(&raw, path, f, err);

    buf_free(&text);
    arena_free(a);
    if (!ok) {
        config_file_free(f);
        f = NULL;
    }
    *out = f;
    return ok;
}

void config_file_free(struct config_file *f)
{
    if (f == NULL)
        return;
    for (int i = 0; i < f->nconnectors; i++)
        config_free((struct config *)(uintptr_t)f->connectors[i].config);
    config_free((struct config *)(uintptr_t)f->service);
    mem_free(f->connectors);
    mem_free(f);
}
