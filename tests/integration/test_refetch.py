# SPDX-License-Identifier: Apache-2.0
"""Rows of which the log does not carry all, and which nobody has: those keys are read at the source
again. The table stays live; until the stream has passed the point of that reading, its reason says
`N rows wanted`. Never a NULL in the place of a value, never a stop (case 27)."""
import contextlib
import random
import re
import threading

import harness
import psycopg
import pytest
from harness import wait_for
from test_cases import BIG
from test_failpoints import program  # noqa: F401
from test_resync import post

# Postgres wants a filter's columns in the replica identity: either the key has them, or an index.
KEYS = {
    "key": "PRIMARY KEY (id, shown)",
    "index": "PRIMARY KEY (id)); CREATE UNIQUE INDEX t_shown ON t (id, shown); "
             "ALTER TABLE t REPLICA IDENTITY USING INDEX t_shown; CREATE TABLE other (n int",
}
TABLE = """
CREATE TABLE t (id int NOT NULL, shown boolean NOT NULL, n int, big text NOT NULL, {0});
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
CREATE PUBLICATION filtered FOR TABLE t WHERE (shown), TABLE fence;
INSERT INTO t SELECT i, i % 2 = 0, i, repeat(md5(i::text), 200) FROM generate_series(1, 600) i;
"""
SETTINGS = {"publication.name": "filtered", "publication.autocreate.mode": "disabled"}


@contextlib.contextmanager
def stalled(b):
    """No slot can be made at the source, hence no point, and no row is read again."""
    with b.source.connect(b.db, autocommit=False) as c:
        c.execute("SELECT pg_current_xact_id()")
        yield c
        c.rollback()


def reasons(b, table="public.t"):
    return {k: b.tables(k)[table]["reason"] for k in b.kinds}


def wanted(b, table="public.t", at_least=1):
    """Until so many rows are wanted in each warehouse, the table being live."""
    def there():
        b.p.alive()
        found = [re.fullmatch(r"(\d+) rows wanted", r or "") for r in reasons(b, table).values()]
        return all(m and int(m.group(1)) >= at_least for m in found)
    try:
        wait_for(f"{at_least} rows wanted", there, 30)
    except AssertionError as e:
        raise AssertionError(f"{e}\n{reasons(b, table)}\n{b.p.log()[-4000:]}") from None
    assert b.metric("penstock_rows_wanted") >= at_least * len(b.kinds)
    assert all(b.state(k, table) == "live" for k in b.kinds)


def none_wanted(b, *tables, timeout=60):
    def none():
        b.p.alive()
        return not any(r for t in tables or ["public.t"] for r in reasons(b, t).values())
    try:
        wait_for("no rows wanted", none, timeout)
    except AssertionError as e:
        raise AssertionError(f"{e}\n{b.p.log()[-4000:]}") from None
    assert b.metric("penstock_rows_wanted") == 0


def undisturbed(b, table="public.t"):
    """The table was loaded once into each, and nothing has stopped."""
    log = b.p.log()
    assert b.loads(table) == len(b.kinds), log[-4000:]
    assert not re.search(r"table stops|table stands still|tried again|level=error", log), log


def end_equal(b, *tables):
    """Rows outside the filter are not to be in the warehouse."""
    b.caught_up()
    none_wanted(b, *tables)
    b.sql("DELETE FROM t WHERE NOT shown")
    b.equal(*tables or ["public.t"])


@pytest.fixture(params=["key", "index"])
def filtered(request, both):
    b = both(settings=SETTINGS)
    b.run(TABLE.format(KEYS[request.param]), "public.t")
    return b


def warehouse_rows(b, where="true"):
    """id -> n, in the Postgres warehouse."""
    return dict(b.warehouse.sql(f"SELECT id, n FROM public.t WHERE {where}", b.wdb))


