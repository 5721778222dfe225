# SPDX-License-Identifier: Apache-2.0
"""What the slot keeps, how long that lasts, when people are warned; how fresh the warehouse is."""
import json
import os
import re
import subprocess

import harness
import pytest
from harness import PENSTOCK, to_postgres, wait_caught_up, wait_for

MB = 1 << 20
WARNS = "the source may lose log that is needed"


def status(p, *args):
    r = subprocess.run([PENSTOCK, "status", "--url", f"http://127.0.0.1:{p.port}", *args],
                       capture_output=True, text=True, timeout=20)
    assert r.returncode == 0, r.stderr
    return r.stdout


def slot(p):
    return p.status("shop")["penstock"]


def metric(p, name, connector):
    m = re.search(rf'^{name}{{connector="{connector}"}} (\S+)$', p.get("/metrics")[1], re.M)
    return float(m.group(1)) if m else None


def age(p):
    return p.status("warehouse")["penstock"]["freshness_seconds"]


def write_log(server, db, megabytes):
    for _ in range(megabytes):
        server.sql("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1048576))", db)


def used(server, db):
    """Percent of the room, as the server counts it."""
    kept, safe = server.sql("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint, "
                            "safe_wal_size FROM pg_replication_slots WHERE NOT temporary", db)[0]
    return 100 * kept / (kept + max(safe, 0))


def documented_levels():
    with open(os.path.join(harness.ROOT, "docs", "operations.md")) as f:
        found = re.findall(r"^\| (\d) \| (\d+) % of the room", f.read(), re.M)
    assert len(found) == 3
    return [(int(level), int(percent)) for level, percent in found]


@pytest.fixture
def limited():
    """A server that keeps 96 MB for a slot."""
    s = harness.Postgres(max_slot_wal_keep_size="96MB", max_wal_size="1GB", wal_keep_size="0")
    s.create("shop")
    s.script("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')", "shop")
    yield s
    s.stop()


def run(penstock, server, warehouse, wdb, **kw):
    p = penstock(to_postgres(server, "shop", warehouse, wdb, **kw)).start()
    p.wait_live("public.t")
    wait_caught_up(p, server, "shop")
    return p


def test_each_level_is_said_once_and_taken_back(limited, warehouse, wdb, penstock):
    p = run(penstock, limited, warehouse, wdb)
    at = wait_for("what is kept is known", lambda: slot(p)["log_bytes_per_second"] is not None and slot(p))
    assert at["limit_bytes"] == 96 * MB and at["wal_status"] == "reserved"
    assert at["warning"] is None and at["warning_level"] == 0 and at["safe_bytes"] > 90 * MB
    assert re.search(r"slot penstock_shop keeps .*B of at most 96.0 MB, wal_status reserved; the log "
                     r"grows by .*/s; lost after .* MB more", status(p))
    assert metric(p, "penstock_source_retained_limit_bytes", "shop") == 96 * MB
    r = subprocess.run([PENSTOCK, "pause", "shop", "--url", f"http://127.0.0.1:{p.port}"],
                       capture_output=True)
    assert r.returncode == 0
    for level, percent in documented_levels():
        while used(limited, "shop") < percent + 1:
            write_log(limited, "shop", 1)
        now = wait_for(f"level {level}", lambda n=level: slot(p)["warning_level"] >= n and slot(p), 30)
        for _ in range(3):  # further looks say nothing more
            seen = metric(p, "penstock_source_log_bytes_total", "shop")
            limited.sql("SELECT pg_logical_emit_message(false, 'x', 'y')", "shop")
            wait_for("another look", lambda s=seen: metric(
                p, "penstock_source_log_bytes_total", "shop") > s, 20)
        assert metric(p, "penstock_source_retained_warning", "shop") == now["warning_level"]
    assert now["warning_level"] == 3 and now["seconds_left"] is not None
    assert now["pinned_by"] == "warehouse warehouse, which is not written to: connector shop is paused"
    assert "of what the server allows" in now["warning"] and "max_slot_wal_keep_size" in now["warning"]
    text = status(p)
    assert re.search(r"DANGER: slot penstock_shop keeps \d+ bytes of log, 9\d % of what the server "
                     r"allows .*to mend it: let the warehouse be written to again", text), text
    said = [line for line in p.log().splitlines() if WARNS in line]
    levels = [line.split()[1] for line in said]
    assert levels[-1] == "error" and levels.count("error") == 1 and len(said) <= 3, said
    data = json.loads(status(p, "--output", "json"))["connectors"][0]
    assert data["warning_level"] == 3 and data["limit_bytes"] == 96 * MB
    subprocess.run([PENSTOCK, "resume", "shop", "--url", f"http://127.0.0.1:{p.port}"], check=True,
                   capture_output=True)
    wait_caught_up(p, limited, "shop")
    limited.sql("CHECKPOINT", "shop")  # where the log begins that is needed moves at such
    wait_for("it is taken back", lambda: slot(p)["warning_level"] == 0, 60)
    assert slot(p)["warning"] is None and "WARNING" not in status(p) and "DANGER" not in status(p)
    assert p.log().count("is in no danger any more") == 1
    assert len([1 for line in p.log().splitlines() if WARNS in line]) == len(said)


