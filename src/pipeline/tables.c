/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tables flow: those in the books, compared with what the source has and what the warehouse
 * takes; and the rounds in which, before anything streams, those that want a copy get one.
 */
#include "avro/codec.h"
#include "pipeline/load.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROUNDS 5
#define GONE_LEAF "a partition was detached or dropped"

static struct flow *push(struct pipeline *p, struct flow ***list, int *n)
{
    struct flow **grown = arena_calloc(p->arena, (size_t)*n + 1, sizeof(struct flow *));

    if (*n > 0)
        memcpy(grown, *list, (size_t)*n * sizeof(struct flow *));
    grown[*n] = arena_calloc(p->arena, 1, sizeof(struct flow));
    *list = grown;
    return grown[(*n)++];
}

static void seed(struct pipeline *p, const struct flow *f, const char *part, const char *schema,
                 uint32_t id)
{
    char *subject;
    struct error err;

    if (schema == NULL || id == 0)
        return;
    subject = mem_printf("%s-%s", f->table->topic, part);
    if (!registry_seed(p->o.registry, subject, schema, id, &err))
        log_debug("schema not seeded subject=%s: %s", subject, err.message);
    mem_free(subject);
}

/* --- loads that an earlier process left --- */

bool flows_drop_aside(struct books *b, const struct table_record *rec, struct error *err)
{
    struct buf sql = {0};
    char aside[ASIDE_SIZE];
    bool ok;

    flow_aside(rec->load, aside);
    buf_puts(&sql, "DROP TABLE IF EXISTS ");
    target_sql_name(&sql, rec->target_schema, aside);
    ok = b->ops->exec(b->session, buf_cstr(&sql), NULL, err);
    buf_free(&sql);
    return ok;
}

bool flows_drop_load(struct pipeline *p, const struct table_record *rec, struct error *err)
{
    const struct warehouse_ops *ops = p->o.warehouse;
    char *path = flow_spool_path(p, rec->table->oid, rec->load);
    bool ok = ops->begin(p->books.session, err) &&
              books_load_remove(&p->books, rec->table->oid, rec->load, err) &&
              flows_drop_aside(&p->books, rec, err) && ops->commit(p->books.session, err);

    if (!ok)
        ops->rollback(p->books.session);
    spool_remove(path);
    mem_free(path);
    return ok;
}

/* Has the stream passed the (first) point of this copy? Then its changes since are in its spool. */
static bool has_passed(const struct pipeline *p, const struct table_record *rec)
{
    return rec->s < p->o.source->position_csn(p->checkpoint.position);
}

/* Before that the spool begins with the stream, whatever was in it. */
static bool reopen_spool(struct pipeline *p, struct flow *f, bool *usable, struct error *err)
{
    const struct table_record *rec = &f->rec;
    struct spool_identity id = {.connector = p->o.sink_name,
                                .source = p->o.source_name,
                                .schema = rec->table->schema,
                                .table = rec->table->name,
                                .oid = rec->table->oid,
                                .load = rec->load,
                                .value_id = rec->value_id,
                                .key_id = rec->key_id,
                                .value_schema = rec->value_schema,
                                .key_schema = rec->key_schema};
    char *path = flow_spool_path(p, rec->table->oid, rec->load);
    char why[256] = "";
    bool ok;

    if (!has_passed(p, rec)) {
        *usable = true;
        ok = spool_create(&f->spool, path, &id, err);
        f->rec.spool_bytes = 0;
        f->copy.spool_at = f->copy.spool_csn = f->copy.spool_us = 0;
    } else {
        ok = spool_reopen(&f->spool, path, &id, rec->spool_bytes, usable, why, sizeof(why), err);
    }
    if (ok && !*usable)
        log_warn("spool cannot be used, the table is loaded again table=%s.%s why=%s",
                 rec->table->schema, rec->table->name, why);
    mem_free(path);
    return ok;
}

/*
 * Does the load go on? A complete copy that waits for its spool does, and one of which some ranges
 * of keys are missing. (A complete one as of one point that the stream has not passed needs no
 * spool: it is streamed into.)
 */
