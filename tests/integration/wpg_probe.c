/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Postgres warehouse against a real server: wpg_probe URL [quick]. Values of every type,
 * batches, then sessions: errors and their kinds, cancel, lost connections, abandoned COPY,
 * blockers. Exits 0 and prints "ok" if all of it holds. The URL's role must be a superuser; the
 * database is used up: schema wpg_probe is dropped and made.
 */
#include "wpg_probe.h"

#include "config/file.h"
#include "util/clock.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

const struct warehouse_ops *const ops = &warehouse_postgres_ops;
int failures;

static const struct setting settings[] = {
    {.name = "connection.url", .type = SETTING_URL},
    {.name = "connection.user", .type = SETTING_STRING},
    {.name = "connection.password", .type = SETTING_PASSWORD},
    {.name = NULL},
};

struct handle {
    struct config *cfg;
    struct warehouse *w;
};

static bool handle_open(struct handle *h, const char *url, const char *user, struct error *err)
{
    const struct setting *tables[] = {settings, NULL};
    const char *pairs[] = {"connection.url", url, user ? "connection.user" : NULL, user, NULL};

    memset(h, 0, sizeof(*h));
    return config_make(&h->cfg, "probe", tables, pairs, err) && ops->open(&h->w, h->cfg, err);
}

static void handle_close(struct handle *h)
{
    ops->close(h->w);
    config_free(h->cfg);
}

/* --- statements --- */

static void statements(struct session *s)
{
    struct error err = {0};
    struct arena *a = arena_new("probe");
    struct rowset rows;
    int64_t n = -1;

    OK(ops->exec(s, "CREATE TABLE wpg_probe.s (i int PRIMARY KEY, v text)", NULL, &err));
    OK(ops->exec(s, "INSERT INTO wpg_probe.s SELECT i, 'x' FROM generate_series(1, 10) i", &n,
                 &err));
    CHECK(n == 10, "%" PRId64, n);
    OK(ops->exec(s,
                 "MERGE INTO wpg_probe.s t USING (VALUES (1), (11), (12)) u(i) ON t.i = u.i WHEN "
                 "MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (u.i, 'y')",
                 &n, &err));
    CHECK(n == 3, "%" PRId64, n);
    OK(ops->query(s, a, "SELECT NULL, '', 'a b' WHERE true", &rows, &err));
    CHECK(rows.nrows == 1 && rows.ncols == 3 && rowset_get(&rows, 0, 0) == NULL &&
              rowset_get(&rows, 0, 1)[0] == '\0' && strcmp(rowset_get(&rows, 0, 2), "a b") == 0,
          "cells");
    FAILS(ops->exec(s, "INSERT INTO wpg_probe.s VALUES (12)", NULL, &err), ERROR_DATA);
    FAILS(ops->exec(s, "SELECT 'secret'::integer", NULL, &err), ERROR_DATA);
    CHECK(strstr(err.message, "secret") == NULL, "%s", err.message);
    FAILS(ops->exec(s, "SELECT no_such_column", NULL, &err), ERROR_DATA);
    FAILS(ops->exec(s, "COPY wpg_probe.s FROM STDIN", NULL, &err), ERROR_FATAL);
    arena_free(a);
}

static void transactions(struct session *s)
{
    struct error err = {0};

    OK(ops->begin(s, &err));
    OK(ops->exec(s, "CREATE TABLE wpg_probe.gone ()", NULL, &err));
    ops->rollback(s);
    FAILS(ops->exec(s, "SELECT FROM wpg_probe.gone", NULL, &err), ERROR_DATA);
    OK(ops->begin(s, &err));
    FAILS(ops->exec(s, "SELECT 1/0", NULL, &err), ERROR_DATA);
    FAILS(ops->commit(s, &err), ERROR_RETRY);
    OK(ops->begin(s, &err));
    OK(ops->commit(s, &err));
    ops->rollback(s);
}

static void abandoned_copy(struct session *s)
{
    struct load_column col = {.name = "i", .type = "integer", .kind = TYPE_INT32};
    struct value one = {.state = VALUE_SET, .i = 1};
    struct error err = {0};
    struct appender *ap;

    OK(ops->begin(s, &err));
    OK(ops->append_open(s, "wpg_probe", "s", false, &col, 1, OVERFLOW_STOP, &ap, &err));
    OK(ops->append_row(ap, &one, &err));
    ops->append_abort(ap);
    ops->rollback(s);
    OK(ops->exec(s, "SELECT 1", NULL, &err));
}

/* --- cancel, lost connections, blockers --- */

static void *cancel_soon(void *arg)
{
    clock_sleep_ms(300);
    ops->cancel(arg);
    return NULL;
}

