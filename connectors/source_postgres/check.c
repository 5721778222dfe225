/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks: the server (version, wal_level, encoding, standby), the role, room for a slot and a
 * walsender, the publication, the slot, and each table. A run looks at the first part at every
 * connect; `penstock check` shows all of it. A table that is refused does not stop a run, since
 * the others go on: the plan shows those.
 */
#include "source_postgres/check.h"

#include "source_postgres/publication.h"
#include "source_postgres/slot.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

#define MIN_VERSION 140000

struct fault {
    char message[512];
    char fix[512];
};

/* The i-th thing about server and role that stops a run; false after the last. */
static bool server_fault(const struct source *s, int i, bool *is_fault, struct fault *f)
{
    const struct pg_facts *x = &s->facts;
    struct buf user = {0};

    buf_sql_ident(&user, x->user);
    memset(f, 0, sizeof(*f));
    *is_fault = false;
    switch (i) {
    case 0:
        *is_fault = x->version < MIN_VERSION;
        snprintf(f->message, sizeof(f->message), "%s is older than PostgreSQL 14", x->version_text);
        snprintf(f->fix, sizeof(f->fix), "upgrade the server to PostgreSQL 14 or later");
        break;
    case 1:
        *is_fault = x->standby;
        snprintf(f->message, sizeof(f->message),
                 "the server is a standby, where no publication can be made");
        snprintf(f->fix, sizeof(f->fix), "set database.hostname to the primary");
        break;
    case 2:
        *is_fault = strcmp(x->wal_level, "logical") != 0;
        snprintf(f->message, sizeof(f->message), "wal_level is %s, not logical", x->wal_level);
        snprintf(f->fix, sizeof(f->fix),
                 "run: ALTER SYSTEM SET wal_level = logical; then restart the server (managed "
                 "servers: the parameter group's rds.logical_replication or "
                 "cloudsql.logical_decoding)");
        break;
    case 3:
        *is_fault = strcmp(x->encoding, "SQL_ASCII") == 0;
        snprintf(f->message, sizeof(f->message),
                 "database %s has the encoding SQL_ASCII: its text may be in any encoding, so "
                 "that it cannot be turned into UTF-8 without guessing",
                 x->database);
        snprintf(f->fix, sizeof(f->fix),
                 "move the data into a database with ENCODING 'UTF8' (pg_dump --encoding, "
                 "createdb -E UTF8 -T template0)");
        break;
    case 4:
        *is_fault = !x->may_replicate;
        snprintf(f->message, sizeof(f->message), "role %s may not replicate", x->user);
        snprintf(f->fix, sizeof(f->fix), "run: ALTER ROLE %s WITH REPLICATION", buf_cstr(&user));
        break;
    default:
        buf_free(&user);
        return false;
    }
    buf_free(&user);
    return true;
}

bool check_server(struct source *s, struct error *err)
{
    struct fault f;
    bool is_fault;
    int i;

    for (i = 0; server_fault(s, i, &is_fault, &f); i++) {
        if (!is_fault)
            continue;
        error_set(err, ERROR_CONFIG, "%s", f.message);
        return error_hint(err, "%s", f.fix);
    }
    return true;
}

/* Columns of the query below. */
enum { R_SLOTS, R_SLOTS_USED, R_SENDERS, R_SENDERS_USED, R_KEEP, R_TIMEOUT };

static bool read_room(struct pg_conn *c, PGresult **res, struct error *err)
{
    return pg_query(c, "reading the server's limits",
                    "SELECT current_setting('max_replication_slots')::int, (SELECT count(*) FROM "
                    "pg_catalog.pg_replication_slots), current_setting('max_wal_senders')::int, "
                    "(SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = "
                    "'walsender'), current_setting('max_slot_wal_keep_size'), "
                    "current_setting('wal_sender_timeout')",
                    res, err);
}

