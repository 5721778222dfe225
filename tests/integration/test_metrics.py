# SPDX-License-Identifier: Apache-2.0
"""/metrics under a strict parser and by Prometheus' conventions; the log as JSON."""
import json
import os
import re
import socket
import subprocess
from collections import Counter

from harness import PENSTOCK, ROOT, to_postgres, wait_caught_up, wait_for
from prometheus_client.parser import text_string_to_metric_families

HOSTILE = ['we"ird', "back\\slash", "new\nline", "esc\x1b[2Jape", "注文 😀", "a.b", "tab\t{}=,"]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def lint(text):
    """What promtool check metrics looks at, and that no family is in pieces; the families."""
    assert text.endswith("\n") and "\r" not in text
    heads, order = Counter(), []
    for line in text.splitlines():
        m = re.match(r"# (HELP|TYPE) (\S+) (.+)$", line)
        if m:
            heads[m.group(1, 2)] += 1
            if m.group(1) == "HELP":
                order.append(m.group(2))
            continue
        assert not line.startswith("#"), line
        name = re.match(r"[a-zA-Z_][a-zA-Z0-9_]*", line).group(0)
        assert name == order[-1] or re.sub("_(bucket|sum|count)$", "", name) == order[-1], line
    assert set(heads.values()) == {1} and {n for _, n in heads} == set(order)
    assert len(heads) == 2 * len(order) == 2 * len(set(order))
    families = list(text_string_to_metric_families(text))
    assert len(families) == len(order)
    seen = Counter((s.name, tuple(sorted(s.labels.items()))) for f in families for s in f.samples)
    assert all(n == 1 for n in seen.values()), seen.most_common(3)
    for f, name in zip(families, order):
        assert re.fullmatch(r"(penstock|process)_[a-z_]+", name), name
        assert (f.type == "counter") == name.endswith("_total"), name
        assert f.type in ("counter", "gauge", "histogram"), name
        assert f.documentation and not f.documentation[0].islower() and f.documentation.endswith("."), name
        assert not re.search("_(ms|us|kb|mb|minutes|hours|percent)(_|$)", name), name
        for s in f.samples:
            assert set(s.labels) <= {"connector", "table", "state", "op", "kind", "version", "le",
                                     "check", "outcome", "result"}, s
            if f.type == "counter":
                assert s.value >= 0, s
    return {f.name if f.type != "counter" else f.name + "_total": f for f in families}


def value(families, name, **labels):
    return next((s.value for s in families[name].samples
                 if labels.items() <= s.labels.items()), None)


def test_metrics_are_well_formed_and_true(source, db, warehouse, wdb, penstock):
    for name in HOSTILE:
        source.sql(f"CREATE TABLE {quoted(name)} (id int PRIMARY KEY, v text)", db)
    source.script("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')", db)
    p = penstock(to_postgres(source, db, warehouse, wdb)).start()
    wait_for("it listens", lambda: p.alive() and p.get("/livez")[0] == 200)
    lint(p.get("/metrics")[1])  # also before anything has a value
    p.wait_live("public.t")
    source.script("INSERT INTO t SELECT i, 'b' FROM generate_series(2, 11) i; UPDATE t SET v = 'c' WHERE "
                  "id < 4; DELETE FROM t WHERE id = 1; UPDATE t SET id = 99 WHERE id = 5", db)
    wait_caught_up(p, source, db)
    source.script("TRUNCATE t", db)
    wait_caught_up(p, source, db)
    f = lint(p.get("/metrics")[1])
    ops = {op: value(f, "penstock_source_changes_total", connector="shop", op=op)
           for op in ("insert", "update", "delete", "truncate")}
    assert (ops["insert"], ops["delete"], ops["truncate"]) == (10, 1, 1), ops
    assert ops["update"] == 3 + 1 + 2  # three rows, one of another key, two of the fence
    assert value(f, "penstock_sink_bytes_total", connector="warehouse") > 0
    n = value(f, "penstock_sink_batches_total", connector="warehouse")
    h = [s for s in f["penstock_sink_commit_duration_seconds"].samples]
    buckets = [s.value for s in h if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == n
    assert [s.value for s in h if s.name.endswith("_count")] == [n]
    tables = {s.labels["table"] for s in f["penstock_table_state"].samples}
    assert {"public." + name for name in HOSTILE} <= tables
    states = value(f, "penstock_tables", connector="shop", state="live")
    assert states == len({t for t in tables}) == len(p.tables())
    assert value(f, "penstock_connector_state", connector="shop", state="RUNNING") == 1
    assert value(f, "process_open_fds") > 5 and value(f, "process_max_fds") >= 256
    started = value(f, "process_start_time_seconds")
    assert abs(started - os.stat(f"/proc/{p.process.pid}").st_mtime) < 120
    assert value(f, "process_virtual_memory_bytes") > value(f, "process_resident_memory_bytes") > 1e6
    warehouse.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND "
                  "pid <> pg_backend_pid()", "postgres", (wdb,))
    source.sql("UPDATE fence SET n = n + 1", db)
    wait_for("a failure is counted", lambda: value(lint(p.get("/metrics")[1]), "penstock_failures_total",
                                                   connector="warehouse", kind="retry"), 30)