static void cancelled(struct handle *h)
{
    struct error err = {0};
    struct session *s;
    pthread_t thread;
    int64_t start = clock_mono_ms();

    OK(ops->connect(h->w, "penstock:probe:cancel", &s, &err));
    pthread_create(&thread, NULL, cancel_soon, s);
    FAILS(ops->exec(s, "SELECT pg_sleep(30)", NULL, &err), ERROR_RETRY);
    CHECK(clock_mono_ms() - start < 2000, "%" PRId64 " ms", clock_mono_ms() - start);
    pthread_join(thread, NULL);
    FAILS(ops->exec(s, "SELECT 1", NULL, &err), ERROR_RETRY);
    ops->rollback(s);
    ops->disconnect(s);
}

static void lost(struct handle *h, struct session *other)
{
    struct error err = {0};
    struct session *s;
    struct load_column col = {.name = "i", .type = "integer", .kind = TYPE_INT32};
    struct value one = {.state = VALUE_SET, .i = 100};
    struct appender *ap;
    const char *kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                       "application_name = 'penstock:probe:lost'";

    OK(ops->connect(h->w, "penstock:probe:lost", &s, &err));
    OK(ops->begin(s, &err));
    OK(ops->exec(s, "INSERT INTO wpg_probe.s VALUES (50)", NULL, &err));
    OK(ops->exec(other, kill, NULL, &err));
    FAILS(ops->commit(s, &err), ERROR_RETRY);
    CHECK(strcmp(err.sqlstate, "57P01") == 0, "%s (%s)", err.message, err.sqlstate);
    FAILS(ops->exec(s, "SELECT 1", NULL, &err), ERROR_RETRY);
    ops->rollback(s);
    ops->disconnect(s);

    OK(ops->connect(h->w, "penstock:probe:lost", &s, &err));
    OK(ops->begin(s, &err));
    OK(ops->append_open(s, "wpg_probe", "s", false, &col, 1, OVERFLOW_STOP, &ap, &err));
    OK(ops->append_row(ap, &one, &err));
    OK(ops->exec(other, kill, NULL, &err));
    clock_sleep_ms(100);
    FAILS(ops->append_close(ap, NULL, &err), ERROR_RETRY);
    CHECK(strcmp(err.sqlstate, "57P01") == 0, "%s (%s)", err.message, err.sqlstate);
    ops->rollback(s);
    ops->disconnect(s);
}

/* A predecessor's open transaction is ended; a stranger's is waited for. */
static void blockers(struct handle *h, const char *url)
{
    struct error err = {0};
    struct handle before;
    struct session *old, *new_one;
    int64_t start;

    OK(handle_open(&before, url, NULL, &err));
    OK(ops->connect(before.w, "penstock:probe:books", &old, &err));
    OK(ops->begin(old, &err));
    OK(ops->exec(old, "UPDATE wpg_probe.s SET v = 'old' WHERE i = 2", NULL, &err));
    OK(ops->connect(h->w, "penstock:probe:sink", &new_one, &err));
    start = clock_mono_ms();
    OK(ops->exec(new_one, "UPDATE wpg_probe.s SET v = 'new' WHERE i = 2", NULL, &err));
    CHECK(clock_mono_ms() - start < 4000, "%" PRId64 " ms", clock_mono_ms() - start);
    FAILS(ops->commit(old, &err), ERROR_RETRY);
    ops->disconnect(old);

    OK(ops->connect(before.w, "penstock:else:sink", &old, &err));
    OK(ops->begin(old, &err));
    OK(ops->exec(old, "UPDATE wpg_probe.s SET v = 'old' WHERE i = 2", NULL, &err));
    OK(ops->exec(new_one, "SET lock_timeout = '3s'", NULL, &err));
    FAILS(ops->exec(new_one, "UPDATE wpg_probe.s SET v = 'new' WHERE i = 2", NULL, &err),
          ERROR_RETRY);
    OK(ops->commit(old, &err));
    ops->disconnect(old);
    ops->disconnect(new_one);
    handle_close(&before);
}

/* --- connecting --- */

static bool try_connect(const char *url, const char *user, struct error *err)
{
    struct handle h;
    struct session *s;
    bool ok = handle_open(&h, url, user, err) && ops->connect(h.w, "penstock:probe:try", &s, err);

    if (ok)
        ops->disconnect(s);
    handle_close(&h);
    return ok;
}

static int silent_port(int *fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);

    *fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(*fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(*fd, 5) != 0 ||
        getsockname(*fd, (struct sockaddr *)&at, &size) != 0)
        abort();
    return ntohs(at.sin_port);
}

