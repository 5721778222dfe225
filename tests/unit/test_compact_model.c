/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random logs, cut into random pieces, compacted and applied to a target in memory by the rules of
 * the SQL (resolve, delete, upsert; MERGE and delete + insert): after each piece the target equals
 * the source. Rows that are not to be had are read again, and rows that somebody takes out of the
 * target come back when they are changed. PENSTOCK_SEED=N replays one run, PENSTOCK_RUNS=N sets how
 * many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wanted_model.h"

static uint64_t running; /* the seed, for the message of a failure */

#define fail_seed(...)                                                    \
    do {                                                                  \
        print_error("PENSTOCK_SEED=%llu: ", (unsigned long long)running); \
        fail_msg(__VA_ARGS__);                                            \
    } while (0)

struct copy {
    bool used;
    int64_t csn;
    char *v[MODEL_COLS]; /* NULL: SQL NULL */
};

/* The rows of one piece and the target, texts in arenas. */
struct memory {
    struct arena *a;
    struct copy target[MODEL_COPIES];
    int n;
    bool robbed[MODEL_ROWS]; /* taken out of the target */
    struct refetch f;
};

struct staged {
    bool upsert, wanted;
    int slot, origin; /* keyed; origin: slot to resolve from */
    bool unchanged[MODEL_COLS];
    struct copy row;
};

static char *text_of(const struct model *m, struct arena *a, int c, const struct value *v)
{
    if (v->state != VALUE_SET)
        return NULL;
    if (c == 1 || c == 2)
        return arena_strndup(a, v->s.p, v->s.len);
    if (c == 0 && m->floats)
        return arena_printf(a, "%.17g", isnan(v->f) ? NAN : v->f);
    return arena_printf(a, "%lld", (long long)v->i);
}

/* Keys as a warehouse compares them. */
static int slot_of(struct model *m, const struct value *key)
{
    int i;

    for (i = 0; i < MODEL_ROWS; i++) {
        struct value k = model_key(m, i);

        if (m->floats ? k.f == key->f || (isnan(k.f) && isnan(key->f)) : k.i == key->i)
            return i;
    }
    return -1;
}

static int take_rows(struct model *m, struct memory *mem, struct staged *out)
{
    const struct compact_row *r;
    struct error err = {0};
    size_t at = 0;
    int n = 0, c;

    for (;; n++) {
        struct staged *s = &out[n];

        if (!compact_next(m->p.compact, &at, &r, &err))
            fail_seed("compact_next: %s", err.message);
        if (r == NULL)
            return n;
        assert_true(n < 256);
        memset(s, 0, sizeof(*s));
        s->upsert = r->upsert;
        if (r->wanted)
            wanted_add(mem->f.w, r);
        else if (m->keyed && !r->unresolved)
            wanted_settle(mem->f.w, r->key, r->key_len);
        s->row.used = true;
        s->row.csn = r->csn;
        for (c = 0; c < MODEL_COLS; c++) {
            s->unchanged[c] = r->values[c].state == VALUE_UNCHANGED;
            s->row.v[c] = text_of(m, mem->a, c, &r->values[c]);
        }
        if (!m->keyed)
            continue;
        s->slot = slot_of(m, &r->values[0]);
        s->origin = r->unresolved ? slot_of(m, r->origin ? &r->origin[0] : &r->values[0]) : -1;
    }
}

/* Those that were to be resolved, once more. */
static void note_unresolved(struct model *m, struct memory *mem, bool missing)
{
    const struct compact_row *r;
    struct error err = {0};
    size_t at = 0;

    for (;;) {
        if (!compact_next(m->p.compact, &at, &r, &err))
            fail_seed("compact_next: %s", err.message);
        if (r == NULL)
            return;
        if (r->unresolved && missing)
            wanted_add(mem->f.w, r);
        else if (r->unresolved)
            wanted_settle(mem->f.w, r->key, r->key_len);
    }
}

static void apply_keyed(struct model *m, struct memory *mem, struct staged *rows, int n, bool merge)
{
    bool seen[MODEL_ROWS] = {0}, missing = false;
    int i, c;

    for (i = 0; i < n; i++) {
        assert_false(seen[rows[i].slot]);
        seen[rows[i].slot] = true;
        if (rows[i].origin < 0)
            continue;
        if (!mem->target[rows[i].origin].used) {
            if (!m->filter)
                fail_seed("no row to resolve from");
            missing = true;
            rows[i].upsert = false;
            continue;
        }
        for (c = 1; c < MODEL_COLS; c++) {
            if (rows[i].unchanged[c])
                rows[i].row.v[c] = mem->target[rows[i].origin].v[c];
        }
    }
    note_unresolved(m, mem, missing);
    for (i = 0; i < n; i++) {
        if (!merge || !rows[i].upsert)
            mem->target[rows[i].slot].used = false;
    }
    for (i = 0; i < n; i++) {
        if (rows[i].upsert)
            mem->target[rows[i].slot] = rows[i].row;
    }
}

static bool same_copy(const struct copy *a, const struct copy *b)
{
    int c;

    for (c = 0; c < MODEL_COLS; c++) {
        if ((a->v[c] == NULL) != (b->v[c] == NULL) || (a->v[c] && strcmp(a->v[c], b->v[c]) != 0))
            return false;
    }
    return true;
}

