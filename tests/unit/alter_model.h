/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source table as a model whose columns come, go, change places, names and types between random
 * statements. Few names, so that freed ones are taken again, and names that differ in case only.
 * Values are kept by the columns' numbers (attnum); what a dropped column held stays until its row
 * is changed.
 */
#ifndef PENSTOCK_TESTS_ALTER_MODEL_H
#define PENSTOCK_TESTS_ALTER_MODEL_H

#include "load/alter.h"
#include "load_fixture.h"
#include "util/mem.h"

#define AM_ROWS 5     /* keyed: distinct keys */
#define AM_COPIES 48  /* keyless: most rows */
#define AM_COLS 7     /* live ones at most */
#define AM_NUMBERS 60 /* attnums */
#define AM_VERSIONS 40

struct am_version {
    struct table *source, *sink;
    struct encoder *enc;
    struct decoder *dec;
    struct alteration *next; /* to the version after it; NULL: the last */
};

struct am_row {
    bool used;
    int64_t csn;
    int piece; /* in which it was changed last */
    struct value v[AM_NUMBERS];
};

struct am {
    struct arena *a;
    struct pipe p; /* of the current version; only what pipe_change uses */
    bool keyed;
    uint64_t seed;
    int64_t csn;
    int piece;
    struct column live[AM_COLS];
    int nlive, numbers;         /* numbers: the next attnum */
    int dropped_in[AM_NUMBERS]; /* piece; 0: not dropped */
    struct am_version versions[AM_VERSIONS];
    int nversions;
    uint32_t key_id;
    struct am_row rows[AM_COPIES];
    int nrows;
};

static inline unsigned am_random(struct am *m, unsigned n)
{
    m->seed ^= m->seed << 13;
    m->seed ^= m->seed >> 7;
    m->seed ^= m->seed << 17;
    return (unsigned)(m->seed >> 33) % n;
}

static inline struct value am_text(const char *s)
{
    return (struct value){.state = VALUE_SET, .s = {s, strlen(s)}};
}

/* --- versions --- */

static inline struct am_version *am_current(struct am *m)
{
    return &m->versions[m->nversions - 1];
}

/* Ids of value schemas are 100 + version; that of the key changes with the key's name. */
static inline void am_version(struct am *m)
{
    struct am_version *v = &m->versions[m->nversions];
    struct buf value = {0}, key = {0};
    struct error err = {0};

    v->source = arena_calloc(m->a, 1, sizeof(*v->source));
    v->source->schema = "public";
    v->source->name = "t";
    v->source->est_rows = v->source->est_bytes = -1;
    v->source->ncols = m->nlive;
    v->source->cols = arena_memdup(m->a, m->live, sizeof(m->live));
    table_index_keys(m->a, v->source);
    table_name_fields(m->a, v->source, "shop");
    avro_value_schema(&value, v->source, &source_postgres_block);
    if (m->keyed)
        avro_key_schema(&key, v->source);
    if (!avro_table(m->a, buf_cstr(&value), buf_cstr(&key), &v->sink, &err))
        pipe_fail("avro_table", &err);
    v->enc = encoder_new(v->source, &source_postgres_block, 100 + (uint32_t)m->nversions,
                         m->keyed ? m->key_id : 0);
    v->dec = decoder_new(buf_cstr(&value), v->sink, &err);
    if (v->dec == NULL)
        pipe_fail("decoder_new", &err);
    m->nversions++;
    m->p.source = v->source;
    m->p.enc = v->enc;
    buf_free(&value);
    buf_free(&key);
}

static inline struct column *am_add_column(struct am *m, const char *name, enum type_kind kind)
{
    struct column *c = &m->live[m->nlive++];

    memset(c, 0, sizeof(*c));
    c->name = name;
    c->kind = kind;
    c->nullable = true;
    c->attnum = m->numbers++;
    c->source_type = kind == TYPE_TEXT    ? "character varying(20)"
                     : kind == TYPE_INT32 ? "integer"
                     : kind == TYPE_INT64 ? "bigint"
                                          : "numeric(10,2)";
    c->precision = kind == TYPE_DECIMAL ? 10 : 0;
    c->scale = kind == TYPE_DECIMAL ? 2 : 0;
    return c;
}

