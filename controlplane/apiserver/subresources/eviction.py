"""POST pods/NAME/eviction: a deletion that may be refused for the sake of others."""

import dataclasses

from controlplane.api import errors
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.registry.admitted import admitted, without_admission
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Parts
from controlplane.apiserver.subresources.budgets import charge
from controlplane.kinds.policy.eviction import KIND as EVICTION


async def handle(parts: Parts, request: Request, resource: Resource) -> Response:
    """Delete as the eviction's options say. 429 when the pod's disruption budget has nothing to give."""
    value, problems = body.parse(request)
    if not isinstance(value, dict):
        raise errors.BadRequest("the object provided is unrecognized: it is not an object")
    version = value.get("apiVersion") or "policy/v1"
    if version not in ("policy/v1", "policy/v1beta1"):
        raise errors.BadRequest(f"no kind Eviction in {version}")
    value["apiVersion"] = "policy/v1"
    eviction = body.checked(request, value, EVICTION, problems)
    options = writes.options_from(eviction.get("deleteOptions") or {}, request)
    if writes.is_dry_run(request.query.get("dryRun", [])):
        options = dataclasses.replace(options, is_dry_run=True)
    info, registry = request.info, parts.registries[resource]
    context = writes.context_of(request, resource)
    await admitted(
        registry, context, CREATE, eviction, kind=EVICTION, namespace=info.namespace, name=info.name
    )
    pod = await registry.get(info.namespace, info.name)
    await charge(parts, pod, is_dry_run=options.is_dry_run)
    await registry.delete(info.namespace, info.name, options, without_admission(context))
    return render.status(request, errors.success(code=201), 201)
