/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Avro schema text -> table version. Reads our own schemas exactly and what Debezium and Kafka
 * Connect write as far as a kind of ours carries it without loss; everything else (nanoseconds,
 * durations, nested structures, unions of several types) is refused by name, never guessed.
 */
#include "avro/node.h"
#include "avro/schema.h"
#include "avro/wire.h"

#include <stdlib.h>
#include <string.h>

#define BITS_MAX 83886080 /* Postgres: the longest bit(n) */

static bool same(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

bool source_type_is_interval(const char *t)
{
    static const char word[] = "interval";
    size_t len = t != NULL ? strlen(t) : 0;

    return len >= sizeof(word) - 1 && strncmp(t, word, sizeof(word) - 1) == 0 &&
           strchr(" (", t[sizeof(word) - 1]) != NULL && t[len - 1] != ']';
}

enum type_kind kind_of_string(const char *connect_name, const char *source_type)
{
    if (connect_name == NULL)
        return source_type_is_interval(source_type) ? TYPE_INTERVAL : TYPE_TEXT;
    if (same(connect_name, "io.debezium.data.Uuid"))
        return TYPE_UUID;
    if (same(connect_name, "io.debezium.data.Json"))
        return TYPE_JSON;
    if (same(connect_name, "io.debezium.data.Enum"))
        return TYPE_ENUM;
    if (same(connect_name, "io.debezium.time.ZonedTimestamp"))
        return TYPE_TIMESTAMPTZ;
    return TYPE_TEXT;
}

static bool from_string(const struct node *n, struct column *c, enum column_op *op)
{
    const char *kind = node_param(&n->params, PARAM_KIND);

    c->kind = kind_of_string(n->connect_name, c->source_type);
    if (n->connect_name == NULL && same(n->logical_type, "uuid"))
        c->kind = TYPE_UUID;
    else if (n->connect_name == NULL && n->logical_type != NULL)
        return false;
    if (kind != NULL) {
        c->kind = type_kind_parse(kind);
        if (c->kind != TYPE_INTERVAL && c->kind != TYPE_TEXT)
            return false;
    }
    if (c->kind == TYPE_TEXT)
        c->semantic = n->connect_name;
    if (c->kind == TYPE_ENUM)
        c->allowed = node_param(&n->params, "allowed");
    *op = c->kind == TYPE_TIMESTAMPTZ ? COLUMN_ZONED : COLUMN_STRING;
    return true;
}

static bool from_bytes(const struct node *n, struct column *c, enum column_op *op)
{
    const char *length;

    if (same(n->connect_name, "org.apache.kafka.connect.data.Decimal") ||
        (n->connect_name == NULL && same(n->logical_type, "decimal"))) {
        c->kind = TYPE_DECIMAL;
        c->precision = n->precision;
        c->scale = n->scale >= 0 ? n->scale : 0; /* Avro: "scale ... defaults to 0" */
        *op = COLUMN_DECIMAL;
        return c->precision > 0 && c->scale <= c->precision;
    }
    if (same(n->connect_name, "io.debezium.data.Bits")) {
        length = node_param(&n->params, "length");
        c->kind = TYPE_BITS;
        c->precision = length != NULL ? atoi(length) : 0;
        *op = COLUMN_BITS;
        return c->precision > 1 && c->precision <= BITS_MAX;
    }
    c->kind = TYPE_BYTES;
    *op = COLUMN_BYTES;
    return n->connect_name == NULL && n->logical_type == NULL;
}

static bool from_boolean(const struct node *n, struct column *c, enum column_op *op)
{
    const char *kind = node_param(&n->params, PARAM_KIND);

    c->kind = TYPE_BOOL;
    *op = COLUMN_BOOL;
    if (kind != NULL) {
        c->kind = TYPE_BITS;
        c->precision = 1;
        *op = COLUMN_BIT;
    }
    return n->connect_name == NULL && (kind == NULL || same(kind, "bits"));
}

static bool from_int(const struct node *n, struct column *c, enum column_op *op)
{
    const char *name = n->connect_name;

    *op = COLUMN_INT;
    c->kind = TYPE_INT32;
    if (same(n->connect_type, "int16") || same(n->connect_type, "int8"))
        c->kind = TYPE_INT16;
    if (same(name, "io.debezium.time.Date") || same(name, "org.apache.kafka.connect.data.Date") ||
        (name == NULL && same(n->logical_type, "date"))) {
        c->kind = TYPE_DATE;
        return true;
    }
    if (same(name, "io.debezium.time.Time") || same(name, "org.apache.kafka.connect.data.Time") ||
        (name == NULL && same(n->logical_type, "time-millis"))) {
        c->kind = TYPE_TIME;
        *op = COLUMN_MILLIS;
        return true;
    }
    return (name == NULL && n->logical_type == NULL) || same(name, "io.debezium.time.Year");
}

static bool from_long(const struct node *n, struct column *c, enum column_op *op)
{
    const char *name = n->connect_name;

    *op = COLUMN_INT;
    c->kind = TYPE_INT64;
    if (same(name, "io.debezium.time.MicroTime")) {
        c->kind = TYPE_TIME;
        return true;
    }
    if (same(name, "io.debezium.time.MicroTimestamp")) {
        c->kind = TYPE_TIMESTAMP;
        *op = COLUMN_MICROTIMESTAMP;
        return true;
    }
    if (same(name, "io.debezium.time.Timestamp") ||
        same(name, "org.apache.kafka.connect.data.Timestamp")) {
        c->kind = TYPE_TIMESTAMP;
        *op = COLUMN_MILLITIMESTAMP;
        return true;
    }
    return name == NULL && n->logical_type == NULL;
}

static bool from_record(const struct node *n, struct column *c, enum column_op *op)
{
    c->kind = TYPE_NUMERIC;
    *op = COLUMN_NUMERIC;
    return (same(n->connect_name, "io.debezium.data.VariableScaleDecimal") ||
            same(n->name, "io.debezium.data.VariableScaleDecimal")) &&
           n->n == 2 && same(n->fields[0].name, "scale") && n->fields[0].type->type == NODE_INT &&
           same(n->fields[1].name, "value") && n->fields[1].type->type == NODE_BYTES;
}

static bool from_node(const struct node *n, struct column *c, enum column_op *op)
{
    switch (n->type) {
    case NODE_BOOLEAN:
        return from_boolean(n, c, op);
    case NODE_INT:
        return from_int(n, c, op);
    case NODE_LONG:
        return from_long(n, c, op);
    case NODE_FLOAT:
        c->kind = TYPE_FLOAT32;
        *op = COLUMN_FLOAT;
        return n->connect_name == NULL;
    case NODE_DOUBLE:
        c->kind = TYPE_FLOAT64;
        *op = COLUMN_DOUBLE;
        return n->connect_name == NULL;
    case NODE_BYTES:
        return from_bytes(n, c, op);
    case NODE_STRING:
        return from_string(n, c, op);
    case NODE_RECORD:
        return from_record(n, c, op);
    default:
        return false;
    }
}

bool column_from_field(const struct node_field *f, struct column *out, enum column_op *op,
                       int *null_branch, struct error *err)
{
    const struct node *n = node_optional(f->type, null_branch);
    const struct node_params *params = f->params.n > 0 || n == NULL ? &f->params : &n->params;
    const char *name = node_param(params, PARAM_COLUMN_NAME);
    const char *type = node_param(params, PARAM_COLUMN_TYPE);

    memset(out, 0, sizeof(*out));
    out->field = f->name;
    out->name = name != NULL ? name : f->name;
    out->source_type = type != NULL ? type : "";
    out->nullable = *null_branch >= 0;
    if (n == NULL)
        return error_set(err, ERROR_DATA, "field %s: a union other than of null and one type",
                         f->name);
    if (!from_node(n, out, op))
        return error_set(err, ERROR_DATA, "field %s: Avro %s%s%s%s%s cannot be mapped to a column",
                         f->name, node_type_name(n->type), n->connect_name ? " " : "",
                         n->connect_name ? n->connect_name : "",
                         n->logical_type ? " with logical type " : "",
                         n->logical_type ? n->logical_type : "");
    return true;
}

/* The record in the field of an envelope, also inside a union with null; NULL if none. */
static const struct node *row_record(const struct node *root, const char *field)
{
    int i = node_find(root, field), null_branch;
    const struct node *n = i >= 0 ? node_optional(root->fields[i].type, &null_branch) : NULL;

    return n != NULL && n->type == NODE_RECORD ? n : NULL;
}

bool envelope_value(const struct node *root, const struct node **value, struct error *err)
{
    const struct node *before;
    int op;

    *value = NULL;
    if (root->type == NODE_RECORD)
        *value = row_record(root, "after");
    if (*value == NULL)
        return error_set(err, ERROR_DATA, "the schema is not a change event's: no record `after`");
    before = row_record(root, "before");
    if (before != NULL ? before != *value : node_find(root, "before") >= 0)
        return error_set(err, ERROR_DATA, "`before` and `after` have different types");
    op = node_find(root, "op");
    if (op < 0 || root->fields[op].type->type != NODE_STRING)
        return error_set(err, ERROR_DATA, "the schema is not a change event's: no string `op`");
    return true;
}

static void own_column(struct arena *a, struct column *c)
{
    c->name = arena_strdup(a, c->name);
    c->field = arena_strdup(a, c->field);
    c->source_type = arena_strdup(a, c->source_type);
    c->semantic = arena_strdup(a, c->semantic);
    c->allowed = arena_strdup(a, c->allowed);
}

/* Topic and true names. A foreign schema has them only in its name, PREFIX.SCHEMA.TABLE.Envelope.
 */
static bool read_names(struct arena *a, struct table *t, const struct node *root,
                       const struct node *value, struct error *err)
{
    const char *schema = node_param(&value->params, PARAM_SCHEMA);
    const char *name = node_param(&value->params, PARAM_TABLE);
    const char *topic = node_param(&value->params, PARAM_TOPIC);
    const char *dot = strrchr(root->name, '.');
    char *path = dot != NULL ? arena_strndup(a, root->name, (size_t)(dot - root->name)) : NULL;
    char *last;

    if (path == NULL)
        return error_set(err, ERROR_DATA, "the schema's name %s has no namespace", root->name);
    t->topic = topic != NULL ? arena_strdup(a, topic) : arena_strdup(a, path);
    if (schema != NULL && name != NULL) {
        t->schema = arena_strdup(a, schema);
        t->name = arena_strdup(a, name);
        return true;
    }
    last = strrchr(path, '.');
    if (last == NULL)
        return error_set(err, ERROR_DATA, "the schema's name %s does not name a table", root->name);
    t->name = last + 1;
    *last = '\0';
    last = strrchr(path, '.');
    t->schema = last != NULL ? last + 1 : path;
    return true;
}

static bool read_keys(struct arena *a, struct table *t, const char *key_schema, struct error *err)
{
    struct node *key;
    int i, k;

    if (!node_parse(a, key_schema, &key, err))
        return error_prefix(err, "key schema of %s", t->topic);
    if (key->type != NODE_RECORD)
        return error_set(err, ERROR_DATA, "key schema of %s: not a record", t->topic);
    for (i = 0; i < key->n; i++) {
        struct column c;
        enum column_op op;
        int null_branch;

        if (!column_from_field(&key->fields[i], &c, &op, &null_branch, err))
            return error_prefix(err, "key schema of %s", t->topic);
        for (k = 0; k < t->ncols && strcmp(t->cols[k].field, c.field) != 0; k++)
            ;
        if (k == t->ncols || t->cols[k].kind != c.kind || t->cols[k].scale != c.scale || c.nullable)
            return error_set(err, ERROR_DATA,
                             "key schema of %s: field %s is not the value schema's, or optional",
                             t->topic, c.field);
        t->cols[k].key_pos = i + 1;
    }
    return true;
}

bool avro_table(struct arena *a, const char *value_schema, const char *key_schema,
                struct table **out, struct error *err)
{
    struct arena *scratch = arena_new("schema");
    struct table *t = arena_calloc(a, 1, sizeof(*t));
    const struct node *value;
    struct node *root;
    bool ok = false;
    int i;

    if (!node_parse(scratch, value_schema, &root, err) || !envelope_value(root, &value, err) ||
        !read_names(a, t, root, value, err))
        goto out;
    t->ncols = value->n;
    t->cols = arena_calloc(a, (size_t)t->ncols, sizeof(*t->cols));
    t->est_rows = t->est_bytes = -1;
    for (i = 0; i < t->ncols; i++) {
        enum column_op op;
        int null_branch;

        if (!column_from_field(&value->fields[i], &t->cols[i], &op, &null_branch, err)) {
            error_prefix(err, "schema of %s", t->topic);
            goto out;
        }
        own_column(a, &t->cols[i]);
    }
    if (key_schema != NULL && *key_schema != '\0' && !read_keys(scratch, t, key_schema, err))
        goto out;
    table_index_keys(a, t);
    *out = t;
    ok = true;
out:
    arena_free(scratch);
    return ok;
}