static void judge_room(const PGresult *res, bool slot_exists, struct findings *out)
{
    int64_t slots = pg_int(res, 0, R_SLOTS);
    int64_t senders = pg_int(res, 0, R_SENDERS);
    const char *keep = PQgetvalue(res, 0, R_KEEP);
    char fix[256];

    if (!slot_exists && slots - pg_int(res, 0, R_SLOTS_USED) < 1) {
        snprintf(fix, sizeof(fix),
                 "run: ALTER SYSTEM SET max_replication_slots = %lld; then restart the server",
                 (long long)slots + 4);
        findings_add(out, FINDING_STOPS, "source", fix,
                     "all of the server's max_replication_slots = %lld are in use",
                     (long long)slots);
    } else if (slots - pg_int(res, 0, R_SLOTS_USED) < (slot_exists ? 1 : 2)) {
        snprintf(fix, sizeof(fix),
                 "run: ALTER SYSTEM SET max_replication_slots = %lld; then restart the server",
                 (long long)slots + 4);
        findings_add(out, FINDING_WARNING, "source", fix,
                     "no replication slot is free for adding or reloading a table, which takes "
                     "one for a moment");
    }
    if (senders - pg_int(res, 0, R_SENDERS_USED) < 2) {
        snprintf(fix, sizeof(fix),
                 "run: ALTER SYSTEM SET max_wal_senders = %lld; then restart the server",
                 (long long)senders + 4);
        findings_add(out,
                     senders - pg_int(res, 0, R_SENDERS_USED) < 1 ? FINDING_STOPS : FINDING_WARNING,
                     "source", fix,
                     "too few of the server's max_wal_senders = %lld are free (2 are "
                     "needed at a start, 1 while running)",
                     (long long)senders);
    }
    if (strcmp(keep, "-1") == 0)
        findings_add(out, FINDING_NOTE, "source",
                     "to protect the server's disk run: ALTER SYSTEM SET max_slot_wal_keep_size = "
                     "'50GB'; SELECT pg_reload_conf(); past it the tables must be loaded again",
                     "max_slot_wal_keep_size is not set: while the service or the warehouse is "
                     "down, the server keeps log without a limit");
    else
        findings_add(out, FINDING_NOTE, "source", NULL,
                     "the server keeps at most %s of log for the slot (max_slot_wal_keep_size); "
                     "after a longer stop the tables must be loaded again",
                     keep);
}

static void judge_slot(struct source *s, struct findings *out, bool *exists)
{
    struct error err;
    struct mark m;

    *exists = false;
    if (!slot_mark_read(s, &m, &err)) {
        findings_add_error(out, "source", &err);
        return;
    }
    *exists = m.state != MARK_MISSING;
    if (m.state == MARK_LOST)
        findings_add(out, FINDING_STOPS, "source",
                     "load again: penstock remove, then start the connector (or snapshot.mode "
                     "when_needed)",
                     "%s", m.why);
    else if (m.active_pid != 0)
        findings_add(out, FINDING_WARNING, "source",
                     "stop the other penstock, or set another slot.name and topic.prefix",
                     "replication slot \"%s\" is read by pid %d just now", s->settings.slot,
                     m.active_pid);
}

static bool ready_to_make(const struct source *s, const struct catalog *cat)
{
    int i;

    if (s->facts.superuser)
        return true;
    for (i = 0; i < cat->n; i++) {
        if (cat->tables[i].missing && !cat->tables[i].owned)
            return false;
    }
    return true;
}

static void judge_publication(struct source *s, const struct publication *pub,
                              const struct catalog *cat, struct findings *out)
{
    struct buf sql = {0}, fix = {0};
    struct error err;

    publication_statement(s, pub, cat, &sql);
    if (pub->exists || s->settings.mode == PUBLICATION_DISABLED) {
        if (!publication_usable(s, pub, cat, &err))
            findings_add_error(out, "source", &err);
    }
    if (sql.len > 0 && s->settings.mode != PUBLICATION_DISABLED) {
        bool may = ready_to_make(s, cat) && (pub->exists || s->facts.may_create);

        if (s->settings.mode == PUBLICATION_ALL_TABLES && !s->facts.superuser)
            may = false;
        buf_printf(&fix, "as the tables' owner%s run: %s",
                   s->settings.mode == PUBLICATION_ALL_TABLES ? " and a superuser" : "",
                   buf_cstr(&sql));
        if (!may)
            findings_add(out, FINDING_STOPS, "source", buf_cstr(&fix),
                         "role %s may not make the publication", s->facts.user);
        else
            findings_add(out, FINDING_NOTE, "source", NULL, "the start will run: %s",
                         buf_cstr(&sql));
    }
    buf_free(&sql);
    buf_free(&fix);
}

