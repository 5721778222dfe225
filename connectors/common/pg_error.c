/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One way from a PGresult or PGconn to a struct error, for both sides. Where a message may quote a
 * row's value everything that can be one is taken out: what stands between the first and the last
 * quote, what follows a colon, and all of it in a language whose quotes we do not know.
 */
#include "common/pg_error.h"

#include "util/buf.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 768

/* The settings that say where a server is and how to log in, for {address} and the like. */
static const struct {
    const char *address, *password, *tls;
} settings[PG_SIDES] = {
    {"database.hostname and database.port", "database.password",
     "database.sslmode and database.sslrootcert"},
    {"connection.url", "connection.password, or a password in connection.url",
     "the sslmode and certificate parameters of connection.url"},
};

/* The first line of text, without trailing blanks. */
static void first_line(char *out, size_t size, const char *text)
{
    size_t n = strcspn(text, "\r\n");

    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    snprintf(out, size, "%.*s", (int)n, text);
}

/* --- values in messages --- */

/* s: the whole message, of which a part may have been cut off at its end. */
static void mask_values(char *s, bool cut, const char *instead, size_t size)
{
    char *colon = strstr(s, ": ");
    char *first, *last;

    if (colon != NULL)
        *colon = '\0';
    for (const char *p = s; *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x80) { /* another language, with quotes of its own */
            snprintf(s, size, "%s", instead);
            return;
        }
    }
    first = strchr(s, '"');
    last = strrchr(s, '"');
    if (first == NULL)
        return;
    if (first == last || cut) /* where the value ends is not known */
        first[1] = '\0';
    else
        memmove(first + 1, last, strlen(last) + 1);
}

static void words_of(enum pg_side side, const struct pg_state *row, const char *message, char *out)
{
    char all[WORDS_MAX];

    if (row->words == PG_WORDS_VALUES) { /* before it is cut to one line: a value may have more */
        snprintf(all, sizeof(all), "%s", message);
        mask_values(all, strlen(message) >= sizeof(all), row->name, sizeof(all));
        message = all;
    }
    first_line(out, WORDS_MAX, message);
    if (row->words == PG_WORDS_FOREIGN && side == PG_WAREHOUSE)
        snprintf(out, WORDS_MAX, "%s (the words may hold values of rows: see the server's log)",
                 row->state[0] != '\0' ? row->name : "an error that is none of the server's own");
}

/* --- hints --- */

static void fill_ident(struct error *err, const char *name, const char *value)
{
    struct buf b = {0};

    buf_sql_ident(&b, value != NULL ? value : "");
    error_fill(err, name, buf_cstr(&b));
    buf_free(&b);
}

/* rest: of words. Where they open a quote before it, it ends with one. */
static void fill_object(struct error *err, const char *words, const char *rest)
{
    char name[WORDS_MAX];
    size_t n = strlen(rest);

    if (rest > words && rest[-1] == '"' && n > 0 && rest[n - 1] == '"')
        n--;
    snprintf(name, sizeof(name), "%.*s", (int)n, rest);
    fill_ident(err, "object", name);
}

/* "permission denied for KIND NAME" -> the GRANT that is missing. */
static const char *hint_privilege(enum pg_side side, const char *message, const char **rest)
{
    for (const struct pg_privilege *p = pg_privileges; p->begins != NULL; p++) {
        size_t n = strlen(p->begins);

        if (p->who[side] == NULL || strncmp(message, p->begins, n) != 0)
            continue;
        *rest = message + n + strspn(message + n, " ");
        return p->who[side];
    }
    return NULL;
}

static void give_hint(enum pg_side side, struct error *err, const PGconn *conn,
                      const struct pg_state *row, const char *words)
{
    const char *rest = words + strlen(words), *who = NULL;

    if (strcmp(err->sqlstate, "42501") == 0)
        who = hint_privilege(side, words, &rest);
    error_hint(err, "%s", who != NULL ? who : row->side[side].who);
    fill_ident(err, "role", conn != NULL ? PQuser(conn) : NULL);
    fill_ident(err, "database", conn != NULL ? PQdb(conn) : NULL);
    fill_object(err, words, rest);
    error_fill(err, "rest", rest);
}

