# SPDX-License-Identifier: Apache-2.0
"""Every type of PostgreSQL, with the values that break weak implementations, by both paths: rows
that are copied, rows that the log brings, and updates of either. Equal is byte for byte the
source's own output (both.py, harness.py)."""
import harness
import pytest

# One column each: name, type, its nasty values as SQL literals. A row is the n-th value of each
# column (the last one repeats), then rows of NULLs.
SCALARS = [
    ("b", "boolean", ["true", "false"]),
    ("i2", "smallint", ["-32768", "32767", "0"]),
    ("i4", "integer", ["-2147483648", "2147483647", "-1"]),
    ("i8", "bigint", ["-9223372036854775808", "9223372036854775807", "9007199254740993"]),
    ("o", "oid", ["4294967295", "0", "2147483648"]),
    ("x8", "xid8", ["'18446744073709551615'", "'0'"]),
    ("x", "xid", ["'4294967295'", "'3'"]),
    ("ci", "cid", ["'4294967295'"]),
    ("ti", "tid", ["'(4294967295,65535)'", "'(0,0)'"]),
    ("f4", "real", ["'-0'", "'NaN'", "'-Infinity'", "1e-45", "3.4028235e38", "0.1", "16777217",
                    "'Infinity'"]),
    ("f8", "double precision", ["'-0'", "'NaN'", "'Infinity'", "5e-324", "1e-320",
                                "1.7976931348623157e308", "0.1::float8 + 0.2", "'-Infinity'",
                                "9007199254740993"]),
    ("n10", "numeric(10,2)", ["-99999999.99", "0.00", "1.5", "-0.01"]),
    ("n38", "numeric(38,10)", ["9999999999999999999999999999.9999999999",
                               "-9999999999999999999999999999.9999999999", "0.0000000001"]),
    ("n18", "numeric(18,0)", ["999999999999999999", "-999999999999999999"]),
    ("n50", "numeric(50,20)", ["-123456789012345678901234567890.12345678901234567890", "0"]),
    ("n1000", "numeric(1000,500)", ["(repeat('9', 500) || '.' || repeat('1', 500))::numeric"]),
    ("n", "numeric", ["'NaN'", "'Infinity'", "'-Infinity'", "repeat('1234567890', 20)::numeric",
                      "1e-16383", "1.0", "1.000", "0", "-0.0", "1e131071",
                      "('0.' || repeat('0', 100) || '7')::numeric"]),
    ("nneg", "numeric(5,-2)", ["12345", "-9999900", "49"]),
    ("nsmall", "numeric(3,5)", ["0.00123", "-0.00999", "0"]),
    ("m", "money", ["'-$1,234.56'", "'92233720368547758.07'", "'-92233720368547758.08'", "'0'",
                    "'-$0.01'", "'$999'", "'$1,000'"]),
    ("t", "text", ["''", "E'\\\\N'", "E'\\\\.'", "E'a\\tb\\nc\\rd\\\\e\\bf\\fg\\vh'", "'NULL'",
                   "'\"quoted\" ''single'' $$dollar$$'", "'; DROP TABLE t; --'", "E'\\x01\\x7f'",
                   "' leading and trailing '", "E'\\\\'", "E'\\n'", "'{\"a\": 1}'", "'\\x00'"]),
    ("v", "varchar(40)", ["''", "'é̈ żółw 漢字 🐢'", "'  '"]),
    ("c", "char(6)", ["'ab'", "''", "'żółw'", "' x'"]),
    ("bp", "bpchar", ["'ab  '", "''"]),
    ("ch", "\"char\"", ["'a'", "''", '(-61)::"char"', '(-128)::"char"', '(-1)::"char"', "'\\'",
                        "E'\\t'", "E'\\n'"]),
    ("na", "name", ["'ab'", "repeat('n', 63)", "'Mixed Case'", "''"]),
    ("by", "bytea", ["''", "'\\x00'", "'\\xff00ff'", "E'\\\\\\\\134'",
                     "(SELECT string_agg(set_byte('\\x00', 0, i), '' ORDER BY i) FROM "
                     "generate_series(0, 255) i)"]),
    ("u", "uuid", ["'00000000-0000-0000-0000-000000000000'",
                   "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
                   "'80000000-0000-0000-0000-000000000001'"]),
    ("x1", "xml", ["'<a b=\"c\">ż &amp; <![CDATA[x]]></a>'", "'text only'", "''"]),
    ("b1", "bit(1)", ["B'1'", "B'0'"]),
    ("b8", "bit(8)", ["B'00000001'", "B'10000000'", "B'00000000'"]),
    ("b70", "bit(70)", ["repeat('0', 69)::bit(69)::bit(70)", "(repeat('10', 35))::bit(70)",
                        "(repeat('0', 69) || '1')::bit(70)"]),
    ("vb", "bit varying", ["B''", "B'0'", "B'0001'", "repeat('01', 100)::varbit"]),
    ("vb5", "bit varying(5)", ["B''", "B'00000'", "B'101'"]),
    ("ine", "inet", ["'10.0.0.1/8'", "'::1'", "'10.0.0.1'", "'::ffff:1.2.3.4/96'",
                     "'2001:db8::/32'"]),
    ("cid_", "cidr", ["'10.0.0.0/8'", "'::/0'", "'10.0.0.1/32'"]),
    ("ma", "macaddr", ["'08:00:2b:01:02:03'", "'ff:ff:ff:ff:ff:ff'"]),
    ("ma8", "macaddr8", ["'08:00:2b:01:02:03:04:05'"]),
    ("pt", "point", ["'(0.1,-0)'", "'(1e300,NaN)'", "'(Infinity,-Infinity)'"]),
    ("li", "line", ["'{1,-1,0.1}'"]),
    ("ls", "lseg", ["'[(0,0),(1.5,1e-300)]'"]),
    ("bx", "box", ["'(1,1),(0,0)'"]),
    ("pa", "path", ["'[(0,0),(1,1)]'", "'((0,0),(1,1),(2,0.1))'"]),
    ("po", "polygon", ["'((0,0),(1,1),(2,0))'"]),
    ("ci_", "circle", ["'<(0.1,0.2),3>'"]),
    ("ts", "tsvector", ["'''a'':1A ''b c'':2,3B'", "''", "$$'it''s' '\\\\'$$"]),
    ("tq", "tsquery", ["'''a'' & !''b'' | ''c'':*A'", "''", "'a <-> b'"]),
    ("jp", "jsonpath", ["'$.a[*] ? (@.b > 1)'", "'lax $.\"a b\"'", "'strict $'"]),
    ("lsn", "pg_lsn", ["'FFFFFFFF/FFFFFFFF'", "'0/0'"]),
    ("txs", "txid_snapshot", ["'10:20:10,14,15'"]),
    ("pgs", "pg_snapshot", ["'1:1:'"]),
    ("rc", "regclass", ["'pg_catalog.pg_class'", "0", "'\"Odd name\"'", "4000000000"]),
    ("rt", "regtype", ["'integer'", "'timestamp with time zone'", "'\"odd type\"'"]),
    ("rp", "regproc", ["'pg_catalog.now'", "0"]),
    ("rpr", "regprocedure", ["'pg_catalog.lower(text)'"]),
    ("rop", "regoperator", ["'pg_catalog.+(integer,integer)'"]),
    ("rn", "regnamespace", ["'pg_catalog'", "'\"Odd schema\"'"]),
    ("rr", "regrole", ["'postgres'"]),
    ("rco", "regcollation", ["'pg_catalog.\"C\"'"]),
    ("rcf", "regconfig", ["'pg_catalog.english'"]),
    ("rd", "regdictionary", ["'pg_catalog.simple'"]),
]
TIMES = [
    ("d", "date", ["'4714-11-24 BC'", "'5874897-12-31'", "'0001-01-01'", "'0001-12-31 BC'",
                   "'1969-12-31'", "'infinity'", "'-infinity'", "'2024-02-29'", "'0044-03-15 BC'"]),
    ("t6", "time", ["'24:00:00'", "'23:59:59.999999'", "'00:00:00'", "'00:00:00.000001'"]),
    ("t0", "time(0)", ["'24:00:00'", "'23:59:59.999999'", "'12:34:56.5'"]),
    ("tz", "timetz", ["'24:00:00-15:59:59'", "'00:00:00+15:59'", "'12:00:00.000001+05:30'",
                      "'00:00:00Z'"]),
    ("ts6", "timestamp", ["'4713-01-01 00:00:00 BC'", "'infinity'", "'-infinity'",
                          "'1969-12-31 23:59:59.999999'", "'0001-12-31 23:59:59.9 BC'",
                          "'294246-12-31 23:59:59.999999'", "'2024-02-29 23:59:60'",
                          "'4714-11-24 00:00:00 BC'", "'10000-01-01'"]),
    ("ts3", "timestamp(3)", ["'2024-01-01 00:00:00.9996'", "'1900-01-01 00:00:00.001'"]),
    ("tsz", "timestamptz", ["'4713-01-01 00:00:00+00 BC'", "'infinity'", "'-infinity'",
                            "'2024-06-01 12:00:00+05:30'", "'1883-11-18 12:03:57-04:56:02'",
                            "'294246-12-31 23:59:59.999999+00'", "'0001-01-01 00:00:00+15:59'",
                            "'287397-01-01 00:00:00.123456+00'"]),
    ("iv", "interval", ["'-1 mons +1 day -00:00:01.5'", "'178000000 years'", "'-178000000 years'",
                        "'0'", "'1 year -1 mon 40 days 25:01:01.000001'", "'-1 day'",
                        "'2147483647 days'", "'2562047788 hours'", "'-00:00:00.000001'"]),
    ("ivd", "interval day to second(3)", ["'1 day 00:00:00.1239'", "'-1 day'"]),
    ("ivy", "interval year to month", ["'1 year 2 mons'"]),
    ("ivs", "interval second(0)", ["'1.5'"]),
]
JSON = [
    ("j", "json", ["'null'", "'{ \"b\":1,  \"a\" : 2, \"b\":1 }'", "'1e400'", "'\"\\u0000\"'", "'[]'",
                   "'0.10'", "'-0'", "'\"\"'", "(repeat('[', 500) || repeat(']', 500))::json",
                   "'\"\\ud83d\\udc22 é\"'", "E' \\n\\t{}'"]),
    ("jb", "jsonb", ["'null'", "'1e400'", "'{\"b\":1,\"a\":{\"\":[]}, \"b\": 2}'", "'0.10'",
                     "'12345678901234567890123.4567890'", "'\"é\\n\\\"\\\\\"'", "'[null, true]'"]),
]
ARRAYS = [
    ("ai", "int[]", ["'{}'", "'[0:1]={7,8}'", "'{{1,2},{3,NULL}}'", "'{NULL}'", "'{1,2,3}'",
                     "'[-2:-1][5:5]={{1},{2}}'"]),
    ("at", "text[]", ["ARRAY[NULL, 'NULL', '', 'a,b', 'q\"x', '\\', '{}', 'null']",
                      "ARRAY[E'\\n\\t', 'é 🐢', ' ']", "'{}'"]),
    ("ab", "box[]", ["'{(1,1),(0,0);(2,2),(0,0)}'"]),
    ("aby", "bytea[]", ["ARRAY['\\x00ff', NULL, '']::bytea[]"]),
    ("af", "float8[]", ["ARRAY['-0', 'NaN', 0.1, '-Infinity', 1e-320]::float8[]"]),
    ("an", "numeric(10,2)[]", ["ARRAY[1.5, 'NaN', NULL]::numeric(10,2)[]"]),
    ("atz", "timestamptz[]", ["ARRAY['infinity', '2024-06-01 12:00:00+05:30', "
                              "'4713-01-01 BC']::timestamptz[]"]),
    ("aj", "jsonb[]", ["ARRAY['null', '{\"a\": \"b,c\"}', NULL]::jsonb[]"]),
    ("av", "varchar(5)[]", ["ARRAY['a b', NULL]"]),
    ("ac", "char(3)[]", ["ARRAY['a', 'b']"]),
    ("abo", "boolean[]", ["'{t,f,NULL}'"]),
    ("aiv", "interval[]", ["'{\"1 day -01:00:00\"}'"]),
    ("am", "money[]", ["'{\"$1,234.56\"}'"]),
    ("ir", "int4range", ["'[1,4]'", "'empty'", "'(,)'", "'[5,)'"]),
    ("nr", "numrange", ["'(1.0,2.50]'", "'empty'"]),
    ("tr", "tstzrange", ["'[2024-01-01 00:00:00+01,infinity]'", "'[\"-infinity\",)'"]),
    ("dr", "daterange", ["'[2024-01-01,2024-01-31]'"]),
    ("tsr", "tsrange", ["'(,2024-01-01)'"]),
    ("i8r", "int8range", ["'[-9223372036854775808,9223372036854775807)'"]),
    ("mr", "int4multirange", ["'{[1,3),[5,7)}'", "'{}'", "'{(,1),[9,)}'"]),
    ("tmr", "tstzmultirange", ["'{[2024-01-01 00:00:00+00,2024-01-02 00:00:00+00)}'"]),
    ("ar", "int4range[]", ["'{\"[1,5)\",empty,NULL}'"]),
]
OWN_TYPES = """
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube;
CREATE EXTENSION isn; CREATE EXTENSION seg;
CREATE SCHEMA own;
CREATE TYPE own.mood AS ENUM ('sad', 'so, so', 'it''s "ok"', '', 'żółw 🐢', ' ');
CREATE TYPE "Odd Enum" AS ENUM ('x');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN own.price AS numeric(10,2);
CREATE DOMAIN own.dear AS own.price CHECK (VALUE > 100);
CREATE DOMAIN ints AS int[];
CREATE DOMAIN moods AS own.mood[];
CREATE DOMAIN feeling AS own.mood;
CREATE DOMAIN short AS varchar(10);
CREATE DOMAIN stamp AS timestamptz(3);
CREATE TYPE own.pair AS (n int, t text, f float8);
CREATE TYPE deep AS (p own.pair, ps own.pair[], m own.mood);
CREATE DOMAIN pairs AS own.pair;
CREATE TYPE floatrange AS RANGE (subtype = float8, multirange_type_name = floatranges);
"""
OWN = [
    ("e", "own.mood", ["'sad'", "'so, so'", "'it''s \"ok\"'", "''", "'żółw 🐢'", "' '"]),
    ("eo", "\"Odd Enum\"", ["'x'"]),
    ("ea", "own.mood[]", ["ARRAY['so, so', NULL, '', 'it''s \"ok\"']::own.mood[]", "'{}'"]),
    ("dp", "positive", ["2147483647", "1"]),
    ("dpa", "positive[]", ["'{1,NULL}'"]),
    ("dn", "own.price", ["99999999.99", "-1.5", "0"]),
    ("dd", "own.dear", ["100.01"]),
    ("da", "ints", ["'[0:1]={7,8}'", "'{}'"]),
    ("dm", "moods", ["'{sad,\"so, so\"}'"]),
    ("df", "feeling", ["'sad'"]),
    ("dv", "short", ["'a b'", "''"]),
    ("dt", "stamp", ["'2024-01-01 00:00:00.1234+00'", "'infinity'"]),
    ("cp", "own.pair", ["ROW(1, 'a,b', 'NaN')::own.pair", "ROW(NULL, '', NULL)::own.pair", "ROW(NULL, NULL, NULL)::own.pair",
                        "ROW(2, 'q\"\\ ()', '-0')::own.pair"]),
    ("cd", "deep", ["ROW(ROW(1, 'x', 0.1)::own.pair, ARRAY[ROW(2, 'y,\"z', NULL)::own.pair], "
                    "'so, so')::deep"]),
    ("dc", "pairs", ["ROW(1, 'x', 2)::own.pair"]),
    ("ca", "own.pair[]", ["ARRAY[ROW(1, 'a', 1)::own.pair, NULL]"]),
    ("fr", "floatrange", ["'[0.1,0.3)'", "'empty'"]),
    ("fm", "floatranges", ["'{[1,2),(3,)}'"]),
    ("hs", "hstore", ["'\"a\"=>NULL, \"b\"=>\"\", \"c d\"=>\"e\\\"f\"'", "''"]),
    ("ct", "citext", ["'MiXed'", "''"]),
    ("lt", "ltree", ["'Top.Science.Astronomy'", "''"]),
    ("lq", "lquery", ["'*.Science{2,}.!a'"]),
    ("cu", "cube", ["'(1,2),(3,4.5)'"]),
    ("isb", "isbn", ["'978-0-393-04002-9'"]),
    ("se", "seg", ["'1.50 .. 2.5'"]),
]


