# SPDX-License-Identifier: Apache-2.0
"""The commands of the pages, run in the page's order as the page gives them: docs/operations.md, and
docs/getting-started.md (its `docker compose` ones are in test_compose.py)."""
import os
import re
import signal
import subprocess

import pytest
from harness import BUILD, PENSTOCK, ROOT, free_port, lsn, to_postgres, wait_for


def commands(page):
    with open(os.path.join(ROOT, "docs", page)) as f:
        return re.findall(r"^    ((?:penstock|curl|psql) .*)$", f.read(), re.M)


def section(page, title):
    """Every command of one section of a page."""
    with open(os.path.join(ROOT, "docs", page)) as f:
        text = f.read().split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^    (\S.*)$", text, re.M)


def test_operations(source, db, warehouse, wdb, penstock, tmp_path):
    source.script("CREATE TABLE orders (id int PRIMARY KEY, v text); INSERT INTO orders VALUES (1, 'a')",
                  db)
    p = penstock(to_postgres(source, db, warehouse, wdb))
    os.symlink(PENSTOCK, os.path.join(p.dir, "penstock"))
    env = {**os.environ, "PATH": f"{p.dir}:{os.environ['PATH']}", "PGHOST": "127.0.0.1",
           "PGPORT": str(source.port), "PGUSER": "postgres", "PGDATABASE": db}
    p.write()
    todo = commands("operations.md")
    assert len(todo) > 10 and todo[1] == "penstock run -c penstock.yaml"
    for c in todo:
        if c.startswith("penstock run"):
            p.start().wait_live("public.orders")
            wait_for("the checkpoint", lambda: lsn(source.sql(
                "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE NOT temporary AND "
                "database = current_database()", db)[0][0]) > 0, 20)
            continue
        if c.startswith("penstock remove"):
            assert p.stop() == 0
        c = c.replace("http://127.0.0.1:8083", f"http://127.0.0.1:{p.port}")
        if c.startswith("penstock") and " -c " not in c:
            c += f" --url http://127.0.0.1:{p.port}"
        if "readyz" in c or c.startswith("penstock pause"):
            wait_for("ready", lambda: p.get("/readyz")[0] == 200, 20)
        r = subprocess.run(c, shell=True, cwd=p.dir, env=env, capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, timeout=60)
        assert r.returncode == 0, f"{c}\n{r.stdout}\n{r.stderr}"
    assert source.sql("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()",
                      db) == [(0,)]
    assert warehouse.sql("SELECT count(*) FROM public.orders", wdb) == [(1,)]


