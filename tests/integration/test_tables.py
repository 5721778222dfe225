# SPDX-License-Identifier: Apache-2.0
"""One bad table never stops the others: whatever happens to it, state, reason and position are in
/v1/tables, the log and the metrics, and it is mended by itself or by a resync, without a restart."""
import glob
import json
import os
import re
import subprocess
import threading
import time

import harness
import pytest
from both import Both
from harness import (PENSTOCK, assert_equal_postgres, source_config, to_postgres, wait_caught_up,
                     wait_for)

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i;
CREATE TABLE u (id int PRIMARY KEY, v text);
INSERT INTO u VALUES (1, 'u');
"""
LOCK = "LOCK TABLE {0} IN ACCESS EXCLUSIVE MODE"


def one(b, kind, table):
    """The table as /v1/tables has it; {} while it has not."""
    return b.tables(kind).get(table, {})


def resync(b, connector, *tables):
    for t in tables:
        r = subprocess.run([PENSTOCK, "resync", connector, "--url", f"http://127.0.0.1:{b.p.port}",
                            "--table", t], capture_output=True, text=True, timeout=30,
                           stdin=subprocess.DEVNULL)
        assert r.returncode == 0, r


def status(p, *args):
    r = subprocess.run([PENSTOCK, "status", "--url", f"http://127.0.0.1:{p.port}", *args],
                       capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert r.returncode == 0, r
    return r.stdout


def says_so(b, kind, table, state, words):
    """In REST, `penstock status`, the log and the metrics alike."""
    schema, name = table.split(".")
    b.reason(kind, table, words, state)
    assert re.search(words, status(b.p))
    quoted = f'"{state}"' if " " in state else state
    assert re.search(rf"table state table={re.escape(table)} .*to={quoted} reason=.*{words}",
                     b.p.log())
    assert re.search(rf'penstock_table_state{{connector="to_{kind}",table="{schema}.{name}",'
                     rf'state="{state}"}} 1', b.p.get("/metrics")[1])


def goes_on(b, *tables, kinds=None):
    """What is written to these tables now arrives."""
    for t in tables:
        b.sql(f"INSERT INTO {t} SELECT max(id) + 1, 'goes on' FROM {t}")
    b.caught_up()
    b.wait_state("live", *tables, kinds=kinds, timeout=10)
    if "postgres" in b.kinds:
        assert_equal_postgres(b.source, b.db, b.warehouse, b.wdb, *tables)


def metric(p, name, connector):
    return int(re.search(rf'^{name}{{connector="{connector}"}} (\d+)', p.get("/metrics")[1],
                         re.M).group(1))


def arrived(b, kind):
    """What the source's log holds now stands in that warehouse's checkpoint."""
    b.source.sql("UPDATE public.fence SET n = n + 1", b.db)
    end = b.source.sql("SELECT pg_current_wal_insert_lsn()::text", b.db)[0][0]
    wait_for("it arrives", lambda: b.p.alive() and harness.lsn(b.source.sql(
        "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s", b.db,
        ("penstock_to_" + kind,))[0][0]) >= harness.lsn(end))


def load_number(b, table="t"):
    return b.warehouse.sql("SELECT max(load) FROM penstock.tables WHERE source_table = %s", b.wdb,
                           (table,))[0][0]


def loaded_again(b, was, table="t"):
    """A newer load is in the table's place."""
    try:
        wait_for("loaded again", lambda: b.p.alive() and b.warehouse.sql(
            "SELECT array_agg(state || (load > %s)) FROM penstock.tables WHERE source_table = %s",
            b.wdb, (was, table)) == [(["livetrue"],)])
    except AssertionError as e:
        raise AssertionError(f"{e}\n{b.p.log()[-6000:]}") from None


def nothing_aside(b):
    left = b.warehouse.sql("SELECT table_name FROM information_schema.tables WHERE table_name LIKE "
                           "'\\_penstock\\_load%%'", b.wdb)
    assert left == [] and spools(b) == [], f"{left} {spools(b)}\n{b.p.log()[-6000:]}"


# --- data and schemas --------------------------------------------------------------------------

