/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec without an oracle: what is encoded comes back, what cannot be carried is refused
 * without its value in the message, broken and foreign bytes are survived. The bytes themselves
 * are compared with avro-c's in test_avro_oracle.c.
 */
#include "avro_random.h"

#include "avro/decimal.h"
#include "avro/instant.h"
#include "avro/utf8.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A table with encoder and decoder made from its schema texts alone. */
struct codec {
    struct arena *arena;
    struct table *table;
    struct table *sink; /* as read back */
    struct encoder *encoder;
    struct decoder *decoder;
};

static void codec_open(struct codec *c, struct arena *a, struct table *t)
{
    struct buf value = {0}, key = {0};
    struct error err = {0};

    c->arena = a;
    c->table = t;
    avro_value_schema(&value, t, &test_block);
    if (t->nkeys > 0)
        avro_key_schema(&key, t);
    if (!avro_table(a, buf_cstr(&value), buf_cstr(&key), &c->sink, &err))
        fail_msg("%s", err.message);
    c->encoder = encoder_new(t, &test_block, 258, 7);
    c->decoder = decoder_new(buf_cstr(&value), c->sink, &err);
    if (c->decoder == NULL)
        fail_msg("%s", err.message);
    buf_free(&value);
    buf_free(&key);
}

static void codec_close(struct codec *c)
{
    encoder_free(c->encoder);
    decoder_free(c->decoder);
    arena_free(c->arena);
}

/* A table t(v KIND) as the arena's first item. */
static struct table *one_column(struct arena *a, enum type_kind kind, bool nullable, int precision,
                                int scale)
{
    struct table *t = arena_calloc(a, 1, sizeof(*t));

    t->schema = "public";
    t->name = "t";
    t->ncols = 1;
    t->cols = arena_calloc(a, 1, sizeof(*t->cols));
    test_column(a, t->cols, kind, 0);
    t->cols[0].nullable = nullable;
    t->cols[0].precision = precision;
    t->cols[0].scale = scale;
    table_index_keys(a, t);
    table_name_fields(a, t, "shop");
    return t;
}

static void encode(struct codec *c, const struct change *change, struct buf *out, bool *unavailable)
{
    struct error err = {0};

    if (!encoder_value(c->encoder, change, &test_meta, out, unavailable, &err))
        fail_msg("%s", err.message);
}

static void decode(struct codec *c, const struct buf *event, struct event_slices *s)
{
    struct error err = {0};

    if (!decoder_slices(c->decoder, event->data, event->len, s, &err))
        fail_msg("%s", err.message);
}

static void decode_after(struct codec *c, const struct event_slices *s, struct value *values)
{
    struct error err = {0};

    if (!decoder_row(c->decoder, s->after, s->after_len, s->unavailable, s->unavailable_len,
                     c->arena, values, &err))
        fail_msg("%s", err.message);
}

/* Encodes v as the only column of an insert and compares what comes back. */
static void round_trip(enum type_kind kind, int precision, int scale, const struct value *v)
{
    struct arena *a = arena_new("test");
    struct codec c;
    struct change change = {.op = CHANGE_INSERT, .after = v};
    struct event_slices s;
    struct value got[1];
    struct buf event = {0};
    bool unavailable;

    codec_open(&c, a, one_column(a, kind, v->state == VALUE_NULL, precision, scale));
    change.table = c.table;
    encode(&c, &change, &event, &unavailable);
    assert_false(unavailable);
    decode(&c, &event, &s);
    assert_int_equal(s.op, 'c');
    assert_int_equal(s.csn, 77);
    assert_int_equal(s.source_us, test_meta.source_us);
    assert_null(s.before);
    assert_null(s.unavailable);
    decode_after(&c, &s, got);
    if (!same_values(&c.table->cols[0], v, got))
        fail_msg("%s: %.*s came back as %.*s (%lld as %lld)", type_kind_name(kind),
                 kind == TYPE_DECIMAL || kind == TYPE_NUMERIC ? (int)v->s.len : 0, v->s.p,
                 kind == TYPE_DECIMAL || kind == TYPE_NUMERIC ? (int)got->s.len : 0, got->s.p,
                 (long long)v->i, (long long)got->i);
    buf_free(&event);
    codec_close(&c);
}

static struct value text_value(const char *s)
{
    struct value v = {.state = VALUE_SET};

