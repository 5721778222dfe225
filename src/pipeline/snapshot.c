/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies tables as of one exact point S into tables aside: many small chunks handed to
 * snapshot.max.threads workers. Each worker has a source connection and a warehouse session of its
 * own; each chunk is one short source transaction and one warehouse transaction with its row in
 * snapshot_chunks. Rows pass through as events, the bytes that the stream would carry.
 *
 * A value that cannot be carried stops its table; a table that was rewritten under the point is
 * left for another one (ERROR_RETRY with err.table set); anything else ends the attempt.
 */
#include "load/loader.h"
#include "metrics/metrics.h"
#include "pipeline/internal.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>

#define MAX_WORKERS 16

struct job {
    struct flow *flow;
    const struct source_table *st;
    int next; /* chunk to hand out */
    int left; /* chunks not finished */
    int64_t rows;
    bool stopped; /* no more chunks of it */
    bool again;
    char aside[64];
};

struct snapshot {
    struct pipeline *p;
    struct source_point *point;
    int64_t s;
    int64_t point_us;
    pthread_mutex_t lock;
    struct job *jobs;
    int njobs;
    int current;
    bool failed;
    struct error err;
};

/* One worker's tools for one table. */
struct worker_table {
    struct encoder *encoder;
    struct loader *loader;
};

struct worker {
    struct snapshot *snap;
    pthread_t thread;
    int number;
    struct session *session;
    struct books books;
    struct source_reader *reader;
    struct worker_table *tables; /* by job */
    struct buf event;
    struct event_meta meta;
    struct worker_table *current;
};

static void fail(struct snapshot *snap, const struct error *err)
{
    pthread_mutex_lock(&snap->lock);
    if (!snap->failed)
        snap->err = *err;
    snap->failed = true;
    pthread_mutex_unlock(&snap->lock);
}

/* The next chunk of the first table that has one. */
static bool next_chunk(struct snapshot *snap, struct job **job, const struct chunk **chunk)
{
    bool found = false;

    pthread_mutex_lock(&snap->lock);
    while (!found && !snap->failed && snap->current < snap->njobs && !atomic_load(&snap->p->stop)) {
        struct job *j = &snap->jobs[snap->current];

        if (j->stopped || j->next >= j->st->nchunks) {
            snap->current++;
            continue;
        }
        *job = j;
        *chunk = &j->st->chunks[j->next++];
        found = true;
    }
    pthread_mutex_unlock(&snap->lock);
    return found;
}

static bool on_row(void *ctx, const struct table *t, const struct value *values, struct error *err)
{
    struct worker *w = ctx;
    struct change c = {.op = CHANGE_READ, .table = t, .after = values};
    bool unavailable;

    buf_reset(&w->event);
    return encoder_value(w->current->encoder, &c, &w->meta, &w->event, &unavailable, err) &&
           loader_append_event(w->current->loader, w->event.data, w->event.len, err);
}

static bool copy_chunk(struct worker *w, struct job *j, const struct chunk *c, int64_t *rows,
                       struct error *err)
{
    struct pipeline *p = w->snap->p;
    const struct warehouse_ops *ops = p->o.warehouse;
    uint32_t oid = j->flow->rec.table->oid;
    struct loader *l = w->current->loader;
    int64_t nulled = 0;

    w->meta.now_us = clock_wall_us();
    if (!ops->begin(w->session, err))
        return false;
    if (!books_load_lock(&w->books, oid, j->flow->rec.load, err) ||
        !loader_append_begin(l, j->flow->rec.target_schema, j->aside, err) ||
        !p->o.source->reader_chunk(w->reader, j->flow->table, c, on_row, w, err) ||
        !loader_append_end(l, rows, &nulled, err) ||
        !books_chunk_add(&w->books, oid, j->flow->rec.load, c->number, *rows, err) ||
        !ops->commit(w->session, err)) {
        loader_append_abort(l);
        ops->rollback(w->session);
        return false;
    }
    if (ops->maintain != NULL && !ops->maintain(w->session, false, err))
        return false;
    if (nulled > 0)
        metric_add(METRIC_SINK_NULLED, p->o.sink_name, nulled);
    metric_add(METRIC_SINK_ROWS, p->o.sink_name, *rows);
    board_add_rows(p->o.board, p->o.source_name, j->flow->rec.table->schema,
                   j->flow->rec.table->name, *rows);
    return true;
}

