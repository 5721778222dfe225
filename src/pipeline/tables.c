/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tables flow: those in the books, compared with what the source has and what the warehouse
 * takes; and the rounds in which those that want a copy get one.
 */
#include "avro/codec.h"
#include "pipeline/internal.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_ROUNDS 5

static bool no_data(const struct pipeline *p)
{
    const char *mode = config_string(p->o.source_config, "snapshot.mode");

    return mode != NULL && (strcmp(mode, "no_data") == 0 || strcmp(mode, "never") == 0);
}

static struct flow *add_flow(struct pipeline *p)
{
    struct flow *grown = arena_calloc(p->arena, (size_t)p->nflows + 1, sizeof(*grown));

    if (p->nflows > 0)
        memcpy(grown, p->flows, (size_t)p->nflows * sizeof(*grown));
    p->flows = grown;
    return &p->flows[p->nflows++];
}

bool flows_from_books(struct pipeline *p, struct error *err)
{
    struct table_record *recs;
    int n, i;

    if (!books_tables_read(&p->books, p->arena, &recs, &n, err))
        return false;
    for (i = 0; i < n; i++) {
        struct flow *f = add_flow(p);
        char *subject;

        f->rec = recs[i];
        f->table = recs[i].table;
        if (f->rec.value_schema == NULL || f->rec.value_id == 0)
            continue;
        subject = mem_printf("%s-value", f->table->topic);
        if (!registry_seed(p->o.registry, subject, f->rec.value_schema, f->rec.value_id, err)) {
            log_debug("schema not seeded subject=%s: %s", subject, err->message);
            error_clear(err);
        }
        mem_free(subject);
        if (f->rec.key_schema == NULL || f->rec.key_id == 0)
            continue;
        subject = mem_printf("%s-key", f->table->topic);
        if (!registry_seed(p->o.registry, subject, f->rec.key_schema, f->rec.key_id, err)) {
            log_debug("schema not seeded subject=%s: %s", subject, err->message);
            error_clear(err);
        }
        mem_free(subject);
    }
    return true;
}

/* Persists a table that is not copied, with why. */
static bool put_stopped(struct pipeline *p, struct flow *f, enum table_state state,
                        const char *reason, struct error *err)
{
    f->rec.state = state;
    f->rec.loaded = false;
    f->rec.reason = arena_strdup(p->arena, reason);
    if (!p->o.warehouse->begin(p->books.session, err))
        return false;
    if (!books_table_put(&p->books, &f->rec, err) ||
        !p->o.warehouse->commit(p->books.session, err)) {
        p->o.warehouse->rollback(p->books.session);
        return false;
    }
    flow_show(p, f, -1);
    return true;
}

static bool target_is_free(struct pipeline *p, struct flow *f, bool *is_free, bool *ours,
                           struct error *err)
{
    bool exists, other;

    if (!books_target_exists(&p->books, f->rec.target_schema, f->rec.target_name, &exists, &other,
                             ours, err))
        return false;
    *is_free = !exists || (*ours && !other);
    return true;
}

/* The table is gone at the source: its copy stays, the books forget it. */
static bool forget_flow(struct pipeline *p, int i, struct error *err)
{
    struct flow *f = &p->flows[i];

    log_info("table is gone at the source or no longer selected; its copy stays table=%s.%s",
             f->rec.table->schema, f->rec.table->name);
    if (!books_table_remove(&p->books, f->rec.table->oid, err))
        return false;
    board_remove_table(p->o.board, p->o.source_name, f->rec.table->schema, f->rec.table->name);
    decoder_free(f->decoder);
    memmove(f, f + 1, (size_t)(p->nflows - i - 1) * sizeof(*f));
    p->nflows--;
    return true;
}

static bool forget_missing(struct pipeline *p, const struct source_table *now, int n,
                           struct error *err)
{
    int i, k;

    for (i = 0; i < p->nflows; i++) {
        for (k = 0; k < n && now[k].table->oid != p->flows[i].rec.table->oid; k++)
            ;
        if (k == n && !forget_flow(p, i--, err))
            return false;
    }
    return true;
}

static bool same_target(const struct pipeline *p, const char *schema, const char *name,
                        const char *other_schema, const char *other_name)
{
    if (p->o.warehouse->dialect->case_folds)
        return strcasecmp(schema, other_schema) == 0 && strcasecmp(name, other_name) == 0;
    return strcmp(schema, other_schema) == 0 && strcmp(name, other_name) == 0;
}

static bool all_lower_case(const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s >= 'A' && *s <= 'Z')
            return false;
    }
    return true;
}

/*
 * The target's name is the table's, unless the warehouse takes another table's for the same (they
 * differ only in case): then the one that is all lower case keeps it, or the one that has it
 * already, and the other gets "_" and 8 hex digits of its true name's SHA-256. A table keeps the
 * target that it has as long as its own name stays.
 */
