# SPDX-License-Identifier: Apache-2.0
"""Tables that are altered while the Postgres source streams them, or before it comes to their rows:
what is told of each alteration, and that what cannot be proven is loaded again."""
import threading

import pytest

import harness
from test_source_postgres import (changes, is_commit, probe, probes, program,  # noqa: F401
                                  start, wants)


def copy(p):
    """Everything but the stream: returns where it is to start."""
    p("connect")
    p("prepare")
    position = p("point durable")[0]["point"]
    p("tables")
    p("load")
    p("close")
    return position


def story(events):
    """Rows and alterations in order: rows as they are after, alterations as where columns come
    from, with the fill of those that are new."""
    out = []
    for e in events:
        if "alter" in e:
            columns = [c["name"] for c in e["columns"]]
            out.append({c: e["fill"][c] if f is None and c in e["fill"] else (f,)
                        for c, f in zip(columns, e["from"])})
        elif "op" in e and e["op"] != "r":
            out.append(e["after"] if e["after"] is not None else e["op"])
    return out


def alters(events):
    return [e for e in events if "alter" in e]


def until_fence(source, db, p):
    """All that comes before a row of a table that is not altered."""
    source.sql("INSERT INTO o DEFAULT VALUES", db)
    events = p.poll_until(lambda e: e.get("table", "").endswith(".o"), 30)
    return [e for e in events if not e.get("table", "").endswith(".o")]


FENCE_TABLE = "CREATE TABLE o(id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);"


@pytest.fixture(params=["live", "behind"])
def run(request, source, db, probe):  # noqa: F811
    """run(setup, *scripts): the events that the scripts make, while the stream follows each, or
    when it starts after all of them."""
    def go(setup, *scripts, p=probe):
        source.script(FENCE_TABLE + setup, db)
        position = copy(p)
        events = []
        if request.param == "live":
            p("start " + position)
            p("poll 100")
        for s in scripts:
            source.script(s, db)
            if request.param == "live":
                events += until_fence(source, db, p)
        if request.param == "behind":
            p("start " + position)
            events += until_fence(source, db, p)
        return events

    go.live = request.param == "live"
    return go


T = "CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a');"
SAME = {"id": ("id",), "v": ("v",)}


# -------------------------------------------------------------------------------- one at a time

def test_added_column_is_null_in_older_rows(run):
    events = run(T, "ALTER TABLE t ADD c int; INSERT INTO t VALUES (2, 'b', 7)")
    assert story(events) == [{**SAME, "c": None}, {"id": 2, "v": "b", "c": 7}]
    [a] = alters(events)
    assert (a["was"], a["natts"], a["identity"]) == (2, 3, "d")
    assert [(c["name"], c["field"], c["attnum"], c["nullable"]) for c in a["columns"]] == [
        ("id", "id", 1, False), ("v", "v", 2, True), ("c", "c", 3, True)]
    assert not wants(events)


@pytest.mark.parametrize("type_, default, fill", [
    ("int", "7", 7),
    ("text", "$$it's \\ \"q\" {a,b}$$", "it's \\ \"q\" {a,b}"),
    ("text", "''", ""),
    ("text", "'NULL'", "NULL"),
    ("timestamptz", "'2024-02-29 10:00:00+01'", 762512400000000),
    ("timestamptz", "now()", None),  # some time, the same for all
    ("numeric(10,2)", "1.5", "1.50"),
    ("numeric", "'NaN'", "NaN"),
    ("int[]", "'{1,NULL,3}'", "{1,NULL,3}"),
    ("text[]", "ARRAY['a b', 'q\"x', 'NULL', NULL]", '{"a b","q\\"x","NULL",NULL}'),
    ("bytea", "'\\x00ff'", "hex:00ff"),
    ("boolean", "true", True),
    ("char(4)", "'ab'", "ab  "),
    ("date", "'infinity'", 2147483647),
    ("uuid", "'00000000-0000-0000-0000-00000000000a'", "00000000-0000-0000-0000-00000000000a"),
    ("jsonb", "'{\"a\": [1, \"b\"]}'", '{"a": [1, "b"]}'),
    ("box[]", "'{(1,1),(0,0);(2,2),(0,0)}'", "{(1,1),(0,0);(2,2),(0,0)}"),
    ("mood", "'ok, then'", "ok, then"),
    ("posint", "3", 3),
])
def test_added_column_with_default_has_it_in_older_rows(source, db, probe, type_, default,  # noqa: F811
                                                        fill):
    source.script(FENCE_TABLE + T + "CREATE TYPE mood AS ENUM ('sad', 'ok, then'); "
                  "CREATE DOMAIN posint AS int", db)
    start(probe)
    source.script(f"ALTER TABLE t ADD c {type_} DEFAULT {default}; ALTER TABLE t ALTER c DROP DEFAULT; "
                  "INSERT INTO t VALUES (2)", db)
    events = until_fence(source, db, probe)
    [a] = alters(events)
    if fill is None:
        micros = source.sql("SELECT (extract(epoch FROM c) * 1000000)::bigint - 946684800000000 FROM t "
                            "WHERE id = 1", db)[0][0]
        assert a["fill"] == {"c": micros}
    else:
        assert a["fill"] == {"c": fill}
    assert story(events)[1:] == [{"id": 2, "v": None, "c": None}]
    assert not wants(events)


def test_added_not_null_column_says_so(run):
    events = run(T, "ALTER TABLE t ADD c int NOT NULL DEFAULT 7; INSERT INTO t VALUES (2, 'b', 8)")
    [a] = alters(events)
    c = a["columns"][2]
    assert (c["nullable"], c["def"], a["fill"]) == (False, "7", {"c": 7})
    assert story(events)[1:] == [{"id": 2, "v": "b", "c": 8}]


