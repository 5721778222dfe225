# SPDX-License-Identifier: Apache-2.0
"""Real servers and the real program, started by the tests on free loopback ports, in temporary
folders, stopped by the id of the process that was started. Waits are bounded waits on a condition."""
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "chaos"))
from proxy import BOTH, Proxy  # noqa: E402, F401: also for those who import it from here

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.abspath(os.environ.get("PENSTOCK_BUILD", os.path.join(ROOT, "build")))
# The build whose unit programs are run, where the suite does so with a server.
UNITS = os.path.abspath(os.environ.get("PENSTOCK_UNITS", BUILD))
DEPS = os.path.join(ROOT, ".deps")
PENSTOCK = os.path.join(BUILD, "penstock")
SLOW = float(os.environ.get("PENSTOCK_SLOW", "1"))  # all waits times this: under a sanitizer, 5

_base = None


def base():
    """The folder of this run; others (the unprivileged server user) may pass through it."""
    global _base
    if _base is None:
        _base = tempfile.mkdtemp(prefix="penstock-test-")
        os.chmod(_base, 0o755)
    return _base


def cleanup():
    if _base is not None:
        shutil.rmtree(_base, ignore_errors=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, timeout=30, interval=0.05):
    """The condition's first true value; an AssertionError naming `what` when the time is up."""
    timeout *= SLOW
    end = time.monotonic() + timeout
    last = None
    while time.monotonic() < end:
        try:
            value = condition()
            if value:
                return value
            last = value
        except Exception as e:  # noqa: BLE001: the condition may not be askable yet
            last = e
        time.sleep(interval)
    raise AssertionError(f"not within {timeout} s: {what} (last: {last!r})")


def as_server_user():
    """Postgres refuses to run as root."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def postgres_bin(version=None):
    """Debian's newest server (15 first), or an embedded one of that major version."""
    if version is not None and os.path.isdir(f"{DEPS}/pg{version}/native/bin"):
        return f"{DEPS}/pg{version}/native/bin"
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(p.split("/")[4]))
    preferred = f"/usr/lib/postgresql/{version or 15}/bin"
    if preferred in found:
        return preferred
    if version is None and found:
        return found[-1]
    raise RuntimeError(f"no PostgreSQL {version or ''} found")


