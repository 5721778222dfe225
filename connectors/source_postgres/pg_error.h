/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Postgres server or libpq said, as an error of ours: SQLSTATE decides the kind, the hint
 * says who must do what. Only the primary message is kept, never DETAIL, CONTEXT or the values
 * that data exceptions quote.
 */
#ifndef PENSTOCK_SOURCE_POSTGRES_PG_ERROR_H
#define PENSTOCK_SOURCE_POSTGRES_PG_ERROR_H

#include "util/error.h"

#include <libpq-fe.h>

/* What SQLSTATE means for the next layer (PostgreSQL manual, appendix A). */
enum error_kind pg_error_kind(const char *sqlstate);

/* Each sets err and returns false. what names what we were doing: "reading the catalogue". */
bool pg_error_result(struct error *err, const PGresult *res, const char *what);
/* The connection itself failed (no result): always ERROR_RETRY. */
bool pg_error_lost(struct error *err, const PGconn *conn, const char *what);
/* A connection attempt failed; where: "127.0.0.1:5432/shop". */
bool pg_error_connect(struct error *err, const PGconn *conn, const char *where, const char *user);

#endif
