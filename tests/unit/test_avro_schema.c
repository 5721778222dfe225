/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schema texts: a golden one of every kind, the way back to the table, what foreign schemas are
 * taken for and which are refused. PENSTOCK_GOLDEN=write renews tests/golden/avro.
 */
#include "avro_c.h"
#include "avro_random.h"

#include "avro/compat.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct column *add(struct arena *a, struct table *t, const char *name, enum type_kind kind,
                          bool nullable, const char *source_type)
{
    struct column *c = &t->cols[t->ncols++];

    c->name = arena_strdup(a, name);
    c->kind = kind;
    c->nullable = nullable;
    c->source_type = source_type;
    return c;
}

/* Every kind and every branch of the writer. */
static struct table *every_kind(struct arena *a)
{
    struct table *t = arena_calloc(a, 1, sizeof(*t));
    struct column *c;

    t->schema = "public";
    t->name = "every-\"kind\"";
    t->cols = arena_calloc(a, 40, sizeof(*t->cols));
    add(a, t, "id", TYPE_INT64, false, "bigint")->key_pos = 2;
    add(a, t, "flag", TYPE_BOOL, true, "boolean");
    add(a, t, "small", TYPE_INT16, false, "smallint");
    add(a, t, "int", TYPE_INT32, true, "integer");
    add(a, t, "real", TYPE_FLOAT32, true, "real");
    add(a, t, "double", TYPE_FLOAT64, false, "double precision");
    c = add(a, t, "price", TYPE_DECIMAL, true, "numeric(10,2)");
    c->precision = 10;
    c->scale = 2;
    c = add(a, t, "units", TYPE_DECIMAL, false, "numeric(38,0)");
    c->precision = 38;
    add(a, t, "free", TYPE_NUMERIC, true, "numeric");
    add(a, t, "free key", TYPE_NUMERIC, true, "numeric(5,-2)")->key_pos = 1;
    add(a, t, "text", TYPE_TEXT, true, "text");
    add(a, t,
        "Gr\xc3\xb6\xc3\x9f"
        "e",
        TYPE_TEXT, false, "character varying(20)");
    add(a, t, "xml", TYPE_TEXT, true, "xml")->semantic = "io.debezium.data.Xml";
    add(a, t, "raw", TYPE_BYTES, true, "bytea");
    add(a, t, "day", TYPE_DATE, false, "date");
    add(a, t, "hour", TYPE_TIME, true, "time without time zone");
    add(a, t, "local", TYPE_TIMESTAMP, true, "timestamp without time zone");
    add(a, t, "instant", TYPE_TIMESTAMPTZ, false, "timestamp with time zone");
    add(a, t, "span", TYPE_INTERVAL, true, "interval day to second");
    add(a, t, "spans", TYPE_TEXT, true, "interval[]");
    add(a, t, "domain of span", TYPE_INTERVAL, true, "shop.patience");
    add(a, t, "text of span", TYPE_TEXT, true, "interval");
    add(a, t, "uuid", TYPE_UUID, false, "uuid");
    add(a, t, "json", TYPE_JSON, true, "jsonb");
    add(a, t, "mood", TYPE_ENUM, true, "public.mood")->allowed = "sad,\"so so\",ok\\";
    add(a, t, "bit", TYPE_BITS, true, "bit(1)")->precision = 1;
    add(a, t, "bits", TYPE_BITS, false, "bit(12)")->precision = 12;
    add(a, t, "a-b", TYPE_INT32, false, "integer");
    add(a, t, "a_b", TYPE_INT32, false, "integer");
    add(a, t, "tab\there", TYPE_INT32, false, "integer");
    table_index_keys(a, t);
    table_name_fields(a, t, "my-shop.1");
    return t;
}

