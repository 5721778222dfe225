/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets followed through alterations, and their statements per dialect, compared with
 * tests/golden/sql/DIALECT_alter_CASE.sql; with PENSTOCK_GOLDEN_UPDATE=1 the files are written
 * instead. Each file is a script that a server runs from top to bottom, and DuckDB does so here.
 * What is refused, and what happens to changes collected before an alteration in odd cases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <duckdb.h>
#include <stdio.h>

#include "load/alter.h"
#include "load/sql.h"
#include "load_cases.h"

#define GOLDEN "tests/golden/sql"
#define STAGE "_penstock_stage_16385"
#define VERSIONS 4
#define LEN(a) ((int)(sizeof(a) / sizeof((a)[0])))

#define INT(n)                       \
    {                                \
        .state = VALUE_SET, .i = (n) \
    }
#define DBL(n)                       \
    {                                \
        .state = VALUE_SET, .f = (n) \
    }
#define STR(x)                                         \
    {                                                  \
        .state = VALUE_SET, .s = {(x), sizeof(x) - 1 } \
    }

struct numbered {
    int attnum;
    struct case_column col;
    struct value fill;
};

#define ID                                        \
    {                                             \
        1, {"id", TYPE_INT64, "bigint", 1, 0, 0}, \
        {                                         \
            0                                     \
        }                                         \
    }
#define TEXT(n, name)                          \
    {                                          \
        n, {name, TYPE_TEXT, "text", 0, 0, 0}, \
        {                                      \
            0                                  \
        }                                      \
    }

/* A column list ends where attnum is 0; the first list without columns ends the versions. */
struct alter_case {
    const char *name;
    struct numbered versions[VERSIONS][12];
};

