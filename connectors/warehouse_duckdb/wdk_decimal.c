/* SPDX-License-Identifier: Apache-2.0 */
/* Text to DuckDB's fixed-point numbers (up to 38 digits) and UUIDs, exactly or not at all. */
#include "warehouse_duckdb/wdk.h"

#include <ctype.h>
#include <strings.h>

static const char *not_a_number(const char *p, size_t len)
{
    if (len > 0 && (*p == '-' || *p == '+')) {
        p++;
        len--;
    }
    if (len == 3 && strncasecmp(p, "nan", 3) == 0)
        return "NaN";
    if (len >= 3 && strncasecmp(p, "inf", 3) == 0)
        return "infinity";
    return "text that is not a decimal number";
}

const char *wdk_decimal(const char *p, size_t len, int precision, int scale, __int128 *out)
{
    const char *end = p + len, *start = p;
    bool negative = p < end && *p == '-';
    int digits = 0, fraction = -1; /* fraction: digits after the point, -1 before it */
    bool seen = false;
    __int128 n = 0;

    if (p < end && (*p == '-' || *p == '+'))
        p++;
    for (; p < end; p++) {
        if (*p == '.' && fraction < 0) {
            fraction = 0;
            continue;
        }
        if (!isdigit((unsigned char)*p))
            return not_a_number(start, len);
        seen = true;
        if (fraction >= 0 && fraction == scale) {
            if (*p != '0')
                return "a number with more decimal places";
            continue;
        }
        if (fraction >= 0)
            fraction++;
        if ((digits > 0 || *p != '0') && ++digits > precision)
            return "a number with more digits";
        n = n * 10 + (*p - '0');
    }
    if (!seen)
        return not_a_number(start, len);
    for (fraction = fraction < 0 ? 0 : fraction; fraction < scale; fraction++) {
        if (digits > 0 && ++digits > precision)
            return "a number with more digits";
        n *= 10;
    }
    *out = negative ? -n : n;
    return NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool wdk_uuid(const char *p, size_t len, duckdb_hugeint *out)
{
    uint64_t half[2] = {0, 0};
    int n = 0, d;
    size_t i;

    for (i = 0; i < len; i++) {
        if (p[i] == '-')
            continue;
        d = hex_digit(p[i]);
        if (d < 0 || n == 32)
            return false;
        half[n / 16] = half[n / 16] << 4 | (uint64_t)d;
        n++;
    }
    if (n != 32)
        return false;
    out->upper = (int64_t)(half[0] ^ UINT64_C(1) << 63); /* so that UUIDs sort as their text */
    out->lower = half[1];
    return true;
}
