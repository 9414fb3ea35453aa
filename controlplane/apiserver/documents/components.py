"""ComponentStatuses: whether scheduler, controller manager and store do their work now; nothing of it is stored.

A part of several copies is healthy while one of them leads: its Lease in kube-system is held and not run out. (The
original asks the health endpoints of programs beside it, at their usual ports.)
"""

from controlplane.api import errors, meta, times
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.apiserver.documents.health import store_problem
from controlplane.apiserver.http.messages import Request, Response
from controlplane.apiserver.requests import render
from controlplane.apiserver.served import Server
from controlplane.kinds.coordination.lease import LEASES

_LEADERS = {"controller-manager": "kube-controller-manager", "scheduler": "kube-scheduler"}
_STORE = "etcd-0"


async def handle(server: Server, request: Request, resource: Resource) -> Response:
    """GET of one or of all."""
    kind, name = server.scheme.kind_of(resource), request.info.name
    if not name:
        items = [await _status(server, one) for one in (*_LEADERS, _STORE)]
        return render.many(request, kind, items, {}, server.clock)
    if name not in (*_LEADERS, _STORE):
        # Compat: in the singular, as nowhere else.
        text = f'componentstatus "{name}" not found'
        raise errors.NotFound(text, name=name, kind="componentstatus")
    return render.one(request, kind, await _status(server, name), server.clock)


async def _status(server: Server, name: str) -> Obj:
    problem = await store_problem(server) if name == _STORE else await _unled(server, name)
    condition = {"type": "Healthy", "status": "False" if problem else "True"}
    condition["message"] = problem or "ok"
    return {
        "apiVersion": "v1",
        "kind": "ComponentStatus",
        "metadata": {"name": name},
        "conditions": [condition],
    }


async def _unled(server: Server, name: str) -> str:
    """Why nobody does the work of a part; empty when somebody does."""
    lease = _LEADERS[name]
    try:
        spec = meta.spec(await server.registries[LEASES].get("kube-system", lease))
    except errors.APIError as error:
        return error.message
    renewed = times.parse(str(spec.get("renewTime") or "1970-01-01T00:00:00Z"))
    left = renewed + int(spec.get("leaseDurationSeconds") or 0) - server.clock.time()
    if not spec.get("holderIdentity") or left < 0:
        return f"nobody holds the lease kube-system/{lease}"
    return ""
