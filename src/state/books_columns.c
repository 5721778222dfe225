/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock.columns: the columns of one load of a table as they were when its copy was made or when
 * it was last altered, with their names in the warehouse. Columns of dropped source columns, which
 * the target still has, are rows of the same table that say so, behind the others.
 */
#include "state/books_internal.h"

#define FIRST_KEPT 10000 /* ordinal; no source has a table of that many columns */

enum cell {
    C_OID,
    C_LOAD,
    C_ATTNUM,
    C_NAME,
    C_FIELD,
    C_TYPE,
    C_TYPMOD,
    C_SOURCE_TYPE,
    C_KIND,
    C_DIGITS,
    C_SCALE,
    C_NULLABLE,
    C_KEY_POSITION,
    C_IN_IDENTITY,
    C_SEMANTIC,
    C_ALLOWED,
    C_DEFAULT,
    C_TARGET_NAME,
    C_DROPPED,
    C_ALIASES
};

static bool read_column(const struct rowset *r, int row, struct column *c, struct error *err)
{
    c->attnum = (int)books_int(rowset_get(r, row, C_ATTNUM));
    c->name = rowset_get(r, row, C_NAME);
    c->field = rowset_get(r, row, C_FIELD);
    c->type_oid = (uint32_t)books_int(rowset_get(r, row, C_TYPE));
    c->typmod = (int32_t)books_int(rowset_get(r, row, C_TYPMOD));
    c->source_type = rowset_get(r, row, C_SOURCE_TYPE);
    c->kind = type_kind_parse(rowset_get(r, row, C_KIND));
    c->precision = (int)books_int(rowset_get(r, row, C_DIGITS));
    c->scale = (int)books_int(rowset_get(r, row, C_SCALE));
    c->nullable = books_bool(rowset_get(r, row, C_NULLABLE));
    c->key_pos = (int)books_int(rowset_get(r, row, C_KEY_POSITION));
    c->identity = books_bool(rowset_get(r, row, C_IN_IDENTITY));
    c->semantic = rowset_get(r, row, C_SEMANTIC);
    c->allowed = rowset_get(r, row, C_ALLOWED);
    c->def = rowset_get(r, row, C_DEFAULT);
    c->aliases = rowset_get(r, row, C_ALIASES);
    if (c->kind == TYPE_COUNT)
        return error_set(err, ERROR_FATAL, "penstock.columns: unknown kind of column %s", c->name);
    return true;
}

/* Before, at or behind the columns of the record. */
static int compare(const struct rowset *r, int row, const struct table_record *rec)
{
    int64_t oid = books_int(rowset_get(r, row, C_OID));
    int64_t load = books_int(rowset_get(r, row, C_LOAD));

    if (oid != rec->table->oid)
        return oid < rec->table->oid ? -1 : 1;
    return load < rec->load ? -1 : load > rec->load;
}

/* Their names in the warehouse: all are known, or none is. */
static bool read_names(struct arena *a, const struct rowset *r, int row, struct table_record *rec,
                       struct error *err)
{
    int n = rec->table->ncols;
    int known = 0, i;

    for (i = 0; i < n; i++)
        known += rowset_get(r, row + i, C_TARGET_NAME) != NULL;
    if (known != n)
        return known == 0 ||
               error_set(err, ERROR_FATAL, "penstock.columns: columns of %s.%s without target_name",
                         rec->table->schema, rec->table->name);
    if (n == 0 && rec->nkept == 0)
        return true;
    rec->names = arena_calloc(a, (size_t)n, sizeof(*rec->names));
    for (i = 0; i < n; i++)
        rec->names[i] = rowset_get(r, row + i, C_TARGET_NAME);
    return true;
}

/* Rows first to end are the record's, kept ones last. */
static bool read_record(struct arena *a, const struct rowset *r, int first, int end,
                        struct table_record *rec, struct error *err)
{
    struct table *t = rec->table;
    int i;

