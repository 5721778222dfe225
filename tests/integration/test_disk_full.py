# SPDX-License-Identifier: Apache-2.0
"""A full disk at each place that the program writes to: it is said, nothing is lost or half done,
and when there is room again it goes on by itself. (Published copies: test_publish.py.)"""
import contextlib
import os
import re
import subprocess

import pytest
from harness import PENSTOCK, wait_for

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); "
FILL = ("INSERT INTO t SELECT i, md5(i::text) || md5((-i)::text) || md5((i + 1)::text) FROM "
        "generate_series({}, {}) i")


@contextlib.contextmanager
def small_disk(path, size):
    """A file system of this size; .grow() makes it large enough for anything here."""
    class Disk:
        def __init__(self):
            self.path = str(path)

        def resize(self, to):
            subprocess.run(["mount", "-o", f"remount,size={to}", self.path], check=True)

        def grow(self):
            self.resize("1g")

        def fill(self):
            """Leaves no byte; .free() gives the room back."""
            with open(f"{self.path}/filler", "wb", buffering=0) as f:
                with contextlib.suppress(OSError):
                    while True:
                        f.write(b"\0" * 4096)

        def free(self):
            os.remove(f"{self.path}/filler")

    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o777)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(path)],
                      capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small disk")
    try:
        yield Disk()
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def says(b, pattern, timeout=60):
    return wait_for(f"the log says {pattern}",
                    lambda: b.p.alive() and re.search(pattern, b.p.log()), timeout)


def test_the_duckdb_file_while_it_is_loaded(both, duck, tmp_path):
    with small_disk(tmp_path / "disk", "8m") as disk:
        b = both(kinds=["duckdb"])
        b.duck = f"{disk.path}/w.duckdb"
        b.p.config["connectors"]["duckdb"]["connection.url"] = "duckdb:" + b.duck
        b.sql(TABLE + FILL.format(1, 300000)).start()
        says(b, r"(error|warn).*[Nn]o (room|space)")
        assert b.p.get("/livez")[0] == 200
        assert b.state("duckdb", "public.t") != "live"
        disk.grow()
        b.live("public.t", timeout=90).equal("public.t")


@pytest.mark.parametrize("killed", [False, True])
def test_the_duckdb_file_while_changes_come(killed, both, tmp_path):
    """No batch is lost, none is half there; also when it is killed at that moment."""
    with small_disk(tmp_path / "disk", "24m") as disk:
        b = both(kinds=["duckdb"])
        b.duck = f"{disk.path}/w.duckdb"
        b.p.config["connectors"]["duckdb"]["connection.url"] = "duckdb:" + b.duck
        b.sql(TABLE + FILL.format(1, 100)).start()
        b.live("public.t")
        disk.fill()
        for i in range(4):
            b.sql(FILL.format(1000 + i * 50000, 49999 + i * 50000 + 1000), "UPDATE t SET v = 'x' WHERE id < 50")
        says(b, r"(error|warn).*[Nn]o (room|space)")
        wait_for("not ready", lambda: b.p.get("/readyz")[0] == 503)
        assert b.p.get("/livez")[0] == 200
        if killed:
            b.p.kill9()
            before = len(b.p.log())
            b.start()
            wait_for("it says so again", lambda: b.p.alive() and re.search(
                r"(error|warn).*[Nn]o (room|space)", b.p.log()[before:]), 60)
        disk.free()
        disk.grow()
        b.equal("public.t")


