# SPDX-License-Identifier: Apache-2.0
"""Loads that people ask for: POST /v1/connectors/NAME/snapshots, `penstock resync` with the service
running and stopped."""
import http.client
import json
import os
import re
import subprocess
import threading
import time

import duckdb
import pytest
from harness import (PENSTOCK, SLOW, assert_equal_duckdb, assert_equal_postgres, free_port, to_duckdb,
                     to_postgres, wait_caught_up, wait_for)
from test_bad_input import failed_task

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i;
CREATE TABLE u (id int PRIMARY KEY);
INSERT INTO u VALUES (1);
CREATE SCHEMA "a.b";
CREATE TABLE "a.b".c (id int PRIMARY KEY);
"""
ALL = ["public.t", "public.u", "public.fence"]
SNAPSHOTS = "/v1/connectors/shop/snapshots"


def post(p, path, body=None, headers=None, method="POST"):
    c = http.client.HTTPConnection("127.0.0.1", p.port, timeout=10)
    try:
        c.request(method, path, body, headers if headers is not None else
                  {"Content-Type": "application/json"} if body is not None else {})
        r = c.getresponse()
        return r.status, r.headers, json.loads(r.read() or "null")
    finally:
        c.close()


def problem(p, status, words, path=SNAPSHOTS, body=None, headers=None, method="POST"):
    """The answer is that error, as RFC 9457 has it."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    got, head, j = post(p, path, body, headers, method)
    assert (got, j["status"]) == (status, status), j
    assert head["Content-Type"] == "application/problem+json"
    assert set(j) == {"type", "title", "status", "detail"} and words in j["detail"], j


def resync(p, *args, url=True, cwd=None, env=None):
    at = ["--url", f"http://127.0.0.1:{p.port}"] if url is True else ["--url", url]
    return subprocess.run([PENSTOCK, "resync", *args, *at], capture_output=True, text=True,
                          timeout=30, cwd=cwd or os.path.dirname(p.dir), stdin=subprocess.DEVNULL,
                          env={**os.environ, **(env or {})})


def config(kind, source, db, warehouse, wdb, duck):
    return (to_postgres(source, db, warehouse, wdb) if kind == "postgres"
            else to_duckdb(source, db, duck))


def loads(p, table):
    """The numbers of the table's loads, as the log tells them."""
    return [int(n) for n in re.findall(rf"table loaded table={re.escape(table)} .*load=(\d+)",
                                       p.log())]


def run_sql(kind, warehouse, wdb, duck, sql):
    """In the warehouse, past the (stopped) service."""
    if kind == "postgres":
        return warehouse.sql(sql, wdb)
    with duckdb.connect(duck) as c:
        return c.execute(sql).fetchall()


def assert_equal(kind, source, db, warehouse, wdb, duck, *tables):
    if kind == "postgres":
        assert_equal_postgres(source, db, warehouse, wdb, *tables)
    else:
        assert_equal_duckdb(source, db, duck, *tables)


def dead_url():
    """Where nothing listens."""
    return f"http://127.0.0.1:{free_port()}"


def test_what_rest_answers(source, db, warehouse, wdb, penstock):
    source.script(TABLES, db)
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    p.wait_live(*ALL)

    status, head, j = post(p, SNAPSHOTS, '{"tables": ["public.t"]}')
    assert (status, j) == (202, {"id": 1, "connector": "shop", "tables": ["public.t"]})
    assert head["Content-Type"] == "application/json"
    status, _, j = post(p, "/v1/connectors/warehouse/snapshots")
    assert status == 202 and j["connector"] == "shop" and j["id"] == 2
    assert j["tables"] == ['"a.b".c', "public.fence", "public.t", "public.u"]
    status, _, j = post(p, SNAPSHOTS, '{"tables": ["\\"a.b\\".\\"c\\"", "public.u"]}')
    assert (status, j["tables"]) == (202, ['"a.b".c', "public.u"])
    assert post(p, SNAPSHOTS, "")[0] == 202

    problem(p, 404, "no connector shpo; did you mean shop?", "/v1/connectors/shpo/snapshots")
    problem(p, 404, "no table public.tt; did you mean public.t?", body={"tables": ["public.tt"]})
    problem(p, 404, 'did you mean "a.b".c?', body={"tables": ["a.b.c"]})
    for body in ("{", {"tables": "public.t"}, {"tables": []}, {"tables": [None]}, ["public.t"],
                 {"table": ["public.t"]}, {"tables": ["t"]}):
        problem(p, 400, "", body=body)
    problem(p, 415, "application/json", body="{}", headers={"Content-Type": "text/plain"})
    problem(p, 413, "", body='{"tables": ["' + "x" * 1024 * 1024 + '"]}')
    problem(p, 405, "", method="GET")
    problem(p, 403, "origin", headers={"Origin": "http://evil.example"})
    problem(p, 403, "Host", headers={"Host": "evil.example"})
    problem(p, 404, "", "/v1/connectors/shop/nosuch")
    assert post(p, "/connectors/nope", method="GET")[2]["error_code"] == 404  # as Connect's

    assert p.stop() == 0
    slot = source.sql("SELECT slot_name FROM pg_replication_slots WHERE database = %s", "postgres",
                      (db,))[0][0]
    source.sql("SELECT pg_drop_replication_slot(%s)", db, (slot,))
    p.start()
    failed_task(p, "shop", "does not exist any more")
    problem(p, 409, "does not exist any more", body={"tables": ["public.t"]})
    r = resync(p, "shop")
    assert r.returncode == 1 and "409" in r.stderr and "does not exist any more" in r.stderr