static void apply_keyless(struct memory *mem, const struct staged *rows, int n)
{
    int i, j;

    for (i = 0; i < n; i++) {
        if (rows[i].upsert)
            continue;
        for (j = 0; j < mem->n && !same_copy(&mem->target[j], &rows[i].row); j++)
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

static void compare_keyed(struct model *m, struct memory *mem)
{
    int i, c;

    for (i = 0; i < MODEL_ROWS; i++) {
        struct copy want = {.used = m->rows[i].used};

        if (!want.used || mem->target[i].used)
            mem->robbed[i] = false;
        if (!mem->target[i].used && (mem->robbed[i] || (m->filter && refetch_wants(&mem->f, m, i))))
            continue;
        if (mem->target[i].used != want.used)
            fail_seed("row %d: %s", i, want.used ? "is missing" : "should not be there");
        if (!want.used)
            continue;
        for (c = 0; c < MODEL_COLS; c++)
            want.v[c] = text_of(m, mem->a, c, &m->rows[i].v[c]);
        if (!same_copy(&want, &mem->target[i]))
            fail_seed("row %d differs", i);
        if (mem->target[i].csn != m->rows[i].csn &&
            (!m->filter || mem->target[i].csn != mem->f.taken[i]))
            fail_seed("row %d: csn", i);
    }
}

static void compare_keyless(struct model *m, struct memory *mem)
{
    bool used[MODEL_COPIES] = {0};
    int i, j, c;

    if (mem->n != m->nrows)
        fail_seed("%d rows instead of %d", mem->n, m->nrows);
    for (i = 0; i < m->nrows; i++) {
        struct copy want = {0};

        for (c = 0; c < MODEL_COLS; c++)
            want.v[c] = text_of(m, mem->a, c, &m->rows[i].v[c]);
        for (j = 0; j < mem->n && (used[j] || !same_copy(&want, &mem->target[j])); j++)
            ;
        if (j == mem->n)
            fail_seed("row %d is not in the target", i);
        used[j] = true;
    }
}

static void apply_piece(struct model *m, struct memory *mem, bool merge)
{
    static struct staged rows[257];
    struct error err = {0};
    int n;

    if (!pipe_compact(&m->p, &err))
        fail_seed("compact_add: %s", err.message);
    if (compact_truncated(m->p.compact)) {
        wanted_settle_all(mem->f.w);
        memset(mem->target, 0, sizeof(mem->target));
        mem->n = 0;
    }
    n = take_rows(m, mem, rows);
    assert_int_equal(n, compact_count(m->p.compact));
    if (m->keyed)
        apply_keyed(m, mem, rows, n, merge);
    else
        apply_keyless(mem, rows, n);
    pipe_reset(&m->p);
    if (m->keyed)
        compare_keyed(m, mem);
    else
        compare_keyless(m, mem);
}

/* What is wanted is read at some time, and handed on after some piece. */
static void refetch_some(struct model *m, struct memory *mem)
{
    if (mem->f.open && model_random(m, 3) == 0)
        refetch_give(&mem->f, m, m->p.compact);
    if (!mem->f.open && wanted_count(mem->f.w) > 0 && model_random(m, 2) == 0)
        refetch_read(&mem->f, m);
    if (model_random(m, 10) == 0) {
        int i = (int)model_random(m, MODEL_ROWS);

        mem->robbed[i] |= mem->target[i].used;
        mem->target[i].used = false;
    }
}

/* Once the source is silent, reading twice brings all. */
static void refetch_rest(struct model *m, struct memory *mem, bool merge)
{
    int round, i;

    for (round = 0; round < 2 && (mem->f.open || wanted_count(mem->f.w) > 0); round++) {
        if (!mem->f.open)
            refetch_read(&mem->f, m);
        refetch_give(&mem->f, m, m->p.compact);
        apply_piece(m, mem, merge);
    }
    assert_int_equal(wanted_count(mem->f.w), 0);
    for (i = 0; i < MODEL_ROWS; i++) {
        if (m->rows[i].used && !mem->target[i].used && !mem->robbed[i])
            fail_seed("row %d is missing at the end", i);
    }
}

static void run(const struct case_column *cols, bool filter, uint64_t seed)
{
    struct memory mem = {.a = arena_new("target")};
    struct model m;
    bool merge;
    unsigned cut;
    int i;

    model_open(&m, cols, seed);
    m.filter = filter;
    refetch_open(&mem.f);
    merge = model_random(&m, 2);
    cut = 2 + model_random(&m, 30);
    for (i = 0; i < 120; i++) {
        model_step(&m);
        if (model_random(&m, cut) > 0)
            continue;
        apply_piece(&m, &mem, merge);
        if (filter)
            refetch_some(&m, &mem);
    }
    apply_piece(&m, &mem, merge);
    if (filter)
        refetch_rest(&m, &mem, merge);
    refetch_close(&mem.f);
    model_close(&m);
    arena_free(mem.a);
}

static void runs(const struct case_column *cols, bool filter)
{
    const char *count = getenv("PENSTOCK_RUNS");
    uint64_t first = model_seed(1);
    uint64_t otherwise = filter ? 3000 : 300; /* more must meet there */
    uint64_t n = getenv("PENSTOCK_SEED") ? 1 : count ? strtoull(count, NULL, 10) : otherwise;
    uint64_t seed;

    print_message("PENSTOCK_SEED=%llu and on\n", (unsigned long long)first);
    for (seed = first; seed < first + n; seed++) {
        running = seed;
        run(cols, filter, seed);
    }
}

static void keyed(void **state)
{
    (void)state;
    runs(model_keyed, false);
}

static void row_filter(void **state)
{
    (void)state;
    runs(model_keyed, true);
}

static void float_keys(void **state)
{
    (void)state;
    runs(model_float, false);
}

static void keyless(void **state)
{
    (void)state;
    runs(model_keyless, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyed),
        cmocka_unit_test(row_filter),
        cmocka_unit_test(float_keys),
        cmocka_unit_test(keyless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
