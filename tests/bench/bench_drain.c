/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log's way through us against the log alone: the source connector's stream, each row decoded,
 * its key and event encoded and put into a segment, as the service does it up to the queue, against
 * a libpq loop that reads the same messages of the same slot position and throws them away. 200,000
 * inserts and 200,000 updates in transactions of 1 to 100 rows; table of 12 columns. Unix socket;
 * the walsender on the first processor, the receiver on the second: where the two share one, the
 * rate halves, whoever receives. A repetition counts where the busier of the two worked nearly all
 * the time; else something else had the processors, and it is done again. Positions are not
 * acknowledged, so that every run reads the same log.
 */
#include "bench.h"
#include "server.h"

#include "avro/codec.h"
#include "config/file.h"
#include "source_postgres/source_postgres.h"
#include "transport/event.h"
#include "util/clock.h"
#include "util/log.h"

#include <poll.h>

#define ROWS 200000 /* inserted, then updated */
#define CHANGES (2 * ROWS)
#define REPETITIONS 5
#define BUSY_LEAST 0.9  /* of the time, the busier side: a repetition that counts */
#define TIME_LIMIT_S 30 /* then no more repetitions are begun */
#define SEGMENT_BYTES ((size_t)64 * 1024)
#define NOW_EVERY 64 /* rows between two looks at the clock, as in the service */
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static const struct source_ops *const ops = &source_postgres_ops;

static const char *const server_settings[] = {"wal_level = logical",
                                              "fsync = off",
                                              "synchronous_commit = off",
                                              "shared_buffers = 256MB",
                                              "max_wal_size = 4GB",
                                              "checkpoint_timeout = 1h",
                                              "autovacuum = off",
                                              "log_min_messages = error",
                                              NULL};

static const char make_table[] =
    "CREATE TABLE t (id bigint PRIMARY KEY, a int NOT NULL, b int, qty smallint, amount "
    "numeric(12,2) NOT NULL, name text NOT NULL, descr text, note text, ts timestamptz NOT NULL, "
    "flag boolean, u uuid NOT NULL, j jsonb);"
    "CREATE FUNCTION gen_rows(lo bigint, hi bigint) RETURNS SETOF t LANGUAGE sql AS $$ SELECT i, "
    "(i * 7919 % 1000003)::int, CASE WHEN i % 5 = 0 THEN NULL ELSE (i % 100000)::int END, "
    "(i % 30000)::smallint, ((i * 37 % 99999999) / 100.0)::numeric(12,2), 'customer-' || "
    "md5(i::text), CASE WHEN i % 7 = 0 THEN NULL ELSE 'descr ' || left(md5((i * 3)::text), 20) END,"
    " CASE WHEN i % 3 = 0 THEN NULL ELSE 'note ' || md5((i * 5)::text) || left(md5((i * 11)::text),"
    " 20) END, timestamptz '2024-01-01 00:00:00+00' + (i % 31536000) * interval '1 second' + "
    "(i % 1000000) * interval '1 microsecond', CASE WHEN i % 11 = 0 THEN NULL ELSE i % 2 = 0 END, "
    "md5((i * 13)::text)::uuid, ('{\"k1\":' || i || ',\"tag\":\"' || left(md5(i::text), 16) || "
    "'\",\"tags\":[\"a\",\"bb\",\"ccc\"],\"addr\":{\"zip\":\"' || (i % 99999) || "
    "'\",\"city\":\"Springfield\"}}')::jsonb FROM generate_series(lo, hi) i $$;"
    "CREATE PROCEDURE small_ins(hi bigint) LANGUAGE plpgsql AS $$ DECLARE p bigint := 1; k int; "
    "BEGIN WHILE p <= hi LOOP k := least(1 + floor(random() * 100)::int, hi - p + 1); INSERT INTO "
    "t SELECT * FROM gen_rows(p, p + k - 1); COMMIT; p := p + k; END LOOP; END $$;"
    "CREATE PROCEDURE small_upd(hi bigint) LANGUAGE plpgsql AS $$ DECLARE p bigint := 1; k int; "
    "BEGIN WHILE p <= hi LOOP k := least(1 + floor(random() * 100)::int, hi - p + 1); UPDATE t SET "
    "amount = amount + 1, b = (id % 777)::int, note = 'upd ' || md5(id::text), ts = ts + interval "
    "'1 day', flag = NOT coalesce(flag, false) WHERE id BETWEEN p AND p + k - 1; COMMIT; "
    "p := p + k; END LOOP; END $$";

struct drain {
    struct source *source;
    struct config *config;
    struct arena *arena;
    struct source_table *tables;
    int ntables;
    int64_t s;
    char position[POSITION_SIZE];
    PGconn *control;
    struct encoder *encoder;
    struct segment *segment;
    struct buf key, value;
    struct event_meta meta;
    char tx_id[64];
    int64_t rows, bytes;
    bool ended;
};