class Machine:
    """What a page's commands are run on: sudo, make, apt-get and systemctl do here, in a folder, what
    they would do to the machine; the rest is run as it stands, but for addresses and paths."""

    def __init__(self, source, db, folder):
        self.dir, self.root, self.port, self.service = str(folder), str(folder / "root"), free_port(), None
        self.replace = [("127.0.0.1:5432/shop", f"127.0.0.1:{source.port}/{db}"), ("-d shop", f"-d {db}"),
                        ("127.0.0.1:8083", f"127.0.0.1:{self.port}"), ("sudo ", ""),
                        ("/etc/penstock", f"{self.root}/etc/penstock"),
                        ("/usr/share", f"{self.root}/usr/share")]
        self.settings = (source.port, db)
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))},
                    "PATH": f"{self.root}/usr/bin:{os.environ['PATH']}", "PGHOST": "127.0.0.1",
                    "PGPORT": str(source.port), "PGUSER": "postgres"}
        os.symlink(BUILD, f"{folder}/build")

    def run(self, c):
        for a, b in self.replace:
            c = c.replace(a, b)
        if re.search(r"penstock (status|query)\b", c):
            c += f" --url http://127.0.0.1:{self.port}"
        r = subprocess.run(c, shell=True, cwd=self.dir, env=self.env, capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, timeout=120)
        assert r.returncode == 0, f"{c}\n{r.stdout}\n{r.stderr}"
        return r.stdout

    def make(self, c):
        r = subprocess.run([*c.split(), "--no-print-directory", f"BUILD={os.path.relpath(BUILD, ROOT)}"],
                           cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=300)
        assert r.returncode == 0, r.stdout + r.stderr

    def start(self, c, cwd=None):
        with open(f"{self.dir}/log", "w") as log:
            self.service = subprocess.Popen(c, shell=True, cwd=cwd or self.dir, env=self.env, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        wait_for("ready", lambda: subprocess.run(
            ["curl", "-fsS", f"http://127.0.0.1:{self.port}/readyz"], capture_output=True).returncode == 0)
        wait_for("live", lambda: " live" in self.run(f"{PENSTOCK} status"))

    def stop(self, how):
        os.killpg(self.service.pid, how)
        assert self.service.wait(15) == 0, open(f"{self.dir}/log").read()
        self.service = None

    def apt_get(self, c):
        for d in ("updates", "info"):
            os.makedirs(f"{self.root}/var/lib/dpkg/{d}")
        open(f"{self.root}/var/lib/dpkg/status", "w").close()
        self.run(f"dpkg --root={self.root} --force-depends --force-not-root --log=/dev/null --install "
                 + c.split()[-1])

    def systemctl(self, c):
        if "stop" in c:
            return self.stop(signal.SIGTERM)
        with open(f"{self.root}/lib/systemd/system/penstock.service") as f:
            unit = dict(line.split("=", 1) for line in f.read().splitlines() if "=" in line
                        and not line.startswith("#"))
        assert unit["WorkingDirectory"] == "/var/lib/" + unit["StateDirectory"]
        home = self.root + unit["WorkingDirectory"]
        os.makedirs(home)
        command = (unit["ExecStart"].replace("/usr/bin", f"{self.root}/usr/bin")
                   .replace("/etc/penstock", f"{self.root}/etc/penstock"))
        self.start(f"set -a; . {self.root}{unit['EnvironmentFile'].lstrip('-')}; exec {command}", home)
        assert os.path.exists(f"{home}/warehouse.duckdb")

    def edit(self):
        """As the page asks: host, database and user; here the ports too."""
        path = f"{self.root}/etc/penstock/penstock.yaml"
        with open(path) as f:
            text = f.read()
        port, db = self.settings
        for a, b in (("database.port: 5432", f"database.port: {port}"),
                     ("database.dbname: shop", f"database.dbname: {db}"),
                     ("listen: 127.0.0.1:8083", f"listen: 127.0.0.1:{self.port}")):
            assert a in text
            text = text.replace(a, b)
        with open(path, "w") as f:
            f.write(text)


@pytest.fixture
def machine(source, db, tmp_path):
    source.script("DROP TABLE fence; CREATE TABLE customers (id int PRIMARY KEY, name text); "
                  "CREATE TABLE orders (id int PRIMARY KEY, v text); INSERT INTO orders VALUES (1, 'a')", db)
    m = Machine(source, db, tmp_path)
    yield m
    if m.service is not None and m.service.poll() is None:
        os.killpg(m.service.pid, signal.SIGKILL)
        m.service.wait(10)
    source.sql("DROP OWNED BY penstock; DROP ROLE penstock" if source.sql(
        "SELECT 1 FROM pg_roles WHERE rolname = 'penstock'") else "SELECT 1", db)


def test_getting_started_from_the_source(machine):
    todo = section("getting-started.md", "From the source, with your own database")
    assert len(todo) == 7
    for c in todo:
        if c == "make":
            machine.make(c)
        elif "penstock sync" in c:
            for a, b in machine.replace:
                c = c.replace(a, b)
            machine.start(f"exec {c} --listen 127.0.0.1:{machine.port}")
        else:
            if "penstock remove" in c:
                machine.stop(signal.SIGINT)
            out = machine.run(c)
            assert "query" not in c or " a " in out + " ", out


def test_getting_started_as_a_service(machine):
    todo = section("getting-started.md", "As a service")
    assert len(todo) == 13
    for c in todo:
        if c == "make deb":
            machine.make(c)
        elif "apt-get" in c:
            machine.apt_get(c)
        elif "systemctl" in c:
            machine.systemctl(c)
        else:
            machine.run(c)
        if c.startswith("sudo cp"):
            machine.edit()
