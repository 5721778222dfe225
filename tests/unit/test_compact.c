/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction, case by case: what the log holds, what must come out. The notation is one character
 * a part:
 *   log      I1xy insert of key 1 with a = x, b = y; R snapshot row; U1x? update, b not carried;
 *            M12x? update that changes the key 1 to 2; D1 delete; T truncate; '-' is NULL
 *   outcome  +1xy upsert; +2x?@1 unresolved, origin key 1; -1 delete; ~1 wanted (and what is known
 *            of it, newest first: ~1x?^2 an image of csn 2, ~1x?^2=1 of a row that is there since
 *            csn 1); T truncated; !D an error of kind data that a load mends, !F fatal
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "load_fixture.h"

static const struct case_column keyed[] = {
    {"id", TYPE_INT32, "integer", 1, 0, 0},
    {"a", TYPE_TEXT, "text", 0, 0, 0},
    {"b", TYPE_TEXT, "text", 0, 0, 0},
    {0},
};
static const struct case_column keyless[] = {
    {"id", TYPE_INT32, "integer", 0, 0, 0},
    {"a", TYPE_TEXT, "text", 0, 0, 0},
    {"b", TYPE_TEXT, "text", 0, 0, 0},
    {0},
};

static struct value text(const char *p)
{
    struct value v = {.state = VALUE_SET};

    v.s.p = p;
    v.s.len = 1;
    if (*p == '-')
        v.state = VALUE_NULL;
    else if (*p == '?')
        v.state = VALUE_UNCHANGED;
    return v;
}

static void row_of(struct value v[3], char key, const char *ab)
{
    v[0] = (struct value){.state = VALUE_SET, .i = key - '0'};
    v[1] = ab ? text(ab) : (struct value){.state = VALUE_ABSENT};
    v[2] = ab ? text(ab + 1) : (struct value){.state = VALUE_ABSENT};
}

/* Keyless: U is "U1xy2zw", old row and new row; D is "D1xy". */
static void write_log(struct pipe *p, const char *log)
{
    bool keys = p->source->nkeys > 0;
    int64_t csn = 1;

    for (; *log != '\0'; log += strcspn(log, " "), log += *log == ' ', csn++) {
        struct value before[3], after[3];

        switch (log[0]) {
        case 'I':
        case 'R':
            row_of(after, log[1], log + 2);
            pipe_change(p, log[0] == 'I' ? 'c' : 'r', NULL, after, csn);
            break;
        case 'U':
            row_of(before, log[1], keys ? NULL : log + 2);
            row_of(after, log[keys ? 1 : 4], log + (keys ? 2 : 5));
            pipe_change(p, 'u', keys ? NULL : before, after, csn);
            break;
        case 'M':
            row_of(before, log[1], NULL);
            row_of(after, log[2], log + 3);
            pipe_change(p, 'u', before, after, csn);
            break;
        case 'D':
            row_of(before, log[1], keys ? NULL : log + 2);
            pipe_change(p, 'd', before, NULL, csn);
            break;
        default:
            pipe_change(p, 't', NULL, NULL, csn);
        }
    }
}

static char shown(const struct value *v)
{
    return (char)(v->state == VALUE_UNCHANGED ? '?'
                  : v->state == VALUE_NULL    ? '-'
                  : v->state == VALUE_SET     ? v->s.p[0]
                                              : ' ');
}

/* The images of a row that is wanted. */
static void show_images(struct buf *out, const struct pipe *p, const struct compact_row *r)
{
    const struct compact_image *im;

    assert_false(r->upsert || r->unresolved);
    assert_true(r->images->baseless);
    for (im = r->images; im != NULL; im = im->older) {
        struct arena *a = arena_new("image");
        struct event_slices sl;
        struct error err = {0};
        struct value v[3];

        assert_true(decoder_slices(p->dec, im->value, im->value_len, &sl, &err));
        assert_true(sl.unavailable_len == im->unavailable_len &&
                    memcmp(sl.unavailable, im->unavailable, im->unavailable_len) == 0);
        assert_true(decoder_row(p->dec, sl.after, sl.after_len, sl.unavailable, sl.unavailable_len,
                                a, v, &err));
        assert_int_equal(im->committed_us, im->csn * 1000);
        buf_printf(out, "%c%c^%lld", shown(&v[1]), shown(&v[2]), (long long)im->csn);
        arena_free(a);
    }
    buf_printf(out, "=%lld", (long long)r->images->since);
}

