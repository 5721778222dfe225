/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of keys: bounds as text and back, order and membership of every kind; and that copies of
 * ranges at points of their own, with what is judged to count of the log, make the source's table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "load/ranges.h"
#include "load_fixture.h"

/* --- bounds --- */

struct bound_case {
    enum type_kind kind;
    const char *increasing[8];
};

static const struct bound_case bounds[] = {
    {TYPE_INT16, {"-32768", "-5", "0", "32767"}},
    {TYPE_INT32, {"-2147483648", "-10", "-9", "9", "10"}},
    {TYPE_INT64, {"-9223372036854775808", "-1", "1000", "9223372036854775807"}},
    {TYPE_DATE, {"-2147483648", "-719162", "0", "19999", "2147483647"}},
    {TYPE_TIMESTAMP,
     {"-9223372036854775808", "-211813488000000000", "0", "1", "9223372036854775807"}},
    {TYPE_TIMESTAMPTZ, {"-9223372036854775808", "-1", "900000000000000"}},
    {TYPE_UUID,
     {"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-00000000000a",
      "9fffffff-ffff-ffff-ffff-ffffffffffff", "a0000000-0000-0000-0000-000000000000",
      "ffffffff-ffff-ffff-ffff-ffffffffffff"}},
    {TYPE_BYTES, {"", "00", "0000", "01", "7f", "80", "ff00"}},
    {TYPE_TEXT, {"", " ", "A", "Z", "a", "aa", "\xc3\xa9", "\xf0\x9f\x98\x80"}},
};

static void test_bounds(void **state)
{
    struct arena *a = arena_new("test");
    struct buf text = {0};
    size_t i;
    int k, m;

    (void)state;
    for (i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        const struct bound_case *c = &bounds[i];
        struct range list[9] = {{0}};
        struct ranges *r;
        struct error err;
        int n = 0;

        while (n < 8 && c->increasing[n] != NULL)
            n++;
        for (k = 0; k < n; k++)
            list[k].to = list[k + 1].from = c->increasing[k];
        assert_true(ranges_new(&r, c->kind, list, n + 1, &err));
        for (k = 0; k < n; k++) {
            struct value v, other;

            assert_true(ranges_bound_parse(c->kind, c->increasing[k], a, &v));
            buf_reset(&text);
            ranges_bound_text(&text, c->kind, &v);
            assert_string_equal(buf_cstr(&text), c->increasing[k]);
            assert_int_equal(ranges_find(r, &v), k + 1); /* a bound begins its range */
            for (m = 0; m < n; m++) {
                assert_true(ranges_bound_parse(c->kind, c->increasing[m], a, &other));
                assert_int_equal(ranges_compare(c->kind, &v, &other), k < m ? -1 : k > m);
            }
        }
        ranges_free(r);
    }
    buf_free(&text);
    arena_free(a);
}

static void test_what_is_no_bound(void **state)
{
    static const struct {
        enum type_kind kind;
        const char *text;
    } cases[] = {
        {TYPE_INT32, ""},
        {TYPE_INT32, "1x"},
        {TYPE_INT64, "9223372036854775808"},
        {TYPE_DATE, "today"},
        {TYPE_BYTES, "0"},
        {TYPE_BYTES, "0G"},
        {TYPE_UUID, "a0"},
        {TYPE_NUMERIC, "1"},
        {TYPE_FLOAT64, "1"},
        {TYPE_UUID, "A0000000-0000-0000-0000-000000000000"},
        {TYPE_UUID, "a0000000a0000-0000-0000-000000000000"},
    };
    struct arena *a = arena_new("test");
    struct value v;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_false(ranges_bound_parse(cases[i].kind, cases[i].text, a, &v));
    arena_free(a);
}

static void test_what_are_no_ranges(void **state)
{
    static const struct {
        enum type_kind kind;
        int n;
        struct range list[3];
    } cases[] = {
        {TYPE_INT32, 0, {{0}}},
        {TYPE_FLOAT64, 1, {{0}}},
        {TYPE_INT32, 1, {{.from = "1"}}},
        {TYPE_INT32, 2, {{.to = "1"}, {.from = "2"}}},
        {TYPE_INT32, 2, {{.to = "1"}, {.from = "1", .to = "2"}}},
        {TYPE_INT32, 2, {{.to = "x"}, {.from = "x"}}},
        {TYPE_INT32, 3, {{.to = "2"}, {.from = "2", .to = "2"}, {.from = "2"}}},
        {TYPE_INT32, 3, {{.to = "2"}, {.from = "2", .to = "1"}, {.from = "1"}}},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ranges *r = NULL;
        struct error err = {0};

        assert_false(ranges_new(&r, cases[i].kind, cases[i].list, cases[i].n, &err));
        assert_null(r);
        assert_int_equal(err.kind, ERROR_DATA);
        assert_true(err.reload);
    }
}

