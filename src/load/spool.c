/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a spool. What was appended lies in a buffer of 64 KB or, larger than that, goes to the
 * file at once; it is written at an offset of our own, so that a write that failed in the middle
 * (a full disk) leaves the file as it was and the buffer for the next try. After a failed sync
 * nobody knows what is on the disk: such a spool refuses everything until it is opened again, which
 * reads and checks it.
 */
#include "load/spool_internal.h"

#include "util/causes.h"
#include "util/crc32c.h"
#include "util/failpoint.h"
#include "util/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A row's frame, with the one of its transaction before it where that is due. */
struct frame {
    uint8_t head[2 * SPOOL_HEAD_BYTES + SPOOL_TX_BYTES + SPOOL_ROW_BYTES];
    struct {
        const void *p;
        size_t n;
    } pieces[4]; /* head, key, value, old_key */
    size_t total;
};

bool spool_failed(const char *path, const char *what, int number, struct error *err)
{
    error_set(err, ERROR_RETRY, "spool %s: %s: %s", path, what, strerror(number));
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return error_because(err, CAUSE_SPOOL_FULL);
    case EFBIG:
        return error_hint(err, "raise the limit of file sizes (ulimit -f), or lower "
                               "spool.limit.bytes, so that the table's load starts again before");
    case EACCES:
    case EPERM:
    case EROFS:
        return error_because(err, CAUSE_DATA_DIR_UNUSABLE);
    }
    return false;
}

bool spool_write(int fd, int64_t offset, const void *p, size_t n)
{
    const uint8_t *from = p;

    while (n > 0) {
        ssize_t put = pwrite(fd, from, n, offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = EIO;
        if (put <= 0)
            return false;
        from += put;
        offset += put;
        n -= (size_t)put;
    }
    return true;
}

/* The half that was written goes; should that fail too, the next write overwrites it. */
static bool write_failed(struct spool *s, struct error *err)
{
    int number = errno;
    int ignored = ftruncate(s->fd, s->written);

    (void)ignored;
    return spool_failed(s->path, "writing", number, err);
}

static bool write_buffer(struct spool *s, struct error *err)
{
    if (!spool_write(s->fd, s->written, s->buffer, s->used))
        return write_failed(s, err);
    s->written += (int64_t)s->used;
    s->used = 0;
    return true;
}

/* A large frame, with nothing in the buffer before it. */
static bool write_frame(struct spool *s, const struct frame *f, struct error *err)
{
    int64_t at = s->written;

    for (int i = 0; i < 4; i++) {
        if (!spool_write(s->fd, at, f->pieces[i].p, f->pieces[i].n))
            return write_failed(s, err);
        at += (int64_t)f->pieces[i].n;
    }
    s->written = at;
    return true;
}

uint8_t *spool_put_u32(uint8_t *at, uint64_t v)
{
    uint32_t n = htole32((uint32_t)v);

    memcpy(at, &n, 4);
    return at + 4;
}

static uint8_t *put_i64(uint8_t *at, int64_t v)
{
    uint64_t n = htole64((uint64_t)v);

    memcpy(at, &n, 8);
    return at + 8;
}

static uint8_t *put_transaction(uint8_t *at, int64_t csn, int64_t commit_us)
{
    uint8_t *body = at + SPOOL_HEAD_BYTES, *end;

    body[0] = 'T';
    end = put_i64(put_i64(body + 1, csn), commit_us);
    spool_put_u32(spool_put_u32(at, SPOOL_TX_BYTES), crc32c(0, body, SPOOL_TX_BYTES));
    return end;
}

static uint8_t *put_row(uint8_t *at, const struct event *e, struct frame *f)
{
    uint8_t *body = at + SPOOL_HEAD_BYTES, *end;
    uint32_t sum;

    body[0] = 'R';
    body[1] = (uint8_t)e->op;
    body[2] = e->flags;
    end = spool_put_u32(spool_put_u32(spool_put_u32(body + 3, e->key_len), e->value_len),
                        e->old_key_len);
    sum = crc32c(0, body, SPOOL_ROW_BYTES);
    for (int i = 1; i < 4; i++)
        sum = crc32c(sum, f->pieces[i].p, f->pieces[i].n);
    spool_put_u32(spool_put_u32(at, SPOOL_ROW_BYTES + e->key_len + e->value_len + e->old_key_len),
                  sum);
    return end;
}

static bool make_frame(const struct spool *s, const struct event *e, int64_t csn, int64_t commit_us,
                       struct frame *f, struct error *err)
{
    uint64_t max = SPOOL_FRAME_MAX - SPOOL_ROW_BYTES;
    uint8_t *at = f->head;

    /* One by one, so that no sum can run over. */
    if (e->key_len > max || e->value_len > max - e->key_len ||
        e->old_key_len > max - e->key_len - e->value_len)
        return error_set(err, ERROR_DATA, "a change of more than 2 GB cannot be kept in a spool");
    f->pieces[1].p = e->key;
    f->pieces[1].n = e->key_len;
    f->pieces[2].p = e->value;
    f->pieces[2].n = e->value_len;
    f->pieces[3].p = e->old_key;
    f->pieces[3].n = e->old_key_len;
    if (!s->in_tx || s->csn != csn || s->commit_us != commit_us)
        at = put_transaction(at, csn, commit_us);
    at = put_row(at, e, f);
    f->pieces[0].p = f->head;
    f->pieces[0].n = (size_t)(at - f->head);
    f->total = f->pieces[0].n + e->key_len + e->value_len + e->old_key_len;
    return true;
}

static bool is_usable(const struct spool *s, struct error *err)
{
    return !s->lost || error_set(err, ERROR_RETRY, "spool %s: an earlier sync failed", s->path);
}

bool spool_append(struct spool *s, const struct event *e, int64_t csn, int64_t commit_us,
                  struct error *err)
{
    struct frame f = {0};

    assert(csn > 0 && e->kind == EVENT_ROW);
    if (!is_usable(s, err) || !make_frame(s, e, csn, commit_us, &f, err))
        return false;
    if (f.total > SPOOL_BUFFER - s->used && !write_buffer(s, err))
        return false;
    if (f.total > SPOOL_BUFFER) {
        if (!write_frame(s, &f, err))
            return false;
    } else {
        for (int i = 0; i < 4; i++) {
            if (f.pieces[i].n > 0)
                memcpy(s->buffer + s->used, f.pieces[i].p, f.pieces[i].n);
            s->used += f.pieces[i].n;
        }
    }
    s->in_tx = true;
    s->csn = csn;
    s->commit_us = commit_us;
    return true;
}

bool spool_flush(struct spool *s, int64_t *length, struct error *err)
{
    if (!is_usable(s, err) || !write_buffer(s, err))
        return false;
    *length = s->written;
    return true;
}

bool spool_sync(struct spool *s, int64_t *length, struct error *err)
{
    if (!spool_flush(s, length, err))
        return false;
    if (s->synced == s->written)
        return true;
    FAILPOINT("spool.before-sync");
    if (fdatasync(s->fd) != 0) {
        s->lost = true;
        return spool_failed(s->path, "syncing", errno, err);
    }
    s->synced = s->written;
    FAILPOINT("spool.after-sync");
    return true;
}

int64_t spool_length(const struct spool *s)
{
    return s->written + (int64_t)s->used;
}

void spool_close(struct spool *s)
{
    if (s == NULL)
        return;
    close(s->fd);
    mem_free(s->buffer);
    mem_free(s->path);
    mem_free(s);
}

void spool_remove(const char *path)
{
    unlink(path);
}
