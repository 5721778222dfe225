/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of blocks between threads, bounded in bytes. Pushing hands over ownership; a full queue
 * is back-pressure; closing wakes everyone. A block larger than the limit is let in when the queue
 * is empty.
 */
#ifndef PENSTOCK_UTIL_QUEUE_H
#define PENSTOCK_UTIL_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

struct queue;

enum queue_result { QUEUE_OK, QUEUE_TIMEOUT, QUEUE_CLOSED };

struct queue *queue_new(size_t limit_bytes);
/* Frees what is still in it with free_item (may be NULL). No thread may be inside. */
void queue_free(struct queue *q, void (*free_item)(void *));
/* Takes item on QUEUE_OK only. Waits at most timeout_ms (0: not at all, -1: for ever). */
enum queue_result queue_push(struct queue *q, void *item, size_t bytes, int timeout_ms);
/* What was pushed before the close is still handed out; then QUEUE_CLOSED. */
enum queue_result queue_pop(struct queue *q, void **item, int timeout_ms);
void queue_close(struct queue *q);
/* Bytes waiting now. */
size_t queue_bytes(struct queue *q);

#endif
