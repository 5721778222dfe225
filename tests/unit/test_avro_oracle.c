/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our bytes are avro-c's bytes: random tables and changes, encoded by us and, from the schema text
 * and conversions written here a second time (OpenSSL's numbers, libc's calendar), by avro-c's
 * generic values. Then avro-c's bytes go through our decoder.
 */
#include "avro_c.h"
#include "avro_random.h"

#include <openssl/bn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#define TABLES 120
#define ROWS_PER_TABLE 40
#define PLACEHOLDER "__debezium_unavailable_value"

static void check(int rc)
{
    if (rc != 0)
        fail_msg("avro-c: %s", avro_strerror());
}

static avro_value_t member(avro_value_t *record, const char *name)
{
    avro_value_t v;

    check(avro_value_get_by_name(record, name, &v, NULL));
    return v;
}

static avro_value_t branch(avro_value_t *u, int i)
{
    avro_value_t v;

    check(avro_value_set_branch(u, i, &v));
    return v;
}

static void set_string(avro_value_t *v, const char *s, size_t len)
{
    char *copy = malloc(len + 1);

    assert_non_null(copy);
    memcpy(copy, s, len);
    copy[len] = '\0';
    check(avro_value_set_string_len(v, copy, len + 1));
    free(copy);
}

static void set_bytes(avro_value_t *v, const void *p, size_t len)
{
    check(avro_value_set_bytes(v, (void *)(uintptr_t)(len ? p : ""), len));
}

/* The unscaled digits of text as minimal two's complement, by OpenSSL. */
static void set_unscaled(avro_value_t *v, const char *p, size_t len)
{
    char *digits = malloc(len + 1);
    BIGNUM *n = NULL, *shift = BN_new();
    unsigned char be[1024];
    size_t i, k = 0;
    int bits, size;

    assert_non_null(digits);
    for (i = 0; i < len; i++) {
        if (p[i] != '.')
            digits[k++] = p[i];
    }
    digits[k] = '\0';
    assert_true(BN_dec2bn(&n, digits) > 0);
    if (BN_is_negative(n)) { /* bits of -n - 1, and one for the sign */
        BN_add_word(n, 1);
        bits = BN_num_bits(n) + 1;
        size = (bits + 7) / 8;
        BN_sub_word(n, 1);
        BN_one(shift);
        BN_lshift(shift, shift, size * 8);
        BN_add(n, n, shift);
    } else {
        size = (BN_num_bits(n) + 1 + 7) / 8;
    }
    assert_true(BN_bn2binpad(n, be, size) == size);
    set_bytes(v, be, (size_t)size);
    BN_free(n);
    BN_free(shift);
    free(digits);
}

static void set_numeric(avro_value_t *v, const char *p, size_t len)
{
    avro_value_t scale = member(v, "scale"), value = member(v, "value");
    const char *dot = memchr(p, '.', len);

    if (p[len - 1] == 'y' || p[len - 1] == 'N') {
        check(avro_value_set_int(&scale, *p == 'N' ? 0 : *p == 'I' ? 1 : -1));
        set_bytes(&value, "", 0);
        return;
    }
    check(avro_value_set_int(&scale, dot ? (int)(p + len - dot) - 1 : 0));
    set_unscaled(&value, p, len);
}

