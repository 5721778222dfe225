/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that errors are made from: complete, without contradictions, looked up in order; that
 * each kind comes out where it must; and that no value of a row gets into a message.
 */
#include "common/pg_error.h"
#include "connectors.h"
#include "warehouse_duckdb/wdk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/log.h"

#include <cmocka.h>

static struct error err;

/* --- tables --- */

static void check_note(const char *table, const struct error_note *n)
{
    size_t len = strlen(n->meaning);

    if (n->kind == ERROR_NONE || n->kind > ERROR_FATAL)
        fail_msg("%s: %s: no kind", table, n->name);
    if (len == 0 || n->meaning[len - 1] == '.' || strpbrk(n->meaning, "\n\t") != NULL)
        fail_msg("%s: %s: its meaning is \"%s\"", table, n->name, n->meaning);
    if (n->kind != ERROR_RETRY && n->who[0] == '\0')
        fail_msg("%s: %s is %s and nobody is told to do anything", table, n->name,
                 error_kind_name(n->kind));
    /* A filled hint must still fit. */
    if (strlen(n->who) > sizeof(err.hint) - 300)
        fail_msg("%s: %s: its hint is too long", table, n->name);
    for (const char *p = strchr(n->who, '{'); p != NULL; p = strchr(p + 1, '{'))
        if (p[1 + strspn(p + 1, "abcdefghijklmnopqrstuvwxyz")] != '}')
            fail_msg("%s: %s: a brace that names nothing: %s", table, n->name, p);
}

