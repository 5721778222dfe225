/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a later version takes over: everything of a column whose type did not change, so that its
 * schema stays the same text. R says nothing of NOT NULL, and the catalogue only what it is now:
 * a column that was known keeps what it was (a NULL that comes anyway loosens it, relation.h), an
 * added one is NOT NULL if it is now and had a value from the start.
 *
 * An added column holds, in rows that are older, attmissingval, or NULL where there is none and
 * the rows were not rewritten since it was added.
 */
#include "source_postgres/version.h"

#include "avro/schema.h"
#include "source_postgres/pg_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct following {
    const struct version_case *c;
    struct alter_case map;
    int *attnums; /* of each announced column */
    int *from;    /* its index in was, or -1 */
    struct arena *arena;
    struct table *now;
    struct value *fill;
    char *why;
    size_t size;
};

static bool is_identity(const struct pgoutput_relation *r, int i)
{
    return (r->columns[i].flags & PGOUTPUT_COLUMN_IDENTITY) != 0;
}

/* Every column of the index is announced as part of the identity. */
static bool covered(const struct pgoutput_relation *r, const int *attnums,
                    const struct index_columns *ix)
{
    int i, k;

    for (k = 0; k < ix->n; k++) {
        for (i = 0; i < r->ncols && attnums[i] != ix->attnums[k]; i++)
            ;
        if (i == r->ncols || !is_identity(r, i))
            return false;
    }
    return ix->n > 0;
}

/* As the catalogue would choose it now (catalog_columns.c), over the announced columns. */
static bool same_key(const struct table *was, const struct pgoutput_relation *r, const int *attnums,
                     const struct trace *t)
{
    const struct index_columns *ix = covered(r, attnums, &t->primary)    ? &t->primary
                                     : r->replica_identity != 'i'        ? NULL
                                     : covered(r, attnums, &t->identity) ? &t->identity
                                                                         : NULL;
    int i;

    if ((ix != NULL ? ix->n : 0) != was->nkeys)
        return false;
    for (i = 0; i < was->nkeys; i++) {
        if (was->cols[was->keys[i]].attnum != ix->attnums[i])
            return false;
    }
    return true;
}

static bool same_column(const struct column *col, const struct pgoutput_relation *r, int i)
{
    const struct pgoutput_column *c = &r->columns[i];

    return strcmp(col->name, c->name) == 0 && col->type_oid == c->type_oid &&
           col->typmod == c->typmod && col->identity == is_identity(r, i);
}

/* Nothing that an R message says is different. */
static bool same_message(const struct table *was, const struct pgoutput_relation *r)
{
    int i;

    if (r->ncols != was->ncols || r->replica_identity != was->replica_identity)
        return false;
    for (i = 0; i < r->ncols; i++) {
        if (!same_column(&was->cols[i], r, i))
            return false;
    }
    return true;
}

/* Each known column is live and in the log; in attnum order, as R lists them. */
static bool all_carried(const struct table *was, const struct footprint *f)
{
    int i, last = 0;

    for (i = 0; i < was->ncols; i++) {
        int attnum = was->cols[i].attnum;

        if (attnum <= last || attnum > f->n || f->state[attnum - 1] != ATTRIBUTE_CARRIED)
            return false;
        last = attnum;
    }
    return true;
}

static int *known_attnums(const struct table *was, struct arena *a)
{
    int *attnums = arena_calloc(a, (size_t)was->ncols + 1, sizeof(*attnums));
    int i;

    for (i = 0; i < was->ncols; i++)
        attnums[i] = was->cols[i].attnum;
    return attnums;
}

bool version_unchanged(const struct table *was, const struct pgoutput_relation *r,
                       const struct trace *t)
{
    struct arena *a;
    bool same;

    if (!same_message(was, r) || !all_carried(was, &t->columns))
        return false;
    a = arena_new("attnums");
    same = same_key(was, r, known_attnums(was, a), t);
    arena_free(a);
    return same;
}

/* ------------------------------------------------------------------------- the next version */

static bool PRINTF_LIKE(2, 3) no(struct following *f, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(f->why, f->size, fmt, ap);
    va_end(ap);
    return false;
}

