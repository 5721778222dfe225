#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs unit programs, fuzz corpora and the integration suite; prints what failed, the ten slowest
and, last, `N passed, N failed` (a skip in CI is a failure: nothing may be missing there)."""
import argparse
import glob
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

WORKERS = 2
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))


class Tally:
    def __init__(self):
        self.passed = self.failed = 0
        self.slow = []

    def add(self, name, passed, failed, seconds):
        self.passed += passed
        self.failed += failed
        self.slow.append((seconds, name))


def programs(pattern):
    """The largest sources first: nobody waits for a long one at the end."""
    found = [p for p in glob.glob(pattern) if "." not in os.path.basename(p)]
    first = ("test_wdk_kill", "test_wdk_crash", "test_compact_alter", "test_books")
    return sorted(found, key=lambda p: (os.path.basename(p) not in first, p))


def run_unit(path):
    began = time.monotonic()
    try:
        r = subprocess.run(["nice", "-n", "5", path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           stdin=subprocess.DEVNULL, timeout=900)
        out, code = r.stdout.decode(errors="replace"), r.returncode
    except subprocess.TimeoutExpired as e:
        out, code = (e.stdout or b"").decode(errors="replace") + "\ntimed out", -1
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", out))
    failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] [^:\n]*?(\d+) test", out))
    if code != 0 and failed == 0:
        failed = 1  # a crash or a sanitizer's report
    if code == 0 and passed == 0:
        failed = 1
        out += "\nran no test"
    return path, passed, failed, code, out, time.monotonic() - began


def run_units(build, workers):
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(run_unit, programs(f"{build}/unit/test_*")))


def tell_units(results, tally):
    for path, passed, failed, code, out, took in results:
        name = os.path.basename(path)
        if failed:
            print(f"--- {name} (exit {code})\n{out[-6000:]}")
        tally.add(name, passed, failed, took)


def fuzz_one(path):
    name = os.path.basename(path)
    began = time.monotonic()
    corpus = f"{ROOT}/tests/fuzz/corpus/{name[5:]}"
    if not os.path.isdir(corpus):
        corpus = f"{ROOT}/tests/fuzz/corpus/{name}"
    failed, said = 0, ""
    for args in ([corpus], []):  # the committed corpus, then fixed random mutations
        try:
            r = subprocess.run([path] + args, cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=300)
        except subprocess.TimeoutExpired:
            failed = 1
            said += f"--- {name} {args}: timed out\n"
            continue
        if r.returncode != 0:
            failed = 1
            said += (f"--- {name} {args} (exit {r.returncode})\n"
                     f"{r.stdout.decode(errors='replace')[-6000:]}\n")
    return name, failed, said, time.monotonic() - began


def run_fuzz(build, tally):
    with ThreadPoolExecutor(WORKERS) as pool:
        for name, failed, said, took in pool.map(fuzz_one, programs(f"{build}/fuzz/fuzz_*")):
            print(said, end="")
            tally.add(name, 1 - failed, failed, took)


def run_integration(build, units_of, tally, select):
    report = os.path.join(build, "integration.xml")
    if os.path.exists(report):
        os.remove(report)
    env = {**os.environ, "PENSTOCK_BUILD": build, "PENSTOCK_UNITS": units_of}
    cmd = [f"{ROOT}/.deps/venv/bin/python", "-m", "pytest", "-q", "-n", str(WORKERS + 1), "--dist", "worksteal",
           "-p", "no:cacheprovider", f"--junitxml={report}", f"{ROOT}/tests/integration"]
    if select:
        cmd += ["-k", select]
    code = subprocess.run(cmd, cwd=ROOT, env=env, stdin=subprocess.DEVNULL).returncode
    if not os.path.exists(report):
        print(f"--- the integration suite left no report (exit {code})")
        tally.add("integration", 0, 1, 0)
        return
    in_ci = os.environ.get("CI") == "true"
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').split('.')[-1]}::{case.get('name')}"
        bad = any(case.find(k) is not None for k in ("failure", "error"))
        skipped = case.find("skipped") is not None
        if skipped and in_ci:
            print(f"--- {name} was skipped: {case.find('skipped').get('message')}")
            bad = True
        tally.add(name, int(not bad and not skipped), int(bad), float(case.get("time") or 0))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default="build")
    p.add_argument("--only", default="unit,fuzz,integration")
    p.add_argument("-k", default="")
    p.add_argument("--units", help="the build whose unit programs and fuzz targets run")
    a = p.parse_args()
    tally = Tally()
    build = os.path.abspath(a.build)
    units_of = os.path.abspath(a.units or a.build)
    with ThreadPoolExecutor(1) as beside:
        # The integration suite waits much of its time: unit programs run beside it, one at a time.
        alone = "integration" not in a.only
        units = beside.submit(run_units, units_of, WORKERS if alone else 1) if "unit" in a.only else None
        if units and alone:
            tell_units(units.result(), tally)
        if "fuzz" in a.only:
            run_fuzz(units_of, tally)
        if "integration" in a.only:
            run_integration(build, units_of, tally, a.k)
        if units and not alone:
            tell_units(units.result(), tally)
    for kind, prefix in (("unit", "test_"), ("fuzz", "fuzz_")):
        if kind in a.only and not programs(f"{units_of}/{kind}/{prefix}*"):
            tally.failed += 1
            print(f"--- no {kind} programs in {units_of}: make unit fuzz BUILD=...")
    if tally.passed + tally.failed == 0:
        tally.failed = 1
        print("no test ran")
    if units_of != build:
        print(f"Unit programs and fuzz targets: those of {os.path.relpath(units_of, ROOT)}")
    print("The ten slowest:")
    for seconds, name in sorted(tally.slow, reverse=True)[:10]:
        print(f"  {seconds:7.1f} s  {name}")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


sys.exit(main())
