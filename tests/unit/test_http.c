/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server on a free port with a board filled by hand, asked over libcurl and over bare
 * sockets: routes and their shapes, errors, token, Host, hostile requests, addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "api/api.h"
#include "api/http.h"
#include "config/file.h"
#include "state/board.h"
#include "state/requests.h"
#include "util/log.h"
#include "util/mem.h"

struct fixture {
    struct board *board;
    struct requests *requests;
    struct desk *desk;
    struct verifications *verifications;
    struct config *service, *shop;
    struct http_server *server;
    int port;
};

static const struct setting connector_settings[] = {
    {.name = "connector.class", .type = SETTING_STRING, .doc = "class"},
    {.name = "database.password", .type = SETTING_PASSWORD, .doc = "secret"},
    {.name = "topic.prefix", .type = SETTING_STRING, .doc = "prefix"},
    {.name = "snapshot.mode", .type = SETTING_STRING, .doc = "mode"},
    {.name = NULL},
};

static void make_config(struct config **out, const char *name, const struct setting *settings,
                        const char *const *pairs)
{
    const struct setting *const tables[] = {settings, NULL};
    struct error err = {0};

    if (!config_make(out, name, tables, pairs, &err))
        fail_msg("%s", err.message);
}

static void fill(struct fixture *f)
{
    const char *const shop[] = {"connector.class",
                                "postgres",
                                "database.password",
                                "hunter2",
                                "topic.prefix",
                                "shop",
                                NULL};
    struct board_table t = {.connector = "shop",
                            .schema = "public",
                            .name = "orders",
                            .target_schema = "public",
                            .target_name = "orders",
                            .state = TABLE_LIVE,
                            .rows = 12,
                            .rows_total = -1,
                            .position = "0/1A2B"};

    f->board = board_new("svc");
    make_config(&f->shop, "shop", connector_settings, shop);
    board_add_connector(f->board, "shop", true, f->shop);
    board_add_connector(f->board, "dw h\xc3\xa4user", false, NULL);
    board_set_state(f->board, "shop", CONNECTOR_RUNNING, CONNECTOR_RUNNING, NULL);
    board_set_state(f->board, "dw h\xc3\xa4user", CONNECTOR_RUNNING, CONNECTOR_FAILED,
                    "disk full; server said \xff");
    board_set_table(f->board, &t);
    t.name = "items";
    t.target_schema = t.target_name = NULL;
    t.state = TABLE_REFUSED;
    t.reason = "has a column _penstock_csn";
    t.position = "";
    board_set_table(f->board, &t);
}

static struct fixture *start(const char *token)
{
    struct fixture *f = mem_calloc(1, sizeof(*f));
    struct error err = {0};
    const char *const pairs[] = {"listen", "127.0.0.1:0", token ? "api.token" : NULL, token, NULL};

    fill(f);
    make_config(&f->service, "service", config_service_settings, pairs);
    f->requests = requests_new();
    if (!http_start(&f->server, f->service, f->board, f->requests, f->desk, f->verifications, false,
                    &f->port, &err))
        fail_msg("%s", err.message);
    assert_true(f->port > 0);
    return f;
}

static void stop(struct fixture *f)
{
    http_stop(f->server);
    board_free(f->board);
    requests_free(f->requests);
    config_free(f->service);
    config_free(f->shop);
    mem_free(f);
}

struct answer {
    long status;
    struct buf body, headers;
};

static size_t take(char *data, size_t size, size_t n, void *ctx)
{
    buf_append(ctx, data, size * n);
    return size * n;
}

/* header, body may be NULL. The answer is kept until the next call. */
static struct answer *ask_with(struct fixture *f, const char *method, const char *path,
                               const char *header, const char *body)
{
    static struct answer a;
    struct curl_slist *headers = curl_slist_append(NULL, header ? header : "X-Test: 1");
    CURL *c = curl_easy_init();
    char *url = mem_printf("http://127.0.0.1:%d%s", f->port, path);

    buf_reset(&a.body);
    buf_reset(&a.headers);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 10L);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &a.body);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, &a.headers);
    if (body) {
        headers = curl_slist_append(headers, "Expect:");
        if (!header || strncasecmp(header, "Content-Type", 12) != 0)
            headers = curl_slist_append(headers, "Content-Type: application/json");
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    }
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    assert_int_equal(curl_easy_perform(c), CURLE_OK);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a.status);
    curl_easy_cleanup(c);
    curl_slist_free_all(headers);
    mem_free(url);
    return &a;
}

static struct answer *ask(struct fixture *f, const char *method, const char *path,
                          const char *header)
{
    return ask_with(f, method, path, header, NULL);
}

