"""Schedules: one seed is one schedule, bounded in time, of every kind asked for."""

import random

import msgspec
import pytest

from kvstore.testing.chaos import nemesis
from kvstore.testing.chaos.nemesis import (
    KINDS,
    LEADER,
    Disk,
    Kill,
    Step,
    kind_of,
    schedule,
    targets_of,
)

MEMBERS = ("m1", "m2", "m3")


def test_one_seed_is_one_schedule() -> None:
    once = schedule(random.Random(7), MEMBERS, 60.0)
    assert once == schedule(random.Random(7), MEMBERS, 60.0)
    assert once != schedule(random.Random(8), MEMBERS, 60.0)


@pytest.mark.parametrize("seed", range(30))
def test_steps_are_in_order_bounded_and_name_members(seed: int) -> None:
    steps = schedule(random.Random(seed), MEMBERS, 40.0)
    assert [step.at_seconds for step in steps] == sorted(step.at_seconds for step in steps)
    for step in steps:
        assert step.at_seconds >= 0
        assert step.for_seconds > 0
        assert step.at_seconds + step.for_seconds <= 40.0
        assert set(targets_of(step.fault)) <= {*MEMBERS, LEADER}
        assert nemesis.describe(step.fault)


def test_a_run_of_a_minute_sees_every_kind() -> None:
    seen = {kind_of(step.fault) for step in schedule(random.Random(1), MEMBERS, 60.0)}
    assert seen == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_asked_for(kind: str) -> None:
    steps = schedule(random.Random(3), MEMBERS, 60.0, kinds=(kind,))
    kinds = {kind_of(step.fault) for step in steps}
    assert kinds == ({"disk", "kill"} if kind == "disk" else {kind})


def test_a_power_loss_kills_who_forgets_while_it_forgets() -> None:
    steps = schedule(random.Random(5), MEMBERS, 300.0, kinds=("disk",))
    kills = [step for step in steps if isinstance(step.fault, Kill)]
    assert kills
    for kill in kills:
        for target in targets_of(kill.fault):
            assert any(
                isinstance(step.fault, Disk)
                and step.fault.disk.torn_on_kill
                and step.fault.target == target
                and step.at_seconds <= kill.at_seconds <= step.at_seconds + step.for_seconds
                for step in steps
            )


def test_a_schedule_is_data() -> None:
    steps = schedule(random.Random(2), MEMBERS, 60.0)
    text = msgspec.json.encode(steps)
    assert msgspec.json.decode(text, type=tuple[Step, ...]) == steps


@pytest.mark.parametrize("kinds", [(), ("earthquake",)])
def test_unknown_kinds_are_refused(kinds: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="there are kill"):
        schedule(random.Random(1), MEMBERS, 10.0, kinds=kinds)
