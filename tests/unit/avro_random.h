/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random tables and rows for the tests of the codec: every kind, values at the edges of their
 * range as often as ordinary ones. The seed is printed; PENSTOCK_SEED repeats a run.
 */
#ifndef PENSTOCK_TESTS_AVRO_RANDOM_H
#define PENSTOCK_TESTS_AVRO_RANDOM_H

#include "avro/codec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state;

static inline uint64_t random_u64(void) /* splitmix64 */
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline unsigned random_below(unsigned n)
{
    return (unsigned)(random_u64() % n);
}

static inline void random_seed(void)
{
    const char *env = getenv("PENSTOCK_SEED");

    random_state = env != NULL ? strtoull(env, NULL, 10) : 20240131;
    printf("PENSTOCK_SEED=%llu\n", (unsigned long long)random_state);
}

/* A source block for tests: the fields that the decoder looks at, and some that it steps over. */
static const char test_source_schema[] =
    "{\"type\":\"record\",\"name\":\"Source\",\"namespace\":\"penstock.test\",\"fields\":["
    "{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"ts_ms\",\"type\":\"long\"},"
    "{\"name\":\"snapshot\",\"type\":[\"string\",\"null\"],\"default\":\"false\"},"
    "{\"name\":\"ts_us\",\"type\":[\"null\",\"long\"],\"default\":null},"
    "{\"name\":\"lsn\",\"type\":[\"null\",\"long\"],\"default\":null}]}";

static inline void test_source_encode(struct buf *out, const struct table *t,
                                      const struct event_meta *meta)
{
    (void)t;
    avro_put_string(out, meta->server_name, strlen(meta->server_name));
    avro_put_long(out, meta->source_us / 1000);
    avro_put_long(out, 0);
    avro_put_string(out, meta->snapshot, strlen(meta->snapshot));
    avro_put_long(out, 1);
    avro_put_long(out, meta->source_us);
    avro_put_long(out, meta->lsn != 0);
    if (meta->lsn != 0)
        avro_put_long(out, (int64_t)meta->lsn);
}

static const struct source_block test_block = {test_source_schema, test_source_encode};

static const struct event_meta test_meta = {.csn = 77,
                                            .tx_id = "731:4242",
                                            .total_order = 3,
                                            .data_collection_order = 2,
                                            .source_us = 1700000000123456,
                                            .now_us = 1700000001000001,
                                            .lsn = 0x16B3748,
                                            .server_name = "shop",
                                            .database = "shop",
                                            .snapshot = "false"};

static inline void test_column(struct arena *a, struct column *c, enum type_kind kind, int number)
{
    memset(c, 0, sizeof(*c));
    c->kind = kind;
    c->name = arena_printf(a, "%s %d", type_kind_name(kind), number);
    c->source_type = kind == TYPE_INTERVAL ? "interval" : "some type";
    if (kind == TYPE_ENUM)
        c->allowed = "red,\"green\",bl\xc3\xbc";
}

static inline struct table *random_table(struct arena *a)
{
    struct table *t = arena_calloc(a, 1, sizeof(*t));
    int i, keys = 0;

    t->schema = "public";
    t->name = arena_printf(a, "t-%u", random_below(1000));
    t->ncols = 1 + (int)random_below(30);
    t->cols = arena_calloc(a, (size_t)t->ncols, sizeof(*t->cols));
    for (i = 0; i < t->ncols; i++) {
        struct column *c = &t->cols[i];

        test_column(a, c, (enum type_kind)random_below(TYPE_COUNT), i);
        c->nullable = random_below(2);
        if (c->kind == TYPE_DECIMAL) {
            c->precision = 1 + (int)random_below(random_below(4) ? 38 : 1000);
            c->scale = (int)random_below((unsigned)c->precision + 1);
        } else if (c->kind == TYPE_BITS) {
            c->precision = 1 + (int)random_below(80);
        } else if (c->kind == TYPE_TEXT && random_below(4) == 0) {
            c->semantic = "io.debezium.data.Xml";
        }
        if (!c->nullable && random_below(4) == 0)
            c->key_pos = ++keys;
    }
    table_index_keys(a, t);
    table_name_fields(a, t, "shop");
    return t;
}

static inline void set_text(struct value *v, const char *p, size_t len)
{
    v->s.p = p;
    v->s.len = len;
}

