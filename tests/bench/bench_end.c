/* SPDX-License-Identifier: Apache-2.0 */
/*
 * End to end: the real program takes a log that waits in the server (rows inserted and then
 * updated, transactions of 1 to 100 rows) into DuckDB, and into another Postgres. Measured from its
 * first request for the log until its checkpoint says that the last commit is in the warehouse.
 *
 * The baseline is a ceiling, computed in each repetition from what the same work costs in
 * processor time where nothing else is done: a loop that discards the log (walsender and receiver)
 * and a loop that applies the same rows in batches of the size that ours had. Two processors that
 * do nothing but this, without a pause, would reach 2 / (the three costs of a row).
 *
 * Memory: the most that was resident in the program, and in the process of the bare loop.
 */
#include "bare.h"
#include "discard.h"
#include "program.h"
#include "workload.h"

#define REPETITIONS 5
#define OTHERS_MOST 0.2 /* processors: a repetition that counts */
#define LEAST_RATE 5000 /* rows a second: slower than that is no measurement but a failure */
#define TIME_LIMIT_S 45 /* of one warehouse: then no more repetitions are begun */

enum kind { DUCKDB, POSTGRES };

static const char *const prefixes[] = {"duck", "pg"};

struct end {
    enum kind kind;
    struct server source, warehouse;
    PGconn *control, *admin; /* of the two servers */
    struct program program;
    int64_t rows, changes;
    double last_commit; /* seconds since 1970 */
    char folder[80], file[128], base[140], url[256], slot[32], kept[32];
};

/* What one run took. */
struct run {
    double wall, cpu, walsender, server, peak_mb;
    double others; /* processors that other programs had meanwhile */
    int64_t batch; /* rows, on average */
};

/* What the bare loop took: the process itself and the server's session. */
struct bare {
    double wall, cpu, peak_mb;
};

/* --- ours --- */

static void copy_file(const char *from, const char *to)
{
    char command[400];

    snprintf(command, sizeof(command), "rm -f %s %s.wal && cp %s %s", to, to, from, to);
    if (system(command) != 0)
        server_fail(command);
}

static void sql(PGconn *c, const char *format, const char *a, const char *b)
{
    char text[300];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof(text), format, a, b);
#pragma GCC diagnostic pop
    server_run(c, text);
}

/* The warehouse and the slot as they were before the log was written. */
static void rewind_all(struct end *e)
{
    slot_wait_free(e->control, e->slot);
    sql(e->control, "SELECT pg_drop_replication_slot('%s')", e->slot, "");
    sql(e->control, "SELECT pg_copy_logical_replication_slot('%s', '%s')", e->kept, e->slot);
    if (e->kind == DUCKDB) {
        copy_file(e->base, e->file);
        return;
    }
    server_run(e->admin, "DROP DATABASE IF EXISTS wh WITH (FORCE)");
    server_run(e->admin, "CREATE DATABASE wh TEMPLATE wh_base");
    server_run(e->admin, "CHECKPOINT");
}

static double server_cpu(const struct end *e)
{
    char out[400] = "", *at;
    double cpu = 0;

    if (e->kind == DUCKDB)
        return 0;
    server_ask(e->admin,
               "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE datname = 'wh'", out,
               sizeof(out));
    for (at = strtok(out, " "); at != NULL; at = strtok(NULL, " "))
        cpu += bench_process_cpu(atoi(at));
    return cpu;
}

