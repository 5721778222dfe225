# SPDX-License-Identifier: Apache-2.0
"""publish.path: copies of the DuckDB warehouse that other processes open while the service runs. Each
is the warehouse as of one commit of the source, complete, and replaced in one step."""
import contextlib
import os
import re
import stat
import subprocess
import time
import uuid

import duckdb
import pytest
from harness import (DEPS, PENSTOCK, ROOT, SLOW, assert_equal_duckdb, to_duckdb, wait_caught_up,
                     wait_for)
from workload import SCHEMA, TABLES, TOTAL, Bank

TEMP = ".penstock-tmp"


def publishing(source, db, duck, path, **more):
    return to_duckdb(source, db, duck, **{"publish.path": str(path), "publish.interval.ms": "1000",
                                          **more})


def inode(path):
    return os.stat(path).st_ino if os.path.exists(path) else None


@contextlib.contextmanager
def opened(path):
    """Under another name: DuckDB's Python module has one instance for each path in a process, and
    one that is open here would be looked at again."""
    link = os.path.join(os.path.dirname(path), "look-" + uuid.uuid4().hex)
    os.link(path, link)
    try:
        with duckdb.connect(link, read_only=True) as c:
            yield c
    finally:
        os.unlink(link)


def look(path):
    with opened(path) as c:
        return c.execute("SELECT (SELECT sum(balance) FROM public.accounts), (SELECT count(*) FROM "
                         "public.accounts), (SELECT min(tx) FROM public.marks), (SELECT max(tx) FROM "
                         "public.marks)").fetchone()


def test_each_copy_is_one_commit(source, db, duck, tmp_path, penstock):
    """Opened again and again while the bank works; one reader keeps its copy."""
    path = str(tmp_path / "copy.duckdb")
    source.script(SCHEMA, db)
    p = penstock(publishing(source, db, duck, path)).start()
    p.wait_live(*TABLES)
    wait_for("a copy with the tables", lambda: look(path)[1] == 300)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o444
    bank = Bank(source, db, 5, pause=0.002)
    bank.start()
    kept = duckdb.connect(path, read_only=True)
    at_first = kept.execute("SELECT max(tx) FROM public.marks").fetchone()
    seen, highest = set(), -1
    end = time.monotonic() + 90 * SLOW  # on a busy disk a copy takes seconds, and rests twice as long
    while len(seen) < 5 and time.monotonic() < end:
        seen.add(inode(path))
        total, count, low, high = look(path)
        assert (total, count, low) == (TOTAL, 300, high)
        assert high >= highest
        highest = high
        assert not os.path.exists(path + ".wal")
        time.sleep(0.1)
    assert len(seen) == 5 and highest > 0, (seen, highest, bank.transactions, p.log()[-3000:])
    assert kept.execute("SELECT max(tx) FROM public.marks").fetchone() == at_first
    assert kept.execute("SELECT sum(balance) FROM public.accounts").fetchone() == (TOTAL,)
    kept.close()
    bank.stop()
    wait_caught_up(p, source, db)
    last = inode(path)
    wait_for("a copy of the end", lambda: inode(path) != last and look(path)[3] == look_source(source, db))
    last = inode(path)
    wait_for("one more", lambda: inode(path) != last)
    assert_equal_duckdb(source, db, path, *TABLES)
    assert " warn " not in p.log(), p.log()[-2000:]
    assert p.stop() == 0
    assert sorted(os.listdir(tmp_path)) == ["copy.duckdb"]
    assert_equal_duckdb(source, db, duck, *TABLES)


def look_source(source, db):
    return source.sql("SELECT max(tx) FROM marks", db)[0][0]


def test_a_log_that_a_reader_left_is_not_replayed(source, db, duck, tmp_path, penstock):
    """Somebody made the copy writable and wrote into it: the next copy has nothing of that."""
    path = str(tmp_path / "copy.duckdb")
    source.script("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", db)
    p = penstock(publishing(source, db, duck, path, **{"publish.interval.ms": "4000"})).start()
    p.wait_live("public.t")

    def ids():
        with duckdb.connect(path, read_only=True) as c:  # this name: the log beside it counts
            return c.execute("SELECT list(id) FROM public.t").fetchone()[0]
    wait_for("a copy", lambda: ids() == [1])
    os.chmod(path, 0o644)
    script = ("import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute(\"PRAGMA "
              "disable_checkpoint_on_shutdown; INSERT INTO public.t VALUES (99, 1, now())\"); os._exit(0)")
    subprocess.run([f"{DEPS}/venv/bin/python", "-c", script, path], check=True, timeout=30)
    assert os.path.exists(path + ".wal") and ids() == [1, 99]
    wait_for("the next copy", lambda: ids() == [1])
    assert not os.path.exists(path + ".wal") and stat.S_IMODE(os.stat(path).st_mode) == 0o444


