/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads rows by key in one short transaction under the point's snapshot, with the locks and checks
 * of snapshot.c. Keys travel as literals of the text that the server itself prints for the value,
 * cast to the column's type without its modifier (nothing is cut off or rounded), and are compared
 * by the type's own equality, named with its schema, since the search path is empty: a condition
 * that a key's index answers.
 *
 * A partitioned table is read through its root, for one question instead of one a leaf. The plan
 * is made for the partitions of now: they must be those of the point, before and after, and none
 * of them rewritten. (Our lock keeps partitions from leaving, not from being attached.)
 *
 * Text that is not the value's own: the names that reg* types print stand for whatever has that
 * name at the moment; such keys are refused. A "char" with its high bit set goes by its number.
 */
#include "source_postgres/snapshot_internal.h"

#include "load/text.h"
#include "util/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_PER_STATEMENT 256
#define OID_CHAR 18 /* pg_type.dat; in no release another */

/* How a key column is compared. */
struct comparison {
    char *equals; /* schema.operator, quoted where it must be */
    char *type;   /* for casts */
    bool is_char; /* "char" */
};

struct keys_reading {
    struct source_reader *r;
    const struct table *t;
    bool partitioned;
    struct buf name;          /* of now, quoted */
    struct comparison *types; /* t->nkeys */
    source_row_fn *row;       /* the caller's */
    void *ctx;
    bool row_failed;
};

/* The table's name now, for what looks names up as of now. */
static bool look_up(struct keys_reading *k, struct error *err)
{
    char sql[200];
    PGresult *res;
    bool found;

    snprintf(sql, sizeof(sql),
             "SELECT %u::regclass, relkind = 'p' FROM pg_catalog.pg_class WHERE oid = %u AND "
             "pg_catalog.pg_table_is_visible(oid) IS NOT NULL",
             k->t->oid, k->t->oid);
    if (!pg_query(k->r->conn, "looking up the table", sql, &res, err))
        return false;
    found = PQntuples(res) == 1;
    if (found) {
        buf_puts(&k->name, PQgetvalue(res, 0, 0));
        k->partitioned = pg_bool(res, 0, 1);
    }
    PQclear(res);
    return found || snapshot_rewritten(k->t, "dropped", err);
}

/* pg_inherits is read under the snapshot; pg_partition_tree and pg_relation_filenode look at now.
 * A partition whose DETACH CONCURRENTLY was under way at the point is none to either. */
static bool check_partitions(struct keys_reading *k, struct error *err)
{
    struct buf sql = {0};
    bool same_name, same_leaves, same_files;
    PGresult *res;

    buf_printf(&sql,
               "WITH RECURSIVE was(oid) AS (SELECT %u::oid UNION ALL SELECT i.inhrelid FROM "
               "pg_catalog.pg_inherits i JOIN was ON was.oid = i.inhparent WHERE NOT "
               "i.inhdetachpending) SELECT %u::regclass::text = ",
               k->t->oid, k->t->oid);
    buf_sql_string(&sql, buf_cstr(&k->name));
    buf_printf(&sql,
               ", array_agg(was.oid ORDER BY was.oid) = (SELECT array_agg(relid::oid ORDER BY "
               "relid::oid) FROM pg_catalog.pg_partition_tree(%u)), "
               "bool_and(coalesce(pg_catalog.pg_relation_filenode(was.oid), 0) = c.relfilenode) "
               "FROM was JOIN pg_catalog.pg_class c USING (oid)",
               k->t->oid);
    if (!pg_query(k->r->conn, "checking the partitions", buf_cstr(&sql), &res, err)) {
        buf_free(&sql);
        return false;
    }
    buf_free(&sql);
    same_name = pg_bool(res, 0, 0);
    same_leaves = pg_bool(res, 0, 1);
    same_files = pg_bool(res, 0, 2);
    PQclear(res);
    if (!same_name)
        return snapshot_rewritten(k->t, "renamed", err);
    if (!same_leaves)
        return snapshot_rewritten(k->t, "given other partitions", err);
    return same_files || snapshot_rewritten(k->t, "rewritten", err);
}

static bool check_rows(struct keys_reading *k, struct error *err)
{
    if (k->partitioned)
        return check_partitions(k, err);
    return snapshot_check_file(k->r, k->t, k->t->oid, buf_cstr(&k->name), err);
}

/* Columns of the query below. */
enum { C_EQUALS, C_TYPE, C_IS_NAME };

