/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka Connect's pause, resume and restart. What is asked for is written on the board and done
 * soon after; the answer does not wait for it. A source and its warehouse go and stand together, so
 * that either's name does, to pause and to resume: whoever resumes one end would else be told that
 * it goes on while the other's pause holds it.
 */
#include "api/api.h"
#include "config/feeds.h"
#include "state/board.h"
#include "util/log.h"

#include <string.h>

static void empty(struct api_reply *reply, unsigned status)
{
    buf_reset(&reply->body);
    reply->status = status;
    reply->type = NULL;
}

static void want_paused(const struct api_request *request, struct api_reply *reply, bool paused)
{
    const char *name = request->params[0];

    if (!board_want_paused(request->context->board, name, paused)) {
        api_error(reply, 404, "Unknown connector %s", name);
        return;
    }
    log_info("connector is to be %s name=%s", paused ? "paused" : "resumed", name);
    empty(reply, 202);
}

void api_pause(const struct api_request *request, struct api_reply *reply)
{
    want_paused(request, reply, true);
}

/* The other end of the connector's pipeline; NULL if it has none. */
static const char *other_end(const struct api_request *request)
{
    struct board_connector *c;
    struct feed_end *ends;
    struct error ignored;
    int n, source, sink;

    board_connectors(request->context->board, request->arena, &c, &n);
    ends = arena_calloc(request->arena, (size_t)n + 1, sizeof(*ends));
    for (int i = 0; i < n; i++)
        ends[i] = (struct feed_end){c[i].name, c[i].source, c[i].config};
    source = feeds_source(ends, n, request->params[0], &ignored);
    sink = source >= 0 ? feeds_sink(ends, n, source) : -1;
    if (sink < 0)
        return NULL;
    return c[strcmp(c[source].name, request->params[0]) == 0 ? sink : source].name;
}

void api_resume(const struct api_request *request, struct api_reply *reply)
{
    const char *other;

    want_paused(request, reply, false);
    other = reply->status == 202 ? other_end(request) : NULL;
    if (other == NULL || !board_wants_paused(request->context->board, other))
        return;
    board_want_paused(request->context->board, other, false);
    log_info("connector is to be resumed name=%s together with=%s", other, request->params[0]);
}

static void restart(const struct api_request *request, const char *name)
{
    log_info("connector is to be restarted name=%s", name);
    board_want_restart(request->context->board, name);
}

static bool has_failed(const struct board_connector *c)
{
    return c->state == CONNECTOR_FAILED || c->task == CONNECTOR_FAILED;
}

/* Here the connector and its one task are one: either restarts both. */
void api_restart(const struct api_request *request, struct api_reply *reply)
{
    const struct board_connector *c = api_find_connector(request);
    bool all = api_query_has(request, "includeTasks", "true");
    bool only_failed = api_query_has(request, "onlyFailed", "true");
    struct board_connector shown;

    if (c == NULL) {
        api_error(reply, 404, "Unknown connector: %s", request->params[0]);
        return;
    }
    shown = *c;
    if (!only_failed || has_failed(c)) {
        restart(request, c->name);
        shown.state = shown.task = CONNECTOR_RESTARTING;
    }
    if (all)
        api_json(reply, 202, api_status_json(request, &shown));
    else
        empty(reply, 204);
}

void api_restart_task(const struct api_request *request, struct api_reply *reply)
{
    const struct board_connector *c = api_find_connector(request);
    const char *task = request->params[1];

    if (c == NULL) {
        api_error(reply, 404, "Unknown connector: %s", request->params[0]);
    } else if (task[0] == '\0' || strspn(task, "0123456789") != strlen(task)) {
        api_plain_error(reply, 404);
    } else if (strcmp(task, "0") != 0) {
        api_error(reply, 404, "Unknown task: %s-%s", request->params[0], task);
    } else {
        restart(request, c->name);
        empty(reply, 204);
    }
}
