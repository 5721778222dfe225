/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd ends a connection that is silent, not one that sends a byte now and then: with as
 * many of those as there may be connections nobody else, /livez included, would get an answer. So
 * a request must be here whole REQUEST_MS after its connection was made (or had its last answer);
 * later the socket is shut down, and libmicrohttpd closes it as one whose client has gone.
 */
#include "api/connections.h"

#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"

#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

#define REQUEST_MS 30000
#define LOOK_MS 1000

struct entry {
    struct entry *next, **at; /* at: what points here */
    MHD_socket fd;
    int64_t until; /* monotonic ms; 0: it need not hurry */
};

struct connections {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool over;
    struct entry *entries;
};

/* The lock is held: an entry is taken out before its socket is closed. */
static void shut_slow(struct connections *c)
{
    int64_t now = clock_mono_ms();
    struct entry *e;
    int n = 0;

    for (e = c->entries; e != NULL; e = e->next) {
        if (e->until == 0 || now < e->until)
            continue;
        shutdown(e->fd, SHUT_RDWR);
        e->until = 0;
        n++;
    }
    if (n > 0)
        log_debug("http: connections shut because no whole request came within %d s n=%d",
                  REQUEST_MS / 1000, n);
}

static void *look_main(void *arg)
{
    struct connections *c = arg;
    struct timespec ts;
    int64_t until;

    pthread_mutex_lock(&c->lock);
    while (!c->over) {
        until = clock_mono_ms() + LOOK_MS;
        ts.tv_sec = until / 1000;
        ts.tv_nsec = until % 1000 * 1000000;
        pthread_cond_timedwait(&c->moved, &c->lock, &ts);
        shut_slow(c);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void destroy(struct connections *c)
{
    pthread_cond_destroy(&c->moved);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

struct connections *connections_new(void)
{
    struct connections *c = mem_calloc(1, sizeof(*c));
    pthread_condattr_t attr;

    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->moved, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&c->thread, NULL, look_main, c) == 0)
        return c;
    destroy(c);
    return NULL;
}

void connections_free(struct connections *c)
{
    struct entry *e;

    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    c->over = true;
    pthread_cond_signal(&c->moved);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    while ((e = c->entries) != NULL) {
        c->entries = e->next;
        mem_free(e);
    }
    destroy(c);
}

/* The lock is held. */
static void put_in(struct connections *c, struct entry *e)
{
    e->next = c->entries;
    e->at = &c->entries;
    if (e->next != NULL)
        e->next->at = &e->next;
    c->entries = e;
}

static void take_out(struct entry *e)
{
    *e->at = e->next;
    if (e->next != NULL)
        e->next->at = e->at;
}

void connections_notify(void *ctx, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connections *c = ctx;
    struct entry *e = *socket_context;

    pthread_mutex_lock(&c->lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED && info != NULL) {
        *socket_context = e = mem_calloc(1, sizeof(*e));
        e->fd = info->connect_fd;
        e->until = clock_mono_ms() + REQUEST_MS;
        put_in(c, e);
    } else if (code == MHD_CONNECTION_NOTIFY_CLOSED && e != NULL) {
        take_out(e);
        mem_free(e);
        *socket_context = NULL;
    }
    pthread_mutex_unlock(&c->lock);
}

void connections_request(struct connections *c, struct MHD_Connection *connection, bool whole)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct entry *e = info != NULL ? info->socket_context : NULL;

    if (e == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    e->until = whole ? 0 : clock_mono_ms() + REQUEST_MS;
    pthread_mutex_unlock(&c->lock);
}
