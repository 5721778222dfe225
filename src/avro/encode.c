/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes -> the wire bytes of keys and envelopes. Compiled once per table version into an array
 * of columns; a row costs no allocation but the growth of the caller's buffer. Every column
 * reserves what it needs once and writes in place. What cannot be carried exactly is ERROR_DATA
 * with table and column, and leaves the buffer as it was.
 */
#include "avro/encode.h"

#include "avro/node.h"
#include "util/causes.h"
#include "util/mem.h"

struct encoder {
    const struct table *table;
    const struct source_block *block;
    uint8_t value_prefix[WIRE_PREFIX], key_prefix[WIRE_PREFIX];
    struct encoder_column *cols;
    int *missing; /* columns of the row being encoded that were not carried */
    int nmissing;
    struct buf fields; /* bytes of the columns' field names */
    struct buf work;   /* scratch for large decimals */
};

static void set_prefix(uint8_t prefix[WIRE_PREFIX], uint32_t id)
{
    id = htobe32(id);
    prefix[0] = 0;
    memcpy(prefix + 1, &id, 4);
}

struct encoder *encoder_new(const struct table *t, const struct source_block *block,
                            uint32_t value_id, uint32_t key_id)
{
    struct encoder *e = mem_calloc(1, sizeof(*e));
    size_t at = 0;
    int i;

    e->table = t;
    e->block = block;
    set_prefix(e->value_prefix, value_id);
    set_prefix(e->key_prefix, key_id);
    e->cols = mem_calloc((size_t)t->ncols + 1, sizeof(*e->cols));
    e->missing = mem_calloc((size_t)t->ncols + 1, sizeof(*e->missing));
    for (i = 0; i < t->ncols; i++) {
        struct encoder_column *c = &e->cols[i];
        size_t before = e->fields.len;

        c->kind = t->cols[i].kind;
        c->optional = column_optional(&t->cols[i]);
        c->precision = t->cols[i].precision;
        c->scale = t->cols[i].scale;
        avro_put_string(&e->fields, t->cols[i].field, strlen(t->cols[i].field));
        c->field_len = e->fields.len - before;
    }
    for (i = 0; i < t->ncols; i++) {
        e->cols[i].field = e->fields.data + at;
        at += e->cols[i].field_len;
    }
    return e;
}

void encoder_free(struct encoder *e)
{
    if (e == NULL)
        return;
    buf_free(&e->fields);
    buf_free(&e->work);
    mem_free(e->cols);
    mem_free(e->missing);
    mem_free(e);
}

void avro_put_long(struct buf *out, int64_t v)
{
    wire_put_long(out, v);
}

void avro_put_string(struct buf *out, const char *s, size_t len)
{
    wire_put_bytes(out, s, len);
}

static bool refused(const struct encoder *e, int i, const char *what, struct error *err)
{
    const struct table *t = e->table;

    error_cause(err, CAUSE_VALUE_INVALID, "table %s.%s, column %s (%s): %s", t->schema, t->name,
                t->cols[i].name, t->cols[i].source_type ? t->cols[i].source_type : "?", what);
    if (err != NULL)
        err->table = t->oid;
    return false;
}

/* A row image as a Value record. Columns that were not carried are collected in e->missing;
 * where `complete`, there must be none. */
static bool put_row(struct encoder *e, const struct value *row, bool complete, struct buf *out,
                    struct error *err)
{
    int i, n = e->table->ncols;

    for (i = 0; i < n; i++) {
        const struct encoder_column *c = &e->cols[i];
        const struct value *v = &row[i];
        const char *why = NULL;

        if (v->state == VALUE_SET) {
            if (c->optional)
                buf_u8(out, UNION_VALUE);
            if (!encode_value(c, v, out, &e->work, &why))
                return refused(e, i, why, err);
        } else if (v->state == VALUE_NULL) {
            if (!c->optional)
                return refused(e, i, "NULL in a column that is NOT NULL or of the key", err);
            buf_u8(out, UNION_NULL);
        } else if (complete) {
            return refused(e, i, "missing from an old row that should be complete", err);
        } else {
            encode_placeholder(c, v->state, out);
            e->missing[e->nmissing++] = i;
        }
    }
    return true;
}

