/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source table + dialect -> target. Pure. What a warehouse cannot hold is refused here, before
 * anything is created: names that are reserved or too long, too many columns. Names are compared
 * as the dialect compares them; folding is of ASCII letters only, which is all DuckDB folds.
 */
#include "load/target_internal.h"

#include "util/causes.h"

#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define RESERVED_PREFIX "_penstock_"

bool target_same_name(const struct dialect *d, const char *a, const char *b)
{
    return d->case_folds ? strcasecmp(a, b) == 0 : strcmp(a, b) == 0;
}

bool target_has_upper(const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s >= 'A' && *s <= 'Z')
            return true;
    }
    return false;
}

const char *target_suffixed(struct arena *a, const char *name)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)name, strlen(name), hash);
    return arena_printf(a, "%s_%02x%02x%02x%02x", name, hash[0], hash[1], hash[2], hash[3]);
}

/*
 * Of names that the dialect holds for one, the one that is all lower case (there is at most one:
 * true names are unique) keeps its name, so that which column gets a suffix does not depend on
 * their order.
 */
static const char *column_name(struct arena *a, const struct table *t, const struct dialect *d,
                               int i)
{
    const char *name = t->cols[i].name;
    int j;

    if (!d->case_folds || !target_has_upper(name))
        return name;
    for (j = 0; j < t->ncols; j++) {
        if (j != i && target_same_name(d, name, t->cols[j].name))
            return target_suffixed(a, name);
    }
    return name;
}

static bool refuse(struct error *err, const struct target *t, const char *what, const char *name)
{
    return error_cause(err, CAUSE_NAME_REFUSED, "%s.%s: %s %s", t->table->schema, t->table->name,
                       what, name);
}

static bool check_column(const struct target *t, int i, struct error *err)
{
    const struct dialect *d = t->dialect;
    const char *name = t->cols[i].name;
    char what[160];
    int j;

    if (strncasecmp(t->table->cols[i].name, RESERVED_PREFIX, strlen(RESERVED_PREFIX)) == 0)
        return refuse(err, t, "names that begin with " RESERVED_PREFIX " are reserved: column",
                      t->table->cols[i].name);
    if (t->table->nkeys == 0 && target_same_name(d, name, d->row_id)) {
        snprintf(what, sizeof(what),
                 "a table without a key cannot have a column of that name, by which %s tells equal "
                 "rows apart: column",
                 d->name);
        return refuse(err, t, what, name);
    }
    if (strlen(name) > d->max_identifier) {
        snprintf(what, sizeof(what), "the name is longer than the %zu bytes that %s allows: column",
                 d->max_identifier, d->name);
        return refuse(err, t, what, name);
    }
    for (j = 0; j < i; j++) {
        if (target_same_name(d, name, t->cols[j].name))
            return refuse(err, t, "two columns would have the same name in the warehouse: column",
                          name);
    }
    for (j = 0; j < t->nkept; j++) {
        if (target_same_name(d, name, t->kept[j].name))
            return refuse(err, t, "a dropped column of that name is kept in the warehouse: column",
                          name);
    }
    return true;
}

static bool check_table(const struct target *t, struct error *err)
{
    const struct dialect *d = t->dialect;
    int most = d->max_columns - (t->ncols - t->table->ncols) - t->nkept;
    char what[160];
    int i;

    if (t->table->ncols > most) {
        snprintf(what, sizeof(what), "%d columns; %s can take %d beside our own: table",
                 t->table->ncols, d->name, most);
        return refuse(err, t, what, t->table->name);
    }
    if (strlen(t->name) > d->max_identifier || strlen(t->schema) > d->max_identifier) {
        snprintf(what, sizeof(what), "the name is longer than the %zu bytes that %s allows: target",
                 d->max_identifier, d->name);
        return refuse(err, t, what, strlen(t->name) > d->max_identifier ? t->name : t->schema);
    }
    for (i = 0; d->reserved_schemas != NULL && d->reserved_schemas[i] != NULL; i++) {
        if (!target_same_name(d, t->schema, d->reserved_schemas[i]))
            continue;
        snprintf(what, sizeof(what), "%s keeps this name for itself: schema", d->name);
        return refuse(err, t, what, t->schema);
    }
    if (strncasecmp(t->table->name, RESERVED_PREFIX, strlen(RESERVED_PREFIX)) == 0)
        return refuse(err, t, "names that begin with " RESERVED_PREFIX " are reserved: table",
                      t->table->name);
    for (i = 0; i < t->table->ncols; i++) {
        if (!check_column(t, i, err))
            return false;
    }
    return true;
}

