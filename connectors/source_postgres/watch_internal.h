/* SPDX-License-Identifier: Apache-2.0 */
/* What watch.c (asking), watch_judge.c (the judgement) and watch_sql.c (the question) share. */
#ifndef PENSTOCK_SOURCE_POSTGRES_WATCH_INTERNAL_H
#define PENSTOCK_SOURCE_POSTGRES_WATCH_INTERNAL_H

#include "source_postgres/source_postgres.h"
#include "source_postgres/watch.h"
#include "util/buf.h"
#include "util/map.h"

/* Statements of one look, in order. */
enum { WATCH_END, WATCH_CATALOGUE, WATCH_NAMES, WATCH_ANSWERS };

/* A relation with rows: a table, or a leaf of a partitioned one. */
struct leaf {
    uint32_t oid, root, file;
    uint64_t attributes;
    char membership[MEMBERSHIP_SIZE];
    unsigned round; /* when it was last seen */
    bool looked;    /* as the last look saw it; else as another answer did */
};

/* A leaf that the log has brought rows of and that no look has seen. */
struct sighted {
    uint32_t oid, root;
    bool asked; /* the question that is on its way was sent after that */
};

/* A table whose columns may have got others' names, see watch_names.c. */
struct suspect {
    uint32_t oid;
    bool asked;   /* the question that is on its way is about it, too */
    uint64_t end; /* end of the log after its columns had changed; 0: not known yet */
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
    struct map *leaves;   /* struct leaf by oid: what is vouched for */
    struct map *roots;    /* oids of tables with any leaf that was vouched for before this round */
    struct map *added;    /* oids that prepare added to the publication */
    struct map *sighted;  /* struct sighted by oid */
    struct map *suspects; /* struct suspect by oid */
    /* While streaming: */
    struct relations *relations;
    struct pg_conn *conn;
    struct buf sql, asking;
    bool busy;                        /* an answer is on its way */
    PGresult *answers[WATCH_ANSWERS]; /* of it, as far as they have come */
    int nanswers;
    struct map *overtaken; /* oids of tables that a later answer, or stream_table, spoke of */
    char *look;            /* the snapshot of the last look, or NULL */
    unsigned round;
    int64_t asked_ms, next_ms;
};

/* Columns of WATCH_CATALOGUE. */
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
/* Appends the question for what makes them part of the publication: oid, struct table's. */
void watch_membership_sql(const struct source *s, const char *oids, struct buf *sql);
/* Only its beginning: slot(bound), pub, t(root, oid, attached). */
void watch_ctes(const struct source *s, const char *oids, struct buf *sql);
void watch_take_leaf(const PGresult *res, int i, struct leaf *l);

/* Remembers a leaf as it is. */
void watch_vouch(struct watch *w, const struct leaf *l);
/* Judges the answer to a look at all tables. */
MUST_CHECK bool watch_judge(struct watch *w, const PGresult *res, const struct change_sink *sink,
                            struct error *err);
/* The table wants a load, once. */
MUST_CHECK bool watch_want(struct watch *w, uint32_t root, const struct change_sink *sink,
                           const char *name, const char *what, struct error *err);

/* watch_names.c */
void watch_suspect(struct watch *w, uint32_t root);
void watch_unsuspect(struct watch *w, uint32_t root);
/* Appends the statement about all suspects. */
void watch_names_sql(struct watch *w, struct buf *sql);
/* Judges its answer; end: of the log, as of before the answer. */
MUST_CHECK bool watch_names_judge(struct watch *w, const PGresult *res, uint64_t end,
                                  const struct change_sink *sink, struct error *err);

#endif
