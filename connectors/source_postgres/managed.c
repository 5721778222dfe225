/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row per service: its name, who its administrator is, and how a parameter is set. What is not
 * in the row (rights that are granted in another way) is in the functions below.
 */
#include "source_postgres/managed.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Settings and roles that only the service has. A name without the setting reads as NULL. */
const char managed_signs_sql[] =
    "pg_catalog.concat_ws(',', '', "
    "CASE WHEN current_setting('rds.extensions', true) IS NOT NULL OR "
    "current_setting('rds.logical_replication', true) IS NOT NULL THEN 'rds' END, "
    "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = 'aurora_version') "
    "THEN 'aurora' END, "
    "CASE WHEN current_setting('cloudsql.logical_decoding', true) IS NOT NULL OR "
    "current_setting('cloudsql.iam_authentication', true) IS NOT NULL THEN 'cloudsql' END, "
    "CASE WHEN current_setting('azure.extensions', true) IS NOT NULL THEN 'azure' END, "
    "CASE WHEN current_setting('neon.tenant_id', true) IS NOT NULL OR "
    "current_setting('neon.timeline_id', true) IS NOT NULL THEN 'neon' END, "
    "(SELECT pg_catalog.string_agg(rolname, ',') FROM pg_catalog.pg_roles WHERE rolname IN "
    "('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin', 'neon_superuser', "
    "'supabase_admin')), '')";

struct service {
    const char *name;
    const char *signs[3];  /* one of them is enough */
    const char *admin;     /* who may grant there */
    const char *wal_level; /* how it becomes logical */
    const char *setting;   /* how NAME (%1$s) is set to VALUE (%2$s) */
    const char *restart;   /* what a setting that is read at the start needs besides */
    bool bare;             /* values are numbers in the setting's own unit */
    const char *direct;    /* where the server itself is, past the service's pooler */
};

static const struct service services[MANAGED_COUNT] = {
    [MANAGED_NONE] =
        {
            .name = "",
            .admin = "a superuser",
            .direct = "set database.hostname and database.port to the PostgreSQL server itself, "
                      "not to a pooler (PgBouncer listens on 6432 as a rule)",
        },
    [MANAGED_AURORA] =
        {
            .name = "Amazon Aurora",
            .signs = {"aurora"},
            .admin = "the master user, a member of rds_superuser,",
            .wal_level = "in the cluster's own DB cluster parameter group set "
                         "rds.logical_replication = 1 (wal_level follows it), then reboot the "
                         "writer instance",
            .setting = "in the cluster's own DB cluster parameter group set %1$s = %2$s",
            .restart = ", then reboot the writer instance",
            .bare = true,
            .direct = "set database.hostname to the cluster's writer endpoint, not to RDS Proxy",
        },
    [MANAGED_RDS] =
        {
            .name = "Amazon RDS",
            .signs = {"rds", "rds_superuser"},
            .admin = "the master user, a member of rds_superuser,",
            .wal_level = "in the instance's own DB parameter group set rds.logical_replication = 1 "
                         "(wal_level follows it), then reboot the instance",
            .setting = "in the instance's own DB parameter group set %1$s = %2$s",
            .restart = ", then reboot the instance",
            .bare = true,
            .direct = "set database.hostname to the instance's endpoint, not to RDS Proxy",
        },
    [MANAGED_CLOUDSQL] =
        {
            .name = "Google Cloud SQL",
            .signs = {"cloudsql", "cloudsqlsuperuser"},
            .admin = "a member of cloudsqlsuperuser (the user postgres)",
            .wal_level = "set the flag cloudsql.logical_decoding = on: gcloud sql instances patch "
                         "INSTANCE --database-flags=cloudsql.logical_decoding=on (name every flag "
                         "that is to stay; the instance restarts)",
            .setting = "set the flag %1$s: gcloud sql instances patch INSTANCE "
                       "--database-flags=%1$s=%2$s (name every flag that is to stay)",
            .restart = "; the instance restarts",
            .bare = true,
            .direct = "set database.hostname and database.port to the instance's own address, port "
                      "5432",
        },
    [MANAGED_SUPABASE] =
        {
            .name = "Supabase",
            .signs = {"supabase_admin"},
            .admin = "the role postgres (in the SQL editor)",
            .wal_level = "Supabase runs its databases with wal_level = logical: ask its support "
                         "why this one does not",
            .setting = "run in a shell: supabase --experimental --project-ref REF postgres-config "
                       "update --config %1$s=%2$s",
            .restart = " (the database restarts)",
            .direct = "use the direct connection (host db.PROJECT.supabase.co, port 5432; IPv6, or "
                      "the IPv4 add-on), not the pooler's (pooler.supabase.com)",
        },
    [MANAGED_NEON] =
        {
            .name = "Neon",
            .signs = {"neon", "neon_superuser"},
            .admin = "a role that was made in the console, a member of neon_superuser,",
            .wal_level = "enable Logical Replication in the project's settings in the console (the "
                         "computes restart; it cannot be turned off again)",
            .setting = "Neon sets %1$s itself: ask its support to set it to %2$s",
            .restart = "",
            .direct = "use the host name without -pooler",
        },
    [MANAGED_AZURE] =
        {
            .name = "Azure Database for PostgreSQL",
            .signs = {"azure", "azure_pg_admin"},
            .admin = "the server's administrator",
            .wal_level = "set the server parameter wal_level to logical: az postgres "
                         "flexible-server parameter set --resource-group GROUP --server-name "
                         "SERVER --name wal_level --value logical; then restart the server",
            .setting = "set the server parameter: az postgres flexible-server parameter set "
                       "--resource-group GROUP --server-name SERVER --name %1$s --value %2$s",
            .restart = "; then restart the server",
            .bare = true,
            .direct = "set database.port to 5432, the server itself, not 6432, its PgBouncer",
        },
};

