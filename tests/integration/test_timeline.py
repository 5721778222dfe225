# SPDX-License-Identifier: Apache-2.0
"""A server that comes up on another timeline (a promoted standby, a restored backup, the same server
through archive recovery) is followed iff its log contains all that the warehouse has."""
import os
import shutil
import subprocess
import tempfile

import harness
import psycopg
from both import Both
from harness import Postgres, Proxy, assert_equal_postgres, lsn, to_postgres, wait_caught_up, wait_for
from psycopg.pq import ExecStatus, PGconn
from test_bad_input import failed_task
from test_source_postgres import probes, program  # noqa: F401 (fixtures)

TABLE = ("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i FROM "
         "generate_series(1, 1000) i; CREATE TABLE u (v text); ALTER TABLE u REPLICA IDENTITY FULL; "
         "INSERT INTO u SELECT 'same' FROM generate_series(1, 5)")
TABLES = ["public.t", "public.u"]


def own(path):
    if os.getuid() == 0:
        shutil.chown(path, "nobody", "nogroup")


def signal_file(folder, name):
    open(f"{folder}/{name}", "w").close()
    own(f"{folder}/{name}")


def save(server):
    """A copy of a stopped server's data directory."""
    folder = tempfile.mkdtemp(prefix="saved-", dir=harness.base())
    subprocess.run(["cp", "-a", f"{server.dir}/data", f"{folder}/data"], check=True)
    return f"{folder}/data"


class Copied(Postgres):
    """Starts from such a copy: the same system identifier, slots and all."""

    def __init__(self, data, like, **conf):
        self.data = data
        version = like.bin.split("/pg")[-1].split("/")[0] if "/pg" in like.bin else None
        super().__init__(version, like.role, **conf)

    def _init(self):
        shutil.move(self.data, f"{self.dir}/data")
        self.write_conf()


def through_recovery(server):
    """Starts a stopped server so that it comes up on a new timeline, forked where its log ended."""
    server.write_conf(restore_command="'/bin/false'")
    signal_file(f"{server.dir}/data", "recovery.signal")
    server.start()
    return wait_primary(server)


def wait_primary(server):
    wait_for("recovery ended", lambda: not server.sql("SELECT pg_is_in_recovery()")[0][0])
    return server


def timeline(server):
    return int(server.sql("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")[0][0], 16)


def fork_of(server, tli):
    """Where timeline tli - 1 was left, from the history file of timeline tli."""
    with open(f"{server.dir}/data/pg_wal/{tli:08X}.history") as f:
        return f.read().strip().splitlines()[-1].split("\t")[1]


def checkpoint(warehouse, wdb):
    return warehouse.sql('SELECT "position", source_identity::json ->> \'timeline\' FROM '
                         'penstock.checkpoints', wdb)[0]


def started(penstock, source, warehouse, wdb, /, **settings):
    source.create("a")
    source.script(TABLE, "a")
    p = penstock(to_postgres(source, "a", warehouse, wdb, source=settings)).start()
    p.wait_live(*TABLES)
    wait_caught_up(p, source, "a")
    return p


def equal(p, source, warehouse, wdb, *more):
    p.wait_live(*TABLES, *more)
    wait_caught_up(p, source, "a")
    assert_equal_postgres(source, "a", warehouse, wdb, *TABLES, *more)


def change(source, n):
    source.script(f"INSERT INTO t SELECT i, 'n' FROM generate_series({n}, {n} + 99) i; UPDATE t SET v "
                  f"= v || '+' WHERE id % 7 = 0; DELETE FROM t WHERE id = {n} + 5; INSERT INTO u "
                  f"VALUES ('{n}'); DELETE FROM u WHERE ctid = (SELECT ctid FROM u LIMIT 1)", "a")


# ------------------------------------------------------------------------------------- accepted

def test_the_same_server_on_a_new_timeline_is_followed(penstock, warehouse, wdb, duck):
    """Changes from before the switch, which the warehouse has not seen, and from after it: into
    both warehouses, stopped and killed meanwhile, twice."""
    source = Postgres()
    try:
        source.create("a")
        b = Both(penstock, source, "a", warehouse, wdb, duck)
        b.run(TABLE, *TABLES)
        for n, end in (2000, b.stop), (3000, b.p.kill9):
            b.caught_up()
            end()
            change(source, n)
            source.stop()
            before = timeline(through_recovery(source)) - 1
            change(source, n + 500)
            b.start().live(*TABLES).caught_up()
            assert b.p.log().count(f"timeline accepted from={before} to={before + 1} ") == 2
        assert b.loads("public.t") == 2  # once by each connector
        b.restart().live(*TABLES)
        change(source, 4000)
        b.equal(*TABLES)
        assert b.p.log().count("timeline accepted") == 4
        assert checkpoint(warehouse, wdb)[1] == "3"
    finally:
        source.stop()


