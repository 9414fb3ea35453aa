"""Whether a pod may be evicted: its disruption budget is asked, and charged in the same write.

Texts and order are upstream's (pkg/registry/core/pod/storage/eviction.go). A pod that has ended, or has not begun, is
nobody's loss; one that is not ready goes by the budget's policy for unhealthy pods.
"""

from controlplane.api import conditions, errors, meta
from controlplane.api.meta import Obj
from controlplane.api.selectors import LabelSelector
from controlplane.apiserver.served import Server
from controlplane.kinds.core.pod.views import is_ended, is_ready
from controlplane.kinds.policy.pod_disruption_budget import POD_DISRUPTION_BUDGETS

_MOST_DISRUPTED = 2000
_RETRY_SECONDS = 10
_CAUSE = "DisruptionBudget"


async def charge(server: Server, pod: Obj, *, is_dry_run: bool) -> None:
    """Take the eviction off the pod's budget. Raises TooManyRequests if it allows none, Internal if there are two."""
    if is_ended(pod) or meta.status(pod).get("phase") == "Pending" or meta.is_deleting(pod):
        return
    prefix = POD_DISRUPTION_BUDGETS.key(meta.namespace(pod), "")
    page = await server.storage.list(prefix)
    found = [budget for budget in page.items if _selects(budget, pod)]
    if not found:
        return
    if len(found) > 1:
        raise errors.Internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does "
            "not support."
        )
    if _lets_unhealthy_go(found[0], pod):
        return
    stamp = server.registries[POD_DISRUPTION_BUDGETS].now()

    async def charged(budget: Obj) -> Obj:
        return _charged(budget, pod, stamp)

    if is_dry_run:
        await charged(found[0])
        return
    key = POD_DISRUPTION_BUDGETS.key(meta.namespace(pod), meta.name(found[0]))
    await server.storage.guaranteed_update(key, charged)


def _selects(budget: Obj, pod: Obj) -> bool:
    selector = meta.spec(budget).get("selector")
    if selector is None:
        return False
    return LabelSelector.from_object(selector).matches(meta.labels(pod))


def _lets_unhealthy_go(budget: Obj, pod: Obj) -> bool:
    if is_ready(pod):
        return False
    if meta.spec(budget).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = meta.status(budget)
    desired = int(status.get("desiredHealthy") or 0)
    return desired > 0 and int(status.get("currentHealthy") or 0) >= desired


def _charged(budget: Obj, pod: Obj, stamp: str) -> Obj:
    """The budget with one disruption less and the pod noted."""
    status, name = meta.copy_of(meta.status(budget)), meta.name(budget)
    if meta.observed_generation(budget) < meta.generation(budget):
        raise _refused(
            f"The disruption budget {name} is still being processed by the server.", True
        )
    allowed = int(status.get("disruptionsAllowed") or 0)
    if len(status.get("disruptedPods") or {}) > _MOST_DISRUPTED:
        message = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise errors.Forbidden(message)
    if allowed <= 0:
        healthy = int(status.get("currentHealthy") or 0)
        needed = int(status.get("desiredHealthy") or 0)
        raise _refused(
            f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently",
            False,
        )
    status["disruptionsAllowed"] = allowed - 1
    if allowed == 1:
        condition = {
            "type": "DisruptionAllowed",
            "status": "False",
            "reason": "InsufficientPods",
            "observedGeneration": status.get("observedGeneration"),
        }
        conditions.set(status.setdefault("conditions", []), condition, stamp)
    status["disruptedPods"] = {**(status.get("disruptedPods") or {}), meta.name(pod): stamp}
    return {**budget, "status": status}


def _refused(why: str, is_unsettled: bool) -> errors.TooManyRequests:
    return errors.TooManyRequests(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        retry_after_seconds=_RETRY_SECONDS if is_unsettled else 0,
        causes=[errors.Cause("", why, _CAUSE)],
    )
