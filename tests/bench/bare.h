/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bare loops: what the warehouse's own library needs to apply rows, and nothing else. No key is
 * looked for, no checkpoint row is kept, nothing is decoded. Each batch: an empty temporary stage,
 * the rows into it, one transaction of DELETE and INSERT (DuckDB) or MERGE (Postgres).
 */
#ifndef PENSTOCK_TESTS_BENCH_BARE_H
#define PENSTOCK_TESTS_BENCH_BARE_H

#include "bench.h"
#include "rows.h"

#include <arpa/inet.h>
#include <duckdb.h>
#include <endian.h>
#include <libpq-fe.h>
#include <sys/stat.h>

#define BARE_COLUMNS                                                                            \
    "id BIGINT, a INTEGER, b INTEGER, qty SMALLINT, amount DECIMAL(12,2), name VARCHAR, descr " \
    "VARCHAR, note VARCHAR, ts TIMESTAMPTZ, flag BOOLEAN, u UUID, j VARCHAR"
#define BARE_NAMES "id, a, b, qty, amount, name, descr, note, ts, flag, u, j"
#define BARE_CHECKPOINT ((off_t)128 << 20) /* of log, as in wdk_maintain.c */

static inline void bare_fail(const char *what, const char *why)
{
    fprintf(stderr, "bench: bare loop: %s: %s\n", what, why != NULL ? why : "?");
    exit(1);
}

/* --- DuckDB --- */

struct bare_duckdb {
    char path[160];
    duckdb_database db;
    duckdb_connection con;
    duckdb_logical_type types[13];
    duckdb_data_chunk chunk;
};

static inline void bare_sql(struct bare_duckdb *d, const char *sql)
{
    duckdb_result r;

    if (duckdb_query(d->con, sql, &r) != DuckDBSuccess)
        bare_fail(sql, duckdb_result_error(&r));
    duckdb_destroy_result(&r);
}

static inline void bare_duckdb_types(struct bare_duckdb *d)
{
    static const duckdb_type ids[13] = {
        DUCKDB_TYPE_TINYINT,  DUCKDB_TYPE_BIGINT,       DUCKDB_TYPE_INTEGER, DUCKDB_TYPE_INTEGER,
        DUCKDB_TYPE_SMALLINT, DUCKDB_TYPE_DECIMAL,      DUCKDB_TYPE_VARCHAR, DUCKDB_TYPE_VARCHAR,
        DUCKDB_TYPE_VARCHAR,  DUCKDB_TYPE_TIMESTAMP_TZ, DUCKDB_TYPE_BOOLEAN, DUCKDB_TYPE_UUID,
        DUCKDB_TYPE_VARCHAR};
    int i;

    for (i = 0; i < 13; i++)
        d->types[i] = ids[i] == DUCKDB_TYPE_DECIMAL ? duckdb_create_decimal_type(12, 2)
                                                    : duckdb_create_logical_type(ids[i]);
    d->chunk = duckdb_create_data_chunk(d->types, 13);
}

/* The pragmas are ours (wdk_open.c). */
static inline void bare_duckdb_open(struct bare_duckdb *d, const char *path)
{
    static const char *const options[][2] = {{"memory_limit", "256MB"},
                                             {"threads", "2"},
                                             {"checkpoint_threshold", "512MB"},
                                             {"max_vacuum_tasks", "0"}};
    duckdb_config c;
    char *why = NULL;
    size_t i;

    snprintf(d->path, sizeof(d->path), "%s", path);
    duckdb_create_config(&c);
    for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (duckdb_set_config(c, options[i][0], options[i][1]) != DuckDBSuccess)
            bare_fail("setting", options[i][0]);
    if (duckdb_open_ext(path, &d->db, c, &why) != DuckDBSuccess ||
        duckdb_connect(d->db, &d->con) != DuckDBSuccess)
        bare_fail(path, why);
    duckdb_destroy_config(&c);
    bare_duckdb_types(d);
    bare_sql(d, "CREATE TABLE IF NOT EXISTS t(" BARE_COLUMNS ")");
    bare_sql(d, "CREATE TEMP TABLE s(op TINYINT, " BARE_COLUMNS ")");
}

static inline void bare_duckdb_close(struct bare_duckdb *d)
{
    int i;

    bare_sql(d, "CHECKPOINT");
    duckdb_destroy_data_chunk(&d->chunk);
    for (i = 0; i < 13; i++)
        duckdb_destroy_logical_type(&d->types[i]);
    duckdb_disconnect(&d->con);
    duckdb_close(&d->db);
}

static inline void bare_null(duckdb_vector v, idx_t row)
{
    duckdb_vector_ensure_validity_writable(v);
    duckdb_validity_set_row_invalid(duckdb_vector_get_validity(v), row);
}

