/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table that is loaded again is known twice: as the catalogue has it now, and as its rows come.
 * Where both have the same columns, they may still differ in what no message of the log tells:
 * whether a column may be NULL, its default, names that it had before. The load takes those from
 * the stream, so that one event schema serves both; what it cannot take (the catalogue allows more
 * than the stream does) the stream takes from the load (feed.c).
 */
#include "pipeline/internal.h"

#include <string.h>

static bool same_column(const struct column *a, const struct column *b)
{
    return strcmp(a->name, b->name) == 0 && a->attnum == b->attnum && a->type_oid == b->type_oid &&
           a->typmod == b->typmod && a->key_pos == b->key_pos && a->identity == b->identity;
}

bool adopt_matches(const struct table *a, const struct table *b)
{
    int i;

    if (strcmp(a->schema, b->schema) != 0 || strcmp(a->name, b->name) != 0 ||
        a->ncols != b->ncols || a->nkeys != b->nkeys || a->replica_identity != b->replica_identity)
        return false;
    for (i = 0; i < a->ncols; i++) {
        if (!same_column(&a->cols[i], &b->cols[i]))
            return false;
    }
    return true;
}

void adopt_version(struct table *now, const struct table *streamed)
{
    int i;

    if (streamed == NULL || !adopt_matches(now, streamed))
        return;
    for (i = 0; i < now->ncols; i++) {
        const struct column *s = &streamed->cols[i];
        struct column *c = &now->cols[i];

        c->aliases = s->aliases;
        c->nullable |= s->nullable;
        c->def = c->nullable ? NULL : s->def;
    }
}