static bool goes_on(struct pipeline *p, struct flow *f, bool newer_of_live, bool *yes,
                    struct error *err)
{
    const struct table_record *rec = &f->rec;

    *yes = f->cut_off = false;
    if (rec->state != TABLE_LOADING || rec->load == 0 || !p->checkpoint.found)
        return true;
    if (!load_copy_read(&p->books, p->arena, rec, &f->copy, err))
        return false;
    f->cut_off = !rec->loaded;
    if (f->cut_off)
        *yes = f->copy.n > 0 && f->copy.done > 0;
    else
        *yes = newer_of_live || rec->in_place || has_passed(p, rec) || f->copy.newest > rec->s;
    return true;
}

static bool take_record(struct pipeline *p, const struct table_record *rec, bool newer_of_live,
                        struct error *err)
{
    struct flow probe = {.rec = *rec, .table = rec->table};
    bool waits, usable = false;
    struct flow *f;

    if (!goes_on(p, &probe, newer_of_live, &waits, err) ||
        (waits && !probe.copy.lacks && !reopen_spool(p, &probe, &usable, err)))
        return false;
    if (usable) {
        f = push(p, &p->resumes, &p->nresumes);
        *f = probe;
        if (f->cut_off)
            loads_want(p, rec->table->oid, rec->table->schema, rec->table->name,
                       "its load was cut off", 0);
        return true;
    }
    if (newer_of_live) {
        loads_want(p, rec->table->oid, rec->table->schema, rec->table->name,
                   rec->reason ? rec->reason : "its load was cut off", 0);
        return flows_drop_load(p, rec, err);
    }
    f = push(p, &p->flows, &p->nflows);
    f->rec = *rec;
    f->table = rec->table;
    if (waits)
        f->rec.loaded = false;
    return true;
}

bool flows_from_books(struct pipeline *p, struct error *err)
{
    struct table_record *recs;
    int n, i;

    if (!books_tables_read(&p->books, p->arena, &recs, &n, err))
        return false;
    for (i = 0; i < n; i++) {
        bool newer = i > 0 && recs[i].table->oid == recs[i - 1].table->oid;

        if (!take_record(p, &recs[i], newer, err))
            return false;
    }
    for (i = 0; i < p->nflows + p->nresumes; i++) {
        const struct flow *f = i < p->nflows ? p->flows[i] : p->resumes[i - p->nflows];

        seed(p, f, "value", f->rec.value_schema, f->rec.value_id);
        seed(p, f, "key", f->rec.key_schema, f->rec.key_id);
    }
    return true;
}

/* --- against the source --- */

/* The table is gone at the source: its copy stays, unless it never took its place; the books forget
 * it. */
static bool forget_flow(struct pipeline *p, int i, struct error *err)
{
    struct flow *f = p->flows[i];

    log_info("table is gone at the source or no longer selected; its copy stays table=%s.%s",
             f->rec.table->schema, f->rec.table->name);
    if (!flows_drop_all(&p->books, &f->rec, NULL, err))
        return false;
    board_remove_table(p->o.board, p->o.source_name, f->rec.table->schema, f->rec.table->name);
    decoder_free(f->decoder);
    memmove(&p->flows[i], &p->flows[i + 1], (size_t)(p->nflows - i - 1) * sizeof(struct flow *));
    p->nflows--;
    return true;
}

static const struct source_table *find(const struct source_table *tables, int n, uint32_t oid)
{
    int i;

    for (i = 0; i < n; i++) {
        if (tables[i].table->oid == oid)
            return &tables[i];
    }
    return NULL;
}

static bool forget_missing(struct pipeline *p, const struct source_table *now, int n,
                           struct error *err)
{
    int i;

