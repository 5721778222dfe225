/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table's first copy against COPY: the source connector's reader, chunk by chunk as the service
 * asks for them, each row decoded and encoded as an event, against one COPY of the whole table in
 * binary that is thrown away. Both over one connection, unix socket, the table in the server's
 * memory. The server's session on the first processor, the reader on the second.
 */
#include "discard.h"
#include "source_open.h"
#include "workload.h"

#include "util/clock.h"

#define REPETITIONS 9
#define BUSY_LEAST 0.9
#define TIME_LIMIT_S 20

static const struct source_ops *const ops = &source_postgres_ops;

struct copy {
    struct server server;
    PGconn *control;
    struct bench_source r;
    struct source_reader *reader;
    struct buf event;
    int64_t rows, table_rows, bytes;
};

static bool on_row(void *ctx, const struct table *t, const struct value *values, struct error *err)
{
    struct copy *c = ctx;
    struct change change = {.op = CHANGE_READ, .table = t, .after = values};
    bool unavailable;

    buf_reset(&c->event);
    c->rows++;
    c->bytes += (int64_t)c->event.len;
    return encoder_value(c->r.encoder, &change, &c->r.meta, &c->event, &unavailable, err);
}

/* The session that reads the table, which has a processor of its own. */
static pid_t backend_of(struct copy *c, const char *application)
{
    char sql[200], pid[32] = "";

    snprintf(sql, sizeof(sql), "SELECT pid FROM pg_stat_activity WHERE application_name LIKE '%s'",
             application);
    server_ask(c->control, sql, pid, sizeof(pid));
    if (atoi(pid) == 0)
        server_fail("the reader's session is not there");
    bench_pin(atoi(pid), 0);
    bench_pin(0, 1);
    return atoi(pid);
}

static void run_ours(struct copy *c, struct taken *t)
{
    const struct source_table *st = &c->r.tables[0];
    struct error err = {0};
    pid_t pid = 0;
    int i;

    c->rows = 0;
    if (c->reader == NULL && !ops->reader_open(c->r.point, &c->reader, &err))
        bench_source_fail(&err);
    pid = backend_of(c, "%reader");
    taken_start(t, pid);
    for (i = 0; i < st->nchunks; i++) {
        if (!ops->reader_chunk(c->reader, st->table, &st->chunks[i], on_row, c, &err))
            bench_source_fail(&err);
    }
    taken_stop(t, pid);
    if (c->rows != c->table_rows)
        server_fail("the copy has another number of rows");
}

static void run_copy(struct copy *c, struct taken *t)
{
    PGconn *con = server_connect(&c->server, "application_name=bench_copy");
    pid_t pid = backend_of(c, "bench_copy");
    int64_t rows = -2; /* header and trailer */
    PGresult *r;
    char *p;

    taken_start(t, pid);
    r = PQexec(con, "COPY t TO STDOUT (FORMAT binary)");
    if (PQresultStatus(r) != PGRES_COPY_OUT)
        server_fail(PQerrorMessage(con));
    PQclear(r);
    while (PQgetCopyData(con, &p, 0) > 0) {
        rows++;
        PQfreemem(p);
    }
    taken_stop(t, pid);
    PQfinish(con);
    if (rows < c->table_rows - 1)
        server_fail("COPY has another number of rows");
}

static double busier(const struct taken *t)
{
    return (t->receiver > t->walsender ? t->receiver : t->walsender) / t->wall;
}

struct results {
    struct bench_row rate, bound, receiver, server, busy;
};

static void add(struct results *r, double n, const struct taken *ours, const struct taken *base)
{
    bench_add(&r->rate, n / ours->wall, n / base->wall);
    bench_add(&r->bound, n / (busier(ours) * ours->wall), n / (busier(base) * base->wall));
    bench_add(&r->receiver, ours->receiver / n, base->receiver / n);
    bench_add(&r->server, ours->walsender / n, base->walsender / n);
    bench_add(&r->busy, busier(ours), busier(base));
}

static void measure(struct copy *c)
{
    struct results good = {
        .rate = {.what = "snapshot with decode and Avro, one connection",
                 .unit = "k rows/s",
                 .scale = 1e-3,
                 .baseline = "COPY BINARY",
                 .goal = ">= 0.8"},
        .bound = {.what = "the same by the busier side's CPU, snapshot",
                  .unit = "k rows/s",
                  .scale = 1e-3,
                  .baseline = "COPY BINARY"},
        .receiver = {.what = "CPU of the snapshot's reader",
                     .unit = "us/row",
                     .scale = 1e6,
                     .baseline = "COPY BINARY"},
        .server = {.what = "CPU of the server's session", .unit = "us/row", .scale = 1e6},
        .busy = {.what = "time in which the busier of both works", .unit = "%", .scale = 100}};
    struct results disturbed = good;
    double began = bench_now();
    int count = 0;

    while (good.rate.n < REPETITIONS && count < BENCH_MOST && bench_now() - began < TIME_LIMIT_S) {
        struct taken ours, base;
        bool counts;

        run_ours(c, &ours);
        run_copy(c, &base);
        counts = busier(&ours) >= BUSY_LEAST && busier(&base) >= BUSY_LEAST;
        add(counts ? &good : &disturbed, (double)c->table_rows, &ours, &base);
        count++;
    }
    printf("snapshot: %lld rows in %d chunks; %d of %d repetitions were undisturbed\n",
           (long long)c->table_rows, c->r.tables[0].nchunks, good.rate.n, count);
    if (good.rate.n == 0) {
        printf("none counts: the machine is busy; the disturbed ones:\n");
        good = disturbed;
        good.rate.disturbed = good.bound.disturbed = good.receiver.disturbed = true;
    }
    good.rate.run = good.bound.run = good.receiver.run = count;
    bench_head("COPY BINARY");
    bench_print(&good.rate);
    bench_print(&good.bound);
    bench_print(&good.receiver);
    bench_print(&good.server);
    bench_print(&good.busy);
}

int main(int argc, char **argv)
{
    static struct copy c;

    c.table_rows = argc > 1 ? strtoll(argv[1], NULL, 10) : 250000;
    server_start(&c.server, false, workload_source);
    c.control = server_connect(&c.server, "");
    server_run(c.control, workload_table);
    workload_call(c.control, "small_ins", c.table_rows);
    server_run(c.control, "VACUUM ANALYZE t");
    server_run(c.control, "SELECT sum(a) FROM t");
    bench_source_open(&c.r, &c.server, false, "bench", true);
    c.r.meta.snapshot = "true";
    measure(&c);
    puts("");
    ops->reader_close(c.reader);
    bench_source_close(&c.r);
    PQfinish(c.control);
    buf_free(&c.event);
    return 0;
}