def test_a_value_that_the_warehouse_cannot_hold_stops_its_table_until_a_resync(both):
    """NaN has no place in DuckDB's decimal. Met in the log, then in a load; the program goes on."""
    b = both(kinds=["duckdb"]).run(TABLES + "CREATE TABLE n (id int PRIMARY KEY, v numeric(10,2));"
                                   "INSERT INTO n VALUES (1, 1)", "public.n", "public.t")
    b.sql("INSERT INTO n VALUES (2, 'NaN')", "INSERT INTO t VALUES (2000, 'later')")
    says_so(b, "duckdb", "public.n", "needs snapshot", "NaN.*value.overflow.mode")
    goes_on(b, "public.t")
    assert one(b, "duckdb", "public.t")["position"] and not one(b, "duckdb", "public.n")["position"]
    resync(b, "to_duckdb", "public.n")  # nothing is mended yet: the copy meets it
    wait_for("it was tried", lambda: b.p.log().count("NaN") > 2 and
             b.state("duckdb", "public.n") == "needs snapshot")
    goes_on(b, "public.t")
    b.sql("UPDATE n SET v = 2 WHERE id = 2")
    resync(b, "to_duckdb", "public.n")
    b.live("public.n").sql("INSERT INTO n VALUES (3, 3)").equal("public.n", "public.t", "public.u")


def test_bad_data_in_a_load_stops_that_table_only(both):
    """Of tables that are loaded together, at the first start and as a group while it runs."""
    bad = ("CREATE TABLE {0} (id int PRIMARY KEY, v numeric(10,2)); INSERT INTO {0} SELECT i, CASE i "
           "WHEN 500 THEN 'NaN'::numeric ELSE i END FROM generate_series(1, 1000) i;")
    b = both(kinds=["duckdb"]).run(TABLES + bad.format("bad"), "public.t", "public.u")
    says_so(b, "duckdb", "public.bad", "needs snapshot", "NaN")
    with b.source.connect(b.db) as c:
        c.execute("BEGIN;" + TABLES.replace("TABLE t", "TABLE a1").replace("INTO t", "INTO a1")
                  .replace("TABLE u", "TABLE z1").replace("INTO u", "INTO z1") +
                  bad.format("m1") + "COMMIT")
    b.live("public.a1", "public.z1")
    says_so(b, "duckdb", "public.m1", "needs snapshot", "NaN")
    goes_on(b, "public.a1", "public.z1", "public.t")
    b.sql("UPDATE m1 SET v = 1 WHERE id = 500", "UPDATE bad SET v = 1 WHERE id = 500")
    resync(b, "to_duckdb", "public.m1", "public.bad")
    b.live("public.m1", "public.bad").equal("public.m1", "public.bad", "public.a1", "public.t")


def test_a_schema_that_the_registry_refuses_stops_its_table_until_it_is_undone(both):
    """Before any event of it is sent; with compatibility NONE it goes on without loss (case 38)."""
    b = both().run(TABLES + "CREATE TABLE s (id int PRIMARY KEY, v int);"
                   "INSERT INTO s SELECT i, i FROM generate_series(1, 50) i", "public.s", "public.t")
    b.sql("ALTER TABLE s ALTER v TYPE text", "UPDATE s SET v = 'x' WHERE id = 1")
    for kind in b.kinds:
        says_so(b, kind, "public.s", "needs snapshot", r"BACKWARD.*field.*v.*schema\.compatibility")
    goes_on(b, "public.t", "public.u")
    assert b.warehouse.sql("SELECT count(*) FROM s WHERE id = v", b.wdb) == [(50,)]  # as it was
    b.sql("UPDATE s SET v = '7' WHERE id = 1", "ALTER TABLE s ALTER v TYPE int USING v::int")
    for kind in b.kinds:
        resync(b, "to_" + kind, "public.s")
    b.live("public.s").sql("DELETE FROM s WHERE id = 2").equal_postgres("public.s", "public.t")
    b.sql("ALTER TABLE s ALTER v TYPE text", "UPDATE s SET v = 'x' WHERE id = 1",
          "INSERT INTO t VALUES (3000, 'x')")
    for kind in b.kinds:
        b.reason(kind, "public.s", "BACKWARD")
    b.stop().p.config["service"]["schema.compatibility"] = "NONE"
    b.sql("UPDATE s SET v = 'y' WHERE id = 3").start().live("public.s")
    b.sql("UPDATE s SET v = 'z' WHERE id = 4").equal("public.s", "public.t", "public.u")


