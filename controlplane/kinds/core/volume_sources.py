"""Sources of volumes that upstream validates alike in pods and in PersistentVolumes. Pure.

Source: pkg/apis/core/validation/validation.go (validateHostPathVolumeSource and its like).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api import names
from controlplane.api.errors import Cause
from controlplane.api.meta import View
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.pod.rules import paths

_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_PARTITION = "must be between 1 and 255, inclusive"

Rule = Callable[[View, str], list[Cause]]


def needs(*keys: str) -> Rule:
    """A rule that these fields are there."""
    return lambda source, path: [
        fields.required(f"{path}.{key}") for key in keys if not source.get(key)
    ]


def host_path(source: View, path: str) -> list[Cause]:
    """A path of the node."""
    target = source.get("path")
    if not target:
        return [fields.required(f"{path}.path")]
    causes = paths.no_backsteps(target, f"{path}.path")
    kind = source.get("type")
    if kind is not None and kind not in _HOST_PATH_TYPES:
        causes.append(fields.not_supported(f"{path}.type", kind, _HOST_PATH_TYPES))
    return causes


def partitioned(key: str) -> Rule:
    """A rule of a numbered partition of a disk that one field names."""

    def rule(source: View, path: str) -> list[Cause]:
        causes = needs(key)(source, path)
        partition = source.get("partition") or 0
        if not 0 <= partition <= 255:
            causes.append(fields.invalid(f"{path}.partition", partition, _PARTITION))
        return causes

    return rule


def nfs(source: View, path: str) -> list[Cause]:
    """A directory of an NFS server."""
    causes = needs("server", "path")(source, path)
    target = source.get("path") or ""
    if not target.startswith("/"):
        causes.append(fields.invalid(f"{path}.path", target, "must be an absolute path"))
    return causes


def fibre_channel(source: View, path: str) -> list[Cause]:
    """Causes in a Fibre Channel source."""
    targets, ids = source.get("targetWWNs") or [], source.get("wwids") or []
    where = f"{path}.targetWWNs"
    if not targets and not ids:
        detail = "must specify either targetWWNs or wwids, but not both"
        return [fields.required(where, detail)]
    causes = []
    if targets and ids:
        detail = "targetWWNs and wwids can not be specified simultaneously"
        causes.append(fields.invalid(where, targets, detail))
    if targets:
        if source.get("lun") is None:
            detail = "lun is required if targetWWNs is specified"
            causes.append(fields.required(f"{path}.lun", detail))
        else:
            causes += fields.in_range(f"{path}.lun", source["lun"], 0, 255)
    return causes


def flocker(source: View, path: str) -> list[Cause]:
    """A Flocker dataset, by name or by uuid."""
    name, uuid = source.get("datasetName") or "", source.get("datasetUUID") or ""
    causes = []
    if not name and not uuid:
        causes.append(fields.required(path, "one of datasetName and datasetUUID is required"))
    if name and uuid:
        detail = "datasetName and datasetUUID can not be specified simultaneously"
        causes.append(fields.invalid(path, "resource", detail))
    if "/" in name:
        causes.append(fields.invalid(f"{path}.datasetName", name, "must not contain '/'"))
    return causes


def flex(source: View, path: str) -> list[Cause]:
    """Causes in a FlexVolume source."""
    causes = needs("driver")(source, path)
    for key in source.get("options") or ():
        host = "." + key.partition("/")[0].lower()
        if host.endswith((".kubernetes.io", ".k8s.io")):
            detail = "kubernetes.io and k8s.io namespaces are reserved"
            causes.append(fields.invalid(f"{path}.options[{key}]", key, detail))
    return causes


def azure_disk(source: View, path: str) -> list[Cause]:
    """Causes in an Azure disk."""
    causes = needs("diskName", "diskURI")(source, path)
    modes, kinds = ("None", "ReadOnly", "ReadWrite"), ("Dedicated", "Managed", "Shared")
    if source.get("cachingMode") is not None:
        causes += fields.enum(f"{path}.cachingMode", source["cachingMode"], modes)
    kind, uri = source.get("kind"), source.get("diskURI") or ""
    if kind is not None:
        causes += fields.enum(f"{path}.kind", kind, kinds)
        wanted, example = (
            (
                "/subscriptions/",
                "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/"
                "disks/{disk-id}",
            )
            if kind == "Managed"
            else (
                "https://",
                "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
            )
        )
        if not uri.startswith(wanted):
            causes.append(fields.not_supported(f"{path}.diskURI", uri, (example,)))
    return causes


def driver_name(name: Any, path: str) -> list[Cause]:
    """Causes in the name of a CSI driver."""
    if not name:
        return [fields.required(path)]
    causes = [fields.too_long(path, 63)] if len(name) > 63 else []
    return causes + fields.each(path, name, names.dns_subdomain(name.lower()))
