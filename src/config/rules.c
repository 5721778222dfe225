/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules between settings and between connectors, checked when a configuration is made, so that
 * `run`, `check` and `config` refuse the same files for the same reasons. Everything here can be
 * known without a server.
 */
#include "config/feeds.h"
#include "config/file_internal.h"
#include "config/urls.h"
#include "load/warehouse.h"
#include "source.h"
#include "util/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOPIC_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static bool is_empty(const struct config *c, const char *name)
{
    const char *value = config_string(c, name);

    return value == NULL || value[0] == '\0';
}

/* Splits HOST:PORT, [HOST]:PORT. False if it is neither. */
static bool split_listen(const char *listen, char *host, size_t size)
{
    const char *colon = strrchr(listen, ':');
    size_t len = colon != NULL ? (size_t)(colon - listen) : 0;
    char *end;
    long port;

    if (len == 0 || !isdigit((unsigned char)colon[1]))
        return false;
    port = strtol(colon + 1, &end, 10);
    if (*end != '\0' || port > 65535)
        return false;
    if (listen[0] == '[') {
        if (len < 3 || listen[len - 1] != ']')
            return false;
        listen++;
        len -= 2;
    } else if (memchr(listen, ':', len) != NULL || memchr(listen, '/', len) != NULL) {
        return false;
    }
    if (len >= size)
        return false;
    memcpy(host, listen, len);
    host[len] = '\0';
    return true;
}

bool rules_service(const struct config *service, struct error *err)
{
    const char *listen = config_string(service, "listen");
    char host[256];

    if (!split_listen(listen, host, sizeof(host))) {
        error_set(err, ERROR_CONFIG, "service: listen: \"%s\" is not HOST:PORT", listen);
        return error_hint(err, "write 127.0.0.1:8083, or [::1]:8083");
    }
    if (strncmp(host, "127.", 4) != 0 && strcmp(host, "::1") != 0 &&
        strcasecmp(host, "localhost") != 0 && is_empty(service, "api.token")) {
        error_set(err, ERROR_CONFIG,
                  "service: listen: %s can be reached from other machines, and there is no "
                  "api.token",
                  listen);
        return error_hint(err, "set service: api.token, or listen on 127.0.0.1");
    }
    if (is_empty(service, "data.dir"))
        return error_set(err, ERROR_CONFIG, "service: data.dir: the value is empty");
    return true;
}

bool rules_name(const char *name, struct error *err)
{
    size_t n = strlen(name);
    const char *what = NULL;

    if (n == 0)
        what = "is empty";
    else if (n > 128)
        what = "is longer than 128 bytes";
    else if (strchr(name, '/') != NULL)
        what = "has a '/', which no URL of it could hold";
    else if (isspace((unsigned char)name[0]) || isspace((unsigned char)name[n - 1]))
        what = "begins or ends with a blank";
    for (size_t i = 0; what == NULL && i < n; i++)
        if (iscntrl((unsigned char)name[i]))
            what = "has a control character";
    if (what == NULL)
        return true;
    error_set(err, ERROR_CONFIG, "the name of a connector %s", what);
    return error_hint(err, "give it a name of letters, digits, '.', '_' and '-'");
}

static bool source_rules(const struct config *c, struct error *err)
{
    const char *prefix = config_string(c, "topic.prefix");

    if (strspn(prefix, TOPIC_CHARACTERS) == strlen(prefix) && strlen(prefix) <= 128)
        return true;
    error_set(err, ERROR_CONFIG, "topic.prefix: \"%s\" cannot begin a topic's name", prefix);
    return error_hint(err, "use at most 128 letters, digits, '.', '_' and '-'");
}

static bool url_rules(const struct config_connector *c, struct error *err)
{
    const char *url = config_string(c->config, "connection.url"), *class_name;
    char scheme[64];

    if (urls_scheme(url, scheme, sizeof(scheme)) == 0) {
        error_set(err, ERROR_CONFIG, "connection.url is not a URL: SCHEME:...");
        return error_hint(err, "write duckdb:PATH or postgres://USER:PASSWORD@HOST:PORT/DB");
    }
    class_name = urls_class(scheme, false);
    if (class_name != NULL && strcmp(class_name, c->warehouse->name) != 0) {
        error_set(err, ERROR_CONFIG,
                  "connection.url: %s: is a URL of class %s, and "
                  "connector.class is %s",
                  scheme, class_name, c->warehouse->name);
        return error_hint(err, "set connector.class to %s", class_name);
    }
    if (class_name == NULL) {
        error_set(err, ERROR_CONFIG, "connection.url: %s: is not a warehouse's URL", scheme);
        return error_hint(err, "write duckdb:PATH or postgres://USER:PASSWORD@HOST:PORT/DB");
    }
    if (strcmp(class_name, "duckdb") == 0 &&
        strspn(url + strlen("duckdb:"), ":/") == strlen(url + strlen("duckdb:"))) {
        error_set(err, ERROR_CONFIG, "connection.url: duckdb: names no file");
        return error_hint(err, "write duckdb:PATH, for instance duckdb:warehouse.duckdb");
    }
    if (strncmp(url, "duckdb::", 8) == 0) {
        error_set(err, ERROR_CONFIG,
                  "connection.url: a warehouse in memory would forget its "
                  "checkpoint");
        return error_hint(err, "name a file: duckdb:warehouse.duckdb");
    }
    if (strcmp(class_name, "postgres-warehouse") == 0) {
        struct url_postgres u;

        if (!url_parse_postgres(url, &u, err))
            return error_prefix(err, "connection.url");
        url_postgres_free(&u);
    } else if (!is_empty(c->config, "connection.user") ||
               !is_empty(c->config, "connection.password")) {
        error_set(err, ERROR_CONFIG,
                  "connection.user and connection.password have no meaning for "
                  "%s",
                  scheme);
        return error_hint(err, "remove them");
    }
    return true;
}

