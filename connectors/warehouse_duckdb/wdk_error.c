/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DuckDB's errors as ours. Its messages quote the value that could not be converted or was there
 * twice, and go on with the statement and a stack trace: only the first line is kept, and in
 * errors that are about data everything that may be a value is replaced by dots. Kinds and hints
 * are the table's (wdk_states.c).
 */
#include "warehouse_duckdb/wdk.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

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
    if (wdk_state_find(type, out)->quotes_names)
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

/* A target that somebody dropped, or a column of one: a load makes it anew. */
static bool is_gone(duckdb_error_type type, const char *message)
{
    return (type == DUCKDB_ERROR_CATALOG && strstr(message, "does not exist") != NULL) ||
           (type == DUCKDB_ERROR_BINDER && (strstr(message, "not found in FROM clause") != NULL ||
                                            strstr(message, "does not have a column") != NULL));
}

bool wdk_error(struct error *err, duckdb_error_type type, const char *message)
{
    const struct wdk_state *state;
    char text[900];

    if (message == NULL)
        message = "unknown error";
    if (disk_full(message)) { /* the message quotes the file, whatever the type of the error */
        wdk_mask(DUCKDB_ERROR_IO, message, text, sizeof(text));
        error_cause(err, CAUSE_DISK_FULL, "DuckDB: %s", text);
        return error_fill(err, "disk", "the warehouse file and of duckdb.temp.directory");
    }
    if (strstr(message, "has been invalidated") != NULL) /* by an error before this one */
        type = DUCKDB_ERROR_FATAL;
    state = wdk_state_find(type, message);
    wdk_mask(type, message, text, sizeof(text));
    error_set(err, state->note.kind, "DuckDB: %s", text);
    if (err != NULL) {
        err->cause = state->note.name;
        err->reload = is_gone(type, message);
    }
    return error_hint(err, "%s", state->note.who);
}