static void assert_golden(const char *name, struct buf *text)
{
    const char *mode = getenv("PENSTOCK_GOLDEN");
    static char expected[65536];
    char path[256];
    size_t n;
    FILE *f;

    snprintf(path, sizeof(path), "tests/golden/avro/%s", name);
    f = fopen(path, mode != NULL && strcmp(mode, "write") == 0 ? "w+" : "r");
    if (f == NULL)
        fail_msg("cannot open %s (run from the top folder)", path);
    if (mode != NULL && strcmp(mode, "write") == 0) {
        fprintf(f, "%s\n", buf_cstr(text));
        rewind(f);
    }
    n = fread(expected, 1, sizeof(expected) - 1, f);
    fclose(f);
    expected[n > 0 ? n - 1 : 0] = '\0'; /* without the last newline */
    assert_string_equal(buf_cstr(text), expected);
}

static void assert_parses(struct buf *text)
{
    struct error err = {0};
    avro_schema_t schema;

    if (avro_schema_from_json_length(buf_cstr(text), text->len, &schema) != 0)
        fail_msg("avro-c: %s: %s", avro_strerror(), buf_cstr(text));
    avro_schema_decref(schema);
    if (!avro_validate(buf_cstr(text), &err))
        fail_msg("%s: %s", err.message, buf_cstr(text));
}

static void assert_same_table(const struct table *t, const struct table *got)
{
    int i;

    assert_string_equal(got->schema, t->schema);
    assert_string_equal(got->name, t->name);
    assert_string_equal(got->topic, t->topic);
    assert_int_equal(got->ncols, t->ncols);
    assert_int_equal(got->nkeys, t->nkeys);
    for (i = 0; i < t->nkeys; i++)
        assert_int_equal(got->keys[i], t->keys[i]);
    for (i = 0; i < t->ncols; i++) {
        const struct column *c = &t->cols[i], *g = &got->cols[i];

        assert_string_equal(g->name, c->name);
        assert_string_equal(g->field, c->field);
        assert_string_equal(g->source_type, c->source_type);
        assert_string_equal(type_kind_name(g->kind), type_kind_name(c->kind));
        assert_int_equal(g->precision, c->precision);
        assert_int_equal(g->scale, c->scale);
        assert_int_equal(g->key_pos, c->key_pos);
        assert_int_equal(g->nullable, c->nullable && c->key_pos == 0);
        assert_string_equal(g->semantic ? g->semantic : "-", c->semantic ? c->semantic : "-");
        assert_string_equal(g->allowed ? g->allowed : "-", c->allowed ? c->allowed : "-");
    }
}

/* Valid for avro-c and for us, the same bytes again, and back to the same table. */
static void check(struct arena *a, const struct table *t)
{
    struct buf value = {0}, again = {0}, key = {0};
    struct error err = {0};
    struct table *got;

    avro_value_schema(&value, t, &test_block);
    avro_value_schema(&again, t, &test_block);
    assert_int_equal(value.len, again.len);
    assert_memory_equal(value.data, again.data, value.len);
    assert_parses(&value);
    if (t->nkeys > 0) {
        avro_key_schema(&key, t);
        assert_parses(&key);
    }
    if (!avro_table(a, buf_cstr(&value), t->nkeys > 0 ? buf_cstr(&key) : NULL, &got, &err))
        fail_msg("%s", err.message);
    assert_same_table(t, got);
    buf_reset(&again); /* what was read back is written as the same text */
    avro_value_schema(&again, got, &test_block);
    assert_string_equal(buf_cstr(&again), buf_cstr(&value));
    buf_free(&value);
    buf_free(&again);
    buf_free(&key);
}

static void the_golden_texts(void **state)
{
    struct arena *a = arena_new("test");
    struct table *t = every_kind(a);
    struct buf out = {0};

    (void)state;
    avro_value_schema(&out, t, &test_block);
    assert_golden("every-kind-value.avsc", &out);
    buf_reset(&out);
    avro_key_schema(&out, t);
    assert_golden("every-kind-key.avsc", &out);
    check(a, t);
    buf_free(&out);
    arena_free(a);
}

