# SPDX-License-Identifier: Apache-2.0
"""Large tables are copied by ranges of their key: a load that is cut off goes on with the ranges that
are missing, each with a point of its own, and is exact whatever happened in between. "Large" is
64 KB here, a range four pages."""
import glob
import os
import random
import re
import threading
import time
import uuid
from collections import Counter

import duckdb
import harness
import pytest
from harness import (assert_equal_duckdb, assert_equal_postgres, lsn, to_duckdb, to_postgres,
                     wait_caught_up, wait_for)
from test_failpoints import program  # noqa: F401: a fixture
from test_resync import post

KINDS = ["postgres", "duckdb"]
KILLS = int(os.environ.get("PENSTOCK_KILLS", "50")) // 5
SEED = int(os.environ.get("PENSTOCK_SEED", "0")) or random.SystemRandom().randint(1, 10**9)
SETTINGS = {"snapshot.key.chunk.bytes": "64KB", "snapshot.chunk.pages": "1",
            "snapshot.max.threads": "1"}
ROWS = 3000

# Table, type of its key, the i-th of many keys in no order (an SQL expression of i).
KEYS = [
    ("by_int", "int", "i * 7 - 9000"),
    ("by_bigint", "bigint", "-i::bigint * 1000000007"),
    ("by_uuid", "uuid", "md5(i::text)::uuid"),
    ("by_date", "date", "CASE i WHEN 1 THEN '-infinity' WHEN 2 THEN 'infinity' "
                        "ELSE date '0044-03-15 BC' + i END"),
    ("by_timestamp", "timestamp", "CASE i WHEN 1 THEN '-infinity' WHEN 2 THEN 'infinity' "
                                  "ELSE timestamp '1999-12-31 12:00:00.000001' + i * interval "
                                  "'37 s 11 us' END"),
    ("by_timestamptz", "timestamptz", "timestamptz '1999-12-31 23:00:00+01' + (i - 1500) * interval "
                                      "'1 day 1 us'"),
    ("by_bytea", "bytea", "decode(md5(i::text), 'hex')"),
    ("by_text", 'text COLLATE "C"', "CASE WHEN i % 3 = 0 THEN 'é' WHEN i % 3 = 1 THEN 'Z''' ELSE "
                                    "'a\\' END || md5(i::text)"),
]
PAD = "repeat('x', 60)"


def table(name, type_, key, rows=ROWS):
    """The second key column makes some first ones stand for several rows."""
    return (f"CREATE TABLE {name} (k {type_}, part int, v text, pad text, PRIMARY KEY (k, part));"
            f"INSERT INTO {name} SELECT {key}, p, 'v' || i, {PAD} FROM generate_series(1, {rows}) i, "
            f"generate_series(1, CASE WHEN i % 10 = 0 THEN 3 ELSE 1 END) p;")


ALL = [f"public.{name}" for name, _, _ in KEYS]


