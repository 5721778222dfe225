/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /v1/verifications: tables are compared with the source's while the stream goes on. POST says
 * which ({"tables": [names or regular expressions], "connector", "repair", "limit", "timeout_ms"})
 * and answers 202 with the verification; GET shows how it goes and what came of it; DELETE cancels
 * it. One runs at a time for each source connector; others wait their turn.
 */
#include "api/api.h"
#include "config/feeds.h"
#include "config/nearest.h"
#include "config/patterns.h"
#include "state/board.h"
#include "state/verifications.h"
#include "util/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TABLES = 1000, DEFAULT_LIMIT = 1000, MAX_LIMIT = 10000 };
enum { DEFAULT_TIMEOUT_MS = 600000, MAX_TIMEOUT_MS = 86400000 };

struct asked {
    const struct api_request *request;
    struct api_reply *reply;
    json_t *body;
    struct verification what;
    struct board_table *known;
    int nknown;
    struct qualified *tables;
};

static bool refuse(struct asked *a, const char *why)
{
    api_error(a->reply, 400, "%s", why);
    return false;
}

/* --- the body --- */

static bool known_keys(struct asked *a)
{
    static const char *const keys[] = {"tables", "connector", "repair", "limit", "timeout_ms"};
    const char *key;
    json_t *value;
    size_t i;

    if (a->body != NULL && !json_is_object(a->body))
        return refuse(a, "The body must be an object: {\"tables\": [\"SCHEMA.TABLE\"]}");
    json_object_foreach(a->body, key, value)
    {
        for (i = 0; i < sizeof(keys) / sizeof(keys[0]) && strcmp(keys[i], key) != 0; i++)
            ;
        if (i == sizeof(keys) / sizeof(keys[0]))
            return refuse(a, "The body may hold \"tables\", \"connector\", \"repair\", \"limit\" "
                             "and \"timeout_ms\", and nothing else");
    }
    return true;
}

static bool read_int(struct asked *a, const char *key, json_int_t max, json_int_t *out)
{
    const json_t *value = json_object_get(a->body, key);

    if (value == NULL || json_is_null(value))
        return true;
    *out = json_integer_value(value);
    if (json_is_integer(value) && *out >= 1 && *out <= max)
        return true;
    api_error(a->reply, 400, "\"%s\" must be a whole number from 1 to %lld", key, (long long)max);
    return false;
}

static bool read_body(struct asked *a)
{
    const json_t *repair = json_object_get(a->body, "repair");
    const json_t *connector = json_object_get(a->body, "connector");
    json_int_t limit = DEFAULT_LIMIT, timeout_ms = DEFAULT_TIMEOUT_MS;

    if (!known_keys(a))
        return false;
    if (repair != NULL && !json_is_boolean(repair) && !json_is_null(repair))
        return refuse(a, "\"repair\" must be true or false");
    if (connector != NULL && !json_is_string(connector) && !json_is_null(connector))
        return refuse(a, "\"connector\" must be a string");
    if (!read_int(a, "limit", MAX_LIMIT, &limit) ||
        !read_int(a, "timeout_ms", MAX_TIMEOUT_MS, &timeout_ms))
        return false;
    a->what.repair = json_is_true(repair);
    a->what.limit = (int)limit;
    a->what.timeout_ms = timeout_ms;
    a->what.connector = json_string_value(connector);
    return true;
}

/* --- the connector --- */

static bool only_source(struct asked *a, const struct board_connector *c, int n)
{
    const char *names = NULL;
    int i, sources = 0;

    for (i = 0; i < n; i++) {
        if (!c[i].source)
            continue;
        sources++;
        a->what.connector = c[i].name;
        names = arena_printf(a->request->arena, "%s%s%s", names ? names : "", names ? ", " : "",
                             c[i].name);
    }
    if (sources == 1)
        return true;
    if (sources == 0)
        return refuse(a, "This service has no source connector");
    api_error(a->reply, 400,
              "This service has several source connectors: name one in \"connector\": %s", names);
    return false;
}

