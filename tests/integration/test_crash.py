# SPDX-License-Identifier: Apache-2.0
"""Restart from anything: no row lost, doubled or resurrected, and a reader never sees anything but
one commit of the source."""
import os
import random
import time

import pytest
from harness import (BOTH, Postgres, Proxy, assert_equal_duckdb, assert_equal_postgres, source_config,
                     to_duckdb, to_postgres, wait_caught_up, wait_for)
from test_resync import post
from workload import SCHEMA, TABLES, Bank, Reader

KILLS = int(os.environ.get("PENSTOCK_KILLS", "50"))
SEED = int(os.environ.get("PENSTOCK_SEED", "0")) or random.SystemRandom().randint(1, 10**9)


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_random_kill_9_under_load(kind, source, db, warehouse, wdb, duck, penstock):
    """50 for each warehouse. The seed is printed: PENSTOCK_SEED=N replays it."""
    print(f"PENSTOCK_SEED={SEED}")
    rnd = random.Random(SEED)
    source.script(SCHEMA, db)
    more = {"batch.bytes": "64KB"}
    p = penstock(to_postgres(source, db, warehouse, wdb, **more) if kind == "postgres"
                 else to_duckdb(source, db, duck, **more)).start()
    bank = Bank(source, db, SEED, pause=0.002)
    bank.start()
    reader = Reader(warehouse, wdb) if kind == "postgres" else None
    if reader:
        reader.start()
    for _ in range(KILLS):
        time.sleep(rnd.random() ** 2 * 1.2)
        p.alive()
        p.kill9()
        p.start()
    bank.stop()
    p.wait_live(*TABLES)
    wait_caught_up(p, source, db)
    assert bank.transactions > 100
    if reader:
        reader.stop()
        assert_equal_postgres(source, db, warehouse, wdb, *TABLES)
    else:
        assert p.stop() == 0
        assert_equal_duckdb(source, db, duck, *TABLES)


def test_kill_9_in_the_middle_of_the_first_load(source, db, warehouse, wdb, penstock):
    """Finished tables stay, unfinished ones start again, nothing is doubled."""
    source.script(SCHEMA + """
        CREATE TABLE small (id int PRIMARY KEY, v text);
        INSERT INTO small SELECT i, 'v' FROM generate_series(1, 50) i;
        CREATE TABLE zz_big (id int PRIMARY KEY, v text);
        INSERT INTO zz_big SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 150000) i;
        """, db)
    p = penstock(to_postgres(source, db, warehouse, wdb,
                             source={"snapshot.max.threads": "2"})).start()
    bank = Bank(source, db, SEED, pause=0.01)
    bank.start()
    wait_for("part of zz_big is copied", lambda: p.alive() and warehouse.sql(
        "SELECT count(*) > 0 FROM penstock.snapshot_chunks c JOIN penstock.tables t USING "
        "(source_id) WHERE source_table = 'zz_big' AND NOT t.loaded", wdb)[0][0], interval=0.005)
    p.kill9()
    before = dict(warehouse.sql("SELECT source_table, load FROM penstock.tables WHERE loaded", wdb))
    p.start()
    p.wait_live("public.small", "public.zz_big", *TABLES)
    after = dict(warehouse.sql("SELECT source_table, load FROM penstock.tables", wdb))
    assert before and all(after[t] == load for t, load in before.items()), (before, after)
    bank.stop()
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, "public.small", "public.zz_big", *TABLES)
    asides = warehouse.sql("SELECT table_name FROM information_schema.tables WHERE table_name LIKE "
                           "'\\_penstock\\_load%%'", wdb)
    assert asides == [], asides


def test_source_restarts_and_crashes(warehouse, wdb, penstock):
    s = Postgres(fsync="on")
    try:
        s.create("a")
        s.script(SCHEMA, "a")
        p = penstock(to_postgres(s, "a", warehouse, wdb)).start()
        p.wait_live(*TABLES)
        for how in ("fast", "crash", "fast"):
            bank = Bank(s, "a", SEED, pause=0.002)
            bank.start()
            time.sleep(0.7)
            bank.stop()
            if how == "fast":
                s.restart()  # within its 30 s: a receiver that holds back would block it
            else:
                s.kill()
                s.start()
        wait_caught_up(p, s, "a")
        assert_equal_postgres(s, "a", warehouse, wdb, *TABLES)
        p.kill9()
    finally:
        s.stop()


