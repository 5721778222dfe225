/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings, references, masking, lists of regular expressions, YAML files, URLs. The list of
 * connectors is a stand-in, so that these tests need no connector.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config_internal.h"
#include "config/feeds.h"
#include "config/file.h"
#include "config/nearest.h"
#include "config/urls.h"
#include "connectors.h"
#include "util/mem.h"

static const struct setting stand_in_source[] = {
    {.name = "database.hostname", .type = SETTING_STRING, .required = true, .doc = "Host."},
    {.name = "database.port",
     .type = SETTING_INT,
     .def = "5432",
     .min = 1,
     .max = 65535,
     .doc = "Port."},
    {.name = "database.user", .type = SETTING_STRING, .doc = "Role."},
    {.name = "database.password", .type = SETTING_PASSWORD, .doc = "Password."},
    {.name = "database.dbname", .type = SETTING_STRING, .required = true, .doc = "Database."},
    {.name = "database.sslmode", .type = SETTING_STRING, .def = "prefer", .doc = "TLS."},
    {.name = "slot.name", .type = SETTING_STRING, .doc = "Slot."},
    {.name = "publication.name", .type = SETTING_STRING, .doc = "Publication."},
    {.name = NULL},
};
static const char *const source_aliases[] = {"io.debezium.connector.postgresql.PostgresConnector",
                                             NULL};
static const struct source_ops source = {
    .name = "postgres", .aliases = source_aliases, .settings = stand_in_source};
static const struct warehouse_ops duckdb = {.name = "duckdb"};
static const struct warehouse_ops postgres = {.name = "postgres-warehouse"};

const struct source_ops *const connectors_sources[] = {&source, NULL};
const struct warehouse_ops *const connectors_warehouses[] = {&duckdb, &postgres, NULL};

const struct source_ops *connectors_source(const char *name)
{
    return strcmp(name, "postgres") == 0 || strcmp(name, source_aliases[0]) == 0 ? &source : NULL;
}

const struct warehouse_ops *connectors_warehouse(const char *name)
{
    return strcmp(name, "duckdb") == 0               ? &duckdb
           : strcmp(name, "postgres-warehouse") == 0 ? &postgres
                                                     : NULL;
}

static const struct setting all_types[] = {
    {.name = "text", .type = SETTING_STRING, .def = "some", .doc = "Text."},
    {.name = "yes", .type = SETTING_BOOL, .def = "false", .doc = "Flag."},
    {.name = "count", .type = SETTING_INT, .def = "3", .min = 1, .max = 10, .doc = "Number."},
    {.name = "size", .type = SETTING_BYTES, .def = "1MB", .doc = "Bytes."},
    {.name = "mode", .type = SETTING_ENUM, .def = "one", .choices = "one,two", .doc = "Choice."},
    {.name = "topics.regex", .type = SETTING_REGEX, .doc = "Topics."},
    {.name = "in", .type = SETTING_REGEXES, .doc = "Tables."},
    {.name = "out", .type = SETTING_REGEXES, .doc = "Tables."},
    {.name = "secret", .type = SETTING_PASSWORD, .doc = "Secret."},
    {.name = "url", .type = SETTING_URL, .doc = "URL."},
    {.name = "must", .type = SETTING_STRING, .required = true, .doc = "Must be there."},
    {.name = "done", .type = SETTING_STRING, .only = "anyway", .doc = "Done anyway."},
    {.name = NULL},
};
static const struct setting *const tables[] = {all_types, NULL};

static struct error err;

/* A config with `must` and one more pair. */
static struct config *make(const char *key, const char *value)
{
    const char *pairs[] = {"must", "x", key, value, NULL};
    struct config *c = NULL;

    error_clear(&err);
    if (!config_make(&c, "t", tables, pairs, &err))
        assert_null(c);
    return c;
}

static void refused(const char *key, const char *value, const char *message, const char *hint)
{
    struct config *c = make(key, value);

    assert_null(c);
    assert_int_equal(err.kind, ERROR_CONFIG);
    if (strstr(err.message, message) == NULL || strstr(err.hint, hint) == NULL)
        fail_msg("%s: %s / %s", key, err.message, err.hint);
}

static int64_t number(const char *key, const char *value)
{
    struct config *c = make(key, value);
    int64_t n;

    if (c == NULL)
        fail_msg("%s: %s", key, err.message);
    n = config_int(c, key);
    config_free(c);
    return n;
}

