/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random logs with alterations at random places, compacted in random pieces and applied to a target
 * in memory: the outcome is that of applying change by change to a table that is altered in its
 * place. Alterations come behind what was collected (compact_alter) or ahead of it
 * (compact_lift_event). Then odd cases by hand. PENSTOCK_SEED=N replays one run, PENSTOCK_RUNS=N
 * sets how many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alter_model.h"

static uint64_t running; /* the seed, for the message of a failure */

#define fail_seed(...)                                                    \
    do {                                                                  \
        print_error("PENSTOCK_SEED=%llu: ", (unsigned long long)running); \
        fail_msg(__VA_ARGS__);                                            \
    } while (0)

struct copy {
    bool used;
    int64_t csn;
    char *v[AM_NUMBERS]; /* by attnum; NULL: SQL NULL */
};

struct memory {
    struct arena *a;
    struct compact *c;
    struct copy target[2 * AM_COPIES];
    int n;
    struct arena *lifted;
};

struct staged {
    bool upsert;
    int slot, origin; /* keyed; origin: slot to resolve from, -1: none */
    bool unchanged[AM_COLS];
    struct copy row;
};

static int take_rows(struct am *m, struct memory *mem, struct staged *out)
{
    const struct compact_row *r;
    struct error err = {0};
    size_t at = 0;
    int n = 0, i;

    for (;; n++) {
        struct staged *s = &out[n];

        if (!compact_next(mem->c, &at, &r, &err))
            fail_seed("compact_next: %s", err.message);
        if (r == NULL)
            return n;
        memset(s, 0, sizeof(*s));
        s->upsert = r->upsert;
        s->row.used = true;
        s->row.csn = r->csn;
        for (i = 0; i < m->nlive; i++) {
            s->unchanged[i] = r->values[i].state == VALUE_UNCHANGED;
            s->row.v[m->live[i].attnum] = am_show(mem->a, m->live[i].kind, &r->values[i]);
        }
        s->slot = (int)r->values[0].i;
        s->origin = !r->unresolved ? -1 : r->origin != NULL ? (int)r->origin[0].i : s->slot;
    }
}

static void apply_keyed(struct am *m, struct memory *mem, struct staged *rows, int n)
{
    int i, c;

    for (i = 0; i < n; i++) {
        if (rows[i].origin < 0)
            continue;
        if (!mem->target[rows[i].origin].used)
            fail_seed("no row to resolve from");
        for (c = 0; c < m->nlive; c++) {
            int k = m->live[c].attnum;

            if (rows[i].unchanged[c])
                rows[i].row.v[k] = mem->target[rows[i].origin].v[k];
        }
    }
    for (i = 0; i < n; i++)
        mem->target[rows[i].slot].used = false;
    for (i = 0; i < n; i++) {
        if (rows[i].upsert)
            mem->target[rows[i].slot] = rows[i].row;
    }
}

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_copy(const struct am *m, const struct copy *a, const struct copy *b)
{
    int c;

    for (c = 0; c < m->nlive; c++) {
        if (!same(a->v[m->live[c].attnum], b->v[m->live[c].attnum]))
            return false;
    }
    return true;
}

static void apply_keyless(struct am *m, struct memory *mem, const struct staged *rows, int n)
{
    int i, j;

    for (i = 0; i < n; i++) {
        if (rows[i].upsert)
            continue;
        for (j = 0; j < mem->n && !same_copy(m, &mem->target[j], &rows[i].row); j++)
            ;
        if (j == mem->n)
            fail_seed("a deleted row is not there");
        mem->target[j] = mem->target[--mem->n];
    }
    for (i = 0; i < n; i++) {
        if (rows[i].upsert)
            mem->target[mem->n++] = rows[i].row;
    }
}