def test_a_running_service_follows_its_server(penstock, warehouse, wdb):
    source = Postgres()
    try:
        p = started(penstock, source, warehouse, wdb)
        change(source, 2000)
        source.stop()
        through_recovery(source)
        change(source, 3000)
        wait_for("the new timeline is accepted", lambda: p.alive() and
                 "timeline accepted from=1 to=2 position=" in p.log())
        equal(p, source, warehouse, wdb)
        assert p.log().count("table loaded table=public.t ") == 1
        assert p.stop() == 0
    finally:
        source.stop()


def make_failover_slot(server, slot):
    c = PGconn.connect((server.dsn("a") + " replication=database").encode())
    r = c.exec_(f"ALTER_REPLICATION_SLOT {slot} (FAILOVER)".encode())
    assert r.status == ExecStatus.COMMAND_OK, r.error_message
    c.finish()


def standby_of(primary, **conf):
    """Both run; the standby streams."""
    primary.stop()
    data = save(primary)
    primary.start()
    primary.sql("SELECT pg_create_physical_replication_slot('standby', true)")
    signal_file(data, "standby.signal")
    shutil.rmtree(f"{data}/pg_replslot")  # as pg_basebackup: slots are not copied
    os.mkdir(f"{data}/pg_replslot", 0o700)
    own(f"{data}/pg_replslot")
    return Copied(data, primary, primary_conninfo=f"'host=127.0.0.1 port={primary.port} "
                  "user=postgres dbname=postgres'", primary_slot_name="standby",
                  hot_standby_feedback="on", **conf)


def wait_replayed(primary, standby):
    end = lsn(primary.sql("SELECT pg_current_wal_flush_lsn()::text")[0][0])
    wait_for("the standby has everything", lambda: lsn(standby.sql(
        "SELECT pg_last_wal_replay_lsn()::text")[0][0]) >= end)


def test_a_promoted_standby_with_failover_slots_is_followed(penstock, warehouse, wdb):
    """PostgreSQL 17; behind one address, while the service runs."""
    primary = Postgres(17)
    standby = proxy = None
    try:
        standby = standby_of(primary, sync_replication_slots="on")
        proxy = Proxy(primary.port)
        p = started(penstock, primary, warehouse, wdb, **{"database.port": str(proxy.port)})
        assert p.stop() == 0
        slot = primary.sql("SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical'"
                           )[0][0]
        make_failover_slot(primary, slot)
        primary.sql("ALTER SYSTEM SET synchronized_standby_slots = 'standby'")
        primary.sql("SELECT pg_reload_conf()")
        p.start().wait_live(*TABLES)

        def synced():
            primary.sql("UPDATE public.fence SET n = n + 1", "a")
            return standby.sql("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND synced "
                               "AND NOT temporary", params=(slot,))
        wait_for("the slot is there at the standby", synced, 90, 0.5)
        change(primary, 2000)
        wait_caught_up(p, primary, "a")
        wait_replayed(primary, standby)
        primary.kill()
        standby.sql("SELECT pg_promote()")
        wait_primary(standby)
        change(standby, 3000)
        proxy.target = standby.port
        equal(p, standby, warehouse, wdb)
        assert "timeline accepted from=1 to=2 " in p.log()
        assert p.log().count("table loaded table=public.t ") == 1
        assert p.stop() == 0
    finally:
        for s in (proxy, standby, primary):
            if s is not None:
                s.close() if s is proxy else s.stop()


def test_a_copy_from_the_lost_end_of_the_old_timeline_is_made_again(penstock, warehouse, wdb):
    """A table whose copy is complete, as of a point past the fork, and that the stream has not
    reached: the log of now never says what the copy has that the server has not."""
    source = Postgres()
    try:
        p = started(penstock, source, warehouse, wdb)
        assert p.stop() == 0
        source.stop()
        through_recovery(source)
        load, = warehouse.sql("SELECT load FROM penstock.tables WHERE source_table = 't'", wdb)[0]
        warehouse.script(
            f"CREATE TABLE public._penstock_load_{load} (LIKE public.t INCLUDING ALL); "
            f"INSERT INTO public._penstock_load_{load} SELECT * FROM public.t; "
            f"UPDATE public._penstock_load_{load} SET v = 'never was' WHERE id = 8; "
            "UPDATE penstock.tables SET state = 'loading', loaded = true, snapshot_csn = "
            f"{lsn(fork_of(source, 2)) + 8} WHERE source_table = 't'", wdb)
        change(source, 2000)
        p.start()
        equal(p, source, warehouse, wdb)
        assert "timeline accepted" in p.log()
        assert p.log().count("table loaded table=public.t ") == 2
        assert p.log().count("table loaded table=public.u ") == 1
        assert p.stop() == 0
    finally:
        source.stop()


