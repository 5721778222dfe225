/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGTERM or SIGINT: what is complete is applied, then the end, within DRAIN_MS; then, or on a
 * second signal, what still runs is broken off (it rolls back and is read again next time). A query
 * of a person that DuckDB cannot break off (one function call that takes hours) keeps the warehouse
 * open: LAST_MS after the signal the process ends without it. All that is acknowledged is committed
 * then; the file keeps its log, which the next start replays.
 */
#include "cli/serve.h"

#include "cli/cli.h"
#include "cli/progress.h"
#include "state/desk.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_MS 7000
#define LAST_MS 9000
#define STEP_MS 100

static volatile sig_atomic_t signals_seen;

static void on_signal(int number)
{
    (void)number;
    signals_seen++;
}

static void catch_signals(void)
{
    struct sigaction sa;

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = on_signal;
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
}

struct last {
    pthread_t thread;
    bool runs;
    atomic_bool over;
};

static void *end_at_last(void *arg)
{
    struct last *last = arg;
    int64_t until = clock_mono_ms() + LAST_MS;

    while (!atomic_load(&last->over)) {
        if (clock_mono_ms() >= until && desk_asking() > 0) {
            log_warn("a query does not end although it was told to: the service ends without it");
            fflush(NULL);
            _exit(CLI_OK);
        }
        clock_sleep_ms(20);
    }
    return NULL;
}

static void last_start(struct last *last)
{
    atomic_init(&last->over, false);
    last->runs = pthread_create(&last->thread, NULL, end_at_last, last) == 0;
}

static void last_stop(struct last *last)
{
    atomic_store(&last->over, true);
    if (last->runs)
        pthread_join(last->thread, NULL);
}

static void drain(struct service *s, const struct config_file *cfg)
{
    int64_t until = clock_mono_ms() + DRAIN_MS;

    if (cfg->from_urls && progress_possible())
        fputs("stopping: what is complete is applied\n", stderr);
    log_info("stopping: what is complete is applied");
    service_stop(s);
    while (!service_idle(s) && clock_mono_ms() < until && signals_seen < 2)
        clock_sleep_ms(20);
    if (!service_idle(s))
        service_cancel(s);
}

/* The warehouse's name for people: its URL's scheme and last part, never a secret. */
static char *warehouse_name(const struct config_file *cfg)
{
    for (int i = 0; i < cfg->nconnectors; i++) {
        const struct config_connector *c = &cfg->connectors[i];
        const char *url, *scheme, *last;

        if (c->warehouse == NULL)
            continue;
        url = config_string(c->config, "connection.url");
        scheme = url != NULL ? strchr(url, ':') : NULL;
        last = url != NULL ? strrchr(url, '/') : NULL;
        last = last != NULL ? last + 1 : scheme != NULL ? scheme + 1 : "";
        if (scheme == NULL || last[0] == '\0' || strpbrk(last, "?@=") != NULL)
            return mem_strdup(c->name);
        return mem_printf("%.*s:%s", (int)(scheme - url), url, last);
    }
    return mem_strdup("no warehouse");
}

/* For people at a terminal; for others the log says it. */
static void say(const struct service *s, int64_t began, bool live)
{
    char *line = live ? mem_printf("every table that can be is in the warehouse, after %lld s",
                                   (long long)(clock_mono_ms() - began) / 1000)
                      : mem_printf("listening on http://127.0.0.1:%d", service_port(s));

    progress_say(line);
    mem_free(line);
}

static void tend(struct service *s, const struct service_options *o)
{
    int64_t began = clock_mono_ms();
    bool live_said = false;

    say(s, began, false);
    while (signals_seen == 0 && !((o->once || o->fail_fast) && service_ended(s))) {
        clock_sleep_ms(STEP_MS);
        service_tend(s);
        progress_draw();
        if (!live_said && service_live(s)) {
            log_info("live: every table that can be is in the warehouse");
            say(s, began, true);
            live_said = true;
        }
    }
}

int serve(const struct config_file *cfg, const struct service_options *o, bool *started)
{
    struct service *s = NULL;
    struct last last = {0};
    struct error err;
    char *name;
    bool ok;

    catch_signals();
    if (!service_start(&s, cfg, o, &err))
        return cli_fail(&err, CLI_FAILED);
    log_info("listening url=http://127.0.0.1:%d", service_port(s));
    name = warehouse_name(cfg);
    progress_start(service_board(s), name, cfg->from_urls);
    tend(s, o);
    progress_stop();
    mem_free(name);
    if (signals_seen > 0) {
        last_start(&last);
        drain(s, cfg);
    }
    while (!service_idle(s)) /* cancelled: it is on its way */
        clock_sleep_ms(20);
    if (started != NULL)
        *started = service_started(s);
    ok = service_free(s, &err);
    last_stop(&last);
    if (ok || signals_seen > 0)
        return CLI_OK;
    return cli_fail(&err, CLI_FAILED);
}
