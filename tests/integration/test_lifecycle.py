# SPDX-License-Identifier: Apache-2.0
"""pause, resume, restart: by Kafka Connect's endpoints and by the command line."""
import json
import subprocess
import urllib.error
import urllib.request

import pytest
from harness import PENSTOCK, assert_equal_postgres, to_postgres, wait_caught_up, wait_for
from workload import SCHEMA, TABLES, Bank


def ask(p, method, path):
    """Status, headers, body."""
    r = urllib.request.Request(f"http://127.0.0.1:{p.port}{path}", method=method, data=b"")
    r.headers.pop("Content-type", None)
    try:
        with urllib.request.urlopen(r, timeout=10) as a:
            return a.status, dict(a.headers), a.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, dict(e.headers), e.read().decode()


def state(p, name):
    s = p.status(name)
    return s["connector"]["state"], s["tasks"][0]["state"]


def cli(p, *args):
    return subprocess.run([PENSTOCK, *args, "--url", f"http://127.0.0.1:{p.port}"],
                          capture_output=True, text=True, timeout=30)


def position(source, db):
    return source.sql("SELECT confirmed_flush_lsn, active FROM pg_replication_slots", db)[0]


@pytest.fixture
def p(source, db, warehouse, wdb, penstock):
    source.script(SCHEMA, db)
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    p.wait_live(*TABLES)
    wait_caught_up(p, source, db)
    return p


@pytest.mark.parametrize("name,other", [("shop", "warehouse"), ("warehouse", "shop")])
def test_paused_it_stands_and_resumed_it_goes_on(name, other, p, source, db, warehouse, wdb):
    bank = Bank(source, db, 1, pause=0.002)
    bank.start()
    status, headers, body = ask(p, "PUT", f"/connectors/{name}/pause")
    assert (status, body) == (202, "") and "Content-Type" not in headers
    wait_for("paused", lambda: state(p, name) == ("PAUSED", "PAUSED"), 20)
    assert state(p, other) == ("RUNNING", "UNASSIGNED")
    assert ask(p, "PUT", f"/connectors/{name}/pause")[0] == 202
    status, _, body = ask(p, "GET", "/readyz")
    assert status == 503 and name in body
    at = position(source, db)
    assert at[1] is False  # nobody reads the slot
    before = warehouse.sql("SELECT max(tx) FROM public.marks", wdb)
    wait_for("work", lambda n=bank.transactions: bank.transactions > n + 50, 20)
    assert position(source, db) == at and warehouse.sql("SELECT max(tx) FROM public.marks", wdb) == before
    wait_for("it is said for whose sake", lambda: f"connector {name} is paused" in (
        p.status("shop")["penstock"]["pinned_by"] or ""), 20)
    assert ask(p, "PUT", f"/connectors/{name}/resume")[0] == 202
    wait_for("running", lambda: state(p, name) == ("RUNNING", "RUNNING"), 20)
    bank.stop()
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, *TABLES)


@pytest.mark.parametrize("paused,resumed", [("warehouse", "shop"), ("shop", "warehouse")])
def test_either_name_resumes(paused, resumed, p, source, db, warehouse, wdb):
    assert cli(p, "pause", paused).returncode == 0
    wait_for("paused", lambda: state(p, paused) == ("PAUSED", "PAUSED"), 20)
    r = cli(p, "resume", resumed)
    assert r.returncode == 0 and "goes on" in r.stdout
    for name in ("shop", "warehouse"):
        wait_for("running", lambda n=name: state(p, n) == ("RUNNING", "RUNNING"), 20)
    source.script("INSERT INTO log_lines VALUES ('later', 1)", db)
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, *TABLES)
    p.kill9()
    p.start().wait_live(*TABLES)  # nor does a pause come back
    assert "still paused" not in p.log()


def test_paused_stays_paused_over_a_restart(p, source, db, warehouse, wdb):
    assert cli(p, "pause", "shop").returncode == 0
    wait_for("paused", lambda: state(p, "shop") == ("PAUSED", "PAUSED"), 20)
    p.kill9()
    p.start()
    wait_for("paused", lambda: p.alive() and "listening" in p.log().splitlines()[-1] or state(
        p, "shop") == ("PAUSED", "PAUSED"), 20)
    wait_for("paused", lambda: state(p, "shop") == ("PAUSED", "PAUSED"), 20)
    assert position(source, db)[1] is False and "still paused" in p.log()
    r = cli(p, "resume", "shop")
    assert r.returncode == 0 and "goes on" in r.stdout
    source.script("INSERT INTO log_lines VALUES ('later', 1)", db)
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, *TABLES)
    assert p.stop() == 0
    p.start().wait_live(*TABLES)
    wait_for("running", lambda: state(p, "shop") == ("RUNNING", "RUNNING"), 20)


