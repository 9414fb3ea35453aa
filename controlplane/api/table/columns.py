"""metav1.Table for `kubectl get`: upstream's columns (printers/internalversion), a row an object.

`to_table` is pure: the caller passes `now` (seconds since the epoch). Columns of priority 1 are
those of `-o wide`; the client hides them, so every column is always sent. Rows carry
PartialObjectMetadata, the whole object or nothing, as `includeObject` asks. How single cells are
made stands in table_cells.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from controlplane.api.resource import Resource
from controlplane.api.table import cells

Object = dict[str, Any]
Cell = Callable[[Object, float], Any]

INCLUDE_NONE = "None"
INCLUDE_METADATA = "Metadata"
INCLUDE_OBJECT = "Object"
INCLUDE_VALUES = (INCLUDE_NONE, INCLUDE_METADATA, INCLUDE_OBJECT)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: heading, how to fill it, and 1 for those of `-o wide`."""

    name: str
    cell: Cell
    priority: int = 0
    type: str = "string"
    format: str = ""
    description: str = ""

    def definition(self) -> Object:
        """The TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


_NAME = Column(
    "Name",
    cells.name,
    format="name",
    description="Name must be unique within a namespace.",
)
_AGE = Column("Age", cells.age, description="Time since the object was created.")

_WORKLOAD_WIDE = (
    Column("Containers", cells.container_names, 1, description="Names of the containers."),
    Column("Images", cells.container_images, 1, description="Images of the containers."),
    Column("Selector", cells.selector, 1, description="Label selector of the pods."),
)

COLUMNS: dict[tuple[str, str], tuple[Column, ...]] = {
    ("", "Pod"): (
        _NAME,
        Column("Ready", cells.pod_ready, description="Containers that are ready, of all."),
        Column("Status", cells.pod_status, description="The state the pod is in."),
        Column("Restarts", cells.pod_restarts, description="Restarts of the containers."),
        _AGE,
        Column("IP", cells.pod_ip, 1, description="IP address of the pod."),
        Column("Node", cells.pod_node, 1, description="The node the pod is bound to."),
        Column("Nominated Node", cells.pod_nominated, 1, description="Where preemption runs."),
        Column("Readiness Gates", cells.pod_gates, 1, description="Gates passed, of all."),
    ),
    ("", "Node"): (
        _NAME,
        Column("Status", cells.node_status, description="Whether the node is ready."),
        Column("Roles", cells.node_roles, description="The roles of the node."),
        _AGE,
        Column("Version", cells.node_version, description="Version of the node's agent."),
        Column("Internal-IP", cells.node_internal_ip, 1, description="Address in the cluster."),
        Column("External-IP", cells.node_external_ip, 1, description="Address outside."),
        Column("OS-Image", cells.node_info("osImage"), 1, description="Operating system."),
        Column("Kernel-Version", cells.node_info("kernelVersion"), 1, description="Kernel."),
        Column(
            "Container-Runtime",
            cells.node_info("containerRuntimeVersion"),
            1,
            description="Container runtime and its version.",
        ),
    ),
    ("", "Namespace"): (
        _NAME,
        Column("Status", cells.phase, description="Phase of the namespace."),
        _AGE,
    ),
    ("", "Event"): (
        Column("Last Seen", cells.event_last_seen, description="When it was seen last."),
        Column("Type", cells.field("type"), description="Normal or Warning."),
        Column("Reason", cells.field("reason"), description="Why, in one word."),
        Column("Object", cells.event_object, description="What it is about."),
        Column("Subobject", cells.field("involvedObject.fieldPath"), 1, description="Part."),
        Column("Source", cells.event_source, 1, description="Who reported it."),
        Column("Message", cells.event_message, description="What happened."),
        Column("First Seen", cells.event_first_seen, 1, description="When it was seen first."),
        Column("Count", cells.event_count, 1, description="How often."),
        Column("Name", cells.name, 1, format="name", description="Name of the event."),
    ),
    ("", "ConfigMap"): (
        _NAME,
        Column("Data", cells.config_map_data, type="integer", description="Number of keys."),
        _AGE,
    ),
    ("", "Secret"): (
        _NAME,
        Column("Type", cells.field("type"), description="What kind of secret it is."),
        Column("Data", cells.secret_data, type="integer", description="Number of keys."),
        _AGE,
    ),
    ("", "ServiceAccount"): (
        _NAME,
        Column("Secrets", cells.secret_count, type="integer", description="Number of secrets."),
        _AGE,
    ),
    ("", "Service"): (
        _NAME,
        Column("Type", cells.field("spec.type"), description="How the service is exposed."),
        Column("Cluster-IP", cells.service_cluster_ip, description="Address in the cluster."),
        Column("External-IP", cells.service_external_ip, description="Addresses outside."),
        Column("Port(s)", cells.service_ports, description="Ports of the service."),
        _AGE,
        Column("Selector", cells.service_selector, 1, description="Labels of the pods."),
    ),
    ("", "Endpoints"): (
        _NAME,
        Column("Endpoints", cells.endpoints, description="Addresses and ports."),
        _AGE,
    ),
    ("apps", "Deployment"): (
        _NAME,
        Column("Ready", cells.deployment_ready, description="Ready pods, of those wanted."),
        Column(
            "Up-to-date",
            cells.number("status.updatedReplicas"),
            type="integer",
            description="Pods of the newest template.",
        ),
        Column(
            "Available",
            cells.number("status.availableReplicas"),
            type="integer",
            description="Pods ready for long enough.",
        ),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    ("apps", "ReplicaSet"): (
        _NAME,
        Column("Desired", cells.number("spec.replicas"), type="integer", description="Wanted."),
        Column("Current", cells.number("status.replicas"), type="integer", description="Made."),
        Column(
            "Ready", cells.number("status.readyReplicas"), type="integer", description="Ready pods."
        ),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    ("coordination.k8s.io", "Lease"): (
        _NAME,
        Column("Holder", cells.field("spec.holderIdentity"), description="Who holds it."),
        _AGE,
    ),
}
DEFAULT_COLUMNS: tuple[Column, ...] = (
    _NAME,
    Column(
        "Created At",
        cells.field("metadata.creationTimestamp"),
        type="date",
        description="When the object was created.",
    ),
)


def columns_of(resource: Resource) -> tuple[Column, ...]:
    """The columns of a kind; name and creation time for kinds without their own."""
    return COLUMNS.get((resource.group, resource.kind), DEFAULT_COLUMNS)


def to_table(
    resource: Resource,
    objects: Iterable[Object],
    list_meta: Object | None = None,
    *,
    now: float,
    include_object: str = INCLUDE_METADATA,
    with_columns: bool = True,
    version: str = "v1",
) -> Object:
    """The objects as a metav1.Table.

    `list_meta` is the list's metadata (resourceVersion, continue). `with_columns=False` gives
    null column definitions, as a watch sends after its first event.
    """
    columns = columns_of(resource)
    rows = []
    for obj in objects:
        row: Object = {"cells": [column.cell(obj, now) for column in columns]}
        conditions = _row_conditions(resource, obj)
        if conditions:
            row["conditions"] = conditions
        if include_object == INCLUDE_OBJECT:
            row["object"] = obj
        elif include_object == INCLUDE_METADATA:
            row["object"] = partial_metadata(obj, version)
        rows.append(row)
    definitions = [column.definition() for column in columns] if with_columns else None
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": dict(list_meta or {}),
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _row_conditions(resource: Resource, obj: Object) -> list[Object]:
    """A finished pod's row is marked Completed, so that clients can leave it out."""
    if resource.kind != "Pod":
        return []
    phase = (obj.get("status") or {}).get("phase")
    if phase not in ("Succeeded", "Failed"):
        return []
    message = "The pod has completed successfully." if phase == "Succeeded" else "The pod failed."
    return [{"type": "Completed", "status": "True", "reason": phase, "message": message}]


def partial_metadata(obj: Object, version: str = "v1") -> Object:
    """The object's metadata alone, as PartialObjectMetadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj.get("metadata") or {},
    }


def partial_metadata_list(
    objects: Iterable[Object], list_meta: Object | None = None, version: str = "v1"
) -> Object:
    """Many objects' metadata, as PartialObjectMetadataList."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": dict(list_meta or {}),
        "items": [partial_metadata(obj, version) for obj in objects],
    }