static inline void am_open(struct am *m, bool keyed, uint64_t seed)
{
    struct column *c;

    memset(m, 0, sizeof(*m));
    m->a = arena_new("model");
    m->keyed = keyed;
    m->seed = seed * 2654435761u + 88172645463325252ULL;
    m->numbers = 1;
    m->key_id = 1;
    m->piece = 1;
    m->nrows = keyed ? AM_ROWS : 0;
    m->p.seg = segment_new();
    c = am_add_column(m, "id", TYPE_INT64);
    c->key_pos = keyed;
    c->nullable = !keyed;
    am_add_column(m, "a", TYPE_TEXT);
    am_add_column(m, "b", TYPE_TEXT);
    am_add_column(m, "c", TYPE_DECIMAL);
    am_version(m);
}

static inline void am_close(struct am *m)
{
    int i;

    for (i = 0; i < m->nversions; i++) {
        encoder_free(m->versions[i].enc);
        decoder_free(m->versions[i].dec);
    }
    segment_free(m->p.seg);
    buf_free(&m->p.key);
    buf_free(&m->p.value);
    buf_free(&m->p.old_key);
    arena_free(m->a);
}

/* --- values --- */

/* Where every column is full of few values, rows of tables without a key meet. */
static inline struct value am_value(struct am *m, const struct column *c)
{
    static const char *const texts[] = {"", "x", "it's", "\xc3\xa9\\", "NULL"};
    static const char *const decimals[] = {"0.00", "-1.50", "99999999.99", "0.07", "-0.01"};
    static const char *const numbers[] = {"0", "1.5", "-1.50", "123456789012.5", "NaN"};
    unsigned i = am_random(m, m->keyed ? 6 : 3);

    if (i == 5 || (i == 2 && !m->keyed))
        return (struct value){.state = VALUE_NULL};
    if (c->kind == TYPE_TEXT)
        return am_text(texts[i]);
    if (c->kind == TYPE_DECIMAL)
        return am_text(decimals[i]);
    if (c->kind == TYPE_NUMERIC)
        return am_text(numbers[i]);
    return (struct value){.state = VALUE_SET, .i = (int64_t)i - 2};
}

/* --- alterations --- */

static inline const char *am_free_name(struct am *m)
{
    static const char *const names[] = {"a", "b", "c", "A", "B", "id", "Id", "\xc3\xa4 \"q\""};
    const char *name;
    int i;

    do {
        name = names[am_random(m, sizeof(names) / sizeof(names[0]))];
        for (i = 0; i < m->nlive && strcmp(m->live[i].name, name) != 0; i++)
            ;
    } while (i < m->nlive);
    return name;
}

static inline void am_widen(struct column *c)
{
    if (c->kind == TYPE_TEXT) {
        c->source_type =
            strcmp(c->source_type, "character varying(20)") == 0 ? "character varying(40)" : "text";
    } else if (c->kind == TYPE_DECIMAL && c->precision == 10) {
        c->precision = 12;
        c->source_type = "numeric(12,2)";
    } else if (c->kind == TYPE_DECIMAL) {
        c->kind = TYPE_NUMERIC;
        c->precision = c->scale = 0;
        c->source_type = "numeric";
    }
}

static inline void am_drop(struct am *m, int i)
{
    m->dropped_in[m->live[i].attnum] = m->piece;
    memmove(&m->live[i], &m->live[i + 1], (size_t)(m->nlive - i - 1) * sizeof(m->live[0]));
    m->nlive--;
}

static inline void am_alter_once(struct am *m)
{
    static const enum type_kind kinds[] = {TYPE_TEXT, TYPE_INT32, TYPE_DECIMAL};
    int first = m->keyed ? 1 : 0;
    int i = first + (int)am_random(m, (unsigned)(m->nlive - first));
    int j = (int)am_random(m, (unsigned)m->nlive);
    const char *name;

    switch (am_random(m, 6)) {
    case 0:
        if (m->nlive > first + 1)
            am_drop(m, i);
        break;
    case 1:
        m->live[j].name = am_free_name(m);
        break;
    case 2: /* swap */
        name = m->live[i].name;
        m->live[i].name = m->live[j].name;
        m->live[j].name = name;
        break;
    case 3:
        am_widen(&m->live[i]);
        break;
    default:
        if (m->nlive < AM_COLS && m->numbers < AM_NUMBERS)
            am_add_column(m, am_free_name(m), kinds[am_random(m, 3)]);
    }
}

