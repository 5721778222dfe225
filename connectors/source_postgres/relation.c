/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An R message carries no attnum and no position that could be trusted across a dropped column:
 * its columns are matched to the known table's by name, and everything else about them (type oid,
 * typmod, identity flag), their count, the table's name and its replica identity must be as it was
 * loaded. Anything else is a table that the engine does not know, which it loads again.
 *
 * Under publish_via_partition_root partitions are announced too, but rows carry the root's oid.
 */
#include "source_postgres/relation.h"

#include "util/mem.h"

#include <stdio.h>
#include <string.h>

static struct relation *add(struct relations *rs, uint32_t oid)
{
    struct relation *rel = mem_calloc(1, sizeof(*rel));

    rel->oid = oid;
    map_put_u32(rs->by_oid, oid, rel);
    return rel;
}

struct relations *relations_new(struct source *s, const struct stream_table *tables, int n)
{
    struct relations *rs = mem_calloc(1, sizeof(*rs));
    int i;

    rs->source = s;
    rs->by_oid = map_new();
    for (i = 0; i < n; i++) {
        const struct table *t = tables[i].table;
        struct relation *rel = map_get_u32(rs->by_oid, t->oid);

        if (rel == NULL)
            rel = add(rs, t->oid);
        rel->table = t;
        rel->s = tables[i].s;
        rel->skip = tables[i].skip;
        if (rel->skip)
            continue;
        mem_free(rel->before);
        mem_free(rel->after);
        rel->before = mem_calloc((size_t)t->ncols + 1, sizeof(*rel->before));
        rel->after = mem_calloc((size_t)t->ncols + 1, sizeof(*rel->after));
    }
    return rs;
}

void relations_free(struct relations *rs)
{
    struct relation *rel;
    size_t at = 0;

    if (rs == NULL)
        return;
    while ((rel = map_next(rs->by_oid, &at)) != NULL) {
        arena_free(rel->arena);
        mem_free(rel->before);
        mem_free(rel->after);
        mem_free(rel);
    }
    map_free(rs->by_oid);
    mem_free(rs);
}

void relations_announce(struct relations *rs, const struct pgoutput_relation *r)
{
    struct relation *rel = map_get_u32(rs->by_oid, r->oid);
    struct pgoutput_column *cols;
    int i;

    if (rel == NULL)
        rel = add(rs, r->oid);
    if (rel->arena == NULL)
        rel->arena = arena_new("relation");
    arena_reset(rel->arena);
    rel->r = *r;
    rel->r.schema = arena_strdup(rel->arena, r->schema);
    rel->r.name = arena_strdup(rel->arena, r->name);
    cols = arena_calloc(rel->arena, (size_t)r->ncols + 1, sizeof(*cols));
    for (i = 0; i < r->ncols; i++) {
        cols[i] = r->columns[i];
        cols[i].name = arena_strdup(rel->arena, r->columns[i].name);
    }
    rel->r.columns = cols;
    rel->to_table = arena_calloc(rel->arena, (size_t)r->ncols + 1, sizeof(*rel->to_table));
    rel->announced = true;
    rel->state = RELATION_NEW;
}

struct relation *relations_find(const struct relations *rs, uint32_t oid)
{
    struct relation *rel = map_get_u32(rs->by_oid, oid);

    return rel != NULL && rel->announced ? rel : NULL;
}

/* Fills rel->to_table; false with why if the announced shape is not the known one. */
static bool match_columns(struct relation *rel, char *why, size_t size)
{
    const struct table *t = rel->table;
    int i;

    if (rel->r.ncols != t->ncols) {
        snprintf(why, size, "it has %d columns, not %d", rel->r.ncols, t->ncols);
        return false;
    }
    for (i = 0; i < rel->r.ncols; i++) {
        const struct pgoutput_column *c = &rel->r.columns[i];
        /* Nearly always the same place; names are unique, and the counts are the same. */
        int k = strcmp(t->cols[i].name, c->name) == 0 ? i : table_find_column(t, c->name);
        const char *what = NULL;

        if (k < 0)
            what = "is new or renamed";
        else if (t->cols[k].type_oid != c->type_oid || t->cols[k].typmod != c->typmod)
            what = "has another type";
        else if (t->cols[k].identity != ((c->flags & PGOUTPUT_COLUMN_IDENTITY) != 0))
            what = "entered or left the replica identity";
        if (what != NULL) {
            snprintf(why, size, "column \"%s\" %s", c->name, what);
            return false;
        }
        rel->to_table[i] = k;
    }
    return true;
}

static bool matches(struct relation *rel, char *why, size_t size)
{
    const struct table *t = rel->table;

    if (strcmp(t->schema, rel->r.schema) != 0 || strcmp(t->name, rel->r.name) != 0) {
        snprintf(why, size, "it was renamed from %s.%s", t->schema, t->name);
        return false;
    }
    if (t->replica_identity != rel->r.replica_identity) {
        snprintf(why, size, "its replica identity changed");
        return false;
    }
    return match_columns(rel, why, size);
}

bool relations_refuse(struct relation *rel, const struct change_sink *sink, const char *why,
                      struct error *err)
{
    rel->state = RELATION_IGNORED;
    rel->skip = true;
    if (rel->told)
        return true;
    rel->told = true;
    return sink->wants_load(sink->ctx, rel->oid,
                            rel->announced ? rel->r.schema : rel->table->schema,
                            rel->announced ? rel->r.name : rel->table->name, why, err);
}

bool relations_judge(struct relations *rs, struct relation *rel, const struct change_sink *sink,
                     bool *carried, struct error *err)
{
    char why[256];

    *carried = rel->state == RELATION_MATCHES;
    if (rel->state != RELATION_NEW)
        return true;
    rel->state = RELATION_IGNORED;
    if (rel->skip)
        return true;
    if (rel->table == NULL) {
        if (!pg_selects(rs->source, rel->r.schema, rel->r.name))
            return true;
        return relations_refuse(rel, sink, "table not known yet", err);
    }
    if (!matches(rel, why, sizeof(why)))
        return relations_refuse(rel, sink, why, err);
    rel->state = RELATION_MATCHES;
    *carried = true;
    return true;
}
