/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DELETE for a table without a key, a multiset: of each staged row exactly as many copies go as
 * are staged. Rows are the same if dialect->same_text says so of every source column; which of
 * several equal copies goes does not matter.
 *
 *   DELETE FROM target WHERE row_id IN (
 *     SELECT m.r FROM (
 *       SELECT t.row_id AS r, d.n AS n, row_number() OVER (PARTITION BY d.id) AS i
 *       FROM target AS t JOIN (
 *         SELECT e1 AS k1, ..., count(*) AS n, row_number() OVER () AS id
 *         FROM stage AS s WHERE s.op = 0 GROUP BY 1, ...) AS d
 *       ON d.k1 = e1 AND ...) AS m
 *     WHERE m.i <= m.n)
 *
 * The target is read once, through a hash join; only rows that match are sorted.
 */
#include "load/sql_internal.h"

/* The texts of a staged row's columns, counted per distinct row. */
static void put_staged_rows(struct buf *out, const struct target *t, const char *stage)
{
    struct buf expr = {0};
    int i;

    buf_puts(out, "SELECT ");
    for (i = 0; i < t->table->ncols; i++) {
        buf_reset(&expr);
        sql_put_staged(&expr, t, i);
        t->dialect->same_text(out, &t->table->cols[i], buf_cstr(&expr));
        buf_printf(out, " AS k%d, ", i + 1);
    }
    buf_puts(out, "count(*) AS n, row_number() OVER () AS id FROM ");
    sql_put_stage(out, t, stage);
    buf_puts(out, " AS s WHERE ");
    sql_put_column(out, "s", STAGE_OP);
    buf_puts(out, " = 0");
    for (i = 0; i < t->table->ncols; i++)
        buf_printf(out, "%s%d", i == 0 ? " GROUP BY " : ", ", i + 1);
    buf_free(&expr);
}

static void put_same_row(struct buf *out, const struct target *t)
{
    struct buf expr = {0};
    int i;

    for (i = 0; i < t->table->ncols; i++) {
        buf_reset(&expr);
        sql_put_column(&expr, "t", t->cols[i].name);
        buf_printf(out, "%sd.k%d = ", i == 0 ? "" : " AND ", i + 1);
        t->dialect->same_text(out, &t->table->cols[i], buf_cstr(&expr));
    }
    if (t->table->ncols == 0) /* rows of no columns are all the same */
        buf_puts(out, "true");
    buf_free(&expr);
}

void sql_delete_keyless(struct buf *out, const struct target *t, const char *stage)
{
    const char *row_id = t->dialect->row_id;

    buf_puts(out, "DELETE FROM ");
    sql_put_target(out, t);
    buf_printf(out,
               " WHERE %s IN (SELECT m.r FROM (SELECT t.%s AS r, d.n AS n, row_number() OVER "
               "(PARTITION BY d.id) AS i FROM ",
               row_id, row_id);
    sql_put_target(out, t);
    buf_puts(out, " AS t JOIN (");
    put_staged_rows(out, t, stage);
    buf_puts(out, ") AS d ON ");
    put_same_row(out, t);
    buf_puts(out, ") AS m WHERE m.i <= m.n)");
}