/* Status and body (JSON compared by value; NULL: not compared). */
static void expect(struct fixture *f, const char *method, const char *path, long status,
                   const char *body)
{
    struct answer *a = ask(f, method, path, NULL);
    json_t *want, *got;

    if (a->status != status)
        fail_msg("%s %s: %ld %s", method, path, a->status, buf_cstr(&a->body));
    if (body == NULL)
        return;
    want = json_loads(body, JSON_DECODE_ANY, NULL);
    got = json_loads(buf_cstr(&a->body), JSON_DECODE_ANY, NULL);
    if (want == NULL || got == NULL || !json_equal(want, got))
        fail_msg("%s %s: %s", method, path, buf_cstr(&a->body));
    assert_non_null(strstr(buf_cstr(&a->headers), api_is_ours(path) && status >= 400
                                                      ? "Content-Type: application/problem+json\r\n"
                                                      : "Content-Type: application/json\r\n"));
    json_decref(want);
    json_decref(got);
}

/* The worker_id of the fixture in place of $W, and " for '. */
static const char *with_worker(struct fixture *f, const char *text)
{
    static struct buf out;
    char worker[64];

    snprintf(worker, sizeof(worker), "127.0.0.1:%d", f->port);
    buf_reset(&out);
    for (const char *s = text; *s != '\0'; s++) {
        if (s[0] == '$' && s[1] == 'W') {
            buf_puts(&out, worker);
            s++;
        } else {
            buf_u8(&out, *s == '\'' ? '"' : (uint8_t)*s);
        }
    }
    return buf_cstr(&out);
}

#define ERROR_404 "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}"
#define ERROR_400 "{\"error_code\":400,\"message\":\"HTTP 400 Bad Request\"}"
#define ERROR_405 "{\"error_code\":405,\"message\":\"HTTP 405 Method Not Allowed\"}"
#define PROBLEM(title, status, detail)                                      \
    "{\"type\":\"about:blank\",\"title\":\"" title "\",\"status\":" #status \
    ",\"detail\":\"" detail "\"}"
#define SHOP_CONFIG                                                                       \
    "{'connector.class':'postgres','database.password':'[hidden]','topic.prefix':'shop'," \
    "'name':'shop'}"
#define NO_SLOT                                                                           \
    "{'slot':null,'retained_bytes':null,'safe_bytes':null,'limit_bytes':null,"            \
    "'wal_status':null,'log_bytes_per_second':null,'seconds_left':null,'pinned_by':null," \
    "'warning_level':0,'warning':null}"
#define SHOP_STATUS                                                                               \
    "{'name':'shop','connector':{'state':'RUNNING','worker_id':'$W','version':'" PENSTOCK_VERSION \
    "'},'tasks':[{'id':0,'state':'RUNNING','worker_id':'$W','version':'" PENSTOCK_VERSION         \
    "'}],'type':'source','penstock':" NO_SLOT "}"
#define SHOP_INFO                          \
    "{'name':'shop','config':" SHOP_CONFIG \
    ",'tasks':[{'connector':'shop','task':0}],'type':'source'}"

static void test_connectors(void **state)
{
    struct fixture *f = start(NULL);

    (void)state;
    expect(f, "GET", "/connectors", 200, "[\"shop\",\"dw h\xc3\xa4user\"]");
    expect(f, "GET", "/connectors/", 200, "[\"shop\",\"dw h\xc3\xa4user\"]");
    expect(f, "GET", "/connectors?expand=bogus", 200, "{\"shop\":{},\"dw h\xc3\xa4user\":{}}");
    expect(f, "GET", "/connectors/shop", 200, with_worker(f, SHOP_INFO));
    expect(f, "GET", "/connectors/shop/config", 200, with_worker(f, SHOP_CONFIG));
    expect(f, "GET", "/connectors/shop/status", 200, with_worker(f, SHOP_STATUS));
    expect(f, "GET", "/connectors/shop/tasks", 200,
           with_worker(f, "[{'id':{'connector':'shop','task':0},'config':" SHOP_CONFIG "}]"));
    expect(f, "GET", "/connectors/shop/tasks/0/status", 200,
           with_worker(f, "{'id':0,'state':'RUNNING','worker_id':'$W','version':'" PENSTOCK_VERSION
                          "'}"));
    expect(f, "GET", "/connectors/dw%20h%C3%A4user/status", 200,
           with_worker(f, "{'name':'dw h\xc3\xa4user','connector':{'state':'RUNNING','worker_id':"
                          "'$W','version':'" PENSTOCK_VERSION
                          "'},'tasks':[{'id':0,'state':'FAILED','worker_id':'$W','version':"
                          "'" PENSTOCK_VERSION "','trace':'disk full; server said "
                          "?'}],'type':'sink','penstock':{'freshness_seconds':null}}"));
    expect(f, "GET", "/connectors?expand=status&expand=info", 200, NULL);
    {
        json_t *j = json_loads(
            buf_cstr(&ask(f, "GET", "/connectors?expand=status&expand=info", NULL)->body), 0, NULL);
        json_t *want =
            json_pack("{s:o,s:o}", "status", json_loads(with_worker(f, SHOP_STATUS), 0, NULL),
                      "info", json_loads(with_worker(f, SHOP_INFO), 0, NULL));

        assert_true(json_equal(json_object_get(j, "shop"), want));
        json_decref(j);
        json_decref(want);
    }
    board_set_state(f->board, "shop", CONNECTOR_STOPPED, CONNECTOR_STOPPED, NULL);
    expect(f, "GET", "/connectors/shop/status", 200,
           with_worker(f, "{'name':'shop','connector':{'state':'STOPPED','worker_id':'$W',"
                          "'version':'" PENSTOCK_VERSION
                          "'},'tasks':[],'type':'source','penstock':" NO_SLOT "}"));
    expect(f, "GET", "/connectors/shop/tasks", 200, "[]");
    expect(f, "GET", "/connectors/shop/tasks/0/status", 404,
           "{\"error_code\":404,\"message\":\"No status found for task shop-0\"}");
    stop(f);
}

