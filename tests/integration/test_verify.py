# SPDX-License-Identifier: Apache-2.0
"""penstock verify: both sides as of one exact point, while the stream goes on. What is planted in a
warehouse by hand is found, named and, if asked, mended; a running load is never a difference."""
import json
import os
import re
import signal
import subprocess
import threading
import time

import duckdb
import harness
import pytest
import test_types
from harness import PENSTOCK, SLOW, Proxy, wait_for

KINDS = ["postgres", "duckdb"]


def command(p, *args):
    return [PENSTOCK, "verify", *args, "--url", f"http://127.0.0.1:{p.port}"]


def verify(p, *args, code=None, timeout=60):
    """What the command says as JSON; code: what it must exit with."""
    r = subprocess.run(command(p, *args, "--output", "json"), capture_output=True, text=True,
                       timeout=timeout * SLOW)
    if code is not None:
        assert r.returncode == code, f"{r.returncode}\n{r.stdout}\n{r.stderr}\n{p.log()[-3000:]}"
    return json.loads(r.stdout) if r.stdout else r.stderr


def tables(j):
    return {f"{t['schema']}.{t['table']}": t for t in j["tables"]}


def shown(t):
    """The differences: kind, key or row, columns."""
    return sorted(((d["kind"], tuple((d.get("key") or d.get("row")).items()),
                    tuple(d.get("columns", ()))) for d in t["differences"]), key=repr)


def counts(t):
    c = t["counts"]
    return c["missing"], c["extra"], c["different"]


class One:
    """One warehouse, whose rows can be changed by hand behind the service's back."""

    def __init__(self, both, kind, **kw):
        self.kind = kind
        self.b = both(kinds=[kind], **kw)
        self.p = self.b.p

    def damage(self, *statements):
        """In DuckDB with the service stopped, for nobody else can open the file."""
        if self.kind == "postgres":
            for s in statements:
                self.b.warehouse.script(s, self.b.wdb)
            return self
        self.b.stop()
        with duckdb.connect(self.b.duck) as c:
            for s in statements:
                c.execute(s)
        self.b.start()
        harness.wait_for("running", lambda: self.p.get("/readyz")[0] == 200, 30)
        return self

    def verify(self, *args, code=None):
        return verify(self.p, "to_" + self.kind, *args, code=code)


@pytest.fixture(params=KINDS)
def one(request, both):
    return lambda **kw: One(both, request.param, **kw)


SHOP = """
    CREATE TABLE orders (id int PRIMARY KEY, v text, n numeric, ts timestamptz);
    INSERT INTO orders SELECT i, 'v' || i, i * 1.50, '2024-01-01' FROM generate_series(1, 300) i;
    INSERT INTO orders VALUES (301, NULL, NULL, NULL), (302, '', 0, 'infinity');
    CREATE TABLE notes (a int, b text); ALTER TABLE notes REPLICA IDENTITY FULL;
    INSERT INTO notes VALUES (1, 'x'), (1, 'x'), (1, 'x'), (2, NULL), (NULL, NULL);
    CREATE TABLE empty (id int PRIMARY KEY);"""
NAMES = ("public.orders", "public.notes", "public.empty", "public.fence")


def test_equal_tables(one):
    o = one()
    o.b.run(SHOP, *NAMES)
    o.b.sql("UPDATE orders SET v = v || '!' WHERE id % 3 = 0", "INSERT INTO notes VALUES (1, 'x')")
    j = o.verify(code=0)
    assert j["state"] == "done" and j["equal"] is True
    t = tables(j)
    assert set(t) == set(NAMES)
    assert all(x["state"] == "equal" and counts(x) == (0, 0, 0) for x in t.values())
    assert t["public.orders"]["rows"] == {"source": 302, "warehouse": 302}
    assert t["public.notes"]["rows"] == {"source": 6, "warehouse": 6}
    assert all(re.fullmatch("[0-9A-F]+/[0-9A-F]+", x["position"]) and x["csn"] > 0
               for x in t.values())
    assert o.b.source.sql("SELECT count(*) FROM pg_replication_slots WHERE temporary") == [(0,)]
    text = subprocess.run(command(o.p, "to_" + o.kind, "--table", "public.orders"),
                          capture_output=True, text=True, timeout=60)
    assert text.returncode == 0 and "1 table, equal to the source" in text.stdout, text


