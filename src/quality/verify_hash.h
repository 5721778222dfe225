/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 128-bit hashes of rows and keys: MurmurHash3_x64_128 (Austin Appleby, public domain), seeded
 * anew for each run, so that no row is unlucky twice. Not for secrets.
 */
#ifndef PENSTOCK_QUALITY_VERIFY_HASH_H
#define PENSTOCK_QUALITY_VERIFY_HASH_H

#include <stddef.h>
#include <stdint.h>

struct verify_hash {
    uint64_t h[2];
};

struct verify_hash verify_hash(const void *data, size_t len, uint64_t seed);

#endif
