/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks: the server (version, wal_level, encoding, standby), the role, what stands in between,
 * room for a slot and a walsender, the publication, the slot, and each table. A run looks at the
 * first part at every connect; `penstock check` shows all of it, with the plan: how long the tables
 * take to read, and how much log is kept meanwhile. Nothing is changed.
 *
 * Facts are read in check_read.c, judged in check_judge.c and check_tables.c.
 */
#include "source_postgres/check.h"

#include "source_postgres/check_internal.h"
#include "source_postgres/slot.h"
#include "util/clock.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

#define WATCH_MS 1000 /* at least this long is looked at the log */

bool check_server(struct source *s, struct error *err)
{
    struct findings found = {0};
    struct buf fix = {0};
    bool ok;

    check_judge_server(&s->facts, &found);
    ok = found.first == NULL;
    if (!ok) {
        finding_fix(found.first, &fix);
        error_set(err, ERROR_CONFIG, "%s", found.first->message);
        error_hint(err, "%s", buf_cstr(&fix));
    }
    findings_free(&found);
    buf_free(&fix);
    return ok;
}

/* --- slot --- */

static void judge_slot(struct source *s, struct mark *m, struct findings *out)
{
    struct error err;

    if (!slot_mark_read(s, m, &err)) {
        findings_add_error(out, "source", &err);
        return;
    }
    if (m->state == MARK_LOST)
        findings_add(out, FINDING_STOPS, "source",
                     "load again: penstock remove, then start the connector (or snapshot.mode "
                     "when_needed)",
                     "%s", m->why);
    else if (m->active_pid != 0)
        findings_add(out, FINDING_WARNING, "source",
                     "stop the other penstock, or set another slot.name and topic.prefix",
                     "replication slot \"%s\" is read by pid %d just now", s->settings.slot,
                     m->active_pid);
}

/* --- publication --- */

static bool owns_missing(const struct source *s, const struct catalog *cat)
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

/* May the role run the statement that the start would run? */
static bool may_publish(const struct source *s, const struct publication *pub,
                        const struct catalog *cat)
{
    if (s->facts.superuser)
        return true;
    if (s->settings.mode == PUBLICATION_ALL_TABLES)
        return false;
    return owns_missing(s, cat) && (pub->exists ? pub->owned : s->facts.may_create);
}

static const char *who_publishes(const struct source *s, const struct publication *pub)
{
    if (s->settings.mode == PUBLICATION_ALL_TABLES)
        return "a superuser must run";
    return pub->exists ? "a superuser, or who owns the tables and the publication, must run"
                       : "a superuser, or the tables' owner with CREATE on the database, must run";
}

static void judge_publication(struct source *s, const struct publication *pub,
                              const struct catalog *cat, struct findings *out)
{
    struct buf sql = {0};
    struct error err;

    publication_statement(s, pub, cat, &sql);
    if ((pub->exists || s->settings.mode == PUBLICATION_DISABLED) &&
        !publication_usable(s, pub, cat, &err))
        findings_add_error(out, "source", &err);
    if (sql.len == 0 || s->settings.mode == PUBLICATION_DISABLED) {
        /* nothing is to be made */
    } else if (may_publish(s, pub, cat)) {
        findings_add(out, FINDING_NOTE, "source", NULL, "the start will run: %s", buf_cstr(&sql));
    } else {
        findings_add(out, FINDING_STOPS, "source", who_publishes(s, pub),
                     "role %s may not %s the publication, since it does not own %s", s->facts.user,
                     pub->exists ? "add tables to" : "make",
                     !owns_missing(s, cat) ? "the tables"
                     : pub->exists         ? "it"
                                           : "the database and has no CREATE on it");
        findings_sql(out, "%s", buf_cstr(&sql));
    }
    if (pub->exists && !pub->owned && !s->facts.superuser && sql.len == 0 && !pub->all_tables &&
        s->settings.mode == PUBLICATION_FILTERED)
        findings_add(out, FINDING_NOTE, "source", NULL,
                     "publication %s belongs to another role: tables that are made later must be "
                     "added to it by its owner",
                     s->settings.publication);
    buf_free(&sql);
}

/* --- the whole --- */

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

/* The system's identifier needs no right to replicate here. */
static void identify(struct source *s, struct pg_conn *c, struct source_plan *plan,
                     struct findings *out)
{
    struct error failed;
    PGresult *res;