def test_the_program_asks_a_running_service(source, db, duck, penstock):
    source.script(TABLES, db)
    p = penstock(to_duckdb(source, db, duck)).start()
    p.wait_live(*ALL)

    r = resync(p, "shop", "--table", "public.t")
    assert (r.returncode, r.stderr) == (0, ""), r
    assert r.stdout == ("will be loaded again:\n  public.t\nfollow it with: penstock status --url "
                        f"http://127.0.0.1:{p.port}\n")
    r = resync(p, "warehouse", "--table", '"a.b"."c"')
    assert r.returncode == 0 and '\n  "a.b".c\n' in r.stdout, r
    r = resync(p, "shop")
    assert r.returncode == 0, r
    assert re.findall("^  (.*)$", r.stdout, re.M) == ['"a.b".c', "public.fence", "public.t",
                                                      "public.u"]
    r = resync(p, "shop", "--table", "public.u", "--output", "json")
    assert json.loads(r.stdout) == {"service": "running", "id": 4, "connector": "shop",
                                    "tables": ["public.u"]}

    r = resync(p, "shop", "--table", "public.tt")
    assert r.returncode == 1 and r.stdout == ""
    assert "404" in r.stderr and "did you mean public.t?" in r.stderr
    r = resync(p, "wharehouse")
    assert r.returncode == 1 and "did you mean warehouse?" in r.stderr
    r = resync(p, "shop", "--table", "t")
    assert r.returncode == 2 and "SCHEMA.TABLE" in r.stderr
    r = resync(p, "a/b c", "--table", "public.t")
    assert r.returncode == 1 and "no connector a/b c" in r.stderr