def rows(columns, first):
    """INSERT of the nasty rows and of a row of NULLs, with ids from `first`."""
    n = max(len(values) for _, _, values in columns)
    out = []
    for i in range(n):
        values = ", ".join(f"{v[min(i, len(v) - 1)]}" for _, _, v in columns)
        out.append(f"INSERT INTO t SELECT {first + i}, {values};")
    out.append(f"INSERT INTO t (id) VALUES ({first + n});")
    return "\n".join(out), n + 1


def by_both_paths(both, columns, before="", **kw):
    """Nasty rows copied; the same inserted; copied and inserted ones moved around by updates:
    each to the values of the row before it, NULLs to values, values to NULLs; keys changed; all
    deleted and inserted anew."""
    for kind_of_key in ("id int PRIMARY KEY", "id int"):
        before += f"""
        CREATE TABLE {'t' if 'PRIMARY' in kind_of_key else 'u'} ({kind_of_key}, {', '.join(
            f'{n} {t}' for n, t, _ in columns)});"""
    names = [n for n, _, _ in columns]
    copied, n = rows(columns, 0)
    streamed, _ = rows(columns, 1000)
    everything = ", ".join(names)
    b = both(**kw).run(
        f"{before}\nALTER TABLE u REPLICA IDENTITY FULL;\n{copied}\nINSERT INTO u SELECT * FROM t;",
        "public.t", "public.u")
    for table in "t", "u":
        b.sql((streamed if table == "t" else "INSERT INTO u SELECT * FROM t WHERE id >= 1000"))
    for table in "t", "u":
        b.sql(f"INSERT INTO {table} SELECT id + 2000, {everything} FROM {table}",
              # A copied row and a streamed one take the values of their neighbours.
              f"UPDATE {table} SET ({everything}) = (SELECT {everything} FROM {table} o WHERE "
              f"o.id = CASE WHEN {table}.id % 1000 = 0 THEN {table}.id + {n - 1} ELSE "
              f"{table}.id - 1 END) WHERE id < 2000",
              f"UPDATE {table} SET {names[0]} = {names[0]} WHERE id < 1000",
              f"UPDATE {table} SET id = id + 10000 WHERE id BETWEEN 2000 AND 2003",
              f"DELETE FROM {table} WHERE id IN (1, 1001, 3001)")
    return b.equal("public.t", "public.u")