# --- targets -----------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["DROP TABLE t", "ALTER TABLE t DROP COLUMN v",
                                 "DROP TABLE t; CREATE VIEW t AS SELECT 1 AS id"])
def test_a_target_that_was_changed_by_hand_is_loaded_again(how, both):
    b = both(kinds=["postgres"]).run(TABLES, "public.t", "public.u")
    was = load_number(b)
    b.warehouse.script(how, b.wdb)
    b.sql("UPDATE t SET v = 'new' WHERE id = 3")
    if "VIEW" in how:  # not ours to replace
        b.reason("postgres", "public.t", "drop that table.*load it again")
        goes_on(b, "public.u")
        b.warehouse.script("DROP VIEW t", b.wdb)
        resync(b, "to_postgres", "public.t")
    loaded_again(b, was)
    b.live("public.t", "public.u")
    goes_on(b, "public.u", "public.t")
    nothing_aside(b)


OUT_OF_LINE = ("ALTER TABLE t ALTER v SET STORAGE EXTERNAL; UPDATE t SET v = repeat(md5(v), 300); "
               "ALTER TABLE t ADD n int")


def test_rows_that_are_there_twice_by_hand_are_noticed(both):
    """As soon as the log says something of them that cannot be: the table is loaded again."""
    b = both(kinds=["postgres"]).run(TABLES + OUT_OF_LINE, "public.t", "public.u")
    was = load_number(b)
    pkey = b.warehouse.sql("SELECT conname FROM pg_constraint WHERE conrelid = 'public.t'::regclass",
                           b.wdb)[0][0]
    b.warehouse.script(f"ALTER TABLE t DROP CONSTRAINT {harness.quote(pkey)}; INSERT INTO t SELECT * "
                       "FROM t WHERE id = 3", b.wdb)
    b.sql("UPDATE t SET n = 1 WHERE id < 10")  # v is not in the log
    loaded_again(b, was)
    b.live("public.t", "public.u")
    goes_on(b, "public.u")
    b.equal_postgres("public.t")
    nothing_aside(b)


@pytest.mark.parametrize("how", ["DELETE FROM t WHERE id = 3", "TRUNCATE t"])
def test_rows_that_are_gone_by_hand_are_read_again_when_the_log_speaks_of_them(how, both):
    b = both(kinds=["postgres"]).run(TABLES + OUT_OF_LINE, "public.t", "public.u")
    was = load_number(b)
    b.warehouse.script(how, b.wdb)
    b.sql("UPDATE t SET n = 1")  # v is not in the log
    b.caught_up()
    harness.wait_for("no row is wanted", lambda: b.p.alive() and b.warehouse.sql(
        "SELECT count(*) FROM penstock.wanted", b.wdb) == [(0,)], 60)
    b.live("public.t", "public.u").equal_postgres("public.t")
    assert load_number(b) == was


@pytest.mark.parametrize("what", ["view", "key"])
def test_an_object_of_the_user_on_the_target_stops_only_that_table(what, both):
    """Where the target has to be replaced; after it is dropped a resync mends it."""
    make, drop = {
        "view": ("CREATE VIEW mine AS SELECT id, v FROM t", "DROP VIEW mine"),
        "key": ("CREATE TABLE mine (id int REFERENCES t)", "DROP TABLE mine")}[what]
    b = both(kinds=["postgres"], service={"schema.compatibility": "NONE"})
    b.run(TABLES, "public.t", "public.u")
    b.warehouse.script(make, b.wdb)
    b.sql("ALTER TABLE t ALTER v TYPE int USING 7", "UPDATE t SET v = 8 WHERE id = 3")
    says_so(b, "postgres", "public.t", "needs snapshot", "mine|depend")
    assert re.search("resync", one(b, "postgres", "public.t")["reason"])
    goes_on(b, "public.u")
    assert b.warehouse.sql("SELECT count(*) FROM t", b.wdb) == [(1000,)]  # frozen, readable
    b.warehouse.script(drop, b.wdb)
    resync(b, "to_postgres", "public.t")
    b.live("public.t", "public.u").equal_postgres("public.t", "public.u")
    nothing_aside(b)