static void own_column(struct load_column *c, const char *name, const char *type,
                       enum type_kind kind)
{
    c->name = name;
    c->type = type;
    c->kind = kind;
}

/* The columns of the source; names: those in the warehouse, or NULL for the rule's. */
static void source_columns(struct arena *a, struct target *to, const char *const *names)
{
    const struct table *t = to->table;
    int i;

    for (i = 0; i < t->ncols; i++) {
        struct load_column *c = &to->cols[i];

        c->kind = t->cols[i].kind;
        c->precision = t->cols[i].precision;
        c->scale = t->cols[i].scale;
        to->dialect->column(a, &t->cols[i], c, &to->notes[i]);
        c->name = names != NULL ? arena_strdup(a, names[i]) : column_name(a, t, to->dialect, i);
        c->not_null = to->dialect->primary_key && t->cols[i].key_pos > 0;
    }
}

static const struct kept_column *copy_kept(struct arena *a, const struct kept_column *kept, int n)
{
    struct kept_column *copy = arena_calloc(a, (size_t)n + 1, sizeof(*copy));
    int i;

    for (i = 0; i < n; i++) {
        copy[i].name = arena_strdup(a, kept[i].name);
        copy[i].number = kept[i].number;
    }
    return copy;
}

bool target_known(struct arena *a, const struct table *t, const struct dialect *d,
                  const char *schema, const char *name, const char *const *names,
                  const struct kept_column *kept, int nkept, struct target **out, struct error *err)
{
    struct target *to = arena_calloc(a, 1, sizeof(*to));
    int n = t->ncols;

    to->table = t;
    to->dialect = d;
    to->schema = arena_strdup(a, schema);
    to->name = arena_strdup(a, name);
    to->ncols = n + 2;
    to->cols = arena_calloc(a, (size_t)to->ncols, sizeof(*to->cols));
    to->notes = arena_calloc(a, (size_t)n + 1, sizeof(*to->notes));
    to->nkept = nkept;
    to->kept = copy_kept(a, kept, nkept);
    source_columns(a, to, names);
    own_column(&to->cols[n], TARGET_CSN, d->bigint, TYPE_INT64);
    own_column(&to->cols[n + 1], TARGET_COMMITTED_AT, d->timestamptz, TYPE_TIMESTAMPTZ);
    if (!check_table(to, err))
        return false;
    *out = to;
    return true;
}

bool target_new(struct arena *a, const struct table *t, const struct dialect *d, const char *schema,
                const char *name, struct target **out, struct error *err)
{
    return target_known(a, t, d, schema, name, NULL, NULL, 0, out, err);
}

void target_sql_name(struct buf *out, const char *schema, const char *name)
{
    buf_sql_ident(out, schema);
    buf_u8(out, '.');
    buf_sql_ident(out, name);
}

void target_sql_create(struct buf *out, const struct target *t, const char *schema,
                       const char *name)
{
    int i;

    buf_puts(out, "CREATE TABLE ");
    target_sql_name(out, schema, name);
    for (i = 0; i < t->ncols; i++) {
        buf_puts(out, i == 0 ? " (" : ", ");
        buf_sql_ident(out, t->cols[i].name);
        buf_u8(out, ' ');
        buf_puts(out, t->cols[i].type);
        if (t->cols[i].not_null)
            buf_puts(out, " NOT NULL");
    }
    buf_u8(out, ')');
}
