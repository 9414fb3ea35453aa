"""The extension points, one Protocol each; a plugin implements those it needs.

Order of a cycle: PreFilter once, Filter per node, PreScore once, Score per node, then Bind. A plugin keeps nothing
between cycles; what it computes in PreFilter goes into the `CycleState`.
"""

import enum
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import Status

MAX_SCORE = 100


class ClusterEvent(enum.Enum):
    """What can happen that may make a refused pod fit."""

    NODE_ADDED = "NodeAdd"
    NODE_LABELS = "NodeLabelsChange"
    NODE_TAINTS = "NodeTaintsChange"
    NODE_ALLOCATABLE = "NodeAllocatableChange"
    POD_ADDED = "AssignedPodAdd"
    POD_REMOVED = "AssignedPodDelete"
    POD_CHANGED = "AssignedPodUpdate"


@runtime_checkable
class Plugin(Protocol):
    """What all plugins have."""

    @property
    def name(self) -> str:
        """The name used in configuration and in decision logs."""
        ...

    @property
    def events(self) -> frozenset[ClusterEvent]:
        """Events after which a pod this plugin refused is worth another try."""
        ...


@runtime_checkable
class PreFilterPlugin(Plugin, Protocol):
    """Computes once per pod; SKIP switches the plugin's Filter off for this cycle."""

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Status:
        """Refuse the pod as a whole, or prepare."""
        ...


@runtime_checkable
class FilterPlugin(Plugin, Protocol):
    """Says whether a pod may run on a node."""

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """SUCCESS, or a refusal with reasons."""
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
class BindPlugin(Plugin, Protocol):
    """Writes the decision."""

    async def bind(self, pod: PodInfo, node_name: str) -> Status:
        """Make the API server record the node; ERROR undoes the assumption."""
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
