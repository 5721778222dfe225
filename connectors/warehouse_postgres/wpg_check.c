/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would stop or surprise a run, with the SQL that mends it; and which database this is. The
 * identity is the cluster's system identifier and the database's oid; where the server does not
 * tell the former, its address and port stand in for it.
 */
#include "common/pg_error.h"
#include "util/buf.h"
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

/* "NAME" TO "ROLE", for a GRANT. */
static const char *to_role(const PGconn *conn, const char *name, struct buf *b)
{
    buf_reset(b);
    buf_sql_ident(b, name);
    buf_puts(b, " TO ");
    buf_sql_ident(b, PQuser(conn));
    return buf_cstr(b);
}

/* A schema that is there must be ours to use; one that is not will be ours. */
static void check_schema(PGconn *conn, const char *schema, const char *what, struct findings *out)
{
    struct buf sql = {0};
    PGresult *res;

    buf_puts(&sql, "SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, "
                   "'CREATE') FROM pg_catalog.pg_namespace WHERE nspname = ");
    buf_sql_string(&sql, schema);
    res = ask(conn, buf_cstr(&sql));
    if (res != NULL && PQgetvalue(res, 0, 0)[0] != 't') {
        findings_add(out, FINDING_STOPS, SUBJECT, "its owner must run",
                     "schema \"%s\", %s, exists and role \"%s\" may not make tables in it", schema,
                     what, PQuser(conn));
        findings_sql(out, "GRANT USAGE, CREATE ON SCHEMA %s", to_role(conn, schema, &sql));
    }
    PQclear(res);
    buf_free(&sql);
}

static void check_rights(PGconn *conn, struct findings *out)
{
    static const struct {
        const char *right, *what;
    } rights[] = {{"CREATE", "schemas"}, {"TEMPORARY", "temporary tables"}};
    PGresult *res = ask(conn, "SELECT has_database_privilege(current_database(), 'CREATE'),"
                              " has_database_privilege(current_database(), 'TEMP')");
    struct buf to = {0};

    for (int i = 0; res != NULL && i < 2; i++) {
        if (PQgetvalue(res, 0, i)[0] == 't')
            continue;
        findings_add(out, FINDING_STOPS, SUBJECT, "its owner must run",
                     "role \"%s\" may not create %s in database \"%s\"", PQuser(conn),
                     rights[i].what, PQdb(conn));
        findings_sql(out, "GRANT %s ON DATABASE %s", rights[i].right,
                     to_role(conn, PQdb(conn), &to));
    }
    PQclear(res);
    buf_free(&to);
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
    if (strcmp(PQgetvalue(res, 0, 2), "on") != 0) {
        findings_add(out, FINDING_WARNING, SUBJECT, "a superuser must run",
                     "fsync is off: a crash of the server's machine can lose acknowledged changes");
        findings_sql(out, "ALTER SYSTEM SET fsync = on");
        findings_sql(out, "SELECT pg_reload_conf()");
    }
    PQclear(res);
}

bool wpg_check(struct warehouse *w, const struct warehouse_wants *wants, struct findings *out,
               struct error *err)
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
    check_schema(conn, "penstock", "which holds the bookkeeping", out);
    for (int i = 0; wants != NULL && i < wants->nschemas; i++)
        check_schema(conn, wants->schemas[i], "where tables will lie", out);
    PQfinish(conn);
    return true;
}
