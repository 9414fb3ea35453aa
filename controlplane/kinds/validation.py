"""Is the object allowed? Pure rules per kind; the answer is a list of causes, empty when it is.

`validate(resource, obj)` for a create (after defaults), `validate_update(resource, new, old)` for
an update. Messages and fields are upstream's, since users look them up. The registry turns causes
into errors.Invalid.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from controlplane.api import meta, names, quantity
from controlplane.api.errors import Cause
from controlplane.api.resource import Resource
from controlplane.api.validation import causes as fields
from controlplane.api.validation.metadata import (
    validate_labels,
    validate_metadata,
    validate_metadata_update,
)
from controlplane.kinds.core.pod.validation import (
    validate_pod,
    validate_pod_update,
    validate_template,
    validate_tolerations,
)

__all__ = ["validate", "validate_tolerations", "validate_update"]

Object = dict[str, Any]
_MAX_DATA_BYTES = 1024 * 1024
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def validate(resource: Resource, obj: Object) -> list[Cause]:
    """Causes for which the object may not be created."""
    rule = _CREATE.get(resource.kind)
    return validate_metadata(resource, obj) + (rule(obj) if rule else [])


def validate_update(resource: Resource, new: Object, old: Object) -> list[Cause]:
    """Causes for which the object may not take the place of the old one."""
    causes = validate_metadata_update(new, old) + validate(resource, new)
    rule = _UPDATE.get(resource.kind)
    return causes + (rule(new, old) if rule else [])


def validate_scale(obj: Object) -> list[Cause]:
    """Causes in an autoscaling/v1 Scale."""
    return fields.non_negative("spec.replicas", meta.spec(obj).get("replicas"))


def validate_selector(selector: Any, path: str) -> list[Cause]:
    """Causes in a metav1.LabelSelector."""
    causes = validate_labels(f"{path}.matchLabels", (selector or {}).get("matchLabels"))
    for index, row in enumerate((selector or {}).get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{index}]"
        operator, values = row.get("operator"), row.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                causes.append(fields.required(f"{where}.values", detail))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                causes.append(fields.forbidden(f"{where}.values", detail))
        else:
            causes.append(
                fields.invalid(f"{where}.operator", operator, "not a valid selector operator")
            )
        key = str(row.get("key") or "")
        causes += fields.each(f"{where}.key", key, names.qualified_name(key))
        for number, value in enumerate(values):
            problems = names.label_value(str(value))
            causes += fields.each(f"{where}.values[{number}]", value, problems)
    return causes


def _workload(obj: Object) -> list[Cause]:
    """What Deployment and ReplicaSet have in common."""
    spec = meta.spec(obj)
    causes = fields.non_negative("spec.replicas", spec.get("replicas"))
    causes += fields.non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector = spec.get("selector")
    if not selector:
        if selector is None:
            causes.append(fields.required("spec.selector"))
        else:
            detail = "empty selector is invalid for deployment"
            causes.append(fields.invalid("spec.selector", selector, detail))
    else:
        causes += validate_selector(selector, "spec.selector")
    return causes + validate_template(spec.get("template"), "spec.template", selector or None)


def _deployment(obj: Object) -> list[Cause]:
    spec = meta.spec(obj)
    causes = _workload(obj)
    causes += fields.non_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    deadline = spec.get("progressDeadlineSeconds")
    causes += fields.non_negative("spec.progressDeadlineSeconds", deadline)
    if isinstance(deadline, int) and deadline <= (spec.get("minReadySeconds") or 0):
        detail = "must be greater than minReadySeconds"
        causes.append(fields.invalid("spec.progressDeadlineSeconds", deadline, detail))
    strategy = spec.get("strategy") or {}
    kind = strategy.get("type")
    if kind == "Recreate":
        if strategy.get("rollingUpdate") is not None:
            detail = "may not be specified when strategy `type` is 'Recreate'"
            causes.append(fields.forbidden("spec.strategy.rollingUpdate", detail))
    elif kind == "RollingUpdate":
        causes += _rolling(strategy.get("rollingUpdate"), "spec.strategy.rollingUpdate")
    else:
        supported = ("Recreate", "RollingUpdate")
        causes.append(fields.not_supported("spec.strategy.type", kind, supported))
    return causes


def _rolling(rolling: Any, path: str) -> list[Cause]:
    if rolling is None:
        return [fields.required(path, "this should be defaulted and never be nil")]
    causes: list[Cause] = []
    zeros = 0
    for key in ("maxUnavailable", "maxSurge"):
        value = rolling.get(key)
        causes += _number_or_percent(value, f"{path}.{key}")
        zeros += value in (0, "0%")
    if zeros == 2:
        detail = "may not be 0 when `maxSurge` is 0"
        causes.append(
            fields.invalid(f"{path}.maxUnavailable", rolling.get("maxUnavailable"), detail)
        )
    value = rolling.get("maxUnavailable")
    percent = str(value).removesuffix("%") if isinstance(value, str) else ""
    if percent.isdigit() and int(percent) > 100:
        detail = "must not be greater than 100%"
        causes.append(fields.invalid(f"{path}.maxUnavailable", value, detail))
    return causes


def _number_or_percent(value: Any, path: str) -> list[Cause]:
    if isinstance(value, str):
        if value.endswith("%") and value[:-1].isdigit():
            return []
        detail = (
            "a valid percent string must be a numeric string followed by an ending '%' "
            "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
        )
        return [fields.invalid(path, value, detail)]
    return fields.non_negative(path, value)


def _service(obj: Object) -> list[Cause]:
    spec = meta.spec(obj)
    kind = spec.get("type")
    types = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    causes = fields.enum("spec.type", kind, types)
    headless = spec.get("clusterIP") == "None"
    if kind == "ExternalName":
        name = spec.get("externalName")
        if not name:
            causes.append(fields.required("spec.externalName"))
        else:
            problems = names.dns_subdomain(str(name).rstrip("."))
            causes += fields.each("spec.externalName", name, problems)
        if spec.get("clusterIP"):
            detail = "may not be set for ExternalName services"
            causes.append(fields.forbidden("spec.clusterIP", detail))
    else:
        if not spec.get("ports") and not headless:
            causes.append(fields.required("spec.ports"))
        address = spec.get("clusterIP")
        if address and not headless and not _is_ip(address):
            detail = "must be empty, 'None', or a valid IP address"
            causes.append(fields.invalid("spec.clusterIP", address, detail))
    if headless and kind in ("NodePort", "LoadBalancer"):
        detail = f"may not be set to 'None' for {kind} services"
        causes.append(fields.invalid("spec.clusterIPs[0]", "None", detail))
    causes += _service_ports(spec)
    causes += validate_labels("spec.selector", spec.get("selector"))
    causes += fields.enum("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None"))
    return causes


def _is_ip(text: Any) -> bool:
    try:
        ip_address(str(text))
    except ValueError:
        return False
    return True


def _service_ports(spec: Object) -> list[Cause]:
    causes: list[Cause] = []
    ports = spec.get("ports") or []
    seen_names: set[str] = set()
    seen_ports: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        where = f"spec.ports[{index}]"
        name = port.get("name")
        if not name:
            if len(ports) > 1:
                causes.append(fields.required(f"{where}.name"))
        else:
            causes += fields.each(f"{where}.name", name, names.dns_label(name))
            if name in seen_names:
                causes.append(fields.duplicate(f"{where}.name", name))
            seen_names.add(name)
        causes += fields.port_number(f"{where}.port", port.get("port"))
        causes += fields.enum(f"{where}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
        target = port.get("targetPort")
        if isinstance(target, str):
            causes += fields.each(f"{where}.targetPort", target, names.port_name(target))
        elif target is not None:
            causes += fields.port_number(f"{where}.targetPort", target)
        identity = (port.get("protocol"), port.get("port"))
        if identity in seen_ports:
            shown = {"port": port.get("port"), "protocol": port.get("protocol")}
            causes.append(fields.duplicate(where, shown))
        seen_ports.add(identity)
        if port.get("nodePort") and spec.get("type") not in ("NodePort", "LoadBalancer"):
            detail = "may not be used when `type` is 'ClusterIP'"
            causes.append(fields.forbidden(f"{where}.nodePort", detail))
    return causes


def _config_map(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    size = 0
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key, value in data.items():
        causes += fields.each(f"data[{key}]", key, names.config_key(key))
        size += len(str(value).encode())
        if key in binary:
            detail = "duplicate of key present in binaryData"
            causes.append(fields.invalid(f"data[{key}]", key, detail))
    for key, value in binary.items():
        causes += fields.each(f"binaryData[{key}]", key, names.config_key(key))
        size += len(str(value)) * 3 // 4
        causes += _base64(value, f"binaryData[{key}]")
    if size > _MAX_DATA_BYTES:
        causes.append(fields.too_long("", _MAX_DATA_BYTES))
    return causes


def _base64(value: Any, path: str) -> list[Cause]:
    try:
        base64.b64decode(str(value or ""), validate=True)
    except (binascii.Error, ValueError):
        return [fields.invalid(path, "<value>", "illegal base64 data")]
    return []


_SECRET_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _secret(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    data = obj.get("data") or {}
    size = 0
    for key, value in data.items():
        causes += fields.each(f"data[{key}]", key, names.config_key(key))
        causes += _base64(value, f"data[{key}]")
        size += len(str(value or "")) * 3 // 4
    if size > _MAX_DATA_BYTES:
        causes.append(fields.too_long("data", _MAX_DATA_BYTES))
    for key in _SECRET_KEYS.get(str(obj.get("type")), ()):
        if key not in data:
            causes.append(fields.required(f"data[{key}]"))
    return causes


def _event(obj: Object) -> list[Cause]:
    about = obj.get("involvedObject") or {}
    namespace = about.get("namespace") or ""
    # Events about cluster-scoped objects live in `default`.
    allowed = (namespace,) if namespace else ("default", "kube-system", "")
    if meta.namespace(obj) not in allowed:
        detail = "does not match event.namespace"
        return [fields.invalid("involvedObject.namespace", namespace, detail)]
    return []


def _node(obj: Object) -> list[Cause]:
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
    for part in ("capacity", "allocatable"):
        for name, value in (meta.status(obj).get(part) or {}).items():
            if not quantity.is_valid(value):
                path = f"status.{part}[{name}]"
                causes.append(fields.invalid(path, value, quantity.PATTERN_MESSAGE))
    return causes


def _lease(obj: Object) -> list[Cause]:
    spec = meta.spec(obj)
    causes: list[Cause] = []
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        causes.append(
            fields.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
        )
    transitions = spec.get("leaseTransitions")
    if transitions is not None and transitions < 0:
        detail = "must be greater than or equal to 0"
        causes.append(fields.invalid("spec.leaseTransitions", transitions, detail))
    return causes


def _selector_kept(new: Object, old: Object) -> list[Cause]:
    selector = meta.spec(new).get("selector")
    if selector != meta.spec(old).get("selector"):
        return [fields.immutable("spec.selector", selector)]
    return []


def _service_update(new: Object, old: Object) -> list[Cause]:
    fresh, before = meta.spec(new), meta.spec(old)
    if "ExternalName" in (fresh.get("type"), before.get("type")):
        return []
    address = before.get("clusterIP")
    if address and fresh.get("clusterIP") != address:
        detail = "may not change once set"
        return [fields.invalid("spec.clusterIPs[0]", [fresh.get("clusterIP") or ""], detail)]
    return []


def _frozen_data(new: Object, old: Object) -> list[Cause]:
    """ConfigMaps and Secrets marked immutable stay so, and as they are."""
    causes: list[Cause] = []
    if old.get("immutable"):
        if not new.get("immutable"):
            causes.append(fields.forbidden("immutable", _WHEN_IMMUTABLE))
        for key in ("data", "binaryData"):
            if (new.get(key) or {}) != (old.get(key) or {}):
                causes.append(fields.forbidden(key, _WHEN_IMMUTABLE))
    return causes


_WHEN_IMMUTABLE = "field is immutable when `immutable` is set"


def _secret_update(new: Object, old: Object) -> list[Cause]:
    causes = _frozen_data(new, old)
    if new.get("type") != old.get("type"):
        causes.append(fields.immutable("type", new.get("type")))
    return causes


def _node_update(new: Object, old: Object) -> list[Cause]:
    causes: list[Cause] = []
    for key in ("podCIDR", "providerID"):
        before = meta.spec(old).get(key)
        if before and meta.spec(new).get(key) != before:
            detail = "node updates may not change " + key + ' except from "" to valid'
            causes.append(fields.forbidden(f"spec.{key}", detail))
    return causes


_CREATE: dict[str, Callable[[Object], list[Cause]]] = {
    "Pod": validate_pod,
    "Deployment": _deployment,
    "ReplicaSet": _workload,
    "Service": _service,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "Event": _event,
    "Node": _node,
    "Lease": _lease,
}
_UPDATE: dict[str, Callable[[Object, Object], list[Cause]]] = {
    "Pod": validate_pod_update,
    "Deployment": _selector_kept,
    "ReplicaSet": _selector_kept,
    "Service": _service_update,
    "Secret": _secret_update,
    "ConfigMap": _frozen_data,
    "Node": _node_update,
}
