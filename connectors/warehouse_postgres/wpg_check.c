/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would stop or surprise a run, with the SQL that mends it; and which database this is. The
 * identity is the cluster's system identifier and the database's oid; where the server does not
 * tell the former, its address and port stand in for it.
 */
#include "common/pg_error.h"
#include "warehouse_postgres/wpg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECT "warehouse"

static PGresult *ask(PGconn *conn, const char *sql)
{
    PGresult *res = PQexec(conn, sql);

    if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) > 0)
        return res;
    PQclear(res);
    return NULL;
}

bool wpg_identity(struct warehouse *w, char *out, size_t size, struct error *err)
{
    static const char by_system[] =
        "SELECT (SELECT system_identifier FROM pg_control_system()), oid "
        "FROM pg_database WHERE datname = current_database()";
    static const char by_address[] =
        "SELECT coalesce(host(inet_server_addr()), 'local') || ':' || current_setting('port'), oid "
        "FROM pg_database WHERE datname = current_database()";
    PGconn *conn;
    PGresult *res;
    bool ok;

    if (!wpg_connect_pinned(w, "penstock:identity", &conn, err))
        return false;
    res = ask(conn, by_system);
    if (res == NULL)
        res = ask(conn, by_address);
    ok = res != NULL;
    if (ok)
        snprintf(out, size, "%s/%s", PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1));
    else
        pg_error_result(PG_WAREHOUSE, err, conn, NULL, NULL);
    PQclear(res);
    PQfinish(conn);
    return ok;
}

/* Schema penstock holds the bookkeeping: ours to create, or already there and ours to use. */
static void check_schema(PGconn *conn, struct findings *out)
{
    PGresult *res = ask(conn, "SELECT has_schema_privilege('penstock', 'USAGE, CREATE'),"
                              " has_schema_privilege('penstock', 'USAGE'),"
                              " has_schema_privilege('penstock', 'CREATE')"
                              " FROM pg_namespace WHERE nspname = 'penstock'");
    char fix[400];

    if (res != NULL && (PQgetvalue(res, 0, 1)[0] != 't' || PQgetvalue(res, 0, 2)[0] != 't')) {
        snprintf(fix, sizeof(fix), "GRANT USAGE, CREATE ON SCHEMA penstock TO \"%s\";",
                 PQuser(conn));
        findings_add(out, FINDING_STOPS, SUBJECT, fix,
                     "schema penstock exists and role \"%s\" may not use it", PQuser(conn));
    }
    PQclear(res);
}

static void check_rights(PGconn *conn, struct findings *out)
{
    PGresult *res = ask(conn, "SELECT has_database_privilege(current_database(), 'CREATE'),"
                              " has_database_privilege(current_database(), 'TEMP')");
    char fix[400];

    if (res == NULL)
        return;
    if (PQgetvalue(res, 0, 0)[0] != 't') {
        snprintf(fix, sizeof(fix), "GRANT CREATE ON DATABASE \"%s\" TO \"%s\";", PQdb(conn),
                 PQuser(conn));
        findings_add(out, FINDING_STOPS, SUBJECT, fix,
                     "role \"%s\" may not create schemas in database \"%s\"", PQuser(conn),
                     PQdb(conn));
    }
    if (PQgetvalue(res, 0, 1)[0] != 't') {
        snprintf(fix, sizeof(fix), "GRANT TEMPORARY ON DATABASE \"%s\" TO \"%s\";", PQdb(conn),
                 PQuser(conn));
        findings_add(out, FINDING_STOPS, SUBJECT, fix,
                     "role \"%s\" may not create temporary tables in database \"%s\"", PQuser(conn),
                     PQdb(conn));
    }
    PQclear(res);
}

static void check_server(PGconn *conn, struct findings *out)
{
    PGresult *res = ask(conn, "SELECT pg_is_in_recovery(), current_setting('server_encoding'),"
                              " current_setting('fsync')");

    if (res == NULL)
        return;
    if (PQgetvalue(res, 0, 0)[0] == 't')
        findings_add(out, FINDING_STOPS, SUBJECT, "connect to the primary server",
                     "the server is a standby: nothing can be written to it");
    if (strcmp(PQgetvalue(res, 0, 1), "UTF8") != 0)
        findings_add(out, FINDING_WARNING, SUBJECT,
                     "create the warehouse's database with ENCODING 'UTF8' TEMPLATE template0",
                     "database \"%s\" has encoding %s: a text with a character outside of it stops "
                     "its table",
                     PQdb(conn), PQgetvalue(res, 0, 1));
    if (strcmp(PQgetvalue(res, 0, 2), "on") != 0)
        findings_add(out, FINDING_WARNING, SUBJECT,
                     "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();",
                     "fsync is off: a crash of the server's machine can lose acknowledged changes");
    PQclear(res);
}

bool wpg_check(struct warehouse *w, struct findings *out, struct error *err)
{
    struct error why = {0};
    PGconn *conn;

    if (!wpg_connect_pinned(w, "penstock:check", &conn, &why)) {
        if (why.kind == ERROR_CONFIG) {
            findings_add_error(out, SUBJECT, &why);
            return true;
        }
        if (err != NULL)
            *err = why;
        return false;
    }
    check_server(conn, out);
    check_rights(conn, out);
    check_schema(conn, out);
    PQfinish(conn);
    return true;
}
