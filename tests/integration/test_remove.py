# SPDX-License-Identifier: Apache-2.0
"""penstock remove: nothing of a connector is left, nothing else is touched."""
import glob
import json
import os
import pty
import subprocess

import duckdb
import pytest
from harness import PENSTOCK, to_duckdb, to_postgres, wait_caught_up, wait_for

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1);
"""


def remove(p, *args, name="shop"):
    return subprocess.run([PENSTOCK, "remove", name, "-c", p.write(), *args], cwd=p.dir,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


def slots(source, db):
    return [r[0] for r in source.sql("SELECT slot_name FROM pg_replication_slots WHERE database = "
                                     "current_database()", db)]


def publications(source, db):
    return [r[0] for r in source.sql("SELECT pubname FROM pg_publication", db)]


def pg_tables(warehouse, wdb):
    return sorted(warehouse.sql("SELECT table_schema, table_name FROM information_schema.tables "
                                "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')", wdb))


@pytest.fixture
def stopped(source, db, warehouse, wdb, penstock):
    source.script(SCHEMA, db)
    p = penstock(to_postgres(source, db, warehouse, wdb))
    p.start().wait_live("public.t", "public.u")
    assert p.stop() == 0
    return p


def test_asks_and_removes_nothing_without_an_answer(stopped, source, db, warehouse, wdb):
    before = pg_tables(warehouse, wdb)
    r = remove(stopped)
    assert r.returncode == 1 and "no terminal" in r.stderr and "--yes" in r.stderr
    assert "replication slot penstock_shop, which keeps" in r.stdout
    assert "publication penstock_shop" in r.stdout and "(stays) table public.t" in r.stdout
    assert slots(source, db) == ["penstock_shop"] and pg_tables(warehouse, wdb) == before


@pytest.mark.parametrize("answer,removed", [("n\n", False), ("\n", False), ("y\n", True)])
def test_the_answer_at_a_terminal_decides(answer, removed, stopped, source, db):
    tty, end = pty.openpty()
    p = subprocess.Popen([PENSTOCK, "remove", "shop", "-c", stopped.write()], cwd=stopped.dir,
                         stdin=end, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.close(end)
    os.write(tty, answer.encode())
    _, err = p.communicate(timeout=60)
    os.close(tty)
    assert "remove it? [y/N]" in err
    assert (p.returncode == 0) == removed and (slots(source, db) == []) == removed


def test_the_tables_stay_and_can_be_read(stopped, source, db, warehouse, wdb):
    r = remove(stopped, "--yes")
    assert r.returncode == 0, r.stderr
    assert r.stdout.endswith("removed\n")
    assert slots(source, db) == [] and publications(source, db) == []
    assert pg_tables(warehouse, wdb) == [("public", "fence"), ("public", "t"), ("public", "u")]
    assert warehouse.sql("SELECT id, v FROM public.t ORDER BY 1", wdb) == [(1, "a"), (2, "b")]
    r = remove(stopped, "--yes")
    assert r.returncode == 0 and r.stdout.endswith("there was nothing to remove\n"), r.stderr


def test_tables_go_too_and_what_is_not_ours_stays(stopped, source, db, warehouse, wdb):
    warehouse.script("CREATE TABLE public.mine (id int); CREATE VIEW public.v AS SELECT * FROM "
                     "public.t", wdb)
    source.script("CREATE PUBLICATION theirs FOR TABLE t", db)
    r = remove(stopped, "--yes", "--tables")
    assert r.returncode == 1 and "depends on" in r.stderr and "public.t" in r.stderr, r.stderr
    assert slots(source, db) == []  # it goes on where it stopped
    warehouse.script("DROP VIEW public.v", wdb)
    r = remove(stopped, "--yes", "--tables", "--output", "json")
    assert r.returncode == 0, r.stderr
    a = json.loads(r.stdout)
    assert a["tables"] == ["public.fence", "public.t", "public.u"] and a["tables_dropped"]
    assert a["slot"] is None and a["books"]
    assert pg_tables(warehouse, wdb) == [("public", "mine")]
    assert publications(source, db) == ["theirs"]


def test_the_next_start_loads_anew(stopped, source, db, warehouse, wdb):
    assert remove(stopped, "--yes", "--tables").returncode == 0
    source.script("INSERT INTO t VALUES (3, 'c')", db)
    stopped.start().wait_live("public.t")
    wait_caught_up(stopped, source, db)
    assert warehouse.sql("SELECT count(*) FROM public.t", wdb) == [(3,)]


def test_refuses_while_the_service_runs(stopped, source, db):
    stopped.start().wait_live("public.t")
    r = remove(stopped, "--yes")
    assert r.returncode == 1 and "in use by another penstock" in r.stderr, r.stderr
    assert slots(source, db) == ["penstock_shop"]


def test_refuses_while_somebody_else_reads_the_slot(stopped, source, db, warehouse, wdb, penstock):
    other = penstock(to_postgres(source, db, warehouse, wdb), name="second")
    other.start().wait_live("public.t")
    r = remove(stopped, "--yes")
    assert r.returncode == 1 and "is read by pid" in r.stderr, r.stderr
    assert slots(source, db) == ["penstock_shop"] and publications(source, db) == ["penstock_shop"]


def test_a_publication_of_others_stays(source, db, warehouse, wdb, penstock):
    source.script(SCHEMA + "CREATE PUBLICATION hand FOR TABLE t WITH (publish_via_partition_root = "
                  "true)", db)
    p = penstock(to_postgres(source, db, warehouse, wdb, source={
        "publication.name": "hand", "publication.autocreate.mode": "disabled",
        "table.include.list": "public.t"}))
    p.start().wait_live("public.t")
    assert p.stop() == 0
    r = remove(p, "--yes")
    assert r.returncode == 0 and "publication" not in r.stdout, r.stdout + r.stderr
    assert publications(source, db) == ["hand"] and slots(source, db) == []


def test_a_publication_that_another_role_owns_stays(source, db, warehouse, wdb, penstock):
    """An administrator made it, as `check` asks for where the role owns no tables."""
    role = f"reader_{db}"
    source.script(SCHEMA + f"CREATE ROLE {role} LOGIN REPLICATION; GRANT SELECT ON ALL TABLES IN SCHEMA public "
                  f"TO {role}; CREATE PUBLICATION penstock_shop FOR TABLE t, u, fence WITH "
                  "(publish_via_partition_root = true)", db)
    try:
        p = penstock(to_postgres(source, db, warehouse, wdb, source={"database.user": role}))
        p.start().wait_live("public.t", "public.u")
        assert p.stop() == 0
        r = remove(p, "--yes", "--tables")
        assert r.returncode == 0, r.stderr
        assert "(stays) publication penstock_shop, which another role owns\n" in r.stdout
        assert slots(source, db) == [] and publications(source, db) == ["penstock_shop"]
        assert pg_tables(warehouse, wdb) == []
        assert "there was nothing to remove" in remove(p, "--yes").stdout
        out = json.loads(remove(p, "--yes", "--output", "json").stdout)
        assert out["publication"] is None and out["publication_kept"] == "penstock_shop"
    finally:
        source.script(f"DROP OWNED BY {role}; DROP ROLE {role}", db)


def test_two_connectors_of_one_warehouse_do_not_share_their_end(source, db, warehouse, wdb, penstock):
    source.script(SCHEMA, db)
    both = to_postgres(source, db, warehouse, wdb)
    p = penstock(both)
    p.start().wait_live("public.t", "public.u")
    assert p.stop() == 0
    warehouse.script("INSERT INTO penstock.checkpoints SELECT connector, 'other', position, last_csn, "
                     "source_identity, source_commit_time, applied_at FROM penstock.checkpoints", wdb)
    assert remove(p, "--yes").returncode == 0
    assert warehouse.sql("SELECT source FROM penstock.checkpoints", wdb) == [("other",)]
    assert warehouse.sql("SELECT count(*) FROM penstock.tables", wdb) == [(0,)]


def test_what_people_put_beside_the_books_stays(stopped, source, db, warehouse, wdb):
    """A view over the checkpoints, a table in the schema: neither is ours to drop."""
    warehouse.script("CREATE VIEW public.lag AS SELECT connector, applied_at FROM "
                     "penstock.checkpoints", wdb)
    r = remove(stopped, "--yes")
    assert r.returncode == 0 and "schema penstock stays" in r.stderr, r.stderr
    assert warehouse.sql("SELECT count(*) FROM public.lag", wdb) == [(0,)]
    assert slots(source, db) == [] and publications(source, db) == []
    warehouse.script("DROP VIEW public.lag; CREATE TABLE penstock.notes AS SELECT 1 AS x", wdb)
    r = remove(stopped, "--yes", "--tables")
    assert r.returncode == 0 and "schema penstock stays" in r.stderr, r.stderr
    assert warehouse.sql("SELECT x FROM penstock.notes", wdb) == [(1,)]
    warehouse.script("DROP TABLE penstock.notes", wdb)
    r = remove(stopped, "--yes")
    assert r.returncode == 0 and r.stderr == "", r.stderr
    assert not [t for t in pg_tables(warehouse, wdb) if t[0] == "penstock"]


def test_a_table_beside_the_books_in_duckdb_stays(source, db, duck, penstock):
    source.script(SCHEMA, db)
    p = penstock(to_duckdb(source, db, duck))
    p.start().wait_live("public.t", "public.u")
    assert p.stop() == 0
    with duckdb.connect(duck) as c:
        c.execute("CREATE TABLE penstock.notes AS SELECT 1 AS x")
    r = remove(p, "--yes")
    assert r.returncode == 0 and "schema penstock stays" in r.stderr, r.stderr
    with duckdb.connect(duck) as c:
        assert c.execute("SELECT x FROM penstock.notes").fetchall() == [(1,)]
        assert c.execute("SELECT count(*) FROM penstock.checkpoints").fetchall() == [(0,)]
        c.execute("DROP TABLE penstock.notes")
    assert remove(p, "--yes").returncode == 0
    with duckdb.connect(duck, read_only=True) as c:
        assert c.execute("SELECT count(*) FROM information_schema.tables WHERE table_schema = "
                         "'penstock'").fetchall() == [(0,)]


def test_a_dead_source_can_be_left_out(stopped, warehouse, wdb, source, db):
    stopped.config["connectors"]["shop"]["database.port"] = "1"
    r = remove(stopped, "--yes")
    assert r.returncode == 1 and "nothing was removed" in r.stderr and "--warehouse-only" in r.stderr
    assert ("penstock", "checkpoints") in pg_tables(warehouse, wdb)
    assert remove(stopped, "--yes", "--warehouse-only").returncode == 0
    assert ("penstock", "checkpoints") not in pg_tables(warehouse, wdb)
    assert slots(source, db) == ["penstock_shop"]


def test_duckdb_with_an_unfinished_load(source, db, duck, penstock):
    source.script(SCHEMA, db)
    p = penstock(to_duckdb(source, db, duck))
    p.start().wait_live("public.t", "public.u")
    assert p.stop() == 0
    with duckdb.connect(duck) as c:
        c.execute("CREATE TABLE public._penstock_load_99 (id int)")
        c.execute("INSERT INTO penstock.tables BY NAME (SELECT * REPLACE (99 AS load, 'loading' AS "
                  "state) FROM penstock.tables WHERE source_table = 't')")
    os.makedirs(f"{p.dir}/data/spool", exist_ok=True)
    for name in ("shop.16385.99", "shop.x", "other.1.1"):
        open(f"{p.dir}/data/spool/{name}", "w").close()
    r = remove(p, "--yes")
    assert r.returncode == 0, r.stderr
    assert sorted(os.path.basename(x) for x in glob.glob(f"{p.dir}/data/spool/*")) == ["other.1.1",
                                                                                     "shop.x"]
    with duckdb.connect(duck, read_only=True) as c:
        assert c.execute("SELECT table_schema, table_name FROM information_schema.tables ORDER BY ALL"
                         ).fetchall() == [("public", "fence"), ("public", "t"), ("public", "u")]


def test_after_sync_with_the_same_urls(source, db, duck, tmp_path):
    source.script(SCHEMA, db)
    urls = ["--from", source.url(db), "--to", f"duckdb:{duck}"]
    with open(tmp_path / "log", "w") as log:
        p = subprocess.Popen([PENSTOCK, "sync", *urls], cwd=tmp_path, stdout=log, stderr=log,
                             stdin=subprocess.DEVNULL)
        wait_for("live", lambda: "live: every table" in (tmp_path / "log").read_text())
        p.terminate()
        assert p.wait(12) == 0
    assert "penstock remove --from" in (tmp_path / "log").read_text()
    r = subprocess.run([PENSTOCK, "remove", *urls, "--yes", "--tables"], cwd=tmp_path,
                       capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert slots(source, db) == [] and publications(source, db) == []
    with duckdb.connect(duck, read_only=True) as c:
        assert c.execute("SELECT count(*) FROM information_schema.tables").fetchall() == [(0,)]


@pytest.mark.parametrize("args,says", [
    ([], "which connector?"), (["shop", "--from", "postgres://x/y"], "--from and --to together"),
    (["shop", "-c", "/nonexistent.yaml"], "/nonexistent.yaml"), (["a", "b"], "")])
def test_wrong_command_lines(args, says, tmp_path):
    r = subprocess.run([PENSTOCK, "remove", *args], cwd=tmp_path, capture_output=True, text=True)
    assert r.returncode == 2 and says in r.stderr, r.stderr


def test_a_name_that_is_not_there(stopped):
    r = remove(stopped, "--yes", name="shpo")
    assert r.returncode == 1 and "did you mean" in r.stderr and "shop" in r.stderr, r.stderr
