/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are and how we are: / and /health as Kafka Connect answers them, /livez (the process
 * serves) and /readyz (every connector's task runs; else which does not, and why).
 */
#include "api/api.h"
#include "state/board.h"

#ifndef PENSTOCK_VERSION
#define PENSTOCK_VERSION "0.0.0"
#endif
#ifndef PENSTOCK_COMMIT
#define PENSTOCK_COMMIT "unknown"
#endif

void api_root(const struct api_request *request, struct api_reply *reply)
{
    json_t *j = json_object();

    json_object_set_new(j, "version", json_string(PENSTOCK_VERSION));
    json_object_set_new(j, "commit", json_string(PENSTOCK_COMMIT));
    /* There is no Kafka in process; clients use it to tell clusters apart. */
    json_object_set_new(j, "kafka_cluster_id",
                        api_string(config_string(request->context->service, "name")));
    api_json(reply, 200, j);
}

void api_livez(const struct api_request *request, struct api_reply *reply)
{
    (void)request;
    reply->status = 200;
    reply->type = "text/plain; charset=utf-8";
    buf_puts(&reply->body, "ok");
}

void api_readyz(const struct api_request *request, struct api_reply *reply)
{
    struct board_connector *c;
    json_t *j = json_object(), *reasons = json_array();
    int n;

    board_connectors(request->context->board, request->arena, &c, &n);
    for (int i = 0; i < n; i++) {
        json_t *reason;

        if (c[i].task == CONNECTOR_RUNNING)
            continue;
        reason = json_object();
        json_object_set_new(reason, "connector", api_string(c[i].name));
        json_object_set_new(reason, "state", json_string(connector_state_name(c[i].task)));
        json_object_set_new(reason, "trace", api_string(c[i].trace));
        json_array_append_new(reasons, reason);
    }
    n = (int)json_array_size(reasons);
    json_object_set_new(j, "ready", json_boolean(n == 0));
    json_object_set_new(j, "reasons", reasons);
    api_json(reply, n == 0 ? 200 : 503, j);
}

void api_health(const struct api_request *request, struct api_reply *reply)
{
    struct board_connector *c;
    json_t *j = json_object();
    bool starting = false;
    int n;

    board_connectors(request->context->board, request->arena, &c, &n);
    for (int i = 0; i < n; i++)
        starting = starting || c[i].state == CONNECTOR_UNASSIGNED;
    json_object_set_new(j, "status", json_string(starting ? "starting" : "healthy"));
    json_object_set_new(j, "message",
                        json_string(starting ? "Worker is still starting up."
                                             : "Worker has completed startup and is ready to "
                                               "handle requests."));
    api_json(reply, starting ? 503 : 200, j);
}
