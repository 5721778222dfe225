# SPDX-License-Identifier: Apache-2.0
"""What happens to the program, its links and its servers in a round (operations.Round.trouble)."""
import os
import shutil
import signal
import subprocess
import threading
import time

import harness
import psycopg


class Trouble(threading.Thread):
    def __init__(self, shard, spec):
        super().__init__(daemon=True)
        self.shard, self.spec = shard, spec
        self.error = None

    def run(self):
        try:
            time.sleep(self.spec["after"])
            self.say(f"begins: {self.spec}")
            what = self.spec["what"]
            getattr(self, "do_" + what.split(",")[0].replace(" ", "_"))()
            self.say("is over")
        except Exception as e:  # noqa: BLE001: shown by whoever joins
            self.error = e

    def say(self, text):
        self.shard.history.add("trouble", text)

    def do_none(self):
        pass

    # --- the program ---

    def do_kill(self):
        self.shard.kill()
        if "data.dir lost" in self.spec["what"]:
            shutil.rmtree(self.shard.p.config["service"]["data.dir"], ignore_errors=True)
        time.sleep(self.spec["for"] / 4)
        self.shard.p.start()

    def do_kill_twice(self):
        self.do_kill()
        time.sleep(self.spec["then"])
        self.do_kill()

    def do_stop(self):
        code = self.shard.p.stop()
        assert code in (0, -15), f"SIGTERM ended with {code}"  # -15: it had not quite begun
        time.sleep(self.spec["for"] / 4)
        self.shard.p.start()

    def do_resync_while_stopped(self):
        if self.spec["kill"]:
            self.shard.kill()
        else:
            assert self.shard.p.stop() in (0, -15)
        nobody = f"http://127.0.0.1:{harness.free_port()}"
        for kind in self.shard.kinds:
            table = ["--table", "public." + self.spec["table"]] if self.spec["table"] else []
            r = subprocess.run([harness.PENSTOCK, "resync", "to_" + kind, *table, "-c",
                                self.shard.p.write(), "--url", nobody], capture_output=True,
                               text=True, timeout=60, stdin=subprocess.DEVNULL)
            self.say(f"resync {kind} {table}: {r.returncode} {r.stdout!r} {r.stderr!r}")
            assert r.returncode == 0 or "no table" in r.stderr or "nothing was ever" in r.stderr, r
        self.shard.p.start()

    def do_pause(self):
        process = self.shard.p.process
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.spec["for"])
        process.send_signal(signal.SIGCONT)

    # --- links ---

    def do_source_link(self):
        self._link(self.shard.source_proxy)

    def do_warehouse_link(self):
        self._link(self.shard.warehouse_proxy)

    def _link(self, proxy):
        s = self.spec
        for _ in range(s["times"]):
            self._link_once(proxy, s["how"], s["way"])
            time.sleep(s["for"] / 2)
        proxy.heal()

    def _link_once(self, proxy, how, way):
        s = self.spec
        if how in ("cut", "reset", "orphan"):
            getattr(proxy, how)()
        elif how in ("cut after", "reset after"):
            proxy.cut_after(way, s["bytes"], how.split()[0])
        elif how == "half-close":
            proxy.half_close(way)
        elif how == "stall":
            proxy.stalled = {"up", "down"} if s["bytes"] % 2 else {way}
            time.sleep(s["for"])
            proxy.stalled = set()
        elif how == "slow":
            proxy.delay, proxy.jitter = s["delay"], s["delay"]
            time.sleep(s["for"])
        elif how == "refuse":
            proxy.refusing = True
            proxy.reset()
        elif how == "swallow":
            proxy.swallow(b"COMMIT\0" if proxy is self.shard.warehouse_proxy else b"SELECT")

    # --- servers ---

    def do_terminate(self):
        server, db = ((self.shard.warehouse, self.shard.wdb) if self.spec["side"] == "warehouse" and
                      self.shard.warehouse else (self.shard.source, self.shard.db))
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
                   "'penstock%%' AND datname = %s", db, (db,))

    def do_source_restart(self):
        self.shard.source.restart()

    def do_source_crash(self):
        self.shard.source.kill()
        self.shard.source.start()

    def do_warehouse_restart(self):
        self.shard.warehouse.restart()

    def do_warehouse_crash(self):
        self.shard.warehouse.kill()
        self.shard.warehouse.start()

    def do_warehouse_locks(self):
        try:
            with self.shard.warehouse.connect(self.shard.wdb, autocommit=False) as c:
                for t in self.spec["tables"]:
                    c.execute("SET lock_timeout = '2s'")
                    c.execute(f"LOCK TABLE public.{t} IN {self.spec['mode']} MODE")
                time.sleep(self.spec["for"] * 2)
                c.rollback()
        except (psycopg.errors.UndefinedTable, psycopg.errors.LockNotAvailable,
                psycopg.errors.DeadlockDetected) as e:
            self.say(f"no lock: {e}")


def copy_of_duckdb(path, folder):
    """The file as a program that was killed has left it."""
    to = os.path.join(folder, "copy.duckdb")
    for end in ("", ".wal"):
        if os.path.exists(to + end):
            os.remove(to + end)
        if os.path.exists(path + end):
            shutil.copyfile(path + end, to + end)
    return to
