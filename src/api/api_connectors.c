/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka Connect's reading side of /connectors: names, info, config, status and tasks, in the
 * shapes of Connect 4. Each connector has one task, 0, which a stopped connector has not. Config
 * values are strings and secrets read "[hidden]".
 */
#include "api/api.h"
#include "state/board.h"
#include "util/clock.h"

#include <string.h>

#ifndef PENSTOCK_VERSION
#define PENSTOCK_VERSION "0.0.0"
#endif

const struct board_connector *api_find_connector(const struct api_request *request)
{
    struct board_connector *c;
    int n;

    board_connectors(request->context->board, request->arena, &c, &n);
    for (int i = 0; i < n; i++) {
        if (strcmp(c[i].name, request->params[0]) == 0)
            return &c[i];
    }
    return NULL;
}

static void not_found(const struct api_request *request, struct api_reply *reply)
{
    api_error(reply, 404, "Connector %s not found", request->params[0]);
}

static json_t *type_json(const struct board_connector *c)
{
    return json_string(c->source ? "source" : "sink");
}

static json_t *config_json(const struct board_connector *c)
{
    json_t *j = json_object();
    const char *key, *masked;
    size_t at = 0;

    while (c->config && (key = config_next(c->config, &at, &masked)) != NULL)
        json_object_set_new(j, key, api_string(masked));
    json_object_set_new(j, "name", api_string(c->name));
    return j;
}

static json_t *task_id_json(const struct board_connector *c)
{
    json_t *j = json_object();

    json_object_set_new(j, "connector", api_string(c->name));
    json_object_set_new(j, "task", json_integer(0));
    return j;
}

static json_t *info_json(const struct board_connector *c)
{
    json_t *j = json_object(), *tasks = json_array();

    if (c->state != CONNECTOR_STOPPED)
        json_array_append_new(tasks, task_id_json(c));
    json_object_set_new(j, "name", api_string(c->name));
    json_object_set_new(j, "config", config_json(c));
    json_object_set_new(j, "tasks", tasks);
    json_object_set_new(j, "type", type_json(c));
    return j;
}

static void set_state(json_t *j, const struct api_request *request, enum connector_state state)
{
    json_object_set_new(j, "state", json_string(connector_state_name(state)));
    json_object_set_new(j, "worker_id", api_string(request->context->worker_id));
    json_object_set_new(j, "version", json_string(PENSTOCK_VERSION));
}

static json_t *task_json(const struct api_request *request, const struct board_connector *c)
{
    json_t *j = json_object();

    json_object_set_new(j, "id", json_integer(0));
    set_state(j, request, c->task);
    if (c->trace)
        json_object_set_new(j, "trace", api_string(c->trace));
    return j;
}

static json_t *bytes_json(int64_t bytes)
{
    return bytes < 0 ? json_null() : json_integer(bytes);
}

/* What Connect does not know of a source: what its server keeps for it, and for whose sake. */
static json_t *mark_json(const struct board_connector *c)
{
    json_t *j = json_object();

    json_object_set_new(j, "slot", api_string(c->mark.name));
    json_object_set_new(j, "retained_bytes", bytes_json(c->mark.retained_bytes));
    json_object_set_new(j, "safe_bytes", bytes_json(c->mark.safe_bytes));
    json_object_set_new(j, "limit_bytes", bytes_json(c->mark.limit_bytes));
    json_object_set_new(j, "wal_status", api_string(c->mark.status));
    json_object_set_new(j, "log_bytes_per_second", bytes_json(c->mark.log_rate));
    json_object_set_new(j, "seconds_left", bytes_json(c->mark.seconds_left));
    json_object_set_new(j, "pinned_by", api_string(c->mark.pinned_by));
    json_object_set_new(j, "warning_level", json_integer(c->mark.warning_level));
    json_object_set_new(j, "warning", api_string(c->mark.warning));
    return j;
}

