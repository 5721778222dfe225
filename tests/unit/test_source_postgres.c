/* SPDX-License-Identifier: Apache-2.0 */
/* The Postgres source without a server: positions, relations and the states of values.
 */
#include "source_postgres/row.h"
#include "source_postgres/source_postgres.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void positions(void **state)
{
    const struct source_ops *ops = &source_postgres_ops;
    char text[PG_LSN_SIZE];
    uint64_t lsn;

    (void)state;
    assert_true(pg_lsn_parse("16/B374D848", &lsn));
    assert_true(lsn == 0x16B374D848);
    assert_string_equal(pg_lsn_text(lsn, text, sizeof(text)), "16/B374D848");
    assert_true(pg_lsn_parse("FFFFFFFF/FFFFFFFF", &lsn));
    assert_false(pg_lsn_parse("", &lsn));
    assert_false(pg_lsn_parse(NULL, &lsn));
    assert_false(pg_lsn_parse("16", &lsn));
    assert_false(pg_lsn_parse("16/", &lsn));
    assert_false(pg_lsn_parse("/1", &lsn));
    assert_false(pg_lsn_parse("1/-1", &lsn));
    assert_false(pg_lsn_parse("1/1 ", &lsn));
    assert_false(pg_lsn_parse("100000000/1", &lsn));
    assert_int_equal(ops->position_compare("0/FFFFFFFF", "1/0"), -1);
    assert_int_equal(ops->position_compare("A/0", "9/FFFFFFFF"), 1);
    assert_int_equal(ops->position_compare("0/a", "0/A"), 0);
    assert_int_equal(ops->position_compare("what", "0/1"), -1);
    assert_true(ops->position_csn("1/2") == 0x100000002);
}

static struct column cols[3] = {
    {.name = "id",
     .attnum = 1,
     .kind = TYPE_INT32,
     .type_oid = 23,
     .typmod = -1,
     .key_pos = 1,
     .identity = true},
    {.name = "v", .attnum = 2, .kind = TYPE_TEXT, .type_oid = 25, .typmod = -1, .nullable = true},
    {.name = "d", .attnum = 3, .kind = TYPE_TEXT, .type_oid = 25, .typmod = -1, .nullable = true},
};
static const int keys[1] = {0};
static const struct table table = {.oid = 100,
                                   .schema = "public",
                                   .name = "t",
                                   .topic = "p.public.t_1234",
                                   .natts = 3,
                                   .ncols = 3,
                                   .cols = cols,
                                   .nkeys = 1,
                                   .keys = keys,
                                   .replica_identity = 'd'};

static const struct pgoutput_column announced[4] = {
    {.flags = PGOUTPUT_COLUMN_IDENTITY, .name = "id", .type_oid = 23, .typmod = -1},
    {.name = "v", .type_oid = 25, .typmod = -1},
    {.name = "d", .type_oid = 25, .typmod = -1},
    {.name = "n", .type_oid = 25, .typmod = -1},
};

/* What the catalogue answers: id and three texts; those that are not live are marked so. */
static const struct storage int4 = {.known = true, .len = 4, .by_value = true, .align = 'i'};
static const struct storage varlena = {.known = true, .len = -1, .align = 'i'};
static struct attribute attributes[4];
static uint8_t states[4];
static struct announced_type types[4];
static struct storage storage[4];
static struct shape shape;
static int asked;

static void reset_shape(int natts)
{
    int i;

    asked = 0;
    memset(&shape, 0, sizeof(shape));
    for (i = 0; i < 4; i++) {
        attributes[i] = (struct attribute){.state = ATTRIBUTE_CARRIED,
                                           .name = announced[i].name,
                                           .type_oid = announced[i].type_oid,
                                           .typmod = -1,
                                           .storage = i == 0 ? int4 : varlena};
        states[i] = ATTRIBUTE_CARRIED;
        types[i] = (struct announced_type){
            true, {.oid = 25, .name = "text", .pg_catalog = true, .type = 'b', .format = "text"}};
        storage[i] = attributes[i].storage;
    }
    shape.exists = true;
    shape.trace.snapshot = "700:700:";
    shape.trace.columns = (struct footprint){natts, states};
    shape.trace.primary = (struct index_columns){1, {1}};
    shape.attributes = (struct attributes){natts, attributes};
    shape.types = types;
    shape.storage = storage;
    shape.file = 5000;
}

