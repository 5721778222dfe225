/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoint and intent, and what the other files books*.c share. The compare-and-set on
 * checkpoints makes every batch exactly-once: who does not find the row at the position where its
 * batch starts does not own it any more.
 */

#include "state/books_internal.h"
#include "util/causes.h"
#include "util/clock.h"

#include <jansson.h>
#include <stdlib.h>

bool books_exec(struct books *b, struct buf *sql, int64_t *affected, struct error *err)
{
    return b->ops->exec(b->session, buf_cstr(sql), affected, err);
}

void books_where(struct buf *sql, const struct books *b)
{
    buf_puts(sql, " WHERE connector = ");
    buf_sql_string(sql, b->connector);
    buf_puts(sql, " AND source = ");
    buf_sql_string(sql, b->source);
}

void books_where_table(struct buf *sql, const struct books *b, uint32_t oid)
{
    books_where(sql, b);
    buf_printf(sql, " AND source_id = %u", oid);
}

void books_where_load(struct buf *sql, const struct books *b, uint32_t oid, int64_t load)
{
    books_where_table(sql, b, oid);
    buf_printf(sql, " AND load = %lld", (long long)load);
}

void books_owner_values(struct buf *sql, const struct books *b, uint32_t oid)
{
    buf_sql_string(sql, b->connector);
    buf_puts(sql, ", ");
    buf_sql_string(sql, b->source);
    buf_printf(sql, ", %u", oid);
}

void books_string_or_null(struct buf *sql, const char *s)
{
    if (s == NULL)
        buf_puts(sql, "NULL");
    else
        buf_sql_string(sql, s);
}

void books_put_string(struct buf *sql, const char *s)
{
    buf_puts(sql, ", ");
    books_string_or_null(sql, s);
}

int64_t books_int(const char *cell)
{
    return cell == NULL ? 0 : strtoll(cell, NULL, 10);
}

bool books_bool(const char *cell)
{
    return cell != NULL && cell[0] == 't';
}

