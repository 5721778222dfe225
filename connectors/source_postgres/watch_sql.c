/* SPDX-License-Identifier: Apache-2.0 */
/* The one question that the watch asks, and a row of its answer. */
#include "source_postgres/watch_internal.h"

#include <stdio.h>
#include <string.h>

/* A hash of xmins as a number: the first 15 hex digits of its MD5. */
#define HASH "('x' || substr(md5(%s%s), 1, 15))::bit(60)::bigint"

/* The slot's bound, the publication, and every relation with rows below the tables. */
void watch_ctes(const struct source *s, const char *oids, struct buf *sql)
{
    buf_puts(sql, "WITH RECURSIVE slot AS (SELECT age(catalog_xmin) AS bound FROM "
                  "pg_catalog.pg_replication_slots WHERE slot_name = ");
    buf_sql_string(sql, s->settings.slot);
    buf_puts(sql, "), pub AS (SELECT p.oid, p.xmin, p.puballtables FROM "
                  "pg_catalog.pg_publication p WHERE p.pubname = ");
    buf_sql_string(sql, s->settings.publication);
    buf_printf(sql,
               "), t(root, oid, attached) AS (SELECT r, r, NULL::xid FROM unnest('{%s}'::oid[]) r "
               "UNION ALL SELECT t.root, i.inhrelid, i.xmin FROM t JOIN pg_catalog.pg_class p ON "
               "p.oid = t.oid AND p.relkind = 'p' JOIN pg_catalog.pg_inherits i ON i.inhparent = "
               "t.oid) ",
               oids);
}

/* A table's entry, with its column list and row filter, is never changed, but made anew. */
static const char member_sql[] =
    "pub.oid || ':' || pub.xmin || ':' || coalesce((SELECT r.oid FROM "
    "pg_catalog.pg_publication_rel r WHERE r.prpubid = pub.oid AND r.prrelid = t.root), 0)";
static const char schema_member_sql[] = /* 15+ */
    " || ':' || coalesce((SELECT m.oid FROM pg_catalog.pg_publication_namespace m JOIN "
    "pg_catalog.pg_class r ON r.oid = t.root AND m.pnnspid = r.relnamespace WHERE m.pnpubid = "
    "pub.oid), 0)";

/* Each member row is older than anything that the slot still needs. */
static const char old_member_sql[] =
    "age(pub.xmin) > slot.bound AND coalesce((SELECT bool_and(age(r.xmin) > slot.bound) FROM "
    "pg_catalog.pg_publication_rel r WHERE r.prpubid = pub.oid AND r.prrelid = t.root), true)";
static const char old_schema_member_sql[] = /* 15+ */
    " AND coalesce((SELECT bool_and(age(m.xmin) > slot.bound) FROM "
    "pg_catalog.pg_publication_namespace m JOIN pg_catalog.pg_class r ON r.oid = t.root AND "
    "m.pnnspid = r.relnamespace WHERE m.pnpubid = pub.oid), true)";

void watch_sql(const struct source *s, const char *oids, struct buf *sql)
{
    watch_ctes(s, oids, sql);
    buf_printf(sql,
               "SELECT t.root, c.oid, c.relfilenode, (SELECT " HASH
               " FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0), ",
               "coalesce(string_agg(a.attnum || ':' || a.xmin, ',' ORDER BY a.attnum), '')", "");
    buf_printf(sql, "(SELECT %s%s FROM pub), ", member_sql,
               s->facts.version >= 150000 ? schema_member_sql : "");
    /* Changed by a transaction that the slot still needs, after the relation was made. */
    buf_puts(sql, "n.nspname || '.' || c.relname, "
                  "c.xmin <> y.xmin AND age(c.xmin) <= slot.bound, "
                  "EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND "
                  "a.attnum > 0 AND a.xmin <> y.xmin AND age(a.xmin) <= slot.bound), "
                  "age(t.attached) <= slot.bound, c.relreplident, "
                  "c.relkind <> 'r' OR c.relpersistence <> 'p', ");
    buf_printf(sql, "NOT coalesce((SELECT %s%s FROM pub), false), ", old_member_sql,
               s->facts.version >= 150000 ? old_schema_member_sql : "");
    buf_puts(sql, "pg_catalog.pg_current_snapshot() "
                  "FROM t JOIN pg_catalog.pg_class c ON c.oid = t.oid AND c.relkind <> 'p' "
                  "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                  "JOIN pg_catalog.pg_type y ON y.oid = c.reltype LEFT JOIN slot ON true");
}

void watch_membership_sql(const struct source *s, const char *oids, struct buf *sql)
{
    watch_ctes(s, "", sql);
    buf_printf(sql, "SELECT t.root, %s%s FROM unnest('{%s}'::oid[]) AS t(root), pub", member_sql,
               s->facts.version >= 150000 ? schema_member_sql : "", oids);
}

void watch_take_leaf(const PGresult *res, int i, struct leaf *l)
{
    memset(l, 0, sizeof(*l));
    l->root = (uint32_t)pg_int(res, i, W_ROOT);
    l->oid = (uint32_t)pg_int(res, i, W_OID);
    l->file = (uint32_t)pg_int(res, i, W_FILE);
    l->attributes = (uint64_t)pg_int(res, i, W_ATTRIBUTES);
    snprintf(l->membership, sizeof(l->membership), "%s", PQgetvalue(res, i, W_MEMBER));
}
