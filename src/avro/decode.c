/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles a writer's schema text, ours or a foreign one, and takes the slices of events out of
 * their bytes. Fields are found by name: other orders, other fields, unions in either order and
 * array blocks with negative counts are fine. What we do not use is stepped over by the schema's
 * nodes, at most MAX_DEPTH deep, each count checked against the bytes that are left.
 */
#include "avro/decode.h"

#include "util/mem.h"

#include <string.h>

#define MAX_DEPTH 64

static void skip_record(struct reader *r, const struct node *n, int depth)
{
    int i;

    for (i = 0; i < n->n && !r->failed; i++)
        decode_skip(r, n->fields[i].type, depth + 1);
}

static void skip_union(struct reader *r, const struct node *n, int depth)
{
    int64_t branch = reader_zigzag(r);

    if (branch < 0 || branch >= n->n)
        reader_fail(r);
    if (!r->failed)
        decode_skip(r, n->items[branch], depth + 1);
}

static void skip_blocks(struct reader *r, const struct node *n, int depth)
{
    size_t size;
    int64_t count;

    while ((count = decode_block(r, &size)) != 0) {
        if (size > 0) {
            reader_bytes(r, size);
            continue;
        }
        if (n->type == NODE_ARRAY && n->items[0]->empty)
            continue;
        if ((uint64_t)count > reader_left(r))
            reader_fail(r);
        for (; count > 0 && !r->failed; count--) {
            if (n->type == NODE_MAP)
                reader_bytes(r, decode_length(r));
            decode_skip(r, n->items[0], depth + 1);
        }
    }
}

void decode_skip(struct reader *r, const struct node *n, int depth)
{
    if (n->empty)
        return;
    if (depth > MAX_DEPTH) {
        reader_fail(r);
        return;
    }
    switch (n->type) {
    case NODE_NULL:
        return;
    case NODE_BOOLEAN:
        reader_bytes(r, 1);
        return;
    case NODE_INT:
    case NODE_LONG:
    case NODE_ENUM:
        reader_zigzag(r);
        return;
    case NODE_FLOAT:
        reader_bytes(r, 4);
        return;
    case NODE_DOUBLE:
        reader_bytes(r, 8);
        return;
    case NODE_BYTES:
    case NODE_STRING:
        reader_bytes(r, decode_length(r));
        return;
    case NODE_FIXED:
        reader_bytes(r, n->size);
        return;
    case NODE_RECORD:
        skip_record(r, n, depth);
        return;
    case NODE_UNION:
        skip_union(r, n, depth);
        return;
    case NODE_ARRAY:
    case NODE_MAP:
        skip_blocks(r, n, depth);
        return;
    }
}

static enum skip_op skip_of(enum column_op op)
{
    switch (op) {
    case COLUMN_BOOL:
    case COLUMN_BIT:
        return SKIP_1;
    case COLUMN_INT:
    case COLUMN_MILLIS:
    case COLUMN_MICROTIMESTAMP:
    case COLUMN_MILLITIMESTAMP:
        return SKIP_VARINT;
    case COLUMN_FLOAT:
        return SKIP_4;
    case COLUMN_DOUBLE:
        return SKIP_8;
    case COLUMN_NUMERIC:
        return SKIP_NUMERIC;
    default:
        return SKIP_LENGTH;
    }
}

static bool compile_columns(struct decoder *d, const struct node *value, struct error *err)
{
    const struct table *t = d->table;
    int i;

    if (value->n != t->ncols)
        return error_set(err, ERROR_FATAL, "the table and its event schema differ in columns");
    d->cols = arena_calloc(d->arena, (size_t)t->ncols, sizeof(*d->cols));
    for (i = 0; i < t->ncols; i++) {
        struct column_code *code = &d->cols[i];
        struct column c;

        if (!column_from_field(&value->fields[i], &c, &code->op, &code->null_branch, err))
            return false;
        if (strcmp(c.field, t->cols[i].field) != 0 || c.kind != t->cols[i].kind ||
            c.scale != t->cols[i].scale || c.precision != t->cols[i].precision)
            return error_set(err, ERROR_FATAL, "the table and its event schema differ in column %s",
                             c.field);
        code->skip = skip_of(code->op);
        code->kind = c.kind;
        code->scale = c.kind == TYPE_BITS ? c.precision : c.scale;
        code->field = c.field; /* the nodes live as long as the decoder */
        code->field_len = strlen(c.field);
    }
    return true;
}

static bool is_long(const struct node *n)
{
    return n != NULL && (n->type == NODE_LONG || n->type == NODE_INT);
}

static void compile_source(struct decoder *d, const struct node *source)
{
    bool found = false;
    int i;

    d->nsource = source->n;
    d->source = arena_calloc(d->arena, (size_t)source->n, sizeof(*d->source));
    for (i = 0; i < source->n; i++) {
        struct source_code *code = &d->source[i];
        const char *name = source->fields[i].name;
        const struct node *type = node_optional(source->fields[i].type, &code->null_branch);

        code->type = source->fields[i].type;
        if (is_long(type) && strcmp(name, "ts_ms") == 0)
            code->us = 1000;
        else if (is_long(type) && strcmp(name, "ts_us") == 0)
            code->us = 1;
        found |= code->us != 0;
    }
    if (!found)
        d->nsource = 0;
}

