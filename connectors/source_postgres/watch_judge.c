/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the answers mean. A look at all tables says at once what must be loaded again; an answer
 * that was asked for one table, because its relation was announced, says whether its columns can
 * be followed: that needs more proof (nothing may be unknown of its leaves or its membership).
 *
 * A file that changed together with the columns was rewritten; the comparison is with what was
 * vouched for last, so that no rewrite is missed as long as each answer is newer than the one
 * before. An answer of a look that was overtaken by a later one is not used for that table.
 */
#include "common/pg_error.h"
#include "source_postgres/shape.h"
#include "source_postgres/watch_internal.h"
#include "util/mem.h"

#include <stdio.h>
#include <string.h>

#define ATTACHED_PAGES 128 /* pages of a new leaf that are searched for old rows */

static const char why_added[] = "it was not in the publication for a while";
static const char why_rewritten[] = "its rows were rewritten by an ALTER TABLE";
static const char why_membership[] = "the publication was altered";
static const char why_gone[] = "a partition was detached or dropped";

bool watch_want(struct watch *w, uint32_t root, const struct change_sink *sink, const char *name,
                const char *what, struct error *err)
{
    struct relation *rel = map_get_u32(w->relations->by_oid, root);
    char why[320];

    if (rel == NULL || rel->skip)
        return true;
    snprintf(why, sizeof(why), "%s%s%s", name, name[0] != '\0' ? " " : "", what);
    return relations_refuse(rel, sink, why, err);
}

/* Rows that are older than the attachment, by transaction or by command, were written outside the
 * table. They lie at the start; if they cannot be looked at, they count as there. */
static bool has_old_rows(struct watch *w, uint32_t oid, bool *found, bool *locked,
                         struct error *err)
{
    char sql[512];
    char name[300];
    PGresult *res;

    snprintf(sql, sizeof(sql), "SELECT %u::regclass WHERE has_table_privilege(%u, 'SELECT')", oid,
             oid);
    if (!pg_query(w->conn, "looking at a partition", sql, &res, err))
        return false;
    *found = PQntuples(res) == 0;
    if (!*found)
        snprintf(name, sizeof(name), "%s", PQgetvalue(res, 0, 0));
    PQclear(res);
    if (*found)
        return true;
    snprintf(sql, sizeof(sql),
             "SELECT EXISTS (SELECT FROM ONLY %s x, pg_catalog.pg_inherits i WHERE i.inhrelid = %u "
             "AND (age(x.xmin) > age(i.xmin) OR (x.xmin = i.xmin AND x.cmin::text::bigint < "
             "i.cmin::text::bigint)) AND x.ctid < '(%d,0)'::tid)",
             name, oid, ATTACHED_PAGES);
    *found = true;
    if (!pg_query(w->conn, "looking at a partition", sql, &res, err)) {
        *locked = strcmp(err->sqlstate, "55P03") == 0;
        return *locked || strncmp(err->sqlstate, "42", 2) == 0; /* dropped meanwhile: unknown */
    }
    *found = pg_bool(res, 0, 0);
    PQclear(res);
    return true;
}

/* A relation that nothing is known of: the process was started again, or the leaf is new. */
static bool judge_unknown(struct watch *w, const PGresult *res, int i, const struct leaf *l,
                          bool root_known, bool *locked, const struct change_sink *sink,
                          struct error *err)
{
    const char *name = PQgetvalue(res, i, W_NAME);
    const struct relation *rel = map_get_u32(w->relations->by_oid, l->root);
    bool leaf = l->oid != l->root;
    bool old_rows = false;

    if (!leaf) {
        uint32_t file = rel != NULL && rel->table != NULL ? rel->table->relfilenode : 0;

        if (file != 0 && file != l->file && pg_bool(res, i, W_ALTERED))
            return watch_want(w, l->root, sink, "", why_rewritten, err);
        return true;
    }
    if (!root_known && pg_bool(res, i, W_FILE_NEW))
        return watch_want(w, l->root, sink, name,
                          "(a partition) may have been truncated or rewritten", err);
    if (!root_known && !pg_bool(res, i, W_ATTACHED))
        return true;
    if (!has_old_rows(w, l->oid, &old_rows, locked, err))
        return false;
    return !old_rows || *locked ||
           watch_want(w, l->root, sink, name, "was attached as a partition with rows", err);
}

