/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), as iSCSI's: RFC 3720, appendix B.4 has the vectors. */
#ifndef PENSTOCK_UTIL_CRC32C_H
#define PENSTOCK_UTIL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of n bytes that follow those whose sum is crc; 0 to begin with. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same without the processor's instruction: what crc32c uses where there is none. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

#endif
