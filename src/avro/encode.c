/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes -> the wire bytes of keys and envelopes. Compiled once per table version into an array
 * of columns; a row costs no allocation but the growth of the caller's buffer. Every column
 * reserves what it needs once and writes in place. What cannot be carried exactly is ERROR_DATA
 * with table and column, and leaves the buffer as it was.
 */
#include "avro/codec.h"

#include "avro/decimal.h"
#include "avro/instant.h"
#include "avro/node.h"
#include "avro/utf8.h"
#include "avro/wire.h"
#include "util/mem.h"

#define UNION_NULL 0x00  /* branch 0, zig-zag */
#define UNION_VALUE 0x02 /* branch 1 */

struct encoder_column {
    enum type_kind kind;
    bool optional; /* a union of null and the type */
    int precision, scale;
    const uint8_t *field; /* its name as an Avro string, for `unavailable` */
    size_t field_len;
};

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
    uint8_t *p = buf_reserve(out, WIRE_LONG_MAX);

    out->len = (size_t)(wire_long(p, v) - out->data);
}

void avro_put_string(struct buf *out, const char *s, size_t len)
{
    uint8_t *p = buf_reserve(out, WIRE_LONG_MAX + len);

    out->len = (size_t)(wire_bytes(p, s, len) - out->data);
}

/* The writers below return false with what the value is in *why, never the value. */
static bool refuse(const char **why, const char *what)
{
    *why = what;
    return false;
}

static bool put_text(struct buf *out, const struct value *v, const char **why)
{
    if (!utf8_valid(v->s.p, v->s.len))
        return refuse(why, "a text that is not valid UTF-8");
    avro_put_string(out, v->s.p, v->s.len);
    return true;
}

static bool put_decimal(struct encoder *e, const struct encoder_column *c, struct buf *out,
                        const struct value *v, const char **why)
{
    size_t scale = (size_t)c->scale;
    struct decimal d;

    switch (decimal_parse(v->s.p, v->s.len, &d)) {
    case DECIMAL_NAN:
        buf_u8(out, 0);
        return true;
    case DECIMAL_FINITE:
        break;
    case DECIMAL_MALFORMED:
        return refuse(why, "a text that is not a number");
    default:
        return refuse(why, "an infinity in a decimal");
    }
    if (d.nfraction > scale)
        return refuse(why, "a decimal with more fractional digits than its scale");
    if (d.nwhole + scale > (size_t)c->precision && decimal_digits(&d, scale) > (size_t)c->precision)
        return refuse(why, "a decimal with more digits than its precision");
    decimal_put(out, &d, scale, &e->work);
    return true;
}

static bool put_numeric(struct encoder *e, struct buf *out, const struct value *v, const char **why)
{
    struct decimal d;

    switch (decimal_parse(v->s.p, v->s.len, &d)) {
    case DECIMAL_FINITE:
        avro_put_long(out, (int64_t)d.nfraction);
        decimal_put(out, &d, d.nfraction, &e->work);
        return true;
    case DECIMAL_NAN:
        avro_put_long(out, 0);
        break;
    case DECIMAL_INFINITY:
        avro_put_long(out, 1);
        break;
    case DECIMAL_MINUS_INFINITY:
        avro_put_long(out, -1);
        break;
    default:
        return refuse(why, "a text that is not a number");
    }
    buf_u8(out, 0); /* no bytes */
    return true;
}

static bool put_bits(const struct encoder_column *c, struct buf *out, const struct value *v,
                     const char **why)
{
    size_t n = v->s.len, size = (n + 7) / 8, i;
    uint8_t *p;

    /* The length is the schema's: a shorter string would come back with more zeros. */
    if (n != (size_t)c->precision)
        return refuse(why, "a bit string of another length than its type");
    for (i = 0; i < n; i++) {
        if (v->s.p[i] != '0' && v->s.p[i] != '1')
            return refuse(why, "a bit string with other characters than 0 and 1");
    }
    if (n == 1) {
        buf_u8(out, v->s.p[0] == '1');
        return true;
    }
    avro_put_long(out, (int64_t)size);
    p = buf_reserve(out, size);
    memset(p, 0, size);
    for (i = 0; i < n; i++) {
        if (v->s.p[n - 1 - i] == '1')
            p[i / 8] |= (uint8_t)(1u << i % 8);
    }
    out->len += size;
    return true;
}

static bool put_int(struct buf *out, int64_t v, int64_t low, int64_t high, const char **why)
{
    if (v < low || v > high)
        return refuse(why, "an integer out of the range of its type");
    avro_put_long(out, v);
    return true;
}

static void put_float(struct buf *out, double v)
{
    float f = (float)v;
    uint32_t u;

    memcpy(&u, &f, sizeof(u));
    u = htole32(u);
    buf_append(out, &u, sizeof(u));
}

