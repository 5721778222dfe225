/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resync with the service stopped. That it is stopped is not only taken from its silence:
 * data.dir's lock is held meanwhile, and DuckDB's own lock on the file. Nothing is made that was
 * not there.
 */
#include "cli/resync.h"
#include "config/feeds.h"
#include "config/file.h"
#include "connectors.h"
#include "state/books_request.h"
#include "util/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct stopped {
    const struct resync *r;
    struct arena *arena;
    struct config_file *cfg;
    const struct config_connector *source, *sink;
    int lock_fd;
};

static bool find_connectors(struct stopped *s, struct error *err)
{
    const struct config_file *cfg = s->cfg;
    struct feed_end *ends = arena_calloc(s->arena, (size_t)cfg->nconnectors + 1, sizeof(*ends));
    int at;

    for (int i = 0; i < cfg->nconnectors; i++)
        ends[i] = (struct feed_end){cfg->connectors[i].name, cfg->connectors[i].source != NULL,
                                    cfg->connectors[i].config};
    at = feeds_source(ends, cfg->nconnectors, s->r->connector, err);
    if (at < 0)
        return error_prefix(err, "%s", s->r->config);
    s->source = &cfg->connectors[at];
    at = feeds_sink(ends, cfg->nconnectors, at);
    if (at < 0)
        return error_set(err, ERROR_CONFIG, "%s: no warehouse takes the topics of connector %s",
                         s->r->config, s->source->name);
    s->sink = &cfg->connectors[at];
    return true;
}

static bool hint_url(const struct stopped *s, struct error *err)
{
    const char *listen = config_string(s->cfg->service, "listen");

    return error_hint(err,
                      "if that is the service, it does not answer at %s: give its address with "
                      "--url (%s says listen: %s)",
                      s->r->args->url, s->r->config, listen != NULL ? listen : "nothing of");
}

/* No service has the data.dir, and none can take it until the end. */
static bool lock_data_dir(struct stopped *s, struct error *err)
{
    const char *dir = config_string(s->cfg->service, "data.dir");
    char *path = mem_printf("%s/penstock.lock", dir);
    bool ok = true;

    s->lock_fd = open(path, O_RDWR | O_CLOEXEC);
    if (s->lock_fd < 0 && errno != ENOENT) {
        error_set(err, ERROR_CONFIG, "data.dir %s cannot be used: %s", dir, strerror(errno));
        ok = error_hint(err, "run this as the user who runs the service");
    } else if (s->lock_fd >= 0 && flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        error_set(err, ERROR_CONFLICT, "data.dir %s is in use by another penstock", dir);
        ok = hint_url(s, err);
    }
    mem_free(path);
    return ok;
}

/* Opening would make the file. */
static bool file_exists(const struct stopped *s, struct error *err)
{
    const char *url = config_string(s->sink->config, "connection.url");

    if (url == NULL || strncmp(url, "duckdb:", 7) != 0 || access(url + 7, F_OK) == 0)
        return true;
    error_set(err, ERROR_CONFIG, "the warehouse %s cannot be opened: %s", url + 7, strerror(errno));
    return error_hint(err,
                      "a path is relative to the working directory: run this in the service's; "
                      "what was never loaded is loaded by the first start");
}

static bool open_warehouse(const struct stopped *s, struct warehouse **w, struct error *err)
{
    *w = NULL;
    if (!file_exists(s, err))
        return false;
    if (s->sink->warehouse->open(w, s->sink->config, err))
        return true;
    return err->kind == ERROR_CONFLICT ? hint_url(s, err) : false;
}

/* books_open would make them. */
static bool books_exist(struct books *b, struct arena *a, struct error *err)
{
    struct rowset r;

    if (!b->ops->query(b->session, a,
                       "SELECT 1 FROM information_schema.tables WHERE table_schema = 'penstock' "
                       "AND table_name = 'meta'",
                       &r, err))
        return false;
    if (r.nrows > 0)
        return true;
    error_set(err, ERROR_CONFIG, "nothing was ever loaded into warehouse %s", b->connector);
    return error_hint(err, "start the service: it loads every table");
}

static bool mark(const struct stopped *s, struct warehouse *w, struct qualified **tables, int *n,
                 struct error *err)
{
    const struct qualified *t = s->r->table;
    struct books b = {
        .ops = s->sink->warehouse, .connector = s->sink->name, .source = s->source->name};
    /* Not a session's name of the service: the warehouse must not take one for the other's. */
    const char *name = arena_printf(s->arena, "penstock:resync:%s", s->source->name);
    bool ok;

    if (!b.ops->connect(w, name, &b.session, err))
        return false;
    ok = books_exist(&b, s->arena, err) && books_open(&b, err) &&
         books_request_load(&b, t != NULL ? t->schema : NULL, t != NULL ? t->name : NULL, s->arena,
                            tables, n, err);
    b.ops->disconnect(b.session);
    return ok;
}

static json_t *answer(const struct stopped *s, const struct qualified *tables, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(
            list, json_string(qualified_text(s->arena, tables[i].schema, tables[i].name)));
    return json_pack("{s:s, s:n, s:s, s:o}", "service", "stopped", "id", "connector",
                     s->source->name, "tables", list);
}

static bool run(struct stopped *s, json_t **out, struct error *err)
{
    struct qualified *tables = NULL;
    struct warehouse *w;
    int n = 0;
    bool ok;

    if (!find_connectors(s, err) || !lock_data_dir(s, err) || !open_warehouse(s, &w, err))
        return false;
    ok = mark(s, w, &tables, &n, err);
    s->sink->warehouse->close(w);
    if (ok)
        *out = answer(s, tables, n);
    return ok;
}

int resync_stopped(const struct resync *r, json_t **out, struct error *err)
{
    struct stopped s = {.r = r, .lock_fd = -1};
    bool ok;

    if (!config_file_load(r->config, &s.cfg, err))
        return CLI_USAGE;
    s.arena = arena_new("resync");
    ok = run(&s, out, err);
    if (s.lock_fd >= 0)
        close(s.lock_fd);
    arena_free(s.arena);
    config_file_free(s.cfg);
    return ok ? CLI_OK : CLI_FAILED;
}
