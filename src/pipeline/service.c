/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/service.h"

#include "api/http.h"
#include "config/feeds.h"
#include "pipeline/wishes.h"
#include "util/causes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_AGAIN_MS 2000

struct service {
    const struct config_file *cfg;
    int lock_fd;
    struct registry *registry;
    struct board *board;
    struct requests *requests; /* NULL: it ends after its load */
    struct desk *desk;
    struct verifications *verifications; /* NULL as requests */
    struct http_server *http;
    int port;
    struct pipeline **pipelines;
    int npipelines;
    const char **paused; /* of each pipeline: its connector that is, as last told; or NULL */
    int64_t keep_at;     /* monotonic ms: when who is paused is to be written down; 0: it is */
    bool keep_failed;
};

static bool make_dir(const char *path, struct error *err)
{
    char part[4096];
    size_t i, n = strlen(path);

    if (n >= sizeof(part))
        return error_set(err, ERROR_CONFIG, "data.dir is too long");
    for (i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST) {
            return error_cause(err, CAUSE_DATA_DIR_UNUSABLE, "data.dir %s cannot be made: %s", path,
                               strerror(errno));
        }
    }
    return true;
}

static bool lock_data_dir(struct service *s, const char *dir, struct error *err)
{
    char *path = mem_printf("%s/penstock.lock", dir);
    bool ok = false;

    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0) {
        error_cause(err, CAUSE_DATA_DIR_UNUSABLE, "data.dir %s cannot be written: %s", dir,
                    strerror(errno));
    } else if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        error_cause(err, CAUSE_DATA_DIR_IN_USE, "data.dir %s is in use by another penstock", dir);
    } else {
        ok = true;
    }
    mem_free(path);
    return ok;
}

/* Where tables' changes wait while they are loaded. */
static bool make_spool_dir(const char *dir, struct error *err)
{
    char *path = mem_printf("%s/spool", dir);
    bool ok = make_dir(path, err);

    mem_free(path);
    return ok;
}

static bool open_registry(struct service *s, const char *dir, struct error *err)
{
    const char *mode = config_string(s->cfg->service, "schema.compatibility");
    char *path = mem_printf("%s/registry.sqlite", dir);
    enum compat_mode m;
    bool ok = registry_open(&s->registry, path, err);

    mem_free(path);
    if (ok && mode != NULL && compat_mode_parse(mode, &m))
        ok = registry_set_mode(s->registry, NULL, m, err);
    return ok;
}

/* The one warehouse of a source, by the rule that the file was judged by. */
static bool find_sink(const struct config_file *cfg, const struct config_connector *source,
                      const struct config_connector **out, struct error *err)
{
    int i;

    *out = NULL;
    for (i = 0; i < cfg->nconnectors; i++) {
        const struct config_connector *c = &cfg->connectors[i];

        if (c->warehouse == NULL || !config_feeds(source->config, c->config))
            continue;
        if (*out != NULL) {
            return error_cause(err, CAUSE_SOURCE_SHARED,
                               "connectors %s and %s both take the topics of %s", (*out)->name,
                               c->name, source->name);
        }
        *out = c;
    }
    if (*out == NULL) {
        error_cause(err, CAUSE_SOURCE_ALONE, "no warehouse takes the topics of connector %s",
                    source->name);
        return error_fill(err, "prefix", config_string(source->config, "topic.prefix"));
    }
    return true;
}

/* A source and its warehouse go and stand together; the one that was paused shows it. */
static const char *paused_end(struct service *s, const char *source, const char *sink)
{
    return board_wants_paused(s->board, source) ? source
           : board_wants_paused(s->board, sink) ? sink
                                                : NULL;
}

static bool start_pipelines(struct service *s, const struct service_options *o, struct error *err)
{
    const struct config_file *cfg = s->cfg;
    int i;

    s->pipelines = mem_calloc((size_t)cfg->nconnectors + 1, sizeof(struct pipeline *));
    s->paused = mem_calloc((size_t)cfg->nconnectors + 1, sizeof(*s->paused));
    for (i = 0; i < cfg->nconnectors; i++) {
        const struct config_connector *c = &cfg->connectors[i], *sink;
        struct pipeline_options po = {.once = o->once, .fail_fast = o->fail_fast};

        if (c->source == NULL)
            continue;
        if (!find_sink(cfg, c, &sink, err))
            return false;
        po.source_name = c->name;
        po.sink_name = sink->name;
        po.source = c->source;
        po.warehouse = sink->warehouse;
        po.source_config = c->config;
        po.sink_config = sink->config;
        po.service_config = cfg->service;
        po.registry = s->registry;
        po.board = s->board;
        po.requests = s->requests;
        po.desk = s->desk;
        po.verifications = s->verifications;
        po.paused = s->paused[s->npipelines] = paused_end(s, po.source_name, po.sink_name);
        if (!pipeline_start(&s->pipelines[s->npipelines], &po, err))
            return false;
        s->npipelines++;
    }
    return true;
}

