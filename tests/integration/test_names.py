# SPDX-License-Identifier: Apache-2.0
"""Names that need quoting, collide, or are ours; surroundings that change what a careless program
reads: locale, time zone, libpq's environment, settings of databases and roles."""
import os
import uuid

import duckdb
import harness
import pytest
from both import Both
from harness import quote
from test_types import ARRAYS, SCALARS, TIMES, by_both_paths

ODD = ["a b", "a-b", "a_b", "a.b", "select", "FROM", "Order", 'q"uote', "it's", "żółw 🐢", "1st",
       "$x", "%s", "{brace}", "back\\slash", "tab\there", "new\nline", "x" * 63, "ż" * 31, " ", "-",
       "é", "ö", "a--b", "/*", "a;b", "漢字", "null", "true", "user"]
# Names inside our own statements.
ALIASES = ["d", "t", "s", "k1", "n", "m", "r", "i", "op", "_op", "_u", "_o1", "csn", "unavailable",
           "before", "after", "source", "rowid", "stage", "target", "value", "key", "ts_ms"]


def names(b, schema, table, columns, key="id"):
    """A table whose columns have these names: rows copied, inserted, updated, moved, deleted."""
    name = f"{quote(schema)}.{quote(table)}"
    cols = ", ".join(f"{quote(c)} text" for c in columns)
    n = len(columns)
    b.source.script(f"""CREATE SCHEMA IF NOT EXISTS {quote(schema)};
        CREATE TABLE {name} ({quote(key)} int PRIMARY KEY, {cols});
        INSERT INTO {name} SELECT i, {', '.join(f"'{i}'" for i in range(n))}
            FROM generate_series(1, 10) i""", b.db)

    def change():
        first = quote(columns[0])
        b.sql(f"INSERT INTO {name} SELECT i, {', '.join(f'{i} + i' for i in range(n))} "
              "FROM generate_series(100, 105) i",
              f"UPDATE {name} SET " + ", ".join(f"{quote(c)} = {quote(c)} || 'x'" for c in columns)
              + f" WHERE {quote(key)} % 2 = 0",
              f"UPDATE {name} SET {quote(key)} = -{quote(key)} WHERE {quote(key)} < 3",
              f"UPDATE {name} SET {first} = NULL WHERE {quote(key)} = 100",
              f"DELETE FROM {name} WHERE {quote(key)} IN (5, 102)")
    return f"{schema}.{table}", change


def test_names_that_need_quotes(both):
    b = both()
    made = [names(b, "public", "odd columns", ODD), names(b, "public", "aliases", ALIASES),
            names(b, "public", "x" * 63, ["v"], "k" * 63),
            names(b, 'My "Sch" żół', "select", ["v"], "FROM"),
            names(b, "public", "Odd \"Table\". 漢; DROP TABLE t; --", ["v"], "a key"),
            names(b, "main", "t", ["v"]), names(b, "s", "t.x", ["v"]),
            names(b, "public", "a b", ["v"]),
            names(b, "public", "a_b", ["v"]), names(b, "public", "a-b", ["v"]),
            names(b, "UPPER", "TABLE", ["Mixed", "COL"], "ID")]
    b.start().live(*[n for n, _ in made])
    for _, change in made:
        change()
    b.equal(*[n for n, _ in made])


def test_a_table_without_a_key_and_with_odd_names(both):
    b = both()
    cols = [c for c in ODD + ALIASES if c != "rowid"]
    b.source.script(f"""CREATE TABLE "No Key" ({', '.join(quote(c) + ' text' for c in cols)});
        ALTER TABLE "No Key" REPLICA IDENTITY FULL;
        INSERT INTO "No Key" SELECT {', '.join(f"'{i}'" for i in range(len(cols)))}
            FROM generate_series(1, 3)""", b.db)
    b.start().live("public.No Key")
    b.sql("""DELETE FROM "No Key" WHERE ctid = '(0,1)'""", """UPDATE "No Key" SET "select" = 'x'
        WHERE ctid = '(0,2)'""", """INSERT INTO "No Key" ("a b") VALUES ('n'), ('n')""")
    b.equal("public.No Key")


