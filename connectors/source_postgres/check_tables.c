/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables: what keeps one from being replicated, each reason with the statement that mends it,
 * and what of a table is left out. A right that is missing is an error, since somebody forgot it;
 * a table that the log cannot carry is a warning: the others run without it.
 */
#include "source_postgres/check_internal.h"

#include "util/buf.h"

#include <stdio.h>
#include <string.h>

struct tables_check {
    const struct source *s;
    const struct publication *pub;
    const struct catalog *cat;
    struct findings *out;
};

static void subject_of(const char *schema, const char *name, char *out, size_t size)
{
    snprintf(out, size, "table %s.%s", schema, name);
}

/* --- rights --- */

static bool said_of(const struct tables_check *k, const char *schema)
{
    const struct finding *f;
    char subject[PG_NAME_SIZE + 8];

    snprintf(subject, sizeof(subject), "schema %s", schema);
    for (f = k->out->first; f != NULL; f = f->next) {
        if (strcmp(f->subject, subject) == 0)
            return true;
    }
    return false;
}

static void judge_schemas(const struct tables_check *k, const struct catalog_table *ct)
{
    struct buf sql = {0};
    char subject[PG_NAME_SIZE + 8];
    int i;

    for (i = 0; i < ct->nleaves; i++) {
        const struct catalog_leaf *l = &ct->leaves[i];

        if (l->may_use || said_of(k, l->schema))
            continue;
        snprintf(subject, sizeof(subject), "schema %s", l->schema);
        findings_add(k->out, FINDING_STOPS, subject, "its owner must run", "role %s may not use it",
                     k->s->facts.user);
        buf_reset(&sql);
        buf_sql_ident(&sql, l->schema);
        buf_puts(&sql, " TO ");
        buf_sql_ident(&sql, k->s->facts.user);
        findings_sql(k->out, "GRANT USAGE ON SCHEMA %s", buf_cstr(&sql));
    }
    buf_free(&sql);
}

static void judge_select(const struct tables_check *k, const struct catalog_table *ct,
                         const char *subject)
{
    struct buf sql = {0};

    catalog_grant_select(ct, k->s->facts.user, &sql);
    if (sql.len > 0) {
        findings_add(k->out, FINDING_STOPS, subject, "its owner must run",
                     ct->table->partitioned
                         ? "role %s may not read all of its partitions, which are read one by one"
                         : "role %s may not read it",
                     k->s->facts.user);
        findings_sql(k->out, "%s", buf_cstr(&sql));
    }
    buf_free(&sql);
}

static void judge_row_security(const struct tables_check *k)
{
    struct buf names = {0}, role = {0};
    int i, n = 0;

    for (i = 0; i < k->cat->n; i++) {
        const struct catalog_table *ct = &k->cat->tables[i];

        if (!ct->row_security)
            continue;
        if (n++ < 5)
            buf_printf(&names, "%s%s.%s", n > 1 ? ", " : "", ct->table->schema, ct->table->name);
    }
    if (n > 5)
        buf_printf(&names, " and %d more", n - 5);
    if (n > 0) {
        buf_sql_ident(&role, k->s->facts.user);
        findings_add(k->out, FINDING_STOPS, "source", NULL,
                     "row-level security would hide rows from role %s: %s", k->s->facts.user,
                     buf_cstr(&names));
        managed_fix_row_security(k->s->facts.managed, buf_cstr(&role), k->out);
    }
    buf_free(&names);
    buf_free(&role);
}

/* --- replica identity --- */

static const char *identity_trouble(const struct catalog_table *ct)
{
    if (ct->deferrable_key && ct->table->replica_identity == 'd')
        return "its primary key is deferrable, so that it cannot identify rows in the log";
    if (ct->index_gone)
        return "the index of its replica identity is gone or of no use";
    if (ct->table->replica_identity == 'n')
        return "its replica identity is NOTHING";
    if (ct->table->replica_identity == 'd' && ct->primary_key)
        return "the publication's column list leaves out a part of its primary key";
    return "it has no primary key or other replica identity";
}

