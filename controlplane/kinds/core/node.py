"""Nodes: machines that run pods."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.defaulting import part
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import PROXIED, STATUS, Resource, Subresource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import addresses
from controlplane.api.validation import causes as fields
from controlplane.api.validation.internal import Shape
from controlplane.kinds.core import resource_names

NODES = Resource(
    "",
    "v1",
    "Node",
    "nodes",
    namespaced=False,
    short_names=("no",),
    storage="minions",
    subresources=(Subresource("proxy", PROXIED, kind="NodeProxyOptions"), STATUS),
    field_labels=("spec.unschedulable",),
)

MACHINE_ADDRESS = "quorate.dev/machine-address"
"""Annotation of a node with a network of its own: its address on the machine, outside of that network."""

_ROLE_PREFIX = "node-role.kubernetes.io/"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_TAINT = Shape(
    (
        ("Key", "key", ""),
        ("Value", "value", ""),
        ("Effect", "effect", ""),
        ("TimeAdded", "timeAdded", None),
    )
)
_ADDRESS = Shape((("Type", "type", ""), ("Address", "address", "")))


def _default(obj: Obj) -> None:
    _pair_ranges(part(obj, "spec"))
    status = part(obj, "status")
    if status.get("capacity") and status.get("allocatable") is None:
        status["allocatable"] = dict(status["capacity"])


def _pair_ranges(spec: Obj) -> None:
    """podCIDR is the first of podCIDRs; where they differ, it is the one that counts."""
    first, ranges = spec.get("podCIDR"), spec.get("podCIDRs") or []
    if first and ranges[:1] != [first]:
        spec["podCIDRs"] = [first]
    elif ranges and not first:
        spec["podCIDR"] = ranges[0]


def _validate(obj: Obj) -> list[Cause]:
    causes = _taints(obj) + _resources(obj)
    ranges = meta.spec(obj).get("podCIDRs") or []
    for index, value in enumerate(ranges):
        causes += addresses.legacy_range(f"spec.podCIDRs[{index}]", value)
    found = [addresses.parse_range(value) for value in ranges]
    families = [one[0].version for one in found if one is not None]
    if len(ranges) > 1 and sorted(families) != [4, 6]:
        detail = "may specify no more than one CIDR for each IP family"
        causes.append(fields.invalid("spec.podCIDRs", ranges, detail))
    return causes


def _taints(obj: Obj) -> list[Cause]:
    """Causes in the taints; they are told under metadata, as upstream does."""
    causes: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(meta.spec(obj).get("taints") or ()):
        path = f"metadata.taints[{index}]"
        key, value = str(taint.get("key") or ""), str(taint.get("value") or "")
        effect = str(taint.get("effect") or "")
        causes += fields.qualified(f"{path}.key", key)
        problems = names.label_value(value)
        if problems:
            causes.append(fields.invalid(f"{path}.value", value, ";".join(problems)))
        causes += fields.one_of(f"{path}.effect", effect, _EFFECTS)
        if (key, effect) in seen:
            detail = "taints must be unique by key and effect pair"
            causes.append(fields.duplicate_because(path, _TAINT.of(taint), detail))
        seen.add((key, effect))
    return causes


def _resources(obj: Obj) -> list[Cause]:
    return [
        cause
        for key in ("capacity", "allocatable")
        for name, value in (meta.status(obj).get(key) or {}).items()
        for cause in resource_names.validate_amount(f"status.{key}.{name}", name, value)
    ]


def _validate_update(new: Obj, old: Obj) -> list[Cause]:
    causes = _resources(new)
    seen: list[Obj] = []
    for index, address in enumerate(meta.status(new).get("addresses") or ()):
        if address in seen:
            path = f"status.addresses[{index}]"
            causes.append(fields.duplicate(path, _ADDRESS.of(address)))
        seen.append(address)
    return causes + _kept(new, old) + _taints(new)


def _kept(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a change of what is set once."""
    before, after = meta.spec(old), meta.spec(new)
    causes: list[Cause] = []
    once = 'node updates may not change {} except from "" to valid'
    ranges, wanted = before.get("podCIDRs") or [], after.get("podCIDRs") or []
    if ranges and ranges != wanted:
        causes.append(fields.forbidden("spec.podCIDRs", once.format("podCIDR")))
    if before.get("providerID") and before["providerID"] != after.get("providerID"):
        causes.append(fields.forbidden("spec.providerID", once.format("providerID")))
    if (before.get("externalID") or "") != (after.get("externalID") or ""):
        causes.append(fields.forbidden("spec.externalID", "may not be updated"))
    return causes


class _NodeStrategy(Strategy):
    """The rules of nodes: an agent may register its node with the status it has."""

    def prepare_for_create(self, obj: Obj) -> None:
        """Keep the status; drop the configuration by way of the API, which is gone."""
        meta.spec(obj).pop("configSource", None)
        meta.status(obj).pop("config", None)

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        super().prepare_for_update(obj, live)
        if "configSource" not in meta.spec(live):
            meta.spec(obj).pop("configSource", None)


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


def _node_kernel(obj: Obj, now: float) -> str:
    """The kernel, and the architecture where it is known."""
    kernel = str(meta.get_path(obj, "status.nodeInfo.kernelVersion") or "<unknown>")
    architecture = meta.get_path(obj, "status.nodeInfo.architecture")
    return f"{kernel} ({architecture})" if architecture else kernel


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
    Column("Kernel-Version", _node_kernel, 1, description="Kernel."),
    Column(
        "Container-Runtime",
        _node_info("containerRuntimeVersion"),
        1,
        description="Container runtime and its version.",
    ),
)


KIND = Kind(
    NODES,
    strategy=_NodeStrategy,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_update,
    field_value=_field_value,
    columns=_COLUMNS,
)
