/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded registry: ids, subjects, modes, seeding, restarts, damaged files, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "avro/registry.h"

#define REC(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"
#define INT(name) "{\"name\":\"" name "\",\"type\":\"int\"}"
#define OPT(name) "{\"name\":\"" name "\",\"type\":[\"null\",\"int\"],\"default\":null}"

static char dir[] = "/tmp/penstock-registry-XXXXXX";

static struct registry *memory(void)
{
    struct error err = {0};
    struct registry *r = NULL;

    if (!registry_open(&r, ":memory:", &err))
        fail_msg("%s", err.message);
    return r;
}

static uint32_t put(struct registry *r, const char *subject, const char *schema)
{
    struct error err = {0};
    uint32_t id = 0;

    if (!registry_register(r, subject, schema, &id, &err))
        fail_msg("%s", err.message);
    return id;
}

/* Registration must fail with these words. */
static void refused(struct registry *r, const char *subject, const char *schema, const char *words)
{
    struct error err = {0};
    uint32_t id = 77;

    assert_false(registry_register(r, subject, schema, &id, &err));
    if (strstr(err.message, words) == NULL)
        fail_msg("%s", err.message);
    assert_int_equal(err.kind, ERROR_DATA);
    assert_int_equal(id, 77);
}

static void mode(struct registry *r, const char *subject, enum compat_mode m)
{
    struct error err = {0};

    assert_true(registry_set_mode(r, subject, m, &err));
}

static void test_ids(void **state)
{
    struct registry *r = memory();
    struct arena *a = arena_new("test");
    struct error err = {0};
    char *text = NULL;

    (void)state;
    assert_int_equal(put(r, "a-value", REC("R", INT("x"))), 1);
    assert_int_equal(put(r, "a-value", REC("R", INT("x"))), 1);
    assert_int_equal(put(r, "b-value", REC("R", INT("x"))), 1); /* same text, same id */
    assert_int_equal(put(r, "b-value", REC("R", " " INT("x") "\n")), 1);
    assert_int_equal(put(r, "a-value", REC("R", INT("x") "," OPT("y"))), 2);
    assert_int_equal(put(r, "a-value", REC("R", INT("x"))), 1); /* an older version again */
    assert_int_equal(put(r, "odd: /%\"' subject", "\"string\""), 3);
    assert_true(registry_schema(r, a, 2, &text, &err));
    assert_string_equal(text, REC("R", INT("x") "," OPT("y")));
    assert_false(registry_schema(r, a, 9, &text, &err));
    assert_non_null(strstr(err.message, "no schema has id 9"));
    refused(r, "a-value", "{", "subject a-value: invalid Avro schema");
    refused(r, "", "\"int\"", "without a name");
    arena_free(a);
    registry_close(r);
}

static void test_modes(void **state)
{
    struct registry *r = memory();

    (void)state;
    put(r, "s", REC("R", INT("x")));
    refused(r, "s", REC("R", INT("x") "," INT("y")),
            "subject s: not BACKWARD compatible with version 1: data of the old schema could not "
            "be read with the new one: field y: the writer has no such field");
    put(r, "s", REC("R", OPT("y"))); /* x dropped: fine backward */
    put(r, "s", REC("R", OPT("q")));
    mode(r, "s", COMPAT_BACKWARD_TRANSITIVE);
    refused(r, "s", REC("R", "{\"name\":\"x\",\"type\":\"string\",\"default\":\"\"}"),
            "field x: int cannot be read as string");
    mode(r, "s", COMPAT_FORWARD);
    put(r, "s", REC("R", OPT("x") "," INT("z")));
    refused(r, "s", REC("R", OPT("x")), "not FORWARD compatible with version 4: data of the new");
    mode(r, "s", COMPAT_FULL);
    refused(r, "s", REC("R", OPT("x") "," INT("z") "," INT("w")), "not FULL compatible");
    put(r, "s", REC("R", OPT("x") "," INT("z") "," OPT("w")));
    mode(r, "s", COMPAT_NONE);
    put(r, "s", "\"int\"");
    mode(r, NULL, COMPAT_NONE);
    put(r, "t", "\"string\"");
    put(r, "t", "\"int\"");
    mode(r, "t", COMPAT_BACKWARD); /* the subject's goes before the global one */
    refused(r, "t", "\"boolean\"", "int cannot be read as boolean");
    registry_close(r);
}