/* The copy is complete: its key, and the books say so. */
static bool finish_table(struct worker *w, struct job *j, struct error *err)
{
    struct pipeline *p = w->snap->p;
    const struct warehouse_ops *ops = p->o.warehouse;
    const struct table *t = j->flow->event_table;
    struct buf sql = {0};
    bool ok;
    int i;

    ok = ops->begin(w->session, err) &&
         books_load_lock(&w->books, j->flow->rec.table->oid, j->flow->rec.load, err);
    if (ok && ops->dialect->primary_key && t->nkeys > 0) {
        buf_puts(&sql, "ALTER TABLE ");
        target_sql_name(&sql, j->flow->rec.target_schema, j->aside);
        buf_puts(&sql, " ADD PRIMARY KEY (");
        for (i = 0; i < t->nkeys; i++) {
            buf_puts(&sql, i > 0 ? ", " : "");
            buf_sql_ident(&sql, j->flow->target->cols[t->keys[i]].name);
        }
        buf_puts(&sql, ")");
        ok = ops->exec(w->session, buf_cstr(&sql), NULL, err);
    }
    ok = ok &&
         books_table_loaded(&w->books, j->flow->rec.table->oid, j->flow->rec.load, j->rows, err) &&
         ops->commit(w->session, err);
    if (!ok)
        ops->rollback(w->session);
    buf_free(&sql);
    if (ok) {
        j->flow->rec.loaded = true;
        j->flow->rec.rows = j->rows;
        log_info("table loaded table=%s.%s rows=%lld load=%lld", j->flow->rec.table->schema,
                 j->flow->rec.table->name, (long long)j->rows, (long long)j->flow->rec.load);
    }
    return ok;
}

/* This table stops, the others go on. */
static bool stop_job(struct worker *w, struct job *j, struct error *err)
{
    struct snapshot *snap = w->snap;
    char reason[2100];
    bool ok = true;

    pthread_mutex_lock(&snap->lock);
    if (!j->stopped) {
        j->stopped = true;
        if (err->kind == ERROR_RETRY) {
            log_warn("table must be loaded under another point table=%s.%s why=%s",
                     j->flow->rec.table->schema, j->flow->rec.table->name, err->message);
            j->again = true;
        } else {
            snprintf(reason, sizeof(reason), "%s%s%s", err->message, err->hint[0] ? "; " : "",
                     err->hint);
            ok = flow_stop_table(snap->p, &w->books, j->flow->rec.table->oid, TABLE_NEEDS_SNAPSHOT,
                                 reason, err);
        }
    }
    pthread_mutex_unlock(&snap->lock);
    return ok;
}

static void equip(struct worker *w, struct job *j)
{
    struct pipeline *p = w->snap->p;
    struct worker_table *t = &w->tables[j - w->snap->jobs];

    if (t->encoder == NULL) {
        t->encoder =
            encoder_new(j->flow->table, p->o.source->block, j->flow->value_id, j->flow->key_id);
        t->loader = loader_new(p->o.warehouse, w->session, j->flow->target, j->flow->decoder,
                               j->flow->rec.table->oid, pipeline_overflow_mode(p));
    }
    w->current = t;
}

static bool work(struct worker *w, struct error *err)
{
    struct snapshot *snap = w->snap;
    const struct chunk *c = NULL;
    struct job *j = NULL;

    while (next_chunk(snap, &j, &c)) {
        int64_t rows = 0;
        bool last;

        equip(w, j);
        if (!copy_chunk(w, j, c, &rows, err)) {
            bool tables_fault =
                err->kind == ERROR_DATA || (err->kind == ERROR_RETRY && err->table != 0);

            if (!tables_fault || !stop_job(w, j, err))
                return false;
            continue;
        }
        pthread_mutex_lock(&snap->lock);
        j->rows += rows;
        last = --j->left == 0 && !j->stopped;
        pthread_mutex_unlock(&snap->lock);
        if (last && !finish_table(w, j, err)) {
            if (err->kind != ERROR_DATA || !stop_job(w, j, err))
                return false;
        }
    }
    return true;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct pipeline *p = w->snap->p;
    struct error err;
    char role[32];

    log_set_connector(p->o.source_name);
    snprintf(role, sizeof(role), "load%d", w->number);
    if (!p->o.source->reader_open(w->snap->point, &w->reader, &err) ||
        !pipeline_connect(p, role, &w->session, &err)) {
        fail(w->snap, &err);
        return NULL;
    }
    w->books = p->books;
    w->books.session = w->session;
    if (!work(w, &err))
        fail(w->snap, &err);
    return NULL;
}

static void worker_free(struct worker *w)
{
    int i;

    for (i = 0; i < w->snap->njobs; i++) {
        encoder_free(w->tables[i].encoder);
        loader_free(w->tables[i].loader);
    }
    mem_free(w->tables);
    buf_free(&w->event);
    w->snap->p->o.source->reader_close(w->reader);
    pipeline_disconnect(w->snap->p, w->session);
}

static void worker_init(struct worker *w, struct snapshot *snap, int number)
{
    memset(w, 0, sizeof(*w));
    w->snap = snap;
    w->number = number;
    w->tables = mem_calloc((size_t)snap->njobs, sizeof(*w->tables));
    w->meta.csn = snap->s - 1;
    w->meta.source_us = snap->point_us;
    w->meta.server_name = config_string(snap->p->o.source_config, "topic.prefix");
    w->meta.database = snap->p->identity.database;
    w->meta.snapshot = "true";
    w->meta.lsn = (uint64_t)snap->s;
}

