# SPDX-License-Identifier: Apache-2.0
"""The Postgres source by itself: its C probe, linked with the library, against real servers."""
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest

import harness


FENCE = "public\\.fence"  # the harness's own table


def build_probe(folder):
    program = os.path.join(folder, "source_probe")
    kind = os.path.basename(harness.BUILD)
    sanitize = {"asan": ["-fsanitize=address,undefined"], "tsan": ["-fsanitize=thread"]}.get(kind, [])
    libraries = subprocess.check_output(
        ["pkg-config", "--cflags", "--libs", "libpq", "libcurl", "jansson", "openssl", "yaml-0.1",
         "libpcre2-8", "sqlite3", "libmicrohttpd"], text=True).split()
    subprocess.run(
        ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", *sanitize,
         f"-I{harness.ROOT}/src", f"-I{harness.ROOT}/connectors",
         os.path.join(os.path.dirname(__file__), "source_probe.c"),
         f"{harness.BUILD}/libpenstock.a", *libraries, f"-L{harness.BUILD}", "-lduckdb",
         f"-Wl,-rpath,{harness.BUILD}", "-lm", "-pthread", "-o", program], check=True)
    return program


class Probe:
    """One process of the probe; commands are answered in order."""

    def __init__(self, program, **settings):
        args = [f"{k.replace('__', '.')}={v}" for k, v in settings.items()]
        self.process = subprocess.Popen([program, *args], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.stderr = []
        self.reader = threading.Thread(target=lambda: self.stderr.extend(self.process.stderr))
        self.reader.start()
        self.done = None

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self):
        out = []
        while True:
            line = self.process.stdout.readline()
            assert line, f"the probe ended: {self.process.wait(10)} {self.log()}"
            j = json.loads(line)
            if "done" in j:
                self.done = j
                return out
            out.append(j)

    def __call__(self, line):
        self.send(line)
        out = self.answer()
        assert self.done["done"] == "ok", (line, self.done)
        return out

    def fails(self, line, kind):
        self.send(line)
        out = self.answer()
        assert self.done["done"] == kind, (line, self.done, out)
        return self.done

    def log(self):
        return "".join(self.stderr)

    def poll_until(self, wanted, timeout=10):
        """Polls until a row of the answers satisfies `wanted`; every answer so far."""
        seen = []
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            seen += self("poll 50")
            if any(wanted(e) for e in seen):
                return seen
        raise AssertionError(f"not seen: {seen}")

    def close(self):
        if self.process.poll() is None:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self.reader.join(10)
        return self.process.returncode


@pytest.fixture(scope="module")
def program(run_folder):
    return os.environ.get("PENSTOCK_SOURCE_PROBE") or build_probe(run_folder)


@pytest.fixture
def probes(program):
    made = []

    def make(server, dbname, **settings):
        settings = {"database.hostname": "127.0.0.1", "database.port": server.port,
                    "database.user": "postgres", "database.dbname": dbname, "topic.prefix": dbname,
                    "table.exclude.list": FENCE,
                    **settings}
        made.append(Probe(program, **settings))
        return made[-1]

    yield make
    codes = [p.close() for p in made]
    assert all(c in (0, 1) for c in codes), "\n".join(p.log() for p in made)


@pytest.fixture
def probe(probes, source, db):
    return probes(source, db)


def changes(events):
    return [(e["op"], e["table"].split(".")[-1], e["before"], e["after"])
            for e in events if "op" in e and e["op"] != "r"]


def start(p):
    """From nothing to a stream; the rows that were loaded."""
    p("connect")
    p("prepare")
    position = p("point durable")[0]["point"]
    p("tables")
    rows = p("load")
    p("close")
    p("start " + position)
    return [(e["table"].split(".")[-1], e["after"]) for e in rows]


def is_commit(e):
    return "commit" in e


# ---------------------------------------------------------------------------------------- rows

def test_changes(source, db, probe):
    source.script("""
        CREATE TABLE t(id int PRIMARY KEY, v text, big text);
        ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
        INSERT INTO t VALUES (1, 'a', repeat('x', 9000)), (2, NULL, '');
        """, db)
    rows = start(probe)
    assert rows == [("t", {"id": 1, "v": "a", "big": "x" * 9000}),
                    ("t", {"id": 2, "v": None, "big": ""})]
    source.script("BEGIN; INSERT INTO t VALUES (3, 'c', 'z'); UPDATE t SET v = 'b' WHERE id = 1; "
                  "UPDATE t SET id = 10 WHERE id = 1; DELETE FROM t WHERE id = 2; TRUNCATE t; COMMIT",
                  db)
    events = probe.poll_until(is_commit)
    only = {"v": "<absent>", "big": "<absent>"}
    assert changes(events) == [
        ("c", "t", None, {"id": 3, "v": "c", "big": "z"}),
        ("u", "t", None, {"id": 1, "v": "b", "big": "<unchanged>"}),
        ("u", "t", {"id": 1, **only}, {"id": 10, "v": "b", "big": "<unchanged>"}),
        ("d", "t", {"id": 2, **only}, None),
        ("t", "t", None, None)]
    begin = next(e for e in events if "begin" in e)
    commit = next(e for e in events if "commit" in e)
    assert begin["begin"] == commit["csn"]
    assert begin["id"] == f"{begin['xid']}:{begin['begin']}"
    assert abs(begin["us"] / 1e6 - time.time()) < 60