def test_a_reload_of_equal_columns_leaves_the_user_s_view_alone(both):
    b = both(kinds=["postgres"]).run(TABLES, "public.t", "public.u")
    b.warehouse.script("CREATE VIEW mine AS SELECT id, v FROM t; UPDATE t SET v = 'spoilt'", b.wdb)
    was = load_number(b)
    resync(b, "to_postgres", "public.t")
    wait_for("loaded again", lambda: b.p.alive() and load_number(b) > was and b.warehouse.sql(
        "SELECT count(*) FROM mine WHERE v = 'spoilt'", b.wdb) == [(0,)])
    b.equal_postgres("public.t")


# --- locks -------------------------------------------------------------------------------------

class Lock:
    """An analyst's, in the warehouse."""

    def __init__(self, b, table="t"):
        self.b = b
        self.conn = b.warehouse.connect(b.wdb, autocommit=False, application_name="analyst")
        self.pid = self.conn.info.backend_pid
        self.conn.execute(LOCK.format(table))

    def release(self):
        self.conn.rollback()
        self.conn.close()


def locked(b, lock, timeout=25):
    """Until the table is set aside, with who is to blame."""
    wait_for("set aside", lambda: b.p.alive() and b.state("postgres", "public.t") == "loading",
             timeout)
    reason = one(b, "postgres", "public.t")["reason"]
    assert re.search(rf'lock.*pid {lock.pid} \(user postgres, application "analyst"', reason), reason


def test_a_lock_of_an_analyst_sets_its_table_aside_until_it_is_released(both):
    """After lock_timeout (10 s), and without a load; the others wait for it no longer than that."""
    b = both(kinds=["postgres"]).run(TABLES, "public.t", "public.u")
    was, lock = load_number(b), Lock(b)
    b.sql("UPDATE t SET v = 'a' WHERE id = 1", "DELETE FROM t WHERE id = 2")
    began = time.monotonic()
    locked(b, lock)
    assert time.monotonic() - began < 16 * harness.SLOW
    b.sql("INSERT INTO t VALUES (2000, 'b')", "UPDATE t SET id = 5000 WHERE id = 5")
    goes_on(b, "public.u")
    t = wait_for("its changes wait", lambda: b.tables("postgres")["public.t"]["waiting_bytes"] and
                 b.tables("postgres")["public.t"])
    assert t["waiting_seconds"] >= 0 and t["state"] == "loading" and t["position"] == ""
    assert re.search(r"public\.t +loading .*analyst.* of changes have waited for it, for \d+ s",
                     status(b.p))
    says_so(b, "postgres", "public.t", "loading", "lock")
    lock.release()
    b.live("public.t", "public.u", timeout=15).equal_postgres("public.t", "public.u")
    assert load_number(b) == was
    assert one(b, "postgres", "public.t")["waiting_seconds"] is None
    nothing_aside(b)


def test_a_table_set_aside_twice_begins_anew_each_time(both):
    """Under one number of its load: how much of the first spool it has taken in counts no more."""
    b = both(kinds=["postgres"]).run(TABLES, "public.t", "public.u")
    was = load_number(b)
    for n in range(2):
        lock = Lock(b)
        b.sql("UPDATE t SET v = 'a' WHERE id = 1")
        locked(b, lock)
        b.sql(f"INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series({10000 * (n + 1)}, "
              f"{10000 * (n + 1) + 6000}) i")  # more than is left for the batch
        goes_on(b, "public.u")
        if n == 1:
            b.p.kill9()
        lock.release()
        if n == 1:
            b.start()
        b.live("public.t", timeout=30).equal_postgres("public.t", "public.u")
        assert b.warehouse.sql("SELECT count(*) FROM penstock.snapshot_chunks", b.wdb) == [(0,)]
    assert load_number(b) == was
    nothing_aside(b)