def test_the_folder_of_the_spool(both, tmp_path):
    """The changes of a table that loads have no room: its load is given up or waits, never the
    changes."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        b = both(service={"data.dir": f"{disk.path}/data"})
        b.sql(TABLE + FILL.format(1, 300000)).start()
        wait_for("it loads", lambda: b.state("postgres", "public.t") == "loading")
        for i in range(5):
            b.sql(f"UPDATE t SET v = v || '{i}' WHERE id % 10 = {i}")
        b.live("public.t", timeout=120)
        b.sql("UPDATE t SET v = 'end' WHERE id < 100")
        b.equal("public.t")


def test_a_folder_without_room_at_the_start(both, tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        b = both(service={"data.dir": f"{disk.path}/data"})
        os.mkdir(f"{disk.path}/data")
        disk.fill()
        b.sql(TABLE + FILL.format(1, 100)).start()
        wait_for("said, or live", lambda: b.p.process.poll() is not None or (
            b.state("postgres", "public.t") == "live"), 30)
        if b.p.process.poll() is not None:
            assert b.p.process.returncode == 1
            assert re.search(r"database or disk is full\n.*data\.dir.*not full", b.p.log()), b.p.log()
            disk.free()
            b.start()
        b.live("public.t").equal("public.t")


def test_a_new_table_whose_schema_has_no_room(both, tmp_path):
    """The embedded registry's file is full: the table waits, the others do not."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        b = both(service={"data.dir": f"{disk.path}/data"})
        b.run(TABLE + FILL.format(1, 100), "public.t")
        disk.fill()
        columns = ", ".join(f"c{i} int" for i in range(300))
        b.sql(f"CREATE TABLE wide (id int PRIMARY KEY, {columns})", "INSERT INTO wide VALUES (1)")
        says(b, r"(error|warn).*disk is full")
        assert b.p.get("/livez")[0] == 200
        disk.free()
        b.live("public.wide", timeout=90).equal("public.t", "public.wide")


def test_a_pause_that_cannot_be_kept(both, tmp_path):
    """It stands meanwhile, which is said, and is kept as soon as there is room."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        b = both(kinds=["postgres"], service={"data.dir": f"{disk.path}/data"})
        b.run(TABLE + FILL.format(1, 100), "public.t")
        disk.fill()
        r = subprocess.run([PENSTOCK, "pause", "postgres", "--url", f"http://127.0.0.1:{b.p.port}"],
                           capture_output=True, text=True, timeout=30)
        assert r.returncode == 0, r

        def state():
            return b.p.status("postgres")["connector"]["state"]
        wait_for("paused", lambda: state() == "PAUSED", 10)
        says(b, "warn .*who is paused cannot be written down.*No space")
        disk.free()
        says(b, "who is paused is written down")
        b.p.kill9()
        b.start()
        wait_for("still paused", lambda: state() == "PAUSED")


@pytest.mark.parametrize("log", ["small disk", "/dev/full"])
def test_the_log_of_the_service(log, both, tmp_path):
    """A log that cannot be written stops nothing."""
    with small_disk(tmp_path / "disk", "64k") as disk:
        b = both(kinds=["postgres"])
        if log != "/dev/full":
            disk.fill()
            b.p.log_path = f"{disk.path}/log"
            log = b.p.log_path
        b.sql(TABLE + FILL.format(1, 100))
        with open(log, "ab") as out:
            b.p.process = subprocess.Popen([PENSTOCK, "run", "-c", b.p.write()], stdout=out,
                                           stderr=out, stdin=subprocess.DEVNULL, cwd=b.p.dir)
        if log == "/dev/full":
            b.p.log_path = "/dev/null"
        b.live("public.t").equal("public.t")


def test_a_warehouse_server_without_room(both, tmp_path, request):
    """Tables of the warehouse lie on a full disk of that server."""
    with small_disk(tmp_path / "disk", "6m") as disk:
        tmp_path.chmod(0o755)
        for folder in tmp_path.parents:  # the server's user has to pass
            if str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
        b = both(kinds=["postgres"])
        space = "s" + b.wdb
        os.mkdir(f"{disk.path}/ts")
        if os.getuid() == 0:
            import shutil
            shutil.chown(f"{disk.path}/ts", "nobody", "nogroup")
        b.warehouse.sql(f"CREATE TABLESPACE {space} LOCATION '{disk.path}/ts'")
        try:
            b.warehouse.sql(f"ALTER DATABASE {b.wdb} SET default_tablespace = {space}")
            b.sql(TABLE + FILL.format(1, 100), "CREATE TABLE u (id int PRIMARY KEY)")
            b.start().live("public.t", "public.u")
            b.sql(FILL.format(1000, 150000), "INSERT INTO u VALUES (1)")
            says(b, r"(error|warn).*server has a full disk|(error|warn).*[Nn]o space")
            wait_for("not ready", lambda: b.p.get("/readyz")[0] == 503)
            assert b.warehouse.sql("SELECT count(*) FROM t", b.wdb) == [(100,)]
            disk.grow()
            b.equal("public.t", "public.u")
        finally:
            if b.p.process is not None:
                b.p.kill9()
            b.warehouse.sql(f"DROP DATABASE IF EXISTS {b.wdb} WITH (FORCE)")
            b.warehouse.sql(f"DROP TABLESPACE {space}")
