/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The warehouse's side alone: batches of events through compaction, stage and SQL into DuckDB and
 * Postgres, as the sink applies them, against the bare loops of bare.h with the same rows, batch
 * sizes, library and settings. Half of a batch are updates, 30 % inserts, 20 % deletes; keys are
 * random ones of the whole table, or of its newest twentieth. Batches of the two alternate, so
 * that what disturbs one disturbs the other; a repetition is the sum of several batches. Upkeep
 * (checkpoints of the file) is in the figures of both. Not in ours: the books.
 */
#include "bare.h"
#include "server.h"
#include "workload.h"

#include "avro/codec.h"
#include "config/file.h"
#include "load/loader.h"
#include "source_postgres/source_block.h"
#include "util/log.h"
#include "warehouse_duckdb/warehouse_duckdb.h"
#include "warehouse_postgres/warehouse_postgres.h"

#define REPETITIONS 5
#define BATCHES 8       /* of a repetition */
#define TIME_LIMIT_S 20 /* of one row: then no more repetitions are begun */
#define NCOLS 12

enum kind { DUCKDB, POSTGRES };

/* Ours. */
struct apply {
    const struct warehouse_ops *ops;
    struct config *config;
    struct warehouse *warehouse;
    struct session *session;
    struct arena *arena;
    struct table *source, *sink; /* as the encoder has it; as the schema tells it */
    struct encoder *encoder;
    struct decoder *decoder;
    struct target *target;
    struct loader *loader;
    struct segment *segment;
    struct buf key, value;
    int64_t csn;
};

struct bench {
    enum kind kind;
    struct apply ours;
    struct bare_duckdb duck;
    struct bare_postgres pg;
    pid_t our_server, bare_server; /* sessions of Postgres */
    struct row *rows;
    uint8_t *used; /* a bit per key: taken by this batch */
    int64_t table_rows, next_id, batch;
    bool recent;
    uint64_t random;
};

static void must(bool ok, const struct error *err)
{
    if (ok)
        return;
    fprintf(stderr, "bench_apply: %s %s\n", err->message, err->hint);
    exit(1);
}

static struct table *make_table(struct arena *a)
{
    static const struct column cols[NCOLS] = {
        {.name = "id", .kind = TYPE_INT64, .key_pos = 1, .source_type = "bigint"},
        {.name = "a", .kind = TYPE_INT32, .source_type = "integer"},
        {.name = "b", .kind = TYPE_INT32, .nullable = true, .source_type = "integer"},
        {.name = "qty", .kind = TYPE_INT16, .nullable = true, .source_type = "smallint"},
        {.name = "amount",
         .kind = TYPE_DECIMAL,
         .precision = 12,
         .scale = 2,
         .source_type = "numeric(12,2)"},
        {.name = "name", .kind = TYPE_TEXT, .source_type = "text"},
        {.name = "descr", .kind = TYPE_TEXT, .nullable = true, .source_type = "text"},
        {.name = "note", .kind = TYPE_TEXT, .nullable = true, .source_type = "text"},
        {.name = "ts", .kind = TYPE_TIMESTAMPTZ, .source_type = "timestamptz"},
        {.name = "flag", .kind = TYPE_BOOL, .nullable = true, .source_type = "boolean"},
        {.name = "u", .kind = TYPE_UUID, .source_type = "uuid"},
        {.name = "j", .kind = TYPE_JSON, .nullable = true, .source_type = "jsonb"},
    };
    struct table *t = arena_calloc(a, 1, sizeof(*t));

    t->schema = "public";
    t->name = "t";
    t->ncols = NCOLS;
    t->cols = arena_memdup(a, cols, sizeof(cols));
    table_index_keys(a, t);
    table_name_fields(a, t, "shop");
    return t;
}

/* --- ours --- */

static void exec(struct apply *o, const char *sql)
{
    struct error err = {0};

    must(o->ops->exec(o->session, sql, NULL, &err), &err);
}

static void make_target(struct apply *o)
{
    struct buf sql = {0};
    struct error err = {0};

    must(target_new(o->arena, o->sink, o->ops->dialect, "public", "t", &o->target, &err), &err);
    exec(o, "CREATE SCHEMA IF NOT EXISTS public");
    target_sql_create(&sql, o->target, "public", "t");
    exec(o, buf_cstr(&sql));
    if (o->ops->dialect->primary_key)
        exec(o, "ALTER TABLE public.t ADD PRIMARY KEY (id)");
    buf_free(&sql);
}