    if (s->facts.may_replicate && !pg_identify(s, &s->facts, &failed))
        findings_add_error(out, "source", &failed);
    if (s->facts.system[0] == '\0' &&
        pg_query(c, "reading the system identifier",
                 "SELECT system_identifier FROM pg_catalog.pg_control_system()", &res, &failed)) {
        snprintf(s->facts.system, sizeof(s->facts.system), "%s", PQgetvalue(res, 0, 0));
        PQclear(res);
    }
    snprintf(plan->identity.system, sizeof(plan->identity.system), "%s", s->facts.system);
    snprintf(plan->identity.database, sizeof(plan->identity.database), "%s", s->facts.database);
    snprintf(plan->identity.mark, sizeof(plan->identity.mark), "%s", s->settings.slot);
    snprintf(plan->identity.version, sizeof(plan->identity.version), "%s", s->facts.version_text);
    plan->identity.timeline = s->facts.timeline;
    plan->identity.database_oid = s->facts.database_oid;
}

/* How much log the server writes, and keeps for us, while the tables load. */
static void expect_log(struct arena *a, const struct check_watch *w, double now,
                       struct source_plan *plan)
{
    double rate = now > w->average ? now : w->average;
    char x[32], y[32];

    if (rate < 0 || plan->load_seconds < 0)
        return;
    plan->log_bytes = (int64_t)(rate * plan->load_seconds);
    if (w->average >= 0)
        plan->log_how = arena_printf(
            a, "the larger of %s/s just now and %s/s on average (pg_stat_wal)",
            check_size((int64_t)now, x, sizeof(x)), check_size((int64_t)w->average, y, sizeof(y)));
    else
        plan->log_how = arena_printf(a, "%s/s just now, in a short look",
                                     check_size((int64_t)now, x, sizeof(x)));
}

/* What takes time: a sample of rows, and a second look at the log. */
static bool look(struct pg_conn *c, struct arena *a, const struct catalog *cat,
                 struct check_watch *w, struct check_facts *f, struct source_plan *plan,
                 struct error *err)
{
    struct error ignored;
    double now = -1;
    int64_t left;

    if (!pg_query(c, "setting up the session", "SET lock_timeout = '1s'", NULL, err))
        return false;
    check_measure(c, a, cat, plan);
    if (!pg_query(c, "setting up the session", "SET lock_timeout = 0", NULL, err))
        return false;
    left = w->began_ms + WATCH_MS - clock_mono_ms();
    if (left > 0)
        clock_sleep_ms((int)left);
    if (check_watch_end(c, w, f, &now, &ignored))
        expect_log(a, w, now, plan);
    f->load_seconds = plan->load_seconds;
    f->load_log_bytes = plan->log_bytes;
    return true;
}

static bool check_all(struct source *s, struct pg_conn *c, struct arena *a, struct check_watch *w,
                      struct source_plan *plan, struct findings *out, struct error *err)
{
    struct check_facts f = {.load_seconds = -1, .load_log_bytes = -1};
    struct publication pub;
    struct catalog cat;

    if (!check_read_facts(s, c, &f, err))
        return false;
    check_judge_pooler(&f, out);
    check_judge_server(&s->facts, out);
    if (s->facts.version < CHECK_MIN_VERSION || s->facts.standby)
        return true; /* the rest cannot be asked there */
    if (!check_watch_begin(c, w, err))
        return false;
    if (!f.options_lost && !f.other_backend)
        identify(s, c, plan, out);
    judge_slot(s, &plan->mark, out);
    f.slot_exists = plan->mark.state != MARK_MISSING;
    if (!read_now(s, c, a, &pub, true, &cat, err) || !look(c, a, &cat, w, &f, plan, err))
        return false;
    check_judge_limits(&f, out);
    if (!check_tables(s, c, a, &pub, &cat, plan, out, err))
        return false;
    judge_publication(s, &pub, &cat, out);
    return true;
}

bool check_source(struct source *s, struct arena *a, struct source_plan *plan, struct findings *out,
                  struct error *err)
{
    struct check_watch w = {0};
    struct pg_conn *c;
    bool ok;

    memset(plan, 0, sizeof(*plan));
    plan->load_seconds = -1;
    plan->log_bytes = -1;
    plan->load_how = plan->log_how = "not known";
    ok = pg_control(s, &c, err) && check_all(s, c, a, &w, plan, out, err);
    check_watch_free(&w);
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
