/* SPDX-License-Identifier: Apache-2.0 */
/* The server's history of timelines: what of an older timeline's log the current one contains. */
#ifndef PENSTOCK_SOURCE_POSTGRES_TIMELINE_H
#define PENSTOCK_SOURCE_POSTGRES_TIMELINE_H

#include "source_postgres/source_postgres.h"

/*
 * Reads the text of a history file of timeline `current`: lines "timeline<TAB>LSN<TAB>reason", the
 * oldest first, each timeline with the position at which it was left; comments (#) and blank lines
 * between. *found: `was` is one of them; then the log of `current` is that of `was` up to *left.
 * Pure. ERROR_FATAL with the line's number for anything else.
 */
MUST_CHECK bool timeline_history(const char *text, size_t len, uint32_t current, uint32_t was,
                                 bool *found, uint64_t *left, struct error *err);

/* source_ops.timeline_follows: asks the server that connect met. */
MUST_CHECK bool timeline_follows(struct source *s, const struct source_identity *was,
                                 const char *position, bool *follows, char *why, size_t size,
                                 struct error *err);

/* The walsender session w is with the server and timeline that connect met; else ERROR_RETRY. */
MUST_CHECK bool timeline_same(const struct source *s, struct pg_conn *w, struct error *err);

#endif
