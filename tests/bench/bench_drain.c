/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log's way through us against the database's own tool: the source connector's stream, each
 * row decoded, its key and event encoded and put into a segment, as the service does it up to the
 * queue, against pg_recvlogical, which writes the same messages of the same slot to /dev/null. Rows
 * inserted and updated in transactions of 1 to 100 rows; table of 12 columns; unix socket, then
 * TCP. The walsender on the first processor, the receiver on the second: where the two share one,
 * the rate halves, whoever receives. A repetition counts where the busier of the two worked nearly
 * all the time; else something else had the processors. Positions are not acknowledged (and
 * pg_recvlogical gets copies of the slot), so that every run reads the same log.
 */
#include "discard.h"
#include "source_open.h"
#include "workload.h"

#include "transport/event.h"
#include "util/clock.h"

#include <sys/resource.h>

#define REPETITIONS 9
#define BUSY_LEAST 0.9  /* of the time, the busier side: a repetition that counts */
#define TIME_LIMIT_S 25 /* of one kind of socket: then no more repetitions are begun */
#define SEGMENT_BYTES ((size_t)64 * 1024)
#define NOW_EVERY 64 /* rows between two looks at the clock, as in the service */

static const struct source_ops *const ops = &source_postgres_ops;

struct drain {
    struct server server;
    PGconn *control;
    bool tcp;
    int64_t changes;
    char end[32]; /* of the log that is read */
    struct bench_source r;
    struct segment *segment;
    struct buf key, value;
    char tx_id[64];
    int64_t rows, bytes;
    bool ended;
};

/* --- ours: what the service does with each change up to the queue --- */

static bool on_begin(void *ctx, const struct transaction *tx, struct error *err)
{
    struct drain *d = ctx;

    (void)err;
    snprintf(d->tx_id, sizeof(d->tx_id), "%s", tx->id);
    d->r.meta.csn = tx->csn;
    d->r.meta.tx_id = d->tx_id;
    d->r.meta.total_order = 0;
    d->r.meta.source_us = tx->commit_us;
    d->r.meta.xid = tx->xid;
    segment_begin(d->segment, tx->csn, tx->commit_us);
    return true;
}

static bool on_change(void *ctx, const struct change *c, struct error *err)
{
    struct drain *d = ctx;
    bool unavailable;

    d->r.meta.lsn = c->lsn;
    d->r.meta.data_collection_order = ++d->r.meta.total_order;
    if (d->r.meta.total_order % NOW_EVERY == 1)
        d->r.meta.now_us = clock_wall_us();
    buf_reset(&d->key);
    buf_reset(&d->value);
    if ((c->op == CHANGE_UPDATE && change_moves_key(c)) ||
        !encoder_key(d->r.encoder, c->after, &d->key, err) ||
        !encoder_value(d->r.encoder, c, &d->r.meta, &d->value, &unavailable, err))
        return false;
    segment_row(d->segment, (char)c->op, 0, &d->key, &d->value, NULL);
    d->rows++;
    d->bytes += (int64_t)d->value.len;
    if (d->segment->bytes.len >= SEGMENT_BYTES) { /* here the sink's thread would get it */
        segment_free(d->segment);
        d->segment = segment_new();
    }
    return true;
}

static bool on_commit(void *ctx, const struct transaction *tx, const char *position,
                      struct error *err)
{
    struct drain *d = ctx;

    (void)err;
    segment_commit(d->segment, tx->csn, tx->commit_us, position);
    d->r.meta.last_commit_lsn = (uint64_t)tx->csn;
    if (d->rows == d->changes)
        d->ended = true;
    return true;
}

static bool on_idle(void *ctx, const char *position, bool urgent, struct error *err)
{
    (void)ctx;
    (void)position;
    (void)urgent;
    (void)err;
    return true;
}

