/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DuckDB's errors as ours. Its messages quote the value that could not be converted or was there
 * twice, and go on with the statement and a stack trace: only the first line is kept, and in
 * errors that are about data everything that may be a value is replaced by dots.
 */
#include "warehouse_duckdb/wdk.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool depends(duckdb_error_type type, const char *message)
{
    return type == DUCKDB_ERROR_DEPENDENCY ||
           (type == DUCKDB_ERROR_CATALOG &&
            (strstr(message, "depends on it") != NULL || strstr(message, "depend on it") != NULL));
}

static enum error_kind kind_of(duckdb_error_type type, const char *message)
{
    switch (type) {
    case DUCKDB_ERROR_OUT_OF_RANGE:
    case DUCKDB_ERROR_CONVERSION:
    case DUCKDB_ERROR_DECIMAL:
    case DUCKDB_ERROR_MISMATCH_TYPE:
    case DUCKDB_ERROR_DIVIDE_BY_ZERO:
    case DUCKDB_ERROR_OBJECT_SIZE:
    case DUCKDB_ERROR_INVALID_TYPE:
    case DUCKDB_ERROR_CONSTRAINT:
    case DUCKDB_ERROR_INVALID_INPUT:
        return ERROR_DATA;
    case DUCKDB_ERROR_TRANSACTION: /* a conflict, or a constraint that is checked at the commit */
        return strstr(message, "constraint violation") != NULL ? ERROR_DATA : ERROR_RETRY;
    case DUCKDB_ERROR_CONNECTION:
    case DUCKDB_ERROR_IO:
    case DUCKDB_ERROR_INTERRUPT:
    case DUCKDB_ERROR_FATAL:
    case DUCKDB_ERROR_INTERNAL:
    case DUCKDB_ERROR_OUT_OF_MEMORY:
        return ERROR_RETRY;
    case DUCKDB_ERROR_CATALOG: /* of an index that the user made, or our own statement is wrong */
        return depends(type, message) ? ERROR_CONFIG : ERROR_FATAL;
    case DUCKDB_ERROR_PERMISSION:
    case DUCKDB_ERROR_DEPENDENCY:
    case DUCKDB_ERROR_SETTINGS:
        return ERROR_CONFIG;
    default:
        return ERROR_FATAL;
    }
}

/* Double quotes hold names in these, values in the others. */
static bool quotes_names(duckdb_error_type type)
{
    return type == DUCKDB_ERROR_CATALOG || type == DUCKDB_ERROR_BINDER ||
           type == DUCKDB_ERROR_PARSER || type == DUCKDB_ERROR_SYNTAX || type == DUCKDB_ERROR_IO ||
           type == DUCKDB_ERROR_DEPENDENCY || type == DUCKDB_ERROR_PERMISSION ||
           type == DUCKDB_ERROR_FATAL || type == DUCKDB_ERROR_SETTINGS;
}

/* From the first quote to the last: a value may hold quotes itself. */
static void mask_quoted(char *s, char quote)
{
    char *first = strchr(s, quote), *last;
    size_t room;

    if (first == NULL)
        return;
    last = strrchr(s, quote);
    if (last == first) /* cut off inside the value */
        last = s + strlen(s) - 1;
    room = (size_t)(last - first) + 1;
    if (room < 5) /* as short as the mask: 'x' is a value, too */
        memset(first, '.', room);
    else {
        first[0] = quote;
        memcpy(first + 1, "...", 3);
        first[4] = quote;
        memmove(first + 5, last + 1, strlen(last + 1) + 1);
    }
}

/* Digits that are not part of a name (INT32, TIMESTAMP_S). */
static void mask_numbers(char *s)
{
    char *to = s;
    bool word = false;

    while (*s != '\0') {
        if (!word && isdigit((unsigned char)*s)) {
            while (isdigit((unsigned char)*s) || *s == '.')
                s++;
            *to++ = '#';
        } else {
            word = isalnum((unsigned char)*s) || *s == '_';
            *to++ = *s++;
        }
    }
    *to = '\0';
}

void wdk_mask(duckdb_error_type type, const char *message, char *out, size_t size)
{
    static const char marker[] = "with value ";
    char *end;

    snprintf(out, size, "%s", message == NULL ? "unknown error" : message);
    end = strpbrk(out, "\r\n");
    if (end != NULL)
        *end = '\0';
    if (type != DUCKDB_ERROR_IO && type != DUCKDB_ERROR_FATAL)
        mask_quoted(out, '\'');
    if (quotes_names(type))
        return;
    mask_quoted(out, '"');
    if (type == DUCKDB_ERROR_OUT_OF_MEMORY || type == DUCKDB_ERROR_INTERNAL)
        return;
    end = strstr(out, marker);
    if (end != NULL)
        end[sizeof(marker) - 1] = '\0';
    mask_numbers(out);
}

static bool disk_full(const char *message)
{
    return strstr(message, "No space left") != NULL ||
           strstr(message, "max_temp_directory_size") != NULL;
}

bool wdk_error(struct error *err, duckdb_error_type type, const char *message)
{
    char text[900];

    if (message == NULL)
        message = "unknown error";
    /* A full disk's message quotes the file, whatever the type of the error. */
    wdk_mask(disk_full(message) ? DUCKDB_ERROR_IO : type, message, text, sizeof(text));
    error_set(err, kind_of(type, message), "DuckDB: %s", text);
    if (disk_full(message))
        return error_hint(err, "make room on the disk of the warehouse file and of "
                               "duckdb.temp.directory");
    if (type == DUCKDB_ERROR_OUT_OF_MEMORY)
        return error_hint(err, "raise duckdb.memory.limit, or make room in duckdb.temp.directory");
    if (type == DUCKDB_ERROR_FATAL || type == DUCKDB_ERROR_INTERNAL ||
        strstr(message, "has been invalidated") != NULL)
        return error_hint(err, "DuckDB closed the file to protect it; it is opened again and "
                               "its log replayed");
    if (depends(type, message))
        return error_hint(err, "drop the index or other object that was made on that table");
    return false;
}