static void test_errors(void **state)
{
    struct fixture *f = start(NULL);
    static const char *const unknown[] = {"/nosuch",
                                          "/connectors/shop/tasks-config",
                                          "//connectors",
                                          "/v1x",
                                          "/connectors/shop/tasks/x/status",
                                          "/a/b/c/d/e/f/g/h/i/j",
                                          "/connectors/shop/config/x"};

    (void)state;
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        expect(f, "GET", unknown[i], 404, ERROR_404);
    expect(f, "GET", "/connectors/nope", 404,
           "{\"error_code\":404,\"message\":\"Connector nope not found\"}");
    expect(f, "GET", "/connectors/nope/config", 404,
           "{\"error_code\":404,\"message\":\"Connector nope not found\"}");
    expect(f, "GET", "/connectors/nope/tasks", 404,
           "{\"error_code\":404,\"message\":\"Connector nope not found\"}");
    expect(f, "GET", "/connectors/nope/status", 404,
           "{\"error_code\":404,\"message\":\"No status found for connector nope\"}");
    expect(f, "GET", "/connectors/shop/tasks/9/status", 404,
           "{\"error_code\":404,\"message\":\"No status found for task shop-9\"}");
    expect(f, "GET", "/connectors/a%2Fb", 404,
           "{\"error_code\":404,\"message\":\"Connector a/b not found\"}");
    expect(f, "GET", "/connectors/%22%5C", 404,
           "{\"error_code\":404,\"message\":\"Connector \\\"\\\\ not found\"}");
    expect(f, "DELETE", "/connectors", 405, ERROR_405);
    expect(f, "TRACE", "/health", 405, ERROR_405);
    expect(f, "DELETE", "/v1/tables", 405,
           PROBLEM("Method Not Allowed", 405, "HTTP 405 Method Not Allowed"));
    expect(f, "GET", "/v1", 404, PROBLEM("Not Found", 404, "HTTP 404 Not Found"));
    expect(f, "GET", "/v1/nosuch", 404, PROBLEM("Not Found", 404, "HTTP 404 Not Found"));
    expect(f, "GET", "/v1/%zz", 400, PROBLEM("Bad Request", 400, "HTTP 400 Bad Request"));
    expect(f, "GET", "/v1/connectors/shop/snapshots", 405, NULL);
    assert_non_null(strstr(buf_cstr(&ask(f, "GET", "/v1/connectors/shop/snapshots", NULL)->headers),
                           "Allow: POST, OPTIONS\r\n"));
    assert_non_null(strstr(buf_cstr(&ask(f, "PATCH", "/livez", NULL)->headers),
                           "Allow: HEAD, GET, OPTIONS\r\n"));
    assert_int_equal(ask(f, "OPTIONS", "/connectors", NULL)->status, 200);
    expect(f, "OPTIONS", "/nosuch", 404, ERROR_404);
    assert_int_equal(ask(f, "HEAD", "/", NULL)->status, 200);
    assert_int_equal(ask(f, "HEAD", "/connectors/shop", NULL)->status, 200);
    assert_int_equal(ask(f, "HEAD", "/connectors/nope", NULL)->status, 404);
    stop(f);
}