# Types that are copied in binary, each with values at their edges; random ones come beside them.
BINARY = [
    ("bool", ["true", "false"], "random() < 0.5"),
    ("int2", ["-32768", "32767", "0"], "(random() * 60000 - 30000)::int2"),
    ("int4", ["-2147483648", "2147483647", "0"], "(random() * 4e9 - 2e9)::int4"),
    ("int8", ["-9223372036854775808", "9223372036854775807", "0"], "(random() * 1e18 - 5e17)::int8"),
    ("oid", ["0", "4294967295"], "(random() * 4e9)::int8::oid"),
    ("float4", ["'NaN'", "'-NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1e-45", "3.4028235e38", "0.1"],
     "((random() - 0.5) * 10 ^ (random() * 60 - 30))::float4"),
    ("float8", ["'NaN'", "'-NaN'", "'Infinity'::float8 - 'Infinity'::float8 + 1", "'-Infinity'", "'-0'",
                "5e-324", "1.7976931348623157e308", "0.1"],
     "(random() - 0.5) * 10::float8 ^ (random() * 500 - 250)"),
    ("numeric", ["'NaN'", "0", "0.000", "-0.0", "10000", "100000000", "0.0001", "0.00001", "-1e-40",
                 "1e-1000", "1e1000", "123456789012345678901234567890.000100", "9999.9999", "1.10",
                 "99999999999999999999", "repeat('9', 5000)::numeric", "('0.' || repeat('7', 5000))::numeric"],
     "((random() - 0.5) * 10 ^ (random() * 20 - 10))::numeric"),
    ("numeric(12,2)", ["'NaN'", "0", "-9999999999.99", "9999999999.99", "0.01", "-0.10", "10000", "5"],
     "((random() - 0.5) * 10 ^ (random() * 9))::numeric(12,2)"),
    ("numeric(4,4)", ["0.0001", "-0.9999", "0"], "(random() - 0.5)::numeric(4,4)"),
    ("text", ["''", "E'\\\\N'", "E'a\\tb\\nc\\\\d'", "'Müller € 𝄞'", "repeat('x', 100000)"], "md5(random()::text)"),
    ("varchar(5)", ["''", "'a b'", "'€€€€€'"], "left(md5(random()::text), 5)"),
    ("char(5)", ["''", "'a'", "'abcde'"], "left(md5(random()::text), 3)"),
    ("name", ["''", "'x'"], "md5(random()::text)::name"),
    ("bytea", ["''", "'\\x00ff5c0a09'", "decode(repeat('00', 9000), 'hex')"], "decode(md5(random()::text), 'hex')"),
    ("date", ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'2000-01-01'", "'1970-01-01'"],
     "date '2000-01-01' + (random() * 800000 - 400000)::int"),
    ("time", ["'00:00'", "'24:00:00'", "'23:59:59.999999'"], "time '00:00' + random() * interval '1 day'"),
    ("timestamp", ["'infinity'", "'-infinity'", "'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'",
                   "'1999-12-31 23:59:59.999999'"],
     "timestamp '2000-01-01' + (random() - 0.5) * interval '8000 years'"),
    ("timestamptz", ["'infinity'", "'-infinity'", "'4713-01-01 00:00:00+00 BC'",
                     "'294276-12-31 23:59:59.999999+00'", "'2024-06-01 12:00:00+05:30'"],
     "timestamptz '2000-01-01 00:00+00' + (random() - 0.5) * interval '8000 years'"),
    ("uuid", ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
     "md5(random()::text)::uuid"),
    ("json", ["'{ \"b\":1,  \"a\" : 2 }'", "'null'", "'\"\\\\u0000\"'"],
     "('[' || random() || ']')::json"),
    ("jsonb", ["'{ \"b\":1,  \"a\" : 2 }'", "'null'", "'1e400'", "'0.10'"], "('[' || random() || ']')::jsonb"),
    ("mood", ["'fine, or so'", "'bad'"], "'bad'::mood"),
    ("price", ["1.5", "NULL"], "1.25"),
]


@pytest.mark.parametrize("version", [None, 14, 16, 17, 18])
def test_binary_copies_say_what_text_says(version, source, db, probes, program, servers):
    """The same rows, in a table that is copied in binary, in one that is copied in text because of one
    more column, and from the log, which is text."""
    try:
        server = source if version is None else servers.get(f"source{version}", version=version)
    except RuntimeError as e:
        pytest.skip(str(e))
    name = db
    if version is not None:
        name = "b" + db
        server.create(name)
    columns = [f"c{i} {t}" for i, (t, _, _) in enumerate(BINARY)]
    n = max(len(v) for _, v, _ in BINARY)
    rows = [", ".join(f"({v[i]})::{t}" if i < len(v) else "NULL" for t, v, _ in BINARY) for i in range(n)]
    rnd = f"SELECT {', '.join(r for _, _, r in BINARY)} FROM generate_series(1, 300)"
    server.script(f"""
        CREATE TYPE mood AS ENUM ('fine, or so', 'bad'); CREATE DOMAIN price AS numeric(6,2);
        CREATE TABLE b(id serial PRIMARY KEY, {', '.join(columns)});
        CREATE TABLE s(LIKE b INCLUDING ALL);
        CREATE TABLE t(LIKE b INCLUDING ALL, more int[])""", name)
    names = ", ".join(c.split()[0] for c in columns)
    for r in rows:
        server.script(f"INSERT INTO b({names}) SELECT {r}", name)
    server.script(f"INSERT INTO b({names}) {rnd}; INSERT INTO t SELECT *, NULL FROM b", name)
    p = probes(server, name)
    loaded = start(p)
    copied = [repr(sorted(v.items())) for t, v in loaded if t == "b"]
    as_text = [repr(sorted((k, x) for k, x in v.items() if k != "more")) for t, v in loaded if t == "t"]
    assert len(copied) == n + 300
    assert sorted(copied) == sorted(as_text)
    server.script("INSERT INTO s SELECT * FROM b", name)
    logged = [repr(sorted(after.items())) for op, t, _, after in changes(p.poll_until(is_commit)) if t == "s"]
    assert sorted(copied) == sorted(logged)
    p.close()
    if version is not None:
        server.sql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE "
                   f"database = '{name}'", name)
        server.sql(f"DROP DATABASE {name} WITH (FORCE)")


def test_out_of_line_key(source, db, probe):
    source.script("CREATE TABLE t(k text PRIMARY KEY, v int, d text); ALTER TABLE t ALTER k SET STORAGE "
                  "EXTERNAL, ALTER d SET STORAGE EXTERNAL; "
                  "INSERT INTO t VALUES (repeat('k', 2500), 1, repeat('d', 3000))", db)
    start(probe)
    source.sql("UPDATE t SET v = 2", db)
    [(op, _, before, after)] = changes(probe.poll_until(is_commit))
    assert (op, after["k"], after["v"], after["d"]) == ("u", "k" * 2500, 2, "<unchanged>")


