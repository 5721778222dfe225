/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points come from slots only: a plain snapshot with a "current LSN" beside it is not exact, since
 * a commit can be in the log before a snapshot sees it. Transactions with csn < S are in the
 * snapshot, those with csn >= S are not.
 *
 * Chunks are ctid ranges of one relation each, many and small: pages hold very different numbers
 * of rows after deletes, and short transactions keep a user's ALTER from queueing behind us. They
 * belong to this one snapshot. Of large tables they are ranges of keys (snapshot_ranges.c), which
 * do not.
 */
#include "source_postgres/point.h"

#include "source_postgres/publication.h"
#include "source_postgres/slot.h"
#include "source_postgres/watch.h"
#include "util/causes.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/log.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool point_import(struct pg_conn *c, const char *snapshot, struct error *err)
{
    char sql[256];

    snprintf(sql, sizeof(sql),
             "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '%s'",
             snapshot);
    if (pg_query(c, "importing the snapshot", sql, NULL, err))
        return true;
    if (strcmp(err->sqlstate, "22023") == 0 || strcmp(err->sqlstate, "55000") == 0 ||
        strcmp(err->sqlstate, "42704") == 0) {
        error_because(err, CAUSE_SNAPSHOT_GONE); /* another point mends it */
    }
    return false;
}

/* A name that no other run makes: SLOT_ and hex, 63 bytes at most. */
static void temporary_name(const struct source *s, char *out, size_t size)
{
    uint64_t mix = (uint64_t)clock_wall_us() ^ (uint64_t)getpid() << 40;

    snprintf(out, size, "%.46s_%016llx", s->settings.slot, (unsigned long long)mix);
}

static bool open_holder(struct source_point *p, const struct slot_made *made, struct error *err)
{
    PGresult *res;

    if (!pg_conn_open(&p->holder, &p->s->target, "holder", false, err) ||
        !point_import(p->holder, made->snapshot, err) ||
        !pg_query(p->holder, "exporting the snapshot", "SELECT pg_catalog.pg_export_snapshot()",
                  &res, err))
        return false;
    snprintf(p->snapshot, sizeof(p->snapshot), "%s", PQgetvalue(res, 0, 0));
    PQclear(res);
    return true;
}

bool point_open(struct source *s, bool durable, struct source_point **out, int64_t *csn,
                char position[POSITION_SIZE], struct error *err)
{
    struct source_point *p = mem_calloc(1, sizeof(*p));
    char name[PG_NAME_SIZE];
    struct slot_made made;
    struct pg_conn *c;

    p->s = s;
    p->durable = durable;
    if (durable)
        snprintf(name, sizeof(name), "%s", s->settings.slot);
    else
        temporary_name(s, name, sizeof(name));
    /* The version decides the command: the facts must be there. */
    if (!pg_control(s, &c, err) || !slot_make(s, name, !durable, &made, err))
        goto fail;
    if (!open_holder(p, &made, err)) {
        slot_undo(&made, name);
        goto fail;
    }
    FAILPOINT("point.after-holder");
    pg_conn_close(made.maker); /* a temporary slot is gone now */
    FAILPOINT("point.after-open");
    p->s_lsn = made.consistent_point;
    *csn = (int64_t)p->s_lsn;
    pg_lsn_text(p->s_lsn, position, POSITION_SIZE);
    log_info("snapshot point opened position=%s slot=%s temporary=%s", position, name,
             durable ? "no" : "yes");
    *out = p;
    return true;
fail:
    point_close(p);
    return false;
}

void point_close(struct source_point *p)
{
    if (p == NULL)
        return;
    watch_point_closed(p->s->watch, (int64_t)p->s_lsn);
    pg_conn_close(p->holder);
    mem_free(p);
    FAILPOINT("point.after-close");
}

/* How many chunks cover that many pages; an empty relation has one, since it may have grown. */
static uint64_t chunks_of(const struct source *s, uint64_t blocks)
{
    uint64_t per = (uint64_t)s->settings.chunk_pages;

    return blocks <= per ? 1 : (blocks + per - 1) / per;
}

static void cut_leaf(const struct source *s, const struct catalog_leaf *l, struct source_table *st)
{
    uint64_t n = chunks_of(s, l->blocks);
    uint64_t i;

    for (i = 0; i < n; i++) {
        struct chunk *c = &st->chunks[st->nchunks];

        c->number = st->nchunks++;
        c->rel = l->oid;
        c->from = i * (uint64_t)s->settings.chunk_pages;
        c->to = i + 1 == n ? UINT64_MAX : c->from + (uint64_t)s->settings.chunk_pages;
    }
}

static void cut_table(const struct source *s, struct arena *a, const struct catalog_table *ct,
                      struct source_table *st)
{
    uint64_t n = 0;
    int i;

    for (i = 0; i < ct->nleaves; i++)
        n += chunks_of(s, ct->leaves[i].blocks);
    st->chunks = arena_calloc(a, n + 1, sizeof(*st->chunks));
    for (i = 0; i < ct->nleaves; i++)
        cut_leaf(s, &ct->leaves[i], st);
}

bool point_tables(struct source_point *p, struct arena *a, struct source_table **tables, int *n,
                  struct error *err)
{
    struct source *s = p->s;
    struct pg_conn *c = NULL;
    struct publication pub;
    struct catalog cat;
    bool ok;
    int i;

    /* A session of its own: an error must not end the holder's transaction. */
    ok = pg_conn_open(&c, &s->target, "tables", false, err) && point_import(c, p->snapshot, err) &&
         publication_read(s, c, &pub, err);
    if (ok && !pub.exists && p->durable)
        ok = error_cause(err, CAUSE_PUBLICATION_DROPPED, "publication \"%s\" was dropped",
                         s->settings.publication);
    ok = ok && catalog_read(s, c, a, pub.exists ? &pub : NULL, true, &cat, err) &&
         watch_note(s->watch, c, (int64_t)p->s_lsn, &cat, err);
    pg_conn_close(c);
    if (!ok)
        return false;
    *n = cat.n;
    *tables = arena_calloc(a, (size_t)cat.n + 1, sizeof(**tables));
    for (i = 0; i < cat.n; i++) {
        struct source_table *st = &(*tables)[i];

        st->table = cat.tables[i].table;
        st->refused = cat.tables[i].refused;
        if (st->refused == NULL)
            cut_table(s, a, &cat.tables[i], st);
    }
    return true;
}
