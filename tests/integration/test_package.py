# SPDX-License-Identifier: Apache-2.0
"""make install, make deb: what is installed works from where it lies, and is gone when removed."""
import os
import shutil
import subprocess

import pytest
from harness import BUILD, PENSTOCK, ROOT


def run(*args, **kw):
    r = subprocess.run(args, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                       timeout=200, **kw)
    assert r.returncode == 0, f"{args}\n{r.stdout}\n{r.stderr}"
    return r.stdout


def make(*args):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return run("make", "--no-print-directory", f"BUILD={os.path.relpath(BUILD, ROOT)}", *args, env=env)


def files(root):
    return sorted(os.path.relpath(os.path.join(d, f), root) for d, _, names in os.walk(root)
                  for f in names if "/var/lib/dpkg" not in d)


def test_make_install(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/p")
    assert run(f"{tmp_path}/opt/p/bin/penstock", "version") == run(PENSTOCK, "version")
    assert "opt/p/lib/penstock/libduckdb.so" in files(tmp_path)


def test_the_package_is_installed_and_removed(tmp_path):
    deb = os.path.join(ROOT, make("deb").split()[-1])
    assert "libpq5" in run("dpkg-deb", "--field", deb, "Depends")
    root = tmp_path / "root"
    (root / "var/lib/dpkg/updates").mkdir(parents=True)
    (root / "var/lib/dpkg/info").mkdir()
    (root / "var/lib/dpkg/status").touch()
    dpkg = ["dpkg", f"--root={root}", "--force-depends", "--force-not-root", "--log=/dev/null"]
    run(*dpkg, "--install", deb)
    assert run(f"{root}/usr/bin/penstock", "version") == run(PENSTOCK, "version")
    run(f"{root}/usr/bin/penstock", "config", "-c", f"{root}/etc/penstock/penstock.yaml")
    unit = root / "lib/systemd/system/penstock.service"
    if shutil.which("systemd-analyze"):
        shutil.copy(unit, tmp_path)
        text = (tmp_path / "penstock.service").read_text().replace("/usr/bin/penstock", PENSTOCK)
        (tmp_path / "penstock.service").write_text(text)
        r = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / "penstock.service"],
                           capture_output=True, text=True)
        assert "penstock.service" not in r.stderr, r.stderr
    run(*dpkg, "--purge", "penstock")
    assert files(root) == []


def test_the_manual_page(tmp_path):
    page = tmp_path / "penstock.1"
    page.write_text(run(PENSTOCK, "help", "--man"))
    text = page.read_text()
    for command in ("sync", "check", "remove", "pause", "query"):
        assert f".SS {command}\n" in text
    if shutil.which("man"):
        r = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True,
                           env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
        assert r.returncode == 0 and "warning" not in r.stderr, r.stderr
        assert "penstock remove NAME [-c FILE] [--tables] [--yes]" in r.stdout


@pytest.mark.parametrize("line,wants", [
    ("penstock re", ["remove", "restart", "resume", "resync"]), ("penstock sync --fr", ["--from"]),
    ("penstock status --output ", ["json", "table"]), ("penstock help --m", ["--man"]),
    ("penstock pause --u", ["--url"])])
def test_completion(line, wants, tmp_path):
    script = tmp_path / "completion"
    script.write_text(run(PENSTOCK, "help", "--completion"))
    got = run("bash", "-c", f"source {script}; COMP_LINE={line!r}; read -ra COMP_WORDS <<< \"$COMP_LINE\"; "
              "[[ $COMP_LINE == *' ' ]] && COMP_WORDS+=(''); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
              "_penstock; printf '%s\\n' \"${COMPREPLY[@]}\"")
    assert sorted(got.split()) == wants
