/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the books must do on any engine: run by test_books.c against DuckDB and by
 * tests/integration/books_probe.c against Postgres. Who includes this defines CASE_FAIL(format,
 * ...), which does not return. Each case gets a warehouse without schema penstock.
 */
#ifndef PENSTOCK_TESTS_BOOKS_CASES_H
#define PENSTOCK_TESTS_BOOKS_CASES_H

#include "state/books.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ctx {
    const struct warehouse_ops *ops;
    struct session *s, *other; /* two sessions of the same warehouse */
    struct arena *a;
    struct books b;
    struct error err;
};

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define CHECK_THAT(cond)                                                          \
    do {                                                                          \
        if (!(cond))                                                              \
            CASE_FAIL("%s:%d: %s (last error: %s %s)", __func__, __LINE__, #cond, \
                      error_kind_name(c->err.kind), c->err.message);              \
    } while (0)
#define WORKS(call)           \
    do {                      \
        error_clear(&c->err); \
        CHECK_THAT(call);     \
    } while (0)
#define FAILS_AS(call, want)               \
    do {                                   \
        error_clear(&c->err);              \
        CHECK_THAT(!(call));               \
        CHECK_THAT(c->err.kind == (want)); \
    } while (0)

#define B(c) (&(c)->b)
#define E(c) (&(c)->err)

static inline void run_sql(struct ctx *c, const char *sql)
{
    error_clear(&c->err);
    if (!c->ops->exec(c->s, sql, NULL, &c->err))
        CASE_FAIL("%s: %s", sql, c->err.message);
}

/* All cells, "|" between columns, ";" between rows. */
static inline const char *asked(struct ctx *c, const char *sql)
{
    struct buf b = {0};
    struct rowset r;
    const char *copy;
    int y, x;

    error_clear(&c->err);
    if (!c->ops->query(c->s, c->a, sql, &r, &c->err))
        CASE_FAIL("%s: %s", sql, c->err.message);
    for (y = 0; y < r.nrows; y++) {
        for (x = 0; x < r.ncols; x++) {
            buf_puts(&b, x > 0 ? "|" : y > 0 ? ";" : "");
            buf_puts(&b, rowset_get(&r, y, x) ? rowset_get(&r, y, x) : "NULL");
        }
    }
    copy = arena_strdup(c->a, buf_cstr(&b));
    buf_free(&b);
    return copy;
}

static inline void same_text(const char *where, const char *got, const char *want)
{
    if ((got == NULL) != (want == NULL) || (got != NULL && strcmp(got, want) != 0))
        CASE_FAIL("%s: got <%s>, want <%s>", where, got ? got : "NULL", want ? want : "NULL");
}

static inline void asks(struct ctx *c, const char *sql, const char *want)
{
    same_text(sql, asked(c, sql), want);
}

static inline void same_number(const char *where, int64_t got, int64_t want)
{
    if (got != want)
        CASE_FAIL("%s: got %" PRId64 ", want %" PRId64, where, got, want);
}

/* --- records --- */

static inline void same_column(const struct column *got, const struct column *want)
{
    same_text("name", got->name, want->name);
    same_text("field", got->field, want->field);
    same_number("kind", got->kind, want->kind);
    same_number("precision", got->precision, want->precision);
    same_number("scale", got->scale, want->scale);
    same_number("nullable", got->nullable, want->nullable);
    same_number("key_pos", got->key_pos, want->key_pos);
    same_text("source_type", got->source_type, want->source_type);
    same_text("semantic", got->semantic, want->semantic);
    same_text("allowed", got->allowed, want->allowed);
    same_text("def", got->def, want->def);
    same_number("attnum", got->attnum, want->attnum);
    same_number("type_oid", got->type_oid, want->type_oid);
    same_number("typmod", got->typmod, want->typmod);
    same_number("identity", got->identity, want->identity);
}

static inline void same_table(const struct table *got, const struct table *want)
{
    int i;

    same_number("oid", got->oid, want->oid);
    same_text("schema", got->schema, want->schema);
    same_text("table", got->name, want->name);
    same_text("topic", got->topic, want->topic);
    same_number("replica_identity", got->replica_identity, want->replica_identity);
    same_number("relfilenode", got->relfilenode, want->relfilenode);
    same_number("natts", got->natts, want->natts);
    same_text("leaves", got->leaves, want->leaves);
    same_text("membership", got->membership, want->membership);
    same_number("ncols", got->ncols, want->ncols);
    for (i = 0; i < want->ncols; i++)
        same_column(&got->cols[i], &want->cols[i]);
    same_number("nkeys", got->nkeys, want->nkeys);
    for (i = 0; i < want->nkeys; i++)
        same_number("key", got->keys[i], want->keys[i]);
}

