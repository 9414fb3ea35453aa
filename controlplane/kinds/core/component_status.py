"""ComponentStatuses: the health of scheduler, controller manager and store, as old tools ask for it; not stored."""

from __future__ import annotations

from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.table.columns import NAME, Cell
from controlplane.api.table.standard import text

COMPONENT_STATUSES = Resource(
    "",
    "v1",
    "ComponentStatus",
    "componentstatuses",
    namespaced=False,
    short_names=("cs",),
    verbs=("get", "list"),
)


def _healthy(obj: Obj) -> Obj:
    for condition in obj.get("conditions") or ():
        if condition.get("type") == "Healthy":
            found: Obj = condition
            return found
    return {}


def _status(obj: Obj, now: float) -> str:
    condition = _healthy(obj)
    if not condition:
        return "Unknown"
    return "Healthy" if condition.get("status") == "True" else "Unhealthy"


def _said(key: str) -> Cell:
    return lambda obj, now: str(_healthy(obj).get(key) or "")


COLUMNS = (
    NAME,
    text("Status", _status, "Whether the part answers."),
    text("Message", _said("message"), "What it says."),
    text("Error", _said("error"), "Why it could not be asked."),
)

KIND = Kind(
    COMPONENT_STATUSES,
    columns=COLUMNS,
    deprecation="v1 ComponentStatus is deprecated in v1.19+",
)
