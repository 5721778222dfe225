/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of leaves in the books follows the log: a leaf is in it no later than with the
 * checkpoint that covers its first row, so that one which is gone after a stop is missed
 * (tables.c). Of the list in a record only its own thread may think; what the log adds to it is
 * kept here, and put into the row in the books whenever that lacks it.
 */
#include "pipeline/batch.h"
#include "util/mem.h"

#include <stdlib.h>

void sink_take_leaf(struct sink *s, const struct event *e)
{
    struct sink_table *t = sink_table(s, e->oid);
    int i;

    for (i = 0; i < t->nleaves; i++) {
        if (t->leaves[i].oid == e->leaf)
            break;
    }
    if (i == t->nleaves) {
        t->leaves = mem_realloc(t->leaves, ((size_t)i + 1) * sizeof(*t->leaves));
        t->nleaves++;
    }
    t->leaves[i] = (struct sink_leaf){.oid = e->leaf, .csn = s->tx_csn};
    t->leaves_said = t->leaves_said_load = 0;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* The record's list, and those that came since its point; false if that is the list itself. */
static bool list(const struct sink_table *t, const struct table_record *rec, struct buf *out)
{
    const char *at = rec->table->leaves;
    uint32_t *oids = mem_calloc(strlen(at) + (size_t)t->nleaves + 1, sizeof(*oids));
    int n = 0, old, i;

    while (*at != '\0' && at[1] != '\0')
        oids[n++] = (uint32_t)strtoul(at + 1, (char **)&at, 10);
    for (i = 0, old = n; i < t->nleaves; i++) {
        if (t->leaves[i].csn >= rec->s && !table_lists_leaf(rec->table->leaves, t->leaves[i].oid))
            oids[n++] = t->leaves[i].oid;
    }
    qsort(oids, (size_t)n, sizeof(*oids), by_number);
    buf_puts(out, ",");
    for (i = 0; i < n; i++)
        buf_printf(out, "%u,", oids[i]);
    mem_free(oids);
    return n > old;
}

static bool save(struct sink *s, const struct sink_table *t, const struct table_record *rec,
                 struct error *err)
{
    struct buf leaves = {0};
    bool ok = rec->table->leaves == NULL || !list(t, rec, &leaves) ||
              books_table_leaves(&s->books, t->oid, rec->load, buf_cstr(&leaves), err);

    buf_free(&leaves);
    return ok;
}

bool sink_leaves_save(struct sink *s, struct sink_table *t, struct error *err)
{
    if (t->flow == NULL || t->leaves_said == t->nleaves)
        return true;
    t->leaves_said = t->nleaves;
    return save(s, t, &t->flow->rec, err);
}

bool sink_leaves_save_load(struct sink *s, struct sink_table *t, struct error *err)
{
    const struct table_record *rec = &t->load->flow->rec;

    if (t->leaves_load == rec->load && t->leaves_said_load == t->nleaves)
        return true;
    t->leaves_load = rec->load;
    t->leaves_said_load = t->nleaves;
    return save(s, t, rec, err);
}
