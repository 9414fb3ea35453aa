"""Rules of what a container mounts: folders and block devices of the pod's volumes."""

from __future__ import annotations

from controlplane.api.errors import Cause
from controlplane.api.meta import View
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.pod.rules import paths

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIONS = ("Disabled", "Enabled", "IfPossible")


def validate_mounts(container: View, path: str, volumes: dict[str, View]) -> list[Cause]:
    """Causes in volumeMounts and volumeDevices; `volumes` are the pod's good ones by name."""
    mounts, devices = container.get("volumeMounts") or [], container.get("volumeDevices") or []
    causes: list[Cause] = []
    seen: set[str] = set()
    device_names = {row.get("name") for row in devices}
    device_paths = {row.get("devicePath") for row in devices}
    for index, row in enumerate(mounts):
        where = f"{path}.volumeMounts[{index}]"
        name, target = row.get("name") or "", row.get("mountPath") or ""
        if not name:
            causes.append(fields.required(f"{where}.name"))
        if name not in volumes:
            causes.append(fields.not_found(f"{where}.name", name))
        if not target:
            causes.append(fields.required(f"{where}.mountPath"))
        if target in seen:
            causes.append(fields.invalid(f"{where}.mountPath", target, "must be unique"))
        seen.add(target)
        if name in device_names:
            detail = "must not already exist in volumeDevices"
            causes.append(fields.invalid(f"{where}.name", name, detail))
        if target in device_paths:
            detail = "must not already exist as a path in volumeDevices"
            causes.append(fields.invalid(f"{where}.mountPath", target, detail))
        causes += _mount_options(row, container, f"{path}.volumeMounts", where)
    return causes + _devices(container, path, volumes)


def _mount_options(row: View, container: View, path: str, where: str) -> list[Cause]:
    # Compat: upstream names the list, not the item, for most of these.
    causes: list[Cause] = []
    below, expression = row.get("subPath") or "", row.get("subPathExpr") or ""
    if below:
        causes += paths.descending(below, f"{path}.subPath")
    if expression:
        if below:
            detail = "subPathExpr and subPath are mutually exclusive"
            causes.append(fields.invalid(f"{where}.subPathExpr", expression, detail))
        causes += paths.descending(expression, f"{path}.subPathExpr")
    propagation, recursion = row.get("mountPropagation"), row.get("recursiveReadOnly")
    if propagation is not None:
        place = f"{path}.mountPropagation"
        causes += fields.enum(place, propagation, _PROPAGATIONS)
        is_privileged = (container.get("securityContext") or {}).get("privileged")
        if propagation == "Bidirectional" and not is_privileged:
            detail = "Bidirectional mount propagation is available only to privileged containers"
            causes.append(fields.forbidden(place, detail))
    if recursion is not None:
        place = f"{path}.recursiveReadOnly"
        causes += fields.enum(place, recursion, _RECURSIONS)
        if recursion in ("Enabled", "IfPossible"):
            if not row.get("readOnly"):
                detail = "may only be specified when readOnly is true"
                causes.append(fields.forbidden(place, detail))
            if propagation not in (None, "None"):
                detail = "may only be specified when mountPropagation is None or not specified"
                causes.append(fields.forbidden(place, detail))
    return causes


def _devices(container: View, path: str, volumes: dict[str, View]) -> list[Cause]:
    causes: list[Cause] = []
    mounts = container.get("volumeMounts") or []
    mounted = {row.get("name") for row in mounts}
    mount_paths = {row.get("mountPath") for row in mounts}
    seen_names: set[str] = set()
    seen_paths: set[str] = set()
    for index, row in enumerate(container.get("volumeDevices") or ()):
        where = f"{path}.volumeDevices[{index}]"
        name, target = row.get("name") or "", row.get("devicePath") or ""
        volume = volumes.get(name)
        if not name:
            causes.append(fields.required(f"{where}.name"))
        if name in seen_names:
            causes.append(fields.invalid(f"{where}.name", name, "must be unique"))
        if volume is None:
            causes.append(fields.not_found(f"{where}.name", name))
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            detail = (
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block "
                "mode"
            )
            causes.append(fields.invalid(f"{where}.name", name, detail))
        if not target:
            causes.append(fields.required(f"{where}.devicePath"))
        if target in seen_paths:
            causes.append(fields.invalid(f"{where}.devicePath", target, "must be unique"))
        if paths.no_backsteps(target, where):
            detail = "can not contain backsteps ('..')"
            causes.append(fields.invalid(f"{where}.devicePath", target, detail))
        else:
            seen_paths.add(target)
        if name in mounted:
            detail = "must not already exist in volumeMounts"
            causes.append(fields.invalid(f"{where}.name", name, detail))
        if target in mount_paths:
            detail = "must not already exist as a path in volumeMounts"
            causes.append(fields.invalid(f"{where}.devicePath", target, detail))
        if name:
            seen_names.add(name)
    return causes