static void causes_are_complete(void **state)
{
    (void)state;
    for (int i = 0; i < CAUSE_COUNT; i++) {
        const struct error_note *n = cause_note((enum cause)i);

        if (n->name == NULL)
            fail_msg("cause %d has no row", i);
        assert_int_equal(strspn(n->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(n->name));
        assert_string_equal(n->code, "");
        check_note("causes", n);
        for (int j = 0; j < i; j++)
            if (strcmp(n->name, cause_note((enum cause)j)->name) == 0)
                fail_msg("cause %s is there twice", n->name);
    }
}

/* Every class of errors of the manual's appendix A; 00, 01 and 02 are none. */
static const char *const classes[] = {
    "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23",
    "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F",
    "40", "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX"};

static void states_are_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        bool found = false;

        for (const struct pg_state *row = pg_states; row->state[0] != '\0'; row++)
            found = found || strncmp(row->state, classes[i], 2) == 0;
        if (!found)
            fail_msg("class %s has no row", classes[i]);
    }
    for (const struct pg_state *row = pg_states; row->state != NULL; row++) {
        size_t len = strlen(row->state);

        if (len != 0 && len != 2 && len != 5)
            fail_msg("%s is neither a state nor a class", row->state);
        assert_int_equal(strspn(row->state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"), len);
        if (row->side[PG_SOURCE].kind == ERROR_NONE && row->side[PG_WAREHOUSE].kind == ERROR_NONE)
            fail_msg("%s has no kind on either side", row->state);
        if (strncmp(row->state, "22", 2) == 0 && row->words != PG_WORDS_VALUES)
            fail_msg("%s may quote values", row->state);
    }
}

/* No duplicates, a class after its whole states, and the row that fits all is the last. */
static void states_are_ordered(void **state)
{
    (void)state;
    for (const struct pg_state *row = pg_states; row->state != NULL; row++)
        for (const struct pg_state *before = pg_states; before < row; before++) {
            if (strcmp(row->state, before->state) == 0)
                fail_msg("%s is there twice", row->state);
            if (strncmp(row->state, before->state, strlen(before->state)) == 0)
                fail_msg("%s is never reached: %s comes before it", row->state, before->state);
        }
}

static void check_rows(const char *name, bool (*note)(size_t i, struct error_note *out),
                       size_t least)
{
    struct error_note n;
    size_t rows = 0;

    if (note == NULL)
        fail_msg("%s says nothing of its errors", name);
    for (; note(rows, &n); rows++)
        check_note(name, &n);
    if (rows < least)
        fail_msg("%s has %zu rows", name, rows);
    assert_false(note(rows + 1, &n));
}

static void connectors_have_rows(void **state)
{
    (void)state;
    for (int i = 0; connectors_sources[i] != NULL; i++)
        check_rows(connectors_sources[i]->name, connectors_sources[i]->error_note, 60);
    for (int i = 0; connectors_warehouses[i] != NULL; i++)
        check_rows(connectors_warehouses[i]->name, connectors_warehouses[i]->error_note, 25);
}

/* --- SQLSTATEs --- */

static const struct {
    const char *state;
    enum error_kind source, warehouse;
} expected[] = {
    /* the connection, the server's coming and going */
    {"08006", ERROR_RETRY, ERROR_RETRY},
    {"08P01", ERROR_CONFIG, ERROR_FATAL},
    {"57014", ERROR_RETRY, ERROR_RETRY},
    {"57P01", ERROR_RETRY, ERROR_RETRY},
    {"57P02", ERROR_RETRY, ERROR_RETRY},
    {"57P03", ERROR_RETRY, ERROR_RETRY},
    {"57P04", ERROR_CONFIG, ERROR_CONFIG},
    {"57P05", ERROR_RETRY, ERROR_RETRY},
    {"25P03", ERROR_RETRY, ERROR_RETRY},
    {"25P04", ERROR_RETRY, ERROR_RETRY},
    /* other transactions */
    {"40001", ERROR_RETRY, ERROR_RETRY},
    {"40P01", ERROR_RETRY, ERROR_RETRY},
    {"40003", ERROR_RETRY, ERROR_RETRY},
    {"40002", ERROR_RETRY, ERROR_DATA},
    {"55P03", ERROR_RETRY, ERROR_RETRY},
    {"55006", ERROR_RETRY, ERROR_RETRY},
    {"72000", ERROR_RETRY, ERROR_RETRY},
    /* what a person must grant, set or make room for */
    {"28P01", ERROR_CONFIG, ERROR_CONFIG},
    {"28000", ERROR_CONFIG, ERROR_CONFIG},
    {"3D000", ERROR_CONFIG, ERROR_CONFIG},
    {"42501", ERROR_CONFIG, ERROR_CONFIG},
    {"25006", ERROR_CONFIG, ERROR_CONFIG},
    {"2BP01", ERROR_CONFIG, ERROR_CONFIG},
    {"F0000", ERROR_CONFIG, ERROR_CONFIG},
    {"53100", ERROR_RETRY, ERROR_RETRY},
    {"53200", ERROR_RETRY, ERROR_RETRY},
    {"53300", ERROR_RETRY, ERROR_RETRY},
    {"53400", ERROR_CONFIG, ERROR_CONFIG},
    {"55000", ERROR_CONFIG, ERROR_DATA},
    {"22023", ERROR_CONFIG, ERROR_DATA},
    /* rows and targets */
    {"22003", ERROR_DATA, ERROR_DATA},
    {"22021", ERROR_DATA, ERROR_DATA},
    {"22P02", ERROR_DATA, ERROR_DATA},
    {"22P05", ERROR_DATA, ERROR_DATA},
    {"23502", ERROR_RETRY, ERROR_DATA},
    {"23505", ERROR_RETRY, ERROR_DATA},
    {"54000", ERROR_DATA, ERROR_DATA},
    {"44000", ERROR_RETRY, ERROR_DATA},
    {"P0001", ERROR_CONFIG, ERROR_DATA},
    {"3F000", ERROR_RETRY, ERROR_DATA},
    {"42P01", ERROR_RETRY, ERROR_DATA},
    {"42703", ERROR_RETRY, ERROR_DATA},
    {"42P07", ERROR_RETRY, ERROR_DATA},
    {"42804", ERROR_CONFIG, ERROR_DATA},
    {"XX000", ERROR_RETRY, ERROR_DATA},
    /* what nothing mends by itself */
    {"58P01", ERROR_FATAL, ERROR_RETRY},
    {"58030", ERROR_RETRY, ERROR_RETRY},
    {"42601", ERROR_CONFIG, ERROR_FATAL},
    {"25P02", ERROR_RETRY, ERROR_FATAL},
    {"XX001", ERROR_CONFIG, ERROR_FATAL},
    {"XX002", ERROR_CONFIG, ERROR_FATAL},
    /* unknown, of no class, and what is no SQLSTATE */
    {"ZZZZZ", ERROR_RETRY, ERROR_FATAL},
    {"99001", ERROR_RETRY, ERROR_FATAL},
    {"28p01", ERROR_RETRY, ERROR_FATAL},
    {"28P0", ERROR_RETRY, ERROR_FATAL},
    {"28P011", ERROR_RETRY, ERROR_FATAL},
    {"28 01", ERROR_RETRY, ERROR_FATAL},
    {"2", ERROR_RETRY, ERROR_FATAL},
    {"\xc3\xbc"
     "001",
     ERROR_RETRY, ERROR_FATAL},
};

static void kinds_of_states(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        enum error_kind s = pg_state_kind(PG_SOURCE, expected[i].state);
        enum error_kind w = pg_state_kind(PG_WAREHOUSE, expected[i].state);

        if (s != expected[i].source || w != expected[i].warehouse)
            fail_msg("%s: %s at the source, %s at the warehouse", expected[i].state,
                     error_kind_name(s), error_kind_name(w));
    }
    for (int side = 0; side < PG_SIDES; side++) { /* no state at all: the connection is lost */
        assert_int_equal(pg_state_kind((enum pg_side)side, ""), ERROR_RETRY);
        assert_int_equal(pg_state_kind((enum pg_side)side, NULL), ERROR_RETRY);
    }
}

