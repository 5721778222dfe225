/* SPDX-License-Identifier: Apache-2.0 */
#include "change/change.h"

#include <string.h>

static bool same_value(enum type_kind kind, const struct value *a, const struct value *b)
{
    if (a->state != b->state)
        return false;
    if (a->state != VALUE_SET)
        return true;
    switch (kind) {
    case TYPE_BOOL:
    case TYPE_INT16:
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_DATE:
    case TYPE_TIME:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        return a->i == b->i;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        return memcmp(&a->f, &b->f, sizeof(a->f)) == 0;
    default:
        return a->s.len == b->s.len && (a->s.len == 0 || memcmp(a->s.p, b->s.p, a->s.len) == 0);
    }
}

bool change_moves_key(const struct change *c)
{
    int i;

    if (c->before == NULL || c->after == NULL)
        return false;
    for (i = 0; i < c->table->nkeys; i++) {
        int k = c->table->keys[i];

        if (!same_value(c->table->cols[k].kind, &c->before[k], &c->after[k]))
            return true;
    }
    return false;
}
