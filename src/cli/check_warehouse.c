/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One warehouse as `check` sees it, without changing it: whether it can be used, whether it is the
 * source itself, what an earlier run left there (checkpoint, targets), and whose the tables are
 * that have the targets' names.
 */
#include "cli/check_internal.h"
#include "load/warehouse.h"
#include "state/books.h"
#include "util/buf.h"
#include "util/causes.h"

#include <stdio.h>
#include <string.h>

struct looking {
    struct check *c;
    const struct config_connector *sink;
    struct warehouse *w;
    struct session *session; /* NULL: there is nothing to ask */
    bool asked;              /* it answered, or there is nothing yet */
    char identity[256];
};

static bool leads_to(const struct check_pair *p, const struct config_connector *sink)
{
    return p->sink == sink;
}

/* --- rights, room, identity --- */

static bool has(const char *const *list, int n, const char *s)
{
    int i;

    for (i = 0; i < n; i++) {
        if (strcmp(list[i], s) == 0)
            return true;
    }
    return false;
}

/* Sizes and schemas of all that will come there. */
static void count_wants(const struct looking *l, struct warehouse_wants *out)
{
    const char **schemas;
    int i, j, n = 0;

    for (i = 0; i < l->c->npairs; i++)
        n += l->c->pairs[i].plan.n;
    schemas = arena_calloc(l->c->arena, (size_t)n + 1, sizeof(*schemas));
    out->bytes = -1;
    out->schemas = schemas;
    out->nschemas = 0;
    for (i = 0; i < l->c->npairs; i++) {
        const struct check_pair *p = &l->c->pairs[i];

        for (j = 0; leads_to(p, l->sink) && j < p->plan.n; j++) {
            const struct table *t = p->plan.tables[j].table.table;

            if (t->est_bytes > 0)
                out->bytes = (out->bytes > 0 ? out->bytes : 0) + t->est_bytes;
            if (!has(schemas, out->nschemas, t->schema))
                schemas[out->nschemas++] = t->schema;
        }
    }
}

static void judge_identity(const struct looking *l, const struct check_pair *p)
{
    char source[256];
    struct error err = {0};

    snprintf(source, sizeof(source), "%s/%u", p->plan.identity.system,
             p->plan.identity.database_oid);
    if (!p->asked || p->plan.identity.system[0] == '\0' || strcmp(source, l->identity) != 0)
        return;
    error_cause(&err, CAUSE_SAME_DATABASE, "source and warehouse are the same database (%s)",
                p->plan.identity.database);
    findings_add_error(&l->c->findings, "warehouse", &err);
}

/* A file has one owner; many may share a database. */
static void judge_file(const struct looking *l)
{
    struct check *c = l->c;
    struct check_seen *seen;
    struct error err = {0};

    if (strncmp(l->identity, "file:", 5) != 0)
        return;
    for (seen = c->seen; seen != NULL; seen = seen->next) {
        if (strcmp(seen->identity, l->identity) != 0)
            continue;
        error_cause(&err, CAUSE_FILE_OPEN_TWICE, "connector %s has the same DuckDB file, %s",
                    seen->sink, l->identity + 5);
        findings_add_error(&c->findings, "warehouse", &err);
        return;
    }
    seen = arena_calloc(c->arena, 1, sizeof(*seen));
    *seen = (struct check_seen){c->seen, l->sink->name, arena_strdup(c->arena, l->identity)};
    c->seen = seen;
}

/* --- what an earlier run left --- */

static bool when_needed(const struct check_pair *p)
{
    const char *mode = config_string(p->source->config, "snapshot.mode");

    return mode != NULL && strcmp(mode, "when_needed") == 0;
}

