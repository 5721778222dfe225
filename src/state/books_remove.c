/* SPDX-License-Identifier: Apache-2.0 */
#include "state/books_remove.h"

#include "load/target.h"
#include "state/books_internal.h"

#include <stdio.h>
#include <string.h>

/* The first three say whether anybody uses the schema. */
static const char *const owned[] = {"checkpoints", "intents",         "tables", "columns",
                                    "targets",     "snapshot_chunks", "wanted"};

/* The schema goes if it can: people may have put a table into it, or a view over it. */
enum schema { SCHEMA_GOES, SCHEMA_STAYS };

bool books_targets_made(struct books *b, struct arena *a, struct qualified **out, int *n,
                        struct error *err)
{
    struct buf sql = {0};
    struct rowset r;
    bool ok;
    int i;

    buf_puts(&sql, "SELECT target_schema, target_table FROM penstock.targets");
    books_where(&sql, b);
    buf_puts(&sql, " AND EXISTS (SELECT 1 FROM information_schema.tables i WHERE i.table_schema = "
                   "target_schema AND i.table_name = target_table) ORDER BY 1, 2");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    buf_free(&sql);
    if (!ok)
        return false;
    *n = r.nrows;
    *out = arena_calloc(a, (size_t)r.nrows + 1, sizeof(**out));
    for (i = 0; i < r.nrows; i++)
        (*out)[i] = (struct qualified){rowset_get(&r, i, 0), rowset_get(&r, i, 1)};
    return true;
}

static bool drop(struct books *b, const char *schema, const char *name, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "DROP TABLE IF EXISTS ");
    target_sql_name(&sql, schema, name);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    if (ok)
        return true;
    if (strncmp(err->sqlstate, "2BP", 3) == 0) {
        err->kind = ERROR_DATA;
        error_hint(err, "drop the view or foreign key that depends on it first, or leave the "
                        "tables: run it without --tables");
    }
    return error_prefix(err, "%s.%s", schema, name);
}

/* Copies that have not taken their place; other loads' numbers have no table. */
static bool drop_copies(struct books *b, struct arena *a, struct error *err)
{
    struct buf sql = {0};
    struct rowset r;
    bool ok;
    int i;

    buf_puts(&sql, "SELECT target_schema, load FROM penstock.tables");
    books_where(&sql, b);
    buf_puts(&sql, " AND load > 0");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    buf_free(&sql);
    for (i = 0; ok && i < r.nrows; i++) {
        char name[64];

        snprintf(name, sizeof(name), "_penstock_load_%s", rowset_get(&r, i, 1));
        ok = drop(b, rowset_get(&r, i, 0), name, err);
    }
    return ok;
}

/* Does the schema hold rows of anybody else? */
static bool shared(struct books *b, struct arena *a, bool *yes, struct error *err)
{
    struct buf sql = {0};
    struct rowset r = {0};
    bool ok;
    int i;

    for (i = 0; i < 3; i++) {
        buf_printf(&sql, "%sSELECT 1 FROM penstock.%s WHERE NOT (connector = ",
                   i > 0 ? " UNION ALL " : "", owned[i]);
        buf_sql_string(&sql, b->connector);
        buf_puts(&sql, " AND source = ");
        buf_sql_string(&sql, b->source);
        buf_puts(&sql, ")");
    }
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    buf_free(&sql);
    *yes = ok && r.nrows > 0;
    return ok;
}

static bool forget_rows(struct books *b, struct error *err)
{
    bool ok = true;
    size_t i;

    for (i = 0; ok && i < sizeof(owned) / sizeof(owned[0]); i++)
        ok = books_delete_all(b, owned[i], err);
    return ok;
}

/* Without CASCADE: what is not ours makes it fail. */
static bool drop_schema(struct books *b, struct error *err)
{
    bool ok = true;
    size_t i;

    for (i = 0; ok && i < sizeof(owned) / sizeof(owned[0]); i++)
        ok = drop(b, "penstock", owned[i], err);
    return ok && drop(b, "penstock", "meta", err) &&
           b->ops->exec(b->session, "DROP SCHEMA penstock", NULL, err);
}

/* *held: only the schema was in the way. */
static bool remove_in(struct books *b, const struct qualified *targets, int n, enum schema schema,
                      bool *held, struct error *err)
{
    struct arena *a = arena_new("removal");
    bool others = false;
    bool ok =
        b->ops->begin(b->session, err) && shared(b, a, &others, err) && drop_copies(b, a, err);
    int i;

    for (i = 0; ok && i < n; i++)
        ok = drop(b, targets[i].schema, targets[i].name, err);
    if (ok && !others && schema == SCHEMA_GOES) {
        ok = drop_schema(b, err);
        *held = !ok;
    } else {
        ok = ok && forget_rows(b, err);
    }
    ok = ok && b->ops->commit(b->session, err);
    if (!ok)
        b->ops->rollback(b->session);
    arena_free(a);
    return ok;
}

bool books_remove(struct books *b, const struct qualified *targets, int n, bool *kept,
                  struct error *err)
{
    *kept = false;
    if (remove_in(b, targets, n, SCHEMA_GOES, kept, err))
        return true;
    return *kept && remove_in(b, targets, n, SCHEMA_STAYS, kept, err);
}
