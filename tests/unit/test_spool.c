/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spools: what goes in comes out, from any row on; a restart takes up what was stored and nothing
 * else; damage anywhere is seen; a full disk leaves the spool as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load/spool.h"
#include "util/crc32c.h"

static char dir[64], path[96];

static const struct spool_identity shop = {
    .connector = "warehouse",
    .source = "shop",
    .schema = "public",
    .table = "Stra\xc3\x9f"
             "e \"1\"",
    .oid = 4294967295u,
    .load = INT64_MAX,
    .value_id = 7,
    .key_id = 8,
    .value_schema = "{\"type\":\"record\"}",
    .key_schema = "{\"type\":\"string\"}",
};

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/test_spool.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/1.spool", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    spool_remove(path);
    return rmdir(dir);
}

/* --- rows --- */

struct row {
    char op;
    uint8_t flags;
    int key, value, old_key; /* lengths; -1: none */
    int64_t csn, us;
};

static const struct row kinds[] = {
    {'c', 0, 5, 40, -1, 1, INT64_MIN},
    {'u', EVENT_UNAVAILABLE, 5, 40, -1, 1, INT64_MIN},
    {'d', EVENT_MOVED, 5, 12, -1, 2, 0},
    {'c', 0, 9, 40, 5, 2, 0},
    {'r', 0, -1, 33, -1, 2, 1}, /* no key; the same CSN at another time */
    {'d', 255, 1, -1, -1, INT64_MAX, INT64_MAX},
    {'t', 0, -1, -1, -1, INT64_MAX, INT64_MAX},
    {'u', 3, 70000, 200000, 65536, 9, 9},        /* larger than the buffer */
    {'c', 0, 3, 65536 - 25 - 23 - 3, -1, 10, 9}, /* fills the buffer exactly, with its 'T' */
    {'c', 0, 3, 65536 - 23 - 3 + 1, -1, 10, 9},  /* one byte too large for it */
    {'c', 0, 3, 10, -1, 10, 9},
};
#define NKINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

static uint8_t *bytes_of(int n, unsigned seed)
{
    uint8_t *p = n < 0 ? NULL : malloc((size_t)n + 1);

    for (int i = 0; i < n; i++)
        p[i] = (uint8_t)rand_r(&seed);
    return p;
}

static void append(struct spool *s, const struct row *r, unsigned seed)
{
    uint8_t *key = bytes_of(r->key, seed), *value = bytes_of(r->value, seed + 1000),
            *old = bytes_of(r->old_key, seed + 2000);
    struct event e = {.kind = EVENT_ROW, .op = r->op, .flags = r->flags};
    struct error err = {0};

    e.key = key;
    e.key_len = r->key < 0 ? 0 : (size_t)r->key;
    e.value = value;
    e.value_len = r->value < 0 ? 0 : (size_t)r->value;
    e.old_key = old;
    e.old_key_len = r->old_key < 0 ? 0 : (size_t)r->old_key;
    if (!spool_append(s, &e, r->csn, r->us, &err))
        fail_msg("%s", err.message);
    free(key);
    free(value);
    free(old);
}

static void assert_part(const uint8_t *p, size_t len, int want, unsigned seed)
{
    uint8_t *b = bytes_of(want, seed);

    assert_int_equal(len, want < 0 ? 0 : want);
    if (want <= 0)
        assert_null(p);
    else
        assert_memory_equal(p, b, len);
    free(b);
}

/* The next row of r is this one; returns the offset behind it. */
static int64_t expect(struct spool_reader *r, const struct row *want, unsigned seed)
{
    struct event e;
    struct error err = {0};
    int64_t csn, us, at;

    if (!spool_next(r, &e, &csn, &us, &at, &err))
        fail_msg("%s", err.message);
    assert_int_equal(e.kind, EVENT_ROW);
    assert_int_equal(e.op, want->op);
    assert_int_equal(e.flags, want->flags);
    assert_true(csn == want->csn && us == want->us);
    assert_part(e.key, e.key_len, want->key, seed);
    assert_part(e.value, e.value_len, want->value, seed + 1000);
    assert_part(e.old_key, e.old_key_len, want->old_key, seed + 2000);
    return at;
}