static void put_double(struct buf *out, double v)
{
    uint64_t u;

    memcpy(&u, &v, sizeof(u));
    u = htole64(u);
    buf_append(out, &u, sizeof(u));
}

static bool put_timestamp(struct buf *out, int64_t v, const char **why)
{
    int64_t stored;

    if (!instant_to_long(v, &stored))
        return refuse(why, "a timestamp out of range");
    avro_put_long(out, stored);
    return true;
}

/* A value in its type, without a union. On false *why says what it is. */
static bool put_value(struct encoder *e, const struct encoder_column *c, struct buf *out,
                      const struct value *v, const char **why)
{
    char text[INSTANT_TEXT_MAX];

    switch (c->kind) {
    case TYPE_BOOL:
        buf_u8(out, v->i != 0);
        return true;
    case TYPE_INT16:
        return put_int(out, v->i, INT16_MIN, INT16_MAX, why);
    case TYPE_INT32:
    case TYPE_DATE:
        return put_int(out, v->i, INT32_MIN, INT32_MAX, why);
    case TYPE_INT64:
    case TYPE_TIME:
        avro_put_long(out, v->i);
        return true;
    case TYPE_FLOAT32:
        put_float(out, v->f);
        return true;
    case TYPE_FLOAT64:
        put_double(out, v->f);
        return true;
    case TYPE_DECIMAL:
        return put_decimal(e, c, out, v, why);
    case TYPE_NUMERIC:
        return put_numeric(e, out, v, why);
    case TYPE_TEXT:
    case TYPE_INTERVAL:
    case TYPE_UUID:
    case TYPE_JSON:
    case TYPE_ENUM:
        return put_text(out, v, why);
    case TYPE_BYTES:
        avro_put_string(out, v->s.p, v->s.len);
        return true;
    case TYPE_TIMESTAMP:
        return put_timestamp(out, v->i, why);
    case TYPE_TIMESTAMPTZ:
        avro_put_string(out, text, instant_to_text(v->i, text));
        return true;
    case TYPE_BITS:
        return put_bits(c, out, v, why);
    default:
        return refuse(why, "a value of an unknown kind");
    }
}

static bool is_string_like(enum type_kind kind)
{
    return kind == TYPE_TEXT || kind == TYPE_INTERVAL || kind == TYPE_UUID || kind == TYPE_JSON ||
           kind == TYPE_ENUM || kind == TYPE_BYTES;
}

/* What stands for a column that was not carried: see codec.h. */
static void put_placeholder(const struct encoder_column *c, struct buf *out, enum value_state state)
{
    bool text = is_string_like(c->kind);
    size_t bytes;

    if (c->optional && !(text && state == VALUE_UNCHANGED)) {
        buf_u8(out, UNION_NULL);
        return;
    }
    if (c->optional)
        buf_u8(out, UNION_VALUE);
    if (text) {
        avro_put_string(out, UNAVAILABLE_TEXT, sizeof(UNAVAILABLE_TEXT) - 1);
    } else if (c->kind == TYPE_DECIMAL) {
        buf_append(out, "\x02\x00", 2); /* one byte of unscaled zero */
    } else if (c->kind == TYPE_NUMERIC) {
        buf_append(out, "\x00\x02\x00", 3);
    } else if (c->kind == TYPE_TIMESTAMPTZ) {
        avro_put_string(out, "1970-01-01T00:00:00Z", 20);
    } else if (c->kind == TYPE_BITS && c->precision != 1) {
        bytes = ((size_t)c->precision + 7) / 8;
        avro_put_long(out, (int64_t)bytes);
        memset(buf_reserve(out, bytes), 0, bytes);
        out->len += bytes;
    } else {
        bytes = c->kind == TYPE_FLOAT64 ? 8 : c->kind == TYPE_FLOAT32 ? 4 : 1;
        memset(buf_reserve(out, bytes), 0, bytes);
        out->len += bytes;
    }
}

static bool refused(const struct encoder *e, int i, const char *what, struct error *err)
{
    const struct table *t = e->table;

    error_set(err, ERROR_DATA, "table %s.%s, column %s (%s): %s", t->schema, t->name,
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
            if (!put_value(e, c, out, v, &why))
                return refused(e, i, why, err);
        } else if (v->state == VALUE_NULL) {
            if (!c->optional)
                return refused(e, i, "NULL in a column that is NOT NULL or of the key", err);
            buf_u8(out, UNION_NULL);
        } else if (complete) {
            return refused(e, i, "missing from an old row that should be complete", err);
        } else {
            put_placeholder(c, out, v->state);
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
    avro_put_long(out, e->nmissing);
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

        if (row[i].state != VALUE_SET || !put_value(e, &e->cols[i], out, &row[i], &why)) {
            out->len = start;
            return refused(e, i, why, err);
        }
    }
    return true;
}