static void judge_known(const struct looking *l, const struct check_pair *p,
                        const struct checkpoint *cp)
{
    struct findings *out = &l->c->findings;
    const struct source_identity *is = &p->plan.identity, *was = &cp->identity;
    struct error err = {0};

    if (is->system[0] != '\0' && strcmp(is->system, was->system) != 0) {
        error_cause(&err, CAUSE_OTHER_SERVER,
                    "this is another server: the warehouse was filled from system %s, the source "
                    "is system %s",
                    was->system, is->system);
        findings_add_error(out, "source", &err);
    } else if (is->database_oid != 0 && is->database_oid != was->database_oid) {
        error_cause(&err, CAUSE_OTHER_DATABASE,
                    "this is another database: the warehouse was filled from %s (oid %u), the "
                    "source is %s (oid %u)",
                    was->database, was->database_oid, is->database, is->database_oid);
        findings_add_error(out, "source", &err);
    } else if (p->plan.mark.state == MARK_MISSING && !when_needed(p)) {
        error_cause(&err, CAUSE_SLOT_MISSING,
                    "replication slot %s is gone; the warehouse stands at %s", is->mark,
                    cp->position);
        findings_add_error(out, "source", &err);
    } else {
        findings_add(out, FINDING_NOTE, "warehouse", NULL,
                     "it follows the source already: a run goes on from %s", cp->position);
    }
}

/* No checkpoint: a slot that exists is ours only if an intent says so. */
static void judge_unknown(const struct looking *l, const struct check_pair *p, bool intended)
{
    const char *slot = p->plan.identity.mark;
    struct buf name = {0};

    if (p->plan.mark.state == MARK_MISSING)
        return;
    if (intended) {
        findings_add(&l->c->findings, FINDING_NOTE, "source", NULL,
                     "slot %s is left over from a start that was interrupted: the next one makes "
                     "it anew",
                     slot);
        return;
    }
    findings_add(&l->c->findings, FINDING_STOPS, "source",
                 "set another slot.name; or, if nobody uses it, run at the source",
                 "slot %s exists, but this warehouse knows nothing of it: it may belong to another "
                 "penstock",
                 slot);
    buf_sql_string(&name, slot);
    findings_sql(&l->c->findings, "SELECT pg_drop_replication_slot(%s)", buf_cstr(&name));
    buf_free(&name);
}

/* False: the warehouse could not be asked. */
static bool judge_past(const struct looking *l, const struct check_pair *p, struct books *b,
                       bool books, struct error *err)
{
    struct checkpoint cp = {0};
    bool intended = false;

    if (!p->asked || p->plan.identity.mark[0] == '\0')
        return true;
    if (books && (!books_checkpoint_read(b, &cp, err) ||
                  !books_intent_read(b, p->plan.identity.mark, &intended, err)))
        return false;
    if (cp.found)
        judge_known(l, p, &cp);
    else
        judge_unknown(l, p, intended);
    return true;
}

/* --- names that are taken --- */

static bool exists(const struct looking *l, const char *schema, const char *name, bool *out,
                   struct error *err)
{
    const char *eq = l->sink->warehouse->dialect->case_folds ? "lower(%s) = lower(" : "%s = (";
    struct buf sql = {0};
    struct rowset r;
    bool ok;

    buf_puts(&sql, "SELECT 1 FROM information_schema.tables WHERE ");
    buf_printf(&sql, eq, "table_schema");
    buf_sql_string(&sql, schema);
    buf_puts(&sql, ") AND ");
    buf_printf(&sql, eq, "table_name");
    buf_sql_string(&sql, name);
    buf_puts(&sql, ")");
    ok = l->sink->warehouse->query(l->session, l->c->arena, buf_cstr(&sql), &r, err);
    *out = ok && r.nrows > 0;
    buf_free(&sql);
    return ok;
}

