/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An R message carries no attnum: what its columns are is proven with the catalogue (version.h).
 * An answer counts if it sees the transaction of the row. One that does not is older than the
 * message, and with it a floor under what the message can mean: what was dropped by then is not in
 * it. The first answer is about all tables, at the start of the stream: it settles those that
 * have rows waiting and did not change, and is the floor for the others.
 *
 * Under publish_via_partition_root partitions are announced too, but rows carry the root's oid.
 */
#include "source_postgres/relation.h"

#include "source_postgres/version.h"
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

/* Room for one row of the table. */
static void make_room(struct relation *rel)
{
    size_t n = (size_t)rel->table->ncols + 1;

    mem_free(rel->before);
    mem_free(rel->after);
    mem_free(rel->loosen);
    rel->before = mem_calloc(n, sizeof(*rel->before));
    rel->after = mem_calloc(n, sizeof(*rel->after));
    rel->loosen = mem_calloc(n, sizeof(*rel->loosen));
    rel->loose = false;
}

static void forget_traces(struct relation *rel)
{
    trace_free(rel->latest);
    trace_free(rel->floor);
    rel->latest = rel->floor = NULL;
}

static void forget_next(struct relation *rel)
{
    arena_free(rel->next);
    trace_free(rel->next_floor);
    rel->next = NULL;
    rel->next_floor = NULL;
}

void relations_install(struct relations *rs, const struct stream_table *t)
{
    struct relation *rel = map_get_u32(rs->by_oid, t->table->oid);

    if (rel == NULL)
        rel = add(rs, t->table->oid);
    rel->table = t->table;
    rel->natts = t->table->natts;
    rel->s = t->s;
    rel->skip = t->skip;
    rel->told = false;
    rel->state = RELATION_NEW;
    forget_traces(rel); /* the table may be newer */
    forget_next(rel);
    make_room(rel);
}

struct relations *relations_new(struct source *s, const struct stream_table *tables, int n)
{
    struct relations *rs = mem_calloc(1, sizeof(*rs));
    int i;

    rs->source = s;
    rs->by_oid = map_new();
    rs->scratch = arena_new("judgement");
    rs->ask = shape_ask;
    for (i = 0; i < n; i++)
        relations_install(rs, &tables[i]);
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
        arena_free(rel->version);
        forget_next(rel);
        forget_traces(rel);
        mem_free(rel->before);
        mem_free(rel->after);
        mem_free(rel->loosen);
        mem_free(rel);
    }
    map_free(rs->by_oid);
    arena_free(rs->scratch);
    mem_free(rs);
}

bool relations_prepare(struct relations *rs, const struct stream_table *tables, int n,
                       struct error *err)
{
    struct map *traces = map_new();
    bool ok = shape_traces(rs->source, tables, n, traces, err);
    struct relation *rel;
    size_t at = 0;

    while (ok && (rel = map_next(rs->by_oid, &at)) != NULL)
        rel->latest = map_get_u32(traces, rel->oid);
    map_free(traces);
    return ok;
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
    rel->announced = true;
    rel->state = RELATION_NEW;
    rs->leaf = rs->root != 0 && rs->leaf == 0 ? r->oid : 0;
    if (rs->leaf == 0)
        rs->root = rel->table != NULL && rel->table->leaves != NULL ? r->oid : 0;
}

uint32_t relations_take_leaf(struct relations *rs, uint32_t oid)
{
    uint32_t leaf = rs->root == oid ? rs->leaf : 0;

    rs->root = rs->leaf = 0;
    return leaf;
}

struct relation *relations_find(const struct relations *rs, uint32_t oid)
{
    struct relation *rel = map_get_u32(rs->by_oid, oid);

    return rel != NULL && rel->announced ? rel : NULL;
}

/* The table's columns as a plain comparison sees them; false with why. */
static bool same_columns(const struct relation *rel, char *why, size_t size)
{
    const struct table *t = rel->table;
    int i;

    if (rel->r.ncols != t->ncols) {
        snprintf(why, size, "it has %d columns, not %d", rel->r.ncols, t->ncols);
        return false;
    }
    for (i = 0; i < rel->r.ncols; i++) {
        const struct pgoutput_column *c = &rel->r.columns[i];
        int k = table_find_column(t, c->name);
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
    }
    return true;
}