/* The columns that R lists, as the catalogue proves them. */
static bool find_attnums(struct following *f)
{
    const struct version_case *c = f->c;
    int unclear = 0, i;

    switch (alter_map(&f->map, f->attnums, &unclear)) {
    case ALTER_NONE:
        return no(f, "its columns do not follow from those that are known");
    case ALTER_MANY:
        return no(f,
                  "column \"%s\" cannot be told apart from another: one was dropped and another "
                  "added since",
                  c->r->columns[unclear].name);
    case ALTER_ONE:
        break;
    }
    for (i = 0; i < c->r->ncols; i++)
        f->from[i] = alter_known(c->was, f->attnums[i]);
    return true;
}

static bool is_same(const struct following *f)
{
    const struct version_case *c = f->c;
    int i;

    for (i = 0; i < c->r->ncols; i++) {
        if (f->from[i] != i)
            return false;
    }
    return same_message(c->was, c->r);
}

static bool take_facts(struct following *f, int i)
{
    const struct announced_type *t = &f->c->shape->types[i];

    return (t->found && pg_column_type(f->arena, &t->facts, &f->now->cols[i])) ||
           no(f, "the type of column \"%s\" is not there any more", f->c->r->columns[i].name);
}

static void copy_column(struct arena *a, const struct column *was, struct column *out)
{
    *out = *was;
    out->source_type = arena_strdup(a, was->source_type);
    out->semantic = arena_strdup(a, was->semantic);
    out->allowed = arena_strdup(a, was->allowed);
    out->def = arena_strdup(a, was->def);
}

/* A column that was known, perhaps with another name or type. */
static bool keep_column(struct following *f, int i)
{
    const struct pgoutput_column *rc = &f->c->r->columns[i];
    const struct column *was = &f->c->was->cols[f->from[i]];
    struct column *col = &f->now->cols[i];

    copy_column(f->arena, was, col);
    if (was->type_oid == rc->type_oid && was->typmod == rc->typmod)
        return true;
    if (!alter_keeps_values(was->type_oid, was->typmod, rc->type_oid, rc->typmod))
        return no(f, "column \"%s\" has another type", rc->name);
    if (!take_facts(f, i))
        return false;
    if (was->key_pos > 0 && (col->kind != was->kind || col->scale != was->scale))
        return no(f, "column \"%s\" of the key has another type", rc->name);
    if (col->kind != was->kind)
        col->def = NULL;
    return true;
}

/* What rows that are older than the column hold in it. */
static bool find_fill(struct following *f, int i)
{
    const struct pgoutput_column *rc = &f->c->r->columns[i];
    const struct attribute *at = &f->c->shape->attributes.list[f->attnums[i] - 1];
    const char *text;
    struct error ignored = {0};

    if (at->state == ATTRIBUTE_DROPPED)
        return no(f, "column \"%s\" was added and dropped again", rc->name);
    if (at->missing == MISSING_NONE)
        return alter_added(&f->map, f->attnums[i]) ||
               no(f, "whether column \"%s\" is new cannot be told", rc->name);
    text = at->missing == MISSING_VALUE ? alter_only_element(f->arena, at->missing_text) : NULL;
    if (text == NULL || !alter_keeps_values(rc->type_oid, rc->typmod, at->type_oid, at->typmod) ||
        !pg_value_parse(&f->now->cols[i], text, strlen(text), f->arena, &f->fill[i], &ignored))
        return no(f, "what older rows hold in the added column \"%s\" cannot be told", rc->name);
    return true;
}

static bool add_column(struct following *f, int i)
{
    const struct attribute *at = &f->c->shape->attributes.list[f->attnums[i] - 1];
    struct column *col = &f->now->cols[i];

    col->attnum = f->attnums[i];
    if (!take_facts(f, i) || !find_fill(f, i))
        return false;
    col->nullable = !at->not_null || f->fill[i].state != VALUE_SET;
    if (!col->nullable)
        col->def = avro_default(f->arena, col, &f->fill[i]);
    return true;
}

static bool make_column(struct following *f, int i)
{
    const struct pgoutput_column *rc = &f->c->r->columns[i];
    struct column *col = &f->now->cols[i];

    if (f->from[i] >= 0 ? !keep_column(f, i) : !add_column(f, i))
        return false;
    col->name = arena_strdup(f->arena, rc->name);
    col->type_oid = rc->type_oid;
    col->typmod = rc->typmod;
    col->identity = is_identity(f->c->r, i);
    return true;
}

