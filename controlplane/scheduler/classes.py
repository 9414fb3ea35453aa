"""Decides pods that are alike together: what was found for one holds for the next, but for the nodes that changed.

Pods of one sort differ in nothing that a plugin looks at. For the second of a sort all nodes are judged and kept, best
first; each later one only judges the nodes that changed since, which is the node that the one before was given. The
choice is the best of all nodes, and equals are drawn by lot, as in a full cycle (tests compare the two).

This holds for plugins whose verdict on a node needs nothing but that node and the pod (`is_local`). The soft spreading
that pods of a controller get by default is counted along: nodes whose domains are alike form a group, each ordered by
all other scores, and only the best of each group are compared. All other plugins must have nothing to say: pods with
claims, constraints or company of their own take the full cycle, and so does a pod that the affinity of a pod already
there means.
Source of the idea: KEP-5598 (opportunistic batching), there for pods that follow each other.
"""

import heapq
import json
import random
from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from controlplane.scheduler.cache import Snapshot
from controlplane.scheduler.framework.cycle_state import CycleState
from controlplane.scheduler.framework.node_info import NodeInfo, PodInfo
from controlplane.scheduler.framework.runtime import Framework, Spreading
from controlplane.scheduler.framework.status import Code, Diagnosis, Status

MOST_CLASSES = 64
"""Each keeps a number of scores for every node; the one unused for longest goes first."""

_READ_BY_PLUGINS = (
    "nodeName",
    "nodeSelector",
    "affinity",
    "tolerations",
    "priority",
    "preemptionPolicy",
)


def class_of(pod: PodInfo) -> str:
    """What the verdict on a node depends on, as text; empty for pods that are judged one by one."""
    spec = pod.spec
    if pod.has_pod_affinity or spec.get("topologySpreadConstraints") or spec.get("resourceClaims"):
        return ""
    for volume in spec.get("volumes") or ():
        if not _EASY.issuperset(volume):
            return ""
    images = [
        container.get("image")
        for key in ("initContainers", "containers")
        for container in spec.get(key) or ()
    ]
    parts: list[Any] = [spec.get(key) for key in _READ_BY_PLUGINS]
    parts += [pod.namespace, pod.requests, pod.score_cpu, pod.score_memory]
    parts += [pod.host_ports, images, pod.controller_uid, pod.labels]
    return json.dumps(parts, sort_keys=True)


_EASY = frozenset(
    {"name", "emptyDir", "hostPath", "configMap", "secret", "downwardAPI", "projected"}
)
"""Volumes that every node can have."""


_Heap = list[tuple[int, float, int, str]]


