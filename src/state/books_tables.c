/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock.tables, columns and snapshot_chunks: what is known of each source table, so that a
 * restart decodes the log with the columns as they were when the copy was made, not as the
 * catalogue has them now.
 */
#include "state/books.h"

#include "state/books_internal.h"
#include "util/causes.h"

#include <stdio.h>
#include <stdlib.h>

static void where_table(struct buf *sql, const struct books *b, uint32_t oid)
{
    books_where(sql, b);
    buf_printf(sql, " AND source_id = %u", oid);
}

static int64_t to_int(const char *s)
{
    return s == NULL ? 0 : strtoll(s, NULL, 10);
}

static bool to_bool(const char *s)
{
    return s != NULL && s[0] == 't';
}

static void read_column(struct arena *a, const struct rowset *r, int row, struct column *c)
{
    c->attnum = (int)to_int(rowset_get(r, row, 1));
    c->name = rowset_get(r, row, 2);
    c->field = rowset_get(r, row, 3);
    c->type_oid = (uint32_t)to_int(rowset_get(r, row, 4));
    c->typmod = (int32_t)to_int(rowset_get(r, row, 5));
    c->source_type = rowset_get(r, row, 6);
    c->kind = type_kind_parse(rowset_get(r, row, 7));
    c->precision = (int)to_int(rowset_get(r, row, 8));
    c->scale = (int)to_int(rowset_get(r, row, 9));
    c->nullable = to_bool(rowset_get(r, row, 10));
    c->key_pos = (int)to_int(rowset_get(r, row, 11));
    c->identity = to_bool(rowset_get(r, row, 12));
    c->semantic = rowset_get(r, row, 13);
    c->allowed = rowset_get(r, row, 14);
    c->def = rowset_get(r, row, 15);
    (void)a;
}

static bool read_columns(struct books *b, struct arena *a, struct table_record *recs, int n,
                         struct error *err)
{
    struct buf sql = {0};
    struct rowset r;
    int i, row = 0;
    bool ok;

    buf_puts(&sql,
             "SELECT source_id, attnum, name, field, type_id, typmod, source_type, kind, "
             "digits, scale, CAST(nullable AS text), key_position, CAST(in_identity AS text), "
             "semantic, allowed, default_json FROM penstock.columns");
    books_where(&sql, b);
    buf_puts(&sql, " ORDER BY source_id, ordinal");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    buf_free(&sql);
    if (!ok)
        return false;
    /* Both answers are ordered by source_id. */
    for (i = 0; i < n; i++) {
        struct table *t = recs[i].table;
        int first;

        while (row < r.nrows && (uint32_t)to_int(rowset_get(&r, row, 0)) < t->oid)
            row++;
        first = row;
        while (row < r.nrows && (uint32_t)to_int(rowset_get(&r, row, 0)) == t->oid)
            row++;
        t->ncols = row - first;
        t->cols = arena_calloc(a, (size_t)t->ncols, sizeof(*t->cols));
        for (int c = 0; c < t->ncols; c++) {
            read_column(a, &r, first + c, &t->cols[c]);
            if (t->cols[c].kind == TYPE_COUNT)
                return error_cause(err, CAUSE_BOOKS_UNREADABLE,
                                   "penstock.columns: unknown kind of column %s", t->cols[c].name);
        }
        table_index_keys(a, t);
    }
    return true;
}

static void read_record(struct arena *a, const struct rowset *r, int row, struct table_record *t)
{
    const char *ri = rowset_get(r, row, 13);

    t->table = arena_calloc(a, 1, sizeof(*t->table));
    t->table->oid = (uint32_t)to_int(rowset_get(r, row, 0));
    t->table->schema = rowset_get(r, row, 1);
    t->table->name = rowset_get(r, row, 2);
    t->table->topic = rowset_get(r, row, 3);
    t->target_schema = rowset_get(r, row, 4);
    t->target_name = rowset_get(r, row, 5);
    if (!table_state_parse(rowset_get(r, row, 6), &t->state))
        t->state = TABLE_NEEDS_SNAPSHOT;
    t->reason = rowset_get(r, row, 7);
    t->load = to_int(rowset_get(r, row, 8));
    t->loaded = to_bool(rowset_get(r, row, 9));
    t->s = to_int(rowset_get(r, row, 10));
    t->rows = to_int(rowset_get(r, row, 11));
    t->table->relfilenode = (uint32_t)to_int(rowset_get(r, row, 12));
    t->table->replica_identity = ri != NULL ? ri[0] : 0;
    t->value_id = (uint32_t)to_int(rowset_get(r, row, 14));
    t->value_schema = rowset_get(r, row, 15);
    t->key_id = (uint32_t)to_int(rowset_get(r, row, 16));
    t->key_schema = rowset_get(r, row, 17);
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
             "key_schema_id, key_schema FROM penstock.tables");
    books_where(&sql, b);
    buf_puts(&sql, " ORDER BY source_id");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    buf_free(&sql);
    if (!ok)
        return false;
    *n = r.nrows;
    *out = arena_calloc(a, (size_t)r.nrows, sizeof(**out));
    for (i = 0; i < r.nrows; i++)
        read_record(a, &r, i, &(*out)[i]);
    return read_columns(b, a, *out, *n, err);
}

