"""One priority level: its share of the server, its bounds, and its queues.

Source: apiserver/pkg/util/flowcontrol/apf_controller.go (finishQueueSetReconfigsLocked).
"""

import math
from dataclasses import dataclass, field

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.flowcontrol.demand import Demand
from controlplane.apiserver.flowcontrol.queues import QueueSet, Queuing
from controlplane.apiserver.flowcontrol.retry_after import RetryAfter

EXEMPT, CATCH_ALL = "exempt", "catch-all"
# A request's width is bounded by this part of its level's seats.
_MOST_SEATS_PART = 0.15


@dataclass(frozen=True, slots=True)
class LevelSpec:
    """A PriorityLevelConfiguration's spec made ready; `borrowing_percent` None is without bound."""

    is_exempt: bool
    shares: int
    lendable_percent: int
    borrowing_percent: int | None
    queuing: Queuing | None

    @classmethod
    def of(cls, obj: Obj) -> "LevelSpec":
        """From the object; ValueError for one that contradicts itself, which validation does not let in."""
        spec = meta.spec(obj)
        sort, limited, exempt = spec.get("type"), spec.get("limited"), spec.get("exempt")
        if (sort == "Limited") != (limited is not None):
            raise ValueError("the type and the limited part contradict each other")
        is_exempt = sort == "Exempt"
        if is_exempt != (meta.name(obj) == EXEMPT) or is_exempt != (exempt is not None):
            raise ValueError("the name, the type and the exempt part contradict each other")
        part = limited if limited is not None else exempt or {}
        answer = part.get("limitResponse") or {}
        queuing = answer.get("queuing")
        if not is_exempt and (answer.get("type") == "Reject") != (queuing is None):
            raise ValueError("the answer and its queuing contradict each other")
        made = None
        if queuing is not None:
            made = Queuing(
                int(queuing.get("queues") or 0),
                int(queuing.get("handSize") or 0),
                int(queuing.get("queueLengthLimit") or 0),
            )
            if not 0 < made.hand_size <= made.queues:
                raise ValueError("the hand is larger than the deck")
        borrowing = part.get("borrowingLimitPercent") if not is_exempt else None
        return cls(
            is_exempt,
            int(part.get("nominalConcurrencyShares") or 0),
            int(part.get("lendablePercent") or 0),
            None if borrowing is None else int(borrowing),
            made,
        )


@dataclass(slots=True)
class Level:
    """A level at work. Seats: its own (`nominal`), what it keeps (`lowest`), may get (`highest`) and has now."""

    name: str
    uid: str
    spec: LevelSpec
    queues: QueueSet
    # No object stands for it any more; it goes when its last request has ended.
    is_quiescing: bool = False
    nominal: int = 0
    lowest: int = 0
    highest: int = 0
    current: int = 0
    # The most seats of one request; 0 leaves it to the estimate.
    most_seats: int = 0
    target: float = 0.0
    demand: Demand = field(default_factory=Demand)
    retry_after: RetryAfter = field(default_factory=RetryAfter)

    def share(self, server_seats: int, all_shares: float) -> None:
        """Take the part of the server that the level's shares are of all shares, rounded up."""
        spec = self.spec
        self.nominal = math.ceil(server_seats * spec.shares / all_shares) if all_shares else 0
        self.lowest = self.nominal - _percent(self.nominal, spec.lendable_percent)
        borrowed = server_seats
        if spec.borrowing_percent is not None:
            borrowed = _percent(self.nominal, spec.borrowing_percent)
        self.highest = self.nominal + borrowed
        self.most_seats = 0
        if spec.queuing is not None:
            by_hand = self.nominal // spec.queuing.hand_size
            self.most_seats = max(1, min(math.ceil(self.nominal * _MOST_SEATS_PART), by_hand))

    @property
    def least_now(self) -> int:
        """What it may not fall below in this period: what it has used, as far as that is its own."""
        if self.spec.is_exempt:
            return max(self.lowest, self.demand.highest)
        return max(self.lowest, min(self.nominal, self.demand.highest))

    def assign(self, seats: int) -> None:
        """Serve with so many seats from now on."""
        self.current = seats
        self.queues.configure(self.spec.queuing, seats)


def _percent(seats: int, percent: int) -> int:
    """Rounded as Go rounds: halves away from zero."""
    return math.floor(seats * percent / 100 + 0.5)
