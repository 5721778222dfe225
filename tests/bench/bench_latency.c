/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From commit to queryable: the real program between a source on which transactions of one row are
 * committed at a fixed rate, and a warehouse that is asked again and again for the last row that
 * it has: Postgres over a connection, DuckDB over POST /v1/query of the program. A row's time runs
 * from the moment before its INSERT is sent until an answer that contains it has arrived. Peak
 * memory of the program is that of all rates together.
 */
#include "program.h"
#include "workload.h"

#include <pthread.h>
#include <stdatomic.h>

#define MOST_ROWS 20000
#define ASK_EVERY_NS 2000000         /* Postgres */
#define ASK_DUCKDB_EVERY_NS 10000000 /* a question costs the program some 4 ms of a processor */

enum kind { DUCKDB, POSTGRES };

struct line {
    enum kind kind;
    struct server source, warehouse;
    PGconn *control, *ask;
    struct program program;
    double sent[MOST_ROWS + 1]; /* per row */
    double seen[MOST_ROWS + 1];
    atomic_int nsent;
    int first, rate, count; /* of the rate that is being measured */
};

/* One row of the workload's shape, cheap to make. */
static const char insert[] =
    "INSERT INTO t VALUES ($1::bigint, 7919, 4711, 17, 1234.56, 'customer-' || "
    "'0123456789abcdef0123456789abcdef', 'descr 0123456789abcdef0123', NULL, '2024-05-06 "
    "07:08:09.101112+00', true, '00112233-4455-6677-8899-aabbccddeeff', '{\"k1\": 1, \"tag\": "
    "\"0123456789abcdef\", \"addr\": {\"zip\": \"12345\", \"city\": \"Springfield\"}, "
    "\"tags\": [\"a\", \"bb\", \"ccc\"]}')";

/* Commits at the rate; a late one is made up for. */
static void *generate(void *arg)
{
    struct line *l = arg;
    /* Else the log is written, and sent, only every 200 ms. */
    PGconn *c = server_connect(&l->source, "options='-c synchronous_commit=on'");
    double began = bench_now();
    PGresult *r;
    char id_text[16];
    const char *const values[] = {id_text};
    int i;

    PQclear(PQprepare(c, "one", insert, 0, NULL));
    for (i = 0; i < l->count; i++) {
        int id = l->first + i;
        double due = began + (double)i / l->rate, now = bench_now();

        if (due > now)
            nanosleep(
                &(struct timespec){.tv_sec = (time_t)(due - now),
                                   .tv_nsec = (long)((due - now - (time_t)(due - now)) * 1e9)},
                NULL);
        snprintf(id_text, sizeof(id_text), "%d", id);
        l->sent[id] = bench_now();
        r = PQexecPrepared(c, "one", 1, values, NULL, NULL, 0);
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            server_fail(PQerrorMessage(c));
        PQclear(r);
        atomic_store(&l->nsent, id);
    }
    PQfinish(c);
    return NULL;
}

/* The greatest row that the warehouse has. */
static int newest(struct line *l)
{
    char out[32] = "";

    if (l->kind == DUCKDB)
        return (int)program_query(&l->program, "SELECT max(id) FROM public.t");
    server_ask(l->ask, "SELECT max(id) FROM public.t", out, sizeof(out));
    return atoi(out);
}

static double percentile(const double *sorted, int n, double p)
{
    return sorted[(int)(p * (n - 1) + 0.5)];
}

/* Until the last row of the rate has been seen. */
static void watch(struct line *l)
{
    int last = l->first + l->count - 1, seen = l->first - 1;
    double until = bench_now() + (double)l->count / l->rate + 60;

    while (seen < last) {
        int have = newest(l);
        double now = bench_now();

        for (; seen < have; seen++)
            l->seen[seen + 1] = now;
        program_check(&l->program);
        if (now > until)
            program_fail(&l->program, "rows do not come into the warehouse");
        nanosleep(
            &(struct timespec){.tv_nsec = l->kind == DUCKDB ? ASK_DUCKDB_EVERY_NS : ASK_EVERY_NS},
            NULL);
    }
}