def test_identity_full(source, db, probe):
    source.script("CREATE TABLE t(a int, d text); ALTER TABLE t REPLICA IDENTITY FULL, ALTER d SET "
                  "STORAGE EXTERNAL; INSERT INTO t VALUES (1, repeat('d', 3000)), (1, NULL), (1, NULL)",
                  db)
    rows = start(probe)
    assert len(rows) == 3
    source.script("BEGIN; UPDATE t SET a = 2 WHERE d IS NOT NULL; DELETE FROM t WHERE ctid = "
                  "(SELECT ctid FROM t WHERE d IS NULL LIMIT 1); COMMIT", db)
    events = probe.poll_until(is_commit)
    assert changes(events) == [("u", "t", {"a": 1, "d": "d" * 3000}, {"a": 2, "d": "d" * 3000}),
                               ("d", "t", {"a": 1, "d": None}, None)]
    assert all(e["full"] for e in events if "op" in e)


def test_identity_index(source, db, probe):
    source.script("CREATE TABLE t(id int PRIMARY KEY, u int NOT NULL UNIQUE, v int); "
                  "ALTER TABLE t REPLICA IDENTITY USING INDEX t_u_key; INSERT INTO t VALUES (1, 2, 3)",
                  db)
    probe("connect")
    probe("prepare")
    position = probe("point durable")[0]["point"]
    [t] = probe("tables")
    assert [(c["name"], c["key"], c["identity"]) for c in t["columns"]] == [
        ("id", 0, False), ("u", 1, True), ("v", 0, False)]
    probe("start " + position)
    source.script("DELETE FROM t", db)
    assert changes(probe.poll_until(is_commit)) == [
        ("d", "t", {"id": "<absent>", "u": 2, "v": "<absent>"}, None)]


def test_partitions(source, db, probe):
    source.script("""
        CREATE TABLE pt(id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
        CREATE TABLE pt_a PARTITION OF pt FOR VALUES IN ('a');
        CREATE TABLE pt_b(v text, gone int, region text NOT NULL, id int NOT NULL, PRIMARY KEY (id, region));
        ALTER TABLE pt_b DROP gone;
        ALTER TABLE pt ATTACH PARTITION pt_b FOR VALUES IN ('b');
        INSERT INTO pt VALUES (1, 'a', 'one'), (2, 'b', 'two');
        """, db)
    rows = start(probe)
    assert sorted(r["id"] for _, r in rows) == [1, 2]
    assert {t for t, _ in rows} == {"pt"}
    source.script("BEGIN; UPDATE pt SET v = 'x' WHERE id = 2; UPDATE pt SET region = 'b' WHERE id = 1; "
                  "INSERT INTO pt_a VALUES (3, 'a', 'direct'); TRUNCATE pt; COMMIT", db)
    assert changes(probe.poll_until(is_commit)) == [
        ("u", "pt", None, {"id": 2, "region": "b", "v": "x"}),
        ("d", "pt", {"id": 1, "region": "a", "v": "<absent>"}, None),
        ("c", "pt", None, {"id": 1, "region": "b", "v": "one"}),
        ("c", "pt", None, {"id": 3, "region": "a", "v": "direct"}),
        ("t", "pt", None, None)]


def test_names(source, db, probes):
    name = 'T "q" \'s\' ü, ' + "x" * 30
    publication = 'Pub "q", \'s\''
    source.script(f'''
        CREATE SCHEMA "we ird";
        CREATE TABLE "we ird".{json_ident(name)} ("Col ""x""" int PRIMARY KEY, "a-b" int, a_b int, "A_B" int,
            "%s%d" text);
        INSERT INTO "we ird".{json_ident(name)} VALUES (1, 2, 3, 4, '%s');
        ''', db)
    p = probes(source, db, **{"publication.name": publication})
    rows = start(p)
    assert rows == [(name, {'Col "x"': 1, "a-b": 2, "a_b": 3, "A_B": 4, "%s%d": "%s"})]
    source.script(f'UPDATE "we ird".{json_ident(name)} SET a_b = 7', db)
    assert [c[3]["a_b"] for c in changes(p.poll_until(is_commit))] == [7]


def json_ident(name):
    return '"' + name.replace('"', '""') + '"'


def test_types_and_generated(source, db, probe):
    source.script("""
        CREATE TYPE mood AS ENUM ('sad', 'ok, then', 'happy');
        CREATE DOMAIN posint AS int CHECK (value > 0); CREATE DOMAIN pp AS posint;
        CREATE DOMAIN money2 AS numeric(10,2); CREATE DOMAIN ints AS int[];
        CREATE TABLE t(id pp PRIMARY KEY, m mood, n numeric(10,2), x numeric, ts timestamptz, arr int[],
            j jsonb, g int GENERATED ALWAYS AS (id * 2) STORED, b bytea, dm money2, da ints, gone int,
            i interval, f float8, mo money);
        ALTER TABLE t DROP gone;
        INSERT INTO t VALUES (1, 'ok, then', 1.5, 'NaN', '2024-02-29 10:00:00+01', '{1,2}', '{"a":1}',
            DEFAULT, '\\x00ff', 2.5, '{3}', '1 day 02:00', 0.30000000000000004, 12.5);
        ALTER DATABASE %s SET datestyle = 'sql, dmy';
        ALTER DATABASE %s SET timezone = 'Asia/Tokyo';
        ALTER DATABASE %s SET intervalstyle = 'iso_8601';
        ALTER DATABASE %s SET extra_float_digits = 0;
        ALTER DATABASE %s SET bytea_output = 'escape';
        """.replace("%s", db), db)
    [(_, copied)] = start(probe)
    source.sql("UPDATE t SET id = 2", db)
    [(_, _, _, streamed)] = changes(probe.poll_until(is_commit))
    assert "g" not in copied
    assert copied["ts"] == 762512400000000 and copied["f"] == 0.30000000000000004
    assert copied["i"] == "1 day 02:00:00" and copied["b"] == "hex:00ff" and copied["dm"] == "2.50"
    assert {**copied, "id": 2} == streamed


