/* SPDX-License-Identifier: Apache-2.0 */
#include "change/change.h"
#include "change/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct table *table_of(struct arena *a, const char *const *names, int n)
{
    struct table *t = arena_calloc(a, 1, sizeof(*t));
    int i;

    t->schema = "public";
    t->name = "t";
    t->ncols = n;
    t->cols = arena_calloc(a, (size_t)n, sizeof(*t->cols));
    for (i = 0; i < n; i++) {
        t->cols[i].name = names[i];
        t->cols[i].source_type = "integer";
        t->cols[i].kind = TYPE_INT32;
    }
    return t;
}

static void names_are_made_safe(void **state)
{
    static const char *const names[] = {"id",
                                        "a b",
                                        "1st",
                                        "Gr\xc3\xb6\xc3\x9f"
                                        "e",
                                        "",
                                        "a.b.c",
                                        "_ok",
                                        "\xf0\x9f\x98\x80"};
    struct arena *a = arena_new("test");
    struct table *t = table_of(a, names, 8);

    (void)state;
    t->schema = "my schema";
    t->name = "caf\xc3\xa9-1";
    table_name_fields(a, t, "shop");
    assert_string_equal(t->topic, "shop.my_schema.caf_-1");
    assert_string_equal(t->cols[0].field, "id");
    assert_string_equal(t->cols[1].field, "a_b");
    assert_string_equal(t->cols[2].field, "_1st");
    assert_string_equal(t->cols[3].field, "Gr__e");
    assert_string_equal(t->cols[5].field, "a_b_c");
    assert_string_equal(t->cols[6].field, "_ok");
    /* '' and the smiley both become "_": told apart by their hashes */
    assert_string_equal(t->cols[4].field, "__e3b0c442");
    assert_string_equal(t->cols[7].field, "__f0443a34");
    arena_free(a);
}

static void colliding_names_get_a_hash(void **state)
{
    static const char *const names[] = {"a_b", "a-b", "a b", "A_b", "a_b_0a1b2c3d"};
    struct arena *a = arena_new("test");
    struct table *t = table_of(a, names, 5);

    (void)state;
    table_name_fields(a, t, "shop");
    assert_string_equal(t->cols[0].field, "a_b"); /* its own name: unchanged */
    assert_string_equal(t->cols[1].field, "a_b_d44362d6");
    assert_string_equal(t->cols[2].field, "a_b_c8687a08");
    assert_string_equal(t->cols[3].field, "A_b"); /* Avro names know case */
    assert_string_equal(t->cols[4].field, "a_b_0a1b2c3d");

    /* A true name that looks like another's suffixed one. */
    t->cols[4].name = "a_b_d44362d6";
    table_name_fields(a, t, "shop");
    assert_string_equal(t->cols[4].field, "a_b_d44362d6");
    assert_int_equal(strlen(t->cols[1].field), strlen("a_b_") + 64);
    arena_free(a);
}

static void topics_stay_within_kafka_s_limit(void **state)
{
    static const char *const names[] = {"id"};
    struct arena *a = arena_new("test");
    struct table *t = table_of(a, names, 1), *u = table_of(a, names, 1);
    char prefix[300];

    (void)state;
    memset(prefix, 'p', 260);
    prefix[260] = '\0';
    u->name = "u";
    table_name_fields(a, t, prefix);
    table_name_fields(a, u, prefix);
    assert_int_equal(strlen(t->topic), 249);
    assert_string_not_equal(t->topic, u->topic);

    /* "a.b"."c" and "a"."b.c" */
    t->schema = "a.b";
    t->name = "c";
    u->schema = "a";
    u->name = "b.c";
    table_name_fields(a, t, "shop");
    table_name_fields(a, u, "shop");
    assert_string_equal(t->topic, u->topic);
    table_topic_suffix(a, t);
    table_topic_suffix(a, u);
    assert_string_not_equal(t->topic, u->topic);
    assert_memory_equal(t->topic, "shop.a.b.c_", 11);
    assert_int_equal(strlen(t->topic), 19);
    arena_free(a);
}

static void keys_follow_their_order(void **state)
{
    static const char *const names[] = {"c", "a", "x", "b"};
    struct arena *a = arena_new("test");
    struct table *t = table_of(a, names, 4), *none = table_of(a, names, 4);

    (void)state;
    t->cols[0].key_pos = 3;
    t->cols[1].key_pos = 1;
    t->cols[3].key_pos = 2;
    table_index_keys(a, t);
    table_index_keys(a, none);
    assert_int_equal(t->nkeys, 3);
    assert_int_equal(t->keys[0], 1);
    assert_int_equal(t->keys[1], 3);
    assert_int_equal(t->keys[2], 0);
    assert_int_equal(none->nkeys, 0);
    assert_int_equal(table_find_column(t, "b"), 3);
    assert_int_equal(table_find_column(t, "B"), -1);
    arena_free(a);
}

static void a_copy_shares_nothing(void **state)
{
    static const char *const names[] = {"id", "v"};
    struct arena *a = arena_new("test"), *b = arena_new("test");
    struct table *t = table_of(a, names, 2), *c;

    (void)state;
    t->cols[0].key_pos = 1;
    t->cols[0].name = arena_strdup(a, "id");
    t->cols[1].semantic = arena_strdup(a, "io.debezium.data.Xml");
    t->cols[1].allowed = arena_strdup(a, "x,y");
    t->row_filter = arena_strdup(a, "(id > 0)");
    t->oid = 16384;
    table_index_keys(a, t);
    table_name_fields(a, t, "shop");
    c = table_copy(b, t);
    arena_free(a);
    assert_int_equal(c->oid, 16384);
    assert_string_equal(c->topic, "shop.public.t");
    assert_string_equal(c->row_filter, "(id > 0)");
    assert_string_equal(c->cols[0].name, "id");
    assert_string_equal(c->cols[0].field, "id");
    assert_null(c->cols[0].semantic);
    assert_string_equal(c->cols[1].semantic, "io.debezium.data.Xml");
    assert_string_equal(c->cols[1].allowed, "x,y");
    assert_int_equal(c->nkeys, 1);
    assert_int_equal(c->keys[0], 0);
    arena_free(b);
}

static void a_moved_key_is_seen(void **state)
{
    static const char *const names[] = {"id", "v"};
    struct arena *a = arena_new("test");
    struct table *t = table_of(a, names, 2);
    struct value before[2] = {{VALUE_SET, {1}}, {VALUE_ABSENT, {0}}};
    struct value after[2] = {{VALUE_SET, {1}}, {VALUE_SET, {9}}};
    struct change c = {.op = CHANGE_UPDATE, .table = t, .before = before, .after = after};

    (void)state;
    t->cols[0].key_pos = 1;
    table_index_keys(a, t);
    assert_false(change_moves_key(&c));
    after[0].i = 2;
    assert_true(change_moves_key(&c));
    c.before = NULL;
    assert_false(change_moves_key(&c));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_made_safe),
        cmocka_unit_test(colliding_names_get_a_hash),
        cmocka_unit_test(topics_stay_within_kafka_s_limit),
        cmocka_unit_test(keys_follow_their_order),
        cmocka_unit_test(a_copy_shares_nothing),
        cmocka_unit_test(a_moved_key_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
