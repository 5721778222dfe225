/* SPDX-License-Identifier: Apache-2.0 */
#include "util/arena.h"

#include "util/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_BLOCK_PER_ITEM 1
#else
#define ARENA_BLOCK_PER_ITEM 0
#endif

#define ARENA_BLOCK_SIZE ((size_t)32 * 1024)
#define ARENA_ALIGN ((size_t)16)

struct arena_block {
    struct arena_block *next;
    size_t size; /* bytes of data */
    _Alignas(16) unsigned char data[];
};

struct arena {
    const char *name;
    struct arena_block *blocks; /* newest first; items are taken from it */
    size_t used;                /* bytes of the newest block in use */
    size_t bytes;
};

struct arena *arena_new(const char *name)
{
    struct arena *a = mem_calloc(1, sizeof(*a));

    a->name = name;
    return a;
}

static void free_blocks(struct arena_block *b)
{
    while (b != NULL) {
        struct arena_block *next = b->next;

        mem_free(b);
        b = next;
    }
}

void arena_free(struct arena *a)
{
    if (a == NULL)
        return;
    free_blocks(a->blocks);
    mem_free(a);
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = NULL;

    while (a->blocks != NULL) {
        struct arena_block *b = a->blocks;

        a->blocks = b->next;
        if (!ARENA_BLOCK_PER_ITEM && keep == NULL && b->size == ARENA_BLOCK_SIZE)
            keep = b;
        else
            mem_free(b);
    }
    a->used = 0;
    a->bytes = 0;
    if (keep != NULL) {
        keep->next = NULL;
        a->blocks = keep;
        a->bytes = keep->size;
    }
}

static struct arena_block *new_block(struct arena *a, size_t size)
{
    struct arena_block *b = mem_alloc(sizeof(*b) + size);

    b->size = size;
    a->bytes += size;
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t want = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    struct arena_block *b = a->blocks;
    void *p;

    if (ARENA_BLOCK_PER_ITEM) {
        b = new_block(a, size);
        b->next = a->blocks;
        a->blocks = b;
        return b->data;
    }
    if (b != NULL && b->size - a->used >= want) {
        p = b->data + a->used;
        a->used += want;
        return p;
    }
    if (want > ARENA_BLOCK_SIZE / 4 && b != NULL) {
        /* A large item gets a block of its own behind the newest, whose rest stays usable. */
        struct arena_block *big = new_block(a, want);

        big->next = b->next;
        b->next = big;
        return big->data;
    }
    b = new_block(a, want > ARENA_BLOCK_SIZE ? want : ARENA_BLOCK_SIZE);
    b->next = a->blocks;
    a->blocks = b;
    a->used = want;
    return b->data;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
    void *p = arena_alloc(a, count * size);

    memset(p, 0, count * size);
    return p;
}

void *arena_memdup(struct arena *a, const void *p, size_t size)
{
    void *q = arena_alloc(a, size);

    if (size > 0)
        memcpy(q, p, size);
    return q;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *q = arena_alloc(a, n + 1);

    memcpy(q, s, n);
    q[n] = '\0';
    return q;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s == NULL ? NULL : arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    int n;
    char *p;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    p = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

size_t arena_bytes(const struct arena *a)
{
    if (ARENA_BLOCK_PER_ITEM || a->blocks == NULL)
        return a->bytes;
    return a->bytes - (a->blocks->size - a->used);
}
