"""namespaceSelector and objectSelector.

Source: apiserver/pkg/admission/plugin/webhook/predicates/{namespace,object}/matcher.go.
"""

from __future__ import annotations

from controlplane.api import errors, meta
from controlplane.api.meta import Obj
from controlplane.api.selectors import LabelSelector
from controlplane.apiserver.admission.interface import CREATE, UPDATE, Attributes
from controlplane.apiserver.admission.selection.rules import namespace_of
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.namespace import NAMESPACES


async def selects_namespace(
    selector: LabelSelector, attributes: Attributes, lookup: Lookup
) -> bool:
    """Whether the request's namespace is selected; what is in none is. NotFound when it is not there."""
    is_namespace = attributes.resource == NAMESPACES
    if selector.empty or (not namespace_of(attributes) and not is_namespace):
        return True
    if (
        is_namespace
        and not attributes.subresource
        and attributes.operation in (CREATE, UPDATE)
        and attributes.obj is not None
    ):
        # The object is newer than what is stored.
        return selector.matches(meta.labels(attributes.obj))
    namespace = await namespace_object(attributes, lookup)
    if namespace is None:
        raise errors.NotFound.of(NAMESPACES, namespace_of(attributes))
    return selector.matches(meta.labels(namespace))


async def namespace_object(attributes: Attributes, lookup: Lookup) -> Obj | None:
    """The namespace that the request is in; None when it is in none, or that is not there."""
    name = namespace_of(attributes)
    return await lookup.find(NAMESPACES, "", name) if name else None


def selects_object(selector: LabelSelector, attributes: Attributes) -> bool:
    """Whether the new or the old object is selected."""
    if selector.empty:
        return True
    return any(
        obj is not None and selector.matches(meta.labels(obj))
        for obj in (attributes.obj, attributes.old)
    )