static void judge_identity(const struct tables_check *k, const struct catalog_table *ct,
                           const char *subject)
{
    const struct table *t = ct->table;
    bool published = ct->published && !t->partitioned;
    bool primary = ct->primary_key && !ct->deferrable_key && t->replica_identity != 'd';
    struct buf name = {0};

    if (ct->has_identity)
        return;
    catalog_qualified(&name, t->schema, t->name);
    findings_add(k->out, FINDING_WARNING, subject,
                 "its owner must run this, or leave the table out with table.exclude.list",
                 published
                     ? "%s: it is published, so that updates and deletes of it fail at the source, "
                       "now; only inserts are replicated"
                     : "%s, so that updates and deletes of it would fail once it is published: it "
                       "is not replicated",
                 identity_trouble(ct));
    findings_sql(k->out, "ALTER TABLE %s REPLICA IDENTITY %s", buf_cstr(&name),
                 primary ? "DEFAULT" : "FULL");
    buf_free(&name);
}

/* "what; run: STATEMENT" or "what; words". */
static void add_refusal(struct findings *out, const char *subject, const char *refused)
{
    const char *cut = strstr(refused, "; ");
    struct error e = {0};

    error_set(&e, ERROR_DATA, "%.*s: it is not replicated",
              (int)(cut != NULL ? (size_t)(cut - refused) : strlen(refused)), refused);
    error_hint(&e, "%s", cut != NULL ? cut + 2 : "");
    findings_add_warning(out, subject, &e);
}

static void judge_table(const struct tables_check *k, const struct catalog_table *ct)
{
    const struct table *t = ct->table;
    char subject[2 * PG_NAME_SIZE + 16];

    subject_of(t->schema, t->name, subject, sizeof(subject));
    judge_schemas(k, ct);
    judge_select(k, ct, subject);
    judge_identity(k, ct, subject);
    if (ct->has_identity && ct->log_refused != NULL)
        add_refusal(k->out, subject, ct->log_refused);
    else if (ct->refused != NULL && ct->log_refused == NULL && ct->may_select &&
             !ct->row_security && !ct->only_missing)
        add_refusal(k->out, subject, ct->refused);
    else if (ct->only_missing && k->s->settings.mode == PUBLICATION_DISABLED)
        add_refusal(k->out, subject, ct->refused);
    if (ct->has_identity && t->nkeys == 0)
        findings_add(k->out, FINDING_NOTE, subject, NULL,
                     "it has no key%s: its rows are replicated as a multiset, which costs more",
                     ct->deferrable_key ? " that is not deferrable" : "");
    if (t->row_filter != NULL)
        findings_add(k->out, FINDING_NOTE, subject, NULL,
                     "the publication has a row filter: only the rows that it lets pass are "
                     "replicated");
}

static void judge_odd(const struct tables_check *k)
{
    char subject[2 * PG_NAME_SIZE + 16];
    int i;

    for (i = 0; i < k->cat->nodd; i++) {
        const struct catalog_odd *o = &k->cat->odd[i];
        bool unlogged = strncmp(o->why, "an unlogged", 11) == 0;
        bool view = strncmp(o->why, "a view", 6) == 0;
        struct buf name = {0};

        subject_of(o->schema, o->name, subject, sizeof(subject));
        findings_add(k->out, view ? FINDING_NOTE : FINDING_WARNING, subject,
                     unlogged ? "its owner must run this, or leave it out with table.exclude.list"
                              : "leave it out with table.exclude.list to silence this",
                     "it is not replicated: it is %s", o->why);
        catalog_qualified(&name, o->schema, o->name);
        if (unlogged)
            findings_sql(k->out, "ALTER TABLE %s SET LOGGED", buf_cstr(&name));
        buf_free(&name);
    }
}

/* --- the plan's tables --- */

static const char *identity_name(const struct catalog_table *ct)
{
    switch (ct->table->replica_identity) {
    case 'f':
        return "FULL";
    case 'n':
        return "NOTHING";
    case 'i':
        return ct->index_gone ? "USING INDEX (gone)" : "USING INDEX";
    default:
        return ct->has_identity ? "DEFAULT" : "DEFAULT (no key)";
    }
}

/* What the start does by itself does not stand in the way. */
static bool is_added(const struct tables_check *k, const struct catalog_table *ct)
{
    bool added = k->s->settings.mode == PUBLICATION_FILTERED ||
                 (k->s->settings.mode == PUBLICATION_ALL_TABLES && !k->pub->exists);

    return ct->only_missing && added;
}

