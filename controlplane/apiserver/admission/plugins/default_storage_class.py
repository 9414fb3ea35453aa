"""DefaultStorageClass: a claim that names no class gets the one that is marked as default, the newest of several.

Source: plugin/pkg/admission/storage/storageclass/setdefault, pkg/volume/util (GetDefaultClass).
"""

from controlplane.api import meta
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, Attributes
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.persistent_volume_claim import BETA_CLASS, PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.storage.storage_class import STORAGE_CLASSES, default_of


class DefaultStorageClass:
    """The plugin."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """New claims."""
        return operation == CREATE and resource == PERSISTENT_VOLUME_CLAIMS and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Name the default class."""
        claim = attributes.require_object()
        spec = claim.setdefault("spec", {})
        if spec.get("storageClassName") is not None or BETA_CLASS in meta.annotations(claim):
            return
        found = default_of(await self._lookup.all(STORAGE_CLASSES))
        if found is not None:
            spec["storageClassName"] = meta.name(found)