# -------------------------------------------------------------------------------------- refused

def refused(p, *texts):
    t = failed_task(p, "shop", texts[0])
    assert t["state"] == "FAILED"
    for text in texts + ("snapshot.mode to when_needed",):
        assert text in t["trace"], (text, t["trace"])
    return t["trace"]


def past_the_fork(penstock, source, warehouse, wdb, /, **settings):
    """The service, stopped, and a server that was restored from a backup older than its
    checkpoint."""
    p = started(penstock, source, warehouse, wdb, **settings)
    assert p.stop() == 0
    source.stop()
    data = save(source)
    source.start()
    p.start()
    change(source, 2000)
    source.script("CREATE TABLE lost (id int PRIMARY KEY)", "a")
    equal(p, source, warehouse, wdb)
    assert p.stop() == 0
    source.stop()
    signal_file(data, "recovery.signal")
    restored = Copied(data, source, port=source.port, restore_command="'/bin/false'")
    wait_primary(restored)
    # The log of the new timeline goes on past the checkpoint, with other contents.
    restored.script("SELECT pg_logical_emit_message(false, 'x', repeat('x', 3000000))", "a")
    change(restored, 2050)
    return p, restored


def test_a_checkpoint_past_the_fork_is_refused(penstock, warehouse, wdb):
    source = Postgres()
    restored = None
    try:
        p, restored = past_the_fork(penstock, source, warehouse, wdb)
        before = warehouse.sql("SELECT * FROM t ORDER BY id", wdb)
        position, _ = checkpoint(warehouse, wdb)
        fork = fork_of(restored, 2)
        assert lsn(fork) < lsn(position)
        p.start()
        refused(p, "the server is on timeline 2", "filled from timeline 1", position, fork)
        assert warehouse.sql("SELECT * FROM t ORDER BY id", wdb) == before
        assert checkpoint(warehouse, wdb) == (position, "1")
        assert p.stop() == 0
    finally:
        source.stop()
        if restored is not None:
            restored.stop()


def test_when_needed_loads_everything_again(penstock, warehouse, wdb):
    source = Postgres()
    restored = None
    try:
        p, restored = past_the_fork(penstock, source, warehouse, wdb,
                                    **{"snapshot.mode": "when_needed"})
        p.start()
        wait_for("loaded again", lambda: p.alive() and checkpoint(warehouse, wdb)[1] == "2")
        equal(p, restored, warehouse, wdb)
        assert "all tables are loaded again" in p.log()
        change(restored, 3000)
        equal(p, restored, warehouse, wdb)
        assert p.stop() == 0
    finally:
        source.stop()
        if restored is not None:
            restored.stop()


def test_a_promoted_server_without_the_slot_is_refused(penstock, warehouse, wdb):
    primary = Postgres()
    standby = None
    try:
        standby = standby_of(primary)
        p = started(penstock, primary, warehouse, wdb)
        assert p.stop() == 0
        slot = primary.sql("SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical'"
                           )[0][0]
        wait_replayed(primary, standby)
        primary.kill()
        standby.sql("SELECT pg_promote()")
        wait_primary(standby)
        standby.stop()
        standby.write_conf(port=primary.port)
        standby.port = primary.port
        standby.start()
        p.start()
        refused(p, f"slot {slot} does not exist any more")
        assert checkpoint(warehouse, wdb)[1] == "1"
        assert standby.sql("SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'logical'"
                           ) == [(0,)]
        p.kill9()
    finally:
        primary.stop()
        if standby is not None:
            standby.stop()


def test_a_history_that_cannot_be_read_is_refused(penstock, warehouse, wdb):
    """Gone, then broken, then back: nothing was spoilt meanwhile."""
    source = Postgres()
    try:
        p = started(penstock, source, warehouse, wdb)
        assert p.stop() == 0
        source.stop()
        through_recovery(source)
        change(source, 2000)
        history = f"{source.dir}/data/pg_wal/00000002.history"
        with open(history) as f:
            good = f.read()
        os.rename(history, history + ".away")
        p.start()
        refused(p, "timeline 2", "timeline 1", "00000002.history")
        assert p.stop() == 0
        for broken in "1\tnowhere\n", "2\t0/3000000\n":
            with open(history, "w") as f:
                f.write(broken)
            own(history)
            p.start()
            refused(p, "history of timeline 2, line 1")
            assert p.stop() == 0
        with open(history, "w") as f:
            f.write("# restored\n\n" + good)
        p.start()
        equal(p, source, warehouse, wdb)
        assert p.stop() == 0
    finally:
        source.stop()