def test_chunks_cover_all_rows(source, db, probes):
    source.script("CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat('x', 500) "
                  "FROM generate_series(1, 3000) i; DELETE FROM t WHERE id % 7 = 0 AND id < 2000", db)
    p = probes(source, db, **{"snapshot.chunk.pages": 10})
    p("connect")
    p("prepare")
    p("point temporary")
    [t] = p("tables")
    assert t["chunks"] > 10
    source.script("INSERT INTO t SELECT i, 'late' FROM generate_series(3001, 4000) i; "
                  "UPDATE t SET v = 'late' WHERE id < 500", db)
    rows = p("load")
    assert sorted(r["after"]["id"] for r in rows) == [i for i in range(1, 3001)
                                                      if i % 7 or i >= 2000]
    assert not any(r["after"]["v"] == "late" for r in rows)
    p("close")
    assert source.sql("SELECT count(*) FROM pg_replication_slots WHERE database = %s", db, (db,)) == [(0,)]


def test_point_is_exact(source, db, probe):
    """A writer runs throughout: loaded rows and streamed rows together are each row once."""
    source.sql("CREATE TABLE t(id int PRIMARY KEY)", db)
    stop = threading.Event()
    written = []

    def write():
        with source.connect(db) as c:
            i = 0
            while not stop.is_set():
                i += 1
                c.execute("INSERT INTO t VALUES (%s)", (i,))
                written.append(i)

    probe("connect")
    probe("prepare")
    w = threading.Thread(target=write)
    w.start()
    time.sleep(0.3)
    position = probe("point durable")[0]["point"]
    probe("tables")
    time.sleep(0.3)
    loaded = [e["after"]["id"] for e in probe("load")]
    stop.set()
    w.join()
    source.sql("INSERT INTO t VALUES (-1)", db)
    probe("start " + position)
    events = probe.poll_until(lambda e: e.get("op") == "c" and e["after"]["id"] == -1)
    streamed = [a["id"] for _, _, _, a in changes(events)]
    assert sorted(loaded + streamed) == [-1] + written
    assert loaded and len(streamed) > 1


def test_column_list_and_row_filter(source, db, probes):
    source.script("""
        CREATE TABLE t(id int PRIMARY KEY, keep text, secret text);
        INSERT INTO t VALUES (1, 'a', 's'), (2, 'b', 's'), (3, 'c', 's');
        CREATE PUBLICATION mine FOR TABLE t (id, keep) WHERE (id <> 2) WITH (publish_via_partition_root = true);
        """, db)
    p = probes(source, db, **{"publication.name": "mine", "publication.autocreate.mode": "disabled"})
    assert start(p) == [("t", {"id": 1, "keep": "a"}), ("t", {"id": 3, "keep": "c"})]
    source.script("UPDATE t SET keep = 'z'", db)
    assert [c[3] for c in changes(p.poll_until(is_commit))] == [{"id": 1, "keep": "z"},
                                                               {"id": 3, "keep": "z"}]


# ------------------------------------------------------------------------------ schema changes

@pytest.mark.parametrize("ddl, why", [
    ("ALTER TABLE t ADD c int DEFAULT 7", "columns"),
    ("ALTER TABLE t RENAME v TO w", "renamed"),
    ("ALTER TABLE t ALTER v TYPE varchar(10)", "type"),
    ("ALTER TABLE t REPLICA IDENTITY FULL", "identity"),
    ("ALTER TABLE t RENAME TO t9", "renamed"),
    ("ALTER TABLE t DROP v", "columns"),
])
def test_altered(source, db, probe, ddl, why):
    """With an engine that takes no alterations: every one is a load."""
    source.script("CREATE TABLE t(id int PRIMARY KEY, v text); CREATE TABLE o(id int PRIMARY KEY)", db)
    probe("no-alter")
    start(probe)
    source.script(f"INSERT INTO t VALUES (1); {ddl}; INSERT INTO o VALUES (1)", db)
    events = probe.poll_until(lambda e: e.get("table", "").endswith(".o"))
    early = [e for e in events if "wants" in e]
    if "TYPE" not in ddl:  # that one rewrites rows: it may be noticed before a row comes
        assert not early, "no row came in the new shape yet"
    table = "t9" if "t9" in ddl else "t"
    source.script(f"INSERT INTO {table} VALUES (2); INSERT INTO {table} VALUES (3); "
                  "INSERT INTO o VALUES (2)", db)
    events = probe.poll_until(lambda e: e.get("table", "").endswith(".o"))
    asked = early + [e for e in events if "wants" in e]
    assert len(asked) == 1 and asked[0]["table"] == f"public.{table}"
    assert why in asked[0]["why"] or "rewritten" in asked[0]["why"]
    assert [c[1] for c in changes(events)] == ["o"]


def test_new_table(source, db, probes):
    source.script("CREATE TABLE t(id int PRIMARY KEY); CREATE PUBLICATION everything FOR ALL TABLES WITH "
                  "(publish_via_partition_root = true)", db)
    p = probes(source, db, **{"publication.name": "everything", "table.exclude.list": FENCE + ",public\\.no.*"})
    start(p)
    source.script("CREATE TABLE n(id int PRIMARY KEY); INSERT INTO n VALUES (1); INSERT INTO n VALUES (2); "
                  "CREATE TABLE nope(id int PRIMARY KEY); INSERT INTO nope VALUES (1); "
                  "CREATE SCHEMA penstock; CREATE TABLE penstock.x(id int PRIMARY KEY); "
                  "INSERT INTO penstock.x VALUES (1); INSERT INTO t VALUES (1)", db)
    events = p.poll_until(lambda e: e.get("op") == "c")
    assert [(e["table"], e["why"]) for e in events if "wants" in e] == [
        ("public.n", "table not known yet")]
    assert [c[1] for c in changes(events)] == ["t"]


