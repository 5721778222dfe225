/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From nothing, or from a checkpoint, to tables that can stream.
 *
 * First start: publication, then an intent row in the warehouse, then the mark (slot) with its
 * point S, then the checkpoint at S; every table is copied as of S. Later starts: the checkpoint
 * must be the source's and the mark must not be ahead of it; tables that are new or unfinished are
 * copied as of a point of their own, while the log waits.
 *
 * Refuses, saying why and what to do, wherever going on could not be exact.
 */
#include "avro/codec.h"
#include "pipeline/internal.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROUNDS 5

static bool same_database(struct pipeline *p, struct error *err)
{
    char warehouse[256], source[256];

    if (!p->o.warehouse->identity(p->wh, warehouse, sizeof(warehouse), err))
        return false;
    snprintf(source, sizeof(source), "%s/%u", p->identity.system, p->identity.database_oid);
    if (strcmp(warehouse, source) != 0)
        return true;
    error_set(err, ERROR_CONFIG, "source and warehouse are the same database (%s)",
              p->identity.database);
    return error_hint(err, "give the warehouse a database of its own: CREATE DATABASE warehouse");
}

static bool check_identity(const struct source_identity *was, const struct source_identity *is,
                           struct error *err)
{
    if (strcmp(was->system, is->system) != 0) {
        error_set(err, ERROR_FATAL,
                  "this is another server: the warehouse was filled from system %s, the source is "
                  "system %s",
                  was->system, is->system);
        return error_hint(err, "point the connector at the old server, or use a new warehouse");
    }
    if (strcmp(was->database, is->database) != 0 || was->database_oid != is->database_oid) {
        error_set(err, ERROR_FATAL,
                  "this is another database: the warehouse was filled from %s (oid %u), the "
                  "source is %s (oid %u)",
                  was->database, was->database_oid, is->database, is->database_oid);
        return error_hint(err, "point the connector at the old database, or use a new warehouse");
    }
    if (was->timeline != is->timeline) {
        error_set(err, ERROR_FATAL,
                  "the server is on timeline %u, the warehouse was filled from timeline %u: a "
                  "standby was promoted or a backup restored, and the log may differ",
                  is->timeline, was->timeline);
        return error_hint(err, "set snapshot.mode to when_needed to load all tables again");
    }
    if (strcmp(was->mark, is->mark) != 0) {
        error_set(err, ERROR_CONFLICT, "the warehouse follows slot %s, the settings say slot %s",
                  was->mark, is->mark);
        return error_hint(err, "set slot.name to %s", was->mark);
    }
    return true;
}

static bool when_needed(const struct pipeline *p)
{
    const char *mode = config_string(p->o.source_config, "snapshot.mode");

    return mode != NULL && strcmp(mode, "when_needed") == 0;
}

static bool no_data(const struct pipeline *p)
{
    const char *mode = config_string(p->o.source_config, "snapshot.mode");

    return mode != NULL && (strcmp(mode, "no_data") == 0 || strcmp(mode, "never") == 0);
}

static bool check_mark(struct pipeline *p, const struct mark *m, struct error *err)
{
    const char *slot = p->identity.mark;

    if (m->state == MARK_MISSING)
        error_set(err, ERROR_FATAL,
                  "slot %s does not exist any more: what was written since %s cannot be read", slot,
                  p->checkpoint.position);
    else if (m->state == MARK_LOST)
        error_set(err, ERROR_FATAL,
                  "slot %s is lost (%s): the server has removed log that we still need", slot,
                  m->why);
    else if (p->o.source->position_compare(m->position, p->checkpoint.position) > 0)
        error_set(err, ERROR_FATAL,
                  "slot %s was confirmed up to %s, past the warehouse's checkpoint %s: somebody "
                  "else has read from it or moved it, and changes between the two are gone",
                  slot, m->position, p->checkpoint.position);
    else
        return true;
    return error_hint(err, "set snapshot.mode to when_needed and restart: all tables are loaded "
                           "again");
}

static struct flow *add_flow(struct pipeline *p)
{
    struct flow *grown = arena_calloc(p->arena, (size_t)p->nflows + 1, sizeof(*grown));

    if (p->nflows > 0)
        memcpy(grown, p->flows, (size_t)p->nflows * sizeof(*grown));
    p->flows = grown;
    return &p->flows[p->nflows++];
}

static bool flows_from_books(struct pipeline *p, struct error *err)
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

