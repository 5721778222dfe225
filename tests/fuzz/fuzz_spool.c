/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spool's file. The first byte: bit 0: the checksums are made right before it is read, so that
 * what they protect is reached; the rest is the file. It is read from the beginning and from every
 * row on, and, if it is ours and whole, taken up again and added to.
 */
#include "driver.h"

#include "load/spool.h"
#include "util/crc32c.h"

#include <fcntl.h>
#include <sys/mman.h>

static const struct spool_identity identity = {
    .connector = "w", .source = "s", .schema = "p", .table = "t", .value_schema = "{}"};
static char path[64];
static int file = -1;

static void check(bool ok)
{
    if (!ok)
        abort();
}

static uint32_t le32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return le32toh(v);
}

static void put_sum(uint8_t *at, const uint8_t *p, size_t n)
{
    uint32_t v = htole32(crc32c(0, p, n));

    memcpy(at, &v, 4);
}

static void repair(uint8_t *b, size_t size)
{
    size_t at, n;

    if (size < 16 || le32(b + 8) > size - 16)
        return;
    n = le32(b + 8);
    put_sum(b + 12 + n, b + 12, n);
    for (at = 16 + n; size - at >= 8 && le32(b + at) <= size - at - 8; at += 8 + n) {
        n = le32(b + at);
        put_sum(b + at + 4, b + at + 8, n);
    }
}

static unsigned touch(const uint8_t *p, size_t n)
{
    unsigned sum = 0;

    check((p == NULL) == (n == 0));
    for (size_t i = 0; i < n; i++)
        sum += p[i];
    return sum;
}

/* Counts the rows; *ok: it ended well. */
static int read_rows(int64_t from, int64_t to, int64_t csn, int64_t us, int64_t *behind, bool *ok)
{
    struct spool_reader *r = NULL;
    struct error err = {0};
    struct event e = {.kind = EVENT_ROW};
    int64_t at, last = from;
    int n = 0;

    *ok = spool_reader_open(&r, path, from, to, &err);
    if (*ok && from > 0)
        spool_reader_at(r, csn, us);
    while (*ok && e.kind != 0) {
        *ok = spool_next(r, &e, &csn, &us, &at, &err);
        if (!*ok || e.kind == 0)
            break;
        check(e.kind == EVENT_ROW && at > last && at <= to && csn > 0);
        check(e.key_len + e.value_len + e.old_key_len < (size_t)(at - last));
        touch(e.key, e.key_len);
        touch(e.value, e.value_len);
        touch(e.old_key, e.old_key_len);
        last = at;
        if (n++ == 0 && behind != NULL) {
            bool again;
            int rest = read_rows(at, to, csn, us, NULL, &again);

            *behind = rest;
        }
    }
    check(*ok || (err.kind == ERROR_DATA && err.reload && err.message[0] != '\0'));
    spool_reader_close(r);
    return n;
}

static void take_up(int64_t length, int rows, bool whole)
{
    struct event e = {.kind = EVENT_ROW, .op = 'c', .value = (const uint8_t *)"v", .value_len = 1};
    struct spool *s = NULL;
    struct error err = {0};
    bool usable, ok;
    char why[256] = "";

    check(spool_reopen(&s, path, &identity, length, &usable, why, sizeof(why), &err));
    check(usable == (s != NULL) && usable == (why[0] == '\0') && (!usable || whole));
    if (!usable)
        return;
    check(spool_append(s, &e, 5, 6, &err) && spool_flush(s, &length, &err));
    check(read_rows(0, length, 0, 0, NULL, &ok) == rows + 1 && ok);
    spool_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t behind = -1, length = (int64_t)size - 1;
    uint8_t *copy;
    bool ok;
    int rows;

    if (size == 0)
        return 0;
    if (file < 0) {
        file = memfd_create("fuzz_spool", MFD_CLOEXEC);
        check(file >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    }
    copy = malloc(size);
    check(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 1)
        repair(copy, size - 1);
    check(ftruncate(file, 0) == 0 && pwrite(file, copy, size - 1, 0) == length);
    free(copy);
    rows = read_rows(0, length, 0, 0, &behind, &ok);
    check(rows == 0 || behind == rows - 1); /* from a row on, the same rows follow */
    take_up(length, rows, ok);
    return 0;
}