static void values_by_type(void **state)
{
    (void)state;
    assert_int_equal(number("count", " 7 "), 7);
    assert_int_equal(number("size", "8388608"), 8388608);
    assert_int_equal(number("size", "64KB"), 65536);
    assert_int_equal(number("size", "8mb"), 8 << 20);
    assert_int_equal(number("size", "1 GB"), 1 << 30);
    assert_int_equal(number("yes", "True"), 1);
    refused("count", "11", "\"11\" is out of range, which is 1 to 10", "Number.");
    refused("count", "3.5", "not a whole number", "");
    refused("count", "99999999999999999999", "not a whole number", "");
    refused("count", "", "the value is empty", "");
    refused("size", "8TBs", "not a number of bytes", "");
    refused("size", "-1", "not a number of bytes", "");
    refused("size", "9223372036854775807GB", "too large", "");
    refused("yes", "on", "neither true nor false", "");
    refused("mode", "tow", "not one of: one,two", "did you mean mode: two?");
    refused("done", "never", "refused: Done anyway.", "write \"anyway\"");
    refused("must", "y", "must is given twice", "");
    refused("cuont", "1", "cuont is not a setting", "did you mean count?");
    refused("transforms.x.type", "a", "has no meaning here: single message", "remove");
    refused("zzzzzzzzz", "1", "is not a setting", "`penstock config` lists");
}

static void defaults_order_and_known_spelling(void **state)
{
    const char *pairs[] = {"mode", "TWO", "must", "x", "yes", "TRUE", NULL};
    const char *none[] = {NULL};
    struct config *c;
    const char *shown;
    size_t at = 0;

    (void)state;
    assert_true(config_make(&c, "t", tables, pairs, &err));
    assert_string_equal(config_name(c), "t");
    assert_string_equal(config_string(c, "mode"), "two");
    assert_true(config_bool(c, "yes"));
    assert_string_equal(config_string(c, "text"), "some");
    assert_int_equal(config_int(c, "size"), 1 << 20);
    assert_null(config_string(c, "url"));
    assert_null(config_string(c, "no such setting"));
    assert_true(config_is_set(c, "mode"));
    assert_false(config_is_set(c, "text"));
    assert_string_equal(config_next(c, &at, &shown), "mode");
    assert_string_equal(config_next(c, &at, &shown), "must");
    assert_string_equal(config_next(c, &at, &shown), "yes");
    assert_null(config_next(c, &at, &shown));
    config_free(c);

    assert_false(config_make(&c, "t", tables, none, &err));
    assert_non_null(strstr(err.message, "must is missing"));
}

static void shown(const char *key, const char *value, const char *expected)
{
    struct config *c = make(key, value);
    const char *name, *masked = NULL;
    size_t at = 0;

    if (c == NULL)
        fail_msg("%s: %s", key, err.message);
    while ((name = config_next(c, &at, &masked)) != NULL && strcmp(name, key) != 0)
        ;
    assert_string_equal(masked, expected);
    config_free(c);
}

static void secrets_are_hidden(void **state)
{
    (void)state;
    setenv("PENSTOCK_TEST_PW", "hunter2", 1);
    shown("secret", "hunter2", "[hidden]");
    shown("secret", "${env:PENSTOCK_TEST_PW}", "[hidden]");
    shown("text", "a ${env:PENSTOCK_TEST_PW}", "a ${env:PENSTOCK_TEST_PW}");
    shown("url", "duckdb:w.duckdb", "duckdb:w.duckdb");
    shown("url", "postgres://u:hunter2@h:5432/db?sslmode=require",
          "postgres://u:[hidden]@h:5432/db?sslmode=require");
    shown("url", "postgres://u@h/db", "postgres://u@h/db");
    shown("url", "postgres://h:5432/db", "postgres://h:5432/db");
    shown("url", "postgres:///db?host=/run&user=u&password=hunter2&port=1",
          "postgres:///db?host=/run&user=u&password=[hidden]&port=1");
    shown("url", "postgres://u:a@h/db?%70assword=hunter2",
          "postgres://u:[hidden]@h/db?%70assword=[hidden]");
    shown("url", "postgres://u:hun/t@er:2@h/db", "postgres://u:[hidden]@h/db");
    shown("url", "https://u:hunter2@h/x?token=abc", "https://u:[hidden]@h/x?token=[hidden]");
    shown("url", "host=h password=hunter2", "[hidden]");
    shown("url", "postgres://u:${env:PENSTOCK_TEST_PW}@h/db", "postgres://u:[hidden]@h/db");
    setenv("PENSTOCK_TEST_URL", "postgres://u:hunter2@h/db", 1);
    shown("url", "${env:PENSTOCK_TEST_URL}", "${env:PENSTOCK_TEST_URL}");
    /* a bad value that came from a reference is not shown either */
    refused("count", "${env:PENSTOCK_TEST_PW}", "\"${env:PENSTOCK_TEST_PW}\" is not a whole", "");
    assert_null(strstr(err.message, "hunter2"));
}

