# SPDX-License-Identifier: Apache-2.0
"""Schedules and objects that lose or double rows in weak implementations, into Postgres and DuckDB
at once (both.py). The numbers are those of the list of cases that the design was made from."""
import contextlib
import random
import threading
import time

import duckdb
import harness
import psycopg

BIG = "repeat(md5('{0}'), 300)"  # 9.6 kB, out of line where the storage is EXTERNAL
TOAST = """
CREATE TABLE t (id int PRIMARY KEY, n int, big text, other text);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL;
"""


# --- columns that the log does not carry -------------------------------------------------------

def test_unchanged_toast_keeps_its_value_when_other_columns_change_twice(both):
    """Case 1: within one batch, within one transaction, and for a row that was copied."""
    b = both().run(TOAST + f"INSERT INTO t SELECT i, 0, {BIG.format('c')}, NULL FROM "
                           "generate_series(1, 20) i", "public.t")
    b.transaction(f"INSERT INTO t VALUES (100, 0, {BIG.format('a')}, {BIG.format('b')})",
                  "UPDATE t SET n = 1 WHERE id = 100", "UPDATE t SET n = 2 WHERE id = 100")
    b.sql(f"INSERT INTO t VALUES (101, 0, {BIG.format('a')}, 'short')",
          "UPDATE t SET n = 1 WHERE id = 101", "UPDATE t SET n = 2 WHERE id = 101",
          "UPDATE t SET n = n + 1 WHERE id < 10", "UPDATE t SET n = n + 1 WHERE id < 10",
          "UPDATE t SET big = NULL WHERE id = 3", "UPDATE t SET n = 7 WHERE id = 3",
          f"UPDATE t SET other = {BIG.format('x')} WHERE id = 4", "UPDATE t SET n = 8 WHERE id = 4",
          f"UPDATE t SET other = {BIG.format('y')} WHERE id = 4",
          "DELETE FROM t WHERE id = 5", "INSERT INTO t VALUES (5, 5, NULL, NULL)",
          "UPDATE t SET n = 6 WHERE id = 5")
    b.equal("public.t")


def test_keys_swapped_by_way_of_a_third_keep_their_documents(both):
    """Rule 9: what the log does not carry lies in the target under the key the row had before."""
    b = both().run(TOAST + f"INSERT INTO t SELECT i, i, repeat(md5(i::text), 300), "
                           f"{BIG.format('o')} FROM generate_series(1, 30) i", "public.t")
    swap = ("UPDATE t SET id = 1000 WHERE id = {0}", "UPDATE t SET id = {0} WHERE id = {1}",
            "UPDATE t SET id = {1} WHERE id = 1000")
    b.transaction(*[s.format(1, 2) for s in swap])
    b.sql(*[s.format(3, 4) for s in swap])
    # A ring of five, each row changed on its way; a shift of a range by one; there and back.
    b.transaction("UPDATE t SET id = -id, n = n + 1 WHERE id BETWEEN 10 AND 14",
                  "UPDATE t SET id = CASE WHEN id = -14 THEN 10 ELSE 1 - id END WHERE id < 0",
                  "UPDATE t SET n = n * 2 WHERE id BETWEEN 10 AND 14")
    b.transaction("UPDATE t SET id = id + 5000 WHERE id BETWEEN 20 AND 25",
                  "DELETE FROM t WHERE id = 26", "UPDATE t SET id = id - 4999 WHERE id > 5000",
                  "DELETE FROM t WHERE id = 22", "UPDATE t SET id = 22 WHERE id = 23")
    b.transaction("UPDATE t SET id = 900 WHERE id = 5", "UPDATE t SET id = 5 WHERE id = 900")
    b.transaction("UPDATE t SET id = 901 WHERE id = 6", "UPDATE t SET other = NULL WHERE id = 901",
                  f"INSERT INTO t VALUES (6, 6, {BIG.format('new')}, NULL)")
    b.equal("public.t")


def test_a_key_that_is_itself_out_of_line(both):
    b = both().run("""CREATE TABLE t (k text PRIMARY KEY, n int, big text);
        ALTER TABLE t ALTER k SET STORAGE EXTERNAL, ALTER big SET STORAGE EXTERNAL;
        INSERT INTO t SELECT repeat(chr(96 + i), 2500), i, repeat(md5(i::text), 300) FROM
            generate_series(1, 6) i""", "public.t")
    b.sql("UPDATE t SET n = n + 1", "UPDATE t SET k = repeat('z', 2600) WHERE k LIKE 'a%'",
          "UPDATE t SET n = 0 WHERE k LIKE 'z%'", "DELETE FROM t WHERE k LIKE 'b%'",
          "INSERT INTO t SELECT repeat('b', 2500), 1, big FROM t WHERE k LIKE 'c%'",
          "UPDATE t SET n = 2 WHERE k LIKE 'b%'")
    b.equal("public.t")


# --- several changes of one key in one batch -----------------------------------------------------

def test_several_changes_of_a_key_in_one_batch_leave_the_last(both):
    """Case 8, in one transaction and in many small ones that share a batch."""
    b = both().run("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (LIKE t INCLUDING "
                   "ALL); INSERT INTO t SELECT i, 'old' FROM generate_series(1, 9) i; "
                   "INSERT INTO u SELECT * FROM t", "public.t", "public.u")
    changes = ["INSERT INTO {0} VALUES (10, 'a')", "UPDATE {0} SET v = 'b' WHERE id = 10",
               "UPDATE {0} SET v = 'c' WHERE id = 10", "DELETE FROM {0} WHERE id = 10",
               "INSERT INTO {0} VALUES (10, 'd')",
               "DELETE FROM {0} WHERE id = 1", "INSERT INTO {0} VALUES (1, 'again')",
               "UPDATE {0} SET id = 20 WHERE id = 2", "INSERT INTO {0} VALUES (2, 'new two')",
               "UPDATE {0} SET id = 30 WHERE id = 3", "UPDATE {0} SET id = 3 WHERE id = 30",
               "INSERT INTO {0} VALUES (11, 'x')", "DELETE FROM {0} WHERE id = 11",
               "UPDATE {0} SET id = 40 WHERE id = 4", "DELETE FROM {0} WHERE id = 40",
               "DELETE FROM {0} WHERE id = 5", "UPDATE {0} SET id = 5 WHERE id = 6",
               "UPDATE {0} SET v = 'last' WHERE id = 5", "UPDATE {0} SET id = 6 WHERE id = 7"]
    b.transaction(*[c.format("t") for c in changes])
    b.sql(*[c.format("u") for c in changes]).equal("public.t", "public.u")