def test_null_in_a_column_that_was_not_null_loosens_it(run):
    """No message says DROP NOT NULL; nor that a column was nullable at first."""
    events = run("CREATE TABLE t(id int PRIMARY KEY, v text NOT NULL); INSERT INTO t VALUES (1, 'a');",
                 "ALTER TABLE t ALTER v DROP NOT NULL; INSERT INTO t VALUES (2, 'b'); "
                 "INSERT INTO t VALUES (3, NULL); INSERT INTO t VALUES (4, 'c')",
                 "ALTER TABLE t ADD c int DEFAULT 7; INSERT INTO t VALUES (5, NULL, NULL)",
                 "UPDATE t SET c = 1, v = 'x' WHERE v IS NULL; ALTER TABLE t ALTER v SET NOT NULL; "
                 "UPDATE t SET c = 7 WHERE c IS NULL; ALTER TABLE t ALTER c SET NOT NULL; INSERT INTO t VALUES (6, 'd', 8)")
    assert not wants(events)
    assert [e for e in story(events) if "id" in e and not isinstance(e["id"], tuple)] == [
        {"id": 2, "v": "b"}, {"id": 3, "v": None}, {"id": 4, "v": "c"},
        {"id": 5, "v": None, "c": None}, {"id": 3, "v": "x", "c": 1}, {"id": 5, "v": "x", "c": 1}, {"id": 6, "v": "d", "c": 8}]
    nullable = [[c["nullable"] for c in a["columns"]] for a in alters(events)]
    assert nullable[0] == [False, True]
    assert nullable[-1] == [False, True, True]


def test_dropped(run):
    events = run(T, "ALTER TABLE t DROP v; INSERT INTO t VALUES (2)")
    assert story(events) == [{"id": ("id",)}, {"id": 2}]
    assert alters(events)[0]["natts"] == 2
    assert not wants(events)


def test_renamed(run):
    events = run(T, "ALTER TABLE t RENAME v TO w; UPDATE t SET w = 'b'")
    assert story(events) == [{"id": ("id",), "w": ("v",)}, {"id": 1, "w": "b"}]
    assert not wants(events)


def test_renamed_key(run):
    events = run(T, "ALTER TABLE t RENAME id TO key; DELETE FROM t")
    [a] = alters(events)
    assert [(c["name"], c["key"], c["identity"]) for c in a["columns"]] == [
        ("key", 1, True), ("v", 0, False)]
    assert [e["before"]["key"] for e in events if e.get("op") == "d"] == [1]


def test_renamed_again_and_again(run):
    events = run(T, "ALTER TABLE t RENAME v TO a; INSERT INTO t VALUES (2, 'x')",
                 "ALTER TABLE t RENAME a TO b; INSERT INTO t VALUES (3, 'y')",
                 "ALTER TABLE t RENAME b TO v; INSERT INTO t VALUES (4, 'z')")
    assert story(events) == [
        {"id": ("id",), "a": ("v",)}, {"id": 2, "a": "x"},
        {"id": ("id",), "b": ("a",)}, {"id": 3, "b": "y"},
        {"id": ("id",), "v": ("b",)}, {"id": 4, "v": "z"}]
    assert not wants(events)


def test_names_swapped(run):
    events = run("CREATE TABLE t(id int PRIMARY KEY, a text, b text); INSERT INTO t VALUES (1, 'a', 'b');",
                 "ALTER TABLE t RENAME a TO x; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME x TO b; "
                 "INSERT INTO t VALUES (2, 'was b', 'was a')")
    assert story(events) == [{"id": ("id",), "b": ("a",), "a": ("b",)},
                             {"id": 2, "b": "was b", "a": "was a"}]


def test_dropped_and_later_added_again(run):
    events = run(T, "ALTER TABLE t DROP v; INSERT INTO t VALUES (2)",
                 "ALTER TABLE t ADD v text DEFAULT 'new'; INSERT INTO t VALUES (3, 'c')")
    assert story(events) == [{"id": ("id",)}, {"id": 2}, {"id": ("id",), "v": "new"},
                             {"id": 3, "v": "c"}]
    assert not wants(events)


@pytest.mark.parametrize("columns", ["v text", "v varchar(9)"])
def test_dropped_and_added_in_disguise_is_loaded(run, columns):
    """The announced columns may mean the old or the new one: in a transaction nobody can have
    looked between."""
    events = run(T, f"BEGIN; ALTER TABLE t DROP v; ALTER TABLE t ADD {columns}; "
                 "INSERT INTO t VALUES (2, 'b'); COMMIT")
    assert story(events) == []
    [(table, why)] = wants(events)
    assert table == "public.t" and 'column "v" cannot be told apart' in why


def test_dropped_and_added_with_another_storage(run):
    events = run(T, "BEGIN; ALTER TABLE t DROP v; ALTER TABLE t ADD v int DEFAULT 3; "
                 "INSERT INTO t VALUES (2, 4); COMMIT")
    assert story(events) == [{"id": ("id",), "v": 3}, {"id": 2, "v": 4}]


def test_dropped_and_added_is_proven_by_a_look_between(source, db, probe):  # noqa: F811
    """The watch saw both before the row's transaction committed."""
    source.script(FENCE_TABLE + T, db)
    start(probe)
    probe("poll 300")
    source.script("ALTER TABLE t DROP v, ADD w text DEFAULT 'new'", db)
    probe("poll 6000")  # the watch looks every 5 s
    source.script("INSERT INTO t VALUES (2, 'b')", db)
    events = until_fence(source, db, probe)
    assert story(events) == [{"id": ("id",), "w": "new"}, {"id": 2, "w": "b"}]
    assert not wants(events)


def test_added_twice_and_dropped_again_is_loaded(run):
    """What older rows held in the dropped one is gone; behind, nothing of it can be proven."""
    events = run(T, "BEGIN; ALTER TABLE t ADD c int DEFAULT 7; INSERT INTO t VALUES (2, 'b', 8); "
                 "ALTER TABLE t DROP c; INSERT INTO t VALUES (3, 'c'); COMMIT")
    assert story(events) == []
    assert "added and dropped again" in wants(events)[0][1]


# ------------------------------------------------------------------------------------- types

@pytest.mark.parametrize("was, now, kind", [
    ("varchar(5)", "varchar(10)", "TEXT"),
    ("varchar(5)", "text", "TEXT"),
    ("text", "varchar", "TEXT"),
    ("numeric(10,2)", "numeric(12,2)", "DECIMAL"),
    ("numeric(10,2)", "numeric", "NUMERIC"),
    ("varbit(5)", "varbit(9)", "TEXT"),
    ("timestamp(3)", "timestamp(6)", "TIMESTAMP"),
    ("timestamptz(3)", "timestamptz", "TIMESTAMPTZ"),
    ("time(0)", "time", "TIME"),
    ("interval(0)", "interval", "INTERVAL"),
])
def test_widened_without_a_rewrite(run, was, now, kind):
    events = run(f"CREATE TABLE t(id int PRIMARY KEY, v {was}); INSERT INTO t VALUES (1, NULL);",
                 f"ALTER TABLE t ALTER v TYPE {now}; INSERT INTO t VALUES (2, NULL)")
    assert not wants(events)
    assert story(events) == [SAME, {"id": 2, "v": None}]
    assert alters(events)[0]["columns"][1]["kind"].upper() == kind


