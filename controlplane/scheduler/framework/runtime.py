"""Runs the lists of plugins of a profile: filters until the first refusal, weighted sums of scores, undo in reverse."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from controlplane.api.meta import View
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.events import ClusterEvent
from controlplane.scheduler.framework.interface import (
    BindPlugin,
    DomainPlugin,
    FilterPlugin,
    PermitPlugin,
    Plugin,
    PostBindPlugin,
    PostFilterPlugin,
    PostFilterResult,
    PreBindPlugin,
    PreEnqueuePlugin,
    PreFilterPlugin,
    PreScorePlugin,
    QueueSortPlugin,
    ReservePlugin,
    ScorePlugin,
    Tally,
    WatchfulPlugin,
    is_local,
)
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.status import (
    SUCCESS,
    WAIT,
    Code,
    Diagnosis,
    Status,
    error,
)
from controlplane.scheduler.framework.waiting import WaitingPods

# As upstream: however long a plugin wants to wait, nobody waits longer.
MAX_PERMIT_SECONDS = 900.0


POINTS = frozenset(
    {
        "bind", "filter", "permit", "postBind", "postFilter", "preBind", "preEnqueue", "preFilter",
        "preScore", "queueSort", "reserve", "score",
    }
)  # fmt: skip
"""The extension points by the names configuration files have for them."""


_LOOKS = frozenset({"filter", "score"})


@dataclass(frozen=True, slots=True)
class Enabled:
    """A plugin, the weight of its score, and the points at which it is asked."""

    plugin: Plugin
    weight: int = 1
    points: frozenset[str] = POINTS


@dataclass(frozen=True, slots=True)
class Spreading:
    """How much the domains of nodes matter."""

    tally: Tally
    weight: int
    normalized: Callable[[dict[Hashable, int]], dict[Hashable, int]]


class Framework:
    """The plugins of one profile, sorted by extension point."""

    def __init__(
        self,
        enabled: Sequence[Enabled],
        waiting: WaitingPods | None = None,
        percentage_to_score: int = 0,
    ) -> None:
        """`percentage_to_score`: how many feasible nodes are enough, of a hundred; 0 goes by the cluster's size."""
        self.percentage_to_score = percentage_to_score

        def at(point: str) -> list[Plugin]:
            return [entry.plugin for entry in enabled if point in entry.points]

        self._pre_enqueues = [p for p in at("preEnqueue") if isinstance(p, PreEnqueuePlugin)]
        self._sorters = [p for p in at("queueSort") if isinstance(p, QueueSortPlugin)]
        self._pre_filters = [p for p in at("preFilter") if isinstance(p, PreFilterPlugin)]
        self._filters = [p for p in at("filter") if isinstance(p, FilterPlugin)]
        self._post_filters = [p for p in at("postFilter") if isinstance(p, PostFilterPlugin)]
        self._pre_scores = [p for p in at("preScore") if isinstance(p, PreScorePlugin)]
        self._scores = [
            (e.plugin, e.weight)
            for e in enabled
            if "score" in e.points and e.weight and isinstance(e.plugin, ScorePlugin)
        ]
        self._reservers = [p for p in at("reserve") if isinstance(p, ReservePlugin)]
        self._permits = [p for p in at("permit") if isinstance(p, PermitPlugin)]
        self._pre_binds = [p for p in at("preBind") if isinstance(p, PreBindPlugin)]
        self._binders = [p for p in at("bind") if isinstance(p, BindPlugin)]
        self._post_binds = [p for p in at("postBind") if isinstance(p, PostBindPlugin)]
        self._watchful = [
            e.plugin
            for e in enabled
            if isinstance(e.plugin, WatchfulPlugin) and not e.points.isdisjoint(_LOOKS)
        ]
        self._wakes = {entry.plugin.name: entry.plugin.events for entry in enabled}
        self._waiting = waiting

    def problems(self) -> list[str]:
        """What a profile lacks."""
        found = []
        if len(self._sorters) != 1:
            found.append(f"exactly one queue sort plugin is needed, not {len(self._sorters)}")
        if not self._binders:
            found.append("at least one bind plugin is needed")
        return found

    @property
    def resources(self) -> set[str]:
        """The resources some plugin wants to hear of."""
        return {wake.event.resource for wakes in self._wakes.values() for wake in wakes}

    def worth_a_try(
        self,
        pod: PodInfo,
        refused_by: frozenset[str],
        event: ClusterEvent,
        old: View | None = None,
        new: View | None = None,
    ) -> bool:
        """Whether a change can turn the verdict of any of these plugins; an empty set: always."""
        return not refused_by or any(
            wake.helps(event, pod, old, new)
            for name in refused_by
            for wake in self._wakes.get(name, ())
        )

    def sort_key(self, pod: PodInfo, added_at: float) -> tuple[float, ...]:
        """The place in the queue; smaller comes first."""
        return self._sorters[0].sort_key(pod, added_at)

    def pre_enqueue(self, pod: PodInfo) -> Status:
        """The first plugin that keeps the pod out of the queue, or success."""
        for plugin in self._pre_enqueues:
            status = plugin.pre_enqueue(pod)
            if not status.ok:
                return replace(status, plugin=plugin.name)
        return SUCCESS

    def is_indifferent(self, pod: PodInfo, with_affinity: Sequence[NodeInfo]) -> bool:
        """Whether no pod on these nodes, those whose pods have affinity, cares where this one goes."""
        return all(plugin.is_indifferent(pod, with_affinity) for plugin in self._watchful)

    def prepare_locally(self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> bool:
        """Prepare verdicts on single nodes; false when a plugin that looks further has something to say."""
        for pre in self._pre_filters:
            status = pre.pre_filter(state, pod, nodes)
            if status.code is Code.SKIP:
                state.skip_filter.add(pre.name)
            elif not status.ok:
                return False
        for plugin in self._pre_scores:
            if plugin.pre_score(state, pod, nodes).code is Code.SKIP:
                state.skip_score.add(plugin.name)
        filters = all(is_local(p) or p.name in state.skip_filter for p in self._filters)
        return filters and all(
            is_local(p)
            or p.name in state.skip_score
            or (isinstance(p, DomainPlugin) and p.tally(pod) is not None)
            for p, _ in self._scores
        )

    def spreading(self, state: CycleState, pod: PodInfo) -> Spreading | None:
        """Empty counts of the plugin that scores by domains, unless it has nothing to say."""
        for plugin, weight in self._scores:
            if isinstance(plugin, DomainPlugin) and plugin.name not in state.skip_score:
                tally = plugin.tally(pod)
                if tally is not None:
                    return Spreading(tally, weight, plugin.normalize)
        return None

    def scorers(self, state: CycleState) -> list[tuple[ScorePlugin, int]]:
        """The plugins that rank single nodes in this cycle, with their weights."""
        return [
            (p, weight)
            for p, weight in self._scores
            if is_local(p) and p.name not in state.skip_score
        ]

    def judge(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """The verdict on one node, also with the pods that room is being made for there."""
        outside = state.outside(node.name)
        return outside if outside is not None else self._filter(state, pod, node)

    def find_feasible(
        self,
        state: CycleState,
        pod: PodInfo,
        nodes: Sequence[NodeInfo],
        most: int = 0,
        start: int = 0,
    ) -> tuple[list[NodeInfo], Diagnosis]:
        """The nodes that pass all filters, and why the others do not.

        With `most`, no more nodes than that: the search begins at the node `start` and ends when there are enough.
        """
        diagnosis = Diagnosis(node_count=len(nodes))
        state.nodes, state.trial = nodes, self.trial
        for pre in self._pre_filters:
            status = pre.pre_filter(state, pod, nodes)
            if status.code is Code.SKIP:
                state.skip_filter.add(pre.name)
            elif not status.ok:
                refused = replace(status, plugin=pre.name)
                diagnosis.refusals = {node.name: refused for node in nodes}
                diagnosis.message = ", ".join(status.reasons)
                return [], diagnosis
        feasible: list[NodeInfo] = []
        for node in (*nodes[start:], *nodes[:start]) if start else nodes:
            status = self.judge(state, pod, node)
            diagnosis.looked_at += 1
            if status.ok:
                feasible.append(node)
                if len(feasible) == most:
                    break
            else:
                diagnosis.refusals[node.name] = status
        return feasible, diagnosis

    def _filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """The verdict on a node, also with the pods that room is being made for there."""
        coming = [
            other
            for other in node.nominated
            if other.priority >= pod.priority and other.uid != pod.uid
        ]
        if coming:
            crowded = node.clone()
            for other in coming:
                crowded.add_pod(other)
            status = self.filter_node(state, pod, crowded)
            if not status.ok:
                return status
        return self.filter_node(state, pod, node)

    def trial(self, pod: PodInfo, nodes: Sequence[NodeInfo], node: NodeInfo) -> Status:
        """Whether `node`, one of `nodes`, would pass all filters; nothing of the running cycle is touched."""
        state = CycleState()
        for pre in self._pre_filters:
            status = pre.pre_filter(state, pod, nodes)
            if status.code is Code.SKIP:
                state.skip_filter.add(pre.name)
            elif not status.ok:
                return replace(status, plugin=pre.name)
        return self.judge(state, pod, node)

    def filter_node(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        """The first refusal of a node, or success."""
        for plugin in self._filters:
            if plugin.name in state.skip_filter:
                continue
            status = plugin.filter(state, pod, node)
            if not status.ok:
                return replace(status, plugin=plugin.name)
        return SUCCESS

    async def post_filter(
        self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo], diagnosis: Diagnosis
    ) -> PostFilterResult | None:
        """The first success, else the last refusal; None when no plugin has this point."""
        result: PostFilterResult | None = None
        for plugin in self._post_filters:
            result = await plugin.post_filter(state, pod, nodes, diagnosis)
            if result.status.ok:
                return result
        return result

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

    def reserve(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        """Let every plugin count the pod in; after a refusal all is given back."""
        for plugin in self._reservers:
            status = plugin.reserve(state, pod, node_name)
            if not status.ok:
                self.unreserve(state, pod, node_name)
                return replace(status, plugin=plugin.name)
        return SUCCESS

    def unreserve(self, state: CycleState, pod: PodInfo, node_name: str) -> None:
        """Give back, the last plugin first."""
        for plugin in reversed(self._reservers):
            plugin.unreserve(state, pod, node_name)

    def permit(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        """SUCCESS, the first refusal, or WAIT; then `wait_on_permit` has the verdict."""
        waits: dict[str, float] = {}
        for plugin in self._permits:
            permission = plugin.permit(state, pod, node_name)
            if permission.status.code is Code.WAIT:
                waits[plugin.name] = min(permission.timeout_seconds, MAX_PERMIT_SECONDS)
            elif not permission.status.ok:
                return replace(permission.status, plugin=plugin.name)
        if not waits:
            return SUCCESS
        if self._waiting is None:
            return error("no place for pods that wait for a permit")
        self._waiting.add(pod, node_name, waits)
        return WAIT

    async def wait_on_permit(self, pod: PodInfo) -> Status:
        """Wait until every plugin that wanted to wait has allowed the pod, one refused it, or time is over."""
        return SUCCESS if self._waiting is None else await self._waiting.wait(pod.uid)

    async def pre_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        """The first refusal, or success."""
        for plugin in self._pre_binds:
            status = await plugin.pre_bind(state, pod, node_name)
            if not status.ok:
                return replace(status, plugin=plugin.name)
        return SUCCESS

    async def bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        """The verdict of the first binder that does not skip."""
        for plugin in self._binders:
            status = await plugin.bind(state, pod, node_name)
            if status.code is not Code.SKIP:
                return replace(status, plugin=plugin.name)
        return error("no plugin binds pods")

    def post_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> None:
        """Tell every plugin that the pod has its node."""
        for plugin in self._post_binds:
            plugin.post_bind(state, pod, node_name)
