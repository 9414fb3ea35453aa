"""A ready endpoint behind a port of a Service, by its EndpointSlices.

Source: apiserver/pkg/util/proxy/proxy.go (ResolveEndpoint).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES

_SERVICE_LABEL = "kubernetes.io/service-name"
_TYPES = ("ClusterIP", "LoadBalancer", "NodePort")


class UnresolvedError(Exception):
    """There is nobody behind the Service; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and port; `pod` is (namespace, name) and `node` a node's name where the slice tells them."""

    address: str
    port: int
    pod: tuple[str, str] | None = None
    node: str = ""


async def resolve(
    lookup: Lookup, namespace: str, name: str, port: int, rng: random.Random
) -> Endpoint:
    """One of the ready endpoints, by chance. UnresolvedError when there is none."""
    service = await lookup.find(SERVICES, namespace, name)
    if service is None:
        raise UnresolvedError(f'service "{name}" not found')
    port_name = port_name_of(service, port)
    slices = [
        one
        for one in await lookup.all(ENDPOINT_SLICES, namespace)
        if meta.labels(one).get(_SERVICE_LABEL) == name
    ]
    found = ready(slices, port_name, meta.spec(service).get("ipFamilies") or [])
    if not found:
        raise UnresolvedError(f'no endpoints available for service "{name}"')
    return rng.choice(found)


def port_name_of(service: Obj, port: int) -> str:
    """The name of a Service's port. UnresolvedError for a Service that has none, or is a mere alias."""
    spec = meta.spec(service)
    kind = str(spec.get("type") or "ClusterIP")
    if kind not in _TYPES:
        raise UnresolvedError(f'unsupported service type "{kind}"')
    for row in spec.get("ports") or ():
        if row.get("port") == port:
            return str(row.get("name") or "")
    raise UnresolvedError(f'no service port {port} found for service "{meta.name(service)}"')


def ready(slices: Sequence[Obj], port_name: str, families: Sequence[str]) -> list[Endpoint]:
    """The ready endpoints of that port: those of the Service's first address family, else all others."""
    preferred = families[0] if families else ""
    found: dict[bool, list[Endpoint]] = {True: [], False: []}
    for one in slices:
        numbers = [
            row.get("port")
            for row in one.get("ports") or ()
            if (row.get("name") or "") == port_name and row.get("port") is not None
        ]
        if not numbers:
            continue
        is_preferred = one.get("addressType") == preferred
        for endpoint in one.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            addresses = endpoint.get("addresses") or [""]
            found[is_preferred].append(
                Endpoint(
                    str(addresses[0]), int(numbers[0]), _pod(endpoint), endpoint.get("nodeName", "")
                )
            )
    return found[True] or found[False]


def _pod(endpoint: Obj) -> tuple[str, str] | None:
    target = endpoint.get("targetRef") or {}
    if target.get("kind") != "Pod":
        return None
    return str(target.get("namespace")), str(target.get("name"))
