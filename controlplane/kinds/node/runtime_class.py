"""RuntimeClasses: which handler runs a pod's containers, and what that costs.

Source: pkg/apis/node/validation/validation.go.
"""

from __future__ import annotations

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields
from controlplane.api.validation.amounts import canonical_quantities
from controlplane.api.validation.internal import Shape
from controlplane.api.validation.metadata import validate_labels
from controlplane.kinds.core.node_selector import DEPRECATED_LABELS
from controlplane.kinds.core.pod.rules.resources import validate_resources
from controlplane.kinds.core.pod.rules.scheduling import validate_tolerations

RUNTIME_CLASSES = Resource("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", namespaced=False)

_TOLERATION = Shape(
    (
        ("Key", "key", ""),
        ("Operator", "operator", ""),
        ("Value", "value", ""),
        ("Effect", "effect", ""),
        ("TolerationSeconds", "tolerationSeconds", None),
    )
)


def default(obj: Obj) -> None:
    """Amounts in their shortest form."""
    canonical_quantities(obj.get("overhead"), "podFixed")


def validate(obj: Obj) -> list[Cause]:
    """Causes in a class."""
    handler = obj.get("handler") or ""
    if handler:
        causes = fields.each("handler", handler, names.dns_label(handler))
    else:
        causes = [fields.required("handler")]
    overhead = (obj.get("overhead") or {}).get("podFixed")
    if overhead:
        causes += validate_resources({"limits": overhead}, "overhead", frozenset())
    scheduling = obj.get("scheduling") or {}
    causes += validate_labels("scheduling.nodeSelector", scheduling.get("nodeSelector"))
    tolerations = scheduling.get("tolerations") or []
    causes += validate_tolerations(tolerations, "scheduling.tolerations")
    return causes + _unique(tolerations, "scheduling.tolerations")


def _unique(tolerations: list[Obj], path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen = set()
    for index, row in enumerate(tolerations):
        key = tuple(row.get(part) or "" for part in ("key", "operator", "value", "effect"))
        if key in seen:
            causes.append(fields.duplicate(f"{path}[{index}]", _TOLERATION.of(row)))
        seen.add(key)
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed class: its handler stays."""
    handler = new.get("handler") or ""
    if handler == (old.get("handler") or ""):
        return []
    return [fields.immutable("handler", handler)]


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """Labels that nodes will not have for ever."""
    del old
    selector = (obj.get("scheduling") or {}).get("nodeSelector") or {}
    return [
        f"scheduling.nodeSelector: {DEPRECATED_LABELS[key]}"
        for key in sorted(selector)
        if key in DEPRECATED_LABELS
    ]


COLUMNS = (NAME, text("Handler", cells.field("handler"), "What runs the containers."), AGE)


class RuntimeClassStrategy(Strategy):
    """The rules of classes."""

    allows_unconditional_update = False
    creates_on_update = True


KIND = Kind(
    RUNTIME_CLASSES,
    strategy=RuntimeClassStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=COLUMNS,
    warnings=warnings,
    metadata_rules=~MetadataRules.FINALIZERS,
)
