"""IPAddresses: an address of the range of services, and who holds it. The name is the address.

Sources: pkg/apis/networking/validation/validation.go, pkg/registry/networking/ipaddress.
"""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.kind import PLAIN_LABELS, Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.table.columns import NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import addresses
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.internal import Shape
from controlplane.kinds.networking.references import required_segments

IP_ADDRESSES = Resource(
    "networking.k8s.io",
    "v1",
    "IPAddress",
    "ipaddresses",
    namespaced=False,
    short_names=("ip",),
    field_labels=("spec.parentRef.group", "spec.parentRef.resource"),
)

_PARENT = Shape(
    (
        ("Group", "group", ""),
        ("Resource", "resource", ""),
        ("Namespace", "namespace", ""),
        ("Name", "name", ""),
    )
)


def validate_name(name: str) -> list[str]:
    """The problems of a name, which is an address in its canonical form."""
    return [
        cause.message.removeprefix(f"Invalid value: {fields.show(name)}: ")
        for cause in addresses.canonical_address("", name)
    ]


def validate(obj: Obj) -> list[Cause]:
    """Causes in an address."""
    parent, path = meta.spec(obj).get("parentRef"), "spec.parentRef"
    if parent is None:
        return [fields.required(path)]
    causes: list[Cause] = []
    group, namespace = parent.get("group"), parent.get("namespace")
    if group:
        causes += fields.each(f"{path}.group", group, names.dns_subdomain(group))
    causes += required_segments(path, parent, ("resource", "name"))
    if namespace:
        causes += fields.each(f"{path}.namespace", namespace, names.path_segment(namespace))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed address: its holder stays."""
    parent = meta.spec(new).get("parentRef")
    if is_same(parent, meta.spec(old).get("parentRef")):
        return []
    shown = None if parent is None else _PARENT.of(parent)
    missing = [cause for cause in validate(new) if cause.reason == "FieldValueRequired"]
    return [*missing, fields.immutable("spec.parentRef", shown)]


def _parent(obj: Obj, now: float) -> str:
    parent = meta.spec(obj).get("parentRef")
    if parent is None:
        return "<none>"
    group = parent.get("group")
    parts = [f"{parent.get('resource') or ''}{f'.{group}' if group else ''}".lower()]
    if parent.get("namespace"):
        parts.append(parent["namespace"])
    return "/".join([*parts, parent.get("name") or ""])


COLUMNS = (NAME, text("ParentRef", _parent, "Who holds the address."))

KIND = Kind(
    IP_ADDRESSES,
    unknown_field_label=PLAIN_LABELS,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    validate_name=validate_name,
    columns=COLUMNS,
)
