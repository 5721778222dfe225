# SPDX-License-Identifier: Apache-2.0
"""Wrong settings and servers that refuse, lie or say nothing: within 10 s the message and the exit
code that the documents promise, and nothing that leaks a secret."""
import json
import os
import socket
import subprocess
import time

import pytest
from harness import PENSTOCK, Postgres, base, free_port, to_duckdb, to_postgres, wait_for


def run(*args, timeout=12, cwd=None, env=None):
    began = time.monotonic()
    r = subprocess.run([PENSTOCK, *args], capture_output=True, text=True, timeout=timeout,
                       cwd=cwd or base(), env={**os.environ, **(env or {})},
                       stdin=subprocess.DEVNULL)
    r.seconds = time.monotonic() - began
    return r


def sync(source_url, duck, **kw):
    return run("sync", "--from", source_url, "--to", f"duckdb:{duck}", **kw)


def failed_task(p, connector, text, timeout=10):
    def seen():
        p.alive()
        t = p.status(connector)["tasks"][0]
        return t["state"] in ("FAILED", "RESTARTING") and text in t.get("trace", "") and t
    return wait_for(f"task of {connector} says {text!r}", seen, timeout)


@pytest.fixture(scope="module")
def guarded():
    """A server that wants a password."""
    s = Postgres()
    s.sql("CREATE ROLE reader LOGIN REPLICATION PASSWORD 'right-one'")
    with open(f"{s.dir}/data/pg_hba.conf", "w") as f:
        f.write("local all all trust\nhost all postgres 127.0.0.1/32 trust\n"
                "host all all 127.0.0.1/32 scram-sha-256\n"
                "host replication all 127.0.0.1/32 scram-sha-256\n")
    s.sql("SELECT pg_reload_conf()")
    yield s
    s.stop()


def test_wrong_password_ends_sync_with_1_and_names_the_user(guarded, duck):
    r = sync(f"postgres://reader:wrong-one@127.0.0.1:{guarded.port}/postgres", duck)
    assert r.returncode == 1, r
    assert "reader" in r.stderr and "password" in r.stderr.lower()
    assert "wrong-one" not in r.stderr + r.stdout


def test_wrong_password_keeps_run_up_with_a_failed_task(guarded, duck, penstock):
    c = to_duckdb(guarded, "postgres", duck)
    c["connectors"]["shop"]["database.user"] = "reader"
    c["connectors"]["shop"]["database.password"] = "wrong-one"
    p = penstock(c).start()
    t = failed_task(p, "shop", "password")
    assert t["state"] == "FAILED"
    assert p.get("/livez")[0] == 200 and p.get("/readyz")[0] == 503
    assert "wrong-one" not in p.log() + json.dumps(p.json("/connectors?expand=status&expand=info"))
    assert p.stop() == 0


def test_nobody_listens(duck):
    r = sync(f"postgres://postgres@127.0.0.1:{free_port()}/postgres", duck)
    assert r.returncode == 1 and "127.0.0.1" in r.stderr and r.seconds < 10


def test_a_host_that_accepts_and_says_nothing(duck):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(5)
        r = sync(f"postgres://postgres@127.0.0.1:{s.getsockname()[1]}/postgres", duck)
    assert r.returncode == 1 and r.seconds < 10, (r.returncode, r.seconds, r.stderr)


def test_wal_level_replica_says_the_sql(duck):
    s = Postgres(wal_level="replica")
    try:
        r = sync(s.url(), duck)
        assert r.returncode == 1 and "ALTER SYSTEM SET wal_level" in r.stderr, r.stderr
        c = run("check", "--from", s.url(), "--to", f"duckdb:{duck}")
        assert c.returncode == 1 and "ALTER SYSTEM SET wal_level" in c.stdout, c.stdout
    finally:
        s.stop()


def test_missing_publication_says_the_sql(source, db, duck, penstock):
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    c = to_duckdb(source, db, duck, source={"publication.autocreate.mode": "disabled",
                                            "publication.name": "nope"})
    p = penstock(c).start()
    failed_task(p, "shop", "CREATE PUBLICATION")
    assert p.stop() == 0


