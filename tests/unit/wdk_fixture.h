/* SPDX-License-Identifier: Apache-2.0 */
/* A DuckDB warehouse in a directory of its own, opened, with one session, for its unit tests. */
#ifndef PENSTOCK_TESTS_WDK_FIXTURE_H
#define PENSTOCK_TESTS_WDK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/file.h"
#include "util/mem.h"
#include "warehouse_duckdb/warehouse_duckdb.h"
#include "warehouse_duckdb/wdk.h"

#define LEN(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const struct warehouse_ops *ops = &warehouse_duckdb_ops;

struct fixture {
    char dir[64];
    char file[96];
    struct config *cfg;
    struct warehouse *w;
    struct session *s;
    struct arena *a;
    struct error err;
};

static inline struct config *make_config(const char *url, const char *key, const char *value)
{
    const struct setting *const settings[] = {config_sink_settings, ops->settings, NULL};
    const char *pairs[] = {"connection.url", url, key, value, NULL, NULL};
    struct config *c = NULL;
    struct error err = {0};

    if (!config_make(&c, "wh", settings, pairs, &err))
        fail_msg("config: %s", err.message);
    return c;
}

static inline bool try_open(struct fixture *f)
{
    bool ok;

    error_clear(&f->err);
    ok = ops->open(&f->w, f->cfg, &f->err);
    if (!ok)
        f->w = NULL;
    return ok;
}

static inline void reopen(struct fixture *f)
{
    if (!try_open(f) || !ops->connect(f->w, "test", &f->s, &f->err))
        fail_msg("open: %s", f->err.message);
}

static inline void shut(struct fixture *f)
{
    ops->disconnect(f->s);
    f->s = NULL;
    ops->close(f->w);
    f->w = NULL;
}

static inline int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof(*f));
    char url[128];

    snprintf(f->dir, sizeof(f->dir), "/tmp/test_wdk.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->file, sizeof(f->file), "%s/wh.duckdb", f->dir);
    snprintf(url, sizeof(url), "duckdb:%s", f->file);
    f->cfg = make_config(url, NULL, NULL);
    f->a = arena_new("test");
    reopen(f);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    shut(f);
    config_free(f->cfg);
    arena_free(f->a);
    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    if (system(command) != 0)
        return -1;
    mem_free(f);
    return 0;
}

static inline void exec(struct fixture *f, const char *sql)
{
    if (!ops->exec(f->s, sql, NULL, &f->err))
        fail_msg("%s: %s", sql, f->err.message);
}

static inline void exec_fails(struct fixture *f, const char *sql, enum error_kind kind)
{
    error_clear(&f->err);
    assert_false(ops->exec(f->s, sql, NULL, &f->err));
    if (f->err.kind != kind)
        fail_msg("%s: %s: %s", sql, error_kind_name(f->err.kind), f->err.message);
}

/* All cells, "|" between columns, ";" between rows. */
static inline const char *answer(struct fixture *f, const char *sql)
{
    struct rowset r;
    struct buf b = {0};
    char *copy;
    int y, x;

    if (!ops->query(f->s, f->a, sql, &r, &f->err))
        fail_msg("%s: %s", sql, f->err.message);
    for (y = 0; y < r.nrows; y++) {
        for (x = 0; x < r.ncols; x++) {
            if (x > 0)
                buf_puts(&b, "|");
            buf_puts(&b, rowset_get(&r, y, x) == NULL ? "NULL" : rowset_get(&r, y, x));
        }
        if (y + 1 < r.nrows)
            buf_puts(&b, ";");
    }
    copy = arena_strdup(f->a, buf_cstr(&b));
    buf_free(&b);
    return copy;
}

static inline void answers(struct fixture *f, const char *sql, const char *want)
{
    assert_string_equal(answer(f, sql), want);
}

static inline struct value str(const char *s)
{
    return (struct value){.state = VALUE_SET, .s = {s, strlen(s)}};
}

static inline struct value num(int64_t i)
{
    return (struct value){.state = VALUE_SET, .i = i};
}

static inline struct value dbl(double d)
{
    return (struct value){.state = VALUE_SET, .f = d};
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
