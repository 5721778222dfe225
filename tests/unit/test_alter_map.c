/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which columns are which: cases by hand, and random histories of a table whose truth is known.
 * A history is a row of moments; the known version, the floor, the R message and the catalogue of
 * now are each of one of them. What is called proven must be the truth, and the truth must never
 * be ruled out.
 */
#include "source_postgres/alter.h"
#include "source_postgres/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 12

/* ------------------------------------------------------------------------------- by hand */

/* An attribute of now: live (its type by a letter) or dropped. */
struct now {
    char type;  /* 'i' int4, 't' text, 'v' varchar */
    char state; /* 'c' carried, 'd' dropped, 'h' hidden, 'g' long gone */
};

static struct storage storage_of(char type)
{
    struct storage s = {.known = true, .len = 4, .by_value = true, .align = 'i'};

    if (type != 'i')
        s = (struct storage){.known = true, .len = -1, .align = 'i'};
    if (type == '?')
        s.known = false;
    return s;
}

struct hand {
    struct column cols[MAX];
    struct table was;
    struct pgoutput_column announced[MAX];
    struct pgoutput_relation r;
    struct storage storage[MAX];
    struct attribute attributes[MAX];
    struct attributes now;
    uint8_t floor[MAX];
    struct footprint footprint;
    struct alter_case c;
    int attnums[MAX];
    int unclear;
};

/*
 * known: attnums of the known version as digits. r: a letter for the type of each announced
 * column. now: for each attnum its state and type, "ci dt". floor: states of a moment between, or
 * NULL.
 */
static enum alter_result map(struct hand *h, const char *known, int natts, const char *r,
                             const char *now, const char *floor)
{
    size_t i;

    memset(h, 0, sizeof(*h));
    for (i = 0; known[i] != '\0'; i++)
        h->cols[i].attnum = known[i] - '0';
    h->was = (struct table){.ncols = (int)i, .cols = h->cols};
    for (i = 0; r[i] != '\0'; i++)
        h->storage[i] = storage_of(r[i]);
    h->r = (struct pgoutput_relation){.ncols = (int)i, .columns = h->announced};
    for (i = 0; now[i] != '\0'; i += now[i + 2] == '\0' ? 2 : 3) {
        struct attribute *a = &h->attributes[h->now.n++];

        a->state = now[i] == 'c'   ? ATTRIBUTE_CARRIED
                   : now[i] == 'h' ? ATTRIBUTE_HIDDEN
                                   : ATTRIBUTE_DROPPED;
        a->long_gone = now[i] == 'g';
        a->storage = storage_of(now[i + 1]);
    }
    h->now.list = h->attributes;
    for (i = 0; floor != NULL && floor[i] != '\0'; i++)
        h->floor[i] = floor[i] == 'c'   ? ATTRIBUTE_CARRIED
                      : floor[i] == 'h' ? ATTRIBUTE_HIDDEN
                                        : ATTRIBUTE_DROPPED;
    h->footprint = (struct footprint){(int)i, h->floor};
    h->c = (struct alter_case){.was = &h->was,
                               .natts = natts,
                               .r = &h->r,
                               .storage = h->storage,
                               .floor = floor != NULL ? &h->footprint : NULL,
                               .now = &h->now};
    return alter_map(&h->c, h->attnums, &h->unclear);
}

static void is_one(const char *known, int natts, const char *r, const char *now, const char *floor,
                   const char *attnums)
{
    struct hand h;
    size_t i;

    assert_int_equal(map(&h, known, natts, r, now, floor), ALTER_ONE);
    for (i = 0; attnums[i] != '\0'; i++)
        assert_int_equal(h.attnums[i], attnums[i] - '0');
    assert_int_equal(h.r.ncols, (int)i);
}

static void is(enum alter_result want, const char *known, int natts, const char *r, const char *now,
               const char *floor)
{
    struct hand h;

    assert_int_equal(map(&h, known, natts, r, now, floor), want);
}

static void nothing_or_one_thing_changed(void **state)
{
    (void)state;
    is_one("12", 2, "it", "ci ct", NULL, "12");
    is_one("", 0, "", "", NULL, "");
    is_one("12", 2, "itt", "ci ct ct", NULL, "123");  /* added */
    is_one("12", 2, "it", "ci ct ct", NULL, "12");    /* added later */
    is_one("123", 3, "it", "ci dt ct", NULL, "13");   /* dropped */
    is_one("123", 3, "itt", "ci dt ct", NULL, "123"); /* dropped later */
    is_one("12", 2, "itt", "ci ct dt", NULL, "123");  /* added, dropped later */
    is(ALTER_NONE, "12", 2, "i", "ci ct", NULL);      /* columns do not come back */
    is(ALTER_NONE, "12", 2, "itt", "ci ct", NULL);    /* nor from nowhere */
    is(ALTER_NONE, "12", 2, "ii", "ci ct", NULL);     /* rewritten, or another table */
    is_one("12", 2, "i?", "ci ct", NULL, "12");       /* a type that is gone proves nothing */
    is(ALTER_NONE, "13", 3, "it", "ci", NULL);        /* fewer attributes than are known */
}

