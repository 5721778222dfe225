/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of a value. The first four bytes choose the column: kind, precision, scale, type name; the
 * rest is the text. What is accepted must lie in its kind's range.
 */
#include "driver.h"

#include "source_postgres/pg_value.h"

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_bytes(const struct value *v)
{
    unsigned sum = 0;

    for (size_t i = 0; i < v->s.len; i++)
        sum += (unsigned char)v->s.p[i];
    check(sum <= 255 * v->s.len);
}

static void check_value(const struct column *c, const struct value *v)
{
    switch (c->kind) {
    case TYPE_BOOL:
        check(v->i == 0 || v->i == 1);
        break;
    case TYPE_INT16:
        check(v->i >= INT16_MIN && v->i <= INT16_MAX);
        break;
    case TYPE_INT32:
    case TYPE_DATE:
        check(v->i >= INT32_MIN && v->i <= INT32_MAX);
        break;
    case TYPE_TIME:
        check(v->i >= 0 && v->i <= INT64_C(86400000000));
        break;
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        break;
    case TYPE_FLOAT32:
        check(v->f != v->f || (double)(float)v->f == v->f);
        break;
    case TYPE_FLOAT64:
        break;
    case TYPE_UUID:
        check(v->s.len == 36);
        break;
    case TYPE_DECIMAL:
        check(v->s.len == 3 || (v->s.len > 0 && memchr(v->s.p, '$', v->s.len) == NULL));
        break;
    default:
        check_bytes(v);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {NULL, "money", "\"char\"", "text"};
    struct column c = {.name = "c"};
    struct error err = {0};
    struct arena *a;
    struct value v;

    if (size < 4)
        return 0;
    a = arena_new("fuzz");
    c.kind = (enum type_kind)(data[0] % TYPE_COUNT);
    c.precision = data[1];
    c.scale = data[2] % (data[1] + 1);
    c.source_type = names[data[3] % 4];
    if (pg_value_parse(&c, (const char *)data + 4, size - 4, a, &v, &err)) {
        check(v.state == VALUE_SET);
        check_value(&c, &v);
    } else {
        check(err.kind == ERROR_DATA && strncmp(err.message, "column c: not a valid ", 22) == 0);
    }
    arena_free(a);
    return 0;
}
