/* SPDX-License-Identifier: Apache-2.0 */
/* pgoutput: real messages, hand-made ones, and every truncation and many mutations of both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "pgoutput_vectors.h"
#include "source_postgres/pgoutput.h"
#include "util/buf.h"
#include "util/mem.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Bytes in a block of their exact size, so that a read past the end is seen. */
static uint8_t *unhex(const char *hex, size_t *len)
{
    uint8_t *out = mem_alloc(strlen(hex) / 2 + 1);

    *len = strlen(hex) / 2;
    for (size_t i = 0; i < *len; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return mem_realloc(out, *len > 0 ? *len : 1);
}

static void put_tuple(struct buf *b, char kind, const struct pgoutput_tuple *t)
{
    buf_printf(b, " %c[", kind);
    for (int i = 0; i < t->ncols; i++) {
        const struct pg_cell *cell = &t->cells[i];

        buf_printf(b, "%s%c", i > 0 ? "|" : "", (char)cell->kind);
        if (cell->p != NULL)
            buf_printf(b, "=%.*s", (int)cell->len, cell->p);
    }
    buf_puts(b, "]");
}

static void put_relation(struct buf *b, const struct pgoutput_relation *r)
{
    buf_printf(b, " %u %s.%s %c", r->oid, r->schema, r->name, r->replica_identity);
    for (int i = 0; i < r->ncols; i++) {
        const struct pgoutput_column *c = &r->columns[i];

        buf_printf(b, " %s%s:%u:%d", c->name, c->flags & PGOUTPUT_COLUMN_IDENTITY ? "*" : "",
                   c->type_oid, c->typmod);
    }
}

static void put_body(struct buf *b, const struct pgoutput_decoder *d,
                     const struct pgoutput_message *m)
{
    switch (m->tag) {
    case PGOUTPUT_BEGIN:
        buf_printf(b, " %lX %ld %u", m->begin.final_lsn, m->begin.commit_time, m->begin.xid);
        break;
    case PGOUTPUT_COMMIT:
        buf_printf(b, " %u %lX %lX %ld", m->commit.flags, m->commit.commit_lsn, m->commit.end_lsn,
                   m->commit.commit_time);
        break;
    case PGOUTPUT_ORIGIN:
        buf_printf(b, " %lX %s", m->origin.lsn, m->origin.name);
        break;
    case PGOUTPUT_RELATION:
        put_relation(b, &m->relation);
        break;
    case PGOUTPUT_TYPE:
        buf_printf(b, " %u %s.%s", m->type.oid, m->type.schema, m->type.name);
        break;
    case PGOUTPUT_INSERT:
    case PGOUTPUT_UPDATE:
    case PGOUTPUT_DELETE:
        buf_printf(b, " %u", m->row.oid);
        if (m->row.old_kind)
            put_tuple(b, m->row.old_kind, &d->old);
        if (m->row.has_new)
            put_tuple(b, 'N', &d->after);
        break;
    case PGOUTPUT_TRUNCATE:
        buf_printf(b, " %u", m->truncate.flags);
        for (int i = 0; i < m->truncate.count; i++)
            buf_printf(b, " %u", m->truncate.oids[i]);
        break;
    case PGOUTPUT_MESSAGE:
        buf_printf(b, " %d %lX %s [%.*s]", m->message.transactional, m->message.lsn,
                   m->message.prefix, (int)m->message.len, (const char *)m->message.content);
        break;
    case PGOUTPUT_STREAM_ABORT:
        break;
    }
}

/* The message as text, or the error. */
static void describe(struct buf *b, const uint8_t *data, size_t len, struct error *err)
{
    struct pgoutput_decoder d = {0};
    struct arena *a = arena_new("test");
    struct pgoutput_message m;

    buf_reset(b);
    error_clear(err);
    if (pgoutput_decode(&d, a, data, len, &m, err)) {
        buf_printf(b, "%c", (char)m.tag);
        put_body(b, &d, &m);
    } else {
        assert_int_not_equal(err->kind, ERROR_NONE);
        buf_puts(b, err->message);
    }
    buf_cstr(b);
    pgoutput_decoder_free(&d);
    arena_free(a);
}

static void expect(const char *hex, const char *want)
{
    struct buf b = {0};
    struct error err;
    size_t len;
    uint8_t *data = unhex(hex, &len);

    describe(&b, data, len, &err);
    assert_string_equal((char *)b.data, want);
    buf_free(&b);
    mem_free(data);
}

static void real_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pgoutput_vectors); i++)
        expect(pgoutput_vectors[i].hex, pgoutput_vectors[i].text);
}