DAMAGE = ["DELETE FROM public.orders WHERE id IN (5, 6)",
          "INSERT INTO public.orders VALUES (1000, 'stray', 1, NULL, 1, '2024-01-01')",
          "UPDATE public.orders SET v = 'changed' WHERE id = 7",
          "UPDATE public.orders SET v = '' WHERE id = 301",
          "UPDATE public.orders SET v = NULL WHERE id = 302",
          "UPDATE public.orders SET ts = '2024-01-01 00:00:00.000001+00', v = 'x' WHERE id = 8"]


def test_damage_is_found_and_mended(one):
    o = one()
    o.b.run(SHOP, *NAMES)
    scale = "1500.0" if o.kind == "duckdb" else "15.0"
    o.damage(*DAMAGE, f"UPDATE public.orders SET n = '{scale}' WHERE id = 10",
             {"postgres": "DELETE FROM public.notes WHERE ctid IN (SELECT ctid FROM public.notes "
                          "WHERE a = 1 LIMIT 1)",
              "duckdb": "DELETE FROM public.notes WHERE rowid IN (SELECT rowid FROM public.notes "
                        "WHERE a = 1 LIMIT 1)"}[o.kind])
    j = o.verify(code=1)
    assert j["state"] == "done" and j["equal"] is False
    t = tables(j)["public.orders"]
    assert t["state"] == "different" and counts(t) == (2, 1, 5) and not t["truncated"]
    want = [("different", (("id", str(i)),), c) for i, c in
            ((7, ("v",)), (301, ("v",)), (302, ("v",)), (8, ("v", "ts")), (10, ("n",)))]
    want += [("missing", (("id", "5"),), ()), ("missing", (("id", "6"),), ()),
             ("extra", (("id", "1000"),), ())]
    assert shown(t) == sorted(want, key=repr)
    n = tables(j)["public.notes"]
    assert counts(n) == (1, 0, 0) and shown(n) == [("missing", (("a", "1"), ("b", "x")), ())]
    assert tables(j)["public.empty"]["state"] == "equal"

    j = o.verify("--repair", code=0)
    t = tables(j)
    assert t["public.orders"]["state"] == "equal" and t["public.orders"]["repaired"] == 8
    assert t["public.orders"]["before"]["missing"] == 2
    assert t["public.notes"]["repaired"] == "loaded again"
    assert t["public.empty"]["repaired"] is None
    o.b.sql("INSERT INTO orders VALUES (5000, 'after', 1, NULL)").equal("public.orders",
                                                                       "public.notes")


def test_types_are_equal(one):
    """Every type of test_types, by copy and by log."""
    o = one()
    columns = test_types.SCALARS + test_types.TIMES + test_types.JSON + test_types.ARRAYS
    before = """CREATE TABLE "Odd name" (id int PRIMARY KEY); CREATE SCHEMA "Odd schema";
        CREATE DOMAIN "odd type" AS int;""" + test_types.OWN_TYPES
    script = before
    todo = []
    for table, cols in (("s", columns), ("o", test_types.OWN)):
        copied, n = test_types.rows(cols, 0)
        streamed, _ = test_types.rows(cols, 1000)
        script += f"CREATE TABLE {table} (id int PRIMARY KEY, " + ", ".join(
            f"{c} {t}" for c, t, _ in cols) + ");\n"
        script += f"CREATE TABLE {table}_nokey (LIKE {table}); ALTER TABLE {table}_nokey REPLICA "
        script += "IDENTITY FULL;\n" + copied.replace("INTO t ", f"INTO {table} ")
        script += f"INSERT INTO {table}_nokey SELECT * FROM {table};\n"
        todo += [streamed.replace("INTO t ", f"INTO {table} "),
                 f"INSERT INTO {table}_nokey SELECT * FROM {table} WHERE id >= 1000"]
    o.b.run(script, "public.s", "public.o", "public.s_nokey", "public.o_nokey", timeout=90)
    o.b.sql(*todo)
    j = o.verify()
    assert j["equal"] is True, [(n, t["state"], t["reason"], t["counts"], t["differences"][:8])
                                for n, t in tables(j).items() if t["state"] != "equal"]
    assert tables(j)["public.s"]["rows"]["source"] > 20