def test_the_program_gives_the_token(source, db, duck, penstock):
    source.script(TABLES, db)
    c = to_duckdb(source, db, duck)
    c["service"] = {"api.token": "s3cret"}
    p = penstock(c).start()
    wait_for("it serves", lambda: p.get("/livez")[0] == 200)
    r = resync(p, "shop", env={"PENSTOCK_TOKEN": "wrong"})
    assert r.returncode == 1 and "wants its api.token" in r.stderr
    wait_for("the mailbox takes it", lambda: resync(
        p, "shop", env={"PENSTOCK_TOKEN": "s3cret"}).returncode == 0)


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_a_stopped_service_loads_the_table_at_its_next_start(kind, source, db, warehouse, wdb, duck,
                                                             penstock):
    source.script(TABLES, db)
    p = penstock(config(kind, source, db, warehouse, wdb, duck)).start()
    p.wait_live(*ALL)
    wait_caught_up(p, source, db)
    assert p.stop() == 0
    where = (kind, warehouse, wdb, duck)
    before = {t: loads(p, t) for t in ALL}
    # What only a load can mend: the log knows nothing of it.
    run_sql(*where, "UPDATE public.t SET v = 'spoilt' WHERE id = 7")
    run_sql(*where, "DELETE FROM public.t WHERE id > 900")

    url = dead_url()
    r = resync(p, "shop", "--table", "public.t", "-c", p.write(), url=url)
    assert (r.returncode, r.stderr) == (0, ""), r
    assert r.stdout == ("will be loaded again at the next start:\n  public.t\nno service answers at "
                        f"{url}: start it with penstock run -c {p.dir}/penstock.yaml\n"
                        f"follow it with: penstock status --url {url}\n")
    # Readable meanwhile, as it was.
    assert run_sql(*where, "SELECT count(*), max(v) FROM public.t") == [(900, "v99")]
    assert run_sql(*where, "SELECT state, loaded, reason FROM penstock.tables WHERE source_table = "
                           "'t'") == [("loading", False, "resync was asked for")]
    assert run_sql(*where, "SELECT DISTINCT state FROM penstock.tables WHERE source_table <> 't'"
                   ) == [("live",)]

    source.script("INSERT INTO t VALUES (2000, 'later')", db)
    p.start()
    p.wait_live(*ALL)
    wait_caught_up(p, source, db)
    after = {t: loads(p, t) for t in ALL}
    assert len(after["public.t"]) == len(before["public.t"]) + 1
    assert after["public.t"][-1] > max(n for t in before.values() for n in t)
    assert after["public.u"] == before["public.u"] and after["public.fence"] == before["public.fence"]
    assert p.stop() == 0
    assert_equal(*where[:1], source, db, warehouse, wdb, duck, *ALL)


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_after_a_kill_all_tables_by_the_warehouse_s_name(kind, source, db, warehouse, wdb, duck,
                                                         penstock):
    source.script(TABLES, db)
    p = penstock(config(kind, source, db, warehouse, wdb, duck)).start()
    p.wait_live(*ALL)
    source.script("INSERT INTO t VALUES (2000, 'later')", db)
    wait_caught_up(p, source, db)
    p.kill9()
    before = {t: loads(p, t) for t in ALL}
    p.write()
    # penstock.yaml of the working directory
    r = resync(p, "warehouse", "--output", "json", url=dead_url(), cwd=p.dir)
    assert r.returncode == 0, r
    assert json.loads(r.stdout) == {
        "service": "stopped", "id": None, "connector": "shop",
        "tables": ['"a.b".c', "public.fence", "public.t", "public.u"]}
    r = resync(p, "shop", "--table", '"a.b".c', url=dead_url(), cwd=p.dir)
    assert r.returncode == 0 and '\n  "a.b".c\n' in r.stdout, r
    p.start()
    p.wait_live(*ALL)
    assert all(len(loads(p, t)) == len(before[t]) + 1 for t in ALL), p.log()
    wait_caught_up(p, source, db)
    assert p.stop() == 0
    assert_equal(kind, source, db, warehouse, wdb, duck, *ALL)


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_wrong_names_change_nothing(kind, source, db, warehouse, wdb, duck, penstock):
    source.script(TABLES, db)
    p = penstock(config(kind, source, db, warehouse, wdb, duck)).start()
    p.wait_live(*ALL)
    assert p.stop() == 0
    for args, code, words in (
            (["shpo"], 1, "no connector shpo"), (["shpo"], 1, "did you mean shop?"),
            (["shop", "--table", "public.tt"], 1, "did you mean public.t?"),
            (["shop", "--table", "Public.T"], 1, "did you mean public.t?"),
            (["shop", "--table", "a.b.c"], 1, 'did you mean "a.b".c?'),
            (["shop", "--table", "t"], 2, "SCHEMA.TABLE"),
            ([], 2, "an argument is missing")):
        r = resync(p, *args, "-c", p.write(), url=dead_url())
        assert r.returncode == code and words in r.stderr and r.stdout == "", (args, r)
    assert run_sql(kind, warehouse, wdb, duck,
                   "SELECT DISTINCT state, loaded FROM penstock.tables") == [("live", True)]


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_nothing_is_made_where_nothing_was_loaded(kind, source, db, warehouse, wdb, duck, penstock):
    p = penstock(config(kind, source, db, warehouse, wdb, duck))
    r = resync(p, "shop", "-c", p.write(), url=dead_url())
    assert r.returncode == 1 and r.stdout == "", r
    if kind == "postgres":
        assert "nothing was ever loaded into warehouse warehouse" in r.stderr
        assert warehouse.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'penstock'",
                             wdb) == [(0,)]
    else:
        assert f"{duck} cannot be opened: No such file" in r.stderr
        assert not os.path.exists(duck)
    assert not os.path.exists(p.config["service"]["data.dir"])
    r = resync(p, "shop", url=dead_url())  # no file is named and none is there
    assert r.returncode == 1 and "no service answers" in r.stderr and "-c FILE" in r.stderr
    r = resync(p, "shop", "-c", p.dir + "/nosuch.yaml", url=dead_url())
    assert r.returncode == 2 and "nosuch.yaml" in r.stderr


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_a_service_that_runs_elsewhere_is_noticed(kind, source, db, warehouse, wdb, duck, penstock):
    source.script(TABLES, db)
    p = penstock(config(kind, source, db, warehouse, wdb, duck)).start()
    p.wait_live(*ALL)
    r = resync(p, "shop", "-c", p.write(), url=dead_url())
    assert r.returncode == 1 and "is in use by another penstock" in r.stderr, r
    assert "--url" in r.stderr and f"listen: 127.0.0.1:{p.port}" in r.stderr
    wait_caught_up(p, source, db)
    assert p.stop() == 0
    assert run_sql(kind, warehouse, wdb, duck,
                   "SELECT DISTINCT state, loaded FROM penstock.tables") == [("live", True)]


