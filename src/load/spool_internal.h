/* SPDX-License-Identifier: Apache-2.0 */
/* What spool.c (writes), spool_open.c (begins) and spool_read.c (reads) share. */
#ifndef PENSTOCK_LOAD_SPOOL_INTERNAL_H
#define PENSTOCK_LOAD_SPOOL_INTERNAL_H

#include "load/spool.h"

#define SPOOL_MAGIC "PSPOOL1\n"
#define SPOOL_MAGIC_BYTES 8
#define SPOOL_HEADER_MAX (16 << 20)         /* bytes of JSON */
#define SPOOL_HEAD_BYTES 8                  /* a frame's length and checksum */
#define SPOOL_FRAME_MAX ((uint64_t)1 << 31) /* bytes that follow them */
#define SPOOL_TX_BYTES (1 + 8 + 8)
#define SPOOL_ROW_BYTES (1 + 2 + 12) /* before the key */
#define SPOOL_BUFFER ((size_t)64 * 1024)

struct spool {
    char *path;
    int fd;
    int64_t written; /* bytes of the file */
    int64_t synced;  /* of these, on the disk */
    uint8_t *buffer;
    size_t used;
    bool in_tx; /* csn and commit_us are those of the last 'T' */
    int64_t csn, commit_us;
    bool lost; /* a sync failed */
};

/* ERROR_RETRY with errno's text and, where there is one, what helps. Returns false. */
bool spool_failed(const char *path, const char *what, int number, struct error *err);
/* All n bytes at offset, or false with errno set and some of them written. */
bool spool_write(int fd, int64_t offset, const void *p, size_t n);
uint8_t *spool_put_u32(uint8_t *at, uint64_t v); /* returns what is behind it */
/* As spool_reader_open, of an open file; close_fd: the reader closes it, also when it fails. */
bool spool_reader_on(struct spool_reader **out, int fd, bool close_fd, const char *path,
                     int64_t from, int64_t to, struct error *err);

#endif
