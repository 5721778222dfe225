/* SPDX-License-Identifier: Apache-2.0 */
/* A line for each table, what is to be said of it below, then the differences, and one last line.
 */
#include "cli/verify.h"

#include <string.h>

enum { NAME_MOST = 60 };

static void put_clean(FILE *out, const char *s)
{
    for (; s != NULL && *s != '\0'; s++)
        fputc((unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : *s, out);
}

static const char *text(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s != NULL ? s : "";
}

static long long number(const json_t *j, const char *key)
{
    return (long long)json_integer_value(json_object_get(j, key));
}

static int name_length(const json_t *t)
{
    return (int)(strlen(text(t, "schema")) + 1 + strlen(text(t, "table")));
}

static void put_name(FILE *out, const json_t *t, int width)
{
    put_clean(out, text(t, "schema"));
    fputc('.', out);
    put_clean(out, text(t, "table"));
    fprintf(out, "%*s", width > name_length(t) ? width - name_length(t) : 0, "");
}

/* "12", or "12+" where that is not all. */
static void put_count(FILE *out, const json_t *counts, const char *key)
{
    char cell[32];

    snprintf(cell, sizeof(cell), "%lld%s", number(counts, key),
             json_is_false(json_object_get(counts, "exact")) ? "+" : "");
    fprintf(out, " %9s", cell);
}

static void print_table(FILE *out, const json_t *t, int width)
{
    const json_t *rows = json_object_get(t, "rows"), *counts = json_object_get(t, "counts");
    const json_t *repaired = json_object_get(t, "repaired");

    put_name(out, t, width);
    fprintf(out, "  %-9s", text(t, "state"));
    if (json_is_object(rows)) {
        fprintf(out, " %12lld %12lld", number(rows, "source"), number(rows, "warehouse"));
        put_count(out, counts, "missing");
        put_count(out, counts, "extra");
        put_count(out, counts, "different");
    }
    if (json_is_integer(repaired))
        fprintf(out, "  repaired %lld", number(t, "repaired"));
    else if (json_is_string(repaired))
        fprintf(out, "  %s", text(t, "repaired"));
    fputc('\n', out);
    if (text(t, "reason")[0] != '\0') {
        fputs("  ", out);
        put_clean(out, text(t, "reason"));
        fputc('\n', out);
    }
    if (text(t, "note")[0] != '\0') {
        fputs("  ", out);
        put_clean(out, text(t, "note"));
        fputc('\n', out);
    }
    if (number(t, "wanted") > 0)
        fprintf(out, "  %lld rows are missing because they are being read again\n",
                number(t, "wanted"));
    if (number(t, "nulled") > 0)
        fprintf(out,
                "  %lld values cannot be held by their column there and are NULL "
                "(value.overflow.mode)\n",
                number(t, "nulled"));
}

/* id=1 name=NULL */
static void print_values(FILE *out, const json_t *values)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)values, key, value)
    {
        fputc(' ', out);
        put_clean(out, key);
        fputc('=', out);
        put_clean(out, json_is_string(value) ? json_string_value(value) : "NULL");
    }
}

static void print_difference(FILE *out, const json_t *d)
{
    const json_t *columns = json_object_get(d, "columns"), *each;
    size_t i;

    fprintf(out, "  %-9s", text(d, "kind"));
    print_values(out, json_object_get(d, "key"));
    print_values(out, json_object_get(d, "row"));
    if (number(d, "rows") > 1)
        fprintf(out, " (%lld rows)", number(d, "rows"));
    json_array_foreach(columns, i, each)
    {
        fputs(i == 0 ? "  in " : ", ", out);
        put_clean(out, json_string_value(each));
    }
    fputc('\n', out);
}

static void print_differences(FILE *out, const json_t *t)
{
    const json_t *list = json_object_get(t, "differences"), *each;
    size_t i;

    if (json_array_size(list) == 0)
        return;
    fputc('\n', out);
    put_name(out, t, 0);
    fputs(":\n", out);
    json_array_foreach(list, i, each)
    {
        print_difference(out, each);
    }
    if (json_is_true(json_object_get(t, "truncated")))
        fputs("  ... and more: raise --limit to see them\n", out);
}

/* "12 tables: 10 equal, 1 different, 1 not compared" */
static void print_counts(FILE *out, const json_t *tables)
{
    size_t i, n = json_array_size(tables), equal = 0, different = 0;
    const json_t *t;

    json_array_foreach(tables, i, t)
    {
        equal += strcmp(text(t, "state"), "equal") == 0;
        different += strcmp(text(t, "state"), "different") == 0;
    }
    fprintf(out, "%zu table%s: %zu equal, %zu different, %zu not compared\n", n, n == 1 ? "" : "s",
            equal, different, n - equal - different);
}

static void print_end(FILE *out, const json_t *j)
{
    const char *state = text(j, "state");
    size_t n = json_array_size(json_object_get(j, "tables"));

    if (strcmp(state, "failed") == 0) {
        fputs("verification failed: ", out);
        put_clean(out, text(j, "error"));
        fputc('\n', out);
    } else if (strcmp(state, "cancelled") == 0) {
        fputs("cancelled\n", out);
    } else if (json_is_true(json_object_get(j, "equal"))) {
        fprintf(out, "%zu table%s, equal to the source\n", n, n == 1 ? "" : "s");
    } else {
        print_counts(out, json_object_get(j, "tables"));
    }
}

void verify_print(FILE *out, const json_t *j)
{
    const json_t *tables = json_object_get(j, "tables"), *t;
    int width = 5;
    size_t i;

    json_array_foreach(tables, i, t)
    {
        if (name_length(t) > width)
            width = name_length(t) > NAME_MOST ? NAME_MOST : name_length(t);
    }
    fprintf(out, "%-*s  %-9s %12s %12s %9s %9s %9s\n", width, "TABLE", "STATE", "SOURCE",
            "WAREHOUSE", "MISSING", "EXTRA", "DIFFERENT");
    json_array_foreach(tables, i, t)
    {
        print_table(out, t, width);
    }
    json_array_foreach(tables, i, t)
    {
        print_differences(out, t);
    }
    fputc('\n', out);
    print_end(out, j);
}
