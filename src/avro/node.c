/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Avro schema text -> nodes (Avro specification 1.11, "Schema Declaration"). Named types are
 * resolved while they are read: defined once, before they are referenced. Attributes that do not
 * matter for reading data are ignored. Nesting is limited to MAX_DEPTH; a record that contains
 * itself without a union, array or map between is refused, since it has no finite value.
 */
#include "avro/node.h"

#include "util/map.h"

#include <jansson.h>
#include <string.h>

#define MAX_DEPTH 64

static const char *const type_names[] = {
    [NODE_NULL] = "null",   [NODE_BOOLEAN] = "boolean", [NODE_INT] = "int",
    [NODE_LONG] = "long",   [NODE_FLOAT] = "float",     [NODE_DOUBLE] = "double",
    [NODE_BYTES] = "bytes", [NODE_STRING] = "string",   [NODE_RECORD] = "record",
    [NODE_ENUM] = "enum",   [NODE_FIXED] = "fixed",     [NODE_ARRAY] = "array",
    [NODE_MAP] = "map",     [NODE_UNION] = "union",
};

struct parser {
    struct arena *arena;
    struct map *named; /* full name -> node */
    struct error *err;
    int depth;
};

static struct node *parse(struct parser *p, const json_t *json, const char *ns);

const char *node_type_name(enum node_type type)
{
    return type_names[type];
}

const char *node_param(const struct node_params *params, const char *key)
{
    int i;

    for (i = 0; i < params->n; i++) {
        if (strcmp(params->items[i].key, key) == 0)
            return params->items[i].value;
    }
    return NULL;
}

int node_find(const struct node *record, const char *name)
{
    int i;

    for (i = 0; i < record->n; i++) {
        if (strcmp(record->fields[i].name, name) == 0)
            return i;
    }
    return -1;
}

const struct node *node_optional(const struct node *n, int *null_branch)
{
    *null_branch = -1;
    if (n->type != NODE_UNION)
        return n;
    if (n->n != 2 || (n->items[0]->type == NODE_NULL) == (n->items[1]->type == NODE_NULL))
        return NULL;
    *null_branch = n->items[0]->type == NODE_NULL ? 0 : 1;
    return n->items[1 - *null_branch];
}

static struct node *fail(struct parser *p, const char *what, const char *name)
{
    error_set(p->err, ERROR_DATA, "Avro schema: %s%s%s", what, name ? " " : "", name ? name : "");
    return NULL;
}

static struct node *new_node(struct parser *p, enum node_type type)
{
    struct node *n = arena_calloc(p->arena, 1, sizeof(*n));

    n->type = type;
    n->precision = n->scale = -1;
    n->complete = true;
    n->empty = type == NODE_NULL;
    return n;
}

/* NULL also for a text with a zero byte in it, which only a default may have. */
static const char *text_of(const json_t *v)
{
    const char *s = json_string_value(v);

    return s != NULL && strlen(s) == json_string_length(v) ? s : NULL;
}

static const char *string_of(const json_t *object, const char *key)
{
    return text_of(json_object_get(object, key));
}

static int int_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    json_int_t i = json_is_integer(v) ? json_integer_value(v) : -1;

    return i >= 0 && i <= 1000000 ? (int)i : -1;
}

static struct node_params read_params(struct parser *p, const json_t *object)
{
    json_t *json = json_object_get(object, "connect.parameters"), *value;
    struct node_params out = {0, NULL};
    const char *key;

    if (!json_is_object(json))
        return out;
    out.items = arena_calloc(p->arena, json_object_size(json), sizeof(*out.items));
    json_object_foreach(json, key, value)
    {
        if (text_of(value) == NULL)
            continue;
        out.items[out.n].key = arena_strdup(p->arena, key);
        out.items[out.n++].value = arena_strdup(p->arena, text_of(value));
    }
    return out;
}

static void read_attributes(struct parser *p, struct node *n, const json_t *json)
{
    n->connect_name = arena_strdup(p->arena, string_of(json, "connect.name"));
    n->connect_type = arena_strdup(p->arena, string_of(json, "connect.type"));
    n->logical_type = arena_strdup(p->arena, string_of(json, "logicalType"));
    n->precision = int_of(json, "precision");
    n->scale = int_of(json, "scale");
    n->params = read_params(p, json);
}

/* A primitive type by name, or a named one: as written, else inside the namespace. */
static struct node *parse_name(struct parser *p, const char *name, const char *ns)
{
    struct node *n = NULL;
    char *full;
    int i;

    for (i = NODE_NULL; i <= NODE_STRING; i++) {
        if (strcmp(name, type_names[i]) == 0)
            return new_node(p, (enum node_type)i);
    }
    if (strchr(name, '.') == NULL && *ns != '\0') {
        full = arena_printf(p->arena, "%s.%s", ns, name);
        n = map_get(p->named, full, strlen(full));
    }
    if (n == NULL)
        n = map_get(p->named, name, strlen(name));
    return n != NULL ? n : fail(p, "unknown type", name);
}

