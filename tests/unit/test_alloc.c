/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of memory, at every single allocation of ours on the way from typed changes over compaction
 * to rows: the process ends with code 1 and one line, and does nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* As `make failpoints` makes it. */
#ifndef PENSTOCK_FAILPOINTS
#define PENSTOCK_FAILPOINTS
#endif
#include "util/mem.c" /* NOLINT: the point of this test */

#include "load_fixture.h"

#include <sys/wait.h>

#define ROWS 100

static const struct case_column keyed[] = {
    {"id", TYPE_INT32, "integer", 1, 0, 0},
    {"a", TYPE_TEXT, "text", 0, 0, 0},
    {"n", TYPE_DECIMAL, "numeric(10,2)", 0, 10, 2},
    {0},
};
static const struct case_column keyless[] = {
    {"id", TYPE_INT32, "integer", 0, 0, 0},
    {"a", TYPE_TEXT, "text", 0, 0, 0},
    {"n", TYPE_DECIMAL, "numeric(10,2)", 0, 10, 2},
    {0},
};

static struct value text(const char *p)
{
    struct value v = {.state = p != NULL ? VALUE_SET : VALUE_NULL};

    v.s.p = p;
    v.s.len = p != NULL ? strlen(p) : 0;
    return v;
}

static void row_of(struct value v[3], int id, const char *a, const char *n)
{
    v[0] = (struct value){.state = VALUE_SET, .i = id};
    v[1] = text(a);
    v[2] = text(n);
}

/* Inserts, updates, changed keys, deletes, a truncate; all of it is compacted and decoded. */
static void life(const struct case_column *cols)
{
    static const char long_text[] = "a text that is longer than the inner room of anything";
    bool keys = cols[0].key_pos > 0;
    struct value before[3], after[3];
    const struct compact_row *r;
    struct error err = {0};
    struct pipe p;
    size_t at = 0;
    int rows = 0;

    pipe_open(&p, cols);
    pipe_change(&p, 't', NULL, NULL, 1);
    for (int i = 0; i < ROWS; i++) {
        row_of(before, i, "x", "1.50");
        row_of(after, i % 3 == 0 ? i + 1000 : i, i % 5 == 0 ? long_text : NULL, "-12345678.90");
        pipe_change(&p, 'c', NULL, before, 2 + i);
        pipe_change(&p, 'u', before, after, 2 + i);
        if (i % 4 == 0)
            pipe_change(&p, 'd', after, NULL, 2 + i);
    }
    if (!pipe_compact(&p, &err))
        pipe_fail("compact", &err);
    do {
        if (!compact_next(p.compact, &at, &r, &err))
            pipe_fail("decode", &err);
        rows += r != NULL;
    } while (r != NULL);
    pipe_close(&p);
    if (rows < (keys ? ROWS : ROWS - ROWS / 4)) {
        fprintf(stderr, "only %d rows\n", rows);
        abort();
    }
}

/* In a child, with the n-th allocation failing (0: none): its exit code, or -signal. */
static int run(const struct case_column *cols, unsigned long n, char *said, size_t size)
{
    int out[2], status;
    ssize_t got = 0;
    size_t len = 0;
    pid_t pid;

    assert_int_equal(pipe(out), 0);
    pid = fork();
    if (pid == 0) {
        dup2(out[1], STDERR_FILENO);
        pthread_once(&counting_once, start_counting);
        atomic_store(&counted, 0);
        failing = n;
        life(cols);
        dprintf(STDERR_FILENO, "%lu allocations", atomic_load(&counted));
        _exit(0);
    }
    close(out[1]);
    while (len < size - 1 && (got = read(out[0], said + len, size - 1 - len)) > 0)
        len += (size_t)got;
    said[len] = '\0';
    close(out[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void every_allocation(const struct case_column *cols)
{
    char said[512];
    unsigned long n, all;

    assert_int_equal(run(cols, 0, said, sizeof(said)), 0);
    all = strtoul(said, NULL, 10);
    assert_true(all > 50);
    for (n = 1; n <= all; n++) {
        if (run(cols, n, said, sizeof(said)) != 1 ||
            strncmp(said, "penstock: out of memory (", 25) != 0 ||
            strchr(said, '\n') != said + strlen(said) - 1)
            fail_msg("allocation %lu of %lu: %s", n, all, said);
    }
    assert_int_equal(run(cols, all + 1, said, sizeof(said)), 0);
    print_message("%lu allocations\n", all);
}

static void with_a_key(void **state)
{
    (void)state;
    every_allocation(keyed);
}

static void without_a_key(void **state)
{
    (void)state;
    every_allocation(keyless);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_a_key),
        cmocka_unit_test(without_a_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