static void set_log_level(const struct config *service)
{
    const char *level = config_string(service, "log.level");

    if (level != NULL)
        log_set_level(strcmp(level, "debug") == 0   ? LOG_DEBUG
                      : strcmp(level, "warn") == 0  ? LOG_WARN
                      : strcmp(level, "error") == 0 ? LOG_ERROR
                                                    : LOG_INFO);
}

static void set_log_format(const struct config *service)
{
    const char *format = config_string(service, "log.format");

    log_set_json(format != NULL && strcmp(format, "json") == 0);
}

static bool read_wishes(struct service *s, const char *dir)
{
    wishes_read(dir, s->board);
    return true;
}

bool service_start(struct service **out, const struct config_file *cfg,
                   const struct service_options *o, struct error *err)
{
    struct service *s = mem_calloc(1, sizeof(*s));
    const char *dir = config_string(cfg->service, "data.dir");
    struct error ignored;
    int i;

    s->cfg = cfg;
    s->lock_fd = -1;
    set_log_level(cfg->service);
    set_log_format(cfg->service);
    s->board = board_new(config_string(cfg->service, "name"));
    s->requests = o->once ? NULL : requests_new();
    s->verifications = o->once ? NULL : verifications_new();
    s->desk = desk_new();
    for (i = 0; i < cfg->nconnectors; i++) {
        board_add_connector(s->board, cfg->connectors[i].name, cfg->connectors[i].source != NULL,
                            cfg->connectors[i].config);
        if (cfg->connectors[i].warehouse != NULL)
            desk_add(s->desk, cfg->connectors[i].name, cfg->connectors[i].warehouse);
    }
    if (make_dir(dir, err) && lock_data_dir(s, dir, err) && make_spool_dir(dir, err) &&
        open_registry(s, dir, err) && read_wishes(s, dir) &&
        http_start(&s->http, cfg->service, s->board, s->requests, s->desk, s->verifications,
                   o->next_free_port, &s->port, err) &&
        start_pipelines(s, o, err)) {
        *out = s;
        return true;
    }
    service_stop(s);
    if (!service_free(s, &ignored))
        log_debug("stopped: %s", ignored.message);
    return false;
}

int service_port(const struct service *s)
{
    return s->port;
}

/* With a full disk it is tried again: the pause stands meanwhile. */
static void keep_wishes(struct service *s)
{
    bool ok;

    if (s->keep_at == 0 || clock_mono_ms() < s->keep_at)
        return;
    ok = wishes_write(config_string(s->cfg->service, "data.dir"), s->board, !s->keep_failed);
    if (ok && s->keep_failed)
        log_info("who is paused is written down, and stays so over a restart");
    s->keep_failed = !ok;
    s->keep_at = ok ? 0 : clock_mono_ms() + KEEP_AGAIN_MS;
}

static void tend_pipeline(struct service *s, int i)
{
    const struct pipeline_options *o = pipeline_options(s->pipelines[i]);
    const char *paused = paused_end(s, o->source_name, o->sink_name);

    if (paused != s->paused[i]) {
        s->keep_at = clock_mono_ms();
        keep_wishes(s); /* first: who is shown as paused stays so over a crash */
        pipeline_pause(s->pipelines[i], paused);
        s->paused[i] = paused;
    }
    if (board_take_restart(s->board, o->source_name) | board_take_restart(s->board, o->sink_name))
        pipeline_restart(s->pipelines[i]);
}

void service_tend(struct service *s)
{
    int i;

    for (i = 0; i < s->npipelines; i++)
        tend_pipeline(s, i);
    keep_wishes(s);
}

struct board *service_board(struct service *s)
{
    return s->board;
}

bool service_idle(struct service *s)
{
    int i;

    for (i = 0; i < s->npipelines; i++) {
        if (!pipeline_ended(s->pipelines[i]))
            return false;
    }
    return true;
}

bool service_ended(struct service *s)
{
    return s->npipelines > 0 && service_idle(s);
}

bool service_started(struct service *s)
{
    int i;

    for (i = 0; i < s->npipelines; i++) {
        if (pipeline_started(s->pipelines[i]))
            return true;
    }
    return false;
}

bool service_live(struct service *s)
{
    int i;

    for (i = 0; i < s->npipelines; i++) {
        if (!pipeline_live(s->pipelines[i]))
            return false;
    }
    return s->npipelines > 0;
}

void service_stop(struct service *s)
{
    int i;

    for (i = 0; i < s->npipelines; i++)
        pipeline_stop(s->pipelines[i]);
}

void service_cancel(struct service *s)
{
    int i;

    for (i = 0; i < s->npipelines; i++)
        pipeline_cancel(s->pipelines[i]);
}

bool service_free(struct service *s, struct error *err)
{
    bool ok = true;
    int i;

    for (i = 0; i < s->npipelines; i++) {
        struct error e;

        if (!pipeline_free(s->pipelines[i], &e) && ok) {
            *err = e;
            ok = false;
        }
    }
    http_stop(s->http);
    desk_free(s->desk);
    board_free(s->board);
    requests_free(s->requests);
    verifications_free(s->verifications);
    registry_close(s->registry);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    mem_free(s->pipelines);
    mem_free(s->paused);
    mem_free(s);
    return ok;
}
