/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statements of targets per dialect, compared with tests/golden/sql/DIALECT_CASE.sql; with
 * PENSTOCK_GOLDEN_UPDATE=1 the files are written instead. Each file is a script that a server runs
 * from top to bottom, and DuckDB does so here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <duckdb.h>
#include <stdio.h>
#include <unistd.h>

#include "load/sql.h"
#include "load_cases.h"

#define GOLDEN "tests/golden/sql"
#define STAGE "_penstock_stage_16385"

static const struct case_column simple[] = {
    {"id", TYPE_INT64, "bigint", 1, 0, 0},
    {"name", TYPE_TEXT, "character varying(40)", 0, 0, 0},
    {"total", TYPE_DECIMAL, "numeric(10,2)", 0, 10, 2},
    {0},
};
static const struct case_column odd_names[] = {
    {"na\"me", TYPE_TEXT, "text", 0, 0, 0},
    {"order", TYPE_INT32, "integer", 2, 0, 0},
    {"Gr\xc3\xb6\xc3\x9f"
     "e; DROP",
     TYPE_JSON, "jsonb", 0, 0, 0},
    {"address of it", TYPE_TEXT, "inet", 1, 0, 0},
    {"subnet", TYPE_TEXT, "cidr", 0, 0, 0},
    {0},
};
static const struct case_column all_keys[] = {
    {"a", TYPE_INT32, "integer", 1, 0, 0},
    {"b", TYPE_UUID, "uuid", 2, 0, 0},
    {0},
};
static const struct case_column float_key[] = {
    {"at", TYPE_FLOAT64, "double precision", 1, 0, 0},
    {"v", TYPE_BYTES, "bytea", 0, 0, 0},
    {0},
};
static const struct case_column keyless[] = {
    {"at", TYPE_TIMESTAMPTZ, "timestamp with time zone", 0, 0, 0},
    {"code", TYPE_TEXT, "character(3)", 0, 0, 0},
    {"from", TYPE_TEXT, "inet", 0, 0, 0},
    {"f", TYPE_FLOAT32, "real", 0, 0, 0},
    {0},
};

static const struct plan_case {
    const char *name;
    const char *schema, *table;
    const struct case_column *cols;
    bool resolves;
} cases[] = {
    {"simple", "public", "orders", simple, true},
    {"odd_names", "My Schema", "o\"dd", odd_names, true},
    {"all_keys", "public", "pairs", all_keys, false},
    {"float_key", "public", "samples", float_key, true},
    {"keyless", "public", "log", keyless, false},
};
static const struct dialect *const dialects[] = {&wpg_dialect, &wdk_dialect};

static struct target *make_target(struct arena *a, const struct plan_case *pc,
                                  const struct dialect *d)
{
    struct target *t = NULL;
    struct error err = {0};

    if (!target_new(a, case_table(a, pc->schema, pc->table, pc->cols), d, pc->schema, pc->table, &t,
                    &err))
        fail_msg("%s", err.message);
    return t;
}

static void end(struct buf *out)
{
    buf_puts(out, ";\n");
}

static void write_script(struct buf *out, const struct plan_case *pc, const struct target *t)
{
    size_t before;

    buf_puts(out, "CREATE SCHEMA IF NOT EXISTS ");
    buf_sql_ident(out, pc->schema);
    end(out);
    target_sql_create(out, t, pc->schema, pc->table);
    end(out);
    target_sql_create(out, t, pc->schema, "_penstock_load_1");
    end(out);
    sql_stage_create(out, t, STAGE);
    end(out);
    before = out->len;
    sql_stage_analyze(out, t, STAGE);
    if (out->len > before)
        end(out);
    if (pc->resolves) {
        sql_resolve(out, t, STAGE);
        end(out);
        sql_unresolvable(out, t, STAGE);
        end(out);
    }
    sql_truncate(out, t);
    end(out);
    sql_delete(out, t, STAGE);
    end(out);
    sql_upsert(out, t, STAGE);
    end(out);
    sql_stage_clear(out, t, STAGE);
    end(out);
    sql_insert_all(out, t, STAGE, pc->schema, "_penstock_load_1");
    end(out);
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
    size_t i, k;

    (void)state;
    for (k = 0; k < 2; k++) {
        for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct arena *a = arena_new("test");
            struct buf script = {0};
            char path[256];

            write_script(&script, &cases[i], make_target(a, &cases[i], dialects[k]));
            snprintf(path, sizeof(path), GOLDEN "/%s_%s.sql", dialects[k]->name, cases[i].name);
            compare(path, &script);
            buf_free(&script);
            arena_free(a);
        }
    }
}