    while (first + t->ncols < end && !books_bool(rowset_get(r, first + t->ncols, C_DROPPED)))
        t->ncols++;
    t->cols = arena_calloc(a, (size_t)t->ncols, sizeof(*t->cols));
    for (i = 0; i < t->ncols; i++) {
        if (!read_column(r, first + i, &t->cols[i], err))
            return false;
    }
    table_index_keys(a, t);
    rec->nkept = end - first - t->ncols;
    rec->kept = arena_calloc(a, (size_t)rec->nkept, sizeof(*rec->kept));
    for (i = 0; i < rec->nkept; i++) {
        rec->kept[i].name = rowset_get(r, first + t->ncols + i, C_NAME);
        rec->kept[i].number = (int)books_int(rowset_get(r, first + t->ncols + i, C_ATTNUM));
    }
    return read_names(a, r, first, rec, err);
}

bool books_columns_read(struct books *b, struct arena *a, struct table_record *recs, int n,
                        struct error *err)
{
    struct buf sql = {0};
    struct rowset r;
    int i, row = 0;
    bool ok;

    buf_puts(&sql,
             "SELECT source_id, load, attnum, name, field, type_id, typmod, source_type, kind, "
             "digits, scale, CAST(nullable AS text), key_position, CAST(in_identity AS text), "
             "semantic, allowed, default_json, target_name, CAST(dropped AS text), "
             "aliases FROM penstock.columns");
    books_where(&sql, b);
    buf_puts(&sql, " ORDER BY source_id, load, ordinal");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    buf_free(&sql);
    /* Both answers are ordered by source_id and load. */
    for (i = 0; ok && i < n; i++) {
        int first;

        while (row < r.nrows && compare(&r, row, &recs[i]) < 0)
            row++;
        first = row;
        while (row < r.nrows && compare(&r, row, &recs[i]) == 0)
            row++;
        ok = read_record(a, &r, first, row, &recs[i], err);
    }
    return ok;
}

static void put_column(struct buf *sql, const struct books *b, const struct table_record *t,
                       int ordinal, const struct column *c, const char *target_name, bool dropped)
{
    buf_puts(sql, "(");
    books_owner_values(sql, b, t->table->oid);
    buf_printf(sql, ", %lld, %d, %d", (long long)t->load, ordinal, c->attnum);
    books_put_string(sql, c->name);
    books_put_string(sql, c->field);
    buf_printf(sql, ", %u, %d", c->type_oid, c->typmod);
    books_put_string(sql, c->source_type);
    books_put_string(sql, type_kind_name(c->kind));
    buf_printf(sql, ", %d, %d, %s, %d, %s", c->precision, c->scale, c->nullable ? "true" : "false",
               c->key_pos, c->identity ? "true" : "false");
    books_put_string(sql, c->semantic);
    books_put_string(sql, c->allowed);
    books_put_string(sql, c->def);
    books_put_string(sql, target_name);
    buf_puts(sql, dropped ? ", true" : ", false");
    books_put_string(sql, c->aliases);
    buf_puts(sql, ")");
}

static void put_kept(struct buf *sql, const struct books *b, const struct table_record *t, int i)
{
    const struct column c = {.name = t->kept[i].name,
                             .field = "",
                             .source_type = "",
                             .kind = TYPE_TEXT,
                             .typmod = -1,
                             .nullable = true,
                             .attnum = t->kept[i].number};

    put_column(sql, b, t, FIRST_KEPT + i, &c, c.name, true);
}

bool books_columns_put(struct books *b, const struct table_record *t, struct error *err)
{
    struct buf sql = {0};
    bool ok;
    int i;

    if (t->table->ncols + t->nkept == 0)
        return true;
    buf_puts(&sql, "INSERT INTO penstock.columns (connector, source, source_id, load, ordinal, "
                   "attnum, name, field, type_id, typmod, source_type, kind, digits, scale, "
                   "nullable, key_position, in_identity, semantic, allowed, default_json, "
                   "target_name, dropped, aliases) VALUES ");
    for (i = 0; i < t->table->ncols; i++) {
        buf_puts(&sql, i > 0 ? ", " : "");
        put_column(&sql, b, t, i, &t->table->cols[i], t->names ? t->names[i] : NULL, false);
    }
    for (i = 0; i < t->nkept; i++) {
        buf_puts(&sql, t->table->ncols + i > 0 ? ", " : "");
        put_kept(&sql, b, t, i);
    }
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}