static bool can_run(struct asked *a, const struct board_connector *c)
{
    const char *mode;

    if (c == NULL)
        return true;
    mode = c->source ? config_string(c->config, "snapshot.mode") : NULL;
    if (a->request->context->requests == NULL ||
        (mode != NULL && strcmp(mode, "initial_only") == 0)) {
        api_error(
            a->reply, 409,
            "Connector %s ends after its first load: there is no stream to stop at a point of",
            c->name);
        return false;
    }
    if (c->state == CONNECTOR_STOPPED || c->state == CONNECTOR_PAUSED) {
        api_error(a->reply, 409, "Connector %s does not run: resume it first", c->name);
        return false;
    }
    if (c->state == CONNECTOR_FAILED || c->task == CONNECTOR_FAILED) {
        api_error(a->reply, 409,
                  "Connector %s has failed, and nothing is read until that is mended: %s", c->name,
                  c->trace ? c->trace : "see its status");
        return false;
    }
    return true;
}

static bool find_connector(struct asked *a)
{
    struct board_connector *c;
    struct feed_end *ends;
    struct error err = {0};
    int n, at, sink;

    board_connectors(a->request->context->board, a->request->arena, &c, &n);
    if (a->what.connector == NULL && !only_source(a, c, n))
        return false;
    ends = arena_calloc(a->request->arena, (size_t)n + 1, sizeof(*ends));
    for (int i = 0; i < n; i++)
        ends[i] = (struct feed_end){c[i].name, c[i].source, c[i].config};
    at = feeds_source(ends, n, a->what.connector, &err);
    if (at < 0) {
        api_error(a->reply, 404, "%s%s%s", err.message, err.hint[0] ? "; " : "", err.hint);
        return false;
    }
    a->what.connector = c[at].name;
    sink = feeds_sink(ends, n, at);
    return can_run(a, &c[at]) && can_run(a, sink >= 0 ? &c[sink] : NULL);
}

/* --- tables --- */

static const char *as_text(struct asked *a, const struct board_table *t)
{
    return qualified_text(a->request->arena, t->schema, t->name);
}

static void find_known(struct asked *a)
{
    struct board_table *t;
    int n;

    board_tables(a->request->context->board, a->request->arena, &t, &n);
    a->known = t;
    for (int i = 0; i < n; i++) {
        if (strcmp(t[i].connector, a->what.connector) == 0)
            a->known[a->nknown++] = t[i];
    }
    a->tables = arena_calloc(a->request->arena, (size_t)a->nknown + 1, sizeof(*a->tables));
}

static void add(struct asked *a, const struct board_table *t)
{
    for (int i = 0; i < a->what.n; i++) {
        if (strcmp(a->tables[i].schema, t->schema) == 0 && strcmp(a->tables[i].name, t->name) == 0)
            return;
    }
    a->tables[a->what.n++] = (struct qualified){t->schema, t->name};
}

static bool add_name(struct asked *a, const char *text)
{
    struct qualified q;

    if (!qualified_parse(a->request->arena, text, &q))
        return false;
    for (int i = 0; i < a->nknown; i++) {
        if (strcmp(a->known[i].schema, q.schema) != 0 || strcmp(a->known[i].name, q.name) != 0)
            continue;
        add(a, &a->known[i]);
        return true;
    }
    return false;
}

static bool unknown(struct asked *a, const char *text)
{
    struct nearest near = {0};

    for (int i = 0; i < a->nknown; i++)
        nearest_offer(&near, text, as_text(a, &a->known[i]));
    if (near.best != NULL)
        api_error(a->reply, 404, "Connector %s has no table %s; did you mean %s?",
                  a->what.connector, text, near.best);
    else
        api_error(a->reply, 404, "Connector %s has no table %s%s", a->what.connector, text,
                  a->nknown > 0 ? "" : ": it knows of none yet");
    return false;
}

