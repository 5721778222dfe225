# SPDX-License-Identifier: Apache-2.0
"""One source into both warehouses at once: one program with a source connector and slot for each.

What a test changes at the source must be true in Postgres and in DuckDB. DuckDB's file is closed
to others while the program runs, so it is compared at the end (`equal` stops the program)."""
import re

import duckdb
import harness
from harness import wait_caught_up, wait_for

KINDS = ("postgres", "duckdb")


class Both:
    def __init__(self, make, source, db, warehouse, wdb, duck, *, kinds=KINDS, settings=None,
                 sink=None, service=None, env=None):
        """settings, sink: more settings of the source connectors, of the warehouses."""
        self.source, self.db, self.warehouse, self.wdb, self.duck = (source, db, warehouse, wdb,
                                                                     duck)
        self.kinds = kinds
        connectors = {}
        for kind in kinds:
            prefix = "to_" + kind
            connectors[prefix] = harness.source_config(source, db, prefix, **(settings or {}))
            connectors[kind] = {"topics.regex": prefix + "\\..*", **(sink or {})}
        if "postgres" in kinds:
            connectors["postgres"].update({"connector.class": "postgres-warehouse",
                                           "connection.url": warehouse.url(wdb)})
        if "duckdb" in kinds:
            connectors["duckdb"].update({"connector.class": "duckdb",
                                         "connection.url": "duckdb:" + duck})
        self.p = make({"service": dict(service or {}), "connectors": connectors}, env=env)

    def start(self):
        self.p.start()
        return self

    def run(self, script, *tables, timeout=60):
        """The script at the source, then the program, until the tables are live."""
        self.source.script(script, self.db)
        self.start()
        return self.live(*tables, timeout=timeout)

    def sql(self, *statements):
        """Each one a transaction of its own (or, with BEGIN in it, several statements in one)."""
        for s in statements:
            self.source.script(s, self.db)
        return self

    def transaction(self, *statements):
        with self.source.connect(self.db, autocommit=False) as c:
            for s in statements:
                c.execute(s)
        return self

    def tables(self, kind):
        return {f"{t['schema']}.{t['table']}": t for t in self.p.json("/v1/tables")
                if t["connector"] == "to_" + kind}

    def state(self, kind, table):
        return self.tables(kind).get(table, {}).get("state")

    def wait_state(self, state, *tables, kinds=None, timeout=60):
        def there():
            self.p.alive()
            return all(self.state(k, t) == state for k in kinds or self.kinds for t in tables)
        try:
            wait_for(f"{tables} {state}", there, timeout)
        except AssertionError as e:
            states = {k: self.tables(k) for k in self.kinds}
            raise AssertionError(f"{e}\n{states}\n{self.p.log()[-4000:]}") from None
        return self

    def live(self, *tables, timeout=60):
        return self.wait_state("live", *tables, timeout=timeout)

    def reason(self, kind, table, pattern, state="needs snapshot", timeout=60):
        """Until the table has stopped there, for a reason that says so."""
        self.wait_state(state, table, kinds=[kind], timeout=timeout)
        reason = self.tables(kind)[table]["reason"]
        assert re.search(pattern, reason), reason
        return self

    def caught_up(self, timeout=60):
        wait_caught_up(self.p, self.source, self.db, timeout)
        return self

    def loads(self, table):
        """How often this table has been loaded, by all connectors together."""
        return self.p.log().count(f"table loaded table={table} ")

    def metric(self, name):
        """The sum of a metric over its labels."""
        return sum(float(m.group(1)) for m in re.finditer(
            rf"^{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", self.p.get("/metrics")[1], re.M))

    def restart(self):
        self.stop()
        return self.start()

    def stop(self):
        assert self.p.stop() == 0, self.p.log()
        return self

    def equal_postgres(self, *tables):
        """Now, while it runs."""
        self.caught_up()
        harness.assert_equal_postgres(self.source, self.db, self.warehouse, self.wdb, *tables)
        return self

    def equal(self, *tables, kinds=None):
        """Live and equal to the source in both; ends the program."""
        kinds = kinds or self.kinds
        self.caught_up()
        self.wait_state("live", *tables, kinds=kinds, timeout=10)
        return self.stop().assert_equal(*tables, kinds=kinds)

    def assert_equal(self, *tables, kinds=None):
        """As it is now, with the program stopped."""
        kinds = kinds or self.kinds
        try:
            if "postgres" in kinds:
                harness.assert_equal_postgres(self.source, self.db, self.warehouse, self.wdb,
                                              *tables)
            if "duckdb" in kinds:
                harness.assert_equal_duckdb(self.source, self.db, self.duck, *tables)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.p.log()[-4000:]}") from None
        return self

    def assert_only(self, *tables):
        """These rows (without our columns, ordered by the first) in each public table, everywhere."""
        for table, rows in tables:
            if "postgres" in self.kinds:
                got = self.warehouse.sql(f"SELECT * FROM {table} ORDER BY 1", self.wdb)
                assert [r[:-2] for r in got] == rows, (table, got)
            if "duckdb" in self.kinds:
                with duckdb.connect(self.duck, read_only=True) as c:
                    got = c.execute("SELECT * EXCLUDE (_penstock_csn, _penstock_committed_at) FROM "
                                    f"public.{table} ORDER BY 1").fetchall()
                assert got == rows, (table, got)
        return self
