/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer of POST /v1/query for people (table) and for programs (CSV). In the table a value can
 * do nothing to the terminal: control characters are shown as \n, \t or \xHH. A text that reads
 * NULL is put in quotes there, so that NULL without them is the absence of a value.
 */
#include "cli/query.h"
#include "load/text_float.h"
#include "util/mem.h"

#include <string.h>

enum { GAP = 2 };

bool query_is_answer(const json_t *answer)
{
    const json_t *columns = json_object_get(answer, "columns");
    const json_t *rows = json_object_get(answer, "rows"), *each;
    size_t i;

    if (!json_is_array(columns) || !json_is_array(rows))
        return false;
    json_array_foreach(columns, i, each)
    {
        if (!json_is_string(json_object_get(each, "name")) ||
            !json_is_string(json_object_get(each, "type")))
            return false;
    }
    json_array_foreach(rows, i, each)
    {
        if (!json_is_array(each) || json_array_size(each) != json_array_size(columns))
            return false;
    }
    return true;
}

/* A cell's text as it is; NULL and other absences give nothing. */
static void put_plain(struct buf *out, const json_t *v)
{
    if (json_is_string(v))
        buf_append(out, json_string_value(v), json_string_length(v));
    else if (json_is_integer(v))
        buf_printf(out, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        text_float8(out, json_real_value(v));
    else if (json_is_boolean(v))
        buf_puts(out, json_is_true(v) ? "true" : "false");
}

/* --- table --- */

void query_put_escaped(struct buf *out, const char *s, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i], next = i + 1 < n ? (unsigned char)s[i + 1] : 0;

        if (c == '\n' || c == '\t' || c == '\r') {
            buf_puts(out, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\x%02x", c);
        } else if (c == 0xc2 && next >= 0x80 && next < 0xa0) { /* U+0080 to U+009F */
            buf_printf(out, "\\x%02x", next);
            i++;
        } else {
            buf_u8(out, c);
        }
    }
}

static void put_shown(struct buf *out, const json_t *v)
{
    struct buf plain = {0};

    put_plain(&plain, v);
    if (json_is_null(v))
        buf_puts(out, "NULL");
    else if (json_is_string(v) && strcmp(json_string_value(v), "NULL") == 0)
        buf_puts(out, "\"NULL\"");
    else
        query_put_escaped(out, (const char *)plain.data, plain.len);
    buf_free(&plain);
}

/* Columns on a terminal, taken as one a code point. */
static size_t width(const struct buf *b)
{
    size_t i, n = 0;

    for (i = 0; i < b->len; i++)
        n += (b->data[i] & 0xc0) != 0x80;
    return n;
}

static bool is_number(const char *type)
{
    static const char *const numbers[] = {"TINYINT", "SMALLINT", "INTEGER",   "BIGINT",
                                          "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
                                          "UBIGINT", "UHUGEINT", "FLOAT",     "DOUBLE"};
    size_t i;

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(type, numbers[i]) == 0)
            return true;
    }
    return strncmp(type, "DECIMAL(", 8) == 0 && type[strlen(type) - 1] == ')';
}

struct column {
    bool right;
    size_t width;
};

/* One line; blanks at its end are not written. */
static void put_line(FILE *out, const struct column *columns, const struct buf *cells, size_t n)
{
    size_t c, owed = 0, pad;

    for (c = 0; c < n; c++) {
        pad = columns[c].width - width(&cells[c]);
        owed += columns[c].right ? pad : 0;
        if (cells[c].len > 0) {
            fprintf(out, "%*s", (int)owed, "");
            fwrite(cells[c].data, 1, cells[c].len, out);
            owed = 0;
        }
        owed += (columns[c].right ? 0 : pad) + GAP;
    }
    fputc('\n', out);
}

static void put_dashes(FILE *out, const struct column *columns, size_t n)
{
    size_t c, i;

    for (c = 0; c < n; c++) {
        fputs(c > 0 ? "  " : "", out);
        for (i = 0; i < columns[c].width; i++)
            fputc('-', out);
    }
    fputc('\n', out);
}

/* Cells of the header and of all rows, one after another. */
static struct buf *shown_cells(const json_t *names, const json_t *rows, size_t n,
                               struct column *columns)
{
    struct buf *cells = mem_calloc((json_array_size(rows) + 1) * n + 1, sizeof(*cells));
    const json_t *row;
    size_t i, c;

    for (c = 0; c < n; c++) {
        const json_t *column = json_array_get(names, c), *name = json_object_get(column, "name");

        columns[c].right = is_number(json_string_value(json_object_get(column, "type")));
        query_put_escaped(&cells[c], json_string_value(name), json_string_length(name));
        columns[c].width = width(&cells[c]);
    }
    json_array_foreach(rows, i, row)
    {
        for (c = 0; c < n; c++) {
            struct buf *cell = &cells[(i + 1) * n + c];

            put_shown(cell, json_array_get(row, c));
            if (width(cell) > columns[c].width)
                columns[c].width = width(cell);
        }
    }
    return cells;
}

void query_print_table(FILE *out, const json_t *answer)
{
    const json_t *names = json_object_get(answer, "columns");
    const json_t *rows = json_object_get(answer, "rows");
    size_t n = json_array_size(names), nrows = json_array_size(rows), i;
    struct column *columns = mem_calloc(n + 1, sizeof(*columns));
    struct buf *cells = shown_cells(names, rows, n, columns);

    put_line(out, columns, cells, n);
    put_dashes(out, columns, n);
    for (i = 1; i <= nrows; i++)
        put_line(out, columns, cells + i * n, n);
    fprintf(out, "(%zu row%s%s)\n", nrows, nrows == 1 ? "" : "s",
            json_is_true(json_object_get(answer, "truncated")) ? ", and there are more" : "");
    for (i = 0; i < (nrows + 1) * n; i++)
        buf_free(&cells[i]);
    mem_free(cells);
    mem_free(columns);
}

/* --- CSV --- */

static void put_field(FILE *out, const char *s, size_t len, bool is_text)
{
    bool quoted = is_text && len == 0;
    size_t i;

    for (i = 0; i < len && !quoted; i++)
        quoted = s[i] == ',' || s[i] == '"' || s[i] == '\r' || s[i] == '\n';
    if (!quoted) {
        fwrite(s, 1, len, out);
        return;
    }
    fputc('"', out);
    for (i = 0; i < len; i++) {
        if (s[i] == '"')
            fputc('"', out);
        fputc(s[i], out);
    }
    fputc('"', out);
}

static void put_csv_row(FILE *out, const json_t *row)
{
    struct buf b = {0};
    const json_t *v;
    size_t c;

    json_array_foreach(row, c, v)
    {
        if (c > 0)
            fputc(',', out);
        buf_reset(&b);
        put_plain(&b, v);
        put_field(out, b.data == NULL ? "" : (const char *)b.data, b.len, json_is_string(v));
    }
    fputs("\r\n", out);
    buf_free(&b);
}

void query_print_csv(FILE *out, const json_t *answer)
{
    const json_t *each, *name;
    size_t i;

    json_array_foreach(json_object_get(answer, "columns"), i, each)
    {
        name = json_object_get(each, "name");
        fputs(i > 0 ? "," : "", out);
        put_field(out, json_string_value(name), json_string_length(name), true);
    }
    fputs("\r\n", out);
    json_array_foreach(json_object_get(answer, "rows"), i, each)
    {
        put_csv_row(out, each);
    }
}
