/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the text is that a statement can meet: DuckDB keeps the length of the longest value of
 * each column. From that, and from what has been counted in the syntax tree, follows how much a
 * vector of values that it makes can hold, and how long the search for a pattern can take.
 */
#include "util/mem.h"
#include "warehouse_duckdb/wdk_judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VECTOR_ROWS = 2048, LEAST_BYTES = 64, MAX_TEXT_COLUMNS = 64 };
#define VECTOR_BYTES (64.0 * 1024 * 1024)
#define UNKNOWN_BYTES 1e12 /* no statistics, or a nested type */
#define VALUE_STEPS 1e6    /* of looking for a pattern in one value */
#define STATE_STEPS 4      /* of a regular expression that has outgrown its cache, for a byte */
#define NEEDLE_BYTES 64    /* are compared in one step */

const char *const judge_fixed_types[] = {
    /* not DECIMAL(p,s) and ENUM(..) as a column has them */
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "DATE",
    "TIME",
    "TIME_NS",
    "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMP_S",
    "TIMESTAMP_MS",
    "TIMESTAMP_NS",
    "TIME WITH TIME ZONE",
    "INTERVAL",
    "UUID",
    "ENUM",
    NULL};

const char *const judge_text_types[] = {"VARCHAR", "BLOB", "JSON", NULL};

/* --- names --- */

/* Names are equal to DuckDB if they are in ASCII's lower case. */
static char *lower_name(const char *name)
{
    char *lower = mem_strdup(name), *p;

    for (p = lower; *p != '\0'; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
    return lower;
}

void judge_set_name(json_t *set, const char *name, json_t *value)
{
    char *lower = lower_name(name);

    json_object_set_new(set, lower, value);
    mem_free(lower);
}

json_t *judge_get_name(const json_t *set, const char *name)
{
    char *lower = lower_name(name);
    json_t *value = json_object_get(set, lower);

    mem_free(lower);
    return value;
}

/* --- columns --- */

/* Of a path like t.struct.field any part may be the column. */
static bool is_named(const struct judge *j, const char *column)
{
    return judge_get_name(j->named_columns, column) != NULL ||
           judge_get_name(j->last_names, column) != NULL;
}

static bool names_all(const struct judge *j)
{
    const char *row;
    json_t *each;

    json_object_foreach(j->rows, row, each)
    {
        if (json_object_get(j->last_names, row) != NULL)
            return true;
    }
    return j->stars > 0 || j->renames;
}

/* "[Min: .., Max: .., Has Unicode: false, Max String Length: 7]..."; no value may imitate it. */
static double length_of(const char *stats)
{
    static const char sign[] = ", Max String Length: ";
    const char *at = NULL, *next = stats;

    while (next != NULL && (next = strstr(next, sign)) != NULL) {
        next += strlen(sign);
        at = next;
    }
    return at == NULL ? UNKNOWN_BYTES : strtod(at, NULL);
}

static bool longest_of(struct judge *j, const char *schema, const char *table, const char *column,
                       double *longest)
{
    struct arena *a = arena_new("ask");
    struct buf sql = {0};
    struct rowset r;
    bool ok;

    buf_puts(&sql, "SELECT stats(");
    buf_sql_ident(&sql, column);
    buf_puts(&sql, ")::VARCHAR FROM ");
    buf_sql_ident(&sql, schema);
    buf_puts(&sql, ".");
    buf_sql_ident(&sql, table);
    buf_puts(&sql, " LIMIT 1");
    ok = wdk_query(j->s, a, buf_cstr(&sql), &r, j->err);
    if (ok && r.nrows > 0)
        *longest = fmax(*longest, length_of(rowset_get(&r, 0, 0)));
    buf_free(&sql);
    arena_free(a);
    return ok;
}

/* Text columns of all tables with such a name, in whichever schema; views hold anything. */
static void list_columns(const struct judge *j, struct buf *sql)
{
    const char *name;
    json_t *each;

    buf_puts(sql, "SELECT c.schema_name, c.table_name, c.column_name, c.data_type, v.view_name "
                  "FROM duckdb_columns() c LEFT JOIN duckdb_views() v ON "
                  "v.database_name = c.database_name AND v.schema_name = c.schema_name AND "
                  "v.view_name = c.table_name WHERE NOT c.internal AND c.database_name = "
                  "'" WDK_DATABASE "' AND lower(c.table_name) IN (''");
    json_object_foreach(j->named_tables, name, each)
    {
        buf_puts(sql, ", lower(");
        buf_sql_string(sql, name);
        buf_puts(sql, ")");
    }
    buf_puts(sql, ")");
}

/* One row of list_columns(). */
static bool measure(struct judge *j, const struct rowset *r, int i, double *longest)
{
    const char *column = rowset_get(r, i, 2), *type = rowset_get(r, i, 3);

    if (rowset_get(r, i, 4) != NULL)
        *longest = UNKNOWN_BYTES;
    if ((!names_all(j) && !is_named(j, column)) || tree_listed(judge_fixed_types, type) ||
        strncmp(type, "DECIMAL(", 8) == 0 || strncmp(type, "ENUM(", 5) == 0)
        return true;
    if (++j->measured > MAX_TEXT_COLUMNS || !tree_listed(judge_text_types, type))
        *longest = UNKNOWN_BYTES;
    if (*longest >= UNKNOWN_BYTES)
        return true;
    return longest_of(j, rowset_get(r, i, 0), rowset_get(r, i, 1), column, longest);
}

static bool longest_text(struct judge *j, double *longest)
{
    struct arena *a = arena_new("ask");
    struct buf sql = {0};
    struct rowset r;
    bool ok;
    int i;

    *longest = fmax(j->literal, j->described ? UNKNOWN_BYTES : LEAST_BYTES);
    list_columns(j, &sql);
    ok = wdk_query(j->s, a, buf_cstr(&sql), &r, j->err);
    for (i = 0; ok && i < r.nrows; i++)
        ok = measure(j, &r, i, longest);
    buf_free(&sql);
    arena_free(a);
    return ok;
}

/* grows of them shared out over the queries, each of which works on what the one inside made. */
static double growth(const struct judge *j)
{
    double n = fmax(j->queries, 1);

    return pow(1 + j->grows / n, n);
}

/* Looking for patterns in one value of that length. */
static double steps(const struct judge *j, double longest)
{
    double needle;

    if (j->gathers && (j->walks > 1 || j->needle >= NEEDLE_BYTES || j->states > NEEDLE_BYTES))
        return INFINITY; /* in all values at once */
    longest *= growth(j) * (j->longer > 1 ? j->longer : 1);
    needle = fmin(j->needle, longest);
    return fmax(fmax(pow(longest, j->walks), j->states * STATE_STEPS * longest),
                needle < NEEDLE_BYTES ? 0 : needle / NEEDLE_BYTES * longest);
}

bool judge_lengths(struct judge *j)
{
    bool patterned = j->walks > 0 || j->states > 0 || j->needle > 0;
    double longest = 0, copies;

    if (j->why != NULL || (j->copies == 0 && !patterned))
        return true;
    if (!longest_text(j, &longest))
        return false;
    copies = j->copies * (j->columns ? fmax(j->measured, 1) : 1);
    if (copies > 0 && VECTOR_ROWS * (copies + 1) * growth(j) * longest > VECTOR_BYTES)
        judge_apart(j, "copies of long text");
    else if (patterned && steps(j, longest) > VALUE_STEPS)
        judge_apart(j, "a pattern for long text");
    return true;
}
