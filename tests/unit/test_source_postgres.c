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
     .kind = TYPE_INT32,
     .type_oid = 23,
     .typmod = -1,
     .key_pos = 1,
     .identity = true},
    {.name = "v", .kind = TYPE_TEXT, .type_oid = 25, .typmod = -1, .nullable = true},
    {.name = "d", .kind = TYPE_TEXT, .type_oid = 25, .typmod = -1, .nullable = true},
};
static const int keys[1] = {0};
static const struct table table = {.oid = 100,
                                   .schema = "public",
                                   .name = "t",
                                   .ncols = 3,
                                   .cols = cols,
                                   .nkeys = 1,
                                   .keys = keys,
                                   .replica_identity = 'd'};

/* As announced, in another order. */
static const struct pgoutput_column announced[3] = {
    {.name = "v", .type_oid = 25, .typmod = -1},
    {.flags = PGOUTPUT_COLUMN_IDENTITY, .name = "id", .type_oid = 23, .typmod = -1},
    {.name = "d", .type_oid = 25, .typmod = -1},
};

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

static const struct change_sink sink = {.wants_load = on_wants};

static struct relations *open_relations(bool skip)
{
    struct stream_table st = {.table = &table, .s = 5, .skip = skip};

    wanted = 0;
    return relations_new(NULL, &st, 1);
}

static bool judge(struct relations *rs, const struct pgoutput_column *columns, int n, char identity,
                  const char *name)
{
    struct pgoutput_relation r = {.oid = 100,
                                  .schema = "public",
                                  .name = name,
                                  .replica_identity = identity,
                                  .ncols = n,
                                  .columns = columns};
    struct error err = {0};
    bool carried;

    relations_announce(rs, &r);
    assert_true(relations_judge(rs, relations_find(rs, 100), &sink, &carried, &err));
    return carried;
}

static void relation_matches(void **state)
{
    struct relations *rs = open_relations(false);

    (void)state;
    assert_null(relations_find(rs, 100)); /* not announced yet */
    assert_true(judge(rs, announced, 3, 'd', "t"));
    assert_int_equal(relations_find(rs, 100)->to_table[0], 1);
    assert_int_equal(relations_find(rs, 100)->to_table[1], 0);
    assert_true(judge(rs, announced, 3, 'd', "t"));
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
            c[0].type_oid = 1043;
        if (what == 1)
            c[0].typmod = 14;
        if (what == 2)
            c[0].name = "w";
        if (what == 3)
            c[0].flags = PGOUTPUT_COLUMN_IDENTITY;
        assert_false(judge(rs, c, what == 4 ? 2 : 3, what == 5 ? 'f' : 'd', what == 6 ? "u" : "t"));
        assert_int_equal(wanted, 1);
        assert_true(wanted_why[0] != '\0');
        assert_false(judge(rs, announced, 3, 'd', "t")); /* for the rest of the stream */
        assert_int_equal(wanted, 1);
        relations_free(rs);
    }
}

static void relation_skipped(void **state)
{
    struct relations *rs = open_relations(true);

    (void)state;
    assert_false(judge(rs, announced, 2, 'n', "other"));
    assert_int_equal(wanted, 0);
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
    struct pg_cell old[3], after[3]; /* v, id, d */
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
    assert_true(judge(f.rs, announced, 3, 'd', "t"));
    f.after[0] = text("x");
    f.after[1] = text("1");
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

    f->old[0] = null_cell;
    f->old[1] = text("7");
    f->old[2] = null_cell;
    assert_true(make_change(f, 'K', true));
    assert_int_equal(f->c.before[0].i, 7);
    assert_int_equal(f->c.before[1].state, VALUE_ABSENT);
    assert_int_equal(f->c.after[2].state, VALUE_UNCHANGED);
    assert_false(f->c.before_full);
    /* The key itself is out of line: it comes from K. */
    f->after[1] = unchanged;
    assert_true(make_change(f, 'K', true));
    assert_int_equal(f->c.after[0].i, 7);
}

static void row_with_old(void **state)
{
    struct fixture *f = *state;

    f->old[0] = null_cell;
    f->old[1] = text("1");
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

    f->old[0] = text("x");
    f->old[1] = null_cell;
    f->old[2] = null_cell;
    assert_false(make_change(f, 'K', false));
    assert_int_equal(f->err.kind, ERROR_DATA);
    assert_int_equal(f->err.table, 100);
    f->after[1] = unchanged;
    assert_false(make_change(f, 0, true));
    assert_int_equal(f->err.kind, ERROR_DATA);
}

static void row_not_parsable(void **state)
{
    struct fixture *f = *state;

    f->after[1] = text("secret");
    assert_false(make_change(f, 0, true));
    assert_int_equal(f->err.kind, ERROR_DATA);
    assert_int_equal(f->err.table, 100);
    assert_null(strstr(f->err.message, "secret"));
    assert_non_null(strstr(f->err.message, "public.t"));
    f->after[1] = (struct pg_cell){PG_CELL_BINARY, "\0\0\0\1", 4};
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
        cmocka_unit_test_setup_teardown(row_without_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(row_with_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(row_with_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(row_without_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(row_not_parsable, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