/* Log that cannot be read any more is all that is fatal at the source: under when_needed it makes
 * every table be loaded again. */
static void little_is_fatal_at_the_source(void **state)
{
    (void)state;
    for (const struct pg_state *row = pg_states; row->state != NULL; row++)
        if (row->side[PG_SOURCE].kind == ERROR_FATAL)
            assert_string_equal(row->state, "58P01");
}

static void lookup_order(void **state)
{
    (void)state;
    assert_string_equal(pg_state_find(PG_SOURCE, "28P01")->state, "28P01");
    assert_string_equal(pg_state_find(PG_SOURCE, "28999")->state, "28");
    assert_string_equal(pg_state_find(PG_WAREHOUSE, "23503")->state, "23503");
    /* A row without a kind for the side is passed over. */
    assert_string_equal(pg_state_find(PG_SOURCE, "23503")->state, "");
    assert_string_equal(pg_state_find(PG_WAREHOUSE, "ZZ000")->state, "");
    assert_string_equal(pg_state_find(PG_WAREHOUSE, "28p01")->state, "");
    assert_string_equal(pg_state_find(PG_WAREHOUSE, NULL)->state, "");
}

/* --- errors from states --- */

static void from_state(enum pg_side side, const char *state, const char *message)
{
    assert_false(pg_error_state(side, &err, NULL, "doing", state, message));
}

static void hints_are_filled(void **state)
{
    (void)state;
    for (const struct pg_state *row = pg_states; row->state != NULL; row++)
        for (int side = 0; side < PG_SIDES; side++) {
            char code[6];

            if (row->side[side].kind == ERROR_NONE || row->state[0] == '\0')
                continue;
            snprintf(code, sizeof(code), "%s%s", row->state, strlen(row->state) == 2 ? "999" : "");
            from_state((enum pg_side)side, code, "words");
            assert_int_equal(err.kind, row->side[side].kind);
            assert_string_equal(err.sqlstate, code);
            if (strpbrk(err.hint, "{}") != NULL)
                fail_msg("%s: %s", code, err.hint);
            assert_int_equal(err.hint[0] != '\0', row->side[side].who[0] != '\0');
        }
}

