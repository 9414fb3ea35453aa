"""PersistentVolumeClaimResize: only a bound claim grows, and only where its class lets it.

Source: plugin/pkg/admission/storage/persistentvolume/resize.
"""

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import UPDATE, Attributes
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.core.pod.totals import parsed
from controlplane.kinds.storage.storage_class import STORAGE_CLASSES


class PersistentVolumeClaimResize:
    """The plugin."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Changed claims."""
        return operation == UPDATE and resource == PERSISTENT_VOLUME_CLAIMS and not subresource

    async def validate(self, attributes: Attributes) -> None:
        """Refuse a claim that cannot grow."""
        old, new = attributes.old or {}, attributes.require_object()
        if _size(new) <= _size(old):
            return
        why = ""
        if meta.status(old).get("phase") != "Bound":
            why = "Only bound persistent volume claims can be expanded"
        elif not await self._may_grow(old, new):
            why = (
                "only dynamically provisioned pvc can be resized and the storageclass that "
                "provisions the pvc must support resize"
            )
        if why:
            raise errors.Forbidden.of(attributes.resource, attributes.name, why)

    async def _may_grow(self, old: Obj, new: Obj) -> bool:
        name = meta.spec(new).get("storageClassName")
        if not name or name != meta.spec(old).get("storageClassName"):
            return False
        found = await self._lookup.find(STORAGE_CLASSES, "", name)
        return found is not None and bool(found.get("allowVolumeExpansion"))


def _size(claim: Obj) -> int:
    asked = parsed((meta.spec(claim).get("resources") or {}).get("requests"))
    return int(asked.get("storage", 0))