static inline void same_record(const struct table_record *got, const struct table_record *want)
{
    int i;

    same_table(got->table, want->table);
    same_text("target_schema", got->target_schema, want->target_schema);
    same_text("target_name", got->target_name, want->target_name);
    same_number("state", got->state, want->state);
    same_text("reason", got->reason, want->reason);
    same_number("load", got->load, want->load);
    same_number("loaded", got->loaded, want->loaded);
    same_number("s", got->s, want->s);
    same_number("rows", got->rows, want->rows);
    same_number("value_id", got->value_id, want->value_id);
    same_number("key_id", got->key_id, want->key_id);
    same_text("value_schema", got->value_schema, want->value_schema);
    same_text("key_schema", got->key_schema, want->key_schema);
    same_number("names", got->names != NULL, want->names != NULL);
    for (i = 0; want->names != NULL && i < want->table->ncols; i++)
        same_text("column's name in the warehouse", got->names[i], want->names[i]);
    same_number("nkept", got->nkept, want->nkept);
    for (i = 0; i < want->nkept; i++) {
        same_text("kept name", got->kept[i].name, want->kept[i].name);
        same_number("kept number", got->kept[i].number, want->kept[i].number);
    }
    same_number("spool_bytes", got->spool_bytes, want->spool_bytes);
    same_number("spool_applied", got->spool_applied, want->spool_applied);
    same_number("in_place", got->in_place, want->in_place);
}

static inline struct table_record *all(struct ctx *c, int n)
{
    struct table_record *recs;
    int found;

    WORKS(books_tables_read(B(c), c->a, &recs, &found, E(c)));
    same_number("rows of penstock.tables", found, n);
    return recs;
}

/* A record of a table with a bigint key and a text, which has nothing odd. */
static inline struct table_record plain(struct ctx *c, uint32_t oid, int64_t load,
                                        enum table_state state)
{
    static const struct column cols[] = {
        {.name = "id",
         .field = "id",
         .kind = TYPE_INT64,
         .key_pos = 1,
         .source_type = "bigint",
         .attnum = 1,
         .type_oid = 20,
         .typmod = -1,
         .identity = true},
        {.name = "v",
         .field = "v",
         .kind = TYPE_TEXT,
         .nullable = true,
         .source_type = "text",
         .attnum = 2,
         .type_oid = 25,
         .typmod = -1},
    };
    struct table *t = arena_calloc(c->a, 1, sizeof(*t));

    t->oid = oid;
    t->schema = "public";
    t->name = arena_printf(c->a, "t%u", oid);
    t->topic = arena_printf(c->a, "shop.public.t%u", oid);
    t->cols = arena_memdup(c->a, cols, sizeof(cols));
    t->ncols = COUNT(cols);
    t->replica_identity = 'd';
    t->relfilenode = oid + 1;
    table_index_keys(c->a, t);
    return (struct table_record){.table = t,
                                 .target_schema = "public",
                                 .target_name = t->name,
                                 .state = state,
                                 .load = load,
                                 .loaded = state == TABLE_LIVE,
                                 .s = 1000 + load,
                                 .rows = 10};
}

static inline void put_plain(struct ctx *c, uint32_t oid, int64_t load, enum table_state state)
{
    struct table_record r = plain(c, oid, load, state);

    WORKS(books_table_put(B(c), &r, E(c)));
}

static inline bool add_wanted(struct ctx *c, uint32_t oid, const uint8_t *key, size_t len,
                              uint32_t schema, int64_t csn)
{
    const struct books_wanted w = {oid, key, len, schema, csn};

    return books_wanted_put(B(c), &w, 1, E(c));
}

static inline bool remove_wanted(struct ctx *c, uint32_t oid, const uint8_t *key, size_t len)
{
    const struct books_wanted w = {.oid = oid, .key = key, .len = len};

    return books_wanted_remove(B(c), &w, 1, E(c));
}

/* The books of another source in the same warehouse, with a table of the same id and number. */
static inline void put_neighbour(struct ctx *c, uint32_t oid, int64_t load)
{
    struct books mine = c->b;
    const uint8_t key[] = {1, 2};

    c->b.source = "other";
    put_plain(c, oid, load, TABLE_LIVE);
    WORKS(books_chunk_add(B(c), oid, load, 1, 11, E(c)));
    WORKS(add_wanted(c, oid, key, sizeof(key), 5, 77));
    c->b = mine;
}

static inline void check_neighbour(struct ctx *c, uint32_t oid, int64_t load)
{
    struct books mine = c->b;
    struct table_record want = plain(c, oid, load, TABLE_LIVE);
    struct books_chunk *chunks;
    struct books_wanted *wanted;
    int n;

    c->b.source = "other";
    same_record(all(c, 1), &want);
    WORKS(books_chunks_read(B(c), c->a, oid, load, &chunks, &n, E(c)));
    CHECK_THAT(n == 1 && chunks[0].rows == 11);
    WORKS(books_wanted_read(B(c), c->a, &wanted, &n, E(c)));
    CHECK_THAT(n == 1 && wanted[0].csn == 77);
    c->b = mine;
}

static inline int count_chunks(struct ctx *c, uint32_t oid, int64_t load)
{
    struct books_chunk *chunks;
    int n = -1;

    WORKS(books_chunks_read(B(c), c->a, oid, load, &chunks, &n, E(c)));
    return n;
}