static void rights_in_words(void **state)
{
    (void)state;
    from_state(PG_WAREHOUSE, "42501", "permission denied for database my db");
    assert_string_equal(err.hint,
                        "its owner must run: GRANT CREATE ON DATABASE \"my db\" TO \"\";");
    from_state(PG_SOURCE, "42501", "permission denied for schema a\"b");
    assert_string_equal(err.hint, "its owner must run: GRANT USAGE ON SCHEMA \"a\"\"b\" TO \"\";");
    from_state(PG_WAREHOUSE, "42501", "must be owner of table t");
    assert_non_null(strstr(err.hint, "table t must belong to \"\""));
    from_state(PG_SOURCE, "42501", "permission denied to start WAL sender");
    assert_non_null(strstr(err.hint, "WITH REPLICATION"));
    /* in another language: still somebody who must act */
    from_state(PG_SOURCE, "42501", "keine Berechtigung");
    assert_non_null(strstr(err.hint, "penstock check"));
    assert_int_equal(err.kind, ERROR_CONFIG);
}

#define SECRET "s3cr3t"

static const struct {
    const char *state, *message, *shown; /* shown NULL: whatever, but not the value */
} values[] = {
    {"22P02", "invalid input syntax for type integer: \"" SECRET "\"",
     "doing: invalid input syntax for type integer"},
    {"22003", "value \"" SECRET "\" is out of range for type integer",
     "doing: value \"\" is out of range for type integer"},
    {"22003", "value \"a\"" SECRET "\"b\" is out of range", "doing: value \"\" is out of range"},
    {"22P02", "bad value \"line\n" SECRET "\" of it", "doing: bad value \"\" of it"},
    {"22P02", "bad value \"" SECRET, "doing: bad value \""},
    {"22P02", "bad \"x: " SECRET "\" of it", "doing: bad \""},
    {"22P02", "Wert \xc2\xbb" SECRET "\xc2\xab ist kein Wert", "doing: data_exception"},
    {"22021", "valeur \xc2\xab " SECRET " \xc2\xbb", "doing: character_not_in_repertoire"},
    {"22001", "value too long for type character varying(5)\nDETAIL: " SECRET,
     "doing: value too long for type character varying(5)"},
    {"P0001", "row " SECRET " is not wanted", NULL},
    {"P0004", "row " SECRET " is not wanted", NULL},
    {"38000", "row " SECRET " is not wanted", NULL},
    {"2F005", "row " SECRET " is not wanted", NULL},
    {"MY001", "row " SECRET " is not wanted", NULL},
    {"nono!", "row " SECRET " is not wanted", NULL},
};

static void no_values_in_messages(void **state)
{
    char longer[4000];

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        from_state(PG_WAREHOUSE, values[i].state, values[i].message);
        if (strstr(err.message, SECRET) != NULL || strstr(err.hint, SECRET) != NULL)
            fail_msg("%s: %s", values[i].state, err.message);
        if (values[i].shown != NULL)
            assert_string_equal(err.message, values[i].shown);
        if (strncmp(values[i].state, "22", 2) != 0)
            continue;
        from_state(PG_SOURCE, values[i].state, values[i].message);
        assert_null(strstr(err.message, SECRET));
    }
    /* A value that does not fit into the message, with quotes of its own. */
    memset(longer, 'x', sizeof(longer));
    memcpy(longer, "bad value \"a\" ", 14);
    memcpy(longer + 14, SECRET "\"", strlen(SECRET) + 1);
    snprintf(longer + 3980, 20, "\" of it");
    from_state(PG_WAREHOUSE, "22P02", longer);
    assert_string_equal(err.message, "doing: bad value \"");
    /* At the source no row goes through a user's function: its words help. */
    from_state(PG_SOURCE, "P0001", "DDL is for the night");
    assert_string_equal(err.message, "doing: DDL is for the night");
    /* Names are kept. */
    from_state(PG_WAREHOUSE, "23505", "duplicate key value violates unique constraint \"t_pkey\"");
    assert_non_null(strstr(err.message, "\"t_pkey\""));
}

static void without_an_error_to_fill(void **state)
{
    (void)state;
    assert_false(pg_error_state(PG_SOURCE, NULL, NULL, NULL, "28P01", "words"));
    assert_false(pg_error_result(PG_WAREHOUSE, NULL, NULL, NULL, NULL));
    assert_false(pg_error_lost(PG_WAREHOUSE, NULL, NULL, NULL));
    assert_false(pg_error_connect(PG_SOURCE, NULL, NULL, NULL));
    assert_false(error_cause(NULL, CAUSE_CANCELLED, "words"));
    assert_false(error_because(NULL, CAUSE_CANCELLED));
    assert_false(error_fill(NULL, "a", "b"));
    assert_false(wdk_error(NULL, DUCKDB_ERROR_IO, "words"));
}

