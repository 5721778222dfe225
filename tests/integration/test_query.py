# SPDX-License-Identifier: Apache-2.0
"""POST /v1/query and penstock query: the DuckDB warehouse is read while the service writes it, by
statements that can change nothing, reach nothing and take no more than their share."""
import concurrent.futures
import csv
import io
import json
import os
import re
import select
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import duckdb
import harness
import pytest
from harness import (PENSTOCK, ROOT, Penstock, SLOW, assert_equal_duckdb, source_config, to_duckdb, to_postgres,
                     wait_caught_up, wait_for)
from test_failpoints import program  # noqa: F401: a fixture
from workload import SCHEMA, TABLES, TOTAL, Bank

SANITIZED = "asan" in PENSTOCK or "tsan" in PENSTOCK


def post(p, body, headers=None, path="/v1/query", timeout=90):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    req = urllib.request.Request(f"http://127.0.0.1:{p.port}{path}", data=data, method="POST",
                                 headers={"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(req, timeout=timeout) as r:
            return r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def ask(p, sql, **more):
    status, j = post(p, {"sql": sql, **more})
    assert status == 200, (sql, status, j)
    return j


def rows(p, sql, **more):
    return ask(p, sql, **more)["rows"]


def refused(p, sql, status=400, says="", **more):
    """The answer is a problem (RFC 9457) with this status."""
    got, j = post(p, {"sql": sql, **more})
    assert got == status, (sql, got, str(j)[:500])
    assert j["status"] == status and j["title"] and re.search(says, j["detail"]), (sql, j)
    return j["detail"]


@pytest.fixture
def shop(source, db, duck, penstock):
    source.script("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i "
                  "FROM generate_series(1, 3000) i", db)
    p = penstock(to_duckdb(source, db, duck)).start()
    p.wait_live("public.t", "public.fence")
    p.duck = duck
    return p


# --- what is refused ---

HOSTILE = [
    # other statements
    "COPY (SELECT 1) TO '{dir}/stolen.csv'",
    "COPY public.t FROM '/etc/passwd'",
    "COPY FROM DATABASE _penstock TO memory",
    "EXPORT DATABASE '{dir}/stolen'",
    "IMPORT DATABASE '{dir}/stolen'",
    "ATTACH '{dir}/other.duckdb'",
    "DETACH _penstock",
    "INSTALL httpfs",
    "LOAD '{dir}/x.duckdb_extension'",
    "PRAGMA memory_limit='10GB'",
    "PRAGMA force_checkpoint",
    "SET memory_limit = '10GB'",
    "SET GLOBAL enable_external_access = true",
    "RESET memory_limit",
    "SET VARIABLE x = 1",
    "USE memory",
    "CREATE TABLE x (i int)",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE MACRO m() AS 1",
    "CREATE SECRET s (TYPE s3)",
    "INSERT INTO public.t VALUES (1, 'x')",
    "UPDATE public.t SET v = 'x'",
    "DELETE FROM public.t",
    "DELETE FROM public.t RETURNING *",
    "TRUNCATE public.t",
    "MERGE INTO public.t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE",
    "DROP TABLE public.t",
    "ALTER TABLE public.t ADD COLUMN x int",
    "VACUUM", "ANALYZE", "CHECKPOINT", "FORCE CHECKPOINT", "BEGIN", "COMMIT", "ROLLBACK",
    "PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE p", "CALL pragma_version()",
    "WITH x AS (DELETE FROM public.t RETURNING id) SELECT * FROM x",
    "SELECT * FROM (INSERT INTO public.t VALUES (1, 'x') RETURNING id)",
    "EXPLAIN DELETE FROM public.t",
    "EXPLAIN ANALYZE DELETE FROM public.t",
    "EXPLAIN (ANALYZE, FORMAT json) DELETE FROM public.t",
    "EXPLAIN ANALYZE INSERT INTO public.t VALUES (-1, 'x')",
    "EXPLAIN EXPLAIN ANALYZE DELETE FROM public.t",
    # several, or none
    "SELECT 1; SELECT 2",
    "SELECT 1; DELETE FROM public.t",
    "EXPLAIN SELECT 1; DELETE FROM public.t",
    "SELECT 1 /* ; */ ; /* ' */ DELETE FROM public.t --",
    "/* SELECT 1 */ DELETE FROM public.t",
    "--\nDELETE FROM public.t",
    "EXPLAIN /* /* */ SELECT 1; */ DELETE FROM public.t",
    "", ";", " -- nothing\n", "/* unfinished", "SELECT", "\u00a0\u2003DROP TABLE public.t",
    "ＳＥＬＥＣＴ 1", "SELECT 1\uff1b DELETE FROM public.t",
    # files and the network, by functions and by names that could be files
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('{duck}')",
    "SELECT * FROM ReAd_TeXt('{duck}')",
    "SELECT * FROM main.read_blob('{duck}')",
    'SELECT * FROM system.main."read_blob"(\'{duck}\')',
    "SELECT (SELECT content FROM read_text('{duck}'))",
    "WITH x AS (SELECT * FROM read_blob('{duck}')) SELECT * FROM x",
    "SELECT * FROM public.t WHERE EXISTS (SELECT * FROM read_blob('{duck}'))",
    "SELECT 1 ORDER BY (SELECT count(*) FROM read_blob('{duck}'))",
    "SELECT * FROM public.t, LATERAL (SELECT * FROM read_blob('{duck}'))",
    "SELECT 1 UNION ALL SELECT 2 FROM read_blob('{duck}')",
    "VALUES ((SELECT 1 FROM read_blob('{duck}')))",
    "DESCRIBE SELECT * FROM read_blob('{duck}')",
    "SUMMARIZE SELECT * FROM read_blob('{duck}')",
    "EXPLAIN SELECT * FROM read_blob('{duck}')",
    "SELECT * FROM (PIVOT read_blob('{duck}') ON size USING count(*))",
    "FROM '/etc/passwd'",
    "FROM '{duck}'",
    "FROM '{base}'",
    "FROM '{dir}/*'",
    "FROM \"{duck}\"",
    "FROM \"a\".\"{duck}\"",
    "DESCRIBE '{duck}'",
    "SUMMARIZE '{duck}'",
    "SELECT * FROM public.t SEMI JOIN '{duck}' ON true",
    "FROM read_parquet('http://127.0.0.1:1/x.parquet')",
    "FROM 'https://example.com/x.csv'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_duckdb('{duck}')",
    "SELECT * FROM parquet_metadata('{duck}')",
    "SELECT * FROM sniff_csv('{duck}')",
    # SQL in strings, settings, state, upkeep
    "SELECT * FROM query('DELETE FROM public.t')",
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    "SELECT * FROM query_table('{duck}')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_settings",
    "SELECT * FROM pg_catalog.pg_settings",
    "SELECT * FROM duckdb_secrets()",
    "SELECT current_setting('temp_directory')",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM force_checkpoint('_penstock')",
    "SELECT * FROM enable_logging()",
    "SELECT * FROM enable_profiling()",
    "SELECT nextval('s')", "SELECT setseed(0.5)", "SELECT write_log('x')", "SELECT sleep_ms(100000)",
    "SELECT 'x'.repeat(1000000000)", "SELECT main.repeat('x', 1000000000)",
    "SELECT lpad('x', 1000000000, 'y')", "SELECT format('{{:>1000000000}}', 'x')",
    "SELECT range(1000000000)", "SELECT list_resize([1], 1000000000)",
    "SELECT * FROM arrow_scan(1, 2, 3)", "SELECT * FROM seq_scan(1)",
    "SELECT * FROM test_all_types()",
    # what is wrong in itself
    "SELECT $1", "SELECT ?", "SELECT nothing FROM public.t", "SELECT * FROM public.nothing",
    "SELECT 1/", "SELECT 'abc'::int", "SELECT error('x')",
    "SELECT " + "1+" * 40000 + "1", "SELECT '" + "x" * 200000 + "'",
]
# Read or refused, as DuckDB likes; nothing breaks.
STRANGE = ["(" * 5000 + "SELECT 1" + ")" * 5000, "SELECT " + "(" * 20000 + "1" + ")" * 20000,
           "SELECT " + "[" * 1500 + "]" * 1500, "SELECT " + "NOT " * 20000 + "true",
           "SELECT 1 " + "UNION ALL SELECT 1 " * 3000, "SELECT " + ", ".join(["1"] * 20000),
           "SELECT * FROM public.t " + ", public.t " * 200]


def test_nothing_but_reading(shop, source, db):
    folder = os.path.dirname(shop.duck)
    before = rows(shop, "SELECT count(*), sum(id), min(v), max(v) FROM public.t")
    settings = rows(shop, "SELECT table_name FROM duckdb_tables() ORDER BY ALL")
    for sql in HOSTILE:
        sql = (sql.replace("{duck}", shop.duck).replace("{dir}", folder)
               .replace("{base}", os.path.basename(shop.duck)).replace("{{", "{").replace("}}", "}"))
        status, j = post(shop, {"sql": sql})
        assert status == 400, (sql[:200], status, str(j)[:300])
        assert j["status"] == 400 and j["detail"], (sql[:200], j)
        assert "root:" not in j["detail"]
        shop.alive()
    for sql in STRANGE:
        status, j = post(shop, {"sql": sql, "timeout_ms": 2000})
        assert status in (200, 400, 504, 413), (sql[:100], status, str(j)[:300])
        shop.alive()
    assert rows(shop, "SELECT count(*), sum(id), min(v), max(v) FROM public.t") == before
    assert rows(shop, "SELECT table_name FROM duckdb_tables() ORDER BY ALL") == settings
    assert not os.path.exists(f"{folder}/stolen.csv") and not os.path.exists(f"{folder}/other.duckdb")
    # the lock on the file is still there: to open and close it here would have taken it away
    with pytest.raises(duckdb.IOException, match="lock"):
        duckdb.connect(shop.duck, read_only=True)
    source.script("INSERT INTO t VALUES (9001, 'later')", db)
    wait_caught_up(shop, source, db)
    assert shop.stop() == 0
    assert_equal_duckdb(source, db, shop.duck, "public.t")


def test_the_instance_reaches_nothing_outside(source, db, duck, tmp_path, penstock):
    """The belt: even what came past the judge could not open a file or change a setting."""
    with duckdb.connect(duck) as c:  # a view and a macro of the user's own may hold anything
        c.execute("CREATE VIEW v AS SELECT 1 AS x; CREATE VIEW w AS SELECT x FROM v")
        c.execute(f"CREATE MACRO mine() AS (SELECT count(*) FROM read_text('{tmp_path}/secret'))")
    (tmp_path / "secret").write_text("secret")
    p = penstock(to_duckdb(source, db, duck)).start()
    p.wait_live("public.fence")
    assert rows(p, "SELECT x FROM main.w") == [[1]]
    refused(p, "SELECT main.mine()", 400, "disabled by configuration")


# --- limits ---

def test_limits_of_time(shop):
    endless = ["WITH RECURSIVE x AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM x) SELECT max(a) FROM x",
               "SELECT count(*) FROM range(1000000000000) a, range(1000) b",
               "SELECT max(hash(a.range, b.range)) FROM range(10000000000) a, range(1000) b",
               "EXPLAIN ANALYZE SELECT sum(a.range % 7 * b.range) FROM range(10000000000) a, range(1000) b",
               "SELECT * FROM range(100000000000) WHERE range < 0"]
    for sql in endless:
        began = time.monotonic()
        says = refused(shop, sql, 504, "ended after 300 ms", timeout_ms=300)
        assert time.monotonic() - began < 8 * SLOW, (sql, says)
    status, _ = post(shop, {"timeout_ms": 2000, "sql": "SELECT count(*) FROM range(1000000000000) a, "
                            "range(1000000000000) b"})
    assert status in (413, 504)  # one side of it would have to be kept
    assert rows(shop, "SELECT 1") == [[1]]


def test_limits_of_memory_and_answer(shop, source, db):
    """Gigabytes are asked for; the service keeps its size and goes on."""
    def resident():
        with open(f"/proc/{shop.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024
    before = resident()
    peak = [before]
    over = threading.Event()

    def watch():
        while not over.is_set():
            peak[0] = max(peak[0], resident())
            over.wait(0.01)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    greedy = ["SELECT string_agg(a.range::VARCHAR || 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', ',') "
              "FROM range(100000000) a",
              "SELECT list(range) FROM range(1000000000)",
              "SELECT count(DISTINCT a.range * 1000003 + b.range) FROM range(100000) a, range(100000) b",
              "SELECT * FROM range(1000000000) ORDER BY hash(range) DESC",
              "WITH RECURSIVE x AS (SELECT 'xxxxxxxxxxxxxxxx' AS s, 1 AS n UNION ALL SELECT s || s, n + 1 "
              "FROM x WHERE n < 40) SELECT max(length(s)) FROM x",
              "SELECT a.id, b.v, list(c.v) FROM public.t a, public.t b, public.t c GROUP BY ALL"]
    for sql in greedy:
        status, j = post(shop, {"sql": sql, "timeout_ms": 20000})
        assert status in (504, 413), (sql, status, str(j)[:300])
        assert re.search("memory|larger|ended|limit", j["detail"]), (sql, j)
    refused(shop, "SELECT string_agg(md5(range::VARCHAR), '') FROM range(1000000)", 413,
            "larger than 16 MB")
    refused(shop, "SELECT md5(a.range::VARCHAR) || md5(b.range::VARCHAR) || md5(b.range::VARCHAR) || "
            "md5(b.range::VARCHAR) || md5(a.range::VARCHAR), a.range FROM range(1000) a, range(100) b",
            413, "larger than 16 MB", limit=100000)
    over.set()
    thread.join()
    source.script("INSERT INTO t VALUES (9002, 'later')", db)
    wait_caught_up(shop, source, db)
    assert rows(shop, "SELECT v FROM public.t WHERE id = 9002") == [["later"]]
    assert "retrying" not in shop.log() and "failed" not in shop.log(), shop.log()[-2000:]
    if not SANITIZED:
        assert peak[0] - before < 1500, f"{before:.0f} MB before, {peak[0]:.0f} MB at most"


def test_rows_are_cut_at_the_limit(shop):
    j = ask(shop, "FROM range(5)", limit=3)
    assert j == {"columns": [{"name": "range", "type": "BIGINT"}], "rows": [[0], [1], [2]],
                 "truncated": True}
    assert ask(shop, "FROM range(3)", limit=3)["truncated"] is False
    j = ask(shop, "FROM range(1000000000000)")
    assert len(j["rows"]) == 1000 and j["truncated"] is True
    assert len(ask(shop, "FROM range(2048)", limit=2048)["rows"]) == 2048
    assert ask(shop, "FROM range(10000)", limit=10000)["truncated"] is False
    assert ask(shop, "SELECT 1 WHERE false") == {"columns": [{"name": "1", "type": "INTEGER"}],
                                                 "rows": [], "truncated": False}


def test_few_at_once_and_the_rest_of_the_service_answers(shop):
    """Four run; the fifth is told so; /livez answers at once meanwhile."""
    slow = "SELECT count(*) FROM range(100000000000) a, range(1000) b"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        def until_it_ran():
            status = 429  # the question below has one of the places, now and then
            while status == 429:
                status, _ = post(shop, {"sql": slow, "timeout_ms": 6000})
            return status
        running = [pool.submit(until_it_ran) for _ in range(4)]
        says = wait_for("four are running", lambda: (lambda r: r[0] == 429 and r[1])(
            post(shop, {"sql": "SELECT 1"})), 5)
        assert "4 queries" in says["detail"]
        for path in ("/livez", "/connectors", "/metrics", "/v1/tables"):
            began = time.monotonic()
            assert shop.get(path)[0] == 200
            assert time.monotonic() - began < 1 * SLOW, path
        assert [r.result() for r in running] == [504] * 4
    assert rows(shop, "SELECT 1") == [[1]]


def test_a_stop_ends_what_is_running(shop):
    slow = "SELECT count(*) FROM range(100000000000) a, range(1000) b"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = pool.submit(post, shop, {"sql": slow, "timeout_ms": 60000})
        wait_for("it runs", lambda: shop.get("/livez")[0] == 200 and not running.done())
        began = time.monotonic()
        assert shop.stop() == 0
        assert time.monotonic() - began < 8 * SLOW
        try:
            assert running.result()[0] == 503
        except (OSError, urllib.error.URLError, json.JSONDecodeError):
            pass  # the process was gone before the answer was sent
    assert not os.path.exists(shop.duck + ".wal")


def test_a_stop_does_not_wait_for_what_cannot_be_ended(program, source, db, duck):
    """Should a question ever heed no interrupt: the stop ends within its time, says why, and loses
    nothing."""
    source.script("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x')", db)
    p = Penstock(to_duckdb(source, db, duck))
    old, harness.PENSTOCK = harness.PENSTOCK, program
    try:
        p.env = {"PENSTOCK_FAILPOINT": "wdk.ask:1:sleep=60000"}
        p.start().wait_live("public.t", "public.fence")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(post, p, {"sql": "SELECT 1", "timeout_ms": 500}, timeout=90)
            wait_for("it runs", lambda: p.get("/livez")[0] == 200 and not running.done())
            source.script("INSERT INTO t VALUES (9003, 'meanwhile')", db)
            wait_caught_up(p, source, db)
            assert not running.done(), running.result()
            began = time.monotonic()
            assert p.stop(60) == 0
            assert time.monotonic() - began < 10 * SLOW
            assert running.exception() is not None  # it got no answer
        assert re.search(r" warn .*this connector stands still until it does.* connector=warehouse",
                         p.log()), p.log()[-2000:]
        assert "the service ends without it" in p.log()
        source.script("INSERT INTO t VALUES (9004, 'later')", db)
        p.env = {}
        p.start().wait_live("public.t")
        wait_caught_up(p, source, db)
        assert p.stop() == 0
        assert not os.path.exists(duck + ".wal")
        assert_equal_duckdb(source, db, duck, "public.t")
    finally:
        harness.PENSTOCK = old
        if p.process is not None:
            p.process.kill()
            p.process.wait(10)


# --- a process of its own ---

def children(p):
    """The processes that answer a question, with the memory that is theirs alone, in MB."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
            if parent == p.process.pid:
                with open(f"/proc/{pid}/statm") as f:
                    size = f.read().split()
                found[int(pid)] = (int(size[1]) - int(size[2])) * 4 / 1024
        except (OSError, ValueError, IndexError):
            pass  # it has ended
    return found


def traces(p):
    return [n for n in os.listdir(os.path.dirname(p.duck)) if "-ask-" in n or ".ask-" in n]


def nested(inner, outer, levels):
    for _ in range(levels):
        inner = outer.replace("{}", inner)
    return inner


DOUBLED = ", ".join(f"x{i} AS NOT MATERIALIZED (SELECT a.id FROM x{i - 1} a JOIN x{i - 1} b USING (id))"
                    for i in range(1, 22))
HUNGRY = {
    "stars": nested("SELECT * FROM public.t", "SELECT *, * FROM ({})", 24),
    "structs": nested("SELECT v AS s FROM public.t", "SELECT {'a': s, 'b': s} AS s FROM ({})", 24),
    "texts": nested("SELECT v AS s FROM public.t", "SELECT s || s AS s FROM ({})", 26),
    "long chain": "SELECT " + " || ".join(["v"] * 20) + " || (SELECT string_agg(v, '') FROM public.t) FROM "
                  "public.t, range(1000)",
    "joins": f"WITH x0 AS NOT MATERIALIZED (SELECT * FROM public.t), {DOUBLED} SELECT count(*) FROM x21",
    "lambdas": "SELECT list_transform(l, lambda x: list_transform(l, lambda y: x * y)) FROM (SELECT "
               "list(range) AS l FROM range(100000))",
    "reduce": "SELECT len(list_reduce(list(v), lambda x, y: x || y || x)) FROM public.t",
    "levenshtein": "SELECT sum(levenshtein(v || '" + "ab" * 20000 + "', '" + "cd" * 20000 + "' || id)) "
                   "FROM public.t",
    "replace": "SELECT sum(len(replace('" + "x" * 40000 + "', 'x', v || '" + "y" * 40000 + "'))) FROM public.t",
    "like": "SELECT count(*) FROM (SELECT '" + "a" * 5000 + "' || id AS s FROM public.t) WHERE s LIKE '"
            + "%a_" * 40 + "b'",
    "kept": "SELECT max(range, 900000) FROM range(3000) GROUP BY range",
    "cube": "SELECT count(*) FROM public.t GROUP BY CUBE (" + ", ".join(f"id % {i}" for i in range(2, 17)) + ")",
    "windows": "SELECT sum(len(l)) FROM (SELECT list(id) OVER (ORDER BY id) AS l FROM (SELECT a.id FROM public.t a, "
               "range(300) b))",
    "groupings": " UNION ALL ".join(["SELECT 1 FROM public.t GROUP BY CUBE (a,b,c,d,e,f,g,h,i,j,k,l,m,n,o)"] * 60),
    "arrays": "SELECT max(hash(NULL::BIGINT[9000][9000])) FROM range(1000000)",
    "names": "SELECT id AS a0, " + ", ".join(f"a{i} + a{i} AS a{i + 1}" for i in range(60)) + " FROM public.t",
    "many arguments": "SELECT sum(length(concat(" + ", ".join(["s"] * 600) + "))) FROM (SELECT CASE WHEN id > 0 "
                      "THEN '" + "x" * 2000 + "' END AS s FROM public.t)",
    "repetitions": "SELECT count(*) FROM (SELECT '" + "x" * 3000 + "' || id AS s FROM public.t) WHERE "
                   "regexp_matches(s, 'x.{900}y')",
    "needle": "SELECT count(*) FROM public.t, range(1000) WHERE contains('" + "x" * 60000 + "' || id, '"
              + "x" * 30000 + "y')",
    "no match": "SELECT count(*) FROM (SELECT range % 1 AS k FROM range(1500000)) a JOIN (SELECT range % 1 AS k "
                "FROM range(1500000)) b ON a.k <> b.k",
    "recursion": "WITH RECURSIVE x AS (SELECT v AS s, 1 AS n FROM public.t UNION ALL SELECT s || s, n + 1 FROM x "
                 "WHERE n < 40) SELECT max(len(s)) FROM x",
}


class Sizes:
    """The memory of the service and of the processes that answer its questions, in MB, at most."""

    def __init__(self, p):
        self.p, self.ours, self.theirs, self.over = p, 0, 0, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def look(self):
        with open(f"/proc/{self.p.process.pid}/status") as f:
            self.ours = max(self.ours, int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024)
        self.theirs = max([self.theirs, *children(self.p).values()])

    def run(self):
        while not self.over.wait(0.005):
            self.look()

    def __enter__(self):
        self.look()
        self.before = self.ours
        self.thread.start()
        return self

    def __exit__(self, *what):
        self.over.set()
        self.thread.join()


def test_what_nothing_bounds_from_within_is_killed(shop, source, db):
    """Each of them grew to gigabytes, or ran on past its time, in the service's own process."""
    ms = int(1000 * SLOW)
    for i, (name, sql) in enumerate(HUNGRY.items()):
        with Sizes(shop) as sizes:
            began = time.monotonic()
            status, j = post(shop, {"sql": sql, "timeout_ms": ms, "limit": 5})
            took = time.monotonic() - began
        assert status in (413, 504), (name, status, str(j)[:300])
        assert re.search(f"memory|ended after {ms} ms|larger", j["detail"]), (name, j)
        assert took < ms / 1000 + 2 * SLOW, (name, took)
        assert sizes.theirs > 0 and children(shop) == {} and traces(shop) == [], name
        if not SANITIZED:
            assert sizes.theirs < 600, (name, sizes.theirs)  # 256 MB, 64 MB more, and what one tick can add
            assert sizes.ours - sizes.before < 200, (name, sizes.before, sizes.ours)
        source.script(f"INSERT INTO t VALUES ({9100 + i}, 'later')", db)
    wait_caught_up(shop, source, db)
    assert rows(shop, "SELECT count(*) FROM public.t WHERE id > 9099") == [[len(HUNGRY)]]
    assert rows(shop, "SELECT [v] FROM public.t WHERE id = 9100") == [["[later]"]]
    assert " warn " not in shop.log(), shop.log()[-2000:]


def test_the_same_answers_from_a_process_of_its_own(shop, source, db):
    """Rows, names, types, errors and limits, and each commit at once."""
    for sql in ("SELECT * FROM public.t ORDER BY id", "SELECT count(*), sum(id), min(v) FROM public.t",
                "DESCRIBE public.t", "SELECT table_name, estimated_size FROM duckdb_tables() ORDER BY ALL"):
        here = ask(shop, sql)
        apart = ask(shop, f"WITH RECURSIVE none AS (SELECT 1 AS x UNION ALL SELECT x FROM none WHERE false), "
                    f"one AS ({sql}) FROM one" if not sql.startswith("DESC") else
                    "SELECT * EXCLUDE (l) FROM (SELECT *, [1] AS l FROM (DESCRIBE public.t))")
        assert apart["columns"] == here["columns"] and apart["truncated"] == here["truncated"]
        assert sorted(map(str, apart["rows"])) == sorted(map(str, here["rows"]))
    assert ask(shop, "SELECT [range] FROM range(10)", limit=3)["truncated"] is True
    refused(shop, "SELECT [nothing] FROM public.t", 400, "nothing")
    refused(shop, "SELECT ['x'::int]", 400, "Could not convert")
    refused(shop, "SELECT [md5(a.range::VARCHAR)], sha256(b.range::VARCHAR), sha256(a.range::VARCHAR), "
            "md5(a.range::VARCHAR) FROM range(1000) a, range(100) b", 413, "larger than 16 MB", limit=100000)
    for i in range(10000, 10010):
        source.script(f"INSERT INTO t VALUES ({i}, 'new')", db)
        wait_caught_up(shop, source, db)
        assert rows(shop, "SELECT max(id), [count(*)] FROM public.t") == [[i, f"[{i - 6999}]"]]


def test_a_process_of_its_own_dies_with_the_service(shop):
    slow = "SELECT [count(*)] FROM range(100000000000) a, range(1000) b"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(post, shop, {"sql": slow, "timeout_ms": 60000})
        pid = wait_for("it runs", lambda: next(iter(children(shop)), None), 10)
        shop.process.kill()
        shop.process.wait(10)
        wait_for("it is gone", lambda: not os.path.exists(f"/proc/{pid}"), 5)
        assert running.exception() is not None
    shop.start().wait_live("public.t")
    assert traces(shop) == []
    assert rows(shop, "SELECT [count(*)] FROM public.t") == [["[3000]"]]


def test_the_program_on_disk_is_replaced(source, db, duck, penstock, tmp_path, monkeypatch):
    """As an upgrade does: the process of its own is this very program; without its library it says so."""
    for name in ("penstock", "libduckdb.so"):
        shutil.copy(os.path.join(os.path.dirname(PENSTOCK), name), tmp_path / name)
    monkeypatch.setattr(harness, "PENSTOCK", str(tmp_path / "penstock"))
    p = penstock(to_duckdb(source, db, duck)).start()
    p.wait_live("public.fence")
    os.unlink(tmp_path / "penstock")
    shutil.copy("/bin/false", tmp_path / "penstock")
    assert rows(p, "SELECT [1]") == [["[1]"]]
    os.unlink(tmp_path / "libduckdb.so")
    refused(p, "SELECT [1]", 503, "cannot start: restart the service")
    assert rows(p, "SELECT 1") == [[1]]


@pytest.mark.parametrize("what", ["count(*)", "[count(*)]"])
def test_a_client_that_leaves_ends_its_question(shop, what):
    body = json.dumps({"sql": f"SELECT {what} FROM range(100000000000) WHERE hash(range) = 1", "timeout_ms": 60000})

    def send():
        s = socket.create_connection(("127.0.0.1", shop.port))
        s.sendall(f"POST /v1/query HTTP/1.1\r\nHost: 127.0.0.1:{shop.port}\r\nContent-Type: application/json\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        return s

    def taken():
        for i, s in enumerate(socks):
            if select.select([s], [], [], 0)[0]:  # it came while the question below had the fourth place
                said = s.recv(65536)
                assert said.startswith(b"HTTP/1.1 429 "), said
                s.close()
                socks[i] = send()
        return post(shop, {"sql": "SELECT 1"})[0] == 429

    socks = [send() for _ in range(4)]
    wait_for("all places are taken", taken, 20)
    for s in socks:
        s.close()
    wait_for("there is a place", lambda: post(shop, {"sql": "SELECT 1"})[0] == 200, 5)
    wait_for("all are free", lambda: children(shop) == {}, 5)


# --- values ---

VALUES = [
    ("NULL", "INTEGER", None), ("NULL::INTEGER", "INTEGER", None),
    ("true", "BOOLEAN", True), ("false", "BOOLEAN", False),
    ("(-128)::TINYINT", "TINYINT", -128), ("255::UTINYINT", "UTINYINT", 255),
    ("(-32768)::SMALLINT", "SMALLINT", -32768), ("65535::USMALLINT", "USMALLINT", 65535),
    ("(-2147483648)::INTEGER", "INTEGER", -2147483648), ("4294967295::UINTEGER", "UINTEGER", 4294967295),
    ("9007199254740991", "BIGINT", 9007199254740991),
    ("9007199254740992", "BIGINT", "9007199254740992"),
    ("(-9007199254740991)", "BIGINT", -9007199254740991),
    ("(-9223372036854775808)::BIGINT", "BIGINT", "-9223372036854775808"),
    ("18446744073709551615::UBIGINT", "UBIGINT", "18446744073709551615"),
    ("5::UBIGINT", "UBIGINT", 5),
    ("5::HUGEINT", "HUGEINT", "5"), ("sum(5)", "HUGEINT", "5"),
    ("(-170141183460469231731687303715884105728)::HUGEINT", "HUGEINT",
     "-170141183460469231731687303715884105728"),
    ("340282366920938463463374607431768211455::UHUGEINT", "UHUGEINT",
     "340282366920938463463374607431768211455"),
    ("1.10::DECIMAL(4,2)", "DECIMAL(4,2)", "1.10"), ("(-0.01)::DECIMAL(9,2)", "DECIMAL(9,2)", "-0.01"),
    ("123456789012345678901234567890.12345678::DECIMAL(38,8)", "DECIMAL(38,8)",
     "123456789012345678901234567890.12345678"),
    ("0.1::DOUBLE", "DOUBLE", 0.1), ("1e300::DOUBLE", "DOUBLE", 1e300), ("5::DOUBLE", "DOUBLE", 5),
    ("0.1::FLOAT", "FLOAT", 0.1), ("16777216::FLOAT", "FLOAT", 16777216),
    ("'nan'::DOUBLE", "DOUBLE", "nan"), ("'inf'::DOUBLE", "DOUBLE", "inf"),
    ("'-inf'::FLOAT", "FLOAT", "-inf"), ("5e-324::DOUBLE", "DOUBLE", 5e-324),
    ("'a\"\\\n\t\u0001\u007f\U0001f600'", "VARCHAR", "a\"\\\n\t\u0001\u007f\U0001f600"),
    ("''", "VARCHAR", ""), ("'a' || chr(0) || 'b'", "VARCHAR", "a\0b"),
    ("'\\x00\\xFFab'::BLOB", "BLOB", "\\x00\\xFFab"), ("''::BLOB", "BLOB", ""),
    ("'{\"a\": [1, null]}'::JSON", "JSON", '{"a": [1, null]}'),
    ("DATE '2026-01-31'", "DATE", "2026-01-31"), ("DATE 'infinity'", "DATE", "infinity"),
    ("DATE '0044-03-15 (BC)'", "DATE", "0044-03-15 (BC)"),
    ("TIME '10:00:00.123456'", "TIME", "10:00:00.123456"),
    ("TIMETZ '10:00:00+02'", "TIME WITH TIME ZONE", "10:00:00+02"),
    ("TIMESTAMP '2026-01-31 10:00:00.5'", "TIMESTAMP", "2026-01-31 10:00:00.5"),
    ("TIMESTAMPTZ '2026-01-31 10:00:00+02'", "TIMESTAMP WITH TIME ZONE", "2026-01-31 08:00:00+00"),
    ("TIMESTAMP_S '2026-01-31 10:00:00'", "TIMESTAMP_S", "2026-01-31 10:00:00"),
    ("TIMESTAMP_MS '2026-01-31 10:00:00.123'", "TIMESTAMP_MS", "2026-01-31 10:00:00.123"),
    ("TIMESTAMP_NS '2026-01-31 10:00:00.123456789'", "TIMESTAMP_NS", "2026-01-31 10:00:00.123456789"),
    ("INTERVAL '1 year 2 days 3 seconds'", "INTERVAL", "1 year 2 days 00:00:03"),
    ("'8f14e45f-ceea-467f-9d8c-1d1c1f6a9f10'::UUID", "UUID", "8f14e45f-ceea-467f-9d8c-1d1c1f6a9f10"),
    ("'ffffffff-ceea-467f-9d8c-1d1c1f6a9f10'::UUID", "UUID", "ffffffff-ceea-467f-9d8c-1d1c1f6a9f10"),
    ("'10110'::BIT", "BIT", "10110"),
    ("[1, NULL, 3]", "INTEGER[]", "[1, NULL, 3]"), ("[]::INTEGER[]", "INTEGER[]", "[]"),
    ("['a, b', 'it''s', NULL]", "VARCHAR[]", None),
    ("[[1], NULL, []]", "INTEGER[][]", "[[1], NULL, []]"),
    ("[1, 2]::INTEGER[2]", "INTEGER[2]", "[1, 2]"),
    ("{'a': 1, 'b c': [NULL, 2.50]}", None, None),
    ("{'a': {'b': NULL}}", None, None),
    ("MAP {'k': 1, 'l': NULL}", 'MAP(VARCHAR, INTEGER)', "{k=1, l=NULL}"),
    ("MAP {1: ['x']}", 'MAP(INTEGER, VARCHAR[])', "{1=[x]}"),
    ("union_value(k := 5)", 'UNION("k" INTEGER)', "5"),
    ("'b'::ENUM('a', 'b')", None, "b"),
    ("[TIMESTAMPTZ '2026-01-31 10:00:00+02']", "TIMESTAMP WITH TIME ZONE[]", None),
    ("[1.10::DECIMAL(4,2), 'nan'::DOUBLE]", None, None),
    ("['\\x00'::BLOB, NULL]", "BLOB[]", None),
]


def test_every_type(shop):
    """As JSON, and against DuckDB's own cast to text where no other text is given."""
    for sql, type_, want in VALUES:  # noqa: B007
        j = ask(shop, f"SELECT {sql} AS v, ({sql})::VARCHAR AS s")
        assert [c["name"] for c in j["columns"]] == ["v", "s"] and len(j["rows"]) == 1
        value, text = j["rows"][0]
        if type_ is not None:
            assert j["columns"][0]["type"] == type_, (sql, j)
        if type_ and type_[0] != '"' and not type_.endswith("NULL") and want is None and \
                "NULL::" not in sql:
            want = text
        if type_ is None and want is None:
            want = text
        assert value == want and type(value) is type(want) or (
            isinstance(want, float) and value == want) or (
            isinstance(want, int) and not isinstance(want, bool) and value == want), (sql, j)


def test_a_value_without_a_text_form_is_said(shop):
    refused(shop, "SELECT ['a' || chr(0)]", 400, "CAST it to VARCHAR")
    refused(shop, "SELECT 5::VARIANT", 400, "CAST it to VARCHAR")
    assert rows(shop, "SELECT 5::VARIANT::VARCHAR") == [["5"]]


def test_statements_that_read(shop):
    assert rows(shop, "SELECT v FROM public.t WHERE id = 7;") == [["v7"]]
    assert rows(shop, "-- a comment\n/* and /* another */ */ SELECT/**/1 -- end") == [[1]]
    assert rows(shop, "WITH a AS (SELECT 1 AS x) SELECT x + 1 FROM a") == [[2]]
    assert rows(shop, 'WITH "a.b" AS (SELECT 1 AS x) SELECT x + 1 FROM "a.b"') == [[2]]
    assert rows(shop, "FROM public.t SELECT count(*)") == [[3000]]
    assert rows(shop, "VALUES (1, 'x'), (2, NULL)") == [[1, "x"], [2, None]]
    assert rows(shop, "TABLE public.fence")[0][0] == 1
    assert [r[0] for r in rows(shop, "DESCRIBE public.t")] == ["id", "v", "_penstock_csn",
                                                               "_penstock_committed_at"]
    assert rows(shop, "DESCRIBE SELECT 1 AS x")[0][:2] == ["x", "INTEGER"]
    assert ["t"] in [r[2:3] for r in rows(shop, "SHOW ALL TABLES")]
    assert rows(shop, "SUMMARIZE public.t")[0][0] == "id"
    assert "t" in [r[0] for r in rows(shop, "SELECT table_name FROM information_schema.tables")]
    assert "SEQ_SCAN" in str(rows(shop, "EXPLAIN SELECT * FROM public.t")).upper().replace(" ", "_")
    assert "3,000 rows" in str(rows(shop, "explain/**/analyze SELECT * FROM public.t"))
    assert json.loads(rows(shop, "EXPLAIN (FORMAT json) SELECT 1")[0][1])
    assert rows(shop, "SELECT connector, source FROM penstock.checkpoints") == [["warehouse", "shop"]]
    assert rows(shop, "SELECT id, id FROM public.t WHERE id = 1") == [[1, 1]]
    assert rows(shop, "SELECT list_transform([1, 2], lambda x: x + 1)") == [["[2, 3]"]]
    assert rows(shop, "SELECT * FROM unnest([1, 2])") == [[1], [2]]
    assert rows(shop, "SELECT 'ä' AS \"ö\"") == [["ä"]]


def test_bodies(shop):
    for body, says in [({}, '"sql"'), ({"sql": 5}, '"sql"'), ([], "object"), ("SELECT 1", "JSON"),
                       ({"sql": "SELECT 1", "limit": 0}, '"limit"'),
                       ({"sql": "SELECT 1", "limit": 100001}, '"limit"'),
                       ({"sql": "SELECT 1", "limit": "9"}, '"limit"'),
                       ({"sql": "SELECT 1", "limit": 1.5}, '"limit"'),
                       ({"sql": "SELECT 1", "timeout_ms": -1}, '"timeout_ms"'),
                       ({"sql": "SELECT 1", "timeout_ms": 60001}, '"timeout_ms"'),
                       ({"sql": "SELECT 1", "sqll": 1}, "nothing else"),
                       ({"sql": "SELECT 1", "connector": 1}, '"connector"'),
                       ({"sql": "SELECT 1\0"}, "JSON"), (b"{", "JSON"), (b"", '"sql"|object')]:
        status, j = post(shop, body)
        assert status == 400 and re.search(says, j["detail"]), (body, status, j)
    for headers, want in [({"Content-Type": "text/plain"}, 415), ({"Host": "evil.example"}, 403),
                          ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
                          ({"Origin": f"http://127.0.0.1:{shop.port}"}, 200),
                          ({"Content-Type": "application/json; charset=utf-8"}, 200)]:
        status, j = post(shop, {"sql": "SELECT 1"}, headers)
        assert status == want, (headers, status, j)
        assert want == 200 or j["status"] == want
    assert post(shop, b'{"sql":"SELECT \'' + b"x" * (1 << 20) + b'\'"}')[0] == 413
    assert shop.get("/v1/query")[0] == 405


def test_which_warehouse(source, db, warehouse, wdb, duck, penstock):
    """Two DuckDB warehouses and a Postgres one: a name is wanted, and wrong ones are told apart."""
    config = to_duckdb(source, db, duck)
    config["connectors"]["second"] = source_config(source, db, "second")
    config["connectors"]["other"] = {"connector.class": "duckdb", "topics.regex": "second\\..*",
                                     "connection.url": f"duckdb:{duck}.other.duckdb"}
    config["connectors"]["third"] = source_config(source, db, "third")
    config["connectors"]["pg"] = {"connector.class": "postgres-warehouse", "topics.regex": "third\\..*",
                                  "connection.url": warehouse.url(wdb)}
    p = penstock(config).start()
    p.wait_live()
    wait_for("both are open", lambda: all(post(p, {"sql": "SELECT 1", "connector": c})[0] == 200
                                          for c in ("warehouse", "other")))
    sql = "SELECT connector, source FROM penstock.checkpoints"
    wait_for("checkpoints", lambda: rows(p, sql, connector="other"))
    assert rows(p, sql, connector="warehouse") == [["warehouse", "shop"]]
    assert rows(p, sql, connector="other") == [["other", "second"]]
    refused(p, sql, 400, "several warehouses: name one in \"connector\": warehouse, other")
    refused(p, sql, 404, "Connector nothing is no warehouse .*warehouse, other", connector="nothing")
    refused(p, sql, 404, "Connector shop is no warehouse", connector="shop")
    refused(p, sql, 400, "any client can read it", connector="pg")
    r = query(p, sql, "--connector", "other", "--output", "csv")
    assert r.returncode == 0 and r.stdout == "connector,source\r\nother,second\r\n"


def test_no_duckdb_warehouse(source, db, warehouse, wdb, penstock):
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    p.wait_live()
    refused(p, "SELECT 1", 400, "Postgres warehouse")


def test_a_file_that_is_not_open_is_503(source, db, duck, tmp_path, penstock):
    with open(duck, "w") as f:
        f.write("this is no DuckDB file")
    p = penstock(to_duckdb(source, db, duck)).start()
    wait_for("it has failed", lambda: p.status("warehouse")["tasks"][0]["state"] == "FAILED")
    refused(p, "SELECT 1", 503, "not open now")


def test_the_token_is_wanted(source, db, duck, penstock):
    p = penstock({**to_duckdb(source, db, duck), "service": {"api.token": "secret"}}).start()
    wait_for("open", lambda: post(p, {"sql": "SELECT 1"}, {"Authorization": "Bearer secret"})[0] == 200)
    assert post(p, {"sql": "SELECT 1"})[0] == 401
    assert query(p, "SELECT 1").returncode == 1
    assert query(p, "SELECT 1", "--token", "secret").returncode == 0


# --- beside replication ---

@pytest.mark.parametrize("where", ["here", "apart"])
def test_one_commit_while_the_bank_works(source, db, duck, penstock, where):
    """Readers one after another: every answer is one commit, and the warehouse ends up equal."""
    source.script(SCHEMA, db)
    p = penstock(to_duckdb(source, db, duck)).start()
    p.wait_live(*TABLES)
    bank = Bank(source, db, 11, pause=0.002)
    bank.start()
    sql = ("SELECT (SELECT sum(balance) FROM public.accounts), (SELECT count(*) FROM public.accounts), "
           "(SELECT min(tx) FROM public.marks), (SELECT max(tx) FROM public.marks)")
    if where == "apart":
        sql += ", [1]"
    greedy = "SELECT string_agg(a.note || b.note, ',') FROM public.accounts a, public.accounts b, range(50)"
    # apart: each waits for the greedy one's end, whose old rows keep the checkpoint away
    began, wanted = time.monotonic(), 20 if where == "here" else 3
    seen, highest, bad = 0, 0, []

    def going_on():
        over = time.monotonic() - began
        return over < 8 * SLOW or (seen <= wanted or len(bad) <= 2) and over < 60 * SLOW

    def spoil():
        while going_on():
            status, j = post(p, {"sql": greedy, "timeout_ms": 2000})
            assert status in (504, 413, 429, 503), (status, j)
            if status != 503:  # as below
                bad.append(status)
            elif "is being closed" in j["detail"]:  # only where its memory was what the sink lacked
                assert re.search("retrying: .*[Mm]emory", p.log()), p.log()[-3000:]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        spoiling = pool.submit(spoil)
        while going_on():
            status, j = post(p, {"sql": sql})
            # The log wants a pause of its readers, or the greedy one has the memory that all share.
            if status in (413, 503):
                continue
            assert status == 200, (status, j)
            total, count, low, high = j["rows"][0][:4]
            assert (int(total), count, low) == (TOTAL, 300, high), (total, count, low, high)
            assert high >= highest
            seen, highest = seen + 1, high
        spoiling.result()
    bank.stop()
    wait_caught_up(p, source, db)
    assert seen > wanted and len(bad) > 2 and highest > 0
    assert "level=error" not in p.log() and " error " not in p.log(), p.log()[-2000:]
    assert p.stop() == 0
    assert not os.path.exists(duck + ".wal")
    assert_equal_duckdb(source, db, duck, *TABLES)


# --- the command line ---

class Ran:
    def __init__(self, r):
        self.returncode = r.returncode
        self.stdout, self.stderr = r.stdout.decode(), r.stderr.decode()  # line ends as they are


def query(p, *args, stdin=b""):
    return Ran(subprocess.run([PENSTOCK, "query", "--url", f"http://127.0.0.1:{p.port}", *args],
                              capture_output=True, timeout=90, input=stdin))


def test_command_line(shop):
    r = query(shop, "SELECT id, v, NULL::VARCHAR AS nothing, 'NULL' AS word, 1.50::DECIMAL(9,2) AS price "
                    "FROM public.t WHERE id IN (1, 1000) ORDER BY id")
    assert r.returncode == 0 and r.stderr == ""
    assert r.stdout == ("  id  v      nothing  word    price\n"
                        "----  -----  -------  ------  -----\n"
                        "   1  v1     NULL     \"NULL\"   1.50\n"
                        "1000  v1000  NULL     \"NULL\"   1.50\n"
                        "(2 rows)\n"), r.stdout
    r = query(shop, "SELECT 'a' || chr(27) || '[31m' || chr(10) || chr(0) || 'ä' || chr(133) AS x")
    assert r.stdout.splitlines()[2] == "a\\x1b[31m\\n\\x00ä\\x85", r.stdout
    r = query(shop, "FROM range(5)", "--limit", "2")
    assert r.stdout.endswith("(2 rows, and there are more)\n") and r.returncode == 0
    r = query(shop, "SELECT 1 WHERE false")
    assert r.stdout.endswith("(0 rows)\n") and r.returncode == 0
    r = query(shop, "SELECT v, 0.1::DOUBLE AS d FROM public.t WHERE id = 5", "--output", "json")
    assert json.loads(r.stdout) == {"columns": [{"name": "v", "type": "VARCHAR"},
                                                {"name": "d", "type": "DOUBLE"}],
                                    "rows": [["v5", 0.1]], "truncated": False}
    r = query(shop, "-", stdin=b"SELECT count(*) AS n\nFROM public.t;\n")
    assert r.returncode == 0 and r.stdout == "   n\n----\n3000\n(1 row)\n"


def test_csv(shop):
    r = query(shop, "SELECT 'a,b' AS \"x,y\", 'say \"hi\"' AS q, 'l1' || chr(10) || 'l2' AS l, NULL AS n, "
                    "'' AS e, 0.1::FLOAT AS f, true AS t, 5 AS i", "--output=csv")
    assert r.returncode == 0
    assert r.stdout == ('"x,y",q,l,n,e,f,t,i\r\n"a,b","say ""hi""","l1\nl2",,"",0.1,true,5\r\n'), r.stdout
    got = list(csv.reader(io.StringIO(r.stdout, newline="")))
    assert got[1] == ["a,b", 'say "hi"', "l1\nl2", "", "", "0.1", "true", "5"]
    r = query(shop, "SELECT 1 AS a FROM range(3)", "--output", "csv", "--limit", "2")
    assert r.stdout == "a\r\n1\r\n1\r\n" and "more rows" in r.stderr and r.returncode == 0


def test_exit_codes(shop):
    for args, code, says in [
            (["DELETE FROM public.t"], 1, "400: Only one statement that reads"),
            (["SELECT nothing"], 1, "nothing"),
            (["SELECT count(*) FROM range(100000000000) a, range(1000) b", "--timeout", "200"], 1,
             "504: .*200 ms"),
            (["SELECT 1", "--connector", "no"], 1, "404: Connector no"),
            ([], 2, "argument is missing"), (["SELECT", "1"], 2, "too many"), ([" "], 2, "no statement"),
            (["SELECT 1", "--limit", "x"], 2, "--limit"), (["SELECT 1", "--limit", "0"], 2, "--limit"),
            (["SELECT 1", "--timeout", "60001"], 2, "--timeout"),
            (["SELECT 1", "--output", "xml"], 2, "table,json,csv")]:
        r = query(shop, *args)
        assert r.returncode == code and r.stdout == "" and re.search(says, r.stderr), (args, r)
    r = subprocess.run([PENSTOCK, "status", "--output", "csv"], capture_output=True, text=True)
    assert r.returncode == 2 and "table,json" in r.stderr
    r = subprocess.run([PENSTOCK, "query", "--url", "http://127.0.0.1:1", "SELECT 1"],
                       capture_output=True, text=True, timeout=30)
    assert r.returncode == 1 and "no service answers" in r.stderr
    assert "--connector" in subprocess.run([PENSTOCK, "help", "query"], capture_output=True,
                                           text=True).stdout


def test_the_page_on_duckdb(shop, tmp_path):
    """Every command of docs/duckdb.md that asks the service does what the page says."""
    with open(os.path.join(ROOT, "docs", "duckdb.md")) as f:
        page = f.read()
    commands = re.findall(r"^    (.*(?:build/penstock query|curl) (?:.*\\\n)*.*)$", page, re.M)
    assert len(commands) >= 5
    for command in commands:
        command = (command.replace("build/penstock query",
                                   f"{PENSTOCK} query --url http://127.0.0.1:{shop.port}")
                   .replace("127.0.0.1:8083", f"127.0.0.1:{shop.port}").replace("orders", "t"))
        r = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30,
                           cwd=tmp_path)
        assert r.returncode == 0, (command, r)
        assert "3000" in r.stdout or "id" in r.stdout or os.listdir(tmp_path), (command, r)
