/* SPDX-License-Identifier: Apache-2.0 */
/* What shape.c (the answers) and shape_sql.c (the questions) share. */
#ifndef PENSTOCK_SOURCE_POSTGRES_SHAPE_INTERNAL_H
#define PENSTOCK_SOURCE_POSTGRES_SHAPE_INTERNAL_H

#include "source_postgres/shape.h"
#include "util/buf.h"

/* The results, in the order of the queries; of a question about several tables the first three. */
enum { Q_SNAPSHOT, Q_RELATIONS, Q_ATTRIBUTES, Q_MISSING, Q_WATCH, Q_TYPES, Q_COUNT };

/* Columns of Q_RELATIONS; the indices as "1:2 3". */
enum { R_OID, R_PRIMARY, R_IDENTITY };

/* Columns of Q_ATTRIBUTES, ordered by table and attnum; from A_NAME on only of one table. */
enum {
    A_TABLE,
    A_NUM,
    A_DROPPED,
    A_CARRIED,
    A_LONG_GONE,
    A_LEN,
    A_BY_VALUE,
    A_ALIGN,
    A_NAME,
    A_TYPE,
    A_TYPMOD,
    A_NOT_NULL,
    A_HAS_MISSING,
    A_MISSING
};

/* Columns of Q_MISSING, of a partition root: column, leaves, of them with a missing value, which.
 */
enum { M_NAME, M_LEAVES, M_MISSING, M_FIRST, M_LAST };

/* Columns of Q_TYPES: T_COLUMN is 1 for the first announced column. */
enum {
    T_COLUMN,
    T_OID,
    T_TYPMOD,
    T_NAME,
    T_CATALOG,
    T_TYPE,
    T_CATEGORY,
    T_FORMAT,
    T_LABELS,
    T_LEN,
    T_BY_VALUE,
    T_ALIGN
};

/* Both questions are several statements, from BEGIN to COMMIT. oids: "1,2". */
void shape_sql_traces(const struct source *s, const char *oids, struct buf *sql);
void shape_sql_one(const struct source *s, uint32_t oid, const struct pgoutput_relation *r,
                   struct buf *sql);

#endif