    for (i = 0; i < p->nflows; i++) {
        if (find(now, n, p->flows[i]->rec.table->oid) == NULL && !forget_flow(p, i--, err))
            return false;
    }
    for (i = 0; i < p->nresumes; i++) {
        struct flow *f = p->resumes[i];

        if (find(now, n, f->rec.table->oid) != NULL)
            continue;
        spool_close(f->spool);
        f->spool = NULL;
        if (!flows_drop_load(p, &f->rec, err) ||
            !books_table_remove(&p->books, f->rec.table->oid, err))
            return false;
        p->resumes[i--] = p->resumes[--p->nresumes];
    }
    return true;
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

/* Does a complete copy of it wait for its spool? */
static bool resumes(const struct pipeline *p, uint32_t oid)
{
    int i;

    for (i = 0; i < p->nresumes; i++) {
        if (p->resumes[i]->rec.table->oid == oid)
            return true;
    }
    return false;
}

/* Is each leaf of the one list in the other? */
static bool has_leaves(const char *all, const char *some)
{
    const char *at = some;

    while (at[0] != '\0' && at[1] != '\0') {
        const char *end = strchr(at + 1, ',');
        char leaf[16];

        snprintf(leaf, sizeof(leaf), "%.*s", (int)(end - at) + 1, at);
        if (strstr(all, leaf) == NULL)
            return false;
        at = end;
    }
    return true;
}

/* The table's complete copy of the lowest load that waits for its spool; NULL: there is none. */
static struct flow *take_resume(struct pipeline *p, uint32_t oid)
{
    struct flow *f;
    int i, at = -1;

    for (i = 0; i < p->nresumes; i++) {
        const struct table_record *rec = &p->resumes[i]->rec;

        if (rec->table->oid == oid && (at < 0 || rec->load < p->resumes[at]->rec.load))
            at = i;
    }
    if (at < 0)
        return NULL;
    f = p->resumes[at];
    p->resumes[at] = p->resumes[--p->nresumes];
    return f;
}

/* The table's complete copies do not go on. Its only row is dropped when its next load begins. */
static bool give_up_resumes(struct pipeline *p, uint32_t oid, struct error *err)
{
    struct flow *f;
    int i;

    while ((f = take_resume(p, oid)) != NULL) {
        spool_close(f->spool);
        f->spool = NULL;
        f->cut_off = false;
        for (i = 0; i < p->nflows && p->flows[i]->rec.table->oid != oid; i++)
            ;
        if (i == p->nflows)
            *push(p, &p->flows, &p->nflows) = *f;
        else if (!flows_drop_load(p, &f->rec, err))
            return false;
    }
    return true;
}

/*
 * A partition that was detached or dropped while nobody watched took its rows with it, and the log
 * says nothing of it: only the list of leaves does.
 */
static bool compare_leaves(struct pipeline *p, struct flow *f, const struct table *now,
                           struct error *err)
{
    struct table *was = f->rec.table;

    if (was->membership == NULL && now->membership != NULL) {
        was->membership = now->membership;
        if (!books_table_membership(&p->books, was->oid, f->rec.load, now->membership, err))
            return false;
    }
    if (was->leaves == NULL || now->leaves == NULL || strcmp(was->leaves, now->leaves) == 0)
        return true;
    if (!has_leaves(now->leaves, was->leaves)) {
        loads_want(p, was->oid, was->schema, was->name, GONE_LEAF, 0);
        return give_up_resumes(p, was->oid, err) &&
               flow_stop_table(p, &p->books, was->oid, TABLE_LOADING, GONE_LEAF, err);
    }
    was->leaves = now->leaves;
    return books_table_leaves(&p->books, was->oid, f->rec.load, now->leaves, err);
}

/* The same for a complete copy that is to take the place of what f is. */
static bool compare_other(struct pipeline *p, const struct flow *f, const struct table *now,
                          struct error *err)
{
    int i;

    for (i = 0; i < p->nresumes; i++) {
        if (p->resumes[i] != f && p->resumes[i]->rec.table->oid == now->oid)
            return compare_leaves(p, p->resumes[i], now, err);
    }
    return true;
}

bool flows_compare(struct pipeline *p, struct error *err)
{
    struct source_table *now;
    int n, i;

    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->plan(p->src, p->arena, &now, &n, err))
        return false;
    p->failed_side = SIDE_SINK;
    if (!take_selected(p, p->arena, now, &n, err) || !forget_missing(p, now, n, err))
        return false;
    for (i = 0; i < n; i++) {
        const struct table *t = now[i].table;
        struct flow *f = flow_find(p, t->oid);

        if (f != NULL && (!compare_leaves(p, f, t, err) || !compare_other(p, f, t, err)))
            return false;
        if (f == NULL)
            loads_want(p, t->oid, t->schema, t->name, "table not known yet", 0);
        else if (resumes(p, t->oid))
            continue;
        else if (f->rec.state == TABLE_REFUSED ? now[i].refused == NULL : wants_copy(p, f))
            loads_want(p, t->oid, t->schema, t->name,
                       f->rec.reason ? f->rec.reason : "it has no complete copy yet", 0);
    }
    p->retried_stopped_tables = true;
    return true;
}

