"""StorageObjectInUseProtection: volumes and claims wait with their end until nobody uses them.

Source: plugin/pkg/admission/storage/storageobjectinuseprotection.
"""

from controlplane.api import meta
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, Attributes
from controlplane.kinds.core.persistent_volume.kind import PERSISTENT_VOLUMES
from controlplane.kinds.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from controlplane.kinds.storage.volume_attributes_class import VOLUME_ATTRIBUTES_CLASSES

_FINALIZERS = {
    PERSISTENT_VOLUMES: "kubernetes.io/pv-protection",
    PERSISTENT_VOLUME_CLAIMS: "kubernetes.io/pvc-protection",
    VOLUME_ATTRIBUTES_CLASSES: "kubernetes.io/vac-protection",
}


class StorageObjectInUse:
    """The plugin."""

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """New volumes, claims and classes of attributes."""
        return operation == CREATE and resource in _FINALIZERS and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Add the finalizer."""
        obj, finalizer = attributes.require_object(), _FINALIZERS[attributes.resource]
        finalizers = meta.finalizers(obj)
        if finalizer not in finalizers:
            meta.ensure_metadata(obj)["finalizers"] = [*finalizers, finalizer]
