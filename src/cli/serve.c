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

static void *end_at_last(void *arg)
{
    const atomic_bool *over = arg;
    int64_t until = clock_mono_ms() + LAST_MS;

    while (!atomic_load(over)) {
        if (clock_mono_ms() >= until && desk_asking() > 0) {
            log_warn("a query does not end although it was told to: the service ends without it");
            fflush(NULL);
            _exit(CLI_OK);
        }
        clock_sleep_ms(20);
    }
    return NULL;
}

static void drain(struct service *s)
{
    int64_t until = clock_mono_ms() + DRAIN_MS;

    log_info("stopping: what is complete is applied");
    service_stop(s);
    while (!service_idle(s) && clock_mono_ms() < until && signals_seen < 2)
        clock_sleep_ms(20);
    if (!service_idle(s))
        service_cancel(s);
}

int serve(const struct config_file *cfg, const struct service_options *o)
{
    struct service *s = NULL;
    struct error err;
    atomic_bool over = false;
    bool live_said = false;
    bool watched = false;
    pthread_t watch;
    bool ok;

    catch_signals();
    if (!service_start(&s, cfg, o, &err))
        return cli_fail(&err, CLI_FAILED);
    log_info("listening url=http://127.0.0.1:%d", service_port(s));
    progress_start(service_board(s));
    while (signals_seen == 0 && !((o->once || o->fail_fast) && service_ended(s))) {
        clock_sleep_ms(STEP_MS);
        service_tend(s);
        progress_draw();
        if (!live_said && service_live(s)) {
            log_info("live: every table that can be is in the warehouse");
            live_said = true;
        }
    }
    progress_stop();
    if (signals_seen > 0) {
        watched = pthread_create(&watch, NULL, end_at_last, &over) == 0;
        drain(s);
    }
    ok = service_free(s, &err);
    atomic_store(&over, true);
    if (watched)
        pthread_join(watch, NULL);
    if (ok || signals_seen > 0)
        return CLI_OK;
    return cli_fail(&err, CLI_FAILED);
}
