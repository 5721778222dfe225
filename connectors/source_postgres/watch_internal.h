/* SPDX-License-Identifier: Apache-2.0 */
/* What watch.c (asking), watch_judge.c (the judgement) and watch_sql.c (the question) share. */
#ifndef PENSTOCK_SOURCE_POSTGRES_WATCH_INTERNAL_H
#define PENSTOCK_SOURCE_POSTGRES_WATCH_INTERNAL_H

#include "source_postgres/source_postgres.h"
#include "source_postgres/watch.h"
#include "util/buf.h"
#include "util/map.h"

/* A relation with rows: a table, or a leaf of a partitioned one. */
struct leaf {
    uint32_t oid, root, file;
    uint64_t attributes;
    uint64_t membership;
    unsigned round; /* when it was last seen */
    bool looked;    /* as the last look saw it; else as another answer did */
};

/* The catalogue as of one point. */
struct noted {
    struct noted *next;
    int64_t csn;
    bool closed; /* the point is */
    int n;
    struct leaf *leaves;
};

struct watch {
    struct source *source;
    struct noted *noted;
    struct map *leaves; /* struct leaf by oid: what is vouched for */
    struct map *roots;  /* oids of tables with any leaf that was vouched for before this round */
    struct map *added;  /* oids that prepare added to the publication */
    /* While streaming: */
    struct relations *relations;
    struct pg_conn *conn;
    struct buf sql;
    bool busy;                        /* an answer is on its way */
    PGresult *end_of_log, *catalogue; /* of it, as far as it has come */
    struct map *overtaken; /* oids of tables that a later answer, or stream_table, spoke of */
    char *look;            /* the snapshot of the last look, or NULL */
    unsigned round;
    int64_t asked_ms, next_ms;
};

/* Columns of the answer. */
enum {
    W_ROOT,
    W_OID,
    W_FILE,
    W_ATTRIBUTES,
    W_MEMBER,
    W_NAME,
    W_FILE_NEW,
    W_ALTERED,
    W_ATTACHED,
    W_IDENTITY,
    W_ODD,
    W_MEMBER_NEW,
    W_SNAPSHOT
};

/* Appends the question for the tables of those oids, "1,2". */
void watch_sql(const struct source *s, const char *oids, struct buf *sql);
/* Only its beginning: slot(bound), pub, t(root, oid, attached). */
void watch_ctes(const struct source *s, const char *oids, struct buf *sql);
void watch_take_leaf(const PGresult *res, int i, struct leaf *l);

/* Remembers a leaf as it is. */
void watch_vouch(struct watch *w, const struct leaf *l);
/* Judges the answer to a look at all tables. */
MUST_CHECK bool watch_judge(struct watch *w, const PGresult *res, const struct change_sink *sink,
                            struct error *err);

#endif