static void duckdb_runs_them(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *a = arena_new("test");
        struct buf script = {0};
        duckdb_database db;
        duckdb_connection con;
        duckdb_result res;

        assert_int_equal(duckdb_open(NULL, &db), DuckDBSuccess);
        assert_int_equal(duckdb_connect(db, &con), DuckDBSuccess);
        write_script(&script, &cases[i], make_target(a, &cases[i], &wdk_dialect));
        if (duckdb_query(con, buf_cstr(&script), &res) != DuckDBSuccess)
            fail_msg("%s: %s", cases[i].name, duckdb_result_error(&res));
        duckdb_destroy_result(&res);
        duckdb_disconnect(&con);
        duckdb_close(&db);
        buf_free(&script);
        arena_free(a);
    }
}

/* --- targets --- */

static struct target *try_target(struct arena *a, const struct dialect *d,
                                 const struct case_column *cols, const char *name,
                                 struct error *err)
{
    struct target *t = NULL;

    memset(err, 0, sizeof(*err));
    return target_new(a, case_table(a, "public", "t", cols), d, "public", name, &t, err) ? t : NULL;
}

static void folded_names(void **state)
{
    static const struct case_column cols[] = {
        {"Id", TYPE_INT64, "bigint", 1, 0, 0},
        {"id", TYPE_INT64, "bigint", 0, 0, 0},
        {"ID", TYPE_INT64, "bigint", 0, 0, 0},
        {"Other", TYPE_INT64, "bigint", 0, 0, 0},
        {0},
    };
    struct arena *a = arena_new("test");
    struct error err;
    struct target *t;

    (void)state;
    t = try_target(a, &wdk_dialect, cols, "t", &err);
    assert_non_null(t);
    assert_string_equal(t->cols[0].name, "Id_12156e92");
    assert_string_equal(t->cols[1].name, "id");
    assert_string_equal(t->cols[2].name, "ID_3843971d");
    assert_string_equal(t->cols[3].name, "Other");
    assert_string_equal(t->cols[4].name, TARGET_CSN);
    t = try_target(a, &wpg_dialect, cols, "t", &err);
    assert_non_null(t);
    assert_string_equal(t->cols[0].name, "Id");
    assert_true(t->cols[0].not_null);
    assert_false(t->cols[1].not_null);
    arena_free(a);
}

static void refused(void **state)
{
    static const struct case_column reserved[] = {{"_Penstock_x", TYPE_TEXT, "text", 0, 0, 0}, {0}};
    static const struct case_column row_id[] = {{"RowId", TYPE_TEXT, "text", 0, 0, 0}, {0}};
    static const struct case_column keyed_row_id[] = {{"RowId", TYPE_TEXT, "text", 1, 0, 0}, {0}};
    static const struct case_column taken[] = {{"A", TYPE_TEXT, "text", 0, 0, 0},
                                               {"a", TYPE_TEXT, "text", 0, 0, 0},
                                               {"a_559aead0", TYPE_TEXT, "text", 0, 0, 0},
                                               {0}};
    struct case_column *many = calloc(1602, sizeof(*many));
    struct arena *a = arena_new("test");
    char wide[80];
    struct error err;
    int i;

    (void)state;
    assert_null(try_target(a, &wpg_dialect, reserved, "t", &err));
    assert_int_equal(err.kind, ERROR_DATA);
    assert_non_null(strstr(err.message, "_Penstock_x"));
    assert_null(try_target(a, &wdk_dialect, row_id, "t", &err));
    assert_non_null(strstr(err.message, "RowId"));
    assert_non_null(try_target(a, &wdk_dialect, keyed_row_id, "t", &err));
    assert_null(try_target(a, &wdk_dialect, taken, "t", &err));
    assert_non_null(strstr(err.message, "a_559aead0"));
    memset(wide, 'x', sizeof(wide));
    wide[64] = '\0';
    assert_null(try_target(a, &wpg_dialect, keyed_row_id, wide, &err));
    assert_non_null(strstr(err.message, "63"));
    for (i = 0; i < 1601; i++)
        many[i] = (struct case_column){
            .name = arena_printf(a, "c%d", i), .kind = TYPE_INT32, .source_type = "integer"};
    assert_null(try_target(a, &wpg_dialect, many, "t", &err));
    assert_int_equal(err.kind, ERROR_DATA);
    free(many);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(duckdb_runs_them),
        cmocka_unit_test(folded_names),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