def test_random_changes_of_few_keys_end_equal(both):
    """All of it on ten keys: inserts, updates of parts, key changes, deletes, truncates, rollbacks
    of savepoints, in transactions of random length."""
    b = both().run(TOAST + "CREATE TABLE u (LIKE t); ALTER TABLE u REPLICA IDENTITY FULL;"
                   f"INSERT INTO t SELECT i, i, {BIG.format('s')}, 'o' FROM generate_series(1, 10)"
                   " i; INSERT INTO u SELECT * FROM t", "public.t", "public.u")
    rnd = random.Random(5)
    with b.source.connect(b.db, autocommit=False) as c:
        for i in range(250):
            for _ in range(rnd.randint(1, 9)):
                k, other, t = rnd.randint(1, 10), rnd.randint(1, 10), rnd.choice("tu")
                big = BIG.format(i) if rnd.random() < 0.5 else "'small'"
                c.execute("SAVEPOINT s")
                try:
                    c.execute(rnd.choice([
                        f"INSERT INTO {t} VALUES ({k}, {i}, {big}, {big})",
                        f"UPDATE {t} SET n = {i} WHERE id = {k}",
                        f"UPDATE {t} SET n = n + 1",
                        f"UPDATE {t} SET other = {big} WHERE id = {k}",
                        f"UPDATE {t} SET id = {other} WHERE id = {k}",
                        f"UPDATE {t} SET id = id + 100 WHERE id = {k}",
                        f"UPDATE {t} SET id = {k} WHERE id = {other} + 100",
                        f"DELETE FROM {t} WHERE id = {k}",
                        f"TRUNCATE {t}" if rnd.random() < 0.1 else
                        f"INSERT INTO {t} VALUES ({k}, {i}, NULL, {big})"]))
                except Exception:  # noqa: BLE001: a duplicate key, say
                    c.execute("ROLLBACK TO s")
                if rnd.random() < 0.1:
                    c.execute("ROLLBACK TO s")
            c.commit()
    b.equal("public.t", "public.u")


# --- replica identities and keys -------------------------------------------------------------

def test_delete_under_default_identity_carries_only_the_key(both):
    """Case 11: columns that are NOT NULL are not invented."""
    both().run("""CREATE TABLE t (a text NOT NULL, id int PRIMARY KEY, b int NOT NULL,
        c numeric(5,2) NOT NULL, d uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
        e timestamptz NOT NULL DEFAULT now(), f bytea NOT NULL DEFAULT 'x');
        INSERT INTO t SELECT 'a', i, 1, 1 FROM generate_series(1, 5) i""", "public.t").sql(
        "INSERT INTO t SELECT 'b', i, 2, 2 FROM generate_series(6, 9) i",
        "DELETE FROM t WHERE id % 2 = 0").equal("public.t")


def test_equal_rows_without_a_key_are_counted(both):
    """Case 32: three identical rows, one deleted: two are left. -0, 1.0 and 1.00, and NULLs are
    told apart as the source does."""
    both().run("""CREATE TABLE t (a int, f float8, n numeric, s text, c char(5), j json, p point,
            i interval, z timestamptz);
        ALTER TABLE t REPLICA IDENTITY FULL;
        INSERT INTO t SELECT 1, 0, 1.0, 'x', 'y', '{"a":1}', '(1,2)', '1 mon', '2024-01-01'
            FROM generate_series(1, 3);
        INSERT INTO t SELECT 1, '-0', 1.00, 'x', 'y', '{"a": 1}', '(1,2)', '30 days', '2024-01-01'
            FROM generate_series(1, 2);
        INSERT INTO t SELECT FROM generate_series(1, 3);
        INSERT INTO t (s, f) SELECT '', 'NaN' FROM generate_series(1, 3);""", "public.t").sql(
        "DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE a = 1 LIMIT 1)",
        "DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE a IS NULL AND s IS NULL LIMIT 1)",
        "UPDATE t SET a = 2 WHERE ctid IN (SELECT ctid FROM t WHERE i = '30 days'::interval "
        "AND i::text = '30 days' LIMIT 1)",
        "INSERT INTO t SELECT * FROM t",
        "DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE s = '' LIMIT 2)",
        "UPDATE t SET a = a WHERE a = 1",
        "UPDATE t SET s = 'y' WHERE ctid IN (SELECT ctid FROM t WHERE s = 'x' LIMIT 3)",
        "BEGIN; INSERT INTO t (a) VALUES (9), (9), (9); DELETE FROM t WHERE ctid IN (SELECT ctid "
        "FROM t WHERE a = 9 LIMIT 1); UPDATE t SET a = 10 WHERE ctid IN (SELECT ctid FROM t WHERE "
        "a = 9 LIMIT 1); COMMIT").equal("public.t")


def test_replica_identity_index_full_and_key(both):
    """Identity by another unique index than the primary key (a DELETE then carries only those
    columns), full with and without a primary key."""
    both().run("""
        CREATE TABLE ix (id int PRIMARY KEY, k int NOT NULL, l text NOT NULL, v text);
        CREATE UNIQUE INDEX ix_kl ON ix (l, k); ALTER TABLE ix REPLICA IDENTITY USING INDEX ix_kl;
        CREATE TABLE nopk (k int NOT NULL UNIQUE, v text);
        ALTER TABLE nopk REPLICA IDENTITY USING INDEX nopk_k_key;
        CREATE TABLE fullpk (id int PRIMARY KEY, v text, big text);
        ALTER TABLE fullpk ALTER big SET STORAGE EXTERNAL;
        ALTER TABLE fullpk REPLICA IDENTITY FULL;
        INSERT INTO ix SELECT i, i * 10, 'l' || i, 'v' FROM generate_series(1, 9) i;
        INSERT INTO nopk SELECT i, 'v' FROM generate_series(1, 9) i;
        INSERT INTO fullpk SELECT i, 'v', repeat(md5(i::text), 300) FROM generate_series(1, 9) i;
        """, "public.ix", "public.nopk", "public.fullpk").sql(
        "UPDATE ix SET id = id + 100 WHERE id < 3", "UPDATE ix SET k = k + 1 WHERE id < 5",
        "DELETE FROM ix WHERE id = 9", "UPDATE ix SET v = 'w' WHERE id = 8",
        "BEGIN; UPDATE ix SET id = 7000 WHERE id = 7; UPDATE ix SET id = 7 WHERE id = 6; COMMIT",
        "UPDATE nopk SET k = k + 100 WHERE k < 5", "DELETE FROM nopk WHERE k = 9",
        "UPDATE fullpk SET v = 'w' WHERE id < 5", "UPDATE fullpk SET id = id + 10 WHERE id < 3",
        "UPDATE fullpk SET id = id", "DELETE FROM fullpk WHERE id = 9").equal(
        "public.ix", "public.nopk", "public.fullpk")


