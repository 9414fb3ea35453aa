"""Namespaces: rooms for names, emptied before they go.

They end in two steps, the second being the removal of `kubernetes` from spec.finalizers: the namespace controller
empties an ending namespace and then calls the finalize subresource.
"""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.defaulting import part, set_missing
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import ALL_VERBS, STATUS, Resource, Subresource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column

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


# The namespaces a cluster cannot live without (upstream's immortal namespaces).
IMMORTAL = ("default", "kube-system", "kube-public")
NAME_LABEL = "kubernetes.io/metadata.name"
FINALIZER = "kubernetes"


def _default(obj: Obj) -> None:
    if meta.name(obj):
        meta.set_label(obj, NAME_LABEL, meta.name(obj))
    set_missing(part(obj, "status"), "phase", "Active")


class _NamespaceStrategy(Strategy):
    """The rules of namespaces."""

    has_grace = False

    def prepare_for_create(self, obj: Obj) -> None:
        """A new namespace is active, carries the finalizer and its name as a label."""
        super().prepare_for_create(obj)
        obj["status"] = {"phase": "Active"}
        spec = obj.setdefault("spec", {})
        if FINALIZER not in (spec.get("finalizers") or ()):
            spec["finalizers"] = [*(spec.get("finalizers") or ()), FINALIZER]
        # A generated name was not known yet when defaults were filled in.
        meta.set_label(obj, NAME_LABEL, meta.name(obj))

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """spec.finalizers change only through the finalize subresource."""
        super().prepare_for_update(obj, live)
        obj.setdefault("spec", {})["finalizers"] = meta.spec(live).get("finalizers") or []

    def mark_deleting(self, obj: Obj) -> None:
        """Show the phase people look at."""
        obj["status"] = {**meta.status(obj), "phase": "Terminating"}

    def holds_deletion(self, obj: Obj) -> bool:
        """An ending namespace stays until its own finalizers are gone."""
        return bool(meta.spec(obj).get("finalizers"))


def _field_value(obj: Obj, label: str) -> str | None:
    return meta.name(obj) if label == "name" else None


_COLUMNS = (
    NAME,
    Column("Status", cells.phase, description="Phase of the namespace."),
    AGE,
)


KIND = Kind(
    NAMESPACES,
    strategy=_NamespaceStrategy,
    default=_default,
    validate_name=names.dns_label,
    field_value=_field_value,
    columns=_COLUMNS,
)