def test_a_row_that_comes_into_the_filter(filtered):
    """Case 27 without REPLICA IDENTITY FULL: off, on, off, on."""
    b = filtered
    b.sql("UPDATE t SET shown = true WHERE id = 1", "UPDATE t SET shown = false WHERE id = 1",
          "UPDATE t SET shown = true, n = -1 WHERE id = 1", "UPDATE t SET shown = true WHERE id = 3")
    b.caught_up()
    none_wanted(b)
    assert warehouse_rows(b, "id < 4") == {1: -1, 2: 2, 3: 3}
    end_equal(b)
    undisturbed(b)


def test_hundreds_of_rows_and_what_happens_to_them_meanwhile(filtered):
    b = filtered
    with stalled(b):
        b.sql("UPDATE t SET shown = true WHERE id % 2 = 1")  # 300
        wanted(b, at_least=300)
        assert b.warehouse.sql("SELECT 1 FROM public.t WHERE big IS NULL", b.wdb) == []
        assert warehouse_rows(b, "id % 2 = 1") == {}, "a row that is wanted is missing"
        b.sql("UPDATE t SET n = n + 1000 WHERE id BETWEEN 1 AND 60",          # incomplete again
              "UPDATE t SET big = 'all of it ' || id WHERE id BETWEEN 61 AND 70",
              "DELETE FROM t WHERE id BETWEEN 71 AND 80",
              "UPDATE t SET shown = false WHERE id BETWEEN 81 AND 100",       # out again
              "UPDATE t SET shown = true WHERE id BETWEEN 91 AND 95",         # and back
              "UPDATE t SET id = id + 10000 WHERE id BETWEEN 101 AND 120",    # another key
              "UPDATE t SET id = id + 10000, big = 'moved' WHERE id BETWEEN 121 AND 130",
              "DELETE FROM t WHERE id BETWEEN 131 AND 140",
              f"INSERT INTO t SELECT i, true, -i, {BIG.format('new')} FROM "
              "generate_series(131, 140) i",
              "UPDATE t SET n = 0 WHERE id BETWEEN 131 AND 135",
              "UPDATE t SET id = id + 20000 WHERE id BETWEEN 141 AND 150",
              "UPDATE t SET id = id - 20000, n = 7 WHERE id > 20000")         # there and back
        b.transaction("UPDATE t SET id = -1 WHERE id = 151", "UPDATE t SET id = 151 WHERE id = 152",
                      "UPDATE t SET id = 152 WHERE id = -1")                  # 151 is wanted, 152 not
        b.caught_up()
        wanted(b, at_least=200)
        got = warehouse_rows(b)
        assert all(got[i] == i for i in range(154, 601, 2)), "others are not touched"
        assert set(range(61, 71)) | set(range(131, 141)) <= set(got), "complete rows are there"
    end_equal(b)
    undisturbed(b)


def test_rows_wanted_survive_a_kill(filtered):
    b = filtered
    with stalled(b):
        b.sql("UPDATE t SET shown = true WHERE id % 2 = 1")
        wanted(b, at_least=300)
        b.caught_up()
        b.p.kill9()
        b.start()
        wanted(b, at_least=300)
        b.sql("UPDATE t SET n = 1 WHERE id BETWEEN 1 AND 50", "DELETE FROM t WHERE id = 51",
              "UPDATE t SET big = 'x' WHERE id = 53")
        b.caught_up()
        wanted(b, at_least=290)
        b.p.kill9()
        b.sql("UPDATE t SET n = 2 WHERE id BETWEEN 1 AND 50", "UPDATE t SET id = -55 WHERE id = 55")
        b.start()
    none_wanted(b)
    b.sql("UPDATE t SET n = n + 1 WHERE id BETWEEN 1 AND 100")
    end_equal(b)
    for kind in b.kinds:
        assert b.loads("public.t") == 2


