/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies tables as of one exact point S into tables aside: many small chunks handed to
 * snapshot.max.threads workers. Each worker has a source connection and a warehouse session of its
 * own; each chunk is one short source transaction and one warehouse transaction with its row in
 * snapshot_chunks. Rows pass through as events, the bytes that the stream would carry.
 *
 * A value that cannot be carried stops its table; a table that was rewritten under the point is
 * left for another one (ERROR_RETRY with err.table set); anything else ends the copying.
 *
 * In the background (struct load) the sink is who writes into the books that a copy is complete,
 * together with the checkpoint; the worker that copied the last chunk has the copy take in its
 * spool at once, so that a small table does not wait for a large one.
 */
#include "load/loader.h"
#include "load/ranges.h"
#include "metrics/metrics.h"
#include "pipeline/load.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define MAX_WORKERS 16
#define SHOW_EVERY 2048 /* rows */

struct job {
    struct snapshot_task *task;
    struct flow *flow;
    const struct source_table *st;
    const struct chunk *chunks;
    int nchunks;
    bool by_ranges;
    int next; /* chunk to hand out */
    int left; /* chunks not finished */
    int64_t rows;
    bool stopped; /* no more chunks of it */
    char aside[ASIDE_SIZE];
};

struct snapshot {
    struct pipeline *p;
    struct books *books; /* of the thread that called */
    struct source_point *point;
    atomic_bool *stop;
    int64_t s;
    int64_t point_us;
    pthread_mutex_t lock;
    struct arena *arena;
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
    struct job *job;             /* whose chunk is being copied */
    int64_t unshown, shown;      /* rows of that chunk */
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
    while (!found && !snap->failed && snap->current < snap->njobs && !atomic_load(snap->stop)) {
        struct job *j = &snap->jobs[snap->current];
        struct load *l = j->task->load;

        if (l != NULL && atomic_load(&l->void_))
            j->stopped = true;
        if (j->stopped || j->next >= j->nchunks) {
            snap->current++;
            continue;
        }
        *job = j;
        *chunk = &j->chunks[j->next++];
        found = true;
    }
    pthread_mutex_unlock(&snap->lock);
    return found;
}

/* For who watches a copy: rows are counted as they come, also before their chunk's commit. */
static void show_rows(struct worker *w, int64_t rows, int64_t total)
{
    const struct table *t = w->job->flow->rec.table;
    const struct pipeline *p = w->snap->p;

    w->shown += rows;
    w->unshown = 0;
    if (w->job->task->load == NULL || !w->job->task->load->over_live)
        board_add_rows(p->o.board, p->o.source_name, t->schema, t->name, rows, total);
}

static bool on_row(void *ctx, const struct table *t, const struct value *values, struct error *err)
{
    struct worker *w = ctx;
    struct change c = {.op = CHANGE_READ, .table = t, .after = values};
    bool unavailable;

    if (++w->unshown == SHOW_EVERY)
        show_rows(w, w->unshown, -1);
    buf_reset(&w->event);
    return encoder_value(w->current->encoder, &c, &w->meta, &w->event, &unavailable, err) &&
           loader_append_event(w->current->loader, w->event.data, w->event.len, err);
}

/* In the chunk's own transaction. */
static bool note_chunk(struct worker *w, struct job *j, const struct chunk *c, int64_t rows,
                       struct error *err)
{
    const struct table_record *rec = &j->flow->rec;

    if (j->by_ranges)
        return books_chunk_done(&w->books, rec->table->oid, rec->load, c->number, rows, w->snap->s,
                                err);
    return books_chunk_add(&w->books, rec->table->oid, rec->load, c->number, rows, err);
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
    w->job = j;
    w->shown = w->unshown = 0;
    if (!ops->begin(w->session, err))
        return false;
    if (!books_load_lock(&w->books, oid, j->flow->rec.load, err) ||
        !loader_append_begin(l, j->flow->rec.target_schema, j->aside, err) ||
        !p->o.source->reader_chunk(w->reader, j->flow->table, c, on_row, w, err) ||
        !loader_append_end(l, rows, &nulled, err) || !note_chunk(w, j, c, *rows, err) ||
        !ops->commit(w->session, err)) {
        loader_append_abort(l);
        ops->rollback(w->session);
        show_rows(w, -w->shown, -1);
        return false;
    }
    FAILPOINT("snapshot.chunk-committed");
    if (j->by_ranges)
        loads_helped(p, oid); /* that much need not be done again */
    if (ops->maintain != NULL && !ops->maintain(w->session, false, err))
        return false;
    if (nulled > 0)
        metric_add(METRIC_SINK_NULLED, p->o.sink_name, nulled);
    metric_add(METRIC_SINK_ROWS, p->o.sink_name, *rows);
    return true;
}

