/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction of a table without a key, a multiset of rows: a row is what its record's Avro bytes
 * are, and each distinct row has a net count. Needs every column of every old row; what the log
 * did not carry cannot be taken from elsewhere, so it is an error that names the remedy.
 */
#include "load/compact_internal.h"

#include <string.h>

static size_t magnitude(int64_t n)
{
    return (size_t)(n < 0 ? -n : n);
}

void compact_count_keyless(struct compact *c, const uint8_t *row, size_t len, bool copy, int64_t n,
                           int64_t csn, int64_t commit_us)
{
    bool made;
    struct entry *en = compact_entry(c, row, len, copy, &made);

    c->rows -= magnitude(en->net);
    en->net += n;
    c->rows += magnitude(en->net);
    if (csn < en->csn) /* rows that an alteration made equal */
        return;
    en->csn = csn;
    en->committed_us = commit_us;
}

bool compact_add_keyless(struct compact *c, const struct event *e, int64_t csn, int64_t commit_us,
                         struct error *err)
{
    bool removes = e->op == 'd' || e->op == 'u';
    bool adds = e->op != 'd';
    struct event_slices sl;

    if (!compact_slices(c, e->value, e->value_len, &sl, err))
        return false;
    if (compact_lacks(&sl))
        return compact_missing(c, "a change of a table without a key lacks a column", &sl, err);
    if (removes && sl.before == NULL)
        return compact_missing(c, "a change of a table without a key came without the old row",
                               NULL, err);
    if (adds && sl.after == NULL)
        return error_set(err, ERROR_DATA, "%s.%s: an event '%c' without an after image",
                         c->table->schema, c->table->name, e->op);
    if (removes)
        compact_count_keyless(c, sl.before, sl.before_len, false, -1, csn, commit_us);
    if (adds)
        compact_count_keyless(c, sl.after, sl.after_len, false, 1, csn, commit_us);
    return true;
}

bool compact_next_keyless(struct compact *c, bool first, bool *done, struct error *err)
{
    const struct entry *en;

    if (first) {
        c->at = 0;
        c->left = 0;
    }
    if (c->left == 0) {
        while (c->at < c->n && c->entries[c->at].net == 0)
            c->at++;
        if (c->at == c->n) {
            *done = true;
            return true;
        }
        en = &c->entries[c->at++];
        arena_reset(c->scratch);
        memset(&c->row, 0, sizeof(c->row));
        if (!decoder_row(c->decoder, en->id, en->id_len, NULL, 0, c->scratch, c->values, err))
            return error_prefix(err, "%s.%s", c->table->schema, c->table->name);
        c->row.upsert = en->net > 0;
        c->row.values = c->values;
        c->row.csn = en->csn;
        c->row.committed_us = en->committed_us;
        c->left = (int64_t)magnitude(en->net);
    }
    c->left--;
    return true;
}