static void test_points(void **state)
{
    const struct range list[] = {{.to = "a", .s = 30}, {.from = "a", .to = "b"}, {.from = "b"}};
    struct ranges *r;
    struct error err;

    (void)state;
    assert_true(ranges_new(&r, TYPE_TEXT, list, 3, &err));
    assert_int_equal(ranges_left(r), 2);
    assert_int_equal(ranges_oldest(r), 30);
    ranges_set(r, 1, 50);
    ranges_set(r, 2, 20);
    assert_int_equal(ranges_left(r), 0);
    assert_int_equal(ranges_oldest(r), 20);
    assert_int_equal(ranges_newest(r), 50);
    assert_int_equal(ranges_get(r, 1), 50);
    ranges_free(r);
}

/* --- a log is judged: keys 0..9, ranges [..3) at s 10, [3..6) at 20, [6..) at 30 --- */

static const struct case_column columns[] = {
    {"id", TYPE_INT32, "integer", 1, 0, 0},
    {"a", TYPE_TEXT, "text", 0, 0, 0},
    {"b", TYPE_TEXT, "text", 0, 0, 0},
    {0},
};

static struct ranges *three(int64_t s0, int64_t s1, int64_t s2)
{
    const struct range list[] = {
        {.to = "3", .s = s0}, {.from = "3", .to = "6", .s = s1}, {.from = "6", .s = s2}};
    struct ranges *r;
    struct error err;

    assert_true(ranges_new(&r, TYPE_INT32, list, 3, &err));
    return r;
}

static void row(struct value v[3], int key, char a, char b)
{
    static const char letters[] = "?abcdefghij";
    char text[2] = {a, b};
    int i;

    v[0] = (struct value){.state = VALUE_SET, .i = key};
    for (i = 0; i < 2; i++) {
        v[1 + i] = (struct value){.state = VALUE_SET};
        v[1 + i].s.p = strchr(letters, text[i]);
        v[1 + i].s.len = 1;
        if (text[i] == '?')
            v[1 + i].state = VALUE_UNCHANGED;
    }
}

/* "M15?" moves key 1 to 5, b not carried. */
static void write_change(struct pipe *p, const char *what, int64_t csn)
{
    struct value before[3], after[3];
    bool moves = what[0] == 'M';

    row(before, what[1] - '0', 'a', 'a');
    if (what[0] == 'T') {
        pipe_change(p, 't', NULL, NULL, csn);
    } else if (what[0] == 'D') {
        pipe_change(p, 'd', before, NULL, csn);
    } else {
        row(after, what[moves ? 2 : 1] - '0', 'a', what[moves ? 3 : 2]);
        pipe_change(p, what[0] == 'I' ? 'c' : 'u', moves ? before : NULL, after, csn);
    }
}

/* What counts, as "c5<" (a 'c' with old_key), "d1>" (EVENT_MOVED), "u2"; "!" starts again. */
static void show_judged(struct pipe *p, const struct ranges *r, struct buf *out)
{
    struct range_judge *j = range_judge_new(r, p->sink, p->dec, 2);
    struct value values[3];
    struct error err = {0};
    struct event e, list[2];
    int64_t csn = 0;
    int n, i;

    while (segment_next(p->seg, &e)) {
        if (e.kind == EVENT_BEGIN) {
            csn = e.csn;
            continue;
        }
        if (!range_judge_row(j, &e, csn, list, &n, &err)) {
            assert_int_equal(err.kind, ERROR_DATA);
            assert_true(err.reload);
            assert_non_null(strstr(err.message, "public.t"));
            buf_puts(out, "!");
            break;
        }
        for (i = 0; i < n; i++) {
            buf_printf(out, "%s%c", out->len > 0 ? " " : "", list[i].op);
            if (list[i].op == 't')
                continue;
            assert_true(decoder_key(p->dec, list[i].key, list[i].key_len, p->a, values, &err));
            buf_printf(out, "%d%s%s", (int)values[0].i, list[i].flags & EVENT_MOVED ? ">" : "",
                       list[i].old_key != NULL ? "<" : "");
        }
    }
    range_judge_free(j);
}

