/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka Connect's pause, resume and restart. What is asked for is written on the board and done soon
 * after; the answer does not wait for it. A source and its warehouse go and stand together, so that
 * either's name does.
 */
#include "api/api.h"
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

void api_resume(const struct api_request *request, struct api_reply *reply)
{
    want_paused(request, reply, false);
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
