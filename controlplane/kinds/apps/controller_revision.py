"""ControllerRevisions: what a StatefulSet or DaemonSet was at some time, for rolling back.

Sources: pkg/apis/apps/validation/validation.go, pkg/registry/apps/controllerrevision.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import causes as fields

CONTROLLER_REVISIONS = Resource("apps", "v1", "ControllerRevision", "controllerrevisions")


def default(obj: Obj) -> None:
    """The revision is always written, even when it is 0."""
    if obj.get("revision") is None:
        obj["revision"] = 0


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new revision."""
    causes = fields.non_negative("revision", obj.get("revision"))
    data = obj.get("data")
    if data is None:
        causes.append(fields.required("data", "data is mandatory"))
    elif not isinstance(data, dict):
        causes.append(fields.required("data", "data must be a valid JSON object"))
    return causes


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed revision: what it holds never changes."""
    causes = fields.non_negative("revision", new.get("revision"))
    if new.get("data") != old.get("data"):
        causes.append(fields.immutable("data", new.get("data")))
    return causes


def _controller(obj: Obj, now: float) -> str:
    owner = meta.controller_of(obj)
    if owner is None:
        return "<none>"
    group = str(owner.get("apiVersion") or "").rpartition("/")[0]
    kind = str(owner.get("kind") or "")
    return f"{kind}.{group}/".lower().replace("./", "/") + str(owner.get("name"))


def _revision(obj: Obj, now: float) -> int:
    return int(obj.get("revision") or 0)


COLUMNS = (
    NAME,
    text("Controller", _controller, "Whose revision it is."),
    text("Revision", _revision, "The number of the revision."),
    AGE,
)

KIND = Kind(
    CONTROLLER_REVISIONS,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
)
