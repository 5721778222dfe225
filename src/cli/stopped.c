/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/stopped.h"

#include "config/feeds.h"
#include "util/causes.h"
#include "util/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int only_source(const struct config_file *cfg, struct error *err)
{
    int i, at = -1;

    for (i = 0; i < cfg->nconnectors; i++) {
        if (cfg->connectors[i].source != NULL && at >= 0) {
            error_set(err, ERROR_CONFIG, "which connector? There is more than one");
            return -1;
        }
        if (cfg->connectors[i].source != NULL)
            at = i;
    }
    if (at < 0)
        error_set(err, ERROR_CONFIG, "there is no source connector");
    return at;
}

static bool find_connectors(struct stopped *s, const char *name, struct error *err)
{
    const struct config_file *cfg = s->cfg;
    struct arena *a = arena_new("connectors");
    struct feed_end *ends = arena_calloc(a, (size_t)cfg->nconnectors + 1, sizeof(*ends));
    int at, sink = -1;

    for (int i = 0; i < cfg->nconnectors; i++)
        ends[i] = (struct feed_end){cfg->connectors[i].name, cfg->connectors[i].source != NULL,
                                    cfg->connectors[i].config};
    at = name != NULL ? feeds_source(ends, cfg->nconnectors, name, err) : only_source(cfg, err);
    if (at < 0) {
        error_prefix(err, "%s", s->config);
    } else {
        s->source = &cfg->connectors[at];
        sink = feeds_sink(ends, cfg->nconnectors, at);
        if (sink < 0)
            error_set(err, ERROR_CONFIG, "%s: no warehouse takes the topics of connector %s",
                      s->config, s->source->name);
        else
            s->sink = &cfg->connectors[sink];
    }
    arena_free(a);
    return sink >= 0;
}

static bool hint_url(const struct stopped *s, struct error *err)
{
    const char *listen = config_string(s->cfg->service, "listen");

    return error_hint(err,
                      "if that is the service, it does not answer at %s: give its address with "
                      "--url (%s says listen: %s)",
                      s->url, s->config, listen != NULL ? listen : "nothing of");
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
        error_cause(err, CAUSE_DATA_DIR_IN_USE, "data.dir %s is in use by another penstock", dir);
        err->kind = ERROR_CONFLICT;
        ok = hint_url(s, err);
    }
    mem_free(path);
    return ok;
}

bool stopped_open(struct stopped *s, struct config_file *cfg, const char *name, struct error *err)
{
    s->cfg = cfg;
    s->lock_fd = -1;
    return find_connectors(s, name, err) && lock_data_dir(s, err);
}

void stopped_close(struct stopped *s)
{
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    config_file_free(s->cfg);
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

/* books_open would make them. */
static bool books_exist(struct books *b, bool *exist, struct error *err)
{
    struct arena *a = arena_new("books");
    struct rowset r = {0};
    bool ok = b->ops->query(b->session, a,
                            "SELECT 1 FROM information_schema.tables WHERE table_schema = "
                            "'penstock' AND table_name = 'meta'",
                            &r, err);

    *exist = ok && r.nrows > 0;
    arena_free(a);
    return ok;
}

bool stopped_warehouse(const struct stopped *s, const char *name, struct warehouse **w,
                       struct books *b, struct error *err)
{
    char *session = mem_printf("penstock:%s:%s", name, s->source->name);
    bool exist = false, ok;

    *w = NULL;
    *b = (struct books){
        .ops = s->sink->warehouse, .connector = s->sink->name, .source = s->source->name};
    ok = file_exists(s, err);
    if (ok && !s->sink->warehouse->open(w, s->sink->config, err))
        ok = err->kind == ERROR_CONFLICT ? hint_url(s, err) : false;
    /* Not a session's name of the service: the warehouse must not take one for the other's. */
    ok = ok && b->ops->connect(*w, session, &b->session, err) && books_exist(b, &exist, err) &&
         (!exist || books_open(b, err));
    mem_free(session);
    if (ok && exist)
        return true;
    if (b->session != NULL)
        b->ops->disconnect(b->session);
    b->session = NULL;
    if (!ok) {
        stopped_warehouse_close(s, *w, b);
        *w = NULL;
    }
    return ok;
}

void stopped_warehouse_close(const struct stopped *s, struct warehouse *w, struct books *b)
{
    if (b->session != NULL)
        b->ops->disconnect(b->session);
    if (w != NULL)
        s->sink->warehouse->close(w);
    b->session = NULL;
}