static bool target_is_free(struct pipeline *p, struct flow *f, bool *is_free, struct error *err)
{
    bool exists, other, ours;

    if (!books_target_exists(&p->books, f->rec.target_schema, f->rec.target_name, &exists, &other,
                             &ours, err))
        return false;
    *is_free = ours || (!exists && !other);
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

/* Takes the table as of the point; it is to be loaded. */
static bool take_table(struct pipeline *p, struct flow *f, struct source_table *st,
                       struct error *err)
{
    char reason[2100];
    bool is_free = false;

    f->rec.table = f->table = st->table;
    f->rec.target_schema = st->table->schema;
    f->rec.target_name = st->table->name;
    if (st->refused != NULL)
        return put_stopped(p, f, TABLE_REFUSED, st->refused, err);
    if (!target_is_free(p, f, &is_free, err))
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
    if (no_data(p))
        st->nchunks = 0;
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

/* Leaves out what the warehouse does not take; returns how many are left. */
static int only_taken(const struct pipeline *p, struct source_table *tables, int n)
{
    int i, kept = 0;

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
    for (i = 0; i < n; i++) {
        struct flow *f = flow_find(p, tables[i].table->oid);

        if (f != NULL && !wants_copy(p, f))
            continue;
        if (f == NULL) {
            f = add_flow(p);
            f->rec.table = tables[i].table; /* so that it is found */
        }
        if (!take_table(p, f, &tables[i], err))
            return false;
    }
    if (!forget_missing(p, tables, n, err))
        return false;
    if (n == 0)
        log_warn("no table is selected: check table.include.list and the publication");
    return snapshot_run(p, point, s, tables, n, again, err);
}

/* Further rounds for tables that were rewritten while they were copied. */
static bool load_rounds(struct pipeline *p, struct source_point *point, int64_t s,
                        struct error *err)
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
    p->retried_stopped_tables = true;
    return ok;
}

static bool drop_foreign_mark(struct pipeline *p, const struct mark *m, struct error *err)
{
    bool intended = false;

    if (m->state == MARK_MISSING)
        return true;
    p->failed_side = SIDE_SINK;
    if (!books_intent_read(&p->books, p->identity.mark, &intended, err))
        return false;
    p->failed_side = SIDE_SOURCE;
    if (!intended) {
        error_set(err, ERROR_CONFLICT,
                  "slot %s exists, but this warehouse knows nothing of it: it may belong to another "
                  "penstock",
                  p->identity.mark);
        return error_hint(err,
                          "choose another slot.name, or, if nobody uses it, drop it with penstock "
                          "remove or: SELECT pg_drop_replication_slot('%s')",
                          p->identity.mark);
    }
    log_info("slot left over from an interrupted start is dropped slot=%s", p->identity.mark);
    return p->o.source->mark_drop(p->src, err);
}

static bool create_checkpoint(struct pipeline *p, const char *position, int64_t s,
                              struct error *err)
{
    p->failed_side = SIDE_SINK;
    if (!p->o.warehouse->begin(p->books.session, err))
        return false;
    if (!books_checkpoint_create(&p->books, position, s - 1, &p->identity, err) ||
        !books_intent_clear(&p->books, err) || !p->o.warehouse->commit(p->books.session, err)) {
        p->o.warehouse->rollback(p->books.session);
        return false;
    }
    p->checkpoint.found = true;
    snprintf(p->checkpoint.position, sizeof(p->checkpoint.position), "%s", position);
    p->checkpoint.csn = s - 1;
    p->checkpoint.identity = p->identity;
    return true;
}

static bool prepare_first(struct pipeline *p, struct error *err)
{
    struct source_point *point = NULL;
    char position[POSITION_SIZE];
    struct mark m;
    int64_t s;

    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->mark_read(p->src, &m, err) || !drop_foreign_mark(p, &m, err) ||
        !p->o.source->prepare(p->src, err))
        return false;
    p->failed_side = SIDE_SINK;
    if (!flows_from_books(p, err) || !books_intent_write(&p->books, p->identity.mark, err))
        return false;
    for (int i = 0; i < p->nflows; i++) {
        /* No checkpoint: a new load, always. */
        p->flows[i].rec.state = TABLE_LOADING;
        p->flows[i].rec.loaded = false;
    }
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->point_open(p->src, true, &point, &s, position, err))
        return false;
    log_info("slot made slot=%s position=%s", p->identity.mark, position);
    if (!create_checkpoint(p, position, s, err)) {
        p->o.source->point_close(point);
        return false;
    }
    return load_rounds(p, point, s, err);
}

/* Forgets tables that are gone at the source; says whether any must be copied. */
static bool compare_with_source(struct pipeline *p, bool *copy, struct error *err)
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

