"""EndpointSlices: addresses and ports of a part of a service's endpoints.

Sources: pkg/apis/discovery/validation/validation.go, pkg/apis/discovery/v1/defaults.go,
pkg/registry/discovery/endpointslice.
"""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.defaulting import set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind, MetadataRules
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME
from controlplane.api.table.standard import text
from controlplane.api.validation import addresses
from controlplane.api.validation import causes as fields
from controlplane.api.validation.equality import is_same
from controlplane.api.validation.metadata import validate_labels
from controlplane.api.validation.paths import fully_qualified_domain_name

ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_OWN_CONTROLLERS = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")
_HOSTNAME = "kubernetes.io/hostname"
_TYPES = ("FQDN", "IPv4", "IPv6")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_MAX_TOPOLOGY = 16
_MAX_ADDRESSES = 100
_MAX_PORTS = 20_000
_MAX_ENDPOINTS = 1000
_MAX_HINTS = 8
_SHOWN = 3


def default(obj: Obj) -> None:
    """Fill in what was left out."""
    for key in ("endpoints", "ports"):
        obj.setdefault(key, None)
    for port in obj.get("ports") or ():
        if port.get("name") is None:
            port["name"] = ""
        if port.get("protocol") is None:
            port["protocol"] = "TCP"
    for endpoint in obj.get("endpoints") or ():
        set_missing(endpoint, "conditions", {})


def validate(obj: Obj) -> list[Cause]:
    """Causes in a new slice."""
    return _validate(obj, None)


def validate_update(new: Obj, old: Obj) -> list[Cause]:
    """Causes in a changed slice; endpoints that were stored once stay good as they are."""
    causes = _validate(new, old)
    if new.get("addressType") != old.get("addressType"):
        causes.append(fields.immutable("addressType", new.get("addressType") or ""))
    return causes


def _validate(obj: Obj, old: Obj | None) -> list[Cause]:
    causes: list[Cause] = []
    kind = obj.get("addressType") or ""
    if not kind:
        causes.append(fields.required("addressType"))
    elif kind not in _TYPES:
        causes.append(fields.not_supported("addressType", kind, _TYPES))
    causes += _ports(obj.get("ports") or [])
    found = _endpoints(obj.get("endpoints") or [], kind)
    if found and old is not None and is_same(old.get("endpoints"), obj.get("endpoints")):
        found = []
    return causes + found


def _ports(ports: list[Obj]) -> list[Cause]:
    if len(ports) > _MAX_PORTS:
        return [fields.too_many("ports", len(ports), _MAX_PORTS)]
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        path, name = f"ports[{index}]", port.get("name") or ""
        if name:
            causes += fields.each(f"{path}.name", name, names.dns_label(name))
        if name in seen:
            causes.append(fields.duplicate(f"{path}.name", name))
        seen.add(name)
        protocol = port.get("protocol")
        if protocol is None:
            causes.append(fields.required(f"{path}.protocol"))
        elif protocol not in _PROTOCOLS:
            causes.append(fields.not_supported(f"{path}.protocol", protocol, _PROTOCOLS))
        application = port.get("appProtocol")
        if application is not None:
            problems = names.qualified_name(application)
            causes += fields.each(f"{path}.appProtocol", application, problems)
    return causes


def _endpoints(endpoints: list[Obj], kind: str) -> list[Cause]:
    if len(endpoints) > _MAX_ENDPOINTS:
        return [fields.too_many("endpoints", len(endpoints), _MAX_ENDPOINTS)]
    causes: list[Cause] = []
    for index, endpoint in enumerate(endpoints):
        causes += _endpoint(endpoint, f"endpoints[{index}]", kind)
    return causes


def _endpoint(endpoint: Obj, path: str, kind: str) -> list[Cause]:
    causes: list[Cause] = []
    rows, where = endpoint.get("addresses") or [], f"{path}.addresses"
    if not rows:
        causes.append(fields.required(where, "must contain at least 1 address"))
    elif len(rows) > _MAX_ADDRESSES:
        causes.append(fields.too_many(where, len(rows), _MAX_ADDRESSES))
    for index, address in enumerate(rows):
        causes += _address(address, where, index, kind)
    node = endpoint.get("nodeName")
    if node is not None:
        causes += fields.each(f"{path}.nodeName", node, names.dns_subdomain(node))
    topology = endpoint.get("deprecatedTopology") or {}
    if len(topology) > _MAX_TOPOLOGY:
        where = f"{path}.deprecatedTopology"
        causes.append(fields.too_many(where, len(topology), _MAX_TOPOLOGY))
    causes += validate_labels(f"{path}.deprecatedTopology", topology)
    host = endpoint.get("hostname")
    if host is not None:
        causes += fields.each(f"{path}.hostname", host, names.dns_label(host))
    return causes + _hints(endpoint.get("hints") or {}, f"{path}.hints")