def test_paused_it_ends_on_sigterm_and_pauses_again_while_a_load_runs(p, source, db, warehouse, wdb):
    source.script("CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT i, "
                  "repeat(md5(i::text), 20) FROM generate_series(1, 60000) i", db)
    for _ in range(4):
        assert ask(p, "PUT", "/connectors/shop/pause")[0] == 202
        wait_for("paused", lambda: state(p, "shop") == ("PAUSED", "PAUSED"), 20)
        assert ask(p, "PUT", "/connectors/shop/resume")[0] == 202
        wait_for("running", lambda: state(p, "shop") == ("RUNNING", "RUNNING"), 20)
    p.wait_live("public.big")
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, "public.big", *TABLES)
    assert warehouse.sql("SELECT table_name FROM information_schema.tables WHERE table_name LIKE "
                         "'\\_penstock\\_load%%'", wdb) == []
    assert ask(p, "PUT", "/connectors/shop/pause")[0] == 202
    wait_for("paused", lambda: state(p, "shop") == ("PAUSED", "PAUSED"), 20)
    assert p.stop() == 0


def test_restart_makes_the_connections_anew(p, source, db):
    pid = "SELECT active_pid FROM pg_replication_slots"
    before = source.sql(pid, db)
    status, headers, body = ask(p, "POST", "/connectors/shop/restart")
    assert (status, body) == (204, "")
    wait_for("another session", lambda: source.sql(pid, db) not in (before, [(None,)]), 20)
    wait_for("running", lambda: state(p, "shop") == ("RUNNING", "RUNNING"), 20)
    before = source.sql(pid, db)
    status, _, body = ask(p, "POST", "/connectors/warehouse/restart?includeTasks=true")
    body = json.loads(body)
    assert status == 202 and body["connector"]["state"] == body["tasks"][0]["state"] == "RESTARTING"
    wait_for("another session", lambda: source.sql(pid, db) not in (before, [(None,)]), 20)
    wait_for("running", lambda: state(p, "shop") == ("RUNNING", "RUNNING"), 20)
    before = source.sql(pid, db)
    status, _, body = ask(p, "POST", "/connectors/shop/restart?includeTasks=true&onlyFailed=true")
    assert status == 202 and json.loads(body)["connector"]["state"] == "RUNNING"
    assert ask(p, "POST", "/connectors/shop/tasks/0/restart")[0] == 204
    wait_for("another session", lambda: source.sql(pid, db) not in (before, [(None,)]), 20)


def test_restart_revives_what_had_failed_for_good(p, source, db, warehouse, wdb):
    """The slot is gone: FAILED until the tables are to be loaded anew."""
    assert p.stop() == 0
    slot = source.sql("SELECT slot_name FROM pg_replication_slots WHERE database = "
                      "current_database()", db)[0][0]
    source.sql("SELECT pg_drop_replication_slot(%s)", db, (slot,))
    p.start()
    wait_for("failed", lambda: state(p, "shop")[1] == "FAILED", 30)
    r = cli(p, "restart", "shop")
    assert r.returncode == 0 and "starts again" in r.stdout
    wait_for("failed again", lambda: p.log().count("slot penstock_shop") > 1 and
             p.log().count(" error failed") == 2, 30)
    warehouse.script("DELETE FROM penstock.checkpoints; DELETE FROM penstock.tables", wdb)
    assert ask(p, "POST", "/connectors/shop/restart?includeTasks=true&onlyFailed=true")[0] == 202
    p.wait_live(*TABLES)
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, *TABLES)


@pytest.mark.parametrize("method,path,status,says", [
    ("PUT", "/connectors/nope/pause", 404, "Unknown connector nope"),
    ("PUT", "/connectors/nope/resume", 404, "Unknown connector nope"),
    ("POST", "/connectors/nope/restart", 404, "Unknown connector: nope"),
    ("POST", "/connectors/nope/tasks/0/restart", 404, "Unknown connector: nope"),
    ("POST", "/connectors/shop/tasks/9/restart", 404, "Unknown task: shop-9"),
    ("POST", "/connectors/shop/tasks/x/restart", 404, "HTTP 404 Not Found"),
    ("POST", "/connectors/shop/pause", 405, "HTTP 405 Method Not Allowed"),
    ("GET", "/connectors/shop/restart", 405, "HTTP 405 Method Not Allowed")])
def test_wrong_requests(method, path, status, says, source, db, warehouse, wdb, penstock):
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    wait_for("it listens", lambda: p.alive() and "listening" in p.log(), 10)
    got, _, body = ask(p, method, path)
    assert got == status and json.loads(body) == {"error_code": status, "message": says}


def test_the_command_line_says_what_is_wrong(p):
    r = cli(p, "pause", "nope")
    assert r.returncode == 1 and "Unknown connector nope" in r.stderr
    for bad in (["pause"], ["resume", "a", "b"], ["restart", ""]):
        assert cli(p, *bad).returncode == 2
    p.kill9()
    r = cli(p, "pause", "shop")
    assert r.returncode == 1 and "no service answers" in r.stderr
