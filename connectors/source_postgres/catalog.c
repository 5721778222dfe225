/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over pg_class finds what the settings select; a few queries over that set read the
 * rest, so that the cost does not grow with round trips. Tables are read as the connection's
 * snapshot sees them; what server functions answer (sizes, rights, pg_publication_tables) is as of
 * now, which is checked again when rows are read.
 *
 * Selected are ordinary tables and partition roots. A partition stands for itself only where its
 * root is not selected, or where the publication does not publish via the root.
 */
#include "source_postgres/catalog.h"

#include "source_postgres/catalog_internal.h"
#include "source_postgres/publication.h"
#include "source_postgres/watch_internal.h"

#include <stdlib.h>
#include <string.h>

void catalog_qualified(struct buf *b, const char *schema, const char *name)
{
    buf_sql_ident(b, schema);
    buf_u8(b, '.');
    buf_sql_ident(b, name);
}

/* Has an earlier leaf the same schema, which is missing too? */
static bool schema_named(const struct catalog_table *ct, int upto)
{
    int i;

    for (i = 0; i < upto; i++) {
        if (!ct->leaves[i].may_use && strcmp(ct->leaves[i].schema, ct->leaves[upto].schema) == 0)
            return true;
    }
    return false;
}

void catalog_grant_select(const struct catalog_table *ct, const char *user, struct buf *sql)
{
    int i, n = 0;

    for (i = 0; i < ct->nleaves; i++) {
        if (ct->leaves[i].may_select)
            continue;
        buf_puts(sql, n == 0 ? "GRANT SELECT ON " : ", ");
        catalog_qualified(sql, ct->leaves[i].schema, ct->leaves[i].name);
        n++;
    }
    if (n > 0) {
        buf_puts(sql, " TO ");
        buf_sql_ident(sql, user);
    }
}

void catalog_grants(const struct catalog_table *ct, const char *user, struct buf *sql)
{
    struct buf select = {0};
    int i;

    for (i = 0; i < ct->nleaves; i++) {
        if (ct->leaves[i].may_use || schema_named(ct, i))
            continue;
        buf_printf(sql, "%sGRANT USAGE ON SCHEMA ", sql->len > 0 ? "\n" : "");
        buf_sql_ident(sql, ct->leaves[i].schema);
        buf_puts(sql, " TO ");
        buf_sql_ident(sql, user);
    }
    catalog_grant_select(ct, user, &select);
    if (select.len > 0)
        buf_printf(sql, "%s%s", sql->len > 0 ? "\n" : "", buf_cstr(&select));
    buf_free(&select);
}

/* A relation of pg_class that might be selected. */
struct candidate {
    uint32_t oid, root, relfilenode;
    int natts;
    const char *schema, *name;
    char kind, persistence, replica_identity;
    bool partition, owned, published, selected;
    const char *row_filter;
};

/* Columns of the query below. */
enum {
    C_OID,
    C_SCHEMA,
    C_NAME,
    C_KIND,
    C_PERSISTENCE,
    C_PARTITION,
    C_ROOT,
    C_IDENTITY,
    C_NODE,
    C_OWNED,
    C_NATTS
};

static const char candidates_sql[] =
    "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relispartition, "
    "CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::oid END, "
    "c.relreplident, c.relfilenode, pg_catalog.pg_has_role(c.relowner, 'USAGE'), c.relnatts "
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v') AND n.nspname !~ '^pg_' "
    "AND n.nspname NOT IN ('information_schema', 'penstock') "
    "ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

static uint32_t get_oid(const PGresult *res, int row, int col)
{
    return (uint32_t)pg_int(res, row, col);
}

static bool read_candidates(struct catalog_reading *r, struct candidate **list, int *n,
                            struct map *by_oid, struct error *err)
{
    struct arena *a = r->arena;
    PGresult *res;
    int i;

    if (!pg_query(r->conn, "reading the catalogue", candidates_sql, &res, err))
        return false;
    *n = PQntuples(res);
    *list = arena_calloc(a, (size_t)*n + 1, sizeof(**list));
    for (i = 0; i < *n; i++) {
        struct candidate *c = &(*list)[i];

        c->oid = get_oid(res, i, C_OID);
        c->schema = arena_strdup(a, PQgetvalue(res, i, C_SCHEMA));
        c->name = arena_strdup(a, PQgetvalue(res, i, C_NAME));
        c->kind = PQgetvalue(res, i, C_KIND)[0];
        c->persistence = PQgetvalue(res, i, C_PERSISTENCE)[0];
        c->partition = pg_bool(res, i, C_PARTITION);
        c->root = get_oid(res, i, C_ROOT);
        c->replica_identity = PQgetvalue(res, i, C_IDENTITY)[0];
        c->relfilenode = get_oid(res, i, C_NODE);
        c->owned = pg_bool(res, i, C_OWNED);
        c->natts = (int)pg_int(res, i, C_NATTS);
        map_put_u32(by_oid, c->oid, c);
    }
    PQclear(res);
    return true;
}