static void made_messages(void **state)
{
    (void)state;
    expect("4f000000000000001073756200", "O 10 sub");
    /* A type of pg_catalog, a table without columns, a binary value, an empty one. */
    expect("590000400000696e743400", "Y 16384 pg_catalog.int4");
    expect("5200004000007400640000", "R 16384 pg_catalog.t d");
    expect("49000040004e0000", "I 16384 N[]");
    expect("49000040004e00026200000001377400000000", "I 16384 N[b=7|t=]");
    /* The key itself is out of line: unchanged in the new row, given by the key. */
    expect("55000040004b000274000000036b6b6b6e4e000275740000000132", "U 16384 K[t=kkk|n] N[u|t=2]");
}

static void expect_broken(const char *hex, const char *where)
{
    struct buf b = {0};
    struct error err;
    size_t len;
    uint8_t *data = unhex(hex, &len);

    describe(&b, data, len, &err);
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_memory_equal(err.message, "broken or truncated protocol message: ", 38);
    assert_string_equal(err.message + 38, where);
    buf_free(&b);
    mem_free(data);
}

static void broken_messages(void **state)
{
    (void)state;
    expect_broken("", "empty, at offset 0 of 0 bytes");
    expect_broken("4f00000000000000107375627e", "message 'O', at offset 9 of 13 bytes");
    /* Kinds of tuple and of column. */
    expect_broken("49000040004b0000", "message 'I', at offset 5 of 8 bytes");
    expect_broken("44000040004e0000", "message 'D', at offset 5 of 8 bytes");
    expect_broken("55000040004b00004b0000", "message 'U', at offset 8 of 11 bytes");
    expect_broken("49000040004e000178", "message 'I', at offset 8 of 9 bytes");
    expect_broken("5200004000007400780000", "message 'R', at offset 8 of 11 bytes");
    expect_broken("5200004000007400000000", "message 'R', at offset 8 of 11 bytes");
    /* Counts and lengths larger than the message. */
    expect_broken("49000040004e000174ffffffff31", "message 'I', at offset 13 of 14 bytes");
    expect_broken("49000040004effff6e", "message 'I', at offset 8 of 9 bytes");
    expect_broken("54ffffffff0000004000", "message 'T', at offset 6 of 10 bytes");
    expect_broken("520000400000740064ffff00", "message 'R', at offset 11 of 12 bytes");
    expect_broken("4d00000000000000000170000000000261", "message 'M', at offset 16 of 17 bytes");
    /* More than the message. */
    expect_broken("49000040004e000000", "message 'I', at offset 8 of 9 bytes");
}

static void unknown_messages(void **state)
{
    static const uint8_t stream_start[] = {'S', 0, 0, 0, 1, 1}, odd[] = {0x07};
    struct buf b = {0};
    struct error err;

    (void)state;
    describe(&b, stream_start, sizeof(stream_start), &err);
    assert_int_equal(err.kind, ERROR_FATAL);
    assert_string_equal(err.message,
                        "the server sent message 'S' at offset 0, which is not known here");
    assert_int_not_equal(err.hint[0], '\0');
    describe(&b, odd, sizeof(odd), &err);
    assert_int_equal(err.kind, ERROR_FATAL);
    assert_string_equal(err.message,
                        "the server sent message 0x07 at offset 0, which is not known here");
    buf_free(&b);
}

static void stray_aborts_are_counted(void **state)
{
    static const uint8_t abort_message[] = {'A', 0, 0, 2, 0xf9, 0, 0, 2, 0xfa};
    struct pgoutput_decoder d = {0};
    struct arena *a = arena_new("test");
    struct pgoutput_message m;
    struct error err;

    (void)state;
    assert_true(pgoutput_decode(&d, a, abort_message, sizeof(abort_message), &m, &err));
    assert_int_equal(m.tag, PGOUTPUT_STREAM_ABORT);
    assert_true(pgoutput_decode(&d, a, abort_message, 1, &m, &err));
    assert_int_equal(d.stray_aborts, 2);
    pgoutput_decoder_free(&d);
    arena_free(a);
}

static void content_may_hold_zero_bytes(void **state)
{
    static const uint8_t message[] = "M\1\0\0\0\0\0\0\0\1p\0\0\0\0\3a\0b";
    struct pgoutput_decoder d = {0};
    struct arena *a = arena_new("test");
    struct pgoutput_message m;
    struct error err;

    (void)state;
    assert_true(pgoutput_decode(&d, a, message, sizeof(message) - 1, &m, &err));
    assert_int_equal(m.message.len, 3);
    assert_memory_equal(m.message.content, "a\0b", 3);
    pgoutput_decoder_free(&d);
    arena_free(a);
}

