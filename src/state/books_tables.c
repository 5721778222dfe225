/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock.tables and targets: what is known of each load of a source table, so that a restart
 * decodes the log with the columns as they were when the copy was made, not as the catalogue has
 * them now.
 */
#include "state/books_internal.h"
#include "util/causes.h"

#include <stdio.h>

static void read_record(struct arena *a, const struct rowset *r, int row, struct table_record *t)
{
    const char *ri = rowset_get(r, row, 13);

    t->table = arena_calloc(a, 1, sizeof(*t->table));
    t->table->oid = (uint32_t)books_int(rowset_get(r, row, 0));
    t->table->schema = rowset_get(r, row, 1);
    t->table->name = rowset_get(r, row, 2);
    t->table->topic = rowset_get(r, row, 3);
    t->target_schema = rowset_get(r, row, 4);
    t->target_name = rowset_get(r, row, 5);
    if (!table_state_parse(rowset_get(r, row, 6), &t->state))
        t->state = TABLE_NEEDS_SNAPSHOT;
    t->reason = rowset_get(r, row, 7);
    t->load = books_int(rowset_get(r, row, 8));
    t->loaded = books_bool(rowset_get(r, row, 9));
    t->s = books_int(rowset_get(r, row, 10));
    t->rows = books_int(rowset_get(r, row, 11));
    t->table->relfilenode = (uint32_t)books_int(rowset_get(r, row, 12));
    t->table->replica_identity = ri != NULL ? ri[0] : 0;
    t->value_id = (uint32_t)books_int(rowset_get(r, row, 14));
    t->value_schema = rowset_get(r, row, 15);
    t->key_id = (uint32_t)books_int(rowset_get(r, row, 16));
    t->key_schema = rowset_get(r, row, 17);
    t->spool_bytes = books_int(rowset_get(r, row, 18));
    t->spool_applied = books_int(rowset_get(r, row, 19));
    t->in_place = books_bool(rowset_get(r, row, 20));
    t->table->natts = (int)books_int(rowset_get(r, row, 21));
    t->table->leaves = rowset_get(r, row, 22);
    t->table->est_rows = t->table->est_bytes = -1;
}

bool books_tables_read(struct books *b, struct arena *a, struct table_record **out, int *n,
                       struct error *err)
{
    struct buf sql = {0};
    struct rowset r;
    bool ok;
    int i;

    buf_puts(&sql,
             "SELECT source_id, source_schema, source_table, topic, target_schema, target_table, "
             "state, reason, load, CAST(loaded AS text), snapshot_csn, "
             "\"rows\", relfilenode, replica_identity, value_schema_id, value_schema, "
             "key_schema_id, key_schema, spool_bytes, spool_applied, CAST(in_place AS text), "
             "attributes, leaves FROM penstock.tables");
    books_where(&sql, b);
    buf_puts(&sql, " ORDER BY source_id, load");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    buf_free(&sql);
    if (!ok)
        return false;
    *n = r.nrows;
    *out = arena_calloc(a, (size_t)r.nrows, sizeof(**out));
    for (i = 0; i < r.nrows; i++)
        read_record(a, &r, i, &(*out)[i]);
    return books_columns_read(b, a, *out, *n, err);
}

static bool delete_of_table(struct books *b, const char *table, uint32_t oid, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql, "DELETE FROM penstock.%s", table);
    books_where_table(&sql, b, oid);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

static bool delete_of_load(struct books *b, const char *table, uint32_t oid, int64_t load,
                           struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql, "DELETE FROM penstock.%s", table);
    books_where_load(&sql, b, oid, load);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

static bool delete_of_others(struct books *b, const char *table, uint32_t oid, int64_t load,
                             struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql, "DELETE FROM penstock.%s", table);
    books_where_table(&sql, b, oid);
    buf_printf(&sql, " AND load <> %lld", (long long)load);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

