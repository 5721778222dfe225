/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value -> the JSON of a field's default, by way of its Avro binary: bytes are a string of code
 * points 0 to 255, a VariableScaleDecimal an object. JSON has no NaN and no infinity.
 */
#include "avro/encode.h"
#include "util/reader.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void put_char(struct buf *out, unsigned char c)
{
    if (c == '"' || c == '\\')
        buf_u8(out, '\\');
    if (c < 0x20 || c == 0x7f)
        buf_printf(out, "\\u%04x", c);
    else
        buf_u8(out, c);
}

/* UTF-8 stays as it is; of bytes, those past 0x7f become escapes. */
static bool put_bytes(struct buf *out, struct reader *r, bool text)
{
    int64_t n = reader_zigzag(r);
    const uint8_t *p = n < 0 ? NULL : reader_bytes(r, (size_t)n);
    int64_t i;

    if (p == NULL)
        return false;
    buf_u8(out, '"');
    for (i = 0; i < n; i++) {
        if (p[i] >= 0x80 && !text)
            buf_printf(out, "\\u%04x", p[i]);
        else
            put_char(out, p[i]);
    }
    buf_u8(out, '"');
    return true;
}

/* The shortest digits that read back as the same number. */
static bool put_number(struct buf *out, double v, bool single)
{
    char text[32];
    int digits;

    if (!isfinite(v))
        return false;
    for (digits = 1; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    buf_puts(out, text);
    return true;
}

static bool put_numeric(struct buf *out, struct reader *r)
{
    int64_t scale = reader_zigzag(r);

    /* No digits: NaN or an infinity, see codec.h. */
    if (r->pos < r->end && *r->pos == 0)
        return false;
    buf_printf(out, "{\"scale\":%lld,\"value\":", (long long)scale);
    if (!put_bytes(out, r, false))
        return false;
    buf_u8(out, '}');
    return true;
}

static bool put_json(const struct column *c, const struct value *v, struct reader *r,
                     struct buf *out)
{
    switch (c->kind) {
    case TYPE_BOOL:
        buf_puts(out, v->i != 0 ? "true" : "false");
        return true;
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_DATE:
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
        buf_printf(out, "%lld", (long long)reader_zigzag(r));
        return true;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return put_number(out, v->f, c->kind == TYPE_FLOAT32);
    case TYPE_NUMERIC:
        return put_numeric(out, r);
    case TYPE_DECIMAL:
        return *r->pos != 0 && put_bytes(out, r, false); /* no digits: NaN */
    case TYPE_BYTES:
        return put_bytes(out, r, false);
    case TYPE_BITS:
        if (c->precision != 1)
            return put_bytes(out, r, false);
        buf_puts(out, v->s.p[0] == '1' ? "true" : "false");
        return true;
    default:
        return put_bytes(out, r, true);
    }
}

const char *avro_default(struct arena *a, const struct column *c, const struct value *v)
{
    struct encoder_column ec = {.kind = c->kind, .precision = c->precision, .scale = c->scale};
    struct buf binary = {0}, work = {0}, json = {0};
    const char *text = NULL, *why;
    struct reader r;

    if (encode_value(&ec, v, &binary, &work, &why) && binary.len > 0) {
        reader_init(&r, binary.data, binary.len);
        if (put_json(c, v, &r, &json) && !r.failed)
            text = arena_strndup(a, (const char *)json.data, json.len);
    }
    buf_free(&binary);
    buf_free(&work);
    buf_free(&json);
    return text;
}
