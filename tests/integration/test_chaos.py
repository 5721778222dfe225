# SPDX-License-Identifier: Apache-2.0
"""Random work against random trouble (tests/chaos), fifty rounds: 25 into each warehouse, one life
a test. The same work and trouble each time, so that a failure is the change's: new ones are what `make
chaos` brings. PENSTOCK_SEED=N, or the command in a report, does another."""
import os

import pytest
from shard import Failure, Shard

SEED = int(os.environ.get("PENSTOCK_SEED", "402"))


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_random_work_against_random_trouble(kind, run_folder):
    try:
        assert Shard(SEED, (kind,), rest_every=5).run(25) == 25
    except Failure as e:
        pytest.fail(str(e), pytrace=False)
