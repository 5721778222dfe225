/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification: tables of the warehouse compared with the source's, both as of the same exact point
 * S, while the stream goes on. A thread of its own reads both sides; of the sink it needs a view of
 * the warehouse between the last transaction with csn < S and the first one behind it.
 *
 * S is known only when the source has made it, and then it is past already. So while one is being
 * made the sink lags: it takes what was read at least delay_ms ago, not less (struct fence). What
 * is to be repaired is deleted in the warehouse and wanted (load/wanted.h) in one transaction.
 *
 * One thread asks, the sink answers; who may write what is said by `state`, moved by whom it names.
 */
#ifndef PENSTOCK_PIPELINE_VERIFY_H
#define PENSTOCK_PIPELINE_VERIFY_H

#include "pipeline/internal.h"

enum fence_state {
    FENCE_NONE,
    FENCE_ASKED,  /* the sink is to lag */
    FENCE_ARMED,  /* by the sink: it does */
    FENCE_SET,    /* s is known */
    FENCE_TAKING, /* by the sink, as all below */
    FENCE_TAKEN,  /* the session's view is as of s */
    FENCE_MISSED, /* it had applied something behind s */
    FENCE_FAILED  /* err says why there is no view */
};

struct fence {
    _Atomic int state;
    _Atomic int delay_ms;
    uint32_t oid;            /* of the table */
    _Atomic int64_t s;       /* from FENCE_SET on */
    struct session *session; /* to be given a view; the sink's while it is taking */
    /* The answer. */
    struct flow *flow;            /* the table's version; NULL: it is not live */
    size_t wanted;                /* rows that it lacks, known */
    char position[POSITION_SIZE]; /* the checkpoint's */
    struct error err;
};

enum repair_state {
    REPAIR_NONE,
    REPAIR_ASKED,
    REPAIR_TAKING, /* by the sink, as all below */
    REPAIR_DONE,   /* committed */
    REPAIR_VOID    /* the table is not what it was */
};

struct verify_key {
    const uint8_t *wire; /* as in events */
    size_t len;
};

struct verify_repair {
    _Atomic int state;
    struct flow *flow;
    const struct verify_key *keys;
    int n;
};

struct verify_sink {
    atomic_bool active; /* a verification runs: the sink looks often */
    struct fence fence;
    struct verify_repair repair;
};

struct verify;

/* Makes p->verify; before the sink starts. */
struct verify *verify_new(struct pipeline *p);
bool verify_start(struct verify *v, struct error *err);
void verify_stop(struct verify *v); /* what runs ends as failed */
void verify_free(struct verify *v); /* after the sink's end; accepts NULL */

#endif
