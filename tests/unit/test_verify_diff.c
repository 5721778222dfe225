/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The comparison by buckets against a plain difference of sets, with random rows; hashes and the
 * canonical forms of values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "quality/verify_canon.h"
#include "quality/verify_diff.h"
#include "util/mem.h"

#include <math.h>

static unsigned seed;

static unsigned draw(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* --- the model: rows are (key, value), in two plain lists --- */

struct model_row {
    int key, value;
};

struct side {
    struct model_row *rows;
    int n;
};

static struct diff_row hash_of(const struct model_row *r, bool keyed)
{
    struct diff_row h;

    h.row = verify_hash(r, sizeof(*r), 7);
    h.key = keyed ? verify_hash(&r->key, sizeof(r->key), 8) : h.row;
    return h;
}

static struct diff *compare(const struct side sides[2], bool keyed, int limit, int64_t room)
{
    struct diff *d = diff_new(limit, room);
    int side, i;

    for (side = 0; side < 2; side++) {
        for (i = 0; i < sides[side].n; i++) {
            struct diff_row r = hash_of(&sides[side].rows[i], keyed);

            diff_count(d, (enum diff_side)side, &r);
        }
    }
    while (diff_next_pass(d)) {
        for (side = 0; side < 2; side++) {
            for (i = 0; i < sides[side].n; i++) {
                struct diff_row r = hash_of(&sides[side].rows[i], keyed);

                diff_take(d, (enum diff_side)side, &r);
            }
        }
    }
    return d;
}

/* What is expected: for each key (or row) how often either side has it, and with the same row. */
struct expected {
    int64_t missing, extra, different;
};

static int count_of(const struct side *s, const struct model_row *r, bool keyed)
{
    int n = 0, i;

    for (i = 0; i < s->n; i++)
        n += s->rows[i].key == r->key && (keyed || s->rows[i].value == r->value);
    return n;
}

static const struct model_row *row_of(const struct side *s, int key)
{
    int i;

    for (i = 0; i < s->n; i++) {
        if (s->rows[i].key == key)
            return &s->rows[i];
    }
    return NULL;
}

/* Without a key rows are multisets; with one, each is there once at most. */
static struct expected expect(const struct side sides[2], bool keyed)
{
    struct expected e = {0};
    int side, i, k;

    for (side = 0; side < 2; side++) {
        for (i = 0; i < sides[side].n; i++) {
            const struct model_row *r = &sides[side].rows[i];
            const struct model_row *o = row_of(&sides[!side], r->key);
            int more;

            for (k = 0; k < i; k++) {
                if (sides[side].rows[k].key == r->key && sides[side].rows[k].value == r->value)
                    break;
            }
            if (k < i)
                continue; /* counted with the first of its like */
            more = count_of(&sides[side], r, keyed) - count_of(&sides[!side], r, keyed);
            if (more > 0 && side == DIFF_A)
                e.missing += more;
            else if (more > 0)
                e.extra += more;
            else if (keyed && side == DIFF_A && o != NULL && o->value != r->value)
                e.different++;
        }
    }
    return e;
}

static void make(struct side sides[2], bool keyed, int n)
{
    int side, i, k = 0;

    for (side = 0; side < 2; side++)
        sides[side] = (struct side){mem_calloc((size_t)n * 2 + 1, sizeof(struct model_row)), 0};
    for (i = 0; i < n; i++) {
        struct model_row r = {keyed ? k++ : (int)draw(20), (int)draw(3)};
        unsigned fate = draw(40);

        if (fate != 0)
            sides[0].rows[sides[0].n++] = r;
        if (keyed && fate == 1)
            r.value += 10;
        if (fate != 2)
            sides[1].rows[sides[1].n++] = r;
    }
    for (i = sides[1].n - 1; i > 0; i--) { /* another order */
        int j = (int)draw((unsigned)i + 1);
        struct model_row t = sides[1].rows[i];

        sides[1].rows[i] = sides[1].rows[j];
        sides[1].rows[j] = t;
    }
}

static void check(bool keyed, int n, int64_t room)
{
    struct side sides[2];
    struct expected want;
    struct diff_result got;
    struct diff *d;
    int64_t listed = 0;
    int i;

    make(sides, keyed, n);
    want = expect(sides, keyed);
    d = compare(sides, keyed, 100000, room);
    got = diff_result(d);
    assert_int_equal(got.rows[0], sides[0].n);
    assert_int_equal(got.rows[1], sides[1].n);
    assert_int_equal(got.missing, want.missing);
    assert_int_equal(got.extra, want.extra);
    assert_int_equal(got.different, want.different);
    assert_false(got.at_least);
    for (i = 0; i < got.nfound; i++)
        listed += got.found[i].n;
    assert_int_equal(listed, want.missing + want.extra + want.different);
    diff_free(d);
    mem_free(sides[0].rows);
    mem_free(sides[1].rows);
}

static void test_model(void **state)
{
    const char *given = getenv("PENSTOCK_SEED");
    int i;

    (void)state;
    seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    printf("seed %u (PENSTOCK_SEED)\n", seed);
    for (i = 0; i < 60; i++) {
        check(true, (int)draw(600), 100000);
        check(false, (int)draw(600), 100000);
        check(true, (int)draw(600), 60); /* in several passes */
    }
}

static struct diff *one_sided(int n, int limit, int64_t room)
{
    struct side sides[2] = {{mem_calloc((size_t)n, sizeof(struct model_row)), n}, {NULL, 0}};
    struct diff *d;
    int i;

    for (i = 0; i < n; i++)
        sides[0].rows[i].key = i;
    d = compare(sides, true, limit, room);
    mem_free(sides[0].rows);
    return d;
}

static void test_limit(void **state)
{
    struct diff *d = one_sided(5000, 10, 100000);
    struct diff_result r = diff_result(d);

    (void)state;
    assert_int_equal(r.missing, 5000); /* counted, also what is not listed */
    assert_int_equal(r.nfound, 10);
    assert_int_equal(r.found[0].kind, DIFF_MISSING);
    assert_false(r.at_least);
    diff_free(d);
    d = one_sided(5000, 10, 10); /* more passes than are made */
    r = diff_result(d);
    assert_true(r.at_least);
    assert_int_equal(r.nfound, 10);
    assert_true(r.missing >= 10 && r.missing < 5000);
    diff_free(d);
}

/* What no key should be: there twice. */
static void test_key_twice(void **state)
{
    struct model_row a[] = {{1, 1}, {2, 2}}, b[] = {{1, 1}, {1, 1}, {2, 2}, {2, 9}};
    struct side sides[2] = {{a, 2}, {b, 4}}, back[2] = {{b, 3}, {a, 2}};
    struct diff *d = compare(sides, true, 10, 100);
    struct diff_result r = diff_result(d);

    (void)state;
    assert_int_equal(r.extra, 2);
    assert_int_equal(r.missing + r.different, 0);
    diff_free(d);
    d = compare(back, true, 10, 100);
    r = diff_result(d);
    assert_int_equal(r.missing, 1);
    assert_int_equal(r.extra + r.different, 0);
    diff_free(d);
}

/* --- hashes --- */

/* The reference implementation's value for a seed that both halves share would be another: what
 * must hold is that lengths, seeds and every byte count. */
static void test_hash(void **state)
{
    uint8_t bytes[70] = {0};
    struct verify_hash h, seen[71 * 2];
    int n = 0, i, k;

    (void)state;
    for (i = 0; i <= 70; i++) {
        seen[n++] = verify_hash(bytes, (size_t)i, 1);
        seen[n++] = verify_hash(bytes, (size_t)i, 2);
    }
    for (i = 0; i < n; i++) {
        for (k = 0; k < i; k++)
            assert_memory_not_equal(&seen[i], &seen[k], sizeof(h));
    }
    h = verify_hash(bytes, sizeof(bytes), 1);
    for (i = 0; i < 70 * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        seen[0] = verify_hash(bytes, sizeof(bytes), 1);
        assert_int_not_equal(seen[0].h[0], h.h[0]);
        assert_int_not_equal(seen[0].h[1], h.h[1]);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    seen[0] = verify_hash(bytes, sizeof(bytes), 1);
    assert_memory_equal(&seen[0], &h, sizeof(h));
}

/* --- canonical forms --- */

static bool same(enum type_kind ka, struct value a, enum type_kind kb, struct value b,
                 bool signless)
{
    struct buf x = {0}, y = {0};
    bool equal;

    canon_value(&x, ka, signless, &a);
    canon_value(&y, kb, signless, &b);
    equal = x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
    buf_free(&x);
    buf_free(&y);
    return equal;
}

static struct value of_int(int64_t i)
{
    return (struct value){.state = VALUE_SET, .i = i};
}

static struct value of_float(double f)
{
    return (struct value){.state = VALUE_SET, .f = f};
}

static struct value of_text(const char *s)
{
    return (struct value){.state = VALUE_SET, .s = {s, strlen(s)}};
}

static const struct value null = {.state = VALUE_NULL};

static void test_canonical(void **state)
{
    (void)state;
    assert_true(same(TYPE_INT16, of_int(5), TYPE_INT64, of_int(5), false)); /* widened */
    assert_false(same(TYPE_INT16, of_int(5), TYPE_INT16, of_int(-5), false));
    assert_true(same(TYPE_TEXT, null, TYPE_INT32, null, false));
    assert_false(same(TYPE_TEXT, null, TYPE_TEXT, of_text(""), false));
    assert_false(same(TYPE_TEXT, of_text("NULL"), TYPE_TEXT, null, false));
    assert_false(same(TYPE_INT64, null, TYPE_INT64, of_int(0), false));
    assert_false(same(TYPE_NUMERIC, of_text("1.0"), TYPE_NUMERIC, of_text("1.00"), false));
    assert_true(same(TYPE_DECIMAL, of_text("1.00"), TYPE_NUMERIC, of_text("1.00"), false));
    assert_false(same(TYPE_TEXT, of_text("a"), TYPE_TEXT, of_text("A"), false));
    assert_true(same(TYPE_TIMESTAMP, of_int(INT64_MAX), TYPE_TIMESTAMP, of_int(INT64_MAX), false));
    assert_false(same(TYPE_DATE, of_int(0), TYPE_TIMESTAMP, of_int(0), false));
}

static void test_canonical_floats(void **state)
{
    double nan1 = NAN, nan2 = -NAN;

    (void)state;
    assert_true(same(TYPE_FLOAT64, of_float(nan1), TYPE_FLOAT64, of_float(nan2), false));
    assert_false(same(TYPE_FLOAT64, of_float(nan1), TYPE_FLOAT64, of_float(INFINITY), false));
    assert_false(same(TYPE_FLOAT64, of_float(0.0), TYPE_FLOAT64, of_float(-0.0), false));
    assert_true(same(TYPE_FLOAT64, of_float(0.0), TYPE_FLOAT64, of_float(-0.0), true));
    assert_false(same(TYPE_FLOAT64, of_float(0.0), TYPE_FLOAT64, of_float(5e-324), true));
    assert_true(same(TYPE_FLOAT32, of_float(0.1), TYPE_FLOAT32, of_float((double)0.1f), false));
    assert_true(same(TYPE_FLOAT32, of_float(0.1), TYPE_FLOAT64, of_float((double)0.1f), false));
    assert_false(same(TYPE_FLOAT64, of_float(0.1), TYPE_FLOAT64, of_float((double)0.1f), false));
}

/* Values of one row must not be taken for others: each has its length. */
static void test_canonical_rows(void **state)
{
    struct buf x = {0}, y = {0};
    struct value ab = of_text("ab"), c = of_text("c"), a = of_text("a"), bc = of_text("bc");

    (void)state;
    canon_value(&x, TYPE_TEXT, false, &ab);
    canon_value(&x, TYPE_TEXT, false, &c);
    canon_value(&y, TYPE_TEXT, false, &a);
    canon_value(&y, TYPE_TEXT, false, &bc);
    assert_false(x.len == y.len && memcmp(x.data, y.data, x.len) == 0);
    buf_free(&x);
    buf_free(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),          cmocka_unit_test(test_limit),
        cmocka_unit_test(test_key_twice),      cmocka_unit_test(test_hash),
        cmocka_unit_test(test_canonical),      cmocka_unit_test(test_canonical_floats),
        cmocka_unit_test(test_canonical_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