static void want_copy(struct am *m, struct memory *mem, const struct am_row *r, struct copy *out)
{
    int c;

    memset(out, 0, sizeof(*out));
    out->used = r->used;
    for (c = 0; c < m->nlive; c++)
        out->v[m->live[c].attnum] = am_show(mem->a, m->live[c].kind, &r->v[m->live[c].attnum]);
}

static void compare_keyed(struct am *m, struct memory *mem)
{
    struct copy want;
    int i;

    for (i = 0; i < AM_ROWS; i++) {
        want_copy(m, mem, &m->rows[i], &want);
        if (mem->target[i].used != want.used)
            fail_seed("row %d: %s", i, want.used ? "is missing" : "should not be there");
        if (!want.used)
            continue;
        if (!same_copy(m, &want, &mem->target[i]))
            fail_seed("row %d differs", i);
        if (mem->target[i].csn != m->rows[i].csn)
            fail_seed("row %d: csn", i);
    }
}

static void compare_keyless(struct am *m, struct memory *mem)
{
    bool used[2 * AM_COPIES] = {0};
    struct copy want;
    int i, j;

    if (mem->n != m->nrows)
        fail_seed("%d rows instead of %d", mem->n, m->nrows);
    for (i = 0; i < m->nrows; i++) {
        want_copy(m, mem, &m->rows[i], &want);
        for (j = 0; j < mem->n && (used[j] || !same_copy(m, &want, &mem->target[j])); j++)
            ;
        if (j == mem->n)
            fail_seed("row %d is not in the target", i);
        used[j] = true;
    }
}

static void feed(struct am *m, struct memory *mem)
{
    struct error err = {0};

    if (!am_feed(m, mem->c, mem->lifted, &err))
        fail_seed("feed: %s", err.message);
}

static void apply_piece(struct am *m, struct memory *mem)
{
    static struct staged rows[1024];
    int n;

    feed(m, mem);
    if (compact_truncated(mem->c)) {
        memset(mem->target, 0, sizeof(mem->target));
        mem->n = 0;
    }
    n = take_rows(m, mem, rows);
    assert_int_equal(n, compact_count(mem->c));
    if (m->keyed) {
        apply_keyed(m, mem, rows, n);
        compare_keyed(m, mem);
    } else {
        apply_keyless(m, mem, rows, n);
        compare_keyless(m, mem);
    }
    compact_reset(mem->c);
    arena_reset(mem->lifted);
    segment_free(m->p.seg);
    m->p.seg = segment_new();
    m->piece++;
}

static void alter(struct am *m, struct memory *mem)
{
    const struct alteration *al;
    struct error err = {0};
    int i, r;

    if (am_random(m, 2))
        feed(m, mem);
    al = am_alter(m);
    for (i = 0; i < m->nlive; i++) {
        for (r = 0; al->from[i] < 0 && r < 2 * AM_COPIES; r++)
            mem->target[r].v[m->live[i].attnum] = am_show(mem->a, m->live[i].kind, &al->fill[i]);
    }
    if (!compact_alter(mem->c, am_current(m)->sink, am_current(m)->dec, am_current(m)->enc, al,
                       &err))
        fail_seed("compact_alter: %s", err.message);
}

static void run(bool keyed, uint64_t seed)
{
    struct memory mem = {.a = arena_new("target"), .lifted = arena_new("lifted")};
    unsigned cut, altered;
    struct am m;
    int i;

    am_open(&m, keyed, seed);
    mem.c = compact_new(am_current(&m)->sink, am_current(&m)->dec);
    cut = 2 + am_random(&m, 30);
    altered = 3 + am_random(&m, 12);
    for (i = 0; i < 100; i++) {
        am_step(&m);
        if (am_random(&m, altered) == 0 && m.nversions < AM_VERSIONS)
            alter(&m, &mem);
        if (am_random(&m, cut) == 0)
            apply_piece(&m, &mem);
    }
    apply_piece(&m, &mem);
    compact_free(mem.c);
    am_close(&m);
    arena_free(mem.a);
    arena_free(mem.lifted);
}