static bool judge_target(const struct looking *l, struct check_table *t, struct books *b,
                         bool books, struct error *err)
{
    const struct table *from = t->plan->table.table;
    bool there = false, other = false, ours = false;
    struct buf name = {0};
    char subject[300];

    if (t->target == NULL)
        return true;
    if (books
            ? !books_target_exists(b, t->target_schema, t->target_name, &there, &other, &ours, err)
            : !exists(l, t->target_schema, t->target_name, &there, err))
        return false;
    if (!there || (ours && !other))
        return true;
    snprintf(subject, sizeof(subject), "table %s.%s", from->schema, from->name);
    findings_add(&l->c->findings, FINDING_STOPS, subject,
                 "in the warehouse its owner must run this, or drop it",
                 "the warehouse already has a table %s.%s, and it is %s", t->target_schema,
                 t->target_name, other ? "another connector's" : "not ours");
    target_sql_name(&name, t->target_schema, t->target_name);
    buf_puts(&name, " RENAME TO ");
    buf_sql_ident(&name, arena_printf(l->c->arena, "%s_before", t->target_name));
    findings_sql(&l->c->findings, "ALTER TABLE %s", buf_cstr(&name));
    t->refused = "the warehouse already has a table of that name, and it is not ours";
    buf_free(&name);
    return true;
}

/* --- one pair --- */

static void look_at_pair(struct looking *l, struct check_pair *p)
{
    struct books b = {.ops = l->sink->warehouse,
                      .session = l->session,
                      .connector = l->sink->name,
                      .source = p->source->name};
    struct table_record *known = NULL;
    struct error err = {0};
    bool books = false;
    int nknown = 0, i;
    bool ok = l->session == NULL || books_look(&b, &books, &err);

    ok = ok && (!books || books_tables_read(&b, l->c->arena, &known, &nknown, &err));
    check_plan_pair(l->c, p, known, ok ? nknown : 0);
    if (ok && l->asked)
        ok = judge_past(l, p, &b, books, &err);
    for (i = 0; ok && l->session != NULL && i < p->n; i++)
        ok = judge_target(l, &p->tables[i], &b, books, &err);
    if (!ok)
        findings_add_error(&l->c->findings, "warehouse", &err);
}

/* Opens it for reading and judges it alone. False: it cannot be asked; the finding is made. */
static bool look(struct looking *l)
{
    const struct warehouse_ops *ops = l->sink->warehouse;
    struct findings *out = &l->c->findings;
    struct warehouse_wants wants;
    struct error err = {0};
    int stops = out->stops;
    bool empty = false;
    bool ok = ops->look != NULL ? ops->look(&l->w, l->sink->config, &empty, &err)
                                : ops->open(&l->w, l->sink->config, &err);

    count_wants(l, &wants);
    ok = ok && ops->check(l->w, &wants, out, &err);
    if (ok && empty) {
        findings_add(out, FINDING_NOTE, "warehouse", NULL,
                     "it is not there yet: the start makes it");
        ok = ops->identity(l->w, l->identity, sizeof(l->identity), &err);
    } else if (ok) {
        ok = ops->identity(l->w, l->identity, sizeof(l->identity), &err) &&
             ops->connect(l->w, "penstock:check", &l->session, &err);
    }
    if (!ok && out->stops == stops) /* else the check has said it */
        findings_add_error(out, "warehouse", &err);
    return ok;
}

void check_warehouse(struct check *c, const struct config_connector *sink)
{
    struct looking l = {.c = c, .sink = sink};
    int i, n = 0;

    c->findings.connector = sink->name;
    l.asked = look(&l);
    if (l.asked)
        judge_file(&l);
    for (i = 0; i < c->npairs; i++) {
        struct check_pair *p = &c->pairs[i];

        if (!leads_to(p, sink))
            continue;
        n++;
        if (l.asked)
            judge_identity(&l, p);
        look_at_pair(&l, p);
    }
    if (n == 0)
        findings_add(&c->findings, FINDING_WARNING, "warehouse",
                     "correct topics or topics.regex, or the source's topic.prefix",
                     "it takes the topics of no source connector");
    sink->warehouse->disconnect(l.session);
    sink->warehouse->close(l.w);
}
