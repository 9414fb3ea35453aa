"""Rules of pods and pod templates, with upstream's messages.

Source: pkg/apis/core/validation/validation.go. Covered is what our agent and scheduler read, and
what users get wrong: names, images, ports, environment, probes, resources, volumes and their
mounts, policies, and what an update may change.
"""

from __future__ import annotations

import copy
from typing import Any

from controlplane.api import meta, names, quantity
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.validation import causes as fields
from controlplane.api.validation.metadata import validate_labels

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_MESSAGE_POLICIES = ("FallbackToLogsOnError", "File")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage", "storage")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")

UPDATE_MESSAGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_pod(obj: Obj) -> list[Cause]:
    """Causes in a pod."""
    return validate_pod_spec(meta.spec(obj), "spec")


def validate_pod_spec(spec: Obj, path: str) -> list[Cause]:
    """Causes in a PodSpec."""
    causes, volumes = _volumes(spec.get("volumes"), f"{path}.volumes")
    containers = spec.get("containers") or []
    if not containers:
        causes.append(fields.required(f"{path}.containers"))
    seen: set[str] = set()
    for key in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(key) or ()):
            where = f"{path}.{key}[{index}]"
            causes += _container(container, where, volumes)
            name = container.get("name")
            if name and name in seen:
                causes.append(fields.duplicate(f"{where}.name", name))
            seen.add(name)
    causes += fields.enum(f"{path}.restartPolicy", spec.get("restartPolicy"), _RESTART_POLICIES)
    causes += fields.enum(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS_POLICIES)
    causes += validate_labels(f"{path}.nodeSelector", spec.get("nodeSelector"))
    causes += fields.non_negative(
        f"{path}.terminationGracePeriodSeconds", spec.get("terminationGracePeriodSeconds")
    )
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        detail = "must be between 1 and 2147483647, inclusive"
        causes.append(fields.invalid(f"{path}.activeDeadlineSeconds", deadline, detail))
    for key, rule in (
        ("nodeName", names.dns_subdomain),
        ("serviceAccountName", names.dns_subdomain),
        ("hostname", names.dns_label),
        ("subdomain", names.dns_label),
    ):
        if spec.get(key):
            causes += fields.each(f"{path}.{key}", spec[key], rule(spec[key]))
    causes += validate_tolerations(spec.get("tolerations"), f"{path}.tolerations")
    return causes


