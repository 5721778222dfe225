/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a COPY in binary: the first byte chooses the columns, then each message is a length
 * of two bytes and its bytes, which lie in a block of their own size. */
#include "driver.h"

#include "source_postgres/copy_binary.h"
#include "util/arena.h"

#define NCOLS 20

static const struct {
    enum type_kind kind;
    uint32_t oid;
} types[NCOLS] = {
    {TYPE_BOOL, 16},      {TYPE_INT16, 21},    {TYPE_INT32, 23},       {TYPE_INT64, 20},
    {TYPE_INT64, 26},     {TYPE_FLOAT32, 700}, {TYPE_FLOAT64, 701},    {TYPE_NUMERIC, 1700},
    {TYPE_DECIMAL, 1700}, {TYPE_TEXT, 25},     {TYPE_TEXT, 1042},      {TYPE_BYTES, 17},
    {TYPE_DATE, 1082},    {TYPE_TIME, 1083},   {TYPE_TIMESTAMP, 1114}, {TYPE_TIMESTAMPTZ, 1184},
    {TYPE_UUID, 2950},    {TYPE_JSON, 114},    {TYPE_JSON, 3802},      {TYPE_ENUM, 99999},
};

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* Every byte of a value can be read. */
static void touch(const struct column *c, const struct value *v)
{
    volatile unsigned sum = 0;

    check(v->state == VALUE_SET || v->state == VALUE_NULL);
    if (v->state != VALUE_SET || !type_kind_is_text(c->kind))
        return;
    for (size_t i = 0; i < v->s.len; i++)
        sum += (unsigned char)v->s.p[i];
}

static bool one(struct copy_binary *b, const struct table *t, const uint32_t *oids,
                const uint8_t *data, size_t len, struct arena *a)
{
    struct value values[NCOLS];
    struct error err = {0};
    char *message = malloc(len > 0 ? len : 1);
    bool row, ok;

    if (message == NULL)
        abort();
    memcpy(message, data, len);
    arena_reset(a);
    ok = copy_binary_take(b, t, oids, message, len, a, values, &row, &err);
    check(ok || (err.message[0] != '\0' && (err.kind == ERROR_RETRY || err.kind == ERROR_DATA)));
    for (int i = 0; ok && row && i < t->ncols; i++)
        touch(&t->cols[i], &values[i]);
    free(message);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct column cols[NCOLS] = {{0}};
    uint32_t oids[NCOLS];
    struct table t = {.cols = cols};
    struct copy_binary b = {0};
    struct arena *a = arena_new("fuzz");
    bool ok = true;

    if (size > 0) {
        t.ncols = 1 + data[0] % NCOLS;
        for (int i = 0; i < t.ncols; i++) {
            int k = (i + data[0]) % NCOLS;

            cols[i] =
                (struct column){.name = "c", .kind = types[k].kind, .precision = 12, .scale = 2};
            oids[i] = types[k].oid;
            check(copy_binary_suits(&cols[i], oids[i]));
        }
        data++;
        size--;
    }
    while (ok && size >= 2) {
        size_t len = (size_t)data[0] << 8 | data[1];

        len = len < size - 2 ? len : size - 2;
        ok = one(&b, &t, oids, data + 2, len, a);
        data += 2 + len;
        size -= 2 + len;
    }
    arena_free(a);
    return 0;
}