def test_widened_decimal_has_its_precision(run):
    events = run("CREATE TABLE t(id int PRIMARY KEY, v numeric(4,2) NOT NULL DEFAULT 1); INSERT INTO t VALUES (1);",
                 "ALTER TABLE t ALTER v TYPE numeric(6,2); INSERT INTO t VALUES (2, 1234.5)")
    c = alters(events)[0]["columns"][1]
    assert (c["precision"], c["scale"], c["type"], c["nullable"]) == (6, 2, "numeric(6,2)", False)
    assert story(events)[1] == {"id": 2, "v": "1234.50"}


def test_widened_key(run):
    events = run("CREATE TABLE t(id varchar(3) PRIMARY KEY, n numeric(4,1));",
                 "ALTER TABLE t ALTER id TYPE varchar(9); INSERT INTO t VALUES ('abcdef', 1)")
    assert not wants(events)
    assert alters(events)[0]["columns"][0]["key"] == 1


@pytest.mark.parametrize("was, now", [
    ("int", "bigint"), ("varchar(9)", "varchar(3)"), ("numeric(10,2)", "numeric(12,3)"),
    ("varchar(9)", "char(20)"), ("text", "bytea USING v::bytea"),
    ("cidr", "inet"),  # no rewrite, but another type
    ("timestamp", "timestamptz"),  # no rewrite under UTC
])
def test_other_types_are_loaded(run, was, now):
    events = run(f"CREATE TABLE t(id int PRIMARY KEY, v {was});",
                 f"INSERT INTO t VALUES (1, NULL); ALTER TABLE t ALTER v TYPE {now}; "
                 "INSERT INTO t VALUES (2, NULL)")
    [(table, why)] = wants(events)
    assert table == "public.t" and ("type" in why or "rewritten" in why or "follow" in why)
    assert {"id": 2, "v": None} not in story(events)


def test_key_of_another_kind_is_loaded(run):
    events = run("CREATE TABLE t(id numeric(4,1) PRIMARY KEY);",
                 "ALTER TABLE t ALTER id TYPE numeric; INSERT INTO t VALUES (1)")
    assert "key" in wants(events)[0][1]


# --------------------------------------------------------------------------------- rewritten

@pytest.mark.parametrize("ddl", [
    "ALTER TABLE t ADD c float8 DEFAULT random()",
    "ALTER TABLE t ADD c int GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE t ADD g int GENERATED ALWAYS AS (id * 2) STORED; ALTER TABLE t ADD c int",
    "TRUNCATE t; ALTER TABLE t ADD c int",     # it cannot be told that no row was rewritten
    "ALTER TABLE t ADD c int DEFAULT 7; VACUUM FULL t",
])
def test_rewritten_is_loaded(source, db, probe, ddl):  # noqa: F811
    source.script(FENCE_TABLE + T, db)
    position = copy(probe)
    for one in ddl.split("; "):
        source.sql(one, db)
    source.sql("INSERT INTO t(id) VALUES (2)", db)
    probe("start " + position)
    events = until_fence(source, db, probe)
    assert "rewritten" in wants(events)[0][1]
    assert {"id": 2, "v": None} not in story(events)


def test_rewritten_in_disguise_is_loaded_before_the_next_row(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + "CREATE TABLE t(id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1);", db)
    start(probe)
    probe("poll 300")
    source.script("ALTER TABLE t ALTER v TYPE int USING v * 10; INSERT INTO t VALUES (2, 2)", db)
    events = until_fence(source, db, probe)
    assert wants(events) == [("public.t", "its rows were rewritten by an ALTER TABLE")]
    assert story(events) == []


def test_a_new_file_alone_is_no_rewrite(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + T, db)
    start(probe)
    probe("poll 300")
    source.sql("VACUUM FULL t", db)
    source.sql("INSERT INTO t VALUES (2, 'b')", db)
    events = until_fence(source, db, probe)  # the file is noticed with this row
    source.script("ALTER TABLE t ADD c int DEFAULT 7; INSERT INTO t VALUES (3, 'c', 8)", db)
    events += until_fence(source, db, probe)
    source.script("TRUNCATE t; INSERT INTO t VALUES (4, 'd', 9)", db)
    events += until_fence(source, db, probe)
    source.script("ALTER TABLE t RENAME c TO d; INSERT INTO t VALUES (5, 'e', 10)", db)
    events += until_fence(source, db, probe)
    events += probe("poll 6000")  # nor later, to the watch
    assert not wants(events)
    assert story(events) == [
        {"id": 2, "v": "b"}, {**SAME, "c": 7}, {"id": 3, "v": "c", "c": 8}, "t",
        {"id": 4, "v": "d", "c": 9}, {**SAME, "d": ("c",)}, {"id": 5, "v": "e", "d": 10}]


def test_analyze_changes_nothing(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + T, db)
    start(probe)
    source.script("INSERT INTO t VALUES (2, 'b')", db)
    source.sql("ANALYZE t", db)
    source.script("INSERT INTO t VALUES (3, 'c')", db)
    assert story(until_fence(source, db, probe)) == [{"id": 2, "v": "b"}, {"id": 3, "v": "c"}]


# ------------------------------------------------------------------------- inside a transaction

def test_mixed_in_one_transaction(run):
    """Each row is in the shape of its place in the log."""
    events = run(
        "CREATE TABLE t(id int PRIMARY KEY, v text, n int);",
        "BEGIN; INSERT INTO t VALUES (1, 'a', 1); ALTER TABLE t ADD c int DEFAULT 7; "
        "INSERT INTO t VALUES (2, 'b', 2, 8); ALTER TABLE t RENAME c TO d; "
        "INSERT INTO t VALUES (3, 'c', 3, 9); ALTER TABLE t DROP v; INSERT INTO t VALUES (4, 4, 10); COMMIT")
    assert not wants(events)
    assert story(events) == [
        {"id": 1, "v": "a", "n": 1},
        {"id": ("id",), "v": ("v",), "n": ("n",), "c": 7}, {"id": 2, "v": "b", "n": 2, "c": 8},
        {"id": ("id",), "v": ("v",), "n": ("n",), "d": ("c",)}, {"id": 3, "v": "c", "n": 3, "d": 9},
        {"id": ("id",), "n": ("n",), "d": ("d",)}, {"id": 4, "n": 4, "d": 10}]


