/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random logs through compaction, stage and SQL into a real warehouse: after each piece the target
 * equals the model, row for row. With a row filter, and with rows that somebody deletes in the
 * target, it may lack what is wanted; in the end, when that has been read again, it does not.
 * DuckDB in a file of its own; Postgres too where PENSTOCK_TEST_POSTGRES holds the URL of a
 * database that may be used up. PENSTOCK_SEED=N replays one run, PENSTOCK_RUNS=N sets how many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "config/file.h"
#include "load/loader.h"
#include "wanted_model.h"
#include "warehouse_duckdb/warehouse_duckdb.h"
#include "warehouse_postgres/warehouse_postgres.h"

struct sink {
    const struct warehouse_ops *ops;
    struct config *cfg;
    struct warehouse *w;
    struct session *s;
    uint64_t seed;
};

static void must(struct sink *k, bool ok, const struct error *err)
{
    if (!ok)
        fail_msg("PENSTOCK_SEED=%llu: %s: %s", (unsigned long long)k->seed, k->ops->name,
                 err->message);
}

static void sink_open(struct sink *k, const struct warehouse_ops *ops, const char *url)
{
    const struct setting *const settings[] = {config_sink_settings, ops->settings, NULL};
    const char *pairs[] = {"connection.url", url, NULL};
    struct error err = {0};

    k->ops = ops;
    must(k, config_make(&k->cfg, "wh", settings, pairs, &err), &err);
    must(k, ops->open(&k->w, k->cfg, &err), &err);
    must(k, ops->connect(k->w, "test", &k->s, &err), &err);
}

static void sink_close(struct sink *k)
{
    k->ops->disconnect(k->s);
    k->ops->close(k->w);
    config_free(k->cfg);
}