static void drop_attribute(int attnum)
{
    attributes[attnum - 1].state = states[attnum - 1] = ATTRIBUTE_DROPPED;
}

static bool fake_ask(struct source *src, struct arena *a, const struct table *t,
                     const struct pgoutput_relation *r, uint32_t xid, struct shape *out,
                     struct error *err)
{
    (void)src;
    (void)a;
    (void)t;
    (void)r;
    (void)xid;
    (void)err;
    asked++;
    *out = shape;
    return true;
}

static int wanted;
static char wanted_why[256];

static bool on_wants(void *ctx, uint32_t oid, const char *schema, const char *name, const char *why,
                     struct error *err)
{
    (void)ctx;
    (void)schema;
    (void)name;
    (void)err;
    assert_int_equal(oid, 100);
    wanted++;
    snprintf(wanted_why, sizeof(wanted_why), "%s", why);
    return true;
}

static bool on_alter(void *ctx, const struct alteration *al, bool *carried, struct error *err)
{
    (void)ctx;
    (void)al;
    (void)carried;
    (void)err;
    fail(); /* the stream calls it, not the judgement */
    return false;
}

static const struct change_sink plain = {.wants_load = on_wants};
static const struct change_sink altering = {.wants_load = on_wants, .alter = on_alter};
static const struct change_sink *sink = &plain;

static struct relations *open_relations(bool skip)
{
    struct stream_table st = {.table = &table, .s = 5, .skip = skip};
    struct relations *rs = relations_new(NULL, &st, 1);

    wanted = 0;
    sink = &plain;
    reset_shape(3);
    rs->ask = fake_ask;
    return rs;
}

static enum relation_state judge(struct relations *rs, const struct pgoutput_column *columns, int n,
                                 char identity, const char *name)
{
    struct pgoutput_relation r = {.oid = 100,
                                  .schema = "public",
                                  .name = name,
                                  .replica_identity = identity,
                                  .ncols = n,
                                  .columns = columns};
    struct error err = {0};

    relations_announce(rs, &r);
    assert_true(relations_judge(rs, relations_find(rs, 100), 650, sink, &err));
    return relations_find(rs, 100)->state;
}

static void relation_matches(void **state)
{
    struct relations *rs = open_relations(false);

    (void)state;
    assert_null(relations_find(rs, 100)); /* not announced yet */
    assert_int_equal(judge(rs, announced, 3, 'd', "t"), RELATION_MATCHES);
    assert_int_equal(judge(rs, announced, 3, 'd', "t"), RELATION_MATCHES);
    assert_int_equal(asked, 1); /* the answer sees the second transaction too */
    assert_int_equal(wanted, 0);
    relations_free(rs);
    relations_free(NULL);
}

static void relation_differs(void **state)
{
    struct pgoutput_column c[3];
    int what;

    (void)state;
    for (what = 0; what < 7; what++) {
        struct relations *rs = open_relations(false);

        memcpy(c, announced, sizeof(c));
        if (what == 0)
            c[1].type_oid = 1043;
        if (what == 1)
            c[1].typmod = 14;
        if (what == 2)
            c[1].name = "w";
        if (what == 3)
            c[1].flags = PGOUTPUT_COLUMN_IDENTITY;
        assert_int_equal(
            judge(rs, c, what == 4 ? 2 : 3, what == 5 ? 'f' : 'd', what == 6 ? "u" : "t"),
            RELATION_IGNORED);
        assert_int_equal(wanted, 1);
        assert_true(wanted_why[0] != '\0');
        assert_int_equal(judge(rs, announced, 3, 'd', "t"), RELATION_IGNORED); /* from then on */
        assert_int_equal(wanted, 1);
        relations_free(rs);
    }
}

