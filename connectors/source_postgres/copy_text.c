/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server writes a tab inside a value as \t and a newline as \n, so a raw tab always separates
 * and memchr finds it. Escapes are undone in place: the result is never longer than its source.
 * All the manual's escapes are understood, though COPY TO writes only \\ \b \f \n \r \t \v \N.
 */
#include "source_postgres/copy_text.h"

#include "util/causes.h"

#include <string.h>

static bool broken(const char *why, size_t at, size_t len, struct error *err)
{
    return error_cause(err, CAUSE_PROTOCOL_BROKEN,
                       "broken or truncated COPY row: %s, at offset %zu of %zu bytes", why, at,
                       len);
}

/* -1 if c is not a digit of that base (8 or 16). */
static int digit(char c, int base)
{
    int v = -1;

    if (c >= '0' && c <= '9')
        v = c - '0';
    else if (c >= 'a' && c <= 'f')
        v = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F')
        v = c - 'A' + 10;
    return v < base ? v : -1;
}

/* Up to max digits from p on; what they stand for goes to *out, as one byte. */
static const char *take_digits(const char *p, const char *end, int base, int max, char *out)
{
    int v = 0;

    for (int n = 0; n < max && p < end && digit(*p, base) >= 0; n++)
        v = v * base + digit(*p++, base);
    *out = (char)(v & 0xff);
    return p;
}

/* p is behind a backslash and before end. Returns what follows the escape. */
static const char *take_escape(const char *p, const char *end, char *out)
{
    static const char letters[] = "bfnrtv";
    static const char bytes[] = "\b\f\n\r\t\v";
    const char *letter;

    if (digit(*p, 8) >= 0)
        return take_digits(p, end, 8, 3, out);
    if (*p == 'x' && p + 1 < end && digit(p[1], 16) >= 0)
        return take_digits(p + 1, end, 16, 2, out);
    letter = *p == '\0' ? NULL : strchr(letters, *p);
    *out = letter != NULL ? bytes[letter - letters] : *p;
    return p + 1;
}

/* Undoes the escapes of [p, end), the first of which is at esc. False: a backslash ends it. */
static bool unescape(char *esc, const char *end, size_t *shorter)
{
    char *to = esc;
    const char *from = esc;

    while (from < end) {
        if (*from != '\\') {
            *to++ = *from++;
        } else if (from + 1 == end) {
            return false;
        } else {
            from = take_escape(from + 1, end, to);
            to++;
        }
    }
    *shorter = (size_t)(end - to);
    return true;
}

static bool set_cell(struct pg_cell *cell, char *from, char *end)
{
    char *esc = memchr(from, '\\', (size_t)(end - from));
    size_t shorter = 0;

    cell->kind = PG_CELL_TEXT;
    cell->p = from;
    cell->len = (size_t)(end - from);
    if (esc == NULL)
        return true;
    if (cell->len == 2 && from[1] == 'N') {
        cell->kind = PG_CELL_NULL;
        cell->p = NULL;
        cell->len = 0;
        return true;
    }
    if (!unescape(esc, end, &shorter))
        return false;
    cell->len -= shorter;
    return true;
}

bool copy_text_split(char *row, size_t len, struct pg_cell *cells, int ncells, struct error *err)
{
    char *from = row, *end;
    int n = 0;

    if (len == 0 || row[len - 1] != '\n')
        return broken("no newline at its end", len, len, err);
    end = row + len - 1;
    if (ncells == 0) /* a table without columns */
        return from == end || broken("more columns than were asked for", 0, len, err);
    for (;;) {
        char *tab = memchr(from, '\t', (size_t)(end - from));
        char *stop = tab != NULL ? tab : end;

        if (n == ncells)
            return broken("more columns than were asked for", (size_t)(from - row), len, err);
        if (!set_cell(&cells[n++], from, stop))
            return broken("a lone backslash", (size_t)(stop - row) - 1, len, err);
        if (tab == NULL)
            break;
        from = tab + 1;
    }
    return n == ncells || broken("fewer columns than were asked for", len, len, err);
}