/* Marks what the publication holds, with its row filters (15+). */
static bool read_published(struct catalog_reading *r, struct map *by_oid, struct error *err)
{
    struct buf sql = {0};
    PGresult *res;
    bool ok;
    int i;

    buf_puts(&sql, "SELECT c.oid, ");
    buf_puts(&sql, r->s->facts.version >= 150000 ? "p.rowfilter" : "NULL");
    buf_puts(&sql, " FROM pg_catalog.pg_publication_tables p "
                   "JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname "
                   "JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND "
                   "c.relname = p.tablename WHERE p.pubname = ");
    buf_sql_string(&sql, r->s->settings.publication);
    ok = pg_query(r->conn, "reading the publication's tables", buf_cstr(&sql), &res, err);
    buf_free(&sql);
    if (!ok)
        return false;
    for (i = 0; i < PQntuples(res); i++) {
        struct candidate *c = map_get_u32(by_oid, get_oid(res, i, 0));

        if (c == NULL)
            continue;
        c->published = true;
        if (!PQgetisnull(res, i, 1))
            c->row_filter = arena_strdup(r->arena, PQgetvalue(res, i, 1));
    }
    PQclear(res);
    return true;
}

/* Sets c->selected: by its own name, or by that of the partitioned table that it is of. */
static bool judge_selected(const struct catalog_reading *r, struct candidate *c,
                           const struct map *by_oid, struct error *err)
{
    bool split = r->pub != NULL && r->pub->exists && !r->pub->via_root;
    const struct candidate *root;
    bool of_root;

    if (!pg_selects(r->s, c->schema, c->name, &c->selected, err))
        return false;
    if (c->kind == 'p' && split) {
        r->out->split_roots += c->selected;
        c->selected = false; /* its partitions stand for it */
        return true;
    }
    if (!c->partition || c->root == 0 || c->root == c->oid)
        return true;
    root = map_get_u32(by_oid, c->root);
    if (root == NULL)
        return true;
    if (!pg_selects(r->s, root->schema, root->name, &of_root, err))
        return false;
    if (of_root)
        c->selected = split && c->published;
    return true;
}

static void add_odd(struct catalog_reading *r, const struct candidate *c, const char *why)
{
    struct catalog_odd *o = &r->out->odd[r->out->nodd++];

    o->schema = c->schema;
    o->name = c->name;
    o->why = why;
}

static void add_table(struct catalog_reading *r, const struct candidate *c)
{
    struct catalog_table *ct = &r->out->tables[r->out->n++];
    struct table *t = arena_calloc(r->arena, 1, sizeof(*t));

    t->oid = c->oid;
    t->schema = c->schema;
    t->name = c->name;
    t->replica_identity = c->replica_identity;
    t->relfilenode = c->kind == 'r' ? c->relfilenode : 0;
    t->natts = c->natts;
    t->row_filter = c->row_filter;
    t->partitioned = c->kind == 'p';
    t->est_rows = -1;
    t->est_bytes = -1;
    ct->table = t;
    ct->kind = c->kind;
    ct->partition = c->partition;
    ct->root = c->root;
    ct->published = r->pub == NULL || c->published;
    ct->owned = c->owned;
    ct->may_select = true;
    map_put_u32(r->by_oid, c->oid, ct);
    buf_printf(&r->oids, "%s%u", r->oids.len > 0 ? "," : "", c->oid);
}