static void measure(struct line *l, int rate, int count, const char *names[2], const char *goal)
{
    static double took[MOST_ROWS];
    struct bench_row p50 = {
        .what = names[0], .unit = "ms", .scale = 1e3, .baseline = "-", .goal = goal};
    struct bench_row p99 = {.what = names[1], .unit = "ms", .scale = 1e3, .baseline = "-"};
    double busy = bench_busy(), began = bench_now(), last;
    double cpu = bench_process_cpu(l->program.pid);
    pthread_t thread;
    int i;

    l->rate = rate;
    l->count = count;
    if (pthread_create(&thread, NULL, generate, l) != 0)
        abort();
    watch(l);
    pthread_join(thread, NULL);
    last = bench_now() - began;
    for (i = 0; i < count; i++)
        took[i] = l->seen[l->first + i] - l->sent[l->first + i];
    qsort(took, (size_t)count, sizeof(*took), bench_compare);
    bench_add(&p50, took[0], 0);
    bench_add(&p50, percentile(took, count, 0.5), 0);
    bench_add(&p50, took[count - 1], 0);
    bench_add(&p99, percentile(took, count, 0.99), 0);
    p50.samples = p99.samples = count;
    bench_print(&p50);
    if (rate >= 500)
        bench_print(&p99);
    printf("  (%.0f a second committed; p90 %.1f ms; program %.0f %% of a "
           "processor, all processes %.0f %%)\n",
           count / (l->sent[l->first + count - 1] - l->sent[l->first] + 1.0 / rate),
           percentile(took, count, 0.9) * 1e3,
           (bench_process_cpu(l->program.pid) - cpu) / last * 100,
           (bench_busy() - busy) / last * 100);
    l->first += count;
}

static void start(struct line *l, enum kind kind)
{
    char folder[80], url[256];

    l->kind = kind;
    l->first = 1;
    snprintf(folder, sizeof(folder), "%s/%d", server_own_folder(), kind);
    program_init(&l->program, folder);
    if (kind == DUCKDB)
        snprintf(url, sizeof(url), "duckdb:%s/wh.duckdb", folder);
    else
        snprintf(url, sizeof(url), "postgres://postgres@/postgres?host=%s&port=%d",
                 l->warehouse.dir, l->warehouse.port);
    server_run(l->control, "TRUNCATE t");
    program_configure(&l->program, &l->source, false, kind == DUCKDB ? "duck" : "pg",
                      kind == DUCKDB ? "duckdb" : "postgres-warehouse", url);
    program_start(&l->program);
    program_wait_log(&l->program, "table live");
}

static void run(struct line *l, enum kind kind)
{
    static const int rates[][2] = {{1, 8}, {100, 600}, {500, 3000}, {1000, 6000}};
    static const char *const rows[2][4][2] = {
        {{"commit to queryable, 1/s, DuckDB, p50", ""},
         {"commit to queryable, 100/s, DuckDB, p50", ""},
         {"commit to queryable, 500/s, DuckDB, p50", "commit to queryable, 500/s, DuckDB, p99"},
         {"commit to queryable, 1000/s, DuckDB, p50", "commit to queryable, 1000/s, DuckDB, p99"}},
        {{"commit to queryable, 1/s, Postgres, p50", ""},
         {"commit to queryable, 100/s, Postgres, p50", ""},
         {"commit to queryable, 500/s, Postgres, p50", "commit to queryable, 500/s, Postgres, p99"},
         {"commit to queryable, 1000/s, Postgres, p50",
          "commit to queryable, 1000/s, Postgres, p99"}}};
    struct bench_row memory = {.what = kind == DUCKDB ? "peak memory at these rates, DuckDB"
                                                      : "peak memory at these rates, Postgres",
                               .unit = "MB",
                               .scale = 1,
                               .baseline = "-",
                               .goal = kind == DUCKDB ? NULL : "<= 64 MB"};
    int i;

    start(l, kind);
    for (i = 0; i < 4; i++)
        measure(l, rates[i][0], rates[i][1], (const char **)rows[kind][i],
                rates[i][0] == 500 ? "<= 100 ms" : NULL);
    bench_add(&memory, bench_process_peak(l->program.pid), 0);
    bench_print(&memory);
    program_stop(&l->program);
}

int main(int argc, char **argv)
{
    int only = argc > 1 ? atoi(argv[1]) : -1;
    static struct line l;

    server_start(&l.source, false, workload_source);
    server_start(&l.warehouse, false, workload_warehouse);
    l.control = server_connect(&l.source, "");
    l.ask = server_connect(&l.warehouse, "");
    server_run(l.control, workload_table);
    bench_head("-");
    if (only != POSTGRES)
        run(&l, DUCKDB);
    if (only != DUCKDB)
        run(&l, POSTGRES);
    puts("");
    PQfinish(l.control);
    PQfinish(l.ask);
    return 0;
}