class Run:
    def __init__(self, kind, program, source, db, warehouse, wdb, duck, penstock, **settings):
        self.kind, self.program, self.source, self.db = kind, program, source, db
        self.warehouse, self.wdb, self.duck = warehouse, wdb, duck
        more = {"source": {**SETTINGS, **settings}}
        self.p = penstock(to_postgres(source, db, warehouse, wdb, **more) if kind == "postgres"
                          else to_duckdb(source, db, duck, **more))

    def sql(self, sql):
        """In the warehouse, with the program dead."""
        if self.kind == "postgres":
            return self.warehouse.sql(sql, self.wdb)
        with duckdb.connect(self.duck, read_only=True) as c:
            return c.execute(sql).fetchall()

    def loading(self):
        """What is known of each load that is not complete, and of its ranges."""
        return self.sql(
            "SELECT t.source_table, t.load, t.snapshot_csn, c.chunk, c.snapshot_csn, c.\"rows\", "
            "c.done FROM penstock.tables t JOIN penstock.snapshot_chunks c ON c.source_id = "
            "t.source_id AND c.load = t.load WHERE t.state = 'loading' AND NOT t.loaded AND "
            "(c.from_key IS NOT NULL OR c.to_key IS NOT NULL) ORDER BY 1, 2, 4")

    def start(self, failpoint=None):
        self.p.env, old = {}, harness.PENSTOCK
        self.began = os.path.getsize(self.p.log_path) if os.path.exists(self.p.log_path) else 0
        if failpoint:
            self.points = os.path.join(self.p.dir, "points-" + uuid.uuid4().hex[:8])
            self.p.env = {"PENSTOCK_FAILPOINT": failpoint, "PENSTOCK_FAILPOINT_LOG": self.points}
            harness.PENSTOCK = self.program
        try:
            self.p.start()
        finally:
            harness.PENSTOCK = old

    def dies(self, ranges):
        """After so many chunks of this start; what is known then."""
        self.start(f"snapshot.chunk-committed:{ranges}")
        assert self.p.process.wait(60) == -9
        self.p.process = None
        return self.loading()

    def pauses(self, ranges, ms=60000):
        """Starts it, to wait after so many chunks: 1, 2, 4, 8, .."""
        self.start(f"snapshot.chunk-committed:{ranges}:sleep={ms}")

    def paused(self, ranges):
        def there():
            self.p.alive()
            with open(self.points) as f:
                return f"snapshot.chunk-committed:{ranges}\n" in f.read()
        wait_for("it pauses", there, 60)
        return self

    def goes_on(self):
        """(table, load) -> how many ranges it had when it went on, each time."""
        out = {}
        for m in re.finditer(r"table load goes on table=public\.(\S+) load=(\d+) ranges=(\d+) "
                             r"of=(\d+)", self.p.log()):
            out.setdefault((m[1], int(m[2])), []).append((int(m[3]), int(m[4])))
        return out

    def placed(self):
        """Is each copy that this process has made or taken up in its table's place?"""
        with open(self.p.log_path, "rb") as f:
            f.seek(self.began)
            log = f.read().decode(errors="replace")
        copies, live = {}, set(re.findall(r"table live table=(\S+) load=(\d+)", log))
        for t, n in re.findall(r"(?:table loaded|goes on with its spool) table=(\S+) .*?load=(\d+)",
                               log):
            copies[t] = max(copies.get(t, 0), int(n))
        return all((t, str(n)) in live for t, n in copies.items())

    def equal(self, *tables):
        self.p.wait_live(*tables)
        wait_caught_up(self.p, self.source, self.db)
        wait_for("in their place", lambda: self.p.alive() and self.placed(), 60)
        self.p.wait_live(*tables)
        wait_caught_up(self.p, self.source, self.db)
        assert self.p.stop() == 0
        try:
            if self.kind == "postgres":
                assert_equal_postgres(self.source, self.db, self.warehouse, self.wdb, *tables)
            else:
                assert_equal_duckdb(self.source, self.db, self.duck, *tables)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.p.log()[-6000:]}") from None
        # They are values of rows. A load may have begun once more, for what the stream has told late.
        assert self.sql(
            "SELECT source_id, load, count(*) FROM penstock.snapshot_chunks c WHERE NOT EXISTS "
            "(SELECT 1 FROM penstock.tables t WHERE t.source_id = c.source_id AND t.load = c.load AND "
            "t.state = 'loading') GROUP BY 1, 2") == []
        loading = self.sql("SELECT load FROM penstock.tables WHERE state = 'loading'")
        assert {n for (n,) in self.sql(
            "SELECT table_name FROM information_schema.tables WHERE table_name LIKE "
            "'%penstock_load%'")} <= {f"_penstock_load_{n}" for (n,) in loading}, self.p.log()[-4000:]


@pytest.fixture
def run(program, source, db, warehouse, wdb, duck, penstock):
    def make(kind, **settings):
        return Run(kind, program, source, db, warehouse, wdb, duck, penstock, **settings)
    return make


