/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /v1/query: one statement that reads, run in a warehouse that nobody else can open while the
 * service has it. What may be asked is the warehouse's to judge (warehouse_ops.ask); here the body
 * is read and a place is taken, and the rest is done later in a thread of its own (http.c).
 */
#include "api/api.h"
#include "state/desk.h"
#include "util/log.h"

#include <poll.h>
#include <string.h>

enum { MAX_ROWS = 100000, MAX_TIMEOUT_MS = 60000 };
#define MAX_BYTES ((size_t)16 << 20)

struct asked {
    struct desk *desk;
    const char *connector;
    struct question question;
};

static bool refuse(struct api_reply *reply, const char *why)
{
    api_error(reply, 400, "%s", why);
    return false;
}

/* An integer of the body; what is not there keeps its default. */
static bool read_int(struct api_reply *reply, const json_t *value, const char *key, json_int_t max,
                     json_int_t *out)
{
    if (value == NULL || json_is_null(value))
        return true;
    *out = json_integer_value(value);
    if (json_is_integer(value) && *out >= 1 && *out <= max)
        return true;
    api_error(reply, 400, "\"%s\" must be a whole number from 1 to %lld", key, (long long)max);
    return false;
}

static bool known_keys(struct api_reply *reply, const json_t *body)
{
    static const char *const keys[] = {"sql", "connector", "limit", "timeout_ms"};
    const char *key;
    json_t *value;
    size_t i;

    json_object_foreach((json_t *)body, key, value)
    {
        for (i = 0; i < sizeof(keys) / sizeof(keys[0]) && strcmp(keys[i], key) != 0; i++)
            ;
        if (i == sizeof(keys) / sizeof(keys[0]))
            return refuse(reply, "The body may hold \"sql\", \"connector\", \"limit\" and "
                                 "\"timeout_ms\", and nothing else");
    }
    return true;
}

static bool read_body(const struct api_request *request, struct api_reply *reply,
                      const json_t *body, struct asked *out)
{
    json_int_t limit = 1000, timeout_ms = 10000;
    const json_t *connector = json_object_get(body, "connector");
    const char *sql = json_string_value(json_object_get(body, "sql"));

    if (!json_is_object(body))
        return refuse(reply, "The body must be an object: {\"sql\": \"SELECT ...\"}");
    if (!known_keys(reply, body))
        return false;
    if (sql == NULL)
        return refuse(reply, "\"sql\" must be a string with one statement");
    if (connector != NULL && !json_is_string(connector) && !json_is_null(connector))
        return refuse(reply, "\"connector\" must be a string");
    if (!read_int(reply, json_object_get(body, "limit"), "limit", MAX_ROWS, &limit) ||
        !read_int(reply, json_object_get(body, "timeout_ms"), "timeout_ms", MAX_TIMEOUT_MS,
                  &timeout_ms))
        return false;
    out->connector = json_string_value(connector);
    if (out->connector != NULL)
        out->connector = arena_strdup(request->arena, out->connector);
    out->question.sql = arena_strdup(request->arena, sql);
    out->question.max_rows = limit;
    out->question.max_bytes = MAX_BYTES;
    out->question.timeout_ms = (int)timeout_ms;
    return true;
}

/* The one warehouse that can be asked, where none is named. */
static bool only_one(const struct api_request *request, struct api_reply *reply,
                     struct asked *asked)
{
    struct buf names = {0};
    int n = desk_names(asked->desk, &names);

    if (n == 1)
        asked->connector = arena_strdup(request->arena, buf_cstr(&names));
    else if (n == 0)
        api_error(reply, 400,
                  "No warehouse of this service is read through it: a Postgres warehouse can be "
                  "read with any client");
    else
        api_error(reply, 400, "This service has several warehouses: name one in \"connector\": %s",
                  buf_cstr(&names));
    buf_free(&names);
    return n == 1;
}

static bool find_connector(const struct api_request *request, struct api_reply *reply,
                           struct asked *asked)
{
    struct buf names = {0};

    if (asked->connector == NULL)
        return only_one(request, reply, asked);
    switch (desk_find(asked->desk, asked->connector)) {
    case DESK_ASKED:
        return true;
    case DESK_NOT_ASKED:
        api_error(reply, 400,
                  "The warehouse of connector %s is not read through this service: any client can "
                  "read it",
                  asked->connector);
        return false;
    default:
        desk_names(asked->desk, &names);
        api_error(reply, 404, "Connector %s is no warehouse of this service%s%s", asked->connector,
                  names.len > 0 ? ": there is " : "", buf_cstr(&names));
        buf_free(&names);
        return false;
    }
}

static unsigned status_of(enum ask_outcome outcome)
{
    switch (outcome) {
    case ASK_DONE:
        return 200;
    case ASK_REFUSED:
    case ASK_FAILED:
        return 400;
    case ASK_TIMEOUT:
        return 504;
    case ASK_TOO_LARGE:
        return 413;
    default:
        return 503;
    }
}

/* Has its end of the connection been closed? Then nobody reads the answer. */
static bool is_gone(void *ctx)
{
    struct pollfd p = {.fd = ((const struct api_reply *)ctx)->client, .events = POLLRDHUP};

    return p.fd >= 0 && poll(&p, 1, 0) > 0;
}

static void answer(void *ctx, struct api_reply *reply)
{
    struct asked *asked = ctx;
    struct error err = {0};
    enum ask_outcome outcome;

    asked->question.gone = is_gone;
    asked->question.gone_ctx = reply;
    outcome = desk_ask(asked->desk, asked->connector, &asked->question, &reply->body, &err);
    desk_give(asked->desk);
    reply->status = status_of(outcome);
    reply->type = API_JSON;
    if (outcome != ASK_DONE)
        api_error(reply, reply->status, "%s%s%s", err.message, err.hint[0] ? "; " : "", err.hint);
    log_debug("query connector=%s status=%u bytes=%zu", asked->connector, reply->status,
              reply->body.len);
}

static void give_back(void *ctx)
{
    desk_give(((struct asked *)ctx)->desk);
}

void api_query(const struct api_request *request, struct api_reply *reply)
{
    struct asked *asked = arena_calloc(request->arena, 1, sizeof(*asked));
    json_t *body = NULL;
    bool ok;

    asked->desk = request->context->desk;
    ok = api_body_json(request, reply, &body) && read_body(request, reply, body, asked);
    json_decref(body);
    if (!ok || (asked->desk == NULL && !refuse(reply, "This service has no warehouse to read")) ||
        !find_connector(request, reply, asked))
        return;
    if (!desk_take(asked->desk)) {
        api_error(reply, 429, "%d queries are running already: ask again when one has ended",
                  (int)DESK_MAX);
        return;
    }
    reply->later = answer;
    reply->never = give_back;
    reply->later_ctx = asked;
}