static inline int am_find(const struct table *t, int attnum)
{
    int i;

    for (i = 0; i < t->ncols; i++) {
        if (t->cols[i].attnum == attnum)
            return i;
    }
    return -1;
}

/* m->live is another: its next version. The alteration lives as long as the model. */
static inline struct alteration *am_altered(struct am *m)
{
    struct am_version *was = am_current(m);
    struct alteration *al = arena_calloc(m->a, 1, sizeof(*al));
    int *from = arena_calloc(m->a, AM_COLS, sizeof(*from));
    struct value *fill = arena_calloc(m->a, AM_COLS, sizeof(*fill));
    int i, r;

    if (strcmp(was->source->cols[0].name, m->live[0].name) != 0)
        m->key_id++;
    am_version(m);
    al->was = was->source;
    al->now = am_current(m)->source;
    al->from = from;
    al->fill = fill;
    for (i = 0; i < m->nlive; i++) {
        from[i] = am_find(al->was, m->live[i].attnum);
        if (from[i] >= 0)
            continue;
        fill[i] = am_value(m, &m->live[i]);
        for (r = 0; r < m->nrows; r++)
            m->rows[r].v[m->live[i].attnum] = fill[i];
    }
    was->next = al;
    return al;
}

static inline struct alteration *am_alter(struct am *m)
{
    unsigned times = 1 + am_random(m, 4);

    while (times-- > 0)
        am_alter_once(m);
    return am_altered(m);
}

/* --- statements --- */

/* The row as a version has its columns. */
static inline void am_image(const struct am *m, const struct am_row *r, struct value *out)
{
    int i;

    for (i = 0; i < m->nlive; i++)
        out[i] = r->v[m->live[i].attnum];
}

static inline void am_touch(struct am *m, struct am_row *r)
{
    r->used = true;
    r->csn = m->csn;
    r->piece = m->piece;
}

static inline void am_insert(struct am *m, struct am_row *r, int64_t id)
{
    struct value after[AM_COLS];
    int i;

    for (i = 0; i < m->nlive; i++)
        r->v[m->live[i].attnum] = am_value(m, &m->live[i]);
    if (m->keyed)
        r->v[1] = (struct value){.state = VALUE_SET, .i = id};
    am_touch(m, r);
    am_image(m, r, after);
    pipe_change(&m->p, 'c', NULL, after, m->csn);
}

/* Changes r; what the log carries of it in after. */
static inline void am_change(struct am *m, struct am_row *r, struct value *after)
{
    int i;

    for (i = 0; i < m->nlive; i++) {
        const struct column *c = &m->live[i];
        bool unchanged = !c->key_pos && am_random(m, 3) > 0;

        if (!c->key_pos && !unchanged)
            r->v[c->attnum] = am_value(m, c);
        after[i] = r->v[c->attnum];
        if (m->keyed && unchanged && am_random(m, 2))
            after[i] = (struct value){.state = VALUE_UNCHANGED};
    }
    am_touch(m, r);
}

static inline void am_key_row(struct am *m, int64_t id, struct value *before)
{
    int i;

    for (i = 0; i < m->nlive; i++)
        before[i] = (struct value){.state = VALUE_ABSENT};
    before[0] = (struct value){.state = VALUE_SET, .i = id};
}

static inline void am_update(struct am *m, int from, int to)
{
    struct value before[AM_COLS], after[AM_COLS];
    struct am_row row = m->rows[from];

    am_key_row(m, from, before);
    row.v[1].i = to;
    am_change(m, &row, after);
    m->rows[from].used = false;
    m->rows[to] = row;
    pipe_change(&m->p, 'u', from == to ? NULL : before, after, m->csn);
}

static inline void am_delete(struct am *m, int slot)
{
    struct value before[AM_COLS];

    am_key_row(m, slot, before);
    m->rows[slot].used = false;
    pipe_change(&m->p, 'd', before, NULL, m->csn);
}

