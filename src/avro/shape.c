/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Avro schema text to shapes (Avro specification 1.11, "Schema Declaration", "Names", "Unions",
 * "Complex Types"). Stricter than the specification where it lets implementations differ: a
 * logical decimal must have 0 <= scale <= precision, a reference is looked up in its own namespace
 * only, a union has at least one branch, keys of an object are unique. Limits: 64 types inside one
 * another, a size of fixed below 2^31.
 */
#include "avro/shape.h"

#include "avro/shape_default.h"
#include "util/map.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

/* A default is judged when everything is read: its type may be the record that holds it. */
struct pending {
    struct pending *next;
    const struct shape_field *field;
    const char *path;
};

struct parser {
    struct arena *a;
    struct map *names; /* full name -> struct shape */
    struct pending *defaults, **last;
    int depth;
    const char *path; /* of the field being read, "" at the top */
    struct error *err;
};

static const char *const type_names[] = {"null",   "boolean", "int",    "long",   "float",
                                         "double", "bytes",   "string", "record", "enum",
                                         "fixed",  "array",   "map",    "union"};

static const struct shape *parse_shape(struct parser *p, const json_t *j, const char *space);

bool shape_is_named(const struct shape *n)
{
    return n->type == SHAPE_RECORD || n->type == SHAPE_ENUM || n->type == SHAPE_FIXED;
}

const char *shape_simple_name(const char *full)
{
    const char *dot = strrchr(full, '.');

    return dot ? dot + 1 : full;
}

/* Reports what is wrong at the place being read. Returns false. */
static bool bad(struct parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool bad(struct parser *p, const char *fmt, ...)
{
    char text[768];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return error_set(p->err, ERROR_DATA, "invalid Avro schema: %s%s%s%s",
                     p->path[0] ? "field " : "", p->path, p->path[0] ? ": " : "", text);
}

/* A string without zero bytes, or NULL. */
static const char *text_of(const json_t *j)
{
    const char *s = json_string_value(j);

    return s && strlen(s) == json_string_length(j) ? s : NULL;
}

static bool name_part_ok(const char *s, size_t n)
{
    if (n == 0 || !(isalpha((unsigned char)s[0]) || s[0] == '_'))
        return false;
    for (size_t i = 1; i < n; i++) {
        if (!isalnum((unsigned char)s[i]) && s[i] != '_')
            return false;
    }
    return true;
}

static bool full_name_ok(const char *s)
{
    for (;;) {
        size_t n = strcspn(s, ".");

        if (!name_part_ok(s, n))
            return false;
        if (s[n] == '\0')
            return true;
        s += n + 1;
    }
}

static int primitive_of(const char *name)
{
    for (int t = SHAPE_NULL; t <= SHAPE_STRING; t++) {
        if (strcmp(type_names[t], name) == 0)
            return t;
    }
    return -1;
}

static const char *qualify(struct parser *p, const char *name, const char *space)
{
    return strchr(name, '.') || space[0] == '\0' ? name : arena_printf(p->a, "%s.%s", space, name);
}

/* Fills n->name; *space becomes the namespace of what is defined inside. */
static bool read_name(struct parser *p, const json_t *j, struct shape *n, const char **space)
{
    const char *name = text_of(json_object_get(j, "name"));
    const json_t *jspace = json_object_get(j, "namespace");
    const char *own = jspace ? text_of(jspace) : *space;
    const char *dot;

    if (name == NULL)
        return bad(p, "a %s has no name", type_names[n->type]);
    if (own == NULL)
        return bad(p, "the namespace of %s is not a string", name);
    n->name = arena_strdup(p->a, qualify(p, name, own));
    if (!full_name_ok(n->name))
        return bad(p, "%s is not a name: each part is [A-Za-z_][A-Za-z0-9_]*", n->name);
    if (primitive_of(n->name) >= 0)
        return bad(p, "%s is the name of a primitive type", n->name);
    if (map_get(p->names, n->name, strlen(n->name)))
        return bad(p, "%s is defined twice", n->name);
    map_put(p->names, n->name, strlen(n->name), n);
    dot = strrchr(n->name, '.');
    *space = dot ? arena_strndup(p->a, n->name, (size_t)(dot - n->name)) : "";
    return true;
}

/* space NULL: plain names (of fields). */
static bool read_aliases(struct parser *p, const json_t *j, const char *space, const char ***out,
                         int *n)
{
    const json_t *list = json_object_get(j, "aliases");

    *n = 0;
    *out = NULL;
    if (list == NULL)
        return true;
    if (!json_is_array(list))
        return bad(p, "aliases is not an array");
    *out = arena_calloc(p->a, json_array_size(list) + 1, sizeof(**out));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *alias = text_of(json_array_get(list, i));

        if (alias == NULL || !(space ? full_name_ok(alias) : name_part_ok(alias, strlen(alias))))
            return bad(p, "alias %s is not a name", alias ? alias : "(not a string)");
        (*out)[(*n)++] = arena_strdup(p->a, space ? qualify(p, alias, space) : alias);
    }
    return true;
}