def test_unlimited_is_said(source, db, warehouse, wdb, penstock):
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    p.wait_live("public.t")
    at = wait_for("known", lambda: slot(p)["retained_bytes"] is not None and slot(p))
    assert at["limit_bytes"] is at["safe_bytes"] is at["seconds_left"] is None
    assert "B, unlimited (but for the server's disk), wal_status reserved" in status(p)
    assert metric(p, "penstock_source_retained_limit_bytes", "shop") is None
    assert metric(p, "penstock_source_seconds_left", "shop") is None


def test_a_slot_that_may_be_idle_only_so_long(warehouse, wdb, penstock):
    """PostgreSQL 18: idle_replication_slot_timeout."""
    s = harness.Postgres(version=18, idle_replication_slot_timeout="'50min'")
    try:
        s.create("shop")
        s.script("CREATE TABLE t (id int PRIMARY KEY)", "shop")
        p = run(penstock, s, warehouse, wdb)
        wait_for("known", lambda: slot(p)["retained_bytes"] is not None)
        assert slot(p)["seconds_left"] is None and slot(p)["warning_level"] == 0
        subprocess.run([PENSTOCK, "pause", "shop", "--url", f"http://127.0.0.1:{p.port}"], check=True,
                       capture_output=True)
        left = wait_for("it counts", lambda: slot(p)["seconds_left"], 30)
        assert 2900 < left <= 3000
        warned = wait_for("it is said", lambda: slot(p)["warning"], 20)
        assert "idle_replication_slot_timeout" in warned
    finally:
        s.stop()


def test_freshness_is_honest(limited, penstock):
    """An idle source is fresh; whichever side is away, what is known grows old."""
    w = harness.Postgres(role="warehouse")
    try:
        w.create("w")
        p = run(penstock, limited, w, "w")
        wait_for("it is fresh", lambda: age(p) is not None and age(p) < 3)
        start = wait_for("idle and fresh", lambda: metric(p, "penstock_freshness_seconds", "warehouse"))
        for _ in range(40):  # 4 s without a change at the source
            assert age(p) < 8 * harness.SLOW
            harness.wait_for("time", iter([False, True]).__next__, 5, 0.1)
        assert start >= 0 and p.tables()[("public", "t")]["freshness_seconds"] < 8 * harness.SLOW
        assert re.search(r"^warehouse +sink +RUNNING +RUNNING +\d+ s$", status(p), re.M), status(p)
        for away in (limited, w):
            away.stop()
            old = wait_for("it grows old", lambda: age(p) > 5 and age(p), 30)
            wait_for("it grows further", lambda o=old: age(p) > o + 1, 10)
            away.start()
            wait_for("it is fresh again", lambda: age(p) < 3, 60)
        subprocess.run([PENSTOCK, "pause", "warehouse", "--url", f"http://127.0.0.1:{p.port}"],
                       check=True, capture_output=True)
        wait_for("it grows old", lambda: age(p) > 5, 30)
        p.kill9()
        p.start()  # still paused: what is in the warehouse is not known yet
        wait_for("it answers", lambda: p.status("warehouse")["connector"]["state"] == "PAUSED", 20)
        assert age(p) is None and metric(p, "penstock_freshness_seconds", "warehouse") is None
        p.kill9()
    finally:
        w.stop()


def test_behind_is_not_fresh(limited, penstock, warehouse, wdb):
    """A lock in the warehouse holds the stream up: rows wait, and the copy's age says so."""
    p = run(penstock, limited, warehouse, wdb)
    wait_for("it is fresh", lambda: age(p) is not None and age(p) < 3)
    with warehouse.connect(wdb, autocommit=False) as c:
        c.execute("SELECT * FROM penstock.checkpoints FOR UPDATE")
        limited.script("INSERT INTO t VALUES (2, 'b')", "shop")
        wait_for("it grows old", lambda: age(p) > 6, 30)
        wait_for("bytes, too", lambda: metric(p, "penstock_source_lag_bytes", "shop") > 0, 20)
        c.rollback()
    wait_for("it is fresh again", lambda: age(p) < 3, 30)
    wait_for("nothing is behind", lambda: metric(p, "penstock_source_lag_bytes", "shop") == 0, 20)
