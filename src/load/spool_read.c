/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a spool front to back through a window of 64 KB and one frame. Nothing in the file is
 * believed before its checksum agrees: a length must fit into what is left, and memory for a frame
 * larger than the window is taken only after its bytes have been summed up where they are. Whatever
 * does not add up is ERROR_DATA with its offset, and mended by loading the table again.
 */
#include "load/spool_internal.h"

#include "util/causes.h"
#include "util/crc32c.h"
#include "util/mem.h"
#include "util/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_BYTES ((size_t)1 << 20) /* a larger frame's memory is given back */

struct spool_reader {
    char *path;
    int fd;
    bool close_fd;
    int64_t at, to;
    bool in_tx; /* csn and commit_us are those of the rows that follow */
    int64_t csn, commit_us;
    uint8_t window[SPOOL_BUFFER];
    int64_t window_at; /* offset of the window's first byte */
    size_t window_len;
    uint8_t *frame;
    size_t cap;
};

static bool broken(const struct spool_reader *r, int64_t at, const char *what, struct error *err)
{
    error_cause(err, CAUSE_SPOOL_BROKEN, "spool %s is broken at offset %lld: %s", r->path,
                (long long)at, what);
    if (err != NULL)
        err->reload = true;
    return false;
}

/* At most n bytes from offset on; 0 bytes is an error, since a reader knows where the end is. */
static ssize_t read_some(struct spool_reader *r, int64_t offset, uint8_t *to, size_t n,
                         struct error *err)
{
    ssize_t got;
    char what[160];

    do
        got = pread(r->fd, to, n, offset);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return got;
    if (got == 0)
        snprintf(what, sizeof(what), "the file ends there, not at %lld", (long long)r->to);
    else
        snprintf(what, sizeof(what), "reading: %s", strerror(errno));
    broken(r, offset, what, err);
    return -1;
}

/* Exactly n bytes, which the caller knows to lie before r->to. */
static bool read_at(struct spool_reader *r, int64_t offset, void *to, size_t n, struct error *err)
{
    uint8_t *out = to;

    while (n > 0) {
        int64_t skip = offset - r->window_at;
        ssize_t got;

        if (skip >= 0 && (uint64_t)skip < r->window_len) {
            got = (ssize_t)(r->window_len - (size_t)skip);
            if ((size_t)got > n)
                got = (ssize_t)n;
            memcpy(out, r->window + skip, (size_t)got);
        } else if (n >= SPOOL_BUFFER) {
            got = read_some(r, offset, out, n, err);
            if (got < 0)
                return false;
        } else {
            int64_t left = r->to - offset;

            r->window_len = 0;
            got = read_some(r, offset, r->window,
                            left < (int64_t)SPOOL_BUFFER ? (size_t)left : SPOOL_BUFFER, err);
            if (got < 0)
                return false;
            r->window_at = offset;
            r->window_len = (size_t)got;
            continue;
        }
        offset += got;
        out += got;
        n -= (size_t)got;
    }
    return true;
}

/* Sums up n bytes without keeping them. */
static bool sum_at(struct spool_reader *r, int64_t offset, uint64_t n, uint32_t *sum,
                   struct error *err)
{
    uint8_t piece[4096];

    *sum = 0;
    while (n > 0) {
        size_t some = n < sizeof(piece) ? (size_t)n : sizeof(piece);

        if (!read_at(r, offset, piece, some, err))
            return false;
        *sum = crc32c(*sum, piece, some);
        offset += (int64_t)some;
        n -= some;
    }
    return true;
}

static uint32_t le32_at(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return le32toh(v);
}

/* Checks the header; *end: the offset of the first frame. */
static bool read_header(struct spool_reader *r, int64_t *end, struct error *err)
{
    uint8_t head[SPOOL_MAGIC_BYTES + 4], tail[4];
    int64_t fixed = (int64_t)(sizeof(head) + sizeof(tail));
    uint32_t len, sum;

    if (r->to < fixed)
        return broken(r, 0, "too short for its header", err);
    if (!read_at(r, 0, head, sizeof(head), err))
        return false;
    len = le32_at(head + SPOOL_MAGIC_BYTES);
    if (memcmp(head, SPOOL_MAGIC, SPOOL_MAGIC_BYTES) != 0)
        return broken(r, 0, "not a spool of this version", err);
    if (len > SPOOL_HEADER_MAX || (int64_t)len > r->to - fixed)
        return broken(r, SPOOL_MAGIC_BYTES, "the header's length cannot be", err);
    *end = fixed + len;
    if (!sum_at(r, (int64_t)sizeof(head), len, &sum, err) ||
        !read_at(r, *end - (int64_t)sizeof(tail), tail, sizeof(tail), err))
        return false;
    return sum == le32_at(tail) || broken(r, 0, "the header's checksum does not agree", err);
}

static bool check_range(struct spool_reader *r, int64_t from, int64_t first, struct error *err)
{
    struct stat st;

    if (from == 0)
        from = first;
    r->at = from;
    if (fstat(r->fd, &st) != 0 || st.st_size < r->to)
        return broken(r, (int64_t)st.st_size, "the file ends there", err);
    if (from < first || from > r->to)
        return broken(r, from, "no frame can begin there", err);
    return true;
}