static void relation_skipped(void **state)
{
    struct relations *rs = open_relations(true);

    (void)state;
    assert_int_equal(judge(rs, announced, 2, 'n', "other"), RELATION_IGNORED);
    assert_int_equal(wanted, 0);
    relations_free(rs);
}

static void relation_altered(void **state)
{
    struct relations *rs = open_relations(false);
    struct pgoutput_column c[4];
    struct relation *rel;

    (void)state;
    sink = &altering;
    reset_shape(4);
    attributes[3].missing = MISSING_VALUE;
    attributes[3].missing_text = "{\"x y\"}";
    attributes[3].not_null = true;
    memcpy(c, announced, sizeof(c));
    c[1].name = "w";
    assert_int_equal(judge(rs, c, 4, 'd', "t"), RELATION_ALTERED);
    rel = relations_find(rs, 100);
    assert_ptr_equal(rel->alteration.was, &table);
    assert_int_equal(rel->alteration.from[1], 1);
    assert_int_equal(rel->alteration.from[3], -1);
    assert_memory_equal(rel->alteration.fill[3].s.p, "x y", 3);
    relations_settle(rel, true);
    assert_int_equal(rel->state, RELATION_MATCHES);
    assert_string_equal(rel->table->cols[1].name, "w");
    assert_string_equal(rel->table->topic, "p.public.t_1234");
    assert_int_equal(rel->table->natts, 4);
    assert_int_equal(rel->table->nkeys, 1);
    assert_false(rel->table->cols[3].nullable);
    assert_string_equal(rel->table->cols[3].def, "\"x y\"");
    /* And on from there. */
    assert_int_equal(judge(rs, c, 4, 'd', "t"), RELATION_MATCHES);
    c[1].name = "v";
    assert_int_equal(judge(rs, c, 4, 'd', "t"), RELATION_ALTERED);
    relations_settle(rel, false);
    assert_int_equal(judge(rs, c, 4, 'd', "t"), RELATION_IGNORED);
    assert_int_equal(wanted, 0);
    relations_free(rs);
}

/* The same message, but v may have been dropped and added again. */
static void relation_in_disguise(void **state)
{
    struct pgoutput_column c[3] = {announced[0], announced[2], announced[1]};
    struct relations *rs = open_relations(false);
    struct relation *rel;

    (void)state;
    sink = &altering;
    reset_shape(4);
    drop_attribute(2);
    assert_int_equal(judge(rs, announced, 3, 'd', "t"), RELATION_IGNORED);
    assert_int_equal(wanted, 1);
    assert_non_null(strstr(wanted_why, "cannot be told apart"));
    relations_free(rs);
    /* An answer from before the transaction shows that it had been. */
    rs = open_relations(false);
    sink = &altering;
    reset_shape(4);
    drop_attribute(2);
    shape.trace.snapshot = "600:600:";
    rel = map_get_u32(rs->by_oid, 100);
    rel->latest = trace_copy(&shape.trace);
    shape.trace.snapshot = "700:700:";
    assert_int_equal(judge(rs, c, 3, 'd', "t"), RELATION_ALTERED);
    assert_int_equal(rel->alteration.from[1], 2);
    assert_int_equal(rel->alteration.from[2], -1);
    assert_int_equal(rel->alteration.fill[2].state, VALUE_NULL);
    relations_free(rs);
}

/* Dropped, and after rows without it added again, all of it before the stream comes to it. */
static void relation_far_behind(void **state)
{
    struct pgoutput_column without[2] = {announced[0], announced[2]};
    struct pgoutput_column again[3] = {announced[0], announced[2], announced[1]};
    struct relations *rs = open_relations(false);
    struct relation *rel;

    (void)state;
    sink = &altering;
    reset_shape(4);
    drop_attribute(2);
    rel = map_get_u32(rs->by_oid, 100);
    assert_int_equal(judge(rs, without, 2, 'd', "t"), RELATION_ALTERED);
    assert_int_equal(rel->alteration.from[1], 2);
    relations_settle(rel, true);
    assert_int_equal(judge(rs, again, 3, 'd', "t"), RELATION_ALTERED);
    assert_int_equal(rel->alteration.from[1], 1);
    assert_int_equal(rel->alteration.from[2], -1);
    relations_free(rs);
}

