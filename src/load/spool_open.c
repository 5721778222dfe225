/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spool's beginning: made anew with its header on the disk before anything is appended, or, left
 * by a former process, taken up again when its header is what it must be and every frame up to the
 * stored length has been read and its checksum agrees.
 */
#include "load/spool_internal.h"

#include "util/crc32c.h"
#include "util/failpoint.h"
#include "util/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The file's entry in its directory is on the disk. */
static bool sync_directory(const char *path, struct error *err)
{
    char *copy = mem_strdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL); /* EINVAL: it keeps no order there */

    if (!ok)
        spool_failed(path, "syncing its directory", errno, err);
    if (fd >= 0)
        close(fd);
    mem_free(copy);
    return ok;
}

/* The whole header; the same identity gives the same bytes. */
static bool make_header(const struct spool_identity *id, struct buf *out, struct error *err)
{
    json_t *j = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s?}", "connector", id->connector, "source",
        id->source, "schema", id->schema, "table", id->table, "oid", (json_int_t)id->oid, "load",
        (json_int_t)id->load, "value_schema_id", (json_int_t)id->value_id, "key_schema_id",
        (json_int_t)id->key_id, "value_schema", id->value_schema, "key_schema", id->key_schema);
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    uint8_t number[4];
    size_t n;

    json_decref(j);
    n = text != NULL ? strlen(text) : 0;
    if (n == 0 || n > SPOOL_HEADER_MAX) {
        free(text);
        return error_set(err, ERROR_FATAL, "spool of %s.%s: its header cannot be made", id->schema,
                         id->table);
    }
    spool_put_u32(number, n);
    buf_append(out, SPOOL_MAGIC, SPOOL_MAGIC_BYTES);
    buf_append(out, number, sizeof(number));
    buf_append(out, text, n);
    spool_put_u32(number, crc32c(0, text, n));
    buf_append(out, number, sizeof(number));
    free(text);
    return true;
}

static struct spool *spool_new(const char *path, int fd, int64_t length)
{
    struct spool *s = mem_calloc(1, sizeof(*s));

    s->path = mem_strdup(path);
    s->fd = fd;
    s->written = s->synced = length;
    s->buffer = mem_alloc(SPOOL_BUFFER);
    return s;
}

bool spool_create(struct spool **out, const char *path, const struct spool_identity *id,
                  struct error *err)
{
    struct buf header = {0};
    bool ok = false;
    int fd = -1;

    if (!make_header(id, &header, err))
        goto out;
    /* Not emptied: a reader may still have the old one open. */
    if (unlink(path) != 0 && errno != ENOENT)
        ok = spool_failed(path, "removing the old one", errno, err);
    else if ((fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
        ok = spool_failed(path, "creating", errno, err);
    else if (!spool_write(fd, 0, header.data, header.len))
        ok = spool_failed(path, "writing", errno, err);
    else if (fdatasync(fd) != 0)
        ok = spool_failed(path, "syncing", errno, err);
    else
        ok = sync_directory(path, err);
    if (!ok && fd >= 0) {
        close(fd);
        unlink(path);
    }
    if (ok) {
        *out = spool_new(path, fd, (int64_t)header.len);
        FAILPOINT("spool.after-create");
    }
out:
    buf_free(&header);
    return ok;
}

/* Does the file begin with exactly this? */
static bool begins_with(int fd, const struct buf *header)
{
    uint8_t *got = mem_alloc(header->len);
    size_t n = 0;
    ssize_t some = 1;
    bool same;

    while (n < header->len && some > 0) {
        some = pread(fd, got + n, header->len - n, (off_t)n);
        if (some < 0 && errno == EINTR)
            some = 1;
        else if (some > 0)
            n += (size_t)some;
    }
    same = n == header->len && memcmp(got, header->data, n) == 0;
    mem_free(got);
    return same;
}

/* Reads all of it. *usable false, and why, if it does not hold what it must. */
static bool verify(int fd, const char *path, const struct buf *header, int64_t length, bool *usable,
                   char *why, size_t size, struct error *err)
{
    struct spool_reader *r = NULL;
    int64_t csn, commit_us, at;
    struct event e = {.kind = EVENT_ROW};
    struct error broken;
    bool ok = spool_reader_on(&r, fd, false, path, 0, length, &broken);

    *usable = false;
    if (ok && !begins_with(fd, header)) {
        snprintf(why, size, "spool %s is of another table or load", path);
        spool_reader_close(r);
        return true;
    }
    while (ok && e.kind != 0)
        ok = spool_next(r, &e, &csn, &commit_us, &at, &broken);
    spool_reader_close(r);
    *usable = ok;
    if (ok)
        return true;
    if (broken.kind != ERROR_DATA) {
        if (err != NULL)
            *err = broken;
        return false;
    }
    snprintf(why, size, "%s", broken.message);
    return true;
}

bool spool_reopen(struct spool **out, const char *path, const struct spool_identity *id,
                  int64_t length, bool *usable, char *why, size_t size, struct error *err)
{
    struct buf header = {0};
    bool ok = false;
    int fd = -1;

    *out = NULL;
    *usable = false;
    if (!make_header(id, &header, err))
        goto out;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        snprintf(why, size, "spool %s is missing", path);
        ok = true;
        goto out;
    }
    if (fd < 0) {
        spool_failed(path, "opening", errno, err);
        goto out;
    }
    ok = verify(fd, path, &header, length, usable, why, size, err);
    if (ok && *usable && ftruncate(fd, length) != 0) {
        *usable = false;
        ok = spool_failed(path, "cutting it to its length", errno, err);
    }
    if (ok && *usable) {
        *out = spool_new(path, fd, length);
        fd = -1;
        FAILPOINT("spool.after-cut");
    }
out:
    if (fd >= 0)
        close(fd);
    buf_free(&header);
    return ok;
}
