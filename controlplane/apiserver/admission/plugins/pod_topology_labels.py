"""PodTopologyLabels: a pod that is put on a node gets the labels of the node's zone and region.

Source: plugin/pkg/admission/podtopologylabels.
"""

from controlplane.api import meta
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, Attributes
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.node import NODES
from controlplane.kinds.core.pod.resource import PODS

_LABELS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")


class PodTopologyLabels:
    """The plugin."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Bindings, and pods that come with a node."""
        return operation == CREATE and resource == PODS and subresource in ("", "binding")

    async def admit(self, attributes: Attributes) -> None:
        """Copy the labels; from a binding they come to the pod."""
        obj = attributes.require_object()
        name = meta.spec(obj).get("nodeName")
        if attributes.subresource == "binding":
            target = obj.get("target") or {}
            name = target.get("name") if target.get("kind") == "Node" else None
        node = await self._lookup.find(NODES, "", str(name)) if name else None
        found = {key: value for key, value in meta.labels(node or {}).items() if key in _LABELS}
        for key, value in found.items():
            meta.set_label(obj, key, value)
