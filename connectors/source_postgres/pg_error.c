/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLSTATE to kind and hint. libpq 15 hands out no SQLSTATE for a refused connection, nor for the
 * last words of a server that closes one; with PQERRORS_VERBOSE it stands in the text as
 * ":  28P01: ", whatever the server's language is.
 */
#include "source_postgres/pg_error.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct rule {
    const char *state; /* a class of two characters or a whole SQLSTATE */
    enum error_kind kind;
    const char *hint;
};

/* The first that matches counts: whole states before their class. */
static const struct rule rules[] = {
    {"28P01", ERROR_CONFIG, "set database.user and database.password to a role that can log in"},
    {"28", ERROR_CONFIG,
     "allow the role in pg_hba.conf (host DATABASE ROLE ADDRESS scram-sha-256; replication "
     "connections of a logical source match the database's line) and give it LOGIN REPLICATION: "
     "ALTER ROLE name WITH LOGIN REPLICATION"},
    {"3D000", ERROR_CONFIG, "set database.dbname to an existing database"},
    {"42501", ERROR_CONFIG, ""},
    {"53400", ERROR_CONFIG,
     "raise the limit and restart the server: ALTER SYSTEM SET max_replication_slots = 20"},
    {"53300", ERROR_RETRY,
     "raise max_wal_senders or max_connections if it does not pass: ALTER SYSTEM SET "
     "max_wal_senders = 20, then restart the server"},
    {"53", ERROR_RETRY, ""},
    {"58P01", ERROR_FATAL,
     "the log that is needed is gone; load again: penstock remove, then start the connector"},
    {"58", ERROR_RETRY, ""},
    {"55006", ERROR_RETRY, ""},
    {"55P03", ERROR_RETRY, ""},
    {"55000", ERROR_CONFIG, ""},
    {"57", ERROR_RETRY, ""},
    {"08", ERROR_RETRY, ""},
    {"40", ERROR_RETRY, ""},
    {"25", ERROR_RETRY, ""},
    {"72000", ERROR_RETRY, ""},
    {"22", ERROR_DATA, ""},
    {"XX001", ERROR_FATAL, "the server reports corrupted data: check its disk and its log"},
    {"XX002", ERROR_FATAL, "the server reports a corrupted index: REINDEX it"},
    {"XX", ERROR_RETRY, "the server reports an internal error: see its log"},
    {"54", ERROR_DATA, ""},
    {"0A", ERROR_CONFIG, ""},
    {"42", ERROR_CONFIG, ""},
};

static const struct rule *find_rule(const char *sqlstate)
{
    size_t i;

    for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (strncmp(rules[i].state, sqlstate, strlen(rules[i].state)) == 0)
            return &rules[i];
    }
    return NULL;
}

enum error_kind pg_error_kind(const char *sqlstate)
{
    const struct rule *r = find_rule(sqlstate);

    return r ? r->kind : ERROR_RETRY;
}

/* Length of the first line of text, without trailing blanks. */
static size_t first_line(const char *text)
{
    size_t n = strcspn(text, "\r\n");

    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    return n;
}

static bool fill(struct error *err, const char *what, const char *state, const char *text,
                 size_t len)
{
    const struct rule *r = find_rule(state);

    if (strncmp(state, "22", 2) == 0) /* what follows the colon or quote is a value */
        len = strcspn(text, ":\"\n") < len ? strcspn(text, ":\"\n") : len;
    error_set(err, r ? r->kind : ERROR_RETRY, "%s: %.*s", what, (int)len, text);
    if (err == NULL)
        return false;
    snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", state);
    if (r != NULL && r->hint[0] != '\0')
        error_hint(err, "%s", r->hint);
    return false;
}

/* The SQLSTATE inside libpq's verbose text; *rest is what follows it. */
static bool embedded_state(const char *text, char state[6], const char **rest)
{
    const char *p;

    for (p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
        size_t i;

        for (i = 0; i < 5; i++) {
            unsigned char c = (unsigned char)p[3 + i];

            if (!isdigit(c) && !(c >= 'A' && c <= 'Z'))
                break;
        }
        if (i == 5 && p[8] == ':' && p[9] == ' ') {
            memcpy(state, p + 3, 5);
            state[5] = '\0';
            *rest = p + 10;
            return true;
        }
    }
    return false;
}

/* From libpq's text, which may hold what the server said last. */
static bool fill_text(struct error *err, const char *what, const char *text, const char *fallback)
{
    const char *rest;
    char state[6];

    if (text == NULL || text[0] == '\0')
        text = fallback;
    if (embedded_state(text, state, &rest))
        return fill(err, what, state, rest, first_line(rest));
    return error_set(err, ERROR_RETRY, "%s: %.*s", what, (int)first_line(text), text);
}

bool pg_error_result(struct error *err, const PGresult *res, const char *what)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    if (state == NULL || text == NULL) /* libpq's own: the connection broke */
        return fill_text(err, what, PQresultErrorMessage(res), "unexpected answer of the server");
    return fill(err, what, state, text, first_line(text));
}

bool pg_error_lost(struct error *err, const PGconn *conn, const char *what)
{
    return fill_text(err, what, conn ? PQerrorMessage(conn) : "", "connection lost");
}

bool pg_error_connect(struct error *err, const PGconn *conn, const char *where, const char *user)
{
    const char *text = conn ? PQerrorMessage(conn) : "out of memory";
    const char *rest;
    char state[6];
    char what[512];

    snprintf(what, sizeof(what), "connecting to %s as %s", where, user);
    if (embedded_state(text, state, &rest))
        return fill(err, what, state, rest, first_line(rest));
    /* libpq repeats the address, which we have named: keep what follows "failed: ". */
    rest = strstr(text, " failed: ");
    rest = rest != NULL ? rest + 9 : text;
    if (conn != NULL && PQconnectionNeedsPassword(conn)) {
        error_set(err, ERROR_CONFIG, "%s: the server asks for a password", what);
        return error_hint(err, "set database.password");
    }
    error_set(err, ERROR_RETRY, "%s: %.*s", what, (int)first_line(rest), rest);
    return error_hint(err, "start the server, or set database.hostname and database.port to where "
                           "it listens");
}
