# SPDX-License-Identifier: Apache-2.0
"""The Postgres warehouse by itself: its C probe, linked with the library, against real servers."""
import glob
import os
import subprocess

import psycopg
import pytest

import harness


def build_probe(folder):
    here = os.path.dirname(__file__)
    program = os.path.join(folder, "wpg_probe")
    kind = os.path.basename(harness.BUILD)
    sanitize = {"asan": ["-fsanitize=address,undefined"], "tsan": ["-fsanitize=thread"]}.get(kind, [])
    libraries = subprocess.check_output(
        ["pkg-config", "--cflags", "--libs", "libpq", "libcurl", "jansson", "openssl", "yaml-0.1",
         "libpcre2-8", "sqlite3", "libmicrohttpd"], text=True).split()
    subprocess.run(
        ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", *sanitize,
         f"-I{harness.ROOT}/src", f"-I{harness.ROOT}/connectors",
         *sorted(glob.glob(f"{here}/wpg_probe*.c")), f"{harness.BUILD}/libpenstock.a", *libraries,
         f"-L{harness.BUILD}", "-lduckdb", f"-Wl,-rpath,{harness.BUILD}", "-lm", "-pthread", "-o",
         program], check=True)
    return program


def started(version):
    try:
        return harness.Postgres(version=version)
    except RuntimeError as e:
        pytest.skip(str(e))


@pytest.fixture(scope="module")
def probe(run_folder):
    return build_probe(run_folder)


def run(probe, *args):
    return subprocess.run([probe, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120, text=True)


@pytest.mark.parametrize("version", [None, 16, 17, 18])
def test_probe(probe, version):
    server = started(version)
    try:
        server.create("wh")
        r = run(probe, server.url("wh"), *(["quick"] if version else []))
        assert r.returncode == 0, r.stdout[-8000:]
    finally:
        server.stop()


@pytest.fixture(scope="module")
def server():
    s = started(None)
    yield s
    s.stop()


@pytest.mark.parametrize("program", ["test_apply", "test_alter_apply"])
def test_random_logs(server, program):
    server.create(program)
    r = subprocess.run([f"{harness.UNITS}/unit/{program}"], timeout=300, text=True, cwd=harness.ROOT,
                       env=dict(os.environ, PENSTOCK_TEST_POSTGRES=server.url(program)),
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert r.returncode == 0 and "OK ] into_postgres" in r.stdout, r.stdout[-8000:]


@pytest.mark.parametrize("path", sorted(glob.glob(f"{harness.ROOT}/tests/golden/sql/postgres_*.sql")))
def test_golden(server, path):
    """Every planned statement is one that the server takes (misfit: refuses, as it must)."""
    name = os.path.basename(path)[:-4]
    server.create(name)
    with psycopg.connect(server.url(name)) as c, open(path) as f:
        script = f.read()
        if not name.endswith("_misfit"):
            c.execute(script)
        else:
            with pytest.raises(psycopg.errors.InvalidTextRepresentation):
                c.execute(script)


def test_too_old(probe):
    server = started(14)
    try:
        r = run(probe, server.url())
        assert r.returncode == 1 and "MERGE needs 15 or later" in r.stdout, r.stdout
    finally:
        server.stop()
