"""POST pods/NAME/eviction: a deletion that may be refused for the sake of others."""

import dataclasses

from controlplane.api import conditions, errors, meta
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.strategy import DeleteOptions
from controlplane.apiserver.admission.interface import CREATE
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.registry.admitted import admitted, without_admission
from controlplane.apiserver.registry.delete import check_preconditions
from controlplane.apiserver.registry.registry import Registry
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.requests.context import WriteContext
from controlplane.apiserver.served import Server
from controlplane.apiserver.subresources.budgets import charge
from controlplane.kinds.core.pod.disruption import target
from controlplane.kinds.policy.eviction import KIND as EVICTION


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """Delete as the eviction's options say. 429 when the pod's disruption budget has nothing to give."""
    value, problems = body.parse(request)
    if not isinstance(value, dict):
        raise errors.BadRequest("the object provided is unrecognized: it is not an object")
    version = value.get("apiVersion") or "policy/v1"
    if version not in ("policy/v1", "policy/v1beta1"):
        raise errors.BadRequest(f"no kind Eviction in {version}")
    value["apiVersion"] = "policy/v1"
    eviction = body.checked(request, value, EVICTION, problems)
    if meta.name(eviction) not in ("", request.info.name):
        raise errors.BadRequest("name in URL does not match name in Eviction object")
    options = writes.options_from(eviction.get("deleteOptions") or {}, request)
    if writes.is_dry_run(request.query.get("dryRun", [])):
        options = dataclasses.replace(options, is_dry_run=True)
    info, registry = request.info, server.registries[resource]
    context = writes.context_of(request, resource)
    meta.ensure_metadata(eviction)["namespace"] = info.namespace
    await admitted(
        registry, context, CREATE, eviction, kind=EVICTION, namespace=info.namespace, name=info.name
    )
    pod = await registry.get(info.namespace, info.name)
    await charge(server, pod, is_dry_run=options.is_dry_run)
    if not options.is_dry_run:
        options = await _marked(registry, pod, options, without_admission(context))
    await registry.delete(info.namespace, info.name, options, without_admission(context))
    return render.status(request, errors.success(code=201), 201)


async def _marked(
    registry: Registry, pod: Obj, options: DeleteOptions, context: WriteContext
) -> DeleteOptions:
    """Say of the pod that it goes for no fault of its own; the options for the pod as it then is. Raises Conflict."""
    condition = target("EvictionByEvictionAPI", "Eviction API: evicting")
    now = registry.now()

    async def marked(live: Obj) -> Obj:
        check_preconditions(registry, meta.name(pod), options, live)
        status = live.setdefault("status", {})
        rows = status["conditions"] = [dict(row) for row in status.get("conditions") or ()]
        conditions.set(rows, condition, now)
        return live

    written = await registry.update(meta.namespace(pod), meta.name(pod), marked, context)
    if options.resource_version:
        options = dataclasses.replace(options, resource_version=meta.resource_version(written))
    return options