static void any_table_comes_back(void **state)
{
    int i;

    (void)state;
    random_seed();
    for (i = 0; i < 300; i++) {
        struct arena *a = arena_new("test");

        check(a, random_table(a));
        arena_free(a);
    }
}

static void odd_names_come_back(void **state)
{
    static const char *const names[] = {"a", "1.2", "\"", "\\", "\x01\x1f\x7f", "\xe2\x82\xac",
                                        "."};
    struct arena *a = arena_new("test");
    struct table *t = arena_calloc(a, 1, sizeof(*t));
    size_t i;

    (void)state;
    t->cols = arena_calloc(a, 1, sizeof(*t->cols));
    t->schema = t->name = ""; /* no columns, no names */
    table_index_keys(a, t);
    table_name_fields(a, t, "p");
    check(a, t);
    for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
        t->schema = names[i];
        t->name = names[sizeof(names) / sizeof(*names) - 1 - i];
        t->ncols = 0;
        add(a, t, names[i], TYPE_TEXT, true, names[i]);
        table_name_fields(a, t, "1-shop");
        check(a, t);
    }
    arena_free(a);
}

#define ENVELOPE(fields)                                                               \
    "{\"type\":\"record\",\"name\":\"Envelope\",\"namespace\":\"p.s.t\",\"fields\":["  \
    "{\"name\":\"before\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Value\"," \
    "\"fields\":[" fields "]}]},{\"name\":\"after\",\"type\":[\"null\",\"Value\"]},"   \
    "{\"name\":\"op\",\"type\":\"string\"}]}"
#define NAMED(type, name) \
    ENVELOPE("{\"name\":\"c\",\"type\":{\"type\":\"" type "\",\"connect.name\":\"" name "\"}}")

static void foreign_types_are_known(void **state)
{
    static const struct {
        const char *schema;
        enum type_kind kind;
    } known[] = {
        {NAMED("int", "org.apache.kafka.connect.data.Date"), TYPE_DATE},
        {NAMED("int", "io.debezium.time.Time"), TYPE_TIME},
        {NAMED("long", "org.apache.kafka.connect.data.Timestamp"), TYPE_TIMESTAMP},
        {NAMED("int", "io.debezium.time.Year"), TYPE_INT32},
        {NAMED("string", "io.debezium.time.ZonedTime"), TYPE_TEXT},
        {ENVELOPE("{\"name\":\"c\",\"type\":\"long\"}"), TYPE_INT64},
        {ENVELOPE("{\"name\":\"c\",\"type\":[\"null\",\"string\"]}"), TYPE_TEXT},
        {ENVELOPE("{\"name\":\"c\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","
                  "\"precision\":9,\"scale\":3}}"),
         TYPE_DECIMAL},
        {ENVELOPE("{\"name\":\"c\",\"type\":{\"type\":\"int\",\"logicalType\":\"date\"}}"),
         TYPE_DATE},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(known) / sizeof(*known); i++) {
        struct arena *a = arena_new("test");
        struct error err = {0};
        struct table *t;

        if (!avro_table(a, known[i].schema, "", &t, &err))
            fail_msg("%s: %s", known[i].schema, err.message);
        assert_int_equal(t->cols[0].kind, known[i].kind);
        assert_string_equal(t->cols[0].name, "c");
        assert_string_equal(t->schema, "s");
        assert_string_equal(t->name, "t");
        arena_free(a);
    }
}