def test_a_kill_while_a_lock_is_held_keeps_what_waits(both):
    """kill -9 while it is set aside; and another lock right after the first, and after the start."""
    b = both(kinds=["postgres"]).run(TABLES, "public.t", "public.u")
    was, lock = load_number(b), Lock(b)
    b.sql("UPDATE t SET v = 'a' WHERE id = 1")
    locked(b, lock)
    b.sql("UPDATE t SET v = v || 'b' WHERE id = 1", "DELETE FROM t WHERE id = 9")
    goes_on(b, "public.u")
    b.p.kill9()
    b.sql("UPDATE t SET v = v || 'c' WHERE id = 1")
    b.start()
    wait_for("it is set aside still", lambda: b.state("postgres", "public.t") == "loading")
    assert "load goes on with its spool" in b.p.log()
    goes_on(b, "public.u")
    lock.release()
    lock = Lock(b)  # perhaps before it is live, perhaps after
    b.sql("UPDATE t SET v = v || 'd' WHERE id = 1")
    wait_for("the lock is met", lambda: b.p.alive() and
             (b.state("postgres", "public.t") == "loading"), 20)
    lock.release()
    b.live("public.t", timeout=30).equal_postgres("public.t", "public.u")
    assert load_number(b) == was
    nothing_aside(b)


def test_a_lock_during_a_resync_s_swap_delays_only_that_table(both):
    """Its copy is complete; the live one goes on, until a change of it meets the lock, too."""
    b = both(kinds=["postgres"]).run(TABLES, "public.t", "public.u")
    b.warehouse.script("UPDATE t SET v = 'spoilt' WHERE id = 77", b.wdb)
    lock, copy = swapping(b, change=True)  # into the live copy and the spool
    b.sql("UPDATE t SET v = v || 'b' WHERE id = 1", "DELETE FROM t WHERE id = 9")
    goes_on(b, "public.u")
    b.p.kill9()
    b.start()
    goes_on(b, "public.u")
    b.sql("UPDATE t SET v = v || 'c' WHERE id = 1")
    lock.release()
    b.live("public.t", "public.u").equal_postgres("public.t", "public.u")
    assert load_number(b) == copy and b.loads("public.t") == 2, b.p.log()
    nothing_aside(b)


# --- spools ------------------------------------------------------------------------------------

def swapping(b, change):
    """A load of t that is complete and waits for a lock, with its spool; its number."""
    lock = Lock(b)
    resync(b, "to_postgres", "public.t")
    wait_for("copied", lambda: b.p.alive() and b.loads("public.t") == 2)
    goes_on(b, "public.u")  # what the books say they say with a checkpoint
    assert b.warehouse.sql("SELECT state, loaded FROM penstock.tables WHERE source_table = 't' "
                           "ORDER BY load", b.wdb) == [("live", True), ("loading", True)]
    if change:
        b.sql("UPDATE t SET v = 'a' WHERE id = 1", "DELETE FROM t WHERE id = 2")
        locked(b, lock)
        goes_on(b, "public.u")
    return lock, load_number(b)


def spools(b):
    return sorted(glob.glob(b.p.config["service"]["data.dir"] + "/spool/*"))


def test_a_complete_copy_and_its_spool_go_on_after_a_kill(both):
    b = both(kinds=["postgres"]).run(TABLES, "public.t", "public.u")
    lock, was = swapping(b, change=False)
    b.p.kill9()
    lock.release()
    b.sql("UPDATE t SET v = 'b' WHERE id = 1").start()
    loaded_again(b, was - 1)
    b.live("public.t").equal_postgres("public.t", "public.u")
    assert "load goes on with its spool table=public.t" in b.p.log()
    assert (load_number(b), b.loads("public.t")) == (was, 2)
    nothing_aside(b)