def test_scalar_types(both):
    by_both_paths(both, SCALARS, """CREATE TABLE "Odd name" (id int PRIMARY KEY);
        CREATE SCHEMA "Odd schema"; CREATE DOMAIN "odd type" AS int;""")


def test_dates_times_and_intervals(both):
    by_both_paths(both, TIMES)


def test_json_is_kept_as_it_is_written(both):
    by_both_paths(both, JSON)


def test_arrays_and_ranges_keep_their_shape(both):
    by_both_paths(both, ARRAYS)


def test_enums_domains_composites_and_extensions(both):
    by_both_paths(both, OWN, OWN_TYPES)


def test_every_byte_and_every_plane_of_unicode(both):
    """bytea of all bytes and pairs; text with characters of every plane, the edges of every length
    in UTF-8, and noncharacters."""
    both_ = both().run("""
        CREATE TABLE t (id serial PRIMARY KEY, b bytea, s text, v varchar, j jsonb, a text[]);
        CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS $$
            INSERT INTO t (b) SELECT set_byte(set_byte('\\x0000', 0, i), 1, 255 - i)
                FROM generate_series(0, 255) i;
            INSERT INTO t (s, v, j, a) SELECT chr(i), 'x' || chr(i), to_jsonb(chr(i)),
                ARRAY[chr(i), chr(i) || ','] FROM generate_series(1, 255) i;
            INSERT INTO t (s, v, j, a) SELECT c, c || c, to_jsonb(c), ARRAY[c] FROM (
                SELECT chr(p * 65536 + o) c FROM generate_series(0, 16) p, unnest(ARRAY[
                    127, 128, 2047, 2048, 55295, 57344, 64976, 65533, 65534, 65535]) o
                WHERE p * 65536 + o > 0) x;
        $$;
        SELECT fill();""", "public.t")
    both_.sql("SELECT fill()", "UPDATE t SET s = s || v, v = s WHERE id % 2 = 0",
              "UPDATE t SET b = b || b WHERE id % 3 = 0").equal("public.t")


