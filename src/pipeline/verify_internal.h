/* SPDX-License-Identifier: Apache-2.0 */
/* Verification's thread: shared by verify.c (the thread), verify_view.c (both sides as of one
 * point), verify_table.c (one table compared), verify_list.c (what differs) and verify_repair.c. */
#ifndef PENSTOCK_PIPELINE_VERIFY_INTERNAL_H
#define PENSTOCK_PIPELINE_VERIFY_INTERNAL_H

#include "pipeline/loads_internal.h"
#include "pipeline/verify.h"
#include "quality/verify_diff.h"

#include <jansson.h>

/* Why the watch has broken off what runs. */
enum verify_broken { VERIFY_GOES_ON, VERIFY_STOPPED, VERIFY_CANCELLED, VERIFY_TIMED_OUT };

struct verify {
    struct pipeline *p;
    struct verify_sink sink; /* p->verify */
    pthread_t thread, watch;
    bool started, watching;
    atomic_bool stop;
    _Atomic int broken; /* enum verify_broken */
    struct verification what;
    struct arena *arena; /* of the verification */

    pthread_mutex_t lock; /* of what the watch looks at and cancels */
    bool running;
    int64_t deadline_ms; /* 0: none */
    struct source *src;
    bool connected;
    struct session *view;
};

/* Both sides as of one point, for one table. */
struct verify_view {
    struct source_point *point;
    int64_t s;
    char position[POSITION_SIZE]; /* of the warehouse */
    struct flow *flow;            /* NULL: the table is not live */
    size_t wanted;
};

/* What came of one table. */
struct verify_result {
    const char *state; /* "equal", "different", "skipped", "failed" */
    char reason[1300];
    char position[POSITION_SIZE];
    int64_t csn; /* 0: not compared */
    int64_t rows[2];
    int64_t missing, extra, different;
    bool at_least;
    int64_t nulled; /* values that the warehouse's column cannot hold */
    size_t wanted;
    bool rewritten; /* its rows lie in another file than the stream knows */
    struct buf note;
    json_t *differences; /* listed */
    int64_t listed;      /* rows that these are */
    /* For a repair: */
    struct flow *flow;
    struct verify_key *keys; /* of what is listed; NULL: it is not by keys that it can be mended */
    int nkeys;
};

/* --- verify.c --- */
/* Is what runs to go on? Else the error says why not. */
bool verify_goes_on(struct verify *v, struct error *err);
/* As verify_goes_on, a moment later. */
bool verify_rest(struct verify *v, struct error *err);
/* What runs is broken off at that time. ms 0: never. */
void verify_deadline(struct verify *v, int64_t ms);
void verify_say(struct verify *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The table's version in the stream while it is live, else NULL; *wanted: rows that it lacks. */
struct flow *verify_live(struct verify *v, const char *schema, const char *name, size_t *wanted);

/* --- verify_view.c --- */
bool verify_view_open(struct verify *v, uint32_t oid, struct verify_view *out, struct error *err);
void verify_view_close(struct verify *v, struct verify_view *view);

/* --- verify_table.c --- */
/* False: the verification cannot go on. What is wrong with this table alone is in out. */
bool verify_table(struct verify *v, const struct qualified *t, struct verify_result *out,
                  struct error *err);
void verify_result_free(struct verify_result *r);

/* How the columns of the two sides go together. */
struct compared {
    const char *name;
    int place; /* in the source's table as of the point */
    int at;    /* in the flow's table */
    enum type_kind kinds[2];
};

struct listing;

struct comparing {
    struct verify *v;
    const struct verify_view *view;
    const struct source_table *st;
    struct arena *arena; /* of this comparison */
    int n;
    struct compared *cols;
    struct load_column *scan; /* n, the warehouse's */
    int nkeys;
    int *keys;  /* in cols */
    bool nulls; /* value.overflow.mode: null */
    uint64_t seed;
    struct buf bytes, scratch;
    struct value *values; /* n: the source's row in the order of cols */
    struct diff *diff;
    struct listing *list; /* while rows that differ are listed */
    bool counting;
    enum diff_side side;
    int64_t seen;
    int64_t nulled;
};

/* --- verify_list.c --- */
struct listing *listing_new(struct comparing *c, const struct diff_result *r);
void listing_free(struct listing *l);
/* A row of the side, its key's hash. */
bool listing_take(struct listing *l, enum diff_side side, const struct verify_hash *key,
                  const struct value *values, struct error *err);
/* Puts what was seen into out. */
void listing_end(struct listing *l, struct verify_result *out);

/* --- verify_repair.c --- */
/* Mends what r tells of; *loaded: the whole table was loaded again. */
bool verify_repair(struct verify *v, const struct qualified *t, const struct verify_result *r,
                   bool *loaded, struct error *err);

#endif