def test_a_partition_that_comes_during_a_load_and_goes_while_it_is_away(both):
    """Its rows lie in the spool of the load, whose list of leaves is older: that follows, too."""
    b = both(kinds=["postgres"]).run(
        "CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE t1 "
        "PARTITION OF t FOR VALUES FROM (0) TO (2000); INSERT INTO t SELECT i, 'v' || i FROM "
        "generate_series(1, 1000) i; CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u "
        "VALUES (1, 'u')", "public.t", "public.u")
    lock, _ = swapping(b, change=True)
    b.sql("CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (2000) TO (3000)",
          "INSERT INTO t VALUES (2001, 'new')", "DELETE FROM t WHERE id = 9")
    goes_on(b, "public.u")
    b.p.kill9()
    b.sql("DROP TABLE t2")
    b.start()
    lock.release()
    b.live("public.t", timeout=60).equal_postgres("public.t", "public.u")
    nothing_aside(b)


def test_changes_before_the_point_of_a_load_do_not_hold_it_up(both):
    """Its changes are spooled before the point is made, which waits for a transaction that is still
    open: all of that is older than the copy."""
    b = both(kinds=["postgres"]).run(TABLES, "public.t", "public.u")
    was = load_number(b)
    with b.source.connect(b.db, autocommit=False) as c:
        c.execute("INSERT INTO u VALUES (50, 'open')")
        resync(b, "to_postgres", "public.t")
        wait_for("it waits", lambda: "waits for running transactions" in b.p.log() or b.source.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%%point%%' AND "
            "wait_event_type = 'Lock'", b.db) == [(1,)])
        for i in range(4):
            b.sql(f"UPDATE t SET v = repeat(md5('{i}' || id), 20)")
        goes_on(b, "public.t")
        c.commit()
    loaded_again(b, was)
    b.equal_postgres("public.t", "public.u")
    nothing_aside(b)


@pytest.mark.parametrize("how", ["deleted", "cut", "spoilt", "cut with changes"])
def test_a_spool_that_is_damaged_between_a_kill_and_a_start_is_loaded_again(how, both):
    b = both(kinds=["postgres"]).run(TABLES, "public.t", "public.u")
    lock, was = swapping(b, "changes" in how)
    b.p.kill9()
    assert spools(b)
    for path in spools(b):
        if how == "deleted":
            os.remove(path)
        elif "cut" in how:
            os.truncate(path, os.path.getsize(path) - 1)
        else:
            with open(path, "r+b") as f:
                f.seek(os.path.getsize(path) - 5)
                byte = f.read(1)
                f.seek(-1, 1)
                f.write(bytes([byte[0] ^ 0x55]))
    lock.release()
    b.sql("UPDATE t SET v = v || 'b' WHERE id = 1").start()
    loaded_again(b, was)
    b.live("public.t", "public.u").equal_postgres("public.t", "public.u")
    nothing_aside(b)


def test_a_full_spool_starts_the_load_again_until_the_writes_calm_down(both):
    b = both(kinds=["postgres"], settings={"spool.limit.bytes": "1MB"})
    b.run(TABLES + "CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT i, "
          "repeat(md5(i::text), 20) FROM generate_series(1, 100000) i", "public.t", "public.big")
    was = load_number(b, "big")
    quit_, failed = threading.Event(), []

    def write():
        try:
            with b.source.connect(b.db) as c:
                i = 0
                while not quit_.is_set():
                    i += 1
                    c.execute("UPDATE big SET v = repeat(md5(%s::text), 20) WHERE id %% 50 = %s",
                              (i, i % 50))
        except Exception as e:  # noqa: BLE001: shown below
            failed.append(e)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        resync(b, "to_postgres", "public.big")
        wait_for("it starts again", lambda: b.p.alive() and
                 b.p.log().count("its spool has reached spool.limit.bytes") >= 2)
        assert b.state("postgres", "public.big") == "live"
    finally:
        quit_.set()
        writer.join()
    assert not failed
    loaded_again(b, was, "big")
    assert not re.search("table state table=public.big from=live", b.p.log())
    b.live("public.big").equal_postgres("public.big", "public.t")
    nothing_aside(b)


# --- two warehouses ------------------------------------------------------------------------------

def kept(p, source):
    return p.status(source)["penstock"]