    set_text(&v, s, strlen(s));
    return v;
}

static struct value int_value(int64_t i)
{
    return (struct value){.state = VALUE_SET, .i = i};
}

static void numbers_come_back(void **state)
{
    static const double doubles[] = {0.0, -0.0, 4.9e-324, -1e-320, 1.7976931348623157e308};
    struct value null = {VALUE_NULL, {0}};
    size_t i;

    (void)state;
    for (i = 0; i < TYPE_COUNT; i++)
        round_trip((enum type_kind)i, 4, 2, &null);
    round_trip(TYPE_INT16, 0, 0, &(struct value){VALUE_SET, {INT16_MIN}});
    round_trip(TYPE_INT32, 0, 0, &(struct value){VALUE_SET, {INT32_MIN}});
    round_trip(TYPE_INT64, 0, 0, &(struct value){VALUE_SET, {INT64_MIN}});
    round_trip(TYPE_INT64, 0, 0, &(struct value){VALUE_SET, {INT64_MAX}});
    round_trip(TYPE_DATE, 0, 0, &(struct value){VALUE_SET, {VALUE_DATE_INFINITY}});
    round_trip(TYPE_DATE, 0, 0, &(struct value){VALUE_SET, {VALUE_DATE_MINUS_INFINITY}});
    round_trip(TYPE_DATE, 0, 0, &(struct value){VALUE_SET, {2145031948}});  /* 5874897-12-31 */
    round_trip(TYPE_TIME, 0, 0, &(struct value){VALUE_SET, {86400000000}}); /* 24:00:00 */
    for (i = 0; i < sizeof(doubles) / sizeof(*doubles); i++)
        round_trip(TYPE_FLOAT64, 0, 0, &(struct value){VALUE_SET, {.f = doubles[i]}});
    round_trip(TYPE_FLOAT64, 0, 0, &(struct value){VALUE_SET, {.f = (double)NAN}});
    round_trip(TYPE_FLOAT32, 0, 0, &(struct value){VALUE_SET, {.f = -0.0}});
    round_trip(TYPE_FLOAT32, 0, 0, &(struct value){VALUE_SET, {.f = (double)1.4e-45f}});
    round_trip(TYPE_FLOAT32, 0, 0, &(struct value){VALUE_SET, {.f = (double)INFINITY}});
}

static void decimals_come_back(void **state)
{
    static const char *const numerics[] = {"0",
                                           "0.00",
                                           "-1",
                                           "1",
                                           "127",
                                           "128",
                                           "-128",
                                           "-129",
                                           "255",
                                           "256",
                                           "32767",
                                           "-32768",
                                           "9223372036854775807",
                                           "-9223372036854775808",
                                           "9223372036854775808",
                                           "999999999999999999",
                                           "-999999999999999999",
                                           "1000000000000000000",
                                           "99999999999999999999999999999999999999",
                                           "-99999999999999999999999999999999999999",
                                           "170141183460469231731687303715884105728",
                                           "-170141183460469231731687303715884105728",
                                           "340282366920938463463374607431768211456",
                                           "0.1",
                                           "-0.05",
                                           "0.000000000000000001",
                                           "12345678901234567890.12345678901234567890",
                                           "NaN",
                                           "Infinity",
                                           "-Infinity"};
    struct value v;
    char *big = malloc(200000);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(numerics) / sizeof(*numerics); i++) {
        v = text_value(numerics[i]);
        round_trip(TYPE_NUMERIC, 0, 0, &v);
    }
    v = text_value("-12.30");
    round_trip(TYPE_DECIMAL, 4, 2, &v);
    v = text_value("NaN");
    round_trip(TYPE_DECIMAL, 4, 2, &v);
    v = text_value("0.99");
    round_trip(TYPE_DECIMAL, 2, 2, &v);
    assert_non_null(big);
    memset(big, '7', 200); /* 200 digits */
    v.s.p = big;
    v.s.len = 200;
    round_trip(TYPE_NUMERIC, 0, 0, &v);
    round_trip(TYPE_DECIMAL, 200, 0, &v);
    memset(big, '0', 16385); /* 1e-16383 */
    big[1] = '.';
    big[16384] = '1';
    v.s.len = 16385;
    round_trip(TYPE_NUMERIC, 0, 0, &v);
    memset(big, '9', 1 + 131072 + 1 + 16383); /* the largest there is */
    big[0] = '-';
    big[131073] = '.';
    v.s.len = 1 + 131072 + 1 + 16383;
    round_trip(TYPE_NUMERIC, 0, 0, &v);
    free(big);
}