static enum envelope_role role_of(const char *name, const struct node *type)
{
    if (type == NULL)
        return ROLE_SKIP;
    if (strcmp(name, "before") == 0)
        return ROLE_BEFORE;
    if (strcmp(name, "after") == 0)
        return ROLE_AFTER;
    if (strcmp(name, "op") == 0)
        return ROLE_OP;
    if (strcmp(name, "source") == 0 && type->type == NODE_RECORD)
        return ROLE_SOURCE;
    if (strcmp(name, "csn") == 0 && is_long(type))
        return ROLE_CSN;
    if (strcmp(name, "unavailable") == 0 && type->type == NODE_ARRAY &&
        type->items[0]->type == NODE_STRING)
        return ROLE_UNAVAILABLE;
    return ROLE_SKIP;
}

static void compile_envelope(struct decoder *d, const struct node *root)
{
    int i;

    d->nenvelope = root->n;
    d->envelope = arena_calloc(d->arena, (size_t)root->n, sizeof(*d->envelope));
    for (i = 0; i < root->n; i++) {
        struct envelope_code *code = &d->envelope[i];
        const struct node *inside = node_optional(root->fields[i].type, &code->null_branch);

        code->role = role_of(root->fields[i].name, inside);
        code->type = code->role == ROLE_SKIP ? root->fields[i].type : inside;
        if (code->role == ROLE_SOURCE)
            compile_source(d, inside);
    }
}

struct decoder *decoder_new(const char *value_schema, const struct table *table, struct error *err)
{
    struct decoder *d = mem_calloc(1, sizeof(*d));
    const struct node *value;
    struct node *root;

    d->arena = arena_new("decoder");
    d->table = table;
    if (!node_parse(d->arena, value_schema, &root, err) || !envelope_value(root, &value, err) ||
        !compile_columns(d, value, err)) {
        error_prefix(err, "event schema of %s", table->topic ? table->topic : table->name);
        decoder_free(d);
        return NULL;
    }
    compile_envelope(d, root);
    return d;
}

void decoder_free(struct decoder *d)
{
    if (d == NULL)
        return;
    arena_free(d->arena);
    mem_free(d);
}

bool wire_schema_id(const uint8_t *event, size_t len, uint32_t *id)
{
    if (len < 5 || event[0] != 0)
        return false;
    memcpy(id, event + 1, sizeof(*id));
    *id = be32toh(*id);
    return true;
}

/* Steps over a Value record. */
static void skip_row(struct reader *r, const struct decoder *d)
{
    int i;

    for (i = 0; i < d->table->ncols && !r->failed; i++) {
        const struct column_code *c = &d->cols[i];

        if (decode_branch(r, c->null_branch))
            decode_skip_column(r, c);
    }
}

static void slice_row(struct reader *r, const struct decoder *d, const uint8_t **start, size_t *len)
{
    const uint8_t *p = r->pos;

    skip_row(r, d);
    *start = p;
    *len = r->failed ? 0 : (size_t)(r->pos - p);
}

/* ts_us if it is there, else ts_ms. */
static int64_t read_source(struct reader *r, const struct decoder *d, const struct node *type)
{
    int64_t us = 0, unit = 0;
    int i;

    if (d->nsource == 0)
        decode_skip(r, type, 1);
    for (i = 0; i < d->nsource && !r->failed; i++) {
        const struct source_code *c = &d->source[i];
        int64_t v;

        if (c->us == 0) {
            decode_skip(r, c->type, 2);
        } else if (decode_branch(r, c->null_branch)) {
            v = reader_zigzag(r);
            if (unit != 0 && unit < c->us)
                continue;
            unit = c->us;
            if (__builtin_mul_overflow(v, unit, &us))
                reader_fail(r);
        }
    }
    return us;
}

static void read_field(struct reader *r, const struct decoder *d, const struct envelope_code *c,
                       struct event_slices *out)
{
    const uint8_t *p;
    size_t n;

    if (c->role == ROLE_SKIP) {
        decode_skip(r, c->type, 1);
        return;
    }
    if (!decode_branch(r, c->null_branch))
        return;
    switch (c->role) {
    case ROLE_BEFORE:
        slice_row(r, d, &out->before, &out->before_len);
        break;
    case ROLE_AFTER:
        slice_row(r, d, &out->after, &out->after_len);
        break;
    case ROLE_SOURCE:
        out->source_us = read_source(r, d, c->type);
        break;
    case ROLE_OP:
        n = decode_length(r);
        p = reader_bytes(r, n);
        if (p == NULL || n != 1)
            reader_fail(r);
        else
            out->op = (char)*p;
        break;
    case ROLE_CSN:
        out->csn = reader_zigzag(r);
        break;
    default:
        out->unavailable = r->pos;
        decode_skip(r, c->type, 1);
        out->unavailable_len = (size_t)(r->pos - out->unavailable);
    }
}

bool decoder_slices(const struct decoder *d, const uint8_t *event, size_t len,
                    struct event_slices *out, struct error *err)
{
    struct reader r;
    int i;

    memset(out, 0, sizeof(*out));
    reader_init(&r, event, len);
    if (reader_u8(&r) != 0)
        reader_fail(&r);
    reader_be32(&r);
    for (i = 0; i < d->nenvelope && !r.failed; i++)
        read_field(&r, d, &d->envelope[i], out);
    if (r.failed)
        return error_set(err, ERROR_DATA, "table %s.%s: broken event of %zu bytes, at byte %zu",
                         d->table->schema, d->table->name, len, r.failed_at);
    if (reader_left(&r) > 0)
        return error_set(err, ERROR_DATA, "table %s.%s: event of %zu bytes ends at byte %zu",
                         d->table->schema, d->table->name, len, reader_offset(&r));
    return true;
}
