/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slices of an event -> values. Texts and bytes are borrowed from the slice, decimals and bit
 * strings become text in the scratch arena. What comes out is as valid as what the encoder takes:
 * UTF-8 checked, integers in the range of their kind, no trailing bytes.
 */
#include "avro/decode.h"

#include "avro/decimal.h"
#include "avro/instant.h"
#include "avro/utf8.h"

#include <string.h>

/* Where a row is being read; failures name the column, or the byte if the bytes are broken. */
struct row_reader {
    struct reader r;
    const struct decoder *d;
    struct arena *scratch;
    const char *why; /* what a value is that cannot be taken */
};

static void refuse(struct row_reader *rr, const char *why)
{
    if (rr->r.failed)
        return;
    rr->why = why;
    reader_fail(&rr->r);
}

static void set_text(struct value *v, const char *p, size_t len)
{
    v->s.p = p;
    v->s.len = len;
}

static void read_bytes(struct row_reader *rr, struct value *v)
{
    size_t n = decode_length(&rr->r);

    set_text(v, (const char *)reader_bytes(&rr->r, n), n);
}

static void read_string(struct row_reader *rr, struct value *v)
{
    read_bytes(rr, v);
    if (!rr->r.failed && !utf8_valid(v->s.p, v->s.len))
        refuse(rr, "a string that is not valid UTF-8");
}

static void read_int(struct row_reader *rr, enum type_kind kind, struct value *v)
{
    int64_t i = decode_long(&rr->r);

    if (kind == TYPE_INT16 ? i != (int16_t)i
                           : (kind == TYPE_INT32 || kind == TYPE_DATE) && i != (int32_t)i)
        refuse(rr, "an integer out of the range of its type");
    v->i = i;
}

static void read_float(struct row_reader *rr, struct value *v)
{
    const uint8_t *p = reader_bytes(&rr->r, 4);
    uint32_t u = 0;
    float f;

    if (p != NULL)
        memcpy(&u, p, sizeof(u));
    u = le32toh(u);
    memcpy(&f, &u, sizeof(f));
    v->f = (double)f;
}

static void read_double(struct row_reader *rr, struct value *v)
{
    const uint8_t *p = reader_bytes(&rr->r, 8);
    uint64_t u = 0;

    if (p != NULL)
        memcpy(&u, p, sizeof(u));
    u = le64toh(u);
    memcpy(&v->f, &u, sizeof(v->f));
}

static void read_decimal(struct row_reader *rr, int64_t scale, bool variable, struct value *v)
{
    static const char *const specials[] = {"-Infinity", "NaN", "Infinity"};
    struct value raw;
    const char *text;
    size_t len;

    read_bytes(rr, &raw);
    if (rr->r.failed)
        return;
    if (raw.s.len == 0) { /* codec.h: not a number, by its scale which */
        if (!variable)
            scale = 0;
        if (scale < -1 || scale > 1)
            refuse(rr, "a decimal without digits");
        else
            set_text(v, specials[scale + 1], strlen(specials[scale + 1]));
        return;
    }
    if (!decimal_text(rr->scratch, (const uint8_t *)raw.s.p, raw.s.len, scale, &text, &len)) {
        refuse(rr, "a decimal of too many digits");
        return;
    }
    set_text(v, text, len);
}

static void read_timestamp(struct row_reader *rr, bool millis, struct value *v)
{
    int64_t stored = decode_long(&rr->r);

    if ((millis && __builtin_mul_overflow(stored, (int64_t)1000, &stored)) ||
        !instant_from_long(stored, &v->i))
        refuse(rr, "a timestamp out of range");
}

static void read_zoned(struct row_reader *rr, struct value *v)
{
    struct value text;

    read_bytes(rr, &text);
    if (!rr->r.failed && !instant_from_text(text.s.p, text.s.len, &v->i))
        refuse(rr, "a timestamp that is not ISO 8601 in microseconds");
}

/* Little-endian bytes -> "0101" of the schema's length; bits past it must be zero. */
static void read_bits(struct row_reader *rr, size_t length, struct value *v)
{
    struct value raw;
    const uint8_t *p;
    size_t i;
    char *text;

    read_bytes(rr, &raw);
    if (rr->r.failed)
        return;
    p = (const uint8_t *)raw.s.p;
    for (i = length; i < 8 * raw.s.len; i++) {
        if (p[i / 8] >> i % 8 & 1) {
            refuse(rr, "a bit string longer than its type");
            return;
        }
    }
    text = arena_alloc(rr->scratch, length);
    for (i = 0; i < length; i++) {
        bool set = i / 8 < raw.s.len && (p[i / 8] >> i % 8 & 1);

        text[length - 1 - i] = set ? '1' : '0';
    }
    set_text(v, text, length);
}

static uint8_t read_bool(struct row_reader *rr)
{
    uint8_t b = reader_u8(&rr->r);

    if (b > 1)
        refuse(rr, "a boolean that is neither 0 nor 1");
    return b;
}

