"""Faults of nodes' links to ways from node to node."""

from collections.abc import Sequence

import pytest

from controlplane.local.links.plan import (
    LinkError,
    Links,
    Way,
    changed,
    described,
    partitioned,
    ways,
)
from kvstore.faults.kinds import LinkFault

FREE: Links = {"a": (), "b": (), "c": ()}
SLOW = Way(delay_seconds=0.05)


def cut(links: Links) -> set[str]:
    return {f"{source}{target}" for (source, target), way in ways(links).items() if way.drop == 1}


@pytest.mark.parametrize(
    ("groups", "one_way", "expected"),
    [
        pytest.param([["a"], ["b"]], False, {"ab", "ba"}, id="two"),
        pytest.param([["a"], ["b"]], True, {"ab"}, id="one way"),
        pytest.param([["a"]], False, {"ab", "ba", "ac", "ca"}, id="one from all others"),
        pytest.param([["a"], ["b", "c"]], False, {"ab", "ba", "ac", "ca"}, id="groups"),
        pytest.param(
            [["a"], ["b"], ["c"]], False, {"ab", "ba", "ac", "ca", "bc", "cb"}, id="three groups"
        ),
    ],
)
def test_partitions(groups: list[list[str]], one_way: bool, expected: set[str]) -> None:
    assert cut(partitioned(FREE, groups, one_way=one_way)) == expected


@pytest.mark.parametrize(
    ("groups", "one_way", "words"),
    [
        ([["a"], ["a", "b"]], False, "a cannot be on two sides"),
        ([["a", "b", "c"]], False, "nobody is left"),
        ([["a"], ["b"], ["c"]], True, "exactly two groups"),
        ([["a"], ["master-1"]], False, "'master-1' is no node"),
    ],
)
def test_partitions_that_cannot_be(
    groups: Sequence[Sequence[str]], one_way: bool, words: str
) -> None:
    with pytest.raises(LinkError, match=words):
        partitioned(FREE, groups, one_way=one_way)


def test_what_both_ends_say_of_a_way_adds_up() -> None:
    links = changed(FREE, "a", LinkFault(delay_seconds=0.05, bytes_per_second=2000))
    links = changed(
        links, "b", LinkFault("a", "in", delay_seconds=0.01, drop=0.5, bytes_per_second=1000)
    )
    found = ways(links)
    assert found["a", "b"] == Way(0.5, pytest.approx(0.06), 0.0, 1000)
    assert found["b", "a"] == Way(0.0, 0.05, 0.0, 2000)
    assert found["a", "c"] == Way(0.0, 0.05, 0.0, 2000)
    assert ("b", "c") not in found


def test_a_fault_replaces_its_own_kind_and_one_that_is_nothing_ends_it() -> None:
    links = partitioned(FREE, [["a"], ["b"]])
    links = changed(links, "a", LinkFault("b", delay_seconds=0.05))
    assert cut(links) == {"ab", "ba"}, "a slow link stands beside a partition"
    links = changed(links, "a", LinkFault("b", delay_seconds=0.1))
    assert [one.delay_seconds for one in links["a"]] == [0.0, 0.1]
    links = changed(links, "a", LinkFault("b"))
    assert [one.drop for one in links["a"]] == [1.0]
    assert described(links) == {"a": ["drop all to and from b"]}


@pytest.mark.parametrize(("node", "peer"), [("a", "a"), ("x", ""), ("a", "master-1")])
def test_links_there_are_not(node: str, peer: str) -> None:
    with pytest.raises(LinkError):
        changed(FREE, node, LinkFault(peer, delay_seconds=1))


def test_cut_lets_nothing_pass() -> None:
    assert ways(changed(FREE, "a", LinkFault("b", cut=True)))["b", "a"].drop == 1.0
    assert ways(FREE) == {}
