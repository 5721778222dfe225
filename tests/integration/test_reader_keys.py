# SPDX-License-Identifier: Apache-2.0
"""The Postgres source reads rows by key: keys that one point showed, looked up as of another."""
import psycopg
import pytest
from harness import wait_for
from test_source_postgres import probe, probes, program  # noqa: F401 (fixtures)
from test_types import ARRAYS, JSON, OWN, OWN_TYPES, SCALARS, TIMES

# Types that no primary key can be made of: they have no order.
NO_KEY = {"x", "ci", "x1", "pt", "li", "ls", "bx", "pa", "po", "ci_", "jp", "txs", "pgs", "j", "lq"}
NO_EQUALITY = {"ab"}  # box[]: an index takes one row of it
NAMES = {"rc", "rt", "rp", "rpr", "rop", "rn", "rr", "rco", "rcf", "rd"}


def at_point(p, command):
    """At a point of its own."""
    p("point temporary")
    p("tables")
    try:
        return p(command)
    finally:
        p("close")


def remembered(p):
    """Connected; every row that is there now is remembered."""
    p("connect")
    p("prepare")
    at_point(p, "remember")


def rows_of(events):
    """table -> its rows, each as sorted text."""
    out = {}
    for e in events:
        assert e["op"] == "r"
        out.setdefault(e["table"], []).append(repr(sorted(e["after"].items(), key=repr)))
    return {t: sorted(rows) for t, rows in out.items()}


def rows(events, table="public.t"):
    return [e["after"] for e in events if e["table"] == table]


def make_types(server, db):
    """A table k_NAME keyed by each type that can be a key, of its nasty values."""
    server.script(OWN_TYPES + 'CREATE TABLE "Odd name" (); CREATE SCHEMA "Odd schema"; CREATE DOMAIN '
                  '"odd type" AS int;', db)
    made, not_made = set(), set()
    with server.connect(db) as c:
        for name, type_, values in SCALARS + TIMES + JSON + ARRAYS + OWN:
            try:
                c.execute(f"CREATE TABLE k_{name} (k {type_} PRIMARY KEY, v int)")
            except psycopg.errors.UndefinedObject:
                not_made.add(name)
                continue
            except psycopg.errors.InvalidParameterValue:  # before 15
                assert name in ("nneg", "nsmall")
                continue
            made.add(name)
            for i, v in enumerate(values):
                try:  # what an index cannot hold is no key
                    c.execute(f"INSERT INTO k_{name} SELECT x, {i} FROM (SELECT CAST({v} AS {type_}) "
                              "x) y WHERE pg_column_size(x) < 2000 ON CONFLICT DO NOTHING")
                except psycopg.errors.IntervalFieldOverflow:  # before 15
                    assert "hours" in v
    return made, not_made


@pytest.mark.parametrize("version", [None, 14, 16, 18])
def test_keys_of_every_type(servers, probes, version):  # noqa: F811
    server = servers.get("source" if version is None else f"source{version}", version=version)
    db = f"keys{version or ''}"
    server.create(db)
    try:
        made, not_made = make_types(server, db)
        assert not_made == NO_KEY
        excluded = ",".join(f"public\\.k_{n}" for n in NAMES | NO_EQUALITY) + ',public\\.fence,public\\.Odd name'
        p = probes(server, db, **{"table.exclude.list": excluded})
        remembered(p)
        loaded = rows_of(at_point(p, "load"))
        by_key = rows_of(at_point(p, "keys"))
        assert set(by_key) == {f"public.k_{n}" for n in made - NAMES - NO_EQUALITY}
        for table in loaded:
            assert by_key[table] == loaded[table]
        assert sum(map(len, loaded.values())) > 250
        # None of them is found by a key of another row.
        for n in made - NAMES - NO_EQUALITY:
            server.sql(f"DELETE FROM k_{n} WHERE v % 2 = 0", db)
        assert rows_of(at_point(p, "keys")) == rows_of(at_point(p, "load"))
        p.close()
    finally:
        server.sql(f"DROP DATABASE {db} WITH (FORCE)")