def test_mixed_where_it_cannot_be_proven_is_loaded(run):
    """v may have been c at the first row, since one of that type was dropped since."""
    events = run(
        "CREATE TABLE t(id int PRIMARY KEY, v text);",
        "BEGIN; INSERT INTO t VALUES (1, 'a'); ALTER TABLE t ADD c text; "
        "INSERT INTO t VALUES (2, 'b', 'x'); ALTER TABLE t DROP v; INSERT INTO t VALUES (3, 'y'); COMMIT")
    assert len(wants(events)) == 1 and "cannot be told apart" in wants(events)[0][1]
    assert story(events) == []


def test_rolled_back(run):
    events = run(T, "BEGIN; SAVEPOINT a; ALTER TABLE t DROP v; INSERT INTO t VALUES (2); ROLLBACK TO a; "
                 "INSERT INTO t VALUES (3, 'c'); COMMIT; "
                 "BEGIN; ALTER TABLE t ADD c int; INSERT INTO t VALUES (4, 'd', 1); ROLLBACK; "
                 "INSERT INTO t VALUES (5, 'e')")
    assert not wants(events)
    assert story(events) == [{"id": 3, "v": "c"}, {"id": 5, "v": "e"}]


def test_old_rows_follow(run):
    """Images of before and after are of the new shape, unchanged values included."""
    events = run("CREATE TABLE t(id int PRIMARY KEY, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL; "
                 "INSERT INTO t VALUES (1, repeat('x', 9000));",
                 "ALTER TABLE t ADD c int; UPDATE t SET c = 1; UPDATE t SET id = 2; DELETE FROM t")
    assert not wants(events)
    assert changes(events) == [
        ("u", "t", None, {"id": 1, "big": "<unchanged>", "c": 1}),
        ("u", "t", {"id": 1, "big": "<absent>", "c": "<absent>"}, {"id": 2, "big": "<unchanged>", "c": 1}),
        ("d", "t", {"id": 2, "big": "<absent>", "c": "<absent>"}, None)]


# ---------------------------------------------------------------------------- keys, identities

def test_replica_identity_full_with_the_same_key(run):
    events = run(T, "ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET v = 'b'")
    assert not wants(events)
    [a] = alters(events)
    assert a["identity"] == "f" and a["from"] == ["id", "v"]
    assert [(c["name"], c["key"], c["identity"]) for c in a["columns"]] == [("id", 1, True), ("v", 0, True)]
    assert changes(events) == [("u", "t", {"id": 1, "v": "a"}, {"id": 1, "v": "b"})]


@pytest.mark.parametrize("ddl", [
    "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (u)",
    "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, u)",
    "ALTER TABLE t REPLICA IDENTITY USING INDEX t_u",
    "ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE t DROP CONSTRAINT t_pkey",
])
def test_another_key_is_loaded(run, ddl):
    events = run("CREATE TABLE t(id int PRIMARY KEY, u int NOT NULL); CREATE UNIQUE INDEX t_u ON t (u); "
                 "INSERT INTO t VALUES (1, 1);",
                 f"{ddl}; INSERT INTO t VALUES (2, 2)")
    assert [w[0] for w in wants(events)] == ["public.t"] and "key" in wants(events)[0][1]
    assert story(events) == []


def test_key_dropped_and_made_anew(run):
    events = run(T, "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (id); "
                 "INSERT INTO t VALUES (2, 'b')")
    assert not wants(events)
    assert story(events) == [{"id": 2, "v": "b"}]


def test_multiset(run):
    events = run("CREATE TABLE t(a int, b int); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (1, 2);",
                 "ALTER TABLE t RENAME b TO c; DELETE FROM t")
    assert not wants(events)
    assert [e["before"] for e in events if e.get("op") == "d"] == [{"a": 1, "c": 2}]


# --------------------------------------------------------------------------- names, and gone

@pytest.mark.parametrize("ddl, why", [
    ("ALTER TABLE t RENAME TO t9", "renamed"),
    ("CREATE SCHEMA s; ALTER TABLE t SET SCHEMA s", "renamed"),
])
def test_renamed_table_is_loaded(run, ddl, why):
    name = "s.t" if "SCHEMA" in ddl else "t9"
    events = run(T, f"{ddl}; INSERT INTO {name} VALUES (2, 'b')")
    assert why in wants(events)[0][1]


def test_dropped_table(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + T, db)
    position = copy(probe)
    source.script("INSERT INTO t VALUES (2, 'b'); DROP TABLE t", db)
    probe("start " + position)
    events = until_fence(source, db, probe)
    assert wants(events) == [("public.t", "it was dropped")] and story(events) == []


# ------------------------------------------------------------------- publications, partitions

def test_column_list(source, db, probes):  # noqa: F811
    source.script(FENCE_TABLE + """
        CREATE TABLE t(id int PRIMARY KEY, keep text, secret text);
        INSERT INTO t VALUES (1, 'a', 's');
        CREATE PUBLICATION mine FOR TABLE t (id, keep), TABLE o WITH (publish_via_partition_root = true);
        """, db)
    p = probes(source, db, **{"publication.name": "mine", "publication.autocreate.mode": "disabled"})
    start(p)
    source.script("ALTER TABLE t RENAME keep TO kept; INSERT INTO t VALUES (2, 'b', 's'); "
                  "ALTER TABLE t ADD c int; INSERT INTO t VALUES (3, 'c', 's', 1)", db)
    events = until_fence(source, db, p)
    assert not wants(events)
    assert story(events) == [{"id": ("id",), "kept": ("keep",)}, {"id": 2, "kept": "b"},
                             {"id": 3, "kept": "c"}]
    # Another list: the columns are as many, and of the same types.
    source.script("ALTER PUBLICATION mine SET TABLE t (id, secret), TABLE o; INSERT INTO t VALUES (4, 'd', 's')",
                  db)
    events = until_fence(source, db, p)
    assert "publication" in wants(events)[0][1] and story(events) == []


