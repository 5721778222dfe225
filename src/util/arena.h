/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena is memory with one named lifetime (process, stream, batch, message): everything in it
 * is freed or reset by one call. Not thread-safe; an arena belongs to one thread at a time.
 * Under AddressSanitizer each item is a block of its own, so that overruns are seen.
 */
#ifndef PENSTOCK_UTIL_ARENA_H
#define PENSTOCK_UTIL_ARENA_H

#include "util/error.h"

#include <stddef.h>

struct arena;

/* name is borrowed and must outlive the arena (a literal). */
struct arena *arena_new(const char *name);
void arena_free(struct arena *a); /* accepts NULL */
/* Forgets every item; keeps at most one block of the normal size. */
void arena_reset(struct arena *a);
/* Never NULL, aligned for any type, not zeroed. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_calloc(struct arena *a, size_t count, size_t size);
void *arena_memdup(struct arena *a, const void *p, size_t size);
char *arena_strdup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Bytes in use: what was taken from the heap, less what is still free of the newest block. */
size_t arena_bytes(const struct arena *a);

#endif
