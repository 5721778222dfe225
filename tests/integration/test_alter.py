# SPDX-License-Identifier: Apache-2.0
"""Schema changes in their place, into Postgres and DuckDB at once: no load, nothing lost, and old
rows hold what they hold at the source."""
import duckdb
import harness

ANY = {"schema.compatibility": "NONE"}


def kept(b, table):
    """The columns of the target, ours left out, in Postgres; then in DuckDB (program stopped)."""
    pg = [r[0] for r in b.warehouse.sql(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT "
        "attisdropped AND attname NOT LIKE '\\_penstock%%' ORDER BY attnum", b.wdb, (table,))]
    with duckdb.connect(b.duck, read_only=True) as c:
        dk = [r[0] for r in c.execute(
            "SELECT column_name FROM duckdb_columns() WHERE table_name = ? AND column_name NOT "
            "LIKE '\\_penstock%' ESCAPE '\\' ORDER BY column_index", [table]).fetchall()]
    return pg, dk


def looked_at(b):
    """Until each connector has looked at the catalogue of now."""
    now = b.source.sql("SELECT now()", b.db)[0][0]
    harness.wait_for("a look", lambda: b.p.alive() and b.source.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%%:watch' AND datname "
        "= %s AND query_start > %s AND state = 'idle'", b.db, (b.db, now)) == [(len(b.kinds),)])


def in_place(b, table="public.t"):
    """It was loaded once by each connector, at the start."""
    assert b.loads(table) == len(b.kinds), b.p.log()
    return b


def test_added_columns_hold_their_default_in_old_rows(both):
    """Case 13, rule 11: 1000 rows, one of them changed later; with a default, without, NULL."""
    b = both().run("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM "
                   "generate_series(1, 1000) i", "public.t")
    for column in ("c int NOT NULL DEFAULT 7", "d text DEFAULT 'it''s \"quoted\" \\ {a,b} NULL'",
                   "e numeric(12,3) DEFAULT -1.5", "f timestamptz DEFAULT now()", "g int",
                   "h text[] DEFAULT '{a,\"b c\",NULL}'", "i bytea DEFAULT '\\xff00'",
                   "j double precision DEFAULT 'NaN'", "k text DEFAULT ''", "l bool DEFAULT true",
                   "m jsonb DEFAULT '{\"a\": [1, null]}'", "n interval DEFAULT '1 mon -2 days'",
                   "o date DEFAULT '0044-03-15 BC'", "p bit(5) DEFAULT B'10101'"):
        b.sql(f"ALTER TABLE t ADD COLUMN {column}")
    b.sql("UPDATE t SET v = 'w' WHERE id = 5", "INSERT INTO t (id) VALUES (2000)",
          "UPDATE t SET c = NULL + 1 WHERE false", "UPDATE t SET d = NULL, c = 8 WHERE id = 6",
          "DELETE FROM t WHERE id = 7")
    in_place(b.caught_up().live("public.t")).equal_postgres("public.t").equal("public.t")


def test_dropped_columns_stay_and_a_new_one_of_the_name_is_another(both):
    b = both(service=ANY).run("CREATE TABLE t (id int PRIMARY KEY, a text, b int); "
                              "INSERT INTO t SELECT i, 'a', i FROM generate_series(1, 20) i",
                              "public.t")
    b.sql("ALTER TABLE t DROP COLUMN b", "UPDATE t SET a = 'x' WHERE id = 1",
          "INSERT INTO t VALUES (21, 'y')").caught_up()
    assert b.warehouse.sql("SELECT id, b FROM t WHERE id IN (1, 2, 21) ORDER BY id", b.wdb) == [
        (1, None), (2, 2), (21, None)]
    b.sql("ALTER TABLE t ADD COLUMN b text DEFAULT 'again'", "INSERT INTO t VALUES (22, 'z', 'own')",
          "UPDATE t SET a = 'w' WHERE id = 3")
    in_place(b.caught_up()).equal_postgres("public.t").equal("public.t")
    pg, dk = kept(b, "t")
    assert set(pg) == set(dk) == {"id", "a", "b", "b__dropped_3"}
    b.start().live("public.t").sql("INSERT INTO t VALUES (23, 'after a restart', 'n')",
                                   "DELETE FROM t WHERE id = 4")
    in_place(b.caught_up()).equal("public.t")


