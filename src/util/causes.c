/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of causes. A hint says who must do what in one line; what it names in braces is filled
 * in where the error is raised.
 */
#include "util/causes.h"

#include <stdio.h>

#define LOAD_AGAIN                                                                                 \
    "load all tables again: set snapshot.mode to when_needed and restart, or run penstock remove " \
    "and start the connector again"
#define RESTORE_REGISTRY                                                                        \
    "stop the service, remove {file} and its -wal and -shm files, and start it again: schemas " \
    "and ids are restored from the warehouse"

static const struct error_note notes[CAUSE_COUNT] = {
    [CAUSE_CONNECTION_LOST] = {"", "connection-lost", ERROR_RETRY,
                               "the connection to a server broke and it gave no reason", ""},
    [CAUSE_SERVER_UNREACHABLE] = {"", "server-unreachable", ERROR_RETRY,
                                  "nobody listens there, or its name is not known",
                                  "start the server, or set {address} to where it listens"},
    [CAUSE_NO_ANSWER] = {"", "no-answer", ERROR_RETRY,
                         "the server's machine accepts the connection and says nothing for 5 s",
                         "check {address}, the server, and the firewall between it and this host"},
    [CAUSE_SERVER_SILENT] = {"", "server-silent", ERROR_RETRY,
                             "the server does not answer on two connections any more", ""},
    [CAUSE_PASSWORD_MISSING] = {"", "password-missing", ERROR_CONFIG,
                                "the server asks for a password and none is set", "set {password}"},
    [CAUSE_TLS_REFUSED] = {"", "tls-refused", ERROR_CONFIG,
                           "the two ends cannot agree on encryption, a certificate or a way to "
                           "log in",
                           "correct {tls}, or the server's certificate"},
    [CAUSE_PARAMETER_REFUSED] = {"", "parameter-refused", ERROR_CONFIG,
                                 "a parameter of the connection is wrong, or what answers there "
                                 "is no PostgreSQL server",
                                 "correct {address} and {tls}"},
    [CAUSE_CANCELLED] = {"", "cancelled", ERROR_RETRY,
                         "penstock itself ended what was going on, because it stops or starts anew",
                         ""},
    [CAUSE_PROTOCOL_BROKEN] = {"", "protocol-broken", ERROR_RETRY,
                               "what the server sent is not what its protocol says",
                               "make sure that nothing stands between this host and the server "
                               "(a pooler, a proxy)"},
    [CAUSE_SERVER_TOO_OLD] = {"", "server-too-old", ERROR_CONFIG,
                              "the warehouse's server is older than PostgreSQL 15, which MERGE "
                              "needs",
                              "upgrade the warehouse's server, or use another one"},

    [CAUSE_OTHER_SERVER] = {"", "other-server", ERROR_FATAL,
                            "the warehouse was filled from a server with another system identifier",
                            "point the connector at the old server, or use a new warehouse"},
    [CAUSE_OTHER_DATABASE] = {"", "other-database", ERROR_FATAL,
                              "the warehouse was filled from another database of that server",
                              "point the connector at the old database, or use a new warehouse"},
    [CAUSE_OTHER_TIMELINE] = {"", "other-timeline", ERROR_FATAL,
                              "a standby was promoted or a backup restored, and its log is not "
                              "known to hold what the warehouse has read",
                              "set snapshot.mode to when_needed to load all tables again"},
    [CAUSE_SERVER_CHANGED] = {"", "server-changed", ERROR_RETRY,
                              "another server answers at the source's address than a moment ago; "
                              "it is judged as at a start",
                              ""},
    [CAUSE_SAME_DATABASE] = {"", "same-database", ERROR_CONFIG,
                             "source and warehouse are one and the same database",
                             "give the warehouse a database of its own: CREATE DATABASE warehouse"},

    [CAUSE_SLOT_MISSING] = {"", "slot-missing", ERROR_FATAL,
                            "the replication slot is gone, and with it the log since the "
                            "checkpoint",
                            LOAD_AGAIN},
    [CAUSE_SLOT_LOST] = {"", "slot-lost", ERROR_FATAL,
                         "the server has invalidated the slot or removed log that it needs",
                         LOAD_AGAIN "; raise max_slot_wal_keep_size at the source"},
    [CAUSE_SLOT_AHEAD] = {"", "slot-ahead", ERROR_FATAL,
                          "somebody else has read from the slot or moved it past the checkpoint: "
                          "changes between the two are gone",
                          LOAD_AGAIN},
    [CAUSE_SLOT_MOVED] = {"", "slot-moved", ERROR_RETRY,
                          "the slot was moved since the checkpoint was read; both are read again "
                          "and judged",
                          ""},
    [CAUSE_SLOT_FOREIGN] = {"", "slot-foreign", ERROR_CONFLICT,
                            "a slot of that name exists, and this warehouse knows nothing of it",
                            "set slot.name to another name, or, if nobody uses that slot, remove "
                            "it with penstock remove or: SELECT "
                            "pg_drop_replication_slot('{slot}')"},
    [CAUSE_SLOT_UNUSABLE] = {"", "slot-unusable", ERROR_CONFIG,
                             "the slot of that name is physical, of another plugin, or of another "
                             "database",
                             "set slot.name to a name that is free, or drop it if nobody uses it: "
                             "SELECT pg_drop_replication_slot('{slot}')"},
    [CAUSE_SLOT_IN_USE] = {"", "slot-in-use", ERROR_RETRY, "another process reads from the slot",
                           "another penstock reads from it: stop that one; a dead one's session "
                           "ends after wal_sender_timeout"},
    [CAUSE_SLOT_RENAMED] = {"", "slot-renamed", ERROR_CONFLICT,
                            "the warehouse follows another slot than the settings name",
                            "set slot.name to {slot}"},
    [CAUSE_PUBLICATION_MISSING] = {"", "publication-missing", ERROR_CONFIG,
                                   "there is no publication, and the settings do not let penstock "
                                   "make one",
                                   "as the tables' owner run: {sql}"},
    [CAUSE_PUBLICATION_DROPPED] =
        {"", "publication-dropped", ERROR_CONFIG,
         "the publication was dropped while tables were loaded",
         "where penstock may not make it anew itself, make it as `penstock check` says"},
    [CAUSE_PUBLICATION_GAP] = {"", "publication-gap", ERROR_CONFIG,
                               "the publication did not exist when a change in the log was made; "
                               "that log cannot be read any more",
                               "make publication {publication}, then load again: penstock remove, "
                               "then start the connector"},
    [CAUSE_PUBLICATION_INCOMPLETE] = {"", "publication-incomplete", ERROR_CONFIG,
                                      "the publication leaves out some kinds of changes, so that "
                                      "the warehouse would drift",
                                      "run: ALTER PUBLICATION {publication} SET (publish = "
                                      "'insert, update, delete, truncate')"},
    [CAUSE_PUBLICATION_SPLIT] = {"", "publication-split", ERROR_CONFIG,
                                 "the publication publishes partitions one by one, but the "
                                 "settings select partitioned tables",
                                 "run: ALTER PUBLICATION {publication} SET "
                                 "(publish_via_partition_root = true); or, to replicate each "
                                 "partition as a table of its own, set "
                                 "publication.autocreate.mode to disabled"},
    [CAUSE_LOCK_HELD] = {"", "lock-held", ERROR_RETRY,
                         "another session holds a lock on a table that must be published",
                         "another session holds a lock on one of the tables; tried again soon"},
    [CAUSE_SNAPSHOT_GONE] = {"", "snapshot-gone", ERROR_RETRY,
                             "the session that held the snapshot of a load ended; the load starts "
                             "again",
                             ""},

    [CAUSE_BOOKS_NEWER] = {"", "books-newer", ERROR_CONFIG,
                           "the warehouse's schema penstock was written by a newer penstock",
                           "run that newer penstock again"},
    [CAUSE_BOOKS_RACE] = {"", "books-race", ERROR_RETRY,
                          "another connector makes the schema penstock at this moment", ""},
    [CAUSE_BOOKS_UNREADABLE] = {"", "books-unreadable", ERROR_FATAL,
                                "a row in schema penstock of the warehouse is not one of ours: it "
                                "was changed by hand",
                                "restore schema penstock of the warehouse, or load all tables "
                                "again: DELETE FROM penstock.checkpoints, for this connector"},
    [CAUSE_CHECKPOINT_MOVED] = {"", "checkpoint-moved", ERROR_CONFLICT,
                                "the checkpoint does not stand where this process left it",
                                "another penstock feeds these tables: stop one of the two"},
    [CAUSE_CHECKPOINT_GONE] = {"", "checkpoint-gone", ERROR_FATAL,
                               "the checkpoint's row vanished inside our own transaction",
                               "look for a trigger or rule on penstock.checkpoints and drop it, "
                               "then restart the connector"},
    [CAUSE_LOAD_TAKEN] = {"", "load-taken", ERROR_CONFLICT,
                          "another process began a newer load of the table",
                          "only one penstock may feed these tables: stop the other one"},
    [CAUSE_FOLLOWED_ALREADY] = {"", "followed-already", ERROR_CONFIG,
                                "the warehouse follows the source already: --once would load over "
                                "what is live",
                                "run without --once (or with snapshot.mode initial) to go on from "
                                "there"},

    [CAUSE_SOURCE_SHARED] = {"", "source-shared", ERROR_CONFIG,
                             "two warehouse connectors take the topics of one source",
                             "in process one source feeds one warehouse, so that a slow one holds "
                             "nobody else's log: give the second warehouse a source connector "
                             "with a topic.prefix and slot.name of its own"},
    [CAUSE_SOURCE_ALONE] = {"", "source-alone", ERROR_CONFIG,
                            "no warehouse connector takes the topics of a source",
                            "add a connector with connector.class duckdb or postgres-warehouse "
                            "and topics.regex: {prefix}\\..*"},

    [CAUSE_TABLE_UNREADABLE] = {"", "table-unreadable", ERROR_DATA,
                                "the role may not read the table or one of its partitions",
                                "run: GRANT SELECT ON {table} TO {role}"},
    [CAUSE_TABLE_HIDES_ROWS] = {"", "table-hides-rows", ERROR_DATA,
                                "row-level security would hide rows of the table from the role",
                                "run: ALTER ROLE {role} BYPASSRLS"},
    [CAUSE_TABLE_KEYLESS] = {"", "table-keyless", ERROR_DATA,
                             "the table has no primary key or other replica identity, so that "
                             "publishing it would make the application's updates and deletes fail",
                             "run: ALTER TABLE {table} REPLICA IDENTITY FULL"},
    [CAUSE_TABLE_KEY_DEFERRED] = {"", "table-key-deferred", ERROR_DATA,
                                  "the table's primary key is deferrable, so that it cannot "
                                  "identify rows in the log",
                                  "run: ALTER TABLE {table} REPLICA IDENTITY FULL"},
    [CAUSE_TABLE_UNPUBLISHED] = {"", "table-unpublished", ERROR_DATA,
                                 "the table is not in the publication",
                                 "run: ALTER PUBLICATION {publication} ADD TABLE {table}"},
    [CAUSE_TABLE_EMPTY] = {"", "table-without-columns", ERROR_DATA,
                           "no column of the table is published",
                           "publish its columns, or leave the table out: table.exclude.list"},
    [CAUSE_PARTITION_UNLOGGED] = {"", "partition-unlogged", ERROR_DATA,
                                  "a partition is unlogged: its changes are not in the log",
                                  "run: ALTER TABLE {partition} SET LOGGED"},
    [CAUSE_PARTITION_FOREIGN] = {"", "partition-foreign", ERROR_DATA,
                                 "a partition is a foreign table: its changes are not in the log",
                                 "detach it or leave the table out"},
    [CAUSE_PARTITION_IDENTITY] = {"", "partition-identity", ERROR_DATA,
                                  "a partition has another replica identity than its table",
                                  "run: ALTER TABLE {partition} REPLICA IDENTITY {identity}"},
    [CAUSE_TABLE_CHANGED] = {"", "table-changed", ERROR_RETRY,
                             "the table was altered, rewritten, renamed or dropped while it was "
                             "read",
                             "it is loaded again under a new snapshot"},
    [CAUSE_TABLE_RESTLESS] = {"", "table-restless", ERROR_DATA,
                              "the table was rewritten each time while it was copied",
                              "when that is over, run: penstock resync"},
    [CAUSE_KEY_NOT_LOGGED] = {"", "key-not-logged", ERROR_DATA,
                              "the log does not carry a part of the key",
                              "give each partition the replica identity of its root"},
    [CAUSE_COLUMN_NOT_LOGGED] = {"", "column-not-logged", ERROR_DATA,
                                 "the log does not carry a column, and no earlier row has it",
                                 "the table is loaded again by itself; to avoid it, at the source: "
                                 "ALTER TABLE {table} REPLICA IDENTITY FULL"},
    [CAUSE_NAME_REFUSED] = {"", "name-refused", ERROR_DATA,
                            "the warehouse cannot hold a table with that name, column or number "
                            "of columns",
                            "rename it at the source, or leave it out: column.exclude.list or "
                            "table.exclude.list"},
    [CAUSE_SCHEMA_REFUSED] = {"", "schema-refused", ERROR_DATA,
                              "the table's new event schema is not compatible with the old one "
                              "under its subject's compatibility mode",
                              "undo the change of the table, or make it compatible (a new column "
                              "needs a default or must allow NULL, a type may only widen), or set "
                              "schema.compatibility to NONE; then restart penstock"},
    [CAUSE_VALUE_INVALID] = {"", "value-invalid", ERROR_DATA,
                             "a value of the source is not what its column's type says",
                             "correct the value at the source and load the table again, or leave "
                             "the column out: column.exclude.list"},

    [CAUSE_VALUE_MISFIT] = {"", "value-misfit", ERROR_DATA,
                            "a value cannot be held by its column in the warehouse",
                            "set value.overflow.mode to null to store NULL for such values "
                            "(counted), or leave the column out with column.exclude.list; then "
                            "load the table again"},
    [CAUSE_TARGET_FOREIGN] = {"", "target-foreign", ERROR_DATA,
                              "the warehouse has a table of that name already, and it is not ours",
                              "rename or drop it, then run: penstock resync"},
    [CAUSE_TARGET_ALTERED] = {"", "target-altered", ERROR_DATA,
                              "the table in the warehouse has other columns or types than ours",
                              "undo the change of the table in the warehouse, or drop that table; "
                              "then load it again"},
    [CAUSE_TARGET_NEEDED] = {"", "target-needed", ERROR_DATA,
                             "something in the warehouse depends on the table that its new copy "
                             "is to replace",
                             "drop the view or foreign key that depends on it, or move it "
                             "elsewhere, then run: penstock resync"},
    [CAUSE_COPY_DIFFERS] = {"", "copy-differs", ERROR_DATA,
                            "rows in the warehouse are not what the log says they are: they were "
                            "changed by hand",
                            "restart penstock: the table is loaded again"},

    [CAUSE_DISK_FULL] = {"", "disk-full", ERROR_RETRY, "a disk of this machine is full",
                         "make room on the disk of {disk}"},
    [CAUSE_SPOOL_FULL] = {"", "spool-full", ERROR_RETRY,
                          "the disk is full of changes of tables that are being loaded; until "
                          "there is room the source's server keeps the log",
                          "make room in data.dir, or lower spool.limit.bytes, so that the table's "
                          "load starts again before the disk is full"},
    [CAUSE_SPOOL_BROKEN] = {"", "spool-broken", ERROR_DATA,
                            "a table's file of changes in data.dir is damaged or cut",
                            "load the table again; look for faults of the disk of data.dir"},
    [CAUSE_DATA_DIR_IN_USE] = {"", "data-dir-in-use", ERROR_CONFIG,
                               "another penstock holds the lock of data.dir",
                               "stop that one, or set data.dir to a directory of its own"},
    [CAUSE_DATA_DIR_UNUSABLE] = {"", "data-dir-unusable", ERROR_CONFIG,
                                 "data.dir cannot be made or written",
                                 "give the user who runs penstock the right to write there, or "
                                 "set data.dir"},
    [CAUSE_REGISTRY_BUSY] = {"", "registry-busy", ERROR_RETRY,
                             "another connection writes to the schema registry", ""},
    [CAUSE_REGISTRY_UNUSABLE] = {"", "registry-unusable", ERROR_CONFIG,
                                 "the schema registry in data.dir cannot be read or written",
                                 "make the folder of {file} (data.dir) writable and not full"},
    [CAUSE_REGISTRY_BROKEN] = {"", "registry-broken", ERROR_CONFIG,
                               "the file of the schema registry is damaged", RESTORE_REGISTRY},
    [CAUSE_REGISTRY_NEWER] = {"", "registry-newer", ERROR_CONFIG,
                              "the file of the schema registry was written by a newer penstock",
                              "run the newer penstock that wrote it, or set another data.dir"},
    [CAUSE_REGISTRY_CONFLICT] = {"", "registry-conflict", ERROR_CONFLICT,
                                 "the schema registry has another schema under an id that the "
                                 "warehouse knows",
                                 RESTORE_REGISTRY},
    [CAUSE_MEMORY_SMALL] = {"", "memory-small", ERROR_CONFIG,
                            "DuckDB needs more memory than it may have to open the file",
                            "raise duckdb.memory.limit"},
    [CAUSE_FILE_IN_USE] = {"", "file-in-use", ERROR_CONFLICT,
                           "another process has the DuckDB file open",
                           "end that process: DuckDB lets only one process use the file while it "
                           "is written. Query through the service instead: penstock query SQL"},
    [CAUSE_FILE_OPEN_TWICE] = {"", "file-open-twice", ERROR_CONFLICT,
                               "two connectors name the same DuckDB file",
                               "give every duckdb connector a file of its own (connection.url)"},
    [CAUSE_FILE_UNUSABLE] = {"", "file-unusable", ERROR_CONFIG,
                             "what connection.url names is no DuckDB file, or cannot be read or "
                             "written",
                             "name another file in connection.url, or give the user of this "
                             "service the right to write it, its directory and its .wal"},
    [CAUSE_FILE_OTHER_VERSION] = {"", "file-other-version", ERROR_CONFIG,
                                  "the file was written by another version of DuckDB",
                                  "this service has DuckDB {version}: copy the tables into a new "
                                  "file with the DuckDB that wrote it, or name another file"},
    [CAUSE_FILE_LOG_ALONE] = {"", "file-log-alone", ERROR_CONFIG,
                              "there is a .wal, and the DuckDB file that it belongs to was taken "
                              "away",
                              "put the file back beside its log, or remove the log too"},
    [CAUSE_FILE_LOG_BROKEN] = {"", "file-log-broken", ERROR_FATAL,
                               "the DuckDB file's log cannot be replayed",
                               "copy both files away, then remove the .wal: the file is then as of "
                               "its last checkpoint and goes on from there if the source still has "
                               "the log, else the tables are loaded again"},
    [CAUSE_FILE_BROKEN] = {"", "file-broken", ERROR_FATAL, "the DuckDB file cannot be opened",
                           "copy the file away and restore it from a backup, or name a new file: "
                           "all tables are then loaded again"},
};

const struct error_note *cause_note(enum cause c)
{
    return &notes[c];
}

bool error_because(struct error *err, enum cause c)
{
    if (err == NULL)
        return false;
    err->kind = notes[c].kind;
    err->cause = notes[c].name;
    return error_hint(err, "%s", notes[c].who);
}

bool error_cause(struct error *err, enum cause c, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return false;
    error_clear(err);
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    return error_because(err, c);
}
