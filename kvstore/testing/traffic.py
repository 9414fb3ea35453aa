"""What clients do, as pure generators: from a seed to requests, by the outcomes they get.

A script is a generator that yields a `Request` of `records` (or a `Pause`) and is sent its `Outcome`; it never ends.
It knows no client, no clock and no loop, so the simulation and real processes run the same scripts. Who runs one
records what happened; `kvstore.testing.drive` does it against an asynchronous client.

    script = clients[0].script
    request = next(script)
    while True:
        request = script.send(carry_out(request))   # None after a Pause
"""

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from kvstore.testing.records import Outcome, Request

KINDS = (
    "registers",
    "cas",
    "txn",
    "leases",
    "locks",
    "queue",
    "watch",
    "kubernetes",
    "compaction",
)


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for a while."""

    seconds: float


Script = Generator[Request | Pause, Outcome | None, None]


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """One client: its name, what it is about, and what it does."""

    name: str
    kind: str
    script: Script


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """One watcher that resumes after losses. `from_start`: from revision 1, else from now on.

    `lasts_seconds`: after that it is closed and begins anew (0: stays for the whole run).
    """

    name: str
    key: bytes
    range_end: bytes
    prev_kv: bool = False
    progress_notify: bool = False
    no_put: bool = False
    no_delete: bool = False
    from_start: bool = False
    lasts_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TrafficSpec:
    """How much of what."""

    kinds: Sequence[str] = KINDS
    clients: int = 8
    prefix: bytes = b"chaos/"
    keys: int = 6
    """Few keys make many conflicts."""
    pause_seconds: float = 0.01
    """Mean think time between two requests of a client."""


def client_plans(rng: random.Random, spec: TrafficSpec) -> list[ClientPlan]:
    """The clients, kinds dealt out in turn; each has a generator of chance of its own."""
    raise ValueError("filled in by the next change")


def watch_plans(rng: random.Random, spec: TrafficSpec) -> list[WatchPlan]:
    """The watchers; none unless "watch" or "kubernetes" is among the kinds."""
    raise ValueError("filled in by the next change")
