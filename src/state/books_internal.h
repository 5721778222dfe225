/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files books*.c only. */
#ifndef PENSTOCK_STATE_BOOKS_INTERNAL_H
#define PENSTOCK_STATE_BOOKS_INTERNAL_H

#include "state/books.h"

#define BOOKS_VERSION 2

/* books.c: parts of statements and answers. */
bool books_exec(struct books *b, struct buf *sql, int64_t *affected, struct error *err);
/* " WHERE connector = .. AND source = .." */
void books_where(struct buf *sql, const struct books *b);
/* The same " AND source_id = .." */
void books_where_table(struct buf *sql, const struct books *b, uint32_t oid);
/* The same " AND load = .." */
void books_where_load(struct buf *sql, const struct books *b, uint32_t oid, int64_t load);
/* "connector, source, source_id" as values. */
void books_owner_values(struct buf *sql, const struct books *b, uint32_t oid);
void books_string_or_null(struct buf *sql, const char *s);
/* ", " before it. */
void books_put_string(struct buf *sql, const char *s);
int64_t books_int(const char *cell);
bool books_bool(const char *cell);
bool books_delete_all(struct books *b, const char *table, struct error *err);

/* books_open.c: makes those that are missing. */
bool books_create_tables(struct books *b, struct error *err);

/* books_migrate.c: version 1 to BOOKS_VERSION, inside a transaction; nothing if that is done. */
bool books_migrate(struct books *b, struct error *err);
/* Version 2 as it was before its last column was thought of is completed. */
bool books_are_whole(struct books *b, struct arena *a, bool *whole, struct error *err);
bool books_complete(struct books *b, struct error *err);

/* books_columns.c */
bool books_columns_put(struct books *b, const struct table_record *t, struct error *err);
/* recs are ordered by oid and load. */
bool books_columns_read(struct books *b, struct arena *a, struct table_record *recs, int n,
                        struct error *err);

#endif