def test_a_warehouse_that_is_away_costs_the_other_nothing(source, db, duck, penstock):
    """Each source connector has a slot of its own; whose sake a slot is kept for is said."""
    w = harness.Postgres(role="warehouse")
    try:
        w.create("w")
        b = Both(penstock, source, db, w, "w", duck)
        b.run(TABLES, "public.t", "public.u")
        b.caught_up()
        w.stop()
        wait_for("it is noticed", lambda: b.p.alive() and
                 b.p.status("postgres")["tasks"][0]["state"] == "RESTARTING")
        for i in range(40):  # about 16 MB of log
            b.sql(f"UPDATE t SET v = repeat(md5('{i}' || id), 12)")
        arrived(b, "duckdb")
        away = wait_for("what is kept is said", lambda: kept(b.p, "to_postgres")["retained_bytes"] >
                        8 << 20 and kept(b.p, "to_postgres"), 30)
        assert away["slot"] == "penstock_to_postgres" and away["safe_bytes"] is None
        assert re.search("warehouse postgres, which is not written to: .*connect", away["pinned_by"])
        near = wait_for("the other is kept for nobody", lambda: (  # the last look may have met it at work
            kept(b.p, "to_duckdb")["pinned_by"] is None and kept(b.p, "to_duckdb")), 30)
        assert near["slot"] == "penstock_to_duckdb"
        text = status(b.p)
        assert re.search(r"slot penstock_to_postgres is kept for warehouse postgres", text), text
        assert not re.search("slot penstock_to_duckdb is kept", text), text
        data = {c["name"]: c for c in json.loads(status(b.p, "--output", "json"))["connectors"]}
        assert data["to_postgres"]["retained_bytes"] > 8 << 20 > data["to_duckdb"]["lag_bytes"]
        assert "warehouse postgres" in data["to_postgres"]["pinned_by"]
        assert metric(b.p, "penstock_source_retained_bytes", "to_postgres") > 8 << 20
        w.start()
        b.sql("INSERT INTO t VALUES (4000, 'later')").equal("public.t", "public.u")
        b.p.kill9() if b.p.process else None
    finally:
        w.stop()


def test_a_transaction_that_is_left_open_is_named(source, db, duck, penstock):
    """The source keeps its log for it, however far the warehouse is; the metric follows."""
    b = Both(penstock, source, db, None, None, duck, kinds=["duckdb"])
    b.run(TABLES, "public.t", "public.u")
    with source.connect(db, autocommit=False, application_name="forgotten") as c:
        c.execute("INSERT INTO u VALUES (77, 'open')")
        for i in range(20):
            b.sql(f"UPDATE t SET v = repeat(md5('{i}' || id), 12)")
        source.sql("CHECKPOINT", db)  # where the log begins that is needed moves at such
        arrived(b, "duckdb")
        by = wait_for("it is named", lambda: kept(b.p, "to_duckdb")["pinned_by"], 30)
        assert re.search(rf'oldest open transaction.*pid {c.info.backend_pid} \(user postgres, '
                         rf'application "forgotten", idle in transaction, for', by), by
        assert metric(b.p, "penstock_source_retained_bytes", "to_duckdb") > 1 << 20
        c.rollback()
    b.equal("public.t", "public.u")


def test_two_warehouses_of_one_source_connector_are_refused(source, db, warehouse, wdb, duck,
                                                            penstock):
    c = to_postgres(source, db, warehouse, wdb)
    c["connectors"]["second"] = {"connector.class": "duckdb", "topics.regex": "shop\\..*",
                                 "connection.url": "duckdb:" + duck}
    p = penstock(c).start()
    assert p.process.wait(10) in (1, 2)
    assert re.search("both take topics of connector shop.*a source connector with a topic.prefix "
                     "and slot of its own", p.log().replace("\n", " ")), p.log()


# --- identity ------------------------------------------------------------------------------------

def refused(p, source, words, state="FAILED"):
    task = wait_for("it is refused", lambda: p.alive() and (
        t := p.status(source)["tasks"][0]).get("state") == state and t, 20)
    assert re.search(words, task["trace"]), task
    return task


