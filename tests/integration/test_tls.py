# SPDX-License-Identifier: Apache-2.0
"""A source and a warehouse that speak TLS only and know each other by certificates."""
import os
import re
import subprocess
import uuid

import harness
import pytest
from harness import PENSTOCK, wait_for


def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def keys(run_folder):
    """An authority; a server's certificate for 127.0.0.1; one of the role penstock, with its key
    also encrypted; another authority that has signed nothing."""
    d = os.path.join(run_folder, "keys-" + uuid.uuid4().hex[:8])
    os.mkdir(d)
    for ca in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={ca}",
                "-keyout", f"{ca}.key", "-out", f"{ca}.crt", cwd=d)
    for name, subject in (("server", "/CN=127.0.0.1"), ("client", "/CN=penstock")):
        with open(f"{d}/{name}.ext", "w") as f:
            f.write("subjectAltName=IP:127.0.0.1\n" if name == "server" else "\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", f"{name}.key",
                "-out", f"{name}.csr", cwd=d)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt",
                cwd=d)
    openssl("rsa", "-aes256", "-passout", "pass:open sesame", "-in", "client.key", "-out",
            "locked.key", cwd=d)
    for f in os.listdir(d):
        os.chmod(f"{d}/{f}", 0o600 if f.endswith(".key") else 0o644)
    return d


class Secured:
    """A server that lets the role penstock in over TLS with the authority's certificate only."""

    def __init__(self, role, keys):
        s = self.server = harness.Postgres(role=role)
        for name in ("server.key", "server.crt", "ca.crt"):
            subprocess.run(["cp", f"{keys}/{name}", f"{s.dir}/data/"], check=True)
            if os.getuid() == 0:
                subprocess.run(["chown", "nobody:nogroup", f"{s.dir}/data/{name}"], check=True)
        s.stop()
        s.write_conf(ssl="on", ssl_ca_file="'ca.crt'")
        with open(f"{s.dir}/data/pg_hba.conf", "w") as f:
            f.write("host all postgres 127.0.0.1/32 trust\n"
                    "hostssl all,replication penstock 127.0.0.1/32 cert\n")
        s.start()
        s.script("CREATE ROLE penstock LOGIN SUPERUSER REPLICATION")
        s.create("shop")

    def encrypted(self):
        """For each session of ours: is it?"""
        return [r[0] for r in self.server.sql(
            "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = "
            "'penstock'")]


@pytest.fixture(scope="module")
def secured(run_folder, keys):
    ends = [Secured("source", keys), Secured("warehouse", keys)]
    yield ends
    for e in ends:
        e.server.stop()


def settings(keys, **more):
    return {"database.user": "penstock", "database.sslmode": "verify-full",
            "database.sslrootcert": f"{keys}/ca.crt", "database.sslcert": f"{keys}/client.crt",
            "database.sslkey": f"{keys}/client.key", **more}


def config(secured, keys, **more):
    source, warehouse = (e.server for e in secured)
    url = (f"postgres://penstock@127.0.0.1:{warehouse.port}/shop?sslmode=verify-full&sslrootcert="
           f"{keys}/ca.crt&sslcert={keys}/client.crt&sslkey={keys}/client.key")
    c = harness.to_postgres(source, "shop", warehouse, "shop", source=settings(keys, **more))
    c["connectors"]["warehouse"]["connection.url"] = url
    return c


def test_everything_is_encrypted(secured, keys, penstock):
    """Loads, a large transaction and many small ones, through TLS at both ends; with an encrypted
    key at the source."""
    source, warehouse = (e.server for e in secured)
    source.script("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, "
                  "repeat(md5(i::text), 5) FROM generate_series(1, 20000) i", "shop")
    p = penstock(config(secured, keys, **{"database.sslkey": f"{keys}/locked.key",
                                          "database.sslpassword": "open sesame"})).start()
    p.wait_live("public.t")
    for e in secured:
        assert len(e.encrypted()) > 0 and all(e.encrypted())
    source.script("UPDATE t SET v = v || 'x'", "shop")
    with source.connect("shop") as c:
        for i in range(300):
            c.execute("UPDATE t SET v = %s WHERE id = %s", (str(i), i))
    harness.wait_caught_up(p, source, "shop")
    harness.assert_equal_postgres(source, "shop", warehouse, "shop", "public.t")
    shown = p.json("/connectors/shop/config")
    assert shown["database.sslpassword"] == "[hidden]"
    assert "sesame" not in p.log()
    assert p.stop() == 0
    source.sql("SELECT pg_drop_replication_slot('penstock_shop')", "shop")
    source.script("DROP TABLE t", "shop")


@pytest.mark.parametrize("wrong,words", [
    ({"database.sslrootcert": "other.crt"}, "certificate verify failed"),
    ({"database.sslrootcert": "nowhere.crt"}, "root certificate file.*does not exist"),
    ({"database.sslcert": "nowhere.crt"}, ""),
    ({"database.sslkey": "locked.key"}, "private key file"),
    ({"database.hostname": "localhost"}, 'does not match host name "localhost"'),
    ({"database.sslmode": "disable"}, "no pg_hba.conf entry.*no encryption"),
])
def test_what_does_not_fit_is_said(wrong, words, secured, keys, penstock):
    wrong = {k: f"{keys}/{v}" if "." in v else v for k, v in wrong.items()}
    p = penstock(config(secured, keys, **wrong)).start()

    def trace():
        return p.alive() and p.status("shop")["tasks"][0].get("trace")
    said = wait_for("it is said", trace)
    assert re.search(words, said), said
    assert "database.ssl" in said or "pg_hba" in said, said
    assert p.status("shop")["tasks"][0]["state"] == "FAILED"
    assert p.stop() == 0


def test_a_url_with_certificates(secured, keys, run_folder):
    source = secured[0].server
    url = (f"postgres://penstock@127.0.0.1:{source.port}/shop?sslmode=verify-full&sslrootcert="
           f"{keys}/ca.crt&sslcert={keys}/client.crt&sslkey={keys}/client.key")
    d = os.path.join(run_folder, uuid.uuid4().hex)
    os.mkdir(d)
    r = subprocess.run([PENSTOCK, "sync", "--from", url, "--to", "duckdb:w.duckdb", "--once"],
                       cwd=d, capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert harness.duck_table(f"{d}/w.duckdb", "public", "fence", ["id"])[1] == [("1",)]
    source.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots", "shop")