static bool order_ok(const json_t *j)
{
    const json_t *order = json_object_get(j, "order");
    const char *s = order ? text_of(order) : "ignore";

    return s && (!strcmp(s, "ascending") || !strcmp(s, "descending") || !strcmp(s, "ignore"));
}

static void add_default(struct parser *p, const struct shape_field *f)
{
    *p->last = arena_calloc(p->a, 1, sizeof(**p->last));
    (*p->last)->field = f;
    (*p->last)->path = p->path;
    p->last = &(*p->last)->next;
}

static bool read_field(struct parser *p, const json_t *j, struct shape *record, const char *space)
{
    const char *name = text_of(json_object_get(j, "name"));
    struct shape_field *f = &record->fields[record->nfields];
    const char *outer = p->path;

    if (name == NULL)
        return bad(p, "a field of %s has no name", record->name);
    p->path = arena_printf(p->a, "%s%s%s", outer, outer[0] ? "." : "", name);
    if (!name_part_ok(name, strlen(name)))
        return bad(p, "not a name: [A-Za-z_][A-Za-z0-9_]*");
    for (int i = 0; i < record->nfields; i++) {
        if (strcmp(record->fields[i].name, name) == 0)
            return bad(p, "%s has two fields of this name", record->name);
    }
    if (!order_ok(j))
        return bad(p, "order is not ascending, descending or ignore");
    if (json_object_get(j, "type") == NULL)
        return bad(p, "has no type");
    f->name = arena_strdup(p->a, name);
    if (!read_aliases(p, j, NULL, &f->aliases, &f->naliases))
        return false;
    f->type = parse_shape(p, json_object_get(j, "type"), space);
    if (f->type == NULL)
        return false;
    f->def = json_object_get(j, "default");
    if (f->def)
        add_default(p, f);
    record->nfields++;
    p->path = outer;
    return true;
}

static bool read_record(struct parser *p, const json_t *j, struct shape *n, const char *space)
{
    const json_t *fields = json_object_get(j, "fields");

    if (!json_is_array(fields))
        return bad(p, "record %s has no array of fields", n->name);
    n->fields = arena_calloc(p->a, json_array_size(fields) + 1, sizeof(*n->fields));
    for (size_t i = 0; i < json_array_size(fields); i++) {
        if (!read_field(p, json_array_get(fields, i), n, space))
            return false;
    }
    return true;
}

static bool has_symbol(const struct shape *n, const char *s)
{
    for (int i = 0; s && i < n->nsymbols; i++) {
        if (strcmp(n->symbols[i], s) == 0)
            return true;
    }
    return false;
}

