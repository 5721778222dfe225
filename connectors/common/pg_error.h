/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Postgres server or libpq said, as an error of ours: the table (pg_states.h) decides kind
 * and hint for the side that the server is on. Only the primary message is kept, one line of it,
 * never DETAIL or CONTEXT, and without the values of rows that it may quote.
 *
 * Connections must have PQERRORS_VERBOSE while they are made: libpq 15 hands out no SQLSTATE for a
 * refused connection, nor for the last words of a server that closes one, but then it stands in
 * the text as ":  28P01: ", whatever the server's language is.
 */
#ifndef PENSTOCK_COMMON_PG_ERROR_H
#define PENSTOCK_COMMON_PG_ERROR_H

#include "common/pg_states.h"

#include <libpq-fe.h>

/*
 * Each sets err and returns false. conn is borrowed and may be NULL. what names what we were doing
 * ("reading the catalogue") and goes before the server's words; NULL: nothing does.
 */

/* A failed result; res may be NULL (the connection broke). */
bool pg_error_result(enum pg_side side, struct error *err, const PGconn *conn, const PGresult *res,
                     const char *what);
/* The connection itself failed: ERROR_RETRY, unless the server's last words say that a person must
 * act. what NULL: "connection lost". */
bool pg_error_lost(enum pg_side side, struct error *err, const PGconn *conn, const char *what);
/* A connection could not be made: ERROR_RETRY or ERROR_CONFIG. */
bool pg_error_connect(enum pg_side side, struct error *err, const PGconn *conn, const char *what);
/* A connection was not made in time; timeout_ms as it was given. */
bool pg_error_timeout(enum pg_side side, struct error *err, const char *what, int timeout_ms);

/* From a SQLSTATE and the server's primary message: what the others come down to. */
bool pg_error_state(enum pg_side side, struct error *err, const PGconn *conn, const char *what,
                    const char *sqlstate, const char *message);

#endif
