/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a statement may run. DuckDB can be interrupted only between two vectors of 2048 rows, and
 * not at all while it plans: what a statement takes inside one vector, or before the first, nothing
 * can bound from within the process. So a statement runs in the instance that the service itself
 * works in only if its syntax tree shows that this is little; every other one goes to a process of
 * its own (wdk_apart.c), which can be killed. Little is:
 *
 *   planning   few queries, tables and stars, nothing recursive: no doubling gets far;
 *   values     functions whose results have a fixed size, of a list; those that copy text (upper,
 *              ||, string_agg, ...) only if a vector of the longest text that the columns named
 *              hold, through all of them, stays below 64 MB
 *              (wdk_judge_length.c);
 *   time       patterns that are constants with few wildcards (LIKE walks back and forth) and
 *              needles that are short, for the longest text that the columns named hold; joins by
 *              equality (others look through all rows of the other side, between two vectors).
 *
 * A function that no list has is not little: a wrong guess costs some milliseconds, no more.
 */
#include "util/log.h"
#include "util/mem.h"
#include "warehouse_duckdb/wdk_judge.h"

#include <math.h>
#include <string.h>

enum { MAX_QUERIES = 8, MAX_TABLES = 8, MAX_STARS = 8, MAX_NODES = 20000, MAX_GROUPINGS = 16 };
enum { COLUMNS_NODES = 400 }; /* of a statement with COLUMNS: planning makes them for each column */
/* So many times the length of what they are given: a BLOB's bytes as \xAA, a format's %c. */
enum { CAST_TEXT = 4, TIME_TEXT = 16 };
#define PLANNED_REFS 1e4 /* of columns, in the place of names that the same list gave */

/* Their results have a fixed size, whatever their arguments. */
static const char *const fixed[] = {
    /* operators */
    "+", "-", "*", "/", "//", "%", "**", "^", "^@",
    /* of text */
    "prefix", "suffix", "starts_with", "ends_with", "contains", "position", "strpos", "instr",
    "length", "len", "strlen", "char_length", "character_length", "octet_length", "bit_length",
    "ascii", "ord", "unicode", "hash", "md5", "sha1", "sha256", "typeof",
    /* numbers */
    "abs", "sign", "ceil", "ceiling", "floor", "round", "trunc", "sqrt", "cbrt", "exp", "ln", "log",
    "log2", "log10", "pow", "power", "mod", "fmod", "divide", "add", "subtract", "multiply", "sin",
    "cos", "tan", "asin", "acos", "atan", "atan2", "pi", "radians", "degrees", "isnan", "isinf",
    "isfinite", "random", "uuid", "gen_random_uuid", "even", "factorial", "gcd", "lcm",
    /* times */
    "date_trunc", "datetrunc", "date_part", "datepart", "date_diff", "datediff", "date_sub",
    "datesub", "date_add", "year", "month", "day", "hour", "minute", "second", "millisecond",
    "microsecond", "nanosecond", "epoch", "epoch_ms", "epoch_us", "epoch_ns", "quarter", "week",
    "weekofyear", "yearweek", "dayofweek", "weekday", "isodow", "isoyear", "dayofyear",
    "dayofmonth", "last_day", "make_date", "make_time", "make_timestamp", "make_timestamptz",
    "to_timestamp", "now", "today", "current_date", "current_time", "current_timestamp",
    "get_current_timestamp", "get_current_time", "transaction_timestamp", "time_bucket", "age",
    "century", "decade", "millennium", "era", "julian", "timezone", "timezone_hour",
    "timezone_minute", "to_years", "to_months", "to_weeks", "to_days", "to_hours", "to_minutes",
    "to_seconds", "to_milliseconds", "to_microseconds", "monthname", "dayname",
    /* aggregates */
    "count", "count_star", "count_if", "countif", "sum", "sum_no_overflow", "fsum", "kahan_sum",
    "avg", "mean", "favg", "product", "bool_and", "bool_or", "stddev", "stddev_pop", "stddev_samp",
    "variance", "var_pop", "var_samp", "approx_count_distinct", "corr", "covar_pop", "covar_samp",
    "entropy", "skewness", "kurtosis", "kurtosis_pop", "regr_slope", "regr_intercept", "regr_count",
    "regr_r2", "sem", "version", NULL};

/* What runs over windows in a time that does not grow with the frame. */
static const char *const windows[] = {
    /* numbers, then values */
    "row_number", "rank",  "dense_rank",  "rank_dense", "percent_rank", "cume_dist", "ntile",
    "count",      "sum",   "avg",         "min",        "max",          "lag",       "lead",
    "count_star", "first", "first_value", "last_value", "nth_value",    NULL};

