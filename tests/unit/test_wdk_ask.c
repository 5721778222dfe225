/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions of people against the real library: what is refused leaves the instance as it was, the
 * limits end what reaches them, a cancel from another thread too, and the desk takes a warehouse
 * back only when nobody asks it any more.
 */
#include "state/desk.h"
#include "util/clock.h"
#include "wdk_fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>

#define ENDLESS "SELECT count(*) FROM range(100000000000) a, range(1000) b"

static atomic_bool never;
static int timeout_ms = 20000;

struct asked {
    enum ask_outcome outcome;
    struct buf json;
    struct error err;
};

static struct asked *ask(struct fixture *f, const char *sql)
{
    static struct asked a;
    struct question q = {.sql = sql,
                         .max_rows = 10,
                         .max_bytes = 1 << 20,
                         .timeout_ms = timeout_ms,
                         .cancelled = &never};

    buf_reset(&a.json);
    error_clear(&a.err);
    a.outcome = ops->ask(f->w, &q, &a.json, &a.err);
    return &a;
}

static void says(struct fixture *f, const char *sql, const char *json)
{
    struct asked *a = ask(f, sql);

    if (a->outcome != ASK_DONE)
        fail_msg("%s: %s", sql, a->err.message);
    assert_string_equal(buf_cstr(&a->json), json);
}

static void ends(struct fixture *f, const char *sql, enum ask_outcome outcome, const char *message)
{
    struct asked *a = ask(f, sql);

    if (a->outcome != outcome || strstr(a->err.message, message) == NULL)
        fail_msg("%s: %d: %s", sql, (int)a->outcome, a->err.message);
    assert_int_equal(a->json.len, 0);
}

static void test_answers(void **state)
{
    struct fixture *f = *state;

    exec(f, "CREATE SCHEMA shop");
    exec(f, "CREATE TABLE shop.t AS SELECT 1 AS id, 'x\"y' AS v");
    says(f, "SELECT * FROM shop.t",
         "{\"columns\":[{\"name\":\"id\",\"type\":\"INTEGER\"},{\"name\":\"v\",\"type\":"
         "\"VARCHAR\"}],"
         "\"rows\":[[1,\"x\\\"y\"]],\"truncated\":false}");
    says(
        f, "FROM range(11) LIMIT 0",
        "{\"columns\":[{\"name\":\"range\",\"type\":\"BIGINT\"}],\"rows\":[],\"truncated\":false}");
    says(f, "SELECT sum(range) AS s FROM range(11)",
         "{\"columns\":[{\"name\":\"s\",\"type\":\"HUGEINT\"}],\"rows\":[[\"55\"]],\"truncated\":"
         "false}");
    assert_non_null(strstr(buf_cstr(&ask(f, "FROM range(11)")->json), "[9]],\"truncated\":true}"));
    assert_null(strstr(buf_cstr(&ask(f, "FROM range(10)")->json), "\"truncated\":true"));
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    char sql[256];

    exec(f, "CREATE TABLE main.t AS SELECT 1 AS id");
    exec(f, "CREATE SEQUENCE main.s");
    ends(f, "DELETE FROM main.t", ASK_REFUSED, "Only one statement that reads");
    ends(f, "SELECT 1; SELECT 2", ASK_REFUSED, "Only one statement at a time");
    ends(f, "EXPLAIN SELECT 1; DELETE FROM main.t", ASK_REFUSED, "Only one statement");
    ends(f, "EXPLAIN ANALYZE DELETE FROM main.t", ASK_REFUSED, "Only one statement that reads");
    ends(f, "", ASK_REFUSED, "There is no statement");
    ends(f, "SELEC 1", ASK_REFUSED, "cannot be read");
    ends(f, "SELECT nextval('main.s')", ASK_REFUSED, "nextval");
    ends(f, "FROM checkpoint()", ASK_REFUSED, "checkpoint");
    ends(f, "FROM query('DELETE FROM t')", ASK_REFUSED, "query");
    snprintf(sql, sizeof(sql), "FROM '%s'", f->file);
    ends(f, sql, ASK_REFUSED, "There is no table");
    snprintf(sql, sizeof(sql), "SELECT (SELECT max(x) FROM (FROM read_blob('%s')) t(x))", f->file);
    ends(f, sql, ASK_REFUSED, "read_blob");
    ends(f, "SELECT nothing FROM main.t", ASK_FAILED, "nothing");
    ends(f, "SELECT 'a'::INTEGER", ASK_FAILED, "Could not convert");
    answers(f, "SELECT count(*) FROM main.t", "1");
    answers(f, "SELECT nextval('main.s')", "1");
}