def test_rewritten_under_the_point(source, db, probe):
    source.script("CREATE TABLE t(id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)", db)
    probe("connect")
    probe("prepare")
    probe("point temporary")
    probe("tables")
    source.script("ALTER TABLE t ALTER v TYPE int USING v * 10", db)
    e = probe.fails("load", "retry")
    assert e["table"] != 0 and "rewritten" in e["message"]
    probe("close")
    probe("point temporary")
    probe("tables")
    assert [r["after"]["v"] for r in probe("load")] == [10]
    source.script("ALTER TABLE t RENAME v TO w", db)
    assert "altered" in probe.fails("load", "retry")["message"]
    source.script("ALTER TABLE t RENAME w TO v; ALTER TABLE t RENAME TO t2", db)
    assert probe("load")
    source.script("DROP TABLE t2", db)
    assert "dropped" in probe.fails("load", "retry")["message"]


# ------------------------------------------------------------------------------- publications

def test_publication_grows(source, db, probes):
    source.script("CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int); CREATE UNLOGGED TABLE u(id int "
                  "PRIMARY KEY); CREATE TABLE d(id int, PRIMARY KEY (id) DEFERRABLE)", db)
    p = probes(source, db)
    p("connect")
    p("prepare")
    published = "SELECT tablename FROM pg_publication_tables WHERE pubname = %s ORDER BY 1"
    pub = f"penstock_{db}"
    assert source.sql(published, db, (pub,)) == [("a",)]
    source.script("ALTER TABLE b REPLICA IDENTITY FULL; CREATE TABLE c(id int PRIMARY KEY)", db)
    p("prepare")
    p("prepare")
    assert source.sql(published, db, (pub,)) == [("a",), ("b",), ("c",)]
    p("point temporary")
    tables = {t["table"]: t for t in p("tables")}
    assert set(tables) == {"public.a", "public.b", "public.c", "public.d"}
    assert "deferrable" in tables["public.d"]["refused"]
    assert 'ALTER TABLE "public"."d" REPLICA IDENTITY FULL' in tables["public.d"]["refused"]
    assert tables["public.b"]["keys"] == 0 and tables["public.b"]["refused"] is None


def test_publication_disabled(source, db, probes):
    source.script("CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY)", db)
    p = probes(source, db, **{"publication.autocreate.mode": "disabled"})
    p("connect")
    e = p.fails("prepare", "configuration")
    assert f'CREATE PUBLICATION "penstock_{db}" FOR TABLE "public"."a", "public"."b"' in e["hint"]
    source.script(f"CREATE PUBLICATION penstock_{db} FOR TABLE a WITH (publish = 'insert')", db)
    assert "publish = 'insert, update" in p.fails("prepare", "configuration")["hint"]
    source.script(f"ALTER PUBLICATION penstock_{db} SET (publish = 'insert, update, delete, truncate')", db)
    p("prepare")
    tables = {t["table"]: t["refused"] for t in p("plan")}
    assert tables["public.a"] is None and "ADD TABLE" in tables["public.b"]


def test_publication_split(source, db, probes):
    source.script("CREATE TABLE pt(id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE pt_1 PARTITION OF pt "
                  f"FOR VALUES FROM (0) TO (10); CREATE PUBLICATION penstock_{db} FOR ALL TABLES; "
                  "INSERT INTO pt VALUES (1)", db)
    p = probes(source, db)
    p("connect")
    assert "publish_via_partition_root" in p.fails("prepare", "configuration")["hint"]
    p = probes(source, db, **{"publication.autocreate.mode": "disabled"})
    assert start(p) == [("pt_1", {"id": 1})]
    source.sql("INSERT INTO pt VALUES (2)", db)
    assert [c[1] for c in changes(p.poll_until(is_commit))] == ["pt_1"]


def test_publication_dropped_while_streaming(source, db, probe):
    source.sql("CREATE TABLE t(id int PRIMARY KEY)", db)
    start(probe)
    probe("stop")
    source.script(f"DROP PUBLICATION penstock_{db}; INSERT INTO t VALUES (1)", db)
    mark = probe("mark")[0]
    probe("start " + mark["position"])
    e = probe.fails("poll 3000", "configuration")
    assert "publication" in e["message"] and "penstock remove" in e["hint"]


def test_partition_identity(source, db, probe):
    source.script("""
        CREATE TABLE pt(id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE pt_1 PARTITION OF pt FOR VALUES FROM (0) TO (10);
        ALTER TABLE pt REPLICA IDENTITY FULL;
        CREATE TABLE un(id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE UNLOGGED TABLE un_1 PARTITION OF un FOR VALUES FROM (0) TO (10);
        """, db)
    refused = {t["table"]: t["refused"] for t in probe("plan")}
    assert 'ALTER TABLE "public"."pt_1" REPLICA IDENTITY FULL' in refused["public.pt"]
    assert "unlogged" in refused["public.un"]


# --------------------------------------------------------------------------------------- slots

def test_mark(source, db, probe):
    source.sql("CREATE TABLE t(id int PRIMARY KEY)", db)
    assert probe("mark")[0]["mark"] == "missing"
    probe("drop")
    start(probe)
    mark = probe("mark")[0]
    assert mark["mark"] == "ready" and mark["pid"] > 0 and mark["retained"] >= 0
    assert "pid" in probe.fails("drop", "retry")["message"]
    probe("stop")
    assert probe.fails("point durable", "conflict")["hint"]
    harness.wait_for("slot is free", lambda: probe("mark")[0]["pid"] == 0)
    probe("drop")
    assert probe("mark")[0]["mark"] == "missing"
    e = probe.fails("start 0/1", "fatal")
    assert "gone" in e["message"]