static void expect_end(struct spool_reader *r, int64_t length)
{
    struct event e = {.kind = EVENT_ROW};
    struct error err = {0};
    int64_t csn, us, at;

    assert_true(spool_next(r, &e, &csn, &us, &at, &err));
    assert_int_equal(e.kind, 0);
    assert_int_equal(at, length);
}

static struct spool *create(void)
{
    struct spool *s = NULL;
    struct error err = {0};

    if (!spool_create(&s, path, &shop, &err))
        fail_msg("%s", err.message);
    return s;
}

static int64_t sync_it(struct spool *s)
{
    struct error err = {0};
    int64_t length = -1;

    if (!spool_sync(s, &length, &err))
        fail_msg("%s", err.message);
    assert_int_equal(length, spool_length(s));
    return length;
}

static struct spool_reader *open_reader(int64_t from, int64_t to)
{
    struct spool_reader *r = NULL;
    struct error err = {0};

    if (!spool_reader_open(&r, path, from, to, &err))
        fail_msg("%s", err.message);
    return r;
}

/* NULL, and why, if it is not usable. */
static struct spool *reopen(const struct spool_identity *id, int64_t length, char why[256])
{
    struct spool *s = NULL;
    struct error err = {0};
    bool usable = true;

    why[0] = '\0';
    if (!spool_reopen(&s, path, id, length, &usable, why, 256, &err))
        fail_msg("%s", err.message);
    assert_int_equal(usable, s != NULL);
    assert_int_equal(usable, why[0] == '\0');
    return s;
}

static int64_t file_size(void)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* A small spool: its first n kinds; at: the offsets behind each row, at[0] that of the first. */
static int64_t small(int n, int64_t *at)
{
    struct spool *s = create();

    at[0] = spool_length(s);
    for (int i = 0; i < n; i++) {
        append(s, &kinds[i], (unsigned)i);
        at[i + 1] = spool_length(s);
    }
    sync_it(s);
    spool_close(s);
    assert_int_equal(at[n], file_size());
    return at[n];
}

static uint8_t *read_file(int64_t *size)
{
    int fd = open(path, O_RDONLY);
    uint8_t *b;

    *size = file_size();
    b = malloc((size_t)*size + 1);
    assert_int_equal(pread(fd, b, (size_t)*size, 0), *size);
    close(fd);
    return b;
}

static void write_file(const void *p, int64_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(write(fd, p, (size_t)size), size);
    close(fd);
}

/* --- tests --- */

static void every_kind_from_every_row_on(void **state)
{
    int64_t at[NKINDS + 1], length = small(NKINDS, at);

    (void)state;
    for (int from = 0; from <= NKINDS; from++) {
        for (int to = from; to <= NKINDS; to++) {
            struct spool_reader *r = open_reader(from == 0 ? 0 : at[from], at[to]);

            if (from > 0)
                spool_reader_at(r, kinds[from - 1].csn, kinds[from - 1].us);
            for (int i = from; i < to; i++)
                assert_int_equal(expect(r, &kinds[i], (unsigned)i), at[i + 1]);
            expect_end(r, at[to]);
            expect_end(r, at[to]);
            spool_reader_close(r);
        }
    }
    assert_true(length > 400000);
}

static void many_rows_of_all_lengths(void **state)
{
    struct row row = {'c', 0, 8, 0, -1, 1, 1};
    struct spool *s = create();
    struct spool_reader *r;
    int64_t length;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        row.value = i % 301;
        row.csn = 1 + i / 7;
        append(s, &row, (unsigned)i);
    }
    length = sync_it(s);
    assert_int_equal(sync_it(s), length);
    r = open_reader(0, length);
    for (int i = 0; i < 20000; i++) {
        row.value = i % 301;
        row.csn = 1 + i / 7;
        expect(r, &row, (unsigned)i);
    }
    expect_end(r, length);
    spool_reader_close(r);
    spool_close(s);
    spool_close(NULL);
    spool_reader_close(NULL);
}