static void show_row(struct buf *out, const struct pipe *p, const struct compact_row *r)
{
    const struct value *v = r->values;

    if (p->source->nkeys > 0)
        assert_int_equal(r->key_len, 1);
    if (r->wanted) {
        buf_printf(out, "%s~%lld", out->len > 0 ? " " : "", (long long)v[0].i);
        show_images(out, p, r);
        return;
    }
    buf_printf(out, "%s%c%lld", out->len > 0 ? " " : "", r->upsert ? '+' : '-', (long long)v[0].i);
    if (r->upsert || p->source->nkeys == 0)
        buf_printf(out, "%c%c", shown(&v[1]), shown(&v[2]));
    assert_int_equal(r->unresolved, v[1].state == VALUE_UNCHANGED || v[2].state == VALUE_UNCHANGED);
    if (r->origin != NULL)
        buf_printf(out, "@%lld", (long long)r->origin[0].i);
}

static void outcome(struct pipe *p, struct buf *out)
{
    const struct compact_row *r = NULL;
    struct error err = {0};
    size_t at = 0;

    if (!pipe_compact(p, &err)) {
        buf_puts(out, err.kind == ERROR_DATA ? "!D" : "!F");
        assert_non_null(strstr(err.message, "public.t"));
        assert_int_equal(err.reload, err.kind == ERROR_DATA);
        return;
    }
    if (compact_truncated(p->compact))
        buf_puts(out, "T");
    do {
        if (!compact_next(p->compact, &at, &r, &err)) {
            buf_puts(out, err.kind == ERROR_DATA ? "!D" : "!F");
            return;
        }
        if (r != NULL)
            show_row(out, p, r);
    } while (r != NULL);
    assert_int_equal(at, compact_count(p->compact));
}

struct log_case {
    const char *log, *want;
};

static void run_cases(const struct case_column *cols, const struct log_case *cases, size_t n)
{
    struct pipe p;
    struct buf got = {0};
    size_t i;

    pipe_open(&p, cols);
    for (i = 0; i < n; i++) {
        buf_reset(&got);
        write_log(&p, cases[i].log);
        outcome(&p, &got);
        if (strcmp(buf_cstr(&got), cases[i].want) != 0)
            fail_msg("%s\n gives %s\n not   %s", cases[i].log, buf_cstr(&got), cases[i].want);
        pipe_reset(&p);
    }
    buf_free(&got);
    pipe_close(&p);
}