/* --- opening --- */

static inline void case_open(struct ctx *c)
{
    struct checkpoint p;

    WORKS(books_open(B(c), E(c)));
    asks(c, "SELECT version, next_load FROM penstock.meta", "2|1");
    WORKS(books_open(B(c), E(c)));
    asks(c, "SELECT version, next_load FROM penstock.meta", "2|1");
    WORKS(books_checkpoint_read(B(c), &p, E(c)));
    CHECK_THAT(!p.found);
    run_sql(c, "UPDATE penstock.meta SET version = 3");
    FAILS_AS(books_open(B(c), E(c)), ERROR_CONFIG);
    CHECK_THAT(strstr(c->err.message, "newer penstock") != NULL);
    run_sql(c, "DELETE FROM penstock.meta");
    FAILS_AS(books_open(B(c), E(c)), ERROR_CONFIG);
}

/* --- every field there and back --- */

static inline struct table_record odd_record(struct ctx *c)
{
    static const char *const texts[] = {"we\"ird 'name'",
                                        "back\\slash \\'",
                                        "\xe6\x97\xa5 \xf0\x9f\x90\x98",
                                        "a; DROP TABLE x --\n\t",
                                        "%s %n",
                                        " ",
                                        "NULL"};
    struct table *t = arena_calloc(c->a, 1, sizeof(*t));
    struct table_record r = {.table = t};
    struct kept_column *kept = arena_calloc(c->a, 3, sizeof(*kept));
    int i;

    t->oid = UINT32_MAX;
    t->schema = texts[0];
    t->name = texts[1];
    t->topic = texts[2];
    t->relfilenode = UINT32_MAX - 1;
    t->natts = 1600;
    t->leaves = ",1,4294967295,";
    t->membership = "1:2:3:4294967295";
    t->replica_identity = 'f';
    t->ncols = TYPE_COUNT;
    t->cols = arena_calloc(c->a, (size_t)t->ncols, sizeof(*t->cols));
    r.names = arena_calloc(c->a, (size_t)t->ncols, sizeof(*r.names));
    for (i = 0; i < t->ncols; i++) {
        const char *odd = texts[i % COUNT(texts)];

        t->cols[i] = (struct column){
            .name = arena_printf(c->a, "%d %s", i, odd),
            .field = arena_printf(c->a, "_%d", i),
            .kind = (enum type_kind)i,
            .precision = 38 + i,
            .scale = -i,
            .nullable = i % 2 == 0,
            .key_pos = i < 3 ? 3 - i : 0,
            .source_type = arena_printf(c->a, "\"%s\"(%d)", odd, i),
            .semantic = i % 3 == 0 ? odd : NULL,
            .allowed = i % 3 == 1   ? odd
                       : i % 5 == 0 ? ""
                                    : NULL,
            .def = i % 3 == 2 ? "\"it's \\\"so\\\"\"" : NULL,
            .attnum = 2 * i + 1,
            .type_oid = UINT32_MAX - (uint32_t)i,
            .typmod = i % 2 == 0 ? -1 : INT32_MAX,
            .identity = i % 2 == 1,
        };
        r.names[i] = arena_printf(c->a, "%s in the warehouse", odd);
    }
    table_index_keys(c->a, t);
    for (i = 0; i < 3; i++)
        kept[i] = (struct kept_column){.name = texts[i], .number = 1600 - i};
    r.kept = kept;
    r.nkept = 3;
    r.target_schema = texts[3];
    r.target_name = texts[4];
    r.state = TABLE_NEEDS_SNAPSHOT;
    r.reason = texts[0];
    r.load = INT64_MAX;
    r.loaded = true;
    r.s = INT64_MAX - 1;
    r.rows = INT64_MAX - 2;
    r.value_id = UINT32_MAX;
    r.key_id = UINT32_MAX - 2;
    r.value_schema = "{\"name\": \"it's\\n\"}";
    r.key_schema = "";
    r.spool_bytes = INT64_MAX - 3;
    r.spool_applied = INT64_MAX - 4;
    r.in_place = true;
    return r;
}

static inline void case_round_trip(struct ctx *c)
{
    struct table_record odd = odd_record(c), bare = plain(c, 7, 0, TABLE_REFUSED);
    struct table_record none = plain(c, 8, 2, TABLE_LOADING), lost = plain(c, 9, 2, TABLE_LIVE);
    struct table_record *recs;

    WORKS(books_open(B(c), E(c)));
    none.table->ncols = none.table->nkeys = 0;
    lost.table->ncols = lost.table->nkeys = 0; /* all its columns were dropped */
    lost.names = arena_calloc(c->a, 1, sizeof(*lost.names));
    lost.kept = odd.kept;
    lost.nkept = 2;
    odd.table->natts = 1600;
    WORKS(books_table_put(B(c), &odd, E(c)));
    WORKS(books_table_put(B(c), &lost, E(c)));
    WORKS(books_table_put(B(c), &none, E(c)));
    WORKS(books_table_put(B(c), &bare, E(c)));
    recs = all(c, 4);
    same_record(&recs[0], &bare);
    same_record(&recs[1], &none);
    same_record(&recs[2], &lost);
    same_record(&recs[3], &odd);
    /* Written once more as read. */
    WORKS(books_table_put(B(c), &recs[3], E(c)));
    same_record(&all(c, 4)[3], &odd);
    asks(c,
         "SELECT min(ordinal), max(ordinal), count(*), min(kind), max(source_type) FROM "
         "penstock.columns WHERE dropped AND source_id = 9",
         "10000|10001|2|text|");
    asks(c, "SELECT count(*) FROM penstock.columns WHERE dropped AND name <> target_name", "0");
}

