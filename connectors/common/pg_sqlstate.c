/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLSTATE -> error_kind and hint (PostgreSQL documentation, appendix A "Error Codes"). What may
 * pass by itself is RETRY, what a person must grant or set is CONFIG, what one value or one table
 * cannot be is DATA, everything else is FATAL: our statements are generated, so an error in them
 * is our own bug. Messages of class 22 quote values, which are taken out.
 */
#include "common/pg_sqlstate.h"

#include <stdio.h>
#include <string.h>

struct rule {
    const char *prefix; /* of the SQLSTATE; the longest match wins: those come first */
    enum error_kind kind;
};

static const struct rule rules[] = {
    {"08P01", ERROR_FATAL},  /* protocol violation: a malformed binary row of ours */
    {"08", ERROR_RETRY},     /* connection exceptions */
    {"0L", ERROR_CONFIG},    /* invalid grantor */
    {"0P", ERROR_CONFIG},    /* invalid role */
    {"22", ERROR_DATA},      /* data exceptions */
    {"23", ERROR_DATA},      /* constraints */
    {"25006", ERROR_CONFIG}, /* read only: a standby, or the role's setting */
    {"25P03", ERROR_RETRY},  /* idle in transaction too long: the session is gone */
    {"28", ERROR_CONFIG},    /* password, pg_hba.conf */
    {"2BP01", ERROR_CONFIG}, /* a user's object depends on ours */
    {"3D000", ERROR_CONFIG}, /* no such database */
    {"40002", ERROR_DATA},   /* rolled back for a constraint */
    {"40", ERROR_RETRY},     /* serialization failure, deadlock */
    {"42501", ERROR_CONFIG}, /* insufficient privilege */
    {"44", ERROR_DATA},      /* WITH CHECK OPTION */
    {"53", ERROR_RETRY},     /* no disk, memory or connection left */
    {"54", ERROR_DATA},      /* a row, key or column list beyond the server's limits */
    {"55006", ERROR_RETRY},  /* object in use */
    {"55P03", ERROR_RETRY},  /* lock_timeout */
    {"57P04", ERROR_CONFIG}, /* database dropped */
    {"57", ERROR_RETRY},     /* cancelled, shutting down, starting */
    {"58", ERROR_RETRY},     /* I/O error outside of Postgres */
    {"P0001", ERROR_CONFIG}, /* RAISE in somebody's trigger */
};

enum error_kind pg_sqlstate_kind(const char *sqlstate)
{
    if (sqlstate[0] == '\0')
        return ERROR_RETRY;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (strncmp(sqlstate, rules[i].prefix, strlen(rules[i].prefix)) == 0)
            return rules[i].kind;
    return ERROR_FATAL;
}

void pg_message_mask(char *message)
{
    char *colon = strstr(message, ": ");
    char *out = message;
    bool quoted = false;

    if (colon != NULL)
        *colon = '\0';
    for (const char *p = message; *p != '\0'; p++) {
        if (*p == '"') {
            *out++ = '"';
            quoted = !quoted;
        } else if (!quoted) {
            *out++ = *p;
        }
    }
    *out = '\0';
}

/* The first line of a message of libpq, without what follows it. */
static void first_line(char *out, size_t size, const char *text)
{
    size_t n = strcspn(text, "\n");

    snprintf(out, size, "%.*s", (int)n, text);
}

/* "permission denied for KIND NAME" -> the GRANT that is missing. */
static void hint_privilege(struct error *err, const char *message, const char *user, const char *db)
{
    const char *prefix = "permission denied for ";
    const char *what = message + strlen(prefix);

    if (strncmp(message, prefix, strlen(prefix)) == 0) {
        if (strncmp(what, "database ", 9) == 0) {
            error_hint(err, "its owner must run: GRANT CREATE ON DATABASE \"%s\" TO \"%s\";",
                       what + 9, user);
            return;
        }
        if (strncmp(what, "schema ", 7) == 0) {
            error_hint(err, "its owner must run: GRANT USAGE, CREATE ON SCHEMA \"%s\" TO \"%s\";",
                       what + 7, user);
            return;
        }
        if (strncmp(what, "table ", 6) == 0) {
            error_hint(err, "its owner must grant the rights on table %s to \"%s\"", what + 6,
                       user);
            return;
        }
    }
    if (strncmp(message, "must be owner of ", 17) == 0) {
        error_hint(err,
                   "%s must belong to \"%s\": its owner or a superuser must run ALTER ... OWNER TO "
                   "\"%s\";",
                   message + 17, user, user);
        return;
    }
    error_hint(err, "the owner of database \"%s\" or a superuser must grant the right to \"%s\"",
               db, user);
}