static bool judge_known(struct watch *w, const PGresult *res, int i, const struct leaf *old,
                        const struct leaf *now, const struct change_sink *sink, struct error *err)
{
    const char *name = PQgetvalue(res, i, W_NAME);

    if (now->oid == now->root && old->file != now->file && old->attributes != now->attributes)
        return watch_want(w, now->root, sink, "", why_rewritten, err);
    if (now->oid != now->root && old->file != now->file)
        return watch_want(w, now->root, sink, name, "(a partition) was truncated or rewritten",
                          err);
    if (strcmp(old->membership, now->membership) != 0)
        return watch_want(w, now->root, sink, "", why_membership, err);
    return true;
}

/* As it was when the table was copied, perhaps by another process? */
static bool same_membership(const struct table *t, const struct leaf *now)
{
    return t == NULL || t->membership == NULL || strcmp(t->membership, now->membership) == 0;
}

/* A leaf whose changes the log does not carry, or labels wrongly. */
static bool judge_leaf(struct watch *w, const PGresult *res, int i, const struct leaf *l,
                       const struct change_sink *sink, struct error *err)
{
    const struct relation *rel = map_get_u32(w->relations->by_oid, l->root);
    char identity = PQgetvalue(res, i, W_IDENTITY)[0];
    char root = rel != NULL && rel->table != NULL ? rel->table->replica_identity : identity;
    const char *name = PQgetvalue(res, i, W_NAME);

    if (l->oid == l->root)
        return true;
    if (pg_bool(res, i, W_ODD))
        return watch_want(w, l->root, sink, name, "(a partition) is not in the log", err);
    if (identity != root && !(root == 'd' && identity == 'f'))
        return watch_want(w, l->root, sink, name, "(a partition) has another replica identity",
                          err);
    return true;
}

static bool judge_row(struct watch *w, const PGresult *res, int i, const struct change_sink *sink,
                      struct error *err)
{
    struct leaf now;
    const struct leaf *old;
    const struct relation *rel;
    struct sighted *seen;
    bool locked = false;
    bool ok;

    watch_take_leaf(res, i, &now);
    now.round = w->round;
    now.looked = true;
    seen = map_get_u32(w->sighted, now.oid);
    if (seen != NULL)
        seen->asked = false;
    if (map_get_u32(w->overtaken, now.root) != NULL)
        return true;
    rel = map_get_u32(w->relations->by_oid, now.root);
    old = map_get_u32(w->leaves, now.oid);
    if (map_get_u32(w->added, now.root) != NULL)
        ok = watch_want(w, now.root, sink, "", why_added, err);
    else if (rel != NULL && !same_membership(rel->table, &now))
        ok = watch_want(w, now.root, sink, "", why_membership, err);
    else if (old != NULL)
        ok = judge_known(w, res, i, old, &now, sink, err);
    else
        ok = judge_unknown(w, res, i, &now, map_get_u32(w->roots, now.root) != NULL, &locked, sink,
                           err);
    ok = ok && judge_leaf(w, res, i, &now, sink, err);
    if (locked)
        return ok;
    watch_vouch(w, &now);
    mem_free(map_remove(w->sighted, &now.oid, sizeof(now.oid)));
    return ok;
}

/* Leaves that were there the last time. */
static bool judge_gone(struct watch *w, const struct change_sink *sink, struct error *err)
{
    const struct leaf *l;
    size_t at = 0;

    while ((l = map_next(w->leaves, &at)) != NULL) {
        if (l->round != w->round && l->oid != l->root &&
            map_get_u32(w->overtaken, l->root) == NULL &&
            !watch_want(w, l->root, sink, "", why_gone, err))
            return false;
    }
    return true;
}

/* Leaves that the log spoke of before the question, and that are not there. */
static bool judge_sighted(struct watch *w, const struct change_sink *sink, struct error *err)
{
    struct sighted *l;
    size_t at = 0;

    while ((l = map_next(w->sighted, &at)) != NULL) {
        uint32_t oid = l->oid, root = l->root;

        if (!l->asked || map_get_u32(w->overtaken, root) != NULL)
            continue;
        mem_free(map_remove(w->sighted, &oid, sizeof(oid)));
        if (!watch_want(w, root, sink, "", why_gone, err))
            return false;
        at = 0; /* a map must not change while it is walked */
    }
    return true;
}

bool watch_judge(struct watch *w, const PGresult *res, const struct change_sink *sink,
                 struct error *err)
{
    struct leaf *l;
    size_t at = 0;
    int i;

