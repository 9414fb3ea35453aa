"""Rules of volumes: one source each, and what each source needs.

A rule gets the source, its path and the volume's name. The order of the table is upstream's: of two sources the first
one counts, and the second is refused.
"""

from __future__ import annotations

import re
from typing import Any

from controlplane.api import meta, names, quantity
from controlplane.api.errors import Cause
from controlplane.api.meta import View
from controlplane.api.validation import causes as fields
from controlplane.api.validation.metadata import validate_annotations, validate_labels
from controlplane.kinds.core import persistent_volume_claim, volume_sources
from controlplane.kinds.core.pod.rules import downward, paths
from controlplane.kinds.core.pod.rules.projected import validate_projected

_INITIATORS = {
    "iqn": re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9.-]+)(:[^,;*&$|\s]+)$"),
    "eui": re.compile(r"^eui.[A-Za-z0-9]{16}$"),
    "naa": re.compile(r"^naa.[A-Za-z0-9]{32}$"),
}
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")


def validate_volumes(rows: Any, path: str, pod: View | None) -> tuple[list[Cause], dict[str, View]]:
    """(causes in `volumes`, the good volumes by name); `pod` is the pod's metadata, None in a template."""
    causes: list[Cause] = []
    known: dict[str, View] = {}
    pod_name = (pod or {}).get("name") or ""
    made = {f"{pod_name}-{row.get('name')}" for row in rows or () if row.get("ephemeral")}
    for index, row in enumerate(rows or ()):
        where = f"{path}[{index}]"
        found = _source(row, where, pod_name, is_pod=pod is not None)
        name = row.get("name") or ""
        if not name:
            found.append(fields.required(f"{where}.name"))
        else:
            found += fields.each(f"{where}.name", name, names.dns_label(name))
        if name in known:
            found.append(fields.duplicate(f"{where}.name", name))
        if not found:
            known[name] = row
        causes += found
        claim = (row.get("persistentVolumeClaim") or {}).get("claimName")
        if pod_name and claim in made:
            detail = "must not reference a PVC that gets created for an ephemeral volume"
            causes.append(fields.invalid(f"{where}.persistentVolumeClaim.claimName", claim, detail))
    return causes, known


def _source(row: View, path: str, pod_name: str, *, is_pod: bool) -> list[Cause]:
    causes: list[Cause] = []
    has_source = False
    for key, (rule, place) in _SOURCES.items():
        source = row.get(key)
        if source is None:
            continue
        if has_source:
            detail = "may not specify more than 1 volume type"
            causes.append(fields.forbidden(f"{path}.{_REFUSED_AS.get(key, key)}", detail))
            continue
        has_source = True
        causes += rule(source, f"{path}.{place}")
        if key == "iscsi" and source.get("initiatorName") is not None:
            causes += _portal_length(row.get("name") or "", source, path)
        if key == "image" and is_pod and not source.get("reference"):
            causes.insert(0, fields.required(f"{path}.image.reference"))
        if key == "ephemeral" and pod_name and row.get("name"):
            name = f"{pod_name}-{row['name']}"
            problems = [f'PVC name "{name}": {text}' for text in names.dns_subdomain(name)]
            causes += fields.each(f"{path}.name", row["name"], problems)
    if not has_source:
        causes.append(fields.required(path, "must specify a volume type"))
    return causes


def _portal_length(name: str, source: View, path: str) -> list[Cause]:
    if len(f"{name}:{source.get('targetPortal') or ''}") <= 64:
        return []
    detail = (
        "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
        "iscsi.initiatorName is specified."
    )
    return [fields.invalid(f"{path}.name", name, detail)]


def _empty_dir(source: View, path: str) -> list[Cause]:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.is_valid(limit) and quantity.parse(limit) < 0:
        detail = "SizeLimit field must be a valid resource quantity"
        return [fields.forbidden(f"{path}.sizeLimit", detail)]
    return []


def _git_repo(source: View, path: str) -> list[Cause]:
    causes = volume_sources.needs("repository")(source, path)
    return causes + paths.descending(source.get("directory") or "", f"{path}.directory")


def _secret(source: View, path: str) -> list[Cause]:
    return volume_sources.needs("secretName")(source, path) + _files(source, path)


def _config_map(source: View, path: str) -> list[Cause]:
    return volume_sources.needs("name")(source, path) + _files(source, path)


def _files(source: View, path: str) -> list[Cause]:
    causes = paths.file_mode(source.get("defaultMode"), f"{path}.defaultMode")
    for index, row in enumerate(source.get("items") or ()):
        causes += paths.key_to_path(row, f"{path}.items[{index}]")
    return causes


def validate_iscsi(source: View, path: str) -> list[Cause]:
    """Causes in an iSCSI source, of a pod's volume or of a PersistentVolume."""
    causes = volume_sources.needs("targetPortal", "iqn")(source, path)
    if source.get("iqn"):
        causes += _initiator(source["iqn"], f"{path}.iqn")
    lun = source.get("lun") or 0
    causes += fields.in_range(f"{path}.lun", lun, 0, 255)
    authenticates = source.get("chapAuthDiscovery") or source.get("chapAuthSession")
    if authenticates and source.get("secretRef") is None:
        causes.append(fields.required(f"{path}.secretRef"))
    if source.get("initiatorName") is not None:
        causes += _initiator(source["initiatorName"], f"{path}.initiatorname")
    return causes


