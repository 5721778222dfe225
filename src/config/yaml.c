/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One document over libyaml's events. Values are scalars, and a scalar is its text: a number or a
 * boolean is what was written, null and nothing at all are the empty text. Refused, because they
 * would mean something silently: duplicate keys, lists and maps as values, anchors, aliases, tags,
 * more than one document, zero bytes. The depth is fixed by the shape, so nothing recurses.
 */
#include "config/yaml.h"

#include "config/nearest.h"

#include <string.h>
#include <yaml.h>

struct reading {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one; type YAML_NO_EVENT: none is held */
    struct arena *arena;
    const char *path;
    struct error *err;
};

static int line_of(const struct reading *r)
{
    return (int)r->event.start_mark.line + 1;
}

static bool fail(struct reading *r, int line, const char *what)
{
    error_set(r->err, ERROR_CONFIG, "%s:%d: %s", r->path, line, what);
    return false;
}

/* Reads the next event and refuses what no place may have. */
static bool next(struct reading *r)
{
    bool anchor, tag = false;

    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        const yaml_parser_t *p = &r->parser;
        size_t line = p->error == YAML_READER_ERROR ? p->mark.line : p->problem_mark.line;

        r->event.type = YAML_NO_EVENT;
        error_set(r->err, ERROR_CONFIG, "%s:%zu: not YAML: %s%s%s", r->path, line + 1,
                  p->problem != NULL ? p->problem : "cannot be read",
                  p->context != NULL ? ", " : "", p->context != NULL ? p->context : "");
        if (p->problem != NULL && strstr(p->problem, "escape") != NULL)
            error_hint(r->err, "in a regular expression write '...' or no quotes at all: between "
                               "double quotes \\ begins a YAML escape");
        return false;
    }
    anchor = r->event.type == YAML_ALIAS_EVENT;
    if (r->event.type == YAML_SCALAR_EVENT) {
        anchor = r->event.data.scalar.anchor != NULL;
        tag = r->event.data.scalar.tag != NULL;
    } else if (r->event.type == YAML_MAPPING_START_EVENT) {
        anchor = r->event.data.mapping_start.anchor != NULL;
        tag = r->event.data.mapping_start.tag != NULL;
    }
    if (anchor)
        return fail(r, line_of(r), "anchors and aliases are not read: write the text itself");
    if (tag)
        return fail(r, line_of(r), "tags (!...) are not read: write the text itself");
    return true;
}

static bool is_null(const yaml_event_t *e)
{
    const char *s = (const char *)e->data.scalar.value;

    return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (s[0] == '\0' || strcmp(s, "~") == 0 || strcmp(s, "null") == 0 ||
            strcmp(s, "Null") == 0 || strcmp(s, "NULL") == 0);
}

/* The text of the current scalar. */
static bool scalar(struct reading *r, const char *what, const char **out)
{
    const yaml_event_t *e = &r->event;

    if (e->type != YAML_SCALAR_EVENT) {
        error_set(r->err, ERROR_CONFIG, "%s:%d: %s must be a text, not a %s", r->path, line_of(r),
                  what, e->type == YAML_SEQUENCE_START_EVENT ? "list" : "map");
        if (e->type == YAML_SEQUENCE_START_EVENT)
            error_hint(r->err, "lists are one text with commas: a,b");
        return false;
    }
    if (strlen((const char *)e->data.scalar.value) != e->data.scalar.length)
        return fail(r, line_of(r), "a text holds a zero byte");
    *out = arena_strdup(r->arena, is_null(e) ? "" : (const char *)e->data.scalar.value);
    return true;
}

static bool duplicate(struct reading *r, const char *key, int line, int first)
{
    return error_set(r->err, ERROR_CONFIG, "%s:%d: %s is given twice, first in line %d", r->path,
                     line, key, first);
}

/* A flat map; the current event is its start (or a null, which is an empty one). */
static bool flat_map(struct reading *r, const char *what, struct raw_map *out)
{
    size_t cap = 0;

    if (r->event.type == YAML_SCALAR_EVENT && is_null(&r->event))
        return true;
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        error_set(r->err, ERROR_CONFIG, "%s:%d: %s must be a map of settings", r->path, line_of(r),
                  what);
        return error_hint(r->err, "write  key: value  lines, indented, below it");
    }
    for (;;) {
        struct raw_entry e = {0};

        if (!next(r))
            return false;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return true;
        e.line = line_of(r);
        if (!scalar(r, "a key", &e.key) || !next(r) || !scalar(r, e.key, &e.value))
            return false;
        e.null = is_null(&r->event);
        for (size_t i = 0; i < out->n; i++)
            if (strcmp(out->entries[i].key, e.key) == 0)
                return duplicate(r, e.key, e.line, out->entries[i].line);
        if (out->n == cap) {
            struct raw_entry *more;

            cap = cap != 0 ? 2 * cap : 16;
            more = arena_calloc(r->arena, cap, sizeof(*more));
            if (out->n > 0)
                memcpy(more, out->entries, out->n * sizeof(*more));
            out->entries = more;
        }
        out->entries[out->n++] = e;
    }
}

