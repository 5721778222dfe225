/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of one source and its warehouse: which tables it takes, what their targets and columns
 * are called and which types they get, by the same rules as a run (pipeline/take.c), and what of
 * it differs from the source. Pure but for what the arena takes.
 */
#include "cli/check_internal.h"
#include "config/feeds.h"
#include "state/books.h"
#include "util/buf.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static void subject_of(const struct table *t, char *out, size_t size)
{
    snprintf(out, size, "table %s.%s", t->schema, t->name);
}

static bool all_lower_case(const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s >= 'A' && *s <= 'Z')
            return false;
    }
    return true;
}

/* --- topics --- */

static void separate_topics(struct check *c, struct check_pair *p)
{
    bool *clash = arena_calloc(c->arena, (size_t)p->plan.n + 1, sizeof(*clash));
    int i, j;

    for (i = 0; i < p->plan.n; i++) {
        for (j = 0; j < i; j++) {
            if (strcmp(p->plan.tables[i].table.table->topic,
                       p->plan.tables[j].table.table->topic) == 0)
                clash[i] = clash[j] = true;
        }
    }
    for (i = 0; i < p->plan.n; i++) {
        if (clash[i])
            table_topic_suffix(c->arena, p->plan.tables[i].table.table);
    }
}

static void note_topic(struct check *c, const struct check_pair *p, const struct table *t)
{
    const char *prefix = config_string(p->source->config, "topic.prefix");
    const char *plain = arena_printf(c->arena, "%s.%s.%s", prefix, t->schema, t->name);
    struct buf fields = {0};
    char subject[300];
    int i;

    subject_of(t, subject, sizeof(subject));
    if (strcmp(plain, t->topic) != 0)
        findings_add(&c->findings, FINDING_NOTE, subject, NULL, "its topic is %s", t->topic);
    for (i = 0; i < t->ncols; i++) {
        if (strcmp(t->cols[i].field, t->cols[i].name) != 0)
            buf_printf(&fields, "%s%s as %s", fields.len > 0 ? ", " : "", t->cols[i].name,
                       t->cols[i].field);
    }
    if (fields.len > 0)
        findings_add(&c->findings, FINDING_NOTE, subject, NULL,
                     "fields of its events have other names than its columns: %s",
                     buf_cstr(&fields));
    buf_free(&fields);
}

/* --- targets --- */

static const struct table_record *find_known(const struct table_record *known, int n,
                                             const struct table *t)
{
    int i;

    for (i = 0; i < n; i++) {
        if (known[i].table->oid == t->oid && known[i].target_name != NULL &&
            strcmp(known[i].table->schema, t->schema) == 0 &&
            strcmp(known[i].table->name, t->name) == 0)
            return &known[i];
    }
    return NULL;
}

static bool same_target(const struct dialect *d, const struct table *t, const char *schema,
                        const char *name)
{
    if (d->case_folds)
        return strcasecmp(t->schema, schema) == 0 && strcasecmp(t->name, name) == 0;
    return strcmp(t->schema, schema) == 0 && strcmp(t->name, name) == 0;
}

/* As a run chooses it: tables before i have their names already. */
static void choose_target(struct check *c, struct check_pair *p, int i)
{
    struct check_table *at = &p->tables[i];
    const struct table *t = at->plan->table.table;
    bool plain = all_lower_case(t->schema) && all_lower_case(t->name);
    char subject[300];
    int j;

    at->target_schema = t->schema;
    at->target_name = t->name;
    for (j = 0; j < p->n; j++) {
        const struct check_table *o = &p->tables[j];
        const struct table *other = o->plan->table.table;
        bool there = o->target_name != NULL;

        if (j == i ||
            !same_target(p->sink->warehouse->dialect, t, there ? o->target_schema : other->schema,
                         there ? o->target_name : other->name))
            continue;
        if (!there && plain)
            continue;
        at->target_name = table_suffixed_name(c->arena, t);
        subject_of(t, subject, sizeof(subject));
        findings_add(&c->findings, FINDING_WARNING, subject, NULL,
                     "its table in the warehouse is called %s.%s, since %s.%s differs from it in "
                     "case only",
                     at->target_schema, at->target_name, other->schema, other->name);
        return;
    }
}

static void choose_targets(struct check *c, struct check_pair *p, const struct table_record *known,
                           int nknown)
{
    int i;

    for (i = 0; i < p->n; i++) {
        const struct table_record *r = find_known(known, nknown, p->tables[i].plan->table.table);

        if (r != NULL) {
            p->tables[i].target_schema = r->target_schema;
            p->tables[i].target_name = r->target_name;
        }
    }
    for (i = 0; i < p->n; i++) {
        if (p->tables[i].target_name == NULL)
            choose_target(c, p, i);
    }
}

/* Columns that get another name, or another type than the source's own. */
static void note_columns(struct check *c, const struct target *t)
{
    struct buf names = {0}, types = {0};
    char subject[300];
    int i;

    for (i = 0; i < t->table->ncols; i++) {
        const struct column *col = &t->table->cols[i];

        if (strcmp(t->cols[i].name, col->name) != 0)
            buf_printf(&names, "%s%s as %s", names.len > 0 ? ", " : "", col->name, t->cols[i].name);
        if (t->notes[i] != NULL)
            buf_printf(&types, "%s%s %s as %s", types.len > 0 ? ", " : "", col->name,
                       col->source_type, t->cols[i].type);
    }
    subject_of(t->table, subject, sizeof(subject));
    if (names.len > 0)
        findings_add(&c->findings, FINDING_WARNING, subject, NULL,
                     "columns that differ in case only get other names in the warehouse: %s",
                     buf_cstr(&names));
    if (types.len > 0)
        findings_add(&c->findings, FINDING_NOTE, subject, NULL,
                     "columns of another type in the warehouse: %s", buf_cstr(&types));
    buf_free(&names);
    buf_free(&types);
}