def test_a_locked_duckdb_file_is_said(source, db, duck, penstock):
    source.script(TABLES, db)
    p = penstock(to_duckdb(source, db, duck)).start()
    p.wait_live(*ALL)
    # As of another machine's or container's view: the file is shared, data.dir is not.
    elsewhere = json.load(open(p.write()))
    elsewhere["service"]["data.dir"] = p.dir + "/elsewhere"
    path = p.dir + "/elsewhere.yaml"
    with open(path, "w") as f:
        json.dump(elsewhere, f)
    r = resync(p, "shop", "--table", "public.t", "-c", path, url=dead_url())
    assert r.returncode == 1 and r.stdout == ""
    assert f"{duck} is in use by process {p.process.pid}" in r.stderr and "--url" in r.stderr
    assert p.stop() == 0
    r = resync(p, "shop", "--table", "public.t", "-c", path, url=dead_url())
    assert r.returncode == 0, r


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_a_running_service_loads_the_table_again_while_it_streams(kind, source, db, warehouse, wdb,
                                                                  duck, penstock):
    """The old copy is live until the new one takes its place, and no change is lost or doubled."""
    source.script(TABLES, db)
    p = penstock(config(kind, source, db, warehouse, wdb, duck)).start()
    p.wait_live(*ALL)
    wait_caught_up(p, source, db)
    before = {t: loads(p, t) for t in ALL}
    if kind == "postgres":  # what only a load can mend
        warehouse.sql("UPDATE public.t SET v = 'spoilt' WHERE id = 7", wdb)
    stop, failed = threading.Event(), []

    def write():
        try:
            with source.connect(db) as c:
                i = 0
                while not stop.is_set():
                    i += 1
                    c.execute("INSERT INTO t VALUES (%s, 'new')", (10000 + i,))
                    c.execute("UPDATE t SET v = v || 'x' WHERE id = %s", (100 + i % 800,))
                    c.execute("DELETE FROM t WHERE id = %s", (10000 + i // 2,))
        except Exception as e:  # noqa: BLE001: shown by the assertion below
            failed.append(e)

    def swapped():
        p.alive()
        assert p.tables()[("public", "t")]["state"] == "live"  # all the time
        if kind == "postgres":  # and never empty or half
            assert warehouse.sql("SELECT count(*) FROM public.t WHERE id <= 1000", wdb) == [(1000,)]
        return len(re.findall(r"table live table=public\.t ", p.log())) > 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        r = resync(p, "shop", "--table", "public.t")
        assert r.returncode == 0 and "  public.t\n" in r.stdout, r
        end = time.monotonic() + 60 * SLOW
        while not swapped():  # not wait_for: that takes a failed assertion for "not yet"
            assert time.monotonic() < end, p.log()[-4000:]
            time.sleep(0.02)
        if kind == "postgres":
            wait_for("the spoilt row is mended", lambda: warehouse.sql(
                "SELECT count(*) FROM public.t WHERE v LIKE 'spoilt%%'", wdb) == [(0,)])
    finally:
        stop.set()
        writer.join()
    assert not failed
    assert len(loads(p, "public.t")) == len(before["public.t"]) + 1
    assert loads(p, "public.u") == before["public.u"]
    assert not re.search(r"table state table=public\.t from=live", p.log())
    wait_caught_up(p, source, db)
    assert p.stop() == 0
    assert_equal(kind, source, db, warehouse, wdb, duck, *ALL)


# What the catalogue says of a column and no message of the log does: whether it may be NULL, and what
# its default comes to. A table that was loaded again is the catalogue's, its rows are the stream's.
CATALOGUE_ONLY = {
    "a default that is an expression": "ALTER TABLE t ADD c numeric(8,2) NOT NULL DEFAULT (17 * 3) / 2.0",
    "nullable now": "ALTER TABLE t ALTER v DROP NOT NULL",
    "required now": "ALTER TABLE t ALTER w SET NOT NULL",
    "another default": "ALTER TABLE t ALTER v SET DEFAULT 'x'",
}


@pytest.mark.parametrize("what", CATALOGUE_ONLY)
def test_a_load_finds_what_only_the_catalogue_knows(both, what):
    """Rows go on as before, during the load and after it: no second load."""
    b = both().run("CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL DEFAULT 'd', w int); INSERT INTO t "
                   "SELECT i, 'v', i FROM generate_series(1, 1000) i", "public.t")
    b.sql(CATALOGUE_ONLY[what], "INSERT INTO t VALUES (2000, 'a', 1)").caught_up()
    for kind in b.kinds:
        assert post(b.p, f"/v1/connectors/to_{kind}/snapshots", '{"tables": ["public.t"]}')[0] == 202

    def loaded():
        b.sql("UPDATE t SET w = w + 1 WHERE id <= 3")
        b.p.alive()
        return b.p.log().count("table live table=public.t ") == 4
    wait_for("both are loaded again", loaded, 30)
    b.sql("INSERT INTO t VALUES (3000, 'b', 1)", "DELETE FROM t WHERE id = 7",
          "UPDATE t SET id = -id WHERE id = 9").caught_up()
    if what == "nullable now":
        b.sql("UPDATE t SET v = NULL WHERE id = 4", "UPDATE t SET id = -id, v = NULL WHERE id = 5")
    b.equal("public.t")
    assert "table stops" not in b.p.log() and b.loads("public.t") == 4, b.p.log()[-3000:]


@pytest.mark.parametrize("first,then", [
    ("ALTER TABLE t ADD c int DEFAULT 5", "ALTER TABLE t RENAME v TO w"),
    ("ALTER TABLE t RENAME v TO w", "ALTER TABLE t RENAME w TO x"),
    ("ALTER TABLE t ADD c text; ALTER TABLE t ADD d text", "ALTER TABLE t DROP n"),
    ("ALTER TABLE t DROP n", "ALTER TABLE t ADD n int")])
def test_a_load_in_a_version_that_the_log_passes_over(both, first, then):
    """No row is changed between the two: the log goes from the version before the first to the one
    behind the second, the copy was made in the one between."""
    b = both().run("CREATE TABLE t (id int PRIMARY KEY, v text, n int); INSERT INTO t SELECT i, 'v', i "
                   "FROM generate_series(1, 50) i", "public.t")
    b.caught_up()
    b.sql(*first.split("; "))
    for kind in b.kinds:
        assert post(b.p, f"/v1/connectors/to_{kind}/snapshots", '{"tables": ["public.t"]}')[0] == 202
    wait_for("both are loaded again", lambda: b.p.alive() and b.p.log().count(
        "table live table=public.t ") >= 4, 40)
    b.sql(then, "INSERT INTO t (id) VALUES (100)", "UPDATE t SET id = -id WHERE id < 4")
    b.caught_up().live("public.t")
    b.equal("public.t")
    assert "kind=fatal" not in b.p.log(), b.p.log()[-3000:]


def test_an_attempt_ends_after_a_load(both):
    """What the loads' thread has made is still used when the attempt ends: freed memory is filled
    with rubbish here."""
    b = both(env={"MALLOC_PERTURB_": "165"}).run(TABLES, "public.t", "public.u")
    for n in (2, 3):
        for kind in b.kinds:
            assert post(b.p, f"/v1/connectors/to_{kind}/snapshots", '{"tables": ["public.t"]}')[0] == 202
        wait_for("loaded again", lambda n=n: b.loads("public.t") == 2 * n)
        b.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT "
              "NULL AND database = current_database()", "INSERT INTO t VALUES (%d, 'x')" % (5000 + n))
        b.caught_up()
    b.equal("public.t", "public.u")


def test_a_quiet_table_that_was_altered_is_loaded_again_once(both):
    """The log has not told of the alteration yet: the copy takes the table's place all the same, and
    what comes then finds it altered."""
    b = both(service={"schema.compatibility": "NONE"}).run(
        "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t SELECT i, 'a' FROM "
        "generate_series(1, 50) i", "public.t").caught_up()
    b.sql("ALTER TABLE t ADD c int DEFAULT 7", "ALTER TABLE t RENAME a TO b")
    for kind in b.kinds:
        assert resync(b.p, "to_" + kind, "--table", "public.t").returncode == 0
    wait_for("the copies are in their place", lambda: b.p.alive() and
             b.p.log().count("table live table=public.t ") == 4, 60)
    b.sql("INSERT INTO t VALUES (51, 'n', 8)", "UPDATE t SET c = 9 WHERE id = 3",
          "ALTER TABLE t DROP c", "DELETE FROM t WHERE id = 4").caught_up()
    assert b.loads("public.t") == 4
    b.equal_postgres("public.t").equal("public.t")
