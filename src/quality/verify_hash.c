/* SPDX-License-Identifier: Apache-2.0 */
/* MurmurHash3_x64_128 with a 64-bit seed, mixed before it is used; blocks are read in the host's
 * order, as no hash leaves the process. */
#include "quality/verify_hash.h"

#include <string.h>

#define C1 UINT64_C(0x87c37b91114253d5)
#define C2 UINT64_C(0x4cf5ad432745937f)

static inline uint64_t rotl(uint64_t v, int n)
{
    return v << n | v >> (64 - n);
}

static inline uint64_t finish(uint64_t k)
{
    k ^= k >> 33;
    k *= UINT64_C(0xff51afd7ed558ccd);
    k ^= k >> 33;
    k *= UINT64_C(0xc4ceb9fe1a85ec53);
    return k ^ k >> 33;
}

static inline uint64_t mix1(uint64_t k)
{
    return rotl(k * C1, 31) * C2;
}

static inline uint64_t mix2(uint64_t k)
{
    return rotl(k * C2, 33) * C1;
}

struct verify_hash verify_hash(const void *data, size_t len, uint64_t seed)
{
    const uint8_t *p = data, *end = p + len / 16 * 16;
    uint64_t h1 = finish(seed ^ C1), h2 = finish(seed ^ C2), k[2];

    for (; p < end; p += 16) {
        memcpy(k, p, 16);
        h1 = (rotl(h1 ^ mix1(k[0]), 27) + h2) * 5 + 0x52dce729;
        h2 = (rotl(h2 ^ mix2(k[1]), 31) + h1) * 5 + 0x38495ab5;
    }
    if (len % 16 > 0) {
        memset(k, 0, sizeof(k));
        memcpy(k, p, len % 16);
        h2 ^= mix2(k[1]);
        h1 ^= mix1(k[0]);
    }
    h1 ^= len;
    h2 ^= len;
    h1 += h2;
    h2 += h1;
    h1 = finish(h1);
    h2 = finish(h2);
    h1 += h2;
    return (struct verify_hash){{h1, h2 + h1}};
}
