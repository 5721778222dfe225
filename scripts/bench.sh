#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The benchmarks one after another, then one table of all: scripts/bench.sh BUILD [full].
# full: 10M rows (about 40 GB below /tmp, and most of an hour). Nothing is judged here: a busy
# machine says so in its rows, and what the rows mean stands in docs/performance.md.
set -e

build=$1
if [ "$2" = full ]; then
    drain=5000000 snapshot=10000000 apply=10000000 end=5000000
fi
for program in pg_recvlogical initdb; do
    ls /usr/lib/postgresql/*/bin/"$program" >/dev/null 2>&1 || {
        echo "bench: no $program below /usr/lib/postgresql: sh scripts/deps.sh test .deps" >&2
        exit 1
    }
done

PENSTOCK_BENCH_TABLE=$(mktemp)
export PENSTOCK_BENCH_TABLE
trap 'rm -f "$PENSTOCK_BENCH_TABLE"' EXIT
trap 'exit 130' INT TERM

began=$(date +%s)
"$build/bench/bench_codec"
"$build/bench/bench_drain" $drain
"$build/bench/bench_snapshot" $snapshot
"$build/bench/bench_apply" $apply
"$build/bench/bench_end" $end
"$build/bench/bench_latency"

echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) processors," \
    "$(uname -sr), $(date +%F), $(($(date +%s) - began)) s;" \
    "$("$(ls /usr/lib/postgresql/*/bin/postgres | head -n 1)" --version);" \
    "$("$build/penstock" version | tr '\n' ' ')"
echo
echo "| what | ours, median | compared with, median | ratio (or ours): min / median / max | goal | repetitions that count |"
echo "|---|---|---|---|---|---|"
cat "$PENSTOCK_BENCH_TABLE"
