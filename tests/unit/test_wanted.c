/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that a target lacks: what ends a want, what the books are told, which images as of which
 * points are taken, and that a row that is changed all the time is had nevertheless. Whether it all
 * is exact is for test_compact_model.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "load/wanted.h"
#include "load_fixture.h"

static const struct case_column keyed[] = {
    {"id", TYPE_INT32, "integer", 1, 0, 0},
    {"a", TYPE_TEXT, "text", 0, 0, 0},
    {"b", TYPE_TEXT, "text", 0, 0, 0},
    {0},
};

struct fixture {
    struct pipe p;
    struct wanted *w;
    struct arena *a;
};

static int open_fixture(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    pipe_open(&f->p, keyed);
    f->w = wanted_new();
    f->a = arena_new("test");
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;

    wanted_free(f->w);
    arena_free(f->a);
    pipe_close(&f->p);
    free(f);
    return 0;
}

static struct value text(const char *s)
{
    struct value v = {.state = s == NULL ? VALUE_UNCHANGED : VALUE_SET};

    v.s.p = s;
    v.s.len = s == NULL ? 0 : strlen(s);
    return v;
}

/* The wire bytes of a key; the want's are those after the prefix. */
static struct buf key_of(struct fixture *f, int64_t id)
{
    struct value row[3] = {[0] = {.state = VALUE_SET, .i = id}};
    struct error err = {0};
    struct buf key = {0};

    assert_true(encoder_key(f->p.enc, row, &key, &err));
    return key;
}

static bool takes(struct fixture *f, int64_t id, int64_t s)
{
    struct buf key = key_of(f, id);
    bool ok = wanted_takes(f->w, key.data + WIRE_PREFIX_SIZE, key.len - WIRE_PREFIX_SIZE, s);

    buf_free(&key);
    return ok;
}

static void settle(struct fixture *f, int64_t id)
{
    struct buf key = key_of(f, id);

    wanted_settle(f->w, key.data + WIRE_PREFIX_SIZE, key.len - WIRE_PREFIX_SIZE);
    buf_free(&key);
}

static void restore(struct fixture *f, int64_t id, int64_t csn)
{
    struct buf key = key_of(f, id);

    wanted_restore(f->w, key.data + WIRE_PREFIX_SIZE, key.len - WIRE_PREFIX_SIZE, csn);
    buf_free(&key);
}

/* One piece of one change; every row of it that is not complete is not to be had. */
static void change(struct fixture *f, char op, int64_t id, const char *a, const char *b,
                   int64_t csn)
{
    struct value v[3] = {{.state = VALUE_SET, .i = id}, text(a), text(b)};
    const struct compact_row *r;
    struct error err = {0};
    size_t at = 0;

    pipe_change(&f->p, op, NULL, v, csn);
    assert_true(pipe_compact(&f->p, &err));
    assert_true(compact_next(f->p.compact, &at, &r, &err));
    if (r->wanted || r->unresolved)
        wanted_add(f->w, r);
    else
        wanted_settle(f->w, r->key, r->key_len);
    pipe_reset(&f->p);
}

/* The row as of s, and what comes of it: "a|b|csn", or "wanted". */
static void assert_row(struct fixture *f, int64_t id, const char *a, const char *b, int64_t s,
                       const char *want)
{
    struct value v[3] = {{.state = VALUE_SET, .i = id}, text(a), text(b)};
    struct change c = {.op = CHANGE_READ, .table = f->p.source, .after = v};
    struct event_meta meta = {
        .csn = s - 1, .server_name = "shop", .database = "shop", .snapshot = "true"};
    struct event e = {.kind = EVENT_ROW, .op = 'r'};
    struct buf key = key_of(f, id), value = {0};
    const struct compact_row *r;
    struct error err = {0};
    char got[64] = "wanted";
    bool lacks;
    size_t at = 0;

    assert_true(encoder_value(f->p.enc, &c, &meta, &value, &lacks, &err));
    e.key = key.data;
    e.key_len = key.len;
    e.value = value.data;
    e.value_len = value.len;
    assert_true(takes(f, id, s));
    assert_true(wanted_collect(f->w, &e, s, 5, f->a, f->p.compact, &err));
    assert_true(compact_next(f->p.compact, &at, &r, &err));
    assert_false(r->unresolved);
    if (r->upsert)
        snprintf(got, sizeof(got), "%.*s|%.*s|%lld", (int)r->values[1].s.len, r->values[1].s.p,
                 (int)r->values[2].s.len, r->values[2].s.p, (long long)r->csn);
    assert_string_equal(got, want);
    wanted_settle(f->w, r->key, r->key_len);
    assert_true(compact_next(f->p.compact, &at, &r, &err));
    assert_null(r);
    pipe_reset(&f->p);
    buf_free(&key);
    buf_free(&value);
}