static void read_value(struct row_reader *rr, const struct column_code *c, struct value *v)
{
    int64_t scale;

    v->state = VALUE_SET;
    switch (c->op) {
    case COLUMN_BOOL:
        v->i = read_bool(rr);
        break;
    case COLUMN_INT:
        read_int(rr, c->kind, v);
        break;
    case COLUMN_FLOAT:
        read_float(rr, v);
        break;
    case COLUMN_DOUBLE:
        read_double(rr, v);
        break;
    case COLUMN_DECIMAL:
        read_decimal(rr, c->scale, false, v);
        break;
    case COLUMN_NUMERIC:
        scale = decode_long(&rr->r);
        read_decimal(rr, scale, true, v);
        break;
    case COLUMN_STRING:
        read_string(rr, v);
        break;
    case COLUMN_BYTES:
        read_bytes(rr, v);
        break;
    case COLUMN_MILLIS:
        read_int(rr, TYPE_INT32, v);
        v->i *= 1000;
        break;
    case COLUMN_MICROTIMESTAMP:
    case COLUMN_MILLITIMESTAMP:
        read_timestamp(rr, c->op == COLUMN_MILLITIMESTAMP, v);
        break;
    case COLUMN_ZONED:
        read_zoned(rr, v);
        break;
    case COLUMN_BITS:
        read_bits(rr, (size_t)c->scale, v);
        break;
    case COLUMN_BIT:
        set_text(v, read_bool(rr) ? "1" : "0", 1);
        break;
    }
}

static bool broken(const struct row_reader *rr, int column, size_t len, struct error *err)
{
    const struct table *t = rr->d->table;

    if (rr->why != NULL)
        return error_set(err, ERROR_DATA, "table %s.%s, column %s: %s", t->schema, t->name,
                         t->cols[column].name, rr->why);
    return error_set(err, ERROR_DATA, "table %s.%s: broken row of %zu bytes, at byte %zu",
                     t->schema, t->name, len, rr->r.failed_at);
}

static bool trailing(const struct row_reader *rr, size_t len, struct error *err)
{
    const struct table *t = rr->d->table;

    return error_set(err, ERROR_DATA, "table %s.%s: row of %zu bytes ends at byte %zu", t->schema,
                     t->name, len, reader_offset(&rr->r));
}

/* The column whose field has that name, looked for from `from` on and around; -1: none. */
static int find_field(const struct decoder *d, int from, const uint8_t *name, size_t len)
{
    int n = d->table->ncols, i, k;

    for (k = 0; k < n; k++) {
        i = from + k < n ? from + k : from + k - n;
        if (d->cols[i].field_len == len && memcmp(d->cols[i].field, name, len) == 0)
            return i;
    }
    return -1;
}

/* Sets the columns that `unavailable` names to VALUE_UNCHANGED. They come in column order. */
static bool mark_unavailable(const struct decoder *d, const uint8_t *p, size_t len,
                             struct value *values, struct error *err)
{
    const struct table *t = d->table;
    struct reader r;
    int64_t count;
    size_t size;
    int at = 0;

    reader_init(&r, p, len);
    while ((count = decode_block(&r, &size)) != 0) {
        for (; count > 0 && !r.failed; count--) {
            size_t n = decode_length(&r);
            const uint8_t *name = reader_bytes(&r, n);

            if (name == NULL)
                break;
            at = find_field(d, at, name, n);
            if (at < 0)
                return error_set(err, ERROR_DATA,
                                 "table %s.%s: `unavailable` names a field that is not there",
                                 t->schema, t->name);
            values[at].state = VALUE_UNCHANGED;
        }
    }
    if (r.failed || reader_left(&r) > 0)
        return error_set(err, ERROR_DATA, "table %s.%s: broken `unavailable`, at byte %zu",
                         t->schema, t->name, reader_offset(&r));
    return true;
}

bool decoder_row(const struct decoder *d, const uint8_t *row, size_t len,
                 const uint8_t *unavailable, size_t unavailable_len, struct arena *scratch,
                 struct value *values, struct error *err)
{
    struct row_reader rr = {.d = d, .scratch = scratch};
    int i, n = d->table->ncols;

    for (i = 0; i < n; i++)
        values[i].state = VALUE_NULL;
    if (unavailable != NULL && !mark_unavailable(d, unavailable, unavailable_len, values, err))
        return false;
    reader_init(&rr.r, row, len);
    for (i = 0; i < n; i++) {
        const struct column_code *c = &d->cols[i];

        if (decode_branch(&rr.r, c->skip.null_branch)) {
            if (values[i].state == VALUE_UNCHANGED)
                skip_inside(&rr.r, &c->skip); /* a placeholder */
            else
                read_value(&rr, c, &values[i]);
        }
        if (rr.r.failed)
            return broken(&rr, i, len, err);
    }
    return reader_left(&rr.r) == 0 || trailing(&rr, len, err);
}

bool decoder_key(const struct decoder *d, const uint8_t *key, size_t len, struct arena *scratch,
                 struct value *values, struct error *err)
{
    struct row_reader rr = {.d = d, .scratch = scratch};
    const struct table *t = d->table;
    int i;

    for (i = 0; i < t->ncols; i++)
        values[i].state = VALUE_ABSENT;
    reader_init(&rr.r, key, len);
    if (reader_u8(&rr.r) != 0)
        reader_fail(&rr.r);
    reader_be32(&rr.r);
    if (rr.r.failed)
        return broken(&rr, 0, len, err);
    for (i = 0; i < t->nkeys; i++) {
        read_value(&rr, &d->cols[t->keys[i]], &values[t->keys[i]]);
        if (rr.r.failed)
            return broken(&rr, t->keys[i], len, err);
    }
    return reader_left(&rr.r) == 0 || trailing(&rr, len, err);
}