def test_column_list_over_a_restart(source, db, probes):  # noqa: F811
    """By another process, which has not seen the point."""
    source.script(FENCE_TABLE + """
        CREATE TABLE t(id int PRIMARY KEY, keep text, secret text);
        CREATE PUBLICATION mine FOR TABLE t (id, keep), TABLE o WITH (publish_via_partition_root = true);
        """, db)
    settings = {"publication.name": "mine", "publication.autocreate.mode": "disabled"}
    first, second = probes(source, db, **settings), probes(source, db, **settings)
    position = copy(first)
    second("connect")
    second("plan")
    source.script("ALTER PUBLICATION mine SET TABLE t (id, secret), TABLE o; INSERT INTO t VALUES (4, 'd', 's')",
                  db)
    second("start " + position)
    events = until_fence(source, db, second)
    assert "publication" in wants(events)[0][1] and story(events) == []


def test_another_row_filter_over_a_restart(source, db, probes):  # noqa: F811
    """With the same columns; also what left the publication for a while."""
    source.script(FENCE_TABLE + """
        CREATE TABLE t(id int PRIMARY KEY, v text); CREATE TABLE u(id int PRIMARY KEY); CREATE TABLE w(id int PRIMARY KEY);
        CREATE PUBLICATION mine FOR TABLE t WHERE (id > 10), u, w, o WITH (publish_via_partition_root = true);
        """, db)
    settings = {"publication.name": "mine", "publication.autocreate.mode": "disabled"}
    first, second, third = (probes(source, db, **settings) for _ in range(3))
    position = copy(first)
    for p in second, third:
        p("connect")
        p("plan")
    second("start " + position)
    assert not wants(second("poll 6000"))
    second("stop")
    source.script("ALTER PUBLICATION mine DROP TABLE u; INSERT INTO u VALUES (1); ALTER PUBLICATION mine ADD TABLE u; "
                  "ALTER PUBLICATION mine SET TABLE t WHERE (id > 20), u, w, o", db)
    harness.wait_for("slot is free", lambda: third("mark")[0]["pid"] == 0)
    third("start " + position)
    events = third.poll_until(lambda e: "wants" in e, 15) + third("poll 6000")
    assert sorted(wants(events)) == [("public.t", "the publication was altered"),
                                     ("public.u", "the publication was altered")]


def test_generated_column(run):
    """It is not in the log, also when a plain one is made of it, which is told from a new one."""
    events = run("CREATE TABLE t(id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) STORED, w int);",
                 "ALTER TABLE t RENAME v TO u; ALTER TABLE t ADD c int; INSERT INTO t(id, u, w) VALUES (1, 2, 3)")
    assert not wants(events)
    assert story(events) == [{"id": ("id",), "u": ("v",), "w": ("w",), "c": None},
                             {"id": 1, "u": 2, "w": 3, "c": None}]


def test_generated_column_made_plain_is_loaded(run):
    events = run("CREATE TABLE t(id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) STORED); "
                 "INSERT INTO t VALUES (1, 2);",
                 "ALTER TABLE t ALTER g DROP EXPRESSION; INSERT INTO t VALUES (2, 3, 4)")
    assert "new cannot be told" in wants(events)[0][1]


PT = """
    CREATE TABLE pt(id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
    CREATE TABLE pt_1 PARTITION OF pt FOR VALUES FROM (0) TO (10);
    CREATE TABLE pt_2(v text, gone int, id int NOT NULL PRIMARY KEY); ALTER TABLE pt_2 DROP gone;
    ALTER TABLE pt ATTACH PARTITION pt_2 FOR VALUES FROM (10) TO (20);
    INSERT INTO pt VALUES (1, 'a'), (11, 'b');
    """


def test_partitioned(run):
    events = run(PT, "ALTER TABLE pt ADD c int DEFAULT 7; INSERT INTO pt VALUES (2, 'c', 8); "
                 "INSERT INTO pt VALUES (12, 'd', 9)",
                 "ALTER TABLE pt RENAME v TO w; INSERT INTO pt VALUES (13, 'e', 9)",
                 "ALTER TABLE pt DROP w; INSERT INTO pt VALUES (3, 8)",
                 "ALTER TABLE pt ADD d text; UPDATE pt SET d = 'x' WHERE id = 1")
    assert not wants(events)
    assert story(events) == [
        {**SAME, "c": 7}, {"id": 2, "v": "c", "c": 8}, {"id": 12, "v": "d", "c": 9},
        {"id": ("id",), "w": ("v",), "c": ("c",)}, {"id": 13, "w": "e", "c": 9},
        {"id": ("id",), "c": ("c",)}, {"id": 3, "c": 8},
        {"id": ("id",), "c": ("c",), "d": None}, {"id": 1, "c": 7, "d": "x"}]


@pytest.mark.parametrize("ddl", [
    "ALTER TABLE pt ADD c float8 DEFAULT random()",
    "TRUNCATE pt_1; ALTER TABLE pt ADD c int",
    "ALTER TABLE pt DETACH PARTITION pt_2; ALTER TABLE pt ADD c int",
    "CREATE TABLE pt_3(id int PRIMARY KEY, v text); INSERT INTO pt_3 VALUES (21, 'old'); "
    "ALTER TABLE pt ATTACH PARTITION pt_3 FOR VALUES FROM (20) TO (30); ALTER TABLE pt ADD c int",
    "ALTER TABLE pt ADD c int DEFAULT 7; CREATE TABLE pt_3 PARTITION OF pt FOR VALUES FROM (20) TO (30)",
])
def test_partitions_that_changed_are_loaded(run, ddl):
    events = run(PT, f"{ddl}; INSERT INTO pt VALUES (2, 'c', 8)")
    assert "public.pt" in [w[0] for w in wants(events)]
    assert story(events) == []


def leaves(events):
    return [(e["root"], e["leaf"]) for e in events if "leaf" in e]


def test_new_partitions_are_told_with_their_first_row(source, db, probe):  # noqa: F811
    """Once for each stream, before the row, and of the right table; not those of the copy."""
    source.script(FENCE_TABLE + PT + "CREATE TABLE other(id int PRIMARY KEY);", db)
    start(probe)
    source.script("CREATE TABLE pt_3 PARTITION OF pt FOR VALUES FROM (20) TO (30); CREATE TABLE pt_4 PARTITION OF pt "
                  "FOR VALUES FROM (30) TO (50) PARTITION BY RANGE (id); CREATE TABLE pt_5 PARTITION OF pt_4 FOR VALUES "
                  "FROM (30) TO (40); INSERT INTO pt VALUES (2, 'a')", db)
    assert leaves(until_fence(source, db, probe)) == []
    source.script("BEGIN; INSERT INTO pt VALUES (21, 'a'), (3, 'b'), (31, 'c'); INSERT INTO other VALUES (1); COMMIT; "
                  "INSERT INTO pt VALUES (22, 'a'); UPDATE pt SET id = 32 WHERE id = 22", db)
    events = until_fence(source, db, probe)
    oids = [r[0] for r in source.sql("SELECT oid::int FROM pg_class WHERE relname IN ('pt_3', 'pt_5') ORDER BY relname",
                                     db)]
    assert leaves(events) == [("public.pt", o) for o in oids]
    assert "leaf" in [e for e in events if "leaf" in e or "op" in e][0]
    assert not wants(events + probe("poll 11000"))
    # What is announced for a truncate is no leaf.
    source.script("TRUNCATE pt, other; INSERT INTO pt VALUES (2, 'a')", db)
    assert leaves(until_fence(source, db, probe)) == []