static void ours_open(struct apply *o, const struct warehouse_ops *ops, const char *url)
{
    const struct setting *const settings[] = {config_sink_settings, ops->settings, NULL};
    const char *pairs[] = {"connection.url", url, NULL};
    struct buf value = {0}, key = {0};
    struct error err = {0};

    memset(o, 0, sizeof(*o));
    o->ops = ops;
    o->arena = arena_new("bench");
    must(config_make(&o->config, "wh", settings, pairs, &err), &err);
    must(ops->open(&o->warehouse, o->config, &err), &err);
    must(ops->connect(o->warehouse, "bench", &o->session, &err), &err);
    o->source = make_table(o->arena);
    avro_value_schema(&value, o->source, &source_postgres_block);
    avro_key_schema(&key, o->source);
    must(avro_table(o->arena, arena_strdup(o->arena, buf_cstr(&value)),
                    arena_strdup(o->arena, buf_cstr(&key)), &o->sink, &err),
         &err);
    o->encoder = encoder_new(o->source, &source_postgres_block, 1, 2);
    o->decoder = decoder_new(buf_cstr(&value), o->sink, &err);
    must(o->decoder != NULL, &err);
    make_target(o);
    o->loader = loader_new(ops, o->session, o->target, o->decoder, 1, OVERFLOW_STOP);
    buf_free(&value);
    buf_free(&key);
}

static void ours_close(struct apply *o)
{
    loader_free(o->loader);
    encoder_free(o->encoder);
    decoder_free(o->decoder);
    o->ops->disconnect(o->session);
    o->ops->close(o->warehouse);
    config_free(o->config);
    buf_free(&o->key);
    buf_free(&o->value);
    arena_free(o->arena);
}

static struct value integer(int64_t i)
{
    return (struct value){.state = VALUE_SET, .i = i};
}

static struct value text(const struct text *t)
{
    if (t->len == 0)
        return (struct value){.state = VALUE_NULL};
    return (struct value){.state = VALUE_SET, .s = {t->p, t->len}};
}

static void values_of(const struct row *r, struct value *v)
{
    const struct value null = {.state = VALUE_NULL};

    v[0] = integer(r->id);
    v[1] = integer(r->a);
    v[2] = r->b_null ? null : integer(r->b);
    v[3] = integer(r->qty);
    v[4] = text(&r->amount);
    v[5] = text(&r->name);
    v[6] = text(&r->descr);
    v[7] = text(&r->note);
    v[8] = integer(r->us - VALUE_EPOCH_SHIFT_US);
    v[9] = r->flag_null ? null : integer(r->flag);
    v[10] = text(&r->u);
    v[11] = text(&r->j);
}

/* Off the clock: it is the source's side that encodes. */
static void encode(struct apply *o, const struct row *rows, int64_t n)
{
    static const char ops[] = {[ROW_UPDATE] = 'u', [ROW_INSERT] = 'c', [ROW_DELETE] = 'd'};
    struct event_meta meta = {.csn = ++o->csn,
                              .tx_id = "1:1",
                              .total_order = 1,
                              .data_collection_order = 1,
                              .source_us = o->csn * 1000,
                              .now_us = 5,
                              .server_name = "shop",
                              .database = "shop",
                              .snapshot = "false"};
    struct value v[NCOLS];
    struct error err = {0};
    bool unavailable;
    int64_t i;
    int c;

    segment_free(o->segment);
    o->segment = segment_new();
    segment_begin(o->segment, o->csn, o->csn * 1000);
    for (i = 0; i < n; i++) {
        bool deletes = rows[i].op == ROW_DELETE;
        struct change change = {.op = ops[rows[i].op],
                                .table = o->source,
                                .before = deletes ? v : NULL,
                                .after = deletes ? NULL : v};

        values_of(&rows[i], v);
        for (c = 1; c < NCOLS && deletes; c++)
            v[c].state = VALUE_ABSENT;
        buf_reset(&o->key);
        buf_reset(&o->value);
        must(encoder_key(o->encoder, v, &o->key, &err) &&
                 encoder_value(o->encoder, &change, &meta, &o->value, &unavailable, &err),
             &err);
        segment_row(o->segment, ops[rows[i].op], 0, &o->key, &o->value, NULL);
    }
}

static void ours_apply(struct apply *o)
{
    struct loader_stats stats;
    struct error err = {0};
    struct event e;

    while (segment_next(o->segment, &e)) {
        if (e.kind == EVENT_ROW)
            must(compact_add(loader_compact(o->loader), &e, o->csn, o->csn * 1000, &err), &err);
    }
    must(o->ops->begin(o->session, &err) && loader_apply(o->loader, NULL, &stats, &err) &&
             o->ops->commit(o->session, &err) &&
             (o->ops->maintain == NULL || o->ops->maintain(o->session, false, &err)),
         &err);
}

