/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what the source has to flows that are to be loaded: which tables the warehouse takes, what
 * their targets are called, and what keeps one of them from being loaded.
 */
#include "config/feeds.h"
#include "pipeline/internal.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool no_data(const struct pipeline *p)
{
    const char *mode = config_string(p->o.source_config, "snapshot.mode");

    return mode != NULL && (strcmp(mode, "no_data") == 0 || strcmp(mode, "never") == 0);
}

static bool same_target(const struct pipeline *p, const char *schema, const char *name,
                        const char *other_schema, const char *other_name)
{
    if (p->o.warehouse->dialect->case_folds)
        return strcasecmp(schema, other_schema) == 0 && strcasecmp(name, other_name) == 0;
    return strcmp(schema, other_schema) == 0 && strcmp(name, other_name) == 0;
}

static bool all_lower_case(const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s >= 'A' && *s <= 'Z')
            return false;
    }
    return true;
}

/*
 * The target's name is the table's, unless the warehouse takes another table's for the same (they
 * differ only in case): then the one that is all lower case keeps it, or the one that has it
 * already, and the other gets "_" and 8 hex digits of its true name's SHA-256. A table keeps the
 * target that it has as long as its own name stays.
 */
static void choose_target(struct take *k, struct flow *f, const struct table *t)
{
    bool renamed = f->rec.target_name == NULL || strcmp(f->rec.table->schema, t->schema) != 0 ||
                   strcmp(f->rec.table->name, t->name) != 0;
    bool plain = all_lower_case(t->schema) && all_lower_case(t->name);
    int i;

    if (!renamed)
        return;
    f->rec.target_schema = t->schema;
    f->rec.target_name = t->name;
    for (i = 0; i < k->nflows; i++) {
        const struct flow *o = k->flows[i];
        bool there = o->rec.target_name != NULL;

        if (o == f || o->rec.table->oid == t->oid ||
            !same_target(k->p, t->schema, t->name,
                         there ? o->rec.target_schema : o->rec.table->schema,
                         there ? o->rec.target_name : o->rec.table->name))
            continue;
        if (there || !plain) {
            f->rec.target_name = table_suffixed_name(k->arena, t);
            log_info("target of its own name, for %s.%s differs only in case table=%s.%s target=%s",
                     o->rec.table->schema, o->rec.table->name, t->schema, t->name,
                     f->rec.target_name);
            return;
        }
    }
}

static bool stopped(struct take *k, struct flow *f, enum table_state state, const char *reason)
{
    f->rec.state = state;
    f->rec.loaded = false;
    f->rec.reason = arena_strdup(k->arena, reason);
    k->refused = true;
    return true;
}

bool take_table(struct take *k, struct flow *f, struct source_table *st, struct error *err)
{
    char reason[2100];
    bool exists = false, ours = false, other = false;

    k->refused = false;
    choose_target(k, f, st->table);
    if (f->rec.table == NULL || f->rec.table->topic == NULL ||
        strcmp(f->rec.table->topic, st->table->topic) != 0) {
        f->rec.value_schema = f->rec.key_schema = NULL; /* of another subject */
        f->rec.value_id = f->rec.key_id = 0;
    }
    f->rec.table = f->table = st->table;
    f->rec.names = NULL; /* of a target that is to come */
    f->rec.nkept = 0;
    if (st->refused != NULL)
        return stopped(k, f, TABLE_REFUSED, st->refused);
    if (!books_target_exists(k->books, f->rec.target_schema, f->rec.target_name, &exists, &other,
                             &ours, err))
        return false;
    if (exists && (!ours || other))
        return stopped(k, f, TABLE_REFUSED,
                       "the warehouse already has a table of that name, and it is not ours: "
                       "rename or drop it, then run: penstock resync, or restart penstock");
    f->rec.state = TABLE_LOADING;
    f->rec.loaded = false;
    f->rec.reason = NULL;
    if (!flow_compile(k->p, k->arena, f, err)) {
        if (err->kind != ERROR_DATA)
            return false;
        return stopped(k, f, TABLE_NEEDS_SNAPSHOT, flow_reason(err, reason, sizeof(reason)));
    }
    if (no_data(k->p) && !ours)
        st->nchunks = 0; /* a table that has rows already is copied again like any other */
    return true;
}

/* "a.b"."c" and "a"."b.c" would share a topic: each of them gets a suffix of its true name. */
static void separate_topics(struct arena *a, struct source_table *tables, int n)
{
    struct map *seen = map_new();
    bool *clash = arena_calloc(a, (size_t)n + 1, sizeof(*clash));
    int i;

    for (i = 0; i < n; i++) {
        const char *topic = tables[i].table->topic;
        struct source_table *first = map_get(seen, topic, strlen(topic));

        if (first == NULL) {
            map_put(seen, topic, strlen(topic), &tables[i]);
        } else {
            clash[i] = true;
            clash[first - tables] = true;
        }
    }
    for (i = 0; i < n; i++) {
        if (clash[i]) {
            table_topic_suffix(a, tables[i].table);
            log_debug("topic of its own table=%s.%s topic=%s", tables[i].table->schema,
                      tables[i].table->name, tables[i].table->topic);
        }
    }
    map_free(seen);
}

bool take_selected(struct pipeline *p, struct arena *a, struct source_table *tables, int *n,
                   struct error *err)
{
    int i, kept = 0;
    bool taken;

    separate_topics(a, tables, *n);
    for (i = 0; i < *n; i++) {
        if (!config_takes_topic(p->o.sink_config, tables[i].table->topic, &taken, err))
            return false;
        if (taken)
            tables[kept++] = tables[i];
    }
    *n = kept;
    return true;
}
