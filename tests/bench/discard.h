/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libpq loop that reads a slot's changes and throws them away; it acknowledges nothing, so that
 * the slot stays where it is. The walsender on the first processor, the loop on the second: where
 * the two share one, the rate halves, whoever receives.
 */
#ifndef PENSTOCK_TESTS_BENCH_DISCARD_H
#define PENSTOCK_TESTS_BENCH_DISCARD_H

#include "bench.h"
#include "server.h"

#include <poll.h>

/* What one run took, in seconds. */
struct taken {
    double wall, receiver, walsender;
};

/* Who reads the slot; 0: nobody. */
static inline pid_t slot_reader(PGconn *control, const char *slot)
{
    char sql[160], pid[32] = "";

    snprintf(sql, sizeof(sql), "SELECT active_pid FROM pg_replication_slots WHERE slot_name = '%s'",
             slot);
    server_ask(control, sql, pid, sizeof(pid));
    return atoi(pid);
}

/* A slot no longer read is free only when its walsender has noticed. */
static inline void slot_wait_free(PGconn *control, const char *slot)
{
    while (slot_reader(control, slot) != 0)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* Gives walsender and receiver (this thread) their processors. */
static inline pid_t slot_pin(PGconn *control, const char *slot)
{
    pid_t pid = slot_reader(control, slot);

    if (pid == 0)
        server_fail("nobody reads the slot");
    if (!bench_pin(pid, 0) || !bench_pin(0, 1))
        fprintf(stderr, "bench: not pinned: the figures mean little\n");
    return pid;
}

static inline void taken_start(struct taken *t, pid_t walsender)
{
    t->walsender = bench_process_cpu(walsender);
    t->receiver = bench_clock(CLOCK_THREAD_CPUTIME_ID);
    t->wall = bench_now();
}

static inline void taken_stop(struct taken *t, pid_t walsender)
{
    t->wall = bench_now() - t->wall;
    t->receiver = bench_clock(CLOCK_THREAD_CPUTIME_ID) - t->receiver;
    t->walsender = bench_process_cpu(walsender) - t->walsender;
}

/* Counts rows; true after the commit with which they are all there. */
static inline bool discard(const char *m, int len, int64_t changes, int64_t *rows)
{
    if (m[0] != 'w' || len < 26)
        return false;
    *rows += m[25] == 'I' || m[25] == 'U';
    return m[25] == 'C' && *rows >= changes;
}

static inline void discard_run(const struct server *s, bool tcp, PGconn *control, const char *slot,
                               const char *publication, int64_t changes, struct taken *t)
{
    char sql[256], *m;
    /* It answers nothing, which is not for longer than the server waits for an answer. */
    PGconn *c =
        server_connect_host(s, tcp, "replication=database options='-c wal_sender_timeout=0'");
    PGresult *r;
    int64_t rows = 0;
    bool ended = false;
    pid_t pid;
    int n;

    snprintf(sql, sizeof(sql),
             "START_REPLICATION SLOT %s LOGICAL 0/0 (proto_version '1', publication_names '%s')",
             slot, publication);
    r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_COPY_BOTH)
        server_fail(PQerrorMessage(c));
    PQclear(r);
    pid = slot_pin(control, slot);
    taken_start(t, pid);
    while (!ended) {
        n = PQgetCopyData(c, &m, 1);
        if (n == 0) {
            struct pollfd fd = {.fd = PQsocket(c), .events = POLLIN};

            poll(&fd, 1, -1);
            if (PQconsumeInput(c) == 0)
                server_fail(PQerrorMessage(c));
            continue;
        }
        if (n < 0)
            server_fail(PQerrorMessage(c));
        ended = discard(m, n, changes, &rows);
        PQfreemem(m);
    }
    taken_stop(t, pid);
    PQfinish(c);
    slot_wait_free(control, slot);
}

#endif
