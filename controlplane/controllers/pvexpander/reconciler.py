"""Grows the volume of a claim that asks for more.

A folder of a node has no size of its own, so that only what volume and claim say has to grow. Volumes of others are
grown by whoever made them, which the claim is told. Source: pkg/controller/volume/expand.
"""

from collections.abc import Iterable

from controlplane.api import meta, quantity
from controlplane.api.meta import Obj
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor, NoOptions
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.kinds.core.persistent_volume.binding import LOCAL_PATH, PROVISIONED_BY, size_of
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS

_NAME = "persistentvolume-expander-controller"
_WAITING = "waiting for an external controller to expand this PVC"


def is_too_small(claim: Obj) -> bool:
    """Whether the bound claim asks for more than it has."""
    status = meta.status(claim)
    has = (status.get("capacity") or {}).get("storage")
    if status.get("phase") != "Bound" or not quantity.is_valid(has):
        return False
    return size_of(meta.spec(claim)) > quantity.parse(has)


class Expander:
    """Looks at one claim."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS).indexer
        self._volumes = context.informers.of(PERSISTENT_VOLUMES).indexer

    def claim_changed(self, change: Change) -> Iterable[Key]:
        """A claim that asks for more than before, or that this program has not seen."""
        new, old = change.new, change.old
        if new is None or not is_too_small(new):
            return ()
        if old is not None and is_too_small(old) and meta.spec(old) == meta.spec(new):
            return ()
        return (meta.key_of(new),)

    async def reconcile(self, key: Key) -> Result:
        """Grow the volume, then the claim."""
        claim = self._claims.get(key.name, key.namespace)
        if claim is None or not is_too_small(claim):
            return Result.done()
        volume = self._volumes.get(str(meta.spec(claim).get("volumeName") or ""))
        if volume is None:
            return Result.after(1.0)  # the cache is late
        owner = meta.spec(volume).get("claimRef") or {}
        if owner.get("uid") != meta.uid(claim):
            raise ValueError(f"persistent Volume is not bound to PVC being updated : {key}")
        if meta.annotations(volume).get(PROVISIONED_BY) != LOCAL_PATH:
            # Compat: upstream warns of all that is not CSI, for which it has no plugin either.
            type_ = "Normal" if meta.spec(volume).get("csi") is not None else "Warning"
            self._recorder.event(claim, type_, "ExternalExpanding", _WAITING)
            return Result.done()
        wanted = claim["spec"]["resources"]["requests"]["storage"]
        if size_of(meta.spec(volume)) < size_of(meta.spec(claim)):
            grown = {"spec": {"capacity": {"storage": wanted}}}
            await self._client.patch(PERSISTENT_VOLUMES, meta.name(volume), grown)
        await self._client.patch(
            PERSISTENT_VOLUME_CLAIMS,
            key.name,
            {"status": {"capacity": {"storage": wanted}}},
            key.namespace,
            subresource="status",
        )
        message = f"ExpandVolume succeeded for volume {key.namespace}/{key.name}"
        self._recorder.event(claim, "Normal", "VolumeResizeSuccessful", message)
        return Result.done()


def _build(context: Context, options: NoOptions) -> Controller[Key]:
    del options
    expander = Expander(context)
    return Controller(_NAME, (Watch(PERSISTENT_VOLUME_CLAIMS, expander.claim_changed),), expander)


DESCRIPTOR = Descriptor(
    _NAME,
    _build,
    (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES),
    NoOptions,
    aliases=("persistentvolume-expander",),
    component="volume_expand",
)