static bool put_row(struct books *b, const struct table_record *t, struct error *err)
{
    struct buf sql = {0};
    const char ri[2] = {t->table->replica_identity ? t->table->replica_identity : 'd', '\0'};
    bool ok;

    buf_puts(&sql, "INSERT INTO penstock.tables (connector, source, source_id, source_schema, "
                   "source_table, topic, target_schema, target_table, state, reason, "
                   "load, loaded, snapshot_csn, \"rows\", relfilenode, replica_identity, "
                   "spool_bytes, spool_applied, in_place, attributes, leaves, value_schema_id, "
                   "value_schema, "
                   "key_schema_id, key_schema, updated_at) VALUES (");
    books_owner_values(&sql, b, t->table->oid);
    books_put_string(&sql, t->table->schema);
    books_put_string(&sql, t->table->name);
    books_put_string(&sql, t->table->topic ? t->table->topic : "");
    books_put_string(&sql, t->target_schema);
    books_put_string(&sql, t->target_name);
    books_put_string(&sql, table_state_name(t->state));
    books_put_string(&sql, t->reason);
    buf_printf(&sql, ", %lld, %s, %lld, %lld, %u", (long long)t->load, t->loaded ? "true" : "false",
               (long long)t->s, (long long)t->rows, t->table->relfilenode);
    books_put_string(&sql, ri);
    buf_printf(&sql, ", %lld, %lld, %s, %d", (long long)t->spool_bytes, (long long)t->spool_applied,
               t->in_place ? "true" : "false", t->table->natts);
    books_put_string(&sql, t->table->leaves);
    buf_printf(&sql, ", %u", t->value_id);
    books_put_string(&sql, t->value_schema);
    buf_printf(&sql, ", %u", t->key_id);
    books_put_string(&sql, t->key_schema);
    buf_puts(&sql, ", now())");
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

bool books_table_put(struct books *b, const struct table_record *t, struct error *err)
{
    return delete_of_load(b, "tables", t->table->oid, t->load, err) &&
           delete_of_load(b, "columns", t->table->oid, t->load, err) && put_row(b, t, err) &&
           books_columns_put(b, t, err);
}

bool books_table_remove(struct books *b, uint32_t oid, struct error *err)
{
    return delete_of_table(b, "tables", oid, err) && delete_of_table(b, "columns", oid, err) &&
           delete_of_table(b, "snapshot_chunks", oid, err) &&
           delete_of_table(b, "wanted", oid, err);
}

bool books_load_remove(struct books *b, uint32_t oid, int64_t load, struct error *err)
{
    return delete_of_load(b, "tables", oid, load, err) &&
           delete_of_load(b, "columns", oid, load, err) &&
           delete_of_load(b, "snapshot_chunks", oid, load, err);
}

bool books_loads_of(struct books *b, struct arena *a, uint32_t oid, int64_t **loads, int *n,
                    struct error *err)
{
    struct buf sql = {0};
    struct rowset r;
    bool ok;
    int i;

    buf_puts(&sql, "SELECT load FROM penstock.tables");
    books_where_table(&sql, b, oid);
    buf_puts(&sql, " ORDER BY load");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    buf_free(&sql);
    *n = ok ? r.nrows : 0;
    *loads = arena_calloc(a, (size_t)*n + 1, sizeof(**loads));
    for (i = 0; i < *n; i++)
        (*loads)[i] = books_int(rowset_get(&r, i, 0));
    return ok;
}

bool books_load_abandon(struct books *b, uint32_t oid, int64_t load, struct error *err)
{
    struct buf sql = {0};
    int64_t n = 0;
    bool ok;

    buf_puts(&sql, "DELETE FROM penstock.tables");
    books_where_load(&sql, b, oid, load);
    buf_puts(&sql, " AND state <> 'live'");
    ok = books_exec(b, &sql, &n, err);
    buf_free(&sql);
    return ok && (n == 0 || (delete_of_load(b, "columns", oid, load, err) &&
                             delete_of_load(b, "snapshot_chunks", oid, load, err)));
}

/* Ends an UPDATE of the load's row; ERROR_CONFLICT if there is none. */
static bool update_load(struct books *b, struct buf *sql, uint32_t oid, int64_t load,
                        struct error *err)
{
    int64_t n = 0;

    books_where_load(sql, b, oid, load);
    if (!books_exec(b, sql, &n, err))
        return false;
    if (n == 1)
        return true;
    return error_cause(err, CAUSE_LOAD_TAKEN, "load %lld of table %u is not ours any more",
                       (long long)load, oid);
}

bool books_table_state(struct books *b, uint32_t oid, int64_t load, enum table_state state,
                       const char *reason, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "UPDATE penstock.tables SET updated_at = now(), state = ");
    buf_sql_string(&sql, table_state_name(state));
    buf_puts(&sql, state == TABLE_LIVE ? "" : ", loaded = false");
    buf_puts(&sql, ", reason = ");
    books_string_or_null(&sql, reason);
    books_where_load(&sql, b, oid, load);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

static bool own_target(struct books *b, uint32_t oid, int64_t load, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "INSERT INTO penstock.targets SELECT connector, source, target_schema, "
                   "target_table FROM penstock.tables t");
    books_where_load(&sql, b, oid, load);
    buf_puts(&sql, " AND NOT EXISTS (SELECT 1 FROM penstock.targets o WHERE o.connector = "
                   "t.connector AND o.source = t.source AND o.target_schema = t.target_schema AND "
                   "o.target_table = t.target_table)");
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

bool books_table_live(struct books *b, uint32_t oid, int64_t load, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "UPDATE penstock.tables SET state = 'live', reason = NULL, in_place = false, "
                   "spool_bytes = 0, spool_applied = 0, updated_at = now()");
    ok = update_load(b, &sql, oid, load, err) && own_target(b, oid, load, err) &&
         delete_of_others(b, "tables", oid, load, err) &&
         delete_of_others(b, "columns", oid, load, err) &&
         delete_of_table(b, "snapshot_chunks", oid, err);
    buf_free(&sql);
    return ok;
}