@pytest.mark.parametrize("sql, text", [
    ("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", "test_decoding"),
    ("SELECT pg_create_physical_replication_slot(%s)", "physical"),
])
def test_foreign_slot(source, db, probe, sql, text):
    source.sql(sql, db, (f"penstock_{db}",))
    assert text in probe.fails("mark", "configuration")["message"]
    assert "slot.name" in probe.fails("drop", "configuration")["hint"]
    source.sql("SELECT pg_drop_replication_slot(%s)", db, (f"penstock_{db}",))


def test_slot_ahead_of_the_checkpoint(source, db, probe):
    source.sql("CREATE TABLE t(id int PRIMARY KEY)", db)
    start(probe)
    position = probe("mark")[0]["position"]
    probe("stop")
    source.sql("INSERT INTO t VALUES (1)", db)
    harness.wait_for("slot is free", lambda: probe("mark")[0]["pid"] == 0)
    source.sql("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", db, (f"penstock_{db}",))
    assert "since the checkpoint was read" in probe.fails("start " + position, "retry")["message"]


def test_slot_in_use(source, db, probes):
    source.sql("CREATE TABLE t(id int PRIMARY KEY)", db)
    first, second = probes(source, db), probes(source, db)
    start(first)
    position = first("mark")[0]["position"]
    second("connect")
    e = second.fails("start " + position, "retry")
    assert re.search(r"active for PID \d+", e["message"])


def test_blocked_point(source, db, probe):
    source.sql("CREATE TABLE t(id int PRIMARY KEY)", db)
    probe("connect")
    probe("prepare")
    with source.connect(db, autocommit=False) as c:
        c.execute("INSERT INTO t VALUES (1)")
        pid = c.info.backend_pid
        probe.send("point durable")
        harness.wait_for("the blocker is named", lambda: f"pid {pid} (postgres, idle in transaction"
                         in probe.log(), 20)
        os.kill(probe.process.pid, 10)
        probe.answer()
        assert probe.done["done"] == "retry" and "cancelled" in probe.done["message"]
        harness.wait_for("nothing is left", lambda: source.sql(
            "SELECT count(*) FROM pg_replication_slots WHERE database = %s", db, (db,)) == [(0,)], 10)


def test_lost_slot(run_folder, probes):
    server = harness.Postgres(max_slot_wal_keep_size="1MB", max_wal_size="32MB", min_wal_size="32MB")
    try:
        server.create("d")
        server.sql("CREATE TABLE t(id int PRIMARY KEY, v text)", "d")
        p = probes(server, "d")
        start(p)
        position = p("mark")[0]["position"]
        p("stop")
        harness.wait_for("slot is free", lambda: p("mark")[0]["pid"] == 0)
        for _ in range(6):
            server.sql("SELECT pg_switch_wal()", "d")
            server.sql("INSERT INTO t SELECT (random() * 1e9)::int, repeat('x', 1000) FROM "
                       "generate_series(1, 9000) ON CONFLICT DO NOTHING", "d")
            server.sql("CHECKPOINT", "d")
        mark = harness.wait_for("slot is lost", lambda: [m for m in p("mark") if m["mark"] == "lost"])[0]
        assert mark["why"]
        assert "penstock remove" in p.fails("start " + position, "fatal")["hint"]
        assert any(f["finding"] == "error" for f in p("check"))
    finally:
        server.stop()


# -------------------------------------------------------------------------------------- status

def test_acknowledges_only_what_it_is_told(source, db, probe):
    source.sql("CREATE TABLE t(id int PRIMARY KEY)", db)
    start(probe)
    before = probe("mark")[0]["position"]
    source.sql("INSERT INTO t VALUES (1)", db)
    commit = next(e["commit"] for e in probe.poll_until(is_commit) if "commit" in e)
    probe("poll 400")
    assert probe("mark")[0]["position"] == before
    probe("ack " + commit)
    probe("poll 300")
    assert probe("mark")[0]["position"] == commit
    probe("ack 0/1")
    probe("poll 300")
    assert probe("mark")[0]["position"] == commit


def test_idle_moves_on(source, db, probe):
    """Log that is not ours moves the position too, between transactions."""
    source.script("CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE o(id int)", db)
    start(probe)
    probe("autoack")
    before = probe("mark")[0]["position"]
    source.sql("INSERT INTO o SELECT generate_series(1, 1000)", db)
    events = probe.poll_until(lambda e: "idle" in e)
    assert not changes(events)
    harness.wait_for("the slot moves", lambda: probe("poll 100") is not None and
                     probe("mark")[0]["position"] != before, 10)


def test_replays_from_the_checkpoint(source, db, probe):
    source.sql("CREATE TABLE t(id int PRIMARY KEY)", db)
    start(probe)
    for i in range(3):
        source.sql(f"INSERT INTO t VALUES ({i})", db)
    events = probe.poll_until(lambda e: e.get("op") == "c" and e["after"]["id"] == 2)
    events += probe("poll 100")
    commits = [e["commit"] for e in events if "commit" in e]
    probe("stop")
    harness.wait_for("slot is free", lambda: probe("mark")[0]["pid"] == 0)
    probe("start " + commits[0])
    events = probe.poll_until(lambda e: e.get("op") == "c" and e["after"]["id"] == 2)
    assert [c[3]["id"] for c in changes(events)] == [1, 2]


def test_held_back(run_folder, probes):
    """With wal_sender_timeout 2 s and a server blocked in sending, ticks keep the connection."""
    server = harness.Postgres(wal_sender_timeout="'2s'")
    try:
        server.create("d")
        server.sql("CREATE TABLE t(id int PRIMARY KEY, v text)", "d")
        p = probes(server, "d")
        start(p)
        server.sql("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i", "d")
        p("quiet")
        p("hold 7000")
        total = 0
        end = time.monotonic() + 30
        while total < 50000 and time.monotonic() < end:
            p("poll 200")
            total += p.done["rows"]
        assert total == 50000
    finally:
        server.stop()