def test_warehouse_restarts_and_crashes(source, db, penstock):
    w = Postgres(role="warehouse")
    try:
        w.create("w")
        source.script(SCHEMA, db)
        p = penstock(to_postgres(source, db, w, "w")).start()
        p.wait_live(*TABLES)
        bank = Bank(source, db, SEED, pause=0.002)
        bank.start()
        reader = Reader(w, "w")
        reader.start()
        for how in ("fast", "crash"):
            time.sleep(0.7)
            if how == "fast":
                w.restart()
            else:
                w.kill()
                w.start()
        time.sleep(0.7)
        bank.stop()
        wait_caught_up(p, source, db)
        reader.stop()
        assert_equal_postgres(source, db, w, "w", *TABLES)
        p.kill9()
    finally:
        w.stop()


@pytest.mark.parametrize("side", ["source", "warehouse"])
def test_network_cuts(side, source, db, warehouse, wdb, penstock):
    source.script(SCHEMA, db)
    proxy = Proxy(source.port if side == "source" else warehouse.port)
    c = to_postgres(source, db, warehouse, wdb)
    if side == "source":
        c["connectors"]["shop"]["database.port"] = str(proxy.port)
    else:
        c["connectors"]["warehouse"]["connection.url"] = \
            f"postgres://postgres@127.0.0.1:{proxy.port}/{wdb}"
    p = penstock(c).start()
    p.wait_live(*TABLES)
    bank = Bank(source, db, SEED, pause=0.002)
    bank.start()
    reader = Reader(warehouse, wdb)
    reader.start()
    rnd = random.Random(SEED)
    for _ in range(8):
        time.sleep(rnd.random() * 0.5)
        proxy.cut()
    proxy.refusing = True
    proxy.cut()
    time.sleep(1)
    proxy.refusing = False
    bank.stop()
    wait_caught_up(p, source, db)
    reader.stop()
    assert_equal_postgres(source, db, warehouse, wdb, *TABLES)
    proxy.close()


def test_a_lost_commit_answer_is_recognised(source, db, warehouse, wdb, penstock):
    """The proxy swallows what the warehouse answers to COMMIT: the commit happened, we do not know."""
    source.script("CREATE TABLE t (id int PRIMARY KEY, v text)", db)
    proxy = Proxy(warehouse.port)
    c = to_postgres(source, db, warehouse, wdb)
    c["connectors"]["warehouse"]["connection.url"] = \
        f"postgres://postgres@127.0.0.1:{proxy.port}/{wdb}"
    p = penstock(c).start()
    p.wait_live("public.t")
    for i in range(1, 6):
        proxy.swallow(b"COMMIT\0")
        source.script(f"INSERT INTO t SELECT {i} * 100 + g, 'v' FROM generate_series(1, 50) g; "
                      f"UPDATE t SET v = v || '{i}'", db)
        wait_for("an answer was swallowed", lambda n=i: p.alive() and proxy.swallowed >= n, 30)
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, "public.t")
    proxy.close()


def test_a_load_whose_beginning_was_not_heard_of_leaves_nothing(source, db, warehouse, wdb, penstock):
    """The answer to the COMMIT that makes the copy's table is lost: the load begins anew."""
    source.script("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')", db)
    proxy = Proxy(warehouse.port)
    c = to_postgres(source, db, warehouse, wdb)
    c["connectors"]["warehouse"]["connection.url"] = \
        f"postgres://postgres@127.0.0.1:{proxy.port}/{wdb}"
    p = penstock(c).start()
    p.wait_live("public.t")
    wait_caught_up(p, source, db)
    for table in ("t", "later"):  # one that has a live copy, one that has none
        swallowed, at = proxy.swallowed, len(p.log())
        proxy.swallow(b"COMMIT\0", after=b'CREATE TABLE "public"."_penstock_load_')
        if table == "later":
            source.script("CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1)", db)
        else:
            assert post(p, "/v1/connectors/shop/snapshots", '{"tables": ["public.t"]}')[0] == 202
        wait_for("an answer was swallowed", lambda n=swallowed: proxy.swallowed > n, 40)
        wait_for("loaded", lambda t=table, n=at: p.alive() and warehouse.sql(
            "SELECT state, count(*) OVER () FROM penstock.tables WHERE source_table = %s", wdb, (t,)
            ) == [("live", 1)] and f"table live table=public.{t}" in p.log()[n:], 40)
        assert warehouse.sql("SELECT table_name FROM information_schema.tables WHERE table_name LIKE "
                             "'\\_penstock%%'", wdb) == []
    assert_equal_postgres(source, db, warehouse, wdb, "public.t", "public.later")
    proxy.close()


