/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Postgres warehouse against a real server: wpg_probe URL. Every type with its nasty values
 * goes through a stage and a cast into a table and must come back as the text that went in; then
 * sessions: errors and their kinds, cancel, lost connections, abandoned COPY, blockers. Exits 0
 * and prints "ok" if all of it holds. The URL's role must be a superuser; the database is used
 * up: schema wpg_probe is dropped and made.
 */
#include "config/file.h"
#include "load/text.h"
#include "util/clock.h"
#include "util/mem.h"
#include "warehouse_postgres/warehouse_postgres.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct warehouse_ops *ops = &warehouse_postgres_ops;
static int failures;

#define CHECK(cond, ...)                                          \
    do {                                                          \
        if (!(cond)) {                                            \
            printf("FAIL %s:%d %s: ", __func__, __LINE__, #cond); \
            printf(__VA_ARGS__);                                  \
            printf("\n");                                         \
            failures++;                                           \
        }                                                         \
    } while (0)
#define OK(call) CHECK(call, "%s (%s) %s", err.message, err.sqlstate, err.hint)
#define FAILS(call, want)                                                                     \
    do {                                                                                      \
        error_clear(&err);                                                                    \
        CHECK(!(call), "did not fail");                                                       \
        CHECK(err.kind == (want), "kind %s: %s (%s)", error_kind_name(err.kind), err.message, \
              err.sqlstate);                                                                  \
    } while (0)

static const struct setting settings[] = {
    {.name = "connection.url", .type = SETTING_URL},
    {.name = "connection.user", .type = SETTING_STRING},
    {.name = "connection.password", .type = SETTING_PASSWORD},
    {.name = NULL},
};

struct handle {
    struct config *cfg;
    struct warehouse *w;
};

static bool handle_open(struct handle *h, const char *url, const char *user, struct error *err)
{
    const struct setting *tables[] = {settings, NULL};
    const char *pairs[] = {"connection.url", url, user ? "connection.user" : NULL, user, NULL};

    memset(h, 0, sizeof(*h));
    return config_make(&h->cfg, "probe", tables, pairs, err) && ops->open(&h->w, h->cfg, err);
}

static void handle_close(struct handle *h)
{
    ops->close(h->w);
    config_free(h->cfg);
}

/* --- values: what goes in, and the text that must come out --- */

struct sample {
    enum { S_TEXT, S_INT, S_REAL, S_HEX } form;
    const char *s; /* S_HEX: bytes as hex digits */
    int64_t i;
    double f;
    const char *out; /* NULL: s */
};

struct type_case {
    const char *type;
    enum type_kind kind;
    struct sample samples[16]; /* ended by one without s and out */
};

#define T(text)                   \
    {                             \
        .form = S_TEXT, .s = text \
    }
#define TO(text, res)                         \
    {                                         \
        .form = S_TEXT, .s = text, .out = res \
    }
#define I(number, res)                         \
    {                                          \
        .form = S_INT, .i = number, .out = res \
    }
#define F(number, res)                          \
    {                                           \
        .form = S_REAL, .f = number, .out = res \
    }
#define HX(digits)                                      \
    {                                                   \
        .form = S_HEX, .s = digits, .out = "\\x" digits \
    }

#define DIGITS_100                                                                                \
    "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
    "234567890"

static const struct type_case cases[] = {
    {"boolean", TYPE_BOOL, {I(1, "t"), I(0, "f")}},
    {"smallint", TYPE_INT16, {I(-32768, "-32768"), I(32767, "32767")}},
    {"integer", TYPE_INT32, {I(INT32_MIN, "-2147483648"), I(INT32_MAX, "2147483647")}},
    {"bigint",
     TYPE_INT64,
     {I(INT64_MIN, "-9223372036854775808"), I(INT64_MAX, "9223372036854775807")}},
    {"oid", TYPE_INT64, {I(0, "0"), I(4294967295, "4294967295")}},
    {"xid8", TYPE_INT64, {I(INT64_MAX, "9223372036854775807")}},
    {"real",
     TYPE_FLOAT32,
     {F(-0.0, "-0"), F(NAN, "NaN"), F(-INFINITY, "-Infinity"), F(1.5, "1.5"),
      F((double)1e-45f, "1e-45"), F((double)0.1f, "0.1")}},
    {"double precision",
     TYPE_FLOAT64,
     {F(-0.0, "-0"), F(NAN, "NaN"), F(INFINITY, "Infinity"), F(1e-320, "1e-320"),
      F(0.30000000000000004, "0.30000000000000004"),
      F(1.7976931348623157e308, "1.7976931348623157e+308")}},
    {"numeric",
     TYPE_NUMERIC,
     {T("NaN"), T("Infinity"), T("-Infinity"), T("0"), T("0.000"), T("-0.1"), T("1e-16383"),
      T("100000000000000000000.00100"), T(DIGITS_100 DIGITS_100), T("-0." DIGITS_100 DIGITS_100),
      T("9999.9999"), T("10000.0001"), TO("-1.5e6", "-1500000"), T("0.00009999"), T("1e131071")}},
    {"numeric(10,2)",
     TYPE_DECIMAL,
     {T("-12.30"), T("0.00"), T("99999999.99"), T("NaN"), T("-0.01")}},
    {"numeric(5,-2)", TYPE_NUMERIC, {T("12300"), T("-9999900"), T("0")}},
    {"numeric(3,5)", TYPE_NUMERIC, {T("0.00123"), T("-0.00999")}},
    {"numeric(10,2)", TYPE_TEXT, {T("-12.30"), T("NaN")}},
    {"money",
     TYPE_DECIMAL,
     {TO("-1234.56", "-$1,234.56"), TO("0.00", "$0.00"),
      TO("-92233720368547758.08", "-$92,233,720,368,547,758.08")}},
    {"text",
     TYPE_TEXT,
     {T(""), T("a"), T("\xc3\xa4\xf0\x9f\x98\x80"), T("a\tb\nc\\.\"'"), T("\\N")}},
    {"character varying(3)", TYPE_TEXT, {T(""), T("\xc3\xa4\xc3\xb6\xc3\xbc"), T("a  ")}},
    {"character(5)", TYPE_TEXT, {T("ab   "), T("     "), T("abcde")}},
    {"bpchar", TYPE_TEXT, {T("ab   "), T("ab")}},
    {"name", TYPE_TEXT, {T("pg_class"), T("")}},
    {"json", TYPE_JSON, {T("{\"b\":1, \"a\":1,\"a\":2}"), T("1e400"), T(" null ")}},
    {"jsonb",
     TYPE_JSON,
     {T("{\"a\": 2, \"b\": 1}"), T("null"), T("\"x\""), TO("[1.10, -0]", "[1.10, 0]"),
      TO("{\"a\":1,\"a\":2}", "{\"a\": 2}")}},
    {"bytea", TYPE_BYTES, {HX(""), HX("00ff"), HX("5c7800")}},
    {"date",
     TYPE_DATE,
     {I(0, "1970-01-01"), I(10957, "2000-01-01"), I(VALUE_DATE_INFINITY, "infinity"),
      I(VALUE_DATE_MINUS_INFINITY, "-infinity"), I(-735160, "0044-03-15 BC"),
      I(2145042905, "5874897-12-31"), I(-2440588, "4714-11-24 BC"), I(19782, "2024-02-29")}},
    {"time without time zone",
     TYPE_TIME,
     {I(86400000000, "24:00:00"), I(0, "00:00:00"), I(1, "00:00:00.000001")}},
    {"time(3) without time zone", TYPE_TIME, {I(1000, "00:00:00.001")}},
    {"time with time zone", TYPE_TEXT, {T("24:00:00-15:59:59"), T("01:02:03.5+05:30")}},
    {"timestamp without time zone",
     TYPE_TIMESTAMP,
     {I(0, "2000-01-01 00:00:00"), I(-1, "1999-12-31 23:59:59.999999"),
      I(VALUE_TIMESTAMP_INFINITY, "infinity"), I(VALUE_TIMESTAMP_MINUS_INFINITY, "-infinity"),
      I(9223371331199999999, "294276-12-31 23:59:59.999999"),
      I(-211813488000000000, "4714-11-24 00:00:00 BC")}},
    {"timestamp(3) without time zone", TYPE_TIMESTAMP, {I(1000, "2000-01-01 00:00:00.001")}},
    {"timestamp with time zone",
     TYPE_TIMESTAMPTZ,
     {I(0, "2000-01-01 00:00:00+00"), I(VALUE_TIMESTAMP_INFINITY, "infinity"),
      I(762570123456789, "2024-03-01 01:02:03.456789+00")}},
    {"interval",
     TYPE_INTERVAL,
     {T("-1 mons +1 day -00:00:01.5"), T("178000000 years"), T("00:00:00"),
      T("1 year 2 mons -3 days +04:05:06.789012"), T("-178000000 years"),
      T("2562047788:00:54.775807"), T("-2147483648 days"), T("-00:00:00.000001"), T("1 mon"),
      T("-2562047788:00:54.775808")}},
    {"interval day to second(3)", TYPE_INTERVAL, {T("1 day 00:00:00.123")}},
    {"interval year to month", TYPE_INTERVAL, {T("1 year 2 mons")}},
    {"bit(3)", TYPE_BITS, {T("101"), T("000")}},
    {"bit varying", TYPE_BITS, {T(""), T("0"), T("1010101011111111100")}},
    {"bit varying(8)", TYPE_BITS, {T("00000001")}},
    {"uuid",
     TYPE_UUID,
     {T("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), T("ffffffff-ffff-ffff-ffff-ffffffffffff")}},
    {"inet", TYPE_TEXT, {T("10.0.0.1/8"), T("::1")}},
    {"cidr", TYPE_TEXT, {T("10.0.0.0/8")}},
    {"macaddr", TYPE_TEXT, {T("08:00:2b:01:02:03")}},
    {"macaddr8", TYPE_TEXT, {T("08:00:2b:01:02:03:04:05")}},
    {"point", TYPE_TEXT, {T("(1.5,-0)"), T("(0.30000000000000004,NaN)")}},
    {"line", TYPE_TEXT, {T("{1,-1,0}")}},
    {"lseg", TYPE_TEXT, {T("[(0,0),(1,1)]")}},
    {"box", TYPE_TEXT, {T("(1,1),(0,0)")}},
    {"path", TYPE_TEXT, {T("[(0,0),(1,1)]"), T("((0,0),(1,1))")}},
    {"polygon", TYPE_TEXT, {T("((0,0),(1,1),(2,0))")}},
    {"circle", TYPE_TEXT, {T("<(0,0),1.5>")}},
    {"tsvector", TYPE_TEXT, {T("'a':1A 'b'")}},
    {"tsquery", TYPE_TEXT, {T("'a' & !'b'")}},
    {"int4range", TYPE_TEXT, {T("[1,5)"), T("empty"), T("(,)")}},
    {"numrange", TYPE_TEXT, {T("(1.0,2.00]")}},
    {"tstzrange", TYPE_TEXT, {T("[\"2024-01-01 00:00:00+00\",infinity)")}},
    {"int8multirange", TYPE_TEXT, {T("{[1,3),[5,7)}")}},
    {"pg_lsn", TYPE_TEXT, {T("16/B374D848")}},
    {"txid_snapshot", TYPE_TEXT, {T("10:20:10,14,15")}},
    {"pg_snapshot", TYPE_TEXT, {T("10:20:10,14,15")}},
    {"jsonpath", TYPE_TEXT, {T("$.\"a\"[*]")}},
    {"integer[]", TYPE_TEXT, {T("{}"), T("[0:1]={7,8}"), T("{{1,2},{3,NULL}}")}},
    {"text[]", TYPE_TEXT, {T("{NULL,\"NULL\",\"\",\"a,b\",\"q\\\"x\"}")}},
    {"box[]", TYPE_TEXT, {T("{(1,1),(0,0);(2,2),(0,0)}")}},
    {"timestamp(3) with time zone[]", TYPE_TEXT, {T("{\"2000-01-01 00:00:00.001+00\",infinity}")}},
    {"public.mood", TYPE_ENUM, {T("so, so \"x\"")}},
    {"public.hstore", TYPE_TEXT, {T("\"a\"=>NULL, \"b\"=>\"\"")}},
};

static uint8_t from_hex(const char *p)
{
    char pair[3] = {p[0], p[1], '\0'};

    return (uint8_t)strtoul(pair, NULL, 16);
}

static struct value sample_value(struct arena *a, const struct sample *s)
{
    struct value v = {.state = VALUE_SET};
    size_t n;
    uint8_t *bytes;

    switch (s->form) {
    case S_INT:
        v.i = s->i;
        break;
    case S_REAL:
        v.f = s->f;
        break;
    case S_TEXT:
        v.s.p = s->s;
        v.s.len = strlen(s->s);
        break;
    case S_HEX:
        n = strlen(s->s) / 2;
        bytes = arena_alloc(a, n + 1);
        for (size_t i = 0; i < n; i++)
            bytes[i] = from_hex(s->s + 2 * i);
        v.s.p = (const char *)bytes;
        v.s.len = n;
        break;
    }
    return v;
}

static bool sample_is_end(const struct sample *s)
{
    return s->s == NULL && s->out == NULL;
}

static void fill(struct session *s, struct arena *a, const struct type_case *c,
                 const struct load_column cols[2], struct error *err_out)
{
    struct error err = {0};
    struct appender *ap = NULL;
    struct buf text = {0};

    OK(ops->append_open(s, NULL, "stage", true, cols, 2, OVERFLOW_STOP, &ap, &err));
    for (int i = 0; ap != NULL && !sample_is_end(&c->samples[i]); i++) {
        struct value row[2] = {{.state = VALUE_SET, .i = i}, sample_value(a, &c->samples[i])};

        if (cols[1].as_text && c->kind != TYPE_TEXT) {
            buf_reset(&text);
            value_to_text(&text, c->kind, &row[1]);
            row[1].s.p = arena_strndup(a, (const char *)text.data, text.len);
            row[1].s.len = text.len;
        }
        CHECK(ops->append_row(ap, row, &err), "%s sample %d: %s", c->type, i, err.message);
    }
    if (ap != NULL)
        CHECK(ops->append_close(ap, NULL, &err), "%s: %s", c->type, err.message);
    *err_out = err;
    buf_free(&text);
}

static void one_type(struct session *s, struct arena *a, const struct type_case *c)
{
    struct load_column cols[2] = {{.name = "i", .type = "integer", .kind = TYPE_INT32},
                                  {.name = "v"}};
    struct column source = {.source_type = c->type, .kind = c->kind};
    struct error err = {0};
    struct rowset rows;
    struct buf same = {0};
    const char *note;

    ops->dialect->column(a, &source, &cols[1], &note);
    OK(ops->begin(s, &err));
    OK(ops->exec(s,
                 arena_printf(a, "CREATE TEMP TABLE stage (i integer, v %s) ON COMMIT DROP",
                              cols[1].as_text ? "text" : cols[1].type),
                 NULL, &err));
    OK(ops->exec(s, arena_printf(a, "CREATE TABLE wpg_probe.t (i integer, v %s)", cols[1].type),
                 NULL, &err));
    fill(s, a, c, cols, &err);
    if (err.kind != ERROR_NONE) {
        ops->rollback(s);
        return;
    }
    OK(ops->exec(
        s,
        arena_printf(a, "INSERT INTO wpg_probe.t SELECT i, v::%s FROM pg_temp.stage", cols[1].type),
        NULL, &err));
    if (err.kind != ERROR_NONE)
        printf("     type %s\n", c->type);
    ops->dialect->same_text(&same, &source, "v");
    OK(ops->query(
        s, a,
        arena_printf(a, "SELECT i, concat(v), %s FROM wpg_probe.t ORDER BY i", buf_cstr(&same)),
        &rows, &err));
    for (int i = 0; err.kind == ERROR_NONE && i < rows.nrows; i++) {
        const struct sample *sample = &c->samples[i];
        const char *want = sample->out ? sample->out : sample->s, *got = rowset_get(&rows, i, 1);

        /* what is no plain text of a number is compared by the server */
        if (strchr(want, 'e') != NULL && c->kind == TYPE_NUMERIC)
            want = NULL;
        CHECK(want == NULL || strcmp(want, got) == 0, "%s sample %d: %.80s, not %.80s", c->type, i,
              got, want);
        CHECK(strncmp(rowset_get(&rows, i, 2), "v", 1) == 0 &&
                  strcmp(rowset_get(&rows, i, 2) + 1, got) == 0,
              "%s sample %d: same_text %s", c->type, i, rowset_get(&rows, i, 2));
    }
    buf_free(&same);
    ops->rollback(s);
}

static void all_types(struct session *s)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *a = arena_new("probe");

        one_type(s, a, &cases[i]);
        arena_free(a);
    }
}

/* Long numbers: what we encode equals what the server makes of the text. */
static void long_numbers(struct session *s)
{
    static const char *const texts[] = {"1e-16383", "-7e-16383",  "1e131071",       "12345e131067",
                                        "1e4",      "-1e-4",      "123456789e-20",  "5e-1",
                                        "1e-5",     "1000000e-6", "0.000120000e-9", "-0e-7"};
    struct load_column cols[2] = {{.name = "v", .type = "numeric", .kind = TYPE_NUMERIC},
                                  {.name = "t", .type = "text", .kind = TYPE_TEXT}};
    struct arena *a = arena_new("probe");
    struct error err = {0};
    struct appender *ap;
    struct rowset rows;

    OK(ops->begin(s, &err));
    OK(ops->exec(s, "CREATE TEMP TABLE stage (v numeric, t text) ON COMMIT DROP", NULL, &err));
    OK(ops->append_open(s, NULL, "stage", true, cols, 2, OVERFLOW_STOP, &ap, &err));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct value v = {.state = VALUE_SET, .s = {.p = texts[i], .len = strlen(texts[i])}};
        struct value row[2] = {v, v};

        OK(ops->append_row(ap, row, &err));
    }
    OK(ops->append_close(ap, NULL, &err));
    OK(ops->query(s, a,
                  "SELECT t FROM pg_temp.stage WHERE numeric_send(v) <> numeric_send(t::numeric)",
                  &rows, &err));
    for (int i = 0; i < rows.nrows; i++)
        CHECK(false, "%s differs from the server's own", rowset_get(&rows, i, 0));
    ops->rollback(s);
    arena_free(a);
}

/* --- the loader --- */

static bool append_text(struct session *s, const char *type, enum type_kind kind,
                        enum overflow_mode mode, struct value v, int64_t *nulled, struct error *err)
{
    struct load_column col = {.name = "v", .type = type, .kind = kind};
    struct appender *ap;

    *nulled = -1;
    if (!ops->append_open(s, NULL, "one", true, &col, 1, mode, &ap, err))
        return false;
    if (!ops->append_row(ap, &v, err)) {
        ops->append_abort(ap);
        return false;
    }
    return ops->append_close(ap, nulled, err);
}

static void loader(struct session *s)
{
    struct error err = {0};
    struct arena *a = arena_new("probe");
    size_t size = 20 * 1000 * 1000;
    char *big = mem_alloc(size);
    struct value nul = {.state = VALUE_SET, .s = {.p = "a\0b", .len = 3}};
    struct value bad = {.state = VALUE_SET,
                        .s = {.p = "a\xff"
                                   "b",
                              .len = 3}};
    struct value inf = {.state = VALUE_SET, .s = {.p = "Infinity", .len = 8}};
    struct value large = {.state = VALUE_SET, .s = {.p = big, .len = size}};
    struct rowset rows;
    int64_t nulled;

    memset(big, 'x', size);
    OK(ops->exec(s, "CREATE TEMP TABLE one (v text)", NULL, &err));
    OK(ops->begin(s, &err));
    OK(append_text(s, "text", TYPE_TEXT, OVERFLOW_STOP, large, &nulled, &err));
    CHECK(nulled == 0, "%" PRId64, nulled);
    OK(ops->query(s, a, "SELECT length(v), md5(v) = md5(repeat('x', 20000000)) FROM pg_temp.one",
                  &rows, &err));
    CHECK(rows.nrows == 1 && strcmp(rowset_get(&rows, 0, 0), "20000000") == 0 &&
              strcmp(rowset_get(&rows, 0, 1), "t") == 0,
          "a large value");
    OK(append_text(s, "text", TYPE_TEXT, OVERFLOW_NULL, nul, &nulled, &err));
    CHECK(nulled == 1, "%" PRId64, nulled);
    FAILS(append_text(s, "text", TYPE_TEXT, OVERFLOW_STOP, nul, &nulled, &err), ERROR_DATA);
    CHECK(strstr(err.hint, "value.overflow.mode") != NULL, "%s", err.hint);
    ops->rollback(s);
    OK(ops->begin(s, &err));
    FAILS(append_text(s, "text", TYPE_TEXT, OVERFLOW_STOP, bad, &nulled, &err), ERROR_DATA);
    CHECK(strcmp(err.sqlstate, "22021") == 0 && strstr(err.message, "0xff") == NULL, "%s",
          err.message);
    ops->rollback(s);
    OK(ops->exec(s, "ALTER TABLE pg_temp.one ALTER v TYPE numeric(10,2) USING NULL", NULL, &err));
    OK(append_text(s, "numeric(10,2)", TYPE_NUMERIC, OVERFLOW_NULL, inf, &nulled, &err));
    FAILS(append_text(s, "numeric(10,2)", TYPE_NUMERIC, OVERFLOW_STOP, inf, &nulled, &err),
          ERROR_DATA);
    /* A table that is not what the caller believes: loud, and the session goes on. */
    FAILS(append_text(s, "smallint", TYPE_INT16, OVERFLOW_STOP, (struct value){.state = VALUE_SET},
                      &nulled, &err),
          ERROR_FATAL);
    OK(ops->exec(s, "DROP TABLE pg_temp.one", NULL, &err));
    FAILS(append_text(s, "text", TYPE_TEXT, OVERFLOW_STOP, nul, &nulled, &err), ERROR_FATAL);
    OK(ops->exec(s, "SELECT 1", NULL, &err));
    mem_free(big);
    arena_free(a);
}

/* --- statements --- */

static void statements(struct session *s)
{
    struct error err = {0};
    struct arena *a = arena_new("probe");
    struct rowset rows;
    int64_t n = -1;

    OK(ops->exec(s, "CREATE TABLE wpg_probe.s (i int PRIMARY KEY, v text)", NULL, &err));
    OK(ops->exec(s, "INSERT INTO wpg_probe.s SELECT i, 'x' FROM generate_series(1, 10) i", &n,
                 &err));
    CHECK(n == 10, "%" PRId64, n);
    OK(ops->exec(s,
                 "MERGE INTO wpg_probe.s t USING (VALUES (1), (11), (12)) u(i) ON t.i = u.i WHEN "
                 "MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (u.i, 'y')",
                 &n, &err));
    CHECK(n == 3, "%" PRId64, n);
    OK(ops->query(s, a, "SELECT NULL, '', 'a b' WHERE true", &rows, &err));
    CHECK(rows.nrows == 1 && rows.ncols == 3 && rowset_get(&rows, 0, 0) == NULL &&
              rowset_get(&rows, 0, 1)[0] == '\0' && strcmp(rowset_get(&rows, 0, 2), "a b") == 0,
          "cells");
    FAILS(ops->exec(s, "INSERT INTO wpg_probe.s VALUES (12)", NULL, &err), ERROR_DATA);
    FAILS(ops->exec(s, "SELECT 'secret'::integer", NULL, &err), ERROR_DATA);
    CHECK(strstr(err.message, "secret") == NULL, "%s", err.message);
    FAILS(ops->exec(s, "SELECT no_such_column", NULL, &err), ERROR_FATAL);
    FAILS(ops->exec(s, "COPY wpg_probe.s FROM STDIN", NULL, &err), ERROR_FATAL);
    arena_free(a);
}

static void transactions(struct session *s)
{
    struct error err = {0};

    OK(ops->begin(s, &err));
    OK(ops->exec(s, "CREATE TABLE wpg_probe.gone ()", NULL, &err));
    ops->rollback(s);
    FAILS(ops->exec(s, "SELECT FROM wpg_probe.gone", NULL, &err), ERROR_FATAL);
    OK(ops->begin(s, &err));
    FAILS(ops->exec(s, "SELECT 1/0", NULL, &err), ERROR_DATA);
    FAILS(ops->commit(s, &err), ERROR_RETRY);
    OK(ops->begin(s, &err));
    OK(ops->commit(s, &err));
    ops->rollback(s);
}

static void abandoned_copy(struct session *s)
{
    struct load_column col = {.name = "i", .type = "integer", .kind = TYPE_INT32};
    struct value one = {.state = VALUE_SET, .i = 1};
    struct error err = {0};
    struct appender *ap;

    OK(ops->begin(s, &err));
    OK(ops->append_open(s, "wpg_probe", "s", false, &col, 1, OVERFLOW_STOP, &ap, &err));
    OK(ops->append_row(ap, &one, &err));
    ops->append_abort(ap);
    ops->rollback(s);
    OK(ops->exec(s, "SELECT 1", NULL, &err));
}

/* --- cancel, lost connections, blockers --- */

static void *cancel_soon(void *arg)
{
    clock_sleep_ms(300);
    ops->cancel(arg);
    return NULL;
}

static void cancelled(struct handle *h)
{
    struct error err = {0};
    struct session *s;
    pthread_t thread;
    int64_t start = clock_mono_ms();

    OK(ops->connect(h->w, "penstock:probe:cancel", &s, &err));
    pthread_create(&thread, NULL, cancel_soon, s);
    FAILS(ops->exec(s, "SELECT pg_sleep(30)", NULL, &err), ERROR_RETRY);
    CHECK(clock_mono_ms() - start < 2000, "%" PRId64 " ms", clock_mono_ms() - start);
    pthread_join(thread, NULL);
    FAILS(ops->exec(s, "SELECT 1", NULL, &err), ERROR_RETRY);
    ops->rollback(s);
    ops->disconnect(s);
}

static void lost(struct handle *h, struct session *other)
{
    struct error err = {0};
    struct session *s;
    struct load_column col = {.name = "i", .type = "integer", .kind = TYPE_INT32};
    struct value one = {.state = VALUE_SET, .i = 100};
    struct appender *ap;
    const char *kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                       "application_name = 'penstock:probe:lost'";

    OK(ops->connect(h->w, "penstock:probe:lost", &s, &err));
    OK(ops->begin(s, &err));
    OK(ops->exec(s, "INSERT INTO wpg_probe.s VALUES (50)", NULL, &err));
    OK(ops->exec(other, kill, NULL, &err));
    FAILS(ops->commit(s, &err), ERROR_RETRY);
    CHECK(strcmp(err.sqlstate, "57P01") == 0, "%s (%s)", err.message, err.sqlstate);
    FAILS(ops->exec(s, "SELECT 1", NULL, &err), ERROR_RETRY);
    ops->rollback(s);
    ops->disconnect(s);

    OK(ops->connect(h->w, "penstock:probe:lost", &s, &err));
    OK(ops->begin(s, &err));
    OK(ops->append_open(s, "wpg_probe", "s", false, &col, 1, OVERFLOW_STOP, &ap, &err));
    OK(ops->append_row(ap, &one, &err));
    OK(ops->exec(other, kill, NULL, &err));
    clock_sleep_ms(100);
    FAILS(ops->append_close(ap, NULL, &err), ERROR_RETRY);
    CHECK(strcmp(err.sqlstate, "57P01") == 0, "%s (%s)", err.message, err.sqlstate);
    ops->rollback(s);
    ops->disconnect(s);
}

/* A predecessor's open transaction is ended; a stranger's is waited for. */
static void blockers(struct handle *h, const char *url)
{
    struct error err = {0};
    struct handle before;
    struct session *old, *new_one;
    int64_t start;

    OK(handle_open(&before, url, NULL, &err));
    OK(ops->connect(before.w, "penstock:probe:sink", &old, &err));
    OK(ops->begin(old, &err));
    OK(ops->exec(old, "UPDATE wpg_probe.s SET v = 'old' WHERE i = 2", NULL, &err));
    OK(ops->connect(h->w, "penstock:probe:sink", &new_one, &err));
    start = clock_mono_ms();
    OK(ops->exec(new_one, "UPDATE wpg_probe.s SET v = 'new' WHERE i = 2", NULL, &err));
    CHECK(clock_mono_ms() - start < 4000, "%" PRId64 " ms", clock_mono_ms() - start);
    FAILS(ops->commit(old, &err), ERROR_RETRY);
    ops->disconnect(old);

    OK(ops->connect(before.w, "penstock:probe:other", &old, &err));
    OK(ops->begin(old, &err));
    OK(ops->exec(old, "UPDATE wpg_probe.s SET v = 'old' WHERE i = 2", NULL, &err));
    OK(ops->exec(new_one, "SET lock_timeout = '3s'", NULL, &err));
    FAILS(ops->exec(new_one, "UPDATE wpg_probe.s SET v = 'new' WHERE i = 2", NULL, &err),
          ERROR_RETRY);
    OK(ops->commit(old, &err));
    ops->disconnect(old);
    ops->disconnect(new_one);
    handle_close(&before);
}

/* --- connecting --- */

static bool try_connect(const char *url, const char *user, struct error *err)
{
    struct handle h;
    struct session *s;
    bool ok = handle_open(&h, url, user, err) && ops->connect(h.w, "penstock:probe:try", &s, err);

    if (ok)
        ops->disconnect(s);
    handle_close(&h);
    return ok;
}

static int silent_port(int *fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);

    *fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(*fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(*fd, 5) != 0 ||
        getsockname(*fd, (struct sockaddr *)&at, &size) != 0)
        abort();
    return ntohs(at.sin_port);
}