static void timestamps_come_back(void **state)
{
    static const int64_t moments[] = {
        0, -1, 1, PG_TIMESTAMP_MIN, PG_TIMESTAMP_MAX, VALUE_TIMESTAMP_INFINITY,
        VALUE_TIMESTAMP_MINUS_INFINITY, -VALUE_EPOCH_SHIFT_US, INT64_MAX - VALUE_EPOCH_SHIFT_US,
        INT64_MAX - VALUE_EPOCH_SHIFT_US + 1,
        /* just around the value that stands for infinity */
        9223372036825200000 - VALUE_EPOCH_SHIFT_US - 1, 9223372036825200000 - VALUE_EPOCH_SHIFT_US,
        9223372036825200000 - VALUE_EPOCH_SHIFT_US + 1, INT64_MAX - 1};
    struct value v;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(moments) / sizeof(*moments); i++) {
        v = int_value(moments[i]);
        round_trip(TYPE_TIMESTAMP, 0, 0, &v);
        round_trip(TYPE_TIMESTAMPTZ, 0, 0, &v);
    }
}

static void assert_instant(int64_t pg_us, const char *expected)
{
    char text[INSTANT_TEXT_MAX];
    size_t len = instant_to_text(pg_us, text);

    text[len] = '\0';
    assert_string_equal(text, expected);
}

static void instants_as_text(void **state)
{
    static const char *const bad[] = {"",
                                      "2024-01-01",
                                      "2024-01-01T00:00:00",
                                      "2024-02-30T00:00:00Z",
                                      "2023-02-29T00:00:00Z",
                                      "2024-13-01T00:00:00Z",
                                      "2024-01-01T24:00:00Z",
                                      "2024-01-01T00:00:60Z",
                                      "2024-01-01T00:00:00.Z",
                                      "2024-01-01T00:00:00.1234567Z",
                                      "2024-01-01T00:00:00Zx",
                                      "999999999-01-01T00:00:00Z",
                                      "-999999999-01-01T00:00:00Z",
                                      "2024-01-01T00:00:00+1"};
    int64_t us;
    size_t i;

    (void)state;
    assert_instant(0, "2000-01-01T00:00:00Z");
    assert_instant(757382400123456, "2024-01-01T00:00:00.123456Z");
    assert_instant(757382400120000, "2024-01-01T00:00:00.12Z");
    assert_instant(-1, "1999-12-31T23:59:59.999999Z");
    assert_instant(5097600000000 - 1, "2000-02-28T23:59:59.999999Z");
    assert_instant(PG_TIMESTAMP_MIN, "-4713-11-24T00:00:00Z");
    assert_instant(PG_TIMESTAMP_MAX, "+294276-12-31T23:59:59.999999Z");
    assert_instant(INT64_MAX, "infinity");
    assert_instant(INT64_MIN, "-infinity");
    assert_true(instant_from_text("2024-01-01T01:30:00+01:30", 25, &us));
    assert_int_equal(us, 757382400000000);
    assert_true(instant_from_text("2023-12-31T16:00:00.5-08:00:00", 30, &us));
    assert_int_equal(us, 757382400500000);
    assert_true(instant_from_text("2024-01-01T00:00Z", 17, &us));
    assert_int_equal(us, 757382400000000);
    assert_true(instant_from_text("2024-01-01T00:00:00.123456000Z", 30, &us));
    assert_int_equal(us, 757382400123456);
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (instant_from_text(bad[i], strlen(bad[i]), &us))
            fail_msg("accepted %s", bad[i]);
    }
}

static void assert_unscaled(const char *text, size_t scale, const char *hex)
{
    struct buf out = {0}, work = {0}, got = {0};
    struct decimal d;
    size_t i;

    assert_int_equal(decimal_parse(text, strlen(text), &d), DECIMAL_FINITE);
    decimal_put(&out, &d, scale, &work);
    assert_int_equal(out.data[0], (out.len - 1) * 2);
    for (i = 1; i < out.len; i++)
        buf_printf(&got, "%02x", out.data[i]);
    assert_string_equal(buf_cstr(&got), hex);
    buf_free(&out);
    buf_free(&work);
    buf_free(&got);
}

