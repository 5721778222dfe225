/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statements of a piece: stage, resolve, delete, upsert. Pure. t is the target, s the stage.
 * Every name is quoted; no value ever stands in a statement. What a statement costs follows the
 * stage, not the target: joins are equalities of the key columns, which an index or a hash join
 * serves; only a table without a key is read as a whole (sql_keyless.c).
 */
#include "load/sql_internal.h"

#include <stdio.h>

void sql_put_target(struct buf *out, const struct target *t)
{
    target_sql_name(out, t->schema, t->name);
}

void sql_put_stage(struct buf *out, const struct target *t, const char *stage)
{
    buf_puts(out, t->dialect->temp_prefix);
    buf_sql_ident(out, stage);
}

void sql_put_column(struct buf *out, const char *alias, const char *name)
{
    buf_puts(out, alias);
    buf_u8(out, '.');
    buf_sql_ident(out, name);
}

/* s."name", cast if the stage holds column i as text. */
static void put_cast(struct buf *out, const struct target *t, int i, const char *name)
{
    const struct load_column *c = &t->cols[i];

    if (c->as_text)
        buf_puts(out, "CAST(");
    sql_put_column(out, "s", name);
    if (c->as_text)
        buf_printf(out, " AS %s)", c->type);
}

void sql_put_staged(struct buf *out, const struct target *t, int i)
{
    put_cast(out, t, i, t->cols[i].name);
}

static bool is_key(const struct target *t, int i)
{
    return i < t->table->ncols && t->table->cols[i].key_pos > 0;
}

/* --- the stage --- */

struct load_column *stage_columns(struct arena *a, const struct target *t, int *ncols)
{
    const struct dialect *d = t->dialect;
    int nkeys = t->table->nkeys;
    int n = 2 + nkeys + t->ncols;
    struct load_column *cols = arena_calloc(a, (size_t)n, sizeof(*cols));
    int i;

    cols[0] = (struct load_column){.name = STAGE_OP, .type = d->smallint, .kind = TYPE_INT16};
    cols[1] = (struct load_column){.name = STAGE_MASK, .type = d->text, .kind = TYPE_TEXT};
    for (i = 0; i < nkeys; i++) {
        cols[2 + i] = t->cols[t->table->keys[i]];
        cols[2 + i].name = arena_printf(a, STAGE_ORIGIN "%d", i + 1);
    }
    for (i = 0; i < t->ncols; i++)
        cols[2 + nkeys + i] = t->cols[i];
    for (i = 0; i < n; i++) {
        cols[i].not_null = false;
        if (cols[i].as_text) {
            cols[i].type = d->text;
            cols[i].kind = TYPE_TEXT;
        }
    }
    *ncols = n;
    return cols;
}

void sql_stage_create(struct buf *out, const struct target *t, const char *stage)
{
    struct arena *a = arena_new("stage columns");
    int n, i;
    const struct load_column *cols = stage_columns(a, t, &n);

    /* Emptying by making it anew is what DuckDB does fastest (and after a rollback it is gone). */
    buf_puts(out, t->dialect->merge ? "CREATE TEMP TABLE " : "CREATE OR REPLACE TEMP TABLE ");
    buf_sql_ident(out, stage);
    for (i = 0; i < n; i++) {
        buf_puts(out, i == 0 ? " (" : ", ");
        buf_sql_ident(out, cols[i].name);
        buf_printf(out, " %s", cols[i].type);
    }
    buf_u8(out, ')');
    arena_free(a);
}

void sql_stage_clear(struct buf *out, const struct target *t, const char *stage)
{
    if (!t->dialect->merge) {
        sql_stage_create(out, t, stage);
        return;
    }
    buf_puts(out, "TRUNCATE TABLE ");
    sql_put_stage(out, t, stage);
}

void sql_stage_drop(struct buf *out, const struct target *t, const char *stage)
{
    if (!t->dialect->merge) /* sql_stage_create replaces it */
        return;
    buf_puts(out, "DROP TABLE IF EXISTS ");
    sql_put_stage(out, t, stage);
}

