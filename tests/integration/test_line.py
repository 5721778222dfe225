# SPDX-License-Identifier: Apache-2.0
"""The line from Postgres to a warehouse: load, stream, kill -9, equal."""
import random
import threading
import time

import pytest
from harness import (assert_equal_duckdb, assert_equal_postgres, to_duckdb, to_postgres,
                     wait_caught_up)

SHOP = """
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, email text, bio text);
ALTER TABLE customers ALTER bio SET STORAGE EXTERNAL;
CREATE TABLE orders (id int PRIMARY KEY, customer bigint, total numeric(10,2), at timestamptz);
INSERT INTO customers SELECT i, 'c' || i, NULL, repeat(md5(i::text), 100)
    FROM generate_series(1, 2000) i;
INSERT INTO orders SELECT i, 1 + i % 2000, i / 100.0, now() FROM generate_series(1, 5000) i;
"""


def change(server, db, seed, rounds):
    rnd = random.Random(seed)
    with server.connect(db, autocommit=False) as c:
        for _ in range(rounds):
            for _ in range(rnd.randint(1, 5)):
                k = rnd.randint(1, 2500)
                what = rnd.random()
                if what < 0.35:
                    c.execute("INSERT INTO orders VALUES (%s, %s, %s, now()) ON CONFLICT (id) DO "
                              "UPDATE SET total = excluded.total", (k, k, rnd.random() * 1000))
                elif what < 0.6:
                    c.execute("UPDATE customers SET email = %s WHERE id = %s", (str(what), k))
                elif what < 0.75:
                    c.execute("DELETE FROM orders WHERE id = %s", (k,))
                elif what < 0.85:
                    c.execute("UPDATE customers SET id = -id WHERE id = %s", (k,))
                else:
                    c.execute("UPDATE customers SET name = name || 'x' WHERE id = %s", (-k,))
            c.commit()


def config(kind, source, db, warehouse, wdb, duck):
    return (to_postgres(source, db, warehouse, wdb) if kind == "postgres"
            else to_duckdb(source, db, duck))


def assert_equal(kind, p, source, db, warehouse, wdb, duck, *tables):
    wait_caught_up(p, source, db)
    if kind == "postgres":
        assert_equal_postgres(source, db, warehouse, wdb, *tables)
    else:
        assert p.stop() == 0, p.log()
        assert_equal_duckdb(source, db, duck, *tables)


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_load_then_stream_is_equal(kind, source, db, warehouse, wdb, duck, penstock):
    source.script(SHOP, db)
    p = penstock(config(kind, source, db, warehouse, wdb, duck)).start()
    p.wait_live("public.customers", "public.orders")
    change(source, db, 1, 200)
    assert_equal(kind, p, source, db, warehouse, wdb, duck, "public.customers", "public.orders")


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_kill_9_under_load_loses_and_doubles_nothing(kind, source, db, warehouse, wdb, duck,
                                                     penstock):
    source.script(SHOP, db)
    p = penstock(config(kind, source, db, warehouse, wdb, duck)).start()
    writer = threading.Thread(target=change, args=(source, db, 2, 1500))
    writer.start()
    rnd = random.Random(3)
    for _ in range(8):
        time.sleep(rnd.random() * 0.8)
        p.kill9()
        p.start()
    writer.join()
    p.wait_live("public.customers", "public.orders")
    assert_equal(kind, p, source, db, warehouse, wdb, duck, "public.customers", "public.orders")
