/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to the warehouse. Parameters are libpq's, from connection.url with connection.user
 * and connection.password in front of it. Each host of the URL gets 5 s, counted by ourselves, so
 * that a host that accepts and stays silent costs no more than one that refuses; resolving its
 * name is libpq's and not counted. Every session has the settings below: they decide what text a
 * value has, that an acknowledged commit is on disk, and how soon a dead link is noticed.
 */
#include "common/pg_error.h"
#include "util/clock.h"
#include "util/mem.h"
#include "warehouse_postgres/wpg.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static const char pinned_settings[] =
    /* the text of values */
    "SET datestyle = 'ISO,YMD'; SET intervalstyle = 'postgres'; SET extra_float_digits = 3;"
    "SET bytea_output = 'hex'; SET timezone = 'UTC'; SET lc_monetary = 'C'; SET array_nulls = on;"
    "SET client_encoding = 'UTF8'; SET standard_conforming_strings = on;"
    "SET transform_null_equals = off; SET search_path = ''; SET row_security = off;"
    /* no limit but our own */
    "SET statement_timeout = 0; SET lock_timeout = '10s'; SET idle_session_timeout = 0;"
    "SET default_transaction_read_only = off; SET default_transaction_deferrable = off;"
    "SET default_transaction_isolation = 'read committed';"
    /* an acknowledged commit is flushed */
    "SET synchronous_commit = on;"
    /* a paused or lost writer frees its locks (no effect over a Unix socket) */
    "SET idle_in_transaction_session_timeout = '60s'; SET tcp_keepalives_idle = 20;"
    "SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;"
    "SET tcp_user_timeout = 60000;"
    /* small merges: compiling costs more than it saves */
    "SET jit = off; SET client_min_messages = 'warning'";

static const char pinned_since_17[] = "SET transaction_timeout = 0";

