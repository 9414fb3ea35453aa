"""Rules of environment variables, and of what the downward API can tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from controlplane.api import names, quantity
from controlplane.api.errors import Cause
from controlplane.api.meta import View
from controlplane.api.validation import causes as fields
from controlplane.kinds.core.pod.rules import paths

_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_FIELDS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
# What a field reference may name at all (the conversion of upstream's downward API labels).
_KNOWN_FIELDS = frozenset(
    (*_ENV_FIELDS, *VOLUME_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase")
)
_RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_HUGE_PAGES = ("requests.hugepages-", "limits.hugepages-")
_SIZES = (
    "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
)  # fmt: skip
_SUBSCRIPTED = re.compile(r"(?P<path>.+)\['(?P<key>.*)'\]", re.DOTALL)


def validate_env(rows: Any, path: str) -> list[Cause]:
    """Causes in a container's `env`."""
    causes: list[Cause] = []
    for index, row in enumerate(rows or ()):
        where = f"{path}[{index}]"
        if not row.get("name"):
            causes.append(fields.required(f"{where}.name"))
        else:
            causes += fields.each(f"{where}.name", row["name"], names.env_name(row["name"]))
        if row.get("valueFrom") is not None:
            causes += _source(row["valueFrom"], bool(row.get("value")), f"{where}.valueFrom")
    return causes


def _source(source: View, has_value: bool, path: str) -> list[Cause]:
    causes: list[Cause] = []
    rules = {
        "fieldRef": lambda ref, where: field_reference(ref, _ENV_FIELDS, where),
        "resourceFieldRef": lambda ref, where: resource_reference(
            ref, where, needs_container=False
        ),
        "configMapKeyRef": _key_reference,
        "secretKeyRef": _key_reference,
        "fileKeyRef": _file_reference,
    }
    chosen = [key for key in rules if source.get(key) is not None]
    for key in chosen:
        causes += rules[key](source[key], f"{path}.{key}")
    detail = ""
    if not chosen:
        detail = (
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
            "`secretKeyRef` or `fileKeyRef`"
        )
    elif has_value:
        detail = "may not be specified when `value` is not empty"
    elif len(chosen) > 1:
        detail = "may not have more than one field specified at a time"
    return [*causes, fields.invalid(path, "", detail)] if detail else causes


def field_reference(reference: View, allowed: Sequence[str], path: str) -> list[Cause]:
    """Causes in an ObjectFieldSelector; `allowed` are the paths that may be told."""
    version, field = reference.get("apiVersion"), reference.get("fieldPath")
    if not version:
        return [fields.required(f"{path}.apiVersion")]
    if not field:
        return [fields.required(f"{path}.fieldPath")]
    found = _SUBSCRIPTED.fullmatch(field)
    problem = ""
    if version != "v1":
        problem = f"unsupported pod version: {version}"
    elif found is not None:
        if found["path"] not in ("metadata.annotations", "metadata.labels"):
            problem = f"field label does not support subscript: {field}"
    elif field == "spec.host":
        field = "spec.nodeName"
    elif field not in _KNOWN_FIELDS:
        problem = f"field label not supported: {field}"
    if problem:
        detail = f"error converting fieldPath: {problem}"
        return [fields.invalid(f"{path}.fieldPath", field, detail)]
    if found is not None:
        key = found["key"]
        key = key.lower() if found["path"] == "metadata.annotations" else key
        return fields.each(path, key, names.qualified_name(key))
    if field not in allowed:
        return [fields.not_supported(f"{path}.fieldPath", field, sorted(allowed))]
    return []


def resource_reference(reference: View, path: str, *, needs_container: bool) -> list[Cause]:
    """Causes in a ResourceFieldSelector; in volumes it names a container."""
    causes = []
    resource = reference.get("resource") or ""
    if needs_container and not reference.get("containerName"):
        causes.append(fields.required(f"{path}.containerName"))
    elif not resource:
        causes.append(fields.required(f"{path}.resource"))
    elif resource not in _RESOURCES and not resource.startswith(_HUGE_PAGES):
        causes.append(fields.not_supported(f"{path}.resource", resource, _RESOURCES))
    return causes + _divisor(resource, reference.get("divisor"), f"{path}.divisor")