static void set_zoned(avro_value_t *v, int64_t us)
{
    time_t seconds = (time_t)(us / 1000000 - (us % 1000000 < 0)) + 946684800;
    char text[64], fraction[16] = "";
    struct tm tm;
    int n;

    if (us == INT64_MAX || us == INT64_MIN) {
        check(avro_value_set_string(v, us > 0 ? "infinity" : "-infinity"));
        return;
    }
    assert_non_null(gmtime_r(&seconds, &tm));
    us = (us % 1000000 + 1000000) % 1000000;
    if (us != 0) {
        n = snprintf(fraction, sizeof(fraction), ".%06d", (int)us);
        while (fraction[n - 1] == '0')
            fraction[--n] = '\0';
    }
    n = tm.tm_year + 1900;
    snprintf(text, sizeof(text), "%s%04d-%02d-%02dT%02d:%02d:%02d%sZ",
             n < 0      ? "-"
             : n > 9999 ? "+"
                        : "",
             abs(n), tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
    check(avro_value_set_string(v, text));
}

static int64_t micro_timestamp(int64_t us)
{
    __int128 since_1970 = (__int128)us + 946684800000000;

    if (us == INT64_MAX)
        return 9223372036825200000;
    if (us == INT64_MIN)
        return -9223372036832400000;
    if (since_1970 >= 9223372036825200000)
        return INT64_MIN / 2 + (us - INT64_MAX);
    return (int64_t)since_1970;
}

static void set_bits(avro_value_t *v, const char *p, size_t len)
{
    unsigned char bytes[32] = {0};
    size_t i;

    if (len == 1) {
        check(avro_value_set_boolean(v, *p == '1'));
        return;
    }
    for (i = 0; i < len; i++)
        bytes[i / 8] |= (unsigned char)((p[len - 1 - i] == '1') << i % 8);
    set_bytes(v, bytes, (len + 7) / 8);
}

static void set_value(avro_value_t *v, const struct column *c, const struct value *from)
{
    switch (c->kind) {
    case TYPE_BOOL:
        check(avro_value_set_boolean(v, from->i != 0));
        return;
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_DATE:
        check(avro_value_set_int(v, (int32_t)from->i));
        return;
    case TYPE_INT64:
    case TYPE_TIME:
        check(avro_value_set_long(v, from->i));
        return;
    case TYPE_FLOAT32:
        check(avro_value_set_float(v, (float)from->f));
        return;
    case TYPE_FLOAT64:
        check(avro_value_set_double(v, from->f));
        return;
    case TYPE_DECIMAL:
        if (from->s.p[0] == 'N')
            set_bytes(v, "", 0);
        else
            set_unscaled(v, from->s.p, from->s.len);
        return;
    case TYPE_NUMERIC:
        set_numeric(v, from->s.p, from->s.len);
        return;
    case TYPE_BYTES:
        set_bytes(v, from->s.p, from->s.len);
        return;
    case TYPE_TIMESTAMP:
        check(avro_value_set_long(v, micro_timestamp(from->i)));
        return;
    case TYPE_TIMESTAMPTZ:
        set_zoned(v, from->i);
        return;
    case TYPE_BITS:
        set_bits(v, from->s.p, from->s.len);
        return;
    default:
        set_string(v, from->s.p, from->s.len);
    }
}

static bool is_text(enum type_kind k)
{
    return k == TYPE_TEXT || k == TYPE_INTERVAL || k == TYPE_UUID || k == TYPE_JSON ||
           k == TYPE_ENUM;
}

/* What stands for a column that was not carried. */
static void set_missing(avro_value_t *v, const struct column *c)
{
    static const char zeros[] = "0000000000000000000000000000000000000000"
                                "0000000000000000000000000000000000000000";
    struct value zero = {.state = VALUE_SET, .i = 0};

    if (is_text(c->kind) || c->kind == TYPE_BYTES)
        set_text(&zero, PLACEHOLDER, strlen(PLACEHOLDER));
    else if (c->kind == TYPE_DECIMAL || c->kind == TYPE_NUMERIC)
        set_text(&zero, "0", 1);
    else if (c->kind == TYPE_BITS)
        set_text(&zero, zeros, (size_t)c->precision);
    else if (c->kind == TYPE_TIMESTAMPTZ)
        zero.i = -946684800000000;
    else if (c->kind == TYPE_TIMESTAMP)
        zero.i = -946684800000000;
    set_value(v, c, &zero);
}

static void set_row(avro_value_t *record, const struct table *t, const struct value *row,
                    avro_value_t *unavailable)
{
    int i;

    for (i = 0; i < t->ncols; i++) {
        const struct column *c = &t->cols[i];
        avro_value_t v = member(record, c->field), name;
        bool missing = row[i].state == VALUE_UNCHANGED || row[i].state == VALUE_ABSENT;
        bool shown = row[i].state == VALUE_SET || (row[i].state == VALUE_UNCHANGED &&
                                                   (is_text(c->kind) || c->kind == TYPE_BYTES));

        if (c->nullable)
            v = branch(&v, shown);
        if (c->nullable && !shown)
            check(avro_value_set_null(&v));
        else if (missing)
            set_missing(&v, c);
        else
            set_value(&v, c, &row[i]);
        if (missing) {
            check(avro_value_append(unavailable, &name, NULL));
            check(avro_value_set_string(&name, c->field));
        }
    }
}

static void set_source(avro_value_t *envelope, const struct event_meta *m)
{
    avro_value_t source = member(envelope, "source"), v = member(&source, "name");

    check(avro_value_set_string(&v, m->server_name));
    v = member(&source, "ts_ms");
    check(avro_value_set_long(&v, m->source_us / 1000));
    v = member(&source, "snapshot");
    v = branch(&v, 0);
    check(avro_value_set_string(&v, m->snapshot));
    v = member(&source, "ts_us");
    v = branch(&v, 1);
    check(avro_value_set_long(&v, m->source_us));
    v = member(&source, "lsn");
    v = branch(&v, 1);
    check(avro_value_set_long(&v, (int64_t)m->lsn));
}

static void set_optional_long(avro_value_t *envelope, const char *name, int64_t i)
{
    avro_value_t v = member(envelope, name);

    v = branch(&v, 1);
    check(avro_value_set_long(&v, i));
}

static void set_envelope(avro_value_t *e, const struct change *c, const struct event_meta *m)
{
    const struct table *t = c->table;
    bool has_before = c->op == CHANGE_DELETE || (c->op == CHANGE_UPDATE && c->before_full);
    bool has_after = c->op != CHANGE_DELETE && c->op != CHANGE_TRUNCATE;
    avro_value_t v, list, inner;
    char op[2] = {(char)c->op, 0};
    size_t n;

    avro_value_reset(e);
    v = member(e, "unavailable");
    list = branch(&v, 1);
    v = member(e, "before");
    inner = branch(&v, has_before);
    if (has_before)
        set_row(&inner, t, c->before, &list);
    v = member(e, "after");
    inner = branch(&v, has_after);
    if (has_after)
        set_row(&inner, t, c->after, &list);
    check(avro_value_get_size(&list, &n));
    v = member(e, "unavailable");
    if (n == 0)
        branch(&v, 0);
    set_source(e, m);
    v = member(e, "transaction");
    inner = branch(&v, 1);
    v = member(&inner, "id");
    check(avro_value_set_string(&v, m->tx_id));
    v = member(&inner, "total_order");
    check(avro_value_set_long(&v, m->total_order));
    v = member(&inner, "data_collection_order");
    check(avro_value_set_long(&v, m->data_collection_order));
    v = member(e, "op");
    check(avro_value_set_string(&v, op));
    set_optional_long(e, "ts_ms", m->now_us / 1000);
    set_optional_long(e, "ts_us", m->now_us);
    set_optional_long(e, "ts_ns", m->now_us * 1000);
    set_optional_long(e, "csn", m->csn);
}

/* Some columns of the row are not carried; never those of the key. */
static void lose_columns(const struct table *t, struct value *row, enum value_state state)
{
    int i;

    for (i = 0; i < t->ncols; i++) {
        if (t->cols[i].key_pos == 0 && random_below(3) == 0)
            row[i].state = state;
    }
}

static void random_change(struct arena *a, const struct table *t, struct change *c)
{
    static const enum change_op ops[] = {CHANGE_INSERT, CHANGE_UPDATE, CHANGE_DELETE, CHANGE_READ,
                                         CHANGE_TRUNCATE};
    struct value *before = random_row(a, t), *after = random_row(a, t);

    c->table = t;
    c->op = ops[random_below(5)];
    c->before_full = random_below(2);
    if (!c->before_full)
        lose_columns(t, before, VALUE_ABSENT);
    if (c->op == CHANGE_UPDATE && random_below(2))
        lose_columns(t, after, VALUE_UNCHANGED);
    c->before = before;
    c->after = after;
}

struct oracle {
    avro_schema_t schema;
    avro_value_iface_t *iface;
    avro_value_t value;
};

static void oracle_open(struct oracle *o, const char *schema)
{
    if (avro_schema_from_json_length(schema, strlen(schema), &o->schema) != 0)
        fail_msg("avro-c: %s: %s", avro_strerror(), schema);
    o->iface = avro_generic_class_from_schema(o->schema);
    assert_non_null(o->iface);
    check(avro_generic_value_new(o->iface, &o->value));
}

static void oracle_close(struct oracle *o)
{
    avro_value_decref(&o->value);
    avro_value_iface_decref(o->iface);
    avro_schema_decref(o->schema);
}

static void assert_same_bytes(struct oracle *o, const struct buf *ours)
{
    size_t size = 0;
    avro_writer_t w;
    char *bytes;

    check(avro_value_sizeof(&o->value, &size));
    assert_int_equal(size, ours->len - 5);
    bytes = malloc(size + 1);
    assert_non_null(bytes);
    w = avro_writer_memory(bytes, (int64_t)size);
    check(avro_value_write(w, &o->value));
    assert_memory_equal(bytes, ours->data + 5, size);
    avro_writer_free(w);
    free(bytes);
}

static void assert_decodes(const struct decoder *d, const struct change *c, const struct buf *event,
                           struct arena *a)
{
    const struct table *t = c->table;
    struct value *got = arena_calloc(a, (size_t)t->ncols, sizeof(*got));
    bool delete = c->op == CHANGE_DELETE;
    const struct value *row = delete ? c->before : c->after;
    struct event_slices s;
    struct error err = {0};
    int i;

    if (!decoder_slices(d, event->data, event->len, &s, &err))
        fail_msg("%s", err.message);
    assert_int_equal(s.op, c->op);
    if (c->op == CHANGE_TRUNCATE)
        return;
    if (!decoder_row(d, delete ? s.before : s.after, delete ? s.before_len : s.after_len,
                     s.unavailable, s.unavailable_len, a, got, &err))
        fail_msg("%s", err.message);
    for (i = 0; i < t->ncols; i++) {
        if (row[i].state == VALUE_UNCHANGED || row[i].state == VALUE_ABSENT)
            assert_int_equal(got[i].state, VALUE_UNCHANGED);
        else if (!same_values(&t->cols[i], &row[i], &got[i]))
            fail_msg("column %s of kind %s came back different", t->cols[i].name,
                     type_kind_name(t->cols[i].kind));
    }
}

static void check_table(struct arena *a, const struct table *t)
{
    struct buf schema = {0}, event = {0};
    struct error err = {0};
    struct arena *row_arena = arena_new("row");
    struct encoder *e = encoder_new(t, &test_block, 1, 2);
    struct decoder *d;
    struct table *sink;
    struct oracle o;
    bool unavailable;
    int i;

    avro_value_schema(&schema, t, &test_block);
    oracle_open(&o, buf_cstr(&schema));
    assert_true(avro_table(a, buf_cstr(&schema), NULL, &sink, &err));
    d = decoder_new(buf_cstr(&schema), sink, &err);
    assert_non_null(d);
    for (i = 0; i < ROWS_PER_TABLE; i++) {
        struct change c;

        arena_reset(row_arena);
        random_change(row_arena, t, &c);
        buf_reset(&event);
        if (!encoder_value(e, &c, &test_meta, &event, &unavailable, &err))
            fail_msg("%s", err.message);
        set_envelope(&o.value, &c, &test_meta);
        assert_same_bytes(&o, &event);
        assert_decodes(d, &c, &event, row_arena);
    }
    oracle_close(&o);
    decoder_free(d);
    encoder_free(e);
    buf_free(&schema);
    buf_free(&event);
    arena_free(row_arena);
}

static void values_are_avro_c_s(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < TABLES; i++) {
        struct arena *a = arena_new("table");

        check_table(a, random_table(a));
        arena_free(a);
    }
}

static void keys_are_avro_c_s(void **state)
{
    struct error err = {0};
    int i, k;

    (void)state;
    for (i = 0; i < 4 * TABLES; i++) {
        struct arena *a = arena_new("table");
        struct table *t = random_table(a);
        struct encoder *e = encoder_new(t, &test_block, 1, 2);
        struct value *row = random_row(a, t);
        struct buf schema = {0}, key = {0};
        struct oracle o;

        if (t->nkeys > 0) {
            avro_key_schema(&schema, t);
            oracle_open(&o, buf_cstr(&schema));
            assert_true(encoder_key(e, row, &key, &err));
            for (k = 0; k < t->nkeys; k++) {
                avro_value_t v = member(&o.value, t->cols[t->keys[k]].field);

                set_value(&v, &t->cols[t->keys[k]], &row[t->keys[k]]);
            }
            assert_same_bytes(&o, &key);
            oracle_close(&o);
        }
        buf_free(&schema);
        buf_free(&key);
        encoder_free(e);
        arena_free(a);
    }
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
        cmocka_unit_test(values_are_avro_c_s),
        cmocka_unit_test(keys_are_avro_c_s),
    };

    return cmocka_run_group_tests(tests, seed, NULL);
}