def test_long_values_out_of_line_and_compressed(both):
    both().run("""
        CREATE TABLE t (id int PRIMARY KEY, n int, e text STORAGE EXTERNAL, x text, b bytea);
        """.replace(" STORAGE EXTERNAL", "") + """
        ALTER TABLE t ALTER e SET STORAGE EXTERNAL;
        INSERT INTO t SELECT i, i, repeat(md5(i::text), 300), repeat('x', 90000),
            decode(repeat(md5(i::text), 2000), 'hex') FROM generate_series(1, 5) i;
        INSERT INTO t VALUES (6, 6, repeat(E'\\\\N\\n', 2000000), NULL, NULL);""",
               "public.t").sql(
        "INSERT INTO t SELECT i + 10, i, e, x, b FROM t, generate_series(1, 3) i WHERE id < 4 AND "
        "i = id",
        "UPDATE t SET n = n + 1", "UPDATE t SET x = x || 'y' WHERE id % 2 = 0",
        "UPDATE t SET b = b || b WHERE id = 3",
        "INSERT INTO t VALUES (20, 1, repeat('ż', 3000000), repeat('a', 100), NULL)"
    ).equal("public.t")


# What DuckDB's column cannot hold: the column, its value, and what the reason must say of it.
OVERFLOWS = [
    ("n numeric(10,2)", "'NaN'", r'"n".*NaN'),
    ("d timestamp", "'294276-12-31 23:59:59.999999'", r'"d".*TIMESTAMP'),
    ("d timestamptz", "'294276-12-31 23:59:59.999999+00'", r'"d".*TIMESTAMP'),
]