static void run_workers(struct snapshot *snap, int n)
{
    struct worker workers[MAX_WORKERS];
    bool started[MAX_WORKERS] = {false};
    struct error err;
    int i;

    for (i = 0; i < n; i++) {
        worker_init(&workers[i], snap, i + 1);
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0) {
            started[i] = true;
        } else if (i == 0) {
            error_set(&err, ERROR_RETRY, "no thread could be started");
            fail(snap, &err);
        }
    }
    for (i = 0; i < n; i++) {
        if (started[i])
            pthread_join(workers[i].thread, NULL);
        worker_free(&workers[i]);
    }
}

/* A new load of one table: its row in the books and an empty table aside, in one transaction. */
static bool begin_load(struct snapshot *snap, struct job *j, struct error *err)
{
    struct pipeline *p = snap->p;
    const struct warehouse_ops *ops = p->o.warehouse;
    struct table_record *rec = &j->flow->rec;
    struct buf sql = {0};
    char old_aside[64];
    bool ok;

    snprintf(old_aside, sizeof(old_aside), "_penstock_load_%lld", (long long)rec->load);
    if (!ops->begin(p->books.session, err))
        return false;
    ok = true;
    if (rec->load > 0) {
        buf_puts(&sql, "DROP TABLE IF EXISTS ");
        target_sql_name(&sql, rec->target_schema, old_aside);
    }
    ok = books_next_load(&p->books, &rec->load, err);
    snprintf(j->aside, sizeof(j->aside), "_penstock_load_%lld", (long long)rec->load);
    rec->state = TABLE_LOADING;
    rec->loaded = false;
    rec->s = snap->s;
    rec->rows = 0;
    /* The table's other rows are of loads that this one replaces. */
    ok = ok && books_table_remove(&p->books, rec->table->oid, err) &&
         books_table_put(&p->books, rec, err);
    if (ok) {
        struct buf create = {0};

        buf_puts(&create, "CREATE SCHEMA IF NOT EXISTS ");
        buf_sql_ident(&create, rec->target_schema);
        ok = ops->exec(p->books.session, buf_cstr(&create), NULL, err);
        ok = ok && (sql.len == 0 || ops->exec(p->books.session, buf_cstr(&sql), NULL, err));
        buf_reset(&create);
        target_sql_create(&create, j->flow->target, rec->target_schema, j->aside);
        ok = ok && ops->exec(p->books.session, buf_cstr(&create), NULL, err);
        buf_free(&create);
    }
    ok = ok && ops->commit(p->books.session, err);
    if (!ok)
        ops->rollback(p->books.session);
    buf_free(&sql);
    flow_show(p, j->flow, j->st->table->est_rows);
    return ok;
}

static bool begin_jobs(struct snapshot *snap, struct source_table *tables, int ntables,
                       struct error *err)
{
    struct pipeline *p = snap->p;
    int i;

    snap->jobs = mem_calloc((size_t)ntables + 1, sizeof(*snap->jobs));
    for (i = 0; i < ntables; i++) {
        struct flow *f = flow_find(p, tables[i].table->oid);
        struct job *j = &snap->jobs[snap->njobs];

        if (f == NULL || f->decoder == NULL || f->rec.state != TABLE_LOADING || f->rec.loaded)
            continue;
        j->flow = f;
        j->st = &tables[i];
        j->left = tables[i].nchunks;
        if (!begin_load(snap, j, err))
            return false;
        snap->njobs++;
    }
    return true;
}

/* Tables without a chunk (snapshot.mode no_data) are complete at once. */
static bool finish_empty(struct snapshot *snap, struct error *err)
{
    struct worker w;
    bool ok = true;
    int i;

    worker_init(&w, snap, 0);
    w.session = snap->p->books.session;
    w.books = snap->p->books;
    for (i = 0; ok && i < snap->njobs; i++) {
        if (snap->jobs[i].st->nchunks == 0)
            ok = finish_table(&w, &snap->jobs[i], err);
    }
    mem_free(w.tables);
    return ok;
}

bool snapshot_run(struct pipeline *p, struct source_point *point, int64_t s,
                  struct source_table *tables, int ntables, bool *again, struct error *err)
{
    struct snapshot snap = {.p = p, .point = point, .s = s, .point_us = clock_wall_us()};
    int threads = (int)config_int(p->o.source_config, "snapshot.max.threads");
    int chunks = 0;
    int i;
    bool ok;

    pthread_mutex_init(&snap.lock, NULL);
    *again = false;
    ok = begin_jobs(&snap, tables, ntables, err) && finish_empty(&snap, err);
    for (i = 0; i < snap.njobs; i++)
        chunks += snap.jobs[i].st->nchunks;
    if (ok && chunks > 0) {
        threads = threads < 1 ? 1 : threads > MAX_WORKERS ? MAX_WORKERS : threads;
        run_workers(&snap, threads < chunks ? threads : chunks);
        ok = !snap.failed;
        if (!ok)
            *err = snap.err;
    }
    if (ok && atomic_load(&p->stop)) {
        ok = error_set(err, ERROR_RETRY, "stopped while tables were loaded");
    }
    for (i = 0; i < snap.njobs; i++)
        *again |= snap.jobs[i].again;
    mem_free(snap.jobs);
    pthread_mutex_destroy(&snap.lock);
    return ok;
}