/*
 * The equality of the type's default btree operator class, if it has one of its own; else that of
 * pg_catalog, which serves arrays, enums, ranges and types that are another's binary equal.
 */
static bool query_comparisons(struct keys_reading *k, PGresult **res, struct error *err)
{
    struct buf sql = {0};
    bool ok;
    int i;

    buf_puts(&sql,
             "SELECT coalesce((SELECT format('%I.%s', n.nspname, o.oprname) FROM "
             "pg_catalog.pg_opclass c JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname "
             "= 'btree' JOIN pg_catalog.pg_amop a ON a.amopfamily = c.opcfamily AND a.amoplefttype "
             "= c.opcintype AND a.amoprighttype = c.opcintype AND a.amopstrategy = 3 JOIN "
             "pg_catalog.pg_operator o ON o.oid = a.amopopr JOIN pg_catalog.pg_namespace n ON "
             "n.oid = o.oprnamespace WHERE c.opcdefault AND c.opcintype = y.oid LIMIT 1), "
             "'pg_catalog.='), pg_catalog.format_type(y.oid, -1), y.typname ~ '^_?reg' AND "
             "y.typnamespace = 11 FROM unnest('{");
    for (i = 0; i < k->t->nkeys; i++)
        buf_printf(&sql, "%s%u", i > 0 ? "," : "", k->r->types[k->t->keys[i]]);
    buf_puts(&sql, "}'::oid[]) WITH ORDINALITY AS u(oid, i) JOIN pg_catalog.pg_type y ON y.oid = "
                   "u.oid ORDER BY u.i");
    ok = pg_query(k->r->conn, "looking up the key's types", buf_cstr(&sql), res, err);
    buf_free(&sql);
    return ok;
}

static bool not_by_key(const struct keys_reading *k, int key, const char *why, struct error *err)
{
    const struct column *c = &k->t->cols[k->t->keys[key]];

    error_set(err, ERROR_DATA, "rows cannot be looked up by key column %s (%s): %s", c->name,
              c->source_type != NULL ? c->source_type : type_kind_name(c->kind), why);
    if (err != NULL)
        err->reload = true;
    return error_hint(err, "the table must be loaded again");
}

static bool read_comparisons(struct keys_reading *k, struct error *err)
{
    const struct table *t = k->t;
    PGresult *res;
    bool ok = true;
    int i;

    if (!query_comparisons(k, &res, err))
        return false;
    if (PQntuples(res) != t->nkeys) {
        PQclear(res);
        return snapshot_rewritten(t, "altered", err);
    }
    k->types = mem_calloc((size_t)t->nkeys, sizeof(*k->types));
    for (i = 0; ok && i < t->nkeys; i++) {
        k->types[i].equals = mem_strdup(PQgetvalue(res, i, C_EQUALS));
        k->types[i].type = mem_strdup(PQgetvalue(res, i, C_TYPE));
        k->types[i].is_char = k->r->types[t->keys[i]] == OID_CHAR;
        if (pg_bool(res, i, C_IS_NAME))
            ok = not_by_key(k, i, "a name may stand for another object by now", err);
    }
    PQclear(res);
    return ok;
}

/* "\303", which servers before 15 take for a backslash. */
static bool put_high_char(struct buf *sql, const struct comparison *c, const char *text)
{
    if (!c->is_char || strlen(text) != 4 || text[0] != '\\')
        return false;
    buf_printf(sql, "(%d)", (int)(int8_t)strtol(text + 1, NULL, 8));
    return true;
}

static bool put_literal(struct keys_reading *k, int key, const struct value *v, struct buf *sql,
                        struct error *err)
{
    const struct column *c = &k->t->cols[k->t->keys[key]];
    struct buf text = {0};
    bool whole;

    if (v->state != VALUE_SET)
        return error_set(err, ERROR_FATAL, "key column %s: no value to look a row up by", c->name);
    value_to_text(&text, c->kind, v);
    whole = text.len == 0 || memchr(text.data, '\0', text.len) == NULL;
    if (whole && !put_high_char(sql, &k->types[key], buf_cstr(&text)))
        buf_sql_string(sql, buf_cstr(&text));
    buf_free(&text);
    buf_printf(sql, "::%s", k->types[key].type);
    return whole || not_by_key(k, key, "a zero byte", err);
}

/* (a = .. AND b = ..) */
static bool put_key(struct keys_reading *k, const struct value *key, struct buf *sql,
                    struct error *err)
{
    int i;

