"""Pods leave nodes with NoExecute taints, after the time they tolerate.

The time runs from when this controller first sees taint and Pod together. Pods that carry no toleration for not-ready
and unreachable are treated as if they had upstream's admission default (`default_toleration_seconds`).
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api import meta, times
from controlplane.api.errors import NotFound
from controlplane.client import disruption
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change, key_of, to_itself
from controlplane.controllers.tainteviction.plan import plan_eviction
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.program.options import option


@dataclass(frozen=True, slots=True)
class TaintEvictionOptions:
    """What the controller can be told."""

    default_toleration_seconds: float = option(
        300.0,
        "how long Pods that state no toleration stay on silent nodes",
        flag="--default-unreachable-toleration-seconds",
    )


class EvictionReconciler:
    """Evicts Pods in their time."""

    def __init__(self, context: Context, options: TaintEvictionOptions) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder
        self._default = options.default_toleration_seconds
        self._since: dict[str, float] = {}  # pod uid -> monotonic start of its time
        self._nodes = context.informers.of(NODES).indexer
        self._pods = context.informers.of(PODS).indexer

    def controller(self) -> Controller[Key]:
        """The declaration of this controller."""
        watches = (Watch(PODS, to_itself), Watch(NODES, self.node_changed))
        return Controller("taint-eviction-controller", watches, self, workers=8)

    def node_changed(self, change: Change) -> Iterable[Key]:
        """All Pods of a node whose taints changed."""
        taints = [
            meta.spec(n).get("taints") if n is not None else None for n in (change.old, change.new)
        ]
        if change.new is None or taints[0] == taints[1]:
            return ()
        return [key_of(pod) for pod in self._pods.by_node(meta.name(change.new))]

    async def reconcile(self, key: Key) -> Result:
        """Evict one Pod if its time is over."""
        pod = self._pods.get(key.name, key.namespace)
        if pod is None:
            return Result.done()
        uid = meta.uid(pod)
        node = self._nodes.get(meta.spec(pod).get("nodeName") or "")
        if node is None or meta.is_deleting(pod):
            self._since.pop(uid, None)
            return Result.done()
        eviction = plan_eviction(pod, node, self._default)
        if eviction.after_seconds is None:
            if self._since.pop(uid, None) is not None:
                message = f"Cancelling deletion of Pod {key.namespace}/{key.name}"
                self._recorder.event(pod, "Normal", "TaintManagerEviction", message)
            return Result.done()
        now = self._clock.monotonic()
        left = self._since.setdefault(uid, now) + eviction.after_seconds - now
        if left > 0:
            return Result.after(left)
        message = f"Marking for deletion Pod {key.namespace}/{key.name}"
        self._recorder.event(pod, "Normal", "TaintManagerEviction", message)
        with contextlib.suppress(NotFound):
            await disruption.mark(
                self._client,
                pod,
                times.to_rfc3339(self._clock.time()),
                reason="DeletionByTaintManager",
                message="Taint manager: deleting due to NoExecute taint",
            )
            await self._client.delete(PODS, key.name, key.namespace, uid=uid)
        self._since.pop(uid, None)
        return Result.done()


def _build(context: Context, options: TaintEvictionOptions) -> Controller[Key]:
    return EvictionReconciler(context, options).controller()


DESCRIPTOR = Descriptor(
    "taint-eviction-controller",
    _build,
    (
        PODS,
        NODES,
    ),
    TaintEvictionOptions,
)
