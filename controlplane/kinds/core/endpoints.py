"""Endpoints: the addresses behind a Service, the old form.

Sources: pkg/apis/core/validation/validation.go (ValidateEndpoints), pkg/registry/core/endpoint.
"""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.defaulting import set_missing
from controlplane.api.errors import Cause
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import Strategy
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column
from controlplane.api.validation import addresses
from controlplane.api.validation import causes as fields

ENDPOINTS = Resource(
    "",
    "v1",
    "Endpoints",
    "endpoints",
    singular="endpoints",
    short_names=("ep",),
    storage="services/endpoints",
)

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_ADDRESSES = ("addresses", "notReadyAddresses")
_MANAGED_BY = "endpoints.kubernetes.io/managed-by"
_SHOWN = 3


def _default(obj: Obj) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            set_missing(port, "protocol", "TCP")


def _validate(obj: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for number, subset in enumerate(obj.get("subsets") or ()):
        causes += _subset(f"subsets[{number}]", subset)
    return causes


def _subset(path: str, subset: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if not any(subset.get(key) for key in _ADDRESSES):
        detail = "must specify `addresses` or `notReadyAddresses`"
        causes.append(fields.required(path, detail))
    for key in _ADDRESSES:
        for number, address in enumerate(subset.get(key) or ()):
            causes += _address(f"{path}.{key}[{number}]", address)
    ports = subset.get("ports") or ()
    for number, port in enumerate(ports):
        causes += _port(f"{path}.ports[{number}]", port, len(ports) > 1)
    return causes


def _address(path: str, address: Obj) -> list[Cause]:
    ip, hostname = str(address.get("ip") or ""), address.get("hostname")
    causes = addresses.legacy_address(f"{path}.ip", ip)
    if hostname:
        causes += fields.each(f"{path}.hostname", hostname, names.dns_label(hostname))
    if address.get("nodeName") is not None:
        causes += fields.subdomain(f"{path}.nodeName", address["nodeName"])
    return causes + addresses.endpoint_address(f"{path}.ip", ip)


def _port(path: str, port: Obj, needs_name: bool) -> list[Cause]:
    name = port.get("name") or ""
    causes: list[Cause] = []
    if needs_name and not name:
        causes.append(fields.required(f"{path}.name"))
    elif name:
        causes += fields.each(f"{path}.name", name, names.dns_label(name))
    causes += fields.port_number(f"{path}.port", port.get("port") or 0)
    causes += fields.one_of(f"{path}.protocol", port.get("protocol"), _PROTOCOLS)
    if port.get("appProtocol") is not None:
        causes += fields.qualified(f"{path}.appProtocol", port["appProtocol"])
    return causes


def _validate_update(new: Obj, old: Obj) -> list[Cause]:
    # What was stored before stays good.
    return [] if new.get("subsets") == old.get("subsets") else _validate(new)


def _warnings(obj: Obj, old: Obj | None) -> list[str]:
    del old
    if meta.labels(obj).get(_MANAGED_BY) == "endpoint-controller":
        return []
    return [
        text
        for index, subset in enumerate(obj.get("subsets") or ())
        for key in _ADDRESSES
        for number, address in enumerate(subset.get(key) or ())
        for text in addresses.address_warnings(
            f"subsets[{index}].{key}[{number}].ip", str(address.get("ip") or "")
        )
    ]


def _endpoints(obj: Obj, now: float) -> str:
    """The first three addresses with ports, and how many more there are."""
    subsets = obj.get("subsets") or ()
    if not subsets:
        return cells.NONE
    shown: list[str] = []
    count = 0
    for subset in subsets:
        ips = [str(address.get("ip") or "") for address in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        if not ports:
            shown += ips[: max(0, _SHOWN - len(shown))]
            count += len(ips)
            continue
        # Port by port, each list cut at the limit, as upstream prints them.
        for port in ports:
            pairs = [f"{_joined(ip)}:{port.get('port')}" for ip in ips]
            shown += pairs[: max(0, _SHOWN - len(shown))]
            count += len(pairs)
    more = f" + {count - _SHOWN} more..." if count > _SHOWN else ""
    return ",".join(shown) + more


def _joined(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


_COLUMNS = (
    NAME,
    Column("Endpoints", _endpoints, description="Addresses and ports."),
    AGE,
)


class _EndpointsStrategy(Strategy):
    creates_on_update = True


KIND = Kind(
    ENDPOINTS,
    strategy=_EndpointsStrategy,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    validates_update_alone=True,
    columns=_COLUMNS,
    warnings=_warnings,
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)