BANK = """CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL, memo text);
    INSERT INTO accounts SELECT i, 1000, repeat(md5(i::text), 80) FROM generate_series(1, 200) i;
    CREATE TABLE journal (a int, b int, n int); ALTER TABLE journal REPLICA IDENTITY FULL;
    CREATE TABLE churn (id int PRIMARY KEY, v int);"""


class Load:
    """Transfers between few accounts, all the time, from several sessions; hundreds a second."""

    def __init__(self, source, db, sessions=3):
        self.source, self.db, self.ended, self.n, self.errors = source, db, False, 0, []
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(sessions)]

    def run(self, seed):
        try:
            with self.source.connect(self.db) as c:
                i = seed * 7919
                while not self.ended:
                    i += 1
                    a, b = i % 200 + 1, i * 31 % 200 + 1
                    a, b = min(a, b), max(a, b)
                    c.execute(f"""BEGIN; UPDATE accounts SET balance = balance - 1 WHERE id = {a};
                        UPDATE accounts SET balance = balance + 1 WHERE id = {b};
                        INSERT INTO journal VALUES ({a}, {b}, {i % 5});
                        DELETE FROM journal WHERE ctid IN (SELECT ctid FROM journal WHERE n = 4
                            LIMIT 1 FOR UPDATE SKIP LOCKED);
                        INSERT INTO churn VALUES ({i % 50}, {i}) ON CONFLICT (id) DO UPDATE SET
                            v = excluded.v;
                        DELETE FROM churn WHERE id = {(i + 25) % 50}; COMMIT""")
                    self.n += 1
        except Exception as e:  # noqa: BLE001: told by the test
            self.errors.append(e)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        for t in self.threads:
            t.join(30)


def test_never_a_false_difference_under_load(one):
    o = one()
    o.b.run(BANK, "public.accounts", "public.journal", "public.churn")
    with Load(o.b.source, o.b.db) as load:
        wait_for("the load", lambda: load.n > 50, 20)
        for _ in range(6):
            before = load.n
            j = o.verify()
            assert j["equal"] is True, (j["error"], [
                (n, t["state"], t["reason"], t["counts"]) for n, t in tables(j).items()])
            assert load.n > before, "the load stood still"
    assert not load.errors, load.errors
    assert load.n > 300
    o.b.equal("public.accounts", "public.journal", "public.churn")


def test_damage_is_mended_under_load(one):
    """Rows that are written all the time, without the TOAST value that a repair has to bring."""
    o = one()
    o.b.run(BANK, "public.accounts", "public.journal", "public.churn")
    o.damage("DELETE FROM public.accounts WHERE id BETWEEN 10 AND 19",
             "UPDATE public.accounts SET memo = 'wrong' WHERE id BETWEEN 20 AND 29",
             "INSERT INTO public.accounts VALUES (900, 1, 'stray', 1, '2024-01-01')",
             "INSERT INTO public.journal VALUES (7, 7, 77, 1, '2024-01-01')")
    with Load(o.b.source, o.b.db) as load:
        wait_for("the load", lambda: load.n > 50, 20)
        j = o.verify("--repair")
        assert j["equal"] is True, (j["error"], [
            (n, t["state"], t["reason"], t["counts"], t["before"]) for n, t in tables(j).items()])
        assert tables(j)["public.accounts"]["before"]["extra"] >= 1
        assert tables(j)["public.journal"]["repaired"] == "loaded again"
        wait_for("more load", lambda n=load.n: load.n > n + 20, 20)
    assert not load.errors, load.errors
    o.b.equal("public.accounts", "public.journal", "public.churn")