static bool read_enum(struct parser *p, const json_t *j, struct shape *n)
{
    const json_t *list = json_object_get(j, "symbols"), *def = json_object_get(j, "default");

    if (!json_is_array(list) || json_array_size(list) == 0)
        return bad(p, "enum %s has no symbols", n->name);
    n->symbols = arena_calloc(p->a, json_array_size(list), sizeof(*n->symbols));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = text_of(json_array_get(list, i));

        if (s == NULL || !name_part_ok(s, strlen(s)))
            return bad(p, "enum %s: %s is not a symbol", n->name, s ? s : "(not a string)");
        if (has_symbol(n, s))
            return bad(p, "enum %s has symbol %s twice", n->name, s);
        n->symbols[n->nsymbols++] = arena_strdup(p->a, s);
    }
    n->symbol_default = arena_strdup(p->a, text_of(def));
    if (def && !has_symbol(n, n->symbol_default))
        return bad(p, "the default of enum %s is not one of its symbols", n->name);
    return true;
}

static bool read_fixed(struct parser *p, const json_t *j, struct shape *n)
{
    const json_t *size = json_object_get(j, "size");

    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > INT_MAX)
        return bad(p, "fixed %s has no size from 0", n->name);
    n->size = json_integer_value(size);
    return true;
}

static bool read_container(struct parser *p, const json_t *j, struct shape *n, const char *space)
{
    const char *key = n->type == SHAPE_ARRAY ? "items" : "values";
    const json_t *inner = json_object_get(j, key);

    if (inner == NULL)
        return bad(p, "%s without %s", n->type == SHAPE_ARRAY ? "an array" : "a map", key);
    n->branches = arena_calloc(p->a, 1, sizeof(*n->branches));
    n->branches[0] = parse_shape(p, inner, space);
    n->nbranches = 1;
    return n->branches[0] != NULL;
}

/* Unions hold each unnamed type once and each name once, and no unions. */
static bool read_union(struct parser *p, const json_t *j, struct shape *n, const char *space)
{
    n->type = SHAPE_UNION;
    n->branches = arena_calloc(p->a, json_array_size(j) + 1, sizeof(*n->branches));
    if (json_array_size(j) == 0)
        return bad(p, "a union has no branches");
    for (size_t i = 0; i < json_array_size(j); i++) {
        const struct shape *b = parse_shape(p, json_array_get(j, i), space);

        if (b == NULL)
            return false;
        if (b->type == SHAPE_UNION)
            return bad(p, "a union lies directly in a union");
        for (int k = 0; k < n->nbranches; k++) {
            const struct shape *o = n->branches[k];

            if (o == b || (o->type == b->type && !shape_is_named(b)))
                return bad(p, "a union holds %s twice", b->name ? b->name : type_names[b->type]);
        }
        n->branches[n->nbranches++] = b;
    }
    return true;
}

/* An integer property of a decimal; absent means 0. */
static bool read_digits(struct parser *p, const json_t *j, const char *key, int *out)
{
    const json_t *v = json_object_get(j, key);

    *out = 0;
    if (v == NULL)
        return true;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT_MAX)
        return bad(p, "decimal: %s is not a number from 0", key);
    *out = (int)json_integer_value(v);
    return true;
}

static bool read_logical(struct parser *p, const json_t *j, struct shape *n)
{
    const json_t *l = json_object_get(j, "logicalType");

    if (l == NULL)
        return true;
    n->logical = arena_strdup(p->a, text_of(l));
    if (n->logical == NULL)
        return bad(p, "logicalType is not a string");
    if (strcmp(n->logical, "decimal") != 0)
        return true;
    if (n->type != SHAPE_BYTES && n->type != SHAPE_FIXED)
        return bad(p, "decimal is a logical type of bytes and fixed, not of %s",
                   type_names[n->type]);
    if (!read_digits(p, j, "precision", &n->precision) || !read_digits(p, j, "scale", &n->scale))
        return false;
    if (n->precision < 1 || n->scale > n->precision)
        return bad(p, "decimal of precision %d and scale %d: precision from 1, scale up to it",
                   n->precision, n->scale);
    return true;
}

static const struct shape *named_before(struct parser *p, const char *name, const char *space)
{
    const char *full = qualify(p, name, space);
    const struct shape *n = map_get(p->names, full, strlen(full));

    if (n == NULL)
        bad(p, "unknown type %s", full);
    return n;
}

