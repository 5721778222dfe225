/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workload that all benchmarks share: a table of 12 columns (about 340 bytes a row in the
 * heap, 408 in the log), rows inserted and then updated in transactions of 1 to 100 rows. Always
 * the same rows; the sizes of the transactions follow from one seed.
 */
#ifndef PENSTOCK_TESTS_BENCH_WORKLOAD_H
#define PENSTOCK_TESTS_BENCH_WORKLOAD_H

#include "server.h"

#include <stdint.h>

static const char *const workload_source[] = {
    "wal_level = logical",      "fsync = off",
    "synchronous_commit = off", "shared_buffers = 256MB",
    "max_wal_size = 8GB",       "checkpoint_timeout = 1h",
    "autovacuum = off",         "track_commit_timestamp = on",
    "log_min_messages = error", NULL};

/* The warehouse writes as it would: only the disk's flushes are left out, on both sides alike. */
static const char *const workload_warehouse[] = {"fsync = off",
                                                 "shared_buffers = 256MB",
                                                 "max_wal_size = 8GB",
                                                 "checkpoint_timeout = 1h",
                                                 "log_min_messages = error",
                                                 NULL};

static const char workload_table[] =
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

static inline void workload_call(PGconn *c, const char *procedure, int64_t rows)
{
    char sql[64];

    snprintf(sql, sizeof(sql), "CALL %s(%lld)", procedure, (long long)rows);
    server_run(c, sql);
}

/* rows inserted, then each of them updated. */
static inline void workload_fill(PGconn *c, int64_t rows)
{
    server_run(c, "SELECT setseed(0.5)");
    workload_call(c, "small_ins", rows);
    server_run(c, "VACUUM ANALYZE t");
    workload_call(c, "small_upd", rows);
    server_run(c, "CHECKPOINT");
}

#endif