def test_limit_and_truncated(one):
    o = one()
    o.b.run(SHOP, *NAMES)
    o.damage("DELETE FROM public.orders WHERE id <= 40",
             "UPDATE public.orders SET v = 'y' WHERE id BETWEEN 41 AND 80")
    j = o.verify("--table", "public.orders", "--limit", "7", code=1)
    t = tables(j)["public.orders"]
    assert counts(t) == (40, 0, 40) and t["counts"]["exact"] is True
    assert t["truncated"] is True and len(t["differences"]) == 7
    j = o.verify("--table", "public.orders", "--limit", "7", "--repair", code=0)
    assert tables(j)["public.orders"]["repaired"] == "loaded again"
    text = subprocess.run(command(o.p, "--limit", "0"), capture_output=True, text=True, timeout=60)
    assert text.returncode == 2 and "--limit" in text.stderr


def test_a_key_that_is_there_twice(both):
    """DuckDB's tables have no primary key: a row can be there twice."""
    o = One(both, "duckdb")
    o.b.run(SHOP, *NAMES)
    o.damage("INSERT INTO public.orders SELECT * FROM public.orders WHERE id = 9",
             "INSERT INTO public.orders SELECT id, 'other', n, ts, _penstock_csn, "
             "_penstock_committed_at FROM public.orders WHERE id = 12")
    t = tables(o.verify(code=1))["public.orders"]
    assert t["counts"]["extra"] == 2 and t["counts"]["missing"] == 0
    assert {d["key"]["id"] for d in t["differences"]} == {"9", "12"}
    o.verify("--repair", code=0)
    o.b.equal("public.orders")


def test_versions_of_a_table(one):
    """Columns added, renamed and dropped, as the log has told of them or not yet."""
    o = one()
    o.b.run("""CREATE TABLE t (id int PRIMARY KEY, a text, b int, c varchar(5), gone text);
        INSERT INTO t SELECT i, 'a' || i, i, 'c', 'g' FROM generate_series(1, 20) i;""", "public.t")
    o.b.sql("ALTER TABLE t RENAME a TO z", "ALTER TABLE t ADD n numeric(10,2) DEFAULT 1.50",
            "ALTER TABLE t ALTER c TYPE varchar(9)")
    t = tables(o.verify("--table", "public.t", code=0))["public.t"]  # no row has told yet
    assert "column n is not in the warehouse until" in t["note"]
    o.b.sql("UPDATE t SET z = 'new' WHERE id = 3", "INSERT INTO t VALUES (50, 'x', 1, 'long one')")
    t = tables(o.verify("--table", "public.t", code=0))["public.t"]
    assert t["note"] is None and t["rows"]["warehouse"] == 21
    o.b.sql("ALTER TABLE t DROP gone")
    t = tables(o.verify("--table", "public.t", code=0))["public.t"]
    assert "column gone was dropped at the source" in t["note"]
    o.b.sql("UPDATE t SET b = 7 WHERE id = 8")
    t = tables(o.verify("--table", "public.t", code=0))["public.t"]
    assert t["note"] is None and o.b.loads("public.t") == 1
    o.damage("UPDATE public.t SET n = 1.51 WHERE id = 4", "UPDATE public.t SET z = 'no' WHERE id = 5")
    t = tables(o.verify("--table", "public.t", code=1))["public.t"]
    assert shown(t) == [("different", (("id", "4"),), ("n",)),
                        ("different", (("id", "5"),), ("z",))]
    o.verify("--repair", code=0)


def test_partitions(one):
    o = one()
    o.b.run("""CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (50);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (50) TO (1000);
        INSERT INTO p SELECT i, 'v' FROM generate_series(1, 99) i;""", "public.p")
    o.b.sql("CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (1000) TO (2000)",
            "INSERT INTO p VALUES (1500, 'new')")
    t = tables(o.verify("--table", "public.p", code=0))["public.p"]
    assert t["rows"] == {"source": 100, "warehouse": 100}
    o.damage("DELETE FROM public.p WHERE id IN (1, 1500)")
    assert counts(tables(o.verify("--table", "public.p", code=1))["public.p"]) == (2, 0, 0)
    o.verify("--table", "public.p", "--repair", code=0)


