"""Keeps a volume that is deleted until it is bound no more.

Source: pkg/controller/volume/pvprotection.
"""

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor, NoOptions
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import to_itself
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES

FINALIZER = "kubernetes.io/pv-protection"
_NAME = "persistentvolume-protection-controller"


class VolumeProtection:
    """Guards one volume."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._volumes = context.informers.of(PERSISTENT_VOLUMES).indexer

    async def reconcile(self, key: Key) -> Result:
        """Add the finalizer, or take it from a volume that ends and is not bound."""
        volume = self._volumes.get(key.name)
        if volume is None:
            return Result.done()
        finalizers = meta.finalizers(volume)
        if not meta.is_deleting(volume):
            if FINALIZER not in finalizers:
                await self._write(volume, [*finalizers, FINALIZER])
        elif FINALIZER in finalizers and meta.status(volume).get("phase") != "Bound":
            await self._write(volume, [one for one in finalizers if one != FINALIZER])
        return Result.done()

    async def _write(self, volume: Obj, finalizers: list[str]) -> None:
        metadata = {**meta.metadata(volume), "finalizers": finalizers}
        await self._client.update(PERSISTENT_VOLUMES, {**volume, "metadata": metadata})


def _build(context: Context, options: NoOptions) -> Controller[Key]:
    del options
    return Controller(_NAME, (Watch(PERSISTENT_VOLUMES, to_itself),), VolumeProtection(context))


DESCRIPTOR = Descriptor(_NAME, _build, (PERSISTENT_VOLUMES,), NoOptions, aliases=("pv-protection",))
