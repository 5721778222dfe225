/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast rows come out of this server over this link: the largest table is read for a moment, in
 * short statements as a load reads it, and thrown away. What is measured is the share of the
 * table's pages a second, taken for the whole of its size (what lies out of line included). The
 * warehouse's own speed is not part of it.
 */
#include "source_postgres/check_internal.h"

#include "util/buf.h"
#include "util/clock.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS 400                   /* how long is read */
#define MIN_MS 20                     /* less is no measurement */
#define STEP_PAGES 256                /* 2 MB a statement */
#define ASSUMED_RATE (20.0 * 1048576) /* bytes a second, where nothing could be measured */

struct sample {
    const struct catalog_table *table;
    const struct catalog_leaf *leaf;
};

static bool readable(const struct catalog_table *ct)
{
    return ct->may_select && !ct->row_security && ct->table->ncols > 0;
}

/* The leaf with the most pages. */
static bool choose(const struct catalog *cat, struct sample *out)
{
    int i, j;

    memset(out, 0, sizeof(*out));
    for (i = 0; i < cat->n; i++) {
        const struct catalog_table *ct = &cat->tables[i];

        for (j = 0; j < ct->nleaves && readable(ct); j++) {
            const struct catalog_leaf *l = &ct->leaves[j];

            if (l->kind == 'r' && (out->leaf == NULL || l->blocks > out->leaf->blocks)) {
                out->table = ct;
                out->leaf = l;
            }
        }
    }
    return out->leaf != NULL && out->leaf->blocks > 0;
}

static bool read_pages(struct pg_conn *c, const struct catalog_leaf *l, uint64_t from, uint64_t to,
                       struct error *err)
{
    struct buf sql = {0};
    bool ok;
    char *row;
    int len;

    buf_puts(&sql, "COPY (SELECT * FROM ONLY ");
    catalog_qualified(&sql, l->schema, l->name);
    buf_printf(&sql,
               " WHERE ctid >= '(%llu,0)'::pg_catalog.tid AND ctid < '(%llu,0)'::pg_catalog.tid) "
               "TO STDOUT",
               (unsigned long long)from, (unsigned long long)to);
    ok = pg_query(c, "reading a sample", buf_cstr(&sql), NULL, err);
    while (ok && (ok = pg_copy_next(c, "reading a sample", &row, &len, err)) && row != NULL)
        PQfreemem(row);
    buf_free(&sql);
    return ok;
}

/* Bytes of the table a second; 0: not to be known. */
static double measure(struct pg_conn *c, const struct sample *m, uint64_t *pages, int64_t *ms)
{
    int64_t began = clock_mono_ms();
    double all = 0;
    struct error ignored;
    uint64_t total = 0;
    int i;

    for (i = 0; i < m->table->nleaves; i++)
        total += m->table->leaves[i].blocks;
    *pages = 0;
    *ms = 0;
    while (*pages < m->leaf->blocks && *ms < LOOK_MS) {
        uint64_t to = *pages + STEP_PAGES;

        if (!read_pages(c, m->leaf, *pages, to < m->leaf->blocks ? to : m->leaf->blocks, &ignored))
            return 0;
        *pages = to < m->leaf->blocks ? to : m->leaf->blocks;
        *ms = clock_mono_ms() - began;
    }
    if (*ms < MIN_MS || total == 0)
        return 0;
    all = (double)m->table->table->est_bytes * (double)*pages / (double)total;
    return all * 1000 / (double)*ms;
}

static int64_t all_bytes(const struct catalog *cat)
{
    int64_t bytes = 0;
    int i;

    for (i = 0; i < cat->n; i++) {
        if (cat->tables[i].table->est_bytes > 0 && cat->tables[i].log_refused == NULL)
            bytes += cat->tables[i].table->est_bytes;
    }
    return bytes;
}

void check_measure(struct pg_conn *c, struct arena *a, const struct catalog *cat,
                   struct source_plan *plan)
{
    int64_t bytes = all_bytes(cat), ms = 0;
    struct sample m;
    uint64_t pages = 0;
    double rate = 0;
    char text[32], read[32];

    if (choose(cat, &m))
        rate = measure(c, &m, &pages, &ms);
    if (rate > 0)
        plan->load_how = arena_printf(
            a, "measured: %s/s, %s of %s.%s read in %lld ms; the warehouse may be slower",
            check_size((int64_t)rate, text, sizeof(text)),
            check_size((int64_t)pages * 8192, read, sizeof(read)), m.leaf->schema, m.leaf->name,
            (long long)ms);
    else
        plan->load_how =
            arena_printf(a, "assumed: %s/s, since too little could be read to measure it",
                         check_size((int64_t)ASSUMED_RATE, text, sizeof(text)));
    plan->load_seconds = (double)bytes / (rate > 0 ? rate : ASSUMED_RATE);
}
