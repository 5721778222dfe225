/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From method and path to a handler, and the replies that are the same everywhere. A path is split
 * at '/' before its segments are decoded, so that %2F stays inside a name. One trailing slash is
 * accepted, as Kafka Connect does.
 */
#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *reason_of(unsigned status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 429:
        return "Too Many Requests";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return "Internal Server Error";
    }
}

json_t *api_string(const char *s)
{
    json_t *j;
    char *copy;

    if (s == NULL)
        return json_null();
    j = json_string(s);
    if (j != NULL)
        return j;
    copy = strdup(s);
    for (char *p = copy; p && *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    }
    j = json_string(copy ? copy : "?");
    free(copy);
    return j;
}

void api_json(struct api_reply *reply, unsigned status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

    json_decref(json);
    buf_reset(&reply->body);
    buf_puts(&reply->body, text ? text : "null");
    free(text);
    reply->status = text ? status : 500;
    reply->type = API_JSON;
}

void api_error(struct api_reply *reply, unsigned status, const char *fmt, ...)
{
    json_t *j = json_object();
    char text[2400]; /* an error's message and hint */
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (reply->problem) {
        json_object_set_new(j, "type", json_string("about:blank"));
        json_object_set_new(j, "title", json_string(reason_of(status)));
        json_object_set_new(j, "status", json_integer(status));
        json_object_set_new(j, "detail", api_string(text));
    } else {
        json_object_set_new(j, "error_code", json_integer(status));
        json_object_set_new(j, "message", api_string(text));
    }
    api_json(reply, status, j);
    if (reply->problem)
        reply->type = API_PROBLEM;
}

void api_plain_error(struct api_reply *reply, unsigned status)
{
    api_error(reply, status, "HTTP %u %s", status, reason_of(status));
}

bool api_is_ours(const char *path)
{
    return strncmp(path, "/v1", 3) == 0 && (path[3] == '\0' || path[3] == '/');
}

bool api_query_any(const struct api_request *request, const char *key)
{
    for (int i = 0; i < request->nqueries; i++) {
        if (strcmp(request->keys[i], key) == 0)
            return true;
    }
    return false;
}

bool api_query_has(const struct api_request *request, const char *key, const char *value)
{
    for (int i = 0; i < request->nqueries; i++) {
        if (strcmp(request->keys[i], key) == 0 && strcmp(request->values[i], value) == 0)
            return true;
    }
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

char *api_decode(struct arena *a, const char *s, size_t n)
{
    char *out = arena_alloc(a, n + 1), *o = out;
    json_t *utf8;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == '%') {
            int high = i + 2 < n ? hex_digit(s[i + 1]) : -1;
            int low = i + 2 < n ? hex_digit(s[i + 2]) : -1;

            if (high < 0 || low < 0)
                return NULL;
            c = (unsigned char)(high * 16 + low);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f)
            return NULL;
        *o++ = (char)c;
    }
    *o = '\0';
    utf8 = json_string(out);
    if (utf8 == NULL)
        return NULL;
    json_decref(utf8);
    return out;
}

struct path {
    int n;
    const char *segments[API_MAX_SEGMENTS];
};

enum path_result { PATH_OK, PATH_UNKNOWN, PATH_BAD };

static enum path_result split(struct arena *a, const char *s, struct path *out)
{
    size_t len = strlen(s);

    out->n = 0;
    if (len == 0 || s[0] != '/')
        return PATH_UNKNOWN;
    if (len > 1 && s[len - 1] == '/')
        len--;
    for (size_t at = 1; at < len;) {
        const char *slash = memchr(s + at, '/', len - at);
        size_t n = slash ? (size_t)(slash - s) - at : len - at;
        const char *segment = api_decode(a, s + at, n);

        if (segment == NULL)
            return PATH_BAD;
        if (n == 0 || out->n == API_MAX_SEGMENTS)
            return PATH_UNKNOWN;
        out->segments[out->n++] = segment;
        at += n + 1;
    }
    return PATH_OK;
}

/* True if the pattern fits; then params holds what {} stands for. */
static bool fits(const char *pattern, const struct path *p, const char **params)
{
    int nparams = 0, i = 0;

    for (const char *s = pattern + 1; *s != '\0'; i++) {
        size_t n = strcspn(s, "/");

        if (i == p->n)
            return false;
        if (n == 2 && strncmp(s, "{}", 2) == 0)
            params[nparams++] = p->segments[i];
        else if (strlen(p->segments[i]) != n || strncmp(s, p->segments[i], n) != 0)
            return false;
        s += n + (s[n] == '/');
    }
    return i == p->n;
}

/* The methods of a known path, as Kafka Connect lists them: "HEAD, GET, OPTIONS". */
static const char *allowed(struct arena *a, const struct path *p)
{
    const char *params[API_MAX_PARAMS], *list = NULL;

    for (const struct api_route *r = api_routes; r->method; r++) {
        if (!fits(r->pattern, p, params))
            continue;
        list = arena_printf(a, "%s%s%s%s", list ? list : "", list ? ", " : "",
                            strcmp(r->method, "GET") == 0 ? "HEAD, " : "", r->method);
    }
    return list ? arena_printf(a, "%s, OPTIONS", list) : NULL;
}

void api_dispatch(struct api_request *request, const char *method, const char *path,
                  struct api_reply *reply)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    enum path_result result;
    struct path p;

    result = split(request->arena, path, &p);
    if (result != PATH_OK) {
        api_plain_error(reply, result == PATH_BAD ? 400 : 404);
        return;
    }
    for (const struct api_route *r = api_routes; r->method; r++) {
        if (strcmp(r->method, wanted) == 0 && fits(r->pattern, &p, request->params)) {
            r->handle(request, reply);
            return;
        }
    }
    reply->allow = allowed(request->arena, &p);
    if (reply->allow == NULL) {
        api_plain_error(reply, 404);
    } else if (strcmp(method, "OPTIONS") == 0) {
        reply->status = 200;
        reply->type = "text/plain";
        buf_puts(&reply->body, reply->allow);
    } else {
        api_plain_error(reply, 405);
    }
}