def test_renames_swaps_and_chains(both):
    b = both(service=ANY).run("CREATE TABLE t (id int PRIMARY KEY, a text, b text, c int); "
                              "INSERT INTO t SELECT i, 'a' || i, 'b' || i, i FROM "
                              "generate_series(1, 20) i", "public.t")
    b.sql("ALTER TABLE t RENAME a TO a2", "UPDATE t SET a2 = 'x' WHERE id = 1")
    b.transaction("ALTER TABLE t RENAME a2 TO tmp", "ALTER TABLE t RENAME b TO a2",
                  "ALTER TABLE t RENAME tmp TO b", "INSERT INTO t VALUES (21, 'b', 'a2', 0)")
    b.sql("ALTER TABLE t RENAME c TO \"C \"\"c\"", "UPDATE t SET b = 'y' WHERE id = 2",
          "ALTER TABLE t RENAME id TO key", "DELETE FROM t WHERE key = 3",
          "UPDATE t SET key = 300 WHERE key = 4")
    in_place(b.caught_up()).equal_postgres("public.t").equal("public.t")


def test_a_chain_of_alterations_while_it_is_away(both):
    """The catalogue has moved on; what the log says of then is followed step by step, or the table
    is loaded: either way it is equal, and what can be proven is not loaded."""
    b = both(service=ANY).run("""CREATE TABLE t (id int PRIMARY KEY, a int);
        CREATE TABLE u (id int PRIMARY KEY, a text); CREATE TABLE calm (id int PRIMARY KEY);
        INSERT INTO t SELECT i, i FROM generate_series(1, 50) i;
        INSERT INTO u SELECT i, 'a' FROM generate_series(1, 50) i""",
                              "public.t", "public.u", "public.calm").caught_up().stop()
    b.sql("ALTER TABLE t RENAME a TO b", "UPDATE t SET b = b + 100 WHERE id < 10",
          "ALTER TABLE t RENAME b TO c", "UPDATE t SET c = c + 100 WHERE id < 5",
          "ALTER TABLE t ADD d text DEFAULT 'd'", "INSERT INTO t VALUES (100, 1, 'own')",
          "ALTER TABLE u ADD x int DEFAULT 5", "INSERT INTO u VALUES (100, 'n', 6)",
          "ALTER TABLE u RENAME x TO y", "INSERT INTO u VALUES (101, 'n', 7)",
          "ALTER TABLE u DROP y", "INSERT INTO u VALUES (102, 'n')",
          "ALTER TABLE u ADD x text DEFAULT 'z'", "INSERT INTO u VALUES (103, 'n', 'own')",
          "INSERT INTO calm VALUES (1)")
    b.start().live("public.t", "public.u", "public.calm").caught_up()
    b.live("public.t", "public.u")
    in_place(b).equal("public.t", "public.u", "public.calm")


def test_alterations_and_rows_in_one_transaction(both):
    """Case 28: alterations first, one commit, in DuckDB too."""
    b = both(service=ANY).run("CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE calm (id int "
                              "PRIMARY KEY); INSERT INTO t SELECT i, i FROM generate_series(1, 50) i",
                              "public.t", "public.calm")
    b.transaction("INSERT INTO t VALUES (101, 1)", "INSERT INTO calm VALUES (1)",
                  "ALTER TABLE t ADD x int DEFAULT 9", "INSERT INTO t VALUES (102, 1, 2)",
                  "UPDATE t SET a = a + 1 WHERE id < 5", "ALTER TABLE t RENAME x TO y",
                  "INSERT INTO t VALUES (103, 1, 3)", "ALTER TABLE t ADD z text",
                  "UPDATE t SET z = 'z' WHERE id > 100", "DELETE FROM t WHERE id = 50",
                  "UPDATE t SET id = 500 WHERE id = 49", "INSERT INTO calm VALUES (2)")
    in_place(b.caught_up()).equal_postgres("public.t", "public.calm")
    in_place(b).equal("public.t", "public.calm")