/* What one run took, in seconds. */
struct taken {
    double wall, receiver, walsender;
};

static void fail(const struct error *err)
{
    fprintf(stderr, "bench_drain: %s %s\n", err->message, err->hint);
    exit(1);
}

static double process_cpu(int pid)
{
    char path[64], text[1024], *p;
    unsigned long user = 0, system = 0;
    FILE *f;
    size_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    f = fopen(path, "r");
    if (f == NULL)
        return 0;
    n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    p = strrchr(text, ')');
    if (p != NULL)
        sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Finds the slot's walsender and gives each side its processor. */
static int pin(struct drain *d)
{
    char pid[32] = "";

    server_ask(d->control, "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'bench'",
               pid, sizeof(pid));
    if (atoi(pid) == 0)
        server_fail("nobody reads the slot");
    if (!bench_pin(atoi(pid), 0) || !bench_pin(0, 1))
        fprintf(stderr, "bench_drain: not pinned: the figures mean little\n");
    return atoi(pid);
}

static void start_clocks(struct taken *t, int walsender)
{
    t->walsender = process_cpu(walsender);
    t->receiver = bench_clock(CLOCK_THREAD_CPUTIME_ID);
    t->wall = bench_now();
}

static void stop_clocks(struct taken *t, int walsender)
{
    t->wall = bench_now() - t->wall;
    t->receiver = bench_clock(CLOCK_THREAD_CPUTIME_ID) - t->receiver;
    t->walsender = process_cpu(walsender) - t->walsender;
}

/* --- ours: what the service does with each change up to the queue --- */

static bool on_begin(void *ctx, const struct transaction *tx, struct error *err)
{
    struct drain *d = ctx;

    (void)err;
    snprintf(d->tx_id, sizeof(d->tx_id), "%s", tx->id);
    d->meta.csn = tx->csn;
    d->meta.tx_id = d->tx_id;
    d->meta.total_order = 0;
    d->meta.source_us = tx->commit_us;
    d->meta.xid = tx->xid;
    segment_begin(d->segment, tx->csn, tx->commit_us);
    return true;
}

static bool on_change(void *ctx, const struct change *c, struct error *err)
{
    struct drain *d = ctx;
    bool unavailable;

    d->meta.lsn = c->lsn;
    d->meta.data_collection_order = ++d->meta.total_order;
    if (d->meta.total_order % NOW_EVERY == 1)
        d->meta.now_us = clock_wall_us();
    buf_reset(&d->key);
    buf_reset(&d->value);
    if ((c->op == CHANGE_UPDATE && change_moves_key(c)) ||
        !encoder_key(d->encoder, c->after, &d->key, err) ||
        !encoder_value(d->encoder, c, &d->meta, &d->value, &unavailable, err))
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
    d->meta.last_commit_lsn = (uint64_t)tx->csn;
    if (d->rows == CHANGES)
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
    const struct change_sink sink = {d, on_begin, on_change, on_commit, on_idle, on_wants};
    const struct stream_table table = {.table = d->tables[0].table, .s = d->s};
    struct error err = {0};
    bool drained;
    int pid;

    d->rows = d->bytes = 0;
    d->ended = false;
    d->segment = segment_new();
    if (!ops->stream_start(d->source, d->position, &table, 1, &err))
        fail(&err);
    pid = pin(d);
    start_clocks(t, pid);
    while (!d->ended) {
        if (!ops->stream_poll(d->source, 200, &sink, &drained, &err))
            fail(&err);
    }
    stop_clocks(t, pid);
    ops->stream_stop(d->source);
    segment_free(d->segment);
}

/* --- the baseline --- */

/* Counts rows; true after the commit that ends the workload. */
static bool discard(const char *m, int len, int64_t *rows)
{
    if (m[0] != 'w' || len < 26)
        return false;
    *rows += m[25] == 'I' || m[25] == 'U';
    return m[25] == 'C' && *rows == CHANGES;
}

static void run_baseline(struct drain *d, struct taken *t)
{
    char sql[256], *m;
    PGconn *c = server_connect("replication=database");
    PGresult *r;
    int64_t rows = 0;
    bool ended = false;
    int pid, n;

    snprintf(sql, sizeof(sql),
             "START_REPLICATION SLOT bench LOGICAL %s (proto_version '1', publication_names "
             "'bench')",
             d->position);
    r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_COPY_BOTH)
        server_fail(PQerrorMessage(c));
    PQclear(r);
    pid = pin(d);
    start_clocks(t, pid);
    while (!ended) {
        n = PQgetCopyData(c, &m, 1);
        if (n == 0) {
            struct pollfd fd = {.fd = PQsocket(c), .events = POLLIN};

            poll(&fd, 1, -1);
            PQconsumeInput(c);
            continue;
        }
        if (n < 0)
            server_fail(PQerrorMessage(c));
        ended = discard(m, n, &rows);
        PQfreemem(m);
    }
    stop_clocks(t, pid);
    PQfinish(c);
}