static inline void case_damaged_columns(struct ctx *c)
{
    struct table_record *recs, r = plain(c, 7, 1, TABLE_LIVE);
    static const char *names[] = {"id", "v"};
    int n;

    WORKS(books_open(B(c), E(c)));
    r.names = names;
    WORKS(books_table_put(B(c), &r, E(c)));
    run_sql(c, "UPDATE penstock.columns SET target_name = NULL WHERE ordinal = 1");
    FAILS_AS(books_tables_read(B(c), c->a, &recs, &n, E(c)), ERROR_FATAL);
    WORKS(books_table_put(B(c), &r, E(c)));
    run_sql(c, "UPDATE penstock.columns SET kind = 'no such kind' WHERE ordinal = 1");
    FAILS_AS(books_tables_read(B(c), c->a, &recs, &n, E(c)), ERROR_FATAL);
}

/* --- loads side by side --- */

static inline void case_two_loads(struct ctx *c)
{
    struct table_record live = plain(c, 7, 3, TABLE_LIVE), next = plain(c, 7, 12, TABLE_LOADING);
    struct table_record after = plain(c, 8, 4, TABLE_LIVE), *recs;
    static const char *names[] = {"id", "v (1)"};

    WORKS(books_open(B(c), E(c)));
    put_neighbour(c, 7, 3);
    next.table->cols[1].kind = TYPE_BYTES;
    next.names = names;
    next.table->schema = "renamed";
    WORKS(books_table_put(B(c), &after, E(c)));
    WORKS(books_table_put(B(c), &next, E(c)));
    WORKS(books_table_put(B(c), &live, E(c)));
    recs = all(c, 3);
    same_record(&recs[0], &live);
    same_record(&recs[1], &next);
    same_record(&recs[2], &after);
    WORKS(books_chunk_add(B(c), 7, 3, 1, 5, E(c)));
    WORKS(books_chunk_add(B(c), 7, 12, 1, 5, E(c)));
    next.table->ncols = 1;
    next.rows = 99;
    WORKS(books_table_put(B(c), &next, E(c)));
    recs = all(c, 3);
    same_record(&recs[0], &live);
    same_record(&recs[1], &next);
    WORKS(books_load_remove(B(c), 7, 12, E(c)));
    recs = all(c, 2);
    same_record(&recs[0], &live);
    same_record(&recs[1], &after);
    CHECK_THAT(count_chunks(c, 7, 3) == 1 && count_chunks(c, 7, 12) == 0);
    asks(c, "SELECT count(*) FROM penstock.columns WHERE load = 12", "0");
    check_neighbour(c, 7, 3);
}

static inline void case_remove(struct ctx *c)
{
    const uint8_t key[] = {1, 2};

    WORKS(books_open(B(c), E(c)));
    put_neighbour(c, 7, 3);
    put_plain(c, 7, 3, TABLE_LIVE);
    put_plain(c, 7, 4, TABLE_LOADING);
    put_plain(c, 8, 5, TABLE_LIVE);
    WORKS(books_chunk_add(B(c), 7, 4, 1, 5, E(c)));
    WORKS(add_wanted(c, 7, key, sizeof(key), 1, 2));
    WORKS(add_wanted(c, 8, key, sizeof(key), 1, 2));
    WORKS(books_table_remove(B(c), 7, E(c)));
    CHECK_THAT(all(c, 1)[0].table->oid == 8);
    asks(c, "SELECT count(*) FROM penstock.columns WHERE source = 'shop'", "2");
    asks(c, "SELECT count(*) FROM penstock.snapshot_chunks WHERE source = 'shop'", "0");
    asks(c, "SELECT source_id FROM penstock.wanted WHERE source = 'shop'", "8");
    check_neighbour(c, 7, 3);
}