def test_a_partition_that_is_gone_before_a_look_is_noticed(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + PT, db)
    start(probe)
    probe("poll 1000")
    source.script("CREATE TABLE pt_3 PARTITION OF pt FOR VALUES FROM (20) TO (30); INSERT INTO pt VALUES (21, 'a'); "
                  "ALTER TABLE pt DETACH PARTITION pt_3", db)
    assert wants(probe.poll_until(lambda e: "wants" in e, 15)) == [
        ("public.pt", "a partition was detached or dropped")]


def test_partition_by_itself(source, db, probes):  # noqa: F811
    source.script(FENCE_TABLE + PT + f"CREATE PUBLICATION penstock_{db} FOR ALL TABLES", db)
    p = probes(source, db, **{"publication.autocreate.mode": "disabled"})
    start(p)
    source.script("ALTER TABLE pt RENAME v TO w; ALTER TABLE pt ADD c int DEFAULT 7; "
                  "INSERT INTO pt VALUES (12, 'd', 9)", db)
    events = until_fence(source, db, p)
    assert not wants(events)
    assert story(events) == [{"w": ("v",), "id": ("id",), "c": 7}, {"w": "d", "id": 12, "c": 9}]


# ----------------------------------------------------------------------------- over a restart

@pytest.mark.parametrize("ddl, columns", [
    ("ALTER TABLE t ADD c int", {**SAME, "c": None}),
    ("ALTER TABLE t ADD c int DEFAULT 7", {**SAME, "c": 7}),
    ("ALTER TABLE t RENAME v TO w", {"id": ("id",), "w": ("v",)}),
    ("ALTER TABLE t DROP v", {"id": ("id",)}),
    ("ALTER TABLE t ADD c float8 DEFAULT random()", None),
])
def test_altered_while_nobody_streams(source, db, probes, ddl, columns):  # noqa: F811
    source.script(FENCE_TABLE + T, db)
    first, second = probes(source, db), probes(source, db)
    position = copy(first)
    second("connect")
    second("plan")  # the tables as the engine's books would have them
    source.script(f"{ddl}; INSERT INTO t(id) VALUES (2)", db)
    second("prepare")
    second("start " + position)
    events = until_fence(source, db, second)
    if columns is None:
        assert "rewritten" in wants(events)[0][1]
    else:
        assert not wants(events)
        assert story(events)[0] == columns and story(events)[1]["id"] == 2


def test_goes_on_from_an_altered_version(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + T, db)
    start(probe)
    probe("autoack")
    source.script("ALTER TABLE t ADD c int DEFAULT 7; INSERT INTO t VALUES (2, 'b', 8)", db)
    assert len(alters(until_fence(source, db, probe))) == 1
    probe("poll 300")
    probe("stop")
    harness.wait_for("slot is free", lambda: probe("mark")[0]["pid"] == 0)
    probe("start " + probe("mark")[0]["position"])
    source.script("INSERT INTO t VALUES (3, 'c', 9); ALTER TABLE t RENAME c TO d; INSERT INTO t VALUES (4, 'd', 9)",
                  db)
    events = until_fence(source, db, probe)
    assert not wants(events)
    assert story(events) == [{"id": 3, "v": "c", "c": 9}, {**SAME, "d": ("c",)},
                             {"id": 4, "v": "d", "d": 9}]


def test_refused_by_the_engine(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + T, db)
    start(probe)
    probe("refuse")
    source.script("INSERT INTO t VALUES (2, 'b'); ALTER TABLE t ADD c int; INSERT INTO t VALUES (3, 'c', 9)", db)
    events = until_fence(source, db, probe)
    source.script("ALTER TABLE t DROP c; INSERT INTO t VALUES (4, 'd')", db)
    events += until_fence(source, db, probe)
    assert not wants(events)
    assert [e for e in story(events) if not isinstance(e["id"], tuple)] == [{"id": 2, "v": "b"}]
    assert len(alters(events)) == 1


# ------------------------------------------------------- altered, and no row comes to tell of it

IDLE = "CREATE TABLE {t}(id int PRIMARY KEY, v text, w text); INSERT INTO {t} VALUES (1, 'a', 'b');"
ANOTHER = [
    "ALTER TABLE {t} DROP v; ALTER TABLE {t} ADD v text",
    "ALTER TABLE {t} DROP v, ADD v text DEFAULT 'new'",
    "ALTER TABLE {t} DROP v; ALTER TABLE {t} ADD v int",
    "ALTER TABLE {t} DROP v; ALTER TABLE {t} RENAME w TO v",
    "ALTER TABLE {t} RENAME v TO x; ALTER TABLE {t} RENAME w TO v; ALTER TABLE {t} RENAME x TO w",
]
OTHERS = [
    "ALTER TABLE {t} ADD c int DEFAULT 7",
    "ALTER TABLE {t} DROP v",
    "ALTER TABLE {t} RENAME v TO x",
    "ALTER TABLE {t} ALTER v SET STATISTICS 7; ANALYZE {t}",
    "ALTER TABLE {t} DROP v; ALTER TABLE {t} ADD x text",
]


def each_table(templates):
    """One script, the i-th template on the table t<i>: they wait for the same looks."""
    return ";".join(sql.replace("{t}", f"t{i}") for i, sql in enumerate(templates))