static void choose_target(struct pipeline *p, struct flow *f, const struct table *t)
{
    bool renamed = f->rec.target_name == NULL || strcmp(f->rec.table->schema, t->schema) != 0 ||
                   strcmp(f->rec.table->name, t->name) != 0;
    bool plain = all_lower_case(t->schema) && all_lower_case(t->name);
    int i;

    if (!renamed)
        return;
    f->rec.target_schema = t->schema;
    f->rec.target_name = t->name;
    for (i = 0; i < p->nflows; i++) {
        const struct flow *o = &p->flows[i];
        bool there = o->rec.target_name != NULL;

        if (o == f ||
            !same_target(p, t->schema, t->name, there ? o->rec.target_schema : o->rec.table->schema,
                         there ? o->rec.target_name : o->rec.table->name))
            continue;
        if (there || !plain) {
            f->rec.target_name = table_suffixed_name(p->arena, t);
            log_info("target of its own name, for %s.%s differs only in case table=%s.%s target=%s",
                     o->rec.table->schema, o->rec.table->name, t->schema, t->name,
                     f->rec.target_name);
            return;
        }
    }
}

/* Takes the table as of the point; it is to be loaded. */
static bool take_table(struct pipeline *p, struct flow *f, struct source_table *st,
                       struct error *err)
{
    char reason[2100];
    bool is_free = false, ours = false;

    choose_target(p, f, st->table);
    if (f->rec.table->topic == NULL || strcmp(f->rec.table->topic, st->table->topic) != 0) {
        f->rec.value_schema = f->rec.key_schema = NULL; /* of another subject */
        f->rec.value_id = f->rec.key_id = 0;
    }
    f->rec.table = f->table = st->table;
    if (st->refused != NULL)
        return put_stopped(p, f, TABLE_REFUSED, st->refused, err);
    if (!target_is_free(p, f, &is_free, &ours, err))
        return false;
    if (!is_free)
        return put_stopped(p, f, TABLE_REFUSED,
                           "the warehouse already has a table of that name, and it is not ours: "
                           "rename or drop it, then restart penstock",
                           err);
    f->rec.state = TABLE_LOADING;
    f->rec.loaded = false;
    if (!flow_compile(p, f, err)) {
        if (err->kind != ERROR_DATA)
            return false;
        snprintf(reason, sizeof(reason), "%s%s%s", err->message, err->hint[0] ? "; " : "",
                 err->hint);
        return put_stopped(p, f, TABLE_NEEDS_SNAPSHOT, reason, err);
    }
    if (no_data(p) && !ours)
        st->nchunks = 0; /* a table that has rows already is copied again like any other */
    return true;
}

/* Does the warehouse take the table's topic (topics, topics.regex)? */
static bool takes_topic(const struct pipeline *p, const char *topic)
{
    const char *list = config_string(p->o.sink_config, "topics");
    size_t n = strlen(topic);

    if (list == NULL)
        return config_selects(p->o.sink_config, "topics.regex", NULL, topic);
    while (*list != '\0') {
        size_t len = strcspn(list, ",");

        while (*list == ' ' && len > 0) {
            list++;
            len--;
        }
        if (len == n && memcmp(list, topic, n) == 0)
            return true;
        list += len;
        list += *list == ',';
    }
    return false;
}

/* "a.b"."c" and "a"."b.c" would share a topic: each of them gets a suffix of its true name. */
static void separate_topics(struct pipeline *p, struct source_table *tables, int n)
{
    struct map *seen = map_new();
    bool *clash = arena_calloc(p->arena, (size_t)n + 1, sizeof(*clash));
    int i;

    for (i = 0; i < n; i++) {
        const char *topic = tables[i].table->topic;
        struct source_table *first = map_get(seen, topic, strlen(topic));

        if (first == NULL) {
            map_put(seen, topic, strlen(topic), &tables[i]);
        } else {
            clash[i] = true;
            clash[first - tables] = true;
        }
    }
    for (i = 0; i < n; i++) {
        if (clash[i]) {
            table_topic_suffix(p->arena, tables[i].table);
            log_info("topic of its own table=%s.%s topic=%s", tables[i].table->schema,
                     tables[i].table->name, tables[i].table->topic);
        }
    }
    map_free(seen);
}

/* Leaves out what the warehouse does not take; returns how many are left. */
static int only_taken(struct pipeline *p, struct source_table *tables, int n)
{
    int i, kept = 0;

    separate_topics(p, tables, n);

    for (i = 0; i < n; i++) {
        if (takes_topic(p, tables[i].table->topic))
            tables[kept++] = tables[i];
    }
    return kept;
}

