/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source table as a model, and random statements on it as the log would tell them: inserts,
 * updates that do not carry every column, changed and swapped keys, deletes, TRUNCATE; with a row
 * filter, rows that leave it and come back without every column. Few keys and few values, so that
 * everything meets everything.
 */
#ifndef PENSTOCK_TESTS_LOAD_MODEL_H
#define PENSTOCK_TESTS_LOAD_MODEL_H

#include "load_fixture.h"

#include <math.h>
#include <stdio.h>

#define MODEL_ROWS 6    /* keyed: distinct keys */
#define MODEL_COLS 4    /* key or number, a, b, n */
#define MODEL_COPIES 64 /* keyless: most rows */

static const struct case_column model_keyed[] = {
    {"id", TYPE_INT64, "bigint", 1, 0, 0},
    {"a", TYPE_TEXT, "text", 0, 0, 0},
    {"b", TYPE_TEXT, "text", 0, 0, 0},
    {"n", TYPE_INT32, "integer", 0, 0, 0},
    {0},
};
static const struct case_column model_float[] = {
    {"id", TYPE_FLOAT64, "double precision", 1, 0, 0},
    {"a", TYPE_TEXT, "text", 0, 0, 0},
    {"b", TYPE_TEXT, "text", 0, 0, 0},
    {"n", TYPE_INT32, "integer", 0, 0, 0},
    {0},
};
static const struct case_column model_keyless[] = {
    {"id", TYPE_INT64, "bigint", 0, 0, 0},
    {"a", TYPE_TEXT, "text", 0, 0, 0},
    {"b", TYPE_TEXT, "text", 0, 0, 0},
    {"n", TYPE_INT32, "integer", 0, 0, 0},
    {0},
};

struct model {
    struct pipe p;
    bool floats, keyed;
    bool filter; /* rows leave a row filter and come back */
    uint64_t seed;
    int64_t csn;
    int nrows; /* keyed: MODEL_ROWS slots, one a key; keyless: rows in use */
    struct model_row {
        bool used;
        bool hidden; /* not used, but there: outside the row filter */
        int64_t csn; /* keyed: of its last change */
        struct value v[MODEL_COLS];
    } rows[MODEL_COPIES];
};

static inline unsigned model_random(struct model *m, unsigned n)
{
    m->seed ^= m->seed << 13;
    m->seed ^= m->seed >> 7;
    m->seed ^= m->seed << 17;
    return (unsigned)(m->seed >> 33) % n;
}

static inline void model_open(struct model *m, const struct case_column *cols, uint64_t seed)
{
    memset(m, 0, sizeof(*m));
    m->floats = cols == model_float;
    m->keyed = cols != model_keyless;
    m->seed = seed * 2654435761u + 88172645463325252ULL;
    m->nrows = m->keyed ? MODEL_ROWS : 0;
    pipe_open(&m->p, cols);
}

static inline void model_close(struct model *m)
{
    pipe_close(&m->p);
}

static inline struct value model_key(struct model *m, int slot)
{
    static const double floats[MODEL_ROWS] = {0.0, 1.5, NAN, INFINITY, -2, 5e-324};
    struct value v = {.state = VALUE_SET, .i = slot};

    if (m->floats)
        v.f = slot == 0 && model_random(m, 2) ? -0.0 : floats[slot];
    return v;
}

static inline struct value model_text(struct model *m)
{
    static const char *const texts[] = {"", "x", "yy", "it's", "\xc3\xa9"};
    unsigned i = model_random(m, 6);
    struct value v = {.state = i == 5 ? VALUE_NULL : VALUE_SET};

    if (i < 5) {
        v.s.p = texts[i];
        v.s.len = strlen(texts[i]);
    }
    return v;
}

static inline struct value model_number(struct model *m)
{
    return (struct value){.state = VALUE_SET, .i = model_random(m, m->keyed ? 1000 : 2)};
}

static inline void model_fill(struct model *m, struct model_row *r, struct value key)
{
    r->used = true;
    r->v[0] = key;
    r->v[1] = model_text(m);
    r->v[2] = model_text(m);
    r->v[3] = model_number(m);
}

/* An update of r: what the log carries in after; r becomes the new row. */
static inline void model_change(struct model *m, struct model_row *r, struct value *after)
{
    int c;

    for (c = 1; c < 3; c++) {
        if (model_random(m, 3) == 0)
            r->v[c] = model_text(m);
        else if (m->keyed && model_random(m, 3) > 0) {
            after[c] = (struct value){.state = VALUE_UNCHANGED};
            continue;
        }
        after[c] = r->v[c];
    }
    if (model_random(m, 2))
        r->v[3] = model_number(m);
    after[3] = r->v[3];
    after[0] = r->v[0];
}

static inline void model_key_row(struct value *before, const struct model_row *r)
{
    int c;

    before[0] = r->v[0];
    for (c = 1; c < MODEL_COLS; c++)
        before[c] = (struct value){.state = VALUE_ABSENT};
}

static inline void model_move(struct model *m, int from, int to)
{
    struct value before[MODEL_COLS], after[MODEL_COLS];
    struct model_row row = m->rows[from];

    model_key_row(before, &row);
    row.v[0] = model_key(m, to);
    model_change(m, &row, after);
    m->rows[from].used = false;
    m->rows[to] = row;
    m->rows[to].csn = m->csn;
    pipe_change(&m->p, 'u', before, after, m->csn);
}