/*
 * One more chunk is copied; the lock is held. What the planner believed of the table's size gives
 * way to what its chunks held so far: they are equal pieces of it, more or less.
 */
static void show_chunk(struct worker *w, const struct job *j, int64_t rows)
{
    int done = j->nchunks - j->left;
    int64_t total = j->rows;

    if (j->left > 0 && j->by_ranges)
        total = j->st->table->est_rows > j->rows ? j->st->table->est_rows : j->rows + 1;
    else if (j->left > 0)
        total = (int64_t)((double)j->rows * j->nchunks / done) + 1;
    show_rows(w, rows - w->shown, total);
}

static bool exec(struct books *b, struct buf *sql, struct error *err)
{
    bool ok = b->ops->exec(b->session, buf_cstr(sql), NULL, err);

    buf_free(sql);
    return ok;
}

static bool add_key(struct books *b, struct job *j, struct error *err)
{
    const struct table *t = j->flow->event_table;
    struct buf sql = {0};
    int i;

    if (!b->ops->dialect->primary_key || t->nkeys == 0)
        return true;
    buf_puts(&sql, "ALTER TABLE ");
    target_sql_name(&sql, j->flow->rec.target_schema, j->aside);
    buf_puts(&sql, " ADD PRIMARY KEY (");
    for (i = 0; i < t->nkeys; i++) {
        buf_puts(&sql, i > 0 ? ", " : "");
        buf_sql_ident(&sql, j->flow->target->cols[t->keys[i]].name);
    }
    buf_puts(&sql, ")");
    return exec(b, &sql, err);
}

/* One that goes on later must not get its key twice. */
static bool note_key(struct books *b, struct job *j, struct error *err)
{
    const struct table_record *rec = &j->flow->rec;
    const struct books_chunk keyed = {.number = LOAD_CHUNK_KEY, .done = true};

    return !j->by_ranges || books_chunk_put(b, rec->table->oid, rec->load, &keyed, err);
}

/* The copy is complete: its key, and the books say so (or the sink will). */
static bool finish_copy(struct books *b, struct job *j, struct error *err)
{
    const struct table_record *rec = &j->flow->rec;
    struct load *l = j->task->load;
    bool ok = b->ops->begin(b->session, err) &&
              books_load_lock(b, rec->table->oid, rec->load, err) &&
              ((l != NULL && l->keyed) || (add_key(b, j, err) && note_key(b, j, err))) &&
              (l != NULL || books_table_loaded(b, rec->table->oid, rec->load, j->rows, err)) &&
              b->ops->commit(b->session, err);

    if (!ok)
        b->ops->rollback(b->session);
    return ok;
}

static bool finish_table(struct worker *w, struct job *j, struct error *err)
{
    struct load *l = j->task->load;
    struct table_record *rec = &j->flow->rec;

    if (!finish_copy(&w->books, j, err))
        return false;
    FAILPOINT("snapshot.copy-finished");
    log_info("table loaded table=%s.%s rows=%lld load=%lld", rec->table->schema, rec->table->name,
             (long long)j->rows, (long long)rec->load);
    if (l == NULL) {
        rec->loaded = true;
        rec->rows = j->rows;
        return true;
    }
    l->rows = j->rows;
    atomic_store(&l->newest, w->snap->s);
    atomic_store(&l->copied, true);
    return load_catch_up(w->snap->p, &w->books, l, w->snap->stop, err);
}

/* This table stops, the others go on. */
static bool stop_table(struct worker *w, struct job *j, struct error *err)
{
    struct pipeline *p = w->snap->p;
    struct table_record *rec = &j->flow->rec;
    struct error why = *err;
    char reason[2100];

    j->task->stopped = true;
    if (j->task->load != NULL)
        return load_give_up(p, &w->books, j->task->load, &why, err);
    flow_reason(&why, reason, sizeof(reason));
    return flow_stop_table(p, &w->books, rec->table->oid, TABLE_NEEDS_SNAPSHOT, reason, err);
}