static void test_health(void **state)
{
    struct fixture *f = start(NULL);
    struct answer *a;

    (void)state;
    expect(f, "GET", "/", 200,
           with_worker(f, "{'version':'" PENSTOCK_VERSION
                          "','commit':'unknown','kafka_cluster_id':'penstock'}"));
    a = ask(f, "GET", "/livez", NULL);
    assert_string_equal(buf_cstr(&a->body), "ok");
    expect(f, "GET", "/readyz", 503,
           with_worker(f, "{'ready':false,'reasons':[{'connector':'dw h\xc3\xa4user','state':"
                          "'FAILED','trace':'disk full; server said ?'}]}"));
    expect(f, "GET", "/health", 200,
           with_worker(f, "{'status':'healthy','message':'Worker has completed startup and is "
                          "ready to handle requests.'}"));
    board_set_state(f->board, "dw h\xc3\xa4user", CONNECTOR_RUNNING, CONNECTOR_RUNNING, NULL);
    expect(f, "GET", "/readyz", 200, "{\"ready\":true,\"reasons\":[]}");
    board_add_connector(f->board, "late", false, NULL);
    expect(f, "GET", "/health", 503,
           "{\"status\":\"starting\",\"message\":\"Worker is still starting up.\"}");
    a = ask(f, "GET", "/metrics", NULL);
    assert_int_equal(a->status, 200);
    assert_non_null(strstr(buf_cstr(&a->headers), "Content-Type: text/plain; version=0.0.4"));
    assert_non_null(strstr(buf_cstr(&a->body), "penstock_table_state{connector=\"shop\",table="
                                               "\"public.orders\",state=\"live\"} 1\n"));
    stop(f);
}

static void test_tables(void **state)
{
    struct fixture *f = start(NULL);

    (void)state;
    expect(f, "GET", "/v1/tables", 200,
           with_worker(
               f, "[{'connector':'shop','schema':'public','table':'items','target':null,'state':"
                  "'refused','reason':'has a column _penstock_csn','rows':12,'position':'',"
                  "'freshness_seconds':null,'waiting_seconds':0,'waiting_bytes':0},"
                  "{'connector':'shop','schema':'public','table':'orders','target':"
                  "'public.orders','state':'live','reason':null,'rows':12,'position':'0/1A2B',"
                  "'freshness_seconds':null,'waiting_seconds':null,'waiting_bytes':null}]"));
    stop(f);
}

static void test_token(void **state)
{
    struct fixture *f = start("s3cret");
    struct answer *a;

    (void)state;
    assert_int_equal(ask(f, "GET", "/livez", NULL)->status, 200);
    a = ask(f, "GET", "/connectors", NULL);
    assert_int_equal(a->status, 401);
    assert_non_null(strstr(buf_cstr(&a->headers), "WWW-Authenticate: Bearer"));
    assert_null(strstr(buf_cstr(&a->body), "s3cret"));
    assert_int_equal(ask(f, "GET", "/nosuch", NULL)->status, 401);
    assert_int_equal(ask(f, "GET", "/livez/", NULL)->status, 401);
    assert_int_equal(ask(f, "GET", "/metrics", "Authorization: Bearer s3cre")->status, 401);
    assert_int_equal(ask(f, "GET", "/metrics", "Authorization: Bearer s3cretx")->status, 401);
    assert_int_equal(ask(f, "GET", "/metrics", "Authorization: Bearer")->status, 401);
    assert_int_equal(ask(f, "GET", "/metrics", "Authorization: Basic s3cret")->status, 401);
    assert_int_equal(ask(f, "GET", "/metrics", "Authorization: Bearer s3cret")->status, 200);
    assert_int_equal(ask(f, "GET", "/metrics", "authorization: bearer s3cret")->status, 200);
    stop(f);
}

static void test_host(void **state)
{
    struct fixture *f = start(NULL);
    static const char *const good[] = {"Host: localhost", "Host: LOCALHOST:8083",
                                       "Host: 127.0.0.1:1", "Host: [::1]:8083"};
    static const char *const evil[] = {"Host: evil.example", "Host: localhost.evil.example",
                                       "Host: 127.0.0.1.evil.example:80", "Host: localhost:80@evil",
                                       "Host: 0.0.0.0:8083"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(ask(f, "GET", "/connectors", good[i])->status, 200);
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++)
        assert_int_equal(ask(f, "GET", "/connectors", evil[i])->status, 403);
    stop(f);
}

/* A warehouse of shop, and one of shop's tables with names that need quotes. */
static struct config *add_warehouse(struct fixture *f)
{
    const char *const pairs[] = {"topics.regex", "shop\\..*", "connection.url", "duckdb:x", NULL};
    struct board_table t = {
        .connector = "shop", .schema = "a.b", .name = "c", .state = TABLE_LIVE, .position = ""};
    struct config *sink;