class Writer(threading.Thread):
    """Moves rows between ranges, both ways and in chains, deletes, inserts, updates."""

    def __init__(self, source, db, tables, seed, pause=0.004):
        super().__init__(daemon=True)
        self.source, self.db, self.tables = source, db, tables
        self.rnd, self.pause = random.Random(seed), pause
        self.quit = threading.Event()
        self.n, self.error = 0, None

    def one(self, c):
        rnd = self.rnd
        name, _, key = rnd.choice(self.tables)

        def at(i):
            return "(" + re.sub(r"\bi\b", f"({i})", key) + ")"
        i, j, k = (rnd.randint(1, ROWS) for _ in range(3))
        new = ROWS + rnd.randint(1, 400)
        what = rnd.random()
        part = 100 + rnd.randint(0, 10**6)
        if what < 0.35:  # to anywhere, as another part: never in the way of another row
            c.execute(f"UPDATE {name} SET k = {at(j)}, part = {part} WHERE k = {at(i)}")
        elif what < 0.5:  # there and on, in one transaction
            c.execute(f"UPDATE {name} SET k = {at(j)}, part = {part} WHERE k = {at(i)} AND part = 1")
            c.execute(f"UPDATE {name} SET k = {at(k)}, v = v || '.' WHERE k = {at(j)} AND part = "
                      f"{part}")
        elif what < 0.65:
            c.execute(f"DELETE FROM {name} WHERE k = {at(i)}")
        elif what < 0.85:
            c.execute(f"INSERT INTO {name} VALUES ({at(rnd.choice([i, new]))}, {part}, 'new', "
                      f"{PAD})")
        else:
            c.execute(f"UPDATE {name} SET v = v || '+' WHERE k IN ({at(i)}, {at(j)}, {at(k)})")

    def run(self):
        import psycopg
        try:
            with self.source.connect(self.db, autocommit=False) as c:
                while not self.quit.is_set():
                    try:
                        for _ in range(self.rnd.randint(1, 4)):
                            self.one(c)
                        c.commit()
                        self.n += 1
                    except psycopg.errors.UniqueViolation:
                        c.rollback()
                    self.quit.wait(self.pause)
        except Exception as e:  # noqa: BLE001: shown by stop()
            self.error = e

    def stop(self):
        self.quit.set()
        self.join(30)
        assert self.error is None, self.error
        assert self.n > 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_load_goes_on(kind, source, db, run):
    """Ranges that were copied are not copied again: their rows say as of which point they are."""
    source.script(table("quiet", "int", "i", 12000) + table("busy", "bigint", "i", 12000), db)
    r = run(kind)
    writer = Writer(source, db, [("busy", "bigint", "i")], SEED)
    writer.start()
    copied, loads, total = {}, {}, Counter()
    for ranges in (20, 31, 1, 18):  # of some 100
        known = r.dies(ranges)
        now = {(row[0], row[3]): row[4:6] for row in known if row[6]}
        assert all(now[at] == what for at, what in copied.items() if at[0] in {k[0] for k in known})
        assert len(now) > 0
        copied.update(now)
        for row in known:
            if any(k[0] == row[0] for k in copied):
                assert loads.setdefault(row[0], row[1]) == row[1], (loads, row)
        total = Counter(row[0] for row in known)
    r.start()
    r.p.wait_live("public.quiet", "public.busy")
    writer.stop()
    went = r.goes_on()
    assert len(went) == 2 and {t: n for t, n in went} == loads, (went, loads)
    for (t, _), times in went.items():
        assert times == sorted(times) and (t not in total or times[-1] == (
            len([at for at in copied if at[0] == t]), total[t])), (went, total)
    assert {t: int(n) for t, n in re.findall(r"table loaded table=public.(quiet|busy) .*load=(\d+)",
                                             r.p.log())} == loads
    assert len({s for s, _ in copied.values()}) > 1
    r.equal("public.quiet", "public.busy")
    rows = dict(r.sql("SELECT _penstock_csn, count(*) FROM public.quiet GROUP BY 1"))
    want = Counter()
    for (t, _), (s, n) in copied.items():
        if t == "quiet" and n:
            want[s - 1] += n
    last = max(want)
    assert {csn: n for csn, n in rows.items() if csn in want and csn != last} == {
        csn: n for csn, n in want.items() if csn != last}, (rows, want)
    assert rows[last] >= want[last] and sum(rows.values()) == 12000 + 2 * 1200