static void the_file_is_ours_alone(void **state)
{
    struct spool *s;
    char link[64], target[128];
    struct stat st;
    mode_t old = umask(0);
    int found = 0;

    (void)state;
    s = create();
    umask(old);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    for (int fd = 0; fd < 64; fd++) {
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, target, sizeof(target) - 1);
        if (n <= 0)
            continue;
        target[n] = '\0';
        if (strcmp(target, path) == 0) {
            assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
            found++;
        }
    }
    assert_int_equal(found, 1);
    spool_close(s);
}

static void the_header_is_for_people(void **state)
{
    int64_t at[1], size;
    uint8_t *b;

    (void)state;
    small(0, at);
    b = read_file(&size);
    b[size] = '\0';
    assert_memory_equal(b, "PSPOOL1\n", 8);
    assert_non_null(strstr((char *)b + 12, "\"table\":\"Stra\xc3\x9f"
                                           "e \\\"1\\\"\""));
    assert_non_null(strstr((char *)b + 12, "\"value_schema\":\"{\\\"type\\\":\\\"record\\\"}\""));
    assert_non_null(strstr((char *)b + 12, "\"load\":9223372036854775807"));
    free(b);
}

static void a_new_one_replaces_the_old(void **state)
{
    int64_t at[4], length = small(3, at);
    struct spool_reader *r = open_reader(0, length);
    struct spool *s = create();

    (void)state;
    assert_int_equal(file_size(), at[0]);
    for (int i = 0; i < 3; i++) /* who has the old one open still reads it */
        expect(r, &kinds[i], (unsigned)i);
    spool_reader_close(r);
    spool_close(s);
}

/* It is cut at the stored length, goes on there, and knows no transaction yet. */
static void reopened_at_each_row(void **state)
{
    struct row more = {'u', 0, 4, 4, -1, 0, 0};
    int64_t at[8];
    char why[256];

    (void)state;
    for (int cut = 0; cut <= 7; cut++) {
        struct spool_reader *r;
        struct spool *s;
        int64_t length;

        small(7, at);
        s = reopen(&shop, at[cut], why);
        assert_non_null(s);
        assert_int_equal(file_size(), at[cut]);
        assert_int_equal(spool_length(s), at[cut]);
        more.csn = cut > 0 ? kinds[cut - 1].csn : 1;
        more.us = cut > 0 ? kinds[cut - 1].us : 1;
        append(s, &more, 77);
        length = sync_it(s);
        r = open_reader(0, length);
        for (int i = 0; i < cut; i++)
            expect(r, &kinds[i], (unsigned)i);
        expect(r, &more, 77);
        expect_end(r, length);
        spool_reader_close(r);
        spool_close(s);
    }
}

/* Behind each 'T' a frame ends, too: such a length is right, whatever else is not. */
static bool is_boundary(const uint8_t *b, int64_t first, int64_t size, int64_t length)
{
    int64_t at = first;

    while (at < length && at < size)
        at += 8 + (int64_t)(b[at] | b[at + 1] << 8 | b[at + 2] << 16);
    return at == length;
}

static void reopened_in_the_middle_of_a_frame(void **state)
{
    int64_t at[8], size, seen = 0;
    uint8_t *b;
    char why[256];

    (void)state;
    small(7, at);
    b = read_file(&size);
    for (int64_t length = -1; length <= size; length++) {
        struct spool *s = reopen(&shop, length, why);

        assert_int_equal(s != NULL, length >= at[0] && is_boundary(b, at[0], size, length));
        seen += s != NULL;
        spool_close(s);
        assert_int_equal(file_size(), s != NULL ? length : size);
        write_file(b, size);
    }
    assert_int_equal(seen, 1 + 7 + 4); /* the header, the rows, the transactions */
    assert_null(reopen(&shop, size + 1, why));
    assert_non_null(strstr(why, "the file ends there"));
    assert_null(reopen(&shop, INT64_MAX, why));
    assert_null(reopen(&shop, INT64_MIN, why));
    free(b);
}