/* --- from a SQLSTATE --- */

/* A standby refuses with 0A000 what READ WRITE asks for, with 25006 what writes. */
static const char *meant_state(const PGconn *conn, const char *sqlstate)
{
    const char *standby = conn != NULL ? PQparameterStatus(conn, "in_hot_standby") : NULL;

    return standby != NULL && strcmp(standby, "on") == 0 && strcmp(sqlstate, "0A000") == 0
               ? "25006"
               : sqlstate;
}

/* A target that somebody dropped, or a column of one: a load makes it anew, and nothing that
 * somebody put there is lost by it. */
static bool is_gone(const char *sqlstate)
{
    return strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "42703") == 0;
}

bool pg_error_state(enum pg_side side, struct error *err, const PGconn *conn, const char *what,
                    const char *sqlstate, const char *message)
{
    const struct pg_state *row = pg_state_find(side, meant_state(conn, sqlstate));
    char words[WORDS_MAX];

    words_of(side, row, message, words);
    error_set(err, row->side[side].kind, "%s%s%s", what != NULL ? what : "",
              what != NULL ? ": " : "", words);
    if (err == NULL)
        return false;
    snprintf(err->sqlstate, sizeof(err->sqlstate), "%s", sqlstate);
    err->reload = side == PG_WAREHOUSE && is_gone(sqlstate);
    give_hint(side, err, conn, row, words);
    return false;
}

/* The SQLSTATE inside libpq's verbose text; *rest is what follows it. */
static bool embedded_state(const char *text, char state[6], const char **rest)
{
    for (const char *p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
        const char *code = p + 3;

        if (strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && code[5] == ':' &&
            code[6] == ' ') {
            memcpy(state, code, 5);
            state[5] = '\0';
            *rest = code + 7;
            return true;
        }
    }
    return false;
}

/* --- results and lost connections --- */

static bool session_ended(const PGconn *conn)
{
    return conn == NULL || PQstatus(conn) != CONNECTION_OK;
}

/*
 * At the warehouse a session that ended can be made again, whatever was the reason, and nothing of
 * its transaction is there. At the source the log may be gone for good.
 */
static void make_again(enum pg_side side, struct error *err)
{
    if (side == PG_WAREHOUSE && err != NULL && err->kind != ERROR_CONFIG)
        err->kind = ERROR_RETRY;
}

bool pg_error_lost(enum pg_side side, struct error *err, const PGconn *conn, const char *what)
{
    const char *text = conn != NULL ? PQerrorMessage(conn) : "", *rest;
    char state[6], line[WORDS_MAX];

    if (embedded_state(text, state, &rest)) {
        pg_error_state(side, err, conn, what != NULL ? what : "connection lost", state, rest);
        make_again(side, err);
        return false;
    }
    first_line(line, sizeof(line), text);
    if (line[0] == '\0')
        snprintf(line, sizeof(line), "%s", what != NULL ? "connection lost" : "no answer");
    return error_cause(err, CAUSE_CONNECTION_LOST, "%s: %s",
                       what != NULL ? what : "connection lost", line);
}

/* libpq's own words: it could not make sense of an answer, or of a call of ours. */
static bool own_words(enum pg_side side, struct error *err, const PGconn *conn, const char *text,
                      const char *what)
{
    const struct pg_state *row = pg_state_find(side, NULL);
    char line[WORDS_MAX];

    first_line(line, sizeof(line), text);
    error_set(err, row->side[side].kind, "%s%s%s", what != NULL ? what : "",
              what != NULL ? ": " : "", line);
    if (err != NULL)
        give_hint(side, err, conn, row, line);
    return false;
}

