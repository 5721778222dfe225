/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schema, checkpoint and intent. The compare-and-set on checkpoints makes every batch exactly-once:
 * who does not find the row at the position where its batch starts does not own it any more.
 */
#include "state/books.h"

#include "state/books_internal.h"
#include "util/causes.h"
#include "util/clock.h"

#include <jansson.h>
#include <stdlib.h>

#define BOOKS_VERSION 1

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

void books_string_or_null(struct buf *sql, const char *s)
{
    if (s == NULL)
        buf_puts(sql, "NULL");
    else
        buf_sql_string(sql, s);
}

/* `key` is left out where the dialect keeps no primary keys. */
static const struct {
    const char *columns, *key;
} books_tables[] = {
    {"meta (version integer NOT NULL", ""},
    {"checkpoints (connector text NOT NULL, source text NOT NULL, \"position\" text NOT NULL, "
     "last_csn bigint NOT NULL, source_identity text NOT NULL, source_commit_time timestamptz, "
     "applied_at timestamptz NOT NULL",
     ", PRIMARY KEY (connector, source)"},
    {"intents (connector text NOT NULL, source text NOT NULL, mark text NOT NULL, "
     "made_at timestamptz NOT NULL",
     ", PRIMARY KEY (connector, source)"},
    {"tables (connector text NOT NULL, source text NOT NULL, source_id bigint NOT NULL, "
     "source_schema text NOT NULL, source_table text NOT NULL, topic text NOT NULL, "
     "target_schema text NOT NULL, target_table text NOT NULL, state text NOT NULL, "
     "reason text, load bigint NOT NULL, loaded boolean NOT NULL, "
     "snapshot_csn bigint NOT NULL, \"rows\" bigint NOT NULL, relfilenode bigint NOT NULL, "
     "replica_identity text NOT NULL, spool_bytes bigint NOT NULL, value_schema_id bigint NOT "
     "NULL, "
     "value_schema text, key_schema_id bigint NOT NULL, key_schema text, "
     "updated_at timestamptz NOT NULL",
     ", PRIMARY KEY (connector, source, source_id)"},
    {"columns (connector text NOT NULL, source text NOT NULL, source_id bigint NOT NULL, "
     "ordinal integer NOT NULL, attnum integer NOT NULL, name text NOT NULL, field text NOT NULL, "
     "type_id bigint NOT NULL, typmod integer NOT NULL, source_type text NOT NULL, "
     "kind text NOT NULL, digits integer NOT NULL, scale integer NOT NULL, "
     "nullable boolean NOT NULL, key_position integer NOT NULL, in_identity boolean NOT NULL, "
     "semantic text, allowed text, default_json text",
     ", PRIMARY KEY (connector, source, source_id, ordinal)"},
    {"targets (connector text NOT NULL, source text NOT NULL, target_schema text NOT NULL, "
     "target_table text NOT NULL",
     ", PRIMARY KEY (connector, source, target_schema, target_table)"},
    {"snapshot_chunks (connector text NOT NULL, source text NOT NULL, source_id bigint NOT NULL, "
     "load bigint NOT NULL, chunk integer NOT NULL, \"rows\" bigint NOT NULL",
     ", PRIMARY KEY (connector, source, source_id, load, chunk)"},
};

static bool create_all(struct books *b, struct error *err)
{
    struct buf sql = {0};
    bool ok = b->ops->exec(b->session, "CREATE SCHEMA IF NOT EXISTS penstock", NULL, err);
    size_t i;

    for (i = 0; ok && i < sizeof(books_tables) / sizeof(books_tables[0]); i++) {
        buf_reset(&sql);
        buf_printf(&sql, "CREATE TABLE IF NOT EXISTS penstock.%s%s)", books_tables[i].columns,
                   b->ops->dialect->primary_key ? books_tables[i].key : "");
        ok = books_exec(b, &sql, NULL, err);
    }
    if (ok) {
        buf_reset(&sql);
        buf_printf(&sql, "INSERT INTO penstock.meta (version) VALUES (%d)", BOOKS_VERSION);
        ok = books_exec(b, &sql, NULL, err);
    }
    buf_free(&sql);
    return ok;
}

static bool check_version(const struct rowset *r, struct error *err)
{
    long version =
        r->nrows > 0 && rowset_get(r, 0, 0) != NULL ? strtol(rowset_get(r, 0, 0), NULL, 10) : 0;

    if (version > BOOKS_VERSION) {
        error_cause(err, CAUSE_BOOKS_NEWER,
                    "the warehouse's schema penstock has version %ld, written by a newer penstock "
                    "(this one knows %d)",
                    version, BOOKS_VERSION);
        return false;
    }
    return true;
}

bool books_open(struct books *b, struct error *err)
{
    struct arena *a = arena_new("books");
    struct rowset r;
    bool ok = false;

    if (!b->ops->query(b->session, a,
                       "SELECT 1 FROM information_schema.tables WHERE table_schema = 'penstock' "
                       "AND table_name = 'meta'",
                       &r, err))
        goto out;
    if (r.nrows > 0) {
        ok = b->ops->query(b->session, a, "SELECT max(version) FROM penstock.meta", &r, err) &&
             check_version(&r, err);
        goto out;
    }
    if (!b->ops->begin(b->session, err))
        goto out;
    ok = create_all(b, err) && b->ops->commit(b->session, err);
    if (!ok) {
        b->ops->rollback(b->session);
        /* Another connector makes them at this moment: 23505, 42P06, 42P07. */
        if (strcmp(err->sqlstate, "23505") == 0 || strncmp(err->sqlstate, "42P0", 4) == 0)
            error_because(err, CAUSE_BOOKS_RACE);
    }
out:
    arena_free(a);
    return ok;
}

static char *identity_text(const struct source_identity *id)
{
    json_t *j = json_pack("{s:s, s:i, s:s, s:I, s:s}", "system_identifier", id->system, "timeline",
                          (int)id->timeline, "database", id->database, "database_oid",
                          (json_int_t)id->database_oid, "mark", id->mark);
    char *text = json_dumps(j, JSON_COMPACT);

    json_decref(j);
    return text;
}

static bool identity_parse(const char *text, struct source_identity *id, struct error *err)
{
    json_t *j = json_loads(text, 0, NULL);
    const char *system, *database, *mark;
    int timeline;
    json_int_t oid;
    bool ok = j != NULL && json_unpack(j, "{s:s, s:i, s:s, s:I, s:s}", "system_identifier", &system,
                                       "timeline", &timeline, "database", &database, "database_oid",
                                       &oid, "mark", &mark) == 0;

    memset(id, 0, sizeof(*id));
    if (ok) {
        snprintf(id->system, sizeof(id->system), "%s", system);
        snprintf(id->database, sizeof(id->database), "%s", database);
        snprintf(id->mark, sizeof(id->mark), "%s", mark);
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

bool books_forget(struct books *b, struct error *err)
{
    struct buf sql = {0};
    bool ok;

    if (!b->ops->begin(b->session, err))
        return false;
    buf_puts(&sql, "UPDATE penstock.tables SET state = 'loading', loaded = false, "
                   "reason = 'everything is loaded again'");
    books_where(&sql, b);
    ok = books_delete_all(b, "checkpoints", err) && books_delete_all(b, "snapshot_chunks", err) &&
         books_exec(b, &sql, NULL, err) && b->ops->commit(b->session, err);
    if (!ok)
        b->ops->rollback(b->session);
    buf_free(&sql);
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