static void runs(bool keyed)
{
    uint64_t first = am_seed(), n = am_runs(300);

    print_message("PENSTOCK_SEED=%llu and on\n", (unsigned long long)first);
    for (running = first; running < first + n; running++)
        run(keyed, running);
}

/* --- odd cases, by hand; the model's columns are id (key), a, b (texts), c (decimal) --- */

struct odd {
    struct am m;
    struct compact *c;
    struct arena *lifted;
    struct segment *held[8]; /* what compaction points into: a segment moves while it grows */
    int nheld;
};

static void odd_open(struct odd *o, bool keyed)
{
    am_open(&o->m, keyed, 1);
    o->nheld = 0;
    o->c = compact_new(am_current(&o->m)->sink, am_current(&o->m)->dec);
    o->lifted = arena_new("lifted");
}

static void odd_close(struct odd *o)
{
    compact_free(o->c);
    am_close(&o->m);
    arena_free(o->lifted);
    while (o->nheld > 0)
        segment_free(o->held[--o->nheld]);
}

/* ?: not carried, NULL: NULL. */
static void odd_row(struct value out[4], int64_t id, const char *a, const char *b, const char *c)
{
    const char *texts[] = {a, b, c};
    int i;

    out[0] = (struct value){.state = VALUE_SET, .i = id};
    for (i = 0; i < 3; i++) {
        out[i + 1] = (struct value){.state = VALUE_NULL};
        if (texts[i] != NULL && strcmp(texts[i], "?") == 0)
            out[i + 1].state = VALUE_UNCHANGED;
        else if (texts[i] != NULL)
            out[i + 1] = am_text(texts[i]);
    }
}

static void odd_feed(struct odd *o)
{
    struct error err = {0};

    if (!am_feed(&o->m, o->c, o->lifted, &err))
        fail_msg("%s", err.message);
    o->held[o->nheld++] = o->m.p.seg;
    o->m.p.seg = segment_new();
}

static void odd_change(struct odd *o, char op, const struct value *before,
                       const struct value *after)
{
    pipe_change(&o->m.p, op, before, after, ++o->m.csn);
    odd_feed(o);
}

static bool odd_try(struct odd *o, struct error *err)
{
    const struct alteration *al = am_altered(&o->m);
    struct am_version *v = am_current(&o->m);

    return compact_alter(o->c, v->sink, v->dec, v->enc, al, err);
}

static void odd_alter(struct odd *o)
{
    struct error err = {0};

    if (!odd_try(o, &err))
        fail_msg("%s", err.message);
}

/* The rows that come out: "+1|x|NULL|? " with the columns as they are now. */
static void odd_comes_out(struct odd *o, const char *want)
{
    struct arena *a = arena_new("shown");
    const struct compact_row *r;
    struct error err = {0};
    struct buf out = {0};
    size_t at = 0;
    int i;

    while (compact_next(o->c, &at, &r, &err) && r != NULL) {
        buf_printf(&out, "%s%lld", r->upsert ? "+" : "-", (long long)r->values[0].i);
        for (i = 1; i < o->m.nlive && (r->upsert || !o->m.keyed); i++) {
            const char *s = am_show(a, o->m.live[i].kind, &r->values[i]);

            buf_printf(&out, "|%s", r->values[i].state == VALUE_UNCHANGED ? "?" : s ? s : "NULL");
        }
        if (r->origin != NULL)
            buf_printf(&out, " from %lld", (long long)r->origin[0].i);
        buf_puts(&out, " ");
    }
    assert_string_equal(err.message, "");
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
    arena_free(a);
}

/* An image that lacks only what is dropped is complete; one that lacks more is not. */
static void lacks_what_is_dropped(void **state)
{
    struct value row[4];
    struct odd o;

    (void)state;
    odd_open(&o, true);
    odd_row(row, 1, "x", "?", "1.00");
    odd_change(&o, 'u', NULL, row);
    odd_row(row, 2, "?", "?", "2.00");
    odd_change(&o, 'u', NULL, row);
    am_drop(&o.m, 2);
    odd_alter(&o);
    odd_comes_out(&o, "+1|x|1.00 +2|?|2.00 ");
    odd_close(&o);
}