def test_killed_at_any_time_it_leaves_whole_copies(source, db, duck, tmp_path, penstock):
    """kill -9 again and again while copies are made: what stands at publish.path is complete, and
    a temporary file is gone after the next start."""
    path = str(tmp_path / "copy.duckdb")
    source.script(SCHEMA, db)
    source.script("CREATE TABLE wide (id int PRIMARY KEY, v text); INSERT INTO wide SELECT i, "
                  "repeat(md5(i::text), 4) FROM generate_series(1, 100000) i", db)
    config = publishing(source, db, duck, path)
    p = penstock(config).start()
    p.wait_live("public.wide", *TABLES, timeout=120)
    bank = Bank(source, db, 7, pause=0.005)
    bank.start()
    wait_for("a copy with the tables", lambda: look(path)[1] == 300)
    left = 0
    for n in range(8):
        if p.process is None:
            with open(path + TEMP, "ab") as f:
                f.write(b"left by a dead process")
            p.start()
            p.wait_live(*TABLES)
        began = inode(path)
        if n % 2 == 0:  # in the middle of a copy
            wait_for("a copy under way", lambda: os.path.exists(path + TEMP), 20, 0.001)
        else:  # just after one
            wait_for("a copy", lambda b=began: inode(path) != b, 20, 0.001)
        p.kill9()
        left += os.path.exists(path + TEMP)
        total, count, low, high = look(path)
        assert (total, count, low) == (TOTAL, 300, high)
        with opened(path) as c:
            assert c.execute("SELECT count(*), min(length(v)) FROM public.wide").fetchone() == (100000, 128)
    assert left >= 1
    bank.stop()
    p.start()
    p.wait_live(*TABLES)
    wait_caught_up(p, source, db)
    last = inode(path)
    wait_for("a new copy", lambda: inode(path) != last)
    assert p.stop() == 0
    assert sorted(os.listdir(tmp_path)) == ["copy.duckdb"]
    assert_equal_duckdb(source, db, duck, "public.wide", *TABLES)


def test_what_goes_wrong_is_said_and_tried_again(source, db, duck, tmp_path, penstock):
    """No directory, then a directory in the file's place, then all is well; replication never minds."""
    folder = tmp_path / "later"
    path = str(folder / "copy.duckdb")
    source.script("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", db)
    p = penstock(publishing(source, db, duck, path)).start()
    p.wait_live("public.t")
    wait_for("a warning", lambda: re.search(r" warn .*no new copy.*No such file", p.log()))
    folder.mkdir()
    os.mkdir(path)
    wait_for("another warning", lambda: re.search(r" warn .*no new copy.*is not a file", p.log()), 20)
    source.script("INSERT INTO t VALUES (2)", db)
    wait_caught_up(p, source, db)
    os.rmdir(path)
    wait_for("a copy", lambda: os.path.isfile(path), 20)
    wait_for("said", lambda: "copies are published again" in p.log())
    assert len(re.findall("no new copy", p.log())) <= 6  # not each time
    assert p.status("warehouse")["tasks"][0]["state"] == "RUNNING"
    assert p.stop() == 0
    assert_equal_duckdb(source, db, path, "public.t")
    assert_equal_duckdb(source, db, duck, "public.t")