static void judge_refused(char identity, const char *why)
{
    struct relations *rs = open_relations(false);
    struct pgoutput_column c[3];
    struct index_columns primary = shape.trace.primary;

    memcpy(c, announced, sizeof(c));
    c[2].name = "e";
    sink = &altering;
    switch (why[0]) {
    case 'k':
        shape.trace.primary = (struct index_columns){1, {2}};
        why = "key";
        break;
    case 'w':
        shape.rewritten = why;
        break;
    case 'p':
        shape.doubt = why;
        break;
    case 't':
        c[2].type_oid = 3802;
        why = "type";
        break;
    case 'g':
        c[2].typmod = 14;
        c[2].type_oid = 1043;
        types[2].found = false;
        why = "is not there any more";
        break;
    default:
        shape.exists = false;
        why = "dropped";
        break;
    }
    assert_int_equal(judge(rs, c, 3, identity, "t"), RELATION_IGNORED);
    assert_int_equal(wanted, 1);
    assert_non_null(strstr(wanted_why, why));
    shape.trace.primary = primary;
    relations_free(rs);
}

static void relation_refused(void **state)
{
    (void)state;
    judge_refused('d', "key");
    judge_refused('d', "was rewritten");
    judge_refused('d', "perhaps the publication");
    judge_refused('d', "type");
    judge_refused('d', "gone type");
    judge_refused('d', "dropped");
    judge_refused('i', "key");
}

static void relation_identity(void **state)
{
    struct relations *rs = open_relations(false);
    struct pgoutput_column c[3];
    struct relation *rel;
    int i;

    (void)state;
    sink = &altering;
    memcpy(c, announced, sizeof(c));
    for (i = 0; i < 3; i++)
        c[i].flags = PGOUTPUT_COLUMN_IDENTITY;
    assert_int_equal(judge(rs, c, 3, 'f', "t"), RELATION_ALTERED);
    rel = relations_find(rs, 100);
    relations_settle(rel, true);
    assert_int_equal(rel->table->replica_identity, 'f');
    assert_true(rel->table->cols[2].identity);
    assert_int_equal(rel->table->nkeys, 1);
    relations_free(rs);
}

static void relation_installed(void **state)
{
    struct stream_table st = {.table = &table, .s = 9};
    struct relations *rs = open_relations(false);
    struct pgoutput_relation r = {.oid = 100,
                                  .schema = "public",
                                  .name = "t",
                                  .replica_identity = 'd',
                                  .ncols = 3,
                                  .columns = announced};
    struct relation *rel;
    struct error err = {0};

    (void)state;
    assert_int_equal(judge(rs, announced, 2, 'd', "t"), RELATION_IGNORED);
    assert_int_equal(wanted, 1);
    relations_announce(rs, &r); /* while it is not carried */
    relations_install(rs, &st);
    rel = relations_find(rs, 100);
    assert_int_equal(rel->state, RELATION_NEW);
    assert_true(rel->s == 9 && !rel->skip);
    assert_true(relations_judge(rs, rel, 650, sink, &err));
    assert_int_equal(rel->state, RELATION_MATCHES);
    assert_int_equal(judge(rs, announced, 2, 'd', "t"), RELATION_IGNORED);
    assert_int_equal(wanted, 2); /* it is told again */
    relations_free(rs);
}

static struct pg_cell text(const char *s)
{
    return (struct pg_cell){PG_CELL_TEXT, s, strlen(s)};
}

static const struct pg_cell null_cell = {PG_CELL_NULL, NULL, 0};
static const struct pg_cell unchanged = {PG_CELL_UNCHANGED, NULL, 0};

struct fixture {
    struct relations *rs;
    struct arena *scratch;
    struct pg_cell old[3], after[3]; /* id, v, d */
    struct pgoutput_decoder d;
    struct change c;
    struct error err;
};

