/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of schema penstock as this version has them, made in one transaction. Several
 * processes may do so at the same time: one makes them, the others are told to try again.
 */
#include "state/books_internal.h"
#include "util/causes.h"

#include <stdlib.h>
#include <string.h>

/* `key` is left out where the dialect keeps no primary keys. */
static const struct {
    const char *columns, *key;
} definitions[] = {
    {"meta (version integer NOT NULL, next_load bigint NOT NULL", ""},
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
     "replica_identity text NOT NULL, spool_bytes bigint NOT NULL, spool_applied bigint NOT NULL, "
     "in_place boolean NOT NULL, attributes integer NOT NULL, leaves text, membership text, "
     "value_schema_id bigint NOT NULL, value_schema text, "
     "key_schema_id bigint NOT NULL, key_schema text, updated_at timestamptz NOT NULL",
     ", PRIMARY KEY (connector, source, source_id, load)"},
    {"columns (connector text NOT NULL, source text NOT NULL, source_id bigint NOT NULL, "
     "load bigint NOT NULL, ordinal integer NOT NULL, attnum integer NOT NULL, name text NOT "
     "NULL, field text NOT NULL, type_id bigint NOT NULL, typmod integer NOT NULL, "
     "source_type text NOT NULL, kind text NOT NULL, digits integer NOT NULL, "
     "scale integer NOT NULL, nullable boolean NOT NULL, key_position integer NOT NULL, "
     "in_identity boolean NOT NULL, semantic text, allowed text, default_json text, "
     "target_name text, dropped boolean NOT NULL, aliases text",
     ", PRIMARY KEY (connector, source, source_id, load, ordinal)"},
    {"targets (connector text NOT NULL, source text NOT NULL, target_schema text NOT NULL, "
     "target_table text NOT NULL",
     ", PRIMARY KEY (connector, source, target_schema, target_table)"},
    {"snapshot_chunks (connector text NOT NULL, source text NOT NULL, source_id bigint NOT NULL, "
     "load bigint NOT NULL, chunk integer NOT NULL, \"rows\" bigint NOT NULL, "
     "snapshot_csn bigint NOT NULL, from_key text, to_key text, done boolean NOT NULL",
     ", PRIMARY KEY (connector, source, source_id, load, chunk)"},
    /* The key's SHA-256 stands for it in the primary key: Postgres cannot index a long one. */
    {"wanted (connector text NOT NULL, source text NOT NULL, source_id bigint NOT NULL, "
     "key_hex text NOT NULL, key_sha256 text NOT NULL, key_schema_id bigint NOT NULL, "
     "csn bigint NOT NULL",
     ", PRIMARY KEY (connector, source, source_id, key_sha256)"},
};

bool books_create_tables(struct books *b, struct error *err)
{
    struct buf sql = {0};
    bool ok = true;
    size_t i;

    for (i = 0; ok && i < sizeof(definitions) / sizeof(definitions[0]); i++) {
        buf_reset(&sql);
        buf_printf(&sql, "CREATE TABLE IF NOT EXISTS penstock.%s%s)", definitions[i].columns,
                   b->ops->dialect->primary_key ? definitions[i].key : "");
        ok = books_exec(b, &sql, NULL, err);
    }
    buf_free(&sql);
    return ok;
}

/* *version 0: there are no books. */
static bool read_version(struct books *b, struct arena *a, long *version, struct error *err)
{
    struct rowset r;

    *version = 0;
    if (!b->ops->query(b->session, a,
                       "SELECT 1 FROM information_schema.tables WHERE table_schema = 'penstock' "
                       "AND table_name = 'meta'",
                       &r, err))
        return false;
    if (r.nrows == 0)
        return true;
    if (!b->ops->query(b->session, a, "SELECT max(version) FROM penstock.meta", &r, err))
        return false;
    *version = (long)books_int(rowset_get(&r, 0, 0));
    if (*version >= 1)
        return true;
    error_set(err, ERROR_CONFIG, "the warehouse's table penstock.meta holds no version");
    return error_hint(err, "if nothing was loaded with it, drop the schema penstock; else restore "
                           "that row");
}

static bool check_version(long version, struct error *err)
{
    if (version <= BOOKS_VERSION)
        return true;
    return error_cause(err, CAUSE_BOOKS_NEWER,
                       "the warehouse's schema penstock has version %ld, written by a newer "
                       "penstock (this one knows %d)",
                       version, BOOKS_VERSION);
}

bool books_look(struct books *b, bool *there, struct error *err)
{
    struct arena *a = arena_new("books");
    long version;
    bool ok = read_version(b, a, &version, err) && check_version(version, err);

    *there = ok && version == BOOKS_VERSION;
    arena_free(a);
    return ok;
}

/* Another process may have made them since we looked. */
static bool create_all(struct books *b, struct error *err)
{
    struct arena *a = arena_new("books");
    struct buf sql = {0};
    struct rowset r;
    bool ok;

    ok = b->ops->exec(b->session, "CREATE SCHEMA IF NOT EXISTS penstock", NULL, err) &&
         books_create_tables(b, err) &&
         b->ops->query(b->session, a, "SELECT 1 FROM penstock.meta", &r, err);
    if (ok && r.nrows == 0) {
        buf_printf(&sql, "INSERT INTO penstock.meta (version, next_load) VALUES (%d, 1)",
                   BOOKS_VERSION);
        ok = books_exec(b, &sql, NULL, err);
    }
    buf_free(&sql);
    arena_free(a);
    return ok;
}

static bool in_transaction(struct books *b, bool (*change)(struct books *b, struct error *err),
                           struct error *err)
{
    if (!b->ops->begin(b->session, err))
        return false;
    if (change(b, err) && b->ops->commit(b->session, err))
        return true;
    b->ops->rollback(b->session);
    /* Another connector does it at this moment: 23505, 42P06, 42P07. */
    if (strcmp(err->sqlstate, "23505") == 0 || strncmp(err->sqlstate, "42P0", 4) == 0)
        err->kind = ERROR_RETRY;
    return false;
}

bool books_open(struct books *b, struct error *err)
{
    struct arena *a = arena_new("books");
    bool whole = true;
    long version = 0;
    bool ok = read_version(b, a, &version, err);

    if (ok && version == 0)
        ok = in_transaction(b, create_all, err) && read_version(b, a, &version, err);
    ok = ok && check_version(version, err);
    if (ok && version < BOOKS_VERSION)
        ok = in_transaction(b, books_migrate, err);
    else if (ok && !books_are_whole(b, a, &whole, err))
        ok = false;
    if (ok && !whole)
        ok = in_transaction(b, books_complete, err);
    arena_free(a);
    return ok;
}