static void decoder_forgets_the_last_row(void **state)
{
    struct pgoutput_decoder d = {0};
    struct arena *a = arena_new("test");
    struct pgoutput_message m;
    struct error err;
    size_t len[2];
    uint8_t *with_old = unhex("55000040004b00017400000001314e0001740000000132", &len[0]);
    uint8_t *without = unhex("55000040004e0001740000000133", &len[1]);

    (void)state;
    assert_true(pgoutput_decode(&d, a, with_old, len[0], &m, &err));
    assert_int_equal(m.row.old_kind, 'K');
    assert_int_equal(d.old.ncols, 1);
    assert_true(pgoutput_decode(&d, a, without, len[1], &m, &err));
    assert_int_equal(m.row.old_kind, 0);
    assert_int_equal(d.old.ncols, 0);
    assert_int_equal(d.after.ncols, 1);
    assert_memory_equal(d.after.cells[0].p, "3", 1);
    mem_free(with_old);
    mem_free(without);
    pgoutput_decoder_free(&d);
    arena_free(a);
}

/* No message is a prefix of itself: every cut is an error, at an offset inside it. */
static void every_truncation_is_an_error(void **state)
{
    struct buf b = {0};
    struct error err;

    (void)state;
    for (size_t i = 0; i < COUNT(pgoutput_vectors); i++) {
        size_t len;
        uint8_t *data = unhex(pgoutput_vectors[i].hex, &len);

        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *exact = mem_alloc(cut > 0 ? cut : 1);

            memcpy(exact, data, cut);
            describe(&b, exact, cut, &err);
            assert_int_equal(err.kind, ERROR_RETRY);
            mem_free(exact);
        }
        mem_free(data);
    }
    buf_free(&b);
}

static void mutations_are_survived(void **state)
{
    static const uint8_t flips[] = {0x01, 0x02, 0x20, 0x7f, 0x80, 0xff};
    struct buf b = {0};
    struct error err;

    (void)state;
    for (size_t i = 0; i < COUNT(pgoutput_vectors); i++) {
        size_t len;
        uint8_t *data = unhex(pgoutput_vectors[i].hex, &len);

        for (size_t at = 0; at < len; at++) {
            for (size_t k = 0; k < COUNT(flips); k++) {
                data[at] ^= flips[k];
                describe(&b, data, len, &err);
                data[at] ^= flips[k];
            }
        }
        describe(&b, data, len, &err);
        assert_string_equal((char *)b.data, pgoutput_vectors[i].text);
        mem_free(data);
    }
    buf_free(&b);
}

static void copy_data(void **state)
{
    size_t len;
    uint8_t *w = unhex("7700000000016b535000000000016b53800003040690656e854249", &len);
    struct pgoutput_copy c;
    struct error err;

    (void)state;
    assert_true(pgoutput_copy_data(w, len, &c, &err));
    assert_int_equal(c.tag, 'w');
    assert_int_equal(c.start_lsn, 0x16b5350);
    assert_int_equal(c.wal_end, 0x16b5380);
    assert_int_equal(c.send_time, 0x3040690656e85);
    assert_int_equal(c.payload_len, 2);
    assert_memory_equal(c.payload, "BI", 2);
    for (size_t cut = 0; cut < 25; cut++) {
        assert_false(pgoutput_copy_data(w, cut, &c, &err));
        assert_int_equal(err.kind, ERROR_RETRY);
    }
    w[0] = 'z';
    assert_false(pgoutput_copy_data(w, len, &c, &err));
    assert_int_equal(err.kind, ERROR_FATAL);
    mem_free(w);
}

static void keepalive(void **state)
{
    size_t len;
    uint8_t *k = unhex("6b00000000016b53800003040690656e850100", &len);
    struct pgoutput_copy c;
    struct error err;

    (void)state;
    assert_true(pgoutput_copy_data(k, len - 1, &c, &err));
    assert_int_equal(c.tag, 'k');
    assert_int_equal(c.wal_end, 0x16b5380);
    assert_int_equal(c.send_time, 0x3040690656e85);
    assert_true(c.reply_now);
    assert_false(pgoutput_copy_data(k, len, &c, &err));
    for (size_t cut = 0; cut < len - 1; cut++)
        assert_false(pgoutput_copy_data(k, cut, &c, &err));
    mem_free(k);
}

static void status_update(void **state)
{
    uint8_t out[PGOUTPUT_STATUS_SIZE];
    size_t len;
    uint8_t *want =
        unhex("720000000000000003000000000000000200000000000000010003040690656e8501", &len);

    (void)state;
    pgoutput_status(out, 3, 2, 1, 0x3040690656e85, true);
    assert_int_equal(len, sizeof(out));
    assert_memory_equal(out, want, len);
    mem_free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_messages),
        cmocka_unit_test(made_messages),
        cmocka_unit_test(broken_messages),
        cmocka_unit_test(unknown_messages),
        cmocka_unit_test(stray_aborts_are_counted),
        cmocka_unit_test(content_may_hold_zero_bytes),
        cmocka_unit_test(decoder_forgets_the_last_row),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(mutations_are_survived),
        cmocka_unit_test(copy_data),
        cmocka_unit_test(keepalive),
        cmocka_unit_test(status_update),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