static inline void case_state(struct ctx *c)
{
    struct table_record live = plain(c, 7, 3, TABLE_LIVE), next = plain(c, 7, 4, TABLE_LOADING);

    WORKS(books_open(B(c), E(c)));
    put_neighbour(c, 7, 3);
    next.loaded = live.loaded = true;
    WORKS(books_table_put(B(c), &live, E(c)));
    WORKS(books_table_put(B(c), &next, E(c)));
    WORKS(books_table_state(B(c), 7, 4, TABLE_NEEDS_SNAPSHOT, "it's broken", E(c)));
    next.state = TABLE_NEEDS_SNAPSHOT;
    next.loaded = false;
    next.reason = "it's broken";
    same_record(&all(c, 2)[0], &live);
    same_record(&all(c, 2)[1], &next);
    WORKS(books_table_state(B(c), 7, 3, TABLE_LIVE, "is loaded again", E(c)));
    live.reason = "is loaded again";
    same_record(&all(c, 2)[0], &live);
    WORKS(books_table_state(B(c), 7, 4, TABLE_LOADING, NULL, E(c)));
    next.state = TABLE_LOADING;
    next.reason = NULL;
    same_record(&all(c, 2)[1], &next);
    check_neighbour(c, 7, 3);
}

static inline void case_live(struct ctx *c)
{
    struct table_record next = plain(c, 7, 5, TABLE_LOADING);
    bool exists, other, ours;
    int64_t load;

    WORKS(books_open(B(c), E(c)));
    put_neighbour(c, 7, 3);
    put_plain(c, 7, 3, TABLE_LIVE);
    put_plain(c, 7, 6, TABLE_LOADING);
    put_plain(c, 8, 4, TABLE_LIVE);
    next.loaded = next.in_place = true;
    next.reason = "because";
    next.spool_bytes = 100;
    next.spool_applied = 60;
    WORKS(books_table_put(B(c), &next, E(c)));
    for (load = 3; load <= 6; load++)
        WORKS(books_chunk_add(B(c), load == 4 ? 8 : 7, load, 1, 5, E(c)));
    /* A load that is not there replaces nothing. */
    FAILS_AS(books_table_live(B(c), 7, 4, E(c)), ERROR_CONFLICT);
    all(c, 4);
    WORKS(books_table_live(B(c), 7, 5, E(c)));
    next.state = TABLE_LIVE;
    next.reason = NULL;
    next.in_place = false;
    next.spool_bytes = next.spool_applied = 0;
    same_record(&all(c, 2)[0], &next);
    CHECK_THAT(all(c, 2)[1].table->oid == 8);
    asks(c,
         "SELECT source_id, load, count(*) FROM penstock.columns WHERE source = 'shop' GROUP BY "
         "source_id, load ORDER BY source_id, load",
         "7|5|2;8|4|2");
    asks(c,
         "SELECT source_id, load FROM penstock.snapshot_chunks WHERE source = 'shop' ORDER BY "
         "source_id, load",
         "8|4"); /* bounds of ranges are values of rows */
    WORKS(books_table_live(B(c), 7, 5, E(c)));
    asks(c, "SELECT connector, source, target_schema, target_table FROM penstock.targets",
         "warehouse|shop|public|t7");
    WORKS(books_target_exists(B(c), "public", "t7", &exists, &other, &ours, E(c)));
    CHECK_THAT(!exists && ours && !other);
    check_neighbour(c, 7, 3);
}

static inline void case_counts(struct ctx *c)
{
    struct table_record live = plain(c, 7, 3, TABLE_LIVE), next = plain(c, 7, 4, TABLE_LOADING);

    WORKS(books_open(B(c), E(c)));
    put_neighbour(c, 7, 3);
    next.spool_bytes = 8;
    WORKS(books_table_put(B(c), &live, E(c)));
    WORKS(books_table_put(B(c), &next, E(c)));
    WORKS(books_table_loaded(B(c), 7, 4, 50, E(c)));
    FAILS_AS(books_table_loaded(B(c), 7, 5, 50, E(c)), ERROR_CONFLICT);
    WORKS(books_table_add_rows(B(c), 7, 3, -4, false, E(c)));
    WORKS(books_table_add_rows(B(c), 7, 4, 7, true, E(c)));
    WORKS(books_table_add_rows(B(c), 7, 4, 2, false, E(c)));
    WORKS(books_spool(B(c), 7, 4, 200, -1, E(c)));
    next.loaded = true;
    next.rows = 9;
    live.rows = 6;
    next.spool_bytes = 200;
    same_record(&all(c, 2)[0], &live);
    same_record(&all(c, 2)[1], &next);
    WORKS(books_spool(B(c), 7, 4, -1, 150, E(c)));
    WORKS(books_spool(B(c), 7, 4, -1, -1, E(c)));
    next.spool_applied = 150;
    same_record(&all(c, 2)[1], &next);
    WORKS(books_spool(B(c), 7, 4, 0, 0, E(c)));
    next.spool_bytes = next.spool_applied = 0;
    same_record(&all(c, 2)[1], &next);
    FAILS_AS(books_spool(B(c), 7, 5, 1, 1, E(c)), ERROR_CONFLICT);
    FAILS_AS(books_spool(B(c), 8, 4, -1, -1, E(c)), ERROR_CONFLICT);
    check_neighbour(c, 7, 3);
}

