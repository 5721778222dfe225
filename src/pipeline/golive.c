/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A complete copy takes its table's place, inside the batch's transaction and before any row
 * change of it (DuckDB 1.5 loses a transaction that renames a table after changing it).
 *
 * First load: rename. Again, Postgres, same columns: DELETE + INSERT, so that readers with an
 * older snapshot keep the old rows and views stay; other columns, or another engine: drop and
 * rename.
 */
#include "load/target.h"
#include "pipeline/internal.h"
#include "util/causes.h"
#include "util/failpoint.h"
#include "util/log.h"

#include <stdio.h>
#include <string.h>

static bool exec(struct books *b, struct buf *sql, struct error *err)
{
    return b->ops->exec(b->session, buf_cstr(sql), NULL, err);
}

static bool same_shape(struct books *b, const char *schema, const char *one, const char *two,
                       bool *same, struct error *err)
{
    struct arena *a = arena_new("columns");
    struct buf sql = {0};
    struct rowset r[2];
    const char *names[2] = {one, two};
    bool ok = true;
    int i;

    for (i = 0; ok && i < 2; i++) {
        buf_reset(&sql);
        b->ops->dialect->shape(&sql, schema, names[i]);
        ok = b->ops->query(b->session, a, buf_cstr(&sql), &r[i], err);
    }
    *same = ok && r[0].nrows > 0 && r[0].nrows == r[1].nrows;
    for (i = 0; *same && i < r[0].nrows; i++)
        *same = strcmp(rowset_get(&r[0], i, 0), rowset_get(&r[1], i, 0)) == 0;
    buf_free(&sql);
    arena_free(a);
    return ok;
}

static bool replace_rows(struct books *b, struct flow *f, const char *aside, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "DELETE FROM ");
    target_sql_name(&sql, f->rec.target_schema, f->rec.target_name);
    ok = exec(b, &sql, err);
    FAILPOINT("golive.rows-deleted");
    buf_reset(&sql);
    buf_puts(&sql, "INSERT INTO ");
    target_sql_name(&sql, f->rec.target_schema, f->rec.target_name);
    buf_puts(&sql, " SELECT * FROM ");
    target_sql_name(&sql, f->rec.target_schema, aside);
    ok = ok && exec(b, &sql, err);
    buf_reset(&sql);
    buf_puts(&sql, "DROP TABLE ");
    target_sql_name(&sql, f->rec.target_schema, aside);
    ok = ok && exec(b, &sql, err);
    buf_free(&sql);
    return ok;
}

static bool rename_aside(struct books *b, struct flow *f, const char *aside, bool drop,
                         struct error *err)
{
    struct buf sql = {0};
    bool ok = true;

    if (drop) {
        buf_puts(&sql, "DROP TABLE ");
        target_sql_name(&sql, f->rec.target_schema, f->rec.target_name);
        ok = exec(b, &sql, err);
        FAILPOINT("golive.target-dropped");
    }
    buf_reset(&sql);
    buf_puts(&sql, "ALTER TABLE ");
    target_sql_name(&sql, f->rec.target_schema, aside);
    buf_puts(&sql, " RENAME TO ");
    buf_sql_ident(&sql, f->rec.target_name);
    ok = ok && exec(b, &sql, err);
    buf_free(&sql);
    return ok;
}

bool golive_table(struct books *b, struct flow *f, struct error *err)
{
    char aside[ASIDE_SIZE];
    bool exists, other, ours, same = false;
    bool ok;

    if (f->rec.in_place) /* the target itself has waited */
        return books_table_live(b, f->rec.table->oid, f->rec.load, err);
    flow_aside(f->rec.load, aside);
    if (!books_target_exists(b, f->rec.target_schema, f->rec.target_name, &exists, &other, &ours,
                             err))
        return false;
    if (exists && (!ours || other)) {
        error_cause(err, CAUSE_TARGET_FOREIGN,
                    "a table %s.%s appeared in the warehouse while it was loaded",
                    f->rec.target_schema, f->rec.target_name);
        err->table = f->rec.table->oid;
        return false;
    }
    if (exists && b->ops->dialect->shape != NULL &&
        !same_shape(b, f->rec.target_schema, f->rec.target_name, aside, &same, err))
        return false;
    ok = exists && same ? replace_rows(b, f, aside, err) : rename_aside(b, f, aside, exists, err);
    if (!ok) {
        if (strncmp(err->sqlstate, "2BP", 3) == 0)
            error_because(err, CAUSE_TARGET_NEEDED);
        if (err->kind == ERROR_DATA)
            err->table = f->rec.table->oid;
        return error_prefix(err, "%s.%s takes its place", f->rec.target_schema, f->rec.target_name);
    }
    return books_table_live(b, f->rec.table->oid, f->rec.load, err);
}