static bool put_before(struct encoder *e, const struct change *c, struct buf *out,
                       struct error *err)
{
    bool carried = c->op == CHANGE_DELETE || (c->op == CHANGE_UPDATE && c->before_full);

    if (c->before == NULL || !carried) {
        buf_u8(out, UNION_NULL);
        return true;
    }
    buf_u8(out, UNION_VALUE);
    return put_row(e, c->before, c->before_full, out, err);
}

static bool put_after(struct encoder *e, const struct change *c, struct buf *out, struct error *err)
{
    const struct table *t = e->table;

    if (c->op == CHANGE_DELETE || c->op == CHANGE_TRUNCATE) {
        buf_u8(out, UNION_NULL);
        return true;
    }
    if (c->after == NULL) {
        error_set(err, ERROR_FATAL, "table %s.%s: a change `%c` without its new row", t->schema,
                  t->name, c->op);
        return false;
    }
    buf_u8(out, UNION_VALUE);
    return put_row(e, c->after, false, out, err);
}

/* A present long in an optional field. */
static uint8_t *optional_long(uint8_t *p, int64_t v)
{
    *p++ = UNION_VALUE;
    return wire_long(p, v);
}

/* transaction, op, ts_ms, ts_us, ts_ns, csn */
static void put_meta(const struct change *c, const struct event_meta *m, struct buf *out)
{
    size_t id_len = m->tx_id != NULL ? strlen(m->tx_id) : 0;
    uint8_t *p = buf_reserve(out, 96 + id_len);

    if (m->tx_id != NULL) {
        *p++ = UNION_VALUE;
        p = wire_bytes(p, m->tx_id, id_len);
        p = wire_long(p, m->total_order);
        p = wire_long(p, m->data_collection_order);
    } else {
        *p++ = UNION_NULL;
    }
    *p++ = 2; /* one character */
    *p++ = (uint8_t)c->op;
    p = optional_long(p, m->now_us / 1000);
    p = optional_long(p, m->now_us);
    p = optional_long(p, m->now_us * 1000);
    if (m->csn != 0)
        p = optional_long(p, m->csn);
    else
        *p++ = UNION_NULL;
    out->len = (size_t)(p - out->data);
}

static void put_unavailable(const struct encoder *e, struct buf *out)
{
    int i;

    if (e->nmissing == 0) {
        buf_u8(out, UNION_NULL);
        return;
    }
    buf_u8(out, UNION_VALUE);
    wire_put_long(out, e->nmissing);
    for (i = 0; i < e->nmissing; i++) {
        const struct encoder_column *c = &e->cols[e->missing[i]];

        buf_append(out, c->field, c->field_len);
    }
    buf_u8(out, 0); /* end of the array */
}

bool encoder_value(struct encoder *e, const struct change *c, const struct event_meta *meta,
                   struct buf *out, bool *unavailable, struct error *err)
{
    size_t start = out->len;

    e->nmissing = 0;
    buf_append(out, e->value_prefix, WIRE_PREFIX);
    if (!put_before(e, c, out, err) || !put_after(e, c, out, err)) {
        out->len = start;
        return false;
    }
    e->block->encode(out, e->table, meta);
    put_meta(c, meta, out);
    put_unavailable(e, out);
    *unavailable = e->nmissing > 0;
    return true;
}

bool encoder_key(struct encoder *e, const struct value *row, struct buf *out, struct error *err)
{
    size_t start = out->len;
    int k;

    buf_append(out, e->key_prefix, WIRE_PREFIX);
    for (k = 0; k < e->table->nkeys; k++) {
        int i = e->table->keys[k];
        const char *why = "a key column that is NULL or was not carried";

        if (row[i].state != VALUE_SET || !encode_value(&e->cols[i], &row[i], out, &e->work, &why)) {
            out->len = start;
            return refused(e, i, why, err);
        }
    }
    return true;
}
