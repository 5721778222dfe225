/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of requests. Only application/json is taken: a page that a browser loaded from elsewhere
 * can send other types to us unasked, this one not.
 */
#include "api/api.h"

#include <string.h>
#include <strings.h>

/* "application/json", also with parameters. */
static bool is_json(const char *type)
{
    size_t n = strlen(API_JSON);

    if (type == NULL || strncasecmp(type, API_JSON, n) != 0)
        return false;
    type += n;
    type += strspn(type, " \t");
    return *type == '\0' || *type == ';';
}

bool api_body_json(const struct api_request *request, struct api_reply *reply, json_t **out)
{
    json_error_t where;

    *out = NULL;
    if (request->body_len == 0)
        return true;
    if (!is_json(request->content_type)) {
        api_error(reply, 415, "The body must be JSON: send Content-Type: " API_JSON);
        return false;
    }
    *out = json_loadb(request->body, request->body_len, JSON_REJECT_DUPLICATES, &where);
    if (*out == NULL)
        api_error(reply, 400, "The body is not JSON that can be read (line %d, column %d)",
                  where.line, where.column);
    return *out != NULL;
}
