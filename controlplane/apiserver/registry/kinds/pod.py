"""Pods: pending at first, deleted in two steps once they run somewhere.

Source: the pod lifecycle page of the Kubernetes documentation (termination of pods) and API conventions.
"""

from typing import Any

from controlplane.api import meta
from controlplane.api.strategy import DeleteOptions, Strategy

Obj = dict[str, Any]

_DEFAULT_GRACE_SECONDS = 30


class PodStrategy(Strategy):
    """The rules of pods."""

    def prepare_for_create(self, obj: Obj) -> None:
        """A new pod is pending, whatever its creator says."""
        super().prepare_for_create(obj)
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj)}

    def prepare_for_status_update(self, obj: Obj, live: Obj) -> None:
        """The QoS class stays what it was at creation."""
        super().prepare_for_status_update(obj, live)
        quality = meta.status(live).get("qosClass")
        if quality and isinstance(obj.get("status"), dict):
            obj["status"]["qosClass"] = quality

    def grace_seconds(self, live: Obj, options: DeleteOptions) -> int:
        """A pod that runs on a node is given its time; others go at once."""
        spec = meta.spec(live)
        if not spec.get("nodeName") or meta.status(live).get("phase") in ("Failed", "Succeeded"):
            return 0
        seconds = options.grace_seconds
        if seconds is None:
            seconds = spec.get("terminationGracePeriodSeconds")
        if seconds is None:
            seconds = _DEFAULT_GRACE_SECONDS
        return int(seconds) if seconds >= 0 else 1


def qos_class(pod: Obj) -> str:
    """Guaranteed, Burstable or BestEffort, by requests and limits of cpu and memory."""
    spec = meta.spec(pod)
    is_guaranteed, has_any = True, False
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for name in ("cpu", "memory"):
            limit, request = limits.get(name), requests.get(name, limits.get(name))
            has_any = has_any or limit is not None or request is not None
            is_guaranteed = is_guaranteed and limit is not None and limit == request
    if not has_any:
        return "BestEffort"
    return "Guaranteed" if is_guaranteed else "Burstable"
