"""Services: a stable address in front of pods."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.defaulting import part, set_missing
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import PROXIED, STATUS, Resource, Subresource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation.addresses import address_warnings, range_warnings
from controlplane.kinds.core.service_fields import drop_type_dependent, is_external
from controlplane.kinds.core.service_rules import (
    validate_service,
    validate_service_status,
    validate_service_update,
)

_AFFINITY_SECONDS = 10800
_HINTS = "service.kubernetes.io/topology-aware-hints"
_MODE = "service.kubernetes.io/topology-mode"

SERVICES = Resource(
    "",
    "v1",
    "Service",
    "services",
    short_names=("svc",),
    categories=("all",),
    storage="services/specs",
    subresources=(Subresource("proxy", PROXIED, kind="ServiceProxyOptions"), STATUS),
    field_labels=("spec.clusterIP", "spec.type"),
)


def _default(obj: Obj) -> None:
    spec = part(obj, "spec")
    set_missing(spec, "sessionAffinity", "None")
    set_missing(spec, "type", "ClusterIP")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    seconds = meta.get_path(spec, "sessionAffinityConfig.clientIP.timeoutSeconds")
    if spec["sessionAffinity"] == "ClientIP" and seconds is None:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": _AFFINITY_SECONDS}}
    for port in spec.get("ports") or ():
        set_missing(port, "protocol", "TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port") or 0
    if is_external(spec):
        set_missing(spec, "externalTrafficPolicy", "Cluster")
    is_served = spec["type"] in ("NodePort", "LoadBalancer", "ClusterIP")
    if is_served and spec.get("internalTrafficPolicy") is None:
        spec["internalTrafficPolicy"] = "Cluster"
    status = part(part(obj, "status"), "loadBalancer")
    if spec["type"] == "LoadBalancer":
        if spec.get("allocateLoadBalancerNodePorts") is None:
            spec["allocateLoadBalancerNodePorts"] = True
        for row in status.get("ingress") or ():
            if row.get("ip") and row.get("ipMode") is None:
                row["ipMode"] = "VIP"


class _ServiceStrategy(Strategy):
    returns_deleted = True
    creates_on_update = True

    def prepare_for_create(self, obj: Obj) -> None:
        """A new service has no load balancer yet."""
        super().prepare_for_create(obj)
        obj["status"] = {"loadBalancer": {}}

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """What does not go with a new type is cleared."""
        super().prepare_for_update(obj, live)
        drop_type_dependent(obj.setdefault("spec", {}), meta.spec(live))
        if meta.spec(obj).get("type") != "LoadBalancer":
            obj["status"] = {**meta.status(obj), "loadBalancer": {}}


def _warnings(obj: Obj, old: Obj | None) -> list[str]:
    spec = meta.spec(obj)
    is_headless = spec.get("type") == "ClusterIP" and spec.get("clusterIP") == "None"
    is_name = spec.get("type") == "ExternalName"
    warnings = []
    if _HINTS in meta.annotations(obj):
        warnings.append(f"annotation {_HINTS} is deprecated, please use {_MODE} instead")
    if spec.get("clusterIP") not in (None, "", "None"):
        for index, text in enumerate(spec.get("clusterIPs") or ()):
            warnings += address_warnings(f"spec.clusterIPs[{index}]", text)
    if is_headless:
        ignored = {
            "spec.loadBalancerIP": spec.get("loadBalancerIP"),
            "spec.externalIPs": spec.get("externalIPs"),
            "spec.SessionAffinity": spec.get("sessionAffinity") != "None",
        }
        warnings += [f"{key} is ignored for headless services" for key, on in ignored.items() if on]
    for index, text in enumerate(spec.get("externalIPs") or ()):
        warnings += address_warnings(f"spec.externalIPs[{index}]", text)
    if spec.get("externalIPs") and not is_headless and not is_name:
        warnings.append(
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
        )
    if spec.get("loadBalancerIP"):
        warnings += address_warnings("spec.loadBalancerIP", spec["loadBalancerIP"])
    for index, text in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        warnings += range_warnings(f"spec.loadBalancerSourceRanges[{index}]", text)
    if is_name and spec.get("externalIPs"):
        warnings.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if not is_name and spec.get("externalName"):
        warnings.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        warnings.append(
            'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'
        )
    return warnings


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
    validate=validate_service,
    validate_update=validate_service_update,
    validates_update_alone=True,
    validate_status=validate_service_status,
    validate_name=names.dns_label,
    warnings=_warnings,
    columns=_COLUMNS,
    metadata_rules=~MetadataRules.WHOLE,
)