static PQconninfoOption *find_param(PQconninfoOption *params, const char *keyword)
{
    for (PQconninfoOption *o = params; o->keyword != NULL; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o;
    return NULL;
}

/* Values are libpq's memory: it frees them with free(). */
static void set_param(struct warehouse *w, const char *keyword, const char *value)
{
    PQconninfoOption *o = find_param(w->params, keyword);

    if (o != NULL && value != NULL) {
        mem_free(o->val);
        o->val = mem_strdup(value);
    }
}

bool wpg_params_parse(struct warehouse *w, struct error *err)
{
    const char *url = config_string(w->cfg, "connection.url");
    char *why = NULL;

    if (url == NULL || url[0] == '\0') {
        error_set(err, ERROR_CONFIG, "connection.url is not set");
        return error_hint(err, "set it to postgres://USER:PASSWORD@HOST:PORT/DATABASE");
    }
    w->params = PQconninfoParse(url, &why);
    if (w->params == NULL) {
        /* libpq quotes the part it does not understand, which may hold the password; the name of
         * a parameter is harmless. */
        const char *harmless = "invalid URI query parameter";
        bool named = why != NULL && strncmp(why, harmless, strlen(harmless)) == 0;

        error_set(err, ERROR_CONFIG, "connection.url cannot be parsed%s%.*s", named ? ": " : "",
                  named ? (int)strcspn(why, "\n") : 0, named ? why : "");
        PQfreemem(why);
        return error_hint(err,
                          "its form is postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=..., "
                          "special characters in the password as %%XX");
    }
    set_param(w, "user", config_string(w->cfg, "connection.user"));
    set_param(w, "password", config_string(w->cfg, "connection.password"));
    return true;
}

/* Ours come after the URL's, and the last of a keyword wins. */
static const char *const forced_params[][2] = {
    {"client_encoding", "UTF8"},   {"keepalives", "1"},       {"keepalives_idle", "20"},
    {"keepalives_interval", "10"}, {"keepalives_count", "3"}, {"tcp_user_timeout", "60000"},
};

#define MAX_PARAMS 96

/* The nth item of a comma-separated list in item, or false. A list of one serves every n. */
static bool list_item(const char *list, int n, char *item, size_t size)
{
    if (list == NULL || list[0] == '\0')
        return false;
    if (strchr(list, ',') == NULL)
        n = 0;
    for (; n > 0; n--) {
        list = strchr(list, ',');
        if (list == NULL)
            return false;
        list++;
    }
    snprintf(item, size, "%.*s", (int)strcspn(list, ","), list);
    return true;
}

static int count_hosts(PQconninfoOption *params)
{
    static const char *const lists[] = {"host", "hostaddr"};
    int most = 1;

    for (int i = 0; i < 2; i++) {
        const PQconninfoOption *o = find_param(params, lists[i]);
        int n = 1;

        for (const char *p = o && o->val ? o->val : ""; *p != '\0'; p++)
            n += *p == ',';
        most = n > most ? n : most;
    }
    return most < WPG_MAX_HOSTS ? most : WPG_MAX_HOSTS;
}

static PGconn *start_connect(const struct warehouse *w, const char *name, int host)
{
    const char *keys[MAX_PARAMS + 1], *values[MAX_PARAMS + 1];
    char items[3][1100];
    int n = 0, used = 0;

    for (PQconninfoOption *o = w->params; o->keyword != NULL && n < MAX_PARAMS - 10; o++) {
        const char *value = o->val;

        if (value == NULL)
            continue;
        if (strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0 ||
            strcmp(o->keyword, "port") == 0) {
            if (!list_item(value, host, items[used], sizeof(items[used])))
                continue;
            value = items[used++];
        }
        keys[n] = o->keyword;
        values[n++] = value;
    }
    for (size_t i = 0; i < sizeof(forced_params) / sizeof(forced_params[0]); i++) {
        keys[n] = forced_params[i][0];
        values[n++] = forced_params[i][1];
    }
    keys[n] = "application_name";
    values[n++] = name;
    keys[n] = NULL;
    values[n] = NULL;
    return PQconnectStartParams(keys, values, 0);
}

/* Drives one connection attempt; false when it failed, *timed_out when its time was up. */
static bool drive_connect(PGconn *conn, bool *timed_out)
{
    int64_t deadline = clock_mono_ms() + WPG_CONNECT_TIMEOUT_MS;
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;

    *timed_out = false;
    if (PQstatus(conn) == CONNECTION_BAD)
        return false;
    while (want != PGRES_POLLING_OK) {
        int64_t left = deadline - clock_mono_ms();
        struct pollfd p = {.fd = PQsocket(conn),
                           .events = want == PGRES_POLLING_READING ? POLLIN : POLLOUT};

        if (left <= 0) {
            *timed_out = true;
            return false;
        }
        if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
            return false;
        if (p.revents == 0)
            continue;
        want = PQconnectPoll(conn);
        if (want == PGRES_POLLING_FAILED)
            return false;
    }
    return true;
}

static void ignore_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

static PGconn *connect_host(const struct warehouse *w, const char *name, int host,
                            struct error *err)
{
    PGconn *conn = start_connect(w, name, host);
    char what[400];
    bool timed_out;

    if (conn == NULL) {
        error_set(err, ERROR_RETRY, "cannot connect: out of memory");
        return NULL;
    }
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(conn, ignore_notice, NULL);
    if (drive_connect(conn, &timed_out))
        return conn;
    if (timed_out) {
        snprintf(what, sizeof(what), "cannot connect: host \"%.300s\" port %.20s",
                 PQhost(conn) ? PQhost(conn) : "", PQport(conn) ? PQport(conn) : "");
        pg_error_timeout(PG_WAREHOUSE, err, what, WPG_CONNECT_TIMEOUT_MS);
    } else {
        pg_error_connect(PG_WAREHOUSE, err, conn, "cannot connect");
    }
    PQfinish(conn);
    return NULL;
}

bool wpg_connect_raw(const struct warehouse *w, const char *name, PGconn **out, struct error *err)
{
    int hosts = count_hosts(w->params);

    *out = NULL;
    for (int i = 0; i < hosts && *out == NULL; i++) {
        error_clear(err);
        *out = connect_host(w, name, i, err);
    }
    return *out != NULL;
}

static bool pin(PGconn *conn, const char *sql, struct error *err)
{
    PGresult *res = PQexec(conn, sql);
    bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;

    if (!ok) {
        pg_error_result(PG_WAREHOUSE, err, conn, res, NULL);
        error_prefix(err, "cannot pin the session's settings");
    }
    PQclear(res);
    return ok;
}

bool wpg_connect_pinned(const struct warehouse *w, const char *name, PGconn **out,
                        struct error *err)
{
    PGconn *conn;
    int version;

    if (!wpg_connect_raw(w, name, &conn, err))
        return false;
    version = PQserverVersion(conn);
    if (version < WPG_MIN_VERSION) {
        error_cause(err, CAUSE_SERVER_TOO_OLD,
                    "the warehouse is PostgreSQL %d.%d; MERGE needs 15 or later", version / 10000,
                    version % 10000);
        PQfinish(conn);
        return false;
    }
    if (!pin(conn, pinned_settings, err) ||
        (version >= 170000 && !pin(conn, pinned_since_17, err))) {
        PQfinish(conn);
        return false;
    }
    *out = conn;
    return true;
}