def test_connection_lost(source, db, probe):
    source.sql("CREATE TABLE t(id int PRIMARY KEY)", db)
    start(probe)
    position = probe("mark")[0]["position"]
    source.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s",
               db, (f"penstock_{db}",))
    e = probe.fails("poll 2000", "retry")
    assert e["sqlstate"] == "57P01"
    source.sql("INSERT INTO t VALUES (1)", db)
    source.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
               "'penstock:%%' AND datname = %s", db, (db,))
    probe.send("start " + position)  # the control connection is gone too: at most one retry
    probe.answer()
    if probe.done["done"] != "ok":
        assert probe.done["done"] == "retry"
        probe("start " + position)
    assert [c[3] for c in changes(probe.poll_until(is_commit))] == [{"id": 1}]


def test_server_shuts_down(run_folder, probes):
    server = harness.Postgres()
    try:
        server.create("d")
        server.sql("CREATE TABLE t(id int PRIMARY KEY)", "d")
        p = probes(server, "d")
        start(p)
        p("autoack")
        server.sql("INSERT INTO t VALUES (1)", "d")
        p.poll_until(is_commit)
        p.send("poll 20000")
        server.stop(timeout=15)
        p.answer()
        assert p.done["done"] == "retry"
        assert "connecting" in p.fails("connect", "retry")["message"]
    finally:
        server.stop()


# -------------------------------------------------------------------------------------- errors

def test_refused_connections(source, db, probes):
    port = harness.free_port()
    e = probes(source, db, **{"database.port": port}).fails("connect", "retry")
    assert "refused" in e["message"] and "database.hostname" in e["hint"]
    e = probes(source, "nodb").fails("connect", "configuration")
    assert e["sqlstate"] == "3D000" and "database.dbname" in e["hint"]
    e = probes(source, db, **{"database.user": "nobody_here"}).fails("connect", "configuration")
    assert e["sqlstate"].startswith("28")
    e = probes(source, db, **{"database.hostname": "/nowhere"}).fails("connect", "retry")
    assert "socket" in e["message"]


def test_silent_host(source, db, probes):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        p = probes(source, db, **{"database.port": s.getsockname()[1]})
        e = p.fails("connect", "retry")
        assert "no answer within 5 s" in e["message"] and e["ms"] < 6000


