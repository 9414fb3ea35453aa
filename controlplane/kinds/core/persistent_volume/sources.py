"""What a persistent volume is made of: the rules and defaults of each source.

Most of these have no driver any more; their objects are stored and checked all the same, as upstream does.
Source: pkg/apis/core/validation/validation.go, pkg/apis/core/v1/zz_generated.defaults.go.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable

from controlplane.api import names
from controlplane.api.defaulting import set_missing
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields
from controlplane.kinds.core import volume_sources
from controlplane.kinds.core.pod.rules import paths

Rule = Callable[[str, Obj, str], list[Cause]]

_INITIATORS = {
    "iqn": re.compile(r"iqn\.[0-9]{4}-[0-9]{2}\.([A-Za-z0-9.-]+)(:[^,;*&$|\s]+)$"),
    "eui": re.compile(r"^eui.[A-Za-z0-9]{16}$"),
    "naa": re.compile(r"^naa.[A-Za-z0-9]{32}$"),
}
_BYTE = "must be between 0 and 255, inclusive"
_REGISTRY = "must be a host:port pair or multiple pairs separated by commas"

DEFAULTS: dict[str, Obj] = {
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}
_DISK_DEFAULTS = {
    "cachingMode": "ReadWrite",
    "kind": "Shared",
    "fsType": "ext4",
    "readOnly": False,
}


def default_sources(spec: Obj) -> None:
    """Fill in what was left out of the source, in place."""
    for key, values in DEFAULTS.items():
        if isinstance(spec.get(key), dict):
            for name, value in values.items():
                set_missing(spec[key], name, value)
    disk = spec.get("azureDisk")
    if isinstance(disk, dict):
        for name, value in _DISK_DEFAULTS.items():
            if disk.get(name) is None:
                disk[name] = value
    host_path = spec.get("hostPath")
    if isinstance(host_path, dict) and host_path.get("type") is None:
        host_path["type"] = ""


def _as_in_pods(rule: volume_sources.Rule) -> Rule:
    return lambda path, source, name: rule(source, path)


def _needs(*keys: str) -> Rule:
    return _as_in_pods(volume_sources.needs(*keys))


def _wanted(path: str, source: Obj, keys: Iterable[str]) -> list[Cause]:
    return [fields.required(f"{path}.{key}") for key in keys if not source.get(key)]


def _glusterfs(path: str, source: Obj, name: str) -> list[Cause]:
    causes = _wanted(path, source, ("endpoints", "path"))
    namespace, where = source.get("endpointsNamespace"), f"{path}.endpointsNamespace"
    if namespace == "":
        detail = "if the endpointnamespace is set, it must be a valid namespace name"
        causes.append(fields.invalid(where, namespace, detail))
    elif namespace is not None:
        causes += fields.each(where, namespace, names.dns_label(namespace))
    return causes


def _quobyte(path: str, source: Obj, name: str) -> list[Cause]:
    causes: list[Cause] = []
    registry = source.get("registry") or ""
    if not registry:
        causes.append(fields.required(f"{path}.registry", _REGISTRY))
    elif len(source.get("tenant") or "") >= 65:
        detail = "must be a UUID and may not exceed a length of 64 characters"
        causes.append(fields.required(f"{path}.tenant", detail))
    else:
        causes += [
            fields.invalid(f"{path}.registry", registry, _REGISTRY)
            for pair in registry.split(",")
            if pair.count(":") != 1
        ]
    return causes + _wanted(path, source, ("volume",))


def _iscsi(path: str, source: Obj, name: str) -> list[Cause]:
    causes = _wanted(path, source, ("targetPortal",))
    portal, initiator = source.get("targetPortal") or "", source.get("initiatorName")
    if initiator is not None and len(f"{name}:{portal}") > 64:
        detail = (
            "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
            "iscsi.initiatorName is specified."
        )
        causes.append(fields.invalid(f"{path}.targetportal", portal, detail))
    target = source.get("iqn") or ""
    if not target:
        causes.append(fields.required(f"{path}.iqn"))
    elif not _is_initiator(target):
        causes.append(fields.invalid(f"{path}.iqn", target, "must be valid format"))
    lun = source.get("lun") or 0
    if not 0 <= lun <= 255:
        causes.append(fields.invalid(f"{path}.lun", lun, _BYTE))
    secret = source.get("secretRef")
    has_chap = source.get("chapAuthDiscovery") or source.get("chapAuthSession")
    if has_chap and secret is None:
        causes.append(fields.required(f"{path}.secretRef"))
    if secret is not None and not secret.get("name"):
        causes.append(fields.required(f"{path}.secretRef.name"))
    if initiator is not None and not _is_initiator(initiator):
        causes.append(fields.invalid(f"{path}.initiatorname", initiator, "must be valid format"))
    return causes


def _is_initiator(text: str) -> bool:
    pattern = _INITIATORS.get(text[:3])
    return pattern is not None and pattern.search(text) is not None


def _azure_file(path: str, source: Obj, name: str) -> list[Cause]:
    causes = _wanted(path, source, ("secretName", "shareName"))
    if source.get("secretNamespace") == "":
        causes.append(fields.required(f"{path}.secretNamespace"))
    return causes


def _local(path: str, source: Obj, name: str) -> list[Cause]:
    if not source.get("path"):
        return [fields.required(f"{path}.path")]
    return paths.no_backsteps(source["path"], f"{path}.path")


def _storage_os(path: str, source: Obj, name: str) -> list[Cause]:
    causes = _wanted(path, source, ("volumeName",))
    for key in ("volumeName", "volumeNamespace"):
        if source.get(key):
            causes += fields.each(f"{path}.{key}", source[key], names.dns_label(source[key]))
    return causes + _named_secret(path, source)


def _cinder(path: str, source: Obj, name: str) -> list[Cause]:
    return _wanted(path, source, ("volumeID",)) + _named_secret(path, source)


def _named_secret(path: str, source: Obj) -> list[Cause]:
    secret = source.get("secretRef")
    return [] if secret is None else _wanted(f"{path}.secretRef", secret, ("name", "namespace"))


def _csi(path: str, source: Obj, name: str) -> list[Cause]:
    causes = volume_sources.driver_name(source.get("driver"), f"{path}.driver")
    causes += _wanted(path, source, ("volumeHandle",))
    for key in (
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ):
        if source.get(key) is not None:
            causes += _secret(f"{path}.{key}", source[key])
    return causes


def _secret(path: str, reference: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for key, rule in (("name", names.dns_subdomain), ("namespace", names.dns_label)):
        value = reference.get(key)
        if value:
            causes += fields.each(f"{path}.{key}", value, rule(value))
        else:
            causes.append(fields.required(f"{path}.{key}"))
    return causes


# Field, path in causes, rule; in the order in which upstream looks. A second source is refused by its field.
RULES: tuple[tuple[str, str, Rule], ...] = (
    ("hostPath", "hostPath", _as_in_pods(volume_sources.host_path)),
    ("gcePersistentDisk", "persistentDisk", _as_in_pods(volume_sources.partitioned("pdName"))),
    (
        "awsElasticBlockStore",
        "awsElasticBlockStore",
        _as_in_pods(volume_sources.partitioned("volumeID")),
    ),
    ("glusterfs", "glusterfs", _glusterfs),
    ("flocker", "flocker", _as_in_pods(volume_sources.flocker)),
    ("nfs", "nfs", _as_in_pods(volume_sources.nfs)),
    ("rbd", "rbd", _needs("monitors", "image")),
    ("quobyte", "quobyte", _quobyte),
    ("cephfs", "cephfs", _needs("monitors")),
    ("iscsi", "iscsi", _iscsi),
    ("cinder", "cinder", _cinder),
    ("fc", "fc", _as_in_pods(volume_sources.fibre_channel)),
    ("flexVolume", "flexVolume", _as_in_pods(volume_sources.flex)),
    ("azureFile", "azureFile", _azure_file),
    ("vsphereVolume", "vsphereVolume", _needs("volumePath")),
    ("photonPersistentDisk", "photonPersistentDisk", _needs("pdID")),
    ("portworxVolume", "portworxVolume", _needs("volumeID")),
    ("azureDisk", "azureDisk", _as_in_pods(volume_sources.azure_disk)),
    ("scaleIO", "scaleIO", _needs("gateway", "system", "volumeName")),
    ("local", "local", _local),
    ("storageos", "storageos", _storage_os),
    ("csi", "csi", _csi),
)
FIELDS = tuple(field for field, _, _ in RULES)


def validate_sources(path: str, spec: Obj, name: str) -> list[Cause]:
    """Causes in the source of a volume: there is one, and it is whole."""
    causes: list[Cause] = []
    count = 0
    for field, shown, rule in RULES:
        source = spec.get(field)
        if source is None:
            continue
        # Compat: upstream never counts flexVolume as the second one.
        if count and field != "flexVolume":
            where = "cephFS" if field == "cephfs" else field
            detail = "may not specify more than 1 volume type"
            causes.append(fields.forbidden(f"{path}.{where}", detail))
            continue
        count += 1
        causes += rule(f"{path}.{shown}", source, name)
        if field == "local" and spec.get("nodeAffinity") is None:
            detail = "Local volume requires node affinity"
            causes.append(fields.required(f"{path}.nodeAffinity", detail))
    if not count:
        causes.append(fields.required(path, "must specify a volume type"))
    host_path = (spec.get("hostPath") or {}).get("path")
    is_root = host_path is not None and posixpath.normpath(host_path) in ("/", "//")
    if is_root and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        causes.append(fields.forbidden(f"{path}.persistentVolumeReclaimPolicy", detail))
    return causes