def test_an_alteration_in_the_middle_of_a_transaction_of_many_pieces(both):
    """A piece has touched the table already: the log is read again with the alteration first."""
    b = both(service=ANY, sink={"batch.bytes": "64KB"}).run(
        "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t SELECT i, 'a' FROM "
        "generate_series(1, 100) i; CREATE TABLE k (a int, b text); ALTER TABLE k REPLICA IDENTITY "
        "FULL; INSERT INTO k SELECT i % 7, 'x' FROM generate_series(1, 50) i", "public.t", "public.k")
    for n in (1, 2):
        b.transaction(
            f"INSERT INTO t (id, a) SELECT i, repeat('x', 50) FROM generate_series({n * 10000}, "
            f"{n * 10000 + 4000}) i", "UPDATE t SET a = 'u' WHERE id % 10 = 0",
            "INSERT INTO k (a, b) SELECT i % 7, repeat('k', 60) FROM generate_series(1, 2500) i",
            f"ALTER TABLE t ADD c{n} int DEFAULT 5", f"ALTER TABLE k ADD c{n} int DEFAULT 6",
            f"INSERT INTO t (id, a) SELECT i, repeat('y', 50) FROM generate_series({n * 10000 + 5000}, "
            f"{n * 10000 + 8000}) i",
            f"ALTER TABLE t RENAME c{n} TO d{n}", f"UPDATE t SET d{n} = id WHERE id % 7 = 0",
            "DELETE FROM k WHERE a = 3", f"UPDATE k SET c{n} = 1 WHERE a = 4",
            "DELETE FROM t WHERE id % 11 = 0")
    b.caught_up()
    assert "which is read again" in b.p.log()
    in_place(b, "public.t")
    in_place(b, "public.k").equal_postgres("public.t", "public.k").equal("public.t", "public.k")


def test_widened_without_a_rewrite(both):
    b = both(service=ANY).run(
        "CREATE TABLE t (id varchar(5) PRIMARY KEY, a varchar(3), n numeric(6,2), m numeric(4,1), ts "
        "timestamp(0)); INSERT INTO t SELECT i, 'abc', i + 0.25, i, now() FROM generate_series(1, 50) "
        "i", "public.t")
    for change in ("a TYPE varchar(30)", "n TYPE numeric(12,2)", "a TYPE text", "m TYPE numeric",
                   "id TYPE varchar(50)", "ts TYPE timestamp(6)"):
        b.sql(f"ALTER TABLE t ALTER {change}", "UPDATE t SET n = n + 1 WHERE id = '7'",
              "INSERT INTO t SELECT max(id::int) + 1, 'x', 1, 2, '2024-01-01' FROM t")
    b.sql("INSERT INTO t VALUES (repeat('9', 40), repeat('long', 50), 1234567890.25, 1e20, "
          "'2024-01-01 00:00:00.123456')")
    in_place(b.caught_up().live("public.t")).equal_postgres("public.t").equal("public.t")


def test_rows_that_were_rewritten_are_loaded_while_others_stream(both):
    """Rules 11, 17: ALTER TYPE, a volatile default; VACUUM FULL and TRUNCATE are no such thing."""
    b = both(service=ANY).run("CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE calm (id int "
                              "PRIMARY KEY, n int); INSERT INTO calm VALUES (1, 0); INSERT INTO t "
                              "SELECT i, i FROM generate_series(1, 500) i", "public.t", "public.calm")
    b.sql("VACUUM FULL t", "UPDATE t SET a = 1 WHERE id = 1", "TRUNCATE t",
          "INSERT INTO t SELECT i, i FROM generate_series(1, 500) i").caught_up()
    in_place(b)
    b.sql("ALTER TABLE t ADD r double precision DEFAULT random()", "UPDATE calm SET n = n + 1",
          "UPDATE t SET a = 2 WHERE id = 2")
    harness.wait_for("loaded again", lambda: b.loads("public.t") == 4, 30)
    b.sql("ALTER TABLE t ALTER a TYPE bigint USING a * 10", "UPDATE t SET a = 3 WHERE id = 3",
          "UPDATE calm SET n = n + 1")
    harness.wait_for("loaded again", lambda: b.loads("public.t") >= 6, 30)
    b.caught_up().live("public.t", "public.calm")
    assert b.loads("public.calm") == 2
    b.equal_postgres("public.t", "public.calm").equal("public.t", "public.calm")


def test_dropped_and_added_in_one_go_is_not_taken_for_the_same(both):
    """The log shows the same names and types before and after: rule 10 asks for proof."""
    b = both(service=ANY).run("CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t SELECT "
                              "i, i, i FROM generate_series(1, 50) i", "public.t")
    b.sql("ALTER TABLE t DROP b, ADD b int DEFAULT 5", "UPDATE t SET a = 0 WHERE id = 1")
    b.caught_up().live("public.t").equal_postgres("public.t")
    b.transaction("ALTER TABLE t DROP b", "ALTER TABLE t ADD b int", "INSERT INTO t VALUES (100, 1, 2)")
    b.caught_up().live("public.t").equal_postgres("public.t").equal("public.t")


