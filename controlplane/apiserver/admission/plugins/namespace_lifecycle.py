"""NamespaceLifecycle: nothing is made in a namespace that is missing or ending, and three namespaces never end.

Source: apiserver/pkg/admission/plugin/namespace/lifecycle.
"""

from controlplane.api import errors, meta
from controlplane.api.errors import Cause
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE, DELETE, UPDATE, Attributes
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.namespace import IMMORTAL, NAMESPACES


class NamespaceLifecycle:
    """The plugin."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Writes into namespaces, and the end of a namespace."""
        del subresource
        if resource == NAMESPACES:
            return operation == DELETE
        return resource.namespaced and operation in (CREATE, UPDATE)

    async def admit(self, attributes: Attributes) -> None:
        """Refuse what the namespace cannot take."""
        if attributes.resource == NAMESPACES:
            if attributes.name in IMMORTAL:
                why = "this namespace may not be deleted"
                raise errors.Forbidden.of(NAMESPACES, attributes.name, why)
            return
        name = attributes.namespace
        namespace = await self._lookup.find(NAMESPACES, "", name)
        if namespace is None:
            raise errors.NotFound.of(NAMESPACES, name)
        is_ending = (
            meta.is_deleting(namespace) or meta.status(namespace).get("phase") == "Terminating"
        )
        if is_ending and attributes.operation == CREATE:
            raise errors.Forbidden.of(
                attributes.resource,
                attributes.name,
                f"unable to create new content in namespace {name} because it is being terminated",
                causes=[
                    Cause(
                        "metadata.namespace",
                        f"namespace {name} is being terminated",
                        "NamespaceTerminating",
                    )
                ],
            )
