"""GET, PUT and PATCH of certificatesigningrequests/NAME/approval: the decision about a request, and nothing else of it.

Source: pkg/registry/certificates/certificates/strategy.go (csrApprovalStrategy).
"""

from collections.abc import Callable

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Server
from controlplane.apiserver.verbs import get, patch
from controlplane.kinds.certificates.certificate_signing_request import (
    stamp_conditions,
    validate_approval,
)

handle_get = get.handle


async def handle_update(server: Server, request: Request, resource: Resource) -> Response:
    """Take the conditions of the body."""
    wanted = body.parse_object(request, server.registries[resource].kind)
    return await _write(server, request, resource, lambda _: meta.copy_of(wanted))


async def handle_patch(server: Server, request: Request, resource: Resource) -> Response:
    """Take the conditions that the patch leaves."""
    kind = server.registries[resource].kind
    change = patch.parse_patch(request, kind.schema)
    return await _write(
        server, request, resource, lambda live: body.checked(request, change(live), kind)
    )


async def _write(
    server: Server, request: Request, resource: Resource, change: Callable[[Obj], Obj]
) -> Response:
    registry, info = server.registries[resource], request.info

    async def decided(live: Obj) -> Obj:
        wanted = change(meta.copy_of(live))
        conditions = meta.status(wanted).get("conditions") or []
        new = {
            **live,
            "metadata": wanted.get("metadata") or {},
            "status": {**meta.status(live), "conditions": conditions},
        }
        if not conditions:
            new["status"].pop("conditions")
        stamp_conditions(new, live, registry.now())
        registry.refuse(info.name, validate_approval(new, live))
        return new

    context = writes.context_of(request, resource)
    updated = await registry.update(info.namespace, info.name, decided, context)
    return render.one(request, registry.kind, updated, server.clock)
