/* SPDX-License-Identifier: Apache-2.0 */
#include "util/queue.h"

#include "util/mem.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

struct node {
    struct node *next;
    void *item;
    size_t bytes;
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_full;
    pthread_cond_t not_empty;
    struct node *head;
    struct node **tail;
    size_t bytes;
    size_t limit;
    bool closed;
};

struct queue *queue_new(size_t limit_bytes)
{
    struct queue *q = mem_calloc(1, sizeof(*q));
    pthread_condattr_t attr;

    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->not_full, &attr);
    pthread_cond_init(&q->not_empty, &attr);
    pthread_condattr_destroy(&attr);
    q->tail = &q->head;
    q->limit = limit_bytes;
    return q;
}

void queue_free(struct queue *q, void (*free_item)(void *))
{
    if (q == NULL)
        return;
    while (q->head != NULL) {
        struct node *n = q->head;

        q->head = n->next;
        if (free_item)
            free_item(n->item);
        mem_free(n);
    }
    pthread_cond_destroy(&q->not_full);
    pthread_cond_destroy(&q->not_empty);
    pthread_mutex_destroy(&q->lock);
    mem_free(q);
}

static struct timespec deadline(int timeout_ms)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += timeout_ms / 1000;
    ts.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_nsec -= 1000000000;
        ts.tv_sec++;
    }
    return ts;
}

/* False when the time is up. */
static bool wait_on(struct queue *q, pthread_cond_t *cond, int timeout_ms,
                    const struct timespec *until)
{
    if (timeout_ms == 0)
        return false;
    if (timeout_ms < 0) {
        pthread_cond_wait(cond, &q->lock);
        return true;
    }
    return pthread_cond_timedwait(cond, &q->lock, until) != ETIMEDOUT;
}

enum queue_result queue_push(struct queue *q, void *item, size_t bytes, int timeout_ms)
{
    struct timespec until = deadline(timeout_ms > 0 ? timeout_ms : 0);
    struct node *n;

    pthread_mutex_lock(&q->lock);
    while (!q->closed && q->bytes > 0 && q->bytes + bytes > q->limit) {
        if (!wait_on(q, &q->not_full, timeout_ms, &until)) {
            pthread_mutex_unlock(&q->lock);
            return QUEUE_TIMEOUT;
        }
    }
    if (q->closed) {
        pthread_mutex_unlock(&q->lock);
        return QUEUE_CLOSED;
    }
    n = mem_alloc(sizeof(*n));
    n->next = NULL;
    n->item = item;
    n->bytes = bytes;
    *q->tail = n;
    q->tail = &n->next;
    q->bytes += bytes;
    pthread_cond_signal(&q->not_empty);
    pthread_mutex_unlock(&q->lock);
    return QUEUE_OK;
}

enum queue_result queue_pop(struct queue *q, void **item, int timeout_ms)
{
    struct timespec until = deadline(timeout_ms > 0 ? timeout_ms : 0);
    struct node *n;

    pthread_mutex_lock(&q->lock);
    while (q->head == NULL) {
        if (q->closed) {
            pthread_mutex_unlock(&q->lock);
            return QUEUE_CLOSED;
        }
        if (!wait_on(q, &q->not_empty, timeout_ms, &until)) {
            pthread_mutex_unlock(&q->lock);
            return QUEUE_TIMEOUT;
        }
    }
    n = q->head;
    q->head = n->next;
    if (q->head == NULL)
        q->tail = &q->head;
    q->bytes -= n->bytes;
    *item = n->item;
    mem_free(n);
    pthread_cond_broadcast(&q->not_full);
    pthread_mutex_unlock(&q->lock);
    return QUEUE_OK;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->not_full);
    pthread_cond_broadcast(&q->not_empty);
    pthread_mutex_unlock(&q->lock);
}

size_t queue_bytes(struct queue *q)
{
    size_t n;

    pthread_mutex_lock(&q->lock);
    n = q->bytes;
    pthread_mutex_unlock(&q->lock);
    return n;
}
