# SPDX-License-Identifier: Apache-2.0
"""sync, its --once, the snapshot modes, and memory that does not depend on a transaction's size."""
import os
import signal
import subprocess
import time

import pytest
from harness import (PENSTOCK, assert_equal_duckdb, assert_equal_postgres, base, to_postgres,
                     wait_caught_up, wait_for)

TABLE = """CREATE TABLE t (id int PRIMARY KEY, v text, tags int[]);
INSERT INTO t SELECT i, 'v' || i, ARRAY[i, NULL] FROM generate_series(1, 3000) i;
CREATE TABLE nothing (id int PRIMARY KEY);"""


def sync(cwd, *args, **kw):
    return subprocess.run([PENSTOCK, "sync", *args], cwd=cwd, capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL, **kw)


def left_at(source, db):
    return (source.sql("SELECT count(*) FROM pg_replication_slots WHERE database = %s", "postgres",
                       (db,))[0][0], source.sql("SELECT count(*) FROM pg_publication", db)[0][0])


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_once_loads_ends_and_leaves_nothing_at_the_source(kind, source, db, warehouse, wdb, duck,
                                                          tmp_path):
    source.script(TABLE, db)
    to = warehouse.url(wdb) if kind == "postgres" else f"duckdb:{duck}"
    for again in range(2):  # the second time the tables are there already
        r = sync(tmp_path, "--once", "--from", source.url(db), "--to", to)
        assert r.returncode == 0, r.stderr
        assert left_at(source, db) == (0, 0)
        if kind == "postgres":
            assert_equal_postgres(source, db, warehouse, wdb, "public.t", "public.nothing")
        else:
            assert_equal_duckdb(source, db, duck, "public.t", "public.nothing")
        source.script("DELETE FROM t WHERE id < 100; UPDATE t SET v = 'x' WHERE id = 200", db)


def test_interrupted_it_says_what_remains_and_goes_on(source, db, duck, tmp_path):
    source.script(TABLE, db)
    args = [PENSTOCK, "sync", "--from", source.url(db), "--to", f"duckdb:{duck}", "--tables",
            "public\\.(t|fence)"]
    for again in range(2):
        with open(tmp_path / "log", "w+") as log:
            p = subprocess.Popen(args, cwd=tmp_path, stdout=log, stderr=log,
                                 stdin=subprocess.DEVNULL)
            wait_for("live", lambda: "live: every table" in (tmp_path / "log").read_text())
            source.script("INSERT INTO t SELECT max(id) + 1, 'later', '{}' FROM t", db)
            wait_caught_up(None, source, db)
            began = time.monotonic()
            p.send_signal(signal.SIGINT)
            assert p.wait(12) == 0
            assert time.monotonic() - began < 10
        text = (tmp_path / "log").read_text()
        assert "pg_drop_replication_slot" in text and "DROP PUBLICATION" in text
        assert_equal_duckdb(source, db, duck, "public.t")
        assert not os.path.exists(duck + ".wal")
    import duckdb
    with duckdb.connect(duck, read_only=True) as c:
        assert c.execute("SELECT count(*) FROM information_schema.tables WHERE table_name = "
                         "'nothing'").fetchone() == (0,)
        assert c.execute("SELECT max(load) FROM penstock.tables").fetchone()[0] <= 2


def test_initial_only_keeps_no_slot(source, db, warehouse, wdb, penstock):
    source.script(TABLE, db)
    p = penstock(to_postgres(source, db, warehouse, wdb,
                             source={"snapshot.mode": "initial_only"})).start()
    p.wait_live("public.t")
    assert_equal_postgres(source, db, warehouse, wdb, "public.t")
    assert left_at(source, db)[0] == 0


def test_no_data_begins_with_empty_tables(source, db, warehouse, wdb, penstock):
    source.script(TABLE, db)
    p = penstock(to_postgres(source, db, warehouse, wdb, source={"snapshot.mode": "no_data"})).start()
    p.wait_live("public.t")
    source.script("INSERT INTO t VALUES (9001, 'new', NULL)", db)
    wait_caught_up(p, source, db) if warehouse.sql("SELECT 1 FROM public.fence", wdb) else None
    wait_for("the new row", lambda: warehouse.sql("SELECT id FROM public.t", wdb) == [(9001,)])


def test_memory_does_not_depend_on_the_size_of_a_transaction(source, db, warehouse, wdb, penstock):
    """One transaction of 600,000 changes, over 100 MB of events, applied in pieces of 1 MB."""
    source.script("CREATE TABLE big (id int PRIMARY KEY, v text)", db)
    p = penstock(to_postgres(source, db, warehouse, wdb, **{"batch.bytes": "1MB"})).start()
    p.wait_live("public.big")
    with source.connect(db, autocommit=False) as c:
        c.execute("INSERT INTO big SELECT i, repeat('x', 60) FROM generate_series(1, 300000) i")
        c.execute("UPDATE big SET id = -id, v = v || 'y' WHERE id % 2 = 0")
        c.execute("DELETE FROM big WHERE id % 5 = 0")
        c.commit()
    wait_caught_up(p, source, db, timeout=120)
    with open(f"/proc/{p.process.pid}/status") as f:
        peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    assert_equal_postgres(source, db, warehouse, wdb, "public.big")
    assert p.tables()[("public", "big")]["rows"] == source.sql("SELECT count(*) FROM big", db)[0][0]
    if "asan" not in PENSTOCK and "tsan" not in PENSTOCK:
        assert peak < 64 * 1024, f"{peak} kB resident at most"


def test_locale_and_zone_of_the_process_do_not_matter(source, db, duck, tmp_path):
    source.script("CREATE TABLE z (id int PRIMARY KEY, f float8, n numeric(8,3), at timestamptz, d "
                  "date, m money); INSERT INTO z VALUES (1, 1234.5, 1234.567, '2024-03-31 02:30+01', "
                  "'2024-02-29', 12.34)", db)
    r = sync(tmp_path, "--once", "--from", source.url(db), "--to", f"duckdb:{duck}", env={
        **os.environ, "LC_ALL": "de_DE.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Kolkata",
        "PGOPTIONS": "-c datestyle=sql,dmy -c timezone=Asia/Tokyo", "PGTZ": "Asia/Tokyo",
        "PGDATESTYLE": "german"})
    assert r.returncode == 0, r.stderr
    assert_equal_duckdb(source, db, duck, "public.z")


def test_a_busy_port_is_passed_over_and_said(source, db, duck, tmp_path):
    import socket
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", 8083))
            s.listen(1)
        except OSError:
            pass  # another test's sync has it: as good
        r = sync(tmp_path, "--once", "--from", source.url(db), "--to", f"duckdb:{duck}")
    assert r.returncode == 0, r.stderr
    assert "listening url=http://127.0.0.1:" in r.stderr and ":8083 " not in r.stderr
    assert base()
