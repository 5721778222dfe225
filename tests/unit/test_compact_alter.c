/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random logs with alterations at random places, compacted in random pieces and applied to a target
 * in memory: the outcome is that of applying change by change to a table that is altered in its
 * place. Alterations come behind what was collected (compact_alter) or ahead of it
 * (compact_lift_event). PENSTOCK_SEED=N replays one run, PENSTOCK_RUNS=N sets how many.
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