/* For an engine that takes no alterations: what is different. */
static void describe(const struct relation *rel, char *why, size_t size)
{
    if (rel->table->replica_identity != rel->r.replica_identity)
        snprintf(why, size, "its replica identity changed");
    else if (same_columns(rel, why, size))
        snprintf(why, size, "a column of it was dropped and another added in its place");
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

/* A newer answer: the one before becomes the floor if it is older than the transaction. */
static void keep_trace(struct relation *rel, const struct trace *t, uint32_t xid)
{
    if (rel->latest != NULL && !snapshot_sees(rel->latest->snapshot, xid)) {
        trace_free(rel->floor);
        rel->floor = rel->latest;
    } else {
        trace_free(rel->latest);
    }
    rel->latest = trace_copy(t);
}

/* What is known of a moment before the transaction, or NULL. */
static const struct footprint *floor_before(const struct relation *rel, uint32_t xid)
{
    const struct trace *f = rel->floor;

    return f != NULL && (f->snapshot[0] == '\0' || !snapshot_sees(f->snapshot, xid)) ? &f->columns
                                                                                     : NULL;
}

/*
 * The moment of the R message itself, as the alteration proves it: a floor for all that follows.
 * What was known and is not in it was dropped by then.
 */
static struct trace *floor_of_next(const struct relation *rel, const struct shape *shape,
                                   const struct footprint *floor)
{
    const struct table *was = rel->table, *now = rel->alteration.now;
    int n = now->natts > 0 ? now->natts : shape->attributes.n;
    uint8_t *state = mem_calloc((size_t)n + 1, 1);
    struct trace t = {.snapshot = "", .columns = {n, state}}, *made;
    int i;

    for (i = 0; i < n; i++) {
        bool dropped = alter_known(was, i + 1) >= 0 ||
                       (i < shape->attributes.n && shape->attributes.list[i].long_gone) ||
                       (floor != NULL && i < floor->n && floor->state[i] == ATTRIBUTE_DROPPED);

        state[i] = alter_known(now, i + 1) >= 0 ? ATTRIBUTE_CARRIED
                   : dropped                    ? ATTRIBUTE_DROPPED
                                                : ATTRIBUTE_HIDDEN; /* not known */
    }
    made = trace_copy(&t);
    mem_free(state);
    return made;
}

static bool judge_by_shape(struct relation *rel, const struct shape *shape, uint32_t xid,
                           const struct change_sink *sink, struct error *err)
{
    const struct footprint *floor = floor_before(rel, xid);
    enum version_step step;
    struct version_case c = {.was = rel->table,
                             .r = &rel->r,
                             .floor = shape->unmoved ? &shape->trace.columns : floor,
                             .shape = shape};
    char why[320];

    if (floor != NULL) /* the known version may have been that of the floor, too */
        rel->natts = alter_natts_later(rel->table, rel->natts, floor);
    c.natts = rel->natts;
    forget_next(rel);
    rel->next = arena_new("table version");
    step = version_follow(&c, rel->next, &rel->alteration, why, sizeof(why));
    if (step == VERSION_NEXT && sink->alter != NULL) {
        rel->next_floor = floor_of_next(rel, shape, floor);
        rel->state = RELATION_ALTERED;
        return true;
    }
    forget_next(rel);
    if (step == VERSION_SAME) {
        rel->state = RELATION_MATCHES;
        return true;
    }
    if (step == VERSION_NEXT)
        describe(rel, why, sizeof(why));
    return relations_refuse(rel, sink, why, err);
}

static bool judge_known(struct relations *rs, struct relation *rel, uint32_t xid,
                        const struct change_sink *sink, struct error *err)
{
    struct shape shape;
    char why[320];

    if (strcmp(rel->table->schema, rel->r.schema) != 0 ||
        strcmp(rel->table->name, rel->r.name) != 0) {
        snprintf(why, sizeof(why), "it was renamed from %s.%s", rel->table->schema,
                 rel->table->name);
        return relations_refuse(rel, sink, why, err);
    }
    if (rel->latest != NULL && snapshot_sees(rel->latest->snapshot, xid) &&
        version_unchanged(rel->table, &rel->r, rel->latest)) {
        rel->state = RELATION_MATCHES;
        return true;
    }
    arena_reset(rs->scratch);
    if (!rs->ask(rs->source, rs->scratch, rel->table, &rel->r, xid, &shape, err))
        return false;
    keep_trace(rel, &shape.trace, xid);
    return judge_by_shape(rel, &shape, xid, sink, err);
}

bool relations_judge(struct relations *rs, struct relation *rel, uint32_t xid,
                     const struct change_sink *sink, struct error *err)
{
    bool selected;

    if (rel->state != RELATION_NEW)
        return true;
    rel->state = RELATION_IGNORED;
    if (rel->skip)
        return true;
    if (rel->table != NULL)
        return judge_known(rs, rel, xid, sink, err);
    if (!pg_selects(rs->source, rel->r.schema, rel->r.name, &selected, err))
        return false;
    return !selected || relations_refuse(rel, sink, "table not known yet", err);
}

void relations_loosen(struct relation *rel)
{
    forget_next(rel);
    rel->next = arena_new("table version");
    version_loosen(rel->table, rel->loosen, rel->next, &rel->alteration);
    rel->state = RELATION_ALTERED;
}

void relations_settle(struct relation *rel, bool carried)
{
    bool resized = rel->alteration.now->ncols != rel->table->ncols;

    rel->table = rel->alteration.now;
    rel->natts = rel->table->natts;
    arena_free(rel->version); /* held the version before */
    rel->version = rel->next;
    rel->next = NULL;
    if (rel->next_floor != NULL) {
        trace_free(rel->floor);
        rel->floor = rel->next_floor;
        rel->next_floor = NULL;
    }
    if (resized)
        make_room(rel);
    memset(rel->loosen, 0, (size_t)rel->table->ncols * sizeof(*rel->loosen));
    rel->loose = false;
    rel->state = carried ? RELATION_MATCHES : RELATION_IGNORED;
    rel->skip = !carried;
}