def test_a_truncate_settles_all(filtered):
    b = filtered
    with stalled(b):
        b.sql("UPDATE t SET shown = true WHERE id % 2 = 1")
        wanted(b, at_least=300)
        b.sql("TRUNCATE t")
        b.caught_up()
        none_wanted(b)
        b.sql("INSERT INTO t VALUES (1, true, 1, 'x')",
              f"INSERT INTO t VALUES (2, false, 2, {BIG.format('y')})",
              "UPDATE t SET shown = true WHERE id = 2")
        wanted(b)
    end_equal(b)
    undisturbed(b)


def test_a_row_that_is_changed_all_the_time(filtered):
    """Faster than it can be read: it comes nevertheless, and its changes are not lost."""
    b = filtered
    stop = threading.Event()

    def change():
        with b.source.connect(b.db) as c:
            while not stop.is_set():
                with contextlib.suppress(psycopg.errors.DeadlockDetected):
                    c.execute("UPDATE t SET n = n + 1 WHERE id IN (1, 3)")
    thread = threading.Thread(target=change)
    thread.start()
    try:
        with stalled(b):
            b.sql("UPDATE t SET shown = true WHERE id < 20")
            wanted(b, at_least=2)
        none_wanted(b)
        wait_for("the rows are there", lambda: {1, 3} <= set(warehouse_rows(b)))
    finally:
        stop.set()
        thread.join()
    end_equal(b)
    undisturbed(b)


def test_in_a_transaction_larger_than_a_piece(both):
    """Pieces of one open warehouse transaction: rows that come, go and change between them."""
    b = both(settings=SETTINGS, sink={"batch.bytes": "65536"})
    b.run(TABLE.format(KEYS["index"]), "public.t")
    with stalled(b) as c:
        c.rollback()  # not held up
        b.transaction("UPDATE t SET shown = true WHERE id % 2 = 1",
                      "INSERT INTO t SELECT i, true, i, repeat(md5(i::text), 200) FROM "
                      "generate_series(1001, 1100) i",
                      "UPDATE t SET n = n + 1", "DELETE FROM t WHERE id BETWEEN 11 AND 20",
                      "INSERT INTO t SELECT i, true, i, repeat(md5(i::text), 200) FROM "
                      "generate_series(1101, 1200) i",
                      "UPDATE t SET id = id + 5000 WHERE id BETWEEN 21 AND 40",
                      "UPDATE t SET n = n + 1", "UPDATE t SET shown = false WHERE id = 41",
                      "UPDATE t SET big = big || 'x' WHERE id BETWEEN 43 AND 60")
    b.caught_up()
    end_equal(b)
    undisturbed(b)


# --- the table changes or is loaded meanwhile ----------------------------------------------------

ALTERATIONS = {
    "added": "ALTER TABLE t ADD COLUMN more text DEFAULT 'm'",
    "renamed": "ALTER TABLE t RENAME n TO number",
    "dropped": "ALTER TABLE t DROP COLUMN extra",
    "nullable": "ALTER TABLE t ALTER big DROP NOT NULL",
}


@pytest.mark.parametrize("what", ALTERATIONS)
@pytest.mark.parametrize("told", ["told", "not told"])
def test_a_table_that_is_altered_meanwhile(both, what, told):
    """The log tells an alteration with the next change of the table: here before the rows are read
    again, or not before they are there. Whether a column may be NULL is told by a load only."""
    b = both(settings=SETTINGS)
    b.run(TABLE.format(KEYS["key"]) + "; ALTER TABLE t ADD extra int; UPDATE t SET extra = id",
          "public.t")
    with stalled(b):
        b.sql("UPDATE t SET shown = true WHERE id % 2 = 1")
        wanted(b, at_least=300)
        b.sql(ALTERATIONS[what])
        if told == "told":
            b.sql("UPDATE t SET shown = false WHERE id BETWEEN 1 AND 9",
                  "UPDATE t SET big = 'told' WHERE id BETWEEN 5 AND 15")
            b.caught_up()
            wanted(b, at_least=290)
    b.caught_up()
    none_wanted(b)
    assert len(b.warehouse.sql("SELECT 1 FROM t WHERE id % 2 = 1", b.wdb)) >= 290
    b.sql("UPDATE t SET shown = shown WHERE id < 500")
    if what == "dropped":
        b.caught_up().sql("ALTER TABLE t ADD extra int", "UPDATE t SET big = 'y' WHERE id = 100")
        b.caught_up()
        for kind in b.kinds:  # the column that stays, of rows that did not change, is nobody's
            assert post(b.p, f"/v1/connectors/to_{kind}/snapshots", "{}")[0] == 202
        wait_for("loaded", lambda: b.loads("public.t") == 4, 60)
    end_equal(b)
    if what in ("added", "renamed"):
        undisturbed(b)