class Postgres:
    _templates = {}

    def __init__(self, version=None, role="source", **conf):
        """role: servers of one role are copies of one initdb, with one system identifier."""
        self.bin = postgres_bin(version)
        self.role = role
        self.port = conf.pop("port", None) or free_port()
        self.dir = tempfile.mkdtemp(prefix="pg-", dir=base())
        if os.getuid() == 0:
            shutil.chown(self.dir, "nobody", "nogroup")
        self.conf = dict(
            listen_addresses="'127.0.0.1'", port=self.port,
            unix_socket_directories=f"'{self.dir}'", wal_level="logical", fsync="off",
            shared_buffers="32MB", max_wal_senders=20, max_replication_slots=20,
            max_prepared_transactions=5, wal_sender_timeout="10s", max_wal_size="256MB",
            log_min_messages="warning", autovacuum_naptime="10s")
        self.conf.update(conf)
        self.process = None
        self._init()
        self.start()

    def _init(self):
        template = Postgres._templates.get((self.bin, self.role))
        if template is None:
            template = tempfile.mkdtemp(prefix="initdb-", dir=base())
            if os.getuid() == 0:
                shutil.chown(template, "nobody", "nogroup")
            subprocess.run(as_server_user() + [f"{self.bin}/initdb", "-D", f"{template}/data", "-U",
                           "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
                           check=True, stdout=subprocess.DEVNULL, cwd=template)
            Postgres._templates[(self.bin, self.role)] = template
        subprocess.run(["cp", "-a", f"{template}/data", f"{self.dir}/data"], check=True)
        self.write_conf()

    def write_conf(self, **more):
        self.conf.update(more)
        with open(f"{self.dir}/data/postgresql.auto.conf", "w") as f:
            for k, v in self.conf.items():
                f.write(f"{k} = {v}\n")

    def start(self):
        log = open(f"{self.dir}/log", "ab")
        self.process = subprocess.Popen(
            as_server_user() + [f"{self.bin}/postgres", "-D", f"{self.dir}/data"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.dir, start_new_session=True)
        log.close()
        wait_for("postgres accepts connections", lambda: self.sql("SELECT 1"), 30)

    def stop(self, how=signal.SIGINT, timeout=30):
        if self.process is None:
            return
        self.process.send_signal(how)
        self.process.wait(timeout)
        self.process = None

    def restart(self, how=signal.SIGINT):
        self.stop(how)
        self.start()

    def kill(self):
        """As a power cut: the postmaster and, through it, everything."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
            self.process = None

    def dsn(self, db="postgres", user="postgres"):
        return f"host=127.0.0.1 port={self.port} dbname={db} user={user} client_encoding=UTF8"

    def url(self, db="postgres", user="postgres"):
        return f"postgres://{user}@127.0.0.1:{self.port}/{db}"

    def connect(self, db="postgres", **kw):
        kw.setdefault("autocommit", True)
        return psycopg.connect(self.dsn(db), **kw)

    def sql(self, query, db="postgres", params=None):
        with self.connect(db) as c:
            cur = c.execute(query, params)
            return cur.fetchall() if cur.description else cur.rowcount

    def script(self, text, db="postgres"):
        """Several statements, each by itself."""
        with self.connect(db) as c:
            c.execute(text)

    def create(self, db):
        """At a source with a table that wait_caught_up can change."""
        self.sql(f'CREATE DATABASE "{db}"')
        if self.role != "warehouse":
            self.script("CREATE TABLE public.fence (id int PRIMARY KEY, n bigint NOT NULL); "
                        "INSERT INTO public.fence VALUES (1, 0)", db)


class Penstock:
    """One run after another of the program with one configuration."""

    def __init__(self, config, name="shop", env=None):
        self.dir = tempfile.mkdtemp(prefix="penstock-", dir=base())
        self.port = free_port()
        self.config = config
        self.env = env or {}
        service = self.config.setdefault("service", {})
        service.setdefault("name", name)
        service.setdefault("data.dir", f"{self.dir}/data")
        service.setdefault("listen", f"127.0.0.1:{self.port}")
        self.process = None
        self.log_path = f"{self.dir}/log"

    def write(self):
        path = f"{self.dir}/penstock.yaml"
        with open(path, "w") as f:
            json.dump(self.config, f, indent=1)
        return path

    def start(self, *, debug=False):
        if debug:
            self.config["service"]["log.level"] = "debug"
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [PENSTOCK, "run", "-c", self.write()], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            cwd=self.dir, env={**os.environ, **self.env})
        log.close()
        return self

    def kill9(self):
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def stop(self, timeout=15):
        """SIGTERM; the exit code. It promises to end within 10 s."""
        self.process.terminate()
        code = self.process.wait(timeout)
        self.process = None
        return code

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def get(self, path):
        req = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        try:
            with urllib.request.urlopen(req, timeout=5) as r:
                body, status = r.read().decode(), r.status
        except urllib.error.HTTPError as e:
            body, status = e.read().decode(), e.code
        return status, body

    def json(self, path):
        return json.loads(self.get(path)[1])

    def tables(self):
        return {(t["schema"], t["table"]): t for t in self.json("/v1/tables")}

    def status(self, connector):
        return self.json(f"/connectors/{connector}/status")

    def alive(self):
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"penstock ended with {self.process.returncode}:\n{self.log()}")
        return True

    def wait_live(self, *names, timeout=60):
        """Until these tables (schema.table; default: every known one) are live."""
        def live():
            self.alive()
            t = self.tables()
            want = [tuple(n.split(".", 1)) for n in names] or list(t)
            return want and all(t.get(n, {}).get("state") == "live" for n in want)
        try:
            return wait_for(f"{names or 'all tables'} live", live, timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log()[-4000:]}") from None


def lsn(text):
    hi, lo = text.split("/")
    return (int(hi, 16) << 32) | int(lo, 16)


def wait_caught_up(penstock, source, db, timeout=60, where="warehouse_position"):
    """Until the acknowledged position (only ever what stands in the checkpoint) has passed the end
    of the source's log as of now."""
    end = source.sql("SELECT pg_current_wal_insert_lsn()::text", db)[0][0]

    def passed():
        if penstock is not None:
            penstock.alive()
        rows = source.sql("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE "
                          "NOT temporary AND database = current_database()", db)
        return rows and all(r[0] is not None and lsn(r[0]) >= lsn(end) for r in rows)

    # A keepalive alone moves the position at most every 10 s: a change of ours brings it at once.
    source.sql("UPDATE public.fence SET n = n + 1", db)
    try:
        wait_for(f"position past {end}", passed, timeout)
    except AssertionError as e:
        raise AssertionError(f"{e}\n{penstock.log()[-4000:] if penstock else ''}") from None


GUCS = ("-c datestyle=ISO,YMD -c intervalstyle=postgres -c extra_float_digits=3 "
        "-c bytea_output=hex -c timezone=UTC -c lc_monetary=C -c standard_conforming_strings=on "
        "-c search_path=")


def columns(server, db, schema, table):
    """Name and type of each column that can be replicated; of a domain, the type under it."""
    return server.sql(
        "WITH RECURSIVE c AS (SELECT attnum, attname, atttypid AS t, atttypmod AS m FROM "
        "pg_attribute WHERE attrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND "
        "attnum > 0 AND NOT attisdropped AND attgenerated = '' UNION ALL SELECT attnum, attname, "
        "typbasetype, CASE WHEN m = -1 THEN typtypmod ELSE m END FROM c JOIN pg_type y ON y.oid = "
        "t WHERE typtype = 'd') SELECT attname, format_type(t, m) FROM c JOIN pg_type y ON "
        "y.oid = t WHERE typtype <> 'd' ORDER BY attnum", db, (schema, table))


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def _text(q):
    """The type's own output: a cast to text would take blanks off character(n), add masks to inet;
    and a row of NULLs is not NULL."""
    return f"CASE WHEN {q} IS DISTINCT FROM NULL THEN concat({q}) END"


def _source_text(name, type_):
    """As _text; a "char" with its high bit set as PostgreSQL 16 and later print it (before, a byte
    that is no UTF-8)."""
    q = quote(name)
    if type_ != '"char"':
        return _text(q)
    byte = f"get_byte(charsend({q}), 0)"
    return (f"CASE WHEN {byte} > 127 THEN '\\' || ({byte} >> 6) || (({byte} >> 3) & 7) || "
            f"({byte} & 7) ELSE {q}::text END")


def pg_rows(server, db, schema, table, exprs):
    """These expressions for every row, sorted."""
    with psycopg.connect(server.dsn(db), autocommit=True, options=GUCS) as c:
        rows = c.execute(f"SELECT {', '.join(exprs) or '1'} FROM "
                         f"{quote(schema)}.{quote(table)}").fetchall()
    return sorted(rows, key=repr)


def _pg_expr(name, type_):
    """What both engines can print alike."""
    q = quote(name)
    if type_.endswith("[]"):
        return _text(q)
    if re.match(r"timestamp|date$", type_):
        epoch = (f"(extract(epoch FROM {q}) * 1000000)::numeric(30,0)::text"
                 if type_.startswith("timestamp") else f"({q} - date '1970-01-01')::text")
        return f"CASE WHEN isfinite({q}) THEN {epoch} ELSE {q}::text END"
    if re.match(r"time(\(\d\))? without", type_):
        return f"(extract(epoch FROM {q}) * 1000000)::bigint::text"
    if type_.startswith("interval"):
        return (f"(extract(year FROM {q}) * 12 + extract(month FROM {q}))::bigint || ' ' || "
                f"extract(day FROM {q})::bigint || ' ' || (extract(hour FROM {q}) * 3600000000 + "
                f"extract(minute FROM {q}) * 60000000 + extract(microseconds FROM {q}))::bigint")
    if type_ == "bytea":
        return f"upper(encode({q}, 'hex'))"
    if type_ == "money":
        return f"{q}::numeric::text"
    if type_ in ("real", "double precision"):
        return f"float8send({q}::float8 + 0)::text"  # DuckDB cannot keep -0 apart from 0
    if type_ == "boolean":
        return f"{q}::text"
    return _source_text(name, type_)


def _duck_expr(name, type_):
    q = quote(name)
    if type_.startswith("TIMESTAMP"):
        return f"CASE WHEN isfinite({q}) THEN epoch_us({q})::VARCHAR ELSE {q}::VARCHAR END"
    if type_ == "DATE":
        return f"CASE WHEN isfinite({q}) THEN ({q} - DATE '1970-01-01')::VARCHAR ELSE {q}::VARCHAR END"
    if type_ == "TIME":
        return f"epoch_us({q})::VARCHAR"
    if type_ == "INTERVAL":
        return (f"(datepart('year', {q}) * 12 + datepart('month', {q}))::BIGINT || ' ' || "
                f"datepart('day', {q}) || ' ' || (datepart('hour', {q}) * 3600000000 + "
                f"datepart('minute', {q}) * 60000000 + datepart('microseconds', {q}))::BIGINT")
    if type_ == "BLOB":
        return f"hex({q})"
    if type_ == "BOOLEAN":
        return f"CASE WHEN {q} THEN 'true' WHEN NOT {q} THEN 'false' END"
    if type_ in ("FLOAT", "DOUBLE"):
        return q + "::DOUBLE"
    return f"{q}::VARCHAR"


def _float_bytes(v):
    import struct
    return None if v is None else "\\x" + struct.pack(">d", v).hex()


def duck_table(path, schema, table, names):
    """Its columns of these names (also kept: columns that the source has dropped), in this order."""
    import duckdb
    with duckdb.connect(path, read_only=True) as c:
        cols = c.execute("SELECT column_name, data_type FROM information_schema.columns WHERE "
                         "table_schema = ? AND table_name = ? AND column_name NOT LIKE "
                         "'\\_penstock\\_%' ESCAPE '\\' ORDER BY ordinal_position",
                         [schema, table]).fetchall()
        there = dict(cols)
        missing = [n for n in names if n not in there]
        assert not missing, (table, missing, cols)
        cols = [(n, there[n]) for n in names]
        exprs = ", ".join(_duck_expr(n, t) for n, t in cols)
        catalog = c.execute("SELECT current_database()").fetchone()[0]
        rows = c.execute(f"SELECT {exprs} FROM {quote(catalog)}.{quote(schema)}.{quote(table)}"
                         ).fetchall()
    floats = [i for i, (_, t) in enumerate(cols) if t in ("FLOAT", "DOUBLE")]
    out = []
    for r in rows:
        r = list(r)
        for i in floats:
            r[i] = _float_bytes(r[i])
        out.append(tuple(r))
    return [n for n, _ in cols], sorted(out, key=repr)


def source_for_duck(server, db, schema, table):
    cols = columns(server, db, schema, table)
    exprs = ", ".join(_pg_expr(n, t) for n, t in cols)
    with psycopg.connect(server.dsn(db), autocommit=True, options=GUCS) as c:
        rows = c.execute(f"SELECT {exprs} FROM {quote(schema)}.{quote(table)}").fetchall()
    return [n for n, _ in cols], sorted(rows, key=repr)


def show_difference(what, cols, a, b):
    """Rows that both sides have by their first column: where they differ; others whole."""
    count_a, count_b = Counter(a), Counter(b)
    only_a, only_b = list((count_a - count_b).elements()), list((count_b - count_a).elements())
    at = {r[0]: r for r in only_b}
    differ = [(r[0], {c: (x, y) for c, x, y in zip(cols, r, at[r[0]]) if x != y})
              for r in sorted(only_a, key=repr) if r[0] in at][:5]
    seen = {r[0] for r in only_a} & set(at)
    raise AssertionError(
        f"{what}: {len(a)} rows at the source, {len(b)} in the warehouse; different (source, "
        f"warehouse): {differ}; only at the source: {[r for r in only_a if r[0] not in seen][:5]}; "
        f"only in the warehouse: {[r for r in only_b if r[0] not in seen][:5]}")


def assert_equal_postgres(source, sdb, warehouse, wdb, *tables):
    for name in tables:
        schema, table = name.split(".", 1)
        cols = columns(source, sdb, schema, table)
        a = pg_rows(source, sdb, schema, table, [_source_text(c, t) for c, t in cols])
        b = pg_rows(warehouse, wdb, schema, table, [_text(quote(c)) for c, _ in cols])
        if a != b:
            show_difference(name, [c for c, _ in cols], a, b)


def assert_equal_duckdb(source, sdb, path, *tables):
    for name in tables:
        schema, table = name.split(".", 1)
        cols, a = source_for_duck(source, sdb, schema, table)
        _, b = duck_table(path, schema, table, cols)
        if a != b:
            show_difference(name, cols, a, b)


def source_config(server, db, prefix="shop", **more):
    return {"connector.class": "postgres", "topic.prefix": prefix, "database.hostname": "127.0.0.1",
            "database.port": str(server.port), "database.user": "postgres", "database.dbname": db,
            **more}


def to_postgres(source, sdb, warehouse, wdb, /, **more):
    return {"connectors": {
        "shop": source_config(source, sdb, **more.pop("source", {})),
        "warehouse": {"connector.class": "postgres-warehouse", "topics.regex": "shop\\..*",
                      "connection.url": warehouse.url(wdb), **more}}}


def to_duckdb(source, sdb, path, /, **more):
    return {"connectors": {
        "shop": source_config(source, sdb, **more.pop("source", {})),
        "warehouse": {"connector.class": "duckdb", "topics.regex": "shop\\..*",
                      "connection.url": f"duckdb:{path}", **more}}}