/* And of a sink: how old the newest is that it is known to contain. */
static json_t *fresh_json(const struct board_connector *c)
{
    json_t *j = json_object();

    json_object_set_new(j, "freshness_seconds", api_age_json(c->fresh_us));
    return j;
}

json_t *api_age_json(int64_t us)
{
    int64_t age = clock_wall_us() - us;

    if (us == 0)
        return json_null();
    return json_real(age > 0 ? (double)(age / 1000) / 1000 : 0);
}

json_t *api_status_json(const struct api_request *request, const struct board_connector *c)
{
    json_t *j = json_object(), *connector = json_object(), *tasks = json_array();

    set_state(connector, request, c->state);
    if (c->state == CONNECTOR_FAILED && c->trace)
        json_object_set_new(connector, "trace", api_string(c->trace));
    if (c->state != CONNECTOR_STOPPED)
        json_array_append_new(tasks, task_json(request, c));
    json_object_set_new(j, "name", api_string(c->name));
    json_object_set_new(j, "connector", connector);
    json_object_set_new(j, "tasks", tasks);
    json_object_set_new(j, "type", type_json(c));
    json_object_set_new(j, "penstock", c->source ? mark_json(c) : fresh_json(c));
    return j;
}

void api_connectors(const struct api_request *request, struct api_reply *reply)
{
    bool expand = api_query_any(request, "expand");
    bool status = api_query_has(request, "expand", "status");
    bool info = api_query_has(request, "expand", "info");
    json_t *j = expand ? json_object() : json_array();
    struct board_connector *c;
    int n;

    board_connectors(request->context->board, request->arena, &c, &n);
    for (int i = 0; i < n; i++) {
        json_t *each;

        if (!expand) {
            json_array_append_new(j, api_string(c[i].name));
            continue;
        }
        each = json_object();
        if (status)
            json_object_set_new(each, "status", api_status_json(request, &c[i]));
        if (info)
            json_object_set_new(each, "info", info_json(&c[i]));
        json_object_set_new(j, c[i].name, each);
    }
    api_json(reply, 200, j);
}

void api_connector(const struct api_request *request, struct api_reply *reply)
{
    const struct board_connector *c = api_find_connector(request);

    if (c)
        api_json(reply, 200, info_json(c));
    else
        not_found(request, reply);
}

void api_connector_config(const struct api_request *request, struct api_reply *reply)
{
    const struct board_connector *c = api_find_connector(request);

    if (c)
        api_json(reply, 200, config_json(c));
    else
        not_found(request, reply);
}

void api_connector_status(const struct api_request *request, struct api_reply *reply)
{
    const struct board_connector *c = api_find_connector(request);

    if (c)
        api_json(reply, 200, api_status_json(request, c));
    else
        api_error(reply, 404, "No status found for connector %s", request->params[0]);
}

void api_connector_tasks(const struct api_request *request, struct api_reply *reply)
{
    const struct board_connector *c = api_find_connector(request);
    json_t *list, *j;

    if (c == NULL) {
        not_found(request, reply);
        return;
    }
    list = json_array();
    if (c->state != CONNECTOR_STOPPED) {
        j = json_object();
        json_object_set_new(j, "id", task_id_json(c));
        json_object_set_new(j, "config", config_json(c));
        json_array_append_new(list, j);
    }
    api_json(reply, 200, list);
}

/* The task's number as the path gives it: Connect answers another 404 for what is no number. */
static bool is_number(const char *s)
{
    size_t n = strspn(s, "0123456789");

    return n > 0 && n < 10 && s[n] == '\0';
}

void api_task_status(const struct api_request *request, struct api_reply *reply)
{
    const struct board_connector *c = api_find_connector(request);
    const char *task = request->params[1];

    if (!is_number(task))
        api_plain_error(reply, 404);
    else if (c && c->state != CONNECTOR_STOPPED && strcmp(task, "0") == 0)
        api_json(reply, 200, task_json(request, c));
    else
        api_error(reply, 404, "No status found for task %s-%s", request->params[0], task);
}
