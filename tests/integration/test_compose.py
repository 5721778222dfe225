# SPDX-License-Identifier: Apache-2.0
"""The image and docker-compose.yml, the very files that users get, under podman (containers.py), with
the commands of docs/getting-started.md. What podman cannot do without systemd, scheduling health
checks, is done by hand; podman-compose knows no profiles, so that services are named."""
import json
import os
import shlex
import subprocess
import urllib.error
import urllib.request
import uuid

import containers
import pytest
from containers import podman, run
from harness import PENSTOCK, ROOT, free_port, wait_for
from test_docs import section

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
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no containers here: {e}")
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

    def page(self, line):
        """A command of the page; what it prints."""
        if line.startswith("curl"):
            line = line.replace("Bearer trial", f"Bearer {TOKEN}").replace("8083", str(self.port))
            return run("sh", "-c", line).stdout
        words = shlex.split(line)
        assert words[:2] == ["docker", "compose"]
        words, services = words[2:], SERVICES[:3]
        if words[0] == "--profile":
            words, services = words[2:], SERVICES
        if words[0] == "up":
            return self.up(services)
        if words[0] == "exec":
            words.insert(1, "-T")
        r = self.compose(*words)
        assert r.returncode == 0 or words[0] == "down", f"{line}\n{r.stdout}\n{r.stderr}"
        return r.stdout

    def up(self, services):
        r = self.compose("up", "-d", "--no-build", *services)
        for s in services:
            state = podman("inspect", "--format", "{{.State.Status}}", self.container(s), ok=None).stdout
            assert state.strip() == "running", f"{s}: {r.stdout}\n{r.stderr}"

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
        r = podman("logs", self.container(service), ok=None)
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
        print(f"--- {s}\n{t.log(s)[-3000:]}")  # pytest shows it where the test failed
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


def rows_move(trial):
    first = trial.query("SELECT max(id) FROM public.orders")[0][0]
    assert first >= 10000
    try:
        wait_for("orders that arrive", lambda: trial.query("SELECT max(id) FROM public.orders")[0][0] > first,
                 40, 0.3)
    except AssertionError as e:
        raise AssertionError(f"{e}; at the source: " + podman(
            "exec", trial.container("shop"), "psql", "-U", "postgres", "shop", "-c", "SELECT max(id) FROM "
            "orders; SELECT * FROM pg_stat_activity WHERE state <> 'idle'").stdout) from None


def test_the_compose_file(trial):
    (up, status, query, insert, see, curl, down, up_again, up_postgres, see_postgres,
     end) = section("getting-started.md", "With docker compose")
    trial.page(up)
    trial.wait_healthy("shop", "penstock")
    wait_for("all tables live", lambda: trial.page(status).count(" live") >= 3, 60)
    assert "paid" in trial.page(query)
    rows_move(trial)
    trial.page(insert)
    wait_for("the row that was written", lambda: " SE " in trial.page(see), 20)
    assert "customers" in trial.page(curl)
    assert [trial.answer("/v1/tables", t) for t in (TOKEN, None, "trial")] == [200, 401, 401]
    assert trial.answer("/livez", None) == 200

    # docker stop: what is complete is applied, the file is whole.
    podman("stop", "-t", "20", trial.container("penstock"))
    state = json.loads(podman("inspect", trial.container("penstock")).stdout)[0]["State"]
    assert state["ExitCode"] == 0
    files = os.listdir(trial.volume())
    assert "warehouse.duckdb" in files and "warehouse.duckdb.wal" not in files

    # It goes on, without a load.
    trial.page(down)
    assert not [n for n in trial.left() if n.endswith("_1")]
    trial.page(up_again)
    trial.wait_healthy("shop", "penstock")
    rows_move(trial)
    assert trial.query("SELECT count(*) FROM public.customers") == [[1001]]
    log = trial.log()
    assert "table=public.orders from=none to=live" in log and "table loaded" not in log, log

    trial.page(up_postgres)
    trial.wait_healthy("warehouse", "penstock-postgres")
    wait_for("rows in Postgres", lambda: "(1 row)" in trial.page(see_postgres), 60)
    trial.page(end)
    assert [n for n in trial.left() if not n.endswith("_default")] == []
