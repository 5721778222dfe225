/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value -> Avro binary, in the representations of change/value.h and codec.h. What cannot be
 * carried exactly is refused with a text that says what it is and never shows it.
 */
#include "avro/encode.h"

#include "avro/decimal.h"
#include "avro/instant.h"
#include "avro/utf8.h"

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
    wire_put_bytes(out, v->s.p, v->s.len);
    return true;
}

static bool put_decimal(const struct encoder_column *c, const struct value *v, struct buf *out,
                        struct buf *work, const char **why)
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
    decimal_put(out, &d, scale, work);
    return true;
}

static bool put_numeric(const struct value *v, struct buf *out, struct buf *work, const char **why)
{
    struct decimal d;

    switch (decimal_parse(v->s.p, v->s.len, &d)) {
    case DECIMAL_FINITE:
        wire_put_long(out, (int64_t)d.nfraction);
        decimal_put(out, &d, d.nfraction, work);
        return true;
    case DECIMAL_NAN:
        wire_put_long(out, 0);
        break;
    case DECIMAL_INFINITY:
        wire_put_long(out, 1);
        break;
    case DECIMAL_MINUS_INFINITY:
        wire_put_long(out, -1);
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
    wire_put_long(out, (int64_t)size);
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
    wire_put_long(out, v);
    return true;
}

static bool put_float(struct buf *out, double v, const char **why)
{
    float f = (float)v;
    uint32_t u;

    if ((double)f != v && v == v) /* NaN is carried */
        return refuse(why, "a number that its single precision type cannot hold");
    memcpy(&u, &f, sizeof(u));
    u = htole32(u);
    buf_append(out, &u, sizeof(u));
    return true;
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
    wire_put_long(out, stored);
    return true;
}

bool encode_value(const struct encoder_column *c, const struct value *v, struct buf *out,
                  struct buf *work, const char **why)
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
        wire_put_long(out, v->i);
        return true;
    case TYPE_FLOAT32:
        return put_float(out, v->f, why);
    case TYPE_FLOAT64:
        put_double(out, v->f);
        return true;
    case TYPE_DECIMAL:
        return put_decimal(c, v, out, work, why);
    case TYPE_NUMERIC:
        return put_numeric(v, out, work, why);
    case TYPE_TEXT:
    case TYPE_INTERVAL:
    case TYPE_UUID:
    case TYPE_JSON:
    case TYPE_ENUM:
        return put_text(out, v, why);
    case TYPE_BYTES:
        wire_put_bytes(out, v->s.p, v->s.len);
        return true;
    case TYPE_TIMESTAMP:
        return put_timestamp(out, v->i, why);
    case TYPE_TIMESTAMPTZ:
        wire_put_bytes(out, text, instant_to_text(v->i, text));
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

void encode_placeholder(const struct encoder_column *c, enum value_state state, struct buf *out)
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
        wire_put_bytes(out, UNAVAILABLE_TEXT, sizeof(UNAVAILABLE_TEXT) - 1);
    } else if (c->kind == TYPE_DECIMAL) {
        buf_append(out, "\x02\x00", 2); /* one byte of unscaled zero */
    } else if (c->kind == TYPE_NUMERIC) {
        buf_append(out, "\x00\x02\x00", 3);
    } else if (c->kind == TYPE_TIMESTAMPTZ) {
        wire_put_bytes(out, "1970-01-01T00:00:00Z", 20);
    } else if (c->kind == TYPE_BITS && c->precision != 1) {
        bytes = ((size_t)c->precision + 7) / 8;
        wire_put_long(out, (int64_t)bytes);
        memset(buf_reserve(out, bytes), 0, bytes);
        out->len += bytes;
    } else {
        bytes = c->kind == TYPE_FLOAT64 ? 8 : c->kind == TYPE_FLOAT32 ? 4 : 1;
        memset(buf_reserve(out, bytes), 0, bytes);
        out->len += bytes;
    }
}