/* Gives a record, enum or fixed its full name; *ns becomes its namespace. */
static bool define(struct parser *p, struct node *n, const json_t *json, const char **ns)
{
    const char *name = string_of(json, "name"), *own = string_of(json, "namespace"), *dot;

    if (name == NULL || *name == '\0')
        return fail(p, "a named type without a name", NULL) != NULL;
    dot = strrchr(name, '.');
    if (dot != NULL) {
        n->name = arena_strdup(p->arena, name);
        *ns = arena_strndup(p->arena, name, (size_t)(dot - name));
    } else {
        *ns = own != NULL ? arena_strdup(p->arena, own) : *ns;
        n->name = arena_printf(p->arena, "%s%s%s", *ns, **ns ? "." : "", name);
    }
    if (map_put(p->named, n->name, strlen(n->name), n) != NULL)
        return fail(p, "defined twice:", n->name) != NULL;
    return true;
}

static struct node *parse_record(struct parser *p, struct node *n, const json_t *json,
                                 const char *ns)
{
    const json_t *fields = json_object_get(json, "fields");
    size_t i, count = json_array_size(fields);

    if (!json_is_array(fields))
        return fail(p, "a record without fields:", n->name);
    n->complete = false;
    n->empty = true;
    n->fields = arena_calloc(p->arena, count, sizeof(*n->fields));
    for (i = 0; i < count; i++) {
        const json_t *field = json_array_get(fields, i);
        const char *name = string_of(field, "name");
        struct node_field *f = &n->fields[n->n];

        if (name == NULL)
            return fail(p, "a field without a name in", n->name);
        if (node_find(n, name) >= 0)
            return fail(p, "two fields of one name:", name);
        f->name = arena_strdup(p->arena, name);
        f->params = read_params(p, field);
        f->type = parse(p, json_object_get(field, "type"), ns);
        if (f->type == NULL)
            return NULL;
        if (!f->type->complete)
            return fail(p, "a record that contains itself:", f->type->name);
        n->empty &= f->type->empty;
        n->n++;
    }
    n->complete = true;
    return n;
}

static struct node *parse_fixed(struct parser *p, struct node *n, const json_t *json)
{
    const json_t *size = json_object_get(json, "size");

    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > INT32_MAX)
        return fail(p, "a fixed without a size:", n->name);
    n->size = (size_t)json_integer_value(size);
    n->empty = n->size == 0;
    return n;
}

static struct node *parse_items(struct parser *p, struct node *n, const json_t *json,
                                const char *ns)
{
    n->n = 1;
    n->items = arena_calloc(p->arena, 1, sizeof(*n->items));
    n->items[0] = parse(p, json_object_get(json, n->type == NODE_ARRAY ? "items" : "values"), ns);
    return n->items[0] != NULL ? n : NULL;
}

static struct node *parse_union(struct parser *p, const json_t *json, const char *ns)
{
    struct node *n = new_node(p, NODE_UNION);
    size_t i, count = json_array_size(json);

    if (count == 0)
        return fail(p, "an empty union", NULL);
    n->items = arena_calloc(p->arena, count, sizeof(*n->items));
    for (i = 0; i < count; i++) {
        n->items[i] = parse(p, json_array_get(json, i), ns);
        if (n->items[i] == NULL)
            return NULL;
        if (n->items[i]->type == NODE_UNION)
            return fail(p, "a union inside a union", NULL);
    }
    n->n = (int)count;
    return n;
}

static struct node *parse_object(struct parser *p, const json_t *json, const char *ns)
{
    const json_t *inner = json_object_get(json, "type");
    const char *name = text_of(inner);
    enum node_type type = NODE_RECORD;
    struct node *n;

    if (name == NULL)
        return parse(p, inner, ns); /* {"type": {...}}: a schema in its place */
    while (type < NODE_UNION && strcmp(name, type_names[type]) != 0)
        type++;
    if (type == NODE_UNION) {
        n = parse_name(p, name, ns);
        if (n != NULL && n->name == NULL) /* a primitive with attributes */
            read_attributes(p, n, json);
        return n;
    }
    n = new_node(p, type);
    read_attributes(p, n, json);
    if (type == NODE_ARRAY || type == NODE_MAP)
        return parse_items(p, n, json, ns);
    if (!define(p, n, json, &ns))
        return NULL;
    if (type == NODE_ENUM) {
        n->n = (int)json_array_size(json_object_get(json, "symbols"));
        return n->n > 0 ? n : fail(p, "an enum without symbols:", n->name);
    }
    return type == NODE_FIXED ? parse_fixed(p, n, json) : parse_record(p, n, json, ns);
}

static struct node *parse(struct parser *p, const json_t *json, const char *ns)
{
    struct node *n;

    if (p->depth == MAX_DEPTH)
        return fail(p, "nested too deeply", NULL);
    p->depth++;
    if (text_of(json) != NULL)
        n = parse_name(p, text_of(json), ns);
    else if (json_is_array(json))
        n = parse_union(p, json, ns);
    else if (json_is_object(json))
        n = parse_object(p, json, ns);
    else
        n = fail(p, "a type is missing", NULL);
    p->depth--;
    return n;
}

bool node_parse(struct arena *a, const char *text, struct node **root, struct error *err)
{
    struct parser p = {a, NULL, err, 0};
    json_error_t where;
    json_t *json =
        json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);

    if (json == NULL)
        return error_set(err, ERROR_DATA, "Avro schema: not JSON: %s at byte %d", where.text,
                         where.position);
    p.named = map_new();
    *root = parse(&p, json, "");
    map_free(p.named);
    json_decref(json);
    return *root != NULL;
}