static bool make_change(struct fixture *f, char old_kind, bool has_new)
{
    struct pgoutput_message m = {.tag = has_new ? PGOUTPUT_UPDATE : PGOUTPUT_DELETE};

    m.row.oid = 100;
    m.row.old_kind = old_kind;
    m.row.has_new = has_new;
    f->d.old.cells = f->old;
    f->d.after.cells = f->after;
    f->d.old.ncols = f->d.after.ncols = 3;
    error_clear(&f->err);
    return row_change(relations_find(f->rs, 100), &f->d, &m, f->scratch, &f->c, &f->err);
}

static int set_up(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    f.rs = open_relations(false);
    f.scratch = arena_new("test");
    assert_int_equal(judge(f.rs, announced, 3, 'd', "t"), RELATION_MATCHES);
    f.after[1] = text("x");
    f.after[0] = text("1");
    f.after[2] = unchanged;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    relations_free(f->rs);
    arena_free(f->scratch);
    return 0;
}

static void row_without_old(void **state)
{
    struct fixture *f = *state;

    assert_true(make_change(f, 0, true));
    assert_null(f->c.before);
    assert_int_equal(f->c.after[0].i, 1);
    assert_int_equal(f->c.after[2].state, VALUE_UNCHANGED);
}

static void row_with_key(void **state)
{
    struct fixture *f = *state;

    f->old[1] = null_cell;
    f->old[0] = text("7");
    f->old[2] = null_cell;
    assert_true(make_change(f, 'K', true));
    assert_int_equal(f->c.before[0].i, 7);
    assert_int_equal(f->c.before[1].state, VALUE_ABSENT);
    assert_int_equal(f->c.after[2].state, VALUE_UNCHANGED);
    assert_false(f->c.before_full);
    /* The key itself is out of line: it comes from K. */
    f->after[0] = unchanged;
    assert_true(make_change(f, 'K', true));
    assert_int_equal(f->c.after[0].i, 7);
}

static void row_with_old(void **state)
{
    struct fixture *f = *state;

    f->old[1] = null_cell;
    f->old[0] = text("1");
    f->old[2] = text("doc");
    assert_true(make_change(f, 'O', true));
    assert_true(f->c.before_full);
    assert_int_equal(f->c.before[1].state, VALUE_NULL);
    assert_int_equal(f->c.after[2].state, VALUE_SET);
    assert_memory_equal(f->c.after[2].s.p, "doc", 3);
    /* An unchanged value is out of line, hence never NULL: such an old row is not believed. */
    f->old[2] = null_cell;
    assert_true(make_change(f, 'O', true));
    assert_int_equal(f->c.after[2].state, VALUE_UNCHANGED);
}

static void row_without_key(void **state)
{
    struct fixture *f = *state;

    f->old[1] = text("x");
    f->old[0] = null_cell;
    f->old[2] = null_cell;
    assert_false(make_change(f, 'K', false));
    assert_int_equal(f->err.kind, ERROR_DATA);
    assert_int_equal(f->err.table, 100);
    f->after[0] = unchanged;
    assert_false(make_change(f, 0, true));
    assert_int_equal(f->err.kind, ERROR_DATA);
}

static void row_not_parsable(void **state)
{
    struct fixture *f = *state;

    f->after[0] = text("secret");
    assert_false(make_change(f, 0, true));
    assert_int_equal(f->err.kind, ERROR_DATA);
    assert_int_equal(f->err.table, 100);
    assert_null(strstr(f->err.message, "secret"));
    assert_non_null(strstr(f->err.message, "public.t"));
    f->after[0] = (struct pg_cell){PG_CELL_BINARY, "\0\0\0\1", 4};
    assert_false(make_change(f, 0, true));
    assert_int_equal(f->err.kind, ERROR_FATAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions),
        cmocka_unit_test(relation_matches),
        cmocka_unit_test(relation_differs),
        cmocka_unit_test(relation_skipped),
        cmocka_unit_test(relation_altered),
        cmocka_unit_test(relation_in_disguise),
        cmocka_unit_test(relation_far_behind),
        cmocka_unit_test(relation_refused),
        cmocka_unit_test(relation_identity),
        cmocka_unit_test(relation_installed),
        cmocka_unit_test_setup_teardown(row_without_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(row_with_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(row_with_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(row_without_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(row_not_parsable, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