static void decimals_are_minimal(void **state)
{
    static const char *const malformed[] = {"", "-", ".", "1e5", "1.2.3", " 1", "1 ", "nan", "0x1"};
    struct decimal d;
    size_t i;

    (void)state;
    assert_unscaled("0", 0, "00");
    assert_unscaled("0.00", 2, "00");
    assert_unscaled("-0", 0, "00");
    assert_unscaled("127", 0, "7f");
    assert_unscaled("128", 0, "0080");
    assert_unscaled("-128", 0, "80");
    assert_unscaled("-129", 0, "ff7f");
    assert_unscaled("1.28", 2, "0080");
    assert_unscaled("1.2", 3, "04b0");
    assert_unscaled("255", 0, "00ff");
    assert_unscaled("-256", 0, "ff00");
    assert_unscaled("-1", 30, "f360d3632fb98b1215c0000000");
    assert_unscaled("9223372036854775807", 0, "7fffffffffffffff");
    assert_unscaled("-9223372036854775808", 0, "8000000000000000");
    assert_unscaled("9223372036854775808", 0, "008000000000000000");
    assert_unscaled("-9223372036854775809", 0, "ff7fffffffffffffff");
    assert_unscaled("340282366920938463463374607431768211456", 0,
                    "0100000000000000000000000000000000");
    assert_unscaled("-340282366920938463463374607431768211456", 0,
                    "ff00000000000000000000000000000000");
    assert_unscaled("-170141183460469231731687303715884105728", 0,
                    "80000000000000000000000000000000");
    for (i = 0; i < sizeof(malformed) / sizeof(*malformed); i++)
        assert_int_equal(decimal_parse(malformed[i], strlen(malformed[i]), &d), DECIMAL_MALFORMED);
}

static void assert_decimal_text(const char *bytes, size_t n, int64_t scale, const char *expected)
{
    struct arena *a = arena_new("test");
    const char *text;
    size_t len;

    assert_true(decimal_text(a, (const uint8_t *)bytes, n, scale, &text, &len));
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(text, expected, len);
    arena_free(a);
}

static void decimals_of_foreign_writers(void **state)
{
    struct arena *a = arena_new("test");
    uint8_t *huge = calloc(1, 70000);
    const char *text;
    size_t len;

    (void)state;
    assert_decimal_text("\x00\x00\x01", 3, 2, "0.01"); /* not minimal */
    assert_decimal_text("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 17,
                        1, "-0.1");
    assert_decimal_text("\x7b", 1, -3, "123000");
    assert_decimal_text("\x00", 1, -3, "0");
    assert_non_null(huge);
    assert_false(decimal_text(a, huge, 70000, 0, &text, &len));
    assert_false(decimal_text(a, huge, 0, 0, &text, &len));
    assert_false(decimal_text(a, huge, 1, INT64_MAX, &text, &len));
    assert_false(decimal_text(a, huge, 1, INT64_MIN, &text, &len));
    free(huge);
    arena_free(a);
}

static void bits_come_back(void **state)
{
    struct arena *a = arena_new("test");
    struct codec c;
    struct value v = text_value("1000000001"), one = text_value("1");
    struct change change = {.op = CHANGE_READ, .after = &v};
    struct event_slices s;
    struct buf event = {0};
    bool unavailable;

    (void)state;
    codec_open(&c, a, one_column(a, TYPE_BITS, false, 10, 0));
    change.table = c.table;
    encode(&c, &change, &event, &unavailable);
    decode(&c, &event, &s);
    assert_int_equal(s.after_len, 3);
    assert_memory_equal(s.after, "\x04\x01\x02", 3);
    buf_free(&event);
    codec_close(&c);
    round_trip(TYPE_BITS, 10, 0, &v);
    round_trip(TYPE_BITS, 1, 0, &one);
}