def test_replica_identity_and_logging(both):
    """The key stays: no load. An unlogged table's rows were never in the log."""
    b = both(service=ANY, settings={"publication.autocreate.mode": "all_tables"}).run(
        "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t SELECT i, 'a' FROM "
        "generate_series(1, 20) i; CREATE UNLOGGED TABLE w (id int PRIMARY KEY); INSERT INTO w "
        "SELECT generate_series(1, 20)", "public.t")
    b.sql("ALTER TABLE t REPLICA IDENTITY FULL", "UPDATE t SET a = 'b' WHERE id = 1",
          "DELETE FROM t WHERE id = 2", "ALTER TABLE t REPLICA IDENTITY DEFAULT",
          "UPDATE t SET id = 100 WHERE id = 3", "DELETE FROM t WHERE id = 4").caught_up()
    in_place(b)
    b.sql("ALTER TABLE w SET LOGGED", "INSERT INTO w VALUES (100)")
    b.live("public.w").caught_up().equal("public.t", "public.w")


def test_a_reader_with_an_older_snapshot_keeps_its_rows_over_a_load(both):
    """MVCC-safe in Postgres: the reload deletes and inserts, and views on the table stay."""
    b = both(kinds=["postgres"]).run("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT "
                                     "i, i FROM generate_series(1, 100) i", "public.t")
    b.warehouse.script("CREATE VIEW v AS SELECT id FROM t", b.wdb)
    with b.warehouse.connect(b.wdb, autocommit=False) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert reader.execute("SELECT count(*), sum(v) FROM t").fetchone() == (100, 5050)
        b.sql("ALTER TABLE t ALTER v TYPE int USING v * 10")
        harness.wait_for("loaded again", lambda: len(
            [1 for x in b.p.log().splitlines() if "table live table=public.t " in x]) == 2, 60)
        assert reader.execute("SELECT count(*), sum(v) FROM t").fetchone() == (100, 5050)
    assert b.warehouse.sql("SELECT count(*) FROM v", b.wdb) == [(100,)]
    b.caught_up().live("public.t").equal("public.t")


def test_a_rename_is_compatible_by_the_field_s_alias(both):
    """In the default mode, BACKWARD: NOT NULL columns without a default and the key, too."""
    b = both().run("CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL, b int NOT NULL); INSERT INTO t "
                   "SELECT i, 'a', i FROM generate_series(1, 20) i", "public.t")
    b.sql("ALTER TABLE t RENAME a TO x", "UPDATE t SET x = 'x' WHERE id = 1",
          "ALTER TABLE t RENAME x TO \"y z\"", "INSERT INTO t VALUES (21, 'n', 1)",
          "ALTER TABLE t RENAME id TO key", "DELETE FROM t WHERE key = 2").caught_up()
    b.restart().live("public.t")
    b.sql("UPDATE t SET b = 0 WHERE key = 3", "ALTER TABLE t RENAME \"y z\" TO a",
          "UPDATE t SET a = 'a again' WHERE key = 4")
    in_place(b.caught_up().live("public.t")).equal_postgres("public.t").equal("public.t")


def test_partitions_detached_and_attached_while_it_is_away(both):
    """Its rows leave the table and no message says so: the list of leaves does. A new, empty one is
    no reason for a load."""
    b = both().run("""CREATE TABLE t (id int, r int, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
        CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
        CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2);
        INSERT INTO t SELECT i, 1 + i % 2 FROM generate_series(1, 50) i""", "public.t")
    b.caught_up().stop().sql("CREATE TABLE t3 PARTITION OF t FOR VALUES IN (3)",
                             "INSERT INTO t VALUES (100, 3)")
    in_place(b.start().caught_up().live("public.t")).equal_postgres("public.t")
    b.p.kill9()
    b.sql("ALTER TABLE t DETACH PARTITION t2")
    b.start()
    harness.wait_for("loaded again", lambda: b.p.alive() and b.loads("public.t") == 4)
    b.live("public.t").caught_up().equal("public.t")
    b.sql("DROP TABLE t3").start()
    harness.wait_for("loaded again", lambda: b.p.alive() and b.loads("public.t") == 6)
    b.live("public.t").equal("public.t")


