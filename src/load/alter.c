/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which columns a target has after an alteration, and under which names. Pure.
 *
 * A column whose true name is the same keeps its name in the warehouse, also one with a suffix
 * whose reason is gone: its place is settled. The others (renamed, added) then get theirs by the
 * rule of target_new, and give way to the settled ones. A kept column gives its very name to a
 * column that wants it; to one that differs in case only it does not.
 */
#include "load/alter.h"

#include "load/target_internal.h"

#include <assert.h>
#include <string.h>

/* --- what can be followed --- */

/* "timestamp(3) without time zone" -> "timestamp without time zone"; out holds size bytes. */
static void without_modifiers(const char *type, char *out, size_t size)
{
    size_t n = 0;
    bool inside = false;

    for (; *type != '\0' && n + 1 < size; type++) {
        inside = inside || *type == '(';
        if (!inside)
            out[n++] = *type;
        inside = inside && *type != ')';
    }
    out[n] = '\0';
}

/* Types whose values are their text, whichever of them it is; name loses it, keeping "[]". */
static bool take_string_type(char *name)
{
    static const char *const types[] = {"character varying", "text", "bpchar", "citext"};
    const char *dot = strrchr(name, '.');
    char *start = name + (dot != NULL ? dot + 1 - name : 0);
    size_t i;

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        size_t n = strlen(types[i]);

        if (strncmp(start, types[i], n) == 0 && (start[n] == '\0' || start[n] == '[')) {
            memmove(name, start + n, strlen(start + n) + 1);
            return true;
        }
    }
    return false;
}

/* Is the text of every value the same in both types? */
static bool same_text_type(const char *was, const char *now)
{
    char a[256], b[256];
    bool strings;

    if (was == NULL || now == NULL)
        return was == now;
    without_modifiers(was, a, sizeof(a));
    without_modifiers(now, b, sizeof(b));
    if (strcmp(a, b) == 0)
        return true;
    strings = take_string_type(a);
    return strings && take_string_type(b) && strcmp(a, b) == 0;
}

static bool follows(const struct column *was, const struct column *now)
{
    if (was->kind == TYPE_DECIMAL && now->kind == TYPE_NUMERIC)
        return true;
    if (was->kind != now->kind)
        return false;
    switch (was->kind) {
    case TYPE_DECIMAL:
        return was->scale == now->scale && was->precision <= now->precision;
    case TYPE_BITS:
        return was->precision == now->precision;
    case TYPE_TEXT:
        return same_text_type(was->source_type, now->source_type);
    default:
        return true;
    }
}

static bool refuse(const struct alteration *al, const char *what, const char *column,
                   struct error *err)
{
    error_set(err, ERROR_DATA, "%s.%s: %s column %s", al->now->schema, al->now->name, what, column);
    if (err != NULL)
        err->reload = true;
    return false;
}

/* Keys stay as they are in bytes: the same columns, which may have other names. */
static bool same_keys(const struct alteration *al, struct error *err)
{
    int k;

    if (al->was->nkeys != al->now->nkeys) {
        error_set(err, ERROR_DATA, "%s.%s: the key has another number of columns", al->now->schema,
                  al->now->name);
        if (err != NULL)
            err->reload = true;
        return false;
    }
    for (k = 0; k < al->now->nkeys; k++) {
        int i = al->now->keys[k];
        const struct column *now = &al->now->cols[i];

        if (al->from[i] != al->was->keys[k])
            return refuse(al, "the key is over other columns:", now->name, err);
        if (al->was->cols[al->from[i]].kind != now->kind)
            return refuse(al, "another type of the key's", now->name, err);
    }
    return true;
}

bool alteration_check(const struct alteration *al, struct error *err)
{
    int i;

    for (i = 0; i < al->now->ncols; i++) {
        int from = al->from[i];

        assert(from >= -1 && from < al->was->ncols);
        if (from >= 0 && !follows(&al->was->cols[from], &al->now->cols[i]))
            return refuse(al, "its rows have to be read again for the new type of",
                          al->now->cols[i].name, err);
    }
    return same_keys(al, err);
}

/* --- names --- */

struct naming {
    struct arena *a;
    const struct dialect *d;
    const struct table *now;
    const char **names; /* now->ncols; NULL: not settled yet */
    struct kept_column *kept;
    int nkept;
};