static bool prepare_resume(struct pipeline *p, struct error *err)
{
    struct source_point *point = NULL;
    char position[POSITION_SIZE];
    struct mark m;
    bool copy = false;
    int64_t s;

    p->failed_side = SIDE_SOURCE;
    if (!check_identity(&p->checkpoint.identity, &p->identity, err) ||
        !p->o.source->mark_read(p->src, &m, err) || !check_mark(p, &m, err))
        return false;
    if (!p->o.source->prepare(p->src, err))
        return false;
    p->failed_side = SIDE_SINK;
    if (!flows_from_books(p, err) || !compare_with_source(p, &copy, err))
        return false;
    for (int i = 0; i < p->nflows; i++)
        flow_show(p, &p->flows[i], -1);
    if (!copy) {
        p->retried_stopped_tables = true;
        return true;
    }
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->point_open(p->src, false, &point, &s, position, err))
        return false;
    return load_rounds(p, point, s, err);
}

/* Everything is loaded again because the log cannot be: only under snapshot.mode when_needed. */
static bool start_over(struct pipeline *p, const struct error *why, struct error *err)
{
    struct mark m;

    log_warn("all tables are loaded again (snapshot.mode when_needed): %s", why->message);
    flows_free(p);
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->mark_read(p->src, &m, err) ||
        (m.state != MARK_MISSING && !p->o.source->mark_drop(p->src, err)))
        return false;
    p->failed_side = SIDE_SINK;
    if (!books_forget(&p->books, err))
        return false;
    memset(&p->checkpoint, 0, sizeof(p->checkpoint));
    return prepare_first(p, err);
}

/* Live at once, without a stream: `--once` and snapshot.mode initial_only. */
static bool live_all(struct pipeline *p, struct error *err)
{
    bool ok;
    int i;

    p->failed_side = SIDE_SINK;
    if (!p->o.warehouse->begin(p->books.session, err))
        return false;
    ok = true;
    for (i = 0; ok && i < p->nflows; i++) {
        if (p->flows[i].rec.state == TABLE_LOADING && p->flows[i].rec.loaded)
            ok = golive_table(&p->books, &p->flows[i], err);
    }
    ok = ok && p->o.warehouse->commit(p->books.session, err);
    if (!ok) {
        p->o.warehouse->rollback(p->books.session);
        return false;
    }
    for (i = 0; i < p->nflows; i++) {
        struct flow *f = &p->flows[i];

        if (f->rec.state == TABLE_LOADING && f->rec.loaded)
            f->rec.state = TABLE_LIVE;
        flow_show(p, f, -1);
    }
    return true;
}

static bool prepare_once(struct pipeline *p, struct error *err)
{
    struct source_point *point = NULL;
    char position[POSITION_SIZE];
    int64_t s;

    if (p->checkpoint.found) {
        error_set(err, ERROR_CONFIG,
                  "this warehouse follows the source already (checkpoint at %s)",
                  p->checkpoint.position);
        return error_hint(err, "run without --once (or with snapshot.mode initial) to go on from "
                               "there");
    }
    p->failed_side = SIDE_SINK;
    if (!flows_from_books(p, err))
        return false;
    for (int i = 0; i < p->nflows; i++) {
        p->flows[i].rec.state = TABLE_LOADING;
        p->flows[i].rec.loaded = false;
    }
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->point_open(p->src, false, &point, &s, position, err))
        return false;
    snprintf(p->checkpoint.position, sizeof(p->checkpoint.position), "%s", position);
    return load_rounds(p, point, s, err) && live_all(p, err);
}

static bool compile_flows(struct pipeline *p, struct error *err)
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

static bool one_shot(const struct pipeline *p)
{
    const char *mode = config_string(p->o.source_config, "snapshot.mode");

    return p->o.once || (mode != NULL && strcmp(mode, "initial_only") == 0);
}

bool prepare_attempt(struct pipeline *p, struct error *err)
{
    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->connect(p->src, &p->identity, err))
        return false;
    p->failed_side = SIDE_SINK;
    if (p->wh == NULL && !p->o.warehouse->open(&p->wh, p->o.sink_config, err))
        return false;
    if (!pipeline_connect(p, "books", &p->books.session, err) || !books_open(&p->books, err) ||
        !same_database(p, err) || !books_checkpoint_read(&p->books, &p->checkpoint, err))
        return false;
    if (one_shot(p))
        return prepare_once(p, err);
    if (!p->checkpoint.found) {
        if (!prepare_first(p, err))
            return false;
    } else if (!prepare_resume(p, err)) {
        struct error why = *err;

        if (err->kind != ERROR_FATAL || !when_needed(p) || p->failed_side != SIDE_SOURCE ||
            p->nflows > 0)
            return false;
        if (!start_over(p, &why, err))
            return false;
    }
    p->started_once = true;
    return compile_flows(p, err);
}