static void dropped_and_added(void **state)
{
    struct hand h;

    (void)state;
    /* b text dropped, b text added: before or after? */
    is(ALTER_MANY, "12", 2, "it", "ci dt ct", NULL);
    assert_int_equal(map(&h, "12", 2, "it", "ci dt ct", NULL), ALTER_MANY);
    assert_int_equal(h.unclear, 1);
    /* Another storage tells them apart. */
    is_one("12", 2, "ii", "ci dt ci", NULL, "13");
    is_one("12", 2, "it", "ci dt ci", NULL, "12");
    /* So does a moment before R: b was gone, or both were there. */
    is_one("12", 2, "it", "ci dt ct", "cdc", "13");
    is_one("12", 2, "i", "ci dt ct", "cd", "1");
    is_one("12", 2, "it", "ci dt ct", "cd", "13");
    is_one("12", 2, "itt", "ci dt ct", "ccc", "123");
    is(ALTER_MANY, "12", 2, "it", "ci dt ct", "cc");
    /* Dropped, then added with a version between that is known. */
    is_one("1", 2, "it", "ci dt ct", "cd", "13");
    is(ALTER_MANY, "1", 2, "it", "ci dt ct", NULL); /* 2 may have been generated */
    /* b dropped, d added, c lives: b and c may have been renamed c and d. */
    is(ALTER_MANY, "123", 3, "itt", "ci dt ct ct", NULL);
    is_one("123", 3, "itit", "ci dt ci ct", NULL, "1234");
    is_one("123", 3, "iit", "ci dt ci ct", NULL, "134");
}

static void new_ones_come_in_order(void **state)
{
    (void)state;
    is_one("1", 1, "ii", "ci ci ci", NULL, "12");   /* not 1 and 3 */
    is(ALTER_MANY, "1", 1, "ii", "ci di ci", NULL); /* 2 may have been dropped by then */
    is_one("1", 1, "iii", "ci di ci", NULL, "123");
    is_one("1", 1, "it", "ci ct ci", NULL, "12");
    is(ALTER_NONE, "1", 1, "it", "ci ci ct", NULL); /* 3 without 2 */
    is_one("1", 1, "iit", "ci ci ct", NULL, "123");
    is_one("1", 1, "it", "ci di ct", NULL, "13");
}

static void dropped_long_ago(void **state)
{
    (void)state;
    /* 2 is not known: it was dropped before, as far as the catalogue can prove it. */
    is_one("13", 3, "iii", "ci gi ci ci", NULL, "134");
    is_one("13", 3, "iii", "ci di ci ci", "cdc", "134");
    is(ALTER_MANY, "13", 3, "iii", "ci di ci ci", NULL);
    is_one("13", 3, "ii", "ci di ci", NULL, "13"); /* and where it cannot, count decides */
    /* Nothing is known of higher attnums. */
    is(ALTER_MANY, "12", 0, "iii", "ci ci di ci", NULL);
    is_one("12", 0, "iii", "ci ci gi ci", NULL, "124");
    is_one("12", 0, "iii", "ci ci di ci", "ccd", "124");
}

static void hidden_columns(void **state)
{
    (void)state;
    is_one("13", 3, "iii", "ci hi ci ci", NULL, "134"); /* generated */
    is_one("13", 3, "ii", "ci hi ci hi", NULL, "13");   /* not in the column list */
    is_one("13", 3, "iii", "ci ci ci", NULL, "123");    /* DROP EXPRESSION */
    is(ALTER_MANY, "13", 3, "ii", "ci ci di", NULL);    /* and 3 dropped */
}

static void what_was_added(void **state)
{
    struct hand h;

    (void)state;
    map(&h, "12", 2, "iii", "ci ci ci", NULL);
    assert_true(alter_added(&h.c, 3));
    assert_false(alter_added(&h.c, 2));
    assert_int_equal(alter_natts(&h.c, h.attnums), 3);
    map(&h, "13", 3, "iii", "ci ci ci", NULL); /* it was there, hidden */
    assert_false(alter_added(&h.c, 2));
    map(&h, "12", 0, "iii", "ci ci ci", NULL);
    assert_false(alter_added(&h.c, 3));
    assert_int_equal(alter_natts(&h.c, h.attnums), 0);
    map(&h, "12", 0, "iii", "ci ci ci", "cc");
    assert_int_equal(alter_natts(&h.c, h.attnums), 3);
    assert_int_equal(alter_natts_later(&h.was, 0, &h.footprint), 2);
    map(&h, "12", 0, "iii", "ci ci ci", "cch");
    assert_int_equal(alter_natts_later(&h.was, 0, &h.footprint), 3);
    map(&h, "12", 0, "iii", "ci ci ci", "ccc");
    assert_int_equal(alter_natts_later(&h.was, 0, &h.footprint), 0);
    map(&h, "12", 1, "iii", "ci ci ci", "cd");
    assert_int_equal(alter_natts_later(&h.was, 1, &h.footprint), 1);
}