static bool stop_job(struct worker *w, struct job *j, struct error *err)
{
    struct snapshot *snap = w->snap;
    bool ok = true;

    pthread_mutex_lock(&snap->lock);
    if (!j->stopped) {
        j->stopped = true;
        if (err->kind == ERROR_RETRY) {
            log_warn("table must be loaded under another point table=%s.%s why=%s",
                     j->flow->rec.table->schema, j->flow->rec.table->name, err->message);
            j->task->again = true;
        } else {
            ok = stop_table(w, j, err);
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

            if (j->task->load != NULL && atomic_load(&j->task->load->void_))
                continue; /* its copy has just been dropped */
            if (!tables_fault || !stop_job(w, j, err))
                return false;
            continue;
        }
        pthread_mutex_lock(&snap->lock);
        j->rows += rows;
        if (j->task->load != NULL && j->task->load->ranges != NULL)
            ranges_set(j->task->load->ranges, c->number, snap->s);
        last = --j->left == 0 && !j->stopped;
        show_chunk(w, j, rows);
        pthread_mutex_unlock(&snap->lock);
        if (last && !finish_table(w, j, err)) {
            if (j->task->load != NULL && atomic_load(&j->task->load->void_))
                continue;
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
        !pipeline_connect(p, role, w->snap->books != &p->books, &w->session, &err)) {
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

/* The connector's own thread looks meanwhile at what the source keeps. */
static void join(struct snapshot *snap, pthread_t thread)
{
    struct pipeline *p = snap->p;
    struct timespec until;

    if (snap->books != &p->books) {
        pthread_join(thread, NULL);
        return;
    }
    p->first_load = true;
    for (;;) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        if (pthread_timedjoin_np(thread, NULL, &until) != ETIMEDOUT)
            break;
        retained_look(p, false);
    }
    p->first_load = false;
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
            join(snap, workers[i].thread);
        worker_free(&workers[i]);
    }
}

/* An empty table aside, instead of an earlier one's. */
static bool make_aside(struct books *b, struct job *j, int64_t old_load, struct error *err)
{
    const struct table_record *rec = &j->flow->rec;
    char old[ASIDE_SIZE];
    struct buf sql = {0};

    buf_puts(&sql, "CREATE SCHEMA IF NOT EXISTS ");
    buf_sql_ident(&sql, rec->target_schema);
    if (!exec(b, &sql, err))
        return false;
    flow_aside(old_load, old);
    buf_puts(&sql, "DROP TABLE IF EXISTS ");
    target_sql_name(&sql, rec->target_schema, old);
    if (old_load > 0 && !exec(b, &sql, err))
        return false;
    buf_free(&sql);
    target_sql_create(&sql, j->flow->target, rec->target_schema, j->aside);
    return exec(b, &sql, err);
}

/* A new load of one table: its row in the books and an empty table aside, in one transaction. */
static bool begin_load(struct snapshot *snap, struct job *j, struct error *err)
{
    struct books *b = snap->books;
    struct table_record *rec = &j->flow->rec;
    struct load *l = j->task->load;
    int64_t old_load = l == NULL ? rec->load : l->replaces;
    bool ok = b->ops->begin(b->session, err);

    if (!ok)
        return false;
    ok = l != NULL || books_next_load(b, &rec->load, err);
    flow_aside(rec->load, j->aside);
    rec->state = TABLE_LOADING;
    rec->loaded = false;
    rec->s = snap->s;
    rec->rows = 0;
    rec->spool_bytes = rec->spool_applied = 0;
    ok = ok && flows_drop_orphans(b, rec, l != NULL && l->over_live, err) &&
         ((l != NULL && l->over_live) || books_table_remove(b, rec->table->oid, err)) &&
         books_table_put(b, rec, err) && make_aside(b, j, old_load, err) &&
         (!j->by_ranges || load_ranges_plan(b, rec, j->st, err)) && b->ops->commit(b->session, err);
    if (!ok) {
        b->ops->rollback(b->session);
        return false;
    }
    FAILPOINT("snapshot.begun");
    if (l != NULL) {
        l->by_ranges = j->by_ranges;
        atomic_store(&l->begun, true);
    }
    if (l == NULL || !l->over_live)
        flow_show(snap->p, j->flow, j->st->table->est_rows);
    return true;
}

/* It cannot go on: from nothing, under another point. */
static void start_again(struct job *j, const struct error *why)
{
    log_warn("table load starts again table=%s.%s why=%s", j->flow->rec.table->schema,
             j->flow->rec.table->name, why->message);
    j->task->again = j->stopped = true;
}

/* A load that was cut off: what the books say is copied stays, whoever copied it. */
static bool go_on(struct snapshot *snap, struct job *j, struct error *err)
{
    struct table_record *rec = &j->flow->rec;
    struct load *l = j->task->load;
    struct load_copy copy;
    struct error why;

    if (!load_copy_read(snap->books, snap->arena, rec, &copy, err))
        return false;
    flow_aside(rec->load, j->aside);
    ranges_free(l->ranges);
    if (!load_ranges_new(&l->ranges, j->flow, &copy, &why)) {
        start_again(j, &why);
        return true;
    }
    j->by_ranges = true;
    j->chunks = load_ranges_missing(snap->arena, &copy, j->st, &j->nchunks);
    j->left = j->nchunks;
    j->rows = rec->rows = copy.rows;
    l->keyed = copy.keyed;
    log_info("table load goes on table=%s.%s load=%lld ranges=%d of=%d", rec->table->schema,
             rec->table->name, (long long)rec->load, copy.done, copy.n);
    if (!l->over_live)
        flow_show(snap->p, j->flow, j->st->table->est_rows);
    return true;
}

static bool begin_jobs(struct snapshot *snap, struct snapshot_task *tasks, int n, struct error *err)
{
    int i;

    snap->jobs = mem_calloc((size_t)n + 1, sizeof(*snap->jobs));
    for (i = 0; i < n; i++) {
        struct job *j = &snap->jobs[snap->njobs++];

        j->task = &tasks[i];
        j->flow = tasks[i].flow;
        j->st = tasks[i].st;
        if (j->task->load != NULL && j->task->load->goes_on) {
            if (!go_on(snap, j, err))
                return false;
            continue;
        }
        j->chunks = j->st->chunks;
        j->left = j->nchunks = j->st->nchunks;
        j->by_ranges = load_is_by_ranges(j->st);
        if (!begin_load(snap, j, err))
            return false;
    }
    return true;
}

/* Tables without a chunk (snapshot.mode no_data, every range copied) are complete at once. */
static bool finish_empty(struct snapshot *snap, struct error *err)
{
    struct worker w;
    bool ok = true;
    int i;

    worker_init(&w, snap, 0);
    w.session = snap->books->session;
    w.books = *snap->books;
    for (i = 0; ok && i < snap->njobs; i++) {
        struct job *j = &snap->jobs[i];

        if (j->nchunks > 0 || j->stopped || finish_table(&w, j, err))
            continue;
        if (j->task->load != NULL && atomic_load(&j->task->load->void_))
            continue;
        ok = err->kind == ERROR_DATA && stop_job(&w, j, err);
    }
    mem_free(w.tables);
    return ok;
}

bool snapshot_run(struct pipeline *p, struct books *books, struct source_point *point, int64_t s,
                  struct snapshot_task *tasks, int n, atomic_bool *stop, struct error *err)
{
    struct snapshot snap = {.p = p,
                            .books = books,
                            .point = point,
                            .stop = stop,
                            .s = s,
                            .point_us = clock_wall_us(),
                            .arena = arena_new("ranges to copy")};
    int threads = (int)config_int(p->o.source_config, "snapshot.max.threads");
    int chunks = 0;
    int i;
    bool ok;

    pthread_mutex_init(&snap.lock, NULL);
    ok = begin_jobs(&snap, tasks, n, err) && finish_empty(&snap, err);
    for (i = 0; i < snap.njobs; i++)
        chunks += snap.jobs[i].nchunks;
    if (ok && chunks > 0) {
        threads = threads < 1 ? 1 : threads > MAX_WORKERS ? MAX_WORKERS : threads;
        run_workers(&snap, threads < chunks ? threads : chunks);
        ok = !snap.failed;
        if (!ok)
            *err = snap.err;
    }
    if (ok && atomic_load(stop))
        ok = error_set(err, ERROR_RETRY, "stopped while tables were loaded");
    mem_free(snap.jobs);
    arena_free(snap.arena);
    pthread_mutex_destroy(&snap.lock);
    return ok;
}
