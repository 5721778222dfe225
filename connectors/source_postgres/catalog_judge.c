/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a table can be replicated exactly, and if not, why and which statement mends it. A
 * refused table does not keep the others from running.
 */
#include "source_postgres/catalog_internal.h"
#include "util/causes.h"

/* "what it is; what mends it", with the names put into the cause's hint. */
static const char *refusal(struct arena *a, enum cause cause, const char *what,
                           const char *names[][2])
{
    struct error e = {0};

    error_because(&e, cause);
    for (; (*names)[0] != NULL; names++)
        error_fill(&e, (*names)[0], (*names)[1]);
    return arena_printf(a, "%s; %s", what, e.hint);
}

static const char *qualified(struct arena *a, const char *schema, const char *name)
{
    struct buf b = {0};
    const char *text;

    catalog_qualified(&b, schema, name);
    text = arena_strdup(a, buf_cstr(&b));
    buf_free(&b);
    return text;
}

static const char *ident(struct arena *a, const char *name)
{
    struct buf b = {0};
    const char *text;

    buf_sql_ident(&b, name);
    text = arena_strdup(a, buf_cstr(&b));
    buf_free(&b);
    return text;
}

static const char *identity_words(char identity)
{
    return identity == 'f'   ? "FULL"
           : identity == 'd' ? "DEFAULT"
           : identity == 'n' ? "NOTHING"
                             : "USING INDEX (its index of that kind)";
}

/* Why a partition keeps its root from being replicated exactly; NULL if it does not. */
static const char *leaf_trouble(struct arena *a, const struct catalog_table *ct,
                                const struct catalog_leaf *l)
{
    char root = ct->table->replica_identity;
    const char *leaf = qualified(a, l->schema, l->name);
    const char *names[][2] = {
        {"partition", leaf}, {"identity", identity_words(root)}, {NULL, NULL}};

    if (l->kind != 'r')
        return refusal(a, CAUSE_PARTITION_FOREIGN,
                       arena_printf(a,
                                    "its partition %s is a foreign table, whose changes are not "
                                    "in the log",
                                    leaf),
                       names);
    if (l->persistence != 'p')
        return refusal(a, CAUSE_PARTITION_UNLOGGED,
                       arena_printf(a,
                                    "its partition %s is unlogged, whose changes are not in the "
                                    "log",
                                    leaf),
                       names);
    /* The old row is written as the partition says and labelled as the root says. */
    if (l->replica_identity != root && !(root == 'd' && l->replica_identity == 'f'))
        return refusal(a, CAUSE_PARTITION_IDENTITY,
                       arena_printf(a,
                                    "its partition %s has another replica identity than the "
                                    "table",
                                    leaf),
                       names);
    return NULL;
}

/* A partition's rows are read from the partition: the right to its root does not help. */
static const char *unreadable(struct catalog_reading *r, const struct catalog_table *ct)
{
    const char *what = ct->table->partitioned ? "the role may not read it and its partitions"
                                              : "the role may not read it";
    const char *names[][2] = {{"table", arena_printf(r->arena, "ALL TABLES IN SCHEMA %s",
                                                     ident(r->arena, ct->leaves[0].schema))},
                              {"role", ident(r->arena, r->s->facts.user)},
                              {NULL, NULL}};
    struct buf sql = {0}, one = {0};
    const char *text;
    size_t i;

    catalog_grants(ct, r->s->facts.user, &sql);
    for (i = 0; i < sql.len; i++)
        buf_printf(&one, "%s%c", sql.data[i] == '\n' ? ";" : "",
                   sql.data[i] == '\n' ? ' ' : sql.data[i]);
    if (sql.len < 900) /* of the 1024 that a reason has */
        text = arena_printf(r->arena, "%s; run: %s", what, buf_cstr(&one));
    else
        text = refusal(r->arena, CAUSE_TABLE_UNREADABLE, what, names);
    buf_free(&sql);
    buf_free(&one);
    return text;
}

static const char *rights_refusal(struct catalog_reading *r, const struct catalog_table *ct)
{
    const char *names[][2] = {{"role", ident(r->arena, r->s->facts.user)}, {NULL, NULL}};

    if (!ct->may_select)
        return unreadable(r, ct);
    if (ct->row_security)
        return refusal(r->arena, CAUSE_TABLE_HIDES_ROWS,
                       "row-level security would hide rows of it from the role", names);
    return NULL;
}

static const char *identity_refusal(struct catalog_reading *r, const struct catalog_table *ct)
{
    const char *names[][2] = {{"table", qualified(r->arena, ct->table->schema, ct->table->name)},
                              {NULL, NULL}};

    if (ct->deferrable_key)
        return refusal(r->arena, CAUSE_TABLE_KEY_DEFERRED,
                       "its primary key is deferrable, so it cannot identify rows in the log",
                       names);
    return refusal(r->arena, CAUSE_TABLE_KEYLESS,
                   "it has no primary key or other replica identity, so that publishing it would "
                   "make updates and deletes fail",
                   names);
}

static const char *missing_refusal(struct catalog_reading *r, const struct catalog_table *ct)
{
    const char *names[][2] = {{"table", qualified(r->arena, ct->table->schema, ct->table->name)},
                              {"publication", ident(r->arena, r->s->settings.publication)},
                              {NULL, NULL}};

    return refusal(r->arena, CAUSE_TABLE_UNPUBLISHED, "it is not in the publication", names);
}

/* What keeps the log from carrying it exactly; NULL: nothing. */
static const char *log_refusal(struct catalog_reading *r, const struct catalog_table *ct)
{
    const char *why = NULL;
    int i;

    if (r->pub == NULL)
        return NULL; /* it is only copied */
    if (!ct->has_identity && (!ct->published || ct->table->partitioned))
        return identity_refusal(r, ct);
    for (i = 0; i < ct->nleaves && ct->table->partitioned && why == NULL; i++)
        why = leaf_trouble(r->arena, ct, &ct->leaves[i]);
    return why;
}

void catalog_judge(struct catalog_reading *r, struct catalog_table *ct)
{
    const char *log = log_refusal(r, ct);

    ct->log_refused = log;
    ct->missing = log == NULL && !ct->published;
    ct->refused = rights_refusal(r, ct);
    if (ct->refused == NULL && ct->table->ncols == 0)
        ct->refused = refusal(r->arena, CAUSE_TABLE_EMPTY, "it has no columns that are published",
                              (const char *[][2]){{NULL, NULL}});
    if (ct->refused == NULL)
        ct->refused = log;
    if (ct->refused == NULL && ct->missing) {
        ct->only_missing = true;
        ct->refused = missing_refusal(r, ct);
    }
}
