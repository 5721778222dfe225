/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a zero-terminated Avro schema text, then the wire bytes of an event. An input that does
 * not start with '{' is an event of a fixed table that holds every kind. Whatever is accepted is
 * encoded again: what comes out of the decoder has to be valid.
 */
#include "driver.h"

#include "avro/codec.h"

static const char source_schema[] =
    "{\"type\":\"record\",\"name\":\"Source\",\"namespace\":\"fuzz\",\"fields\":["
    "{\"name\":\"ts_ms\",\"type\":\"long\"}]}";

static void put_source(struct buf *out, const struct table *t, const struct event_meta *meta)
{
    (void)t;
    avro_put_long(out, meta->source_us / 1000);
}

static const struct source_block block = {source_schema, put_source};
static const struct event_meta meta = {.csn = 1, .tx_id = "1", .snapshot = "false"};

/* Every kind, not nullable and nullable; the first column is the key. */
static struct table *fixed_table(struct arena *a)
{
    struct table *t = arena_calloc(a, 1, sizeof(*t));
    int i;

    t->schema = "public";
    t->name = "t";
    t->ncols = 2 * TYPE_COUNT;
    t->cols = arena_calloc(a, (size_t)t->ncols, sizeof(*t->cols));
    for (i = 0; i < t->ncols; i++) {
        struct column *c = &t->cols[i];

        c->kind = (enum type_kind)(i / 2);
        c->nullable = i % 2;
        c->name = arena_printf(a, "c%d", i);
        c->source_type = c->kind == TYPE_INTERVAL ? "interval" : "?";
        c->precision = c->kind == TYPE_DECIMAL ? 20 : c->kind == TYPE_BITS ? 11 : 0;
        c->scale = c->kind == TYPE_DECIMAL ? 3 : 0;
        c->key_pos = i == 0;
    }
    table_index_keys(a, t);
    table_name_fields(a, t, "fuzz");
    return t;
}

static void encode_again(const struct table *t, const struct value *row)
{
    struct encoder *e = encoder_new(t, &block, 1, 2);
    struct change c = {.op = CHANGE_INSERT, .table = t, .after = row};
    struct buf out = {0};
    struct error err;
    bool unavailable;

    /* Refused are only decimals of more digits than their type and timestamps past Postgres's. */
    if (!encoder_value(e, &c, &meta, &out, &unavailable, &err) && err.kind != ERROR_DATA)
        abort();
    buf_free(&out);
    encoder_free(e);
}

static void decode(const struct decoder *d, const struct table *t, const uint8_t *event,
                   size_t size)
{
    struct arena *a = arena_new("fuzz");
    struct value *values = arena_calloc(a, (size_t)t->ncols, sizeof(*values));
    struct event_slices s;
    struct error err;

    if (decoder_slices(d, event, size, &s, &err)) {
        if (s.before != NULL)
            (void)!decoder_row(d, s.before, s.before_len, NULL, 0, a, values, &err);
        if (s.after != NULL &&
            decoder_row(d, s.after, s.after_len, s.unavailable, s.unavailable_len, a, values, &err))
            encode_again(t, values);
    }
    (void)!decoder_key(d, event, size, a, values, &err);
    arena_free(a);
}

/* The fixed table as the sink sees it, and its decoder: made once. */
static const struct decoder *fixed_decoder(const struct table **table)
{
    static struct arena *process;
    static struct table *t;
    static struct decoder *d;
    struct buf schema = {0}, key = {0};
    struct error err;

    if (d == NULL) {
        process = arena_new("process");
        t = fixed_table(process);
        avro_value_schema(&schema, t, &block);
        avro_key_schema(&key, t);
        if (!avro_table(process, buf_cstr(&schema), buf_cstr(&key), &t, &err))
            abort();
        d = decoder_new(buf_cstr(&schema), t, &err);
        buf_free(&schema);
        buf_free(&key);
    }
    *table = t;
    return d;
}

static void decode_with_schema(const char *schema, const uint8_t *event, size_t size)
{
    struct arena *a = arena_new("fuzz");
    struct decoder *d = NULL;
    struct table *t;
    struct error err;

    if (avro_table(a, schema, NULL, &t, &err))
        d = decoder_new(schema, t, &err);
    if (d != NULL)
        decode(d, t, event, size);
    decoder_free(d);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    const struct table *t;
    const struct decoder *d;

    if (size > 0 && data[0] == '{' && nul != NULL) {
        decode_with_schema((const char *)data, nul + 1, size - (size_t)(nul + 1 - data));
    } else {
        d = fixed_decoder(&t);
        decode(d, t, data, size);
    }
    return 0;
}