static void run_ours(struct end *e, struct run *r)
{
    struct program *p = &e->program;
    double us;
    pid_t walsender;

    rewind_all(e);
    program_start(p);
    program_wait_log(p, "streaming from=");
    r->wall = bench_now();
    r->cpu = bench_process_cpu(p->pid);
    walsender = slot_reader(e->control, e->slot);
    r->server = server_cpu(e);
    us = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    r->others = bench_busy();
    while (program_metric(p, "penstock_watermark_timestamp_seconds") < e->last_commit - 2e-6) {
        program_check(p);
        if (bench_now() - r->wall > 120 + (double)e->changes / LEAST_RATE)
            program_fail(p, "the last commit does not come into the warehouse");
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    r->wall = bench_now() - r->wall;
    r->cpu = bench_process_cpu(p->pid) - r->cpu;
    r->walsender = bench_process_cpu(walsender);
    r->server = server_cpu(e) - r->server;
    us = bench_clock(CLOCK_PROCESS_CPUTIME_ID) - us;
    r->others = (bench_busy() - r->others - r->cpu - r->walsender - r->server - us) / r->wall;
    r->others = r->others < 0 ? 0 : r->others;
    r->peak_mb = bench_process_peak(p->pid);
    r->batch = (int64_t)(program_metric(p, "penstock_sink_rows_total") /
                         program_metric(p, "penstock_sink_batches_total"));
    program_stop(p);
}

/* --- the bare loops --- */

static void make_rows(const struct end *e, struct row *rows, int64_t from, int64_t n)
{
    int64_t i;

    for (i = 0; i < n; i++) {
        int64_t at = from + i;

        row_make(&rows[i], at % e->rows + 1, at >= e->rows,
                 at >= e->rows ? ROW_UPDATE : ROW_INSERT);
    }
}

struct loop {
    struct bare_duckdb duck;
    struct bare_postgres pg;
};

static void loop_open(struct end *e, struct loop *l)
{
    char path[150], info[200];

    if (e->kind == DUCKDB) {
        snprintf(path, sizeof(path), "%s/bare.duckdb", e->folder);
        bare_duckdb_open(&l->duck, path);
        return;
    }
    snprintf(info, sizeof(info), "host=%s port=%d user=postgres dbname=bare", e->warehouse.dir,
             e->warehouse.port);
    bare_pg_open(&l->pg, PQconnectdb(info));
}

/* In a process of its own, for its memory; rows are made between the batches, off the clocks. */
static void bare_child(struct end *e, int64_t batch, struct bare *out)
{
    struct row *rows = malloc((size_t)batch * sizeof(*rows));
    struct loop l;
    int64_t at, n;
    int pid = 0;

    memset(out, 0, sizeof(*out));
    if (rows == NULL)
        abort();
    loop_open(e, &l);
    if (e->kind == POSTGRES)
        pid = PQbackendPID(l.pg.con);
    for (at = 0; at < e->changes; at += n) {
        double wall, cpu;

        n = e->changes - at < batch ? e->changes - at : batch;
        make_rows(e, rows, at, n);
        wall = bench_now();
        cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID) + (pid != 0 ? bench_process_cpu(pid) : 0);
        if (e->kind == DUCKDB)
            bare_duckdb_apply(&l.duck, rows, n);
        else
            bare_pg_apply(&l.pg, rows, n);
        out->wall += bench_now() - wall;
        out->cpu +=
            bench_clock(CLOCK_PROCESS_CPUTIME_ID) + (pid != 0 ? bench_process_cpu(pid) : 0) - cpu;
    }
    out->peak_mb = bench_process_peak(getpid());
}

static void run_bare(struct end *e, int64_t batch, struct bare *b)
{
    char path[150];
    int fds[2], status;
    pid_t pid;

    if (e->kind == POSTGRES) {
        server_run(e->admin, "DROP DATABASE IF EXISTS bare WITH (FORCE)");
        server_run(e->admin, "CREATE DATABASE bare TEMPLATE bare_base");
        server_run(e->admin, "CHECKPOINT");
    }
    fflush(stdout);
    if (pipe(fds) != 0)
        abort();
    pid = fork();
    if (pid == 0) {
        bare_child(e, batch, b);
        _exit(write(fds[1], b, sizeof(*b)) == (ssize_t)sizeof(*b) ? 0 : 1);
    }
    close(fds[1]);
    if (read(fds[0], b, sizeof(*b)) != (ssize_t)sizeof(*b) || waitpid(pid, &status, 0) != pid)
        server_fail("the bare loop has failed");
    close(fds[0]);
    snprintf(path, sizeof(path), "%s/bare.duckdb", e->folder);
    unlink(path);
    strcat(path, ".wal");
    unlink(path);
}

/* --- setting up --- */