static bool select_tables(struct catalog_reading *r, struct error *err)
{
    struct map *by_oid = map_new();
    struct candidate *list;
    int n, i;
    bool ok = read_candidates(r, &list, &n, by_oid, err) &&
              (r->pub == NULL || !r->pub->exists || read_published(r, by_oid, err));

    if (!ok)
        goto out;
    r->out->tables = arena_calloc(r->arena, (size_t)n + 1, sizeof(*r->out->tables));
    r->out->odd = arena_calloc(r->arena, (size_t)n + 1, sizeof(*r->out->odd));
    for (i = 0; i < n; i++) {
        struct candidate *c = &list[i];

        ok = judge_selected(r, c, by_oid, err);
        if (!ok)
            goto out;
        if (!c->selected)
            continue;
        if (c->kind == 'v' && !config_is_set(r->s->cfg, "table.include.list"))
            continue; /* nobody asked for it by name */
        if (c->kind == 'v')
            add_odd(r, c, "a view: only tables are replicated");
        else if (c->kind == 'f')
            add_odd(r, c, "a foreign table: its changes are not in this server's log");
        else if (c->kind == 'm')
            add_odd(r, c, "a materialized view: its changes are not in the log");
        else if (c->persistence != 'p')
            add_odd(r, c, "an unlogged table: its changes are not in the log");
        else
            add_table(r, c);
    }
out:
    map_free(by_oid);
    return ok;
}

/* Columns of the query below. */
enum {
    L_ROOT,
    L_OID,
    L_LSCHEMA,
    L_LNAME,
    L_LKIND,
    L_LPERSISTENCE,
    L_LIDENTITY,
    L_ROWS,
    L_BYTES,
    L_BLOCKS,
    L_SELECT,
    L_RLS,
    L_USE
};

static bool query_leaves(struct catalog_reading *r, PGresult **res, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql,
               "WITH RECURSIVE t(root, oid) AS (SELECT r, r FROM unnest('{%s}'::oid[]) r UNION ALL "
               "SELECT t.root, i.inhrelid FROM t JOIN pg_catalog.pg_class p ON p.oid = t.oid AND "
               "p.relkind = 'p' JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid) "
               "SELECT t.root, c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, "
               "c.relreplident, c.reltuples::bigint, %s, "
               "coalesce(pg_catalog.has_table_privilege(c.oid, 'SELECT'), true), "
               "coalesce(pg_catalog.row_security_active(c.oid), false), "
               "pg_catalog.has_schema_privilege(n.oid, 'USAGE') "
               "FROM t JOIN pg_catalog.pg_class c ON c.oid = t.oid "
               "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
               "WHERE c.relkind <> 'p' ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
               buf_cstr(&r->oids),
               r->sizes ? "pg_catalog.pg_table_size(c.oid), pg_catalog.pg_relation_size(c.oid) / "
                          "current_setting('block_size')::bigint"
                        : "c.relpages * current_setting('block_size')::bigint, c.relpages");
    ok = pg_query(r->conn, "reading partitions and sizes", buf_cstr(&sql), res, err);
    buf_free(&sql);
    return ok;
}

