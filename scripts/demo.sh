#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job on a throw-away database: a small shop that keeps trading, copied into DuckDB, with
# a kill -9 in the middle. Leaves nothing running and nothing behind but what it prints.
set -euo pipefail
build=$(cd "$1" && pwd)
work=$(mktemp -d /tmp/penstock-demo-XXXXXX)
chmod 755 "$work"
pg_pid='' shop_pid='' sync_pid=''

bin=$(for v in /usr/lib/postgresql/*/bin; do [ -x "$v/initdb" ] && echo "$v"; done | sort -V | tail -1)
[ -n "$bin" ] || { echo "no PostgreSQL server found under /usr/lib/postgresql" >&2; exit 1; }
as_server=()
if [ "$(id -u)" = 0 ]; then as_server=(setpriv --reuid=nobody --regid=nogroup --clear-groups); fi

finish() {
    for pid in $shop_pid $sync_pid; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ -n "$pg_pid" ]; then kill -INT "$pg_pid" 2>/dev/null || true; wait "$pg_pid" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null ||
    { for p in $(seq 54400 54500); do (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; return; }; done; }; }
port=$(free_port)
psql() { "$bin/psql" -h 127.0.0.1 -p "$port" -U postgres -X -q -v ON_ERROR_STOP=1 "$@"; }

say "a throw-away Postgres on port $port, with a shop of 100,000 orders that keeps trading"
mkdir "$work/pg"
[ "$(id -u)" != 0 ] || chown nobody:nogroup "$work/pg"
(cd "$work/pg" && "${as_server[@]}" "$bin/initdb" -D "$work/pg/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >/dev/null)
cat >> "$work/pg/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$work/pg'
wal_level = logical
fsync = off
CONF
(cd "$work/pg" && exec "${as_server[@]}" "$bin/postgres" -D "$work/pg/data" >"$work/pg/log" 2>&1 </dev/null) &
pg_pid=$!
for _ in $(seq 100); do psql -d postgres -c 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.1; done
psql -d postgres -c 'CREATE DATABASE shop'
psql -d shop <<'SQL'
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, email text, joined date);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer bigint NOT NULL,
                     total numeric(10,2) NOT NULL, state text NOT NULL, placed timestamptz NOT NULL DEFAULT now());
CREATE TABLE stock (product int PRIMARY KEY, pieces int NOT NULL, note text);
INSERT INTO customers SELECT i, 'customer ' || i, 'c' || i || '@example.org', date '2020-01-01' + i % 2000
    FROM generate_series(1, 20000) i;
INSERT INTO orders (customer, total, state) SELECT 1 + i * 7 % 20000, (i % 50000) / 100.0, 'placed'
    FROM generate_series(1, 100000) i;
INSERT INTO stock SELECT i, 1000, NULL FROM generate_series(1, 500) i;
SQL
trade() {
    while :; do
        psql -d shop <<'SQL' || return 0
BEGIN;
INSERT INTO orders (customer, total, state)
    SELECT 1 + (random() * 19999)::int, round((random() * 500)::numeric, 2), 'placed' FROM generate_series(1, 20);
UPDATE stock SET pieces = pieces - 1 WHERE product = 1 + (random() * 499)::int;
COMMIT;
UPDATE orders SET state = 'paid' WHERE id IN (SELECT id FROM orders WHERE state = 'placed' ORDER BY id DESC LIMIT 15);
DELETE FROM orders WHERE id = (SELECT min(id) FROM orders);
UPDATE customers SET email = md5(random()::text) || '@example.org' WHERE id = 1 + (random() * 19999)::int;
SQL
        sleep 0.01
    done
}
trade 2>/dev/null &
shop_pid=$!

cd "$work"
sync=("$build/penstock" sync --from "postgres://postgres@127.0.0.1:$port/shop" --to duckdb:warehouse.duckdb)
say "penstock sync --from postgres://postgres@127.0.0.1:$port/shop --to duckdb:warehouse.duckdb"
: >log # it must be there for tail
"${sync[@]}" 2>>log & sync_pid=$!
tail -n +1 -f --pid=$sync_pid log 2>/dev/null | sed -u 's/^/   /' & tail_pid=$!
wait_log() { for _ in $(seq 300); do grep -q "$1" log && return 0; kill -0 "$sync_pid" 2>/dev/null || { cat log; exit 1; }; sleep 0.1; done; cat log; exit 1; }
wait_log 'streaming from'
sleep 2
say "kill -9"
kill -9 "$sync_pid"; wait "$sync_pid" 2>/dev/null || true; wait $tail_pid 2>/dev/null || true
echo "   orders at the source meanwhile: $(psql -d shop -Atc 'SELECT count(*) FROM orders')"
say "the same command again: it goes on from the checkpoint in the warehouse"
: >log # it must be there for tail
"${sync[@]}" 2>>log & sync_pid=$!
tail -n +1 -f --pid=$sync_pid log 2>/dev/null | sed -u 's/^/   /' & tail_pid=$!
wait_log 'streaming from'
sleep 2

say "the shop closes; the last changes arrive; penstock ends on SIGTERM"
kill "$shop_pid" 2>/dev/null || true; wait "$shop_pid" 2>/dev/null || true; shop_pid=''
end=$(psql -d shop -Atc 'SELECT pg_current_wal_insert_lsn()')
psql -d shop -c "UPDATE stock SET note = 'closed' WHERE product = 1"
for _ in $(seq 100); do
    [ "$(psql -d shop -Atc "SELECT coalesce(bool_and(confirmed_flush_lsn >= '$end'), false) FROM pg_replication_slots")" = t ] && break
    sleep 0.1
done
kill -TERM "$sync_pid"; wait "$sync_pid" || true; sync_pid=''
wait $tail_pid 2>/dev/null || true

say "both sides, as rows and as an MD5 over every row"
equal=1
compare() { # NAME TABLE COLUMNS-AS-TEXT KEY
    src=$(psql -d shop -Atc "SELECT count(*) || ' ' || md5(string_agg($2, ',' ORDER BY $3)) FROM public.$1")
    dst=$("$build/duckdb-query" warehouse.duckdb "SELECT count(*) || ' ' || md5(string_agg($2, ',' ORDER BY $3)) FROM public.$1")
    verdict=equal
    [ "$src" = "$dst" ] || { verdict=DIFFERENT; equal=0; }
    printf '   %-10s source    %s\n   %-10s warehouse %s   %s\n' "$1" "$src" '' "$dst" "$verdict"
}
compare customers "concat_ws('|', id, name, email, joined)" id
compare orders "concat_ws('|', id, customer, total, state, CAST(round(extract(epoch FROM placed) * 1000000) AS bigint))" id
compare stock "concat_ws('|', product, pieces, coalesce(note, 'NULL'))" product
[ $equal = 1 ] || exit 1

say "with your own database (wal_level = logical; see README.md for the rights it needs)"
cat <<TXT
   $build/penstock check --from postgres://USER:PASSWORD@HOST/DB --to duckdb:my.duckdb
   $build/penstock sync  --from postgres://USER:PASSWORD@HOST/DB --to duckdb:my.duckdb
TXT
