/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock.wanted: keys whose rows are to be read at the source again. A key is kept as its bytes
 * in hexadecimal digits and found by their SHA-256, because no index takes keys of any length.
 */
#include "state/books_internal.h"

#include <openssl/sha.h>

static void put_hex(struct buf *sql, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    buf_puts(sql, "'");
    for (i = 0; i < n; i++) {
        buf_u8(sql, (uint8_t)digits[bytes[i] >> 4]);
        buf_u8(sql, (uint8_t)digits[bytes[i] & 15]);
    }
    buf_puts(sql, "'");
}

static void put_hash(struct buf *sql, const uint8_t *key, size_t len)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];

    SHA256(len > 0 ? key : (const uint8_t *)"", len, hash);
    put_hex(sql, hash, sizeof(hash));
}

static void where_key(struct buf *sql, const struct books *b, uint32_t oid, const uint8_t *key,
                      size_t len)
{
    books_where_table(sql, b, oid);
    buf_puts(sql, " AND key_sha256 = ");
    put_hash(sql, key, len);
}

bool books_wanted_add(struct books *b, uint32_t oid, const uint8_t *key, size_t len,
                      uint32_t key_schema_id, int64_t csn, struct error *err)
{
    struct buf sql = {0};
    int64_t n = 0;
    bool ok;

    buf_printf(&sql, "UPDATE penstock.wanted SET key_schema_id = %u, csn = %lld", key_schema_id,
               (long long)csn);
    where_key(&sql, b, oid, key, len);
    ok = books_exec(b, &sql, &n, err);
    if (ok && n == 0) {
        buf_reset(&sql);
        buf_puts(&sql, "INSERT INTO penstock.wanted (connector, source, source_id, key_hex, "
                       "key_sha256, key_schema_id, csn) VALUES (");
        books_owner_values(&sql, b, oid);
        buf_puts(&sql, ", ");
        put_hex(&sql, key, len);
        buf_puts(&sql, ", ");
        put_hash(&sql, key, len);
        buf_printf(&sql, ", %u, %lld)", key_schema_id, (long long)csn);
        ok = books_exec(b, &sql, NULL, err);
    }
    buf_free(&sql);
    return ok;
}

bool books_wanted_remove(struct books *b, uint32_t oid, const uint8_t *key, size_t len,
                         struct error *err)
{
    struct buf sql = {0};
    bool ok;

    buf_puts(&sql, "DELETE FROM penstock.wanted");
    where_key(&sql, b, oid, key, len);
    ok = books_exec(b, &sql, NULL, err);
    buf_free(&sql);
    return ok;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct arena *a, const char *hex, struct books_wanted *w, struct error *err)
{
    size_t i, n = strlen(hex);
    uint8_t *key = arena_calloc(a, n / 2 + 1, 1);

    w->key = key;
    w->len = n / 2;
    for (i = 0; i < n / 2; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            break;
        key[i] = (uint8_t)(high << 4 | low);
    }
    if (2 * i != n)
        return error_set(err, ERROR_FATAL, "penstock.wanted: a key_hex of table %u is not readable",
                         w->oid);
    return true;
}

bool books_wanted_read(struct books *b, struct arena *a, struct books_wanted **out, int *n,
                       struct error *err)
{
    struct buf sql = {0};
    struct rowset r;
    bool ok;
    int i;

    buf_puts(&sql, "SELECT source_id, key_hex, key_schema_id, csn FROM penstock.wanted");
    books_where(&sql, b);
    buf_puts(&sql, " ORDER BY source_id, key_hex");
    ok = b->ops->query(b->session, a, buf_cstr(&sql), &r, err);
    buf_free(&sql);
    if (!ok)
        return false;
    *n = r.nrows;
    *out = arena_calloc(a, (size_t)r.nrows, sizeof(**out));
    for (i = 0; ok && i < r.nrows; i++) {
        struct books_wanted *w = &(*out)[i];

        w->oid = (uint32_t)books_int(rowset_get(&r, i, 0));
        w->key_schema_id = (uint32_t)books_int(rowset_get(&r, i, 2));
        w->csn = books_int(rowset_get(&r, i, 3));
        ok = read_hex(a, rowset_get(&r, i, 1), w, err);
    }
    return ok;
}
