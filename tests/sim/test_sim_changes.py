"""Members that come and go in the simulation: nothing is lost, nobody waits for ever."""

import pytest

from kvstore.testing.sim.run import plan_of, run_plan


@pytest.mark.parametrize("seed", [0, 5, 13, 14, 77])
def test_a_cluster_whose_members_change_keeps_its_promises(seed: int) -> None:
    report = run_plan(plan_of(seed, changes=True))
    assert report.violations == []
    assert report.counts["operations"]


def test_the_same_seed_is_the_same_run() -> None:
    plan = plan_of(3, seconds=8.0, changes=True)
    assert run_plan(plan).trace_hash == run_plan(plan).trace_hash
