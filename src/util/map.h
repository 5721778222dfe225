/* SPDX-License-Identifier: Apache-2.0 */
/* A hash map from bytes to a pointer. Keys are copied, values are borrowed. One thread. */
#ifndef PENSTOCK_UTIL_MAP_H
#define PENSTOCK_UTIL_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map;

struct map *map_new(void);
void map_free(struct map *m); /* accepts NULL; values are not freed */
size_t map_count(const struct map *m);
void *map_get(const struct map *m, const void *key, size_t len); /* NULL if missing */
/* Stores value (not NULL); returns the one it replaced, or NULL. */
void *map_put(struct map *m, const void *key, size_t len, void *value);
void *map_remove(struct map *m, const void *key, size_t len); /* returns the value removed */
/* Start with *at = 0; returns NULL after the last. The map must not change meanwhile. */
void *map_next(const struct map *m, size_t *at);

static inline void *map_get_u32(const struct map *m, uint32_t key)
{
    return map_get(m, &key, sizeof(key));
}

static inline void *map_put_u32(struct map *m, uint32_t key, void *value)
{
    return map_put(m, &key, sizeof(key), value);
}

/* 64-bit hash of bytes, the one that map uses: for tables of one's own. */
uint64_t map_hash(const void *key, size_t len);

#endif