    make_config(&sink, "warehouse", config_sink_settings, pairs);
    board_add_connector(f->board, "warehouse", false, sink);
    board_set_state(f->board, "warehouse", CONNECTOR_RUNNING, CONNECTOR_RUNNING, NULL);
    board_set_table(f->board, &t);
    t.connector = "other";
    t.schema = "public";
    t.name = "theirs";
    board_set_table(f->board, &t);
    return sink;
}

#define SHOP "/v1/connectors/shop/snapshots"

/* What the answer to a POST must hold; of errors, a problem with that status and these words. */
static void posts(struct fixture *f, const char *path, const char *body, long status,
                  const char *words)
{
    struct answer *a = ask_with(f, "POST", path, NULL, body);
    json_t *j = json_loads(buf_cstr(&a->body), 0, NULL);
    char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);

    if (a->status != status || text == NULL || strstr(text, words) == NULL)
        fail_msg("POST %s %s: %ld %s", path, body ? body : "", a->status, buf_cstr(&a->body));
    if (status >= 400) {
        assert_int_equal(json_integer_value(json_object_get(j, "status")), status);
        assert_non_null(json_string_value(json_object_get(j, "title")));
        assert_non_null(
            strstr(buf_cstr(&a->headers), "Content-Type: application/problem+json\r\n"));
    }
    json_decref(j);
    free(text);
}

/* What lies in the mailbox for shop, and is taken out: "id:schema/table " each. */
static const char *taken(struct fixture *f)
{
    static char text[256];
    struct arena *a = arena_new("test");
    struct request *list;
    int n, at = 0;

    requests_take(f->requests, "shop", a, &list, &n);
    text[0] = '\0';
    for (int i = 0; i < n && at < (int)sizeof(text); i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, "%d:%s/%s ", (int)list[i].id,
                       list[i].schema ? list[i].schema : "*", list[i].table ? list[i].table : "*");
    arena_free(a);
    return text;
}

static void test_snapshots(void **state)
{
    struct fixture *f = start(NULL);
    struct config *sink = add_warehouse(f);
    struct answer *a;

    (void)state;
    posts(f, SHOP, "{\"tables\":[\"public.orders\"]}", 202,
          "{\"connector\":\"shop\",\"id\":1,\"tables\":[\"public.orders\"]}");
    assert_string_equal(taken(f), "1:public/orders ");
    posts(f, SHOP, NULL, 202,
          "\"id\":2,\"tables\":[\"\\\"a.b\\\".c\",\"public.items\",\"public.orders\"]}");
    posts(f, SHOP "/", "{}", 202, "\"id\":3,");
    posts(f, "/v1/connectors/warehouse/snapshots",
          "{\"tables\":[\"public.orders\",\"\\\"a.b\\\".\\\"c\\\"\",\"public.orders\"]}", 202,
          "{\"connector\":\"shop\",\"id\":4,\"tables\":[\"public.orders\",\"\\\"a.b\\\".c\"]}");
    assert_string_equal(taken(f), "2:*/* 3:*/* 4:public/orders 4:a.b/c ");
    a = ask_with(f, "POST", SHOP, "Content-Type: Application/JSON; charset=utf-8", "{}");
    assert_int_equal(a->status, 202);
    a = ask_with(f, "POST", SHOP, "Content-Type: text/plain", "");
    assert_int_equal(a->status, 202);
    assert_string_equal(taken(f), "5:*/* 6:*/* ");
    stop(f);
    config_free(sink);
}

static void test_snapshots_refused(void **state)
{
    struct fixture *f = start(NULL);
    struct config *sink = add_warehouse(f);
    static const char *const bodies[] = {"{",
                                         "nonsense",
                                         "[\"public.orders\"]",
                                         "{\"tables\":null}",
                                         "{\"tables\":\"public.orders\"}",
                                         "{\"tables\":[]}",
                                         "{\"tables\":[1]}",
                                         "{\"tables\":[\"orders\"]}",
                                         "{\"table\":[\"public.orders\"]}",
                                         "{\"tables\":[\"public.orders\"],\"tables\":[\"a.b\"]}",
                                         "{\"tables\":[\"public.orders\"]} {}",
                                         "{\"tables\":[\"public.\\u0000\"]}",
                                         "{\"tables\":[\"public.\xff\"]}",
                                         "null",
                                         "\"public.orders\"",
                                         " ",
                                         "\xef\xbb\xbf{}"};
    static const char *const types[] = {"text/plain", "application/jsonx", "application/x-json",
                                        "application/x-www-form-urlencoded", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        posts(f, SHOP, bodies[i], 400, "");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char header[80];

        snprintf(header, sizeof(header), "Content-Type: %s", types[i]);
        assert_int_equal(ask_with(f, "POST", SHOP, header, "{}")->status, 415);
    }
    posts(f, "/v1/connectors/shpo/snapshots", NULL, 404, "no connector shpo; did you mean shop?");
    posts(f, "/v1/connectors/zzzzzzzzz/snapshots", NULL, 404, "there is: shop, dw h");
    posts(f, "/v1/connectors/dw%20h%C3%A4user/snapshots", NULL, 404, "topics of no source");
    posts(f, SHOP, "{\"tables\":[\"public.orders\",\"public.ordres\"]}", 404,
          "no table public.ordres; did you mean public.orders?");
    posts(f, SHOP, "{\"tables\":[\"public.theirs\"]}", 404, "no table public.theirs");
    posts(f, SHOP, "{\"tables\":[\"a.b.c\"]}", 404, "did you mean \\\"a.b\\\".c?");
    assert_string_equal(taken(f), "");
    stop(f);
    config_free(sink);
}