/* The second half of a key change is of the new version, in which the key has another name. */
static void between_the_halves(void **state)
{
    struct value row[4], old[4];
    struct error err = {0};
    struct change c;
    struct odd o;
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        odd_open(&o, true);
        odd_row(row, 1, "x", i ? "?" : "y", "1.00");
        odd_change(&o, 'u', NULL, row);
        segment_begin(o.m.p.seg, 7, 7000);
        c = (struct change){.op = 'd'};
        pipe_event(&o.m.p, &c, row, EVENT_MOVED, NULL, 7);
        odd_feed(&o);
        o.m.live[0].name = "key";
        am_drop(&o.m, 3);
        odd_alter(&o);
        odd_row(old, 1, NULL, NULL, NULL);
        odd_row(row, 2, "?", "?", NULL);
        segment_begin(o.m.p.seg, 7, 7000);
        if (!encoder_key(am_current(&o.m)->enc, old, &o.m.p.old_key, &err))
            fail_msg("%s", err.message);
        c = (struct change){.op = 'c', .after = row};
        pipe_event(&o.m.p, &c, row, 0, &o.m.p.old_key, 7);
        odd_feed(&o);
        odd_comes_out(&o, i ? "-1 +2|x|? from 1 " : "-1 +2|x|y ");
        odd_close(&o);
    }
}

/* Changes before and after a renamed key are of the same rows. */
static void renamed_key(void **state)
{
    struct value row[4];
    struct odd o;

    (void)state;
    odd_open(&o, true);
    odd_row(row, 1, "x", "y", NULL);
    odd_change(&o, 'c', NULL, row);
    o.m.live[0].name = "key";
    odd_alter(&o);
    odd_row(row, 1, "?", "z", NULL);
    odd_change(&o, 'u', NULL, row);
    odd_comes_out(&o, "+1|x|z|NULL ");
    odd_close(&o);
}

/* NULLs of a column that then becomes NOT NULL: only where nobody looks at them. */
static void becomes_not_null(void **state)
{
    struct error err = {0};
    struct value row[4];
    struct odd o;

    (void)state;
    odd_open(&o, true);
    odd_row(row, 1, NULL, "y", NULL);
    odd_change(&o, 'c', NULL, row);
    odd_row(row, 1, "x", "?", NULL);
    odd_change(&o, 'u', NULL, row);
    o.m.live[1].nullable = false;
    odd_alter(&o);
    odd_comes_out(&o, "+1|x|y|NULL ");
    odd_close(&o);

    odd_open(&o, true);
    odd_row(row, 1, NULL, "y", NULL);
    odd_change(&o, 'c', NULL, row);
    o.m.live[1].nullable = false;
    assert_false(odd_try(&o, &err));
    assert_int_equal(err.kind, ERROR_DATA);
    assert_true(err.reload);
    odd_comes_out(&o, "+1|NULL|y|NULL "); /* it is as it was */
    odd_close(&o);
}

/* Without a key: what only the dropped column told apart. */
static void rows_become_equal(void **state)
{
    struct value row[4];
    struct odd o;

    (void)state;
    odd_open(&o, false);
    odd_row(row, 1, "x", "one", NULL);
    odd_change(&o, 'c', NULL, row);
    odd_row(row, 1, "x", "two", NULL);
    odd_change(&o, 'c', NULL, row);
    odd_row(row, 2, "x", "one", NULL);
    odd_change(&o, 'c', NULL, row);
    odd_row(row, 2, "x", "two", NULL);
    odd_change(&o, 'd', row, NULL);
    assert_int_equal(compact_count(o.c), 4);
    am_drop(&o.m, 2);
    odd_alter(&o);
    assert_int_equal(compact_count(o.c), 2);
    odd_comes_out(&o, "+1|x|NULL +1|x|NULL ");
    odd_close(&o);
}