static void with_key(void **state)
{
    static const struct log_case cases[] = {
        {"", ""},
        {"I1xy", "+1xy"},
        {"R1xy R2--", "+1xy +2--"},
        {"I1xy U1zw U1pq D1", "-1"},
        {"I1xy U1zw U1pq D1 I1rs", "+1rs"},
        {"D1 I1xy", "+1xy"},
        {"I2xy I1xy U2zz", "+2zz +1xy"},
        /* What a change did not carry comes from the earlier image. */
        {"I1xy U1z?", "+1zy"},
        {"I1xy U1?? U1?? U1z?", "+1zy"},
        {"I1x- U1z?", "+1z-"},
        {"U1x?", "+1x?"},
        {"U1x? U1y?", "+1y?"},
        {"U1x? U1?y", "+1xy"},
        {"U1x? U1?y U1?? U1z?", "+1zy"},
        {"U1?y U1x? U1?? U1?z", "+1xz"},
        {"U1x? U1y? U1zw", "+1zw"},
        {"U1zw U1x? U1??", "+1xw"},
        /* A delete ends the carry. */
        {"I1xy D1 I1zw U1p?", "+1pw"},
        {"U1?? D1 I1zw", "+1zw"},
        {"D1 U1xy", "+1xy"},
        /* What is nowhere to be had is wanted, until a later image tells it or the row goes. */
        {"I1x?", "~1x?^1=1"},
        {"R1?y", "~1?y^1=1"},
        {"D1 I1x? ", "~1x?^2=2"},
        {"D1 U1x?", "~1x?^2=2"},
        {"I1xy D1 U1x?", "~1x?^3=3"},
        {"I1xy D1 I1z?", "~1z?^3=3"},
        {"I1x? U1z?", "~1z?^2=1"},
        {"I1?? U1x?", "~1x?^2??^1=1"},
        {"I1?? U1x? U1??", "~1??^3x?^2=1"},
        {"I1x? U1?y", "+1xy"},
        {"I1?? U1x? U1?y U1z?", "+1zy"},
        {"I1x? U1zw", "+1zw"},
        {"I1x? U1zw U1p?", "+1pw"},
        {"I1x? D1", "-1"},
        {"I1x? D1 I1zw", "+1zw"},
        {"I1x? D1 I1z?", "~1z?^3=3"},
        {"I1x? T", "T"},
        {"I1x? M12z?", "-1 ~2z?^2=2"},
        {"I1?? M12x? U2??", "-1 ~2??^3x?^2=2"},
        {"I1x? M12?y", "-1 +2xy"},
        {"I1x? M12zw", "-1 +2zw"},
        {"I1x? M12?? M21??", "~1??^3x?^1=3 -2"},
        {"I1x? M12?? I1zw", "+1zw ~2??^2x?^1=2"},
        {"U2x? I1z? M13?? M21?? M32??", "~2??^5z?^2=5 +1x?@2 -3"},
        /* Keys that change take the image and the origin along. */
        {"M12xy", "-1 +2xy"},
        {"M12x?", "-1 +2x?@1"},
        {"I1xy M12z?", "-1 +2zy"},
        {"U1x? M12??", "-1 +2x?@1"},
        {"U1x? M12?z", "-1 +2xz"},
        {"M12?? M23??", "-1 -2 +3??@1"},
        {"M12?? M21??", "+1?? -2"},
        {"M12?? U2x?", "-1 +2x?@1"},
        {"M12?? D2", "-1 -2"},
        {"M12?? D2 I2xy", "-1 +2xy"},
        {"M12?? I1xy", "+1xy +2??@1"},
        {"D2 M12?y", "+2?y@1 -1"},
        {"M13?? M21?? M32??", "+1??@2 -3 +2??@1"},
        {"M13x? M21y? M32z?", "+1y?@2 -3 +2z?@1"},
        {"M13?? M21?? M32?? M13?? M21?? M32??", "+1?? -3 +2??"},
        {"I1xy M13?? M21?? M32?? U2z?", "+1??@2 -3 +2zy"},
        {"M12?? U2?? M23?? U3a? U3?b", "-1 -2 +3ab"},
        {"D1 M12x?", "-1 ~2x?^2=2"},
        {"D1 M12x? U2?y", "-1 +2xy"},
        {"D1 M12xy", "-1 +2xy"},
        {"I3xy M31?? D1", "-3 -1"},
        /* Truncate. */
        {"T", "T"},
        {"I1xy T", "T"},
        {"I1xy T I2zw", "T +2zw"},
        {"U1x? T I1zw U1?q", "T +1zq"},
        {"U1x? T U1y?", "T +1y?"},
        {"T I1xy T T D1", "T -1"},
        {"M12?? T I2xy", "T +2xy"},
    };

    (void)state;
    run_cases(keyed, cases, sizeof(cases) / sizeof(cases[0]));
}

static void without_key(void **state)
{
    static const struct log_case cases[] = {
        {"", ""},
        {"I1xy I1xy I1xy", "+1xy +1xy +1xy"},
        {"I1xy I1xy I1xy D1xy", "+1xy +1xy"},
        {"D1xy I1xy", ""},
        {"D1xy D1xy I1xy", "-1xy"},
        {"U1xy1xz", "-1xy +1xz"},
        {"U1xy1xz U1xz1xy", ""},
        {"U1xy1xy", ""},
        {"I1xy U1xy1xz U1xz1x-", "+1x-"},
        {"I1xy I2xy I1xy D2xy", "+1xy +1xy"},
        {"I1-- D1x- I1--", "+1-- +1-- -1x-"},
        {"I1xy T I1xy D1zz", "T +1xy -1zz"},
        {"R1xy R1xy", "+1xy +1xy"},
        {"D1x?", "!D"},
        {"U1xy1x?", "!D"},
        {"I1x?", "!D"},
    };

    (void)state;
    run_cases(keyless, cases, sizeof(cases) / sizeof(cases[0]));
}