static const struct alter_case cases[] = {
    {"rename", {{ID, TEXT(2, "a")}, {ID, TEXT(2, "b \"q\"")}}},
    {"rename_key",
     {{ID, TEXT(2, "a")}, {{1, {"key", TYPE_INT64, "bigint", 1, 0, 0}, {0}}, TEXT(2, "a")}}},
    {"swap", {{ID, TEXT(2, "a"), TEXT(3, "b")}, {ID, TEXT(2, "b"), TEXT(3, "a")}}},
    {"chain",
     {{ID, TEXT(2, "a"), TEXT(3, "b"), TEXT(4, "c")},
      {ID, TEXT(2, "b"), TEXT(3, "c"), TEXT(4, "d")}}},
    {"circle",
     {{ID, TEXT(2, "a"), TEXT(3, "b"), TEXT(4, "c"), TEXT(5, "x"), TEXT(6, "y")},
      {ID, TEXT(2, "b"), TEXT(3, "c"), TEXT(4, "a"), TEXT(5, "y"), TEXT(6, "x")}}},
    {"dropped",
     {{ID, TEXT(2, "a"), TEXT(3, "b")},
      {ID, TEXT(3, "b")},
      {ID, TEXT(3, "b"), TEXT(4, "a")},
      {ID, TEXT(3, "b"), TEXT(5, "a")}}},
    {"dropped_at_once",
     {{ID, TEXT(2, "a"), TEXT(3, "a__dropped_2"), TEXT(4, "c")},
      {ID, TEXT(3, "a__dropped_2"), TEXT(4, "a"), TEXT(5, "c")}}},
    {"case",
     {{ID, TEXT(2, "Name"), TEXT(3, "b")},
      {ID, TEXT(2, "Name"), TEXT(3, "NAME"), TEXT(4, "name")},
      {ID, TEXT(3, "NAME"), TEXT(4, "name"), TEXT(5, "namE")},
      {ID, TEXT(3, "Other"), TEXT(4, "naMe"), TEXT(5, "namE"), TEXT(6, "Name")}}},
    {"added",
     {{ID},
      {ID,
       TEXT(2, "nothing"),
       {3, {"t", TYPE_TEXT, "text", 0, 0, 0}, STR("it's \\ \"\xc3\xa4\"\n")},
       {4, {"n", TYPE_INT32, "integer", 0, 0, 0}, INT(-7)},
       {5, {"d", TYPE_DECIMAL, "numeric(10,2)", 0, 10, 2}, STR("-0.10")},
       {6, {"b", TYPE_BYTES, "bytea", 0, 0, 0}, STR("\0'\\\xff")},
       {7, {"at", TYPE_TIMESTAMPTZ, "timestamp with time zone", 0, 0, 0}, INT(-64479621476999999)},
       {8, {"l", TYPE_TEXT, "text[]", 0, 0, 0}, STR("{\"a b\",NULL}")},
       {9, {"f", TYPE_FLOAT64, "double precision", 0, 0, 0}, DBL(-0.0)}}}},
    {"misfit", {{ID}, {ID, {2, {"d", TYPE_DECIMAL, "numeric(10,2)", 0, 10, 2}, STR("0.001")}}}},
    {"widened",
     {{ID,
       {2, {"v", TYPE_TEXT, "character varying(3)", 0, 0, 0}, {0}},
       {3, {"d", TYPE_DECIMAL, "numeric(10,2)", 0, 10, 2}, {0}},
       {4, {"ts", TYPE_TIMESTAMP, "timestamp(3) without time zone", 0, 0, 0}, {0}}},
      {ID,
       {2, {"v", TYPE_TEXT, "character varying(9)", 0, 0, 0}, {0}},
       {3, {"d", TYPE_DECIMAL, "numeric(12,2)", 0, 12, 2}, {0}},
       {4, {"ts", TYPE_TIMESTAMP, "timestamp without time zone", 0, 0, 0}, {0}}},
      {ID,
       {2, {"v2", TYPE_TEXT, "text", 0, 0, 0}, {0}},
       {3, {"d", TYPE_NUMERIC, "numeric", 0, 0, 0}, {0}},
       {4, {"ts", TYPE_TIMESTAMP, "timestamp without time zone", 0, 0, 0}, {0}}}}},
    {"no_key",
     {{TEXT(1, "a"), TEXT(2, "b")},
      {TEXT(2, "a"), {3, {"b", TYPE_TEXT, "inet", 0, 0, 0}, STR("10.0.0.1")}}}},
};
static const struct dialect *const dialects[] = {&wpg_dialect, &wdk_dialect};

static struct table *make_table(struct arena *a, const struct numbered *list)
{
    struct case_column cols[16];
    struct table *t;
    int n = 0, i;

    memset(cols, 0, sizeof(cols));
    for (; list[n].attnum != 0; n++)
        cols[n] = list[n].col;
    t = case_table(a, "public", "t", cols);
    for (i = 0; i < n; i++)
        t->cols[i].attnum = list[i].attnum;
    return t;
}

static struct alteration *make_alteration(struct arena *a, const struct table *was,
                                          const struct table *now, const struct numbered *list)
{
    struct alteration *al = arena_calloc(a, 1, sizeof(*al));
    int *from = arena_calloc(a, (size_t)now->ncols + 1, sizeof(*from));
    struct value *fill = arena_calloc(a, (size_t)now->ncols + 1, sizeof(*fill));
    int i, k;

    for (i = 0; i < now->ncols; i++) {
        from[i] = -1;
        fill[i] = list[i].fill;
        for (k = 0; k < was->ncols; k++)
            if (was->cols[k].attnum == now->cols[i].attnum)
                from[i] = k;
    }
    *al = (struct alteration){was, now, from, fill};
    return al;
}

/* --- golden --- */

static void end(struct buf *out)
{
    buf_puts(out, ";\n");
}

static void begin_script(struct buf *out, const struct target *t)
{
    buf_puts(out, "CREATE SCHEMA IF NOT EXISTS \"public\"");
    end(out);
    target_sql_create(out, t, t->schema, t->name);
    end(out);
}