static void test_judging(void **state)
{
    static const struct {
        int64_t csn;
        const char *change, *want;
    } cases[] = {
        {9, "I2b", ""},          {10, "I2b", "c2"},       {19, "I3b", ""},
        {20, "U3b", "u3"},       {29, "D6", ""},          {30, "D6", "d6"},
        {25, "D9", ""},          {15, "U0?", "u0"},       {25, "M12b", "d1> c2<"},
        {25, "M15b", "d1> c5<"}, {25, "M15?", "d1> c5<"}, {25, "M51b", "d5> c1<"},
        {15, "M15b", "d1"},      {15, "M15?", "d1"},      {15, "M51b", "c1"},
        {15, "M51?", "!"},       {5, "M51?", ""},         {15, "M78?", ""},
        {25, "M85b", "c5"},      {30, "M85b", "d8> c5<"}, {9, "T", ""},
        {10, "T", "!"},          {29, "T", "!"},          {30, "T", "t"},
    };
    struct ranges *r = three(10, 20, 30);
    struct buf got = {0};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pipe p;

        pipe_open(&p, columns);
        write_change(&p, cases[i].change, cases[i].csn);
        buf_reset(&got);
        show_judged(&p, r, &got);
        if (strcmp(buf_cstr(&got), cases[i].want) != 0)
            fail_msg("%s at %d: %s, not %s", cases[i].change, (int)cases[i].csn, buf_cstr(&got),
                     cases[i].want);
        pipe_close(&p);
    }
    buf_free(&got);
    ranges_free(r);
}

static void test_a_key_of_another_version(void **state)
{
    struct ranges *r = three(10, 20, 30);
    struct range_judge *j;
    struct event e, out[2];
    struct error err = {0};
    struct pipe p;
    int n;

    (void)state;
    pipe_open(&p, columns);
    write_change(&p, "I1b", 40);
    assert_true(segment_next(p.seg, &e) && segment_next(p.seg, &e));
    j = range_judge_new(r, p.sink, p.dec, 3);
    assert_false(range_judge_row(j, &e, 40, out, &n, &err));
    assert_true(err.kind == ERROR_DATA && err.reload);
    e.key = NULL;
    assert_false(range_judge_row(j, &e, 40, out, &n, &err));
    assert_true(err.kind == ERROR_DATA && err.reload);
    range_judge_free(j);
    pipe_close(&p);
    ranges_free(r);
}

/* --- copies and what counts of the log make the source's table --- */

#define KEYS 9
#define STEPS 60

struct rows {
    char a[KEYS], b[KEYS]; /* 0: no such row */
};

struct random_log {
    uint64_t seed;
    struct rows now;
    struct rows at[STEPS + 2]; /* what transactions with a csn below this left */
    struct pipe p;
};

static unsigned dice(struct random_log *m, unsigned n)
{
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(m->seed >> 33) % n;
}

static int pick(struct random_log *m, bool used)
{
    int from = (int)dice(m, KEYS), i;

    for (i = 0; i < KEYS; i++) {
        int k = (from + i) % KEYS;

        if ((m->now.a[k] != 0) == used)
            return k;
    }
    return -1;
}

static void change_row(struct random_log *m, int from, int to, int64_t csn)
{
    bool carried = dice(m, 2);
    struct value before[3], after[3];
    char b = m->now.b[from];

    if (carried)
        b = (char)('a' + dice(m, 10));
    m->now.a[from] = 0;
    m->now.a[to] = (char)('a' + dice(m, 10));
    m->now.b[to] = b;
    row(before, from, 'a', 'a');
    row(after, to, m->now.a[to], carried ? b : '?');
    pipe_change(&m->p, 'u', from != to ? before : NULL, after, csn);
}

static void step(struct random_log *m, int64_t csn)
{
    int used = pick(m, true), unused = pick(m, false);
    struct value v[3];
    unsigned what = dice(m, 100);

    if (what < 3) {
        memset(&m->now, 0, sizeof(m->now));
        pipe_change(&m->p, 't', NULL, NULL, csn);
    } else if (used >= 0 && what < 20) {
        m->now.a[used] = 0;
        row(v, used, 'a', 'a');
        pipe_change(&m->p, 'd', v, NULL, csn);
    } else if (used >= 0 && what < 60) {
        change_row(m, used, unused >= 0 && what < 40 ? unused : used, csn);
    } else if (unused >= 0) {
        m->now.a[unused] = (char)('a' + dice(m, 10));
        m->now.b[unused] = (char)('a' + dice(m, 10));
        row(v, unused, m->now.a[unused], m->now.b[unused]);
        pipe_change(&m->p, 'c', NULL, v, csn);
    }
}

