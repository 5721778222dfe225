# SPDX-License-Identifier: Apache-2.0
"""The image and docker-compose.yml, the very files that users get, under podman (containers.py). What
podman cannot do without systemd, scheduling health checks, is done by hand; the rest is as with
Docker."""
import json
import os
import subprocess
import urllib.error
import urllib.request
import uuid

import containers
import pytest
from containers import podman, run
from harness import PENSTOCK, ROOT, free_port, wait_for

TOKEN = "a token of the test"
SERVICES = ("shop", "trade", "penstock", "warehouse", "penstock-postgres")


@pytest.fixture(scope="module")
def image():
    """The name of the built image."""
    name = f"localhost/penstock-test-{uuid.uuid4().hex[:8]}"
    with containers.alone():
        try:
            containers.ready()
        except containers.CannotRun as e:
            pytest.skip(f"no containers here: {e}")
        containers.penstock_image(name)
    yield name
    podman("untag", name)


class Trial:
    """docker-compose.yml as a project of its own, on free ports."""

    def __init__(self, image):
        self.name = "t" + uuid.uuid4().hex[:8]
        self.port, self.port_postgres = free_port(), free_port()
        self.env = {"PENSTOCK_IMAGE": image, "PENSTOCK_TOKEN": TOKEN, "PENSTOCK_PORT": str(self.port),
                    "PENSTOCK_POSTGRES_PORT": str(self.port_postgres)}

    def compose(self, *args):
        return run("podman-compose", "-p", self.name, "-f", f"{ROOT}/docker-compose.yml", *args, ok=None,
                   timeout=120, **self.env)

    def up(self):
        self.compose("up", "-d", "--no-build", *SERVICES)

    def container(self, service):
        return f"{self.name}_{service}_1"

    def wait_healthy(self, *services):
        for s in services:
            wait_for(f"{s} healthy", lambda s=s: podman(
                "healthcheck", "run", self.container(s), ok=None).returncode == 0, 60, 0.3)

    def client(self, *args, port=None, token=TOKEN):
        return subprocess.run(
            [PENSTOCK, *args, "--url", f"http://127.0.0.1:{port or self.port}"], capture_output=True,
            text=True, stdin=subprocess.DEVNULL, timeout=60, env={**os.environ, "PENSTOCK_TOKEN": token})

    def query(self, sql):
        r = self.client("query", sql, "--output", "json")
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)["rows"]

    def shop(self, sql, service="shop", **env):
        r = podman("exec", *(f"--env={k}={v}" for k, v in env.items()), self.container(service),
                   "psql", "-XAt", "-U", env.get("PGUSER", "postgres"), "-d", service, "-c", sql)
        return r.stdout.strip()

    def answer(self, path, token):
        req = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if token:
            req.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(req, timeout=5) as r:
                return r.status
        except urllib.error.HTTPError as e:
            return e.code

    def volume(self, name="penstock"):
        return podman("volume", "inspect", "--format", "{{.Mountpoint}}",
                      f"{self.name}_{name}").stdout.strip()

    def log(self, service="penstock"):
        r = podman("logs", self.container(service))
        return r.stdout + r.stderr

    def left(self):
        """Whatever bears the project's name."""
        return [n for kind, field in (("container", "Names"), ("volume", "Name"), ("network", "Name"))
                for n in podman(kind, "ls", *(["-a"] if kind == "container" else []), "--format",
                                f"{{{{.{field}}}}}").stdout.split() if n.startswith(self.name + "_")]


@pytest.fixture
def trial(image):
    t = Trial(image)
    yield t
    for s in reversed(SERVICES):
        podman("rm", "-f", "-v", "-t", "2", t.container(s), ok=None)
    for n in t.left():
        podman("network" if n.endswith("_default") else "volume", "rm", "-f", n, ok=None)
    assert t.left() == []


def test_the_image(image):
    assert podman("run", "--rm", "--network=none", image, "version").stdout.startswith("penstock ")
    conf = json.loads(podman("image", "inspect", image).stdout)[0]["Config"]
    assert conf["Entrypoint"][-1] == "penstock" and conf["Cmd"] == [
        "run", "-c", "/etc/penstock/penstock.yaml"]
    assert list(conf["Volumes"]) == ["/var/lib/penstock"] and list(conf["ExposedPorts"]) == ["8083/tcp"]
    assert conf["User"] == "penstock" and conf["Labels"]["org.opencontainers.image.title"] == "penstock"
    r = podman("run", "--rm", "--network=none", "--entrypoint", "sh", image, "-c",
               "id -u; ls -ld /var/lib/penstock; ls /usr/include /usr/bin/gcc /usr/bin/npm /src", ok=None)
    assert r.stdout.startswith("10001\ndrwxr-x--- ") and "gcc" not in r.stdout, r.stdout
    # What must not be on the network without a token does not start.
    r = podman("run", "--rm", "--network=none", "-v",
               f"{ROOT}/examples/compose/penstock.yaml:/etc/penstock/penstock.yaml:ro", image, ok=None)
    assert r.returncode == 2 and "PENSTOCK_TOKEN" in r.stderr, r.stderr


def newcomer_arrives(trial, name):
    trial.shop(f"INSERT INTO customers (name, country) VALUES ('{name}', 'SE')")
    wait_for(f"{name} in the warehouse", lambda: trial.query(
        f"SELECT country FROM public.customers WHERE name = '{name}'") == [["SE"]], 20)


def rows_move(trial):
    first = trial.query("SELECT max(id) FROM public.orders")[0][0]
    assert first >= 10000
    wait_for("orders that arrive", lambda: trial.query("SELECT max(id) FROM public.orders")[0][0] > first,
             20)


def test_the_compose_file(trial):
    trial.up()
    trial.wait_healthy("shop", "penstock")
    wait_for("all tables live", lambda: trial.client("status").stdout.count(" live") >= 3, 60)
    rows_move(trial)
    newcomer_arrives(trial, "Ada")
    assert [trial.answer("/v1/tables", t) for t in (TOKEN, None, "trial")] == [200, 401, 401]
    assert trial.answer("/livez", None) == 200
    r = podman("exec", trial.container("penstock"), "penstock", "status")  # has the token
    assert "live" in r.stdout

    # The second warehouse, of --profile postgres.
    trial.wait_healthy("warehouse", "penstock-postgres")
    wait_for("rows in Postgres", lambda: trial.shop(
        "SELECT name FROM customers WHERE name = 'Ada'", "warehouse", PGUSER="warehouse") == "Ada", 60)

    # docker stop: what is complete is applied, the file is whole.
    podman("stop", "-t", "20", trial.container("penstock"))
    state = json.loads(podman("inspect", trial.container("penstock")).stdout)[0]["State"]
    assert state["ExitCode"] == 0
    files = os.listdir(trial.volume())
    assert "warehouse.duckdb" in files and "warehouse.duckdb.wal" not in files

    # down, and up again: it goes on.
    trial.compose("down")
    assert not [n for n in trial.left() if n.endswith("_1")]
    trial.up()
    trial.wait_healthy("shop", "penstock")
    rows_move(trial)
    newcomer_arrives(trial, "Grace")
    assert trial.query("SELECT count(*) FROM public.customers") == [[1002]]
    log = trial.log()
    assert "table=public.orders from=none to=live" in log and "table loaded" not in log, log
