/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One target in one session: collects the changes of a piece (compact), and applies them through a
 * stage inside the session's open transaction; appends the rows of a load to a table aside.
 */
#ifndef PENSTOCK_LOAD_LOADER_H
#define PENSTOCK_LOAD_LOADER_H

#include "avro/codec.h"
#include "load/compact.h"
#include "load/sql.h"
#include "load/wanted.h"

struct loader;

/*
 * Everything is borrowed until loader_free, except what the loader makes itself. oid: the source's
 * id of the table, put into errors that are the table's fault and into the stage's name.
 */
struct loader *loader_new(const struct warehouse_ops *ops, struct session *s,
                          const struct target *t, const struct decoder *d, uint32_t oid,
                          enum overflow_mode mode);
void loader_free(struct loader *l); /* accepts NULL */

/* --- changes of a piece --- */
struct compact *loader_compact(struct loader *l);
struct loader_stats {
    int64_t rows;   /* staged */
    int64_t nulled; /* values replaced by NULL under value.overflow.mode null */
};
/*
 * Applies what was collected and forgets it. w learns which rows the target lacks now and which it
 * does not any more; NULL: nobody reads rows again, and a row that is not to be had is an error. On
 * false w is worth nothing, unless the same changes are applied again.
 *
 * ERROR_DATA with err->table set if the table is to blame: a value that does not fit, or, with
 * err->reload, a target that is not what the log says.
 */
bool loader_apply(struct loader *l, struct wanted *w, struct loader_stats *stats,
                  struct error *err);

/* What is collected and what follows is of a new version; t: the altered target, borrowed as in
 * loader_new. e as in compact_alter. */
bool loader_alter(struct loader *l, const struct target *t, const struct decoder *d,
                  struct encoder *e, const struct alteration *al, struct error *err);

/* --- rows of a load --- */
/* Begins to append to schema.name (the table aside), inside the open transaction. */
bool loader_append_begin(struct loader *l, const char *schema, const char *name, struct error *err);
/* event: the wire bytes of a snapshot row's envelope. */
bool loader_append_event(struct loader *l, const uint8_t *event, size_t len, struct error *err);
bool loader_append_end(struct loader *l, int64_t *rows, int64_t *nulled, struct error *err);
void loader_append_abort(struct loader *l); /* after an error; the transaction must roll back */

#endif