static void of_another_table_or_load(void **state)
{
    struct spool_identity id[9];
    int64_t at[3], length = small(2, at);
    char why[256];

    (void)state;
    for (int i = 0; i < 9; i++)
        id[i] = shop;
    id[0].connector = "w";
    id[1].source = "shop2";
    id[2].schema = "Public";
    id[3].table = "t";
    id[4].oid--;
    id[5].load--;
    id[6].value_id++;
    id[7].key_schema = NULL;
    id[8].value_schema = "{\"type\":\"rekord\"}"; /* of the same length */
    for (int i = 0; i < 9; i++) {
        assert_null(reopen(&id[i], length, why));
        assert_non_null(strstr(why, "another table or load"));
        assert_int_equal(file_size(), length);
    }
    unlink(path);
    assert_null(reopen(&shop, length, why));
    assert_non_null(strstr(why, "is missing"));
}

/* False, with ERROR_DATA, unless all of it reads well. */
static bool reads_well(int64_t to)
{
    struct spool_reader *r = NULL;
    struct event e = {.kind = EVENT_ROW};
    struct error err = {0};
    int64_t csn, us, at;
    bool ok = spool_reader_open(&r, path, 0, to, &err);

    while (ok && e.kind != 0)
        ok = spool_next(r, &e, &csn, &us, &at, &err);
    spool_reader_close(r);
    if (!ok) {
        assert_int_equal(err.kind, ERROR_DATA);
        assert_true(err.reload);
        assert_non_null(strstr(err.message, path));
    }
    return ok;
}

