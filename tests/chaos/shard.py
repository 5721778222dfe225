# SPDX-License-Identifier: Apache-2.0
"""One life of the program under random work and random trouble: servers of its own, rounds, and
after some rounds a rest in which everything must become live and equal to the source."""
import contextlib
import glob
import os
import re
import subprocess
import tempfile
import time

import harness
import marks
import trouble
from both import KINDS, Both
from operations import Round
from proxy import Proxy
from session import History, Session

HERE = os.path.dirname(os.path.abspath(__file__))
SETTINGS = {"publication.autocreate.mode": "all_tables", "table.include.list": r"public\..*"}
QUIET = 60  # seconds in which all must be live and caught up once nothing happens any more
WATCH = 5  # seconds from one look at the catalogue to the next (watch.c)


class Failure(Exception):
    """The report: what is wrong, how to do it again, and what was going on."""


class Shard:
    def __init__(self, seed, kinds=KINDS, heavy=1.0, rest_every=3, say=print):
        self.seed, self.kinds, self.heavy, self.rest_every = seed, kinds, heavy, rest_every
        self.say = say
        self.history = History()
        self.round = None
        self.number = 0
        self.done = self.failed = 0
        self.source = self.warehouse = self.source_proxy = self.warehouse_proxy = self.reader = None
        self.p = None
        self.folder = tempfile.mkdtemp(prefix="chaos-", dir=harness.base())
        self.duck = os.path.join(self.folder, "warehouse.duckdb")
        self.duck_marks = marks.Marks()
        self.log_from = 0

    # --- a life ---

    def run(self, rounds, until=None):
        """So many rounds, fewer if the time (time.monotonic) is up; raises Failure. Returns how many."""
        try:
            self.begin()
            for self.number in range(1, rounds + 1):
                self.one()
                last = self.number == rounds or (until is not None and time.monotonic() > until)
                if last or self.number % self.rest_every == 0:
                    self.rest()
                if last:
                    break
            self.end()
        except Exception as e:
            raise Failure(self.report(e)) from e
        finally:
            self.close()
        return self.number

    def begin(self):
        self.say(f"seed {self.seed} into {' and '.join(self.kinds)}")
        self.source = harness.Postgres(wal_sender_timeout="4s", deadlock_timeout="200ms")
        self.db, self.wdb = "d", "w"
        self.source.create(self.db)
        with open(os.path.join(HERE, "source.sql")) as f:
            self.source.script(f.read(), self.db)
        self.source_proxy = Proxy(self.source.port, self.seed)
        target = None
        if "postgres" in self.kinds:
            self.warehouse = harness.Postgres(role="warehouse", deadlock_timeout="200ms")
            self.warehouse.create(self.wdb)
            self.warehouse_proxy = Proxy(self.warehouse.port, self.seed)
            target = Through(self.warehouse, self.warehouse_proxy)
        self.both = Both(self._make, Through(self.source, self.source_proxy), self.db, target, self.wdb,
                         self.duck, kinds=self.kinds, settings=SETTINGS, sink={"batch.bytes": "64KB"},
                         service={"schema.compatibility": "NONE"})
        self.p = self.both.p
        self.p.start()
        if self.warehouse:
            self.reader = marks.Reader(self.warehouse, self.wdb)
            self.reader.start()

    def _make(self, config, env=None):
        return harness.Penstock(config, env=env)

    def one(self):
        self.round = Round(self.seed, self.number, self.kinds, self.heavy)
        self.history.add("round", f"{self.number}: {self.round.trouble['what']}")
        sessions = [Session(f"{self.number}.{i}", self.source, self.db, s, self.history)
                    for i, s in enumerate(self.round.sessions)]
        t = trouble.Trouble(self, self.round.trouble)
        began = time.monotonic()
        for x in (*sessions, t):
            x.start()
        for after, tables in sorted(self.round.wishes, key=lambda w: w[0]):
            time.sleep(max(0, began + after - time.monotonic()))
            self.wish(tables)
        for x in (t, *sessions):
            x.join(120)
            assert not x.is_alive(), f"{x} does not end"
            if x.error:
                raise x.error
        self.done += sum(s.done for s in sessions)
        self.failed += sum(s.failed for s in sessions)
        self.check()

    def wish(self, tables):
        import json
        import urllib.request
        body = json.dumps({"tables": [f"public.{t}" for t in tables]}) if tables else ""
        for kind in self.kinds:
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.p.port}/v1/connectors/to_{kind}/snapshots", body.encode(),
                {"Content-Type": "application/json"} if body else {}, method="POST")
            try:
                with urllib.request.urlopen(request, timeout=5) as r:
                    answer = r.read().decode()
            except OSError as e:  # it is being killed, say
                answer = str(e)
            self.history.add("resync", f"{kind} {tables or 'all'}: {answer.strip()}")

    def kill(self):
        """kill -9, and a look at what it leaves behind."""
        self.p.alive()
        self.p.kill9()
        if "duckdb" in self.kinds and os.path.exists(self.duck):
            wrong = marks.look_at_duckdb(trouble.copy_of_duckdb(self.duck, self.folder), self.duck_marks)
            assert wrong is None, f"DuckDB's file after kill -9: {wrong}"

    # --- what must be true ---

    def check(self):
        """At any time."""
        self.p.alive()
        if self.reader:
            assert self.reader.wrong is None, f"a reader of the Postgres warehouse: {self.reader.wrong}"
        with open(self.p.log_path, errors="replace") as f:
            f.seek(self.log_from)
            text = f.read()
            self.log_from = f.tell()
        bad = [x for x in text.splitlines() if is_bad(x)]
        assert not bad, "the log says: " + "\n".join(bad)

    def tables(self):
        return [f"public.{r[0]}" for r in self.source.sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN "
            "('r', 'p') AND NOT relispartition ORDER BY 1", self.db)]

    def rest(self):
        """Nothing happens any more: all is live and equal, within a bound."""
        began = time.monotonic()
        self.source.script("SELECT chaos.mend(); SELECT chaos.touch()", self.db)
        self.history.add("rest", "begins")
        tables = self.tables()
        self.both.live(*tables, timeout=QUIET)
        harness.wait_caught_up(self.p, self.source, self.db, QUIET)
        if self.since_rest(r"TRUNCATE parts_|PARTITION|DROP TABLE parts_"):
            # What happens to a leaf under a published root is not in the log: it is looked at every 5 s.
            time.sleep(2 * WATCH)
        self.both.live(*tables, timeout=QUIET)
        self.check()
        if self.warehouse:
            harness.assert_equal_postgres(self.source, self.db, self.warehouse, self.wdb, *tables)
        self.history.add("rest", f"all equal after {time.monotonic() - began:.1f} s")

    def end(self):
        """Nothing is left over; DuckDB's file is equal, too."""
        if self.warehouse:
            with contextlib.suppress(AssertionError):
                harness.wait_for("no copy is left over", lambda: not self.copies(), 15)
            assert not self.copies(), f"left over: {self.copies()}"
            self.reader.stop()
            self.check()
            assert self.reader.marks.seen > 0
        harness.wait_for("no spool is left over", lambda: not self.spools(), 15)
        tables = self.tables()
        code = self.p.stop()
        assert code == 0, f"SIGTERM ended with {code}"
        if "duckdb" in self.kinds:
            import duckdb
            harness.assert_equal_duckdb(self.source, self.db, self.duck, *tables)
            assert marks.look_at_duckdb(self.duck, self.duck_marks) is None
            with duckdb.connect(self.duck, read_only=True) as c:
                left = self.leftovers(c.execute("SELECT table_name FROM information_schema.tables").fetchall())
            assert not left, left

    def copies(self):
        return self.leftovers(self.warehouse.sql("SELECT table_name FROM information_schema.tables",
                                                 self.wdb))

    @staticmethod
    def leftovers(rows):
        return [r[0] for r in rows if r[0].startswith("_penstock_load")]

    def spools(self):
        return glob.glob(os.path.join(self.p.config["service"]["data.dir"], "spool", "*"))

    def close(self):
        if self.p is not None and self.p.process is not None and self.p.process.poll() is None:
            self.p.process.kill()
            self.p.process.wait(10)
        if self.reader:
            self.reader.stop()
        for x in (self.source_proxy, self.warehouse_proxy):
            if x:
                x.close()
        for x in (self.source, self.warehouse):
            if x and x.process:
                x.kill()

    # --- when something is wrong ---

    def report(self, e):
        if self.p is not None and "Sanitizer" in self.p.log() and self.p.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.p.process.wait(20)  # it has more to say
        again = (f"python tests/chaos/chaos.py --seed {self.seed} --rounds {self.number} --kind "
                 f"{self.kinds[0] if len(self.kinds) == 1 else 'both'}"
                 + (f" --heavy {self.heavy}" if self.heavy != 1 else "")
                 + (f" --rest-every {self.rest_every}" if self.rest_every != 3 else ""))
        out = [f"FAILED in round {self.number}: {type(e).__name__}: {e}", f"again: {again}",
               "--- what is known", *self.known(), f"--- round {self.number} as planned",
               *(self.round.lines() if self.round else []), "--- what happened since the last rest"]
        out += self.lines_since_rest()
        out += ["--- the end of the program's log"]
        out += self.p.log().splitlines()[-400:] if self.p else []
        return "\n".join(str(x)[:3000] for x in out)

    def lines_since_rest(self):
        rests = [i for i, x in enumerate(self.history.lines) if "all equal after" in x]
        return self.history.lines[rests[-1] if rests else 0:]

    def since_rest(self, pattern):
        return any(re.search(pattern, x) for x in self.lines_since_rest())

    def known(self):
        for what, ask in (
                ("program", lambda: self.p.process.poll() if self.p.process else "stopped"),
                ("tables", lambda: [t for t in self.p.json("/v1/tables") if t["state"] != "live"]),
                ("connectors", lambda: {c: self.p.status(c) for c in self.p.config["connectors"]}),
                ("slots", lambda: self.source.sql("SELECT slot_name, active_pid, restart_lsn, "
                                                  "confirmed_flush_lsn, pg_current_wal_lsn() FROM "
                                                  "pg_replication_slots")),
                ("source sessions", lambda: self.sessions(self.source)),
                ("warehouse sessions", lambda: self.sessions(self.warehouse)),
                ("books", lambda: self.warehouse.sql("SELECT source_id, source_table, state, load, loaded, "
                                                     "snapshot_csn, reason FROM penstock.tables ORDER BY 2, 4",
                                                     self.wdb)),
                ("spools", self.spools)):
            try:
                yield f"{what}: {ask()}"
            except Exception as e:  # noqa: BLE001: it may be down, or not be there
                yield f"{what}: {type(e).__name__} {e}"

    @staticmethod
    def sessions(server):
        return server.sql("SELECT pid, application_name, state, wait_event, left(query, 100) FROM "
                          "pg_stat_activity WHERE datname IS NOT NULL AND pid <> pg_backend_pid()")


class Through:
    """A server by way of its proxy, for the program's settings."""

    def __init__(self, server, proxy):
        self.server, self.port = server, proxy.port

    def url(self, db):
        return f"postgres://postgres@127.0.0.1:{self.port}/{db}"


def is_bad(line):
    """A line that no trouble of ours explains."""
    if re.search(r"kind=(fatal|conflict)\b|AddressSanitizer|runtime error:|LeakSanitizer|ThreadSanitizer", line):
        return True
    # A table may stop only because somebody holds its lock; then it waits as it is.
    return bool(re.search(r" error table (stops|cannot be loaded)", line)) and "lock" not in line
