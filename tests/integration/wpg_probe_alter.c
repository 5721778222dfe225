/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets altered in place on a real server: in one transaction with the rename by which a copy
 * takes its place and with the rows that follow, without a rewrite; older rows' defaults for every
 * type (called from wpg_probe_types.c); what a type cannot hold fails.
 */
#include "wpg_probe.h"

#include "load/alter.h"
#include "load/sql.h"

#define MAX_COLS 8

struct numbered {
    int attnum;
    struct column c;
    const char *fill; /* text and numeric columns; NULL: NULL */
};

#define COL(n, NAME, KIND, TYPE)                                                     \
    {                                                                                \
        n, {.name = NAME, .kind = KIND, .source_type = TYPE, .nullable = true}, NULL \
    }
#define NUM(n, NAME, P, S, TYPE)   \
    {                              \
        n,                         \
            {.name = NAME,         \
             .kind = TYPE_DECIMAL, \
             .precision = P,       \
             .scale = S,           \
             .source_type = TYPE,  \
             .nullable = true},    \
            NULL                   \
    }
#define NEW(n, NAME, KIND, TYPE, FILL)                                               \
    {                                                                                \
        n, {.name = NAME, .kind = KIND, .source_type = TYPE, .nullable = true}, FILL \
    }
#define KEY(n, NAME)                                                                       \
    {                                                                                      \
        n, {.name = NAME, .kind = TYPE_INT64, .source_type = "bigint", .key_pos = 1}, NULL \
    }

static const struct numbered first[MAX_COLS] = {
    KEY(1, "id"),
    COL(2, "a", TYPE_TEXT, "text"),
    COL(3, "b", TYPE_TEXT, "character varying(3)"),
    NUM(4, "d", 10, 2, "numeric(10,2)"),
    COL(5, "tags", TYPE_TEXT, "character varying(3)[]"),
    COL(6, "at", TYPE_TIMESTAMPTZ, "timestamp(3) with time zone"),
};
/* The key renamed, a and b exchanged and widened, tags dropped, n added. */
static const struct numbered second[MAX_COLS] = {
    KEY(1, "Key"),
    COL(2, "b", TYPE_TEXT, "text"),
    COL(3, "a", TYPE_TEXT, "character varying(9)"),
    NUM(4, "d", 12, 2, "numeric(12,2)"),
    COL(6, "at", TYPE_TIMESTAMPTZ, "timestamp with time zone"),
    NEW(7, "n", TYPE_TEXT, "character varying(9)", "it's"),
};
/* tags again, as another column; to text and to numeric. */
static const struct numbered third[MAX_COLS] = {
    KEY(1, "Key"),
    COL(2, "b", TYPE_TEXT, "text"),
    COL(3, "a", TYPE_TEXT, "text"),
    COL(4, "d", TYPE_NUMERIC, "numeric"),
    COL(6, "at", TYPE_TIMESTAMPTZ, "timestamp with time zone"),
    COL(7, "n", TYPE_TEXT, "text"),
    NEW(8, "tags", TYPE_TEXT, "text[]", "{\"x y\",NULL}"),
};
static const struct numbered arrays[][MAX_COLS] = {
    {KEY(1, "id"), COL(2, "v", TYPE_TEXT, "character varying(3)[]")},
    {KEY(1, "id"), COL(2, "v", TYPE_TEXT, "character varying(9)[]")},
    {KEY(1, "id"), COL(2, "v", TYPE_TEXT, "text[]")},
};

static struct table *make_table(struct arena *a, const struct numbered *list)
{
    struct table *t = arena_calloc(a, 1, sizeof(*t));

    t->schema = "wpg_probe";
    t->name = "altered";
    t->cols = arena_calloc(a, MAX_COLS, sizeof(*t->cols));
    for (; list[t->ncols].attnum != 0; t->ncols++) {
        t->cols[t->ncols] = list[t->ncols].c;
        t->cols[t->ncols].attnum = list[t->ncols].attnum;
    }
    table_index_keys(a, t);
    return t;
}

/* was altered to the columns of list, the statements run. */
static struct target *alter(struct session *s, struct arena *a, const struct target *was,
                            const struct numbered *list)
{
    struct table *now = make_table(a, list);
    struct value *fill = arena_calloc(a, MAX_COLS, sizeof(*fill));
    int *from = arena_calloc(a, MAX_COLS, sizeof(*from));
    struct alteration al = {was->table, now, from, fill};
    struct target *out = NULL;
    struct error err = {0};
    const char **statements;
    int n;

    for (int i = 0; i < now->ncols; i++) {
        from[i] = -1;
        for (int k = 0; k < was->table->ncols; k++)
            if (was->table->cols[k].attnum == list[i].attnum)
                from[i] = k;
        if (list[i].fill != NULL)
            fill[i] = (struct value){.state = VALUE_SET, .s = {list[i].fill, strlen(list[i].fill)}};
    }
    OK(target_alter(a, was, now, &al, &out, &err));
    if (out == NULL)
        return NULL;
    sql_alter(a, was, out, &al, &statements, &n);
    for (int i = 0; i < n; i++)
        CHECK(ops->exec(s, statements[i], NULL, &err), "%s (%s)\n  %s", err.message, err.sqlstate,
              statements[i]);
    return out;
}