    w->round++;
    map_free(w->roots);
    w->roots = map_new();
    while ((l = map_next(w->leaves, &at)) != NULL)
        map_put_u32(w->roots, l->root, w);
    mem_free(w->look);
    w->look = PQntuples(res) > 0 ? mem_strdup(PQgetvalue(res, 0, W_SNAPSHOT)) : NULL;
    for (i = 0; i < PQntuples(res); i++) {
        if (!judge_row(w, res, i, sink, err))
            return false;
    }
    return judge_gone(w, sink, err) && judge_sighted(w, sink, err);
}

static void say(char out[320], const char *name, const char *what)
{
    if (out[0] == '\0')
        snprintf(out, 320, "%s%s%s", name, name[0] != '\0' ? " " : "", what);
}

/* A leaf, or an ordinary table, that nothing was known of. A leaf that is new is for the next look,
 * which searches it for old rows. */
static bool weigh_unknown(const struct table *t, const PGresult *res, int i, const struct leaf *now,
                          bool root_known, struct watch_verdict *v)
{
    const char *name = PQgetvalue(res, i, W_NAME);
    bool leaf = now->oid != now->root;
    bool rewritten =
        !leaf && t->relfilenode != 0 && t->relfilenode != now->file && pg_bool(res, i, W_ALTERED);

    if (rewritten)
        say(v->rewritten, "", why_rewritten);
    if (leaf && root_known)
        say(v->doubt, name, "(a partition) is new");
    else if (leaf && (pg_bool(res, i, W_FILE_NEW) || pg_bool(res, i, W_ATTACHED)))
        say(v->doubt, name, "(a partition) may have been attached, truncated or rewritten");
    if (t->membership == NULL && pg_bool(res, i, W_MEMBER_NEW))
        say(v->doubt, "", "the publication may have been altered");
    if (!same_membership(t, now))
        say(v->rewritten, "", why_membership);
    return !leaf && !rewritten && same_membership(t, now);
}

/* True if it is still what was vouched for, apart from what changes no row. */
static bool weigh_known(const PGresult *res, int i, const struct leaf *old, const struct leaf *now,
                        struct watch_verdict *v)
{
    bool leaf = now->oid != now->root;
    bool rewritten = old->file != now->file && (leaf || old->attributes != now->attributes);

    if (rewritten && !leaf)
        say(v->rewritten, "", why_rewritten);
    if (rewritten && leaf) /* by a TRUNCATE of the root, perhaps, which is an event */
        say(v->doubt, PQgetvalue(res, i, W_NAME), "(a partition) was truncated or rewritten");
    if (strcmp(old->membership, now->membership) != 0)
        say(v->rewritten, "", why_membership);
    return !rewritten && strcmp(old->membership, now->membership) == 0;
}

static void weigh_row(struct watch *w, const struct table *t, const PGresult *res, int i,
                      bool root_known, uint32_t xid, struct watch_verdict *v)
{
    const struct leaf *old;
    struct leaf now;
    bool good;

    watch_take_leaf(res, i, &now);
    old = map_get_u32(w->leaves, now.oid);
    good = old != NULL ? weigh_known(res, i, old, &now, v)
                       : weigh_unknown(t, res, i, &now, root_known, v);
    if (now.oid == now.root) {
        v->file = now.file;
        v->unmoved = old != NULL && old->looked && old->round == w->round && w->look != NULL &&
                     !snapshot_sees(w->look, xid) && old->attributes == now.attributes;
    }
    if (!good) /* the next look sees it too */
        return;
    now.round = w->round;
    watch_vouch(w, &now);
}

void watch_weigh(struct watch *w, const struct table *t, const PGresult *res, uint32_t xid,
                 struct watch_verdict *v)
{
    const struct leaf *l;
    int known = 0, found = 0, i;
    size_t at = 0;

    memset(v, 0, sizeof(*v));
    if (map_get_u32(w->added, t->oid) != NULL)
        say(v->rewritten, "", why_added);
    while ((l = map_next(w->leaves, &at)) != NULL)
        known += l->root == t->oid;
    for (i = 0; i < PQntuples(res); i++) {
        uint32_t oid = (uint32_t)pg_int(res, i, W_OID);

        found += map_get_u32(w->leaves, oid) != NULL;
        weigh_row(w, t, res, i, known > 0, xid, v);
    }
    if (found < known)
        say(v->doubt, "", why_gone);
    if (w->busy)
        map_put_u32(w->overtaken, t->oid, w);
}
