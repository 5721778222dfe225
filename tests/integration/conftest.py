# SPDX-License-Identifier: Apache-2.0
import os
import sys
import uuid

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import harness  # noqa: E402
from both import Both  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def run_folder():
    yield harness.base()
    harness.cleanup()


class Servers:
    """Shared between tests; each test has databases of its own."""

    def __init__(self):
        self.shared = {}

    def get(self, role, **conf):
        if role not in self.shared:
            self.shared[role] = harness.Postgres(role=role, **conf)
        return self.shared[role]

    def stop(self):
        for s in self.shared.values():
            s.stop()


@pytest.fixture(scope="session")
def servers(run_folder):
    s = Servers()
    yield s
    s.stop()


@pytest.fixture
def source(servers):
    return servers.get("source")


@pytest.fixture
def warehouse(servers):
    return servers.get("warehouse")


@pytest.fixture
def db(source):
    """A fresh database at the source; its slots are dropped at the end."""
    name = "d" + uuid.uuid4().hex[:10]
    source.create(name)
    yield name
    for slot, pid in source.sql("SELECT slot_name, active_pid FROM pg_replication_slots "
                                "WHERE database = %s", "postgres", (name,)):
        if pid:
            source.sql("SELECT pg_terminate_backend(%s)", "postgres", (pid,))
        harness.wait_for("slot dropped", lambda s=slot: source.sql(
            "SELECT pg_drop_replication_slot(%s)", name, (s,)) is not None, 10)
    source.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def wdb(warehouse):
    name = "w" + uuid.uuid4().hex[:10]
    warehouse.create(name)
    yield name
    warehouse.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def duck(run_folder):
    return os.path.join(run_folder, uuid.uuid4().hex[:10] + ".duckdb")


@pytest.fixture
def penstock():
    """Starts programs; those still running at the end are killed."""
    started = []

    def make(config, **kw):
        p = harness.Penstock(config, **kw)
        started.append(p)
        return p

    yield make
    for p in started:
        if p.process is not None and p.process.poll() is None:
            p.process.kill()
            p.process.wait(10)


@pytest.fixture
def both(penstock, source, db, warehouse, wdb, duck):
    """The source into Postgres and DuckDB at once (both.py)."""
    def make(**kw):
        return Both(penstock, source, db, warehouse, wdb, duck, **kw)
    return make