def test_names_are_no_keys_to_look_up_by(source, db, probe):  # noqa: F811
    source.script("CREATE TABLE x (); CREATE TABLE t (k regclass PRIMARY KEY, v int); "
                  "INSERT INTO t VALUES ('x', 1); CREATE TABLE a (k regtype[] PRIMARY KEY)", db)
    remembered(probe)
    source.script("ALTER TABLE x RENAME TO y; CREATE TABLE x ()", db)
    probe("point temporary")
    probe("tables")
    e = probe.fails("keys", "data")
    assert "key column k (regclass)" in e["message"] and e["reload"]
    assert e["table"] == source.sql("SELECT 't'::regclass::oid::int", db)[0][0]


def test_a_type_without_equality(source, db, probe):  # noqa: F811
    source.script("CREATE TABLE t (k box[] PRIMARY KEY); INSERT INTO t VALUES ('{(1,1),(0,0)}')", db)
    remembered(probe)
    probe("point temporary")
    probe("tables")
    e = probe.fails("keys", "data")
    assert e["sqlstate"] == "42883" and e["reload"] and e["table"] > 0


def test_rows_as_of_the_point(source, db, probe):  # noqa: F811
    """Missing keys bring none; changed rows are those of the point; new rows nobody asked for."""
    source.script("""CREATE TABLE t (id int PRIMARY KEY, v text, big text);
        ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
        INSERT INTO t SELECT i, 'v' || i, repeat('x', 5000) FROM generate_series(1, 600) i;
        CREATE TABLE empty (id int PRIMARY KEY); INSERT INTO empty VALUES (1), (2)""", db)
    remembered(probe)
    source.script("DELETE FROM t WHERE id % 3 = 0; UPDATE t SET v = 'new', big = NULL WHERE id = 1; "
                  "UPDATE t SET id = 10000 WHERE id = 2; INSERT INTO t VALUES (3, 'again', ''), "
                  "(20000, 'x', ''); DELETE FROM empty", db)
    probe("point temporary")
    source.script("DELETE FROM t WHERE id > 300; UPDATE t SET v = 'later'; INSERT INTO empty VALUES "
                  "(1)", db)
    probe("tables")
    got = {r["id"]: (r["v"], r["big"]) for r in rows(probe("keys"))}
    want = {i: (f"v{i}", "x" * 5000) for i in range(4, 601) if i % 3}
    assert got == {**want, 1: ("new", None), 3: ("again", "")}
    assert probe.done["rows"] == len(got)
    assert probe.done["ms"] < 5000


def test_composite_keys_and_odd_names(source, db, probe):  # noqa: F811
    """A key in another order than the columns, of a name that must be quoted; and a key that is an
    index of the replica identity."""
    source.script("""CREATE TABLE "T ""q" ("v;" int, "b" timestamptz, "Sel ect" text, d numeric,
            PRIMARY KEY ("Sel ect", d, b));
        INSERT INTO "T ""q" SELECT i, d, t, n FROM unnest(ARRAY['', 'it''s', 'a\\', 'é 🐢']) t,
            unnest(ARRAY['infinity', '0044-03-15 12:00:00.5+00 BC', '2024-01-01']::timestamptz[]) d,
            unnest(ARRAY[1.0, 1e30, 'NaN']) n, generate_series(7, 7) i;
        CREATE TABLE r (a int NOT NULL, k uuid NOT NULL, v text); CREATE UNIQUE INDEX rk ON r (k, a);
        ALTER TABLE r REPLICA IDENTITY USING INDEX rk;
        INSERT INTO r SELECT i, gen_random_uuid(), 'v' FROM generate_series(1, 10) i""", db)
    remembered(probe)
    loaded = rows_of(at_point(probe, "load"))
    assert len(loaded['public.T "q']) == 36 and len(loaded["public.r"]) == 10
    assert rows_of(at_point(probe, "keys")) == loaded
    source.script('''DELETE FROM "T ""q" WHERE d = 1; UPDATE r SET a = a + 100 WHERE a < 5''', db)
    kept = rows_of(at_point(probe, "keys"))
    assert len(kept['public.T "q']) == 24 and len(kept["public.r"]) == 6


