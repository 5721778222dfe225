/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C: the vectors of RFC 3720 B.4, and both ways the same at every length and alignment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "util/crc32c.h"

static void check(const void *p, size_t n, uint32_t want)
{
    assert_int_equal(crc32c(0, p, n), want);
    assert_int_equal(crc32c_portable(0, p, n), want);
}

static void vectors(void **state)
{
    static const uint8_t iscsi_read[48] = {
        0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
        0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
    uint8_t b[32];

    (void)state;
    memset(b, 0, sizeof(b));
    check(b, sizeof(b), 0x8a9136aa);
    memset(b, 0xff, sizeof(b));
    check(b, sizeof(b), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t)i;
    check(b, sizeof(b), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t)(31 - i);
    check(b, sizeof(b), 0x113fdb5c);
    check(iscsi_read, sizeof(iscsi_read), 0xd9963a56);
    check("123456789", 9, 0xe3069283);
    check("", 0, 0);
}

static void both_ways_and_in_pieces(void **state)
{
    uint8_t *b = malloc(400);
    unsigned seed = 1;

    (void)state;
    assert_non_null(b);
    for (int i = 0; i < 400; i++)
        b[i] = (uint8_t)rand_r(&seed);
    for (size_t from = 0; from < 9; from++) {
        for (size_t n = 0; n + from <= 300; n++) {
            uint32_t whole = crc32c_portable(0, b + from, n);
            size_t cut = n > 0 ? (size_t)rand_r(&seed) % n : 0;

            assert_int_equal(crc32c(0, b + from, n), whole);
            assert_int_equal(crc32c(crc32c(0, b + from, cut), b + from + cut, n - cut), whole);
            assert_int_equal(
                crc32c_portable(crc32c_portable(0, b + from, cut), b + from + cut, n - cut), whole);
        }
    }
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(both_ways_and_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