/* One alteration, and the statements of a piece after it. */
static void put_version(struct buf *out, const struct target *was, const struct target *now,
                        const struct alteration *al)
{
    struct arena *a = arena_new("statements");
    const char **list;
    int n, i;

    sql_alter(a, was, now, al, &list, &n);
    for (i = 0; i < n; i++) {
        buf_puts(out, list[i]);
        end(out);
    }
    sql_stage_create(out, now, STAGE);
    end(out);
    sql_delete(out, now, STAGE);
    end(out);
    sql_upsert(out, now, STAGE);
    end(out);
    buf_puts(out, "DROP TABLE ");
    buf_sql_ident(out, STAGE);
    end(out);
    arena_free(a);
}

static void write_script(struct buf *out, const struct alter_case *c, const struct dialect *d)
{
    struct arena *a = arena_new("test");
    struct table *was = make_table(a, c->versions[0]), *now;
    struct target *from = NULL, *to = NULL;
    struct error err = {0};
    int v;

    if (!target_new(a, was, d, "public", "t", &from, &err))
        fail_msg("%s: %s", c->name, err.message);
    begin_script(out, from);
    for (v = 1; v < VERSIONS && c->versions[v][0].attnum != 0; v++) {
        struct alteration *al;

        now = make_table(a, c->versions[v]);
        al = make_alteration(a, was, now, c->versions[v]);
        if (!target_alter(a, from, now, al, &to, &err))
            fail_msg("%s: %s", c->name, err.message);
        buf_printf(out, "-- version %d\n", v + 1);
        put_version(out, from, to, al);
        was = now;
        from = to;
    }
    arena_free(a);
}

static void compare(const char *path, struct buf *script)
{
    struct buf want = {0};
    FILE *f;
    size_t n;

    if (getenv("PENSTOCK_GOLDEN_UPDATE") != NULL) {
        f = fopen(path, "w");
        assert_non_null(f);
        fwrite(script->data, 1, script->len, f);
        fclose(f);
        return;
    }
    f = fopen(path, "r");
    if (f == NULL)
        fail_msg("%s: not there; PENSTOCK_GOLDEN_UPDATE=1 writes it", path);
    while ((n = fread(buf_reserve(&want, 4096), 1, 4096, f)) > 0)
        want.len += n;
    fclose(f);
    assert_string_equal(buf_cstr(script), buf_cstr(&want));
    buf_free(&want);
}

static void golden(void **state)
{
    int i, k;

    (void)state;
    for (k = 0; k < 2; k++) {
        for (i = 0; i < LEN(cases); i++) {
            struct buf script = {0};
            char path[256];

            write_script(&script, &cases[i], dialects[k]);
            snprintf(path, sizeof(path), GOLDEN "/%s_alter_%s.sql", dialects[k]->name,
                     cases[i].name);
            compare(path, &script);
            buf_free(&script);
        }
    }
}

/* Over a table that has rows: an empty one would take any default. */
static void duckdb_runs_them(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < LEN(cases); i++) {
        struct buf script = {0};
        duckdb_database db;
        duckdb_connection con;
        duckdb_result res;
        char *rest;
        bool ok;

        assert_int_equal(duckdb_open(NULL, &db), DuckDBSuccess);
        assert_int_equal(duckdb_connect(db, &con), DuckDBSuccess);
        write_script(&script, &cases[i], &wdk_dialect);
        rest = strstr(buf_cstr(&script), "-- version 2");
        rest[-1] = '\0';
        ok = duckdb_query(con, buf_cstr(&script), NULL) == DuckDBSuccess &&
             duckdb_query(con, "INSERT INTO public.t (_penstock_csn) VALUES (1)", NULL) ==
                 DuckDBSuccess;
        assert_true(ok);
        ok = duckdb_query(con, rest, &res) == DuckDBSuccess;
        if (ok != (strcmp(cases[i].name, "misfit") != 0))
            fail_msg("%s: %s", cases[i].name, duckdb_result_error(&res));
        duckdb_destroy_result(&res);
        duckdb_disconnect(&con);
        duckdb_close(&db);
        buf_free(&script);
    }
}