def test_two_tables_with_one_topic(both):
    """"s.t"."u" and "s"."t.u" would share PREFIX.s.t.u."""
    b = both()
    b.run("""CREATE SCHEMA "s.t"; CREATE SCHEMA s; CREATE TABLE "s.t".u (id int PRIMARY KEY, a text);
        CREATE TABLE s."t.u" (id int PRIMARY KEY, b text); CREATE TABLE "a b" (id int PRIMARY KEY);
        CREATE TABLE "a_b" (id int PRIMARY KEY); CREATE TABLE "a-b" (id int PRIMARY KEY);
        INSERT INTO "s.t".u VALUES (1, 'a'); INSERT INTO s."t.u" VALUES (1, 'b')""", "public.a b")
    b.sql("UPDATE \"s.t\".u SET a = 'aa'", "UPDATE s.\"t.u\" SET b = 'bb'",
          "INSERT INTO \"a b\" VALUES (1)", "INSERT INTO a_b VALUES (2)",
          "INSERT INTO \"a-b\" VALUES (3)")
    b.caught_up().stop()
    with duckdb.connect(b.duck, read_only=True) as c:
        for q, rows in (('"s.t".u', [(1, "aa")]), ('s."t.u"', [(1, "bb")]),
                        ('public."a b"', [(1,)]), ("public.a_b", [(2,)]),
                        ('public."a-b"', [(3,)])):
            assert c.execute("SELECT * EXCLUDE (_penstock_csn, _penstock_committed_at) FROM " + q
                             ).fetchall() == rows, q
            assert [r[:-2] for r in b.warehouse.sql("SELECT * FROM " + q, b.wdb)] == rows, q


@pytest.mark.parametrize("stem", ["public", "penstock", "shop", "temp", "main"])
def test_a_duckdb_file_named_like_a_schema(penstock, source, db, run_folder, stem):
    """DuckDB calls the database of shop.duckdb `shop`, and shop.orders may then be either."""
    path = os.path.join(run_folder, uuid.uuid4().hex[:8])
    os.mkdir(path)
    b = Both(penstock, source, db, None, None, f"{path}/{stem}.duckdb", kinds=["duckdb"])
    b.run("CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA shop; CREATE TABLE shop.t (id int "
          "PRIMARY KEY, v text); INSERT INTO shop.t VALUES (1, 'v')", "public.t", "shop.t")
    b.sql("INSERT INTO t VALUES (1)", "UPDATE shop.t SET v = 'w'").caught_up()
    b.restart().live("public.t", "shop.t").sql("INSERT INTO shop.t VALUES (2, 'x')")
    b.equal("public.t", "shop.t")


def test_a_schema_that_duckdb_keeps_for_itself_is_refused_there(both):
    b = both()
    b.run("CREATE SCHEMA temp; CREATE TABLE temp.t (id int PRIMARY KEY); CREATE SCHEMA system; "
          "CREATE TABLE system.t (id int PRIMARY KEY); CREATE TABLE ok (id int PRIMARY KEY)",
          "public.ok").wait_state("live", "temp.t", "system.t", kinds=["postgres"])
    for table in "temp.t", "system.t":
        assert "keeps this name" in b.tables("duckdb")[table]["reason"]
    b.sql("INSERT INTO temp.t VALUES (1)", "INSERT INTO ok VALUES (1)")
    b.equal_postgres("temp.t").equal("public.ok")


def test_names_that_differ_only_in_case(both):
    """DuckDB takes them for one: each keeps its rows there, under a name that /v1/tables tells."""
    b = both()
    b.run("""CREATE TABLE orders (id int PRIMARY KEY, a text, "A" text, "ID" int);
        CREATE TABLE "Orders" (id int PRIMARY KEY, v text);
        CREATE TABLE "ORDERS" (id int PRIMARY KEY, v text);
        INSERT INTO orders VALUES (1, 'low', 'up', 7); INSERT INTO "Orders" VALUES (2, 'Orders');
        INSERT INTO "ORDERS" VALUES (3, 'ORDERS')""",
          "public.orders", "public.Orders", "public.ORDERS")
    b.sql("UPDATE orders SET \"A\" = 'UP'", "INSERT INTO orders VALUES (2, 'l', 'u', 8)",
          "INSERT INTO \"Orders\" VALUES (4, 'more')", "DELETE FROM \"ORDERS\"",
          "INSERT INTO \"ORDERS\" VALUES (9, 'nine')")
    b.equal_postgres("public.orders", "public.Orders", "public.ORDERS")
    targets = {t: v["target"].split(".", 1)[1] for t, v in b.tables("duckdb").items()}
    assert targets["public.orders"] == "orders" and len(set(
        t.lower() for t in targets.values())) == 4, targets
    b.restart().live("public.orders", "public.Orders", "public.ORDERS")
    b.sql("UPDATE \"Orders\" SET v = v || '!'").caught_up().stop()
    with duckdb.connect(b.duck, read_only=True) as c:
        for table, row in (("orders", [(1, "low", "UP", 7), (2, "l", "u", 8)]),
                           ("Orders", [(2, "Orders!"), (4, "more!")]), ("ORDERS", [(9, "nine")])):
            assert c.execute("SELECT * EXCLUDE (_penstock_csn, _penstock_committed_at) FROM "
                             f"public.{quote(targets['public.' + table])} ORDER BY 1"
                             ).fetchall() == row