def test_values_that_were_replaced_by_null(both):
    o = One(both, "duckdb", sink={"value.overflow.mode": "null"})
    o.b.run("""CREATE TABLE t (id int PRIMARY KEY, n numeric(10,2), d timestamp);
        INSERT INTO t VALUES (1, 'NaN', '294276-12-31'), (2, 1, 'now'), (3, NULL, NULL);""", "public.t")
    t = tables(o.verify("--table", "public.t", code=0))["public.t"]
    assert t["nulled"] == 2
    o.damage("UPDATE public.t SET n = 1 WHERE id = 1", "UPDATE public.t SET n = NULL WHERE id = 2")
    t = tables(o.verify("--table", "public.t", code=1))["public.t"]
    assert shown(t) == [("different", (("id", "1"),), ("n",)), ("different", (("id", "2"),), ("n",))]


# --- what goes wrong on the way ---

def post(p, body, path="/v1/verifications", method="POST"):
    import urllib.error
    import urllib.request
    req = urllib.request.Request(f"http://127.0.0.1:{p.port}{path}", method=method,
                                 data=None if body is None else json.dumps(body).encode(),
                                 headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(req, timeout=10) as r:
            return r.status, json.loads(r.read()), r.headers
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read()), e.headers


def ended(p, i, timeout=30):
    def over():
        j = p.json(f"/v1/verifications/{i}")
        return j if j["state"] not in ("waiting", "running") else None
    return wait_for("the verification ends", over, timeout)


def temporary_slots(source):
    return source.sql("SELECT count(*) FROM pg_replication_slots WHERE temporary")[0][0]


def test_rest(one):
    o = one()
    o.b.run(SHOP + """CREATE TABLE bad (id int PRIMARY KEY, _penstock_x int);""", *NAMES)
    to = "to_" + o.kind
    status, j, headers = post(o.p, {"connector": o.kind, "tables": [r"public\.(orders|NOTES)"],
                                    "limit": 5})
    assert status == 202 and headers["Location"] == f"/v1/verifications/{j['id']}"
    assert j["connector"] == to and set(tables(j)) == {"public.orders", "public.notes"}
    assert ended(o.p, j["id"])["equal"] is True
    for body, code, says in (
            ({"tables": ["public.order"]}, 404, "did you mean public.orders"),
            ({"tables": ["public.(x"]}, 400, "tables"), ({"tables": []}, 400, "1 to 1000"),
            ({"tables": "public.orders"}, 400, "array"), ({"repair": 1}, 400, "repair"),
            ({"limit": 0}, 400, "limit"), ({"connector": "nobody"}, 404, "nobody"),
            ({"table": "x"}, 400, "nothing else")):
        status, j, _ = post(o.p, body)
        assert status == code and says in j["detail"], (body, j)
    assert post(o.p, None, "/v1/verifications/99", "DELETE")[0] == 404
    assert o.p.get("/v1/verifications/x")[0] == 404
    j = ended(o.p, post(o.p, {})[1]["id"])  # all tables, the refused one, too
    assert j["equal"] is False and tables(j)["public.bad"]["state"] == "skipped"
    assert "names that begin with _penstock_ are reserved" in tables(j)["public.bad"]["reason"]
    assert [x["id"] for x in o.p.json("/v1/verifications")] == [1, 2]
    r = subprocess.run(command(o.p, "--table", "public.order"), capture_output=True, text=True,
                       timeout=60)
    assert r.returncode == 1 and "did you mean public.orders" in r.stderr
    assert o.b.metric("penstock_verify_tables_total") >= 6
    for _ in range(20):  # the last sixteen are kept
        ended(o.p, post(o.p, {"tables": ["public.empty"]})[1]["id"])
    ids = [x["id"] for x in o.p.json("/v1/verifications")]
    assert ids == list(range(7, 23))


