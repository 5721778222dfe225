/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration from two URLs, as `sync` and `check` take them: the source is named by its
 * database, the sink is "warehouse". Slot, publication and data.dir carry a hash of the target, so
 * that one database can be synced into several targets side by side and each is found again.
 */
#include "config/config_internal.h"
#include "config/file_internal.h"
#include "config/urls.h"
#include "connectors.h"
#include "util/arena.h"
#include "util/buf.h"
#include "util/mem.h"

#include <ctype.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PAIRS 32

struct pairs {
    struct raw_entry entries[MAX_PAIRS];
    size_t n;
};

static void put(struct pairs *p, const char *key, const char *value)
{
    if (value != NULL && p->n < MAX_PAIRS)
        p->entries[p->n++] = (struct raw_entry){.key = key, .value = value};
}

/* The database's name with what a topic, a file and a connector's name can hold. */
static char *safe_name(struct arena *a, const char *database)
{
    char *name = arena_strdup(a, database);

    for (char *p = name; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-' && (*p != '.' || p == name))
            *p = '_';
    return name;
}

/* penstock_DB_8HEX within the 63 bytes of an identifier. */
static char *slot_name(struct arena *a, const char *database, const char *hash)
{
    char *name = arena_printf(a, "penstock_%.45s_%s", database, hash);

    for (char *p = name; *p != '\0'; p++) {
        *p = (char)tolower((unsigned char)*p);
        if (!isalnum((unsigned char)*p))
            *p = '_';
    }
    return name;
}

/* What libpq takes when the URL does not say. */
static const char *fallback(struct arena *a, const char *variable, const char *otherwise)
{
    const char *value = getenv(variable);

    return value != NULL && value[0] != '\0' ? arena_strdup(a, value) : otherwise;
}

static const char *system_user(struct arena *a)
{
    struct passwd pw, *found = NULL;
    char text[4096];

    if (getpwuid_r(geteuid(), &pw, text, sizeof(text), &found) != 0 || found == NULL)
        return NULL;
    return arena_strdup(a, pw.pw_name);
}

static const char *socket_directory(void)
{
    return access("/var/run/postgresql", X_OK) == 0 ? "/var/run/postgresql" : "/tmp";
}

/* The other parameters become settings where the source has one of that name. */
static bool put_parameters(struct arena *a, struct pairs *p, const struct url_postgres *u,
                           const struct source_ops *ops, struct error *err)
{
    const struct setting *settings[4];

    file_settings(ops, NULL, settings);
    for (size_t i = 0; i < u->nparameters; i++) {
        const char *name = u->parameters[i].name;
        const char *key = arena_printf(a, "database.%s", name);

        if (config_find(settings, key) == NULL) {
            error_set(err, ERROR_CONFIG, "--from: the parameter %s has no meaning here", name);
            return error_hint(err, "remove it from the URL");
        }
        put(p, key, arena_strdup(a, u->parameters[i].value));
    }
    return true;
}

static bool put_source(struct arena *a, struct pairs *p, const char *url,
                       const struct source_ops *ops, const char **database, struct error *err)
{
    struct url_postgres u;
    const char *mode = getenv("PGSSLMODE");
    bool ok;

    *database = NULL;
    if (!url_parse_postgres(url, &u, err))
        return error_prefix(err, "--from");
    *database = arena_strdup(a, u.database);
    put(p, "database.hostname",
        u.host ? arena_strdup(a, u.host) : fallback(a, "PGHOST", socket_directory()));
    put(p, "database.port", u.port ? arena_strdup(a, u.port) : fallback(a, "PGPORT", NULL));
    put(p, "database.user",
        u.user ? arena_strdup(a, u.user) : fallback(a, "PGUSER", system_user(a)));
    put(p, "database.password",
        u.password ? arena_strdup(a, u.password) : fallback(a, "PGPASSWORD", NULL));
    put(p, "database.dbname", *database);
    ok = put_parameters(a, p, &u, ops, err);
    for (size_t i = 0; mode != NULL && i < u.nparameters; i++)
        if (strcmp(u.parameters[i].name, "sslmode") == 0)
            mode = NULL;
    if (mode != NULL && mode[0] != '\0')
        put(p, "database.sslmode", arena_strdup(a, mode));
    url_postgres_free(&u);
    if (ok && *database == NULL) {
        error_set(err, ERROR_CONFIG, "--from: the URL names no database");
        return error_hint(err, "write it as postgres://USER@HOST:PORT/DATABASE");
    }
    return ok;
}

/* The source's class for the URL's scheme, or why there is none. */
static bool find_source(const char *url, const struct source_ops **source, struct error *err)
{
    const char *class_name;
    char from[64];

    urls_scheme(url, from, sizeof(from));
    class_name = urls_class(from, true);
    *source = class_name != NULL ? connectors_source(class_name) : NULL;
    if (*source != NULL)
        return true;
    error_set(err, ERROR_CONFIG, "--from: %s%s", from[0] != '\0' ? from : "the text",
              class_name != NULL ? ": sources are not part of this version"
              : from[0] != '\0'  ? ": is not a source's URL"
                                 : " is not a URL");
    return error_hint(err, "write --from postgres://USER:PASSWORD@HOST:PORT/DATABASE");
}

static bool find_warehouse(const char *url, const struct warehouse_ops **warehouse, char hash[9],
                           struct error *err)
{
    const char *class_name;
    char to[64];

    urls_scheme(url, to, sizeof(to));
    class_name = urls_class(to, false);
    *warehouse = class_name != NULL ? connectors_warehouse(class_name) : NULL;
    if (*warehouse != NULL)
        return urls_target_hash(url, hash, err) || error_prefix(err, "--to");
    error_set(err, ERROR_CONFIG, "--to: %s%s", to[0] != '\0' ? to : "the text",
              to[0] != '\0' ? ": is not a warehouse's URL" : " is not a URL");
    return error_hint(err, "write --to duckdb:PATH or "
                           "--to postgres://USER:PASSWORD@HOST:PORT/DATABASE");
}

/* Who mistook both is told of both. */
static bool join_errors(const struct error *from, const struct error *to, struct error *err)
{
    *err = from->kind != ERROR_NONE ? *from : *to;
    if (from->kind == ERROR_NONE || to->kind == ERROR_NONE)
        return from->kind == ERROR_NONE && to->kind == ERROR_NONE;
    error_set(err, ERROR_CONFIG, "%.480s; and %.480s", from->message, to->message);
    return error_hint(err, "%.400s%s%.400s", from->hint,
                      from->hint[0] != '\0' && to->hint[0] != '\0' ? "; " : "", to->hint);
}

static char *prefix_regex(struct arena *a, const char *prefix)
{
    struct buf b = {0};
    char *out;

    for (; *prefix != '\0'; prefix++) {
        if (*prefix == '.' || *prefix == '-')
            buf_u8(&b, '\\');
        buf_u8(&b, (uint8_t)*prefix);
    }
    buf_puts(&b, "\\..*");
    out = arena_strdup(a, buf_cstr(&b));
    buf_free(&b);
    return out;
}

static bool make(struct arena *a, const struct config_urls *u, struct config_file *f,
                 struct error *err)
{
    struct pairs service = {.n = 0}, from = {.n = 0}, to = {.n = 0};
    const struct source_ops *source;
    const struct warehouse_ops *warehouse;
    const char *database = NULL, *name, *slot;
    struct error from_err = {0}, to_err = {0};
    char hash[9];

    if (find_source(u->from, &source, &from_err)) {
        put(&from, "connector.class", source->name);
        if (put_source(a, &from, u->from, source, &database, &from_err))
            error_clear(&from_err);
    }
    if (find_warehouse(u->to, &warehouse, hash, &to_err))
        error_clear(&to_err);
    if (!join_errors(&from_err, &to_err, err))
        return false;
    name = safe_name(a, database);
    slot = slot_name(a, database, hash);
    put(&service, "name", name);
    put(&service, "data.dir", arena_printf(a, "./penstock-data/%s-%s", name, hash));
    put(&service, "listen", u->listen);
    put(&service, "log.level", u->log_level);
    put(&from, "topic.prefix", name);
    put(&from, "slot.name", slot);
    put(&from, "publication.name", slot);
    put(&from, "table.include.list", u->tables);
    put(&to, "connector.class", warehouse->name);
    put(&to, "topics.regex", prefix_regex(a, name));
    put(&to, "connection.url", u->to);
    if (strcmp(name, "warehouse") == 0) /* the sink's name */
        name = "warehouse-source";
    f->connectors = mem_calloc(2, sizeof(*f->connectors));
    f->from_urls = true;
    f->once = u->once;
    return file_service(f, &(struct file_map){NULL, service.entries, service.n, 0, NULL, true},
                        err) &&
           file_connector(f, &(struct file_map){name, from.entries, from.n, 0, NULL, true}, err) &&
           file_connector(f, &(struct file_map){"warehouse", to.entries, to.n, 0, NULL, true},
                          err) &&
           rules_together(f, err);
}

bool config_file_from_urls(const struct config_urls *u, struct config_file **out, struct error *err)
{
    struct arena *a = arena_new("configuration from URLs");
    struct config_file *f = mem_calloc(1, sizeof(*f));
    bool ok = make(a, u, f, err);

    arena_free(a);
    if (!ok) {
        config_file_free(f);
        f = NULL;
    }
    *out = f;
    return ok;
}
