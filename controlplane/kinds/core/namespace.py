"""Namespaces: rooms for names, emptied before they go."""

from controlplane.api.resource import ALL_VERBS, STATUS, Resource, Subresource

# Namespaces cannot be deleted by the collection: upstream leaves that verb out.
_NAMESPACE_VERBS = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")

NAMESPACES = Resource(
    "",
    "v1",
    "Namespace",
    "namespaces",
    namespaced=False,
    short_names=("ns",),
    verbs=_NAMESPACE_VERBS,
    subresources=(Subresource("finalize", ("update",)), STATUS),
    field_labels=("status.phase", "name"),
)