static void exec(struct session *s, const char *sql)
{
    struct error err = {0};

    CHECK(ops->exec(s, sql, NULL, &err), "%s (%s)\n  %s", err.message, err.sqlstate, sql);
}

static const char *answer(struct session *s, struct arena *a, const char *sql)
{
    struct error err = {0};
    struct rowset r = {0};

    CHECK(ops->query(s, a, sql, &r, &err), "%s (%s)\n  %s", err.message, err.sqlstate, sql);
    return r.nrows == 1 && rowset_get(&r, 0, 0) != NULL ? rowset_get(&r, 0, 0) : "";
}

static void holds(struct session *s, struct arena *a, const char *sql, const char *want)
{
    const char *got = answer(s, a, sql);

    CHECK(strcmp(got, want) == 0, "%s\n  %s\nnot\n  %s", sql, got, want);
}

/* Row 2 changes after the alterations, row 1 does not, row 3 is new. */
static void write_rows(struct session *s, const struct target *t)
{
    struct error err = {0};
    struct buf sql = {0};
    int64_t n;

    sql_stage_create(&sql, t, "st");
    exec(s, buf_cstr(&sql));
    exec(s, "INSERT INTO pg_temp.st (_penstock_op, \"Key\", b, n, tags) VALUES "
            "(1, 2, 'two', 'n', '{}'), (1, 3, 'three', NULL, NULL)");
    buf_reset(&sql);
    sql_upsert(&sql, t, "st");
    CHECK(ops->exec(s, buf_cstr(&sql), &n, &err) && n == 2, "%s", err.message);
    exec(s, "DROP TABLE pg_temp.st");
    buf_free(&sql);
}

static void in_one_transaction(struct session *s)
{
    static const char node[] = "SELECT pg_relation_filenode('wpg_probe.altered')";
    struct arena *a = arena_new("probe");
    struct target *t = NULL;
    struct error err = {0};
    struct buf sql = {0};
    const char *before;

    OK(target_new(a, make_table(a, first), ops->dialect, "wpg_probe", "altered", &t, &err));
    target_sql_create(&sql, t, "wpg_probe", "aside");
    exec(s, buf_cstr(&sql));
    buf_free(&sql);
    exec(s, "ALTER TABLE wpg_probe.aside ADD PRIMARY KEY (id)");
    exec(s, "INSERT INTO wpg_probe.aside VALUES (1, 'a1', 'b1', 1.50, '{t}', '2020-01-01'), "
            "(2, 'a2', 'b2', -0.01, '{NULL}', NULL)");
    OK(ops->begin(s, &err));
    exec(s, "ALTER TABLE wpg_probe.aside RENAME TO altered");
    before = answer(s, a, node);
    t = alter(s, a, t, second);
    if (t != NULL)
        t = alter(s, a, t, third);
    if (t == NULL) {
        ops->rollback(s);
        arena_free(a);
        return;
    }
    holds(s, a, node, before);
    write_rows(s, t);
    OK(ops->commit(s, &err));
    holds(s, a,
          "SELECT string_agg(concat_ws('|', \"Key\", b, coalesce(a, '-'), coalesce(d::text, '-'), "
          "coalesce(at::text, '-'), coalesce(n, '-'), coalesce(tags::text, '-'), "
          "coalesce(tags__dropped_5::text, '-')), ' ; ' ORDER BY \"Key\") FROM wpg_probe.altered",
          "1|a1|b1|1.50|2020-01-01 00:00:00+00|it's|{\"x y\",NULL}|{t} ; 2|two|-|-|-|n|{}|- ; "
          "3|three|-|-|-|-|-|-");
    holds(s, a,
          "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY "
          "attnum) FROM pg_attribute WHERE attrelid = 'wpg_probe.altered'::regclass AND attnum > 0 "
          "AND NOT attisdropped AND attname NOT LIKE '\\_penstock%'",
          "Key bigint,b text,a text,d numeric,tags__dropped_5 character varying(3)[],at timestamp "
          "with time zone,n text,tags text[]");
    holds(
        s, a,
        "SELECT concat_ws(' ', count(*) FILTER (WHERE atthasdef), string_agg(attname, ',') FILTER "
        "(WHERE attnotnull)) FROM pg_attribute WHERE attrelid = 'wpg_probe.altered'::regclass AND "
        "attnum > 0",
        "0 Key");
    exec(s, "DROP TABLE wpg_probe.altered");
    arena_free(a);
}

