/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /v1/connectors/NAME/snapshots: tables are to be loaded again. {"tables": ["S.T", ...]}, or
 * no body for all of the connector's. 202 means that the request lies in the connector's mailbox;
 * what became of it is in /v1/tables. Nothing is taken that could not be done.
 */
#include "api/api.h"
#include "config/feeds.h"
#include "config/nearest.h"
#include "state/board.h"
#include "state/requests.h"
#include "util/log.h"

#include <string.h>

struct wanted {
    const struct api_request *request;
    struct api_reply *reply;
    const char *connector;     /* the source's name */
    struct board_table *known; /* the connector's */
    int nknown;
    struct qualified *tables; /* what is to be loaded */
    int n;
    bool all;
};

/* The source connector and its warehouse. False: the reply is made. */
static bool find_connectors(struct wanted *w, const struct board_connector **source,
                            const struct board_connector **sink)
{
    const struct api_request *request = w->request;
    struct board_connector *c;
    struct feed_end *ends;
    struct error err = {0};
    int n, at;

    board_connectors(request->context->board, request->arena, &c, &n);
    ends = arena_calloc(request->arena, (size_t)n + 1, sizeof(*ends));
    for (int i = 0; i < n; i++)
        ends[i] = (struct feed_end){c[i].name, c[i].source, c[i].config};
    at = feeds_source(ends, n, request->params[0], &err);
    if (at < 0) {
        api_error(w->reply, 404, "%s%s%s", err.message, err.hint[0] ? "; " : "", err.hint);
        return false;
    }
    *source = &c[at];
    w->connector = c[at].name;
    at = feeds_sink(ends, n, at);
    *sink = at >= 0 ? &c[at] : NULL;
    return true;
}

static bool ends_after_load(const struct config *source)
{
    const char *mode = config_string(source, "snapshot.mode");

    return mode != NULL && strcmp(mode, "initial_only") == 0;
}

/* False, with the reply: nothing can be loaded until a person has acted. */
static bool can_load(struct wanted *w, const struct board_connector *c)
{
    if (c == NULL)
        return true;
    if (c->source && (w->request->context->requests == NULL || ends_after_load(c->config))) {
        api_error(w->reply, 409,
                  "Connector %s ends after its first load and loads nothing again: start it anew",
                  c->name);
        return false;
    }
    if (c->state == CONNECTOR_STOPPED) {
        api_error(w->reply, 409, "Connector %s is stopped: resume it first", c->name);
        return false;
    }
    if (c->state == CONNECTOR_FAILED || c->task == CONNECTOR_FAILED) {
        api_error(w->reply, 409,
                  "Connector %s has failed, and nothing is loaded until that is "
                  "mended: %s",
                  c->name, c->trace ? c->trace : "see its status");
        return false;
    }
    return true;
}

static void find_known(struct wanted *w)
{
    struct board_table *t;
    int n;

    board_tables(w->request->context->board, w->request->arena, &t, &n);
    w->known = t;
    for (int i = 0; i < n; i++) {
        if (strcmp(t[i].connector, w->connector) == 0)
            w->known[w->nknown++] = t[i];
    }
}

static const char *as_text(const struct wanted *w, const char *schema, const char *name)
{
    return qualified_text(w->request->arena, schema, name);
}

static bool unknown_table(struct wanted *w, const struct qualified *t)
{
    const char *text = as_text(w, t->schema, t->name);
    struct nearest near = {0};

    for (int i = 0; i < w->nknown; i++)
        nearest_offer(&near, text, as_text(w, w->known[i].schema, w->known[i].name));
    if (near.best != NULL)
        api_error(w->reply, 404, "Connector %s has no table %s; did you mean %s?", w->connector,
                  text, near.best);
    else
        api_error(w->reply, 404, "Connector %s has no table %s%s", w->connector, text,
                  w->nknown > 0 ? "" : ": it knows of none yet");
    return false;
}

static bool add_table(struct wanted *w, const struct qualified *t)
{
    for (int i = 0; i < w->n; i++) {
        if (strcmp(w->tables[i].schema, t->schema) == 0 && strcmp(w->tables[i].name, t->name) == 0)
            return true; /* named twice */
    }
    for (int i = 0; i < w->nknown; i++) {
        if (strcmp(w->known[i].schema, t->schema) == 0 && strcmp(w->known[i].name, t->name) == 0) {
            w->tables[w->n++] = *t;
            return true;
        }
    }
    return unknown_table(w, t);
}