@dataclass(slots=True)
class _Class:
    """The nodes as pods of one class see them."""

    state: CycleState
    epoch: int
    generation: int = 0
    is_fit: bool = True
    """False while a plugin that looks further than a node has something to say."""
    raw: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Scores of the feasible nodes, plugin by plugin."""
    refusals: dict[str, Status] = field(default_factory=dict)
    seen: list[Counter[int]] = field(default_factory=list)
    """How many feasible nodes have which score, plugin by plugin."""
    highest: tuple[int, ...] = ()
    heaps: dict[Hashable, _Heap] = field(default_factory=dict)
    """By group, best first; an entry counts while its number is that of the node."""
    entries: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    spread: Spreading | None = None
    groups: dict[str, Hashable] = field(default_factory=dict)


class Classes:
    """What is known of the classes of pods; one for all profiles of a scheduler."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._known: OrderedDict[tuple[int, str], _Class | None] = OrderedDict()
        self._number = 0

    def choose(
        self, framework: Framework, pod: PodInfo, nodes: Snapshot, state: CycleState
    ) -> tuple[str | None, Diagnosis] | None:
        """The node, or none and why; None altogether when the pod needs a full cycle."""
        text = class_of(pod)
        if not text or not framework.is_indifferent(pod, nodes.with_affinity):
            return None
        key = (id(framework), text)
        if key not in self._known:
            # One pod alone is no class: a full cycle, which may look at fewer nodes, is cheaper.
            self._remember(key, None)
            return None
        self._known.move_to_end(key)
        found = self._known[key]
        if found is None or found.epoch != nodes.epoch:
            found = self._known[key] = self._judge_all(framework, pod, nodes)
        elif found.is_fit:
            self._judge_changed(framework, pod, nodes, found)
        if not found.is_fit:
            return None
        state.nodes, state.trial = nodes, framework.trial
        best = self._best(found)
        if best is None:
            return None, Diagnosis(len(nodes), dict(found.refusals))
        return best, Diagnosis(len(nodes))

    def _remember(self, key: tuple[int, str], found: _Class | None) -> None:
        self._known[key] = found
        if len(self._known) > MOST_CLASSES:
            self._known.popitem(last=False)

    def _judge_all(self, framework: Framework, pod: PodInfo, nodes: Snapshot) -> _Class:
        state = CycleState()
        state.nodes = nodes
        found = _Class(state, nodes.epoch, nodes.generation)
        if not framework.prepare_locally(state, pod, nodes):
            found.is_fit = False
            return found
        found.seen = [Counter() for _ in framework.scorers(state)]
        found.spread = framework.spreading(state, pod)
        for node in nodes:
            self._judge(framework, pod, node, found)
        if found.spread is not None and not found.spread.tally.is_exact:
            found.is_fit = False
            return found
        self._rank(framework, found)
        return found

    def _judge_changed(
        self, framework: Framework, pod: PodInfo, nodes: Snapshot, found: _Class
    ) -> None:
        changed = nodes.changed_since(found.generation)
        found.generation = nodes.generation
        found.state.nodes = nodes
        for node in changed:
            self._judge(framework, pod, node, found)
        if tuple(max(scores, default=0) for scores in found.seen) != found.highest:
            self._rank(framework, found)
            return
        for node in changed:
            if node.name in found.raw:
                self._push(framework, found, node.name)
        if found.entries > 4 * len(nodes) + 64:
            self._rank(framework, found)  # too many entries that do not count any more

    def _judge(self, framework: Framework, pod: PodInfo, node: NodeInfo, found: _Class) -> None:
        """Keep the verdict on a node in place of the one before."""
        name = node.name
        before = found.raw.pop(name, None)
        if before is not None:
            for scores, value in zip(found.seen, before, strict=True):
                scores[value] -= 1
                if not scores[value]:
                    del scores[value]
        found.refusals.pop(name, None)
        found.numbers.pop(name, None)
        if found.spread is not None:
            # Nodes that are refused count, too.
            found.groups[name] = found.spread.tally.count(node)
        status = framework.judge(found.state, pod, node)
        if status.code is not Code.SUCCESS:
            found.refusals[name] = status
            return
        raw = tuple(
            plugin.score(found.state, pod, node) for plugin, _ in framework.scorers(found.state)
        )
        found.raw[name] = raw
        for scores, value in zip(found.seen, raw, strict=True):
            scores[value] += 1

    def _rank(self, framework: Framework, found: _Class) -> None:
        """Order all feasible nodes anew: the scores they are compared with have changed."""
        found.highest = tuple(max(scores, default=0) for scores in found.seen)
        found.heaps.clear()
        found.entries = 0
        for name in found.raw:
            self._push(framework, found, name)

    def _push(self, framework: Framework, found: _Class, name: str) -> None:
        total = 0
        rows = zip(framework.scorers(found.state), found.raw[name], found.highest, strict=True)
        for (plugin, weight), value, highest in rows:
            total += weight * plugin.normalize({name: value, "": highest})[name]
        self._number += 1
        found.numbers[name] = self._number
        heap = found.heaps.setdefault(found.groups.get(name), [])
        heapq.heappush(heap, (-total, self._rng.random(), self._number, name))
        found.entries += 1

    def _best(self, found: _Class) -> str | None:
        """The best node of all groups, with the score of their domains."""
        tops: dict[Hashable, tuple[int, str]] = {}
        for group, heap in list(found.heaps.items()):
            while heap and found.numbers.get(heap[0][3]) != heap[0][2]:
                heapq.heappop(heap)
                found.entries -= 1
            if heap:
                tops[group] = (-heap[0][0], heap[0][3])
            else:
                del found.heaps[group]
        if found.spread is None or not tops:
            return next((name for _, name in tops.values()), None)
        spread = found.spread
        raw = {group: spread.tally.score(group) for group in tops}
        scores = spread.normalized(raw)
        totals = {group: base + spread.weight * scores[group] for group, (base, _) in tops.items()}
        best = max(totals.values())
        return tops[self._rng.choice([g for g, total in totals.items() if total == best])][1]
