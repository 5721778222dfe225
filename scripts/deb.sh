#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build/penstock_VERSION_ARCH.deb, from what `make install` installs: scripts/deb.sh BUILD VERSION
set -eu
build=$1
version=$2
arch=$(dpkg --print-architecture)
root=$build/deb
rm -rf "$root"
make --no-print-directory install BUILD="$build" DESTDIR="$(pwd)/$root" PREFIX=/usr >/dev/null
install -d "$root/etc/penstock" "$root/lib/systemd/system" "$root/DEBIAN"
install -m 644 examples/penstock.service "$root/lib/systemd/system/penstock.service"
printf '%s\n' '# Every setting: penstock config. An example: /usr/share/doc/penstock/penstock.yaml' \
    'connectors: {}' >"$root/etc/penstock/penstock.yaml"
echo /etc/penstock/penstock.yaml >"$root/DEBIAN/conffiles"
gzip -9nf "$root/usr/share/man/man1/penstock.1"
# The libraries that the program was linked with; DuckDB's is in the package.
mkdir -p "$build/deb-tmp/debian"
printf 'Source: penstock\n' >"$build/deb-tmp/debian/control"
program=$(pwd)/$root/usr/lib/penstock/penstock
depends=$(cd "$build/deb-tmp" && dpkg-shlibdeps -O --ignore-missing-info \
    -l"$(dirname "$program")" "$program" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
cat >"$root/DEBIAN/control" <<END
Package: penstock
Version: $version
Architecture: $arch
Maintainer: Penstock <penstock@localhost>
Section: database
Priority: optional
Depends: $depends
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Description: keeps a warehouse equal to a running database
 Reads a Postgres database's log and keeps a copy in DuckDB or another Postgres equal to it, as of
 exactly one commit.
END
dpkg-deb --root-owner-group -Zxz -z1 --build "$root" "$build/penstock_${version}_$arch.deb" >/dev/null
rm -rf "$build/deb-tmp"
echo "$build/penstock_${version}_$arch.deb"
