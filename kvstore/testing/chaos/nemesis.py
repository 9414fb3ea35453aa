"""Schedules of faults as data, from a seed: the same for a simulated cluster and for real processes.

A `Fault` says what and to whom, nothing about how; a `Step` adds when and for how long. `schedule` draws steps from a
`random.Random`, so one seed is one schedule. Targets are member names, or "leader": whoever leads when the fault
begins, which the one who carries it out resolves and remembers for the end.
"""

import random
from collections.abc import Sequence

import msgspec

from kvstore.faults.kinds import ClockFault, Direction, DiskFault, LinkFault

LEADER = "leader"


class _Fault(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="fault"):
    pass


class Kill(_Fault, frozen=True, omit_defaults=True, tag="kill"):
    """kill -9 of all `targets` at once; its end starts them again."""

    targets: tuple[str, ...]


class Restart(_Fault, frozen=True, omit_defaults=True, tag="restart"):
    """An orderly stop; its end starts them again."""

    targets: tuple[str, ...]


class Pause(_Fault, frozen=True, omit_defaults=True, tag="pause"):
    """Frozen: sockets stay open, nobody answers, clocks go on. Its end lets them go on."""

    targets: tuple[str, ...]


class Partition(_Fault, frozen=True, omit_defaults=True, tag="partition"):
    """No message passes from any of `sources` to any of `sinks` (none: all others); nor back, unless `is_one_way`."""

    sources: tuple[str, ...]
    sinks: tuple[str, ...]
    is_one_way: bool = False


class Network(_Fault, frozen=True, omit_defaults=True, tag="network"):
    """The links of `target` are slow, lossy or broken."""

    target: str
    link: LinkFault


class Disk(_Fault, frozen=True, omit_defaults=True, tag="disk"):
    """The disk of `target` is slow, full, failing or forgetful."""

    target: str
    disk: DiskFault


class Clock(_Fault, frozen=True, omit_defaults=True, tag="clock"):
    """The clock of `target` leaps, is wrong or runs wrong."""

    target: str
    clock: ClockFault


Fault = Kill | Restart | Pause | Partition | Network | Disk | Clock

KINDS = ("kill", "restart", "pause", "partition", "network", "disk", "clock")


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """`fault` begins `at_seconds` after the start of the run and is undone `for_seconds` later."""

    at_seconds: float
    for_seconds: float
    fault: Fault


def kind_of(fault: Fault) -> str:
    """One of KINDS."""
    return str(fault.__struct_config__.tag)


def targets_of(fault: Fault) -> tuple[str, ...]:
    """The members it is done to."""
    match fault:
        case Kill(targets) | Restart(targets) | Pause(targets):
            return targets
        case Partition(sources, sinks):
            return (*sources, *sinks)
        case Network(target) | Disk(target) | Clock(target):
            return (target,)


def describe(fault: Fault) -> str:
    """In a few words, for logs, reports and the timeline."""
    match fault:
        case Kill(targets) | Restart(targets) | Pause(targets):
            return f"{kind_of(fault)} {' '.join(targets)}"
        case Partition(sources, sinks, is_one_way):
            arrow = "->" if is_one_way else "|"
            return f"partition {','.join(sources)} {arrow} {','.join(sinks) or 'the others'}"
        case Network(target, link):
            return f"network {target}: {link.describe()}"
        case Disk(target, disk):
            return f"disk {target}: {disk.describe()}"
        case Clock(target, clock):
            return f"clock {target}: {clock.describe()}"


def schedule(
    rng: random.Random,
    members: Sequence[str],
    duration_seconds: float,
    *,
    kinds: Sequence[str] = KINDS,
    pause_seconds: float = 1.0,
    longest_seconds: float = 4.0,
) -> tuple[Step, ...]:
    """Steps in order of their begin, all over before `duration_seconds`.

    Kinds, and the variants of a kind, are dealt from shuffled decks: a short run sees each before it sees one twice.
    Steps may overlap. Raises ValueError for an unknown kind.
    """
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong or not kinds:
        raise ValueError(f"no such faults: {', '.join(wrong)}; there are {', '.join(KINDS)}")
    dealer = _Dealer(rng, tuple(members))
    deck = _Deck(rng, tuple(kinds))
    steps: list[Step] = []
    at = rng.uniform(0.2, pause_seconds)
    while True:
        lasts = rng.uniform(0.3, longest_seconds)
        if at + lasts > duration_seconds - 0.2:
            lasts = duration_seconds - 0.2 - at
        if lasts < 0.25:
            return tuple(sorted(steps, key=lambda step: step.at_seconds))
        steps += dealer.steps(deck.draw(), round(at, 3), round(lasts, 3))
        at += rng.uniform(0.3 * lasts, lasts + 2 * pause_seconds)


class _Deck:
    def __init__(self, rng: random.Random, cards: tuple[str, ...]) -> None:
        self._rng, self._cards, self._left = rng, cards, list[str]()

    def draw(self) -> str:
        if not self._left:
            self._left = list(self._cards)
            self._rng.shuffle(self._left)
        return self._left.pop()


