"""Whether another API server answers: the condition Available of its APIService. Pure but for `Checks`.

Source: kube-aggregator/pkg/controllers/status/remote/remote_available_controller.go (order, reasons, messages).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.apiserver.aggregation.calls import CallError, RemoteServers
from controlplane.apiserver.aggregation.directory import Remote
from controlplane.apiserver.lookup import Lookup
from controlplane.kinds.core.service import SERVICES
from controlplane.kinds.discovery.endpoint_slice import ENDPOINT_SLICES

SERVICE_LABEL = "kubernetes.io/service-name"
_SECONDS = 5.0
# Upstream asks five times at once; one that answers is enough, so the others are asked when it does not.
_MORE_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the condition says."""

    status: str
    reason: str
    message: str


PASSED = Verdict("True", "Passed", "all checks passed")


def refused_by_service(
    remote: Remote, service: Obj | None, slices: Sequence[Obj]
) -> Verdict | None:
    """Why the Service leads nowhere; None when it does, or when its kind does not tell."""
    shown = f'service/{remote.service} in "{remote.namespace}"'
    if service is None:
        return Verdict("False", "ServiceNotFound", f"{shown} is not present")
    spec = meta.spec(service)
    if (spec.get("type") or "ClusterIP") != "ClusterIP":
        return None
    ports = [row for row in spec.get("ports") or () if row.get("port") == remote.port]
    if not ports:
        text = f"{shown} is not listening on port {remote.port}"
        return Verdict("False", "ServicePortError", text)
    if not slices:
        text = f"cannot find endpointslices for {shown}"
        return Verdict("False", "EndpointsNotFound", text)
    port = str(ports[0].get("name") or "")
    if not any(_has_endpoint(one, port) for one in slices):
        text = f'endpointslices for {shown} have no addresses with port name "{port}"'
        return Verdict("False", "MissingEndpoints", text)
    return None


def _has_endpoint(one: Obj, port: str) -> bool:
    is_ready = any(
        (row.get("conditions") or {}).get("ready") is not False
        for row in one.get("endpoints") or ()
    )
    return is_ready and any(
        (row.get("name") or "") == port and row.get("port") is not None
        for row in one.get("ports") or ()
    )


def with_verdict(obj: Obj, verdict: Verdict, now: str) -> Obj:
    """An APIService whose condition says so; the same object when it does already."""
    rows = list(meta.status(obj).get("conditions") or ())
    place = next((i for i, row in enumerate(rows) if row.get("type") == "Available"), len(rows))
    before = rows[place] if place < len(rows) else {}
    said = {"status": verdict.status, "reason": verdict.reason, "message": verdict.message}
    if all(before.get(key) == value for key, value in said.items()):
        return obj
    is_same = before.get("status") == verdict.status
    since = before.get("lastTransitionTime") if is_same else now
    rows[place : place + 1] = [{"type": "Available", "lastTransitionTime": since or now, **said}]
    return {**obj, "status": {**meta.status(obj), "conditions": rows}}


class Checks:
    """Looks at Services and asks their servers."""

    def __init__(self, lookup: Lookup, servers: RemoteServers) -> None:
        self._lookup = lookup
        self._servers = servers

    async def verdict(self, remote: Remote) -> Verdict:
        """What is so now. APIError when the store is away."""
        service = await self._lookup.find(SERVICES, remote.namespace, remote.service)
        slices = [
            one
            for one in await self._lookup.all(ENDPOINT_SLICES, remote.namespace)
            if meta.labels(one).get(SERVICE_LABEL) == remote.service
        ]
        refused = refused_by_service(remote, service, slices)
        if refused is not None:
            return refused
        problem = await self._ask(remote)
        if problem:
            more = (self._ask(remote) for _ in range(_MORE_ATTEMPTS))
            problems = await asyncio.gather(*more)
            problem = "" if "" in problems else problems[-1]
        return Verdict("False", "FailedDiscoveryCheck", problem) if problem else PASSED

    async def _ask(self, remote: Remote) -> str:
        try:
            reply = await self._servers.get(remote, remote.path, (), _SECONDS)
        except CallError as error:
            return str(error)
        if 200 <= reply.head.status < 300:
            return ""
        url = f"https://{remote.host}:{remote.port}{remote.path}"
        text = f"bad status from {url}: {reply.head.status}"
        return f"failing or missing response from {url}: {text}"