def test_a_server_that_does_not_know_our_timeline_is_refused(penstock, warehouse, wdb):
    """The old primary, back again; and one whose history is another."""
    source = Postgres()
    try:
        p = started(penstock, source, warehouse, wdb)
        assert p.stop() == 0
        said = "UPDATE penstock.checkpoints SET source_identity = replace(source_identity, "
        assert warehouse.sql(said + "'\"timeline\":1', '\"timeline\":2')", wdb) == 1
        p.start()
        refused(p, "the server is on timeline 1", "filled from timeline 2")
        assert p.stop() == 0
        source.stop()
        through_recovery(source)
        source.stop()
        through_recovery(source)
        assert timeline(source) == 3
        with open(f"{source.dir}/data/pg_wal/00000003.history") as f:
            lines = f.read().splitlines()
        with open(f"{source.dir}/data/pg_wal/00000003.history", "w") as f:
            f.write(lines[0] + "\n")
        p.start()
        refused(p, "the server is on timeline 3", "timeline 2 is not in the history of timeline 3")
        assert p.stop() == 0
    finally:
        source.stop()


def test_two_servers_promoted_to_the_same_number_are_told_apart(penstock, warehouse, wdb):
    """Both forked off the same server, at different places; the second comes to our address as
    timeline 2, too, and then goes on as 3."""
    source = Postgres()
    other = None
    try:
        p = started(penstock, source, warehouse, wdb)
        assert p.stop() == 0
        source.stop()
        data = save(source)
        through_recovery(source)
        change(source, 2000)
        p.start()
        equal(p, source, warehouse, wdb)
        assert p.stop() == 0
        source.stop()
        other = Copied(data, source, port=source.port)
        change(other, 3000)
        other.stop()
        through_recovery(other)
        assert timeline(other) == 2
        mine, theirs = fork_of(source, 2), fork_of(other, 2)
        assert mine != theirs
        other.script("SELECT pg_logical_emit_message(false, 'x', repeat('x', 3000000))", "a")
        before = warehouse.sql("SELECT * FROM t ORDER BY id", wdb)
        position, _ = checkpoint(warehouse, wdb)
        p.start()
        refused(p, "the server is on timeline 2", "filled from timeline 2", position, mine, theirs)
        assert p.stop() == 0
        other.stop()
        through_recovery(other)
        assert timeline(other) == 3
        p.start()
        refused(p, "the server is on timeline 3", "filled from timeline 2", mine, theirs)
        assert warehouse.sql("SELECT * FROM t ORDER BY id", wdb) == before
        assert checkpoint(warehouse, wdb) == (position, "2")
        assert p.stop() == 0
        other.stop()
        source.start()
        p.start()
        change(source, 4000)
        equal(p, source, warehouse, wdb)
        assert p.stop() == 0
    finally:
        source.stop()
        if other is not None:
            other.stop()


def test_books_that_do_not_say_where_the_timeline_began_learn_it(penstock, warehouse, wdb):
    """Those of before; nothing is loaded again for that."""
    source = Postgres()
    try:
        source.stop()
        through_recovery(source)
        p = started(penstock, source, warehouse, wdb)
        assert p.stop() == 0
        identity = "SELECT source_identity::jsonb ->> 'timeline_began' FROM penstock.checkpoints"
        began = warehouse.sql(identity, wdb)
        assert began == [(fork_of(source, 2),)]
        assert warehouse.sql("UPDATE penstock.checkpoints SET source_identity = (source_identity"
                             "::jsonb - 'timeline_began')::text", wdb) == 1
        change(source, 2000)
        p.start()
        equal(p, source, warehouse, wdb)
        assert warehouse.sql(identity, wdb) == began
        assert p.log().count("table loaded table=public.t ") == 1
        assert p.stop() == 0
    finally:
        source.stop()


def test_a_stream_is_opened_on_the_server_that_was_identified(probes):  # noqa: F811
    """The address is given to a promoted server between the two."""
    source = Postgres()
    promoted = proxy = None
    try:
        source.create("a")
        source.script(TABLE, "a")
        proxy = Proxy(source.port)
        p = probes(source, "a", **{"database.port": proxy.port})
        p("connect")
        p("prepare")
        position = p("point durable")[0]["point"]
        p("tables")
        p("close")
        source.stop()
        data = save(source)
        source.start()
        assert p("connect")[0]["timeline"] == 1
        signal_file(data, "recovery.signal")
        promoted = wait_primary(Copied(data, source, restore_command="'/bin/false'"))
        proxy.target = promoted.port
        assert "was exchanged or promoted" in p.fails("start " + position, "retry")["message"]
        assert p("connect")[0]["timeline"] == 2
        promoted.sql("DELETE FROM t WHERE id = 1", "a")
        p("start " + position)
        assert any(e.get("op") == "d" for e in p.poll_until(lambda e: "commit" in e))
        p.close()
    finally:
        for s in (proxy, promoted, source):
            if s is not None:
                s.close() if s is proxy else s.stop()