@pytest.mark.parametrize("column, value, says", OVERFLOWS, ids=["nan", "timestamp", "timestamptz"])
def test_a_value_that_duckdb_cannot_hold_stops_its_table_only(both, column, value, says):
    """By copy (c), by the log (s); others go on; Postgres holds all of them. With the cause gone,
    a restart loads the table."""
    b = both()
    b.run(f"""CREATE TABLE c (id int PRIMARY KEY, {column}); CREATE TABLE s (LIKE c INCLUDING ALL);
        CREATE TABLE other (id int PRIMARY KEY);
        INSERT INTO c VALUES (1, NULL), (2, {value}); INSERT INTO s VALUES (1, NULL);""",
          "public.other")
    b.reason("duckdb", "public.c", says).reason("duckdb", "public.c", r"value\.overflow\.mode")
    b.wait_state("live", "public.s")
    b.sql(f"INSERT INTO s VALUES (2, {value})", "INSERT INTO other VALUES (1)")
    b.reason("duckdb", "public.s", says).reason("duckdb", "public.s", r"value\.overflow\.mode")
    b.sql("INSERT INTO c VALUES (3, NULL)", "INSERT INTO s VALUES (3, NULL)",
          "INSERT INTO other VALUES (2)")
    b.wait_state("live", "public.c", "public.s", kinds=["postgres"]).live("public.other")
    b.equal_postgres("public.c", "public.s", "public.other")
    b.sql("DELETE FROM c WHERE id = 2", "DELETE FROM s WHERE id = 2",
          "INSERT INTO other VALUES (3)")
    b.restart().live("public.c", "public.s", "public.other")
    b.sql("INSERT INTO c VALUES (4, NULL)").equal("public.c", "public.s", "public.other")