PARTITIONED = """CREATE TABLE t (id int, r int, v text, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
    CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
    CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2) PARTITION BY RANGE (id);
    CREATE TABLE t2a (v text, r int NOT NULL, id int NOT NULL); ALTER TABLE t2 ATTACH PARTITION t2a
        FOR VALUES FROM (0) TO (50);
    CREATE TABLE t2b PARTITION OF t2 DEFAULT;
    CREATE TABLE tx (LIKE t INCLUDING ALL);
    INSERT INTO t SELECT i, 1 + i % 2, 'v' || i FROM generate_series(1, 100) i;
    INSERT INTO tx VALUES (500, 3, 'outside');"""


def test_partitioned_tables(source, db, probe):  # noqa: F811
    source.script(PARTITIONED, db)
    remembered(probe)
    assert len(rows(at_point(probe, "keys"))) == 100
    source.script("DELETE FROM t WHERE id = 1; UPDATE t SET r = 1 WHERE id = 99", db)
    got = rows(at_point(probe, "keys"))
    assert {r["id"] for r in got} == set(range(2, 101)) - {99}  # it has another key
    assert len(got) == 98


@pytest.mark.parametrize("change, why", [
    ("TRUNCATE t2a", "rewritten"),
    ("VACUUM FULL t1", "rewritten"),
    ("ALTER TABLE t ATTACH PARTITION tx FOR VALUES IN (3)", "given other partitions"),
    ("ALTER TABLE t2 DETACH PARTITION t2b", "given other partitions"),
    ("ALTER TABLE t2 DETACH PARTITION t2b CONCURRENTLY", "given other partitions"),
    ("DROP TABLE t1", "given other partitions"),
    ("CREATE TABLE t9 PARTITION OF t FOR VALUES IN (9)", "given other partitions"),
    ("ALTER TABLE t RENAME v TO w", "altered"),
    ("DROP TABLE t", "dropped"),
], ids=lambda x: x.replace(" ", "_")[:30])
def test_partitions_that_change_under_the_point(source, db, probe, change, why):  # noqa: F811
    source.script(PARTITIONED if "t2b" not in change else PARTITIONED.replace("DEFAULT", "FOR VALUES "
                  "FROM (50) TO (1000)"), db)
    oid = source.sql("SELECT 't'::regclass::oid::int", db)[0][0]
    remembered(probe)
    probe("point temporary")
    probe("tables")
    assert len(rows(probe("keys"))) == 100
    source.script(change, db)
    e = probe.fails("keys", "retry")
    assert why in e["message"] and e["table"] == oid


@pytest.mark.parametrize("change, why", [
    ("ALTER TABLE t ALTER v TYPE text USING v || '!'", "rewritten"),
    ("VACUUM FULL t", "rewritten"),
    ("TRUNCATE t", "rewritten"),
    ("ALTER TABLE t RENAME v TO w", "altered"),
    ("ALTER TABLE t ALTER n TYPE bigint", "rewritten"),
    ("ALTER TABLE t ALTER c TYPE varchar(20)", "altered"),
    ("DROP TABLE t", "dropped"),
], ids=lambda x: x.replace(" ", "_")[:30])
def test_a_table_that_changes_under_the_point(source, db, probe, change, why):  # noqa: F811
    source.script("CREATE TABLE t (id int PRIMARY KEY, v text, n int, c varchar(10)); INSERT INTO t "
                  "VALUES (1, 'a', 1, 'c')", db)
    oid = source.sql("SELECT 't'::regclass::oid::int", db)[0][0]
    remembered(probe)
    probe("point temporary")
    probe("tables")
    assert len(rows(probe("keys"))) == 1
    source.script(change, db)
    e = probe.fails("keys", "retry")
    assert why in e["message"] and e["table"] == oid and "public.t" in e["message"]


def test_a_renamed_table_is_read_under_its_new_name(source, db, probe):  # noqa: F811
    source.script("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", db)
    remembered(probe)
    probe("point temporary")
    probe("tables")
    source.script("ALTER TABLE t RENAME TO u; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t "
                  "VALUES (1), (2)", db)
    assert rows(probe("keys")) == [{"id": 1}]