static inline void case_next_load(struct ctx *c)
{
    int64_t load = 0, i;

    WORKS(books_open(B(c), E(c)));
    for (i = 1; i <= 3; i++) {
        WORKS(c->ops->begin(c->s, E(c)));
        WORKS(books_next_load(B(c), &load, E(c)));
        same_number("load", load, i);
        put_plain(c, 7, load, TABLE_LOADING);
        WORKS(books_table_remove(B(c), 7, E(c)));
        WORKS(c->ops->commit(c->s, E(c)));
    }
    WORKS(c->ops->begin(c->s, E(c)));
    WORKS(books_next_load(B(c), &load, E(c)));
    c->ops->rollback(c->s);
    WORKS(books_open(B(c), E(c)));
    WORKS(books_next_load(B(c), &load, E(c)));
    same_number("load", load, 4);
    run_sql(c, "INSERT INTO penstock.meta (version, next_load) VALUES (2, 9)");
    FAILS_AS(books_next_load(B(c), &load, E(c)), ERROR_FATAL);
    run_sql(c, "DELETE FROM penstock.meta");
    FAILS_AS(books_next_load(B(c), &load, E(c)), ERROR_FATAL);
}

static inline void case_load_lock(struct ctx *c)
{
    WORKS(books_open(B(c), E(c)));
    put_plain(c, 7, 3, TABLE_LIVE);
    put_plain(c, 7, 4, TABLE_LOADING);
    WORKS(books_load_lock(B(c), 7, 3, E(c)));
    WORKS(books_load_lock(B(c), 7, 4, E(c)));
    FAILS_AS(books_load_lock(B(c), 7, 5, E(c)), ERROR_CONFLICT);
    WORKS(books_load_remove(B(c), 7, 4, E(c)));
    FAILS_AS(books_load_lock(B(c), 7, 4, E(c)), ERROR_CONFLICT);
}

/* --- chunks and wanted keys --- */

static inline void same_chunk(const struct books_chunk *got, const struct books_chunk *want)
{
    same_number("number", got->number, want->number);
    same_number("rows", got->rows, want->rows);
    same_number("s", got->s, want->s);
    same_text("from", got->from, want->from);
    same_text("to", got->to, want->to);
    same_number("done", got->done, want->done);
}

static inline void case_chunks(struct ctx *c)
{
    static const struct books_chunk first = {1, 7, 0, NULL, NULL, true};
    static const struct books_chunk third = {3, 0, INT64_MAX, NULL, "it's \\ \xe6\x97\xa5", false};
    static const struct books_chunk tenth = {10, INT64_MAX, 5, "", NULL, true};
    static const struct books_chunk again = {3, 12, 9, "a", NULL, true};
    struct books_chunk *got;
    int n;

    WORKS(books_open(B(c), E(c)));
    put_neighbour(c, 7, 4);
    WORKS(books_chunk_put(B(c), 7, 4, &tenth, E(c)));
    WORKS(books_chunk_put(B(c), 7, 4, &third, E(c)));
    WORKS(books_chunk_add(B(c), 7, 4, 1, 7, E(c)));
    WORKS(books_chunk_add(B(c), 7, 5, 1, 8, E(c)));
    WORKS(books_chunk_add(B(c), 8, 4, 1, 9, E(c)));
    WORKS(books_chunks_read(B(c), c->a, 7, 4, &got, &n, E(c)));
    CHECK_THAT(n == 3);
    same_chunk(&got[0], &first);
    same_chunk(&got[1], &third);
    same_chunk(&got[2], &tenth);
    WORKS(books_chunk_put(B(c), 7, 4, &again, E(c)));
    WORKS(books_chunks_read(B(c), c->a, 7, 4, &got, &n, E(c)));
    CHECK_THAT(n == 3);
    same_chunk(&got[1], &again);
    CHECK_THAT(count_chunks(c, 7, 5) == 1 && count_chunks(c, 8, 4) == 1);
    CHECK_THAT(count_chunks(c, 7, 6) == 0);
    check_neighbour(c, 7, 4);
}

#define PLANNED 450 /* more than go into one statement */

static inline void case_planned_chunks(struct ctx *c)
{
    static const struct books_chunk want = {7, 70, 900, "b", "it's", true};
    struct books_chunk *list = arena_calloc(c->a, PLANNED, sizeof(*list)), *got;
    int n, i;

    WORKS(books_open(B(c), E(c)));
    put_neighbour(c, 7, 4);
    for (i = 0; i < PLANNED; i++) {
        list[i].number = i;
        list[i].from = i > 0 ? "b" : NULL;
        list[i].to = i + 1 < PLANNED ? "it's" : NULL;
    }
    WORKS(books_chunks_plan(B(c), 7, 4, list, PLANNED, E(c)));
    WORKS(books_chunks_plan(B(c), 7, 5, list, 1, E(c)));
    WORKS(books_chunk_done(B(c), 7, 4, 7, 70, 900, E(c)));
    FAILS_AS(books_chunk_done(B(c), 7, 4, 7, 71, 901, E(c)), ERROR_RETRY);
    FAILS_AS(books_chunk_done(B(c), 7, 4, PLANNED, 71, 901, E(c)), ERROR_RETRY);
    WORKS(books_chunks_read(B(c), c->a, 7, 4, &got, &n, E(c)));
    CHECK_THAT(n == PLANNED);
    for (i = 0; i < n; i++)
        same_chunk(&got[i], i == want.number ? &want : &list[i]);
    WORKS(books_chunks_remove(B(c), 7, 4, E(c)));
    CHECK_THAT(count_chunks(c, 7, 4) == 0 && count_chunks(c, 7, 5) == 1);
    check_neighbour(c, 7, 4);
}

