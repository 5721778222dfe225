/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing, linear probing, power-of-two size, at most 3/4 full; removal shifts back. */
#include "util/map.h"

#include "util/mem.h"

#include <stdbool.h>
#include <string.h>

struct slot {
    uint64_t hash;
    void *key;
    size_t len;
    void *value; /* NULL: free */
};

struct map {
    struct slot *slots;
    size_t size;
    size_t count;
};

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t p = (__uint128_t)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* Multiply-and-fold over 8-byte words, in the manner of wyhash. */
uint64_t map_hash(const void *key, size_t len)
{
    const unsigned char *p = key;
    uint64_t h = 0x9e3779b97f4a7c15ULL ^ len;
    uint64_t w;

    while (len >= 8) {
        memcpy(&w, p, 8);
        h = mix(h ^ w, 0xa0761d6478bd642fULL);
        p += 8;
        len -= 8;
    }
    w = 0;
    if (len > 0)
        memcpy(&w, p, len);
    h = mix(h ^ w, 0xe7037ed1a0b428dbULL);
    return h ^ (h >> 32);
}

struct map *map_new(void)
{
    struct map *m = mem_calloc(1, sizeof(*m));

    m->size = 16;
    m->slots = mem_calloc(m->size, sizeof(*m->slots));
    return m;
}

void map_free(struct map *m)
{
    size_t i;

    if (m == NULL)
        return;
    for (i = 0; i < m->size; i++)
        mem_free(m->slots[i].key);
    mem_free(m->slots);
    mem_free(m);
}

size_t map_count(const struct map *m)
{
    return m->count;
}

static struct slot *find(const struct map *m, uint64_t hash, const void *key, size_t len)
{
    size_t i = hash & (m->size - 1);

    while (m->slots[i].value != NULL) {
        struct slot *s = &m->slots[i];

        if (s->hash == hash && s->len == len && memcmp(s->key, key, len) == 0)
            return s;
        i = (i + 1) & (m->size - 1);
    }
    return &m->slots[i];
}

void *map_get(const struct map *m, const void *key, size_t len)
{
    return find(m, map_hash(key, len), key, len)->value;
}

static void grow(struct map *m)
{
    struct slot *old = m->slots;
    size_t n = m->size;
    size_t i;

    m->size *= 2;
    m->slots = mem_calloc(m->size, sizeof(*m->slots));
    for (i = 0; i < n; i++) {
        if (old[i].value != NULL) {
            size_t j = old[i].hash & (m->size - 1);

            while (m->slots[j].value != NULL)
                j = (j + 1) & (m->size - 1);
            m->slots[j] = old[i];
        }
    }
    mem_free(old);
}

void *map_put(struct map *m, const void *key, size_t len, void *value)
{
    uint64_t hash = map_hash(key, len);
    struct slot *s = find(m, hash, key, len);
    void *old = s->value;

    if (old != NULL) {
        s->value = value;
        return old;
    }
    if ((m->count + 1) * 4 > m->size * 3) {
        grow(m);
        s = find(m, hash, key, len);
    }
    s->hash = hash;
    s->key = mem_alloc(len);
    if (len > 0)
        memcpy(s->key, key, len);
    s->len = len;
    s->value = value;
    m->count++;
    return NULL;
}

void *map_remove(struct map *m, const void *key, size_t len)
{
    struct slot *s = find(m, map_hash(key, len), key, len);
    void *old = s->value;
    size_t hole = (size_t)(s - m->slots);
    size_t i = hole;

    if (old == NULL)
        return NULL;
    mem_free(s->key);
    m->count--;
    for (;;) {
        size_t home;

        i = (i + 1) & (m->size - 1);
        if (m->slots[i].value == NULL)
            break;
        home = m->slots[i].hash & (m->size - 1);
        /* Move back only what would otherwise be cut off from its home slot. */
        if (((i - home) & (m->size - 1)) >= ((i - hole) & (m->size - 1))) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    memset(&m->slots[hole], 0, sizeof(m->slots[hole]));
    return old;
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->size) {
        struct slot *s = &m->slots[(*at)++];

        if (s->value != NULL)
            return s->value;
    }
    return NULL;
}
