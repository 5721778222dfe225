# SPDX-License-Identifier: Apache-2.0
"""Death at every step between two durable effects (src/util/failpoint.h).

One scripted life of a program with both warehouses: first loads, changes, an alteration, a
truncate, a new table, a restart, a stop. What it reaches is found out by running it; then it is
lived again for every such point, with a kill there, at the first time and at a later one, and goes
on with a program that does not die. In the end both warehouses must be equal to the source and
nothing may be left over."""
import fcntl
import json
import os
import subprocess
import uuid

import duckdb
import harness
import pytest
from both import KINDS, Both
from harness import lsn, wait_for
from test_resync import post

SHARDS = 6  # tests that run in parallel; each takes the points of its number
BUILT = os.path.join(harness.ROOT, "build", "failpoints")
PROGRAM = os.path.join(BUILT, "penstock")

# Not on the way of a life without accidents: reached after another death, or by a test below.
CHAINS = {
    "slot.before-drop": ["slot.after-make", "slot.before-drop"],
    "slot.after-drop": ["slot.after-make", "slot.after-drop"],
}
HELD = ["load.before-spool-sync", "spool.before-sync", "spool.after-sync", "load.spool-applied"]
ELSEWHERE = HELD + ["spool.after-cut", "wdk.ask"]
TOGETHER = 8  # deaths in one life

FENCE = "CREATE TABLE fence (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO fence VALUES (1, 0)"
SCHEMA = """
CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, bio text);
ALTER TABLE people ALTER bio SET STORAGE EXTERNAL;
CREATE TABLE visits (id int PRIMARY KEY, who int, at timestamptz);
CREATE TABLE odd (id int PRIMARY KEY, n numeric(8,2));
INSERT INTO odd VALUES (1, 1);
CREATE TABLE lines (line text, n int);
ALTER TABLE lines REPLICA IDENTITY FULL;
INSERT INTO people SELECT i, 'p' || i, repeat(md5(i::text), 90) FROM generate_series(1, 60) i;
INSERT INTO visits SELECT i, 1 + i % 60, now() FROM generate_series(1, 400) i;
INSERT INTO lines SELECT 'l' || i % 7, i % 3 FROM generate_series(1, 40) i;
"""
TABLES = ["public.people", "public.visits", "public.lines", "public.odd", "public.fence"]
CHANGES = [
    "INSERT INTO people SELECT i, 'q', 'b' FROM generate_series(61, 70) i",
    "UPDATE people SET name = name || 'x' WHERE id % 3 = 0",
    "UPDATE people SET id = -id WHERE id % 7 = 0",
    "DELETE FROM visits WHERE id % 5 = 0",
    "DELETE FROM lines WHERE ctid = (SELECT min(ctid) FROM lines); INSERT INTO lines VALUES ('l1', 1)",
    "UPDATE visits SET who = who + 1 WHERE id < 50",
]
ALTERATION = ["ALTER TABLE people ADD COLUMN age int DEFAULT 7",
              "UPDATE people SET age = id WHERE id % 2 = 0",
              "ALTER TABLE visits ALTER who TYPE bigint",  # rewrites: loaded again
              "INSERT INTO visits VALUES (1001, 1, now())"]
TRUNCATE = ["TRUNCATE visits", "INSERT INTO visits VALUES (1, 1, now()), (2, 2, NULL)"]
DURING_A_LOAD = ["UPDATE visits SET who = who + 100", "DELETE FROM visits WHERE id = 1",
                 "INSERT INTO visits SELECT i, 7, now() FROM generate_series(3, 300) i "
                 "ON CONFLICT DO NOTHING",
                 "UPDATE visits SET at = now() WHERE id > 100"]
ADDED = ["CREATE TABLE early (id int PRIMARY KEY, v text)",
         "INSERT INTO early SELECT i, 'v' FROM generate_series(1, 30) i",
         "UPDATE early SET v = 'w' WHERE id < 9"]
