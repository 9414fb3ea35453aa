"""Services: a stable address in front of pods."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from controlplane.api import meta, names
from controlplane.api.defaulting import part, set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import STATUS, Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import causes as fields
from controlplane.api.validation.metadata import validate_labels

SERVICES = Resource(
    "",
    "v1",
    "Service",
    "services",
    short_names=("svc",),
    categories=("all",),
    storage="services/specs",
    subresources=(STATUS,),
    field_labels=("spec.clusterIP", "spec.type"),
)


def _default(obj: Obj) -> None:
    spec = part(obj, "spec")
    set_missing(spec, "sessionAffinity", "None")
    set_missing(spec, "type", "ClusterIP")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif not meta.get_path(spec, "sessionAffinityConfig.clientIP.timeoutSeconds"):
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    for port in spec.get("ports") or ():
        set_missing(port, "protocol", "TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")
    kind = spec["type"]
    if kind in ("NodePort", "LoadBalancer"):
        set_missing(spec, "externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is None:
        spec["allocateLoadBalancerNodePorts"] = True
    if kind != "ExternalName":
        set_missing(spec, "internalTrafficPolicy", "Cluster")
        # Single-stack IPv4: what this cluster has, and what upstream fills in on one.
        set_missing(spec, "ipFamilyPolicy", "SingleStack")
        if not spec.get("ipFamilies"):
            spec["ipFamilies"] = ["IPv4"]
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
    part(part(obj, "status"), "loadBalancer")


def _validate(obj: Obj) -> list[Cause]:
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
    causes += _validate_ports(spec)
    causes += validate_labels("spec.selector", spec.get("selector"))
    causes += fields.enum("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None"))
    return causes


def _is_ip(text: Any) -> bool:
    try:
        ip_address(str(text))
    except ValueError:
        return False
    return True


def _validate_ports(spec: Obj) -> list[Cause]:
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


def _validate_update(new: Obj, old: Obj) -> list[Cause]:
    fresh, before = meta.spec(new), meta.spec(old)
    if "ExternalName" in (fresh.get("type"), before.get("type")):
        return []
    address = before.get("clusterIP")
    if address and fresh.get("clusterIP") != address:
        detail = "may not change once set"
        return [fields.invalid("spec.clusterIPs[0]", [fresh.get("clusterIP") or ""], detail)]
    return []


class _ServiceStrategy(Strategy):
    def prepare_for_create(self, obj: Obj) -> None:
        """A new service has no load balancer yet."""
        super().prepare_for_create(obj)
        obj["status"] = {"loadBalancer": {}}

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """What was allocated stays when the update does not name it."""
        super().prepare_for_update(obj, live)
        spec, old = obj.setdefault("spec", {}), meta.spec(live)
        if spec.get("type") == "ExternalName":
            return
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if not spec.get(field) and old.get(field):
                spec[field] = old[field]
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            node_ports = {
                (port.get("port"), port.get("protocol")): port.get("nodePort")
                for port in old.get("ports") or ()
            }
            for port in spec.get("ports") or ():
                known = node_ports.get((port.get("port"), port.get("protocol")))
                if known and not port.get("nodePort"):
                    port["nodePort"] = known


def _service_cluster_ip(obj: Obj, now: float) -> str:
    """spec.clusterIP."""
    spec = meta.spec(obj)
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return str(addresses[0] or cells.NONE)


def _service_external_ip(obj: Obj, now: float) -> str:
    """Addresses by which the service is reached from outside."""
    spec = meta.spec(obj)
    external = spec.get("externalIPs") or []
    kind = spec.get("type")
    if kind == "ExternalName":
        return str(spec.get("externalName") or "")
    if kind == "LoadBalancer":
        rows = meta.get_path(obj, "status.loadBalancer.ingress", []) or []
        shown = [str(row.get("ip") or row.get("hostname")) for row in rows] + external
        return ",".join(shown) if shown else "<pending>"
    return ",".join(external) if external else cells.NONE


def _service_ports(obj: Obj, now: float) -> str:
    """`80:30080/TCP,443/TCP`."""
    shown = []
    for port in meta.spec(obj).get("ports") or ():
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node_port}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or cells.NONE


def _service_selector(obj: Obj, now: float) -> str:
    """The selector map in the query form."""
    rows = meta.spec(obj).get("selector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(rows.items())) or cells.NONE


_COLUMNS = (
    NAME,
    Column("Type", cells.field("spec.type"), description="How the service is exposed."),
    Column("Cluster-IP", _service_cluster_ip, description="Address in the cluster."),
    Column("External-IP", _service_external_ip, description="Addresses outside."),
    Column("Port(s)", _service_ports, description="Ports of the service."),
    AGE,
    Column("Selector", _service_selector, 1, description="Labels of the pods."),
)


KIND = Kind(
    SERVICES,
    strategy=_ServiceStrategy,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=names.dns1035_label,
    columns=_COLUMNS,
)