static void test_snapshots_conflict(void **state)
{
    struct fixture *f = start(NULL);
    struct config *sink = add_warehouse(f);
    int64_t id;

    (void)state;
    board_set_state(f->board, "shop", CONNECTOR_RUNNING, CONNECTOR_FAILED, "no slot is left");
    posts(f, SHOP, NULL, 409, "mended: no slot is left");
    posts(f, "/v1/connectors/warehouse/snapshots", NULL, 409, "Connector shop has failed");
    board_set_state(f->board, "shop", CONNECTOR_RUNNING, CONNECTOR_UNASSIGNED, NULL);
    board_set_state(f->board, "warehouse", CONNECTOR_RUNNING, CONNECTOR_FAILED, "no right");
    posts(f, SHOP, NULL, 409, "Connector warehouse has failed");
    board_set_state(f->board, "warehouse", CONNECTOR_RUNNING, CONNECTOR_RUNNING, NULL);
    board_set_state(f->board, "shop", CONNECTOR_STOPPED, CONNECTOR_STOPPED, NULL);
    posts(f, SHOP, NULL, 409, "shop is stopped");
    posts(f, SHOP, "{\"tables\":[\"public.nosuch\"]}", 409, "shop is stopped");
    board_set_state(f->board, "shop", CONNECTOR_RUNNING, CONNECTOR_RESTARTING, "the link is cut");
    assert_string_equal(taken(f), "");
    posts(f, SHOP, NULL, 202, "\"id\":1");
    for (int i = 1; i < REQUESTS_MAX; i++)
        assert_true(requests_add(f->requests, "other", NULL, NULL, &id));
    posts(f, SHOP, NULL, 503, "Too many loads are waiting");
    stop(f);
    config_free(sink);
}

/* Who ends after its first load would never take a request. */
static void test_snapshots_of_what_ends(void **state)
{
    const char *const pairs[] = {"topic.prefix", "once", "snapshot.mode", "initial_only", NULL};
    struct fixture *f = start(NULL);
    struct error err = {0};
    struct config *once;

    (void)state;
    make_config(&once, "once", connector_settings, pairs);
    board_add_connector(f->board, "once", true, once);
    posts(f, "/v1/connectors/once/snapshots", NULL, 409, "once ends after its first load");
    posts(f, SHOP, NULL, 202, "\"id\":1");
    http_stop(f->server);
    if (!http_start(&f->server, f->service, f->board, NULL, NULL, NULL, false, &f->port, &err))
        fail_msg("%s", err.message);
    posts(f, SHOP, NULL, 409, "shop ends after its first load");
    stop(f);
    config_free(once);
}

/* What other pages of a browser can send, and who may not ask at all. */
static void test_post_guard(void **state)
{
    static const char *const evil[] = {"Origin: http://evil.example", "Origin: null",
                                       "Origin: http://127.0.0.1:1", "Host: evil.example"};
    struct fixture *f = start(NULL);
    char origin[64];
    struct answer *a;

    (void)state;
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
        a = ask(f, "POST", SHOP, evil[i]);
        if (a->status != 403)
            fail_msg("%s: %ld", evil[i], a->status);
        assert_non_null(strstr(buf_cstr(&a->headers), "application/problem+json"));
        assert_int_equal(ask_with(f, "POST", SHOP, evil[i], "{}")->status, 403);
    }
    assert_string_equal(taken(f), "");
    snprintf(origin, sizeof(origin), "Origin: http://127.0.0.1:%d", f->port);
    assert_int_equal(ask(f, "POST", SHOP, origin)->status, 202);
    assert_int_equal(ask(f, "GET", "/connectors", evil[0])->status, 200);
    assert_string_equal(taken(f), "1:*/* ");
    stop(f);

    f = start("s3cret");
    a = ask_with(f, "POST", SHOP, NULL, "{}");
    assert_int_equal(a->status, 401);
    assert_non_null(strstr(buf_cstr(&a->headers), "application/problem+json"));
    assert_int_equal(ask_with(f, "POST", SHOP, "Authorization: Bearer wrong", "{}")->status, 401);
    assert_string_equal(taken(f), "");
    assert_int_equal(ask_with(f, "POST", SHOP, "Authorization: Bearer s3cret", "{}")->status, 202);
    assert_string_equal(taken(f), "1:*/* ");
    stop(f);
}