static void keyless_needs_the_old_row(void **state)
{
    struct value after[3];
    struct error err = {0};
    struct pipe p;

    (void)state;
    pipe_open(&p, keyless);
    row_of(after, '1', "xy");
    pipe_change(&p, 'u', NULL, after, 1);
    assert_false(pipe_compact(&p, &err));
    assert_int_equal(err.kind, ERROR_DATA);
    assert_true(err.reload);
    assert_non_null(strstr(err.hint, "REPLICA IDENTITY FULL"));
    pipe_close(&p);
}

static const struct case_column float_keyed[] = {
    {"f", TYPE_FLOAT64, "double precision", 1, 0, 0},
    {"t", TYPE_TEXT, "text", 2, 0, 0},
    {"v", TYPE_TEXT, "text", 0, 0, 0},
    {0},
};

static void float_row(struct value v[3], double f, const char *t, const char *val)
{
    v[0] = (struct value){.state = VALUE_SET, .f = f};
    v[1] = text(t);
    v[2] = val ? text(val) : (struct value){.state = VALUE_ABSENT};
}

/* -0 and 0 are one key, and so are all NaN: a changed sign of zero is no second row. */
static void folded_keys(void **state)
{
    const struct compact_row *r;
    struct value before[3], after[3];
    struct error err = {0};
    struct pipe p;
    size_t at = 0;

    (void)state;
    pipe_open(&p, float_keyed);
    float_row(after, 0.0, "k", "x");
    pipe_change(&p, 'c', NULL, after, 1);
    float_row(before, 0.0, "k", NULL);
    float_row(after, -0.0, "k", "?");
    pipe_change(&p, 'u', before, after, 2);
    float_row(after, NAN, "k", "y");
    pipe_change(&p, 'c', NULL, after, 3);
    float_row(after, -NAN, "k", "z");
    pipe_change(&p, 'u', NULL, after, 4);
    float_row(after, 1.5, "k", "z");
    pipe_change(&p, 'c', NULL, after, 5);
    float_row(after, 1.5, "l", "z");
    pipe_change(&p, 'c', NULL, after, 6);
    assert_true(pipe_compact(&p, &err));
    assert_int_equal(compact_count(p.compact), 4);
    assert_true(compact_next(p.compact, &at, &r, &err));
    assert_true(r->upsert && !r->unresolved);
    assert_true(signbit(r->values[0].f));
    assert_int_equal(shown(&r->values[2]), 'x');
    assert_int_equal(r->csn, 2);
    assert_int_equal(r->committed_us, 2000);
    assert_true(compact_next(p.compact, &at, &r, &err));
    assert_true(isnan(r->values[0].f));
    assert_int_equal(shown(&r->values[2]), 'z');
    pipe_close(&p);
}

/* A key that is compared after folding is not wanted: the table is loaded again. */
static void folded_keys_are_not_wanted(void **state)
{
    struct value before[3], after[3];
    struct error err = {0};
    struct pipe p;

    (void)state;
    pipe_open(&p, float_keyed);
    float_row(after, 0.0, "k", "?");
    pipe_change(&p, 'c', NULL, after, 1);
    assert_false(pipe_compact(&p, &err));
    assert_int_equal(err.kind, ERROR_DATA);
    assert_true(err.reload);
    assert_non_null(strstr(err.message, "public.t"));
    assert_non_null(strstr(err.message, "column v"));
    pipe_reset(&p);
    float_row(before, 0.0, "k", NULL);
    pipe_change(&p, 'd', before, NULL, 1);
    float_row(after, -0.0, "k", "?");
    pipe_change(&p, 'u', NULL, after, 2);
    error_clear(&err);
    assert_false(pipe_compact(&p, &err));
    assert_true(err.reload);
    pipe_close(&p);
}

