"""Faults of links: which messages pass, when, and which connections may be."""

import asyncio
import random

import pytest

from kvstore.faults.kinds import LinkFault
from kvstore.faults.network import NetworkFaults, UnknownPeer
from kvstore.raft.pysync.delay_line import DelayLine

PEERS = {"a": 1, "b": 2, "c": 3}


@pytest.fixture
def faults() -> NetworkFaults:
    return NetworkFaults(1, PEERS, random.Random(1))


def test_without_faults_all_passes_at_once(faults: NetworkFaults) -> None:
    assert faults.allows_connect(1, 2)
    assert faults.allows_message(1, 2, "append_entries")
    assert not faults.is_shaping
    assert faults.release_at(1, 2, 1 << 20, 5.0) == 5.0


@pytest.mark.parametrize(
    ("direction", "there", "back", "connects"),
    [("both", False, False, False), ("out", False, True, True), ("in", True, False, True)],
)
def test_a_partition_drops_by_direction(
    faults: NetworkFaults, direction: str, there: bool, back: bool, connects: bool
) -> None:
    faults.set([LinkFault("b", direction, drop=1.0)])  # type: ignore[arg-type]
    assert faults.allows_message(1, 2, "x") is there
    assert faults.allows_message(2, 1, "x") is back
    assert faults.allows_connect(1, 2) is connects
    assert faults.allows_message(1, 3, "x"), "another link is not touched"


def test_a_cut_tells_the_transport_and_refuses_connections(faults: NetworkFaults) -> None:
    told: list[bool] = []
    faults.on_change(lambda: told.append(faults.allows_connect(1, 3)))
    faults.set([LinkFault(cut=True)])
    faults.set([])
    assert told == [False, True]


def test_loss_is_by_chance_and_about_as_asked(faults: NetworkFaults) -> None:
    faults.set([LinkFault("b", "out", drop=0.25)])
    passed = sum(faults.allows_message(1, 2, "x") for _ in range(4000))
    assert 2850 < passed < 3150


def test_delays_of_several_faults_add_up_and_the_slowest_line_counts(
    faults: NetworkFaults,
) -> None:
    faults.set(
        [
            LinkFault("b", "out", delay_seconds=0.5, bytes_per_second=1000),
            LinkFault(delay_seconds=0.25, bytes_per_second=100),
        ]
    )
    assert faults.is_shaping
    assert faults.release_at(1, 2, 100, 10.0) == pytest.approx(10 + 1 + 0.75)
    assert faults.release_at(1, 2, 100, 10.0) == pytest.approx(10 + 2 + 0.75)
    assert faults.release_at(1, 3, 50, 10.0) == pytest.approx(10 + 0.5 + 0.25)


def test_jitter_keeps_the_order(faults: NetworkFaults) -> None:
    faults.set([LinkFault("b", jitter_seconds=1.0)])
    times = [faults.release_at(1, 2, 10, now / 100) for now in range(200)]
    assert times == sorted(times)
    assert max(at - now / 100 for now, at in enumerate(times)) > 0.5


def test_an_unknown_peer_is_refused_and_changes_nothing(faults: NetworkFaults) -> None:
    faults.set([LinkFault("b", drop=1.0)])
    for name in ("nobody", "a"):
        with pytest.raises(UnknownPeer, match="there are b, c"):
            faults.set([LinkFault(name, cut=True)])
    assert not faults.allows_message(1, 2, "x")


async def test_held_messages_come_late_in_order_and_at_once_when_let_go() -> None:
    got: list[int] = []
    held = DelayLine(got.append, 100)
    assert not held
    assert held.put(1, 10, 0.02)
    assert held.put(2, 10, 0.0), "never before an earlier one"
    assert got == []
    async with asyncio.timeout(5):
        while len(got) < 2:
            await asyncio.sleep(0.005)
    assert got == [1, 2]
    assert held.put(3, 60, 60.0)
    assert not held.put(4, 60, 60.0), "what does not fit is refused"
    held.let_go()
    assert got == [1, 2, 3]
    assert held.put(5, 60, 60.0)
    held.drop()
    assert not held
    assert got == [1, 2, 3]
