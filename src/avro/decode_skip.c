/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stepping over values. What an event is made of (records of primitives, optional or not) is
 * compiled to codes; the rest is walked by the schema's nodes, at most MAX_DEPTH deep, each count
 * checked against the bytes that are left. A failed reader is at its end, so that every loop here
 * ends with it.
 */
#include "avro/decode.h"

#define MAX_DEPTH 64
#define MAX_COMPILED_DEPTH 4

static void skip_node(struct reader *r, const struct node *n, int depth);

static void skip_record(struct reader *r, const struct node *n, int depth)
{
    int i;

    for (i = 0; i < n->n && !r->failed; i++)
        skip_node(r, n->fields[i].type, depth + 1);
}

static void skip_union(struct reader *r, const struct node *n, int depth)
{
    int64_t branch = decode_long(r);

    if (branch < 0 || branch >= n->n)
        reader_fail(r);
    if (!r->failed)
        skip_node(r, n->items[branch], depth + 1);
}

static void skip_blocks(struct reader *r, const struct node *n, int depth)
{
    size_t size;
    int64_t count;

    while ((count = decode_block(r, &size)) != 0) {
        if (size > 0) {
            decode_pass(r, size);
            continue;
        }
        if (n->type == NODE_ARRAY && n->items[0]->empty)
            continue;
        if ((uint64_t)count > reader_left(r))
            reader_fail(r);
        for (; count > 0 && !r->failed; count--) {
            if (n->type == NODE_MAP)
                decode_pass(r, decode_length(r));
            skip_node(r, n->items[0], depth + 1);
        }
    }
}

static void skip_node(struct reader *r, const struct node *n, int depth)
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
        decode_pass(r, 1);
        return;
    case NODE_INT:
    case NODE_LONG:
    case NODE_ENUM:
        decode_long(r);
        return;
    case NODE_FLOAT:
        decode_pass(r, 4);
        return;
    case NODE_DOUBLE:
        decode_pass(r, 8);
        return;
    case NODE_BYTES:
    case NODE_STRING:
        decode_pass(r, decode_length(r));
        return;
    case NODE_FIXED:
        decode_pass(r, n->size);
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

static void compile(struct arena *a, const struct node *n, struct skip_code *out, int depth)
{
    const struct node *inside = node_optional(n, &out->null_branch);
    int i;

    out->op = SKIP_NODE;
    out->node = inside != NULL ? inside : n;
    if (inside == NULL)
        return;
    switch (inside->type) {
    case NODE_NULL:
        out->op = SKIP_NOTHING;
        return;
    case NODE_INT:
    case NODE_LONG:
    case NODE_ENUM:
        out->op = SKIP_VARINT;
        return;
    case NODE_BYTES:
    case NODE_STRING:
        out->op = SKIP_LENGTH;
        return;
    case NODE_BOOLEAN:
    case NODE_FLOAT:
    case NODE_DOUBLE:
    case NODE_FIXED:
        out->op = SKIP_BYTES;
        out->size = inside->type == NODE_FIXED    ? inside->size
                    : inside->type == NODE_DOUBLE ? 8
                    : inside->type == NODE_FLOAT  ? 4
                                                  : 1;
        return;
    case NODE_RECORD:
        break;
    default:
        return;
    }
    if (depth == MAX_COMPILED_DEPTH)
        return;
    out->op = SKIP_FIELDS;
    out->n = inside->n;
    out->fields = arena_calloc(a, (size_t)inside->n, sizeof(*out->fields));
    for (i = 0; i < inside->n; i++)
        compile(a, inside->fields[i].type, &out->fields[i], depth + 1);
}

void skip_compile(struct arena *a, const struct node *n, struct skip_code *out)
{
    compile(a, n, out, 0);
}

/*
 * The common fields of a record in one pass that keeps its place in registers. Steps over as many
 * as it can and returns their number; what is left starts with a field for the careful path:
 * bytes that are broken or at their end, long strings, nested types.
 */
static int skip_simple(struct reader *r, const struct skip_code *c, int n)
{
    const uint8_t *p = r->pos, *end = r->end;
    int i;

    for (i = 0; i < n; i++, c++) {
        const uint8_t *at = p;
        size_t size = c->size;

        if (end - at < 3)
            break;
        if (c->null_branch >= 0) {
            unsigned branch = *at++;

            if (branch > 2 || (branch & 1) != 0)
                break;
            if (branch >> 1 == (unsigned)c->null_branch) {
                p = at;
                continue;
            }
        }
        if (c->op == SKIP_LENGTH) { /* one or two bytes of a length that is not negative */
            size = at[0];
            if (size & 1)
                break;
            if (size >= 0x80) {
                if (at[1] >= 0x80)
                    break;
                size = (size & 0x7f) | (size_t)at[1] << 7;
                at++;
            }
            size >>= 1;
            at++;
        } else if (c->op == SKIP_VARINT) {
            while (at < end && *at >= 0x80)
                at++;
            size = 1;
            if (at - p > 10)
                break;
        } else if (c->op != SKIP_BYTES) {
            break;
        }
        if ((size_t)(end - at) < size)
            break;
        p = at + size;
    }
    r->pos = p;
    return i;
}

static void skip_fields(struct reader *r, const struct skip_code *c)
{
    int i = 0;

    while (!r->failed && (i += skip_simple(r, c->fields + i, c->n - i)) < c->n)
        skip_value(r, &c->fields[i++]);
}

void skip_inside(struct reader *r, const struct skip_code *c)
{
    switch (c->op) {
    case SKIP_NOTHING:
        break;
    case SKIP_VARINT:
        decode_long(r);
        break;
    case SKIP_LENGTH:
        decode_pass(r, decode_length(r));
        break;
    case SKIP_BYTES:
        decode_pass(r, c->size);
        break;
    case SKIP_FIELDS:
        skip_fields(r, c);
        break;
    case SKIP_NODE:
        skip_node(r, c->node, 1);
        break;
    }
}

void skip_value(struct reader *r, const struct skip_code *c)
{
    if (decode_branch(r, c->null_branch))
        skip_inside(r, c);
}