/* --- connections, without a server --- */

static void lost_connections(void **state)
{
    (void)state;
    pg_error_lost(PG_SOURCE, &err, NULL, "streaming");
    assert_string_equal(err.message, "streaming: connection lost");
    assert_int_equal(err.kind, ERROR_RETRY);
    assert_string_equal(err.cause, "connection-lost");
    pg_error_result(PG_WAREHOUSE, &err, NULL, NULL, NULL);
    assert_string_equal(err.message, "connection lost: no answer");
    assert_int_equal(err.kind, ERROR_RETRY);
    pg_error_timeout(PG_SOURCE, &err, "connecting to x", 5000);
    assert_string_equal(err.message, "connecting to x: no answer within 5 s");
    assert_non_null(strstr(err.hint, "database.hostname"));
    pg_error_timeout(PG_WAREHOUSE, &err, "cannot connect", 5000);
    assert_non_null(strstr(err.hint, "connection.url"));
}

static void refused(const char *conninfo, enum error_kind kind, const char *cause)
{
    PGconn *conn = PQconnectdb(conninfo);

    assert_int_equal(PQstatus(conn), CONNECTION_BAD);
    for (int side = 0; side < PG_SIDES; side++) {
        assert_false(pg_error_connect((enum pg_side)side, &err, conn, "connecting"));
        if (err.kind != kind || err.cause == NULL || strcmp(err.cause, cause) != 0)
            fail_msg("%s: %s %s: %s", conninfo, error_kind_name(err.kind), err.cause, err.message);
        assert_non_null(strstr(err.hint, side == PG_SOURCE ? "database." : "connection.url"));
    }
    PQfinish(conn);
}

/* What libpq refuses before a server says anything; the address may hold any word. */
static void refused_connections(void **state)
{
    (void)state;
    refused("host=/nowhere/certificate port=5432 dbname=invalid", ERROR_RETRY,
            "server-unreachable");
    refused("host=127.0.0.1 port=1 dbname=certificate", ERROR_RETRY, "server-unreachable");
    refused("host=invalid.certificate.invalid dbname=x", ERROR_RETRY, "server-unreachable");
    refused("host=127.0.0.1 port=70000 dbname=x", ERROR_CONFIG, "parameter-refused");
    refused("host=127.0.0.1 port=1 sslmode=verify-full sslrootcert=/nowhere/root.crt dbname=x",
            ERROR_RETRY, "server-unreachable");
    refused("host=127.0.0.1 port=1 sslmode=nonsense dbname=x", ERROR_CONFIG, "parameter-refused");
}

/* --- causes --- */

static void causes_fill_errors(void **state)
{
    (void)state;
    assert_false(error_cause(&err, CAUSE_SLOT_FOREIGN, "slot %s exists", "s"));
    assert_int_equal(err.kind, ERROR_CONFLICT);
    assert_string_equal(err.message, "slot s exists");
    assert_string_equal(err.cause, "slot-foreign");
    assert_non_null(strstr(err.hint, "'{slot}'"));
    assert_false(error_fill(&err, "slot", "s"));
    assert_non_null(strstr(err.hint, "pg_drop_replication_slot('s')"));

    error_set(&err, ERROR_CONFIG, "made by a state");
    snprintf(err.sqlstate, sizeof(err.sqlstate), "42710");
    assert_null(err.cause);
    err.table = 7;
    assert_false(error_because(&err, CAUSE_TABLE_UNREADABLE));
    assert_int_equal(err.kind, ERROR_DATA);
    assert_string_equal(err.message, "made by a state");
    assert_string_equal(err.sqlstate, "42710");
    assert_int_equal(err.table, 7);
    error_prefix(&err, "reading");
    assert_string_equal(err.cause, "table-unreadable");
    error_set(&err, ERROR_RETRY, "another");
    assert_null(err.cause); /* it is not taken over */
}