/* "+1@CSN" or "-1" for each change, in their order; then they are saved. */
static void assert_books(struct fixture *f, const char *want)
{
    struct wanted_change c;
    struct buf got = {0};
    size_t at = 0;

    assert_int_equal(wanted_changed(f->w), *want != '\0');
    while (wanted_next_change(f->w, &at, &c)) {
        assert_int_equal(c.len, 1);
        buf_printf(&got, "%s%c%d", got.len > 0 ? " " : "", c.wanted ? '+' : '-', c.key[0] / 2);
        if (c.wanted)
            buf_printf(&got, "@%lld", (long long)c.csn);
    }
    assert_string_equal(buf_cstr(&got), want);
    buf_free(&got);
    wanted_saved(f->w);
    assert_false(wanted_changed(f->w));
}

static void what_ends_it(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(wanted_count(NULL), 0);
    assert_false(takes(f, 1, 100));
    change(f, 'c', 1, "x", NULL, 10);
    change(f, 'c', 2, NULL, "y", 11);
    assert_int_equal(wanted_count(f->w), 2);
    assert_false(takes(f, 1, 10)); /* as of before the change */
    assert_true(takes(f, 1, 11));
    assert_books(f, "+1@10 +2@11");
    change(f, 'u', 1, "x", "y", 12);
    assert_int_equal(wanted_count(f->w), 1);
    assert_false(takes(f, 1, 100));
    assert_books(f, "-1");
    settle(f, 3); /* never wanted */
    assert_books(f, "");
    change(f, 'c', 3, "x", NULL, 13);
    wanted_settle_all(f->w);
    assert_int_equal(wanted_count(f->w), 0);
    assert_books(f, "-2");
}

static void what_the_books_are_told(void **state)
{
    struct fixture *f = *state;

    restore(f, 1, 10);
    restore(f, 2, 11);
    assert_int_equal(wanted_count(f->w), 2);
    assert_books(f, "");
    change(f, 'c', 3, "x", NULL, 12);
    settle(f, 3); /* within one transaction: nothing */
    settle(f, 1);
    change(f, 'u', 2, "x", NULL, 13);
    assert_books(f, "-1 +2@13");
    settle(f, 2);
    change(f, 'c', 2, "x", NULL, 13); /* there and back */
    assert_books(f, "");
    assert_int_equal(wanted_count(f->w), 1);
}

/* Of a row that is wanted since before the process began, nothing before that is known. */
static void restored(void **state)
{
    struct fixture *f = *state;

    restore(f, 1, 10);
    assert_false(takes(f, 1, 10));
    assert_true(takes(f, 1, 11));
    change(f, 'u', 1, "z", NULL, 20);
    assert_false(takes(f, 1, 10));
    assert_row(f, 1, "old", "big", 15, "z|big|20");
    assert_int_equal(wanted_count(f->w), 0);
}

/* Changed faster than it is read: what was carried since lies over the image. */
static void changed_all_the_time(void **state)
{
    struct fixture *f = *state;
    int64_t csn;

    change(f, 'c', 1, "x", NULL, 10);
    for (csn = 11; csn < 1000; csn++)
        change(f, 'u', 1, csn % 2 ? "odd" : "even", NULL, csn);
    change(f, 'u', 1, NULL, NULL, 1000);
    assert_row(f, 1, "at 500", "big", 500, "odd|big|1000");

    /* An image that is newer than all changes stands alone. */
    change(f, 'c', 1, "x", NULL, 2000);
    change(f, 'u', 1, "y", NULL, 2001);
    assert_row(f, 1, "as of 2002", "b", 2002, "as of 2002|b|2001");

    /* A row that came anew since makes an older image worthless. */
    change(f, 'c', 1, "x", NULL, 3000);
    change(f, 'c', 1, "y", NULL, 3005);
    assert_false(takes(f, 1, 3005));
    change(f, 'u', 1, "z", NULL, 3006);
    assert_row(f, 1, "as of 3006", "b", 3006, "z|b|3006");
}

