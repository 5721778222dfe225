#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a machine keeps: format, headers that compile alone, dependencies one way, SPDX lines,
generated pages that are current, cppcheck."""
import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
os.chdir(ROOT)
bad = []


def files(*patterns):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns],
                         capture_output=True, text=True, check=True)
    return [f for f in out.stdout.split("\n") if f and os.path.exists(f)]


def check_format(sources):
    r = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *sources], capture_output=True,
                       text=True)
    if r.returncode != 0:
        names = sorted({line.split(":")[0] for line in r.stderr.splitlines() if ": error:" in line})
        bad.append("not formatted (make format): " + " ".join(names))


def check_headers(headers):
    def compile_alone(h):
        return subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                            "-fsyntax-only", "-iquote", "src", "-iquote", "connectors", "-isystem", ".deps/duckdb",
                            "-isystem", "/usr/include/postgresql", "-x", "c", "-"],
                              input=f'#include "{os.path.abspath(h)}"\n', capture_output=True,
                              text=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(compile_alone, headers))
    for h, r in zip(headers, results):
        if r.returncode != 0 and not h.startswith("tests/"):
            bad.append(f"{h} does not compile alone:\n{r.stderr[:600]}")


def check_rules(sources):
    for f in sources:
        text = open(f, errors="replace").read()
        if "SPDX-License-Identifier: Apache-2.0" not in text[:200]:
            bad.append(f"{f}: no SPDX line")
        for inc in re.findall(r'#include "([^"]+)"', text):
            if f.startswith("src/") and re.match(r"(source_|warehouse_(?!\.h)|common/)\w*/", inc):
                bad.append(f"{f}: src/ includes the connector header {inc}")
        if f.startswith("src/util/"):
            for inc in re.findall(r'#include "([^"]+)"', text):
                if not inc.startswith("util/"):
                    bad.append(f"{f}: util/ includes {inc}")


def check_generated(build):
    for page, option in (("docs/configuration.md", "--markdown"), ("docs/errors.md", "--errors")):
        out = subprocess.run([f"{build}/penstock", "config", option], capture_output=True,
                             text=True)
        if out.returncode != 0 or not os.path.exists(page) or out.stdout != open(page).read():
            bad.append(f"{page} is stale (make docs)")


def check_cppcheck():
    r = subprocess.run(["cppcheck", "-q", "-j2", "--error-exitcode=3", "--inline-suppr",
                        "--enable=warning,portability", "--suppress=missingIncludeSystem",
                        "--suppress=nullPointerOutOfMemory", "--suppress=normalCheckLevelMaxBranches",
                        "--suppress=syntaxError", "-Isrc", "-Iconnectors", "src", "connectors"],
                       capture_output=True, text=True)
    if r.returncode != 0:
        bad.append("cppcheck:\n" + r.stderr[:3000])


p = argparse.ArgumentParser()
p.add_argument("--build", default="build")
a = p.parse_args()
c = files("*.c", "*.h")
with ThreadPoolExecutor(os.cpu_count()) as checks:  # cppcheck has one file that takes as long as all others
    for done in [checks.submit(check_cppcheck), checks.submit(check_format, c),
                 checks.submit(check_headers, [f for f in c if f.endswith(".h")]),
                 checks.submit(check_rules, c), checks.submit(check_generated, a.build)]:
        done.result()
for b in bad:
    print("lint: " + b)
print("lint: " + (f"{len(bad)} findings" if bad else f"{len(c)} files, nothing to mend"))
sys.exit(1 if bad else 0)