static void test_seed(void **state)
{
    struct registry *r = memory();
    struct error err = {0};

    (void)state;
    assert_true(registry_seed(r, "s", REC("R", INT("x")), 40, &err));
    assert_true(registry_seed(r, "s", REC("R", INT("x")), 40, &err));
    assert_true(registry_seed(r, "s", "\"int\"", 41, &err)); /* no compatibility check */
    assert_int_equal(put(r, "s", REC("R", INT("x"))), 40);
    assert_int_equal(put(r, "t", REC("R", INT("x"))), 40);
    assert_int_equal(put(r, "t", REC("R", OPT("x"))), 42);
    assert_false(registry_seed(r, "s", "\"long\"", 40, &err));
    assert_int_equal(err.kind, ERROR_CONFLICT);
    assert_non_null(strstr(err.message, "id 40 of subject s is taken by another schema"));
    assert_true(registry_seed(r, "u", REC("R", INT("x")), 50, &err)); /* a second id of a text */
    assert_int_equal(put(r, "u", REC("R", INT("x"))), 50);
    assert_int_equal(put(r, "v", REC("R", INT("x"))), 40);
    assert_false(registry_seed(r, "s", "\"int\"", 0, &err));
    assert_false(registry_seed(r, "s", "nonsense", 60, &err));
    assert_int_equal(err.kind, ERROR_DATA);
    assert_true(registry_seed(r, "w", "\"float\"", 0x7fffffff, &err));
    refused(r, "w2", "\"double\"", "no schema ids are left");
    registry_close(r);
}

static void test_restart(void **state)
{
    char path[128];
    struct registry *r = NULL;
    struct arena *a = arena_new("test");
    struct error err = {0};
    char *text = NULL;
    sqlite3 *db;

    (void)state;
    snprintf(path, sizeof(path), "%s/registry.db", dir);
    assert_true(registry_open(&r, path, &err));
    put(r, "s", "\"int\"");
    mode(r, "s", COMPAT_FULL);
    registry_close(r);
    assert_true(registry_open(&r, path, &err));
    assert_true(registry_schema(r, a, 1, &text, &err));
    assert_string_equal(text, "\"int\"");
    refused(r, "s", "\"long\"", "not FULL compatible");
    registry_close(r);

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, "UPDATE format SET version = 2", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_false(registry_open(&r, path, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.message, "has format 2, this program knows 1"));
    arena_free(a);
    unlink(path);
}

static void test_damage(void **state)
{
    char path[128];
    struct registry *r = NULL;
    struct error err = {0};
    FILE *f;

    (void)state;
    snprintf(path, sizeof(path), "%s/bad.db", dir);
    f = fopen(path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database ", f);
    fclose(f);
    assert_false(registry_open(&r, path, &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.hint, "remove"));
    unlink(path);
    assert_false(registry_open(&r, "/nonexistent/registry.db", &err));
    assert_non_null(strstr(err.message, "/nonexistent/registry.db"));
}

static struct registry *shared;

static void *register_many(void *p)
{
    char subject[64], schema[128];

    for (int i = 0; i < 50; i++) {
        struct error err = {0};
        uint32_t id;

        snprintf(subject, sizeof(subject), "s%d-%s", i, (const char *)p);
        snprintf(schema, sizeof(schema), REC("R%d", ""), i);
        if (!registry_register(shared, subject, schema, &id, &err))
            return (void *)1;
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t t[2];
    void *failed;
    struct error err = {0};
    struct arena *a = arena_new("test");
    char *text;

    (void)state;
    shared = memory();
    pthread_create(&t[0], NULL, register_many, "a");
    pthread_create(&t[1], NULL, register_many, "b");
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], &failed);
        assert_null(failed);
    }
    assert_true(registry_schema(shared, a, 50, &text, &err));
    assert_false(registry_schema(shared, a, 51, &text, &err)); /* each text once */
    arena_free(a);
    registry_close(shared);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),    cmocka_unit_test(test_modes),
        cmocka_unit_test(test_seed),   cmocka_unit_test(test_restart),
        cmocka_unit_test(test_damage), cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
