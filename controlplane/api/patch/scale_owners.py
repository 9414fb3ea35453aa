"""Who owns an object's replicas, told as owners of a Scale and taken back from there.

A Scale has of its object's managers those that own the number of replicas. What is written through the Scale changes
who they are; the object's record then loses the field where the Scale's no longer has the manager, and gains an entry
of the subresource for a new one.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.patch import managed_fields
from controlplane.api.patch.field_set import Path
from controlplane.api.patch.managed_fields import Manager

SCALE_VERSION = "autoscaling/v1"
_REPLICAS: Path = ("f:spec", "f:replicas")


def path_of(spec_replicas: str) -> Path:
    """The path of a dotted field: `spec.replicas`."""
    return tuple(f"f:{step}" for step in spec_replicas.split("."))


def to_scale(obj: Obj, scale: Obj, replicas: Path) -> None:
    """Set the managedFields of `scale` to those managers of `obj` that own its replicas."""
    owners = [
        Manager(one.name, one.operation, SCALE_VERSION, one.subresource, one.time, {_REPLICAS})
        for one in managed_fields.read(obj).values()
        if replicas in one.paths
    ]
    managed_fields.write(scale, owners)


def to_object(obj: Obj, scale: Obj, replicas: Path) -> None:
    """Set the managedFields of `obj`, in place, to what those of its Scale say of its replicas."""
    owners = {_key(one): one for one in managed_fields.read(scale).values()}
    result: list[Manager] = []
    for manager in managed_fields.read(obj).values():
        if replicas in manager.paths and _key(manager) not in owners:
            manager.paths = manager.paths - {replicas}
        owners.pop(_key(manager), None)
        result.append(manager)
    version = str(obj.get("apiVersion", ""))
    result += [
        Manager(one.name, one.operation, version, one.subresource, one.time, {replicas})
        for one in owners.values()
        if _REPLICAS in one.paths
    ]
    meta.ensure_metadata(obj)
    managed_fields.write(obj, result)


def _key(manager: Manager) -> tuple[str, str, str]:
    return manager.name, manager.operation, manager.subresource