void sql_stage_analyze(struct buf *out, const struct target *t, const char *stage)
{
    if (!t->dialect->merge)
        return;
    buf_puts(out, "ANALYZE ");
    sql_put_stage(out, t, stage);
}

/* --- resolve --- */

/* Where the staged row was before this piece: its origin's key, else its own. */
static void put_origin_match(struct buf *out, const struct target *t)
{
    char name[32];
    int k;

    for (k = 0; k < t->table->nkeys; k++) {
        int i = t->table->keys[k];

        if (k > 0)
            buf_puts(out, " AND ");
        snprintf(name, sizeof(name), STAGE_ORIGIN "%d", k + 1);
        sql_put_column(out, "t", t->cols[i].name);
        buf_puts(out, " = coalesce(");
        put_cast(out, t, i, name);
        buf_puts(out, ", ");
        sql_put_staged(out, t, i);
        buf_u8(out, ')');
    }
}

/* "c" = CASE WHEN <mask says unresolved> THEN t."c" ELSE s."c" END */
static void put_resolved(struct buf *out, const struct target *t, int i)
{
    const struct load_column *c = &t->cols[i];

    buf_sql_ident(out, c->name);
    buf_puts(out, " = CASE WHEN substr(");
    sql_put_column(out, "s", STAGE_MASK);
    buf_printf(out, ", %d, 1) = '1' THEN ", i + 1);
    if (c->as_text)
        buf_puts(out, "CAST(");
    sql_put_column(out, "t", c->name);
    if (c->as_text)
        buf_printf(out, " AS %s)", t->dialect->text);
    buf_puts(out, " ELSE ");
    sql_put_column(out, "s", c->name);
    buf_puts(out, " END");
}

void sql_resolve(struct buf *out, const struct target *t, const char *stage)
{
    const char *sep = " SET ";
    int i;

    buf_puts(out, "UPDATE ");
    sql_put_stage(out, t, stage);
    buf_puts(out, " AS s");
    for (i = 0; i < t->table->ncols; i++) {
        if (is_key(t, i)) /* always carried */
            continue;
        buf_puts(out, sep);
        put_resolved(out, t, i);
        sep = ", ";
    }
    buf_puts(out, " FROM ");
    sql_put_target(out, t);
    buf_puts(out, " AS t WHERE ");
    sql_put_column(out, "s", STAGE_MASK);
    buf_puts(out, " IS NOT NULL AND ");
    put_origin_match(out, t);
}

void sql_unresolvable(struct buf *out, const struct target *t, const char *stage)
{
    buf_puts(out, "UPDATE ");
    sql_put_stage(out, t, stage);
    buf_puts(out, " AS s SET ");
    buf_sql_ident(out, STAGE_OP);
    buf_puts(out, " = 0 WHERE ");
    sql_put_column(out, "s", STAGE_MASK);
    buf_puts(out, " IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ");
    sql_put_target(out, t);
    buf_puts(out, " AS t WHERE ");
    put_origin_match(out, t);
    buf_u8(out, ')');
}

/* --- delete --- */

void sql_truncate(struct buf *out, const struct target *t)
{
    buf_puts(out, "DELETE FROM ");
    sql_put_target(out, t);
}

/* t."k" = <staged k> of every key column. cast: s is the stage itself. */
static void put_key_match(struct buf *out, const struct target *t, bool cast)
{
    int k;

    for (k = 0; k < t->table->nkeys; k++) {
        int i = t->table->keys[k];

        if (k > 0)
            buf_puts(out, " AND ");
        sql_put_column(out, "t", t->cols[i].name);
        buf_puts(out, " = ");
        if (cast)
            sql_put_staged(out, t, i);
        else
            sql_put_column(out, "s", t->cols[i].name);
    }
}