bool pg_error_result(enum pg_side side, struct error *err, const PGconn *conn, const PGresult *res,
                     const char *what)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY), *rest;
    char embedded[6];

    if (state != NULL && text != NULL) {
        pg_error_state(side, err, conn, what, state, text);
        if (session_ended(conn))
            make_again(side, err);
        return false;
    }
    text = PQresultErrorMessage(res);
    if (embedded_state(text, embedded, &rest)) {
        pg_error_state(side, err, conn, what, embedded, rest);
        make_again(side, err);
        return false;
    }
    if (text[0] != '\0' && !session_ended(conn))
        return own_words(side, err, conn, text, what);
    if (session_ended(conn))
        return pg_error_lost(side, err, conn, what);
    return error_cause(err, CAUSE_CONNECTION_LOST, "%s%sunexpected answer of the server",
                       what != NULL ? what : "", what != NULL ? ": " : "");
}

/* --- connections that could not be made --- */

/* Refusals that libpq finds before the server says anything: it has no SQLSTATE for them. */
static const struct {
    const char *sign;
    enum cause cause;
} refusals[] = {
    {"could not translate host name", CAUSE_SERVER_UNREACHABLE}, /* a name holds anything */
    {"no password supplied", CAUSE_PASSWORD_MISSING},
    {"does not support SSL", CAUSE_TLS_REFUSED},
    {"certificate", CAUSE_TLS_REFUSED},
    {"private key file", CAUSE_TLS_REFUSED},
    {"SSL error: ", CAUSE_TLS_REFUSED},
    {"does not match host name", CAUSE_TLS_REFUSED},
    {"channel binding", CAUSE_TLS_REFUSED},
    {"authentication method", CAUSE_TLS_REFUSED},
    {"GSSAPI", CAUSE_TLS_REFUSED},
    {"invalid", CAUSE_PARAMETER_REFUSED},
};

/* libpq repeats the address, which may hold any word: what counts follows "failed: ". */
static const char *behind_address(const char *line)
{
    const char *failed = strstr(line, " failed: ");

    return failed != NULL ? failed + 9 : line;
}

static enum cause refusal_in(const char *text)
{
    char line[WORDS_MAX];

    for (; *text != '\0'; text += strspn(text, "\r\n")) {
        first_line(line, sizeof(line), text);
        for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
            if (strstr(behind_address(line), refusals[i].sign) != NULL)
                return refusals[i].cause;
        text += strcspn(text, "\r\n");
    }
    return CAUSE_SERVER_UNREACHABLE;
}

static void fill_settings(enum pg_side side, struct error *err)
{
    error_fill(err, "address", settings[side].address);
    error_fill(err, "password", settings[side].password);
    error_fill(err, "tls", settings[side].tls);
}

bool pg_error_connect(enum pg_side side, struct error *err, const PGconn *conn, const char *what)
{
    const char *text = conn != NULL ? PQerrorMessage(conn) : "out of memory", *rest;
    char state[6], line[WORDS_MAX];
    enum cause cause;

    if (embedded_state(text, state, &rest)) {
        pg_error_state(side, err, conn, what, state, rest);
        /* No table is to blame for it, and no log is lost by it. */
        if (err != NULL && err->kind != ERROR_RETRY)
            err->kind = ERROR_CONFIG;
        return false;
    }
    cause =
        conn != NULL && PQconnectionNeedsPassword(conn) ? CAUSE_PASSWORD_MISSING : refusal_in(text);
    first_line(line, sizeof(line), behind_address(text));
    error_cause(err, cause, "%s: %s", what != NULL ? what : "cannot connect",
                cause == CAUSE_PASSWORD_MISSING ? "the server asks for a password" : line);
    fill_settings(side, err);
    return false;
}

bool pg_error_timeout(enum pg_side side, struct error *err, const char *what, int timeout_ms)
{
    error_cause(err, CAUSE_NO_ANSWER, "%s: no answer within %d s", what, timeout_ms / 1000);
    fill_settings(side, err);
    return false;
}
