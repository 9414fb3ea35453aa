"""Faults of the links between nodes, as one table of ways from node to node. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kvstore.faults.kinds import LinkFault

Links = Mapping[str, tuple[LinkFault, ...]]
"""The faults set at each node, as `LinkFault` has them: `peer` is another node's name, "" all."""


class LinkError(Exception):
    """A fault that cannot be, in words for the operator."""


@dataclass(frozen=True, slots=True)
class Way:
    """What happens to packets in one direction; the default is nothing."""

    drop: float = 0.0
    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    bytes_per_second: int = 0


NOTHING = Way()


def ways(links: Links) -> dict[tuple[str, str], Way]:
    """What is wrong with the way from one node to another, for each that anything is wrong with."""
    found = {}
    for source in links:
        for target in links:
            if source == target:
                continue
            there = [
                one for one in links[source] if one.peer in ("", target) and one.direction != "in"
            ]
            here = [
                one for one in links[target] if one.peer in ("", source) and one.direction != "out"
            ]
            way = _together([*there, *here])
            if way != NOTHING:
                found[source, target] = way
    return found


def _together(faults: Sequence[LinkFault]) -> Way:
    passes, rates = 1.0, [one.bytes_per_second for one in faults if one.bytes_per_second]
    for one in faults:
        passes *= 0.0 if one.cut else 1.0 - one.drop
    return Way(
        1.0 - passes,
        sum(one.delay_seconds for one in faults),
        sum(one.jitter_seconds for one in faults),
        min(rates, default=0),
    )


def partitioned(links: Links, groups: Sequence[Sequence[str]], *, one_way: bool = False) -> Links:
    """Nothing passes between different groups any more; one group alone is cut off from all others."""
    sides = [list(group) for group in groups]
    if len(sides) == 1:
        sides.append([name for name in links if name not in sides[0]])
    _known(links, (name for side in sides for name in side))
    named = [name for side in sides for name in side]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise LinkError(f"{', '.join(twice)} cannot be on two sides of a partition")
    if len(sides) < 2 or not all(sides):
        raise LinkError("a partition has two sides: nobody is left for the other one")
    if one_way and len(sides) != 2:
        raise LinkError("a one-way partition has exactly two groups: from and to")
    made = dict(links)
    for at, side in enumerate(sides):
        for other in sides[at + 1 :]:
            for source in side:
                for target in other:
                    # At one end: what both ends say of a way is put together.
                    fault = LinkFault(target, "out" if one_way else "both", drop=1.0)
                    made[source] = _with(made[source], fault)
    return made


def changed(links: Links, node: str, fault: LinkFault) -> Links:
    """One node's links are slow, lossy or cut; what was set for the same peer and direction is replaced."""
    _known(links, [node, *([fault.peer] if fault.peer else [])])
    if fault.peer == node:
        raise LinkError(f"{node} has no link to itself")
    return {**links, node: _with(links[node], fault)}


def _with(faults: tuple[LinkFault, ...], fault: LinkFault) -> tuple[LinkFault, ...]:
    kept = tuple(
        one
        for one in faults
        if (one.peer, one.direction, one.drop == 1)
        != (fault.peer, fault.direction, fault.drop == 1)
    )
    return (*kept, fault) if fault.is_active else kept


def _known(links: Links, names: Iterable[str]) -> None:
    for name in names:
        if name not in links:
            raise LinkError(
                f"{name!r} is no node; there are {', '.join(links) or 'none'}. Nodes and masters are parted from "
                "their own kind: nodes reach the API servers by the machine's loopback, which nothing parts"
            )


def described(links: Links) -> dict[str, list[str]]:
    """One line a fault, for each node that has any."""
    return {
        name: [one.describe().replace("peers", "nodes") for one in faults]
        for name, faults in links.items()
        if faults
    }