/* Is the flow to be copied? */
static bool wants_copy(const struct pipeline *p, const struct flow *f)
{
    switch (f->rec.state) {
    case TABLE_LOADING:
        return !f->rec.loaded;
    case TABLE_LIVE:
        return false;
    case TABLE_NEEDS_SNAPSHOT:
        return !p->retried_stopped_tables;
    case TABLE_REFUSED:
        return true;
    }
    return false;
}

/*
 * A table that has another name than we know it by gives up its target and is loaded under the new
 * one, also if no change of it has told so yet: another table may have taken its old name.
 */
static void notice_renamed(struct pipeline *p, struct flow *f, struct table *now)
{
    const struct table *was = f->rec.table;

    if (strcmp(was->schema, now->schema) == 0 && strcmp(was->name, now->name) == 0)
        return;
    log_info("table has another name table=%s.%s now=%s.%s", was->schema, was->name, now->schema,
             now->name);
    board_remove_table(p->o.board, p->o.source_name, was->schema, was->name);
    f->rec.table = now;
    f->rec.target_schema = f->rec.target_name = NULL;
    f->rec.value_schema = f->rec.key_schema = NULL; /* of another subject */
    f->rec.value_id = f->rec.key_id = 0;
    f->rec.state = TABLE_LOADING;
    f->rec.loaded = false;
}

static bool load_at(struct pipeline *p, struct source_point *point, int64_t s, bool *again,
                    struct error *err)
{
    struct source_table *tables;
    int n, i;

    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->point_tables(point, p->arena, &tables, &n, err))
        return false;
    p->failed_side = SIDE_SINK;
    n = only_taken(p, tables, n);
    if (!forget_missing(p, tables, n, err))
        return false;
    for (i = 0; i < n; i++) {
        struct flow *f = flow_find(p, tables[i].table->oid);

        /* All are known before any of them chooses its target. */
        if (f == NULL)
            add_flow(p)->rec.table = tables[i].table;
        else
            notice_renamed(p, f, tables[i].table);
    }
    for (i = 0; i < n; i++) {
        struct flow *f = flow_find(p, tables[i].table->oid);

        if (!wants_copy(p, f))
            continue;
        if (!take_table(p, f, &tables[i], err))
            return false;
    }
    if (n == 0)
        log_warn("no table is selected: check table.include.list and the publication");
    return snapshot_run(p, point, s, tables, n, again, err);
}

/* Further rounds for tables that were rewritten while they were copied. */
bool flows_load(struct pipeline *p, struct source_point *point, int64_t s, struct error *err)
{
    char position[POSITION_SIZE];
    bool again = false;
    bool ok;
    int round;

    p->started_once = true;
    ok = load_at(p, point, s, &again, err);
    p->o.source->point_close(point);
    for (round = 1; ok && again && round < MAX_ROUNDS; round++) {
        p->failed_side = SIDE_SOURCE;
        if (!p->o.source->point_open(p->src, false, &point, &s, position, err))
            return false;
        ok = load_at(p, point, s, &again, err);
        p->o.source->point_close(point);
    }
    for (round = 0; ok && again && round < p->nflows; round++) {
        struct flow *f = &p->flows[round];

        if (f->rec.state == TABLE_LOADING && !f->rec.loaded)
            ok = flow_stop_table(p, &p->books, f->rec.table->oid, TABLE_NEEDS_SNAPSHOT,
                                 "it was rewritten each time while it was copied; restart penstock "
                                 "when that is over",
                                 err);
    }
    p->retried_stopped_tables = true;
    return ok;
}

/* Forgets tables that are gone at the source; says whether any must be copied. */
bool flows_compare(struct pipeline *p, bool *copy, struct error *err)
{
    struct source_table *now;
    int n, i;

    *copy = false;
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->plan(p->src, p->arena, &now, &n, err))
        return false;
    p->failed_side = SIDE_SINK;
    n = only_taken(p, now, n);
    for (i = 0; i < n; i++) {
        struct flow *f = flow_find(p, now[i].table->oid);

        if (f == NULL || (f->rec.state == TABLE_REFUSED && now[i].refused == NULL))
            *copy = true;
        else if (f->rec.state != TABLE_REFUSED)
            *copy |= wants_copy(p, f);
    }
    return forget_missing(p, now, n, err);
}

bool flows_compile(struct pipeline *p, struct error *err)
{
    int i;

    for (i = 0; i < p->nflows; i++) {
        struct flow *f = &p->flows[i];
        char reason[2100];

        if (f->decoder != NULL ||
            (f->rec.state != TABLE_LIVE && !(f->rec.state == TABLE_LOADING && f->rec.loaded)))
            continue;
        if (flow_compile(p, f, err))
            continue;
        if (err->kind != ERROR_DATA)
            return false;
        snprintf(reason, sizeof(reason), "%s", err->message);
        if (!put_stopped(p, f, TABLE_NEEDS_SNAPSHOT, reason, err))
            return false;
    }
    return true;
}
