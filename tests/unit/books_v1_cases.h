/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Books of version 1, made by the statements of then, and what must become of them: also when the
 * migration fails at any of its statements, and when two sessions migrate at once.
 */
#ifndef PENSTOCK_TESTS_BOOKS_V1_CASES_H
#define PENSTOCK_TESTS_BOOKS_V1_CASES_H

#include "books_cases.h"

static const struct {
    const char *columns, *key;
} v1_tables[] = {
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

static inline void v1_put(struct ctx *c, const char *source, const struct table_record *r)
{
    const struct table *t = r->table;
    int i;

    run_sql(c, arena_printf(c->a,
                            "INSERT INTO penstock.tables (connector, source, source_id, "
                            "source_schema, source_table, topic, target_schema, target_table, "
                            "state, reason, load, loaded, snapshot_csn, \"rows\", relfilenode, "
                            "replica_identity, spool_bytes, value_schema_id, value_schema, "
                            "key_schema_id, key_schema, updated_at) VALUES ('warehouse', '%s', %u, "
                            "'%s', '%s', '%s', '%s', '%s', '%s', NULL, %lld, %s, %lld, %lld, %u, "
                            "'%c', 0, 0, NULL, 0, NULL, now())",
                            source, t->oid, t->schema, t->name, t->topic, r->target_schema,
                            r->target_name, table_state_name(r->state), (long long)r->load,
                            r->loaded ? "true" : "false", (long long)r->s, (long long)r->rows,
                            t->relfilenode, t->replica_identity));
    for (i = 0; i < t->ncols; i++) {
        const struct column *col = &t->cols[i];

        run_sql(c, arena_printf(c->a,
                                "INSERT INTO penstock.columns (connector, source, source_id, "
                                "ordinal, attnum, name, field, type_id, typmod, source_type, kind, "
                                "digits, scale, nullable, key_position, in_identity, semantic, "
                                "allowed, default_json) VALUES ('warehouse', '%s', %u, %d, %d, "
                                "'%s', '%s', %u, %d, '%s', '%s', 0, 0, %s, %d, %s, NULL, NULL, "
                                "NULL)",
                                source, t->oid, i, col->attnum, col->name, col->field,
                                col->type_oid, col->typmod, col->source_type,
                                type_kind_name(col->kind), col->nullable ? "true" : "false",
                                col->key_pos, col->identity ? "true" : "false"));
    }
}

/* Tables 7 (load 2) and 8 (never loaded) of source shop, 7 (load 5) of source other. */
static inline void v1_make(struct ctx *c)
{
    struct table_record seven = plain(c, 7, 2, TABLE_LIVE), eight = plain(c, 8, 0, TABLE_REFUSED);
    struct table_record other = plain(c, 7, 5, TABLE_LOADING);
    int i;

    run_sql(c, "CREATE SCHEMA penstock");
    for (i = 0; i < COUNT(v1_tables); i++)
        run_sql(c, arena_printf(c->a, "CREATE TABLE penstock.%s%s)", v1_tables[i].columns,
                                c->ops->dialect->primary_key ? v1_tables[i].key : ""));
    run_sql(c, "INSERT INTO penstock.meta (version) VALUES (1)");
    run_sql(c, "INSERT INTO penstock.checkpoints VALUES ('warehouse', 'shop', '0/5', 5, "
               "'{\"system_identifier\":\"1\",\"timeline\":1,\"database\":\"d\",\"database_oid\":5,"
               "\"mark\":\"m\"}', NULL, now())");
    run_sql(c, "INSERT INTO penstock.targets VALUES ('warehouse', 'shop', 'public', 't7')");
    v1_put(c, "shop", &eight);
    v1_put(c, "other", &other);
    v1_put(c, "shop", &seven);
    run_sql(c, "INSERT INTO penstock.snapshot_chunks (connector, source, source_id, load, chunk, "
               "\"rows\") VALUES ('warehouse', 'shop', 7, 2, 1, 6), ('warehouse', 'shop', 7, 2, 2, "
               "4)");
}

static inline const char *shape_of_books(struct ctx *c)
{
    const char *columns =
        asked(c, "SELECT table_name, column_name, data_type, is_nullable, coalesce(column_default, "
                 "'NULL') FROM information_schema.columns WHERE table_schema = 'penstock' ORDER BY "
                 "table_name, column_name");
    const char *keys =
        asked(c, "SELECT k.table_name, k.constraint_name, k.column_name, k.ordinal_position FROM "
                 "information_schema.key_column_usage AS k WHERE k.table_schema = 'penstock' ORDER "
                 "BY k.table_name, k.ordinal_position, k.constraint_name");

    return arena_printf(c->a, "%s\n%s", columns, keys);
}

static inline void check_migrated(struct ctx *c, int64_t next_load)
{
    struct table_record seven = plain(c, 7, 2, TABLE_LIVE), eight = plain(c, 8, 0, TABLE_REFUSED);
    struct table_record other = plain(c, 7, 5, TABLE_LOADING), *recs;
    struct books mine = c->b;
    struct books_chunk *chunks;
    struct checkpoint p;
    int n;

    asks(c, "SELECT version, next_load FROM penstock.meta",
         arena_printf(c->a, "2|%lld", (long long)next_load));
    recs = all(c, 2);
    same_record(&recs[0], &seven);
    same_record(&recs[1], &eight);
    WORKS(books_chunks_read(B(c), c->a, 7, 2, &chunks, &n, E(c)));
    CHECK_THAT(n == 2 && chunks[0].rows == 6 && chunks[1].done && chunks[1].s == 0);
    CHECK_THAT(chunks[0].from == NULL && chunks[0].to == NULL);
    WORKS(books_checkpoint_read(B(c), &p, E(c)));
    CHECK_THAT(p.found && strcmp(p.position, "0/5") == 0);
    c->b.source = "other";
    same_record(all(c, 1), &other);
    c->b = mine;
    asks(c, "SELECT count(*) FROM penstock.columns WHERE source <> 'big'", "6");
}

/* What a fresh start makes, to compare with: leaves no schema penstock behind. */
static inline const char *fresh_shape(struct ctx *c)
{
    const char *shape;

    WORKS(books_open(B(c), E(c)));
    shape = shape_of_books(c);
    run_sql(c, "DROP SCHEMA penstock CASCADE");
    return shape;
}

static inline void case_migrate(struct ctx *c)
{
    const char *fresh = fresh_shape(c);
    const uint8_t key[] = {9};
    int64_t load = 0;

    v1_make(c);
    CHECK_THAT(strcmp(shape_of_books(c), fresh) != 0);
    WORKS(books_open(B(c), E(c)));
    check_migrated(c, 6);
    same_text("shape", shape_of_books(c), fresh);
    WORKS(books_open(B(c), E(c)));
    check_migrated(c, 6);
    /* And it can be used. */
    WORKS(books_next_load(B(c), &load, E(c)));
    same_number("load", load, 6);
    put_plain(c, 7, load, TABLE_LOADING);
    WORKS(add_wanted(c, 7, key, sizeof(key), 1, 2));
    WORKS(books_table_live(B(c), 7, load, E(c)));
    CHECK_THAT(all(c, 2)[0].load == 6);
}

/* Version 2 from before its last column. */
static inline void case_complete(struct ctx *c)
{
    const char *shape;
    struct table_record seven;

    WORKS(books_open(B(c), E(c)));
    shape = shape_of_books(c);
    seven = plain(c, 7, 2, TABLE_LIVE);
    WORKS(books_table_put(B(c), &seven, E(c)));
    run_sql(c, "ALTER TABLE penstock.tables DROP COLUMN membership");
    WORKS(books_open(B(c), E(c)));
    same_text("shape", shape_of_books(c), shape);
    same_record(&all(c, 1)[0], &seven);
    WORKS(books_table_membership(B(c), 7, 2, "1:2", E(c)));
    WORKS(books_table_leaves(B(c), 7, 2, ",3,", E(c)));
    seven.table->membership = "1:2";
    seven.table->leaves = ",3,";
    same_record(&all(c, 1)[0], &seven);
}

/* Meta with two rows, no load at all, and tables aside that no row speaks of any more. */
static inline void case_migrate_leftovers(struct ctx *c)
{
    v1_make(c);
    run_sql(c, "INSERT INTO penstock.meta (version) VALUES (1)");
    run_sql(c, "DELETE FROM penstock.tables");
    run_sql(c, "CREATE SCHEMA aside");
    run_sql(c, "CREATE TABLE aside._penstock_load_41 (i integer)");
    run_sql(c, "CREATE TABLE aside._penstock_load_9 (i integer)");
    run_sql(c, "CREATE TABLE aside._penstock_load_99x (i integer)");
    WORKS(books_open(B(c), E(c)));
    asks(c, "SELECT version, next_load FROM penstock.meta", "2|42");
    all(c, 0);
    run_sql(c, "DROP SCHEMA aside CASCADE");
}

/* --- interrupted --- */

static struct {
    bool (*exec)(struct session *s, const char *sql, int64_t *affected, struct error *err);
    int left;                        /* statements until then; is not called again after it */
    bool (*then)(struct error *err); /* its answer is the statement's if it is false */
} interrupt;

static inline bool interrupted_exec(struct session *s, const char *sql, int64_t *affected,
                                    struct error *err)
{
    if (interrupt.left > 0 && --interrupt.left == 0 && !interrupt.then(err))
        return false;
    return interrupt.exec(s, sql, affected, err);
}

/* books_open, but something happens before the n-th statement (1..) that changes anything. */
static inline bool interrupted_open(struct ctx *c, int n, bool (*then)(struct error *err))
{
    struct warehouse_ops with = *c->ops;
    struct books b = c->b;
    bool ok;

    interrupt.exec = with.exec;
    interrupt.left = n;
    interrupt.then = then;
    with.exec = interrupted_exec;
    b.ops = &with;
    error_clear(&c->err);
    ok = books_open(&b, &c->err);
    interrupt.left = interrupt.left == 0 ? -1 : interrupt.left;
    return ok;
}

static inline bool lose_connection(struct error *err)
{
    return error_set(err, ERROR_RETRY, "the connection is lost");
}

/* At each of its statements in turn: nothing has changed then, and the next start does it all. */
static inline void case_migrate_fails(struct ctx *c)
{
    const char *old, *fresh = fresh_shape(c);
    int n, failures = 0;

    v1_make(c);
    old = shape_of_books(c);
    for (n = 1; !interrupted_open(c, n, lose_connection); n++) {
        CHECK_THAT(c->err.kind == ERROR_RETRY);
        same_text("shape", shape_of_books(c), old);
        asks(c, "SELECT version FROM penstock.meta", "1");
        failures++;
    }
    CHECK_THAT(failures > 25);
    check_migrated(c, 6);
    same_text("shape", shape_of_books(c), fresh);
}

/* --- two at once --- */

static struct ctx *second;
static struct error second_error;
static bool second_opened;

static inline bool open_second(struct error *err)
{
    struct books b = second->b;

    (void)err;
    b.session = second->other;
    second_opened = books_open(&b, &second_error);
    return true;
}

static inline bool use_second(struct error *err)
{
    struct books b = second->b;
    int64_t load;

    open_second(err);
    b.session = second->other;
    second_opened = second_opened && books_next_load(&b, &load, &second_error);
    return true;
}

/* Another session has migrated and taken a number when our transaction begins: that stays. */
static inline void case_migrate_late(struct ctx *c)
{
    const char *fresh = fresh_shape(c);

    v1_make(c);
    second = c;
    CHECK_THAT(interrupted_open(c, 1, use_second));
    if (!second_opened)
        CASE_FAIL("second: %s", second_error.message);
    check_migrated(c, 7);
    same_text("shape", shape_of_books(c), fresh);
}

struct books_case {
    const char *name;
    void (*run)(struct ctx *c);
};

static const struct books_case books_cases[] = {
    {"open", case_open},
    {"round trip", case_round_trip},
    {"damaged columns", case_damaged_columns},
    {"two loads", case_two_loads},
    {"remove", case_remove},
    {"state", case_state},
    {"live", case_live},
    {"counts", case_counts},
    {"next load", case_next_load},
    {"load lock", case_load_lock},
    {"chunks", case_chunks},
    {"planned chunks", case_planned_chunks},
    {"wanted", case_wanted},
    {"wanted_many", case_wanted_many},
    {"identity", case_identity},
    {"forget", case_forget},
    {"migrate", case_migrate},
    {"complete", case_complete},
    {"migrate leftovers", case_migrate_leftovers},
    {"migrate fails", case_migrate_fails},
    {"migrate late", case_migrate_late},
};

#endif
