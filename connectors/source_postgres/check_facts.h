/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that `check` asks the server and its role, in one struct, and what follows from it.
 * Reading is in check_read.c; judging is pure (check_judge.c), so that every finding's text can be
 * tested without a server.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_CHECK_FACTS_H
#define PENSTOCK_SOURCE_POSTGRES_CHECK_FACTS_H

#include "quality/findings.h"
#include "source_postgres/source_postgres.h"

#define CHECK_MIN_VERSION 140000
#define CHECK_MAX_WAITS 10

/* A transaction that has written and is still open: a new slot waits for its end. */
struct check_wait {
    int pid;       /* 0: a prepared transaction */
    char gid[204]; /* its name, of a prepared one */
    char user[PG_NAME_SIZE], database[PG_NAME_SIZE];
    char application[PG_NAME_SIZE], state[32];
    int64_t seconds; /* since it began; -1: the role may not see that */
    char query[100]; /* without constants; "": the role may not see it */
};

struct check_facts {
    struct pg_facts server;
    /* Did what we send with the connection reach the server? */
    bool options_lost;  /* session settings did not arrive */
    bool other_backend; /* the server process is not the one that the connection speaks of */
    /* settings; -1: not known, or not there in this version */
    int64_t slots, slots_used, senders, senders_used;
    int64_t wal_sender_timeout_ms; /* 0: none */
    int64_t slot_keep_bytes;       /* max_slot_wal_keep_size; -1: no limit */
    int64_t idle_slot_seconds;     /* idle_replication_slot_timeout (18); 0: none */
    int64_t decoding_bytes;        /* logical_decoding_work_mem */
    /* the slot of our name */
    const char *slot;
    bool slot_exists;
    /* what the load is expected to take; -1: not known */
    double load_seconds;
    int64_t load_log_bytes;
    int nwaits;
    struct check_wait waits[CHECK_MAX_WAITS];
};

/* Server and role alone: what stops a run at every connect. */
void check_judge_server(const struct pg_facts *f, struct findings *out);
void check_judge_pooler(const struct check_facts *f, struct findings *out);
/* Room, limits, open transactions. */
void check_judge_limits(const struct check_facts *f, struct findings *out);
/* Constants of an SQL text as ?, comments left out, in one line, cut to size. */
void check_mask_query(const char *sql, char *out, size_t size);
/* "12.3 MB"; returns out. */
char *check_size(int64_t bytes, char *out, size_t size);

/* The facts that change by themselves, asked twice: first at the beginning, then, some time later,
 * which of them are still so. */
struct check_watch {
    int64_t began_ms;
    uint64_t lsn;
    double average; /* bytes of log a second since the statistics were reset; -1 unknown */
    char *xids;     /* of transactions that had written, ",1,2,"; mem_free */
};

MUST_CHECK bool check_read_facts(struct source *s, struct pg_conn *c, struct check_facts *f,
                                 struct error *err);
MUST_CHECK bool check_watch_begin(struct pg_conn *c, struct check_watch *w, struct error *err);
/* now: bytes of log a second since check_watch_begin. Fills the facts' waits. */
MUST_CHECK bool check_watch_end(struct pg_conn *c, struct check_watch *w, struct check_facts *f,
                                double *now, struct error *err);
void check_watch_free(struct check_watch *w);

#endif