/* --- setting up --- */

/* A slot no longer read is free only when its walsender has noticed. */
static void wait_free(struct drain *d)
{
    char active[8];

    do {
        server_ask(d->control, "SELECT active FROM pg_replication_slots WHERE slot_name = 'bench'",
                   active, sizeof(active));
        clock_sleep_ms(20);
    } while (active[0] == 't');
}

static void open_source(struct drain *d)
{
    const struct setting *const settings[] = {config_source_settings, ops->settings, NULL};
    const char *const pairs[] = {
        "topic.prefix", "shop",          "database.hostname", server_dir,        "database.port",
        SERVER_PORT,    "database.user", "postgres",          "database.dbname", "postgres",
        "slot.name",    "bench",         "publication.name",  "bench",           NULL};
    struct source_identity id;
    struct source_point *point;
    struct error err = {0};

    if (!config_make(&d->config, "bench", settings, pairs, &err) ||
        !ops->open(&d->source, d->config, &err) || !ops->connect(d->source, &id, &err) ||
        !ops->prepare(d->source, &err) ||
        !ops->point_open(d->source, true, &point, &d->s, d->position, &err) ||
        !ops->point_tables(point, d->arena, &d->tables, &d->ntables, &err))
        fail(&err);
    ops->point_close(point);
    if (d->ntables != 1 || d->tables[0].refused != NULL)
        server_fail("the table cannot be replicated");
    d->encoder = encoder_new(d->tables[0].table, ops->block, 1, 2);
    d->meta.server_name = "shop";
    d->meta.database = "postgres";
    d->meta.snapshot = "false";
    printf("drain: %s, unix socket, %d inserts and %d updates in transactions of 1 to 100 rows\n",
           id.version, ROWS, ROWS);
    bench_machine();
}

static void fill(struct drain *d)
{
    server_run(d->control, "SELECT setseed(0.5)");
    server_run(d->control, "CALL small_ins(" TEXT(ROWS) ")");
    server_run(d->control, "VACUUM ANALYZE t");
    server_run(d->control, "CALL small_upd(" TEXT(ROWS) ")");
    server_run(d->control, "CHECKPOINT");
}

static double busier(const struct taken *t)
{
    return (t->receiver > t->walsender ? t->receiver : t->walsender) / t->wall;
}

struct results {
    struct bench_row rate, receiver, walsender, busy;
};

static void add(struct results *r, const struct taken *ours, const struct taken *base)
{
    bench_add(&r->rate, CHANGES / ours->wall, CHANGES / base->wall);
    bench_add(&r->receiver, ours->receiver / CHANGES, base->receiver / CHANGES);
    bench_add(&r->walsender, ours->walsender / CHANGES, base->walsender / CHANGES);
    bench_add(&r->busy, busier(ours), busier(base));
}

static void print(const struct results *r)
{
    bench_head("libpq loop that discards");
    bench_print(&r->rate);
    bench_print(&r->receiver);
    bench_print(&r->walsender);
    bench_print(&r->busy);
}

/* Until enough repetitions count. */
static void measure(struct drain *d, struct results *good)
{
    struct results disturbed = *good;
    double began = bench_now();
    int count = 0;

    while (good->rate.n < REPETITIONS && count < BENCH_MOST && bench_now() - began < TIME_LIMIT_S) {
        struct taken ours, base;
        bool counts;

        run_ours(d, &ours);
        wait_free(d);
        run_baseline(d, &base);
        wait_free(d);
        counts = busier(&ours) >= BUSY_LEAST && busier(&base) >= BUSY_LEAST;
        add(counts ? good : &disturbed, &ours, &base);
        count++;
    }
    printf("%.0f bytes an event; %d of %d repetitions were undisturbed\n",
           (double)d->bytes / CHANGES, good->rate.n, count);
    if (good->rate.n > 0) {
        print(good);
        return;
    }
    printf("none counts: the machine is busy; the disturbed ones:\n");
    print(&disturbed);
}

int main(void)
{
    struct results results = {
        .rate = {.what = "drain", .unit = "k rows/s", .scale = 1e-3},
        .receiver = {.what = "CPU of the receiver", .unit = "us/row", .scale = 1e6},
        .walsender = {.what = "CPU of the walsender", .unit = "us/row", .scale = 1e6},
        .busy = {.what = "time in which the busier of both works", .unit = "%", .scale = 100},
    };
    struct drain d = {.arena = arena_new("bench")};

    log_set_level(LOG_WARN);
    server_start(server_settings);
    d.control = server_connect("");
    server_run(d.control, make_table);
    open_source(&d);
    fill(&d);
    measure(&d, &results);
    puts("");
    PQfinish(d.control);
    encoder_free(d.encoder);
    buf_free(&d.key);
    buf_free(&d.value);
    ops->close(d.source);
    config_free(d.config);
    arena_free(d.arena);
    return 0;
}