static inline void bare_text(duckdb_vector v, idx_t row, const struct text *t)
{
    if (t->len == 0)
        bare_null(v, row);
    else
        duckdb_vector_assign_string_element_len(v, row, t->p, t->len);
}

/* Column by column, as a loop that knows its table does it. */
static inline void bare_fill(duckdb_data_chunk chunk, const struct row *r, idx_t n)
{
    duckdb_vector v[13];
    void *p[13];
    idx_t i;

    for (i = 0; i < 13; i++) {
        v[i] = duckdb_data_chunk_get_vector(chunk, i);
        p[i] = duckdb_vector_get_data(v[i]);
    }
    for (i = 0; i < n; i++) {
        ((int8_t *)p[0])[i] = (int8_t)r[i].op;
        ((int64_t *)p[1])[i] = r[i].id;
        ((int32_t *)p[2])[i] = r[i].a;
        ((int32_t *)p[3])[i] = r[i].b;
        ((int16_t *)p[4])[i] = r[i].qty;
        ((int64_t *)p[5])[i] = r[i].cents;
        ((int64_t *)p[9])[i] = r[i].us;
        ((bool *)p[10])[i] = r[i].flag;
        ((duckdb_hugeint *)p[11])[i] = (duckdb_hugeint){
            .lower = r[i].uuid[1], .upper = (int64_t)(r[i].uuid[0] ^ (UINT64_C(1) << 63))};
        if (r[i].b_null)
            bare_null(v[3], i);
        if (r[i].flag_null)
            bare_null(v[10], i);
    }
    for (i = 0; i < n; i++)
        bare_text(v[6], i, &r[i].name);
    for (i = 0; i < n; i++)
        bare_text(v[7], i, &r[i].descr);
    for (i = 0; i < n; i++)
        bare_text(v[8], i, &r[i].note);
    for (i = 0; i < n; i++)
        bare_text(v[12], i, &r[i].j);
    duckdb_data_chunk_set_size(chunk, n);
}

static inline void bare_duckdb_stage(struct bare_duckdb *d, const struct row *r, int64_t n)
{
    duckdb_appender ap;
    int64_t i;

    if (duckdb_appender_create_ext(d->con, "temp", NULL, "s", &ap) != DuckDBSuccess)
        bare_fail("appender", duckdb_appender_error(ap));
    for (i = 0; i < n; i += (int64_t)duckdb_vector_size()) {
        int64_t m = n - i < (int64_t)duckdb_vector_size() ? n - i : (int64_t)duckdb_vector_size();

        duckdb_data_chunk_reset(d->chunk);
        bare_fill(d->chunk, r + i, (idx_t)m);
        if (duckdb_append_data_chunk(ap, d->chunk) != DuckDBSuccess)
            bare_fail("append", duckdb_appender_error(ap));
    }
    duckdb_appender_close(ap);
    duckdb_appender_destroy(&ap);
}

static inline void bare_duckdb_apply(struct bare_duckdb *d, const struct row *r, int64_t n)
{
    char wal[180];
    struct stat st;

    bare_sql(d, "TRUNCATE s");
    bare_duckdb_stage(d, r, n);
    bare_sql(d, "BEGIN");
    bare_sql(d, "DELETE FROM t USING s WHERE t.id = s.id");
    bare_sql(d, "INSERT INTO t SELECT " BARE_NAMES " FROM s WHERE op <> 2");
    bare_sql(d, "COMMIT");
    snprintf(wal, sizeof(wal), "%s.wal", d->path);
    if (stat(wal, &st) == 0 && st.st_size >= BARE_CHECKPOINT)
        bare_sql(d, "CHECKPOINT");
}

/* --- Postgres --- */

struct bare_postgres {
    PGconn *con;
    char *out;
    size_t len, cap;
};

static inline void bare_pg_sql(struct bare_postgres *d, const char *sql)
{
    PGresult *r = PQexec(d->con, sql);

    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        bare_fail(sql, PQerrorMessage(d->con));
    PQclear(r);
}

static inline void bare_pg_open(struct bare_postgres *d, PGconn *con)
{
    memset(d, 0, sizeof(*d));
    d->con = con;
    bare_pg_sql(d, "CREATE TEMP TABLE s(op smallint, id bigint, a int, b int, qty smallint, amount "
                   "numeric(12,2), name text, descr text, note text, ts timestamptz, flag boolean, "
                   "u uuid, j jsonb)");
}

static inline void bare_put(struct bare_postgres *d, const void *p, size_t n)
{
    if (d->len + n > d->cap) {
        d->cap = d->cap == 0 ? 1 << 20 : d->cap * 2;
        d->out = realloc(d->out, d->cap);
        if (d->out == NULL)
            bare_fail("memory", "none");
    }
    memcpy(d->out + d->len, p, n);
    d->len += n;
}