static inline void same_wanted(const struct books_wanted *got, uint32_t oid, const uint8_t *key,
                               size_t len, uint32_t schema, int64_t csn)
{
    same_number("oid", got->oid, oid);
    same_number("length", (int64_t)got->len, (int64_t)len);
    same_number("bytes", memcmp(got->key, key, len), 0);
    same_number("key_schema_id", got->key_schema_id, schema);
    same_number("csn", got->csn, csn);
}

static inline void case_wanted(struct ctx *c)
{
    struct books_wanted *got;
    uint8_t long_key[8000], every[256];
    uint32_t seed = 1;
    int n;

    for (n = 0; n < COUNT(every); n++)
        every[n] = (uint8_t)n;
    for (n = 0; n < COUNT(long_key); n++) { /* a pattern would be compressed */
        seed = seed * 1664525 + 1013904223;
        long_key[n] = (uint8_t)(seed >> 24) | 0x80;
    }
    WORKS(books_open(B(c), E(c)));
    put_neighbour(c, 7, 3);
    WORKS(add_wanted(c, UINT32_MAX, every, 2, UINT32_MAX, INT64_MAX));
    WORKS(add_wanted(c, 7, long_key, sizeof(long_key), 1, 10));
    WORKS(add_wanted(c, 7, every, sizeof(every), 2, 20));
    WORKS(add_wanted(c, 7, NULL, 0, 3, 30));
    WORKS(add_wanted(c, 7, every, sizeof(every), 4, 40));
    WORKS(books_wanted_read(B(c), c->a, &got, &n, E(c)));
    CHECK_THAT(n == 4);
    same_wanted(&got[0], 7, every, 0, 3, 30);
    same_wanted(&got[1], 7, every, sizeof(every), 4, 40);
    same_wanted(&got[2], 7, long_key, sizeof(long_key), 1, 10);
    same_wanted(&got[3], UINT32_MAX, every, 2, UINT32_MAX, INT64_MAX);
    asks(c, "SELECT key_hex FROM penstock.wanted WHERE csn = 9223372036854775807", "0001");
    WORKS(remove_wanted(c, 7, every, sizeof(every)));
    WORKS(remove_wanted(c, 7, every, 2)); /* not wanted */
    WORKS(remove_wanted(c, 7, long_key, sizeof(long_key)));
    WORKS(books_wanted_read(B(c), c->a, &got, &n, E(c)));
    CHECK_THAT(n == 2 && got[0].csn == 30 && got[1].csn == INT64_MAX);
    run_sql(c, "UPDATE penstock.wanted SET key_hex = '00f' WHERE csn = 30");
    FAILS_AS(books_wanted_read(B(c), c->a, &got, &n, E(c)), ERROR_FATAL);
    run_sql(c, "UPDATE penstock.wanted SET key_hex = '00x0' WHERE csn = 30");
    FAILS_AS(books_wanted_read(B(c), c->a, &got, &n, E(c)), ERROR_FATAL);
    check_neighbour(c, 7, 3);
}

/* More than one statement's, all of them twice. */
static inline void case_wanted_many(struct ctx *c)
{
    struct books_wanted list[1201], *got;
    uint16_t keys[1201];
    int n, i;

    for (i = 0; i < COUNT(list); i++) {
        keys[i] = htobe16((uint16_t)i);
        list[i] = (struct books_wanted){7, (const uint8_t *)&keys[i], sizeof(keys[i]), 1, i};
    }
    WORKS(books_open(B(c), E(c)));
    put_neighbour(c, 7, 3);
    WORKS(books_wanted_put(B(c), list, 0, E(c)));
    WORKS(books_wanted_put(B(c), list, COUNT(list), E(c)));
    for (i = 0; i < COUNT(list); i++)
        list[i].csn += 5000;
    WORKS(c->b.ops->begin(c->b.session, E(c)));
    WORKS(books_wanted_put(B(c), list, COUNT(list), E(c)));
    WORKS(books_wanted_remove(B(c), list + 100, 1000, E(c)));
    WORKS(c->b.ops->commit(c->b.session, E(c)));
    WORKS(books_wanted_read(B(c), c->a, &got, &n, E(c)));
    CHECK_THAT(n == 201);
    for (i = 0; i < n; i++) {
        const struct books_wanted *w = &list[i < 100 ? i : i + 1000];

        same_wanted(&got[i], 7, w->key, w->len, 1, w->csn);
    }
    check_neighbour(c, 7, 3);
}