def _container(container: Obj, path: str, volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    name = container.get("name")
    if not name:
        causes.append(fields.required(f"{path}.name"))
    else:
        causes += fields.each(f"{path}.name", name, names.dns_label(name))
    image = container.get("image")
    if not image:
        causes.append(fields.required(f"{path}.image"))
    elif image != image.strip():
        detail = "must not have leading or trailing whitespace"
        causes.append(fields.invalid(f"{path}.image", image, detail))
    causes += fields.enum(
        f"{path}.terminationMessagePolicy",
        container.get("terminationMessagePolicy"),
        _MESSAGE_POLICIES,
    )
    causes += fields.enum(
        f"{path}.imagePullPolicy", container.get("imagePullPolicy"), _PULL_POLICIES
    )
    causes += _ports(container.get("ports"), f"{path}.ports")
    causes += _environment(container.get("env"), f"{path}.env")
    causes += _mounts(container.get("volumeMounts"), f"{path}.volumeMounts", volumes)
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(key) is not None:
            causes += _probe(container[key], f"{path}.{key}", key)
    causes += validate_resources(container.get("resources") or {}, f"{path}.resources")
    return causes


def _ports(ports: Any, path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, port in enumerate(ports or ()):
        where = f"{path}[{index}]"
        if port.get("name"):
            causes += fields.each(f"{where}.name", port["name"], names.port_name(port["name"]))
            if port["name"] in seen:
                causes.append(fields.duplicate(f"{where}.name", port["name"]))
            seen.add(port["name"])
        if not port.get("containerPort"):
            causes.append(fields.required(f"{where}.containerPort"))
        else:
            causes += fields.port_number(f"{where}.containerPort", port["containerPort"])
        if port.get("hostPort"):
            causes += fields.port_number(f"{where}.hostPort", port["hostPort"])
        causes += fields.enum(f"{where}.protocol", port.get("protocol"), _PROTOCOLS)
    return causes


def _environment(rows: Any, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, row in enumerate(rows or ()):
        where = f"{path}[{index}]"
        if not row.get("name"):
            causes.append(fields.required(f"{where}.name"))
        else:
            causes += fields.each(f"{where}.name", row["name"], names.env_name(row["name"]))
        source = row.get("valueFrom")
        if source is None:
            continue
        chosen = [key for key, value in source.items() if value is not None]
        if not chosen:
            detail = (
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
                "`secretKeyRef`"
            )
            causes.append(fields.invalid(f"{where}.valueFrom", "", detail))
        elif row.get("value"):
            detail = "may not be specified when `value` is not empty"
            causes.append(fields.invalid(f"{where}.valueFrom", "", detail))
        elif len(chosen) > 1:
            detail = "may not have more than one field specified at a time"
            causes.append(fields.invalid(f"{where}.valueFrom", "", detail))
    return causes


def _mounts(mounts: Any, path: str, volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    paths: set[str] = set()
    for index, mount in enumerate(mounts or ()):
        where = f"{path}[{index}]"
        if not mount.get("name"):
            causes.append(fields.required(f"{where}.name"))
        elif mount["name"] not in volumes:
            causes.append(fields.not_found(f"{where}.name", mount["name"]))
        target = mount.get("mountPath")
        if not target:
            causes.append(fields.required(f"{where}.mountPath"))
        elif target in paths:
            detail = "must be unique"
            causes.append(fields.invalid(f"{where}.mountPath", target, detail))
        paths.add(target)
    return causes


def _volumes(rows: Any, path: str) -> tuple[list[Cause], set[str]]:
    causes: list[Cause] = []
    known: set[str] = set()
    for index, row in enumerate(rows or ()):
        where = f"{path}[{index}]"
        name = row.get("name")
        if not name:
            causes.append(fields.required(f"{where}.name"))
        else:
            causes += fields.each(f"{where}.name", name, names.dns_label(name))
            if name in known:
                causes.append(fields.duplicate(f"{where}.name", name))
            known.add(name)
        sources = [key for key, value in row.items() if key != "name" and value is not None]
        for extra in sources[1:]:
            detail = "may not specify more than 1 volume type"
            causes.append(fields.forbidden(f"{where}.{extra}", detail))
    return causes, known


def _probe(probe: Obj, path: str, kind: str) -> list[Cause]:
    causes: list[Cause] = []
    handlers = [key for key in _HANDLERS if probe.get(key) is not None]
    if not handlers:
        causes.append(fields.required(path, "must specify a handler type"))
    for extra in handlers[1:]:
        detail = "may not specify more than 1 handler type"
        causes.append(fields.forbidden(f"{path}.{extra}", detail))
    if probe.get("exec") is not None and not probe["exec"].get("command"):
        causes.append(fields.required(f"{path}.exec.command"))
    for key in ("httpGet", "tcpSocket", "grpc"):
        target = probe.get(key)
        if target is None:
            continue
        port = target.get("port")
        where = f"{path}.{key}.port"
        if isinstance(port, str) and key != "grpc":
            causes += fields.each(where, port, names.port_name(port))
        else:
            causes += fields.port_number(where, port)
    for key in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        causes += fields.non_negative(f"{path}.{key}", probe.get(key))
    if kind != "readinessProbe" and probe.get("successThreshold") not in (None, 1):
        where = f"{path}.successThreshold"
        causes.append(fields.invalid(where, probe["successThreshold"], "must be 1"))
    return causes


def validate_resources(resources: Obj, path: str) -> list[Cause]:
    """Causes in requests and limits."""
    causes: list[Cause] = []
    limits = resources.get("limits") or {}
    for part in ("limits", "requests"):
        for name, value in (resources.get(part) or {}).items():
            where = f"{path}.{part}[{name}]"
            causes += _resource_name(name, f"{path}.{part}")
            if not quantity.is_valid(value):
                causes.append(fields.invalid(where, value, quantity.PATTERN_MESSAGE))
                continue
            if quantity.parse(value) < 0:
                detail = "must be greater than or equal to 0"
                causes.append(fields.invalid(where, str(value), detail))
            limit = limits.get(name)
            if (
                part == "requests"
                and limit is not None
                and quantity.is_valid(limit)
                and quantity.parse(value) > quantity.parse(limit)
            ):
                detail = f"must be less than or equal to {name} limit of {limit}"
                causes.append(fields.invalid(f"{path}.requests", str(value), detail))
    return causes


def _resource_name(name: str, path: str) -> list[Cause]:
    if name in _STANDARD_RESOURCES or name.startswith("hugepages-"):
        return []
    problems = names.qualified_name(name)
    if problems:
        return fields.each(path, name, problems)
    if "/" not in name:
        detail = "must be a standard resource for containers"
        return [
            fields.invalid(path, name, "must be a standard resource type or fully qualified"),
            fields.invalid(path, name, detail),
        ]
    return []


def validate_tolerations(rows: Any, path: str) -> list[Cause]:
    """Causes in tolerations."""
    causes: list[Cause] = []
    for index, row in enumerate(rows or ()):
        where = f"{path}[{index}]"
        operator, key = row.get("operator") or "Equal", row.get("key")
        if key:
            causes += fields.each(f"{where}.key", key, names.qualified_name(key))
        elif operator != "Exists":
            detail = (
                "operator must be Exists when `key` is empty, which means "
                '"match all values and all keys"'
            )
            causes.append(fields.invalid(f"{where}.operator", operator, detail))
        causes += fields.enum(f"{where}.operator", operator, ("Equal", "Exists"))
        if operator == "Exists" and row.get("value"):
            detail = "value must be empty when `operator` is 'Exists'"
            causes.append(fields.invalid(f"{where}.operator", row["value"], detail))
        effect = row.get("effect")
        if effect:
            causes += fields.enum(f"{where}.effect", effect, _EFFECTS)
        if row.get("tolerationSeconds") is not None and effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            causes.append(fields.invalid(f"{where}.effect", effect or "", detail))
    return causes


def validate_pod_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in what an update of a pod changes."""
    fresh, before = copy.deepcopy(meta.spec(new)), meta.spec(old)
    causes: list[Cause] = []
    for key in ("containers", "initContainers"):
        rows, old_rows = fresh.get(key) or [], before.get(key) or []
        if len(rows) != len(old_rows):
            detail = "pod updates may not add or remove containers"
            return [fields.forbidden(f"spec.{key}", detail)]
        for row, old_row in zip(rows, old_rows, strict=True):
            row["image"] = old_row.get("image")
    deadline, old_deadline = fresh.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if old_deadline is not None and (deadline is None or deadline > old_deadline):
        detail = "must be less than or equal to previous value"
        causes.append(fields.invalid("spec.activeDeadlineSeconds", deadline, detail))
    _same(fresh, before, "activeDeadlineSeconds")
    tolerations = fresh.get("tolerations") or []
    if not _only_added(tolerations, before.get("tolerations") or []):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        causes.append(fields.forbidden("spec.tolerations", detail))
    _same(fresh, before, "tolerations")
    if (before.get("terminationGracePeriodSeconds") or 0) < 0:
        _same(fresh, before, "terminationGracePeriodSeconds")
    if fresh != before:
        changed = sorted(k for k in {*fresh, *before} if fresh.get(k) != before.get(k))
        message = f"{UPDATE_MESSAGE}\nchanged: " + ", ".join(f"spec.{key}" for key in changed)
        causes.append(fields.forbidden("spec", message))
    return causes


def _same(fresh: Obj, before: Obj, key: str) -> None:
    """Make an allowed difference disappear before the rest is compared."""
    if key in before:
        fresh[key] = before[key]
    else:
        fresh.pop(key, None)


def _only_added(new: list[Obj], old: list[Obj]) -> bool:
    def identity(row: Obj) -> Obj:
        return {key: value for key, value in row.items() if key != "tolerationSeconds"}

    kept = [identity(row) for row in new]
    return all(identity(row) in kept for row in old)
