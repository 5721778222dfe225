/* SPDX-License-Identifier: Apache-2.0 */
/* The replication slot: the source's own durable record of where we are. */
#ifndef PENSTOCK_SOURCE_POSTGRES_SLOT_H
#define PENSTOCK_SOURCE_POSTGRES_SLOT_H

#include "source_postgres/source_postgres.h"

MUST_CHECK bool slot_mark_read(struct source *s, struct mark *m, struct error *err);
MUST_CHECK bool slot_mark_drop(struct source *s, struct error *err);

/* What CREATE_REPLICATION_SLOT answered. */
struct slot_made {
    uint64_t consistent_point;
    char snapshot[64]; /* exported; lives as long as maker stays idle and open */
    struct pg_conn *maker;
};

/* Makes a slot with an exported snapshot; waits for transactions that run, saying who blocks.
 * A temporary slot ends with its maker. */
MUST_CHECK bool slot_make(struct source *s, const char *name, bool temporary, struct slot_made *out,
                          struct error *err);
/* Drops what slot_make just made and nobody has seen. Best effort. */
void slot_undo(struct slot_made *made, const char *name);

#endif
