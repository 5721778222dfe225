/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publication is made before the slot: the slot's creation waits for transactions that wrote
 * before the publication held their table, so that none of their rows is lost. It is looked up
 * here at every start, since PostgreSQL 18 passes over a missing one with no more than a warning
 * in its own log.
 *
 * filtered: exactly the selected tables that can be published without breaking the application's
 * updates; nothing is ever taken out of it. all_tables: FOR ALL TABLES. disabled: as it is.
 */
#include "source_postgres/publication.h"

#include "source_postgres/watch.h"
#include "util/causes.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

bool publication_read(struct source *s, struct pg_conn *c, struct publication *p, struct error *err)
{
    struct buf sql = {0};
    PGresult *res;
    bool ok;

    memset(p, 0, sizeof(*p));
    buf_puts(&sql, "SELECT puballtables, pubviaroot, pubinsert AND pubupdate AND pubdelete AND "
                   "pubtruncate, pg_catalog.pg_has_role(pubowner, 'USAGE') FROM "
                   "pg_catalog.pg_publication WHERE pubname = ");
    buf_sql_string(&sql, s->settings.publication);
    ok = pg_query(c, "reading the publication", buf_cstr(&sql), &res, err);
    buf_free(&sql);
    if (!ok)
        return false;
    if (PQntuples(res) > 0) {
        p->exists = true;
        p->all_tables = pg_bool(res, 0, 0);
        p->via_root = pg_bool(res, 0, 1);
        p->complete = pg_bool(res, 0, 2);
        p->owned = pg_bool(res, 0, 3);
    }
    PQclear(res);
    return true;
}

static void append_tables(const struct catalog *cat, struct buf *sql)
{
    bool first = true;
    int i;

    for (i = 0; i < cat->n; i++) {
        const struct catalog_table *ct = &cat->tables[i];

        if (!ct->missing)
            continue;
        buf_puts(sql, first ? "" : ", ");
        catalog_qualified(sql, ct->table->schema, ct->table->name);
        first = false;
    }
}

static bool any_missing(const struct catalog *cat)
{
    int i;

    for (i = 0; i < cat->n; i++) {
        if (cat->tables[i].missing)
            return true;
    }
    return false;
}

void publication_statement(const struct source *s, const struct publication *p,
                           const struct catalog *cat, struct buf *sql)
{
    bool all = s->settings.mode == PUBLICATION_ALL_TABLES;

    if (p->exists && (p->all_tables || all || !any_missing(cat)))
        return; /* an all-tables publication cannot be added to */
    buf_puts(sql, p->exists ? "ALTER PUBLICATION " : "CREATE PUBLICATION ");
    buf_sql_ident(sql, s->settings.publication);
    if (!p->exists && all) {
        buf_puts(sql, " FOR ALL TABLES");
    } else if (any_missing(cat)) {
        buf_puts(sql, p->exists ? " ADD TABLE " : " FOR TABLE ");
        append_tables(cat, sql);
    }
    if (!p->exists)
        buf_puts(sql, " WITH (publish_via_partition_root = true)");
}

bool publication_usable(const struct source *s, const struct publication *p,
                        const struct catalog *cat, struct error *err)
{
    struct buf name = {0};
    struct buf sql = {0};
    bool ok = true;

    buf_sql_ident(&name, s->settings.publication);
    if (!p->exists) {
        publication_statement(s, p, cat, &sql);
        ok = error_cause(err, CAUSE_PUBLICATION_MISSING, "publication %s does not exist",
                         buf_cstr(&name));
        error_fill(err, "sql", buf_cstr(&sql));
    } else if (!p->complete) {
        ok = error_cause(err, CAUSE_PUBLICATION_INCOMPLETE,
                         "publication %s leaves out some kinds of changes, so that the warehouse "
                         "would drift",
                         buf_cstr(&name));
        error_fill(err, "publication", buf_cstr(&name));
    } else if (cat->split_roots > 0 && s->settings.mode == PUBLICATION_FILTERED) {
        ok = error_cause(err, CAUSE_PUBLICATION_SPLIT,
                         "publication %s publishes partitions one by one, but the settings select "
                         "partitioned tables",
                         buf_cstr(&name));
        error_fill(err, "publication", buf_cstr(&name));
    }
    buf_free(&name);
    buf_free(&sql);
    return ok;
}