static void add_leaf(struct catalog_reading *r, const PGresult *res, int i)
{
    struct catalog_table *ct = map_get_u32(r->by_oid, get_oid(res, i, L_ROOT));
    struct catalog_leaf *l = &ct->leaves[ct->nleaves++];
    int64_t rows = pg_int(res, i, L_ROWS);
    int64_t bytes = pg_int(res, i, L_BYTES);
    struct table *t = ct->table;

    l->oid = get_oid(res, i, L_OID);
    l->schema = arena_strdup(r->arena, PQgetvalue(res, i, L_LSCHEMA));
    l->name = arena_strdup(r->arena, PQgetvalue(res, i, L_LNAME));
    l->kind = PQgetvalue(res, i, L_LKIND)[0];
    l->persistence = PQgetvalue(res, i, L_LPERSISTENCE)[0];
    l->replica_identity = PQgetvalue(res, i, L_LIDENTITY)[0];
    l->blocks = (uint64_t)pg_int(res, i, L_BLOCKS);
    l->may_select = pg_bool(res, i, L_SELECT);
    l->may_use = pg_bool(res, i, L_USE);
    ct->may_select = ct->may_select && l->may_select && l->may_use;
    ct->row_security = ct->row_security || pg_bool(res, i, L_RLS);
    if (rows >= 0)
        t->est_rows = (t->est_rows > 0 ? t->est_rows : 0) + rows;
    t->est_bytes = (t->est_bytes > 0 ? t->est_bytes : 0) + bytes;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* struct table's leaves. */
static void list_leaves(struct arena *a, struct catalog_table *ct)
{
    uint32_t *oids = arena_calloc(a, (size_t)ct->nleaves + 1, sizeof(*oids));
    struct buf list = {0};
    int i;

    for (i = 0; i < ct->nleaves; i++)
        oids[i] = ct->leaves[i].oid;
    qsort(oids, (size_t)ct->nleaves, sizeof(*oids), by_number);
    buf_puts(&list, ",");
    for (i = 0; i < ct->nleaves; i++)
        buf_printf(&list, "%u,", oids[i]);
    ct->table->leaves = arena_strdup(a, buf_cstr(&list));
    buf_free(&list);
}

static bool read_leaves(struct catalog_reading *r, struct error *err)
{
    struct map *counts = map_new();
    PGresult *res;
    int i;

    if (!query_leaves(r, &res, err)) {
        map_free(counts);
        return false;
    }
    for (i = 0; i < PQntuples(res); i++) {
        uint32_t root = get_oid(res, i, L_ROOT);
        uintptr_t n = (uintptr_t)map_get_u32(counts, root);

        map_put_u32(counts, root, (void *)(n + 1));
    }
    for (i = 0; i < r->out->n; i++) {
        struct catalog_table *ct = &r->out->tables[i];
        size_t n = (uintptr_t)map_get_u32(counts, ct->table->oid);

        ct->leaves = arena_calloc(r->arena, n + 1, sizeof(*ct->leaves));
    }
    for (i = 0; i < PQntuples(res); i++)
        add_leaf(r, res, i);
    for (i = 0; i < r->out->n; i++) { /* a root without partitions is empty, which is known */
        struct table *t = r->out->tables[i].table;

        if (r->out->tables[i].nleaves == 0)
            t->est_rows = t->est_bytes = 0;
        if (t->partitioned)
            list_leaves(r->arena, &r->out->tables[i]);
    }
    PQclear(res);
    map_free(counts);
    return true;
}

/* struct table's membership. */
static bool read_memberships(struct catalog_reading *r, struct error *err)
{
    struct buf sql = {0};
    PGresult *res;
    bool ok;
    int i;

    if (r->pub == NULL || !r->pub->exists)
        return true;
    watch_membership_sql(r->s, buf_cstr(&r->oids), &sql);
    ok = pg_query(r->conn, "reading the publication's entries", buf_cstr(&sql), &res, err);
    buf_free(&sql);
    if (!ok)
        return false;
    for (i = 0; i < PQntuples(res); i++) {
        struct catalog_table *ct = map_get_u32(r->by_oid, get_oid(res, i, 0));

        ct->table->membership = arena_strdup(r->arena, PQgetvalue(res, i, 1));
    }
    PQclear(res);
    return true;
}

/* A table that was dropped between two of our queries looks like one without columns. */
static bool forget_gone(struct catalog_reading *r, struct error *err)
{
    struct buf sql = {0};
    PGresult *res;
    bool any = false, ok;
    int i, kept = 0;

    buf_printf(&sql, "SELECT oid FROM pg_catalog.pg_class WHERE oid = ANY ('{%s}'::oid[])",
               buf_cstr(&r->oids));
    for (i = 0; i < r->out->n; i++)
        any |= r->out->tables[i].table->ncols == 0;
    ok = !any || pg_query(r->conn, "reading the catalogue", buf_cstr(&sql), &res, err);
    buf_free(&sql);
    if (!any || !ok)
        return ok;
    for (i = 0; i < PQntuples(res); i++)
        map_remove(r->by_oid, &(uint32_t){get_oid(res, i, 0)}, sizeof(uint32_t));
    PQclear(res);
    for (i = 0; i < r->out->n; i++) { /* by_oid holds those that are gone */
        if (map_get_u32(r->by_oid, r->out->tables[i].table->oid) == NULL)
            r->out->tables[kept++] = r->out->tables[i];
    }
    r->out->n = kept;
    return true;
}

bool catalog_read(struct source *s, struct pg_conn *c, struct arena *a,
                  const struct publication *pub, bool sizes, struct catalog *out, struct error *err)
{
    struct catalog_reading r = {.s = s, .conn = c, .arena = a, .pub = pub, .sizes = sizes};
    bool ok;
    int i;

    memset(out, 0, sizeof(*out));
    r.out = out;
    r.by_oid = map_new();
    ok = select_tables(&r, err) &&
         (out->n == 0 || (read_leaves(&r, err) && read_memberships(&r, err) &&
                          catalog_read_columns(&r, err) && forget_gone(&r, err)));
    for (i = 0; ok && i < out->n; i++) {
        catalog_judge(&r, &out->tables[i]);
        table_name_fields(a, out->tables[i].table, s->settings.prefix);
    }
    map_free(r.by_oid);
    buf_free(&r.oids);
    return ok;
}