static bool on_wants(void *ctx, uint32_t oid, const char *schema, const char *name, const char *why,
                     struct error *err)
{
    (void)ctx;
    (void)oid;
    return error_set(err, ERROR_FATAL, "%s.%s: %s", schema, name, why);
}

static void run_ours(struct drain *d, struct taken *t)
{
    const struct change_sink sink = {.ctx = d,
                                     .begin = on_begin,
                                     .change = on_change,
                                     .commit = on_commit,
                                     .idle = on_idle,
                                     .wants_load = on_wants};
    const struct stream_table table = {.table = d->r.tables[0].table, .s = d->r.s};
    struct error err = {0};
    bool drained;
    pid_t pid;

    d->rows = d->bytes = 0;
    d->ended = false;
    d->segment = segment_new();
    if (!ops->stream_start(d->r.source, d->r.position, &table, 1, &err))
        bench_source_fail(&err);
    pid = slot_pin(d->control, "bench");
    taken_start(t, pid);
    while (!d->ended) {
        if (!ops->stream_poll(d->r.source, 200, &sink, &drained, &err))
            bench_source_fail(&err);
    }
    taken_stop(t, pid);
    ops->stream_stop(d->r.source);
    segment_free(d->segment);
    slot_wait_free(d->control, "bench");
}

/* --- the baseline --- */

static pid_t spawn_tool(const struct drain *d)
{
    char program[320], port[16];
    pid_t pid;
    int fd;

    snprintf(program, sizeof(program), "%s/pg_recvlogical", server_bin);
    snprintf(port, sizeof(port), "%d", d->server.port);
    pid = fork();
    if (pid != 0)
        return pid;
    fd = open("/dev/null", O_RDWR);
    dup2(fd, STDIN_FILENO);
    bench_pin(0, 1);
    execl(program, "pg_recvlogical", "-h", server_host(&d->server, d->tcp), "-p", port, "-U",
          "postgres", "-d", "postgres", "-S", "tool", "--start", "-E", d->end, "--no-loop", "-o",
          "proto_version=1", "-o", "publication_names=bench", "-f", "/dev/null", (char *)NULL);
    _exit(127);
}