/* --- while nothing streams --- */

/* A table that cannot be copied: in the books, with why. */
static bool put_stopped(struct pipeline *p, struct flow *f, struct error *err)
{
    if (!flows_drop_all(&p->books, &f->rec, &f->rec, err))
        return false;
    flow_show(p, f, -1);
    return true;
}

/* Gives up the name that it has no more, so that another table may take it. */
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
    struct snapshot_task *tasks;
    int n, i, ntasks = 0;
    bool ok;

    p->failed_side = SIDE_SOURCE;
    if (!p->o.source->point_tables(point, p->arena, &tables, &n, err))
        return false;
    p->failed_side = SIDE_SINK;
    if (!take_selected(p, p->arena, tables, &n, err) || !forget_missing(p, tables, n, err))
        return false;
    for (i = 0; i < n; i++) {
        struct flow *f = flow_find(p, tables[i].table->oid);

        /* All are known before any of them chooses its target. */
        if (f == NULL)
            push(p, &p->flows, &p->nflows)->rec.table = tables[i].table;
        else
            notice_renamed(p, f, tables[i].table);
    }
    tasks = arena_calloc(p->arena, (size_t)n + 1, sizeof(*tasks));
    for (i = 0; i < n; i++) {
        struct take take = {
            .p = p, .arena = p->arena, .books = &p->books, .flows = p->flows, .nflows = p->nflows};
        struct flow *f = flow_find(p, tables[i].table->oid);

        if (!wants_copy(p, f))
            continue;
        if (!take_table(&take, f, &tables[i], err) || (take.refused && !put_stopped(p, f, err)))
            return false;
        if (take.refused)
            continue;
        if (!load_cut(p, point, p->arena, &tables[i], err))
            return false;
        tasks[ntasks].flow = f;
        tasks[ntasks++].st = &tables[i];
    }
    if (n == 0)
        log_warn("no table is selected: check table.include.list and the publication");
    ok = snapshot_run(p, &p->books, point, s, tasks, ntasks, &p->stop, err);
    for (i = 0, *again = false; i < ntasks; i++)
        *again |= tasks[i].again;
    return ok;
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
        struct flow *f = p->flows[round];

        if (f->rec.state == TABLE_LOADING && !f->rec.loaded)
            ok = flow_stop_table(p, &p->books, f->rec.table->oid, TABLE_NEEDS_SNAPSHOT,
                                 "it was rewritten each time while it was copied; when that is "
                                 "over, run: penstock resync",
                                 err);
    }
    p->retried_stopped_tables = true;
    FAILPOINT("prepare.loaded");
    return ok;
}

static bool compile(struct pipeline *p, struct flow *f, struct error *err)
{
    char reason[2100];

    if (f->decoder != NULL || (!f->cut_off && f->rec.state != TABLE_LIVE &&
                               !(f->rec.state == TABLE_LOADING && f->rec.loaded)))
        return true;
    if (flow_compile(p, p->arena, f, err))
        return true;
    if (err->kind != ERROR_DATA)
        return false;
    decoder_free(f->decoder);
    f->decoder = NULL;
    return flow_stop_table(p, &p->books, f->rec.table->oid, TABLE_NEEDS_SNAPSHOT,
                           flow_reason(err, reason, sizeof(reason)), err);
}

bool flows_compile(struct pipeline *p, struct error *err)
{
    int i;

    for (i = 0; i < p->nflows + p->nresumes; i++) {
        if (!compile(p, i < p->nflows ? p->flows[i] : p->resumes[i - p->nflows], err))
            return false;
    }
    return true;
}
