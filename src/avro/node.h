/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parsed Avro schema as a graph of nodes: names resolved, Connect's properties kept. Inside
 * src/avro; made from any writer's text, so everything is checked.
 */
#ifndef PENSTOCK_AVRO_NODE_H
#define PENSTOCK_AVRO_NODE_H

#include "change/table.h"
#include "util/error.h"

enum node_type {
    NODE_NULL,
    NODE_BOOLEAN,
    NODE_INT,
    NODE_LONG,
    NODE_FLOAT,
    NODE_DOUBLE,
    NODE_BYTES,
    NODE_STRING,
    NODE_RECORD,
    NODE_ENUM,
    NODE_FIXED,
    NODE_ARRAY,
    NODE_MAP,
    NODE_UNION
};

struct node_param {
    const char *key, *value;
};

/* connect.parameters: only members that are strings. */
struct node_params {
    int n;
    struct node_param *items;
};

struct node_field {
    const char *name;
    struct node *type;
    struct node_params params; /* of the field itself */
};

struct node {
    enum node_type type;
    bool complete;    /* false while its record is still being parsed */
    bool empty;       /* its values take no bytes */
    const char *name; /* full name of a record, enum or fixed; else NULL */
    const char *connect_name, *connect_type, *logical_type; /* or NULL */
    int precision, scale;                                   /* -1: none */
    struct node_params params;
    size_t size;               /* FIXED: bytes */
    int n;                     /* fields or branches; ARRAY, MAP: 1 */
    struct node_field *fields; /* RECORD */
    struct node **items;       /* UNION: branches; ARRAY, MAP: the items' type */
};

/* ERROR_DATA naming the place if the text is not an Avro schema. */
bool node_parse(struct arena *a, const char *text, struct node **root, struct error *err);
/* NULL if there is none. */
const char *node_param(const struct node_params *params, const char *key);
/* Index of a record's field, or -1. */
int node_find(const struct node *record, const char *name);
const char *node_type_name(enum node_type type);
/* The other branch of a union of null and one type, or the node itself if it is no union.
 * *null_branch: 0, 1, or -1 if it cannot be null. NULL for other unions. */
const struct node *node_optional(const struct node *n, int *null_branch);

/* How a field's bytes become a value. */
enum column_op {
    COLUMN_BOOL,
    COLUMN_INT, /* int or long into i, in the range of the kind */
    COLUMN_FLOAT,
    COLUMN_DOUBLE,
    COLUMN_DECIMAL,
    COLUMN_NUMERIC,
    COLUMN_STRING,
    COLUMN_BYTES,
    COLUMN_MILLIS, /* TIME in ms (org.apache.kafka.connect.data.Time) */
    COLUMN_MICROTIMESTAMP,
    COLUMN_MILLITIMESTAMP, /* TIMESTAMP in ms */
    COLUMN_ZONED,
    COLUMN_BITS,
    COLUMN_BIT /* BITS of length 1 from a boolean */
};

/*
 * The column that a field of a Value record is: true name, kind, precision, scale, nullable,
 * source_type, semantic, allowed. Strings are the node's. ERROR_DATA naming the field for what
 * has no kind.
 */
bool column_from_field(const struct node_field *f, struct column *out, enum column_op *op,
                       int *null_branch, struct error *err);
/* The Value record of an envelope. ERROR_DATA if the schema is not one. */
bool envelope_value(const struct node *root, const struct node **value, struct error *err);
/* Is the column's field a union with null? A key column never is. */
static inline bool column_optional(const struct column *c)
{
    return c->nullable && c->key_pos == 0;
}
/* Does a source's type name say interval (and not an array of it)? */
bool source_type_is_interval(const char *source_type);
/* The kind that connect.name of a string stands for; TYPE_TEXT if it is none of ours. */
enum type_kind kind_of_string(const char *connect_name, const char *source_type);

#endif
