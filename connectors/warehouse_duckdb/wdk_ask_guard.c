/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people may run in the instance that the service itself works in. DuckDB's own parser judges,
 * not the text: the statement must be exactly one SELECT (WITH, FROM, VALUES, DESCRIBE, SHOW and
 * SUMMARIZE are SELECTs to it), or EXPLAIN in front of one. Its syntax tree is then walked:
 *
 *   table functions   only those of a list: others read files, run SQL from a string, make
 *                     checkpoints or change settings;
 *   functions         all but a list: those that make values of any size from few bytes, that show
 *                     or change state, or that sleep;
 *   tables            a name that could be a file's must be a table's. The instance cannot reach
 *                     any file but the warehouse's own, and even to open and close that one would
 *                     take away the lock on it (wdk_open.c).
 *
 * Read-only besides: the transaction is, and the type of the prepared statement is looked at again.
 */
#include "util/log.h"
#include "util/mem.h"
#include "warehouse_duckdb/wdk.h"
#include "warehouse_duckdb/wdk_tree.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { MAX_SQL = 100 * 1024, MAX_SETS_SQL = 2000 };

static const char *const table_functions[] = {
    "range",
    "generate_series",
    "unnest",
    "json_each",
    "json_tree",
    "duckdb_columns",
    "duckdb_tables",
    "duckdb_views",
    "duckdb_schemas",
    "duckdb_databases",
    "duckdb_types",
    "duckdb_functions",
    "duckdb_indexes",
    "duckdb_keywords",
    "pragma_version",
    "duckdb_constraints",
    "duckdb_memory",
    "pragma_table_info",
    "pg_timezone_names",
    "pragma_database_size",
    NULL,
};

static const char *const refused_functions[] = {
    /* values of any size */
    "repeat", "lpad", "rpad", "list_resize", "array_resize", "range", "generate_series",
    "bitstring", "printf", "format",
    /* state */
    "nextval", "currval", "setseed", "write_log", "sleep_ms", "stats", "current_setting",
    "getvariable", "getenv", NULL};

/* Views of DuckDB over functions that are not in the list. */
static const char *const refused_tables[] = {"pg_settings", "duckdb_settings", "duckdb_logs", NULL};

struct walk {
    struct session *s;
    const json_t *root;
    struct error *err;
};

static bool refuse(struct error *err, const char *fmt, const char *name)
{
    error_set(err, ERROR_CONFIG, fmt, name);
    return false;
}

/* True if a common table expression of the statement, wherever, has this name. */
static bool is_cte(const json_t *node, const char *name)
{
    const json_t *each;
    const char *key;
    size_t i;

    if (json_is_array(node)) {
        json_array_foreach(node, i, each)
        {
            if (is_cte(each, name))
                return true;
        }
    }
    json_object_foreach((json_t *)node, key, each)
    {
        const json_t *map = strcmp(key, "cte_map") == 0 ? json_object_get(each, "map") : NULL;
        const json_t *cte;

        json_array_foreach(map, i, cte)
        {
            if (strcasecmp(tree_text(cte, "key"), name) == 0)
                return true;
        }
        if ((json_is_object(each) || json_is_array(each)) && is_cte(each, name))
            return true;
    }
    return false;
}

static bool is_in_catalog(struct walk *w, const char *name, bool *found)
{
    struct arena *a = arena_new("ask");
    struct buf sql = {0};
    struct rowset r;
    bool ok;

    buf_puts(&sql, "SELECT count(*) FROM (SELECT table_name FROM duckdb_tables() UNION ALL SELECT "
                   "view_name FROM duckdb_views()) t(n) WHERE lower(n) = lower(");
    buf_sql_string(&sql, name);
    buf_puts(&sql, ")");
    ok = wdk_query(w->s, a, buf_cstr(&sql), &r, w->err);
    *found = ok && strcmp(rowset_get(&r, 0, 0), "0") != 0;
    buf_free(&sql);
    arena_free(a);
    return ok;
}

/* DuckDB takes a name that is no table's for a file's: so one that could be must be a table's. */
static bool table_allowed(struct walk *w, const char *catalog, const char *schema, const char *name)
{
    bool plain = *catalog == '\0' && *schema == '\0' && strpbrk(name, "./\\*?[:~") == NULL;
    bool found = false;

    if (tree_listed(refused_tables, name))
        return refuse(w->err, "%s cannot be read here", name);
    /* SHOW TABLES FROM: a schema alone. */
    if (plain || *name == '\0' || (*schema == '\0' && is_cte(w->root, name)))
        return true;
    if (!is_in_catalog(w, name, &found))
        return false;
    return found || refuse(w->err, "There is no table with the name %s", name);
}

static bool walk(struct walk *w, const json_t *node, bool table_function);

static bool walk_children(struct walk *w, const json_t *node, const char *type)
{
    const json_t *each;
    const char *key;
    size_t i;

    if (json_is_array(node)) {
        json_array_foreach(node, i, each)
        {
            if (!walk(w, each, false))
                return false;
        }
        return true;
    }
    json_object_foreach((json_t *)node, key, each)
    {
        bool is = strcmp(type, "TABLE_FUNCTION") == 0 && strcmp(key, "function") == 0;

        if (!walk(w, each, is))
            return false;
    }
    return true;
}

