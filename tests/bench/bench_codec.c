/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec against avro-c's generic values set by index: whole change events (Debezium's envelope
 * with source and transaction block) of a row of 12 columns, ~500 bytes. Both write the same bytes,
 * which is checked first. avro-c is given texts and decimals ready made, where our encoder makes
 * them from typed values; our decoder gives slices and the row's values, as the sink uses it, where
 * avro-c fills a value for every field. One thread, pinned; rows are cycled and mostly in cache.
 */
#include "../unit/avro_c.h"
#include "bench.h"

#include "avro/codec.h"
#include "source_postgres/source_block.h"

#include <inttypes.h>

#define ROWS 20000
#define ROUNDS 10
#define REPETITIONS 7
#define BUFFER ((size_t)64 << 20)
#define PREFIX 5 /* of the wire format */

enum { ID, A, B, QTY, AMOUNT, NAME, DESCR, NOTE, TS, FLAG, U, J, NCOLS };

/* What both sides start from. */
struct row {
    struct value values[NCOLS];
    char amount[16], name[48], descr[32], note[64], u[40], j[128];
    /* Ready made for avro-c. */
    uint8_t unscaled[8];
    size_t unscaled_len;
    char ts[40], sequence[64];
    size_t ts_len, sequence_len;
};

static struct row *rows;
static struct table *table;
static volatile uint64_t seen; /* keeps results alive */

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench_codec: %s: %s\n", what, why);
    exit(1);
}

static struct table *make_table(struct arena *a)
{
    static const struct column cols[NCOLS] = {
        [ID] = {.name = "id", .kind = TYPE_INT64, .key_pos = 1, .source_type = "bigint"},
        [A] = {.name = "a", .kind = TYPE_INT32, .source_type = "integer"},
        [B] = {.name = "b", .kind = TYPE_INT32, .nullable = true, .source_type = "integer"},
        [QTY] = {.name = "qty", .kind = TYPE_INT16, .nullable = true, .source_type = "smallint"},
        [AMOUNT] = {.name = "amount",
                    .kind = TYPE_DECIMAL,
                    .precision = 12,
                    .scale = 2,
                    .source_type = "numeric(12,2)"},
        [NAME] = {.name = "name", .kind = TYPE_TEXT, .source_type = "text"},
        [DESCR] = {.name = "descr", .kind = TYPE_TEXT, .nullable = true, .source_type = "text"},
        [NOTE] = {.name = "note", .kind = TYPE_TEXT, .nullable = true, .source_type = "text"},
        [TS] = {.name = "ts", .kind = TYPE_TIMESTAMPTZ, .source_type = "timestamptz"},
        [FLAG] = {.name = "flag", .kind = TYPE_BOOL, .nullable = true, .source_type = "boolean"},
        [U] = {.name = "u", .kind = TYPE_UUID, .source_type = "uuid"},
        [J] = {.name = "j", .kind = TYPE_JSON, .nullable = true, .source_type = "jsonb"},
    };
    struct table *t = arena_calloc(a, 1, sizeof(*t));

    t->schema = "public";
    t->name = "t";
    t->ncols = NCOLS;
    t->cols = arena_memdup(a, cols, sizeof(cols));
    table_index_keys(a, t);
    table_name_fields(a, t, "shop");
    return t;
}

static void set_int(struct row *r, int col, int64_t v)
{
    r->values[col] = (struct value){.state = VALUE_SET, .i = v};
}

static void set_text(struct row *r, int col, const char *p, bool null)
{
    if (null)
        return; /* zero: VALUE_NULL */
    r->values[col].state = VALUE_SET;
    r->values[col].s.p = p;
    r->values[col].s.len = strlen(p);
}

static size_t unscaled(int64_t v, uint8_t *out)
{
    size_t n = 8, i;

    while (n > 1 && (v >> ((n - 1) * 8 - 1) == 0 || v >> ((n - 1) * 8 - 1) == -1))
        n--;
    for (i = 0; i < n; i++)
        out[i] = (uint8_t)(v >> ((n - 1 - i) * 8));
    return n;
}

#define FIRST_DAY 1704067200 /* 2024-01-01 00:00:00 UTC */
#define EVENT_LSN(i) (UINT64_C(123456789012) + (uint64_t)(i))
#define LAST_COMMIT UINT64_C(123456780000)

