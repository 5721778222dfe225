/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The questions about shapes: several statements under one snapshot. They read catalogues only and
 * take no lock on the table (which pg_get_expr would): a long ALTER must not hold the stream.
 */
#include "source_postgres/shape_internal.h"
#include "source_postgres/watch_internal.h"

#include <stdio.h>

#define USABLE "i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL"

static void relations_sql(const char *oids, struct buf *sql)
{
    buf_printf(sql,
               "SELECT c.oid, (SELECT i.indnkeyatts || ':' || i.indkey::text "
               "FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND " USABLE
               "), (SELECT i.indnkeyatts || ':' || i.indkey::text FROM pg_catalog.pg_index i WHERE "
               "i.indrelid = c.oid AND i.indisreplident AND " USABLE ") "
               "FROM pg_catalog.pg_class c WHERE c.oid = ANY ('{%s}'::oid[]); ",
               oids);
}

/* By attnum, not by name: everything must be of the one snapshot. A partition has no column list
 * but its own: lists on its root are allowed only where the root stands for it. */
static void attributes_sql(const struct source *s, const char *oids, bool details, struct buf *sql)
{
    watch_ctes(s, "", sql);
    buf_puts(sql, "SELECT a.attrelid, a.attnum, a.attisdropped, CASE WHEN a.attisdropped THEN "
                  "false ");
    if (s->facts.version >= 150000)
        buf_puts(sql, "WHEN r.prattrs IS NOT NULL THEN a.attnum = ANY (r.prattrs) ");
    buf_puts(sql, "ELSE a.attgenerated = ''");
    if (s->facts.version >= 180000)
        buf_puts(sql, " OR a.attgenerated = p.pubgencols");
    buf_puts(sql, " END, coalesce(a.attisdropped AND age(a.xmin) > slot.bound, false), a.attlen, "
                  "a.attbyval, a.attalign");
    if (details)
        buf_puts(sql, ", a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.atthasmissing, "
                      "a.attmissingval::text");
    buf_puts(sql, " FROM pg_catalog.pg_attribute a LEFT JOIN slot ON true LEFT JOIN pub ON true ");
    if (s->facts.version >= 150000)
        buf_puts(sql, "LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = pub.oid AND "
                      "r.prrelid = a.attrelid ");
    if (s->facts.version >= 180000)
        buf_puts(sql, "LEFT JOIN pg_catalog.pg_publication p ON p.oid = pub.oid ");
    buf_printf(sql,
               "WHERE a.attrelid = ANY ('{%s}'::oid[]) AND a.attnum > 0 "
               "ORDER BY a.attrelid, a.attnum; ",
               oids);
}

/* What older rows of the leaves of a partition root hold in each column. */
static void missing_sql(const struct source *s, const char *oids, struct buf *sql)
{
    watch_ctes(s, oids, sql);
    buf_puts(sql, "SELECT a.attname, count(*), count(*) FILTER (WHERE a.atthasmissing), "
                  "min(a.attmissingval::text), max(a.attmissingval::text) FROM t JOIN "
                  "pg_catalog.pg_class c ON c.oid = t.oid AND c.oid <> t.root AND c.relkind <> 'p' "
                  "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT "
                  "a.attisdropped GROUP BY a.attname; ");
}

/* The types of the announced columns, domains followed to their end. */
static void types_sql(const struct pgoutput_relation *r, struct buf *sql)
{
    int i;

    buf_puts(sql, "WITH RECURSIVE d(i, oid, typmod, depth) AS (SELECT u.i, u.o, u.m, 0 FROM "
                  "unnest('{");
    for (i = 0; i < r->ncols; i++)
        buf_printf(sql, "%s%u", i > 0 ? "," : "", r->columns[i].type_oid);
    buf_puts(sql, "}'::oid[], '{");
    for (i = 0; i < r->ncols; i++)
        buf_printf(sql, "%s%d", i > 0 ? "," : "", r->columns[i].typmod);
    buf_puts(sql, "}'::int[]) WITH ORDINALITY AS u(o, m, i) UNION ALL SELECT d.i, y.typbasetype, "
                  "CASE WHEN d.typmod = -1 THEN y.typtypmod ELSE d.typmod END, d.depth + 1 FROM d "
                  "JOIN pg_catalog.pg_type y ON y.oid = d.oid WHERE y.typtype = 'd' AND d.depth < "
                  "64) SELECT d.i, y.oid, d.typmod, y.typname, y.typnamespace = 11, y.typtype, "
                  "y.typcategory, pg_catalog.format_type(y.oid, d.typmod), (SELECT "
                  "string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e "
                  "WHERE e.enumtypid = y.oid), y.typlen, y.typbyval, y.typalign FROM d JOIN "
                  "pg_catalog.pg_type y ON y.oid = d.oid WHERE y.typtype <> 'd'; ");
}

static void begin_sql(struct buf *sql)
{
    buf_puts(sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
                  "SELECT pg_catalog.pg_current_snapshot(); ");
}

void shape_sql_traces(const struct source *s, const char *oids, struct buf *sql)
{
    begin_sql(sql);
    relations_sql(oids, sql);
    attributes_sql(s, oids, false, sql);
    buf_puts(sql, "COMMIT");
}

void shape_sql_one(const struct source *s, uint32_t oid, const struct pgoutput_relation *r,
                   struct buf *sql)
{
    char oids[16];

    snprintf(oids, sizeof(oids), "%u", oid);
    begin_sql(sql);
    relations_sql(oids, sql);
    attributes_sql(s, oids, true, sql);
    missing_sql(s, oids, sql);
    watch_sql(s, oids, sql);
    buf_puts(sql, "; ");
    types_sql(r, sql);
    buf_puts(sql, "COMMIT");
}
