/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a table can be replicated exactly, and if not, why and which statement mends it. A
 * refused table does not keep the others from running.
 */
#include "source_postgres/catalog_internal.h"

/* Why a partition keeps its root from being replicated exactly; NULL if it does not. */
static const char *leaf_trouble(struct arena *a, const struct catalog_table *ct,
                                const struct catalog_leaf *l)
{
    char root = ct->table->replica_identity;
    struct buf b = {0};
    const char *text = NULL;

    if (l->kind != 'r' || l->persistence != 'p') {
        buf_puts(&b, "its partition ");
        catalog_qualified(&b, l->schema, l->name);
        buf_printf(&b, " is %s, whose changes are not in the log; %s",
                   l->kind != 'r' ? "a foreign table" : "unlogged",
                   l->kind != 'r' ? "detach it or leave the table out" : "run: ALTER TABLE ");
        if (l->kind == 'r') {
            catalog_qualified(&b, l->schema, l->name);
            buf_puts(&b, " SET LOGGED");
        }
    } else if (l->replica_identity != root && !(root == 'd' && l->replica_identity == 'f')) {
        /* The old row is written as the partition says and labelled as the root says. */
        buf_puts(&b, "its partition ");
        catalog_qualified(&b, l->schema, l->name);
        buf_puts(&b, " has another replica identity than the table; run: ALTER TABLE ");
        catalog_qualified(&b, l->schema, l->name);
        buf_printf(&b, " REPLICA IDENTITY %s",
                   root == 'f'   ? "FULL"
                   : root == 'd' ? "DEFAULT"
                   : root == 'n' ? "NOTHING"
                                 : "USING INDEX (its index of that kind)");
    }
    if (b.len > 0)
        text = arena_strdup(a, buf_cstr(&b));
    buf_free(&b);
    return text;
}

static const char *refusal(struct arena *a, const char *before, const struct table *t,
                           const char *after)
{
    struct buf b = {0};
    const char *text;

    buf_puts(&b, before);
    catalog_qualified(&b, t->schema, t->name);
    buf_puts(&b, after);
    text = arena_strdup(a, buf_cstr(&b));
    buf_free(&b);
    return text;
}

static const char *rights_refusal(struct catalog_reading *r, const struct catalog_table *ct)
{
    struct buf user = {0};
    const char *text = NULL;

    buf_sql_ident(&user, r->s->facts.user);
    if (!ct->may_select)
        text = refusal(r->arena,
                       ct->table->partitioned
                           ? "the role may not read it and its partitions; run: GRANT SELECT ON "
                           : "the role may not read it; run: GRANT SELECT ON ",
                       ct->table, arena_printf(r->arena, " TO %s", buf_cstr(&user)));
    else if (ct->row_security)
        text = arena_printf(r->arena,
                            "row-level security would hide rows of it from the role; run: ALTER "
                            "ROLE %s BYPASSRLS",
                            buf_cstr(&user));
    buf_free(&user);
    return text;
}

static const char *identity_refusal(struct catalog_reading *r, const struct catalog_table *ct)
{
    return refusal(r->arena,
                   ct->deferrable_key
                       ? "its primary key is deferrable, so it cannot identify rows in the log; "
                         "run: ALTER TABLE "
                       : "it has no primary key or other replica identity, so that publishing it "
                         "would make updates and deletes fail; run: ALTER TABLE ",
                   ct->table, " REPLICA IDENTITY FULL");
}

static const char *missing_refusal(struct catalog_reading *r, const struct catalog_table *ct)
{
    struct buf b = {0};
    const char *text;

    buf_puts(&b, "it is not in the publication; run: ALTER PUBLICATION ");
    buf_sql_ident(&b, r->s->settings.publication);
    buf_puts(&b, " ADD TABLE ");
    text = refusal(r->arena, buf_cstr(&b), ct->table, "");
    buf_free(&b);
    return text;
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

    ct->missing = log == NULL && !ct->published;
    ct->refused = rights_refusal(r, ct);
    if (ct->refused == NULL && ct->table->ncols == 0)
        ct->refused = "it has no columns that are published";
    if (ct->refused == NULL)
        ct->refused = log;
    if (ct->refused == NULL && ct->missing) {
        ct->only_missing = true;
        ct->refused = missing_refusal(r, ct);
    }
}