def test_slot_in_use_names_the_process(source, db, duck, warehouse, wdb, penstock):
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    p.wait_live("public.t")
    other = penstock(to_postgres(source, db, warehouse, wdb), name="other").start()
    pid = source.sql("SELECT active_pid FROM pg_replication_slots WHERE database = %s", "postgres",
                     (db,))[0][0]
    failed_task(other, "shop", str(pid))
    assert p.stop() == 0


def test_port_in_use_ends_run_with_1(source, db, duck, penstock):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        c = to_duckdb(source, db, duck)
        c["service"] = {"listen": f"127.0.0.1:{s.getsockname()[1]}"}
        p = penstock(c).start()
        assert p.process.wait(10) == 1
        assert str(s.getsockname()[1]) in p.log()


def test_data_dir_not_writable_ends_run_with_1(source, db, duck, penstock):
    c = to_duckdb(source, db, duck)
    c["service"] = {"data.dir": "/proc/nowhere/data"}
    p = penstock(c).start()
    assert p.process.wait(10) == 1
    assert "data.dir" in p.log()


def test_data_dir_in_use_ends_the_second_with_1(source, db, duck, warehouse, wdb, penstock):
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    wait_for("up", lambda: p.get("/livez")[0] == 200)
    c = to_postgres(source, db, warehouse, wdb)
    c["service"] = {"data.dir": p.config["service"]["data.dir"]}
    q = penstock(c).start()
    assert q.process.wait(10) == 1
    assert "in use by another penstock" in q.log()


def test_source_and_warehouse_are_the_same_database(source, db, penstock):
    p = penstock(to_postgres(source, db, source, db)).start()
    failed_task(p, "warehouse", "same database")


def test_same_cluster_other_database_works(source, db, penstock):
    source.script("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", db)
    source.create(db + "w")
    p = penstock(to_postgres(source, db, source, db + "w")).start()
    p.wait_live("public.t")
    assert p.stop() == 0
    assert source.sql("SELECT id FROM public.t", db + "w") == [(1,)]


@pytest.mark.parametrize("text,says", [
    ("connectors: [", "penstock.yaml"),
    ("service: {nmae: x}\nconnectors: {}", "name"),
    ("connectors: {a: {connector.class: postgrs}}", "postgres"),
    ("connectors: {a: {connector.class: postgres, topic.prefix: a, database.dbname: d, "
     "database.port: abc}}", "database.port"),
    ("connectors: {a: {connector.class: postgres, topic.prefix: a, "
     "database.dbname: '${env:NO_SUCH_VARIABLE}'}}", "NO_SUCH_VARIABLE"),
])
def test_wrong_files_end_with_2(text, says, tmp_path):
    (tmp_path / "penstock.yaml").write_text(text)
    r = run("run", cwd=tmp_path)
    assert r.returncode == 2 and says in r.stderr, r.stderr


def test_wrong_command_lines_end_with_2(tmp_path):
    for args in (["sync"], ["sync", "--form", "x"], ["nope"], ["run", "-c", "/no/such/file"],
                 ["sync", "--from", "oracle://x/y", "--to", "duckdb:x"]):
        r = run(*args, cwd=tmp_path)
        assert r.returncode == 2, (args, r.returncode, r.stderr)
        assert r.stderr.startswith("penstock: "), r.stderr


def test_no_connectors_is_valid(penstock):
    p = penstock({"connectors": {}}).start()
    wait_for("ready", lambda: p.alive() and p.get("/readyz")[0] == 200)
    assert p.json("/connectors") == []
    assert p.stop() == 0


def test_another_programs_file_as_duckdb_is_refused_and_untouched(source, db, penstock, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 1000)
    p = penstock(to_duckdb(source, db, str(path))).start()
    failed_task(p, "warehouse", "notes.txt")
    p.kill9()
    assert path.read_text() == "not a database " * 1000
