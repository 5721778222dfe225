/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of the workload's shape, made from their number, for the bare loops and for what is fed to
 * us in process: the same 12 columns, lengths and NULLs as workload.h's table.
 */
#ifndef PENSTOCK_TESTS_BENCH_ROWS_H
#define PENSTOCK_TESTS_BENCH_ROWS_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct text {
    char p[160];
    size_t len;
};

enum row_op { ROW_UPDATE = 0, ROW_INSERT = 1, ROW_DELETE = 2 };

struct row {
    enum row_op op;
    int64_t id, cents, us; /* us since 1970 */
    int32_t a, b;
    int16_t qty;
    bool b_null, flag, flag_null;
    uint64_t uuid[2];
    struct text amount, name, descr, note, u, j; /* descr, note: len 0 is NULL */
};

static inline uint64_t row_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* version 0 as inserted, more as updated. */
static inline void row_make(struct row *r, int64_t id, int version, enum row_op op)
{
    uint64_t h = row_mix((uint64_t)id + 1), g = row_mix(h), k = row_mix(g);

    r->op = op;
    r->id = id;
    r->a = (int32_t)(id * 7919 % 1000003);
    r->b = (int32_t)(version > 0 ? id % 777 : id % 100000);
    r->b_null = version == 0 && id % 5 == 0;
    r->qty = (int16_t)(id % 30000);
    r->cents = id * 37 % 99999999 + 100 * version;
    r->us = INT64_C(1704067200000000) + (id % 31536000) * 1000000 + id % 1000000 +
            version * INT64_C(86400000000);
    r->flag_null = version == 0 && id % 11 == 0;
    r->flag = (id + version) % 2 == 0;
    r->uuid[0] = h;
    r->uuid[1] = k;
    r->amount.len = (size_t)snprintf(r->amount.p, sizeof(r->amount.p), "%" PRId64 ".%02" PRId64,
                                     r->cents / 100, r->cents % 100);
    r->name.len =
        (size_t)snprintf(r->name.p, sizeof(r->name.p), "customer-%016" PRIx64 "%016" PRIx64, h, g);
    r->descr.len = (size_t)snprintf(r->descr.p, sizeof(r->descr.p), "descr %016" PRIx64 "%04x", g,
                                    (unsigned)(h & 0xffff));
    if (id % 7 == 0)
        r->descr.len = 0;
    r->note.len =
        (size_t)snprintf(r->note.p, sizeof(r->note.p),
                         version > 0 ? "upd %016" PRIx64 "%016" PRIx64
                                     : "note %016" PRIx64 "%016" PRIx64 "0123456789abcdef0123",
                         h, k);
    if (version == 0 && id % 3 == 0)
        r->note.len = 0;
    r->u.len =
        (size_t)snprintf(r->u.p, sizeof(r->u.p), "%08x-%04x-%04x-%04x-%012" PRIx64,
                         (unsigned)(h >> 32), (unsigned)(h >> 16 & 0xffff), (unsigned)(h & 0xffff),
                         (unsigned)(k >> 48), k & UINT64_C(0xffffffffffff));
    r->j.len = (size_t)snprintf(
        r->j.p, sizeof(r->j.p),
        "{\"k1\": %" PRId64 ", \"tag\": \"%016" PRIx64 "\", \"addr\": {\"zip\": \"%05" PRId64
        "\", \"city\": \"Springfield\"}, \"tags\": [\"a\", \"bb\", \"ccc\"]}",
        id, g, id % 99999);
}

#endif
