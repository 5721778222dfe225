# SPDX-License-Identifier: Apache-2.0
"""heartbeat.interval.ms and heartbeat.action.query."""
import time

import pytest
from harness import lsn, to_postgres, wait_caught_up, wait_for

BEAT = "CREATE TABLE beat (id int PRIMARY KEY, n int NOT NULL); INSERT INTO beat VALUES (1, 0)"
QUERY = "UPDATE public.beat SET n = n + 1"


def start(penstock, source, db, warehouse, wdb, **settings):
    source.script(BEAT, db)
    p = penstock(to_postgres(source, db, warehouse, wdb, source=settings)).start()
    p.wait_live("public.beat")
    return p


def beats(warehouse, wdb):
    return warehouse.sql("SELECT n FROM public.beat", wdb)[0][0]


def test_the_action_runs_and_its_change_arrives(source, db, warehouse, wdb, penstock):
    p = start(penstock, source, db, warehouse, wdb,
              **{"heartbeat.interval.ms": "300", "heartbeat.action.query": QUERY})
    wait_for("beats arrive", lambda: p.alive() and beats(warehouse, wdb) >= 5, 20)
    n, began = beats(warehouse, wdb), time.monotonic()
    wait_for("more of them", lambda: beats(warehouse, wdb) >= n + 5, 20)
    assert time.monotonic() - began > 1  # not without a pause
    assert p.stop() == 0
    n = source.sql("SELECT n FROM beat", db)
    assert source.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE "
                      "'%heartbeat%' AND datname = current_database()", db) == [(0,)]
    assert source.sql("SELECT n FROM beat", db) == n


def test_an_idle_stream_moves_on_so_often(source, db, warehouse, wdb, penstock):
    p = start(penstock, source, db, warehouse, wdb, **{"heartbeat.interval.ms": "200"})
    wait_caught_up(p, source, db)
    other = "d" + db
    source.create(other)
    try:
        source.script("CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i", other)
        end = source.sql("SELECT pg_current_wal_insert_lsn()::text", db)[0][0]
        began = time.monotonic()
        wait_for("acknowledged", lambda: p.alive() and lsn(source.sql(
            "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE database = "
            "current_database() AND NOT temporary", db)[0][0]) >= lsn(end), 20)
        print("after", time.monotonic() - began)
    finally:
        source.sql(f"DROP DATABASE {other}", "postgres")


@pytest.mark.parametrize("query,says", [
    ("UPDATE beat SET n = 1", 'relation "beat" does not exist (42P01); to mend it: correct '
                              "heartbeat.action.query; it must name tables with their schema"),
    ("UPDAT beat", "to mend it: correct heartbeat.action.query"),
    ("SELECT 1/0", "to mend it: correct heartbeat.action.query"),
    ("BEGIN; UPDATE public.beat SET n = n + 1", "leaves a transaction open"),
    ("COPY public.beat TO STDOUT", ""), ("COPY public.beat FROM STDIN", "")])
def test_a_bad_action_is_said_once_and_harms_nothing(query, says, source, db, warehouse, wdb, penstock):
    p = start(penstock, source, db, warehouse, wdb,
              **{"heartbeat.interval.ms": "100", "heartbeat.action.query": query})
    wait_for("it is said", lambda: p.alive() and p.log().count("heartbeat: heartbeat.action") >= 1, 20)
    assert says in p.log(), p.log()[-2000:]
    source.script("INSERT INTO beat VALUES (2, 7)", db)
    wait_caught_up(p, source, db)
    assert warehouse.sql("SELECT n FROM public.beat WHERE id = 2", wdb) == [(7,)]
    assert p.log().count("heartbeat: heartbeat.action") == 1 and source.sql(
        "SELECT n FROM beat WHERE id = 1", db) == [(0,)]


def test_a_slow_action_holds_nobody_up(source, db, warehouse, wdb, penstock):
    p = start(penstock, source, db, warehouse, wdb,
              **{"heartbeat.interval.ms": "100", "heartbeat.action.query": "SELECT pg_sleep(60)"})
    wait_for("it sleeps", lambda: p.alive() and source.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%%heartbeat%%' AND "
        "state = 'active' AND datname = current_database()", db) == [(1,)], 20)
    began = time.monotonic()
    source.script("INSERT INTO beat VALUES (2, 7)", db)
    wait_caught_up(p, source, db)
    assert time.monotonic() - began < 9
    wait_for("it was cancelled", lambda: "statement timeout" in p.log(), 20)