def _divisor(resource: str, divisor: Any, path: str) -> list[Cause]:
    if divisor is None or not quantity.is_valid(divisor) or quantity.parse(divisor) == 0:
        return []
    shown = quantity.canonical(divisor)
    if resource in ("limits.cpu", "requests.cpu"):
        if shown not in ("1m", "1"):
            detail = "only divisor's values 1m and 1 are supported with the cpu resource"
            return [fields.invalid(path, resource, detail)]
        return []
    noun = ""
    if resource in ("limits.memory", "requests.memory"):
        noun = "memory"
    elif resource in ("limits.ephemeral-storage", "requests.ephemeral-storage"):
        noun = "local ephemeral storage"
    elif resource.startswith(_HUGE_PAGES):
        noun = "hugepages"
    if noun and shown not in _SIZES:
        sizes = ", ".join(_SIZES)
        detail = f"only divisor's values {sizes} are supported with the {noun} resource"
        return [fields.invalid(path, resource, detail)]
    return []


def _key_reference(reference: View, path: str) -> list[Cause]:
    name, key = reference.get("name") or "", reference.get("key")
    causes = fields.each(f"{path}.name", name, names.dns_subdomain(name))
    if not key:
        causes.append(fields.required(f"{path}.key"))
    else:
        causes += fields.each(f"{path}.key", key, names.config_key(key))
    return causes


def _file_reference(reference: View, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for name, rule in (("key", names.env_name), ("volumeName", names.dns_label)):
        value = reference.get(name)
        if not value:
            causes.append(fields.required(f"{path}.{name}"))
        else:
            causes += fields.each(f"{path}.{name}", value, rule(value))
    if not reference.get("path"):
        causes.append(fields.required(f"{path}.path"))
    else:
        causes += paths.no_backsteps(reference["path"], f"{path}.path")
    return causes


def validate_env_from(rows: Any, path: str) -> list[Cause]:
    """Causes in a container's `envFrom`."""
    causes: list[Cause] = []
    for index, row in enumerate(rows or ()):
        where = f"{path}[{index}]"
        prefix = row.get("prefix")
        if prefix:
            causes += fields.each(f"{where}.prefix", prefix, names.env_name(prefix))
        chosen = [key for key in ("configMapRef", "secretRef") if row.get(key) is not None]
        for key in chosen:
            name = row[key].get("name")
            if not name:
                causes.append(fields.required(f"{where}.{key}.name"))
            else:
                # Compat: upstream takes the name for a prefix here.
                problems = names.dns_subdomain(names.as_prefix(name))
                causes += fields.each(f"{where}.{key}.name", name, problems)
        # Compat: upstream names the whole list here.
        if not chosen:
            detail = "must specify one of: `configMapRef` or `secretRef`"
            causes.append(fields.invalid(path, "", detail))
        elif len(chosen) > 1:
            detail = "may not have more than one field specified at a time"
            causes.append(fields.invalid(path, "", detail))
    return causes


def validate_file_volumes(spec: View, path: str) -> list[Cause]:
    """Variables that are read from files name an emptyDir volume of the pod."""
    volumes = {row.get("name"): row for row in spec.get("volumes") or ()}
    causes: list[Cause] = []
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(kind) or ()):
            for number, row in enumerate(container.get("env") or ()):
                reference = (row.get("valueFrom") or {}).get("fileKeyRef")
                if reference is None:
                    continue
                where = f"{path}.{kind}[{index}].env[{number}].valueFrom.fileKeyRef.volumeName"
                name = reference.get("volumeName") or ""
                if name not in volumes:
                    causes.append(fields.not_found(where, name))
                elif volumes[name].get("emptyDir") is None:
                    detail = "referenced volume must be of type emptyDir"
                    causes.append(fields.invalid(where, name, detail))
    return causes
