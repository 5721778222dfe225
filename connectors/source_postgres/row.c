/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four states of a value. In a new row 'u' is an out-of-line value that the log did not carry:
 * taken from the old row where that has it (replica identity full, or a key that is itself out of
 * line), else VALUE_UNCHANGED. In a key-only old row 'n' of a column outside the identity means
 * that it is absent, not NULL. An unchanged value is never NULL: an old row that says so was
 * written by a partition with another replica identity than its root's, and is not believed.
 */
#include "source_postgres/row.h"

#include "source_postgres/pg_value.h"
#include "util/causes.h"

static bool blame(struct relation *rel, struct error *err)
{
    if (err == NULL)
        return false;
    err->table = rel->oid;
    return error_prefix(err, "table %s.%s", rel->r.schema, rel->r.name);
}

static bool count_matches(const struct relation *rel, const struct pgoutput_tuple *t,
                          struct error *err)
{
    if (t->ncols == rel->r.ncols)
        return true;
    return error_set(err, ERROR_RETRY, "table %s.%s: a row of %d columns where %d were announced",
                     rel->r.schema, rel->r.name, t->ncols, rel->r.ncols);
}

static bool parse_cell(const struct column *col, const struct pg_cell *cell, struct arena *scratch,
                       struct value *out, struct error *err)
{
    if (cell->kind == PG_CELL_TEXT)
        return pg_value_parse(col, cell->p, cell->len, scratch, out, err);
    return error_set(err, ERROR_FATAL, "column %s: a binary value, which was not asked for",
                     col->name);
}

static bool missing_key(struct relation *rel, const struct column *col, struct error *err)
{
    error_cause(err, CAUSE_KEY_NOT_LOGGED, "column %s: the log does not carry this part of the key",
                col->name);
    return blame(rel, err);
}

/* The column has become nullable, which no message says. */
static void note_null(struct relation *rel, int k)
{
    if (rel->table->cols[k].nullable)
        return;
    rel->loosen[k] = true;
    rel->loose = true;
}

static bool fill_old(struct relation *rel, const struct pgoutput_tuple *t, bool full,
                     struct arena *scratch, struct error *err)
{
    int i;

    if (!count_matches(rel, t, err))
        return false;
    for (i = 0; i < t->ncols; i++) {
        const struct column *col = &rel->table->cols[i];
        struct value *v = &rel->before[i];
        const struct pg_cell *cell = &t->cells[i];

        if (cell->kind == PG_CELL_NULL)
            v->state = full || col->identity ? VALUE_NULL : VALUE_ABSENT;
        else if (cell->kind == PG_CELL_UNCHANGED)
            v->state = VALUE_ABSENT;
        else if (!parse_cell(col, cell, scratch, v, err))
            return blame(rel, err);
        if (col->key_pos > 0 && v->state != VALUE_SET)
            return missing_key(rel, col, err);
        if (v->state == VALUE_NULL)
            note_null(rel, i);
    }
    return true;
}

static bool fill_new(struct relation *rel, const struct pgoutput_tuple *t, bool has_old,
                     struct arena *scratch, struct error *err)
{
    int i;

    if (!count_matches(rel, t, err))
        return false;
    for (i = 0; i < t->ncols; i++) {
        const struct column *col = &rel->table->cols[i];
        struct value *v = &rel->after[i];
        const struct pg_cell *cell = &t->cells[i];

        if (cell->kind == PG_CELL_NULL)
            v->state = VALUE_NULL;
        else if (cell->kind == PG_CELL_UNCHANGED && has_old && rel->before[i].state == VALUE_SET)
            *v = rel->before[i];
        else if (cell->kind == PG_CELL_UNCHANGED)
            v->state = VALUE_UNCHANGED;
        else if (!parse_cell(col, cell, scratch, v, err))
            return blame(rel, err);
        if (col->key_pos > 0 && v->state != VALUE_SET)
            return missing_key(rel, col, err);
        if (v->state == VALUE_NULL)
            note_null(rel, i);
    }
    return true;
}

bool row_change(struct relation *rel, const struct pgoutput_decoder *d,
                const struct pgoutput_message *m, struct arena *scratch, struct change *c,
                struct error *err)
{
    bool has_old = m->row.old_kind != 0;
    bool full = m->row.old_kind == 'O';

    if (has_old && !fill_old(rel, &d->old, full, scratch, err))
        return false;
    if (m->row.has_new && !fill_new(rel, &d->after, has_old, scratch, err))
        return false;
    c->op = m->tag == PGOUTPUT_INSERT   ? CHANGE_INSERT
            : m->tag == PGOUTPUT_UPDATE ? CHANGE_UPDATE
                                        : CHANGE_DELETE;
    c->table = rel->table;
    c->before = has_old ? rel->before : NULL;
    c->after = m->row.has_new ? rel->after : NULL;
    c->before_full = full;
    return true;
}