/* Their results may be text, but are no longer than their arguments together. */
static const char *const copying[] = {
    /* of text, and of any type */
    "lower", "upper", "lcase", "ucase", "trim", "ltrim", "rtrim", "substring", "substr", "left",
    "right", "reverse", "split_part", "nullif", "ifnull", "if", "greatest", "least", "min", "max",
    "first", "last", "any_value", "arbitrary", "arg_min", "arg_max", "argmin", "argmax", "min_by",
    "max_by", "median", "mode", "quantile_cont", "quantile_disc", "lag", "lead", "first_value",
    "last_value", "nth_value", "regexp_extract", "json_extract", "->", "->>", "json_extract_string",
    "json_extract_path", "json_extract_path_text", "json_array_length", "json_type", "json_valid",
    "strptime", "try_strptime",
    /* of bit strings; of numbers it does no harm */
    "&", "|", "~", "<<", ">>", "xor", "bit_and", "bit_or", "bit_xor", NULL};

/* With one argument more they keep the first N of each group, and make room for them at once. */
static const char *const of_one[] = {"min", "max", NULL};

static const char *const of_two[] = {"arg_min", "arg_max", "argmin", "argmax",
                                     "min_by",  "max_by",  NULL};

/* They put their arguments one behind another: several in a row double. */
static const char *const growing[] = {"||", "concat", "concat_ws", NULL};

/* Aggregates whose result is all that they were given. */
static const char *const gathering[] = {"string_agg", "group_concat",      "listagg",
                                        "list",       "array_agg",         "json_group_array",
                                        "histogram",  "json_group_object", NULL};

/* Functions in FROM that make rows from a value, of whatever size. */
static const char *const takers[] = {"json_each", "json_tree", "unnest", NULL};

/* By these a join finds its rows; by others it goes through all. */
static const char *const equalities[] = {"COMPARE_EQUAL", "COMPARE_NOT_DISTINCT_FROM", NULL};

static const char *const classes[] = {"COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "CAST",
                                      "CASE",       "OPERATOR", "BETWEEN",    "SUBQUERY",    "STAR",
                                      "FUNCTION",   "WINDOW",   NULL};

static void add_name(json_t *set, const char *name)
{
    judge_set_name(set, name, json_true());
}

static void judge_arguments(struct judge *j, const char *name, const json_t *children)
{
    size_t n = json_array_size(children);

    judge_pattern(j, name, children);
    if ((tree_listed(of_one, name) && n > 1) || (tree_listed(of_two, name) && n > 2))
        judge_apart(j, "an aggregate that keeps several values");
}

/* Others are computed anew for each row of the frame. */
static void judge_window(struct judge *j, const json_t *node)
{
    if (!tree_listed(windows, tree_text(node, "function_name")) ||
        strcmp(tree_text(node, "exclude_clause"), "NO_OTHER") != 0 ||
        json_is_true(json_object_get(node, "distinct")) ||
        json_array_size(json_object_get(node, "arg_orders")) > 0)
        judge_apart(j, "a window function of a rare kind");
}

/* concat_ws puts its separator between any two. */
static void judge_growing(struct judge *j, const json_t *children)
{
    const json_t *each;
    size_t i;

    json_array_foreach(children, i, each)
    {
        if (strcmp(tree_text(each, "type"), "OPERATOR_UNPACK") == 0)
            judge_apart(j, "arguments from columns");
    }
    j->grows += json_array_size(children) > 2 ? 2 * (int)json_array_size(children) : 1;
}

/* in_copy: what it returns is copied by what stands around it. Returns that for its arguments. */
static bool judge_function(struct judge *j, const json_t *node, bool in_copy)
{
    const char *name = tree_text(node, "function_name");

    judge_arguments(j, name, json_object_get(node, "children"));
    if (tree_listed(growing, name))
        judge_growing(j, json_object_get(node, "children"));
    if (tree_listed(growing, name) || tree_listed(copying, name)) {
        j->copies++;
        return true;
    }
    if (strcasecmp(name, "strftime") == 0) {
        j->copies += TIME_TEXT;
        j->longer = TIME_TEXT;
    } else if (tree_listed(gathering, name)) {
        j->copies++;
        j->gathers = true;
        if (in_copy || j->queries > 1)
            judge_apart(j, "an aggregate whose result is copied");
    } else if (!tree_listed(fixed, name) && !judge_is_pattern(name)) {
        judge_apart(j, "a function that may make large values");
    }
    return false;
}

static void judge_literal(struct judge *j, const json_t *node)
{
    const char *s = judge_constant(node);

    if (s != NULL && (double)strlen(s) > j->literal)
        j->literal = (double)strlen(s);
}