def test_a_table_that_is_loaded_meanwhile(filtered):
    b = filtered
    with stalled(b):
        b.sql("UPDATE t SET shown = true WHERE id % 2 = 1")
        wanted(b, at_least=300)
        for kind in b.kinds:
            assert post(b.p, f"/v1/connectors/to_{kind}/snapshots", "{}")[0] == 202
        b.sql("UPDATE t SET n = n + 1 WHERE id BETWEEN 1 AND 9")
        b.caught_up()
    wait_for("loaded again", lambda: b.loads("public.t") == 4, 60)
    end_equal(b)
    books = b.warehouse.sql("SELECT count(*) FROM penstock.wanted", b.wdb)
    assert books == [(0,)]


@pytest.mark.parametrize("death", [False, True])
def test_rows_that_come_while_the_table_is_loaded_again(both, program, monkeypatch, death):
    """What the spool brings is wanted of the copy: in the part that it takes in beforehand, and in
    the rest that comes with its place. A copy that lacked rows when the process died is none."""
    monkeypatch.setattr(harness, "PENSTOCK", program)
    b = both(settings=SETTINGS, kinds=["postgres"])
    b.run(TABLE.format(KEYS["index"]), "public.t")
    if death:
        b.stop()
        b.p.env = {"PENSTOCK_FAILPOINT": "load.spool-applied"}
        b.start().live("public.t")
    with b.warehouse.connect(b.wdb, autocommit=False) as c:
        c.execute("LOCK TABLE penstock.snapshot_chunks IN SHARE MODE")  # no chunk is copied
        points = b.p.log().count("temporary=yes")
        assert post(b.p, "/v1/connectors/to_postgres/snapshots", '{"tables": ["public.t"]}')[0] == 202
        wait_for("the point", lambda: b.p.log().count("temporary=yes") > points, 30)
        b.sql("UPDATE t SET shown = NOT shown WHERE id % 3 = 0")
        for i in range(5000, 9000, 1000):  # more than what is left for the end
            b.sql(f"INSERT INTO t SELECT i, true, i, repeat(md5(i::text), 200) FROM "
                  f"generate_series({i}, {i + 100}) i", "UPDATE t SET n = n + 1",
                  "UPDATE t SET shown = NOT shown WHERE id % 5 = 0")
        b.caught_up()
        c.rollback()
    if death:
        assert b.p.process.wait(60) == -9
        assert b.warehouse.sql("SELECT to_key FROM penstock.snapshot_chunks WHERE chunk = -1",
                               b.wdb) == [("wanted",)]
        b.p.env = {}
        b.start()
    wait_for("in its place", lambda: b.warehouse.sql(
        "SELECT load FROM penstock.tables WHERE source_table = 't' AND state = 'live'", b.wdb)[0][0]
        == (4 if death else 3), 60)
    end_equal(b)


