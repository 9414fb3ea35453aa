"""Node lifecycle: count heartbeats, mark silent nodes, taint them, mark their Pods not ready.

A heartbeat is a change of the node's Lease or of its Ready condition's heartbeat time, dated by our own clock when we
see it. Before a node is given up its Lease is read from the server once more: a slow watch of ours is not the node's
fault. After a change of leader every node gets the whole grace period anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api import conditions, meta
from controlplane.api.errors import NotFound
from controlplane.api.meta import Obj
from controlplane.api.times import to_rfc3339
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change, key_of
from controlplane.controllers.nodelifecycle.plan import (
    all_lost,
    eviction_halted,
    plan_taints,
    ready_status,
    unknown_conditions,
    wants_eviction,
)
from controlplane.kinds.coordination.lease import LEASES
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.pod.views import is_ready
from controlplane.program.options import option

LEASE_NAMESPACE = "kube-node-lease"

_HALTED_LOOK_SECONDS = 5.0


@dataclass(slots=True)
class _Heart:
    mark: tuple[str, str]
    seen_at: float


@dataclass(frozen=True, slots=True)
class NodeLifecycleOptions:
    """What the controller can be told."""

    node_monitor_period_seconds: float = option(5.0, "accepted; nodes are watched, not polled")
    node_monitor_grace_period_seconds: float = option(40.0, "how long a node may be silent")
    node_startup_grace_period_seconds: float = option(60.0, "the same for one that never spoke")
    node_eviction_rate: float = option(0.1, "nodes a second whose Pods may be evicted")


class NodeReconciler:
    """Watches over nodes' hearts."""

    def __init__(self, context: Context, options: NodeLifecycleOptions) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._grace = options.node_monitor_grace_period_seconds
        self._startup_grace = max(self._grace, options.node_startup_grace_period_seconds)
        rate = options.node_eviction_rate
        self._eviction_interval = 1 / rate if rate > 0 else float("inf")
        self._next_eviction_at = float("-inf")
        self._hearts: dict[str, _Heart] = {}
        self._reader = context.reader
        self._nodes = context.informers.of(NODES).indexer
        self._leases = context.informers.of(LEASES).indexer
        self._pods = context.informers.of(PODS).indexer

    def controller(self) -> Controller[Key]:
        """The declaration of this controller."""
        watches = (
            Watch(NODES, self.node_changed),
            Watch(LEASES, self.lease_changed),
            Watch(PODS, self.pod_changed),
        )
        return Controller("node-lifecycle-controller", watches, self, workers=4)

    def node_changed(self, change: Change) -> Iterable[Key]:
        """Itself; when it is lost or found also all others, whose evictions may halt or go on."""
        states = [
            None if n is None else ready_status(n) == "True" for n in (change.old, change.new)
        ]
        nodes = self._nodes.list() if states[0] != states[1] else []
        return dict.fromkeys([key_of(change.object), *map(key_of, nodes)])

    def lease_changed(self, change: Change) -> Iterable[Key]:
        """A heartbeat; only one of a node that was given up needs work at once."""
        if change.new is None or meta.namespace(change.new) != LEASE_NAMESPACE:
            return ()
        node = self._nodes.get(meta.name(change.new))
        if node is None:
            return ()
        self._look(node, change.new)
        return (Key("", meta.name(node)),) if ready_status(node) != "True" else ()

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """A Pod that says it is ready on a node that is silent."""
        if change.new is None or not is_ready(change.new):
            return ()
        name = meta.spec(change.new).get("nodeName")
        node = self._nodes.get(name) if name else None
        if node is None or ready_status(node) == "True":
            return ()
        return (Key("", str(name)),)

    async def reconcile(self, key: Key) -> Result:
        """Look at one node."""
        node = self._nodes.get(key.name)
        if node is None:
            self._hearts.pop(key.name, None)
            return Result.done()
        heart = self._look(node, self._leases.get(key.name, LEASE_NAMESPACE))
        never = conditions.get(node, "Ready") is None
        grace = self._startup_grace if never else self._grace
        silent_for = self._clock.monotonic() - heart.seen_at
        alive = silent_for < grace
        if not alive and (never or ready_status(node) != "Unknown"):
            alive = await self._heard_at_server(node)
            if alive:
                silent_for = 0.0
            else:
                node = await self._mark_unknown(node)
        if ready_status(node) != "True" and not never:
            await self._mark_pods_not_ready(key.name)
        wait = await self._taint(node)
        waits = [grace - silent_for + 0.01] if alive else []
        if wait is not None:
            waits.append(wait)
        return Result.after(min(waits)) if waits else Result.done()

    def _look(self, node: Obj, lease: Obj | None) -> _Heart:
        renewed = meta.spec(lease).get("renewTime") if lease is not None else ""
        ready = conditions.get(node, "Ready") or {}
        mark = (str(renewed or ""), str(ready.get("lastHeartbeatTime") or ""))
        heart = self._hearts.get(meta.name(node))
        if heart is None:
            heart = self._hearts[meta.name(node)] = _Heart(mark, self._clock.monotonic())
        elif heart.mark != mark:
            heart.mark, heart.seen_at = mark, self._clock.monotonic()
        return heart

    async def _heard_at_server(self, node: Obj) -> bool:
        # By the program's own identity: node-controller's role does not know leases.
        found = await self._reader.list(
            LEASES, LEASE_NAMESPACE, field_selector=f"metadata.name={meta.name(node)}"
        )
        if not found.items:
            return False
        (lease,) = found.items
        heart = self._hearts[meta.name(node)]
        before = heart.seen_at
        self._look(node, lease)
        return heart.seen_at != before

    async def _mark_unknown(self, node: Obj) -> Obj:
        conditions = unknown_conditions(node, self._clock.time())
        status = {**meta.status(node), "conditions": conditions}
        updated = await self._client.update_status(NODES, {**node, "status": status})
        name = meta.name(node)
        message = f"Node {name} status is now: NodeNotReady"
        self._recorder.event(node, "Normal", "NodeNotReady", message)
        return updated

    async def _mark_pods_not_ready(self, name: str) -> None:
        stamp = to_rfc3339(self._clock.time())
        for pod in self._pods.by_node(name):
            if not is_ready(pod):
                continue
            conditions = [
                {**c, "status": "False", "reason": "NodeNotReady", "lastTransitionTime": stamp}
                if c["type"] == "Ready"
                else c
                for c in meta.status(pod).get("conditions") or ()
            ]
            status = {**meta.status(pod), "conditions": conditions}
            try:
                await self._client.update_status(PODS, {**pod, "status": status})
            except NotFound:
                continue
            self._recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    async def _taint(self, node: Obj) -> float | None:
        """Write the taints; returns when to look again if an eviction must wait."""
        now = self._clock.monotonic()
        wait: float | None = None
        may_evict = False
        nodes = [n for n in self._nodes.list() if meta.name(n) != meta.name(node)] + [node]
        if wants_eviction(node):
            if eviction_halted(nodes):
                wait = _HALTED_LOOK_SECONDS
            elif now < self._next_eviction_at:
                wait = self._next_eviction_at - now
            else:
                may_evict = True
        taints = plan_taints(
            node, self._clock.time(), may_evict=may_evict, all_lost=all_lost(nodes)
        )
        if taints != (meta.spec(node).get("taints") or []):
            spec = {**meta.spec(node), "taints": taints}
            await self._client.update(NODES, {**node, "spec": spec})
            if may_evict:
                self._next_eviction_at = now + self._eviction_interval
        return wait


def _build(context: Context, options: NodeLifecycleOptions) -> Controller[Key]:
    return NodeReconciler(context, options).controller()


DESCRIPTOR = Descriptor(
    "node-lifecycle-controller",
    _build,
    (
        NODES,
        LEASES,
        PODS,
    ),
    NodeLifecycleOptions,
    aliases=("nodelifecycle",),
    component="node-controller",
)
