"""Runs the lists of plugins of a profile: filters until the first refusal, weighted sums of scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.interface import (
    BindPlugin,
    ClusterEvent,
    FilterPlugin,
    Plugin,
    PreFilterPlugin,
    PreScorePlugin,
    ScorePlugin,
)
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import SUCCESS, Code, Diagnosis, Status, error


@dataclass(frozen=True, slots=True)
class Enabled:
    """A plugin and the weight of its score."""

    plugin: Plugin
    weight: int = 1


class Framework:
    """The plugins of one profile, sorted by extension point."""

    def __init__(self, enabled: Sequence[Enabled]) -> None:
        plugins = [entry.plugin for entry in enabled]
        self._pre_filters = [p for p in plugins if isinstance(p, PreFilterPlugin)]
        self._filters = [p for p in plugins if isinstance(p, FilterPlugin)]
        self._pre_scores = [p for p in plugins if isinstance(p, PreScorePlugin)]
        self._scores = [
            (e.plugin, e.weight) for e in enabled if isinstance(e.plugin, ScorePlugin) and e.weight
        ]
        self._binders = [p for p in plugins if isinstance(p, BindPlugin)]
        self._events = {plugin.name: plugin.events for plugin in plugins}

    def worth_a_try(self, event: ClusterEvent, refused_by: frozenset[str]) -> bool:
        """Whether `event` can change the verdict of any of these plugins; an empty set: always."""
        return not refused_by or any(event in self._events.get(name, ()) for name in refused_by)

    def find_feasible(
        self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]
    ) -> tuple[list[NodeInfo], Diagnosis]:
        """The nodes that pass all filters, and why the others do not."""
        diagnosis = Diagnosis(node_count=len(nodes))
        for pre in self._pre_filters:
            status = pre.pre_filter(state, pod, nodes)
            if status.code is Code.SKIP:
                state.skip_filter.add(pre.name)
            elif not status.ok:
                refused = replace(status, plugin=pre.name)
                diagnosis.refusals = {node.name: refused for node in nodes}
                return [], diagnosis
        feasible = []
        for node in nodes:
            status = self.filter_node(state, pod, node)
            if status.ok:
                feasible.append(node)
            else:
                diagnosis.refusals[node.name] = status
        return feasible, diagnosis

    def filter_node(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """The first refusal of a node, or success."""
        for plugin in self._filters:
            if plugin.name in state.skip_filter:
                continue
            status = plugin.filter(state, pod, node)
            if not status.ok:
                return replace(status, plugin=plugin.name)
        return SUCCESS

    def score(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> dict[str, int]:
        """Weighted sum of normalized scores by node name."""
        for pre in self._pre_scores:
            if pre.pre_score(state, pod, nodes).code is Code.SKIP:
                state.skip_score.add(pre.name)
        totals = dict.fromkeys((node.name for node in nodes), 0)
        for plugin, weight in self._scores:
            if plugin.name in state.skip_score:
                continue
            raw = {node.name: plugin.score(state, pod, node) for node in nodes}
            for name, value in plugin.normalize(raw).items():
                totals[name] += weight * value
        return totals

    async def bind(self, pod: PodInfo, node_name: str) -> Status:
        """The verdict of the first binder that does not skip."""
        for plugin in self._binders:
            status = await plugin.bind(pod, node_name)
            if status.code is not Code.SKIP:
                return replace(status, plugin=plugin.name)
        return error("no plugin binds pods")
