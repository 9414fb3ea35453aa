"""Faults on the links between members, asked by the peer transport for every connection and message.

Both ends ask their own `NetworkFaults`, so a fault at one end is enough for either direction, and a partition that is
set at both ends holds although one of them restarts. A link that drops everything in one direction only keeps its
connection, as far as the other direction keeps it alive: the two directions are independent, which TCP itself cannot
offer and which is the harder case for Raft.

With no fault set, `allows_message` is one look at an empty table and `is_shaping` is False.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kvstore.faults.kinds import LinkFault


class UnknownPeer(ValueError):
    """A fault names a member that this one does not know."""

    def __init__(self, peer: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no peer {peer!r}; there are {', '.join(sorted(known))}")


@dataclass(slots=True)
class _Rule:
    """All faults of one direction of one link, taken together."""

    drop: float = 0.0
    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    bytes_per_second: int = 0
    cut: bool = False
    free_at: float = 0.0
    """When the throttled line has sent what it was given."""
    last_at: float = 0.0
    """When the latest message comes out; later ones come behind it."""

    def add(self, fault: LinkFault) -> None:
        self.drop = 1 - (1 - self.drop) * (1 - fault.drop)
        self.delay_seconds += fault.delay_seconds
        self.jitter_seconds += fault.jitter_seconds
        if fault.bytes_per_second:
            rates = [rate for rate in (self.bytes_per_second, fault.bytes_per_second) if rate]
            self.bytes_per_second = min(rates)
        self.cut = self.cut or fault.cut


class NetworkFaults:
    """The faults on all links of member `own`. `peers` are the other members' ids by name."""

    def __init__(self, own: int, peers: Mapping[str, int], rng: random.Random) -> None:
        self._own = own
        self._peers = {name: peer for name, peer in peers.items() if peer != own}
        self._rng = rng
        self._rules: dict[tuple[int, int], _Rule] = {}
        self._callbacks: list[Callable[[], None]] = []
        self.is_shaping = False
        """Whether any message has to wait."""

    def set(self, links: Sequence[LinkFault]) -> None:
        """Replace all faults. Raises UnknownPeer and changes nothing then."""
        rules: dict[tuple[int, int], _Rule] = {}
        for link in links:
            if link.peer and link.peer not in self._peers:
                raise UnknownPeer(link.peer, list(self._peers))
            for peer in [self._peers[link.peer]] if link.peer else self._peers.values():
                if link.direction != "in":
                    rules.setdefault((self._own, peer), _Rule()).add(link)
                if link.direction != "out":
                    rules.setdefault((peer, self._own), _Rule()).add(link)
        self._rules = rules
        self.is_shaping = any(
            rule.delay_seconds or rule.jitter_seconds or rule.bytes_per_second
            for rule in rules.values()
        )
        for callback in self._callbacks:
            callback()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call after every `set`."""
        self._callbacks.append(callback)

    def allows_connect(self, source: int, target: int) -> bool:
        """False where a link is cut, or lets nothing pass either way."""
        rules = self._rules
        if not rules:
            return True
        there, back = rules.get((source, target)), rules.get((target, source))
        if (there is not None and there.cut) or (back is not None and back.cut):
            return False
        return there is None or back is None or there.drop < 1 or back.drop < 1

    def allows_message(self, source: int, target: int, kind: str) -> bool:
        """Whether one message gets through."""
        rules = self._rules
        if not rules:
            return True
        rule = rules.get((source, target))
        if rule is None or not (rule.drop or rule.cut):
            return True
        return not rule.cut and rule.drop < 1 and self._rng.uniform(0, 1) >= rule.drop

    def release_at(self, source: int, target: int, size_bytes: int, now: float) -> float:
        """When a message of that size that enters the link `now` comes out; never before an earlier one."""
        rule = self._rules.get((source, target))
        if rule is None:
            return now
        at = now
        if rule.bytes_per_second:
            rule.free_at = max(rule.free_at, now) + size_bytes / rule.bytes_per_second
            at = rule.free_at
        at += rule.delay_seconds
        if rule.jitter_seconds:
            at += self._rng.uniform(0, rule.jitter_seconds)
        rule.last_at = max(rule.last_at, at)
        return rule.last_at