/* --- another timeline --- */

/* Complete copies that are not live count no more; those of another source do. */
static inline void case_identity(struct ctx *c)
{
    struct source_identity id = {
        .system = "1", .timeline = 1, .database = "d", .database_oid = 5, .mark = "m"};
    struct table_record *recs, copied = plain(c, 8, 5, TABLE_LOADING);
    struct books mine;
    struct checkpoint p;

    WORKS(books_open(B(c), E(c)));
    mine = c->b;
    copied.loaded = true;
    c->b.source = "other";
    WORKS(books_checkpoint_create(B(c), "0/1", 1, &id, E(c)));
    WORKS(books_table_put(B(c), &copied, E(c)));
    c->b = mine;
    WORKS(books_checkpoint_create(B(c), "0/1", 1, &id, E(c)));
    put_plain(c, 7, 3, TABLE_LIVE);
    put_plain(c, 7, 4, TABLE_LOADING);
    WORKS(books_table_put(B(c), &copied, E(c)));
    snprintf(id.timeline_began, sizeof(id.timeline_began), "FFFFFFFF/FFFFFFFF");
    FAILS_AS(books_checkpoint_note(B(c), "0/2", &id, E(c)), ERROR_RETRY);
    WORKS(books_checkpoint_read(B(c), &p, E(c)));
    same_text("began", p.identity.timeline_began, "");
    WORKS(books_checkpoint_note(B(c), "0/1", &id, E(c)));
    WORKS(books_checkpoint_read(B(c), &p, E(c)));
    same_text("began", p.identity.timeline_began, "FFFFFFFF/FFFFFFFF");
    CHECK_THAT(p.identity.timeline == 1 && all(c, 3)[2].loaded);
    id.timeline = UINT32_MAX / 2;
    FAILS_AS(books_checkpoint_identity(B(c), "0/2", &id, E(c)), ERROR_RETRY);
    WORKS(books_checkpoint_read(B(c), &p, E(c)));
    CHECK_THAT(p.identity.timeline == 1 && all(c, 3)[2].loaded);
    WORKS(books_checkpoint_identity(B(c), "0/1", &id, E(c)));
    WORKS(books_checkpoint_read(B(c), &p, E(c)));
    CHECK_THAT(p.identity.timeline == UINT32_MAX / 2 && p.identity.database_oid == 5);
    same_text("position", p.position, "0/1");
    recs = all(c, 3);
    CHECK_THAT(recs[0].loaded && !recs[1].loaded && !recs[2].loaded);
    c->b.source = "other";
    WORKS(books_checkpoint_read(B(c), &p, E(c)));
    CHECK_THAT(p.identity.timeline == 1 && all(c, 1)[0].loaded);
    c->b = mine;
}

/* --- forgetting --- */

static inline void case_forget(struct ctx *c)
{
    static const int64_t want[][2] = {{7, 3}, {8, 6}, {9, 0}, {10, 7}};
    struct table_record *recs, spooled = plain(c, 8, 6, TABLE_LOADING);
    struct source_identity id = {.system = "1", .database = "d", .mark = "m"};
    const uint8_t key[] = {1, 2};
    struct checkpoint p;
    int i;

    WORKS(books_open(B(c), E(c)));
    put_neighbour(c, 7, 3);
    put_plain(c, 7, 3, TABLE_LIVE); /* the live one stays */
    put_plain(c, 7, 4, TABLE_LOADING);
    put_plain(c, 7, 5, TABLE_NEEDS_SNAPSHOT);
    put_plain(c, 8, 2, TABLE_NEEDS_SNAPSHOT); /* none is live: the last one */
    spooled.loaded = spooled.in_place = true;
    spooled.spool_bytes = spooled.spool_applied = 9;
    WORKS(books_table_put(B(c), &spooled, E(c)));
    put_plain(c, 9, 0, TABLE_REFUSED);
    put_plain(c, 10, 7, TABLE_LIVE);
    WORKS(books_chunk_add(B(c), 7, 4, 1, 5, E(c)));
    WORKS(add_wanted(c, 7, key, sizeof(key), 1, 2));
    WORKS(books_checkpoint_create(B(c), "0/1", 1, &id, E(c)));
    WORKS(books_forget(B(c), E(c)));
    recs = all(c, 4);
    for (i = 0; i < 4; i++) {
        struct table_record r = plain(c, (uint32_t)want[i][0], want[i][1], TABLE_LOADING);

        r.reason = "everything is loaded again";
        same_record(&recs[i], &r);
    }
    asks(c, "SELECT count(*) FROM penstock.columns WHERE source = 'shop'", "8");
    asks(c, "SELECT count(*) FROM penstock.snapshot_chunks WHERE source = 'shop'", "0");
    asks(c, "SELECT count(*) FROM penstock.wanted WHERE source = 'shop'", "0");
    WORKS(books_checkpoint_read(B(c), &p, E(c)));
    CHECK_THAT(!p.found);
    check_neighbour(c, 7, 3);
}

#endif
