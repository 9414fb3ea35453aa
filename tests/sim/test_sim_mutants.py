"""The search finds known mistakes: taking a guard away fails here.

These show within a few seeds; the others take longer and are left to `make sim-mutants`.
"""

import pytest

from kvstore.testing.mutants import MUTANTS, switched_off
from kvstore.testing.sim import seeds_needed

QUICK = (
    "log-not-synced",
    "vote-forgotten",
    "etcd-13766",
    "etcd-14571",
    "lease-renewal-forgotten",
    "new-leader-ends-leases",
)


@pytest.mark.parametrize("name", QUICK)
def test_a_known_mistake_is_found(name: str) -> None:
    assert seeds_needed(name, 9, rounds=1)


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
