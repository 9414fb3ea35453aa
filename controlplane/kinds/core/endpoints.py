"""Endpoints: the addresses behind a Service, the old form."""

from __future__ import annotations

from controlplane.api.defaulting import set_missing
from controlplane.api.kind import Kind
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.table import cells
from controlplane.api.table.columns import AGE, NAME, Column

ENDPOINTS = Resource(
    "",
    "v1",
    "Endpoints",
    "endpoints",
    singular="endpoints",
    short_names=("ep",),
    storage="services/endpoints",
)


def _default(obj: Obj) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            set_missing(port, "protocol", "TCP")


def _endpoints(obj: Obj, now: float) -> str:
    """The first three addresses with ports, and how many more there are."""
    shown = []
    for subset in obj.get("subsets") or ():
        ports = [port.get("port") for port in subset.get("ports") or ()]
        for address in subset.get("addresses") or ():
            shown += [f"{address.get('ip')}:{port}" for port in ports] or [address.get("ip")]
    if not shown:
        return cells.NONE
    more = f" + {len(shown) - 3} more..." if len(shown) > 3 else ""
    return ",".join(shown[:3]) + more


_COLUMNS = (
    NAME,
    Column("Endpoints", _endpoints, description="Addresses and ports."),
    AGE,
)


KIND = Kind(
    ENDPOINTS,
    default=_default,
    columns=_COLUMNS,
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)
