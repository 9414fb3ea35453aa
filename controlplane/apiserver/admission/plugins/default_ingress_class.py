"""DefaultIngressClass: an ingress that names no class gets the one that is marked as default, the newest of several.

Source: plugin/pkg/admission/network/defaultingressclass.
"""

from controlplane.api import meta
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, Attributes
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.networking.ingress import INGRESSES
from controlplane.kinds.networking.ingress_class import INGRESS_CLASSES

_MARK = "ingressclass.kubernetes.io/is-default-class"
_OLD_CLASS = "kubernetes.io/ingress.class"


class DefaultIngressClass:
    """The plugin."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """New ingresses."""
        return operation == CREATE and resource == INGRESSES and not subresource

    async def admit(self, attributes: Attributes) -> None:
        """Name the default class."""
        ingress = attributes.require_object()
        spec = ingress.setdefault("spec", {})
        if spec.get("ingressClassName") is not None or _OLD_CLASS in meta.annotations(ingress):
            return
        marked = [
            one
            for one in await self._lookup.all(INGRESS_CLASSES)
            if meta.annotations(one).get(_MARK) == "true"
        ]
        if marked:
            marked.sort(key=meta.name)
            marked.sort(key=meta.creation_timestamp, reverse=True)
            spec["ingressClassName"] = meta.name(marked[0])
