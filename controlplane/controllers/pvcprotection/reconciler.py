"""Keeps a claim that is deleted until no scheduled pod uses it.

Before the finalizer goes, the pods are read from the API server: the cache may not know the latest of them.
Source: pkg/controller/volume/pvcprotection.
"""

from collections.abc import Iterable

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor, NoOptions
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change, to_itself
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.resource import PODS
from controlplane.kinds.core.pod.views import claims_of

FINALIZER = "kubernetes.io/pvc-protection"
_NAME = "persistentvolumeclaim-protection-controller"


def uses(pod: Obj, claim: str) -> bool:
    """Whether the pod is on a node and uses the claim: nodes start no pod whose claim is ending."""
    return bool(meta.spec(pod).get("nodeName")) and claim in claims_of(pod)


class ClaimProtection:
    """Guards one claim."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS).indexer
        self._pods = context.informers.of(PODS).indexer

    def pod_changed(self, change: Change) -> Iterable[Key]:
        """The claims of a pod that came, went or changed."""
        pods = [pod for pod in (change.old, change.new) if pod is not None]
        names = {name for pod in pods for name in claims_of(pod)}
        return [Key(meta.namespace(change.object), name) for name in sorted(names)]

    async def reconcile(self, key: Key) -> Result:
        """Add the finalizer, or take it from a claim that ends and is not used."""
        claim = self._claims.get(key.name, key.namespace)
        if claim is None:
            return Result.done()
        finalizers = meta.finalizers(claim)
        if not meta.is_deleting(claim):
            if FINALIZER not in finalizers:
                await self._write(claim, [*finalizers, FINALIZER])
        elif FINALIZER in finalizers and not await self._is_used(key):
            await self._write(claim, [one for one in finalizers if one != FINALIZER])
        return Result.done()

    async def _is_used(self, key: Key) -> bool:
        if any(uses(pod, key.name) for pod in self._pods.list(key.namespace)):
            return True
        page = await self._client.list_all(PODS, key.namespace)
        return any(uses(pod, key.name) for pod in page.items)

    async def _write(self, claim: Obj, finalizers: list[str]) -> None:
        metadata = {**meta.metadata(claim), "finalizers": finalizers}
        await self._client.update(PERSISTENT_VOLUME_CLAIMS, {**claim, "metadata": metadata})


def _build(context: Context, options: NoOptions) -> Controller[Key]:
    del options
    reconciler = ClaimProtection(context)
    watches = (
        Watch(PERSISTENT_VOLUME_CLAIMS, to_itself),
        Watch(PODS, reconciler.pod_changed),
    )
    return Controller(_NAME, watches, reconciler)


DESCRIPTOR = Descriptor(
    _NAME, _build, (PERSISTENT_VOLUME_CLAIMS, PODS), NoOptions, aliases=("pvc-protection",)
)
