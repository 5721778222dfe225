# SPDX-License-Identifier: Apache-2.0
"""One session of the workload: runs its transactions and writes down what became of each statement.
What fails (a key that is there, a table that is gone, a deadlock) is rolled back, to a savepoint if
there is one; a server that goes away is waited for."""
import contextlib
import threading
import time

import psycopg

OPTIONS = "-c lock_timeout=3s -c statement_timeout=20s"


class History:
    """What happened, in the order in which it was heard of."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lines = []
        self.began = time.monotonic()

    def add(self, who, text):
        with self.lock:
            self.lines.append(f"{time.strftime('%H:%M:%S')} {time.monotonic() - self.began:9.3f} "
                              f"{who}: {text}")


class Session(threading.Thread):
    def __init__(self, name, server, db, transactions, history):
        super().__init__(daemon=True)
        self.who, self.server, self.db = f"session {name}", server, db
        self.transactions, self.history = transactions, history
        self.done = self.failed = 0
        self.error = None
        self.connection = None

    def run(self):
        try:
            for how, steps in self.transactions:
                time.sleep(how["pause"])
                self._transaction(how, steps)
        except Exception as e:  # noqa: BLE001: shown by whoever joins
            self.error = e
        with contextlib.suppress(Exception):
            self.connection.close()

    def _connected(self):
        end = time.monotonic() + 40
        while self.connection is None or self.connection.closed:
            try:
                self.connection = self.server.connect(self.db, autocommit=False, options=OPTIONS)
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        return self.connection

    def _transaction(self, how, steps):
        c = self._connected()
        saved = None
        try:
            for step in steps:
                if isinstance(step, float):
                    time.sleep(step)
                    continue
                if step.startswith("ROLLBACK TO") and saved is None:
                    continue
                try:
                    answer = self._run(c, step)
                    self.done += 1
                    if step.startswith("SAVEPOINT"):
                        saved = step.split()[1]
                    self.history.add(self.who, answer)
                except psycopg.OperationalError:
                    raise  # the server is gone; or a deadlock: the transaction ends
                except psycopg.Error as e:
                    self.failed += 1
                    self.history.add(self.who, f"{step} -- {str(e).splitlines()[0]}")
                    if saved is None:
                        c.rollback()
                        return
                    c.execute(f"ROLLBACK TO {saved}")
            self._run(c, how["end"])
            self.history.add(self.who, how["end"])
        except psycopg.Error as e:
            self.failed += 1
            self.history.add(self.who, f"transaction ended -- {str(e).splitlines()[0]}")
            with contextlib.suppress(psycopg.Error):
                c.rollback()
            if c.broken:
                c.close()

    @staticmethod
    def _run(c, step):
        cursor = c.execute(step)
        if step.startswith("SELECT chaos."):
            return cursor.fetchone()[0]
        return step