def test_a_table_without_identity_is_refused_and_the_application_goes_on(both):
    """To publish it would make the application's UPDATE fail. It says what to run, and once that
    has been run a restart loads it."""
    b = both().run("CREATE TABLE t (a int); INSERT INTO t VALUES (1); "
                   "CREATE TABLE n (id int PRIMARY KEY); ALTER TABLE n REPLICA IDENTITY NOTHING; "
                   "CREATE TABLE ok (id int PRIMARY KEY)", "public.ok")
    for kind in b.kinds:
        for t in "t", "n":
            b.reason(kind, f"public.{t}",
                     f'ALTER TABLE "public"."{t}" REPLICA IDENTITY FULL', "refused")
    b.sql("UPDATE t SET a = 2", "ALTER TABLE t REPLICA IDENTITY FULL",
          "ALTER TABLE n REPLICA IDENTITY DEFAULT", "INSERT INTO n VALUES (1)",
          "INSERT INTO ok VALUES (1)")
    b.restart().live("public.t", "public.n", "public.ok").sql(
        "UPDATE t SET a = 3", "UPDATE n SET id = 4").equal("public.t", "public.n", "public.ok")


def test_replica_identity_changed_while_running(both):
    """Rule 7: the table is loaded again by itself where its key's meaning changes."""
    b = both(service=ANY).run("CREATE TABLE t (id int PRIMARY KEY, k int NOT NULL UNIQUE, v text); "
                              "INSERT INTO t SELECT i, i, 'v' FROM generate_series(1, 9) i", "public.t")
    b.sql("ALTER TABLE t REPLICA IDENTITY FULL", "UPDATE t SET v = 'w' WHERE id = 1",
          "DELETE FROM t WHERE id = 2", "ALTER TABLE t REPLICA IDENTITY USING INDEX t_k_key",
          "UPDATE t SET k = k + 100 WHERE id < 5", "DELETE FROM t WHERE id = 3",
          "UPDATE t SET id = 50 WHERE id = 4", "ALTER TABLE t REPLICA IDENTITY DEFAULT",
          "UPDATE t SET id = 51 WHERE id = 6")
    b.caught_up().live("public.t").equal("public.t")


def test_deferrable_keys_are_no_keys(both):
    """Rule 18: two rows pass through one key within one UPDATE."""
    both().run("""CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text);
        ALTER TABLE t REPLICA IDENTITY FULL;
        INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')""",
               "public.t").sql(
        "UPDATE t SET id = 3 - id WHERE id < 3", "UPDATE t SET id = 7 - id WHERE id > 2",
        "INSERT INTO t VALUES (5, 'five')", "UPDATE t SET id = id + 1",
        "DELETE FROM t WHERE id = 6").equal("public.t")


def test_floats_in_keys(both):
    """0 and -0 are one key, NaN is one key."""
    both().run("""CREATE TABLE t (f float8 PRIMARY KEY, v text);
        CREATE TABLE r (f real, g float8, v text, PRIMARY KEY (g, f));
        INSERT INTO t VALUES (0, 'zero'), ('NaN', 'nan'), ('Infinity', 'inf'), (0.1, 'x');
        INSERT INTO r VALUES (0, '-0', 'z'), ('NaN', 'NaN', 'n'), (0.1, 0.1, 'x')""",
               "public.t", "public.r").sql(
        "UPDATE t SET f = '-0' WHERE f = 0", "UPDATE t SET v = 'minus zero' WHERE f = 0",
        "UPDATE t SET v = 'still nan' WHERE f = 'NaN'", "INSERT INTO t VALUES (1e-320, 'd')",
        "DELETE FROM t WHERE f = '-Infinity'",
        "BEGIN; DELETE FROM t WHERE f = 0; INSERT INTO t VALUES (0, 'plus'); UPDATE t SET f = '-0' "
        "WHERE f = 0; UPDATE t SET v = 'p' WHERE f = 0; COMMIT",
        "BEGIN; DELETE FROM t WHERE f = 'NaN'; INSERT INTO t VALUES ('NaN', 'new'); COMMIT",
        "UPDATE r SET f = '-0', g = 0 WHERE f = 0", "UPDATE r SET v = 'm' WHERE f = 'NaN'",
        "DELETE FROM r WHERE f = 0", "INSERT INTO r VALUES ('-0', '-0', 'y'), (0.2, 0.1, 'w')"
    ).equal("public.t", "public.r")


def test_numeric_keys_that_differ_only_in_their_zeros(both):
    """1.0 and 1.00 are one key; the text is kept."""
    both().run("""CREATE TABLE t (n numeric PRIMARY KEY, v text);
        INSERT INTO t VALUES (1.0, 'a'), (2, 'b'), (3.000, 'c'), ('NaN', 'd')""",
               "public.t").sql(
        "UPDATE t SET n = 1.00 WHERE n = 1", "UPDATE t SET v = 'x' WHERE n = 1",
        "UPDATE t SET n = 2.0, v = 'y' WHERE n = 2",
        "BEGIN; DELETE FROM t WHERE n = 3; INSERT INTO t VALUES (3, 'again'); UPDATE t SET n = 3.0 "
        "WHERE n = 3; UPDATE t SET v = 'c2' WHERE n = 3; COMMIT",
        "UPDATE t SET v = 'not' WHERE n = 'NaN'").equal("public.t")


def test_citext_and_padded_keys_go_by_their_text(both):
    """Keys that the source holds for equal though their texts differ: one row there, one here."""
    both().run("""CREATE EXTENSION citext; CREATE TABLE t (k citext PRIMARY KEY, v int);
        CREATE TABLE p (k char(5) PRIMARY KEY, v int);
        INSERT INTO t VALUES ('Abc', 1), ('x', 2); INSERT INTO p VALUES ('a', 1), ('', 2)""",
               "public.t", "public.p").sql(
        "UPDATE t SET k = upper(k::text), v = v + 1", "UPDATE t SET v = 5 WHERE k = 'abc'",
        "BEGIN; DELETE FROM t WHERE k = 'x'; INSERT INTO t VALUES ('X', 9); COMMIT",
        "UPDATE p SET v = 7 WHERE k = 'a  '", "DELETE FROM p WHERE k = ''",
        "INSERT INTO p VALUES ('  ', 3)", "UPDATE p SET k = 'b' WHERE k = 'a'"
    ).equal("public.t", "public.p")


