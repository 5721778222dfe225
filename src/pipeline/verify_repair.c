/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mends what differs, by what mends everything else: the rows are deleted in the warehouse and
 * wanted, in one transaction of the sink, and read at the source again (refetch.c): until then
 * they are missing, and the table's reason says so. What cannot be named by its key, or is more
 * than was listed, is the whole table's load. Both are in the books: a crash in between loses
 * nothing.
 */
#include "pipeline/verify_internal.h"

#include "util/log.h"

#include <string.h>

/* Until nothing of it is wanted any more. */
static bool wait_rows(struct verify *v, const struct qualified *t, struct error *err)
{
    size_t wanted = 1;

    verify_say(v, "%s.%s: rows are read again", t->schema, t->name);
    while (wanted > 0) {
        if (!verify_rest(v, err))
            return false;
        if (verify_live(v, t->schema, t->name, &wanted) == NULL)
            return true; /* not live: the next comparison says so */
    }
    return true;
}

static bool by_keys(struct verify *v, const struct qualified *t, const struct verify_result *r,
                    bool *done, struct error *err)
{
    struct verify_repair *a = &v->sink.repair;
    int asked = REPAIR_ASKED, state;
    bool ok = true;

    a->flow = r->flow;
    a->keys = r->keys;
    a->n = r->nkeys;
    atomic_store(&a->state, REPAIR_ASKED);
    while ((state = atomic_load(&a->state)) == REPAIR_ASKED || state == REPAIR_TAKING) {
        if (verify_rest(v, err))
            continue;
        ok = false;
        /* One that the sink has begun is the sink's until it has ended; so are the keys. */
        if (atomic_compare_exchange_strong(&a->state, &asked, REPAIR_NONE) || atomic_load(&v->stop))
            return false;
        asked = REPAIR_ASKED;
    }
    *done = state == REPAIR_DONE;
    atomic_store(&a->state, REPAIR_NONE);
    if (ok && *done)
        log_info("verification: rows are read again table=%s.%s rows=%d", t->schema, t->name,
                 r->nkeys);
    return ok && (!*done || wait_rows(v, t, err));
}

static bool by_load(struct verify *v, const struct qualified *t, const struct flow *was,
                    struct error *err)
{
    int64_t load = was->rec.load;
    const struct flow *now;
    size_t wanted;

    verify_say(v, "%s.%s is loaded again", t->schema, t->name);
    loads_want(v->p, was->table->oid, t->schema, t->name, "verification found differences", 0);
    do {
        if (!verify_rest(v, err))
            return false;
        now = verify_live(v, t->schema, t->name, &wanted);
    } while (now == NULL || now->rec.load == load);
    return true;
}

bool verify_repair(struct verify *v, const struct qualified *t, const struct verify_result *r,
                   bool *loaded, struct error *err)
{
    bool done = false;

    verify_deadline(v, 0);
    *loaded = false;
    if (r->keys != NULL) {
        verify_deadline(v, v->what.timeout_ms);
        if (!by_keys(v, t, r, &done, err))
            return error_prefix(err, "repairing %s.%s", t->schema, t->name);
        verify_deadline(v, 0);
        return true; /* not done: altered or loaded meanwhile; what is left is told */
    }
    *loaded = true;
    return by_load(v, t, r->flow, err) || error_prefix(err, "repairing %s.%s", t->schema, t->name);
}