static void a_flipped_bit_is_seen(void **state)
{
    int64_t at[8], size;
    uint8_t *b;
    char why[256];

    (void)state;
    small(7, at);
    b = read_file(&size);
    assert_true(reads_well(size));
    for (int64_t bit = 0; bit < size * 8; bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        write_file(b, size);
        if (reads_well(size))
            fail_msg("bit %lld", (long long)bit);
        assert_null(reopen(&shop, size, why));
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(b);
}

static void a_flipped_bit_in_a_large_frame_is_seen(void **state)
{
    int64_t at[NKINDS + 1], size, bit;
    unsigned seed = 5;
    uint8_t *b;

    (void)state;
    small(NKINDS, at);
    b = read_file(&size);
    for (int i = 0; i < 200; i++) {
        bit = ((int64_t)rand_r(&seed) << 31 ^ rand_r(&seed)) % (size * 8);
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        write_file(b, size);
        if (reads_well(size))
            fail_msg("bit %lld", (long long)bit);
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(b);
}

static void truncated_or_zeroed_is_seen(void **state)
{
    int64_t at[8], size;
    uint8_t *b;
    char why[256];
    bool changed = false;

    (void)state;
    small(7, at);
    b = read_file(&size);
    for (int64_t n = 0; n < size; n++) {
        write_file(b, n);
        assert_false(reads_well(size)); /* shorter than was stored */
        assert_null(reopen(&shop, size, why));
    }
    for (int64_t n = 0; n < size; n++) { /* what a crash of the machine may leave */
        changed |= b[size - 1 - n] != 0;
        b[size - 1 - n] = 0;
        write_file(b, size);
        assert_int_equal(reads_well(size), !changed);
    }
    free(b);
    unlink(path);
    assert_false(reads_well(size));
}

static void read_from_where_no_frame_begins(void **state)
{
    int64_t at[4], length = small(3, at);
    struct spool_reader *r = NULL;
    struct event e;
    struct error err = {0};
    int64_t csn, us, behind;

    (void)state;
    assert_false(spool_reader_open(&r, path, 12, length, &err)); /* inside the header */
    assert_int_equal(err.kind, ERROR_DATA);
    assert_false(spool_reader_open(&r, path, length + 1, length, &err));
    assert_false(spool_reader_open(&r, path, -1, length, &err));
    assert_false(spool_reader_open(&r, path, 0, INT64_MAX, &err));
    r = open_reader(at[1] + 1, length);
    spool_reader_at(r, 1, 1);
    assert_false(spool_next(r, &e, &csn, &us, &behind, &err));
    assert_int_equal(err.kind, ERROR_DATA);
    assert_false(spool_next(r, &e, &csn, &us, &behind, &err)); /* and stays there */
    spool_reader_close(r);
    r = open_reader(at[1], length); /* a row whose transaction nobody told */
    assert_false(spool_next(r, &e, &csn, &us, &behind, &err));
    assert_int_equal(err.kind, ERROR_DATA);
    spool_reader_close(r);
}

/* Appends a frame to the file whose checksum is right; len < 0: that of the body. */
static int64_t add_frame(int64_t size, int64_t len, const void *body, size_t n)
{
    uint32_t head[2] = {htole32((uint32_t)(len < 0 ? (int64_t)n : len)),
                        htole32(crc32c(0, body, n))};
    int fd = open(path, O_WRONLY);

    assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(pwrite(fd, head, 8, size), 8);
    assert_int_equal(pwrite(fd, body, n, size + 8), n);
    close(fd);
    return size + 8 + (int64_t)n;
}

static void contents_that_do_not_add_up(void **state)
{
    static const uint8_t row[] = {'R', 'c', 0, 1, 0, 0,   0,   2,   0,  0,
                                  0,   1,   0, 0, 0, 'k', 'v', 'w', 'o'};
    static const uint8_t tx[17] = {'T', 1};
    uint8_t b[sizeof(row) + 1] = {0};
    int64_t at[2], size = small(1, at);

    (void)state;
    assert_true(reads_well(add_frame(size, -1, row, sizeof(row))));
    for (size_t n = 0; n < sizeof(row); n++)
        assert_false(reads_well(add_frame(size, -1, row, n)));
    memcpy(b, row, sizeof(row));
    assert_false(reads_well(add_frame(size, -1, b, sizeof(b)))); /* a byte too many */
    for (size_t i = 3; i < 15; i++) { /* lengths that go out of the frame or leave a rest */
        b[i] ^= 0x80;
        assert_false(reads_well(add_frame(size, -1, b, sizeof(row))));
        b[i] ^= 0x80;
    }
    b[1] = 'x';
    assert_false(reads_well(add_frame(size, -1, b, sizeof(row))));
    b[1] = 0;
    assert_false(reads_well(add_frame(size, -1, b, sizeof(row))));
    b[1] = 'c';
    b[0] = 'S';
    assert_false(reads_well(add_frame(size, -1, b, sizeof(row))));
    assert_true(reads_well(add_frame(size, -1, tx, sizeof(tx))));
    assert_false(reads_well(add_frame(size, -1, tx, sizeof(tx) - 1)));
    memset(b, 0xff, sizeof(b));
    b[0] = 'T';
    assert_false(reads_well(add_frame(size, -1, b, sizeof(tx))));     /* no CSN is negative */
    assert_false(reads_well(add_frame(at[0], -1, row, sizeof(row)))); /* before any transaction */
}

/* Lengths that would take much memory, or more than there is. */
static void lengths_that_cannot_be(void **state)
{
    static const int64_t lengths[] = {0x7fffffff, 0x80000000, 0x80000001,
                                      0xffffffff, 0xfffffff8, 0};
    static const uint8_t row[] = {'R', 'c', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    int64_t at[2], size = small(1, at);
    struct rusage before, after;

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        assert_false(reads_well(add_frame(size, lengths[i], row, sizeof(row))));
    /* One that fits into the file: its bytes are summed up before memory is taken for them. */
    add_frame(size, 0x10000000, row, sizeof(row));
    assert_int_equal(truncate(path, size + 8 + 0x10000000), 0);
    getrusage(RUSAGE_SELF, &before);
    assert_false(reads_well(size + 8 + 0x10000000));
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
    /* The greatest but one: refused for what it is. */
    add_frame(size, 0x80000001, row, sizeof(row));
    assert_int_equal(truncate(path, size + 8 + 0x80000001), 0);
    assert_false(reads_well(size + 8 + 0x80000001));
}

static void a_change_that_is_too_large(void **state)
{
    static const uint8_t byte = 1;
    struct event e = {.kind = EVENT_ROW, .op = 'c', .key = &byte, .key_len = 1, .value = &byte};
    struct spool *s = create();
    int64_t before = spool_length(s);
    struct error err = {0};
    static const size_t lengths[] = {((size_t)1 << 31) - 15, ((size_t)1 << 31), UINT32_MAX,
                                     (size_t)1 << 32, SIZE_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        e.value_len = lengths[i];
        assert_false(spool_append(s, &e, 1, 1, &err));
        assert_int_equal(err.kind, ERROR_DATA);
        assert_int_equal(spool_length(s), before);
    }
    append(s, &kinds[0], 0);
    sync_it(s);
    spool_close(s);
}

/* --- reading while it grows --- */

struct growing {
    _Atomic int64_t first;  /* where the rows begin */
    _Atomic int64_t length; /* flushed */
    _Atomic bool done;
    bool ok;
};

#define GROW_ROWS 30000

static void row_number(int i, struct row *r)
{
    *r = (struct row){'c', 0, 8, i % 500 == 0 ? 70000 : i % 200, -1, 1 + i / 10, i / 10};
}

static void *grow(void *arg)
{
    struct growing *g = arg;
    struct spool *s = create();
    struct error err;
    int64_t length;
    struct row r;

    atomic_store(&g->first, spool_length(s));
    atomic_store(&g->length, spool_length(s));
    for (int i = 0; i < GROW_ROWS; i++) {
        row_number(i, &r);
        append(s, &r, (unsigned)i);
        if (i % 17 != 0)
            continue;
        if (!spool_flush(s, &length, &err))
            return NULL;
        atomic_store(&g->length, length);
    }
    atomic_store(&g->length, sync_it(s));
    atomic_store(&g->done, true);
    spool_close(s);
    g->ok = true;
    return NULL;
}

static void read_while_it_grows(void **state)
{
    struct growing g = {0};
    int64_t from = 0, read = 0, at = 0;
    pthread_t thread;
    struct row last = {0}, r;
    int i = 0, rounds = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, grow, &g), 0);
    for (bool done = false; !done || read < atomic_load(&g.length);) {
        struct spool_reader *reader;
        int64_t to;

        done = atomic_load(&g.done);
        to = atomic_load(&g.length);
        if (to == 0 || to == read) {
            sched_yield();
            continue;
        }
        if (at == 0)
            at = atomic_load(&g.first);
        reader = open_reader(from, to);
        if (from > 0)
            spool_reader_at(reader, last.csn, last.us);
        while (i < GROW_ROWS && at < to) {
            row_number(i, &r);
            at = expect(reader, &r, (unsigned)i++);
            last = r;
        }
        expect_end(reader, to);
        spool_reader_close(reader);
        from = read = to;
        rounds++;
    }
    pthread_join(thread, NULL);
    assert_true(g.ok);
    assert_int_equal(i, GROW_ROWS);
    assert_true(rounds > 1);
}

/* --- a full disk --- */

/* Appends until it fails; then, with room again (make_room), goes on: nothing of what was accepted
 * is missing, nothing of what was refused is there. Exit code 0 if so. */
static int fill(bool large, void (*make_room)(void))
{
    struct row row = {'c', 0, 8, large ? 90000 : 700, -1, 1, 1};
    struct spool *s = create();
    struct event e = {.kind = EVENT_ROW, .op = 'c'};
    uint8_t *value = bytes_of(row.value, 1000);
    struct error err = {0};
    int64_t before, length, stored = sync_it(s), csn, us, at;
    struct spool_reader *r;
    int n = 0;

    append(s, &row, 0);
    e.value = value;
    e.value_len = (size_t)row.value;
    for (;;) {
        before = spool_length(s);
        if (!spool_append(s, &e, 1, 1, &err))
            break;
        if (++n > 10000)
            return 1;
    }
    if (err.kind != ERROR_RETRY || strstr(err.message, path) == NULL ||
        strstr(err.hint, "spool.limit.bytes") == NULL)
        return 2;
    if (spool_length(s) != before || file_size() > before || file_size() < stored)
        return 3;
    if (spool_append(s, &e, 1, 1, &err) && spool_flush(s, &length, &err))
        return 4; /* still full */
    make_room();
    n += spool_length(s) > before; /* that append may have fitted into the buffer */
    append(s, &row, 1);
    length = sync_it(s);
    r = open_reader(0, length);
    expect(r, &row, 0);
    for (int i = 0; i < n; i++) {
        if (!spool_next(r, &e, &csn, &us, &at, &err) || e.kind != EVENT_ROW ||
            e.value_len != (size_t)row.value || memcmp(e.value, value, e.value_len) != 0)
            return 5;
    }
    expect(r, &row, 1);
    expect_end(r, length);
    spool_reader_close(r);
    spool_close(s);
    free(value);
    return n > 0 ? 0 : 6;
}

static int in_child(int (*run)(bool), bool large)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(run(large));
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void raise_limit(void)
{
    struct rlimit l;

    getrlimit(RLIMIT_FSIZE, &l);
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_FSIZE, &l);
}

