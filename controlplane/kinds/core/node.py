"""Nodes: machines that run pods."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names, quantity
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields

NODES = Resource(
    "",
    "v1",
    "Node",
    "nodes",
    namespaced=False,
    short_names=("no",),
    storage="minions",
    subresources=(STATUS,),
    field_labels=("spec.unschedulable",),
)


_ROLE_PREFIX = "node-role.kubernetes.io/"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _default(obj: Obj) -> None:
    part(obj, "spec")
    status = part(obj, "status")
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])


def _validate(obj: Obj) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[tuple[Any, Any]] = set()
    for index, taint in enumerate(meta.spec(obj).get("taints") or ()):
        where = f"spec.taints[{index}]"
        key = str(taint.get("key") or "")
        causes += fields.each(f"{where}.key", key, names.qualified_name(key))
        if taint.get("value"):
            problems = names.label_value(str(taint["value"]))
            causes += fields.each(f"{where}.value", taint["value"], problems)
        if not taint.get("effect"):
            causes.append(fields.required(f"{where}.effect"))
        else:
            causes += fields.enum(f"{where}.effect", taint["effect"], _EFFECTS)
        identity = (key, taint.get("effect"))
        if identity in seen:
            detail = "taints must be unique by key and effect pair"
            causes.append(
                Cause(
                    where, f"Duplicate value: {fields.show(taint)}: {detail}", "FieldValueDuplicate"
                )
            )
        seen.add(identity)
    for key in ("capacity", "allocatable"):
        for name, value in (meta.status(obj).get(key) or {}).items():
            if not quantity.is_valid(value):
                path = f"status.{key}[{name}]"
                causes.append(fields.invalid(path, value, quantity.PATTERN_MESSAGE))
    return causes


def _validate_update(new: Obj, old: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for key in ("podCIDR", "providerID"):
        before = meta.spec(old).get(key)
        if before and meta.spec(new).get(key) != before:
            detail = "node updates may not change " + key + ' except from "" to valid'
            causes.append(fields.forbidden(f"spec.{key}", detail))
    return causes


def _field_value(obj: Obj, label: str) -> str | None:
    if label == "spec.unschedulable":
        return "true" if meta.spec(obj).get("unschedulable") else "false"
    return None


def _node_status(obj: Obj, now: float) -> str:
    """Ready, NotReady or Unknown, and SchedulingDisabled when cordoned."""
    words = ["Unknown"]
    for condition in meta.status(obj).get("conditions") or ():
        if condition.get("type") == "Ready":
            words = ["Ready" if condition.get("status") == "True" else "NotReady"]
    if meta.spec(obj).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_roles(obj: Obj, now: float) -> str:
    """Roles from labels, sorted."""
    roles = set()
    for key, value in meta.labels(obj).items():
        if key.startswith(_ROLE_PREFIX) and len(key) > len(_ROLE_PREFIX):
            roles.add(key.removeprefix(_ROLE_PREFIX))
        elif key == "kubernetes.io/role" and value:
            roles.add(value)
    return ",".join(sorted(roles)) or cells.NONE


def _node_version(obj: Obj, now: float) -> str:
    """status.nodeInfo.kubeletVersion."""
    return str(meta.get_path(obj, "status.nodeInfo.kubeletVersion", ""))


def _node_address(obj: Obj, kind: str) -> str:
    for address in meta.status(obj).get("addresses") or ():
        if address.get("type") == kind:
            return str(address.get("address"))
    return cells.NONE


def _node_internal_ip(obj: Obj, now: float) -> str:
    """The InternalIP address."""
    return _node_address(obj, "InternalIP")


def _node_external_ip(obj: Obj, now: float) -> str:
    """The ExternalIP address."""
    return _node_address(obj, "ExternalIP")


def _node_info(key: str) -> cells.Cell:
    """A cell with a field of status.nodeInfo."""
    return lambda obj, now: str(meta.get_path(obj, "status.nodeInfo." + key) or "<unknown>")


_COLUMNS = (
    NAME,
    Column("Status", _node_status, description="Whether the node is ready."),
    Column("Roles", _node_roles, description="The roles of the node."),
    AGE,
    Column("Version", _node_version, description="Version of the node's agent."),
    Column("Internal-IP", _node_internal_ip, 1, description="Address in the cluster."),
    Column("External-IP", _node_external_ip, 1, description="Address outside."),
    Column("OS-Image", _node_info("osImage"), 1, description="Operating system."),
    Column("Kernel-Version", _node_info("kernelVersion"), 1, description="Kernel."),
    Column(
        "Container-Runtime",
        _node_info("containerRuntimeVersion"),
        1,
        description="Container runtime and its version.",
    ),
)


KIND = Kind(
    NODES,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    field_value=_field_value,
    columns=_COLUMNS,
)
