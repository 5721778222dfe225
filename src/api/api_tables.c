/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/tables: every replicated table with its state, and why it is not live. */
#include "api/api.h"
#include "config/feeds.h"
#include "state/board.h"

#include <string.h>

/* For each connector that is a source, since when its warehouse is known to contain all; 0: not. */
static const int64_t *fresh_of(const struct api_request *request, struct board_connector *c, int n)
{
    struct feed_end *ends = arena_calloc(request->arena, (size_t)n + 1, sizeof(*ends));
    int64_t *fresh = arena_calloc(request->arena, (size_t)n + 1, sizeof(*fresh));
    int i, sink;

    for (i = 0; i < n; i++) {
        if (c[i].config == NULL)
            return fresh;
        ends[i] = (struct feed_end){c[i].name, c[i].source, c[i].config};
    }
    for (i = 0; i < n; i++) {
        sink = c[i].source ? feeds_sink(ends, n, i) : -1;
        fresh[i] = sink >= 0 ? c[sink].fresh_us : 0;
    }
    return fresh;
}

/* What is not live stands at a moment that nobody has asked for: null. */
static json_t *age_json(const struct board_table *t, const struct board_connector *c,
                        const int64_t *fresh, int n)
{
    int i = 0;

    while (i < n && strcmp(c[i].name, t->connector) != 0)
        i++;
    return api_age_json(i < n && t->state == TABLE_LIVE ? fresh[i] : 0);
}

void api_tables(const struct api_request *request, struct api_reply *reply)
{
    struct board_connector *c;
    struct board_table *t;
    json_t *list = json_array();
    const int64_t *fresh;
    int n, nc;

    board_connectors(request->context->board, request->arena, &c, &nc);
    fresh = fresh_of(request, c, nc);
    board_tables(request->context->board, request->arena, &t, &n);
    for (int i = 0; i < n; i++) {
        json_t *j = json_object();
        const char *target = NULL;

        if (t[i].target_schema && t[i].target_name)
            target = arena_printf(request->arena, "%s.%s", t[i].target_schema, t[i].target_name);
        json_object_set_new(j, "connector", api_string(t[i].connector));
        json_object_set_new(j, "schema", api_string(t[i].schema));
        json_object_set_new(j, "table", api_string(t[i].name));
        json_object_set_new(j, "target", api_string(target));
        json_object_set_new(j, "state", json_string(table_state_name(t[i].state)));
        json_object_set_new(j, "reason", api_string(t[i].reason));
        json_object_set_new(j, "rows", json_integer(t[i].rows));
        json_object_set_new(j, "position", api_string(t[i].position));
        json_object_set_new(j, "freshness_seconds", age_json(&t[i], c, fresh, nc));
        json_object_set_new(j, "waiting_seconds",
                            t[i].waiting_ms < 0 ? json_null()
                                                : json_integer(t[i].waiting_ms / 1000));
        json_object_set_new(j, "waiting_bytes",
                            t[i].waiting_ms < 0 ? json_null() : json_integer(t[i].waiting_bytes));
        json_array_append_new(list, j);
    }
    api_json(reply, 200, list);
}