    buf_puts(sql, "(");
    for (i = 0; i < k->t->nkeys; i++) {
        int at = k->t->keys[i];

        buf_puts(sql, i > 0 ? " AND " : "");
        buf_sql_ident(sql, k->t->cols[at].name);
        /* The cast is for domains; it costs nothing, and leaves the index of use. */
        buf_printf(sql, "::%s OPERATOR(%s) ", k->types[i].type, k->types[i].equals);
        if (!put_literal(k, i, &key[at], sql, err))
            return false;
    }
    buf_puts(sql, ")");
    return true;
}

static bool put_question(struct keys_reading *k, const struct value *const *keys, int n,
                         struct buf *sql, struct error *err)
{
    int i;

    buf_puts(sql, "COPY (SELECT ");
    snapshot_select_list(k->t, sql);
    buf_printf(sql, " FROM %s%s WHERE (", k->partitioned ? "" : "ONLY ", buf_cstr(&k->name));
    for (i = 0; i < n; i++) {
        buf_puts(sql, i > 0 ? " OR " : "");
        if (!put_key(k, keys[i], sql, err))
            return false;
    }
    buf_puts(sql, ")");
    if (k->t->row_filter != NULL)
        buf_printf(sql, " AND (%s)", k->t->row_filter);
    snapshot_copy_format(k->r, sql);
    return true;
}

static bool take_row(void *ctx, const struct table *t, const struct value *values,
                     struct error *err)
{
    struct keys_reading *k = ctx;

    k->row_failed = !k->row(k->ctx, t, values, err);
    return !k->row_failed;
}

/* A literal that its type does not take any more (an enum's label has another name), a type without
 * equality (box[], of which an index can hold one row): there is no asking, but loading. */
static void judge_question(const struct keys_reading *k, struct error *err)
{
    bool about_it = strncmp(err->sqlstate, "42", 2) == 0 || strncmp(err->sqlstate, "22", 2) == 0;

    if (k->row_failed || !about_it || strcmp(err->sqlstate, "42501") == 0)
        return;
    err->kind = ERROR_DATA;
    err->reload = true;
    error_hint(err, "the table must be loaded again");
}

static bool ask(struct keys_reading *k, const struct value *const *keys, int n, struct error *err)
{
    struct buf sql = {0};
    struct error failed;
    bool ok = put_question(k, keys, n, &sql, err);

    if (ok && !(pg_query(k->r->conn, "reading rows by key", buf_cstr(&sql), NULL, &failed) &&
                snapshot_copy_rows(k->r, k->t, take_row, k, &failed))) {
        judge_question(k, &failed);
        if (err != NULL)
            *err = failed;
        ok = false;
    }
    buf_free(&sql);
    return ok;
}

static bool read_keys(struct keys_reading *k, const struct value *const *keys, int n,
                      struct error *err)
{
    const char *name;
    int i;

    if (!point_import(k->r->conn, k->r->point->snapshot, err) || !look_up(k, err))
        return false;
    name = buf_cstr(&k->name);
    if (!snapshot_lock(k->r, k->t, name, !k->partitioned, err) || !check_rows(k, err) ||
        !snapshot_check_columns(k->r, k->t, name, err) || !read_comparisons(k, err))
        return false;
    for (i = 0; i < n; i += KEYS_PER_STATEMENT) {
        if (!ask(k, keys + i, n - i < KEYS_PER_STATEMENT ? n - i : KEYS_PER_STATEMENT, err))
            return false;
    }
    return (!k->partitioned || check_partitions(k, err)) &&
           pg_query(k->r->conn, "ending the reading", "COMMIT", NULL, err);
}

static void free_reading(struct keys_reading *k)
{
    int i;

    for (i = 0; k->types != NULL && i < k->t->nkeys; i++) {
        mem_free(k->types[i].equals);
        mem_free(k->types[i].type);
    }
    mem_free(k->types);
    buf_free(&k->name);
}

bool snapshot_reader_keys(struct source_reader *r, const struct table *t,
                          const struct value *const *keys, int n, source_row_fn *row, void *ctx,
                          struct error *err)
{
    struct keys_reading k = {.r = r, .t = t, .row = row, .ctx = ctx};
    bool ok;

    if (t->nkeys == 0)
        return error_set(err, ERROR_FATAL, "table %s.%s has no key to look rows up by", t->schema,
                         t->name);
    if (!snapshot_ready(r, t, err))
        return false;
    ok = read_keys(&k, keys, n, err);
    free_reading(&k);
    return ok || snapshot_failed(r, t, err);
}
