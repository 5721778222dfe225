/* SPDX-License-Identifier: Apache-2.0 */
/* Segments: every kind of record comes out as it went in, also between others and when empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "transport/event.h"

static struct buf bytes(const char *s)
{
    struct buf b = {0};

    buf_puts(&b, s);
    return b;
}

static void assert_bytes(const uint8_t *p, size_t len, const char *want)
{
    assert_int_equal(len, strlen(want));
    assert_memory_equal(p, want, len);
}

static struct event next(struct segment *s, enum event_kind kind)
{
    struct event e;

    assert_true(segment_next(s, &e));
    assert_int_equal(e.kind, kind);
    return e;
}

static void every_kind(void **state)
{
    struct segment *s = segment_new();
    struct buf key = bytes("key"), value = bytes("a value"), old = bytes("old key");
    struct event e;

    (void)state;
    segment_mark(s);
    segment_begin(s, INT64_MAX, INT64_MIN);
    segment_row(s, 'u', EVENT_UNAVAILABLE, &key, &value, NULL);
    segment_row(s, 'd', EVENT_MOVED, &key, &value, NULL);
    segment_row(s, 'c', 0, &key, &value, &old);
    segment_row(s, 'r', 0, NULL, &value, NULL);
    segment_commit(s, 7, -1, "0/15E0A28");
    segment_idle(s, "", true);
    segment_idle(s, "0/1", false);
    segment_stop(s, 4294967295u, 2, "public", "", "a new column");
    segment_alter(s, &key);
    segment_load(s, &value, INT64_MAX);
    segment_fetched(s, &old);
    segment_leaf(s, 4294967295u, 4294967294u);

    next(s, EVENT_MARK);
    e = next(s, EVENT_BEGIN);
    assert_true(e.csn == INT64_MAX && e.commit_us == INT64_MIN);
    e = next(s, EVENT_ROW);
    assert_int_equal(e.op, 'u');
    assert_int_equal(e.flags, EVENT_UNAVAILABLE);
    assert_bytes(e.key, e.key_len, "key");
    assert_bytes(e.value, e.value_len, "a value");
    assert_null(e.old_key);
    assert_int_equal(e.old_key_len, 0);
    e = next(s, EVENT_ROW);
    assert_int_equal(e.flags, EVENT_MOVED);
    e = next(s, EVENT_ROW);
    assert_bytes(e.old_key, e.old_key_len, "old key");
    e = next(s, EVENT_ROW);
    assert_null(e.key);
    assert_bytes(e.value, e.value_len, "a value");
    e = next(s, EVENT_COMMIT);
    assert_int_equal(e.csn, 7);
    assert_int_equal(e.commit_us, -1);
    assert_string_equal(e.position, "0/15E0A28");
    e = next(s, EVENT_IDLE);
    assert_true(e.urgent);
    assert_string_equal(e.position, "");
    e = next(s, EVENT_IDLE);
    assert_false(e.urgent);
    e = next(s, EVENT_STOP);
    assert_int_equal(e.oid, 4294967295u);
    assert_int_equal(e.state, 2);
    assert_string_equal(e.schema, "public");
    assert_string_equal(e.name, "");
    assert_string_equal(e.why, "a new column");
    e = next(s, EVENT_ALTER);
    assert_ptr_equal(e.object, &key);
    e = next(s, EVENT_LOAD);
    assert_ptr_equal(e.object, &value);
    assert_true(e.s == INT64_MAX);
    e = next(s, EVENT_FETCHED);
    assert_ptr_equal(e.object, &old);
    e = next(s, EVENT_LEAF);
    assert_true(e.oid == 4294967295u && e.leaf == 4294967294u);
    assert_false(segment_next(s, &e));
    assert_false(segment_next(s, &e));
    segment_free(s);
    segment_free(NULL);
    buf_free(&key);
    buf_free(&value);
    buf_free(&old);
}

static void many(void **state)
{
    struct segment *s = segment_new();
    struct buf key = {0}, value = {0};
    struct event e;
    int i;

    (void)state;
    assert_false(segment_next(s, &e));
    for (i = 0; i < 20000; i++) {
        buf_reset(&key);
        buf_printf(&key, "k%d", i);
        buf_u8(&value, (uint8_t)i);
        if (value.len == 300)
            value.len = 0; /* all lengths below 300, at all alignments */
        segment_row(s, 'c', 0, &key, &value, NULL);
        if (i % 3 == 0)
            segment_idle(s, "p", false);
    }
    for (i = 0; i < 20000; i++) {
        char want[16];

        e = next(s, EVENT_ROW);
        snprintf(want, sizeof(want), "k%d", i);
        assert_bytes(e.key, e.key_len, want);
        if (e.value_len > 0)
            assert_int_equal(e.value[e.value_len - 1], i & 0xff);
        if (i % 3 == 0)
            next(s, EVENT_IDLE);
    }
    assert_false(segment_next(s, &e));
    segment_free(s);
    buf_free(&key);
    buf_free(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),
        cmocka_unit_test(many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
