/* SPDX-License-Identifier: Apache-2.0 */
/* The server's history of timelines: what of an older timeline's log the current one contains. */
#ifndef PENSTOCK_SOURCE_POSTGRES_TIMELINE_H
#define PENSTOCK_SOURCE_POSTGRES_TIMELINE_H

#include "source_postgres/source_postgres.h"

struct timeline_past {
    bool found;    /* the timeline is part of the history */
    uint64_t left; /* found: the log is that timeline's up to here */
    /* Where the timeline forked off; 0: it is the oldest. Also of the current one. */
    uint64_t began;
};

/*
 * Reads the text of a history file of timeline `current`: lines "timeline<TAB>LSN<TAB>reason", the
 * oldest first, each timeline with the position at which it was left; comments (#) and blank lines
 * between. out: what it says of `was`. Pure. ERROR_FATAL with the line's number for anything else.
 */
MUST_CHECK bool timeline_history(const char *text, size_t len, uint32_t current, uint32_t was,
                                 struct timeline_past *out, struct error *err);

/*
 * Who the server of the walsender session w is: system, timeline and timeline_began of f. Two
 * servers that were promoted to the same number differ in where it began.
 */
MUST_CHECK bool timeline_identify(struct pg_conn *w, struct pg_facts *f, struct error *err);

/* source_ops.timeline_follows: asks the server that connect met. */
MUST_CHECK bool timeline_follows(struct source *s, const struct source_identity *was,
                                 const char *position, bool *follows, char *why, size_t size,
                                 struct error *err);

/* The walsender session w is with the server and timeline that connect met; else ERROR_RETRY. */
MUST_CHECK bool timeline_same(const struct source *s, struct pg_conn *w, struct error *err);

#endif
