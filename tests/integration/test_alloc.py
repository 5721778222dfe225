# SPDX-License-Identifier: Apache-2.0
"""Out of memory, at one allocation of ours after another (util/mem.c; libpq's and DuckDB's own are
not counted): the process ends with code 1 and one line, never hangs or crashes, and the next one
goes on until both sides are equal. What encodes, compacts and decodes has every single allocation
fail in tests/unit/test_alloc.c."""
import os
import re
import subprocess

import duckdb
import harness
import pytest
from harness import assert_equal_duckdb, lsn, to_duckdb, wait_for
from test_failpoints import program  # noqa: F401: a fixture

# Another thread may still say something before the process has ended.
LINE = re.compile(r"^penstock: out of memory \(\d+ bytes wanted\), stopping$", re.M)
TABLES = ("public.people", "public.lines", "public.fence")
SCHEMA = """
CREATE TABLE people (id int PRIMARY KEY, name text, bio text, tags int[]);
ALTER TABLE people ALTER bio SET STORAGE EXTERNAL;
CREATE TABLE lines (line text, n int);
ALTER TABLE lines REPLICA IDENTITY FULL;
INSERT INTO people SELECT i, 'p' || i, repeat(md5(i::text), 90), ARRAY[i, NULL]
    FROM generate_series(1, 200) i;
INSERT INTO lines SELECT 'l' || i % 7, i % 3 FROM generate_series(1, 40) i;
"""
FIRST = 150  # of these every one
STRIDE = 12  # of the others one in so many, and all between two that fail in different phases
CLEAN = 10   # after so many failures a run without


def phase(log):
    """Of the last line before the end: what happened, without the table's name."""
    lines = log[:LINE.search(log).start()].splitlines()
    return re.sub(r"\S*=\S+|^\S+Z|\d+", "", lines[-1]) if lines else ""


def chosen(first, last, fails):
    """Calls fails(n), which returns its phase or None (not reached), for the chosen n of a range."""
    seen = {}
    for n in range(first, min(FIRST, last) + 1):
        seen[n] = fails(n)
    at = max(first, FIRST + 1)
    while at <= last:
        seen[at] = fails(at)
        before = [n for n in seen if n < at]
        if before and seen[max(before)] != seen[at]:
            for n in range(max(before) + 1, at):
                seen[n] = fails(n)
        at += STRIDE
    reached = [n for n in seen if seen[n] is not None]
    print(f"{len(reached)} allocations of {first} to {last} failed, in "
          f"{len({seen[n] for n in reached})} phases")
    assert reached
    return reached