static void make_target(struct check *c, struct check_pair *p, struct check_table *at)
{
    const struct table *t = at->plan->table.table;
    struct target *target = NULL;
    struct error err = {0};
    char subject[300];

    at->refused = at->plan->table.refused;
    if (!target_new(c->arena, t, p->sink->warehouse->dialect, at->target_schema, at->target_name,
                    &target, &err)) {
        subject_of(t, subject, sizeof(subject));
        findings_add_warning(&c->findings, subject, &err);
        if (at->refused == NULL)
            at->refused = arena_printf(c->arena, "%s; %s", err.message, err.hint);
        return;
    }
    at->target = target;
    note_columns(c, target);
}

void check_plan_pair(struct check *c, struct check_pair *p, const struct table_record *known,
                     int nknown)
{
    struct error err = {0};
    bool taken;
    int i;

    separate_topics(c, p);
    p->tables = arena_calloc(c->arena, (size_t)p->plan.n + 1, sizeof(*p->tables));
    for (i = 0; i < p->plan.n; i++) {
        const struct table *t = p->plan.tables[i].table.table;

        if (p->sink != NULL && !config_takes_topic(p->sink->config, t->topic, &taken, &err)) {
            findings_add_error(&c->findings, "warehouse", &err);
            p->n = 0;
            return;
        }
        if (p->sink != NULL && !taken)
            continue;
        p->tables[p->n].plan = &p->plan.tables[i];
        p->tables[p->n++].refused = p->plan.tables[i].table.refused;
        note_topic(c, p, t);
    }
    p->untaken = p->plan.n - p->n;
    if (p->untaken > 0)
        findings_add(&c->findings, FINDING_NOTE, "source", NULL,
                     "%d of the %d selected tables are not replicated: %s does not take their "
                     "topics (topics, topics.regex)",
                     p->untaken, p->plan.n, p->sink->name);
    if (p->sink == NULL)
        return;
    choose_targets(c, p, known, nknown);
    for (i = 0; i < p->n; i++)
        make_target(c, p, &p->tables[i]);
}

/* --- as JSON --- */

static json_t *key_names(const struct table *t)
{
    json_t *keys = json_array();
    int i;

    for (i = 0; i < t->nkeys; i++)
        json_array_append_new(keys, json_string(t->cols[t->keys[i]].name));
    return keys;
}

static json_t *columns(const struct check_table *at)
{
    const struct table *t = at->plan->table.table;
    json_t *list = json_array();
    int i;

    for (i = 0; i < t->ncols; i++) {
        const struct column *c = &t->cols[i];
        const struct load_column *to = at->target != NULL ? &at->target->cols[i] : NULL;

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b, s:s?, s:s?, s:s, s:s?}", "name", c->name,
                                        "source_type", c->source_type, "nullable", c->nullable,
                                        "target", to != NULL ? to->name : NULL, "type",
                                        to != NULL ? to->type : NULL, "field", c->field, "note",
                                        at->target != NULL ? at->target->notes[i] : NULL));
    }
    return list;
}

static json_t *table_json(const struct check_pair *p, const struct check_table *at)
{
    const struct table *t = at->plan->table.table;
    json_t *target = json_null();

    if (at->target_name != NULL)
        target = json_pack("{s:s, s:s}", "schema", at->target_schema, "table", at->target_name);
    return json_pack("{s:s, s:s?, s:s, s:s, s:I, s:I, s:o, s:s, s:s, s:o, s:o, s:s?, s:s?}",
                     "source", p->source->name, "warehouse", p->sink ? p->sink->name : NULL,
                     "schema", t->schema, "table", t->name, "rows", (json_int_t)t->est_rows,
                     "bytes", (json_int_t)t->est_bytes, "key", key_names(t), "replica_identity",
                     at->plan->identity, "topic", t->topic, "target", target, "columns",
                     columns(at), "left_out", at->plan->left_out, "refused", at->refused);
}

json_t *check_plan_tables(const struct check_pair *p)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < p->n; i++)
        json_array_append_new(list, table_json(p, &p->tables[i]));
    return list;
}

json_t *check_plan_totals(const struct check_pair *p)
{
    int64_t rows = 0, bytes = 0;
    int i, tables = 0;

    for (i = 0; i < p->n; i++) {
        const struct table *t = p->tables[i].plan->table.table;

        if (p->tables[i].refused != NULL)
            continue;
        tables++;
        rows = rows < 0 || t->est_rows < 0 ? -1 : rows + t->est_rows; /* -1: of one it is unknown */
        bytes += t->est_bytes > 0 ? t->est_bytes : 0;
    }
    return json_pack("{s:s, s:s?, s:s?, s:i, s:i, s:I, s:I, s:o, s:s?, s:o, s:s?}", "source",
                     p->source->name, "warehouse", p->sink ? p->sink->name : NULL, "server",
                     p->asked ? p->plan.identity.version : NULL, "tables", tables, "refused",
                     p->n - tables, "rows", (json_int_t)rows, "bytes", (json_int_t)bytes,
                     "load_seconds",
                     p->plan.load_seconds >= 0 ? json_real(p->plan.load_seconds) : json_null(),
                     "load_how", p->plan.load_how, "log_bytes",
                     p->plan.log_bytes >= 0 ? json_integer(p->plan.log_bytes) : json_null(),
                     "log_how", p->plan.log_how);
}