def test_composite_keys_in_another_order_than_the_columns(both):
    both().run("""CREATE TABLE t (v text, c date, a int, b text, PRIMARY KEY (b, a, c));
        INSERT INTO t SELECT 'v', '2024-01-01'::date + i, i % 3, 'b' || i % 5 FROM
            generate_series(1, 30) i""", "public.t").sql(
        "UPDATE t SET v = v || a", "UPDATE t SET a = a + 10 WHERE b = 'b1'",
        "UPDATE t SET b = 'x', c = c + 1000 WHERE a = 2", "DELETE FROM t WHERE a = 1",
        "INSERT INTO t VALUES ('n', '2024-01-01', 5, '')").equal("public.t")


# --- odd tables -------------------------------------------------------------------------------

def test_generated_columns_are_in_neither_path(both):
    """Case 33: a stored column that is in SELECT * but not in the log would go stale."""
    b = both().run("""CREATE TABLE t (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS
            (a * 2) STORED, b text, i int GENERATED BY DEFAULT AS IDENTITY);
        INSERT INTO t (id, a, b) SELECT i, i, 'x' FROM generate_series(1, 5) i""", "public.t")
    b.sql("UPDATE t SET a = a + 1", "INSERT INTO t (id, a) VALUES (9, 9)").equal("public.t")
    assert "twice" not in [r[0] for r in b.warehouse.sql(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 't'", b.wdb)]


def test_empty_tables_and_tables_of_keys_only(both):
    both().run("""CREATE TABLE empty (id int PRIMARY KEY, v text);
        CREATE TABLE never (id int PRIMARY KEY);
        CREATE TABLE keys (a int, b text, PRIMARY KEY (b, a));
        CREATE TABLE one (a int); ALTER TABLE one REPLICA IDENTITY FULL;
        INSERT INTO keys VALUES (1, 'x'), (2, 'y'), (3, '')""",
               "public.empty", "public.never", "public.keys", "public.one").sql(
        "INSERT INTO empty VALUES (1, 'a')", "DELETE FROM empty",
        "UPDATE keys SET a = a + 1", "INSERT INTO keys VALUES (1, 'x')",
        "DELETE FROM keys WHERE b = ''", "UPDATE keys SET b = b",
        "INSERT INTO one VALUES (1), (1), (NULL)", "DELETE FROM one WHERE a = 1").equal(
        "public.empty", "public.never", "public.keys", "public.one")


def test_a_thousand_columns(both):
    cols = ", ".join(f"c{i} {['int', 'text', 'numeric(10,2)', 'timestamptz', 'bool'][i % 5]}"
                     for i in range(999))
    both().run(f"CREATE TABLE t (id int PRIMARY KEY, {cols}); INSERT INTO t (id, c0, c996, c997) "
               "SELECT i, i, 'last', 1 FROM generate_series(1, 100) i", "public.t").sql(
        "INSERT INTO t (id, c1, c2) VALUES (1000, 'x', 1.5)", "UPDATE t SET c500 = 1, c996 = 'y'",
        "UPDATE t SET id = id + 5000 WHERE id < 10", "DELETE FROM t WHERE id = 50").equal("public.t")


def test_partitions_by_way_of_their_root(both):
    """Leaves with other column orders, a key update across leaves (a delete and an insert), a
    default partition, sub-partitions; truncation of a leaf sends nothing, of the root it does."""
    both().run("""
        CREATE TABLE t (id int, region text, v text, big text, PRIMARY KEY (id, region))
            PARTITION BY LIST (region);
        ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
        CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a');
        CREATE TABLE t_b (big text, v text, region text NOT NULL, id int NOT NULL);
        ALTER TABLE t ATTACH PARTITION t_b FOR VALUES IN ('b');
        CREATE TABLE t_c PARTITION OF t FOR VALUES IN ('c') PARTITION BY RANGE (id);
        CREATE TABLE t_c1 PARTITION OF t_c FOR VALUES FROM (0) TO (10);
        CREATE TABLE t_c2 PARTITION OF t_c DEFAULT;
        CREATE TABLE t_d PARTITION OF t DEFAULT;
        INSERT INTO t SELECT i, chr(97 + i % 5), 'v', repeat(md5(i::text), 300)
            FROM generate_series(1, 40) i;""", "public.t").sql(
        "UPDATE t SET v = v || id", "UPDATE t SET region = 'b' WHERE id < 6",
        "UPDATE t SET id = id + 100 WHERE region = 'c'",
        "UPDATE t SET region = 'zz', v = 'moved' WHERE region = 'b' AND id > 30",
        "INSERT INTO t SELECT i, 'c', 'n', NULL FROM generate_series(1, 20) i ON CONFLICT DO "
        "NOTHING", "DELETE FROM t WHERE id % 7 = 0", "INSERT INTO t_b VALUES ('B', 'leaf', 'b', 999)",
        "BEGIN; UPDATE t SET region = 'a' WHERE id = 999; UPDATE t SET region = 'b' WHERE id = 999; "
        "UPDATE t SET v = 'back' WHERE id = 999; COMMIT").equal("public.t")


def test_a_truncated_partitioned_table(both):
    both().run("""CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY HASH (id);
        CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO t SELECT i, 'v' FROM generate_series(1, 20) i""", "public.t").sql(
        "BEGIN; INSERT INTO t VALUES (100, 'before'); TRUNCATE t; INSERT INTO t VALUES (1, 'after'); "
        "COMMIT", "UPDATE t SET id = 2").equal("public.t")


# --- truncate, transactions, savepoints ---------------------------------------------------------

def test_truncate_in_its_place_in_a_transaction(both):
    """Case 40: TRUNCATE a, b CASCADE RESTART IDENTITY between inserts of one transaction."""
    b = both().run("""CREATE TABLE a (id serial PRIMARY KEY, v text);
        CREATE TABLE b (id serial PRIMARY KEY, a int REFERENCES a);
        CREATE TABLE c (id serial PRIMARY KEY, b int REFERENCES b);
        CREATE TABLE d (v text); ALTER TABLE d REPLICA IDENTITY FULL;
        CREATE TABLE outside (id int PRIMARY KEY);
        INSERT INTO a (v) SELECT 'x' FROM generate_series(1, 9); INSERT INTO b (a) SELECT id FROM a;
        INSERT INTO c (b) SELECT id FROM b; INSERT INTO d SELECT v FROM a""",
                   "public.a", "public.b", "public.c", "public.d")
    b.transaction("INSERT INTO a (v) VALUES ('before'); INSERT INTO d VALUES ('before')",
                  "TRUNCATE a, b CASCADE", "INSERT INTO a (id, v) VALUES (1, 'between')",
                  "INSERT INTO b VALUES (1, 1); INSERT INTO c VALUES (1, 1)",
                  "UPDATE a SET v = 'changed'", "TRUNCATE a, b, d RESTART IDENTITY CASCADE",
                  "INSERT INTO a (v) VALUES ('after') RETURNING id", "INSERT INTO b (a) VALUES (1)",
                  "INSERT INTO d VALUES ('after'), ('after')")
    b.sql("TRUNCATE c", "INSERT INTO c (b) VALUES (1)", "TRUNCATE c", "TRUNCATE d",
          "INSERT INTO d VALUES ('end')").equal("public.a", "public.b", "public.c", "public.d")


def test_savepoints_rolled_back_leave_nothing(both):
    """Case 5 with the rows in many subtransactions, two sessions interleaved."""
    b = both().run("CREATE TABLE t (id int PRIMARY KEY, v text)", "public.t")
    with b.source.connect(b.db, autocommit=False) as c, \
            b.source.connect(b.db, autocommit=False) as d:
        for n, s in enumerate((c, d)):
            s.execute("INSERT INTO t SELECT %s + i, 'kept' FROM generate_series(1, 400) i",
                      (n * 10000,))
            s.execute("SAVEPOINT a")
            s.execute("INSERT INTO t SELECT %s + i, 'lost' FROM generate_series(401, 800) i",
                      (n * 10000,))
        for n, s in enumerate((c, d)):
            s.execute("ROLLBACK TO a")
            s.execute("SAVEPOINT b")
            s.execute("UPDATE t SET v = 'in b' WHERE id % 10 = 0")
            s.execute("RELEASE b")
            s.execute("INSERT INTO t VALUES (%s, 'one')", (n * 10000 + 5000,))
        d.commit()
        c.execute("DELETE FROM t WHERE id % 7 = 0 AND id < 9000")
        c.commit()
    b.equal("public.t")


def test_prepared_transactions_appear_at_their_commit(both):
    b = both().run("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'old')",
                   "public.t")
    b.sql("BEGIN; UPDATE t SET v = 'prepared' WHERE id = 1; INSERT INTO t VALUES (2, 'p'); "
          "PREPARE TRANSACTION 'one'", "BEGIN; INSERT INTO t VALUES (3, 'gone'); PREPARE "
          "TRANSACTION 'two'", "INSERT INTO t VALUES (4, 'between')")
    rows = "SELECT id, v FROM t ORDER BY id"
    b.caught_up()
    assert b.warehouse.sql(rows, b.wdb) == [(1, "old"), (4, "between")]
    b.restart()
    b.sql("COMMIT PREPARED 'one'", "ROLLBACK PREPARED 'two'", "INSERT INTO t VALUES (5, 'end')")
    b.live("public.t").equal("public.t")


def test_a_transaction_far_larger_than_a_batch(both):
    """Applied in pieces: a truncate, key moves and repeated changes of one row lie in different
    pieces; readers never see half of it."""
    b = both(sink={"batch.bytes": "64KB"})
    b.run(TOAST + """CREATE TABLE u (id int, v text); ALTER TABLE u REPLICA IDENTITY FULL;
        CREATE TABLE w (id int PRIMARY KEY, v text);
        INSERT INTO t SELECT i, 0, repeat(md5(i::text), 300), NULL FROM generate_series(1, 50) i;
        INSERT INTO u SELECT i % 7, 'copied' FROM generate_series(1, 300) i;
        INSERT INTO w SELECT i, 'copied' FROM generate_series(1, 300) i""",
          "public.t", "public.u", "public.w")
    b.transaction(
        "INSERT INTO w SELECT i, repeat('w', 50) FROM generate_series(1000, 4000) i",
        "UPDATE t SET id = id + 1000 WHERE id <= 25", "UPDATE w SET v = v || 'x'",
        "DELETE FROM u WHERE ctid IN (SELECT ctid FROM u LIMIT 100)",
        "UPDATE t SET n = n + 1", "INSERT INTO t SELECT i, 5, repeat('b', 9000), NULL FROM "
        "generate_series(1, 25) i", "UPDATE w SET id = -id", "UPDATE u SET v = 'y' WHERE id < 3",
        "INSERT INTO u SELECT i % 7, 'copied' FROM generate_series(1, 1000) i",
        "UPDATE t SET id = id + 5000 WHERE id <= 25", "UPDATE t SET id = id - 1000 WHERE id "
        "BETWEEN 1001 AND 1025", "UPDATE t SET n = n * 2", "TRUNCATE w",
        "INSERT INTO w SELECT i, repeat('v', 60) FROM generate_series(1, 3000) i",
        "UPDATE w SET id = id + 1000000 WHERE id % 2 = 0", "DELETE FROM w WHERE id % 3 = 0",
        "UPDATE t SET n = n + 1 WHERE id = 26", "UPDATE t SET other = 'o' WHERE id % 2 = 0")
    b.equal("public.t", "public.u", "public.w")


def test_one_row_changed_ten_thousand_times_in_a_transaction(both):
    b = both(sink={"batch.bytes": "64KB"}).run(
        TOAST + f"INSERT INTO t VALUES (1, 0, {BIG.format('k')}, NULL), (2, 0, NULL, NULL)",
        "public.t")
    b.sql("DO $$BEGIN FOR i IN 1..5000 LOOP UPDATE t SET n = i WHERE id = 1; UPDATE t SET id = "
          "3 + i WHERE id = 2 + i OR id = 2 AND i = 1; END LOOP; END$$").equal("public.t")


def test_statements_that_are_not_plain_changes(both):
    """ON CONFLICT, MERGE, COPY, cascades, triggers, row locks, rows of a replica-role session."""
    b = both().run("""CREATE TABLE p (id int PRIMARY KEY, v text);
        CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
        CREATE TABLE log (n serial PRIMARY KEY, what text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log (what)
            VALUES (TG_OP || ' ' || NEW.id); RETURN NEW; END$$;
        CREATE TRIGGER t AFTER INSERT OR UPDATE ON p FOR EACH ROW EXECUTE FUNCTION note();
        INSERT INTO p SELECT i, 'v' FROM generate_series(1, 9) i; INSERT INTO c SELECT id, id FROM p
        """, "public.p", "public.c", "public.log")
    b.sql("INSERT INTO p VALUES (1, 'x'), (10, 'y') ON CONFLICT (id) DO UPDATE SET v = excluded.v",
          "INSERT INTO p VALUES (1, 'z') ON CONFLICT DO NOTHING", "DELETE FROM p WHERE id = 2",
          "UPDATE p SET id = 33 WHERE id = 3",
          "MERGE INTO p USING (VALUES (4, 'm'), (5, NULL), (50, 'n')) s (id, v) ON p.id = s.id "
          "WHEN MATCHED AND s.v IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v "
          "WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)",
          "SELECT * FROM p FOR UPDATE", "UPDATE p SET v = v",
          "SET session_replication_role = replica; DELETE FROM p WHERE id = 9",
          "INSERT INTO p SELECT i, 'bulk' FROM generate_series(100, 3000) i",
          "DELETE FROM p WHERE id > 200", "VACUUM FULL p", "CLUSTER c USING c_pkey",
          "INSERT INTO c VALUES (100, 100)")
    b.equal("public.p", "public.c", "public.log")


# --- publications that the user made --------------------------------------------------------------

MINE = {"publication.name": "mine", "publication.autocreate.mode": "disabled"}


def test_row_filter_moves_rows_in_and_out(both):
    """Case 27: off, on, off again is insert, delete; a value out of line comes with the insert."""
    b = both(settings=MINE)
    b.run("""CREATE TABLE t (id int PRIMARY KEY, region int NOT NULL, big text);
        ALTER TABLE t ALTER big SET STORAGE EXTERNAL; ALTER TABLE t REPLICA IDENTITY FULL;
        INSERT INTO t SELECT i, i % 3, repeat(md5(i::text), 300) FROM generate_series(1, 30) i;
        CREATE PUBLICATION mine FOR TABLE t WHERE (region > 0), fence""", "public.t")
    b.sql("UPDATE t SET region = 1 WHERE id = 3", "UPDATE t SET region = 0 WHERE id = 1",
          "UPDATE t SET region = 2 WHERE id = 1", "UPDATE t SET region = 0 WHERE id = 2",
          "INSERT INTO t VALUES (100, 0, 'x'), (101, 1, 'y')", "UPDATE t SET id = 200, region = 1 "
          "WHERE id = 100", "DELETE FROM t WHERE region = 0 AND id < 10",
          "INSERT INTO t VALUES (300, 1, 'end')")
    # Then it sees no change of these: what is left is what the filter lets through.
    b.caught_up().stop().sql("DELETE FROM t WHERE region = 0").assert_equal("public.t")


def test_column_list_leaves_the_others_out(both):
    b = both(settings=MINE)
    b.run("""CREATE TABLE t (id int PRIMARY KEY, secret text, v text, hidden int);
        INSERT INTO t SELECT i, 's', 'v', i FROM generate_series(1, 5) i;
        CREATE PUBLICATION mine FOR TABLE t (v, id), fence""", "public.t")
    b.sql("UPDATE t SET v = 'w', secret = 'x' WHERE id < 3", "INSERT INTO t VALUES (9, 's', 'n', 9)",
          "UPDATE t SET secret = 'y'", "DELETE FROM t WHERE id = 5", "UPDATE t SET v = 'z'")
    b.caught_up()
    rows = b.source.sql("SELECT id, v FROM t ORDER BY id", b.db)
    assert b.warehouse.sql("SELECT id, v FROM t ORDER BY id", b.wdb) == rows
    assert [r[0] for r in b.warehouse.sql(
        "SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND "
        "attname NOT LIKE '\\_penstock%' ORDER BY attnum", b.wdb)] == ["id", "v"]
    b.stop()
    with duckdb.connect(b.duck, read_only=True) as c:
        assert c.execute("SELECT * EXCLUDE (_penstock_csn, _penstock_committed_at) FROM public.t "
                         "ORDER BY id").fetchall() == rows


# --- tables and columns that change while it runs ----------------------------------------------

def test_a_table_made_while_running_appears_by_itself_for_all_tables(both):
    b = both(settings=MINE)
    b.run("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION mine FOR ALL TABLES", "public.t")
    b.sql("CREATE TABLE late (id int PRIMARY KEY, v text)", "INSERT INTO late SELECT i, 'v' FROM "
          "generate_series(1, 100) i", "UPDATE late SET v = 'w' WHERE id < 5",
          "INSERT INTO t VALUES (1)")
    b.live("public.late").sql("DELETE FROM late WHERE id = 3", "INSERT INTO late VALUES (200, 'n')",
                              "CREATE TABLE \"as\" AS SELECT 1 AS a",
                              "ALTER TABLE \"as\" ADD PRIMARY KEY (a)",
                              "INSERT INTO \"as\" VALUES (2)")
    b.live("public.as").equal("public.t", "public.late", "public.as")


def test_a_table_made_while_running_is_taken_at_the_next_start(both):
    """With a publication of single tables, which is ours to add to at a start only."""
    b = both().run("CREATE TABLE t (id int PRIMARY KEY)", "public.t")
    b.sql("CREATE TABLE late (id int PRIMARY KEY, v text)", "INSERT INTO late SELECT i, 'v' FROM "
          "generate_series(1, 100) i", "INSERT INTO t VALUES (1)")
    b.equal_postgres("public.t")
    b.restart().live("public.late").sql("UPDATE late SET v = 'w' WHERE id < 5",
                                        "DELETE FROM late WHERE id = 50", "INSERT INTO t VALUES (2)")
    b.equal("public.t", "public.late")


ANY = {"schema.compatibility": "NONE"}


def test_columns_added_dropped_renamed_and_retyped_while_running(both):
    """Case 13, 28, 29: the table is loaded again by itself; rows that changed without events too."""
    b = both(service=ANY).run("""
        CREATE TABLE t (id int PRIMARY KEY, a int, b text, c varchar(5));
        CREATE TABLE calm (id int PRIMARY KEY, v int);
        INSERT INTO t SELECT i, i, 'b', 'c' FROM generate_series(1, 100) i;
        INSERT INTO calm VALUES (1, 1)""", "public.t", "public.calm")
    for change in ("ADD COLUMN d int NOT NULL DEFAULT 7", "DROP COLUMN b",
                   "RENAME COLUMN c TO \"C c\"", "ALTER COLUMN a TYPE bigint USING a * 10",
                   "ADD COLUMN e timestamptz NOT NULL DEFAULT clock_timestamp()",
                   "ADD COLUMN b text", "ALTER COLUMN \"C c\" TYPE varchar(50)",
                   "ALTER COLUMN a TYPE text", "ALTER COLUMN d DROP NOT NULL"):
        b.sql(f"ALTER TABLE t {change}", "UPDATE t SET a = a WHERE id = 5",
              "INSERT INTO t (id) SELECT max(id) + 1 FROM t", "UPDATE calm SET v = v + 1")
        b.caught_up().live("public.t", "public.calm").equal_postgres("public.t", "public.calm")
    assert b.loads("public.calm") == 2
    b.transaction("INSERT INTO t (id) VALUES (1001)", "ALTER TABLE t ADD x int",
                  "INSERT INTO t (id, x) VALUES (1002, 2)", "ALTER TABLE t RENAME x TO y",
                  "INSERT INTO t (id, y) VALUES (1003, 3)", "ALTER TABLE t DROP y",
                  "INSERT INTO t (id) VALUES (1004)")
    b.sql("UPDATE t SET a = 0 WHERE id = 1004")
    b.caught_up().live("public.t").equal("public.t", "public.calm")


def test_a_key_that_is_altered_while_running(both):
    """Another column, another type, none, one again."""
    b = both(service=ANY).run("""CREATE TABLE t (id int PRIMARY KEY, k text NOT NULL);
        INSERT INTO t SELECT i, 'k' || i FROM generate_series(1, 20) i""", "public.t")
    for change in ("DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (k)", "ALTER id TYPE bigint",
                   "DROP CONSTRAINT t_pkey, REPLICA IDENTITY FULL", "ADD PRIMARY KEY (k, id)",
                   "REPLICA IDENTITY DEFAULT", "ALTER id TYPE text"):
        b.sql(f"ALTER TABLE t {change}", "UPDATE t SET k = k || 'x' WHERE k LIKE '%1'",
              "DELETE FROM t WHERE k = (SELECT min(k) FROM t)")
        b.caught_up().live("public.t").equal_postgres("public.t")
    b.equal("public.t")


def test_rows_rewritten_without_an_event_are_noticed_in_an_idle_table(both):
    """Case 29: ALTER TYPE ... USING changes every row and the log says nothing of it."""
    b = both(service=ANY).run("""CREATE TABLE t (id int PRIMARY KEY, v int);
        INSERT INTO t SELECT i, i FROM generate_series(1, 50) i""", "public.t")
    b.sql("ALTER TABLE t ALTER v TYPE int USING v * 10")
    harness.wait_for("loaded again", lambda: b.loads("public.t") == 4, 30)
    b.live("public.t").equal("public.t")


def test_a_schema_that_is_not_compatible_stops_its_table_until_it_may(both):
    """Case 38: it says which column and which setting; with the setting, nothing is lost."""
    b = both().run("""CREATE TABLE t (id int PRIMARY KEY, v int);
        CREATE TABLE calm (id int PRIMARY KEY, v int);
        INSERT INTO t SELECT i, i FROM generate_series(1, 50) i""", "public.t", "public.calm")
    b.sql("ALTER TABLE t ALTER v TYPE text", "UPDATE t SET v = 'x' WHERE id = 1",
          "INSERT INTO calm VALUES (1, 1)")
    for kind in b.kinds:
        b.reason(kind, "public.t", r"BACKWARD.*field.*v.*schema\.compatibility")
    b.sql("UPDATE t SET v = 'y' WHERE id = 2", "INSERT INTO calm VALUES (2, 2)")
    b.equal_postgres("public.calm").stop()
    b.p.config["service"].update(ANY)
    b.start().live("public.t", "public.calm").sql("DELETE FROM t WHERE id = 3")
    b.equal("public.t", "public.calm")


def test_a_column_with_a_default_is_compatible(both):
    """Case 13: ADD COLUMN NOT NULL DEFAULT in the default mode."""
    b = both().run("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT "
                   "generate_series(1, 1000)", "public.t")
    for i, (type_, default) in enumerate([
            ("int", "7"), ("bigint", "-7"), ("text", "'it''s \"ż\" \\'"), ("numeric(5,2)", "1.5"),
            ("numeric", "1e20"), ("boolean", "true"), ("real", "1e-40"), ("float8", "-0.1"),
            ("timestamptz", "'2024-01-01 00:00:00+05'"), ("timestamp", "'infinity'"),
            ("date", "now()"), ("time", "'24:00:00'"), ("interval", "'1 day'"),
            ("uuid", "gen_random_uuid()"), ("jsonb", "'{\"a\": 1}'"), ("text[]", "'{}'"),
            ("bytea", "'\\xff00'"), ("varchar(9)", "upper('x')"), ("char(3)", "'x'"),
            ("money", "0"), ("bit(3)", "B'101'"), ("timestamptz", "now() + '1 day'")]):
        b.sql(f"ALTER TABLE t ADD c{i} {type_} NOT NULL DEFAULT {default}")
    b.sql("UPDATE t SET id = id + 1000 WHERE id < 10").caught_up().live("public.t")
    b.sql("INSERT INTO t VALUES (5000)").restart().live("public.t")
    b.sql("DELETE FROM t WHERE id = 20").equal("public.t")


def test_tables_renamed_dropped_and_made_anew_while_running(both):
    """Case 28: swap by way of a third name; the same name for another table."""
    b = both(settings=MINE, service=ANY)
    b.run("""CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text);
        CREATE TABLE c (id int PRIMARY KEY); CREATE TABLE d (id int PRIMARY KEY);
        INSERT INTO a VALUES (1, 'in a'); INSERT INTO b VALUES (1, 'in b'), (2, 'in b');
        CREATE PUBLICATION mine FOR ALL TABLES""", "public.a", "public.b", "public.c", "public.d")
    b.transaction("ALTER TABLE a RENAME TO tmp", "ALTER TABLE b RENAME TO a",
                  "ALTER TABLE tmp RENAME TO b")
    b.sql("INSERT INTO a VALUES (3, 'now a')", "INSERT INTO b VALUES (4, 'now b')",
          "INSERT INTO c VALUES (1)")
    b.caught_up().live("public.a", "public.b")
    b.sql("DROP TABLE c", "CREATE TABLE c (id text PRIMARY KEY, n int)",
          "INSERT INTO c VALUES ('x', 1)", "UPDATE a SET v = 'end'",
          "ALTER TABLE d RENAME TO e", "INSERT INTO e VALUES (1)")
    b.live("public.c").caught_up().live("public.a", "public.b", "public.c", "public.e")
    b.equal("public.a", "public.b", "public.c", "public.e")


def test_a_table_of_the_user_in_the_warehouse_is_left_alone(both):
    b = both(kinds=["postgres"])
    b.warehouse.script("CREATE TABLE t (mine text); INSERT INTO t VALUES ('precious')", b.wdb)
    b.run("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)", "public.u")
    b.reason("postgres", "public.t", "not ours", "refused").sql("INSERT INTO t VALUES (1)")
    b.caught_up()
    assert b.warehouse.sql("SELECT * FROM t", b.wdb) == [("precious",)]
    b.warehouse.script("ALTER TABLE t RENAME TO kept", b.wdb)
    b.restart().live("public.t").equal("public.t", "public.u")


def test_the_same_alteration_again_and_again(both):
    """Each one is followed: to and fro is no load that does not help."""
    b = both(service=ANY).run("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i "
                              "FROM generate_series(1, 20) i", "public.t")
    for i in range(6):
        b.sql(f"ALTER TABLE t REPLICA IDENTITY {'DEFAULT' if i % 2 else 'FULL'}",
              f"UPDATE t SET v = {i} WHERE id = 1").caught_up().live("public.t")
    for i in range(6):
        b.sql(f"ALTER TABLE t ALTER v TYPE {'int' if i % 2 else 'bigint'}",
              "UPDATE t SET v = v + 1 WHERE id = 2").caught_up().live("public.t")
    b.equal("public.t")


def test_alterations_and_changes_all_at_once(both):
    """One session alters, another writes, for three seconds."""
    b = both(service=ANY).run(TOAST + f"INSERT INTO t SELECT i, i, {BIG.format('c')}, 'o' FROM "
                              "generate_series(1, 300) i; CREATE TABLE calm (id int PRIMARY KEY, v "
                              "int); INSERT INTO calm VALUES (1, 0)", "public.t", "public.calm")
    end = time.monotonic() + 3
    rnd = random.Random(8)

    def write():
        with b.source.connect(b.db) as c:
            while time.monotonic() < end:
                k = rnd.randint(1, 300)
                for q in (f"UPDATE t SET n = n + 1 WHERE id = {k}", "UPDATE calm SET v = v + 1",
                          f"DELETE FROM t WHERE id IN ({k + 1}, -{k + 2})",
                          f"UPDATE t SET id = -id WHERE id = {k + 2}",
                          f"INSERT INTO t (id, n) VALUES ({k}, 0) ON CONFLICT DO NOTHING"):
                    with contextlib.suppress(psycopg.errors.UndefinedTable):  # it is t2
                        c.execute(q)
    writer = threading.Thread(target=write)
    writer.start()
    added = 0
    while time.monotonic() < end:
        added += 1
        b.sql(*rnd.choice([
            [f"ALTER TABLE t ADD x{added} int DEFAULT {added}", f"ALTER TABLE t DROP x{added}"],
            [f"ALTER TABLE t ADD y{added} text NOT NULL DEFAULT clock_timestamp()::text"],
            ["ALTER TABLE t ALTER n TYPE bigint USING n * 2",
             "ALTER TABLE t ALTER n TYPE int USING n % 1000"],
            ["ALTER TABLE t RENAME other TO z", "ALTER TABLE t RENAME z TO other"],
            ["VACUUM FULL t"], ["ALTER TABLE t RENAME TO t2", "ALTER TABLE t2 RENAME TO t"],
            ["BEGIN; TRUNCATE t; INSERT INTO t (id, n) SELECT i, i FROM generate_series(1, 300) i; "
             "COMMIT"]]))
        time.sleep(0.1 + rnd.random() * 0.3)  # five in a row under one load would stop it
    writer.join()
    time.sleep(6)  # rows that were rewritten without an event are noticed within five seconds
    b.caught_up().live("public.t", "public.calm").equal("public.t", "public.calm")


def test_inheritance_each_table_has_its_own_rows(both):
    """SELECT from the parent would bring the children's rows, too."""
    both().run("""CREATE TABLE p (id int PRIMARY KEY, v text);
        CREATE TABLE c (w int, PRIMARY KEY (id)) INHERITS (p);
        CREATE TABLE d (PRIMARY KEY (id)) INHERITS (c);
        INSERT INTO p VALUES (1, 'p'); INSERT INTO c VALUES (1, 'c', 1);
        INSERT INTO d VALUES (1, 'd')""", "public.p", "public.c", "public.d").sql(
        "INSERT INTO c VALUES (2, 'c2', 2)", "UPDATE p SET v = v || 'x'", "DELETE FROM ONLY p",
        "INSERT INTO d VALUES (3, 'd3')").caught_up().stop().assert_only(
        ("p", []), ("c", [(1, "cx", 1), (2, "c2x", 2)]), ("d", [(1, "dx", None), (3, "d3", None)]))


def test_partitions_one_by_one(both):
    """A publication that does not go by the root: a row that moves is a delete here, an insert
    there."""
    b = both(settings=MINE)
    b.run("""CREATE TABLE t (id int, r int, v text, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
        CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
        CREATE TABLE t2 (v text, r int NOT NULL, id int NOT NULL);
        ALTER TABLE t ATTACH PARTITION t2 FOR VALUES IN (2);
        INSERT INTO t SELECT i, 1 + i % 2, 'v' FROM generate_series(1, 10) i;
        CREATE PUBLICATION mine FOR TABLE t, fence""", "public.t1", "public.t2")
    b.sql("UPDATE t SET r = 3 - r WHERE id < 4", "UPDATE t SET v = 'w' WHERE id > 8",
          "DELETE FROM t WHERE id = 5", "TRUNCATE t1", "INSERT INTO t VALUES (50, 1, 'n')")
    b.equal("public.t1", "public.t2")


def test_enum_labels_added_and_renamed_while_running(both):
    """Labels travel as text: a new one is no change of the table."""
    b = both().run("""CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE TABLE t (id int PRIMARY KEY, m mood);
        INSERT INTO t VALUES (1, 'sad')""", "public.t")
    b.sql("ALTER TYPE mood ADD VALUE 'happy'", "INSERT INTO t VALUES (2, 'happy')",
          "INSERT INTO t VALUES (3, 'ok')").equal("public.t")


def test_changes_while_it_is_away_arrive_when_it_is_back(both):
    """Stopped, and killed; with an altered and a new table meanwhile."""
    b = both().run("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (LIKE t INCLUDING "
                   "ALL); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 50) i",
                   "public.t", "public.u")
    b.sql("UPDATE t SET v = 'w' WHERE id < 10").stop()
    b.sql("DELETE FROM t WHERE id = 1", "INSERT INTO u VALUES (1, 'x')", "UPDATE t SET id = -id "
          "WHERE id = 2", "TRUNCATE u", "INSERT INTO u VALUES (2, 'y')")
    b.start().live("public.t", "public.u").caught_up().p.kill9()
    b.sql("INSERT INTO t VALUES (1000, 'z')", "ALTER TABLE u ADD w int DEFAULT 5",
          "INSERT INTO u VALUES (3, 'q', 6)", "CREATE TABLE n (id int PRIMARY KEY)",
          "INSERT INTO n VALUES (1)", "INSERT INTO t VALUES (1001, 'z')")
    b.start().live("public.n").caught_up().live("public.t", "public.u").equal(
        "public.t", "public.u", "public.n")
