/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What DuckDB's types of errors mean for us: data only. DuckDB has no finer codes, so some rows
 * look at a sign in the message; they come before the row of their type, and the last row fits
 * every type that is not named. Catalog and Binder errors are about a target that a user dropped
 * or altered before the service had the file, as a rule: that table stops and can be loaded again.
 */
#include "warehouse_duckdb/wdk.h"

#include <string.h>

#define BUG "this is a fault of penstock or of DuckDB: report it with the log"
#define MEND_VALUE                                                                            \
    "correct the value at the source and load the table again, or leave the column out with " \
    "column.exclude.list"
#define DROP_INDEX                                                                             \
    "drop the index or constraint that was made on that table in the warehouse, then load it " \
    "again"
#define LOAD_TARGET "the table in the warehouse was dropped or altered: load it again"
#define OPENED_AGAIN "DuckDB closed the file to protect it; it is opened again and its log replayed"
#define DROP_DEPENDENT "drop the index or other object that was made on that table"

/* Double quotes in its messages hold names, or values. */
#define NAMES true
#define VALUES false

/* The header names it unlike the others. */
#define DUCKDB_ERROR_INVALID_CONFIGURATION DUCKDB_INVALID_CONFIGURATION

#define ROW(type, sign, quotes, code, name, kind, meaning, who)       \
    {                                                                 \
        DUCKDB_ERROR_##type, sign, quotes,                            \
        {                                                             \
            code " Error", "duckdb-" name, ERROR_##kind, meaning, who \
        }                                                             \
    }

const struct wdk_state wdk_states[] = {
    ROW(OUT_OF_RANGE, NULL, VALUES, "Out of Range", "out-of-range", DATA,
        "a value is beyond its column's range", MEND_VALUE),
    ROW(CONVERSION, NULL, VALUES, "Conversion", "conversion", DATA,
        "a value cannot be held by its column", MEND_VALUE),
    ROW(DECIMAL, NULL, VALUES, "Decimal", "decimal", DATA,
        "a number has more digits than its column", MEND_VALUE),
    ROW(MISMATCH_TYPE, NULL, VALUES, "Mismatch Type", "mismatch-type", DATA,
        "a column of the table in the warehouse has another type than ours", LOAD_TARGET),
    ROW(DIVIDE_BY_ZERO, NULL, VALUES, "Divide by Zero", "divide-by-zero", DATA,
        "a value cannot be computed", MEND_VALUE),
    ROW(OBJECT_SIZE, NULL, VALUES, "Object Size", "object-size", DATA,
        "a value is larger than DuckDB allows", MEND_VALUE),
    ROW(INVALID_TYPE, NULL, VALUES, "Invalid type", "invalid-type", DATA,
        "a column of the table in the warehouse has another type than ours", LOAD_TARGET),
    ROW(CONSTRAINT, NULL, VALUES, "Constraint", "constraint", DATA,
        "a user's index or constraint refuses a row", DROP_INDEX),
    ROW(INDEX, NULL, VALUES, "Index", "index", DATA, "a user's index refuses a row", DROP_INDEX),
    ROW(INVALID_INPUT, NULL, VALUES, "Invalid Input", "invalid-input", DATA,
        "a value cannot be held by its column", MEND_VALUE),
    ROW(TRANSACTION, "constraint violation", VALUES, "TransactionContext", "commit-constraint",
        CONFIG, "a user's unique index refuses a row at the commit, where no table can be named",
        "drop the unique index or constraint that was made on a table in the warehouse"),
    ROW(TRANSACTION, NULL, VALUES, "TransactionContext", "transaction", RETRY,
        "another transaction was in the way: rolled back, done again", ""),
    ROW(CONNECTION, NULL, VALUES, "Connection", "connection", RETRY, "the session ended", ""),
    ROW(IO, NULL, NAMES, "IO", "io", RETRY, "the file cannot be read or written",
        "if it comes again, look after the disk of the warehouse file"),
    ROW(INTERRUPT, NULL, VALUES, "INTERRUPT", "interrupt", RETRY, "penstock itself cancelled it",
        ""),
    ROW(FATAL, NULL, NAMES, "FATAL", "fatal", RETRY,
        "DuckDB gave the file up to protect it, and with it every session", OPENED_AGAIN),
    ROW(INTERNAL, NULL, VALUES, "INTERNAL", "internal", RETRY, "DuckDB met a fault of its own",
        OPENED_AGAIN),
    ROW(OUT_OF_MEMORY, NULL, VALUES, "Out of Memory", "out-of-memory", RETRY,
        "duckdb.memory.limit is reached and nothing more can be put on disk",
        "raise duckdb.memory.limit, or make room in duckdb.temp.directory"),
    ROW(CATALOG, "depends on it", NAMES, "Catalog", "depends", CONFIG,
        "an index or another object of a user is in the way of a new copy", DROP_DEPENDENT),
    ROW(CATALOG, "depend on it", NAMES, "Catalog", "depend", CONFIG,
        "an index or another object of a user is in the way of a new copy", DROP_DEPENDENT),
    ROW(DEPENDENCY, NULL, NAMES, "Dependency", "dependency", CONFIG,
        "an index or another object of a user is in the way of a new copy", DROP_DEPENDENT),
    ROW(CATALOG, NULL, NAMES, "Catalog", "catalog", DATA,
        "a table in the warehouse is gone, or another is there", LOAD_TARGET),
    ROW(BINDER, NULL, NAMES, "Binder", "binder", DATA,
        "a table in the warehouse has other columns or types than ours", LOAD_TARGET),
    ROW(PERMISSION, NULL, NAMES, "Permission", "permission", CONFIG, "DuckDB's settings forbid it",
        "correct the duckdb.* settings that the message names"),
    ROW(SETTINGS, NULL, NAMES, "Settings", "settings", CONFIG, "a setting of DuckDB is refused",
        "correct the duckdb.* settings that the message names"),
    ROW(INVALID_CONFIGURATION, NULL, NAMES, "Invalid Configuration", "invalid-configuration",
        CONFIG, "a setting of DuckDB is refused",
        "correct the duckdb.* settings that the message names"),
    ROW(PARSER, NULL, NAMES, "Parser", "parser", FATAL, "a statement of ours is wrong", BUG),
    ROW(SYNTAX, NULL, NAMES, "Syntax", "syntax", FATAL, "a statement of ours is wrong", BUG),
    ROW(INVALID, NULL, VALUES, "any other", "other", FATAL,
        "DuckDB cannot do what is asked, or met a fault of its own", BUG),
};

bool wdk_state_note(size_t i, struct error_note *out)
{
    if (i >= sizeof(wdk_states) / sizeof(wdk_states[0]))
        return false;
    *out = wdk_states[i].note;
    return true;
}

const struct wdk_state *wdk_state_find(duckdb_error_type type, const char *message)
{
    const struct wdk_state *last = &wdk_states[sizeof(wdk_states) / sizeof(wdk_states[0]) - 1];
    const struct wdk_state *row = wdk_states;

    while (row != last &&
           (row->type != type || (row->sign != NULL && strstr(message, row->sign) == NULL)))
        row++;
    return row;
}