/* From the moment in which its walsender is there, as ours. */
static void run_tool(struct drain *d, struct taken *t)
{
    struct rusage usage;
    pid_t tool, walsender, ended;
    double first, last = 0;
    int status;

    server_run(d->control, "SELECT pg_copy_logical_replication_slot('bench', 'tool')");
    tool = spawn_tool(d);
    while ((walsender = slot_reader(d->control, "tool")) == 0) {
        if (waitpid(tool, &status, WNOHANG) != 0)
            server_fail("pg_recvlogical has ended early");
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
    bench_pin(walsender, 0);
    first = bench_process_cpu(tool);
    taken_start(t, walsender);
    while ((ended = wait4(tool, &status, WNOHANG, &usage)) == 0) {
        double used = bench_process_cpu(walsender);

        last = used > last ? used : last; /* it ends with its reader */
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    t->wall = bench_now() - t->wall;
    t->walsender = last - t->walsender;
    if (ended != tool || status != 0)
        server_fail("pg_recvlogical has failed");
    t->receiver = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                  (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6 - first;
    slot_wait_free(d->control, "tool");
    server_run(d->control, "SELECT pg_drop_replication_slot('tool')");
}

/* --- measuring --- */

static double busier(const struct taken *t)
{
    return (t->receiver > t->walsender ? t->receiver : t->walsender) / t->wall;
}

struct results {
    struct bench_row rate, bound, receiver, walsender, busy;
};

static void add(struct results *r, double n, const struct taken *ours, const struct taken *base)
{
    bench_add(&r->rate, n / ours->wall, n / base->wall);
    bench_add(&r->bound, n / (busier(ours) * ours->wall), n / (busier(base) * base->wall));
    bench_add(&r->receiver, ours->receiver / n, base->receiver / n);
    if (ours->walsender > 0 && base->walsender > 0)
        bench_add(&r->walsender, ours->walsender / n, base->walsender / n);
    bench_add(&r->busy, busier(ours), busier(base));
}

static void print(const struct results *r)
{
    bench_head("pg_recvlogical");
    bench_print(&r->rate);
    bench_print(&r->bound);
    bench_print(&r->receiver);
    bench_print(&r->walsender);
    bench_print(&r->busy);
}

static struct results rows_of(bool tcp)
{
    return (struct results){
        .rate = {.what = tcp ? "log drain with decode and Avro, TCP"
                             : "log drain with decode and Avro, unix socket",
                 .unit = "k rows/s",
                 .scale = 1e-3,
                 .baseline = "pg_recvlogical",
                 .goal = ">= 0.85"},
        .bound = {.what = tcp ? "the same by the busier side's CPU, TCP"
                              : "the same by the busier side's CPU, unix socket",
                  .unit = "k rows/s",
                  .scale = 1e-3,
                  .baseline = "pg_recvlogical"},
        .receiver = {.what = tcp ? "CPU of the receiver, TCP" : "CPU of the receiver, unix socket",
                     .unit = "us/row",
                     .scale = 1e6,
                     .baseline = "pg_recvlogical"},
        .walsender = {.what = "CPU of the walsender", .unit = "us/row", .scale = 1e6},
        .busy = {.what = "time in which the busier of both works", .unit = "%", .scale = 100},
    };
}

/* Until enough repetitions count. */
static void measure(struct drain *d)
{
    struct results good = rows_of(d->tcp), disturbed = good;
    double began = bench_now();
    int count = 0;

    while (good.rate.n < REPETITIONS && count < BENCH_MOST && bench_now() - began < TIME_LIMIT_S) {
        struct taken ours, base;
        bool counts;

        run_ours(d, &ours);
        run_tool(d, &base);
        counts = busier(&ours) >= BUSY_LEAST && busier(&base) >= BUSY_LEAST;
        add(counts ? &good : &disturbed, (double)d->changes, &ours, &base);
        count++;
    }
    printf("%s: %.0f bytes an event; %d of %d repetitions were undisturbed\n",
           d->tcp ? "TCP" : "unix socket", (double)d->bytes / (double)d->changes, good.rate.n,
           count);
    if (good.rate.n == 0) {
        printf("none counts: the machine is busy; the disturbed ones:\n");
        good = disturbed;
        good.rate.disturbed = good.bound.disturbed = good.receiver.disturbed = true;
    }
    good.rate.run = good.bound.run = good.receiver.run = count;
    print(&good);
}

/* A slot at the empty table, then the log, then one change more, at which the tool stops. */
static void run(struct drain *d, bool tcp, int64_t rows)
{
    d->tcp = tcp;
    server_run(d->control, "TRUNCATE t");
    bench_source_open(&d->r, &d->server, tcp, "bench", false);
    workload_fill(d->control, rows);
    server_ask(d->control, "SELECT pg_current_wal_insert_lsn()", d->end, sizeof(d->end));
    server_run(d->control, "UPDATE t SET a = 0 WHERE id = 1");
    if (!tcp) {
        printf("%s, %lld inserts and as many updates in transactions of 1 to 100 rows\n",
               d->r.version, (long long)rows);
        bench_machine();
    }
    measure(d);
    bench_source_close(&d->r);
    server_run(d->control, "SELECT pg_drop_replication_slot('bench')");
    server_run(d->control, "DROP PUBLICATION bench");
}

int main(int argc, char **argv)
{
    static struct drain d;
    int64_t rows = argc > 1 ? strtoll(argv[1], NULL, 10) : 100000;

    d.changes = 2 * rows;
    server_start(&d.server, true, workload_source);
    d.control = server_connect(&d.server, "");
    server_run(d.control, workload_table);
    run(&d, false, rows);
    run(&d, true, rows);
    puts("");
    PQfinish(d.control);
    buf_free(&d.key);
    buf_free(&d.value);
    return 0;
}