_DIRECTIONS: tuple[Direction, ...] = ("both", "out", "in")
_VARIANTS = {
    "kill": ("leader", "one", "one", "some", "all"),
    "restart": ("leader", "one", "all"),
    "pause": ("leader", "one", "some"),
    "partition": ("leader", "one", "halves", "one-way-from", "one-way-to"),
    "network": ("delay", "jitter", "loss", "throttle", "cut"),
    "disk": ("slow", "slow-all", "fail", "torn", "full", "read-only"),
    "clock": ("jump", "jump-back", "fast", "slow", "skew"),
}


class _Dealer:
    """Makes faults of a kind, with chance for all that is open."""

    def __init__(self, rng: random.Random, members: tuple[str, ...]) -> None:
        self._rng, self._members = rng, members
        self._decks = {kind: _Deck(rng, variants) for kind, variants in _VARIANTS.items()}

    def steps(self, kind: str, at: float, lasts: float) -> list[Step]:
        variant = self._decks[kind].draw()
        match kind:
            case "kill":
                faults: list[Fault] = [Kill(self._some(variant))]
            case "restart":
                faults = [Restart(self._some(variant))]
            case "pause":
                faults = [Pause(self._some(variant))]
            case "partition":
                faults = [self._partition(variant)]
            case "network":
                faults = [self._network(variant)]
            case "disk":
                return self._disk(variant, at, lasts)
            case _:
                faults = [self._clock(variant)]
        return [Step(at, lasts, fault) for fault in faults]

    def _one(self) -> str:
        return self._rng.choice((*self._members, LEADER))

    def _some(self, variant: str) -> tuple[str, ...]:
        if variant == "leader":
            return (LEADER,)
        if variant == "all":
            return self._members
        count = 1 if variant == "one" else self._rng.randint(1, len(self._members))
        return tuple(sorted(self._rng.sample(self._members, count)))

    def _partition(self, variant: str) -> Fault:
        if variant == "leader":
            return Partition((LEADER,), ())
        names = list(self._members)
        self._rng.shuffle(names)
        size = max(1, len(names) // 2) if variant == "halves" else 1
        one, rest = tuple(sorted(names[:size])), tuple(sorted(names[size:]))
        match variant:
            case "one-way-from":
                return Partition(one, rest, is_one_way=True)
            case "one-way-to":
                return Partition(rest, one, is_one_way=True)
        return Partition(one, rest)

    def _network(self, variant: str) -> Fault:
        rng = self._rng
        peer = rng.choice(("", "", *self._members))
        target = rng.choice([name for name in self._members if name != peer])
        direction = rng.choice(_DIRECTIONS)
        match variant:
            case "delay":
                link = LinkFault(peer, direction, delay_seconds=round(rng.uniform(0.01, 0.3), 3))
            case "jitter":
                link = LinkFault(peer, direction, jitter_seconds=round(rng.uniform(0.01, 0.2), 3))
            case "loss":
                link = LinkFault(peer, direction, drop=round(rng.uniform(0.02, 0.5), 2))
            case "throttle":
                link = LinkFault(
                    peer, direction, bytes_per_second=rng.choice((2000, 20000, 200000))
                )
            case _:
                link = LinkFault(peer, cut=True)
        return Network(target, link)

    def _disk(self, variant: str, at: float, lasts: float) -> list[Step]:
        rng = self._rng
        slow = round(rng.uniform(0.02, 0.6), 3)
        match variant:
            case "slow":
                return [Step(at, lasts, Disk(self._one(), DiskFault(slow_fsync_seconds=slow)))]
            case "slow-all":
                fault = DiskFault(slow_fsync_seconds=round(slow / 3, 3))
                return [Step(at, lasts, Disk(name, fault)) for name in self._members]
            case "fail":
                return [Step(at, lasts, Disk(self._one(), DiskFault(fail_fsync=True)))]
            case "full":
                return [Step(at, lasts, Disk(self._one(), DiskFault(full=True)))]
            case "read-only":
                return [Step(at, lasts, Disk(self._one(), DiskFault(read_only=True)))]
        # A power loss: the writes of some are torn by a kill in the middle of what they write.
        victims = self._some(rng.choice(("one", "some", "all")))
        torn = DiskFault(torn_on_kill=True, slow_fsync_seconds=round(rng.uniform(0, 0.05), 3))
        kill_at, down = round(at + lasts * 0.4, 3), round(lasts * 0.4, 3)
        steps: list[Step] = [Step(at, lasts, Disk(name, torn)) for name in victims]
        return [*steps, Step(kill_at, down, Kill(victims))]

    def _clock(self, variant: str) -> Fault:
        rng = self._rng
        match variant:
            case "jump":
                clock = ClockFault(jump_seconds=round(rng.uniform(0.1, 20), 2))
            case "jump-back":
                clock = ClockFault(jump_seconds=-round(rng.uniform(0.1, 3600), 2))
            case "fast":
                clock = ClockFault(drift=round(rng.uniform(0.01, 1.0), 2))
            case "slow":
                clock = ClockFault(drift=-round(rng.uniform(0.01, 0.5), 2))
            case _:
                clock = ClockFault(skew_seconds=round(rng.uniform(-86400, 86400), 0))
        return Clock(self._one(), clock)
