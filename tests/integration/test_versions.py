# SPDX-License-Identifier: Apache-2.0
"""Every server version that is supported, as source into DuckDB and, once each, as warehouse."""
import uuid

import harness
import psycopg
import pytest
from both import Both

VERSIONS = [14, 16, 17, 18]  # 15 is what all other tests run on
SCRIPT = """
CREATE TABLE t (id int PRIMARY KEY, n int, big text, c "char", f float8, z timestamptz, a int[],
    d numeric, j jsonb, b bytea, i interval, ch char(5), g int GENERATED ALWAYS AS (n * 2) STORED);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
CREATE TABLE u (v text, n int); ALTER TABLE u REPLICA IDENTITY FULL;
CREATE TABLE p (id int, r int, v text, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p DEFAULT;
CREATE TABLE w (id int PRIMARY KEY);
INSERT INTO t SELECT i, i, repeat(md5(i::text), 300), (array['a', (-61)::"char", ''])[1 + i % 3], 0.1 + i,
    '2024-06-01 12:00:00+05:30', '[0:1]={7,8}', 1.10, '{"a": 1e400}', '\\xff00', '-1 mons +1 day', 'x'
    FROM generate_series(1, 300) i;
INSERT INTO u SELECT 'same', i % 3 FROM generate_series(1, 9) i;
INSERT INTO p SELECT i, i % 3, 'v' FROM generate_series(1, 30) i;
INSERT INTO w SELECT generate_series(1, 10);
"""
TABLES = ["public.t", "public.u", "public.p", "public.w"]


@pytest.fixture
def version_db(servers):
    """A database at a server of that version."""
    made = []

    def make(version, role="source"):
        server = servers.get(f"{role}{version}", version=version)
        name = "d" + uuid.uuid4().hex[:10]
        server.create(name) if role == "source" else server.sql(f"CREATE DATABASE {name}")
        made.append((server, name))
        return server, name
    yield make
    for server, name in made:
        for slot, pid in server.sql("SELECT slot_name, active_pid FROM pg_replication_slots WHERE "
                                    "database = %s", "postgres", (name,)):
            if pid:
                server.sql("SELECT pg_terminate_backend(%s)", "postgres", (pid,))
            harness.wait_for("slot dropped", lambda s=server, x=slot, n=name: s.sql(
                "SELECT pg_drop_replication_slot(%s)", n, (x,)) is not None, 10)
        server.sql(f"DROP DATABASE {name} WITH (FORCE)")


def change(b, n):
    b.sql(f"INSERT INTO t SELECT id + {n}, n, big, c, f, z, a, d, j, b, i, ch FROM t WHERE id < 20",
          "UPDATE t SET n = n + 1 WHERE id % 2 = 0", "UPDATE t SET c = (-1)::\"char\" WHERE id % 50 = 0",
          f"UPDATE t SET id = id + {n} + 5000 WHERE id BETWEEN 30 AND 40",
          "DELETE FROM t WHERE id % 17 = 0",
          "DELETE FROM u WHERE ctid IN (SELECT ctid FROM u WHERE n = 1 LIMIT 1)",
          "UPDATE u SET n = 5 WHERE ctid IN (SELECT ctid FROM u LIMIT 2)",
          "UPDATE p SET r = r + 1 WHERE id % 5 = 0",
          f"BEGIN; INSERT INTO w VALUES ({n}); TRUNCATE w; INSERT INTO w VALUES ({n + 1}), "
          f"({n + 2}); SAVEPOINT s; INSERT INTO w VALUES (0); ROLLBACK TO s; COMMIT")


def run(b):
    b.run(SCRIPT, *TABLES)
    change(b, 1000)
    b.caught_up().p.kill9()
    change(b, 2000)
    b.start().live(*TABLES)
    change(b, 3000)
    b.equal(*TABLES)


@pytest.mark.parametrize("version", VERSIONS)
def test_source(version_db, penstock, duck, version):
    server, db = version_db(version)
    run(Both(penstock, server, db, None, None, duck, kinds=["duckdb"]))


@pytest.mark.parametrize("version", [16, 18])
def test_warehouse(version_db, penstock, source, db, version):
    """From 15 into 16, from 15 into 18, from 18 into 16: types that only one of them knows."""
    warehouse, wdb = version_db(version, "warehouse")
    run(Both(penstock, source, db, warehouse, wdb, None, kinds=["postgres"]))


def test_interval_infinity(version_db, penstock, warehouse, wdb, duck):
    """17 and later: neither DuckDB nor PostgreSQL 15 can hold it."""
    server, db = version_db(17)
    b = Both(penstock, server, db, warehouse, wdb, duck)
    b.run("""CREATE TABLE t (id int PRIMARY KEY, i interval); INSERT INTO t VALUES (1, '1 day');
        CREATE TABLE ok (id int PRIMARY KEY)""", "public.t", "public.ok")
    b.sql("INSERT INTO t VALUES (2, '-infinity')", "INSERT INTO ok VALUES (1)")
    for kind in b.kinds:
        b.reason(kind, "public.t", '"i".*infin')
    b.equal("public.ok")


def test_generated_columns_that_are_published(version_db, penstock, warehouse, wdb, duck):
    """18: stored ones where the publication says so; virtual ones never."""
    server, db = version_db(18)
    mine = {"publication.name": "mine", "publication.autocreate.mode": "disabled"}
    b = Both(penstock, server, db, warehouse, wdb, duck, settings=mine)
    b.run("""CREATE TABLE t (id int PRIMARY KEY, n int, g int GENERATED ALWAYS AS (n * 2) STORED,
            v int GENERATED ALWAYS AS (n * 3) VIRTUAL);
        INSERT INTO t SELECT i, i FROM generate_series(1, 5) i;
        CREATE PUBLICATION mine FOR TABLE t, fence WITH (publish_generated_columns = stored)""",
          "public.t")
    b.sql("UPDATE t SET n = n + 1 WHERE id < 3", "INSERT INTO t VALUES (9, 9)").caught_up()
    assert warehouse.sql("SELECT id, n, g FROM t ORDER BY id", wdb) == server.sql(
        "SELECT id, n, g FROM t ORDER BY id", db)
    with pytest.raises(psycopg.errors.UndefinedColumn):
        warehouse.sql("SELECT v FROM t", wdb)