static void put(struct rows *copy, const struct compact_row *r, const struct rows *before)
{
    int key = (int)r->values[0].i;
    int origin = r->origin != NULL ? (int)r->origin[0].i : key;

    copy->a[key] = 0;
    if (!r->upsert)
        return;
    copy->a[key] = r->values[1].s.p[0];
    if (r->values[2].state == VALUE_SET) {
        copy->b[key] = r->values[2].s.p[0];
        return;
    }
    assert_int_equal(r->values[2].state, VALUE_UNCHANGED);
    assert_true(before->a[origin] != 0); /* else a value is made up */
    copy->b[key] = before->b[origin];
}

/* One piece into the copy: deletes, then upserts that may read what was there before. */
static void apply(struct random_log *m, struct rows *copy)
{
    struct rows before = *copy;
    const struct compact_row *r = NULL;
    struct error err = {0};
    size_t at = 0;

    if (compact_truncated(m->p.compact))
        memset(copy, 0, sizeof(*copy));
    for (;;) {
        if (!compact_next(m->p.compact, &at, &r, &err))
            fail_msg("%s", err.message);
        if (r == NULL)
            break;
        put(copy, r, &before);
    }
    compact_reset(m->p.compact);
}

/* False: it starts again. */
static bool judge_all(struct random_log *m, const struct ranges *r, struct rows *copy)
{
    struct range_judge *j = range_judge_new(r, m->p.sink, m->p.dec, 2);
    struct event e, out[2];
    struct error err = {0};
    int64_t csn = 0;
    bool ok = true;
    int n, i;

    while (ok && segment_next(m->p.seg, &e)) {
        if (e.kind == EVENT_BEGIN) {
            csn = e.csn;
            if (dice(m, 4) == 0)
                apply(m, copy);
            continue;
        }
        ok = range_judge_row(j, &e, csn, out, &n, &err);
        for (i = 0; ok && i < n; i++) {
            out[i].key = out[i].key ? arena_memdup(m->p.a, out[i].key, out[i].key_len) : NULL;
            out[i].value = arena_memdup(m->p.a, out[i].value, out[i].value_len);
            if (!compact_add(m->p.compact, &out[i], csn, csn, &err))
                fail_msg("%s", err.message);
        }
    }
    if (ok)
        apply(m, copy);
    else
        assert_true(err.kind == ERROR_DATA && err.reload);
    range_judge_free(j);
    return ok;
}

static bool run_one(uint64_t seed)
{
    struct random_log m = {.seed = seed};
    struct rows copy = {{0}, {0}};
    struct ranges *r;
    int64_t csn;
    bool ok;
    int k;

    pipe_open(&m.p, columns);
    for (csn = 1; csn <= STEPS; csn++) {
        m.at[csn] = m.now;
        step(&m, csn);
    }
    m.at[csn] = m.now;
    r = three(1 + dice(&m, STEPS), 1 + dice(&m, STEPS), 1 + dice(&m, STEPS));
    for (k = 0; k < KEYS; k++) {
        struct value key = {.state = VALUE_SET, .i = k};
        int64_t s = ranges_get(r, ranges_find(r, &key));

        copy.a[k] = m.at[s].a[k];
        copy.b[k] = m.at[s].b[k];
    }
    ok = judge_all(&m, r, &copy);
    for (k = 0; ok && k < KEYS; k++) {
        if (copy.a[k] != m.now.a[k] || (copy.a[k] != 0 && copy.b[k] != m.now.b[k]))
            fail_msg("seed %llu: key %d differs", (unsigned long long)seed, k);
    }
    ranges_free(r);
    pipe_close(&m.p);
    return ok;
}

static void test_random_logs(void **state)
{
    int exact = 0;
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 3000; seed++)
        exact += run_one(seed);
    assert_in_range(exact, 100, 2900); /* both ends are met */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_what_is_no_bound),
        cmocka_unit_test(test_what_are_no_ranges),
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_judging),
        cmocka_unit_test(test_a_key_of_another_version),
        cmocka_unit_test(test_random_logs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