class Sync:
    """`penstock sync --once` of a small database into DuckDB, over and over into one file."""

    def __init__(self, program, source, db, duck, cwd):
        self.program, self.source, self.db, self.duck, self.cwd = program, source, db, duck, cwd
        self.failures = 0

    def run(self, **env):
        return subprocess.run(
            [self.program, "sync", "--once", "--from", self.source.url(self.db), "--to",
             f"duckdb:{self.duck}", "--listen", "127.0.0.1:0"], cwd=self.cwd, text=True,
            env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def clean(self):
        """Ends well, equal, and leaves nothing; returns how many allocations that takes."""
        r = self.run(PENSTOCK_COUNT_ALLOC="1")
        assert r.returncode == 0, r.stderr
        assert_equal_duckdb(self.source, self.db, self.duck, *TABLES)
        with duckdb.connect(self.duck, read_only=True) as c:
            assert c.execute("SELECT count(*) FROM information_schema.tables WHERE table_name LIKE "
                             "'\\_penstock\\_%' ESCAPE '\\'").fetchone() == (0,)
        wait_for("temporary slots are gone", lambda: self.source.sql(
            "SELECT count(*) FROM pg_replication_slots WHERE database = %s", "postgres",
            (self.db,))[0][0] == 0)
        return int(re.search(r"penstock: (\d+) allocations\n", r.stderr).group(1))

    def fails(self, n):
        r = self.run(PENSTOCK_FAIL_ALLOC=str(n))
        if r.returncode == 0:
            return None
        assert r.returncode == 1 and len(LINE.findall(r.stderr)) == 1, f"{n}: {r.returncode}: {r.stderr}"
        self.failures += 1
        if self.failures % CLEAN == 0 and n > FIRST:  # before, nothing has been touched yet
            self.clean()
        return phase(r.stderr)


@pytest.mark.parametrize("half", [0, 1])
def test_out_of_memory_in_a_sync(half, program, source, db, duck, tmp_path):  # noqa: F811
    source.script(SCHEMA, db)
    s = Sync(program, source, db, duck, tmp_path)
    first = s.fails(1)  # there is no file yet
    assert first == "" and not os.path.exists(duck)
    s.clean()
    count = s.clean()
    middle = FIRST + (count - FIRST) // 3  # a later failure takes longer
    chosen(*((1, middle) if half == 0 else (middle + 1, count)), s.fails)
    s.clean()


class Streaming:
    """`penstock run` on what the former left: reads on, then is given more."""

    def __init__(self, make, source, db, duck):
        self.source, self.db, self.duck = source, db, duck
        self.p = make(to_duckdb(source, db, duck))
        self.failures = self.round = self.altered = 0

    def change(self):
        self.round += 1
        k = self.round % 150 + 1
        self.source.script(
            f"UPDATE people SET name = name || 'x' WHERE id % 10 = {k % 10};"
            f"UPDATE people SET id = -id WHERE id IN ({k}, {-k});"
            f"DELETE FROM people WHERE id > 1000; INSERT INTO people VALUES ({1000 + k}, 'n', NULL);"
            f"DELETE FROM lines WHERE ctid = (SELECT min(ctid) FROM lines);"
            f"INSERT INTO lines VALUES ('l{k % 7}', 1), ('l{k % 7}', 1)", self.db)

    def alter(self):
        self.source.script(f"ALTER TABLE people DROP COLUMN IF EXISTS more{self.altered}; ALTER TABLE "
                           f"people ADD COLUMN more{self.altered + 1} int DEFAULT 7", self.db)
        self.altered += 1

    def settled(self):
        """True when all is live and applied; False when the process has ended."""
        p = self.p.process
        end = lsn(self.source.sql("UPDATE public.fence SET n = n + 1 RETURNING "
                                  "pg_current_wal_insert_lsn()::text", self.db)[0][0])

        def there():
            if p.poll() is not None:
                return "ended"
            live = {f"{t['schema']}.{t['table']}" for t in self.p.json("/v1/tables")
                    if t["state"] == "live"}
            at = self.source.sql("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE "
                                 "NOT temporary AND database = current_database()", self.db)
            return live >= set(TABLES) and at and lsn(at[0][0]) >= end and "there"
        return wait_for("live and applied, or ended", there, 40, interval=0.03) == "there"

    def run(self, **env):
        """The exit code and what was logged."""
        self.p.env = env
        open(self.p.log_path, "w").close()
        self.change()
        self.p.start()
        if self.settled():
            self.change()
            self.alter()
            self.change()
            if self.settled():
                self.p.process.terminate()
        code = self.p.process.wait(15)
        self.p.process = None
        return code, self.p.log()

    def clean(self):
        code, log = self.run(PENSTOCK_COUNT_ALLOC="1")
        assert code == 0, log
        assert_equal_duckdb(self.source, self.db, self.duck, *TABLES)
        return int(re.search(r"penstock: (\d+) allocations\n", log).group(1))

    def fails(self, n):
        code, log = self.run(PENSTOCK_FAIL_ALLOC=str(n))
        if code == 0:
            return None
        assert code == 1 and len(LINE.findall(log)) == 1, f"{n}: {code}: {log}"
        self.failures += 1
        if self.failures % CLEAN == 0:
            self.clean()
        return phase(log)


def test_out_of_memory_while_streaming(program, source, db, duck, penstock,  # noqa: F811
                                       monkeypatch):
    monkeypatch.setattr(harness, "PENSTOCK", program)
    source.script(SCHEMA, db)
    s = Streaming(penstock, source, db, duck)
    s.clean()
    count = s.clean()
    step = max(1, (count - FIRST) // 40)
    phases = {n: s.fails(n) for n in range(FIRST + 1, count + 1, step)}
    reached = [n for n in phases if phases[n] is not None]
    print(f"{len(reached)} allocations of {count} failed, one in {step}, in "
          f"{len(set(phases.values()))} phases")
    assert len(reached) > 25
    s.clean()