static inline void am_truncate(struct am *m)
{
    int i;

    for (i = 0; i < AM_COPIES; i++)
        m->rows[i].used = false;
    if (!m->keyed)
        m->nrows = 0;
    pipe_change(&m->p, 't', NULL, NULL, m->csn);
}

static inline int am_slot(struct am *m, bool used)
{
    int at = (int)am_random(m, AM_ROWS), i;

    for (i = 0; i < AM_ROWS; i++) {
        if (m->rows[(at + i) % AM_ROWS].used == used)
            return (at + i) % AM_ROWS;
    }
    return -1;
}

static inline void am_step_keyed(struct am *m)
{
    int used = am_slot(m, true), gone = am_slot(m, false);
    unsigned what = am_random(m, 40);

    if (what == 0)
        am_truncate(m);
    else if (used < 0 || (what < 9 && gone >= 0))
        am_insert(m, &m->rows[gone], gone);
    else if (what < 13)
        am_delete(m, used);
    else if (what < 20 && gone >= 0)
        am_update(m, used, gone);
    else
        am_update(m, used, used);
}

static inline void am_step_keyless(struct am *m)
{
    struct value before[AM_COLS], after[AM_COLS];
    unsigned what = am_random(m, 40);
    struct am_row *r;

    if (what == 0) {
        am_truncate(m);
    } else if (m->nrows == 0 || (what < 18 && m->nrows < AM_COPIES)) {
        am_insert(m, &m->rows[m->nrows++], 0);
    } else {
        r = &m->rows[am_random(m, (unsigned)m->nrows)];
        am_image(m, r, before);
        if (what < 28) {
            pipe_change(&m->p, 'd', before, NULL, m->csn);
            *r = m->rows[--m->nrows];
        } else {
            am_change(m, r, after);
            pipe_change(&m->p, 'u', before, after, m->csn);
        }
    }
}

/* One more transaction, of one statement. */
static inline void am_step(struct am *m)
{
    m->csn++;
    if (m->keyed)
        am_step_keyed(m);
    else
        am_step_keyless(m);
}

/* --- events --- */

/*
 * Everything that was written since the last call goes into c, which is of the current version;
 * changes of former versions are lifted through all the alterations since. lifted: where they live.
 */
static inline bool am_feed(struct am *m, struct compact *c, struct arena *lifted, struct error *err)
{
    struct event e;
    int64_t csn = 0, us = 0;

    while (segment_next(m->p.seg, &e)) {
        struct am_version *v;
        uint32_t id = 0;

        if (e.kind == EVENT_BEGIN) {
            csn = e.csn;
            us = e.commit_us;
            continue;
        }
        wire_schema_id(e.value, e.value_len, &id);
        for (v = &m->versions[id - 100]; v->next != NULL; v++) {
            if (!compact_lift_event(c, &e, v->sink, v->dec, (v + 1)->enc, v->next, lifted, &e, err))
                return false;
        }
        if (!compact_add(c, &e, csn, us, err))
            return false;
    }
    return true;
}

/* A value as text, NULL for NULL. */
static inline char *am_show(struct arena *a, enum type_kind kind, const struct value *v)
{
    struct buf b = {0};
    char *s;

    if (v->state != VALUE_SET)
        return NULL;
    if (kind == TYPE_INT64 || kind == TYPE_INT32)
        return arena_printf(a, "%lld", (long long)v->i);
    buf_append(&b, v->s.p, v->s.len);
    s = arena_strdup(a, buf_cstr(&b));
    buf_free(&b);
    return s;
}

/* PENSTOCK_SEED: one seed to replay. */
static inline uint64_t am_seed(void)
{
    const char *s = getenv("PENSTOCK_SEED");

    return s != NULL ? strtoull(s, NULL, 10) : 1;
}

static inline uint64_t am_runs(uint64_t otherwise)
{
    const char *s = getenv("PENSTOCK_RUNS");

    return getenv("PENSTOCK_SEED") ? 1 : s != NULL ? strtoull(s, NULL, 10) : otherwise;
}

#endif