static bool follows(struct column from, struct column to, bool key)
{
    struct odd o;
    struct error err = {0};
    bool ok;

    odd_open(&o, true);
    from.name = to.name = "a";
    from.field = to.field = NULL;
    from.attnum = to.attnum = key ? 1 : 2;
    from.key_pos = to.key_pos = key;
    from.nullable = to.nullable = !key;
    o.m.live[key ? 0 : 1] = from;
    o.m.live[key ? 1 : 0].name = "other";
    am_version(&o.m);
    o.m.live[key ? 0 : 1] = to;
    ok = alteration_check(am_altered(&o.m), &err);
    assert_int_equal(ok, err.kind == ERROR_NONE);
    assert_int_equal(!ok, err.reload);
    odd_close(&o);
    return ok;
}

static void what_can_be_followed(void **state)
{
#define TYPE(k, type) ((struct column){.kind = k, .source_type = type})
#define DECIMAL(p, s) ((struct column){.kind = TYPE_DECIMAL, .precision = p, .scale = s})
    (void)state;
    assert_true(follows(TYPE(TYPE_TEXT, "character varying(3)"),
                        TYPE(TYPE_TEXT, "character varying(4)"), true));
    assert_true(follows(TYPE(TYPE_TEXT, "character varying(3)"), TYPE(TYPE_TEXT, "text"), false));
    assert_true(follows(TYPE(TYPE_TEXT, "text"), TYPE(TYPE_TEXT, "public.citext"), false));
    assert_true(follows(TYPE(TYPE_TEXT, "time(3) with time zone"),
                        TYPE(TYPE_TEXT, "time with time zone"), false));
    assert_true(follows(TYPE(TYPE_TEXT, "varchar[]"), TYPE(TYPE_TEXT, "varchar[]"), false));
    assert_true(follows(DECIMAL(10, 2), DECIMAL(12, 2), true));
    assert_true(follows(DECIMAL(10, 2), TYPE(TYPE_NUMERIC, "numeric"), false));
    assert_true(follows(TYPE(TYPE_TIMESTAMP, "a"), TYPE(TYPE_TIMESTAMP, "b"), false));
    /* the same bytes at the source, another text */
    assert_false(follows(TYPE(TYPE_TEXT, "cidr"), TYPE(TYPE_TEXT, "inet"), false));
    assert_false(follows(TYPE(TYPE_TEXT, "regclass"), TYPE(TYPE_TEXT, "regproc"), false));
    assert_false(follows(TYPE(TYPE_TEXT, "text"), TYPE(TYPE_TEXT, "text[]"), false));
    assert_false(follows(TYPE(TYPE_INT32, "integer"), TYPE(TYPE_INT64, "oid"), false));
    assert_false(follows(TYPE(TYPE_TIMESTAMP, "a"), TYPE(TYPE_TIMESTAMPTZ, "b"), false));
    /* rewritten there */
    assert_false(follows(DECIMAL(10, 2), DECIMAL(12, 4), false));
    assert_false(follows(DECIMAL(10, 2), DECIMAL(9, 2), false));
    /* keys keep their bytes */
    assert_false(follows(DECIMAL(10, 2), TYPE(TYPE_NUMERIC, "numeric"), true));
}

static void keyed(void **state)
{
    (void)state;
    runs(true);
}

static void keyless(void **state)
{
    (void)state;
    runs(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyed),
        cmocka_unit_test(keyless),
        cmocka_unit_test(lacks_what_is_dropped),
        cmocka_unit_test(between_the_halves),
        cmocka_unit_test(renamed_key),
        cmocka_unit_test(becomes_not_null),
        cmocka_unit_test(rows_become_equal),
        cmocka_unit_test(what_can_be_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