/* A copy of the table without its columns. */
static struct table *copy_head(struct arena *a, const struct table *was, int ncols)
{
    struct table *t = arena_memdup(a, was, sizeof(*was));

    t->schema = arena_strdup(a, was->schema);
    t->name = arena_strdup(a, was->name);
    t->row_filter = arena_strdup(a, was->row_filter);
    t->leaves = arena_strdup(a, was->leaves);
    t->membership = arena_strdup(a, was->membership);
    t->ncols = ncols;
    t->cols = arena_calloc(a, (size_t)ncols + 1, sizeof(*t->cols));
    return t;
}

/* Names in the schema, and the key; the topic stays, also where it was made unique. */
static void finish(struct arena *a, const struct table *was, struct table *now)
{
    table_index_keys(a, now);
    table_name_fields(a, now, "");
    now->topic = arena_strdup(a, was->topic);
}

static bool make_next(struct following *f, struct alteration *al)
{
    const struct version_case *c = f->c;
    int i;

    f->now = copy_head(f->arena, c->was, c->r->ncols);
    f->fill = arena_calloc(f->arena, (size_t)c->r->ncols + 1, sizeof(*f->fill));
    for (i = 0; i < c->r->ncols; i++) {
        if (!make_column(f, i))
            return false;
    }
    finish(f->arena, c->was, f->now);
    f->now->replica_identity = c->r->replica_identity;
    if (c->was->relfilenode != 0 && c->shape->file != 0)
        f->now->relfilenode = c->shape->file;
    f->now->natts = alter_natts(&f->map, f->attnums);
    *al = (struct alteration){.was = c->was, .now = f->now, .from = f->from, .fill = f->fill};
    return true;
}

static bool keeps_key(struct following *f)
{
    return same_key(f->c->was, f->c->r, f->attnums, &f->c->shape->trace) ||
           no(f, "its key was changed");
}

enum version_step version_follow(const struct version_case *c, struct arena *a,
                                 struct alteration *al, char *why, size_t size)
{
    struct following f = {.c = c, .arena = a, .why = why, .size = size};

    f.map = (struct alter_case){.was = c->was,
                                .natts = c->natts,
                                .r = c->r,
                                .storage = c->shape->storage,
                                .floor = c->floor,
                                .now = &c->shape->attributes};
    f.attnums = arena_calloc(a, (size_t)c->r->ncols + 1, sizeof(*f.attnums));
    f.from = arena_calloc(a, (size_t)c->r->ncols + 1, sizeof(*f.from));
    if (!c->shape->exists) {
        no(&f, "it was dropped");
        return VERSION_LOAD;
    }
    if (c->shape->rewritten != NULL) {
        no(&f, "%s", c->shape->rewritten);
        return VERSION_LOAD;
    }
    if (version_unchanged(c->was, c->r, &c->shape->trace))
        return VERSION_SAME;
    if (c->shape->doubt != NULL) {
        no(&f, "%s", c->shape->doubt);
        return VERSION_LOAD;
    }
    if (!find_attnums(&f) || !keeps_key(&f))
        return VERSION_LOAD;
    if (is_same(&f))
        return VERSION_SAME;
    return make_next(&f, al) ? VERSION_NEXT : VERSION_LOAD;
}

void version_loosen(const struct table *was, const bool *loosen, struct arena *a,
                    struct alteration *al)
{
    struct table *now = copy_head(a, was, was->ncols);
    int *from = arena_calloc(a, (size_t)was->ncols + 1, sizeof(*from));
    int i;

    for (i = 0; i < was->ncols; i++) {
        copy_column(a, &was->cols[i], &now->cols[i]);
        now->cols[i].name = arena_strdup(a, was->cols[i].name);
        from[i] = i;
        if (!loosen[i])
            continue;
        now->cols[i].nullable = true;
        now->cols[i].def = NULL;
    }
    finish(a, was, now);
    *al = (struct alteration){.was = was,
                              .now = now,
                              .from = from,
                              .fill = arena_calloc(a, (size_t)was->ncols + 1, sizeof(*al->fill))};
}