NEW_TABLE = ["CREATE TABLE later (id int PRIMARY KEY, v text)",
             "INSERT INTO later SELECT i, 'v' FROM generate_series(1, 30) i"]
WHILE_STOPPED = ["UPDATE people SET name = 'later' WHERE id % 4 = 0", "DELETE FROM visits WHERE id = 2"]


@pytest.fixture(scope="session")
def program():
    """`make failpoints`: what is there already is not built again; one worker at a time."""
    os.makedirs(BUILT, exist_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    with open(os.path.join(BUILT, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        r = subprocess.run(["make", "-j2", "failpoints"], cwd=harness.ROOT, env=env,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert r.returncode == 0, r.stdout[-3000:] + r.stderr[-3000:]
    return PROGRAM


def all_points(program):
    r = subprocess.run([program, "version", "--failpoints"], capture_output=True, text=True,
                       check=True)
    names = r.stdout.split()
    assert names and len(set(names)) == len(names), "a failpoint's name is used twice"
    return names


class Life:
    """deaths: what PENSTOCK_FAILPOINT is for one program after another; then none. Who does not
    reach it before it is stopped leaves the next one to the next program."""

    def __init__(self, b, deaths=(), log=None):
        self.b, self.deaths, self.log = b, list(deaths), log
        self.died = []
        self.tables = list(TABLES)

    def start(self):
        env = {"PENSTOCK_FAILPOINT_LOG": self.log} if self.log else {}
        if self.deaths:
            env["PENSTOCK_FAILPOINT"] = self.deaths[0]
        self.b.p.env = env
        self.b.p.start()

    def revive(self):
        """After a death that was asked for."""
        p = self.b.p
        code = p.process.wait(10)
        assert code == -9 and self.deaths, f"ended with {code}:\n{p.log()[-3000:]}"
        self.died.append(self.deaths.pop(0))
        self.start()

    def until(self, what, condition, timeout=40):
        while True:
            try:
                if wait_for(what, lambda: self.b.p.process.poll() is not None and "dead"
                            or condition(), timeout, interval=0.03) != "dead":
                    return
            except AssertionError as e:
                states = {k: self.b.tables(k) for k in KINDS}
                raise AssertionError(f"{e}\n{states}\n{self.b.p.log()[-6000:]}") from None
            self.revive()

    def settled(self):
        """Every table is live and the checkpoint is past what the source's log holds now."""
        want = {("to_" + k, t) for k in KINDS for t in self.tables}
        end = lsn(self.one("UPDATE public.fence SET n = n + 1 RETURNING "
                           "pg_current_wal_insert_lsn()::text"))

        def there():
            live = {(t["connector"], f"{t['schema']}.{t['table']}")
                    for t in self.b.p.json("/v1/tables") if t["state"] == "live"}
            return want <= live and lsn(self.one(
                "SELECT coalesce(min(confirmed_flush_lsn), '0/0')::text FROM pg_replication_slots "
                "WHERE NOT temporary AND database = current_database()")) >= end
        self.until("live and caught up", there)

    def one(self, sql):
        return self.source.execute(sql).fetchone()[0]

    def run(self, *statements):
        for s in statements:
            self.source.execute(s)

    def resync(self, table, *changes, kinds=KINDS):
        """Who has died has forgotten that it was asked."""
        before, asked = self.b.loads(table), []

        def loaded():
            p = self.b.p
            if p.process not in asked:
                for k in kinds:
                    assert post(p, f"/v1/connectors/to_{k}/snapshots",
                                json.dumps({"tables": [table]}))[0] == 202
                asked.append(p.process)
                self.run(*changes)
            return self.b.loads(table) >= before + len(kinds)
        self.until(f"{table} loaded again", loaded)

    def stopped(self, kind, table):
        self.until("the table stops",
                   lambda: self.b.state(kind, table) == "needs snapshot")

    def stop(self):
        p = self.b.p
        p.process.terminate()
        while p.process.wait(15) != 0:
            self.revive()
            self.settled()
            p.process.terminate()
        p.process = None
        self.deaths = self.deaths[1:]

    def live(self):
        with self.b.source.connect(self.b.db) as self.source:
            self.run(SCHEMA)
            self.start()
            self.settled()
            for step in (CHANGES, ALTERATION, TRUNCATE):
                self.run(*step)
                self.settled()
            self.resync("public.visits", *DURING_A_LOAD)
            self.run(*ADDED, "INSERT INTO odd VALUES (2, 'NaN')")
            self.tables.append("public.early")
            self.stopped("duckdb", "public.odd")
            self.run("UPDATE odd SET n = 2")
            self.resync("public.odd", kinds=["duckdb"])
            self.settled()
            self.stop()
            self.run(*NEW_TABLE, *WHILE_STOPPED)
            self.tables.append("public.later")
            self.start()
            self.settled()
            self.stop()
        self.b.assert_equal(*self.tables)
        self.nothing_is_left()
        return self

    def nothing_is_left(self):
        b = self.b
        left = "table_name LIKE '\\_penstock\\_%' ESCAPE '\\'"
        asides = b.warehouse.sql(f"SELECT table_name FROM information_schema.tables WHERE {left}",
                                 b.wdb)
        with duckdb.connect(b.duck, read_only=True) as c:
            asides += c.execute("SELECT table_name FROM information_schema.tables WHERE " +
                                left).fetchall()
        assert asides == [], asides
        slots = b.source.sql("SELECT slot_name, temporary FROM pg_replication_slots WHERE database = "
                             "current_database() ORDER BY 1", b.db)
        assert slots == [("penstock_to_duckdb", False), ("penstock_to_postgres", False)], slots


class Databases:
    """One pair, emptied before each life: to make one takes longer than a life."""

    def __init__(self, source, warehouse):
        self.source, self.warehouse = source, warehouse
        name = uuid.uuid4().hex[:10]
        self.db, self.wdb = "d" + name, "w" + name
        source.create(self.db)
        warehouse.create(self.wdb)

    def clear(self):
        for (slot,) in self.source.sql("SELECT slot_name FROM pg_replication_slots WHERE database = "
                                       "%s", "postgres", (self.db,)):
            wait_for("slot dropped", lambda s=slot: self.source.sql(
                "SELECT pg_drop_replication_slot(%s)", self.db, (s,)) is not None, 10)
        for (publication,) in self.source.sql("SELECT pubname FROM pg_publication", self.db):
            self.source.sql(f"DROP PUBLICATION {publication}", self.db)
        self.source.script(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {FENCE}", self.db)
        self.warehouse.script("DROP SCHEMA IF EXISTS penstock CASCADE; DROP SCHEMA public CASCADE; "
                              "CREATE SCHEMA public", self.wdb)

    def drop(self):
        self.clear()
        self.source.sql(f"DROP DATABASE {self.db} WITH (FORCE)")
        self.warehouse.sql(f"DROP DATABASE {self.wdb} WITH (FORCE)")


@pytest.fixture(scope="session")
def live(program, servers):
    """live(deaths): one life from beginning to end."""
    pair = Databases(servers.get("source"), servers.get("warehouse"))

    def run(deaths=(), log=None):
        made = []

        def make(config, **kw):
            made.append(harness.Penstock(config, **kw))
            return made[0]
        pair.clear()
        duck = os.path.join(harness.base(), uuid.uuid4().hex[:10] + ".duckdb")
        old = harness.PENSTOCK
        harness.PENSTOCK = program
        try:
            b = Both(make, pair.source, pair.db, pair.warehouse, pair.wdb, duck)
            return Life(b, deaths, log).live()
        finally:
            harness.PENSTOCK = old
            if made and made[0].process is not None:
                made[0].process.kill()
                made[0].process.wait(10)
            if os.path.exists(duck):
                os.remove(duck)
            pair.clear()  # its slots' names are others', too
    yield run
    pair.drop()


@pytest.fixture(scope="session")
def reached(live):
    """The points of a life without a death, each with the times (powers of two) it is reached."""
    log = os.path.join(harness.base(), "failpoints-" + uuid.uuid4().hex[:8])
    live(log=log)
    times = {}
    with open(log) as f:
        for line in f:
            name, _, n = line.strip().partition(":")
            times.setdefault(name, set()).add(int(n or 1))
    return {name: sorted(n) for name, n in times.items()}


def test_a_life_reaches_every_failpoint(program, reached):
    """Or a chain of deaths does: one that nothing reaches is not tested by what is below."""
    assert sorted(set(all_points(program)) - set(reached) - set(CHAINS) - set(ELSEWHERE)) == []


def test_an_ordinary_program_has_none(program):
    r = subprocess.run([harness.PENSTOCK, "version", "--failpoints"], capture_output=True, text=True,
                       check=True, env={**os.environ, "PENSTOCK_FAILPOINT": "wdk.after-attach"})
    assert (r.stdout, r.stderr) == ("", "")
    r = subprocess.run([program, "version", "--failpoints", "--output", "json"], capture_output=True)
    assert r.returncode == 0 and b"wdk.before-commit\n" in r.stdout


def together(deaths):
    """Lists of a few deaths of one life each, those that come early in it first."""
    lives = -(-len(deaths) // TOGETHER)
    return [deaths[i::lives] for i in range(lives)]


def all_deaths(reached):
    """Every point the first time, by when that is; those of a life that goes on also later, when it
    is well under way (not the last time: another life may reach a point less often)."""
    later = []
    for name, times in reached.items():
        if len(times) > 2:
            later.append(f"{name}:{times[len(times) // 2]}")
    return together(list(reached)) + together(later) + list(CHAINS.values())


@pytest.mark.parametrize("shard", range(SHARDS))
def test_death_at_every_failpoint(shard, live, reached):
    wrong = []
    todo = all_deaths(reached)[shard::SHARDS]
    while todo:
        deaths = todo.pop(0)
        try:
            died = live(deaths).died
            missed = [d for d in deaths if d not in died and ":" not in d]
            print("died at", died, "missed", missed)
            if missed and len(deaths) > 1 and deaths not in CHAINS.values():
                todo += [[d] for d in missed]  # with a life of its own
            else:
                assert not missed, f"died only at {died}"
        except AssertionError as e:
            wrong.append(f"=== death at {deaths}: {e}")
    assert not wrong, "\n".join(wrong)


# --- one step waits for another ---

def test_a_copy_that_gets_ready_in_an_open_transaction_waits_for_the_next(program, source, db, duck):
    """DuckDB's transactions see what was committed before they began: in one that has begun before
    the copy's last rows came, changes would not find them."""
    p = harness.Penstock(harness.to_duckdb(source, db, duck))
    old, harness.PENSTOCK = harness.PENSTOCK, program
    try:
        p.start().wait_live("public.fence")
        assert p.stop() == 0
        source.script(TWO, db)
        log = os.path.join(p.dir, "reached")
        p.env = {"PENSTOCK_FAILPOINT_LOG": log, "PENSTOCK_FAILPOINT":
                 "snapshot.begun:sleep=1500,batch.taken:sleep=4000"}
        p.start()
        wait_for("the copy begins", lambda: os.path.exists(log) and "snapshot.begun" in open(
            log).read().split(), 20)
        source.script("DELETE FROM t WHERE id % 5 = 0", db)
        harness.wait_caught_up(p, source, db)
        p.wait_live("public.t")
        assert p.stop() == 0
        harness.assert_equal_duckdb(source, db, duck, "public.t")
    finally:
        harness.PENSTOCK = old
        if p.process is not None:
            p.process.kill()
            p.process.wait(10)


# --- what needs a lock in the warehouse ---

@pytest.fixture
def dying(program, source, db, warehouse, wdb):
    """A program into Postgres alone, that dies where start(point) says."""
    p = harness.Penstock(harness.to_postgres(source, db, warehouse, wdb))
    old, harness.PENSTOCK = harness.PENSTOCK, program

    def start(point=None):
        p.env = {"PENSTOCK_FAILPOINT": point} if point else {}
        return p.start()
    p.begin = start
    p.dies = lambda: wait_for("it dies", lambda: p.process.poll() == -9, 30)
    yield p
    harness.PENSTOCK = old
    if p.process is not None and p.process.poll() is None:
        p.process.kill()
        p.process.wait(10)


TWO = """CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 500) i"""


@pytest.mark.parametrize("point", HELD)
def test_death_while_a_copy_has_a_spool(point, dying, source, db, warehouse, wdb):
    """The copy is held back until changes of more than 256 kB wait for it."""
    source.script(TWO, db)
    p = dying.begin(point)
    p.wait_live("public.t")
    with warehouse.connect(wdb, autocommit=False) as c:
        c.execute("LOCK TABLE penstock.snapshot_chunks IN SHARE MODE")
        assert post(p, "/v1/connectors/shop/snapshots", '{"tables": ["public.t"]}')[0] == 202
        wait_for("it has begun", lambda: warehouse.sql(
            "SELECT count(*) FROM penstock.tables WHERE source_table = 't'", wdb) == [(2,)])
        source.script("UPDATE t SET v = v || 'a'", db)
        source.script("UPDATE t SET v = v || 'b', id = -id WHERE id % 2 = 0", db)
        if point == HELD[-1]:
            harness.wait_caught_up(p, source, db)
        else:
            p.dies()
    p.dies()
    p.begin().wait_live("public.t")
    source.script("DELETE FROM t WHERE id % 5 = 0", db)
    harness.wait_caught_up(p, source, db)
    wait_for("in its place", lambda: warehouse.sql(
        "SELECT count(*) FROM penstock.tables WHERE source_table = 't'", wdb) == [(1,)])
    harness.assert_equal_postgres(source, db, warehouse, wdb, "public.t")


def test_death_when_a_spool_is_cut(dying, source, db, warehouse, wdb):
    """A table waits for a lock; its spool is longer than the checkpoint says."""
    source.script(TWO, db)
    p = dying.begin()
    p.wait_live("public.t")
    load = warehouse.sql("SELECT load FROM penstock.tables WHERE source_table = 't'", wdb)
    with warehouse.connect(wdb, autocommit=False) as c:
        c.execute("LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE")
        source.script("UPDATE t SET v = v || 'a'", db)
        wait_for("set aside", lambda: p.tables()[("public", "t")]["state"] == "loading", 25)
        source.script("UPDATE t SET v = v || 'b'", db)
        harness.wait_caught_up(p, source, db)
        p.kill9()
        p.begin("spool.after-sync")
        source.script("UPDATE t SET v = v || 'c'", db)
        p.dies()
        p.begin("spool.after-cut")
        p.dies()
        p.begin()
        harness.wait_caught_up(p, source, db)
        assert p.tables()[("public", "t")]["state"] == "loading"
    p.wait_live("public.t")
    harness.wait_caught_up(p, source, db)
    harness.assert_equal_postgres(source, db, warehouse, wdb, "public.t")
    assert load == warehouse.sql("SELECT load FROM penstock.tables WHERE source_table = 't'", wdb)


def test_a_table_dropped_after_its_load_died_leaves_nothing(dying, source, db, warehouse, wdb):
    source.script(TWO, db)
    p = dying.begin("snapshot.begun:2")
    p.dies()
    asides = ("SELECT table_name FROM information_schema.tables WHERE table_name LIKE "
              "'\\_penstock\\_load%%'")
    assert warehouse.sql(asides, wdb)
    source.script("DROP TABLE t, fence; CREATE TABLE other (id int PRIMARY KEY)", db)
    p.begin().wait_live("public.other")
    assert list(p.tables()) == [("public", "other")]
    assert warehouse.sql(asides, wdb) == []
    assert warehouse.sql("SELECT source_table FROM penstock.tables", wdb) == [("other",)]