/* The first start: the empty table is loaded, the slot made; then copies of both are kept. */
static void first_start(struct end *e)
{
    const char *prefix = prefixes[e->kind];

    snprintf(e->slot, sizeof(e->slot), "penstock_%s", prefix);
    snprintf(e->kept, sizeof(e->kept), "kept_%s", prefix);
    snprintf(e->folder, sizeof(e->folder), "%s/%s", server_own_folder(), prefix);
    snprintf(e->file, sizeof(e->file), "%s/wh.duckdb", e->folder);
    snprintf(e->base, sizeof(e->base), "%s/base.duckdb", e->folder);
    program_init(&e->program, e->folder);
    if (e->kind == DUCKDB) {
        snprintf(e->url, sizeof(e->url), "duckdb:%s", e->file);
    } else {
        snprintf(e->url, sizeof(e->url), "postgres://postgres@/wh?host=%s&port=%d",
                 e->warehouse.dir, e->warehouse.port);
        server_run(e->admin, "CREATE DATABASE wh");
    }
    program_configure(&e->program, &e->source, false, prefix,
                      e->kind == DUCKDB ? "duckdb" : "postgres-warehouse", e->url);
    program_start(&e->program);
    program_wait_log(&e->program, "table live");
    program_stop(&e->program);
    sql(e->control, "SELECT pg_copy_logical_replication_slot('%s', '%s')", e->slot, e->kept);
    if (e->kind == DUCKDB) {
        copy_file(e->file, e->base);
    } else {
        server_run(e->admin, "CREATE DATABASE wh_base TEMPLATE wh");
        server_run(e->admin, "CREATE DATABASE bare_base");
    }
}

/* The bare loop's table, as ours is: with its key. */
static void bare_table(struct end *e)
{
    char info[200];
    PGconn *c;

    snprintf(info, sizeof(info), "host=%s port=%d user=postgres dbname=bare_base", e->warehouse.dir,
             e->warehouse.port);
    c = PQconnectdb(info);
    server_run(c, "CREATE TABLE t(id bigint PRIMARY KEY, a int, b int, qty smallint, amount "
                  "numeric(12,2), name text, descr text, note text, ts timestamptz, flag boolean, "
                  "u uuid, j jsonb)");
    PQfinish(c);
}

static void fill(struct end *e)
{
    char out[64];

    workload_fill(e->control, e->rows);
    server_ask(e->control, "SELECT extract(epoch FROM timestamp) FROM pg_last_committed_xact()",
               out, sizeof(out));
    e->last_commit = strtod(out, NULL);
}

/* --- measuring --- */

struct results {
    struct bench_row rate, left, cpu, memory;
};

static void note(const struct end *e, const struct run *r, const struct taken *log,
                 const struct bare *b)
{
    double n = (double)e->changes * 1e-6;

    printf("%s: %.0fk rows/s in batches of %lld; others had %.2f processors; us a row: ours %.2f, "
           "walsender %.2f, warehouse's "
           "server %.2f; bare: walsender %.2f, receiver %.2f, apply %.2f (wall %.2f)\n",
           prefixes[e->kind], (double)e->changes / r->wall / 1000, (long long)r->batch, r->others,
           r->cpu / n, r->walsender / n, r->server / n, log->walsender / n, log->receiver / n,
           b->cpu / n, b->wall / n);
    fflush(stdout);
}

static void add(struct results *res, const struct run *r, double n, double bare, double peak_mb)
{
    double others = r->others > 1.9 ? 1.9 : r->others;

    bench_add(&res->rate, n / r->wall, 2 * n / bare);
    bench_add(&res->left, n / r->wall, (2 - others) * n / bare);
    bench_add(&res->cpu, (r->cpu + r->walsender + r->server) / n, bare / n);
    bench_add(&res->memory, r->peak_mb, peak_mb);
}