/* What is done for the service still works: upkeep sets one setting, the others stay. */
static void test_closed_in(void **state)
{
    struct fixture *f = *state;

    exec(f, "SET GLOBAL max_vacuum_tasks = 4");
    exec(f, "SET GLOBAL max_vacuum_tasks = 0");
    exec_fails(f, "SET GLOBAL memory_limit = '1GB'", ERROR_DATA);
    exec_fails(f, "SET GLOBAL enable_external_access = true", ERROR_DATA);
    exec_fails(f, "SELECT count(*) FROM read_text('/etc/hostname')", ERROR_CONFIG);
    exec_fails(f, "COPY (SELECT 1) TO '/tmp/test_wdk_stolen.csv'", ERROR_CONFIG);
    exec_fails(f, "ATTACH '/tmp/test_wdk_other.duckdb'", ERROR_CONFIG);
    exec(f, "CREATE TABLE main.t AS SELECT range AS id FROM range(100000)");
    exec(f, "CHECKPOINT");
    exec(f, "DELETE FROM main.t WHERE id % 2 = 0");
    exec(f, "CHECKPOINT");
    shut(f);
    reopen(f);
    answers(f, "SELECT count(*) FROM main.t", "50000");
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    int64_t began = clock_mono_ms();

    timeout_ms = 500;
    ends(f, ENDLESS, ASK_TIMEOUT, "after 500 ms");
    timeout_ms = 20000;
    assert_true(clock_mono_ms() - began < 15000);
    ends(f, "SELECT string_agg(range::VARCHAR, ',') FROM range(1000000)", ASK_TOO_LARGE, "1 MB");
    ends(f, "SELECT list(hash(range)) FROM range(1000000000)", ASK_TOO_LARGE, "memory");
    says(
        f, "SELECT 1 AS x",
        "{\"columns\":[{\"name\":\"x\",\"type\":\"INTEGER\"}],\"rows\":[[1]],\"truncated\":false}");
}

/* --- readers one after another, and the log --- */

struct reader {
    struct fixture *f;
    atomic_bool over;
    atomic_int asked, n;
};

static void *read_on(void *arg)
{
    struct reader *r = arg;
    struct question q = {.sql = "SELECT count(*) FROM main.t, range(100000000000) a, range(1000) b",
                         .max_rows = 1,
                         .max_bytes = 1 << 20,
                         .timeout_ms = 3000 + 700 * atomic_fetch_add(&r->n, 1),
                         .cancelled = &never};
    struct buf json = {0};
    struct error err;

    while (!atomic_load(&r->over)) {
        ops->ask(r->f->w, &q, &json, &err);
        atomic_fetch_add(&r->asked, 1);
    }
    buf_free(&json);
    return NULL;
}

static long log_size(struct fixture *f)
{
    char path[128];
    struct stat st;

    snprintf(path, sizeof(path), "%s.wal", f->file);
    return stat(path, &st) == 0 ? (long)st.st_size : 0;
}