def test_partitions_that_come_while_it_runs_and_go_while_it_is_away(both):
    """The list of leaves follows the log: with the checkpoint that covers a leaf's first row the
    books know the leaf."""
    b = both().run("""CREATE TABLE t (id int, r int, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
        CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
        INSERT INTO t SELECT i, 1 FROM generate_series(1, 50) i""", "public.t")
    b.sql("CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2)", "INSERT INTO t VALUES (100, 2)")
    b.caught_up().p.kill9()
    b.start().caught_up().live("public.t")
    b.sql("CREATE TABLE t3 PARTITION OF t FOR VALUES IN (3)", "INSERT INTO t VALUES (200, 3)")
    in_place(b.caught_up().live("public.t")).equal_postgres("public.t")
    b.p.kill9()
    b.sql("DROP TABLE t3")
    b.start()
    harness.wait_for("loaded again", lambda: b.p.alive() and b.loads("public.t") == 4)
    b.live("public.t").caught_up().equal("public.t")
    b.start().live("public.t").caught_up()
    assert b.loads("public.t") == 4
    b.stop().sql("ALTER TABLE t DETACH PARTITION t2").start()
    harness.wait_for("loaded again", lambda: b.p.alive() and b.loads("public.t") == 6)
    b.live("public.t").equal("public.t")


def test_the_list_of_leaves_is_kept_over_an_alteration(both):
    b = both().run("""CREATE TABLE t (id int, r int, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
        CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); INSERT INTO t VALUES (1, 1)""", "public.t")
    b.sql("CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2)", "INSERT INTO t VALUES (100, 2)")
    looked_at(b.caught_up())  # else the alteration has it loaded
    b.sql("ALTER TABLE t ADD c int", "INSERT INTO t VALUES (101, 1, 5)").caught_up()
    in_place(b)
    leaves = b.source.sql("SELECT ',' || string_agg(oid::text, ',' ORDER BY oid) || ',' FROM pg_class "
                          "WHERE relname IN ('t1', 't2')", b.db)
    assert b.warehouse.sql("SELECT leaves FROM penstock.tables WHERE source_table = 't'", b.wdb
                           ) == leaves
    b.equal("public.t")


def test_another_row_filter_while_it_is_away(both):
    """The columns are the same; the rows that the warehouse is to have are others."""
    b = both(settings={"publication.name": "mine", "publication.autocreate.mode": "disabled",
                       "table.include.list": "public\\.(t|u|fence)"})
    b.run("CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE u (id int PRIMARY KEY); INSERT "
          "INTO t SELECT i, i FROM generate_series(1, 50) i; INSERT INTO u VALUES (1); CREATE "
          "PUBLICATION mine FOR TABLE t WHERE (v > 10), u, fence", "public.t", "public.u").caught_up()
    assert b.warehouse.sql("SELECT count(*) FROM t", b.wdb) == [(40,)]
    b.sql("ALTER TABLE t RENAME v TO w", "INSERT INTO t VALUES (60, 60)").caught_up()
    b.restart().caught_up().live("public.t")
    in_place(b)  # the name in the filter is another one
    b.stop().sql("ALTER PUBLICATION mine SET TABLE t WHERE (w <= 20), u, fence",
                 "INSERT INTO t VALUES (61, 5), (62, 55)").start()
    harness.wait_for("loaded again", lambda: b.p.alive() and b.loads("public.t") == 4)
    b.live("public.t").caught_up()
    ids = b.source.sql("SELECT id FROM t WHERE w <= 20 ORDER BY id", b.db)
    harness.wait_for("the rows of now", lambda: b.warehouse.sql(
        "SELECT id FROM t ORDER BY id", b.wdb) == ids)
    b.restart().live("public.t", "public.u").caught_up()
    assert (b.loads("public.t"), b.loads("public.u")) == (4, 2)
    b.stop()
    with duckdb.connect(b.duck, read_only=True) as c:
        assert c.execute("SELECT id FROM public.t ORDER BY id").fetchall() == ids


def test_another_column_under_the_name_of_an_idle_table(both):
    """Dropped and added again, while it runs and while it is away: no row comes to tell of it."""
    b = both(service=ANY).run(
        "CREATE TABLE t (id int PRIMARY KEY, c int); CREATE TABLE calm (id int PRIMARY KEY, c int); "
        "INSERT INTO t SELECT i, i FROM generate_series(1, 50) i; INSERT INTO calm SELECT i, i FROM "
        "generate_series(1, 50) i", "public.t", "public.calm")
    b.sql("ALTER TABLE t DROP COLUMN c", "ALTER TABLE t ADD COLUMN c int",
          "ALTER TABLE calm ADD COLUMN d int")
    harness.wait_for("loaded again", lambda: b.p.alive() and b.loads("public.t") == 4, 40)
    b.live("public.t").equal_postgres("public.t")
    b.stop().sql("ALTER TABLE t DROP COLUMN c", "ALTER TABLE t ADD COLUMN c int DEFAULT 5").start()
    harness.wait_for("loaded again", lambda: b.p.alive() and b.loads("public.t") == 6, 40)
    assert b.loads("public.calm") == 2
    b.live("public.t").equal("public.t")