static void what_would_be_guessed_is_refused(void **state)
{
    static const char *const schemas[] = {
        "",
        "{",
        "\"string\"",
        "[]",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"r\",\"type\":\"R\"}]}",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"r\",\"type\":\"Q\"}]}",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"r\",\"type\":\"int\"},"
        "{\"name\":\"r\",\"type\":\"int\"}]}",
        "{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}",
        "[\"null\",[\"null\",\"int\"]]",
        NAMED("long", "io.debezium.time.NanoTimestamp"),
        NAMED("long", "io.debezium.time.MicroDuration"),
        NAMED("bytes", "org.apache.kafka.connect.data.Decimal"), /* without precision */
        NAMED("bytes", "io.debezium.data.Bits"),                 /* without length */
        NAMED("float", "some.Measure"),
        ENVELOPE("{\"name\":\"c\",\"type\":{\"type\":\"array\",\"items\":\"int\"}}"),
        ENVELOPE("{\"name\":\"c\",\"type\":[\"null\",\"int\",\"string\"]}"),
        ENVELOPE("{\"name\":\"c\",\"type\":[\"int\"]}"),
        ENVELOPE("{\"name\":\"c\",\"type\":{\"type\":\"long\",\"logicalType\":"
                 "\"timestamp-micros\"}}"),
        ENVELOPE("{\"name\":\"c\",\"type\":{\"type\":\"record\",\"name\":\"Point\",\"fields\":["
                 "{\"name\":\"x\",\"type\":\"double\"}]}}"),
        ENVELOPE("{\"name\":\"c\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","
                 "\"precision\":2,\"scale\":3}}"),
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(schemas) / sizeof(*schemas); i++) {
        struct arena *a = arena_new("test");
        struct error err = {0};
        struct table *t;

        if (avro_table(a, schemas[i], NULL, &t, &err))
            fail_msg("accepted %s", schemas[i]);
        assert_int_equal(err.kind, ERROR_DATA);
        if (strstr(schemas[i], "\"name\":\"c\"") != NULL && strstr(err.message, "field c") == NULL)
            fail_msg("%s does not name the field", err.message);
        arena_free(a);
    }
}

static void keys_have_to_match(void **state)
{
    static const char value[] = ENVELOPE("{\"name\":\"c\",\"type\":\"int\"}");
    static const char *const keys[] = {
        "\"int\"",
        "{\"type\":\"record\",\"name\":\"K\",\"fields\":[{\"name\":\"d\",\"type\":\"int\"}]}",
        "{\"type\":\"record\",\"name\":\"K\",\"fields\":[{\"name\":\"c\",\"type\":\"long\"}]}",
        "{\"type\":\"record\",\"name\":\"K\",\"fields\":[{\"name\":\"c\","
        "\"type\":[\"null\",\"int\"]}]}",
    };
    struct arena *a = arena_new("test");
    struct error err = {0};
    struct table *t;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        assert_false(avro_table(a, value, keys[i], &t, &err));
        assert_int_equal(err.kind, ERROR_DATA);
    }
    arena_free(a);
}

/* Nesting beyond the limit and a wide table: no crash, no quadratic trouble. */
static void large_schemas(void **state)
{
    struct arena *a = arena_new("test");
    struct table *t = arena_calloc(a, 1, sizeof(*t));
    struct error err = {0};
    struct buf deep = {0};
    int i;

    (void)state;
    for (i = 0; i < 1000; i++)
        buf_puts(&deep, "{\"type\":\"array\",\"items\":");
    buf_puts(&deep, "\"int\"");
    for (i = 0; i < 1000; i++)
        buf_puts(&deep, "}");
    assert_false(avro_table(a, buf_cstr(&deep), NULL, &t, &err));
    t = arena_calloc(a, 1, sizeof(*t));
    t->schema = "public";
    t->name = "wide";
    t->cols = arena_calloc(a, 1600, sizeof(*t->cols));
    for (i = 0; i < 1600; i++)
        add(a, t, arena_printf(a, "c %d", i), TYPE_NUMERIC, true, "numeric");
    table_index_keys(a, t);
    table_name_fields(a, t, "shop");
    check(a, t);
    buf_free(&deep);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_golden_texts),
        cmocka_unit_test(any_table_comes_back),
        cmocka_unit_test(odd_names_come_back),
        cmocka_unit_test(foreign_types_are_known),
        cmocka_unit_test(what_would_be_guessed_is_refused),
        cmocka_unit_test(keys_have_to_match),
        cmocka_unit_test(large_schemas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
