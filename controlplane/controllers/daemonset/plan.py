"""Which nodes of a DaemonSet lack a Pod, which Pods must go, how an update rolls, and the status: pure.

Pods are bound by the scheduler: each is made for one node by an affinity to its name.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.workloads.pods import is_available, pod_of
from controlplane.kinds.core.pod.placement import fits
from controlplane.kinds.core.pod.tolerations import tolerated
from controlplane.kinds.core.pod.views import is_ready

HASH_LABEL = "controller-revision-hash"
GENERATION_LABEL = "pod-template-generation"
GENERATION = "deprecated.daemonset.template.generation"
BURST = 250  # upstream's burstReplicas

_NODE = "node.kubernetes.io/"
_TOLERATED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Nodes to make Pods for and Pods to delete; `found` are (event reason, Pod, node) to tell about ended Pods."""

    create: tuple[str, ...] = ()
    delete: tuple[Obj, ...] = ()
    found: tuple[tuple[str, Obj, str], ...] = ()


def node_of(pod: Obj) -> str:
    """The node a Pod is on, or was made for."""
    spec = meta.spec(pod)
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("values"):
                return str(field["values"][0])
    return ""


def by_node(pods: Sequence[Obj]) -> dict[str, list[Obj]]:
    """The Pods of each node, the oldest that is bound first."""
    found: dict[str, list[Obj]] = {}
    for pod in sorted(pods, key=_age):
        found.setdefault(node_of(pod), []).append(pod)
    return found


def _age(pod: Obj) -> tuple[bool, str, str]:
    return not meta.spec(pod).get("nodeName"), meta.creation_timestamp(pod), meta.name(pod)


def should_run(daemon: Obj, node: Obj) -> tuple[bool, bool]:
    """(a Pod belongs on the node, one that is there may stay)."""
    template = (meta.spec(daemon).get("template") or {}).get("spec") or {}
    if not fits(template, node):
        return False, False
    tolerations = with_tolerations(template)["tolerations"]
    taints = [
        taint
        for taint in meta.spec(node).get("taints") or ()
        if taint.get("effect") != "PreferNoSchedule" and not tolerated(taint, tolerations)
    ]
    stays = all(taint.get("effect") != "NoExecute" for taint in taints)
    return not taints, stays


def with_tolerations(spec: Obj) -> Obj:
    """A Pod's spec with what every daemon tolerates."""
    wanted = [
        {"key": _NODE + name, "operator": "Exists", "effect": effect} for name, effect in _TOLERATED
    ]
    if spec.get("hostNetwork"):
        network = {"key": _NODE + "network-unavailable", "operator": "Exists"}
        wanted.append({**network, "effect": "NoSchedule"})
    before = list(spec.get("tolerations") or ())
    return {**spec, "tolerations": before + [t for t in wanted if t not in before]}


def new_pod(daemon: Obj, node: str, text: str) -> Obj:
    """The Pod for a node; `text` is the hash of the revision."""
    pod = pod_of(meta.spec(daemon).get("template") or {}, daemon)
    labels = {**meta.labels(pod), HASH_LABEL: text}
    if generation := meta.annotations(daemon).get(GENERATION):
        labels[GENERATION_LABEL] = generation
    pod["metadata"]["labels"] = labels
    spec = with_tolerations(pod["spec"])
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    affinity = dict(spec.get("affinity") or {})
    node_affinity = dict(affinity.get("nodeAffinity") or {})
    node_affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {
        "nodeSelectorTerms": [{"matchFields": [field]}]
    }
    affinity["nodeAffinity"] = node_affinity
    return {**pod, "spec": {**spec, "affinity": affinity}}


def is_updated(daemon: Obj, pod: Obj, text: str) -> bool:
    """Whether the Pod was made by the present template."""
    generation = meta.annotations(daemon).get(GENERATION)
    labels = meta.labels(pod)
    is_same = generation is not None and labels.get(GENERATION_LABEL) == generation
    return is_same or labels.get(HASH_LABEL) == text


