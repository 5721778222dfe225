/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd's side of the API: two polling threads, at most 128 connections of 32 KB memory,
 * 30 s of silence each (off loopback 96 of them for one address; drop by drop: connections.c). A
 * request is judged in this order: size of its body (at most 1 MB), Host,
 * Origin (of what is no read), token (all but /livez), route. A body is kept only for who may ask;
 * others' is read and dropped, so that the answer arrives and costs no memory. What takes long
 * (api_reply.later) is done in a thread of its own while the connection is suspended, so that the
 * polling threads always have time for /livez.
 */
#include "api/http.h"

#include "api/api.h"
#include "api/connections.h"
#include "api/guard.h"
#include "util/log.h"
#include "util/mem.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_BODY = 1024 * 1024, MAX_DROPPED = 8 * MAX_BODY };
enum { MAX_CONNECTIONS = 128, MAX_OF_ONE_ADDRESS = 96, MAX_QUERIES = 32, TIMEOUT_S = 30 };

struct http_server {
    struct MHD_Daemon *daemon;
    struct connections *connections;
    struct api_context context;
    struct guard guard;
    char worker_id[300];
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int later; /* threads that fill a reply */
};

/* One request, from its headers to its completion. */
struct call {
    bool keeps;      /* its body */
    size_t received; /* bytes of the body so far */
    struct buf body;
    /* of a reply that is filled later */
    struct http_server *server;
    struct MHD_Connection *connection;
    struct arena *arena;
    struct api_reply reply;
    bool done; /* set before the connection is resumed */
};

static enum MHD_Result send_reply(struct MHD_Connection *c, struct api_reply *reply)
{
    struct MHD_Response *r;
    enum MHD_Result result;

    r = MHD_create_response_from_buffer(reply->body.len, reply->body.data, MHD_RESPMEM_MUST_COPY);
    buf_free(&reply->body);
    if (r == NULL)
        return MHD_NO;
    if (reply->type)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
    if (reply->allow)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, reply->allow);
    if (reply->location)
        MHD_add_response_header(r, MHD_HTTP_HEADER_LOCATION, reply->location);
    if (reply->status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"penstock\"");
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    result = MHD_queue_response(c, reply->status, r);
    MHD_destroy_response(r);
    return result;
}

struct queries {
    struct arena *arena;
    int n;
    bool bad;
    const char *keys[MAX_QUERIES], *values[MAX_QUERIES];
};

static enum MHD_Result add_query(void *ctx, enum MHD_ValueKind kind, const char *key,
                                 const char *value)
{
    struct queries *q = ctx;
    const char *v = value ? value : "";

    (void)kind;
    if (q->n == MAX_QUERIES) {
        q->bad = true;
        return MHD_NO;
    }
    q->keys[q->n] = api_decode(q->arena, key, strlen(key));
    q->values[q->n] = api_decode(q->arena, v, strlen(v));
    if (q->keys[q->n] == NULL || q->values[q->n] == NULL)
        q->bad = true;
    q->n++;
    return q->bad ? MHD_NO : MHD_YES;
}

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* Nothing is changed by it. */
static bool is_read(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
           strcmp(method, "OPTIONS") == 0;
}

enum judgement { ADMITTED, WRONG_HOST, WRONG_ORIGIN, NO_TOKEN };

static enum judgement judge(const struct http_server *s, struct MHD_Connection *c,
                            const char *method, const char *path)
{
    const char *host = header(c, MHD_HTTP_HEADER_HOST);

    if (!guard_host_ok(&s->guard, host))
        return WRONG_HOST;
    if (!is_read(method) && !guard_origin_ok(&s->guard, header(c, MHD_HTTP_HEADER_ORIGIN), host))
        return WRONG_ORIGIN;
    if (strcmp(path, "/livez") != 0 &&
        !guard_token_ok(&s->guard, header(c, MHD_HTTP_HEADER_AUTHORIZATION)))
        return NO_TOKEN;
    return ADMITTED;
}

