"""Pod garbage: one sweep over the caches every few seconds, and when a node goes."""

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api import meta, times
from controlplane.api.errors import NotFound
from controlplane.client import disruption
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.controllers.podgc.plan import Removal, plan_removals
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.pod.views import is_ended
from controlplane.program.options import option
from kvstore.base.log import get_logger

_SWEEP = Key("", "sweep")
_log = get_logger("podgc")


# How long a node must be missing before its Pods go.
_QUARANTINE_SECONDS = 40.0
_INTERVAL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class PodGCOptions:
    """What the controller can be told."""

    terminated_pod_gc_threshold: int = option(12500, "ended Pods that may be kept; 0 keeps all")
    unreachable_pod_force_delete_after_seconds: float = option(
        60.0, "for Pods deleted on a node that does not answer; 0 waits for the node for ever"
    )


class PodGCReconciler:
    """Sweeps."""

    def __init__(self, context: Context, options: PodGCOptions) -> None:
        self._client = context.client
        self._clock = context.clock
        self._threshold = options.terminated_pod_gc_threshold
        self._unreachable_seconds = options.unreachable_pod_force_delete_after_seconds
        self._missing_since: dict[str, float] = {}
        self._nodes = context.informers.of(NODES).indexer
        self._pods = context.informers.of(PODS).indexer

    def controller(self) -> Controller[Key]:
        """The declaration of this controller."""
        watches = (Watch(NODES, self.node_changed), Watch(PODS, self.pod_changed))
        return Controller(
            "pod-garbage-collector-controller", watches, self, workers=1, start=(_SWEEP,)
        )

    def node_changed(self, change: Change) -> Iterable[Key]:
        """A node that came or went starts or ends a quarantine."""
        return (_SWEEP,) if change.old is None or change.new is None else ()

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """A Pod deleted before it was bound goes at once."""
        pod = change.new
        bound = pod is not None and meta.spec(pod).get("nodeName")
        return (_SWEEP,) if pod is not None and meta.is_deleting(pod) and not bound else ()

    async def reconcile(self, key: Key) -> Result:
        """Sweep once."""
        nodes = {meta.name(node): node for node in self._nodes.list()}
        removals = plan_removals(
            self._pods.list(),
            nodes,
            self._clock.time(),
            terminated_threshold=self._threshold,
            unreachable_seconds=self._unreachable_seconds,
        )
        missing = {meta.spec(r.pod)["nodeName"] for r in removals if r.orphan}
        gone = await self._surely_gone(missing)
        for removal in removals:
            if removal.orphan and meta.spec(removal.pod)["nodeName"] not in gone:
                continue
            name, namespace = meta.name(removal.pod), meta.namespace(removal.pod)
            _log.info("removing pod", pod=f"{namespace}/{name}", why=removal.why)
            try:
                await self._mark(removal)
                await self._client.delete(
                    PODS, name, namespace, uid=meta.uid(removal.pod), grace_period_seconds=0
                )
            except NotFound:
                continue
        return Result.after(_INTERVAL_SECONDS)

    async def _mark(self, removal: Removal) -> None:
        """Nobody else will say how a pod ended whose node is gone, and that it is not its own fault."""
        if is_ended(removal.pod):
            return
        reason, message = "DeletionByPodGC", "PodGC: node no longer exists"
        await disruption.mark(
            self._client,
            removal.pod,
            times.to_rfc3339(self._clock.time()),
            reason=reason if removal.orphan else "",
            message=message if removal.orphan else "",
            phase="Failed",
        )

    async def _surely_gone(self, missing: set[str]) -> set[str]:
        now = self._clock.monotonic()
        self._missing_since = {name: self._missing_since.get(name, now) for name in sorted(missing)}
        gone = set()
        for name, since in self._missing_since.items():
            if now - since < _QUARANTINE_SECONDS:
                continue
            try:
                await self._client.get(NODES, name)
            except NotFound:
                gone.add(name)
        return gone


def _build(context: Context, options: PodGCOptions) -> Controller[Key]:
    return PodGCReconciler(context, options).controller()


DESCRIPTOR = Descriptor(
    "pod-garbage-collector-controller",
    _build,
    (
        NODES,
        PODS,
    ),
    PodGCOptions,
    aliases=("podgc",),
)