def test_documented_names_exist():
    with open(os.path.join(ROOT, "schemas", "metrics.md")) as f:
        names = set(re.findall(r"^\| `(\w+)`", f.read(), re.M))
    for page in ("operations.md", "postgres.md", "concepts.md"):
        with open(os.path.join(ROOT, "docs", page)) as f:
            for name in re.findall(r"\b(?:penstock|process)_[a-z_]+_(?:total|bytes|seconds|state|warning)\b",
                                   f.read()):
                assert name in names, f"{page}: {name}"


def lines(text):
    """Every line, each valid JSON with what it must have."""
    out = [json.loads(line) for line in text.splitlines()]
    for j in out:
        assert {"time", "level", "message"} <= set(j) <= {"time", "level", "message", "connector"}, j
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", j["time"])
        assert j["level"] in ("error", "warn", "info", "debug")
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", j["message"])
    return out


def test_the_log_as_json(source, db, warehouse, wdb, penstock):
    for name in HOSTILE:
        source.sql(f"CREATE TABLE {quoted(name)} (id int PRIMARY KEY, v text)", db)
    p = penstock(to_postgres(source, db, warehouse, wdb))
    p.config["service"]["log.format"] = "json"
    p.start(debug=True)
    p.wait_live(*["public." + n for n in HOSTILE if "." not in n])
    source.sql("ALTER TABLE " + quoted(HOSTILE[0]) + " ADD " + quoted(HOSTILE[2]) + " int", db)
    source.sql("INSERT INTO " + quoted(HOSTILE[0]) + " VALUES (1, 'x', 2)", db)
    wait_caught_up(p, source, db)
    other = subprocess.run([PENSTOCK, "run", "-c", p.write()], cwd=p.dir, capture_output=True,
                           text=True, timeout=20)  # data.dir is in use
    assert other.returncode == 1 and other.stdout == ""
    assert "is in use by another penstock" in lines(other.stderr)[-1]["message"]
    assert p.stop() == 0
    got = lines(p.log())
    for name in HOSTILE:
        plain = re.sub(r"[\x00-\x1f]", " ", name)
        assert any(f"public.{plain}" in j["message"] for j in got), name
    assert {"shop", "warehouse"} <= {j.get("connector") for j in got}


def test_a_port_in_use_is_said_in_json(source, db, warehouse, wdb, penstock):
    p = penstock(to_postgres(source, db, warehouse, wdb))
    p.config["service"]["log.format"] = "json"
    with socket.socket() as s:
        s.bind(("127.0.0.1", p.port))
        s.listen(1)
        r = subprocess.run([PENSTOCK, "run", "-c", p.write()], cwd=p.dir, capture_output=True,
                           text=True, timeout=20)
    assert r.returncode == 1 and str(p.port) in lines(r.stderr)[-1]["message"]
