"""On which node pods have to go for a pod of higher priority, and which. Pure.

On each node that evictions could help, all pods of lower priority are thought away. If the pod fits then, they are
thought back one by one, the most important first and those under a disruption budget before others; whoever makes the
pod unfit again is a victim. Among the nodes that one is best which costs the fewest violated budgets, then the least
important victims, then the fewest, then those that run the shortest.

Source: pkg/scheduler/framework/preemption and .../plugins/defaultpreemption.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.api import meta, times
from controlplane.api.meta import Obj
from controlplane.api.selectors import LabelSelector
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo

Fits = Callable[[NodeInfo], bool]
"""Whether the pod would pass all filters on the node as it is given."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node, whom to evict there, and how many budgets that violates."""

    node_name: str
    victims: tuple[PodInfo, ...]
    violations: int


def most_to_look_at(node_count: int, percentage: int = 10, least: int = 100) -> int:
    """How many candidates are enough: a tenth of the nodes, but at least a hundred."""
    return max(min(least, node_count), node_count * percentage // 100)


def find(
    pod: PodInfo,
    nodes: Iterable[NodeInfo],
    fits: Fits,
    budgets: Sequence[Obj],
    most: int,
) -> list[Candidate]:
    """The candidates among `nodes`, at most `most`."""
    found: list[Candidate] = []
    for node in nodes:
        candidate = _on_node(pod, node, fits, budgets)
        if candidate is not None:
            found.append(candidate)
            if len(found) >= most:
                break
    return found


def _on_node(pod: PodInfo, node: NodeInfo, fits: Fits, budgets: Sequence[Obj]) -> Candidate | None:
    lower = [other for other in node.pods.values() if other.priority < pod.priority]
    if not lower:
        return None
    emptied = node.clone()
    for other in lower:
        emptied.remove_pod(other.uid)
    if not fits(emptied):
        return None
    lower.sort(key=_importance)
    violating, others = _by_budget(lower, budgets)
    victims: list[PodInfo] = []
    violations = 0
    for group, counts in ((violating, True), (others, False)):
        for other in group:
            emptied.add_pod(other)
            if not fits(emptied):
                emptied.remove_pod(other.uid)
                victims.append(other)
                violations += counts
    if not victims:
        return None
    return Candidate(node.name, tuple(sorted(victims, key=_importance)), violations)


def started_at(pod: PodInfo) -> str:
    """When the pod began to run, as RFC 3339; one that has not begun counts as begun last."""
    status: Mapping[str, Any] = pod.object.get("status") or {}
    return str(status.get("startTime") or "9999")


def _importance(pod: PodInfo) -> tuple[int, str]:
    """More important pods come first: higher priority, then longer running."""
    return (-pod.priority, started_at(pod))


def _by_budget(
    pods: Sequence[PodInfo], budgets: Sequence[Obj]
) -> tuple[list[PodInfo], list[PodInfo]]:
    """(pods whose eviction would violate a budget, the others); each budget allows its number."""
    allowed = {id(one): int(meta.status(one).get("disruptionsAllowed") or 0) for one in budgets}
    violating: list[PodInfo] = []
    others: list[PodInfo] = []
    for pod in pods:
        violates = False
        for budget in budgets:
            if _covers(budget, pod):
                allowed[id(budget)] -= 1
                violates = violates or allowed[id(budget)] < 0
        (violating if violates else others).append(pod)
    return violating, others


def _covers(budget: Obj, pod: PodInfo) -> bool:
    if meta.namespace(budget) != pod.namespace:
        return False
    if pod.name in (meta.status(budget).get("disruptedPods") or {}):
        # Its eviction is counted already.
        return False
    raw = meta.spec(budget).get("selector")
    if raw is None:
        return False
    selector = LabelSelector.from_object(raw)
    return not selector.empty and selector.matches(pod.labels)


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate that costs least; the first of equals."""
    return min(candidates, key=_cost, default=None)


def _cost(one: Candidate) -> tuple[Any, ...]:
    highest = one.victims[0].priority
    # Upstream adds this to each priority, so that many pods of negative priority do not look cheap.
    total = sum(victim.priority + 2**31 for victim in one.victims)
    earliest = min(started_at(v) for v in one.victims if v.priority == highest)
    seconds = times.parse_or_none(earliest)
    # Of the longest running victims the one that began last is the least loss.
    return (one.violations, highest, total, len(one.victims), -(seconds or math.inf))
