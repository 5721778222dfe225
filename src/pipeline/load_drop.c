/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies that came to nothing: the table beside, its row in the books, its spool. The sink may be
 * about to put such a copy in its place; it finds the row gone then and begins anew. It may also
 * make the spool only now: what is left over by that is swept up at the next review.
 */
#include "pipeline/loads_internal.h"
#include "util/arena.h"

#include <string.h>

static bool drop(struct loads *l, struct load *d, struct error *err)
{
    const struct warehouse_ops *ops = l->p->o.warehouse;
    struct buf sql = {0};
    char aside[ASIDE_SIZE];
    bool ok;

    atomic_store(&d->void_, true);
    if (!atomic_load(&d->begun)) {
        spool_remove(d->spool_path);
        return true;
    }
    flow_aside(d->flow->rec.load, aside);
    buf_puts(&sql, "DROP TABLE IF EXISTS ");
    target_sql_name(&sql, d->flow->rec.target_schema, aside);
    ok = ops->begin(l->books.session, err) &&
         books_load_abandon(&l->books, d->flow->table->oid, d->flow->rec.load, err) &&
         ops->exec(l->books.session, buf_cstr(&sql), NULL, err) &&
         ops->commit(l->books.session, err);
    buf_free(&sql);
    if (!ok) {
        ops->rollback(l->books.session);
        return false;
    }
    atomic_store(&d->begun, false);
    spool_remove(d->spool_path); /* not before: the sink may be reading it */
    return true;
}

bool loads_drop_earlier(struct loads *l, const struct load *than, struct error *err)
{
    struct load *d;

    for (d = than->next; d != NULL; d = d->next) {
        if (d->flow->table->oid == than->flow->table->oid && !atomic_load(&d->live) &&
            !drop(l, d, err))
            return false;
    }
    return true;
}

bool loads_drop_all(struct loads *l, uint32_t oid, struct error *err)
{
    struct load *d;

    for (d = l->list; d != NULL; d = d->next) {
        if (d->flow->table->oid != oid || atomic_load(&d->live))
            continue;
        d->asked_again = true; /* nobody is to ask again */
        if (!drop(l, d, err))
            return false;
    }
    return true;
}

bool flows_drop_orphans(struct books *b, const struct table_record *rec, bool over_live,
                        struct error *err)
{
    struct arena *a = arena_new("orphans");
    struct table_record orphan = *rec;
    int64_t *loads;
    int n, i;
    bool ok = books_loads_of(b, a, rec->table->oid, &loads, &n, err);

    for (i = over_live ? 1 : 0; ok && i < n; i++) {
        orphan.load = loads[i];
        ok = flows_drop_aside(b, &orphan, err) &&
             books_load_abandon(b, rec->table->oid, loads[i], err);
    }
    arena_free(a);
    return ok;
}

bool flows_drop_all(struct books *b, const struct table_record *rec, const struct table_record *put,
                    struct error *err)
{
    if (!b->ops->begin(b->session, err))
        return false;
    if (flows_drop_orphans(b, rec, false, err) && books_table_remove(b, rec->table->oid, err) &&
        (put == NULL || books_table_put(b, put, err)) && b->ops->commit(b->session, err))
        return true;
    b->ops->rollback(b->session);
    return false;
}

/* Does a load go on with this spool? */
static bool is_owned(const void *ctx, const char *path)
{
    const struct loads *l = ctx;
    const struct load *d;

    for (d = l->list; d != NULL; d = d->next) {
        if (!atomic_load(&d->void_) && !atomic_load(&d->live) && strcmp(d->spool_path, path) == 0)
            return true;
    }
    return false;
}

void loads_sweep_spools(const struct loads *l)
{
    spool_sweep(config_string(l->p->o.service_config, "data.dir"), l->p->o.source_name, is_owned,
                l);
}