/* Arrays are rewritten, at the source too; should they come, they are right. */
static void widened_arrays(struct session *s)
{
    struct arena *a = arena_new("probe");
    struct target *t = NULL;
    struct error err = {0};
    struct buf sql = {0};

    OK(target_new(a, make_table(a, arrays[0]), ops->dialect, "wpg_probe", "altered", &t, &err));
    OK(ops->begin(s, &err));
    target_sql_create(&sql, t, "wpg_probe", "altered");
    exec(s, buf_cstr(&sql));
    buf_free(&sql);
    exec(s, "INSERT INTO wpg_probe.altered VALUES (1, '{a,NULL,\"b c\"}')");
    for (int i = 1; t != NULL && i < 3; i++) {
        t = alter(s, a, t, arrays[i]);
        holds(s, a, "SELECT v::text FROM wpg_probe.altered", "{a,NULL,\"b c\"}");
    }
    ops->rollback(s);
    arena_free(a);
}

/* What would be cut or rounded by a cast is an error. */
static void misfits(struct session *s)
{
    static const struct numbered tables[][MAX_COLS] = {
        {KEY(1, "id"), NEW(2, "v", TYPE_TEXT, "character varying(3)", "secret")},
        {KEY(1, "id"), NEW(2, "v", TYPE_TEXT, "character(3)", "secret")},
        {KEY(1, "id"), NEW(2, "v", TYPE_TEXT, "character varying(3)[]", "{secret}")},
        {KEY(1, "id"), NEW(2, "v", TYPE_NUMERIC, "numeric(10,2)", "0.001")},
        {KEY(1, "id"), NEW(2, "v", TYPE_NUMERIC, "numeric(10,2)", "Infinity")},
        {KEY(1, "id"), NEW(2, "v", TYPE_UUID, "uuid", "secret")},
        {KEY(1, "id"), NEW(2, "v", TYPE_BITS, "bit(3)", "1")},
    };
    static const int from[2] = {0, -1};
    static const struct numbered only[MAX_COLS] = {KEY(1, "id")};
    struct arena *a = arena_new("probe");

    exec(s, "CREATE TABLE wpg_probe.altered (id bigint PRIMARY KEY, _penstock_csn bigint, "
            "_penstock_committed_at timestamptz)");
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        const char *text = tables[i][1].fill;
        struct value fill[2] = {{0}, {.state = VALUE_SET, .s = {text, strlen(text)}}};
        struct alteration al = {make_table(a, only), make_table(a, tables[i]), from, fill};
        struct target *was, *now;
        struct error err = {0};
        const char **statements;
        int n;

        OK(target_new(a, al.was, ops->dialect, "wpg_probe", "altered", &was, &err));
        OK(target_alter(a, was, al.now, &al, &now, &err));
        sql_alter(a, was, now, &al, &statements, &n);
        FAILS(ops->exec(s, statements[0], NULL, &err), ERROR_DATA);
        CHECK(strstr(err.message, "secret") == NULL, "%s", err.message);
    }
    exec(s, "DROP TABLE wpg_probe.altered");
    arena_free(a);
}

void probe_default(struct session *s, struct arena *a, const struct load_column *c, int row,
                   const struct value *v)
{
    static const char node[] = "SELECT pg_relation_filenode('wpg_probe.t')";
    const char *before = answer(s, a, node);
    struct buf sql = {0};
    const char *why;

    buf_printf(&sql, "ALTER TABLE wpg_probe.t ADD COLUMN d %s DEFAULT ", c->type);
    why = ops->dialect->literal(&sql, c, v);
    CHECK(why == NULL, "%s sample %d: %s", c->type, row, why);
    exec(s, buf_cstr(&sql));
    exec(s, "ALTER TABLE wpg_probe.t ALTER COLUMN d DROP DEFAULT");
    holds(s, a, arena_printf(a, "SELECT concat(v) = concat(d) FROM wpg_probe.t WHERE i = %d", row),
          "t");
    CHECK(strcmp(before, answer(s, a, node)) == 0, "%s sample %d: rewritten", c->type, row);
    exec(s, "ALTER TABLE wpg_probe.t DROP COLUMN d");
    buf_free(&sql);
}

void probe_alter(struct session *s)
{
    in_one_transaction(s);
    widened_arrays(s);
    misfits(s);
}
