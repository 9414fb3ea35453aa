"""What a plugin answers: a value, never an exception, with the reasons users read in events.

The four refusals differ in what may help: `UNSCHEDULABLE` may be cured by pods leaving,
`UNRESOLVABLE` only by a change of the node or the pod, `ERROR` is a bug or a failed call.
"""

import enum
from dataclasses import dataclass, field


class Code(enum.Enum):
    """The meaning of a `Status`."""

    SUCCESS = "Success"
    SKIP = "Skip"
    UNSCHEDULABLE = "Unschedulable"
    UNRESOLVABLE = "UnschedulableAndUnresolvable"
    WAIT = "Wait"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Status:
    """A code, its reasons, and the plugin that said so (set by the runner)."""

    code: Code = Code.SUCCESS
    reasons: tuple[str, ...] = ()
    plugin: str = ""

    @property
    def ok(self) -> bool:
        """Whether scheduling may go on."""
        return self.code in (Code.SUCCESS, Code.SKIP)

    @property
    def refused(self) -> bool:
        """Whether this is a plain "does not fit", as against a failure."""
        return self.code in (Code.UNSCHEDULABLE, Code.UNRESOLVABLE)


SUCCESS = Status()
SKIP = Status(Code.SKIP)
WAIT = Status(Code.WAIT)


def unschedulable(*reasons: str) -> Status:
    """Does not fit now; pods leaving the node could help."""
    return Status(Code.UNSCHEDULABLE, reasons)


def unresolvable(*reasons: str) -> Status:
    """Does not fit, and no pod leaving would change that."""
    return Status(Code.UNRESOLVABLE, reasons)


def error(reason: str) -> Status:
    """Could not be decided."""
    return Status(Code.ERROR, (reason,))


@dataclass(slots=True)
class Diagnosis:
    """Why a pod found no node: the refusal of each node, and the plugins that refused."""

    node_count: int
    refusals: dict[str, Status] = field(default_factory=dict)
    message: str = ""
    """Set when the whole pod was refused before any node was looked at."""
    preemption: str = ""
    """What a PostFilter plugin said; in its absence the message says that nothing can be gained by preemption."""

    looked_at: int = 0
    """How many nodes were judged before there were enough."""
    is_by_extender: bool = False
    """Whether a program beside the scheduler refused some nodes, of which nobody knows what changes its mind."""
    has_room_made: bool = False
    """Whether a PostFilter plugin makes room; then nothing is said of preemption."""

    @property
    def plugins(self) -> frozenset[str]:
        """Names of the plugins whose verdict may change by an event; none, if any event may change it."""
        if self.is_by_extender:
            return frozenset()
        return frozenset(status.plugin for status in self.refusals.values() if status.plugin)

    def text(self) -> str:
        """The message of the FailedScheduling event and of the PodScheduled condition."""
        if self.node_count == 0:
            return "no nodes available to schedule pods"
        head = f"0/{self.node_count} nodes are available"
        histogram: dict[str, int] = {}
        for status in self.refusals.values():
            for reason in status.reasons:
                histogram[reason] = histogram.get(reason, 0) + 1
        if self.message:
            histogram = {}
        unhelpful = sum(1 for s in self.refusals.values() if s.code is Code.UNRESOLVABLE)
        helpful = len(self.refusals) - unhelpful
        preemption = []
        if helpful:
            preemption.append(f"{helpful} No preemption victims found for incoming pod")
        if unhelpful:
            preemption.append(f"{unhelpful} Preemption is not helpful for scheduling")
        # Both lists are sorted as whole texts, which is what upstream does with its counts.
        reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in histogram.items()))
        said = self.preemption or f"{head}: {', '.join(sorted(preemption))}."
        # Compat: upstream's plugin of devices speaks first, and finds nothing of pods that were refused whole.
        tail = f"no new claims to deallocate, preemption: {said}"
        if self.message:
            tail = "not found"
        return f"{head}: {self.message or reasons}.{'' if self.has_room_made else f' {tail}'}"
