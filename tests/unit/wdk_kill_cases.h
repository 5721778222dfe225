/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transactions of test_wdk_kill.c: every shape that the service makes. Before each: s.t and
 * s.u with 3N rows, s._penstock_load_7 with 2N, all of (id, x, d, e); the books.
 */
#ifndef PENSTOCK_TESTS_WDK_KILL_CASES_H
#define PENSTOCK_TESTS_WDK_KILL_CASES_H

#define STATEMENTS 32

/* "@" alone appends N rows (keys from 0) to the stage, as a batch does: every third a delete. */
#define STAGE "CREATE OR REPLACE TEMP TABLE stage(_op SMALLINT, id BIGINT, x VARCHAR)"
#define DELETE_STAGED(T) "DELETE FROM " T " AS t USING temp.main.stage AS s WHERE t.id = s.id"
#define INSERT_STAGED(T) \
    "INSERT INTO " T " (id, x) SELECT s.id, s.x FROM temp.main.stage AS s WHERE s._op = 1"
#define OWN "UPDATE penstock.checkpoints SET applied_at = now() WHERE connector = 'c'"
#define MOVE "UPDATE penstock.checkpoints SET pos = pos + 1 WHERE connector = 'c'"
#define LIVE "UPDATE penstock.tables SET state = 'live' WHERE id = 1"

/* A column with a value for older rows, and the names of d and e exchanged. */
#define ADDED(T, C, TYPE, VALUE)                                      \
    "ALTER TABLE " T " ADD COLUMN \"" C "\" " TYPE " DEFAULT " VALUE, \
        "ALTER TABLE " T " ALTER COLUMN \"" C "\" DROP DEFAULT"
#define SWAPPED(T)                                                     \
    "ALTER TABLE " T " RENAME COLUMN \"d\" TO \"_penstock_rename_1\"", \
        "ALTER TABLE " T " RENAME COLUMN \"e\" TO \"d\"",              \
        "ALTER TABLE " T " RENAME COLUMN \"_penstock_rename_1\" TO \"e\""
#define WIDENED(C) "USING regexp_replace(CAST(" C " AS VARCHAR), '^(-?)[.]', '\\10.')"
#define WIDENED_D WIDENED("d")
#define WIDENED_E WIDENED("e")

struct kill_case {
    const char *name;
    const char *statements[STATEMENTS]; /* one transaction */
};

