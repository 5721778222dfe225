/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of a batch as src/load plans them, run on a real server: stage, resolve, delete, MERGE,
 * and a table without a key, with columns of which the binary loader cannot write some.
 */
#include "wpg_probe.h"

#include "load/sql.h"

#define NCOLS 5

/* id, body (may be unresolved), tags (staged as text), pad (blanks matter), amount */
static const struct column shape[NCOLS] = {
    {.name = "id", .kind = TYPE_INT64, .source_type = "bigint"},
    {.name = "Body \"q\"", .kind = TYPE_TEXT, .source_type = "text", .nullable = true},
    {.name = "tags", .kind = TYPE_TEXT, .source_type = "text[]", .nullable = true},
    {.name = "pad", .kind = TYPE_TEXT, .source_type = "bpchar", .nullable = true},
    {.name = "amount", .kind = TYPE_NUMERIC, .source_type = "numeric", .nullable = true},
};

struct row {
    int op;
    const char *mask; /* or NULL */
    int64_t origin;   /* 0: none */
    int64_t id;       /* 0: NULL */
    const char *text[NCOLS - 1];
};

static struct table *make_table(struct arena *a, const char *name, bool keyed)
{
    struct table *t = arena_calloc(a, 1, sizeof(*t));

    t->schema = "wpg_probe";
    t->name = name;
    t->ncols = NCOLS;
    t->cols = arena_memdup(a, shape, sizeof(shape));
    t->cols[0].key_pos = keyed;
    table_index_keys(a, t);
    return t;
}

static struct value string(const char *s)
{
    struct value v = {.state = s ? VALUE_SET : VALUE_NULL};

    if (s != NULL) {
        v.s.p = s;
        v.s.len = strlen(s);
    }
    return v;
}

static struct value integer(int64_t i, bool set)
{
    return (struct value){.state = set ? VALUE_SET : VALUE_NULL, .i = i};
}

static void stage(struct session *s, struct arena *a, const struct target *t,
                  const struct row *rows, int n)
{
    struct error err = {0};
    struct appender *ap = NULL;
    int ncols, keys = t->table->nkeys;
    struct load_column *cols = stage_columns(a, t, &ncols);

    OK(ops->append_open(s, NULL, "st", true, cols, ncols, OVERFLOW_STOP, &ap, &err));
    for (int r = 0; ap != NULL && r < n; r++) {
        struct value v[3 + NCOLS + 2];
        int at = 0;

        v[at++] = integer(rows[r].op, true);
        v[at++] = string(rows[r].mask);
        if (keys > 0)
            v[at++] = integer(rows[r].origin, rows[r].origin != 0);
        v[at++] = integer(rows[r].id, rows[r].id != 0);
        for (int i = 0; i < NCOLS - 1; i++)
            v[at++] = string(rows[r].text[i]);
        v[at++] = integer(1, true);
        v[at++] = integer(0, true);
        OK(ops->append_row(ap, v, &err));
    }
    if (ap != NULL)
        OK(ops->append_close(ap, NULL, &err));
}

typedef void statement_fn(struct buf *out, const struct target *t, const char *stage);

static void run(struct session *s, const struct target *t, statement_fn *make, int64_t want)
{
    struct error err = {0};
    struct buf sql = {0};
    int64_t n = -1;

    make(&sql, t, "st");
    CHECK(ops->exec(s, buf_cstr(&sql), &n, &err), "%s (%s)\n  %s", err.message, err.sqlstate,
          buf_cstr(&sql));
    CHECK(want < 0 || n == want, "%" PRId64 " rows, not %" PRId64 ": %s", n, want, buf_cstr(&sql));
    buf_free(&sql);
}

static void holds(struct session *s, struct arena *a, const char *name, const char *want)
{
    struct error err = {0};
    struct rowset r = {0};

    OK(ops->query(
        s, a,
        arena_printf(a,
                     "SELECT string_agg(concat_ws('|', id, coalesce(\"Body \"\"q\"\"\", '-'),"
                     " coalesce(tags::text, '-'), concat(pad), amount), E'\\n' ORDER BY"
                     " id, amount, concat(pad)) FROM wpg_probe.%s",
                     name),
        &r, &err));
    if (r.nrows == 1) {
        const char *got = rowset_get(&r, 0, 0);

        CHECK(strcmp(got ? got : "", want) == 0, "\n%s\nnot\n%s", got ? got : "", want);
    }
}