def _initiator(text: str, path: str) -> list[Cause]:
    pattern = _INITIATORS.get(text[:3])
    if pattern is None:
        detail = "must be valid format starting with iqn, eui, or naa"
        return [fields.invalid(path, text, detail)]
    return [] if pattern.search(text) else [fields.invalid(path, text, "must be valid format")]


def _quobyte(source: View, path: str) -> list[Cause]:
    causes = []
    registry = source.get("registry") or ""
    detail = "must be a host:port pair or multiple pairs separated by commas"
    if not registry:
        causes.append(fields.required(f"{path}.registry", detail))
    elif len(source.get("tenant") or "") >= 65:
        length = "must be a UUID and may not exceed a length of 64 characters"
        causes.append(fields.required(f"{path}.tenant", length))
    else:
        bad = [
            pair for pair in registry.split(",") if not re.fullmatch(r"(\[.*\]|[^:]*):[^:]*", pair)
        ]
        causes += [fields.invalid(f"{path}.registry", registry, detail) for _ in bad]
    return causes + volume_sources.needs("volume")(source, path)


def _cinder(source: View, path: str) -> list[Cause]:
    return volume_sources.needs("volumeID")(source, path) + _secret_name(source, path)


def _secret_name(source: View, path: str) -> list[Cause]:
    reference = source.get("secretRef")
    if reference is not None and not reference.get("name"):
        return [fields.required(f"{path}.secretRef.name")]
    return []


def validate_storageos(source: View, path: str) -> list[Cause]:
    """Causes in a StorageOS source."""
    causes = []
    name, namespace = source.get("volumeName"), source.get("volumeNamespace")
    if not name:
        causes.append(fields.required(f"{path}.volumeName"))
    else:
        causes += fields.each(f"{path}.volumeName", name, names.dns_label(name))
    if namespace:
        causes += fields.each(f"{path}.volumeNamespace", namespace, names.dns_label(namespace))
    return causes + _secret_name(source, path)


def _csi(source: View, path: str) -> list[Cause]:
    causes = volume_sources.driver_name(source.get("driver"), f"{path}.driver")
    reference = source.get("nodePublishSecretRef")
    if reference is not None:
        name = reference.get("name")
        if not name:
            causes.append(fields.required(f"{path}.nodePublishSecretRef.name"))
        else:
            causes += fields.each(f"{path}.name", name, names.dns_subdomain(name))
    return causes


def _ephemeral(source: View, path: str) -> list[Cause]:
    template, where = source.get("volumeClaimTemplate"), f"{path}.volumeClaimTemplate"
    if template is None:
        return [fields.required(where)]
    given = meta.metadata(dict(template))
    causes = validate_annotations(f"{where}.metadata.annotations", given.get("annotations"))
    causes += validate_labels(f"{where}.metadata.labels", given.get("labels"))
    for key in given:
        if key not in ("annotations", "labels", "creationTimestamp"):
            detail = "cannot be set"
            causes.append(fields.forbidden(f"{where}.metadata.{key}", detail))
    return causes + persistent_volume_claim.validate_spec(
        template.get("spec") or {}, f"{where}.spec"
    )


def _image(source: View, path: str) -> list[Cause]:
    return fields.one_of(f"{path}.pullPolicy", source.get("pullPolicy"), _PULL_POLICIES)


# source -> (rule, the path under which its causes stand). Compat: three paths differ from the field.
_SOURCES: dict[str, tuple[volume_sources.Rule, str]] = {
    "emptyDir": (_empty_dir, "emptyDir"),
    "hostPath": (volume_sources.host_path, "hostPath"),
    "gitRepo": (_git_repo, "gitRepo"),
    "gcePersistentDisk": (volume_sources.partitioned("pdName"), "persistentDisk"),
    "awsElasticBlockStore": (volume_sources.partitioned("volumeID"), "awsElasticBlockStore"),
    "secret": (_secret, "secret"),
    "nfs": (volume_sources.nfs, "nfs"),
    "iscsi": (validate_iscsi, "iscsi"),
    "glusterfs": (volume_sources.needs("endpoints", "path"), "glusterfs"),
    "flocker": (volume_sources.flocker, "flocker"),
    "persistentVolumeClaim": (volume_sources.needs("claimName"), "persistentVolumeClaim"),
    "rbd": (volume_sources.needs("monitors", "image"), "rbd"),
    "cinder": (_cinder, "cinder"),
    "cephfs": (volume_sources.needs("monitors"), "cephfs"),
    "quobyte": (_quobyte, "quobyte"),
    "downwardAPI": (downward.validate_downward, "downwardAPI"),
    "fc": (volume_sources.fibre_channel, "fc"),
    "flexVolume": (volume_sources.flex, "flexVolume"),
    "configMap": (_config_map, "configMap"),
    "azureFile": (volume_sources.needs("secretName", "shareName"), "azureFile"),
    "vsphereVolume": (volume_sources.needs("volumePath"), "vsphereVolume"),
    "photonPersistentDisk": (volume_sources.needs("pdID"), "photonPersistentDisk"),
    "portworxVolume": (volume_sources.needs("volumeID"), "portworxVolume"),
    "azureDisk": (volume_sources.azure_disk, "azureDisk"),
    "storageos": (validate_storageos, "storageos"),
    "projected": (validate_projected, "projected"),
    "scaleIO": (volume_sources.needs("gateway", "system", "volumeName"), "scaleIO"),
    "csi": (_csi, "csi"),
    "ephemeral": (_ephemeral, "ephemeral"),
    "image": (_image, "image"),
}
_REFUSED_AS = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