static void judge_table(const struct source *s, const struct publication *pub,
                        const struct catalog_table *ct, struct findings *out)
{
    const struct table *t = ct->table;
    char subject[2 * PG_NAME_SIZE + 16];
    bool all = s->settings.mode == PUBLICATION_ALL_TABLES || pub->all_tables;

    snprintf(subject, sizeof(subject), "table %s.%s", t->schema, t->name);
    if (ct->refused != NULL)
        return; /* the plan says it */
    if (!ct->has_identity && ct->published)
        findings_add(out, FINDING_WARNING, subject, NULL,
                     "it has no replica identity: only inserts reach the log, and %s",
                     all ? "updates and deletes of it fail because it is published"
                         : "updates and deletes of it fail");
    else if (t->nkeys == 0)
        findings_add(out, FINDING_NOTE, subject, NULL,
                     "it has no key%s: its rows are replicated as a multiset, which costs more",
                     ct->deferrable_key ? " that is not deferrable" : "");
}

static void judge_tables(const struct source *s, const struct publication *pub,
                         const struct catalog *cat, struct findings *out)
{
    char subject[2 * PG_NAME_SIZE + 16];
    int i;

    if (cat->n == 0)
        findings_add(out, FINDING_WARNING, "source",
                     "set table.include.list to regular expressions for the whole SCHEMA.TABLE",
                     "the settings select no table of database %s", s->facts.database);
    for (i = 0; i < cat->n; i++)
        judge_table(s, pub, &cat->tables[i], out);
    for (i = 0; i < cat->nodd; i++) {
        snprintf(subject, sizeof(subject), "table %s.%s", cat->odd[i].schema, cat->odd[i].name);
        findings_add(out, FINDING_WARNING, subject,
                     "leave it out with table.exclude.list to silence this",
                     "it is not replicated: it is %s", cat->odd[i].why);
    }
}

static void check_facts(struct source *s, struct findings *out)
{
    struct fault f;
    bool is_fault;
    int i;

    for (i = 0; server_fault(s, i, &is_fault, &f); i++) {
        if (is_fault)
            findings_add(out, FINDING_STOPS, "source", f.fix, "%s", f.message);
    }
}

/* The catalogue with the tables' sizes; without, where a lock is in the way. */
static bool read_now(struct source *s, struct pg_conn *c, struct arena *a, struct publication *pub,
                     bool sizes, struct catalog *cat, struct error *err)
{
    struct error ignored;
    bool ok;

    if (!publication_read(s, c, pub, err) ||
        !pg_query(c, "setting up the session", "SET lock_timeout = '5s'", NULL, err))
        return false;
    ok = catalog_read(s, c, a, pub, sizes, cat, err);
    if (!ok && sizes && strcmp(err->sqlstate, "55P03") == 0)
        ok = catalog_read(s, c, a, pub, false, cat, err);
    if (pg_conn_alive(c) &&
        !pg_query(c, "setting up the session", "SET lock_timeout = 0", NULL, &ignored))
        return ok;
    return ok;
}

bool check_source(struct source *s, struct findings *out, struct error *err)
{
    struct arena *a = arena_new("check");
    struct publication pub;
    struct catalog cat;
    struct pg_conn *c;
    PGresult *room = NULL;
    struct error failed;
    bool slot_exists;
    bool ok = pg_control(s, &c, err);

    if (!ok)
        goto out;
    check_facts(s, out);
    if (s->facts.version < MIN_VERSION || s->facts.standby)
        goto out; /* the rest cannot be asked there */
    if (s->facts.may_replicate && !pg_identify(s, &s->facts, &failed))
        findings_add_error(out, "source", &failed);
    judge_slot(s, out, &slot_exists);
    ok = read_room(c, &room, err);
    if (!ok)
        goto out;
    judge_room(room, slot_exists, out);
    ok = read_now(s, c, a, &pub, false, &cat, err);
    if (!ok)
        goto out;
    judge_publication(s, &pub, &cat, out);
    judge_tables(s, &pub, &cat, out);
out:
    PQclear(room);
    arena_free(a);
    return ok;
}

bool check_plan(struct source *s, struct arena *a, struct source_table **tables, int *n,
                struct error *err)
{
    struct publication pub;
    struct catalog cat;
    struct pg_conn *c;
    bool added;
    int i;

    if (!pg_control(s, &c, err) || !read_now(s, c, a, &pub, true, &cat, err))
        return false;
    added = s->settings.mode == PUBLICATION_FILTERED ||
            (s->settings.mode == PUBLICATION_ALL_TABLES && !pub.exists);
    *n = cat.n;
    *tables = arena_calloc(a, (size_t)cat.n + 1, sizeof(**tables));
    for (i = 0; i < cat.n; i++) {
        (*tables)[i].table = cat.tables[i].table;
        if (!cat.tables[i].only_missing || !added) /* else the start adds it */
            (*tables)[i].refused = cat.tables[i].refused;
    }
    return true;
}