bool books_delete_all(struct books *b, const char *table, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_printf(&sql, "DELETE FROM penstock.%s", table);
    books_where(&sql, b);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

static char *identity_text(const struct source_identity *id)
{
    json_t *j = json_pack("{s:s, s:i, s:s, s:I, s:s}", "system_identifier", id->system, "timeline",
                          (int)id->timeline, "database", id->database, "database_oid",
                          (json_int_t)id->database_oid, "mark", id->mark);
    char *text;

    if (id->timeline_began[0] != '\0')
        json_object_set_new(j, "timeline_began", json_string(id->timeline_began));
    text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}

static bool identity_parse(const char *text, struct source_identity *id, struct error *err)
{
    json_t *j = json_loads(text, 0, NULL);
    const char *system, *database, *mark, *began = "";
    int timeline;
    json_int_t oid;
    bool ok =
        j != NULL && json_unpack(j, "{s:s, s:i, s:s, s:I, s:s, s?s}", "system_identifier", &system,
                                 "timeline", &timeline, "database", &database, "database_oid", &oid,
                                 "mark", &mark, "timeline_began", &began) == 0;

    memset(id, 0, sizeof(*id));
    if (ok) {
        snprintf(id->system, sizeof(id->system), "%s", system);
        snprintf(id->database, sizeof(id->database), "%s", database);
        snprintf(id->mark, sizeof(id->mark), "%s", mark);
        snprintf(id->timeline_began, sizeof(id->timeline_began), "%s", began);
        id->timeline = (uint32_t)timeline;
        id->database_oid = (uint32_t)oid;
    } else {
        error_cause(err, CAUSE_BOOKS_UNREADABLE,
                    "penstock.checkpoints: source_identity is not readable");
    }
    json_decref(j);
    return ok;
}

bool books_checkpoint_read(struct books *b, struct checkpoint *out, struct error *err)
{
    struct arena *a = arena_new("checkpoint");
    struct buf sql = {0};
    struct rowset r;
    bool ok = false;

    memset(out, 0, sizeof(*out));
    buf_puts(&sql, "SELECT \"position\", last_csn, source_identity, "
                   "CAST(round(extract(epoch FROM source_commit_time) * 1000000) AS bigint) "
                   "FROM penstock.checkpoints");
    books_where(&sql, b);
    if (!b->ops->query(b->session, a, buf_cstr(&sql), &r, err))
        goto out;
    ok = true;
    if (r.nrows == 0)
        goto out;
    out->found = true;
    snprintf(out->position, sizeof(out->position), "%s", rowset_get(&r, 0, 0));
    out->csn = strtoll(rowset_get(&r, 0, 1), NULL, 10);
    if (rowset_get(&r, 0, 3) != NULL)
        out->commit_us = strtoll(rowset_get(&r, 0, 3), NULL, 10);
    ok = identity_parse(rowset_get(&r, 0, 2), &out->identity, err);
out:
    buf_free(&sql);
    arena_free(a);
    return ok;
}

bool books_checkpoint_create(struct books *b, const char *position, int64_t csn,
                             const struct source_identity *id, struct error *err)
{
    struct buf sql = {0};
    char *identity = identity_text(id);
    bool ok;

    buf_puts(&sql, "INSERT INTO penstock.checkpoints (connector, source, \"position\", last_csn, "
                   "source_identity, applied_at) VALUES (");
    buf_sql_string(&sql, b->connector);
    buf_puts(&sql, ", ");
    buf_sql_string(&sql, b->source);
    buf_puts(&sql, ", ");
    buf_sql_string(&sql, position);
    buf_printf(&sql, ", %lld, ", (long long)csn);
    buf_sql_string(&sql, identity);
    buf_puts(&sql, ", now())");
    ok = books_exec(b, &sql, NULL, err);
    free(identity);
    buf_free(&sql);
    return ok;
}

bool books_checkpoint_take(struct books *b, const char *position, bool *taken, struct error *err)
{
    struct buf sql = {0};
    int64_t n = 0;
    bool ok;

    buf_puts(&sql, "UPDATE penstock.checkpoints SET applied_at = now()");
    books_where(&sql, b);
    buf_puts(&sql, " AND \"position\" = ");
    buf_sql_string(&sql, position);
    ok = books_exec(b, &sql, &n, err);
    *taken = ok && n == 1;
    buf_free(&sql);
    return ok;
}

bool books_checkpoint_advance(struct books *b, const char *position, int64_t csn, int64_t commit_us,
                              struct error *err)
{
    struct buf sql = {0};
    int64_t n = 0;
    char iso[40];
    bool ok;

    buf_puts(&sql, "UPDATE penstock.checkpoints SET \"position\" = ");
    buf_sql_string(&sql, position);
    if (csn > 0)
        buf_printf(&sql, ", last_csn = %lld", (long long)csn);
    if (commit_us != 0)
        buf_printf(&sql, ", source_commit_time = timestamptz '%s'",
                   clock_iso(commit_us, iso, sizeof(iso)));
    books_where(&sql, b);
    ok = books_exec(b, &sql, &n, err);
    if (ok && n != 1)
        ok = error_cause(err, CAUSE_CHECKPOINT_GONE,
                         "the checkpoint row vanished inside our own transaction");
    buf_free(&sql);
    return ok;
}

/* Of each table one row is left: the live one, else that of the last load. */
static bool forget_loads(struct books *b, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "DELETE FROM penstock.tables AS t");
    books_where(&sql, b);
    buf_puts(&sql, " AND EXISTS (SELECT 1 FROM penstock.tables AS o WHERE o.connector = "
                   "t.connector AND o.source = t.source AND o.source_id = t.source_id AND "
                   "((o.state = 'live' AND t.state <> 'live') OR "
                   "((o.state = 'live') = (t.state = 'live') AND o.load > t.load)))");
    ok = books_exec(b, &sql, NULL, err);
    buf_reset(&sql);
    buf_puts(&sql, "DELETE FROM penstock.columns AS c");
    books_where(&sql, b);
    buf_puts(&sql, " AND NOT EXISTS (SELECT 1 FROM penstock.tables AS t WHERE t.connector = "
                   "c.connector AND t.source = c.source AND t.source_id = c.source_id AND "
                   "t.load = c.load)");
    ok = ok && books_exec(b, &sql, NULL, err);
    buf_reset(&sql);
    buf_puts(&sql, "UPDATE penstock.tables SET state = 'loading', loaded = false, "
                   "reason = 'everything is loaded again', in_place = false, spool_bytes = 0, "
                   "spool_applied = 0");
    books_where(&sql, b);
    ok = ok && books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

bool books_forget(struct books *b, struct error *err)
{
    bool ok;

    if (!b->ops->begin(b->session, err))
        return false;
    ok = books_delete_all(b, "checkpoints", err) && books_delete_all(b, "snapshot_chunks", err) &&
         books_delete_all(b, "wanted", err) && forget_loads(b, err) &&
         b->ops->commit(b->session, err);
    if (!ok)
        b->ops->rollback(b->session);
    return ok;
}

bool books_intent_read(struct books *b, const char *mark, bool *found, struct error *err)
{
    struct arena *a = arena_new("intent");
    struct buf sql = {0};
    struct rowset r;
    bool ok;

    buf_puts(&sql, "SELECT 1 FROM penstock.intents");
    books_where(&sql, b);
    buf_puts(&sql, " AND mark = ");
    buf_sql_string(&sql, mark);
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    *found = ok && r.nrows > 0;
    buf_free(&sql);
    arena_free(a);
    return ok;
}

bool books_intent_write(struct books *b, const char *mark, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    if (!b->ops->begin(b->session, err))
        return false;
    buf_puts(&sql, "INSERT INTO penstock.intents (connector, source, mark, made_at) VALUES (");
    buf_sql_string(&sql, b->connector);
    buf_puts(&sql, ", ");
    buf_sql_string(&sql, b->source);
    buf_puts(&sql, ", ");
    buf_sql_string(&sql, mark);
    buf_puts(&sql, ", now())");
    ok = books_delete_all(b, "intents", err) && books_exec(b, &sql, NULL, err) &&
         b->ops->commit(b->session, err);
    if (!ok)
        b->ops->rollback(b->session);
    buf_free(&sql);
    return ok;
}

bool books_intent_clear(struct books *b, struct error *err)
{
    return books_delete_all(b, "intents", err);
}

bool books_checkpoint_note(struct books *b, const char *position, const struct source_identity *id,
                           struct error *err)
{
    struct buf sql = {0};
    char *identity = identity_text(id);
    int64_t n = 0;
    bool ok;

    buf_puts(&sql, "UPDATE penstock.checkpoints SET source_identity = ");
    buf_sql_string(&sql, identity);
    books_where(&sql, b);
    buf_puts(&sql, " AND \"position\" = ");
    buf_sql_string(&sql, position);
    ok = books_exec(b, &sql, &n, err);
    if (ok && n != 1)
        ok = error_set(err, ERROR_RETRY, "the checkpoint is not at %s any more", position);
    free(identity);
    buf_free(&sql);
    return ok;
}

bool books_checkpoint_identity(struct books *b, const char *position,
                               const struct source_identity *id, struct error *err)
{
    struct buf sql = {0};
    bool ok = books_checkpoint_note(b, position, id, err);

    buf_puts(&sql, "UPDATE penstock.tables SET loaded = false, updated_at = now()");
    books_where(&sql, b);
    buf_puts(&sql, " AND state = 'loading' AND loaded");
    ok = ok && books_exec(b, &sql, NULL, err);
    buf_reset(&sql);
    buf_puts(&sql, "DELETE FROM penstock.snapshot_chunks");
    books_where(&sql, b);
    ok = ok && books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}