static inline void random_text(struct arena *a, struct value *v)
{
    static const char *const pieces[] = {"a",
                                         "Z",
                                         " ",
                                         "\"",
                                         "\\",
                                         "0123456789abcdef",
                                         "\n",
                                         "\t",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80"};
    size_t n = random_below(random_below(8) ? 12 : 300), i, len = 0;
    char *p = arena_alloc(a, n * 16 + 1);

    for (i = 0; i < n; i++) {
        const char *s = pieces[random_below(sizeof(pieces) / sizeof(*pieces))];

        memcpy(p + len, s, strlen(s));
        len += strlen(s);
    }
    set_text(v, p, len);
}

/* [-]digits[.digits] with exactly `scale` digits after the point, at most `precision` in all. */
static inline void random_decimal(struct arena *a, struct value *v, size_t precision, size_t scale)
{
    size_t whole = random_below((unsigned)(precision - scale) + 1), n = 0, i;
    char *p = arena_alloc(a, whole + scale + 4);
    bool zero = random_below(8) == 0, any = false, negative = random_below(2);

    p[n++] = '-';
    for (i = 0; i < whole; i++) {
        p[n] = (char)('0' + (zero ? 0 : random_below(i ? 10 : 9) + !i));
        any |= p[n++] != '0';
    }
    if (whole == 0 || zero) { /* "0", not "000" */
        n = 1;
        p[n++] = '0';
        any = false;
    }
    if (scale > 0)
        p[n++] = '.';
    for (i = 0; i < scale; i++) {
        p[n] = (char)('0' + (zero || random_below(16) == 0 ? 0 : random_below(10)));
        any |= p[n++] != '0';
    }
    negative &= any;
    set_text(v, p + !negative, n - !negative);
}

static inline int64_t random_edge(int64_t low, int64_t high)
{
    uint64_t span = (uint64_t)high - (uint64_t)low + 1, off;

    switch (random_below(6)) {
    case 0:
        return low;
    case 1:
        return high;
    case 2:
        return low <= 0 && high >= 0 ? 0 : low;
    case 3:
        return low <= -100 && high >= 100 ? (int64_t)random_below(201) - 100 : high;
    default:
        off = random_u64();
        return (int64_t)((uint64_t)low + (span ? off % span : off));
    }
}

#define PG_TIMESTAMP_MIN (-211813488000000000LL) /* 4714-11-24 BC */
#define PG_TIMESTAMP_MAX 9223371331199999999LL   /* 294276-12-31 23:59:59.999999 */

static inline void random_value(struct arena *a, const struct column *c, struct value *v)
{
    static const double floats[] = {0.0, -0.0, 1e-320, -1.5, 3.25e300, INFINITY, -INFINITY, NAN};
    static const char *const specials[] = {"NaN", "Infinity", "-Infinity"};
    char *bits;
    int i;

    memset(v, 0, sizeof(*v));
    v->state = VALUE_SET;
    switch (c->kind) {
    case TYPE_BOOL:
        v->i = random_below(2);
        break;
    case TYPE_INT16:
        v->i = random_edge(INT16_MIN, INT16_MAX);
        break;
    case TYPE_INT32:
    case TYPE_DATE:
        v->i = random_edge(INT32_MIN, INT32_MAX);
        break;
    case TYPE_INT64:
        v->i = random_edge(INT64_MIN, INT64_MAX);
        break;
    case TYPE_TIME:
        v->i = random_edge(0, 86400000000);
        break;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        v->f = random_below(2) ? floats[random_below(8)] : (double)(int64_t)random_u64() / 4096;
        if (c->kind == TYPE_FLOAT32)
            v->f = (double)(float)(isfinite(v->f) ? fmod(v->f, 1e30) : v->f);
        break;
    case TYPE_DECIMAL:
        if (random_below(20) == 0)
            set_text(v, "NaN", 3);
        else
            random_decimal(a, v, (size_t)c->precision, (size_t)c->scale);
        break;
    case TYPE_NUMERIC:
        i = (int)random_below(60);
        if (i < 3)
            set_text(v, specials[i], strlen(specials[i]));
        else
            random_decimal(a, v, 1 + random_below((unsigned)i * 8), 0);
        if (i > 30)
            random_decimal(a, v, (size_t)i, random_below((unsigned)i));
        break;
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        i = (int)random_below(20);
        v->i = i == 0   ? INT64_MAX
               : i == 1 ? INT64_MIN
                        : random_edge(PG_TIMESTAMP_MIN, PG_TIMESTAMP_MAX);
        break;
    case TYPE_BITS:
        bits = arena_alloc(a, (size_t)c->precision);
        for (i = 0; i < c->precision; i++)
            bits[i] = (char)('0' + random_below(2));
        set_text(v, bits, (size_t)c->precision);
        break;
    default:
        random_text(a, v);
    }
}

static inline struct value *random_row(struct arena *a, const struct table *t)
{
    struct value *row = arena_calloc(a, (size_t)t->ncols, sizeof(*row));
    int i;

    for (i = 0; i < t->ncols; i++) {
        if (!t->cols[i].nullable || random_below(3) != 0)
            random_value(a, &t->cols[i], &row[i]);
    }
    return row;
}

/* Equal as the codec promises it: texts byte for byte, floats bit for bit. */
static inline bool same_values(const struct column *c, const struct value *a, const struct value *b)
{
    if (a->state != b->state || a->state != VALUE_SET)
        return a->state == b->state;
    switch (c->kind) {
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return memcmp(&a->f, &b->f, sizeof(a->f)) == 0;
    case TYPE_BOOL:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_DATE:
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        return a->i == b->i;
    default:
        return a->s.len == b->s.len && (a->s.len == 0 || memcmp(a->s.p, b->s.p, a->s.len) == 0);
    }
}

#endif