static const struct target *begin(struct session *s, struct arena *a, const char *name, bool keyed)
{
    struct error err = {0};
    struct target *t = NULL;
    struct buf sql = {0};

    OK(target_new(a, make_table(a, name, keyed), ops->dialect, "wpg_probe", name, &t, &err));
    if (t == NULL)
        return NULL;
    OK(ops->begin(s, &err));
    target_sql_create(&sql, t, "wpg_probe", name);
    OK(ops->exec(s, buf_cstr(&sql), NULL, &err));
    if (keyed)
        OK(ops->exec(s, arena_printf(a, "ALTER TABLE wpg_probe.%s ADD PRIMARY KEY (id)", name),
                     NULL, &err));
    buf_free(&sql);
    run(s, t, sql_stage_create, -1);
    return t;
}

/* Rows 1 and 2 swap keys without their bodies being carried; 3 is deleted; 4 is new. */
static void keyed_table(struct session *s)
{
    static const struct row load[] = {
        {1, NULL, 0, 1, {"one", "{a,NULL}", "x ", "1.0"}},
        {1, NULL, 0, 2, {"two", "{}", "x", "2.00"}},
        {1, NULL, 0, 3, {NULL, NULL, "", "NaN"}},
    };
    static const struct row batch[] = {
        {1, "01100", 1, 2, {NULL, NULL, "y", "1.5"}},
        {1, "01100", 2, 1, {NULL, NULL, "z", "2.5"}},
        {0, NULL, 0, 3, {NULL, NULL, NULL, NULL}},
        {1, NULL, 0, 4, {"four", "{\"b c\"}", "  ", "-0.10"}},
    };
    struct arena *a = arena_new("probe");
    const struct target *t = begin(s, a, "keyed", true);

    if (t != NULL) {
        stage(s, a, t, load, 3);
        run(s, t, sql_stage_analyze, -1);
        run(s, t, sql_upsert, 3);
        run(s, t, sql_stage_clear, -1);
        stage(s, a, t, batch, 4);
        run(s, t, sql_resolve, 2);
        run(s, t, sql_delete, 1);
        run(s, t, sql_upsert, 3);
        holds(s, a, "keyed",
              "1|two|{}|z|2.5\n"
              "2|one|{a,NULL}|y|1.5\n"
              "4|four|{\"b c\"}|  |-0.10");
        /* the same piece again changes nothing but is not an error */
        run(s, t, sql_upsert, 3);
    }
    ops->rollback(s);
    arena_free(a);
}

/* Equal rows are counted; rows that only an output function tells apart are different rows. */
static void keyless_table(struct session *s)
{
    static const struct row load[] = {
        {1, NULL, 0, 1, {"a", "{x}", "p", "1.0"}},  {1, NULL, 0, 1, {"a", "{x}", "p", "1.0"}},
        {1, NULL, 0, 1, {"a", "{x}", "p", "1.0"}},  {1, NULL, 0, 1, {"a", "{x}", "p ", "1.0"}},
        {1, NULL, 0, 1, {"a", "{x}", "p", "1.00"}}, {1, NULL, 0, 0, {NULL, NULL, NULL, NULL}},
        {1, NULL, 0, 0, {NULL, NULL, NULL, NULL}},
    };
    static const struct row batch[] = {
        {0, NULL, 0, 1, {"a", "{x}", "p", "1.0"}},  {0, NULL, 0, 1, {"a", "{x}", "p", "1.0"}},
        {0, NULL, 0, 1, {"a", "{x}", "p ", "1.0"}}, {0, NULL, 0, 0, {NULL, NULL, NULL, NULL}},
        {1, NULL, 0, 7, {"n", NULL, "", "0"}},
    };
    struct arena *a = arena_new("probe");
    const struct target *t = begin(s, a, "keyless", false);

    if (t != NULL) {
        stage(s, a, t, load, 7);
        run(s, t, sql_upsert, 7);
        run(s, t, sql_stage_clear, -1);
        stage(s, a, t, batch, 5);
        run(s, t, sql_delete, 4);
        run(s, t, sql_upsert, 1);
        holds(s, a, "keyless",
              "1|a|{x}|p|1.0\n"
              "1|a|{x}|p|1.00\n"
              "7|n|-||0\n"
              "-|-|");
    }
    ops->rollback(s);
    arena_free(a);
}

void probe_apply(struct session *s)
{
    keyed_table(s);
    keyless_table(s);
}
