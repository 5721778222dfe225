#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what Penstock is built, tested or shown with, and says what it installs.
# usage: deps.sh build|test DIR     (DIR: where downloaded parts are kept, ./.deps)
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

case $what in
build)
    apt_need gcc make pkg-config libc6-dev libpq-dev libcurl4-openssl-dev libjansson-dev libssl-dev libyaml-dev \
        libpcre2-dev libsqlite3-dev libmicrohttpd-dev libavro-dev libcmocka-dev openssl ca-certificates
    command -v npm >/dev/null 2>&1 || apt_need npm
    duckdb
    touch "$dir/stamp"
    ;;
esac
