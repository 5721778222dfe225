# SPDX-License-Identifier: Apache-2.0
"""The Postgres warehouse by itself: its C probe, linked with the library, against real servers."""
import glob
import os
import subprocess

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


def test_probe(warehouse, wdb, run_folder):
    probe = build_probe(run_folder)
    r = subprocess.run([probe, warehouse.url(wdb)], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=120, text=True)
    assert r.returncode == 0, r.stdout[-8000:]