static void hint_for(struct error *err, PGconn *conn, const char *message)
{
    const char *user = PQuser(conn) ? PQuser(conn) : "";
    const char *db = PQdb(conn) ? PQdb(conn) : "";
    const char *state = err->sqlstate;

    if (strcmp(state, "42501") == 0)
        hint_privilege(err, message, user, db);
    else if (strcmp(state, "28P01") == 0)
        error_hint(err,
                   "give the password of role \"%s\", or set it: ALTER ROLE \"%s\" PASSWORD '...';",
                   user, user);
    else if (strncmp(state, "28", 2) == 0)
        error_hint(err,
                   "the role must exist with LOGIN (CREATE ROLE \"%s\" LOGIN PASSWORD '...';) and "
                   "pg_hba.conf must let it into database \"%s\" from this host",
                   user, db);
    else if (strcmp(state, "3D000") == 0)
        error_hint(err,
                   "a superuser must run: CREATE DATABASE \"%s\" OWNER \"%s\"; or correct the URL",
                   db, user);
    else if (strcmp(state, "53300") == 0)
        error_hint(err, "raise max_connections, or close other sessions");
    else if (strcmp(state, "53100") == 0)
        error_hint(err, "the server's disk is full: make room on it");
    else if (strcmp(state, "25006") == 0)
        error_hint(err, "connect to the primary server: this one is a standby or set read-only");
    else if (strcmp(state, "2BP01") == 0)
        error_hint(err, "drop the view or other object that depends on it, or move it elsewhere");
}

/* Finds ":  28P01: " in a verbose message; returns what follows it, or NULL. */
static const char *find_sqlstate(const char *text, char state[6])
{
    for (const char *p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
        const char *code = p + 3;

        if (strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && code[5] == ':' &&
            code[6] == ' ') {
            memcpy(state, code, 5);
            state[5] = '\0';
            return code + 7;
        }
    }
    return NULL;
}

/* A lost connection: libpq's own text, and in it the server's reason if there was time for one. */
static bool error_lost(struct error *err, PGconn *conn)
{
    char line[512], state[6] = "";
    const char *text = PQerrorMessage(conn), *reason = find_sqlstate(text, state);

    first_line(line, sizeof(line), reason ? reason : text);
    error_set(err, ERROR_RETRY, "connection lost: %s", line[0] ? line : "no answer");
    if (err != NULL)
        memcpy(err->sqlstate, state, sizeof(state));
    return false;
}

bool pg_sqlstate_result(struct error *err, PGconn *conn, const PGresult *res)
{
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    char message[768];
    enum error_kind kind;

    if (state == NULL || primary == NULL) {
        if (res != NULL && PQstatus(conn) == CONNECTION_OK &&
            PQresultErrorMessage(res)[0] != '\0') {
            first_line(message, sizeof(message), PQresultErrorMessage(res));
            return error_set(err, ERROR_FATAL, "%s", message);
        }
        return error_lost(err, conn);
    }
    first_line(message, sizeof(message), primary);
    if (strncmp(state, "22", 2) == 0)
        pg_message_mask(message);
    kind = pg_sqlstate_kind(state);
    /* Whatever was the reason, a session that ended can be made again. */
    if (PQstatus(conn) != CONNECTION_OK && kind != ERROR_CONFIG)
        kind = ERROR_RETRY;
    error_set(err, kind, "%s", message);
    if (err != NULL) {
        snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", state);
        hint_for(err, conn, message);
    }
    return false;
}

/* Refusals that libpq finds before the server says anything: it has no SQLSTATE for them. */
static bool needs_a_person(const char *text)
{
    static const char *const signs[] = {"does not support SSL",
                                        "certificate",
                                        "private key file",
                                        "does not match host name",
                                        "invalid",
                                        "no password supplied",
                                        "channel binding",
                                        "authentication method",
                                        "support GSSAPI"};

    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (strstr(text, signs[i]) != NULL)
            return true;
    return false;
}

bool pg_sqlstate_connect(struct error *err, PGconn *conn)
{
    const char *text = PQerrorMessage(conn);
    char state[6] = "", message[768];
    const char *primary = find_sqlstate(text, state);

    if (primary != NULL) {
        first_line(message, sizeof(message), primary);
        error_set(err, pg_sqlstate_kind(state), "cannot connect: %s", message);
        if (err != NULL) {
            memcpy(err->sqlstate, state, sizeof(state));
            hint_for(err, conn, message);
        }
        return false;
    }
    first_line(message, sizeof(message), text);
    if (needs_a_person(text)) {
        error_set(err, ERROR_CONFIG, "cannot connect: %s", message);
        if (PQconnectionNeedsPassword(conn))
            error_hint(err, "give the password of role \"%s\"", PQuser(conn) ? PQuser(conn) : "");
        else
            error_hint(err, "correct the URL's sslmode and certificate parameters");
        return false;
    }
    error_set(err, ERROR_RETRY, "cannot connect: %s", message);
    return error_hint(err, "is the server running, and does it accept TCP connections from here?");
}
