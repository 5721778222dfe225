# SPDX-License-Identifier: Apache-2.0
"""Compatibility verdicts against fastavro, on random pairs of schemas (compat_fastavro.py)."""
import glob
import os
import subprocess
import sys

import pytest

import harness

HERE = os.path.dirname(__file__)


@pytest.fixture(scope="module")
def judge(run_folder):
    program = os.path.join(run_folder, "compat_cli")
    source = f"{harness.ROOT}/src"
    libraries = subprocess.check_output(["pkg-config", "--cflags", "--libs", "jansson"], text=True)
    subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1",
                    "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined",
                    "-Wno-format-truncation", "-iquote", source, f"{HERE}/compat_cli.c",
                    f"{source}/avro/compat.c", *sorted(glob.glob(f"{source}/avro/shape*.c")),
                    *sorted(glob.glob(f"{source}/util/*.c")), *libraries.split(), "-pthread",
                    "-o", program], check=True)
    return program


@pytest.mark.parametrize("seed", [1, 2])
def test_random_pairs(judge, seed):
    r = subprocess.run([sys.executable, f"{HERE}/compat_fastavro.py", judge, "1500", str(seed)],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert r.returncode == 0, r.stdout
