"""Keeps a VolumeAttributesClass that is deleted while a claim or a volume names it.

Source: pkg/controller/volume/vacprotection.
"""

from collections.abc import Iterable

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor, NoOptions
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change, to_itself
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.storage.volume_attributes_class import VOLUME_ATTRIBUTES_CLASSES

FINALIZER = "kubernetes.io/vac-protection"
_NAME = "volumeattributesclass-protection-controller"


def named_classes(obj: Obj) -> set[str]:
    """The classes that a claim or a volume names: the one it wants and the one it has."""
    spec, status = meta.spec(obj), meta.status(obj)
    target = (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName")
    found = (
        spec.get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        target,
    )
    return {str(name) for name in found if name}


class ClassProtection:
    """Guards one class."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._classes = context.informers.of(VOLUME_ATTRIBUTES_CLASSES).indexer
        self._claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS).indexer
        self._volumes = context.informers.of(PERSISTENT_VOLUMES).indexer

    def user_changed(self, change: Change) -> Iterable[Key]:
        """A claim or a volume names, or named, some class."""
        names: set[str] = set()
        for obj in (change.old, change.new):
            if obj is not None:
                names |= named_classes(obj)
        return [Key("", name) for name in sorted(names)]

    async def reconcile(self, key: Key) -> Result:
        """Add the finalizer, or take it from a class that ends and that nobody names."""
        found = self._classes.get(key.name)
        if found is None:
            return Result.done()
        finalizers = meta.finalizers(found)
        if not meta.is_deleting(found):
            if FINALIZER not in finalizers:
                await self._write(found, [*finalizers, FINALIZER])
        elif FINALIZER in finalizers and not self._is_named(key.name):
            await self._write(found, [one for one in finalizers if one != FINALIZER])
        return Result.done()

    def _is_named(self, name: str) -> bool:
        users = (*self._claims.list(), *self._volumes.list())
        return any(name in named_classes(obj) for obj in users)

    async def _write(self, obj: Obj, finalizers: list[str]) -> None:
        metadata = {**meta.metadata(obj), "finalizers": finalizers}
        await self._client.update(VOLUME_ATTRIBUTES_CLASSES, {**obj, "metadata": metadata})


def _build(context: Context, options: NoOptions) -> Controller[Key]:
    del options
    guard = ClassProtection(context)
    watches = (
        Watch(VOLUME_ATTRIBUTES_CLASSES, to_itself),
        Watch(PERSISTENT_VOLUME_CLAIMS, guard.user_changed),
        Watch(PERSISTENT_VOLUMES, guard.user_changed),
    )
    return Controller(_NAME, watches, guard)


DESCRIPTOR = Descriptor(
    _NAME,
    _build,
    (VOLUME_ATTRIBUTES_CLASSES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES),
    NoOptions,
    aliases=("vac-protection",),
)
