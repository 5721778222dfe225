/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads of tables that are cut by ranges of their key. The ranges stand in the books from the
 * begin, each with the point as of which it was copied. A load that is cut off goes on: the ranges
 * that are missing are copied as of another point, and the spool, which holds every change since
 * the first point, counts for each range from its own point on (load/ranges.h).
 */
#include "load/ranges.h"
#include "pipeline/load.h"
#include "util/mem.h"

#include <stdlib.h>
#include <string.h>

static void take_chunk(struct load_copy *c, const struct books_chunk *b)
{
    if (b->number == LOAD_CHUNK_SPOOL) {
        c->spool_at = b->rows;
        c->spool_csn = b->s;
        c->spool_us = b->from != NULL ? strtoll(b->from, NULL, 10) : 0;
        c->lacks = b->to != NULL; /* LOAD_CHUNK_WANTED */
    } else if (b->number == LOAD_CHUNK_KEY) {
        c->keyed = true;
    } else if (b->from != NULL || b->to != NULL) {
        c->ranges[c->n++] = *b;
        c->done += b->done;
        c->rows += b->done ? b->rows : 0;
        if (b->done && b->s > c->newest)
            c->newest = b->s;
    }
}

bool load_copy_read(struct books *b, struct arena *a, const struct table_record *rec,
                    struct load_copy *out, struct error *err)
{
    struct books_chunk *chunks;
    int n, i;

    memset(out, 0, sizeof(*out));
    if (!books_chunks_read(b, a, rec->table->oid, rec->load, &chunks, &n, err))
        return false;
    out->ranges = arena_calloc(a, (size_t)n + 1, sizeof(*out->ranges));
    for (i = 0; i < n; i++)
        take_chunk(out, &chunks[i]);
    return true;
}

bool load_ranges_new(struct ranges **out, const struct flow *f, const struct load_copy *c,
                     struct error *err)
{
    const struct table *t = f->table;
    struct range *list = mem_calloc((size_t)c->n + 1, sizeof(*list));
    bool ok = true;
    int i;

    *out = NULL;
    for (i = 0; i < c->n; i++) {
        list[i].from = c->ranges[i].from;
        list[i].to = c->ranges[i].to;
        list[i].s = c->ranges[i].done ? c->ranges[i].s : 0;
        ok = ok && c->ranges[i].number == i && (!c->ranges[i].done || c->ranges[i].s > 0);
    }
    if (!ok || t->nkeys == 0) {
        ok = error_set(err, ERROR_DATA, "%s.%s: the books' ranges of load %lld are not whole",
                       t->schema, t->name, (long long)f->rec.load);
        if (err != NULL)
            err->reload = true;
    } else {
        ok = ranges_new(out, t->cols[t->keys[0]].kind, list, c->n, err);
    }
    mem_free(list);
    return ok;
}

struct chunk *load_ranges_missing(struct arena *a, const struct load_copy *c,
                                  const struct source_table *st, int *n)
{
    struct chunk *list = arena_calloc(a, (size_t)c->n + 1, sizeof(*list));
    int i;

    *n = 0;
    for (i = 0; i < c->n; i++) {
        struct chunk *k = &list[*n];

        if (c->ranges[i].done)
            continue;
        (*n)++;
        k->number = c->ranges[i].number;
        k->rel = st->nchunks > 0 ? st->chunks[0].rel : st->table->oid;
        k->to = UINT64_MAX;
        k->from_key = c->ranges[i].from;
        k->to_key = c->ranges[i].to;
    }
    return list;
}

bool load_cut(struct pipeline *p, struct source_point *point, struct arena *a,
              struct source_table *st, struct error *err)
{
    const struct source_ops *ops = p->o.source;

    return st->nchunks == 0 || ops->point_cut == NULL || ops->point_cut(point, a, st, err);
}

bool load_is_by_ranges(const struct source_table *st)
{
    return st->nchunks > 1 && st->chunks[0].to_key != NULL;
}

bool load_ranges_plan(struct books *b, const struct table_record *rec,
                      const struct source_table *st, struct error *err)
{
    struct books_chunk *list = mem_calloc((size_t)st->nchunks, sizeof(*list));
    bool ok;
    int i;

    for (i = 0; i < st->nchunks; i++) {
        list[i].number = st->chunks[i].number;
        list[i].from = st->chunks[i].from_key;
        list[i].to = st->chunks[i].to_key;
    }
    ok = books_chunks_plan(b, rec->table->oid, rec->load, list, st->nchunks, err);
    mem_free(list);
    return ok;
}

struct range_judge *load_judge(const struct load *l)
{
    const struct flow *f = l->flow;

    if (l->ranges == NULL)
        return NULL;
    return range_judge_new(l->ranges, f->event_table, f->decoder, f->key_id);
}

bool load_may_go_on(struct load *l)
{
    return l->by_ranges && atomic_load(&l->begun) && !atomic_load(&l->copied) &&
           !atomic_load(&l->void_) && l->flow->decoder != NULL;
}