/* ---------------------------------------------------------------------- random histories */

/* What a column is at one moment. */
enum { UNBORN, PLAIN, GENERATED, GONE };

struct moment {
    int n; /* attnums given so far */
    uint8_t column[MAX];
};

static unsigned seed;

static unsigned dice(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % n;
}

static void alter_once(struct moment *m)
{
    unsigned which = dice(MAX);

    switch (dice(4)) {
    case 0:
    case 1: /* ADD COLUMN; a generated one is added by a rewrite */
        if (m->n < MAX)
            m->column[m->n++] = PLAIN;
        break;
    case 2:
        if (m->column[which] == PLAIN || m->column[which] == GENERATED)
            m->column[which] = GONE;
        break;
    default: /* DROP EXPRESSION */
        if (m->column[which] == GENERATED)
            m->column[which] = PLAIN;
        break;
    }
}

static void start_history(struct moment *m)
{
    int i;

    memset(m, 0, sizeof(*m));
    m->n = 1 + (int)dice(5);
    for (i = 0; i < m->n; i++)
        m->column[i] = (uint8_t)(PLAIN + dice(3));
}

struct history {
    struct moment then, floor, r, now; /* in this order */
    char types[MAX];
};

static void make_history(struct history *h)
{
    struct moment m;
    unsigned i;

    start_history(&m);
    h->then = m;
    for (i = dice(3); i > 0; i--)
        alter_once(&m);
    h->floor = m;
    for (i = dice(3); i > 0; i--)
        alter_once(&m);
    h->r = m;
    for (i = dice(4); i > 0; i--)
        alter_once(&m);
    h->now = m;
    for (i = 0; i < MAX; i++)
        h->types[i] = "it"[dice(4) == 0];
}

/* The arguments of map() as this history shows them; truth: the attnums of R. */
static enum alter_result ask(struct hand *h, const struct history *x, bool with_natts,
                             bool with_floor, char truth[MAX + 1])
{
    char known[MAX + 1] = "", r[MAX + 1] = "", now[3 * MAX + 1] = "", floor[MAX + 1] = "";
    int i;

    truth[0] = '\0';
    for (i = 0; i < x->now.n; i++) {
        char attnum[2] = {(char)('1' + i), '\0'};
        char type[2] = {x->types[i], '\0'};
        bool old = x->then.column[i] == GONE && dice(2) == 0;

        if (x->then.column[i] == PLAIN)
            strcat(known, attnum);
        if (x->r.column[i] == PLAIN) {
            strcat(truth, attnum);
            strcat(r, dice(8) == 0 ? "?" : type);
        }
        if (i < x->floor.n)
            strcat(floor, x->floor.column[i] == PLAIN       ? "c"
                          : x->floor.column[i] == GENERATED ? "h"
                                                            : "d");
        strcat(now, x->now.column[i] == PLAIN       ? "c"
                    : x->now.column[i] == GENERATED ? "h"
                    : old                           ? "g"
                                                    : "d");
        strcat(now, type);
        strcat(now, i + 1 < x->now.n ? " " : "");
    }
    return map(h, known, with_natts ? x->then.n : 0, r, now, with_floor ? floor : NULL);
}

static void check_history(const struct history *x, int *proven)
{
    char truth[MAX + 1];
    struct hand h;
    int options, i;

    for (options = 0; options < 4; options++) {
        enum alter_result got = ask(&h, x, options & 1, options & 2, truth);

        assert_int_not_equal(got, ALTER_NONE); /* the truth is always one of the ways */
        if (got == ALTER_MANY)
            continue;
        (*proven)++;
        for (i = 0; i < h.r.ncols; i++) {
            assert_int_equal(h.attnums[i], truth[i] - '0');
            if (alter_added(&h.c, h.attnums[i]))
                assert_true(h.attnums[i] > x->then.n);
        }
        if (alter_natts(&h.c, h.attnums) > 0) {
            for (i = alter_natts(&h.c, h.attnums); i < x->r.n; i++)
                assert_true(x->r.column[i] == GONE);
        }
    }
}

static void random_histories(void **state)
{
    struct history x;
    int proven = 0, i;

    (void)state;
    for (i = 0; i < 200000; i++) {
        seed = (unsigned)i * 7919 + 1;
        make_history(&x);
        if (x.now.n <= 9) /* attnums are digits here */
            check_history(&x, &proven);
    }
    assert_true(proven > 200000); /* it does prove things */
}