static void connecting(const char *url)
{
    struct error err = {0};
    char other[600];
    int fd, port = silent_port(&fd);
    int64_t start = clock_mono_ms();

    snprintf(other, sizeof(other), "postgres://x@127.0.0.1:%d/x", port);
    FAILS(try_connect(other, NULL, &err), ERROR_RETRY);
    CHECK(clock_mono_ms() - start < 6000, "%" PRId64 " ms", clock_mono_ms() - start);
    close(fd);
    FAILS(try_connect(other, NULL, &err), ERROR_RETRY);
    FAILS(try_connect(url, "no such role", &err), ERROR_CONFIG);
    CHECK(err.sqlstate[0] != '\0' && err.hint[0] != '\0', "%s", err.message);
    snprintf(other, sizeof(other), "%s_missing", url);
    FAILS(try_connect(other, NULL, &err), ERROR_CONFIG);
    CHECK(strcmp(err.sqlstate, "3D000") == 0, "%s", err.sqlstate);
    snprintf(other, sizeof(other), "%s?sslmode=require", url);
    FAILS(try_connect(other, NULL, &err), ERROR_CONFIG);
    FAILS(try_connect("postgres://u:secret@h:port:x/db", NULL, &err), ERROR_CONFIG);
    CHECK(strstr(err.message, "secret") == NULL, "%s", err.message);
    FAILS(try_connect("postgres://u:secret@h/db?sslmod=x", NULL, &err), ERROR_CONFIG);
    CHECK(strstr(err.message, "sslmod") != NULL, "%s", err.message);
}