/* Sends bytes as they are; returns the answer's status, 0 if the connection was closed. */
static int raw(struct fixture *f, const char *bytes, size_t n)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
    struct timeval tv = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
    char text[4096];
    ssize_t got;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    while (n > 0 && (got = send(fd, bytes, n, MSG_NOSIGNAL)) > 0) {
        bytes += got;
        n -= (size_t)got;
    }
    shutdown(fd, SHUT_WR);
    got = recv(fd, text, sizeof(text) - 1, 0);
    close(fd);
    if (got > 12) {
        text[got] = '\0';
        status = atoi(text + 9);
    }
    return status;
}

static void test_hostile(void **state)
{
    struct fixture *f = start(NULL);
    static const char *const escapes[] = {
        "/connectors/%",   "/connectors/%4",  "/connectors/%zz",   "/connectors/%00",
        "/connectors/%ff", "/connectors/%C3", "/connectors/a%0Ab", "/connectors?expand=%GG"};
    struct buf b = {0};
    int status;

    (void)state;
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++)
        expect(f, "GET", escapes[i], 400, ERROR_400);
    expect(f, "GET", "/connectors/..%2f..%2fetc%2fpasswd", 404, NULL);
    expect(f, "GET", "/../../etc/passwd", 404, ERROR_404);

    buf_puts(&b, "GET /"); /* a path longer than the connection's memory */
    for (int i = 0; i < 100000; i++)
        buf_u8(&b, 'a');
    buf_puts(&b, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    status = raw(f, (const char *)b.data, b.len);
    assert_true(status == 414 || status == 431 || status == 0);

    buf_reset(&b);
    buf_puts(&b, "GET /connectors/"); /* one that fits: a name that nobody has */
    for (int i = 0; i < 8000; i++)
        buf_u8(&b, 'a');
    buf_puts(&b, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_int_equal(raw(f, (const char *)b.data, b.len), 404);

    buf_reset(&b);
    buf_puts(&b, "GET /connectors?x"); /* too many arguments */
    for (int i = 0; i < 100; i++)
        buf_puts(&b, "&a=1");
    buf_puts(&b, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_int_equal(raw(f, (const char *)b.data, b.len), 400);

#define RAW(text) raw(f, text, sizeof(text) - 1)
    assert_int_equal(RAW("POST /connectors HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                         "99999999999\r\n\r\n"),
                     413);
    assert_int_equal(RAW("POST /connectors HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                         "Content-Length: 2\r\n\r\n{}"),
                     405);
    assert_int_equal(RAW("GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n"), 400); /* no Host */
    assert_int_equal(RAW("GET /livez HTTP/1.0\r\n\r\n"), 200);
    assert_int_equal(RAW("OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
                     404);
    RAW("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    RAW("GET /conn\0ectors HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(ask(f, "GET", "/livez", NULL)->status, 200); /* still there */
    buf_free(&b);
    stop(f);
}

/* A body of n blanks and {}, or {} in pieces of a chunked one. */
static int sends(struct fixture *f, size_t n, bool chunked, const char *header)
{
    struct buf b = {0};
    int status;

    buf_printf(&b,
               "POST " SHOP " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s"
               "Content-Type: application/json\r\n",
               header);
    if (chunked)
        buf_printf(&b, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", n);
    else
        buf_printf(&b, "Content-Length: %zu\r\n\r\n", n);
    for (size_t i = 2; i < n; i++)
        buf_u8(&b, ' ');
    buf_puts(&b, chunked ? "{}\r\n0\r\n\r\n" : "{}");
    status = raw(f, (const char *)b.data, b.len);
    buf_free(&b);
    return status;
}

#define ANNOUNCED(size)                                                                          \
    "POST " SHOP " HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: " size \
    "\r\n\r\n"

static void test_body_sizes(void **state)
{
    const size_t limit = 1024 * 1024;
    struct fixture *f = start("t");
    int status;

    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        assert_int_equal(sends(f, 2, chunked, "Authorization: Bearer t\r\n"), 202);
        assert_int_equal(sends(f, limit, chunked, "Authorization: Bearer t\r\n"), 202);
        assert_int_equal(sends(f, limit, chunked, ""), 401);
    }
    assert_int_equal(sends(f, limit + 1, true, "Authorization: Bearer t\r\n"), 413);
    assert_int_equal(sends(f, 4 * limit, true, ""), 413);
    status = sends(f, 16 * limit, true, "Authorization: Bearer t\r\n"); /* cut off */
    assert_true(status == 413 || status == 0);
    assert_int_equal(sends(f, limit + 1, false, "Authorization: Bearer t\r\n"), 413);
    assert_int_equal(sends(f, 8 * limit, false, ""), 413);
    assert_int_equal(raw(f, ANNOUNCED("1048577"), sizeof(ANNOUNCED("1048577")) - 1), 413);
    assert_string_equal(taken(f), "1:*/* 2:*/* 3:*/* 4:*/* ");
    assert_int_equal(ask(f, "GET", "/livez", NULL)->status, 200); /* still there */
    stop(f);
}

/* What http_start says of a listen setting. */
static void try_listen(const char *listen_text, const char *token, bool next_free,
                       const char *words)
{
    const char *const pairs[] = {"listen", listen_text, token ? "api.token" : NULL, token, NULL};
    struct board *b = board_new("svc");
    struct http_server *s = NULL;
    struct error err = {0};
    struct config *service;
    int port = 0;
    bool ok;

    make_config(&service, "service", config_service_settings, pairs);
    ok = http_start(&s, service, b, NULL, NULL, NULL, next_free, &port, &err);
    if (ok != (words == NULL) || (words && strstr(err.message, words) == NULL))
        fail_msg("listen %s: %s", listen_text, ok ? "started" : err.message);
    if (!ok) {
        assert_int_equal(err.kind, ERROR_CONFIG);
        assert_true(err.hint[0] != '\0');
    }
    http_stop(s);
    config_free(service);
    board_free(b);
}

static void test_addresses(void **state)
{
    struct fixture *f = start(NULL);
    char text[64], words[96];

    (void)state;
    snprintf(text, sizeof(text), "127.0.0.1:%d", f->port);
    snprintf(words, sizeof(words), "127.0.0.1:%d is in use", f->port);
    try_listen(text, NULL, false, words);
    try_listen(text, NULL, true, NULL);
    try_listen("localhost:0", NULL, false, NULL);
    try_listen("0.0.0.0:0", NULL, false, "can be reached from other machines");
    try_listen(":0", NULL, false, "can be reached from other machines");
    try_listen("0.0.0.0:0", "t", false, NULL);
    try_listen("192.0.2.1:0", "t", false, "cannot listen on 192.0.2.1:0");
    stop(f);
}

/* "  /connectors/{name}/config:" -> "/connectors/{}/config"; false for another line. */
static bool openapi_path(const char *line, char *out)
{
    if (strncmp(line, "  /", 3) != 0)
        return false;
    for (line += 2; *line != '\0' && *line != ':'; line++) {
        *out++ = *line;
        if (*line == '{')
            line += strcspn(line, "}") - 1;
    }
    *out = '\0';
    return true;
}

/* "    post:" below a path -> "post"; false for another line. */
static bool openapi_method(const char *line, char *out)
{
    static const char *const methods[] = {"get", "post", "put", "patch", "delete", NULL};
    int i;

    for (i = 0; methods[i] != NULL; i++) {
        size_t n = strlen(methods[i]);

        if (strncmp(line, "    ", 4) == 0 && strncmp(line + 4, methods[i], n) == 0 &&
            strcmp(line + 4 + n, ":\n") == 0) {
            strcpy(out, methods[i]);
            return true;
        }
    }
    return false;
}

/* Every route is in schemas/openapi.yaml, and nothing else is. */
static void test_openapi(void **state)
{
    FILE *file = fopen("schemas/openapi.yaml", "r");
    char line[512], path[512] = "", method[16];
    int found = 0, routes = 0;

    (void)state;
    if (file == NULL)
        skip(); /* not run from the root of the tree */
    while (fgets(line, sizeof(line), file)) {
        const struct api_route *r = api_routes;

        if (openapi_path(line, path) || !openapi_method(line, method))
            continue;
        while (r->method && (strcmp(r->pattern, path) != 0 || strcasecmp(r->method, method) != 0))
            r++;
        if (r->method == NULL)
            fail_msg("schemas/openapi.yaml has what is not served: %s %s", method, path);
        found++;
    }
    fclose(file);
    while (api_routes[routes].method)
        routes++;
    assert_int_equal(found, routes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connectors),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_openapi),
        cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_snapshots_refused),
        cmocka_unit_test(test_snapshots_conflict),
        cmocka_unit_test(test_snapshots_of_what_ends),
        cmocka_unit_test(test_post_guard),
        cmocka_unit_test(test_body_sizes),
    };
    int failed;

    log_set_level(LOG_ERROR);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
