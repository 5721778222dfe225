/* SPDX-License-Identifier: Apache-2.0 */
/* The loads' thread: shared by loads.c (the thread) and load_group.c (one group). */
#ifndef PENSTOCK_PIPELINE_LOADS_INTERNAL_H
#define PENSTOCK_PIPELINE_LOADS_INTERNAL_H

#include "pipeline/load.h"
#include "pipeline/refetch.h"

/* What the connector's thread is asked for: one at a time. */
struct loads_ask {
    struct load *load; /* its changes are spooled (s 0), or its copy is as of s */
    int64_t s;
    struct source_point *point;
    uint32_t oid; /* no load: no row of this table is taken any more */
    const char *why;
    struct fetched *fetched; /* or: rows for the sink */
    bool look;               /* or: what version rows of the table come in */
    const struct table *version;
    bool done, ok;
    struct error err;
};

struct loads {
    struct pipeline *p;
    pthread_t thread;
    bool started;
    atomic_bool stop;
    struct arena *arena; /* the attempt's: flows, which outlive us */
    struct source *src;  /* of its own */
    bool connected;
    struct books books;
    struct load *list;     /* all of the attempt, newest first */
    struct flow **stopped; /* that cannot be loaded as things are */
    int nstopped;
    int64_t review_ms;
    struct refetch *refetch;

    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct loads_ask *ask;
    bool failed;
    struct error err;
};

bool loads_ask(struct loads *l, struct loads_ask *a, struct error *err);
bool loads_connect(struct loads *l, struct error *err);
/* A connection of its own to the same source. */
bool loads_connect_source(struct pipeline *p, struct source **src, bool *connected,
                          struct error *err);
/* Ends the attempt. */
void loads_fail(struct loads *l, const struct error *err);
struct load *loads_add(struct loads *l, struct flow *f);
/* Is there a newer load of the same table? */
bool loads_newer(const struct loads *l, const struct load *than);
bool loads_resume(struct loads *l, struct feed *feed, struct error *err);

/* load_drop.c */
/* What earlier loads of the table have left. */
bool loads_drop_earlier(struct loads *l, const struct load *than, struct error *err);
/* What all loads of the table have left; none asks again. */
bool loads_drop_all(struct loads *l, uint32_t oid, struct error *err);
/* Spools that no load goes on with. */
void loads_sweep_spools(const struct loads *l);

/* load_group.c */
/* Everything that is due, as of one point. */
bool loads_run_group(struct loads *l, struct error *err);
/* Tables that are new at the source, or refused no more, want a load. */
bool loads_review(struct loads *l, struct error *err);
/* What people ask for. */
void loads_take_requests(struct loads *l);

#endif