@pytest.mark.parametrize("when", ["live", "behind"])
def test_another_column_under_the_name_of_an_idle_table_is_loaded(source, db, probes, when):  # noqa: F811
    source.script(FENCE_TABLE + each_table([IDLE] * len(ANOTHER)), db)
    first, second = probes(source, db), probes(source, db)
    position = copy(first)
    second("connect")
    second("plan")
    p = first if when == "live" else second
    if when == "live":
        p("start " + position)
        p("poll 300")
    source.script(each_table(ANOTHER), db)
    if when == "behind":
        p("prepare")
        p("start " + position)
    tables = {f"public.t{i}": sql for i, sql in enumerate(ANOTHER)}
    seen = set()
    events = p.poll_until(lambda e: seen.add("wants" in e and e["table"]) or seen >= set(tables), 25)
    assert story(events) == []
    assert sorted(table for table, _ in wants(events)) == sorted(tables)
    for table, why in wants(events):
        assert "another column has the name" in why, (table, tables[table])
    # Each is loaded once.
    for table in tables:
        source.sql(f"INSERT INTO {table}(id) VALUES (2)", db)
        rows = p("join " + table.removeprefix("public."))
        assert sorted(r["after"]["id"] for r in rows if r["table"] == table) == [1, 2], tables[table]
    assert not wants(p("poll 11000"))


def test_other_alterations_of_an_idle_table_wait_for_its_next_row(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + each_table([IDLE] * len(OTHERS)), db)
    start(probe)
    probe("poll 300")
    source.script(each_table(OTHERS), db)
    assert not wants(until_fence(source, db, probe) + probe("poll 12000"))


def test_a_row_between_the_looks_tells_of_the_alteration(source, db, probe):  # noqa: F811
    """The names swapped, which the log can prove: no load, however long it is quiet after it."""
    source.script(FENCE_TABLE + "CREATE TABLE t(id int PRIMARY KEY, v text, w int); "
                  "INSERT INTO t VALUES (1, 'a', 2);", db)
    start(probe)
    probe("poll 300")
    source.script("ALTER TABLE t RENAME v TO x; ALTER TABLE t RENAME w TO v; ALTER TABLE t RENAME x TO w", db)
    events = probe("poll 5500")
    source.sql("INSERT INTO t VALUES (2, 'b', 3)", db)
    events += until_fence(source, db, probe) + probe("poll 12000")
    assert not wants(events)
    assert story(events) == [{"id": ("id",), "w": ("v",), "v": ("w",)}, {"id": 2, "w": "b", "v": 3}]


def test_another_column_under_the_name_of_an_idle_partitioned_table(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + PT, db)
    start(probe)
    probe("poll 300")
    source.script("ALTER TABLE pt DROP v; ALTER TABLE pt ADD v text", db)
    [(table, why)] = wants(probe.poll_until(lambda e: "wants" in e, 25))
    assert table == "public.pt" and "another column" in why


# ------------------------------------------------------------------- tables that join the stream

def test_table_joins(source, db, probe):  # noqa: F811
    """A table that is made, and one that asked for a load, go on from a point of their own."""
    source.script(FENCE_TABLE + T + f"CREATE PUBLICATION penstock_{db} FOR ALL TABLES WITH "
                  "(publish_via_partition_root = true)", db)
    start(probe)
    source.script("CREATE TABLE n(id int PRIMARY KEY, v int); INSERT INTO n VALUES (1, 1); "
                  "ALTER TABLE t ALTER v TYPE bytea USING 'x'; INSERT INTO t VALUES (2, 'b')", db)
    events = until_fence(source, db, probe)
    assert sorted(w[0] for w in wants(events)) == ["public.n", "public.t"]
    source.script("INSERT INTO n VALUES (2, 2)", db)
    rows = probe("join n") + probe("join t")
    assert sorted(r["after"]["id"] for r in rows if r["table"] == "public.n") == [1, 2]
    assert sorted(r["after"]["v"] for r in rows if r["table"] == "public.t") == ["b", "x"]
    source.script("INSERT INTO n VALUES (3, 3); ALTER TABLE n ADD c int DEFAULT 7; INSERT INTO n VALUES (4, 4, 8); "
                  "INSERT INTO t VALUES (3, 'c')", db)
    events = until_fence(source, db, probe)
    assert not wants(events)
    assert story(events) == [{"id": 3, "v": 3}, {**SAME, "c": 7}, {"id": 4, "v": 4, "c": 8},
                             {"id": 3, "v": "c"}]
    # They are watched like the others, held against their own points.
    assert not wants(probe("poll 6000"))
    source.sql("ALTER TABLE n ALTER v TYPE int USING v * 10", db)
    assert wants(probe.poll_until(lambda e: "wants" in e, 15)) == [
        ("public.n", "its rows were rewritten by an ALTER TABLE")]


def test_altered_between_its_point_and_the_stream(source, db, probe):  # noqa: F811
    """Rows before the point are passed over, those after it follow; what was noted at the point of
    the other source tells of the rewrite."""
    source.script(FENCE_TABLE + T, db)
    start(probe)
    source.sql("INSERT INTO t VALUES (2, 'b')", db)
    probe("join t")
    assert story(until_fence(source, db, probe)) == []
    source.script("INSERT INTO t VALUES (3, 'c')", db)
    assert story(until_fence(source, db, probe)) == [{"id": 3, "v": "c"}]
    source.script("ALTER TABLE t ADD c float8 DEFAULT random(); INSERT INTO t VALUES (4, 'd')", db)
    assert "rewritten" in wants(until_fence(source, db, probe))[0][1]


def test_partitioned_table_joins(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + PT, db)
    start(probe)
    probe("poll 300")
    source.sql("TRUNCATE pt_2", db)
    assert wants(probe.poll_until(lambda e: "wants" in e, 15))
    source.sql("INSERT INTO pt VALUES (12, 'c')", db)
    assert sorted(r["after"]["id"] for r in probe("join pt")) == [1, 12]
    source.script("ALTER TABLE pt ADD c int DEFAULT 7; INSERT INTO pt VALUES (13, 'd', 8)", db)
    events = until_fence(source, db, probe) + probe("poll 11000")
    assert not wants(events)
    assert story(events) == [{**SAME, "c": 7}, {"id": 13, "v": "d", "c": 8}]
    source.sql("ALTER TABLE pt DETACH PARTITION pt_1", db)
    assert "detached" in wants(probe.poll_until(lambda e: "wants" in e, 15))[0][1]


def test_skipped_table_joins_again(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + T, db)
    start(probe)
    probe("skip t")
    source.script("INSERT INTO t VALUES (2, 'b'); ALTER TABLE t ADD c int; INSERT INTO t VALUES (3, 'c', 1)", db)
    assert until_fence(source, db, probe) and not wants(probe("poll 100"))
    assert sorted(r["after"]["id"] for r in probe("join t")) == [1, 2, 3]
    # It was announced while it was skipped, and is not announced again.
    source.sql("INSERT INTO t VALUES (4, 'd', 2)", db)
    assert story(until_fence(source, db, probe)) == [{"id": 4, "v": "d", "c": 2}]


