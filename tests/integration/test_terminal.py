# SPDX-License-Identifier: Apache-2.0
"""What `penstock sync` shows to people: on terminals of any size (a pty, read as a terminal reads it),
elsewhere, when it cannot start, and when it ends."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time

import harness
import pyte
import pytest
from harness import PENSTOCK, wait_caught_up, wait_for
from proxy import DOWN, Proxy

TABLES = "".join(f"CREATE TABLE t{i:02} (id int PRIMARY KEY, v text); INSERT INTO t{i:02} SELECT i, "
                 f"repeat(md5(i::text), 4) FROM generate_series(1, {60000 if i % 10 == 0 else 50}) i; "
                 for i in range(40))


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, args, cwd, columns=80, rows=24, **env):
        self.master, slave = pty.openpty()
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.frames = []  # what the screen held after each piece of output
        self.size(columns, rows)
        e = {k: v for k, v in os.environ.items()
             if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(args, cwd=cwd, stdin=slave, stdout=slave, stderr=slave,
                                        env={**e, "TERM": "xterm", **env}, start_new_session=True)
        os.close(slave)

    def size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if (columns, rows) != (self.screen.columns, self.screen.lines):
            self.screen.resize(rows, columns)

    def read(self, seconds=0.1):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.master], [], [], left)[0]:
                return
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # the other end is closed
                return
            self.raw += piece
            self.stream.feed(piece)
            self.frames.append(self.shown())

    def shown(self):
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def until(self, what, pattern, timeout=30):
        def there():
            self.read()
            return re.search(pattern, "\n".join(self.shown()), re.M)
        try:
            return wait_for(what, there, timeout)
        except AssertionError:
            raise AssertionError(f"{what}: {pattern}\n" + "\n".join(self.shown())) from None

    def interrupt(self):
        os.write(self.master, b"\x03")  # the terminal makes SIGINT of it for its foreground
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self):
        def ended():
            self.read()
            return self.process.poll() is not None
        wait_for("the end", ended, 20)
        self.read(0.3)
        os.close(self.master)
        return self.process.returncode


@pytest.fixture
def terminal():
    started = []

    def make(*args, **kw):
        t = Terminal(*args, **kw)
        started.append(t)
        return t

    yield make
    for t in started:
        if t.process.poll() is None:
            t.process.kill()
            t.process.wait(10)


def args(source, db, duck, *more):
    return [PENSTOCK, "sync", "--from", source.url(db), "--to", f"duckdb:{duck}", *more]


class Narrow(Proxy):
    """A source so far away that a load can be watched, however quick the machine."""

    def passes(self, link, way, data):
        if way == DOWN and len(data) > 8192:
            time.sleep(len(data) / 65536 / 40)  # on each link 2.6 MB a second
        return super().passes(link, way, data)


@pytest.fixture
def far(source):
    proxy = Narrow(source.port)
    yield lambda db: source.url(db).replace(f":{source.port}/", f":{proxy.port}/")
    proxy.close()


@pytest.mark.parametrize("columns,rows", [(80, 24), (40, 12)])
def test_many_tables_on_a_small_terminal(columns, rows, source, db, duck, tmp_path, terminal, far):
    source.script(TABLES + "ANALYZE", db)
    t = terminal([PENSTOCK, "sync", "--from", far(db), "--to", f"duckdb:{duck}"], tmp_path, columns, rows)
    t.until("it is live", r"^live: 0 B, \d s behind")
    source.script("INSERT INTO t01 SELECT i, 'x' FROM generate_series(100, 500) i", db)
    t.until("the commit", r"^live: .*commit \d\d:\d\d:\d\dZ" if columns == 80 else r"^live: .*rows/s$", 20)
    loading = [f for f in t.frames if any(line.startswith("loading: ") for line in f)]
    assert loading
    for f in t.frames:  # whatever is drawn is drawn over: one line for all, at the foot
        kept = [i for i, line in enumerate(f) if re.match("loading: |live: |connecting|waiting: ", line)]
        assert len(kept) <= 1 and all(i == len(f) - 1 for i in kept), "\n".join(f)
        assert sum(line.startswith("  public.") for line in f) <= 8
    assert any(re.match(r"  public\.\w+ .*(about|\d %)", line) for f in loading for line in f), loading[-1]
    copied = [int(m.group(1)) for f in loading for line in f
              if (m := re.match(r"loading: (\d+)(?:/| of )4[01]\b", line))]  # one is penstock's own
    assert copied and min(copied) < 40 and copied == sorted(copied), loading[-1]
    assert all(len(line) < columns for f in t.frames for line in f if line.startswith(("l", "  p")))
    if columns == 80:
        t.until("all of it", rf"^live: .* rows/s; (last )?commit .*Z; to .*{os.path.basename(duck)}", 5)
    assert t.interrupt() == 0


def test_a_window_that_changes(source, db, duck, tmp_path, terminal):
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    t = terminal(args(source, db, duck), tmp_path, 120, 24)
    wide = t.until("it is live", r"^live: .*duckdb:.* 2 tables$").group(0)
    assert len(wide) > 60
    t.size(40, 24)
    t.frames.clear()
    t.until("narrow", r"^live: .{1,33}$", 10)
    wait_for("drawn over", lambda: t.read() or len(t.frames) > 4, 10)
    assert len([line for line in t.shown() if line.startswith("live:")]) == 1
    t.size(10, 3)
    t.until("tiny", r"^live: 0 B$", 10)
    t.size(100, 30)
    t.until("wide again", r"^live: 0 B, \d s behind; \d+ rows/s; .*tables$", 10)
    assert t.interrupt() == 0
    assert "what remains" in t.raw.decode()


def test_columns_of_the_environment_count(source, db, duck, tmp_path, terminal):
    t = terminal(args(source, db, duck), tmp_path, 80, 24, COLUMNS="30", NO_COLOR="1")
    t.until("it is live", r"^live: 0 B, \d s behind$")
    assert t.interrupt() == 0
    assert b"\x1b[3" not in t.raw  # no colour
    assert b"\x1b[2K" in t.raw and b"\x1b[J" not in t.raw


def test_colours_and_where_there_are_none(source, db, duck, tmp_path, terminal):
    t = terminal(args(source, db, duck), tmp_path)
    t.until("it is live", r"^live: ")
    assert b"\x1b[32mlive\x1b[0m" in t.raw
    assert t.interrupt() == 0
    t = terminal(args(source, db, duck), tmp_path, TERM="dumb")
    t.until("a line for each event", r" info  live: every table that can be")
    assert t.interrupt() == 0
    assert b"\x1b" not in t.raw and b"rows/s" not in t.raw


def test_what_holds_it_up_is_on_the_line(duck, tmp_path, terminal):
    s = harness.Postgres()
    try:
        s.create("shop")
        t = terminal(args(s, "shop", duck), tmp_path, 100, 24)
        t.until("it is live", r"^live: 0 B, \d s behind")
        s.stop()
        t.until("it is said", r"^waiting: \d+ s behind, connecting to .*refused", 30)
        t.until("it grows", r"^waiting: ([6-9]|\d\d) s behind, ", 30)
        log = [line for line in t.shown() if " warn  retrying: " in line]
        assert log  # what was said stays above
        s.start()
        t.until("it goes on", r"^live: \S+ \w+, \d s behind", 60)
        assert t.interrupt() == 0
    finally:
        s.stop()


def test_the_end_says_what_remains(source, db, warehouse, wdb, tmp_path, terminal):
    source.script("CREATE TABLE t (id int PRIMARY KEY)", db)
    to = warehouse.url(wdb).replace("postgres@", "postgres:geheim@")
    t = terminal([PENSTOCK, "sync", "--from", source.url(db), "--to", to], tmp_path, 200, 40)
    t.until("it is live", r"^live: 0 B, \d s behind; \d+ rows/s; ")
    wait_caught_up(None, source, db)
    assert t.interrupt() == 0
    text = "\n".join(t.shown())
    slot = source.sql("SELECT slot_name FROM pg_replication_slots WHERE NOT temporary AND database = "
                      "current_database()", db)[0][0]
    data = os.path.join("penstock-data", os.listdir(tmp_path / "penstock-data")[0])
    assert re.search(rf"replication slot {slot}, which retains [\d.]+ \w+ of log", text), text
    assert f"publication {slot}" in text and "schema penstock" in text and f"./{data}" in text
    assert "geheim" not in t.raw.decode() and "passwords are not shown" in text
    command = re.search(r"^  (penstock remove .*)$", text, re.M).group(1)
    assert command.endswith(f" && rm -r ./{data}")
    env = {**os.environ, "PATH": f"{os.path.dirname(PENSTOCK)}:{os.environ['PATH']}"}
    r = subprocess.run(command.replace("remove ", "remove --yes "), shell=True, cwd=tmp_path, env=env,
                       capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert source.sql("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()",
                      db) == [(0,)]
    assert source.sql("SELECT count(*) FROM pg_publication", db) == [(0,)]
    assert os.listdir(tmp_path / "penstock-data") == []


def test_interrupted_while_it_loads(source, db, duck, tmp_path, terminal, far):
    source.script("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, "
                  "repeat(md5(i::text), 30) FROM generate_series(1, 200000) i; ANALYZE t", db)
    t = terminal([PENSTOCK, "sync", "--from", far(db), "--to", f"duckdb:{duck}"], tmp_path, 100, 24)
    t.until("it loads", r"^  public\.t +[\d,]+ of about 200,000 rows +\d+ %")
    assert t.interrupt() == 0
    assert "what remains" in t.raw.decode() and "penstock remove --from" in t.raw.decode()


BAD = {
    "unreachable": ("postgres://u@127.0.0.1:1/d", "--from: connecting to 127.0.0.1:1"),
    "no such database": (None, '--from: .*database "nosuch" does not exist'),
}


@pytest.mark.parametrize("name", sorted(BAD))
@pytest.mark.parametrize("to,says", [
    ("duckdb:/nonexistent/w.duckdb", "--to: /nonexistent/w.duckdb: No such file or directory"),
    ("postgres://u@127.0.0.1:1/w", "--to: .*refused"),
    (None, '--to: .*database "nowhere" does not exist')])
def test_both_urls_are_tried_before_anything_is_made(name, to, says, source, warehouse, tmp_path):
    url, why = BAD[name]
    to = to or warehouse.url("nowhere")
    r = subprocess.run([PENSTOCK, "sync", "--from", url or source.url("nosuch"), "--to", to],
                       cwd=tmp_path, capture_output=True, text=True, timeout=30, stdin=subprocess.PIPE)
    assert r.returncode == 1
    assert re.search(why, r.stderr) and re.search(says, r.stderr), r.stderr
    assert r.stderr.count("to mend it: ") == 2 and "database.dbname" not in r.stderr
    assert os.listdir(tmp_path) == []


def test_one_wrong_side_makes_nothing_on_the_other(source, db, warehouse, wdb, tmp_path):
    for f, t in ((source.url(db), warehouse.url("nowhere")), (source.url("nosuch"), warehouse.url(wdb)),
                 (source.url(db), source.url(db))):
        r = subprocess.run([PENSTOCK, "sync", "--from", f, "--to", t], cwd=tmp_path,
                           capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        assert r.returncode == 1 and r.stderr.count("penstock: ") == 1, r.stderr
        assert os.listdir(tmp_path) == []
        assert source.sql("SELECT count(*) FROM pg_publication", db) == [(0,)]
        assert warehouse.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'penstock'", wdb) == [(0,)]
    assert "same database" in r.stderr


def test_a_wrong_password(tmp_path, warehouse, wdb):
    s = harness.Postgres()
    try:
        s.sql("ALTER ROLE postgres PASSWORD 'right'")
        with open(f"{s.dir}/data/pg_hba.conf", "w") as f:
            f.write("host all all 127.0.0.1/32 scram-sha-256\n")
        s.process.send_signal(signal.SIGHUP)
        url = s.url().replace("postgres@", "postgres:wrong@")

        def refused():
            r = subprocess.run([PENSTOCK, "sync", "--from", url, "--to", "duckdb:/nonexistent/w"],
                               cwd=tmp_path, capture_output=True, text=True, timeout=30,
                               stdin=subprocess.PIPE)
            return r.returncode == 1 and "password authentication failed" in r.stderr and r
        r = wait_for("it is refused", refused, 10)
        assert "--to: /nonexistent/w" in r.stderr and "wrong" not in r.stderr
    finally:
        s.process.send_signal(signal.SIGINT)
        s.process.wait(30)
        s.process = None


def test_a_directory_that_cannot_be_written(source, db, tmp_path):
    """As a user to whom rights apply."""
    if os.getuid() != 0:
        pytest.skip("needs root to become another user")
    folder = tempfile.mkdtemp(dir=harness.base())
    os.chmod(folder, 0o755)
    r = subprocess.run(harness.as_server_user() + [PENSTOCK, "sync", "--from", source.url(db), "--to",
                                                   f"duckdb:{folder}/w.duckdb"],
                       cwd="/", capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert r.returncode == 1 and re.search("--to: the directory .* cannot be written", r.stderr), r.stderr


@pytest.mark.parametrize("url,to,says", [
    ("mysql://u@h/d", "postgres://u@127.0.0.1:1/w", ["--from: mysql", "--to: cannot connect"]),
    ("postgres://u@127.0.0.1:1/d", "ftp://h/x", ["--from: connecting to 127.0.0.1:1", "--to: ftp"])])
def test_a_wrong_scheme_does_not_hide_the_other_side(url, to, says, tmp_path):
    r = subprocess.run([PENSTOCK, "sync", "--from", url, "--to", to], cwd=tmp_path,
                       capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert r.returncode == 2 and all(s in r.stderr for s in says), r.stderr
    assert r.stderr.count("penstock: ") == 2 and os.listdir(tmp_path) == []


def test_a_server_that_must_be_restarted_first(tmp_path):
    s = harness.Postgres(wal_level="replica")
    try:
        r = subprocess.run([PENSTOCK, "sync", "--from", s.url(), "--to", "duckdb:w.duckdb"], cwd=tmp_path,
                           capture_output=True, text=True, timeout=30, stdin=subprocess.PIPE)
        assert r.returncode == 1 and "--from: " in r.stderr, r.stderr
        assert "ALTER SYSTEM SET wal_level" in r.stderr and os.listdir(tmp_path) == []
    finally:
        s.stop()


def test_wrong_schemes_are_both_said(tmp_path):
    r = subprocess.run([PENSTOCK, "sync", "--from", "mysql://u@h/d", "--to", "ftp://h/x"], cwd=tmp_path,
                       capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert r.returncode == 2 and "--from: mysql" in r.stderr and "--to: ftp" in r.stderr
