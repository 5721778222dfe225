/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every type with its nasty values goes through a stage and a cast into a table and must come back
 * as the text that went in; long numbers must be the server's own bytes; values that a type cannot
 * hold must be loud.
 */
#include "wpg_probe.h"

#include "load/text.h"

#include <math.h>

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
    for (int i = 0; err.kind == ERROR_NONE && i < rows.nrows; i++) {
        struct value v = sample_value(a, &c->samples[i]);

        probe_default(s, a, &cols[1], i, &v);
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

void probe_loader(struct session *s)
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
    FAILS(append_text(s, "text", TYPE_TEXT, OVERFLOW_STOP, nul, &nulled, &err), ERROR_DATA);
    OK(ops->exec(s, "SELECT 1", NULL, &err));
    mem_free(big);
    arena_free(a);
}

/* 17 and later have infinite intervals; before, they are refused. */
static void infinite_intervals(struct session *s)
{
    static const struct type_case infinite = {
        "interval", TYPE_INTERVAL, {T("infinity"), T("-infinity")}};
    struct value v = {.state = VALUE_SET, .s = {.p = "infinity", .len = 8}};
    struct arena *a = arena_new("probe");
    struct error err = {0};
    struct rowset r;
    int64_t nulled;

    OK(ops->query(s, a, "SHOW server_version_num", &r, &err));
    if (atoi(rowset_get(&r, 0, 0)) >= 170000) {
        one_type(s, a, &infinite);
    } else {
        OK(ops->exec(s, "CREATE TEMP TABLE one (v interval)", NULL, &err));
        FAILS(append_text(s, "interval", TYPE_INTERVAL, OVERFLOW_STOP, v, &nulled, &err),
              ERROR_DATA);
        OK(ops->exec(s, "DROP TABLE pg_temp.one", NULL, &err));
    }
    arena_free(a);
}

void probe_types(struct session *s)
{
    infinite_intervals(s);
    all_types(s);
    long_numbers(s);
}