def limits(daemon: Obj, desired: int) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in Pods; one of them at least 1."""
    rolling = (meta.spec(daemon).get("updateStrategy") or {}).get("rollingUpdate") or {}
    surge = _resolved(rolling.get("maxSurge", 0), desired)
    unavailable = _resolved(rolling.get("maxUnavailable", 1), desired)
    return surge, 1 if desired and not surge and not unavailable else unavailable


def _resolved(value: int | str, total: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(int(value[:-1]) * total / 100)
    return int(value)


def allows_surge(daemon: Obj) -> bool:
    """Whether a new Pod may stand beside an old one on a node."""
    strategy = meta.spec(daemon).get("updateStrategy") or {}
    surge = (strategy.get("rollingUpdate") or {}).get("maxSurge", 0)
    return strategy.get("type") == "RollingUpdate" and surge not in (0, "0%", None)


def minimum_seconds(daemon: Obj) -> int:
    """How long a Pod must be ready to be available."""
    return int(meta.spec(daemon).get("minReadySeconds") or 0)


def plan_nodes(
    daemon: Obj, nodes: Sequence[Obj], pods: Mapping[str, Sequence[Obj]], text: str, now: float
) -> Plan:
    """A Pod for each node that lacks one; away with those of no use."""
    plan = Plan()
    for node in nodes:
        found = pods.get(meta.name(node), ())
        plan = _joined(plan, _plan_node(daemon, node, found, text, now))
    names = {meta.name(node) for node in nodes}
    lost = tuple(
        pod
        for name, found in pods.items()
        if name not in names
        for pod in found
        if not meta.spec(pod).get("nodeName") and not meta.is_deleting(pod)
    )
    return _joined(plan, Plan(delete=lost))


def _joined(left: Plan, right: Plan) -> Plan:
    return Plan(left.create + right.create, left.delete + right.delete, left.found + right.found)


def _plan_node(daemon: Obj, node: Obj, pods: Sequence[Obj], text: str, now: float) -> Plan:
    name = meta.name(node)
    runs, stays = should_run(daemon, node)
    if runs and not pods:
        return Plan(create=(name,))
    alive = [pod for pod in pods if not meta.is_deleting(pod)]
    if not stays:
        return Plan(delete=tuple(alive))
    ended = {"Failed": "FailedDaemonPod", "Succeeded": "SucceededDaemonPod"}
    found = tuple(
        (ended[phase], pod, name)
        for pod in alive
        if (phase := meta.status(pod).get("phase", "")) in ended
    )
    gone = tuple(pod for _, pod, _ in found)
    running = [pod for pod in alive if meta.status(pod).get("phase") not in ended]
    if not allows_surge(daemon):
        return Plan(delete=gone + tuple(running[1:]), found=found)
    if not running:
        return Plan((name,) if runs else (), gone, found)
    news = [pod for pod in running if meta.labels(pod).get(HASH_LABEL) == text]
    olds = [pod for pod in running if meta.labels(pod).get(HASH_LABEL) != text]
    surplus = news[1:] + olds[1:]
    if news and olds:
        is_in_place = is_available(news[0], minimum_seconds(daemon), now)
        if not is_ready(olds[0]) or is_in_place:
            surplus.append(olds[0])
    return Plan(delete=gone + tuple(surplus), found=found)


def plan_rollout(
    daemon: Obj, nodes: Sequence[Obj], pods: Mapping[str, Sequence[Obj]], text: str, now: float
) -> Plan:
    """Replace Pods of earlier templates, within maxUnavailable or maxSurge."""
    runs = {meta.name(node): should_run(daemon, node)[0] for node in nodes}
    desired = [name for name, wanted in runs.items() if wanted]
    surge, unavailable = limits(daemon, len(desired))
    names = list(dict.fromkeys([*pods, *desired]))
    split = {name: _split(daemon, pods.get(name, ()), text) for name in names}
    minimum = minimum_seconds(daemon)
    if surge:
        return _surge(split, runs, surge, minimum, len(desired), now)
    taken, lost, candidates = 0, [], []
    for news, olds in split.values():
        if len(news) > 1 or len(olds) > 1 or bool(news) == bool(olds):
            taken += 1
        elif news:
            taken += not is_available(news[0], minimum, now)
        elif is_available(olds[0], minimum, now):
            candidates.append(olds[0])
        else:
            # It costs no availability.
            lost.append(olds[0])
            taken += 1
    room = max(0, unavailable - taken)
    return Plan(delete=tuple(lost + candidates[:room]))


def _split(daemon: Obj, pods: Sequence[Obj], text: str) -> tuple[list[Obj], list[Obj]]:
    alive = [pod for pod in pods if not meta.is_deleting(pod)]
    news = [pod for pod in alive if is_updated(daemon, pod, text)]
    return news, [pod for pod in alive if not is_updated(daemon, pod, text)]


def _surge(
    split: Mapping[str, tuple[list[Obj], list[Obj]]],
    runs: Mapping[str, bool],
    surge: int,
    minimum: int,
    desired: int,
    now: float,
) -> Plan:
    taken, available = 0, 0
    gone: list[Obj] = []
    displaced: list[Obj] = []
    at_once: list[str] = []
    candidates: list[str] = []
    for name, (news, olds) in split.items():
        if len(news) > 1 or len(olds) > 1:
            taken += 1
            continue
        standing = (olds or news)[:1]
        is_up = bool(standing) and is_available(standing[0], minimum, now)
        available += is_up
        if not olds:
            continue
        if news:
            if is_available(news[0], minimum, now):
                gone.append(olds[0])
            else:
                taken += 1
        elif not runs.get(name, False):
            (displaced if is_up else gone).append(olds[0])
        elif is_up:
            candidates.append(name)
        else:
            at_once.append(name)
    spare = max(0, available - desired)
    room = max(0, surge - taken)
    return Plan(tuple(at_once + candidates[:room]), tuple(gone + displaced[:spare]))


def plan_status(
    daemon: Obj,
    nodes: Sequence[Obj],
    pods: Mapping[str, Sequence[Obj]],
    text: str,
    now: float,
    *,
    observed: bool,
) -> Obj:
    """The status; `observed` when the present generation was acted on."""
    minimum = minimum_seconds(daemon)
    count = dict.fromkeys(
        ("desired", "current", "misscheduled", "ready", "updated", "available"), 0
    )
    for node in nodes:
        runs = should_run(daemon, node)[0]
        found = pods.get(meta.name(node), ())
        if not runs:
            count["misscheduled"] += bool(found)
            continue
        count["desired"] += 1
        if not found:
            continue
        count["current"] += 1
        count["ready"] += is_ready(found[0])
        count["available"] += is_available(found[0], minimum, now)
        count["updated"] += is_updated(daemon, found[0], text)
    before = meta.status(daemon)
    status: Obj = {
        "currentNumberScheduled": count["current"],
        "numberMisscheduled": count["misscheduled"],
        "desiredNumberScheduled": count["desired"],
        "numberReady": count["ready"],
    }
    optional = {
        "observedGeneration": meta.generation(daemon)
        if observed
        else before.get("observedGeneration"),
        "updatedNumberScheduled": count["updated"],
        "numberAvailable": count["available"],
        "numberUnavailable": count["desired"] - count["available"],
    }
    status.update({name: value for name, value in optional.items() if value})
    for kept in ("collisionCount", "conditions"):
        if before.get(kept) is not None:
            status[kept] = before[kept]
    return status
