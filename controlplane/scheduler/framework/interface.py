"""The extension points, one Protocol each; a plugin implements those it needs.

    PreEnqueue   may the pod be tried at all            QueueSort   which pod is tried first
    PreFilter    once a cycle; SKIP leaves Filter out   Filter      may it run on this node
    PostFilter   no node was found: make room?          PreScore    once; SKIP leaves Score out
    Score        rank the nodes, then bring the ranks to 0..100, times the plugin's weight
    Reserve      count what the pod takes; undone by unreserve when anything later fails
    Permit       allow, refuse or wait                  PreBind     what must be so before the binding
    Bind         write the decision                     PostBind    the pod has its node

A cycle decides (PreFilter to Permit, synchronous but for PostFilter) on one snapshot; PreBind to PostBind run beside
the next decision. A plugin keeps nothing between cycles but what it was built with; what it computes for a pod goes
into the `CycleState`. It answers with a `Status` and never raises for "does not fit".
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.events import Wake
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import Diagnosis, Status

MAX_SCORE = 100


@runtime_checkable
class Plugin(Protocol):
    """What all plugins have."""

    @property
    def name(self) -> str:
        """The name used in configuration and in decision logs."""
        ...

    @property
    def events(self) -> Sequence[Wake]:
        """Events after which a pod this plugin refused is worth another try."""
        ...


@runtime_checkable
class PreEnqueuePlugin(Plugin, Protocol):
    """Keeps pods out of the queue; asked when a pod appears, changes, or is to be tried again."""

    def pre_enqueue(self, pod: PodInfo) -> Status:
        """SUCCESS, or why the pod must not be tried; then it waits without a FailedScheduling event."""
        ...


@runtime_checkable
class QueueSortPlugin(Plugin, Protocol):
    """Orders the queue; a profile has exactly one, all profiles the same."""

    def sort_key(self, pod: PodInfo, added_at: float) -> tuple[float, ...]:
        """Smaller comes first; `added_at` is monotonic seconds of the pod's arrival."""
        ...


@runtime_checkable
class PreFilterPlugin(Plugin, Protocol):
    """Computes once per pod; SKIP switches the plugin's Filter off for this cycle."""

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Refuse the pod as a whole, or prepare; `state.restrict_to` leaves all other nodes out."""
        ...


@runtime_checkable
class FilterPlugin(Plugin, Protocol):
    """Says whether a pod may run on a node."""

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """SUCCESS, or a refusal with reasons."""
        ...


@runtime_checkable
class WatchfulPlugin(Plugin, Protocol):
    """A plugin that can tell quickly that the pods that are there have nothing to say on a pod."""

    def is_indifferent(self, pod: PodInfo, with_affinity: Sequence[NodeInfo]) -> bool:
        """Whether the plugin would skip filters and scores; `with_affinity` are the nodes whose pods have affinity."""
        ...


class Tally(Protocol):
    """The counts of a plugin that scores nodes by their domains, for pods of one class."""

    @property
    def is_exact(self) -> bool:
        """Whether nodes of one group always have the same score."""
        ...

    def count(self, node: NodeInfo) -> Hashable:
        """Count a node in place of what was counted of it before; returns its group."""
        ...

    def score(self, group: Hashable) -> int:
        """What `score` of the plugin says now of the nodes of a group."""
        ...


@runtime_checkable
class DomainPlugin(Plugin, Protocol):
    """A plugin whose scores of a node follow from the domains the node is in, and change with every placed pod."""

    def tally(self, pod: PodInfo) -> Tally | None:
        """Empty counts for pods like this one; None when only a full cycle can tell."""
        ...

    def normalize(self, scores: dict[Hashable, int]) -> dict[Hashable, int]:
        """See `ScorePlugin`; keys may be groups of nodes."""
        ...


def is_local(plugin: Plugin) -> bool:
    """Whether all that the plugin says of a node follows from that node and the pod.

    Such a plugin says `is_local = True`, and its normalization, if any, looks at nothing but the score and the highest.
    """
    return bool(getattr(plugin, "is_local", False))


@dataclass(frozen=True, slots=True)
class PostFilterResult:
    """What a PostFilter achieved: SUCCESS with the node where room will be, or a refusal with reasons."""

    status: Status
    nominated_node: str = ""


@runtime_checkable
class PostFilterPlugin(Plugin, Protocol):
    """Asked when no node passed the filters; the first success ends the round."""

    async def post_filter(
        self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo], diagnosis: Diagnosis
    ) -> PostFilterResult:
        """Try to make room."""
        ...


@runtime_checkable
class PreScorePlugin(Plugin, Protocol):
    """Computes once for all feasible nodes; SKIP switches the plugin's Score off for this cycle."""

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Prepare the scores."""
        ...


@runtime_checkable
class ScorePlugin(Plugin, Protocol):
    """Ranks feasible nodes."""

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """Any integer; `normalize` brings it to 0..100."""
        ...

    def normalize(self, scores: dict[str, int]) -> dict[str, int]:
        """Scores by node name, brought to 0..100, more is better."""
        ...


@runtime_checkable
class ReservePlugin(Plugin, Protocol):
    """Counts what a decided pod takes before the API server knows."""

    def reserve(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        """Take it; a refusal ends the cycle."""
        ...

    def unreserve(self, state: CycleState, pod: PodInfo, node_name: str) -> None:
        """Give it back. Also called for plugins whose `reserve` was not reached; must not fail."""
        ...


@dataclass(frozen=True, slots=True)
class Permission:
    """SUCCESS, a refusal, or WAIT for at most `timeout_seconds`."""

    status: Status
    timeout_seconds: float = 0.0


@runtime_checkable
class PermitPlugin(Plugin, Protocol):
    """Holds the binding back, for pods that start together or not at all."""

    def permit(self, state: CycleState, pod: PodInfo, node_name: str) -> Permission:
        """May it be bound now?"""
        ...


@runtime_checkable
class PreBindPlugin(Plugin, Protocol):
    """Makes true what the binding stands on (volumes, claims)."""

    async def pre_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        """A refusal undoes the decision."""
        ...


@runtime_checkable
class BindPlugin(Plugin, Protocol):
    """Writes the decision."""

    async def bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        """Make the API server record the node; SKIP leaves it to the next; ERROR undoes the assumption."""
        ...


@runtime_checkable
class PostBindPlugin(Plugin, Protocol):
    """Hears of bound pods."""

    def post_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> None:
        """Tidy up."""
        ...


def as_they_are(scores: dict[str, int]) -> dict[str, int]:
    """The normalization of plugins that score 0..100 already."""
    return scores


def to_hundred(scores: dict[str, int], *, reverse: bool = False) -> dict[str, int]:
    """Stretch so that the highest becomes 100; `reverse` makes the lowest raw score the best."""
    highest = max(scores.values(), default=0)
    if highest == 0:
        return dict.fromkeys(scores, MAX_SCORE) if reverse else scores
    scaled = {name: raw * MAX_SCORE // highest for name, raw in scores.items()}
    return {name: MAX_SCORE - value for name, value in scaled.items()} if reverse else scaled