static void plan_tables(const struct tables_check *k, struct arena *a, struct source_plan *plan)
{
    int i;

    plan->n = k->cat->n;
    plan->tables = arena_calloc(a, (size_t)plan->n + 1, sizeof(*plan->tables));
    for (i = 0; i < plan->n; i++) {
        const struct catalog_table *ct = &k->cat->tables[i];
        struct plan_table *p = &plan->tables[i];

        p->table.table = ct->table;
        p->table.refused = is_added(k, ct) ? NULL : ct->refused;
        p->will_run = p->table.refused == NULL;
        p->identity = identity_name(ct);
    }
}

static bool left_out_query(struct pg_conn *c, const struct catalog *cat, PGresult **res,
                           struct error *err)
{
    struct buf sql = {0};
    bool ok;
    int i;

    buf_puts(&sql, "SELECT attrelid, attname, attgenerated <> '' FROM pg_catalog.pg_attribute "
                   "WHERE attnum > 0 AND NOT attisdropped AND attrelid = ANY ('{");
    for (i = 0; i < cat->n; i++)
        buf_printf(&sql, "%s%u", i > 0 ? "," : "", cat->tables[i].table->oid);
    buf_puts(&sql, "}'::oid[]) ORDER BY attrelid, attnum");
    ok = pg_query(c, "reading columns", buf_cstr(&sql), res, err);
    buf_free(&sql);
    return ok;
}

static bool has_column(const struct table *t, const char *name)
{
    return table_find_column(t, name) >= 0;
}

/* Columns of the table's that are not replicated, and a finding that says so. */
static void left_out(const struct tables_check *k, struct arena *a, struct plan_table *p,
                     const PGresult *res)
{
    const struct table *t = p->table.table;
    struct buf list = {0};
    char subject[2 * PG_NAME_SIZE + 16];
    int i;

    for (i = 0; i < PQntuples(res); i++) {
        const char *name = PQgetvalue(res, i, 1);

        if ((uint32_t)pg_int(res, i, 0) != t->oid || has_column(t, name))
            continue;
        buf_printf(&list, "%s%s (%s)", list.len > 0 ? ", " : "", name,
                   pg_bool(res, i, 2) ? "generated" : "not in the publication's column list");
    }
    if (list.len > 0) {
        p->left_out = arena_strdup(a, buf_cstr(&list));
        subject_of(t->schema, t->name, subject, sizeof(subject));
        findings_add(k->out, FINDING_NOTE, subject, NULL, "columns that are not replicated: %s%s",
                     p->left_out,
                     strstr(p->left_out, "(generated)") == NULL ? ""
                     : k->s->facts.version >= 180000
                         ? "; a stored one is where the publication says publish_generated_columns "
                           "= stored"
                         : "; the log does not carry generated ones before PostgreSQL 18");
    }
    buf_free(&list);
}

static void judge_whole(const struct tables_check *k, const struct source_plan *plan)
{
    bool forgotten = false; /* rights, of which more is said elsewhere */
    int i, refused = 0;

    for (i = 0; i < plan->n; i++) {
        refused += !plan->tables[i].will_run;
        forgotten |= !k->cat->tables[i].may_select || k->cat->tables[i].row_security;
    }
    if (plan->n == 0)
        findings_add(k->out, FINDING_WARNING, "source",
                     "make the tables, correct the database's name, or set table.include.list to "
                     "regular expressions for the whole SCHEMA.TABLE",
                     "the settings select no table of database %s", k->s->facts.database);
    else if (refused == plan->n && !forgotten)
        findings_add(k->out, FINDING_STOPS, "source",
                     "mend what is said of each table, or select others (table.include.list)",
                     "none of the %d selected tables can be replicated", plan->n);
}

bool check_tables(struct source *s, struct pg_conn *c, struct arena *a,
                  const struct publication *pub, const struct catalog *cat,
                  struct source_plan *plan, struct findings *out, struct error *err)
{
    struct tables_check k = {.s = s, .pub = pub, .cat = cat, .out = out};
    PGresult *res = NULL;
    int i;

    if (cat->n > 0 && !left_out_query(c, cat, &res, err))
        return false;
    for (i = 0; i < cat->n; i++)
        judge_table(&k, &cat->tables[i]);
    judge_row_security(&k);
    judge_odd(&k);
    plan_tables(&k, a, plan);
    for (i = 0; i < plan->n; i++)
        left_out(&k, a, &plan->tables[i], res);
    judge_whole(&k, plan);
    PQclear(res);
    return true;
}