static void refuse(const struct http_server *s, enum judgement why, struct api_reply *reply)
{
    if (why == WRONG_HOST)
        api_error(reply, 403, "The Host of this request is not a name of this service: ask %s",
                  s->worker_id);
    else if (why == WRONG_ORIGIN)
        api_error(reply, 403, "Pages of another origin may not change anything here");
    else
        api_error(reply, 401, "This service needs its api.token: send Authorization: Bearer TOKEN");
}

static void answer(struct http_server *s, struct MHD_Connection *c, const char *method,
                   const char *path, struct call *call, struct arena *a, struct api_reply *reply)
{
    struct queries q = {.arena = a};
    struct api_request request = {.context = &s->context, .arena = a};
    enum judgement judgement = judge(s, c, method, path);

    if (call->received > MAX_BODY) {
        api_plain_error(reply, 413);
        return;
    }
    if (judgement != ADMITTED) {
        refuse(s, judgement, reply);
        return;
    }
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, add_query, &q);
    if (q.bad) {
        api_plain_error(reply, 400);
        return;
    }
    request.nqueries = q.n;
    request.keys = q.keys;
    request.values = q.values;
    request.content_type = header(c, MHD_HTTP_HEADER_CONTENT_TYPE);
    request.body = (const char *)call->body.data;
    request.body_len = call->body.len;
    api_dispatch(&request, method, path, reply);
}

static void *later_main(void *arg)
{
    struct call *call = arg;
    struct http_server *s = call->server;

    call->reply.later(call->reply.later_ctx, &call->reply);
    call->done = true;
    MHD_resume_connection(call->connection); /* call may be gone from here on */
    pthread_mutex_lock(&s->lock);
    s->later--;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Takes a and reply; the connection waits for a thread that fills it. */
static enum MHD_Result answer_later(struct http_server *s, struct MHD_Connection *c,
                                    struct call *call, struct arena *a, struct api_reply *reply)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    pthread_t thread;

    call->server = s;
    call->connection = c;
    call->arena = a;
    call->reply = *reply;
    call->reply.client = info != NULL ? info->connect_fd : -1; /* not closed while suspended */
    pthread_mutex_lock(&s->lock);
    s->later++;
    pthread_mutex_unlock(&s->lock);
    MHD_suspend_connection(c);
    if (pthread_create(&thread, NULL, later_main, call) == 0) {
        pthread_detach(thread);
        return MHD_YES;
    }
    reply->never(reply->later_ctx);
    api_plain_error(&call->reply, 503);
    call->done = true;
    MHD_resume_connection(c);
    pthread_mutex_lock(&s->lock);
    s->later--;
    pthread_mutex_unlock(&s->lock);
    return MHD_YES;
}

/*
 * Refused before it is read: a client that waits for our word has not sent it, and of a huge one
 * there is no end. What is only somewhat too large is dropped instead: a client that is cut off
 * while it sends may not see the answer.
 */
static bool refused_unread(struct MHD_Connection *c)
{
    const char *length = header(c, MHD_HTTP_HEADER_CONTENT_LENGTH);
    unsigned long long n = length ? strtoull(length, NULL, 10) : 0;

    return n > MAX_DROPPED || (n > MAX_BODY && header(c, MHD_HTTP_HEADER_EXPECT) != NULL);
}

/* A piece of the body. False: there is no end of it, the connection is closed. */
static bool take_body(struct call *call, const char *data, size_t n)
{
    call->received += n;
    if (call->keeps && call->received <= MAX_BODY)
        buf_append(&call->body, data, n);
    else
        buf_free(&call->body);
    return call->received <= MAX_DROPPED;
}