/* Halves of a key change that do not belong together are our own bug: never a lost row. */
static void broken_moves(void **state)
{
    struct value before[3];
    struct change c = {.op = 'd', .before = before};
    const struct compact_row *r;
    struct error err = {0};
    struct buf other = {0};
    struct value after[3];
    struct pipe p;
    size_t at = 0;

    (void)state;
    pipe_open(&p, keyed);
    c.table = p.source;
    row_of(before, '1', NULL);
    pipe_event(&p, &c, before, EVENT_MOVED, NULL, 1);
    assert_true(pipe_compact(&p, &err));
    assert_false(compact_next(p.compact, &at, &r, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    pipe_event(&p, &c, before, 0, NULL, 1);
    assert_false(pipe_compact(&p, &err));
    assert_int_equal(err.kind, ERROR_FATAL);

    pipe_reset(&p);
    buf_puts(&other, "another key");
    row_of(after, '2', "xy");
    pipe_event(&p, &c, before, EVENT_MOVED, NULL, 1);
    c = (struct change){.op = 'c', .table = p.source, .after = after};
    pipe_event(&p, &c, after, 0, &other, 1);
    assert_false(pipe_compact(&p, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    buf_free(&other);
    pipe_close(&p);
}

/* One hot row, its columns in turn not carried: images that tell nothing new are let go. */
static void hot_row(void **state)
{
    const struct compact_row *r;
    struct value after[3];
    struct error err = {0};
    struct pipe p;
    size_t at = 0;
    int i;

    (void)state;
    pipe_open(&p, keyed);
    row_of(after, '1', "??");
    pipe_change(&p, 'u', NULL, after, 1);
    for (i = 0; i < 20000; i++) {
        row_of(after, '1', i % 3 == 0 ? "?y" : i % 3 == 1 ? "x?" : "??");
        pipe_change(&p, 'u', NULL, after, i + 2);
    }
    assert_true(pipe_compact(&p, &err));
    assert_true(compact_next(p.compact, &at, &r, &err));
    assert_false(r->unresolved);
    assert_int_equal(shown(&r->values[1]), 'x');
    assert_int_equal(shown(&r->values[2]), 'y');
    assert_int_equal(r->csn, 20001);
    pipe_close(&p);
}

/* Enough rows for the table to grow, shrink at a reset, and grow again. */
static void many_rows(void **state)
{
    const struct compact_row *r;
    struct error err = {0};
    struct pipe p;
    int round, i;

    (void)state;
    pipe_open(&p, keyed);
    for (round = 0; round < 2; round++) {
        size_t at = 0;

        for (i = 0; i < 20000; i++) {
            struct value after[3];

            row_of(after, '0', i < 10000 ? "xy" : "zw");
            after[0].i = i % 10000 * 7919;
            pipe_change(&p, i < 10000 ? 'c' : 'u', NULL, after, i + 1);
        }
        assert_true(pipe_compact(&p, &err));
        assert_int_equal(compact_count(p.compact), 10000);
        assert_true(compact_bytes(p.compact) > 10000 * 64);
        for (i = 0; i < 10000; i++) {
            assert_true(compact_next(p.compact, &at, &r, &err));
            assert_int_equal(r->values[0].i, i * 7919);
            assert_int_equal(shown(&r->values[1]), 'z');
            assert_int_equal(r->csn, 10001 + i);
        }
        assert_true(compact_next(p.compact, &at, &r, &err));
        assert_null(r);
        pipe_reset(&p);
        assert_int_equal(compact_count(p.compact), 0);
    }
    pipe_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_key),
        cmocka_unit_test(without_key),
        cmocka_unit_test(keyless_needs_the_old_row),
        cmocka_unit_test(folded_keys),
        cmocka_unit_test(folded_keys_are_not_wanted),
        cmocka_unit_test(broken_moves),
        cmocka_unit_test(hot_row),
        cmocka_unit_test(many_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
