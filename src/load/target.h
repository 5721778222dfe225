/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target: one source table as a warehouse holds it. Made from the event's schema (a struct
 * table) and the dialect; pure.
 */
#ifndef PENSTOCK_LOAD_TARGET_H
#define PENSTOCK_LOAD_TARGET_H

#include "load/warehouse.h"

#define TARGET_CSN "_penstock_csn"
#define TARGET_COMMITTED_AT "_penstock_committed_at"

/* A column of a dropped source column: it stays in the target. */
struct kept_column {
    const char *name; /* in the warehouse */
    int number;       /* the dropped column's attnum at the source */
};

struct target {
    const struct table *table;
    const struct dialect *dialect;
    const char *schema; /* in the warehouse */
    const char *name;
    struct load_column *cols; /* table->ncols, then TARGET_CSN and TARGET_COMMITTED_AT */
    int ncols;                /* table->ncols + 2 */
    const char **notes;       /* per table column: what to tell the user of its type, or NULL */
    int nkept;
    const struct kept_column *kept; /* rows that are written hold NULL there */
};

/*
 * In arena a. ERROR_DATA if the target cannot be made: a source column _penstock_*, too many
 * columns, a name that is too long. Column names that the dialect folds together get
 * "_" + 8 hex of the SHA-256 of the true name, each changed one.
 */
bool target_new(struct arena *a, const struct table *t, const struct dialect *d, const char *schema,
                const char *name, struct target **out, struct error *err);

/*
 * As target_new for a target that is there: names are those of its columns in the warehouse
 * (table->ncols; NULL: as target_new chooses), kept what else it has.
 */
bool target_known(struct arena *a, const struct table *t, const struct dialect *d,
                  const char *schema, const char *name, const char *const *names,
                  const struct kept_column *kept, int nkept, struct target **out,
                  struct error *err);

/* CREATE TABLE of the target's shape under another name (no key: rows are appended first). */
void target_sql_create(struct buf *out, const struct target *t, const char *schema,
                       const char *name);
/* "schema"."name" */
void target_sql_name(struct buf *out, const char *schema, const char *name);

#endif