# ------------------------------------------------------------------------- timing, many, versions

def test_commit_that_is_in_the_log_but_not_visible_yet(run_folder, probes):  # noqa: F811
    """It waits for a synchronous standby: until it is over the catalogue shows the old columns."""
    server = harness.Postgres()
    asked = set()

    def question_again():
        asked.update(server.sql("SELECT query_start FROM pg_stat_activity WHERE application_name LIKE "
                                "'%:control'"))
        return len(asked) > 3

    try:
        server.create("d")
        server.script(FENCE_TABLE + T, "d")
        p = probes(server, "d")
        start(p)
        p("poll 300")
        server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        server.sql("SELECT pg_reload_conf()")
        harness.wait_for("a standby is waited for", lambda: server.sql(
            "SHOW synchronous_standby_names") == [("nobody",)])
        writer = threading.Thread(target=server.script, args=(
            "ALTER TABLE t ADD c int DEFAULT 7; INSERT INTO t VALUES (2, 'b', 8)", "d"))
        writer.start()
        try:
            harness.wait_for("the commit waits", lambda: server.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == [(1,)])
            p.send("poll 1000")
            harness.wait_for("the catalogue is asked again and again", question_again)
        finally:
            server.sql("ALTER SYSTEM RESET synchronous_standby_names")
            server.sql("SELECT pg_reload_conf()")
            writer.join(30)
        events = p.answer()
        assert p.done["done"] == "ok"
        assert not wants(events)
        assert story(events) == [{**SAME, "c": 7}, {"id": 2, "v": "b", "c": 8}]
    finally:
        server.stop()


def test_a_long_alter_does_not_hold_the_stream(source, db, probe):  # noqa: F811
    source.script(FENCE_TABLE + T + "CREATE TABLE u(id int PRIMARY KEY, v text);", db)
    start(probe)
    source.script("INSERT INTO t VALUES (2, 'b')", db)
    with source.connect(db, autocommit=False) as c:
        c.execute("LOCK TABLE t, u IN ACCESS EXCLUSIVE MODE")
        assert story(until_fence(source, db, probe)) == [{"id": 2, "v": "b"}]


def test_many_tables_behind_are_one_question(run_folder, probes):  # noqa: F811
    n = 200
    server = harness.Postgres(log_statement="all")

    def questions():
        with open(f"{server.dir}/log", errors="replace") as f:
            return f.read().count("REPEATABLE READ READ ONLY; SELECT pg_catalog.pg_current_snapshot()")

    try:
        server.create("d")
        server.script(FENCE_TABLE + "".join(f"CREATE TABLE t{i}(id int PRIMARY KEY, v text);"
                                            for i in range(n)), "d")
        p = probes(server, "d")
        position = copy(p)
        server.script("".join(f"INSERT INTO t{i} VALUES (1, 'a');" for i in range(n)), "d")
        server.script("ALTER TABLE t7 RENAME v TO w; INSERT INTO t7 VALUES (2, 'b')", "d")
        p("start " + position)
        events = until_fence(server, "d", p)
        assert not wants(events)
        assert len(story(events)) == n + 2 and {"id": ("id",), "w": ("v",)} in story(events)
        assert questions() == 3  # all tables; t7; o, whose row is newer than the first answer
    finally:
        server.stop()


@pytest.mark.parametrize("version", [14, 16, 17, 18])
def test_versions(run_folder, probes, version):  # noqa: F811
    try:
        server = harness.Postgres(version=version)
    except RuntimeError as e:
        pytest.skip(str(e))
    try:
        server.create("d")
        server.script(FENCE_TABLE + T + PT, "d")
        p = probes(server, "d")
        start(p)
        server.script("ALTER TABLE t ADD c int NOT NULL DEFAULT 7, ADD g int GENERATED ALWAYS AS (id) STORED",
                      "d")
        server.script("INSERT INTO t VALUES (2, 'b', 8)", "d")
        assert "rewritten" in wants(until_fence(server, "d", p))[0][1]
        server.script("ALTER TABLE pt ADD c text[] DEFAULT '{a b,NULL}'; INSERT INTO pt VALUES (2, 'b'); "
                      "ALTER TABLE pt RENAME v TO w; UPDATE pt SET id = 3 WHERE id = 2", "d")
        events = until_fence(server, "d", p)
        assert not wants(events)
        array = '{"a b",NULL}'
        assert story(events) == [
            {**SAME, "c": array}, {"id": 2, "v": "b", "c": array},
            {"id": ("id",), "w": ("v",), "c": ("c",)}, {"id": 3, "w": "b", "c": array}]
        join = p("join t")
        assert sorted(r["after"]["c"] for r in join if r["table"] == "public.t") == [7, 8]
        server.script("ALTER TABLE t RENAME c TO d; INSERT INTO t VALUES (3, 'c', 9)", "d")
        events = until_fence(server, "d", p)
        assert not wants(events)
        assert story(events) == [{"id": ("id",), "v": ("v",), "d": ("c",)}, {"id": 3, "v": "c", "d": 9}]
        server.script("ALTER TABLE t ALTER d TYPE bigint; INSERT INTO t VALUES (4, 'd', 10)", "d")
        assert [w[0] for w in wants(until_fence(server, "d", p))] == ["public.t"]
    finally:
        server.stop()


def test_published_generated_column(run_folder, probes):  # noqa: F811
    try:
        server = harness.Postgres(version=18)
    except RuntimeError as e:
        pytest.skip(str(e))
    try:
        server.create("d")
        server.script(FENCE_TABLE + "CREATE TABLE t(id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED, "
                      "v text); CREATE PUBLICATION penstock_d FOR ALL TABLES WITH (publish_via_partition_root = "
                      "true, publish_generated_columns = stored)", "d")
        p = probes(server, "d")
        start(p)
        server.script("ALTER TABLE t RENAME g TO h; ALTER TABLE t DROP v, ADD w int; INSERT INTO t VALUES (1)", "d")
        events = until_fence(server, "d", p)
        assert not wants(events)
        assert story(events) == [{"id": ("id",), "h": ("g",), "w": None}, {"id": 1, "h": 2, "w": None}]
    finally:
        server.stop()
