/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads: their numbers, of which none is handed out twice, the lock that tells a load that it was
 * replaced, and penstock.snapshot_chunks: what of a load has been copied.
 */
#include "state/books_internal.h"

#include "util/causes.h"

#define PLAN_ROWS 200 /* of one statement */

bool books_next_load(struct books *b, int64_t *load, struct error *err)
{
    struct arena *a = arena_new("load number");
    struct rowset r;
    int64_t n = 0;
    /* The row stays locked until the commit: two connectors must not take one number. */
    bool ok =
        b->ops->exec(b->session, "UPDATE penstock.meta SET next_load = next_load + 1", &n, err);

    if (ok && n != 1)
        ok = error_set(err, ERROR_FATAL, "penstock.meta holds %lld rows instead of one",
                       (long long)n);
    ok = ok && b->ops->query(b->session, a, "SELECT next_load - 1 FROM penstock.meta", &r, err);
    *load = ok ? books_int(rowset_get(&r, 0, 0)) : 0;
    arena_free(a);
    return ok;
}

bool books_load_lock(struct books *b, uint32_t oid, int64_t load, struct error *err)
{
    struct arena *a = arena_new("load lock");
    const char *share = b->ops->dialect->lock_share;
    struct buf sql = {0};
    struct rowset r;
    bool ok;

    buf_puts(&sql, "SELECT 1 FROM penstock.tables");
    books_where_load(&sql, b, oid, load);
    buf_puts(&sql, share ? share : "");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    if (ok && r.nrows != 1) {
        ok = error_cause(err, CAUSE_LOAD_TAKEN,
                         "load %lld of table %u was replaced by another process", (long long)load,
                         oid);
    }
    buf_free(&sql);
    arena_free(a);
    return ok;
}

static bool insert_chunks(struct books *b, uint32_t oid, int64_t load,
                          const struct books_chunk *list, int n, struct error *err)
{
    struct buf sql = {0};
    bool ok;
    int i;

    buf_puts(&sql, "INSERT INTO penstock.snapshot_chunks (connector, source, source_id, load, "
                   "chunk, \"rows\", snapshot_csn, from_key, to_key, done) VALUES ");
    for (i = 0; i < n; i++) {
        const struct books_chunk *c = &list[i];

        buf_puts(&sql, i > 0 ? ", (" : "(");
        books_owner_values(&sql, b, oid);
        buf_printf(&sql, ", %lld, %d, %lld, %lld", (long long)load, c->number, (long long)c->rows,
                   (long long)c->s);
        books_put_string(&sql, c->from);
        books_put_string(&sql, c->to);
        buf_puts(&sql, c->done ? ", true)" : ", false)");
    }
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

bool books_chunks_plan(struct books *b, uint32_t oid, int64_t load, const struct books_chunk *list,
                       int n, struct error *err)
{
    int i;

    for (i = 0; i < n; i += PLAN_ROWS) {
        if (!insert_chunks(b, oid, load, list + i, n - i < PLAN_ROWS ? n - i : PLAN_ROWS, err))
            return false;
    }
    return true;
}

bool books_chunk_done(struct books *b, uint32_t oid, int64_t load, int chunk, int64_t rows,
                      int64_t s, struct error *err)
{
    struct buf sql = {0};
    int64_t n = 0;
    bool ok;

    buf_printf(&sql,
               "UPDATE penstock.snapshot_chunks SET \"rows\" = %lld, snapshot_csn = %lld, "
               "done = true",
               (long long)rows, (long long)s);
    books_where_load(&sql, b, oid, load);
    buf_printf(&sql, " AND chunk = %d AND NOT done", chunk);
    ok = books_exec(b, &sql, &n, err);
    buf_free(&sql);
    if (ok && n != 1) /* a transaction of ours whose answer was lost */
        ok = error_set(err, ERROR_RETRY, "range %d of load %lld of table %u is copied already",
                       chunk, (long long)load, oid);
    return ok;
}

bool books_chunks_remove(struct books *b, uint32_t oid, int64_t load, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "DELETE FROM penstock.snapshot_chunks");
    books_where_load(&sql, b, oid, load);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

bool books_chunk_add(struct books *b, uint32_t oid, int64_t load, int chunk, int64_t rows,
                     struct error *err)
{
    const struct books_chunk c = {.number = chunk, .rows = rows, .done = true};

    return insert_chunks(b, oid, load, &c, 1, err);
}

bool books_chunk_put(struct books *b, uint32_t oid, int64_t load, const struct books_chunk *c,
                     struct error *err)
{
    struct buf sql = {0};
    int64_t n = 0;
    bool ok;

    buf_printf(&sql,
               "UPDATE penstock.snapshot_chunks SET \"rows\" = %lld, snapshot_csn = %lld, "
               "done = %s, from_key = ",
               (long long)c->rows, (long long)c->s, c->done ? "true" : "false");
    books_string_or_null(&sql, c->from);
    buf_puts(&sql, ", to_key = ");
    books_string_or_null(&sql, c->to);
    books_where_load(&sql, b, oid, load);
    buf_printf(&sql, " AND chunk = %d", c->number);
    ok = books_exec(b, &sql, &n, err);
    buf_free(&sql);
    return ok && (n > 0 || insert_chunks(b, oid, load, c, 1, err));
}

bool books_chunks_read(struct books *b, struct arena *a, uint32_t oid, int64_t load,
                       struct books_chunk **out, int *n, struct error *err)
{
    struct buf sql = {0};
    struct rowset r;
    bool ok;
    int i;

    buf_puts(&sql, "SELECT chunk, \"rows\", snapshot_csn, from_key, to_key, CAST(done AS text) "
                   "FROM penstock.snapshot_chunks");
    books_where_load(&sql, b, oid, load);
    buf_puts(&sql, " ORDER BY chunk");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    buf_free(&sql);
    if (!ok)
        return false;
    *n = r.nrows;
    *out = arena_calloc(a, (size_t)r.nrows, sizeof(**out));
    for (i = 0; i < r.nrows; i++) {
        struct books_chunk *c = &(*out)[i];

        c->number = (int)books_int(rowset_get(&r, i, 0));
        c->rows = books_int(rowset_get(&r, i, 1));
        c->s = books_int(rowset_get(&r, i, 2));
        c->from = rowset_get(&r, i, 3);
        c->to = rowset_get(&r, i, 4);
        c->done = books_bool(rowset_get(&r, i, 5));
    }
    return true;
}
