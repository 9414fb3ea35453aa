"""Namespaces: rooms for names, emptied before they go.

They end in two steps, the second being the removal of `kubernetes` from spec.finalizers: the namespace controller
empties an ending namespace and then calls the finalize subresource.
"""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import ALL_VERBS, STATUS, Resource, Subresource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields

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
_STANDARD_FINALIZERS = (FINALIZER, "orphan", "foregroundDeletion")


def _default(obj: Obj) -> None:
    if meta.name(obj):
        meta.set_label(obj, NAME_LABEL, meta.name(obj))
    set_missing(part(obj, "status"), "phase", "Active")


def finalizer_problems(name: str, path: str) -> list[Cause]:
    """Causes in one of the finalizers of a namespace."""
    causes = fields.each(path, name, names.qualified_name(name))
    if "/" not in name and name not in _STANDARD_FINALIZERS:
        detail = "name is neither a standard finalizer name nor is it fully qualified"
        causes.append(fields.invalid(path, name, detail))
    return causes


def _validate(obj: Obj) -> list[Cause]:
    names_of_it = meta.spec(obj).get("finalizers") or ()
    return [c for name in names_of_it for c in finalizer_problems(name, "spec.finalizers")]


def _validate_update(new: Obj, old: Obj) -> list[Cause]:
    del new, old
    return []


def _validate_status(new: Obj, old: Obj) -> list[Cause]:
    del old
    phase = meta.status(new).get("phase") or ""
    is_ending = bool(meta.metadata(new).get("deletionTimestamp"))
    wanted, state = ("Terminating", "not empty") if is_ending else ("Active", "empty")
    if phase == wanted:
        return []
    detail = f"may only be '{wanted}' if `deletionTimestamp` is {state}"
    return [fields.invalid("status.Phase", phase, detail)]


class _NamespaceStrategy(Strategy):
    """The rules of namespaces."""

    tells_conflicts_as_the_store = True
    has_grace = False
    returns_deleted = True

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
    validate=_validate,
    validate_update=_validate_update,
    validates_update_alone=True,
    validate_status=_validate_status,
    validate_name=names.dns_label,
    field_value=_field_value,
    columns=_COLUMNS,
)