/* --- names --- */

static const struct target *follow(struct arena *a, const struct alter_case *c,
                                   const struct dialect *d, int version)
{
    struct table *was = make_table(a, c->versions[0]), *now;
    struct target *from = NULL, *to = NULL;
    struct error err = {0};
    int v;

    if (!target_new(a, was, d, "public", "t", &from, &err))
        fail_msg("%s", err.message);
    for (v = 1; v <= version; v++) {
        now = make_table(a, c->versions[v]);
        if (!target_alter(a, from, now, make_alteration(a, was, now, c->versions[v]), &to, &err))
            fail_msg("%s", err.message);
        was = now;
        from = to;
    }
    return from;
}

static const struct alter_case *find_case(const char *name)
{
    int i;

    for (i = 0; strcmp(cases[i].name, name) != 0; i++)
        ;
    return &cases[i];
}

static void names(void **state)
{
    struct arena *a = arena_new("test");
    const struct target *t = follow(a, find_case("case"), &wdk_dialect, 1);

    (void)state;
    /* the settled one keeps its name, a renamed and an added one give way, also the lower-case */
    assert_string_equal(t->cols[1].name, "Name");
    assert_string_equal(t->cols[2].name, "NAME_eaa58932");
    assert_string_equal(t->cols[3].name, "name_82a3537f");
    assert_int_equal(t->nkept, 0);
    t = follow(a, find_case("case"), &wdk_dialect, 2);
    assert_string_equal(t->cols[1].name, "NAME_eaa58932"); /* though no other has it now */
    assert_string_equal(t->cols[2].name, "name_82a3537f");
    assert_int_equal(t->nkept, 1);
    assert_string_equal(t->kept[0].name, "Name"); /* another case is not its name */
    assert_int_equal(t->kept[0].number, 2);
    t = follow(a, find_case("case"), &wdk_dialect, 3);
    assert_string_equal(t->cols[1].name, "Other");
    assert_string_equal(t->cols[2].name, "naMe_70d49df1"); /* two new ones: both give way */
    assert_string_equal(t->cols[4].name, "Name_dcd1d522");
    assert_string_equal(t->kept[0].name, "Name");
    t = follow(a, find_case("case"), &wpg_dialect, 3);
    assert_string_equal(t->cols[4].name, "Name");
    assert_string_equal(t->kept[0].name, "Name__dropped_2");
    t = follow(a, find_case("dropped"), &wpg_dialect, 3);
    assert_int_equal(t->nkept, 2);
    assert_string_equal(t->kept[0].name, "a__dropped_2");
    assert_string_equal(t->kept[1].name, "a__dropped_4");
    t = follow(a, find_case("dropped_at_once"), &wpg_dialect, 1);
    assert_string_equal(t->kept[0].name, "a__dropped_2_2");
    arena_free(a);
}

/* Postgres would cut a name of more than 63 bytes by itself, and then not find it. */
static void long_names(void **state)
{
    static char name[64];
    struct alter_case c = {"long", {{ID, TEXT(2, name)}, {ID, TEXT(3, name)}}};
    struct arena *a = arena_new("test");
    const struct target *t;

    (void)state;
    memset(name, 'x', 63);
    memcpy(name + 51, "\xc3\xa4", 2); /* 63 - strlen("__dropped_2") lies inside it */
    t = follow(a, &c, &wpg_dialect, 1);
    assert_string_equal(t->cols[1].name, name);
    assert_int_equal(strlen(t->kept[0].name), 62);
    assert_memory_equal(t->kept[0].name, name, 51);
    assert_string_equal(t->kept[0].name + 51, "__dropped_2");
    t = follow(a, &c, &wdk_dialect, 1);
    assert_int_equal(strlen(t->kept[0].name), 63 + strlen("__dropped_2"));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(duckdb_runs_them),
        cmocka_unit_test(names),
        cmocka_unit_test(long_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
