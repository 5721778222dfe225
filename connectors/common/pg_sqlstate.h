/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Postgres error means for us: SQLSTATE -> error_kind, with a hint that says who must do
 * what. Messages are the server's primary message, one line, without DETAIL and without row
 * values.
 */
#ifndef PENSTOCK_COMMON_PG_SQLSTATE_H
#define PENSTOCK_COMMON_PG_SQLSTATE_H

#include "util/error.h"

#include <libpq-fe.h>

/* The kind of an SQLSTATE (PostgreSQL documentation, appendix A); "" is a lost connection. */
enum error_kind pg_sqlstate_kind(const char *sqlstate);

/* Takes quoted values and what follows ": " out of a message of class 22, in place. */
void pg_message_mask(char *message);

/*
 * Fills err from a failed result, or from the connection when there is none or it is lost (with
 * the SQLSTATE that ended it if its verbosity is PQERRORS_VERBOSE). res is borrowed and may be
 * NULL. Returns false.
 */
bool pg_sqlstate_result(struct error *err, PGconn *conn, const PGresult *res);

/*
 * Fills err from a connection that could not be made. Its verbosity must have been
 * PQERRORS_VERBOSE: that is how the SQLSTATE gets into the text, whatever the server's language.
 * Returns false.
 */
bool pg_sqlstate_connect(struct error *err, PGconn *conn);

#endif