static bool walk(struct walk *w, const json_t *node, bool table_function)
{
    const char *type, *name;

    if (json_is_array(node))
        return walk_children(w, node, "");
    if (!json_is_object(node))
        return true;
    type = tree_text(node, "type");
    name = tree_text(node, "function_name");
    if (table_function && !tree_listed(table_functions, name))
        return refuse(w->err, "The table function %s is not one of those that can be used here",
                      name);
    if (!table_function && *name != '\0' && tree_listed(refused_functions, name))
        return refuse(w->err, "The function %s cannot be used here", name);
    if ((strcmp(type, "BASE_TABLE") == 0 || strcmp(type, "SHOW_REF") == 0) &&
        !table_allowed(w, tree_text(node, "catalog_name"), tree_text(node, "schema_name"),
                       tree_text(node, "table_name")))
        return false;
    return walk_children(w, node, type);
}

/* --- EXPLAIN --- */

/* Behind blanks and comments. */
static const char *skip(const char *s)
{
    int depth;

    for (;;) {
        s += strspn(s, " \t\r\n\f\v");
        if (strncmp(s, "--", 2) == 0) {
            s += strcspn(s, "\n");
        } else if (strncmp(s, "/*", 2) == 0) {
            for (depth = 0; *s != '\0'; s++) {
                depth += strncmp(s, "/*", 2) == 0;
                if (strncmp(s, "*/", 2) == 0 && --depth == 0)
                    break;
            }
            s += *s != '\0' ? 2 : 0;
        } else {
            return s;
        }
    }
}

static const char *word(const char *s, const char *keyword)
{
    size_t n = strlen(keyword);

    return strncasecmp(s, keyword, n) == 0 && !isalnum((unsigned char)s[n]) && s[n] != '_' &&
                   (unsigned char)s[n] < 0x80
               ? skip(s + n)
               : NULL;
}

/*
 * Takes EXPLAIN [ANALYZE] or EXPLAIN (ANALYZE, FORMAT JSON) off; what is put in front again is our
 * own text, so that nothing hangs on how well this reads.
 */
static const char *take_explain(const char *sql, struct buf *prefix)
{
    const char *at = word(skip(sql), "EXPLAIN"), *next;
    size_t n;

    if (at == NULL)
        return sql;
    buf_puts(prefix, "EXPLAIN ");
    next = word(at, "ANALYZE");
    if (next != NULL) {
        buf_puts(prefix, "ANALYZE ");
        return next;
    }
    n = *at == '(' ? strspn(at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_, ") : 0;
    if (n == 0 || at[n + 1] != ')')
        return at;
    buf_append(prefix, at, n + 2);
    buf_u8(prefix, ' ');
    return skip(at + n + 2);
}

/* --- the statement --- */

static int count_word(const char *sql, const char *lower)
{
    int n = 0;

    for (; (sql = strcasestr(sql, lower)) != NULL; sql++)
        n++;
    return n;
}

/* The parser already writes all the groupings out: 65,536 for each CUBE of 16 columns, and each
 * with its columns. Such a statement is read in a process of its own, too. */
static bool is_large_to_read(const char *sql)
{
    int n = count_word(sql, "cube") + count_word(sql, "rollup") + count_word(sql, "sets");

    return n > 1 || (n > 0 && strlen(sql) > MAX_SETS_SQL);
}

/* The syntax tree, as JSON text in an arena. */
static bool parse(struct session *s, struct arena *a, const char *sql, const char **out,
                  struct error *err)
{
    struct buf b = {0};
    struct rowset r;
    bool ok;

    buf_puts(&b, "SELECT json_serialize_sql(");
    buf_sql_string(&b, sql);
    buf_puts(&b, ")::VARCHAR");
    ok = wdk_query(s, a, buf_cstr(&b), &r, err);
    if (ok)
        *out = rowset_get(&r, 0, 0);
    buf_free(&b);
    return ok;
}

static bool judge(struct session *s, const json_t *tree, bool *apart, struct error *err)
{
    const json_t *statements = json_object_get(tree, "statements");
    struct walk w = {.s = s, .root = tree, .err = err};

    if (tree == NULL)
        return refuse(err, "The statement is nested too deeply%s", "");
    if (strcmp(tree_text(tree, "error_type"), "parser") == 0)
        return refuse(err, "The statement cannot be read: %s", tree_text(tree, "error_message"));
    if (json_is_true(json_object_get(tree, "error")))
        return refuse(err,
                      "Only one statement that reads can be run here: SELECT, WITH, FROM, VALUES, "
                      "DESCRIBE, SHOW, SUMMARIZE, or EXPLAIN of one%s",
                      "");
    if (json_array_size(statements) != 1)
        return refuse(err,
                      json_array_size(statements) == 0 ? "There is no statement%s"
                                                       : "Only one statement at a time%s",
                      "");
    return walk(&w, statements, false) && wdk_ask_judge(s, statements, apart, err);
}

bool wdk_ask_guard(struct session *s, const char *sql, struct buf *run, bool *explain, bool *apart,
                   struct error *err)
{
    struct arena *a;
    const char *rest, *tree = NULL;
    json_t *json;
    bool ok;

    if (strlen(sql) > MAX_SQL)
        return refuse(err, "The statement is longer than 100 KB%s", "");
    if (*apart && is_large_to_read(sql)) {
        log_debug("a query runs in a process of its own because of its groupings");
        return true;
    }
    *apart = false;
    a = arena_new("ask");
    rest = take_explain(sql, run);
    *explain = run->len > 0;
    ok = parse(s, a, rest, &tree, err);
    if (ok) {
        json = json_loads(tree, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
        ok = judge(s, json, apart, err);
        json_decref(json);
    }
    buf_puts(run, rest);
    arena_free(a);
    return ok;
}
