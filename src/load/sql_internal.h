/* SPDX-License-Identifier: Apache-2.0 */
/* Fragments that the statements of keyed and of keyless tables share. */
#ifndef PENSTOCK_LOAD_SQL_INTERNAL_H
#define PENSTOCK_LOAD_SQL_INTERNAL_H

#include "load/sql.h"

/* The stage's own columns; a source column cannot have these names (target.c refuses them). */
#define STAGE_OP "_penstock_op"
#define STAGE_MASK "_penstock_mask"
#define STAGE_ORIGIN "_penstock_o" /* and the number of the key column, from 1 */

/* "schema"."name" of the target. */
void sql_put_target(struct buf *out, const struct target *t);
/* The stage as statements other than its creation name it. */
void sql_put_stage(struct buf *out, const struct target *t, const char *stage);
/* alias."column" */
void sql_put_column(struct buf *out, const char *alias, const char *name);
/* Column i of the stage s as a value of the target's type. */
void sql_put_staged(struct buf *out, const struct target *t, int i);
/* DELETE of a table without a key. */
void sql_delete_keyless(struct buf *out, const struct target *t, const char *stage);

#endif
