"""A simulation's faults as data: made from the seed before anything runs, so that they can be printed and shrunk.

Each seed uses a few kinds only, and its own sizes and rates: runs that do everything at once rarely get deep into
anything (swarm testing, Groce et al. 2012). `who` names a member, or "leader" and "follower" as of the moment.
"""

import random
from collections.abc import Callable

import msgspec

from kvstore.testing.sim.member import MemberSettings


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault: `kind` at `at`, undone after `lasts` seconds. What `value` and `where` mean tells the kind."""

    at: float
    kind: str
    who: str = ""
    lasts: float = 0.0
    value: float = 0.0
    where: str = ""


class Plan(msgspec.Struct, frozen=True):
    """All that is drawn before a run."""

    seed: int
    members: int
    heartbeat_seconds: float
    election_seconds: float
    snapshot_count: int
    segment_bytes: int
    append_bytes: int
    clients: int
    watchers: int
    keys: int
    think_seconds: float
    traffic: tuple[str, ...]
    seconds: float
    faults: tuple[Fault, ...]
    spares: int = 0
    """Machines beside the first members, which may be added."""
    change_seconds: float = 0.0
    """A change of the members so often on average; 0 = never."""

    def settings(self) -> MemberSettings:
        """What the members are told."""
        return MemberSettings(
            self.members,
            self.heartbeat_seconds,
            self.election_seconds,
            self.snapshot_count,
            self.segment_bytes,
            spares=self.spares,
        )


KINDS = (
    "kill",
    "power-loss",
    "power-loss-all",
    "crash-at-file-operation",
    "kill-at-await",
    "kill-at-message",
    "pause",
    "isolate",
    "cut",
    "cut-one-way",
    "cut-client",
    "split",
    "reset",
    "loss",
    "slow-network",
    "slow-disk",
    "full-disk",
    "failing-sync",
    "bit-flip",
    "wipe",
    "clock-rate",
    "clock-jump",
    "move-leader",
    "island",
    "frozen-leader",
    "seesaw",
    "old-leader-fills",
    "relay",
    "unheard-leader",
    "late-answers",
    "two-reigns",
    "lease-keepers",
    "straggler",
    "half-flush",
    "voted-twice",
)

MESSAGES = ("response_vote", "response_vote", "append_entries", "next_node_idx", "snapshot")
"""Of which the sending is a moment to die at: a promise was just given."""

SEESAWS = (
    "leader kill",
    "leader slow",
    "leader power",
    "rest kill",
    "rest power",
    "rest slow",
    "rest stay",
)
"""Who loses its process or its power when the seesaw turns."""

TRAFFIC = (
    "put",
    "get",
    "cas",
    "txn",
    "delete",
    "lease",
    "lock",
    "compact",
    "serializable",
    "queue",
    "role",
)


def make_plan(seed: int, *, seconds: float = 24.0, members: int = 0) -> Plan:
    """The plan of `seed`."""
    rng = random.Random(f"{seed}/plan")
    size = members or rng.choice((3, 3, 3, 5))
    kinds = rng.sample(KINDS, rng.choice((1, 2, 3, 4, 6)))
    traffic = ["put", "get", *rng.sample(TRAFFIC, rng.randint(2, 7))]
    gap = rng.choice((0.8, 1.5, 3.0, 5.0))
    return Plan(
        seed=seed,
        members=size,
        heartbeat_seconds=rng.choice((0.1, 0.25, 0.3)),
        election_seconds=1.0,
        snapshot_count=rng.choice((8, 25, 60, 10_000)),
        segment_bytes=rng.choice((1 << 11, 1 << 13, 1 << 16)),
        append_bytes=rng.choice((1, 1 << 8, 1 << 20)),
        clients=rng.choice((2, 3, 4)),
        watchers=rng.choice((1, 2, 3)),
        keys=rng.choice((2, 4, 8)),
        think_seconds=rng.choice((0.1, 0.3, 0.8)),
        traffic=tuple(dict.fromkeys(traffic)),
        seconds=seconds,
        faults=tuple(faults_of(rng, kinds, size, gap, seconds)),
    )


_WITHOUT_CHANGES = ("old-leader-fills", "voted-twice")
"""Scenes that empty a disk of a cluster whose size they know."""


def make_change_plan(seed: int, *, seconds: float = 24.0, members: int = 0) -> Plan:
    """A plan of `seed` in which the members change all the time."""
    plan = make_plan(seed, seconds=seconds, members=members)
    rng = random.Random(f"{seed}/changes")
    kinds = [one for one in KINDS if one not in _WITHOUT_CHANGES]
    chosen = rng.sample(kinds, rng.choice((1, 2, 3, 4)))
    if rng.random() < 0.4 and "wipe" not in chosen:
        # Seldom allowed, and the more worth trying.
        chosen.append("wipe")
    size = members or rng.choice((1, 3, 3, 3, 5))
    gap = rng.choice((0.8, 1.5, 3.0, 5.0))
    return msgspec.structs.replace(
        plan,
        members=size,
        spares=6,
        change_seconds=rng.choice((0.3, 0.8, 2.0)),
        faults=tuple(faults_of(rng, chosen, size, gap, seconds)),
    )


def faults_of(
    rng: random.Random, kinds: list[str], size: int, gap: float, seconds: float
) -> list[Fault]:
    """A schedule of faults of `kinds`, `gap` seconds apart on average."""
    faults: list[Fault] = []
    at = 3.0
    while (at := at + rng.expovariate(1.0 / gap)) < seconds - 2.0:
        faults.append(_fault(rng, rng.choice(kinds), size, round(at, 3)))
        if rng.random() < 0.3:
            # Faults that meet find more than faults that wait for each other.
            at_once = round(at + rng.uniform(0.0, 0.3), 3)
            faults.append(_fault(rng, rng.choice(kinds), size, at_once))
    return faults


def _who(rng: random.Random, size: int) -> str:
    return rng.choice(("leader", "leader", "follower", f"m{rng.randint(1, size)}"))


def _fault(rng: random.Random, kind: str, size: int, at: float) -> Fault:
    """A fault of `kind`; "kind:where" says where, too."""
    kind, _, where = kind.partition(":")
    if where:
        return msgspec.structs.replace(_fault(rng, kind, size, at), where=where)
    who = _who(rng, size)
    short, long = round(rng.uniform(0.05, 1.5), 3), round(rng.uniform(0.5, 6.0), 3)
    values: dict[str, Callable[[], Fault]] = {
        "power-loss-all": lambda: Fault(at, kind, "", short),
        "crash-at-file-operation": lambda: Fault(
            at,
            kind,
            who,
            long,
            float(rng.choice((0, 1, 2, 3, 5, 8, 13, 30))),
            rng.choice(("kill", "power")),
        ),
        "kill-at-await": lambda: Fault(at, kind, who, short, float(rng.randrange(60))),
        "kill-at-message": lambda: Fault(
            at, kind, who, short, float(rng.randrange(2)), rng.choice(MESSAGES)
        ),
        "cut": lambda: Fault(at, kind, who, long, float(rng.randrange(size))),
        "cut-one-way": lambda: Fault(
            at, kind, who, long, float(rng.randrange(size)), rng.choice(("in", "out"))
        ),
        "isolate": lambda: Fault(at, kind, who, long, 0.0, rng.choice(("both", "in", "out"))),
        "split": lambda: Fault(at, kind, "", long, float(rng.randrange(1 << size))),
        "loss": lambda: Fault(at, kind, "", long, rng.choice((0.02, 0.1, 0.3))),
        "slow-network": lambda: Fault(at, kind, who, long, rng.choice((0.02, 0.2, 1.0))),
        "slow-disk": lambda: Fault(at, kind, who, long, rng.choice((0.02, 0.2, 1.5))),
        "bit-flip": lambda: Fault(at, kind, who, short, 0.0, rng.choice(("log", "snap", "term"))),
        "clock-rate": lambda: Fault(at, kind, who, long, rng.choice((0.9, 0.98, 1.02, 1.1))),
        "clock-jump": lambda: Fault(at, kind, who, 0.0, rng.choice((-3600.0, -1.0, 1.0, 86400.0))),
        "move-leader": lambda: Fault(at, kind, "leader", 0.0, float(rng.randrange(size))),
        "island": lambda: Fault(
            at,
            kind,
            "leader",
            round(rng.uniform(0.6, 2.2), 3),
            rng.choice((0.0, 0.2)),
            rng.choice(("silent", "reset", "reset")),
        ),
        "frozen-leader": lambda: Fault(at, kind, "leader", round(rng.uniform(2.0, 3.5), 3)),
        "seesaw": lambda: Fault(
            at, kind, "leader", 5.0, float(rng.randrange(2)), rng.choice(SEESAWS)
        ),
        "relay": lambda: Fault(at, kind, "leader", 4.0),
        "unheard-leader": lambda: Fault(at, kind, "leader", round(rng.uniform(2.2, 3.0), 3)),
        "late-answers": lambda: Fault(at, kind, "leader", round(rng.uniform(2.5, 3.5), 3)),
        "two-reigns": lambda: Fault(at, kind, "leader", 4.0),
        "straggler": lambda: Fault(at, kind, "leader", 2.5),
        "lease-keepers": lambda: Fault(at, kind, "leader", round(rng.uniform(1.5, 6.0), 3)),
        "voted-twice": lambda: Fault(at, kind, "leader", 5.0),
        "relapse": lambda: Fault(at, kind, "leader", 4.5),
        "half-flush": lambda: Fault(at, kind, "leader", 2.5, float(rng.randrange(12))),
        "late-copies": lambda: Fault(at, kind, "", 4.0, 0.15),
        "two-changes": lambda: Fault(at, kind, "leader", 5.0),
        "early-change": lambda: Fault(at, kind, "leader", 9.0),
        "bystander": lambda: Fault(
            at, kind, "leader", 5.0, where=rng.choice(("removed", "learner"))
        ),
        "old-leader-fills": lambda: Fault(
            at, kind, "leader", 4.0, rng.choice((0.2, 0.4, 0.7, 1.0))
        ),
    }
    made = values.get(kind)
    if made is not None:
        return made()
    return Fault(at, kind, who, short if rng.random() < 0.6 else long)
