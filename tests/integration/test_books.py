# SPDX-License-Identifier: Apache-2.0
"""The books by themselves: their C probe, linked with the library, against real Postgres servers.
The same cases run against DuckDB in tests/unit/test_books.c."""
import os
import subprocess

import pytest

import harness


@pytest.fixture(scope="module")
def probe(run_folder):
    here = os.path.dirname(__file__)
    program = os.path.join(run_folder, "books_probe")
    kind = os.path.basename(harness.BUILD)
    sanitize = {"asan": ["-fsanitize=address,undefined"], "tsan": ["-fsanitize=thread"]}.get(kind, [])
    libraries = subprocess.check_output(
        ["pkg-config", "--cflags", "--libs", "libpq", "libcurl", "jansson", "openssl", "yaml-0.1",
         "libpcre2-8", "sqlite3", "libmicrohttpd"], text=True).split()
    subprocess.run(
        ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", *sanitize,
         f"-I{harness.ROOT}/src", f"-I{harness.ROOT}/connectors", f"-I{harness.ROOT}/tests/unit",
         f"{here}/books_probe.c", f"{harness.BUILD}/libpenstock.a", *libraries,
         f"-L{harness.BUILD}", "-lduckdb", f"-Wl,-rpath,{harness.BUILD}", "-lm", "-pthread", "-o",
         program], check=True)
    return program


@pytest.mark.parametrize("version", [None, 16, 17, 18])
def test_books(probe, version):
    try:
        server = harness.Postgres(version=version)
    except RuntimeError as e:
        pytest.skip(str(e))
    try:
        server.create("wh")
        r = subprocess.run([probe, server.url("wh")], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=120, text=True)
        assert r.returncode == 0 and r.stdout.endswith("ok\n"), r.stdout[-8000:]
    finally:
        server.stop()