def test_two_services_on_one_slot(source, db, warehouse, wdb, duck, penstock):
    """With the same warehouse: who comes second waits. With another one: the slot is not its."""
    source.script(TABLES, db)
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    p.wait_live("public.t")
    q = penstock(to_postgres(source, db, warehouse, wdb), name="second").start()
    refused(q, "shop", "slot penstock_shop is in use by process.*another penstock", "RESTARTING")
    q.kill9()
    q = penstock(harness.to_duckdb(source, db, duck), name="third").start()
    refused(q, "shop", "penstock_shop exists, but this warehouse knows nothing of it.*slot.name")
    q.kill9()
    source.sql("INSERT INTO t VALUES (2000, 'x')", db)
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, "public.t", "public.u")


@pytest.mark.parametrize("other", ["connector names", "source"])
def test_two_services_on_one_target(other, source, db, warehouse, wdb, penstock):
    """Other connector names, or another database with tables of the same names: who comes second
    leaves them alone."""
    source.script(TABLES, db)
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    p.wait_live("public.t", "public.u")
    db2 = db
    if other == "source":
        db2 = db + "_2"
        source.create(db2)
        source.script(TABLES + "DELETE FROM t", db2)
    try:
        q = penstock({"connectors": {
            "shop2": source_config(source, db2, "shop2"),
            "warehouse2": {"connector.class": "postgres-warehouse", "topics.regex": "shop2\\..*",
                           "connection.url": warehouse.url(wdb)}}}, name="second").start()
        t = wait_for("refused", lambda: q.alive() and
                     (t := q.tables().get(("public", "t"), {})).get("state") == "refused" and t)
        assert re.search("another|belongs|not ours", t["reason"]), t
        source.sql("UPDATE t SET v = 'x' WHERE id < 9", db)
        wait_caught_up(p, source, db)
        assert_equal_postgres(source, db, warehouse, wdb, "public.t", "public.u")
        q.kill9()
    finally:
        if other == "source":
            for (slot,) in source.sql("SELECT slot_name FROM pg_replication_slots WHERE database = "
                                      "%s", "postgres", (db2,)):
                wait_for("slot dropped", lambda s=slot: source.sql(
                    "SELECT pg_drop_replication_slot(%s)", db2, (s,)) is not None, 10)
            source.sql(f"DROP DATABASE {db2} WITH (FORCE)")


def test_source_and_warehouse_in_one_cluster(source, db, penstock):
    """In different databases: also a point that is made while the sink writes (it waits for the
    transactions that run in the whole cluster). In one database: refused."""
    wdb = db + "_w"
    source.sql(f"CREATE DATABASE {wdb}")
    try:
        source.script(TABLES, db)
        p = penstock(to_postgres(source, db, source, wdb)).start()
        p.wait_live("public.t", "public.u")
        quit_ = threading.Event()

        def write():
            with source.connect(db) as c:
                i = 0
                while not quit_.is_set():
                    i += 1
                    c.execute("UPDATE t SET v = %s WHERE id % 7 = %s".replace("% 7", "%% 7"),
                              (str(i), i % 7))
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for n in range(3):
                was = source.sql("SELECT max(load) FROM penstock.tables", wdb)[0][0]
                r = subprocess.run([PENSTOCK, "resync", "shop", "--url",
                                    f"http://127.0.0.1:{p.port}"], capture_output=True, text=True,
                                   timeout=30, stdin=subprocess.DEVNULL)
                assert r.returncode == 0, r
                wait_for("all loaded again", lambda w=was: p.alive() and source.sql(
                    "SELECT count(*) FROM penstock.tables WHERE load > %s AND state = 'live'", wdb,
                    (w,)) == [(3,)], 30)
        finally:
            quit_.set()
            writer.join()
        wait_caught_up(p, source, db)
        assert_equal_postgres(source, db, source, wdb, "public.t", "public.u")
        assert p.stop() == 0
        q = penstock(to_postgres(source, db, source, db, source={"slot.name": "other"}),
                     name="second").start()
        task = wait_for("it is refused", lambda: q.alive() and [
            t for c in ("shop", "warehouse") for t in q.status(c)["tasks"] if t.get("trace")], 20)
        assert re.search("source and warehouse are the same database.*CREATE DATABASE",
                         task[0]["trace"]), task
        q.kill9()
    finally:
        source.sql(f"DROP DATABASE {wdb} WITH (FORCE)")