def test_a_value_that_duckdb_cannot_hold_becomes_null_if_asked(both):
    b = both(kinds=["duckdb"], sink={"value.overflow.mode": "null"})
    b.run("""CREATE TABLE t (id int PRIMARY KEY, n numeric(10,2), d timestamp, z timestamptz);
        INSERT INTO t VALUES (1, 'NaN', '294276-12-31', '294276-12-31+00'), (2, 1, 'now', 'now');
        """, "public.t")
    b.sql("INSERT INTO t VALUES (3, 'NaN', '294276-12-31', '294276-12-31+00')",
          "UPDATE t SET n = 'NaN' WHERE id = 2").caught_up().live("public.t")
    assert b.metric("penstock_values_nulled_total") == 7
    b.stop()  # what was stored is what this makes of the source's rows
    b.sql("UPDATE t SET n = NULL WHERE n = 'NaN'",
          "UPDATE t SET d = NULL, z = NULL WHERE d > '290000-01-01'")
    harness.assert_equal_duckdb(b.source, b.db, b.duck, "public.t")


def test_numbers_and_times_of_any_size_in_keys(both):
    """Key columns of many types, composite, with values whose texts differ though they are equal
    in some engine."""
    keys = {"i": ("bigint", ["-9223372036854775808", "9223372036854775807"]),
            "n": ("numeric", ["1e-300", "1e300", "'NaN'", "'Infinity'", "123.4500"]),
            "ts": ("timestamp", ["'infinity'", "'4713-01-01 BC'", "'2024-01-01 00:00:00.000001'"]),
            "tz": ("timestamptz", ["'-infinity'", "'2024-01-01 00:00:00.5+05'"]),
            "d": ("date", ["'infinity'", "'5874897-12-31'", "'0001-01-01 BC'"]),
            "iv": ("interval", ["'1 mon'", "'2 days 24:00:00'", "'-1 day'"]),
            "by": ("bytea", ["''", "'\\x00'", "'\\x0000ff'"]),
            "te": ("text", ["''", "' '", "'é'", "E'e\\u0301'", "'É'"]),
            "ch": ("char(4)", ["'a'", "''", "'ab'"]),
            "u": ("uuid", ["'ffffffff-0000-0000-0000-000000000000'"]),
            "b": ("boolean", ["true", "false"]),
            "a": ("int[]", ["'{}'", "'[0:0]={1}'", "'{1}'", "'{NULL}'"]),
            "ine": ("inet", ["'10.0.0.1/8'", "'10.0.0.1'"]),
            "bi": ("bit(3)", ["B'000'", "B'001'"]),
            "r": ("int4range", ["'empty'", "'[1,2)'"]),
            "m": ("money", ["'-$1,000.00'", "'$0.00'"]),
            "o": ("oid", ["4294967295"]),
            "t": ("time", ["'24:00:00'", "'00:00:00'"])}
    script, changes, names = "", [], []
    for k, (type_, values) in keys.items():
        names.append("public.k_" + k)
        script += f"CREATE TABLE k_{k} (k {type_} PRIMARY KEY, v int, w text);\n"
        for i, v in enumerate(values):
            if i % 2 == 0:
                script += f"INSERT INTO k_{k} VALUES ({v}, {i}, 'w');\n"
            else:
                changes.append(f"INSERT INTO k_{k} VALUES ({v}, {i}, 'w')")
        changes.append(f"UPDATE k_{k} SET v = v + 10")
        changes.append(f"DELETE FROM k_{k} WHERE v = 11; "
                       f"INSERT INTO k_{k} SELECT {values[-1]}, 99, 'again' ON CONFLICT DO NOTHING")
        changes.append(f"DELETE FROM k_{k} WHERE k = CAST({values[0]} AS {type_}); "
                       f"INSERT INTO k_{k} VALUES ({values[0]}, 7, 'back')")
    both().run(script, *names).sql(*changes).equal(*names)