static bool connectors_map(struct reading *r, struct raw_file *out)
{
    size_t cap = 0;

    if (r->event.type == YAML_SCALAR_EVENT && is_null(&r->event))
        return true;
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        fail(r, line_of(r), "connectors must be a map of names to settings");
        return error_hint(r->err, "write `connectors: {}` for none");
    }
    for (;;) {
        struct raw_map map = {0};

        if (!next(r))
            return false;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return true;
        map.line = line_of(r);
        if (!scalar(r, "a connector's name", &map.name))
            return false;
        for (size_t i = 0; i < out->nconnectors; i++)
            if (strcmp(out->connectors[i].name, map.name) == 0)
                return duplicate(r, map.name, map.line, out->connectors[i].line);
        if (!next(r) || !flat_map(r, map.name, &map))
            return false;
        if (out->nconnectors == cap) {
            struct raw_map *more;

            cap = cap != 0 ? 2 * cap : 8;
            more = arena_calloc(r->arena, cap, sizeof(*more));
            if (out->nconnectors > 0)
                memcpy(more, out->connectors, out->nconnectors * sizeof(*more));
            out->connectors = more;
        }
        out->connectors[out->nconnectors++] = map;
    }
}

static bool unknown_part(struct reading *r, const char *key)
{
    char near[32];

    error_set(r->err, ERROR_CONFIG, "%s:%d: %s is neither service nor connectors", r->path,
              line_of(r), key);
    if (nearest_choice(key, "service,connectors", near, sizeof(near)) != NULL)
        return error_hint(r->err, "did you mean %s?", near);
    return error_hint(r->err, "a file has the parts `service:` (settings of the process) and "
                              "`connectors:` (NAME: settings)");
}

/* The current event is the document's top map. */
static bool top_map(struct reading *r, struct raw_file *out)
{
    int service = 0, connectors = 0;

    for (;;) {
        const char *key;
        int line, *seen;
        bool is_service;

        if (!next(r))
            return false;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            break;
        line = line_of(r);
        if (!scalar(r, "a key", &key))
            return false;
        is_service = strcmp(key, "service") == 0;
        if (!is_service && strcmp(key, "connectors") != 0)
            return unknown_part(r, key);
        seen = is_service ? &service : &connectors;
        if (*seen != 0)
            return duplicate(r, key, line, *seen);
        *seen = line;
        if (!next(r) || !(is_service ? flat_map(r, key, &out->service) : connectors_map(r, out)))
            return false;
    }
    if (connectors != 0)
        return true;
    fail(r, 1, "the file has no `connectors:`");
    return error_hint(r->err, "write `connectors: {}` for a service without any");
}

static bool document(struct reading *r, struct raw_file *out)
{
    if (!next(r) || !next(r)) /* stream start; document start, or the end of an empty file */
        return false;
    if (r->event.type == YAML_STREAM_END_EVENT || !next(r) ||
        r->event.type != YAML_MAPPING_START_EVENT) {
        if (r->err != NULL && r->err->kind != ERROR_NONE)
            return false;
        fail(r, 1, "the file is not a map with `service:` and `connectors:`");
        return error_hint(r->err, "examples/penstock.yaml is one to start from");
    }
    if (!top_map(r, out) || !next(r) || !next(r)) /* document end; stream end */
        return false;
    if (r->event.type != YAML_STREAM_END_EVENT)
        return fail(r, line_of(r), "a second document begins: only one is read");
    return true;
}

bool yaml_parse(struct arena *a, const char *path, const void *text, size_t len,
                struct raw_file *out, struct error *err)
{
    struct error none = {0};
    struct reading r = {.arena = a, .path = path, .err = err != NULL ? err : &none};
    bool ok;

    memset(out, 0, sizeof(*out));
    error_clear(r.err);
    if (!yaml_parser_initialize(&r.parser))
        return error_set(r.err, ERROR_FATAL, "out of memory");
    yaml_parser_set_input_string(&r.parser, text, len);
    ok = document(&r, out);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    return ok;
}