static void connecting(const char *url)
{
    struct error err = {0};
    char other[600];
    int fd, port = silent_port(&fd);
    int64_t start = clock_mono_ms();

    snprintf(other, sizeof(other), "postgres://x@127.0.0.1:%d/x", port);
    FAILS(try_connect(other, NULL, &err), ERROR_RETRY);
    CHECK(clock_mono_ms() - start < 6000, "%" PRId64 " ms", clock_mono_ms() - start);
    close(fd);
    FAILS(try_connect(other, NULL, &err), ERROR_RETRY);
    FAILS(try_connect(url, "no such role", &err), ERROR_CONFIG);
    CHECK(err.sqlstate[0] != '\0' && err.hint[0] != '\0', "%s", err.message);
    snprintf(other, sizeof(other), "%s_missing", url);
    FAILS(try_connect(other, NULL, &err), ERROR_CONFIG);
    CHECK(strcmp(err.sqlstate, "3D000") == 0, "%s", err.sqlstate);
    snprintf(other, sizeof(other), "%s?sslmode=require", url);
    FAILS(try_connect(other, NULL, &err), ERROR_CONFIG);
    FAILS(try_connect("postgres://u:secret@h:port:x/db", NULL, &err), ERROR_CONFIG);
    CHECK(strstr(err.message, "secret") == NULL, "%s", err.message);
    FAILS(try_connect("postgres://u:secret@h/db?sslmod=x", NULL, &err), ERROR_CONFIG);
    CHECK(strstr(err.message, "sslmod") != NULL, "%s", err.message);
}

static void pinned(struct session *s)
{
    static const char *const want[][2] = {
        {"datestyle", "ISO, YMD"},  {"synchronous_commit", "on"},
        {"search_path", "\"\""},    {"timezone", "UTC"},
        {"lc_monetary", "C"},       {"client_encoding", "UTF8"},
        {"statement_timeout", "0"}, {"idle_in_transaction_session_timeout", "1min"}};
    struct error err = {0};
    struct arena *a = arena_new("probe");
    struct rowset rows;

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        OK(ops->query(s, a, arena_printf(a, "SHOW %s", want[i][0]), &rows, &err));
        CHECK(strcmp(rowset_get(&rows, 0, 0), want[i][1]) == 0, "%s: %s", want[i][0],
              rowset_get(&rows, 0, 0));
    }
    arena_free(a);
}

static void findings(struct handle *h)
{
    struct findings found = {0};
    struct error err = {0};
    char identity[128];

    OK(ops->check(h->w, NULL, &found, &err));
    CHECK(found.stops == 0, "%s", found.first ? found.first->message : "");
    findings_free(&found);
    OK(ops->identity(h->w, identity, sizeof(identity), &err));
    CHECK(strchr(identity, '/') != NULL && strlen(identity) > 10, "%s", identity);
}

static void restricted(struct session *s, const char *url)
{
    struct findings found = {0};
    struct error err = {0};
    struct handle h;
    struct session *plain;
    bool granted = false;

    OK(ops->exec(s, "DROP ROLE IF EXISTS wpg_probe_plain", NULL, &err));
    OK(ops->exec(s, "CREATE ROLE wpg_probe_plain LOGIN", NULL, &err));
    OK(handle_open(&h, url, "wpg_probe_plain", &err));
    OK(ops->check(h.w, NULL, &found, &err));
    for (const struct finding *f = found.first; f != NULL; f = f->next)
        granted |= f->severity == FINDING_STOPS && f->sql.len > 24 &&
                   memcmp(f->sql.data, "GRANT CREATE ON DATABASE", 24) == 0;
    CHECK(granted, "%d findings stop", found.stops);
    findings_free(&found);
    OK(ops->connect(h.w, "penstock:probe:plain", &plain, &err));
    FAILS(ops->exec(plain, "CREATE SCHEMA no_right", NULL, &err), ERROR_CONFIG);
    CHECK(strstr(err.hint, "GRANT CREATE ON DATABASE") != NULL, "%s", err.hint);
    ops->disconnect(plain);
    handle_close(&h);
    OK(ops->exec(s, "DROP ROLE wpg_probe_plain", NULL, &err));
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct handle h;
    struct session *s;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2) {
        fprintf(stderr, "usage: wpg_probe URL [quick]\n");
        return 2;
    }
    if (!handle_open(&h, argv[1], NULL, &err) ||
        !ops->connect(h.w, "penstock:probe:main", &s, &err)) {
        printf("FAIL %s\n", err.message);
        handle_close(&h);
        return 1;
    }
    OK(ops->exec(s, "DROP SCHEMA IF EXISTS wpg_probe CASCADE", NULL, &err));
    OK(ops->exec(s, "CREATE SCHEMA wpg_probe", NULL, &err));
    pinned(s);
    probe_types(s);
    probe_loader(s);
    probe_apply(s);
    probe_alter(s);
    statements(s);
    ops->disconnect(s);
    OK(ops->connect(h.w, "penstock:probe:main", &s, &err));
    transactions(s);
    abandoned_copy(s);
    cancelled(&h);
    lost(&h, s);
    if (argc == 2) { /* what waits for seconds */
        blockers(&h, argv[1]);
        connecting(argv[1]);
    }
    findings(&h);
    restricted(s, argv[1]);
    ops->disconnect(s);
    handle_close(&h);
    printf("%s\n", failures ? "failed" : "ok");
    return failures ? 1 : 0;
}