static void fills(void **state)
{
    char big[2000];

    (void)state;
    error_set(&err, ERROR_CONFIG, "m");
    error_hint(&err, "{a} and {b} and {a}, {ab} {a {");
    error_fill(&err, "a", "1");
    assert_string_equal(err.hint, "1 and {b} and 1, {ab} {a {");
    error_fill(&err, "b", "{a}");
    assert_string_equal(err.hint, "1 and {a} and 1, {ab} {a {");
    error_fill(&err, "ab", "");
    assert_string_equal(err.hint, "1 and {a} and 1,  {a {");
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    error_fill(&err, "a", big);
    assert_int_equal(strlen(err.hint), sizeof(err.hint) - 1);
    error_fill(&err, "x", "y");
    assert_int_equal(strlen(err.hint), sizeof(err.hint) - 1);
}

static void causes_are_logged(void **state)
{
    char line[1024];
    int pipe_fds[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    (void)state;
    assert_int_equal(pipe(pipe_fds), 0);
    dup2(pipe_fds[1], STDERR_FILENO);
    error_cause(&err, CAUSE_BOOKS_NEWER, "version 999");
    log_failure(LOG_ERROR, "failed", &err);
    error_set(&err, ERROR_RETRY, "version 998");
    log_failure(LOG_ERROR, "failed", &err);
    dup2(saved, STDERR_FILENO);
    n = read(pipe_fds[0], line, sizeof(line) - 1);
    assert_true(n > 0);
    line[n] = '\0';
    assert_non_null(strstr(line, "kind=configuration cause=books-newer\n"));
    assert_non_null(strstr(line, "version 998 kind=retry\n"));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(saved);
}

/* --- DuckDB --- */

static const struct {
    duckdb_error_type type;
    const char *message;
    enum error_kind kind;
    const char *cause;
} duckdb_errors[] = {
    {DUCKDB_ERROR_CONVERSION, "Conversion Error: Could not convert string 'x' to INT32", ERROR_DATA,
     "duckdb-conversion"},
    {DUCKDB_ERROR_CONSTRAINT, "Constraint Error: Duplicate key", ERROR_DATA, "duckdb-constraint"},
    {DUCKDB_ERROR_TRANSACTION, "TransactionContext Error: Conflict on update!", ERROR_RETRY,
     "duckdb-transaction"},
    {DUCKDB_ERROR_TRANSACTION,
     "TransactionContext Error: Failed to commit: PRIMARY KEY or UNIQUE constraint violation",
     ERROR_CONFIG, "duckdb-commit-constraint"},
    {DUCKDB_ERROR_CATALOG, "Catalog Error: Table with name t does not exist!", ERROR_DATA,
     "duckdb-catalog"},
    {DUCKDB_ERROR_CATALOG, "Catalog Error: an index depends on it", ERROR_CONFIG, "duckdb-depends"},
    {DUCKDB_ERROR_BINDER, "Binder Error: no column c", ERROR_DATA, "duckdb-binder"},
    {DUCKDB_ERROR_DEPENDENCY, "Dependency Error: Cannot alter entry", ERROR_CONFIG,
     "duckdb-dependency"},
    {DUCKDB_ERROR_INTERRUPT, "INTERRUPT Error: Interrupted!", ERROR_RETRY, "duckdb-interrupt"},
    {DUCKDB_ERROR_OUT_OF_MEMORY, "Out of Memory Error: failed to allocate", ERROR_RETRY,
     "duckdb-out-of-memory"},
    {DUCKDB_ERROR_FATAL, "FATAL Error: assertion", ERROR_RETRY, "duckdb-fatal"},
    {DUCKDB_ERROR_INVALID_INPUT, "the database has been invalidated", ERROR_RETRY, "duckdb-fatal"},
    {DUCKDB_ERROR_IO, "IO Error: could not read", ERROR_RETRY, "duckdb-io"},
    {DUCKDB_ERROR_CONSTRAINT, "x: No space left on device", ERROR_RETRY, "disk-full"},
    {DUCKDB_ERROR_OUT_OF_MEMORY, "the 'max_temp_directory_size' setting", ERROR_RETRY, "disk-full"},
    {DUCKDB_ERROR_PERMISSION, "Permission Error: file system access is disabled", ERROR_CONFIG,
     "duckdb-permission"},
    {DUCKDB_ERROR_PARSER, "Parser Error: syntax error", ERROR_FATAL, "duckdb-parser"},
    {DUCKDB_ERROR_NOT_IMPLEMENTED, "Not implemented Error: that", ERROR_FATAL, "duckdb-other"},
    {DUCKDB_ERROR_INVALID, "no type", ERROR_FATAL, "duckdb-other"},
    {(duckdb_error_type)999, "a type of a later DuckDB", ERROR_FATAL, "duckdb-other"},
};

static void kinds_of_duckdb(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(duckdb_errors) / sizeof(duckdb_errors[0]); i++) {
        assert_false(wdk_error(&err, duckdb_errors[i].type, duckdb_errors[i].message));
        if (err.kind != duckdb_errors[i].kind || strcmp(err.cause, duckdb_errors[i].cause) != 0)
            fail_msg("%s: %s %s", duckdb_errors[i].message, error_kind_name(err.kind), err.cause);
        if (strpbrk(err.hint, "{}") != NULL || (err.kind != ERROR_RETRY && err.hint[0] == '\0'))
            fail_msg("%s: \"%s\"", duckdb_errors[i].message, err.hint);
    }
    assert_false(wdk_error(&err, DUCKDB_ERROR_IO, NULL));
    assert_string_equal(err.message, "DuckDB: unknown error");
}