static void pinned(struct session *s)
{
    static const char *const want[][2] = {
        {"datestyle", "ISO, YMD"},  {"synchronous_commit", "on"},
        {"search_path", "\"\""},    {"timezone", "UTC"},
        {"lc_monetary", "C"},       {"client_encoding", "UTF8"},
        {"statement_timeout", "0"}, {"idle_in_transaction_session_timeout", "1min"}};
    struct error err = {0};
    struct arena *a = arena_new("probe");
    struct rowset rows;

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        OK(ops->query(s, a, arena_printf(a, "SHOW %s", want[i][0]), &rows, &err));
        CHECK(strcmp(rowset_get(&rows, 0, 0), want[i][1]) == 0, "%s: %s", want[i][0],
              rowset_get(&rows, 0, 0));
    }
    arena_free(a);
}

static void findings(struct handle *h)
{
    struct findings found = {0};
    struct error err = {0};
    char identity[128];

    OK(ops->check(h->w, &found, &err));
    CHECK(found.stops == 0, "%s", found.first ? found.first->message : "");
    findings_free(&found);
    OK(ops->identity(h->w, identity, sizeof(identity), &err));
    CHECK(strchr(identity, '/') != NULL && strlen(identity) > 10, "%s", identity);
}

static void restricted(struct session *s, const char *url)
{
    struct findings found = {0};
    struct error err = {0};
    struct handle h;
    struct session *plain;
    bool granted = false;

    OK(ops->exec(s, "DROP ROLE IF EXISTS wpg_probe_plain", NULL, &err));
    OK(ops->exec(s, "CREATE ROLE wpg_probe_plain LOGIN", NULL, &err));
    OK(handle_open(&h, url, "wpg_probe_plain", &err));
    OK(ops->check(h.w, &found, &err));
    for (const struct finding *f = found.first; f != NULL; f = f->next)
        granted |= f->severity == FINDING_STOPS && f->fix != NULL &&
                   strncmp(f->fix, "GRANT CREATE ON DATABASE", 24) == 0;
    CHECK(granted, "%d findings stop", found.stops);
    findings_free(&found);
    OK(ops->connect(h.w, "penstock:probe:plain", &plain, &err));
    FAILS(ops->exec(plain, "CREATE SCHEMA no_right", NULL, &err), ERROR_CONFIG);
    CHECK(strstr(err.hint, "GRANT CREATE ON DATABASE") != NULL, "%s", err.hint);
    ops->disconnect(plain);
    handle_close(&h);
    OK(ops->exec(s, "DROP ROLE wpg_probe_plain", NULL, &err));
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct handle h;
    struct session *s;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 2) {
        fprintf(stderr, "usage: wpg_probe URL\n");
        return 2;
    }
    if (!handle_open(&h, argv[1], NULL, &err) ||
        !ops->connect(h.w, "penstock:probe:main", &s, &err)) {
        printf("FAIL %s\n", err.message);
        return 1;
    }
    OK(ops->exec(s, "DROP SCHEMA IF EXISTS wpg_probe CASCADE", NULL, &err));
    OK(ops->exec(s, "CREATE SCHEMA wpg_probe", NULL, &err));
    pinned(s);
    all_types(s);
    long_numbers(s);
    loader(s);
    statements(s);
    ops->disconnect(s);
    OK(ops->connect(h.w, "penstock:probe:main", &s, &err));
    transactions(s);
    abandoned_copy(s);
    cancelled(&h);
    lost(&h, s);
    blockers(&h, argv[1]);
    connecting(argv[1]);
    findings(&h);
    restricted(s, argv[1]);
    ops->disconnect(s);
    handle_close(&h);
    printf("%s\n", failures ? "failed" : "ok");
    return failures ? 1 : 0;
}