bool spool_reader_on(struct spool_reader **out, int fd, bool close_fd, const char *path,
                     int64_t from, int64_t to, struct error *err)
{
    struct spool_reader *r = mem_calloc(1, sizeof(*r));
    int64_t first = 0;

    r->path = mem_strdup(path);
    r->fd = fd;
    r->close_fd = close_fd;
    r->to = to;
    if (!read_header(r, &first, err) || !check_range(r, from, first, err)) {
        spool_reader_close(r);
        return false;
    }
    *out = r;
    return true;
}

bool spool_reader_open(struct spool_reader **out, const char *path, int64_t from, int64_t to,
                       struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        return spool_reader_on(out, fd, true, path, from, to, err);
    error_set(err, errno == ENOENT ? ERROR_DATA : ERROR_RETRY, "spool %s: %s", path,
              strerror(errno));
    if (err != NULL)
        err->reload = err->kind == ERROR_DATA;
    return false;
}

void spool_reader_close(struct spool_reader *r)
{
    if (r == NULL)
        return;
    if (r->close_fd)
        close(r->fd);
    mem_free(r->frame);
    mem_free(r->path);
    mem_free(r);
}

void spool_reader_at(struct spool_reader *r, int64_t csn, int64_t commit_us)
{
    r->csn = csn;
    r->commit_us = commit_us;
    r->in_tx = true;
}

/* Room for a frame whose length is believed. */
static void reserve(struct spool_reader *r, size_t len)
{
    if (len <= r->cap && r->cap <= KEEP_BYTES)
        return;
    mem_free(r->frame);
    r->cap = len < SPOOL_BUFFER ? SPOOL_BUFFER : len;
    r->frame = mem_alloc(r->cap);
}

/* The frame at r->at into r->frame. */
static bool read_frame(struct spool_reader *r, size_t *len, struct error *err)
{
    static const char wrong[] = "a frame's checksum does not agree";
    uint8_t head[SPOOL_HEAD_BYTES];
    int64_t left = r->to - r->at - SPOOL_HEAD_BYTES, at = r->at + SPOOL_HEAD_BYTES;
    uint32_t n, sum;

    if (left < 0)
        return broken(r, r->at, "a frame is cut off", err);
    if (!read_at(r, r->at, head, sizeof(head), err))
        return false;
    n = le32_at(head);
    if (n == 0 || n > SPOOL_FRAME_MAX || (int64_t)n > left)
        return broken(r, r->at, "a frame's length cannot be", err);
    if (n > SPOOL_BUFFER) {
        if (!sum_at(r, at, n, &sum, err))
            return false;
        if (sum != le32_at(head + 4))
            return broken(r, r->at, wrong, err);
    }
    reserve(r, n);
    if (!read_at(r, at, r->frame, n, err))
        return false;
    *len = n;
    return crc32c(0, r->frame, n) == le32_at(head + 4) || broken(r, r->at, wrong, err);
}

static const uint8_t *take_bytes(struct reader *in, size_t n)
{
    const uint8_t *p = reader_bytes(in, n);

    return n > 0 ? p : NULL;
}

static bool take_row(struct spool_reader *r, struct reader *in, struct event *e)
{
    e->kind = EVENT_ROW;
    e->op = (char)reader_u8(in);
    e->flags = reader_u8(in);
    e->key_len = reader_le32(in);
    e->value_len = reader_le32(in);
    e->old_key_len = reader_le32(in);
    e->key = take_bytes(in, e->key_len);
    e->value = take_bytes(in, e->value_len);
    e->old_key = take_bytes(in, e->old_key_len);
    return r->in_tx && e->op != '\0' && strchr("cudrt", e->op) != NULL;
}

static bool take_transaction(struct spool_reader *r, struct reader *in)
{
    r->csn = (int64_t)reader_le64(in);
    r->commit_us = (int64_t)reader_le64(in);
    r->in_tx = true;
    return r->csn > 0;
}

bool spool_next(struct spool_reader *r, struct event *e, int64_t *csn, int64_t *commit_us,
                int64_t *at, struct error *err)
{
    memset(e, 0, sizeof(*e));
    while (r->at < r->to && e->kind == 0) {
        struct reader in;
        size_t len = 0;
        bool ok;

        if (!read_frame(r, &len, err))
            return false;
        reader_init(&in, r->frame, len);
        switch (reader_u8(&in)) {
        case 'T':
            ok = take_transaction(r, &in);
            break;
        case 'R':
            ok = take_row(r, &in, e);
            break;
        default:
            ok = false;
        }
        if (!ok || in.failed || reader_left(&in) > 0) {
            memset(e, 0, sizeof(*e));
            return broken(r, r->at, "a frame's contents do not add up", err);
        }
        r->at += SPOOL_HEAD_BYTES + (int64_t)len;
    }
    *csn = r->csn;
    *commit_us = r->commit_us;
    *at = r->at;
    return true;
}