/* Repetitions in which other programs had much of the processors count only if none is better. */
static void measure(struct end *e, struct results *res)
{
    struct results disturbed = *res;
    double began = bench_now();
    int i;

    for (i = 0; i < BENCH_MOST && res->rate.n < REPETITIONS && bench_now() - began < TIME_LIMIT_S;
         i++) {
        struct run r;
        struct taken log;
        struct bare b;
        double bare;
        cpu_set_t all;

        sched_getaffinity(0, sizeof(all), &all);
        run_ours(e, &r);
        discard_run(&e->source, false, e->control, e->kept, e->slot, e->changes, &log);
        sched_setaffinity(0, sizeof(all), &all);
        run_bare(e, r.batch, &b);
        bare = log.walsender + log.receiver + b.cpu;
        add(r.others <= OTHERS_MOST ? res : &disturbed, &r, (double)e->changes, bare, b.peak_mb);
        note(e, &r, &log, &b);
    }
    if (res->rate.n == 0) {
        puts("none counts, other programs had the processors; the disturbed ones:");
        *res = disturbed;
        res->rate.disturbed = res->left.disturbed = true;
        res->cpu.disturbed = res->memory.disturbed = true;
    }
    res->rate.run = res->left.run = res->cpu.run = res->memory.run = i;
}

static const struct results forms[] = {
    [DUCKDB] = {.rate = {.what = "end to end, Postgres to DuckDB",
                         .unit = "k rows/s",
                         .scale = 1e-3,
                         .baseline = "ceiling of two processors",
                         .goal = ">= 0.6"},
                .left = {.what = "the same, of what other programs left, DuckDB",
                         .unit = "k rows/s",
                         .scale = 1e-3,
                         .baseline = "ceiling of what was left"},
                .cpu = {.what = "CPU of all, Postgres to DuckDB",
                        .unit = "us/row",
                        .scale = 1e6,
                        .baseline = "bare loops"},
                .memory = {.what = "peak memory, Postgres to DuckDB",
                           .unit = "MB",
                           .scale = 1,
                           .baseline = "bare DuckDB loop",
                           .goal = "<= 64 MB more"}},
    [POSTGRES] = {.rate = {.what = "end to end, Postgres to Postgres",
                           .unit = "k rows/s",
                           .scale = 1e-3,
                           .baseline = "ceiling of two processors"},
                  .left = {.what = "the same, of what other programs left, Postgres",
                           .unit = "k rows/s",
                           .scale = 1e-3,
                           .baseline = "ceiling of what was left"},
                  .cpu = {.what = "CPU of all, Postgres to Postgres",
                          .unit = "us/row",
                          .scale = 1e6,
                          .baseline = "bare loops"},
                  .memory = {.what = "peak memory, Postgres to Postgres",
                             .unit = "MB",
                             .scale = 1,
                             .baseline = "bare libpq loop",
                             .goal = "<= 64 MB in all"}},
};

int main(int argc, char **argv)
{
    static struct end ends[2];
    int64_t rows = argc > 1 ? strtoll(argv[1], NULL, 10) : 100000;
    int only = argc > 2 ? atoi(argv[2]) : -1;
    struct server *s = &ends[0].source, *w = &ends[0].warehouse;
    struct results res;
    int k;

    server_start(s, false, workload_source);
    server_start(w, false, workload_warehouse);
    ends[0].control = server_connect(s, "");
    ends[0].admin = server_connect(w, "options='-c client_min_messages=warning'");
    ends[0].rows = rows;
    ends[0].changes = 2 * rows;
    server_run(ends[0].control, workload_table);
    ends[1] = ends[0];
    for (k = DUCKDB; k <= POSTGRES; k++) {
        ends[k].kind = k;
        first_start(&ends[k]);
    }
    bare_table(&ends[POSTGRES]);
    fill(&ends[0]);
    ends[1].last_commit = ends[0].last_commit;
    for (k = DUCKDB; k <= POSTGRES; k++) {
        if (only >= 0 && k != only)
            continue;
        res = forms[k];
        measure(&ends[k], &res);
        bench_head("baseline");
        bench_print(&res.rate);
        bench_print(&res.left);
        bench_print(&res.cpu);
        bench_print(&res.memory);
    }
    puts("");
    PQfinish(ends[0].control);
    PQfinish(ends[0].admin);
    return 0;
}
