"""Demand, Retry-After, estimates of work, counts of watches: small pure parts, each by its table."""

import pytest

from controlplane.apiserver.flowcontrol import work
from controlplane.apiserver.flowcontrol.demand import Demand, Integrator
from controlplane.apiserver.flowcontrol.retry_after import RetryAfter
from controlplane.apiserver.flowcontrol.watch_counts import WatchCounts
from controlplane.apiserver.flowcontrol.work import Reading, Work


def test_a_quantity_is_weighed_by_time() -> None:
    followed = Integrator(10.0)
    followed.set(11.0, 4.0)
    followed.set(13.0, 1.0)
    seen = followed.reset(14.0)
    # One second of 0, two of 4, one of 1.
    assert seen.seconds == 4.0
    assert seen.average == pytest.approx(9 / 4)
    assert seen.deviation == pytest.approx((33 / 4 - (9 / 4) ** 2) ** 0.5)
    assert seen.highest == 4.0
    assert followed.reset(15.0).highest == 1.0


def test_demand_rises_at_once_and_falls_slowly() -> None:
    followed, demand = Integrator(0.0), Demand()
    followed.set(0.0, 100.0)
    demand.update(followed.reset(10.0))
    assert demand.smoothed == pytest.approx(100.0)
    followed.set(10.0, 0.0)
    followed.reset(10.0)
    demand.update(followed.reset(20.0))
    assert demand.smoothed == pytest.approx(97.7)
    for period in range(30):
        demand.update(followed.reset(30.0 + 10 * period))
    assert 45 < demand.smoothed < 52
    assert demand.highest == 0


def test_retry_after_grows_under_pressure_and_shrinks_without() -> None:
    level, said = RetryAfter(), []
    for second in range(40):
        said.append([level.refused(float(second)) for _ in range(200)][-1])
    assert said[0] == 1
    assert max(said) == 32
    assert said == sorted(said)
    later = [level.refused(1000.0 + 100 * step) for step in range(40)]
    assert later[-1] == 1
    assert later == sorted(later, reverse=True)


@pytest.mark.parametrize(
    ("reading", "most", "seats"),
    [
        (Reading(None), 0, 1),
        (Reading(0), 0, 1),
        (Reading(100), 0, 1),
        (Reading(101), 0, 2),
        (Reading(5000), 0, 10),
        (Reading(5000), 4, 4),
        (Reading(5000, limit=500), 0, 10),
        (Reading(5000, limit=100, is_from_cache=False), 0, 2),
        (Reading(500, limit=100, is_from_cache=False, has_selector=True), 0, 6),
        (Reading(5000, is_single=True), 0, 1),
    ],
    ids=[
        *("unknown kind", "empty", "a hundred", "more", "bounded", "bounded by the level"),
        *("the cache reads all", "a page of the store", "searched in the store", "one"),
    ],
)
def test_seats_of_a_list(reading: Reading, most: int, seats: int) -> None:
    assert work.of_list(reading, most) == Work(seats)


@pytest.mark.parametrize(
    ("watches", "most", "made"),
    [
        (0, 0, Work(1)),
        (9, 0, Work(1)),
        (10, 0, Work(1, 1, 0.005)),
        (95, 0, Work(1, 10, 0.005)),
        (1000, 0, Work(1, 10, 0.05)),
        (1000, 5, Work(1, 5, 0.1)),
    ],
    ids=["nobody", "few", "ten", "ninety-five", "a thousand", "in a small level"],
)
def test_what_a_write_costs_afterwards(watches: int, most: int, made: Work) -> None:
    assert work.of_write(watches, most) == made


def test_watches_that_hear_of_a_write() -> None:
    counts = WatchCounts()
    places = [
        counts.began("", "pods", "", ""),
        counts.began("", "pods", "d", ""),
        counts.began("", "pods", "e", ""),
        counts.began("", "pods", "d", "web"),
        counts.began("", "pods", "", "", node_name="n1"),
        counts.began("apps", "deployments", "", ""),
    ]
    assert counts.interested("", "pods", "d", "web") == 3
    assert counts.interested("", "pods", "d", "other") == 2
    assert counts.interested("", "pods", "d", "") == 2
    for place in places:
        counts.ended(place)
    assert counts.interested("", "pods", "d", "web") == 0
