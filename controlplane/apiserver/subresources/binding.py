"""POST pods/NAME/binding, and of old bindings: how a scheduler puts a pod on a node."""

import json

from controlplane.api import conditions, errors, meta, times
from controlplane.api.meta import Obj, View
from controlplane.api.resource import Resource
from controlplane.apiserver.admission.interface import CREATE
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.registry.admitted import admitted
from controlplane.apiserver.requests import body, render
from controlplane.apiserver.requests import options as writes
from controlplane.apiserver.served import Server
from controlplane.apiserver.storage_errors import other_uid, translating
from controlplane.kinds.core.binding import KIND as BINDING
from controlplane.kinds.core.pod.resource import PODS


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """Put an unbound pod on a node, once."""
    binding = body.parse_object(request, BINDING)
    info = request.info
    name = info.name or meta.name(binding)
    if meta.name(binding) not in ("", name):
        raise errors.BadRequest("name in URL does not match name in Binding object")
    target = binding.get("target") or {}
    problems = _problems(target)
    if problems:
        # Compat: plain errors of the original's, which its edge makes a 500 without a reason.
        raise errors.APIError(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
    node = target["name"]
    now = times.to_rfc3339(server.clock.time())

    registry, context = server.registries[PODS], writes.context_of(request, resource)
    key = registry.row.key(info.namespace, name)

    async def bound(live: Obj) -> Obj:
        uid = meta.uid(binding)
        if uid and uid != meta.uid(live):
            raise other_uid(PODS, key, name, uid, meta.uid(live))
        _check_bindable(live)
        metadata, status = dict(meta.metadata(live)), dict(meta.status(live))
        for field in ("annotations", "labels"):
            extra = meta.metadata(binding).get(field)
            if extra:
                metadata[field] = {**(metadata.get(field) or {}), **extra}
        rows = status["conditions"] = [dict(row) for row in status.get("conditions") or ()]
        conditions.set(rows, {"type": "PodScheduled", "status": "True"}, now)
        spec = {**meta.spec(live), "nodeName": node}
        return {**live, "metadata": metadata, "spec": spec, "status": status}

    await admitted(
        registry, context, CREATE, binding, kind=BINDING, namespace=info.namespace, name=name
    )
    # Past defaults, rules and managers of fields, as upstream: nothing but the node is new.
    with translating(PODS, name):
        if context.is_dry_run:
            await bound(await registry.storage.get(key))
        else:
            await registry.storage.guaranteed_update(key, bound, cached=registry.peek(key))
    return render.status(request, errors.success(code=201), 201)


def _problems(target: View) -> list[str]:
    problems = []
    if target.get("kind") not in (None, "", "Node"):
        kind = json.dumps(target["kind"])
        problems.append(
            f'target.kind: Unsupported value: {kind}: supported values: "Node", "<empty>"'
        )
    if not target.get("name"):
        problems.append("target.name: Required value")
    return problems


def _check_bindable(pod: Obj) -> None:
    name, node = meta.name(pod), meta.spec(pod).get("nodeName")
    why = ""
    if meta.is_deleting(pod):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
    elif node:
        why = f'pod {name} is already assigned to node "{node}"'
    elif meta.spec(pod).get("schedulingGates"):
        why = f"pod {name} has non-empty .spec.schedulingGates"
    if why:
        text = f'Operation cannot be fulfilled on pods/binding "{name}": {why}'
        raise errors.Conflict(text, name=name, kind="pods/binding")
