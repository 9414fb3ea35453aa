"""The search finds known mistakes: taking a guard away fails here.

These show within a few seeds; the others take longer and are left to `make sim-mutants`.
"""

import pytest

from kvstore.testing.mutants.catalog import MUTANTS, switched_off
from kvstore.testing.sim.run import plan_of, run_plan
from kvstore.testing.sim.search import seeds_needed

QUICK = (
    "log-not-synced",
    "vote-forgotten",
    "etcd-13766",
    "etcd-14571",
    "lease-renewal-forgotten",
    "new-leader-ends-leases",
    "deposed-leader-keeps-leases",
    "acknowledge-own-end",
    "old-snapshot-installs",
    "forgotten-vote-again",
)


@pytest.mark.parametrize("name", QUICK)
def test_a_known_mistake_is_found(name: str) -> None:
    assert seeds_needed(name, 9, rounds=1)


def test_a_mistake_that_another_rule_covers_breaks_nothing() -> None:
    names = [name for name, mutant in MUTANTS.items() if mutant.covered]
    assert names == ["file-checksums-ignored"]
    assert not seeds_needed(names[0], 3, rounds=1)


def test_plans_bent_towards_a_mistake_break_nothing_by_themselves() -> None:
    for name in ("acknowledge-own-end", "old-snapshot-installs", "forgotten-vote-again"):
        assert run_plan(plan_of(1_000_000, name)).violations == []


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mistake_lasts_no_longer_than_its_run(name: str) -> None:
    places = [(target, attribute) for target, attribute, _ in MUTANTS[name].patches()]
    before = [target.__dict__[attribute] for target, attribute in places]
    with switched_off(name):
        during = [target.__dict__[attribute] for target, attribute in places]
    after = [target.__dict__[attribute] for target, attribute in places]
    assert all(one is two for one, two in zip(before, after, strict=True))
    assert all(one is not two for one, two in zip(before, during, strict=True))
    assert MUTANTS[name].about
