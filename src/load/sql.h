/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plan -> SQL: pure functions of target and dialect, golden-tested.
 *
 * The stage of a target is a temporary table with the columns
 *   _penstock_op   smallint  1 upsert, 0 delete
 *   _penstock_mask text      NULL, or one character per source column: '1' where unresolved
 *   _penstock_o1..K          keyed tables: the origin's key columns, NULL if the row's own key is
 *                            it
 *   the source's columns, all nullable (as_text ones as text), then TARGET_CSN and
 *   TARGET_COMMITTED_AT
 */
#ifndef PENSTOCK_LOAD_SQL_H
#define PENSTOCK_LOAD_SQL_H

#include "load/target.h"

/* The stage's columns as an appender wants them, in arena a. */
struct load_column *stage_columns(struct arena *a, const struct target *t, int *ncols);
void sql_stage_create(struct buf *out, const struct target *t, const char *stage);
void sql_stage_clear(struct buf *out, const struct target *t, const char *stage);
/* Before one with other columns is made under its name (Postgres; empty for other dialects). */
void sql_stage_drop(struct buf *out, const struct target *t, const char *stage);
/* NULL-able step: statistics for large stages (Postgres ANALYZE); empty for other dialects. */
void sql_stage_analyze(struct buf *out, const struct target *t, const char *stage);
/* Fills unresolved columns of the stage from the target at the origin's key. It touches as many
 * rows as were staged unresolved, unless rows are missing in the target. Before any delete. */
void sql_resolve(struct buf *out, const struct target *t, const char *stage);
/* Then, if it touched fewer: the others, which have no row in the target, become deletes. */
void sql_unresolvable(struct buf *out, const struct target *t, const char *stage);
void sql_truncate(struct buf *out, const struct target *t); /* DELETE FROM target */
/* Deletes. Keyed: Postgres only the rows of operation 0, DuckDB (delete + insert) all staged keys
 * when there are upserts too. Keyless: as many copies of each staged row as are staged; it must
 * touch as many rows as were staged with operation 0. */
void sql_delete(struct buf *out, const struct target *t, const char *stage);
/* Upserts of a keyed table (MERGE, or INSERT after sql_delete), inserts of a keyless one. Kept
 * columns hold NULL in every row that is written. */
void sql_upsert(struct buf *out, const struct target *t, const char *stage);
/* INSERT INTO into SELECT casts FROM stage: a loaded chunk whose types the appender cannot write
 * itself. */
void sql_insert_all(struct buf *out, const struct target *t, const char *stage,
                    const char *into_schema, const char *into_name);

#endif