def test_a_label_that_has_another_name_now(source, db, probe):  # noqa: F811
    source.script("CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE t (k mood PRIMARY KEY); INSERT "
                  "INTO t VALUES ('a')", db)
    remembered(probe)
    source.script("ALTER TYPE mood RENAME VALUE 'a' TO 'c'", db)
    probe("point temporary")
    probe("tables")
    e = probe.fails("keys", "data")
    assert e["sqlstate"] == "22P02" and e["reload"] and e["table"] > 0
    source.script("ALTER TYPE mood RENAME VALUE 'c' TO 'a'", db)
    assert rows(probe("keys")) == [{"k": "a"}]  # the session before is gone, the reader is not


def test_the_row_filter_counts(source, db, probes):  # noqa: F811
    source.script("""CREATE TABLE t (id int PRIMARY KEY, v int);
        CREATE TABLE p (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
        INSERT INTO t SELECT i, i FROM generate_series(1, 10) i; INSERT INTO p SELECT * FROM t;
        CREATE PUBLICATION mine FOR TABLE t WHERE (id < 5 OR id > 8), p WHERE (id <> 3)
            WITH (publish_via_partition_root = true)""", db)
    p = probes(source, db, **{"publication.name": "mine", "publication.autocreate.mode": "disabled"})
    remembered(p)
    source.script("ALTER PUBLICATION mine SET TABLE t WHERE (id > 3), p WHERE (id < 3)", db)
    got = at_point(p, "keys")
    assert [r["id"] for r in rows(got)] == [4, 9, 10]
    assert [r["id"] for r in rows(got, "public.p")] == [1, 2]


def test_an_index_answers(source, db, probe):  # noqa: F811
    """Also where the type's equality is not in pg_catalog."""
    source.script("CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE TYPE moods AS ENUM (" +
                  ", ".join(f"'m{i}'" for i in range(1, 20001)) + "); CREATE DOMAIN mood AS moods", db)
    keys = {"i": ("bigint", "i"), "c": ("citext", "'Key' || i"), "l": ("ltree", "('a.b' || i)::ltree"),
            "m": ("mood", "('m' || i)::mood"), "v": ("varchar(20)", "'k' || i"), "n": ("numeric(20,3)", "i")}
    for n, (type_, value) in keys.items():
        source.script(f"CREATE TABLE {n} (k {type_} PRIMARY KEY, w int); INSERT INTO {n} SELECT "
                      f"{value}, i FROM generate_series(1, 50) i", db)
    source.script("CREATE TABLE p (k int, r int, PRIMARY KEY (k, r)) PARTITION BY HASH (k); " + "".join(
        f"CREATE TABLE p{i} PARTITION OF p FOR VALUES WITH (MODULUS 4, REMAINDER {i});"
        for i in range(4)) + "INSERT INTO p SELECT i, i FROM generate_series(1, 50) i", db)
    remembered(probe)
    for n, (_, value) in keys.items():
        source.script(f"INSERT INTO {n} SELECT {value}, i FROM generate_series(51, 20000) i; ANALYZE "
                      f"{n}", db)
    source.script("INSERT INTO p SELECT i, i FROM generate_series(51, 40000) i; ANALYZE p", db)
    probe("point temporary")
    probe("tables")

    def scans():
        return source.sql("SELECT relname, seq_tup_read, idx_tup_fetch FROM pg_stat_user_tables WHERE "
                          "relname <> 'fence' ORDER BY 1", db)
    before = {n: (s, i) for n, s, i in scans()}
    assert len(rows_of(probe("keys"))) == len(keys) + 1 and probe.done["rows"] == 50 * (len(keys) + 1)
    tables = set(keys) | {f"p{i}" for i in range(4)}
    wait_for("the readings are counted", lambda: sum(
        i - before[n][1] for n, _, i in scans() if n in tables) == 50 * (len(keys) + 1), 10)
    assert [(n, s - before[n][0]) for n, s, _ in scans() if s != before[n][0] and n in tables] == []