/* There is always a long question under way, also while rows are updated that it may see. */
static void test_readers_and_the_log(void **state)
{
    struct fixture *f = *state;
    struct reader r = {.f = f};
    int64_t until = clock_mono_ms() + 60000;
    pthread_t threads[3];
    int i, batch = 0;

    exec(f, "CREATE TABLE main.t(i BIGINT, v VARCHAR)");
    exec(f, "CREATE TABLE main.mark AS SELECT 1 AS n");
    for (i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    while (log_size(f) < 130L << 20 && clock_mono_ms() < until) {
        assert_true(ops->begin(f->s, &f->err));
        exec(f, "UPDATE main.mark SET n = n + 1");
        exec(f,
             "INSERT INTO main.t SELECT range, repeat(md5(range::VARCHAR), 300) FROM range(1000)");
        exec(f, "DELETE FROM main.t WHERE i % 2 = 0");
        assert_true(ops->commit(f->s, &f->err));
        batch++;
    }
    assert_true(log_size(f) >= 130L << 20);
    while (log_size(f) > 32L << 20 && clock_mono_ms() < until) {
        if (!ops->maintain(f->s, false, &f->err))
            fail_msg("%s", f->err.message);
        exec(f, "UPDATE main.mark SET n = n + 1");
        clock_sleep_ms(20);
    }
    assert_true(log_size(f) <= 32L << 20);
    atomic_store(&r.over, true);
    for (i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(atomic_load(&r.asked) >= 3);
    assert_true(batch > 0);
    answers(f, "SELECT count(*) FROM main.mark", "1");
}

/* --- the desk --- */

struct visitor {
    struct desk *desk;
    enum ask_outcome outcome;
    struct error err;
    struct buf json;
};

static void *visit(void *arg)
{
    struct visitor *v = arg;
    struct question q = {.sql = ENDLESS, .max_rows = 1, .max_bytes = 1 << 20, .timeout_ms = 60000};

    v->outcome = desk_ask(v->desk, "wh", &q, &v->json, &v->err);
    return NULL;
}

static void test_desk(void **state)
{
    static const struct warehouse_ops other = {.name = "other"};
    struct fixture *f = *state;
    struct visitor v = {.desk = desk_new()};
    struct buf names = {0};
    pthread_t thread;
    int i;

    desk_add(v.desk, "pg", &other);
    desk_add(v.desk, "wh", ops);
    assert_int_equal(desk_names(v.desk, &names), 1);
    assert_string_equal(buf_cstr(&names), "wh");
    buf_free(&names);
    assert_int_equal(desk_find(v.desk, "no"), DESK_UNKNOWN);
    assert_int_equal(desk_find(v.desk, "pg"), DESK_NOT_ASKED);
    assert_int_equal(desk_find(v.desk, "wh"), DESK_ASKED);
    for (i = 0; i < DESK_MAX; i++)
        assert_true(desk_take(v.desk));
    assert_false(desk_take(v.desk));
    desk_give(v.desk);
    assert_true(desk_take(v.desk));
    visit(&v);
    assert_int_equal(v.outcome, ASK_BUSY);
    assert_non_null(strstr(v.err.message, "not open"));

    desk_open(v.desk, "wh", f->w);
    assert_int_equal(pthread_create(&thread, NULL, visit, &v), 0);
    clock_sleep_ms(100); /* usually it runs by then; either way the next line ends it */
    desk_close(v.desk, "wh");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(v.outcome, ASK_BUSY);
    buf_free(&v.json);
    desk_open(NULL, "wh", f->w);
    desk_close(NULL, "wh");
    desk_free(v.desk);
}

/* --- where a statement runs --- */

static bool runs_apart(struct fixture *f, const char *sql)
{
    bool explain, apart = true;
    struct buf run = {0};

    if (!wdk_ask_guard(f->s, sql, &run, &explain, &apart, &f->err))
        fail_msg("%s: %s", sql, f->err.message);
    buf_free(&run);
    return apart;
}

#define HUNDRED                                                                                    \
    "v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v," \
    "v,v,"                                                                                         \
    "v,v"
#define THOUSAND                                                                                \
    HUNDRED "," HUNDRED "," HUNDRED "," HUNDRED "," HUNDRED "," HUNDRED "," HUNDRED "," HUNDRED \
            "," HUNDRED "," HUNDRED
#define HUNDREDS THOUSAND "," THOUSAND "," THOUSAND

static void test_what_runs_here(void **state)
{
    static const char *const here[] = {
        "SELECT * FROM shop.t",
        "SELECT count(*), sum(id), max(id), min(ts) FROM shop.t WHERE v LIKE 'a%' AND id IN (1, 2)",
        "SELECT upper(v) || '!' AS v, id FROM shop.t ORDER BY 1",
        "SELECT id, string_agg(upper(v), ', ') FROM shop.t GROUP BY id HAVING count(*) > 1",
        "SELECT len(list(v)) FROM shop.t",
        "SELECT date_trunc('day', ts), count(DISTINCT v) FROM shop.t GROUP BY ALL",
        "SELECT j->>'$.a.b', CAST(id AS VARCHAR) FROM shop.t",
        "SELECT strftime(ts, '%Y-%m') AS m, avg(id) FROM shop.t GROUP BY m",
        "SELECT t.id, w.id FROM shop.t JOIN shop.wide w USING (id) LEFT JOIN shop.t u USING (id)",
        "SELECT id, row_number() OVER (PARTITION BY v ORDER BY ts), sum(id) OVER () FROM shop.t",
        "WITH a AS (SELECT * FROM shop.t), b AS (SELECT * FROM a) SELECT count(*) FROM a JOIN b "
        "USING (id)",
        "SELECT max(hash(a.range, b.range)) FROM range(1000) a, range(1000) b",
        "SELECT regexp_matches(v, '^a+$') FROM shop.t",
        "SELECT sum(id), count(big) FROM shop.wide",
        "SELECT max(id) FROM shop.wide",
        "SELECT max(w.id) FROM shop.wide w",
        "EXPLAIN ANALYZE SELECT max(id) FROM shop.t",
        "FROM shop.t",
        "VALUES (1, 'x')",
        "DESCRIBE shop.t",
        "SUMMARIZE shop.t",
        "SHOW ALL TABLES",
        "SELECT CASE WHEN id > 1 THEN 'x' ELSE v END, coalesce(v, 'none') FROM shop.t",
        "SELECT id & 7, v[2:], id AS a, a + 1 AS b, b + a AS c FROM shop.t",
        "SELECT count(*) FROM shop.t WHERE v ILIKE '%a%b%' OR v LIKE '_%a' OR contains(v, 'a')",
        "SELECT count(*) FROM shop.t WHERE v SIMILAR TO '\\d{4}-\\d{2}-\\d{2}'",
        "SELECT string_agg(v, ', ') FROM shop.t WHERE v ILIKE '%a%' AND regexp_matches(v, '^a+$')",
        "SELECT min(COLUMNS(*)), max(COLUMNS(*)) FROM shop.t",
        "SELECT concat(v, '-', id), concat_ws(', ', v, id, ts) FROM shop.t",
        "SELECT a.id FROM shop.t a JOIN shop.t b USING (id) WHERE a.ts > '2026-01-01' AND b.d > 1 "
        "AND "
        "a.id <> a.d",
        "SELECT count(*) FROM shop.wide WHERE big LIKE 'x%' AND contains(big, 'abc')",
        "SELECT id % 2 AS a, id % 3 AS b, count(*) FROM shop.t GROUP BY ROLLUP (a, b)",
        "SELECT id FROM shop.t WHERE d > (SELECT avg(d) FROM shop.t) AND id NOT IN (SELECT id FROM "
        "shop.wide)"};
    static const char *const apart[] = {
        "SELECT upper(big) FROM shop.wide", /* long text */
        "SELECT max(big) FROM shop.wide",
        "SELECT upper(big) FROM shop.\"T\u00c4\"", /* names in letters that lower() knows */
        "SELECT upper(\"\u00dcBER\") FROM shop.\"T\u00c4\"",
        "SELECT upper(sql) FROM duckdb_tables()",
        "SELECT upper(s.sql) FROM sqlite_master s",
        "SELECT upper(column_type) FROM (DESCRIBE shop.t)",
        "SELECT big[2:] FROM shop.wide",
        "SELECT ~b FROM shop.bits",
        "SELECT NULL::BIGINT[9000][9000]", /* vectors of 2048 of them */
        "SELECT CAST('[1]' AS INTEGER[])",
        "SELECT concat(m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m) FROM shop.mid",
        "SELECT concat_ws(m, id, id, id, id, id, id, id, id, id, id, id) FROM shop.mid",
        "SELECT concat(*COLUMNS(*)) FROM shop.t",
        "SELECT count(*) FROM shop.wide WHERE big LIKE '%_x%x%y'", /* 100000 ^ 2 steps */
        "SELECT count(*) FROM shop.wide WHERE big ILIKE '%x%y'",
        "SELECT count(*) FROM shop.mid WHERE m GLOB '*[x]*x*y'",
        "SELECT count(*) FROM shop.mid WHERE regexp_matches(m, 'x.{900}y')",
        "SELECT count(*) FROM shop.t WHERE concat_ws('-', v, v, v, v, v, v, v, v) LIKE '%-_%-%-y'",
        "SELECT 1 FROM shop.t HAVING string_agg(v, ',') LIKE '%_v%v%y'",
        "SELECT string_agg(v, ',') AS s, s LIKE '%_v%v%y' FROM shop.t",
        "SELECT strftime(ts, '%c%c%c%c%c%c%c%c') LIKE '%_v%v%y' FROM shop.t",
        "SELECT count(*) FROM shop.wide WHERE contains(big, big)",
        "SELECT count(*) FROM shop.wide WHERE strpos(big, '" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED
            HUNDRED HUNDRED HUNDRED "') > 0",
        "SELECT id AS a, a+a+a+a AS b, b+b+b+b AS c, c+c+c+c AS d, d+d+d+d AS e, e+e+e+e AS f, "
        "f+f+f+f AS g, g+g+g+g AS h FROM shop.t", /* planning puts each in place of its name */
        "SELECT 1 FROM range(1), range(1), range(1), range(1), range(1), range(1), range(1), "
        "range(1), range(1)",
        "SELECT 1 FROM shop.t a JOIN shop.t b ON a.v = b.v AND a.id < b.id", /* no match: no pause
                                                                              */
        "SELECT 1 FROM shop.t a, shop.t b WHERE a.id <> b.id",
        "SELECT 1 FROM shop.t a LEFT JOIN shop.t b ON NOT (a.id = b.id)",
        "SELECT 1 FROM shop.t WHERE id <> ANY (SELECT id FROM shop.t)",
        "SELECT 1 FROM shop.t a WHERE EXISTS (SELECT 1 FROM shop.t b WHERE a.id > b.id)",
        "SELECT v FROM shop.t GROUP BY CUBE (v), CUBE (id)",
        "SELECT v FROM shop.t GROUP BY ROLLUP (" HUNDREDS ")",
        "SELECT string_agg(big, '') FROM shop.wide",
        "SELECT max(id), count(big) FROM shop.wide", /* what is named may go on under an alias */
        "SELECT big AS x, upper(x) FROM shop.wide",
        "SELECT upper(x) FROM (SELECT big AS x FROM shop.wide)",
        "SELECT upper(b) FROM shop.wide AS w(a, b, c)",
        "WITH w(a, b, c) AS (FROM shop.wide) SELECT upper(b) FROM w",
        "SELECT upper(w.big) FROM shop.wide w",
        "SELECT w::VARCHAR FROM shop.wide w",
        "SELECT wide::VARCHAR FROM shop.wide",
        "SELECT upper(COLUMNS('b.*')) FROM shop.wide",
        "SELECT upper(#2) FROM shop.wide",
        "SELECT upper(x) FROM main.view",
        "SELECT l::VARCHAR FROM shop.wide", /* a list */
        "SELECT upper(string_agg(v, ',')) FROM shop.t",
        "SELECT string_agg(s, ',') FROM (SELECT string_agg(v, ',') AS s FROM shop.t)",
        "SELECT list(id) OVER () FROM shop.t",
        "SELECT mode(id) OVER (ORDER BY id) FROM shop.t",
        "SELECT sum(id) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING EXCLUDE TIES) FROM shop.t",
        "SELECT count(DISTINCT id) OVER (ORDER BY id) FROM shop.t",
        "SELECT max(id, 100000) FROM shop.t GROUP BY v",
        "SELECT arg_max(id, id, 100000) FROM shop.t GROUP BY v",
        "SELECT [id] FROM shop.t",
        "SELECT {a: v, b: v} FROM shop.t",
        "SELECT MAP {1: 2}",
        "SELECT list_transform([1, 2], lambda x: x + 1)",
        "SELECT unnest([1, 2])",
        "SELECT replace(v, 'a', 'aaaa') FROM shop.t",
        "SELECT levenshtein(v, v) FROM shop.t",
        "SELECT v LIKE '%a%a%a%a%a%a' FROM shop.t",
        "SELECT v LIKE v FROM shop.t",
        "SELECT v NOT ILIKE '_____' FROM shop.t",
        "SELECT v GLOB '*a*a*a*a*a*' FROM shop.t",
        "SELECT regexp_matches(v, v) FROM shop.t",
        "SELECT j->'$..*' FROM shop.t",
        "SELECT * FROM json_each('[1]')",
        "WITH RECURSIVE x AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM x WHERE a < 9) FROM x",
        "FROM (PIVOT shop.t ON v IN ('a') USING sum(id))",
        "SELECT v, id, ts FROM shop.t GROUP BY CUBE (v, id, ts, j, v || '1')",
        "SELECT main.mine(1)",
        "SELECT * FROM (SELECT *, * FROM (SELECT *, * FROM (SELECT *, * FROM (SELECT *, * FROM "
        "(SELECT *, * FROM shop.t)))))",
        "FROM shop.t, shop.t, shop.t, shop.t, shop.t, shop.t, shop.t, shop.t, shop.t",
        "SELECT 1 UNION SELECT 1 UNION SELECT 1 UNION SELECT 1 UNION SELECT 1 UNION SELECT 1"};
    struct fixture *f = *state;
    int i;

    exec(f, "CREATE SCHEMA shop");
    exec(f, "CREATE TABLE shop.t (id INTEGER, v VARCHAR, ts TIMESTAMP, j JSON, d DOUBLE)");
    exec(f, "CREATE TABLE shop.wide (id INTEGER, big VARCHAR, l VARCHAR[])");
    exec(f, "INSERT INTO shop.t SELECT range, 'v' || range, '2026-01-01', '{}', 0 FROM range(9)");
    exec(f, "INSERT INTO shop.wide VALUES (1, repeat('x', 100000), ['a'])");
    exec(f, "CREATE TABLE shop.\"T\u00c4\" AS SELECT big, big AS \"\u00dcber\" FROM shop.wide");
    exec(f, "CREATE TABLE shop.mid AS SELECT id, repeat('x', 2000) AS m FROM shop.t");
    exec(f, "CREATE TABLE shop.bits AS SELECT '0101'::BIT AS b");
    exec(f, "CREATE VIEW main.view AS SELECT 'x' AS x");
    exec(f, "CREATE MACRO main.mine(x) AS x + 1");
    for (i = 0; i < LEN(here); i++) {
        if (runs_apart(f, here[i]))
            fail_msg("%s: runs apart", here[i]);
    }
    for (i = 0; i < LEN(apart); i++) {
        if (!runs_apart(f, apart[i]))
            fail_msg("%s: runs here", apart[i]);
    }
}

/* --- in a process of its own --- */

#define APART "[len([1, 2])]" /* what makes a statement run apart */

static void no_trace(struct fixture *f)
{
    DIR *d = opendir(f->dir);
    struct dirent *e;

    while ((e = readdir(d)) != NULL) {
        if (strstr(e->d_name, ".penstock-ask-") != NULL || strstr(e->d_name, ".ask-") != NULL)
            fail_msg("%s is left", e->d_name);
    }
    closedir(d);
}

/* It sees what is committed, and only that; the log grows on meanwhile. */
static void test_apart_sees_the_last_commit(void **state)
{
    struct fixture *f = *state;
    char json[100], sql[100];
    int i;

    exec(f, "CREATE TABLE main.t AS SELECT 0 AS id");
    for (i = 1; i < 20; i++) {
        snprintf(sql, sizeof(sql), "INSERT INTO main.t VALUES (%d)", i);
        exec(f, sql);
        snprintf(json, sizeof(json), "\"rows\":[[\"[2]\",%d]],\"truncated\":false}", i);
        if (strstr(buf_cstr(&ask(f, "SELECT " APART ", max(id) FROM main.t")->json), json) == NULL)
            fail_msg("%s: not in %s", json, buf_cstr(&ask(f, "SELECT 1")->json));
    }
    ends(f, "SELECT " APART ", nothing FROM main.t", ASK_FAILED, "nothing");
    ends(f, "SELECT " APART ", 'x'::INTEGER", ASK_FAILED, "Could not convert");
    ends(f, "SELECT " APART ", count(DISTINCT hash(range)) FROM range(1000000000)", ASK_TOO_LARGE,
         "memory");
    no_trace(f);
    /* What is not committed does not count; what keeps the checkpoint away is said. */
    exec(f, "INSERT INTO main.t VALUES (20)");
    assert_true(ops->begin(f->s, &f->err));
    exec(f, "INSERT INTO main.t VALUES (99)");
    exec(f, "DELETE FROM main.t WHERE id = 20");
    assert_non_null(
        strstr(buf_cstr(&ask(f, "SELECT " APART ", max(id) FROM main.t")->json), ",20]"));
    ops->rollback(f->s);
    timeout_ms = 700;
    pthread_mutex_lock(&f->w->upkeep);
    ends(f, "SELECT " APART ", max(id) FROM main.t", ASK_BUSY, "ask again");
    pthread_mutex_unlock(&f->w->upkeep);
    timeout_ms = 20000;
}

/* What cannot be interrupted is killed; what grows too. */
static void test_apart_limits(void **state)
{
    static const char *const memory[] = {
        "SELECT sum(len(s || range)) FROM (SELECT string_agg(range::VARCHAR, '') AS s FROM "
        "range(200000)), range(3000), (SELECT " APART ")",
        "WITH a AS (SELECT 'xxxxxxxxxxxxxxxx' AS s), b AS (SELECT s||s||s||s||s||s||s||s AS s FROM "
        "a), c AS (SELECT s||s||s||s||s||s||s||s AS s FROM b), d AS (SELECT s||s||s||s||s||s||s||s "
        "AS s FROM c), e AS (SELECT s||s||s||s||s||s||s||s AS s FROM d) SELECT len(s||s||s||s||s||s"
        "||s||range) FROM e, range(100000)"};
    struct fixture *f = *state;
    int64_t began;
    int i;

    timeout_ms = 20000;
    for (i = 0; i < LEN(memory); i++)
        ends(f, memory[i], ASK_TOO_LARGE, "memory");
    timeout_ms = 500;
    began = clock_mono_ms();
    ends(f, "SELECT " APART ", count(*) FROM range(100000000000) a, range(1000) b", ASK_TIMEOUT,
         "after 500 ms");
    ends(f, "SELECT repeat_row('a'), 1", ASK_FAILED, "repeat_row");
    ends(f,
         "SELECT sum(levenshtein(s || range, range || s)) FROM (SELECT string_agg(range::VARCHAR, "
         "'') AS s FROM range(20000)), range(1000)",
         ASK_TIMEOUT, "after 500 ms");
    assert_true(clock_mono_ms() - began < 10000);
    timeout_ms = 20000;
    no_trace(f);
}

struct checkpointer {
    struct fixture *f;
    atomic_bool over;
};

static void *checkpoint_on(void *arg)
{
    struct checkpointer *c = arg;
    struct error err = {0};
    struct session *s = NULL;

    assert_true(ops->connect(c->f->w, "checkpoint", &s, &err));
    while (!atomic_load(&c->over)) {
        ops->exec(s, "INSERT INTO main.t VALUES (1)", NULL, &err);
        ops->exec(s, "CHECKPOINT", NULL, &err); /* not asked for by upkeep: it heeds nobody */
        clock_sleep_ms(20);
    }
    ops->disconnect(s);
    return NULL;
}

/* A checkpoint in between may write over what is read: no answer rather than a wrong one. */
static void test_apart_notices_a_checkpoint(void **state)
{
    struct fixture *f = *state;
    struct checkpointer c = {.f = f};
    pthread_t thread;

    timeout_ms = 20000;
    exec(f, "CREATE TABLE main.t AS SELECT 0 AS id");
    assert_int_equal(pthread_create(&thread, NULL, checkpoint_on, &c), 0);
    ends(f, "SELECT " APART ", sum(hash(range)) FROM range(300000000)", ASK_BUSY,
         "write its log away");
    atomic_store(&c.over, true);
    pthread_join(thread, NULL);
}

/* Upkeep waits for it, and calls it back where the log has grown too far. */
static void test_apart_and_upkeep(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    int i, full = 0;

    timeout_ms = 20000;
    exec(f, "CREATE TABLE main.t (v VARCHAR)");
    atomic_store(&f->w->apart, 1); /* as if one were at it */
    for (i = 0; i < 200 && !atomic_load(&f->w->recalled); i++) {
        exec(f, "INSERT INTO main.t SELECT repeat('x', 1000) || range FROM range(2000)");
        assert_true(ops->maintain(f->s, false, &f->err));
        assert_int_equal(stat(f->w->wal_path, &st), 0);
        full += wdk_wants_pause(f->w);
    }
    assert_true(atomic_load(&f->w->recalled));
    assert_true(full > 0 && full < i); /* new ones waited before */
    assert_in_range(st.st_size, 250 << 20, 300 << 20);
    /* Another question does not take the file from the one that reads: it waits. */
    timeout_ms = 500;
    atomic_store(&f->w->pause_until_ms, 0);
    ends(f, "SELECT " APART, ASK_BUSY, "another query");
    assert_int_equal(stat(f->w->wal_path, &st), 0);
    assert_in_range(st.st_size, 250 << 20, 300 << 20);
    timeout_ms = 20000;
    atomic_store(&f->w->apart, 0);
    assert_true(ops->maintain(f->s, false, &f->err));
    assert_true(stat(f->w->wal_path, &st) != 0 || st.st_size == 0);
    atomic_store(&f->w->pause_until_ms, 0);
    ends(f, "SELECT " APART, ASK_BUSY, "write its log away"); /* recalled */
    assert_false(atomic_load(&f->w->recalled));
}

/* What a process that was killed left is removed when the file is opened again. */
static void test_apart_leftovers(void **state)
{
    struct fixture *f = *state;
    char name[200], temp[200];

    snprintf(name, sizeof(name), "%s.penstock-ask-12345", f->file);
    snprintf(temp, sizeof(temp), "%s.tmp.ask-3", f->file);
    exec(f, "CREATE TABLE main.t AS SELECT 7 AS id");
    shut(f);
    assert_int_equal(link(f->file, name), 0);
    assert_int_equal(mkdir(temp, 0700), 0);
    reopen(f);
    no_trace(f);
    answers(f, "SELECT id FROM main.t", "7");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers),
        TEST(test_refusals),
        TEST(test_closed_in),
        TEST(test_limits),
        TEST(test_desk),
        TEST(test_readers_and_the_log),
        TEST(test_what_runs_here),
        TEST(test_apart_sees_the_last_commit),
        TEST(test_apart_limits),
        TEST(test_apart_notices_a_checkpoint),
        TEST(test_apart_and_upkeep),
        TEST(test_apart_leftovers),
    };

    if (argc == 2 && strcmp(argv[1], WAREHOUSE_APART) == 0)
        return warehouse_duckdb_apart();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