def test_a_table_whose_lock_somebody_holds(both):
    """It waits in its place, its changes in a spool, and lacks what it has lacked."""
    b = both(settings=SETTINGS, kinds=["postgres"])
    b.run(TABLE.format(KEYS["key"]), "public.t")
    with stalled(b):
        b.sql("UPDATE t SET shown = true WHERE id BETWEEN 1 AND 100")
        wanted(b, at_least=50)
        with b.warehouse.connect(b.wdb, autocommit=False) as c:
            c.execute("LOCK TABLE public.t IN SHARE MODE")
            b.sql("UPDATE t SET n = n + 1 WHERE id BETWEEN 1 AND 10")
            wait_for("set aside", lambda: "load goes on with its spool table=public.t" in b.p.log(),
                     60)
            b.sql("UPDATE t SET big = 'x' WHERE id BETWEEN 11 AND 20",
                  "UPDATE t SET shown = true WHERE id BETWEEN 101 AND 110")
            b.caught_up()
            c.rollback()
        wait_for("live again", lambda: b.p.log().count("table live table=public.t") == 2, 60)
        wanted(b, at_least=45)
        assert warehouse_rows(b, "n = 12") == {12: 12}, "what was complete is there"
        assert b.stop().p.process is None, "nothing holds up the end"
        b.start()
        wanted(b, at_least=45)
    end_equal(b)
    assert b.loads("public.t") == 1


# --- without a filter ----------------------------------------------------------------------------

def test_a_row_that_somebody_deleted_in_the_warehouse(both):
    b = both(kinds=["postgres"])
    b.run(f"""CREATE TABLE t (id numeric(10, 2) PRIMARY KEY, shown boolean DEFAULT true, n int,
            big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
        INSERT INTO t SELECT i, true, i, {BIG.format('b')} FROM generate_series(1, 100) i""",
          "public.t")
    b.warehouse.sql("DELETE FROM public.t WHERE id <= 20", b.wdb)
    b.sql("UPDATE t SET n = n + 1 WHERE id BETWEEN 1 AND 5",          # with others that are there
          "UPDATE t SET n = n + 1 WHERE id BETWEEN 4 AND 30",
          "UPDATE t SET id = id + 1000 WHERE id BETWEEN 6 AND 10",
          "UPDATE t SET n = 0, big = 'x' WHERE id BETWEEN 11 AND 20")
    end_equal(b)
    undisturbed(b)


@pytest.mark.parametrize("key, one", [("double precision", "1"), ("regtype", "'int4'")])
def test_keys_by_which_no_row_can_be_read_again_load_the_table(both, key, one):
    """A row comes into the filter: the table is loaded again by itself, and the others go on."""
    b = both(settings=SETTINGS)
    b.run(f"""CREATE TABLE t (id {key}, shown boolean, n int, big text, PRIMARY KEY (id, shown));
        ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
        CREATE PUBLICATION filtered FOR TABLE t WHERE (shown), TABLE fence;
        INSERT INTO t VALUES ({one}, false, 1, {BIG.format('b')})""", "public.t")
    b.sql("UPDATE t SET shown = true, n = 2")
    wait_for("loaded again", lambda: b.loads("public.t") == 4, 60)
    b.live("public.t")
    end_equal(b)


def test_random_changes(filtered):
    """Rows in and out of the filter, changed in part and in whole, moved; killed now and then."""
    b = filtered
    rnd = random.Random(27)
    with b.source.connect(b.db) as c:
        for i in range(400):
            k, big = rnd.randint(1, 30), BIG.format(i)
            with contextlib.suppress(Exception):  # a duplicate key
                c.execute(rnd.choice([
                    f"UPDATE t SET shown = NOT shown WHERE id = {k}",
                    f"UPDATE t SET shown = NOT shown, n = {i} WHERE id BETWEEN {k} AND {k + 3}",
                    f"UPDATE t SET n = {i} WHERE id = {k}",
                    f"UPDATE t SET n = n + 1 WHERE id <= 30",
                    f"UPDATE t SET big = {big} WHERE id = {k}",
                    f"UPDATE t SET id = {rnd.randint(1, 30)} WHERE id = {k}",
                    f"DELETE FROM t WHERE id = {k}",
                    f"INSERT INTO t VALUES ({k}, {rnd.choice(['true', 'false'])}, {i}, {big})"]))
            if i % 130 == 129:
                b.p.kill9()
                b.start()
    b.live("public.t")
    b.caught_up()
    end_equal(b)
    assert b.loads("public.t") == 2