static void resolves(const char *raw, const char *expected)
{
    bool found;
    char *out;

    if (!config_resolve(raw, &out, &found, &err))
        fail_msg("%s: %s", raw, err.message);
    assert_string_equal(out, expected);
    mem_free(out);
}

static void resolves_not(const char *raw, const char *message, const char *hint)
{
    bool found;
    char *out;

    assert_false(config_resolve(raw, &out, &found, &err));
    assert_null(out);
    assert_int_equal(err.kind, ERROR_CONFIG);
    if (strstr(err.message, message) == NULL || strstr(err.hint, hint) == NULL)
        fail_msg("%s: %s / %s", raw, err.message, err.hint);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void references(void **state)
{
    char path[] = "/tmp/penstock-test-XXXXXX", raw[128];
    int fd = mkstemp(path);

    (void)state;
    close(fd);
    setenv("PENSTOCK_TEST_A", "one ${env:PENSTOCK_TEST_B}", 1);
    unsetenv("PENSTOCK_TEST_B");
    resolves("x${env:PENSTOCK_TEST_A}y", "xone ${env:PENSTOCK_TEST_B}y");
    resolves("${topic} a{2,3}$ ${", "${topic} a{2,3}$ ${");
    resolves_not("${env:PENSTOCK_TEST_AA}", "no variable PENSTOCK_TEST_AA", "PENSTOCK_TEST_A");
    resolves_not("x${env:PENSTOCK_TEST_A", "begins with ${env: and does not end", "}");
    resolves_not("${file:/x:y", "begins with ${file: and does not end", "}");
    resolves("${HOME", "${HOME");
    resolves_not("${vault:a:b}", "${vault:...} is not a reference", "${env:NAME}");
    resolves_not("${file:/etc/x}", "names no file with a key", "");
    resolves_not("${file:/nonexistent/x:k}", "cannot read /nonexistent/x", "");

    write_file(path, "# comment = no\n"
                     "! either\n"
                     "\n"
                     "plain=secret\n"
                     "  spaced  :  with blanks  \n"
                     "escaped = a\\\\b\\u00e9\\=\\tc\n"
                     "long=first\\\n"
                     "    second\n"
                     "blank value\n"
                     "a\\ key=1\n"
                     "plain=last one counts");
    snprintf(raw, sizeof(raw), "<${file:%s:plain}>", path);
    resolves(raw, "<last one counts>");
    snprintf(raw, sizeof(raw), "${file:%s:spaced}", path);
    resolves(raw, "with blanks  ");
    snprintf(raw, sizeof(raw), "${file:%s:escaped}", path);
    resolves(raw, "a\\b\xc3\xa9=\tc");
    snprintf(raw, sizeof(raw), "${file:%s:long}", path);
    resolves(raw, "firstsecond");
    snprintf(raw, sizeof(raw), "${file:%s:blank}", path);
    resolves(raw, "value");
    snprintf(raw, sizeof(raw), "${file:%s:a key}", path);
    resolves(raw, "1");
    snprintf(raw, sizeof(raw), "${file:%s:none}", path);
    resolves_not(raw, "has no key none", "write a line");
    unlink(path);
}

static bool selects(const char *in, const char *out, const char *text)
{
    const char *pairs[] = {"must", "x", "in", in, "out", out, NULL};
    struct config *c;
    bool yes;

    if (!config_make(&c, "t", tables, pairs, &err))
        fail_msg("%s", err.message);
    if (!config_selects(c, "in", "out", text, &yes, &err))
        fail_msg("%s", err.message);
    config_free(c);
    return yes;
}

static void lists_of_expressions(void **state)
{
    (void)state;
    assert_true(selects("", "", "public.a"));
    assert_true(selects("public.a", "", "public.a"));
    assert_true(selects("PUBLIC\\.A", "", "public.a")); /* case does not count */
    assert_false(selects("public.a", "", "public.ab")); /* the whole text */
    assert_false(selects("ublic.a", "", "public.a"));
    assert_true(selects("x|public.a", "", "public.a"));
    assert_false(selects("public|x.a", "", "public.a"));
    assert_true(selects(" public.a , public.b ,", "", "public.b"));
    assert_true(selects("public\\..*", "public.b,public.c", "public.a"));
    assert_false(selects("public\\..*", "public.b,public.c", "public.c"));
    assert_false(selects("", "public.b", "public.b"));
    /* commas that do not separate */
    assert_true(selects("s.t{1,3}", "", "s.tt"));
    assert_true(selects("s.[a,b]", "", "s.,"));
    assert_true(selects("s.[],]", "", "s.,"));
    assert_true(selects("s.[[:digit:],]x", "", "s.7x"));
    assert_true(selects("s\\.a\\,b,s.c", "", "s.a,b"));
    assert_true(selects("s\\.a\\,b,s.c", "", "s.c"));
    assert_true(selects("s.(a|b,c)", "", "s.b,c"));
    assert_true(selects("\\Qs.a,(\\E,s.c", "", "s.a,("));
    assert_true(selects("s.{,s.c", "", "s.c")); /* not a quantifier */
    /* UTF-8, and text that is not */
    assert_true(selects("s.\xc3\x89.", "", "s.\xc3\xa9x"));
    assert_false(selects("s.a", "", "s.\xff"));
}

/* Nobody is told that a table is not selected because its name took too long to compare. */
static void too_costly_expressions(void **state)
{
    const char *in[] = {"must", "x", "in", "(a+)+(b|c)", NULL};
    const char *out[] = {"must", "x", "out", "(a+)+(b|c)", NULL};
    char name[64] = "";
    struct config *c;
    bool yes;

    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    for (int i = 0; i < 2; i++) {
        assert_true(config_make(&c, "t", tables, i == 0 ? in : out, &err));
        assert_false(config_selects(c, "in", "out", name, &yes, &err));
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_non_null(strstr(err.message, i == 0 ? "t: in: " : "t: out: "));
        assert_non_null(strstr(err.message, name));
        assert_non_null(strstr(err.hint, "a simpler expression"));
        assert_true(config_selects(c, "in", "out", "public.a", &yes, &err));
        config_free(c);
    }
}

static void bad_expressions(void **state)
{
    struct config *c;
    bool yes;

    (void)state;
    refused("in", "public.a,public.(b", "not a regular expression at offset 18", "Tables.");
    refused("in", "a,*b", "at offset 2", "");
    refused("topics.regex", "[a", "not a regular expression", "");
    /* one expression: a comma is a character, case counts */
    c = make("topics.regex", "shop\\.a,b");
    assert_true(config_selects(c, "topics.regex", NULL, "shop.a,b", &yes, &err) && yes);
    assert_true(config_selects(c, "topics.regex", NULL, "SHOP.a,b", &yes, &err) && !yes);
    config_free(c);
}

static void nearest_names(void **state)
{
    struct nearest n = {0};
    char out[32];

    (void)state;
    assert_int_equal(edit_distance("kitten", "sitting"), 3);
    assert_int_equal(edit_distance("ab", "ba"), 1);
    assert_int_equal(edit_distance("ABC", "abc"), 0);
    nearest_offer(&n, "table.inclde.list", "table.exclude.list");
    nearest_offer(&n, "table.inclde.list", "table.include.list");
    assert_string_equal(n.best, "table.include.list");
    n = (struct nearest){0};
    nearest_offer(&n, "abc", "xyzxyz");
    assert_null(n.best);
    assert_string_equal(nearest_choice("inital", "initial,never", out, sizeof(out)), "initial");
    assert_null(nearest_choice("zzzzz", "initial,never", out, sizeof(out)));
}

/* libpq's own parser is the oracle: the same parts, the same refusals. */
static const char *oracle(const PQconninfoOption *o, const char *keyword)
{
    for (; o->keyword != NULL; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o->val;
    return NULL;
}

static void same(const char *url, const char *what, const char *ours, const char *theirs)
{
    if ((ours == NULL) != (theirs == NULL) || (ours != NULL && strcmp(ours, theirs) != 0))
        fail_msg("%s: %s is %s, libpq says %s", url, what, ours, theirs);
}

static void urls_as_libpq(void **state)
{
    static const char *const urls[] = {
        "postgres://u:p@h:5433/db?sslmode=require",
        "postgresql://u@h/db",
        "postgres://",
        "postgres:///db",
        "postgres:///db?host=/var/run/postgresql",
        "postgres://%2Ftmp%2Fsock:5433/db",
        "postgres://[::1]:5433/db",
        "postgres://[2001:db8::1]/db?application_name=x%20y",
        "postgres://u%40x:p%2Fw%3A%40%25@h/d%20b",
        "postgres://u:p:q@h/db",
        "postgres://:p@h/db",
        "postgres://u:@h/db",
        "postgres://h:5432",
        "postgres://h?dbname=x&user=y&password=z&port=1",
        "postgres://u:p@h/db?user=other",
        "postgres://u:p@h/db?",
        "postgres://h/db?sslmode=a&sslmode=b",
        "postgres://h/a/b",
        /* refused by both */
        "postgres://u:p%zz@h/db",
        "postgres://h/db%00",
        "postgres://h/db?sslmode",
        "postgres://h/db?a=b=c",
        "postgres://h/db?nosuch=1",
        "postgres://[::1/db",
        "postgres://[]/db",
        "postgres://[::1]x/db",
        "postgres://h/db?&",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char *why = NULL;
        PQconninfoOption *o = PQconninfoParse(urls[i], &why);
        struct url_postgres u;
        bool ok = url_parse_postgres(urls[i], &u, &err);

        if (ok != (o != NULL))
            fail_msg("%s: ours %s, libpq: %s", urls[i], ok ? "takes it" : err.message, why);
        if (ok) {
            same(urls[i], "host", u.host, oracle(o, "host"));
            same(urls[i], "port", u.port, oracle(o, "port"));
            same(urls[i], "user", u.user, oracle(o, "user"));
            same(urls[i], "password", u.password, oracle(o, "password"));
            same(urls[i], "database", u.database, oracle(o, "dbname"));
            for (size_t j = 0; j < u.nparameters; j++)
                same(urls[i], u.parameters[j].name, u.parameters[j].value,
                     oracle(o, u.parameters[j].name));
            url_postgres_free(&u);
        } else {
            assert_int_equal(err.kind, ERROR_CONFIG);
        }
        PQconninfoFree(o);
        PQfreemem(why);
    }
}

static void urls_refused_here(void **state)
{
    struct url_postgres u;

    (void)state;
    assert_false(url_parse_postgres("postgres://a,b/db", &u, &err));
    assert_non_null(strstr(err.message, "several hosts"));
    assert_false(url_parse_postgres("postgres://h/db?host=a,b", &u, &err));
    /* an unescaped / in a password: the message names the part and how to write it, no piece */
    assert_false(url_parse_postgres("postgres://u:hun/ter2@h/db", &u, &err));
    assert_non_null(strstr(err.message, "port"));
    assert_non_null(strstr(err.hint, "%2F"));
    assert_null(strstr(err.message, "hun"));
    assert_false(url_parse_postgres("postgres://u:p%qhunter@h/db", &u, &err));
    assert_null(strstr(err.message, "hunter"));
}

static struct config_file *load(const char *text)
{
    char path[] = "/tmp/penstock-test-XXXXXX";
    struct config_file *f = NULL;
    int fd = mkstemp(path);

    close(fd);
    write_file(path, text);
    error_clear(&err);
    if (!config_file_load(path, &f, &err))
        assert_null(f);
    unlink(path);
    return f;
}

static void load_refused(const char *text, const char *message, const char *hint)
{
    struct config_file *f = load(text);

    if (f != NULL)
        fail_msg("accepted: %s", text);
    assert_int_equal(err.kind, ERROR_CONFIG);
    if (strstr(err.message, message) == NULL || strstr(err.hint, hint) == NULL)
        fail_msg("%s\n-> %s / %s", text, err.message, err.hint);
}

#define SOURCE                                                         \
    "  shop:\n    connector.class: postgres\n    topic.prefix: shop\n" \
    "    database.hostname: 127.0.0.1\n    database.dbname: shop\n"
#define SINK                                                                   \
    "  warehouse:\n    connector.class: duckdb\n    topics.regex: shop\\..*\n" \
    "    connection.url: duckdb:w.duckdb\n"

static bool takes(const struct config *sink, const char *topic)
{
    bool yes;

    if (!config_takes_topic(sink, topic, &yes, &err))
        fail_msg("%s", err.message);
    return yes;
}

static void files(void **state)
{
    struct config_file *f;

    (void)state;
    setenv("PENSTOCK_TEST_PW", "hunter2", 1);
    f = load("service:\n  name: shop\n  listen: 127.0.0.1:0\nconnectors:\n" SOURCE
             "    database.port: 5433\n    database.password: ${env:PENSTOCK_TEST_PW}\n" SINK);
    if (f == NULL)
        fail_msg("%s / %s", err.message, err.hint);
    assert_false(f->from_urls);
    assert_int_equal(f->nconnectors, 2);
    assert_string_equal(config_name(f->service), "service");
    assert_string_equal(config_string(f->service, "data.dir"), "./penstock-data");
    assert_int_equal(config_int(f->service, "queue.bytes"), 4 << 20);
    assert_string_equal(f->connectors[0].name, "shop");
    assert_ptr_equal(f->connectors[0].source, &source);
    assert_null(f->connectors[0].warehouse);
    assert_int_equal(config_int(f->connectors[0].config, "database.port"), 5433);
    assert_string_equal(config_string(f->connectors[0].config, "database.password"), "hunter2");
    assert_ptr_equal(f->connectors[1].warehouse, &duckdb);
    assert_true(takes(f->connectors[1].config, "shop.public.t"));
    assert_false(takes(f->connectors[1].config, "shops.public.t"));
    config_file_free(f);

    f = load("connectors: {}\n");
    assert_non_null(f);
    assert_int_equal(f->nconnectors, 0);
    config_file_free(f);

    /* JSON is YAML, scalars are their text */
    f = load(
        "{\"service\": {\"api.token\": null},\n\t\"connectors\": {\"shop\": {\"name\": \"shop\", "
        "\"connector.class\": \"io.debezium.connector.postgresql.PostgresConnector\","
        "\"tasks.max\": 1, \"plugin.name\": \"pgoutput\", \"tombstones.on.delete\": false,"
        "\"topic.prefix\": \"shop\", \"database.hostname\": \"h\", \"database.dbname\": \"d\"},"
        "\"w\": {\"connector.class\": \"postgres-warehouse\", \"topics\": \"shop.a.b, shop.a.c\","
        "\"value.overflow.mode\": null, \"connection.url\": \"postgres://u:p@h/d\"}}}");
    if (f == NULL)
        fail_msg("%s / %s", err.message, err.hint);
    assert_true(takes(f->connectors[1].config, "shop.a.c"));
    assert_string_equal(config_string(f->connectors[1].config, "value.overflow.mode"), "null");
    assert_false(takes(f->connectors[1].config, "shop.a"));
    config_file_free(f);
}

static void files_refused_for_their_shape(void **state)
{
    (void)state;
    load_refused("", "is not a map", "examples");
    load_refused("- a\n", "is not a map", "");
    load_refused("service:\n  name: x\n", "has no `connectors:`", "connectors: {}");
    load_refused("conectors: {}\n", ":1: conectors is neither", "did you mean connectors?");
    load_refused("connectors: {}\nconnectors: {}\n", ":2: connectors is given twice", "");
    load_refused("service:\n  name: a\n  name: b\nconnectors: {}\n",
                 ":3: name is given twice, first in line 2", "");
    load_refused("connectors:\n  a: {}\n  a: {}\n", ":3: a is given twice", "");
    load_refused("service:\n  name: [a, b]\nconnectors: {}\n",
                 ":2: name must be a text, not a list", "a,b");
    load_refused("service:\n  name: {a: b}\nconnectors: {}\n", "not a map", "");
    load_refused("service: 5\nconnectors: {}\n", "must be a map of settings", "");
    load_refused("connectors: [a]\n", "must be a map of names", "");
    load_refused("service:\n  name: &x a\nconnectors: {}\n", "anchors and aliases", "");
    load_refused("service: &x {}\nconnectors: *x\n", "anchors and aliases", "");
    load_refused("service:\n  name: !t a\nconnectors: {}\n", "tags", "");
    load_refused("connectors: {}\n---\nconnectors: {}\n", "second document", "");
    load_refused("service:\n  name: \"a\\0b\"\nconnectors: {}\n", "zero byte", "");
    load_refused("service:\n name: a\n  b: c\nconnectors: {}\n", ":3: not YAML", "");
    load_refused("service:\n  name: \"shop\\..*\"\n", "not YAML", "write '...'");
    load_refused("connectors: {\n", "not YAML", "");
    load_refused("\xff\xfe\x00", "", "");
}

static void files_refused_for_their_settings(void **state)
{
    (void)state;
    assert_false(config_file_load("/nonexistent/p.yaml", &(struct config_file *){NULL}, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    load_refused("service:\n  nam: x\nconnectors: {}\n", ":2: service: nam is not a setting",
                 "did you mean name?");
    load_refused("service:\n  transport: kafka\nconnectors: {}\n", "refused: Kafka", "direct");
    load_refused("service:\n  schema.registry.url: http://r:8081\nconnectors: {}\n",
                 "refused: an external registry", "");
    load_refused("service:\n  listen: 0.0.0.0:8083\nconnectors: {}\n", "there is no api.token", "");
    load_refused("service:\n  listen: '[::]:8083'\nconnectors: {}\n", "there is no api.token", "");
    load_refused("service:\n  listen: 8083\nconnectors: {}\n", "is not HOST:PORT", "");
    load_refused("service:\n  listen: localhost:80831\nconnectors: {}\n", "is not HOST:PORT", "");
    load_refused("connectors:\n  a/b:\n    connector.class: postgres\n", "has a '/'", "");
    load_refused("connectors:\n  a: {}\n", ":2: connector a: connector.class is missing", "");
    load_refused("connectors:\n  a:\n    connector.class: postgers\n",
                 ":3: connector a: connector.class: \"postgers\" is not a class",
                 "did you mean postgres?");
    load_refused("connectors:\n  a:\n    connector.class: mysql\n", "not part of this version", "");
    load_refused("connectors:\n" SOURCE "    name: other\n" SINK, "is not the connector's name",
                 "");
    load_refused("connectors:\n" SOURCE "    database.prot: 1\n" SINK, ":7: connector shop",
                 "did you mean database.port?");
    load_refused("connectors:\n" SOURCE "    database.password: ${env:PENSTOCK_NOT_SET_X}\n" SINK,
                 "no variable PENSTOCK_NOT_SET_X", "export PENSTOCK_NOT_SET_X");
    load_refused("connectors:\n" SOURCE "    tasks.max: 2\n" SINK, "\"2\" is refused", "");
    load_refused("connectors:\n" SOURCE "    snapshot.mode: always\n" SINK, "is refused", "");
    load_refused("connectors:\n" SOURCE "    heartbeat.topics.prefix: a\n" SINK, "no meaning", "");
    load_refused("connectors:\n  s:\n    connector.class: postgres\n    topic.prefix: a b\n"
                 "    database.hostname: h\n    database.dbname: d\n",
                 "cannot begin a topic", "");
    load_refused("connectors:\n  s:\n    connector.class: postgres\n    topic.prefix: a\n",
                 ":2: connector s: database.hostname is missing", "Host.");
}

static void files_refused_for_how_connectors_fit(void **state)
{
    (void)state;
    load_refused("connectors:\n" SOURCE, "no warehouse takes the topics of connector shop",
                 "topics.regex: shop\\..*");
    load_refused("connectors:\n" SINK, "takes topics of no source", "");
    load_refused("connectors:\n" SOURCE
                 "  w:\n    connector.class: duckdb\n    topics.regex: shopping\\..*\n"
                 "    connection.url: duckdb:w.db\n",
                 "no warehouse takes", "");
    load_refused("connectors:\n" SOURCE SINK
                 "  w2:\n    connector.class: duckdb\n    topics: shop.public.t\n"
                 "    connection.url: duckdb:w2.db\n",
                 "warehouse and w2 both take topics of connector shop", "in process");
    load_refused("connectors:\n" SOURCE SINK
                 "  two:\n    connector.class: postgres\n    topic.prefix: shop\n"
                 "    database.hostname: h\n    database.dbname: d\n",
                 "connectors shop and two have the same topic.prefix", "");
    load_refused("connectors:\n" SOURCE
                 "  two:\n    connector.class: postgres\n    topic.prefix: two\n"
                 "    database.hostname: h\n    database.dbname: d\n"
                 "  w:\n    connector.class: duckdb\n    topics.regex: .*\n"
                 "    connection.url: duckdb:w.db\n",
                 "takes topics of both connectors shop and two", "of its own");
    load_refused("connectors:\n" SOURCE SINK "    topics: shop.a.b\n", "exclude each other", "");
    load_refused("connectors:\n" SOURCE "  w:\n    connector.class: duckdb\n"
                 "    connection.url: duckdb:w\n",
                 "one of topics and topics.regex is missing", "");
    load_refused("connectors:\n" SOURCE "  w:\n    connector.class: duckdb\n    topics.regex: .*\n"
                 "    connection.url: postgres://u:hunter2@h/d\n",
                 "is a URL of class postgres-warehouse", "set connector.class");
    assert_null(strstr(err.message, "hunter2"));
    load_refused("connectors:\n" SOURCE "  w:\n    connector.class: duckdb\n    topics.regex: .*\n"
                 "    connection.url: w.duckdb\n",
                 "is not a URL", "duckdb:PATH");
    load_refused("connectors:\n" SOURCE "  w:\n    connector.class: duckdb\n    topics.regex: .*\n"
                 "    connection.url: 'duckdb::memory:'\n",
                 "in memory", "name a file");
    load_refused("connectors:\n" SOURCE SINK "    connection.user: u\n", "have no meaning", "");
}

static struct config_file *from_urls(const char *from, const char *to)
{
    struct config_urls u = {.from = from, .to = to, .tables = "public\\..*", .once = true};
    struct config_file *f = NULL;

    error_clear(&err);
    if (!config_file_from_urls(&u, &f, &err))
        assert_null(f);
    return f;
}

static void from_two_urls(void **state)
{
    struct config_file *f =
        from_urls("postgres://u%40x:a%2Fb@h:5433/My-Shop?sslmode=require", "duckdb:w.duckdb");
    struct config_file *g;
    const struct config *s;
    char slot[64];

    (void)state;
    if (f == NULL)
        fail_msg("%s / %s", err.message, err.hint);
    assert_true(f->from_urls && f->once);
    assert_int_equal(f->nconnectors, 2);
    s = f->connectors[0].config;
    assert_string_equal(f->connectors[0].name, "My-Shop");
    assert_string_equal(f->connectors[1].name, "warehouse");
    assert_string_equal(config_string(s, "topic.prefix"), "My-Shop");
    assert_string_equal(config_string(s, "database.hostname"), "h");
    assert_string_equal(config_string(s, "database.port"), "5433");
    assert_string_equal(config_string(s, "database.user"), "u@x");
    assert_string_equal(config_string(s, "database.password"), "a/b");
    assert_string_equal(config_string(s, "database.dbname"), "My-Shop");
    assert_string_equal(config_string(s, "database.sslmode"), "require");
    assert_string_equal(config_string(s, "table.include.list"), "public\\..*");
    assert_memory_equal(config_string(s, "slot.name"), "penstock_my_shop_", 17);
    assert_int_equal(strlen(config_string(s, "slot.name")), 17 + 8);
    assert_string_equal(config_string(s, "slot.name"), config_string(s, "publication.name"));
    assert_memory_equal(config_string(f->service, "data.dir"), "./penstock-data/My-Shop-", 24);
    assert_string_equal(config_string(f->service, "listen"), "127.0.0.1:8083");
    assert_true(takes(f->connectors[1].config, "My-Shop.public.t"));
    assert_string_equal(config_string(f->connectors[1].config, "connection.url"),
                        "duckdb:w.duckdb");
    snprintf(slot, sizeof(slot), "%s", config_string(s, "slot.name"));

    /* the same target in other words, another target */
    g = from_urls("postgresql://h/My-Shop", "duckdb:./w.duckdb");
    assert_string_equal(config_string(g->connectors[0].config, "slot.name"), slot);
    config_file_free(g);
    g = from_urls("postgresql://h/My-Shop", "duckdb:v.duckdb");
    assert_string_not_equal(config_string(g->connectors[0].config, "slot.name"), slot);
    config_file_free(g);
    config_file_free(f);
}

static void target_hashes(void **state)
{
    char a[9], b[9];

    (void)state;
    assert_true(urls_target_hash("postgres://u:p@h/d", a, &err));
    assert_true(urls_target_hash("postgresql://v:q@h:5432/d?sslmode=require", b, &err));
    assert_string_equal(a, b);
    assert_true(urls_target_hash("postgres://u:p@h/e", b, &err));
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 8);
}

static void other_urls(void **state)
{
    struct config_file *f = from_urls("postgres:///shop?host=/tmp/s", "postgres://u:p@h/wh");

    (void)state;
    assert_non_null(f);
    assert_string_equal(config_string(f->connectors[0].config, "database.hostname"), "/tmp/s");
    assert_ptr_equal(f->connectors[1].warehouse, &postgres);
    config_file_free(f);

    f = from_urls("postgres://[::1]:1/warehouse", "duckdb:w");
    assert_non_null(f);
    assert_string_equal(config_string(f->connectors[0].config, "database.hostname"), "::1");
    assert_string_equal(f->connectors[0].name, "warehouse-source");
    config_file_free(f);

    /* nothing in a URL is a reference, and no name is too long for a slot */
    f = from_urls("postgres://u:${env:X}@h/"
                  "d%20%22%C3%A9aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                  "duckdb:w");
    if (f == NULL)
        fail_msg("%s / %s", err.message, err.hint);
    assert_string_equal(config_string(f->connectors[0].config, "database.password"), "${env:X}");
    assert_int_equal(strlen(config_string(f->connectors[0].config, "slot.name")), 63);
    assert_memory_equal(config_string(f->connectors[0].config, "topic.prefix"), "d____aaa", 8);
    config_file_free(f);

    assert_null(from_urls("postgres://h", "duckdb:w"));
    assert_non_null(strstr(err.message, "names no database"));
    assert_null(from_urls("mysql://u:p@h/d", "duckdb:w"));
    assert_non_null(strstr(err.message, "not part of this version"));
    assert_null(from_urls("postgres://h/d", "w.duckdb"));
    assert_non_null(strstr(err.message, "--to"));
    assert_null(from_urls("duckdb:x", "duckdb:w"));
    assert_null(from_urls("postgres://h/d?channel_binding=require", "duckdb:w"));
    assert_non_null(strstr(err.message, "channel_binding has no meaning"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_type),
        cmocka_unit_test(defaults_order_and_known_spelling),
        cmocka_unit_test(secrets_are_hidden),
        cmocka_unit_test(references),
        cmocka_unit_test(lists_of_expressions),
        cmocka_unit_test(too_costly_expressions),
        cmocka_unit_test(bad_expressions),
        cmocka_unit_test(nearest_names),
        cmocka_unit_test(urls_as_libpq),
        cmocka_unit_test(urls_refused_here),
        cmocka_unit_test(files),
        cmocka_unit_test(files_refused_for_their_shape),
        cmocka_unit_test(files_refused_for_their_settings),
        cmocka_unit_test(files_refused_for_how_connectors_fit),
        cmocka_unit_test(from_two_urls),
        cmocka_unit_test(target_hashes),
        cmocka_unit_test(other_urls),
    };

    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