void sql_delete(struct buf *out, const struct target *t, const char *stage)
{
    if (t->table->nkeys == 0) {
        sql_delete_keyless(out, t, stage);
        return;
    }
    buf_puts(out, "DELETE FROM ");
    sql_put_target(out, t);
    buf_puts(out, " AS t USING ");
    sql_put_stage(out, t, stage);
    buf_puts(out, " AS s WHERE ");
    if (t->dialect->merge) {
        sql_put_column(out, "s", STAGE_OP);
        buf_puts(out, " = 0 AND ");
    }
    put_key_match(out, t, true);
}

/* --- upsert --- */

/* ("a", "b", ...) of the target's columns, each with a prefix ("s."). */
static void put_column_list(struct buf *out, const struct target *t, const char *prefix)
{
    int i;

    buf_u8(out, '(');
    for (i = 0; i < t->ncols; i++) {
        if (i > 0)
            buf_puts(out, ", ");
        buf_puts(out, prefix);
        buf_sql_ident(out, t->cols[i].name);
    }
    buf_u8(out, ')');
}

/* SELECT the target's columns FROM stage AS s. */
static void put_select(struct buf *out, const struct target *t, const char *stage, bool upserts)
{
    int i;

    for (i = 0; i < t->ncols; i++) {
        buf_puts(out, i == 0 ? "SELECT " : ", ");
        sql_put_staged(out, t, i);
        if (t->cols[i].as_text) {
            buf_puts(out, " AS ");
            buf_sql_ident(out, t->cols[i].name);
        }
    }
    buf_puts(out, " FROM ");
    sql_put_stage(out, t, stage);
    buf_puts(out, " AS s");
    if (upserts) {
        buf_puts(out, " WHERE ");
        sql_put_column(out, "s", STAGE_OP);
        buf_puts(out, " = 1");
    }
}

static void put_insert(struct buf *out, const struct target *t, const char *stage,
                       const char *schema, const char *name, bool upserts)
{
    buf_puts(out, "INSERT INTO ");
    target_sql_name(out, schema, name);
    buf_u8(out, ' ');
    put_column_list(out, t, "");
    buf_u8(out, ' ');
    put_select(out, t, stage, upserts);
}

/*
 * Key columns are set too where equal values can differ: -0 matches 0, and the row has to hold the
 * one that the source holds.
 */
static bool is_updated(const struct target *t, int i)
{
    enum type_kind kind = t->cols[i].kind;

    return !is_key(t, i) || t->cols[i].as_text || kind == TYPE_FLOAT32 || kind == TYPE_FLOAT64;
}

static void put_merge(struct buf *out, const struct target *t, const char *stage)
{
    const char *sep = " WHEN MATCHED THEN UPDATE SET ";
    int i;

    buf_puts(out, "MERGE INTO ");
    sql_put_target(out, t);
    buf_puts(out, " AS t USING (");
    put_select(out, t, stage, true);
    buf_puts(out, ") AS s ON ");
    put_key_match(out, t, false);
    for (i = 0; i < t->ncols; i++) {
        if (!is_updated(t, i))
            continue;
        buf_puts(out, sep);
        buf_sql_ident(out, t->cols[i].name);
        buf_puts(out, " = ");
        sql_put_column(out, "s", t->cols[i].name);
        sep = ", ";
    }
    for (i = 0; i < t->nkept; i++) {
        buf_puts(out, ", ");
        buf_sql_ident(out, t->kept[i].name);
        buf_puts(out, " = NULL");
    }
    buf_puts(out, " WHEN NOT MATCHED THEN INSERT ");
    put_column_list(out, t, "");
    buf_puts(out, " VALUES ");
    put_column_list(out, t, "s.");
}

void sql_upsert(struct buf *out, const struct target *t, const char *stage)
{
    if (t->table->nkeys > 0 && t->dialect->merge)
        put_merge(out, t, stage);
    else
        put_insert(out, t, stage, t->schema, t->name, true);
}

void sql_insert_all(struct buf *out, const struct target *t, const char *stage,
                    const char *into_schema, const char *into_name)
{
    put_insert(out, t, stage, into_schema, into_name, false);
}