static void exec(struct sink *k, const char *sql)
{
    struct error err = {0};

    must(k, k->ops->exec(k->s, sql, NULL, &err), &err);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Lines in order, so that two multisets of rows can be compared. */
static void join_sorted(struct buf *out, char **lines, int n)
{
    int i;

    qsort(lines, (size_t)n, sizeof(*lines), by_text);
    for (i = 0; i < n; i++)
        buf_printf(out, "%s\n", lines[i]);
}

/* DuckDB stores -0 as 0 (wdk_write.c). */
static void want_rows(struct model *m, struct arena *a, bool duck, struct buf *out)
{
    char *lines[MODEL_COPIES];
    int i, n = 0;

    for (i = 0; i < m->nrows; i++) {
        struct buf line = {0};

        if (!m->rows[i].used)
            continue;
        model_show(&line, m, m->rows[i].v);
        if (m->keyed)
            buf_printf(&line, "|%lld|%lld", (long long)m->rows[i].csn,
                       (long long)m->rows[i].csn * 1000);
        lines[n] = arena_strndup(a, (char *)line.data, line.len);
        if (duck && m->floats && strncmp(lines[n], "-0|", 3) == 0)
            lines[n]++;
        n++;
        buf_free(&line);
    }
    join_sorted(out, lines, n);
}

static void have_rows(struct sink *k, struct model *m, struct arena *a, struct buf *out)
{
    bool duck = k->ops == &warehouse_duckdb_ops;
    struct error err = {0};
    struct rowset r;
    char **lines;
    char sql[512];
    int i, c;

    snprintf(sql, sizeof(sql),
             "SELECT id, '''' || a || '''', '''' || b || '''', n, \"_penstock_csn\", %s "
             "FROM \"apply\".\"t\"",
             duck ? "epoch_us(\"_penstock_committed_at\")"
                  : "(extract(epoch FROM \"_penstock_committed_at\") * 1000000)::bigint");
    must(k, k->ops->query(k->s, a, sql, &r, &err), &err);
    lines = arena_alloc(a, ((size_t)r.nrows + 1) * sizeof(*lines));
    for (i = 0; i < r.nrows; i++) {
        struct buf line = {0};

        if (m->floats)
            buf_printf(&line, "%.17g", strtod(rowset_get(&r, i, 0), NULL));
        else
            buf_puts(&line, rowset_get(&r, i, 0));
        for (c = 1; c < (m->keyed ? 6 : 4); c++)
            buf_printf(&line, "|%s", rowset_get(&r, i, c) ? rowset_get(&r, i, c) : "NULL");
        lines[i] = arena_strndup(a, (char *)line.data, line.len);
        buf_free(&line);
    }
    join_sorted(out, lines, r.nrows);
}

static void compare(struct sink *k, struct model *m)
{
    struct arena *a = arena_new("rows");
    struct buf want = {0}, have = {0};

    want_rows(m, a, k->ops == &warehouse_duckdb_ops, &want);
    have_rows(k, m, a, &have);
    if (strcmp(buf_cstr(&want), buf_cstr(&have)) != 0)
        fail_msg("PENSTOCK_SEED=%llu: wanted\n%shave\n%s", (unsigned long long)k->seed,
                 buf_cstr(&want), buf_cstr(&have));
    buf_free(&want);
    buf_free(&have);
    arena_free(a);
}

/* The same where rows may be missing: those that are wanted, those that were taken out of the
 * target. What is there is right. */
static void compare_there(struct sink *k, struct model *m, struct refetch *f, bool *robbed)
{
    struct arena *a = arena_new("rows");
    struct error err = {0};
    bool there[MODEL_ROWS] = {0};
    struct rowset r;
    int i, c;

    must(k,
         k->ops->query(k->s, a, "SELECT id, '''' || a || '''', '''' || b || '''', n FROM apply.t",
                       &r, &err),
         &err);
    for (i = 0; i < r.nrows; i++) {
        struct buf have = {0}, want = {0};
        int slot = atoi(rowset_get(&r, i, 0));

        assert_false(there[slot]);
        there[slot] = true;
        for (c = 0; c < 4; c++)
            buf_printf(&have, "%s%s", c > 0 ? "|" : "",
                       rowset_get(&r, i, c) ? rowset_get(&r, i, c) : "NULL");
        model_show(&want, m, m->rows[slot].v);
        if (!m->rows[slot].used || strcmp(buf_cstr(&have), buf_cstr(&want)) != 0)
            fail_msg("PENSTOCK_SEED=%llu: have %s, want %s%s", (unsigned long long)k->seed,
                     buf_cstr(&have), buf_cstr(&want), m->rows[slot].used ? "" : ", hidden");
        buf_free(&have);
        buf_free(&want);
    }
    for (i = 0; i < MODEL_ROWS; i++) {
        robbed[i] = robbed[i] && !there[i] && m->rows[i].used;
        if (m->rows[i].used && !there[i] && !robbed[i] && !refetch_wants(f, m, i))
            fail_msg("PENSTOCK_SEED=%llu: row %d is missing", (unsigned long long)k->seed, i);
    }
    arena_free(a);
}

/* The loader's own compact takes the model's events. */
static void apply_piece(struct sink *k, struct model *m, struct loader *l, struct wanted *w)
{
    struct loader_stats stats;
    struct compact *own = m->p.compact;
    struct error err = {0};

    m->p.compact = loader_compact(l);
    must(k, pipe_compact(&m->p, &err), &err);
    must(k, loader_apply(l, w, &stats, &err), &err);
    pipe_reset(&m->p);
    m->p.compact = own;
}

static struct target *make_target(struct sink *k, struct model *m)
{
    struct error err = {0};
    struct buf sql = {0};
    struct target *t = NULL;

    must(k, target_new(m->p.a, m->p.sink, k->ops->dialect, "apply", "t", &t, &err), &err);
    exec(k, "DROP SCHEMA IF EXISTS \"apply\" CASCADE");
    exec(k, "CREATE SCHEMA \"apply\"");
    target_sql_create(&sql, t, t->schema, t->name);
    exec(k, buf_cstr(&sql));
    if (m->keyed && k->ops->dialect->primary_key)
        exec(k, "ALTER TABLE \"apply\".\"t\" ADD PRIMARY KEY (\"id\")");
    buf_free(&sql);
    return t;
}

static void run(struct sink *k, const struct case_column *cols, unsigned oid)
{
    struct error err = {0};
    struct loader *l;
    struct model m;
    unsigned cut, commit;
    int i;

    model_open(&m, cols, k->seed);
    l = loader_new(k->ops, k->s, make_target(k, &m), m.p.dec, oid, OVERFLOW_STOP);
    cut = 2 + model_random(&m, 20);
    commit = 1 + model_random(&m, 3);
    must(k, k->ops->begin(k->s, &err), &err);
    for (i = 0; i < 60; i++) {
        model_step(&m);
        if (i < 59 && model_random(&m, cut) > 0)
            continue;
        apply_piece(k, &m, l, NULL); /* several pieces in one transaction */
        compare(k, &m);
        if (model_random(&m, commit) == 0) {
            must(k, k->ops->commit(k->s, &err), &err);
            must(k, k->ops->begin(k->s, &err), &err);
        }
    }
    must(k, k->ops->commit(k->s, &err), &err);
    loader_free(l);
    model_close(&m);
}

static void rob(struct sink *k, struct model *m, bool *robbed)
{
    int slot = (int)model_random(m, MODEL_ROWS);
    char sql[64];

    snprintf(sql, sizeof(sql), "DELETE FROM apply.t WHERE id = %d", slot);
    exec(k, sql);
    robbed[slot] = true;
}

static void give(struct sink *k, struct model *m, struct loader *l, struct refetch *f)
{
    refetch_give(f, m, loader_compact(l));
    apply_piece(k, m, l, f->w);
}

static void run_filter(struct sink *k, unsigned oid)
{
    bool robbed[MODEL_ROWS] = {0};
    struct error err = {0};
    struct refetch f;
    struct loader *l;
    struct model m;
    unsigned cut;
    int i;

    model_open(&m, model_keyed, k->seed);
    m.filter = true;
    refetch_open(&f);
    l = loader_new(k->ops, k->s, make_target(k, &m), m.p.dec, oid, OVERFLOW_STOP);
    cut = 2 + model_random(&m, 10);
    must(k, k->ops->begin(k->s, &err), &err);
    for (i = 0; i < 120; i++) {
        model_step(&m);
        if (i < 119 && model_random(&m, cut) > 0)
            continue;
        apply_piece(k, &m, l, f.w);
        if (f.open && model_random(&m, 3) == 0)
            give(k, &m, l, &f);
        compare_there(k, &m, &f, robbed);
        if (!f.open && wanted_count(f.w) > 0)
            refetch_read(&f, &m);
        if (model_random(&m, 6) == 0)
            rob(k, &m, robbed);
    }
    for (i = 0; i < 2 && (f.open || wanted_count(f.w) > 0); i++) {
        if (!f.open)
            refetch_read(&f, &m);
        give(k, &m, l, &f);
    }
    assert_int_equal(wanted_count(f.w), 0);
    compare_there(k, &m, &f, robbed);
    must(k, k->ops->commit(k->s, &err), &err);
    loader_free(l);
    refetch_close(&f);
    model_close(&m);
}

static void runs(const struct warehouse_ops *ops, const char *url)
{
    static const struct case_column *const tables[] = {model_keyed, model_float, model_keyless};
    const char *count = getenv("PENSTOCK_RUNS");
    uint64_t first = model_seed(1);
    uint64_t n = getenv("PENSTOCK_SEED") ? 1 : count ? strtoull(count, NULL, 10) : 5;
    struct sink k = {0};
    unsigned oid = 1;
    size_t i;

    sink_open(&k, ops, url);
    print_message("PENSTOCK_SEED=%llu and on\n", (unsigned long long)first);
    for (k.seed = first; k.seed < first + n; k.seed++) {
        for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
            run(&k, tables[i], oid++);
        run_filter(&k, oid++);
    }
    sink_close(&k);
}

static void into_duckdb(void **state)
{
    char dir[] = "/tmp/test_apply.XXXXXX";
    char url[64], command[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(url, sizeof(url), "duckdb:%s/wh.duckdb", dir);
    runs(&warehouse_duckdb_ops, url);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static void into_postgres(void **state)
{
    const char *url = getenv("PENSTOCK_TEST_POSTGRES");

    (void)state;
    if (url == NULL)
        skip();
    runs(&warehouse_postgres_ops, url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(into_duckdb),
        cmocka_unit_test(into_postgres),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