static void make_row(struct row *r, int64_t i)
{
    uint64_t h = (uint64_t)i * 0x9E3779B97F4A7C15u, h2 = (uint64_t)(i + 5) * 0xC2B2AE3D27D4EB4Fu;
    int64_t cents = i * 37 % 99999999;
    time_t at = FIRST_DAY + (time_t)(i % 31536000);
    struct tm tm;

    set_int(r, ID, i);
    set_int(r, A, i * 7919 % 1000003);
    if (i % 5 != 0)
        set_int(r, B, i % 100000);
    set_int(r, QTY, i % 30000);
    snprintf(r->amount, sizeof(r->amount), "%" PRId64 ".%02d", cents / 100, (int)(cents % 100));
    set_text(r, AMOUNT, r->amount, false);
    r->unscaled_len = unscaled(cents, r->unscaled);
    snprintf(r->name, sizeof(r->name), "customer-%016" PRIx64 "%016" PRIx64, h, h2);
    set_text(r, NAME, r->name, false);
    snprintf(r->descr, sizeof(r->descr), "descr %016" PRIx64 "%04x", h2, (unsigned)h & 0xffff);
    set_text(r, DESCR, r->descr, i % 7 == 0);
    snprintf(r->note, sizeof(r->note), "note %016" PRIx64 "%016" PRIx64 "%016" PRIx64, h ^ h2, h2,
             h);
    set_text(r, NOTE, r->note, i % 3 == 0);
    set_int(r, TS, (int64_t)at * 1000000 - VALUE_EPOCH_SHIFT_US);
    gmtime_r(&at, &tm);
    r->ts_len = strftime(r->ts, sizeof(r->ts), "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (i % 11 != 0)
        set_int(r, FLAG, i & 1);
    snprintf(r->u, sizeof(r->u), "%08x-%04x-%04x-%04x-%012" PRIx64, (unsigned)(h >> 32),
             (unsigned)(h >> 16 & 0xffff), (unsigned)(h & 0xffff), (unsigned)(h2 >> 48),
             h2 & 0xffffffffffffu);
    set_text(r, U, r->u, false);
    snprintf(r->j, sizeof(r->j),
             "{\"k1\": %" PRId64 ", \"tag\": \"%016" PRIx64 "\", \"tags\": [\"a\", \"bb\", "
             "\"ccc\"], \"addr\": {\"zip\": \"%" PRId64 "\", \"city\": \"Springfield\"}}",
             i, h, i % 99999);
    set_text(r, J, r->j, false);
}

static const struct event_meta meta0 = {.csn = 123456789500,
                                        .tx_id = "774411:123456789500",
                                        .source_us = FIRST_DAY * INT64_C(1000000) + 123456,
                                        .now_us = FIRST_DAY * INT64_C(1000000) + 223456,
                                        .xid = 774411,
                                        .last_commit_lsn = LAST_COMMIT,
                                        .server_name = "shop",
                                        .database = "shop",
                                        .snapshot = "false"};

static void ours_encode(struct encoder *e, struct buf *out, size_t *at)
{
    struct event_meta meta = meta0;
    struct change c = {.op = CHANGE_INSERT, .table = table};
    struct error err = {0};
    bool unavailable;
    int i;

    buf_reset(out);
    for (i = 0; i < ROWS; i++) {
        meta.lsn = c.lsn = EVENT_LSN(i);
        meta.total_order = meta.data_collection_order = i % 50 + 1;
        c.after = rows[i].values;
        if (at != NULL)
            at[i] = out->len;
        if (!encoder_value(e, &c, &meta, out, &unavailable, &err))
            fail("encode", err.message);
    }
    if (at != NULL)
        at[ROWS] = out->len;
}

static void check(int rc)
{
    if (rc != 0)
        fail("avro-c", avro_strerror());
}

static avro_value_t field(avro_value_t *record, size_t i)
{
    avro_value_t f;

    check(avro_value_get_by_index(record, i, &f, NULL));
    return f;
}

static avro_value_t optional(avro_value_t *record, size_t i, int branch)
{
    avro_value_t f = field(record, i), b;

    check(avro_value_set_branch(&f, branch, &b));
    return b;
}

static void put_long(avro_value_t v, int64_t i)
{
    check(avro_value_set_long(&v, i));
}

static void put_string(avro_value_t v, const char *s, size_t len)
{
    check(avro_value_set_string_len(&v, (char *)(uintptr_t)s, len + 1));
}

static void put_optional_text(avro_value_t *record, size_t i, const struct value *v)
{
    avro_value_t b = optional(record, i, v->state == VALUE_SET);

    if (v->state == VALUE_SET)
        put_string(b, v->s.p, v->s.len);
}

#define LITERAL(s) (s), sizeof(s) - 1

static void avro_c_source(avro_value_t *s, const struct row *r, int i)
{
    put_string(field(s, 0), LITERAL(PENSTOCK_VERSION));
    put_string(field(s, 1), LITERAL("postgresql"));
    put_string(field(s, 2), LITERAL("shop"));
    put_long(field(s, 3), meta0.source_us / 1000);
    put_string(optional(s, 4, 0), LITERAL("false"));
    put_string(field(s, 5), LITERAL("shop"));
    put_string(optional(s, 6, 1), r->sequence, r->sequence_len);
    put_long(optional(s, 7, 1), meta0.source_us);
    put_long(optional(s, 8, 1), meta0.source_us * 1000);
    put_string(field(s, 9), LITERAL("public"));
    put_string(field(s, 10), LITERAL("t"));
    put_long(optional(s, 11, 1), (int64_t)meta0.xid);
    put_long(optional(s, 12, 1), (int64_t)EVENT_LSN(i));
    optional(s, 13, 0);
}

static void avro_c_row(avro_value_t *v, const struct row *r)
{
    avro_value_t f;

    put_long(field(v, ID), r->values[ID].i);
    f = field(v, A);
    check(avro_value_set_int(&f, (int32_t)r->values[A].i));
    f = optional(v, B, r->values[B].state == VALUE_SET);
    if (r->values[B].state == VALUE_SET)
        check(avro_value_set_int(&f, (int32_t)r->values[B].i));
    f = optional(v, QTY, 1);
    check(avro_value_set_int(&f, (int32_t)r->values[QTY].i));
    f = field(v, AMOUNT);
    check(avro_value_set_bytes(&f, (void *)(uintptr_t)r->unscaled, r->unscaled_len));
    put_string(field(v, NAME), r->values[NAME].s.p, r->values[NAME].s.len);
    put_optional_text(v, DESCR, &r->values[DESCR]);
    put_optional_text(v, NOTE, &r->values[NOTE]);
    put_string(field(v, TS), r->ts, r->ts_len);
    f = optional(v, FLAG, r->values[FLAG].state == VALUE_SET);
    if (r->values[FLAG].state == VALUE_SET)
        check(avro_value_set_boolean(&f, (int)r->values[FLAG].i));
    put_string(field(v, U), r->values[U].s.p, r->values[U].s.len);
    put_optional_text(v, J, &r->values[J]);
}

static void avro_c_encode(avro_writer_t w, avro_value_t *event)
{
    avro_value_t part;
    int i;

    avro_writer_reset(w);
    for (i = 0; i < ROWS; i++) {
        optional(event, 0, 0);
        part = optional(event, 1, 1);
        avro_c_row(&part, &rows[i]);
        part = field(event, 2);
        avro_c_source(&part, &rows[i], i);
        part = optional(event, 3, 1);
        put_string(field(&part, 0), meta0.tx_id, strlen(meta0.tx_id));
        put_long(field(&part, 1), i % 50 + 1);
        put_long(field(&part, 2), i % 50 + 1);
        put_string(field(event, 4), LITERAL("c"));
        put_long(optional(event, 5, 1), meta0.now_us / 1000);
        put_long(optional(event, 6, 1), meta0.now_us);
        put_long(optional(event, 7, 1), meta0.now_us * 1000);
        put_long(optional(event, 8, 1), meta0.csn);
        optional(event, 9, 0);
        check(avro_value_write(w, event));
    }
}

static void ours_decode(const struct decoder *d, const struct buf *events, const size_t *at,
                        struct arena *scratch)
{
    struct value values[NCOLS];
    struct event_slices s;
    struct error err = {0};
    int i;

    for (i = 0; i < ROWS; i++) {
        arena_reset(scratch);
        if (!decoder_slices(d, events->data + at[i], at[i + 1] - at[i], &s, &err) ||
            !decoder_row(d, s.after, s.after_len, s.unavailable, s.unavailable_len, scratch, values,
                         &err))
            fail("decode", err.message);
        seen += (uint64_t)values[ID].i + values[J].s.len;
    }
}

static void avro_c_decode(const char *bytes, int64_t len, avro_value_t *event)
{
    avro_reader_t r = avro_reader_memory(bytes, len);
    int i;

    for (i = 0; i < ROWS; i++)
        check(avro_value_read(r, event));
    avro_reader_free(r);
}

/* Without the prefix, event by event, ours are avro-c's. */
static void same_bytes(const struct buf *ours, const size_t *at, const char *theirs, int64_t len)
{
    size_t k = 0;
    int i;

    for (i = 0; i < ROWS; i++) {
        size_t n = at[i + 1] - at[i] - PREFIX;

        if (k + n > (size_t)len || memcmp(ours->data + at[i] + PREFIX, theirs + k, n) != 0)
            fail("compare", "our bytes are not avro-c's");
        k += n;
    }
    if (k != (size_t)len)
        fail("compare", "avro-c wrote more than we");
}

/* Events a second. */
static double rate(double began)
{
    return (double)ROWS * ROUNDS / (bench_clock(CLOCK_THREAD_CPUTIME_ID) - began);
}

int main(void)
{
    struct bench_row encode = {.what = "codec: encode, whole event",
                               .unit = "M/s",
                               .scale = 1e-6,
                               .baseline = "avro-c by index",
                               .goal = ">= 5"};
    struct bench_row decode = {.what = "codec: decode, envelope and row",
                               .unit = "M/s",
                               .scale = 1e-6,
                               .baseline = "avro-c by index",
                               .goal = ">= 5"};
    struct arena *arena = arena_new("bench"), *scratch = arena_new("scratch");
    struct buf schema = {0}, out = {0};
    size_t *at = calloc(ROWS + 1, sizeof(*at));
    char *theirs = malloc(BUFFER);
    struct error err = {0};
    struct table *sink;
    struct encoder *e;
    struct decoder *d;
    avro_schema_t s;
    avro_value_t event;
    avro_writer_t w;
    int i, k;

    rows = calloc(ROWS, sizeof(*rows));
    if (rows == NULL || at == NULL || theirs == NULL)
        fail("memory", "none");
    for (i = 0; i < ROWS; i++) {
        make_row(&rows[i], 1000000 + (int64_t)i * 53);
        rows[i].sequence_len =
            (size_t)snprintf(rows[i].sequence, sizeof(rows[i].sequence),
                             "[\"%" PRIu64 "\",\"%" PRIu64 "\"]", LAST_COMMIT, EVENT_LSN(i));
    }
    table = make_table(arena);
    avro_value_schema(&schema, table, &source_postgres_block);
    if (!avro_table(arena, buf_cstr(&schema), NULL, &sink, &err))
        fail("schema", err.message);
    e = encoder_new(table, &source_postgres_block, 1, 2);
    d = decoder_new(buf_cstr(&schema), sink, &err);
    if (d == NULL)
        fail("schema", err.message);
    check(avro_schema_from_json_length(buf_cstr(&schema), schema.len, &s));
    check(avro_generic_value_new(avro_generic_class_from_schema(s), &event));
    w = avro_writer_memory(theirs, (int64_t)BUFFER);

    if (!bench_pin(0, 1))
        bench_pin(0, 0);
    ours_encode(e, &out, at);
    avro_c_encode(w, &event);
    same_bytes(&out, at, theirs, avro_writer_tell(w));
    for (k = 0; k < REPETITIONS; k++) {
        double t = bench_clock(CLOCK_THREAD_CPUTIME_ID), ours;

        for (i = 0; i < ROUNDS; i++)
            ours_encode(e, &out, NULL);
        ours = rate(t);
        t = bench_clock(CLOCK_THREAD_CPUTIME_ID);
        for (i = 0; i < ROUNDS; i++)
            avro_c_encode(w, &event);
        bench_add(&encode, ours, rate(t));
        t = bench_clock(CLOCK_THREAD_CPUTIME_ID);
        for (i = 0; i < ROUNDS; i++)
            ours_decode(d, &out, at, scratch);
        ours = rate(t);
        t = bench_clock(CLOCK_THREAD_CPUTIME_ID);
        for (i = 0; i < ROUNDS; i++)
            avro_c_decode(theirs, avro_writer_tell(w), &event);
        bench_add(&decode, ours, rate(t));
    }
    printf("codec: events of %.0f bytes, 12 columns, byte-identical; %d repetitions\n",
           (double)out.len / ROWS, REPETITIONS);
    bench_machine();
    bench_head("avro-c by index");
    bench_print(&encode);
    bench_print(&decode);
    puts("");
    avro_writer_free(w);
    avro_value_decref(&event);
    avro_schema_decref(s);
    encoder_free(e);
    decoder_free(d);
    buf_free(&schema);
    buf_free(&out);
    arena_free(scratch);
    arena_free(arena);
    free(at);
    free(theirs);
    free(rows);
    return 0;
}