static const struct kill_case cases[] = {
    {"batch", {OWN, STAGE, "@", DELETE_STAGED("s.t"), INSERT_STAGED("s.t"), MOVE}},
    {"batch of two tables",
     {OWN, STAGE, "@", DELETE_STAGED("s.t"), INSERT_STAGED("s.t"), STAGE, "@", DELETE_STAGED("s.u"),
      INSERT_STAGED("s.u"), MOVE}},
    {"pieces",
     {OWN, STAGE, "@", DELETE_STAGED("s.t"), INSERT_STAGED("s.t"), STAGE, "@", DELETE_STAGED("s.t"),
      INSERT_STAGED("s.t"), MOVE}},
    {"truncate and insert", {OWN, "DELETE FROM s.t", STAGE, "@", INSERT_STAGED("s.t"), MOVE}},
    {"unresolved columns",
     {OWN, STAGE, "@",
      "UPDATE temp.main.stage AS s SET x = t.x FROM s.t AS t WHERE s.id % 2 = 0 AND t.id = s.id",
      DELETE_STAGED("s.t"), INSERT_STAGED("s.t"), MOVE}},
    {"no key",
     {OWN, STAGE, "@",
      "DELETE FROM s.t WHERE rowid IN (SELECT t.rowid FROM s.t AS t JOIN temp.main.stage AS s ON "
      "t.id = s.id)",
      INSERT_STAGED("s.t"), MOVE}},
    {"begin a load",
     {"CREATE SCHEMA IF NOT EXISTS s2", "CREATE TABLE s2._penstock_load_8 (id BIGINT, x VARCHAR)",
      "DELETE FROM penstock.tables WHERE id = 2",
      "INSERT INTO penstock.tables VALUES (2, 'loading')"}},
    {"begin a load again",
     {"DROP TABLE IF EXISTS s._penstock_load_7",
      "CREATE TABLE s._penstock_load_9 (id BIGINT, x VARCHAR)",
      "DELETE FROM penstock.tables WHERE id = 1",
      "INSERT INTO penstock.tables VALUES (1, 'loading')"}},
    {"create and fill",
     {"CREATE TABLE s._penstock_load_9 (id BIGINT, x VARCHAR)", STAGE, "@",
      INSERT_STAGED("s._penstock_load_9"), MOVE}},
    {"chunk of a load",
     {LIVE, STAGE, "@", INSERT_STAGED("s._penstock_load_7"),
      "INSERT INTO penstock.tables VALUES (77, 'chunk')"}},
    {"first load takes its place",
     {OWN, "ALTER TABLE s._penstock_load_7 RENAME TO \"New\"", LIVE, STAGE, "@",
      DELETE_STAGED("s.\"New\""), INSERT_STAGED("s.\"New\""), MOVE}},
    {"new load takes its place",
     {OWN, "DROP TABLE s.t", "ALTER TABLE s._penstock_load_7 RENAME TO t", LIVE, STAGE, "@",
      DELETE_STAGED("s.t"), INSERT_STAGED("s.t"), MOVE}},
    {"new load beside another table's rows",
     {OWN, "DROP TABLE s.t", "ALTER TABLE s._penstock_load_7 RENAME TO t", LIVE, STAGE, "@",
      DELETE_STAGED("s.u"), INSERT_STAGED("s.u"), STAGE, "@", DELETE_STAGED("s.t"),
      INSERT_STAGED("s.t"), MOVE}},
    {"new load keeps the old table",
     {OWN, "ALTER TABLE s.t RENAME TO t_old", "ALTER TABLE s._penstock_load_7 RENAME TO t", LIVE,
      STAGE, "@", DELETE_STAGED("s.t"), INSERT_STAGED("s.t"), MOVE}},
    {"added column",
     {OWN, "ALTER TABLE s.t ADD COLUMN y VARCHAR", STAGE, "@", DELETE_STAGED("s.t"),
      "INSERT INTO s.t (id, x, y) SELECT s.id, s.x, s.x FROM temp.main.stage AS s WHERE s._op = 1",
      MOVE}},
    {"added columns with a default",
     {OWN, "ALTER TABLE s.t ADD COLUMN y INTEGER DEFAULT 7", "ALTER TABLE s.t ADD COLUMN z VARCHAR",
      STAGE, "@", DELETE_STAGED("s.t"), INSERT_STAGED("s.t"), MOVE}},
    {"renamed column",
     {OWN, "ALTER TABLE s.t RENAME COLUMN x TO x2", STAGE, "@", DELETE_STAGED("s.t"),
      "INSERT INTO s.t (id, x2) SELECT s.id, s.x FROM temp.main.stage AS s WHERE s._op = 1", MOVE}},
    {"widened key",
     {OWN, "ALTER TABLE s.t ALTER id TYPE HUGEINT", STAGE, "@", DELETE_STAGED("s.t"),
      INSERT_STAGED("s.t"), MOVE}},
    {"all alterations",
     {OWN, "DROP TABLE s.t", "ALTER TABLE s._penstock_load_7 RENAME TO t",
      "ALTER TABLE s.t ADD COLUMN y VARCHAR", "ALTER TABLE s.u ADD COLUMN y VARCHAR", LIVE, STAGE,
      "@", DELETE_STAGED("s.t"), INSERT_STAGED("s.t"), DELETE_STAGED("s.u"), INSERT_STAGED("s.u"),
      MOVE}},
    {"drop of a left-over", {"DROP TABLE IF EXISTS s._penstock_load_7", LIVE}},
    {"upsert of the books",
     {"DELETE FROM penstock.tables WHERE id = 1",
      "INSERT INTO penstock.tables VALUES (1, 'refused')", LIVE, MOVE}},
    /* Alterations, as sql_alter makes them. */
    {"added columns of all sorts",
     {OWN, ADDED("s.t", "i", "INTEGER", "'-7'"), ADDED("s.t", "v", "VARCHAR", "'it''s \\ \"'"),
      ADDED("s.t", "b", "BLOB", "'\\x00\\x27\\xFF'"), ADDED("s.t", "n", "DECIMAL(12,2)", "'0.10'"),
      ADDED("s.t", "at", "TIMESTAMP WITH TIME ZONE", "'0044-03-15 (BC) 01:02:03.000001+00'"),
      ADDED("s.t", "j", "JSON", "'{\"a\": 1}'"), ADDED("s.t", "f", "DOUBLE", "'NaN'"),
      "ALTER TABLE s.t ADD COLUMN nothing UUID", STAGE, "@", DELETE_STAGED("s.t"),
      "INSERT INTO s.t (id, x, v) SELECT s.id, s.x, s.x FROM temp.main.stage AS s WHERE s._op = 1",
      MOVE}},
    {"renamed columns, the key too",
     {OWN, "ALTER TABLE s.t RENAME COLUMN \"id\" TO \"Key\"",
      "ALTER TABLE s.t RENAME COLUMN \"x\" TO \"id\"", STAGE, "@",
      "DELETE FROM s.t AS t USING temp.main.stage AS s WHERE t.\"Key\" = s.id",
      "INSERT INTO s.t (\"Key\", id) SELECT s.id, s.x FROM temp.main.stage AS s WHERE s._op = 1",
      MOVE}},
    {"swapped columns",
     {OWN, SWAPPED("s.t"), STAGE, "@", DELETE_STAGED("s.t"),
      "INSERT INTO s.t (id, x, e, d) SELECT s.id, s.x, 1.25, 0.25 FROM temp.main.stage AS s WHERE "
      "s._op = 1",
      MOVE}},
    {"widened columns",
     {OWN, "ALTER TABLE s.t ALTER COLUMN d SET DATA TYPE DECIMAL(12,2)",
      "ALTER TABLE s.t ALTER COLUMN e SET DATA TYPE VARCHAR " WIDENED_E, STAGE, "@",
      DELETE_STAGED("s.t"),
      "INSERT INTO s.t (id, x, d, e) SELECT s.id, s.x, 1234567890.12, 'NaN' FROM temp.main.stage "
      "AS "
      "s WHERE s._op = 1",
      MOVE}},
    {"dropped and added again",
     {OWN, "ALTER TABLE s.t RENAME COLUMN \"x\" TO \"x__dropped_2\"",
      ADDED("s.t", "x", "VARCHAR", "'new'"), STAGE, "@", DELETE_STAGED("s.t"), INSERT_STAGED("s.t"),
      MOVE}},
    {"everything in a row",
     {OWN, SWAPPED("s.t"), "ALTER TABLE s.t ALTER COLUMN e SET DATA TYPE DECIMAL(20,2)",
      "ALTER TABLE s.t ALTER COLUMN e SET DATA TYPE VARCHAR",
      "ALTER TABLE s.t RENAME COLUMN \"e\" TO \"e__dropped_3\"",
      ADDED("s.t", "e", "INTEGER", "'5'"), "ALTER TABLE s.t RENAME COLUMN e TO e2",
      ADDED("s.t", "e", "VARCHAR", "'6'"), LIVE, STAGE, "@", DELETE_STAGED("s.t"),
      "INSERT INTO s.t (id, x, e, e2) SELECT s.id, s.x, s.x, 9 FROM temp.main.stage AS s WHERE "
      "s._op = 1",
      MOVE}},
    {"altered pieces",
     {OWN, SWAPPED("s.t"), ADDED("s.t", "y", "VARCHAR", "'y'"), STAGE, "@", DELETE_STAGED("s.t"),
      INSERT_STAGED("s.t"), STAGE, "@", DELETE_STAGED("s.t"), INSERT_STAGED("s.t"), MOVE}},
    {"altered and truncated",
     {OWN, ADDED("s.t", "y", "VARCHAR", "'y'"), "ALTER TABLE s.t RENAME COLUMN x TO z",
      "DELETE FROM s.t", STAGE, "@",
      "INSERT INTO s.t (id, z) SELECT s.id, s.x FROM temp.main.stage AS s WHERE s._op = 1", MOVE}},
    {"altered, without row changes",
     {OWN, SWAPPED("s.t"), ADDED("s.t", "y", "VARCHAR", "'y'"),
      "ALTER TABLE s.t ALTER COLUMN y SET DATA TYPE VARCHAR", MOVE}},
    {"altered after another table's rows",
     {OWN, STAGE, "@", DELETE_STAGED("s.u"), INSERT_STAGED("s.u"), SWAPPED("s.t"),
      ADDED("s.t", "y", "VARCHAR", "'y'"), STAGE, "@", DELETE_STAGED("s.t"), INSERT_STAGED("s.t"),
      MOVE}},
    {"two tables altered",
     {OWN, SWAPPED("s.t"), SWAPPED("s.u"), ADDED("s.t", "y", "VARCHAR", "'y'"),
      ADDED("s.u", "y", "DECIMAL(5,2)", "'0.50'"), STAGE, "@", DELETE_STAGED("s.t"),
      INSERT_STAGED("s.t"), DELETE_STAGED("s.u"), INSERT_STAGED("s.u"), MOVE}},
    {"first load takes its place, then altered",
     {OWN, "ALTER TABLE s._penstock_load_7 RENAME TO \"New\"", SWAPPED("s.\"New\""),
      ADDED("s.\"New\"", "y", "VARCHAR", "'y'"),
      "ALTER TABLE s.\"New\" ALTER COLUMN d SET DATA TYPE VARCHAR " WIDENED_D, LIVE, STAGE, "@",
      DELETE_STAGED("s.\"New\""), INSERT_STAGED("s.\"New\""), MOVE}},
    {"new load takes its place, then altered",
     {OWN, "DROP TABLE s.t", "ALTER TABLE s._penstock_load_7 RENAME TO t", SWAPPED("s.t"),
      "ALTER TABLE s.t RENAME COLUMN \"x\" TO \"x__dropped_2\"",
      ADDED("s.t", "x", "VARCHAR", "'new'"),
      "ALTER TABLE s.t ALTER COLUMN e SET DATA TYPE DECIMAL(12,2)", LIVE, STAGE, "@",
      DELETE_STAGED("s.t"), INSERT_STAGED("s.t"), MOVE}},
    {"altered, with unresolved columns",
     {OWN, ADDED("s.t", "y", "VARCHAR", "'y'"),
      "CREATE OR REPLACE TEMP TABLE old_stage(_op SMALLINT, id BIGINT, x VARCHAR)",
      "INSERT INTO temp.main.old_stage VALUES (1, 1, 'x')", STAGE, "@",
      "UPDATE temp.main.stage AS s SET x = t.y FROM s.t AS t WHERE s.id % 2 = 0 AND t.id = s.id",
      DELETE_STAGED("s.t"), INSERT_STAGED("s.t"), MOVE}},
};

#endif
