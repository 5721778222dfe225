# SPDX-License-Identifier: Apache-2.0
"""Podman where there is neither a Docker engine nor an image registry: Debian's own packages, a base
image from debootstrap and a stand-in for Postgres' (tests/containers/postgres), under the names that
the tree's Dockerfile and docker-compose.yml use. Images are kept in a storage of our own, KEPT, so that
only a machine's first run is slow, whatever the clone; two at a time wait for each other."""
import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile

from harness import DEPS, ROOT

KEPT = "/var/cache/penstock-tests"
BASE = "docker.io/library/debian:bookworm-slim"
POSTGRES = "docker.io/library/postgres:17"
CONFIG = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE = """[storage]
driver = "overlay"
graphroot = "{0}/storage"
runroot = "{0}/run"
[storage.options.overlay]
skip_mount_home = "true"
"""


class CannotRun(Exception):
    """This machine cannot run containers; why."""


def environment():
    return {**os.environ, "CONTAINERS_CONF": f"{KEPT}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{KEPT}/storage.conf", "BUILDAH_ISOLATION": "chroot"}


def run(*args, ok=(0,), timeout=600, **env):
    r = subprocess.run(args, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                       timeout=timeout, env={**environment(), **env})
    assert ok is None or r.returncode in ok, \
        f"{' '.join(args)}: exit {r.returncode}\n{r.stdout[-3000:]}\n{r.stderr[-6000:]}"
    return r


def podman(*args, **kw):
    return run("podman", *args, **kw)


@contextlib.contextmanager
def alone():
    """One builder of images a time."""
    os.makedirs(KEPT, exist_ok=True)
    with open(f"{KEPT}/lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def ready():
    """Podman is there and starts a container, both images are; else CannotRun."""
    if os.getuid() != 0:
        raise CannotRun("containers are run as root")
    r = run("sh", "scripts/deps.sh", "containers", DEPS, ok=None)
    if r.returncode != 0:
        raise CannotRun(f"what runs containers could not be installed: {r.stderr[-1000:]}")
    for name, text in (("containers.conf", CONFIG), ("storage.conf", STORAGE.format(KEPT))):
        with open(f"{KEPT}/{name}", "w") as f:
            f.write(text)
    if podman("image", "exists", BASE, ok=None).returncode != 0:
        try:
            base_image()
        except AssertionError as e:
            raise CannotRun(f"no base image could be made: {e}") from None
    r = podman("run", "--rm", "--network=none", BASE, "true", ok=None)
    if r.returncode != 0:
        raise CannotRun(f"podman cannot start a container here: {r.stderr[-1000:]}")
    postgres_image()


def mirror():
    """Where this machine gets Debian's packages from."""
    r = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)")
    for line in sorted(set(r.stdout.splitlines())):
        words = line.split()
        if len(words) == 3 and words[1] == "bookworm" and words[2] == "main":
            return words[0]
    raise CannotRun("apt names no source of Debian 12's packages (run apt-get update)")


def base_image():
    """Debian 12 with what apt and npm need to know here to reach anything."""
    with tempfile.TemporaryDirectory(prefix="base-", dir=KEPT) as root:
        run("debootstrap", "--variant=minbase", "bookworm", root, mirror())
        run("sh", "-c", "apt-config dump | grep -i 'proxy\\|^Acquire::Check' >\"$0\" || true",
            f"{root}/etc/apt/apt.conf.d/99here")
        run("sh", "-c", 'tar -C "$0" --one-file-system -c . | podman import - "$1"', root, BASE)


def postgres_image():
    with tempfile.TemporaryDirectory(prefix="postgres-", dir=KEPT) as context:
        for name in ("Dockerfile", "entrypoint.sh"):
            shutil.copy2(f"{ROOT}/tests/containers/postgres/{name}", context)
        shutil.copytree(f"{DEPS}/pg17/native", f"{context}/native", symlinks=True)
        build(context, POSTGRES)


def build(context, name, *more):
    """docker build."""
    return run("buildah", "bud", "--layers", "--isolation", "chroot", "--format", "docker", *more,
               "-t", name, context, timeout=1200)


def penstock_image(name):
    """The tree's Dockerfile. DuckDB's library is not fetched again (which takes npm two minutes): the
    builder finds the one that the same script has fetched here. Steps that no run of the last day
    used are forgotten."""
    build(ROOT, name, "-v", f"{os.path.realpath(DEPS)}/duckdb:/src/.deps/duckdb:ro", "--build-arg",
          "OPT=-O0")
    podman("image", "prune", "-f", "--filter", "until=24h", ok=None)
