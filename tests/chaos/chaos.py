# SPDX-License-Identifier: Apache-2.0
"""Random work against random trouble, for as long as you like.

    python tests/chaos/chaos.py [--seed N] [--rounds N] [--minutes N] [--kind both|postgres|duckdb]

One life after another (shard.py), each of so many rounds, with the seeds N, N+1, ..; each prints
its seed first, and with it makes the same operations and troubles again. The first failure is
reported in full and ends it (exit code 1)."""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import harness  # noqa: E402
from both import KINDS  # noqa: E402
from shard import Failure, Shard  # noqa: E402


def say(text):
    print(time.strftime("%H:%M:%S "), text, flush=True)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    a.add_argument("--seed", type=int, help="of the first life; default: any")
    a.add_argument("--rounds", type=int, default=30, help="of one life; default 30")
    a.add_argument("--minutes", type=float, default=0, help="go on with the next seed for so long; default: one life")
    a.add_argument("--kind", choices=("both", *KINDS), default="both")
    a.add_argument("--heavy", type=float, default=1.0, help="times as many transactions in a round")
    a.add_argument("--rest-every", type=int, default=3, help="rounds from one comparison to the next")
    a.add_argument("--keep-going", action="store_true", help="after a failure, with the next seed")
    a.add_argument("--report", default=os.path.join(harness.BUILD, "chaos"), help="folder for the reports")
    o = a.parse_args()
    seed = o.seed if o.seed is not None else random.SystemRandom().randrange(1, 10**9)
    kinds = KINDS if o.kind == "both" else (o.kind,)
    until = time.monotonic() + o.minutes * 60
    failures = rounds = 0
    while True:
        shard = Shard(seed, kinds, o.heavy, o.rest_every, say)
        try:
            n = shard.run(o.rounds, until if o.minutes else None)
            say(f"seed {seed}: {n} rounds, {shard.done} statements ({shard.failed} failed at the source), good")
            rounds += n
        except Failure as e:
            failures += 1
            os.makedirs(o.report, exist_ok=True)
            path = os.path.join(o.report, f"{o.kind}-{seed}.txt")
            with open(path, "w") as f:
                f.write(f"{e}\n--- the whole log\n{shard.p.log() if shard.p else ''}\n--- the whole history\n"
                        + "\n".join(shard.history.lines))
            print(str(e) if not o.keep_going else str(e)[:3000], flush=True)
            say(f"seed {seed}: the whole story is in {path}")
            if not o.keep_going:
                break
        seed += 1
        if time.monotonic() >= until:
            break
    say(f"{rounds} rounds good, {failures} lives failed")
    harness.cleanup()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