/* Does the wanted name of column i meet another's, so that it has to give way? */
static bool gives_way(const struct naming *n, int i)
{
    const char *name = n->now->cols[i].name;
    int j;

    if (!n->d->case_folds)
        return false;
    for (j = 0; j < n->now->ncols; j++) {
        if (j == i)
            continue;
        if (n->names[j] != NULL
                ? target_same_name(n->d, name, n->names[j])
                : target_has_upper(name) && target_same_name(n->d, name, n->now->cols[j].name))
            return true;
    }
    for (j = 0; j < n->nkept; j++) {
        if (target_same_name(n->d, name, n->kept[j].name) && strcmp(name, n->kept[j].name) != 0)
            return true;
    }
    return false;
}

/* Names of what is not settled; which of them give way does not depend on their order. */
static void name_new_columns(struct naming *n)
{
    int ncols = n->now->ncols;
    const char **chosen = arena_calloc(n->a, (size_t)ncols + 1, sizeof(*chosen));
    int i;

    for (i = 0; i < ncols; i++) {
        const char *name = n->now->cols[i].name;

        if (n->names[i] == NULL)
            chosen[i] = gives_way(n, i) ? target_suffixed(n->a, name) : name;
    }
    for (i = 0; i < ncols; i++) {
        if (chosen[i] != NULL)
            n->names[i] = chosen[i];
    }
}

static bool is_live(const struct naming *n, const char *name)
{
    int i;

    for (i = 0; i < n->now->ncols; i++) {
        if (target_same_name(n->d, n->names[i], name))
            return true;
    }
    return false;
}

static bool is_kept(const struct naming *n, int self, const char *name)
{
    int i;

    for (i = 0; i < n->nkept; i++) {
        if (i != self && target_same_name(n->d, n->kept[i].name, name))
            return true;
    }
    return false;
}

/* name and suffix, of the name as much as may stand before it: whole UTF-8 sequences. */
static const char *fitting(const struct naming *n, const char *name, const char *suffix)
{
    size_t len = strlen(name), room = n->d->max_identifier - strlen(suffix);

    if (len > room) {
        len = room;
        while (len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80)
            len--;
    }
    return arena_printf(n->a, "%.*s%s", (int)len, name, suffix);
}

/* Kept columns whose names are wanted make room. */
static void move_kept(struct naming *n)
{
    int i, again;

    for (i = 0; i < n->nkept; i++) {
        const char *old = n->kept[i].name;
        const char *suffix = arena_printf(n->a, "__dropped_%d", n->kept[i].number);
        const char *name;

        if (!is_live(n, old))
            continue;
        name = fitting(n, old, suffix);
        for (again = 2; is_live(n, name) || is_kept(n, i, name); again++)
            name = fitting(n, old, arena_printf(n->a, "%s_%d", suffix, again));
        n->kept[i].name = name;
    }
}

/* Those that were kept, in their order, then those that are dropped now, in theirs. */
static void collect_kept(struct naming *n, const struct target *was, const struct alteration *al)
{
    bool *lives = arena_calloc(n->a, (size_t)al->was->ncols + 1, sizeof(*lives));
    int i;

    for (i = 0; i < al->now->ncols; i++) {
        if (al->from[i] >= 0)
            lives[al->from[i]] = true;
    }
    n->kept = arena_calloc(n->a, (size_t)(was->nkept + al->was->ncols) + 1, sizeof(*n->kept));
    for (; n->nkept < was->nkept; n->nkept++)
        n->kept[n->nkept] = was->kept[n->nkept];
    for (i = 0; i < al->was->ncols; i++) {
        if (lives[i])
            continue;
        n->kept[n->nkept].name = was->cols[i].name;
        n->kept[n->nkept++].number = al->was->cols[i].attnum;
    }
}

bool target_alter(struct arena *a, const struct target *was, const struct table *now,
                  const struct alteration *al, struct target **out, struct error *err)
{
    struct naming n = {.a = a, .d = was->dialect, .now = now};
    int i;

    assert(al->was->ncols == was->table->ncols && al->now->ncols == now->ncols);
    if (!alteration_check(al, err))
        return false;
    n.names = arena_calloc(a, (size_t)now->ncols + 1, sizeof(*n.names));
    for (i = 0; i < now->ncols; i++) {
        int from = al->from[i];

        if (from >= 0 && strcmp(was->table->cols[from].name, now->cols[i].name) == 0)
            n.names[i] = was->cols[from].name;
    }
    collect_kept(&n, was, al);
    name_new_columns(&n);
    move_kept(&n);
    return target_known(a, now, was->dialect, was->schema, was->name, n.names, n.kept, n.nkept, out,
                        err);
}