/* Whose columns an expression names: NULL nobody's, "" of more than one or not said. */
static void find_owner(const json_t *node, const char **owner)
{
    const json_t *names = json_object_get(node, "column_names"), *each;
    const char *name, *key;
    size_t i;

    if (json_is_array(node)) {
        json_array_foreach(node, i, each)
        {
            find_owner(each, owner);
        }
    } else if (json_array_size(names) > 0) {
        name = json_array_size(names) > 1 ? json_string_value(json_array_get(names, 0)) : "";
        *owner = *owner == NULL || strcasecmp(*owner, name) == 0 ? name : "";
    } else if (strcmp(tree_text(node, "class"), "SUBQUERY") != 0) { /* that is joined before */
        json_object_foreach((json_t *)node, key, each)
        {
            find_owner(each, owner);
        }
    }
}

/* Between columns that may be of two tables it may become what they are joined by. */
static void judge_comparison(struct judge *j, const json_t *node)
{
    const char *left = NULL, *right = NULL;

    if (tree_listed(equalities, tree_text(node, "type")))
        return;
    find_owner(json_object_get(node, "left"), &left);
    find_owner(json_object_get(node, "right"), &right);
    if (left != NULL && right != NULL && (*left == '\0' || strcasecmp(left, right) != 0))
        j->unequal = true;
}

static void judge_cast(struct judge *j, const char *type)
{
    if (!tree_listed(judge_text_types, type) && strcmp(type, "UNBOUND") != 0)
        judge_apart(j, "a cast to a type of any size");
}

static bool judge_expression(struct judge *j, const json_t *node, const char *class, bool in_copy)
{
    const json_t *names = json_object_get(node, "column_names"), *each;
    size_t i;

    if (!tree_listed(classes, class))
        judge_apart(j, "an expression of a rare kind");
    j->joined |= strcmp(class, "SUBQUERY") == 0;
    if (strcmp(class, "FUNCTION") == 0)
        return judge_function(j, node, in_copy);
    if (strcmp(class, "WINDOW") == 0)
        judge_window(j, node);
    else if (strcmp(class, "CONSTANT") == 0)
        judge_literal(j, node);
    else if (strcmp(class, "COMPARISON") == 0)
        judge_comparison(j, node);
    else if (strcmp(class, "SUBQUERY") == 0 && json_is_object(json_object_get(node, "child")) &&
             !tree_listed(equalities, tree_text(node, "comparison_type")))
        judge_apart(j, "a comparison with all rows of a query");
    else if (strcmp(class, "STAR") == 0) {
        j->stars++;
        j->columns |= json_is_true(json_object_get(node, "columns"));
    } else if (strcmp(tree_text(node, "type"), "ARRAY_SLICE") == 0) {
        j->copies++; /* of text, too */
        return true;
    } else if (strcmp(class, "CAST") == 0 &&
               !tree_listed(judge_fixed_types,
                            tree_text(json_object_get(node, "cast_type"), "id"))) {
        judge_cast(j, tree_text(json_object_get(node, "cast_type"), "id"));
        j->copies += CAST_TEXT;
        j->longer = j->longer > CAST_TEXT ? j->longer : CAST_TEXT;
        return true;
    }
    json_array_foreach(names, i, each)
    {
        add_name(i + 1 < json_array_size(names) ? j->named_columns : j->last_names,
                 json_string_value(each));
    }
    return in_copy;
}

/* The columns that an expression refers to, each as often as planning will have it. */
static double count_refs(const json_t *node, const json_t *aliases)
{
    const json_t *names = json_object_get(node, "column_names"), *each;
    const char *key;
    double n = 0;
    size_t i;

    if (json_is_array(node)) {
        json_array_foreach(node, i, each)
        {
            n += count_refs(each, aliases);
        }
    } else if (json_array_size(names) > 0) {
        each = judge_get_name(aliases, json_string_value(json_array_get(names, 0)));
        n = each == NULL ? 1 : json_real_value(each);
    } else {
        json_object_foreach((json_t *)node, key, each)
        {
            n += count_refs(each, aliases);
        }
    }
    return n;
}

/* a + a AS b, b + b AS c: each is put in the place of its name, with all that has been in it. */
static void judge_list(struct judge *j, const json_t *list)
{
    json_t *aliases = json_object();
    const json_t *each;
    double n, sum = 0;
    size_t i;

    json_array_foreach(list, i, each)
    {
        n = fmin(count_refs(each, aliases), 2 * PLANNED_REFS);
        sum += n;
        if (*tree_text(each, "alias") != '\0')
            judge_set_name(aliases, tree_text(each, "alias"), json_real(fmax(n, 1)));
    }
    if (sum > PLANNED_REFS)
        judge_apart(j, "names for expressions of names for expressions");
    json_decref(aliases);
}