/* ------------------------------------------------------------------------- types and values */

static int32_t numeric(int precision, int scale)
{
    return (int32_t)(((uint32_t)precision << 16 | ((uint32_t)scale & 0x7ff)) + 4);
}

static void types(void **state)
{
    (void)state;
    assert_true(alter_keeps_values(23, -1, 23, -1));
    assert_false(alter_keeps_values(23, -1, 20, -1));
    assert_true(alter_keeps_values(1043, 14, 1043, 24));
    assert_true(alter_keeps_values(1043, 14, 25, -1));
    assert_true(alter_keeps_values(25, -1, 1043, -1));
    assert_false(alter_keeps_values(25, -1, 1042, 14));
    assert_false(alter_keeps_values(1042, 14, 1042, 24)); /* padding */
    assert_true(alter_keeps_values(1562, 3, 1562, -1));
    assert_false(alter_keeps_values(1560, 3, 1560, 4));
    assert_true(alter_keeps_values(1700, numeric(10, 2), 1700, numeric(12, 2)));
    assert_false(alter_keeps_values(1700, numeric(10, 2), 1700, numeric(12, 3)));
    assert_false(alter_keeps_values(1700, numeric(5, -2), 1700, numeric(5, 2)));
    assert_true(alter_keeps_values(1700, numeric(5, -2), 1700, numeric(6, -2)));
    assert_true(alter_keeps_values(1700, numeric(10, 2), 1700, -1));
    assert_false(alter_keeps_values(1700, -1, 1700, numeric(10, 2)));
    assert_true(alter_keeps_values(1114, 3, 1114, 6));
    assert_true(alter_keeps_values(1184, 3, 1184, -1));
    assert_false(alter_keeps_values(1114, -1, 1184, -1));
    assert_true(alter_keeps_values(1186, 3, 1186, -1));
}

static void is_element(struct arena *a, const char *array, const char *want)
{
    const char *got = alter_only_element(a, array);

    if (want == NULL)
        assert_null(got);
    else
        assert_string_equal(got, want);
}

static void elements(void **state)
{
    struct arena *a = arena_new("test");

    (void)state;
    is_element(a, "{7}", "7");
    is_element(a, "{\"\"}", "");
    is_element(a, "{\"NULL\"}", "NULL");
    is_element(a, "{NULL}", NULL);
    is_element(a, "{\"a,b\"}", "a,b");
    is_element(a, "{\"q\\\"x\\\\y\"}", "q\"x\\y");
    is_element(a, "{\"{1,2}\"}", "{1,2}");
    is_element(a, "{\"{\\\"a b\\\",NULL}\"}", "{\"a b\",NULL}");
    is_element(a, "{(1,1),(0,0)}", "(1,1),(0,0)"); /* box[] has another delimiter */
    is_element(a, "{}", NULL);
    is_element(a, "", NULL);
    is_element(a, "[0:0]={7}", NULL);
    is_element(a, "{\"a\",\"b\"}", NULL);
    is_element(a, "{\"a}", NULL);
    is_element(a, "{\"a\\\"}", NULL);
    arena_free(a);
}

static void snapshots(void **state)
{
    (void)state;
    assert_true(snapshot_sees("10:20:", 9));
    assert_true(snapshot_sees("10:20:", 15));
    assert_false(snapshot_sees("10:20:", 20));
    assert_false(snapshot_sees("10:20:10,15", 10));
    assert_false(snapshot_sees("10:20:10,15", 15));
    assert_true(snapshot_sees("10:20:10,15", 14));
    assert_true(snapshot_sees("10:10:", 9));
    assert_false(snapshot_sees("10:10:", 10));
    /* With an epoch, around the place where 32 bits end. */
    assert_true(snapshot_sees("4294967290:4294967300:4294967291", 4294967295u));
    assert_false(snapshot_sees("4294967290:4294967300:4294967291", 4294967291u));
    assert_true(snapshot_sees("4294967290:4294967300:4294967298", 3));
    assert_false(snapshot_sees("4294967290:4294967300:4294967298", 2));
    assert_false(snapshot_sees("4294967290:4294967300:", 4));
    assert_true(snapshot_sees("4294967290:4294967300:", 4294967000u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_or_one_thing_changed),
        cmocka_unit_test(dropped_and_added),
        cmocka_unit_test(new_ones_come_in_order),
        cmocka_unit_test(dropped_long_ago),
        cmocka_unit_test(hidden_columns),
        cmocka_unit_test(what_was_added),
        cmocka_unit_test(random_histories),
        cmocka_unit_test(types),
        cmocka_unit_test(elements),
        cmocka_unit_test(snapshots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
