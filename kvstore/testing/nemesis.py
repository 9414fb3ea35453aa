"""Schedules of faults as data, from a seed: the same for a simulated cluster and for real processes.

A `Fault` says what and to whom, nothing about how; a `Step` adds when and for how long. `schedule` draws steps from a
`random.Random`, so one seed is one schedule. Targets are member names, or "leader": whoever leads when the fault
begins, which the one who carries it out resolves and remembers for the end.
"""

import random
from collections.abc import Sequence

import msgspec

from kvstore.faults.kinds import ClockFault, DiskFault, LinkFault

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
    """No message passes from any of `sources` to any of `sinks`; nor back, unless `is_one_way`."""

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
            return f"partition {','.join(sources)} {arrow} {','.join(sinks)}"
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
    """Steps in order of their begin, all over before `duration_seconds`."""
    raise ValueError("filled in by the next change")