def test_columns_and_tables_named_like_ours_are_refused_with_the_reason(both):
    b = both()
    b.run("""CREATE TABLE t (id int PRIMARY KEY, _penstock_csn int); INSERT INTO t VALUES (1, 2);
        CREATE TABLE u (id int PRIMARY KEY, "_Penstock_anything" int);
        CREATE TABLE _penstock_load_1 (id int PRIMARY KEY);
        CREATE TABLE ok (id int PRIMARY KEY, penstock int, _penstoc int)""", "public.ok")
    for kind in b.kinds:
        for table, column in (("t", "_penstock_csn"), ("u", "_Penstock_anything"),
                              ("_penstock_load_1", "_penstock_load_1")):
            b.wait_state(b.state(kind, "public." + table), "public." + table, kinds=[kind])
            row = b.tables(kind)["public." + table]
            assert row["state"] in ("refused", "needs snapshot"), row
            assert column in row["reason"] and "reserved" in row["reason"], row
    b.sql("UPDATE t SET id = 2", "INSERT INTO ok VALUES (1, 2, 3)").equal("public.ok")


def test_a_keyless_table_with_a_column_rowid_goes_to_postgres_only(both):
    """DuckDB tells equal rows apart by a pseudo-column of that name."""
    b = both()
    b.run("CREATE TABLE t (rowid int); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES "
          "(1), (1); CREATE TABLE ok (rowid int PRIMARY KEY, v int)", "public.ok")
    assert "rowid" in b.tables("duckdb")["public.t"]["reason"]
    b.wait_state("live", "public.t", kinds=["postgres"]).sql(
        "DELETE FROM t WHERE ctid = '(0,1)'", "INSERT INTO ok VALUES (1, 1), (2, 2)",
        "UPDATE ok SET rowid = 3 WHERE rowid = 1").equal_postgres("public.t").equal("public.ok")


SURROUNDINGS = {
    "locale": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Tokyo"},
    "decimal comma": {"LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8", "TZ": "Asia/Kolkata"},
    "libpq": {"PGTZ": "Asia/Tokyo", "PGDATESTYLE": "SQL, DMY", "PGCLIENTENCODING": "LATIN1",
              "PGOPTIONS": "-c extra_float_digits=0 -c intervalstyle=iso_8601", "PGAPPNAME": "x",
              "PGUSER": "nobody", "PGDATABASE": "nowhere", "PGPORT": "1", "PGHOST": "/nowhere"},
}


@pytest.mark.parametrize("which", SURROUNDINGS)
def test_the_programs_environment_does_not_matter(both, which):
    by_both_paths(both, [c for c in SCALARS if not c[1].startswith("reg")][:30] + TIMES + ARRAYS[:8],
                  "CREATE TABLE \"INDEX_I\" (\"ID\" int PRIMARY KEY);", env=SURROUNDINGS[which])


def test_settings_of_databases_and_roles_do_not_matter(both, source, db, warehouse, wdb):
    for server, name in ((source, db), (warehouse, wdb)):
        for setting in ("datestyle = 'SQL, DMY'", "timezone = 'Asia/Tokyo'",
                        "intervalstyle = 'iso_8601'", "extra_float_digits = 0",
                        "bytea_output = 'escape'", "standard_conforming_strings = off",
                        "search_path = 'nowhere'", "lock_timeout = '1ms'", "client_encoding = 'LATIN1'",
                        "backslash_quote = off", "xmlbinary = 'hex'", "row_security = off",
                        "default_transaction_isolation = 'serializable'", "jit = off",
                        "idle_in_transaction_session_timeout = '5s'"):
            server.sql(f'ALTER DATABASE "{name}" SET {setting}')
    warehouse.sql(f'ALTER DATABASE "{wdb}" SET default_transaction_read_only = on')
    b = both()
    columns = [c for c in SCALARS if not c[1].startswith("reg")] + TIMES + ARRAYS
    # The test's own sessions have their own settings, too.
    b.source = Pinned(source)
    b.warehouse = Pinned(warehouse)
    by_both_paths(lambda **kw: b, columns)


class Pinned:
    """The server with sessions as the tests expect them."""

    def __init__(self, server):
        self.server = server

    def __getattr__(self, name):
        return getattr(self.server, name)

    def connect(self, db="postgres", **kw):
        kw.setdefault("autocommit", True)
        return harness.psycopg.connect(
            self.server.dsn(db), **kw,
            options=harness.GUCS + "public -c standard_conforming_strings=on "
            "-c default_transaction_read_only=off -c lock_timeout=0")

    def sql(self, query, db="postgres", params=None):
        with self.connect(db) as c:
            cur = c.execute(query, params)
            return cur.fetchall() if cur.description else cur.rowcount

    def script(self, text, db="postgres"):
        with self.connect(db) as c:
            c.execute(text)