/* libmicrohttpd calls it once with the headers, once per piece of the body, once at its end. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct http_server *s = ctx;
    struct api_reply reply = {.problem = api_is_ours(path)};
    struct call *call = *state;
    enum MHD_Result result;
    struct arena *a;
    size_t n = *size;

    (void)version;
    if (call == NULL) {
        *state = call = mem_calloc(1, sizeof(*call));
        call->keeps = !is_read(method) && judge(s, c, method, path) == ADMITTED;
        if (!refused_unread(c))
            return MHD_YES;
        api_plain_error(&reply, 413);
        return send_reply(c, &reply);
    }
    if (n > 0) {
        *size = 0;
        return take_body(call, data, n) ? MHD_YES : MHD_NO;
    }
    connections_request(s->connections, c, true);
    if (call->done)
        return send_reply(c, &call->reply);
    a = arena_new("request");
    answer(s, c, method, path, call, a, &reply);
    if (reply.later != NULL)
        return answer_later(s, c, call, a, &reply);
    result = send_reply(c, &reply);
    arena_free(a);
    return result;
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode why)
{
    const struct http_server *s = ctx;
    struct call *call = *state;

    connections_request(s->connections, c, false);
    (void)why;
    if (call == NULL)
        return;
    buf_free(&call->body);
    buf_free(&call->reply.body);
    arena_free(call->arena);
    mem_free(call);
    *state = NULL;
}

/* Paths stay percent-encoded: router.c decodes them segment by segment, strictly. */
static size_t keep_encoded(void *ctx, struct MHD_Connection *c, char *s)
{
    (void)ctx;
    (void)c;
    return strlen(s);
}

static void on_log(void *ctx, const char *fmt, va_list ap)
{
    char text[512];

    (void)ctx;
    vsnprintf(text, sizeof(text), fmt, ap);
    log_debug("http: %s", text);
}

static bool start_daemon(struct http_server *s, int fd, struct error *err)
{
    unsigned flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG |
                     MHD_ALLOW_SUSPEND_RESUME;
    /* On loopback all have one; 0: no limit. */
    unsigned per_address = s->guard.address.loopback ? 0 : MAX_OF_ONE_ADDRESS;

    s->connections = connections_new();
    if (s->connections == NULL) {
        close(fd);
        return error_set(err, ERROR_FATAL, "the HTTP server cannot start");
    }
    /* The logger comes first: options before it would log elsewhere. */
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_THREAD_POOL_SIZE,
        2u, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(32 * 1024), MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
        MHD_OPTION_NOTIFY_CONNECTION, connections_notify, s->connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address, MHD_OPTION_UNESCAPE_CALLBACK, keep_encoded,
        NULL, MHD_OPTION_END);
    if (s->daemon == NULL) {
        close(fd);
        return error_set(err, ERROR_FATAL, "the HTTP server cannot start");
    }
    return true;
}

static void http_free(struct http_server *s)
{
    connections_free(s->connections);
    pthread_cond_destroy(&s->moved);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

bool http_start(struct http_server **out, const struct config *service, struct board *b,
                struct requests *requests, struct desk *desk, struct verifications *verifications,
                bool next_free, int *port, struct error *err)
{
    const char *listen_text = config_string(service, "listen");
    const char *token = config_string(service, "api.token");
    struct listen_address address;
    struct http_server *s;
    bool v6;
    int fd;

    if (!listen_parse(listen_text ? listen_text : "127.0.0.1:8083", &address, err) ||
        !listen_open(&address, token && token[0], next_free, &fd, err))
        return false;
    s = mem_calloc(1, sizeof(*s));
    guard_init(&s->guard, token, &address);
    v6 = strchr(address.host, ':') != NULL;
    snprintf(s->worker_id, sizeof(s->worker_id), "%s%s%s:%d", v6 ? "[" : "",
             address.host[0] ? address.host : "0.0.0.0", v6 ? "]" : "", address.port);
    s->context = (struct api_context){.board = b,
                                      .requests = requests,
                                      .desk = desk,
                                      .verifications = verifications,
                                      .service = service,
                                      .worker_id = s->worker_id};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->moved, NULL);
    if (!start_daemon(s, fd, err)) {
        http_free(s);
        return false;
    }
    if (port)
        *port = address.port;
    *out = s;
    return true;
}

void http_stop(struct http_server *s)
{
    MHD_socket fd;

    if (s == NULL)
        return;
    /* The daemon must not be stopped while a connection is suspended. No new requests meanwhile. */
    fd = MHD_quiesce_daemon(s->daemon);
    pthread_mutex_lock(&s->lock);
    while (s->later > 0)
        pthread_cond_wait(&s->moved, &s->lock);
    pthread_mutex_unlock(&s->lock);
    MHD_stop_daemon(s->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd); /* it is ours again */
    http_free(s);
}