def test_a_full_disk(source, db, duck, tmp_path, penstock):
    """The copy's disk is full: said; there is room: it goes on. The warehouse lies elsewhere."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=72m", "tmpfs", str(disk)],
                      capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small disk")
    try:
        path = str(disk / "copy.duckdb")
        source.script("CREATE TABLE t (id int PRIMARY KEY, v text)", db)
        p = penstock(publishing(source, db, duck, path)).start()
        p.wait_live("public.t")
        wait_for("a copy", lambda: os.path.isfile(path))
        source.script("INSERT INTO t SELECT i, md5(i::text) || md5((i + 1)::text) FROM "
                      "generate_series(1, 200000) i", db)
        wait_caught_up(p, source, db)
        wait_for("a warning", lambda: re.search(r" warn .*no new copy.*no room", p.log()), 20)
        with opened(path) as c:
            assert c.execute("SELECT count(*) FROM public.t").fetchone()[0] in (0, 200000)
        source.script("INSERT INTO t VALUES (-1, 'later')", db)
        wait_caught_up(p, source, db)
        assert p.status("warehouse")["tasks"][0]["state"] == "RUNNING"
        subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
        wait_for("copies again", lambda: "copies are published again" in p.log(), 20)
        assert p.stop() == 0
        assert_equal_duckdb(source, db, path, "public.t")
        assert_equal_duckdb(source, db, duck, "public.t")
        assert os.listdir(disk) == ["copy.duckdb"]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_not_the_warehouse_itself(source, db, duck, tmp_path, penstock):
    for path in (duck, os.path.join(os.path.dirname(duck), ".", os.path.basename(duck)), duck + ".wal"):
        p = penstock(publishing(source, db, duck, path)).start()
        wait_for("it is said", lambda q=p: "publish.path" in str(q.status("warehouse")["tasks"]))
        assert p.stop() in (0, 1)
    p = penstock(publishing(source, db, duck, "x", **{"publish.interval.ms": "10"}))
    r = subprocess.run([PENSTOCK, "run", "-c", p.write()], capture_output=True, text=True, cwd=p.dir,
                       timeout=30)
    assert r.returncode == 2 and "publish.interval.ms" in r.stderr


def test_a_file_of_others_is_not_replaced(source, db, duck, tmp_path, penstock):
    """What stands at publish.path and is no copy is somebody's: a text, a DuckDB file of his own."""
    path = str(tmp_path / "notes")
    with open(path, "w") as f:
        f.write("mine")
    p = penstock(publishing(source, db, duck, path)).start()
    wait_for("it is said", lambda: re.search(r" warn .*is no copy that penstock made", p.log()))
    os.chmod(path, 0o444)
    p.wait_live("public.fence")
    assert p.stop() == 0
    with open(path) as f:
        assert f.read() == "mine"
    os.remove(path)
    with duckdb.connect(path) as c:
        c.execute("CREATE TABLE mine AS SELECT 1 AS x")
    p.start().wait_live("public.fence")
    wait_for("it is said again", lambda: len(re.findall(r"is no copy that penstock made", p.log())) > 1)
    with opened(path) as c:
        assert c.execute("SELECT x FROM mine").fetchall() == [(1,)]
    os.remove(path)  # "move it away": then copies come, and those are replaced
    first = wait_for("a copy", lambda: inode(path), 20)
    wait_for("the next copy", lambda: inode(path) != first, 20)
    assert p.stop() == 0
    last = inode(path)
    p.start()  # nor does another process forget that it is a copy
    wait_for("a copy of the next process", lambda: inode(path) != last, 20)


def test_a_stop_while_a_copy_is_made(source, db, duck, tmp_path, penstock):
    """SIGTERM ends it within its time; the unfinished copy is removed."""
    path = str(tmp_path / "copy.duckdb")
    source.script("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) "
                  "|| md5((-i)::text) FROM generate_series(1, 600000) i", db)
    p = penstock(publishing(source, db, duck, path)).start()
    p.wait_live("public.t", timeout=120)
    wait_for("a copy under way", lambda: os.path.exists(path + TEMP), 20, 0.001)
    began = time.monotonic()
    assert p.stop() == 0
    assert time.monotonic() - began < 8 * SLOW
    assert set(os.listdir(tmp_path)) <= {"copy.duckdb"}
    assert not os.path.exists(duck + ".wal")
    assert_equal_duckdb(source, db, duck, "public.t")


def test_the_page_on_duckdb(source, db, duck, tmp_path, penstock):
    """The settings that docs/duckdb.md shows make a copy, which the page's reader can read."""
    with open(os.path.join(ROOT, "docs", "duckdb.md")) as f:
        page = f.read()
    settings = dict(re.findall(r"^ +(publish\.[a-z.]+): (\S+)", page, re.M))
    assert set(settings) == {"publish.path", "publish.interval.ms"}
    source.script("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1), (2)", db)
    p = penstock(publishing(source, db, duck, settings["publish.path"])).start()
    p.wait_live("public.orders")
    code = re.search(r"^    python3 -c '(.*)'$", page, re.M)[1]
    path = os.path.join(p.dir, settings["publish.path"])

    def there():
        with opened(path) as c:
            return c.execute("SELECT count(*) FROM public.orders").fetchone() == (2,)
    wait_for("a copy with the table", there)
    r = subprocess.run([f"{DEPS}/venv/bin/python", "-c", code], capture_output=True, text=True,
                       cwd=p.dir, timeout=30)
    assert r.returncode == 0 and "2" in r.stdout, r