def test_a_table_that_is_loaded_again_meanwhile(one):
    o = one()
    o.b.run("""CREATE TABLE t (id int PRIMARY KEY, v text);
        INSERT INTO t SELECT i, repeat('v', 200) FROM generate_series(1, 60000) i;""", "public.t")
    for _ in range(3):
        assert post(o.p, {"tables": ["public.t"]},
                    f"/v1/connectors/to_{o.kind}/snapshots")[0] == 202
        t = tables(o.verify("--table", "public.t"))["public.t"]
        assert t["state"] == "equal" or "loaded again" in t["reason"] or "not live" in t["reason"], t
    wait_for("loads", lambda: o.b.loads("public.t") >= 2, 60)
    o.b.live("public.t")
    o.verify("--table", "public.t", code=0)


def test_rows_that_were_rewritten_without_the_log(one):
    """Not called differences: the table is about to be loaded again for it."""
    o = one()
    o.b.run("""CREATE TABLE t (id int PRIMARY KEY, n int);
        INSERT INTO t SELECT i, i FROM generate_series(1, 50) i;""", "public.t")
    o.b.sql("ALTER TABLE t ALTER n TYPE int USING n * 2 + 1")
    t = tables(o.verify("--table", "public.t"))["public.t"]
    assert t["state"] in ("failed", "skipped", "equal"), t
    assert t["state"] == "equal" or "again" in t["reason"] or "not live" in t["reason"], t
    wait_for("its load", lambda: o.b.loads("public.t") == 2, 60)
    o.b.live("public.t")
    o.verify("--table", "public.t", code=0)
    # The same file, anew, with the same rows: what differs is told as ever.
    o.b.sql("VACUUM FULL t")
    o.verify("--table", "public.t", code=0)
    o.damage("UPDATE public.t SET n = 0 WHERE id = 3")
    assert counts(tables(o.verify("--table", "public.t", code=1))["public.t"]) == (0, 0, 1)


class Open:
    """A transaction at the source that stays open: no slot's point can be made."""

    def __init__(self, b):
        self.c = b.source.connect(b.db, autocommit=False)
        self.c.execute("SELECT txid_current()")
        self.pid = self.c.info.backend_pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.c.close()


def test_a_long_transaction_at_the_source(one):
    o = one()
    o.b.run(SHOP, *NAMES)
    with Open(o.b) as t:
        began = time.monotonic()
        j = o.verify("--timeout", "1500", "--table", "public.orders", code=1)
        assert j["state"] == "failed" and f"pid {t.pid}" in j["error"], j
        assert time.monotonic() - began < 20 * SLOW
        # The stream goes on, and a later verification is cancelled from the terminal.
        o.b.sql("INSERT INTO orders VALUES (600, 'x', 1, NULL)")
        c = subprocess.Popen(command(o.p, "--output", "json"), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        wait_for("it waits", lambda: "exact point" in str(
            o.p.json("/v1/verifications")[-1]["doing"]), 20)
        o.b.caught_up()
        c.send_signal(signal.SIGINT)
        out, err = c.communicate(timeout=20 * SLOW)
        assert c.returncode == 1 and json.loads(out)["state"] == "cancelled", (out, err)
        wait_for("no slot", lambda: temporary_slots(o.b.source) == 0, 20)
        # One whose client is gone goes on; a stop of the service ends it.
        c = subprocess.Popen(command(o.p), stdout=subprocess.DEVNULL)
        wait_for("it waits", lambda: "exact point" in str(
            o.p.json("/v1/verifications")[-1]["doing"]), 20)
        c.kill()
        c.wait(10)
        assert o.p.json("/v1/verifications")[-1]["state"] == "running"
        o.b.stop()
        wait_for("no slot", lambda: temporary_slots(o.b.source) == 0, 20)
    o.b.start().live(*NAMES)
    o.verify(code=0)


def test_killed_in_the_middle(one):
    """Also in the middle of a repair: what was to be mended is mended later."""
    o = one()
    o.b.run(BANK, "public.accounts", "public.journal", "public.churn")
    with Load(o.b.source, o.b.db) as load:
        for n, moment in enumerate((0.2, 0.6, 1.0, 1.4)):
            o.damage(f"DELETE FROM public.accounts WHERE id BETWEEN {n * 20} AND {n * 20 + 9}",
                     f"UPDATE public.accounts SET memo = 'x' WHERE id BETWEEN {100 + n} AND 109")
            post(o.p, {"repair": True})
            time.sleep(moment)  # anywhere in it
            o.p.kill9()
            o.b.start().live("public.accounts", "public.journal", "public.churn")
            wait_for("no slot", lambda: temporary_slots(o.b.source) == 0, 20)
            assert o.p.json("/v1/verifications") == []
        j = o.verify("--repair")
        assert j["equal"] is True, j
    assert not load.errors, load.errors
    o.b.equal("public.accounts", "public.journal", "public.churn")


class Slow(Proxy):
    """Every connection but the stream's is slow."""
    stream, slow = None, 0

    def passes(self, link, way, data):
        if b"START_REPLICATION" in data:
            self.stream = link
        if self.slow and link is not self.stream:
            time.sleep(self.slow)
        return super().passes(link, way, data)


def test_a_source_that_answers_slowly(one):
    """The point is known so late that the stream is past it: the sink lags by more then."""
    o = one()
    proxy = Slow(o.b.source.port)
    o.p.config["connectors"]["to_" + o.kind]["database.port"] = str(proxy.port)
    o.b.run(BANK, "public.accounts", "public.journal", "public.churn")
    with Load(o.b.source, o.b.db, sessions=1) as load:
        wait_for("the load", lambda: load.n > 50, 20)
        for slow in (0.15, 0.25, 0.35, 0.45):  # how late that is depends on the machine, too
            proxy.slow = slow
            j = o.verify("--table", "public.accounts")
            proxy.slow = 0
            assert j["equal"] is True, j
            if "the stream passed the point" in o.p.log():
                break
        assert "the stream passed the point" in o.p.log()
        assert o.verify()["equal"] is True
    o.b.equal("public.accounts", "public.journal", "public.churn")
    proxy.close()


def cut(server, db, like):
    """Ends such a session as soon as there is one."""
    with server.connect(db) as c:
        wait_for("a session to be ended", lambda: c.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s",
            (like,)).fetchall(), 30, interval=0.002)


