/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions of people against the real library: what is refused leaves the instance as it was, the
 * limits end what reaches them, a cancel from another thread too, and the desk takes a warehouse
 * back only when nobody asks it any more.
 */
#include "state/desk.h"
#include "util/clock.h"
#include "wdk_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers), TEST(test_refusals), TEST(test_closed_in),
        TEST(test_limits),  TEST(test_desk),     TEST(test_readers_and_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
