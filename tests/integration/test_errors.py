# SPDX-License-Identifier: Apache-2.0
"""Errors provoked at real servers: the status says what docs/errors.md says of them, the task is in
the state that their kind asks for, and no value of a row gets into it."""
import glob
import os
import re
import signal
import socket
import subprocess
import threading

import duckdb
import pytest
from harness import (DEPS, PENSTOCK, Postgres, assert_equal_duckdb, assert_equal_postgres,
                     free_port, to_duckdb, to_postgres, wait_caught_up, wait_for)

TABLES = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one'); " \
         "CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u VALUES (1, 'one')"
STATES = {"retry": "RESTARTING", "configuration": "FAILED", "data": "FAILED",
          "conflict": "FAILED", "fatal": "FAILED"}
SECRET = "s3cr3t-value"


class Page:
    """docs/errors.md as the program prints it: (section, code or cause) -> rows."""

    def __init__(self):
        text = subprocess.run([PENSTOCK, "config", "--errors"], capture_output=True, text=True,
                              check=True).stdout
        self.rows = {}
        section = ""
        for line in text.split("\n"):
            section = line[3:].replace("`", "") if line.startswith("## ") else section
            cells = [re.sub(r"\\(.)", r"\1", c.strip()).strip("`")
                     for c in re.split(r"(?<!\\)\|", line)[1:-1]]
            if len(cells) == 4 and cells[0] not in ("Cause", "---"):
                cells = [cells[0], *cells]
            if len(cells) == 5 and cells[0] not in ("Code", "---"):
                self.rows.setdefault((section, cells[0]), []).append(cells)

    def one(self, section, code, name=None):
        rows = [r for r in self.rows[(section, code)] if name is None or r[1] == name]
        assert len(rows) == 1, (section, code, name, rows)
        return rows[0]


@pytest.fixture(scope="module")
def page():
    return Page()


def pattern(who):
    """A hint of the page, with anything in the place of the words in braces."""
    if who == "nobody: it passes by itself":
        return ""
    return "; to mend it: " + ".+".join(
        re.escape(part) for part in re.split(r"\{[a-z]+\}", who))


def shows(p, connector, row, code="", poke=None, timeout=20):
    """The task's trace, once it is the documented one."""
    says = (f"\\({code}\\)" if code else "") + pattern(row[4]).replace("`", "")

    def seen():
        p.alive()
        if poke:
            poke()
        t = p.status(connector)["tasks"][0]
        return t["state"] == STATES[row[2]] and \
            re.search(says, t.get("trace", "").replace("`", "")) and t["trace"]
    try:
        return wait_for(f"{connector}: {row}", seen, timeout, interval=0.02)
    except AssertionError as e:
        raise AssertionError(f"{e}\n{p.status(connector)}\n{p.log()[-3000:]}") from None


def running(p, connector):
    return p.status(connector)["tasks"][0]["state"] == "RUNNING"


def live(penstock, source, db, warehouse, wdb, /, **more):
    source.script(TABLES, db)
    p = penstock(to_postgres(source, db, warehouse, wdb, **more)).start()
    p.wait_live("public.t", "public.u")
    return p


def goes_on(p, source, db, warehouse, wdb, *tables):
    p.wait_live(*tables)
    source.sql("INSERT INTO t VALUES (100, 'after')", db)
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, *tables)


# ----------------------------------------------------------------------------------- the tables

def test_names_are_the_manuals(page):
    """Against the server's own list, of every version that is here."""
    lists = glob.glob("/usr/share/postgresql/*/errcodes.txt") + glob.glob(
        f"{DEPS}/pg*/native/share/postgresql/errcodes.txt")
    names, classes, errors = {}, set(), set()
    for path in lists:
        for line in open(path):
            m = re.match(r"([0-9A-Z]{5})\s+([EWS])\s+\S+(?:\s+(\S+))?", line)
            if not m:
                continue
            if m[2] == "E":
                classes.add(m[1][:2])
            if m[3] and m[2] == "E":
                names.setdefault(m[1], m[3])
                errors.add(m[3])
    assert len(lists) > 1 and len(names) > 200
    documented = {s: {c for sec, c in page.rows if sec == s} for s in
                  ("Source postgres", "Warehouse postgres-warehouse")}
    here = documented["Source postgres"] | documented["Warehouse postgres-warehouse"]
    assert classes - {c[:2] for c in here} == set()
    for (section, code), rows in page.rows.items():
        if not section.endswith(("postgres", "postgres-warehouse")) or not code or code == "42501":
            continue
        for row in rows:
            if len(code) == 5 and code in names:
                assert row[1] == names[code], row
            elif len(code) == 5:
                assert code == "25P04", f"{code} is no state of the manual"  # since 17
            else:
                assert code in classes and row[1] in errors, row