/* --- rows --- */

static uint64_t next_random(struct bench *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random;
}

/* A key of the table that the batch does not have yet. */
static int64_t random_key(struct bench *b)
{
    int64_t width = b->recent ? b->table_rows / 20 : b->table_rows, id;

    if (width < 4 * b->batch)
        width = 4 * b->batch;
    do
        id = b->table_rows - (int64_t)(next_random(b) % (uint64_t)width);
    while (b->used[id >> 3] & (1 << (id & 7)));
    b->used[id >> 3] |= (uint8_t)(1 << (id & 7));
    return id;
}

static void make_batch(struct bench *b)
{
    int64_t i;

    for (i = 0; i < b->batch; i++) {
        unsigned dice = (unsigned)(next_random(b) % 10);

        if (dice >= 5 && dice < 8)
            row_make(&b->rows[i], b->next_id++, 0, ROW_INSERT);
        else
            row_make(&b->rows[i], random_key(b), 1 + (int)dice, dice < 5 ? ROW_UPDATE : ROW_DELETE);
    }
    for (i = 0; i < b->batch; i++) {
        if (b->rows[i].op != ROW_INSERT)
            b->used[b->rows[i].id >> 3] = 0;
    }
}

/* --- both --- */

struct cost {
    double wall, cpu;
};

static void clocks(const struct cost *from, struct cost *to, pid_t server)
{
    double wall = bench_now();
    double cpu =
        bench_clock(CLOCK_PROCESS_CPUTIME_ID) + (server != 0 ? bench_process_cpu(server) : 0);

    to->wall = from == NULL ? wall : wall - from->wall;
    to->cpu = from == NULL ? cpu : cpu - from->cpu;
}

static void apply_ours(struct bench *b, int64_t n, struct cost *sum)
{
    struct cost from, took;

    encode(&b->ours, b->rows, n);
    clocks(NULL, &from, b->our_server);
    ours_apply(&b->ours);
    clocks(&from, &took, b->our_server);
    sum->wall += took.wall;
    sum->cpu += took.cpu;
}

static void apply_bare(struct bench *b, int64_t n, struct cost *sum)
{
    struct cost from, took;

    clocks(NULL, &from, b->bare_server);
    if (b->kind == DUCKDB)
        bare_duckdb_apply(&b->duck, b->rows, n);
    else
        bare_pg_apply(&b->pg, b->rows, n);
    clocks(&from, &took, b->bare_server);
    sum->wall += took.wall;
    sum->cpu += took.cpu;
}

/* The table as it is before the batches. */
static void fill(struct bench *b)
{
    struct cost ignored = {0};
    int64_t at, i, n;

    for (at = 1; at <= b->table_rows; at += n) {
        n = b->table_rows - at + 1 < b->batch ? b->table_rows - at + 1 : b->batch;
        for (i = 0; i < n; i++)
            row_make(&b->rows[i], at + i, 0, ROW_INSERT);
        apply_ours(b, n, &ignored);
        apply_bare(b, n, &ignored);
    }
    b->next_id = b->table_rows + 1;
    if (b->kind == DUCKDB) {
        exec(&b->ours, "CHECKPOINT");
        bare_sql(&b->duck, "CHECKPOINT");
    } else {
        bare_pg_sql(&b->pg, "VACUUM ANALYZE t");
        exec(&b->ours, "VACUUM ANALYZE public.t");
        bare_pg_sql(&b->pg, "CHECKPOINT");
    }
}

static void compare_counts(struct bench *b)
{
    struct arena *a = arena_new("count");
    struct error err = {0};
    struct rowset r;
    char bare[32] = "";

    must(b->ours.ops->query(b->ours.session, a, "SELECT count(*) FROM public.t", &r, &err), &err);
    if (b->kind == POSTGRES) {
        server_ask(b->pg.con, "SELECT count(*) FROM t", bare, sizeof(bare));
    } else {
        duckdb_result d;

        duckdb_query(b->duck.con, "SELECT count(*) FROM t", &d);
        snprintf(bare, sizeof(bare), "%lld", (long long)duckdb_value_int64(&d, 0, 0));
        duckdb_destroy_result(&d);
    }
    if (strcmp(rowset_get(&r, 0, 0), bare) != 0)
        bare_fail("the two tables differ in their count of rows", bare);
    arena_free(a);
}