/* A limit in the middle of a frame: the first write is a short one, the next fails. */
static int with_a_limit(bool large)
{
    struct rlimit l;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &l);
    l.rlim_cur = 300001;
    setrlimit(RLIMIT_FSIZE, &l);
    return fill(large, raise_limit);
}

static void a_file_size_limit(void **state)
{
    (void)state;
    assert_int_equal(in_child(with_a_limit, false), 0);
    assert_int_equal(in_child(with_a_limit, true), 0);
}

static void enlarge_disk(void)
{
    if (mount("tmpfs", dir, "tmpfs", MS_REMOUNT, "size=64m") != 0)
        _exit(7);
}

#define NO_MOUNT 77

/* A disk of our own in a namespace of mounts of our own: it is gone with the process. */
static int with_a_small_disk(bool large)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", dir, "tmpfs", 0, "size=512k") != 0)
        return NO_MOUNT;
    return fill(large, enlarge_disk);
}

static void a_full_disk(void **state)
{
    (void)state;
    for (int large = 0; large < 2; large++) {
        int code = in_child(with_a_small_disk, large);

        if (code == NO_MOUNT)
            print_message("no right to mount a small disk: only the limit was tested\n");
        else
            assert_int_equal(code, 0);
    }
}

/* No room even for the header: nothing stays there. */
static int create_on_a_full_disk(bool unused)
{
    char file[128];
    struct spool *s = NULL;
    struct error err = {0};
    int fd;

    (void)unused;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", dir, "tmpfs", 0, "size=64k") != 0)
        return NO_MOUNT;
    snprintf(file, sizeof(file), "%s/filler", dir);
    fd = open(file, O_WRONLY | O_CREAT, 0600);
    while (write(fd, file, sizeof(file)) > 0)
        ;
    if (spool_create(&s, path, &shop, &err) || err.kind != ERROR_RETRY || s != NULL)
        return 1;
    return access(path, F_OK) == 0 ? 2 : 0;
}