def test_the_page_of_the_tree_is_current():
    root = os.path.join(os.path.dirname(__file__), "..", "..")
    out = subprocess.run([PENSTOCK, "config", "--errors"], capture_output=True, text=True,
                         check=True).stdout
    assert open(os.path.join(root, "docs", "errors.md")).read() == out, "make docs"


# ----------------------------------------------------------------------------------- the source

@pytest.fixture(scope="module")
def guarded():
    """A server that asks everybody but postgres for a password."""
    s = Postgres(role="guarded")
    s.script("CREATE ROLE someone LOGIN REPLICATION PASSWORD 'right-one'; "
             "CREATE ROLE outsider LOGIN REPLICATION PASSWORD 'right-one'")
    with open(f"{s.dir}/data/pg_hba.conf", "w") as f:
        f.write("local all all trust\nhost all postgres 127.0.0.1/32 trust\n"
                "host all outsider 127.0.0.1/32 reject\n"
                "host all all 127.0.0.1/32 scram-sha-256\n")
    s.sql("SELECT pg_reload_conf()")
    yield s
    s.stop()


def from_guarded(guarded, duck, user, password=None, **more):
    c = to_duckdb(guarded, "postgres", duck, source={"database.user": user, **more})
    if password:
        c["connectors"]["shop"]["database.password"] = password
    return c


def test_source_wrong_password(page, guarded, duck, penstock):
    p = penstock(from_guarded(guarded, duck, "someone", "wrong-one")).start()
    trace = shows(p, "shop", page.one("Source postgres", "28P01"), "28P01")
    assert '"someone"' in trace and "wrong-one" not in trace + p.log()
    assert p.stop() == 0


def test_source_no_password(page, guarded, duck, penstock):
    p = penstock(from_guarded(guarded, duck, "someone")).start()
    trace = shows(p, "shop", page.one("Causes", "password-missing"))
    assert "database.password" in trace
    assert "kind=configuration cause=password-missing" in p.log()
    assert p.stop() == 0


def test_source_not_let_in(page, guarded, duck, penstock):
    p = penstock(from_guarded(guarded, duck, "outsider", "right-one")).start()
    shows(p, "shop", page.one("Source postgres", "28"), "28000")
    assert p.stop() == 0


def test_source_no_such_database(page, source, duck, penstock):
    p = penstock(to_duckdb(source, "nowhere", duck)).start()
    shows(p, "shop", page.one("Source postgres", "3D000"), "3D000")
    assert p.stop() == 0


def test_source_nobody_listens(page, source, db, duck, penstock):
    p = penstock(to_duckdb(source, db, duck, source={"database.port": str(free_port())})).start()
    trace = shows(p, "shop", page.one("Causes", "server-unreachable"))
    assert "database.hostname and database.port" in trace
    waits = wait_for("several tries", lambda: (n := p.log().count("cause=server-unreachable")) > 3
                     and n, 15)
    assert waits < 20, "back-off"
    assert p.stop() == 0