/* A table's name; what is none is a regular expression for the whole of SCHEMA.TABLE. */
static bool add_matching(struct asked *a, const char *text)
{
    struct patterns *p = NULL;
    struct error err = {0};
    int before = a->what.n;
    bool ok = true;

    if (add_name(a, text))
        return true;
    if (!patterns_compile(&p, text, true, &err)) {
        api_error(a->reply, 400, "\"tables\": %s: %s", text, err.message);
        return false;
    }
    for (int i = 0; ok && p != NULL && i < a->nknown; i++) {
        const char *full =
            arena_printf(a->request->arena, "%s.%s", a->known[i].schema, a->known[i].name);
        enum pattern_match m = patterns_match(p, full);

        if (m == PATTERN_YES)
            add(a, &a->known[i]);
        ok = m != PATTERN_GAVE_UP;
    }
    patterns_free(p);
    if (!ok)
        return refuse(a, "\"tables\": a regular expression takes too many steps");
    return a->what.n > before || unknown(a, text);
}

static bool find_tables(struct asked *a)
{
    const json_t *list = json_object_get(a->body, "tables"), *each;
    size_t i;

    find_known(a);
    if (list != NULL && !json_is_null(list)) {
        if (!json_is_array(list) || json_array_size(list) == 0 ||
            json_array_size(list) > MAX_TABLES)
            return refuse(a, "\"tables\" must be an array of 1 to 1000 strings: names "
                             "SCHEMA.TABLE, or regular expressions");
        json_array_foreach(list, i, each)
        {
            const char *text = json_string_value(each);

            if (text == NULL)
                return refuse(a, "\"tables\" must be an array of strings");
            if (!add_matching(a, text))
                return false;
        }
    } else {
        for (int t = 0; t < a->nknown; t++)
            add(a, &a->known[t]);
    }
    a->what.tables = a->tables;
    return true;
}

/* --- requests --- */

static void accept(struct asked *a)
{
    struct verifications *v = a->request->context->verifications;
    int64_t id = 0;

    if (!verifications_add(v, &a->what, &id)) {
        api_error(a->reply, 429,
                  "%d verifications wait or run already: ask again when one has "
                  "ended",
                  VERIFICATIONS_KEPT);
        return;
    }
    log_info("verification asked for source=%s tables=%d repair=%s id=%lld", a->what.connector,
             a->what.n, a->what.repair ? "yes" : "no", (long long)id);
    a->reply->location = arena_printf(a->request->arena, "/v1/verifications/%lld", (long long)id);
    api_json(a->reply, 202, verifications_one(v, id));
}

void api_verify(const struct api_request *request, struct api_reply *reply)
{
    struct asked a = {.request = request, .reply = reply};

    if (request->context->verifications == NULL)
        api_error(reply, 409, "This service verifies nothing");
    else if (api_body_json(request, reply, &a.body) && read_body(&a) && find_connector(&a) &&
             find_tables(&a))
        accept(&a);
    json_decref(a.body);
}

void api_verifications(const struct api_request *request, struct api_reply *reply)
{
    struct verifications *v = request->context->verifications;

    api_json(reply, 200, v != NULL ? verifications_all(v) : json_array());
}

static bool parse_id(const char *text, int64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0';
}

static void show(const struct api_request *request, struct api_reply *reply, unsigned status)
{
    struct verifications *v = request->context->verifications;
    json_t *j = NULL;
    int64_t id;

    if (v != NULL && parse_id(request->params[0], &id))
        j = verifications_one(v, id);
    if (j == NULL)
        api_error(reply, 404, "There is no verification %s (any more)", request->params[0]);
    else
        api_json(reply, status, j);
}

void api_verification(const struct api_request *request, struct api_reply *reply)
{
    show(request, reply, 200);
}

void api_cancel_verification(const struct api_request *request, struct api_reply *reply)
{
    struct verifications *v = request->context->verifications;
    int64_t id;

    if (v != NULL && parse_id(request->params[0], &id) && verifications_cancel(v, id))
        log_info("verification cancelled id=%lld", (long long)id);
    show(request, reply, 202);
}