@pytest.mark.parametrize("kind", KINDS)
def test_kills_in_first_loads_and_resyncs(kind, source, db, run):
    """Every type of key, with a writer that moves rows; many kills in a row."""
    print(f"PENSTOCK_SEED={SEED}")
    rnd = random.Random(SEED)
    source.script("".join(table(*k) for k in KEYS), db)
    r = run(kind)
    writer = Writer(source, db, KEYS, SEED)
    writer.start()

    def life():
        """Dies by itself, or some time after it has begun to stream."""
        before = r.p.log().count("streaming from") if os.path.exists(r.p.log_path) else 0
        r.start(f"snapshot.chunk-committed:{rnd.randint(1, 30)}")
        wait_for("it streams or is dead", lambda: r.p.process.poll() is not None or
                 r.p.log().count("streaming from") > before, 60, interval=0.01)
        end = time.monotonic() + 0.2 + 4 * rnd.random()
        while r.p.process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        assert r.p.process.poll() in (None, -9), r.p.log()[-3000:]
        r.p.kill9()
    for _ in range(KILLS):
        life()
    r.start()
    r.p.wait_live(*ALL)
    for _ in range(max(1, KILLS // 3)):
        r.p.wait_live(*ALL)
        assert post(r.p, "/v1/connectors/shop/snapshots", '{"tables": ["' + '", "'.join(
            rnd.sample(ALL, 4)) + '"]}')[0] == 202
        wait_for("a copy has begun", lambda n=r.p.log().count("cut by ranges"):
                 r.p.log().count("cut by ranges") > n, interval=0.005)
        time.sleep(rnd.random() * 0.2)
        r.p.kill9()
        for _ in range(2):
            life()
        r.start()
    r.p.wait_live(*ALL)
    writer.stop()
    assert len(r.goes_on()) > 1, r.goes_on()
    r.equal(*ALL)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_move_without_a_column_out_of_line(kind, source, db, run):
    """What cannot be made exact from the log is loaded from nothing."""
    source.script("CREATE TABLE docs (k int PRIMARY KEY, v text, doc text);"
                  "ALTER TABLE docs ALTER doc SET STORAGE EXTERNAL;"
                  "INSERT INTO docs SELECT i, 'v', CASE WHEN i % 40 = 0 THEN repeat(md5(i::text), 90) "
                  f"ELSE {PAD} END FROM generate_series(1, 12000) i", db)
    r = run(kind)
    known = r.dies(12)
    assert {row[6] for row in known} == {True, False}
    # All rows change places: those of ranges not copied yet arrive in copied ones.
    source.script("UPDATE docs SET k = -k; UPDATE docs SET k = 12001 + k", db)
    r.start()
    r.p.wait_live("public.docs")
    assert "its load by ranges of keys must start again" in r.p.log()
    assert "without a column that is stored out of line" in r.p.log()
    r.equal("public.docs")


CHANGES = {
    "nothing": "UPDATE t SET k = k + 30000 WHERE k % 11 = 0",
    "truncate": "TRUNCATE t; CREATE TABLE u AS SELECT i AS k, 1 AS part, 'v' AS v, 'p' AS pad FROM "
                "generate_series(1, 3000) i; INSERT INTO t SELECT * FROM u",
    "rewrite": "ALTER TABLE t ALTER part TYPE bigint",
    "same type": "ALTER TABLE t ALTER v TYPE text USING v || '?'",
    "add column": "ALTER TABLE t ADD COLUMN w int DEFAULT 5; UPDATE t SET w = k WHERE k % 2 = 0",
    "add and drop": "ALTER TABLE t ADD COLUMN w int DEFAULT 5; UPDATE t SET w = k WHERE k % 2 = 0; "
                    "ALTER TABLE t DROP COLUMN w",
    "drop": "DROP TABLE t",
    "spool": "",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_happens_in_between(kind, change, source, db, run):
    """Over a live copy, and the stream has passed the first point when the load is cut off."""
    source.script(table("t", "int", "i", 12000) + table("other", "int", "i", 100), db)
    r = run(kind)
    r.start()
    r.p.wait_live("public.t", "public.other")
    wait_caught_up(r.p, source, db)
    assert r.p.stop() == 0
    r.pauses(16)
    r.p.wait_live("public.t", "public.other")
    assert post(r.p, "/v1/connectors/shop/snapshots", '{"tables": ["public.t"]}')[0] == 202
    r.paused(16)
    source.script("UPDATE t SET v = v || '!' WHERE k % 11 = 0; UPDATE t SET k = k - 50000 WHERE "
                  "k % 17 = 0; DELETE FROM t WHERE k % 19 = 0", db)
    wait_caught_up(r.p, source, db)
    r.p.kill9()
    known = r.loading()
    assert Counter(row[6] for row in known)[True] == 16 and not known[-1][6], known
    assert known[0][2] < lsn(r.sql("SELECT position FROM penstock.checkpoints")[0][0])
    load = known[0][1]
    if change == "spool":
        files = glob.glob(os.path.join(r.p.dir, "**", "spool", "*"), recursive=True)
        assert files
        for f in files:
            os.unlink(f)
    else:
        source.script(CHANGES[change], db)
    if change == "drop":
        r.start()
        r.p.wait_live("public.other")
        r.equal("public.other")
        return
    r.start()
    wait_for("loaded again", lambda: len(re.findall("table loaded table=public.t ",
                                                    r.p.log())) == 2, 60)
    r.p.wait_live("public.t", "public.other")
    loaded = [int(n) for n in re.findall(r"table loaded table=public.t .*load=(\d+)", r.p.log())]
    if change == "nothing":
        assert loaded[1] == load and r.goes_on() == {("t", load): [(16, len(known))]}
    else:
        assert loaded[1] > load
    r.equal("public.t", "public.other")


@pytest.mark.parametrize("kind", KINDS)
def test_a_spool_with_a_gap_is_not_used_after_a_kill(kind, source, db, run):
    """While the load runs the table has another shape for a while, of which the spool keeps nothing;
    after the kill all looks as it did before."""
    source.script(table("t", "int", "i", 12000), db)
    r = run(kind)
    r.start()
    r.p.wait_live("public.t")
    wait_caught_up(r.p, source, db)
    assert r.p.stop() == 0
    r.pauses(16)
    r.p.wait_live("public.t")
    assert post(r.p, "/v1/connectors/shop/snapshots", '{"tables": ["public.t"]}')[0] == 202
    r.paused(16)
    source.script("UPDATE t SET v = v || '?' WHERE k % 11 = 0", db)
    wait_caught_up(r.p, source, db)  # the books know of some of its spool
    source.script(CHANGES["add and drop"] + "; UPDATE t SET v = v || '!' WHERE k % 7 = 0", db)
    wait_for("its load is void", lambda: re.search(
        "table was altered meanwhile|table stands still table=public.t ", r.p.log()))
    wait_caught_up(r.p, source, db)
    r.p.kill9()
    known = r.loading()
    assert known[0][6] and not known[-1][6], known
    r.start()
    r.p.wait_live("public.t")
    wait_for("loaded again", lambda: len(re.findall("table loaded table=public.t ",
                                                    r.p.log())) == 2, 60)
    r.equal("public.t")
    assert r.goes_on() == {}
    assert "spool cannot be used, the table is loaded again table=public.t" in r.p.log()


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_comes_to_be_compared_otherwise(kind, source, db, run):
    """Another collation of the key writes no row anew, but the order of its bytes is none any more."""
    key = ("CASE WHEN i <= 6000 THEN 'B' || lpad((2 * i)::text, 6, '0') ELSE 'b' || "
           "lpad((2 * i - 12001)::text, 6, '0') END")
    source.script(table("t", 'text COLLATE "C"', key, 12000), db)
    r = run(kind)
    known = r.dies(16)
    assert known[0][6] and not known[-1][6], known
    file = source.sql("SELECT relfilenode FROM pg_class WHERE relname = 't'", db)
    source.script('ALTER TABLE t ALTER k TYPE text COLLATE "und-x-icu"', db)
    assert file == source.sql("SELECT relfilenode FROM pg_class WHERE relname = 't'", db)
    r.start()
    r.p.wait_live("public.t")
    assert "cut by ranges" in r.p.log()
    r.equal("public.t")


@pytest.mark.parametrize("kind", KINDS)
def test_the_source_s_connections_break(kind, source, db, run):
    """In the middle of a load, without the program's end: it goes on in the same process."""
    source.script(table("t", "int", "i", 12000), db)
    r = run(kind)
    r.start()
    r.p.wait_live("public.t")
    wait_caught_up(r.p, source, db)
    assert r.p.stop() == 0
    r.pauses(16, 2000)
    r.p.wait_live("public.t")
    writer = Writer(source, db, [("t", "int", "i")], SEED)
    writer.start()
    assert post(r.p, "/v1/connectors/shop/snapshots", '{"tables": ["public.t"]}')[0] == 202
    r.paused(16)
    assert source.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                      "current_database() AND application_name LIKE '%%reader%%'", db) == [(True,)]
    wait_for("it is loaded", lambda: len(re.findall("table loaded table=public.t ", r.p.log())) == 2)
    writer.stop()
    assert [times for times in r.goes_on().values()][0][0][0] == 16
    r.equal("public.t")


def test_tables_that_are_not_cut(source, db, run):
    """Floats, text of another order, one value that holds most rows; a small table."""
    source.script(
        table("by_float", "float8", "i") + table("by_numeric", "numeric", "i") +
        table("by_words", 'text COLLATE "und-x-icu"', "'w' || i") +
        "CREATE TABLE skewed (k int, n int, pad text, PRIMARY KEY (k, n));"
        f"INSERT INTO skewed SELECT CASE WHEN i % 10 = 0 THEN i ELSE 5 END, i, {PAD} FROM "
        "generate_series(1, 6000) i;"
        f"CREATE TABLE keyless (k int, pad text); INSERT INTO keyless SELECT i, {PAD} FROM "
        "generate_series(1, 6000) i; ALTER TABLE keyless REPLICA IDENTITY FULL;"
        "CREATE TABLE small (k int PRIMARY KEY); INSERT INTO small VALUES (1);" +
        table("cut", "int", "i"), db)
    names = ["public." + n for n in ("by_float", "by_numeric", "by_words", "skewed", "keyless",
                                     "small", "cut")]
    r = run("postgres")
    r.start()
    r.p.wait_live(*names)
    assert set(re.findall(r"cut by ranges of its key table=(\S+)", r.p.log())) == {"public.cut"}
    assert "one value holds too many rows table=public.skewed column=k" in r.p.log()
    r.equal(*names)