static void duckdb_names_and_order(void **state)
{
    struct error_note a, b;

    (void)state;
    for (size_t i = 0; wdk_state_note(i, &a); i++)
        for (size_t j = 0; j < i && wdk_state_note(j, &b); j++)
            assert_string_not_equal(a.name, b.name);
    /* The sign's row comes before its type's, and does not take what lacks the sign. */
    assert_string_equal(wdk_state_find(DUCKDB_ERROR_CATALOG, "x depend on it")->note.name,
                        "duckdb-depend");
    assert_string_equal(wdk_state_find(DUCKDB_ERROR_CATALOG, "x")->note.name, "duckdb-catalog");
}

static void no_values_in_duckdb_messages(void **state)
{
    static const char *const messages[] = {
        "Conversion Error: Could not convert string '" SECRET "' to INT32",
        "Invalid Input Error: bad \"" SECRET "\"",
        "Constraint Error: Duplicate key \"id: " SECRET "\" violates primary key constraint",
    };
    static const duckdb_error_type types[] = {DUCKDB_ERROR_CONVERSION, DUCKDB_ERROR_INVALID_INPUT,
                                              DUCKDB_ERROR_CONSTRAINT};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        wdk_error(&err, types[i], messages[i]);
        assert_null(strstr(err.message, SECRET));
        assert_string_not_equal(err.hint, "");
    }
    wdk_error(&err, DUCKDB_ERROR_CATALOG, "Catalog Error: Table \"orders\" does not exist");
    assert_non_null(strstr(err.message, "\"orders\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(causes_are_complete),
        cmocka_unit_test(states_are_complete),
        cmocka_unit_test(states_are_ordered),
        cmocka_unit_test(connectors_have_rows),
        cmocka_unit_test(kinds_of_states),
        cmocka_unit_test(little_is_fatal_at_the_source),
        cmocka_unit_test(lookup_order),
        cmocka_unit_test(hints_are_filled),
        cmocka_unit_test(rights_in_words),
        cmocka_unit_test(no_values_in_messages),
        cmocka_unit_test(without_an_error_to_fill),
        cmocka_unit_test(lost_connections),
        cmocka_unit_test(refused_connections),
        cmocka_unit_test(causes_fill_errors),
        cmocka_unit_test(fills),
        cmocka_unit_test(causes_are_logged),
        cmocka_unit_test(kinds_of_duckdb),
        cmocka_unit_test(duckdb_names_and_order),
        cmocka_unit_test(no_values_in_duckdb_messages),
    };

    return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
