# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/operations.md, run in the page's order as the page gives them."""
import os
import re
import subprocess

from harness import PENSTOCK, ROOT, lsn, to_postgres, wait_for


def commands(page):
    with open(os.path.join(ROOT, "docs", page)) as f:
        return re.findall(r"^    ((?:penstock|curl|psql) .*)$", f.read(), re.M)


def test_operations(source, db, warehouse, wdb, penstock, tmp_path):
    source.script("CREATE TABLE orders (id int PRIMARY KEY, v text); INSERT INTO orders VALUES (1, 'a')",
                  db)
    p = penstock(to_postgres(source, db, warehouse, wdb))
    os.symlink(PENSTOCK, os.path.join(p.dir, "penstock"))
    env = {**os.environ, "PATH": f"{p.dir}:{os.environ['PATH']}", "PGHOST": "127.0.0.1",
           "PGPORT": str(source.port), "PGUSER": "postgres", "PGDATABASE": db}
    p.write()
    todo = commands("operations.md")
    assert len(todo) > 10 and todo[1] == "penstock run -c penstock.yaml"
    for c in todo:
        if c.startswith("penstock run"):
            p.start().wait_live("public.orders")
            wait_for("the checkpoint", lambda: lsn(source.sql(
                "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE NOT temporary AND "
                "database = current_database()", db)[0][0]) > 0, 20)
            continue
        if c.startswith("penstock remove"):
            assert p.stop() == 0
        c = c.replace("http://127.0.0.1:8083", f"http://127.0.0.1:{p.port}")
        if c.startswith("penstock") and " -c " not in c:
            c += f" --url http://127.0.0.1:{p.port}"
        if "readyz" in c or c.startswith("penstock pause"):
            wait_for("ready", lambda: p.get("/readyz")[0] == 200, 20)
        r = subprocess.run(c, shell=True, cwd=p.dir, env=env, capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, timeout=60)
        assert r.returncode == 0, f"{c}\n{r.stdout}\n{r.stderr}"
    assert source.sql("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()",
                      db) == [(0,)]
    assert warehouse.sql("SELECT count(*) FROM public.orders", wdb) == [(1,)]