static bool sink_rules(const struct config_connector *c, struct error *err)
{
    bool topics = !is_empty(c->config, "topics"), regex = !is_empty(c->config, "topics.regex");

    if (topics == regex) {
        error_set(err, ERROR_CONFIG,
                  topics ? "topics and topics.regex exclude each other"
                         : "one of topics and topics.regex is missing");
        return error_hint(err, "for all tables of a source write topics.regex: PREFIX\\..*");
    }
    return url_rules(c, err);
}

bool rules_connector(const struct config_connector *c, struct error *err)
{
    const char *name = config_string(c->config, "name");

    if (name != NULL && strcmp(name, c->name) != 0) {
        error_set(err, ERROR_CONFIG, "name: \"%s\" is not the connector's name, %s", name, c->name);
        return error_hint(err, "leave name out");
    }
    return c->source != NULL ? source_rules(c->config, err) : sink_rules(c, err);
}

/* One item of the comma-separated list at *p, without blanks; NULL at the end. */
static const char *next_topic(const char **p, size_t *len)
{
    const char *start;

    *p += strspn(*p, ", \t\n");
    if (**p == '\0')
        return NULL;
    start = *p;
    *p += strcspn(*p, ",");
    *len = (size_t)(*p - start);
    while (*len > 0 && isspace((unsigned char)start[*len - 1]))
        (*len)--;
    return start;
}

bool config_takes_topic(const struct config *sink, const char *topic, bool *yes, struct error *err)
{
    const char *list = config_string(sink, "topics"), *one;
    size_t len;

    if (list == NULL || list[0] == '\0')
        return config_selects(sink, "topics.regex", NULL, topic, yes, err);
    *yes = false;
    while (!*yes && (one = next_topic(&list, &len)) != NULL)
        *yes = strlen(topic) == len && memcmp(topic, one, len) == 0;
    return true;
}

bool config_feeds(const struct config *source, const struct config *sink)
{
    const char *list, *one;
    bool yes = false;
    char *prefix;
    size_t len;

    if (source == NULL || sink == NULL)
        return false;
    prefix = mem_printf("%s.", config_string(source, "topic.prefix"));
    list = config_string(sink, "topics");
    if (list != NULL && list[0] != '\0') {
        while (!yes && (one = next_topic(&list, &len)) != NULL)
            yes = len > strlen(prefix) && memcmp(one, prefix, strlen(prefix)) == 0;
    } else {
        for (size_t i = 0; i < sink->n; i++)
            if (strcmp(sink->entries[i].setting->name, "topics.regex") == 0)
                yes = patterns_match_prefix(sink->entries[i].patterns, prefix) != PATTERN_NO;
    }
    mem_free(prefix);
    return yes;
}

#define ONE_EACH                                                                                   \
    "in process one source connector feeds one warehouse, so that a slow one holds nobody else's " \
    "log: "

static bool one_sink(const struct config_file *f, const struct config_connector *source,
                     struct error *err)
{
    const char *prefix = config_string(source->config, "topic.prefix");
    const struct config_connector *first = NULL;

    for (int i = 0; i < f->nconnectors; i++) {
        const struct config_connector *sink = &f->connectors[i];

        if (sink->warehouse == NULL || !config_feeds(source->config, sink->config))
            continue;
        if (first != NULL) {
            error_set(err, ERROR_CONFIG, "connectors %s and %s both take topics of connector %s",
                      first->name, sink->name, source->name);
            return error_hint(err, ONE_EACH "give the second warehouse a source connector with a "
                                            "topic.prefix and slot of its own");
        }
        first = sink;
    }
    if (first != NULL)
        return true;
    error_set(err, ERROR_CONFIG, "no warehouse takes the topics of connector %s", source->name);
    return error_hint(err, "add a connector with a warehouse's class and topics.regex: %s\\..*",
                      prefix);
}

static bool one_source(const struct config_file *f, const struct config_connector *sink,
                       struct error *err)
{
    const struct config_connector *first = NULL;

    for (int i = 0; i < f->nconnectors; i++) {
        const struct config_connector *source = &f->connectors[i];

        if (source->source == NULL || !config_feeds(source->config, sink->config))
            continue;
        if (first != NULL) {
            error_set(err, ERROR_CONFIG, "connector %s takes topics of both connectors %s and %s",
                      sink->name, first->name, source->name);
            return error_hint(err, ONE_EACH "give each source a sink connector of its own");
        }
        first = source;
    }
    if (first != NULL)
        return true;
    error_set(err, ERROR_CONFIG, "connector %s takes topics of no source connector", sink->name);
    return error_hint(err, "a source's topics are PREFIX.SCHEMA.TABLE by its topic.prefix: write "
                           "topics.regex: PREFIX\\..*");
}

bool rules_together(const struct config_file *f, struct error *err)
{
    for (int i = 0; i < f->nconnectors; i++) {
        const struct config_connector *a = &f->connectors[i];

        for (int j = 0; a->source != NULL && j < i; j++) {
            const struct config_connector *b = &f->connectors[j];

            if (b->source != NULL && strcmp(config_string(a->config, "topic.prefix"),
                                            config_string(b->config, "topic.prefix")) == 0) {
                error_set(err, ERROR_CONFIG, "connectors %s and %s have the same topic.prefix",
                          b->name, a->name);
                return error_hint(err, "give each source a topic.prefix of its own");
            }
        }
    }
    for (int i = 0; i < f->nconnectors; i++) {
        const struct config_connector *c = &f->connectors[i];

        if (!(c->source != NULL ? one_sink(f, c, err) : one_source(f, c, err)))
            return false;
    }
    return true;
}