static inline void bare_put16(struct bare_postgres *d, int v)
{
    uint16_t n = htons((uint16_t)v);

    bare_put(d, &n, 2);
}

static inline void bare_put32(struct bare_postgres *d, int64_t v)
{
    uint32_t n = htonl((uint32_t)v);

    bare_put(d, &n, 4);
}

static inline void bare_put64(struct bare_postgres *d, int64_t v)
{
    uint64_t n = htobe64((uint64_t)v);

    bare_put(d, &n, 8);
}

static inline void bare_put_text(struct bare_postgres *d, const struct text *t)
{
    bare_put32(d, t->len == 0 ? -1 : (int64_t)t->len);
    bare_put(d, t->p, t->len);
}

/* numeric: digits of base 10000, weight, sign, scale. */
static inline void bare_put_cents(struct bare_postgres *d, int64_t cents)
{
    int digits[5] = {(int)(cents / 100 / 10000 / 10000), (int)(cents / 100 / 10000 % 10000),
                     (int)(cents / 100 % 10000), (int)(cents % 100 * 100)};
    int from = 0, to = 4, i;

    while (from < 2 && digits[from] == 0)
        from++;
    bare_put32(d, 8 + 2 * (to - from));
    bare_put16(d, to - from);
    bare_put16(d, 2 - from);
    bare_put16(d, 0);
    bare_put16(d, 2);
    for (i = from; i < to; i++)
        bare_put16(d, digits[i]);
}

static inline void bare_put_row(struct bare_postgres *d, const struct row *r)
{
    uint64_t u[2] = {htobe64(r->uuid[0]), htobe64(r->uuid[1])};

    bare_put16(d, 13);
    bare_put32(d, 2);
    bare_put16(d, (int)r->op);
    bare_put32(d, 8);
    bare_put64(d, r->id);
    bare_put32(d, 4);
    bare_put32(d, r->a);
    bare_put32(d, r->b_null ? -1 : 4);
    if (!r->b_null)
        bare_put32(d, r->b);
    bare_put32(d, 2);
    bare_put16(d, r->qty);
    bare_put_cents(d, r->cents);
    bare_put_text(d, &r->name);
    bare_put_text(d, &r->descr);
    bare_put_text(d, &r->note);
    bare_put32(d, 8);
    bare_put64(d, r->us - INT64_C(946684800000000));
    bare_put32(d, r->flag_null ? -1 : 1);
    if (!r->flag_null)
        bare_put(d, r->flag ? "\1" : "\0", 1);
    bare_put32(d, 16);
    bare_put(d, u, 16);
    bare_put32(d, (int64_t)r->j.len + 1);
    bare_put(d, "\1", 1);
    bare_put(d, r->j.p, r->j.len);
}

static inline void bare_pg_stage(struct bare_postgres *d, const struct row *r, int64_t n)
{
    PGresult *res = PQexec(d->con, "COPY s FROM STDIN (FORMAT binary)");
    int64_t i;

    if (PQresultStatus(res) != PGRES_COPY_IN)
        bare_fail("COPY", PQerrorMessage(d->con));
    PQclear(res);
    d->len = 0;
    bare_put(d, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
    for (i = 0; i < n; i++) {
        bare_put_row(d, &r[i]);
        if (d->len >= 64 * 1024) {
            PQputCopyData(d->con, d->out, (int)d->len);
            d->len = 0;
        }
    }
    bare_put16(d, -1);
    PQputCopyData(d->con, d->out, (int)d->len);
    PQputCopyEnd(d->con, NULL);
    while ((res = PQgetResult(d->con)) != NULL) {
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
            bare_fail("COPY", PQerrorMessage(d->con));
        PQclear(res);
    }
}

static inline void bare_pg_apply(struct bare_postgres *d, const struct row *r, int64_t n)
{
    bare_pg_sql(d, "BEGIN");
    bare_pg_sql(d, "TRUNCATE s");
    bare_pg_stage(d, r, n);
    bare_pg_sql(d, "ANALYZE s");
    bare_pg_sql(d, "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.op = 2 THEN DELETE WHEN "
                   "MATCHED THEN UPDATE SET a = s.a, b = s.b, qty = s.qty, amount = s.amount, name "
                   "= s.name, descr = s.descr, note = s.note, ts = s.ts, flag = s.flag, u = s.u, j "
                   "= s.j WHEN NOT MATCHED AND s.op <> 2 THEN INSERT (" BARE_NAMES
                   ") VALUES (s.id, s.a, s.b, s.qty, s.amount, s.name, s.descr, s.note, s.ts, "
                   "s.flag, s.u, s.j)");
    bare_pg_sql(d, "COMMIT");
}

#endif