static void no_room_for_a_new_one(void **state)
{
    struct spool *s = NULL;
    struct error err = {0};
    int code = in_child(create_on_a_full_disk, false);

    (void)state;
    assert_true(code == 0 || code == NO_MOUNT);
    assert_false(spool_create(&s, "/nonexistent/directory/1.spool", &shop, &err));
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_non_null(strstr(err.message, strerror(ENOENT)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_from_every_row_on),
        cmocka_unit_test(many_rows_of_all_lengths),
        cmocka_unit_test(the_file_is_ours_alone),
        cmocka_unit_test(the_header_is_for_people),
        cmocka_unit_test(a_new_one_replaces_the_old),
        cmocka_unit_test(reopened_at_each_row),
        cmocka_unit_test(reopened_in_the_middle_of_a_frame),
        cmocka_unit_test(of_another_table_or_load),
        cmocka_unit_test(a_flipped_bit_is_seen),
        cmocka_unit_test(a_flipped_bit_in_a_large_frame_is_seen),
        cmocka_unit_test(truncated_or_zeroed_is_seen),
        cmocka_unit_test(read_from_where_no_frame_begins),
        cmocka_unit_test(contents_that_do_not_add_up),
        cmocka_unit_test(lengths_that_cannot_be),
        cmocka_unit_test(a_change_that_is_too_large),
        cmocka_unit_test(read_while_it_grows),
        cmocka_unit_test(a_file_size_limit),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(no_room_for_a_new_one),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