def test_password(run_folder, probes):
    server = harness.Postgres(password_encryption="scram-sha-256")
    try:
        server.sql("CREATE ROLE r LOGIN REPLICATION PASSWORD 'right'")
        with open(f"{server.dir}/data/pg_hba.conf", "w") as f:
            f.write("host all r 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
        server.sql("SELECT pg_reload_conf()")
        user = {"database.user": "r"}
        e = harness.wait_for("hba is in force", lambda: probes(server, "postgres", **user).fails(
            "connect", "configuration"))
        assert "database.password" in e["hint"]
        e = probes(server, "postgres", **user, **{"database.password": "wrong-secret"}).fails(
            "connect", "configuration")
        assert e["sqlstate"] == "28P01" and "wrong-secret" not in json.dumps(e)
        probes(server, "postgres", **user, **{"database.password": "right"})("connect")
    finally:
        server.stop()


def test_rights(source, db, probes):
    role = f"r_{db}"
    source.script(f"CREATE ROLE {role} LOGIN; CREATE TABLE t(id int PRIMARY KEY)", db)
    try:
        p = probes(source, db, **{"database.user": role})
        e = p.fails("connect", "configuration")
        assert f'ALTER ROLE "{role}" WITH REPLICATION' in e["hint"]
        stops = [f for f in p("check") if f["finding"] == "error"]
        assert any("may not replicate" in f["message"] for f in stops)
        assert any("CREATE PUBLICATION" in (f["fix"] or "") for f in stops)
        source.sql(f"ALTER ROLE {role} REPLICATION", db)
        p("connect")
        e = p.fails("prepare", "configuration")
        assert f'CREATE PUBLICATION "penstock_{db}" FOR TABLE "public"."t"' in e["hint"]
        source.script(f"CREATE PUBLICATION penstock_{db} FOR TABLE t WITH (publish_via_partition_root = true)",
                      db)
        p("prepare")
        p("point temporary")
        [t] = p("tables")
        assert f'GRANT SELECT ON "public"."t" TO "{role}"' in t["refused"]
        p("close")
        source.script(f"GRANT SELECT ON t TO {role}; ALTER TABLE t ENABLE ROW LEVEL SECURITY", db)
        p("point temporary")
        [t] = p("tables")
        assert "BYPASSRLS" in t["refused"]
    finally:
        source.script(f"DROP OWNED BY {role}; DROP ROLE {role}", db)


@pytest.mark.parametrize("conf, message, fix", [
    ({"wal_level": "replica"}, "wal_level is replica", "ALTER SYSTEM SET wal_level = logical"),
])
def test_server_settings(run_folder, probes, conf, message, fix):
    server = harness.Postgres(**conf)
    try:
        e = probes(server, "postgres").fails("connect", "configuration")
        assert message in e["message"] and fix in e["hint"]
        assert any(f["finding"] == "error" and message in f["message"]
                   for f in probes(server, "postgres")("check"))
    finally:
        server.stop()


def test_sql_ascii(source, probes):
    source.sql("CREATE DATABASE ascii_db ENCODING 'SQL_ASCII' TEMPLATE template0")
    try:
        assert "SQL_ASCII" in probes(source, "ascii_db").fails("connect", "configuration")["message"]
    finally:
        source.sql("DROP DATABASE ascii_db WITH (FORCE)")


def test_no_tables(source, db, probe):
    assert any("select no table" in f["message"] for f in probe("check"))
    assert probe("plan") == []
    start(probe)


@pytest.mark.parametrize("version", [14, 16, 17, 18])
def test_versions(run_folder, probes, version):
    try:
        server = harness.Postgres(version=version)
    except RuntimeError as e:
        pytest.skip(str(e))
    try:
        server.create("d")
        server.script("CREATE TABLE t(id int PRIMARY KEY, v text, g int GENERATED ALWAYS AS (id + 1) STORED); "
                      "INSERT INTO t VALUES (1, 'a')", "d")
        p = probes(server, "d")
        p("check")
        assert start(p) == [("t", {"id": 1, "v": "a"})]
        server.sql("UPDATE t SET v = 'b', id = 2", "d")
        assert [c[3] for c in changes(p.poll_until(is_commit))] == [{"id": 2, "v": "b"}]
        p("autoack")
        server.sql("CREATE TABLE o(id int)", "d")
        p("poll 500")
        assert p("mark")[0]["mark"] == "ready"
        if version >= 18:
            server.script("ALTER PUBLICATION penstock_d SET (publish_generated_columns = stored)", "d")
            p("stop")
            harness.wait_for("slot is free", lambda: p("mark")[0]["pid"] == 0)
            p("point temporary")
            [t] = [t for t in p("tables") if t["table"] == "public.t"]
            assert [c["name"] for c in t["columns"]] == ["id", "v", "g"]
            assert [r["after"] for r in p("load") if r["table"] == "public.t"] == [
                {"id": 2, "v": "b", "g": 3}]
    finally:
        server.stop()


# ---------------------------------------------------------- rows that change without an event

WATCHED = """
    CREATE TABLE t(id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1);
    CREATE TABLE other(id int PRIMARY KEY, v int);
    CREATE TABLE pt(id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
    CREATE TABLE pt_1 PARTITION OF pt FOR VALUES FROM (0) TO (10);
    CREATE TABLE pt_2 PARTITION OF pt FOR VALUES FROM (10) TO (20);
    INSERT INTO pt VALUES (1, 1), (11, 1);
    """


def wants(events):
    return [(e["table"], e["why"]) for e in events if "wants" in e]


@pytest.mark.parametrize("ddl, table, why", [
    ("ALTER TABLE t ALTER v TYPE int USING v * 10", "public.t", "rewritten"),
    ("TRUNCATE pt_1", "public.pt", "pt_1"),
    ("ALTER TABLE pt DETACH PARTITION pt_2", "public.pt", "detached"),
    ("DROP TABLE pt_2", "public.pt", "dropped"),
    ("CREATE TABLE a(id int PRIMARY KEY, v int); INSERT INTO a VALUES (21, 1); "
     "ALTER TABLE pt ATTACH PARTITION a FOR VALUES FROM (20) TO (30)", "public.pt", "attached"),
    ("ALTER PUBLICATION {pub} DROP TABLE t; ALTER PUBLICATION {pub} ADD TABLE t", "public.t",
     "publication"),
    ("ALTER TABLE pt_1 REPLICA IDENTITY NOTHING", "public.pt", "replica identity"),
    ("ALTER TABLE pt_1 SET UNLOGGED", "public.pt", "pt_1"),
])
@pytest.mark.parametrize("running", [True, False])
def test_watch(source, db, probe, ddl, table, why, running):
    """Noticed while the stream runs, and when it happened between the copy and the stream."""
    source.script(WATCHED, db)
    ddl = ddl.replace("{pub}", f"penstock_{db}")
    probe("connect")
    probe("prepare")
    position = probe("point durable")[0]["point"]
    probe("tables")
    probe("load")
    probe("close")
    if not running:
        source.script(ddl, db)
    probe("start " + position)
    if running:
        assert not wants(probe("poll 1000"))
        source.script(ddl, db)
    events = probe.poll_until(lambda e: "wants" in e, 15)
    events += probe("poll 300")
    assert [w[0] for w in wants(events)] == [table]
    assert why in wants(events)[0][1]


def test_watch_is_calm(source, db, probe):
    """What changes no row, or changes rows by events, wants no load."""
    source.script(WATCHED, db)
    start(probe)
    probe("poll 500")
    source.script("VACUUM FULL t", db)
    source.script("""
        CREATE INDEX ON other (v); TRUNCATE t; INSERT INTO t VALUES (5, 5); ANALYZE; CREATE INDEX ON t (v); CREATE INDEX ON pt (v);
        ALTER TABLE other ALTER v SET STATISTICS 10; GRANT SELECT ON pt_1 TO PUBLIC;
        CREATE TABLE pt_3 PARTITION OF pt FOR VALUES FROM (20) TO (30); INSERT INTO pt VALUES (21, 1);
        CREATE TABLE e(LIKE pt INCLUDING ALL); ALTER TABLE pt ATTACH PARTITION e FOR VALUES FROM (30) TO (40);
        INSERT INTO pt VALUES (31, 1);
        """, db)
    assert not wants(probe("poll 12000"))
    probe("stop")
    harness.wait_for("slot is free", lambda: probe("mark")[0]["pid"] == 0)
    probe("start " + probe("mark")[0]["position"])
    assert not wants(probe("poll 1500"))


@pytest.mark.parametrize("ddl, table", [
    ("ALTER TABLE t ALTER v TYPE int USING v * 10", "public.t"),
    ("TRUNCATE pt_1", "public.pt"),
    ("ALTER PUBLICATION {pub} DROP TABLE other", "public.other"),
    ("SELECT 1", None),
])
def test_watch_over_a_restart(source, db, probes, ddl, table):
    source.script(WATCHED, db)
    first, second = probes(source, db), probes(source, db)
    for p in (first, second):  # the second plays the next process: it has not seen the point
        p("connect")
    first("prepare")
    position = first("point durable")[0]["point"]
    first("tables")
    first("load")
    first("close")
    second("plan")  # the tables as the engine's books would have them
    source.script(ddl.replace("{pub}", f"penstock_{db}"), db)
    second("prepare")
    second("start " + position)
    events = second("poll 1500")
    assert [w[0] for w in wants(events)] == ([table] if table else [])


def test_lag(source, db, probe):
    """The end of the log is known although the server is busy sending."""
    source.sql("CREATE TABLE t(id int PRIMARY KEY, v text)", db)
    start(probe)
    position = probe("mark")[0]["position"]
    probe("poll 200")
    source.sql("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i", db)
    probe("quiet")
    harness.wait_for("lag is known", lambda: probe("poll 300") is not None and
                     probe("lag " + position)[0]["lag"] > 2000000, 15)
