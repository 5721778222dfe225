# SPDX-License-Identifier: Apache-2.0
"""Where going on could not be exact it refuses, saying why and what to do."""
import shutil

from harness import (Postgres, assert_equal_postgres, to_postgres, wait_caught_up, wait_for)
from test_bad_input import failed_task

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i FROM " \
        "generate_series(1, 1000) i"


def started(penstock, source, db, warehouse, wdb, /, **more):
    source.script(TABLE, db)
    p = penstock(to_postgres(source, db, warehouse, wdb, **more)).start()
    p.wait_live("public.t")
    wait_caught_up(p, source, db)
    return p


def slot_of(source, db):
    return source.sql("SELECT slot_name FROM pg_replication_slots WHERE database = %s AND NOT "
                      "temporary", "postgres", (db,))[0][0]


def test_a_dropped_slot_is_not_made_again(source, db, warehouse, wdb, penstock):
    p = started(penstock, source, db, warehouse, wdb)
    assert p.stop() == 0
    slot = slot_of(source, db)
    source.sql("SELECT pg_drop_replication_slot(%s)", db, (slot,))
    source.script("INSERT INTO t VALUES (2000, 'gap')", db)
    p.start()
    t = failed_task(p, "shop", "does not exist any more")
    assert t["state"] == "FAILED" and "when_needed" in t["trace"]
    assert source.sql("SELECT count(*) FROM pg_replication_slots WHERE database = %s", "postgres",
                      (db,)) == [(0,)]


def test_when_needed_loads_everything_again(source, db, warehouse, wdb, penstock):
    p = started(penstock, source, db, warehouse, wdb, source={"snapshot.mode": "when_needed"})
    assert p.stop() == 0
    source.sql("SELECT pg_drop_replication_slot(%s)", db, (slot_of(source, db),))
    source.script("INSERT INTO t VALUES (2000, 'gap'); DELETE FROM t WHERE id < 10", db)
    p.start()
    wait_for("equal again", lambda: p.alive() and warehouse.sql(
        "SELECT count(*) FROM public.t WHERE id = 2000", wdb) == [(1,)])
    p.wait_live("public.t")
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, "public.t")


def test_a_slot_moved_past_the_checkpoint_is_loss(source, db, warehouse, wdb, penstock):
    p = started(penstock, source, db, warehouse, wdb)
    assert p.stop() == 0
    source.script("INSERT INTO t VALUES (2000, 'lost')", db)
    source.sql("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", db,
               (slot_of(source, db),))
    p.start()
    t = failed_task(p, "shop", "past the warehouse's checkpoint")
    assert t["state"] == "FAILED"


def test_a_slot_whose_log_is_gone_is_loss(warehouse, wdb, penstock):
    source = Postgres(max_slot_wal_keep_size="1MB", max_wal_size="32MB", min_wal_size="32MB")
    try:
        source.create("a")
        p = started(penstock, source, "a", warehouse, wdb)
        assert p.stop() == 0
        for _ in range(3):
            source.sql("SELECT pg_logical_emit_message(false, 'x', repeat('x', 20000000))", "a")
            source.sql("SELECT pg_switch_wal()", "a")
            source.sql("CHECKPOINT", "a")
        p.start()
        t = failed_task(p, "shop", "is lost")
        assert t["state"] == "FAILED"
        p.kill9()
    finally:
        source.stop()


def test_another_server_behind_the_address_is_refused(warehouse, wdb, penstock):
    a = Postgres()
    try:
        a.create("a")
        p = started(penstock, a, "a", warehouse, wdb)
        assert p.stop() == 0
        port = a.port
    finally:
        a.stop()
    # A server of its own initdb: another system identifier.
    b = Postgres(role="another", port=port)
    try:
        b.create("a")
        b.script(TABLE, "a")
        p.start()
        t = failed_task(p, "shop", "another server")
        assert t["state"] == "FAILED"
        p.kill9()
    finally:
        b.stop()


def test_a_foreign_slot_of_that_name_is_never_dropped(source, db, warehouse, wdb, penstock):
    source.script(TABLE, db)
    source.sql("SELECT pg_create_logical_replication_slot('penstock_shop_x', 'pgoutput')", db)
    p = penstock(to_postgres(source, db, warehouse, wdb,
                             source={"slot.name": "penstock_shop_x"})).start()
    t = failed_task(p, "shop", "penstock_shop_x")
    assert t["state"] == "FAILED" and "remove" in t["trace"]
    assert slot_of(source, db) == "penstock_shop_x"


def test_a_foreign_table_in_the_way_is_refused_and_untouched(source, db, warehouse, wdb, penstock):
    source.script(TABLE + "; CREATE TABLE u (id int PRIMARY KEY)", db)
    warehouse.script("CREATE TABLE public.t (mine text); INSERT INTO t VALUES ('keep')", wdb)
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    p.wait_live("public.u")
    t = p.tables()[("public", "t")]
    assert t["state"] == "refused" and "not ours" in t["reason"]
    assert warehouse.sql("SELECT mine FROM public.t", wdb) == [("keep",)]


def test_books_of_a_newer_version_are_refused(source, db, warehouse, wdb, penstock):
    p = started(penstock, source, db, warehouse, wdb)
    assert p.stop() == 0
    warehouse.sql("UPDATE penstock.meta SET version = 999", wdb)
    p.start()
    failed_task(p, "warehouse", "newer penstock")


def test_a_deleted_data_dir_changes_nothing(source, db, warehouse, wdb, penstock):
    p = started(penstock, source, db, warehouse, wdb)
    loads = warehouse.sql("SELECT max(load) FROM penstock.tables", wdb)
    p.kill9()
    shutil.rmtree(p.config["service"]["data.dir"])
    source.script("INSERT INTO t VALUES (2000, 'later')", db)
    p.start()
    p.wait_live("public.t")
    wait_caught_up(p, source, db)
    assert_equal_postgres(source, db, warehouse, wdb, "public.t")
    assert warehouse.sql("SELECT max(load) FROM penstock.tables", wdb) == loads
