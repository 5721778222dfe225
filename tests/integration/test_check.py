# SPDX-License-Identifier: Apache-2.0
"""`penstock check` against real servers: what it says, that its fixes are what is missing when they
are run as printed, and that it changes nothing on either side."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import uuid

import duckdb
import pytest
from harness import (PENSTOCK, Postgres, as_server_user, assert_equal_duckdb, base, free_port, source_config,
                     to_duckdb, to_postgres, wait_caught_up, wait_for)


def run(*args, env=None, timeout=60):
    return subprocess.run([PENSTOCK, "check", *args], capture_output=True, text=True,
                          timeout=timeout, env={**os.environ, **(env or {})})


class Report:
    def __init__(self, *args, code=None):
        r = run(*args, "--output", "json")
        assert r.returncode in (0, 1), r.stderr
        self.code = r.returncode
        self.json = json.loads(r.stdout)
        self.findings = self.json["findings"]
        assert self.json["ok"] == (self.code == 0)
        assert (self.code == 1) == any(f["severity"] == "error" for f in self.findings)
        if code is not None:
            assert self.code == code, json.dumps(self.findings, indent=1)

    def find(self, pattern, severity=None, subject=None):
        """The one finding whose message matches."""
        found = [f for f in self.findings if re.search(pattern, f["message"])
                 and severity in (None, f["severity"]) and subject in (None, f["subject"])]
        assert len(found) == 1, (pattern, json.dumps(found or self.findings, indent=1))
        return found[0]

    def none(self, pattern):
        found = [f for f in self.findings if re.search(pattern, f["message"])]
        assert not found, json.dumps(found, indent=1)

    def errors(self):
        return [f for f in self.findings if f["severity"] == "error"]

    def sql(self):
        return [s for f in self.errors() for s in f["sql"]]

    def table(self, name):
        return next(t for t in self.json["tables"] if f"{t['schema']}.{t['table']}" == name)


def between(source, db, to, *more, user="postgres", code=None):
    return Report("--from", source.url(db, user), "--to", to, *more, code=code)


@pytest.fixture
def role(source):
    name = "r" + uuid.uuid4().hex[:8]
    source.sql(f"CREATE ROLE {name} LOGIN")
    yield name
    for (db,) in source.sql("SELECT datname FROM pg_database WHERE datallowconn"):
        source.sql(f"DROP OWNED BY {name}", db)
    source.sql(f"DROP ROLE {name}")


def catalog(server, db):
    """Everything that the catalogue holds of a database, settings and slots."""
    out = {}
    with server.connect(db, autocommit=False) as c:
        c.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        names = [r[0] for r in c.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND "
            "relkind = 'r' AND relname NOT IN ('pg_statistic') ORDER BY 1")]
        for n in names:
            # what autovacuum and vacuum of other tables change by themselves is not ours
            cols = ("oid, relname, relnamespace, relowner, relacl, relkind, relfilenode, relreplident"
                    if n == "pg_class" else "datname, datdba, datacl" if n == "pg_database" else "t")
            out[n] = sorted(str(r) for r in c.execute(f"SELECT {cols} FROM pg_catalog.{n} t"))
        out["slots"] = c.execute("SELECT slot_name, slot_type FROM pg_replication_slots").fetchall()
        out["settings"] = c.execute("SELECT name, setting FROM pg_settings WHERE source NOT IN "
                                    "('client', 'session')").fetchall()
    return out


# ------------------------------------------------------------------------------------ rights

RIGHTS = """
CREATE SCHEMA app;
CREATE TABLE app.orders (id int PRIMARY KEY, v text);
INSERT INTO app.orders VALUES (1, 'a'), (2, 'b');
CREATE TABLE app.part (region text, id int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE app.part_a PARTITION OF app.part FOR VALUES IN ('a');
CREATE TABLE app."part B" PARTITION OF app.part FOR VALUES IN ('b');
INSERT INTO app.part VALUES ('a', 1), ('b', 2);
CREATE TABLE app."Odd ""name" (id int PRIMARY KEY);
CREATE TABLE app.hidden (id int PRIMARY KEY);
ALTER TABLE app.hidden ENABLE ROW LEVEL SECURITY;
"""


def test_a_role_without_rights_gets_what_it_is_told(source, db, role, duck):
    """The statements that are printed, run as printed, and nothing else, make the run possible."""
    source.script(RIGHTS, db)
    source.sql(f"REVOKE CONNECT ON DATABASE {db} FROM PUBLIC")
    first = between(source, db, f"duckdb:{duck}", user=role, code=1)
    [sql] = first.sql()
    assert sql == f'GRANT CONNECT ON DATABASE "{db}" TO "{role}"'
    source.sql(sql, db)
    second = between(source, db, f"duckdb:{duck}", user=role, code=1)
    statements = second.sql()
    publication = statements.pop()
    assert sorted(statements) == sorted([
        f'ALTER ROLE "{role}" WITH REPLICATION',
        f'GRANT USAGE ON SCHEMA "app" TO "{role}"',
        f'GRANT SELECT ON "app"."orders" TO "{role}"',
        f'GRANT SELECT ON "app"."part B", "app"."part_a" TO "{role}"',
        f'GRANT SELECT ON "app"."Odd ""name" TO "{role}"',
        f'GRANT SELECT ON "app"."hidden" TO "{role}"',
        f'GRANT SELECT ON "public"."fence" TO "{role}"',
        f'ALTER ROLE "{role}" BYPASSRLS'])
    assert publication.startswith('CREATE PUBLICATION "penstock_') and '"app"."part"' in publication
    for s in [*statements, publication]:
        source.sql(s, db)
    between(source, db, f"duckdb:{duck}", user=role, code=0)
    r = subprocess.run([PENSTOCK, "sync", "--once", "--from", source.url(db, role), "--to",
                        f"duckdb:{duck}"], capture_output=True, text=True, timeout=60, cwd=base())
    assert r.returncode == 0, r.stderr
    import duckdb
    with duckdb.connect(duck, read_only=True) as c:
        assert c.execute("SELECT count(*) FROM app.orders").fetchone() == (2,)
        assert c.execute("SELECT count(*) FROM app.part").fetchone() == (2,)


def test_each_right_is_needed(source, db, role, duck):
    """Each of the statements left out, check still says it."""
    source.script(RIGHTS, db)
    told = between(source, db, f"duckdb:{duck}", user=role, code=1).sql()
    assert len(told) == 9
    for s in told:
        source.sql(s, db)
    between(source, db, f"duckdb:{duck}", user=role, code=0)
    undo = {f'ALTER ROLE "{role}" WITH REPLICATION': f'ALTER ROLE "{role}" NOREPLICATION',
            f'ALTER ROLE "{role}" BYPASSRLS': f'ALTER ROLE "{role}" NOBYPASSRLS'}
    for s in told:
        if s.startswith("CREATE PUBLICATION"):
            continue
        source.sql(undo.get(s, s.replace("GRANT", "REVOKE").replace(" TO ", " FROM ")), db)
        assert between(source, db, f"duckdb:{duck}", user=role, code=1).sql() == [s]
        source.sql(s, db)


def test_a_publication_of_another_role(source, db, role, duck):
    source.script(f"CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); "
                  f"CREATE PUBLICATION pub FOR TABLE a, fence WITH (publish_via_partition_root); "
                  f"GRANT SELECT ON a, b, fence TO {role}; ALTER ROLE {role} REPLICATION", db)
    config = to_duckdb(source, db, duck, source={"database.user": role, "publication.name": "pub"})
    report = Report("-c", write(config), code=1)
    [sql] = report.sql()
    assert sql == 'ALTER PUBLICATION "pub" ADD TABLE "public"."b"'
    source.sql(sql, db)
    note = Report("-c", write(config), code=0).find("belongs to another role")
    assert note["severity"] == "info"


def write(config):
    path = os.path.join(base(), uuid.uuid4().hex[:8] + ".yaml")
    with open(path, "w") as f:
        json.dump(config, f)
    return path


def test_rights_at_the_warehouse(source, db, warehouse, wdb):
    user = "w" + uuid.uuid4().hex[:8]
    source.script("CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY)", db)
    warehouse.sql(f"CREATE ROLE {user} LOGIN")
    warehouse.script(f"CREATE SCHEMA app; CREATE SCHEMA penstock; "
                     f"REVOKE TEMPORARY ON DATABASE {wdb} FROM PUBLIC", wdb)
    try:
        report = between(source, db, warehouse.url(wdb, user), code=1)
        assert sorted(report.sql()) == sorted([
            f'GRANT CREATE ON DATABASE "{wdb}" TO "{user}"',
            f'GRANT TEMPORARY ON DATABASE "{wdb}" TO "{user}"',
            f'GRANT USAGE, CREATE ON SCHEMA "penstock" TO "{user}"',
            f'GRANT USAGE, CREATE ON SCHEMA "app" TO "{user}"',
            f'GRANT USAGE, CREATE ON SCHEMA "public" TO "{user}"'])
        for s in report.sql():
            warehouse.sql(s, wdb)
        between(source, db, warehouse.url(wdb, user), code=0)
    finally:
        warehouse.script(f"DROP OWNED BY {user}; DROP ROLE {user}", wdb)


def test_an_old_warehouse(source, db):
    old = Postgres(version=14, role="warehouse")
    try:
        e = between(source, db, old.url(), code=1).find("MERGE needs 15 or later", "error")
        assert e["subject"] == "warehouse" and "upgrade" in e["fix"]
    finally:
        old.stop()


# ---------------------------------------------------------------------------------- the plan

SHAPES = """
CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric, exact numeric(10,2), tags text[],
                     "Name" text, name text, total int GENERATED ALWAYS AS (1) STORED);
