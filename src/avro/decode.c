/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles a writer's schema text, ours or a foreign one, and takes the slices of events out of
 * their bytes. Fields are found by name: other orders, other fields, unions in either order and
 * array blocks with negative counts are fine. What we do not use is stepped over (decode_skip.c).
 */
#include "avro/decode.h"

#include "util/mem.h"

#include <string.h>

static bool compile_columns(struct decoder *d, const struct node *value, struct error *err)
{
    const struct table *t = d->table;
    int i;

    if (value->n != t->ncols)
        return error_set(err, ERROR_FATAL, "the table and its event schema differ in columns");
    skip_compile(d->arena, value, &d->row);
    d->cols = arena_calloc(d->arena, (size_t)t->ncols, sizeof(*d->cols));
    for (i = 0; i < t->ncols; i++) {
        struct column_code *code = &d->cols[i];
        struct column c;
        int null_branch;

        if (!column_from_field(&value->fields[i], &c, &code->op, &null_branch, err))
            return false;
        if (strcmp(c.field, t->cols[i].field) != 0 || c.kind != t->cols[i].kind ||
            c.scale != t->cols[i].scale || c.precision != t->cols[i].precision)
            return error_set(err, ERROR_FATAL, "the table and its event schema differ in column %s",
                             c.field);
        code->skip = d->row.fields[i];
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

/* Where `source` says when; only as long or int, present or not. */
static int find_time(const struct node *source, const char *name)
{
    int i = node_find(source, name), null_branch;

    return i >= 0 && is_long(node_optional(source->fields[i].type, &null_branch)) ? i : -1;
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
    d->ts_ms = d->ts_us = -1;
    for (i = 0; i < root->n; i++) {
        struct envelope_code *code = &d->envelope[i];
        const struct node *type = root->fields[i].type, *inside;
        int null_branch;

        inside = node_optional(type, &null_branch);
        code->role = role_of(root->fields[i].name, inside);
        skip_compile(d->arena, type, &code->skip);
        if (code->role == ROLE_SOURCE) {
            d->ts_ms = find_time(inside, "ts_ms");
            d->ts_us = find_time(inside, "ts_us");
        }
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

static void slice_row(struct reader *r, const struct decoder *d, const uint8_t **start, size_t *len)
{
    const uint8_t *p = r->pos;

    skip_inside(r, &d->row);
    *start = p;
    *len = r->failed ? 0 : (size_t)(r->pos - p);
}

/* ts_us if it is there, else ts_ms; microseconds. */
static int64_t read_source(struct reader *r, const struct decoder *d, const struct skip_code *c)
{
    int64_t ms = 0, us = 0;
    bool known = false;
    int i;

    for (i = 0; i < c->n && !r->failed; i++) {
        if (i != d->ts_ms && i != d->ts_us)
            skip_value(r, &c->fields[i]);
        else if (decode_branch(r, c->fields[i].null_branch)) {
            if (i == d->ts_us) {
                us = reader_zigzag(r);
                known = true;
            } else {
                ms = reader_zigzag(r);
            }
        }
    }
    if (!known && __builtin_mul_overflow(ms, (int64_t)1000, &us))
        reader_fail(r);
    return us;
}

static void read_field(struct reader *r, const struct decoder *d, const struct envelope_code *c,
                       struct event_slices *out)
{
    const uint8_t *p;
    size_t n;

    if (c->role == ROLE_SKIP) {
        skip_value(r, &c->skip);
        return;
    }
    if (!decode_branch(r, c->skip.null_branch))
        return;
    switch (c->role) {
    case ROLE_BEFORE:
        slice_row(r, d, &out->before, &out->before_len);
        break;
    case ROLE_AFTER:
        slice_row(r, d, &out->after, &out->after_len);
        break;
    case ROLE_SOURCE:
        out->source_us = read_source(r, d, &c->skip);
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
        skip_inside(r, &c->skip);
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