def test_a_stalled_warehouse_for_a_minute_keeps_the_source_connected(warehouse, wdb, penstock):
    """wal_sender_timeout 5 s, the link to the warehouse silent for a minute: no reconnect of the
    source, nothing acknowledged."""
    s = Postgres(wal_sender_timeout="5s")
    proxy = Proxy(warehouse.port)
    try:
        s.create("a")
        s.script(SCHEMA, "a")
        c = to_postgres(s, "a", warehouse, wdb)
        c["connectors"]["warehouse"]["connection.url"] = \
            f"postgres://postgres@127.0.0.1:{proxy.port}/{wdb}"
        p = penstock(c).start()
        p.wait_live(*TABLES)
        wait_caught_up(p, s, "a")
        bank = Bank(s, "a", SEED, pause=0.001)
        proxy.stalled = set(BOTH)
        bank.start()
        time.sleep(2)
        where = "SELECT active_pid, confirmed_flush_lsn FROM pg_replication_slots"
        pid, at = s.sql(where, "a")[0]
        assert pid
        time.sleep(int(os.environ.get("PENSTOCK_STALL_SECONDS", "58")))
        assert s.sql(where, "a")[0] == (pid, at)
        by = p.status("shop")["penstock"]["pinned_by"]
        proxy.stalled = set()
        bank.stop()
        wait_caught_up(p, s, "a")
        assert "warehouse warehouse, which has not taken in" in by
        assert_equal_postgres(s, "a", warehouse, wdb, *TABLES)
        p.kill9()
    finally:
        proxy.close()
        s.stop()


def test_a_half_open_link_is_noticed(warehouse, wdb, penstock):
    """Both directions go silent without a close, and the server never times out: within 60 s it is
    noticed, and it goes on from the checkpoint."""
    source = Postgres(wal_sender_timeout="0")
    proxy = Proxy(source.port)
    try:
        source.create("a")
        source.script(SCHEMA, "a")
        c = to_postgres(source, "a", warehouse, wdb)
        c["connectors"]["shop"] = source_config(source, "a", **{"database.port": str(proxy.port)})
        p = penstock(c).start()
        p.wait_live(*TABLES)
        proxy.stalled = set(BOTH)
        bank = Bank(source, "a", SEED, pause=0.05)
        bank.start()
        wait_for("the silence is noticed", lambda: p.alive() and p.status("shop")["tasks"][0]["state"]
                 != "RUNNING", 60, interval=0.5)
        bank.stop()
        proxy.cut()
        proxy.stalled = set()
        # Whom the proxy cut off the server does not know: its session ends by hand, as it would by
        # wal_sender_timeout.
        source.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE "
                   "active_pid IS NOT NULL", "a")
        wait_caught_up(p, source, "a")
        assert_equal_postgres(source, "a", warehouse, wdb, *TABLES)
        p.kill9()
    finally:
        proxy.close()
        source.stop()


def test_a_paused_process_that_wakes_up_does_no_harm(source, db, warehouse, wdb, penstock):
    """SIGSTOP the first in mid-stream, let a second take over, wake the first: it must not write."""
    import signal
    source.script(SCHEMA, db)
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    p.wait_live(*TABLES)
    bank = Bank(source, db, SEED, pause=0.002)
    bank.start()
    time.sleep(0.5)
    p.process.send_signal(signal.SIGSTOP)
    source.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid "
               "IS NOT NULL AND database = %s", db, (db,))
    q = penstock(to_postgres(source, db, warehouse, wdb), name="second").start()
    at = warehouse.sql("SELECT position FROM penstock.checkpoints", wdb)[0][0]
    wait_for("the second goes on", lambda: q.alive() and warehouse.sql(
        "SELECT position FROM penstock.checkpoints", wdb)[0][0] != at, 60)
    p.process.send_signal(signal.SIGCONT)
    time.sleep(1)
    p.kill9()
    bank.stop()
    wait_caught_up(q, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, *TABLES)