INSERT INTO orders (id, amount, name) SELECT g, g, repeat('x', 200) FROM generate_series(1, 60000) g;
CREATE TABLE "Orders" (id int PRIMARY KEY);
CREATE TABLE nokey (a int);
CREATE TABLE whole (a int); ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE nothing (a int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE gone (a int NOT NULL); CREATE UNIQUE INDEX gone_a ON gone (a);
ALTER TABLE gone REPLICA IDENTITY USING INDEX gone_a; DROP INDEX gone_a;
CREATE TABLE later (a int PRIMARY KEY DEFERRABLE);
CREATE UNLOGGED TABLE unlogged (a int PRIMARY KEY);
CREATE VIEW v AS SELECT 1 AS a;
CREATE MATERIALIZED VIEW mv AS SELECT 1 AS a;
CREATE TABLE "a.b" (id int PRIMARY KEY);
ANALYZE;
"""


def test_the_plan(source, db, duck):
    source.script(SHAPES, db)
    r = between(source, db, f"duckdb:{duck}", code=0)
    t = r.table("public.orders")
    assert t["rows"] == 60000 and t["bytes"] > 10 << 20 and t["key"] == ["id"]
    assert t["replica_identity"] == "DEFAULT" and t["refused"] is None
    types = {c["name"]: c["type"] for c in t["columns"]}
    assert types == {"id": "BIGINT", "amount": "VARCHAR", "exact": "DECIMAL(10,2)",
                     "tags": "VARCHAR", "Name": "VARCHAR", "name": "VARCHAR"}
    names = {c["name"]: c["target"] for c in t["columns"]}
    assert names["name"] == "name" and re.fullmatch("Name_[0-9a-f]{8}", names["Name"])
    assert t["left_out"] == "total (generated)"
    assert t["target"] == {"schema": "public", "table": "orders"}
    other = r.table("public.Orders")["target"]["table"]
    assert re.fullmatch("Orders_[0-9a-f]{8}", other)
    r.find("its table in the warehouse is called public." + other, "warning", "table public.Orders")
    r.find("columns that differ in case only.*Name as Name_", "warning")
    r.find("amount numeric as VARCHAR, tags text", "info", "table public.orders")
    r.find(r"total \(generated\); the log does not carry", "info")
    assert r.table("public.whole")["replica_identity"] == "FULL"
    assert "no primary key" in r.table("public.nokey")["refused"]
    r.find("rows are replicated as a multiset", "info", "table public.whole")
    [s] = r.json["sources"]
    assert s["tables"] == 5 and s["refused"] == 4 and s["rows"] >= 60000 and s["bytes"] > 10 << 20
    assert s["load_seconds"] > 0 and s["load_how"].startswith("measured: ")
    assert s["log_bytes"] >= 0 and "pg_stat_wal" in s["log_how"]
    r.none("is a view")
    for name, table_says in (("mv", "materialized view"), ("unlogged", "an unlogged table")):
        r.find(table_says, "warning", f"table public.{name}")


def test_views_are_named_only_where_somebody_selects_them(source, db, duck):
    source.script(SHAPES, db)
    r = between(source, db, f"duckdb:{duck}", "--tables", r"public\.(v|orders)", code=0)
    r.find("it is a view", "info", "table public.v")


def test_the_fixes_of_identities(source, db, duck):
    source.script(SHAPES, db)
    r = between(source, db, f"duckdb:{duck}", code=0)
    want = {"nokey": ("no primary key", "FULL"), "nothing": ("is NOTHING", "DEFAULT"),
            "gone": ("index of its replica identity is gone", "FULL"),
            "later": ("deferrable", "FULL")}
    for name, (says, identity) in want.items():
        f = r.find(says, "warning", f"table public.{name}")
        assert f["sql"] == [f'ALTER TABLE "public"."{name}" REPLICA IDENTITY {identity}']
        source.sql(f["sql"][0], db)
    [sql] = r.find("an unlogged table")["sql"]
    source.sql(sql, db)
    r = between(source, db, f"duckdb:{duck}", code=0)
    assert r.json["sources"][0]["refused"] == 0 and r.json["sources"][0]["tables"] == 10


def test_published_without_identity_fails_at_the_source_now(source, db, duck):
    source.script("CREATE TABLE t (a int); CREATE PUBLICATION pub FOR TABLE t, fence "
                  "WITH (publish_via_partition_root)", db)
    r = Report("-c", write(to_duckdb(source, db, duck, source={"publication.name": "pub"})), code=0)
    f = r.find("updates and deletes of it fail at the source, now", "warning", "table public.t")
    with pytest.raises(Exception, match="does not have a replica identity"):
        source.sql("INSERT INTO t VALUES (1); DELETE FROM t", db)
    source.sql(f["sql"][0], db)
    source.sql("DELETE FROM t", db)


def test_names_that_are_taken_and_the_same_database(source, db, warehouse, wdb):
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    warehouse.sql("CREATE TABLE public.t (x text)", wdb)
    r = between(source, db, warehouse.url(wdb), code=1)
    f = r.find("already has a table public.t, and it is not ours", "error", "table public.t")
    warehouse.sql(f["sql"][0], wdb)
    between(source, db, warehouse.url(wdb), code=0)
    between(source, db, source.url(db), code=1).find("are the same database", "error")


# ------------------------------------------------------------------------- nothing is changed

def digest(path):
    return {name: hashlib.sha256(open(os.path.join(path, name), "rb").read()).hexdigest()
            for name in sorted(os.listdir(path))}


def test_nothing_is_changed(source, db, warehouse, wdb, penstock):
    """Neither what a first check finds nor what a later one reads of the books."""
    source.script(SHAPES, db)
    folder = tempfile.mkdtemp(dir=base())
    file = os.path.join(folder, "w.duckdb")
    before = catalog(source, db), catalog(warehouse, wdb)
    between(source, db, f"duckdb:{file}", code=0)
    between(source, db, warehouse.url(wdb), code=0)
    assert (catalog(source, db), catalog(warehouse, wdb)) == before
    assert os.listdir(folder) == []
    config = to_duckdb(source, db, file)
    p = penstock(config).start()
    p.wait_live("public.orders", timeout=60)
    assert p.stop() == 0
    before, files = catalog(source, db), digest(folder)
    r = Report("-c", write(config), code=0)
    r.find("it follows the source already: a run goes on from", "info")
    assert catalog(source, db) == before and digest(folder) == files


def test_a_duckdb_log_that_was_left_stays(source, db, duck, penstock):
    """After kill -9 the file has a .wal: check reads through it and leaves it."""
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    config = to_duckdb(source, db, duck)
    p = penstock(config).start()
    p.wait_live("public.t")
    p.kill9()
    wal = open(duck + ".wal", "rb").read()
    assert len(wal) > 0
    file = open(duck, "rb").read()
    wait_for("slot is free", lambda: source.sql(
        "SELECT 1 FROM pg_replication_slots WHERE database = %s AND NOT active", "postgres", (db,)))
    Report("-c", write(config), code=0).find("it follows the source already", "info")
    assert open(duck + ".wal", "rb").read() == wal and open(duck, "rb").read() == file


def test_the_service_is_running(source, db, duck, penstock):
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    config = to_duckdb(source, db, duck)
    p = penstock(config).start()
    p.wait_live("public.t")
    r = Report("-c", write(config), code=1)
    pid = source.sql("SELECT active_pid FROM pg_replication_slots WHERE database = %s", "postgres",
                     (db,))[0][0]
    assert str(p.process.pid) in r.find("in use by", "error")["message"]
    r.find(f"is read by pid {pid} just now", "warning")
    assert p.stop() == 0


# --------------------------------------------------------------------------- a side is down

def test_both_sides_are_looked_at_when_one_is_down(source, db, warehouse, wdb):
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    port = free_port()
    r = between(source, db, f"postgres://postgres@127.0.0.1:{port}/w", code=1)
    [e] = r.errors()
    assert e["subject"] == "warehouse" and "refused" in e["message"] and "connection.url" in e["fix"]
    assert r.table("public.t")["target"] == {"schema": "public", "table": "t"}
    warehouse.sql("CREATE SCHEMA penstock", wdb)
    warehouse.sql("CREATE ROLE nobody_here LOGIN")
    try:
        r = Report("--from", f"postgres://postgres@127.0.0.1:{port}/s", "--to",
                   warehouse.url(wdb, "nobody_here"), code=1)
        assert {e["subject"] for e in r.errors()} == {"source", "warehouse"}
        assert "database.hostname" in r.find(str(port), subject="source")["fix"]
        assert 'GRANT CREATE ON DATABASE' in str(r.sql())
    finally:
        warehouse.sql("DROP ROLE nobody_here")
    r = Report("--from", f"postgres://postgres@127.0.0.1:{port}/s", "--to",
               f"postgres://postgres@127.0.0.1:{port}/w", code=1)
    assert sorted(e["subject"] for e in r.errors()) == ["source", "warehouse"]


def test_wrong_command_lines_are_2(source, db):
    assert run("--from", source.url(db)).returncode == 2
    assert run("-c", "/nonexistent.yaml").returncode == 2
    assert run("--from", "nonsense", "--to", "duckdb:x").returncode == 2


# ------------------------------------------------------------------------- slots of others

def test_slots_that_are_not_ours(source, db, duck):
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    config = to_duckdb(source, db, duck, source={"slot.name": f"s_{db}"})
    make = f"SELECT pg_create_logical_replication_slot('s_{db}', %s)"
    source.sql(make, db, ("test_decoding",))
    Report("-c", write(config), code=1).find("uses the plugin test_decoding", "error")
    source.sql(f"SELECT pg_drop_replication_slot('s_{db}')", db)
    source.sql(make, db, ("pgoutput",))
    r = Report("-c", write(config), code=1)
    f = r.find("exists, but this warehouse knows nothing of it", "error")
    source.sql(f["sql"][0], db)
    Report("-c", write(config), code=0)


def test_a_slot_that_is_gone(source, db, duck, penstock):
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    config = to_duckdb(source, db, duck)
    p = penstock(config).start()
    p.wait_live("public.t")
    assert p.stop() == 0
    [(slot,)] = source.sql("SELECT slot_name FROM pg_replication_slots WHERE database = %s",
                           "postgres", (db,))
    wait_for("dropped", lambda: source.sql("SELECT pg_drop_replication_slot(%s)", db, (slot,)))
    f = Report("-c", write(config), code=1).find(f"slot {slot} is gone", "error")
    assert "when_needed" in f["fix"]


# ------------------------------------------------------------------------- settings, waits

def test_settings(run_folder, duck):
    s = Postgres(version=18, wal_level="replica", max_replication_slots=1, max_wal_senders=1,
                 wal_sender_timeout="1s", max_slot_wal_keep_size="1MB",
                 idle_replication_slot_timeout="600s", logical_decoding_work_mem="64kB")
    try:
        s.sql("SELECT pg_stat_reset_shared('wal')")  # else the average counts from initdb on
        s.script("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, "
                 "repeat('x', 1000) FROM generate_series(1, 30000) g; ANALYZE")
        s.sql("SELECT pg_create_physical_replication_slot('other')")
        r = between(s, "postgres", f"duckdb:{duck}", code=1)
        restart = ["wal_level", "max_replication_slots", "max_wal_senders"]
        f = [r.find("wal_level is replica", "error"),
             r.find("all of the server's max_replication_slots = 1 are in use", "error"),
             r.find("max_wal_senders = 1 are free", "warning"),
             r.find("wal_sender_timeout is 1000 ms", "warning"),
             r.find("idle_replication_slot_timeout is 600 s", "warning"),
             r.find("logical_decoding_work_mem is 64.0 kB", "info"),
             r.find("max_slot_wal_keep_size is 1.0 MB", "warning")]
        for x in f:
            name = re.match(r"ALTER SYSTEM SET (\w+) = ", x["sql"][0]).group(1)
            assert ("restart" in x["fix"]) == (name in restart), x
            for statement in x["sql"]:
                s.sql(statement)
        os.remove(f"{s.dir}/log") if os.path.exists(f"{s.dir}/log") else None
        s.restart()
        r = between(s, "postgres", f"duckdb:{duck}", code=0)
        for gone in ("wal_level", "max_replication_slots", "max_wal_senders", "wal_sender_timeout",
                     "idle_replication", "logical_decoding_work_mem", "may take longer"):
            r.none(gone)
        r.find("the server keeps at most 1[0-9.]* GB of log", "info")
    finally:
        s.stop()


@pytest.mark.parametrize("topics", [
    {"topics.regex": r"(shop|other)\.public\.(t|u)"}, {"topics.regex": r"[s]hop\..*"},
    {"topics": "other.public.t, shop.public.t"}])
def test_a_run_takes_the_topics_that_it_says(topics, source, db, duck, penstock):
    """What the warehouse takes is one rule, for check and for run."""
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    config = to_duckdb(source, db, duck)
    del config["connectors"]["warehouse"]["topics.regex"]
    config["connectors"]["warehouse"].update(topics)
    p = penstock(config)
    Report("-c", p.write(), code=0)
    p.start().wait_live("public.t")
    assert p.stop() == 0


@pytest.mark.parametrize("which", ["table.include.list", "table.exclude.list", "topics.regex"])
def test_an_expression_that_takes_too_long(which, source, db, duck, penstock):
    """Neither answer is guessed: the table would be missing in silence, or be what must not leave."""
    long = "a" * 60
    source.script(f"CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); "
                  f"CREATE TABLE {long} (id int PRIMARY KEY)", db)
    config = to_duckdb(source, db, duck)
    settings = config["connectors"]["warehouse" if which == "topics.regex" else "shop"]
    wrong, right = {"table.include.list": (r"public\.t,public\.(a+)+(b|c)", r"public\.t,public\.a+"),
                    "table.exclude.list": (r"public\.(a+)+(b|c)", r"public\.a+b"),
                    "topics.regex": (r"shop\.public\.(t|(a+)+(b|c))", r"shop\.public\.(t|a+)")}[which]
    settings[which] = wrong
    p = penstock(config)
    said = f"{which}: whether the expression selects (shop.)?public.{long} takes too long"
    r = Report("-c", p.write(), code=1)
    assert "simpler expression" in r.find(said, "error")["fix"]
    p.start()
    wait_for("it is said", lambda: re.search(said, p.log()), 30)
    assert p.tables() == {}
    assert p.stop() == 0
    settings[which] = right
    Report("-c", p.write(), code=0)
    p.start().wait_live("public.t", f"public.{long}")
    assert p.stop() == 0


def test_an_expression_that_takes_too_long_for_a_table_in_the_log(source, db, duck, penstock):
    """Its rows, and all that is committed after them, wait until it is known whether they are wanted."""
    long = "a" * 60
    source.script("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION penstock_shop FOR ALL TABLES", db)
    config = to_duckdb(source, db, duck, source={"table.include.list": r"public\.t,public\.(a+)+(b|c)"})
    p = penstock(config)
    p.start().wait_live("public.t")
    source.script(f"CREATE TABLE {long} (id int PRIMARY KEY); INSERT INTO {long} VALUES (1)", db)
    source.script("INSERT INTO t VALUES (1)", db)
    trace = wait_for("it is said", lambda: p.status("shop")["tasks"][0].get("trace"), 30)
    assert f"expression selects public.{long} takes too long" in trace and "simpler expression" in trace
    assert p.stop() == 0
    with duckdb.connect(duck, read_only=True) as c:
        assert c.execute("SELECT * FROM public.t").fetchall() == []
    config["connectors"]["shop"]["table.include.list"] = r"public\.t,public\.a+"
    p.start().wait_live("public.t", f"public.{long}")
    wait_caught_up(p, source, db)
    assert p.stop() == 0
    assert_equal_duckdb(source, db, duck, "public.t", f"public.{long}")


def test_two_connectors_in_each_others_way(source, db, duck, tmp_path):
    """One slot or one DuckDB file of two connectors, and a copy in the place of the warehouse."""
    def report(second, sink, **more):
        config = to_duckdb(source, db, duck, **more)
        config["connectors"]["second"] = source_config(source, db, "second", **second)
        config["connectors"]["other"] = {"connector.class": "duckdb", "topics.regex": "second\\..*",
                                         "connection.url": f"duckdb:{sink}"}
        path = tmp_path / "penstock.yaml"
        path.write_text(json.dumps(config))
        return Report("-c", str(path))
    fine = str(tmp_path / "second.duckdb")
    assert report({}, fine).code == 0
    r = report({"slot.name": "penstock_shop"}, fine)
    assert r.code == 1 and "shop" in r.find("reads slot penstock_shop, too", "error")["message"]
    os.symlink(duck, tmp_path / "link.duckdb")
    with duckdb.connect(duck):
        pass
    for same in (duck, os.path.join(base(), ".", os.path.basename(duck)), str(tmp_path / "link.duckdb")):
        r = report({}, same)
        assert r.code == 1 and "warehouse" in r.find("same DuckDB file", "error")["message"]
    for path in (duck, duck + ".wal", str(tmp_path / "no" / "copy")):
        r = report({}, fine, **{"publish.path": path})
        assert r.code == (0 if "no" in path.split("/") else 1)
        r.find("publish.path", "warning" if "no" in path.split("/") else "error")
    notes = tmp_path / "notes"
    notes.write_text("mine")
    r = report({}, fine, **{"publish.path": str(notes)})
    r.find("no copy that penstock made", "warning")
    assert notes.read_text() == "mine" and report({}, fine, **{"publish.path": fine + ".c"}).code == 0


def test_open_transactions(source, db, role, duck):
    source.script(f"CREATE TABLE t (id int PRIMARY KEY, v text); GRANT SELECT ON t TO {role}", db)
    gid = f"left 'there {db}"
    with source.connect(db, autocommit=False) as c, source.connect(db, autocommit=False) as p:
        c.execute("INSERT INTO t VALUES (4711, 'a secret')")
        pid = c.info.backend_pid
        p.execute("INSERT INTO t VALUES (1, 'b')")
        p.execute("PREPARE TRANSACTION '%s'" % gid.replace("'", "''"))
        wait_for("older than 5 s", lambda: source.sql(
            "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND clock_timestamp() - xact_start > "
            "'5.5 s'", "postgres", (pid,)), 20)
        try:
            r = between(source, db, f"duckdb:{duck}", code=0)
            f = r.find(f"pid {pid} .user postgres", "warning")
            assert re.search(r"is open for \d+ s", f["message"])
            assert "INSERT INTO t VALUES (?, ?)" in f["message"]
            assert "4711" not in json.dumps(r.json) and "secret" not in json.dumps(r.json)
            prepared = r.find("the prepared transaction", "warning")
            # one who may not see others' sessions is told of them nevertheless
            r = between(source, db, f"duckdb:{duck}", user=role, code=1)
            r.find(f"pid {pid} .user postgres.* for longer than this look", "warning")
            source.sql(f["sql"][0])
            with pytest.raises(Exception):
                c.execute("SELECT 1")
        finally:
            source.sql(prepared["sql"][0], db)
            assert source.sql("SELECT count(*) FROM pg_prepared_xacts WHERE database = %s",
                              "postgres", (db,)) == [(0,)]
    between(source, db, f"duckdb:{duck}", code=0).none("is open for")


def test_encodings(source, duck):
    source.sql("CREATE DATABASE check_ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    source.sql("CREATE DATABASE check_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        between(source, "check_ascii", f"duckdb:{duck}", code=1).find("SQL_ASCII", "error")
        between(source, "check_latin", f"duckdb:{duck}", code=0).find("encoding LATIN1", "info")
    finally:
        source.sql("DROP DATABASE check_ascii WITH (FORCE)")
        source.sql("DROP DATABASE check_latin WITH (FORCE)")


def test_a_standby(run_folder, duck):
    s = Postgres(version=16)
    try:
        s.stop()
        open(f"{s.dir}/data/standby.signal", "w").close()
        shutil.chown(f"{s.dir}/data/standby.signal", *(["nobody"] if os.getuid() == 0 else [os.getuid()]))
        s.start()
        f = between(s, "postgres", f"duckdb:{duck}", code=1).find("is a standby", "error")
        assert "Penstock reads from the primary" in f["message"] and "database.hostname" in f["fix"]
    finally:
        s.stop()


@pytest.mark.parametrize("version", [14, 16, 17, 18])
def test_versions(run_folder, duck, version):
    try:
        s = Postgres(version=version)
    except RuntimeError as e:
        pytest.skip(str(e))
    try:
        s.script(SHAPES)
        s.script("CREATE ROLE poor LOGIN; CREATE TABLE fence (id int PRIMARY KEY)")
        r = between(s, "postgres", f"duckdb:{duck}", user="poor", code=1)
        for sql in r.sql():
            s.sql(sql)
        r = between(s, "postgres", f"duckdb:{duck}", user="poor", code=0)
        r.find("total .generated.", "info")
        if version >= 18:
            r.find("publish_generated_columns = stored", "info")
    finally:
        s.stop()


# ---------------------------------------------------------------- poolers, managed services

class PgBouncer:
    def __init__(self, server, mode, **conf):
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix="pgb-", dir=base())
        if os.getuid() == 0:
            shutil.chown(self.dir, "nobody", "nogroup")
        conf = {"listen_addr": "127.0.0.1", "listen_port": self.port, "auth_type": "any",
                "pool_mode": mode, "unix_socket_dir": "", **conf}
        with open(f"{self.dir}/ini", "w") as f:
            f.write(f"[databases]\n* = host=127.0.0.1 port={server.port} user=postgres\n[pgbouncer]\n")
            f.writelines(f"{k} = {v}\n" for k, v in conf.items())
        with open(f"{self.dir}/log", "wb") as log:
            self.process = subprocess.Popen(as_server_user() + [shutil.which("pgbouncer"), f"{self.dir}/ini"],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def url(self, db):
        return f"postgres://postgres@127.0.0.1:{self.port}/{db}"

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_pgbouncer(source, db, duck, mode):
    """It refuses `options`; told to ignore them, it hides the settings; were those by chance the
    database's own, it is another server process that answers."""
    import psycopg
    by_chance = {"datestyle": "'ISO, YMD'", "timezone": "'UTC'"}
    ignore = "extra_float_digits,options"
    stages = [("extra_float_digits", {}, "options"),
              (ignore, {}, "do not reach the server"),
              (ignore, by_chance, "the session's settings do not reach the server, so that"),
              (ignore, {"row_security": "off"}, "another server process")]
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    for ignored, settings, says in stages:
        for k, v in settings.items():
            source.sql(f"ALTER DATABASE {db} SET {k} = {v}", db)
        b = PgBouncer(source, mode, ignore_startup_parameters=ignored)
        try:
            wait_for("pgbouncer", lambda: psycopg.connect(
                f"host=127.0.0.1 port={b.port} dbname={db} user=postgres").close() is None)
            e = Report("--from", b.url(db), "--to", f"duckdb:{duck}", code=1).find(says, "error")
            assert "not to a pooler" in e["fix"], e
        finally:
            b.stop()


@pytest.mark.parametrize("service, sign, words", [
    ("Amazon RDS", {"rds.extensions": "'x'"}, "rds.logical_replication = 1"),
    ("Google Cloud SQL", {"cloudsql.logical_decoding": "'off'"}, "cloudsql.logical_decoding=on"),
    ("Azure Database for PostgreSQL", {"azure.extensions": "'x'"}, "--name wal_level --value logical"),
    ("Neon", {"neon.tenant_id": "'x'"}, "enable Logical Replication"),
])
def test_managed_services_are_known_by_their_settings(run_folder, duck, service, sign, words):
    """A server of one's own that has the service's setting; the service itself was not there."""
    s = Postgres(wal_level="replica", **sign)
    try:
        s.script("CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE poor LOGIN; "
                 "GRANT SELECT ON t TO poor; CREATE ROLE rds_replication")
        r = between(s, "postgres", f"duckdb:{duck}", user="poor", code=1)
        r.find(f"the server is {service}", "info")
        f = r.find("wal_level is replica")
        assert words in f["fix"] and f["sql"] == []
        f = r.find("may not replicate")
        if service == "Amazon RDS":
            assert f["sql"] == ['GRANT rds_replication TO "poor"']
            s.sql(f["sql"][0])
            r = between(s, "postgres", f"duckdb:{duck}", user="poor", code=1)
            r.none("role poor may not replicate")
        else:
            assert f["sql"] == ['ALTER ROLE "poor" WITH REPLICATION']
    finally:
        s.stop()


# ---------------------------------------------------------------------------- the form

HOSTILE = ['x"\nDROP TABLE public.victim; --\n', "GRANT SELECT ON victim TO evil; --", "\x1b[31m'\n;'"]


def test_names_do_not_become_statements(source, db, duck):
    """A name may hold anything: the statements that are printed are the ones that are meant, each
    whole, and the terminal is not told anything by it."""
    user = "r" + uuid.uuid4().hex[:10]
    source.sql(f"CREATE ROLE {user} LOGIN REPLICATION", db)
    source.script("CREATE TABLE victim (id int PRIMARY KEY)", db)
    for name in HOSTILE:
        q = '"' + name.replace('"', '""') + '"'
        source.script(f"CREATE SCHEMA {q}; CREATE TABLE {q}.{q} (id int)", db)
    try:
        r = between(source, db, f"duckdb:{duck}", user=user, code=1)
        sql = [s for f in r.findings for s in f["sql"] if f["subject"] != "source"]
        for s in sql:
            assert s.startswith(("GRANT USAGE ON SCHEMA ", "GRANT SELECT ON ", "ALTER TABLE ")), sql
            source.script(s, db)  # each whole
        assert source.sql("SELECT count(*) FROM victim", db) == [(0,)]
        for name in HOSTILE:
            q = '"' + name.replace('"', '""') + '"'
            assert source.sql("SELECT has_table_privilege(%s, %s, 'SELECT')", db, (user, f"{q}.{q}")
                              ) == [(True,)]
        text = run("--from", source.url(db, user), "--to", f"duckdb:{duck}").stdout
        assert "\x1b" not in text and "\\x1b[31m" in text
        assert not [x for x in text.splitlines() if x.strip().startswith("DROP")]
    finally:
        source.sql(f"DROP OWNED BY {user}", db)
        source.sql(f"DROP ROLE {user}", db)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_lines_fit_the_terminal(source, db, duck, width):
    source.script(SHAPES, db)
    long_name = "a_rather_long_name_for_a_table_that_somebody_made_by_hand_12345"
    source.script(f"CREATE TABLE {long_name} (tenant_identifier uuid, customer_identifier uuid, "
                  "PRIMARY KEY (tenant_identifier, customer_identifier))", db)
    r = run("--from", source.url(db), "--to", f"duckdb:{duck}", env={"COLUMNS": str(width)})
    assert r.returncode == 0, r.stdout
    words = [w for w in r.stdout.split("\n") if len(w) > width]
    # only what must not be cut: a statement, or one word that is longer than the line
    assert all(w.rstrip().endswith(";") or len(w.split()) == 1 for w in words), words
    lines = r.stdout.split("\n")
    head = next(x for x in lines if x.startswith("  table "))
    plain = next(x for x in lines if x.startswith("  public.orders "))
    assert plain.index("DEFAULT") == head.index("replica identity")
    assert plain.index(" id ") + 1 == head.index("key")
    assert f"  public.{long_name}" in lines or f"  public.{long_name} " in r.stdout
    assert "Nothing stops a run." in lines


# ----------------------------------------------------------------------------- the document

def page():
    with open(os.path.join(os.path.dirname(__file__), "../../docs/postgres.md")) as f:
        return f.read()


def test_the_document_names_the_json(source, db, duck):
    """Every field that the JSON form has."""
    source.script(SHAPES, db)
    r = between(source, db, f"duckdb:{duck}").json
    fields = set(r) | set(r["sources"][0]) | set(r["findings"][0])
    for t in r["tables"]:
        fields |= set(t)
        for c in t["columns"]:
            fields |= set(c)
    assert [x for x in sorted(fields) if f"`{x}`" not in page()] == []


def test_the_commands_of_the_document(run_folder):
    """All of its SQL, in its order, on a server that has nothing; then check finds no error."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page(), re.M | re.S)
    assert {kind for kind, _ in blocks} == {"sh", "sql"} and len(blocks) > 8
    s = Postgres(wal_level="replica")
    try:
        s.create("shop")
        s.sql("DROP TABLE fence", "shop")
        s.script("CREATE TABLE customers (id bigint PRIMARY KEY, name text); "
                 "CREATE TABLE orders (id bigint PRIMARY KEY)", "shop")
        for kind, text in blocks:
            for sql in text.split(";\n") if kind == "sql" else []:
                if sql.strip():
                    s.sql(sql, "shop")
        s.restart()
        shell = [text for kind, text in blocks if kind == "sh"]
        assert len(shell) == 2
        for text in shell:
            words = text.split()
            assert words[:2] == ["penstock", "check"]
            words = [w.replace("HOST", f"127.0.0.1:{s.port}") for w in words[1:]]
            r = subprocess.run([PENSTOCK, *words], capture_output=True, text=True, timeout=60,
                               cwd=tempfile.mkdtemp(dir=base()))
            assert r.returncode in (0, 1), r.stderr
        errors = [f for f in json.loads(r.stdout)["findings"] if f["severity"] == "error"]
        # the document's publication has the name that a file with topic.prefix shop gives
        assert [e["message"] for e in errors] == [
            "role penstock may not make the publication, since it does not own the tables"], errors
        config = {"connectors": {
            "shop": {"connector.class": "postgres", "topic.prefix": "shop",
                     "database.hostname": "127.0.0.1", "database.port": str(s.port),
                     "database.user": "penstock", "database.password": "secret",
                     "database.dbname": "shop"},
            "warehouse": {"connector.class": "duckdb", "topics.regex": "shop\\..*",
                          "connection.url": f"duckdb:{base()}/doc.duckdb"}}}
        report = Report("-c", write(config), code=0)
        assert report.json["sources"][0]["tables"] == 4 and not report.json["sources"][0]["refused"]
    finally:
        s.stop()
