/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory from the heap that is never NULL: out of memory ends the process with one line on stderr
 * and exit code 1. That is safe because all state that matters is in the warehouse's checkpoint.
 */
#ifndef PENSTOCK_UTIL_MEM_H
#define PENSTOCK_UTIL_MEM_H

#include "util/error.h"

#include <stddef.h>

void *mem_alloc(size_t size);
void *mem_calloc(size_t count, size_t size);
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *s); /* NULL gives NULL */
char *mem_strndup(const char *s, size_t n);
char *mem_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);
void mem_free(void *p); /* accepts NULL */

#endif