def _address(address: str, path: str, index: int, kind: str) -> list[Cause]:
    where = f"{path}[{index}]"
    if kind == "FQDN":
        return fully_qualified_domain_name(where, address)
    if kind not in ("IPv4", "IPv6"):
        return []
    is_v4 = kind == "IPv4"
    rule = addresses.legacy_address if is_v4 else addresses.canonical_address
    causes = rule(where, address)
    if causes:
        return causes
    parsed = addresses.parse(address)
    if parsed is not None and (parsed.version == 4) is not is_v4:
        causes.append(fields.invalid(path, address, f"must be an {kind} address"))
    return causes + addresses.endpoint_address(where, address)


def _hints(hints: Obj, path: str) -> list[Cause]:
    causes: list[Cause] = []
    rules = (("forZones", names.label_value), ("forNodes", names.dns_subdomain))
    for key, rule in rules:
        rows, where = hints.get(key) or [], f"{path}.{key}"
        if len(rows) > _MAX_HINTS:
            return [*causes, fields.too_many(where, len(rows), _MAX_HINTS)]
        seen: set[str] = set()
        for index, row in enumerate(rows):
            name = row.get("name") or ""
            if name in seen:
                causes.append(fields.duplicate(f"{where}[{index}].name", name))
            seen.add(name)
            causes += fields.each(f"{where}[{index}].name", name, rule(name))
    return causes


def warnings(obj: Obj, old: Obj | None) -> list[str]:
    """What works and should not be written any more; our own controllers know."""
    found = []
    if old is None and obj.get("addressType") == "FQDN":
        found.append("spec.addressType: FQDN endpoints are deprecated")
    if meta.labels(obj).get(MANAGED_BY) in _OWN_CONTROLLERS:
        return found
    for index, endpoint in enumerate(obj.get("endpoints") or ()):
        for number, address in enumerate(endpoint.get("addresses") or ()):
            path = f"endpoints[{index}].addresses[{number}]"
            found += addresses.address_warnings(path, address)
    return found


def _shown(rows: list[Any]) -> str:
    more = len(rows) - _SHOWN
    text = ",".join(str(row) for row in rows[:_SHOWN])
    return f"{text} + {more} more..." if more > 0 else text or "<unset>"


def _port_numbers(obj: Obj, now: float) -> str:
    return _shown(
        [
            port["port"] if port.get("port") is not None else port.get("name", "*")
            for port in obj.get("ports") or ()
        ]
    )


def _addresses(obj: Obj, now: float) -> str:
    endpoints = obj.get("endpoints") or ()
    return _shown([one for endpoint in endpoints for one in endpoint.get("addresses") or ()])


COLUMNS = (
    NAME,
    text("AddressType", cells.field("addressType"), "Of what sort the addresses are."),
    text("Ports", _port_numbers, "Ports of the endpoints."),
    text("Endpoints", _addresses, "Addresses of the endpoints."),
    AGE,
)


class EndpointSliceStrategy(Strategy):
    """The rules of slices: labels count for their generation too, for they say whose they are."""

    has_generation = True

    def prepare_for_create(self, obj: Obj) -> None:
        """deprecatedTopology cannot be written."""
        super().prepare_for_create(obj)
        _drop_topology(obj, {})

    def prepare_for_update(self, obj: Obj, live: Obj) -> None:
        """deprecatedTopology cannot be written, and is dropped with the first change of the endpoints."""
        super().prepare_for_update(obj, live)
        if not is_same(obj.get("endpoints"), live.get("endpoints")):
            _drop_topology(obj, live)

    def bump_generation(self, obj: Obj, live: Obj) -> None:
        """Count changes of the labels besides those of the endpoints."""
        super().bump_generation(obj, live)
        generation = meta.generation(live)
        if meta.generation(obj) == generation and meta.labels(obj) != meta.labels(live):
            obj["metadata"]["generation"] = generation + 1


def _drop_topology(obj: Obj, live: Obj) -> None:
    known = {
        (endpoint.get("deprecatedTopology") or {}).get(_HOSTNAME)
        for endpoint in live.get("endpoints") or ()
    }
    for endpoint in obj.get("endpoints") or ():
        topology = endpoint.pop("deprecatedTopology", None) or {}
        host = topology.get(_HOSTNAME)
        if host and endpoint.get("nodeName") is None and host in known:
            endpoint["nodeName"] = host


KIND = Kind(
    ENDPOINT_SLICES,
    strategy=EndpointSliceStrategy,
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_alone=True,
    columns=COLUMNS,
    warnings=warnings,
    metadata_rules=~MetadataRules.CHANGED,
)
