/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/tables: every replicated table with its state, and why it is not live. */
#include "api/api.h"
#include "state/board.h"

void api_tables(const struct api_request *request, struct api_reply *reply)
{
    struct board_table *t;
    json_t *list = json_array();
    int n;

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
        json_object_set_new(j, "waiting_seconds",
                            t[i].waiting_ms < 0 ? json_null()
                                                : json_integer(t[i].waiting_ms / 1000));
        json_object_set_new(j, "waiting_bytes",
                            t[i].waiting_ms < 0 ? json_null() : json_integer(t[i].waiting_bytes));
        json_array_append_new(list, j);
    }
    api_json(reply, 200, list);
}
