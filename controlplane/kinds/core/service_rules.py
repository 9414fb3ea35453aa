"""Rules of Services.

Source: pkg/apis/core/validation/validation.go (validateService and what it calls).
"""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.api import meta, names
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj, View
from controlplane.api.validation import addresses
from controlplane.api.validation import causes as fields
from controlplane.api.validation.internal import Shape
from controlplane.api.validation.metadata import validate_labels

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_FAMILIES = ("IPv4", "IPv6")
_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_MAX_AFFINITY_SECONDS = 86400
_HINTS = "service.kubernetes.io/topology-aware-hints"
_MODE = "service.kubernetes.io/topology-mode"
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"
_KEPT = "may not change once set"
_PORT = Shape(
    (
        ("Name", "", ""),
        ("Protocol", "protocol", ""),
        ("AppProtocol", "", None),
        ("Port", "port", 0),
        ("TargetPort", "", 0),
        ("NodePort", "", 0),
    )
)


def is_headless(spec: View) -> bool:
    """Whether the Service has no address of its own."""
    return spec.get("clusterIPs") == ["None"]


def validate_service(obj: Obj) -> list[Cause]:
    """Causes for which a Service may not be created."""
    return _service(obj, {})


def validate_service_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in an update of a Service, those of the Service itself among them."""
    fresh, before = meta.spec(new), meta.spec(old)
    causes: list[Cause] = []
    if "ExternalName" not in (fresh.get("type"), before.get("type")):
        causes += _address_changes(fresh, before)
        causes += _family_changes(fresh, before)
    if fresh.get("type") == before.get("type") == "LoadBalancer":
        name = fresh.get("loadBalancerClass")
        if name != before.get("loadBalancerClass"):
            causes.append(fields.invalid("spec.loadBalancerClass", name, _KEPT))
    causes += _balancer_class(fresh)
    if _checks_health(fresh) and _checks_health(before):
        where = "spec.healthCheckNodePort"
        if fresh.get("healthCheckNodePort") != before.get("healthCheckNodePort"):
            causes.append(fields.forbidden(where, "field is immutable"))
    return causes + _service(new, before)


def _address_changes(fresh: View, before: View) -> list[Cause]:
    new, old = fresh.get("clusterIPs") or [], before.get("clusterIPs") or []
    if is_headless(fresh) and is_headless(before):
        return []
    where = "spec.clusterIPs"
    causes = []
    if len(new) == len(old):
        return [
            fields.invalid(f"{where}[{index}]", new, _KEPT)
            for index, address in enumerate(old)
            if address != new[index]
        ]
    if not new:
        causes.append(fields.invalid(f"{where}[0]", new, "primary clusterIP can not be unset"))
    if new and old and new[0] != old[0]:
        causes.append(fields.invalid(f"{where}[0]", new, _KEPT))
    if len(old) > len(new) == 1 and fresh.get("ipFamilyPolicy") != "SingleStack":
        detail = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        shown = fresh.get("ipFamilyPolicy")
        causes.append(fields.invalid("spec.ipFamilyPolicy", shown, detail))
    return causes


def _family_changes(fresh: View, before: View) -> list[Cause]:
    if is_headless(fresh) or is_headless(before):
        return []
    new, old = fresh.get("ipFamilies") or [], before.get("ipFamilies") or []
    where = "spec.ipFamilies[0]"
    if len(new) == len(old):
        changed = [family for family, other in zip(old, new, strict=True) if family != other]
        return [fields.invalid(where, new, _KEPT) for _ in changed]
    causes = []
    # Compat: upstream shows the addresses here.
    shown = fresh.get("clusterIPs")
    if len(old) > len(new) and not shown:
        causes.append(fields.invalid(where, new, "primary ipFamily can not be unset"))
    if new and old and new[0] != old[0]:
        causes.append(fields.invalid(where, shown, _KEPT))
    if len(old) > len(new) == 1 and fresh.get("ipFamilyPolicy") != "SingleStack":
        detail = "must be set to 'SingleStack' when releasing the secondary ipFamily"
        policy = fresh.get("ipFamilyPolicy")
        causes.append(fields.invalid("spec.ipFamilyPolicy", policy, detail))
    return causes


def _service(obj: Obj, old: View) -> list[Cause]:
    spec, annotations = meta.spec(obj), meta.annotations(obj)
    causes: list[Cause] = []
    if _HINTS in annotations and annotations.get(_MODE, annotations[_HINTS]) != annotations[_HINTS]:
        detail = f"must match annotations[{_HINTS}] when both are specified"
        where = f"metadata.annotations[{_MODE}]"
        causes.append(fields.invalid(where, annotations[_MODE], detail))
    causes += _by_type(spec)
    seen: set[str] = set()
    ports = spec.get("ports") or []
    for index, port in enumerate(ports):
        causes += _port(port, f"spec.ports[{index}]", seen, needs_name=len(ports) > 1)
    causes += validate_labels("spec.selector", spec.get("selector"))
    causes += _affinity(spec)
    causes += validate_addresses(spec, old)
    for index, text in enumerate(spec.get("externalIPs") or ()):
        where = f"spec.externalIPs[{index}]"
        found = addresses.legacy_address(where, text, old.get("externalIPs") or ())
        causes += found or addresses.endpoint_address(where, text)
    causes += fields.one_of("spec.type", spec.get("type"), _TYPES)
    causes += _port_numbers(spec)
    causes += _source_ranges(spec, annotations, old)
    allocates = spec.get("allocateLoadBalancerNodePorts")
    if allocates is not None and spec.get("type") != "LoadBalancer":
        causes.append(fields.forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_BALANCED))
    if allocates is None and spec.get("type") == "LoadBalancer":
        # Compat: upstream's path begins below spec.
        causes.append(fields.required("allocateLoadBalancerNodePorts"))
    causes += _balancer_class(spec)
    return causes + _traffic(spec)


def _by_type(spec: View) -> list[Cause]:
    kind = spec.get("type")
    causes = []
    if not spec.get("ports") and not is_headless(spec) and kind != "ExternalName":
        causes.append(fields.required("spec.ports"))
    if kind in ("LoadBalancer", "NodePort") and is_headless(spec):
        detail = f"may not be set to 'None' for {kind} services"
        causes.append(fields.invalid("spec.clusterIPs[0]", "None", detail))
    if kind != "ExternalName":
        return causes
    for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(key):
            detail = "may not be set for ExternalName services"
            causes.append(fields.forbidden(f"spec.{key}", detail))
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        causes.append(fields.required("spec.externalName"))
    return causes + (fields.subdomain("spec.externalName", name) if name else [])


def _port(port: View, path: str, seen: set[str], *, needs_name: bool) -> list[Cause]:
    name = port.get("name") or ""
    causes: list[Cause] = []
    if needs_name and not name:
        causes.append(fields.required(f"{path}.name"))
    elif name:
        causes += fields.each(f"{path}.name", name, names.dns_label(name))
        if name in seen:
            causes.append(fields.duplicate(f"{path}.name", name))
        seen.add(name)
    causes += fields.port_number(f"{path}.port", port.get("port") or 0)
    causes += fields.one_of(f"{path}.protocol", port.get("protocol"), _PROTOCOLS)
    causes += fields.port_or_name(f"{path}.targetPort", port.get("targetPort"))
    if port.get("appProtocol") is not None:
        causes += fields.qualified(f"{path}.appProtocol", port["appProtocol"])
    return causes


def _affinity(spec: View) -> list[Cause]:
    kind, config = spec.get("sessionAffinity"), spec.get("sessionAffinityConfig")
    causes = fields.one_of("spec.sessionAffinity", kind, ("ClientIP", "None"))
    where = "spec.sessionAffinityConfig"
    if kind == "None" and config is not None:
        detail = "must not be set when session affinity is None"
        causes.append(fields.forbidden(where, detail))
    if kind != "ClientIP":
        return causes
    detail = "when session affinity type is ClientIP"
    client = (config or {}).get("clientIP")
    seconds = (client or {}).get("timeoutSeconds")
    if config is None:
        causes.append(fields.required(where, detail))
    elif client is None:
        causes.append(fields.required(f"{where}.clientIP", detail))
    elif seconds is None:
        causes.append(fields.required(f"{where}.clientIP.timeoutSeconds", detail))
    elif not 0 < seconds <= _MAX_AFFINITY_SECONDS:
        limit = f"must be greater than 0 and less than {_MAX_AFFINITY_SECONDS}"
        causes.append(fields.invalid(f"{where}.clientIP.timeoutSeconds", seconds, limit))
    return causes


def validate_addresses(spec: View, old: View | None) -> list[Cause]:
    """Causes in clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy; `old` is the stored spec."""
    if spec.get("type") == "ExternalName":
        return []
    found, where = spec.get("clusterIPs") or [], "spec.clusterIPs"
    causes = _first_address(spec, found, where)
    families = spec.get("ipFamilies") or []
    for index, family in enumerate(families):
        place = f"spec.ipFamilies[{index}]"
        causes += fields.enum(place, family, _FAMILIES)
        if family in families[:index]:
            causes.append(fields.duplicate(place, family))
    if spec.get("ipFamilyPolicy") is not None:
        causes += fields.enum("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], _POLICIES)
    bad = _bad_addresses(found, (old or {}).get("clusterIPs") or (), where)
    causes += bad
    if len(found) > 2:
        causes.append(fields.invalid(where, found, "may only hold up to 2 values"))
    # Causes in the families of addresses that cannot be read would only confuse.
    return causes if bad else causes + _families_agree(spec, found, families, where)


def _first_address(spec: View, found: list[str], where: str) -> list[Cause]:
    address = spec.get("clusterIP") or ""
    if address and not found:
        return [fields.required(where)]
    if address and found[0] != address:
        return [fields.invalid(where, found, "first value must match `clusterIP`")]
    if found and not address:
        detail = "must be empty when `clusterIP` is not specified"
        return [fields.invalid(where, found, detail)]
    return []


def _bad_addresses(found: list[str], known: Sequence[str], where: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, text in enumerate(found):
        if index or text != "None":
            causes += addresses.legacy_address(f"{where}[{index}]", text, known)
        elif len(found) > 1:
            detail = "'None' must be the first and only value"
            causes.append(fields.invalid(where, found, detail))
    return causes


def _families_agree(spec: View, found: list[str], families: list[str], where: str) -> list[Cause]:
    parsed = [addresses.parse(text) for text in found]
    versions = [one.version for one in parsed if one is not None]
    causes = []
    if len(found) > 1 and len(set(versions)) != len(found):
        detail = "may specify no more than one IP for each IP family"
        causes.append(fields.invalid(where, found, detail))
    if is_headless(spec):
        return causes
    for index, (family, version) in enumerate(zip(families, versions, strict=False)):
        if family in _FAMILIES and family != f"IPv{version}":
            detail = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            causes.append(fields.invalid(f"{where}[{index}]", found[index], detail))
    return causes


def _port_numbers(spec: View) -> list[Cause]:
    causes = []
    ports = spec.get("ports") or []
    if spec.get("type") == "ClusterIP":
        detail = "may not be used when `type` is 'ClusterIP'"
        for index, port in enumerate(ports):
            if port.get("nodePort"):
                causes.append(fields.forbidden(f"spec.ports[{index}].nodePort", detail))
    taken: set[object] = set()
    for index, port in enumerate(ports):
        number = port.get("nodePort")
        if number and (port.get("protocol"), number) in taken:
            causes.append(fields.duplicate(f"spec.ports[{index}].nodePort", number))
        taken.add((port.get("protocol"), number))
    seen: set[object] = set()
    for index, port in enumerate(ports):
        identity = (port.get("protocol"), port.get("port"))
        if identity in seen:
            causes.append(fields.duplicate(f"spec.ports[{index}]", _shown_port(port)))
        seen.add(identity)
    return causes


def _shown_port(port: View) -> Obj:
    """The identity of a port as upstream prints it: a struct of which two fields are set."""
    only = {"protocol": port.get("protocol"), "port": port.get("port")}
    return {**_PORT.of(only), "Name": "", "AppProtocol": None, "TargetPort": 0, "NodePort": 0}


def _source_ranges(spec: View, annotations: View, old: View) -> list[Cause]:
    is_balanced = spec.get("type") == "LoadBalancer"
    causes = []
    ranges = spec.get("loadBalancerSourceRanges") or []
    if ranges:
        # Compat: upstream's path has a capital here.
        where = "spec.LoadBalancerSourceRanges"
        if not is_balanced:
            causes.append(fields.forbidden(where, _ONLY_BALANCED))
        known = [text.strip() for text in old.get("loadBalancerSourceRanges") or ()]
        for index, text in enumerate(ranges):
            causes += addresses.legacy_range(f"{where}[{index}]", text.strip(), known)
    elif _RANGES in annotations:
        where = f"metadata.annotations[{_RANGES}]"
        if not is_balanced:
            causes.append(fields.forbidden(where, _ONLY_BALANCED))
        for text in annotations[_RANGES].strip().split(","):
            if annotations[_RANGES].strip():
                causes += addresses.legacy_range(where, text.strip())
    return causes


def _balancer_class(spec: View) -> list[Cause]:
    name, where = spec.get("loadBalancerClass"), "spec.loadBalancerClass"
    if name is None:
        return []
    if spec.get("type") != "LoadBalancer":
        return [fields.forbidden(where, _ONLY_BALANCED)]
    return fields.qualified(where, name)


def _checks_health(spec: View) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _traffic(spec: View) -> list[Cause]:
    causes = []
    policy, where = spec.get("externalTrafficPolicy") or "", "spec.externalTrafficPolicy"
    kind = spec.get("type")
    is_external = kind in ("LoadBalancer", "NodePort") or (
        kind == "ClusterIP" and spec.get("externalIPs")
    )
    if not is_external:
        if policy:
            detail = "may only be set for externally-accessible services"
            causes.append(fields.invalid(where, policy, detail))
    else:
        causes += fields.one_of(where, policy, ("Cluster", "Local"))
    port, place = spec.get("healthCheckNodePort") or 0, "spec.healthCheckNodePort"
    if not _checks_health(spec):
        if port:
            detail = (
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is "
                "'Local'"
            )
            causes.append(fields.invalid(place, port, detail))
    elif not port:
        causes.append(fields.required(place))
    else:
        causes += fields.port_number(place, port)
    inner, inner_path = spec.get("internalTrafficPolicy"), "spec.internalTrafficPolicy"
    if inner is None and kind in ("NodePort", "LoadBalancer", "ClusterIP"):
        causes.append(fields.required(inner_path))
    if inner is not None:
        causes += fields.enum(inner_path, inner, ("Cluster", "Local"))
    spread = spec.get("trafficDistribution")
    if spread is not None and spread not in _DISTRIBUTIONS:
        causes.append(fields.not_supported("spec.trafficDistribution", spread, _DISTRIBUTIONS))
    return causes


def validate_service_status(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a write of a Service's status."""
    rows = (meta.status(new).get("loadBalancer") or {}).get("ingress") or []
    where = "status.loadBalancer.ingress"
    if rows and meta.spec(new).get("type") != "LoadBalancer":
        return [fields.forbidden(where, "may only be used when `spec.type` is 'LoadBalancer'")]
    before = (meta.status(old).get("loadBalancer") or {}).get("ingress") or []
    known = [row["ip"] for row in before if row.get("ip")]
    causes: list[Cause] = []
    for index, row in enumerate(rows):
        causes += _ingress(row, f"{where}[{index}]", known)
    return causes


def _ingress(row: View, path: str, known: list[str]) -> list[Cause]:
    address, mode, host = row.get("ip"), row.get("ipMode"), row.get("hostname")
    causes = addresses.legacy_address(f"{path}.ip", address, known) if address else []
    if mode is None:
        if address:
            detail = "must be specified when `ip` is set"
            causes.append(fields.required(f"{path}.ipMode", detail))
    elif not address:
        causes.append(
            fields.forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set")
        )
    else:
        causes += fields.enum(f"{path}.ipMode", mode, ("Proxy", "VIP"))
    if host:
        causes += fields.subdomain(f"{path}.hostname", host)
        if addresses.parse(host) is not None:
            detail = "must be a DNS name, not an IP address"
            causes.append(fields.invalid(f"{path}.hostname", host, detail))
    return causes