static bool has_sign(const char *signs, const char *sign)
{
    char with[80];

    snprintf(with, sizeof(with), ",%s,", sign);
    return strstr(signs, with) != NULL;
}

/* Aurora has the signs of RDS too, and each service's own come before those that others take over
 * (a role named supabase_admin can be made anywhere). */
enum managed managed_detect(const char *signs)
{
    static const enum managed order[] = {MANAGED_AURORA, MANAGED_RDS,  MANAGED_CLOUDSQL,
                                         MANAGED_AZURE,  MANAGED_NEON, MANAGED_SUPABASE};
    size_t i, j;

    for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        const struct service *s = &services[order[i]];

        for (j = 0; j < 3 && s->signs[j] != NULL; j++) {
            if (has_sign(signs, s->signs[j]))
                return order[i];
        }
    }
    return MANAGED_NONE;
}

const char *managed_name(enum managed m)
{
    return services[m].name;
}

static int64_t unit_factor(const char *unit)
{
    static const struct {
        const char *unit;
        int64_t factor; /* into ms, or kB */
    } units[] = {{"s", 1000}, {"MB", 1024}, {"GB", 1 << 20}};
    size_t i;

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].unit) == 0)
            return units[i].factor;
    }
    return 1;
}

/* A value as a console takes it: without SQL's quotes, and, where bare, as a number in the unit
 * that pg_settings says: parameter groups and flags know no other. */
static void plain_value(const char *name, const char *value, bool bare, char *out, size_t size)
{
    char text[64], *unit;
    int64_t n;

    snprintf(text, sizeof(text), "%s", value[0] == '\'' ? value + 1 : value);
    text[strcspn(text, "'")] = '\0';
    n = strtoll(text, &unit, 10);
    if (!bare || unit == text || *unit == '\0') {
        snprintf(out, size, "%s", text);
        return;
    }
    n *= unit_factor(unit);
    if (strcmp(name, "max_slot_wal_keep_size") == 0)
        n /= 1024; /* in MB */
    snprintf(out, size, "%lld", (long long)n);
}

void managed_fix_setting(enum managed m, const char *name, const char *value, bool restart,
                         struct findings *out)
{
    const struct service *s = &services[m];
    char plain[64], words[600];

    if (m == MANAGED_NONE) {
        findings_fix(out, restart ? "as a superuser run this, then restart the server"
                                  : "as a superuser run");
        findings_sql(out, "ALTER SYSTEM SET %s = %s", name, value);
        if (!restart)
            findings_sql(out, "SELECT pg_reload_conf()");
        return;
    }
    if (strcmp(name, "wal_level") == 0) {
        findings_fix(out, "%s", s->wal_level);
        return;
    }
    plain_value(name, value, s->bare, plain, sizeof(plain));
    snprintf(words, sizeof(words), s->setting, name, plain);
    findings_fix(out, "%s%s", words, restart ? s->restart : "");
}

void managed_fix_replication(enum managed m, const char *role, struct findings *out)
{
    if (m == MANAGED_RDS || m == MANAGED_AURORA) {
        findings_fix(out,
                     "%s must run (ALTER ROLE ... REPLICATION is not allowed there, membership "
                     "stands for it)",
                     services[m].admin);
        findings_sql(out, "GRANT rds_replication TO %s", role);
        return;
    }
    findings_fix(out, "%s must run", services[m].admin);
    findings_sql(out, "ALTER ROLE %s WITH REPLICATION", role);
}

void managed_fix_row_security(enum managed m, const char *role, struct findings *out)
{
    findings_fix(out,
                 m == MANAGED_NONE
                     ? "%s must run"
                     : "%s must run; where the service refuses it (before PostgreSQL 16 only a "
                       "true superuser may), set database.user to the tables' owner, to whom "
                       "policies do not apply unless FORCE ROW LEVEL SECURITY is set",
                 services[m].admin);
    findings_sql(out, "ALTER ROLE %s BYPASSRLS", role);
}

void managed_fix_pooler(enum managed m, struct findings *out)
{
    findings_fix(out, "%s", services[m].direct);
}

void managed_notes(enum managed m, struct findings *out)
{
    if (m == MANAGED_NONE)
        return;
    findings_add(out, FINDING_NOTE, "source", NULL,
                 "the server is %s: fixes are given in its way, after its documents",
                 services[m].name);
    if (m == MANAGED_NEON)
        findings_add(out, FINDING_WARNING, "source",
                     "do not let the service stand still for a day and a half while another slot "
                     "is in use",
                     "Neon removes a slot that nobody reads after about 40 hours if another slot "
                     "is active: all tables must then be loaded again; and a compute that is "
                     "streamed from does not scale to zero");
    if (m == MANAGED_RDS || m == MANAGED_AURORA)
        findings_add(out, FINDING_NOTE, "source", NULL,
                     "log that is kept for the slot counts as storage: watch the metrics "
                     "OldestReplicationSlotLag and FreeStorageSpace");
}
