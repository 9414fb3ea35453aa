"""Pods: pending at first, deleted in two steps once they run somewhere.

Source: the pod lifecycle page of the Kubernetes documentation (termination of pods) and API conventions.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.meta import Obj
from controlplane.api.strategy import DeleteOptions, Strategy
from controlplane.kinds.core.pod.views import is_ended, qos_class

_DEFAULT_GRACE_SECONDS = 30


class PodStrategy(Strategy):
    """The rules of pods."""

    returns_deleted = True

    def prepare_for_create(self, obj: Obj) -> None:
        """A new pod is pending, whatever its creator says."""
        super().prepare_for_create(obj)
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(meta.spec(obj))}

    def prepare_for_status_update(self, obj: Obj, live: Obj) -> None:
        """The QoS class stays what it was at creation."""
        super().prepare_for_status_update(obj, live)
        quality = meta.status(live).get("qosClass")
        if quality and isinstance(obj.get("status"), dict):
            obj["status"]["qosClass"] = quality

    def grace_seconds(self, live: Obj, options: DeleteOptions) -> int:
        """A pod that runs on a node is given its time; others go at once."""
        spec = meta.spec(live)
        if not spec.get("nodeName") or is_ended(live):
            return 0
        seconds = options.grace_seconds
        if seconds is None:
            seconds = spec.get("terminationGracePeriodSeconds")
        if seconds is None:
            seconds = _DEFAULT_GRACE_SECONDS
        return int(seconds) if seconds >= 0 else 1