bool books_table_loaded(struct books *b, uint32_t oid, int64_t load, int64_t rows,
                        struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql,
               "UPDATE penstock.tables SET loaded = true, \"rows\" = %lld, "
               "updated_at = now()",
               (long long)rows);
    ok = update_load(b, &sql, oid, load, err);
    buf_free(&sql);
    return ok;
}

bool books_table_add_rows(struct books *b, uint32_t oid, int64_t load, int64_t delta,
                          bool truncated, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql, "UPDATE penstock.tables SET \"rows\" = %s%lld", truncated ? "" : "\"rows\" + ",
               (long long)delta);
    books_where_load(&sql, b, oid, load);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

bool books_spool(struct books *b, uint32_t oid, int64_t load, int64_t spool_bytes,
                 int64_t spool_applied, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "UPDATE penstock.tables SET updated_at = now()");
    if (spool_bytes != -1)
        buf_printf(&sql, ", spool_bytes = %lld", (long long)spool_bytes);
    if (spool_applied != -1)
        buf_printf(&sql, ", spool_applied = %lld", (long long)spool_applied);
    ok = update_load(b, &sql, oid, load, err);
    buf_free(&sql);
    return ok;
}

bool books_target_exists(struct books *b, const char *schema, const char *name, bool *exists,
                         bool *owned_by_other, bool *owned_by_us, struct error *err)
{
    struct arena *a = arena_new("target");
    bool folds = b->ops->dialect->case_folds;
    const char *eq = folds ? "lower(%s) = lower(" : "%s = (";
    struct buf sql = {0};
    struct rowset r;
    bool ok;
    int i;

    buf_puts(&sql, "SELECT 1 FROM information_schema.tables WHERE ");
    buf_printf(&sql, eq, "table_schema");
    buf_sql_string(&sql, schema);
    buf_puts(&sql, ") AND ");
    buf_printf(&sql, eq, "table_name");
    buf_sql_string(&sql, name);
    buf_puts(&sql, ")");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    *exists = ok && r.nrows > 0;
    *owned_by_other = *owned_by_us = false;
    if (ok) {
        buf_reset(&sql);
        buf_puts(&sql, "SELECT connector, source FROM penstock.targets WHERE ");
        buf_printf(&sql, eq, "target_schema");
        buf_sql_string(&sql, schema);
        buf_puts(&sql, ") AND ");
        buf_printf(&sql, eq, "target_table");
        buf_sql_string(&sql, name);
        buf_puts(&sql, ")");
        ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
        for (i = 0; ok && i < r.nrows; i++) {
            if (strcmp(rowset_get(&r, i, 0), b->connector) == 0 &&
                strcmp(rowset_get(&r, i, 1), b->source) == 0)
                *owned_by_us = true;
            else
                *owned_by_other = *exists; /* else dropped since then */
        }
    }
    buf_free(&sql);
    arena_free(a);
    return ok;
}

bool books_table_leaves(struct books *b, uint32_t oid, int64_t load, const char *leaves,
                        struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "UPDATE penstock.tables SET leaves = ");
    books_string_or_null(&sql, leaves);
    books_where(&sql, b);
    buf_printf(&sql, " AND source_id = %u AND load = %lld", oid, (long long)load);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}