/* What a definition of a type holds besides its type. */
static bool read_members(struct parser *p, const json_t *j, struct shape *n, const char *space)
{
    if (shape_is_named(n) &&
        (!read_name(p, j, n, &space) || !read_aliases(p, j, space, &n->aliases, &n->naliases)))
        return false;
    if (!read_logical(p, j, n))
        return false;
    switch (n->type) {
    case SHAPE_RECORD:
        return read_record(p, j, n, space);
    case SHAPE_ENUM:
        return read_enum(p, j, n);
    case SHAPE_FIXED:
        return read_fixed(p, j, n);
    case SHAPE_ARRAY:
    case SHAPE_MAP:
        return read_container(p, j, n, space);
    default:
        return true;
    }
}

static const struct shape *parse_inner(struct parser *p, const json_t *j, const char *space)
{
    const char *type = text_of(json_is_object(j) ? json_object_get(j, "type") : j);
    struct shape *n;
    int t = 0;

    if (json_is_array(j)) {
        n = arena_calloc(p->a, 1, sizeof(*n));
        return read_union(p, j, n, space) ? n : NULL;
    }
    if (type == NULL) {
        bad(p, json_is_object(j) ? "type is missing or not the name of a type"
                                 : "a schema is a string, an array or an object");
        return NULL;
    }
    while (t < SHAPE_UNION && strcmp(type_names[t], type) != 0)
        t++;
    if (t == SHAPE_UNION || (json_is_string(j) && t > SHAPE_STRING))
        return named_before(p, type, space);
    n = arena_calloc(p->a, 1, sizeof(*n));
    n->type = (enum shape_type)t;
    return json_is_string(j) || read_members(p, j, n, space) ? n : NULL;
}

static const struct shape *parse_shape(struct parser *p, const json_t *j, const char *space)
{
    const struct shape *n;

    if (p->depth == MAX_DEPTH) {
        bad(p, "more than %d types inside one another", MAX_DEPTH);
        return NULL;
    }
    p->depth++;
    n = parse_inner(p, j, space);
    p->depth--;
    return n;
}

static bool defaults_ok(struct parser *p)
{
    const char *why = NULL;

    for (const struct pending *d = p->defaults; d; d = d->next) {
        p->path = d->path;
        if (!shape_default_ok(p->a, d->field->type, d->field->def, &why))
            return bad(p, "its default %s", why);
    }
    return true;
}

bool shape_parse(struct arena *a, const char *text, bool check_defaults, json_t **document,
                 const struct shape **out, struct error *err)
{
    struct parser p = {.a = a, .path = "", .err = err};
    json_error_t jerr;
    json_t *j = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &jerr);

    if (j == NULL)
        return error_set(err, ERROR_DATA, "invalid Avro schema: not JSON: %s at byte %d", jerr.text,
                         jerr.position);
    p.names = map_new();
    p.last = &p.defaults;
    *out = parse_shape(&p, j, "");
    map_free(p.names);
    if (*out == NULL || (check_defaults && !defaults_ok(&p))) {
        json_decref(j);
        return false;
    }
    *document = j;
    return true;
}

const char *shape_describe(struct arena *a, const struct shape *n)
{
    const char *text = type_names[n->type];

    if (n->type == SHAPE_UNION) {
        text = "[";
        for (int i = 0; i < n->nbranches; i++)
            text =
                arena_printf(a, "%s%s%s", text, i ? ", " : "", shape_describe(a, n->branches[i]));
        return arena_printf(a, "%s]", text);
    }
    if (n->type == SHAPE_ARRAY || n->type == SHAPE_MAP)
        return arena_printf(a, "%s of %s", text, shape_describe(a, n->branches[0]));
    if (shape_is_named(n))
        text = arena_printf(a, "%s %s", text, n->name);
    if (n->logical && strcmp(n->logical, "decimal") == 0)
        return arena_printf(a, "%s (decimal %d,%d)", text, n->precision, n->scale);
    return n->logical ? arena_printf(a, "%s (%s)", text, n->logical) : text;
}
