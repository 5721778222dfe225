# SPDX-License-Identifier: Apache-2.0
"""The promise that a reader can check at any moment: marks_a and marks_b hold one number in every
row, the same in both, and it only grows. True while both are live, in whatever is seen at once."""
import threading

import duckdb
import psycopg

STATE = ("SELECT count(DISTINCT source_table) FROM penstock.tables WHERE source_table IN ('marks_a', "
         "'marks_b') AND state = 'live'")
MARKS = ("SELECT 'a', count(*), min(tx), max(tx), count(DISTINCT id) FROM public.marks_a UNION ALL "
         "SELECT 'b', count(*), min(tx), max(tx), count(DISTINCT id) FROM public.marks_b ORDER BY 1")


class Marks:
    def __init__(self):
        self.highest = 0
        self.seen = 0

    def judge(self, live, rows):
        """What is wrong with it; None if nothing is."""
        if live != 2:
            return None
        self.seen += 1
        for _, n, low, high, ids in rows:
            if n != 20 or ids != 20 or low != high:
                return f"half a transaction: {rows}"
        if rows[0][2] != rows[1][2]:
            return f"two commits at once: {rows}"
        if rows[0][2] < self.highest:
            return f"went back from {self.highest}: {rows}"
        self.highest = rows[0][2]
        return None


class Reader(threading.Thread):
    """Looks at the Postgres warehouse all the time."""

    def __init__(self, server, db):
        super().__init__(daemon=True)
        self.server, self.db = server, db
        self.marks = Marks()
        self.quit = threading.Event()
        self.wrong = None

    def run(self):
        while not self.quit.is_set() and self.wrong is None:
            try:
                with self.server.connect(self.db, autocommit=False) as c:
                    c.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                    while not self.quit.is_set() and self.wrong is None:
                        live = c.execute(STATE).fetchone()[0]
                        rows = c.execute(MARKS).fetchall() if live == 2 else []
                        c.rollback()
                        self.wrong = self.marks.judge(live, rows)
                        self.quit.wait(0.01)
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                self.quit.wait(0.1)  # nothing is there yet
            except psycopg.OperationalError:
                self.quit.wait(0.1)  # the server restarts
            except psycopg.Error as e:
                self.wrong = f"the reader's query failed: {e}"

    def stop(self):
        self.quit.set()
        self.join(30)


def look_at_duckdb(path, marks):
    with duckdb.connect(path) as c:
        try:
            live = c.execute(STATE).fetchone()[0]
        except duckdb.CatalogException:
            return None  # nothing is there yet
        return marks.judge(live, c.execute(MARKS).fetchall() if live == 2 else [])
