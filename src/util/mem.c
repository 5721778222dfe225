/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With -DPENSTOCK_FAILPOINTS (util/failpoint.h) every call that takes memory is counted:
 * PENSTOCK_FAIL_ALLOC=N makes the N-th fail, PENSTOCK_COUNT_ALLOC=1 prints the count at the end.
 */
#include "util/mem.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void out_of_memory(size_t size)
{
    char line[96];
    int n = snprintf(line, sizeof(line), "penstock: out of memory (%zu bytes wanted), stopping\n",
                     size);
    ssize_t ignored = write(STDERR_FILENO, line, (size_t)n);

    (void)ignored;
    _exit(1);
}

#ifdef PENSTOCK_FAILPOINTS
static pthread_once_t counting_once = PTHREAD_ONCE_INIT;
static atomic_ulong counted;
static unsigned long failing;

static void print_count(void)
{
    fprintf(stderr, "penstock: %lu allocations\n", atomic_load(&counted));
}

static void start_counting(void)
{
    const char *n = getenv("PENSTOCK_FAIL_ALLOC");

    failing = n != NULL ? strtoul(n, NULL, 10) : 0;
    if (getenv("PENSTOCK_COUNT_ALLOC") != NULL)
        atexit(print_count);
}

static bool fails(void)
{
    pthread_once(&counting_once, start_counting);
    return atomic_fetch_add(&counted, 1) + 1 == failing;
}
#else
#define fails() false
#endif

void *mem_alloc(size_t size)
{
    void *p = fails() ? NULL : malloc(size ? size : 1);

    if (p == NULL)
        out_of_memory(size);
    return p;
}

void *mem_calloc(size_t count, size_t size)
{
    void *p = fails() ? NULL : calloc(count ? count : 1, size ? size : 1);

    if (p == NULL)
        out_of_memory(count * size);
    return p;
}

void *mem_realloc(void *old, size_t size)
{
    void *p = fails() ? NULL : realloc(old, size ? size : 1);

    if (p == NULL)
        out_of_memory(size);
    return p;
}

char *mem_strndup(const char *s, size_t n)
{
    char *p = mem_alloc(n + 1);

    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *mem_strdup(const char *s)
{
    return s == NULL ? NULL : mem_strndup(s, strlen(s));
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = fails() ? -1 : vasprintf(&p, fmt, ap);
    va_end(ap);
    if (n < 0)
        out_of_memory(0);
    return p;
}

void mem_free(void *p)
{
    free(p);
}
