/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table. What may pass by itself is RETRY; what a person must grant, set or repair, and what
 * then goes on without loss, is CONFIG; what one table's rows or definition bring up is DATA (that
 * table stops, the others go on); FATAL is left for log that is gone and for statements of ours
 * that are wrong. At the source FATAL means "the log cannot be read any more" and nothing else:
 * under snapshot.mode when_needed it loads every table again.
 */
#include "common/pg_states.h"

#include <string.h>

#define BUG "this is a fault of penstock: report it with the log"
#define DROP_TRIGGER                                                                               \
    "the owner of the trigger, rule or function on that table must drop or mend it (the server's " \
    "log has its words); then load the table again"
#define DROP_CONSTRAINT \
    "drop the constraint that was added to the table in the warehouse, then load it again"
#define LOAD_TARGET \
    "undo the change of the table in the warehouse, or drop that table; then load it again"
#define MEND_VALUE                                                                        \
    "correct the value at the source and load the table again, or leave the column out: " \
    "column.exclude.list"
#define EVENT_TRIGGER "the owner of the event trigger at the source must let role {role} pass"
/* kinds and hints: first at the source, then at the warehouse */
#define ROW(state, name, words, kind_s, kind_w, meaning, who_s, who_w)                             \
    {                                                                                              \
        state, name, meaning, {{ERROR_##kind_s, who_s}, {ERROR_##kind_w, who_w}}, PG_WORDS_##words \
    }

const struct pg_state pg_states[] = {
    ROW("03", "sql_statement_not_yet_complete", PLAIN, CONFIG, FATAL,
        "a statement of ours is wrong", BUG, BUG),
    ROW("08P01", "protocol_violation", PLAIN, CONFIG, FATAL,
        "what we sent is not understood: a pooler answers instead of a server, or a row of ours is "
        "malformed",
        "set database.hostname and database.port to the PostgreSQL server itself, not to a pooler",
        "set connection.url to the PostgreSQL server itself if a pooler answers there; else " BUG),
    ROW("08", "connection_exception", PLAIN, RETRY, RETRY, "the connection broke", "", ""),
    ROW("09", "triggered_action_exception", FOREIGN, CONFIG, DATA, "a user's trigger failed",
        EVENT_TRIGGER, DROP_TRIGGER),
    ROW("0A", "feature_not_supported", PLAIN, CONFIG, DATA,
        "the server cannot do what is asked: it is of another make, or the table is not a plain "
        "one",
        "use a PostgreSQL server (14 or later) with logical decoding, the primary",
        LOAD_TARGET "; or use a PostgreSQL server (15 or later) as the warehouse"),
    ROW("0B", "invalid_transaction_initiation", PLAIN, CONFIG, FATAL,
        "a statement of ours is wrong", BUG, BUG),
    ROW("0F", "locator_exception", PLAIN, CONFIG, FATAL, "a statement of ours is wrong", BUG, BUG),
    ROW("0L", "invalid_grantor", PLAIN, CONFIG, CONFIG,
        "the role may not grant what it does not hold",
        "give role {role} the right with GRANT OPTION, or run the statement as the object's owner",
        "give role {role} the right with GRANT OPTION, or run the statement as the object's owner"),
    ROW("0P", "invalid_role_specification", PLAIN, CONFIG, CONFIG, "the role cannot be used",
        "set database.user to a role that exists",
        "name a role that exists in connection.url or connection.user"),
    ROW("0Z", "diagnostics_exception", FOREIGN, CONFIG, DATA, "a user's trigger failed",
        EVENT_TRIGGER, DROP_TRIGGER),
    ROW("10", "invalid_argument_for_xquery", FOREIGN, CONFIG, DATA, "a user's function failed",
        EVENT_TRIGGER, DROP_TRIGGER),
    ROW("20", "case_not_found", FOREIGN, CONFIG, DATA, "a user's trigger failed", EVENT_TRIGGER,
        DROP_TRIGGER),
    ROW("21", "cardinality_violation", PLAIN, CONFIG, DATA,
        "rows of the table are there twice in the warehouse: it was changed by hand", BUG,
        "load the table again"),
    ROW("22021", "character_not_in_repertoire", VALUES, DATA, DATA,
        "a text holds bytes that are no character of the database's encoding",
        "correct that text at the source, then load the table again",
        "create the warehouse's database with ENCODING 'UTF8' TEMPLATE template0"),
    ROW("22023", "invalid_parameter_value", VALUES, CONFIG, DATA,
        "a setting of the session or of the stream is refused; at the warehouse, a value of a row",
        "correct the setting that the message names (publication.name, slot.name, or one of role "
        "{role} itself: ALTER ROLE {role} RESET ...)",
        MEND_VALUE),
    ROW("22P05", "untranslatable_character", VALUES, DATA, DATA,
        "a text holds a character that the other encoding does not have",
        "correct that text at the source, then load the table again; or move the data into a "
        "database with ENCODING 'UTF8'",
        "create the warehouse's database with ENCODING 'UTF8' TEMPLATE template0"),
    ROW("22", "data_exception", VALUES, DATA, DATA,
        "a value cannot be read, or cannot be held by its column in the warehouse", MEND_VALUE,
        MEND_VALUE),
    ROW("23502", "not_null_violation", PLAIN, NONE, DATA,
        "a column of the table in the warehouse was made NOT NULL", "", DROP_CONSTRAINT),
    ROW("23503", "foreign_key_violation", PLAIN, NONE, DATA,
        "a foreign key was added to or on a table in the warehouse", "", DROP_CONSTRAINT),
    ROW("23505", "unique_violation", PLAIN, RETRY, DATA,
        "a unique index was added to the table in the warehouse, or rows were put there by hand; "
        "at the source, another session made the same object at this moment",
        "", DROP_CONSTRAINT),
    ROW("23514", "check_violation", PLAIN, NONE, DATA,
        "a check was added to the table in the warehouse", "", DROP_CONSTRAINT),
    ROW("23", "integrity_constraint_violation", PLAIN, NONE, DATA,
        "a constraint was added to the table in the warehouse", "", DROP_CONSTRAINT),
    ROW("24", "invalid_cursor_state", PLAIN, CONFIG, FATAL, "a statement of ours is wrong", BUG,
        BUG),
    ROW("25006", "read_only_sql_transaction", PLAIN, CONFIG, CONFIG,
        "the server is a standby, or set to read only",
        "set database.hostname and database.port to the primary server: this one is a standby or "
        "set to read only",
        "connect to the primary server (connection.url): this one is a standby or set to read "
        "only"),
    ROW("25P03", "idle_in_transaction_session_timeout", PLAIN, RETRY, RETRY,
        "our session was ended while its transaction waited too long", "", ""),
    ROW("25P04", "transaction_timeout", PLAIN, RETRY, RETRY,
        "our session was ended because its transaction took too long",
        "if it comes again: ALTER ROLE {role} SET transaction_timeout = 0",
        "if it comes again: ALTER ROLE {role} SET transaction_timeout = 0"),
    ROW("25", "invalid_transaction_state", PLAIN, RETRY, FATAL,
        "a statement of ours does not fit the state of its transaction", "", BUG),
    ROW("26", "invalid_sql_statement_name", PLAIN, CONFIG, FATAL, "a statement of ours is wrong",
        BUG, BUG),
    ROW("27", "triggered_data_change_violation", FOREIGN, CONFIG, DATA,
        "a user's trigger changed the row that we change", EVENT_TRIGGER, DROP_TRIGGER),
    ROW("28P01", "invalid_password", PLAIN, CONFIG, CONFIG, "the password is wrong",
        "set database.user and database.password to a role that can log in, or set its password: "
        "ALTER ROLE {role} PASSWORD '...'",
        "give the password of role {role} in connection.url or connection.password, or set it: "
        "ALTER ROLE {role} PASSWORD '...'"),
    ROW("28", "invalid_authorization_specification", PLAIN, CONFIG, CONFIG,
        "the role does not exist, may not log in, or pg_hba.conf does not let it in",
        "allow the role in pg_hba.conf (host DATABASE ROLE ADDRESS scram-sha-256; replication "
        "connections of a logical source match the database's line) and give it LOGIN REPLICATION: "
        "ALTER ROLE {role} WITH LOGIN REPLICATION",
        "the role must exist with LOGIN (CREATE ROLE {role} LOGIN PASSWORD '...') and pg_hba.conf "
        "must let it into database {database} from this host"),
    ROW("2BP01", "dependent_objects_still_exist", PLAIN, CONFIG, CONFIG,
        "a view or another object depends on the table that a new copy would replace",
        "the owner of what depends on it must drop it",
        "drop the view or other object that depends on it, or move it elsewhere"),
    ROW("2B", "dependent_privilege_descriptors_still_exist", PLAIN, CONFIG, CONFIG,
        "rights that others hold depend on it", "its owner must revoke those rights",
        "its owner must revoke those rights"),
    ROW("2D", "invalid_transaction_termination", FOREIGN, CONFIG, DATA, "a user's trigger failed",
        EVENT_TRIGGER, DROP_TRIGGER),
    ROW("2F", "sql_routine_exception", FOREIGN, CONFIG, DATA, "a user's function failed",
        EVENT_TRIGGER, DROP_TRIGGER),
    ROW("34", "invalid_cursor_name", PLAIN, CONFIG, FATAL, "a statement of ours is wrong", BUG,
        BUG),
    ROW("38", "external_routine_exception", FOREIGN, CONFIG, DATA, "a user's function failed",
        EVENT_TRIGGER, DROP_TRIGGER),
    ROW("39", "external_routine_invocation_exception", FOREIGN, CONFIG, DATA,
        "a user's function failed", EVENT_TRIGGER, DROP_TRIGGER),
    ROW("3B", "savepoint_exception", PLAIN, CONFIG, FATAL, "a statement of ours is wrong", BUG,
        BUG),
    ROW("3D000", "invalid_catalog_name", PLAIN, CONFIG, CONFIG, "there is no such database",
        "set database.dbname to an existing database",
        "a superuser must run: CREATE DATABASE {database} OWNER {role}; or correct connection.url"),
    ROW("3F000", "invalid_schema_name", PLAIN, RETRY, DATA, "the schema was dropped", "",
        "somebody dropped the schema of the table in the warehouse: the table is loaded again by "
        "itself"),
    ROW("40002", "transaction_integrity_constraint_violation", PLAIN, RETRY, DATA,
        "a deferred constraint was added to a table in the warehouse", "", DROP_CONSTRAINT),
    ROW("40001", "serialization_failure", PLAIN, RETRY, RETRY,
        "another transaction was in the way: rolled back, done again", "", ""),
    ROW("40P01", "deadlock_detected", PLAIN, RETRY, RETRY,
        "another transaction was in the way: rolled back, done again", "", ""),
    ROW("40", "transaction_rollback", PLAIN, RETRY, RETRY,
        "the transaction was rolled back, or its outcome is unknown: the checkpoint is read and "
        "decides",
        "", ""),
    ROW("42501", "insufficient_privilege", PLAIN, CONFIG, CONFIG, "the role lacks a right",
        "the owner of what the message names must grant the right to {role}; `penstock check` "
        "lists all that are missing",
        "the owner of database {database} or a superuser must grant the right to {role}"),
    ROW("42601", "syntax_error", PLAIN, CONFIG, FATAL,
        "a statement of ours is wrong, or the server is of another make", BUG, BUG),
    ROW("42622", "name_too_long", PLAIN, CONFIG, DATA, "a name is longer than the server allows",
        "shorten slot.name and publication.name to 63 bytes",
        "rename it at the source, or leave it out: column.exclude.list or table.exclude.list"),
    ROW("42701", "duplicate_column", PLAIN, CONFIG, DATA,
        "somebody added that column to the table in the warehouse", BUG, LOAD_TARGET),
    ROW("42703", "undefined_column", PLAIN, RETRY, DATA,
        "a column is gone: at the source it was just dropped, in the warehouse somebody dropped it",
        "", "somebody changed the table in the warehouse: it is loaded again by itself"),
    ROW("42704", "undefined_object", PLAIN, CONFIG, DATA,
        "something that is named does not exist: the slot, the publication or a type",
        "make what the message names, or correct slot.name and publication.name",
        "make the type or extension that the message names in the warehouse, then load the table "
        "again"),
    ROW("42710", "duplicate_object", PLAIN, RETRY, DATA,
        "another session made the same object at this moment", "",
        "drop the index or other object of that name in the warehouse, then load the table again"),
    ROW("42804", "datatype_mismatch", PLAIN, CONFIG, DATA,
        "a column of the table in the warehouse has another type than ours", BUG, LOAD_TARGET),
    ROW("42809", "wrong_object_type", PLAIN, RETRY, DATA, "what has the table's name is no table",
        "", "rename or drop it, then load the table again"),
    ROW("42846", "cannot_coerce", PLAIN, CONFIG, DATA,
        "a column of the table in the warehouse has another type than ours", BUG, LOAD_TARGET),
    ROW("42883", "undefined_function", PLAIN, CONFIG, DATA,
        "a column of the table in the warehouse has a type without the operators that ours has",
        BUG, LOAD_TARGET),
    ROW("428C9", "generated_always", PLAIN, CONFIG, DATA,
        "a column of the table in the warehouse was made a generated one", BUG, LOAD_TARGET),
    ROW("42939", "reserved_name", PLAIN, CONFIG, DATA, "the server keeps this name for itself",
        "choose other names for slot.name and publication.name",
        "rename it at the source, or leave it out: column.exclude.list or table.exclude.list"),
    ROW("42P01", "undefined_table", PLAIN, RETRY, DATA,
        "a table is gone: at the source it was just dropped, in the warehouse somebody dropped it",
        "", "somebody dropped the table in the warehouse: it is loaded again by itself"),
    ROW("42P06", "duplicate_schema", PLAIN, RETRY, RETRY,
        "another session made the same schema at this moment", "", ""),
    ROW("42P07", "duplicate_table", PLAIN, RETRY, DATA, "a table of that name is there already", "",
        "rename or drop that table in the warehouse, then load it again"),
    ROW("42", "syntax_error_or_access_rule_violation", PLAIN, CONFIG, FATAL,
        "a statement of ours is wrong, or does not fit what is there", BUG, BUG),
    ROW("44", "with_check_option_violation", PLAIN, NONE, DATA,
        "the table in the warehouse was replaced by a view", "", LOAD_TARGET),
    ROW("53100", "disk_full", PLAIN, RETRY, RETRY, "the server's disk is full",
        "the source's server has a full disk: make room on it",
        "the warehouse's server has a full disk: make room on it"),
    ROW("53200", "out_of_memory", PLAIN, RETRY, RETRY, "the server has no memory left",
        "if it comes again, give the server more memory or other work less",
        "if it comes again, give the server more memory or other work less"),
    ROW("53300", "too_many_connections", PLAIN, RETRY, RETRY, "no connection is left for us",
        "if it does not pass, close other sessions, or raise max_wal_senders and max_connections: "
        "ALTER SYSTEM SET max_wal_senders = 20, then restart the server",
        "if it does not pass, close other sessions, or raise max_connections"),
    ROW("53400", "configuration_limit_exceeded", PLAIN, CONFIG, CONFIG,
        "a limit of the server's configuration is reached",
        "raise the limit and restart the server: ALTER SYSTEM SET max_replication_slots = 20",
        "raise the limit that the message names (temp_file_limit: ALTER ROLE {role} SET "
        "temp_file_limit = -1)"),
    ROW("53", "insufficient_resources", PLAIN, RETRY, RETRY, "the server lacks a resource", "", ""),
    ROW("54", "program_limit_exceeded", PLAIN, DATA, DATA,
        "a row, a key or a list of columns is beyond the server's limits",
        "make the value smaller (a row as text has 1 GB at most), or leave the column out: "
        "column.exclude.list",
        "make the value smaller, drop the index on it in the warehouse, or leave the column out: "
        "column.exclude.list"),
    ROW("55006", "object_in_use", PLAIN, RETRY, RETRY, "another session uses it", "", ""),
    ROW("55P02", "cant_change_runtime_param", PLAIN, CONFIG, CONFIG,
        "the server does not let a session's settings be set",
        "let role {role} set what the message names", "let role {role} set what the message names"),
    ROW("55P03", "lock_not_available", PLAIN, RETRY, RETRY,
        "another session holds a lock; waited for again", "", ""),
    ROW("55", "object_not_in_prerequisite_state", PLAIN, CONFIG, DATA,
        "the server or the object is not in the state that is needed",
        "`penstock check` says which setting of the server is missing (wal_level = logical, say) "
        "and how it is set",
        LOAD_TARGET),
    ROW("57014", "query_canceled", PLAIN, RETRY, RETRY,
        "a person or a time limit cancelled a statement of ours; it is done again", "", ""),
    ROW("57P01", "admin_shutdown", PLAIN, RETRY, RETRY,
        "the server stops, or a person ended our session", "", ""),
    ROW("57P02", "crash_shutdown", PLAIN, RETRY, RETRY, "the server crashed and starts again", "",
        ""),
    ROW("57P03", "cannot_connect_now", PLAIN, RETRY, RETRY, "the server starts, stops or recovers",
        "", ""),
    ROW("57P04", "database_dropped", PLAIN, CONFIG, CONFIG, "the database was dropped",
        "restore database {database}, or set database.dbname to another one",
        "restore database {database}, or name another one in connection.url"),
    ROW("57", "operator_intervention", PLAIN, RETRY, RETRY, "a person or a time limit interfered",
        "", ""),
    ROW("58P01", "undefined_file", PLAIN, FATAL, RETRY,
        "a file of the server is gone; at the source, as a rule, log that is needed",
        "if the message names a WAL segment, that log is gone: load again (penstock remove, then "
        "start the connector); else see the server's log",
        "see the warehouse server's log: a file of its data directory is missing"),
    ROW("58030", "io_error", PLAIN, RETRY, RETRY, "the server's disk fails",
        "see the server's log and look after its disk",
        "see the server's log and look after its disk"),
    ROW("58", "system_error", PLAIN, RETRY, RETRY, "the server's operating system reports a fault",
        "", ""),
    ROW("72", "snapshot_too_old", PLAIN, RETRY, RETRY, "a transaction of ours took too long", "",
        ""),
    ROW("F0", "config_file_error", PLAIN, CONFIG, CONFIG,
        "a configuration file of the server is wrong",
        "correct it: the server's log names the file and the line",
        "correct it: the server's log names the file and the line"),
    ROW("HV", "fdw_error", PLAIN, NONE, DATA,
        "the table in the warehouse was replaced by a foreign one", "", LOAD_TARGET),
    ROW("P0", "plpgsql_error", FOREIGN, CONFIG, DATA, "a user's trigger or function raised it",
        EVENT_TRIGGER, DROP_TRIGGER),
    ROW("XX001", "data_corrupted", PLAIN, CONFIG, FATAL, "the server finds its own data corrupted",
        "check the source server's disk and log, restore what is damaged",
        "check the warehouse server's disk and log, restore what is damaged, then restart the "
        "connector"),
    ROW("XX002", "index_corrupted", PLAIN, CONFIG, FATAL, "the server finds an index corrupted",
        "REINDEX the index that the message names, and check the server's disk",
        "REINDEX the index that the message names, check the server's disk, then restart the "
        "connector"),
    ROW("XX", "internal_error", PLAIN, RETRY, DATA, "the server reports a fault of its own",
        "if it comes again, see the server's log",
        "see the server's log, then load the table again"),
    ROW("", "any other", FOREIGN, RETRY, FATAL,
        "a code that the manual does not list: another make of server, or a user's function",
        "if it comes again, see the server's log",
        "see the server's log: a trigger or function there raises it, or " BUG),
    {NULL, NULL, NULL, {{ERROR_NONE, ""}, {ERROR_NONE, ""}}, PG_WORDS_PLAIN},
};

const struct pg_privilege pg_privileges[] = {
    /* the name in quotes: at the connection itself */
    {"permission denied for database \"",
     {"its owner must run: GRANT CONNECT ON DATABASE {object} TO {role};",
      "its owner must run: GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {object} TO {role};"}},
    {"permission denied for database",
     {"its owner must run: GRANT CONNECT, CREATE ON DATABASE {object} TO {role};",
      "its owner must run: GRANT CREATE ON DATABASE {object} TO {role};"}},
    {"permission denied for schema",
     {"its owner must run: GRANT USAGE ON SCHEMA {object} TO {role};",
      "its owner must run: GRANT USAGE, CREATE ON SCHEMA {object} TO {role};"}},
    {"permission denied for table",
     {"its owner must run: GRANT SELECT ON {object} TO {role}; (with the table's schema in front)",
      "its owner must grant the rights on table {rest} to {role}"}},
    {"must be owner of",
     {NULL, "{rest} must belong to {role}: its owner or a superuser must run ALTER ... OWNER TO "
            "{role};"}},
    {"must be superuser or replication role",
     {"a superuser must run: ALTER ROLE {role} WITH REPLICATION;", NULL}},
    {"permission denied to start WAL sender",
     {"a superuser must run: ALTER ROLE {role} WITH REPLICATION;", NULL}},
    {"permission denied to use replication slots",
     {"a superuser must run: ALTER ROLE {role} WITH REPLICATION;", NULL}},
    {NULL, {NULL, NULL}},
};

static bool is_sqlstate(const char *s)
{
    return s != NULL && strlen(s) == 5 && strspn(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5;
}

const struct pg_state *pg_state_find(enum pg_side side, const char *sqlstate)
{
    const struct pg_state *row = pg_states;

    if (!is_sqlstate(sqlstate))
        sqlstate = "";
    while (row->side[side].kind == ERROR_NONE ||
           strncmp(row->state, sqlstate, strlen(row->state)) != 0)
        row++;
    return row;
}

enum error_kind pg_state_kind(enum pg_side side, const char *sqlstate)
{
    if (sqlstate == NULL || sqlstate[0] == '\0')
        return ERROR_RETRY;
    return pg_state_find(side, sqlstate)->side[side].kind;
}

/* The i-th refinement of 42501 that the side has; counts *i down by those that are passed. */
static bool privilege_note(enum pg_side side, const struct pg_state *right, size_t *i,
                           struct error_note *out)
{
    for (const struct pg_privilege *p = pg_privileges; p->begins != NULL; p++) {
        if (p->who[side] == NULL || (*i)-- != 0)
            continue;
        *out = (struct error_note){right->state, p->begins, right->side[side].kind, right->meaning,
                                   p->who[side]};
        return true;
    }
    return false;
}

bool pg_state_note(enum pg_side side, size_t i, struct error_note *out)
{
    for (const struct pg_state *row = pg_states; row->state != NULL; row++) {
        const struct pg_meaning *m = &row->side[side];

        if (m->kind == ERROR_NONE)
            continue;
        if (strcmp(row->state, "42501") == 0 && privilege_note(side, row, &i, out))
            return true;
        if (i-- != 0)
            continue;
        *out = (struct error_note){row->state, row->name, m->kind, row->meaning, m->who};
        return true;
    }
    return false;
}