static bool delete_table(struct books *b, const char *table, uint32_t oid, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql, "DELETE FROM penstock.%s", table);
    where_table(&sql, b, oid);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

static void put_string(struct buf *sql, const char *s)
{
    buf_puts(sql, ", ");
    books_string_or_null(sql, s);
}

static void owner_values(struct buf *sql, const struct books *b, uint32_t oid)
{
    buf_sql_string(sql, b->connector);
    buf_puts(sql, ", ");
    buf_sql_string(sql, b->source);
    buf_printf(sql, ", %u", oid);
}

static bool put_row(struct books *b, const struct table_record *t, struct error *err)
{
    struct buf sql = {0};
    const char ri[2] = {t->table->replica_identity ? t->table->replica_identity : 'd', '\0'};
    bool ok;

    buf_puts(&sql, "INSERT INTO penstock.tables (connector, source, source_id, source_schema, "
                   "source_table, topic, target_schema, target_table, state, reason, "
                   "load, loaded, snapshot_csn, \"rows\", relfilenode, replica_identity, "
                   "spool_bytes, value_schema_id, value_schema, key_schema_id, key_schema, "
                   "updated_at) VALUES (");
    owner_values(&sql, b, t->table->oid);
    put_string(&sql, t->table->schema);
    put_string(&sql, t->table->name);
    put_string(&sql, t->table->topic ? t->table->topic : "");
    put_string(&sql, t->target_schema);
    put_string(&sql, t->target_name);
    put_string(&sql, table_state_name(t->state));
    put_string(&sql, t->reason);
    buf_printf(&sql, ", %lld, %s, %lld, %lld, %u", (long long)t->load, t->loaded ? "true" : "false",
               (long long)t->s, (long long)t->rows, t->table->relfilenode);
    put_string(&sql, ri);
    buf_printf(&sql, ", 0, %u", t->value_id);
    put_string(&sql, t->value_schema);
    buf_printf(&sql, ", %u", t->key_id);
    put_string(&sql, t->key_schema);
    buf_puts(&sql, ", now())");
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

static bool put_columns(struct books *b, const struct table *t, struct error *err)
{
    struct buf sql = {0};
    bool ok = true;
    int i;

    if (t->ncols == 0)
        return true;
    buf_puts(&sql, "INSERT INTO penstock.columns (connector, source, source_id, ordinal, attnum, "
                   "name, field, type_id, typmod, source_type, kind, digits, scale, nullable, "
                   "key_position, in_identity, semantic, allowed, default_json) VALUES ");
    for (i = 0; i < t->ncols; i++) {
        const struct column *c = &t->cols[i];

        buf_puts(&sql, i > 0 ? ", (" : "(");
        owner_values(&sql, b, t->oid);
        buf_printf(&sql, ", %d, %d", i, c->attnum);
        put_string(&sql, c->name);
        put_string(&sql, c->field);
        buf_printf(&sql, ", %u, %d", c->type_oid, c->typmod);
        put_string(&sql, c->source_type);
        put_string(&sql, type_kind_name(c->kind));
        buf_printf(&sql, ", %d, %d, %s, %d, %s", c->precision, c->scale,
                   c->nullable ? "true" : "false", c->key_pos, c->identity ? "true" : "false");
        put_string(&sql, c->semantic);
        put_string(&sql, c->allowed);
        put_string(&sql, c->def);
        buf_puts(&sql, ")");
    }
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

bool books_table_put(struct books *b, const struct table_record *t, struct error *err)
{
    return books_table_remove(b, t->table->oid, err) && put_row(b, t, err) &&
           put_columns(b, t->table, err);
}

bool books_table_remove(struct books *b, uint32_t oid, struct error *err)
{
    return delete_table(b, "tables", oid, err) && delete_table(b, "columns", oid, err) &&
           delete_table(b, "snapshot_chunks", oid, err);
}

bool books_table_state(struct books *b, uint32_t oid, enum table_state state, const char *reason,
                       struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "UPDATE penstock.tables SET loaded = false, updated_at = now(), state = ");
    buf_sql_string(&sql, table_state_name(state));
    buf_puts(&sql, ", reason = ");
    books_string_or_null(&sql, reason);
    where_table(&sql, b, oid);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

static bool own_target(struct books *b, uint32_t oid, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "INSERT INTO penstock.targets SELECT connector, source, target_schema, "
                   "target_table FROM penstock.tables t");
    where_table(&sql, b, oid);
    buf_puts(&sql, " AND NOT EXISTS (SELECT 1 FROM penstock.targets o WHERE o.connector = "
                   "t.connector AND o.source = t.source AND o.target_schema = t.target_schema AND "
                   "o.target_table = t.target_table)");
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

bool books_table_live(struct books *b, uint32_t oid, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "UPDATE penstock.tables SET state = 'live', reason = NULL, updated_at = now()");
    where_table(&sql, b, oid);
    ok = books_exec(b, &sql, NULL, err) && own_target(b, oid, err);
    buf_free(&sql);
    return ok;
}

bool books_table_loaded(struct books *b, uint32_t oid, int64_t load, int64_t rows,
                        struct error *err)
{
    struct buf sql = {0};
    int64_t n = 0;
    bool ok;

    buf_printf(&sql,
               "UPDATE penstock.tables SET loaded = true, \"rows\" = %lld, "
               "updated_at = now()",
               (long long)rows);
    where_table(&sql, b, oid);
    buf_printf(&sql, " AND load = %lld", (long long)load);
    ok = books_exec(b, &sql, &n, err);
    if (ok && n != 1)
        ok = error_cause(err, CAUSE_LOAD_TAKEN, "load %lld of a table is not ours any more",
                         (long long)load);
    buf_free(&sql);
    return ok;
}

bool books_table_add_rows(struct books *b, uint32_t oid, int64_t delta, bool truncated,
                          struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql, "UPDATE penstock.tables SET \"rows\" = %s%lld", truncated ? "" : "\"rows\" + ",
               (long long)delta);
    where_table(&sql, b, oid);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

bool books_next_load(struct books *b, int64_t *load, struct error *err)
{
    struct arena *a = arena_new("load number");
    struct rowset r;
    /* The row of meta is the lock: two connectors must not take one number. */
    bool ok = b->ops->exec(b->session, "UPDATE penstock.meta SET version = version", NULL, err) &&
              b->ops->query(b->session, a, "SELECT coalesce(max(load), 0) + 1 FROM penstock.tables",
                            &r, err);

    *load = ok ? to_int(rowset_get(&r, 0, 0)) : 0;
    arena_free(a);
    return ok;
}

bool books_load_lock(struct books *b, uint32_t oid, int64_t load, struct error *err)
{
    struct arena *a = arena_new("load lock");
    const char *share = b->ops->dialect->lock_share;
    struct buf sql = {0};
    struct rowset r;
    bool ok;

    buf_puts(&sql, "SELECT 1 FROM penstock.tables");
    where_table(&sql, b, oid);
    buf_printf(&sql, " AND load = %lld%s", (long long)load, share ? share : "");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    if (ok && r.nrows != 1) {
        ok = error_cause(err, CAUSE_LOAD_TAKEN,
                         "load %lld of table %u was replaced by another process", (long long)load,
                         oid);
    }
    buf_free(&sql);
    arena_free(a);
    return ok;
}

bool books_chunk_add(struct books *b, uint32_t oid, int64_t load, int chunk, int64_t rows,
                     struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "INSERT INTO penstock.snapshot_chunks (connector, source, source_id, load, "
                   "chunk, \"rows\") VALUES (");
    owner_values(&sql, b, oid);
    buf_printf(&sql, ", %lld, %d, %lld)", (long long)load, chunk, (long long)rows);
    ok = books_exec(b, &sql, NULL, err);
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
