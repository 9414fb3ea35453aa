"""POST pods/NAME/binding: how a scheduler puts a pod on a node."""

from controlplane.api import conditions, errors, meta, times
from controlplane.api.errors import Cause
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.registry.admitted import admitted, without_admission
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Server
from controlplane.kinds.core.binding import KIND as BINDING


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """Put an unbound pod on a node, once."""
    binding = body.parse_object(request, BINDING)
    info, target = request.info, binding.get("target") or {}
    node = target.get("name") or ""
    if not node or target.get("kind", "Node") not in ("", "Node"):
        text = "Required value" if not node else 'Unsupported value: must be empty or "Node"'
        cause = Cause("target.name" if not node else "target.kind", text, "FieldValueRequired")
        raise errors.Invalid.of("", "Binding", info.name, [cause])
    now = times.to_rfc3339(server.clock.time())

    async def bound(live: Obj) -> Obj:
        _check_bindable(resource, live, binding)
        live["spec"] = {**meta.spec(live), "nodeName": node}
        for field in ("annotations", "labels"):
            extra = meta.metadata(binding).get(field)
            if extra:
                live["metadata"][field] = {**(live["metadata"].get(field) or {}), **extra}
        status = live.setdefault("status", {})
        rows = status["conditions"] = [dict(row) for row in status.get("conditions") or ()]
        conditions.set(rows, {"type": "PodScheduled", "status": "True"}, now)
        return live

    registry, context = server.registries[resource], writes.context_of(request, resource)
    await admitted(
        registry, context, CREATE, binding, kind=BINDING, namespace=info.namespace, name=info.name
    )
    await registry.update(info.namespace, info.name, bound, without_admission(context))
    return render.status(request, errors.success(code=201), 201)


def _check_bindable(resource: Resource, pod: Obj, binding: Obj) -> None:
    name = meta.name(pod)
    uid = meta.uid(binding)
    if uid and uid != meta.uid(pod):
        why = (
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {meta.uid(pod)}"
        )
        raise errors.Conflict.of(resource, name, why)
    if meta.is_deleting(pod):
        raise errors.Conflict.of(
            resource, name, f"pod {name} is being deleted, cannot be assigned to a host"
        )
    node = meta.spec(pod).get("nodeName")
    if node:
        raise errors.Conflict.of(resource, name, f'pod {name} is already assigned to node "{node}"')
    gates = meta.spec(pod).get("schedulingGates")
    if gates:
        raise errors.Conflict.of(resource, name, f"pod {name} has non-empty .spec.schedulingGates")