static inline void model_insert(struct model *m, int slot)
{
    struct model_row *r = &m->rows[slot];

    model_fill(m, r, model_key(m, slot));
    r->csn = m->csn;
    pipe_change(&m->p, model_random(m, 8) ? 'c' : 'r', NULL, r->v, m->csn);
}

static inline void model_delete(struct model *m, int slot)
{
    struct value before[MODEL_COLS];

    model_key_row(before, &m->rows[slot]);
    m->rows[slot].used = false;
    pipe_change(&m->p, 'd', before, NULL, m->csn);
}

static inline int model_slot(struct model *m, bool used)
{
    int at = (int)model_random(m, MODEL_ROWS);
    int i;

    for (i = 0; i < MODEL_ROWS; i++) {
        const struct model_row *r = &m->rows[(at + i) % MODEL_ROWS];

        if (r->used == used && !r->hidden)
            return (at + i) % MODEL_ROWS;
    }
    return -1;
}

static inline void model_truncate(struct model *m)
{
    int i;

    for (i = 0; i < MODEL_COPIES; i++)
        m->rows[i].used = m->rows[i].hidden = false;
    if (!m->keyed)
        m->nrows = 0;
    pipe_change(&m->p, 't', NULL, NULL, m->csn);
}

/* A row outside the filter goes, changes unseen, or comes back by an update that the log tells as
 * an insert. */
static inline void model_unhide(struct model *m, int slot)
{
    struct model_row *r = &m->rows[slot];
    struct value after[MODEL_COLS];
    unsigned what = model_random(m, 6);

    model_change(m, r, after);
    if (what == 0)
        r->hidden = false;
    if (what <= 1)
        return;
    r->hidden = false;
    r->used = true;
    r->csn = m->csn;
    pipe_change(&m->p, 'c', NULL, after, m->csn);
}

static inline bool model_step_filter(struct model *m)
{
    int slot = (int)model_random(m, MODEL_ROWS);

    if (m->rows[slot].hidden && model_random(m, 2)) {
        model_unhide(m, slot);
        return true;
    }
    if (!m->rows[slot].used || model_random(m, 5) > 0)
        return false;
    model_delete(m, slot);
    m->rows[slot].hidden = true;
    return true;
}

static inline void model_step_keyed(struct model *m)
{
    struct value after[MODEL_COLS];
    int used = model_slot(m, true), gone = model_slot(m, false), other;
    unsigned what = model_random(m, 40);

    if (what == 0) {
        model_truncate(m);
    } else if (used < 0 && gone < 0) {
        return; /* all are outside the filter */
    } else if (used < 0 || (what < 8 && gone >= 0)) {
        model_insert(m, gone);
    } else if (what < 12) {
        model_delete(m, used);
        if (model_random(m, 3) == 0)
            model_insert(m, used);
    } else if (what < 20 && gone >= 0) {
        model_move(m, used, gone);
    } else if (what < 24 && gone >= 0 && (other = model_slot(m, true)) != used) {
        model_move(m, used, gone);
        model_move(m, other, used);
        model_move(m, gone, other);
    } else if (what < 26) {
        model_move(m, used, used); /* the sign of a zero may change */
    } else {
        model_change(m, &m->rows[used], after);
        m->rows[used].csn = m->csn;
        pipe_change(&m->p, 'u', NULL, after, m->csn);
    }
}

static inline void model_step_keyless(struct model *m)
{
    struct value after[MODEL_COLS];
    struct model_row old;
    unsigned what = model_random(m, 30);
    int i;

    if (what == 0) {
        model_truncate(m);
    } else if (m->nrows == 0 || (what < 14 && m->nrows < MODEL_COPIES)) {
        struct model_row *r = &m->rows[m->nrows++];

        model_fill(m, r, (struct value){.state = VALUE_SET, .i = model_random(m, 2)});
        pipe_change(&m->p, 'c', NULL, r->v, m->csn);
    } else if (what < 22) {
        i = (int)model_random(m, (unsigned)m->nrows);
        pipe_change(&m->p, 'd', m->rows[i].v, NULL, m->csn);
        m->rows[i] = m->rows[--m->nrows];
    } else {
        i = (int)model_random(m, (unsigned)m->nrows);
        old = m->rows[i];
        model_change(m, &m->rows[i], after);
        pipe_change(&m->p, 'u', old.v, after, m->csn);
    }
}

/* One more transaction, of one statement. */
static inline void model_step(struct model *m)
{
    m->csn++;
    if (m->filter && model_step_filter(m))
        return;
    if (m->keyed)
        model_step_keyed(m);
    else
        model_step_keyless(m);
}

/* The row as text, for comparison: id|a|b|n. */
static inline void model_show(struct buf *out, const struct model *m, const struct value *v)
{
    int c;

    if (m->floats)
        buf_printf(out, "%.17g", isnan(v[0].f) ? NAN : v[0].f);
    else
        buf_printf(out, "%lld", (long long)v[0].i);
    for (c = 1; c < 3; c++) {
        if (v[c].state == VALUE_SET)
            buf_printf(out, "|'%.*s'", (int)v[c].s.len, v[c].s.p);
        else
            buf_puts(out, "|NULL");
    }
    buf_printf(out, "|%lld", (long long)v[3].i);
}

/* PENSTOCK_SEED: one seed to replay. */
static inline uint64_t model_seed(uint64_t otherwise)
{
    const char *s = getenv("PENSTOCK_SEED");

    return s != NULL ? strtoull(s, NULL, 10) : otherwise;
}

#endif
