/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Version 1 to 2, in one transaction: who is killed in the middle has changed nothing. The first
 * statement locks meta, so that of two processes the second one finds nothing left to do (Postgres)
 * or has to try again (DuckDB).
 *
 * DuckDB loses transactions that change the rows of a table and then alter it, and adds no column
 * that is NOT NULL: each column comes with a default, which is taken off again, and the rows are
 * filled in when every table has its shape.
 */
#include "state/books_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASIDE "_penstock_load_"

struct addition {
    const char *table, *column, *type;
    const char *value; /* of the rows that are there; NULL: may be NULL and is */
};

/* meta first: it is the lock. */
static const struct addition version_2[] = {
    {"meta", "next_load", "bigint", "1"},
    {"tables", "spool_applied", "bigint", "0"},
    {"tables", "in_place", "boolean", "false"},
    {"tables", "attributes", "integer", "0"},
    {"tables", "leaves", "text", NULL},
    {"tables", "membership", "text", NULL},
    {"columns", "load", "bigint", "0"},
    {"columns", "target_name", "text", NULL},
    {"columns", "dropped", "boolean", "false"},
    {"columns", "aliases", "text", NULL},
    {"snapshot_chunks", "snapshot_csn", "bigint", "0"},
    {"snapshot_chunks", "from_key", "text", NULL},
    {"snapshot_chunks", "to_key", "text", NULL},
    {"snapshot_chunks", "done", "boolean", "true"},
};

static bool alter(struct books *b, const char *table, const char *what, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql, "ALTER TABLE penstock.%s %s", table, what);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

static bool add_column(struct books *b, const struct addition *c, struct error *err)
{
    char what[160];
    bool ok;

    /* IF NOT EXISTS for who has waited for the lock on meta. */
    snprintf(what, sizeof(what), "ADD COLUMN IF NOT EXISTS %s %s%s%s", c->column, c->type,
             c->value ? " DEFAULT " : "", c->value ? c->value : "");
    ok = alter(b, c->table, what, err);
    if (!ok || c->value == NULL)
        return ok;
    snprintf(what, sizeof(what), "ALTER COLUMN %s SET NOT NULL", c->column);
    ok = alter(b, c->table, what, err);
    snprintf(what, sizeof(what), "ALTER COLUMN %s DROP DEFAULT", c->column);
    return ok && alter(b, c->table, what, err);
}

static const struct addition last = {"tables", "membership", "text", NULL};

bool books_are_whole(struct books *b, struct arena *a, bool *whole, struct error *err)
{
    struct buf sql = {0};
    struct rowset r;
    bool ok;

    buf_printf(&sql,
               "SELECT 1 FROM information_schema.columns WHERE table_schema = 'penstock' AND "
               "table_name = '%s' AND column_name = '%s'",
               last.table, last.column);
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    *whole = ok && r.nrows > 0;
    buf_free(&sql);
    return ok;
}

bool books_complete(struct books *b, struct error *err)
{
    return add_column(b, &last, err);
}

static bool replace_key(struct books *b, const char *table, const char *columns, struct error *err)
{
    struct arena *a = arena_new("key");
    struct buf sql = {0};
    struct rowset r;
    bool ok;

    buf_puts(&sql, "SELECT constraint_name FROM information_schema.table_constraints WHERE "
                   "table_schema = 'penstock' AND constraint_type = 'PRIMARY KEY' AND "
                   "table_name = ");
    buf_sql_string(&sql, table);
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    if (ok && r.nrows > 0) {
        buf_reset(&sql);
        buf_puts(&sql, "DROP CONSTRAINT ");
        buf_sql_ident(&sql, rowset_get(&r, 0, 0));
        ok = alter(b, table, buf_cstr(&sql), err);
    }
    buf_reset(&sql);
    buf_printf(&sql, "ADD PRIMARY KEY (%s)", columns);
    ok = ok && alter(b, table, buf_cstr(&sql), err);
    buf_free(&sql);
    arena_free(a);
    return ok;
}

/*
 * A number above every load's in the books, and above that of every table aside that was left
 * behind by a load which is not in the books any more.
 */
static bool first_free_load(struct books *b, int64_t *load, struct error *err)
{
    struct arena *a = arena_new("loads");
    struct rowset r;
    bool ok;
    int i;

    *load = 1;
    ok = b->ops->query(b->session, a, "SELECT coalesce(max(load), 0) + 1 FROM penstock.tables", &r,
                       err);
    if (ok)
        *load = books_int(rowset_get(&r, 0, 0));
    ok = ok && b->ops->query(b->session, a,
                             "SELECT table_name FROM information_schema.tables WHERE "
                             "substr(table_name, 1, 15) = '" ASIDE "'",
                             &r, err);
    for (i = 0; ok && i < r.nrows; i++) {
        char *end;
        long long n = strtoll(rowset_get(&r, i, 0) + strlen(ASIDE), &end, 10);

        if (*end == '\0' && n >= *load && n < INT64_MAX)
            *load = n + 1;
    }
    arena_free(a);
    return ok;
}

static bool fill(struct books *b, struct error *err)
{
    struct buf sql = {0};
    int64_t load = 1;
    bool ok = first_free_load(b, &load, err);

    ok = ok && b->ops->exec(b->session,
                            "UPDATE penstock.columns AS c SET load = t.load FROM penstock.tables "
                            "AS t WHERE t.connector = c.connector AND t.source = c.source AND "
                            "t.source_id = c.source_id",
                            NULL, err);
    /* Processes that started together may have left a row of meta each. */
    ok = ok && b->ops->exec(b->session, "DELETE FROM penstock.meta", NULL, err);
    buf_printf(&sql, "INSERT INTO penstock.meta (version, next_load) VALUES (%d, %lld)",
               BOOKS_VERSION, (long long)load);
    ok = ok && books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

bool books_migrate(struct books *b, struct error *err)
{
    struct arena *a = arena_new("migration");
    struct rowset r;
    bool done = false;
    bool ok;
    size_t i;

    ok = add_column(b, &version_2[0], err) &&
         b->ops->query(b->session, a, "SELECT max(version) FROM penstock.meta", &r, err);
    if (ok)
        done = books_int(rowset_get(&r, 0, 0)) >= BOOKS_VERSION;
    arena_free(a);
    if (!ok || done)
        return ok;
    for (i = 1; ok && i < sizeof(version_2) / sizeof(version_2[0]); i++)
        ok = add_column(b, &version_2[i], err);
    if (ok && b->ops->dialect->primary_key)
        ok = replace_key(b, "tables", "connector, source, source_id, load", err) &&
             replace_key(b, "columns", "connector, source, source_id, load, ordinal", err);
    return ok && books_create_tables(b, err) && fill(b, err);
}