/* The statement failed: who must run it instead. */
static bool explain_failure(const struct source *s, const char *sql, struct error *err)
{
    struct buf user = {0};

    if (strcmp(err->sqlstate, "42501") == 0) {
        buf_sql_ident(&user, s->facts.user);
        error_hint(err,
                   "as the tables' owner run: %s; or give the role CREATE on the database (GRANT "
                   "CREATE ON DATABASE ... TO %s) and the tables' ownership",
                   sql, buf_cstr(&user));
        buf_free(&user);
    } else if (strcmp(err->sqlstate, "55P03") == 0) {
        error_because(err, CAUSE_LOCK_HELD);
    }
    return false;
}

static bool change_publication(const struct source *s, struct pg_conn *c, const char *sql,
                               struct error *err)
{
    bool ok;

    if (!pg_query(c, "setting up the session", "SET lock_timeout = '10s'", NULL, err))
        return false;
    FAILPOINT("publication.before-change");
    ok = pg_query(c, "making the publication", sql, NULL, err);
    if (!ok)
        explain_failure(s, sql, err);
    if (pg_conn_alive(c)) {
        struct error ignored;

        if (!pg_query(c, "setting up the session", "SET lock_timeout = 0", NULL, &ignored))
            log_failure(LOG_DEBUG, "lock_timeout stays", &ignored);
    }
    if (ok)
        log_info("publication changed publication=%s", s->settings.publication);
    FAILPOINT("publication.after-change");
    return ok;
}

/* What was not published until now has a gap in the log. */
static void note_added(struct source *s, const struct catalog *cat)
{
    int i;

    for (i = 0; i < cat->n; i++) {
        if (cat->tables[i].missing)
            watch_added(s->watch, cat->tables[i].table->oid);
    }
}

bool publication_prepare(struct source *s, struct error *err)
{
    struct arena *a = arena_new("publication");
    struct publication p;
    struct catalog cat;
    struct buf sql = {0};
    struct pg_conn *c;
    bool ok = pg_control(s, &c, err) && publication_read(s, c, &p, err) &&
              catalog_read(s, c, a, &p, false, &cat, err);

    if (ok && s->settings.mode == PUBLICATION_DISABLED) {
        ok = publication_usable(s, &p, &cat, err);
        goto out;
    }
    if (!ok || (p.exists && !publication_usable(s, &p, &cat, err))) {
        ok = false;
        goto out;
    }
    publication_statement(s, &p, &cat, &sql);
    if (sql.len > 0)
        ok = change_publication(s, c, buf_cstr(&sql), err);
    if (ok && sql.len > 0)
        note_added(s, &cat);
out:
    buf_free(&sql);
    arena_free(a);
    return ok;
}

bool publication_made(struct source *s, char out[POSITION_SIZE], bool *ours, struct error *err)
{
    struct publication p = {0};
    struct pg_conn *c;
    bool ok = pg_control(s, &c, err) && publication_read(s, c, &p, err);

    snprintf(out, POSITION_SIZE, "%s",
             ok && p.exists && s->settings.mode != PUBLICATION_DISABLED ? s->settings.publication
                                                                        : "");
    *ours = p.owned;
    return ok;
}

bool publication_drop(struct source *s, struct error *err)
{
    char name[POSITION_SIZE];
    struct buf sql = {0};
    struct pg_conn *c;
    bool ok, ours;

    if (!publication_made(s, name, &ours, err))
        return false;
    if (name[0] == '\0' || !ours)
        return true;
    buf_puts(&sql, "DROP PUBLICATION IF EXISTS ");
    buf_sql_ident(&sql, name);
    ok = pg_control(s, &c, err) &&
         pg_query(c, "dropping the publication", buf_cstr(&sql), NULL, err);
    if (!ok && strcmp(err->sqlstate, "42501") == 0)
        error_hint(err, "as its owner run: %s", buf_cstr(&sql));
    buf_free(&sql);
    return ok;
}