static void add_all(struct wanted *w)
{
    w->all = true;
    w->tables = arena_calloc(w->request->arena, (size_t)w->nknown + 1, sizeof(*w->tables));
    for (int i = 0; i < w->nknown; i++)
        w->tables[w->n++] = (struct qualified){w->known[i].schema, w->known[i].name};
}

static bool refuse(struct wanted *w, const char *why)
{
    api_error(w->reply, 400, "%s", why);
    return false;
}

/* What the body may say: {"tables": [one or more strings]}, or nothing. */
static bool check_body(struct wanted *w, const json_t *body, const json_t **list)
{
    const char *key;
    json_t *value;

    *list = json_object_get(body, "tables");
    if (body != NULL && !json_is_object(body))
        return refuse(w, "The body must be an object: {\"tables\": [\"SCHEMA.TABLE\"]}");
    json_object_foreach((json_t *)body, key, value)
    {
        if (strcmp(key, "tables") != 0)
            return refuse(w, "The body may hold \"tables\" and nothing else");
    }
    if (*list == NULL)
        return true;
    if (!json_is_array(*list))
        return refuse(w, "\"tables\" must be an array of strings SCHEMA.TABLE");
    if (json_array_size(*list) == 0)
        return refuse(w, "\"tables\" is empty: leave it out to load every table");
    if (json_array_size(*list) > REQUESTS_MAX)
        return refuse(w, "\"tables\" holds more than 1000 names: leave it out to load every table");
    return true;
}

static bool parse_tables(struct wanted *w, const json_t *list)
{
    struct qualified *names;
    int n = (int)json_array_size(list);
    const json_t *each;
    size_t i;

    names = arena_calloc(w->request->arena, (size_t)n + 1, sizeof(*names));
    json_array_foreach(list, i, each)
    {
        const char *text = json_string_value(each);

        if (text == NULL)
            return refuse(w, "\"tables\" must be an array of strings SCHEMA.TABLE");
        if (!qualified_parse(w->request->arena, text, &names[i])) {
            api_error(w->reply, 400, "\"tables\": '%s' is not SCHEMA.TABLE", text);
            return false;
        }
    }
    w->tables = names;
    w->n = n;
    return true;
}

/* Each name must be a table of the connector; a name that is there twice counts once. */
static bool know_tables(struct wanted *w)
{
    struct qualified *names = w->tables;
    int n = w->n;

    w->n = 0;
    w->tables = arena_calloc(w->request->arena, (size_t)n + 1, sizeof(*names));
    for (int i = 0; i < n; i++) {
        if (!add_table(w, &names[i]))
            return false;
    }
    return true;
}

static void accept(struct wanted *w)
{
    json_t *j, *tables;
    int64_t id = 0;

    if (!requests_add_tables(w->request->context->requests, w->connector, w->tables,
                             w->all ? 0 : w->n, &id)) {
        api_error(w->reply, 503, "Too many loads are waiting: ask again when some are done");
        return;
    }
    log_info("load asked for source=%s tables=%d id=%lld", w->connector, w->n, (long long)id);
    j = json_object();
    tables = json_array();
    for (int i = 0; i < w->n; i++)
        json_array_append_new(tables,
                              api_string(as_text(w, w->tables[i].schema, w->tables[i].name)));
    json_object_set_new(j, "id", json_integer(id));
    json_object_set_new(j, "connector", api_string(w->connector));
    json_object_set_new(j, "tables", tables);
    api_json(w->reply, 202, j);
}

void api_snapshots(const struct api_request *request, struct api_reply *reply)
{
    struct wanted w = {.request = request, .reply = reply};
    const struct board_connector *source = NULL, *sink = NULL;
    const json_t *list = NULL;
    json_t *body = NULL;
    bool ok;

    ok = find_connectors(&w, &source, &sink) && api_body_json(request, reply, &body) &&
         check_body(&w, body, &list) && (list == NULL || parse_tables(&w, list)) &&
         can_load(&w, source) && can_load(&w, sink);
    if (ok) {
        find_known(&w);
        if (list == NULL)
            add_all(&w);
        if (list == NULL || know_tables(&w))
            accept(&w);
    }
    json_decref(body);
}