BIG = """CREATE TABLE t (id int PRIMARY KEY, v text);
    INSERT INTO t SELECT i, md5(i::text) || repeat('v', 500) FROM generate_series(1, 60000) i;"""


def test_the_source_is_lost_in_the_middle(one):
    o = one()
    o.b.run(BIG, "public.t")
    i = post(o.p, {"tables": ["public.t"]})[1]["id"]
    cut(o.b.source, o.b.db, "%reader%")
    j = ended(o.p, i)
    assert j["state"] == "failed" and "public.t: the source: " in j["error"], j
    o.b.sql("INSERT INTO t VALUES (0, 'after')").caught_up()
    assert "retrying" not in o.p.log()  # the stream never stopped
    o.verify("--table", "public.t", code=0)


def test_the_warehouse_is_lost_in_the_middle(both):
    o = One(both, "postgres")
    o.b.run(BIG, "public.t")
    i = post(o.p, {"tables": ["public.t"]})[1]["id"]
    cut(o.b.warehouse, o.b.wdb, "%:verify")
    j = ended(o.p, i)
    assert j["state"] == "failed" and "warehouse" in j["error"], j
    o.b.sql("INSERT INTO t VALUES (0, 'after')").caught_up()
    assert "retrying" not in o.p.log()
    o.verify("--table", "public.t", code=0)


def test_the_stream_is_lost_in_the_middle(one):
    o = one()
    o.b.run(BIG, "public.t")
    with Open(o.b):
        i = post(o.p, {"tables": ["public.t"]})[1]["id"]
        wait_for("it waits", lambda: "exact point" in str(
            o.p.json(f"/v1/verifications/{i}")["doing"]), 20)
        waiting = post(o.p, {"tables": ["public.t"]})[1]["id"]
        o.b.source.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE "
                       "active_pid IS NOT NULL AND NOT temporary AND database = %s", o.b.db,
                       (o.b.db,))
        j = ended(o.p, i)
        assert j["state"] == "failed" and "the stream has ended meanwhile" in j["error"], j
    assert ended(o.p, waiting, 60)["equal"] is True  # the next attempt runs what waited