static void measure(struct bench *b, const char *rate, const char *cpu, const char *goal)
{
    struct bench_row r = {.what = rate,
                          .unit = "k rows/s",
                          .scale = 1e-3,
                          .baseline = "bare loop",
                          .goal = goal},
                     c = {.what = cpu, .unit = "us/row", .scale = 1e6, .baseline = "bare loop"};
    double began = bench_now();
    int i, k;

    for (i = 0; i < REPETITIONS && bench_now() - began < TIME_LIMIT_S; i++) {
        struct cost ours = {0}, bare = {0};
        double n = (double)(b->batch * BATCHES);

        for (k = 0; k < BATCHES; k++) {
            make_batch(b);
            if (k % 2 == 0)
                apply_ours(b, b->batch, &ours);
            apply_bare(b, b->batch, &bare);
            if (k % 2 == 1)
                apply_ours(b, b->batch, &ours);
        }
        bench_add(&r, n / ours.wall, n / bare.wall);
        bench_add(&c, ours.cpu / n, bare.cpu / n);
    }
    compare_counts(b);
    bench_print(&r);
    bench_print(&c);
}

static void open_duckdb(struct bench *b)
{
    char path[120], url[160];

    snprintf(path, sizeof(path), "%s/bare.duckdb", server_own_folder());
    bare_duckdb_open(&b->duck, path);
    snprintf(url, sizeof(url), "duckdb:%s/ours.duckdb", server_own_folder());
    ours_open(&b->ours, &warehouse_duckdb_ops, url);
}

static void open_postgres(struct bench *b, const struct server *s)
{
    PGconn *c = server_connect(s, "");
    char url[200], pid[16];

    server_run(c, "CREATE DATABASE ours");
    server_run(c, "CREATE TABLE t(id bigint PRIMARY KEY, a int, b int, qty smallint, amount "
                  "numeric(12,2), name text, descr text, note text, ts timestamptz, flag boolean, "
                  "u uuid, j jsonb)");
    bare_pg_open(&b->pg, c);
    b->bare_server = PQbackendPID(c);
    snprintf(url, sizeof(url), "postgres://postgres@/ours?host=%s&port=%d", s->dir, s->port);
    ours_open(&b->ours, &warehouse_postgres_ops, url);
    server_ask(c, "SELECT pid FROM pg_stat_activity WHERE datname = 'ours'", pid, sizeof(pid));
    b->our_server = atoi(pid);
}

static void run(enum kind kind, int64_t table_rows, int64_t batch)
{
    static const char *const names[2][2][2] = {
        {{"DuckDB apply, random keys", "CPU of DuckDB apply, random keys"},
         {"DuckDB apply, recent keys", "CPU of DuckDB apply, recent keys"}},
        {{"Postgres apply, random keys", "CPU of Postgres apply, random keys"},
         {"Postgres apply, recent keys", "CPU of Postgres apply, recent keys"}}};
    static struct server server;
    struct bench b = {.kind = kind,
                      .table_rows = table_rows,
                      .batch = batch,
                      .random = UINT64_C(88172645463325252)};
    int k;

    if (kind == POSTGRES)
        server_start(&server, false, workload_warehouse);
    b.rows = malloc((size_t)batch * sizeof(*b.rows));
    b.used = calloc(1, (size_t)table_rows / 8 + 2);
    if (b.rows == NULL || b.used == NULL)
        abort();
    if (kind == DUCKDB)
        open_duckdb(&b);
    else
        open_postgres(&b, &server);
    fill(&b);
    printf("%s: %lld rows, batches of %lld\n", kind == DUCKDB ? "DuckDB" : "Postgres",
           (long long)table_rows, (long long)batch);
    bench_head("bare loop");
    for (k = 0; k < 2; k++) {
        b.recent = k == 1;
        measure(&b, names[kind][k][0], names[kind][k][1], ">= 0.85");
    }
    puts("");
    ours_close(&b.ours);
    segment_free(b.ours.segment);
    if (kind == DUCKDB)
        bare_duckdb_close(&b.duck);
    else
        PQfinish(b.pg.con);
    free(b.pg.out);
    free(b.rows);
    free(b.used);
}

int main(int argc, char **argv)
{
    int64_t rows = argc > 1 ? strtoll(argv[1], NULL, 10) : 200000;

    log_set_level(LOG_WARN);
    run(DUCKDB, rows, 10000);
    run(POSTGRES, rows, 10000);
    return 0;
}
