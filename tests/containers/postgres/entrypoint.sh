#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# As the official image's: POSTGRES_USER, POSTGRES_PASSWORD (required), POSTGRES_DB, the scripts of
# /docker-entrypoint-initdb.d on an empty volume (meanwhile the server listens on its socket only),
# then the command.
set -eu
user=${POSTGRES_USER:-postgres}
db=${POSTGRES_DB:-$user}
socket=/var/run/postgresql

if [ "$1" != postgres ]; then
    exec "$@"
fi
if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres -m 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --clear-groups sh "$0" "$@"
fi
sql() { psql -X -q -v ON_ERROR_STOP=1 -h $socket -U "$user" "$@"; }

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
        exit 1
    fi
    printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
    initdb -D "$PGDATA" -U "$user" -E UTF8 --locale=C --pwfile=/tmp/password >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -w -s -l /tmp/first.log \
        -o "$(shift; printf '%s ' "$@") -c listen_addresses= -c unix_socket_directories=$socket" start
    [ "$db" = postgres ] || sql -d postgres -c "CREATE DATABASE \"$db\""
    for f in /docker-entrypoint-initdb.d/*.sql; do
        [ ! -e "$f" ] || sql -d "$db" -f "$f"
    done
    pg_ctl -D "$PGDATA" -w -s -m fast stop
fi
exec "$@" -c listen_addresses='*' -c unix_socket_directories=$socket