def test_source_something_else_answers(page, source, db, duck, penstock):
    """A web server, say."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        def answer():
            try:
                while True:
                    client, _ = s.accept()
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    client.close()
            except OSError:
                return
        threading.Thread(target=answer, daemon=True).start()
        p = penstock(to_duckdb(source, db, duck, source={
            "database.port": str(s.getsockname()[1]), "database.sslmode": "require"})).start()
        shows(p, "shop", page.one("Causes", "parameter-refused"))
    assert p.stop() == 0


def test_source_missing_right(page, source, db, duck, penstock):
    """CREATE on the database, for the publication; then SELECT on one table."""
    role = f"r_{db}"
    source.script(f"{TABLES}; CREATE ROLE {role} LOGIN REPLICATION; REVOKE CREATE ON DATABASE {db} "
                  "FROM PUBLIC", db)
    try:
        p = penstock(to_duckdb(source, db, duck, source={"database.user": role})).start()
        for t in ("t", "u", "fence"):
            source.sql(f"ALTER TABLE {t} OWNER TO {role}", db)
        t = wait_for("FAILED", lambda: p.alive() and (
            t := p.status("shop")["tasks"][0])["state"] == "FAILED" and t)
        row = page.one("Source postgres", "42501", "insufficient_privilege")
        assert row[2] == "configuration"
        assert "(42501)" in t["trace"] and f'TO "{role}"' in t["trace"]
        source.script(f"GRANT CREATE ON DATABASE {db} TO {role}; ALTER TABLE t OWNER TO postgres; "
                      f"CREATE PUBLICATION penstock_shop FOR ALL TABLES", db)
        p.wait_live("public.u")
        stopped = p.tables()[("public", "t")]
        who = page.one("Causes", "table-unreadable")[4]
        assert stopped["state"] == "refused"
        assert re.search(pattern(who).replace("; to mend it", "; run").replace("run: run", "run"),
                         stopped["reason"]), stopped
        assert f'GRANT SELECT ON "public"."t" TO "{role}"' in stopped["reason"]
        assert p.stop() == 0
    finally:
        source.script(f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; "
                      f"DROP ROLE {role}", db)


def walsender(source, db):
    return source.sql("SELECT active_pid FROM pg_replication_slots WHERE database = %s AND "
                      "active_pid IS NOT NULL", "postgres", (db,))


def test_source_statement_cancelled_and_session_ended(page, source, db, warehouse, wdb, penstock):
    p = live(penstock, source, db, warehouse, wdb)
    for ends, code in (("pg_cancel_backend", "57014"), ("pg_terminate_backend", "57P01")):
        def poke(ends=ends):
            for (pid,) in walsender(source, db):
                source.sql(f"SELECT {ends}(%s)", "postgres", (pid,))
        shows(p, "shop", page.one("Source postgres", code), code, poke=poke)
        wait_for("running again", lambda: running(p, "shop"), 60)
    goes_on(p, source, db, warehouse, wdb, "public.t", "public.u")
    assert p.stop() == 0


def test_source_server_stops(page, warehouse, wdb, penstock):
    source = Postgres()
    try:
        source.create("d")
        p = live(penstock, source, "d", warehouse, wdb)
        source.stop()
        shows(p, "shop", page.one("Causes", "server-unreachable"))
        source.start()
        wait_for("running again", lambda: running(p, "shop"), 60)
        goes_on(p, source, "d", warehouse, wdb, "public.t", "public.u")
        assert p.stop() == 0
    finally:
        source.stop()


def test_source_crashes(page, warehouse, wdb, penstock):
    """A backend killed: 57P02 for the others, 57P03 while it recovers."""
    source = Postgres()
    try:
        source.create("d")
        p = live(penstock, source, "d", warehouse, wdb)
        victim = source.connect("d")
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        wait_for("retried", lambda: p.alive() and re.search(
            r"retrying: .*(57P02|57P03|connection-lost|server-unreachable).*kind=retry|"
            r"retrying: .*kind=retry cause=(connection-lost|server-unreachable)", p.log()), 30)
        wait_for("running again", lambda: running(p, "shop"), 60)
        goes_on(p, source, "d", warehouse, wdb, "public.t", "public.u")
        assert p.stop() == 0
    finally:
        source.stop()


# --------------------------------------------------------------------------- the Postgres warehouse

SINK = "Warehouse postgres-warehouse"


def test_warehouse_wrong_password_and_not_let_in(page, source, db, guarded, penstock):
    source.script(TABLES, db)
    for user, row in (("someone", page.one(SINK, "28P01")), ("outsider", page.one(SINK, "28"))):
        c = to_postgres(source, db, guarded, "postgres", **{
            "connection.url": f"postgres://{user}:wrong-one@127.0.0.1:{guarded.port}/postgres"})
        p = penstock(c).start()
        trace = shows(p, "warehouse", row, "28(P01|000)")
        assert f'"{user}"' in trace and "wrong-one" not in trace + p.log()
        assert p.stop() == 0


def test_warehouse_no_such_database(page, source, db, warehouse, penstock):
    p = penstock(to_postgres(source, db, warehouse, "no such")).start()
    trace = shows(p, "warehouse", page.one(SINK, "3D000"), "3D000")
    assert 'CREATE DATABASE "no such" OWNER "postgres"' in trace
    assert p.stop() == 0


def test_warehouse_missing_right(page, source, db, warehouse, wdb, penstock):
    role = f"r_{wdb}"
    source.script(TABLES, db)
    warehouse.sql(f"CREATE ROLE {role} LOGIN", wdb)
    try:
        p = penstock(to_postgres(source, db, warehouse, wdb,
                                 **{"connection.url": warehouse.url(wdb, role)})).start()
        trace = shows(p, "warehouse", page.one(SINK, "42501", "permission denied for database"),
                      "42501")
        assert f'GRANT CREATE ON DATABASE "{wdb}" TO "{role}"' in trace
        warehouse.sql(f"GRANT CREATE ON DATABASE {wdb} TO {role}", wdb)
        shows(p, "warehouse", page.one(SINK, "42501", "permission denied for schema"), "42501")
        warehouse.sql(f"GRANT USAGE, CREATE ON SCHEMA public TO {role}", wdb)
        p.wait_live("public.t", "public.u")
        assert p.stop() == 0
    finally:
        warehouse.script(f"DROP OWNED BY {role}; DROP ROLE {role}", wdb)


def test_warehouse_is_a_standby(page, source, db, penstock):
    """Read only by nature: what refuses there is BEGIN READ WRITE, with 0A000."""
    warehouse = Postgres(role="warehouse")
    try:
        warehouse.create("w")
        p = live(penstock, source, db, warehouse, "w")
        warehouse.stop()
        signal_file = f"{warehouse.dir}/data/standby.signal"
        open(signal_file, "w").close()
        warehouse.start()
        source.sql("INSERT INTO t VALUES (2, 'two')", db)
        shows(p, "warehouse", page.one(SINK, "25006"), "(25006|0A000)", timeout=60)
        warehouse.stop()
        os.remove(signal_file)
        warehouse.start()
        goes_on(p, source, db, warehouse, "w", "public.t", "public.u")
        assert p.stop() == 0
    finally:
        warehouse.stop()


def test_warehouse_statement_cancelled(page, source, db, warehouse, wdb, penstock):
    p = live(penstock, source, db, warehouse, wdb)
    with warehouse.connect(wdb, autocommit=False) as blocker:
        blocker.execute("LOCK TABLE public.t")
        source.sql("INSERT INTO t VALUES (2, 'two')", db)

        def cancel():
            warehouse.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = %s "
                          "AND application_name LIKE 'penstock:%%' AND wait_event_type = 'Lock'",
                          "postgres", (wdb,))
        shows(p, "warehouse", page.one(SINK, "57014"), "57014", poke=cancel)
    goes_on(p, source, db, warehouse, wdb, "public.t", "public.u")
    assert p.stop() == 0


def test_warehouse_server_stops(page, source, db, penstock):
    warehouse = Postgres(role="warehouse")
    try:
        warehouse.create("w")
        p = live(penstock, source, db, warehouse, "w")
        warehouse.stop()
        source.sql("INSERT INTO t VALUES (2, 'two')", db)
        trace = shows(p, "warehouse", page.one("Causes", "server-unreachable"), timeout=30)
        assert "connection.url" in trace
        warehouse.start()
        goes_on(p, source, db, warehouse, "w", "public.t", "public.u")
        assert p.stop() == 0
    finally:
        warehouse.stop()


def stopped(p, table, row, code=None):
    """The reason of a table that stopped, once it is the documented one."""
    def there():
        p.alive()
        t = p.tables()[("public", table)]
        return t["state"] == "needs snapshot" and \
            re.search(pattern(row[4])[len("; to mend it: "):], t["reason"]) and t
    try:
        t = wait_for(f"{table} stopped: {row}", there, 30)
    except AssertionError as e:
        raise AssertionError(f"{e}\n{p.tables()}\n{p.log()[-3000:]}") from None
    assert SECRET not in t["reason"] + p.log()
    return t


@pytest.mark.parametrize("what,code", [
    ("ALTER TABLE {t} ADD CHECK (v <> '" + SECRET + "')", "23514"),
    ("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.v = ''" + SECRET +
     "'' THEN RAISE ''not %'', NEW.v; END IF; RETURN NEW; END'; CREATE TRIGGER no BEFORE INSERT "
     "OR UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION no()", "P0"),
    ("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW.v::int; END'; "
     "CREATE TRIGGER no BEFORE INSERT OR UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION no()", "22"),
])
def test_warehouse_a_users_change_stops_that_table(page, what, code, source, db, warehouse, wdb,
                                                   penstock):
    p = live(penstock, source, db, warehouse, wdb)
    warehouse.script(what.format(t="public.t"), wdb)
    source.sql("INSERT INTO t VALUES (2, %s)", db, (SECRET,))
    stopped(p, "t", page.one(SINK, code))
    assert page.one(SINK, code)[2] == "data"
    source.sql("INSERT INTO u VALUES (2, 'two')", db)
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, "public.u")
    assert p.stop() == 0


@pytest.mark.parametrize("what,code", [("ALTER TABLE {t} DROP COLUMN v", "42703"),
                                       ("DROP TABLE {t}", "42P01")])
def test_warehouse_a_target_that_is_spoilt_is_loaded_again_by_itself(page, what, code, source, db,
                                                                     warehouse, wdb, penstock):
    p = live(penstock, source, db, warehouse, wdb)
    warehouse.script(what.format(t="public.t"), wdb)
    source.sql("INSERT INTO t VALUES (2, %s)", db, (SECRET,))
    wait_for("loaded again", lambda: p.alive() and p.log().count("table loaded table=public.t ") == 2)
    p.wait_live("public.t", "public.u")
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, "public.t", "public.u")
    assert page.one(SINK, code)[4] in p.log() and SECRET not in p.log()
    assert p.stop() == 0


# ------------------------------------------------------------------------------------- DuckDB

def test_duckdb_file_in_use(page, source, db, duck, penstock):
    source.script(TABLES, db)
    with duckdb.connect(duck) as c:
        c.execute("CREATE TABLE mine (i int)")
        p = penstock(to_duckdb(source, db, duck)).start()
        trace = shows(p, "warehouse", page.one("Causes", "file-in-use"))
        assert str(os.getpid()) in trace
        assert "kind=conflict cause=file-in-use" in p.log()
    assert p.stop() == 0


def test_duckdb_no_duckdb_file(page, source, db, duck, penstock):
    with open(duck, "w") as f:
        f.write("x" * 20000)
    p = penstock(to_duckdb(source, db, duck)).start()
    t = wait_for("FAILED", lambda: p.alive() and (
        t := p.status("warehouse")["tasks"][0])["state"] == "FAILED" and t)
    assert "connection.url" in t["trace"] and "cause=file-unusable" in p.log()
    assert page.one("Causes", "file-unusable")[2] == "configuration"
    assert p.stop() == 0


def test_duckdb_a_users_index(page, source, db, duck, penstock):
    """Made while the service did not have the file; DuckDB finds it out at the commit only."""
    source.script(TABLES, db)
    p = penstock(to_duckdb(source, db, duck)).start()
    p.wait_live("public.t", "public.u")
    assert p.stop() == 0
    with duckdb.connect(duck) as c:
        c.execute("CREATE UNIQUE INDEX one_each ON public.t (v)")
    source.sql("INSERT INTO t VALUES (2, %s), (3, %s)", db, (SECRET, SECRET))
    p.start()
    trace = shows(p, "warehouse", page.one("Warehouse duckdb", "TransactionContext Error",
                                           "duckdb-commit-constraint"))
    assert SECRET not in trace + p.log()
    assert p.stop() == 0
    with duckdb.connect(duck) as c:
        c.execute("DROP INDEX public.one_each")
    p.start()
    wait_caught_up(p, source, db)
    assert p.stop() == 0
    assert_equal_duckdb(source, db, duck, "public.t", "public.u")


# ------------------------------------------------------------------------------------- causes

def test_books_of_a_newer_penstock(page, source, db, warehouse, wdb, penstock):
    p = live(penstock, source, db, warehouse, wdb)
    assert p.stop() == 0
    warehouse.sql("UPDATE penstock.meta SET version = 999", wdb)
    p.start()
    shows(p, "warehouse", page.one("Causes", "books-newer"))
    assert "cause=books-newer" in p.log()
    assert p.stop() == 0


def test_a_table_without_a_key_is_refused(page, source, db, warehouse, wdb, penstock):
    source.script(TABLES + "; CREATE TABLE k (v text)", db)
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    p.wait_live("public.t")
    t = p.tables()[("public", "k")]
    assert t["state"] == "refused"
    assert re.search(pattern(page.one("Causes", "table-keyless")[4])[len("; to mend it: "):],
                     t["reason"]), t
    assert p.stop() == 0