static void walk(struct judge *j, const json_t *node, bool in_copy);

static bool is_of_catalog(const json_t *node)
{
    const char *schema = tree_text(node, "schema_name"), *name = tree_text(node, "table_name");

    return strcasecmp(schema, "pg_catalog") == 0 || strcasecmp(schema, "information_schema") == 0 ||
           strncasecmp(name, "duckdb_", 7) == 0 || strncasecmp(name, "pg_", 3) == 0 ||
           strncasecmp(name, "sqlite_", 7) == 0;
}

/* What the catalog holds as text (statements, names of types) has no statistics. */
static void judge_table_function(struct judge *j, const char *name)
{
    j->tables++;
    if (tree_listed(takers, name))
        judge_apart(j, "a function that takes values to pieces");
    j->described |= strcasecmp(name, "range") != 0 && strcasecmp(name, "generate_series") != 0;
}

static void judge_source(struct judge *j, const json_t *node, const char *type)
{
    const json_t *function = json_object_get(node, "function");

    if (strcmp(type, "BASE_TABLE") == 0) {
        j->tables++;
        add_name(j->named_tables, tree_text(node, "table_name"));
        j->described |= is_of_catalog(node);
        add_name(j->rows, tree_text(node, *tree_text(node, "alias") ? "alias" : "table_name"));
    } else if (strcmp(type, "PIVOT") == 0 || strcmp(type, "RECURSIVE_CTE_NODE") == 0) {
        judge_apart(j, "a query of a rare kind");
    } else if (strcmp(type, "TABLE_FUNCTION") == 0) {
        judge_table_function(j, tree_text(function, "function_name"));
    } else if (strcmp(type, "JOIN") == 0) {
        j->joined = true;
    } else if (strcmp(type, "SHOW_REF") == 0) {
        j->described = true;
    } else if (strstr(type, "_NODE") != NULL) {
        j->queries++;
        judge_list(j, json_object_get(node, "select_list"));
        if (json_array_size(json_object_get(node, "group_sets")) > MAX_GROUPINGS)
            judge_apart(j, "many groupings");
    }
}

static void walk_object(struct judge *j, const json_t *node, bool in_copy)
{
    const char *class = tree_text(node, "class"), *type = tree_text(node, "type"), *key;
    const json_t *each;

    if (*class != '\0')
        in_copy = judge_expression(j, node, class, in_copy);
    else
        judge_source(j, node, type);
    j->renames |= json_array_size(json_object_get(node, "column_name_alias")) > 0 ||
                  json_array_size(json_object_get(node, "aliases")) > 0;
    json_object_foreach((json_t *)node, key, each)
    {
        /* Its own name is on a list already; its arguments are judged. */
        if (strcmp(type, "TABLE_FUNCTION") == 0 && strcmp(key, "function") == 0)
            walk(j, json_object_get(each, "children"), false);
        else
            walk(j, each, in_copy);
    }
}

static void walk(struct judge *j, const json_t *node, bool in_copy)
{
    const json_t *each;
    size_t i;

    if (j->why != NULL)
        return;
    if (++j->nodes > MAX_NODES || j->queries > MAX_QUERIES || j->tables > MAX_TABLES ||
        j->stars > MAX_STARS)
        judge_apart(j, "many parts");
    else if (json_is_object(node))
        walk_object(j, node, in_copy);
    else {
        json_array_foreach(node, i, each)
        {
            walk(j, each, in_copy);
        }
    }
}

static void judge_whole(struct judge *j)
{
    if (j->columns && j->nodes > COLUMNS_NODES)
        judge_apart(j, "many parts for each column");
    if (j->unequal && j->joined)
        judge_apart(j, "a join by more than equality");
}

bool wdk_ask_judge(struct session *s, const void *tree, bool *runs_apart, struct error *err)
{
    struct judge j = {.s = s, .err = err};
    bool ok;

    j.named_tables = json_object();
    j.named_columns = json_object();
    j.last_names = json_object();
    j.rows = json_object();
    walk(&j, tree, false);
    judge_whole(&j);
    ok = judge_lengths(&j);
    *runs_apart = j.why != NULL;
    if (ok && *runs_apart)
        log_debug("a query runs in a process of its own because of %s", j.why);
    json_decref(j.named_tables);
    json_decref(j.named_columns);
    json_decref(j.last_names);
    json_decref(j.rows);
    return ok;
}
