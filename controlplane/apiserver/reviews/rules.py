"""SelfSubjectRulesReview: the caller's rules in a namespace, as `kubectl auth can-i --list` shows them."""

from controlplane.api import errors
from controlplane.api.meta import Obj
from controlplane.apiserver.http.messages import Request
from controlplane.apiserver.served import Server


async def own(server: Server, request: Request, review: Obj) -> Obj:
    """All rules of the caller's bindings; BadRequest without a namespace."""
    namespace = (review.get("spec") or {}).get("namespace")
    if not namespace:
        raise errors.BadRequest("no namespace on request")
    found = await server.grants.of(request.user, namespace)
    resources: list[Obj] = []
    paths: list[Obj] = []
    for rule in found.rules():
        if rule.get("resources"):
            shown = ("verbs", "apiGroups", "resources", "resourceNames")
            resources.append({name: rule[name] for name in shown if rule.get(name)})
        if rule.get("nonResourceURLs"):
            paths.append({name: rule[name] for name in ("verbs", "nonResourceURLs")})
    status: Obj = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
    if found.missing:
        status["evaluationError"] = "; ".join(found.missing)
    return {
        "kind": review["kind"],
        "apiVersion": review["apiVersion"],
        "metadata": {},
        "spec": {},
        "status": status,
    }
