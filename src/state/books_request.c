/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only state, loaded and reason are changed, and what a load that was cut off has copied counts no
 * more: the load number, and with it the name of the table aside, is given by who makes the load.
 * The names are compared here, not by the warehouse, so that what is answered is exactly what was
 * marked.
 */
#include "state/books_request.h"

#include "config/nearest.h"
#include "state/books_internal.h"

#define REASON "resync was asked for"

/* The tables in the books; those that nobody has made count as empty. */
static bool read_names(struct books *b, struct arena *a, struct rowset *r, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "SELECT source_id, source_schema, source_table FROM penstock.tables");
    books_where(&sql, b);
    buf_puts(&sql, " ORDER BY source_schema, source_table");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), r, err);
    buf_free(&sql);
    if (!ok)
        return false;
    if (r->nrows > 0)
        return true;
    error_set(err, ERROR_CONFIG, "warehouse %s holds no table of connector %s yet", b->connector,
              b->source);
    return error_hint(err, "start the service: it loads every table");
}

static bool unknown_table(struct books *b, struct arena *a, const struct rowset *r,
                          const struct qualified *t, struct error *err)
{
    const char *text = qualified_text(a, t->schema, t->name);
    struct nearest near = {0};

    for (int i = 0; i < r->nrows; i++)
        nearest_offer(&near, text, qualified_text(a, rowset_get(r, i, 1), rowset_get(r, i, 2)));
    error_set(err, ERROR_CONFIG, "connector %s has no table %s", b->source, text);
    if (near.best != NULL)
        error_hint(err, "did you mean %s?", near.best);
    return false;
}

/* ids: "1, 2" */
static bool mark(struct books *b, struct buf *ids, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql,
               "UPDATE penstock.tables SET state = '%s', loaded = false, reason = '%s', "
               "updated_at = now()",
               table_state_name(TABLE_LOADING), REASON);
    books_where(&sql, b);
    buf_printf(&sql, " AND source_id IN (%s)", buf_cstr(ids));
    ok = books_exec(b, &sql, NULL, err);
    buf_reset(&sql);
    buf_puts(&sql, "DELETE FROM penstock.snapshot_chunks"); /* from nothing */
    books_where(&sql, b);
    buf_printf(&sql, " AND source_id IN (%s)", buf_cstr(ids));
    ok = ok && books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

static bool mark_wanted(struct books *b, const struct qualified *wanted, struct arena *a,
                        const struct rowset *r, struct qualified *out, int *n, struct error *err)
{
    struct buf ids = {0};
    bool ok;

    for (int i = 0; i < r->nrows; i++) {
        struct qualified t = {rowset_get(r, i, 1), rowset_get(r, i, 2)};

        if (wanted->name != NULL &&
            (strcmp(t.schema, wanted->schema) != 0 || strcmp(t.name, wanted->name) != 0))
            continue;
        /* A load that was cut off has a row of its own beside the live table's. */
        if (*n == 0 || strcmp(out[*n - 1].schema, t.schema) != 0 ||
            strcmp(out[*n - 1].name, t.name) != 0)
            out[(*n)++] = t;
        buf_printf(&ids, "%s%s", ids.len > 0 ? ", " : "", rowset_get(r, i, 0));
    }
    ok = *n > 0 ? mark(b, &ids, err) : unknown_table(b, a, r, wanted, err);
    buf_free(&ids);
    return ok;
}

bool books_request_load(struct books *b, const char *schema, const char *name, struct arena *a,
                        struct qualified **out, int *n, struct error *err)
{
    const struct qualified wanted = {schema, name};
    struct rowset r;
    bool ok;

    *n = 0;
    if (!b->ops->begin(b->session, err))
        return false;
    ok = read_names(b, a, &r, err);
    if (ok) {
        *out = arena_calloc(a, (size_t)r.nrows, sizeof(**out));
        ok = mark_wanted(b, &wanted, a, &r, *out, n, err);
    }
    ok = ok && b->ops->commit(b->session, err);
    if (!ok)
        b->ops->rollback(b->session);
    return ok;
}
