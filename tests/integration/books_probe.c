/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The books in a real Postgres: books_probe URL. The cases that hold on every engine, then what
 * only a server has: sessions that make or migrate the books at the same time, and one that is
 * ended in the middle. Exits 0 and prints "ok" if all of it holds. The database is used up: schema
 * penstock is dropped and made.
 */
#include "config/file.h"
#include "util/clock.h"
#include "warehouse_postgres/warehouse_postgres.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CASE_FAIL(...)       \
    do {                     \
        printf(__VA_ARGS__); \
        printf("\n");        \
        exit(1);             \
    } while (0)
#include "books_cases.h"
#include "books_v1_cases.h"

#define SESSION "penstock:probe:main"

static struct warehouse *warehouse;
static struct session *watcher; /* looks on */
static pthread_t thread;

static struct session *connected(const char *name)
{
    struct session *s;
    struct error err = {0};

    if (!warehouse_postgres_ops.connect(warehouse, name, &s, &err))
        CASE_FAIL("%s", err.message);
    return s;
}

static void begin_case(struct ctx *c, struct session *s, struct session *other)
{
    memset(c, 0, sizeof(*c));
    c->ops = &warehouse_postgres_ops;
    c->s = s;
    c->other = other;
    c->a = arena_new("case");
    c->b = (struct books){.ops = c->ops, .session = s, .connector = "warehouse", .source = "shop"};
    run_sql(c, "DROP SCHEMA IF EXISTS penstock CASCADE");
}

static void *second_main(void *arg)
{
    (void)arg;
    open_second(NULL);
    return NULL;
}

/* The second session sets out and is seen to wait for us. */
static bool second_waits(struct error *err)
{
    int64_t deadline = clock_mono_ms() + 20000;
    struct ctx w = {.ops = second->ops, .s = watcher, .a = second->a};

    (void)err;
    pthread_create(&thread, NULL, second_main, NULL);
    while (strcmp(asked(&w, "SELECT count(*) FROM pg_locks WHERE NOT granted"), "0") == 0) {
        if (clock_mono_ms() > deadline)
            CASE_FAIL("the second session does not wait");
        clock_sleep_ms(10);
    }
    return true;
}

/* The second one has waited when we are done, and finds nothing left to do. */
static void migrate_together(struct ctx *c, int statement)
{
    const char *fresh = fresh_shape(c);

    v1_make(c);
    second = c;
    if (!interrupted_open(c, statement, second_waits))
        CASE_FAIL("first: %s", c->err.message);
    pthread_join(thread, NULL);
    if (!second_opened)
        CASE_FAIL("second: %s", second_error.message);
    check_migrated(c, 6);
    same_text("shape", shape_of_books(c), fresh);
}

/* One of two that make them may have to try again. */
static void make_together(struct ctx *c)
{
    second = c;
    if (!interrupted_open(c, 3, second_waits))
        CASE_FAIL("first: %s", c->err.message);
    pthread_join(thread, NULL);
    if (!second_opened && second_error.kind != ERROR_RETRY)
        CASE_FAIL("second: %s", second_error.message);
    open_second(NULL);
    CHECK_THAT(second_opened);
    asks(c, "SELECT version, next_load FROM penstock.meta", "2|1");
}

static bool end_session(struct error *err)
{
    (void)err;
    return second->ops->exec(watcher,
                             "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                             "application_name = '" SESSION "'",
                             NULL, &second_error);
}

static void migrate_ended(struct ctx *c)
{
    const char *old, *fresh = fresh_shape(c);

    v1_make(c);
    old = shape_of_books(c);
    second = c;
    CHECK_THAT(!interrupted_open(c, 20, end_session));
    CHECK_THAT(c->err.kind == ERROR_RETRY);
    c->ops->disconnect(c->s);
    c->s = c->b.session = connected(SESSION);
    same_text("shape", shape_of_books(c), old);
    WORKS(books_open(B(c), E(c)));
    check_migrated(c, 6);
    same_text("shape", shape_of_books(c), fresh);
}

int main(int argc, char **argv)
{
    static const struct setting settings[] = {
        {.name = "connection.url", .type = SETTING_URL},
        {.name = "connection.user", .type = SETTING_STRING},
        {.name = "connection.password", .type = SETTING_PASSWORD},
        {.name = NULL},
    };
    const struct setting *const tables[] = {settings, NULL};
    const char *pairs[] = {"connection.url", argc > 1 ? argv[1] : "", NULL, NULL};
    struct session *s, *other;
    struct config *cfg;
    struct error err = {0};
    struct ctx c;
    int i;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!config_make(&cfg, "probe", tables, pairs, &err) ||
        !warehouse_postgres_ops.open(&warehouse, cfg, &err))
        CASE_FAIL("%s", err.message);
    s = connected(SESSION);
    other = connected("penstock:other:main");
    watcher = connected("penstock:watcher:main");
    for (i = 0; i < COUNT(books_cases) + 5; i++) {
        begin_case(&c, s, other);
        printf("%s\n", i < COUNT(books_cases) ? books_cases[i].name : "together");
        if (i < COUNT(books_cases))
            books_cases[i].run(&c);
        else if (i < COUNT(books_cases) + 3) /* early, in the middle, before the last statement */
            migrate_together(&c, (const int[]){2, 20, 38}[i - COUNT(books_cases)]);
        else if (i == COUNT(books_cases) + 3)
            make_together(&c);
        else
            migrate_ended(&c);
        s = c.s;
        arena_free(c.a);
    }
    warehouse_postgres_ops.disconnect(s);
    warehouse_postgres_ops.disconnect(other);
    warehouse_postgres_ops.disconnect(watcher);
    warehouse_postgres_ops.close(warehouse);
    config_free(cfg);
    printf("ok\n");
    return 0;
}