static void of_another_shape(void **state)
{
    struct fixture *f = *state;

    change(f, 'c', 1, "x", NULL, 10);
    change(f, 'u', 1, "y", NULL, 20);
    assert_true(takes(f, 1, 15));
    wanted_altered(f->w);
    assert_false(takes(f, 1, 15));
    assert_false(takes(f, 1, 20));
    assert_row(f, 1, "now", "b", 21, "now|b|20");
}

/* Large images are not kept: then a point past them is asked for. */
static void not_kept(void **state)
{
    struct fixture *f = *state;
    char *large = calloc(1, 300 * 1024);

    memset(large, 'l', 300 * 1024 - 1);
    change(f, 'c', 1, "x", NULL, 10);
    change(f, 'u', 1, large, NULL, 20);
    assert_false(takes(f, 1, 15));
    assert_false(takes(f, 1, 20));
    assert_true(takes(f, 1, 21));
    change(f, 'u', 1, "small", NULL, 30);
    assert_row(f, 1, "as of 25", "b", 25, "small|b|30");
    free(large);
}

/* A copy that takes a table's place brings its own. */
static void replaced(void **state)
{
    struct fixture *f = *state;
    struct wanted *live = f->w;

    change(f, 'c', 1, "x", NULL, 10);
    change(f, 'c', 2, "x", NULL, 10);
    change(f, 'c', 3, "x", NULL, 10);
    assert_books(f, "+1@10 +2@10 +3@10");
    change(f, 'c', 4, "x", NULL, 11); /* the books do not know it yet */
    settle(f, 3);
    f->w = wanted_new();
    change(f, 'c', 2, "x", NULL, 20);
    change(f, 'c', 5, "x", NULL, 21);
    wanted_replace(f->w, live);
    assert_int_equal(wanted_count(f->w), 2);
    assert_false(takes(f, 1, 100));
    assert_true(takes(f, 2, 100));
    assert_books(f, "+2@20 +5@21 -3 -1");
    assert_int_equal(wanted_count(f->w), 2);
}

/* Round after round others, so that all get their turn. */
static void copies(void **state)
{
    struct fixture *f = *state;
    struct wanted_key keys[50];
    int seen[64] = {0};
    int64_t id;
    int round;
    size_t n, i;

    assert_int_equal(wanted_copy(f->w, f->a, 50, keys), 0);
    for (id = 0; id < 60; id++)
        change(f, 'c', id, "x", NULL, 10);
    settle(f, 7);
    for (round = 0; round < 59; round++) {
        n = wanted_copy(f->w, f->a, 10, keys);
        assert_true(n == 10 || n == 9);
        for (i = 0; i < n; i++) {
            assert_int_equal(keys[i].len, 1);
            seen[keys[i].key[0] / 2]++;
        }
    }
    for (id = 0; id < 60; id++)
        assert_true(id == 7 ? seen[id] == 0 : seen[id] >= 9);
    assert_int_equal(wanted_copy(f->w, f->a, 50, keys), 50);
}

/* Somebody asks for a row, whether the log told of it or not: only an image past csn will do, a
 * complete change ends it as ever, and the books hear of it. */
static void test_asked(void **state)
{
    struct fixture *f = *state;
    struct buf key = key_of(f, 7);
    const uint8_t *bare = key.data + WIRE_PREFIX_SIZE;
    size_t len = key.len - WIRE_PREFIX_SIZE, at = 0;
    struct wanted_change c;

    wanted_ask(f->w, bare, len, 100);
    assert_int_equal(wanted_count(f->w), 1);
    assert_false(takes(f, 7, 100));
    assert_true(takes(f, 7, 101));
    wanted_ask(f->w, bare, len, 200); /* again: of one row one want */
    assert_int_equal(wanted_count(f->w), 1);
    assert_false(takes(f, 7, 200));
    assert_true(wanted_next_change(f->w, &at, &c));
    assert_true(c.wanted && c.csn == 200);
    assert_false(wanted_next_change(f->w, &at, &c));
    wanted_saved(f->w);
    wanted_settle(f->w, bare, len);
    assert_int_equal(wanted_count(f->w), 0);
    assert_false(takes(f, 7, 300));
    at = 0;
    assert_true(wanted_next_change(f->w, &at, &c));
    assert_false(c.wanted);
    buf_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_asked, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(what_ends_it, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(what_the_books_are_told, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(restored, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(changed_all_the_time, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(of_another_shape, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(not_kept, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(replaced, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(copies, open_fixture, close_fixture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