static void utf8_is_judged(void **state)
{
    static const char *const good[] = {"",
                                       "abcdefgh",
                                       "abcdefg\xc3\xa9",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xf0\x90\x80\x80"};
    static const char *const bad[] = {"\x80",
                                      "\xc3",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xf0\x80\x80\x80",
                                      "abcdefgh\xff",
                                      "abcdefg\xe2\x82",
                                      "\xe2\x28\xa1",
                                      "abcdefghijklmno\xf0\x9f\x98"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(utf8_valid(good[i], strlen(good[i])));
    for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
}

/* The insert of v fails as bad data, names table and column, tells nothing of the value and
 * leaves the buffer alone. */
static void assert_refused(enum type_kind kind, int precision, int scale, struct value v)
{
    struct arena *a = arena_new("test");
    struct codec c;
    struct change change = {.op = CHANGE_INSERT, .after = &v};
    struct buf out = {0};
    struct error err = {0};
    bool unavailable;

    codec_open(&c, a, one_column(a, kind, false, precision, scale));
    change.table = c.table;
    c.table->oid = 16384;
    buf_puts(&out, "kept");
    assert_false(encoder_value(c.encoder, &change, &test_meta, &out, &unavailable, &err));
    assert_int_equal(err.kind, ERROR_DATA);
    assert_int_equal(err.table, 16384);
    assert_non_null(strstr(err.message, "public.t"));
    assert_non_null(strstr(err.message, c.table->cols[0].name));
    assert_null(strstr(err.message, "4711"));
    assert_int_equal(out.len, 4);
    buf_free(&out);
    codec_close(&c);
}

static void what_cannot_be_carried_is_refused(void **state)
{
    struct value null = {VALUE_NULL, {0}};

    (void)state;
    assert_refused(TYPE_TEXT, 0, 0, text_value("4711\xff"));
    assert_refused(TYPE_JSON, 0, 0, text_value("\"4711\xed\xa0\x80\""));
    assert_refused(TYPE_INT16, 0, 0, int_value(4711000));
    assert_refused(TYPE_INT32, 0, 0, int_value(47110000000));
    assert_refused(TYPE_DATE, 0, 0, int_value(47110000000));
    assert_refused(TYPE_DECIMAL, 6, 2, text_value("4711.123"));
    assert_refused(TYPE_DECIMAL, 6, 2, text_value("47114.711"));
    assert_refused(TYPE_DECIMAL, 3, 2, text_value("4711"));
    assert_refused(TYPE_DECIMAL, 3, 2, text_value("4711e2"));
    assert_refused(TYPE_DECIMAL, 3, 2, text_value("Infinity"));
    assert_refused(TYPE_NUMERIC, 0, 0, text_value("4711e2"));
    assert_refused(TYPE_BITS, 5, 0, text_value("4711"));
    assert_refused(TYPE_BITS, 4, 0, text_value("4711"));
    assert_refused(TYPE_TIMESTAMP, 0, 0, int_value(INT64_MIN + 4711));
    assert_refused(TYPE_FLOAT32, 0, 0, (struct value){VALUE_SET, {.f = 0.1}});
    assert_refused(TYPE_FLOAT32, 0, 0, (struct value){VALUE_SET, {.f = 1e300}});
    assert_refused(TYPE_INT32, 0, 0, null);
}

/* Every kind twice, not nullable and nullable, id first as the key. */
static struct table *wide_table(struct arena *a)
{
    struct table *t = arena_calloc(a, 1, sizeof(*t));
    int i;

    t->schema = "public";
    t->name = "wide";
    t->ncols = 1 + 2 * TYPE_COUNT;
    t->cols = arena_calloc(a, (size_t)t->ncols, sizeof(*t->cols));
    for (i = 0; i < t->ncols; i++) {
        struct column *c = &t->cols[i];

        test_column(a, c, i ? (enum type_kind)((i - 1) / 2) : TYPE_INT64, i);
        c->nullable = i > 0 && i % 2 == 0;
        c->precision = c->kind == TYPE_DECIMAL ? 10 : c->kind == TYPE_BITS ? 12 : 0;
        c->scale = c->kind == TYPE_DECIMAL ? 2 : 0;
        c->key_pos = i == 0;
    }
    table_index_keys(a, t);
    table_name_fields(a, t, "shop");
    return t;
}

static void columns_that_were_not_carried(void **state)
{
    struct arena *a = arena_new("test");
    struct codec c;
    struct value *row, *got;
    struct change change = {.op = CHANGE_UPDATE};
    struct event_slices s;
    struct error err = {0};
    struct buf event = {0};
    bool unavailable;
    int i;

    (void)state;
    codec_open(&c, a, wide_table(a));
    row = arena_calloc(a, (size_t)c.table->ncols, sizeof(*row));
    got = arena_calloc(a, (size_t)c.table->ncols, sizeof(*got));
    row[0] = int_value(5);
    for (i = 1; i < c.table->ncols; i++)
        row[i].state = VALUE_UNCHANGED;
    change.table = c.table;
    change.after = change.before = row; /* before: only its key, so not sent */
    encode(&c, &change, &event, &unavailable);
    assert_true(unavailable);
    decode(&c, &event, &s);
    assert_null(s.before);
    assert_non_null(s.unavailable);
    decode_after(&c, &s, got);
    assert_int_equal(got[0].i, 5);
    for (i = 1; i < c.table->ncols; i++)
        assert_int_equal(got[i].state, VALUE_UNCHANGED);

    /* Read as a foreign reader does: a placeholder in texts, else null or zero. */
    s.unavailable = NULL;
    decode_after(&c, &s, got);
    for (i = 1; i < c.table->ncols; i++) {
        enum type_kind kind = c.table->cols[i].kind;

        if (kind == TYPE_TEXT || kind == TYPE_JSON || kind == TYPE_BYTES) {
            assert_int_equal(got[i].s.len, strlen("__debezium_unavailable_value"));
            assert_memory_equal(got[i].s.p, "__debezium_unavailable_value", got[i].s.len);
        } else if (c.table->cols[i].nullable && kind < TYPE_TEXT) {
            assert_int_equal(got[i].state, VALUE_NULL);
        }
    }

    /* A delete that knows only the key. */
    for (i = 1; i < c.table->ncols; i++)
        row[i].state = VALUE_ABSENT;
    change.op = CHANGE_DELETE;
    change.after = NULL;
    buf_reset(&event);
    encode(&c, &change, &event, &unavailable);
    assert_true(unavailable);
    decode(&c, &event, &s);
    assert_int_equal(s.op, 'd');
    assert_null(s.after);
    assert_true(decoder_row(c.decoder, s.before, s.before_len, s.unavailable, s.unavailable_len, a,
                            got, &err));
    assert_int_equal(got[0].i, 5);
    assert_int_equal(got[1].state, VALUE_UNCHANGED);

    /* An old row that claims to be complete and is not. */
    change.before_full = true;
    buf_reset(&event);
    assert_false(encoder_value(c.encoder, &change, &test_meta, &event, &unavailable, &err));
    assert_int_equal(err.kind, ERROR_DATA);
    buf_free(&event);
    codec_close(&c);
}

static void images_of_each_operation(void **state)
{
    struct arena *a = arena_new("test");
    struct codec c;
    struct value *before, *after, *got;
    struct change change = {.op = CHANGE_UPDATE, .before_full = true};
    struct event_meta meta = test_meta;
    struct event_slices s;
    struct error err = {0};
    struct buf event = {0};
    uint32_t id;
    bool unavailable;
    int i;

    (void)state;
    codec_open(&c, a, wide_table(a));
    change.table = c.table;
    change.before = before = random_row(a, c.table);
    change.after = after = random_row(a, c.table);
    got = arena_calloc(a, (size_t)c.table->ncols, sizeof(*got));
    encode(&c, &change, &event, &unavailable);
    assert_true(wire_schema_id(event.data, event.len, &id));
    assert_int_equal(id, 258);
    decode(&c, &event, &s);
    assert_int_equal(s.op, 'u');
    decode_after(&c, &s, got);
    for (i = 0; i < c.table->ncols; i++)
        assert_true(same_values(&c.table->cols[i], &after[i], &got[i]));
    assert_true(decoder_row(c.decoder, s.before, s.before_len, NULL, 0, a, got, &err));
    for (i = 0; i < c.table->ncols; i++)
        assert_true(same_values(&c.table->cols[i], &before[i], &got[i]));

    change.op = CHANGE_TRUNCATE;
    change.before = change.after = NULL;
    meta.tx_id = NULL; /* no transaction block, no csn */
    meta.csn = 0;
    buf_reset(&event);
    assert_true(encoder_value(c.encoder, &change, &meta, &event, &unavailable, &err));
    decode(&c, &event, &s);
    assert_int_equal(s.op, 't');
    assert_int_equal(s.csn, 0);
    assert_null(s.before);
    assert_null(s.after);

    change.op = CHANGE_INSERT; /* our own bug: no new row */
    assert_false(encoder_value(c.encoder, &change, &meta, &event, &unavailable, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    assert_false(wire_schema_id(event.data, 4, &id));
    buf_free(&event);
    codec_close(&c);
}

static void keys_come_back(void **state)
{
    struct buf key = {0};
    struct error err = {0};
    int round, i;

    (void)state;
    for (round = 0; round < 500; round++) {
        struct arena *a = arena_new("test");
        struct codec c;
        struct value *row, *got;

        codec_open(&c, a, random_table(a));
        row = random_row(a, c.table);
        got = arena_calloc(a, (size_t)c.table->ncols, sizeof(*got));
        buf_reset(&key);
        assert_true(encoder_key(c.encoder, row, &key, &err));
        assert_memory_equal(key.data, "\0\0\0\0\7", 5);
        assert_int_equal(c.sink->nkeys, c.table->nkeys);
        if (!decoder_key(c.decoder, key.data, key.len, a, got, &err))
            fail_msg("%s", err.message);
        for (i = 0; i < c.table->ncols; i++) {
            if (c.table->cols[i].key_pos == 0)
                assert_int_equal(got[i].state, VALUE_ABSENT);
            else
                assert_true(same_values(&c.table->cols[i], &row[i], &got[i]));
        }
        assert_false(decoder_key(c.decoder, key.data, key.len - 1, a, got, &err));
        buf_u8(&key, 0);
        assert_false(decoder_key(c.decoder, key.data, key.len, a, got, &err));
        if (c.table->nkeys > 0) {
            row[c.table->keys[0]].state = VALUE_ABSENT;
            assert_false(encoder_key(c.encoder, row, &key, &err));
            assert_int_equal(err.kind, ERROR_DATA);
        }
        codec_close(&c);
    }
    buf_free(&key);
}

/* Whatever bytes come, the decoder answers; what it accepts, the encoder accepts again. */
static void broken_events_are_survived(void **state)
{
    struct buf event = {0}, again = {0};
    struct error err = {0};
    struct event_slices s;
    bool unavailable;
    int round, k;

    (void)state;
    for (round = 0; round < 100; round++) {
        struct arena *a = arena_new("test"), *scratch = arena_new("scratch");
        struct codec c;
        struct value *values;
        struct change change = {.op = CHANGE_UPDATE, .before_full = true};
        size_t cut;

        codec_open(&c, a, random_table(a));
        values = arena_calloc(a, (size_t)c.table->ncols, sizeof(*values));
        change.table = c.table;
        change.before = random_row(a, c.table);
        change.after = random_row(a, c.table);
        buf_reset(&event);
        encode(&c, &change, &event, &unavailable);
        for (cut = 0; cut < event.len; cut += 1 + random_below(20)) {
            uint8_t *exact = malloc(cut ? cut : 1);

            assert_non_null(exact);
            memcpy(exact, event.data, cut);
            assert_false(decoder_slices(c.decoder, exact, cut, &s, &err));
            assert_int_equal(err.kind, ERROR_DATA);
            free(exact);
        }
        for (k = 0; k < 200; k++) {
            size_t at = random_below((unsigned)event.len);
            uint8_t old = event.data[at];

            event.data[at] = (uint8_t)random_u64();
            arena_reset(scratch);
            if (decoder_slices(c.decoder, event.data, event.len, &s, &err) && s.after != NULL &&
                decoder_row(c.decoder, s.after, s.after_len, s.unavailable, s.unavailable_len,
                            scratch, values, &err)) {
                change.after = values;
                buf_reset(&again);
                if (!encoder_value(c.encoder, &change, &test_meta, &again, &unavailable, &err))
                    assert_int_equal(err.kind, ERROR_DATA);
            } else {
                assert_int_equal(err.kind, ERROR_DATA);
            }
            event.data[at] = old;
        }
        arena_free(scratch);
        codec_close(&c);
    }
    buf_free(&event);
    buf_free(&again);
}

/* Another writer: other order, other fields, null second, blocks with byte sizes. */
static void foreign_writers_are_read(void **state)
{
    static const char schema[] =
        "{\"type\":\"record\",\"name\":\"Envelope\",\"namespace\":\"dbz.inventory.t\",\"fields\":["
        "{\"name\":\"op\",\"type\":\"string\"},"
        "{\"name\":\"extra\",\"type\":{\"type\":\"map\",\"values\":{\"type\":\"array\",\"items\":"
        "[\"null\",\"double\",{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}]}}},"
        "{\"name\":\"after\",\"type\":[{\"type\":\"record\",\"name\":\"Value\",\"fields\":["
        "{\"name\":\"id\",\"type\":\"int\"},"
        "{\"name\":\"s\",\"type\":[\"string\",\"null\"],\"default\":\"x\"},"
        "{\"name\":\"ts\",\"type\":{\"type\":\"long\",\"connect.version\":1,"
        "\"connect.name\":\"io.debezium.time.Timestamp\"}}]},\"null\"]},"
        "{\"name\":\"before\",\"type\":[\"null\",\"dbz.inventory.t.Value\"]},"
        "{\"name\":\"unavailable\",\"type\":[{\"type\":\"array\",\"items\":\"string\"},\"null\"]},"
        "{\"name\":\"fix\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}},"
        "{\"name\":\"source\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Source\","
        "\"fields\":[{\"name\":\"b\",\"type\":\"boolean\"},{\"name\":\"ts_ms\",\"type\":\"long\"}"
        "]}]}]}";
    struct arena *a = arena_new("test");
    struct error err = {0};
    struct table *t;
    struct decoder *d;
    struct event_slices s;
    struct value v[3];
    struct buf e = {0};

    (void)state;
    assert_true(avro_table(a, schema, NULL, &t, &err));
    assert_string_equal(t->schema, "inventory");
    assert_string_equal(t->name, "t");
    assert_int_equal(t->ncols, 3);
    assert_int_equal(t->cols[2].kind, TYPE_TIMESTAMP);
    d = decoder_new(schema, t, &err);
    assert_non_null(d);
    buf_append(&e, "\0\0\0\0\1", 5);
    avro_put_string(&e, "r", 1);
    avro_put_long(&e, -1); /* extra: one block of one entry, its size given */
    avro_put_long(&e, 16);
    avro_put_string(&e, "k", 1);
    avro_put_long(&e, 3); /* three items: null, double, enum */
    buf_append(&e, "\x00\x02", 2);
    buf_append(&e, "\0\0\0\0\0\0\xf0\x3f", 8);
    buf_append(&e, "\x04\x00\x00", 3);
    buf_u8(&e, 0);
    avro_put_long(&e, 0); /* after: first branch */
    avro_put_long(&e, -7);
    avro_put_long(&e, 1); /* s: null, the second branch */
    avro_put_long(&e, 946684800123);
    avro_put_long(&e, 0); /* before: null */
    avro_put_long(&e, 0); /* unavailable: blocks [s] with a size, [] */
    avro_put_long(&e, -1);
    avro_put_long(&e, 2);
    avro_put_string(&e, "s", 1);
    avro_put_long(&e, 0);
    buf_append(&e, "abc", 3);
    avro_put_long(&e, 1);
    buf_u8(&e, 1);
    avro_put_long(&e, 1700000000123);
    if (!decoder_slices(d, e.data, e.len, &s, &err))
        fail_msg("%s", err.message);
    assert_int_equal(s.op, 'r');
    assert_int_equal(s.csn, 0);
    assert_int_equal(s.source_us, 1700000000123000);
    assert_null(s.before);
    assert_true(decoder_row(d, s.after, s.after_len, NULL, 0, a, v, &err));
    assert_int_equal(v[0].i, -7);
    assert_int_equal(v[1].state, VALUE_NULL);
    assert_int_equal(v[2].i, 123000);
    assert_true(decoder_row(d, s.after, s.after_len, s.unavailable, s.unavailable_len, a, v, &err));
    assert_int_equal(v[1].state, VALUE_UNCHANGED);
    buf_free(&e);
    decoder_free(d);
    arena_free(a);
}

static int seed(void **state)
{
    (void)state;
    random_seed();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(decimals_come_back),
        cmocka_unit_test(timestamps_come_back),
        cmocka_unit_test(instants_as_text),
        cmocka_unit_test(decimals_are_minimal),
        cmocka_unit_test(decimals_of_foreign_writers),
        cmocka_unit_test(bits_come_back),
        cmocka_unit_test(utf8_is_judged),
        cmocka_unit_test(what_cannot_be_carried_is_refused),
        cmocka_unit_test(columns_that_were_not_carried),
        cmocka_unit_test(images_of_each_operation),
        cmocka_unit_test(keys_come_back),
        cmocka_unit_test(broken_events_are_survived),
        cmocka_unit_test(foreign_writers_are_read),
    };

    return cmocka_run_group_tests(tests, seed, NULL);
}
