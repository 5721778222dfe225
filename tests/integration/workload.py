# SPDX-License-Identifier: Apache-2.0
"""A bank: transfers between accounts keep the sum, and every transaction writes its number into
two tables, so that a reader can tell whether it sees one commit of the source."""
import random
import threading

SCHEMA = """
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL, note text);
ALTER TABLE accounts ALTER note SET STORAGE EXTERNAL;
CREATE TABLE journal (id bigserial PRIMARY KEY, account int NOT NULL, amount bigint NOT NULL);
CREATE TABLE marks (side int PRIMARY KEY, tx bigint NOT NULL);
CREATE TABLE log_lines (line text, n int);
ALTER TABLE log_lines REPLICA IDENTITY FULL;
INSERT INTO accounts SELECT i, 1000, repeat(md5(i::text), 90) FROM generate_series(1, 300) i;
INSERT INTO marks VALUES (1, 0), (2, 0);
"""
TABLES = ("public.accounts", "public.journal", "public.marks", "public.log_lines")
TOTAL = 300 * 1000


class Bank(threading.Thread):
    def __init__(self, server, db, seed, pause=0.0):
        super().__init__(daemon=True)
        self.server, self.db, self.rnd, self.pause = server, db, random.Random(seed), pause
        self.quit = threading.Event()
        self.transactions = 0
        self.error = None

    def one(self, c):
        rnd = self.rnd
        a, b = rnd.sample(range(1, 301), 2)
        amount = rnd.randint(1, 50)
        c.execute("UPDATE accounts SET balance = balance - %s WHERE id = %s", (amount, a))
        c.execute("UPDATE accounts SET balance = balance + %s WHERE id = %s", (amount, b))
        c.execute("INSERT INTO journal (account, amount) VALUES (%s, %s), (%s, %s)",
                  (a, -amount, b, amount))
        what = rnd.random()
        if what < 0.1:  # swap two keys by way of a third, documents out of line
            c.execute("UPDATE accounts SET id = -1 WHERE id = %s", (a,))
            c.execute("UPDATE accounts SET id = %s WHERE id = %s", (a, b))
            c.execute("UPDATE accounts SET id = %s WHERE id = -1", (b,))
        elif what < 0.15:
            c.execute("DELETE FROM journal WHERE id IN (SELECT id FROM journal LIMIT 20)")
        elif what < 0.25:
            c.execute("INSERT INTO log_lines VALUES (%s, 1), (%s, 1), (%s, 2)",
                      (f"l{rnd.randint(1, 20)}",) * 3)
            c.execute("DELETE FROM log_lines WHERE ctid = (SELECT min(ctid) FROM log_lines)")
        elif what < 0.28:
            c.execute("SAVEPOINT s")
            c.execute("UPDATE accounts SET balance = 0")
            c.execute("ROLLBACK TO s")
        elif what < 0.29:
            c.execute("TRUNCATE log_lines")
        elif what < 0.32:
            c.execute("UPDATE accounts SET note = note || 'x' WHERE id = %s", (a,))
        elif what < 0.325:  # a large one
            c.execute("UPDATE accounts SET balance = balance + 0")
        c.execute("UPDATE marks SET tx = %s", (self.transactions,))

    def run(self):
        try:
            with self.server.connect(self.db, autocommit=False) as c:
                while not self.quit.is_set():
                    self.transactions += 1
                    self.one(c)
                    c.commit()
                    if self.pause:
                        self.quit.wait(self.pause)
        except Exception as e:  # noqa: BLE001: shown by stop()
            self.error = e

    def stop(self):
        self.quit.set()
        self.join(30)
        assert self.error is None, self.error


class Reader(threading.Thread):
    """Polls the Postgres warehouse: every answer must be one commit of the source."""

    def __init__(self, server, db):
        super().__init__(daemon=True)
        self.server, self.db = server, db
        self.quit = threading.Event()
        self.seen = 0
        self.highest = 0
        self.wrong = None

    def run(self):
        import psycopg
        while not self.quit.is_set() and self.wrong is None:
            try:
                with self.server.connect(self.db) as c:
                    while not self.quit.is_set() and self.wrong is None:
                        self.look(c)
                        self.quit.wait(0.003)
            except psycopg.errors.UndefinedTable:
                self.quit.wait(0.02)  # not live yet
            except psycopg.OperationalError:
                self.quit.wait(0.1)  # the test restarts the server

    def look(self, c):
        row = c.execute("SELECT (SELECT sum(balance) FROM accounts), (SELECT count(*) FROM accounts),"
                        " (SELECT min(tx) FROM marks), (SELECT max(tx) FROM marks)").fetchone()
        self.seen += 1
        if row[0] != TOTAL or row[1] != 300 or row[2] != row[3]:
            self.wrong = f"not one commit of the source: {row}"
        elif row[2] < self.highest:
            self.wrong = f"went back from {self.highest} to {row[2]}"
        else:
            self.highest = row[2]

    def stop(self):
        self.quit.set()
        self.join(30)
        assert self.wrong is None, self.wrong
        assert self.seen > 0
