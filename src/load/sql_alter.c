/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statements of an alteration: renames (kept columns first), types, added columns. Pure. No
 * statement touches a row by itself, so that all of them may stand before the row changes of one
 * transaction, also right behind the RENAME by which a table took its place.
 *
 * A rename whose name another column still has waits for that one's rename; where they wait for
 * each other in a circle, one of them takes a name of ours in between.
 *
 *   ALTER TABLE t ADD COLUMN "c" type DEFAULT 'literal'
 *   ALTER TABLE t ALTER COLUMN "c" DROP DEFAULT
 *
 * gives older rows their value in both engines without a rewrite; what is inserted later without
 * the column (it is then a kept one) holds NULL.
 */
#include "load/alter.h"

#include "load/target_internal.h"

#include <stdio.h>
#include <string.h>

#define BETWEEN "_penstock_rename_" /* and a number: no column has such a name */

struct statements {
    struct arena *a;
    const struct target *t;
    const char **list;
    int n;
    struct buf sql;
};

static void begin(struct statements *s)
{
    buf_reset(&s->sql);
    buf_puts(&s->sql, "ALTER TABLE ");
    target_sql_name(&s->sql, s->t->schema, s->t->name);
}

static void end(struct statements *s)
{
    s->list[s->n++] = arena_strndup(s->a, (const char *)s->sql.data, s->sql.len);
}

/* --- renames --- */

struct rename {
    const char *from, *to; /* from: what it is called now */
    bool pending;
};

static void put_rename(struct statements *s, struct rename *r, const char *to)
{
    begin(s);
    buf_puts(&s->sql, " RENAME COLUMN ");
    buf_sql_ident(&s->sql, r->from);
    buf_puts(&s->sql, " TO ");
    buf_sql_ident(&s->sql, to);
    end(s);
    r->from = to;
}

/* All columns that stay, kept ones first, in the order in which target_alter keeps them. */
static int list_renames(struct arena *a, const struct target *was, const struct target *now,
                        const struct alteration *al, struct rename **out)
{
    struct rename *list = arena_calloc(a, (size_t)(was->nkept + al->was->ncols) + 1, sizeof(*list));
    bool *lives = arena_calloc(a, (size_t)al->was->ncols + 1, sizeof(*lives));
    int n = 0, i;

    for (i = 0; i < al->now->ncols; i++) {
        if (al->from[i] >= 0)
            lives[al->from[i]] = true;
    }
    for (i = 0; i < was->nkept; i++, n++)
        list[n].from = was->kept[i].name;
    for (i = 0; i < al->was->ncols; i++) {
        if (!lives[i])
            list[n++].from = was->cols[i].name;
    }
    for (i = 0; i < n; i++)
        list[i].to = now->kept[i].name;
    for (i = 0; i < al->now->ncols; i++) {
        if (al->from[i] < 0)
            continue;
        list[n].from = was->cols[al->from[i]].name;
        list[n++].to = now->cols[i].name;
    }
    *out = list;
    return n;
}

static bool name_is_free(const struct statements *s, const struct rename *list, int n, int self)
{
    int i;

    for (i = 0; i < n; i++) {
        if (i != self && target_same_name(s->t->dialect, list[i].from, list[self].to))
            return false;
    }
    return true;
}

static void put_renames(struct statements *s, struct rename *list, int n)
{
    int left = 0, circles = 0, waits, i;
    bool moved;

    for (i = 0; i < n; i++) {
        list[i].pending = strcmp(list[i].from, list[i].to) != 0;
        left += list[i].pending;
    }
    while (left > 0) {
        moved = false;
        waits = -1;
        for (i = 0; i < n; i++) {
            if (!list[i].pending)
                continue;
            if (!name_is_free(s, list, n, i)) {
                waits = waits < 0 ? i : waits;
                continue;
            }
            put_rename(s, &list[i], list[i].to);
            list[i].pending = false;
            moved = true;
            left--;
        }
        if (!moved)
            put_rename(s, &list[waits], arena_printf(s->a, BETWEEN "%d", ++circles));
    }
}

/* --- types and added columns --- */

static void put_types(struct statements *s, const struct target *was, const struct alteration *al)
{
    int i;

    for (i = 0; i < al->now->ncols; i++) {
        const struct load_column *c = &s->t->cols[i];

        if (al->from[i] < 0 || strcmp(was->cols[al->from[i]].type, c->type) == 0)
            continue;
        begin(s);
        buf_puts(&s->sql, " ALTER COLUMN ");
        buf_sql_ident(&s->sql, c->name);
        buf_printf(&s->sql, " SET DATA TYPE %s", c->type);
        if (s->t->dialect->retype != NULL)
            s->t->dialect->retype(&s->sql, &was->cols[al->from[i]], c);
        end(s);
    }
}

/*
 * " type DEFAULT literal". What the type cannot hold must not get in changed: what it is, which no
 * number's text is, as the default of a number fails in both engines, also over no rows.
 */
static void put_filled(struct statements *s, const struct load_column *c, const struct value *fill)
{
    struct buf literal = {0};
    const char *misfit = s->t->dialect->literal(&literal, c, fill);

    if (misfit == NULL) {
        buf_printf(&s->sql, " %s DEFAULT ", c->type);
        buf_append(&s->sql, literal.data, literal.len);
    } else {
        buf_printf(&s->sql, " %s DEFAULT ", s->t->dialect->smallint);
        buf_sql_string(&s->sql, misfit);
    }
    buf_free(&literal);
}

static void put_added(struct statements *s, const struct alteration *al)
{
    int i;

    for (i = 0; i < al->now->ncols; i++) {
        const struct load_column *c = &s->t->cols[i];
        bool filled = al->from[i] < 0 && al->fill[i].state == VALUE_SET;

        if (al->from[i] >= 0)
            continue;
        begin(s);
        buf_puts(&s->sql, " ADD COLUMN ");
        buf_sql_ident(&s->sql, c->name);
        if (filled)
            put_filled(s, c, &al->fill[i]);
        else
            buf_printf(&s->sql, " %s", c->type);
        end(s);
        if (!filled)
            continue;
        begin(s);
        buf_puts(&s->sql, " ALTER COLUMN ");
        buf_sql_ident(&s->sql, c->name);
        buf_puts(&s->sql, " DROP DEFAULT");
        end(s);
    }
}

void sql_alter(struct arena *a, const struct target *was, const struct target *now,
               const struct alteration *al, const char ***statements, int *n)
{
    struct statements s = {.a = a, .t = now};
    struct rename *renames;
    int nrenames = list_renames(a, was, now, al, &renames);

    /* A rename takes two at most, a column that stays one for its type, an added one two. */
    s.list =
        arena_calloc(a, 2 * (size_t)nrenames + 2 * (size_t)al->now->ncols + 1, sizeof(*s.list));
    put_renames(&s, renames, nrenames);
    put_types(&s, was, al);
    put_added(&s, al);
    buf_free(&s.sql);
    *statements = s.list;
    *n = s.n;
}

int alter_misfit(const struct target *now, const struct alteration *al, int from, const char **why)
{
    struct buf out = {0};
    int i;

    *why = NULL;
    for (i = from; i < al->now->ncols && *why == NULL; i++) {
        if (al->from[i] >= 0 || al->fill[i].state != VALUE_SET)
            continue;
        buf_reset(&out);
        *why = now->dialect->literal(&out, &now->cols[i], &al->fill[i]);
    }
    buf_free(&out);
    return *why != NULL ? i - 1 : -1;
}
